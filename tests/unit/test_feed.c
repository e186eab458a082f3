// SPDX-License-Identifier: Apache-2.0
// The feed of alerts over a log that a test writes: each reader is given each alert behind its place once, whether it lies in the ring,
// behind it, or comes while it waits; who is too slow is told so; a place of one process is good for the next.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "published/feed.h"

enum { PARTS = 3, MOST = 3000 };

// A topic of PARTS partitions; every offset is a record.
struct log {
	pthread_mutex_t lock;
	pthread_cond_t more;
	int64_t low[PARTS], high[PARTS];
	bool away;
	int opened;
};
static struct log the_log = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { 0 }, { 0 }, false, 0 };

static bool give_from(struct topic_places *at, topic_reader_fn *fn, void *ctx, bool *ret_gave)
{
	for (int p = 0; p < PARTS; p++) {
		while (at->next[p] < the_log.high[p]) {
			char value[60];
			snprintf(value, sizeof(value), "{\"data\":{\"account\":\"a%d\"},\"id\":\"%d/%ld\"}", p, p, (long)at->next[p]);
			struct topic_record t = { .partition = p, .r = { .offset = at->next[p]++, .value = span_of(value) } };
			*ret_gave = true;
			pthread_mutex_unlock(&the_log.lock);
			bool more = fn(ctx, &t);
			pthread_mutex_lock(&the_log.lock);
			if (!more)
				return false;
		}
	}
	return true;
}

static enum error_class read_log(const struct kafka_options *o, const char *topic, struct topic_places *at, int64_t tail, bool follow, int timeout_ms,
				 topic_reader_fn *fn, void *ctx, struct error *e)
{
	(void)o, (void)topic, (void)timeout_ms;
	pthread_mutex_lock(&the_log.lock);
	struct topic_places from = { 0 };
	int64_t next[PARTS];
	if (the_log.away) {
		pthread_mutex_unlock(&the_log.lock);
		return error_set(e, ERROR_RETRY, 0, "kafka: away");
	}
	from = (struct topic_places){ PARTS, next, false };
	for (int p = 0; p < PARTS; p++) {
		next[p] = p < at->n ? at->next[p] : at->n == 0 && the_log.high[p] - the_log.low[p] > tail ? the_log.high[p] - tail : the_log.low[p];
		if (next[p] < the_log.low[p] || next[p] > the_log.high[p])
			from.lost = true, next[p] = the_log.low[p];
	}
	places_copy(at, &from);
	the_log.opened++;
	pthread_cond_broadcast(&the_log.more);
	bool gave = false, go_on = give_from(&from, fn, ctx, &gave);
	while (go_on && follow && !the_log.away) {
		pthread_mutex_unlock(&the_log.lock);
		go_on = fn(ctx, NULL);
		pthread_mutex_lock(&the_log.lock);
		if (go_on)
			go_on = give_from(&from, fn, ctx, &gave);
	}
	if (!the_log.away)
		places_copy(at, &from);
	bool away = the_log.away;
	pthread_mutex_unlock(&the_log.lock);
	return away ? error_set(e, ERROR_RETRY, 0, "kafka: away") : ERROR_NONE;
}

static void append(int p, int64_t n)
{
	pthread_mutex_lock(&the_log.lock);
	the_log.high[p] += n;
	pthread_mutex_unlock(&the_log.lock);
}

static struct feed *open_feed(void)
{
	struct feed *f = feed_new(&(struct feed_options){ .topic = "alerts", .read = read_log });
	feed_start(f);
	return f;
}

static void reset(void)
{
	memset(the_log.low, 0, sizeof(the_log.low));
	memset(the_log.high, 0, sizeof(the_log.high));
	the_log.away = false;
}

// An alert must be the next of its partition.
static enum feed_next take_one(struct feed_reader *r, int64_t next[PARTS])
{
	char *json = NULL;
	int p;
	long offset;
	enum feed_next got = feed_next(r, 5000, &json);
	if (got != FEED_ALERT)
		return got;
	cr_assert_eq(sscanf(strstr(json, "\"id\":\""), "\"id\":\"%d/%ld", &p, &offset), 2, "%s", json);
	cr_assert_eq(offset, next[p], "partition %d: %ld instead of %ld", p, offset, (long)next[p]);
	next[p]++;
	free(json);
	return got;
}

