// SPDX-License-Identifier: Apache-2.0
// The price on paper: which tier, what each slice costs, and what the price list says where a contract decides.
#include <string.h>

#include "tools/paper_inner.h"

// A sentence as text, for use inside another one.
static const char *words(char buf[PAPER_WORDS], enum paper_lang lang, enum paper_text id, const char *const *args, uint32_t n)
{
	FILE *f = fmemopen(buf, PAPER_WORDS, "w");
	check(f != NULL);
	paper_put(f, lang, id, args, n);
	fclose(f);
	buf[PAPER_WORDS - 1] = '\0';
	return buf;
}

const char *paper_range(const struct paper *p, const struct plan *plan, uint32_t tier, char buf[PAPER_WORDS])
{
	bool upper = plan->bounds == BOUNDS_UPPER_INCLUSIVE, last = tier + 1 == plan->n_tiers;
	const char *hi = last ? paper_sentence(p->lang, PAPER_NO_END) : COUNT(plan->tiers[tier + 1].bound);
	snprintf(buf, PAPER_WORDS, "%s%s, %s%s", upper ? "(" : "[", COUNT(plan->tiers[tier].bound), hi, upper && !last ? "]" : ")");
	return buf;
}

const char *paper_price_words(const struct paper *p, int64_t price_micro, int64_t per, char buf[PAPER_WORDS])
{
	return words(buf, p->lang, per == 1 ? PAPER_PRICE_EACH : PAPER_PRICE_PER, PAPER_ARGS(PRICE(price_micro), p->currency, COUNT(per)));
}

// Behind "tier 2": its range, where it is known.
static const char *behind_tier(const struct paper *p, const struct plan *plan, uint32_t tier, char buf[PAPER_WORDS])
{
	char range[PAPER_WORDS];
	buf[0] = '\0';
	if (plan != NULL && tier < plan->n_tiers)
		words(buf, p->lang, PAPER_RANGE, PAPER_ARGS(paper_range(p, plan, tier, range)));
	return buf;
}

static void write_tier(struct paper_writer *w)
{
	const struct paper *p = w->p;
	bool total = p->tier_basis == TIER_BY_TOTAL;
	int64_t count = total ? p->calls : p->billable;
	char range[PAPER_WORDS], price[PAPER_WORDS];
	paper_step_(w, total ? PAPER_TIER_BY_TOTAL : PAPER_TIER_BY_BILLABLE, PAPER_ARGS(COUNT(count)));
	paper_line(w, TIER, COUNT(p->tier + 1), behind_tier(p, p->plan, p->tier, range), paper_price_words(p, p->price_micro, p->per, price));
	if (p->plan == NULL)
		return;
	uint32_t tier = rating_tier(p->plan, count);
	paper_must_be(w, tier == p->tier, PAPER_IS_TIER, COUNT(tier + 1), COUNT(p->tier + 1));
	paper_must_be(w, p->plan->tiers[tier].price_micro == p->price_micro && p->plan->per == p->per, PAPER_IS_PRICE,
		      PRICE(p->plan->tiers[tier].price_micro), PRICE(p->price_micro));
}

static amount_pico fee_of(const struct plan *plan, uint32_t tier)
{
	return plan != NULL && tier < plan->n_tiers ? (amount_pico)plan->tiers[tier].flat_micro * 1000000 : 0;
}

void paper_product(struct paper_writer *w, int64_t units, bool blocks, int64_t price_micro, int64_t per, amount_pico product)
{
	const char *amount = AMOUNT(product), *price = PRICE(price_micro);
	if (per != 1)
		paper_line(w, PRODUCT_PER, COUNT(units), price, amount, w->p->currency, COUNT(per));
	else
		paper_line_(w, blocks ? PAPER_PRODUCT_BLOCKS : PAPER_PRODUCT_CALLS, PAPER_ARGS(COUNT(units), price, amount, w->p->currency));
}

