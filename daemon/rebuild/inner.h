// SPDX-License-Identifier: Apache-2.0
// Inside of rebuild. Not included by other rooms.
#ifndef REBUILD_INNER_H
#define REBUILD_INNER_H

#include "closing/closing.h"
#include "pipeline/facts.h"
#include "rebuild/rebuild.h"

// How far the workers may read, by partition as in the journal. A new phase makes each of them commit all that it has, and claim its
// partitions anew under the new limits.
struct goal {
	pthread_mutex_t lock;
	uint64_t phase;
	uint32_t n_parts, n_shards;
	int64_t *target;        // by partition
	int64_t *reach;         // by partition and shard: where the shard is to stand in the end; below the target: it takes no part any more
	int64_t rate;           // records a second of one worker; 0: any
};

struct lane {                   // one worker and its two ends
	struct kafka_options kafka; // the worker's own copies: the ports find the lane by them
	struct store_options store;
	const struct ports *real;   // Kafka and Redis, or twins of them
	struct ports ports;         // what the worker is given
	struct goal *goal;
	struct worker *worker;
	uint32_t n_parts, *of_goal; // its partitions, as indexes in the goal
	char **names;
	const char **topics;
	int32_t *partitions;

	struct source source;       // what the worker sees
	struct source *inner;
	struct source_callbacks up; // the worker's
	uint64_t phase;             // under which it claimed
	int64_t *limit;             // as of then
	bool *there;
	int64_t *reach;             // by partition and shard
	int64_t *begin;             // first offsets
	char init_id[40];
	int64_t in_force, made;     // generations
	atomic_bool went_back;      // the one in force stands before the limits by now
	struct store claims;        // what the worker sees
	struct store *behind;
	struct dlq silent;
	int64_t second_us, taken;   // for the rate
	atomic_uint_fast64_t reached; // the phase whose limits it has read up to
};

struct lane *lane_new(struct goal *g, const struct rebuild_options *o, const struct journal *j, uint32_t index, uint32_t of);
void lane_free(struct lane *l);

struct rebuild {
	struct rebuild_options o;   // ports and crew are set
	// Own connections: the generation being made; the one in force, or a cut of it; and one for the lease, since a scan must not be disturbed.
	struct store *store, *live, *desk;
	struct journal *journal;
	struct accounts_feed *feed;
	int64_t generation;
	char *checkpoint;           // that it begins with; NULL: none
	char holder[128], source[256];
	int64_t leased_us;
	struct shared shared;       // of the workers
	struct facts *facts;
	struct goal goal;
	uint32_t n_lanes;
	struct lane **lanes;
	uint64_t begun, all;        // records, for the progress
	char waits[360];            // for what, if it does
};

// As who makes a generation, the store takes its writes only while it is building (meterd.lua, own_id).
void rebuild_identity(struct store *s, const char *init_id, int64_t generation);
// Renews the lease, looks whether the generation is still being made, whether a worker has met something, whether to stop. Often.
enum error_class rebuild_look(struct rebuild *r, struct error *e);
// What was decided since; a partition that was admitted meanwhile needs other workers.
enum error_class rebuild_reload(struct rebuild *r, struct error *e);
enum error_class rebuild_settle(struct rebuild *r, struct error *e);
// Alerts that changes made due, not calls, as far as the closer has found them for r->live, whose shards stand at the same offsets.
enum error_class rebuild_changes(struct rebuild *r, struct error *e);
// Puts what a new generation begins with into it, as far as r->o.from and the log ask for one: from.c.
enum error_class rebuild_begin(struct rebuild *r, struct error *e);
// The log reaches back to where counting goes on: of each partition the offset `from`, or its first one where NULL. ERROR_ABORT 78.
enum error_class rebuild_check_log(struct rebuild *r, const int64_t *from, struct error *e);
// The copy that a verification of the generation before it left under this number, when it was ended, or when Redis went back to that moment.
enum error_class rebuild_drop_copy(struct store *s, uint32_t shards, int64_t number, struct error *e);
// The log is the one that the generation in force has counted: by its length, and by the fingerprints that the shards keep. ERROR_ABORT 78.
enum error_class rebuild_check_same(struct rebuild *r, struct error *e);
// Takes the lease again where it is time to. Often.
enum error_class rebuild_hold(void *ctx, struct error *e);
// Takes out of the outbox what the generation of r->live raised, or published, too.
enum error_class rebuild_drain(void *ctx, struct error *e);
// What waits in a shard's outbox. waiting_free, also after an error.
struct waiting;
typedef bool waiting_fn(void *ctx, struct span identity, struct span content); // false: enough
enum error_class waiting_read(struct store *s, uint32_t shard, struct waiting **ret, struct error *e);
struct span waiting_find(struct waiting *list, struct span identity); // its content; p NULL: none
bool waiting_each(struct waiting *list, waiting_fn *fn, void *ctx);
void waiting_free(struct waiting **list);
// Until every shard stands where that shard of r->live stands.
enum error_class rebuild_meet(struct rebuild *r, struct error *e);

#endif
