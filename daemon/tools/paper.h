// SPDX-License-Identifier: Apache-2.0
// A bill as a person would work it out on paper, in English or Chinese (tbl/paper.def). The steps are computed again while they are
// written: where a figure of a settlement does not follow from the figures before it, the paper says so.
#ifndef TOOLS_PAPER_H
#define TOOLS_PAPER_H

#include <stdio.h>

#include "base/arena.h"
#include "rating/rating.h"
#include "tools/paper_text.h"

struct paper_pack {
	const char *id;
	int64_t calls;                   // that it gave
	int64_t size;                    // that it holds; 0: not known
	const char *from, *until;        // its months
};

struct paper_shared {                    // free calls that several services share
	const char *id;                  // NULL: none
	const char *services;            // "pool-a, pool-b"
	int64_t calls, taken;            // of the month; taken by the services before this one
};

struct paper {
	enum paper_lang lang;
	const char *account, *service, *name, *period, *version, *currency; // account, name, version: may be NULL
	const struct plan *plan;         // NULL: not known
	bool free_month;                 // known to be at price 0
	const char *contract;            // "id/version" that decides something here; NULL: none
	const struct plan *list;         // the price list's, where a contract decides; NULL: price 0
	int64_t quota;                   // -1: not known
	bool quota_first;                // `quota` is that of the month of activation
	struct paper_shared shared;
	int64_t calls, free, billable;
	uint32_t n_packs, n_slices;
	struct paper_pack *packs;
	bool sliced;                     // slices instead of tier and price
	struct rating_slice *slices;
	uint32_t tier;                   // from 0
	int64_t price_micro, per;
	enum tier_basis tier_basis;
	enum rounding rounding;
	amount_pico exact;
	int64_t charge_fen;
	bool has_freeze;
	int64_t unfreeze_fen, freeze_fen;
	const char *unfreeze_period;     // whose settlement froze what is released; NULL: not known
	int64_t unfreeze_was_fen;        // what it froze
	bool freeze_known;               // what follows
	enum freeze_basis freeze_basis;
	int64_t freeze_ratio_micro;
	bool freezes;                    // something is frozen: not at price 0, and the service is there in the next month
	const struct plan *freeze_plan;  // that prices it
	bool adjusts;                    // a later revision
	int64_t revision, adjusts_revision, adjusts_calls, adjusts_charge_fen, difference_fen;
	const char *corrected;           // the correction that it rests on; NULL: none
	bool correction;                 // it made this revision
	const char *reason, *question;   // of it; NULL: not known
	const struct line_prices *prices; // that it brought, and `plan` is of; NULL: those of the month
	bool before_known;               // of the revision that is adjusted:
	int64_t before_free, before_packs;
};

// Writes the steps; returns the number of steps that do not add up.
int paper_write(FILE *to, const struct paper *p);
// Reads a settlement, the CloudEvent or its data. What the paper points to lives in *ret_json (a json_t; json_decref it) and in `arena`.
// False with *why in words.
bool paper_of_json(const char *text, size_t n, struct arena *arena, struct paper *p, void **ret_json, char why[200]);
// The same of data (a json_t) that was read before.
bool paper_of_data(const void *data, struct arena *arena, struct paper *p, char why[200]);

#endif
