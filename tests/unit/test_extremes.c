// SPDX-License-Identifier: Apache-2.0
// The commit at its limits, on a real Redis: counters at 2^53, ten thousand services that share, an account full of packs.
#include "redis_test.h"

#include "account/account.h"
#include "base/clock.h"

TestSuite(extremes, .init = setup, .fini = teardown);

enum { JAN = 2020 * 12, SHARING = 10000 };
static const int64_t most = INT64_C(9007199254740991); // 2^53 - 1

static redisReply *redis(const char *fmt, ...)
{
	va_list ap;
	redisContext *c = redisConnectUnix(url + strlen("unix://"));
	cr_assert(c != NULL && c->err == 0);
	va_start(ap, fmt);
	redisReply *r = redisvCommand(c, fmt, ap);
	va_end(ap);
	cr_assert(r != NULL && r->type != REDIS_REPLY_ERROR, "%s", r != NULL ? r->str : "no reply");
	redisFree(c);
	return r;
}

static void preset(const char *field, int64_t calls)
{
	freeReplyObject(redis("HSET t:{s01}:g1:use:2020-01 %s %lld", field, (long long)calls));
}

static void expect_stored(const char *field, int64_t calls)
{
	redisReply *r = redis("HGET t:{s01}:g1:use:2020-01 %s", field);
	char want[32];
	snprintf(want, sizeof(want), "%lld", (long long)calls);
	cr_expect(r->type == REDIS_REPLY_STRING && strcmp(r->str, want) == 0, "%s holds %s, not %s", field, r->str, want);
	freeReplyObject(r);
}

static int64_t claimed(void)
{
	struct error e = { 0 };
	struct store_claim c = { .name = SPAN_LIT("t/0"), .start = { 0, TIME_NONE, -1, 0 } };
	cr_assert_eq(store->ops->claim(store, 1, SPAN_LIT("tok"), &c, 1, &e), ERROR_NONE, "%s", e.text);
	return c.at.next;
}

// One event: `n` deltas of one call list each, and at most one entry beside them.
struct step {
	struct commit c;
	struct commit_part part;
	struct commit_delta delta[2];
	struct call_ref call[2];
	struct commit_entry entry;
	struct entry_delta entry_delta;
	struct entry_call entry_call;
};

static void step_begin(struct step *s, int64_t from)
{
	*s = (struct step){ 0 };
	s->part = (struct commit_part){ .name = SPAN_LIT("t/0"), .token = SPAN_LIT("tok"), .from = from, .to = { from + 1, 1000 + from, from, 7 },
					.consumed = 1 };
	s->part.outcomes[OUTCOME_COUNTED] = 1;
	s->c = (struct commit){ .shard = 1, .rules_version = 1, .catalog = catalog, .n_parts = 1, .parts = &s->part, .deltas = s->delta,
				.entries = &s->entry };
}

static void step_delta(struct step *s, const char *account, uint32_t service, int64_t calls)
{
	uint32_t n = s->c.n_deltas++;
	s->call[n] = (struct call_ref){ .offset = s->part.from, .time_ms = 1577900000000, .timestamp_ms = 5, .calls = calls, .id = SPAN_LIT("id") };
	s->delta[n] = (struct commit_delta){ .account = span_of(account), .service = service, .month = JAN, .adjust_month = MONTH_NONE,
					     .calls = calls, .activates = true, .first_call = &s->call[n], .n_calls = 1, .with_calls = true };
}

// The step's first delta also takes from the allowance, as its `service`th service.
static void step_entry(struct step *s, const struct allowance *a, uint32_t service)
{
	s->entry_delta = (struct entry_delta){ 0, service, s->delta[0].calls };
	s->entry_call = (struct entry_call){ NULL, &s->call[0], 0, service };
	s->entry = (struct commit_entry){ .account = s->delta[0].account, .allowance = a, .with_calls = true, .n_deltas = 1,
					  .deltas = &s->entry_delta, .n_calls = 1, .first_call = &s->entry_call };
	s->c.n_entries = 1;
}

