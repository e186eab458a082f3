// SPDX-License-Identifier: Apache-2.0
// What would have been: how a range is written, and a log in memory whose figures are worked out by hand.
#include <criterion/criterion.h>

#include "base/fault.h"
#include "base/file.h"
#include "begun_log.h"
#include "fake_kafka.h"
#include "journal/journal.h"
#include "outbox/outbox.h"
#include "replay/replay.h"
#include "some_rules.h"

static const int JAN = 2020 * 12;
static const int64_t jan_ms = 1577808000000, day = 86400000; // 2020-01-01T00:00:00+08:00

// ---- the range
static struct zone *shanghai(void)
{
	struct zone *z = NULL;
	cr_assert(zone_open("Asia/Shanghai", &z, NULL) == ERROR_NONE);
	return z;
}

static int64_t instant(const char *word, const char *zone)
{
	struct bound b;
	struct zone *z = NULL;
	char why[RANGE_WHY] = "";
	cr_assert(zone_open(zone, &z, NULL) == ERROR_NONE);
	cr_assert(bound_parse(word, &b, why), "%s", why);
	int64_t ms = bound_ms(&b, z, jan_ms);
	zone_freep(&z);
	free(b.list);
	return ms;
}

Test(range, times)
{
	cr_expect_eq(instant("2020-01", "Asia/Shanghai"), jan_ms);
	cr_expect_eq(instant("2020-01-03", "Asia/Shanghai"), jan_ms + 2 * day);
	cr_expect_eq(instant("2020-01-01T00:00:00+08:00", "UTC"), jan_ms);
	cr_expect_eq(instant("-36h", "UTC"), jan_ms - 36 * 3600000LL);
	cr_expect_eq(instant("90s", "UTC"), jan_ms - 90000);
	cr_expect_eq(instant("now", "UTC"), jan_ms);
	cr_expect_eq(instant("beginning", "UTC"), TIME_NONE);
	cr_expect_eq(instant("end", "UTC"), TIME_NONE);
	// clocks go forward at 02:00 on that day, and back on the other: midnight is before
	cr_expect_eq(instant("2020-03-29", "Europe/Berlin"), instant("2020-03-28T23:00:00Z", "UTC"));
	cr_expect_eq(instant("2020-03-30", "Europe/Berlin"), instant("2020-03-29T22:00:00Z", "UTC"));
	cr_expect_eq(instant("2020-10-25", "Europe/Berlin"), instant("2020-10-24T22:00:00Z", "UTC"));
	cr_expect_eq(instant("2020-10-26", "Europe/Berlin"), instant("2020-10-25T23:00:00Z", "UTC"));
}

Test(range, offsets)
{
	struct bound b;
	char why[RANGE_WHY];
	bool other;
	cr_assert(bound_parse("812", &b, why) && b.kind == BOUND_OFFSET);
	cr_expect(bound_offset(&b, "usage.calls", 7, &other) == 812 && !other);
	cr_assert(bound_parse("3=812,usage.calls/4=0", &b, why) && b.kind == BOUND_OFFSETS);
	cr_expect(bound_offset(&b, "usage.calls", 3, &other) == 812 && !other);
	cr_expect(bound_offset(&b, "usage.calls", 4, &other) == 0 && !other);
	cr_expect(bound_offset(&b, "more.calls", 4, &other) == -1 && other); // another topic's
	cr_expect(bound_offset(&b, "usage.calls", 5, &other) == -1 && other);
	free(b.list);
	cr_assert(bound_parse("a/b/4=1", &b, why)); // a topic's name may hold what looks like a path
	cr_expect(bound_offset(&b, "a/b", 4, &other) == 1);
	free(b.list);
	cr_assert(bound_parse("2020-01", &b, why));
	cr_expect(bound_offset(&b, "usage.calls", 0, &other) == -1 && !other);
}

Test(range, both_ends)
{
	struct range r;
	struct zone *z = shanghai();
	char why[RANGE_WHY] = "";
	cr_assert(range_parse("@2020-01:2020-02", &r, why), "%s", why);
	cr_expect(bound_ms(&r.from, z, 0) == jan_ms && bound_ms(&r.to, z, 0) == jan_ms + 31 * day && !range_asks_now(&r));
	cr_assert(range_parse("@2020-01-01T00:00:00+08:00:2020-01-01T01:00:00+08:00", &r, why), "%s", why);
	cr_expect(bound_ms(&r.from, z, 0) == jan_ms && bound_ms(&r.to, z, 0) == jan_ms + 3600000);
	cr_assert(range_parse("@-36h:", &r, why), "%s", why);
	cr_expect(range_asks_now(&r) && r.from.kind == BOUND_AGO && r.to.kind == BOUND_NONE);
	cr_assert(range_parse("@:-1d", &r, why), "%s", why);
	cr_expect(range_asks_now(&r) && r.from.kind == BOUND_NONE && r.to.kind == BOUND_AGO);
	zone_freep(&z);
}

Test(range, what_is_none)
{
	static const char *const bad[] = { "", "-", "-36", "36x", "-h", "2020-13", "2020-1", "2020-02-30", "2020-01-01T00:00:00", "-1", "1.5", "3=", "=3", "3=-1",
					   "3=1,", ",3=1", "x=1", "/3=1", "3=1,4", "+5", "yesterday", "99999999999999999999", "9999999999h" };
	static const char *const none[] = { "2020-01:2020-02", "@", "@2020-01", "@x:2020-02", "@2020-01:x", "@812:900", "" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct bound b;
		char why[RANGE_WHY] = "";
		cr_expect(!bound_parse(bad[i], &b, why), "%s", bad[i]);
		cr_expect(strstr(why, "-36h") != NULL && b.list == NULL, "%s", why);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct range r = { 0 };
		char why[RANGE_WHY] = "";
		cr_expect(!range_parse(none[i], &r, why), "%s", none[i]);
		cr_expect(strstr(why, "@2020-03:2020-04") != NULL, "%s", why);
	}
}

// ---- a log
struct world {
	struct fake_kafka k;
	struct fake_fault fault;
	struct rules *rules;
	struct range range;
	struct replay_options o;
	struct faults faults;
	char *book;
	struct replay *r;
	struct error e;
};

