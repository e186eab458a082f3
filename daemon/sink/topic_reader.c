// SPDX-License-Identifier: Apache-2.0
// Reads a topic from outside any group: what is committed, all partitions, up to an end fixed beforehand, or on and on.
//
// Invariant of reading back: every record that was committed before the call is given to fn. A commit has succeeded before its
// markers are in the partitions, and until then the last stable offset lies before it: so the end of a partition is its high
// watermark, learned with the first fetch, and the reader waits until the last stable offset has reached it.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "model/kafka_conf.h"
#include "period/period.h"
#include "sink/topic_client.h"

enum {
	READ_BATCH = 500, READ_TICK_MS = 50,
	QUIET_US = 2000000,  // then a patient follower asks whether Kafka is there
	ASK_MS = 1000, OPEN_MS = 5000,
};

struct reader {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	const char *topic;
	int32_t n, open;      // partitions, and those not done yet
	int64_t *start, *end; // next to read; end: INT64_MAX when following
	bool *done, *fixed;   // fixed: end is the high watermark, not only the last stable offset
	topic_reader_fn *fn;
	void *ctx;
	bool stopped;         // by fn
	int64_t moved_us;     // last progress
	rd_kafka_resp_err_t passing; // the last error that was waited out
	struct arena headers;
	rd_kafka_message_t *batch[READ_BATCH];
};

static void reader_close(struct reader *r)
{
	if (r->queue != NULL)
		rd_kafka_queue_destroy(r->queue);
	topic_client_freep(&r->rk);
	free(r->start);
	free(r->end);
	free(r->done);
	free(r->fixed);
	arena_free(&r->headers);
}

static enum error_class find_range(struct reader *r, const struct kafka_options *o, int32_t p, int64_t from_ms, int timeout_ms,
				   struct error *e)
{
	int64_t low = 0, high = 0, at = 0;
	enum error_class c = topic_client_offsets(r->rk, r->topic, p, timeout_ms, &low, &high, e);
	if (c != ERROR_NONE)
		return c;
	r->start[p] = low;
	r->end[p] = high;
	if (from_ms == TIME_NONE || o->embedded)
		return ERROR_NONE;
	c = topic_client_offset_at(r->rk, r->topic, p, from_ms > 0 ? from_ms : 0, timeout_ms, &at, e);
	if (c == ERROR_NONE)
		r->start[p] = at >= 0 ? at : high; // none yet: from what was the end when we asked
	return c;
}

// The end is the one asked for, or what is stable now: no waiting for the high watermark.
static enum error_class find_rest(struct reader *r, const int64_t *starts, const int64_t *ends, int32_t n, int32_t p, int timeout_ms,
				  struct error *e)
{
	int64_t low = 0, high = 0, start = p < n ? starts[p] : 0;
	if (ends != NULL && (p >= n || ends[p] <= start)) { // nothing of it is wanted
		r->fixed[p] = true;
		return ERROR_NONE;
	}
	enum error_class c = topic_client_offsets(r->rk, r->topic, p, timeout_ms, &low, &high, e);
	if (c != ERROR_NONE)
		return c;
	char to[40] = " on";
	if (ends != NULL)
		snprintf(to, sizeof(to), " to %" PRId64, ends[p]);
	if (low > start || high < start || (ends != NULL && high < ends[p]))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "%s/%" PRId32 " holds offsets %" PRId64 " to %" PRId64 ", and what comes from %" PRId64 "%s was to be read: records are "
				 "gone, or the topic was made again. Restore it, and keep it for ever (retention.ms=-1, cleanup.policy=delete)",
				 r->topic, p, low, high, start, to);
	r->start[p] = start;
	r->end[p] = ends != NULL ? ends[p] : high;
	r->fixed[p] = true;
	return ERROR_NONE;
}

static enum error_class start_reading(struct reader *r, bool follow, struct error *e)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(r->n);
	for (int32_t p = 0; p < r->n; p++) {
		if (follow)
			r->end[p] = INT64_MAX;
		r->done[p] = r->fixed[p] && r->start[p] >= r->end[p];
		if (r->done[p])
			continue;
		rd_kafka_topic_partition_list_add(list, r->topic, p)->offset = r->start[p];
		r->open++;
	}
	rd_kafka_resp_err_t err = rd_kafka_assign(r->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return topic_client_error(r->rk, r->topic, "reading", err, e);
	r->moved_us = clock_mono_us();
	return ERROR_NONE;
}

