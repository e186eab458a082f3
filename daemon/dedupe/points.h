// SPDX-License-Identifier: Apache-2.0
// Where the record clock rose: offsets and clocks in order, one byte a point where offsets follow each other within 63 ms.
// Answers exactly which offset is the first whose clock has reached a bound. Private to the room.
#ifndef DEDUPE_POINTS_H
#define DEDUPE_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct points {
	int64_t first_offset, first_clock; // the oldest point kept
	int64_t last_offset, last_clock;   // the newest; the same one where there is only one
	uint8_t *ring;                     // the points behind the oldest, as differences
	size_t size;                       // a power of two, or 0
	size_t head, tail;                 // bytes written and read since the beginning
	int any;
};

// The clock at this offset; offsets rise, clocks never fall. Then forgets points that cannot matter any more: those whose clock
// is older than max_age, and those that end at or below `floor` (the newest of these stays: it tells the clock at `floor`).
void points_add(struct points *p, int64_t offset, int64_t clock_ms, int64_t max_age_ms, int64_t floor);
// The point behind (*offset, *clock_ms), which begins with the oldest one and *at with `tail`. False: that was the newest.
bool points_next(const struct points *p, size_t *at, int64_t *offset, int64_t *clock_ms);
void points_free(struct points *p);

#endif
