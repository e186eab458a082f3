// SPDX-License-Identifier: Apache-2.0
// meterctl rules: whom other rules would concern, by figures worked out by hand; and its command line. (What it does on real servers:
// scenario c06.)
#include "rules/change.h"
#include "run_tool.h"
#include "some_rules.h"
#include "tools/rules_effect.h"
#include "tools/rules_tool.h"
#include "tools/tools.h"

#define SMALL "tests/table/settlement.yaml"
enum { JAN = 2020 * 12, FEB, MAR };

struct world {
	struct rules *from, *to;
	struct account_book *book;
	struct usage_counter list[16];
	struct usage_counters counters;
	bool since_fails, gave_fails;
	const char *gave; // what packs gave so far: of every account
};

// Every account is as old as its first counter says; "new" begins in the month that is asked for.
static bool since(void *ctx, const char *account, int month, int *ret)
{
	struct world *w = ctx;
	*ret = strcmp(account, "new") == 0 ? month : JAN;
	return !w->since_fails;
}

static bool gave(void *ctx, const char *account, struct arena *arena, struct balance *ret)
{
	struct world *w = ctx;
	cr_assert_not_null(account);
	cr_assert(balance_parse(w->gave != NULL ? span_of(w->gave) : (struct span){ NULL, 0 }, arena, ret));
	return !w->gave_fails;
}

static void count(struct world *w, const char *account, const char *service, int month, int64_t calls)
{
	cr_assert_lt(w->counters.n, ARRAY_LEN(w->list));
	w->list[w->counters.n++] = (struct usage_counter){ (char *)(uintptr_t)account, (char *)(uintptr_t)service, month, calls, 0 };
	w->counters.list = w->list;
}

