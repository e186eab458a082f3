// SPDX-License-Identifier: Apache-2.0
// A correction: what lines of closed months were, and what they become. Whether they are still what they were is found at the close.
#include <stdlib.h>

#include "account/inner.h"
#include "account/prices.h"
#include "base/check.h"

static bool read_pack(struct record_reader *r, const json_t *v, struct pack_use *ret)
{
	static const char *const known[] = { "id", "calls", NULL };
	return record_is(r, NULL, v, JSON_OBJECT) && record_known(r, v, known) && record_name(r, v, "id", "._:@-", &ret->id) &&
	       record_number(r, v, "calls", 1, ACCOUNT_NUMBER_MOST, &ret->calls);
}

static bool read_packs(struct record_reader *r, const json_t *object, struct correction_side *ret)
{
	const json_t *list;
	if (!record_field(r, object, "packs", true, &list) || !record_is(r, "packs", list, JSON_ARRAY))
		return false;
	size_t n = json_array_size(list), before = record_enter(r, "packs");
	struct pack_use *packs = arena_alloc(r->arena, (n + 1) * sizeof(*packs));
	CLEANUP(freep) struct span *names = xcalloc(n + 1, sizeof(*names));
	for (size_t i = 0; i < n; i++) {
		size_t list_at = record_enter_item(r, i);
		if (!read_pack(r, json_array_get(list, i), &packs[i]))
			return false;
		record_leave(r, list_at);
		names[i] = packs[i].id;
	}
	if (!record_differ(r, names, (uint32_t)n, ACCOUNT_FAULT_PACK_TWICE))
		return false;
	record_leave(r, before);
	ret->packs = packs;
	ret->n_packs = (uint32_t)n;
	return true;
}

static bool adds_up(struct record_reader *r, const struct correction_side *s)
{
	int64_t sum = s->free + s->billable; // each below 2^53
	bool ok = true;
	for (uint32_t i = 0; i < s->n_packs; i++)
		ok = ok && !__builtin_add_overflow(sum, s->packs[i].calls, &sum);
	return (ok && sum == s->calls) || record_fault(r, ACCOUNT_FAULT_CALLS_SUM, NULL, "%lld calls, and %lld free, %lld billable", (long long)s->calls,
						       (long long)s->free, (long long)s->billable);
}

static bool read_side(struct record_reader *r, const json_t *v, bool with_revision, struct correction_side *ret)
{
	static const char *const known[] = { "calls", "free", "packs", "billable", "charge", "prices", NULL };
	static const char *const known_was[] = { "revision", "calls", "free", "packs", "billable", "charge", "prices", NULL };
	return record_is(r, NULL, v, JSON_OBJECT) && record_known(r, v, with_revision ? known_was : known) &&
	       (!with_revision || record_number(r, v, "revision", 0, ACCOUNT_NUMBER_MOST, &ret->revision)) &&
	       record_number(r, v, "calls", 0, ACCOUNT_NUMBER_MOST, &ret->calls) && record_number(r, v, "free", 0, ACCOUNT_NUMBER_MOST, &ret->free) &&
	       read_packs(r, v, ret) && record_number(r, v, "billable", 0, ACCOUNT_NUMBER_MOST, &ret->billable) &&
	       record_fen(r, v, "charge", &ret->charge_fen) && record_line_prices(r, v, &ret->prices) && adds_up(r, ret);
}

// Absent `was`: there was no line.
static bool read_sides(struct record_reader *r, const json_t *object, struct correction_line *ret)
{
	const json_t *was, *becomes;
	ret->was = (struct correction_side){ .revision = -1 };
	ret->becomes = (struct correction_side){ .revision = -1 };
	if (!record_field(r, object, "was", false, &was) || !record_field(r, object, "becomes", true, &becomes))
		return false;
	size_t before = record_enter(r, "was");
	if (was != NULL && !read_side(r, was, true, &ret->was))
		return false;
	record_leave(r, before);
	record_enter(r, "becomes");
	if (!read_side(r, becomes, false, &ret->becomes))
		return false;
	record_leave(r, before);
	return true;
}

