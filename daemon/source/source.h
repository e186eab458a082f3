// SPDX-License-Identifier: Apache-2.0
// The port through which usage records come in: one member of the consumer group, for one worker thread.
//
// @thread owned by the worker; the callbacks run on its thread, inside source_poll, source_rejoin and source_close.
//
// Facts behind the adapter (design.md, section 12): eager range assignor, static membership, read_committed; never pause,
// never seek; start offsets are set in the assign callback only; a poll during which the assignment changed returns no
// record of the old one.
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/error.h"
#include "model/event.h"

struct source_part {
	char *topic;
	int32_t partition;
	char *name;          // "topic/partition"
	int64_t read_from;   // out, by `assigned`: first offset to read
};

struct source_callbacks {
	void *ctx;
	// All partitions of the new assignment (may be none). Sets read_from of each. Not ERROR_NONE: nothing is read, the error comes
	// out of source_poll, `revoked` is not called for it, and source_rejoin is the way on. `parts` stays valid until `revoked` returns; record.part indexes it.
	enum error_class (*assigned)(void *ctx, struct source_part *parts, uint32_t n, struct error *e);
	// All partitions go. `lost`: they may have a new owner already, so nothing should be committed any more.
	void (*revoked)(void *ctx, bool lost);
	// The reader stood at the end of the partition: no record at or above `end` existed then. Called before the records of the
	// same poll are handed out, so some of them may lie below `end`, and later ones above it.
	void (*at_end)(void *ctx, uint32_t part, int64_t end);
};

struct source;
struct source_ops {
	// At most 1,000 records, in offset order per partition. They are valid until the next source_release, which must come
	// before the next poll. ERROR_HALT: text names the partition (offset out of range, topic gone); its index is *ret_part.
	// ERROR_RETRY: brokers away, goes on by itself. ERROR_ABORT 75: fenced by a member with the same instance id.
	enum error_class (*poll)(struct source *s, int timeout_ms, struct record **ret, uint32_t *ret_n, uint32_t *ret_part,
				 struct error *e);
	void (*release)(struct source *s);
	// Gives up the assignment and asks for it again: the one way back after any conflict. `revoked` (lost = true) and later
	// `assigned` follow.
	enum error_class (*rejoin)(struct source *s, struct error *e);
	// Offsets for lag tools and as a hint that Redis once knew more; asynchronous, unreliable on purpose.
	void (*hint)(struct source *s, uint32_t part, int64_t next);
	// High watermark as last seen by the fetcher, -1 unknown: for lag, never for decisions.
	int64_t (*high)(struct source *s, uint32_t part);
	// Leaves within deadline_ms or gives up (closing can hang): frees in either case.
	void (*close)(struct source *s, int deadline_ms);
};
struct source {
	const struct source_ops *ops;
};

struct kafka_options; // model/kafka_options.h
// ERROR_ABORT 78 for settings that librdkafka refuses.
enum error_class source_kafka_open(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb,
				   struct source **ret, struct error *e);
// The same for n partitions that are given: no group, nothing is told to Kafka. `assigned` comes with the first poll; a rejoin revokes them
// in good order (lost = false) and hands them out again. topics[i], partitions[i]: copied.
enum error_class source_kafka_read(const struct kafka_options *o, const char *const *topics, const int32_t *partitions, uint32_t n,
				   const struct source_callbacks *cb, struct source **ret, struct error *e);

#endif
