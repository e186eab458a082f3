// SPDX-License-Identifier: Apache-2.0
#include "tools/rules_effect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "closing/reached.h"

static bool is_open(const struct effect_scope *s, int month)
{
	return s->settled == MONTH_NONE || month > s->settled;
}

static const struct account *find_account(const struct effect_scope *s, const char *account)
{
	return s->book != NULL ? account_book_find(s->book, span_of(account)) : NULL;
}

// Behind the account's last counter.
static uint32_t account_end(const struct usage_counters *c, uint32_t begin)
{
	uint32_t end = begin + 1;
	while (end < c->n && strcmp(c->list[end].account, c->list[begin].account) == 0)
		end++;
	return end;
}

// Terms by both price books, made once for all counters of an account and month. Of an account of which nothing was said (NULL) they are
// the price list's, and serve for all of those.
struct both {
	int month;
	const struct terms *from, *to;
};
struct known {
	const struct account *account;
	struct arena arena;
	uint32_t n, size;
	struct both *list;
};

static void known_free(struct known *k)
{
	arena_free(&k->arena);
	free(k->list);
}

static struct both terms_of(struct known *k, const struct effect_scope *s, const struct account *a, int month)
{
	static const struct account_horizon all = { .stamp_ms = INT64_MAX };
	if (k->account != a) {
		arena_reset(&k->arena);
		k->n = 0;
		k->account = a;
	}
	for (uint32_t i = 0; i < k->n; i++)
		if (k->list[i].month == month)
			return k->list[i];
	if (k->n == k->size) {
		k->size = k->size * 2 + 8;
		k->list = xrealloc(k->list, k->size, sizeof(*k->list));
	}
	k->list[k->n] = (struct both){ month, terms_make(s->from, a, &all, month, &k->arena), terms_make(s->to, a, &all, month, &k->arena) };
	return k->list[k->n++];
}

// Another whole name, as long as there is room for it and for what says that there are more.
static void add_name(struct effect_names *x, const char *name, struct span contract)
{
	size_t at = strlen(x->text);
	if (x->n++ >= EFFECT_NAMES)
		return;
	int n = snprintf(x->text + at, sizeof(x->text) - at, contract.n > 0 ? "%s%s (%.*s)" : "%s%s", at > 0 ? ", " : "", name, (int)contract.n,
			 contract.n > 0 ? contract.p : "");
	if (n < 0 || (size_t)n >= sizeof(x->text) - at)
		x->text[at] = '\0';
}

// ---- who is concerned

static const char *terms_text(const struct terms *t, uint32_t service, enum rules_aspect of, struct arena *arena)
{
	const struct terms_service *x = &t->services[service];
	const enum first_month first = x->quota_first == x->quota ? FIRST_MONTH_IMMEDIATE : FIRST_MONTH_NEXT;
	if (of == RULES_PRICE)
		return rules_plan_text(x->plan, arena);
	if (of == RULES_FREE)
		return rules_quota_text(x->quota, x->warn_micro, first, arena);
	if (x->shared < 0)
		return "none";
	const struct terms_shared *q = &t->shared[x->shared];
	return rules_quota_text(q->calls, q->warn_micro, q->calls_first == q->calls ? FIRST_MONTH_IMMEDIATE : FIRST_MONTH_NEXT, arena);
}

// Does the difference reach this counter? Where it does not, *ret_contract is what decides instead.
static bool reaches(const struct effect_scope *s, const struct rules_difference *d, const struct account *a, const struct usage_counter *k,
		    struct span *ret_contract, struct known *known)
{
	uint32_t in_from = 0, in_to = 0;
	bool there = catalog_find_id(s->to, span_of(k->service), &in_to);
	bool known_before = catalog_find_id(s->from, span_of(k->service), &in_from);
	struct both t = { .to = NULL };
	if (a != NULL && there)
		t = terms_of(known, s, a, k->month);
	if (t.to == NULL || t.to->services[in_to].contract.n == 0) // the price list decides; at price 0 its free calls concern contracts only
		return d->aspect != RULES_FREE || !there || catalog_plan(s->to, in_to, k->month) != NULL ||
		       (known_before && catalog_plan(s->from, in_from, k->month) != NULL);
	if (!known_before)
		return true;
	*ret_contract = t.to->services[in_to].contract;
	return strcmp(terms_text(t.from, in_from, d->aspect, &known->arena), terms_text(t.to, in_to, d->aspect, &known->arena)) != 0;
}

