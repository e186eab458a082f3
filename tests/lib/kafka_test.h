// SPDX-License-Identifier: Apache-2.0
// A broker for a test: the one at $KAFKA_BOOTSTRAP (Apache Kafka, tests/kafka), or librdkafka's mock cluster in this process.
#ifndef KAFKA_TEST_H
#define KAFKA_TEST_H

#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "model/kafka_options.h"
#include "model/event.h"

struct test_broker {
	struct kafka_options o;
	const char *inputs[3];
	rd_kafka_t *rk; // producer and admin client; host of the mock cluster
	rd_kafka_mock_cluster_t *mock;
	char name[64];
};

static inline rd_kafka_t *test_producer(const char *bootstrap)
{
	char why[256];
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	if (bootstrap != NULL)
		rd_kafka_conf_set(c, "bootstrap.servers", bootstrap, why, sizeof(why));
	else
		rd_kafka_conf_set(c, "test.mock.num.brokers", "1", why, sizeof(why));
	rd_kafka_conf_set(c, "partitioner", "murmur2_random", why, sizeof(why));
	rd_kafka_conf_set(c, "log_level", "3", why, sizeof(why));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof(why));
	cr_assert(rk != NULL, "%s", why);
	return rk;
}

// real: $KAFKA_BOOTSTRAP must be set. Names are new for each call.
static inline void test_broker_open(struct test_broker *b, bool real, const char *theme)
{
	*b = (struct test_broker){ 0 };
	const char *bootstrap = real ? getenv("KAFKA_BOOTSTRAP") : NULL;
	cr_assert(!real || bootstrap != NULL, "set KAFKA_BOOTSTRAP to an Apache Kafka");
	b->rk = test_producer(bootstrap);
	if (!real) {
		b->mock = rd_kafka_handle_mock_cluster(b->rk);
		cr_assert(b->mock != NULL);
		bootstrap = rd_kafka_mock_cluster_bootstraps(b->mock);
	}
	snprintf(b->name, sizeof(b->name), "%s-%d-%lld", theme, (int)getpid(), (long long)clock_mono_us());
	b->inputs[0] = b->name;
	b->o = (struct kafka_options){ .bootstrap = bootstrap, .group = b->name, .input_topics = b->inputs,
				       .alerts_topic = b->name, .settlements_topic = b->name, .control_topic = b->name,
				       .accounts_topic = b->name, .dlq_topic = b->name, .session_timeout_ms = 6000,
				       .fetch_max_bytes = 524288, .queued_max_kbytes = 65536, .embedded = !real };
}

static inline void test_broker_close(struct test_broker *b)
{
	rd_kafka_destroy(b->rk);
}

// settings: "name=value", NULL-terminated, or NULL.
static inline void test_topic(struct test_broker *b, const char *topic, int partitions, const char *const *settings)
{
	char why[256];
	if (b->mock != NULL) {
		cr_assert(rd_kafka_mock_topic_create(b->mock, topic, partitions, 1) == 0);
		return;
	}
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(topic, partitions, 1, why, sizeof(why));
	for (; settings != NULL && *settings != NULL; settings++) {
		char pair[128];
		snprintf(pair, sizeof(pair), "%s", *settings);
		char *eq = strchr(pair, '=');
		*eq = '\0';
		rd_kafka_NewTopic_set_config(t, pair, eq + 1);
	}
	rd_kafka_queue_t *q = rd_kafka_queue_new(b->rk);
	rd_kafka_CreateTopics(b->rk, &t, 1, NULL, q);
	rd_kafka_event_t *ev = rd_kafka_queue_poll(q, 10000);
	cr_assert(ev != NULL && rd_kafka_event_error(ev) == 0);
	size_t n;
	const rd_kafka_topic_result_t **res = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &n);
	cr_assert(n == 1 && rd_kafka_topic_result_error(res[0]) == 0, "create %s: %s", topic,
		  rd_kafka_topic_result_error_string(res[0]));
	rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(q);
	rd_kafka_NewTopic_destroy(t);
	// A topic that is made has no leaders yet: whoever asks for offsets at once is told to come again.
	int64_t low, high, until_us = clock_mono_us() + 20000000;
	for (int p = 0; p < partitions; p++)
		while (rd_kafka_query_watermark_offsets(b->rk, topic, p, &low, &high, 2000) != 0)
			cr_assert(clock_mono_us() < until_us, "%s/%d has no leader", topic, p);
}

// n records "<first>", "<first + 1>", … in one partition, time stamps 1,000 ms apart from first * 1000.
static inline void test_fill(struct test_broker *b, const char *topic, int partition, int first, int n)
{
	for (int i = first; i < first + n; i++) {
		char value[16];
		int len = snprintf(value, sizeof(value), "%d", i);
		rd_kafka_resp_err_t err;
		while ((err = rd_kafka_producev(b->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
						RD_KAFKA_V_VALUE(value, (size_t)len), RD_KAFKA_V_TIMESTAMP((i + 1) * 1000LL),
						RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
		       RD_KAFKA_RESP_ERR__QUEUE_FULL)
			rd_kafka_poll(b->rk, 10);
		cr_assert(err == 0, "%s", rd_kafka_err2str(err));
	}
	cr_assert(rd_kafka_flush(b->rk, 20000) == 0);
}

static inline void test_record(struct test_broker *b, const char *topic, const char *value) // into partition 0, of December 2019
{
	cr_assert(rd_kafka_producev(b->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
				    RD_KAFKA_V_TIMESTAMP(1577800000000LL), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) == 0);
	cr_assert(rd_kafka_flush(b->rk, 20000) == 0);
}

#endif
