// SPDX-License-Identifier: Apache-2.0
// An open-addressing table of hashes and pointers to counters (load at most one half), counters and accounts in an arena of their own.
#include "aggregate/aggregate.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"

struct slot {
	uint64_t hash;
	struct counter *counter; // NULL: empty
};

struct aggregate {
	uint32_t shards, most;
	uint64_t serial;
	struct arena arena;
	struct slot *slots;
	uint64_t n, mask;
	struct holder **holder_slots;
	uint64_t n_holders, holder_mask;
};

enum { FIRST_SLOTS = 4096, FIRST_HOLDERS = 64 };

struct aggregate *aggregate_new(uint32_t shards, uint32_t most)
{
	check(shards > 0 && most > 0);
	struct aggregate *a = xcalloc(1, sizeof(*a));
	*a = (struct aggregate){ .shards = shards, .most = most, .mask = FIRST_SLOTS - 1 };
	a->slots = xcalloc(FIRST_SLOTS, sizeof(*a->slots));
	a->holder_mask = FIRST_HOLDERS - 1;
	a->holder_slots = xcalloc(FIRST_HOLDERS, sizeof(*a->holder_slots));
	return a;
}

void aggregate_freep(struct aggregate **a)
{
	if (*a == NULL)
		return;
	arena_free(&(*a)->arena);
	free((*a)->slots);
	free((*a)->holder_slots);
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
		free((*b)->shards[i].entries);
		free((*b)->shards[i].holders);
		free((*b)->shards[i].entry_tails);
		free((*b)->shards[i].entry_sizes);
		free((*b)->shards[i].accounts);
	}
	arena_free(&(*b)->arena);
	free((*b)->ordered);
	free((*b)->shards);
	free(*b);
	*b = NULL;
}