static enum error_class reader_open(struct reader *r, const struct kafka_options *o, int timeout_ms, struct error *e)
{
	enum error_class c = topic_client_open(o, &r->rk, e);
	if (c != ERROR_NONE)
		return c;
	rd_kafka_poll_set_consumer(r->rk);
	r->queue = rd_kafka_queue_get_consumer(r->rk);
	c = topic_client_partitions(r->rk, r->topic, timeout_ms, &r->n, e);
	if (c != ERROR_NONE)
		return c;
	if (r->n == 0)
		return topic_client_error(r->rk, r->topic, "reading", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, e);
	r->start = xcalloc((size_t)r->n, sizeof(*r->start));
	r->end = xcalloc((size_t)r->n, sizeof(*r->end));
	r->done = xcalloc((size_t)r->n, sizeof(*r->done));
	r->fixed = xcalloc((size_t)r->n, sizeof(*r->fixed));
	return ERROR_NONE;
}

static enum error_class open_by_time(struct reader *r, const struct kafka_options *o, int64_t from_ms, bool follow, int timeout_ms,
				     struct error *e)
{
	enum error_class c = reader_open(r, o, timeout_ms, e);
	for (int32_t p = 0; p < r->n && c == ERROR_NONE; p++)
		c = find_range(r, o, p, from_ms, timeout_ms, e);
	return c != ERROR_NONE ? c : start_reading(r, follow, e);
}

static void partition_done(struct reader *r, int32_t p)
{
	if (!r->done[p])
		r->open--;
	r->done[p] = true;
}

static void take_headers(struct reader *r, const rd_kafka_message_t *m, struct record *rec)
{
	rd_kafka_headers_t *list;
	if (rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	size_t n = rd_kafka_header_cnt(list);
	struct header *h = arena_alloc(&r->headers, (n + 1) * sizeof(*h));
	for (size_t i = 0; i < n; i++) {
		const char *name;
		const void *value;
		size_t size;
		check(rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR);
		h[i] = (struct header){ span_of(name), { value, value != NULL ? size : 0 } };
	}
	rec->headers = h;
	rec->n_headers = (uint32_t)n;
}

static void give(struct reader *r, rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	int64_t ts = rd_kafka_message_timestamp(m, &type);
	struct topic_record t = {
		.partition = m->partition,
		.r = { .offset = m->offset,
		       .timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : ts,
		       .key = { m->key, m->key_len },
		       .value = { m->payload, m->len },
		       .part = (uint32_t)m->partition,
		       .opaque = m },
	};
	take_headers(r, m, &t.r);
	if (!r->fn(r->ctx, &t))
		r->stopped = true;
	arena_reset(&r->headers);
}

// The high watermark came with the fetch that brought this message or this end.
static void fix_end(struct reader *r, int32_t p)
{
	int64_t low = 0, high = 0;
	if (r->fixed[p] || r->end[p] == INT64_MAX)
		return;
	r->fixed[p] = true;
	if (rd_kafka_get_watermark_offsets(r->rk, r->topic, p, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR && high > r->end[p])
		r->end[p] = high;
	r->moved_us = clock_mono_us();
}

static enum error_class take(struct reader *r, rd_kafka_message_t *m, struct error *e)
{
	int32_t p = m->partition;
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		fix_end(r, p);
		if (m->offset > r->start[p])
			r->start[p] = m->offset; // behind the markers of transactions
		if (m->offset >= r->end[p])
			partition_done(r, p);
		return ERROR_NONE;
	}
	if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || m->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		return topic_client_error(r->rk, r->topic, "reading", m->err, e);
	if (m->err == RD_KAFKA_RESP_ERR__BAD_MSG || m->err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s/%" PRId32 " holds a damaged batch at offset %" PRId64, r->topic, p,
				 m->offset);
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		r->passing = m->err; // passes, or the time-out ends it
		return ERROR_NONE;
	}
	r->moved_us = clock_mono_us();
	r->start[p] = m->offset + 1;
	fix_end(r, p);
	if (m->offset < r->end[p])
		give(r, m);
	if (m->offset + 1 >= r->end[p])
		partition_done(r, p);
	return ERROR_NONE;
}

