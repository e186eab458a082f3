// SPDX-License-Identifier: Apache-2.0
// A proof over a log in memory: figures worked out by hand, and every way in which a log, a manifest or what was published can be
// another than the one that was settled.
#include <criterion/criterion.h>
#include <jansson.h>

#include "begun_log.h"
#include "fake_kafka.h"
#include "journal/journal.h"
#include "journal/json.h"
#include "outbox/outbox.h"
#include "proof/proof.h"
#include "some_rules.h"

static const int JAN = 2020 * 12;
static const int64_t jan_ms = 1577808000000, day = 86400000; // 2020-01-01T00:00:00+08:00

struct world {
	struct fake_kafka k;
	struct fake_fault fault;
	struct rules *rules;
	int n;
	struct proof *p;
	struct error e;
};

static void world_open(struct world *w)
{
	*w = (struct world){ 0 };
	fake_kafka_init(&w->k, 2, &w->fault);
	w->rules = rules_of_book("tests/table/settlement.yaml", CLOCK_RECORDS, NULL, NULL);
	begin_log(&w->k, 4, 2, w->rules);
}

static void world_close(struct world *w)
{
	proof_freep(&w->p);
	rules_freep(&w->rules);
	fake_kafka_free(&w->k);
}

static void call(struct world *w, int32_t partition, const char *id, const char *account, const char *service, int calls, int64_t stamp_ms,
		 int64_t time_ms)
{
	char time[TIME_TEXT];
	CLEANUP(freep) char *text = xasprintf("{\"id\":\"%s\",\"account\":\"%s\",\"service\":\"%s\",\"time\":\"%s\",\"calls\":%d}", id, account,
					      service, time_text(time_ms, time), calls);
	fake_event(&w->k, "usage.calls", partition, stamp_ms, text);
}

// January: acme has 12,000 calls of tag in two partitions, one event twice, and one that is rejected; February begins.
static void january(struct world *w)
{
	call(w, 0, "1", "acme", "tag", 11000, jan_ms + day, jan_ms + day);
	call(w, 0, "1", "acme", "tag", 11000, jan_ms + day, jan_ms + day);
	call(w, 1, "2", "acme", "tag", 1000, jan_ms + 2 * day, jan_ms + 2 * day);
	call(w, 1, "3", "acme", "nothing", 1, jan_ms + 2 * day, jan_ms + 2 * day);
	call(w, 1, "4", "other", "crop", 7, jan_ms + 2 * day, jan_ms + 2 * day);
	call(w, 0, "5", "acme", "tag", 1, jan_ms + 32 * day, jan_ms + 31 * day);
	call(w, 1, "6", "acme", "tag", 1, jan_ms + 32 * day, jan_ms + 31 * day);
}

// `accounts`: which records of the accounts topic it covers.
static void manifest_of_accounts(struct world *w, int month, int64_t cut0, int64_t cut1, int64_t counters, int64_t calls, int64_t accounts)
{
	struct journal_cut cuts[] = { { (char *)"usage.calls/0", cut0 }, { (char *)"usage.calls/1", cut1 } };
	struct journal_cut said = { (char *)"meterd.accounts/0", accounts };
	struct journal_manifest m = { .month = month, .rules_version = 1, .n_cuts = 2, .cuts = cuts, .n_accounts = accounts > 0, .accounts = &said,
		.counters = counters, .calls = calls, .corrects = accounts > 0 };
	CLEANUP(freep) char *text = journal_manifest_record(&m);
	fake_event(&w->k, "meterd.control", 0, 2, text);
}

static void manifest(struct world *w, int month, int64_t cut0, int64_t cut1, int64_t counters, int64_t calls)
{
	manifest_of_accounts(w, month, cut0, cut1, counters, calls, 0);
}

static void id_of(const char *identity, char ret[33])
{
	identity_id(span_of(identity), ret);
}

static void publish(struct world *w, const char *identity, const char *data)
{
	char id[33];
	id_of(identity, id);
	CLEANUP(freep) char *text = xasprintf("{\"id\":\"%s\",\"data\":%s}", id, data);
	fake_event(&w->k, "meterd.settlements", 0, 3, text);
}

static enum error_class prove(struct world *w, const char *account, int month)
{
	struct proof_options o = { .port = &fake_port, .kafka = &w->k.o, .timeout_ms = 1000, .account = account, .month = month };
	proof_freep(&w->p);
	w->e = (struct error){ 0 };
	return proof_run(&o, &w->p, &w->e);
}

// "period account service: published, derived"
static const char *text_of(const struct proof_difference *d)
{
	static char text[400];
	snprintf(text, sizeof(text), "%s %s %s: %s, %s", d->period != NULL ? d->period : "-", d->account != NULL ? d->account : "-",
		 d->service != NULL ? d->service : "-", d->published != NULL ? d->published : "-", d->derived != NULL ? d->derived : "-");
	return text;
}

