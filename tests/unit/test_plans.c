// SPDX-License-Identifier: Apache-2.0
// Which ladder or allowance holds at which record clock: rules versions and what was said of an account take effect where they say.
#include <criterion/criterion.h>

#include "base/check.h"
#include "plans/plans.h"
#include "rules/change.h"
#include "some_rules.h"

enum { JAN = 2020 * 12 };
static const int64_t HOUR = 3600000;

struct world {
	struct journal *journal;
	struct account_book *book;
	struct plans *plans;
	const struct zone *zone;
	int64_t jan_ms, second_ms; // second_ms: from when the second version of the rules holds
	int64_t offset;
	uint32_t tag, crop;
};

static void apply(struct world *w, char *record)
{
	struct error e = { 0 };
	cr_assert_eq(journal_apply(w->journal, w->journal->next_offset, span_of(record), &e), ERROR_NONE, "%s", e.text);
	free(record);
}

static void world_open(struct world *w)
{
	CLEANUP(rules_freep) struct rules *first = some_rules(CLOCK_RECORDS, NULL, NULL);
	CLEANUP(rules_freep) struct rules *second = some_rules(CLOCK_RECORDS, "calls: 10_000", "calls: 5_000");
	*w = (struct world){ .journal = journal_new(), .book = account_book_new(), .plans = plans_new() };
	struct journal_part part = { .topic = (char *)(uintptr_t)"usage.calls", .clock_ms = TIME_NONE };
	apply(w, journal_init_record("i", 1, &part, 1));
	apply(w, journal_rules_record(1, TIME_NONE, first));
	w->zone = catalog_zone(w->journal->rules[0].rules->catalog);
	w->jan_ms = period_start_ms(w->zone, JAN);
	w->second_ms = w->jan_ms + 100 * HOUR;
	apply(w, journal_rules_record(2, w->second_ms, second));
	w->zone = catalog_zone(w->journal->rules[0].rules->catalog);
	cr_assert(catalog_find_id(w->journal->rules[1].rules->catalog, SPAN_LIT("image-tag"), &w->tag));
	cr_assert(catalog_find_id(w->journal->rules[1].rules->catalog, SPAN_LIT("image-crop"), &w->crop));
	plans_know(w->plans, w->journal, w->book);
}

static void world_close(struct world *w)
{
	plans_freep(&w->plans);
	account_book_freep(&w->book);
	journal_freep(&w->journal);
}

static void say(struct world *w, int64_t stamp_ms, const char *fact)
{
	struct account_fault fault;
	cr_assert_eq(account_book_apply(w->book, 0, w->offset++, stamp_ms, span_of(fact), &fault), ACCOUNT_TAKEN, "%s: %s", fact, fault.detail);
	plans_know(w->plans, w->journal, w->book);
}

static struct plan_row row_at(struct world *w, int64_t clock_ms, const char *account, uint32_t service, int month)
{
	return plans_row(w->plans, journal_rules_at(w->journal, clock_ms), clock_ms, span_of(account), service, month);
}

static int64_t quota_at(struct world *w, int64_t clock_ms, const char *account)
{
	struct plan_row r = row_at(w, clock_ms, account, w->tag, JAN);
	for (uint32_t i = 0; i < r.plain->n; i++)
		if (r.plain->rungs[i].kind == ALERT_QUOTA_EXHAUSTED)
			return r.plain->rungs[i].at;
	return 0;
}

Test(plans, rules_hold_by_the_record_clock)
{
	struct world w;
	world_open(&w);
	cr_expect_eq(quota_at(&w, TIME_NONE, "a"), 10000);
	cr_expect_eq(quota_at(&w, w.second_ms - 1, "a"), 10000);
	cr_expect_eq(quota_at(&w, w.second_ms, "a"), 5000);
	struct plan_row row = row_at(&w, w.second_ms, "a", w.tag, JAN);
	cr_expect_eq(row.plain->origin.rules_version, 2);
	cr_expect_eq(row.plain->origin.cause_ms, w.second_ms);
	cr_expect(span_is(row.plain->origin.cause, "price book tiia-2020-01, rules version 2"));
	cr_expect(row.plain == row_at(&w, w.second_ms + HOUR, "b", w.tag, JAN).plain, "one ladder for all of whom nothing was said");
	cr_expect(row.allowance == NULL && row.first == NULL);
	cr_expect_eq(plans_next_turn(w.plans, &w.journal->rules[0], w.jan_ms), w.second_ms);
	cr_expect_eq(plans_next_turn(w.plans, &w.journal->rules[1], w.second_ms), period_end_ms(w.zone, JAN));
	world_close(&w);
}

