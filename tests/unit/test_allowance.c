// SPDX-License-Identifier: Apache-2.0
// Allowances: the crossing calls that the store finds against a walk call by call with the deduction that bills (rating/deduct.h),
// over random quotas, packs, orders of calls and batches.
#include "redis_test.h"

#include "rating/deduct.h"

TestSuite(allowance, .init = setup, .fini = teardown);

enum { JAN = 2020 * 12, MONTHS = 2, SERVICES = 3, PACKS = 2, RUNGS = 24, EVENTS = 60, ROUNDS = 60 };

static const char *const ids[SERVICES] = { "image-tag", "product-recognition", "product-recognition-wechat" };

static uint64_t seed;
static int64_t draw(int64_t least, int64_t most)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return least + (int64_t)((seed >> 33) % (uint64_t)(most - least + 1));
}

// One random allowance, all of it in one piece of memory.
struct world {
	struct allowance a;
	struct allowance_month months[MONTHS];
	struct allowance_service services[MONTHS][SERVICES];
	uint32_t packs_of[MONTHS][SERVICES][PACKS];
	int64_t calls_of[MONTHS][SERVICES][PACKS];
	struct allowance_shared shared[MONTHS];
	struct allowance_pack packs[PACKS];
	struct allowance_rung rungs[RUNGS];
	int64_t totals[MONTHS][SERVICES];
	char account[16];
};

static void add_rung(struct world *w, enum quantity of, uint32_t month, uint32_t index, int64_t at, enum alert_kind kind, const char *service,
		     struct span pack)
{
	for (uint32_t i = 0; i < w->a.n_rungs; i++) // one identity, one rung
		if (w->rungs[i].of == of && (of == QUANTITY_PACK || w->rungs[i].month == month) && w->rungs[i].index == index && w->rungs[i].kind == kind &&
		    w->rungs[i].bound == at)
			return;
	w->rungs[w->a.n_rungs++] = (struct allowance_rung){ of, month, index, at, at, kind, service, pack, SPAN_LIT("c-1/2"), false };
}

static void make_month(struct world *w, uint32_t m)
{
	bool shares = draw(0, 1) == 1;
	w->shared[m] = (struct allowance_shared){ shares ? draw(1, 30) : 0, 0 };
	w->shared[m].calls_first = w->shared[m].calls;
	for (uint32_t s = 0; s < SERVICES; s++) {
		struct allowance_service *to = &w->services[m][s];
		bool member = shares && draw(0, 1) == 1;
		int64_t quota = member ? 0 : draw(0, 15);
		*to = (struct allowance_service){ ids[s], quota, quota, member ? 0 : -1, 0, w->packs_of[m][s], w->calls_of[m][s] };
		for (uint32_t p = 0; p < PACKS; p++) {
			if (draw(0, 2) == 0)
				continue;
			w->calls_of[m][s][to->n_packs] = w->packs[p].calls;
			w->packs_of[m][s][to->n_packs++] = p;
		}
		add_rung(w, QUANTITY_CALLS, m, s, draw(1, 60), ALERT_QUOTA_EXHAUSTED, ids[s], (struct span){ 0 });
		add_rung(w, QUANTITY_BILLABLE, m, s, draw(1, 40), ALERT_TIER_CROSSED, ids[s], (struct span){ 0 });
	}
	if (shares) {
		add_rung(w, QUANTITY_SHARED, m, 0, w->shared[m].calls, ALERT_QUOTA_EXHAUSTED, "joint", (struct span){ 0 });
		add_rung(w, QUANTITY_SHARED, m, 0, (w->shared[m].calls + 1) / 2, ALERT_QUOTA_WARNING, "joint", (struct span){ 0 });
	}
	w->months[m] = (struct allowance_month){ JAN + (int)m, SERVICES, 1, w->services[m], &w->shared[m] };
}

static void make_world(struct world *w, uint32_t round)
{
	*w = (struct world){ 0 };
	snprintf(w->account, sizeof(w->account), "a%u", round);
	w->packs[0] = (struct allowance_pack){ SPAN_LIT("p-0"), draw(1, 60) };
	w->packs[1] = (struct allowance_pack){ SPAN_LIT("p-1"), draw(1, 60) };
	for (uint32_t m = 0; m < MONTHS; m++)
		make_month(w, m);
	for (uint32_t p = 0; p < PACKS; p++) {
		add_rung(w, QUANTITY_PACK, 0, p, w->packs[p].calls, ALERT_PACK_EXHAUSTED, "p", w->packs[p].id);
		add_rung(w, QUANTITY_PACK, 0, p, (w->packs[p].calls * 8 + 9) / 10, ALERT_PACK_WARNING, "p", w->packs[p].id);
	}
	w->a.origin = (struct ladder_origin){ .rules_version = 1, .cause = SPAN_LIT("a change"), .cause_ms = 77 };
	w->a.n_months = MONTHS;
	w->a.n_packs = PACKS;
	w->a.months = w->months;
	w->a.packs = w->packs;
	w->a.rungs = w->rungs;
}

