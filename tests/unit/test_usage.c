// SPDX-License-Identifier: Apache-2.0
// What the running daemon tells of an account's usage, over twins of store and Kafka: the figures, whose they are, and what it says while
// a server is away. That the figures are right is tested where they are made (test_closing, tests/table).
#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>

#include "begun_log.h"
#include "fake_kafka.h"
#include "fake_store.h"
#include "journal/journal.h"
#include "some_rules.h"
#include "usage/reader.h"

enum { SHARDS = 3, JAN = 2020 * 12, FEB };
static const int64_t day = 24 * 3600000;

struct world {
	struct fake_fault store_fault, kafka_fault;
	struct fake_kafka k;
	struct fake_store s;
	struct rules *rules;
	struct usage_reader *reader;
	sem_t *asked, *go_on;  // where they are there: a look at a shard's state waits
};
static struct world *the_world; // what the store's calls below belong to

static enum error_class state(struct store *port, uint32_t shard, struct store_state *ret, struct error *e)
{
	enum error_class c = fake_state(port, shard, ret, e);
	snprintf(ret->init_id, sizeof(ret->init_id), "i");
	if (the_world->asked != NULL) {
		sem_post(the_world->asked);
		sem_wait(the_world->go_on);
	}
	return c;
}

static void identity(struct store *s, const char *init_id, int64_t generation)
{
	(void)s;
	cr_assert_str_eq(init_id, "i");
	cr_assert_eq(generation, 1);
}

static void close_store(struct store *s)
{
	(void)s;
}

static void world_open(struct world *w)
{
	static struct store_ops ops;
	*w = (struct world){ 0 };
	the_world = w;
	fake_kafka_init(&w->k, 1, &w->kafka_fault);
	fake_store_init(&w->s, SHARDS, &w->store_fault);
	ops = *w->s.s.ops;
	ops.state = state;
	ops.identity = identity;
	ops.close = close_store;
	w->s.s.ops = &ops;
	w->rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	begin_log(&w->k, SHARDS, 1, w->rules);
	w->reader = usage_reader_new(&(struct usage_reader_options){ .port = &fake_port, .kafka = &w->k.o, .store = &w->s.s, .timeout_ms = 1000 });
}

static void world_close(struct world *w)
{
	usage_reader_freep(&w->reader);
	rules_freep(&w->rules);
	fake_store_free(&w->s);
	fake_kafka_free(&w->k);
}

static void counted(struct world *w, const char *hash, const char *account, const char *service, int64_t calls)
{
	CLEANUP(freep) char *field = xasprintf("%s/%s", account, service);
	fake_set_number(&w->s.shard[store_shard(span_of(account), SHARDS)], hash, field, calls);
}

static void clock_is(struct world *w, int64_t ms)
{
	CLEANUP(freep) char *at = xasprintf("7 %lld", (long long)ms);
	for (int i = 0; i < SHARDS; i++)
		fake_set(&w->s.shard[i], "off", "usage.calls/0", at);
}

static json_t *told(struct world *w, const char *account, const char *service, int month)
{
	struct error why = { 0 };
	CLEANUP(freep) char *text = NULL;
	enum usage_answer a = usage_reader_ask(w->reader, &(struct usage_question){ account, service, month }, &text, &why);
	cr_assert_eq(a, USAGE_TOLD, "%s", why.text);
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert(j != NULL, "%s", text);
	return j;
}

static void expect_line(const json_t *list, size_t i, const char *want)
{
	const json_t *l = json_array_get(list, i);
	static const char *const fields[] = { "account", "service", "period", "calls", "late", "free_left", "tier", "to_next_tier", "charge", "free_ends",
					      "month_calls", "month_charge" };
	json_t *some = json_array();
	for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
		cr_assert(json_object_get(l, fields[k]) != NULL, "%s", fields[k]);
		json_array_append(some, json_object_get(l, fields[k]));
	}
	CLEANUP(freep) char *got = json_dumps(some, JSON_COMPACT);
	cr_expect_str_eq(got, want);
	json_decref(some);
}

// Ten days of January's 31: 20,000 calls of image-tag (10,000 free, 2.5 a thousand) become 62,000.
Test(usage, tells_an_accounts_month)
{
	struct world w;
	world_open(&w);
	counted(&w, fake_key("use", JAN), "acme", "image-tag", 20000);
	counted(&w, fake_key("use", JAN), "other", "image-tag", 7);
	counted(&w, fake_key("use", FEB), "other", "image-tag", 8);
	counted(&w, fake_late_key(JAN, FEB), "acme", "image-tag", 30);
	counted(&w, fake_late_key(JAN, FEB + 1), "acme", "image-tag", 2);
	counted(&w, fake_key("use", JAN), "acme", "product-recognition", 10);
	clock_is(&w, period_start_ms(catalog_zone(w.rules->catalog), JAN) + 10 * day);
	json_t *all = told(&w, "acme", NULL, MONTH_NONE), *one = told(&w, "acme", "image-tag", JAN), *other = told(&w, "other", NULL, MONTH_NONE);
	static const char line[] = "[\"acme\",\"image-tag\",\"2020-01\",20000,32,0,1,980000,\"25.00\",\"reached\",62000,\"130.00\"]";
	cr_assert_eq(json_array_size(all), 2);
	expect_line(all, 0, line);
	cr_assert_eq(json_array_size(one), 1);
	expect_line(one, 0, line);
	cr_assert_eq(json_array_size(other), 1);
	cr_expect_str_eq(json_string_value(json_object_get(json_array_get(other, 0), "period")), "2020-02");
	json_decref(all);
	json_decref(one);
	json_decref(other);
	world_close(&w);
}

