// SPDX-License-Identifier: Apache-2.0
// Fills a topic for scripts/bench: flat events of one size, a function of their number alone, keyed by account.
//
//	bench_fill BOOTSTRAP TOPIC [NAME=VALUE]…
//	  events=N            (1000000)     first=N             number of the first event (0)
//	  accounts=N          (100000)      services=N          1 to 7 of the price list (7)
//	  how=zipf|uniform|each             account by 1/rank; any counter alike; each counter in turn, over and over
//	  size=BYTES          (200)         of a value; what is missing is filled up
//	  duplicates=PERMILLE (0)           events that repeat the one before
//	  from=MS  step_us=N                record stamps and times: from + step * number
//	  rate=N              (0: as fast as it goes) events a second
//	  tick=MS             (0: none)     ends each partition with a tick of that stamp
//
// Prints {"events":…,"duplicates":…,"bytes":…,"calls":…,"checksum":…,"checksum_all":…,"seconds":…}. A checksum is the sum of crc32 of
// "account/service" times calls, modulo 2^64, over distinct events (with _all: over all): whoever counts right gets the same one.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/span.h"
#include "crc32.h"
#include "decode/decode.h"
#include "model/kafka_conf.h"
#include "sink/sink.h"

enum { VALUE_MAX = 4096, HOW_ZIPF = 0, HOW_UNIFORM, HOW_EACH };

static const char *const services[] = { "image-tag", "product-recognition", "vehicle-recognition", "image-quality", "image-crop",
					"celebrity-recognition", "product-recognition-wechat" };

static struct options {
	const char *bootstrap, *topic;
	int64_t events, first, accounts, services, how, size, duplicates, from, step_us, rate, tick;
} o = { .events = 1000000, .accounts = 100000, .services = 7, .size = 200, .from = INT64_C(1578585600000), .step_us = 10000 };

static uint64_t *weight; // of accounts, cumulative, for zipf
static rd_kafka_t *rk;
static rd_kafka_topic_t *topic;
static int32_t partitions;
static int64_t undelivered;

struct made {
	char value[VALUE_MAX], key[24];
	size_t n, n_key;
	int64_t time_ms;
	uint64_t checksum, calls;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "bench_fill: %s: %s\n", what, why);
	return EXIT_UNREACHABLE;
}

// ---- what the i-th event is

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t random, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)random * n) >> 64);
}

static void fill_weights(void)
{
	uint64_t sum = 0;
	weight = xcalloc((size_t)o.accounts, sizeof(*weight));
	for (int64_t i = 0; i < o.accounts; i++)
		weight[i] = sum += (UINT64_C(1) << 36) / (uint64_t)(i + 1) + 1;
}

