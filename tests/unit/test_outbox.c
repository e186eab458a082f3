// SPDX-License-Identifier: Apache-2.0
// The relay: identities and bytes of alerts, and the scenarios of models/m2_relay.py: a transaction whose end is unknown in every way,
// a store that goes back, a take-over, a late acknowledgement, twins with other content.
#include <criterion/criterion.h>

#include "fake_kafka.h"
#include "fake_store.h"
#include "outbox/outbox.h"
#include "outbox/reach.h"
#include "some_rules.h"

#define INIT "{\"type\":\"init\",\"init_id\":\"i\",\"shards\":4,\"schema\":1,\"parts\":[]}"

Test(outbox, identities)
{
	char id[33];
	// printf 'alert\n100001234567\nimage-tag\n2020-01\ntier.crossed\n1000000\n' | sha256sum | cut -c1-32
	identity_id(SPAN_LIT("alert\n100001234567\nimage-tag\n2020-01\ntier.crossed\n1000000\n"), id);
	cr_expect_str_eq(id, "76630f3425c1986ed8bf4f33270e6698");
	identity_id(SPAN_LIT("closed\n2020-01"), id);
	cr_expect_str_eq(id, "1d0a6ef8440ce2d71fd942a72f659b90");
	identity_id(SPAN_LIT(""), id);
	cr_expect_str_eq(id, "e3b0c44298fc1c149afbf4c8996fb924");
}

static struct outbox_entry crossing(void)
{
	return (struct outbox_entry){ .identity = SPAN_LIT("alert\n100001234567\nimage-tag\n2020-01\ntier.crossed\n1000000\n"),
		.type = OUTBOX_ALERT, .not_before_ms = 1579048200123, .rules_version = 1, .before = 999999, .after = 1000000,
		.part = SPAN_LIT("usage.calls/3"), .offset = 812, .time_ms = 1579048200123, .calls = 1, .read_ms = TIME_NONE,
		.event_id = SPAN_LIT("8c1f") };
}

static void expect_render(const struct outbox_entry *x, const struct rules *r, const char *data)
{
	struct error e = { 0 };
	char id[33], again[33];
	CLEANUP(freep) char *text = alert_render(x, r, NULL, "/meterd/g", id, &e);
	CLEANUP(freep) char *second = alert_render(x, r, NULL, "/meterd/g", again, &e);
	cr_assert(text != NULL, "%s", e.text);
	cr_expect_str_eq(text, second);
	const char *at = strstr(text, "\"data\":");
	cr_assert(at != NULL);
	cr_expect_str_eq(at + 7, data);
}

Test(outbox, tier_crossed_byte_for_byte)
{
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, NULL, NULL);
	struct outbox_entry x = crossing();
	struct error e = { 0 };
	char id[33];
	CLEANUP(freep) char *text = alert_render(&x, r, NULL, "/meterd/g", id, &e);
	cr_assert(text != NULL, "%s", e.text);
	cr_expect_str_eq(text,
		"{\"specversion\":\"1.0\",\"id\":\"76630f3425c1986ed8bf4f33270e6698\",\"source\":\"/meterd/g\",\"type\":\"meterd.tier.crossed.v1\","
		"\"subject\":\"100001234567/image-tag/2020-01\",\"time\":\"2020-01-15T00:30:00.123Z\",\"datacontenttype\":\"application/json\",\"data\":"
		"{\"kind\":\"tier.crossed\",\"account\":\"100001234567\",\"service\":\"image-tag\",\"period\":\"2020-01\",\"threshold\":1000000,"
		"\"calls_before\":999999,\"calls_after\":1000000,\"call\":{\"id\":\"8c1f\",\"source\":null,\"time\":\"2020-01-15T00:30:00.123Z\","
		"\"calls\":1,\"topic\":\"usage.calls\",\"partition\":3,\"offset\":812},\"catalog\":\"tiia-2020-01\",\"from_tier\":1,\"to_tier\":2,"
		"\"unit_price_from\":\"2.5\",\"unit_price_to\":\"2.2\",\"per\":1000,\"bill_before\":\"2474.9975\",\"bill_after\":\"2178\","
		"\"currency\":\"CNY\"}}");
}

