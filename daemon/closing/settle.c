// SPDX-License-Identifier: Apache-2.0
// One shard's month, account by account. What is kept here between steps is only a reading of the shard: the store refuses a line
// that does not fit what it holds, passes over accounts that are settled, and all of it can be made again from the start.
//
// A step takes some accounts, each with its own month and with the earlier months that late calls or corrections came for, asks the shard what it
// needs of all of them at once, makes the documents and hands them over.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"

enum {
	ACCOUNTS_A_STEP = 200,
	LINES_A_STEP = 1000, // and the rest of the account they are of: accounts may use ten thousand services each, and a step is one call
};

void settling_freep(struct settling **at)
{
	struct settling *w = *at;
	if (w == NULL)
		return;
	holdings_free(&w->held);
	free(w->corrected);
	free(w->months);
	arena_free(&w->arena);
	free(w);
	*at = NULL;
}

enum relay_status settling_begin(const struct settle_scope *s, bool follows, uint32_t shard, struct settling **ret, struct error *e)
{
	const struct journal_manifest *m = s->m;
	struct store *store = s->o->store;
	CLEANUP(freep) struct span *parts = xcalloc(m->n_cuts + 1, sizeof(*parts));
	for (uint32_t i = 0; i < m->n_cuts; i++)
		parts[i] = span_of(m->cuts[i].name);
	enum error_class c = store->ops->close_month(store, shard, m->month, rules_close_ms(s->rules, m->month), m->sha256, follows, parts,
						     m->n_cuts, e);
	if (c != ERROR_NONE)
		return closing_status(c);
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->month = m->month;
	(*ret)->shard = shard;
	return RELAY_DONE;
}

static enum error_class gather(const struct settle_scope *s, struct settling *w, struct error *e)
{
	enum error_class c = gather_holdings(s->o->store, w->shard, w->month, s->rules->catalog, &w->held, e);
	if (c == ERROR_NONE)
		c = gather_late(s->o->store, w->shard, s->j, s->m, &w->held, e);
	if (c != ERROR_NONE) {
		holdings_free(&w->held);
		return c;
	}
	correct_gather(s, w);
	w->gathered = true;
	return ERROR_NONE;
}

// ---- the accounts of a step
struct batch {
	const struct settle_scope *s;
	struct settling *w;
	struct statement_frame frame;
	struct month_frame *earlier; // as w->months
	uint32_t n;
	struct account_close list[ACCOUNTS_A_STEP];
	size_t next, next_late, next_corrected; // behind them
	size_t lines;                // of all of them
};

// NULL: a month that is corrected, and was never closed.
static struct month_frame *earlier_frame(struct batch *b, int month)
{
	for (uint32_t i = 0; i < b->w->n_months; i++)
		if (b->w->months[i] == month)
			return &b->earlier[i];
	return NULL;
}

// The account's month, made where it is asked for first: months come ascending from late calls, and in any order from corrections.
static struct close_month *month_of(struct batch *b, struct account_close *a, const struct account *said, int month)
{
	struct month_frame *f = earlier_frame(b, month);
	uint32_t at = a->n_months;
	while (at > 0 && a->months[at - 1].frame->month >= month)
		at--;
	if (f == NULL || (at < a->n_months && a->months[at].frame == f))
		return f != NULL ? &a->months[at] : NULL;
	memmove(&a->months[at + 1], &a->months[at], (a->n_months - at) * sizeof(*a->months));
	a->n_months++;
	a->months[at] = (struct close_month){ .frame = f, .terms = month_frame_terms(f, said, &b->w->arena), .revision = -1,
		.closed = correct_closed(b->s, month) };
	return &a->months[at];
}

static void take_late(struct batch *b, struct account_close *a, const struct account *said)
{
	const struct holdings *h = &b->w->held;
	for (; b->next_late < h->n_late && span_eq(h->late[b->next_late].account, a->account); b->next_late++) {
		struct close_month *m = month_of(b, a, said, h->late[b->next_late].month);
		check(m != NULL);
		m->late = m->n_late == 0 ? &h->late[b->next_late] : m->late;
		m->n_late++;
		b->lines++;
	}
}

