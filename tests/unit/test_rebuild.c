// SPDX-License-Identifier: Apache-2.0
// What a rebuild refuses when something else moves on meanwhile, over a real Redis and a broker in this process. It has no workers: nothing was counted.
#include "redis_test.h"

#include "kafka_test.h"
#include "rebuild/inner.h"
#include "some_rules.h"

static const char id[] = "init1";
static const int DEC = 2019 * 12 + 11;
static struct test_broker broker;
static struct store_options store_o;
static struct store_ops twin;        // of the rebuild's connections; those of Redis but for what a test changes
static uint64_t lost;                // connections, so far

static void control(char *record)
{
	test_record(&broker, "control", record);
	free(record);
}

static void open_all(void)
{
	setup();
	test_broker_open(&broker, false, "rebuild");
	broker.o.control_topic = "control";
	broker.o.alerts_topic = "alerts";
	broker.o.accounts_topic = "accounts";
	test_topic(&broker, "control", 1, NULL);
	test_topic(&broker, "alerts", 2, NULL);
	test_topic(&broker, "accounts", 1, NULL);
	test_topic(&broker, "calls", 1, NULL);
	test_fill(&broker, "calls", 0, 0, 10);
	struct journal_part part = { .topic = (char *)"calls", .clock_ms = TIME_NONE };
	struct rules *rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	control(journal_init_record(id, 4, &part, 1));
	control(journal_rules_record(1, TIME_NONE, rules));
	rules_freep(&rules);
	store_o = (struct store_options){ .url = url, .prefix = "t:", .shards = 4, .timeout_ms = 2000 };
	lost = 0;
}

static void close_all(void)
{
	teardown();
	test_broker_close(&broker);
}

TestSuite(rebuild, .init = open_all, .fini = close_all, .timeout = 120);

// ---- helpers
static uint64_t session(struct store *s)
{
	return store->ops->session(s) + lost;
}

static enum error_class open_twin(const struct store_options *o, struct store **ret, struct error *e)
{
	enum error_class c = store_redis_open(o, ret, e);
	if (c == ERROR_NONE) {
		twin = *(*ret)->ops;
		twin.session = session;
		(*ret)->ops = &twin;
	}
	return c;
}

static enum error_class no_facts(const struct kafka_options *o, struct shared *shared, struct facts **ret, struct error *e)
{
	(void)o, (void)shared, (void)e;
	*ret = NULL;
	return ERROR_NONE;
}

static const struct rebuild_crew crew = { .facts_start = no_facts };
static const struct ports ports = { .sink = &sink_port_kafka, .store_open = open_twin };

static struct rebuild_options options(void)
{
	return (struct rebuild_options){ .ports = &ports, .crew = &crew, .kafka = &broker.o, .store = &store_o, .state_dir = dir };
}

static bool enough(void *ctx, const struct rebuild_difference *d)
{
	(void)ctx, (void)d;
	return false;
}

static void verify(struct rebuild_options o, enum error_class cls, const char *why)
{
	struct error e = { 0 };
	struct rebuild_verdict verdict;
	CLEANUP(rebuild_freep) struct rebuild *r = NULL;
	cr_assert_eq(rebuild_open(&o, &r, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(rebuild_verify(r, enough, NULL, &verdict, &e), cls, "%s", e.text);
	cr_expect(strstr(e.text, why) != NULL, "%s", e.text);
}

// ---- what is refused
Test(rebuild, nothing_is_compared_before_the_month_is_settled_here_too)
{
	struct journal_cut cut = { (char *)"calls/0", 0 };
	struct journal_manifest m = { .month = DEC, .rules_version = 1, .n_cuts = 1, .cuts = &cut };
	char path[128];
	verify(options(), ERROR_NONE, "");
	control(journal_manifest_record(&m));
	snprintf(path, sizeof(path), "%s/s", dir);
	redisContext *c = redisConnectUnix(path);
	redisReply *r = redisCommand(c, "HSET t:{s00}:meta done:1:2019-12 1"); // the generation in force has settled it
	cr_assert(r != NULL && r->type == REDIS_REPLY_INTEGER && r->integer == 1);
	freeReplyObject(r);
	redisFree(c);
	verify(options(), ERROR_RETRY, "2019-12 is settled in the generation in force, and could not be settled in the other one yet; run the same command again");
}

static void lose_connection(void *ctx, const struct rebuild_progress *p)
{
	(void)ctx;
	lost += strcmp(p->what, "shards compared") == 0 && p->done == 2;
}

Test(rebuild, a_connection_that_is_lost_while_both_are_compared)
{
	struct rebuild_options o = options();
	o.progress = lose_connection;
	verify(o, ERROR_RETRY, "the connection to Redis was lost while both generations were compared, and what it holds may have gone back by then");
	cr_expect_eq(lost, 1);
	o.progress = NULL;
	verify(o, ERROR_NONE, "");
}

Test(rebuild, the_generation_is_in_force_by_now)
{
	struct error e = { 0 };
	struct rebuild_options o = options();
	CLEANUP(rebuild_freep) struct rebuild *r = NULL;
	cr_assert_eq(rebuild_open(&o, &r, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(rebuild_generation(r), 2);
	cr_expect_eq(rebuild_catch_up(r, &e), ERROR_NONE, "%s", e.text);
	control(journal_generation_record(2));
	cr_expect_eq(rebuild_catch_up(r, &e), ERROR_ABORT);
	cr_expect(e.exit_code == EXIT_LATER && strstr(e.text, "generation 2 is in force by now") != NULL, "%s", e.text);
}

Test(rebuild, a_broker_without_offsets_by_time)
{
	struct error e = { 0 };
	struct rebuild_options o = options();
	CLEANUP(rebuild_freep) struct rebuild *r = NULL;
	o.from = (struct rebuild_from){ REBUILD_FROM_TIME, "2020-03-01T00:00:00+08:00", 1582992000000 };
	cr_expect_eq(rebuild_open(&o, &r, &e), ERROR_ABORT);
	cr_expect(e.exit_code == EXIT_USAGE_ERR && strstr(e.text, "--from 2020-03-01T00:00:00+08:00: this broker knows no offsets by time; name an offset") != NULL, "%s",
		  e.text);
}

// A worker that meets half of a generation that is put back ends as one whose counters are lost. That it is half because a shard went back behind the
// end of putting it back is no reason for a person to look at it: the same command makes it whole.
Test(rebuild, a_shard_that_went_back_into_a_restore)
{
	struct error e = { 0 };
	struct rebuild_options o = options();
	CLEANUP(rebuild_freep) struct rebuild *r = NULL;
	cr_assert_eq(rebuild_open(&o, &r, &e), ERROR_NONE, "%s", e.text);
	error_set(&e, ERROR_ABORT, EXIT_CONFIG_ERR, "shard 2 holds half of a checkpoint");
	shared_fail(&r->shared, &e);
	e = (struct error){ 0 };
	cr_expect_eq(rebuild_look(r, &e), ERROR_ABORT);
	cr_expect(e.exit_code == EXIT_CONFIG_ERR && strcmp(e.text, "shard 2 holds half of a checkpoint") == 0, "%s", e.text);
	store->ops->identity(store, id, 2);
	cr_assert_eq(store->ops->drop(store, 2, 2, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->restore(store, 2, &e), ERROR_NONE, "%s", e.text);
	e = (struct error){ 0 };
	cr_expect_eq(rebuild_look(r, &e), ERROR_RETRY);
	cr_expect(strstr(e.text, "Redis went back behind the end of putting generation 2 back; run the same command again") != NULL, "%s", e.text);
}