Test(plans, a_contract_takes_effect_after_the_lead)
{
	struct world w;
	int64_t at_ms;
	world_open(&w);
	at_ms = w.jan_ms + 10 * HOUR;
	say(&w, at_ms, "{\"type\":\"contract\",\"account\":\"a\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"image-tag\","
		       "\"free\":{\"calls\":20000}}]}");
	int64_t effect_ms = at_ms + w.journal->rules[0].rules->settings.lead_ms;
	cr_expect_eq(quota_at(&w, effect_ms - 1, "a"), 10000);
	cr_expect_eq(quota_at(&w, effect_ms, "a"), 20000);
	cr_expect_eq(quota_at(&w, effect_ms, "b"), 10000);
	cr_expect_eq(quota_at(&w, w.second_ms, "a"), 20000, "new rules change nothing of a contract's quota");
	struct plan_row row = row_at(&w, effect_ms, "a", w.tag, JAN);
	cr_expect(span_is(row.plain->origin.contract, "c-1/1") && span_is(row.plain->origin.cause, "contract c-1, version 1"));
	cr_expect_eq(row.plain->origin.cause_ms, effect_ms);
	cr_expect(plans_watched(w.plans, SPAN_LIT("a")) && !plans_watched(w.plans, SPAN_LIT("b")));
	cr_expect_eq(plans_next_turn(w.plans, &w.journal->rules[0], w.jan_ms), effect_ms);
	cr_expect_eq(plans_next_turn(w.plans, &w.journal->rules[0], effect_ms), w.second_ms);
	world_close(&w);
}

static bool is_a(void *ctx, struct span account)
{
	*(int *)ctx += 1;
	return span_is(account, "a");
}

Test(plans, a_pack_makes_an_allowance_over_its_months)
{
	struct world w;
	int turned = 0;
	world_open(&w);
	int64_t at_ms = w.jan_ms + HOUR, effect_ms = at_ms + w.journal->rules[0].rules->settings.lead_ms;
	say(&w, at_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":1000,\"price\":\"2.00\","
		       "\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-04-01T00:00:00+08:00\"}");
	cr_expect_null(row_at(&w, effect_ms - 1, "a", w.tag, JAN).allowance);
	struct plan_row row = row_at(&w, effect_ms, "a", w.tag, JAN), later = row_at(&w, w.second_ms + 40 * 24 * HOUR, "a", w.tag, JAN + 1);
	cr_assert(row.allowance != NULL && row.plain == NULL);
	cr_expect(row.scope == MONTH_NONE && row.allowance->n_packs == 1 && row.allowance->months[0].month == JAN);
	cr_expect(row_at(&w, effect_ms, "a", w.crop, JAN).allowance == NULL, "what shares nothing keeps its ladder");
	cr_expect(later.allowance->months[0].month == JAN && later.month == 1, "it goes back to the pack's first month");
	cr_expect_eq(later.allowance->origin.rules_version, 2);
	cr_expect_null(row_at(&w, effect_ms + 100 * 24 * HOUR, "a", w.tag, JAN + 3).allowance, "the pack is over in April");
	// Both of the pack's rungs, the quota's two, three tiers in each month.
	uint32_t packs = 0;
	for (uint32_t i = 0; i < row.allowance->n_rungs; i++)
		packs += row.allowance->rungs[i].of == QUANTITY_PACK;
	cr_expect_eq(packs, 2);
	cr_expect_eq(row.allowance->n_rungs, 2 + row.allowance->n_months * 5);
	cr_expect(!plans_turning(w.plans, &w.journal->rules[0], w.jan_ms, effect_ms - 1, is_a, &turned) && turned == 0);
	cr_expect(plans_turning(w.plans, &w.journal->rules[0], w.jan_ms, effect_ms, is_a, &turned) && turned == 1);
	cr_expect(!plans_turning(w.plans, &w.journal->rules[0], effect_ms, effect_ms + HOUR, is_a, &turned));
	world_close(&w);
}

