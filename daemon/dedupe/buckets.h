// SPDX-License-Identifier: Apache-2.0
// The table behind dedupe.h: which key was last seen at which offset. Private to the room.
//
// Bucket, one cache line:
//
//	| tag 0 | tag 1 | tag 2 | tag 3 | tag 4 | off 0 … off 4 | word |     5*8 + 5*4 + 4 = 64 bytes
//
//	tag   low half of the key; 0: the slot is empty (a key whose low half is 0 is kept as 1)
//	off   low 32 bits of the offset of the last occurrence
//	word  5 x 5 further bits of the key, and 7 bits that say which keys were put further on because this bucket was full
//
// The table is 2^14 regions of n buckets. A key never leaves its region, so the region's number is known from where an entry
// stands; the bucket inside the region comes from the tag, so it can be found again when n grows. Discrimination is therefore the
// same at every size and does not depend on the table's history:
//
//	64 (tag) + 5 (word) + 14 (region, from bits of the key that are in neither) = 83 bits
//
// At the default window (15.8 million ids) a new id is taken for an old one with probability 15.8e6 / 2^83 = 1.6e-18: at a million
// events a second, once in 19,000 years. Decisions are a pure function of the log even then: they compare the same 83 bits always.
//
// Memory: n rises by half as ids come, up to what the whole window needs at 82 % full: 64 / 5 / 0.82 = 15.6 bytes an id.
// A region at the default window holds 964 ids of 1,180 slots, 6.9 standard deviations below full: one gets full in some 10^7 windows of
// a partition, and then the table grows by a sixteenth.
#ifndef DEDUPE_BUCKETS_H
#define DEDUPE_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "dedupe/dedupe.h"

enum { BUCKET_SLOTS = 5, BUCKET_REGION_BITS = 14, BUCKET_REGIONS = 1 << BUCKET_REGION_BITS };

struct bucket;
struct buckets {
	struct bucket *map;
	uint32_t n;        // buckets a region
	uint32_t n_window; // as many as the whole window needs
	uint64_t used;     // slots that are not empty
	uint64_t seed;
};

// What counts at an offset: entries in [now - span, now). Older ones are stale: as good as empty. The 32-bit difference
// to `now` is the true age, because the owner sweeps every region within 2^28 offsets.
struct span_back {
	uint32_t now, span;
};

// window: ids that count at the same time, at the most.
void buckets_init(struct buckets *t, uint64_t window, uint64_t seed);
void buckets_free(struct buckets *t);
// Was the key seen within the span? Remembers it at w.now either way.
bool buckets_seen(struct buckets *t, struct dedupe_key key, struct span_back w);
void buckets_prefetch(const struct buckets *t, struct dedupe_key key);
// Empties the stale slots of one region and shortens its walks.
void buckets_sweep(struct buckets *t, uint32_t region, struct span_back w);
// Forgets everything.
void buckets_clear(struct buckets *t);
uint64_t buckets_bytes(const struct buckets *t);

// ---- out of the table into a slice (slice.h), and back

struct bucket_entry {
	uint64_t tag;
	uint32_t region, extra, off;
};
// What the table keeps of a key; off is left alone.
void buckets_entry(struct bucket_entry *ret, struct dedupe_key key, uint64_t seed);
// The entries that count, by region. *at is 0 at first; false behind the last one.
bool buckets_next(const struct buckets *t, uint64_t *at, struct span_back w, struct bucket_entry *ret);
// A table with room for so many ids from the start.
void buckets_init_for(struct buckets *t, uint64_t window, uint64_t seed, uint64_t ids);
// Remembers it, as seen last at e->off, which is not older than what the table has of it. False: its region is full.
bool buckets_put(struct buckets *t, const struct bucket_entry *e, struct span_back w);
void buckets_grow(struct buckets *t, struct span_back w);

#endif
