// SPDX-License-Identifier: Apache-2.0
// One owner's calls in two partitions of a worker, whose clocks stand on either side of a change: none is weighed by what the change ended once calls
// behind it are, and no batch holds both.
#include <criterion/criterion.h>

#include "base/check.h"
#include "pipeline/state.h"
#include "some_rules.h"
#include "store/store.h"

enum { SHARDS = 2, PARTS = 2 };
static const int64_t jan_ms = 1577808000000, change_ms = 1577808000000 + 3600000;

struct bench {
	struct rules *old, *newer;
	struct account_book *book;
	struct store_options store;
	struct part parts[PARTS];
	struct worker w;
	int64_t next[PARTS];
	int splits;
};

// At `change_ms` a second version of the rules takes effect, or what was said of an account.
static void bench_open(struct bench *b, int64_t stamp_a, int64_t stamp_b, const char *said)
{
	struct error e = { 0 };
	struct worker *w = &b->w;
	*b = (struct bench){ .old = some_rules(CLOCK_RECORDS, NULL, NULL), .newer = some_rules(CLOCK_RECORDS, NULL, NULL),
			     .book = account_book_new(), .store = { .shards = SHARDS } };
	struct journal_part in[PARTS] = { { .topic = (char *)"t", .clock_ms = TIME_NONE }, { .topic = (char *)"t", .partition = 1, .clock_ms = TIME_NONE } };
	CLEANUP(freep) char *init = journal_init_record("i", SHARDS, in, PARTS), *first = journal_rules_record(1, TIME_NONE, b->old),
			    *second = journal_rules_record(2, said == NULL ? change_ms : jan_ms * 2, b->newer);
	w->journal = journal_new();
	cr_assert(journal_apply(w->journal, 0, span_of(init), &e) == ERROR_NONE && journal_apply(w->journal, 1, span_of(first), &e) == ERROR_NONE &&
		  journal_apply(w->journal, 2, span_of(second), &e) == ERROR_NONE, "%s", e.text);
	w->newest = &w->journal->rules[1];
	w->decider = (struct decider){ .newest = w->newest->rules->catalog, .journal = w->journal };
	w->plans = plans_new();
	struct account_fault fault;
	cr_assert(said == NULL || account_book_apply(b->book, 0, 0, change_ms - b->old->settings.lead_ms, span_of(said), &fault) == ACCOUNT_TAKEN, "%s", fault.detail);
	plans_know(w->plans, w->journal, b->book);
	w->o.store = &b->store;
	w->aggregate = aggregate_new(SHARDS, 1000);
	w->flights[0].batch = batch_new(SHARDS);
	aggregate_begin(w->aggregate, w->flights[0].batch);
	w->parts = b->parts;
	w->n_parts = PARTS;
	w->turned = true;
	w->last_record = xcalloc(PARTS, sizeof(*w->last_record));
	for (int i = 0; i < PARTS; i++) {
		const struct position at = { .clock_ms = i == 0 ? stamp_a : stamp_b, .last = -1 }, of_shards[SHARDS] = { at, at };
		part_init(&b->parts[i], "t", i, i == 0 ? "t/0" : "t/1", SHARDS);
		part_place(&b->parts[i], of_shards);
		b->parts[i].dedupe_options = (struct dedupe_options){ .generation_bits = 16, .generations = 240 };
		b->parts[i].next_slice = INT64_MAX;
		part_begin(&b->parts[i], w->journal);
	}
}

static void bench_close(struct bench *b)
{
	for (int i = 0; i < PARTS; i++)
		part_clear(&b->parts[i]);
	free(b->w.last_record);
	decider_free(&b->w.decider);
	aggregate_freep(&b->w.aggregate);
	batch_freep(&b->w.flights[0].batch);
	plans_freep(&b->w.plans);
	account_book_freep(&b->book);
	journal_freep(&b->w.journal);
	rules_freep(&b->old);
	rules_freep(&b->newer);
}

static void new_batch(struct bench *b)
{
	aggregate_begin(b->w.aggregate, b->w.flights[0].batch);
}

