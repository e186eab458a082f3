// SPDX-License-Identifier: Apache-2.0
// A worker under a load that never ceases, and one that cannot learn whether it still knows the newest rules: what it holds in memory stays bounded.
#include <criterion/criterion.h>

#include "base/check.h"
#include "base/fault.h"
#include "fake_kafka.h"
#include "pipeline/state.h"
#include "some_rules.h"
#include "store/store.h"

enum { SHARDS = 4, POLL = 200, BOUND = 3000, MAX_EVENTS = 1000 };
static const int64_t jan_ms = 1577808000000;

static struct fake_fault fault;
static struct fake_kafka kafka;

// ---- records of ever new accounts
struct endless {
	struct source s;
	struct source_callbacks cb;
	struct source_part part;
	bool assigned;
	int64_t next;
	struct record records[POLL];
	char values[POLL][128];
};

static enum error_class s_poll(struct source *base, int timeout_ms, struct record **ret, uint32_t *ret_n, uint32_t *ret_part, struct error *e)
{
	struct endless *s = (struct endless *)base;
	(void)timeout_ms, (void)ret_part;
	if (!s->assigned) {
		s->assigned = true;
		*ret_n = 0;
		return s->cb.assigned(s->cb.ctx, &s->part, 1, e);
	}
	for (uint32_t i = 0; i < POLL; i++, s->next++) {
		snprintf(s->values[i], sizeof(s->values[i]), "{\"id\":\"%lld\",\"account\":\"%lld\",\"service\":\"image-tag\",\"time\":%lld}", (long long)s->next,
			 (long long)s->next, (long long)jan_ms);
		s->records[i] = (struct record){ .offset = s->next, .timestamp_ms = jan_ms, .value = span_of(s->values[i]) };
	}
	*ret = s->records;
	*ret_n = POLL;
	return ERROR_NONE;
}
static void s_release(struct source *s) { (void)s; }
static enum error_class s_rejoin(struct source *s, struct error *e) { (void)s; return error_set(e, ERROR_RETRY, 0, "not in this test"); }
static void s_hint(struct source *s, uint32_t part, int64_t next) { (void)s, (void)part, (void)next; }
static int64_t s_high(struct source *s, uint32_t part) { (void)part; return ((struct endless *)s)->next; }
static void s_close(struct source *s, int deadline_ms) { (void)deadline_ms; free(s); }
static const struct source_ops source_ops = { s_poll, s_release, s_rejoin, s_hint, s_high, s_close };

static enum error_class open_source(const struct kafka_options *o, const char *id, const struct source_callbacks *cb, struct source **ret, struct error *e)
{
	struct endless *s = xcalloc(1, sizeof(*s));
	(void)o, (void)id, (void)e;
	s->s.ops = &source_ops;
	s->cb = *cb;
	s->part = (struct source_part){ .topic = (char *)"usage.calls", .name = (char *)"usage.calls/0" };
	*ret = &s->s;
	return ERROR_NONE;
}

// ---- shards of which one answers at a time, and only whom waits for it
struct slow {
	struct store s;
	uint32_t n, refuse;          // of those that come next
	uint64_t session, applied;
	struct commit *sent[64];
};
static struct slow *slow;

static void t_identity(struct store *s, const char *id, int64_t generation) { (void)s, (void)id, (void)generation; }
static uint64_t t_session(struct store *s) { return ((struct slow *)s)->session; }
static void t_informed(struct store *s, uint64_t session) { (void)s, (void)session; }
static enum error_class t_claim(struct store *s, uint32_t shard, struct span token, struct store_claim *claims, uint32_t n, struct error *e)
{
	(void)s, (void)shard, (void)token, (void)e;
	for (uint32_t i = 0; i < n; i++)
		claims[i].at = claims[i].start;
	return ERROR_NONE;
}
static void t_send(struct store *base, struct commit *c)
{
	struct slow *s = (struct slow *)base;
	cr_assert_lt(s->n, ARRAY_LEN(s->sent));
	s->sent[s->n++] = c;
}
static bool t_receive(struct store *base, int timeout_ms, struct commit_result *ret)
{
	struct slow *s = (struct slow *)base;
	if (timeout_ms == 0 || s->n == 0)
		return false;
	*ret = (struct commit_result){ .status = s->refuse > 0 ? COMMIT_REFUSED : COMMIT_DONE, .shard = s->sent[0]->shard, .tag = s->sent[0]->tag };
	s->refuse -= s->refuse > 0;
	s->applied += s->sent[0]->n_deltas;
	memmove(s->sent, s->sent + 1, --s->n * sizeof(s->sent[0]));
	return true;
}
static void t_close(struct store *s) { free(s); }
static const struct store_ops store_ops = { .identity = t_identity, .session = t_session, .informed = t_informed, .claim = t_claim, .commit_send = t_send,
					    .commit_receive = t_receive, .close = t_close };