// Values of all rungs, by billing's own deduction.
static void rung_values(const struct world *w, int64_t ret[RUNGS])
{
	int64_t left[PACKS] = { w->packs[0].calls, w->packs[1].calls }, billable[MONTHS][SERVICES], given[PACKS];
	for (uint32_t m = 0; m < MONTHS; m++) {
		struct deduct_service list[SERVICES];
		int64_t shared = w->shared[m].calls;
		for (uint32_t s = 0; s < SERVICES; s++) {
			const struct allowance_service *from = &w->services[m][s];
			list[s] = (struct deduct_service){ .calls = w->totals[m][s], .quota = from->quota, .shared = from->shared,
							   .n_packs = from->n_packs, .packs = from->packs, .pack_calls = given };
			deduct_month(&list[s], 1, &shared, left);
			billable[m][s] = list[s].billable;
		}
	}
	for (uint32_t i = 0; i < w->a.n_rungs; i++) {
		const struct allowance_rung *r = &w->rungs[i];
		int64_t sum = 0;
		for (uint32_t s = 0; s < SERVICES; s++)
			sum += w->services[r->month][s].shared == 0 ? w->totals[r->month][s] : 0;
		ret[i] = r->of == QUANTITY_CALLS ? w->totals[r->month][r->index] : r->of == QUANTITY_BILLABLE ? billable[r->month][r->index] :
			 r->of == QUANTITY_SHARED ? sum : w->packs[r->index].calls - left[r->index];
	}
}

struct use {
	uint32_t month, service;
	int64_t calls;
};
struct expected {
	int64_t offset, before, after; // after < 0: not reached
	bool found;
};

// Which call reaches each rung.
static void walk(struct world *w, const struct use *events, struct expected want[RUNGS])
{
	int64_t old[RUNGS], now[RUNGS];
	for (uint32_t i = 0; i < RUNGS; i++)
		want[i] = (struct expected){ .after = -1 };
	for (int64_t k = 0; k < EVENTS; k++) {
		rung_values(w, old);
		w->totals[events[k].month][events[k].service] += events[k].calls;
		rung_values(w, now);
		for (uint32_t i = 0; i < w->a.n_rungs; i++) {
			cr_assert_geq(now[i], old[i], "a quantity fell");
			if (old[i] < w->rungs[i].at && now[i] >= w->rungs[i].at)
				want[i] = (struct expected){ k, old[i], now[i], false };
		}
	}
}

struct batch_case {
	struct commit c;
	struct commit_part part;
	struct commit_delta deltas[MONTHS * SERVICES];
	struct call_ref calls[EVENTS];
	struct entry_call entry_calls[EVENTS];
	struct entry_delta entry_deltas[MONTHS * SERVICES];
	struct commit_entry entry;
};

static void batch_event(struct batch_case *b, const struct world *w, const struct use *ev, int64_t offset)
{
	uint32_t n = b->entry.n_calls++, d = 0;
	int month = JAN + (int)ev->month;
	uint32_t service = 0;
	cr_assert(catalog_find_id(catalog, span_of(ids[ev->service]), &service));
	b->calls[n] = (struct call_ref){ .offset = offset, .time_ms = 1577900000000, .timestamp_ms = 5, .calls = ev->calls, .id = SPAN_LIT("id") };
	while (d < b->c.n_deltas && (b->deltas[d].month != month || b->deltas[d].service != service))
		d++;
	if (d == b->c.n_deltas) {
		b->deltas[b->c.n_deltas] = (struct commit_delta){ .account = span_of(w->account), .service = service, .month = month,
								  .adjust_month = MONTH_NONE, .activates = true };
		b->entry_deltas[b->c.n_deltas++] = (struct entry_delta){ ev->month, ev->service, 0 };
	}
	b->deltas[d].calls += ev->calls;
	b->entry_deltas[d].calls += ev->calls;
	b->entry_calls[n] = (struct entry_call){ NULL, &b->calls[n], ev->month, ev->service };
	if (n > 0)
		b->entry_calls[n - 1].next = &b->entry_calls[n];
}

static struct commit_result send(struct commit *c)
{
	struct commit_result r;
	store->ops->commit_send(store, c);
	cr_assert(store->ops->commit_receive(store, 2000, &r));
	return r;
}

