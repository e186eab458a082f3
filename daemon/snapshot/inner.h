// SPDX-License-Identifier: Apache-2.0
// Inside of snapshots. Not included by other rooms.
#ifndef SNAPSHOT_INNER_H
#define SNAPSHOT_INNER_H

#include <pthread.h>

#include "snapshot/snapshots.h"

struct job {
	struct job *after;
	char *part;
	struct slice_place place;
	uint64_t seed;
	struct slice head;
	struct recording *r;
	int64_t drop_below;
};

struct snapshot_part {
	char *name;
	bool distrusted;
	int64_t run_to;      // slices lie end to end up to there; -1: none is known
	struct snapshot_status status;
};

struct snapshots {
	struct folder *folder;
	char *where;
	unsigned bits;
	bool at_once;
	pthread_t thread;
	pthread_mutex_t lock; // of what follows
	pthread_cond_t wake;
	bool stop;
	struct job *first, **end; // handed over, oldest first
	uint32_t n_jobs;
	uint32_t n_parts;
	struct snapshot_part *parts;
	struct snapshots_totals totals;
};

// With the lock held; valid while it is.
struct snapshot_part *snapshots_part(struct snapshots *s, const char *name);

#endif
