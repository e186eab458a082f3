// SPDX-License-Identifier: Apache-2.0
// Which alerts the calls of an account may raise, as of a partition's record clock: by the rules in force there, and by what was said
// of the account before (clock - rules.lead). Ladders and allowances are made once for all that they hold for, and kept until
// something new is known.
//
// A **change** of an account is a record clock from which on its rows may be others: a rules version takes effect, or something that was
// said of the account does (stamp + rules.lead). Alerts that a change made due, not a call, follow from the log alone:
//
//	The change comes with the first record of the account's partition whose clock has reached it. Every counter of a month that is open
//	at the change (close(month) > change) is seen then as the calls before that record left it, by the rows that hold at the change.
//	What it has reached of them, and what was never raised, is due, with the change's time. Several changes that come with one record
//	are each looked at so, one after the other, before that record counts.
//
// Who looks, the worker or the closer, and when, makes no difference (store/meterd.lua, "Looks"). A month that is closed at a change
// keeps the terms that it had: what it took of packs does not change any more (contracts and packs; not a price book that says otherwise
// of its free calls). Late calls take from packs in bills only.
//
// @thread owned by the worker.
#ifndef PLANS_PLANS_H
#define PLANS_PLANS_H

#include "journal/journal.h"
#include "ladder/allowance.h"
#include "model/commit.h"

struct plan_row {                        // of one account, service and month
	const struct ladder *plain, *first;      // as in a counter; NULL: nothing to reach, or the allowance has it
	const struct allowance *allowance;       // NULL: the service shares nothing
	uint32_t month, service;                 // its place there
	int scope;                               // of its holder
	int64_t change_ms;                       // the account's last one at this clock; INT64_MIN: none
	bool changes_later;                      // something was said of the account that holds behind this clock only
};

struct plans;
struct plans *plans_new(void);
void plans_freep(struct plans **p);
// What is known from here on; `book` may be NULL. Rows that were handed out must not be used any more.
void plans_know(struct plans *p, const struct journal *j, const struct account_book *book);
// Of a service by its index in the newest catalog. Valid until plans_know. Hot: the last answers are found by one comparison.
struct plan_row plans_row(struct plans *p, const struct journal_rules *rules, int64_t clock_ms, struct span account, uint32_t service,
			  int month);
// The account's last change at a record clock; INT64_MIN: none.
int64_t plans_change(const struct plans *p, int64_t clock_ms, struct span account);
// What its counters are weighed by at that change. Valid until plans_know.
const struct look_terms *plans_look(struct plans *p, int64_t change_ms, struct span account);
// Those of all its changes in (since_ms, upto_ms], ascending; `*ret` lies in the arena.
uint32_t plans_looks(struct plans *p, int64_t since_ms, int64_t upto_ms, struct span account, struct arena *arena,
		     const struct look_terms *const **ret);
// Over the limit: of each account with packs there are others every month. plans_know, with what is known already, drops them all.
enum { PLANS_ROWS_MOST = 4 << 20 };
bool plans_full(const struct plans *p);
bool plans_watched(const struct plans *p, struct span account); // something was said of it

// The first record clock later than `clock_ms` (TIME_NONE: none yet) at which rows may change, or begin to speak of another month;
// INT64_MAX: none.
int64_t plans_next_turn(const struct plans *p, const struct journal_rules *rules, int64_t clock_ms);
// Calls `fn` for each account whose rows change while the clock moves from `clock_ms` to `to_ms`; until it returns true.
typedef bool plans_account_fn(void *ctx, struct span account);
bool plans_turning(const struct plans *p, const struct journal_rules *rules, int64_t clock_ms, int64_t to_ms, plans_account_fn *fn, void *ctx);

#endif
