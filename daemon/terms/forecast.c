// SPDX-License-Identifier: Apache-2.0
#include "terms/forecast.h"

#include "base/check.h"

__extension__ typedef __int128 wide;

bool forecast_known(const struct forecast_clock *c)
{
	return c->now_ms > c->start_ms && c->end_ms > c->start_ms;
}

static int64_t now_of(const struct forecast_clock *c)
{
	return c->now_ms < c->end_ms ? c->now_ms : c->end_ms;
}

bool forecast_calls(const struct forecast_clock *c, int64_t calls, int64_t t_ms, int64_t *ret)
{
	int64_t now = now_of(c);
	check(forecast_known(c) && calls >= 0 && t_ms >= now && t_ms <= c->end_ms);
	wide v = (wide)calls * (t_ms - c->start_ms) / (now - c->start_ms);
	if (v > INT64_MAX)
		return false;
	*ret = (int64_t)v;
	return true;
}

void forecast_make(const struct terms *t, const struct forecast_clock *clock, bool activation, const int64_t *calls, const int64_t *pack_left,
		   struct arena *arena, struct forecast *ret)
{
	check(forecast_known(clock));
	*ret = (struct forecast){ .terms = t, .clock = *clock, .activation = activation, .calls = calls, .pack_left = pack_left,
				  .scaled = arena_alloc(arena, (t->n_services + 1) * sizeof(int64_t)) };
	taking_make(t, arena, &ret->taking);
}

// The account at t; what it takes stands in f->taking.
static bool run_at(struct forecast *f, int64_t t_ms)
{
	for (uint32_t i = 0; i < f->terms->n_services; i++)
		if (!forecast_calls(&f->clock, f->calls[i], t_ms, &f->scaled[i]))
			return false;
	taking_run(&f->taking, f->activation, f->scaled, f->pack_left);
	return true;
}

// One service at t. Where it shares nothing, the others are left out: among ten thousand they would cost a search of each, for each.
static bool run_service(struct forecast *f, uint32_t service, int64_t t_ms)
{
	const struct terms_service *s = &f->terms->services[service];
	struct deduct_service *d = &f->taking.services[service];
	if (s->shared >= 0 || s->n_packs > 0)
		return run_at(f, t_ms);
	if (!forecast_calls(&f->clock, f->calls[service], t_ms, &d->calls))
		return false;
	d->quota = f->activation ? s->quota_first : s->quota;
	deduct_month(d, 1, NULL, NULL);
	return true;
}

// ---- what is reached

enum { ALL_SERVICES = -1 };

struct goal {
	bool (*reached)(const struct forecast *f, const struct goal *g); // by f->taking
	int service;     // whose it is
	uint32_t index, tier;
};

static bool run_goal(struct forecast *f, const struct goal *g, int64_t t_ms)
{
	return g->service == ALL_SERVICES ? run_at(f, t_ms) : run_service(f, (uint32_t)g->service, t_ms);
}

static int64_t tier_count(const struct forecast *f, uint32_t service)
{
	const struct deduct_service *d = &f->taking.services[service];
	return f->terms->services[service].plan->tier_basis == TIER_BY_TOTAL ? d->calls : d->billable;
}

static bool tier_reached(const struct forecast *f, const struct goal *g)
{
	return rating_tier(f->terms->services[g->index].plan, tier_count(f, g->index)) >= g->tier;
}

static bool own_free_reached(const struct forecast *f, const struct goal *g)
{
	return f->taking.services[g->index].free >= f->taking.services[g->index].quota;
}

static bool shared_free_reached(const struct forecast *f, const struct goal *g)
{
	return f->taking.shared_left[g->index] == 0;
}

static bool pack_reached(const struct forecast *f, const struct goal *g)
{
	return f->taking.pack_left[g->index] == 0;
}

// The first instant in [now, end] at which it is reached.
static bool search(struct forecast *f, const struct goal *g, struct forecast_point *ret)
{
	int64_t low = now_of(&f->clock), high = f->clock.end_ms; // not reached at low, reached at high
	if (!run_goal(f, g, low))
		return false;
	if (g->reached(f, g)) {
		*ret = (struct forecast_point){ FORECAST_REACHED, low };
		return true;
	}
	if (!run_goal(f, g, high))
		return false;
	if (!g->reached(f, g)) {
		*ret = (struct forecast_point){ .when = FORECAST_NOT };
		return true;
	}
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;
		bool fits = run_goal(f, g, middle); // less than at the end
		check(fits);
		if (g->reached(f, g))
			high = middle;
		else
			low = middle;
	}
	*ret = (struct forecast_point){ FORECAST_AT, high };
	return true;
}

// ---- of one service

static bool free_end(struct forecast *f, uint32_t service, struct forecast_point *ret)
{
	const struct terms_service *s = &f->terms->services[service];
	int64_t quota = f->activation ? s->quota_first : s->quota;
	if (s->shared >= 0) {
		const struct terms_shared *x = &f->terms->shared[s->shared];
		quota = f->activation ? x->calls_first : x->calls;
	}
	if (quota == 0) {
		*ret = (struct forecast_point){ .when = FORECAST_NONE };
		return true;
	}
	struct goal g = { .reached = s->shared >= 0 ? shared_free_reached : own_free_reached, .service = (int)service,
			  .index = s->shared >= 0 ? (uint32_t)s->shared : service };
	return search(f, &g, ret);
}

static bool next_tier(struct forecast *f, uint32_t service, struct forecast_line *l)
{
	const struct plan *plan = f->terms->services[service].plan;
	if (!run_service(f, service, now_of(&f->clock)))
		return false;
	l->tier = rating_tier(plan, tier_count(f, service)) + 1;
	if (l->tier == plan->n_tiers) {
		l->next_tier = (struct forecast_point){ .when = FORECAST_NONE };
		return true;
	}
	return search(f, &(struct goal){ .reached = tier_reached, .service = (int)service, .index = service, .tier = l->tier }, &l->next_tier);
}

bool forecast_service(struct forecast *f, uint32_t service, enum rounding rounding, struct rating_slice *slices, struct forecast_line *ret)
{
	const struct plan *plan = f->terms->services[service].plan;
	struct forecast_line l = { .tier = 0 };
	if (plan == NULL || !free_end(f, service, &l.free_end) || !next_tier(f, service, &l) || !run_service(f, service, f->clock.end_ms))
		return false;
	const struct deduct_service *d = &f->taking.services[service];
	if (d->calls > 0 && !rating_charge(plan, d->calls, d->free, d->billable, rounding, slices, &l.bill))
		return false; // without calls there is no line
	*ret = l;
	return true;
}

bool forecast_pack(struct forecast *f, uint32_t pack, struct forecast_point *ret)
{
	return search(f, &(struct goal){ .reached = pack_reached, .service = ALL_SERVICES, .index = pack }, ret);
}