static void take_corrections(struct batch *b, struct account_close *a, const struct account *said)
{
	const struct corrected_account *c = &b->w->corrected[b->next_corrected];
	if (b->next_corrected == b->w->n_corrected || !span_eq(c->account, a->account))
		return;
	b->next_corrected++;
	a->n_corrections = c->n;
	a->corrections = c->facts;
	for (uint32_t i = 0; i < c->n; i++) {
		for (uint32_t k = 0; k < c->facts[i]->n_lines; k++)
			month_of(b, a, said, c->facts[i]->lines[k].month);
		b->lines += c->facts[i]->n_lines;
	}
}

// The first account that has calls of the month or a freeze, late calls, or a correction.
static struct span next_account(const struct batch *b)
{
	const struct settling *w = b->w;
	struct span first = { NULL, 0 };
	if (b->next < w->held.n)
		first = w->held.list[b->next].account;
	if (b->next_late < w->held.n_late && (first.p == NULL || span_order(w->held.late[b->next_late].account, first) < 0))
		first = w->held.late[b->next_late].account;
	if (b->next_corrected < w->n_corrected && (first.p == NULL || span_order(w->corrected[b->next_corrected].account, first) < 0))
		first = w->corrected[b->next_corrected].account;
	return first;
}

static void take_account(struct batch *b, struct span name)
{
	const struct holdings *h = &b->w->held;
	struct account_close *a = &b->list[b->n++];
	*a = (struct account_close){ .account = name, .since = MONTH_NONE };
	const struct account *said = a->said = account_book_find(b->s->book, a->account);
	a->terms = month_frame_terms(&b->frame.own, said, &b->w->arena);
	a->own = &h->list[b->next];
	for (; b->next < h->n && span_eq(h->list[b->next].account, a->account); b->next++)
		a->n_own++;
	b->lines += a->n_own;
	a->months = arena_alloc(&b->w->arena, (b->w->n_months + 1) * sizeof(*a->months));
	take_late(b, a, said);
	take_corrections(b, a, said);
}

static void batch_begin(struct batch *b)
{
	struct settling *w = b->w;
	arena_reset(&w->arena);
	month_frame_make(b->s->j, b->s->m, b->s->m->month, &w->arena, &b->frame.own);
	b->earlier = arena_alloc(&w->arena, (w->n_months + 1) * sizeof(*b->earlier));
	for (uint32_t i = 0; i < w->n_months; i++)
		month_frame_make(b->s->j, b->s->m, w->months[i], &w->arena, &b->earlier[i]);
	b->next = w->next;
	b->next_late = w->next_late;
	b->next_corrected = w->next_corrected;
	for (struct span name; b->n < ACCOUNTS_A_STEP && b->lines < LINES_A_STEP && (name = next_account(b)).p != NULL;)
		take_account(b, name);
}

static bool settled_all(const struct settling *w)
{
	return w->next == w->held.n && w->next_late == w->held.n_late && w->next_corrected == w->n_corrected;
}

// ---- what the shard knows of them
// Does the month of activation matter to some service that has calls?
static bool asks_activation(const struct account_close *a)
{
	for (size_t i = 0; i < a->n_own; i++) {
		const struct terms_service *s = &a->terms->services[a->own[i].service];
		if (s->quota != s->quota_first || (s->shared >= 0 && a->terms->shared[s->shared].calls != a->terms->shared[s->shared].calls_first))
			return true;
	}
	for (uint32_t i = 0; i < a->n_months; i++)
		if (terms_ask_activation(a->months[i].terms))
			return true;
	return false;
}

static enum error_class ask_activations(struct batch *b, struct error *e)
{
	struct store *store = b->s->o->store;
	struct span names[ACCOUNTS_A_STEP];
	struct account_close *of[ACCOUNTS_A_STEP];
	int since[ACCOUNTS_A_STEP];
	uint32_t asked = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		if (!asks_activation(&b->list[i]))
			continue;
		names[asked] = b->list[i].account;
		of[asked++] = &b->list[i];
	}
	if (asked == 0)
		return ERROR_NONE;
	enum error_class c = store->ops->active_since(store, b->w->shard, names, asked, b->w->month, since, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < asked; i++)
		of[i]->since = since[i];
	return c;
}

