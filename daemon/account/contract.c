// SPDX-License-Identifier: Apache-2.0
// A contract: what an account pays from a month on, service by service. Prices are judged where those of the price book are.
#include <stdlib.h>

#include "account/inner.h"
#include "base/check.h"
#include "catalog/price.h"

// --- prices -------------------------------------------------------------------------------------------------------------

static void price_flaw(void *ctx, enum price_place place, uint32_t tier, const char *text)
{
	struct record_reader *r = ctx;
	char at[64];
	if (r->fault->detail[0] != '\0')
		return; // the first is told
	snprintf(at, sizeof(at), place == PRICE_PER ? "per" : place == PRICE_TIER_LIST ? "tiers" : place == PRICE_TIER ? "tiers[%u]" :
		 place == PRICE_TIER_FROM ? "tiers[%u].from" : "tiers[%u].to", tier);
	record_fault(r, ACCOUNT_FAULT_PRICE_INVALID, place == PRICE_ENTRY ? NULL : at, "%s", text);
}

static bool read_tier(struct record_reader *r, const json_t *v, struct price_tier *t, int64_t *end)
{
	static const char *const known[] = { "from", "to", "price", "fee", NULL };
	*end = -1;
	return record_is(r, NULL, v, JSON_OBJECT) && record_known(r, v, known) && record_number(r, v, "from", 0, INT64_MAX, &t->bound) &&
	       (!record_has(v, "to") || record_number(r, v, "to", 1, INT64_MAX, end)) && record_price(r, v, "price", &t->price_micro) &&
	       (!record_has(v, "fee") || record_price(r, v, "fee", &t->flat_micro));
}

static bool read_tiers(struct record_reader *r, const json_t *list, const struct price_judge *judge, struct plan *p)
{
	if (!record_is(r, "tiers", list, JSON_ARRAY) || !price_judge_count(judge, p->model, (uint32_t)json_array_size(list)))
		return false;
	uint32_t n = (uint32_t)json_array_size(list);
	struct price_tier *tiers = arena_alloc(r->arena, n * sizeof(*tiers));
	CLEANUP(freep) int64_t *ends = xcalloc(n, sizeof(*ends));
	memset(tiers, 0, n * sizeof(*tiers));
	size_t before = record_enter(r, "tiers");
	for (uint32_t i = 0; i < n; i++) {
		size_t list_at = record_enter_item(r, i);
		if (!read_tier(r, json_array_get(list, i), &tiers[i], &ends[i]))
			return false;
		record_leave(r, list_at);
	}
	record_leave(r, before);
	p->tiers = tiers;
	p->n_tiers = n;
	return price_judge_tiers(judge, tiers, ends, n);
}

static bool read_one_price(struct record_reader *r, const json_t *object, struct plan *p)
{
	struct price_tier *t = arena_alloc(r->arena, sizeof(*t));
	*t = (struct price_tier){ 0 };
	p->tiers = t;
	p->n_tiers = 1;
	return record_price(r, object, "price", &t->price_micro);
}

static bool read_amounts(struct record_reader *r, const json_t *object, struct plan *p)
{
	const struct price_judge judge = { price_flaw, r };
	const json_t *tiers;
	if (!record_field(r, object, "tiers", false, &tiers))
		return false;
	if (tiers != NULL && record_has(object, "price"))
		return record_fault(r, ACCOUNT_FAULT_FIELD_CONFLICT, NULL, "both `price` and `tiers`: keep one of them");
	if (tiers == NULL && !record_has(object, "price"))
		return record_fault(r, ACCOUNT_FAULT_FIELD_MISSING, NULL, "neither `tiers` nor `price`: say what the calls cost");
	return (tiers != NULL ? read_tiers(r, tiers, &judge, p) : read_one_price(r, object, p)) && price_judge_not_free(&judge, p);
}

static bool read_per(struct record_reader *r, const json_t *object, struct plan *p)
{
	const struct price_judge judge = { price_flaw, r };
	p->per = 1;
	if (p->model == MODEL_PACKAGE && record_has(object, "per"))
		return record_fault(r, ACCOUNT_FAULT_FIELD_CONFLICT, NULL, "model package has its price per block: remove `per`");
	if (p->model == MODEL_PACKAGE)
		return record_number(r, object, "package", 1, ACCOUNT_NUMBER_MOST, &p->package);
	if (record_has(object, "package"))
		return record_fault(r, ACCOUNT_FAULT_FIELD_CONFLICT, NULL, "only model package has blocks: remove `package`");
	return record_number(r, object, "per", 1, INT64_MAX, &p->per) && price_judge_per(&judge, p->per);
}

static bool read_switches(struct record_reader *r, const json_t *object, struct plan *p)
{
	int bounds = BOUNDS_LOWER_INCLUSIVE, basis = TIER_BY_TOTAL;
	if (!record_choice(r, object, "bounds", words_bounds, &bounds) || !record_choice(r, object, "tier_basis", words_tier_bases, &basis) ||
	    !record_bool(r, object, "fee_at_zero", &p->fee_at_zero))
		return false;
	p->bounds = (enum bounds)bounds;
	p->tier_basis = (enum tier_basis)basis;
	return true;
}