static void take(struct feed_reader *r, int64_t next[PARTS], int n)
{
	for (; n > 0; n--) {
		enum feed_next got = take_one(r, next);
		cr_assert_eq(got, FEED_ALERT, "got %d with %d to come", (int)got, n);
	}
}

static void expect_nothing(struct feed_reader *r)
{
	char *json = NULL;
	cr_expect_eq(feed_next(r, 1, &json), FEED_NOTHING);
}

static struct feed_reader *resume(struct feed *f, const char *place)
{
	struct topic_places p = { 0 };
	cr_assert(places_parse(span_of(place), &p), "%s", place);
	struct feed_reader *r = feed_reader_new(f, &p);
	places_free(&p);
	return r;
}

Test(feed, places)
{
	static const char *const bad[] = { "", ".", "1.", ".1", "1..2", "-1", "1.-2", "x", "1 ", "1.9223372036854775808" };
	struct topic_places p = { 0 };
	char text[PLACES_TEXT];
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect(!places_parse(span_of(bad[i]), &p), "%s", bad[i]);
	cr_assert(places_parse(span_of("0.12.9223372036854775807"), &p));
	cr_expect_eq(p.n, 3);
	cr_expect_str_eq(places_text(&p, text), "0.12.9223372036854775807");
	places_free(&p);
	char *many = xcalloc(1, 2 * PLACES_MOST + 4);
	for (int i = 0; i <= PLACES_MOST; i++)
		memcpy(many + 2 * i, "1.", 2);
	many[2 * PLACES_MOST - 1] = '\0';
	cr_expect(places_parse(span_of(many), &p));
	cr_expect_eq(p.n, PLACES_MOST);
	places_free(&p);
	many[2 * PLACES_MOST - 1] = '.', many[2 * PLACES_MOST + 1] = '\0';
	cr_expect(!places_parse(span_of(many), &p), "one partition too many");
	free(many);
}

Test(feed, recent_and_from_then_on, .timeout = 60)
{
	reset();
	append(0, 2);
	append(2, 1);
	CLEANUP(feed_freep) struct feed *f = open_feed();
	struct error why = { 0 };
	char place[PLACES_TEXT], *list = NULL;
	int64_t next[PARTS] = { 0 };
	CLEANUP(feed_reader_freep) struct feed_reader *all = resume(f, "0.0.0");
	take(all, next, 3);
	list = feed_recent(f, 2, NULL, place, &why);
	cr_assert(list != NULL);
	cr_expect_str_eq(list, "[{\"data\":{\"account\":\"a2\"},\"id\":\"2/0\"},\n{\"data\":{\"account\":\"a0\"},\"id\":\"0/1\"}]");
	cr_expect_str_eq(place, "2.0.1");
	free(list);
	list = feed_recent(f, 100, "a0", place, &why);
	cr_expect_str_eq(list, "[{\"data\":{\"account\":\"a0\"},\"id\":\"0/1\"},\n{\"data\":{\"account\":\"a0\"},\"id\":\"0/0\"}]");
	free(list);
	CLEANUP(feed_reader_freep) struct feed_reader *behind = resume(f, place), *live = feed_reader_new(f, NULL);
	expect_nothing(live);
	expect_nothing(behind);
	append(1, 5);
	int64_t other[PARTS] = { 2, 0, 1 }, third[PARTS] = { 2, 0, 1 };
	take(behind, other, 5);
	take(live, third, 5);
	take(all, next, 5);
	expect_nothing(all);
	cr_expect_str_eq(feed_reader_place(live, place), "2.5.1");
}

// Across processes: what the ring does not reach back to is read from the topic, once each, then it goes on live.
Test(feed, an_old_place_is_read_back_to_the_ring, .timeout = 60)
{
	reset();
	for (int p = 0; p < PARTS; p++)
		append(p, MOST);
	CLEANUP(feed_freep) struct feed *f = open_feed();
	CLEANUP(feed_reader_freep) struct feed_reader *r = resume(f, "10.2999");
	int64_t next[PARTS] = { 10, 2999, 0 };
	take(r, next, MOST - 10 + 1 + MOST);
	append(1, 1);
	take(r, next, 1);
	expect_nothing(r);
}

