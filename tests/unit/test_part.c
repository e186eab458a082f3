// SPDX-License-Identifier: Apache-2.0
// One partition's clock, without servers: months, marks of the record clock, stamps that no calendar holds.
#include <criterion/criterion.h>

#include "pipeline/part.h"
#include "some_rules.h"

enum { SHARDS = 2, GENERATION_BITS = 4, GENERATIONS = 10, WINDOW = GENERATIONS << GENERATION_BITS };
static const int64_t jan_ms = 1577808000000, year_9999_ms = 253402300799000;

struct bench {
	struct rules *rules;
	struct journal *j;
	struct part p;
};

static void bench_open(struct bench *b, const struct position *at)
{
	struct error e = { 0 };
	struct position of_shards[SHARDS] = { *at, *at };
	struct journal_part part = { .topic = (char *)"usage.calls", .partition = 0, .clock_ms = TIME_NONE };
	b->rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	b->j = journal_new();
	CLEANUP(freep) char *init = journal_init_record("i", SHARDS, &part, 1), *rules = journal_rules_record(1, TIME_NONE, b->rules);
	cr_assert(journal_apply(b->j, 0, span_of(init), &e) == ERROR_NONE && journal_apply(b->j, 1, span_of(rules), &e) == ERROR_NONE, "%s",
		  e.text);
	part_init(&b->p, "usage.calls", 0, "usage.calls/0", SHARDS);
	part_place(&b->p, of_shards);
	b->p.dedupe_options = (struct dedupe_options){ .generation_bits = GENERATION_BITS, .generations = GENERATIONS };
	part_begin(&b->p, b->j);
}

static void tick(struct bench *b, int64_t offset, int64_t timestamp_ms)
{
	struct course to = b->p.course;
	course_move(&to, b->j, timestamp_ms);
	part_advance(&b->p, &to, offset);
}

static void bench_close(struct bench *b)
{
	part_clear(&b->p);
	journal_freep(&b->j);
	rules_freep(&b->rules);
}

// The clock runs on for good then: a stamp is the producer's, and no stamp ends the process.
Test(part, a_first_stamp_beyond_the_calendar_is_behind_every_close)
{
	struct bench b;
	bench_open(&b, &(struct position){ .clock_ms = TIME_NONE, .last = -1 });
	tick(&b, 0, year_9999_ms);
	cr_assert(b.p.course.clock_ms == year_9999_ms && b.p.course.open_month == MONTH_LAST);
	tick(&b, 1, INT64_MAX);
	cr_assert(b.p.course.clock_ms == INT64_MAX && b.p.course.open_month == MONTH_LAST);
	bench_close(&b);
}

Test(part, a_later_stamp_beyond_the_calendar_closes_every_month)
{
	struct bench b;
	bench_open(&b, &(struct position){ .clock_ms = TIME_NONE, .last = -1 });
	tick(&b, 0, jan_ms + 86400000);
	int month = b.p.course.open_month;
	tick(&b, 1, year_9999_ms);
	cr_assert(b.p.course.open_month == MONTH_LAST);
	cr_assert(b.p.cuts[b.p.n_cuts - 1].offset == 1 && b.p.cuts[b.p.n_cuts - (uint32_t)(MONTH_LAST - month)].month == month);
	bench_close(&b);
}

Test(part, a_stored_clock_beyond_the_calendar_is_taken_up)
{
	struct bench b;
	bench_open(&b, &(struct position){ .next = 7, .clock_ms = year_9999_ms, .last = 6 });
	cr_assert(b.p.course.open_month == MONTH_LAST);
	bench_close(&b);
}

Test(part, stamps_before_2000_close_nothing)
{
	struct bench b;
	bench_open(&b, &(struct position){ .clock_ms = TIME_NONE, .last = -1 });
	tick(&b, 0, 0);
	cr_assert(b.p.course.open_month == MONTH_FIRST);
	bench_close(&b);
}

// Shard 0 keeps the marks for all. The slowest shard may stand half a window behind (shard_advance_due in flush.c), and after a crash
// its window begins a whole one further back: the mark there must be in Redis still.
Test(part, a_mark_outlives_the_window_of_the_slowest_shard)
{
	struct bench b;
	bench_open(&b, &(struct position){ .clock_ms = TIME_NONE, .last = -1 });
	for (int64_t offset = 0; offset < 5 * WINDOW; offset++)
		tick(&b, offset, jan_ms + offset);
	cr_assert_eq(b.p.n_marks, (5 * WINDOW - 1) / (1 << GENERATION_BITS) + 1);
	for (uint32_t i = 0; i < b.p.n_marks; i++) {
		const struct commit_mark *m = &b.p.marks[i];
		int64_t slowest = m->offset > WINDOW / 2 ? m->offset - WINDOW / 2 : 0;
		int64_t begin = dedupe_window_start(&b.p.dedupe_options, slowest);
		cr_assert_eq(m->clock_ms, m->offset == 0 ? TIME_NONE : jan_ms + m->offset - 1);
		cr_assert(m->drop < begin, "the mark written at %lld drops %lld, needed are those from %lld", (long long)m->offset,
			  (long long)m->drop, (long long)begin);
	}
	bench_close(&b);
}

// Each shard keeps the fingerprint of the record before its offset: of the same record they are one, or some shard tells of another log.
Test(part, shards_that_disagree_about_a_record_halt_it)
{
	struct part p;
	struct position at[SHARDS] = { { 7, jan_ms, 6, 77 }, { 7, jan_ms, 6, 77 } };
	part_init(&p, "usage.calls", 0, "usage.calls/0", SHARDS);
	part_place(&p, at);
	cr_expect(p.state == PART_RUNNING && p.n_prints == 1);
	part_clear(&p);
	at[1].print = 78;
	part_init(&p, "usage.calls", 0, "usage.calls/0", SHARDS);
	part_place(&p, at);
	cr_expect_eq(p.state, PART_HALTED);
	cr_expect(strstr(p.halted, "the shards disagree about the record at offset 6") != NULL, "%s", p.halted);
	part_clear(&p);
	at[1] = (struct position){ 9, jan_ms, 8, 78 }; // of another record
	part_init(&p, "usage.calls", 0, "usage.calls/0", SHARDS);
	part_place(&p, at);
	cr_expect(p.state == PART_RUNNING && p.n_prints == 2);
	part_clear(&p);
}
