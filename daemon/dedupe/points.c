// SPDX-License-Identifier: Apache-2.0
// A point is: varint(clock difference * 2 + more), then, if `more`, varint(offset difference); without it the offset
// difference is 1. A clock difference is at most max_age: a greater one makes all older points older than max_age.
#include "dedupe/points.h"

#include <stdlib.h>

#include "base/check.h"

enum { POINT_BYTES = 20, RING_FIRST = 256 };

static void grow(struct points *p)
{
	size_t size = p->size != 0 ? p->size * 2 : RING_FIRST, used = p->head - p->tail;
	uint8_t *ring = xrealloc(NULL, size, 1);
	for (size_t i = 0; i < used; i++)
		ring[i] = p->ring[(p->tail + i) & (p->size - 1)];
	free(p->ring);
	p->ring = ring;
	p->size = size;
	p->tail = 0;
	p->head = used;
}

static void put(struct points *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		p->ring[p->head++ & (p->size - 1)] = (uint8_t)(v | 0x80);
	p->ring[p->head++ & (p->size - 1)] = (uint8_t)v;
}

static uint64_t get(const struct points *p, size_t *at)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = p->ring[(*at)++ & (p->size - 1)];
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
}

static void append(struct points *p, int64_t offset, int64_t clock_ms)
{
	if (p->size - (p->head - p->tail) < POINT_BYTES)
		grow(p);
	uint64_t rise = (uint64_t)(clock_ms - p->last_clock), on = (uint64_t)(offset - p->last_offset);
	put(p, rise << 1 | (on != 1));
	if (on != 1)
		put(p, on);
	p->last_offset = offset;
	p->last_clock = clock_ms;
}

bool points_next(const struct points *p, size_t *at, int64_t *offset, int64_t *clock_ms)
{
	if (*at == p->head)
		return false;
	uint64_t v = get(p, at);
	*offset += (v & 1) != 0 ? (int64_t)get(p, at) : 1;
	*clock_ms += (int64_t)(v >> 1);
	return true;
}

static void forget(struct points *p, int64_t bound, int64_t floor)
{
	size_t at = p->tail;
	int64_t offset = p->first_offset, clock_ms = p->first_clock;
	while (points_next(p, &at, &offset, &clock_ms)) {
		if (p->first_clock >= bound && offset > floor)
			return;
		p->first_offset = offset;
		p->first_clock = clock_ms;
		p->tail = at;
	}
}

void points_add(struct points *p, int64_t offset, int64_t clock_ms, int64_t max_age_ms, int64_t floor)
{
	check(!p->any || (clock_ms >= p->last_clock && offset > p->last_offset));
	uint64_t rise = (uint64_t)clock_ms - (uint64_t)p->last_clock;
	if (!p->any || rise > (uint64_t)max_age_ms) {
		p->first_offset = p->last_offset = offset;
		p->first_clock = p->last_clock = clock_ms;
		p->tail = p->head;
		p->any = 1;
	} else if (rise > 0) {
		append(p, offset, clock_ms);
	}
	int64_t bound;
	if (__builtin_sub_overflow(clock_ms, max_age_ms, &bound))
		bound = INT64_MIN;
	forget(p, bound, floor);
}

void points_free(struct points *p)
{
	free(p->ring);
	*p = (struct points){ 0 };
}
