// SPDX-License-Identifier: Apache-2.0
// The Kafka sinks and readers against an Apache Kafka at $KAFKA_BOOTSTRAP: transactions, fencing, dead letters, settings.
#include "kafka_test.h"

#include <pthread.h>

#include "period/period.h"
#include "sink/sink.h"

struct seen {
	int n;
	char values[256][64];
	int32_t partition;
	int stop_at;         // 0: never
	int64_t first_us, ticks;
	bool *stop;
};

static bool collect(void *ctx, const struct topic_record *t)
{
	struct seen *s = ctx;
	if (t == NULL) {
		s->ticks++;
		return true;
	}
	if (s->n < 256)
		snprintf(s->values[s->n], sizeof(s->values[0]), "%.*s", (int)t->r.value.n, t->r.value.p);
	s->n++;
	s->partition = t->partition;
	return s->stop_at == 0 || s->n < s->stop_at;
}

static void read_all(struct test_broker *b, const char *topic, int64_t from_ms, struct seen *s)
{
	struct error e = { 0 };
	*s = (struct seen){ 0 };
	cr_assert(topic_read_back(&b->o, topic, from_ms, 10000, collect, s, &e) == ERROR_NONE, "%s", e.text);
}

static struct txn_sink *txn_open(struct test_broker *b)
{
	struct txn_sink *s = NULL;
	struct error e = { 0 };
	int64_t t = clock_mono_us();
	cr_assert(sink_kafka_txn_open(&b->o, b->name, 10000, &s, &e) == ERROR_NONE, "%s", e.text);
	fprintf(stderr, "init_transactions %lld ms\n", (long long)(clock_mono_us() - t) / 1000);
	return s;
}

static enum txn_status publish(struct txn_sink *s, const char *topic, const char *value, int n, struct error *e)
{
	struct message m[8];
	for (int i = 0; i < n; i++)
		m[i] = (struct message){ .topic = topic, .partition = -1, .key = SPAN_LIT("k"), .value = span_of(value) };
	return s->ops->publish(s, m, (uint32_t)n, e);
}

Test(kafka_sink, a_transaction_is_seen_whole_and_the_predecessor_is_fenced)
{
	struct test_broker b;
	test_broker_open(&b, true, "txn");
	test_topic(&b, b.name, 3, NULL);
	struct error e = { 0 };
	struct txn_sink *first = txn_open(&b);
	cr_assert(publish(first, b.name, "one", 3, &e) == TXN_DONE, "%s", e.text);
	int64_t t = clock_mono_us();
	for (int i = 0; i < 20; i++)
		cr_assert(publish(first, b.name, "two", 1, &e) == TXN_DONE, "%s", e.text);
	fprintf(stderr, "transaction of one message: mean %lld us\n", (long long)(clock_mono_us() - t) / 20);
	struct txn_sink *second = txn_open(&b);
	cr_assert(publish(first, b.name, "late", 1, &e) == TXN_FENCED, "%s", e.text);
	first->ops->close(first);
	e = (struct error){ 0 };
	cr_assert(publish(second, b.name, "three", 1, &e) == TXN_DONE, "%s", e.text);
	second->ops->close(second);
	struct seen s;
	read_all(&b, b.name, TIME_NONE, &s);
	cr_assert(s.n == 24, "%d", s.n);
	for (int i = 0; i < s.n; i++)
		cr_assert(strcmp(s.values[i], "late") != 0);
	cr_assert(strcmp(s.values[23], "three") == 0);
	test_broker_close(&b);
}

// Leaves a transaction open, its message written to the log.
static rd_kafka_t *open_transaction(struct test_broker *b, const char *value)
{
	char why[256];
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	rd_kafka_conf_set(c, "bootstrap.servers", b->o.bootstrap, why, sizeof(why));
	rd_kafka_conf_set(c, "transactional.id", b->name, why, sizeof(why));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof(why));
	cr_assert(rd_kafka_init_transactions(rk, 10000) == NULL);
	cr_assert(rd_kafka_begin_transaction(rk) == NULL);
	cr_assert(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(b->name), RD_KAFKA_V_VALUE((void *)value, strlen(value)),
				    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) == 0);
	cr_assert(rd_kafka_flush(rk, 10000) == 0);
	return rk;
}