static void world_open(struct world *w)
{
	*w = (struct world){ 0 };
	fake_kafka_init(&w->k, 2, &w->fault);
	w->rules = rules_of_book("tests/table/settlement.yaml", CLOCK_RECORDS, NULL, NULL);
	w->o = (struct replay_options){ .port = &fake_port, .kafka = &w->k.o, .timeout_ms = 1000, .range = &w->range, .prices_of = MONTH_NONE };
	begin_log(&w->k, 4, 2, w->rules);
}

static void world_close(struct world *w)
{
	replay_freep(&w->r);
	rules_freep(&w->rules);
	range_free(&w->range);
	faults_free(&w->faults);
	free(w->book);
	fake_kafka_free(&w->k);
}

static void call(struct world *w, int32_t partition, const char *id, const char *account, const char *service, int calls, const char *status,
		 const char *source, int64_t stamp_ms, int64_t time_ms)
{
	char time[TIME_TEXT];
	time_text(time_ms, time);
	CLEANUP(freep) char *flat = xasprintf("\"account\":\"%s\",\"service\":\"%s\",\"calls\":%d,\"status\":\"%s\"", account, service, calls, status);
	CLEANUP(freep) char *text = source == NULL ?
		xasprintf("{\"id\":\"%s\",\"time\":\"%s\",%s}", id, time, flat) :
		xasprintf("{\"specversion\":\"1.0\",\"type\":\"call\",\"source\":\"%s\",\"id\":\"%s\",\"time\":\"%s\",\"data\":{%s}}", source, id, time, flat);
	fake_event(&w->k, "usage.calls", partition, stamp_ms, text);
}

// January, closed: acme has 12,000 calls of tag (5.00), 2,000 more that failed, 3,000 of them from /gate/b; other has 7 of crop. February
// begins in both partitions.
static void january(struct world *w)
{
	call(w, 0, "1", "acme", "tag", 8000, "ok", NULL, jan_ms + day, jan_ms + day);
	call(w, 0, "1", "acme", "tag", 8000, "ok", NULL, jan_ms + day, jan_ms + day);
	call(w, 0, "2", "acme", "tag", 3000, "ok", "/gate/b", jan_ms + 2 * day, jan_ms + 2 * day);
	call(w, 0, "3", "acme", "tag", 1000, "ok", "/gate/a", jan_ms + 3 * day, jan_ms + 3 * day);
	call(w, 0, "4", "acme", "tag", 2000, "failed", "/gate/a", jan_ms + 4 * day, jan_ms + 4 * day);
	call(w, 1, "5", "other", "crop", 7, "ok", NULL, jan_ms + 2 * day, jan_ms + 2 * day);
	call(w, 0, "6", "acme", "tag", 1, "ok", NULL, jan_ms + 33 * day, jan_ms + 33 * day);
	call(w, 1, "7", "other", "crop", 1, "ok", NULL, jan_ms + 33 * day, jan_ms + 33 * day);
}

static void manifest_by(struct world *w, int month, int64_t version, int64_t cut0, int64_t cut1)
{
	struct journal_cut cuts[] = { { (char *)"usage.calls/0", cut0 }, { (char *)"usage.calls/1", cut1 } };
	struct journal_manifest m = { .month = month, .rules_version = version, .n_cuts = 2, .cuts = cuts, .counters = 2, .calls = 12007 };
	CLEANUP(freep) char *text = journal_manifest_record(&m);
	fake_event(&w->k, "meterd.control", 0, 2, text);
}

// Which records of the accounts topic it covers.
static void manifest_of_accounts(struct world *w, int month, int64_t accounts)
{
	struct journal_cut cuts[] = { { (char *)"usage.calls/0", 7 }, { (char *)"usage.calls/1", 2 } }, said = { (char *)"meterd.accounts/0", accounts };
	struct journal_manifest m = { .month = month, .rules_version = 1, .n_cuts = 2, .cuts = cuts, .n_accounts = 1, .accounts = &said, .counters = 2, .calls = 2,
		.corrects = accounts > 0 };
	CLEANUP(freep) char *text = journal_manifest_record(&m);
	fake_event(&w->k, "meterd.control", 0, 2, text);
}

static void manifest(struct world *w, int month, int64_t cut0, int64_t cut1)
{
	manifest_by(w, month, 1, cut0, cut1);
}

static void begin(struct world *w)
{
	world_open(w);
	january(w);
	manifest(w, JAN, 6, 1);
}

static enum error_class replay(struct world *w)
{
	replay_freep(&w->r);
	w->e = (struct error){ 0 };
	return replay_run(&w->o, &w->faults, &w->r, &w->e);
}

static void range(struct world *w, const char *word)
{
	char why[RANGE_WHY] = "";
	range_free(&w->range);
	cr_assert(range_parse(word, &w->range, why), "%s", why);
}

// The price book with one text in place of another.
static void book(struct world *w, const char *from, const char *to)
{
	char *text = NULL;
	size_t n = 0;
	cr_assert(file_read(SOURCE_DIR "/tests/table/settlement.yaml", 1 << 20, &text, &n, NULL) == ERROR_NONE);
	char *at = strstr(text, from);
	cr_assert(at != NULL, "%s", from);
	free(w->book);
	w->book = xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	free(text);
	w->o.catalog_name = "other.yaml";
	w->o.catalog_text = span_of(w->book);
}

// "month account service state calls>calls late>late charge>charge freeze>freeze unfreeze>unfreeze; …", then alerts "+kind@bound service"
static const char *texts(const struct world *w)
{
	static char all[4000];
	const struct replay_bill *bills;
	const struct replay_alert *alerts;
	size_t at = 0;
	all[0] = '\0';
	for (uint32_t i = 0, n = replay_bills(w->r, &bills); i < n; i++) {
		const struct replay_bill *b = &bills[i];
		char month[MONTH_TEXT];
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s %.*s %.*s %s %lld>%lld %lld>%lld %lld>%lld %lld>%lld %lld>%lld; ", month_text(b->month, month),
				       (int)b->account.n, b->account.p, (int)b->service.n, b->service.p, replay_state_text(b->state), (long long)b->before.calls,
				       (long long)b->after.calls, (long long)b->before.late, (long long)b->after.late, (long long)b->before.charge_fen,
				       (long long)b->after.charge_fen, (long long)b->before.freeze_fen, (long long)b->after.freeze_fen,
				       (long long)b->before.unfreeze_fen, (long long)b->after.unfreeze_fen);
	}
	for (uint32_t i = 0, n = replay_alerts(w->r, &alerts); i < n; i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%c%s@%lld %.*s; ", alerts[i].raised ? '+' : '-', alert_kind_text(alerts[i].kind),
				       (long long)alerts[i].bound, (int)alerts[i].service.n, alerts[i].service.p);
	return all;
}