bool record_prices(struct record_reader *r, const json_t *v, const char *const *known, struct plan *ret, bool *ret_zero)
{
	static const char *const of_free[] = { "model", NULL };
	const json_t *unused;
	int model = 0;
	if (!record_is(r, NULL, v, JSON_OBJECT) || !record_known(r, v, known) || !record_field(r, v, "model", true, &unused) ||
	    !record_choice(r, v, "model", words_models, &model))
		return false;
	*ret_zero = model == MODEL_WORD_FREE;
	if (*ret_zero)
		return json_object_size(v) == 1 || record_known(r, v, of_free);
	ret->model = (enum pricing_model)model;
	return read_per(r, v, ret) && read_switches(r, v, ret) && read_amounts(r, v, ret);
}

static bool read_prices(struct record_reader *r, const json_t *v, struct contract_service *s)
{
	static const char *const known[] = { "model", "per", "package", "bounds", "tier_basis", "fee_at_zero", "tiers", "price", NULL };
	s->has_prices = true;
	return record_prices(r, v, known, &s->plan, &s->at_zero);
}

// --- an entry -----------------------------------------------------------------------------------------------------------

static bool read_free(struct record_reader *r, const json_t *v, struct contract_service *s)
{
	static const char *const known[] = { "calls", "warn", "first_month", NULL };
	int first = FIRST_MONTH_IMMEDIATE;
	if (!record_is(r, NULL, v, JSON_OBJECT) || !record_known(r, v, known) || !record_number(r, v, "calls", 0, ACCOUNT_NUMBER_MOST, &s->quota) ||
	    !record_warn(r, v, &s->warn_micro) || !record_choice(r, v, "first_month", words_first_months, &first))
		return false;
	s->has_free = true;
	s->first_month = (enum first_month)first;
	return true;
}

static bool read_below(struct record_reader *r, const json_t *object, const char *name, struct contract_service *s,
		       bool (*read)(struct record_reader *, const json_t *, struct contract_service *))
{
	const json_t *v;
	if (!record_field(r, object, name, false, &v))
		return false;
	size_t before = record_enter(r, name);
	if (v != NULL && !read(r, v, s))
		return false;
	record_leave(r, before);
	return true;
}

static bool read_entry(struct record_reader *r, const json_t *v, struct contract_service *s)
{
	static const char *const known[] = { "service", "prices", "free", "tier_basis", NULL };
	int basis = 0;
	if (!record_is(r, NULL, v, JSON_OBJECT) || !record_known(r, v, known) || !record_name(r, v, "service", "._-", &s->service) ||
	    !read_below(r, v, "prices", s, read_prices) || !read_below(r, v, "free", s, read_free) ||
	    !record_choice(r, v, "tier_basis", words_tier_bases, &basis))
		return false;
	s->has_basis = record_has(v, "tier_basis");
	s->tier_basis = (enum tier_basis)basis;
	if (s->has_basis && s->has_prices)
		return record_fault(r, ACCOUNT_FAULT_FIELD_CONFLICT, NULL, "`tier_basis` beside `prices`: write it inside `prices`");
	if (s->at_zero && s->has_free)
		return record_fault(r, ACCOUNT_FAULT_FIELD_CONFLICT, NULL, "`free` beside model free: calls at price 0 take no free calls");
	return s->has_prices || s->has_free || s->has_basis || record_fault(r, ACCOUNT_FAULT_SAYS_NOTHING, NULL, "service `%.*s`", (int)s->service.n, s->service.p);
}

static bool read_services(struct record_reader *r, const json_t *list, struct account_fact *ret)
{
	size_t n = json_array_size(list);
	if (n > ACCOUNT_CONTRACT_SERVICES)
		return record_fault(r, ACCOUNT_FAULT_SERVICES_COUNT, NULL, "%zu services", n);
	struct contract_service *s = arena_alloc(r->arena, n * sizeof(*s));
	CLEANUP(freep) struct span *names = xcalloc(n, sizeof(*names));
	memset(s, 0, n * sizeof(*s));
	for (size_t i = 0; i < n; i++) {
		size_t before = record_enter_item(r, i);
		if (!read_entry(r, json_array_get(list, i), &s[i]))
			return false;
		record_leave(r, before);
		names[i] = s[i].service;
	}
	ret->services = s;
	ret->n_services = (uint32_t)n;
	return record_all_differ(r, names, (uint32_t)n);
}

bool record_contract(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	const json_t *services;
	ret->until_month = MONTH_NONE;
	if (!record_month(r, object, "from", &ret->from_month) ||
	    (record_has(object, "until") && !record_month(r, object, "until", &ret->until_month)))
		return false;
	if (ret->until_month != MONTH_NONE && ret->until_month <= ret->from_month)
		return record_fault(r, ACCOUNT_FAULT_ORDER, "until", "not later than `from`");
	if (!record_field(r, object, "services", true, &services) || !record_is(r, "services", services, JSON_ARRAY))
		return false;
	record_enter(r, "services");
	return read_services(r, services, ret);
}
