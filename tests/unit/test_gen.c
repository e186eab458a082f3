// SPDX-License-Identifier: Apache-2.0
// The generator: the same bytes for the same seed, stamps that never fall, and events that are what they are said to be.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "tools/gen_events.h"

enum { EVENTS = 40000 };

static struct zone *zone(void)
{
	struct zone *z = NULL;
	cr_assert(zone_open("Asia/Shanghai", &z, NULL) == ERROR_NONE);
	return z;
}

static struct gen_options options(const struct zone *z, uint64_t seed)
{
	return (struct gen_options){ .events = EVENTS, .accounts = 200, .max_calls = 10000, .seed = seed,
				     .from_ms = period_start_ms(z, 2020 * 12), .to_ms = period_start_ms(z, 2021 * 12),
				     .grace_ms = 24 * 3600000, .duplicates = 20, .invalid = 20, .late = 10, .cloudevents = 200,
				     .not_billable = 30, .items = 30, .zone = z };
}

static uint64_t digest(uint64_t h, const void *p, size_t n)
{
	const unsigned char *c = p;
	for (size_t i = 0; i < n; i++)
		h = (h ^ c[i]) * 1099511628211u;
	return h;
}

static uint64_t run_digest(const struct gen_options *o)
{
	struct gen *g = gen_open(o);
	uint64_t h = 14695981039346656037u;
	for (int i = 0; i < EVENTS; i++) {
		struct gen_record r;
		gen_next(g, TIME_NONE, &r);
		h = digest(h, r.key.p, r.key.n);
		h = digest(h, r.value.p, r.value.n);
		h = digest(h, &r.timestamp_ms, sizeof(r.timestamp_ms));
		for (uint32_t k = 0; k < r.n_headers; k++)
			h = digest(h, r.headers[k].value.p, r.headers[k].value.n);
	}
	gen_freep(&g);
	return h;
}

Test(gen, the_same_seed_gives_the_same_bytes_and_another_one_others)
{
	struct zone *z = zone();
	struct gen_options a = options(z, 1), b = options(z, 2);
	cr_assert(run_digest(&a) == run_digest(&a));
	cr_assert(run_digest(&a) != run_digest(&b));
	zone_freep(&z);
}

struct understood {
	struct decode_fields fields;
	struct decode_scratch scratch;
	struct event ev;
	struct decode_result res;
};

static void decode(struct understood *u, const struct gen_record *g)
{
	struct record r = { .timestamp_ms = g->timestamp_ms, .key = g->key, .value = g->value, .headers = g->headers,
			    .n_headers = g->n_headers };
	u->fields = (struct decode_fields){ "id", "account", "service", "time", "calls", "status", "items" };
	decode_record(&u->fields, &r, &u->scratch, &u->ev, &u->res);
}

static bool is_late(const struct zone *z, int64_t time_ms, int64_t stamp_ms)
{
	return period_end_ms(z, period_month(z, time_ms)) + 24 * 3600000 <= stamp_ms;
}

Test(gen, every_event_is_what_it_is_said_to_be)
{
	struct zone *z = zone();
	struct gen_options o = options(z, 3);
	struct gen *g = gen_open(&o);
	static struct understood u;
	int counts[GEN_KINDS] = { 0 }, items = 0, cloud = 0;
	int64_t before = 0;
	for (int i = 0; i < EVENTS; i++) {
		struct gen_record r;
		gen_next(g, TIME_NONE, &r);
		cr_assert(r.timestamp_ms >= before && r.timestamp_ms >= o.from_ms && r.timestamp_ms < o.to_ms);
		before = r.timestamp_ms;
		counts[r.kind]++;
		decode(&u, &r);
		if (r.kind == GEN_INVALID) {
			bool service = u.res.reject == REJECT_NONE && memmem(r.value.p, r.value.n, "image-teleport", 14) != NULL;
			bool future = u.res.reject == REJECT_NONE && u.ev.time_ms > r.timestamp_ms + 300000;
			cr_assert(u.res.reject != REJECT_NONE || service || future, "%.*s", (int)r.value.n, r.value.p);
			continue;
		}
		cr_assert(u.res.reject == REJECT_NONE, "%s: %.*s", u.res.detail, (int)r.value.n, r.value.p);
		cr_assert(span_eq(u.ev.account, r.key));
		cr_assert(u.ev.time_ms >= o.from_ms && u.ev.time_ms <= r.timestamp_ms);
		if (r.kind != GEN_DUPLICATE && r.kind != GEN_NOT_BILLABLE)
			cr_assert(is_late(z, u.ev.time_ms, r.timestamp_ms) == (r.kind == GEN_LATE));
		if (r.kind != GEN_DUPLICATE)
			cr_assert(span_is(u.ev.status, "ok") == (r.kind != GEN_NOT_BILLABLE));
		items += u.ev.n_items > 1;
		cloud += u.ev.source.p != NULL;
	}
	for (int k = 0; k < GEN_KINDS; k++)
		cr_assert(counts[k] > EVENTS / 1000, "%s: %d", gen_kind_text(k), counts[k]);
	cr_assert(items > EVENTS / 100 && cloud > EVENTS / 10);
	gen_freep(&g);
	zone_freep(&z);
}

struct seen_id {
	uint64_t hash;
	int at;
};

static int by_hash(const void *a, const void *b)
{
	const struct seen_id *x = a, *y = b;
	return x->hash < y->hash ? -1 : x->hash > y->hash ? 1 : x->at - y->at;
}

Test(gen, ids_repeat_in_duplicates_only_and_within_their_distance)
{
	struct zone *z = zone();
	struct gen_options o = options(z, 4);
	o.invalid = 0;
	struct gen *g = gen_open(&o);
	static struct understood u;
	static struct seen_id ids[EVENTS];
	static bool duplicate[EVENTS];
	int duplicates = 0;
	for (int i = 0; i < EVENTS; i++) {
		struct gen_record r;
		gen_next(g, TIME_NONE, &r);
		decode(&u, &r);
		duplicate[i] = r.kind == GEN_DUPLICATE;
		duplicates += duplicate[i];
		ids[i] = (struct seen_id){ digest(14695981039346656037u, u.ev.id.p, u.ev.id.n), i };
	}
	qsort(ids, EVENTS, sizeof(ids[0]), by_hash);
	int repeats = 0;
	for (int i = 1; i < EVENTS; i++) {
		if (ids[i].hash != ids[i - 1].hash)
			continue;
		repeats++;
		cr_assert(duplicate[ids[i].at]);
		cr_assert(ids[i].at - ids[i - 1].at < 6000);
	}
	cr_assert(repeats == duplicates && repeats > 0, "%d %d", repeats, duplicates);
	gen_freep(&g);
	zone_freep(&z);
}

Test(gen, stamped_now_the_stamp_is_the_callers)
{
	struct zone *z = zone();
	struct gen_options o = options(z, 5);
	struct gen *g = gen_open(&o);
	struct gen_record r;
	gen_next(g, 1577836800123, &r);
	cr_assert(r.timestamp_ms == 1577836800123);
	gen_freep(&g);
	zone_freep(&z);
}
