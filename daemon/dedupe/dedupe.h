// SPDX-License-Identifier: Apache-2.0
// Duplicates of one partition: design.md section 7, events.md section 4. Pure; one owner.
//
// An event at offset o is a duplicate iff the same (source, id) occurred, in an event that was not rejected, at an
// offset p of this partition with S(o) <= p < o, where S(o) is the largest of
//   ((o >> generation_bits) - generations) << generation_bits
//   the first offset of the partition that meterd counts from (init or admit)
//   the first offset whose record clock >= clock(o) - max_age
// Every occurrence refreshes the entry, duplicates included.
//
// The set has a position Q: the offsets below it are in the table. Decisions for offsets below Q come from the list of
// duplicate offsets in [Q0, Q); the table never answers for them, or a re-read event would be its own duplicate.
// Memory: 64-byte buckets of five (64-bit tag, 32-bit offset) entries plus 5 further bits each (buckets.h has the arithmetic):
// under 16 bytes an id in a full window, and up to 2 more where the record clock rises with every record.
#ifndef DEDUPE_DEDUPE_H
#define DEDUPE_DEDUPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct dedupe;

struct dedupe_options {
	unsigned generation_bits; // 4 … 20, default 16
	unsigned generations;     // 1 … 240
	int64_t max_age_ms;       // >= 0
	int64_t first_offset;     // of init or admit
	uint64_t seed;            // of the deployment, such as a hash of the init id: places the ids, so that nobody who makes up
	                          // ids can aim at one bucket. The same in every process that reads this partition
	uint32_t max_list;        // duplicate offsets kept below Q, at the most (older ones are given up: Q0 rises)
};

struct dedupe_key {
	uint64_t lo, hi;
};
// 128-bit hash of (source, id); an absent source (p == NULL) differs from every source, the empty one included.
struct dedupe_key dedupe_key(struct span source, struct span id);

// An empty set with position `position` = the offset where read-back begins. Q = position; Q0 is the first offset whose window
// begins at `position` or later (position itself where that is first_offset): it can lie above Q while the log is read back, and
// for a read-back from dedupe_window_start(o, P) it is at or below P. What dedupe_seen says about offsets below Q0 is not to be used.
// `clock_ms`: record clock just before that offset (TIME_NONE: none yet, or all clocks so far are older than max_age).
struct dedupe *dedupe_new(const struct dedupe_options *o, int64_t position, int64_t clock_ms);
void dedupe_freep(struct dedupe **d);

int64_t dedupe_position(const struct dedupe *d);   // Q
int64_t dedupe_clock(const struct dedupe *d);      // record clock at Q - 1
int64_t dedupe_list_start(const struct dedupe *d); // Q0: rewinds to an offset >= Q0 need no new set

// Moves on to a record at `offset` with this record clock, whatever it holds (rejected and control records too). Offsets
// come in order, with gaps allowed; an offset below Q changes nothing.
void dedupe_advance(struct dedupe *d, int64_t offset, int64_t clock_ms);
// Is the event at `offset` a duplicate? Call after dedupe_advance(offset), before advancing further. For
// offsets that were below Q already: offset >= Q0. A new one is also remembered.
bool dedupe_seen(struct dedupe *d, int64_t offset, struct dedupe_key key);
// May dedupe_seen be asked about this offset? Not about those below Q and below Q0.
bool dedupe_knows(const struct dedupe *d, int64_t offset);
// The smallest offset that decides for an event at `offset` by generations and first_offset (not by age): where read-back starts.
int64_t dedupe_window_start(const struct dedupe_options *o, int64_t offset);
// Everything below this offset is settled in all shards: the list below it may be dropped when space is short.
void dedupe_settled(struct dedupe *d, int64_t offset);

// A pair for dedupe_seen over a batch: touches the cache lines first.
void dedupe_prefetch(const struct dedupe *d, struct dedupe_key key);

int64_t dedupe_oldest_clock(const struct dedupe *d); // record clock at S(position): what meterd_dedupe_window_seconds shows; TIME_NONE if empty
uint64_t dedupe_ids(const struct dedupe *d);         // entries held, stale ones included
uint64_t dedupe_bytes(const struct dedupe *d);

#endif
