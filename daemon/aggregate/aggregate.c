// SPDX-License-Identifier: Apache-2.0
// An open-addressing table (load at most three quarters) of four bytes of a hash and the place of a counter. Counters lie in chunks and
// never move, each with its account behind it.
#include "aggregate/aggregate.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "base/check.h"

struct slot {
	uint32_t tag; // of the hash: its low bits are the home of the slot too
	uint32_t at;  // chunk and unit in it; 0: empty
};

enum { UNIT = 8, CHUNK = 2 << 20, CHUNK_UNITS = CHUNK / UNIT, CHUNK_SHIFT = 18, CHUNKS_MOST = 1 << (32 - CHUNK_SHIFT) };
_Static_assert(CHUNK_UNITS == 1 << CHUNK_SHIFT, "a place is a chunk and a unit");
_Static_assert(offsetof(struct counter, account) + 13 == 64, "a counter with an account of 13 is a line of the cache");
enum { DELTAS_MOST = 1 << 24, ACCOUNT_MOST = 127 }; // what the fields of a counter hold

struct aggregate {
	uint32_t shards, most;
	uint64_t serial;
	struct arena arena;        // holders, and what counters have apart
	char **chunks;             // of counters; they never move
	uint32_t n_chunks, chunk;  // chunk: in use so far
	uint32_t used;             // of the chunk in use, in units
	struct slot *slots;
	uint64_t n, mask;
	struct holder **holder_slots;
	uint64_t n_holders, holder_mask;
};

enum { FIRST_SLOTS = 4096, FIRST_HOLDERS = 64 };

// Large pages where there are any: a counter is met at random.
static void *large(size_t bytes)
{
	size_t whole = (bytes + CHUNK - 1) / CHUNK * CHUNK;
	void *p = aligned_alloc(CHUNK, whole);
	if (p == NULL)
		out_of_memory(whole, 1);
	madvise(p, whole, MADV_HUGEPAGE); // speed only
	return p;
}

static struct slot *slots_new(uint64_t n)
{
	if (n * sizeof(struct slot) < CHUNK)
		return xcalloc(n, sizeof(struct slot));
	return memset(large(n * sizeof(struct slot)), 0, n * sizeof(struct slot));
}

struct aggregate *aggregate_new(uint32_t shards, uint32_t most)
{
	check(shards > 0 && most > 0);
	struct aggregate *a = xcalloc(1, sizeof(*a));
	*a = (struct aggregate){ .shards = shards, .most = most, .mask = FIRST_SLOTS - 1 };
	a->slots = slots_new(FIRST_SLOTS);
	a->used = 1; // place 0 is none
	a->holder_mask = FIRST_HOLDERS - 1;
	a->holder_slots = xcalloc(FIRST_HOLDERS, sizeof(*a->holder_slots));
	return a;
}

void aggregate_freep(struct aggregate **a)
{
	if (*a == NULL)
		return;
	arena_free(&(*a)->arena);
	for (uint32_t i = 0; i < (*a)->n_chunks; i++)
		free((*a)->chunks[i]);
	free((*a)->chunks);
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
		free((*b)->shards[i].groups);
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
		b->shards[i].n = b->shards[i].n_entries = b->shards[i].n_accounts = b->shards[i].n_groups = b->shards[i].group = 0;
	b->serial = ++a->serial;
	b->largest = b->groups = b->entries = b->n_ordered = 0;
	b->latest = MONTH_NONE;
	b->calls = 0;
	b->urgent = false;
}

static uint32_t counter_tag(struct span account, uint32_t service, int month, int adjust_month)
{
	uint64_t seed = ((uint64_t)service << 40) ^ ((uint64_t)(uint32_t)month << 20) ^ (uint64_t)(uint32_t)(adjust_month + 1);
	return (uint32_t)XXH3_64bits_withSeed(account.p, account.n, seed);
}

static struct counter *counter_at(const struct aggregate *a, uint32_t at)
{
	return (struct counter *)(void *)(a->chunks[at >> CHUNK_SHIFT] + (size_t)(at & (CHUNK_UNITS - 1)) * UNIT);
}

static void aggregate_grow(struct aggregate *a)
{
	uint64_t slots = (a->mask + 1) * 2;
	struct slot *old = a->slots;
	uint64_t old_slots = a->mask + 1;
	check(slots <= UINT64_C(1) << 32);
	a->slots = slots_new(slots);
	a->mask = slots - 1;
	for (uint64_t i = 0; i < old_slots; i++) {
		if (old[i].at == 0)
			continue;
		uint64_t at = old[i].tag & a->mask;
		while (a->slots[at].at != 0)
			at = (at + 1) & a->mask;
		a->slots[at] = old[i];
	}
	free(old);
}