// One multiplication, with the tier's fee behind it. `total` is what the settlement has for it.
static void write_product(struct paper_writer *w, uint32_t tier, int64_t units, int64_t price_micro, amount_pico total)
{
	const struct paper *p = w->p;
	amount_pico product, due = fee_of(p->plan, tier);
	if (!money_of_calls(price_micro, p->per, units, &product)) {
		paper_must_be(w, false, PAPER_IS_PRODUCT, paper_sentence(p->lang, PAPER_BEYOND), AMOUNT(total));
		return;
	}
	paper_product(w, units, p->plan != NULL && p->plan->model == MODEL_PACKAGE, price_micro, p->per, product);
	if (product != total && due != 0 && product + due == total) {
		paper_line(w, FEE, COUNT(tier + 1), AMOUNT(product), AMOUNT(due), AMOUNT(total), p->currency);
		return;
	}
	paper_must_be(w, product == total, PAPER_IS_AMOUNT, AMOUNT(product), AMOUNT(total));
	if (p->plan == NULL && total > product)
		paper_line(w, FEE_UNKNOWN);
}

// Where in the tiers the billable calls stand (pricing.md, rule 1), unless there are no others.
static void write_row(struct paper_writer *w)
{
	const struct paper *p = w->p;
	if (p->plan == NULL || p->plan->model != MODEL_GRADUATED || p->billable <= 0 || p->billable >= p->calls)
		return;
	if (p->tier_basis == TIER_BY_TOTAL)
		paper_line(w, GRADUATED_TOTAL, COUNT(p->calls - p->billable + 1), COUNT(p->calls));
	else
		paper_line(w, GRADUATED_BILLABLE, COUNT(p->billable));
}

static void write_slices(struct paper_writer *w)
{
	const struct paper *p = w->p;
	amount_pico sum = 0;
	char range[PAPER_WORDS];
	enum paper_text how = p->plan == NULL ? PAPER_SLICES : p->plan->model == MODEL_GRADUATED ? PAPER_GRADUATED :
		p->plan->model == MODEL_PACKAGE ? PAPER_PACKAGE : PAPER_FLAT;
	paper_step_(w, how, PAPER_ARGS());
	if (how == PAPER_PACKAGE)
		paper_line(w, BLOCK, COUNT(p->plan->package), COUNT(p->billable));
	write_row(w);
	for (uint32_t i = 0; i < p->n_slices; i++) {
		const struct rating_slice *s = &p->slices[i];
		if (p->plan != NULL && p->plan->n_tiers > 1 && s->tier < p->plan->n_tiers)
			paper_line(w, TIER_OF, COUNT(s->tier + 1), paper_range(p, p->plan, s->tier, range));
		write_product(w, s->tier, s->calls, s->price_micro, s->amount);
		if (__builtin_add_overflow(sum, s->amount, &sum))
			sum = 0;
	}
	if (p->n_slices > 1)
		paper_line(w, TOGETHER, AMOUNT(sum), p->currency);
	if (p->n_slices == 0)
		paper_line(w, NOTHING_BILLABLE, p->currency);
	paper_must_be(w, sum == p->exact, PAPER_IS_SUM, AMOUNT(sum), AMOUNT(p->exact));
}

// What the price list makes of the same calls: it stays known, since the freeze uses it (pricing.md, rule 7).
static void write_list(struct paper_writer *w)
{
	const struct paper *p = w->p;
	const struct plan *list = p->list;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct bill b;
	char range[PAPER_WORDS], price[PAPER_WORDS];
	if (list == NULL) {
		paper_line(w, CONTRACT_LIST_ZERO);
		return;
	}
	if (list == p->plan)
		return;
	bool fits = rating_charge(list, p->calls, p->free, p->billable, p->rounding, slices, &b);
	uint32_t tier = rating_tier(list, list->tier_basis == TIER_BY_TOTAL ? p->calls : p->billable);
	paper_line(w, CONTRACT_LIST, COUNT(tier + 1), behind_tier(p, list, tier, range),
		   paper_price_words(p, list->tiers[tier].price_micro, list->per, price), fits ? AMOUNT(b.exact) : paper_sentence(p->lang, PAPER_BEYOND),
		   AMOUNT(p->exact));
}

void paper_price(struct paper_writer *w)
{
	const struct paper *p = w->p;
	if (p->free_month) {
		paper_step(w, PRICE_ZERO);
	} else if (p->sliced) {
		write_slices(w);
	} else {
		write_tier(w);
		paper_step(w, CHARGE_OF);
		write_product(w, p->tier, p->billable, p->price_micro, p->exact);
	}
	if (p->contract == NULL)
		return;
	paper_step(w, CONTRACT, p->contract);
	if (p->free >= 0 && p->billable >= 0 && p->free <= p->calls && p->billable <= p->calls - p->free)
		write_list(w);
}