static bool counts(const struct effect_scope *s, const struct rules_difference *d, const struct usage_counter *k)
{
	return k->calls > 0 && strcmp(k->service, d->service) == 0 && is_open(s, k->month) && k->month >= d->month &&
	       (d->until == MONTH_NONE || k->month < d->until);
}

// Counters [begin, end) are of one account.
static void add_account(const struct effect_scope *s, const struct rules_difference *d, uint32_t begin, uint32_t end, struct effect *x)
{
	CLEANUP(known_free) struct known known = { 0 };
	const char *name = s->counters->list[begin].account;
	const struct account *a = find_account(s, name);
	struct span contract = { NULL, 0 };
	bool touched = false;
	for (uint32_t i = begin; i < end; i++) {
		const struct usage_counter *k = &s->counters->list[i];
		if (!counts(s, d, k) || !reaches(s, d, a, k, &contract, &known))
			continue;
		touched = true;
		x->calls += k->calls;
	}
	if (touched)
		add_name(&x->touched, name, (struct span){ NULL, 0 });
	else if (contract.n > 0)
		add_name(&x->by_contract, name, contract);
}

void effect_of(const struct effect_scope *s, const struct rules_difference *d, struct effect *ret)
{
	const struct usage_counters *c = s->counters;
	check(d->month != MONTH_NONE && d->service != NULL);
	*ret = (struct effect){ 0 };
	for (uint32_t begin = 0, end; begin < c->n; begin = end) {
		end = account_end(c, begin);
		add_account(s, d, begin, end, ret);
	}
}

// ---- alerts

struct foreseeing {
	const struct effect_scope *scope;
	struct effect_alerts *to;
	struct known plain;             // terms of those of whom nothing was said
	struct arena arena;             // of one account
	// of the account at hand
	const struct usage_counter *counters;
	uint32_t n_counters, n, size;
	struct reached *list;
};

static void foreseeing_free(struct foreseeing *f)
{
	known_free(&f->plain);
	arena_free(&f->arena);
	free(f->list);
}

static void add_reached(void *ctx, const struct reached *x)
{
	struct foreseeing *f = ctx;
	if (f->n == f->size) {
		f->size = f->size * 2 + 16;
		f->list = xrealloc(f->list, f->size, sizeof(*f->list));
	}
	f->list[f->n++] = *x;
}

static bool activation_of(struct foreseeing *f, const struct terms *t, bool *ret)
{
	int since = MONTH_NONE;
	*ret = false;
	if (!terms_ask_activation(t))
		return true;
	if (!f->scope->since(f->scope->ctx, f->counters[0].account, t->month, &since))
		return false;
	*ret = terms_activation(t, since);
	return true;
}

static void add_counters(const struct foreseeing *f, const struct catalog *c, int month, int64_t *calls)
{
	uint32_t service;
	for (uint32_t i = 0; i < f->n_counters; i++)
		if (f->counters[i].month == month && catalog_find_id(c, span_of(f->counters[i].service), &service))
			calls[service] = f->counters[i].calls;
}

// All that the account has reached by one price book; first: the first of its open months with calls.
static bool reach(struct foreseeing *f, const struct catalog *c, bool to, const struct account *a, int first, int last)
{
	static const struct account_horizon all = { .stamp_ms = INT64_MAX };
	uint32_t n = (uint32_t)(last - first + 1), packs = 0;
	struct reached_month *months = arena_alloc(&f->arena, n * sizeof(*months));
	struct balance gave = { .month = MONTH_NONE };
	for (int month = first; month <= last; month++) {
		struct reached_month *m = &months[month - first];
		struct both plain = { .to = NULL };
		if (a == NULL)
			plain = terms_of(&f->plain, f->scope, NULL, month);
		m->terms = a != NULL ? terms_make(c, a, &all, month, &f->arena) : to ? plain.to : plain.from;
		m->calls = arena_alloc(&f->arena, (m->terms->n_services + 1) * sizeof(*m->calls));
		memset(m->calls, 0, (m->terms->n_services + 1) * sizeof(*m->calls));
		add_counters(f, c, month, m->calls);
		packs += m->terms->n_packs;
		if (!activation_of(f, m->terms, &m->activation))
			return false;
	}
	if (packs > 0 && !f->scope->gave(f->scope->ctx, f->counters[0].account, &f->arena, &gave))
		return false;
	reached_run(c, months, n, &gave, &f->arena, add_reached, f);
	return true;
}

