// SPDX-License-Identifier: Apache-2.0
// The Kafka source on librdkafka's mock cluster: reading, headers, errors that can be injected. Rebalances: tests/kafka.
#include "kafka_test.h"

#include "source/source.h"

struct reader {
	struct source *s;
	struct source_part *parts;
	uint32_t n, assigned, bad_part;
	int64_t from, next[2], end[2];
	uint64_t records, with_headers, with_value;
	enum error_class last;
	struct error e;
};

static enum error_class on_assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e)
{
	struct reader *r = ctx;
	(void)e;
	r->parts = parts;
	r->n = n;
	r->assigned++;
	for (uint32_t i = 0; i < n; i++) {
		parts[i].read_from = r->next[parts[i].partition] = r->from;
		r->end[parts[i].partition] = -1;
	}
	return ERROR_NONE;
}

static void on_revoked(void *ctx, bool lost)
{
	struct reader *r = ctx;
	(void)lost;
	r->parts = NULL;
}

static void on_end(void *ctx, uint32_t part, int64_t end)
{
	struct reader *r = ctx;
	r->end[r->parts[part].partition] = end;
}

static void check_headers(struct reader *r, const struct record *rec)
{
	if (rec->n_headers == 0)
		return;
	r->with_headers++;
	cr_assert(rec->n_headers == 3);
	cr_assert(span_is(rec->headers[0].name, "__meterd.tick") && rec->headers[0].value.p == NULL);
	cr_assert(span_is(rec->headers[1].name, "e") && rec->headers[1].value.p != NULL && rec->headers[1].value.n == 0);
	cr_assert(span_is(rec->headers[2].name, "v") && span_is(rec->headers[2].value, "x"));
	cr_assert(rec->key.p == NULL);
	r->with_value += rec->value.p != NULL;
}

static void poll_once(struct reader *r, int timeout_ms)
{
	struct record *rec;
	uint32_t n;
	r->e = (struct error){ 0 };
	r->last = r->s->ops->poll(r->s, timeout_ms, &rec, &n, &r->bad_part, &r->e);
	cr_assert(n <= 1000);
	for (uint32_t i = 0; i < n; i++) {
		int32_t p = r->parts[rec[i].part].partition;
		cr_assert(rec[i].offset == r->next[p]++);
		check_headers(r, &rec[i]);
	}
	r->records += n;
	r->s->ops->release(r->s);
}

static void reader_open(struct reader *r, struct test_broker *b, int partitions, int records)
{
	test_broker_open(b, false, "source");
	test_topic(b, b->name, partitions, NULL);
	for (int p = 0; p < partitions; p++)
		test_fill(b, b->name, p, 0, records);
	struct source_callbacks cb = { r, on_assigned, on_revoked, on_end };
	struct error e = { 0 };
	cr_assert(source_kafka_open(&b->o, "one", &cb, &r->s, &e) == ERROR_NONE, "%s", e.text);
}

static void wait_for(struct reader *r, uint64_t records)
{
	int64_t until = clock_mono_us() + 30000000;
	while (r->records < records) {
		poll_once(r, 50);
		cr_assert(clock_mono_us() < until, "%llu of %llu records", (unsigned long long)r->records, (unsigned long long)records);
	}
}

Test(source_kafka, reads_every_record_once_in_order_and_reports_the_end)
{
	struct test_broker b;
	struct reader r = { .from = 5 };
	reader_open(&r, &b, 2, 2505);
	wait_for(&r, 5000);
	for (int i = 0; i < 200 && (r.end[0] < 0 || r.end[1] < 0); i++)
		poll_once(&r, 50);
	cr_assert(r.records == 5000 && r.end[0] == 2505 && r.end[1] == 2505 && r.assigned == 1 && r.n == 2);
	cr_assert_str_neq(r.parts[0].name, r.parts[1].name);
	r.s->ops->close(r.s, 3000);
	cr_assert(r.parts == NULL);
	test_broker_close(&b);
}

static void send_with_headers(struct test_broker *b, const char *value)
{
	size_t size = value != NULL ? strlen(value) : 0;
	rd_kafka_headers_t *h = rd_kafka_headers_new(3);
	rd_kafka_header_add(h, "__meterd.tick", -1, NULL, 0);
	rd_kafka_header_add(h, "e", -1, "", 0);
	rd_kafka_header_add(h, "v", -1, "x", 1);
	cr_assert(rd_kafka_producev(b->rk, RD_KAFKA_V_TOPIC(b->name), RD_KAFKA_V_PARTITION(0),
				    RD_KAFKA_V_VALUE((void *)value, size),
				    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_END) == 0);
	cr_assert(rd_kafka_flush(b->rk, 10000) == 0);
}

Test(source_kafka, headers_keep_null_and_empty_apart_and_live_until_release)
{
	struct test_broker b;
	struct reader r = { 0 };
	reader_open(&r, &b, 1, 3);
	const char *const values[] = { NULL, "", "x", "{\"id\":1}" };
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		test_fill(&b, b.name, 0, 3, 1); // among records without
		send_with_headers(&b, values[i]);
	}
	wait_for(&r, 11);
	cr_assert(r.with_headers == 4 && r.with_value == 3, "%llu %llu", (unsigned long long)r.with_headers,
		  (unsigned long long)r.with_value);
	r.s->ops->close(r.s, 3000);
	test_broker_close(&b);
}