Test(outbox, other_kinds)
{
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, NULL, NULL);
	struct outbox_entry x = crossing();
	x.identity = SPAN_LIT("alert\na.b:c@d-e_f\nimage-crop\n2020-02\nfree_quota.warning\n8000\n");
	x.before = 7995;
	x.after = 12000;
	x.calls = 4005;
	x.event_id = (struct span){ "\"\n\0\xe4\xb8\x96", 6 };
	x.event_source = SPAN_LIT("");
	expect_render(&x, r, "{\"kind\":\"free_quota.warning\",\"account\":\"a.b:c@d-e_f\",\"service\":\"image-crop\",\"period\":\"2020-02\","
		"\"threshold\":8000,\"calls_before\":7995,\"calls_after\":12000,\"call\":{\"id\":\"\\\"\\n\\u0000\xe4\xb8\x96\",\"source\":\"\","
		"\"time\":\"2020-01-15T00:30:00.123Z\",\"calls\":4005,\"topic\":\"usage.calls\",\"partition\":3,\"offset\":812},"
		"\"catalog\":\"tiia-2020-01\",\"quota\":10000,\"left\":0,\"share\":\"0.8\"}}");
	x.identity = SPAN_LIT("alert\na\nimage-crop\n2020-02\nfree_quota.exhausted\n10000\n");
	x.event_id = SPAN_LIT("x");
	x.event_source = SPAN_LIT("//gw");
	x.part = SPAN_LIT("a/b/12");
	expect_render(&x, r, "{\"kind\":\"free_quota.exhausted\",\"account\":\"a\",\"service\":\"image-crop\",\"period\":\"2020-02\","
		"\"threshold\":10000,\"calls_before\":7995,\"calls_after\":12000,\"call\":{\"id\":\"x\",\"source\":\"//gw\","
		"\"time\":\"2020-01-15T00:30:00.123Z\",\"calls\":4005,\"topic\":\"a/b\",\"partition\":12,\"offset\":812},"
		"\"catalog\":\"tiia-2020-01\",\"quota\":10000}}");
}

// One call over several bounds: each alert has the tiers of its own bound and the bills of the whole call. Upper bounds shift nothing.
Test(outbox, jump_and_month_of_activation)
{
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, "first_month: immediate", "first_month: next");
	struct outbox_entry x = crossing();
	struct error e = { 0 };
	char id[33];
	x.identity = SPAN_LIT("alert\na\nimage-tag\n2020-01\ntier.crossed\n3000000\n");
	x.before = 5000;
	x.after = 15010000;
	CLEANUP(freep) char *text = alert_render(&x, r, NULL, "s", id, &e);
	cr_expect(strstr(text, "\"from_tier\":2,\"to_tier\":3,\"unit_price_from\":\"2.2\",\"unit_price_to\":\"2\"") != NULL, "%s", text);
	cr_expect(strstr(text, "\"bill_before\":\"0\",\"bill_after\":\"22500\"") != NULL, "%s", text);
	x.first_month = true; // no quota yet
	CLEANUP(freep) char *first = alert_render(&x, r, NULL, "s", id, &e);
	cr_expect(strstr(first, "\"bill_before\":\"12.5\",\"bill_after\":\"22515\"") != NULL, "%s", first);
}

