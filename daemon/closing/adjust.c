// SPDX-License-Identifier: Apache-2.0
// Late calls of one account in one earlier month (pricing.md, rule 12): the corrected total, rated as a whole under what decided about
// that month, less what was charged. What was settled is not touched: what packs gave stays, and of the calls that were charged none is
// covered later; the additional ones take what is left now of the quota of their month and of the packs that were valid in it. Neither is
// what a correction made of the line (correct.c), which came before them: by its prices they are rated too. Pure.
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "closing/inner.h"
#include "journal/json.h"
#include "rating/deduct.h"

// ---- facts that the shard keeps
static int64_t integer_of(const json_t *j, const char *name, int64_t least, bool *ok)
{
	const json_t *v = json_object_get(j, name);
	*ok = *ok && json_is_integer(v) && json_integer_value(v) >= least;
	return json_integer_value(v);
}

static bool packs_parse(json_t *packs, struct arena *arena, struct settled_line *l)
{
	const char *id;
	json_t *calls;
	l->packs = arena_alloc(arena, (json_object_size(packs) + 1) * sizeof(*l->packs));
	json_object_foreach(packs, id, calls) {
		if (!json_is_integer(calls) || json_integer_value(calls) < 0)
			return false;
		l->packs[l->n_packs++] = (struct pack_use){ arena_copy(arena, span_of(id)), json_integer_value(calls) };
	}
	return true;
}

// calls = free + packs + billable, all of them within 63 bits
static bool adds_up(const struct settled_line *l)
{
	int64_t sum = 0;
	bool ok = !__builtin_add_overflow(l->free, l->billable, &sum);
	for (uint32_t i = 0; i < l->n_packs && ok; i++)
		ok = !__builtin_add_overflow(sum, l->packs[i].calls, &sum);
	return ok && sum == l->calls;
}

static bool corrected_parse(const json_t *j, struct arena *arena, struct settled_line *l)
{
	const json_t *id = json_object_get(j, "corrected");
	if (id != NULL && (!json_is_string(id) || json_string_length(id) == 0))
		return false;
	if (id != NULL)
		l->corrected = arena_copy(arena, (struct span){ json_string_value(id), json_string_length(id) });
	return prices_parse(json_object_get(j, "prices"), arena, &l->prices);
}

static bool line_parse(json_t *j, struct arena *arena, struct settled_line *ret)
{
	bool ok = json_is_object(j);
	struct settled_line l = { .service = ret->service };
	l.revision = integer_of(j, "revision", 0, &ok);
	l.calls = integer_of(j, "calls", 0, &ok);
	l.free = integer_of(j, "free", 0, &ok);
	l.billable = integer_of(j, "billable", 0, &ok);
	l.charge_fen = integer_of(j, "charge_fen", INT64_MIN, &ok);
	l.unfreeze_fen = integer_of(j, "unfreeze_fen", INT64_MIN, &ok);
	l.freeze_fen = integer_of(j, "freeze_fen", INT64_MIN, &ok);
	ok = ok && corrected_parse(j, arena, &l);
	json_t *packs = json_object_get(j, "packs");
	if (!ok || !json_is_object(packs) || !packs_parse(packs, arena, &l) || !adds_up(&l))
		return false;
	*ret = l;
	return true;
}

bool settled_line_parse(struct span facts, struct arena *arena, struct settled_line *ret)
{
	CLEANUP(json_freep) json_t *j = json_loadb(facts.p, facts.n, JSON_REJECT_DUPLICATES, NULL);
	return line_parse(j, arena, ret);
}

static bool service_parse(const json_t *name, const struct catalog *c, struct close_month *m)
{
	struct settled_line *l = &m->lines[m->n_lines];
	*l = (struct settled_line){ .revision = 0 };
	if (!json_is_string(name) || !catalog_find_id(c, (struct span){ json_string_value(name), json_string_length(name) }, &l->service))
		return false;
	m->n_lines++;
	return true;
}

static int service_order(const void *x, const void *y)
{
	const struct settled_line *a = x, *b = y;
	return (a->service > b->service) - (a->service < b->service);
}

