// SPDX-License-Identifier: Apache-2.0
// A window is a hash of chains over the slots, and a heap of slots with the fewest calls on top:
//
//	bucket[hash % BUCKETS] -> slot -> slot.next …        heap[0] = slot with the fewest calls, slot.at = its place in the heap
#include "aggregate/busiest.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"

enum { BUCKETS = 512, NONE = -1 };

struct slot {
	uint64_t hash;
	int64_t calls, over;
	int16_t next, at;
	uint8_t n;
	char account[BUSIEST_NAME];
};

struct window {
	int64_t since_us;
	int n;
	int16_t bucket[BUCKETS], heap[BUSIEST_SLOTS];
	struct slot slots[BUSIEST_SLOTS];
};

struct busiest {
	struct window windows[2];
	int now; // index of the one that runs
};

static void window_begin(struct window *w, int64_t now_us)
{
	w->since_us = now_us;
	w->n = 0;
	for (int i = 0; i < BUCKETS; i++)
		w->bucket[i] = NONE;
}

struct busiest *busiest_new(int64_t now_us)
{
	struct busiest *t = xcalloc(1, sizeof(*t));
	window_begin(&t->windows[0], now_us);
	window_begin(&t->windows[1], now_us);
	return t;
}

void busiest_freep(struct busiest **t)
{
	free(*t);
	*t = NULL;
}

static int find(const struct window *w, uint64_t hash, struct span account)
{
	int i = w->bucket[hash % BUCKETS];
	while (i != NONE && (w->slots[i].hash != hash || w->slots[i].n != account.n || memcmp(w->slots[i].account, account.p, account.n) != 0))
		i = w->slots[i].next;
	return i;
}

static void put(struct window *w, int place, int slot)
{
	w->heap[place] = (int16_t)slot;
	w->slots[slot].at = (int16_t)place;
}

// The slot at `place` has more calls than before.
static void sink(struct window *w, int place)
{
	int slot = w->heap[place];
	for (int child; (child = 2 * place + 1) < w->n; place = child) {
		if (child + 1 < w->n && w->slots[w->heap[child + 1]].calls < w->slots[w->heap[child]].calls)
			child++;
		if (w->slots[w->heap[child]].calls >= w->slots[slot].calls)
			break;
		put(w, place, w->heap[child]);
	}
	put(w, place, slot);
}

// A new slot stands at `place`.
static void rise(struct window *w, int place)
{
	int slot = w->heap[place];
	for (int parent; place > 0; place = parent) {
		parent = (place - 1) / 2;
		if (w->slots[w->heap[parent]].calls <= w->slots[slot].calls)
			break;
		put(w, place, w->heap[parent]);
	}
	put(w, place, slot);
}

static void unlink_slot(struct window *w, int slot)
{
	int16_t *link = &w->bucket[w->slots[slot].hash % BUCKETS];
	while (*link != slot)
		link = &w->slots[*link].next;
	*link = w->slots[slot].next;
}

static void name_slot(struct window *w, int slot, uint64_t hash, struct span account)
{
	struct slot *s = &w->slots[slot];
	s->hash = hash;
	s->n = (uint8_t)account.n;
	memcpy(s->account, account.p, account.n);
	s->next = w->bucket[hash % BUCKETS];
	w->bucket[hash % BUCKETS] = (int16_t)slot;
}

void busiest_add(struct busiest *t, struct span account, int64_t calls)
{
	struct window *w = &t->windows[t->now];
	uint64_t hash = XXH3_64bits(account.p, account.n);
	check(account.n > 0 && account.n <= BUSIEST_NAME && calls >= 0);
	int slot = find(w, hash, account);
	if (slot == NONE && w->n < BUSIEST_SLOTS) {
		slot = w->n++;
		name_slot(w, slot, hash, account);
		w->slots[slot].calls = calls;
		w->slots[slot].over = 0;
		put(w, slot, slot);
		rise(w, slot);
		return;
	}
	if (slot == NONE) {
		slot = w->heap[0];
		unlink_slot(w, slot);
		name_slot(w, slot, hash, account);
		w->slots[slot].over = w->slots[slot].calls;
	}
	if (__builtin_add_overflow(w->slots[slot].calls, calls, &w->slots[slot].calls))
		w->slots[slot].calls = INT64_MAX;
	sink(w, w->slots[slot].at);
}

void busiest_turn(struct busiest *t, int64_t now_us)
{
	if (now_us - t->windows[t->now].since_us < BUSIEST_WINDOW_US)
		return;
	t->now = 1 - t->now;
	window_begin(&t->windows[t->now], now_us);
}

static int by_calls(const void *a, const void *b)
{
	const struct busiest_account *x = a, *y = b;
	return x->calls != y->calls ? (x->calls < y->calls) - (x->calls > y->calls) : strcmp(x->account, y->account);
}

static void list_add(struct busiest_account *list, uint32_t *n, const struct slot *s, const struct window *other)
{
	struct busiest_account *a = &list[(*n)++];
	memcpy(a->account, s->account, s->n);
	a->account[s->n] = '\0';
	a->calls = s->calls;
	a->over = s->over;
	int there = other != NULL ? find(other, s->hash, (struct span){ s->account, s->n }) : NONE;
	int64_t most = other != NULL && there == NONE && other->n == BUSIEST_SLOTS ? other->slots[other->heap[0]].calls : 0;
	if (there != NONE)
		most = other->slots[there].calls;
	a->over += there != NONE ? other->slots[there].over : most; // unknown there: anything up to the fewest
	if (__builtin_add_overflow(a->calls, most, &a->calls))
		a->calls = INT64_MAX;
}

uint32_t busiest_list(const struct busiest *t, struct busiest_account ret[BUSIEST_SHOWN], int64_t *ret_since_us)
{
	const struct window *now = &t->windows[t->now], *before = &t->windows[1 - t->now];
	struct busiest_account list[2 * BUSIEST_SLOTS];
	uint32_t n = 0;
	for (int i = 0; i < now->n; i++)
		list_add(list, &n, &now->slots[i], before);
	for (int i = 0; i < before->n; i++)
		if (find(now, before->slots[i].hash, (struct span){ before->slots[i].account, before->slots[i].n }) == NONE)
			list_add(list, &n, &before->slots[i], now);
	qsort(list, n, sizeof(*list), by_calls);
	n = n < BUSIEST_SHOWN ? n : BUSIEST_SHOWN;
	memcpy(ret, list, n * sizeof(*list));
	*ret_since_us = before->since_us;
	return n;
}