// p-0 is over in March, but what it gave in February decides how much of p-1 was taken then.
Test(plans, packs_reach_back_over_those_before_them)
{
	struct world w;
	world_open(&w);
	say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-0\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":9,\"price\":\"2.00\","
			  "\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-03-01T00:00:00+08:00\"}");
	say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":9,\"price\":\"2.00\","
			  "\"start\":\"2020-02-15T00:00:00+08:00\",\"expiry\":\"2020-05-01T00:00:00+08:00\"}");
	struct plan_row row = row_at(&w, w.jan_ms + 65 * 24 * HOUR, "a", w.tag, JAN + 2);
	cr_assert(row.allowance != NULL);
	cr_expect(row.allowance->months[0].month == JAN && row.allowance->n_packs == 2 && row.month == 2);
	world_close(&w);
}

// In the grace of a month calls of two months come in any order; what they may reach is weighed by one allowance, or the batch would
// have a call whose crossing nobody finds.
Test(plans, open_months_have_one_allowance_in_whichever_order_they_are_asked_for)
{
	for (int order = 0; order < 2; order++) {
		struct world w;
		world_open(&w);
		say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-0\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":9,\"price\":\"2.00\","
				  "\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-02-01T00:00:00+08:00\"}");
		say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":9,\"price\":\"2.00\","
				  "\"start\":\"2020-02-15T00:00:00+08:00\",\"expiry\":\"2020-05-01T00:00:00+08:00\"}");
		int64_t before_ms = period_end_ms(w.zone, JAN) - HOUR, grace_ms = period_end_ms(w.zone, JAN) + HOUR;
		struct plan_row old = row_at(&w, before_ms, "a", w.tag, JAN);
		struct plan_row one = row_at(&w, grace_ms, "a", w.tag, JAN + order), other = row_at(&w, grace_ms, "a", w.tag, JAN + 1 - order);
		cr_assert(one.allowance != NULL && old.allowance != NULL);
		cr_expect(one.allowance == other.allowance && one.scope == other.scope && one.month != other.month);
		cr_expect_eq(one.allowance->months[0].month, JAN);
		cr_expect_eq(one.allowance->months[one.allowance->n_months - 1].month, JAN + 2, "and the month that comes next");
		world_close(&w);
	}
}

// ---- which rules may follow which

static void expect_refused(const char *from, const char *to, int settled, const char *why)
{
	CLEANUP(rules_freep) struct rules *a = some_rules(CLOCK_RECORDS, NULL, NULL);
	CLEANUP(rules_freep) struct rules *b = some_rules(CLOCK_RECORDS, from, to);
	struct faults f = { 0 };
	bool ok = rules_may_follow(a, b, settled, &f);
	cr_expect_eq(ok, why == NULL, "%s -> %s", from, to);
	if (why != NULL) {
		cr_assert_geq(f.n, 1);
		cr_expect(strstr(f.list[0].text, why) != NULL, "%s", f.list[0].text);
	}
	faults_free(&f);
}

Test(plans, rules_that_may_follow)
{
	expect_refused("price: 2.5", "price: 2.6", MONTH_NONE, NULL);
	expect_refused("price: 2.5", "price: 2.6", JAN - 1, NULL);
	expect_refused("price: 2.5", "price: 2.6", JAN, "service `image-tag` has another price or quota in 2020-01, which is settled");
	expect_refused("aliases: [DetectLabel]", "aliases: [DetectLabel, TagImage]", JAN, NULL);
	expect_refused("time_zone: Asia/Shanghai", "time_zone: UTC", MONTH_NONE, "`time_zone` cannot change from Asia/Shanghai to UTC");
	expect_refused("currency: CNY", "currency: USD", MONTH_NONE, "`currency` cannot change from CNY to USD");
	expect_refused("id: image-enhance", "id: image-better", MONTH_NONE, "service `image-enhance` is gone: services never vanish");
	CLEANUP(rules_freep) struct rules *a = some_rules(CLOCK_RECORDS, NULL, NULL);
	CLEANUP(rules_freep) struct rules *b = some_rules(CLOCK_WALL, NULL, NULL);
	struct faults f = { 0 };
	cr_expect(!rules_may_follow(a, b, MONTH_NONE, &f) && strstr(f.list[0].text, "`clock` cannot change") != NULL);
	faults_free(&f);
}

