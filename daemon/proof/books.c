// SPDX-License-Identifier: Apache-2.0
#include "proof/books.h"

#include <stdlib.h>

#include "base/check.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

// One field of a table: a number, or a text.
struct cell {
	struct span key;
	int64_t n;
	struct span text;
	UT_hash_handle hh;
};
struct table {
	struct cell *cells;         // in order of arrival
	struct table *next;
	int month, adjust_month;
};
struct active {                     // one account's months with calls, and with which month they were closed
	struct span account;
	uint32_t n, size;
	struct active_month {
		int month, closed_with;
	} *list;
	UT_hash_handle hh;
};

struct books {
	struct store store;         // first
	books_document_fn *fn;
	void *ctx;
	struct arena arena;         // keys and texts
	struct table *counters, *freezes, *settled; // lists of tables, by month
	struct table packs;
	struct active *active;
	char *word;                 // for a key under way
	size_t word_size;
};

static struct cell *find(const struct table *t, struct span key)
{
	struct cell *c = NULL;
	HASH_FIND(hh, t->cells, key.p, key.n, c);
	return c;
}

static struct cell *find_or_add(struct books *b, struct table *t, struct span key)
{
	struct cell *c = find(t, key);
	if (c != NULL)
		return c;
	c = xcalloc(1, sizeof(*c));
	c->key = arena_copy(&b->arena, key);
	HASH_ADD_KEYPTR(hh, t->cells, c->key.p, c->key.n, c);
	return c;
}

static struct table *table_of(struct table *list, int month, int adjust_month)
{
	while (list != NULL && (list->month != month || list->adjust_month != adjust_month))
		list = list->next;
	return list;
}

static struct table *table_make(struct table **list, int month, int adjust_month)
{
	struct table *t = table_of(*list, month, adjust_month);
	if (t != NULL)
		return t;
	t = xcalloc(1, sizeof(*t));
	*t = (struct table){ .next = *list, .month = month, .adjust_month = adjust_month };
	*list = t;
	return t;
}

static void table_empty(struct table *t)
{
	struct cell *c, *next;
	HASH_ITER(hh, t->cells, c, next) {
		HASH_DEL(t->cells, c);
		free(c);
	}
}

static void tables_free(struct table *list)
{
	while (list != NULL) {
		struct table *next = list->next;
		table_empty(list);
		free(list);
		list = next;
	}
}

static struct span field(struct books *b, struct span account, const char *between, struct span rest)
{
	size_t n = strlen(between), size = account.n + n + rest.n;
	if (size > b->word_size) {
		b->word_size = size * 2;
		b->word = xrealloc(b->word, b->word_size, 1);
	}
	memcpy(b->word, account.p, account.n);
	memcpy(b->word + account.n, between, n);
	if (rest.n > 0)
		memcpy(b->word + account.n + n, rest.p, rest.n);
	return (struct span){ b->word, size };
}

static void activate(struct books *b, struct span account, int month, int closed_with)
{
	struct active *a = NULL;
	HASH_FIND(hh, b->active, account.p, account.n, a);
	if (a == NULL) {
		a = xcalloc(1, sizeof(*a));
		a->account = arena_copy(&b->arena, account);
		HASH_ADD_KEYPTR(hh, b->active, a->account.p, a->account.n, a);
	}
	for (uint32_t i = a->n; i > 0; i--) // the newest is asked for most
		if (a->list[i - 1].month == month && a->list[i - 1].closed_with == closed_with)
			return;
	if (a->n == a->size) {
		a->size = a->size * 2 + 4;
		a->list = xrealloc(a->list, a->size, sizeof(*a->list));
	}
	a->list[a->n++] = (struct active_month){ month, closed_with };
}

bool books_count(struct books *b, struct span account, struct span service_id, int month, int adjust_month, int64_t calls)
{
	struct table *t = table_make(&b->counters, month, adjust_month);
	struct cell *c = find_or_add(b, t, field(b, account, "/", service_id));
	activate(b, account, month, adjust_month != MONTH_NONE ? adjust_month : month);
	return !__builtin_add_overflow(c->n, calls, &c->n);
}