static struct commit_result step_send(struct step *s)
{
	struct commit_result r;
	store->ops->commit_send(store, &s->c);
	cr_assert(store->ops->commit_receive(store, 10000, &r));
	return r;
}

struct outbox {
	int n;
	char identity[200];
	int64_t before, after;
};
static bool see(void *ctx, uint32_t shard, const struct outbox_entry *e)
{
	struct outbox *o = ctx;
	(void)shard;
	o->n++;
	snprintf(o->identity, sizeof(o->identity), "%.*s", (int)e->identity.n, e->identity.p);
	o->before = e->before;
	o->after = e->after;
	return true;
}
static struct outbox outbox(void)
{
	struct outbox o = { 0 };
	struct error e = { 0 };
	cr_assert_eq(store->ops->outbox_read(store, 1, 100, see, &o, &e), ERROR_NONE, "%s", e.text);
	return o;
}

// ---- 2^53

// Up to 2^53 - 1 every call counts, and the bound there is crossed by its own call; the next call is refused, and with it all that the
// commit holds: counters and offset stay where they are, so that nothing is lost once someone has looked.
Test(extremes, a_counter_is_exact_up_to_its_limit_and_refused_beyond)
{
	struct rung rung = { most, most, ALERT_TIER_CROSSED, 1 };
	struct ladder ladder = { .n = 1, .rungs = &rung };
	struct step s;
	claimed();
	preset("a/image-tag", most - 2);
	for (int64_t from = 0; from < 2; from++) {
		step_begin(&s, from);
		step_delta(&s, "a", tag_service, 1);
		s.delta[0].ladder = &ladder;
		struct commit_result r = step_send(&s);
		cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
		cr_assert_eq(r.alerts, from == 1);
		expect_stored("a/image-tag", most - 1 + from);
	}
	struct outbox o = outbox();
	cr_assert_eq(o.n, 1);
	cr_assert_str_eq(o.identity, "alert\na\nimage-tag\n2020-01\ntier.crossed\n9007199254740991\n");
	cr_assert(o.before == most - 1 && o.after == most);
	uint32_t other;
	cr_assert(catalog_find_id(catalog, SPAN_LIT("image-crop"), &other));
	preset("a/image-crop", 7);
	step_begin(&s, 2);
	step_delta(&s, "a", other, 5);
	step_delta(&s, "a", tag_service, 1);
	struct commit_result r = step_send(&s);
	cr_assert_eq(r.status, COMMIT_HALT);
	cr_assert_str_eq(r.text, "a/image-tag, 2020-01: 9007199254740991 calls and 1 more pass what a counter holds, 9007199254740991; nothing of the "
			 "commit was counted: look for a producer that sends wrong `calls`");
	expect_stored("a/image-tag", most);
	expect_stored("a/image-crop", 7);
	cr_assert_eq(claimed(), 2);
	// The other events of the log are counted as ever, once the wrong one is out of the way.
	step_begin(&s, 2);
	step_delta(&s, "a", other, 5);
	cr_assert_eq(step_send(&s).status, COMMIT_DONE);
	expect_stored("a/image-crop", 12);
}

Test(extremes, a_counter_that_is_no_number_is_refused)
{
	struct step s;
	claimed();
	freeReplyObject(redis("HSET t:{s01}:g1:use:2020-01 a/image-tag 1x"));
	step_begin(&s, 0);
	step_delta(&s, "a", tag_service, 1);
	struct commit_result r = step_send(&s);
	cr_assert_eq(r.status, COMMIT_HALT);
	cr_assert_str_eq(r.text, "a/image-tag, 2020-01: the counter cannot be read: 1x; look for what else writes to this Redis");
	cr_assert_eq(claimed(), 0);
}

// ---- services that share