// A pack's alert says what held where it was found, whatever was said of the pack since.
Test(outbox, a_pack_is_rendered_in_the_version_that_held)
{
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, NULL, NULL);
	CLEANUP(account_book_freep) struct account_book *book = account_book_new();
	static const char *const said[] = {
		"{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":100,\"price\":\"1.00\",\"warn\":\"0.5\","
		"\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}",
		"{\"type\":\"pack.cancelled\",\"account\":\"a\",\"id\":\"p-1\",\"version\":3,\"from\":\"2020-05\"}",
		"{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":4,\"services\":[\"image-tag\",\"image-crop\"],\"calls\":100,\"price\":\"1.00\","
		"\"warn\":\"0.5\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}" };
	struct account_fault fault;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(account_book_apply(book, 0, i, 1577700000000 + i, span_of(said[i]), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
	static const char *const versions[] = { "p-1/1", "p-1/3", "p-1/4", "" };
	for (int i = 0; i < 4; i++) {
		struct outbox_entry x = crossing();
		struct error e = { 0 };
		char id[33];
		x.identity = SPAN_LIT("alert\na\np-1\n2020-01\npack.warning\n50\np-1");
		x.contract = span_of(versions[i]);
		x.has_taken = true;
		x.taken_after = 60;
		CLEANUP(freep) char *text = alert_render(&x, r, book, "s", id, &e);
		cr_assert(text != NULL, "%s", e.text);
		cr_expect_eq(strstr(text, "\"services\":[\"image-tag\",\"image-crop\"]") != NULL, i >= 2, "%s: %s", versions[i], text);
		cr_expect(strstr(text, "\"contract\"") == NULL && strstr(text, "\"pack\":\"p-1\",\"pack_calls\":100,") != NULL, "%s", text);
	}
	struct outbox_entry x = crossing();
	struct error e = { 0 };
	char id[33];
	x.identity = SPAN_LIT("alert\na\np-1\n2020-01\npack.warning\n50\np-1");
	x.contract = SPAN_LIT("p-1/");
	x.has_taken = true;
	cr_expect(alert_render(&x, r, book, "s", id, &e) == NULL && e.cls == ERROR_HALT);
}

Test(outbox, facts_that_do_not_fit_are_refused)
{
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, NULL, NULL);
	static const char *const bad[] = { "", "alert", "alert\na\nimage-tag\n2020-01\ntier.crossed\n1000000", "alert\na\nnone\n2020-01\ntier.crossed\n1000000\n",
		"alert\na\nimage-tag\n2020-1\ntier.crossed\n1000000\n", "alert\na\nimage-tag\n2020-01\ntier\n1000000\n",
		"alert\na\nimage-tag\n2020-01\ntier.crossed\n1000001\n", "alert\na\nimage-tag\n2020-01\ntier.crossed\n0\n",
		"alert\na\nimage-enhance\n2020-01\ntier.crossed\n1000000\n", "alert\na\nimage-tag\n2020-01\ntier.crossed\n1000000\npack",
		"alert\n\xff\nimage-tag\n2020-01\ntier.crossed\n1000000\n", "settlement\na\nimage-tag\n2020-01\ntier.crossed\n1000000\n" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct outbox_entry x = crossing();
		struct error e = { 0 };
		char id[33];
		x.identity = span_of(bad[i]);
		cr_expect(alert_render(&x, r, NULL, "s", id, &e) == NULL && e.cls == ERROR_HALT, "%s", bad[i]);
	}
}

// ---- the relay
struct bench {
	struct fake_fault fault;
	struct fake_kafka k;
	struct fake_store s;
	struct relay *relay;
	struct journal *j;
	struct error e;
};

#define TEST_NOW_MS INT64_C(1579049000000)
static int64_t test_now(void)
{
	return TEST_NOW_MS;
}

static struct relay *a_relay(struct bench *b)
{
	return relay_new(&(struct relay_options){ .port = &fake_port, .kafka = &b->k.o, .store = &b->s.s, .shards = 4, .transactional_id = "t",
		.source = "/meterd/g", .batch = 3, .timeout_ms = 1000, .wall_ms = test_now });
}

static void bench_open(struct bench *b, enum clock_mode clock)
{
	*b = (struct bench){ 0 };
	fake_kafka_init(&b->k, 1, &b->fault);
	fake_store_init(&b->s, 4, &b->fault);
	CLEANUP(rules_freep) struct rules *r = some_rules(clock, NULL, NULL);
	CLEANUP(freep) char *rules = journal_rules_record(1, TIME_NONE, r);
	b->j = journal_new();
	cr_assert(journal_apply(b->j, 0, SPAN_LIT(INIT), &b->e) == ERROR_NONE);
	cr_assert(journal_apply(b->j, 1, span_of(rules), &b->e) == ERROR_NONE);
	b->relay = a_relay(b);
	b->k.now_ms = 2000000000000;
}

