// SPDX-License-Identifier: Apache-2.0
#include "usage/month.h"

#include <stdlib.h>

#include "base/check.h"
#include "closing/closing.h"
#include "ladder/allowance.h"

static const struct catalog *book_of(const struct usage_world *w)
{
	return w->frame.rules->catalog;
}

static const struct terms *terms_at(struct usage_world *w, const struct account *a, int month)
{
	const struct account_horizon now = { .stamp_ms = INT64_MAX };
	const struct account_horizon *h = w->closed && month == w->month ? &w->frame.horizon : &now;
	if (a != NULL)
		return terms_make(book_of(w), a, h, month, &w->arena);
	check(month == w->month);
	if (w->plain == NULL)
		w->plain = terms_make(book_of(w), NULL, h, month, &w->kept);
	return w->plain;
}

static void *zeros(struct usage_world *w, size_t n, size_t size)
{
	void *p = arena_alloc(&w->arena, n * size + 1);
	memset(p, 0, n * size);
	return p;
}

static int64_t *calls_of(struct usage_world *w, const struct usage_counter *counters, uint32_t n, int month)
{
	int64_t *calls = zeros(w, catalog_services(book_of(w)), sizeof(*calls));
	uint32_t service;
	for (uint32_t i = 0; i < n; i++)
		if (counters[i].month == month && catalog_find_id(book_of(w), span_of(counters[i].service), &service))
			calls[service] = counters[i].calls;
	return calls;
}

static enum error_class activation_of(struct usage_world *w, struct span account, const struct terms *t, bool *ret, struct error *e)
{
	struct store *s = w->store;
	int since = MONTH_NONE;
	*ret = false;
	if (!terms_ask_activation(t))
		return ERROR_NONE;
	enum error_class c = s->ops->active_since(s, store_shard(account, w->shards), &account, 1, t->month, &since, e);
	if (c != ERROR_NONE)
		return c;
	*ret = terms_activation(t, since);
	return ERROR_NONE;
}

// ---- what was settled

static enum error_class unreadable(struct span account, struct error *e)
{
	return error_set(e, ERROR_HALT, 0, "what was settled of account %.*s cannot be read; look for what else writes to this Redis", (int)account.n,
			 account.p);
}

// Lines of revision 0 lie under account/service, all of the newest revision together under "#rev/account".
static enum error_class read_settled(struct usage_world *w, struct span account, struct usage_month *m, struct error *e)
{
	uint32_t n = catalog_services(book_of(w)), n_newest = 0;
	struct span *fields = zeros(w, n + 1, sizeof(*fields)), *values = zeros(w, n + 1, sizeof(*values));
	struct settled_line *newest = NULL;
	struct store *s = w->store;
	char *text;
	for (uint32_t i = 0; i <= n; i++) {
		text = i < n ? xasprintf("%.*s/%s", (int)account.n, account.p, catalog_service_id(book_of(w), i))
			     : xasprintf("#rev/%.*s", (int)account.n, account.p);
		fields[i] = arena_copy(&w->arena, span_of(text));
		free(text);
	}
	enum error_class c = s->ops->settled_get(s, store_shard(account, w->shards), w->month, fields, n + 1, &w->arena, values, e);
	if (c != ERROR_NONE)
		return c;
	for (uint32_t i = 0; i < n; i++) {
		m->first[i].service = i;
		if (values[i].p != NULL && !settled_line_parse(values[i], &w->arena, &m->first[i]))
			return unreadable(account, e);
		m->settled[i] = m->first[i];
	}
	if (values[n].p != NULL && !settled_newest_parse(values[n], book_of(w), &w->arena, &n_newest, &newest))
		return unreadable(account, e);
	for (uint32_t i = 0; i < n_newest; i++)
		m->settled[newest[i].service] = newest[i];
	for (uint32_t i = 0; i < n; i++)
		m->any_settled = m->any_settled || m->settled[i].revision >= 0;
	return ERROR_NONE;
}

// ---- what packs hold

static enum error_class read_balance(struct usage_world *w, struct span account, struct balance *ret, struct error *e)
{
	struct store *s = w->store;
	struct span text = { NULL, 0 };
	enum error_class c = s->ops->packs_get(s, store_shard(account, w->shards), &account, 1, &w->arena, &text, e);
	if (c != ERROR_NONE)
		return c;
	return balance_parse(text, &w->arena, ret) ? ERROR_NONE : unreadable(account, e);
}

static void left_of(const struct terms *t, const struct balance *b, int64_t *left)
{
	for (uint32_t i = 0; i < t->n_packs; i++)
		left[i] = balance_left(b, &t->packs[i]);
}