// Into the order of the price book, each service once.
static bool lines_order(struct close_month *m)
{
	qsort(m->lines, m->n_lines, sizeof(*m->lines), service_order);
	for (uint32_t i = 1; i < m->n_lines; i++)
		if (m->lines[i].service == m->lines[i - 1].service)
			return false;
	return true;
}

bool settled_services_parse(struct span facts, const struct catalog *c, struct arena *arena, struct close_month *ret)
{
	CLEANUP(json_freep) json_t *j = json_loadb(facts.p, facts.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *list = json_object_get(j, "services"), *item;
	size_t i;
	bool ok = json_is_array(list);
	ret->revision = integer_of(j, "revision", 0, &ok);
	ret->lines = arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*ret->lines));
	ret->n_lines = 0;
	json_array_foreach(list, i, item)
		ok = ok && service_parse(item, c, ret);
	return ok && lines_order(ret);
}

bool settled_revision_parse(struct span facts, const struct catalog *c, struct arena *arena, struct close_month *ret)
{
	CLEANUP(json_freep) json_t *j = json_loadb(facts.p, facts.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *list = json_object_get(j, "lines"), *item;
	size_t i;
	bool ok = json_is_array(list);
	ret->revision = integer_of(j, "revision", 1, &ok);
	ret->lines = arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*ret->lines));
	ret->n_lines = 0;
	json_array_foreach(list, i, item)
		ok = ok && service_parse(json_object_get(item, "service"), c, ret) && line_parse(item, arena, &ret->lines[ret->n_lines - 1]);
	return ok && lines_order(ret);
}

bool settled_newest_parse(struct span facts, const struct catalog *c, struct arena *arena, uint32_t *ret_n, struct settled_line **ret)
{
	struct close_month m = { .revision = -1 };
	if (!settled_revision_parse(facts, c, arena, &m))
		return false;
	*ret_n = m.n_lines;
	*ret = m.lines;
	return true;
}

// ---- lines as they stand
const struct settled_line *settled_line_of(const struct settled_line *lines, uint32_t n, uint32_t service)
{
	for (uint32_t i = 0; i < n; i++)
		if (lines[i].service == service)
			return &lines[i];
	return NULL;
}

void settled_line_put(struct settled_line *lines, uint32_t *n, const struct settled_line *l)
{
	uint32_t at = 0;
	while (at < *n && lines[at].service < l->service)
		at++;
	if (at == *n || lines[at].service != l->service) {
		memmove(&lines[at + 1], &lines[at], (*n - at) * sizeof(*lines));
		(*n)++;
	}
	lines[at] = *l;
}

// ---- what is left of the month
struct late_month {
	const struct statement_frame *f;
	const struct account_close *a;
	const struct close_month *m;
	struct arena *arena;
	int64_t *shared_left, *pack_left; // pack_left: of the terms' packs, then one that gives nothing more
	bool activation;
	// lines as they stand, the adjusted ones replaced: by service
	uint32_t n;
	struct settled_line *lines;
	struct settled_sums *sums;
};

static void late_month_begin(struct late_month *k, const struct balance *b)
{
	const struct terms *t = k->m->terms;
	k->activation = terms_activation(t, k->a->since);
	k->shared_left = arena_alloc(k->arena, (t->n_shared + 1) * sizeof(*k->shared_left));
	k->pack_left = arena_alloc(k->arena, (t->n_packs + 1) * sizeof(*k->pack_left));
	for (uint32_t i = 0; i < t->n_shared; i++)
		k->shared_left[i] = k->activation ? t->shared[i].calls_first : t->shared[i].calls;
	for (uint32_t i = 0; i < k->m->n_lines; i++) {
		const struct settled_line *l = &k->m->lines[i];
		int shared = t->services[l->service].shared;
		if (shared >= 0)
			k->shared_left[shared] = l->free < k->shared_left[shared] ? k->shared_left[shared] - l->free : 0;
	}
	for (uint32_t i = 0; i < t->n_packs; i++)
		k->pack_left[i] = balance_left(b, &t->packs[i]);
	k->pack_left[t->n_packs] = 0;
	k->lines = arena_alloc(k->arena, (k->m->n_lines + k->m->n_late + 1) * sizeof(*k->lines));
	if (k->m->n_lines > 0)
		memcpy(k->lines, k->m->lines, k->m->n_lines * sizeof(*k->lines));
	k->n = k->m->n_lines;
}