Test(replay, another_price)
{
	struct world w;
	begin(&w);
	// 2,000 billable at 3.0: 6.00 instead of 5.00. Freeze 36.00 instead of 30.00, which February releases; its own stays 1 call.
	book(&w, "price: 2.5}, {from: 1_000_000", "price: 3}, {from: 1_000_000");
	range(&w, "@2020-01:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>12000 0>0 500>600 3000>3600 0>0; 2020-02 acme tag open 1>1 0>0 0>0 0>0 3000>3600; ");
	struct replay_numbers n;
	replay_numbers(w.r, &n);
	cr_expect(n.records == 8 && n.events == 6 && n.in_range == 6 && n.left_out == 0 && n.otherwise == 0 && n.partitions == 2);
	cr_expect(n.first_month == JAN && n.last_month == JAN + 1 && n.first_priced == JAN && n.last_priced == JAN);
	cr_expect(n.before_fen == 500 && n.after_fen == 600 && strcmp(n.currency, "CNY") == 0);
	// of all months: 1 call at 3 per 1,000 freezes 0.00 too
	range(&w, "@:");
	cr_assert(replay(&w) == ERROR_NONE);
	replay_numbers(w.r, &n);
	cr_expect(n.first_priced == MONTH_FIRST && n.last_priced == MONTH_LAST && n.after_fen == 600);
	// of February alone: January stays
	range(&w, "@2020-02:");
	cr_assert(replay(&w) == ERROR_NONE);
	cr_expect_str_eq(texts(&w), "");
	world_close(&w);
}

Test(replay, prices_of_another_month)
{
	struct world w;
	begin(&w);
	// from February on: 3.0, and a quota of 2,000. Put on January: 10,000 billable, 30.00.
	book(&w, "price: 2.2}]}\n    free: [{from: 2020-01, calls: 10_000, warn: 0.8, first_month: immediate}]", "price: 2.2}]}\n      - {from: 2020-02, model: volume, per: 1000, bounds: lower-inclusive, tier_basis: total, tiers: [{from: 0, "
		 "price: 3}, {from: 9_000, price: 3}]}\n    free: [{from: 2020-01, calls: 10_000, warn: 0.8, first_month: immediate}, {from: 2020-02, calls: 2_000}]");
	range(&w, "@2020-01:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.faults.n > 0 ? w.faults.list[0].text : w.e.text);
	cr_expect_str_eq(texts(&w), ""); // January's own prices are the same in that book
	w.o.prices_of = JAN + 1;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>12000 0>0 500>3000 3000>3600 0>0; 2020-02 acme tag open 1>1 0>0 0>0 0>0 3000>3600; "
				    "+free_quota.warning@1600 tag; +free_quota.exhausted@2000 tag; -free_quota.warning@8000 tag; +tier.crossed@9000 tag; "
				    "-free_quota.exhausted@10000 tag; ");
	const struct replay_alert *alerts;
	char id[33];
	cr_assert(replay_alerts(w.r, &alerts) == 5);
	identity_id(span_of("alert\nacme\ntag\n2020-01\ntier.crossed\n9000\n"), id);
	cr_expect_str_eq(alerts[3].id, id);
	world_close(&w);
}

Test(replay, without_a_producer)
{
	struct world w;
	static const char *const b[] = { "/gate/b" }, *const flat[] = { "" }, *const wrong[] = { "/gate/c" };
	begin(&w);
	w.o.producers = b;
	w.o.n_producers = 1;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	// 9,000 calls: all free, freeze 22.50; the last free call was not used
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>9000 0>0 500>0 3000>2250 0>0; 2020-02 acme tag open 1>1 0>0 0>0 0>0 3000>2250; "
				    "-free_quota.exhausted@10000 tag; ");
	struct replay_numbers n;
	replay_numbers(w.r, &n);
	cr_expect(n.left_out == 1 && n.otherwise == 0);
	range(&w, "@2020-01-04:"); // it sent nothing then
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR);
	cr_expect(strstr(w.e.text, "did you mean /gate/a?") != NULL, "%s", w.e.text);
	w.o.producers = wrong;
	range(&w, "@:");
	cr_expect(replay(&w) == ERROR_ABORT && strstr(w.e.text, "did you mean /gate/") != NULL, "%s", w.e.text);
	// flat events: the copy of the first one goes with it
	w.o.producers = flat;
	range(&w, "@:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	replay_numbers(w.r, &n);
	cr_expect(n.left_out == 3);
	world_close(&w);
}

// What is left out was never there: its copy, which is not, counts.
Test(replay, a_copy_behind_the_range_counts)
{
	struct world w;
	static const char *const flat[] = { "" };
	world_open(&w);
	call(&w, 0, "1", "acme", "tag", 8000, "ok", NULL, jan_ms + day, jan_ms + day);
	call(&w, 0, "1", "acme", "tag", 8000, "ok", NULL, jan_ms + day + 1, jan_ms + day);
	call(&w, 1, "2", "other", "tag", 1, "ok", NULL, jan_ms + day, jan_ms + day);
	w.o.producers = flat;
	w.o.n_producers = 1;
	char why[RANGE_WHY];
	cr_assert(bound_parse("0=0", &w.range.from, why) && bound_parse("0=1", &w.range.to, why));
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	struct replay_numbers n;
	replay_numbers(w.r, &n);
	cr_expect(n.in_range == 1 && n.left_out == 1 && n.otherwise == 1); // the copy
	world_close(&w);
}

