// SPDX-License-Identifier: Apache-2.0
// The ledger's steps against a real Redis of its own, on a Unix socket; test_store_twin.c has them against the simulator's.
#include "redis_test.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"

TestSuite(store, .init = setup, .fini = teardown);

// ---- helpers: one partition "t/0", one counter a/image-tag of 2020-01

enum { JAN = 2020 * 12 };

static struct position claim_as(const char *token)
{
	struct error e = { 0 };
	struct store_claim c = { .name = SPAN_LIT("t/0"), .start = { 0, TIME_NONE, -1, 0 } };
	cr_assert_eq(store->ops->claim(store, 1, span_of(token), &c, 1, &e), ERROR_NONE, "%s", e.text);
	return c.at;
}

struct step {
	struct commit c;
	struct commit_part part;
	struct commit_delta delta[3];
	struct call_ref call[8];
};

static struct step *step_make(const char *token, int64_t from, int64_t to)
{
	struct step *s = xcalloc(1, sizeof(*s));
	s->part = (struct commit_part){ .name = SPAN_LIT("t/0"), .token = span_of(token), .from = from,
					.to = { to, 1000 + to, to - 1, 7 }, .consumed = to - from };
	s->c = (struct commit){ .shard = 1, .rules_version = 1, .catalog = catalog, .n_parts = 1, .parts = &s->part, .deltas = s->delta };
	return s;
}

static void step_call(struct step *s, int64_t calls, const struct ladder *ladder, bool list)
{
	uint32_t n = s->delta[0].n_calls;
	if (n == 0) {
		s->c.n_deltas = 1;
		s->delta[0] = (struct commit_delta){ .account = SPAN_LIT("a"), .service = tag_service, .month = JAN, .adjust_month = MONTH_NONE,
						     .ladder = ladder, .activates = true, .first_call = &s->call[0] };
	}
	s->call[n] = (struct call_ref){ .offset = s->part.from + n, .time_ms = 1577900000000 + n, .timestamp_ms = 1577900000001, .calls = calls,
					.id = SPAN_LIT("id"), .next = NULL };
	if (n > 0)
		s->call[n - 1].next = &s->call[n];
	s->delta[0].n_calls++;
	s->delta[0].calls += calls;
	s->delta[0].with_calls = list;
	s->part.outcomes[OUTCOME_COUNTED]++;
}

static struct commit_result step_send(struct step *s)
{
	struct commit_result r;
	store->ops->commit_send(store, &s->c);
	cr_assert(store->ops->commit_receive(store, 3000, &r));
	return r;
}

static int64_t total(void)
{
	struct error e = { 0 };
	int64_t n = -2;
	cr_assert_eq(store->ops->counter(store, 1, JAN, SPAN_LIT("a"), SPAN_LIT("image-tag"), &n, &e), ERROR_NONE, "%s", e.text);
	return n;
}

struct seen {
	int n;
	struct outbox_entry entry[8];
	char identity[8][200], stream_id[8][64], event_id[8][200], document[8][64];
};
static bool see_entry(void *ctx, uint32_t shard, const struct outbox_entry *e)
{
	struct seen *s = ctx;
	cr_assert_eq(shard, 1);
	snprintf(s->identity[s->n], 200, "%.*s", (int)e->identity.n, e->identity.p);
	snprintf(s->stream_id[s->n], 64, "%.*s", (int)e->stream_id.n, e->stream_id.p);
	snprintf(s->event_id[s->n], 200, "%.*s", (int)e->event_id.n, e->event_id.p);
	snprintf(s->document[s->n], 64, "%.*s", (int)e->document.n, e->document.p);
	s->entry[s->n++] = *e;
	return true;
}
// Whether that shard has entries; of the others none has.
static bool outbox_waiting(uint32_t shard)
{
	struct error e = { 0 };
	bool waiting[64] = { 0 }, is = false;
	cr_assert_eq(store->ops->outbox_waiting(store, waiting, &e), ERROR_NONE, "%s", e.text);
	for (uint32_t i = 0; i < ARRAY_LEN(waiting); i++) {
		is = i == shard ? waiting[i] : is;
		cr_assert(i == shard || !waiting[i], "shard %u", i);
	}
	return is;
}

static struct seen outbox(void)
{
	struct seen s = { 0 };
	struct error e = { 0 };
	cr_assert_eq(store->ops->outbox_read(store, 1, 8, see_entry, &s, &e), ERROR_NONE, "%s", e.text);
	return s;
}

// ---- the commit

Test(store, moves_counts_and_offsets_together)
{
	struct position at = claim_as("tok1");
	cr_assert_eq(at.next, 0);
	cr_assert_eq(at.clock_ms, TIME_NONE);
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, NULL, false);
	step_call(s, 4, NULL, false);
	struct commit_result r = step_send(s);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_eq(s->delta[0].total, 7);
	cr_assert_eq(total(), 7);
	at = claim_as("tok2");
	cr_assert_eq(at.next, 2);
	cr_assert_eq(at.clock_ms, 1002);
	cr_assert_eq(at.last, 1);
	cr_assert_eq(at.print, 7);
	free(s);
}

// More counters and accounts than one command of a function takes, twice: all totals come back, and each account is active from January.
Test(store, commits_more_counters_than_one_command_takes)
{
	enum { MANY = 9001 };
	static const int64_t calls = 3;
	char (*names)[16] = xcalloc(MANY, sizeof(*names));
	struct span *accounts = xcalloc(MANY, sizeof(*accounts));
	struct commit_delta *deltas = xcalloc(MANY, sizeof(*deltas));
	int *since = xcalloc(MANY, sizeof(*since));
	claim_as("tok1");
	for (int round = 0; round < 2; round++) {
		struct step *s = step_make("tok1", round * MANY, (round + 1) * MANY);
		for (int i = 0; i < MANY; i++) {
			snprintf(names[i], sizeof(names[i]), "m%d", i);
			accounts[i] = span_of(names[i]);
			deltas[i] = (struct commit_delta){ .account = accounts[i], .service = tag_service, .month = JAN, .activates = true,
							   .adjust_month = MONTH_NONE, .calls = calls + i };
		}
		s->c.deltas = deltas;
		s->c.n_deltas = MANY;
		struct commit_result r = step_send(s);
		cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
		for (int i = 0; i < MANY; i++)
			cr_assert_eq(deltas[i].total, (round + 1) * (calls + i));
		free(s);
	}
	struct error e = { 0 };
	cr_assert_eq(store->ops->active_since(store, 1, accounts, MANY, JAN + 1, since, &e), ERROR_NONE, "%s", e.text);
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(since[i], JAN);
	free(names);
	free(accounts);
	free(deltas);
	free(since);
}

Test(store, refuses_a_foreign_token_and_any_other_offset)
{
	static const struct {
		const char *token;
		int64_t from, to;
		enum commit_status want;
	} cases[] = { { "tok9", 2, 3, COMMIT_FOREIGN }, { "tok1", 0, 2, COMMIT_FOREIGN }, { "tok1", 1, 3, COMMIT_FOREIGN },
		      { "tok1", 3, 4, COMMIT_ROLLBACK }, { "tok1", 2, 2, COMMIT_HALT } };
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		s = step_make(cases[i].token, cases[i].from, cases[i].to);
		step_call(s, 5, NULL, false);
		struct commit_result r = step_send(s);
		cr_assert_eq(r.status, cases[i].want, "case %zu: %d %s", i, r.status, r.text);
		cr_assert_eq(total(), 3, "case %zu wrote", i);
		free(s);
	}
}

Test(store, chained_commits_answer_in_order_and_fall_together)
{
	claim_as("tok1");
	struct step *s[4];
	for (int i = 0; i < 4; i++) {
		s[i] = step_make(i == 1 ? "other" : "tok1", i, i + 1);
		step_call(s[i], 1, NULL, false);
		s[i]->c.tag = (uint64_t)i;
		store->ops->commit_send(store, &s[i]->c);
	}
	static const enum commit_status want[] = { COMMIT_DONE, COMMIT_FOREIGN, COMMIT_ROLLBACK, COMMIT_ROLLBACK };
	for (int i = 0; i < 4; i++) {
		struct commit_result r;
		cr_assert(store->ops->commit_receive(store, 3000, &r));
		cr_assert_eq(r.tag, (uint64_t)i);
		cr_assert_eq(r.status, want[i], "%d: %s", i, r.text);
		free(s[i]);
	}
	cr_assert_eq(total(), 1);
}

