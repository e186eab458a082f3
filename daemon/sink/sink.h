// SPDX-License-Identifier: Apache-2.0
// The ports through which results go out: transactions (alerts, settlements, control records), the dead-letter topic, and
// reading back what is out.
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include "base/error.h"
#include "model/event.h"
#include "model/kafka_options.h"

struct message {
	const char *topic;
	int32_t partition;   // -1: by key, murmur2_random
	struct span key, value;
	const struct header *headers;
	uint32_t n_headers;
	int64_t timestamp_ms; // 0: now
};

// ---- transactions. @thread one owner (the relay's)
enum txn_status {
	TXN_DONE,    // committed: every read_committed reader sees all of it, once
	TXN_UNKNOWN, // time-out or fatal error: it may be committed or not. Close, open afresh, read back; never retry
	TXN_FENCED,  // another producer opened the same transactional id later: close, and do not open again unless still in charge
};
struct txn_sink;
struct txn_sink_ops {
	// One short transaction: begin, all messages, commit. n >= 1.
	enum txn_status (*publish)(struct txn_sink *s, const struct message *m, uint32_t n, struct error *e);
	void (*close)(struct txn_sink *s);
};
struct txn_sink {
	const struct txn_sink_ops *ops;
};
// Opens a producer and fences every earlier one of the same id; a transaction it left open is aborted. ERROR_RETRY: brokers away.
enum error_class sink_kafka_txn_open(const struct kafka_options *o, const char *transactional_id, int timeout_ms,
				     struct txn_sink **ret, struct error *e);

// ---- dead letters: at least once, acknowledged before the offset advances. @thread one owner (a worker)
struct dlq_reason {
	const char *stage, *code, *message; // headers __meterd.errors.{stage,code,message}; message may hold a detail
	int64_t clock_ms;    // record clock by whose rules it was rejected, header __meterd.errors.clock; TIME_NONE: none, "-"
};
struct dlq;
struct dlq_ops {
	// Queues the record byte for byte with its own key and headers plus __meterd.errors.*; copies all of it. ERROR_RETRY: queue full.
	enum error_class (*send)(struct dlq *d, const char *topic, int32_t partition, const struct record *r,
				 const struct dlq_reason *why, struct error *e);
	// Number queued and not acknowledged yet; serves delivery reports, waits up to timeout_ms for it to become 0.
	uint64_t (*pending)(struct dlq *d, int timeout_ms);
	// Forget what was queued by now: the records will be read again (their copies may still arrive, which is allowed).
	void (*drop)(struct dlq *d);
	void (*close)(struct dlq *d);
};
struct dlq {
	const struct dlq_ops *ops;
};
// A message that cannot be delivered (too large for the topic) is sent again with an empty value and header
// __meterd.errors.truncated = its size, so that it never blocks the partition; where its key or headers alone are too large, without
// them and with header __meterd.errors.stripped. Temporary errors are retried for ever.
enum error_class sink_kafka_dlq_open(const struct kafka_options *o, struct dlq **ret, struct error *e);

// ---- reading a topic back, read_committed
struct topic_record {
	int32_t partition;
	struct record r;
};
// Return false to stop early.
typedef bool topic_reader_fn(void *ctx, const struct topic_record *r);
// Reads all partitions of `topic` from `from_ms` (TIME_NONE: from the beginning; by broker time stamps otherwise) up to the end
// offsets at the time of the call (last stable offsets), in offset order per partition. ERROR_ABORT 75: topic missing;
// ERROR_RETRY: brokers away.
enum error_class topic_read_back(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms,
				 topic_reader_fn *fn, void *ctx, struct error *e);
// For a reader that comes again: partition p from offset starts[p] (p >= n: from 0) up to what is stable at the time of the call; an
// open transaction of somebody else holds nothing up. Nothing is passed over in silence: ERROR_ABORT 78 where a partition no longer
// reaches back to its start, or ends before it. Otherwise as above.
// With `ends`: only partitions p < n, each below ends[p], which must be there.
enum error_class topic_read_from(const struct kafka_options *o, const char *topic, const int64_t *starts, const int64_t *ends, int32_t n,
				 int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e);
