// SPDX-License-Identifier: Apache-2.0
// The control topic: bytes of every record, and that nothing which is not understood is passed over.
#include <criterion/criterion.h>

#include "base/digest.h"
#include "fake_kafka.h"
#include "journal/journal.h"
#include "some_rules.h"

static const char init_text[] = "{\"type\":\"init\",\"init_id\":\"00112233445566778899aabbccddeeff\",\"shards\":16,\"schema\":1,\"parts\":["
	"{\"topic\":\"usage.calls\",\"partition\":0,\"offset\":7},{\"topic\":\"usage.calls\",\"partition\":1,\"offset\":0}]}";
static const char admit_text[] = "{\"type\":\"admit\",\"parts\":[{\"topic\":\"usage.calls\",\"partition\":2,\"offset\":5,"
	"\"clock\":\"2020-02-01T16:00:00.000Z\"},{\"topic\":\"b/c\",\"partition\":0,\"offset\":0,\"clock\":null}]}";
static const char manifest_text[] = "{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{\"usage.calls/0\":123,"
	"\"usage.calls/1\":98,\"usage.calls/10\":4},\"counters\":2,\"calls\":1000007,\"accounts\":{\"meterd.accounts/0\":123}}";

static char *rules_text(void)
{
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, NULL, NULL);
	return journal_rules_record(1, TIME_NONE, r);
}

static enum error_class add(struct journal *j, int64_t offset, const char *text, struct error *e)
{
	*e = (struct error){ 0 };
	return journal_apply(j, offset, span_of(text), e);
}

