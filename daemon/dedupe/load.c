// SPDX-License-Identifier: Apache-2.0
// A set from slices. All slices are walked at once, region by region: a region of the table lies in the first-level cache while its
// entries come, which makes it several times as fast as slice after slice.
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "dedupe/inner.h"

enum { AHEAD = 4 * 64, ENTRY_OFF_BITS = 28, ENTRY_EXTRA_BITS = 5 };
enum { GROW_MOST = 4, GROW_LEAST = 256 }; // windows; buckets a region

// ---- points

static bool get_varint(struct span *s, uint64_t *ret)
{
	uint64_t v = 0;
	for (unsigned shift = 0; s->n > 0 && shift < 64; shift += 7) {
		uint8_t byte = (uint8_t)*s->p++;
		s->n--;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static void point(struct dedupe *d, int64_t offset, int64_t clock_ms)
{
	points_add(&d->points, offset, clock_ms, d->o.max_age_ms, dedupe_window_start(&d->o, offset));
}

static bool add_points(struct dedupe *d, const struct slice *s, char why[SLICE_WHY])
{
	struct span left = s->points;
	int64_t offset = s->from, clock = s->older_ms;
	// Where it goes on from another slice and its clock rises later, or never, the clock at its beginning is that of the other one.
	bool begun = d->points.any != 0, implied = !begun && s->first.offset >= 0 && clock != INT64_MIN;
	for (bool first = true; left.n > 0; first = false) {
		uint64_t rise, on;
		if (!get_varint(&left, &rise) || !get_varint(&left, &on))
			return slice_refuse(why, "corrupt: a point of the record clock is cut off");
		int64_t to = (int64_t)((uint64_t)clock + rise);
		if (on >= (uint64_t)(s->to - offset) || (on == 0 && !first) || to < clock || (rise == 0 && (begun || !first)))
			return slice_refuse(why, "corrupt: the points of the record clock are not in order");
		offset += (int64_t)on;
		if (implied && offset > s->from)
			point(d, s->from, clock);
		implied = false;
		clock = to;
		point(d, offset, clock);
	}
	if (implied)
		point(d, s->from, clock);
	return clock == s->clock_ms || slice_refuse(why, "corrupt: the record clock does not end where its head says");
}

// ---- entries

struct cursor {
	const char *p, *end;
	int64_t from, to;
	uint32_t region;
};

static inline uint64_t load64(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline uint64_t rest_of(const char *p)
{
	return load64(p + SLICE_ENTRY - 8) >> 16;
}

static inline uint32_t region_of(const char *p)
{
	return (uint32_t)(rest_of(p) >> (ENTRY_OFF_BITS + ENTRY_EXTRA_BITS));
}

// The entries of one region. False: one that no slice holds, or no room.
static bool take_region(struct dedupe *d, struct cursor *c, uint32_t region, int64_t lower, struct span_back w, char why[SLICE_WHY])
{
	struct bucket_entry e = { .region = region };
	while (c->region == region) {
		uint64_t rest = rest_of(c->p);
		int64_t on = (int64_t)(rest & ((UINT64_C(1) << ENTRY_OFF_BITS) - 1)), offset = c->from + on;
		e.tag = load64(c->p);
		e.extra = (uint32_t)(rest >> ENTRY_OFF_BITS) & ((1u << ENTRY_EXTRA_BITS) - 1);
		e.off = (uint32_t)(uint64_t)offset;
		c->p += SLICE_ENTRY;
		c->region = c->p < c->end ? region_of(c->p) : BUCKET_REGIONS;
		if (e.tag == 0 || on >= c->to - c->from || c->region < region)
			return slice_refuse(why, "corrupt: its entries are not in order");
		while (offset >= lower && !buckets_put(&d->table, &e, w)) {
			if (d->table.n > GROW_MOST * d->table.n_window + GROW_LEAST)
				return slice_refuse(why, "one region of the table would hold far more than its share");
			buckets_grow(&d->table, w);
		}
	}
	__builtin_prefetch(c->p + AHEAD);
	return true;
}

static bool add_entries(struct dedupe *d, const struct slice *slices, uint32_t n, int64_t lower, char why[SLICE_WHY])
{
	struct span_back w = { (uint32_t)(uint64_t)d->next, (uint32_t)(d->next - lower) };
	CLEANUP(freep) struct cursor *cursors = xcalloc(n, sizeof(*cursors));
	for (uint32_t i = 0; i < n; i++) {
		const struct slice *s = &slices[i];
		cursors[i] = (struct cursor){ s->entries.p, s->entries.p + s->entries.n, s->from, s->to, BUCKET_REGIONS };
		if (s->n > 0 && s->to > lower)
			cursors[i].region = region_of(s->entries.p);
	}
	for (uint32_t r = 0; r < BUCKET_REGIONS; r++)
		for (uint32_t i = 0; i < n; i++)
			if (cursors[i].region == r && !take_region(d, &cursors[i], r, lower, w, why))
				return false;
	for (uint32_t i = 0; i < n; i++)
		if (slices[i].to > lower && cursors[i].p != cursors[i].end)
			return slice_refuse(why, "corrupt: an entry names a region that is none");
	return true;
}

// ---- the whole

static bool end_to_end(const struct slice *slices, uint32_t n, char why[SLICE_WHY])
{
	for (uint32_t i = 1; i < n; i++) {
		const struct slice *a = &slices[i - 1], *b = &slices[i];
		if (a->to != b->from || a->clock_ms != b->older_ms || a->next.offset < 0 || a->next.offset != b->first.offset ||
		    a->next.print != b->first.print)
			return slice_refuse(why, "those that meet at offset %" PRId64 " do not fit each other: they tell of two logs", b->from);
	}
	return true;
}

bool slice_reaches_back(const struct dedupe_options *o, const struct slice *oldest, int64_t offset, int64_t clock_ms)
{
	int64_t bound;
	if (oldest->from <= dedupe_window_start(o, offset))
		return true;
	return oldest->older_ms != INT64_MIN && !__builtin_sub_overflow(clock_ms, o->max_age_ms, &bound) && oldest->older_ms < bound;
}

bool dedupe_load(const struct dedupe_options *o, const struct slice *slices, uint32_t n, int64_t start, int64_t clock_ms, struct dedupe **ret,
		 char why[SLICE_WHY])
{
	check(n > 0);
	const struct slice *last = &slices[n - 1];
	uint64_t ids = 0;
	if (!end_to_end(slices, n, why))
		return false;
	if (last->to > start)
		return slice_refuse(why, "ahead: it ends at offset %" PRId64 ", reading goes on at %" PRId64, last->to, start);
	if (last->clock_ms > clock_ms)
		return slice_refuse(why, "its record clock is ahead of the one in Redis");
	if (!slice_reaches_back(o, slices, start, clock_ms))
		return slice_refuse(why, "it begins at offset %" PRId64 ", and the window before %" PRId64 " reaches back to %" PRId64, slices[0].from, start,
			      dedupe_window_start(o, start));
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(o, last->to, last->clock_ms);
	d->list_start = slice_reaches_back(o, slices, d->next, d->clock_ms) ? d->next : start;
	for (uint32_t i = 0; i < n; i++) {
		if (!add_points(d, &slices[i], why))
			return false;
		ids += slices[i].n;
	}
	int64_t lower = dedupe_window_start(o, d->next);
	if (d->points.any && d->points.first_offset > lower)
		lower = d->points.first_offset;
	d->start = lower < d->next ? lower : d->next - 1;
	buckets_free(&d->table);
	buckets_init_for(&d->table, dedupe_window_ids(o), o->seed, ids);
	if (!add_entries(d, slices, n, d->start, why))
		return false;
	*ret = TAKE_PTR(d);
	return true;
}
