// SPDX-License-Identifier: Apache-2.0
#include "account/prices.h"

#include "account/inner.h"
#include "base/check.h"
#include "catalog/price.h"

static const struct price_tier zero_tier = { 0, 0, 0 };
const struct plan prices_zero_plan = { .model = MODEL_VOLUME, .per = 1000, .n_tiers = 1, .tiers = &zero_tier };

struct line_prices prices_of(const struct plan *plan, enum rounding rounding)
{
	return (struct line_prices){ plan == NULL, plan != NULL ? *plan : prices_zero_plan, rounding };
}

static bool plans_same(const struct plan *a, const struct plan *b)
{
	bool same = a->model == b->model && a->bounds == b->bounds && a->tier_basis == b->tier_basis && a->per == b->per && a->package == b->package &&
		    a->fee_at_zero == b->fee_at_zero && a->n_tiers == b->n_tiers;
	for (uint32_t i = 0; same && i < a->n_tiers; i++)
		same = a->tiers[i].bound == b->tiers[i].bound && a->tiers[i].price_micro == b->tiers[i].price_micro &&
		       a->tiers[i].flat_micro == b->tiers[i].flat_micro;
	return same;
}

bool prices_same(const struct line_prices *a, const struct line_prices *b)
{
	if (a == NULL || b == NULL || a->at_zero || b->at_zero)
		return a == b || (a != NULL && b != NULL && a->at_zero && b->at_zero);
	return a->rounding == b->rounding && plans_same(&a->plan, &b->plan);
}

const struct line_prices *prices_copy(const struct line_prices *p, struct arena *arena)
{
	if (p == NULL)
		return NULL;
	struct line_prices *copy = arena_alloc(arena, sizeof(*copy));
	struct price_tier *tiers = arena_alloc(arena, p->plan.n_tiers * sizeof(*tiers));
	memcpy(tiers, p->plan.tiers, p->plan.n_tiers * sizeof(*tiers));
	*copy = *p;
	copy->plan.tiers = tiers;
	return copy;
}

// ---- as JSON
static void write_tiers(struct writer *w, const struct plan *p)
{
	write_array(w, "tiers");
	for (uint32_t i = 0; i < p->n_tiers; i++) {
		write_object(w, NULL);
		write_integer(w, "from", p->tiers[i].bound);
		write_price(w, "price", p->tiers[i].price_micro);
		if (p->tiers[i].flat_micro != 0)
			write_price(w, "fee", p->tiers[i].flat_micro);
		write_object_end(w);
	}
	write_array_end(w);
}

void prices_write(struct writer *w, const char *key, const struct line_prices *p)
{
	write_object(w, key);
	write_text(w, "model", p->at_zero ? words_models[MODEL_WORD_FREE] : pricing_model_text(p->plan.model));
	if (!p->at_zero) {
		if (p->plan.model == MODEL_PACKAGE)
			write_integer(w, "package", p->plan.package);
		else
			write_integer(w, "per", p->plan.per);
		write_text(w, "bounds", bounds_text(p->plan.bounds));
		write_text(w, "tier_basis", tier_basis_text(p->plan.tier_basis));
		if (p->plan.fee_at_zero)
			write_true(w, "fee_at_zero");
		write_tiers(w, &p->plan);
		write_text(w, "rounding", rounding_text(p->rounding));
	}
	write_object_end(w);
}

static bool read(struct record_reader *r, const json_t *v, struct line_prices *ret)
{
	static const char *const known[] = { "model", "per", "package", "bounds", "tier_basis", "fee_at_zero", "tiers", "price", "rounding", NULL };
	const json_t *unused;
	int rounding = ROUND_HALF_UP;
	*ret = prices_of(NULL, ROUND_HALF_UP);
	struct plan plan = { .per = 1 };
	if (!record_prices(r, v, known, &plan, &ret->at_zero))
		return false;
	if (ret->at_zero)
		return true;
	ret->plan = plan;
	if (!record_field(r, v, "rounding", true, &unused) || !record_choice(r, v, "rounding", words_roundings, &rounding))
		return false;
	ret->rounding = (enum rounding)rounding;
	return true;
}

bool record_line_prices(struct record_reader *r, const json_t *object, const struct line_prices **ret)
{
	const json_t *v;
	*ret = NULL;
	if (!record_field(r, object, "prices", false, &v))
		return false;
	if (v == NULL)
		return true;
	struct line_prices *p = arena_alloc(r->arena, sizeof(*p));
	size_t before = record_enter(r, "prices");
	if (!read(r, v, p))
		return false;
	record_leave(r, before);
	*ret = p;
	return true;
}

bool prices_parse(const json_t *j, struct arena *arena, const struct line_prices **ret)
{
	struct account_fault fault = { 0 };
	struct record_reader r = { .arena = arena, .fault = &fault };
	*ret = NULL;
	if (j == NULL)
		return true;
	struct line_prices *p = arena_alloc(arena, sizeof(*p));
	if (!read(&r, j, p))
		return false;
	*ret = p;
	return true;
}