Test(replay, other_codes_and_partitions)
{
	struct world w;
	static const char *const codes[] = { "ok", "failed" }, *const none[] = { "nothing" }, *const part[] = { "usage.calls/1" }, *const wrong[] = { "usage.cals/1" };
	begin(&w);
	w.o.billable = codes;
	w.o.n_billable = 2;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>14000 0>0 500>1000 3000>3500 0>0; 2020-02 acme tag open 1>1 0>0 0>0 0>0 3000>3500; ");
	w.o.billable = none;
	w.o.n_billable = 1;
	range(&w, "@:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect(strstr(texts(&w), "2020-01 acme tag settled 12000>0 0>0 500>0 3000>0 0>0; 2020-01 other crop settled 7>0 ") == texts(&w), "%s", texts(&w));
	w.o.n_billable = 0;
	w.o.partitions = part;
	w.o.n_partitions = 1;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 other crop settled 7>0 0>0 0>0 1>0 0>0; 2020-02 other crop open 1>1 0>0 0>0 0>0 1>0; ");
	w.o.partitions = wrong;
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR && strstr(w.e.text, "did you mean usage.calls/1?") != NULL, "%s", w.e.text);
	world_close(&w);
}

// Late calls: in the adjustment of their month, on both sides.
Test(replay, late_calls)
{
	struct world w;
	static const char *const codes[] = { "ok", "failed" };
	begin(&w);
	call(&w, 0, "8", "acme", "tag", 500, "failed", NULL, jan_ms + 34 * day, jan_ms + 5 * day);
	w.o.billable = codes;
	w.o.n_billable = 2;
	range(&w, "@2020-02:");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>12500 0>500 500>625 3000>3000 0>0; "); // an adjustment freezes nothing again
	world_close(&w);
}

// Rules that changed on the way: each record by the version of its clock, and the other price book in the place of each.
Test(replay, rules_that_changed)
{
	struct world w;
	world_open(&w);
	struct rules *later = rules_of_book("tests/table/settlement.yaml", CLOCK_RECORDS, "codes: [ok]", "codes: [ok, failed]");
	CLEANUP(freep) char *second = journal_rules_record(2, jan_ms + 4 * day, later);
	fake_event(&w.k, "meterd.control", 0, 1, second);
	call(&w, 0, "1", "acme", "tag", 2000, "failed", NULL, jan_ms + 3 * day, jan_ms + 3 * day); // before the change: not billable
	call(&w, 0, "2", "acme", "tag", 3000, "failed", NULL, jan_ms + 4 * day, jan_ms + 4 * day);
	call(&w, 0, "3", "acme", "tag", 12000, "ok", NULL, jan_ms + 5 * day, jan_ms + 5 * day);
	call(&w, 1, "4", "other", "crop", 1, "ok", NULL, jan_ms + 5 * day, jan_ms + 5 * day);
	call(&w, 0, "5", "acme", "tag", 1, "ok", NULL, jan_ms + 33 * day, jan_ms + 33 * day);
	call(&w, 1, "6", "other", "crop", 1, "ok", NULL, jan_ms + 33 * day, jan_ms + 33 * day);
	manifest_by(&w, JAN, 2, 3, 1);
	book(&w, "version: small-1", "version: small-2"); // in which only ok counts
	range(&w, "@:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	// 15,000 calls, 12.50; 12,000 of them, 5.00
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 15000>12000 0>0 1250>500 3750>3000 0>0; 2020-02 acme tag open 1>1 0>0 0>0 0>0 3750>3000; ");
	range(&w, "@:2020-01-05"); // before the change nothing is otherwise
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	w.o.account = "other";
	range(&w, "@:");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	rules_freep(&later);
	world_close(&w);
}

Test(replay, what_is_refused)
{
	struct world w;
	begin(&w);
	book(&w, "model: volume", "model: volum");
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR && w.faults.n > 0 && w.faults.list[0].line > 0);
	faults_free(&w.faults);
	w.faults = (struct faults){ 0 };
	book(&w, "currency: CNY", "currency: EUR");
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR && w.faults.n == 1 && strstr(w.faults.list[0].text, "currency") != NULL);
	w.o.catalog_name = NULL;
	range(&w, "@2020-02:2020-02");
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR && strstr(w.e.text, "where or before it begins") != NULL, "%s", w.e.text);
	range(&w, "@2020-03:");
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR && strstr(w.e.text, "no record lies in the range") != NULL, "%s", w.e.text);
	char why[RANGE_WHY] = "";
	range_free(&w.range);
	w.range = (struct range){ 0 };
	cr_assert(bound_parse("0=100,1=100", &w.range.from, why), "%s", why);
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR && strstr(w.e.text, "no record has an offset in the range") != NULL, "%s", w.e.text);
	static const char *const flat[] = { "" }, *const nobody[] = { "/elsewhere" };
	range(&w, "@2020-01-04:2020-01-06"); // of two calls from /gate/a
	w.o.producers = flat;
	w.o.n_producers = 1;
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR && strstr(w.e.text, "every event in the range names its producer") != NULL, "%s", w.e.text);
	w.o.producers = nobody;
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_USAGE_ERR && strstr(w.e.text, "has the source \"/elsewhere\": did you mean /gate/a?") != NULL, "%s", w.e.text);
	world_close(&w);
	world_open(&w);
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_LATER, "%s", w.e.text); // no record yet
	world_close(&w);
}

static void stop_at_once(void *ctx, uint64_t read, uint64_t all)
{
	(void)read, (void)all;
	atomic_store((atomic_bool *)ctx, true);
}

Test(replay, stopped)
{
	struct world w;
	atomic_bool stop = false;
	begin(&w);
	w.o.stop = &stop;
	w.o.ctx = &stop;
	w.o.progress = stop_at_once;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text); // too short to be told of
	for (int i = 0; i < 4200; i++)
		call(&w, 0, "9", "acme", "tag", 1, "ok", NULL, jan_ms + 35 * day, jan_ms + 35 * day);
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_LATER && strstr(w.e.text, "stopped") != NULL, "%s", w.e.text);
	world_close(&w);
}

// ---- corrections of closed months
static void say(struct world *w, struct span record)
{
	CLEANUP(freep) char *text = xasprintf("%.*s", (int)record.n, record.p);
	fake_event(&w->k, "meterd.accounts", 0, jan_ms, text);
}