static void said(struct world *w, const char *text)
{
	struct account_fault fault;
	cr_assert_eq(account_book_apply(w->book, 0, account_book_serial(w->book), 1577700000000, span_of(text), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
}

static void world_begin(struct world *w, const char *from, const char *to)
{
	*w = (struct world){ .book = account_book_new() };
	w->from = rules_of_book(SMALL, CLOCK_RECORDS, NULL, NULL);
	w->to = rules_of_book(SMALL, CLOCK_RECORDS, from, to);
}

static void world_end(struct world *w)
{
	rules_freep(&w->from);
	rules_freep(&w->to);
	account_book_freep(&w->book);
}

static struct effect_scope scope_of(struct world *w, int settled)
{
	return (struct effect_scope){ w->from->catalog, w->to->catalog, w->book, &w->counters, settled, since, gave, w };
}

static void expect_effects(struct world *w, int settled, const char *wanted)
{
	struct rules_differences d;
	struct effect_scope s = scope_of(w, settled);
	char *text = NULL, month[MONTH_TEXT];
	size_t size = 0;
	rules_differ(w->from, w->to, settled != MONTH_NONE ? settled + 1 : MONTH_FIRST, &d);
	FILE *f = open_memstream(&text, &size);
	for (uint32_t i = 0; i < d.n; i++) {
		struct effect e;
		if (d.list[i].month == MONTH_NONE)
			continue;
		effect_of(&s, &d.list[i], &e);
		fprintf(f, "%s %s %s: %ld with %ld calls: %s; by contract %ld: %s\n", d.list[i].what, d.list[i].service, month_text(d.list[i].month, month),
			e.touched.n, e.calls, e.touched.text, e.by_contract.n, e.by_contract.text);
	}
	fclose(f);
	cr_expect_str_eq(text, wanted, "got\n%s", text);
	free(text);
	rules_differences_free(&d);
}

static void expect_alerts(struct world *w, int settled, const char *wanted)
{
	struct effect_alerts a;
	struct effect_scope s = scope_of(w, settled);
	char *text = NULL, month[MONTH_TEXT];
	size_t size = 0;
	cr_assert(effect_alerts(&s, &a));
	FILE *f = open_memstream(&text, &size);
	for (uint32_t i = 0; i < a.n; i++)
		fprintf(f, "%s %s %s%s%s at %ld: %ld: %s\n", month_text(a.list[i].month, month), a.list[i].service, alert_kind_text(a.list[i].kind),
			a.list[i].pack != NULL ? " of " : "", a.list[i].pack != NULL ? a.list[i].pack : "", a.list[i].bound, a.list[i].accounts.n,
			a.list[i].accounts.text);
	fclose(f);
	cr_expect_str_eq(text, wanted, "got\n%s", text);
	free(text);
	effect_alerts_free(&a);
}

// The second tier of tag from 5,000 instead of 1,000,000, and 9,500 free calls instead of 10,000: the warning moves from 8,000 to 7,600.
static void other_tag(struct world *w)
{
	world_begin(w, "{from: 1_000_000, price: 2.2}]}\n    free: [{from: 2020-01, calls: 10_000",
		    "{from: 5_000, price: 2.2}]}\n    free: [{from: 2020-01, calls: 9_500");
	said(w, "{\"type\":\"contract\",\"account\":\"cut\",\"id\":\"c-2\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"tag\","
		"\"free\":{\"calls\":20000}}]}");
	said(w, "{\"type\":\"contract\",\"account\":\"dear\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"tag\","
		"\"prices\":{\"model\":\"volume\",\"per\":1000,\"tiers\":[{\"from\":0,\"price\":\"1\"}]}}]}");
	count(w, "acme", "crop", FEB, 9000);
	count(w, "acme", "tag", FEB, 9000);
	count(w, "bob", "tag", JAN, 5000); // settled below
	count(w, "bob", "tag", FEB, 7000);
	count(w, "bob", "tag", MAR, 9600);
	count(w, "cut", "tag", FEB, 12000);
	count(w, "dear", "tag", FEB, 6000);
	count(w, "pool", "pool-a", FEB, 9000);
	count(w, "zed", "tag", FEB, 0); // late calls only
}

// A contract's prices shut out the list's, not its quota; and the other way round.
Test(rules_tool, whom_it_concerns)
{
	struct world w;
	other_tag(&w);
	expect_effects(&w, JAN,
		       "price tag 2020-02: 3 with 37600 calls: acme, bob, cut; by contract 1: dear (c-1/1)\n"
		       "free calls tag 2020-02: 3 with 31600 calls: acme, bob, dear; by contract 1: cut (c-2/1)\n");
	expect_effects(&w, FEB,
		       "price tag 2020-03: 1 with 9600 calls: bob; by contract 0: \n"
		       "free calls tag 2020-03: 1 with 9600 calls: bob; by contract 0: \n");
	expect_effects(&w, MAR,
		       "price tag 2020-04: 0 with 0 calls: ; by contract 0: \n"
		       "free calls tag 2020-04: 0 with 0 calls: ; by contract 0: \n");
	world_end(&w);
}

// 9,000 calls: the tier at 5,000 and the warning at 7,600. cut has 20,000 free calls by contract, dear one price.
Test(rules_tool, which_alerts_would_be_due)
{
	struct world w;
	other_tag(&w);
	expect_alerts(&w, JAN,
		      "2020-02 tag tier.crossed at 5000: 3: acme, bob, cut\n"
		      "2020-02 tag free_quota.warning at 7600: 1: acme\n"
		      "2020-03 tag tier.crossed at 5000: 1: bob\n"
		      "2020-03 tag free_quota.warning at 7600: 1: bob\n"
		      "2020-03 tag free_quota.exhausted at 9500: 1: bob\n");
	expect_alerts(&w, MAR, "");
	said(&w, "{\"type\":\"pack\",\"account\":\"acme\",\"id\":\"p-1\",\"version\":1,\"services\":[\"tag\"],\"calls\":100,\"price\":\"1.00\","
		 "\"start\":\"2020-02-01T00:00:00+08:00\",\"expiry\":\"2020-03-01T00:00:00+08:00\"}");
	expect_alerts(&w, JAN, // a pack behind the free calls changes nothing of them, by either price book it gave nothing
		      "2020-02 tag tier.crossed at 5000: 3: acme, bob, cut\n"
		      "2020-02 tag free_quota.warning at 7600: 1: acme\n"
		      "2020-03 tag tier.crossed at 5000: 1: bob\n"
		      "2020-03 tag free_quota.warning at 7600: 1: bob\n"
		      "2020-03 tag free_quota.exhausted at 9500: 1: bob\n");
	world_end(&w);
}

// What was reached already is no news: the same bounds, or none at all.
Test(rules_tool, no_alert_where_nothing_is_due)
{
	struct world w;
	world_begin(&w, "price: 2.2}", "price: 2.1}");
	count(&w, "acme", "tag", FEB, 2000000);
	expect_alerts(&w, MONTH_NONE, "");
	expect_effects(&w, MONTH_NONE, "price tag 2020-01: 1 with 2000000 calls: acme; by contract 0: \n");
	world_end(&w);
}

// Dearer in January and February, alike again from March on.
Test(rules_tool, months_that_are_alike_again)
{
#define STEPS "tiers: [{from: 0, price: 2}, {from: 10_000, price: 1}]}"
	struct world w;
	world_begin(&w, STEPS, "tiers: [{from: 0, price: 3}, {from: 10_000, price: 1}]}\n"
		    "      - {from: 2020-03, model: graduated, per: 1000, bounds: lower-inclusive, tier_basis: total, " STEPS);
	count(&w, "acme", "steps", JAN, 3);
	count(&w, "acme", "steps", FEB, 4);
	count(&w, "acme", "steps", MAR, 5);
	count(&w, "bob", "steps", MAR, 6);
	expect_effects(&w, MONTH_NONE, "price steps 2020-01: 1 with 7 calls: acme; by contract 0: \n");
	expect_effects(&w, JAN, "price steps 2020-02: 1 with 4 calls: acme; by contract 0: \n");
	expect_effects(&w, FEB, "");
	world_end(&w);
}

// Free calls from the second month on: the account that is new has none.
Test(rules_tool, the_month_of_activation)
{
	struct world w;
	world_begin(&w, "calls: 10_000, warn: 0.8, first_month: next", "calls: 5_000, warn: 0.8, first_month: next");
	count(&w, "new", "next", FEB, 6000);
	count(&w, "older", "next", FEB, 6000);
	expect_alerts(&w, JAN,
		      "2020-02 next free_quota.warning at 4000: 1: older\n"
		      "2020-02 next free_quota.exhausted at 5000: 1: older\n");
	struct effect_alerts a;
	struct effect_scope s = scope_of(&w, JAN);
	w.since_fails = true;
	cr_expect_not(effect_alerts(&s, &a));
	effect_alerts_free(&a);
	world_end(&w);
}

// Shared free calls: all of the pool but the one whose contract has its own.
Test(rules_tool, shared_free_calls)
{
	struct world w;
	world_begin(&w, "services: [pool-a, pool-b]\n    free: [{from: 2020-01, calls: 10_000", "services: [pool-a, pool-b]\n    free: [{from: 2020-01, calls: 8_000");
	said(&w, "{\"type\":\"contract\",\"account\":\"own\",\"id\":\"c-3\",\"version\":4,\"from\":\"2020-01\",\"services\":[{\"service\":\"pool-a\","
		 "\"free\":{\"calls\":5}}]}");
	count(&w, "acme", "pool-a", FEB, 1);
	count(&w, "own", "pool-a", FEB, 2);
	count(&w, "own", "pool-b", FEB, 3);
	expect_effects(&w, JAN,
		       "shared free calls pool-a 2020-02: 1 with 1 calls: acme; by contract 1: own (c-3/4)\n"
		       "shared free calls pool-b 2020-02: 1 with 3 calls: own; by contract 0: \n");
	expect_alerts(&w, JAN, ""); // 5 of 8,000
	count(&w, "pool", "pool-a", FEB, 4000);
	count(&w, "pool", "pool-b", FEB, 3990); // 7,990: the warning at 6,400 is new only below 8,000, where that of 10,000 is
	count(&w, "push", "pool-a", FEB, 4000);
	count(&w, "push", "pool-b", FEB, 4000);
	expect_alerts(&w, JAN,
		      "2020-02 pool free_quota.warning at 6400: 2: pool, push\n"
		      "2020-02 pool free_quota.exhausted at 8000: 1: push\n");
	expect_alerts(&w, FEB, "");
	world_end(&w);
}

// Fewer free calls leave more to the packs. By hand, tag: 9,500 free instead of 10,000; of February's 9,900 calls a pack gives 400, of
// March's 10,000 another 500: 900 of 1,000, and before that by the old price book nothing. What settled months took counts.
Test(rules_tool, packs_that_give_more)
{
	struct world w;
	other_tag(&w);
	w.counters.n = 0;
	said(&w, "{\"type\":\"pack\",\"account\":\"acme\",\"id\":\"p-1\",\"version\":1,\"services\":[\"tag\"],\"calls\":1000,\"price\":\"1.00\","
		 "\"start\":\"2020-01-05T00:00:00+08:00\",\"expiry\":\"2020-04-01T00:00:00+08:00\"}");
	said(&w, "{\"type\":\"pack\",\"account\":\"acme\",\"id\":\"p-2\",\"version\":1,\"services\":[\"tag\",\"crop\"],\"calls\":50,\"price\":\"1.00\","
		 "\"start\":\"2020-02-05T00:00:00+08:00\",\"expiry\":\"2020-05-01T00:00:00+08:00\"}");
	count(&w, "acme", "tag", FEB, 9900);
	count(&w, "acme", "tag", MAR, 10000);
#define OF_THE_MONTHS "2020-02 tag tier.crossed at 5000: 1: acme\n"        \
		      "2020-02 tag free_quota.warning at 7600: 1: acme\n"   \
		      "2020-02 tag free_quota.exhausted at 9500: 1: acme\n" \
		      "2020-03 tag tier.crossed at 5000: 1: acme\n"         \
		      "2020-03 tag free_quota.warning at 7600: 1: acme\n"   \
		      "2020-03 tag free_quota.exhausted at 9500: 1: acme\n"
	expect_alerts(&w, JAN, "2020-02 tag pack.warning of p-1 at 800: 1: acme\n" OF_THE_MONTHS);
	w.gave = "2020-01 p-1=150"; // 850 are left: 400 and 450 of them, and then the other pack's 50
	expect_alerts(&w, JAN,
		      "2020-02 p-2 pack.warning of p-2 at 40: 1: acme\n"
		      "2020-02 p-2 pack.exhausted of p-2 at 50: 1: acme\n"
		      "2020-02 tag pack.warning of p-1 at 800: 1: acme\n"
		      "2020-02 tag pack.exhausted of p-1 at 1000: 1: acme\n" OF_THE_MONTHS);
	w.gave_fails = true;
	struct effect_alerts a;
	struct effect_scope s = scope_of(&w, JAN);
	cr_expect_not(effect_alerts(&s, &a));
	effect_alerts_free(&a);
	world_end(&w);
}

// Free calls of a list at price 0 are of those whom a contract charges: they alone are concerned.
Test(rules_tool, free_calls_at_price_0)
{
	struct world w;
	world_begin(&w, "{from: 2020-01, model: free}", "{from: 2020-01, model: free}\n    free: [{from: 2020-02, calls: 100}]");
	said(&w, "{\"type\":\"contract\",\"account\":\"pays\",\"id\":\"c\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"beta\","
		 "\"prices\":{\"model\":\"flat\",\"per\":1,\"price\":\"1\"}}]}");
	said(&w, "{\"type\":\"contract\",\"account\":\"quiet\",\"id\":\"c\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"beta\","
		 "\"tier_basis\":\"billable\"}]}");
	count(&w, "acme", "beta", FEB, 500);
	count(&w, "pays", "beta", FEB, 90);
	count(&w, "quiet", "beta", FEB, 500);
	expect_effects(&w, JAN, "free calls beta 2020-02: 1 with 90 calls: pays; by contract 0: \n");
	expect_alerts(&w, JAN, "2020-02 beta free_quota.warning at 80: 1: pays\n");
	cr_expect_not(catalogs_price_alike(w.from->catalog, w.to->catalog, 7, FEB));
	cr_expect(catalogs_price_alike(w.from->catalog, w.to->catalog, 7, JAN));
	world_end(&w);
}

// As many names as a line can bear, and the number of all; a name that does not fit is left out whole.
Test(rules_tool, samples_are_short)
{
	static char names[8][400];
	struct world w;
	world_begin(&w, "price: 2.2}", "price: 2.1}");
	for (size_t i = 0; i < 7; i++) {
		snprintf(names[i], sizeof(names[i]), "a%zu", i);
		count(&w, names[i], "tag", FEB, 1);
	}
	expect_effects(&w, JAN, "price tag 2020-02: 7 with 7 calls: a0, a1, a2, a3, a4; by contract 0: \n");
	memset(names[1], 'x', 399);
	memset(names[2], 'y', 399);
	CLEANUP(freep) char *wanted = xasprintf("price tag 2020-02: 7 with 7 calls: a0, %s, a3, a4; by contract 0: \n", names[1]);
	expect_effects(&w, JAN, wanted);
	world_end(&w);
}

// ---- which version is in force

static struct journal *three_versions(enum clock_mode clock)
{
	struct journal *j = journal_new();
	struct error e = { 0 };
	CLEANUP(freep) char *init = journal_init_record("i", 1, NULL, 0);
	cr_assert_eq(journal_apply(j, 0, span_of(init), &e), ERROR_NONE, "%s", e.text);
	for (int64_t v = 1; v <= 3; v++) {
		CLEANUP(freep) char *to = xasprintf("version: v%ld", v);
		CLEANUP(rules_freep) struct rules *r = rules_of_book(SMALL, clock, "version: small-1", to);
		CLEANUP(freep) char *record = journal_rules_record(v, v == 1 ? TIME_NONE : v * 1000000, r);
		cr_assert_eq(journal_apply(j, v, span_of(record), &e), ERROR_NONE, "%s", e.text);
	}
	return j;
}

static void expect_states(const struct journal *j, int64_t clock_max_ms, int64_t now_ms, const char *a, const char *b, const char *c)
{
	const char *wanted[] = { a, b, c };
	for (uint32_t i = 0; i < 3; i++) {
		const char *got = rules_version_state(j, &j->rules[i], clock_max_ms, now_ms);
		cr_expect_str_eq(got, wanted[i], "version %u at %ld, %ld: %s", i + 1, clock_max_ms, now_ms, got);
	}
}

// The log is the clock: now says nothing. The wall is: a silent log does not keep a version from coming into force.
Test(rules_tool, which_version_is_in_force)
{
	CLEANUP(journal_freep) struct journal *log = three_versions(CLOCK_RECORDS), *wall = three_versions(CLOCK_WALL);
	expect_states(log, TIME_NONE, 9000000, "in force", "coming", "coming");
	expect_states(log, 1999999, 9000000, "in force", "coming", "coming");
	expect_states(log, 2000000, 9000000, "replaced", "in force", "coming");
	expect_states(log, 3000000, 0, "replaced", "replaced", "in force");
	expect_states(wall, TIME_NONE, 1999999, "in force", "coming", "coming");
	expect_states(wall, TIME_NONE, 2000000, "replaced", "in force", "coming");
	expect_states(wall, 3000000, 2000000, "replaced", "replaced", "in force");
}

// ---- the command line: mistakes are told before any server is asked
Test(rules_tool, mistakes_say_what_to_write)
{
	expect_run(tool_rules, "rules", 64, "", "1 argument is missing");
	expect_run(tool_rules, "rules aply", 64, "", "part `aply` is unknown: did you mean `apply`? It is one of apply, diff, list, show");
	expect_run(tool_rules, "rules show", 64, "", "show: which version? `meterctl rules list` shows them");
	expect_run(tool_rules, "rules list 3", 64, "", "list: \"3\" is one argument too many");
	expect_run(tool_rules, "rules apply a.yaml b.yaml", 64, "", "\"b.yaml\" is one argument too many");
	expect_run(tool_rules, "rules apply --timeout soon", 64, "", "--timeout takes a whole number, not \"soon\"");
	expect_run(tool_rules, "rules apply --timeot 5", 64, "", "did you mean --timeout?");
	expect_run(tool_rules, "rules list --config /nowhere/meterd.yaml", 78, "", "/nowhere/meterd.yaml");
}
