// SPDX-License-Identifier: Apache-2.0
#include "closing/reached.h"

#include "base/check.h"
#include "ladder/allowance.h"
#include "terms/taking.h"

struct reaching {
	const struct catalog *catalog;
	const struct reached_month *months;
	uint32_t n;
	struct taking *takings;     // by month
	struct balance *gave;
	struct arena *arena;
	reached_fn *fn;
	void *ctx;
};

// Services that share nothing: each its own ladder.
static void reach_alone(const struct reaching *x, const struct reached_month *m)
{
	const struct terms *t = m->terms;
	for (uint32_t service = 0; service < t->n_services; service++) {
		const struct terms_service *s = &t->services[service];
		if (m->calls[service] == 0 || s->plan == NULL || terms_shares(t, service))
			continue;
		int64_t quota = m->activation ? terms_quota_in_first(t, s->quota, s->quota_first) : s->quota;
		CLEANUP(ladder_freep) struct ladder *l = ladder_of_plan(s->plan, quota, s->warn_micro);
		for (uint32_t i = 0; i < l->n && l->rungs[i].at <= m->calls[service]; i++)
			x->fn(x->ctx, &(struct reached){ catalog_service_id(x->catalog, service), t->month, l->rungs[i].kind, l->rungs[i].bound,
				{ NULL, 0 } });
	}
}

// ---- what is shared
static void take_months(struct reaching *x)
{
	for (uint32_t i = 0; i < x->n; i++) {
		const struct terms *t = x->months[i].terms;
		int64_t *left = arena_alloc(x->arena, (t->n_packs + 1) * sizeof(*left));
		struct pack_use *given = arena_alloc(x->arena, (t->n_packs + 1) * sizeof(*given));
		for (uint32_t p = 0; p < t->n_packs; p++)
			left[p] = balance_left(x->gave, &t->packs[p]);
		taking_make(t, x->arena, &x->takings[i]);
		taking_run(&x->takings[i], x->months[i].activation, x->months[i].calls, left);
		for (uint32_t p = 0; p < t->n_packs; p++)
			given[p] = (struct pack_use){ t->packs[p].id, left[p] - x->takings[i].pack_left[p] };
		check(balance_add(x->gave, given, t->n_packs, x->arena)); // at most what the packs have
	}
}

static int64_t quantity(const struct reaching *x, const struct allowance *a, const struct allowance_rung *r)
{
	const struct terms *t = x->months[r->month].terms;
	const struct taking *k = &x->takings[r->month];
	int64_t sum = 0;
	uint32_t service = 0;
	switch (r->of) {
	case QUANTITY_CALLS:
	case QUANTITY_BILLABLE:
		check(catalog_find_id(x->catalog, span_of(a->months[r->month].services[r->index].id), &service));
		return r->of == QUANTITY_CALLS ? k->services[service].calls : k->services[service].billable;
	case QUANTITY_SHARED:
		for (uint32_t i = 0; i < t->shared[r->index].n_services; i++)
			sum += k->services[t->shared[r->index].services[i]].calls;
		return sum;
	case QUANTITY_PACK:
		for (uint32_t i = 0; i < x->gave->n; i++)
			if (span_eq(x->gave->uses[i].id, a->packs[r->index].id))
				sum = x->gave->uses[i].calls;
		return sum;
	}
	return 0;
}

static void reach_shared(struct reaching *x)
{
	const struct terms **terms = arena_alloc(x->arena, (x->n + 1) * sizeof(*terms));
	for (uint32_t i = 0; i < x->n; i++)
		terms[i] = x->months[i].terms;
	const struct allowance *a = allowance_make(x->catalog, terms, x->n, terms[0]->month, x->arena);
	if (a == NULL)
		return;
	take_months(x);
	for (uint32_t i = 0; i < a->n_rungs; i++) {
		const struct allowance_rung *r = &a->rungs[i];
		if ((!r->not_first || !x->months[r->month].activation) && quantity(x, a, r) >= r->at)
			x->fn(x->ctx, &(struct reached){ r->service, a->months[r->month].month, r->kind, r->bound, r->pack });
	}
}

void reached_run(const struct catalog *c, const struct reached_month *months, uint32_t n, struct balance *gave, struct arena *arena,
		 reached_fn *fn, void *ctx)
{
	check(n > 0);
	struct reaching x = { .catalog = c, .months = months, .n = n, .takings = arena_alloc(arena, n * sizeof(*x.takings)), .gave = gave,
			      .arena = arena, .fn = fn, .ctx = ctx };
	for (uint32_t i = 0; i < n; i++)
		reach_alone(&x, &months[i]);
	reach_shared(&x);
}
