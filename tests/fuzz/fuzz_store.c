// SPDX-License-Identifier: Apache-2.0
// Replies of Redis into the store. The first byte says which call is made; the rest is what the server answers, to this call and to
// those that follow from it, and then the connection ends. Redis is trusted with the counters, not with the form of its answers:
// whatever comes, the call ends with an error or with what its header promises, and each commit has exactly one fate.
// most: 2048
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "fuzz.h"
#include "store/redis.h"

static const struct span accounts[] = { { "100001", 6 }, { "100002", 6 }, { "100003", 6 } };
enum { MONTH = 2020 * 12 };

static bool see_entry(void *ctx, uint32_t shard, const struct outbox_entry *x)
{
	(void)ctx;
	fuzz_check(shard == 1 && x->identity.p != NULL && x->stream_id.p != NULL);
	if (x->type == OUTBOX_ALERT)
		fuzz_check(x->cause.p != NULL || (x->part.p != NULL && x->event_id.p != NULL)); // a change's has no call
	else
		fuzz_check(x->document.p != NULL);
	return true;
}

static bool see_field(void *ctx, struct span field, struct span value)
{
	(void)ctx;
	fuzz_check(field.p != NULL && value.p != NULL);
	return true;
}

static enum error_class call_state(struct store *s, struct error *e)
{
	struct store_state state = { .generation = -1 };
	enum error_class c = s->ops->state(s, 1, &state, e);
	if (c == ERROR_NONE && state.exists)
		fuzz_check(state.init_id[0] != '\0' && state.shards >= 1 && state.generation >= 1 && state.rules_version >= 0);
	return c;
}

static enum error_class call_claim(struct store *s, bool renew, struct error *e)
{
	struct store_claim claims[] = { { .name = SPAN_LIT("a/0"), .start = { 7, TIME_NONE, -1, 0 }, .at = { .next = -1 } },
					{ .name = SPAN_LIT("a/1"), .start = { 0, 5, -1, 0 }, .at = { .next = -1 } } };
	bool foreign = false;
	enum error_class c = renew ? s->ops->renew(s, 1, SPAN_LIT("t1"), SPAN_LIT("t2"), claims, 2, &foreign, e)
				   : s->ops->claim(s, 1, SPAN_LIT("t"), claims, 2, e);
	if (c == ERROR_NONE && !foreign)
		fuzz_check(claims[0].at.next >= 0 && claims[1].at.next >= 0);
	return c;
}

static enum error_class call_lists(struct store *s, uint8_t which, struct error *e)
{
	if (which == 0) {
		struct store_positions p = { 0 };
		enum error_class c = s->ops->positions(s, 1, &p, e);
		for (uint32_t i = 0; i < p.n; i++)
			fuzz_check(p.list[i].name != NULL && p.list[i].at.next >= 0);
		store_positions_free(&p);
		return c;
	}
	struct store_months m = { 0 };
	enum error_class c = s->ops->months(s, 1, &m, e);
	for (uint32_t i = 0; i < m.n; i++)
		fuzz_check(m.list[i].month >= MONTH_FIRST && m.list[i].month <= MONTH_LAST && m.list[i].adjust_month <= MONTH_LAST);
	store_months_free(&m);
	return c;
}

static enum error_class call_active(struct store *s, struct error *e)
{
	int since[] = { -7, -7, -7 };
	enum error_class c = s->ops->active_since(s, 1, accounts, 3, MONTH, since, e);
	for (int i = 0; c == ERROR_NONE && i < 3; i++)
		fuzz_check(since[i] == MONTH_NONE || (since[i] >= MONTH_FIRST && since[i] <= MONTH));
	return c;
}

static enum error_class call_settle(struct store *s, struct error *e)
{
	struct store_line line = { SPAN_LIT("image-tag"), 5, 0, 1, SPAN_LIT("f"), SPAN_LIT("i"), SPAN_LIT("{}") };
	struct store_statement t = { .account = accounts[0], .n_lines = 1, .lines = &line, .packs = SPAN_LIT("2020-01"), .facts = SPAN_LIT("f"),
				     .identity = SPAN_LIT("i"), .document = SPAN_LIT("{}"), .not_before_ms = TIME_NONE };
	return s->ops->settle(s, 1, MONTH, &t, 1, e);
}

static enum error_class call_number(struct store *s, uint8_t which, struct error *e)
{
	int64_t n = -7;
	bool done = false;
	enum error_class c;
	switch (which) {
	case 0: c = s->ops->mark(s, SPAN_LIT("a/0"), 65536, &n, e); break;
	case 1: c = s->ops->outbox_length(s, 1, &n, e); fuzz_check(c != ERROR_NONE || n >= 0); break;
	case 2: c = s->ops->cut(s, 1, MONTH, SPAN_LIT("a/0"), &n, e); fuzz_check(c != ERROR_NONE || n >= -1); break;
	case 3: c = s->ops->counter(s, 1, MONTH, accounts[0], SPAN_LIT("image-tag"), &n, e); fuzz_check(c != ERROR_NONE || n >= -1); break;
	default: c = s->ops->finished(s, 1, MONTH, &done, e); break;
	}
	return c;
}

static enum error_class call_peek(struct store *s, struct error *e)
{
	CLEANUP(freep) char *text = NULL;
	return s->ops->request_peek(s, &text, e);
}

