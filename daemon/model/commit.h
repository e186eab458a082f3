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

enum { COMMIT_GROUPS_MOST = 4096 }; // pairs of month and adjust_month among the deltas of a commit

struct commit_delta {
	struct span account;
	uint32_t service;       // index in the commit's catalog
	int month;              // of the counter
	int adjust_month;       // MONTH_NONE: counted. Otherwise late: adjusted with the settlement of this month
	int64_t calls;          // > 0
	const struct ladder *ladder;       // NULL: nothing to reach
	const struct ladder *ladder_first; // in the account's month of activation; NULL: the same
	bool activates;         // the shard may not know yet that the account is active in this month
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
	bool look;               // raise also what the stored totals have reached already and was never raised
	bool with_calls;         // as in a delta
	uint32_t n_deltas, n_calls;
	const struct entry_delta *deltas;
	const struct entry_call *first_call;
	int64_t slack;           // out: so many calls reach no further rung; -1: not known
};

// Alerts that a change made due, not a call (plans/plans.h): by what an account's counters were weighed from a change on.
struct look_row {
	uint32_t service;        // index in the commit's catalog
	const struct ladder *ladder, *ladder_first; // as in a delta
};
struct look_month {
	int month;
	uint32_t n_rows;
	const struct look_row *rows;
};
struct look_terms {
	int64_t change_ms;       // record clock from which on it held
	uint32_t n_months, n_allowances;
	const struct look_month *months; // the open ones then
	const struct allowance *const *allowances;
};
// An account whose counters must have been looked at up to a change before the commit counts its calls. Where they were looked at up to a later one,
// because its calls lie in several partitions and another one is ahead, they will be again: these calls came too late for that look.
enum { COMMIT_CHANGE_NONE = -1 }; // as the shard has it of an account that was never looked at
struct commit_account {
	struct span account;
	int64_t change_ms;       // the last one up to the clock of its calls; COMMIT_CHANGE_NONE
	int64_t since_ms;        // `looks` are those of all changes behind it; out of NEEDLOOK: up to which the shard has looked
	bool behind;             // the shard has not: looks are needed
	uint32_t n_looks;
	const struct look_terms *const *looks; // ascending
};
// One commit of the closer's pass over a shard, without parts and deltas: its accounts are looked at where nobody was faster. Every
// partition's clock must have reached the change; a shard that went back between two commits of a pass refuses the second (ROLLBACK).
struct commit_pass {
	const char *before, *after; // a mark in the shard: what it must be (NULL: whatever), what it becomes
	int64_t change_ms;
	uint32_t n_parts;
	const struct span *parts;   // all admitted
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
	uint32_t n_accounts;
	struct commit_account *accounts;
	const struct commit_pass *pass; // NULL: not the closer's
	uint64_t tag;                   // the caller's, comes back with the result
};

enum commit_status {
	COMMIT_DONE,      // totals are in the deltas
	COMMIT_NEEDLIST,  // not applied: send again with the lists of the deltas and entries now marked with_calls
	COMMIT_NEEDLOOK,  // not applied: send again with the looks of the accounts now marked behind
	COMMIT_FOREIGN,   // wrong token, or stored offset beyond ours: somebody else owns a partition
	COMMIT_ROLLBACK,  // stored offset before ours: the shard was rolled back
	COMMIT_LOST,      // no meta, another init id, or nothing of the generation
	COMMIT_RETIRED,   // another generation, or another schema, is in force
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
