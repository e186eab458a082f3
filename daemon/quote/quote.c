// SPDX-License-Identifier: Apache-2.0
#include "quote/quote.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "journal/json.h"

void quote_take(struct quote *q, const int64_t *calls, const int64_t *packs_left, bool activated, struct arena *arena)
{
	q->activation = activated || terms_activation(q->terms, MONTH_NONE);
	taking_make(q->terms, arena, &q->taking);
	taking_run(&q->taking, q->activation, calls, packs_left);
	q->taken = &q->taking.services[q->service];
}

bool quote_charge(const struct quote *q, const struct plan *plan, int64_t calls, struct rating_slice *slices, struct bill *ret)
{
	if (plan != NULL)
		return rating_charge(plan, calls, q->taken->free, q->taken->billable, catalog_rounding(q->book), slices, ret);
	*ret = (struct bill){ .calls = calls, .billable = calls };
	return true;
}

static json_t *price(int64_t micro)
{
	char text[MONEY_TEXT];
	return json_string(money_price_text(micro, text));
}

static void put_tier(json_t *j, const struct plan *plan, const struct bill *b)
{
	char text[MONEY_TEXT];
	if (plan == NULL || plan->model == MODEL_VOLUME) {
		json_put(j, "tier", json_integer(b->tier + 1));
		json_put(j, "unit_price", price(b->unit_price_micro));
		return;
	}
	json_t *slices = json_array();
	for (uint32_t i = 0; i < b->n_slices; i++) {
		json_t *one = json_object();
		json_put(one, "tier", json_integer(b->slices[i].tier + 1));
		json_put(one, "calls", json_integer(b->slices[i].calls));
		json_put(one, "unit_price", price(b->slices[i].price_micro));
		json_put(one, "amount", json_string(money_amount_text(b->slices[i].amount, text)));
		json_array_append_new(slices, one);
	}
	json_put(j, "slices", slices);
}

static char *bill_json(const struct quote *q, const struct plan *plan, const struct bill *b, int month)
{
	char text[MONEY_TEXT], period[MONTH_TEXT];
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "service", json_string(catalog_service_id(q->book, q->service)));
	json_put(j, "period", json_string(month_text(month, period)));
	json_put(j, "calls", json_integer(b->calls));
	json_put(j, "free", json_integer(b->free));
	json_put(j, "packs", json_array());
	json_put(j, "billable", json_integer(b->billable));
	put_tier(j, plan, b);
	json_put(j, "per", json_integer(plan != NULL ? plan->per : 1));
	json_put(j, "exact", json_string(money_amount_text(b->exact, text)));
	json_put(j, "charge", json_string(money_fen_text(b->charge_fen, text)));
	json_put(j, "currency", json_string(catalog_currency(q->book)));
	return json_compact(j);
}

char *quote_json(const struct catalog *book, uint32_t service, int month, int64_t calls)
{
	const struct account_horizon now = { .stamp_ms = INT64_MAX };
	CLEANUP(arena_free) struct arena arena = { 0 };
	struct quote q = { .book = book, .service = service, .terms = terms_make(book, NULL, &now, month, &arena) };
	uint32_t n = catalog_services(book);
	int64_t *all = arena_alloc(&arena, n * sizeof(*all)), none = 0;
	memset(all, 0, n * sizeof(*all));
	all[service] = calls;
	quote_take(&q, all, &none, false, &arena);
	const struct plan *plan = q.terms->services[service].plan;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct bill b;
	return quote_charge(&q, plan, calls, slices, &b) ? bill_json(&q, plan, &b, month) : NULL;
}

// ---- the price book

static json_t *text_or_null(const char *text)
{
	return text != NULL ? json_string(text) : json_null();
}

static json_t *tiers_json(const struct plan *p)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < p->n_tiers; i++) {
		json_t *one = json_object();
		json_put(one, "tier", json_integer(i + 1));
		json_put(one, "from", json_integer(p->tiers[i].bound));
		json_put(one, "unit_price", price(p->tiers[i].price_micro));
		if (p->tiers[i].flat_micro != 0)
			json_put(one, "fee", price(p->tiers[i].flat_micro));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *plan_json(const struct plan *p)
{
	if (p == NULL)
		return json_null();
	json_t *j = json_object();
	json_put(j, "model", json_string(pricing_model_text(p->model)));
	json_put(j, "bounds", json_string(bounds_text(p->bounds)));
	json_put(j, "tier_basis", json_string(tier_basis_text(p->tier_basis)));
	json_put(j, "first_month", json_string(first_month_text(p->first_month)));
	json_put(j, "per", json_integer(p->per));
	json_put(j, "package", p->package > 0 ? json_integer(p->package) : json_null());
	json_put(j, "quota", json_integer(p->quota));
	json_put(j, "tiers", tiers_json(p));
	return j;
}

static json_t *instant(int64_t ms, int64_t none)
{
	return ms == none ? json_null() : json_time(ms);
}

static json_t *service_json(const struct catalog *c, uint32_t s, int month)
{
	json_t *j = json_object(), *aliases = json_array();
	const struct catalog_alias *list;
	uint32_t n = catalog_service_aliases(c, s, &list);
	int shared = catalog_service_quota(c, s);
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(aliases, json_string(list[i].name));
	json_put(j, "id", json_string(catalog_service_id(c, s)));
	json_put(j, "name", text_or_null(catalog_service_name(c, s)));
	json_put(j, "group", text_or_null(catalog_service_group(c, s)));
	json_put(j, "aliases", aliases);
	json_put(j, "begin", instant(catalog_service_begin_ms(c, s), TIME_NONE));
	json_put(j, "end", instant(catalog_service_end_ms(c, s), INT64_MAX));
	json_put(j, "successor", text_or_null(catalog_service_successor(c, s)));
	json_put(j, "shared_quota", shared >= 0 ? json_string(catalog_shared_quota_id(c, (uint32_t)shared)) : json_null());
	json_put(j, "exists", json_boolean(catalog_service_in(c, s, month)));
	json_put(j, "plan", plan_json(catalog_plan(c, s, month)));
	return j;
}

static json_t *shared_json(const struct catalog *c, int month)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < catalog_shared_quotas(c); i++) {
		struct shared_quota q;
		if (!catalog_shared_quota(c, i, month, &q))
			continue;
		json_t *one = json_object(), *services = json_array();
		for (uint32_t k = 0; k < q.n_services; k++)
			json_array_append_new(services, json_string(catalog_service_id(c, q.services[k])));
		json_put(one, "id", json_string(q.id));
		json_put(one, "quota", json_integer(q.calls));
		json_put(one, "services", services);
		json_array_append_new(list, one);
	}
	return list;
}

char *quote_book_json(const struct catalog *book, int month)
{
	char period[MONTH_TEXT];
	CLEANUP(json_freep) json_t *j = json_object();
	json_t *services = json_array();
	for (uint32_t i = 0; i < catalog_services(book); i++)
		json_array_append_new(services, service_json(book, i, month));
	json_put(j, "version", json_string(catalog_version(book)));
	json_put(j, "sha256", json_string(catalog_sha256(book)));
	json_put(j, "currency", json_string(catalog_currency(book)));
	json_put(j, "period", json_string(month_text(month, period)));
	json_put(j, "rounding", json_string(rounding_text(catalog_rounding(book))));
	json_put(j, "services", services);
	json_put(j, "shared_quotas", shared_json(book, month));
	return json_compact(j);
}
