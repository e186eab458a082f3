// SPDX-License-Identifier: Apache-2.0
// Inside of a worker. Not included by other rooms.
#ifndef PIPELINE_STATE_H
#define PIPELINE_STATE_H

#include "aggregate/busiest.h"
#include "aggregate/aggregate.h"
#include "base/clock.h"
#include "pipeline/facts.h"
#include "pipeline/part.h"
#include "plans/plans.h"
#include "pipeline/worker.h"
#include "sink/sink.h"
#include "source/source.h"

enum { FLIGHTS = 3 };

enum commit_state { STATE_NONE, STATE_SENT, STATE_DONE, STATE_AGAIN };

// A batch under way to the shards.
struct flight {
	struct batch *batch;
	struct commit *commits;     // by shard; n_parts 0: nothing for this shard
	enum commit_state *states;
	uint32_t waiting;           // commits not done yet
	int64_t sent_us;
};

// What went wrong, worst last. Everything from REJOIN on drops what is not committed.
enum trouble {
	TROUBLE_NONE,
	TROUBLE_AGAIN,   // some commits were certainly not applied: send them again
	TROUBLE_RESOLVE, // some may have been applied: ask
	TROUBLE_REJOIN,  // somebody else owns a partition, or the store rolled back: start over
	TROUBLE_HALT,    // a person must look
	TROUBLE_ABORT,   // the process ends
};

struct worker {
	struct worker_options o;
	pthread_t thread;
	char instance_id[128];
	struct source *source;
	struct store *store;
	struct dlq *dlq;

	struct journal *journal;
	const struct journal_rules *newest; // ids come from it
	struct account_book *book;
	uint64_t facts_taken;      // of the process's facts, how many are in the book
	int64_t facts_us;          // when they were taken last
	struct plans *plans;
	// Partitions stand at record clocks between which terms of accounts, or even the rules, changed: an account's calls may lie on both sides.
	bool mixed, mixed_rules;
	bool turned;               // a partition passed such a change: both have to be found anew

	struct part *parts, *kept; // kept: what an earlier assignment learned about duplicates
	uint32_t n_parts, n_kept;
	bool owns_first, unadmitted;
	bool adrift; // what was gathered was dropped: the parts stand where no shard does, nothing is read or sent until the next assignment
	char token[48];
	uint64_t session; // the connection to Redis for which `journal` is known to be the newest
	uint64_t token_serial;

	struct aggregate *aggregate;
	struct flight flights[FLIGHTS];
	uint32_t first_flight, n_flights; // sent, oldest first; the open batch is flights[(first + n) % FLIGHTS]
	uint64_t open_records;
	int64_t opened_us, flushed_us;
	int64_t lag_ms;            // how old the newest record was when it was read; 0: not behind, or not known
	int64_t read_ms;           // wall: of the poll that brought the open batch a crossing, or else its first records
	bool open_rejects;
	int64_t *advanced_us;      // by shard: when its offsets were last sent
	enum trouble trouble;
	int64_t backoff_ms;
	bool away;                 // Redis, as of the last answer
	bool source_away;
	int64_t rejoin_at_us;      // 0: no rejoin is due
	int64_t journal_at_us;     // next look for admissions
	int64_t hinted_us;
	int64_t assigned_us, asked_us; // last seen with partitions; last asked whether Kafka is back
	struct error halted;

	struct decider decider;
	uint32_t *last_record;     // by part: index in the poll's records, or UINT32_MAX

	pthread_mutex_t lock;      // of `status`
	struct worker_status status;
	int64_t status_us;
	struct histogram commit_time;
	uint64_t deltas, conflicts[COMMIT_HALT + 1];
	struct status_shard *shards; // totals; what is under way is found when they are told
	struct busiest *busiest;   // the accounts with the most calls
	uint64_t *calls;           // counted, by service of the newest rules
	uint32_t n_calls;
	int64_t progress_us;
	bool known_wait;
	char state[32], reason[300];
};

static inline struct flight *worker_open(const struct worker *w)
{
	return (struct flight *)&w->flights[(w->first_flight + w->n_flights) % FLIGHTS];
}

// step.c: what n <= DECIDE_AHEAD records will touch is fetched; a record is decided, then taken; in between a batch may end (d must be the last decision)
void worker_look_ahead(struct worker *w, const struct record *records, uint32_t n);
bool worker_decide(struct worker *w, const struct record *r, struct decision *d); // false: it is passed over
void worker_take(struct worker *w, const struct record *r, const struct decision *d);
// Must the batch end before it? An account becomes active in a month before those that the batch holds calls of: those calls are weighed
// by what was known before. Or those of the account that it holds, out of a partition whose clock is behind, are weighed by what a change was to end.
// Or it holds as many months as a commit may.
bool worker_order_due(struct worker *w, const struct record *r, const struct decision *d);

// flush.c
bool worker_flush_due(struct worker *w, bool caught_up);
bool worker_batch_is_large(const struct worker *w);    // as large as a batch may grow
void worker_flush(struct worker *w, bool everything, int64_t until_us); // dead letters are waited for until then
void worker_results(struct worker *w, int timeout_ms); // takes what came; waits at most timeout_ms for the first
void worker_drop(struct worker *w);                     // all that is not committed never happened
void worker_again(struct worker *w);
void worker_resolve(struct worker *w);
void worker_verify(struct worker *w);                   // with nothing under way: does every shard stand where we think?
bool worker_finish(struct worker *w, int deadline_ms);  // flushes and waits; false when it did not end well

// assign.c
enum error_class worker_assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e);
void worker_revoked(void *ctx, bool lost);
void worker_new_token(struct worker *w);
bool worker_split_due(struct worker *w, const struct record *r); // must the batch end before this record?
bool worker_split(struct worker *w);                              // ends it; false: trouble, the record must not be counted
bool worker_facts_due(const struct worker *w);
void worker_know(struct worker *w);                               // takes new facts; nothing is gathered or under way
bool worker_forget_due(const struct worker *w);                   // more is remembered of counters and ladders than may be
void worker_forget(struct worker *w);                             // all of it goes; nothing is gathered or under way

// slices.c: the set of duplicates on disk
void part_recorded(struct part *p, const struct snapshots *s, int64_t older_ms, struct slice_mark first); // from the set's position on
bool worker_load_slices(struct worker *w, struct part *p, int64_t low, int64_t *ret_clock); // false: the log has to be read back
void worker_cut_slice(struct worker *w, struct part *p, const struct record *r);   // r lies at or behind p->next_slice
void worker_distrust_slices(struct worker *w, struct part *p, const char *why);    // they tell of another log: read back without them

// worker.c
void worker_trouble(struct worker *w, enum trouble t, const char *text);
void worker_say(struct worker *w, const char *state, const char *reason);
void worker_alive(struct worker *w);
static inline bool worker_stopping(const struct worker *w)
{
	return atomic_load_explicit(&w->o.shared->stop, memory_order_relaxed);
}

#endif
