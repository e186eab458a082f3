// SPDX-License-Identifier: Apache-2.0
// One shard's month, read whole, put in order and freed of repeats: a scan may show a field twice, and in any order. What comes out
// is the same for the same contents, so that documents leave in the same order whoever closes the month.
#include <jansson.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "closing/inner.h"
#include "journal/json.h"

struct raw {
	struct span account;
	uint32_t service;
	bool freeze;
	int64_t value;
};

struct gathering {
	const struct catalog *catalog;
	struct arena *arena;
	struct raw *list;
	size_t n, size;
	bool freeze;
	struct error e;
};

static void gathering_free(struct gathering *g)
{
	free(g->list);
}

static void gathering_add(struct gathering *g, struct raw r)
{
	if (g->n == g->size) {
		g->size = g->size > 0 ? g->size * 2 : 256;
		g->list = xrealloc(g->list, g->size, sizeof(*g->list));
	}
	g->list[g->n++] = r;
}

static bool take_field(void *ctx, struct span field, struct span value)
{
	struct gathering *g = ctx;
	struct raw r = { .freeze = g->freeze };
	struct span account, service;
	if (!span_cut(field, '/', &account, &service) || !span_int64(value, &r.value) || r.value < 0) {
		error_set(&g->e, ERROR_HALT, 0, "a %s of the month cannot be read; look for what else writes to this Redis",
			  g->freeze ? "freeze" : "counter");
		return false;
	}
	if (!catalog_find_id(g->catalog, service, &r.service)) {
		error_set(&g->e, ERROR_HALT, 0, "calls of service \"%.*s\" are to be settled, and the price book has no such service; put it back",
			  (int)(service.n < 64 ? service.n : 64), service.p);
		return false;
	}
	r.account = arena_copy(g->arena, account);
	gathering_add(g, r);
	return true;
}

static int raw_order(const void *x, const void *y)
{
	const struct raw *a = x, *b = y;
	int c = span_order(a->account, b->account);
	if (c == 0)
		c = (a->service > b->service) - (a->service < b->service);
	if (c == 0)
		c = (int)a->freeze - (int)b->freeze;
	return c != 0 ? c : (a->value > b->value) - (a->value < b->value);
}

// Sorted raw fields to holdings. False: a field showed two values, so that the scan began in one state and ended in another.
static bool merge(const struct gathering *g, struct holdings *h)
{
	h->list = xcalloc(g->n + 1, sizeof(*h->list));
	for (size_t i = 0; i < g->n; i++) {
		const struct raw *r = &g->list[i], *before = i > 0 ? r - 1 : NULL;
		bool same = before != NULL && before->service == r->service && span_eq(before->account, r->account);
		if (same && before->freeze == r->freeze) {
			if (before->value != r->value)
				return false;
			continue;
		}
		if (!same)
			h->list[h->n++] = (struct holding){ .account = r->account, .service = r->service };
		struct holding *to = &h->list[h->n - 1];
		if (r->freeze)
			to->unfreeze_fen = r->value;
		else
			to->calls = r->value;
		h->freezes += r->freeze;
		h->counters += !r->freeze;
		if (!r->freeze && __builtin_add_overflow(h->calls, r->value, &h->calls))
			return false;
	}
	return true;
}

void holdings_free(struct holdings *h)
{
	arena_free(&h->arena);
	free(h->list);
	free(h->late);
	free(h->late_months);
	*h = (struct holdings){ 0 };
}

enum error_class gather_holdings(struct store *s, uint32_t shard, int month, const struct catalog *c, struct holdings *ret, struct error *e)
{
	struct holdings h = { 0 };
	CLEANUP(gathering_free) struct gathering g = { .catalog = c, .arena = &h.arena };
	enum error_class cls = s->ops->scan_counters(s, shard, month, MONTH_NONE, take_field, &g, e);
	g.freeze = true;
	if (cls == ERROR_NONE && g.e.cls == ERROR_NONE)
		cls = s->ops->scan_freezes(s, shard, month - 1, take_field, &g, e);
	if (cls == ERROR_NONE && g.e.cls != ERROR_NONE)
		cls = error_set(e, g.e.cls, g.e.exit_code, "%s", g.e.text);
	if (cls == ERROR_NONE && g.n > 0)
		qsort(g.list, g.n, sizeof(*g.list), raw_order);
	if (cls == ERROR_NONE && !merge(&g, &h))
		cls = error_set(e, ERROR_RETRY, 0, "the counters of a month changed while they were read");
	if (cls != ERROR_NONE)
		holdings_free(&h);
	else
		*ret = h;
	return cls;
}

