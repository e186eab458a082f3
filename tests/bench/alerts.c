// SPDX-License-Identifier: Apache-2.0
// The load of `scripts/bench alert-latency`: one after the other, and in alternation,
//	- a call that crosses a bound, produced to the input topic, until its alert is there for a read_committed reader;
//	- a transaction with one record of the same size, until that record is there for the same reader.
//
//	bench_alerts BOOTSTRAP INPUT ALERTS BARE ROUNDS FIRST STAMP_MS
//
// FIRST numbers the accounts, so that no run meets those of another. Prints {"alert_ms":[…],"bare_ms":[…]}, ROUNDS of each.
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/span.h"
#include "model/kafka_conf.h"
#include "sink/sink.h"

enum { GIVE_UP_S = 120, VALUE_MAX = 1024, BARE_BYTES = 700 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t came;
	char wanted[64];       // what the awaited record holds
	int64_t came_us;       // when it was there; 0: not yet
	bool stop;
} reader = { .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench_alerts: %s: %s\n", what, why);
	exit(EXIT_UNREACHABLE);
}

static rd_kafka_t *client(rd_kafka_type_t type, const struct kafka_options *o, const struct kafka_pair *pairs)
{
	rd_kafka_conf_t *conf = NULL;
	struct error e = { 0 };
	char why[256];
	if (kafka_conf_make(o, pairs, &conf, &e) != ERROR_NONE)
		fail("client", e.text);
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
	if (rk == NULL)
		fail("client", why);
	return rk;
}

// ---- the reader

static void assign_ends(rd_kafka_t *rk, const struct kafka_options *o, const char *const *topics)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
	for (; *topics != NULL; topics++) {
		struct topic_info info;
		struct error e = { 0 };
		if (topic_describe(o, *topics, 10000, &info, &e) != ERROR_NONE || !info.exists)
			fail(*topics, "is not there");
		for (int32_t p = 0; p < info.partitions; p++) {
			int64_t low, high;
			if (topic_offsets(o, *topics, p, 10000, &low, &high, &e) != ERROR_NONE)
				fail(*topics, e.text);
			rd_kafka_topic_partition_list_add(list, *topics, p)->offset = high;
		}
	}
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}

static void *read_on(void *arg)
{
	rd_kafka_t *rk = arg;
	for (bool stop = false; !stop;) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
		int64_t now = clock_mono_us();
		pthread_mutex_lock(&reader.lock);
		stop = reader.stop;
		if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR && reader.wanted[0] != '\0' &&
		    memmem(m->payload, m->len, reader.wanted, strlen(reader.wanted)) != NULL) {
			reader.came_us = now;
			reader.wanted[0] = '\0';
			pthread_cond_signal(&reader.came);
		}
		pthread_mutex_unlock(&reader.lock);
		if (m != NULL)
			rd_kafka_message_destroy(m);
	}
	return NULL;
}

static void want(const char *text)
{
	pthread_mutex_lock(&reader.lock);
	snprintf(reader.wanted, sizeof(reader.wanted), "%.63s", text);
	reader.came_us = 0;
	pthread_mutex_unlock(&reader.lock);
}

static int64_t wait_for_it(const char *what)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GIVE_UP_S;
	pthread_mutex_lock(&reader.lock);
	while (reader.came_us == 0)
		if (pthread_cond_timedwait(&reader.came, &reader.lock, &until) != 0)
			fail(what, "did not come within two minutes: the load may be more than the daemon carries");
	int64_t at = reader.came_us;
	pthread_mutex_unlock(&reader.lock);
	return at;
}

// ---- the two sides

static int64_t crossing(rd_kafka_t *rk, const char *topic, int64_t number, int64_t stamp_ms)
{
	char account[32], value[VALUE_MAX];
	snprintf(account, sizeof(account), "9%011" PRId64, number);
	int n = snprintf(value, sizeof(value),
			 "{\"id\":\"crossing-%" PRId64 "\",\"account\":\"%s\",\"service\":\"image-tag\",\"time\":%" PRId64 ",\"calls\":8000}", number,
			 account, stamp_ms);
	want(account);
	int64_t start_us = clock_mono_us();
	rd_kafka_resp_err_t err =
		rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(account, strlen(account)),
				  RD_KAFKA_V_VALUE(value, (size_t)n), RD_KAFKA_V_TIMESTAMP(stamp_ms), RD_KAFKA_V_END);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail(topic, rd_kafka_err2str(err));
	int64_t us = wait_for_it("an alert") - start_us;
	rd_kafka_poll(rk, 0);
	return us;
}