Test(store, finds_the_crossing_call_and_asks_for_the_list)
{
	struct rung rungs[] = { { 5, 5, ALERT_QUOTA_WARNING, -1 }, { 8, 8, ALERT_QUOTA_EXHAUSTED, -1 }, { 8, 7, ALERT_TIER_CROSSED, 1 } };
	struct ladder ladder = { .n = 3, .rungs = rungs };
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 4);
	step_call(s, 4, &ladder, false); // 4
	step_call(s, 1, &ladder, false); // 5: warning
	step_call(s, 9, &ladder, false); // 14: both others
	step_call(s, 1, &ladder, false);
	s->c.read_ms = 1577900001234;
	struct commit_result r = step_send(s);
	cr_assert_eq(r.status, COMMIT_NEEDLIST, "%s", r.text);
	cr_assert(s->delta[0].with_calls);
	cr_assert_eq(total(), -1);
	r = step_send(s);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_eq(r.alerts, 3);
	struct seen seen = outbox();
	cr_assert_eq(seen.n, 3);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(seen.entry[i].read_ms, 1577900001234);
	cr_assert_str_eq(seen.identity[0], "alert\na\nimage-tag\n2020-01\nfree_quota.warning\n5\n");
	cr_assert_eq(seen.entry[0].offset, 1);
	cr_assert_eq(seen.entry[0].before, 4);
	cr_assert_eq(seen.entry[0].after, 5);
	cr_assert_str_eq(seen.identity[2], "alert\na\nimage-tag\n2020-01\ntier.crossed\n7\n");
	for (int i = 1; i < 3; i++) {
		cr_assert_eq(seen.entry[i].offset, 2);
		cr_assert_eq(seen.entry[i].before, 5);
		cr_assert_eq(seen.entry[i].after, 14);
		cr_assert_eq(seen.entry[i].calls, 9);
		cr_assert_str_eq(seen.event_id[i], "id");
	}
	free(s);
}

Test(store, an_alert_is_raised_once)
{
	struct rung rung = { 2, 2, ALERT_QUOTA_EXHAUSTED, -1 }, again = { 4, 2, ALERT_QUOTA_EXHAUSTED, -1 };
	struct ladder ladder = { .n = 1, .rungs = &rung }, moved = { .n = 1, .rungs = &again };
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, &ladder, true);
	cr_assert_eq(step_send(s).alerts, 1);
	free(s);
	s = step_make("tok1", 2, 3); // the same bound under a ladder that moved
	step_call(s, 3, &moved, false);
	struct commit_result r = step_send(s);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_eq(r.alerts, 0);
	free(s);
}

Test(store, the_month_of_activation_has_its_own_ladder)
{
	struct rung rung = { 2, 2, ALERT_QUOTA_EXHAUSTED, -1 };
	struct ladder plain = { .n = 1, .rungs = &rung }, none = { 0 };
	claim_as("tok1");
	for (int month = 0; month < 2; month++) {
		struct step *s = step_make("tok1", month, month + 1);
		step_call(s, 3, &plain, true);
		s->delta[0].ladder_first = &none;
		s->delta[0].month = JAN + month;
		struct commit_result r = step_send(s);
		cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
		cr_assert_eq(r.alerts, (uint32_t)month); // nothing in the first month, the quota in the second
		free(s);
	}
	struct span account = SPAN_LIT("a");
	int since = 0;
	cr_assert_eq(store->ops->active_since(store, 1, &account, 1, JAN + 1, &since, NULL), ERROR_NONE);
	cr_assert_eq(since, JAN);
}

Test(store, late_calls_go_into_their_bucket)
{
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 3, NULL, false);
	s->delta[0].adjust_month = JAN + 2;
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	cr_assert_eq(total(), -1);
	struct store_months m = { 0 };
	cr_assert_eq(store->ops->months(store, 1, &m, NULL), ERROR_NONE);
	cr_assert_eq(m.n, 1);
	cr_assert_eq(m.list[0].month, JAN);
	cr_assert_eq(m.list[0].adjust_month, JAN + 2);
	store_months_free(&m);
	int since = 0;
	struct span account = SPAN_LIT("a");
	store->ops->active_since(store, 1, &account, 1, JAN + 1, &since, NULL);
	cr_assert_eq(since, MONTH_NONE); // below the cuts of that month nothing was known of it
	store->ops->active_since(store, 1, &account, 1, JAN + 2, &since, NULL);
	cr_assert_eq(since, JAN);
	free(s);
}

Test(store, a_closed_month_takes_nothing_more)
{
	struct error e = { 0 };
	struct span part = SPAN_LIT("t/0");
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2); // clock 1002
	step_call(s, 3, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1003, "hash", false, &part, 1, &e), ERROR_RETRY);
	e = (struct error){ 0 };
	e = (struct error){ 0 };
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1002, "hash", true, &part, 1, &e), ERROR_RETRY, "the month before is not finished");
	e = (struct error){ 0 };
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1002, "hash", false, &part, 1, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1002, "hash", false, &part, 1, &e), ERROR_NONE);
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1002, "other", false, &part, 1, &e), ERROR_HALT);
	s = step_make("tok1", 2, 3);
	step_call(s, 1, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_HALT);
	cr_assert_eq(total(), 3);
	free(s);
}

Test(store, cuts_and_marks_come_back)
{
	int64_t at = 0;
	struct commit_cut cuts[] = { { MONTH_NONE, 0 }, { JAN + 1, 1 } };
	struct commit_mark mark = { 16, 555, 0 };
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	s->part.cuts = cuts;
	s->part.n_cuts = 2;
	s->part.marks = &mark;
	s->part.n_marks = 1;
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	store->ops->cut(store, 1, JAN + 1, SPAN_LIT("t/0"), &at, NULL);
	cr_assert_eq(at, 1);
	store->ops->cut(store, 1, JAN, SPAN_LIT("t/0"), &at, NULL);
	cr_assert_eq(at, 0); // the first record stands for what it began behind
	store->ops->cut(store, 1, JAN, SPAN_LIT("t/1"), &at, NULL);
	cr_assert_eq(at, -1);
	free(s);
}

Test(store, acknowledges_only_the_same_alert_under_the_same_id)
{
	struct rung rung = { 2, 2, ALERT_QUOTA_EXHAUSTED, -1 };
	struct ladder ladder = { .n = 1, .rungs = &rung };
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, &ladder, true);
	cr_assert(!outbox_waiting(1));
	step_send(s);
	free(s);
	cr_assert(outbox_waiting(1));
	struct seen seen = outbox();
	struct span id = span_of(seen.stream_id[0]), other = SPAN_LIT("alert\nb"), identity = span_of(seen.identity[0]);
	cr_assert_eq(store->ops->outbox_ack(store, 1, &id, &other, 1, NULL), ERROR_NONE);
	cr_assert_eq(outbox().n, 1);
	cr_assert_eq(store->ops->outbox_ack(store, 1, &id, &identity, 1, NULL), ERROR_NONE);
	cr_assert_eq(outbox().n, 0);
	cr_assert(!outbox_waiting(1));
}

static enum error_class settle_a(const char *document, int64_t calls, const char *packs_before, struct error *e)
{
	struct store_line line = { .service_id = SPAN_LIT("image-tag"), .calls = calls, .freeze_fen = 25, .facts = SPAN_LIT("{}"),
				   .identity = SPAN_LIT("settlement\na"), .document = span_of(document) };
	struct store_statement st = { .account = SPAN_LIT("a"), .n_lines = 1, .lines = &line, .facts = SPAN_LIT("{}"),
				      .identity = SPAN_LIT("statement\na"), .document = SPAN_LIT("doc"), .not_before_ms = 77,
				      .packs_before = span_of(packs_before), .packs = SPAN_LIT("2020-01 p-1=3") };
	*e = (struct error){ 0 };
	return store->ops->settle(store, 1, JAN, &st, 1, e);
}

static enum error_class finish(int month, struct store_held held, struct error *e)
{
	*e = (struct error){ 0 };
	return store->ops->finish(store, 1, month, &held, e);
}