// A month between: not settled, but its calls take first.
static enum error_class take_month(struct usage_world *w, const struct account *a, int month, const int64_t *calls, struct balance *b, struct error *e)
{
	const struct terms *t = terms_at(w, a, month);
	int64_t *left = zeros(w, t->n_packs + 1, sizeof(*left));
	struct pack_use *given = zeros(w, t->n_packs + 1, sizeof(*given));
	struct taking k;
	bool activation;
	enum error_class cls = activation_of(w, a->name, t, &activation, e);
	if (cls != ERROR_NONE)
		return cls;
	left_of(t, b, left);
	taking_make(t, &w->arena, &k);
	taking_run(&k, activation, calls, left);
	for (uint32_t i = 0; i < t->n_packs; i++)
		given[i] = (struct pack_use){ t->packs[i].id, left[i] - k.pack_left[i] };
	return balance_add(b, given, t->n_packs, &w->arena) ? ERROR_NONE : unreadable(a->name, e);
}

static int first_open(const struct usage_counter *counters, uint32_t n, const struct balance *b)
{
	int first = b->month != MONTH_NONE ? b->month + 1 : MONTH_NONE;
	for (uint32_t i = 0; i < n && b->month == MONTH_NONE; i++)
		if (first == MONTH_NONE || counters[i].month < first)
			first = counters[i].month;
	return first;
}

// At the beginning of the month; of a settled one at its end. -1: not known.
static enum error_class packs_of(struct usage_world *w, const struct account *a, const struct usage_counter *counters, uint32_t n, struct usage_month *m,
				 struct error *e)
{
	struct balance b = { .month = MONTH_NONE };
	m->pack_left = zeros(w, m->terms->n_packs + 1, sizeof(*m->pack_left));
	if (m->terms->n_packs == 0)
		return ERROR_NONE;
	enum error_class cls = read_balance(w, a->name, &b, e);
	for (int month = first_open(counters, n, &b); cls == ERROR_NONE && month != MONTH_NONE && month < w->month && !m->any_settled; month++)
		cls = take_month(w, a, month, calls_of(w, counters, n, month), &b, e);
	left_of(m->terms, &b, m->pack_left);
	for (uint32_t i = 0; i < m->terms->n_packs && m->any_settled && b.month != w->month; i++)
		m->pack_left[i] = -1;
	return cls;
}

// ---- the whole

enum error_class usage_world_begin(struct usage_world *w, int month, struct error *e)
{
	char waits[256];
	const struct journal_manifest *m = journal_manifest(w->journal, month);
	check(w->journal->n_rules > 0);
	w->month = month;
	w->closed = m != NULL;
	w->frame = (struct month_frame){ .month = month, .rules = w->journal->rules[w->journal->n_rules - 1].rules };
	if (m != NULL)
		month_frame_make(w->journal, m, month, &w->kept, &w->frame);
	return closing_waits(w->store, w->shards, w->journal, month, waits, &w->clock_ms, e);
}

void usage_world_end(struct usage_world *w)
{
	arena_free(&w->arena);
	arena_free(&w->kept);
}

static void forecast_of(struct usage_world *w, struct usage_month *m)
{
	const struct zone *z = catalog_zone(book_of(w));
	struct forecast_clock c = { period_start_ms(z, w->month), period_end_ms(z, w->month), w->clock_ms };
	m->packs = zeros(w, m->terms->n_packs + 1, sizeof(*m->packs));
	m->has_forecast = !m->any_settled && forecast_known(&c);
	if (m->has_forecast)
		forecast_make(m->terms, &c, m->activation, m->calls, m->pack_left, &w->arena, &m->forecast);
	for (uint32_t i = 0; i < m->terms->n_packs; i++) {
		struct usage_pack *p = &m->packs[i];
		*p = (struct usage_pack){ .pack = &m->terms->packs[i], .left = m->any_settled ? m->pack_left[i] : m->taking.pack_left[i] };
		p->has_forecast = m->has_forecast && forecast_pack(&m->forecast, i, &p->end);
	}
}

enum error_class usage_month_make(struct usage_world *w, const struct usage_counter *counters, uint32_t n, struct usage_month *ret, struct error *e)
{
	struct span account = span_of(counters[0].account);
	const struct account *a = account_book_find(w->book, account);
	uint32_t n_services = catalog_services(book_of(w));
	*ret = (struct usage_month){ .terms = terms_at(w, a, w->month), .calls = calls_of(w, counters, n, w->month),
		.settled = zeros(w, n_services, sizeof(*ret->settled)), .first = zeros(w, n_services, sizeof(*ret->first)) };
	for (uint32_t i = 0; i < n_services; i++)
		ret->settled[i].revision = ret->first[i].revision = -1;
	enum error_class cls = activation_of(w, account, ret->terms, &ret->activation, e);
	if (cls == ERROR_NONE && w->closed)
		cls = read_settled(w, account, ret, e);
	if (cls == ERROR_NONE)
		cls = packs_of(w, a, counters, n, ret, e);
	if (cls != ERROR_NONE)
		return cls;
	taking_make(ret->terms, &w->arena, &ret->taking);
	if (!ret->any_settled)
		taking_run(&ret->taking, ret->activation, ret->calls, ret->pack_left);
	forecast_of(w, ret);
	return ERROR_NONE;
}

