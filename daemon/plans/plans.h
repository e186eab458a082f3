// SPDX-License-Identifier: Apache-2.0
// Which alerts the calls of an account may raise, as of a partition's record clock: by the rules in force there, and by what was said
// of the account before (clock - rules.lead). Ladders and allowances are made once for all that they hold for, and kept until
// something new is known.
//
// @thread owned by the worker.
#ifndef PLANS_PLANS_H
#define PLANS_PLANS_H

#include "journal/journal.h"
#include "ladder/allowance.h"

struct plan_row {                        // of one account, service and month
	const struct ladder *plain, *first;      // as in a counter; NULL: nothing to reach, or the allowance has it
	const struct allowance *allowance;       // NULL: the service shares nothing
	uint32_t month, service;                 // its place there
	int scope;                               // of its holder
};

struct plans;
struct plans *plans_new(void);
void plans_freep(struct plans **p);
// What is known from here on; `book` may be NULL. Rows that were handed out must not be used any more.
void plans_know(struct plans *p, const struct journal *j, const struct account_book *book);
// Of a service by its index in the newest catalog. Valid until plans_know. Hot: the last answers are found by one comparison.
struct plan_row plans_row(struct plans *p, const struct journal_rules *rules, int64_t clock_ms, struct span account, uint32_t service,
			  int month);
bool plans_watched(const struct plans *p, struct span account); // something was said of it

// The first record clock later than `clock_ms` (TIME_NONE: none yet) at which rows may change, or begin to speak of another month;
// INT64_MAX: none.
int64_t plans_next_turn(const struct plans *p, const struct journal_rules *rules, int64_t clock_ms);
// Calls `fn` for each account whose rows change while the clock moves from `clock_ms` to `to_ms`; until it returns true.
typedef bool plans_account_fn(void *ctx, struct span account);
bool plans_turning(const struct plans *p, const struct journal_rules *rules, int64_t clock_ms, int64_t to_ms, plans_account_fn *fn, void *ctx);

#endif
