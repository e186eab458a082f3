// SPDX-License-Identifier: Apache-2.0
// Deltas, hints and lists of the aggregation, against plain sums.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "aggregate/aggregate.h"
#include "base/check.h"

enum { JAN = 2020 * 12 };

struct fixture {
	struct aggregate *a;
	struct batch *b;
};

static struct fixture begin(void)
{
	struct fixture f = { aggregate_new(4, 100), batch_new(4) };
	aggregate_begin(f.a, f.b);
	return f;
}

static void end(struct fixture *f)
{
	aggregate_freep(&f->a);
	batch_freep(&f->b);
}

static void add(struct fixture *f, struct counter *c, int64_t calls)
{
	struct call_ref *r = arena_alloc(&f->b->arena, sizeof(*r));
	*r = (struct call_ref){ .calls = calls };
	aggregate_add(f->a, f->b, c, r);
}

static struct counter *counter(struct fixture *f, const char *account, uint32_t service, uint32_t shard)
{
	return aggregate_counter(f->a, span_of(account), service, JAN, MONTH_NONE, shard);
}

Test(aggregate, one_delta_a_counter_with_all_its_calls_in_order)
{
	struct fixture f = begin();
	add(&f, counter(&f, "a", 0, 2), 3);
	add(&f, counter(&f, "b", 0, 2), 1);
	add(&f, counter(&f, "a", 0, 2), 4);
	add(&f, counter(&f, "a", 1, 2), 9);
	cr_assert_eq(f.b->shards[2].n, 3);
	const struct commit_delta *d = &f.b->shards[2].deltas[0];
	cr_assert_eq(d->calls, 7);
	cr_assert_eq(d->n_calls, 2);
	cr_assert_eq(d->first_call->calls, 3);
	cr_assert_eq(d->first_call->next->calls, 4);
	cr_assert_null(d->first_call->next->next);
	cr_assert_eq(f.b->largest, 3);
	cr_assert_eq(f.b->calls, 4);
	end(&f);
}

Test(aggregate, late_buckets_and_months_are_counters_of_their_own)
{
	struct fixture f = begin();
	struct counter *c[] = { aggregate_counter(f.a, SPAN_LIT("a"), 0, JAN, MONTH_NONE, 0), aggregate_counter(f.a, SPAN_LIT("a"), 0, JAN, JAN + 1, 0),
				aggregate_counter(f.a, SPAN_LIT("a"), 0, JAN, JAN + 2, 0), aggregate_counter(f.a, SPAN_LIT("a"), 0, JAN + 1, MONTH_NONE, 0) };
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(c[i], c[k]);
	cr_assert_eq(c[2], aggregate_counter(f.a, SPAN_LIT("a"), 0, JAN, JAN + 2, 0));
	end(&f);
}

Test(aggregate, a_list_is_sent_when_a_rung_may_be_reached_or_nothing_is_known)
{
	struct rung rung = { 10, 10, ALERT_QUOTA_EXHAUSTED, -1 };
	struct ladder ladder = { .n = 1, .rungs = &rung };
	struct fixture f = begin();
	struct counter *c = counter(&f, "a", 0, 1);
	c->ladder = &ladder;
	add(&f, c, 3);
	cr_assert_not(f.b->urgent);
	aggregate_sent(f.b, 1);
	cr_assert(f.b->shards[1].deltas[0].with_calls, "the total is not known");
	cr_assert(f.b->shards[1].deltas[0].activates);
	f.b->shards[1].deltas[0].total = 3;
	aggregate_applied(f.b, 1, true);
	cr_assert_eq(c->slack, 7);

	aggregate_begin(f.a, f.b);
	add(&f, c, 6); // 9
	cr_assert_not(f.b->urgent);
	aggregate_sent(f.b, 1);
	cr_assert_not(f.b->shards[1].deltas[0].with_calls);
	cr_assert_not(f.b->shards[1].deltas[0].activates);

	struct batch *second = batch_new(4); // while the first is under way: 9 + 1
	aggregate_begin(f.a, second);
	struct call_ref r = { .calls = 1 };
	aggregate_add(f.a, second, c, &r);
	cr_assert(second->urgent);
	aggregate_sent(second, 1);
	cr_assert(second->shards[1].deltas[0].with_calls);
	f.b->shards[1].deltas[0].total = 9;
	aggregate_applied(f.b, 1, true);
	second->shards[1].deltas[0].total = 10;
	aggregate_applied(second, 1, true);
	cr_assert_eq(c->slack, INT64_MAX);
	cr_assert_eq(c->sent, 0);
	batch_freep(&second);
	end(&f);
}