static enum error_class call_other(struct store *s, uint8_t which, struct error *e)
{
	const char *sha = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const struct span id = SPAN_LIT("1-1"), part = SPAN_LIT("a/0");
	switch (which) {
	case 0: return s->ops->create(s, 1, "init", e);
	case 1: return s->ops->register_rules(s, 1, 2, e);
	case 2: return s->ops->outbox_read(s, 1, 100, see_entry, NULL, e);
	case 3: return s->ops->outbox_ack(s, 1, &id, &id, 1, e);
	case 4: return s->ops->close_month(s, 1, MONTH, 5, sha, true, &part, 1, e);
	case 5: return s->ops->scan_counters(s, 1, MONTH, MONTH_NONE, see_field, NULL, e);
	case 6: return s->ops->scan_ledger(s, 1, see_field, NULL, e);
	case 7: return s->ops->finish(s, 1, MONTH, &(struct store_held){ .counters = 1, .freezes = 2, .statements = 3 }, e);
	case 8: return s->ops->end_run(s, MONTH, id, id, 7, e);
	case 9: return s->ops->request_put(s, id, e);
	case 10: return s->ops->request_drop(s, id, e);
	default: return s->ops->verify(s, e);
	}
}

static const struct catalog *book(void)
{
	static struct catalog *c;
	struct faults faults = { 0 };
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	if (c == NULL && file_read(SOURCE_DIR "/config/catalog.yaml", 1 << 20, &text, &n, NULL) == ERROR_NONE)
		c = catalog_parse("catalog.yaml", (struct span){ text, n }, &faults);
	fuzz_check(c != NULL);
	return c;
}

// Two commits on the wire; then the answers come, and the connection ends.
static void commits(struct store_redis *s, int peer, struct span answers)
{
	struct commit_delta deltas[2][3];
	struct commit_part parts[2];
	struct commit commit[2];
	for (uint32_t i = 0; i < 2; i++) {
		for (uint32_t k = 0; k < 3; k++)
			deltas[i][k] = (struct commit_delta){ .account = accounts[k], .month = MONTH + (int)(k & 1), .adjust_month = MONTH_NONE,
				.calls = 1 + k, .total = INT64_MIN };
		parts[i] = (struct commit_part){ .name = SPAN_LIT("a/0"), .token = SPAN_LIT("t"), .from = i, .to = { i + 1, 5, i, 0 }, .consumed = 1 };
		commit[i] = (struct commit){ .shard = 1, .rules_version = 1, .catalog = book(), .n_parts = 1, .n_deltas = 3, .parts = &parts[i],
			.deltas = deltas[i], .tag = i };
		redis_commit_send(&s->port, &commit[i]);
	}
	if (s->c != NULL && answers.n > 0)
		redisReaderFeed(s->c->reader, answers.p, answers.n);
	bool closed = false;
	for (uint64_t i = 0; i < 2; i++) {
		struct commit_result r;
		if (!redis_commit_receive(&s->port, 0, &r)) {
			fuzz_check(!closed);
			shutdown(peer, SHUT_RDWR);
			closed = true;
			fuzz_check(redis_commit_receive(&s->port, 0, &r));
		}
		fuzz_check(r.tag == i && r.shard == 1 && (r.status != COMMIT_DONE || r.text[0] == '\0'));
		int marked = 0;
		for (uint32_t k = 0; k < 3; k++) {
			fuzz_check(r.status != COMMIT_DONE || deltas[i][k].total >= deltas[i][k].calls);
			marked += deltas[i][k].with_calls;
		}
		fuzz_check(r.status != COMMIT_NEEDLIST || marked > 0);
	}
	struct commit_result none;
	fuzz_check(!redis_commit_receive(&s->port, 0, &none));
}

static void call_several(struct store *s)
{
	bool waiting[4];
	struct error e = { 0 };
	fuzz_check((s->ops->outbox_waiting(s, waiting, &e) == ERROR_NONE) == (e.text[0] == '\0'));
}

static void call(struct store *s, uint8_t which)
{
	struct error e = { 0 };
	enum error_class c;
	if (which < 12)
		c = call_other(s, which, &e);
	else if (which < 17)
		c = call_number(s, which - 12, &e);
	else if (which < 19)
		c = call_claim(s, which == 18, &e);
	else if (which < 21)
		c = call_lists(s, which - 19, &e);
	else
		c = which == 21 ? call_active(s, &e) : which == 22 ? call_settle(s, &e) : which == 23 ? call_state(s, &e) : call_peek(s, &e);
	fuzz_check((c == ERROR_NONE) == (e.text[0] == '\0'));
}

enum { CALLS = 25, COMMITS = CALLS, SEVERAL };

// hiredis takes memory for as many elements as an array says it has, before any of them came: a fault of its own, and no Redis does
// it. Only so much of it: at most five digits.
static bool huge_array(struct span s)
{
	for (size_t i = 0, digits; i < s.n; i++) {
		for (digits = 0; s.p[i] == '*' && i + 1 + digits < s.n && strchr("+0123456789", s.p[i + 1 + digits]) != NULL; digits++)
			;
		if (digits > 5)
			return true;
	}
	return false;
}

FUZZ(s)
{
	static const struct store_options o = { .url = "unix:///nonexistent/s", .prefix = "t:", .shards = 4, .timeout_ms = 1000 };
	struct store *port = NULL;
	int pair[2];
	if (huge_array(s))
		return;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LVL_ERROR);
	fuzz_check(store_redis_open(&o, &port, NULL) == ERROR_NONE && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	port->ops->identity(port, "init", 1);
	struct store_redis *redis = redis_of(port);
	redis->c = redisConnectFd(pair[0]);
	uint8_t which = fuzz_byte(&s) % (SEVERAL + 1);
	if (which == COMMITS) {
		commits(redis, pair[1], s);
	} else {
		shutdown(pair[1], SHUT_RDWR);
		if (s.n > 0)
			redisReaderFeed(redis->c->reader, s.p, s.n);
		which == SEVERAL ? call_several(port) : call(port, which);
	}
	port->ops->close(port);
	close(pair[1]);
}