// As the worker's loop takes a record; where the batch must end, another one begins.
static void call_of(struct bench *b, uint32_t part, const char *account, int64_t stamp_ms, int64_t time_ms)
{
	struct decision d;
	CLEANUP(freep) char *value = xasprintf("{\"id\":\"%u-%lld\",\"account\":\"%s\",\"service\":\"image-tag\",\"time\":%lld}", part, (long long)b->next[part],
					       account, (long long)time_ms);
	struct record r = { .part = part, .offset = b->next[part]++, .timestamp_ms = stamp_ms, .value = span_of(value) };
	decide_begin(&b->w.decider, &r, 1);
	bool split = worker_split_due(&b->w, &r);
	cr_assert(split || worker_decide(&b->w, &r, &d));
	if (split || worker_order_due(&b->w, &r, &d)) {
		b->splits++;
		new_batch(b);
	}
	cr_assert(!split || worker_decide(&b->w, &r, &d));
	cr_assert(d.outcome == OUTCOME_COUNTED || d.outcome == OUTCOME_LATE);
	worker_take(&b->w, &r, &d);
}

static void call(struct bench *b, uint32_t part, const char *account, int64_t stamp_ms)
{
	call_of(b, part, account, stamp_ms, jan_ms);
}

// The version of the rules whose ladder the account's calls of the open batch are weighed by.
static int64_t weighed_by(const struct bench *b, const char *account)
{
	const struct shard_batch *s = &b->w.flights[0].batch->shards[store_shard(span_of(account), SHARDS)];
	for (uint32_t i = 0; i < s->n; i++)
		if (span_is(s->deltas[i].account, account))
			return s->deltas[i].ladder != NULL ? s->deltas[i].ladder->origin.rules_version : 0;
	return -1;
}

Test(step, calls_before_and_behind_a_change_are_in_no_batch_together)
{
	struct bench b;
	bench_open(&b, jan_ms, change_ms, NULL);
	call(&b, 1, "other", change_ms + 1);
	call(&b, 0, "owner", jan_ms + 1);
	cr_expect(b.splits == 0 && weighed_by(&b, "owner") == 1 && weighed_by(&b, "other") == 2, "they are not the same account's");
	call(&b, 1, "owner", change_ms + 2);
	cr_expect_eq(b.splits, 1, "a rung that only the newer rules have is reached by no call of the older ones' batch");
	cr_expect_eq(weighed_by(&b, "owner"), 2);
	bench_close(&b);
}

// The shard has looked at the account's counters at the change: a rung that a call reached by older terms would be looked for never again.
Test(step, nothing_goes_back_behind_a_change)
{
	struct bench b;
	bench_open(&b, jan_ms, change_ms, NULL);
	call(&b, 1, "owner", change_ms + 1);
	call(&b, 0, "owner", jan_ms + 1);
	cr_expect_eq(b.splits, 0, "and nothing is gained by an end");
	new_batch(&b);
	call(&b, 0, "owner", jan_ms + 2);
	call(&b, 0, "single", jan_ms + 2);
	cr_expect_eq(weighed_by(&b, "owner"), 2);
	cr_expect_eq(weighed_by(&b, "single"), 1, "whose calls lie in one partition is weighed by its clock");
	bench_close(&b);
}

Test(step, a_batch_ends_where_partitions_part)
{
	struct bench b;
	bench_open(&b, jan_ms, jan_ms, NULL);
	call(&b, 0, "owner", jan_ms + 1);
	call(&b, 1, "owner", jan_ms + 2);
	cr_expect_eq(b.splits, 0, "nothing lies between them");
	call(&b, 1, "owner", change_ms);
	cr_expect_eq(b.splits, 1);
	call(&b, 0, "owner", jan_ms + 3);
	cr_expect(b.splits == 1 && weighed_by(&b, "owner") == 2);
	call(&b, 0, "owner", change_ms + 5);
	cr_expect_eq(b.splits, 2);
	cr_expect(!b.w.mixed || b.w.turned);
	call(&b, 0, "owner", change_ms + 6);
	cr_expect(!b.w.mixed && weighed_by(&b, "owner") == 2, "and together again they go as fast as ever");
	bench_close(&b);
}

