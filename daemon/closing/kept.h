// SPDX-License-Identifier: Apache-2.0
// What a shard keeps of what was settled: lines, and what an account's packs gave so far. Pure.
#ifndef CLOSING_KEPT_H
#define CLOSING_KEPT_H

#include "account/prices.h"
#include "base/arena.h"
#include "terms/terms.h"

// ---- adjust.c
struct settled_line {                   // a line, as one revision has it
	uint32_t service;
	int64_t revision;               // -1: none
	int64_t calls, free, billable, charge_fen, unfreeze_fen, freeze_fen;
	uint32_t n_packs;
	struct pack_use *packs;         // in order of deduction
	struct span corrected;          // the correction that it rests on (correct.c), made by this revision or one before; n 0: none
	const struct line_prices *prices; // since then; NULL: those of its month
};
bool settled_line_parse(struct span facts, struct arena *arena, struct settled_line *ret); // ret->service stays
// The newest revision of an account's month, where there was an adjustment: its lines by service.
bool settled_newest_parse(struct span facts, const struct catalog *c, struct arena *arena, uint32_t *ret_n, struct settled_line **ret);

// ---- balance.c: what an account's packs gave so far
struct balance {
	int month;                      // settled last; MONTH_NONE: none
	uint32_t n;
	struct pack_use *uses;          // by id
};
bool balance_parse(struct span text, struct arena *arena, struct balance *ret); // text.p NULL: nothing yet
int64_t balance_used(const struct balance *b, struct span id); // 0: nothing yet
int64_t balance_left(const struct balance *b, const struct terms_pack *p);
bool balance_add(struct balance *b, const struct pack_use *packs, uint32_t n, struct arena *arena); // false: overflow
struct span balance_text(const struct balance *b, struct arena *arena);

#endif
