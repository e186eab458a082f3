// SPDX-License-Identifier: Apache-2.0
// The dead-letter producer: idempotent, retries for ever.
//
// It owns a copy of every record until Kafka acknowledged it. An item goes round:
//
//	send ─► waiting ─► in flight ─► acknowledged: freed
//	           ▲            │ failed: waits again (too large in a batch: alone; then without its value; then without key and headers)
//	           └────────────┘
//
// A producer that went fatal is made afresh, and everything unacknowledged is sent again (at least once). Dropped items are only
// forgotten in the count; they are freed by their report and not sent again.
#include "sink/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "model/kafka_conf.h"
#include "period/period.h"
#include "sink/kafka_send.h"

enum {
	DLQ_MAX_BYTES = 64 * 1024 * 1024, // of copies; one record alone may be larger
	DLQ_MAX_ITEMS = 50000,
	DLQ_RETRY_MS = 250,
	OWN_HEADERS = 10, // truncated and stripped among them
};

enum item_way { WAY_BATCH, WAY_ALONE, WAY_TRUNCATED, WAY_STRIPPED };

struct item {
	struct item *next; // waiting list
	enum item_way way;
	uint64_t age; // all items of an age <= dropped_age are dropped
	size_t size;
	struct message m;
	char numbers[5][24]; // texts of partition, offset, timestamp, truncated size, clock
	struct header headers[];
};

struct kafka_dlq {
	struct dlq base;
	struct kafka_options o;
	rd_kafka_t *rk;
	struct item *waiting, **waiting_end;
	uint64_t in_flight, pending, age, dropped_age;
	size_t bytes;
	bool alone; // the one in flight must stay alone
	int64_t retry_at_us;
	bool grumbled;
};

static void wait_again(struct kafka_dlq *d, struct item *it)
{
	it->next = NULL;
	*d->waiting_end = it;
	d->waiting_end = &it->next;
}

static bool item_dropped(const struct kafka_dlq *d, const struct item *it)
{
	return it->age <= d->dropped_age;
}

static void item_done(struct kafka_dlq *d, struct item *it)
{
	d->bytes -= it->size;
	if (!item_dropped(d, it))
		d->pending--;
	free(it);
}

static void truncate_item(struct item *it)
{
	snprintf(it->numbers[3], sizeof(it->numbers[3]), "%zu", it->m.value.n);
	it->headers[it->m.n_headers++] = (struct header){ SPAN_LIT("__meterd.errors.truncated"), span_of(it->numbers[3]) };
	it->m.value.n = 0; // empty, not null: that it was there can be seen
	it->way = WAY_TRUNCATED;
}

// What is left is of our own making, and small. Where the record stands in the input topic is in it.
static void strip_item(struct item *it)
{
	const uint32_t own = OWN_HEADERS - 1; // all but the one added here
	check(it->way == WAY_TRUNCATED && it->m.n_headers >= own);
	memmove(it->headers, it->headers + (it->m.n_headers - own), own * sizeof(it->headers[0]));
	it->headers[own] = (struct header){ SPAN_LIT("__meterd.errors.stripped"), SPAN_LIT("key and headers") };
	it->m.n_headers = own + 1;
	it->m.key = (struct span){ NULL, 0 };
	it->way = WAY_STRIPPED;
}

static void grumble(struct kafka_dlq *d, rd_kafka_resp_err_t err)
{
	char text[256];
	if (!d->grumbled)
		log_line(LVL_WARN, "dlq_away", "topic=%s retry_ms=%d why=%s", d->o.dlq_topic, DLQ_RETRY_MS,
			 log_quote(rd_kafka_err2str(err), text, sizeof(text)));
	d->grumbled = true;
}

static void item_failed(struct kafka_dlq *d, struct item *it, rd_kafka_resp_err_t err)
{
	if (item_dropped(d, it)) {
		item_done(d, it);
		return;
	}
	if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && it->way == WAY_BATCH) {
		it->way = WAY_ALONE;
	} else if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && it->way == WAY_ALONE) {
		truncate_item(it);
	} else if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && it->way == WAY_TRUNCATED) {
		strip_item(it);
	} else {
		if (err != RD_KAFKA_RESP_ERR__PURGE_QUEUE && err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
			grumble(d, err);
		d->retry_at_us = clock_mono_us() + DLQ_RETRY_MS * 1000;
	}
	wait_again(d, it);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_dlq *d = opaque;
	struct item *it = m->_private;
	(void)rk;
	d->in_flight--;
	d->alone = false;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		item_failed(d, it, m->err);
		return;
	}
	if (d->grumbled)
		log_line(LVL_INFO, "dlq_back", "topic=%s", d->o.dlq_topic);
	d->grumbled = false;
	item_done(d, it);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_dlq *d = opaque;
	(void)rk;
	(void)reason;
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		grumble(d, (rd_kafka_resp_err_t)err);
}