Test(kafka_sink, what_is_not_committed_is_never_read_and_the_next_opener_aborts_it)
{
	struct test_broker b;
	test_broker_open(&b, true, "open");
	test_topic(&b, b.name, 1, NULL);
	test_fill(&b, b.name, 0, 0, 2);
	rd_kafka_t *left = open_transaction(&b, "never");
	test_fill(&b, b.name, 0, 2, 1); // behind the open transaction: not stable yet
	struct seen s = { 0 };
	struct error e = { 0 };
	cr_assert(topic_read_back(&b.o, b.name, TIME_NONE, 1000, collect, &s, &e) == ERROR_RETRY); // it may be committed yet
	cr_assert(s.n == 2 && strstr(e.text, "stands at 2 of 4") != NULL, "%d %s", s.n, e.text);
	int64_t low = -1, high = -1;
	e = (struct error){ 0 };
	cr_assert(topic_offsets(&b.o, b.name, 0, 5000, &low, &high, &e) == ERROR_NONE);
	cr_assert(low == 0 && high == 2, "%lld %lld", (long long)low, (long long)high);
	struct txn_sink *second = txn_open(&b);
	cr_assert(publish(second, b.name, "after", 1, &e) == TXN_DONE, "%s", e.text);
	read_all(&b, b.name, TIME_NONE, &s);
	cr_assert(s.n == 4, "%d", s.n);
	cr_assert_str_eq(s.values[2], "2");
	cr_assert_str_eq(s.values[3], "after");
	second->ops->close(second);
	rd_kafka_destroy(left);
	test_broker_close(&b);
}

Test(kafka_sink, a_missing_topic_is_said_so_with_75)
{
	struct test_broker b;
	test_broker_open(&b, true, "absent");
	struct error e = { 0 };
	struct seen s = { 0 };
	cr_assert(topic_read_back(&b.o, "no-such-topic", TIME_NONE, 5000, collect, &s, &e) == ERROR_ABORT);
	cr_assert(e.exit_code == EXIT_LATER && strstr(e.text, "no-such-topic") != NULL, "%s", e.text);
	struct topic_info info;
	cr_assert(topic_describe(&b.o, "no-such-topic", 5000, &info, &e) == ERROR_NONE);
	cr_assert(!info.exists);
	b.o.bootstrap = "127.0.0.1:1";
	e = (struct error){ 0 };
	cr_assert(topic_describe(&b.o, "no-such-topic", 1000, &info, &e) == ERROR_RETRY, "%s", e.text);
	struct txn_sink *t;
	e = (struct error){ 0 };
	cr_assert(sink_kafka_txn_open(&b.o, b.name, 1000, &t, &e) == ERROR_RETRY, "%s", e.text);
	test_broker_close(&b);
}

// A reader that comes again: from its offsets to what is stable, whoever has a transaction open; and nothing is passed over in silence.
static enum error_class read_from(struct test_broker *b, int64_t first, int64_t second, int32_t n, struct seen *s, struct error *e)
{
	int64_t starts[] = { first, second };
	*s = (struct seen){ 0 };
	*e = (struct error){ 0 };
	return topic_read_from(&b->o, b->name, starts, NULL, n, 10000, collect, s, e);
}