Test(extremes, ten_thousand_services_share_free_calls, .timeout = 60)
{
	struct allowance_service *services = xcalloc(SHARING, sizeof(*services));
	char(*ids)[16] = xcalloc(SHARING, sizeof(*ids));
	for (uint32_t i = 0; i < SHARING; i++) {
		snprintf(ids[i], sizeof(ids[i]), "s-%05u", i);
		services[i] = (struct allowance_service){ .id = ids[i], .shared = 0 };
	}
	services[SHARING - 1].id = "image-tag"; // the last one: read in the last piece
	struct allowance_shared shared = { 100, 100 };
	struct allowance_month month = { JAN, SHARING, 1, services, &shared };
	struct allowance_rung rung = { QUANTITY_SHARED, 0, 0, 100, 100, ALERT_QUOTA_EXHAUSTED, "joint", { 0 }, { 0 }, false };
	struct allowance a = { .origin = { .rules_version = 1 }, .n_months = 1, .months = &month, .n_rungs = 1, .rungs = &rung };
	struct step s;
	claimed();
	preset("a/s-00000", 40);
	preset("a/s-08123", 30);
	preset("a/image-tag", 28);
	for (int64_t from = 0; from < 2; from++) {
		step_begin(&s, from);
		step_delta(&s, "a", tag_service, 1);
		step_entry(&s, &a, SHARING - 1);
		struct commit_result r = step_send(&s);
		cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
		cr_assert_eq(r.alerts, from == 1);
	}
	struct outbox o = outbox();
	cr_assert(o.n == 1 && o.before == 99 && o.after == 100, "%d: %ld %ld", o.n, (long)o.before, (long)o.after);
	free(services);
	free(ids);
}

// ---- packs

// A year of months, each covered by all packs; all of them are used up but for the last call.
struct full {
	struct allowance a;
	struct allowance_pack packs[ACCOUNT_PACKS_MOST];
	struct allowance_rung rungs[2 * ACCOUNT_PACKS_MOST];
	struct allowance_service service;
	struct allowance_month months[12];
	uint32_t order[ACCOUNT_PACKS_MOST];
	int64_t calls[ACCOUNT_PACKS_MOST];
	char ids[ACCOUNT_PACKS_MOST][72];
};

static void full_make(struct full *f, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		snprintf(f->ids[i], sizeof(f->ids[i]), "p-%062u", i);
		f->order[i] = i;
		f->calls[i] = 10;
		f->packs[i] = (struct allowance_pack){ span_of(f->ids[i]), 10 };
		for (uint32_t k = 0; k < 2; k++)
			f->rungs[2 * i + k] = (struct allowance_rung){ QUANTITY_PACK, 0, i, 8 + 2 * k, 8 + 2 * k,
				k == 0 ? ALERT_PACK_WARNING : ALERT_PACK_EXHAUSTED, "image-tag", f->packs[i].id, f->packs[i].id, false };
	}
	f->service = (struct allowance_service){ "image-tag", 0, 0, -1, n, f->order, f->calls };
	for (int m = 0; m < 12; m++)
		f->months[m] = (struct allowance_month){ JAN + m, 1, 0, &f->service, NULL };
	f->a = (struct allowance){ .origin = { .rules_version = 1 }, .n_months = 12, .months = f->months, .n_packs = n, .packs = f->packs,
				   .n_rungs = 2 * n, .rungs = f->rungs };
	preset("full/image-tag", (int64_t)n * 10 - 1);
}

// The last call of the last pack is found and told, in a time that Redis can be kept for.
Test(extremes, an_account_full_of_packs, .timeout = 120)
{
	struct full *f = xcalloc(1, sizeof(*f));
	claimed();
	for (uint32_t i = 0, n = 100; n <= ACCOUNT_PACKS_MOST; i++, n *= 10) {
		struct step s;
		char want[200];
		full_make(f, n);
		step_begin(&s, i);
		step_delta(&s, "full", tag_service, 1);
		step_entry(&s, &f->a, 0);
		int64_t began = clock_mono_us();
		struct commit_result r = step_send(&s);
		fprintf(stderr, "commit of an account with %u packs in 12 months: %.3f s\n", n, (double)(clock_mono_us() - began) / 1e6);
		cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
		cr_assert_eq(r.alerts, 1);
		cr_assert_eq(outbox().n, (int)i + 1);
		snprintf(want, sizeof(want), "alert\nfull\nimage-tag\n2020-01\npack.exhausted\n10\np-%062u", n - 1);
		cr_assert_str_eq(outbox().identity, want);
	}
	free(f);
}