static enum error_class ask_packs(struct batch *b, struct error *e)
{
	struct store *store = b->s->o->store;
	struct span names[ACCOUNTS_A_STEP], texts[ACCOUNTS_A_STEP];
	for (uint32_t i = 0; i < b->n; i++)
		names[i] = b->list[i].account;
	enum error_class c = store->ops->packs_get(store, b->w->shard, names, b->n, &b->w->arena, texts, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < b->n; i++)
		b->list[i].packs = texts[i];
	return c;
}

static enum error_class unreadable(struct error *e)
{
	return error_set(e, ERROR_HALT, 0, "what was settled of a month that is to be adjusted cannot be read: the shard holds something else than "
			 "this program writes");
}

// As it was settled: the statement names the services of its lines.
static enum error_class ask_settled(struct batch *b, const struct account_close *a, struct close_month *m, struct span statement, struct error *e)
{
	struct store *store = b->s->o->store;
	struct arena *arena = &b->w->arena;
	const struct catalog *c = m->frame->rules->catalog;
	if (!settled_services_parse(statement, c, arena, m))
		return unreadable(e);
	struct span *fields = arena_alloc(arena, (m->n_lines + 1) * sizeof(*fields)), *facts = arena_alloc(arena, (m->n_lines + 1) * sizeof(*facts));
	for (uint32_t i = 0; i < m->n_lines; i++)
		fields[i] = ARENA_JOIN(arena, a->account, SPAN_LIT("/"), span_of(catalog_service_id(c, m->lines[i].service)));
	enum error_class cls = store->ops->settled_get(store, b->w->shard, m->frame->month, fields, m->n_lines, arena, facts, e);
	for (uint32_t i = 0; cls == ERROR_NONE && i < m->n_lines; i++)
		if (facts[i].p == NULL || !settled_line_parse(facts[i], arena, &m->lines[i]))
			cls = unreadable(e);
	return cls;
}

// How one earlier month stands, for all accounts that have late calls in it or a correction.
static enum error_class ask_month(struct batch *b, const struct month_frame *f, struct error *e)
{
	struct store *store = b->s->o->store;
	struct arena *arena = &b->w->arena;
	struct span names[2 * ACCOUNTS_A_STEP], facts[2 * ACCOUNTS_A_STEP]; // as settled, then the newest revision
	struct close_month *of[ACCOUNTS_A_STEP];
	const struct account_close *by[ACCOUNTS_A_STEP];
	uint32_t n = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		const struct account_close *a = &b->list[i];
		for (uint32_t k = 0; k < a->n_months; k++) {
			if (a->months[k].frame != f)
				continue;
			names[2 * n] = a->account;
			names[2 * n + 1] = ARENA_JOIN(arena, SPAN_LIT("#rev/"), a->account);
			by[n] = a;
			of[n++] = &a->months[k];
		}
	}
	enum error_class c = store->ops->settled_get(store, b->w->shard, f->month, names, 2 * n, arena, facts, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < n; i++) {
		of[i]->newest = facts[2 * i + 1];
		if (of[i]->newest.p != NULL)
			c = settled_revision_parse(of[i]->newest, f->rules->catalog, arena, of[i]) ? ERROR_NONE : unreadable(e);
		else if (facts[2 * i].p != NULL)
			c = ask_settled(b, by[i], of[i], facts[2 * i], e);
	}
	return c;
}

