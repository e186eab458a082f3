// SPDX-License-Identifier: Apache-2.0
// One partition as its worker holds it: where reading stands, where each shard stands, what is gathered for the shards.
//
// Cursors, in order:   read_from <= start <= next
//   [read_from, start)  read back only: fills the set of duplicates, checks clock and fingerprint, counts nothing
//   [start, …)          counted; a shard s takes part from its own shard_start[s] >= start on (after a crash between shards
//                       they differ), and has been sent everything below shard_from[s]
//
// @thread owned by the worker.
#ifndef PIPELINE_PART_H
#define PIPELINE_PART_H

#include "decide/decide.h"
#include "model/commit.h"

enum part_state {
	PART_RUNNING,
	PART_UNADMITTED, // not in the control topic yet: not read
	PART_HALTED,     // a person must look; its records are passed over, nothing moves
	PART_AGAIN,      // it is to be assigned again: its records are passed over until then
};

struct part_print {      // a fingerprint to find again while reading back
	int64_t offset;
	uint64_t print;
	bool of_slices;          // not of a shard: it tells of the slices that the set was made of
};

struct part {
	char *topic, *name;
	int32_t partition;
	enum part_state state;
	char halted[300];

	int64_t read_from, start, next;
	struct course course;    // just before `next`; the open month only from `start` on
	int64_t stored_clock_ms; // at `start`, as the shards have it
	bool clock_whole;        // the clock at read_from was known, so the one at `start` can be compared
	int64_t last;            // offset of the last record below `next`, -1: none
	uint64_t print;          // its fingerprint, up to date after every poll
	int64_t end;             // high watermark last heard of, -1
	int64_t at_end;          // the reader stood there with nothing behind it: what lies between `next` and it are markers, no records
	int64_t hinted;          // offset last told to Kafka

	int64_t next_mark;       // next multiple of a dedupe generation whose clock is to be kept
	int64_t next_turn_ms;    // clock at which ladders may change (plans.h): the open batch may have to end before that record

	// What retention took of the window of duplicates: records below gone_below, whose clock was gone_clock_ms at the most. 0: nothing.
	int64_t gone_below, gone_clock_ms;
	struct dedupe *dedupe;
	struct dedupe_options dedupe_options;
	int64_t rules;           // newest version known when it was assigned: what the set holds was decided under it or an older one
	int64_t next_slice;      // at the first record from there on a slice is cut; INT64_MAX: nothing is recorded
	int64_t slices_to;       // it was made of slices up to there: the first record behind must be the one that they name
	bool from_slices;        // the set was made of slices, and the log has not shown yet that they tell of it

	int64_t totals[OUTCOME_COUNT], gaps; // since the assignment, for metrics
	int64_t read_back;       // records that were read only to fill the window, since the assignment

	uint32_t n_shards;
	int64_t max_start;       // greatest shard_start
	int64_t consumed;        // records from `start` on
	struct part_shard {
		int64_t start, from;
		int64_t consumed_sent;            // of `consumed`, what was sent (or lay below the shard's start)
		int64_t outcomes[OUTCOME_COUNT];  // gathered, not sent
		bool touched;                     // outcomes gathered since the last send
	} *shards;

	uint32_t n_cuts, size_cuts, n_marks, size_marks, n_prints;
	struct commit_cut *cuts;   // at or above the lowest shard's from
	struct commit_mark *marks; // at or above shard 0's from
	struct part_print *prints; // still to be met, by offset
};

void part_init(struct part *p, const char *topic, int32_t partition, const char *name, uint32_t n_shards);
void part_clear(struct part *p);
void part_halt(struct part *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Where the shards stand, one position each: sets start, clock, shard starts, fingerprints to meet.
void part_place(struct part *p, const struct position *of_shards);
// Rules in force at the clock, months, marks: after part_place, before the first record.
void part_begin(struct part *p, const struct journal *j);
// Moves on to a record at `offset`, with which the course is `to`: cuts, marks.
void part_advance(struct part *p, const struct course *to, int64_t offset);
// May an event at this offset, with this record clock, repeat one that the log does not hold any more? Never again once it may not.
bool part_window_short(struct part *p, int64_t offset, int64_t clock_ms);
// Fingerprint of a record.
uint64_t record_print(const struct record *r);
// Drops cuts and marks that every shard has.
void part_prune(struct part *p);

#endif
