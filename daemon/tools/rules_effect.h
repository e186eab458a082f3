// SPDX-License-Identifier: Apache-2.0
// Whom other rules would concern: accounts with calls in open months, those whose contract decides instead of the price list, and alerts
// that would be due at once. Pure: what it is given decides.
//
// Both price books are put to what the counters hold: ladders of services that stand alone, and what the account's packs and shared free
// calls would have given (rating/deduct.h, as the store does it). What is reached by the new one only would be due.
#ifndef TOOLS_RULES_EFFECT_H
#define TOOLS_RULES_EFFECT_H

#include "closing/kept.h"
#include "ladder/ladder.h"
#include "rules/differ.h"
#include "tools/state.h"

// The earliest month with calls of an account, up to `month`; false: it cannot be told now.
typedef bool effect_since_fn(void *ctx, const char *account, int month, int *ret);
// What its packs gave in settled months; false: it cannot be told now.
typedef bool effect_gave_fn(void *ctx, const char *account, struct arena *arena, struct balance *ret);
struct effect_scope {
	const struct catalog *from, *to;
	const struct account_book *book;       // NULL: nothing was said of anybody
	const struct usage_counters *counters; // by account
	int settled;                           // newest settled month, MONTH_NONE
	effect_since_fn *since;
	effect_gave_fn *gave;
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
	char *service;                   // or the id of shared free calls, or of a pack of several services: as the alert will have it
	char *pack;                      // NULL: not of a pack
	int month;                       // of a pack: the first one of its life, or the first open one
	enum alert_kind kind;
	int64_t bound;
	struct effect_names accounts;
};
struct effect_alerts {
	uint32_t n, size;
	struct effect_alert *list;       // by month, service, bound
};
// Bounds that the counters have reached by the new price book and not by that of now. False where `since` or `gave` fails.
bool effect_alerts(const struct effect_scope *s, struct effect_alerts *ret);
void effect_alerts_free(struct effect_alerts *a);

#endif