// One round: waits up to READ_TICK_MS for a first message, then takes what is there.
static enum error_class read_some(struct reader *r, struct error *e)
{
	ssize_t n = rd_kafka_consume_batch_queue(r->queue, 0, r->batch, READ_BATCH);
	if (n <= 0)
		n = rd_kafka_consume_batch_queue(r->queue, READ_TICK_MS, r->batch, 1);
	enum error_class c = ERROR_NONE;
	for (ssize_t i = 0; i < n; i++) {
		if (c == ERROR_NONE && !r->stopped)
			c = take(r, r->batch[i], e);
		rd_kafka_message_destroy(r->batch[i]);
	}
	return c;
}

static enum error_class gave_up(const struct reader *r, int timeout_ms, struct error *e)
{
	int32_t p = 0;
	while (p + 1 < r->n && r->done[p])
		p++;
	return error_set(e, ERROR_RETRY, 0, "reading %s back: nothing came for %d ms; partition %" PRId32 " stands at %" PRId64 " of %" PRId64
			 "%s%s", r->topic, timeout_ms, p, r->start[p], r->end[p],
			 r->passing != RD_KAFKA_RESP_ERR_NO_ERROR ? ": " : "",
			 r->passing != RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_err2str(r->passing) : "");
}

static enum error_class read_to_end(struct reader *r, int timeout_ms, struct error *e)
{
	enum error_class c = ERROR_NONE;
	while (c == ERROR_NONE && r->open > 0 && !r->stopped) {
		c = read_some(r, e);
		if (c == ERROR_NONE && clock_mono_us() - r->moved_us > (int64_t)timeout_ms * 1000)
			c = gave_up(r, timeout_ms, e);
	}
	return c;
}

enum error_class topic_read_back(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms,
				 topic_reader_fn *fn, void *ctx, struct error *e)
{
	CLEANUP(reader_close) struct reader r = { .topic = topic, .fn = fn, .ctx = ctx };
	enum error_class c = open_by_time(&r, o, from_ms, false, timeout_ms, e);
	return c != ERROR_NONE ? c : read_to_end(&r, timeout_ms, e);
}

enum error_class topic_read_from(const struct kafka_options *o, const char *topic, const int64_t *starts, const int64_t *ends, int32_t n,
				 int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e)
{
	CLEANUP(reader_close) struct reader r = { .topic = topic, .fn = fn, .ctx = ctx };
	enum error_class c = reader_open(&r, o, timeout_ms, e);
	if (c == ERROR_NONE && r.n < n)
		c = topic_client_error(r.rk, topic, "reading", RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, e);
	for (int32_t p = 0; p < r.n && c == ERROR_NONE; p++)
		c = find_rest(&r, starts, ends, n, p, timeout_ms, e);
	if (c == ERROR_NONE)
		c = start_reading(&r, false, e);
	return c != ERROR_NONE ? c : read_to_end(&r, timeout_ms, e);
}

static enum error_class follow_on(struct reader *r, const volatile bool *stop, struct error *e)
{
	enum error_class c = ERROR_NONE;
	int64_t tick_us = clock_mono_us();
	while (c == ERROR_NONE && !r->stopped && (stop == NULL || !*stop)) {
		c = read_some(r, e);
		if (c == ERROR_NONE && !r->stopped && clock_mono_us() - tick_us >= READ_TICK_MS * 1000) {
			r->stopped = !r->fn(r->ctx, NULL);
			tick_us = clock_mono_us();
		}
	}
	return c;
}

// ---- a follower that a person watches

struct patient {
	topic_reader_fn *fn;
	topic_away_fn *away;
	void *ctx;
	bool told;         // of an absence
	int64_t asked_us;
};

static void tell(struct patient *p, const char *why)
{
	if (p->told != (why != NULL))
		p->away(p->ctx, why);
	p->told = why != NULL;
}

// A quiet topic and an absent broker look alike: asking tells. Not for offsets: of a leader that has just died librdkafka 2.0 waits for the
// answer for ever, whatever the time-out (mended in its 2.3).
static void ask_when_quiet(struct patient *p, const struct reader *r)
{
	int64_t now = clock_mono_us();
	int32_t partitions;
	struct error why = { 0 };
	if (now - r->moved_us < QUIET_US) {
		tell(p, NULL);
		return;
	}
	if (now - p->asked_us < QUIET_US)
		return;
	bool there = topic_client_partitions(r->rk, r->topic, ASK_MS, &partitions, &why) == ERROR_NONE;
	tell(p, there ? NULL : why.text);
	p->asked_us = clock_mono_us();
}