static void bench_close(struct bench *b)
{
	relay_freep(&b->relay);
	journal_freep(&b->j);
	fake_store_free(&b->s);
	fake_kafka_free(&b->k);
}

static void put_alert(struct bench *b, uint32_t shard, const char *account, int64_t offset)
{
	CLEANUP(freep) char *identity = xasprintf("alert\n%s\nimage-tag\n2020-01\ntier.crossed\n1000000\n", account);
	struct outbox_entry x = crossing();
	x.identity = span_of(identity);
	x.offset = offset;
	fake_alert(&b->s.shard[shard], &x);
}

static void put_document(struct bench *b, uint32_t shard, const char *name, const char *value, int64_t not_before_ms)
{
	CLEANUP(freep) char *identity = xasprintf("settlement\n%s\nimage-tag\n2020-01\n0", name);
	char id[33];
	identity_id(span_of(identity), id);
	CLEANUP(freep) char *document = xasprintf("{\"specversion\":\"1.0\",\"id\":\"%s\",\"v\":\"%s\"}", id, value);
	fake_document(&b->s.shard[shard], span_of(identity), not_before_ms, span_of(name), span_of(document));
}

static enum relay_status drain(struct bench *b, bool *left)
{
	b->e = (struct error){ 0 };
	*left = false;
	return relay_drain(b->relay, b->j, NULL, left, &b->e);
}

static void drain_all(struct bench *b)
{
	bool left = true;
	for (int i = 0; i < 100 && left; i++)
		cr_assert(drain(b, &left) == RELAY_DONE, "%s", b->e.text);
	cr_assert(!left);
}

static void take(struct bench *b, int64_t oldest_ms)
{
	struct error e = { 0 };
	cr_assert(relay_take_over(b->relay, oldest_ms, &e) == RELAY_DONE, "%s", e.text);
}

Test(relay, publishes_each_once_with_key_and_type)
{
	struct bench b;
	struct relay_numbers n;
	bool left;
	bench_open(&b, CLOCK_WALL);
	cr_expect(drain(&b, &left) == RELAY_TAKE_OVER);
	take(&b, TIME_NONE);
	for (int i = 0; i < 10; i++) {
		CLEANUP(freep) char *account = xasprintf("a%d", i);
		put_alert(&b, (uint32_t)i % 4, account, i);
	}
	put_document(&b, 2, "a1", "x", TIME_NONE);
	drain_all(&b);
	cr_expect(fake_pending(&b.s) == 0);
	cr_expect(fake_count(&b.k, "meterd.alerts", "tier.crossed.v1") == 10 && fake_count(&b.k, "meterd.settlements", "\"v\"") == 1);
	drain_all(&b);
	relay_numbers(b.relay, &n);
	cr_expect(n.published == 11 && n.known == 11 && n.passes >= 2 && n.pending == 0 && n.already_out == 0 && n.take_overs == 1);
	for (int p = 0; p < 3; p++)
		for (size_t i = 0; i < fake_log(&b.k, "meterd.alerts", p)->n; i++) {
			const struct fake_message *m = &fake_log(&b.k, "meterd.alerts", p)->list[i];
			CLEANUP(freep) char *account = xasprintf("\"account\":\"%s\"", m->key);
			cr_expect(strstr(m->value, account) != NULL);
		}
	bench_close(&b);
}