// ---- late calls
struct late_gathering {
	const struct catalog *catalog; // of the month
	int month;
	struct holdings *h;
	size_t size;
	int64_t unknown;               // fields whose service the price book of that month does not have
	struct error e;
};

static struct late_holding *late_slot(struct late_gathering *g)
{
	struct holdings *h = g->h;
	if (h->n_late == g->size) {
		g->size = g->size > 0 ? g->size * 2 : 64;
		h->late = xrealloc(h->late, g->size, sizeof(*h->late));
	}
	return &h->late[h->n_late++];
}

// A service that is not known is kept as UINT32_MAX until the fields are counted; its account is then the whole field.
static bool take_late(void *ctx, struct span field, struct span value)
{
	struct late_gathering *g = ctx;
	struct span account, service;
	struct late_holding l = { .month = g->month, .service = UINT32_MAX };
	if (!span_cut(field, '/', &account, &service) || !span_int64(value, &l.calls) || l.calls < 0) {
		error_set(&g->e, ERROR_HALT, 0, "a counter of late calls cannot be read; look for what else writes to this Redis");
		return false;
	}
	bool known = catalog_find_id(g->catalog, service, &l.service);
	l.account = arena_copy(&g->h->arena, known ? account : field);
	*late_slot(g) = l;
	return true;
}

static int late_order(const void *x, const void *y)
{
	const struct late_holding *a = x, *b = y;
	int c = span_order(a->account, b->account);
	if (c == 0)
		c = (a->month > b->month) - (a->month < b->month);
	if (c == 0)
		c = (a->service > b->service) - (a->service < b->service);
	return c != 0 ? c : (a->calls > b->calls) - (a->calls < b->calls);
}

// Without repeats and without services that are not known; both are counted right. False: a field showed two values.
static bool merge_late(struct holdings *h, int64_t *unknown)
{
	size_t n = 0;
	const struct late_holding *before = NULL;
	struct late_holding last;
	for (size_t i = 0; i < h->n_late; i++) {
		struct late_holding l = h->late[i];
		bool same = before != NULL && before->service == l.service && before->month == l.month && span_eq(before->account, l.account);
		if (same && before->calls != l.calls)
			return false;
		last = l;
		before = &last;
		if (same)
			continue;
		h->late_fields++;
		if (l.service == UINT32_MAX)
			(*unknown)++;
		else
			h->late[n++] = l;
	}
	h->n_late = n;
	return true;
}

static int month_order(const void *x, const void *y)
{
	const int *a = x, *b = y;
	return (*a > *b) - (*a < *b);
}

uint32_t months_once(int *months, uint32_t n)
{
	uint32_t kept = 0;
	if (n > 0)
		qsort(months, n, sizeof(*months), month_order);
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || months[i] != months[kept - 1])
			months[kept++] = months[i];
	return kept;
}

// Buckets that are adjusted with `month`, each once, ascending.
static enum error_class late_months(struct store *s, uint32_t shard, int month, struct holdings *h, struct error *e)
{
	struct store_months months = { 0 };
	enum error_class cls = s->ops->months(s, shard, &months, e);
	if (cls != ERROR_NONE)
		return cls;
	h->late_months = xcalloc(months.n + 1, sizeof(*h->late_months));
	for (uint32_t i = 0; i < months.n; i++)
		if (months.list[i].adjust_month == month)
			h->late_months[h->n_late_months++] = months.list[i].month;
	store_months_free(&months);
	h->n_late_months = months_once(h->late_months, h->n_late_months);
	return ERROR_NONE;
}

enum error_class gather_late(struct store *s, uint32_t shard, const struct journal *j, const struct journal_manifest *m, struct holdings *h,
			     struct error *e)
{
	struct late_gathering g = { .h = h };
	int64_t unknown = 0;
	enum error_class cls = late_months(s, shard, m->month, h, e);
	for (uint32_t i = 0; cls == ERROR_NONE && g.e.cls == ERROR_NONE && i < h->n_late_months; i++) {
		const struct journal_manifest *own = journal_manifest(j, h->late_months[i]);
		g.month = h->late_months[i];
		g.catalog = journal_rules_version(j, (own != NULL ? own : m)->rules_version)->rules->catalog;
		cls = s->ops->scan_counters(s, shard, g.month, m->month, take_late, &g, e);
	}
	if (cls == ERROR_NONE && g.e.cls != ERROR_NONE)
		cls = error_set(e, g.e.cls, g.e.exit_code, "%s", g.e.text);
	if (cls == ERROR_NONE && h->n_late > 0)
		qsort(h->late, h->n_late, sizeof(*h->late), late_order);
	if (cls == ERROR_NONE && !merge_late(h, &unknown))
		cls = error_set(e, ERROR_RETRY, 0, "late counters changed while they were read");
	if (cls == ERROR_NONE && unknown > 0)
		log_line(LVL_WARN, "late_calls_without_price", "shard=%u counters=%lld why=%s", shard, (long long)unknown,
			 "\"the price book of their month does not have the service: they cost nothing\"");
	return cls;
}