// Accounts whose corrections were made by this close: a step that is done again must not find that they do not fit any more.
static enum error_class ask_done(struct batch *b, struct error *e)
{
	struct store *store = b->s->o->store;
	struct span fields[ACCOUNTS_A_STEP], facts[ACCOUNTS_A_STEP];
	struct account_close *of[ACCOUNTS_A_STEP];
	uint32_t n = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		struct account_close *a = &b->list[i];
		if (a->n_corrections == 0)
			continue;
		fields[n] = ARENA_JOIN(&b->w->arena, SPAN_LIT("#late/"), a->account);
		of[n++] = a;
	}
	enum error_class c = store->ops->settled_get(store, b->w->shard, b->w->month, fields, n, &b->w->arena, facts, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < n; i++)
		of[i]->done = facts[i].p != NULL;
	return c;
}

static enum error_class ask(struct batch *b, struct error *e)
{
	enum error_class c = ask_activations(b, e);
	if (c == ERROR_NONE)
		c = ask_packs(b, e);
	if (c == ERROR_NONE)
		c = ask_done(b, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < b->w->n_months; i++)
		c = ask_month(b, &b->earlier[i], e);
	return c;
}

// ---- a step
static enum error_class settle_batch(struct batch *b, struct error *e)
{
	struct store *store = b->s->o->store;
	struct settling *w = b->w;
	struct store_statement statements[ACCOUNTS_A_STEP];
	struct settled_step made = { 0 };
	uint32_t due = 0, done = 0;
	enum error_class c = ask(b, e);
	for (uint32_t i = 0; i < b->n && c == ERROR_NONE; i++) {
		done += b->list[i].done;
		if (b->list[i].done)
			continue;
		struct settled_sums sums;
		struct store_statement *s = &statements[due];
		c = statement_make(&b->frame, &b->list[i], &w->arena, s, &sums, e);
		made.corrected += (uint64_t)sums.corrected;
		made.passed_over += (uint64_t)sums.passed_over;
		if (c != ERROR_NONE || s->n_lines + s->n_revisions == 0)
			continue;
		due++;
		made.lines += s->n_lines;
		made.adjustments += (uint64_t)sums.adjustments;
	}
	if (c == ERROR_NONE && due > 0)
		c = store->ops->settle(store, w->shard, w->month, statements, due, e);
	if (c != ERROR_NONE)
		return c;
	made.statements = due + done;
	w->step = made;
	w->statements += due + done;
	w->next = b->next;
	w->next_late = b->next_late;
	w->next_corrected = b->next_corrected;
	return ERROR_NONE;
}

enum relay_status settling_step(const struct settle_scope *s, struct settling *w, bool *ret_done, bool *ret_full, struct error *e)
{
	check(w->month == s->m->month);
	int64_t waiting = 0;
	*ret_done = *ret_full = false;
	w->step = (struct settled_step){ 0 };
	enum error_class c = w->gathered ? ERROR_NONE : gather(s, w, e);
	*ret_done = c == ERROR_NONE && settled_all(w);
	if (c == ERROR_NONE && !*ret_done)
		c = s->o->store->ops->outbox_length(s->o->store, w->shard, &waiting, e);
	if (c != ERROR_NONE || *ret_done)
		return closing_status(c);
	*ret_full = waiting > s->o->outbox_most;
	if (*ret_full)
		return RELAY_DONE;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	CLEANUP(freep) struct batch *b = xcalloc(1, sizeof(*b));
	b->s = s;
	b->w = w;
	b->frame = (struct statement_frame){ .source = s->o->source, .manifest = s->m, .slices = slices, .quiet = s->o->relay == NULL };
	batch_begin(b);
	b->frame.cutoffs = document_cutoffs(s->m, &w->arena);
	c = settle_batch(b, e);
	*ret_done = c == ERROR_NONE && settled_all(w);
	return closing_status(c);
}

enum error_class settling_end_run(const struct settle_scope *s, const struct settled_sums *sums, struct arena *arena, struct error *e)
{
	struct statement_frame f = { .source = s->o->source, .manifest = s->m, .own = { .month = s->m->month, .rules = s->rules } };
	struct span identity, document;
	statement_end_of_run(&f, sums, arena, &identity, &document);
	return s->o->store->ops->end_run(s->o->store, s->m->month, identity, document, statement_not_before_ms(s->rules, s->m->month), e);
}
