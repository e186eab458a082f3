// SPDX-License-Identifier: Apache-2.0
// Inside of a window of duplicates. Not included by other rooms.
#ifndef DEDUPE_INNER_H
#define DEDUPE_INNER_H

#include "dedupe/buckets.h"
#include "dedupe/points.h"
#include "dedupe/slice.h"

struct dedupe {
	struct dedupe_options o;
	struct buckets table;
	struct points points;
	int64_t next;       // Q
	int64_t list_start; // Q0
	int64_t settled;
	int64_t clock_ms;   // at Q - 1
	int64_t start;      // S(Q - 1)
	int64_t fresh;      // Q - 1 until it is decided; otherwise -1
	int64_t next_sweep; // offset at which the next region is swept
	uint32_t sweep_region;
	int64_t *list;      // ring of duplicate offsets, rising
	uint32_t list_size, list_head, list_n;
	struct recording *recording; // of what is remembered from some offset on; NULL: nobody wants it
};

// dedupe.c
int64_t dedupe_sweep_step(const struct dedupe_options *o);
uint64_t dedupe_window_ids(const struct dedupe_options *o);
int64_t dedupe_first_decided(const struct dedupe_options *o, int64_t position);

static inline struct span_back dedupe_span_back(const struct dedupe *d, int64_t offset)
{
	int64_t span = offset > d->start ? offset - d->start : 0;
	return (struct span_back){ .now = (uint32_t)(uint64_t)offset, .span = (uint32_t)span };
}

// What was remembered at offsets from `from` on, in order.
struct recording {
	int64_t from, older_ms, clock_ms; // clock_ms: of the last record, or older_ms
	struct slice_mark first;
	bool any;                         // a record came
	int64_t point;                    // offset of the last point
	uint32_t n, size;
	struct dedupe_key *keys;
	uint32_t *offsets;                // seen from `from`
	uint8_t *points;
	size_t n_points, size_points;
};

// recording.c
void recording_grow(struct recording *r);
void recording_point(struct recording *r, int64_t offset, int64_t clock_ms);
size_t recording_bytes(const struct recording *r);

static inline void recording_advance(struct recording *r, int64_t offset, int64_t clock_ms)
{
	if (!r->any || clock_ms != r->clock_ms)
		recording_point(r, offset, clock_ms);
}

static inline void recording_add(struct recording *r, int64_t offset, struct dedupe_key key)
{
	if (r->n == r->size)
		recording_grow(r);
	r->keys[r->n] = key;
	r->offsets[r->n++] = (uint32_t)(offset - r->from);
}

// slice.c
struct slice_writer {
	struct byte_sink *to;
	bool good;
	uint64_t seed, *sums; // by block, so far
	size_t n_sums, size_sums;
	uint8_t *block;
	size_t used;
};
void slice_begin(struct slice_writer *w, struct byte_sink *to, const struct slice_place *place, const struct slice *head);
void slice_bytes(struct slice_writer *w, const void *p, size_t n);
void slice_entry(struct slice_writer *w, const struct bucket_entry *e); // off: seen from the slice's first offset
bool slice_end(struct slice_writer *w);
size_t slice_point(uint8_t *to, uint64_t rise, uint64_t on); // at most SLICE_POINT bytes
enum { SLICE_POINT = 20 };
// Says why a slice is refused: false.
bool slice_refuse(char why[SLICE_WHY], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
