// SPDX-License-Identifier: Apache-2.0
// One record: which outcome it has, and what it counts (events.md, section 1: the first that applies). The daemon, a rebuild and a
// proof decide by this code alone, so that the same log gives the same calls.
#ifndef DECIDE_DECIDE_H
#define DECIDE_DECIDE_H

#include "decide/course.h"
#include "dedupe/dedupe.h"

struct decider {
	const struct catalog *newest; // its numbers are what services are called by: a later price book has those of earlier ones
	struct decode_scratch scratch;
	struct event event;           // of the last record that was an event
};

struct decision {
	struct course course;         // with the record: by which it was decided
	enum outcome outcome;
	struct decode_result why;     // rejected: code and detail
	// Where it is not rejected and no tick. The span lives as long as the record and the decider's next decision.
	struct span account;          // that pays
	int month;                    // counted in, by the event's own time
	uint32_t n;                   // services, each once, in order of first mention
	struct decision_item {
		uint32_t service;     // in the newest price book
		int64_t calls;
	} items[EVENT_MAX_ITEMS];
};

// The course has been moved to this record, and `set` advanced to it. set NULL: duplicates are not looked for (they are disabled, or
// the set does not know about this offset).
void decide_record(struct decider *d, const struct course *c, struct dedupe *set, const struct record *r, struct decision *ret);
void decider_free(struct decider *d);

// A service by the name in the event, at the event's time; detail says more of what is wrong with it. Also for check-event.
enum reject decide_service(const struct catalog *c, struct span name, int64_t time_ms, uint32_t *ret, char detail[160]);

// The set's options for a partition: as the rules have it, from the partition's first counted offset on.
struct dedupe_options decide_dedupe_options(const struct journal *j, const struct rules_settings *s, int64_t first_offset);

#endif