static bool pack_same(const struct pack_use *a, const struct pack_use *b)
{
	return a->calls == b->calls && span_eq(a->id, b->id);
}

static int by_id(const void *x, const void *y)
{
	return span_order(((const struct pack_use *)x)->id, ((const struct pack_use *)y)->id);
}

static struct pack_use *sorted(const struct pack_use *list, uint32_t n)
{
	struct pack_use *ret = xcalloc(n, sizeof(*ret));
	memcpy(ret, list, n * sizeof(*ret));
	qsort(ret, n, sizeof(*ret), by_id);
	return ret;
}

// Nearly always they stand in one order.
bool packs_same(const struct pack_use *a, uint32_t n, const struct pack_use *b, uint32_t m)
{
	uint32_t i = 0;
	while (n == m && i < n && pack_same(&a[i], &b[i]))
		i++;
	if (n != m || i == n)
		return n == m;
	CLEANUP(freep) struct pack_use *x = sorted(a + i, n - i), *y = sorted(b + i, n - i);
	for (n -= i, i = 0; i < n && pack_same(&x[i], &y[i]);)
		i++;
	return i == n;
}

static bool says_something(struct record_reader *r, const struct correction_line *l)
{
	const struct correction_side *a = &l->was, *b = &l->becomes;
	bool same = a->calls == b->calls && a->free == b->free && a->billable == b->billable && a->charge_fen == b->charge_fen &&
		    packs_same(a->packs, a->n_packs, b->packs, b->n_packs) && prices_same(a->prices, b->prices);
	return !same || record_fault(r, ACCOUNT_FAULT_LINE_SAME, NULL, "service `%.*s`", (int)l->service.n, l->service.p);
}

static bool read_line(struct record_reader *r, const json_t *v, struct correction_line *ret)
{
	static const char *const known[] = { "period", "service", "was", "becomes", NULL };
	return record_is(r, NULL, v, JSON_OBJECT) && record_known(r, v, known) && record_month(r, v, "period", &ret->month) &&
	       record_name(r, v, "service", "._-", &ret->service) && read_sides(r, v, ret) && says_something(r, ret);
}

static bool in_order(struct record_reader *r, const struct correction_line *l)
{
	const struct correction_line *before = l - 1;
	bool later = l->month > before->month || (l->month == before->month && span_order(before->service, l->service) < 0);
	return later || record_fault(r, ACCOUNT_FAULT_LINES_ORDER, NULL, "service `%.*s`", (int)l->service.n, l->service.p);
}

static bool read_lines(struct record_reader *r, const json_t *list, struct account_fact *ret)
{
	size_t n = json_array_size(list);
	struct correction_line *lines = arena_alloc(r->arena, (n + 1) * sizeof(*lines));
	if (n == 0)
		return record_fault(r, ACCOUNT_FAULT_LINES_NONE, NULL, "0 lines");
	for (size_t i = 0; i < n; i++) {
		size_t before = record_enter_item(r, i);
		if (!read_line(r, json_array_get(list, i), &lines[i]) || (i > 0 && !in_order(r, &lines[i])))
			return false;
		record_leave(r, before);
	}
	ret->lines = lines;
	ret->n_lines = (uint32_t)n;
	return true;
}

static bool read_reason(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	struct span text;
	if (!record_text(r, object, "reason", &text))
		return false;
	if (text.n == 0 || text.n > ACCOUNT_REASON_MOST)
		return record_fault(r, ACCOUNT_FAULT_REASON_FORM, "reason", "%zu bytes", text.n);
	ret->reason = arena_copy(r->arena, text);
	return true;
}

bool record_correction(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	const json_t *lines;
	if (ret->version != 1)
		return record_fault(r, ACCOUNT_FAULT_CORRECTION_VERSION, "version", "%lld", (long long)ret->version);
	if (!record_month(r, object, "after", &ret->after_month) || !read_reason(r, object, ret) || !record_question(r, object, ret) ||
	    !record_field(r, object, "lines", true, &lines) || !record_is(r, "lines", lines, JSON_ARRAY))
		return false;
	record_enter(r, "lines");
	return read_lines(r, lines, ret);
}
