// SPDX-License-Identifier: Apache-2.0
// One account's month: what is unfrozen, charged and frozen (pricing.md, rules 5 to 10, 13, 14), after corrections and adjustments of
// earlier months. Who takes what of quotas and packs is worked out over all services of the account together, in the order of the price book.
// Pure.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"
#include "rating/deduct.h"

static enum error_class too_much(struct error *e, struct span account, const char *service, int64_t calls)
{
	return error_set(e, ERROR_HALT, 0, "account %.*s, service %s: the bill of %lld calls is larger than an amount can be "
			 "(92233720368547758.07); the month cannot be settled at this price",
			 (int)account.n, account.p, service, (long long)calls);
}

// ---- deduction
struct own_month {
	const struct statement_frame *f;
	const struct account_close *a;
	struct deduct_service *services; // as a->own
	struct arena *arena;
};

static struct deduct_service deduct_of(const struct terms_service *t, int64_t calls, bool activation, struct arena *arena)
{
	struct deduct_service d = { .calls = calls, .quota = activation ? t->quota_first : t->quota, .shared = t->shared, .n_packs = t->n_packs,
		.packs = t->packs, .pack_calls = arena_alloc(arena, (t->n_packs + 1) * sizeof(int64_t)) };
	return d;
}

// Deducts, and moves what packs have given on. False: their sum overflows.
static bool deduct_own(struct own_month *o, struct balance *b)
{
	const struct terms *t = o->a->terms;
	bool activation = terms_activation(t, o->a->since);
	int64_t *shared = arena_alloc(o->arena, (t->n_shared + 1) * sizeof(*shared)), *left = arena_alloc(o->arena, (t->n_packs + 1) * sizeof(*left));
	struct pack_use *given = arena_alloc(o->arena, (t->n_packs + 1) * sizeof(*given));
	o->services = arena_alloc(o->arena, (o->a->n_own + 1) * sizeof(*o->services));
	for (uint32_t i = 0; i < t->n_shared; i++)
		shared[i] = activation ? t->shared[i].calls_first : t->shared[i].calls;
	for (uint32_t i = 0; i < t->n_packs; i++) {
		left[i] = balance_left(b, &t->packs[i]);
		given[i] = (struct pack_use){ t->packs[i].id, left[i] };
	}
	for (size_t i = 0; i < o->a->n_own; i++)
		o->services[i] = deduct_of(&t->services[o->a->own[i].service], o->a->own[i].calls, activation, o->arena);
	deduct_month(o->services, (uint32_t)o->a->n_own, shared, left);
	for (uint32_t i = 0; i < t->n_packs; i++)
		given[i].calls -= left[i];
	return balance_add(b, given, t->n_packs, o->arena);
}

// ---- one line
static bool line_due(const struct own_month *o, const struct holding *h)
{
	if (h->unfreeze_fen != 0)
		return true;
	return h->calls > 0 && (o->a->terms->services[h->service].plan != NULL || catalog_zero_price_statements(o->f->own.rules->catalog));
}

// List prices, whatever the contract; a month at price 0 freezes nothing, nor does a service that ends before the next one.
static bool freeze(const struct catalog *c, const struct terms_service *t, const struct line *l, int64_t *ret_fen)
{
	enum freeze_basis basis = catalog_freeze_basis(c);
	*ret_fen = 0;
	if (t->plan == NULL || l->bill.calls == 0 || !catalog_service_in(c, l->service, l->month + 1) || (t->list == NULL && basis != FREEZE_BILL))
		return true;
	return rating_freeze(t->list != NULL ? t->list : t->plan, basis, catalog_freeze_ratio_micro(c), &l->bill, catalog_rounding(c), ret_fen);
}

static void packs_of(struct line *l, const struct deduct_service *d, struct arena *arena)
{
	l->packs = arena_alloc(arena, (d->n_packs + 1) * sizeof(*l->packs));
	for (uint32_t i = 0; i < d->n_packs; i++)
		if (d->pack_calls[i] > 0)
			l->packs[l->n_packs++] = (struct pack_use){ l->terms->packs[d->packs[i]].id, d->pack_calls[i] };
}

static bool line_make(const struct own_month *o, size_t i, struct line *ret)
{
	const struct holding *h = &o->a->own[i];
	const struct deduct_service *d = &o->services[i];
	const struct terms_service *t = &o->a->terms->services[h->service];
	const struct catalog *c = o->f->own.rules->catalog;
	struct line l = { .rules = o->f->own.rules, .terms = o->a->terms, .month = o->f->manifest->month, .service = h->service,
		.unfreeze_fen = h->unfreeze_fen };
	line_price(&l, NULL, t->plan);
	if (h->calls == 0) // only something to unfreeze: tier 1 and its price, charge 0.00, also where a plan has a fee at zero calls
		l.bill = (struct bill){ .unit_price_micro = l.plan->tiers[0].price_micro };
	else if (!rating_charge(l.plan, h->calls, d->free, d->billable, l.rounding, o->f->slices, &l.bill))
		return false;
	packs_of(&l, d, o->arena);
	if (!freeze(c, t, &l, &l.freeze_fen))
		return false;
	*ret = l;
	return true;
}