// ---- statements that are made already
static int64_t integer_of(const json_t *j, const char *name, bool *ok)
{
	const json_t *v = json_object_get(j, name);
	*ok = *ok && json_is_integer(v);
	return json_integer_value(v);
}

static bool sum_facts(struct span facts, struct settled_sums *s)
{
	CLEANUP(json_freep) json_t *j = json_loadb(facts.p, facts.n, JSON_REJECT_DUPLICATES, NULL);
	bool ok = j != NULL;
	int64_t lines = integer_of(j, "lines", &ok), charge = integer_of(j, "charge_fen", &ok);
	int64_t unfreeze = integer_of(j, "unfreeze_fen", &ok), freeze = integer_of(j, "freeze_fen", &ok);
	s->accounts++;
	return ok && !__builtin_add_overflow(s->lines, lines, &s->lines) && !__builtin_add_overflow(s->charge_fen, charge, &s->charge_fen) &&
	       !__builtin_add_overflow(s->unfreeze_fen, unfreeze, &s->unfreeze_fen) &&
	       !__builtin_add_overflow(s->freeze_fen, freeze, &s->freeze_fen);
}

static bool sum_late_facts(struct span facts, struct settled_sums *s)
{
	CLEANUP(json_freep) json_t *j = json_loadb(facts.p, facts.n, JSON_REJECT_DUPLICATES, NULL);
	bool ok = j != NULL;
	int64_t adjustments = integer_of(j, "adjustments", &ok), difference = integer_of(j, "difference_fen", &ok);
	return ok && !__builtin_add_overflow(s->adjustments, adjustments, &s->adjustments) &&
	       !__builtin_add_overflow(s->difference_fen, difference, &s->difference_fen);
}

struct settled_field {
	struct span account, facts;
	bool late;
};
struct settled_list {
	struct arena arena;
	struct settled_field *list;
	size_t n, size;
};

static void settled_free(struct settled_list *l)
{
	arena_free(&l->arena);
	free(l->list);
}

static bool take_settled(void *ctx, struct span field, struct span value)
{
	static const struct span mark = SPAN_LIT("#late/");
	struct settled_list *l = ctx;
	struct settled_field x = { .late = field.n > mark.n && memcmp(field.p, mark.p, mark.n) == 0 };
	if (!x.late && (field.n == 0 || field.p[0] == '#' || memchr(field.p, '/', field.n) != NULL))
		return true; // a line, or the store's own
	size_t skip = x.late ? mark.n : 0;
	if (l->n == l->size) {
		l->size = l->size > 0 ? l->size * 2 : 256;
		l->list = xrealloc(l->list, l->size, sizeof(*l->list));
	}
	x.account = arena_copy(&l->arena, (struct span){ field.p + skip, field.n - skip });
	x.facts = arena_copy(&l->arena, value);
	l->list[l->n++] = x;
	return true;
}

static int settled_order(const void *x, const void *y)
{
	const struct settled_field *a = x, *b = y;
	int c = span_order(a->account, b->account);
	return c != 0 ? c : (int)a->late - (int)b->late;
}

enum error_class gather_settled(struct store *s, uint32_t shard, int month, struct settled_sums *sums, struct error *e)
{
	CLEANUP(settled_free) struct settled_list l = { 0 };
	enum error_class c = s->ops->scan_settled(s, shard, month, take_settled, &l, e);
	if (c != ERROR_NONE)
		return c;
	if (l.n > 0)
		qsort(l.list, l.n, sizeof(*l.list), settled_order);
	for (size_t i = 0; i < l.n; i++) {
		const struct settled_field *x = &l.list[i];
		bool same = i > 0 && span_eq(x->account, x[-1].account);
		sums->steps += !same;
		if (same && x->late == x[-1].late)
			continue;
		if (!(x->late ? sum_late_facts(x->facts, sums) : sum_facts(x->facts, sums)))
			return error_set(e, ERROR_HALT, 0, "the facts of a statement cannot be read or summed; look for what else writes to this Redis");
	}
	return ERROR_NONE;
}
