// SPDX-License-Identifier: Apache-2.0
// Slices being made: what is remembered record by record, and a whole table.
#include <stdlib.h>

#include "base/check.h"
#include "dedupe/inner.h"

enum { RECORDING_FIRST = 256 };

static size_t put_varint(uint8_t *to, uint64_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		to[n++] = (uint8_t)(v | 0x80);
	to[n++] = (uint8_t)v;
	return n;
}

size_t slice_point(uint8_t *to, uint64_t rise, uint64_t on)
{
	size_t n = put_varint(to, rise);
	return n + put_varint(to + n, on);
}

// ---- record by record

void recording_grow(struct recording *r)
{
	r->size = r->size != 0 ? r->size * 2 : RECORDING_FIRST;
	r->keys = xrealloc(r->keys, r->size, sizeof(*r->keys));
	r->offsets = xrealloc(r->offsets, r->size, sizeof(*r->offsets));
}

void recording_point(struct recording *r, int64_t offset, int64_t clock_ms)
{
	check(offset >= r->point);
	if (!r->any && clock_ms < r->clock_ms) // what is older than its first record is not known after all
		r->older_ms = r->clock_ms = INT64_MIN;
	check(clock_ms >= r->clock_ms);
	if (r->size_points - r->n_points < SLICE_POINT) {
		r->size_points = r->size_points * 2 + RECORDING_FIRST;
		r->points = xrealloc(r->points, r->size_points, 1);
	}
	r->n_points += slice_point(r->points + r->n_points, (uint64_t)clock_ms - (uint64_t)r->clock_ms, (uint64_t)(offset - r->point));
	r->point = offset;
	r->clock_ms = clock_ms;
	r->any = true;
}

size_t recording_bytes(const struct recording *r)
{
	return r != NULL ? sizeof(*r) + r->size * (sizeof(*r->keys) + sizeof(*r->offsets)) + r->size_points : 0;
}

void recording_freep(struct recording **r)
{
	if (*r == NULL)
		return;
	free((*r)->keys);
	free((*r)->offsets);
	free((*r)->points);
	free(*r);
	*r = NULL;
}

static struct recording *recording_new(int64_t from, int64_t clock_ms, struct slice_mark first, bool any)
{
	struct recording *r = xcalloc(1, sizeof(*r));
	r->from = r->point = from;
	r->older_ms = r->clock_ms = clock_ms;
	r->first = first;
	r->any = any;
	return r;
}

void dedupe_record(struct dedupe *d, int64_t older_ms, struct slice_mark first)
{
	check(d->recording == NULL);
	d->recording = recording_new(d->next, older_ms, first, d->points.any != 0);
}

int64_t dedupe_recorded_from(const struct dedupe *d)
{
	return d->recording != NULL ? d->recording->from : -1;
}

struct recording *dedupe_cut(struct dedupe *d, int64_t to, struct slice_mark next, int64_t rules, struct slice *ret_head)
{
	struct recording *r = d->recording;
	check(r != NULL);
	check(to > r->from && d->next <= to && next.offset >= to);
	*ret_head = (struct slice){ .from = r->from, .to = to, .older_ms = r->older_ms, .clock_ms = r->clock_ms, .rules = rules,
				   .first = r->first, .next = next };
	d->recording = recording_new(to, r->clock_ms, next, r->any);
	return r;
}

// The order of the entries by region; those of a region stay in their order. Free it.
static uint32_t *by_region(const struct bucket_entry *entries, uint32_t n)
{
	CLEANUP(freep) uint32_t *before = xcalloc(BUCKET_REGIONS + 1, sizeof(*before));
	uint32_t *order = xcalloc((size_t)n + 1, sizeof(*order));
	for (uint32_t i = 0; i < n; i++)
		before[entries[i].region + 1]++;
	for (uint32_t r = 1; r < BUCKET_REGIONS; r++)
		before[r] += before[r - 1];
	for (uint32_t i = 0; i < n; i++)
		order[before[entries[i].region]++] = i;
	return order;
}

bool recording_write(struct recording *r, struct slice_place place, uint64_t seed, const struct slice *head, struct byte_sink *to)
{
	struct slice s = *head;
	struct slice_writer w;
	CLEANUP(freep) struct bucket_entry *entries = xcalloc((size_t)r->n + 1, sizeof(*entries));
	for (uint32_t i = 0; i < r->n; i++) {
		buckets_entry(&entries[i], r->keys[i], seed);
		entries[i].off = r->offsets[i];
	}
	CLEANUP(freep) uint32_t *order = by_region(entries, r->n);
	s.n = r->n;
	s.points = (struct span){ (const char *)r->points, r->n_points };
	slice_begin(&w, to, &place, &s);
	for (uint32_t i = 0; i < r->n; i++)
		slice_entry(&w, &entries[order[i]]);
	return slice_end(&w);
}

// ---- whole

// The points of the set as those of a slice. Of those up to its beginning only the newest one matters: the clock there.
static size_t points_of(const struct dedupe *d, int64_t from, uint8_t **ret)
{
	const struct points *p = &d->points;
	size_t n = 0, at = p->tail;
	int64_t offset = p->first_offset, clock = p->first_clock, base_offset = from, base_clock = INT64_MIN;
	uint8_t *to = xrealloc(NULL, (p->head - p->tail) * 2 + 2 * SLICE_POINT, 1);
	for (bool more = p->any != 0; more;) {
		int64_t shown = offset > from ? offset : from, shown_clock = clock;
		more = points_next(p, &at, &offset, &clock);
		if (more && offset <= from)
			continue;
		n += slice_point(to + n, (uint64_t)shown_clock - (uint64_t)base_clock, (uint64_t)(shown - base_offset));
		base_offset = shown;
		base_clock = shown_clock;
	}
	*ret = to;
	return n;
}

bool dedupe_save(const struct dedupe *d, struct slice_place place, struct slice_mark next, int64_t rules, struct byte_sink *to)
{
	if (d->list_start > d->next || d->next == 0)
		return false;
	CLEANUP(freep) uint8_t *points = NULL;
	int64_t start = dedupe_window_start(&d->o, d->next);
	struct slice s = { .from = start < d->next ? start : d->next - 1, .to = d->next, .older_ms = INT64_MIN,
			   .clock_ms = d->points.any ? d->points.last_clock : INT64_MIN, .rules = rules, .first.offset = -1, .next = next };
	s.points.n = points_of(d, s.from, &points);
	s.points.p = (const char *)points;
	struct span_back back = { (uint32_t)d->next, (uint32_t)(d->next - (s.from > d->start ? s.from : d->start)) };
	struct bucket_entry e;
	struct slice_writer w;
	for (uint64_t at = 0; buckets_next(&d->table, &at, back, &e);)
		s.n++;
	slice_begin(&w, to, &place, &s);
	for (uint64_t at = 0; buckets_next(&d->table, &at, back, &e);) {
		e.off -= (uint32_t)(uint64_t)s.from;
		slice_entry(&w, &e);
	}
	return slice_end(&w);
}
