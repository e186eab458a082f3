// SPDX-License-Identifier: Apache-2.0
// Peers of `scripts/bench drain`: read a topic from its beginning to the ends it has at the start.
//
//	bench_consumer BOOTSTRAP TOPIC                        librdkafka's batch consume with the fastest settings known, and nothing else
//	bench_consumer BOOTSTRAP TOPIC --source               the same through the daemon's source adapter
//	bench_consumer BOOTSTRAP TOPIC --hincrby PORT KEY S   the first with a pipelined HINCRBY to Redis for each event, for S seconds
//	                                                      at the most: what counting costs without aggregation, and without a promise
//
// Prints {"messages":…,"bytes":…,"seconds":…,"cpu_seconds":…}; the time runs from the assignment to the end of the last partition,
// or to the last answer of Redis.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "base/check.h"
#include "base/clock.h"
#include "model/kafka_conf.h"
#include "sink/sink.h"
#include "source/source.h"

enum { BATCH = 1000, GIVE_UP_MS = 60000 };

struct drain {
	uint64_t messages, bytes;
	int64_t start_us, start_cpu_us, moved_us;
	int32_t n, open; // partitions, those not at their end
	int64_t *end;
	bool *done;
	redisContext *redis; // NULL: nothing is counted
	const char *key;
	int64_t most_us;
	uint32_t outstanding;
};