Test(store, settles_each_account_once_and_finishes_whole)
{
	struct error e = { 0 };
	struct span part = SPAN_LIT("t/0");
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, NULL, false);
	step_send(s);
	free(s);
	cr_assert_eq(settle_a("d", 3, NULL, &e), ERROR_RETRY); // not closed yet
	e = (struct error){ 0 };
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1002, "hash", false, &part, 1, &e), ERROR_NONE);
	cr_assert_eq(settle_a("d", 4, NULL, &e), ERROR_HALT); // says another number than the shard holds
	cr_assert_eq(settle_a("d", 3, "2019-12 p-1=1", &e), ERROR_HALT); // and another balance
	cr_assert(strstr(e.text, "other balances") != NULL, "%s", e.text);
	cr_assert_eq(finish(JAN, (struct store_held){ .counters = 1, .statements = 1 }, &e), ERROR_RETRY);
	cr_assert_eq(settle_a("d", 3, NULL, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(settle_a("another", 3, "2019-12 p-1=1", &e), ERROR_NONE); // passed over
	struct seen seen = outbox();
	cr_assert_eq(seen.n, 2);
	cr_assert_str_eq(seen.identity[0], "settlement\na");
	cr_assert_eq(seen.entry[0].type, OUTBOX_DOCUMENT);
	cr_assert_eq(seen.entry[0].not_before_ms, 77);
	cr_assert_str_eq(seen.identity[1], "statement\na");
	struct arena arena = { 0 };
	struct span names[] = { SPAN_LIT("a"), SPAN_LIT("b") }, got[2];
	cr_assert_eq(store->ops->packs_get(store, 1, names, 2, &arena, got, &e), ERROR_NONE);
	cr_assert(span_is(got[0], "2020-01 p-1=3") && got[1].p == NULL);
	cr_assert_eq(store->ops->settled_get(store, 1, JAN, names, 2, &arena, got, &e), ERROR_NONE);
	cr_assert(span_is(got[0], "{}") && got[1].p == NULL);
	arena_free(&arena);
	cr_assert_eq(finish(JAN, (struct store_held){ .counters = 1, .statements = 1 }, &e), ERROR_NONE, "%s", e.text);
	bool done = false;
	cr_assert_eq(store->ops->finished(store, 1, JAN, &done, &e), ERROR_NONE);
	cr_assert(done);
}

// Three calls of January, closed and settled.
static void january_settled(void)
{
	struct error e = { 0 };
	struct span part = SPAN_LIT("t/0");
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, NULL, false);
	step_send(s);
	free(s);
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1002, "hash", false, &part, 1, &e), ERROR_NONE);
	cr_assert_eq(settle_a("d", 3, NULL, &e), ERROR_NONE, "%s", e.text);
}

// Documents of an account's month are one entry: read one after the other, in the order in which they go out, and gone together.
Test(store, documents_of_an_account_leave_the_outbox_together)
{
	struct error e = { 0 };
	january_settled();
	int64_t entries = 0;
	cr_assert_eq(store->ops->outbox_length(store, 1, &entries, &e), ERROR_NONE);
	cr_assert_eq(entries, 1);
	struct seen seen = outbox();
	cr_assert_eq(seen.n, 2);
	cr_assert(seen.entry[0].more && !seen.entry[1].more);
	cr_assert_str_eq(seen.document[0], "d");
	cr_assert_str_eq(seen.document[1], "doc");
	cr_assert_str_eq(seen.stream_id[0], seen.stream_id[1]);
	struct span ids[] = { span_of(seen.stream_id[0]), span_of(seen.stream_id[1]) };
	struct span both[] = { span_of(seen.identity[0]), span_of(seen.identity[1]) };
	cr_assert_eq(store->ops->outbox_ack(store, 1, ids, &both[0], 1, &e), ERROR_NONE);
	cr_assert_eq(store->ops->outbox_ack(store, 1, ids, &both[1], 1, &e), ERROR_NONE);
	cr_assert_eq(outbox().n, 2); // each is only a part of it
	struct span others[] = { both[1], both[0] };
	cr_assert_eq(store->ops->outbox_ack(store, 1, ids, others, 2, &e), ERROR_NONE);
	cr_assert_eq(outbox().n, 2); // another entry
	cr_assert_eq(store->ops->outbox_ack(store, 1, ids, both, 2, &e), ERROR_NONE);
	cr_assert_eq(outbox().n, 0);
}

// A correction of January with February's close: nothing late stands behind it, and an account is settled by it once.
Test(store, corrects_each_account_once)
{
	struct error e = { 0 };
	struct span part = SPAN_LIT("t/0");
	january_settled();
	cr_assert_eq(finish(JAN, (struct store_held){ .counters = 1, .statements = 1 }, &e), ERROR_NONE, "%s", e.text);
	struct step *s = step_make("tok1", 2, 3);
	step_call(s, 2, NULL, false);
	s->delta[0].adjust_month = JAN + 1;
	step_send(s);
	free(s);
	cr_assert_eq(store->ops->close_month(store, 1, JAN + 1, 1003, "hash2", true, &part, 1, &e), ERROR_NONE, "%s", e.text);
	struct store_adjustment both[] = { { SPAN_LIT("image-tag"), STORE_CORRECTION, SPAN_LIT("settlement\na\n1"), SPAN_LIT("d1") },
					   { SPAN_LIT("image-tag"), 2, SPAN_LIT("settlement\na\n2"), SPAN_LIT("d2") } };
	struct store_revision revision = { .month = JAN, .n_adjustments = 2, .adjustments = both, .facts = SPAN_LIT("{s1}"),
					   .identity = SPAN_LIT("statement\na\n1"), .document = SPAN_LIT("doc") };
	struct store_statement st = { .account = SPAN_LIT("a"), .n_revisions = 1, .revisions = &revision, .late_facts = SPAN_LIT("{late}"), .not_before_ms = 77,
				      .packs_before = SPAN_LIT("2020-01 p-1=3"), .packs = SPAN_LIT("2020-02 p-1=1") };
	both[1].calls = 3;
	cr_assert_eq(store->ops->settle(store, 1, JAN + 1, &st, 1, &e), ERROR_HALT); // the late calls beside it are looked at as ever
	e = (struct error){ 0 };
	both[1].calls = 2;
	revision.before = SPAN_LIT("{}");
	cr_assert_eq(store->ops->settle(store, 1, JAN + 1, &st, 1, &e), ERROR_HALT); // and so is the revision before
	cr_assert(strstr(e.text, "another revision") != NULL, "%s", e.text);
	revision.before = (struct span){ NULL, 0 };
	cr_assert_eq(outbox().n, 2);
	e = (struct error){ 0 };
	for (int i = 0; i < 2; i++)
		cr_assert_eq(store->ops->settle(store, 1, JAN + 1, &st, 1, &e), ERROR_NONE, "%s", e.text); // the second is passed over
	// Of an account that holds nothing else: no late bucket has a field of it.
	struct store_revision alone = { .month = JAN, .n_adjustments = 1, .adjustments = both, .facts = SPAN_LIT("{s1}"),
					.identity = SPAN_LIT("statement\nb\n1"), .document = SPAN_LIT("doc") };
	struct store_statement of_b = { .account = SPAN_LIT("b"), .n_revisions = 1, .revisions = &alone, .late_facts = SPAN_LIT("{late}"), .not_before_ms = 77,
					.packs = SPAN_LIT("2020-02") };
	for (int i = 0; i < 2; i++)
		cr_assert_eq(store->ops->settle(store, 1, JAN + 1, &of_b, 1, &e), ERROR_NONE, "%s", e.text);
	struct seen seen = outbox();
	static const char *const identities[] = { "settlement\na", "statement\na", "settlement\na\n1", "settlement\na\n2", "statement\na\n1",
						  "settlement\na\n1", "statement\nb\n1" };
	cr_assert_eq(seen.n, ARRAY_LEN(identities));
	for (size_t i = 0; i < ARRAY_LEN(identities); i++)
		cr_expect_str_eq(seen.identity[i], identities[i]);
	struct arena arena = { 0 };
	struct span name = SPAN_LIT("#rev/b"), got;
	cr_assert_eq(store->ops->settled_get(store, 1, JAN, &name, 1, &arena, &got, &e), ERROR_NONE);
	cr_expect(span_is(got, "{s1}"));
	arena_free(&arena);
	int months[] = { JAN };
	struct store_held held = { .freezes = 1, .late = 1, .n_late_months = 1, .late_months = months, .statements = 1 };
	cr_assert_eq(finish(JAN + 1, held, &e), ERROR_RETRY); // two accounts were settled
	held.statements = 2;
	cr_assert_eq(finish(JAN + 1, held, &e), ERROR_NONE, "%s", e.text);
}

// Late calls of January, adjusted with February: no statement of February is due, and the account is settled all the same.
static enum error_class adjust_a(const char *before, int64_t calls, struct error *e)
{
	struct store_adjustment adjustment = { SPAN_LIT("image-tag"), calls, SPAN_LIT("settlement\na\n1"), SPAN_LIT("d") };
	struct store_revision revision = { .month = JAN, .n_adjustments = 1, .adjustments = &adjustment, .before = span_of(before),
					   .facts = SPAN_LIT("{s1}"), .identity = SPAN_LIT("statement\na\n1"), .document = SPAN_LIT("doc") };
	struct store_statement st = { .account = SPAN_LIT("a"), .n_revisions = 1, .revisions = &revision, .late_facts = SPAN_LIT("{late}"),
				      .not_before_ms = 77, .packs_before = SPAN_LIT("2020-01 p-1=3"), .packs = SPAN_LIT("2020-02 p-1=5") };
	*e = (struct error){ 0 };
	return store->ops->settle(store, 1, JAN + 1, &st, 1, e);
}

