// SPDX-License-Identifier: Apache-2.0
// Alerts of both sides: what each side's counters have reached by the end of their month, or of the log, by the ladders that hold there.
// Late calls raise none. By their ids, as the daemon would give them.
#include <stdlib.h>

#include "base/check.h"
#include "closing/reached.h"
#include "outbox/outbox.h"
#include "replay/inner.h"

struct raised {
	struct reached what;
	bool known;                     // the other side has it too
};
struct raised_list {
	uint32_t n, size;
	struct raised *list;
};
struct plain {                          // of accounts of which nothing was said
	int month;
	const struct terms *terms;
};
struct comparing {
	struct replay *r;
	int side;
	struct raised_list raised[SIDES];
	struct arena arena;             // of one account
	struct arena kept;              // of plain terms
	uint32_t n_plain[SIDES];
	struct plain *plain[SIDES];
};

static void comparing_free(struct comparing *x)
{
	for (int side = 0; side < SIDES; side++) {
		free(x->raised[side].list);
		free(x->plain[side]);
	}
	arena_free(&x->arena);
	arena_free(&x->kept);
}

static bool same(const struct reached *a, const struct reached *b)
{
	return a->month == b->month && a->kind == b->kind && a->bound == b->bound && strcmp(a->service, b->service) == 0 && span_eq(a->pack, b->pack);
}

// A pack is used up once in its life: what a month before has reached is not reached again.
static bool is_repeated(const struct raised_list *l, const struct reached *what)
{
	for (uint32_t i = 0; what->pack.n > 0 && i < l->n; i++) {
		struct reached was = l->list[i].what;
		was.month = what->month;
		if (same(&was, what))
			return true;
	}
	return false;
}

static void take_reached(void *ctx, const struct reached *what)
{
	struct comparing *x = ctx;
	struct raised_list *l = &x->raised[x->side];
	if (is_repeated(l, what))
		return;
	if (l->n == l->size) {
		l->size = l->size * 2 + 16;
		l->list = xrealloc(l->list, l->size, sizeof(*l->list));
	}
	l->list[l->n++] = (struct raised){ *what, false };
}

// ---- the rules and terms of a month, as its last call sees them
static const struct journal_rules *rules_of(const struct comparing *x, int month, int64_t *ret_clock_ms)
{
	const struct replay *r = x->r;
	const struct journal *is = r->sides[AS_IS].journal;
	int64_t last_ms = rules_close_ms(is->rules[is->n_rules - 1].rules, month) - 1;
	*ret_clock_ms = r->end_clock < last_ms ? r->end_clock : last_ms;
	const struct journal_rules *rules = journal_rules_at(is, *ret_clock_ms);
	bool otherwise = x->side == OTHERWISE && r->shift > 0 && month >= r->numbers.first_priced && month <= r->numbers.last_priced;
	return otherwise ? journal_rules_version(r->sides[OTHERWISE].journal, rules->version + r->shift) : rules;
}

static const struct terms *terms_of(struct comparing *x, const struct journal_rules *rules, int64_t clock_ms, const struct account *a, int month)
{
	struct account_horizon h = { .stamp_ms = clock_ms - rules->rules->settings.lead_ms };
	int side = x->side;
	if (a != NULL)
		return terms_make(rules->rules->catalog, a, &h, month, &x->arena);
	for (uint32_t i = 0; i < x->n_plain[side]; i++)
		if (x->plain[side][i].month == month)
			return x->plain[side][i].terms;
	x->plain[side] = xrealloc(x->plain[side], x->n_plain[side] + 1, sizeof(**x->plain));
	struct plain *p = &x->plain[side][x->n_plain[side]++];
	*p = (struct plain){ month, terms_make(rules->rules->catalog, NULL, &h, month, &x->kept) };
	return p->terms;
}

static bool is_activation(const struct comparing *x, struct span account, const struct terms *t)
{
	struct store *s = books_store(x->r->sides[x->side].books);
	int since = MONTH_NONE;
	if (!terms_ask_activation(t))
		return false;
	check(s->ops->active_since(s, 0, &account, 1, t->month, &since, NULL) == ERROR_NONE);
	return terms_activation(t, since);
}