static void ask_without_b(struct world *w)
{
	static const char *const b[] = { "/gate/b" };
	w->o.producers = b;
	w->o.n_producers = 1;
	w->o.correct = true;
	w->o.reason = "the gate \"b\" was faulty";
}

static void february(struct world *w, int64_t accounts)
{
	for (int p = 0; p < 2; p++)
		call(w, p, p == 0 ? "8" : "9", "other", "crop", 1, "ok", NULL, jan_ms + 62 * day, jan_ms + 62 * day);
	manifest_of_accounts(w, JAN + 1, accounts);
}

#define RECORD(id, after, question, was, becomes)                                                                                                               \
	"{\"type\":\"correction\",\"account\":\"acme\",\"id\":\"" id "\",\"version\":1,\"after\":\"" after "\",\"reason\":\"the gate \\\"b\\\" was faulty\",\"question\":" question ",\"lines\":[" \
	"{\"period\":\"2020-01\",\"service\":\"tag\",\"was\":" was ",\"becomes\":" becomes "}]}"
#define WITHOUT_GATE_B "{\"exclude_producers\":[\"/gate/b\"]}"
#define WITH_B(revision) "{" revision "\"calls\":12000,\"free\":10000,\"packs\":[],\"billable\":2000,\"charge\":\"5.00\"}"
#define WITHOUT_B(revision) "{" revision "\"calls\":9000,\"free\":9000,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}"

Test(replay, corrections_are_said_made_and_undone)
{
	struct world w;
	begin(&w);
	ask_without_b(&w);
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>9000 0>0 500>0 3000>2250 0>0; "); // of February, which is open, nothing
	const struct replay_corrections *c = replay_corrections(w.r);
	cr_assert(c->n == 1 && c->n_lines == 1 && c->list[0].lines == 1 && span_is(c->list[0].account, "acme"));
	cr_expect(c->first_month == JAN && c->last_month == JAN && c->difference_fen == -500 && !c->known && c->unclosed == 0 && strlen(c->id) == 16);
	CLEANUP(freep) char *want = xasprintf(RECORD("%s", "2020-01", WITHOUT_GATE_B, WITH_B("\"revision\":0,"), WITHOUT_B("")), c->id);
	CLEANUP(freep) char *got = xasprintf("%.*s", (int)c->list[0].text.n, c->list[0].text.p);
	cr_expect_str_eq(got, want);
	// The same answer, the same id; another reason is another one.
	CLEANUP(freep) char *id = xstrdup(c->id);
	cr_assert(replay(&w) == ERROR_NONE);
	cr_expect_str_eq(replay_corrections(w.r)->id, id);
	w.o.reason = "for no reason";
	cr_assert(replay(&w) == ERROR_NONE);
	cr_expect(strcmp(replay_corrections(w.r)->id, id) != 0);
	ask_without_b(&w);
	// Said, and waiting for the next close: known. Another one of the account would be passed over.
	say(&w, span_of(want));
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect(replay_corrections(w.r)->known && replay_corrections(w.r)->n == 1);
	w.o.reason = "for no reason";
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_LATER && strstr(w.e.text, id) != NULL && strstr(w.e.text, "comes with the next close") != NULL,
		  "%s", w.e.text);
	ask_without_b(&w);
	// February is closed with it: nothing differs any more, though the other side knows nothing of it.
	february(&w, 1);
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	struct replay_numbers n;
	replay_numbers(w.r, &n);
	cr_expect(replay_corrections(w.r)->n == 0 && n.corrections == 1 && n.last_month == JAN + 1 && n.before_fen == 0);
	// The question alone sees what was frozen, which stays.
	w.o.correct = false;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 9000>9000 0>0 0>0 3000>2250 0>0; 2020-02 acme tag settled 1>1 0>0 0>0 0>0 3000>2250; "
				    "-free_quota.exhausted@10000 tag; ");
	// Nothing otherwise: it stays, or goes back to what the log says.
	w.o.correct = true;
	w.o.n_producers = 0;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	cr_expect(replay_corrections(w.r)->n == 0 && replay_corrections(w.r)->kept == 1 && replay_corrections(w.r)->tied == 0);
	w.o.undo = true;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag corrected 9000>12000 0>0 0>500 3000>3000 0>0; ");
	c = replay_corrections(w.r);
	CLEANUP(freep) char *undone = xasprintf(RECORD("%s", "2020-02", "{\"undo\":true}", WITHOUT_B("\"revision\":1,"), WITH_B("")), c->id);
	CLEANUP(freep) char *got_undone = xasprintf("%.*s", (int)c->list[0].text.n, c->list[0].text.p);
	cr_expect_str_eq(got_undone, undone);
	cr_expect_eq(c->difference_fen, 500);
	world_close(&w);
}

// What another price book makes of a line is kept with its prices, so that calls which come later are rated by them: the same question finds nothing
// then. Once they are in another tier, where both books say the same, what was corrected can still be taken back, and is not by itself.
Test(replay, the_prices_of_a_correction_are_kept)
{
	struct world w;
	begin(&w);
	w.o.correct = true;
	w.o.reason = "r";
	book(&w, "price: 2.5}, {from: 1_000_000", "price: 3}, {from: 1_000_000");
	range(&w, "@2020-01:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>12000 0>0 500>600 3000>3600 0>0; ");
	CLEANUP(freep) char *said = xasprintf("%.*s", (int)replay_corrections(w.r)->list[0].text.n, replay_corrections(w.r)->list[0].text.p);
	static const char prices[] = "\"prices\":{\"model\":\"volume\",\"per\":1000,\"bounds\":\"lower-inclusive\",\"tier_basis\":\"total\",\"tiers\":[{\"from\":0,"
		"\"price\":\"3\"},{\"from\":1000000,\"price\":\"2.2\"}],\"rounding\":\"half-up\"}}";
	const char *at = strstr(said, "\"charge\":\"6.00\",");
	cr_assert(at != NULL && strstr(at, prices) == at + strlen("\"charge\":\"6.00\",") && strstr(said, prices) > at, "%s", said);
	say(&w, span_of(said));
	february(&w, 1);
	call(&w, 0, "20", "acme", "tag", 2000, "ok", NULL, jan_ms + 63 * day, jan_ms + day); // late, with March
	manifest_of_accounts(&w, JAN + 2, 1);
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	struct replay_numbers n;
	replay_numbers(w.r, &n);
	cr_expect(n.before_fen == 1200 && n.after_fen == 1200 && replay_corrections(w.r)->kept == 0, "%lld", (long long)n.before_fen);
	call(&w, 0, "21", "acme", "tag", 986000, "ok", NULL, jan_ms + 94 * day, jan_ms + day); // with April
	manifest_of_accounts(&w, JAN + 3, 1);
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	w.o.catalog_name = NULL;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "");
	cr_expect(replay_corrections(w.r)->kept == 1);
	w.o.undo = true;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag corrected 1000000>1000000 0>0 217800>217800 3000>3000 0>0; ");
	CLEANUP(freep) char *undone = xasprintf("%.*s", (int)replay_corrections(w.r)->list[0].text.n, replay_corrections(w.r)->list[0].text.p);
	cr_expect(strstr(undone, prices) != NULL && strstr(undone, "\"charge\":\"2178.00\"}}]}") != NULL, "%s", undone);
	world_close(&w);
}

