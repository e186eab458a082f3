// SPDX-License-Identifier: Apache-2.0
// Who takes what: free calls first, then packs, then the bill (pricing.md, rules 5 and 6). Of one account, month after month.
//
// Services are taken in the order given (that of the price book). Each takes from its own quota, then from the quota it shares,
// then from the packs that cover it in the month, in their order; what is left is billable. Adding calls never makes any
// billable count, or what was taken of a quota or a pack, smaller (so each bound is crossed once, by one call).
//
// store/meterd.lua does the same to find the crossing call; a test holds the two against each other.
#ifndef RATING_DEDUCT_H
#define RATING_DEDUCT_H

#include <stdbool.h>
#include <stdint.h>

struct deduct_service {
	int64_t calls, quota;    // quota: own free calls
	int shared;              // index of the shared quota, -1: none
	uint32_t n_packs;
	const uint32_t *packs;   // indexes of packs that cover it in this month, in order of deduction
	int64_t *pack_calls;     // out, n_packs: what each gave
	int64_t free, billable;  // out
};

// left[]: what shared quotas and packs still hold; both are moved on.
void deduct_month(struct deduct_service *services, uint32_t n, int64_t *shared_left, int64_t *pack_left);
// The same for `more` calls of one service that come on top of a deduction that stands (late calls, rule 12): what was charged stays
// charged. `before` is the service as settled; the quota holds for both together. out: what the additional calls took.
struct deduct_more {
	int64_t free, billable;
	int64_t *pack_calls;     // room for s->n_packs
};
void deduct_late(const struct deduct_service *before, int64_t more, int64_t *shared_left, int64_t *pack_left, struct deduct_more *ret);

#endif