Test(store, adjusts_each_account_once_and_counts_late_buckets)
{
	struct error e = { 0 };
	struct span part = SPAN_LIT("t/0");
	january_settled();
	cr_assert_eq(finish(JAN, (struct store_held){ .counters = 1, .statements = 1 }, &e), ERROR_NONE, "%s", e.text);
	struct step *s = step_make("tok1", 2, 3);
	step_call(s, 2, NULL, false);
	s->delta[0].adjust_month = JAN + 1;
	step_send(s);
	free(s);
	cr_assert_eq(store->ops->close_month(store, 1, JAN + 1, 1003, "hash2", true, &part, 1, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(adjust_a("{}", 2, &e), ERROR_HALT);
	cr_assert(strstr(e.text, "another revision") != NULL, "%s", e.text);
	cr_assert_eq(adjust_a(NULL, 1, &e), ERROR_HALT);
	cr_assert(strstr(e.text, "2 late calls") != NULL, "%s", e.text);
	cr_assert_eq(adjust_a(NULL, 2, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(adjust_a(NULL, 2, &e), ERROR_NONE); // passed over, though the facts before are others now
	struct seen seen = outbox();
	cr_assert_eq(seen.n, 4);
	cr_assert_str_eq(seen.identity[2], "settlement\na\n1");
	cr_assert_str_eq(seen.identity[3], "statement\na\n1");
	struct arena arena = { 0 };
	struct span names[] = { SPAN_LIT("a"), SPAN_LIT("#rev/a"), SPAN_LIT("#late/a") }, got[3];
	cr_assert_eq(store->ops->settled_get(store, 1, JAN, names, 3, &arena, got, &e), ERROR_NONE);
	cr_assert(span_is(got[0], "{}") && span_is(got[1], "{s1}") && got[2].p == NULL); // what was settled stays
	cr_assert_eq(store->ops->settled_get(store, 1, JAN + 1, names, 3, &arena, got, &e), ERROR_NONE);
	cr_assert(got[0].p == NULL && got[1].p == NULL && span_is(got[2], "{late}"));
	cr_assert_eq(store->ops->packs_get(store, 1, names, 1, &arena, got, &e), ERROR_NONE);
	cr_assert(span_is(got[0], "2020-02 p-1=5"));
	struct span counters[] = { SPAN_LIT("a/image-tag"), SPAN_LIT("b/image-tag"), SPAN_LIT("a") };
	cr_assert_eq(store->ops->counters_get(store, 1, JAN, MONTH_NONE, counters, 3, &arena, got, &e), ERROR_NONE, "%s", e.text);
	cr_assert(span_is(got[0], "3") && got[1].p == NULL && got[2].p == NULL);
	cr_assert_eq(store->ops->counters_get(store, 1, JAN, JAN + 1, counters, 3, &arena, got, &e), ERROR_NONE, "%s", e.text);
	cr_assert(span_is(got[0], "2") && got[1].p == NULL && got[2].p == NULL);
	cr_assert_eq(store->ops->counters_get(store, 1, JAN + 1, MONTH_NONE, counters, 3, &arena, got, &e), ERROR_NONE, "%s", e.text);
	cr_assert(got[0].p == NULL);
	arena_free(&arena);
	int months[] = { JAN };
	struct store_held held = { .freezes = 1, .late = 1, .n_late_months = 1, .late_months = months, .statements = 1 };
	struct store_held blind = { .freezes = 1, .statements = 1 }, few = held;
	few.late = 0;
	cr_assert_eq(finish(JAN + 1, blind, &e), ERROR_RETRY); // late calls that were not seen
	cr_assert(strstr(e.text, "in 1 months") != NULL && strstr(e.text, "in 0 months") != NULL, "%s", e.text);
	cr_assert_eq(finish(JAN + 1, few, &e), ERROR_RETRY);
	cr_assert_eq(finish(JAN + 1, held, &e), ERROR_NONE, "%s", e.text);
}

// ---- circumstances

Test(store, a_token_is_renewed_by_its_owner_only)
{
	struct store_claim c = { .name = SPAN_LIT("t/0") };
	bool foreign = false;
	claim_as("tok1");
	cr_assert_eq(store->ops->renew(store, 1, SPAN_LIT("tok1"), SPAN_LIT("tok2"), &c, 1, &foreign, NULL), ERROR_NONE);
	cr_assert(!foreign);
	cr_assert_eq(store->ops->renew(store, 1, SPAN_LIT("tok1"), SPAN_LIT("tok3"), &c, 1, &foreign, NULL), ERROR_NONE);
	cr_assert(foreign);
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_FOREIGN);
	free(s);
}

Test(store, newer_rules_refuse_an_older_commit)
{
	claim_as("tok1");
	cr_assert_eq(store->ops->register_rules(store, 1, 2, NULL), ERROR_NONE);
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_OLD_RULES);
	s->c.rules_version = 2;
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
}

// A connection that broke: newer rules may have been made known, and been lost with what Redis lost.
static void connection_breaks(void);

Test(store, on_a_new_connection_nothing_is_counted_before_its_sender_is_informed)
{
	claim_as("tok1");
	store->ops->informed(store, store->ops->session(store));
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
	uint64_t before = store->ops->session(store);
	connection_breaks();
	s = step_make("tok1", 1, 2);
	step_call(s, 1, NULL, false);
	struct commit_result r = step_send(s);
	cr_assert_eq(r.status, COMMIT_REFUSED, "%d %s", r.status, r.text);
	cr_assert(strstr(r.text, "connected anew") != NULL, "%s", r.text);
	cr_assert_eq(store->ops->session(store), before + 1);
	cr_assert_eq(step_send(s).status, COMMIT_REFUSED, "still");
	cr_assert_eq(total(), 1);
	store->ops->informed(store, before + 1);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	cr_assert_eq(total(), 2);
	free(s);
}

// A flush sends a commit to each shard before it takes the first answer.
Test(store, on_a_new_connection_no_commit_of_a_flush_is_counted)
{
	enum { SHARDS = 4 };
	struct step *s[SHARDS];
	struct commit_result r;
	struct error e = { 0 };
	for (uint32_t i = 0; i < SHARDS; i++) {
		struct store_claim c = { .name = SPAN_LIT("t/0"), .start = { 0, TIME_NONE, -1, 0 } };
		cr_assert_eq(store->ops->claim(store, i, SPAN_LIT("tok1"), &c, 1, &e), ERROR_NONE, "%s", e.text);
		s[i] = step_make("tok1", 0, 1);
		step_call(s[i], 1, NULL, false);
		s[i]->c.shard = i;
	}
	store->ops->informed(store, store->ops->session(store));
	connection_breaks();
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < SHARDS; i++)
			store->ops->commit_send(store, &s[i]->c);
		for (uint32_t i = 0; i < SHARDS; i++) {
			cr_assert(store->ops->commit_receive(store, 3000, &r));
			cr_expect_eq(r.status, round == 0 ? COMMIT_REFUSED : COMMIT_DONE, "shard %u: %d %s", i, r.status, r.text);
		}
		store->ops->informed(store, store->ops->session(store));
	}
	for (uint32_t i = 0; i < SHARDS; i++)
		free(s[i]);
}

#ifndef REDIS_TWIN // what only a server can do

static void redis_do(const char *words)
{
	char command[400];
	snprintf(command, sizeof(command), "redis-cli -s %s/s %s >/dev/null", dir, words);
	cr_assert_eq(system(command), 0);
}

static void connection_breaks(void)
{
	redis_do("CLIENT KILL TYPE normal");
}

Test(store, lost_state_is_never_counted_into)
{
	claim_as("tok1");
	redis_do("FLUSHALL");
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_LOST);
	struct error e = { 0 };
	struct store_claim c = { .name = SPAN_LIT("t/0") };
	cr_assert_eq(store->ops->claim(store, 1, SPAN_LIT("tok1"), &c, 1, &e), ERROR_ABORT);
	cr_assert_eq(e.exit_code, EXIT_CONFIG_ERR);
	free(s);
}

Test(store, missing_functions_are_loaded_again)
{
	claim_as("tok1");
	redis_do("FUNCTION FLUSH");
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	cr_assert_eq(step_send(s).status, COMMIT_REFUSED);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
}

// What Redis answers is written down before anything is asked.
static void answer(const char *text)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/scripted", dir);
	int listening = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(bind(listening, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listening, 1) == 0);
	if (fork() == 0) {
		int c = accept(listening, NULL, NULL);
		char gone[4096];
		ssize_t n = write(c, text, strlen(text));
		while (n > 0)
			n = read(c, gone, sizeof(gone));
		_exit(0);
	}
	close(listening);
}

static struct store *open_scripted(const char *answers, struct error *e)
{
	char to[160];
	struct store *s = NULL;
	answer(answers);
	snprintf(to, sizeof(to), "unix://%s/scripted", dir);
	struct store_options o = { .url = to, .prefix = "t:", .shards = 4, .timeout_ms = 20000 };
	cr_assert_eq(store_redis_open(&o, &s, e), ERROR_NONE, "%s", e->text);
	return s;
}