// ---- changes, and what counters are looked at by

static uint32_t looks_of(struct world *w, const char *account, int64_t since_ms, int64_t upto_ms, int64_t ret[8])
{
	struct arena arena = { 0 };
	const struct look_terms *const *list;
	uint32_t n = plans_looks(w->plans, since_ms, upto_ms, span_of(account), &arena, &list);
	cr_assert_leq(n, 8);
	for (uint32_t i = 0; i < n; i++)
		ret[i] = list[i]->change_ms;
	arena_free(&arena);
	return n;
}

Test(plans, each_change_of_an_account_has_a_look_of_its_own)
{
	struct world w;
	int64_t at[8];
	world_open(&w);
	int64_t lead_ms = w.journal->rules[0].rules->settings.lead_ms, said_ms = w.jan_ms + 10 * HOUR;
	say(&w, said_ms, "{\"type\":\"contract\",\"account\":\"a\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"image-tag\","
			 "\"free\":{\"calls\":20000}}]}");
	cr_expect_eq(plans_change(w.plans, w.jan_ms, SPAN_LIT("a")), INT64_MIN);
	cr_expect_eq(plans_change(w.plans, said_ms + lead_ms - 1, SPAN_LIT("a")), INT64_MIN);
	cr_expect_eq(plans_change(w.plans, said_ms + lead_ms, SPAN_LIT("a")), said_ms + lead_ms);
	cr_expect_eq(plans_change(w.plans, w.second_ms, SPAN_LIT("a")), w.second_ms);
	cr_expect_eq(plans_change(w.plans, w.second_ms - 1, SPAN_LIT("b")), INT64_MIN, "nothing was said of it");
	cr_assert_eq(looks_of(&w, "a", INT64_MIN, w.second_ms + HOUR, at), 2);
	cr_expect(at[0] == said_ms + lead_ms && at[1] == w.second_ms);
	cr_assert_eq(looks_of(&w, "a", at[0], w.second_ms + HOUR, at), 1);
	cr_expect_eq(looks_of(&w, "b", INT64_MIN, w.second_ms - 1, at), 0);
	cr_expect(plans_look(w.plans, w.second_ms, SPAN_LIT("b")) == plans_look(w.plans, w.second_ms, SPAN_LIT("c")), "one for all of whom nothing was said");
	const struct look_terms *l = plans_look(w.plans, said_ms + lead_ms, SPAN_LIT("a"));
	cr_expect_eq(l->months[0].month, JAN - 1, "December closes a day after its end");
	cr_expect_eq(l->n_months, 3, "with January, and February for calls ahead of their records");
	world_close(&w);
}

// What an earlier version of a pack gave is taken of it: the months of that version belong to the allowance, by its own terms.
Test(plans, a_replaced_pack_keeps_what_its_earlier_version_gave)
{
	struct world w;
	world_open(&w);
	int64_t feb_close_ms = rules_close_ms(w.journal->rules[1].rules, JAN + 1), clock_ms = feb_close_ms + 10 * HOUR;
	say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":60,\"price\":\"1\","
			  "\"start\":\"2020-01-05T00:00:00+08:00\",\"expiry\":\"2020-03-10T00:00:00+08:00\"}");
	say(&w, feb_close_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":2,\"services\":[\"image-crop\"],\"calls\":7,\"price\":\"1\","
			      "\"start\":\"2020-03-05T00:00:00+08:00\",\"expiry\":\"2020-05-10T00:00:00+08:00\"}");
	const struct allowance *a = row_at(&w, clock_ms, "a", w.crop, JAN + 2).allowance;
	cr_assert(a != NULL);
	cr_assert_eq(a->months[0].month, JAN);
	const struct allowance_service *s = &a->months[0].services[0];
	cr_assert(a->months[0].n_services == 1 && s->n_packs == 1 && s->pack_calls[0] == 60);
	cr_expect_str_eq(s->id, "image-tag");
	cr_expect_eq(a->packs[s->packs[0]].calls, 7);
	world_close(&w);
}

