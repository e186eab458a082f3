// SPDX-License-Identifier: Apache-2.0
// A ladder: the sorted bounds of a counter, each with the alert that reaching it raises (pricing.md, section 4). Pure.
//
// A bound has two numbers: `at`, the total of the counter at which it fires (total >= at, and it was < at before), and
// `bound`, the figure of the price list, which goes into the alert's id and its `threshold`. They differ where the tier is
// picked by billable calls (at = bound + quota), and with upper-inclusive bounds (at = bound + 1).
#ifndef LADDER_LADDER_H
#define LADDER_LADDER_H

#include <stdint.h>

#include "catalog/catalog.h"

enum alert_kind {
#define ALERT(id, text, help) ALERT_##id,
#include "tbl/alert.def"
#undef ALERT
	ALERT_KINDS
};
const char *alert_kind_text(enum alert_kind k); // "tier.crossed"

struct rung {
	int64_t at, bound;
	enum alert_kind kind;
	int32_t tier; // ALERT_TIER_CROSSED: index of the tier entered (from 0); else -1
};

enum { LADDER_MAX = 2048 };

struct ladder {
	uint32_t n;
	struct rung *rungs; // by at, then quota before tier; at >= 1
};

// The ladder of a plan; `quota` is what holds for this account and month (0 in the month of activation with first_month: next).
struct ladder *ladder_of_plan(const struct plan *plan, int64_t quota);
void ladder_freep(struct ladder **l);
// First rung with at > total: what the counter has yet to reach; l->n when there is none.
uint32_t ladder_next(const struct ladder *l, int64_t total);

#endif