static enum error_class follow_patiently(struct patient *p, struct reader *r, struct error *e)
{
	enum error_class c = ERROR_NONE;
	int64_t tick_us = clock_mono_us();
	while (c == ERROR_NONE && !r->stopped) {
		c = read_some(r, e);
		if (c != ERROR_NONE || r->stopped || clock_mono_us() - tick_us < READ_TICK_MS * 1000)
			continue;
		ask_when_quiet(p, r);
		r->stopped = !p->fn(p->ctx, NULL);
		tick_us = clock_mono_us();
	}
	return c;
}

enum error_class topic_follow_patiently(const struct kafka_options *o, const char *topic, int64_t from_ms, topic_reader_fn *fn,
					topic_away_fn *away, void *ctx, struct error *e)
{
	struct patient p = { .fn = fn, .away = away, .ctx = ctx };
	for (;;) {
		CLEANUP(reader_close) struct reader r = { .topic = topic, .fn = fn, .ctx = ctx };
		struct error why = { 0 };
		enum error_class c = open_by_time(&r, o, from_ms, true, OPEN_MS, &why);
		if (c == ERROR_NONE)
			return follow_patiently(&p, &r, e);
		if (c != ERROR_RETRY)
			return error_set(e, c, why.exit_code, "%s", why.text);
		tell(&p, why.text);
		for (int64_t until = clock_mono_us() + QUIET_US / 4; clock_mono_us() < until; clock_sleep_ms(READ_TICK_MS))
			if (!fn(ctx, NULL))
				return ERROR_NONE;
	}
}

enum error_class topic_follow(const struct kafka_options *o, const char *topic, int64_t from_ms, const volatile bool *stop,
			      topic_reader_fn *fn, void *ctx, struct error *e)
{
	CLEANUP(reader_close) struct reader r = { .topic = topic, .fn = fn, .ctx = ctx };
	enum error_class c = open_by_time(&r, o, from_ms, true, 10000, e);
	return c != ERROR_NONE ? c : follow_on(&r, stop, e);
}

static enum error_class find_place(struct reader *r, const struct topic_places *at, int32_t p, int64_t tail, int timeout_ms, bool *ret_lost, struct error *e)
{
	int64_t low = 0, high = 0, next = p < at->n ? at->next[p] : -1;
	enum error_class c = topic_client_offsets(r->rk, r->topic, p, timeout_ms, &low, &high, e);
	if (c != ERROR_NONE)
		return c;
	if (at->n == 0)
		next = high - low > tail ? high - tail : low;
	*ret_lost = *ret_lost || (p < at->n && (next < low || next > high)) || (p >= at->n && at->n > 0 && low > 0);
	r->start[p] = next < low || next > high ? low : next;
	r->end[p] = high;
	r->fixed[p] = true; // as stable now: an open transaction of somebody else holds nothing up
	return ERROR_NONE;
}

static void keep_places(const struct reader *r, struct topic_places *at)
{
	if (at->n != r->n)
		at->next = xrealloc(at->next, (size_t)r->n, sizeof(*at->next));
	at->n = r->n;
	memcpy(at->next, r->start, (size_t)r->n * sizeof(*at->next));
}

enum error_class topic_read_on(const struct kafka_options *o, const char *topic, struct topic_places *at, int64_t tail, bool follow,
			       int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e)
{
	CLEANUP(reader_close) struct reader r = { .topic = topic, .fn = fn, .ctx = ctx };
	bool lost = false;
	enum error_class c = reader_open(&r, o, timeout_ms, e);
	for (int32_t p = 0; p < r.n && c == ERROR_NONE; p++)
		c = find_place(&r, at, p, tail, timeout_ms, &lost, e);
	if (c != ERROR_NONE)
		return c;
	at->lost = lost;
	keep_places(&r, at);
	c = start_reading(&r, follow, e);
	if (c == ERROR_NONE)
		c = follow ? follow_on(&r, NULL, e) : read_to_end(&r, timeout_ms, e);
	if (c == ERROR_NONE)
		keep_places(&r, at);
	return c;
}