static void commit_range(const struct world *w, const struct use *events, int64_t from, int64_t to, const char *name, bool look)
{
	struct batch_case *b = xcalloc(1, sizeof(*b));
	b->part = (struct commit_part){ .name = span_of(name), .token = SPAN_LIT("tok"), .from = from, .to = { to, 1000 + to, to - 1, 7 },
					.consumed = to - from };
	b->part.outcomes[OUTCOME_COUNTED] = to - from;
	b->entry = (struct commit_entry){ .account = span_of(w->account), .allowance = &w->a, .look = look, .with_calls = draw(0, 1) == 1,
					  .deltas = b->entry_deltas, .first_call = &b->entry_calls[0] };
	b->c = (struct commit){ .shard = 1, .rules_version = 1, .catalog = catalog, .n_parts = 1, .parts = &b->part, .deltas = b->deltas,
				.n_entries = 1, .entries = &b->entry };
	for (int64_t k = from; k < to; k++)
		batch_event(b, w, &events[k], k);
	b->entry.n_deltas = b->c.n_deltas;
	struct commit_result r = send(&b->c);
	if (r.status == COMMIT_NEEDLIST) {
		cr_assert(b->entry.with_calls);
		r = send(&b->c);
	}
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_gt(b->entry.slack, 0);
	free(b);
}

struct reading {
	struct world *w;
	struct expected *want;
	uint32_t n;
};

static bool compare_entry(void *ctx, uint32_t shard, const struct outbox_entry *x)
{
	struct reading *r = ctx;
	char identity[200], month[MONTH_TEXT];
	(void)shard;
	for (uint32_t i = 0; i < r->w->a.n_rungs; i++) {
		const struct allowance_rung *g = &r->w->rungs[i];
		for (int m = 0; m < MONTHS; m++) {
			if (g->of != QUANTITY_PACK && g->month != (uint32_t)m)
				continue;
			snprintf(identity, sizeof(identity), "alert\n%s\n%s\n%s\n%s\n%ld\n%.*s", r->w->account, g->service, month_text(JAN + m, month),
				 alert_kind_text(g->kind), g->bound, (int)g->pack.n, g->pack.p != NULL ? g->pack.p : "");
			if (!span_is(x->identity, identity) || r->want[i].found)
				continue;
			const struct expected *e = &r->want[i];
			cr_assert_geq(e->after, 0, "%s: no call reaches it", identity);
			cr_assert_eq(x->offset, e->offset, "%s: call %ld, found %ld", identity, e->offset, x->offset);
			if (g->of == QUANTITY_PACK || g->of == QUANTITY_BILLABLE) {
				cr_assert_eq(x->taken_before, e->before, "%s", identity);
				cr_assert_eq(x->taken_after, e->after, "%s", identity);
			} else {
				cr_assert_eq(x->before, e->before, "%s", identity);
				cr_assert_eq(x->after, e->after, "%s", identity);
			}
			cr_assert(span_is(x->contract, "c-1/2"));
			r->want[i].found = true;
			r->n++;
			return true;
		}
	}
	cr_assert_fail("%.*s is not expected", (int)x->identity.n, x->identity.p);
	return true;
}

static void drop_outbox(void)
{
	redisContext *c = redisConnectUnix(url + strlen("unix://"));
	cr_assert(c != NULL && c->err == 0);
	redisReply *r = redisCommand(c, "DEL t:{s01}:g1:out");
	cr_assert(r != NULL && r->integer <= 1);
	freeReplyObject(r);
	redisFree(c);
}

Test(allowance, the_store_finds_the_calls_that_billing_would_find, .timeout = 120)
{
	struct error e = { 0 };
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct world *w = xcalloc(1, sizeof(*w));
		struct use events[EVENTS];
		struct expected want[RUNGS];
		char name[24];
		seed = round + 1;
		make_world(w, round);
		for (int k = 0; k < EVENTS; k++)
			events[k] = (struct use){ (uint32_t)draw(0, 1), (uint32_t)draw(0, 2), draw(1, 7) };
		walk(w, events, want);
		snprintf(name, sizeof(name), "t/%u", round);
		struct store_claim claim = { .name = span_of(name), .start = { 0, TIME_NONE, -1, 0 } };
		cr_assert_eq(store->ops->claim(store, 1, SPAN_LIT("tok"), &claim, 1, &e), ERROR_NONE, "%s", e.text);
		for (int64_t at = 0, to; at < EVENTS; at = to) {
			to = at + draw(1, 12) < EVENTS ? at + draw(1, 12) : EVENTS;
			if (to <= at || to > EVENTS)
				to = at + 1;
			commit_range(w, events, at, to, name, draw(0, 1) == 1);
		}
		struct reading r = { w, want, 0 };
		uint32_t due = 0;
		for (uint32_t i = 0; i < w->a.n_rungs; i++)
			due += want[i].after >= 0;
		cr_assert_eq(store->ops->outbox_read(store, 1, 1000, compare_entry, &r, &e), ERROR_NONE, "%s", e.text);
		cr_assert_eq(r.n, due, "round %u: %u alerts of %u", round, r.n, due);
		drop_outbox();
		free(w);
	}
}

