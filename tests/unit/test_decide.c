// SPDX-License-Identifier: Apache-2.0
// A record that was read ahead is decided like one that was not: also where the rules change before its turn, where it has no stamp of
// its own, and where another record comes to lie in its place.
#include <criterion/criterion.h>

#include "decide/decide.h"
#include "some_rules.h"

static const int64_t jan_ms = 1577808000000;

struct bench {
	struct rules *old, *next;
	struct journal_rules version[2];
	struct journal journal;
	struct decider d;
};

// The second version calls image-tag's alias DetectLabel by another name.
static struct bench *bench_open(void)
{
	struct bench *b = xcalloc(1, sizeof(*b));
	b->old = some_rules(CLOCK_RECORDS, NULL, NULL);
	b->next = some_rules(CLOCK_RECORDS, "DetectLabel", "DetectLabels");
	b->version[0] = (struct journal_rules){ .version = 1, .effective_ms = TIME_NONE, .rules = b->old };
	b->version[1] = (struct journal_rules){ .version = 2, .effective_ms = jan_ms, .rules = b->next };
	b->journal = (struct journal){ .n_rules = 2, .rules = b->version };
	b->d.newest = b->next->catalog;
	b->d.journal = &b->journal;
	return b;
}

static void bench_close(struct bench *b)
{
	decider_free(&b->d);
	rules_freep(&b->old);
	rules_freep(&b->next);
	free(b);
}

static struct record record(const char *value, int64_t timestamp_ms)
{
	return (struct record){ .offset = 1, .timestamp_ms = timestamp_ms, .value = span_of(value) };
}

static enum outcome outcome(struct bench *b, int version, const struct record *r)
{
	struct decision d;
	struct course c = { .clock_ms = jan_ms, .rules = &b->version[version], .next_rules_ms = INT64_MAX, .open_month = 2020 * 12,
			    .next_close_ms = INT64_MAX };
	decide_record(&b->d, &c, NULL, r, &d);
	return d.outcome;
}

#define LABEL "{\"id\":\"a\",\"account\":\"1\",\"service\":\"DetectLabel\",\"time\":1577808000000}"

Test(decide, a_record_read_under_other_rules_is_read_again)
{
	struct bench *b = bench_open();
	struct record r[2] = { record(LABEL, jan_ms), record(LABEL, jan_ms) };
	decide_begin(&b->d, r, 2);
	cr_assert_not_null(decide_ahead(&b->d, &r[0], &b->version[0]));
	cr_assert_not_null(decide_ahead(&b->d, &r[1], &b->version[0]));
	cr_expect(outcome(b, 0, &r[0]) == OUTCOME_COUNTED);
	cr_expect(outcome(b, 1, &r[1]) == OUTCOME_REJECTED);
	cr_expect(outcome(b, 0, &r[1]) == OUTCOME_COUNTED); // a batch ended before it: decided once more
	bench_close(b);
}

Test(decide, another_record_in_the_same_place_is_another_record)
{
	struct bench *b = bench_open();
	struct record r = record(LABEL, jan_ms);
	decide_begin(&b->d, &r, 1);
	decide_ahead(&b->d, &r, &b->version[0]);
	cr_expect(outcome(b, 0, &r) == OUTCOME_COUNTED);
	r = record("{}", jan_ms);
	decide_begin(&b->d, &r, 1); // as at the next poll
	cr_expect(outcome(b, 0, &r) == OUTCOME_REJECTED);
	bench_close(b);
}

// It is weighed against the record clock, which is not known ahead.
Test(decide, a_record_without_a_stamp_waits_for_its_turn)
{
	struct bench *b = bench_open();
	struct record far = record("{\"id\":\"a\",\"account\":\"1\",\"service\":\"image-tag\",\"time\":1577908000000}", -1);
	decide_begin(&b->d, &far, 1);
	cr_expect_null(decide_ahead(&b->d, &far, &b->version[0]));
	cr_expect(outcome(b, 0, &far) == OUTCOME_REJECTED);
	bench_close(b);
}

// A topic without a limit takes any stamp: what lies at the end of time is not in front of the event.
Test(decide, no_stamp_is_too_far_ahead_of_an_event)
{
	struct bench *b = bench_open();
	struct record r = record(LABEL, INT64_MAX);
	cr_expect(outcome(b, 0, &r) == OUTCOME_COUNTED);
	bench_close(b);
}

Test(decide, what_is_refused_says_why_whether_read_ahead_or_not)
{
	struct bench *b = bench_open();
	struct record r = record("{\"id\":\"a\",\"account\":\"1\",\"service\":\"none\",\"time\":1577808000000}", jan_ms);
	struct course c = { .clock_ms = jan_ms, .rules = &b->version[0], .open_month = 2020 * 12 };
	struct decision alone, ahead;
	decide_record(&b->d, &c, NULL, &r, &alone);
	decide_begin(&b->d, &r, 1);
	cr_expect_null(decide_ahead(&b->d, &r, &b->version[0]));
	decide_record(&b->d, &c, NULL, &r, &ahead);
	cr_expect(ahead.outcome == OUTCOME_REJECTED && ahead.why.reject == REJECT_SERVICE_UNKNOWN);
	cr_expect_str_eq(ahead.why.detail, alone.why.detail);
	cr_expect(ahead.why.position == alone.why.position);
	bench_close(b);
}