// ---- one account
static void reach_month(struct comparing *x, const struct account *a, const struct replay_bill *list, size_t n, struct balance *gave)
{
	int64_t clock_ms;
	const struct journal_rules *rules = rules_of(x, list->month, &clock_ms);
	const struct catalog *c = rules->rules->catalog;
	struct reached_month m = { .terms = terms_of(x, rules, clock_ms, a, list->month) };
	m.activation = is_activation(x, list->account, m.terms);
	m.calls = arena_alloc(&x->arena, (m.terms->n_services + 1) * sizeof(*m.calls));
	memset(m.calls, 0, (m.terms->n_services + 1) * sizeof(*m.calls));
	for (size_t i = 0; i < n; i++) {
		const struct replay_figures *f = x->side == AS_IS ? &list[i].before : &list[i].after;
		uint32_t service;
		if (catalog_find_id(c, list[i].service, &service)) // an older book does not know it: nothing was counted under it
			m.calls[service] = f->calls - f->late;
	}
	reached_run(c, &m, 1, gave, &x->arena, take_reached, x);
}

static void reach_account(struct comparing *x, const struct replay_bill *list, size_t n)
{
	const struct account_book *book = accounts_feed_book(x->r->feed);
	const struct account *a = book != NULL ? account_book_find(book, list->account) : NULL;
	struct balance gave = { .month = MONTH_NONE };
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && list[end].month == list[i].month; end++)
			;
		reach_month(x, a, &list[i], end - i, &gave);
	}
}

static void add_alert(struct replay *r, struct span account, const struct reached *what, bool raised)
{
	char period[MONTH_TEXT];
	if (r->n_alerts == r->size_alerts) {
		r->size_alerts = r->size_alerts * 2 + 16;
		r->alerts = xrealloc(r->alerts, r->size_alerts, sizeof(*r->alerts));
	}
	struct replay_alert *to = &r->alerts[r->n_alerts++];
	*to = (struct replay_alert){ .account = account, .service = arena_copy(&r->arena, span_of(what->service)),
		.pack = what->pack.n > 0 ? arena_copy(&r->arena, what->pack) : what->pack, .month = what->month, .kind = what->kind,
		.bound = what->bound, .raised = raised };
	CLEANUP(freep) char *identity = xasprintf("alert\n%.*s\n%s\n%s\n%s\n%lld\n%.*s", (int)account.n, account.p, what->service,
						  month_text(what->month, period), alert_kind_text(what->kind), (long long)what->bound, (int)what->pack.n,
						  what->pack.n > 0 ? what->pack.p : "");
	identity_id(span_of(identity), to->id);
}

static void compare_account(struct comparing *x, struct span account)
{
	struct raised_list *is = &x->raised[AS_IS], *other = &x->raised[OTHERWISE];
	for (uint32_t i = 0; i < other->n; i++) {
		uint32_t k = 0;
		while (k < is->n && !same(&is->list[k].what, &other->list[i].what))
			k++;
		if (k < is->n)
			is->list[k].known = true;
		else
			add_alert(x->r, account, &other->list[i].what, true);
	}
	for (uint32_t i = 0; i < is->n; i++)
		if (!is->list[i].known)
			add_alert(x->r, account, &is->list[i].what, false);
}

static int alert_order(const void *p, const void *q)
{
	const struct replay_alert *a = p, *b = q;
	int c = (a->month > b->month) - (a->month < b->month);
	c = c != 0 ? c : span_order(a->account, b->account);
	c = c != 0 ? c : span_order(a->service, b->service);
	c = c != 0 ? c : (a->bound > b->bound) - (a->bound < b->bound);
	c = c != 0 ? c : (int)a->kind - (int)b->kind;
	return c != 0 ? c : strcmp(a->id, b->id);
}

enum error_class replay_compare_alerts(struct replay *r, struct error *e)
{
	CLEANUP(comparing_free) struct comparing x = { .r = r };
	enum error_class c = ERROR_NONE;
	for (size_t i = 0, end; i < r->n_all && c == ERROR_NONE; i = end) {
		for (end = i + 1; end < r->n_all && span_eq(r->all[end].account, r->all[i].account); end++)
			;
		arena_reset(&x.arena);
		for (x.side = 0; x.side < SIDES; x.side++) {
			x.raised[x.side].n = 0;
			reach_account(&x, &r->all[i], end - i);
		}
		compare_account(&x, r->all[i].account);
		c = replay_look(r, e);
	}
	if (r->n_alerts > 0)
		qsort(r->alerts, r->n_alerts, sizeof(*r->alerts), alert_order);
	return c;
}
