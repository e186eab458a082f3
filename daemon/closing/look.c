// SPDX-License-Identifier: Apache-2.0
// Where every shard stands in every admitted partition, at one moment. A month may close when the slowest has passed it.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"

struct named {
	const char *name;
	uint32_t index;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

void look_free(struct look *l)
{
	free(l->parts);
	*l = (struct look){ 0 };
}

static void take_shard(struct look *l, const struct named *names, const struct store_positions *at, uint32_t *seen)
{
	for (uint32_t i = 0; i < at->n; i++) {
		struct named key = { at->list[i].name, 0 };
		const struct named *found = bsearch(&key, names, l->n, sizeof(*names), by_name);
		if (found == NULL)
			continue; // read once, not admitted: nothing counts from it
		struct look_part *p = &l->parts[found->index];
		int64_t clock_ms = at->list[i].at.clock_ms;
		bool first = seen[found->index]++ == 0;
		p->clock_min = first || clock_ms < p->clock_min ? clock_ms : p->clock_min;
		p->clock_max = first || clock_ms > p->clock_max ? clock_ms : p->clock_max;
		p->next_max = first || at->list[i].at.next > p->next_max ? at->list[i].at.next : p->next_max;
		l->clock_max = clock_ms > l->clock_max ? clock_ms : l->clock_max;
	}
}

enum error_class look_take(struct store *s, uint32_t shards, const struct journal *j, struct look *ret, struct error *e)
{
	struct look l = { .n = j->n_parts, .parts = xcalloc(j->n_parts + 1, sizeof(*l.parts)), .clock_max = TIME_NONE };
	CLEANUP(freep) struct named *names = xcalloc(j->n_parts + 1, sizeof(*names));
	CLEANUP(freep) uint32_t *seen = xcalloc(j->n_parts + 1, sizeof(*seen));
	for (uint32_t i = 0; i < j->n_parts; i++)
		names[i] = (struct named){ j->parts[i].name, i };
	qsort(names, j->n_parts, sizeof(*names), by_name);
	for (uint32_t shard = 0; shard < shards; shard++) {
		struct store_positions at = { 0 };
		enum error_class c = s->ops->positions(s, shard, &at, e);
		if (c != ERROR_NONE) {
			look_free(&l);
			return c;
		}
		take_shard(&l, names, &at, seen);
		store_positions_free(&at);
	}
	for (uint32_t i = 0; i < l.n; i++)
		l.parts[i].everywhere = seen[i] == shards;
	*ret = l;
	return ERROR_NONE;
}

static bool in_manifest(const struct journal_manifest *m, const char *name)
{
	for (uint32_t i = 0; i < m->n_cuts; i++)
		if (strcmp(m->cuts[i].name, name) == 0)
			return true;
	return false;
}

bool look_reached(const struct look *l, const struct journal *j, const struct journal_manifest *m, int64_t close_ms, char ret_waits[256])
{
	check(l->n == j->n_parts);
	uint32_t behind = 0;
	const char *first = NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		const struct look_part *p = &l->parts[i];
		if ((p->everywhere && p->clock_min >= close_ms) || (m != NULL && !in_manifest(m, j->parts[i].name)))
			continue;
		if (behind++ == 0)
			first = j->parts[i].name;
	}
	if (behind > 1)
		snprintf(ret_waits, 256, "record clock of %.200s and %u more", first, behind - 1);
	else if (behind == 1)
		snprintf(ret_waits, 256, "record clock of %.200s", first);
	return behind == 0;
}

enum error_class closing_waits(struct store *s, uint32_t shards, const struct journal *j, int month, char ret[256],
			       int64_t *ret_clock_max_ms, struct error *e)
{
	check(j->n_rules > 0);
	struct look l = { 0 };
	char waits[256] = "";
	enum error_class c = look_take(s, shards, j, &l, e);
	if (c != ERROR_NONE)
		return c;
	look_reached(&l, j, journal_manifest(j, month), rules_close_ms(j->rules[j->n_rules - 1].rules, month), waits);
	*ret_clock_max_ms = l.clock_max;
	look_free(&l);
	memcpy(ret, waits, sizeof(waits));
	return ERROR_NONE;
}