// A restart at any point: the place of what was given last is where another process goes on.
Test(feed, each_once_over_restarts, .timeout = 60)
{
	reset();
	int64_t next[PARTS] = { 0 };
	char place[PLACES_TEXT] = "0.0.0";
	for (int round = 0; round < 20; round++) {
		append(round % PARTS, 150);
		append((round + 1) % PARTS, 7);
		struct feed *f = open_feed();
		struct feed_reader *r = resume(f, place);
		for (int n = 40 + 11 * round; n > 0;) {
			enum feed_next got = take_one(r, next);
			n -= got == FEED_ALERT;
			feed_reader_place(r, place);
			if (got != FEED_BEHIND)
				continue;
			feed_reader_freep(&r); // the machine had it fall behind: it comes again, as it is told to
			r = resume(f, place);
		}
		feed_reader_freep(&r);
		feed_freep(&f);
		if (next[0] + next[1] + next[2] > 157 * (round + 1) - 100)
			append(2, 300);
	}
}

Test(feed, a_slow_reader_is_told_so_and_comes_again, .timeout = 60)
{
	reset();
	append(0, 1);
	CLEANUP(feed_freep) struct feed *f = open_feed();
	struct feed_reader *slow = resume(f, "0.0.0");
	int64_t next[PARTS] = { 0 };
	char *json = NULL, place[PLACES_TEXT];
	take(slow, next, 1);
	append(1, FEED_RECORDS + 50);
	for (enum feed_next n = FEED_NOTHING; n != FEED_BEHIND;) {
		struct error why = { 0 };
		free(feed_recent(f, 1, NULL, place, &why));
		if (strcmp(place, "1.1050.0") != 0)
			continue; // the feed has not read all of it
		n = feed_next(slow, 1, &json);
		cr_assert_eq(n, FEED_BEHIND, "%d", (int)n);
	}
	feed_reader_place(slow, place);
	feed_reader_freep(&slow);
	slow = resume(f, place);
	take(slow, next, FEED_RECORDS + 50);
	feed_reader_freep(&slow);
}

Test(feed, what_retention_took_is_said, .timeout = 60)
{
	reset();
	append(0, 2000);
	the_log.low[0] = 1500;
	CLEANUP(feed_freep) struct feed *f = open_feed();
	CLEANUP(feed_reader_freep) struct feed_reader *r = resume(f, "100.0.0");
	int64_t next[PARTS] = { 1500, 0, 0 };
	char *json = NULL;
	cr_assert_eq(feed_next(r, 5000, &json), FEED_GAP);
	take(r, next, 500);
	expect_nothing(r);
}

Test(feed, kafka_away_and_back, .timeout = 60)
{
	reset();
	append(0, 1);
	the_log.away = true;
	CLEANUP(feed_freep) struct feed *f = open_feed();
	struct error why = { 0 };
	char place[PLACES_TEXT];
	while (strstr(why.text, "away") == NULL) {
		why = (struct error){ 0 };
		cr_assert(feed_recent(f, 1, NULL, place, &why) == NULL);
	}
	CLEANUP(feed_reader_freep) struct feed_reader *r = resume(f, "0.0.0");
	expect_nothing(r);
	pthread_mutex_lock(&the_log.lock);
	the_log.away = false;
	pthread_mutex_unlock(&the_log.lock);
	int64_t next[PARTS] = { 0 };
	take(r, next, 1);
}

static void *stop_it(void *f)
{
	feed_stop(f);
	return NULL;
}

Test(feed, a_stop_ends_its_readers, .timeout = 60)
{
	reset();
	CLEANUP(feed_freep) struct feed *f = open_feed();
	CLEANUP(feed_reader_freep) struct feed_reader *r = feed_reader_new(f, NULL);
	pthread_t t;
	char *json = NULL;
	pthread_create(&t, NULL, stop_it, f);
	cr_expect_eq(feed_next(r, 50000, &json), FEED_END);
	pthread_join(t, NULL);
}
