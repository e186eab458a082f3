// SPDX-License-Identifier: Apache-2.0
// The accounts topic read into a book, again and again: what is new, in order, each record once; faults in between.
#include <criterion/criterion.h>

#include "fake_kafka.h"
#include "journal/accounts_feed.h"

#define ACTIVATION(account, id, version) \
	"{\"type\":\"activation\",\"account\":\"" account "\",\"id\":\"" id "\",\"version\":" version ",\"time\":\"2020-01-03T08:00:00+08:00\"}"

struct feeding {
	struct fake_fault fault;
	struct fake_kafka k;
	struct accounts_feed *feed;
	struct accounts_feed_numbers n;
};

static void feeding_open(struct feeding *x)
{
	*x = (struct feeding){ .feed = accounts_feed_new() };
	fake_kafka_init(&x->k, 1, &x->fault);
}

static void feeding_close(struct feeding *x)
{
	accounts_feed_freep(&x->feed);
	fake_kafka_free(&x->k);
}

static enum error_class refresh(struct feeding *x, struct error *e)
{
	*e = (struct error){ 0 };
	enum error_class c = accounts_feed_refresh(x->feed, &fake_port, &x->k.o, 1000, e);
	accounts_feed_numbers(x->feed, &x->n);
	return c;
}

static void expect_offsets(struct feeding *x, int32_t n, int64_t first, int64_t second)
{
	const int64_t *at;
	cr_assert(accounts_feed_offsets(x->feed, &at) == n, "%d", accounts_feed_offsets(x->feed, &at));
	cr_expect(n < 1 || at[0] == first, "%lld", (long long)at[0]);
	cr_expect(n < 2 || at[1] == second, "%lld", (long long)at[1]);
}

Test(accounts_feed, reads_what_is_new_once)
{
	struct feeding x;
	struct error e;
	feeding_open(&x);
	cr_assert(refresh(&x, &e) == ERROR_NONE, "%s", e.text);
	expect_offsets(&x, 0, 0, 0);
	cr_expect(x.n.newest_ms == TIME_NONE);
	fake_event(&x.k, "meterd.accounts", 1, 5000, ACTIVATION("a", "act-1", "1"));
	fake_event(&x.k, "meterd.accounts", 0, 4000, ACTIVATION("b", "act-1", "1"));
	fake_event(&x.k, "meterd.accounts", 0, 4500, ACTIVATION("b", "act-1", "1"));
	cr_assert(refresh(&x, &e) == ERROR_NONE, "%s", e.text);
	expect_offsets(&x, 2, 2, 1);
	cr_expect(x.n.taken == 2 && x.n.repeated == 1 && x.n.refused == 0 && x.n.newest_ms == 5000);
	const struct account *a = account_book_find(accounts_feed_book(x.feed), SPAN_LIT("a"));
	cr_assert(a != NULL && account_book_size(accounts_feed_book(x.feed)) == 2);
	cr_assert(refresh(&x, &e) == ERROR_NONE);
	cr_expect(x.n.taken == 2 && x.n.repeated == 1, "read again");
	fake_event(&x.k, "meterd.accounts", 1, 6000, ACTIVATION("c", "act-1", "1"));
	cr_assert(refresh(&x, &e) == ERROR_NONE);
	expect_offsets(&x, 2, 2, 2);
	cr_expect(x.n.taken == 3 && account_book_size(accounts_feed_book(x.feed)) == 3);
	feeding_close(&x);
}

// A record that cannot be read is stepped over, counted once, and changes nothing.
Test(accounts_feed, refused_records_are_counted_once)
{
	struct feeding x;
	struct error e;
	feeding_open(&x);
	fake_event(&x.k, "meterd.accounts", 0, 1000, "no JSON");
	fake_event(&x.k, "meterd.accounts", 0, 1000, ACTIVATION("a", "act-1", "2"));
	fake_event(&x.k, "meterd.accounts", 0, 1000, ACTIVATION("a", "act-1", "1"));
	cr_assert(refresh(&x, &e) == ERROR_NONE && refresh(&x, &e) == ERROR_NONE);
	expect_offsets(&x, 1, 3, 0);
	cr_expect(x.n.taken == 1 && x.n.refused == 2, "%d %d", (int)x.n.taken, (int)x.n.refused);
	feeding_close(&x);
}

Test(accounts_feed, a_topic_that_is_missing_or_was_made_again)
{
	struct feeding x;
	struct error e;
	feeding_open(&x);
	fake_event(&x.k, "meterd.accounts", 0, 1000, ACTIVATION("a", "act-1", "1"));
	cr_assert(refresh(&x, &e) == ERROR_NONE);
	x.k.topics[4].parts[0].high = 0;
	cr_expect(refresh(&x, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR, "%s", e.text);
	x.k.topics[4].parts[0].high = 1;
	x.k.topics[4].name = "another";
	cr_expect(refresh(&x, &e) == ERROR_ABORT && e.exit_code == EXIT_LATER && strstr(e.text, "retention.ms=-1") != NULL, "%s", e.text);
	x.k.topics[4].name = "meterd.accounts";
	x.fault = (struct fake_fault){ .at = 1, .how = FAKE_LOST };
	cr_expect(refresh(&x, &e) == ERROR_RETRY);
	cr_expect(refresh(&x, &e) == ERROR_NONE && x.n.taken == 1);
	feeding_close(&x);
}

// Brokers that go away in the middle: what came was taken, and the next refresh goes on behind it.
static enum error_class read_one_then_fail(const struct kafka_options *o, const char *topic, const int64_t *starts, const int64_t *ends, int32_t n,
					   int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e)
{
	struct topic_record t = { 0, { .offset = 0, .timestamp_ms = 1, .value = SPAN_LIT(ACTIVATION("a", "act-1", "1")) } };
	(void)o, (void)topic, (void)starts, (void)timeout_ms;
	cr_assert(ends == NULL);
	cr_assert(n == 0);
	fn(ctx, &t);
	return error_set(e, ERROR_RETRY, 0, "away");
}

Test(accounts_feed, goes_on_behind_what_it_took)
{
	struct feeding x;
	struct error e = { 0 };
	const struct sink_port torn = { .read_from = read_one_then_fail };
	feeding_open(&x);
	fake_event(&x.k, "meterd.accounts", 0, 1, ACTIVATION("a", "act-1", "1"));
	fake_event(&x.k, "meterd.accounts", 0, 2, ACTIVATION("b", "act-1", "1"));
	cr_assert(accounts_feed_refresh(x.feed, &torn, &x.k.o, 1000, &e) == ERROR_RETRY);
	expect_offsets(&x, 1, 1, 0);
	cr_assert(refresh(&x, &e) == ERROR_NONE);
	cr_expect(x.n.taken == 2 && x.n.repeated == 0 && x.n.refused == 0);
	expect_offsets(&x, 1, 2, 0);
	feeding_close(&x);
}
