// SPDX-License-Identifier: Apache-2.0
// Whom other rules would concern: accounts with calls in open months, those whose contract decides instead of the price list, and alerts
// that would be due at once. Pure: what it is given decides.
//
// Alerts of an account's packs and shared free calls are not foreseen (the store works them out in the commit): they are counted as
// passed over.
#ifndef TOOLS_RULES_EFFECT_H
#define TOOLS_RULES_EFFECT_H

#include "ladder/ladder.h"
#include "rules/differ.h"
#include "tools/state.h"

// The earliest month with calls of an account, up to `month`; false: it cannot be told now.
typedef bool effect_since_fn(void *ctx, const char *account, int month, int *ret);
struct effect_scope {
	const struct catalog *from, *to;
	const struct account_book *book;       // NULL: nothing was said of anybody
	const struct usage_counters *counters; // by account
	int settled;                           // newest settled month, MONTH_NONE
	effect_since_fn *since;
	void *ctx;
};

enum { EFFECT_NAMES = 5, EFFECT_TEXT = 512 };
struct effect_names {
	int64_t n;
	char text[EFFECT_TEXT]; // the first ones
};
struct effect {
	struct effect_names touched;     // accounts whose terms change
	int64_t calls;                   // theirs
	struct effect_names by_contract; // "account (contract/version)": accounts with calls whose contract decides instead
};
// Of a difference by month.
void effect_of(const struct effect_scope *s, const struct rules_difference *d, struct effect *ret);

struct effect_alert {
	const char *service;             // of a counter
	int month;
	enum alert_kind kind;
	int64_t bound;
	struct effect_names accounts;
};
struct effect_alerts {
	uint32_t n, size;
	struct effect_alert *list;       // by month, service, bound
	int64_t passed_over;             // counters
};
// Bounds that the counters have reached on the new ladders and not on those of now. False where `since` fails.
bool effect_alerts(const struct effect_scope *s, struct effect_alerts *ret);
void effect_alerts_free(struct effect_alerts *a);

#endif