// January's tag of acme was corrected with February's close, and February is closed: what is asked of one month leaves the other as it is.
static void begin_corrected(struct world *w)
{
	CLEANUP(freep) char *said = xasprintf(RECORD("x", "2020-01", "{}", WITH_B("\"revision\":0,"), WITHOUT_B("")));
	begin(w);
	call(w, 0, "10", "acme", "tag", 11000, "ok", NULL, jan_ms + 40 * day, jan_ms + 40 * day);
	say(w, span_of(said));
	february(w, 1);
	w->o.correct = true;
	w->o.reason = "r";
}

Test(replay, a_question_leaves_what_was_corrected_before)
{
	struct world w;
	begin_corrected(&w);
	book(&w, "price: 2.5}, {from: 1_000_000", "price: 3}, {from: 1_000_000");
	range(&w, "@2020-02:2020-03");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	const struct replay_corrections *c = replay_corrections(w.r);
	cr_expect_str_eq(texts(&w), "2020-02 acme tag settled 11001>11001 0>0 250>300 2750>3300 3000>3000; ");
	cr_expect(c->n_lines == 1 && c->kept == 1 && c->tied == 0 && c->difference_fen == 50);
	// Of January itself nobody knows whether the question has the earlier one in it.
	range(&w, "@2020-01:2020-02");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	c = replay_corrections(w.r);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag corrected 9000>12000 0>0 0>600 3000>3600 0>0; ");
	cr_expect(c->n_lines == 1 && c->kept == 0 && c->tied == 1);
	w.o.undo = true;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	c = replay_corrections(w.r);
	cr_expect(c->n_lines == 1 && c->kept == 0 && c->tied == 0);
	range(&w, "@2020-02:2020-03");
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect(replay_corrections(w.r)->n_lines == 2, "both are as though nobody had corrected anything");
	world_close(&w);
}

// The free calls of several services together: what another line of the month took was corrected.
Test(replay, a_question_that_takes_what_a_correction_moved)
{
	struct world w;
	static const char *const codes[] = { "ok", "failed" };
	world_open(&w);
	call(&w, 0, "0", "acme", "pool-a", 7000, "ok", NULL, jan_ms + day, jan_ms + day);
	call(&w, 0, "00", "acme", "pool-b", 5000, "failed", NULL, jan_ms + day, jan_ms + day);
	january(&w);
	manifest(&w, JAN, 6, 1);
	say(&w, SPAN_LIT("{\"type\":\"correction\",\"account\":\"acme\",\"id\":\"x\",\"version\":1,\"after\":\"2020-01\",\"reason\":\"r\",\"question\":{},\"lines\":[{\"period\":"
		"\"2020-01\",\"service\":\"pool-a\",\"was\":{\"revision\":0,\"calls\":7000,\"free\":7000,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"},"
		"\"becomes\":{\"calls\":4000,\"free\":4000,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}"));
	february(&w, 1);
	w.o.correct = true;
	w.o.reason = "r";
	w.o.billable = codes;
	w.o.n_billable = 2;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	const struct replay_corrections *c = replay_corrections(w.r);
	cr_expect(strstr(texts(&w), "acme pool-b corrected 0>5000") != NULL && strstr(texts(&w), "pool-a") == NULL, "%s", texts(&w));
	cr_expect(c->kept == 1 && c->tied == 2, "tag is tied too: whether it shares them is not looked at");
	world_close(&w);
}

// Between the answer and the typed text a month may be closed, or somebody else may correct the same account.
Test(replay, an_answer_that_does_not_hold_any_more)
{
	struct world w;
	begin(&w);
	ask_without_b(&w);
	cr_assert(replay(&w) == ERROR_NONE && replay_corrections(w.r)->n == 1, "%s", w.e.text);
	cr_expect(replay_holds(w.r, &w.e) == ERROR_NONE, "%s", w.e.text);
	say(&w, SPAN_LIT("{\"type\":\"activation\",\"account\":\"acme\",\"id\":\"x\",\"version\":1,\"time\":\"2020-02-01T00:00:00Z\"}"));
	cr_expect(replay_holds(w.r, &w.e) == ERROR_NONE, "%s", w.e.text); // nothing of closed months
	CLEANUP(freep) char *another = xasprintf(RECORD("x", "2020-01", "{}", WITH_B("\"revision\":0,"), WITHOUT_B("")));
	say(&w, span_of(another));
	cr_expect(replay_holds(w.r, &w.e) == ERROR_ABORT && w.e.exit_code == EXIT_LATER && strstr(w.e.text, "another correction") != NULL, "%s", w.e.text);
	cr_assert(replay(&w) == ERROR_ABORT, "it waits for the close");
	world_close(&w);
	begin(&w);
	ask_without_b(&w);
	cr_assert(replay(&w) == ERROR_NONE && replay_corrections(w.r)->n == 1, "%s", w.e.text);
	CLEANUP(freep) char *id = xstrdup(replay_corrections(w.r)->id);
	february(&w, 0);
	cr_expect(replay_holds(w.r, &w.e) == ERROR_ABORT && w.e.exit_code == EXIT_LATER && strstr(w.e.text, "a month was closed") != NULL, "%s", w.e.text);
	cr_assert(replay(&w) == ERROR_NONE && replay_corrections(w.r)->n == 1, "%s", w.e.text);
	cr_expect(strcmp(replay_corrections(w.r)->id, id) != 0, "worked out from another close, it is another one");
	world_close(&w);
}