// From the read of the crossing call to the committed transaction; documents, alerts without a time of reading, and those that were
// out already have none.
Test(relay, delay_of_alerts)
{
	struct bench b;
	struct relay_numbers n;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	struct outbox_entry x = crossing();
	x.read_ms = TEST_NOW_MS - 30;
	fake_alert(&b.s.shard[0], &x);
	x.identity = SPAN_LIT("alert\nother\nimage-tag\n2020-01\ntier.crossed\n1000000\n");
	x.read_ms = TEST_NOW_MS - 700;
	fake_alert(&b.s.shard[1], &x);
	x.identity = SPAN_LIT("alert\nthird\nimage-tag\n2020-01\ntier.crossed\n1000000\n");
	x.read_ms = TIME_NONE;
	fake_alert(&b.s.shard[2], &x);
	put_document(&b, 2, "a1", "x", TIME_NONE);
	drain_all(&b);
	relay_numbers(b.relay, &n);
	cr_expect(n.published == 4 && n.delay.total == 2 && n.delay.sum_us == 730000, "%llu of %llu us", (unsigned long long)n.delay.total,
		  (unsigned long long)n.delay.sum_us);
	x.read_ms = TEST_NOW_MS - 900; // the store went back: its twin is out
	fake_alert(&b.s.shard[2], &x);
	drain_all(&b);
	relay_numbers(b.relay, &n);
	cr_expect(n.already_out == 1 && n.delay.total == 2);
	bench_close(&b);
}

// Each way in which the end of a transaction can be unknown, and a fault at every other call: nothing twice, nothing lost.
Test(relay, every_fault_once)
{
	for (int how = FAKE_LOST; how <= FAKE_REPLY_LOST; how++) {
		for (long at = 1; at < 40; at++) {
			struct bench b;
			bench_open(&b, CLOCK_WALL);
			for (int i = 0; i < 7; i++) {
				CLEANUP(freep) char *account = xasprintf("a%d", i);
				put_alert(&b, (uint32_t)i % 4, account, i);
			}
			b.fault = (struct fake_fault){ .at = at, .how = (enum fake_outcome)how };
			for (int i = 0; i < 60; i++) {
				bool left;
				if (drain(&b, &left) == RELAY_TAKE_OVER)
					relay_take_over(b.relay, b.k.now_ms, &b.e);
			}
			cr_expect(fake_pending(&b.s) == 0 && fake_count(&b.k, "meterd.alerts", "tier") == 7, "fault %ld how %d: %d out", at, how,
				  fake_count(&b.k, "meterd.alerts", "tier"));
			bench_close(&b);
		}
	}
}

Test(relay, late_end_is_fenced_before_read_back)
{
	struct bench b;
	bool left;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_alert(&b, 0, "a", 1);
	b.k.end_late = true;
	cr_expect(drain(&b, &left) == RELAY_TAKE_OVER);
	cr_expect(!relay_in_charge(b.relay));
	take(&b, TIME_NONE);
	fake_late_end(&b.k);
	drain_all(&b);
	cr_expect(fake_count(&b.k, "meterd.alerts", "tier") == 1);
	// The end that arrives in time is found by the read-back.
	put_alert(&b, 0, "b", 1);
	b.k.end_late = true;
	cr_expect(drain(&b, &left) == RELAY_TAKE_OVER);
	fake_late_end(&b.k);
	take(&b, TIME_NONE);
	drain_all(&b);
	cr_expect(fake_count(&b.k, "meterd.alerts", "tier") == 2 && fake_pending(&b.s) == 0);
	bench_close(&b);
}

// The store goes back to before an entry was made and finds another crossing call on the way: the first published stands.
Test(relay, store_rolls_back_after_publishing)
{
	struct bench b;
	struct relay_numbers n;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	struct fake_shard before = fake_copy(&b.s.shard[1]);
	put_alert(&b, 1, "x", 5);
	drain_all(&b);
	fake_shard_free(&b.s.shard[1]);
	b.s.shard[1] = before;
	put_alert(&b, 1, "y", 9); // under the stream id that x had
	put_alert(&b, 1, "x", 7); // another call, so another content
	drain_all(&b);
	relay_numbers(b.relay, &n);
	cr_expect(fake_count(&b.k, "meterd.alerts", "\"x\"") == 1 && fake_count(&b.k, "meterd.alerts", "\"y\"") == 1);
	cr_expect(fake_count(&b.k, "meterd.alerts", "\"offset\":5") == 1 && n.twins_dropped == 1 && n.already_out == 0 && fake_pending(&b.s) == 0);
	bench_close(&b);
}