static enum error_class open_store(const struct store_options *o, struct store **ret, struct error *e)
{
	(void)o, (void)e;
	slow = xcalloc(1, sizeof(*slow));
	slow->s.ops = &store_ops;
	*ret = &slow->s;
	return ERROR_NONE;
}

static uint64_t d_pending(struct dlq *d, int timeout_ms) { (void)d, (void)timeout_ms; return 0; }
static void d_nothing(struct dlq *d) { (void)d; }
static const struct dlq_ops dlq_ops = { .pending = d_pending, .drop = d_nothing, .close = d_nothing };
static enum error_class open_dlq(const struct kafka_options *o, struct dlq **ret, struct error *e)
{
	static struct dlq d = { .ops = &dlq_ops };
	(void)o, (void)e;
	*ret = &d;
	return ERROR_NONE;
}

static const struct ports ports = { &fake_port, open_source, NULL, open_store, open_dlq };

// ---- the worker
struct bench {
	struct rules *rules;
	struct settings *settings;
	struct store_options store;
	struct shared shared;
	struct facts *facts;
	struct worker *w;
};

static void bench_open(struct bench *b)
{
	struct error e = { 0 };
	struct faults f = { 0 };
	struct journal_part part = { .topic = (char *)"usage.calls", .clock_ms = TIME_NONE };
	*b = (struct bench){ .rules = some_rules(CLOCK_RECORDS, NULL, NULL), .store = { .shards = SHARDS } };
	fault = (struct fake_fault){ 0 };
	fake_kafka_init(&kafka, 1, &fault);
	CLEANUP(freep) char *init = journal_init_record("i", SHARDS, &part, 1), *rules = journal_rules_record(1, TIME_NONE, b->rules);
	fake_event(&kafka, "meterd.control", 0, 1, init);
	fake_event(&kafka, "meterd.control", 0, 1, rules);
	CLEANUP(freep) char *text = xasprintf("instance: i\nkafka:\n  bootstrap: 127.0.0.1:1\nflush:\n  max_events: %d\n", MAX_EVENTS);
	b->settings = settings_parse("test.yaml", span_of(text), &f);
	cr_assert_not_null(b->settings, "%s", f.n > 0 ? f.list[0].text : "");
	pthread_mutex_init(&b->shared.lock, NULL);
	b->facts = facts_new();
	facts_whole(b->facts);
	struct worker_options o = { &ports, b->settings, &kafka.o, &b->store, &b->shared, b->facts, 1, 0, NULL };
	cr_assert_eq(worker_new(&o, &b->w, &e), ERROR_NONE, "%s", e.text);
	aggregate_freep(&b->w->aggregate);
	b->w->aggregate = aggregate_new(SHARDS, BOUND);
	aggregate_begin(b->w->aggregate, worker_open(b->w)->batch);
	b->w->hinted_us = INT64_MAX / 2; // shards are not asked where they stand
	worker_round(b->w);
	cr_assert(b->w->parts != NULL && b->w->parts[0].state == PART_RUNNING, "%s", b->w->reason);
}

static void bench_close(struct bench *b)
{
	worker_free(b->w);
	facts_free(b->facts);
	settings_freep(&b->settings);
	rules_freep(&b->rules);
	fake_kafka_free(&kafka);
}

Test(worker, what_is_remembered_of_counters_stays_bounded_under_an_unbroken_load)
{
	struct bench b;
	uint64_t most = 0;
	bench_open(&b);
	while (slow->applied < 10 * BOUND) {
		worker_round(b.w);
		uint64_t n = aggregate_counters(b.w->aggregate);
		most = n > most ? n : most;
		cr_assert_leq(n, BOUND + FLIGHTS * (MAX_EVENTS + POLL), "behind %llu", (unsigned long long)slow->applied);
	}
	cr_expect_gt(most, BOUND, "it was met");
	bench_close(&b);
}

// Redis was started again: commits wait until the control topic says that its rules are known. Kafka does not answer.
static enum error_class no_answer(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e)
{
	(void)o, (void)topic, (void)from_ms, (void)timeout_ms, (void)fn, (void)ctx;
	return error_set(e, ERROR_RETRY, 0, "nobody answers");
}

