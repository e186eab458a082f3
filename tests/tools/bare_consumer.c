// SPDX-License-Identifier: Apache-2.0
// The peer of `scripts/bench drain`: reads a topic from its beginning to the ends it has at the start, and does nothing with it.
//
//	bare_consumer BOOTSTRAP TOPIC            librdkafka's batch consume with the fastest settings known
//	bare_consumer BOOTSTRAP TOPIC --source   the same through the daemon's source adapter
//
// Prints {"messages":…,"bytes":…,"seconds":…,"cpu_seconds":…}; the time runs from the assignment to the end of the last partition.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
};

static int64_t cpu_us(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static int fail(const char *what)
{
	fprintf(stderr, "bare_consumer: %s\n", what);
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

static int bare(const struct kafka_options *o, const char *topic, struct drain *d)
{
	static rd_kafka_message_t *batch[BATCH];
	start(d);
	rd_kafka_t *rk = bare_open(o, topic, d);
	if (rk == NULL)
		return fail("no consumer");
	rd_kafka_queue_t *q = rd_kafka_queue_get_consumer(rk);
	while (d->open > 0) {
		ssize_t n = rd_kafka_consume_batch_queue(q, 20, batch, BATCH);
		for (ssize_t i = 0; i < n; i++) {
			rd_kafka_message_t *m = batch[i];
			if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
				at_end(d, m->partition, m->offset);
			d->messages += m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
			d->bytes += m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? m->len : 0;
			rd_kafka_message_destroy(m);
		}
		if (stuck(d, n > 0))
			return fail("nothing came for a minute");
	}
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

int main(int argc, char **argv)
{
	bool source = argc == 4 && strcmp(argv[3], "--source") == 0;
	if (argc != 3 && !source) {
		fprintf(stderr, "usage: bare_consumer BOOTSTRAP TOPIC [--source]\n");
		return EXIT_USAGE_ERR;
	}
	char group[64];
	snprintf(group, sizeof(group), "bench-%d", (int)getpid());
	const char *const inputs[] = { argv[2], NULL };
	const struct kafka_options o = { .bootstrap = argv[1], .group = group, .input_topics = inputs, .session_timeout_ms = 6000,
					 .fetch_max_bytes = 524288, .queued_max_kbytes = 65536 };
	struct drain d = { 0 };
	log_set_level(LVL_WARN);
	if (!find_ends(&o, argv[2], &d))
		return fail("the topic's ends cannot be had");
	return source ? through_source(&o, &d) : bare(&o, argv[2], &d);
}