int64_t books_counters(const struct books *b, int month)
{
	const struct table *t = table_of(b->counters, month, MONTH_NONE);
	return t != NULL ? HASH_COUNT(t->cells) : 0;
}

// ---- what settling asks
static struct books *books_of(struct store *s)
{
	return (struct books *)s;
}

static enum error_class close_month(struct store *s, uint32_t shard, int month, int64_t close_ms, const char *sha256, bool follows,
				    const struct span *parts, uint32_t n_parts, struct error *e)
{
	(void)s, (void)shard, (void)month, (void)close_ms, (void)sha256, (void)follows, (void)parts, (void)n_parts, (void)e;
	return ERROR_NONE; // the log was read up to the manifest's cuts
}

static enum error_class outbox_length(struct store *s, uint32_t shard, int64_t *ret, struct error *e)
{
	(void)s, (void)shard, (void)e;
	*ret = 0;
	return ERROR_NONE;
}

static void scan(const struct table *t, bool texts, store_scan_fn *fn, void *ctx)
{
	for (const struct cell *c = t != NULL ? t->cells : NULL; c != NULL; c = c->hh.next) {
		char number[24];
		snprintf(number, sizeof(number), "%lld", (long long)c->n);
		if (!fn(ctx, c->key, texts ? c->text : span_of(number)))
			return;
	}
}

static enum error_class scan_counters(struct store *s, uint32_t shard, int month, int adjust_month, store_scan_fn *fn, void *ctx, struct error *e)
{
	(void)shard, (void)e;
	scan(table_of(books_of(s)->counters, month, adjust_month), false, fn, ctx);
	return ERROR_NONE;
}

static enum error_class scan_freezes(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	(void)shard, (void)e;
	scan(table_of(books_of(s)->freezes, month, MONTH_NONE), false, fn, ctx);
	return ERROR_NONE;
}

static enum error_class scan_settled(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	(void)shard, (void)e;
	scan(table_of(books_of(s)->settled, month, MONTH_NONE), true, fn, ctx);
	return ERROR_NONE;
}

static enum error_class months(struct store *s, uint32_t shard, struct store_months *ret, struct error *e)
{
	uint32_t n = 0;
	(void)shard, (void)e;
	for (const struct table *t = books_of(s)->counters; t != NULL; t = t->next)
		n++;
	ret->list = xcalloc(n + 1, sizeof(*ret->list));
	ret->n = n;
	for (const struct table *t = books_of(s)->counters; t != NULL; t = t->next)
		ret->list[--n] = (struct store_month){ t->month, t->adjust_month };
	return ERROR_NONE;
}

static enum error_class active_since(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, int below_month, int *ret,
				     struct error *e)
{
	(void)shard, (void)e;
	for (uint32_t i = 0; i < n; i++) {
		const struct active *a = NULL;
		HASH_FIND(hh, books_of(s)->active, accounts[i].p, accounts[i].n, a);
		ret[i] = MONTH_NONE;
		for (uint32_t k = 0; a != NULL && k < a->n; k++)
			if (a->list[k].closed_with <= below_month && (ret[i] == MONTH_NONE || a->list[k].month < ret[i]))
				ret[i] = a->list[k].month;
	}
	return ERROR_NONE;
}

static void get(const struct table *t, const struct span *keys, uint32_t n, struct arena *arena, struct span *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct cell *c = t != NULL ? find(t, keys[i]) : NULL;
		ret[i] = c != NULL ? arena_copy(arena, c->text) : (struct span){ 0 };
	}
}

static enum error_class settled_get(struct store *s, uint32_t shard, int month, const struct span *fields, uint32_t n, struct arena *arena,
				    struct span *ret, struct error *e)
{
	(void)shard, (void)e;
	get(table_of(books_of(s)->settled, month, MONTH_NONE), fields, n, arena, ret);
	return ERROR_NONE;
}

