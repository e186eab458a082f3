// SPDX-License-Identifier: Apache-2.0
#include "pipeline/ledger.h"

#include <stdlib.h>

#include "base/check.h"

struct looking {
	struct ledger *ledger;
	uint32_t shard;
};

static struct ledger_part *find(struct ledger *l, struct span name)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (span_is(name, l->parts[i].part->name))
			return &l->parts[i];
	return NULL;
}

static bool take_field(void *ctx, struct span field, struct span value)
{
	const struct looking *at = ctx;
	const char *slash = memrchr(field.p, '/', field.n);
	int64_t n = 0;
	if (slash == NULL || !span_int64(value, &n))
		return true;
	struct ledger_part *p = find(at->ledger, (struct span){ field.p, (size_t)(slash - field.p) });
	struct span word = { slash + 1, field.n - (size_t)(slash + 1 - field.p) };
	if (p == NULL)
		return true;
	if (span_is(word, "consumed")) {
		p->uneven = p->uneven || (at->shard > 0 && p->consumed != n);
		p->consumed = n;
	}
	for (int k = 0; k < OUTCOME_COUNT; k++)
		if (span_is(word, outcome_text((enum outcome)k)))
			p->outcomes[k] += n;
	return true;
}

static enum error_class take_positions(struct store *s, uint32_t shard, struct ledger *l, bool first, struct error *e)
{
	struct store_positions at = { 0 };
	enum error_class cls = s->ops->positions(s, shard, &at, e);
	for (uint32_t i = 0; cls == ERROR_NONE && i < at.n; i++) {
		struct ledger_part *p = find(l, span_of(at.list[i].name));
		if (p == NULL)
			continue;
		if (first && p->next == LEDGER_NONE)
			p->next = at.list[i].at.next;
		else if (p->next != at.list[i].at.next)
			p->next = LEDGER_UNEQUAL;
	}
	store_positions_free(&at);
	return cls;
}

enum error_class ledger_look(struct store *s, uint32_t shards, const struct journal *j, struct ledger *ret, struct error *e)
{
	struct ledger l = { .n = j->n_parts, .parts = xcalloc(j->n_parts + 1, sizeof(*l.parts)) };
	struct looking at = { .ledger = &l };
	enum error_class cls = ERROR_NONE;
	for (uint32_t i = 0; i < l.n; i++)
		l.parts[i] = (struct ledger_part){ .part = &j->parts[i], .next = LEDGER_NONE };
	for (uint32_t shard = 0; shard < shards && cls == ERROR_NONE; shard++)
		cls = take_positions(s, shard, &l, true, e);
	for (; at.shard < shards && cls == ERROR_NONE; at.shard++)
		cls = s->ops->scan_ledger(s, at.shard, take_field, &at, e);
	for (uint32_t shard = 0; shard < shards && cls == ERROR_NONE; shard++)
		cls = take_positions(s, shard, &l, false, e);
	ledger_free(ret);
	if (cls == ERROR_NONE)
		*ret = l;
	else
		ledger_free(&l);
	return cls;
}

void ledger_free(struct ledger *l)
{
	free(l->parts);
	*l = (struct ledger){ 0 };
}

bool ledger_equal(const struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->parts[i].next == LEDGER_UNEQUAL)
			return false;
	return true;
}

int64_t ledger_difference(const struct ledger_part *p)
{
	check(p->next != LEDGER_UNEQUAL);
	int64_t d = p->consumed;
	for (int k = 0; k < OUTCOME_COUNT; k++)
		d -= p->outcomes[k];
	return d == 0 && p->uneven ? 1 : d;
}
