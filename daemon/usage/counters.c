// SPDX-License-Identifier: Apache-2.0
#include "usage/counters.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { AT_ONCE = 500 }; // fields of one call

void usage_counters_free(struct usage_counters *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		free(c->list[i].account);
		free(c->list[i].service);
	}
	free(c->list);
	*c = (struct usage_counters){ 0 };
}

int usage_counter_order(const void *a, const void *b)
{
	const struct usage_counter *x = a, *y = b;
	int d = strcmp(x->account, y->account);
	if (d == 0)
		d = strcmp(x->service, y->service);
	return d != 0 ? d : (x->month > y->month) - (x->month < y->month);
}

void usage_counters_add_up(struct usage_counters *c)
{
	uint32_t n = 0;
	if (c->n > 0)
		qsort(c->list, c->n, sizeof(*c->list), usage_counter_order);
	for (uint32_t i = 0; i < c->n; i++) {
		if (n > 0 && usage_counter_order(&c->list[n - 1], &c->list[i]) == 0) {
			c->list[n - 1].calls += c->list[i].calls;
			c->list[n - 1].late += c->list[i].late;
			free(c->list[i].account);
			free(c->list[i].service);
			continue;
		}
		c->list[n++] = c->list[i];
	}
	c->n = n;
}

int usage_newest_month(const struct usage_counters *c)
{
	int month = MONTH_NONE;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->list[i].month > month)
			month = c->list[i].month;
	return month;
}

bool usage_asks_all_months(const struct account_book *book)
{
	for (uint32_t i = 0; i < account_book_size(book); i++) {
		const struct account *a = account_book_at(book, i);
		for (uint32_t t = 0; t < a->n_things; t++)
			if (a->things[t].n > 0 && a->things[t].facts[0]->kind == ACCOUNT_PACK)
				return true;
	}
	return false;
}

// ---- services of all rules versions, sorted, each once

struct names {
	uint32_t n;
	const char **list;
};

static int name_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void names_of(const struct journal *j, struct arena *arena, struct names *ret)
{
	size_t room = 0;
	uint32_t n = 0;
	for (uint32_t i = 0; i < j->n_rules; i++)
		room += catalog_services(j->rules[i].rules->catalog);
	ret->list = arena_alloc(arena, (room + 1) * sizeof(*ret->list));
	ret->n = 0;
	for (uint32_t i = 0; i < j->n_rules; i++)
		for (uint32_t s = 0; s < catalog_services(j->rules[i].rules->catalog); s++)
			ret->list[n++] = catalog_service_id(j->rules[i].rules->catalog, s);
	qsort(ret->list, n, sizeof(*ret->list), name_order);
	for (uint32_t i = 0; i < n; i++)
		if (ret->n == 0 || strcmp(ret->list[ret->n - 1], ret->list[i]) != 0)
			ret->list[ret->n++] = ret->list[i];
}

// ---- one account

struct look {
	struct store *store;
	uint32_t shard;
	struct span account;
	struct names names;
	struct span *fields;   // by name
	struct usage_counters *to;
	struct arena arena;
};

static enum error_class add(struct look *l, const struct store_month *m, uint32_t name, struct span value, struct error *e)
{
	bool late = m->adjust_month != MONTH_NONE;
	struct usage_counters *c = l->to;
	int64_t n;
	if (!span_int64(value, &n))
		return error_set(e, ERROR_HALT, 0, "a counter of shard %u cannot be read", l->shard);
	if (c->n == c->size) {
		c->size = c->size * 2 + 16;
		c->list = xrealloc(c->list, c->size, sizeof(*c->list));
	}
	c->list[c->n++] = (struct usage_counter){ .account = xstrndup(l->account.p, l->account.n), .service = xstrdup(l->names.list[name]),
		.month = m->month, .calls = late ? 0 : n, .late = late ? n : 0 };
	return ERROR_NONE;
}

static enum error_class look_at(struct look *l, const struct store_month *m, struct error *e)
{
	struct span *values = arena_alloc(&l->arena, AT_ONCE * sizeof(*values));
	enum error_class c = ERROR_NONE;
	for (uint32_t from = 0, n; c == ERROR_NONE && from < l->names.n; from += n) {
		n = l->names.n - from < AT_ONCE ? l->names.n - from : AT_ONCE;
		c = l->store->ops->counters_get(l->store, l->shard, m->month, m->adjust_month, l->fields + from, n, &l->arena, values, e);
		for (uint32_t i = 0; c == ERROR_NONE && i < n; i++)
			if (values[i].p != NULL)
				c = add(l, m, from + i, values[i], e);
	}
	return c;
}

enum error_class usage_counters_of(struct store *s, const struct journal *j, struct span account, struct usage_counters *ret, struct error *e)
{
	struct look l = { .store = s, .shard = store_shard(account, j->shards), .account = account, .to = ret };
	struct store_months months = { 0 };
	names_of(j, &l.arena, &l.names);
	l.fields = arena_alloc(&l.arena, (l.names.n + 1) * sizeof(*l.fields));
	for (uint32_t i = 0; i < l.names.n; i++) {
		CLEANUP(freep) char *field = xasprintf("%.*s/%s", (int)account.n, account.p, l.names.list[i]);
		l.fields[i] = arena_copy(&l.arena, span_of(field));
	}
	enum error_class c = s->ops->months(s, l.shard, &months, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < months.n; i++)
		c = look_at(&l, &months.list[i], e);
	store_months_free(&months);
	arena_free(&l.arena);
	usage_counters_add_up(ret);
	return c;
}
