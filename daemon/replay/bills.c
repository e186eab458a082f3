// SPDX-License-Identifier: Apache-2.0
// Counters and lines of both sides, brought together by account, service and month.
#include <stdlib.h>

#include "base/check.h"
#include "closing/kept.h"
#include "replay/inner.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

struct row {
	struct replay_bill bill;
	struct replay_figures bare;
	int64_t revision[SIDES + 1];    // of the line that is there
	bool corrected;                 // as it is: a correction was made of it
	UT_hash_handle hh;
};
struct gathering {
	struct replay *r;
	struct row *rows;
	struct arena scratch;
	int side, month;
	bool late;
	const char *why;                // NULL: all can be read
};

static void gathering_free(struct gathering *g)
{
	struct row *row = g->rows, *next;
	HASH_CLEAR(hh, g->rows);
	for (; row != NULL; row = next) {
		next = row->hh.next;
		free(row);
	}
	arena_free(&g->scratch);
}

static struct row *row_of(struct gathering *g, struct span account, struct span service)
{
	struct row *row = NULL;
	const char *key = arena_printf(&g->scratch, "%.*s/%.*s/%d", (int)account.n, account.p, (int)service.n, service.p, g->month);
	size_t n = strlen(key);
	HASH_FIND(hh, g->rows, key, n, row);
	if (row != NULL)
		return row;
	row = xcalloc(1, sizeof(*row));
	struct span kept = arena_copy(&g->r->arena, (struct span){ key, n });
	row->bill.account = (struct span){ kept.p, account.n };
	row->bill.service = (struct span){ kept.p + account.n + 1, service.n };
	row->bill.month = g->month;
	row->revision[AS_IS] = row->revision[OTHERWISE] = row->revision[BARE] = -1;
	HASH_ADD_KEYPTR(hh, g->rows, kept.p, kept.n, row);
	return row;
}

static struct replay_figures *figures_of(const struct gathering *g, struct row *row)
{
	return g->side == AS_IS ? &row->bill.before : g->side == OTHERWISE ? &row->bill.after : &row->bare;
}

static const struct side *side_of(const struct gathering *g)
{
	return &g->r->sides[g->side == BARE ? AS_IS : g->side];
}

static bool take_counter(void *ctx, struct span field, struct span value)
{
	struct gathering *g = ctx;
	struct span account, service;
	int64_t calls = 0;
	check(span_cut(field, '/', &account, &service) && span_int64(value, &calls)); // of our own books
	arena_reset(&g->scratch);
	struct replay_figures *f = figures_of(g, row_of(g, account, service));
	if (__builtin_add_overflow(f->calls, calls, &f->calls))
		g->why = "the calls of a month overflow";
	f->late += g->late ? calls : 0;
	return g->why == NULL;
}

// ---- lines
// The newest; without `correct` nobody asks for it.
static const struct settled_line *line_kept(const struct gathering *g, const struct settled_line *l)
{
	struct arena *arena = &g->r->arena;
	if (!g->r->o.correct)
		return NULL;
	struct settled_line *kept = arena_alloc(arena, sizeof(*kept));
	*kept = *l;
	kept->packs = arena_alloc(arena, (l->n_packs + 1) * sizeof(*kept->packs));
	for (uint32_t i = 0; i < l->n_packs; i++)
		kept->packs[i] = (struct pack_use){ arena_copy(arena, l->packs[i].id), l->packs[i].calls };
	kept->corrected = arena_copy(arena, l->corrected);
	kept->prices = prices_copy(l->prices, arena);
	return kept;
}

static void put_line(struct gathering *g, struct span account, struct span service, const struct settled_line *l)
{
	struct row *row = row_of(g, account, service);
	struct replay_figures *f = figures_of(g, row);
	if (l->revision == 0) { // an adjustment freezes nothing again, and releases nothing
		f->freeze_fen = l->freeze_fen;
		f->unfreeze_fen = l->unfreeze_fen;
	}
	if (l->revision < row->revision[g->side])
		return; // the newest is there already
	row->revision[g->side] = l->revision;
	row->corrected = row->corrected || l->corrected.n > 0;
	*(g->side == AS_IS ? &row->bill.was : g->side == OTHERWISE ? &row->bill.becomes : &row->bill.bare) = line_kept(g, l);
	f->billed = true;
	f->line_calls = l->calls;
	f->free = l->free;
	f->billable = l->billable;
	f->charge_fen = l->charge_fen;
}