// A letter is out before its record is decided: where other rules were decided in between, the record counted where it stood first.
Test(decide, what_was_given_back_repeats_what_counted)
{
	struct bench *b = bench_open();
	struct header h[] = { { SPAN_LIT("trace"), SPAN_LIT("x") }, { SPAN_LIT(GIVEN_BACK_HEADER), SPAN_LIT("t/0/1") },
			      { SPAN_LIT(GIVEN_BACK_CLOCK_HEADER), { 0 } } };
	static const char labels[] = "{\"id\":\"a\",\"account\":\"1\",\"service\":\"DetectLabels\",\"time\":1577808000000}";
	struct record first = record(LABEL, jan_ms), second = record(labels, jan_ms);
	first.headers = second.headers = h;
	first.n_headers = second.n_headers = 3;
	h[2].value = SPAN_LIT("1577807999999"); // before jan_ms the first version held
	cr_expect(outcome(b, 1, &second) == OUTCOME_COUNTED, "unknown to the first version, so it was rejected there");
	cr_expect(outcome(b, 0, &first) == OUTCOME_DUPLICATE, "known to it, so it counted there");
	h[2].value = SPAN_LIT("1577808000000"); // the second one did
	cr_expect(outcome(b, 1, &second) == OUTCOME_DUPLICATE);
	cr_expect(outcome(b, 0, &first) == OUTCOME_COUNTED);
	cr_expect(outcome(b, 1, &first) == OUTCOME_REJECTED, "what is still wrong stays so");
	h[2].value = SPAN_LIT("-"); // no clock yet: the first version
	cr_expect(outcome(b, 1, &second) == OUTCOME_COUNTED);
	cr_expect(outcome(b, 0, &first) == OUTCOME_DUPLICATE);
	h[2].value = SPAN_LIT("what"); // somebody else's: nothing is concluded from it
	cr_expect(outcome(b, 1, &second) == OUTCOME_COUNTED);
	first.n_headers = 2; // given back by a meterd that did not say
	cr_expect(outcome(b, 0, &first) == OUTCOME_COUNTED);
	bench_close(b);
}

// A topic that stamps what is appended (LogAppendTime) gives it a stamp of its own: what it was in its first place is told by the one that it had there.
Test(decide, what_was_given_back_bears_the_stamp_it_had)
{
	struct bench *b = bench_open();
	struct header h[] = { { SPAN_LIT(GIVEN_BACK_HEADER), SPAN_LIT("t/0/1") }, { SPAN_LIT(GIVEN_BACK_CLOCK_HEADER), SPAN_LIT("1577807999999") },
			      { SPAN_LIT(GIVEN_BACK_STAMP_HEADER), SPAN_LIT("1577207999999") } };
	struct record r = record(LABEL, jan_ms);
	r.headers = h;
	r.n_headers = 3;
	cr_expect(outcome(b, 0, &r) == OUTCOME_COUNTED, "ten days too early for its stamp there, so it was rejected");
	h[2].value = SPAN_LIT("1577807999999");
	cr_expect(outcome(b, 0, &r) == OUTCOME_DUPLICATE, "not too early there, so it counted");
	h[2].value = SPAN_LIT("-1"); // it had none: the record clock was asked
	cr_expect(outcome(b, 0, &r) == OUTCOME_DUPLICATE);
	h[1].value = SPAN_LIT("1577207999999");
	cr_expect(outcome(b, 0, &r) == OUTCOME_COUNTED);
	h[2].value = SPAN_LIT("what"); // nobody's: as if it were not there
	cr_expect(outcome(b, 0, &r) == OUTCOME_DUPLICATE);
	r.timestamp_ms = 1577207999999;
	h[2].value = SPAN_LIT("1577808000000");
	cr_expect(outcome(b, 0, &r) == OUTCOME_REJECTED, "what is still wrong stays so");
	bench_close(b);
}

// A stamp is the producer's: at the end of all numbers nothing lies too far ahead of it, and nothing wraps.
Test(decide, a_stamp_at_the_end_of_all_numbers)
{
	struct bench *b = bench_open();
	struct record r = record(LABEL, INT64_MAX);
	cr_expect(outcome(b, 0, &r) == OUTCOME_COUNTED);
	r.timestamp_ms = jan_ms - 300000;
	cr_expect(outcome(b, 0, &r) == OUTCOME_COUNTED, "as far ahead as it may be");
	r.timestamp_ms--;
	cr_expect(outcome(b, 0, &r) == OUTCOME_REJECTED);
	bench_close(b);
}