// The place of a counter with so long an account.
static uint32_t place_new(struct aggregate *a, size_t account_n)
{
	uint32_t units = (uint32_t)((offsetof(struct counter, account) + account_n + UNIT - 1) / UNIT);
	if (a->n_chunks > 0 && a->used + units > CHUNK_UNITS) {
		a->chunk++;
		a->used = 0;
	}
	if (a->chunk >= a->n_chunks) {
		check(a->n_chunks < CHUNKS_MOST);
		a->chunks = xrealloc(a->chunks, a->n_chunks + 1, sizeof(char *));
		a->chunks[a->n_chunks++] = large(CHUNK);
	}
	uint32_t at = a->chunk << CHUNK_SHIFT | a->used;
	a->used += units;
	return at;
}

static bool counter_is(const struct counter *c, struct span account, uint32_t service, int month, int adjust_month)
{
	return c->service == service && c->month == month && c->adjust_month == adjust_month && span_eq(counter_account(c), account);
}

struct counter *aggregate_counter(struct aggregate *a, struct span account, uint32_t service, int month, int adjust_month, uint32_t shard)
{
	check(shard < a->shards && account.n <= ACCOUNT_MOST);
	uint32_t tag = counter_tag(account, service, month, adjust_month);
	uint64_t at = tag & a->mask;
	for (; a->slots[at].at != 0; at = (at + 1) & a->mask)
		if (a->slots[at].tag == tag && counter_is(counter_at(a, a->slots[at].at), account, service, month, adjust_month))
			return counter_at(a, a->slots[at].at);
	uint32_t place = place_new(a, account.n);
	struct counter *c = counter_at(a, place);
	*c = (struct counter){ .slack = -1, .service = service, .month = (int16_t)month, .adjust_month = (int16_t)adjust_month,
			       .shard = (uint16_t)shard, .account_n = (uint8_t)(account.n & ACCOUNT_MOST) };
	memcpy(c->account, account.p, account.n);
	a->slots[at] = (struct slot){ tag, place };
	if (++a->n * 4 > a->mask * 3)
		aggregate_grow(a);
	return c;
}

static struct counter_more *counter_more(struct aggregate *a, struct counter *c)
{
	if (c->more == NULL) {
		c->more = arena_alloc(&a->arena, sizeof(*c->more));
		*c->more = (struct counter_more){ .change_ms = INT64_MIN, .looked_ms = INT64_MIN };
	}
	return c->more;
}

void aggregate_terms(struct aggregate *a, struct counter *c, const struct counter_terms *t)
{
	bool plain = t->ladder_first == NULL && t->allowance == NULL && !t->watched;
	const struct ladder *first = c->more != NULL ? c->more->ladder_first : NULL;
	if (c->ladder != t->ladder || first != t->ladder_first)
		c->slack = -1; // how far its next rung is has to be learned anew
	c->ladder = t->ladder;
	if (plain && c->more == NULL)
		return;
	struct counter_more *m = counter_more(a, c);
	m->ladder_first = t->ladder_first;
	m->allowance = t->allowance;
	m->in_month = t->in_month;
	m->in_service = t->in_service;
	m->scope = t->scope;
	m->watched = t->watched;
}

void aggregate_prefetch_slot(const struct aggregate *a, struct span account, uint32_t service, int month)
{
	__builtin_prefetch(&a->slots[counter_tag(account, service, month, MONTH_NONE) & a->mask]);
}

void aggregate_prefetch_counter(const struct aggregate *a, struct span account, uint32_t service, int month)
{
	uint32_t place = a->slots[counter_tag(account, service, month, MONTH_NONE) & a->mask].at;
	if (place == 0)
		return;
	const char *c = (const char *)counter_at(a, place);
	for (size_t line = 0; line < offsetof(struct counter, account) + account.n; line += 64)
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
		if (b->ordered[i]->month > month && span_eq(counter_account(b->ordered[i]), account))
			return true;
	return false;
}

// Most deltas are of the months of the one before.
static void batch_group(struct batch *b, struct shard_batch *s, const struct counter *c)
{
	uint32_t pair = (uint32_t)(uint16_t)c->month << 16 | (uint16_t)c->adjust_month;
	if (s->group < s->n_groups && s->groups[s->group] == pair)
		return;
	for (s->group = 0; s->group < s->n_groups; s->group++)
		if (s->groups[s->group] == pair)
			return;
	if (s->n_groups == s->size_groups) {
		s->size_groups = s->size_groups * 2 + 16;
		s->groups = xrealloc(s->groups, s->size_groups, sizeof(*s->groups));
	}
	s->groups[s->n_groups++] = pair;
	b->groups = s->n_groups > b->groups ? s->n_groups : b->groups;
}