static bool take_settled(void *ctx, struct span field, struct span value)
{
	static const struct span newest = SPAN_LIT("#rev");
	struct gathering *g = ctx;
	struct span account, service;
	struct settled_line line = { 0 }, *lines = NULL;
	uint32_t n = 0;
	if (!span_cut(field, '/', &account, &service))
		return true; // a statement: sums of its lines
	arena_reset(&g->scratch);
	if (account.n > 0 && account.p[0] != '#') {
		check(settled_line_parse(value, &g->scratch, &line));
		put_line(g, account, service, &line);
	} else if (span_eq(account, newest)) {
		const struct catalog *c = replay_month_rules(side_of(g), g->month)->catalog;
		check(settled_newest_parse(value, c, &g->scratch, &n, &lines));
		for (uint32_t i = 0; i < n; i++)
			put_line(g, service, span_of(catalog_service_id(c, lines[i].service)), &lines[i]); // behind the mark stands the account
	}
	return true;
}

static void gather_side(struct gathering *g)
{
	struct store *s = books_store(g->side == BARE ? g->r->bare : side_of(g)->books);
	const struct journal *j = side_of(g)->journal;
	struct store_months months = { 0 };
	int first = j->n_manifests > 0 ? j->manifests[0].month : MONTH_NONE;
	check(s->ops->months(s, 0, &months, NULL) == ERROR_NONE);
	for (uint32_t i = 0; i < months.n; i++) {
		g->month = months.list[i].month;
		g->late = months.list[i].adjust_month != MONTH_NONE;
		first = g->month < first ? g->month : first;
		check(s->ops->scan_counters(s, 0, g->month, months.list[i].adjust_month, take_counter, g, NULL) == ERROR_NONE);
	}
	store_months_free(&months);
	for (g->month = first; j->n_manifests > 0 && g->month <= j->manifests[j->n_manifests - 1].month; g->month++)
		check(s->ops->scan_settled(s, 0, g->month, take_settled, g, NULL) == ERROR_NONE);
}

// ---- what differs
static bool differs(const struct replay_figures *a, const struct replay_figures *b)
{
	return a->billed != b->billed || a->calls != b->calls || a->late != b->late || a->free != b->free || a->billable != b->billable ||
	       a->charge_fen != b->charge_fen || a->freeze_fen != b->freeze_fen || a->unfreeze_fen != b->unfreeze_fen;
}

static int account_order(const void *x, const void *y)
{
	const struct replay_bill *a = x, *b = y;
	int c = span_order(a->account, b->account);
	c = c != 0 ? c : (a->month > b->month) - (a->month < b->month);
	return c != 0 ? c : span_order(a->service, b->service);
}

static int month_order(const void *x, const void *y)
{
	const struct replay_bill *a = x, *b = y;
	int c = (a->month > b->month) - (a->month < b->month);
	return c != 0 ? c : account_order(a, b);
}

static enum replay_state state_of(const struct replay *r, const struct replay_bill *b)
{
	if (r->closed_last == MONTH_NONE || b->month > r->closed_last)
		return REPLAY_OPEN;
	return b->month < r->closed_first && b->before.late + b->after.late == 0 ? REPLAY_UNSETTLED : REPLAY_SETTLED;
}

static bool sum(struct replay *r, const struct replay_bill *b)
{
	struct replay_numbers *n = &r->numbers;
	return !__builtin_add_overflow(n->before_fen, b->before.charge_fen, &n->before_fen) &&
	       !__builtin_add_overflow(n->after_fen, b->after.charge_fen, &n->after_fen);
}

// What was counted says nothing of a line that was corrected.
static void count_as_billed(struct replay_bill *b)
{
	b->before.calls = b->before.line_calls;
	b->after.calls = b->after.line_calls;
	b->before.late = b->after.late = 0;
}

static bool is_repriced(const struct replay_bill *b)
{
	return b->was != NULL && b->was->prices != NULL;
}

// Where corrections are worked out: lines against lines, in months that were closed. What an earlier one priced otherwise may differ in that alone.
static bool to_correct(struct replay *r, struct replay_bill *b)
{
	if (!corrections_differ(b->was, b->becomes) && !is_repriced(b))
		return false;
	if (journal_manifest(r->sides[AS_IS].journal, b->month) == NULL) {
		r->corrections.unclosed++;
		return false;
	}
	count_as_billed(b);
	return true;
}

