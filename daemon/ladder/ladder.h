// SPDX-License-Identifier: Apache-2.0
// A ladder: the sorted bounds of a counter, each with the alert that reaching it raises (pricing.md, section 4). Pure.
//
// A bound has two numbers: `at`, the total of the counter at which it fires (total >= at, and it was < at before), and
// `bound`, the figure of the price list, which goes into the alert's id and its `threshold`. They differ where the tier is
// picked by billable calls (at = bound + quota), and with upper-inclusive bounds (at = bound + 1).
#ifndef LADDER_LADDER_H
#define LADDER_LADDER_H

#include <stdint.h>

#include "terms/terms.h"

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

// Where a ladder comes from: what alerts are rendered with, and what made them due where no call did.
struct ladder_origin {
	int64_t rules_version;
	struct span contract; // "id/version"; n 0: the price list
	struct span cause;    // the last change that shaped it, in words; n 0: none since the beginning
	int64_t cause_ms;     // when it took effect (record clock); 0 without a cause
};

struct ladder {
	struct ladder_origin origin;
	uint32_t n;
	struct rung *rungs; // by at, then quota before tier; at >= 1
};

// The ladder of a plan; `quota` is what holds for this account and month (0 in the month of activation with first_month: next),
// `warn_micro` the share of it that warns.
struct ladder *ladder_of_plan(const struct plan *plan, int64_t quota, int64_t warn_micro);
// ceil(share × calls): the count at which a share of `calls` is used.
int64_t ladder_share(int64_t share_micro, int64_t calls);
void ladder_freep(struct ladder **l);
// First rung with at > total: what the counter has yet to reach; l->n when there is none.
uint32_t ladder_next(const struct ladder *l, int64_t total);

#endif