void aggregate_begin(struct aggregate *a, struct batch *b)
{
	check(b->n_shards == a->shards);
	arena_reset(&b->arena);
	for (uint32_t i = 0; i < b->n_shards; i++)
		b->shards[i].n = b->shards[i].n_entries = b->shards[i].n_accounts = 0;
	b->serial = ++a->serial;
	b->largest = b->entries = b->n_ordered = 0;
	b->latest = MONTH_NONE;
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
	struct slot *old = a->slots;
	uint64_t old_slots = a->mask + 1;
	a->slots = xcalloc(slots, sizeof(*a->slots));
	a->mask = slots - 1;
	for (uint64_t i = 0; i < old_slots; i++) {
		if (old[i].counter == NULL)
			continue;
		uint64_t at = old[i].hash & a->mask;
		while (a->slots[at].counter != NULL)
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
	for (struct counter *c; (c = a->slots[at].counter) != NULL; at = (at + 1) & a->mask)
		if (a->slots[at].hash == hash && c->service == service && c->month == month && c->adjust_month == adjust_month &&
		    span_eq(c->account, account))
			return c;
	struct counter *c = arena_alloc(&a->arena, sizeof(*c));
	*c = (struct counter){ .account = arena_copy(&a->arena, account),
			       .service = service,
			       .month = month,
			       .adjust_month = adjust_month,
			       .shard = shard,
			       .change_ms = INT64_MIN,
			       .looked_ms = INT64_MIN,
			       .known = -1,
			       .next_at = INT64_MAX };
	a->slots[at] = (struct slot){ hash, c };
	if (++a->n * 2 > a->mask)
		aggregate_grow(a);
	return c;
}

void aggregate_prefetch_slot(const struct aggregate *a, struct span account, uint32_t service, int month)
{
	__builtin_prefetch(&a->slots[counter_hash(account, service, month, MONTH_NONE) & a->mask]);
}

void aggregate_prefetch_counter(const struct aggregate *a, struct span account, uint32_t service, int month)
{
	const char *c = (const char *)a->slots[counter_hash(account, service, month, MONTH_NONE) & a->mask].counter;
	for (size_t line = 0; c != NULL && line < sizeof(struct counter) + account.n; line += 64)
		__builtin_prefetch(c + line, 1); // the account stands behind its counter
}

static void shard_batch_grow(struct shard_batch *s)
{
	s->size = s->size * 2 + 64;
	s->deltas = xrealloc(s->deltas, s->size, sizeof(*s->deltas));
	s->counters = xrealloc(s->counters, s->size, sizeof(*s->counters));
	s->tails = xrealloc(s->tails, s->size, sizeof(*s->tails));
}

static void batch_order(struct batch *b, struct counter *c)
{
	if (b->n_ordered == b->size_ordered) {
		b->size_ordered = b->size_ordered * 2 + 64;
		b->ordered = xrealloc(b->ordered, b->size_ordered, sizeof(struct counter *));
	}
	b->ordered[b->n_ordered++] = c;
	b->latest = c->month > b->latest ? c->month : b->latest;
}

bool aggregate_later(const struct batch *b, struct span account, int month)
{
	for (uint32_t i = 0; month < b->latest && i < b->n_ordered; i++)
		if (b->ordered[i]->month > month && span_eq(b->ordered[i]->account, account))
			return true;
	return false;
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
	if (c->ladder_first != NULL || c->allowance != NULL)
		batch_order(b, c);
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

// ---- holders

static int64_t entry_calls(const struct commit_entry *e)
{
	int64_t calls = 0;
	for (uint32_t i = 0; i < e->n_deltas; i++)
		calls += e->deltas[i].calls;
	return calls;
}

static void holders_grow(struct aggregate *a)
{
	uint64_t old_slots = a->holder_mask + 1;
	struct holder **old = a->holder_slots;
	a->holder_slots = xcalloc(old_slots * 2, sizeof(*a->holder_slots));
	a->holder_mask = old_slots * 2 - 1;
	for (uint64_t i = 0; i < old_slots; i++) {
		if (old[i] == NULL)
			continue;
		uint64_t at = old[i]->hash & a->holder_mask;
		while (a->holder_slots[at] != NULL)
			at = (at + 1) & a->holder_mask;
		a->holder_slots[at] = old[i];
	}
	free(old);
}

struct holder *aggregate_holder(struct aggregate *a, struct span account, int scope, uint32_t shard)
{
	uint64_t hash = XXH3_64bits_withSeed(account.p, account.n, (uint64_t)(uint32_t)scope);
	uint64_t at = hash & a->holder_mask;
	for (struct holder *h; (h = a->holder_slots[at]) != NULL; at = (at + 1) & a->holder_mask)
		if (h->hash == hash && h->scope == scope && span_eq(h->account, account))
			return h;
	struct holder *h = arena_alloc(&a->arena, sizeof(*h));
	*h = (struct holder){ .hash = hash, .account = arena_copy(&a->arena, account), .scope = scope, .shard = shard, .slack = -1 };
	a->holder_slots[at] = h;
	if (++a->n_holders * 2 > a->holder_mask)
		holders_grow(a);
	return h;
}

void aggregate_changed(struct aggregate *a, struct batch *b, struct counter *c, int64_t change_ms)
{
	c->change_ms = change_ms;
	if (change_ms == INT64_MIN || c->looked_ms == change_ms)
		return;
	struct shard_batch *s = &b->shards[c->shard];
	struct holder *h = aggregate_holder(a, c->account, HOLDER_ACCOUNT, c->shard);
	if (h->batch == b->serial) {
		if (s->accounts[h->entry].change_ms < change_ms) // its calls lie in several partitions
			s->accounts[h->entry].change_ms = change_ms;
		return;
	}
	if (s->n_accounts == s->size_accounts) {
		s->size_accounts = s->size_accounts * 2 + 16;
		s->accounts = xrealloc(s->accounts, s->size_accounts, sizeof(*s->accounts));
	}
	h->batch = b->serial;
	h->entry = s->n_accounts;
	s->accounts[s->n_accounts++] = (struct commit_account){ .account = c->account, .change_ms = change_ms };
}

bool aggregate_touched(const struct aggregate *a, const struct batch *b, struct span account)
{
	uint64_t hash = XXH3_64bits_withSeed(account.p, account.n, (uint64_t)(uint32_t)MONTH_NONE);
	uint64_t at = hash & a->holder_mask;
	for (const struct holder *h; (h = a->holder_slots[at]) != NULL; at = (at + 1) & a->holder_mask)
		if (h->hash == hash && h->scope == MONTH_NONE && span_eq(h->account, account))
			return h->touched == b->serial;
	return false;
}

const struct allowance *aggregate_allowance(const struct batch *b, const struct holder *h)
{
	return h->batch == b->serial ? b->shards[h->shard].entries[h->entry].allowance : NULL;
}

static void entries_grow(struct shard_batch *s)
{
	s->size_entries = s->size_entries * 2 + 16;
	s->entries = xrealloc(s->entries, s->size_entries, sizeof(*s->entries));
	s->holders = xrealloc(s->holders, s->size_entries, sizeof(*s->holders));
	s->entry_tails = xrealloc(s->entry_tails, s->size_entries, sizeof(*s->entry_tails));
	s->entry_sizes = xrealloc(s->entry_sizes, s->size_entries, sizeof(*s->entry_sizes));
}

// The holder's entry in this batch, made at its first call.
static uint32_t batch_entry(struct batch *b, struct holder *h, const struct allowance *allowance)
{
	struct shard_batch *s = &b->shards[h->shard];
	if (h->batch == b->serial) {
		check(s->entries[h->entry].allowance == allowance);
		return h->entry;
	}
	if (s->n_entries == s->size_entries)
		entries_grow(s);
	s->entries[s->n_entries] = (struct commit_entry){ .account = h->account, .allowance = allowance, .slack = -1 };
	s->holders[s->n_entries] = h;
	s->entry_sizes[s->n_entries] = 0;
	h->batch = b->serial;
	h->entry = s->n_entries++;
	b->entries++;
	return h->entry;
}

static void entry_add(struct batch *b, uint32_t shard, uint32_t index, uint32_t month, uint32_t service, int64_t calls)
{
	struct shard_batch *s = &b->shards[shard];
	struct commit_entry *e = &s->entries[index];
	struct entry_delta *list = (struct entry_delta *)(uintptr_t)e->deltas;
	for (uint32_t i = 0; i < e->n_deltas; i++) {
		if (list[i].month == month && list[i].service == service) {
			list[i].calls += calls;
			return;
		}
	}
	if (e->n_deltas == s->entry_sizes[index]) {
		s->entry_sizes[index] = s->entry_sizes[index] * 2 + 4;
		list = arena_alloc(&b->arena, s->entry_sizes[index] * sizeof(*list));
		if (e->n_deltas > 0)
			memcpy(list, e->deltas, e->n_deltas * sizeof(*list));
		e->deltas = list;
	}
	list[e->n_deltas++] = (struct entry_delta){ month, service, calls };
}

void aggregate_take(struct batch *b, struct holder *h, const struct allowance *allowance, uint32_t month, uint32_t service,
		    const struct call_ref *ref)
{
	uint32_t i = batch_entry(b, h, allowance);
	struct shard_batch *s = &b->shards[h->shard];
	struct commit_entry *e = &s->entries[i];
	struct entry_call *call = arena_alloc(&b->arena, sizeof(*call));
	*call = (struct entry_call){ .ref = ref, .month = month, .service = service };
	if (e->n_calls++ == 0)
		e->first_call = call;
	else
		*s->entry_tails[i] = call;
	s->entry_tails[i] = &call->next;
	entry_add(b, h->shard, i, month, service, ref->calls);
	if (h->slack >= 0 && h->sent + entry_calls(e) >= h->slack)
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
	for (uint32_t i = 0; i < s->n_entries; i++) {
		struct holder *h = s->holders[i];
		struct commit_entry *e = &s->entries[i];
		h->sent += entry_calls(e);
		e->look = h->look;
		e->with_calls = h->slack < 0 || h->sent >= h->slack;
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
		c->looked_ms = c->change_ms;
	}
	for (uint32_t i = 0; i < s->n_entries; i++) {
		struct holder *h = s->holders[i];
		h->sent -= entry_calls(&s->entries[i]);
		h->slack = known ? s->entries[i].slack : -1;
		h->look = h->look && !s->entries[i].look;
	}
}

void aggregate_forget(struct aggregate *a)
{
	memset(a->slots, 0, (a->mask + 1) * sizeof(*a->slots));
	memset(a->holder_slots, 0, (a->holder_mask + 1) * sizeof(*a->holder_slots));
	a->n_holders = 0;
	arena_reset(&a->arena);
	a->n = 0;
}

bool aggregate_full(const struct aggregate *a)
{
	return a->n + a->n_holders > a->most;
}

uint64_t aggregate_counters(const struct aggregate *a)
{
	return a->n;
}