// A pack that was said after a month closed gives nothing in it; one that is over by then has no bound any more.
Test(plans, a_closed_month_keeps_its_terms_and_what_is_over_tells_nothing)
{
	struct world w;
	world_open(&w);
	int64_t feb_close_ms = rules_close_ms(w.journal->rules[1].rules, JAN + 1), clock_ms = feb_close_ms + 10 * HOUR;
	say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":100,\"price\":\"1\","
			  "\"start\":\"2020-01-05T00:00:00+08:00\",\"expiry\":\"2020-02-10T00:00:00+08:00\"}");
	say(&w, feb_close_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-2\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":100,\"price\":\"1\","
			      "\"start\":\"2020-02-05T00:00:00+08:00\",\"expiry\":\"2020-05-10T00:00:00+08:00\"}");
	const struct allowance *a = row_at(&w, clock_ms, "a", w.tag, JAN + 2).allowance;
	cr_assert(a != NULL && a->months[0].month == JAN);
	for (uint32_t m = 0; m < a->n_months; m++) {
		const struct allowance_service *s = a->months[m].n_services > 0 ? &a->months[m].services[0] : NULL;
		uint32_t n = s != NULL ? s->n_packs : 0;
		cr_expect_eq(n, 1, "month %u", m);
		cr_expect(n == 1 && span_is(a->packs[s->packs[0]].id, m < 2 ? "p-1" : "p-2"), "month %u", m);
	}
	uint32_t bounds = 0;
	for (uint32_t i = 0; i < a->n_rungs; i++) {
		bounds += a->rungs[i].of == QUANTITY_PACK;
		cr_expect(a->rungs[i].of != QUANTITY_PACK || span_is(a->rungs[i].pack, "p-2"));
	}
	cr_expect_eq(bounds, 2);
	world_close(&w);
}

// A stamp is the producer's: what is said at the end of all numbers takes effect never, not long ago.
Test(plans, a_stamp_at_the_end_of_all_numbers)
{
	struct world w;
	world_open(&w);
	say(&w, INT64_MAX - 1, "{\"type\":\"activation\",\"account\":\"a\",\"id\":\"x\",\"version\":1,\"time\":\"2020-01-01T00:00:00+08:00\"}");
	cr_expect_eq(plans_next_turn(w.plans, &w.journal->rules[0], w.jan_ms), w.second_ms);
	cr_expect_eq(plans_change(w.plans, w.jan_ms, SPAN_LIT("a")), INT64_MIN);
	cr_expect_not_null(row_at(&w, w.jan_ms, "a", w.tag, JAN).plain);
	world_close(&w);
}

// An account with a pack has other rows in every month of the clock: what was handed out for months gone by stays until all is dropped.
Test(plans, rows_of_months_gone_by_are_bounded)
{
	struct world w;
	world_open(&w);
	say(&w, w.jan_ms, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":1000,\"price\":\"2.00\","
			  "\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2190-01-01T00:00:00+08:00\"}");
	int month = JAN;
	for (; !plans_full(w.plans) && month < JAN + 12 * 150; month++)
		cr_assert_not_null(row_at(&w, period_start_ms(w.zone, month + 1) - 1, "a", w.tag, month).allowance);
	cr_expect(plans_full(w.plans), "behind %d months", month - JAN);
	plans_know(w.plans, w.journal, w.book);
	cr_expect(!plans_full(w.plans));
	cr_expect_not_null(row_at(&w, period_start_ms(w.zone, month + 1) - 1, "a", w.tag, month).allowance);
	world_close(&w);
}
