// SPDX-License-Identifier: Apache-2.0
#include "ladder/allowance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"

const char *quantity_text(enum quantity q)
{
	static const char *const texts[] = { "calls", "billable", "shared", "pack" };
	check((size_t)q < ARRAY_LEN(texts));
	return texts[q];
}

bool terms_shares(const struct terms *t, uint32_t service)
{
	check(service < t->n_services);
	const struct terms_service *s = &t->services[service];
	return s->plan != NULL && (s->shared >= 0 || s->n_packs > 0);
}

struct making {
	const struct catalog *catalog;
	struct arena *arena;
	uint32_t n_packs, size_packs, n_rungs, size_rungs;
	struct allowance_pack *packs;
	struct allowance_rung *rungs;
	const struct terms_pack **terms_packs; // beside packs: as known in the last of its months
	bool open;              // the month that is made is not closed
	bool *alive;            // beside packs: it gives in an open month
	uint32_t *slots;        // a table of indexes + 1 by id, at most half full: 2 * size_packs, a power of two
};

static uint32_t *pack_slot(const struct making *k, struct span id)
{
	uint32_t mask = 2 * k->size_packs - 1;
	uint32_t at = (uint32_t)XXH3_64bits(id.p, id.n) & mask;
	while (k->slots[at] != 0 && !span_eq(k->packs[k->slots[at] - 1].id, id))
		at = (at + 1) & mask;
	return &k->slots[at];
}

static void packs_grow(struct making *k)
{
	k->size_packs = k->size_packs > 0 ? k->size_packs * 2 : 8;
	k->packs = xrealloc(k->packs, k->size_packs, sizeof(*k->packs));
	k->terms_packs = xrealloc(k->terms_packs, k->size_packs, sizeof(*k->terms_packs));
	k->alive = xrealloc(k->alive, k->size_packs, sizeof(*k->alive));
	free(k->slots);
	k->slots = xcalloc(2 * (size_t)k->size_packs, sizeof(*k->slots));
	for (uint32_t i = 0; i < k->n_packs; i++)
		*pack_slot(k, k->packs[i].id) = i + 1;
}

static uint32_t pack_index(struct making *k, const struct terms_pack *p)
{
	if (k->n_packs == k->size_packs)
		packs_grow(k);
	uint32_t *slot = pack_slot(k, p->id);
	if (*slot == 0) {
		k->alive[k->n_packs] = false;
		*slot = ++k->n_packs;
	}
	uint32_t i = *slot - 1;
	k->packs[i] = (struct allowance_pack){ p->id, p->calls };
	k->terms_packs[i] = p;
	k->alive[i] = k->alive[i] || k->open;
	return i;
}

static void add_rung(struct making *k, struct allowance_rung r)
{
	if (k->n_rungs == k->size_rungs) {
		k->size_rungs = k->size_rungs * 2 + 16;
		k->rungs = xrealloc(k->rungs, k->size_rungs, sizeof(*k->rungs));
	}
	k->rungs[k->n_rungs++] = r;
}

// `proto` says of what; an equal pair of rungs for the share that warns and for the whole.
static void add_quota(struct making *k, struct allowance_rung proto, int64_t calls, int64_t warn_micro, enum alert_kind warning,
		      enum alert_kind exhausted)
{
	int64_t warn = ladder_share(warn_micro, calls);
	if (calls == 0)
		return;
	if (warn > 0) {
		proto.at = proto.bound = warn;
		proto.kind = warning;
		add_rung(k, proto);
	}
	proto.at = proto.bound = calls;
	proto.kind = exhausted;
	add_rung(k, proto);
}

static void add_tiers(struct making *k, struct allowance_rung proto, const struct plan *plan)
{
	proto.of = plan->tier_basis == TIER_BY_BILLABLE ? QUANTITY_BILLABLE : QUANTITY_CALLS;
	proto.kind = ALERT_TIER_CROSSED;
	proto.not_first = false;
	for (uint32_t i = 1; i < plan->n_tiers; i++) {
		proto.bound = plan->tiers[i].bound;
		if (!__builtin_add_overflow(proto.bound, plan->bounds == BOUNDS_UPPER_INCLUSIVE ? 1 : 0, &proto.at))
			add_rung(k, proto);
	}
}

static void add_service(struct making *k, const struct terms *t, uint32_t service, uint32_t month, uint32_t index,
			struct allowance_service *ret)
{
	const struct terms_service *s = &t->services[service];
	uint32_t *packs = arena_alloc(k->arena, (s->n_packs + 1) * sizeof(*packs));
	int64_t *calls = arena_alloc(k->arena, (s->n_packs + 1) * sizeof(*calls));
	for (uint32_t i = 0; i < s->n_packs; i++) {
		packs[i] = pack_index(k, &t->packs[s->packs[i]]);
		calls[i] = t->packs[s->packs[i]].calls;
	}
	int64_t first = terms_quota_in_first(t, s->quota, s->quota_first);
	*ret = (struct allowance_service){ catalog_service_id(k->catalog, service), s->quota, first, s->shared, s->n_packs, packs, calls };
	struct allowance_rung proto = { .of = QUANTITY_CALLS, .month = month, .index = index, .service = ret->id, .contract = s->contract,
					.not_first = first != s->quota };
	add_quota(k, proto, s->quota, s->warn_micro, ALERT_QUOTA_WARNING, ALERT_QUOTA_EXHAUSTED);
	add_tiers(k, proto, s->plan);
}