static void expect(const struct world *w, enum proof_kind kind, const char *field, const char *text)
{
	const struct proof_difference *list;
	uint32_t n = proof_differences(w->p, &list);
	bool found = false;
	for (uint32_t i = 0; i < n; i++)
		found = found || (list[i].kind == kind && (field == NULL || (list[i].field != NULL && strcmp(list[i].field, field) == 0)) &&
				  strcmp(text_of(&list[i]), text) == 0);
	for (uint32_t i = 0; i < n && !found; i++)
		fprintf(stderr, "%s %s %s\n", proof_kind_text(list[i].kind), list[i].field != NULL ? list[i].field : "", text_of(&list[i]));
	cr_expect(found, "%s %s %s", proof_kind_text(kind), field != NULL ? field : "", text);
}

static uint32_t findings(const struct world *w, enum proof_kind kind)
{
	const struct proof_difference *list;
	uint32_t n = proof_differences(w->p, &list), of = 0;
	for (uint32_t i = 0; i < n; i++)
		of += list[i].kind == kind;
	return of;
}

Test(proof, figures_from_the_log_alone)
{
	struct world w;
	world_open(&w);
	january(&w);
	manifest(&w, JAN, 2, 3, 2, 12007);
	publish(&w, "closed\n2020-01", "{}");
	publish(&w, "settlement\nacme\ntag\n2020-01\n0", "{}");
	cr_assert(prove(&w, NULL, MONTH_NONE) == ERROR_NONE, "%s", w.e.text);
	expect(&w, PROOF_FIELD, "data.calls", "2020-01 acme tag: nothing, 12000");
	expect(&w, PROOF_FIELD, "data.free", "2020-01 acme tag: nothing, 10000");
	expect(&w, PROOF_FIELD, "data.charge", "2020-01 acme tag: nothing, \"5.00\"");
	expect(&w, PROOF_FIELD, "data.freeze", "2020-01 acme tag: nothing, \"30.00\"");
	expect(&w, PROOF_FIELD, "data.accounts", "2020-01 - -: nothing, 2");
	cr_expect_eq(findings(&w, PROOF_MISSING), 3); // two statements, a settlement
	cr_expect(findings(&w, PROOF_MANIFEST) + findings(&w, PROOF_CUT) + findings(&w, PROOF_UNKNOWN) == 0);
	struct proof_numbers k;
	proof_numbers(w.p, &k);
	cr_expect(k.records == 5 && k.events == 3 && k.partitions == 2 && k.proved == 0 && k.first_month == JAN && k.last_month == JAN);
	cr_assert(prove(&w, "other", MONTH_NONE) == ERROR_NONE, "%s", w.e.text);
	cr_expect(findings(&w, PROOF_MISSING) == 2 && findings(&w, PROOF_FIELD) == 0); // nothing about acme, nor about all
	world_close(&w);
}

Test(proof, another_log_than_the_manifest_says)
{
	struct world w;
	world_open(&w);
	january(&w);
	manifest(&w, JAN, 1, 3, 3, 12008);
	publish(&w, "closed\n2020-01", "{}");
	cr_assert(prove(&w, NULL, MONTH_NONE) == ERROR_NONE, "%s", w.e.text);
	expect(&w, PROOF_CUT, "usage.calls/0", "2020-01 - -: 1, behind it: no record there reaches the close");
	expect(&w, PROOF_MANIFEST, "calls", "2020-01 - -: 12008, 12007");
	expect(&w, PROOF_MANIFEST, "counters", "2020-01 - -: 3, 2");
	cr_expect_eq(findings(&w, PROOF_CUT), 1);
	world_close(&w);
}

Test(proof, a_close_that_the_log_crosses_earlier)
{
	struct world w;
	world_open(&w);
	call(&w, 1, "0", "acme", "tag", 1, jan_ms + 32 * day, jan_ms + day);
	fake_log(&w.k, "usage.calls", 1)->high += 2; // markers, or what is gone
	january(&w);
	manifest(&w, JAN, 2, 4, 2, 12007);
	publish(&w, "closed\n2020-01", "{}");
	cr_assert(prove(&w, NULL, JAN) == ERROR_NONE, "%s", w.e.text);
	expect(&w, PROOF_CUT, "usage.calls/1", "2020-01 - -: 4, 0");
	expect(&w, PROOF_GAP, "usage.calls/1", "- - -: -, 1 to 2");
	world_close(&w);
}