static enum error_class load_with(const char *answers, struct error *e)
{
	struct store *s = open_scripted(answers, e);
	enum error_class cls = redis_load_functions(redis_of(s), e);
	s->ops->close(s);
	cr_assert_eq(wait(NULL) > 0, true);
	return cls;
}

// Two instances load the library at once: the name is a digest of the text, so the one that is there is the one.
Test(store, a_library_that_is_there_already_is_this_one)
{
	struct error e = { 0 };
	cr_assert_eq(load_with("-ERR Library 'meterd_0123456789ab' already exists\r\n", &e), ERROR_NONE, "%s", e.text);
}

Test(store, a_redis_that_is_still_loading_is_waited_for)
{
	struct error e = { 0 };
	cr_assert_eq(load_with("-LOADING Redis is loading the dataset in memory\r\n", &e), ERROR_RETRY, "%s", e.text);
}

Test(store, a_lease_that_is_held_by_nobody_that_can_be_read_is_refused)
{
	struct error e = { 0 };
	char *other = NULL;
	struct store *s = open_scripted("*2\r\n$4\r\nHALT\r\n:1\r\n", &e);
	cr_expect_eq(s->ops->lease(s, LEASE_CHECKPOINT, "me", 1000, &other, &e), ERROR_HALT, "%s", e.text);
	cr_expect_null(other);
	s->ops->close(s);
	cr_assert_eq(wait(NULL) > 0, true);
}

// Redis has as many clients as it takes: it says so to a new one and hangs up. Nothing was applied, and it passes.
Test(store, a_redis_without_room_for_another_client_is_waited_for)
{
	char path[128];
	claim_as("tok1");
	signal(SIGPIPE, SIG_IGN); // as meterd does
	snprintf(path, sizeof(path), "%s/s", dir);
	redisContext *c = redisConnectUnix(path);
	cr_assert(c != NULL && c->err == 0);
	freeReplyObject(redisCommand(c, "CONFIG SET maxclients 1"));
	freeReplyObject(redisCommand(c, "CLIENT KILL TYPE normal SKIPME yes"));
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	for (int i = 0; i < 20; i++) {
		struct commit_result r = step_send(s);
		cr_assert(r.status == COMMIT_REFUSED || r.status == COMMIT_UNKNOWN, "%d %s", r.status, r.text);
		struct error e = { 0 };
		cr_assert_eq(store->ops->verify(store, &e), ERROR_RETRY, "%s", e.text);
	}
	freeReplyObject(redisCommand(c, "CONFIG SET maxclients 100"));
	redisFree(c);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	cr_assert_eq(total(), 1);
	free(s);
}

Test(store, a_full_redis_refuses_and_still_drains)
{
	struct rung rung = { 2, 2, ALERT_QUOTA_EXHAUSTED, -1 };
	struct ladder ladder = { .n = 1, .rungs = &rung };
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 2);
	step_call(s, 3, &ladder, true);
	step_send(s);
	free(s);
	redis_do("CONFIG SET maxmemory 1");
	s = step_make("tok1", 2, 3);
	step_call(s, 1, NULL, false);
	struct commit_result r = step_send(s);
	cr_assert_eq(r.status, COMMIT_REFUSED, "%s", r.text);
	struct seen seen = outbox();
	struct span id = span_of(seen.stream_id[0]), identity = span_of(seen.identity[0]);
	cr_assert_eq(store->ops->outbox_ack(store, 1, &id, &identity, 1, NULL), ERROR_NONE);
	cr_assert_eq(outbox().n, 0);
	redis_do("CONFIG SET maxmemory 0");
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	cr_assert_eq(total(), 4);
	free(s);
}

Test(store, a_stalled_redis_leaves_the_result_unknown)
{
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	kill(server, SIGSTOP);
	store->ops->commit_send(store, &s->c);
	struct commit_result r = { 0 };
	while (!store->ops->commit_receive(store, 100, &r))
		;
	cr_assert_eq(r.status, COMMIT_UNKNOWN);
	kill(server, SIGCONT);
	// Whichever it was, the offset tells: applied wholly or not at all.
	struct store_claim c = { .name = SPAN_LIT("t/0") };
	bool foreign = false;
	while (store->ops->renew(store, 1, SPAN_LIT("tok1"), SPAN_LIT("tok2"), &c, 1, &foreign, NULL) == ERROR_RETRY)
		;
	cr_assert(!foreign);
	cr_assert_eq(total(), c.at.next == 1 ? 1 : -1);
	free(s);
}

Test(store, a_redis_that_is_away_has_applied_nothing)
{
	claim_as("tok1");
	server_stop();
	struct step *s = step_make("tok1", 0, 1);
	step_call(s, 1, NULL, false);
	struct commit_result r = step_send(s);
	cr_assert(r.status == COMMIT_REFUSED || r.status == COMMIT_UNKNOWN, "%d", r.status);
	cr_assert_eq(step_send(s).status, COMMIT_REFUSED);
	server_start();
	while ((r = step_send(s)).status == COMMIT_REFUSED)
		clock_sleep_ms(10);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_eq(total(), 1);
	free(s);
}

Test(store, an_evicting_redis_is_refused)
{
	struct error e = { 0 };
	redis_do("CONFIG SET maxmemory-policy allkeys-lru");
	cr_assert_eq(store->ops->verify(store, &e), ERROR_ABORT);
	cr_assert_eq(e.exit_code, EXIT_CONFIG_ERR);
	cr_assert(strstr(e.text, "noeviction") != NULL);
}

#endif

// ---- generations

