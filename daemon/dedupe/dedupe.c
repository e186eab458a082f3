// SPDX-License-Identifier: Apache-2.0
// Owns one partition's window: the table (buckets.h), the points where the record clock rose (points.h), and the list of
// duplicate offsets below Q. Invariant: the table and the points hold exactly what stands in the log below Q; what is asked about
// offsets below Q is answered by the list alone.
#include "dedupe/dedupe.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "dedupe/inner.h"

// Settled duplicates beyond these are not worth memory: only a rollback behind them would ask, and then the log is read back.
enum { LIST_SETTLED = 65536, LIST_FIRST = 64 };
enum { ROUND_LEAST = 1 << 20 }; // offsets in which all regions are swept once, at the least


// The window is at most (240 + 1) * 2^20 offsets, every region is swept once in as many, and a jump of a window
// empties the table: no entry gets older than 2^30, so 32 bits of its offset tell its age.
_Static_assert((UINT64_C(240) + 1) << 20 < UINT64_C(1) << 28, "32 bits tell the age of an entry");

static const uint64_t hash_flat = UINT64_C(0x6d657465726400f1), hash_sourced = UINT64_C(0x6d657465726400f2);

struct dedupe_key dedupe_key(struct span source, struct span id)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(id.p, id.n, hash_flat);
	if (source.p != NULL) {
		XXH128_hash_t s = XXH3_128bits_withSeed(source.p, source.n, hash_sourced);
		uint64_t both[4] = { s.low64, s.high64, h.low64, h.high64 };
		h = XXH3_128bits_withSeed(both, sizeof(both), hash_sourced);
	}
	return (struct dedupe_key){ h.low64, h.high64 };
}

static int64_t generation_start(const struct dedupe_options *o, int64_t offset)
{
	int64_t generation = (offset >> o->generation_bits) - (int64_t)o->generations;
	return generation > 0 ? generation << o->generation_bits : 0;
}

int64_t dedupe_window_start(const struct dedupe_options *o, int64_t offset)
{
	check(offset >= 0);
	int64_t start = generation_start(o, offset);
	return start > o->first_offset ? start : o->first_offset;
}

// The first offset whose window begins at or above `position`: read back from there, earlier ones would be decided wrongly.
int64_t dedupe_first_decided(const struct dedupe_options *o, int64_t position)
{
	if (position <= o->first_offset || position == 0)
		return position;
	int64_t generation = ((position - 1) >> o->generation_bits) + 1;
	return (generation + (int64_t)o->generations) << o->generation_bits;
}

uint64_t dedupe_window_ids(const struct dedupe_options *o)
{
	return ((uint64_t)o->generations + 1) << o->generation_bits;
}

int64_t dedupe_sweep_step(const struct dedupe_options *o)
{
	uint64_t round = dedupe_window_ids(o);
	return (int64_t)((round > ROUND_LEAST ? round : ROUND_LEAST) / BUCKET_REGIONS);
}

struct dedupe *dedupe_new(const struct dedupe_options *o, int64_t position, int64_t clock_ms)
{
	check(o->generation_bits >= 4 && o->generation_bits <= 20);
	check(o->generations >= 1 && o->generations <= 240);
	check(o->max_age_ms >= 0 && o->max_age_ms < INT64_MAX / 4);
	check(o->first_offset >= 0 && o->max_list >= 1);
	check(position >= 0);
	struct dedupe *d = xcalloc(1, sizeof(*d));
	d->o = *o;
	d->next = position;
	d->list_start = dedupe_first_decided(o, position);
	d->clock_ms = clock_ms;
	d->start = position;
	d->fresh = -1;
	d->next_sweep = position + dedupe_sweep_step(o);
	buckets_init(&d->table, dedupe_window_ids(o), o->seed);
	return d;
}

void dedupe_freep(struct dedupe **d)
{
	if (*d == NULL)
		return;
	buckets_free(&(*d)->table);
	points_free(&(*d)->points);
	recording_freep(&(*d)->recording);
	free((*d)->list);
	free(*d);
	*d = NULL;
}

int64_t dedupe_position(const struct dedupe *d)
{
	return d->next;
}

int64_t dedupe_clock(const struct dedupe *d)
{
	return d->clock_ms;
}

