// SPDX-License-Identifier: Apache-2.0
// Who takes what: free calls first, then packs, then the bill (pricing.md, rules 5 and 6). Of one account, month after month.
//
// Services are taken in the order given (that of the price book). Each takes from its own quota, or from the one it shares,
// then from the packs that cover it in the month, in their order; what is left is billable. A service has free calls of its own or
// shares them, never both. Adding calls never makes any billable count, or what was taken in all of a quota or of a pack, smaller:
// so each bound is crossed once, by one call.
//
// store/meterd.lua does the same to find the crossing call; tests/table/deduct.table holds the two against each other.
#ifndef RATING_DEDUCT_H
#define RATING_DEDUCT_H

#include <stdbool.h>
#include <stdint.h>

struct deduct_service {
	int64_t calls, quota;    // quota: own free calls; 0 where it shares
	int shared;              // index of the shared quota, -1: none
	uint32_t n_packs;
	const uint32_t *packs;   // indexes of packs that cover it in this month, in order of deduction
	int64_t *pack_calls;     // out, n_packs: what each gave
	int64_t free, billable;  // out: calls = free + sum of pack_calls + billable
};

// left[]: what shared quotas and packs still hold; both are moved on.
void deduct_month(struct deduct_service *services, uint32_t n, int64_t *shared_left, int64_t *pack_left);

// A settled month of one service once more, with `more` late calls (rule 12). `s` stands as the newest revision has it (all zero where
// the month had none), but for its quota, which is what is now known to hold. Afterwards it is the corrected month:
//   packs     what they gave stays; of the calls that were charged none is covered later
//   quota     free calls are counted anew over all calls that no pack covered: a quota may have grown, since an earlier month of
//             activation came to light
//   the rest  additional billable calls take from what the packs have left now
// False where the calls do not fit 63 bits; then nothing is changed.
bool deduct_late(struct deduct_service *s, int64_t more, int64_t *shared_left, int64_t *pack_left);

#endif