Test(aggregate, an_unknown_result_makes_the_total_unknown)
{
	struct rung rung = { 1000, 1000, ALERT_QUOTA_EXHAUSTED, -1 };
	struct ladder ladder = { .n = 1, .rungs = &rung };
	struct fixture f = begin();
	struct counter *c = counter(&f, "a", 0, 1);
	c->ladder = &ladder;
	add(&f, c, 3);
	aggregate_sent(f.b, 1);
	aggregate_applied(f.b, 1, false);
	cr_assert_eq(c->slack, -1);
	aggregate_begin(f.a, f.b);
	add(&f, c, 1);
	aggregate_sent(f.b, 1);
	cr_assert(f.b->shards[1].deltas[0].with_calls);
	end(&f);
}

// Over several chunks, with accounts of all lengths, and once more in what was given back.
Test(aggregate, sums_hold_over_many_counters_and_growth)
{
	struct fixture f = begin();
	enum { N = 60000 };
	static int64_t want[N];
	uint32_t x = 1;
	for (int i = 0; i < 5 * N; i++) {
		x = x * 1664525 + 1013904223;
		uint32_t k = (x >> 8) % N;
		char name[65];
		snprintf(name, sizeof(name), "n%0*u", 5 + (int)(k % 59), k);
		add(&f, counter(&f, name, k % 7, k % 4), 1 + k % 3);
		want[k] += 1 + k % 3;
	}
	int64_t seen = 0, sum = 0;
	for (uint32_t s = 0; s < 4; s++)
		for (uint32_t i = 0; i < f.b->shards[s].n; i++) {
			const struct commit_delta *d = &f.b->shards[s].deltas[i];
			char digits[6] = { 0 };
			memcpy(digits, d->account.p + d->account.n - 5, 5);
			int64_t k = strtol(digits, NULL, 10);
			cr_assert_eq(d->calls, want[k]);
			cr_assert_eq(k % 4, s);
			seen++;
		}
	for (int k = 0; k < N; k++)
		sum += want[k] > 0;
	cr_assert_eq(seen, sum);
	cr_assert(aggregate_full(f.a));
	aggregate_forget(f.a);
	cr_assert_eq(aggregate_counters(f.a), 0);
	aggregate_begin(f.a, f.b);
	struct counter *c = counter(&f, "n00007", 0, 3);
	cr_assert_eq(c->slack, -1);
	cr_assert_eq(c->batch, 0);
	add(&f, c, 1);
	cr_assert_eq(f.b->shards[3].deltas[0].calls, 1);
	end(&f);
}

// The most that a counter may cost of memory, its place in the table apart: one line of the cache.
Test(aggregate, a_counter_with_an_account_of_the_usual_length_takes_64_bytes)
{
	struct fixture f = begin();
	const char *a = (const char *)counter(&f, "1000012345678", 0, 0), *b = (const char *)counter(&f, "1000012345678", 1, 0);
	cr_assert_eq(b - a, 64);
	cr_assert_eq((const char *)counter(&f, "10000123456789", 0, 0) - b, 64);
	cr_assert_eq((const char *)counter(&f, "1", 0, 0) - b, 64 + 72);
	end(&f);
}

// A look sees what was stored before its commit: it has to be made behind the batch with the call that was not weighed, and by terms that know it.
Test(aggregate, a_call_that_was_not_weighed_is_looked_at_behind_its_batch)
{
	const struct allowance old = { .n_rungs = 0 }, newer = { .n_rungs = 0 };
	struct call_ref ref = { .calls = 1 };
	struct fixture f = begin();
	struct batch *second = batch_new(4), *third = batch_new(4);
	struct holder *h = aggregate_holder(f.a, SPAN_LIT("a"), MONTH_NONE, 1);
	aggregate_take(f.b, h, &old, 0, 0, &ref);
	aggregate_look(f.b, h);
	aggregate_sent(f.b, 1);
	cr_expect(!f.b->shards[1].entries[0].look, "its own commit cannot see it");
	aggregate_begin(f.a, second);
	aggregate_take(second, h, &old, 0, 0, &ref);
	aggregate_sent(second, 1);
	cr_expect(!second->shards[1].entries[0].look, "nor can terms that do not know it");
	aggregate_begin(f.a, third); // sent while the others are under way
	aggregate_take(third, h, &newer, 0, 0, &ref);
	aggregate_sent(third, 1);
	cr_expect(third->shards[1].entries[0].look);
	aggregate_applied(f.b, 1, true);
	aggregate_applied(second, 1, true);
	aggregate_begin(f.a, f.b);
	aggregate_take(f.b, h, &newer, 0, 0, &ref);
	aggregate_sent(f.b, 1);
	cr_expect(f.b->shards[1].entries[0].look, "until one was applied");
	aggregate_applied(third, 1, true);
	aggregate_begin(f.a, second);
	aggregate_take(second, h, &newer, 0, 0, &ref);
	aggregate_sent(second, 1);
	cr_expect(!second->shards[1].entries[0].look, "once");
	batch_freep(&second);
	batch_freep(&third);
	end(&f);
}