static struct journal *some_journal(void)
{
	struct journal *j = journal_new();
	struct error e;
	CLEANUP(freep) char *rules = rules_text();
	cr_assert(add(j, 0, init_text, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(add(j, 1, rules, &e) == ERROR_NONE, "%s", e.text);
	return j;
}

Test(journal, records_are_these_bytes)
{
	struct journal_part parts[] = { { .topic = "usage.calls", .partition = 0, .offset = 7, .clock_ms = TIME_NONE },
		{ .topic = "usage.calls", .partition = 1, .clock_ms = TIME_NONE } };
	CLEANUP(freep) char *init = journal_init_record("00112233445566778899aabbccddeeff", 16, parts, 2);
	cr_expect_str_eq(init, init_text);
	struct journal_part new[] = { { .topic = "usage.calls", .partition = 2, .offset = 5, .clock_ms = 1580572800000 },
		{ .topic = "b/c", .partition = 0, .clock_ms = TIME_NONE } };
	CLEANUP(freep) char *admit = journal_admit_record(new, 2);
	cr_expect_str_eq(admit, admit_text);
	struct journal_cut cuts[] = { { "usage.calls/0", 123 }, { "usage.calls/1", 98 }, { "usage.calls/10", 4 } };
	struct journal_cut accounts = { "meterd.accounts/0", 123 };
	struct journal_manifest m = { .month = 2020 * 12, .rules_version = 1, .n_cuts = 3, .cuts = cuts, .counters = 2, .calls = 1000007,
		.n_accounts = 1, .accounts = &accounts };
	CLEANUP(freep) char *manifest = journal_manifest_record(&m);
	cr_expect_str_eq(manifest, manifest_text);
	m.corrects = true; // which programs that do not know corrections refuse
	CLEANUP(freep) char *corrected = journal_manifest_record(&m);
	cr_expect_str_eq(strstr(corrected, "},\"corrections\""), "},\"corrections\":true}");
	CLEANUP(freep) char *rules = rules_text();
	const char *head = "{\"type\":\"rules\",\"version\":1,\"effective\":null,\"rules\":{\"settings\":{";
	cr_expect(strncmp(rules, head, strlen(head)) == 0, "%.200s", rules);
}

Test(journal, reads_what_it_writes)
{
	CLEANUP(journal_freep) struct journal *j = some_journal();
	struct error e;
	char sha[DIGEST_SHA256_TEXT];
	cr_assert(add(j, 2, admit_text, &e) == ERROR_NONE, "%s", e.text);
	cr_assert(add(j, 5, manifest_text, &e) == ERROR_NONE, "%s", e.text);
	cr_expect_str_eq(j->init_id, "00112233445566778899aabbccddeeff");
	cr_expect(j->shards == 16 && j->n_parts == 4 && j->n_rules == 1 && j->n_manifests == 1 && j->next_offset == 6 && j->generation == 1);
	cr_expect_str_eq(j->parts[3].name, "b/c/0");
	cr_expect(j->parts[0].offset == 7 && j->parts[0].clock_ms == TIME_NONE && j->parts[2].clock_ms == 1580572800000);
	cr_expect(journal_part(j, SPAN_LIT("usage.calls/2")) == &j->parts[2] && journal_part(j, SPAN_LIT("usage.calls/3")) == NULL);
	const struct journal_manifest *m = journal_manifest(j, 2020 * 12);
	cr_assert(m != NULL && m->n_cuts == 3 && m->cuts[2].offset == 4 && m->counters == 2 && m->calls == 1000007);
	digest_sha256_text(span_of(manifest_text), sha);
	cr_expect_str_eq(m->sha256, sha);
	cr_assert(m->n_accounts == 1 && m->accounts[0].offset == 123);
	cr_expect_str_eq(m->accounts[0].name, "meterd.accounts/0");
	cr_expect(journal_manifest(j, 2020 * 12 + 1) == NULL);
	cr_expect(journal_rules_at(j, TIME_NONE) == &j->rules[0] && journal_rules_at(j, 5) == &j->rules[0]);
	cr_expect(journal_rules_version(j, 1) == &j->rules[0] && journal_rules_version(j, 2) == NULL);
}

Test(journal, later_rules_hold_from_their_time)
{
	CLEANUP(journal_freep) struct journal *j = some_journal();
	struct error e;
	CLEANUP(rules_freep) struct rules *r = some_rules(CLOCK_WALL, "tiia-2020-01", "tiia-2020-02");
	CLEANUP(freep) char *second = journal_rules_record(2, 1580572800000, r);
	CLEANUP(freep) char *third = journal_rules_record(4, 1580572800000, r);
	cr_assert(add(j, 2, second, &e) == ERROR_NONE, "%s", e.text);
	cr_expect(journal_rules_at(j, 1580572799999)->version == 1 && journal_rules_at(j, 1580572800000)->version == 2);
	cr_expect(journal_rules_at(j, TIME_NONE)->version == 1);
	cr_expect_str_eq(catalog_version(journal_rules_at(j, INT64_MAX)->rules->catalog), "tiia-2020-02");
	cr_expect(add(j, 3, third, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR, "versions with a hole");
}

Test(journal, refuses_what_it_does_not_understand)
{
	static const char *const bad[] = {
		"", "[]", "{", "{\"type\":\"init\"", "{}", "{\"type\":5}", "{\"type\":\"switch\"}",
		"{\"type\":\"init\",\"init_id\":\"x\",\"shards\":16,\"schema\":1,\"parts\":[]}",                    // a second one
		"{\"type\":\"admit\",\"parts\":[],\"also\":1}", "{\"type\":\"admit\",\"parts\":{}}", "{\"type\":\"admit\"}",
		"{\"type\":\"admit\",\"parts\":[{\"topic\":\"t\",\"partition\":0,\"offset\":0}]}",                  // no clock
		"{\"type\":\"admit\",\"parts\":[{\"topic\":\"t\",\"partition\":0,\"offset\":0,\"clock\":\"2020-01-01\"}]}",
		"{\"type\":\"admit\",\"parts\":[{\"topic\":\"t\",\"partition\":-1,\"offset\":0,\"clock\":null}]}",
		"{\"type\":\"admit\",\"parts\":[{\"topic\":\"t\",\"partition\":4294967296,\"offset\":0,\"clock\":null}]}",
		"{\"type\":\"admit\",\"parts\":[{\"topic\":\"t\",\"partition\":0,\"offset\":1.0,\"clock\":null}]}",
		"{\"type\":\"admit\",\"parts\":[{\"topic\":\"usage.calls\",\"partition\":0,\"offset\":0,\"clock\":null}]}", // again
		"{\"type\":\"admit\",\"type\":\"admit\",\"parts\":[]}",
		"{\"type\":\"rules\",\"version\":2,\"effective\":null,\"rules\":{}}",
		"{\"type\":\"rules\",\"version\":2,\"effective\":\"2020-02-01T16:00:00.000Z\",\"rules\":{}}",
		"{\"type\":\"manifest\",\"period\":\"2020-13\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":2,\"cuts\":{},\"counters\":0,\"calls\":0}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{\"a/0\":\"1\"},\"counters\":0,\"calls\":0}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{},\"counters\":-1,\"calls\":0}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0,\"accounts\":{\"a/0\":-1}}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0,\"accounts\":null}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0,\"accounts\":{\"a/x\":1}}",
		"{\"type\":\"manifest\",\"period\":\"2020-01\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0,\"accounts\":{\"a\":1}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(journal_freep) struct journal *j = some_journal();
		struct error e;
		cr_expect(add(j, 41, bad[i], &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR, "%s", bad[i]);
		cr_expect(strstr(e.text, "offset 41") != NULL, "%s", e.text);
		cr_expect(j->next_offset == 2);
	}
	CLEANUP(journal_freep) struct journal *empty = journal_new();
	struct error e;
	cr_expect(add(empty, 0, admit_text, &e) == ERROR_ABORT, "before the init");
}

Test(journal, manifests_follow_month_by_month)
{
	CLEANUP(journal_freep) struct journal *j = some_journal();
	struct error e;
	cr_assert(add(j, 2, manifest_text, &e) == ERROR_NONE);
	cr_expect(add(j, 3, "{\"type\":\"manifest\",\"period\":\"2020-03\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0}", &e) == ERROR_ABORT);
	cr_expect(add(j, 3, manifest_text, &e) == ERROR_ABORT);
	cr_expect(add(j, 3, "{\"type\":\"manifest\",\"period\":\"2020-02\",\"rules_version\":1,\"cuts\":{},\"counters\":0,\"calls\":0}", &e) == ERROR_NONE);
	cr_expect(journal_manifest(j, 2020 * 12 + 1)->n_accounts == 0, "written before there were accounts: none");
}

Test(journal, loads_a_topic)
{
	struct fake_fault fault = { 0 };
	struct fake_kafka k;
	struct error e = { 0 };
	fake_kafka_init(&k, 1, &fault);
	CLEANUP(journal_freep) struct journal *none = NULL;
	cr_assert(journal_load_from(&fake_port, &k.o, 1000, &none, &e) == ERROR_NONE);
	cr_expect_str_eq(none->init_id, "");
	CLEANUP(freep) char *rules = rules_text();
	fake_event(&k, "meterd.control", 0, 1, init_text);
	fake_event(&k, "meterd.control", 0, 1, rules);
	fake_event(&k, "meterd.control", 0, 1, manifest_text);
	CLEANUP(journal_freep) struct journal *j = NULL;
	cr_assert(journal_load_from(&fake_port, &k.o, 1000, &j, &e) == ERROR_NONE, "%s", e.text);
	cr_expect(j->n_parts == 2 && j->n_rules == 1 && j->n_manifests == 1 && j->next_offset == 3);
	fake_event(&k, "meterd.control", 0, 1, "?");
	CLEANUP(journal_freep) struct journal *bad = NULL;
	cr_expect(journal_load_from(&fake_port, &k.o, 1000, &bad, &e) == ERROR_ABORT && bad == NULL);
	fault = (struct fake_fault){ .at = 1, .how = FAKE_LOST };
	struct error away = { 0 };
	cr_expect(journal_load_from(&fake_port, &k.o, 1000, &bad, &away) == ERROR_RETRY);
	fake_kafka_free(&k);
}