static enum usage_answer ask(struct world *w, const char *account, const char *service, int month, struct error *why)
{
	char *text = NULL;
	*why = (struct error){ 0 };
	enum usage_answer a = usage_reader_ask(w->reader, &(struct usage_question){ account, service, month }, &text, why);
	free(text);
	return a;
}

Test(usage, says_that_there_is_nothing)
{
	struct world w;
	struct error why;
	world_open(&w);
	counted(&w, fake_key("use", JAN), "acme", "image-tag", 20000);
	cr_expect_eq(ask(&w, "nobody", NULL, MONTH_NONE, &why), USAGE_NOTHING);
	cr_expect_str_eq(why.text, "account nobody has no calls");
	cr_expect_eq(ask(&w, "acme", NULL, FEB, &why), USAGE_NOTHING);
	cr_expect_str_eq(why.text, "account acme has no calls in 2020-02");
	cr_expect_eq(ask(&w, "acme", "no-such", JAN, &why), USAGE_NOTHING);
	cr_expect_str_eq(why.text, "account acme has no calls of service no-such in 2020-01");
	cr_expect_eq(ask(&w, "acme", NULL, JAN, &why), USAGE_TOLD);
	world_close(&w);
}

static enum fake_outcome lost(void *ctx)
{
	(void)ctx;
	return FAKE_LOST;
}

// Who asks while a server is away hears why, and the server is left alone for a while; then it is asked again.
static void away(struct fake_fault *server, struct fake_fault *other, struct world *w)
{
	struct error why;
	server->decide = lost;
	cr_expect_eq(ask(w, "acme", NULL, JAN, &why), USAGE_AWAY);
	cr_expect_eq(why.cls, ERROR_RETRY);
	cr_expect(why.text[0] != '\0');
	long calls = server->calls + other->calls;
	server->decide = NULL;
	cr_expect_eq(ask(w, "acme", NULL, JAN, &why), USAGE_AWAY);
	cr_expect(why.text[0] != '\0');
	cr_expect_eq(server->calls + other->calls, calls, "asked again at once");
	while (ask(w, "acme", NULL, JAN, &why) == USAGE_AWAY)
		sched_yield();
	cr_expect_gt(server->calls + other->calls, calls);
}

Test(usage, a_server_is_away, .timeout = 60)
{
	struct world w;
	world_open(&w);
	counted(&w, fake_key("use", JAN), "acme", "image-tag", 20000);
	away(&w.kafka_fault, &w.store_fault, &w);
	away(&w.store_fault, &w.kafka_fault, &w);
	world_close(&w);
}

// Every call to the store may be the one that fails: no answer is a half one.
Test(usage, a_fault_at_any_call, .timeout = 120)
{
	long calls = 1;
	for (long at = 1; at <= calls; at++) {
		struct world w;
		struct error why;
		world_open(&w);
		counted(&w, fake_key("use", JAN), "acme", "image-tag", 20000);
		w.store_fault.at = at;
		w.store_fault.how = FAKE_LOST;
		cr_expect_eq(ask(&w, "acme", NULL, JAN, &why), at == calls && !w.store_fault.fired ? USAGE_TOLD : USAGE_AWAY, "call %ld", at);
		if (w.store_fault.fired)
			calls = at + 1;
		world_close(&w);
	}
	cr_expect_gt(calls, 4);
}

static void *asks(void *ctx)
{
	struct error why;
	cr_expect_eq(ask(ctx, "acme", NULL, JAN, &why), USAGE_TOLD, "%s", why.text);
	return NULL;
}

Test(usage, only_some_may_wait, .timeout = 60)
{
	struct world w;
	struct error why;
	pthread_t t[USAGE_READER_ASKERS];
	sem_t asked, go_on;
	world_open(&w);
	counted(&w, fake_key("use", JAN), "acme", "image-tag", 20000);
	sem_init(&asked, 0, 0);
	sem_init(&go_on, 0, 0);
	w.asked = &asked;
	w.go_on = &go_on;
	for (int i = 0; i < USAGE_READER_ASKERS; i++)
		pthread_create(&t[i], NULL, asks, &w);
	sem_wait(&asked);
	while (usage_reader_askers(w.reader) < USAGE_READER_ASKERS)
		sched_yield();
	cr_expect_eq(ask(&w, "acme", NULL, JAN, &why), USAGE_AWAY);
	cr_expect_str_eq(why.text, "8 questions wait already; ask again later");
	for (int i = 0; i < USAGE_READER_ASKERS; i++)
		sem_post(&go_on);
	for (int i = 0; i < USAGE_READER_ASKERS; i++)
		pthread_join(t[i], NULL);
	w.asked = NULL;
	cr_expect_eq(ask(&w, "acme", NULL, JAN, &why), USAGE_TOLD);
	world_close(&w);
}
