// SPDX-License-Identifier: Apache-2.0
#include "rules/differ.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static const char *keep(struct arena *a, char *text) // frees text
{
	const char *s = arena_copy(a, (struct span){ text, strlen(text) + 1 }).p;
	free(text);
	return s;
}

static void add(struct rules_differences *d, struct rules_difference x)
{
	if (d->n == d->size) {
		d->size = d->size * 2 + 16;
		d->list = xrealloc(d->list, d->size, sizeof(*d->list));
	}
	d->list[d->n++] = x;
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void compare_of(struct rules_differences *d, enum rules_aspect of, const char *what, const char *service, const char *before,
		       const char *after)
{
	if (!same_text(before, after))
		add(d, (struct rules_difference){ of, what, service, MONTH_NONE, MONTH_NONE, before, after });
}

static void compare(struct rules_differences *d, const char *what, const char *service, const char *before, const char *after)
{
	compare_of(d, RULES_OTHER, what, service, before, after);
}

static void compare_event(struct rules_differences *d, const char *what, const char *service, const char *before, const char *after)
{
	compare_of(d, RULES_EVENT, what, service, before, after);
}

// ---- prices
const char *rules_plan_text(const struct plan *p, struct arena *arena)
{
	char *text = NULL, price[MONEY_TEXT];
	size_t size = 0;
	if (p == NULL)
		return "free of charge";
	FILE *f = xmemstream(&text, &size);
	if (p->model == MODEL_PACKAGE)
		fprintf(f, "packages of %lld", (long long)p->package);
	else
		fprintf(f, "%s per %lld", pricing_model_text(p->model), (long long)p->per);
	for (uint32_t i = 0; i < p->n_tiers; i++) {
		const struct price_tier *t = &p->tiers[i];
		fprintf(f, "%s %s", i == 0 ? ":" : ",", money_price_text(t->price_micro, price));
		if (t->flat_micro != 0)
			fprintf(f, " and a fee of %s", money_price_text(t->flat_micro, price));
		if (i > 0)
			fprintf(f, " %s %lld", p->bounds == BOUNDS_LOWER_INCLUSIVE ? "from" : "above", (long long)t->bound);
	}
	if (p->n_tiers > 1 && p->tier_basis == TIER_BY_BILLABLE)
		fprintf(f, "; tiers by billable calls");
	if (p->fee_at_zero)
		fprintf(f, "; the first fee also without calls");
	xmemstream_close(f);
	return keep(arena, text);
}

const char *rules_quota_text(int64_t calls, int64_t warn_micro, enum first_month first, struct arena *a)
{
	char warn[MONEY_TEXT];
	if (calls == 0)
		return "none";
	if (warn_micro == 0)
		return arena_printf(a, "%lld, no warning, first month: %s", (long long)calls, first_month_text(first));
	return arena_printf(a, "%lld, warning at %s of it, first month: %s", (long long)calls, money_price_text(warn_micro, warn), first_month_text(first));
}

static const char *own_quota(const struct catalog *c, uint32_t service, int month, struct arena *a)
{
	struct free_calls free;
	if (!catalog_free_calls(c, service, month, &free))
		return "none";
	const char *text = rules_quota_text(free.calls, free.warn_micro, free.first_month, a);
	return catalog_plan(c, service, month) != NULL ? text : arena_printf(a, "%s, where a contract charges", text);
}

static const char *shared_text(const struct catalog *c, uint32_t service, int month, struct arena *a)
{
	struct shared_quota q;
	int i = catalog_service_quota(c, service);
	if (i < 0 || !catalog_shared_quota(c, (uint32_t)i, month, &q))
		return "none";
	return arena_printf(a, "%s of %s", rules_quota_text(q.calls, q.warn_micro, q.first_month, a), q.id);
}

static const char *const aspect_names[RULES_EVENT] = { "price", "free calls", "shared free calls" };

// NOT_THERE: a service that the other price book alone has.
enum { NOT_THERE = UINT32_MAX };

static const char *aspect_text(const struct catalog *c, uint32_t service, int month, enum rules_aspect of, struct arena *a)
{
	if (service == NOT_THERE)
		return of == RULES_PRICE ? NULL : "none";
	return of == RULES_PRICE ? rules_plan_text(catalog_plan(c, service, month), a) :
	       of == RULES_FREE	 ? own_quota(c, service, month, a) : shared_text(c, service, month, a);
}

static int earlier(int a, int b)
{
	return a == MONTH_NONE || (b != MONTH_NONE && b < a) ? b : a;
}

static int next_of(const struct catalog *c, uint32_t service, int month)
{
	if (service == NOT_THERE)
		return MONTH_NONE;
	int i = catalog_service_quota(c, service);
	int shared = i >= 0 ? catalog_shared_next_change(c, (uint32_t)i, month) : MONTH_NONE;
	return earlier(catalog_next_change(c, service, month), shared);
}

// Runs of months in which both price books say the same, and which differ from each other.
static void compare_aspect(struct rules_differences *d, const struct catalog *a, uint32_t in_a, const struct catalog *b, uint32_t in_b,
			   enum rules_aspect of, int first)
{
	struct rules_difference *open = NULL;
	for (int month = first; month != MONTH_NONE; month = earlier(next_of(a, in_a, month), next_of(b, in_b, month))) {
		const char *before = aspect_text(a, in_a, month, of, &d->arena), *after = aspect_text(b, in_b, month, of, &d->arena);
		if (open != NULL && same_text(open->before, before) && same_text(open->after, after))
			continue;
		if (open != NULL)
			open->until = month;
		open = NULL;
		if (same_text(before, after) || (before == NULL && catalog_plan(b, in_b, month) == NULL)) // new, and at price 0
			continue;
		add(d, (struct rules_difference){ of, aspect_names[of], catalog_service_id(b, in_b), month, MONTH_NONE, before, after });
		open = &d->list[d->n - 1];
	}
}

// ---- what an event is
static const char *instant(struct arena *a, int64_t ms)
{
	char text[TIME_TEXT];
	return ms == TIME_NONE || ms == INT64_MIN || ms == INT64_MAX ? "no limit" : arena_printf(a, "%s", time_text(ms, text));
}

static const char *alias_text(struct arena *a, const struct catalog_alias *x)
{
	return arena_printf(a, "%s, from %s until %s", x->name, instant(a, x->from_ms), instant(a, x->until_ms));
}

static bool has_alias(const struct catalog_alias *list, uint32_t n, const struct catalog_alias *x)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(list[i].name, x->name) == 0 && list[i].from_ms == x->from_ms && list[i].until_ms == x->until_ms)
			return true;
	return false;
}