// A pack's calls are weighed by an allowance: one a batch.
Test(step, what_was_said_of_an_account_parts_only_its_own_calls)
{
	struct bench b;
	bench_open(&b, jan_ms, change_ms - 1, "{\"type\":\"pack\",\"account\":\"owner\",\"id\":\"p\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":1000,"
		   "\"price\":\"2.00\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}");
	call(&b, 0, "third", jan_ms + 1);
	call(&b, 1, "other", change_ms);
	call(&b, 0, "owner", jan_ms + 1);
	cr_expect_eq(b.w.flights[0].batch->entries, 0, "before the pack there is no allowance");
	call(&b, 1, "other", change_ms + 1);
	call(&b, 0, "other", jan_ms + 2);
	cr_expect_eq(b.splits, 0, "of others nothing was said");
	call(&b, 1, "owner", change_ms + 2);
	cr_expect_eq(b.splits, 1);
	cr_expect_eq(b.w.flights[0].batch->entries, 1);
	call(&b, 0, "owner", jan_ms + 3);
	cr_expect(b.splits == 1 && b.w.flights[0].batch->shards[store_shard(SPAN_LIT("owner"), SHARDS)].entries[0].n_calls == 2);
	bench_close(&b);
}

// Another worker, whose partition is behind the change, may have had the account's counters looked at: its shard is told that these calls came later.
Test(step, calls_before_a_change_of_their_account_have_it_looked_at_again)
{
	struct bench b;
	bench_open(&b, jan_ms, jan_ms, "{\"type\":\"pack\",\"account\":\"owner\",\"id\":\"p\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":1000,"
		   "\"price\":\"2.00\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}");
	const struct shard_batch *s = &b.w.flights[0].batch->shards[store_shard(SPAN_LIT("owner"), SHARDS)];
	call(&b, 0, "owner", jan_ms + 1);
	cr_assert_eq(s->n_accounts, 1);
	cr_expect(span_is(s->accounts[0].account, "owner") && s->accounts[0].change_ms == COMMIT_CHANGE_NONE);
	new_batch(&b);
	call(&b, 0, "other", jan_ms + 2);
	cr_expect_eq(s->n_accounts, 0, "of others nothing was said");
	bench_close(&b);
}

// Calls from before the partitions parted are met by the first that comes to the change.
Test(step, a_partition_that_comes_to_a_change_first_ends_the_batch_for_the_other)
{
	struct bench b;
	bench_open(&b, jan_ms, change_ms - 2, "{\"type\":\"pack\",\"account\":\"owner\",\"id\":\"p\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":1000,"
		   "\"price\":\"2.00\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}");
	call(&b, 0, "owner", jan_ms + 1);
	call(&b, 1, "other", change_ms - 1);
	cr_expect_eq(b.splits, 0);
	call(&b, 1, "owner", change_ms);
	cr_expect(b.splits == 1 && b.w.flights[0].batch->entries == 1);
	bench_close(&b);
}

// Clocks months apart, and events of any age: a commit holds so many pairs of months, and what comes then is another one's.
Test(step, a_batch_ends_where_it_holds_as_many_months_as_a_commit_may)
{
	enum { MONTHS = 1000, CLOCKS = 5 };
	const int64_t month_ms = INT64_C(32) * 86400000;
	uint32_t most = 0;
	struct bench b;
	bench_open(&b, jan_ms, jan_ms, "{\"type\":\"activation\",\"account\":\"x\",\"id\":\"a\",\"version\":1,\"time\":\"2020-01-01T00:00:00+08:00\"}");
	for (int c = 0; c < CLOCKS; c++) {
		int64_t stamp_ms = jan_ms + (MONTHS + 3 + c) * month_ms;
		for (int m = 0; m < MONTHS; m++) {
			call_of(&b, 0, "owner", stamp_ms, jan_ms + m * month_ms);
			const struct shard_batch *s = &b.w.flights[0].batch->shards[store_shard(SPAN_LIT("owner"), SHARDS)];
			most = s->n > most ? s->n : most; // one account, one service: a delta a pair
		}
	}
	cr_expect_eq(most, COMMIT_GROUPS_MOST);
	bench_close(&b);
}
