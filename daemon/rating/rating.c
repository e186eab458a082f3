// SPDX-License-Identifier: Apache-2.0
// The arithmetic of a bill. Owns nothing; refuses whatever does not fit its integers.
#include "rating/rating.h"

#include "base/check.h"

#define PICO_PER_MICRO 1000000

uint32_t rating_tier(const struct plan *plan, int64_t count)
{
	uint32_t low = 0, high = plan->n_tiers; // the tier lies in [low, high)
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;
		int64_t bound = plan->tiers[mid].bound;
		if (plan->bounds == BOUNDS_LOWER_INCLUSIVE ? bound <= count : bound < count)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static int64_t started_blocks(int64_t calls, int64_t package)
{
	check(package >= 1);
	return calls / package + (calls % package != 0);
}

// The count that picks the tier: rule 4.
static int64_t tier_count(const struct plan *plan, const struct bill *b)
{
	return plan->tier_basis == TIER_BY_TOTAL ? b->calls : b->billable;
}

// Rules 5 and 6: the quota first, then packs in the given order.
static void deduct(struct bill *b, int64_t quota, const struct rating_pack *packs, uint32_t n_packs)
{
	b->free = b->calls < quota ? b->calls : quota;
	b->billable = b->calls - b->free;
	b->n_packs = n_packs;
	for (uint32_t i = 0; i < n_packs; i++) {
		check(packs[i].left >= 0);
		b->pack_calls[i] = b->billable < packs[i].left ? b->billable : packs[i].left;
		b->billable -= b->pack_calls[i];
	}
}

static amount_pico fee(const struct price_tier *t)
{
	return (amount_pico)t->flat_micro * PICO_PER_MICRO;
}

// Volume, flat and package: the tier reached prices all.
static bool rate_at_tier(const struct plan *plan, bool fee_due, struct bill *b)
{
	const struct price_tier *t = &plan->tiers[b->tier];
	int64_t units = plan->model == MODEL_PACKAGE ? started_blocks(b->billable, plan->package) : b->billable;
	amount_pico amount;
	if (!money_of_calls(t->price_micro, plan->per, units, &amount) ||
	    __builtin_add_overflow(amount, fee_due ? fee(t) : 0, &b->exact))
		return false;
	if (plan->model != MODEL_VOLUME && (units > 0 || b->exact != 0))
		b->slices[b->n_slices++] = (struct rating_slice){ b->tier, units, t->price_micro, b->exact };
	return true;
}

static int64_t overlap(int64_t a_low, int64_t a_high, int64_t b_low, int64_t b_high)
{
	int64_t low = a_low > b_low ? a_low : b_low, high = a_high < b_high ? a_high : b_high;
	return high > low ? high - low : 0;
}

static bool rate_graduated(const struct plan *plan, bool fee_due, struct bill *b)
{
	int64_t first = plan->tier_basis == TIER_BY_TOTAL ? b->calls - b->billable : 0; // where billable calls begin
	int64_t end = first + b->billable;
	for (uint32_t i = 0; i < plan->n_tiers; i++) {
		const struct price_tier *t = &plan->tiers[i];
		int64_t calls = overlap(first, end, t->bound, i + 1 < plan->n_tiers ? t[1].bound : INT64_MAX);
		amount_pico amount, due = fee_due && i <= b->tier ? fee(t) : 0;
		if (!money_of_calls(t->price_micro, plan->per, calls, &amount) || __builtin_add_overflow(amount, due, &amount) ||
		    __builtin_add_overflow(b->exact, amount, &b->exact))
			return false;
		if (calls > 0 || due != 0)
			b->slices[b->n_slices++] = (struct rating_slice){ i, calls, t->price_micro, amount };
	}
	return true;
}

static bool rate(const struct plan *plan, enum rounding rounding, struct bill *b)
{
	check(plan->n_tiers >= 1 && plan->n_tiers <= RATING_MAX_SLICES && plan->tiers[0].bound == 0);
	check(b->slices != NULL || plan->model == MODEL_VOLUME);
	check(plan->model != MODEL_PACKAGE || plan->per == 1);
	int64_t count = tier_count(plan, b);
	b->tier = rating_tier(plan, count);
	b->unit_price_micro = plan->tiers[b->tier].price_micro;
	bool fee_due = count > 0 || plan->fee_at_zero;
	return (plan->model == MODEL_GRADUATED ? rate_graduated(plan, fee_due, b) : rate_at_tier(plan, fee_due, b)) &&
	       money_round_fen(b->exact, rounding, &b->charge_fen);
}

bool rating_bill(const struct plan *plan, int64_t quota, int64_t calls, const struct rating_pack *packs, uint32_t n_packs,
		 enum rounding rounding, struct rating_slice *slices, struct bill *ret)
{
	check(quota >= 0 && calls >= 0 && n_packs <= RATING_MAX_PACKS);
	struct bill b = { .calls = calls, .slices = slices };
	deduct(&b, quota, packs, n_packs);
	if (!rate(plan, rounding, &b))
		return false;
	*ret = b;
	return true;
}

bool rating_charge(const struct plan *plan, int64_t calls, int64_t free, int64_t billable, enum rounding rounding, struct rating_slice *slices,
		   struct bill *ret)
{
	check(free >= 0 && billable >= 0 && calls >= 0 && free <= calls && billable <= calls - free);
	struct bill b = { .calls = calls, .free = free, .billable = billable, .slices = slices };
	if (!rate(plan, rounding, &b))
		return false;
	*ret = b;
	return true;
}

bool rating_freeze(const struct plan *list, enum freeze_basis basis, int64_t ratio_micro, const struct bill *bill,
		   enum rounding rounding, int64_t *ret_fen)
{
	check(ratio_micro >= 0);
	amount_pico amount = bill->exact;
	if (basis != FREEZE_BILL) {
		uint32_t tier = rating_tier(list, tier_count(list, bill));
		int64_t calls = basis == FREEZE_LIST ? bill->calls : bill->billable;
		int64_t units = list->model == MODEL_PACKAGE ? started_blocks(calls, list->package) : calls;
		if (!money_of_calls(list->tiers[tier].price_micro, list->per, units, &amount))
			return false;
	}
	return money_round_share_fen(amount, ratio_micro, rounding, ret_fen);
}