static void no_error(const char *what, rd_kafka_error_t *e)
{
	if (e != NULL)
		fail(what, rd_kafka_error_string(e));
}

static int64_t transaction(rd_kafka_t *rk, const char *topic, int64_t number)
{
	char value[VALUE_MAX];
	int n = snprintf(value, sizeof(value), "bare-%" PRId64 ".", number);
	want(value);
	memset(value + n, 'x', (size_t)(BARE_BYTES - n));
	int64_t start_us = clock_mono_us();
	no_error("begin", rd_kafka_begin_transaction(rk));
	rd_kafka_resp_err_t err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
						    RD_KAFKA_V_VALUE(value, BARE_BYTES), RD_KAFKA_V_END);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail(topic, rd_kafka_err2str(err));
	no_error("commit", rd_kafka_commit_transaction(rk, 30000));
	return wait_for_it("a bare record") - start_us;
}

static void print_ms(const char *name, const int64_t *us, int64_t n)
{
	printf("\"%s\":[", name);
	for (int64_t i = 0; i < n; i++)
		printf("%s%.3f", i > 0 ? "," : "", (double)us[i] / 1000);
	printf("]");
}

int main(int argc, char **argv)
{
	int64_t rounds, first, stamp_ms;
	if (argc != 8 || !span_int64(span_of(argv[5]), &rounds) || !span_int64(span_of(argv[6]), &first) || !span_int64(span_of(argv[7]), &stamp_ms)) {
		fprintf(stderr, "usage: bench_alerts BOOTSTRAP INPUT ALERTS BARE ROUNDS FIRST STAMP_MS\n");
		return EXIT_USAGE_ERR;
	}
	log_set_level(LVL_WARN);
	const char *inputs[] = { argv[2], NULL }, *outputs[] = { argv[3], argv[4], NULL };
	const struct kafka_options o = { .bootstrap = argv[1], .input_topics = inputs, .embedded = true };
	const struct kafka_pair reads[] = { { "group.id", "bench-alerts" }, { "isolation.level", "read_committed" }, { "enable.auto.commit", "false" }, { NULL, NULL } };
	const struct kafka_pair plain[] = { { "linger.ms", "0" }, { "partitioner", "murmur2_random" }, { NULL, NULL } };
	const struct kafka_pair whole[] = { { "linger.ms", "0" }, { "transactional.id", "bench-alerts" }, { NULL, NULL } };
	rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, &o, reads), *producer = client(RD_KAFKA_PRODUCER, &o, plain);
	rd_kafka_t *transactional = client(RD_KAFKA_PRODUCER, &o, whole);
	rd_kafka_poll_set_consumer(consumer);
	assign_ends(consumer, &o, outputs);
	no_error("init_transactions", rd_kafka_init_transactions(transactional, 30000));
	pthread_t thread;
	check(pthread_create(&thread, NULL, read_on, consumer) == 0);
	int64_t *alert_us = xcalloc((size_t)rounds, sizeof(int64_t)), *bare_us = xcalloc((size_t)rounds, sizeof(int64_t));
	crossing(producer, argv[2], first, stamp_ms); // opens what must be open
	transaction(transactional, argv[4], first);
	for (int64_t i = 0; i < rounds; i++) {
		alert_us[i] = crossing(producer, argv[2], first + 1 + i, stamp_ms);
		bare_us[i] = transaction(transactional, argv[4], first + 1 + i);
	}
	pthread_mutex_lock(&reader.lock);
	reader.stop = true;
	pthread_mutex_unlock(&reader.lock);
	pthread_join(thread, NULL);
	printf("{");
	print_ms("alert_ms", alert_us, rounds);
	printf(",");
	print_ms("bare_ms", bare_us, rounds);
	printf("}\n");
	rd_kafka_destroy(producer);
	rd_kafka_destroy(transactional);
	rd_kafka_destroy_flags(consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(alert_us);
	free(bare_us);
	return EXIT_DONE;
}
