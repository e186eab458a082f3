// SPDX-License-Identifier: Apache-2.0
// The Kafka sinks and readers on librdkafka's mock cluster, with injected errors. What transactions really do: tests/kafka.
#include "kafka_test.h"

#include "period/period.h"
#include "sink/sink.h"

enum { API_PRODUCE = 0, API_INIT_PRODUCER_ID = 22, API_END_TXN = 26 };

static struct txn_sink *txn_open(struct test_broker *b, int timeout_ms)
{
	struct txn_sink *s = NULL;
	struct error e = { 0 };
	cr_assert(sink_kafka_txn_open(&b->o, b->name, timeout_ms, &s, &e) == ERROR_NONE, "%s", e.text);
	return s;
}

static enum txn_status publish(struct test_broker *b, struct txn_sink *s, struct error *e)
{
	struct header h = { SPAN_LIT("h"), { NULL, 0 } };
	struct message m = { .topic = b->name, .partition = -1, .key = SPAN_LIT("k"), .value = SPAN_LIT("v"), .headers = &h,
			     .n_headers = 1, .timestamp_ms = 1577836800000 };
	return s->ops->publish(s, &m, 1, e);
}

struct count {
	int n;
	bool right;
};

static bool count_one(void *ctx, const struct topic_record *t)
{
	struct count *c = ctx;
	c->n++;
	c->right = span_is(t->r.key, "k") && span_is(t->r.value, "v") && t->r.timestamp_ms == 1577836800000 && t->r.n_headers == 1 &&
		   t->r.headers[0].value.p == NULL;
	return true;
}