Test(relay, late_acknowledgement_takes_nothing_else)
{
	struct bench b;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	struct fake_shard before = fake_copy(&b.s.shard[0]);
	put_alert(&b, 0, "x", 5);
	CLEANUP(freep) char *stream_id = xstrdup(b.s.shard[0].out[0].stream_id), *identity = xstrdup(b.s.shard[0].out[0].identity);
	drain_all(&b);
	fake_shard_free(&b.s.shard[0]);
	b.s.shard[0] = before;
	put_alert(&b, 0, "y", 9);
	struct span id = span_of(stream_id), of = span_of(identity);
	cr_expect_str_eq(b.s.shard[0].out[0].stream_id, stream_id);
	cr_expect(b.s.s.ops->outbox_ack(&b.s.s, 0, &id, &of, 1, &b.e) == ERROR_NONE && fake_pending(&b.s) == 1);
	drain_all(&b);
	cr_expect(fake_count(&b.k, "meterd.alerts", "tier") == 2);
	bench_close(&b);
}

Test(relay, two_relays_take_turns)
{
	struct bench b;
	bool left;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_alert(&b, 0, "x", 5);
	struct relay *old = b.relay;
	b.relay = a_relay(&b);
	take(&b, TIME_NONE);
	struct relay *new = b.relay;
	b.relay = old; // a zombie wakes up: fenced, and nothing is out
	cr_expect(drain(&b, &left) == RELAY_FENCED && fake_count(&b.k, "meterd.alerts", "tier") == 0);
	cr_expect(drain(&b, &left) == RELAY_TAKE_OVER);
	struct message m = { .topic = "meterd.control", .value = SPAN_LIT("{}") };
	cr_expect(relay_publish(b.relay, &m, 1, &b.e) == RELAY_TAKE_OVER);
	b.relay = new;
	drain_all(&b);
	b.relay = old;
	put_alert(&b, 0, "x", 5); // back again through a rollback
	take(&b, TIME_NONE);
	drain_all(&b);
	cr_expect(fake_count(&b.k, "meterd.alerts", "tier") == 1 && fake_pending(&b.s) == 0);
	b.relay = new;
	relay_freep(&old);
	bench_close(&b);
}

// Read-back begins at `oldest`; an entry whose twin could be older has it done again, further back, before anything is sent.
Test(relay, reads_back_as_far_as_entries_reach)
{
	struct bench b;
	struct relay_numbers n;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	const int64_t hour = 3600000, day = 24 * hour;
	b.k.now_ms = 100 * day;
	put_document(&b, 0, "old", "x", 100 * day);
	drain_all(&b);
	b.k.now_ms = 200 * day;
	put_document(&b, 0, "old", "x", 100 * day); // through a rollback
	put_document(&b, 1, "new", "x", 200 * day);
	relay_freep(&b.relay);
	b.relay = a_relay(&b);
	take(&b, 200 * day);
	cr_expect(b.k.read_from_ms == 200 * day - hour);
	drain_all(&b);
	cr_expect(b.k.read_from_ms <= 100 * day - hour && b.k.read_from_ms != TIME_NONE);
	relay_numbers(b.relay, &n);
	cr_expect(fake_count(&b.k, "meterd.settlements", "\"v\"") == 2 && n.already_out == 1 && n.published == 1);
	long read_backs = b.k.read_backs;
	put_document(&b, 0, "old2", "x", 100 * day);
	drain_all(&b);
	cr_expect(b.k.read_backs == read_backs, "what is covered is not read again");
	put_document(&b, 0, "old3", "x", TIME_NONE);
	drain_all(&b);
	cr_expect(b.k.read_from_ms == TIME_NONE && b.k.read_backs > read_backs);
	bench_close(&b);
}

// A record's stamp may lie ahead of real time; where the log is the clock it says nothing about when a twin went out.
Test(relay, alerts_reach_back_further_than_their_stamp)
{
	struct bench b;
	bench_open(&b, CLOCK_WALL);
	take(&b, 1579048200123);
	put_alert(&b, 0, "x", 5);
	drain_all(&b);
	cr_expect(b.k.read_from_ms <= 1579048200123 - 86400000 - 3600000 && b.k.read_from_ms != TIME_NONE);
	bench_close(&b);
	bench_open(&b, CLOCK_RECORDS);
	take(&b, 0);
	put_alert(&b, 0, "x", 5);
	drain_all(&b);
	cr_expect(b.k.read_from_ms == TIME_NONE);
	bench_close(&b);
}