static bool sums_add(struct settled_sums *s, const struct line *l)
{
	s->lines++;
	return !__builtin_add_overflow(s->charge_fen, l->bill.charge_fen, &s->charge_fen) &&
	       !__builtin_add_overflow(s->unfreeze_fen, l->unfreeze_fen, &s->unfreeze_fen) &&
	       !__builtin_add_overflow(s->freeze_fen, l->freeze_fen, &s->freeze_fen);
}

// ---- the month
static enum error_class own_lines(const struct own_month *o, struct store_statement *s, struct error *e)
{
	const struct account_close *a = o->a;
	struct store_line *lines = arena_alloc(o->arena, (a->n_own + 1) * sizeof(*lines));
	struct settled_line *settled = arena_alloc(o->arena, (a->n_own + 1) * sizeof(*settled));
	struct settled_sums sums = { 0 };
	for (size_t i = 0; i < a->n_own; i++) {
		struct line l;
		struct line_texts texts;
		if (!line_due(o, &a->own[i]))
			continue;
		if (!line_make(o, i, &l) || !sums_add(&sums, &l))
			return too_much(e, a->account, catalog_service_id(o->f->own.rules->catalog, a->own[i].service), a->own[i].calls);
		if (!line_document(o->f, a->account, &l, o->arena, &texts))
			return error_set(e, ERROR_HALT, 0, "an account's statement cannot be made: its name is not UTF-8");
		lines[s->n_lines] = (struct store_line){ span_of(catalog_service_id(l.rules->catalog, l.service)), a->own[i].calls, l.unfreeze_fen,
			l.freeze_fen, texts.facts, texts.identity, texts.document };
		settled[s->n_lines++] = line_settled(&l);
	}
	s->lines = lines;
	if (s->n_lines == 0)
		return ERROR_NONE;
	struct statement_texts texts;
	statement_document(o->f, &(struct statement_parts){ a->account, o->f->own.rules, o->f->manifest->month, 0, &sums, s->n_lines, settled },
			   o->arena, &texts);
	s->facts = texts.facts;
	s->identity = texts.identity;
	s->document = texts.document;
	return ERROR_NONE;
}

static struct span late_facts(const struct settled_sums *sums, struct arena *arena)
{
	struct writer w = writer_begin(arena);
	write_object(&w, NULL);
	write_integer(&w, "adjustments", sums->adjustments);
	write_integer(&w, "difference_fen", sums->difference_fen);
	write_object_end(&w);
	return writer_end(&w);
}

static enum error_class revisions_make(const struct statement_frame *f, const struct account_close *a, struct balance *b, struct arena *arena,
				       struct store_statement *s, struct settled_sums *sums, struct error *e)
{
	struct store_revision *list = arena_alloc(arena, (a->n_months + 1) * sizeof(*list));
	correct_account(f, a, b, arena, sums);
	for (uint32_t i = 0; i < a->n_months; i++) {
		enum error_class c = adjust_month(f, a, &a->months[i], b, arena, &list[s->n_revisions], sums, e);
		if (c != ERROR_NONE)
			return c;
		s->n_revisions += list[s->n_revisions].n_adjustments > 0;
	}
	s->revisions = list;
	if (s->n_revisions > 0)
		s->late_facts = late_facts(sums, arena);
	return ERROR_NONE;
}

enum error_class statement_make(const struct statement_frame *f, const struct account_close *a, struct arena *arena, struct store_statement *ret,
				struct settled_sums *sums, struct error *e)
{
	struct balance b;
	struct own_month o = { .f = f, .a = a, .arena = arena };
	struct store_statement s = { .account = a->account, .packs_before = a->packs,
		.not_before_ms = statement_not_before_ms(f->own.rules, f->manifest->month) };
	*sums = (struct settled_sums){ 0 };
	if (!balance_parse(a->packs, arena, &b))
		return error_set(e, ERROR_HALT, 0, "what an account's packs gave cannot be read; look for what else writes to this Redis");
	enum error_class c = revisions_make(f, a, &b, arena, &s, sums, e);
	if (c != ERROR_NONE)
		return c;
	if (!deduct_own(&o, &b))
		return error_set(e, ERROR_HALT, 0, "what an account's packs gave overflows");
	c = own_lines(&o, &s, e);
	b.month = f->manifest->month;
	s.packs = balance_text(&b, arena);
	if (c == ERROR_NONE)
		*ret = s;
	return c;
}