static struct allowance_month make_month(struct making *k, const struct terms *t, uint32_t month)
{
	struct allowance_service *services = arena_alloc(k->arena, (t->n_services + 1) * sizeof(*services));
	struct allowance_shared *shared = arena_alloc(k->arena, (t->n_shared + 1) * sizeof(*shared));
	struct allowance_month m = { .month = t->month, .services = services, .n_shared = t->n_shared, .shared = shared };
	for (uint32_t i = 0; i < t->n_shared; i++) {
		const struct terms_shared *s = &t->shared[i];
		int64_t first = terms_quota_in_first(t, s->calls, s->calls_first);
		shared[i] = (struct allowance_shared){ s->calls, first };
		struct allowance_rung proto = { .of = QUANTITY_SHARED, .month = month, .index = i, .service = s->id,
						.not_first = first != s->calls };
		add_quota(k, proto, s->calls, s->warn_micro, ALERT_QUOTA_WARNING, ALERT_QUOTA_EXHAUSTED);
	}
	for (uint32_t i = 0; i < t->n_services; i++) {
		if (!terms_shares(t, i))
			continue;
		add_service(k, t, i, month, m.n_services, &services[m.n_services]);
		m.n_services++;
	}
	return m;
}

// `first`: of the allowance's months.
static void add_packs(struct making *k, int first)
{
	for (uint32_t i = 0; i < k->n_packs; i++) {
		const struct terms_pack *p = k->terms_packs[i];
		if (!k->alive[i])
			continue;
		char version[24];
		char *id = arena_alloc(k->arena, p->id.n + 1);
		memcpy(id, p->id.p, p->id.n);
		id[p->id.n] = '\0';
		int n = snprintf(version, sizeof(version), "/%" PRId64, p->version);
		char *name = arena_alloc(k->arena, p->id.n + (size_t)n);
		memcpy(name, p->id.p, p->id.n);
		memcpy(name + p->id.n, version, (size_t)n);
		struct allowance_rung proto = { .of = QUANTITY_PACK, .month = (uint32_t)(p->first_month > first ? p->first_month - first : 0), .index = i,
						.pack = p->id, .contract = { name, p->id.n + (size_t)n },
						.service = p->n_services == 1 ? catalog_service_id(k->catalog, p->services[0]) : id };
		add_quota(k, proto, p->calls, p->warn_micro, ALERT_PACK_WARNING, ALERT_PACK_EXHAUSTED);
	}
}

// By month; in a month as in a ladder: by bound, then quota before tier; packs last.
static int by_place(const void *pa, const void *pb)
{
	const struct allowance_rung *a = pa, *b = pb;
	bool a_pack = a->of == QUANTITY_PACK, b_pack = b->of == QUANTITY_PACK;
	int64_t sign = a_pack != b_pack ? a_pack - b_pack : 0;
	if (sign == 0)
		sign = (int64_t)a->month - (int64_t)b->month;
	if (sign == 0)
		sign = (a->at > b->at) - (a->at < b->at);
	if (sign == 0)
		sign = (int64_t)a->kind - (int64_t)b->kind;
	if (sign == 0)
		sign = (int64_t)a->index - (int64_t)b->index;
	return sign < 0 ? -1 : sign > 0;
}

static void *keep(struct arena *a, const void *list, size_t n, size_t size)
{
	void *copy = arena_alloc(a, n * size + 1);
	if (n > 0)
		memcpy(copy, list, n * size);
	return copy;
}

static bool shares_any(const struct terms *t)
{
	for (uint32_t i = 0; i < t->n_services; i++)
		if (terms_shares(t, i))
			return true;
	return false;
}

struct allowance *allowance_make(const struct catalog *c, const struct terms *const *terms, uint32_t n, int open_month, struct arena *arena)
{
	struct making k = { .catalog = c, .arena = arena };
	bool any = false;
	for (uint32_t i = 0; i < n; i++) {
		check(i == 0 || terms[i]->month == terms[i - 1]->month + 1);
		any = any || shares_any(terms[i]);
	}
	if (!any)
		return NULL;
	struct allowance_month *months = arena_alloc(arena, n * sizeof(*months));
	for (uint32_t i = 0; i < n; i++) {
		k.open = terms[i]->month >= open_month;
		months[i] = make_month(&k, terms[i], i);
	}
	add_packs(&k, terms[0]->month);
	if (k.n_rungs > 0)
		qsort(k.rungs, k.n_rungs, sizeof(*k.rungs), by_place);
	struct allowance *a = arena_alloc(arena, sizeof(*a));
	*a = (struct allowance){ .n_months = n, .n_packs = k.n_packs, .n_rungs = k.n_rungs, .months = months,
				 .packs = keep(arena, k.packs, k.n_packs, sizeof(*k.packs)),
				 .rungs = keep(arena, k.rungs, k.n_rungs, sizeof(*k.rungs)) };
	free(k.packs);
	free(k.terms_packs);
	free(k.alive);
	free(k.rungs);
	free(k.slots);
	return a;
}

bool allowance_find(const struct allowance *a, const char *service_id, int month, uint32_t *ret_month, uint32_t *ret_service)
{
	if (a->n_months == 0 || month < a->months[0].month || month >= a->months[0].month + (int)a->n_months)
		return false;
	uint32_t m = (uint32_t)(month - a->months[0].month);
	for (uint32_t i = 0; i < a->months[m].n_services; i++) {
		if (strcmp(a->months[m].services[i].id, service_id) != 0)
			continue;
		*ret_month = m;
		*ret_service = i;
		return true;
	}
	return false;
}