Test(relay, settlement_with_other_content_stays)
{
	struct bench b;
	struct relay_numbers n;
	bool left;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_document(&b, 0, "a", "x", TIME_NONE);
	drain_all(&b);
	for (int i = 0; i < 10; i++)
		put_document(&b, 0, "a", "other", TIME_NONE);
	for (int i = 0; i < 10; i++) { // behind them
		CLEANUP(freep) char *account = xasprintf("n%d", i);
		put_alert(&b, 0, account, i);
	}
	for (int i = 0; i < 30; i++)
		cr_assert(drain(&b, &left) == RELAY_DONE);
	relay_numbers(b.relay, &n);
	cr_expect(n.settlement_twin && strlen(n.settlement_twin_id) == 32 && !left);
	cr_expect(fake_pending(&b.s) == 10 && fake_count(&b.k, "meterd.alerts", "tier") == 10, "alerts go on");
	cr_expect(fake_count(&b.k, "meterd.settlements", "other") == 0 && n.pending == 10);
	// Once a person has taken the entries away, it is over.
	fake_shard_free(&b.s.shard[0]);
	drain_all(&b);
	relay_numbers(b.relay, &n);
	cr_expect(!n.settlement_twin);
	bench_close(&b);
}

// Documents from the one at `first` on become one entry.
static void join(struct bench *b, uint32_t shard, size_t first)
{
	struct fake_shard *h = &b->s.shard[shard];
	for (size_t i = first + 1; i < h->n_out; i++) {
		free(h->out[i].stream_id);
		h->out[i].stream_id = xstrdup(h->out[first].stream_id);
	}
}

static void put_joined(struct bench *b, const char *name, int n)
{
	size_t first = b->s.shard[0].n_out;
	for (int i = 0; i < n; i++) {
		CLEANUP(freep) char *document = xasprintf("%s%d", name, i);
		put_document(b, 0, document, "v", TIME_NONE);
	}
	join(b, 0, first);
}

Test(relay, documents_of_one_entry_go_together)
{
	struct bench b;
	bool left;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_joined(&b, "a", 8); // more than a batch
	put_joined(&b, "b", 2);
	put_joined(&b, "c", 2);
	cr_assert(drain(&b, &left) == RELAY_DONE && left);
	cr_expect(fake_count(&b.k, "meterd.settlements", "\"v\"") == 8 && fake_pending(&b.s) == 4);
	cr_assert(drain(&b, &left) == RELAY_DONE && left);
	cr_expect(fake_count(&b.k, "meterd.settlements", "\"v\"") == 12 && fake_pending(&b.s) == 0);
	bench_close(&b);
}

// Part of an entry is out already: by a generation of before, or by a version that had an entry for each.
Test(relay, an_entry_that_is_out_in_part_leaves_when_all_of_it_is)
{
	struct bench b;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_document(&b, 0, "a1", "v", TIME_NONE);
	drain_all(&b);
	put_joined(&b, "a", 4);
	drain_all(&b);
	cr_expect(fake_count(&b.k, "meterd.settlements", "\"v\"") == 4 && fake_pending(&b.s) == 0, "each once");
	bench_close(&b);
}

Test(relay, a_twin_in_an_entry_keeps_it_and_hides_nothing)
{
	struct bench b;
	struct relay_numbers n, later;
	bool left;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_document(&b, 0, "a2", "other", TIME_NONE);
	drain_all(&b);
	put_joined(&b, "a", 9); // all but one are out after the first pass: more than a batch
	put_alert(&b, 0, "behind", 1);
	for (int i = 0; i < 5; i++)
		cr_assert(drain(&b, &left) == RELAY_DONE);
	relay_numbers(b.relay, &n);
	cr_expect(!left && n.settlement_twin && n.pending == 9);
	cr_expect(fake_pending(&b.s) == 9 && fake_count(&b.k, "meterd.alerts", "tier") == 1 && fake_count(&b.k, "meterd.settlements", "\"v\":\"v\"") == 8);
	cr_assert(drain(&b, &left) == RELAY_DONE);
	relay_numbers(b.relay, &later);
	cr_expect(later.already_out == n.already_out && later.passes == n.passes + 1, "what stays is no progress");
	bench_close(&b);
}

