// SPDX-License-Identifier: Apache-2.0
// What became of corrections: which close covered them, out of the control topic, and what it made of them, out of the settlements topic.
#include <criterion/criterion.h>

#include "begun_log.h"
#include "some_rules.h"
#include "tools/correction_state.h"

static const int APR = 2020 * 12 + 3;

static struct fake_kafka k;
static struct fake_fault fault;
static struct rules *rules;
static struct account_book *book;
static int64_t said;

static void begin(void)
{
	fault = (struct fake_fault){ 0 };
	fake_kafka_init(&k, 1, &fault);
	rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	begin_log(&k, 4, 1, rules);
	book = account_book_new();
	said = 0;
}

static void end(void)
{
	account_book_freep(&book);
	rules_freep(&rules);
	fake_kafka_free(&k);
}

TestSuite(correction_state, .init = begin, .fini = end);

static void say(const char *id, const char *after)
{
	struct account_fault why;
	CLEANUP(freep) char *text = xasprintf("{\"type\":\"correction\",\"account\":\"a\",\"id\":\"%s\",\"version\":1,\"after\":\"%s\",\"reason\":\"x\",\"question\":{},\"lines\":["
		"{\"period\":\"2020-03\",\"service\":\"tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}", id, after);
	cr_assert_eq(account_book_apply(book, 0, said, said, span_of(text), &why), ACCOUNT_TAKEN, "%s", why.detail);
	said++;
}

// Closes the month with all that was said until now.
static void close_month(int month, bool corrects)
{
	struct journal_cut cut = { (char *)"usage.calls/0", 0 }, accounts = { (char *)"meterd.accounts/0", said };
	struct journal_manifest m = { .month = month, .rules_version = 1, .n_cuts = 1, .cuts = &cut, .n_accounts = 1, .accounts = &accounts, .corrects = corrects };
	CLEANUP(freep) char *text = journal_manifest_record(&m);
	fake_event(&k, "meterd.control", 0, 2, text);
}

static void publish(int32_t partition, const char *type, const char *data)
{
	CLEANUP(freep) char *text = xasprintf("{\"specversion\":\"1.0\",\"id\":\"x\",\"type\":\"%s\",\"data\":{%s}}", type, data);
	fake_event(&k, "meterd.settlements", partition, 1, text);
}

static void made(const char *account, const char *id)
{
	CLEANUP(freep) char *data = xasprintf("\"account\":\"%s\",\"service\":\"tag\",\"period\":\"2020-03\",\"revision\":1,\"correction\":\"%s\"", account, id);
	publish(1, "meterd.settlement.v1", data);
}

static void ended(const char *month)
{
	CLEANUP(freep) char *data = xasprintf("\"period\":\"%s\"", month);
	publish(0, "meterd.period.closed.v1", data);
}

// "id state close why; …"
static const char *states(void)
{
	static char all[2000];
	struct error e = { 0 };
	struct correction_state list[16];
	CLEANUP(correction_states_freep) struct correction_states *s = NULL;
	char month[MONTH_TEXT] = "-";
	size_t at = 0;
	cr_assert_eq(correction_states_read(&fake_port, &k.o, 1000, &s, &e), ERROR_NONE, "%s", e.text);
	uint32_t n = correction_states_of(s, account_book_find(book, SPAN_LIT("a")), list);
	all[0] = '\0';
	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%.*s %s %s %s; ", (int)list[i].fact->id.n, list[i].fact->id.p, list[i].text,
				       list[i].month != MONTH_NONE ? month_text(list[i].month, month) : "-", list[i].why != NULL ? list[i].why : "-");
	return all;
}

#define NOT_NEXT "it was not worked out from the close just before"
#define ANOTHER "another correction of the account came with the same close"
#define NOT_FIT "a bill was not what it was any more, or it did not fit: the log of meterd says which (correction_passed_over)"

