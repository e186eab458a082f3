// SPDX-License-Identifier: Apache-2.0
// One month of one account. Work grows with services, things of the account, and services that its packs name; with no product of them.
#include "terms/terms.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct making {
	const struct catalog *catalog;
	int month;
	struct arena *arena;
	struct terms *terms;
	const struct account_thing *things;
	uint32_t n_things;
};

static void *take(struct making *k, size_t n, size_t size)
{
	void *p = arena_alloc(k->arena, n * size + 1);
	memset(p, 0, n * size);
	return p;
}

// --- contracts ----------------------------------------------------------------------------------------------------------

// What decides a service: an entry of the latest contract that names it in this month.
struct decision {
	const struct account_fact *contract;
	const struct contract_service *entry;
	struct span text; // "id/version"
};

static struct span contract_text(struct making *k, const struct account_fact *f)
{
	size_t room = f->id.n + 24;
	char *p = arena_alloc(k->arena, room);
	int n = snprintf(p, room, "%.*s/%" PRId64, (int)f->id.n, f->id.p, f->version);
	return (struct span){ p, (size_t)n };
}

static void decide(struct making *k, const struct account_fact *f, struct decision *by_service)
{
	if (k->month < f->from_month || (f->until_month != MONTH_NONE && k->month >= f->until_month))
		return;
	struct span text = contract_text(k, f);
	for (uint32_t i = 0; i < f->n_services; i++) {
		uint32_t service;
		if (!catalog_find_id(k->catalog, f->services[i].service, &service))
			continue; // inert
		struct decision *d = &by_service[service];
		if (d->contract == NULL || account_fact_before(d->contract, f))
			*d = (struct decision){ f, &f->services[i], text };
	}
}

// --- services -----------------------------------------------------------------------------------------------------------

static const struct plan *with_basis(struct making *k, const struct plan *list, enum tier_basis basis)
{
	if (list->tier_basis == basis)
		return list;
	struct plan *p = arena_alloc(k->arena, sizeof(*p));
	*p = *list;
	p->tier_basis = basis;
	return p;
}

static void make_plan(struct making *k, const struct contract_service *own, struct terms_service *s)
{
	s->plan = s->list;
	if (own == NULL)
		return;
	if (own->has_prices)
		s->plan = own->at_zero ? NULL : &own->plan;
	else if (own->has_basis && s->list != NULL)
		s->plan = with_basis(k, s->list, own->tier_basis);
}

static int64_t in_first_month(int64_t calls, enum first_month first)
{
	return first == FIRST_MONTH_NEXT ? 0 : calls;
}

// Own free calls, or the index of the shared quota of the price book that the service would take part in.
static int make_quota(const struct making *k, uint32_t service, const struct contract_service *own, struct terms_service *s)
{
	struct free_calls list, free = { 0 };
	if (s->plan == NULL)
		return -1;
	if (own != NULL && own->has_free)
		free = (struct free_calls){ own->quota, own->warn_micro, own->first_month };
	else if (catalog_service_quota(k->catalog, service) >= 0)
		return catalog_service_quota(k->catalog, service);
	else if (catalog_free_calls(k->catalog, service, k->month, &list)) // the list's, also where its price is 0
		free = list;
	s->quota = free.calls;
	s->warn_micro = free.warn_micro;
	s->quota_first = in_first_month(s->quota, free.first_month);
	return -1;
}

static void make_services(struct making *k, int *quota_of)
{
	struct terms *t = k->terms;
	CLEANUP(freep) struct decision *by_service = xcalloc(t->n_services, sizeof(*by_service));
	for (uint32_t i = 0; i < k->n_things; i++)
		if (k->things[i].fact->kind == ACCOUNT_CONTRACT)
			decide(k, k->things[i].fact, by_service);
	for (uint32_t i = 0; i < t->n_services; i++) {
		const struct contract_service *own = by_service[i].entry;
		struct terms_service *s = &t->services[i];
		s->list = catalog_plan(k->catalog, i, k->month);
		s->shared = -1;
		make_plan(k, own, s);
		quota_of[i] = make_quota(k, i, own, s);
		if (own != NULL && (s->plan != NULL || own->has_prices))
			s->contract = by_service[i].text;
	}
}

// --- shared quotas ------------------------------------------------------------------------------------------------------

static void make_shared(struct making *k, const int *quota_of)
{
	struct terms *t = k->terms;
	uint32_t most = catalog_shared_quotas(k->catalog);
	t->shared = take(k, most, sizeof(*t->shared));
	for (uint32_t i = 0; i < most; i++) {
		struct shared_quota q;
		if (!catalog_shared_quota(k->catalog, i, k->month, &q))
			continue;
		struct terms_shared *x = &t->shared[t->n_shared];
		uint32_t *services = take(k, q.n_services, sizeof(*services));
		*x = (struct terms_shared){ q.id, q.calls, in_first_month(q.calls, q.first_month), q.warn_micro, 0, services };
		for (uint32_t m = 0; m < q.n_services; m++) {
			if (quota_of[q.services[m]] != (int)i)
				continue;
			t->services[q.services[m]].shared = (int)t->n_shared;
			services[x->n_services++] = q.services[m];
		}
		t->n_shared += x->n_services > 0;
	}
}

// --- packs --------------------------------------------------------------------------------------------------------------

// Months beyond the calendar: before the first, or behind the last.
static int month_at(const struct catalog *c, int64_t time_ms)
{
	int month = period_month(catalog_zone(c), time_ms);
	if (month != MONTH_NONE)
		return month;
	return time_ms < period_start_ms(catalog_zone(c), MONTH_FIRST) ? MONTH_FIRST - 1 : MONTH_LAST + 1;
}