static void compare_aliases(struct rules_differences *d, const struct catalog *a, uint32_t in_a, const struct catalog *b, uint32_t in_b)
{
	const struct catalog_alias *x = NULL, *y;
	const char *id = catalog_service_id(b, in_b);
	uint32_t n_x = in_a != NOT_THERE ? catalog_service_aliases(a, in_a, &x) : 0, n_y = catalog_service_aliases(b, in_b, &y);
	for (uint32_t i = 0; i < n_x; i++)
		if (!has_alias(y, n_y, &x[i]))
			compare_event(d, "alias", id, alias_text(&d->arena, &x[i]), NULL);
	for (uint32_t i = 0; i < n_y; i++)
		if (!has_alias(x, n_x, &y[i]))
			compare_event(d, "alias", id, NULL, alias_text(&d->arena, &y[i]));
}

static const char *codes_text(const struct catalog *c, struct arena *arena)
{
	char *text = NULL;
	size_t size = 0;
	struct catalog_codes k;
	FILE *f = xmemstream(&text, &size);
	for (uint32_t i = 0; catalog_codes(c, i, &k); i++) {
		if (i > 0)
			fprintf(f, "; from %s:", instant(arena, k.from_ms));
		for (uint32_t j = 0; j < k.n; j++)
			fprintf(f, "%s%.*s", j > 0 ? ", " : i > 0 ? " " : "", (int)k.codes[j].n, k.codes[j].p);
	}
	xmemstream_close(f);
	return keep(arena, text);
}