int64_t dedupe_list_start(const struct dedupe *d)
{
	return d->list_start;
}

static void sweep(struct dedupe *d, int64_t offset)
{
	for (int i = 0; offset >= d->next_sweep && i < BUCKET_REGIONS; i++) {
		buckets_sweep(&d->table, d->sweep_region, dedupe_span_back(d, offset));
		d->sweep_region = (d->sweep_region + 1) % BUCKET_REGIONS;
		d->next_sweep += dedupe_sweep_step(&d->o);
	}
	if (offset >= d->next_sweep)
		d->next_sweep = offset + dedupe_sweep_step(&d->o);
}

void dedupe_advance(struct dedupe *d, int64_t offset, int64_t clock_ms)
{
	check(offset >= 0);
	if (offset < d->next)
		return;
	check(clock_ms >= d->clock_ms);
	int64_t floor = dedupe_window_start(&d->o, offset);
	if (d->table.used != 0 && floor >= d->next)
		buckets_clear(&d->table);
	points_add(&d->points, offset, clock_ms, d->o.max_age_ms, floor);
	d->start = d->points.first_offset > floor ? d->points.first_offset : floor;
	d->clock_ms = clock_ms;
	d->next = offset + 1;
	d->fresh = offset;
	if (d->recording != NULL)
		recording_advance(d->recording, offset, clock_ms);
	sweep(d, offset);
}

static bool list_holds(const struct dedupe *d, int64_t offset)
{
	uint32_t low = 0, high = d->list_n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int64_t at = d->list[(d->list_head + middle) % d->list_size];
		if (at == offset)
			return true;
		if (at < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void list_drop_first(struct dedupe *d)
{
	int64_t dropped = d->list[d->list_head];
	d->list_head = (d->list_head + 1) % d->list_size;
	d->list_n--;
	if (d->list_start <= dropped)
		d->list_start = dropped + 1;
}

static void list_grow(struct dedupe *d)
{
	uint32_t size = d->list_size != 0 ? d->list_size * 2 : LIST_FIRST;
	if (size > d->o.max_list)
		size = d->o.max_list;
	check(size > d->list_size);
	int64_t *list = xcalloc(size, sizeof(*list));
	for (uint32_t i = 0; i < d->list_n; i++)
		list[i] = d->list[(d->list_head + i) % d->list_size];
	free(d->list);
	d->list = list;
	d->list_size = size;
	d->list_head = 0;
}

static void list_add(struct dedupe *d, int64_t offset)
{
	if (d->list_n == d->o.max_list || (d->list_n >= LIST_SETTLED && d->list[d->list_head] < d->settled))
		list_drop_first(d);
	if (d->list_n == d->list_size)
		list_grow(d);
	d->list[(d->list_head + d->list_n) % d->list_size] = offset;
	d->list_n++;
}

bool dedupe_knows(const struct dedupe *d, int64_t offset)
{
	return offset == d->fresh || (offset < d->next && offset >= d->list_start);
}

bool dedupe_seen(struct dedupe *d, int64_t offset, struct dedupe_key key)
{
	check(dedupe_knows(d, offset));
	if (offset != d->fresh)
		return list_holds(d, offset);
	d->fresh = -1;
	if (d->recording != NULL)
		recording_add(d->recording, offset, key);
	bool seen = buckets_seen(&d->table, key, dedupe_span_back(d, offset));
	if (seen && offset >= d->list_start)
		list_add(d, offset);
	return seen;
}

void dedupe_settled(struct dedupe *d, int64_t offset)
{
	if (offset > d->settled)
		d->settled = offset;
}

void dedupe_prefetch(const struct dedupe *d, struct dedupe_key key)
{
	buckets_prefetch(&d->table, key);
}

int64_t dedupe_oldest_clock(const struct dedupe *d)
{
	return d->points.any ? d->points.first_clock : INT64_MIN;
}

uint64_t dedupe_ids(const struct dedupe *d)
{
	return d->table.used;
}

uint64_t dedupe_bytes(const struct dedupe *d)
{
	return sizeof(*d) + buckets_bytes(&d->table) + d->points.size + d->list_size * sizeof(*d->list) + recording_bytes(d->recording);
}
