// SPDX-License-Identifier: Apache-2.0
// Letters as they lie in the dead-letter topic, and giving records back over a Kafka in memory: as they came, once, whatever fails and whoever else is
// at it.
#include <criterion/criterion.h>

#include "fake_kafka.h"
#include "letters/box.h"

static struct fake_fault fault;
static struct fake_kafka kafka;
static struct letters_ends ends;
static const struct letters_wish any = { .since_ms = INT64_MIN, .until_ms = INT64_MAX };

static void begin(void)
{
	fault = (struct fake_fault){ 0 };
	fake_kafka_init(&kafka, 2, &fault);
	kafka.topics[5].name = "dlq";
	kafka.topics[5].partitions = 2;
	kafka.n_topics = 6;
	kafka.o.dlq_topic = "dlq";
	ends = (struct letters_ends){ .port = &fake_port, .kafka = &kafka.o, .field_account = "account" };
}

static void end(void)
{
	fake_kafka_free(&kafka);
}

TestSuite(requeue, .init = begin, .fini = end);

static void put(int32_t partition, const struct header *h, uint32_t n, const char *key, const char *value, int64_t stamp_ms)
{
	struct message m = { .topic = "dlq", .partition = partition, .key = span_of(key), .value = span_of(value), .headers = h, .n_headers = n, .timestamp_ms = stamp_ms };
	fake_append(&kafka, fake_message(&kafka, &m));
}

// As the sink writes it: the record's own header first, then those of meterd.
static void letter(const char *topic, const char *partition, const char *offset, const char *code, const char *stamp, const char *value, bool truncated)
{
	struct header h[] = { { SPAN_LIT("trace"), SPAN_LIT("t-1") },
			      { SPAN_LIT("null"), { 0 } },
			      { SPAN_LIT("__meterd.requeued"), SPAN_LIT("usage.calls/0/1") }, // of an earlier time
			      { SPAN_LIT("__meterd.requeued.clock"), SPAN_LIT("1") },
			      { SPAN_LIT("__meterd.requeued.timestamp"), SPAN_LIT("1") },
			      { SPAN_LIT("__meterd.errors.clock"), SPAN_LIT("2500") },
			      { SPAN_LIT("__meterd.errors.topic"), span_of(topic) },
			      { SPAN_LIT("__meterd.errors.partition"), span_of(partition) },
			      { SPAN_LIT("__meterd.errors.offset"), span_of(offset) },
			      { SPAN_LIT("__meterd.errors.timestamp"), span_of(stamp) },
			      { SPAN_LIT("__meterd.errors.stage"), SPAN_LIT("decode") },
			      { SPAN_LIT("__meterd.errors.code"), span_of(code) },
			      { SPAN_LIT("__meterd.errors.message"), SPAN_LIT("why") },
			      { SPAN_LIT("__meterd.errors.truncated"), SPAN_LIT("9") } };
	put(0, h, ARRAY_LEN(h) - !truncated, "k", value, 77);
}

static void some_letters(void)
{
	letter("usage.calls", "0", "5", "service_unknown", "1000", "{\"account\":\"a\"}", false);
	letter("usage.calls", "1", "6", "json_syntax", "2000", "not JSON", false);
	letter("usage.calls", "1", "6", "json_syntax", "2000", "not JSON", false); // sent twice
	letter("usage.calls", "1", "7", "service_unknown", "3000", "{\"data\":{\"account\":\"b\"}}", false);
	letter("usage.calls", "1", "8", "json_syntax", "4000", "", true);
	letter("meterd.control", "0", "0", "json_syntax", "5000", "{}", false); // forged, or of a topic that was an input once
}

