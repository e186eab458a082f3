// SPDX-License-Identifier: Apache-2.0
// A checkpoint put back by a person. Never over counters that are in force: in the place of those that are lost, or, where none are, beside them as a
// generation that is being made, from which a rebuild goes on.
//
// Two steps, between which the person is asked: restore_open only looks, restore_run writes. An interrupted one leaves shards that nobody counts
// into; the next begins them anew.
//
// @thread one owner
#ifndef REBUILD_RESTORE_H
#define REBUILD_RESTORE_H

#include "checkpoint/checkpoint.h"
#include "pipeline/ports.h"

struct restore_options {
	const struct ports *ports;   // NULL: Kafka and Redis
	const struct kafka_options *kafka;
	const struct store_options *store;
	const char *path;
	void (*progress)(void *ctx, uint64_t done, uint64_t all); // shards; NULL: nobody looks
	void *ctx;
};
struct restore_plan {
	const struct checkpoint_head *head;
	uint32_t shards, n_lost;     // n_lost 0: it comes back beside the one in force
	int64_t generation, in_force; // that comes back
};

struct restore;
// ERROR_ABORT 78: the file is damaged, of another state, of a generation that cannot take the place of the one in force; the log does not reach back
// to it; another generation is being made already.
enum error_class restore_open(const struct restore_options *o, struct restore **ret, struct error *e);
struct restore_plan restore_plan(const struct restore *r);
// ERROR_ABORT 75: somebody else works on generations.
enum error_class restore_run(struct restore *r, struct error *e);
void restore_freep(struct restore **r);

#endif
