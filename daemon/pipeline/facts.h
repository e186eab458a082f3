// SPDX-License-Identifier: Apache-2.0
// The accounts topic, read once for all workers of the process: a thread follows it and keeps what came, in order. Each worker takes
// from there into a book of its own. What is said of an account takes effect rules.lead (a minute at the least) after its stamp, so
// a reader that is seconds behind is early enough; at the start everything that is there is read first.
//
// Corrections of closed months change nothing for who counts, and a large application of them is hundreds of megabytes: of each it is kept where it
// stands, not what it says. A book refuses such a record unread, and has taken note how far its partition came.
#ifndef PIPELINE_FACTS_H
#define PIPELINE_FACTS_H

#include "pipeline/worker.h"

struct facts;
// What that thread fills; without it whoever makes them hands the records over.
struct facts *facts_new(void);
void facts_free(struct facts *f);
void facts_take(struct facts *f, const struct topic_record *t); // what was taken before is passed over
void facts_whole(struct facts *f);                              // all that stood in the topic at the start was taken
enum error_class facts_start(const struct kafka_options *kafka, struct shared *shared, struct facts **ret, struct error *e);
void facts_join(struct facts **f);    // after shared.stop was set

// @thread any
bool facts_ready(struct facts *f);    // all that stood in the topic at the start has been read
uint64_t facts_count(struct facts *f);
struct fact_record {
	int32_t partition;
	int64_t offset, stamp_ms;
	struct span value;            // stays as long as the facts; empty in place of a correction
};
// Record number i < facts_count, in an order in which each partition's records follow one another.
struct fact_record facts_at(struct facts *f, uint64_t i);

#endif