// A close by a program that knew no corrections made none, and neither does one that comes later: they were worked out from another month.
Test(replay, a_close_that_knew_no_corrections)
{
	struct world w;
	CLEANUP(freep) char *said = xasprintf(RECORD("x", "2020-01", "{}", WITH_B("\"revision\":0,"), WITHOUT_B("")));
	for (int known = 0; known < 2; known++) {
		begin(&w);
		ask_without_b(&w);
		say(&w, span_of(said));
		struct journal_cut cuts[] = { { (char *)"usage.calls/0", 7 }, { (char *)"usage.calls/1", 2 } }, accounts = { (char *)"meterd.accounts/0", 1 };
		struct journal_manifest m = { .month = JAN + 1, .rules_version = 1, .n_cuts = 2, .cuts = cuts, .n_accounts = 1, .accounts = &accounts,
			.corrects = known == 1 };
		CLEANUP(freep) char *feb = journal_manifest_record(&m);
		m.month++;
		m.corrects = true;
		CLEANUP(freep) char *mar = journal_manifest_record(&m);
		fake_event(&w.k, "meterd.control", 0, 2, feb);
		fake_event(&w.k, "meterd.control", 0, 2, mar);
		cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
		cr_expect_eq(replay_corrections(w.r)->n, known == 1 ? 0 : 1, "%s", texts(&w)); // made, or to be asked for again
		world_close(&w);
	}
}

// What was said of others is not looked at: of them no call is counted, so they would have lost what they were billed.
Test(replay, an_account_alone)
{
	struct world w;
	begin(&w);
	ask_without_b(&w);
	say(&w, SPAN_LIT("{\"type\":\"correction\",\"account\":\"other\",\"id\":\"x\",\"version\":1,\"after\":\"2020-01\",\"reason\":\"r\",\"question\":{},\"lines\":[{\"period\":\"2020-01\","
		     "\"service\":\"tag\",\"becomes\":" WITH_B("") "}]}"));
	february(&w, 1);
	w.o.undo = true;
	cr_assert(replay(&w) == ERROR_NONE && replay_corrections(w.r)->n == 2, "%s", w.e.text);
	w.o.account = "acme";
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect_str_eq(texts(&w), "2020-01 acme tag settled 12000>9000 0>0 500>0 3000>2250 0>0; ");
	const struct replay_corrections *c = replay_corrections(w.r);
	cr_expect(c->n == 1 && c->n_lines == 1 && c->difference_fen == -500 && span_is(c->list[0].account, "acme"));
	w.o.correct = false;
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect(strstr(texts(&w), "other") == NULL, "%s", texts(&w));
	world_close(&w);
}

// What the close passed over is not said again: nobody would take it.
Test(replay, a_correction_that_was_passed_over)
{
	struct world w;
	begin(&w);
	ask_without_b(&w);
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	say(&w, replay_corrections(w.r)->list[0].text);
	struct world second; // the same record lay below January's own cut: January was not closed before
	world_open(&second);
	january(&second);
	manifest_of_accounts(&second, JAN, 1);
	say(&second, replay_corrections(w.r)->list[0].text);
	ask_without_b(&second);
	cr_expect(replay(&second) == ERROR_ABORT && second.e.exit_code == EXIT_CONFIG_ERR && strstr(second.e.text, "correction_passed_over") != NULL, "%s", second.e.text);
	world_close(&second);
	world_close(&w);
}

Test(replay, more_accounts_than_one_transaction_takes)
{
	struct world w;
	char account[16];
	begin(&w);
	for (int i = 0; i <= REPLAY_ACCOUNTS_MOST; i++) {
		snprintf(account, sizeof(account), "a-%d", i);
		call(&w, 0, account, account, "tag", 11000, "ok", "/gate/b", jan_ms + 33 * day, jan_ms + 33 * day);
	}
	manifest(&w, JAN + 1, REPLAY_ACCOUNTS_MOST + 8, 2);
	ask_without_b(&w);
	range(&w, "@2020-02:");
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR &&
		  strstr(w.e.text, "bills of 20001 accounts would be corrected, and one transaction takes 20000: ask about one account at a time") != NULL, "%s", w.e.text);
	world_close(&w);
}

// n accounts with one bill each, to which so many packs of one call gave; without /gate/b the last of them gives nothing.
static void bills_of_packs(struct world *w, int n, int packs)
{
	char account[16], id[40];
	begin(w);
	for (int i = 0; i < n; i++) {
		snprintf(account, sizeof(account), "a-%d", i);
		for (int p = 0; p < packs; p++) {
			CLEANUP(freep) char *text = xasprintf("{\"type\":\"pack\",\"account\":\"%s\",\"id\":\"%064d\",\"version\":1,\"services\":[\"tag\"],\"calls\":1,\"price\":\"1.00\","
				"\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}", account, p);
			fake_event(&w->k, "meterd.accounts", 0, jan_ms, text);
		}
		snprintf(id, sizeof(id), "%s-good", account);
		call(w, 0, id, account, "tag", 10000 + packs - 1, "ok", NULL, jan_ms + 33 * day, jan_ms + 33 * day);
		call(w, 0, account, account, "tag", 1, "ok", "/gate/b", jan_ms + 33 * day, jan_ms + 33 * day);
	}
	struct journal_cut cuts[] = { { (char *)"usage.calls/0", 7 + 2 * n }, { (char *)"usage.calls/1", 2 } }, said = { (char *)"meterd.accounts/0", n * packs };
	struct journal_manifest m = { .month = JAN + 1, .rules_version = 1, .n_cuts = 2, .cuts = cuts, .n_accounts = 1, .accounts = &said, .counters = 2, .calls = 2 };
	CLEANUP(freep) char *text = journal_manifest_record(&m);
	fake_event(&w->k, "meterd.control", 0, 2, text);
	ask_without_b(w);
	range(w, "@2020-02:");
}

