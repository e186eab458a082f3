// SPDX-License-Identifier: Apache-2.0
// A slice is what a window of duplicates remembers of a range of offsets, as bytes: so that a restart need not read the log back. What
// it holds follows from the log and the rules in force, whoever recorded it: where rules came to be known that hold for some record of it
// and were not known then, it must not be used. Slices that lie end to end and cover the window before an offset make a
// set that decides from there on as if the log had been read.
//
//	| head, 128 bytes | points | entries, 14 bytes each | sums, 8 bytes for each 64 KiB of points and entries |
//
//	point   where the record clock rose: varint(rise in ms), varint(offset - that of the point before, or the slice's first)
//	entry   tag 64 | offset - the slice's first 28 | extra 5 | region 14 | 0     (buckets.h), by region, then by offset; little-endian
//	sum     XXH3 of the block, seeded with the head's and the block's number
//
// Two kinds, of one form: what was remembered record by record in [from, to) (dedupe_cut), and a whole table (dedupe_save), where each
// key stands once, at its last offset.
//
// Pure: the bytes go to and come from somebody else. Hostile bytes are refused; the reader never writes, never believes a length.
#ifndef DEDUPE_SLICE_H
#define DEDUPE_SLICE_H

#include "base/file.h"
#include "dedupe/dedupe.h"

// Raise it when bytes of an older form, or made by a decoder or a key that decided otherwise, must not be used any more.
enum { SLICE_SCHEMA = 2, SLICE_HEAD = 128, SLICE_ENTRY = 14, SLICE_BLOCK = 65536, SLICE_WHY = 200 };

// Whose: the deployment and the partition.
struct slice_place {
	uint64_t lo, hi;
};
struct slice_place slice_place(struct span init_id, struct span partition);

// A record of the log and its fingerprint, to find out whether it is still the same log.
struct slice_mark {
	int64_t offset; // -1: none
	uint64_t print;
};

struct slice {
	int64_t from, to;
	int64_t older_ms;       // no record below `from` has a higher stamp; INT64_MIN: there are none
	int64_t clock_ms;       // record clock at to - 1
	int64_t rules;          // newest version of the rules that was known when it was recorded
	struct slice_mark first, next; // the record that it began with where another slice was cut; the first record at or behind `to`
	uint64_t n;             // entries
	struct span points, entries; // of the bytes that were read
};

// Reads the head alone, or all of it: sums too. False with the reason, for a log line. `bytes` outlive *ret.
bool slice_read_head(struct span bytes, struct slice_place place, struct slice *ret, char why[SLICE_WHY]);
bool slice_read(struct span bytes, struct slice_place place, struct slice *ret, char why[SLICE_WHY]);

// ---- record by record

// From now on what is remembered is recorded too, from the position on. older_ms and first as in a slice.
void dedupe_record(struct dedupe *d, int64_t older_ms, struct slice_mark first);
int64_t dedupe_recorded_from(const struct dedupe *d); // -1: nothing is recorded

// What was recorded below `to`, where the next one begins. All records below it are decided; `next` is the first one behind it.
struct recording;
struct recording *dedupe_cut(struct dedupe *d, int64_t to, struct slice_mark next, int64_t rules, struct slice *ret_head);
void recording_freep(struct recording **r);
// As a slice. Sorts it, so it belongs on a thread that may take a few milliseconds. `seed` is that of the set. False: the sink had enough.
bool recording_write(struct recording *r, struct slice_place place, uint64_t seed, const struct slice *head, struct byte_sink *to);

// ---- whole

// The set as of its position, as one slice: what decides there and behind. Every record below it is decided. False: the sink had enough, or
// the set does not know its window (dedupe_list_start lies above its position).
bool dedupe_save(const struct dedupe *d, struct slice_place place, struct slice_mark next, int64_t rules, struct byte_sink *to);

// ---- and back

// Does nothing below the slice count any more at `offset`, where the record clock is clock_ms?
bool slice_reaches_back(const struct dedupe_options *o, const struct slice *oldest, int64_t offset, int64_t clock_ms);
// A set from slices that lie end to end, the last one ending at or below `start`: its position is that end, and read from there it decides
// for every offset from `start` on, where the record clock is clock_ms. False with the reason where they do not fit each other or do not
// reach back far enough, or hold what no slice does.
bool dedupe_load(const struct dedupe_options *o, const struct slice *slices, uint32_t n, int64_t start, int64_t clock_ms, struct dedupe **ret,
		 char why[SLICE_WHY]);

#endif
