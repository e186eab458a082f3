// SPDX-License-Identifier: Apache-2.0
// Partitions from which nothing comes: is there nothing, or does the client not deliver what is there? A worker cannot tell, since what it
// knows of the end of a partition comes with the records. So the brokers are asked, over another connection and off the hot thread.
//
// Invariant: a partition is suspected only while its worker stands at the offset at which it stood when records were seen behind it; records
// that no reader gets (markers, open or aborted transactions) are none.
//
// @thread called under one lock of the caller's; asking itself is not done here.
#ifndef PIPELINE_IDLE_H
#define PIPELINE_IDLE_H

#include "pipeline/worker.h"

struct idle_part {
	char topic[256];
	int32_t partition;
	int64_t next, at_end;  // where its worker stood when it was looked at
	int64_t waiting_us;    // since when records are known to wait there; 0: none do
	bool ahead, there;     // ahead: by what the worker itself knows, something is behind it
};
struct idle {
	uint32_t n, turn;
	struct idle_part *list;
};

// What a worker says of its partitions now. One that moved is not suspected any more.
void idle_note(struct idle *i, const struct worker_status *w);
void idle_sweep(struct idle *i); // after all workers: partitions that none of them noted are gone
// Whom to ask about next; false: nobody. Those with something behind them by what their worker knows take turns with the others.
bool idle_pick(struct idle *i, struct idle_part *ret);
// The answer: the last stable offset of that partition.
void idle_answer(struct idle *i, const struct idle_part *asked, int64_t end, int64_t now_us);
// Records have waited for at least `for_us` behind where this part stands.
bool idle_suspected(const struct idle *i, const struct worker_part_status *p, int64_t now_us, int64_t for_us);
void idle_free(struct idle *i);

#endif