static uint64_t by_rank(uint64_t random)
{
	uint64_t at = below(random, weight[o.accounts - 1]), low = 0, high = (uint64_t)o.accounts - 1;
	while (low < high) {
		uint64_t mid = (low + high) / 2;
		if (weight[mid] > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static bool is_duplicate(int64_t i)
{
	return o.duplicates > 0 && i > o.first && mix((uint64_t)i * 3 + 7) % 1000 < (uint64_t)o.duplicates;
}

static void make(int64_t number, struct made *e)
{
	uint64_t r = mix((uint64_t)number * 0x9e3779b97f4a7c15u + 1), q = mix(r + 0x9e3779b97f4a7c15u);
	uint64_t n = (uint64_t)number;
	uint64_t account = o.how == HOW_ZIPF ? by_rank(r) : o.how == HOW_UNIFORM ? below(r, (uint64_t)o.accounts) : n / (uint64_t)o.services % (uint64_t)o.accounts;
	const char *service = services[o.how == HOW_EACH ? n % (uint64_t)o.services : q % (uint64_t)o.services];
	e->calls = 1 + (q >> 32) % 3;
	e->time_ms = o.from + number * o.step_us / 1000;
	e->n_key = (size_t)snprintf(e->key, sizeof(e->key), "1%011" PRIu64, account % 100000000000u);
	int w = snprintf(e->value, sizeof(e->value),
			 "{\"id\":\"%08x-%04x-4%03x-8%03x-%012" PRIx64 "\",\"account\":\"%s\",\"service\":\"%s\",\"time\":%" PRId64
			 ",\"calls\":%" PRIu64 ",\"status\":\"ok\",\"request\":{\"region\":\"ap-guangzhou\",\"trace\":\"",
			 (unsigned)(r >> 32), (unsigned)(r >> 16) & 0xffff, (unsigned)r & 0xfff, (unsigned)(q >> 20) & 0xfff, n,
			 e->key, service, e->time_ms, e->calls);
	e->n = (size_t)w;
	for (; e->n + 3 < (size_t)o.size; e->n++)
		e->value[e->n] = "0123456789abcdef"[(q = q * 6364136223846793005u + 1442695040888963407u) >> 60];
	memcpy(e->value + e->n, "\"}}", 3);
	e->n += 3;
	char counter[64];
	int k = snprintf(counter, sizeof(counter), "%s/%s", e->key, service);
	e->checksum = (uint64_t)crc32_of(counter, (size_t)k) * e->calls;
}

// ---- Kafka

static void on_delivery(rd_kafka_t *k, const rd_kafka_message_t *m, void *opaque)
{
	(void)k;
	(void)opaque;
	undelivered += m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int open_producer(void)
{
	const struct kafka_options ko = { .bootstrap = o.bootstrap, .embedded = true };
	const struct kafka_pair pairs[] = {
		{ "partitioner", "murmur2_random" },
		{ "compression.type", "lz4" },
		{ "delivery.report.only.error", "true" },
		{ "linger.ms", o.rate > 0 ? "5" : "50" },
		{ "batch.num.messages", "10000" },
		{ "queue.buffering.max.messages", "200000" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	struct topic_info info;
	struct error e = { 0 };
	char why[256];
	if (kafka_conf_make(&ko, pairs, &conf, &e) != ERROR_NONE)
		return fail("producer", e.text);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (rk == NULL)
		return fail("producer", why);
	topic = rd_kafka_topic_new(rk, o.topic, NULL);
	if (topic_describe(&ko, o.topic, 10000, &info, &e) != ERROR_NONE || !info.exists)
		return fail(o.topic, e.text);
	partitions = info.partitions;
	return EXIT_DONE;
}

static bool put(const struct made *e, int32_t partition, rd_kafka_headers_t *h)
{
	void *key = e->n_key > 0 ? (void *)(uintptr_t)e->key : NULL, *value = e->n > 0 ? (void *)(uintptr_t)e->value : NULL;
	for (;;) {
		rd_kafka_resp_err_t err =
			rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					  RD_KAFKA_V_KEY(key, e->n_key),
					  RD_KAFKA_V_VALUE(value, e->n),
					  RD_KAFKA_V_TIMESTAMP(e->time_ms), RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_END);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			return true;
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || undelivered > 0)
			return false;
		rd_kafka_poll(rk, 50);
	}
}

static bool put_ticks(void)
{
	struct made e = { .time_ms = o.tick };
	for (int32_t p = 0; o.tick > 0 && p < partitions; p++) {
		rd_kafka_headers_t *h = rd_kafka_headers_new(1);
		rd_kafka_header_add(h, TICK_HEADER, -1, "bench", -1);
		if (!put(&e, p, h))
			return false;
	}
	return true;
}

static void wait_for_turn(int64_t start_us, int64_t i)
{
	int64_t early_us = start_us + (int64_t)((unsigned __int128)i * 1000000 / (uint64_t)o.rate) - clock_mono_us();
	if (early_us > 1000)
		clock_sleep_ms(early_us / 1000);
}

static int fill(void)
{
	static struct made e;
	uint64_t calls = 0, checksum = 0, all = 0, bytes = 0;
	int64_t repeated = 0, start_us = clock_mono_us();
	for (int64_t i = 0; i < o.events; i++) {
		if (o.rate > 0 && i % 64 == 0)
			wait_for_turn(start_us, i);
		bool again = is_duplicate(o.first + i);
		if (!again)
			make(o.first + i, &e);
		if (!put(&e, RD_KAFKA_PARTITION_UA, NULL))
			return fail(o.topic, "Kafka does not take the events");
		repeated += again;
		bytes += e.n;
		calls += again ? 0 : e.calls;
		checksum += again ? 0 : e.checksum;
		all += e.checksum;
		if (i % 1024 == 0)
			rd_kafka_poll(rk, 0);
	}
	if (!put_ticks())
		return fail(o.topic, "Kafka does not take the ticks");
	while (rd_kafka_outq_len(rk) > 0 && undelivered == 0)
		rd_kafka_poll(rk, 100);
	if (undelivered > 0)
		return fail(o.topic, "events were not delivered");
	printf("{\"events\":%" PRId64 ",\"duplicates\":%" PRId64 ",\"bytes\":%" PRIu64 ",\"calls\":%" PRIu64 ",\"checksum\":%" PRIu64
	       ",\"checksum_all\":%" PRIu64 ",\"seconds\":%.3f}\n",
	       o.events, repeated, bytes, calls, checksum, all, (double)(clock_mono_us() - start_us) / 1e6);
	return EXIT_DONE;
}

// ---- arguments

static bool take_how(const char *v)
{
	static const char *const words[] = { [HOW_ZIPF] = "zipf", [HOW_UNIFORM] = "uniform", [HOW_EACH] = "each" };
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(v, words[i]) == 0) {
			o.how = (int64_t)i;
			return true;
		}
	return false;
}

static bool take(const char *arg)
{
	const struct {
		const char *name;
		int64_t *to, low, high;
	} numbers[] = {
		{ "events", &o.events, 0, INT64_C(1) << 40 }, { "first", &o.first, 0, INT64_C(1) << 40 },
		{ "accounts", &o.accounts, 1, 100000000 },    { "services", &o.services, 1, (int64_t)ARRAY_LEN(services) },
		{ "size", &o.size, 0, VALUE_MAX - 400 },      { "duplicates", &o.duplicates, 0, 500 },
		{ "from", &o.from, 0, INT64_C(1) << 42 },     { "step_us", &o.step_us, 0, INT64_C(1) << 32 },
		{ "rate", &o.rate, 0, 10000000 },	      { "tick", &o.tick, 0, INT64_C(1) << 42 },
	};
	const char *eq = strchr(arg, '=');
	if (eq == NULL)
		return false;
	struct span name = { arg, (size_t)(eq - arg) };
	if (span_is(name, "how"))
		return take_how(eq + 1);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (span_is(name, numbers[i].name))
			return span_int64(span_of(eq + 1), numbers[i].to) && *numbers[i].to >= numbers[i].low && *numbers[i].to <= numbers[i].high;
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: bench_fill BOOTSTRAP TOPIC [NAME=VALUE]…, names as in tests/bench/fill.c\n");
		return EXIT_USAGE_ERR;
	}
	o.bootstrap = argv[1];
	o.topic = argv[2];
	for (int i = 3; i < argc; i++)
		if (!take(argv[i])) {
			fprintf(stderr, "bench_fill: %s is not understood\n", argv[i]);
			return EXIT_USAGE_ERR;
		}
	log_set_level(LVL_WARN);
	if (o.how == HOW_ZIPF)
		fill_weights();
	int code = open_producer();
	if (code == EXIT_DONE)
		code = fill();
	if (topic != NULL)
		rd_kafka_topic_destroy(topic);
	if (rk != NULL)
		rd_kafka_destroy(rk);
	free(weight);
	return code;
}