// ---- what was corrected before
static bool was_corrected(const struct replay_bill *b)
{
	return is_repriced(b) || corrections_differ(b->was, b->bare);
}

static bool moved_free(const struct replay_bill *b)
{
	return (b->was != NULL ? b->was->free : 0) != (b->bare != NULL ? b->bare->free : 0);
}

// All bills of an account, and whether an earlier correction moved what packs gave to any of them.
struct account_bills {
	const struct replay_bill *list, *end;
	bool moved_packs;
};

static struct account_bills bills_of(const struct replay_bill *list, const struct replay_bill *end)
{
	struct account_bills a = { list, list, false };
	for (; a.end < end && span_eq(a.end->account, list->account); a.end++)
		a.moved_packs = a.moved_packs || corrections_move_packs(a.end->was, a.end->bare);
	return a;
}

// Does the bill take free calls or packs that an earlier correction of another bill of the account moved?
static bool takes_of_corrected(const struct replay_bill *b, const struct account_bills *a)
{
	bool moved = a->moved_packs;
	for (const struct replay_bill *x = a->list; x < a->end && !moved; x++)
		moved = x->month == b->month && moved_free(x);
	return moved && corrections_move(b->was, b->becomes);
}

// Returns behind the last one that is kept in the list.
static struct replay_bill *keep_corrected(struct replay *r, struct replay_bill *to, const struct replay_bill *b, const struct account_bills *a)
{
	struct replay_bill x = *b;
	bool asked = corrections_differ(b->bare, b->becomes);
	if (!asked && !r->o.undo) {
		r->corrections.kept++;
		return to;
	}
	if (was_corrected(b) || takes_of_corrected(b, a)) {
		x.state = REPLAY_CORRECTED;
		r->corrections.tied += !r->o.undo;
	}
	*to = x;
	return to + 1;
}

// Of what was priced otherwise before, what differs in nothing after all is left out.
static void drop_same(struct replay *r)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->n_bills; i++) {
		const struct replay_bill *b = &r->bills[i];
		if (corrections_differ(b->was, b->becomes) || !prices_same(b->was->prices, b->prices))
			r->bills[n++] = *b;
	}
	r->n_bills = n;
}

// Both lists are sorted by account.
static void sort_corrected(struct replay *r)
{
	const struct replay_bill *end = r->all + r->n_all;
	struct account_bills a = { r->all, r->all, false };
	struct replay_bill *to = r->bills;
	for (uint32_t i = 0; i < r->n_bills && r->bare != NULL; i++) {
		while (a.list == a.end || !span_eq(a.list->account, r->bills[i].account))
			a = bills_of(a.end, end);
		to = keep_corrected(r, to, &r->bills[i], &a);
	}
	if (r->bare != NULL)
		r->n_bills = (uint32_t)(to - r->bills);
}

enum error_class replay_compare_bills(struct replay *r, struct error *e)
{
	CLEANUP(gathering_free) struct gathering g = { .r = r };
	for (g.side = 0; g.side < SIDES + (r->bare != NULL); g.side++)
		gather_side(&g);
	r->all = xcalloc(HASH_COUNT(g.rows) + 1, sizeof(*r->all));
	r->bills = xcalloc(HASH_COUNT(g.rows) + 1, sizeof(*r->bills));
	for (const struct row *row = g.rows; row != NULL; row = row->hh.next) {
		struct replay_bill *b = &r->all[r->n_all++];
		*b = row->bill;
		b->state = state_of(r, b);
		if (!sum(r, b))
			g.why = "the sum of all bills overflows";
		struct replay_bill shown = *b; // alerts go by what was counted
		if (row->corrected)
			count_as_billed(&shown);
		if (r->o.correct ? to_correct(r, &shown) : differs(&shown.before, &shown.after))
			r->bills[r->n_bills++] = shown;
	}
	if (g.why != NULL)
		return error_set(e, ERROR_HALT, 0, "%s", g.why);
	qsort(r->all, r->n_all, sizeof(*r->all), account_order);
	qsort(r->bills, r->n_bills, sizeof(*r->bills), r->o.correct ? account_order : month_order);
	if (r->o.correct) {
		replay_price_bills(r);
		drop_same(r);
	}
	sort_corrected(r);
	return ERROR_NONE;
}