static enum error_class make_producer(struct kafka_dlq *d, struct error *e)
{
	const struct kafka_pair pairs[] = {
		{ "enable.idempotence", "true" },
		{ "message.timeout.ms", "0" },
		{ "linger.ms", "5" },
		{ "partitioner", "murmur2_random" },
		{ "message.max.bytes", "1000000000" }, // the topic decides what is too large, not this client
		{ "queue.buffering.max.kbytes", "2097151" },
		{ "compression.type", "lz4" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	enum error_class c = kafka_conf_make(&d->o, pairs, &conf, e);
	if (c != ERROR_NONE)
		return c;
	char why[512];
	rd_kafka_conf_set_opaque(conf, d);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	d->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (d->rk != NULL)
		return ERROR_NONE;
	rd_kafka_conf_destroy(conf);
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the dead-letter producer cannot be made: %s", why);
}

// Purging reports every unacknowledged item as failed, which puts it back among the waiting.
static void renew_producer(struct kafka_dlq *d)
{
	char why[512] = "", text[600];
	rd_kafka_fatal_error(d->rk, why, sizeof(why));
	log_line(LVL_WARN, "dlq_producer_renewed", "why=%s", log_quote(why, text, sizeof(text)));
	rd_kafka_purge(d->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	while (d->in_flight > 0)
		rd_kafka_poll(d->rk, 100);
	rd_kafka_destroy(d->rk);
	struct error e = { 0 };
	check(make_producer(d, &e) == ERROR_NONE); // the same settings as at start
}

// False: it waits on.
static bool start_item(struct kafka_dlq *d, struct item *it)
{
	if (it->way != WAY_BATCH && d->in_flight > 0)
		return false;
	rd_kafka_resp_err_t err = kafka_send(d->rk, &it->m, 0, it);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		d->in_flight++;
		d->alone = it->way != WAY_BATCH;
		return true;
	}
	if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && it->way < WAY_TRUNCATED)
		truncate_item(it);
	else if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
		grumble(d, err);
	d->retry_at_us = clock_mono_us() + DLQ_RETRY_MS * 1000;
	return false;
}

static void start_waiting(struct kafka_dlq *d)
{
	if (d->waiting != NULL && rd_kafka_fatal_error(d->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
		renew_producer(d);
	while (d->waiting != NULL && !d->alone && clock_mono_us() >= d->retry_at_us) {
		struct item *it = d->waiting;
		if (!item_dropped(d, it) && !start_item(d, it))
			return;
		d->waiting = it->next;
		if (d->waiting == NULL)
			d->waiting_end = &d->waiting;
		if (item_dropped(d, it))
			item_done(d, it);
	}
}

static char *put(char **at, struct span s)
{
	char *p = *at;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*at += s.n;
	return p;
}

static struct span put_span(char **at, struct span s)
{
	return s.p == NULL ? s : (struct span){ put(at, s), s.n };
}

static void add_own_headers(struct item *it, char **at, const char *topic, const struct dlq_reason *why)
{
	struct header own[] = {
		{ SPAN_LIT("__meterd.errors.topic"), span_of(topic) },
		{ SPAN_LIT("__meterd.errors.partition"), span_of(it->numbers[0]) },
		{ SPAN_LIT("__meterd.errors.offset"), span_of(it->numbers[1]) },
		{ SPAN_LIT("__meterd.errors.timestamp"), span_of(it->numbers[2]) },
		{ SPAN_LIT("__meterd.errors.clock"), span_of(it->numbers[4]) },
		{ SPAN_LIT("__meterd.errors.stage"), span_of(why->stage) },
		{ SPAN_LIT("__meterd.errors.code"), span_of(why->code) },
		{ SPAN_LIT("__meterd.errors.message"), span_of(why->message) },
	};
	_Static_assert(ARRAY_LEN(own) + 2 == OWN_HEADERS, "room for __meterd.errors.truncated and .stripped");
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		struct span v = own[i].value;
		it->headers[it->m.n_headers++] = (struct header){ own[i].name, { put(at, v), v.n } };
	}
}

static size_t text_size(const char *topic, const struct record *r, const struct dlq_reason *why)
{
	size_t n = r->key.n + r->value.n + strlen(topic) + strlen(why->stage) + strlen(why->code) + strlen(why->message) + 4 * 24;
	for (uint32_t i = 0; i < r->n_headers; i++)
		n += r->headers[i].name.n + r->headers[i].value.n;
	return n;
}

static struct item *item_make(struct kafka_dlq *d, const char *topic, int32_t partition, const struct record *r,
			      const struct dlq_reason *why)
{
	size_t heads = sizeof(struct item) + (r->n_headers + (size_t)OWN_HEADERS) * sizeof(struct header);
	size_t size = heads + text_size(topic, r, why);
	struct item *it = xcalloc(1, size);
	char *at = (char *)it + heads;
	it->size = size;
	it->m = (struct message){ .topic = d->o.dlq_topic, .partition = -1, .headers = it->headers };
	it->m.key = put_span(&at, r->key);
	it->m.value = put_span(&at, r->value);
	for (uint32_t i = 0; i < r->n_headers; i++)
		it->headers[it->m.n_headers++] =
			(struct header){ put_span(&at, r->headers[i].name), put_span(&at, r->headers[i].value) };
	snprintf(it->numbers[0], sizeof(it->numbers[0]), "%" PRId32, partition);
	snprintf(it->numbers[1], sizeof(it->numbers[1]), "%" PRId64, r->offset);
	snprintf(it->numbers[2], sizeof(it->numbers[2]), "%" PRId64, r->timestamp_ms);
	if (why->clock_ms == TIME_NONE)
		snprintf(it->numbers[4], sizeof(it->numbers[4]), "-");
	else
		snprintf(it->numbers[4], sizeof(it->numbers[4]), "%" PRId64, why->clock_ms);
	add_own_headers(it, &at, topic, why);
	return it;
}

static enum error_class dlq_send(struct dlq *base, const char *topic, int32_t partition, const struct record *r,
				 const struct dlq_reason *why, struct error *e)
{
	struct kafka_dlq *d = (struct kafka_dlq *)base;
	rd_kafka_poll(d->rk, 0);
	start_waiting(d);
	if (d->bytes > 0 && (d->pending >= DLQ_MAX_ITEMS || d->bytes + r->value.n > DLQ_MAX_BYTES))
		return error_set(e, ERROR_RETRY, 0, "the dead-letter queue is full: %" PRIu64 " records wait for %s", d->pending,
				 d->o.dlq_topic);
	struct item *it = item_make(d, topic, partition, r, why);
	it->age = d->age;
	d->bytes += it->size;
	d->pending++;
	wait_again(d, it);
	start_waiting(d);
	return ERROR_NONE;
}

static uint64_t dlq_pending(struct dlq *base, int timeout_ms)
{
	struct kafka_dlq *d = (struct kafka_dlq *)base;
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;
	rd_kafka_poll(d->rk, 0);
	start_waiting(d);
	while (d->pending > 0 && clock_mono_us() < until) {
		rd_kafka_poll(d->rk, timeout_ms < 20 ? timeout_ms : 20);
		start_waiting(d);
	}
	return d->pending;
}

static void dlq_drop(struct dlq *base)
{
	struct kafka_dlq *d = (struct kafka_dlq *)base;
	d->dropped_age = d->age++;
	d->pending = 0;
	start_waiting(d);
}

static void dlq_close(struct dlq *base)
{
	struct kafka_dlq *d = (struct kafka_dlq *)base;
	dlq_drop(base);
	rd_kafka_purge(d->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	for (int i = 0; i < 50 && d->in_flight > 0; i++)
		rd_kafka_poll(d->rk, 20);
	rd_kafka_destroy(d->rk); // reports of the rest are not served: their memory goes with the process
	while (d->waiting != NULL) {
		struct item *it = d->waiting;
		d->waiting = it->next;
		free(it);
	}
	free(d);
}

static const struct dlq_ops dlq_kafka_ops = { .send = dlq_send, .pending = dlq_pending, .drop = dlq_drop, .close = dlq_close };

enum error_class sink_kafka_dlq_open(const struct kafka_options *o, struct dlq **ret, struct error *e)
{
	struct kafka_dlq *d = xcalloc(1, sizeof(*d));
	d->base.ops = &dlq_kafka_ops;
	d->o = *o;
	d->waiting_end = &d->waiting;
	d->age = 1;
	enum error_class c = make_producer(d, e);
	if (c != ERROR_NONE) {
		free(d);
		return c;
	}
	*ret = &d->base;
	return ERROR_NONE;
}