// Its generation is not in force any more (adopt): what was published stands, and nothing halts.
Test(relay, settlement_of_a_generation_that_was_given_up_goes)
{
	struct bench b;
	struct relay_numbers n;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	put_document(&b, 0, "a", "x", TIME_NONE);
	drain_all(&b);
	put_document(&b, 0, "a", "other", TIME_NONE);
	put_document(&b, 0, "b", "new", TIME_NONE);
	for (size_t i = 0; i < b.s.shard[0].n_out; i++)
		b.s.shard[0].out[i].e.given_up = true;
	drain_all(&b);
	relay_numbers(b.relay, &n);
	cr_expect(!n.settlement_twin && n.twins_dropped == 1 && fake_pending(&b.s) == 0);
	cr_expect(fake_count(&b.k, "meterd.settlements", "other") == 0 && fake_count(&b.k, "meterd.settlements", "new") == 1, "what nobody published comes");
	bench_close(&b);
}

Test(relay, entry_that_cannot_be_rendered_does_not_stop_the_others)
{
	struct bench b;
	bool left;
	bench_open(&b, CLOCK_WALL);
	take(&b, TIME_NONE);
	struct outbox_entry bad = crossing();
	bad.identity = SPAN_LIT("alert\nz\nno-such-service\n2020-01\ntier.crossed\n1000000\n");
	for (int i = 0; i < 5; i++)
		fake_alert(&b.s.shard[0], &bad);
	for (int i = 0; i < 5; i++) {
		CLEANUP(freep) char *account = xasprintf("n%d", i);
		put_alert(&b, 0, account, i);
	}
	enum relay_status s = RELAY_DONE;
	for (int i = 0; i < 10; i++)
		s = drain(&b, &left);
	cr_expect(s == RELAY_HALT && strstr(b.e.text, "no such service") != NULL, "%s", b.e.text);
	cr_expect(fake_pending(&b.s) == 5 && fake_count(&b.k, "meterd.alerts", "tier") == 5);
	bad.identity = SPAN_LIT("alert\nq\nimage-tag\n2020-01\ntier.crossed\n1000000\n");
	bad.rules_version = 2;
	fake_shard_free(&b.s.shard[0]);
	fake_alert(&b.s.shard[0], &bad);
	cr_expect(drain(&b, &left) == RELAY_RETRY && fake_pending(&b.s) == 1, "rules that are not read yet");
	bench_close(&b);
}

// How far published alerts reach: the highest call of each partition; what a foreign id says in its text is no call.
Test(relay, reach_is_behind_the_last_call_that_was_told)
{
	CLEANUP(reach_free) struct reach r = { 0 };
	reach_take(&r, span_of("{\"data\":{\"call\":{\"id\":\"a\",\"source\":null,\"time\":\"t\",\"calls\":1,\"topic\":\"u\",\"partition\":3,\"offset\":41}}}"));
	reach_take(&r, span_of("{\"data\":{\"call\":{\"id\":\"\\\"topic\\\":\\\"x\\\"\",\"topic\":\"u\",\"partition\":3,\"offset\":17}}}"));
	reach_take(&r, span_of("{\"data\":{\"call\":null,\"cause\":\"contract c/1\"}}"));
	reach_take(&r, span_of("{\"data\":{\"cutoffs\":{\"u/3\":99}}}"));
	reach_take(&r, span_of("{\"data\":{\"call\":{\"topic\":\"u\",\"partition\":4,\"offset\":99999999999999999999}}}"));
	reach_take(&r, (struct span){ NULL, 0 });
	cr_expect_eq(reach_of(&r, "u/3"), 42);
	cr_expect_eq(reach_of(&r, "u/4"), 0);
	cr_expect_eq(r.n, 1u);
}