// The counter's delta in this batch, made at its first call.
static uint32_t batch_delta(struct batch *b, struct counter *c)
{
	struct shard_batch *s = &b->shards[c->shard];
	if (c->batch == b->serial)
		return c->delta;
	if (s->n == s->size)
		shard_batch_grow(s);
	const struct counter_more *m = c->more;
	s->deltas[s->n] = (struct commit_delta){ .account = counter_account(c),
						 .service = c->service,
						 .month = c->month,
						 .adjust_month = c->adjust_month,
						 .ladder = c->ladder,
						 .ladder_first = m != NULL ? m->ladder_first : NULL };
	s->counters[s->n] = c;
	batch_group(b, s, c);
	check(s->n < DELTAS_MOST && b->serial >> 40 == 0);
	c->batch = b->serial & ((UINT64_C(1) << 40) - 1);
	c->delta = s->n & (DELTAS_MOST - 1);
	if (++s->n > b->largest)
		b->largest = s->n;
	if (m != NULL && (m->ladder_first != NULL || m->allowance != NULL))
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
	if (c->slack >= 0 && c->sent + d->calls >= c->slack)
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
	*h = (struct holder){ .hash = hash, .account = arena_copy(&a->arena, account), .scope = scope, .shard = shard, .slack = -1,
			      .weighed_ms = TIME_NONE };
	a->holder_slots[at] = h;
	if (++a->n_holders * 2 > a->holder_mask)
		holders_grow(a);
	return h;
}

void aggregate_changed(struct aggregate *a, struct batch *b, struct counter *c, int64_t change_ms, bool later)
{
	if (change_ms == INT64_MIN && !later && c->more == NULL)
		return;
	struct counter_more *m = counter_more(a, c);
	m->change_ms = change_ms;
	if (!later && (change_ms == INT64_MIN || m->looked_ms == change_ms))
		return;
	if (change_ms == INT64_MIN)
		change_ms = COMMIT_CHANGE_NONE;
	struct shard_batch *s = &b->shards[c->shard];
	struct holder *h = aggregate_holder(a, counter_account(c), HOLDER_ACCOUNT, c->shard);
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
	s->accounts[s->n_accounts++] = (struct commit_account){ .account = counter_account(c), .change_ms = change_ms };
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

void aggregate_look(const struct batch *b, struct holder *h)
{
	h->look_of = aggregate_allowance(b, h);
	h->look_behind = b->serial;
	check(h->look_of != NULL);
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
		d->with_calls = ladder && (c->slack < 0 || c->sent >= c->slack);
	}
	for (uint32_t i = 0; i < s->n_entries; i++) {
		struct holder *h = s->holders[i];
		struct commit_entry *e = &s->entries[i];
		h->sent += entry_calls(e);
		e->look = h->look_of != NULL && h->look_behind < b->serial && e->allowance != h->look_of;
		e->with_calls = h->slack < 0 || h->sent >= h->slack;
	}
}

// So many calls more reach the next rung of `l`, where a counter holds `total`.
static int64_t ladder_slack(const struct ladder *l, int64_t total)
{
	uint32_t k = l != NULL ? ladder_next(l, total) : 0;
	return l != NULL && k < l->n ? l->rungs[k].at - total : INT64_MAX;
}

static int64_t counter_slack(const struct counter *c, int64_t total)
{
	int64_t slack = ladder_slack(c->ladder, total);
	int64_t first = ladder_slack(c->more != NULL ? c->more->ladder_first : NULL, total);
	return first < slack ? first : slack;
}

void aggregate_applied(struct batch *b, uint32_t shard, bool known)
{
	struct shard_batch *s = &b->shards[shard];
	for (uint32_t i = 0; i < s->n; i++) {
		struct counter *c = s->counters[i];
		c->sent -= s->deltas[i].calls;
		check(c->sent >= 0);
		c->active_known = true;
		c->slack = known ? counter_slack(c, s->deltas[i].total) : -1;
		if (c->more != NULL)
			c->more->looked_ms = c->more->change_ms;
	}
	for (uint32_t i = 0; i < s->n_entries; i++) {
		struct holder *h = s->holders[i];
		h->sent -= entry_calls(&s->entries[i]);
		h->slack = known ? s->entries[i].slack : -1;
		if (s->entries[i].look && h->look_behind < b->serial)
			h->look_of = NULL;
	}
}

void aggregate_forget(struct aggregate *a)
{
	memset(a->slots, 0, (a->mask + 1) * sizeof(*a->slots));
	memset(a->holder_slots, 0, (a->holder_mask + 1) * sizeof(*a->holder_slots));
	a->n_holders = 0;
	arena_reset(&a->arena);
	a->chunk = 0;
	a->used = 1;
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
