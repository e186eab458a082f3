// SPDX-License-Identifier: Apache-2.0
#include "catalog/index.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"

static int by_name_and_time(const void *pa, const void *pb)
{
	const struct name_use *a = pa, *b = pb;
	int c = span_order(a->name, b->name);
	if (c == 0)
		c = (a->from_ms > b->from_ms) - (a->from_ms < b->from_ms);
	if (c == 0)
		c = (a->line > b->line) - (a->line < b->line);
	return c != 0 ? c : (a->column > b->column) - (a->column < b->column);
}

void name_uses_sort(struct name_use *uses, uint32_t n)
{
	qsort(uses, n, sizeof(*uses), by_name_and_time);
}

static void place(struct name_index *x, uint64_t hash, uint32_t first, uint32_t n)
{
	uint64_t at = hash & x->mask;
	while (x->slots[at].n != 0)
		at = (at + 1) & x->mask;
	x->slots[at] = (struct name_slot){ hash, first, n };
}

void name_index_build(struct name_index *x, struct arena *a, const struct name_use *uses, uint32_t n)
{
	uint64_t room = 8;
	while (room < (uint64_t)n * 2)
		room *= 2;
	x->uses = uses;
	x->mask = room - 1;
	x->slots = arena_alloc(a, room * sizeof(*x->slots));
	memset(x->slots, 0, room * sizeof(*x->slots));
	for (uint32_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && span_eq(uses[end].name, uses[i].name); end++)
			check(uses[end].from_ms >= uses[end - 1].until_ms);
		place(x, XXH3_64bits(uses[i].name.p, uses[i].name.n), i, end - i);
	}
}

static bool in_force(const struct name_use *u, int64_t time_ms)
{
	return time_ms >= u->from_ms && (time_ms < u->until_ms || u->until_ms == INT64_MAX);
}

const struct name_use *name_index_find(const struct name_index *x, struct span name, int64_t time_ms)
{
	uint64_t hash = XXH3_64bits(name.p != NULL ? name.p : "", name.n);
	for (uint64_t at = hash & x->mask; x->slots[at].n != 0; at = (at + 1) & x->mask) {
		const struct name_slot *s = &x->slots[at];
		if (s->hash != hash || !span_eq(x->uses[s->first].name, name))
			continue;
		for (uint32_t i = 0; i < s->n; i++)
			if (in_force(&x->uses[s->first + i], time_ms))
				return &x->uses[s->first + i];
		return NULL;
	}
	return NULL;
}
