// SPDX-License-Identifier: Apache-2.0
// An open-addressing table of pointers to counters (load at most one half), counters and accounts in an arena of their own.
#include "aggregate/aggregate.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"

struct aggregate {
	uint32_t shards, most;
	uint64_t serial;
	struct arena arena;
	struct counter **slots;
	uint64_t n, mask;
};

enum { FIRST_SLOTS = 4096 };

struct aggregate *aggregate_new(uint32_t shards, uint32_t most)
{
	check(shards > 0 && most > 0);
	struct aggregate *a = xcalloc(1, sizeof(*a));
	*a = (struct aggregate){ .shards = shards, .most = most, .mask = FIRST_SLOTS - 1 };
	a->slots = xcalloc(FIRST_SLOTS, sizeof(*a->slots));
	return a;
}

void aggregate_freep(struct aggregate **a)
{
	if (*a == NULL)
		return;
	arena_free(&(*a)->arena);
	free((*a)->slots);
	free(*a);
	*a = NULL;
}

struct batch *batch_new(uint32_t shards)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	b->n_shards = shards;
	b->shards = xcalloc(shards, sizeof(*b->shards));
	return b;
}

void batch_freep(struct batch **b)
{
	if (*b == NULL)
		return;
	for (uint32_t i = 0; i < (*b)->n_shards; i++) {
		free((*b)->shards[i].deltas);
		free((*b)->shards[i].counters);
		free((*b)->shards[i].tails);
	}
	arena_free(&(*b)->arena);
	free((*b)->shards);
	free(*b);
	*b = NULL;
}

void aggregate_begin(struct aggregate *a, struct batch *b)
{
	check(b->n_shards == a->shards);
	arena_reset(&b->arena);
	for (uint32_t i = 0; i < b->n_shards; i++)
		b->shards[i].n = 0;
	b->serial = ++a->serial;
	b->largest = 0;
	b->calls = 0;
	b->urgent = false;
}

static uint64_t counter_hash(struct span account, uint32_t service, int month, int adjust_month)
{
	uint64_t seed = ((uint64_t)service << 40) ^ ((uint64_t)(uint32_t)month << 20) ^ (uint64_t)(uint32_t)(adjust_month + 1);
	return XXH3_64bits_withSeed(account.p, account.n, seed);
}

static void aggregate_grow(struct aggregate *a)
{
	uint64_t slots = (a->mask + 1) * 2;
	struct counter **old = a->slots;
	uint64_t old_slots = a->mask + 1;
	a->slots = xcalloc(slots, sizeof(*a->slots));
	a->mask = slots - 1;
	for (uint64_t i = 0; i < old_slots; i++) {
		if (old[i] == NULL)
			continue;
		uint64_t at = old[i]->hash & a->mask;
		while (a->slots[at] != NULL)
			at = (at + 1) & a->mask;
		a->slots[at] = old[i];
	}
	free(old);
}

struct counter *aggregate_counter(struct aggregate *a, struct span account, uint32_t service, int month, int adjust_month, uint32_t shard)
{
	check(shard < a->shards);
	uint64_t hash = counter_hash(account, service, month, adjust_month);
	uint64_t at = hash & a->mask;
	for (struct counter *c; (c = a->slots[at]) != NULL; at = (at + 1) & a->mask)
		if (c->hash == hash && c->service == service && c->month == month && c->adjust_month == adjust_month &&
		    span_eq(c->account, account))
			return c;
	struct counter *c = arena_alloc(&a->arena, sizeof(*c));
	*c = (struct counter){ .hash = hash,
			       .account = arena_copy(&a->arena, account),
			       .service = service,
			       .month = month,
			       .adjust_month = adjust_month,
			       .shard = shard,
			       .known = -1,
			       .next_at = INT64_MAX };
	a->slots[at] = c;
	if (++a->n * 2 > a->mask)
		aggregate_grow(a);
	return c;
}

static void shard_batch_grow(struct shard_batch *s)
{
	s->size = s->size * 2 + 64;
	s->deltas = xrealloc(s->deltas, s->size, sizeof(*s->deltas));
	s->counters = xrealloc(s->counters, s->size, sizeof(*s->counters));
	s->tails = xrealloc(s->tails, s->size, sizeof(*s->tails));
}

// The counter's delta in this batch, made at its first call.
static uint32_t batch_delta(struct batch *b, struct counter *c)
{
	struct shard_batch *s = &b->shards[c->shard];
	if (c->batch == b->serial)
		return c->delta;
	if (s->n == s->size)
		shard_batch_grow(s);
	s->deltas[s->n] = (struct commit_delta){ .account = c->account,
						 .service = c->service,
						 .month = c->month,
						 .adjust_month = c->adjust_month,
						 .ladder = c->ladder,
						 .ladder_first = c->ladder_first };
	s->counters[s->n] = c;
	c->batch = b->serial;
	c->delta = s->n++;
	if (s->n > b->largest)
		b->largest = s->n;
	return c->delta;
}

void aggregate_add(struct aggregate *a, struct batch *b, struct counter *c, struct call_ref *ref)
{
	check(b->serial != 0 && b->serial <= a->serial && ref->next == NULL && ref->calls >= 1);
	uint32_t i = batch_delta(b, c);
	struct shard_batch *s = &b->shards[c->shard];
	struct commit_delta *d = &s->deltas[i];
	if (d->n_calls++ == 0)
		d->first_call = ref;
	else
		*s->tails[i] = ref;
	s->tails[i] = &ref->next;
	d->calls += ref->calls; // below 2^63: at most max_events calls of at most 10^9
	b->calls++;
	if (c->known >= 0 && c->known + c->sent + d->calls >= c->next_at)
		b->urgent = true;
}

void aggregate_sent(struct batch *b, uint32_t shard)
{
	struct shard_batch *s = &b->shards[shard];
	for (uint32_t i = 0; i < s->n; i++) {
		struct counter *c = s->counters[i];
		struct commit_delta *d = &s->deltas[i];
		bool ladder = d->ladder != NULL || d->ladder_first != NULL;
		c->sent += d->calls;
		d->activates = !c->active_known;
		d->with_calls = ladder && (c->known < 0 || c->known + c->sent >= c->next_at);
	}
}

static int64_t next_rung(const struct counter *c, int64_t total)
{
	int64_t at = INT64_MAX;
	const struct ladder *ladders[] = { c->ladder, c->ladder_first };
	for (size_t i = 0; i < ARRAY_LEN(ladders); i++) {
		uint32_t k = ladders[i] != NULL ? ladder_next(ladders[i], total) : 0;
		if (ladders[i] != NULL && k < ladders[i]->n && ladders[i]->rungs[k].at < at)
			at = ladders[i]->rungs[k].at;
	}
	return at;
}

void aggregate_applied(struct batch *b, uint32_t shard, bool known)
{
	struct shard_batch *s = &b->shards[shard];
	for (uint32_t i = 0; i < s->n; i++) {
		struct counter *c = s->counters[i];
		c->sent -= s->deltas[i].calls;
		check(c->sent >= 0);
		c->active_known = true;
		c->known = known ? s->deltas[i].total : -1;
		c->next_at = known ? next_rung(c, c->known) : INT64_MAX;
	}
}

void aggregate_forget(struct aggregate *a)
{
	memset(a->slots, 0, (a->mask + 1) * sizeof(*a->slots));
	arena_reset(&a->arena);
	a->n = 0;
}

bool aggregate_full(const struct aggregate *a)
{
	return a->n > a->most;
}

uint64_t aggregate_counters(const struct aggregate *a)
{
	return a->n;
}