static enum error_class packs_get(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, struct arena *arena, struct span *ret,
				  struct error *e)
{
	(void)shard, (void)e;
	get(&books_of(s)->packs, accounts, n, arena, ret);
	return ERROR_NONE;
}

// ---- what settling hands over
static void put_text(struct books *b, struct table *t, struct span key, struct span text)
{
	find_or_add(b, t, key)->text = arena_copy(&b->arena, text);
}

static void settle_revision(struct books *b, int month, struct span account, const struct store_revision *r)
{
	put_text(b, table_make(&b->settled, r->month, MONTH_NONE), field(b, SPAN_LIT("#rev"), "/", account), r->facts);
	for (uint32_t i = 0; i < r->n_adjustments; i++)
		b->fn(b->ctx, month, account, r->adjustments[i].document);
	b->fn(b->ctx, month, account, r->document);
}

static void settle_lines(struct books *b, int month, const struct store_statement *st)
{
	struct table *settled = table_make(&b->settled, month, MONTH_NONE), *freezes = table_make(&b->freezes, month, MONTH_NONE);
	for (uint32_t i = 0; i < st->n_lines; i++) {
		const struct store_line *l = &st->lines[i];
		struct span name = field(b, st->account, "/", l->service_id);
		put_text(b, settled, name, l->facts);
		if (l->freeze_fen != 0)
			find_or_add(b, freezes, name)->n = l->freeze_fen;
		b->fn(b->ctx, month, st->account, l->document);
	}
	put_text(b, settled, st->account, st->facts);
	b->fn(b->ctx, month, st->account, st->document);
}

static enum error_class settle(struct store *s, uint32_t shard, int month, const struct store_statement *list, uint32_t n, struct error *e)
{
	struct books *b = books_of(s);
	(void)shard, (void)e;
	for (uint32_t i = 0; i < n; i++) {
		const struct store_statement *st = &list[i];
		for (uint32_t k = 0; k < st->n_revisions; k++)
			settle_revision(b, month, st->account, &st->revisions[k]);
		if (st->n_revisions > 0)
			put_text(b, table_make(&b->settled, month, MONTH_NONE), field(b, SPAN_LIT("#late"), "/", st->account), st->late_facts);
		if (st->n_lines > 0)
			settle_lines(b, month, st);
		if (st->packs.p != NULL)
			put_text(b, &b->packs, st->account, st->packs);
	}
	return ERROR_NONE;
}

static enum error_class end_run(struct store *s, int month, struct span identity, struct span document, int64_t not_before_ms, struct error *e)
{
	(void)identity, (void)not_before_ms, (void)e;
	books_of(s)->fn(books_of(s)->ctx, month, (struct span){ 0 }, document);
	return ERROR_NONE;
}

static const struct store_ops books_ops = {
	.close_month = close_month,
	.outbox_length = outbox_length,
	.scan_counters = scan_counters,
	.scan_freezes = scan_freezes,
	.scan_settled = scan_settled,
	.months = months,
	.active_since = active_since,
	.settled_get = settled_get,
	.packs_get = packs_get,
	.settle = settle,
	.end_run = end_run,
};

struct books *books_new(books_document_fn *fn, void *ctx)
{
	struct books *b = xcalloc(1, sizeof(*b));
	*b = (struct books){ .store = { &books_ops }, .fn = fn, .ctx = ctx };
	return b;
}

void books_freep(struct books **at)
{
	struct books *b = *at;
	struct active *a, *next;
	if (b == NULL)
		return;
	tables_free(b->counters);
	tables_free(b->freezes);
	tables_free(b->settled);
	table_empty(&b->packs);
	HASH_ITER(hh, b->active, a, next) {
		HASH_DEL(b->active, a);
		free(a->list);
		free(a);
	}
	arena_free(&b->arena);
	free(b->word);
	free(b);
	*at = NULL;
}

struct store *books_store(struct books *b)
{
	return &b->store;
}