// Nobody's partition is another one's.
Test(requeue, a_letter_of_no_partition_is_nobodys)
{
	letter("usage.calls", "4294967297", "5", "json_syntax", "1000", "{}", false); // 1, where it is cut to 32 bits
	letter("usage.calls", "-1", "5", "json_syntax", "1000", "{}", false);         // any, to a producer
	letter("usage.calls", "1", "-5", "json_syntax", "1000", "{}", false);
	struct letters_sums n = { 0 };
	struct error e = { 0 };
	cr_assert_eq(letters_give_back(&ends, &any, false, &n, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(n.chosen, 0);
	cr_expect_eq(fake_log(&kafka, "usage.calls", 0)->n + fake_log(&kafka, "usage.calls", 1)->n, 0);
}

static const struct fake_message *given(int32_t partition, size_t i)
{
	const struct fake_log *l = fake_log(&kafka, "usage.calls", partition);
	cr_assert_lt(i, l->n);
	return &l->list[i];
}

static size_t in_input(void)
{
	return fake_log(&kafka, "usage.calls", 0)->n + fake_log(&kafka, "usage.calls", 1)->n;
}

static struct letters_sums give_back(const struct letters_wish *w, bool only_tell, enum error_class want)
{
	struct letters_sums n = { 0 };
	struct error e = { 0 };
	cr_expect_eq(letters_give_back(&ends, w, only_tell, &n, &e), want, "%s", e.text);
	return n;
}

Test(requeue, a_record_goes_back_as_it_came)
{
	some_letters();
	struct letters_sums n = give_back(&any, false, ERROR_NONE);
	cr_expect(n.chosen == 3 && n.given_back == 3 && n.truncated == 1 && n.elsewhere == 1);
	cr_assert_eq(fake_log(&kafka, "usage.calls", 0)->n, 1);
	cr_assert_eq(fake_log(&kafka, "usage.calls", 1)->n, 2);
	cr_expect_eq(fake_log(&kafka, "meterd.control", 0)->n, 0, "nowhere else is written");
	const struct fake_message *m = given(0, 0);
	cr_expect_str_eq(m->value, "{\"account\":\"a\"}");
	cr_expect_str_eq(m->key, "k");
	cr_expect_eq(m->timestamp_ms, 1000);
	cr_assert_eq(m->n_headers, 5);
	cr_expect(span_is(m->headers[0].name, "trace") && span_is(m->headers[0].value, "t-1"));
	cr_expect(span_is(m->headers[1].name, "null") && m->headers[1].value.p == NULL);
	cr_expect(span_is(m->headers[2].name, "__meterd.requeued") && span_is(m->headers[2].value, "usage.calls/0/5"));
	cr_expect(span_is(m->headers[3].name, "__meterd.requeued.clock") && span_is(m->headers[3].value, "2500"));
	cr_expect(span_is(m->headers[4].name, "__meterd.requeued.timestamp") && span_is(m->headers[4].value, "1000"));
	cr_expect_eq(give_back(&any, false, ERROR_NONE).chosen, 0, "once");
	cr_expect_eq(in_input(), 3);
}

// Forged: partition 1 by its lowest 32 bits, wherever a partitioner likes, and none.
Test(requeue, a_letter_of_no_partition_is_none)
{
	letter("usage.calls", "4294967297", "5", "json_syntax", "1000", "{}", false);
	letter("usage.calls", "-1", "5", "json_syntax", "1000", "{}", false);
	letter("usage.calls", "1", "-5", "json_syntax", "1000", "{}", false);
	cr_expect_eq(give_back(&any, false, ERROR_NONE).chosen, 0);
	cr_expect_eq(in_input(), 0);
}

Test(requeue, who_only_asks_changes_nothing)
{
	some_letters();
	struct letters_sums n = give_back(&any, true, ERROR_NONE);
	cr_expect(n.chosen == 3 && n.given_back == 0);
	cr_expect_eq(in_input(), 0);
	cr_expect_eq(kafka.ids[0].epoch, 0, "nobody is fenced");
}

static uint32_t chosen(struct letters_wish w)
{
	return give_back(&w, true, ERROR_NONE).chosen;
}

Test(requeue, some_of_them)
{
	some_letters();
	cr_expect_eq(chosen((struct letters_wish){ .code = "service_unknown", .since_ms = INT64_MIN, .until_ms = INT64_MAX }), 2);
	cr_expect_eq(chosen((struct letters_wish){ .account = "b", .since_ms = INT64_MIN, .until_ms = INT64_MAX }), 1);
	cr_expect_eq(chosen((struct letters_wish){ .since_ms = 2000, .until_ms = 3000 }), 1);
	cr_expect_eq(chosen((struct letters_wish){ .position = "usage.calls/1/7", .since_ms = INT64_MIN, .until_ms = INT64_MAX }), 1);
	cr_expect_eq(chosen((struct letters_wish){ .position = "usage.calls/1/70", .since_ms = INT64_MIN, .until_ms = INT64_MAX }), 0);
	struct letters_wish seven = { .position = "usage.calls/1/7", .since_ms = INT64_MIN, .until_ms = INT64_MAX };
	cr_expect_eq(give_back(&seven, false, ERROR_NONE).given_back, 1);
	seven.given_back = true; // never twice, whatever is wished
	cr_expect_eq(give_back(&seven, false, ERROR_NONE).given_back, 0);
}

Test(requeue, letters_and_marks_in_any_order)
{
	struct error e = { 0 };
	struct header mark = { SPAN_LIT("__meterd.requeued"), SPAN_LIT("usage.calls/1/7") };
	put(0, &mark, 1, "usage.calls/1/7", "", 1); // in a partition that is read before
	some_letters();
	mark.value = SPAN_LIT("usage.calls/1/99"); // its letter is gone
	put(1, &mark, 1, "usage.calls/1/99", "", 1);
	CLEANUP(letters_box_freep) struct letters_box *b = NULL;
	cr_assert_eq(letters_box_read(&ends, &b, &e), ERROR_NONE, "%s", e.text);
	int n = 0;
	for (const struct letter *l = letters_box_next(b, NULL); l != NULL; l = letters_box_next(b, l))
		n++;
	cr_expect_eq(n, 5);
	cr_expect(letters_box_find(b, "usage.calls/1/7")->given_back);
	cr_expect(!letters_box_find(b, "usage.calls/0/5")->given_back);
	cr_expect_null(letters_box_find(b, "usage.calls/1/99"));
}

// Whatever call fails, before or after it took effect, and whatever it was told: the same command again gives back what is left, once.
Test(requeue, each_call_fails_once)
{
	static const enum fake_outcome how[] = { FAKE_LOST, FAKE_REPLY_LOST };
	for (size_t h = 0; h < 2; h++)
		for (long at = 1;; at++) {
			begin();
			some_letters();
			fault.at = at;
			fault.how = how[h];
			struct letters_sums n = { 0 };
			struct error e = { 0 };
			enum error_class c = letters_give_back(&ends, &any, false, &n, &e);
			if (!fault.fired) {
				cr_expect_gt(at, 3, "opened, read, published");
				end();
				break;
			}
			cr_expect_eq(c, ERROR_RETRY);
			cr_expect(e.text[0] != '\0');
			give_back(&any, false, ERROR_NONE);
			cr_expect_eq(in_input(), 3, "call %ld", at);
			end();
		}
	begin();
}

// The end of a transaction is under way: who opens anew ends it, one way or the other, before it reads the marks.
Test(requeue, an_end_under_way)
{
	some_letters();
	kafka.end_late = true;
	give_back(&any, false, ERROR_RETRY);
	cr_expect_eq(in_input(), 0);
	give_back(&any, false, ERROR_NONE);
	cr_expect_eq(in_input(), 3);
}

static void other_hand(void *ctx)
{
	(void)ctx;
	give_back(&any, false, ERROR_NONE);
}

Test(requeue, two_hands)
{
	for (long at = 1; at <= 3; at++) {
		begin();
		some_letters();
		fault = (struct fake_fault){ .at = at, .how = FAKE_OK, .also = other_hand };
		struct letters_sums n = { 0 };
		struct error e = { 0 };
		enum error_class c = letters_give_back(&ends, &any, false, &n, &e);
		cr_expect(at == 3 ? c == ERROR_RETRY && strstr(e.text, "fenced") != NULL : c == ERROR_NONE, "call %ld: %d %s", at, c, e.text);
		cr_expect_eq(in_input(), 3, "call %ld", at);
		end();
	}
	begin();
}