Test(sink_kafka, a_message_is_published_with_its_stamp_and_headers_and_read_back)
{
	struct test_broker b;
	test_broker_open(&b, false, "txn");
	test_topic(&b, b.name, 2, NULL);
	struct txn_sink *s = txn_open(&b, 5000);
	struct error e = { 0 };
	cr_assert(publish(&b, s, &e) == TXN_DONE, "%s", e.text);
	struct count c = { 0 };
	cr_assert(topic_read_back(&b.o, b.name, TIME_NONE, 10000, count_one, &c, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(c.n == 1 && c.right);
	cr_assert(topic_read_back(&b.o, b.name, 1577836800001, 10000, count_one, &c, &e) == ERROR_NONE); // by time: from the beginning
	cr_assert(c.n == 2);
	s->ops->close(s);
	test_broker_close(&b);
}

Test(sink_kafka, a_commit_that_is_refused_is_unknown_and_a_stolen_epoch_is_fenced)
{
	struct test_broker b;
	test_broker_open(&b, false, "end");
	test_topic(&b, b.name, 1, NULL);
	struct txn_sink *s = txn_open(&b, 5000);
	struct error e = { 0 };
	rd_kafka_mock_push_request_errors(b.mock, API_END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
	cr_assert(publish(&b, s, &e) == TXN_UNKNOWN && e.cls == ERROR_RETRY, "%s", e.text);
	s->ops->close(s);
	s = txn_open(&b, 5000);
	e = (struct error){ 0 };
	rd_kafka_mock_push_request_errors(b.mock, API_END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
	cr_assert(publish(&b, s, &e) == TXN_FENCED, "%s", e.text);
	s->ops->close(s);
	test_broker_close(&b);
}

Test(sink_kafka, brokers_away_while_committing_is_unknown_and_while_opening_is_retry)
{
	struct test_broker b;
	test_broker_open(&b, false, "away");
	test_topic(&b, b.name, 1, NULL);
	struct txn_sink *s = txn_open(&b, 1000);
	rd_kafka_mock_broker_set_down(b.mock, 1);
	struct error e = { 0 };
	cr_assert(publish(&b, s, &e) == TXN_UNKNOWN, "%s", e.text);
	s->ops->close(s);
	e = (struct error){ 0 };
	cr_assert(sink_kafka_txn_open(&b.o, b.name, 500, &s, &e) == ERROR_RETRY, "%s", e.text);
	test_broker_close(&b);
}

Test(sink_kafka, a_client_that_may_not_publish_is_78)
{
	struct test_broker b;
	test_broker_open(&b, false, "refused");
	struct txn_sink *s;
	struct error e = { 0 };
	rd_kafka_mock_push_request_errors(b.mock, API_INIT_PRODUCER_ID, 1, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	cr_assert(sink_kafka_txn_open(&b.o, b.name, 5000, &s, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR, "%s", e.text);
	test_broker_close(&b);
}

// ---- dead letters

static const struct dlq_reason reason = { "decode", "json_syntax", "no JSON", 1577800000123 };

static struct dlq *dlq_open(struct test_broker *b)
{
	struct dlq *d = NULL;
	struct error e = { 0 };
	cr_assert(sink_kafka_dlq_open(&b->o, &d, &e) == ERROR_NONE, "%s", e.text);
	return d;
}

static void dlq_send(struct dlq *d, int64_t offset, size_t size)
{
	static char value[1000];
	struct record r = { .offset = offset, .value = { value, size } };
	struct error e = { 0 };
	cr_assert(d->ops->send(d, "t", 0, &r, &reason, &e) == ERROR_NONE, "%s", e.text);
}

struct letters {
	int n, truncated;
};

static bool count_letters(void *ctx, const struct topic_record *t)
{
	struct letters *l = ctx;
	l->n++;
	bool clock = false;
	for (uint32_t i = 0; i < t->r.n_headers; i++)
		clock = clock || (span_is(t->r.headers[i].name, "__meterd.errors.clock") && span_is(t->r.headers[i].value, "1577800000123"));
	cr_assert(clock);
	for (uint32_t i = 0; i < t->r.n_headers; i++)
		if (span_is(t->r.headers[i].name, "__meterd.errors.truncated")) {
			cr_assert(t->r.value.n == 0 && span_is(t->r.headers[i].value, "700"));
			l->truncated++;
		}
	return true;
}

static struct letters letters_of(struct test_broker *b)
{
	struct letters l = { 0 };
	struct error e = { 0 };
	cr_assert(topic_read_back(&b->o, b->name, TIME_NONE, 10000, count_letters, &l, &e) == ERROR_NONE, "%s", e.text);
	return l;
}

Test(sink_kafka, letters_wait_while_the_brokers_are_away_and_all_arrive)
{
	struct test_broker b;
	test_broker_open(&b, false, "dlq");
	test_topic(&b, b.name, 1, NULL);
	struct dlq *d = dlq_open(&b);
	dlq_send(d, 0, 10);
	cr_assert(d->ops->pending(d, 10000) == 0);
	rd_kafka_mock_broker_set_down(b.mock, 1);
	for (int i = 1; i <= 50; i++)
		dlq_send(d, i, 10);
	cr_assert(d->ops->pending(d, 200) == 50);
	rd_kafka_mock_broker_set_up(b.mock, 1);
	cr_assert(d->ops->pending(d, 30000) == 0);
	cr_assert(letters_of(&b).n >= 51);
	d->ops->close(d);
	test_broker_close(&b);
}

Test(sink_kafka, a_letter_too_large_alone_goes_without_its_value)
{
	struct test_broker b;
	test_broker_open(&b, false, "large");
	test_topic(&b, b.name, 1, NULL);
	struct dlq *d = dlq_open(&b);
	rd_kafka_mock_push_request_errors(b.mock, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
					  RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	dlq_send(d, 0, 700);
	cr_assert(d->ops->pending(d, 20000) == 0);
	struct letters l = letters_of(&b);
	cr_assert(l.n == 1 && l.truncated == 1, "%d %d", l.n, l.truncated);
	dlq_send(d, 1, 700);
	cr_assert(d->ops->pending(d, 20000) == 0);
	l = letters_of(&b);
	cr_assert(l.n == 2 && l.truncated == 1);
	d->ops->close(d);
	test_broker_close(&b);
}

Test(sink_kafka, dropping_forgets_and_a_full_queue_pushes_back)
{
	struct test_broker b;
	test_broker_open(&b, false, "full");
	test_topic(&b, b.name, 1, NULL);
	struct dlq *d = dlq_open(&b);
	rd_kafka_mock_broker_set_down(b.mock, 1);
	size_t size = 9000000;
	char *value = xcalloc(1, size);
	struct record r = { .value = { value, size } };
	struct error e = { 0 };
	enum error_class c = ERROR_NONE;
	int sent = 0;
	while (sent < 100 && (c = d->ops->send(d, "t", 0, &r, &reason, &e)) == ERROR_NONE)
		sent++;
	cr_assert(c == ERROR_RETRY && sent == 7, "%d", sent);
	cr_assert(d->ops->pending(d, 0) == 7);
	d->ops->drop(d);
	cr_assert(d->ops->pending(d, 0) == 0);
	d->ops->close(d);
	free(value);
	test_broker_close(&b);
}
