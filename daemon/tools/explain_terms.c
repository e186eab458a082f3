// SPDX-License-Identifier: Apache-2.0
// A published settlement, and beside it what the account's terms say: where its free calls, packs, prices and freezes come from.
#include "tools/explain.h"

#include <string.h>

#include "base/check.h"
#include "base/figure.h"

// What others have written on the topic may be anything: a count that is none is 0, and a sum that does not fit is the largest.
static int64_t count_of(const json_t *from, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(from, name));
	return v > 0 ? v : 0;
}

static int64_t sum_of(int64_t a, int64_t b)
{
	int64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t free_of(const struct published_document *d)
{
	return d != NULL ? count_of(d->data, "free") : 0;
}

static int64_t packs_given(const struct published_document *d)
{
	int64_t sum = 0;
	const json_t *packs = d != NULL ? json_object_get(d->data, "packs") : NULL;
	for (size_t i = 0; i < json_array_size(packs); i++)
		sum = sum_of(sum, count_of(json_array_get(packs, i), "calls"));
	return sum;
}

static const char *joined(const struct explain *x, const uint32_t *services, uint32_t n)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = xmemstream(&text, &size);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i > 0 ? ", " : "", catalog_service_id(x->rules->catalog, services[i]));
	xmemstream_close(f);
	const char *kept = explain_keep(x, text);
	freep(&text);
	return kept;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

// Whether the month was that of activation is not published: the figure of free calls tells.
static void own_quota(const struct terms_service *s, struct paper *p)
{
	int64_t open = p->adjusts && p->before_known ? p->calls - p->before_packs : p->calls;
	p->quota_first = s->quota_first != s->quota && p->free == least(open, s->quota_first) && p->free != least(open, s->quota);
	p->quota = p->quota_first ? s->quota_first : s->quota;
}

// Services before this one in the price book took first.
static void shared_quota(const struct explain *x, const struct published_document *d, uint32_t service, const struct terms_shared *s, struct paper *p)
{
	int64_t taken = 0;
	for (uint32_t i = 0; i < s->n_services && s->services[i] < service; i++)
		taken = sum_of(taken, free_of(published_find(x->published, d->account, catalog_service_id(x->rules->catalog, s->services[i]), d->month, 0)));
	bool first = s->calls_first != s->calls && p->free == least(p->calls, s->calls_first > taken ? s->calls_first - taken : 0) &&
		     p->free != least(p->calls, s->calls > taken ? s->calls - taken : 0);
	p->shared = (struct paper_shared){ s->id, joined(x, s->services, s->n_services), first ? s->calls_first : s->calls, taken };
}

static const char *month_kept(const struct explain *x, int month)
{
	char text[MONTH_TEXT];
	return explain_keep(x, month_text(month, text));
}

static void pack_sizes(const struct explain *x, const struct terms *t, struct paper *p)
{
	for (uint32_t i = 0; i < p->n_packs; i++)
		for (uint32_t k = 0; k < t->n_packs; k++)
			if (span_is(t->packs[k].id, p->packs[i].id)) {
				p->packs[i].size = t->packs[k].calls;
				p->packs[i].from = month_kept(x, t->packs[k].first_month);
				p->packs[i].until = month_kept(x, t->packs[k].last_month);
			}
}

static void freezes(const struct explain *x, const struct published_document *d, uint32_t service, const struct terms_service *s, struct paper *p)
{
	const struct catalog *c = x->rules->catalog;
	const struct published_document *last = x->published != NULL ? published_find(x->published, d->account, d->service, d->month - 1, 0) : NULL;
	p->freeze_known = true;
	p->freeze_basis = catalog_freeze_basis(c);
	p->freeze_ratio_micro = catalog_freeze_ratio_micro(c);
	p->freeze_plan = s->list != NULL ? s->list : s->plan;
	p->freezes = s->plan != NULL && catalog_service_in(c, service, d->month + 1) && (s->list != NULL || p->freeze_basis == FREEZE_BILL);
	if (last != NULL && figure_fen(json_string_value(json_object_get(last->data, "freeze")), &p->unfreeze_was_fen))
		p->unfreeze_period = last->period;
}

static void before(const struct explain *x, const struct published_document *d, struct paper *p)
{
	const struct published_document *b = published_find(x->published, d->account, d->service, d->month, p->adjusts_revision);
	p->before_known = b != NULL || (p->adjusts_revision == 0 && p->adjusts_calls == 0);
	p->before_free = free_of(b);
	p->before_packs = packs_given(b);
}

// Why, and out of what question.
static void correction(const struct explain *x, const struct published_document *d, struct paper *p)
{
	const struct account *a = x->facts != NULL ? account_book_find(x->facts, span_of(d->account)) : NULL;
	for (uint32_t i = 0; a != NULL && i < a->n_corrections; i++) {
		const struct account_fact *f = a->corrections[i].facts[0];
		if (!span_is(f->id, p->corrected))
			continue;
		p->reason = explain_keep_span(x, f->reason);
		p->question = explain_keep_span(x, f->question);
	}
}

void explain_terms(const struct explain *x, const struct published_document *d, const struct terms *t, uint32_t service, struct paper *p)
{
	const struct terms_service *s = &t->services[service];
	p->name = catalog_service_name(x->rules->catalog, service);
	if (p->prices == NULL) {
		p->plan = s->plan;
		p->free_month = s->plan == NULL;
	}
	if (s->contract.n > 0 && p->prices == NULL) {
		p->contract = explain_keep_span(x, s->contract);
		p->list = s->list;
	}
	if (p->adjusts && x->published != NULL)
		before(x, d, p);
	if (s->shared < 0)
		own_quota(s, p);
	else if (x->published != NULL) // otherwise it is not known what the others took
		shared_quota(x, d, service, &t->shared[s->shared], p);
	pack_sizes(x, t, p);
	if (p->correction)
		correction(x, d, p);
	if (!p->adjusts)
		freezes(x, d, service, s, p);
}
