// SPDX-License-Identifier: Apache-2.0
// What another version of the rules would change, for people: what an event is (in force by the record clock, after rules.lead), and
// what a month costs. Pure. Whether it may follow is another question (rules/change.h).
#ifndef RULES_DIFFER_H
#define RULES_DIFFER_H

#include "base/arena.h"
#include "rules/rules.h"

enum rules_aspect {
	RULES_PRICE, RULES_FREE, RULES_SHARED, // by month: price, own free calls, shared free calls
	RULES_EVENT,                           // what an event is: by record clock
	RULES_OTHER,                           // how bills are written, names, what may never change
};
struct rules_difference {
	enum rules_aspect aspect;
	const char *what;          // "price", "free calls", "alias", "billable codes", "rules.lead", …
	const char *service;       // NULL: of all
	int month, until;          // MONTH_NONE: not by month; otherwise the first month, and the first that is alike again (MONTH_NONE: for ever)
	const char *before, *after; // NULL: nothing there
};
struct rules_differences {
	struct arena arena;        // owns the texts
	uint32_t n, size;
	struct rules_difference *list;
};
// Months before `first` are not looked at: they are settled.
void rules_differ(const struct rules *from, const struct rules *to, int first, struct rules_differences *ret);
void rules_differences_free(struct rules_differences *d);
// "volume per 1000: 2.5, 2.2 from 1000000"; "free of charge" for NULL. Lies in the arena, as the next one does.
const char *rules_plan_text(const struct plan *p, struct arena *arena);
// "10000, warning at 0.8 of it, first month: immediate"; "none" for 0 calls.
const char *rules_quota_text(int64_t calls, int64_t warn_micro, enum first_month first, struct arena *arena);

#endif