Test(source_kafka, an_offset_out_of_range_halts_and_names_the_partition)
{
	struct test_broker b;
	struct reader r = { .from = 99 };
	reader_open(&r, &b, 1, 3);
	for (int i = 0; i < 400 && r.last != ERROR_HALT; i++)
		poll_once(&r, 50);
	cr_assert(r.last == ERROR_HALT && r.bad_part == 0 && strstr(r.e.text, r.parts[0].name) != NULL, "%s", r.e.text);
	r.s->ops->close(r.s, 3000);
	test_broker_close(&b);
}

enum { WRONG_PARTS = 16 };
struct wrong {
	struct source_part *parts;
	uint32_t halts[WRONG_PARTS];
};

static enum error_class wrong_assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e)
{
	struct wrong *w = ctx;
	(void)e;
	w->parts = parts;
	cr_assert(n == WRONG_PARTS);
	for (uint32_t i = 0; i < n; i++)
		parts[i].read_from = 99;
	return ERROR_NONE;
}

static void wrong_revoked(void *ctx, bool lost)
{
	(void)ctx;
	(void)lost;
}

// The errors of many partitions lie in one answer of the broker, and in one batch: each halts its own partition, none is lost.
Test(source_kafka, every_partition_that_stops_is_told)
{
	struct test_broker b;
	struct wrong w = { 0 };
	struct source *s;
	struct error e = { 0 };
	struct source_callbacks cb = { &w, wrong_assigned, wrong_revoked, NULL };
	uint32_t halts = 0;
	test_broker_open(&b, false, "wrong");
	test_topic(&b, b.name, WRONG_PARTS, NULL);
	cr_assert(source_kafka_open(&b.o, "one", &cb, &s, &e) == ERROR_NONE, "%s", e.text);
	for (int i = 0; i < 400 && halts < WRONG_PARTS; i++) {
		struct record *r;
		uint32_t n, part = WRONG_PARTS;
		e = (struct error){ 0 };
		if (s->ops->poll(s, 50, &r, &n, &part, &e) == ERROR_HALT) {
			cr_assert(part < WRONG_PARTS && strstr(e.text, w.parts[part].name) != NULL, "%s", e.text);
			halts += w.halts[part]++ == 0;
		}
		s->ops->release(s);
	}
	cr_assert(halts == WRONG_PARTS, "%u of %d partitions", halts, WRONG_PARTS);
	s->ops->close(s, 3000);
	test_broker_close(&b);
}

Test(source_kafka, brokers_away_is_retry_and_passes)
{
	struct test_broker b;
	struct reader r = { 0 };
	reader_open(&r, &b, 1, 3);
	wait_for(&r, 3);
	rd_kafka_mock_broker_set_down(b.mock, 1);
	for (int i = 0; i < 400 && r.last != ERROR_RETRY; i++)
		poll_once(&r, 50);
	cr_assert(r.last == ERROR_RETRY && strstr(r.e.text, "away") != NULL, "%s", r.e.text);
	rd_kafka_mock_broker_set_up(b.mock, 1);
	test_fill(&b, b.name, 0, 3, 2);
	wait_for(&r, 5);
	cr_assert(r.last == ERROR_NONE);
	r.s->ops->close(r.s, 3000);
	test_broker_close(&b);
}

Test(source_kafka, a_refusal_by_kafka_ends_with_78)
{
	struct test_broker b;
	struct reader r = { 0 };
	reader_open(&r, &b, 1, 3);
	wait_for(&r, 3);
	rd_kafka_mock_topic_set_error(b.mock, b.name, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	rd_kafka_mock_push_request_errors(b.mock, 1 /* Fetch */, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	for (int i = 0; i < 800 && r.last != ERROR_ABORT; i++)
		poll_once(&r, 50);
	cr_assert(r.last == ERROR_ABORT && r.e.exit_code == EXIT_CONFIG_ERR, "%d %s", r.last, r.e.text);
	r.s->ops->close(r.s, 3000);
	test_broker_close(&b);
}

Test(source_kafka, a_setting_that_librdkafka_refuses_is_78)
{
	struct test_broker b;
	test_broker_open(&b, false, "refused");
	b.o.session_timeout_ms = -1;
	struct source *s;
	struct error e = { 0 };
	struct source_callbacks cb = { NULL, on_assigned, on_revoked, on_end };
	cr_assert(source_kafka_open(&b.o, "one", &cb, &s, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR);
	cr_assert(strstr(e.text, "session.timeout.ms") != NULL, "%s", e.text);
	test_broker_close(&b);
}

Test(source_kafka, close_keeps_its_deadline_when_the_brokers_are_gone)
{
	struct test_broker b;
	struct reader r = { 0 };
	reader_open(&r, &b, 1, 3);
	wait_for(&r, 3);
	rd_kafka_mock_broker_set_down(b.mock, 1);
	int64_t t = clock_mono_us();
	r.s->ops->close(r.s, 1000);
	cr_assert(clock_mono_us() - t < 2500000, "%lld us", (long long)(clock_mono_us() - t));
	test_broker_close(&b);
}
