// SPDX-License-Identifier: Apache-2.0
// The control topic: what was decided, in order (design.md, section 6). One partition, kept for ever, written by `meterctl init`
// once and then only by the closer through its transactional producer. Everyone reads it at start, on assignment and after a
// rollback, and adopts what it says.
//
// Records are JSON documents with "type"; unknown types and fields are refused: an older program must not carry on past a
// decision it does not understand. Times are RFC 3339, null where there is none.
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "base/error.h"
#include "rules/rules.h"
#include "sink/sink.h"

struct journal_part {            // a partition that is counted, and from where
	char *topic;
	int32_t partition;
	char *name;              // "topic/partition"
	int64_t offset;          // first offset
	int64_t clock_ms;        // record clock it begins with; TIME_NONE: none
};
struct journal_rules {
	int64_t version;         // 1, 2, …
	int64_t effective_ms;    // record clock from which it holds for what an event is; TIME_NONE for the first
	struct rules *rules;
	int64_t written_ms;      // the stamp of its record; TIME_NONE: it was not read from the topic
};
struct journal_cut {
	char *name;
	int64_t offset;
};
struct journal_manifest {
	int month;
	int64_t rules_version;
	uint32_t n_cuts;
	struct journal_cut *cuts; // of all partitions admitted then, sorted by topic, then partition number
	int64_t counters, calls;  // totals: lines in the counters, calls in them
	uint32_t n_accounts;
	struct journal_cut *accounts; // of the accounts topic: what lies below is in the bills; sorted by partition
	bool corrects;            // there are corrections in it. Programs that do not know them refuse the record, where they would close without
	char sha256[65];          // of the record's value
};
enum { JOURNAL_SCHEMA = 1 };

struct journal {
	char init_id[40];         // empty: no init
	uint32_t shards;
	int64_t generation;       // in force
	int64_t generation_before;// the one in force before it; 0: none
	int64_t generation_greatest; // of all that ever were in force: none of these numbers is given to another one
	int64_t generation_at;    // offset of the record that put it in force, -1: init's. A later one wins over an earlier one
	uint32_t n_parts, n_rules, n_manifests;
	struct journal_part *parts;
	struct journal_rules *rules;
	struct journal_manifest *manifests;
	int64_t next_offset;      // of the control topic, behind the last record read
};

// Reads the whole topic. A journal without init is not an error: init_id is empty. ERROR_ABORT 78: a record that this program
// does not understand (says its offset and type); 75: topic missing; ERROR_RETRY: brokers away.
enum error_class journal_load(const struct kafka_options *o, int timeout_ms, struct journal **ret, struct error *e);
// The same through another port; the topic must have one partition.
enum error_class journal_load_from(const struct sink_port *port, const struct kafka_options *o, int timeout_ms, struct journal **ret,
				   struct error *e);
// ERROR_ABORT 78 where the topic holds no init, or no rules yet: says what to run.
enum error_class journal_begun(const struct journal *j, const struct kafka_options *o, struct error *e);
// One more record, as read from the topic: what journal_load does for each; also for tests.
enum error_class journal_apply(struct journal *j, int64_t offset, struct span value, struct error *e);
struct journal *journal_new(void);
void journal_freep(struct journal **j);

// Rules in force at a record clock (TIME_NONE: the first). NULL when there are none.
const struct journal_rules *journal_rules_at(const struct journal *j, int64_t clock_ms);
const struct journal_rules *journal_rules_version(const struct journal *j, int64_t version);
const struct journal_part *journal_part(const struct journal *j, struct span name);
const struct journal_manifest *journal_manifest(const struct journal *j, int month);

// Record values; free them. Deterministic: the same arguments give the same bytes.
char *journal_init_record(const char *init_id, uint32_t shards, const struct journal_part *parts, uint32_t n);
char *journal_rules_record(int64_t version, int64_t effective_ms, const struct rules *rules);
char *journal_admit_record(const struct journal_part *parts, uint32_t n);
char *journal_generation_record(int64_t generation);
char *journal_manifest_record(const struct journal_manifest *m); // sha256 is not part of it

#endif