static bool same_thing(const struct reached *x, const struct reached *y)
{
	return x->month == y->month && x->kind == y->kind && x->bound == y->bound && strcmp(x->service, y->service) == 0 && span_eq(x->pack, y->pack);
}

static void add_alert(struct effect_alerts *a, const char *account, const struct reached *r)
{
	uint32_t i = 0;
	while (i < a->n && (a->list[i].month != r->month || a->list[i].kind != r->kind || a->list[i].bound != r->bound ||
			    strcmp(a->list[i].service, r->service) != 0 || !span_eq(span_of(a->list[i].pack != NULL ? a->list[i].pack : ""), r->pack)))
		i++;
	if (i == a->n) {
		if (a->n == a->size) {
			a->size = a->size * 2 + 16;
			a->list = xrealloc(a->list, a->size, sizeof(*a->list));
		}
		a->list[a->n++] = (struct effect_alert){ .service = xstrdup(r->service), .pack = r->pack.n > 0 ? xstrndup(r->pack.p, r->pack.n) : NULL,
							 .month = r->month, .kind = r->kind, .bound = r->bound };
	}
	add_name(&a->list[i].accounts, account, (struct span){ NULL, 0 });
}

// Counters [begin, begin + n) are of one account.
static bool foresee(struct foreseeing *f, uint32_t begin, uint32_t n)
{
	const struct effect_scope *s = f->scope;
	const struct account *a = find_account(s, s->counters->list[begin].account);
	int first = MONTH_NONE, last = MONTH_NONE;
	f->counters = &s->counters->list[begin];
	f->n_counters = n;
	for (uint32_t i = 0; i < n; i++) {
		if (f->counters[i].calls == 0 || !is_open(s, f->counters[i].month))
			continue;
		first = first == MONTH_NONE || f->counters[i].month < first ? f->counters[i].month : first;
		last = f->counters[i].month > last ? f->counters[i].month : last;
	}
	if (first == MONTH_NONE)
		return true;
	arena_reset(&f->arena);
	f->n = 0;
	if (!reach(f, s->from, false, a, first, last))
		return false;
	uint32_t before = f->n;
	if (!reach(f, s->to, true, a, first, last))
		return false;
	for (uint32_t i = before; i < f->n; i++) {
		uint32_t k = 0;
		while (k < before && !same_thing(&f->list[k], &f->list[i]))
			k++;
		if (k == before)
			add_alert(f->to, f->counters[0].account, &f->list[i]);
	}
	return true;
}

static int alert_order(const void *x, const void *y)
{
	const struct effect_alert *a = x, *b = y;
	int c = (a->month > b->month) - (a->month < b->month);
	if (c == 0)
		c = strcmp(a->service, b->service);
	if (c == 0)
		c = (a->bound > b->bound) - (a->bound < b->bound);
	if (c == 0)
		c = (a->kind > b->kind) - (a->kind < b->kind);
	return c != 0 || a->pack == NULL || b->pack == NULL ? c : strcmp(a->pack, b->pack);
}

bool effect_alerts(const struct effect_scope *s, struct effect_alerts *ret)
{
	CLEANUP(foreseeing_free) struct foreseeing f = { .scope = s, .to = ret };
	*ret = (struct effect_alerts){ 0 };
	for (uint32_t begin = 0, end; begin < s->counters->n; begin = end) {
		end = account_end(s->counters, begin);
		if (!foresee(&f, begin, end - begin))
			return false;
	}
	if (ret->n > 0)
		qsort(ret->list, ret->n, sizeof(*ret->list), alert_order);
	return true;
}

void effect_alerts_free(struct effect_alerts *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		free(a->list[i].service);
		free(a->list[i].pack);
	}
	free(a->list);
	*a = (struct effect_alerts){ 0 };
}