static bool make_pack(struct making *k, const struct account_thing *x, struct terms_pack *ret)
{
	const struct account_fact *f = x->fact;
	int first = month_at(k->catalog, f->start_ms), last = month_at(k->catalog, f->expiry_ms - 1);
	first = first < MONTH_FIRST ? MONTH_FIRST : first;
	last = last > MONTH_LAST ? MONTH_LAST : last;
	if (x->cancelled_month != MONTH_NONE && x->cancelled_month <= last)
		last = x->cancelled_month - 1;
	if (k->month < first || k->month > last)
		return false;
	int earliest = month_at(k->catalog, x->earliest_ms);
	uint32_t *services = arena_alloc(k->arena, f->n_pack_services * sizeof(*services)), n = 0;
	for (uint32_t i = 0; i < f->n_pack_services; i++)
		n += catalog_find_id(k->catalog, f->pack_services[i], &services[n]);
	*ret = (struct terms_pack){ .id = f->id, .version = x->newest->version, .calls = f->calls, .price_micro = f->price_micro,
				    .warn_micro = f->warn_micro, .first_month = first, .last_month = last,
				    .earliest_month = earliest < MONTH_FIRST ? MONTH_FIRST : earliest,
				    .start_ms = f->start_ms, .expiry_ms = f->expiry_ms, .n_services = n, .services = services };
	return n > 0;
}

static int by_expiry(const void *pa, const void *pb)
{
	const struct terms_pack *a = pa, *b = pb;
	int c = (a->expiry_ms > b->expiry_ms) - (a->expiry_ms < b->expiry_ms);
	return c != 0 ? c : span_order(a->id, b->id);
}

static int by_start(const void *pa, const void *pb)
{
	const struct terms_pack *a = pa, *b = pb;
	int c = (a->start_ms > b->start_ms) - (a->start_ms < b->start_ms);
	return c != 0 ? c : span_order(a->id, b->id);
}

// Each service's packs, in the order of all. At price 0 nothing is deducted.
static void cover(struct making *k)
{
	struct terms *t = k->terms;
	CLEANUP(freep) uint32_t *counts = xcalloc(t->n_services, sizeof(*counts));
	CLEANUP(freep) uint32_t **lists = xcalloc(t->n_services, sizeof(*lists));
	for (uint32_t i = 0; i < t->n_packs; i++)
		for (uint32_t m = 0; m < t->packs[i].n_services; m++)
			counts[t->packs[i].services[m]]++;
	for (uint32_t i = 0; i < t->n_services; i++) {
		if (counts[i] == 0 || t->services[i].plan == NULL)
			continue;
		lists[i] = arena_alloc(k->arena, counts[i] * sizeof(*lists[i]));
		t->services[i].packs = lists[i];
	}
	for (uint32_t i = 0; i < t->n_packs; i++)
		for (uint32_t m = 0; m < t->packs[i].n_services; m++) {
			uint32_t service = t->packs[i].services[m];
			if (lists[service] != NULL)
				lists[service][t->services[service].n_packs++] = i;
		}
}

static void make_packs(struct making *k)
{
	struct terms *t = k->terms;
	uint32_t most = 0;
	for (uint32_t i = 0; i < k->n_things; i++)
		most += k->things[i].fact->kind == ACCOUNT_PACK;
	if (most == 0)
		return;
	t->packs = arena_alloc(k->arena, most * sizeof(*t->packs));
	for (uint32_t i = 0; i < k->n_things; i++)
		if (k->things[i].fact->kind == ACCOUNT_PACK)
			t->n_packs += make_pack(k, &k->things[i], &t->packs[t->n_packs]);
	qsort(t->packs, t->n_packs, sizeof(*t->packs), catalog_pack_order(k->catalog) == PACKS_BY_START ? by_start : by_expiry);
	cover(k);
}

// --- all together -------------------------------------------------------------------------------------------------------

static int activated(const struct making *k)
{
	int first = MONTH_NONE;
	for (uint32_t i = 0; i < k->n_things; i++) {
		if (k->things[i].fact->kind != ACCOUNT_ACTIVATION)
			continue;
		int month = month_at(k->catalog, k->things[i].fact->active_ms);
		if (first == MONTH_NONE || month < first)
			first = month;
	}
	return first;
}

struct terms *terms_make(const struct catalog *c, const struct account *a, const struct account_horizon *h, int month, struct arena *arena)
{
	uint32_t n = catalog_services(c);
	CLEANUP(freep) struct account_thing *things = xcalloc(a != NULL ? a->n_things : 0, sizeof(*things));
	CLEANUP(freep) int *quota_of = xcalloc(n, sizeof(*quota_of));
	struct making k = { .catalog = c, .month = month, .arena = arena, .things = things };
	struct terms *t = k.terms = take(&k, 1, sizeof(*t));
	if (a != NULL)
		k.n_things = account_as_of(a, h, things);
	t->month = month;
	t->n_services = n;
	t->services = take(&k, n, sizeof(*t->services));
	t->activated_month = activated(&k);
	make_services(&k, quota_of);
	make_shared(&k, quota_of);
	make_packs(&k);
	return t;
}

bool terms_ask_activation(const struct terms *t)
{
	for (uint32_t i = 0; i < t->n_services; i++)
		if (t->services[i].quota != t->services[i].quota_first)
			return true;
	for (uint32_t i = 0; i < t->n_shared; i++)
		if (t->shared[i].calls != t->shared[i].calls_first)
			return true;
	return false;
}