static int owned_order(const struct catalog_owned *x, const struct catalog_owned *y)
{
	int c = span_order(x->account, y->account);
	return c != 0 ? c : (x->from_ms > y->from_ms) - (x->from_ms < y->from_ms);
}

static const char *owned_text(struct arena *a, const struct catalog_owned *x)
{
	return arena_printf(a, "%.*s belongs to %.*s, from %s until %s", (int)x->account.n, x->account.p, (int)x->owner.n, x->owner.p, instant(a, x->from_ms),
		   instant(a, x->until_ms));
}

static void compare_owners(struct rules_differences *d, const struct catalog *a, const struct catalog *b)
{
	struct catalog_owned x, y;
	uint32_t i = 0, k = 0;
	for (;;) {
		bool has_x = catalog_owned(a, i, &x), has_y = catalog_owned(b, k, &y);
		if (!has_x && !has_y)
			return;
		int order = !has_x ? 1 : !has_y ? -1 : owned_order(&x, &y);
		compare_event(d, "sub-account", NULL, order <= 0 ? owned_text(&d->arena, &x) : NULL, order >= 0 ? owned_text(&d->arena, &y) : NULL);
		i += order <= 0;
		k += order >= 0;
	}
}

// ---- all of it
static const char *other_names(const struct catalog *c, uint32_t service, struct arena *a)
{
	const char *text = NULL, *name;
	for (uint32_t i = 0; (name = catalog_service_other_name(c, service, i)) != NULL; i++)
		text = text != NULL ? arena_printf(a, "%s, %s", text, name) : name;
	return text;
}

static void compare_aspects(struct rules_differences *d, const struct catalog *a, uint32_t in_a, const struct catalog *b, uint32_t in_b, int first)
{
	for (enum rules_aspect of = RULES_PRICE; of <= RULES_SHARED; of++)
		compare_aspect(d, a, in_a, b, in_b, of, first);
}

static void compare_service(struct rules_differences *d, const struct catalog *a, uint32_t in_a, const struct catalog *b, uint32_t in_b, int first)
{
	const char *id = catalog_service_id(b, in_b);
	compare(d, "name", id, catalog_service_name(a, in_a), catalog_service_name(b, in_b));
	compare(d, "other names", id, other_names(a, in_a, &d->arena), other_names(b, in_b, &d->arena));
	compare(d, "group", id, catalog_service_group(a, in_a), catalog_service_group(b, in_b));
	compare_event(d, "begin", id, instant(&d->arena, catalog_service_begin_ms(a, in_a)), instant(&d->arena, catalog_service_begin_ms(b, in_b)));
	compare_event(d, "end", id, instant(&d->arena, catalog_service_end_ms(a, in_a)), instant(&d->arena, catalog_service_end_ms(b, in_b)));
	compare(d, "successor", id, catalog_service_successor(a, in_a), catalog_service_successor(b, in_b));
	compare_aliases(d, a, in_a, b, in_b);
	compare_aspects(d, a, in_a, b, in_b, first);
}

static void compare_new(struct rules_differences *d, const struct catalog *a, const struct catalog *b, uint32_t in_b, int first)
{
	const char *id = catalog_service_id(b, in_b);
	compare_event(d, "service", id, NULL, catalog_service_name(b, in_b));
	compare_event(d, "begin", id, "no limit", instant(&d->arena, catalog_service_begin_ms(b, in_b)));
	compare_event(d, "end", id, "no limit", instant(&d->arena, catalog_service_end_ms(b, in_b)));
	compare_aliases(d, a, NOT_THERE, b, in_b);
	compare_aspects(d, a, NOT_THERE, b, in_b, first);
}

static void compare_services(struct rules_differences *d, const struct catalog *a, const struct catalog *b, int first)
{
	uint32_t at;
	for (uint32_t i = 0; i < catalog_services(a); i++)
		if (!catalog_find_id(b, span_of(catalog_service_id(a, i)), &at))
			compare_event(d, "service", catalog_service_id(a, i), catalog_service_name(a, i), NULL);
	for (uint32_t i = 0; i < catalog_services(b); i++) {
		if (catalog_find_id(a, span_of(catalog_service_id(b, i)), &at))
			compare_service(d, a, at, b, i, first);
		else
			compare_new(d, a, b, i, first);
	}
}