// ---- one line

static int64_t shared_left(const struct usage_month *m, const struct terms_shared *s, int index)
{
	int64_t left = m->activation ? s->calls_first : s->calls;
	if (!m->any_settled)
		return m->taking.shared_left[index];
	for (uint32_t i = 0; i < s->n_services; i++) {
		const struct settled_line *l = &m->settled[s->services[i]];
		left = l->revision < 0 ? left : l->free < left ? left - l->free : 0;
	}
	return left;
}

static int64_t quota_of(const struct usage_month *m, uint32_t service)
{
	return m->activation ? m->terms->services[service].quota_first : m->terms->services[service].quota;
}

// Where packs or shared free calls stand between calls and tier: the fewest more calls of this service with which it is in the next one.
static int64_t search_tier(struct usage_world *w, struct usage_month *m, uint32_t service, uint32_t tier)
{
	const struct plan *plan = m->terms->services[service].plan;
	int64_t *calls = zeros(w, m->terms->n_services, sizeof(*calls)), low = 0, high = INT64_MAX - m->calls[service];
	struct taking k;
	if (tier + 1 == plan->n_tiers)
		return -1;
	memcpy(calls, m->calls, m->terms->n_services * sizeof(*calls));
	taking_make(m->terms, &w->arena, &k);
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;
		calls[service] = m->calls[service] + middle;
		taking_run(&k, m->activation, calls, m->pack_left);
		if (rating_tier(plan, k.services[service].billable) > tier)
			high = middle;
		else
			low = middle;
	}
	return high;
}

// By the ladder that raises the alert.
static int64_t ladder_tier(const struct plan *plan, int64_t quota, int64_t calls)
{
	int64_t left = -1;
	struct ladder *ladder = ladder_of_plan(plan, quota, plan->warn_micro);
	for (uint32_t i = ladder_next(ladder, calls); i < ladder->n && left < 0; i++)
		if (ladder->rungs[i].kind == ALERT_TIER_CROSSED)
			left = ladder->rungs[i].at - calls;
	ladder_freep(&ladder);
	return left;
}

bool usage_line_make(struct usage_world *w, struct usage_month *m, uint32_t service, struct rating_slice *slices, struct usage_line *ret)
{
	const struct terms_service *t = &m->terms->services[service];
	const struct settled_line *s = &m->settled[service], *first = &m->first[service];
	const struct deduct_service *d = &m->taking.services[service];
	enum rounding rounding = catalog_rounding(book_of(w));
	const struct plan *plan = s->revision >= 0 && s->prices != NULL ? &s->prices->plan : t->plan; // as a correction says
	*ret = (struct usage_line){ .priced = plan != NULL, .settled = s->revision >= 0, .revision = s->revision, .to_next_tier = -1 };
	if (plan == NULL)
		return true;
	int64_t calls = ret->settled ? s->calls : m->any_settled ? 0 : d->calls;
	ret->free = ret->settled ? s->free : m->any_settled ? 0 : d->free;
	ret->billable = ret->settled ? s->billable : m->any_settled ? 0 : d->billable;
	ret->free_left = t->shared >= 0 ? shared_left(m, &m->terms->shared[t->shared], t->shared)
					: quota_of(m, service) > ret->free ? quota_of(m, service) - ret->free : 0;
	if (ret->settled && s->corrected.n > 0 && s->free < s->calls)
		ret->free_left = 0; // late calls take no more of them (closing/adjust.c)
	if (!rating_charge(plan, calls, ret->free, ret->billable, rounding, slices, &ret->bill))
		return false;
	bool by_rest = plan->tier_basis == TIER_BY_BILLABLE && (t->shared >= 0 || t->n_packs > 0);
	if (!by_rest)
		ret->to_next_tier = ladder_tier(plan, quota_of(m, service), calls);
	else if (!ret->settled)
		ret->to_next_tier = search_tier(w, m, service, ret->bill.tier);
	if (ret->settled) {
		ret->bill.charge_fen = s->charge_fen;
		ret->adjusted_fen = s->charge_fen - (first->revision >= 0 ? first->charge_fen : 0);
		return true;
	}
	ret->has_forecast = m->has_forecast && forecast_service(&m->forecast, service, rounding, slices + RATING_MAX_SLICES, &ret->forecast);
	return true;
}
