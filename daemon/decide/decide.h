// SPDX-License-Identifier: Apache-2.0
// One record: which outcome it has, and what it counts (events.md, section 1: the first that applies). The daemon, a rebuild and a
// proof decide by this code alone, so that the same log gives the same calls.
#ifndef DECIDE_DECIDE_H
#define DECIDE_DECIDE_H

#include "decide/course.h"
#include "dedupe/dedupe.h"

enum { DECIDE_AHEAD = 16 };

struct decision_item {
	uint32_t service;             // in the newest price book
	int64_t calls;
};

// What a record says under a version of the rules, before its place in the log has a say.
struct understood {
	const struct journal_rules *rules; // NULL: not read
	struct decode_result why;     // rejected: code and detail
	struct span account;          // that pays
	int month;                    // counted in, by the event's own time
	uint32_t n;                   // services, each once, in order of first mention
	struct decision_item items[EVENT_MAX_ITEMS];
	struct dedupe_key key;
	struct event event;
	struct decode_scratch scratch;
};

struct decider {
	const struct catalog *newest; // its numbers are what services are called by: a later price book has those of earlier ones
	const struct journal *journal;
	const struct record *first;   // of those read ahead
	uint32_t n;
	struct understood readings[DECIDE_AHEAD + 1]; // the last: of a record that was not read ahead
	struct understood before;     // of a record that was given back, where it stood first
};

struct decision {
	struct course course;         // with the record: by which it was decided
	enum outcome outcome;
	struct decode_result why;     // rejected: code and detail
	// Where it is not rejected and no tick. Spans live as long as the record and the decider's next decision or decide_begin.
	const struct event *event;
	struct span account;          // that pays
	int month;                    // counted in, by the event's own time
	uint32_t n;                   // services, each once, in order of first mention
	struct decision_item items[EVENT_MAX_ITEMS];
};

// Reading ahead, so that the caller can fetch what a group of records will touch while others are decided: of the n <= DECIDE_AHEAD
// records at `first`, in any order. Changes no decision: what was read under other rules is read again. NULL: there is nothing to fetch.
void decide_begin(struct decider *d, const struct record *first, uint32_t n);
const struct understood *decide_ahead(struct decider *d, const struct record *r, const struct journal_rules *rules);

// The course has been moved to this record, and `set` advanced to it. set NULL: duplicates are not looked for (they are disabled, or
// the set does not know about this offset).
void decide_record(struct decider *d, const struct course *c, struct dedupe *set, const struct record *r, struct decision *ret);
void decider_free(struct decider *d);

// A service by the name in the event, at the event's time; detail says more of what is wrong with it. Also for check-event.
enum reject decide_service(const struct catalog *c, struct span name, int64_t time_ms, uint32_t *ret, char detail[160]);

// The set's options for a partition: as the rules have it, from the partition's first counted offset on.
struct dedupe_options decide_dedupe_options(const struct journal *j, const struct rules_settings *s, int64_t first_offset);

#endif