// ---- one service
struct late_line {
	const struct terms_service *terms;
	struct deduct_service d;
	struct span *ids;           // of d.packs
	uint32_t *packs;
};

// The terms' packs, with what they gave; then those that gave something and are not among them any more.
static struct late_line late_line_begin(const struct late_month *k, const struct settled_line *before)
{
	const struct terms *t = k->m->terms;
	struct late_line x = { .terms = &t->services[before->service] };
	uint32_t most = x.terms->n_packs + before->n_packs, at = 0;
	int64_t *calls = arena_alloc(k->arena, (most + 1) * sizeof(*calls));
	x.ids = arena_alloc(k->arena, (most + 1) * sizeof(*x.ids));
	x.packs = arena_alloc(k->arena, (most + 1) * sizeof(*x.packs));
	uint32_t n = x.terms->n_packs;
	for (uint32_t i = 0; i < n; i++) {
		x.packs[i] = x.terms->packs[i];
		x.ids[i] = t->packs[x.packs[i]].id;
		calls[i] = 0;
	}
	for (uint32_t i = 0; i < before->n_packs; i++) {
		uint32_t tried = 0;
		for (; tried < x.terms->n_packs && !span_eq(x.ids[at], before->packs[i].id); tried++)
			at = at + 1 < x.terms->n_packs ? at + 1 : 0; // both stand in order of deduction
		uint32_t to = tried < x.terms->n_packs ? at : n++;
		x.ids[to] = before->packs[i].id;
		x.packs[to] = to < x.terms->n_packs ? x.packs[to] : t->n_packs;
		calls[to] = before->packs[i].calls;
	}
	x.d = (struct deduct_service){ .calls = before->calls, .quota = k->activation ? x.terms->quota_first : x.terms->quota,
		.shared = x.terms->shared, .n_packs = n, .packs = x.packs, .pack_calls = calls, .free = before->free, .billable = before->billable };
	return x;
}

// What a correction said of free calls stays: there are more of them only where all calls are free still, and never fewer.
static void keep_corrected(struct deduct_service *d)
{
	if (d->free < d->calls)
		d->shared = -1;
	if (d->shared < 0)
		d->quota = d->free < d->calls || d->free > d->quota ? d->free : d->quota;
}

static void late_line_packs(const struct late_line *x, struct arena *arena, struct line *l)
{
	l->packs = arena_alloc(arena, (x->d.n_packs + 1) * sizeof(*l->packs));
	for (uint32_t i = 0; i < x->d.n_packs; i++)
		if (x->d.pack_calls[i] > 0)
			l->packs[l->n_packs++] = (struct pack_use){ x->ids[i], x->d.pack_calls[i] };
}

// The corrected line. False: overflow.
static bool adjust_line(struct late_month *k, const struct late_holding *h, const struct settled_line *before, struct line *ret)
{
	struct late_line x = late_line_begin(k, before);
	struct line l = { .rules = k->m->frame->rules, .terms = k->m->terms, .month = k->m->frame->month, .service = h->service,
		.revision = before->revision >= 0 ? before->revision + 1 : 1, .adjusts = before, .corrected = before->corrected };
	line_price(&l, before->prices, x.terms->plan);
	if (before->corrected.n > 0)
		keep_corrected(&x.d);
	if (!deduct_late(&x.d, h->calls, k->shared_left, k->pack_left) ||
	    !rating_charge(l.plan, x.d.calls, x.d.free, x.d.billable, l.rounding, k->f->slices, &l.bill) ||
	    __builtin_sub_overflow(l.bill.charge_fen, before->charge_fen, &l.difference_fen))
		return false;
	late_line_packs(&x, k->arena, &l);
	struct settled_line settled = line_settled(&l);
	settled_line_put(k->lines, &k->n, &settled);
	k->sums->adjustments++;
	*ret = l;
	return !__builtin_add_overflow(k->sums->difference_fen, l.difference_fen, &k->sums->difference_fen);
}

