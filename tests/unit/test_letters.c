// SPDX-License-Identifier: Apache-2.0
// How many rejected records wait: letters that lie twice, marks before and behind their letter, codes of another version, more than are kept; and the
// reader over a broker in this process.
#include <criterion/criterion.h>

#include <stdio.h>

#include "base/clock.h"
#include "kafka_test.h"
#include "letters/letters.h"

static void letter_of(struct letters_table *t, const char *topic, int64_t offset, const char *code)
{
	char number[24];
	snprintf(number, sizeof(number), "%lld", (long long)offset);
	struct header h[] = { { SPAN_LIT("trace"), SPAN_LIT("x") },
			      { SPAN_LIT("__meterd.errors.topic"), span_of(topic) },
			      { SPAN_LIT("__meterd.errors.partition"), SPAN_LIT("0") },
			      { SPAN_LIT("__meterd.errors.offset"), span_of(number) },
			      { SPAN_LIT("__meterd.errors.code"), span_of(code) },
			      { SPAN_LIT("__meterd.requeued"), SPAN_LIT("calls/0/1") } }; // it was given back before and rejected again
	struct record r = { .headers = h, .n_headers = ARRAY_LEN(h) };
	letters_table_take(t, &r);
}

static void mark(struct letters_table *t, const char *position)
{
	struct header h = { SPAN_LIT("__meterd.requeued"), span_of(position) };
	struct record r = { .headers = &h, .n_headers = 1 };
	letters_table_take(t, &r);
}

static uint64_t count(const struct letters_table *t, enum reject code)
{
	struct letters_numbers n = { 0 };
	letters_table_numbers(t, &n);
	return n.by_code[code];
}

Test(letters, each_counts_once_and_its_mark_takes_it_away)
{
	CLEANUP(letters_table_freep) struct letters_table *t = letters_table_new(1000);
	letter_of(t, "calls", 1, "service_unknown");
	letter_of(t, "calls", 2, "service_unknown");
	letter_of(t, "calls", 2, "service_unknown"); // sent twice
	letter_of(t, "other", 2, "json_syntax");
	cr_expect_eq(count(t, REJECT_SERVICE_UNKNOWN), 2);
	cr_expect_eq(count(t, REJECT_JSON_SYNTAX), 1);
	mark(t, "calls/0/2");
	mark(t, "calls/0/2");
	letter_of(t, "calls", 2, "service_unknown"); // a copy that comes late
	cr_expect_eq(count(t, REJECT_SERVICE_UNKNOWN), 1);
	mark(t, "other/0/7"); // lies in another partition of the topic, which is read before
	letter_of(t, "other", 7, "json_syntax");
	cr_expect_eq(count(t, REJECT_JSON_SYNTAX), 1);
	letter_of(t, "calls", 9, "of_next_year");
	cr_expect_eq(count(t, REJECT_NONE), 1);
	mark(t, "calls/0/9");
	cr_expect_eq(count(t, REJECT_NONE), 0);
}

Test(letters, records_of_others_are_none)
{
	CLEANUP(letters_table_freep) struct letters_table *t = letters_table_new(1000);
	struct header h[] = { { SPAN_LIT("__meterd.errors.topic"), SPAN_LIT("calls") }, { SPAN_LIT("__meterd.errors.partition"), SPAN_LIT("x") } };
	struct record r = { .headers = h, .n_headers = 2 }, bare = { 0 };
	letters_table_take(t, &r);
	letters_table_take(t, &bare);
	static const char *const nowhere[] = { "-1", "2147483648", "4294967299" };
	for (size_t i = 0; i < ARRAY_LEN(nowhere); i++) {
		char position[LETTERS_POSITION];
		struct header all[] = { h[0], { h[1].name, span_of(nowhere[i]) }, { SPAN_LIT("__meterd.errors.offset"), SPAN_LIT("1") } };
		struct record other = { .headers = all, .n_headers = 3 };
		cr_expect(!letters_position(&other, position), "partition %s", nowhere[i]);
		letters_table_take(t, &other);
	}
	for (int i = 0; i < REJECT_COUNT; i++)
		cr_expect_eq(count(t, (enum reject)i), 0);
}

Test(letters, it_grows_and_ends_somewhere)
{
	CLEANUP(letters_table_freep) struct letters_table *t = letters_table_new(50000);
	struct letters_numbers n = { 0 };
	for (int i = 0; i < 50000; i++)
		letter_of(t, "calls", i, "empty");
	letters_table_numbers(t, &n);
	cr_expect(n.by_code[REJECT_EMPTY] == 50000 && !n.full);
	letter_of(t, "calls", 50000, "empty");
	letter_of(t, "calls", 7, "empty");
	mark(t, "calls/0/3");
	letters_table_numbers(t, &n);
	cr_expect(n.by_code[REJECT_EMPTY] == 49999 && n.full);
}

// ---- the reader
static void put(struct test_broker *b, int64_t offset, const char *given_back)
{
	char number[24];
	snprintf(number, sizeof(number), "%lld", (long long)offset);
	rd_kafka_headers_t *h = rd_kafka_headers_new(4);
	if (given_back != NULL) {
		rd_kafka_header_add(h, "__meterd.requeued", -1, given_back, -1);
	} else {
		rd_kafka_header_add(h, "__meterd.errors.topic", -1, "calls", -1);
		rd_kafka_header_add(h, "__meterd.errors.partition", -1, "0", -1);
		rd_kafka_header_add(h, "__meterd.errors.offset", -1, number, -1);
		rd_kafka_header_add(h, "__meterd.errors.code", -1, "empty", -1);
	}
	cr_assert(rd_kafka_producev(b->rk, RD_KAFKA_V_TOPIC("dlq"), RD_KAFKA_V_PARTITION((int32_t)(offset % 2)), RD_KAFKA_V_VALUE((void *)(uintptr_t) "v", 1),
				    RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) == 0);
	cr_assert(rd_kafka_flush(b->rk, 20000) == 0);
}

static void wait_until(struct letters *l, uint64_t left)
{
	struct letters_numbers n = { 0 };
	do {
		clock_sleep_ms(20);
		letters_numbers(l, &n);
	} while (!n.known || n.by_code[REJECT_EMPTY] != left); // the suite's time-out ends it
}

Test(letters, what_comes_is_followed, .timeout = 60)
{
	struct test_broker b;
	struct letters_numbers n = { 0 };
	test_broker_open(&b, false, "letters");
	b.o.dlq_topic = "dlq";
	test_topic(&b, "dlq", 2, NULL);
	put(&b, 1, NULL);
	put(&b, 2, NULL);
	CLEANUP(letters_freep) struct letters *l = letters_new(&b.o);
	letters_numbers(l, &n);
	cr_expect(!n.known);
	letters_watch(l);
	letters_watch(l);
	wait_until(l, 2);
	put(&b, 4, NULL);
	wait_until(l, 3);
	put(&b, 0, "calls/0/1");
	wait_until(l, 2);
	letters_freep(&l);
	test_broker_close(&b);
}