Test(worker, nothing_is_gathered_without_end_while_a_commit_waits)
{
	struct bench b;
	struct sink_port away = fake_port;
	struct ports with = ports;
	away.read_back = no_answer;
	with.sink = &away;
	bench_open(&b);
	b.w->o.ports = &with;
	slow->refuse = 1;
	slow->session++;
	for (int i = 0; i < 30; i++) {
		worker_round(b.w);
		b.w->backoff_ms = b.w->backoff_ms > 0; // no time is lost over it
		cr_assert_leq(worker_open(b.w)->batch->calls, MAX_EVENTS + POLL);
	}
	cr_expect(b.w->trouble == TROUBLE_AGAIN && strcmp(b.w->state, "waiting") == 0 && strcmp(b.w->reason, "nobody answers") == 0, "%s", b.w->state);
	b.w->o.ports = &ports;
	uint64_t applied = slow->applied;
	for (int i = 0; i < 100; i++)
		worker_round(b.w);
	cr_expect_gt(slow->applied, applied + MAX_EVENTS, "and goes on when it answers");
	bench_close(&b);
}

// What no waiting mends ends the worker, as it does at the start.
Test(worker, a_control_topic_that_cannot_be_read_ends_it)
{
	struct bench b;
	bench_open(&b);
	fake_event(&kafka, "meterd.control", 0, 1, "{\"type\":\"of a later version\"}");
	slow->refuse = 1;
	slow->session++;
	for (int i = 0; i < 20 && !atomic_load(&b.shared.failed); i++)
		worker_round(b.w);
	cr_assert(atomic_load(&b.shared.failed));
	cr_expect_eq(b.shared.failure.exit_code, EXIT_CONFIG_ERR, "%s", b.shared.failure.text);
	cr_expect(b.w->n_flights == 0 && b.w->adrift, "nothing is under way");
	bench_close(&b);
}

static void take_fact(struct facts *f, int32_t partition, int64_t offset, int64_t stamp_ms, const char *text)
{
	facts_take(f, &(struct topic_record){ partition, { .offset = offset, .timestamp_ms = stamp_ms, .value = span_of(text) } });
}

// A large application of corrections is neither kept nor read where calls are counted; what else is said holds in the same order.
Test(worker, corrections_are_not_read)
{
	struct bench b;
	bench_open(&b);
	static const char pack[] = "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"%s\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":9,\"price\":\"2.00\","
				   "\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2190-01-01T00:00:00+08:00\"}";
	const char *said = "{\"type\":\"correction\",\"account\":\"a\",\"id\":\"c\",\"version\":1,\"after\":\"2020-05\",\"reason\":\"x\",\"question\":{},\"lines\":["
			   "{\"period\":\"2020-04\",\"service\":\"image-tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}";
	CLEANUP(freep) char *first = xasprintf(pack, "p-1"), *second = xasprintf(pack, "p-2");
	take_fact(b.facts, 1, 0, jan_ms + 7, first);
	take_fact(b.facts, 0, 0, jan_ms + 10, said);
	take_fact(b.facts, 0, 1, jan_ms + 4, second);
	cr_expect(facts_count(b.facts) == 3 && facts_at(b.facts, 1).value.n == 0 && facts_at(b.facts, 2).value.n == strlen(second));
	worker_know(b.w);
	const struct account *a = account_book_find(b.w->book, SPAN_LIT("a"));
	cr_assert(a != NULL && a->n_things == 2 && a->n_corrections == 0 && account_book_corrected(b.w->book) == 0 && b.w->facts_taken == 3);
	cr_expect(account_fact_before(a->things[0].facts[0], a->things[1].facts[0]), "the record clock of partition 0 has come to where the correction stands");
	bench_close(&b);
}

// Of an account with a pack there are others in every month.
Test(worker, ladders_of_months_gone_by_are_dropped_under_an_unbroken_load)
{
	struct bench b;
	struct account_fault fault;
	bench_open(&b);
	const struct journal_rules *rules = b.w->newest;
	const struct zone *z = catalog_zone(rules->rules->catalog);
	const char *pack = "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":9,\"price\":\"2.00\","
			   "\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2190-01-01T00:00:00+08:00\"}";
	cr_assert_eq(account_book_apply(b.w->book, 0, 0, jan_ms, span_of(pack), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
	plans_know(b.w->plans, b.w->journal, b.w->book);
	for (int month = period_month(z, jan_ms); !plans_full(b.w->plans); month++)
		plans_row(b.w->plans, rules, period_start_ms(z, month + 1) - 1, SPAN_LIT("a"), 0, month);
	for (int i = 0; i < 20 && plans_full(b.w->plans); i++)
		worker_round(b.w);
	cr_expect(!plans_full(b.w->plans));
	bench_close(&b);
}
