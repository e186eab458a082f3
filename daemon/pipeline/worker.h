// SPDX-License-Identifier: Apache-2.0
// A worker: one consumer, one pipeline, one Redis connection, one thread, sharing nothing with other workers.
//
//	source ─► part (clock, months) ─► decode ─► dedupe ─► aggregate ─► commit (store) ─► office (relay)
//
// Start is recovery: claim the partitions, read where the shards stand, read on from there. Every conflict ends there too.
#ifndef PIPELINE_WORKER_H
#define PIPELINE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "model/status.h"
#include "pipeline/ports.h"
#include "settings/settings.h"
#include "snapshot/snapshots.h"

// What the threads of a process share. Owned by the engine.
struct shared {
	atomic_bool stop;         // orderly stop: finish the batch, commit, leave
	atomic_uint first_owners; // workers that own partition 0 of the first input topic: 0 or 1 in this process
	atomic_uint first_given;  // how often one was given it
	int office_wake;          // eventfd: something for the relay or the closer
	atomic_bool failed;       // a thread ends the process: `failure` says why
	pthread_mutex_t lock;     // of `failure`
	struct error failure;
};
void shared_fail(struct shared *s, const struct error *e); // first one wins

struct worker_part_status {
	char topic[256];
	int32_t partition;
	int64_t next, end, clock_ms; // end: high watermark, -1 unknown
	int64_t at_end;              // as in part.h
	int64_t outcomes[OUTCOME_COUNT];
	int64_t read_back;           // records read only to fill the window of duplicates
	int64_t gaps;                // offsets that held no record (transaction markers, compaction)
	int64_t window_clock_ms;     // record clock at the start of the window of duplicates; TIME_NONE
	bool reading_back;
	char halted[300];            // empty: running
};
struct worker_status {
	char state[32];              // "starting", "running", "waiting", "halted"
	char reason[300];            // of waiting or halted, in words; empty otherwise
	uint32_t n_parts;
	struct worker_part_status *parts;
	uint32_t n_shards;
	struct status_shard *shards;
	struct status_counts calls, conflicts;
	struct status_counts top;    // accounts with the most calls since top_since_us, each at most top_over too large
	int64_t top_since_us, top_over;
	struct histogram commit_time;
	uint64_t deltas, dedupe_bytes;
	int64_t rules_version;       // -1: none yet
	uint64_t facts_taken;        // records of the accounts topic that it knows
	int64_t alive_us, progress_us; // clock_mono_us of the last round of the loop; of the last commit, or of having nothing to do
	bool known_wait;             // Redis or Kafka away, halted: waiting is right
};

struct facts;
struct worker_options {
	const struct ports *ports;
	const struct settings *settings;
	const struct kafka_options *kafka;
	const struct store_options *store;
	struct shared *shared;
	struct facts *facts;
	int64_t generation;  // that it counts into; 0: the one in force
	uint32_t index;
	struct snapshots *snapshots; // NULL: none are kept
};

struct worker;
enum error_class worker_start(const struct worker_options *o, struct worker **ret, struct error *e); // on a thread of its own
void worker_join(struct worker **w);                             // after shared.stop was set
// What that thread does: makes it, goes round, leaves the group in order, frees it.
enum error_class worker_new(const struct worker_options *o, struct worker **ret, struct error *e);
void worker_round(struct worker *w);
void worker_leave(struct worker *w);
void worker_free(struct worker *w);
void worker_status(struct worker *w, struct worker_status *ret); // a copy
void worker_status_free(struct worker_status *s);

#endif
