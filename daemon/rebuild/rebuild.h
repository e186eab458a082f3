// SPDX-License-Identifier: Apache-2.0
// A generation made again from the log beside the one in force (design.md, section 10; models/m6_gen.py): by the pipeline's own workers,
// in another process than the daemon, with counters, offsets, ledger and outbox of its own.
//
// Three rules hold it together:
//   - It never reads further than the generation in force has counted. What was rejected below that lies in the dead-letter topic
//     already, so it writes there nothing.
//   - Nothing is muted: an alert that it raises lies in its outbox until it is known that the one in force raised it too. What is left is
//     published after it was put in force; the relay's set of published ids sees to it that nothing comes twice.
//   - Months are settled in it from the manifests in the control topic, once the generation in force has finished them.
//
// @thread one owner; the workers have threads of their own.
#ifndef REBUILD_REBUILD_H
#define REBUILD_REBUILD_H

#include "pipeline/worker.h"

// From where on the log is counted again. What lies before must be held by a checkpoint: nothing that was counted may be missing.
enum rebuild_from_kind {
	REBUILD_FROM_FIRST,       // the first offsets; where the log does not reach back to them the newest checkpoint
	REBUILD_FROM_FILE,        // this checkpoint, of whichever generation
	REBUILD_FROM_OFFSETS, REBUILD_FROM_TIME, // the newest checkpoint that stands nowhere behind; the first offsets where nothing lies before
};
struct rebuild_from {
	enum rebuild_from_kind kind;
	const char *text;         // as it was asked for: the file, "1200" (in every partition) or "topic/0=1200,topic/1=1100", a time
	int64_t time_ms;          // of records' stamps
};

// Who runs its workers, and their reader of the accounts topic: on threads of their own, but where a test takes turns.
struct rebuild_crew {
	enum error_class (*worker_start)(const struct worker_options *o, struct worker **ret, struct error *e);
	void (*worker_join)(struct worker **w); // after shared.stop was set
	enum error_class (*facts_start)(const struct kafka_options *kafka, struct shared *shared, struct facts **ret, struct error *e);
	void (*facts_join)(struct facts **f);
};
struct rebuild_position {         // of one partition, as offsets
	const char *name;
	int64_t at, end;          // what is read next; up to where this round goes
};
struct rebuild_progress {         // texts are valid during the call
	const char *what;
	uint64_t done, all;
	const struct rebuild_position *parts; // those that a worker has; NULL: it is not about records
	uint32_t n_parts;
};
struct rebuild_options {
	const struct ports *ports;       // NULL: Kafka and Redis
	const struct rebuild_crew *crew; // NULL: threads
	struct settings *settings;
	const struct kafka_options *kafka;
	const struct store_options *store;
	const char *state_dir;    // whose checkpoints are used where the log does not reach back to the first offsets
	struct rebuild_from from; // of a generation that is begun; one that is being made goes on where it stands
	uint32_t workers;
	int64_t rate;             // records a second of all workers; 0: as fast as it goes
	int64_t lag_growth;       // slow down while the live generation falls behind by more than this a second; 0: do not look
	const atomic_bool *stop;  // ends whatever is under way: ERROR_RETRY
	void (*progress)(void *ctx, const struct rebuild_progress *p); // NULL: nobody looks
	void *ctx;
};

struct rebuild;
// Takes the lease, finds the generation that is being made, or begins the next. ERROR_ABORT 75: somebody else is at it; 78: the log and the
// checkpoints do not reach back to where it is to begin, the counters are lost, or `from` is said of a generation that has begun already.
enum error_class rebuild_open(const struct rebuild_options *o, struct rebuild **ret, struct error *e);
void rebuild_freep(struct rebuild **r);

int64_t rebuild_generation(const struct rebuild *r);
int64_t rebuild_live(const struct rebuild *r);  // the one in force
const char *rebuild_checkpoint(const struct rebuild *r); // that it was begun from just now; NULL: from none
// Records between where it stands and where the live generation stands.
enum error_class rebuild_behind(struct rebuild *r, uint64_t *ret, struct error *e);
// Counts up to where the live generation stands now, settles what it has finished, takes out alerts that it raised too.
enum error_class rebuild_catch_up(struct rebuild *r, struct error *e);

// What differs between two generations.
enum rebuild_kind {
	REBUILD_COUNTER, REBUILD_LATE, REBUILD_LEDGER, REBUILD_POSITION, REBUILD_CUT, REBUILD_CLOCK, REBUILD_ACTIVATION, REBUILD_ALERT,
	REBUILD_SETTLED, REBUILD_FREEZE, REBUILD_PACK,
	REBUILD_MARK,        // which months there are, are closed, are finished
	REBUILD_OUTBOX,      // an entry that waits in the outbox says something else, or is of nothing that happened
	REBUILD_UNPUBLISHED, // an alert that was raised, and lies neither in the topic nor in the outbox
};
struct rebuild_difference {
	enum rebuild_kind kind;
	uint32_t shard;
	int month, adjust_month;      // MONTH_NONE: of no month
	struct span field;            // "account/service", "topic/partition/outcome", the identity of an alert in one line, …
	struct span live, made;       // p NULL: there is none
};
const char *rebuild_kind_text(enum rebuild_kind k);
typedef bool rebuild_difference_fn(void *ctx, const struct rebuild_difference *d); // texts are valid during the call; false: enough
struct rebuild_verdict {
	uint64_t compared, differences;
	uint64_t by_kind[REBUILD_UNPUBLISHED + 1];
};
// Takes a copy of the live generation at one moment of each shard, counts exactly as far, settles, and compares all that either holds.
enum error_class rebuild_verify(struct rebuild *r, rebuild_difference_fn *fn, void *ctx, struct rebuild_verdict *ret, struct error *e);

// Alerts of finished months that only this generation raised, out of its outbox: they come too late to be published. fn may be NULL.
typedef void rebuild_alert_fn(void *ctx, struct span identity);
enum error_class rebuild_drop_stale(struct rebuild *r, rebuild_alert_fn *fn, void *ctx, struct error *e);
// Asks the closer to put `generation` in force and waits until it has; within wait_ms, or ERROR_ABORT 75.
// port NULL: Kafka.
enum error_class rebuild_promote(struct store *s, const struct sink_port *port, const struct kafka_options *k, int64_t generation, int64_t wait_ms,
				 const atomic_bool *stop, struct error *e);

#endif
