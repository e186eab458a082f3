// SPDX-License-Identifier: Apache-2.0
// From calls to money: pricing.md, section 2. Pure; integers only; every overflow is an error and nothing else.
//
// The count that picks the tier is all calls or the billable ones (tier_basis). What it picks, by model:
//   volume     the tier reached prices all billable calls
//   flat       the same with one tier, shown as a slice
//   package    the tier reached prices all started blocks of billable calls
//   graduated  each tier prices the billable calls that lie between its bound and the next one. By total, the calls of a month
//              stand in a row: free ones, those of packs, billable ones. By billable, the billable ones begin at 0. A slice is
//              as long as the distance of its bounds, whichever side they belong to.
// A tier's fee is due once the count reaches the tier (graduated: each tier reached, else the tier reached). A count of 0 reaches
// none, unless the plan says fee_at_zero.
#ifndef RATING_RATING_H
#define RATING_RATING_H

#include "catalog/catalog.h"

struct rating_pack {       // a prepaid pack as it stands before this month's deduction, in order of deduction
	struct span id;
	int64_t left;
};

struct rating_slice {      // graduated, flat, package: one per tier that has calls or a fee; their amounts sum to `exact`
	uint32_t tier;     // from 0
	int64_t calls;     // calls, or blocks for packages
	int64_t price_micro;
	amount_pico amount; // with the tier's fee
};

enum { RATING_MAX_PACKS = 64, RATING_MAX_SLICES = 1024 };

struct bill {
	int64_t calls, free, billable;         // calls = free + sum of pack_calls + billable
	uint32_t n_packs;
	int64_t pack_calls[RATING_MAX_PACKS];  // what each pack gave
	uint32_t tier;                         // reached, from 0; volume: the tier that prices all; without calls 0
	int64_t unit_price_micro;              // of that tier
	amount_pico exact;
	int64_t charge_fen;
	uint32_t n_slices;                     // 0 for volume
	struct rating_slice *slices;           // owned by the caller's buffer, see rating_bill
};

// Bill of `calls` counted calls in one month. `quota`: free calls that hold for this account and month (usually plan->quota).
// `slices`: room for RATING_MAX_SLICES, may be NULL for volume. False on overflow; then *ret is untouched.
bool rating_bill(const struct plan *plan, int64_t quota, int64_t calls, const struct rating_pack *packs, uint32_t n_packs,
		 enum rounding rounding, struct rating_slice *slices, struct bill *ret);

// The same where it is known what quotas and packs took (rating/deduct.h): calls = free + packs + billable.
bool rating_charge(const struct plan *plan, int64_t calls, int64_t free, int64_t billable, enum rounding rounding, struct rating_slice *slices,
		   struct bill *ret);

// The freeze for the next month out of this month's figures (rule 10): list prices of `list` (the plan without contract).
bool rating_freeze(const struct plan *list, enum freeze_basis basis, int64_t ratio_micro, const struct bill *bill,
		   enum rounding rounding, int64_t *ret_fen);

// Index of the tier that holds `count`, by the plan's bounds.
uint32_t rating_tier(const struct plan *plan, int64_t count);

#endif