static int64_t cpu_us(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static int fail(const char *what)
{
	fprintf(stderr, "bench_consumer: %s\n", what);
	return EXIT_UNREACHABLE;
}

static void start(struct drain *d)
{
	d->start_us = d->moved_us = clock_mono_us();
	d->start_cpu_us = cpu_us();
}

static void at_end(struct drain *d, int32_t p, int64_t offset)
{
	if (!d->done[p] && offset >= d->end[p]) {
		d->done[p] = true;
		d->open--;
	}
}

static bool stuck(struct drain *d, bool moved)
{
	if (moved)
		d->moved_us = clock_mono_us();
	return clock_mono_us() - d->moved_us > GIVE_UP_MS * INT64_C(1000);
}

static void print(const struct drain *d)
{
	double s = (double)(clock_mono_us() - d->start_us) / 1e6, cpu = (double)(cpu_us() - d->start_cpu_us) / 1e6;
	printf("{\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.4f,\"cpu_seconds\":%.4f}\n", d->messages, d->bytes, s, cpu);
}

static bool find_ends(const struct kafka_options *o, const char *topic, struct drain *d)
{
	struct topic_info info;
	struct error e = { 0 };
	if (topic_describe(o, topic, 10000, &info, &e) != ERROR_NONE || !info.exists)
		return false;
	d->n = info.partitions;
	d->end = xcalloc((size_t)d->n, sizeof(*d->end));
	d->done = xcalloc((size_t)d->n, sizeof(*d->done));
	for (int32_t p = 0; p < d->n; p++) {
		int64_t low;
		if (topic_offsets(o, topic, p, 10000, &low, &d->end[p], &e) != ERROR_NONE)
			return false;
		d->done[p] = d->end[p] == low;
		d->open += !d->done[p];
	}
	return true;
}

// ---- librdkafka alone

static rd_kafka_t *bare_open(const struct kafka_options *o, const char *topic, const struct drain *d)
{
	const struct kafka_pair pairs[] = {
		{ "group.id", "bare" },
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "isolation.level", "read_committed" },
		{ "enable.partition.eof", "true" },
		{ "fetch.message.max.bytes", "524288" },
		{ "queued.max.messages.kbytes", "65536" },
		{ "queued.min.messages", "1000000" },
		{ "fetch.error.backoff.ms", "20" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	char why[256];
	if (kafka_conf_make(o, pairs, &conf, NULL) != ERROR_NONE)
		return NULL;
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (rk == NULL)
		return NULL;
	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(d->n);
	for (int32_t p = 0; p < d->n; p++)
		if (!d->done[p])
			rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

// ---- a counter an event

static struct span text_behind(const rd_kafka_message_t *m, const char *mark)
{
	const char *p = memmem(m->payload, m->len, mark, strlen(mark));
	if (p == NULL)
		return (struct span){ NULL, 0 };
	p += strlen(mark);
	const char *end = memchr(p, '"', (size_t)((const char *)m->payload + m->len - p));
	return (struct span){ p, end != NULL ? (size_t)(end - p) : 0 };
}

static void hincrby(struct drain *d, const rd_kafka_message_t *m)
{
	struct span account = text_behind(m, "\"account\":\""), service = text_behind(m, "\"service\":\"");
	const char *calls = memmem(m->payload, m->len, "\"calls\":", 8);
	char field[128];
	if (account.n == 0 || service.n == 0 || calls == NULL)
		return; // a tick
	int n = snprintf(field, sizeof(field), "%.*s/%.*s", (int)account.n, account.p, (int)service.n, service.p);
	const char *argv[] = { "HINCRBY", d->key, field, calls + 8 };
	const size_t lengths[] = { 7, strlen(d->key), (size_t)n, strspn(calls + 8, "0123456789") };
	check(redisAppendCommandArgv(d->redis, 4, argv, lengths) == REDIS_OK);
	d->outstanding++;
}

// Sends what was appended; then answers, until no more than `most` are out.
static bool hincrby_answers(struct drain *d, uint32_t most)
{
	int sent = 0;
	while (!sent)
		if (redisBufferWrite(d->redis, &sent) != REDIS_OK)
			return false;
	for (; d->outstanding > most; d->outstanding--) {
		redisReply *r = NULL;
		if (redisGetReply(d->redis, (void **)&r) != REDIS_OK || r->type != REDIS_REPLY_INTEGER)
			return false;
		freeReplyObject(r);
	}
	return true;
}

static bool time_is_over(const struct drain *d)
{
	return d->most_us > 0 && clock_mono_us() - d->start_us >= d->most_us;
}

static int bare(const struct kafka_options *o, const char *topic, struct drain *d)
{
	static rd_kafka_message_t *batch[BATCH];
	start(d);
	rd_kafka_t *rk = bare_open(o, topic, d);
	if (rk == NULL)
		return fail("no consumer");
	rd_kafka_queue_t *q = rd_kafka_queue_get_consumer(rk);
	while (d->open > 0 && !time_is_over(d)) {
		ssize_t n = rd_kafka_consume_batch_queue(q, 20, batch, BATCH);
		for (ssize_t i = 0; i < n; i++) {
			rd_kafka_message_t *m = batch[i];
			if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
				at_end(d, m->partition, m->offset);
			d->messages += m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
			d->bytes += m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? m->len : 0;
			if (d->redis != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
				hincrby(d, m);
			rd_kafka_message_destroy(m);
		}
		if (d->redis != NULL && !hincrby_answers(d, 2 * BATCH))
			return fail("Redis does not answer");
		if (stuck(d, n > 0))
			return fail("nothing came for a minute");
	}
	if (d->redis != NULL && !hincrby_answers(d, 0))
		return fail("Redis does not answer");
	print(d);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return EXIT_DONE;
}

// ---- the adapter

struct adapter {
	struct drain *d;
	struct source_part *parts;
};

static enum error_class on_assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e)
{
	struct adapter *a = ctx;
	(void)e;
	a->parts = parts;
	for (uint32_t i = 0; i < n; i++)
		parts[i].read_from = 0;
	start(a->d);
	return ERROR_NONE;
}

static void on_revoked(void *ctx, bool lost)
{
	struct adapter *a = ctx;
	(void)lost;
	a->parts = NULL;
}

static void on_end(void *ctx, uint32_t part, int64_t end)
{
	struct adapter *a = ctx;
	at_end(a->d, a->parts[part].partition, end);
}

static int through_source(const struct kafka_options *o, struct drain *d)
{
	struct adapter a = { .d = d };
	struct source_callbacks cb = { &a, on_assigned, on_revoked, on_end };
	struct source *s;
	struct error e = { 0 };
	if (source_kafka_open(o, "bench", &cb, &s, &e) != ERROR_NONE)
		return fail(e.text);
	d->moved_us = clock_mono_us();
	while (d->open > 0) {
		struct record *r;
		uint32_t n, part;
		enum error_class c = s->ops->poll(s, 20, &r, &n, &part, &e);
		if (c == ERROR_HALT || c == ERROR_ABORT)
			return fail(e.text);
		for (uint32_t i = 0; i < n; i++)
			d->bytes += r[i].value.n;
		d->messages += n;
		s->ops->release(s);
		if (stuck(d, n > 0))
			return fail("nothing came for a minute");
	}
	print(d);
	s->ops->close(s, 3000);
	return EXIT_DONE;
}

static bool connect_redis(struct drain *d, char **argv)
{
	int64_t port, seconds;
	if (!span_int64(span_of(argv[0]), &port) || !span_int64(span_of(argv[2]), &seconds))
		return false;
	d->redis = redisConnect("127.0.0.1", (int)port);
	d->key = argv[1];
	d->most_us = seconds * 1000000;
	return d->redis != NULL && d->redis->err == 0;
}

int main(int argc, char **argv)
{
	bool source = argc == 4 && strcmp(argv[3], "--source") == 0, redis = argc == 7 && strcmp(argv[3], "--hincrby") == 0;
	if (argc != 3 && !source && !redis) {
		fprintf(stderr, "usage: bench_consumer BOOTSTRAP TOPIC [--source | --hincrby PORT KEY SECONDS]\n");
		return EXIT_USAGE_ERR;
	}
	char group[64];
	snprintf(group, sizeof(group), "bench-%d", (int)getpid());
	const char *const inputs[] = { argv[2], NULL };
	const struct kafka_options o = { .bootstrap = argv[1], .group = group, .input_topics = inputs, .session_timeout_ms = 6000,
					 .fetch_max_bytes = 524288, .queued_max_kbytes = 65536 };
	struct drain d = { 0 };
	log_set_level(LVL_WARN);
	if (redis && !connect_redis(&d, argv + 4))
		return fail("Redis cannot be reached");
	if (!find_ends(&o, argv[2], &d))
		return fail("the topic's ends cannot be had");
	return source ? through_source(&o, &d) : bare(&o, argv[2], &d);
}