static void kinds_are(const char *want)
{
	struct store_generations g = { 0 };
	struct error e = { 0 };
	char text[200] = "";
	cr_assert_eq(store->ops->generations(store, 1, &g, &e), ERROR_NONE, "%s", e.text);
	for (uint32_t i = 0; i < g.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%lld:%d ", (long long)g.list[i].number, g.list[i].kind);
	store_generations_free(&g);
	cr_assert_str_eq(text, want);
}

static int64_t total_in(int64_t generation)
{
	store->ops->identity(store, "init1", generation);
	int64_t n = total();
	store->ops->identity(store, "init1", 1);
	return n;
}

static struct commit_result count_one(const char *token, int64_t from)
{
	struct step *s = step_make(token, from, from + 1);
	step_call(s, 5, NULL, false);
	struct commit_result r = step_send(s);
	free(s);
	return r;
}

Test(store, a_copy_is_what_stood_at_one_moment)
{
	struct error e = { 0 };
	claim_as("tok1");
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_DONE);
	cr_assert_eq(store->ops->cut_copy(store, 1, 1, 7, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(count_one("tok1", 1).status, COMMIT_DONE);
	kinds_are("1:0 7:2 ");
	cr_assert_eq(total_in(7), 5);
	cr_assert_eq(total_in(1), 10);
	store->ops->identity(store, "init1", 7); // never written
	cr_assert_eq(count_one("tok1", 1).status, COMMIT_RETIRED);
	store->ops->identity(store, "init1", 1);
	cr_assert_eq(store->ops->drop(store, 1, 7, &e), ERROR_NONE, "%s", e.text);
	kinds_are("1:0 ");
	cr_assert_eq(total_in(7), -1);
	cr_assert_eq(store->ops->drop(store, 1, 1, &e), ERROR_HALT);
}

// The step as it is sent when these keys were listed.
static enum error_class cut_with(const struct store_key *keys, uint32_t n, struct error *e)
{
	struct store_redis *s = redis_of(store);
	redis_fcall(s, "cut", 1 + 2 * (int)n);
	redis_words_key(s, 1, "meta", MONTH_NONE, MONTH_NONE);
	for (uint32_t i = 0; i < n; i++) {
		redis_words_key(s, 1, keys[i].what, keys[i].month, keys[i].adjust_month);
		command_format(&s->command, "t:{s01}:g7:key-%u", i);
	}
	command_text(&s->command, "init1");
	command_text(&s->command, "1");
	command_text(&s->command, "7");
	*e = (struct error){ 0 };
	return redis_call_function(s, NULL, e);
}

static void one_late_call(int64_t from)
{
	struct step *s = step_make("tok1", from, from + 1);
	step_call(s, 2, NULL, false);
	s->delta[0].adjust_month = JAN + 1;
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
}

// Keys are listed before the step that copies them, and a month, a late bucket or a close may come in between: the copy would stand at the offsets
// behind it and not hold it.
Test(store, nothing_is_copied_while_a_key_of_a_month_is_not_listed)
{
	struct error e = { 0 };
	struct span part = SPAN_LIT("t/0");
	struct store_keys k = { 0 };
	claim_as("tok1");
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_DONE);
	cr_assert_eq(store->ops->close_month(store, 1, JAN, 1001, "hash", false, &part, 1, &e), ERROR_NONE, "%s", e.text);
	one_late_call(1);
	cr_assert_eq(store->ops->keys(store, 1, &k, &e), ERROR_NONE, "%s", e.text);
	int of_months = 0;
	for (uint32_t i = 0; i < k.n; i++) {
		struct store_key left_out = k.list[i];
		if (left_out.month == MONTH_NONE)
			continue;
		of_months++;
		k.list[i] = k.list[--k.n];
		cr_expect_eq(cut_with(k.list, k.n, &e), ERROR_RETRY, "%s: %s", left_out.what, e.text);
		cr_expect(strstr(e.text, left_out.what) != NULL, "%s", e.text);
		k.list[k.n++] = k.list[i];
		k.list[i] = left_out;
	}
	cr_assert_eq(of_months, 5); // use, fired, late, set, frz
	kinds_are("1:0 ");
	cr_assert_eq(cut_with(k.list, k.n, &e), ERROR_NONE, "%s", e.text);
	kinds_are("1:0 7:2 ");
	store_keys_free(&k);
}

// A shard that goes back while a generation is put back has nothing of it: who puts it back is told to do so again.
Test(store, a_shard_that_went_back_gets_no_half_of_a_generation)
{
	struct error e = { 0 };
	struct span word[] = { SPAN_LIT("m:2020-01"), SPAN_LIT("1") };
	store->ops->identity(store, "init1", 2);
	cr_assert_eq(store->ops->restore(store, 1, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->put_marks(store, 1, word, 2, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->drop(store, 1, 2, &e), ERROR_NONE, "%s", e.text); // as it was before
	cr_expect_eq(store->ops->put_marks(store, 1, word, 2, &e), ERROR_RETRY, "%s", e.text);
	e = (struct error){ 0 };
	cr_expect_eq(store->ops->restored(store, 1, true, &e), ERROR_RETRY, "%s", e.text);
	store->ops->identity(store, "init1", 1);
	kinds_are("1:0 ");
	e = (struct error){ 0 };
	cr_expect_eq(store->ops->restored(store, 1, true, &e), ERROR_ABORT, "one that is whole: %s", e.text);
}

// Half of a generation is no copy of it: a checkpoint of counters without their offsets would have the calls counted once more.
Test(store, a_generation_that_is_being_put_back_is_not_copied)
{
	struct error e = { 0 };
	store->ops->identity(store, "init1", 2);
	cr_assert_eq(store->ops->restore(store, 1, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(store->ops->cut_copy(store, 1, 2, 7, &e), ERROR_ABORT, "%s", e.text);
	cr_expect(strstr(e.text, "not whole") != NULL, "%s", e.text);
	e = (struct error){ 0 };
	cr_assert_eq(store->ops->restored(store, 1, false, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(store->ops->cut_copy(store, 1, 2, 7, &e), ERROR_NONE, "%s", e.text);
}

// A pack begins in a month in which the shard counts nothing: that its alert is out is noted there too, and belongs to the generation. A
// number is given again; what an earlier generation of it had left would hide the alert.
Test(store, a_generation_takes_the_mark_of_a_pack_along)
{
	struct error e = { 0 };
	uint32_t packs[] = { 0 };
	int64_t calls[] = { 4 };
	struct allowance_service service = { "image-tag", 0, 0, -1, 1, packs, calls };
	struct allowance_month months[] = { { JAN - 1, 1, 0, &service, NULL }, { JAN, 1, 0, &service, NULL } };
	struct allowance_pack pack = { SPAN_LIT("p-1"), 4 };
	struct allowance_rung rung = { QUANTITY_PACK, 0, 0, 4, 4, ALERT_PACK_EXHAUSTED, "image-tag", SPAN_LIT("p-1"), SPAN_LIT("p-1/1"), false };
	struct allowance a = { { .rules_version = 1 }, 2, 1, 1, months, &pack, &rung };
	struct store_key home = { "fired", JAN - 1, MONTH_NONE };
	claim_as("tok1");
	for (int round = 0; round < 2; round++) {
		struct store_keys keys = { 0 };
		struct step *s = step_make("tok1", 0, 1);
		step_call(s, 5, NULL, true);
		struct entry_call call = { .ref = &s->call[0], .month = 1 };
		struct entry_delta delta = { 1, 0, 5 };
		struct commit_entry entry = { .account = SPAN_LIT("a"), .allowance = &a, .with_calls = true, .n_deltas = 1, .n_calls = 1,
					      .deltas = &delta, .first_call = &call };
		s->c.entries = &entry;
		s->c.n_entries = 1;
		cr_assert_eq(store->ops->begin(store, 1, 2, &e), ERROR_NONE, "%s", e.text);
		store->ops->identity(store, "init1", 2);
		claim_as("tok1");
		struct commit_result r = step_send(s);
		cr_assert(r.status == COMMIT_DONE && r.alerts == 1, "round %d: %d alerts; %s", round, (int)r.alerts, r.text);
		cr_assert_eq(store->ops->keys(store, 1, &keys, &e), ERROR_NONE, "%s", e.text);
		int found = 0;
		for (uint32_t i = 0; i < keys.n; i++)
			found += strcmp(keys.list[i].what, home.what) == 0 && keys.list[i].month == home.month;
		cr_expect_eq(found, 1);
		store_keys_free(&keys);
		store->ops->identity(store, "init1", 1);
		cr_assert_eq(store->ops->drop(store, 1, 2, &e), ERROR_NONE, "%s", e.text);
		free(s);
	}
}

Test(store, a_generation_comes_into_force_and_a_late_decision_does_not_undo_it)
{
	struct error e = { 0 };
	claim_as("tok1");
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_DONE);
	cr_assert_eq(store->ops->begin(store, 1, 2, &e), ERROR_NONE, "%s", e.text);
	kinds_are("1:0 2:1 ");
	store->ops->identity(store, "init1", 2);
	claim_as("tok2");
	cr_assert_eq(count_one("tok2", 0).status, COMMIT_DONE); // written while it is made
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_NONE, "%s", e.text);
	kinds_are("1:3 2:0 ");
	store->ops->identity(store, "init1", 1);
	cr_assert_eq(count_one("tok1", 1).status, COMMIT_RETIRED);
	cr_assert_eq(store->ops->adopt(store, 1, 39, &e), ERROR_RETRY); // the control topic was read before it said 2
	kinds_are("1:3 2:0 ");
	bool foreign = false;
	struct store_claim c = { .name = SPAN_LIT("t/0"), .start = { 0, TIME_NONE, -1, 0 } };
	cr_assert_eq(store->ops->renew(store, 1, SPAN_LIT("tok1"), SPAN_LIT("tok3"), &c, 1, &foreign, &e), ERROR_NONE);
	cr_assert(foreign); // an idle worker notices it by this
	cr_assert_eq(store->ops->adopt(store, 1, 41, &e), ERROR_NONE, "%s", e.text); // back
	kinds_are("1:0 2:3 ");
	cr_assert_eq(count_one("tok1", 1).status, COMMIT_DONE);
}

Test(store, one_at_a_time_works_on_generations)
{
	struct error e = { 0 };
	char *other = NULL;
	cr_assert_eq(store->ops->lease(store, LEASE_GENERATIONS, "me", 60000, &other, &e), ERROR_NONE);
	cr_assert_null(other);
	cr_assert_eq(store->ops->lease(store, LEASE_GENERATIONS, "me", 60000, &other, &e), ERROR_NONE);
	cr_assert_null(other);
	cr_assert_eq(store->ops->lease(store, LEASE_GENERATIONS, "you", 60000, &other, &e), ERROR_NONE);
	cr_assert_str_eq(other, "me");
	free(other);
}

Test(store, who_makes_a_generation_writes_nothing_once_it_is_in_force)
{
	struct error e = { 0 };
	struct span id = SPAN_LIT("1-1"), identity = SPAN_LIT("alert\na\ns\n2020-01\nk\n1\n");
	claim_as("tok1");
	cr_assert_eq(store->ops->begin(store, 1, 2, &e), ERROR_NONE, "%s", e.text);
	store->ops->identity(store, "init1!", 2);
	claim_as("tok2");
	cr_assert_eq(count_one("tok2", 0).status, COMMIT_DONE);
	cr_assert_eq(store->ops->outbox_ack(store, 1, &id, &identity, 1, &e), ERROR_NONE, "%s", e.text);
	store->ops->identity(store, "init1", 2);
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_NONE, "%s", e.text);
	store->ops->identity(store, "init1!", 2);
	cr_assert_eq(count_one("tok2", 1).status, COMMIT_RETIRED);
	cr_assert_eq(store->ops->outbox_ack(store, 1, &id, &identity, 1, &e), ERROR_RETRY);
	store->ops->identity(store, "init1", 2);
	cr_assert_eq(count_one("tok2", 1).status, COMMIT_DONE);
}

// A shard went back to when the generation was being put back: of that nothing is in force, and nothing is lost.
Test(store, who_makes_a_generation_is_not_told_that_counters_are_lost)
{
	struct error e = { 0 };
	claim_as("tok1");
	store->ops->identity(store, "init1", 2);
	cr_assert_eq(store->ops->restore(store, 1, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_LOST);
	store->ops->identity(store, "init1!", 2);
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_RETIRED);
}

Test(store, a_shard_older_than_the_decision_says_so)
{
	struct error e = { 0 };
	struct store_state st = { 0 };
	store->ops->identity(store, "init1", 2);
	cr_assert_eq(store->ops->state(store, 1, &st, &e), ERROR_NONE, "%s", e.text);
	cr_assert(st.exists && st.lacks_generation);
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_ABORT);
	cr_assert_eq(store->ops->create(store, 1, "init1", &e), ERROR_NONE, "%s", e.text); // made again from the log
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_NONE, "%s", e.text);
	kinds_are("1:3 2:0 ");
}

// ---- looks: alerts that a change made due

static struct ladder *ladder_at(int64_t bound, int64_t change_ms)
{
	struct ladder *l = xcalloc(1, sizeof(*l));
	*l = (struct ladder){ .origin = { .rules_version = 1, .cause = SPAN_LIT("a change"), .cause_ms = change_ms }, .n = 1,
			      .rungs = xcalloc(1, sizeof(*l->rungs)) };
	l->rungs[0] = (struct rung){ bound, bound, ALERT_QUOTA_EXHAUSTED, -1 };
	return l;
}

// Changes at record clocks 1, 2, 3, ...: each with a ladder of one rung at the bound.
struct changes {
	int n;
	struct ladder *ladder[4];
	struct look_row row[4];
	struct look_month month[4];
	struct look_terms terms[4];
	const struct look_terms *list[4];
};

static void changes_make(struct changes *c, int n, const int64_t *bounds)
{
	c->n = n;
	for (int i = 0; i < n; i++) {
		c->ladder[i] = ladder_at(bounds[i], 1010 + i);
		c->row[i] = (struct look_row){ tag_service, c->ladder[i], NULL };
		c->month[i] = (struct look_month){ JAN, 1, &c->row[i] };
		c->terms[i] = (struct look_terms){ .change_ms = 1010 + i, .n_months = 1, .months = &c->month[i] };
		c->list[i] = &c->terms[i];
	}
}

static void changes_free(struct changes *c)
{
	for (int i = 0; i < c->n; i++)
		ladder_freep(&c->ladder[i]);
}

// The worker: calls behind the first `upto` changes, of which it knows nothing; asked for looks it brings those that are asked for.
static struct commit_result worker_behind(struct changes *c, int upto, int64_t from, int64_t calls, int *ret_asked)
{
	struct step *s = step_make("tok", from, from + 1);
	struct commit_account account = { .account = SPAN_LIT("a"), .change_ms = upto > 0 ? c->terms[upto - 1].change_ms : 0 };
	step_call(s, calls, upto > 0 ? c->ladder[upto - 1] : NULL, true);
	s->c.accounts = &account;
	s->c.n_accounts = upto > 0;
	struct commit_result r = step_send(s);
	*ret_asked = 0;
	if (r.status == COMMIT_NEEDLOOK) {
		cr_assert(account.behind);
		int first = 0;
		while (first < upto && c->terms[first].change_ms <= account.since_ms)
			first++;
		account.looks = &c->list[first];
		account.n_looks = (uint32_t)(*ret_asked = upto - first);
		r = step_send(s);
	}
	free(s);
	return r;
}

static struct commit_result closer_look(struct changes *c, int upto, const char *before, const char *after)
{
	struct commit_account account = { .account = SPAN_LIT("a"), .change_ms = c->terms[upto - 1].change_ms, .since_ms = INT64_MIN,
					  .n_looks = (uint32_t)upto, .looks = c->list };
	struct span part = SPAN_LIT("t/0");
	struct commit_pass pass = { before, after, account.change_ms, 1, &part };
	struct step s = { .c = { .shard = 1, .rules_version = 1, .catalog = catalog, .accounts = &account, .n_accounts = 1, .pass = &pass } };
	return step_send(&s);
}

// Nothing is muted: what the generation before had not published goes out with the one that is in force, and bears that it is nobody's word any more.
Test(store, what_a_generation_had_not_published_comes_with_the_next)
{
	struct error e = { 0 };
	struct changes c;
	int asked;
	changes_make(&c, 1, (int64_t[]){ 2 });
	claim_as("tok");
	cr_assert_eq(worker_behind(&c, 1, 0, 3, &asked).status, COMMIT_DONE);
	cr_assert_eq(outbox().n, 1);
	cr_assert_eq(store->ops->begin(store, 1, 2, &e), ERROR_NONE, "%s", e.text);
	store->ops->identity(store, "init1", 2);
	cr_assert(!outbox_waiting(1));
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_NONE, "%s", e.text);
	struct seen s = outbox();
	cr_assert_eq(s.n, 1);
	cr_expect(s.entry[0].given_up);
	cr_expect_str_eq(s.identity[0], "alert\na\nimage-tag\n2020-01\nfree_quota.exhausted\n2\n");
	cr_assert_eq(store->ops->adopt(store, 1, 40, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(outbox().n, 1, "once");
	changes_free(&c);
}

// Two changes lie in one backlog: both are looked at as the counter stood, before the calls behind them count. 9 calls; the change to 8
// makes an alert due, the one to 12 none, though 5 calls more come with the record that brought both.
Test(store, a_call_behind_two_changes_looks_at_both_first)
{
	struct changes c;
	int asked;
	changes_make(&c, 2, (int64_t[]){ 8, 12 });
	claim_as("tok");
	cr_assert_eq(worker_behind(&c, 0, 0, 9, &asked).status, COMMIT_DONE);
	struct commit_result r = worker_behind(&c, 2, 1, 5, &asked);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_eq(asked, 2);
	cr_assert_eq(total(), 14);
	struct seen s = outbox();
	cr_assert_eq(s.n, 2);
	cr_assert_str_eq(s.identity[0], "alert\na\nimage-tag\n2020-01\nfree_quota.exhausted\n8\n");
	cr_assert(s.entry[0].cause.p != NULL && s.entry[0].time_ms == 1010 && s.entry[0].before == 9 && s.entry[0].after == 9);
	cr_assert(s.entry[1].cause.p == NULL && s.entry[1].before == 9 && s.entry[1].after == 14, "12 is reached by a call");
	cr_assert_eq(worker_behind(&c, 2, 2, 1, &asked).status, COMMIT_DONE);
	cr_assert_eq(asked, 0, "once");
	changes_free(&c);
}

// Of an account whose calls lie in two partitions: one is behind the change to 11, the other brings five calls from before it, weighed by what held then.
// They carry the counter over 11, and the next look finds it there.
Test(store, calls_from_before_a_change_that_was_looked_at_are_looked_at)
{
	struct changes c;
	int asked;
	struct commit_account before = { .account = SPAN_LIT("a"), .change_ms = COMMIT_CHANGE_NONE };
	changes_make(&c, 1, (int64_t[]){ 11 });
	claim_as("tok");
	cr_assert_eq(worker_behind(&c, 0, 0, 8, &asked).status, COMMIT_DONE);
	cr_assert_eq(worker_behind(&c, 1, 1, 1, &asked).status, COMMIT_DONE);
	cr_assert_eq(asked, 1);
	struct step *s = step_make("tok", 2, 3);
	step_call(s, 5, NULL, false);
	s->c.accounts = &before;
	s->c.n_accounts = 1;
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
	cr_assert_eq(outbox().n, 0);
	cr_assert_eq(worker_behind(&c, 1, 3, 1, &asked).status, COMMIT_DONE);
	cr_assert_eq(asked, 1);
	struct seen x = outbox();
	cr_assert_eq(x.n, 1);
	cr_assert(x.entry[0].cause.p != NULL && x.entry[0].time_ms == 1010 && x.entry[0].before == 14);
	changes_free(&c);
}

// A worker that starts again knows nothing of what was looked at: the shard does. The change to 11 took effect before 9 became 14.
Test(store, a_worker_that_starts_again_looks_at_no_change_twice)
{
	struct changes c;
	int asked;
	changes_make(&c, 2, (int64_t[]){ 20, 11 });
	claim_as("tok");
	cr_assert_eq(worker_behind(&c, 2, 0, 9, &asked).status, COMMIT_DONE);
	cr_assert_eq(asked, 0, "an account without counters has none to look at");
	c.ladder[1]->rungs[0].at = 10; // as if a change that was passed were seen with what came after it
	cr_assert_eq(worker_behind(&c, 2, 1, 0 + 1, &asked).status, COMMIT_DONE);
	cr_assert_eq(asked, 0);
	cr_assert_eq(outbox().n, 1, "by the call");
	cr_assert(outbox().entry[0].cause.p == NULL);
	changes_free(&c);
}

// Whoever is first: the closer finds what the worker would have found, and after the worker nothing.
Test(store, worker_and_closer_find_the_same)
{
	for (int first = 0; first < 2; first++) {
		struct changes c;
		int asked;
		changes_make(&c, 1, (int64_t[]){ 8 });
		claim_as("tok");
		cr_assert_eq(worker_behind(&c, 0, 0, 9, &asked).status, COMMIT_DONE);
		struct commit_result early = closer_look(&c, 1, NULL, "m.0");
		cr_assert_eq(early.status, COMMIT_ROLLBACK, "the partition's clock (1001) has not reached the change (1010)");
		struct step *s = step_make("tok", 1, 10); // other accounts' records bring the clock to it
		cr_assert_eq(step_send(s).status, COMMIT_DONE);
		free(s);
		for (int who = 0; who < 2; who++) {
			struct commit_result r = (who == first) ? closer_look(&c, 1, NULL, "m.1") : worker_behind(&c, 1, 10, 4, &asked);
			cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
			cr_assert_eq(r.alerts, who == 0);
		}
		struct seen x = outbox();
		cr_assert_eq(x.n, 1);
		cr_assert(x.entry[0].cause.p != NULL && x.entry[0].time_ms == 1010 && x.entry[0].before == 9);
		changes_free(&c);
		if (first == 0) {
			teardown();
			setup();
		}
	}
}

// A shard that went back between two commits of a pass has lost looks: the pass is refused, and so is its end.
Test(store, a_pass_over_a_shard_that_went_back_is_refused)
{
	struct changes c;
	struct error e = { 0 };
	int64_t looked = 0;
	changes_make(&c, 1, (int64_t[]){ 8 });
	claim_as("tok");
	struct step *s = step_make("tok", 0, 10);
	cr_assert_eq(step_send(s).status, COMMIT_DONE);
	free(s);
	cr_assert_eq(closer_look(&c, 1, NULL, "m.1").status, COMMIT_DONE);
	cr_assert_eq(closer_look(&c, 1, "m.1", "m.2").status, COMMIT_DONE);
	cr_assert_eq(closer_look(&c, 1, "m.1", "m.3").status, COMMIT_ROLLBACK);
	cr_assert_eq(store->ops->looked_set(store, 1, "m.1", 1010, &e), ERROR_RETRY, "%s", e.text);
	cr_assert_eq(store->ops->looked(store, 1, &looked, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(looked, INT64_MIN);
	cr_assert_eq(store->ops->looked_set(store, 1, "m.2", 1010, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->looked(store, 1, &looked, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(looked, 1010);
	changes_free(&c);
}

// As contracts make them: more ladders than a byte tells apart, and each delta is held against its own; of totals small and large.
Test(store, each_of_many_deltas_has_its_own_ladder)
{
	enum { N = 300 };
	static struct rung rungs[N];
	static struct ladder ladders[N];
	static struct call_ref calls[N];
	static struct commit_delta deltas[N];
	static char names[N][16];
	claim_as("tok1");
	struct step *s = step_make("tok1", 0, N);
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "a%03d", i);
		rungs[i] = (struct rung){ 9990 + i, 9990 + i, ALERT_QUOTA_EXHAUSTED, -1 };
		ladders[i] = (struct ladder){ .n = 1, .rungs = &rungs[i] };
		int64_t below = i == 3 || i == 298 ? 0 : 1; // two of them reach theirs
		calls[i] = (struct call_ref){ .offset = i, .time_ms = 1577900000000, .timestamp_ms = 5, .calls = 9990 + i - below, .id = SPAN_LIT("id") };
		deltas[i] = (struct commit_delta){ .account = span_of(names[i]), .service = tag_service, .month = JAN, .adjust_month = MONTH_NONE,
			.ladder = &ladders[i], .activates = i % 2 == 0, .first_call = &calls[i], .n_calls = 1, .calls = calls[i].calls, .with_calls = true };
	}
	s->c.deltas = deltas;
	s->c.n_deltas = N;
	s->part.outcomes[OUTCOME_COUNTED] = N;
	struct commit_result r = step_send(s);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	struct seen seen = outbox();
	cr_assert_eq(seen.n, 2);
	cr_expect_str_eq(seen.identity[0], "alert\na003\nimage-tag\n2020-01\nfree_quota.exhausted\n9993\n");
	cr_expect_str_eq(seen.identity[1], "alert\na298\nimage-tag\n2020-01\nfree_quota.exhausted\n10288\n");
	for (int again = 0; again < 2; again++) { // small totals are known by then, and read back
		for (int i = 0; i < N; i++)
			cr_assert_eq(deltas[i].total, calls[i].calls + again);
		s->part.from = N + again;
		s->part.to = (struct position){ N + again + 1, 2000, N + again, 7 };
		s->part.consumed = 1;
		for (int i = 0; i < N; i++) {
			deltas[i].calls = 1;
			deltas[i].with_calls = again == 0;
			deltas[i].ladder = NULL;
		}
		r = step_send(s);
		cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	}
	free(s);
}

// A shard that goes back may hold again what was dropped a moment ago: whoever makes a generation tries once more.
Test(store, a_copy_that_came_back_under_a_number_is_met_again)
{
	struct error e = { 0 };
	claim_as("tok1");
	cr_assert_eq(store->ops->cut_copy(store, 1, 1, 7, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->begin(store, 1, 7, &e), ERROR_RETRY, "%s", e.text);
	cr_assert_eq(store->ops->drop(store, 1, 7, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->begin(store, 1, 7, &e), ERROR_NONE, "%s", e.text);
}

#ifndef REDIS_TWIN
// ---- versions beside one another

static void state_refused(const char *schema, int code)
{
	struct error e = { 0 };
	struct store_state state;
	cr_assert_eq(store->ops->state(store, 1, &state, &e), ERROR_ABORT, "schema %s", schema);
	cr_assert_eq(e.exit_code, code);
	cr_assert(strstr(e.text, "schema") != NULL && strstr(e.text, schema) != NULL, "%s", e.text);
}

// A newer version has taken the shard over while this one runs: each of its steps is refused, and nothing of the shard changes.
Test(store, a_shard_of_another_schema_is_not_written)
{
	struct error e = { 0 };
	struct store_claim c = { .name = SPAN_LIT("t/0") };
	claim_as("tok1");
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_DONE);
	redis_do("HSET t:{s01}:meta schema 9");
	cr_assert_eq(count_one("tok1", 1).status, COMMIT_RETIRED);
	cr_assert_eq(store->ops->claim(store, 1, SPAN_LIT("tok2"), &c, 1, &e), ERROR_ABORT, "%s", e.text);
	cr_assert_eq(store->ops->register_rules(store, 1, 2, &e), ERROR_ABORT, "%s", e.text);
	cr_assert_eq(store->ops->begin(store, 1, 2, &e), ERROR_ABORT, "%s", e.text);
	cr_assert_eq(store->ops->cut_copy(store, 1, 1, 7, &e), ERROR_ABORT, "%s", e.text);
	cr_assert_eq(store->ops->adopt(store, 1, 1, &e), ERROR_ABORT, "%s", e.text);
	cr_assert_eq(store->ops->drop(store, 1, 7, &e), ERROR_ABORT, "%s", e.text);
	cr_assert_eq(total(), 5);
	cr_assert_eq(store->ops->verify(store, &e), ERROR_NONE, "%s", e.text); // nor is it brought down to what this one knows
	state_refused("9", EXIT_CONFIG_ERR);
}

// Whoever reads does not take for a state of its own what an earlier version left; the start of the daemon brings it up.
Test(store, a_shard_of_an_earlier_schema_is_brought_up_at_the_start)
{
	struct error e = { 0 };
	struct store_state state;
	claim_as("tok1");
	redis_do("HSET t:{s01}:meta schema 2");
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_RETIRED);
	state_refused("2", EXIT_LATER);
	cr_assert_eq(store->ops->verify(store, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->state(store, 1, &state, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(count_one("tok1", 0).status, COMMIT_DONE);
}

// What the first versions do when their functions are gone: they load them, hear that there is such a library, and compare its text.
Test(store, the_first_versions_find_that_another_library_has_their_name)
{
	char command[300];
	snprintf(command, sizeof(command), "redis-cli -s %s/s FCALL meterd_1_commit 0 2>&1 | grep -q 'Function not found'", dir);
	cr_assert_eq(system(command), 0);
	snprintf(command, sizeof(command),
		 "printf '#!lua name=meterd_1\\nredis.register_function(\"meterd_1_commit\", function() end)' | redis-cli -s %s/s -x FUNCTION LOAD 2>&1 | "
		 "grep -q 'already exists'", dir);
	cr_assert_eq(system(command), 0);
	redis_do("FUNCTION FLUSH"); // comes again with the next start
	struct error e = { 0 };
	cr_assert_eq(store->ops->verify(store, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(system(command), 0);
}
#endif