// ---- packs, without a call
struct list {
	uint32_t n;
	char identity[200];
};

static bool note_entry(void *ctx, uint32_t shard, const struct outbox_entry *x)
{
	struct list *l = ctx;
	(void)shard;
	l->n++;
	snprintf(l->identity, sizeof(l->identity), "%.*s", (int)x->identity.n, x->identity.p);
	return true;
}

static struct list look_only(const struct world *w)
{
	struct commit_entry entry = { .account = span_of(w->account), .allowance = &w->a, .look = true, .slack = -1 };
	struct commit c = { .shard = 1, .rules_version = 1, .catalog = catalog, .entries = &entry, .n_entries = 1 };
	struct list l = { 0 };
	struct error e = { 0 };
	struct commit_result r = send(&c);
	cr_assert_eq(r.status, COMMIT_DONE, "%s", r.text);
	cr_assert_eq(store->ops->outbox_read(store, 1, 1000, note_entry, &l, &e), ERROR_NONE, "%s", e.text);
	return l;
}

static void one_pack(struct world *w, uint32_t round, int64_t calls)
{
	make_world(w, round);
	w->a.n_rungs = 0;
	w->packs[0].calls = calls;
	for (uint32_t m = 0; m < MONTHS; m++) {
		w->packs_of[m][0][0] = 0;
		w->calls_of[m][0][0] = calls;
		w->services[m][0] = (struct allowance_service){ ids[0], 0, 0, -1, 1, w->packs_of[m][0], w->calls_of[m][0] };
	}
	add_rung(w, QUANTITY_PACK, 0, 0, calls, ALERT_PACK_EXHAUSTED, "p", w->packs[0].id);
}

// A call of the second month uses the pack up; who then looks at the first month alone has nothing to tell.
Test(allowance, a_pack_that_a_call_used_up_is_not_told_again_by_a_shorter_look)
{
	CLEANUP(freep) struct world *w = xcalloc(1, sizeof(*w));
	struct store_claim claim = { .name = SPAN_LIT("t/900"), .start = { 0, TIME_NONE, -1, 0 } };
	struct use ev[2] = { { 0, 0, 3 }, { 1, 0, 9 } };
	struct error e = { 0 };
	one_pack(w, 900, 5);
	cr_assert_eq(store->ops->claim(store, 1, SPAN_LIT("tok"), &claim, 1, &e), ERROR_NONE, "%s", e.text);
	commit_range(w, ev, 0, 2, "t/900", false);
	w->a.n_months = 1;
	w->packs[0].calls = w->calls_of[0][0][0] = 2; // of a newer version, in which the same bound is a share: the first month has used it up too
	w->rungs[0].at = 2;
	struct list l = look_only(w);
	cr_expect(l.n == 1 && strcmp(l.identity, "alert\na900\np\n2020-02\npack.exhausted\n5\np-0") == 0, "%u: %s", l.n, l.identity);
	drop_outbox();
}

// Without a call it stands in the month that the pack begins in, however far the looks reach.
Test(allowance, a_pack_that_a_change_used_up_is_told_once_in_its_first_month)
{
	for (uint32_t months = 1; months <= MONTHS; months++) {
		CLEANUP(freep) struct world *w = xcalloc(1, sizeof(*w));
		char name[24];
		struct error e = { 0 };
		snprintf(name, sizeof(name), "t/%u", 910 + months);
		struct store_claim claim = { .name = span_of(name), .start = { 0, TIME_NONE, -1, 0 } };
		struct use ev = { 0, 0, 9 };
		one_pack(w, 910 + months, 100);
		cr_assert_eq(store->ops->claim(store, 1, SPAN_LIT("tok"), &claim, 1, &e), ERROR_NONE, "%s", e.text);
		commit_range(w, &ev, 0, 1, name, false);
		w->packs[0].calls = w->calls_of[0][0][0] = w->calls_of[1][0][0] = w->rungs[0].at = w->rungs[0].bound = 5;
		w->a.n_months = months;
		struct list l = look_only(w);
		cr_expect(l.n == 1 && strstr(l.identity, "\n2020-01\n") != NULL, "%u: %s", l.n, l.identity);
		w->a.n_months = MONTHS + 1 - months;
		cr_expect_eq(look_only(w).n, 1);
		drop_outbox();
	}
}
