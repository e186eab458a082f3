// SPDX-License-Identifier: Apache-2.0
// The office: the one thread that publishes and decides. It works while a worker of this process owns partition 0 of the first input
// topic: relays what the shards' outboxes hold, closes months, admits partitions, takes requests. Its producer fences whoever was
// in office before.
#ifndef PIPELINE_OFFICE_H
#define PIPELINE_OFFICE_H

#include "closing/closing.h"
#include "pipeline/worker.h"

struct office_status {
	bool in_charge, due; // due: this instance should publish, in charge or not yet
	char state[32];   // "idle", "taking_over", "running", "waiting", "halted"
	char reason[300];
	struct relay_numbers relay;
	struct closer_numbers closer;
	int64_t imbalance;     // of all partitions, each when its shards last stood at one offset; -1: not of all yet
	int64_t balanced_ms;   // wall: when the partition looked at longest ago was; TIME_NONE with -1
	int64_t alive_us, progress_us;
	bool known_wait;
};

struct office_options {
	const struct ports *ports;
	const struct settings *settings;
	const struct kafka_options *kafka;
	const struct store_options *store;
	struct shared *shared;
	struct facts *facts;
	enum settles settles;
};

struct office;
enum error_class office_start(const struct office_options *o, struct office **ret, struct error *e); // on a thread of its own
void office_join(struct office **f);
// What that thread does: makes it, takes turns (each says how long nothing is to be done, in ms, unless it is woken), leaves, frees it.
enum error_class office_new(const struct office_options *o, struct office **ret, struct error *e);
int office_turn(struct office *f);
void office_leave(struct office *f);
void office_free(struct office *f);
void office_status(struct office *f, struct office_status *ret);

#endif