Test(correction_state, from_word_to_bill)
{
	say("c-0", "2020-03");
	cr_expect_str_eq(states(), "c-0 waits - -; "); // nothing was closed yet
	cr_expect_eq(k.read_backs, 1, "the control topic alone was asked");
	close_month(APR, true);
	cr_expect_str_eq(states(), "c-0 waits 2020-04 -; "); // its close is under way
	ended("2020-04");
	say("c-1", "2020-04");
	cr_expect_str_eq(states(), "c-0 passed over 2020-04 " NOT_FIT "; c-1 waits 2020-05 -; ");
	close_month(APR + 1, true);
	cr_expect_not_null(strstr(states(), "c-1 waits 2020-05 -; "));
	made("a", "c-1");
	cr_expect_not_null(strstr(states(), "c-1 made 2020-05 -; "));
	ended("2020-05");
	cr_expect_str_eq(states(), "c-0 passed over 2020-04 " NOT_FIT "; c-1 made 2020-05 -; ");
}

Test(correction_state, passed_over_and_why)
{
	close_month(APR, false);
	say("c-1", "2020-03");
	say("c-2", "2020-04");
	say("c-3", "2020-04");
	say("c-4", "2020-04");
	cr_expect_str_eq(states(), "c-1 waits 2020-05 " NOT_NEXT "; c-2 waits 2020-05 -; c-3 waits 2020-05 -; c-4 waits 2020-05 -; ");
	close_month(APR + 1, true);
	cr_expect_str_eq(states(), "c-1 passed over 2020-05 " NOT_NEXT "; c-2 waits 2020-05 -; c-3 waits 2020-05 -; c-4 waits 2020-05 -; ");
	made("a", "c-3");
	made("b", "c-2"); // of another account
	ended("2020-05");
	cr_expect_str_eq(states(), "c-1 passed over 2020-05 " NOT_NEXT "; c-2 passed over 2020-05 " NOT_FIT "; c-3 made 2020-05 -; c-4 passed over 2020-05 " ANOTHER "; ");
}

// A program that did not know corrections closed the month: they are the next one's, which passes them over.
Test(correction_state, a_close_that_knew_none)
{
	close_month(APR, false);
	say("c-1", "2020-04");
	close_month(APR + 1, false);
	cr_expect_str_eq(states(), "c-1 waits 2020-06 " NOT_NEXT "; ");
	close_month(APR + 2, true);
	cr_expect_str_eq(states(), "c-1 passed over 2020-06 " NOT_NEXT "; ");
}

// What retention took cannot be told.
static enum error_class begins_later(const struct kafka_options *o, const char *topic, int32_t partition, int timeout_ms, int64_t *low, int64_t *high, struct error *e)
{
	enum error_class c = fake_offsets(o, topic, partition, timeout_ms, low, high, e);
	*low = partition == 2 ? 7 : *low;
	return c;
}

Test(correction_state, a_topic_that_does_not_reach_back)
{
	struct sink_port port = fake_port;
	struct error e = { 0 };
	struct correction_state list[2];
	CLEANUP(correction_states_freep) struct correction_states *s = NULL;
	port.offsets = begins_later;
	close_month(APR, false);
	say("c-1", "2020-04");
	close_month(APR + 1, true);
	ended("2020-05");
	cr_assert_eq(correction_states_read(&port, &k.o, 1000, &s, &e), ERROR_NONE, "%s", e.text);
	cr_expect(correction_states_of(s, account_book_find(book, SPAN_LIT("a")), list) == 1 && strcmp(list[0].text, "closed") == 0 && list[0].why == NULL);
	cr_expect_str_eq(states(), "c-1 passed over 2020-05 " NOT_FIT "; ");
	CLEANUP(correction_states_freep) struct correction_states *none = NULL;
	fault.at = fault.calls + 2;
	fault.how = FAKE_LOST;
	cr_expect(correction_states_read(&fake_port, &k.o, 1000, &none, &e) == ERROR_RETRY && none == NULL);
}