Test(proof, what_nobody_could_have_published)
{
	struct world w;
	char id[33];
	world_open(&w);
	january(&w);
	manifest(&w, JAN, 2, 3, 2, 12007);
	publish(&w, "closed\n2020-01", "{}");
	publish(&w, "closed\n2020-01", "{\"accounts\":2}");
	publish(&w, "x", "{\"account\":\"acme\",\"period\":\"2020-01\",\"revision\":0}");
	publish(&w, "y", "{\"account\":\"acme\",\"period\":\"2020-02\",\"revision\":0}"); // of a month that is not settled: not looked at
	fake_event(&w.k, "meterd.settlements", 0, 3, "not JSON");
	cr_assert(prove(&w, NULL, MONTH_NONE) == ERROR_NONE, "%s", w.e.text);
	cr_expect(findings(&w, PROOF_UNKNOWN) == 1 && findings(&w, PROOF_TWICE) == 1);
	expect(&w, PROOF_UNKNOWN, NULL, "2020-01 acme -: -, -");
	id_of("x", id);
	struct proof_options o = { .port = &fake_port, .kafka = &w.k.o, .timeout_ms = 1000, .id = id, .month = MONTH_NONE };
	proof_freep(&w.p);
	cr_assert(proof_run(&o, &w.p, &w.e) == ERROR_NONE, "%s", w.e.text);
	cr_expect(findings(&w, PROOF_UNKNOWN) == 1 && findings(&w, PROOF_TWICE) == 0 && findings(&w, PROOF_MISSING) == 0);
	proof_freep(&w.p);
	world_close(&w);
}

// Of one account what was said of others is not made, nor looked at.
Test(proof, an_account_alone)
{
	struct world w;
	world_open(&w);
	january(&w);
	for (int p = 0; p < 2; p++)
		call(&w, p, p == 0 ? "7" : "8", "other", "crop", 1, jan_ms + 62 * day, jan_ms + 62 * day);
	manifest(&w, JAN, 2, 3, 2, 12007);
	fake_event(&w.k, "meterd.accounts", 0, jan_ms, "{\"type\":\"correction\",\"account\":\"other\",\"id\":\"x\",\"version\":1,\"after\":\"2020-01\",\"reason\":\"r\",\"question\":{},"
		   "\"lines\":[{\"period\":\"2020-01\",\"service\":\"tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}");
	manifest_of_accounts(&w, JAN + 1, 3, 4, 1, 2, 1);
	publish(&w, "closed\n2020-01", "{}");
	publish(&w, "closed\n2020-02", "{}");
	cr_assert(prove(&w, "other", MONTH_NONE) == ERROR_NONE, "%s", w.e.text);
	expect(&w, PROOF_MISSING, NULL, "2020-01 other tag: -, -");
	cr_assert(prove(&w, "acme", MONTH_NONE) == ERROR_NONE, "%s", w.e.text);
	const struct proof_difference *list;
	for (uint32_t i = 0, n = proof_differences(w.p, &list); i < n; i++)
		cr_expect(list[i].account == NULL || strcmp(list[i].account, "acme") == 0, "%s", text_of(&list[i]));
	cr_expect(findings(&w, PROOF_MISSING) > 0);
	world_close(&w);
}

Test(proof, refusals_say_what_to_do)
{
	struct world w;
	world_open(&w);
	january(&w);
	cr_expect(prove(&w, NULL, MONTH_NONE) == ERROR_ABORT && w.e.exit_code == EXIT_LATER, "%s", w.e.text);
	manifest(&w, JAN, 2, 3, 2, 12007);
	cr_expect(prove(&w, NULL, JAN) == ERROR_ABORT && w.e.exit_code == EXIT_LATER, "%s", w.e.text);
	cr_expect(strstr(w.e.text, "no month is settled yet") != NULL, "%s", w.e.text);
	publish(&w, "closed\n2020-01", "{}");
	cr_expect(prove(&w, NULL, JAN + 1) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR, "%s", w.e.text);
	cr_expect(strcmp(w.e.text, "2020-02 was never closed; the newest month that is settled is 2020-01") == 0, "%s", w.e.text);
	manifest(&w, JAN + 1, 2, 900, 2, 2);
	cr_expect(prove(&w, NULL, JAN + 1) == ERROR_ABORT && w.e.exit_code == EXIT_LATER, "%s", w.e.text);
	cr_expect(strstr(w.e.text, "2020-02 is closed, and its end of run is not in meterd.settlements") != NULL, "%s", w.e.text);
	publish(&w, "closed\n2020-02", "{}");
	cr_expect(prove(&w, NULL, MONTH_NONE) == ERROR_ABORT && w.e.exit_code == EXIT_CONFIG_ERR, "%s", w.e.text); // the log ends below 900
	world_close(&w);
}

// Whatever call to Kafka fails: an error that passes, and nothing is left.
Test(proof, a_broker_that_is_away)
{
	struct world w;
	world_open(&w);
	january(&w);
	manifest(&w, JAN, 2, 3, 2, 12007);
	publish(&w, "closed\n2020-01", "{}");
	long calls = 0;
	for (long k = 1;; k++) {
		w.fault = (struct fake_fault){ .at = k, .how = FAKE_LOST };
		enum error_class c = prove(&w, NULL, MONTH_NONE);
		if (!w.fault.fired)
			break;
		calls++;
		cr_expect(c == ERROR_RETRY && w.p == NULL, "call %ld: %s", k, w.e.text);
	}
	cr_expect(calls >= 5, "%ld", calls);
	world_close(&w);
}