Test(kafka_sink, read_from_offsets_to_the_last_stable_end)
{
	struct test_broker b;
	struct error e;
	struct seen s;
	test_broker_open(&b, true, "from");
	test_topic(&b, b.name, 2, NULL);
	cr_assert(read_from(&b, 0, 0, 0, &s, &e) == ERROR_NONE, "%s", e.text);
	cr_expect(s.n == 0);
	test_fill(&b, b.name, 0, 0, 5);
	test_fill(&b, b.name, 1, 10, 3);
	cr_assert(read_from(&b, 3, 0, 1, &s, &e) == ERROR_NONE, "%s", e.text);
	cr_expect(s.n == 5, "%d", s.n); // 3, 4, and all of the second
	cr_assert(read_from(&b, 5, 2, 2, &s, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(s.n == 1 && s.partition == 1);
	cr_expect_str_eq(s.values[0], "12");
	cr_expect(read_from(&b, 6, 0, 1, &s, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR && s.n == 0, "%s", e.text);
	cr_expect(strstr(e.text, "/0 holds offsets 0 to 5") != NULL, "%s", e.text);
	struct txn_sink *t = txn_open(&b); // its markers take offsets that no record has
	cr_assert(publish(t, b.name, "x", 2, &e) == TXN_DONE);
	t->ops->close(t);
	cr_assert(read_from(&b, 5, 3, 2, &s, &e) == ERROR_NONE, "%s", e.text);
	cr_expect(s.n == 2, "%d", s.n);
	rd_kafka_t *open = open_transaction(&b, "not yet");
	test_fill(&b, b.name, 0, 20, 1);
	test_fill(&b, b.name, 1, 30, 1);
	int64_t began_us = clock_mono_us();
	cr_assert(read_from(&b, 5, 3, 2, &s, &e) == ERROR_NONE, "%s", e.text);
	cr_expect(s.n >= 2 && s.n <= 3 && clock_mono_us() - began_us < 5000000, "%d", s.n); // what stands before the open transaction
	rd_kafka_destroy(open);
	test_broker_close(&b);
}

Test(kafka_sink, settings_and_offsets_by_time_of_a_topic)
{
	struct test_broker b;
	test_broker_open(&b, true, "facts");
	const char *const settings[] = { "retention.ms=86400000", "message.timestamp.after.max.ms=7200000", NULL };
	test_topic(&b, b.name, 2, settings);
	struct topic_info info;
	struct error e = { 0 };
	cr_assert(topic_describe(&b.o, b.name, 5000, &info, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(info.exists && info.partitions == 2 && info.retention_ms == 86400000 && !info.log_append_time &&
		  info.timestamp_after_max_ms == 7200000 && !info.compacted);
	char other[96];
	snprintf(other, sizeof(other), "%s-b", b.name);
	const char *const append[] = { "message.timestamp.type=LogAppendTime", "cleanup.policy=compact", NULL };
	test_topic(&b, other, 1, append);
	cr_assert(topic_describe(&b.o, other, 5000, &info, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(info.log_append_time && info.compacted);
	fprintf(stderr, "defaults: retention %lld, after.max %lld\n", (long long)info.retention_ms,
		(long long)info.timestamp_after_max_ms);
	test_fill(&b, b.name, 1, 0, 10); // stamps 1000, 2000, … 10000; the retention would delete them only later
	int64_t at = -2;
	cr_assert(topic_offset_at(&b.o, b.name, 1, 4500, 5000, &at, &e) == ERROR_NONE);
	cr_assert(at == 4, "%lld", (long long)at);
	cr_assert(topic_offset_at(&b.o, b.name, 1, 10001, 5000, &at, &e) == ERROR_NONE);
	cr_assert(at == -1);
	struct seen s;
	read_all(&b, b.name, 4500, &s);
	cr_assert(s.n == 6);
	cr_assert_str_eq(s.values[0], "4");
	test_broker_close(&b);
}

struct follower {
	struct test_broker *b;
	struct seen s;
	volatile bool stop;
	enum error_class c;
};

static void *follow(void *arg)
{
	struct follower *f = arg;
	f->c = topic_follow(&f->b->o, f->b->name, TIME_NONE, &f->stop, collect, &f->s, NULL);
	return NULL;
}

Test(kafka_sink, follow_goes_on_with_what_comes_and_stops_when_told)
{
	struct test_broker b;
	test_broker_open(&b, true, "follow");
	test_topic(&b, b.name, 2, NULL);
	test_fill(&b, b.name, 0, 0, 3);
	struct follower f = { .b = &b };
	pthread_t t;
	pthread_create(&t, NULL, follow, &f);
	for (int i = 0; i < 1000 && *(volatile int *)&f.s.n < 3; i++)
		usleep(10000);
	cr_assert(f.s.n == 3);
	test_fill(&b, b.name, 1, 0, 2);
	for (int i = 0; i < 1000 && *(volatile int *)&f.s.n < 5; i++)
		usleep(10000);
	cr_assert(f.s.n == 5);
	f.stop = true;
	pthread_join(t, NULL);
	cr_assert(f.c == ERROR_NONE && f.s.ticks > 0);
	test_broker_close(&b);
}

// ---- dead letters

static struct dlq *dlq_open(struct test_broker *b)
{
	struct dlq *d = NULL;
	struct error e = { 0 };
	cr_assert(sink_kafka_dlq_open(&b->o, &d, &e) == ERROR_NONE, "%s", e.text);
	return d;
}

static struct span header_value(const struct record *r, const char *name, uint32_t nth)
{
	for (uint32_t i = 0; i < r->n_headers; i++)
		if (span_is(r->headers[i].name, name) && nth-- == 0)
			return r->headers[i].value;
	cr_assert(false, "no header %s", name);
	return (struct span){ 0 };
}

static const char raw_value[] = "\x00\xff\r\n{\"id\":\"\xc3\x28\"}\x00";
static const char raw_key[] = "k\x00\x01";

static bool check_letter(void *ctx, const struct topic_record *t)
{
	int *n = ctx;
	const struct record *r = &t->r;
	bool null = r->value.p == NULL;
	if (!null) {
		cr_assert(r->value.n == sizeof(raw_value) && memcmp(r->value.p, raw_value, sizeof(raw_value)) == 0);
		cr_assert(r->key.n == sizeof(raw_key) && memcmp(r->key.p, raw_key, sizeof(raw_key)) == 0);
	} else {
		cr_assert(r->key.p == NULL);
	}
	cr_assert(r->n_headers == 4 + 8);
	cr_assert(header_value(r, "h", 0).p == NULL);
	cr_assert(header_value(r, "h", 1).p != NULL && header_value(r, "h", 1).n == 0);
	cr_assert(span_eq(header_value(r, "bin", 0), (struct span){ raw_value, sizeof(raw_value) }));
	cr_assert(span_is(r->headers[3].name, "last") && span_is(r->headers[3].value, "x"));
	cr_assert(span_is(header_value(r, "__meterd.errors.topic", 0), "usage.calls"));
	cr_assert(span_is(header_value(r, "__meterd.errors.partition", 0), "7"));
	cr_assert(span_is(header_value(r, "__meterd.errors.offset", 0), null ? "43" : "42"));
	cr_assert(span_is(header_value(r, "__meterd.errors.timestamp", 0), "1577836800000"));
	cr_assert(span_is(header_value(r, "__meterd.errors.clock", 0), "-"));
	cr_assert(span_is(header_value(r, "__meterd.errors.stage", 0), "decode"));
	cr_assert(span_is(header_value(r, "__meterd.errors.code", 0), "not_json"));
	cr_assert(span_is(header_value(r, "__meterd.errors.message", 0), "no such thing"));
	*n += 1;
	return true;
}

static const struct dlq_reason reason = { "decode", "not_json", "no such thing", TIME_NONE };

Test(kafka_sink, a_dead_letter_is_the_record_byte_for_byte_with_the_reason)
{
	struct test_broker b;
	test_broker_open(&b, true, "dlq");
	test_topic(&b, b.name, 2, NULL);
	struct dlq *d = dlq_open(&b);
	struct header h[] = { { SPAN_LIT("h"), { NULL, 0 } },
			      { SPAN_LIT("h"), { "", 0 } },
			      { SPAN_LIT("bin"), { raw_value, sizeof(raw_value) } },
			      { SPAN_LIT("last"), SPAN_LIT("x") } };
	struct record r = { .offset = 42, .timestamp_ms = 1577836800000, .key = { raw_key, sizeof(raw_key) },
			    .value = { raw_value, sizeof(raw_value) }, .headers = h, .n_headers = 4 };
	struct error e = { 0 };
	cr_assert(d->ops->send(d, "usage.calls", 7, &r, &reason, &e) == ERROR_NONE);
	struct record null = { .offset = 43, .timestamp_ms = 1577836800000, .headers = h, .n_headers = 4 };
	cr_assert(d->ops->send(d, "usage.calls", 7, &null, &reason, &e) == ERROR_NONE);
	cr_assert(d->ops->pending(d, 10000) == 0);
	d->ops->close(d);
	int n = 0;
	cr_assert(topic_read_back(&b.o, b.name, TIME_NONE, 10000, check_letter, &n, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(n == 2);
	test_broker_close(&b);
}

struct sizes {
	int whole, cut;
};

static bool check_size(void *ctx, const struct topic_record *t)
{
	struct sizes *s = ctx;
	if (t->r.value.n == 100) {
		s->whole++;
	} else {
		cr_assert(t->r.value.n == 0);
		cr_assert(span_is(header_value(&t->r, "__meterd.errors.truncated", 0), "3000000"));
		s->cut++;
	}
	return true;
}

Test(kafka_sink, only_what_is_too_large_by_itself_loses_its_value)
{
	struct test_broker b;
	test_broker_open(&b, true, "large");
	const char *const settings[] = { "max.message.bytes=4000", NULL };
	test_topic(&b, b.name, 1, settings);
	struct dlq *d = dlq_open(&b);
	char *big = xcalloc(1, 3000000);
	struct error e = { 0 };
	for (int i = 0; i < 60; i++) { // many in one batch: the batch is too large, its records are not
		unsigned x = (unsigned)i * 2654435761u;
		for (int j = 0; j < 3000000; j++, x = x * 1664525 + 1013904223) // does not compress
			if (j < 100 || i == 30)
				big[j] = (char)(x >> 24);
		struct record r = { .offset = i, .value = { big, i == 30 ? 3000000 : 100 } };
		cr_assert(d->ops->send(d, "usage.calls", 0, &r, &reason, &e) == ERROR_NONE, "%s", e.text);
	}
	cr_assert(d->ops->pending(d, 20000) == 0);
	struct sizes s = { 0 };
	cr_assert(topic_read_back(&b.o, b.name, TIME_NONE, 10000, check_size, &s, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(s.whole == 59 && s.cut == 1, "%d %d", s.whole, s.cut);
	d->ops->close(d);
	free(big);
	test_broker_close(&b);
}

Test(kafka_sink, a_dead_letter_waits_for_its_topic_and_can_be_dropped)
{
	struct test_broker b;
	test_broker_open(&b, true, "wait");
	struct dlq *d = dlq_open(&b);
	struct record r = { .offset = 1, .value = SPAN_LIT("dropped") };
	struct error e = { 0 };
	cr_assert(d->ops->send(d, "t", 0, &r, &reason, &e) == ERROR_NONE);
	cr_assert(d->ops->pending(d, 300) == 1);
	d->ops->drop(d);
	cr_assert(d->ops->pending(d, 0) == 0);
	r.value = SPAN_LIT("kept");
	cr_assert(d->ops->send(d, "t", 0, &r, &reason, &e) == ERROR_NONE);
	cr_assert(d->ops->pending(d, 300) == 1);
	test_topic(&b, b.name, 1, NULL);
	cr_assert(d->ops->pending(d, 60000) == 0);
	struct seen s;
	read_all(&b, b.name, TIME_NONE, &s);
	cr_assert(s.n >= 1);
	cr_assert_str_eq(s.values[s.n - 1], "kept");
	d->ops->close(d);
	test_broker_close(&b);
}