static void compare_fields(struct rules_differences *d, const struct decode_fields *a, const struct decode_fields *b)
{
	compare_event(d, "event.fields.id", NULL, a->id, b->id);
	compare_event(d, "event.fields.account", NULL, a->account, b->account);
	compare_event(d, "event.fields.service", NULL, a->service, b->service);
	compare_event(d, "event.fields.time", NULL, a->time, b->time);
	compare_event(d, "event.fields.calls", NULL, a->calls, b->calls);
	compare_event(d, "event.fields.status", NULL, a->status, b->status);
	compare_event(d, "event.fields.items", NULL, a->items, b->items);
}

static const char *seconds(struct arena *a, int64_t ms)
{
	return ms % 1000 == 0 ? arena_printf(a, "%lld s", (long long)(ms / 1000)) : arena_printf(a, "%lld ms", (long long)ms);
}

static const char *window_text(struct arena *a, const struct rules_settings *s)
{
	if (!s->dedupe)
		return "disabled";
	return arena_printf(a, "%u generations of 2^%u offsets, at most %s old", s->generations, s->generation_bits, seconds(a, s->dedupe_max_age_ms));
}

static void compare_settings(struct rules_differences *d, const struct rules_settings *a, const struct rules_settings *b)
{
	struct arena *arena = &d->arena;
	compare_event(d, "event.max_future", NULL, seconds(arena, a->max_future_ms), seconds(arena, b->max_future_ms));
	compare_event(d, "rules.lead", NULL, seconds(arena, a->lead_ms), seconds(arena, b->lead_ms));
	compare(d, "close.grace", NULL, seconds(arena, a->close_grace_ms), seconds(arena, b->close_grace_ms));
	compare(d, "clock", NULL, a->clock == CLOCK_WALL ? "wall" : "records", b->clock == CLOCK_WALL ? "wall" : "records");
	compare(d, "dedupe", NULL, window_text(arena, a), window_text(arena, b));
	compare_fields(d, &a->fields, &b->fields);
}

void rules_differ(const struct rules *from, const struct rules *to, int first, struct rules_differences *ret)
{
	char x[MONEY_TEXT], y[MONEY_TEXT];
	const struct catalog *a = from->catalog, *b = to->catalog;
	*ret = (struct rules_differences){ 0 };
	compare(ret, "version", NULL, catalog_version(a), catalog_version(b));
	compare_settings(ret, &from->settings, &to->settings);
	compare(ret, "time_zone", NULL, zone_name(catalog_zone(a)), zone_name(catalog_zone(b)));
	compare(ret, "currency", NULL, catalog_currency(a), catalog_currency(b));
	compare(ret, "rounding", NULL, catalog_rounding_text(a), catalog_rounding_text(b));
	compare(ret, "freeze_basis", NULL, freeze_basis_text(catalog_freeze_basis(a)), freeze_basis_text(catalog_freeze_basis(b)));
	money_price_text(catalog_freeze_ratio_micro(a), x);
	money_price_text(catalog_freeze_ratio_micro(b), y);
	if (strcmp(x, y) != 0)
		compare(ret, "freeze_ratio", NULL, arena_printf(&ret->arena, "%s", x), arena_printf(&ret->arena, "%s", y));
	compare(ret, "pack_order", NULL, pack_order_text(catalog_pack_order(a)), pack_order_text(catalog_pack_order(b)));
	compare(ret, "statements.zero_price", NULL, catalog_zero_price_statements(a) ? "true" : "false",
		catalog_zero_price_statements(b) ? "true" : "false");
	compare_event(ret, "billable codes", NULL, codes_text(a, &ret->arena), codes_text(b, &ret->arena));
	compare_owners(ret, a, b);
	compare_services(ret, a, b, first);
}

void rules_differences_free(struct rules_differences *d)
{
	arena_free(&d->arena);
	free(d->list);
	*d = (struct rules_differences){ 0 };
}