Test(replay, more_bytes_than_one_transaction_takes)
{
	struct world w;
	bills_of_packs(&w, 39, 5000); // some 840,000 bytes each
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR && strstr(w.e.text, "39 bills of 39 accounts would be corrected, with records of more than "
		  "32000000 bytes, which one transaction takes: ask about one account at a time") != NULL, "%s", w.e.text);
	world_close(&w);
	bills_of_packs(&w, 1, 5000); // one of them alone, as it says
	cr_assert(replay(&w) == ERROR_NONE, "%s", w.e.text);
	cr_expect(replay_corrections(w.r)->n == 1 && replay_corrections(w.r)->list[0].text.n > 800000);
	world_close(&w);
}

Test(replay, a_record_that_is_too_large)
{
	struct world w;
	bills_of_packs(&w, 1, 5400);
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR && strstr(w.e.text, "the correction of account a-0 is a record of 9") != NULL &&
		  strstr(w.e.text, "bytes, and one takes 900000. What makes it smaller: fewer months at a time") != NULL, "%s", w.e.text);
	world_close(&w);
}

// Both sides know the same decisions, or none is worked out.
static enum error_class decided_meanwhile(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms, topic_reader_fn *fn, void *ctx,
					  struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	enum error_class c = fake_read_back(o, topic, from_ms, timeout_ms, fn, ctx, e);
	CLEANUP(freep) char *decision = journal_generation_record((int64_t)fake_log(k, "meterd.control", 0)->n);
	if (strcmp(topic, "meterd.control") == 0)
		fake_event(k, "meterd.control", 0, 3, decision);
	return c;
}

Test(replay, decisions_while_it_reads_them)
{
	struct world w;
	struct sink_port busy = fake_port;
	begin(&w);
	busy.read_back = decided_meanwhile;
	w.o.port = &busy;
	w.o.correct = true;
	w.o.reason = "x";
	cr_expect(replay(&w) == ERROR_RETRY && strstr(w.e.text, "decisions were written to meterd.control while it was read; try again") != NULL, "%s", w.e.text);
	w.o.port = &fake_port;
	cr_expect(replay(&w) == ERROR_NONE, "%s", w.e.text);
	world_close(&w);
}

// What was asked is said with what came out: with all of it somebody else can ask again.
Test(replay, a_correction_says_what_was_asked)
{
	struct world w;
	static const char *const codes[] = { "ok", "failed" }, *const parts[] = { "usage.calls/1" };
	begin(&w);
	ask_without_b(&w);
	w.o.billable = codes;
	w.o.n_billable = 2;
	w.o.partitions = parts;
	w.o.n_partitions = 1;
	w.o.account = "acme";
	book(&w, "price: 2.5}, {from: 1_000_000", "price: 3}, {from: 1_000_000");
	range(&w, "@2020-01:2020-01-20");
	cr_assert(replay(&w) == ERROR_NONE && replay_corrections(w.r)->n == 1, "%s", w.e.text);
	struct rules *other = rules_new(&w.rules->settings, "x", w.o.catalog_text, &w.faults);
	CLEANUP(freep) char *said = xasprintf("%.*s", (int)replay_corrections(w.r)->list[0].text.n, replay_corrections(w.r)->list[0].text.p);
	CLEANUP(freep) char *want = xasprintf("\"question\":{\"catalog\":{\"version\":\"%s\",\"sha256\":\"%s\"},\"from\":\"2019-12-31T16:00:00.000Z\",\"to\":"
		"\"2020-01-19T16:00:00.000Z\",\"billable\":[\"ok\",\"failed\"],\"exclude_producers\":[\"/gate/b\"],\"exclude_partitions\":[\"usage.calls/1\"],"
		"\"account\":\"acme\"},\"lines\"", catalog_version(other->catalog), catalog_sha256(other->catalog));
	cr_expect(strstr(said, want) != NULL, "%s, not %s", said, want);
	rules_freep(&other);
	// An end that is an offset is said as it was asked. Of prices of another month it is said which price book they are in.
	w.o.catalog_name = NULL;
	w.o.n_billable = w.o.n_partitions = 0;
	w.o.account = NULL;
	w.o.prices_of = JAN;
	range_free(&w.range);
	cr_assert(bound_parse("0=2,usage.calls/1=0", &w.range.from, (char[RANGE_WHY]){ 0 }) && bound_parse("5", &w.range.to, (char[RANGE_WHY]){ 0 }));
	cr_assert(replay(&w) == ERROR_NONE && replay_corrections(w.r)->n == 1, "%s", w.e.text);
	CLEANUP(freep) char *offsets = xasprintf("%.*s", (int)replay_corrections(w.r)->list[0].text.n, replay_corrections(w.r)->list[0].text.p);
	CLEANUP(freep) char *wanted = xasprintf("\"question\":{\"catalog\":{\"version\":\"%s\",\"sha256\":\"%s\"},\"prices_of\":\"2020-01\",\"from\":{\"0\":2,"
		"\"usage.calls/1\":0},\"to\":5,\"exclude_producers\":[\"/gate/b\"]},\"lines\"", catalog_version(w.rules->catalog), catalog_sha256(w.rules->catalog));
	cr_expect(strstr(offsets, wanted) != NULL, "%s, not %s", offsets, wanted);
	world_close(&w);
}

Test(replay, nothing_to_correct_while_nothing_is_closed)
{
	struct world w;
	world_open(&w);
	january(&w);
	ask_without_b(&w);
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_LATER && strstr(w.e.text, "no month is closed yet") != NULL, "%s", w.e.text);
	world_close(&w);
}

// A service that the month's own price book does not have cannot be billed in it.
Test(replay, a_service_that_the_month_did_not_have)
{
	struct world w;
	world_open(&w);
	call(&w, 1, "0", "acme", "more", 5, "ok", NULL, jan_ms + day, jan_ms + day); // rejected as it is
	january(&w);
	manifest(&w, JAN, 6, 2);
	ask_without_b(&w);
	w.o.n_producers = 0;
	book(&w, "  - id: steps\n", "  - id: more\n    name: more\n    prices: [{from: 2020-01, model: flat, per: 1, price: 1}]\n  - id: steps\n");
	cr_expect(replay(&w) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR && strstr(w.e.text, "does not have service more") != NULL, "%s", w.e.text);
	world_close(&w);
}
