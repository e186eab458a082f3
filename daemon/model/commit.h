// SPDX-License-Identifier: Apache-2.0
// One step of the ledger: what one flush does to one shard. Indivisible: all deltas of (from, to) of each partition in it,
// or nothing (design.md, section 5; models/m1_commit.py shows why a flush must not be split over calls).
#ifndef MODEL_COMMIT_H
#define MODEL_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "ladder/allowance.h"
#include "model/event.h"
#include "period/period.h"

// Where a shard stands in a partition.
struct position {
	int64_t next;      // next input offset
	int64_t clock_ms;  // record clock just before it; TIME_NONE: none yet
	int64_t last;      // offset of the last record below `next`; -1: none
	uint64_t print;    // fingerprint of that record
};

// One event of a counter, kept until the commit is acknowledged: out of these the crossing call is found.
struct call_ref {
	struct call_ref *next;  // order of arrival
	int64_t offset, time_ms, calls, timestamp_ms;
	struct span id, source; // source.p == NULL: none
	uint32_t part;          // index into commit.parts' owner, see commit_part.part
};

struct commit_delta {
	struct span account;
	uint32_t service;       // index in the commit's catalog
	int month;              // of the counter
	int adjust_month;       // MONTH_NONE: counted. Otherwise late: adjusted with the settlement of this month
	int64_t calls;          // > 0; 0: nothing is counted, the counter's ladder is only looked at
	const struct ladder *ladder;       // NULL: nothing to reach
	const struct ladder *ladder_first; // in the account's month of activation; NULL: the same
	bool activates;         // the shard may not know yet that the account is active in this month
	bool look;              // raise what the stored total has reached already and was never raised (the ladder may be a new one)
	bool with_calls;        // send the list: a rung may be reached, or the stored total is not known
	const struct call_ref *first_call;
	uint32_t n_calls;
	int64_t total;          // out: the counter after the commit (calls in the late bucket for late ones)
};

// What an account's calls take of its allowance. Each of its calls is in a delta too: that one counts, this one only raises alerts.
struct entry_call {
	struct entry_call *next; // order of arrival
	const struct call_ref *ref;
	uint32_t month, service; // in the allowance
};
struct entry_delta {
	uint32_t month, service;
	int64_t calls;
};
struct commit_entry {
	struct span account;
	const struct allowance *allowance;
	bool look, with_calls;   // as in a delta
	uint32_t n_deltas, n_calls;
	const struct entry_delta *deltas;
	const struct entry_call *first_call;
	int64_t slack;           // out: so many calls reach no further rung; -1: not known
};

struct commit_cut {             // the partition's first offset with clock >= close(month)
	int month;              // MONTH_NONE: the partition's first record, which stands for every month that it began behind
	int64_t offset;
};

struct commit_mark {            // record clock just before an offset that is a multiple of a dedupe generation
	int64_t offset, clock_ms;
	int64_t drop;           // the mark at this offset is not needed any more
};

struct commit_part {
	uint32_t part;                  // index in the source's assignment
	struct span name;               // "topic/partition"
	struct span token;              // owner's
	int64_t from;
	struct position to;             // to.next > from
	int64_t consumed;               // records in [from, to.next)
	int64_t outcomes[OUTCOME_COUNT];// of those records, the ones that belong to this shard
	uint32_t n_cuts, n_marks;
	const struct commit_cut *cuts;  // crossed in [from, to.next)
	const struct commit_mark *marks;// shard 0 only
};

struct commit {
	uint32_t shard;
	int64_t rules_version;
	int64_t read_ms;        // wall: when the records that may cross were read; goes with their alerts and decides nothing
	const struct catalog *catalog; // of that version: gives the services' ids
	uint32_t n_parts, n_deltas;
	struct commit_part *parts;
	struct commit_delta *deltas;
	uint32_t n_entries;
	struct commit_entry *entries;
	uint64_t tag;                   // the caller's, comes back with the result
};

enum commit_status {
	COMMIT_DONE,      // totals are in the deltas
	COMMIT_NEEDLIST,  // not applied: send again with the lists of the deltas and entries now marked with_calls
	COMMIT_FOREIGN,   // wrong token, or stored offset beyond ours: somebody else owns a partition
	COMMIT_ROLLBACK,  // stored offset before ours: the shard was rolled back
	COMMIT_LOST,      // no meta, another init id, or nothing of the generation
	COMMIT_RETIRED,   // another generation is in force
	COMMIT_OLD_RULES, // a newer rules version is registered
	COMMIT_REFUSED,   // not applied, passing: OOM, READONLY, LOADING, …: back off, send the same again
	COMMIT_UNKNOWN,   // time-out or lost connection: read the offsets back
	COMMIT_HALT,      // an error that must not be retried: text says what
};

struct commit_result {
	enum commit_status status;
	uint64_t tag;
	uint32_t shard;
	uint32_t alerts;  // entries appended to the outbox
	char text[400];   // for everything but DONE: one line
};

#endif
