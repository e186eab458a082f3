// SPDX-License-Identifier: Apache-2.0
// A small random log, what the definition of a duplicate (dedupe.h) says about each of its records by brute force, and a step that holds a
// set against it.
#ifndef DEDUPE_LOG_H
#define DEDUPE_LOG_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/check.h"
#include "dedupe/dedupe.h"

struct entry {
	int64_t offset, clock;
	bool event, duplicate;
	struct dedupe_key key;
};

struct log {
	struct dedupe_options o;
	struct entry *e;
	int n;
};

static inline uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline int64_t below(uint64_t *state, int64_t n)
{
	return (int64_t)(next_random(state) % (uint64_t)n);
}

// S(o) straight from the definition.
static inline int64_t window_start(const struct log *l, int at)
{
	const struct entry *e = &l->e[at];
	int64_t g = l->o.generation_bits, s = ((e->offset >> g) - (int64_t)l->o.generations) * ((int64_t)1 << g);
	if (s < l->o.first_offset)
		s = l->o.first_offset;
	int64_t bound = e->clock == INT64_MIN ? INT64_MIN : e->clock - l->o.max_age_ms;
	int i = 0;
	while (l->e[i].clock < bound)
		i++;
	return l->e[i].offset > s ? l->e[i].offset : s;
}

static inline void decide(struct log *l)
{
	for (int i = 0; i < l->n; i++) {
		int64_t s = l->e[i].event ? window_start(l, i) : 0;
		l->e[i].duplicate = false;
		for (int j = i - 1; l->e[i].event && j >= 0 && l->e[j].offset >= s; j--)
			if (l->e[j].event && l->e[j].key.lo == l->e[i].key.lo && l->e[j].key.hi == l->e[i].key.hi)
				l->e[i].duplicate = true;
	}
}

enum { CROWD_NONE, CROWD_REGION, CROWD_TAG, CROWDS };

// Keys that share what places them: the same high half is one region; the same low half is one tag, and 6 + 14 bits must tell.
static inline struct dedupe_key make_key(uint64_t id, int crowd)
{
	uint64_t s = id * 2 + 77, lo = next_random(&s), hi = next_random(&s);
	if (crowd == CROWD_REGION)
		hi = 5;
	if (crowd == CROWD_TAG) { // few of them: 20 bits cannot tell hundreds
		s = id % 12;
		hi = next_random(&s);
		lo = 1;
	}
	return (struct dedupe_key){ lo, hi };
}

static inline void make_log(struct log *l, int n, uint64_t *rnd)
{
	l->o = (struct dedupe_options){ .generation_bits = (unsigned)(4 + below(rnd, 3)),
					.generations = (unsigned)(1 + below(rnd, 4)),
					.max_age_ms = below(rnd, 3) == 0 ? below(rnd, 40) : 1000000,
					.first_offset = below(rnd, 2) * below(rnd, 50),
					.max_list = (uint32_t)(below(rnd, 4) == 0 ? 1 + below(rnd, 8) : 1000),
					.seed = next_random(rnd) };
	int64_t offset = l->o.first_offset, clock = below(rnd, 2) ? 1577836800000 : INT64_MIN;
	int crowd = (int)below(rnd, CROWDS);
	int64_t ids = 1 + below(rnd, 200);
	l->e = xcalloc((size_t)n, sizeof(*l->e));
	l->n = n;
	for (int i = 0; i < n; i++) {
		offset += below(rnd, 20) == 0 ? below(rnd, 200) : below(rnd, 8) == 0;
		if (below(rnd, 3) == 0)
			clock = (clock == INT64_MIN ? 1577836800000 : clock) + (below(rnd, 30) ? below(rnd, 4) : below(rnd, 200));
		l->e[i] = (struct entry){ .offset = offset, .clock = clock, .event = below(rnd, 6) != 0,
					  .key = make_key((uint64_t)below(rnd, ids), crowd) };
		offset++;
	}
	decide(l);
}

static inline int find(const struct log *l, int64_t offset)
{
	int i = 0;
	while (i < l->n && l->e[i].offset < offset)
		i++;
	return i;
}

// Reads entry i and compares; `count`: the answer matters.
static inline void step(const struct log *l, struct dedupe *d, int i, bool count, uint64_t seed)
{
	const struct entry *e = &l->e[i];
	dedupe_advance(d, e->offset, e->clock);
	if (!e->event || (!count && !dedupe_knows(d, e->offset)))
		return;
	bool seen = dedupe_seen(d, e->offset, e->key);
	cr_assert(!count || seen == e->duplicate, "log %lu: offset %ld: got %d, the definition says %d", (unsigned long)seed,
		  (long)e->offset, seen, e->duplicate);
}

#endif