// As topic_read_back, then goes on with what comes, until fn returns false or *stop becomes true (checked at least every 100 ms; fn is
// called with NULL at each check).
enum error_class topic_follow(const struct kafka_options *o, const char *topic, int64_t from_ms, const volatile bool *stop,
			      topic_reader_fn *fn, void *ctx, struct error *e);
// Likewise for a person who watches: an absence of the brokers, at the start or later, is waited out, and told once when it begins and
// once (NULL) when it is over. fn(ctx, NULL) is called about every 50 ms, every second while they are away; false ends it.
typedef void topic_away_fn(void *ctx, const char *why);
enum error_class topic_follow_patiently(const struct kafka_options *o, const char *topic, int64_t from_ms, topic_reader_fn *fn,
					topic_away_fn *away, void *ctx, struct error *e);

// A place in a topic: what is to be read next, by partition. Callers own `next`.
struct topic_places {
	int32_t n;
	int64_t *next;
	bool lost;           // out: some of it was not there any more (retention, or the topic was made again): read from where it begins
};
// Reads on from *at, where that lies in the topic; partitions that it does not name from their beginning, but where it names none at
// all, the last `tail` offsets of each (INT64_MAX: all). Up to what is stable at the time of the call, or with `follow` on and on, as
// topic_follow does. *at is where reading begins before fn is called first, and behind what fn was given when this returns ERROR_NONE.
enum error_class topic_read_on(const struct kafka_options *o, const char *topic, struct topic_places *at, int64_t tail, bool follow,
			       int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e);

// ---- one message of a person, outside of transactions: acknowledged by all replicas when ERROR_NONE is returned. ERROR_RETRY: it may have
// been written or not.
enum error_class topic_send(const struct kafka_options *o, const struct message *m, int timeout_ms, int32_t *ret_partition,
			    int64_t *ret_offset, struct error *e);

// ---- facts about topics, off the hot path
struct topic_info {
	bool exists;
	int32_t partitions;
	int64_t retention_ms;          // -1: for ever; TIME_NONE: not known (embedded)
	bool log_append_time;          // message.timestamp.type
	int64_t timestamp_after_max_ms;// message.timestamp.after.max.ms; INT64_MAX when unlimited
	bool compacted;
};
enum error_class topic_describe(const struct kafka_options *o, const char *topic, int timeout_ms, struct topic_info *ret,
				struct error *e);
// Low and high watermark (last stable offset) of one partition.
enum error_class topic_offsets(const struct kafka_options *o, const char *topic, int32_t partition, int timeout_ms, int64_t *ret_low,
			       int64_t *ret_high, struct error *e);
// First offset whose timestamp >= time_ms; *ret = -1 when there is none.
enum error_class topic_offset_at(const struct kafka_options *o, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms,
				 int64_t *ret, struct error *e);

// ---- what the relay, the closer and the journal need of Kafka, as one port: the in-memory twin takes its place in tests
struct sink_port {
	enum error_class (*txn_open)(const struct kafka_options *o, const char *transactional_id, int timeout_ms, struct txn_sink **ret,
				     struct error *e);
	enum error_class (*read_back)(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms, topic_reader_fn *fn,
				      void *ctx, struct error *e);
	enum error_class (*read_from)(const struct kafka_options *o, const char *topic, const int64_t *starts, const int64_t *ends,
				      int32_t n, int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e);
	enum error_class (*describe)(const struct kafka_options *o, const char *topic, int timeout_ms, struct topic_info *ret, struct error *e);
	enum error_class (*offsets)(const struct kafka_options *o, const char *topic, int32_t partition, int timeout_ms, int64_t *ret_low,
				    int64_t *ret_high, struct error *e);
	enum error_class (*offset_at)(const struct kafka_options *o, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms,
				      int64_t *ret, struct error *e);
};
extern const struct sink_port sink_port_kafka;

// Stretches of partitions, of however many topics, in offset order per partition: `from` to below `to`, which must be there, as with topic_read_from.
// fn returns false to stop early.
struct topic_span {
	const char *topic;
	int32_t partition;
	int64_t from, to;
};
typedef bool topic_span_fn(void *ctx, uint32_t span, const struct topic_record *r);
enum error_class topic_read_spans(const struct sink_port *port, const struct kafka_options *o, const struct topic_span *list, uint32_t n, int timeout_ms,
				  topic_span_fn *fn, void *ctx, struct error *e);

#endif