static enum error_class adjust_service(struct late_month *k, const struct late_holding *h, struct store_adjustment *ret, bool *ret_due,
				       struct error *e)
{
	const struct catalog *c = k->m->frame->rules->catalog;
	const struct settled_line *have = settled_line_of(k->lines, k->n, h->service);
	struct settled_line before = have != NULL ? *have : (struct settled_line){ .service = h->service, .revision = -1 };
	bool priced = before.prices != NULL ? !before.prices->at_zero : k->m->terms->services[h->service].plan != NULL;
	*ret_due = priced || catalog_zero_price_statements(c);
	if (!*ret_due)
		return ERROR_NONE;
	struct line l;
	struct line_texts texts;
	if (!adjust_line(k, h, &before, &l))
		return error_set(e, ERROR_HALT, 0, "an adjustment of service %s overflows: %lld late calls", catalog_service_id(c, h->service),
				 (long long)h->calls);
	if (!line_document(k->f, k->a->account, &l, k->arena, &texts))
		return error_set(e, ERROR_HALT, 0, "an account's adjustment cannot be made: its name is not UTF-8");
	*ret = (struct store_adjustment){ span_of(catalog_service_id(c, h->service)), h->calls, texts.identity, texts.document };
	return ERROR_NONE;
}

// ---- the month
// The newest line of each service, and their sums. False: overflow.
static bool next_statement(const struct late_month *k, struct store_revision *r)
{
	struct settled_sums sums = { .lines = k->n };
	for (uint32_t i = 0; i < k->n; i++) {
		const struct settled_line *l = &k->lines[i];
		if (__builtin_add_overflow(sums.charge_fen, l->charge_fen, &sums.charge_fen) ||
		    __builtin_add_overflow(sums.unfreeze_fen, l->unfreeze_fen, &sums.unfreeze_fen) ||
		    __builtin_add_overflow(sums.freeze_fen, l->freeze_fen, &sums.freeze_fen))
			return false;
	}
	struct statement_texts texts;
	int64_t revision = k->m->revision >= 0 ? k->m->revision + 1 : 1;
	statement_document(k->f, &(struct statement_parts){ k->a->account, k->m->frame->rules, k->m->frame->month, revision, &sums, k->n,
		k->lines }, k->arena, &texts);
	r->facts = texts.facts;
	r->identity = texts.identity;
	r->document = texts.document;
	return true;
}

static bool move_balance(const struct late_month *k, struct balance *b)
{
	const struct terms *t = k->m->terms;
	struct pack_use *given = arena_alloc(k->arena, (t->n_packs + 1) * sizeof(*given));
	for (uint32_t i = 0; i < t->n_packs; i++)
		given[i] = (struct pack_use){ t->packs[i].id, balance_left(b, &t->packs[i]) - k->pack_left[i] };
	return balance_add(b, given, t->n_packs, k->arena);
}

enum error_class adjust_month(const struct statement_frame *f, const struct account_close *a, const struct close_month *m, struct balance *b,
			      struct arena *arena, struct store_revision *ret, struct settled_sums *sums, struct error *e)
{
	struct late_month k = { .f = f, .a = a, .m = m, .arena = arena, .sums = sums };
	struct store_revision r = { .month = m->frame->month, .before = m->newest };
	struct store_adjustment *list = arena_alloc(arena, (m->n_corrected + m->n_late + 1) * sizeof(*list));
	late_month_begin(&k, b);
	for (; r.n_adjustments < m->n_corrected; r.n_adjustments++)
		list[r.n_adjustments] = m->corrected[r.n_adjustments];
	for (size_t i = 0; i < m->n_late; i++) {
		bool due = false;
		enum error_class c = adjust_service(&k, &m->late[i], &list[r.n_adjustments], &due, e);
		if (c != ERROR_NONE)
			return c;
		r.n_adjustments += due;
	}
	r.adjustments = list;
	if (r.n_adjustments > 0 && (!move_balance(&k, b) || !next_statement(&k, &r)))
		return error_set(e, ERROR_HALT, 0, "the sums of an adjusted month overflow");
	*ret = r;
	return ERROR_NONE;
}
