// SPDX-License-Identifier: Apache-2.0
#include "tools/rules_effect.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static bool is_open(const struct effect_scope *s, int month)
{
	return s->settled == MONTH_NONE || month > s->settled;
}

static const struct account *find_account(const struct effect_scope *s, const char *account)
{
	return s->book != NULL ? account_book_find(s->book, span_of(account)) : NULL;
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
		for (end = begin + 1; end < c->n && strcmp(c->list[end].account, c->list[begin].account) == 0;)
			end++;
		add_account(s, d, begin, end, ret);
	}
}

// ---- alerts

struct foreseeing {
	const struct effect_scope *scope;
	struct effect_alerts *to;
	struct known own, plain;
};

static void foreseeing_free(struct foreseeing *f)
{
	known_free(&f->own);
	known_free(&f->plain);
}

// The ladder that holds for the counter; NULL: price 0, or no such service. False where it cannot be told.
static bool ladder_of(struct foreseeing *f, const struct terms *t, uint32_t service, const struct usage_counter *k, struct ladder **ret)
{
	const struct terms_service *x = t != NULL ? &t->services[service] : NULL;
	int since = MONTH_NONE;
	*ret = NULL;
	if (x == NULL || x->plan == NULL)
		return true;
	int64_t quota = x->quota;
	if (x->quota != x->quota_first) {
		if (!f->scope->since(f->scope->ctx, k->account, k->month, &since))
			return false;
		if (terms_activation(t, since))
			quota = terms_quota_in_first(t, x->quota, x->quota_first);
	}
	*ret = ladder_of_plan(x->plan, quota, x->warn_micro);
	return true;
}

static bool has_reached(const struct ladder *l, const struct rung *r, int64_t calls)
{
	for (uint32_t i = 0; l != NULL && i < l->n && l->rungs[i].at <= calls; i++)
		if (l->rungs[i].kind == r->kind && l->rungs[i].bound == r->bound)
			return true;
	return false;
}

static void add_alert(struct effect_alerts *a, const struct usage_counter *k, const struct rung *r)
{
	uint32_t i = 0;
	while (i < a->n && (a->list[i].month != k->month || a->list[i].kind != r->kind || a->list[i].bound != r->bound ||
			    strcmp(a->list[i].service, k->service) != 0))
		i++;
	if (i == a->n) {
		if (a->n == a->size) {
			a->size = a->size * 2 + 16;
			a->list = xrealloc(a->list, a->size, sizeof(*a->list));
		}
		a->list[a->n++] = (struct effect_alert){ .service = k->service, .month = k->month, .kind = r->kind, .bound = r->bound };
	}
	add_name(&a->list[i].accounts, k->account, (struct span){ NULL, 0 });
}

static bool foresee(struct foreseeing *f, const struct usage_counter *k)
{
	const struct account *a = find_account(f->scope, k->account);
	uint32_t in_from = 0, in_to = 0;
	CLEANUP(ladder_freep) struct ladder *before = NULL, *after = NULL;
	struct span service = span_of(k->service);
	struct both t = terms_of(a != NULL ? &f->own : &f->plain, f->scope, a, k->month);
	const struct terms *from = catalog_find_id(f->scope->from, service, &in_from) ? t.from : NULL;
	const struct terms *to = catalog_find_id(f->scope->to, service, &in_to) ? t.to : NULL;
	if ((from != NULL && terms_shares(from, in_from)) || (to != NULL && terms_shares(to, in_to))) {
		f->to->passed_over++;
		return true;
	}
	if (!ladder_of(f, from, in_from, k, &before) || !ladder_of(f, to, in_to, k, &after))
		return false;
	for (uint32_t i = 0; after != NULL && i < after->n && after->rungs[i].at <= k->calls; i++)
		if (!has_reached(before, &after->rungs[i], k->calls))
			add_alert(f->to, k, &after->rungs[i]);
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
	return c != 0 ? c : (a->kind > b->kind) - (a->kind < b->kind);
}

bool effect_alerts(const struct effect_scope *s, struct effect_alerts *ret)
{
	CLEANUP(foreseeing_free) struct foreseeing f = { .scope = s, .to = ret };
	*ret = (struct effect_alerts){ 0 };
	for (uint32_t i = 0; i < s->counters->n; i++) {
		const struct usage_counter *k = &s->counters->list[i];
		if (k->calls == 0 || !is_open(s, k->month))
			continue;
		if (!foresee(&f, k))
			return false;
	}
	if (ret->n > 0)
		qsort(ret->list, ret->n, sizeof(*ret->list), alert_order);
	return true;
}

void effect_alerts_free(struct effect_alerts *a)
{
	free(a->list);
	*a = (struct effect_alerts){ 0 };
}
