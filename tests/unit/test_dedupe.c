// SPDX-License-Identifier: Apache-2.0
// The window against its definition (dedupe.h), applied by brute force to small random logs: gaps, records without an event,
// repeated ids, rewinds to every place, restarts with read-back, keys that crowd into few buckets.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/check.h"
#include "dedupe/buckets.h"
#include "dedupe/dedupe.h"
#include "dedupe_log.h"

static struct dedupe *read_back(const struct log *l, int at, uint64_t seed)
{
	int64_t from = dedupe_window_start(&l->o, l->e[at].offset);
	int i = find(l, from);
	struct dedupe *d = dedupe_new(&l->o, from, i > 0 ? l->e[i - 1].clock : INT64_MIN);
	for (; i < at; i++)
		step(l, d, i, false, seed);
	cr_assert_leq(dedupe_list_start(d), l->e[at].offset, "a read-back must be enough for the offset it was made for");
	return d;
}

static long run_log(uint64_t seed, int n)
{
	uint64_t rnd = seed;
	struct log l;
	make_log(&l, n, &rnd);
	struct dedupe *d = read_back(&l, 0, seed);
	long steps = 0, budget = 4L * n;
	for (int i = 0; i < n; i++, steps++) {
		step(&l, d, i, true, seed);
		dedupe_settled(d, l.e[below(&rnd, i + 1)].offset);
		if (steps > budget || below(&rnd, 12) != 0)
			continue;
		int back = (int)below(&rnd, i + 1), lowest = find(&l, dedupe_list_start(d));
		if (below(&rnd, 10) == 0 || back < lowest) {
			dedupe_freep(&d);
			d = read_back(&l, back, seed);
		}
		if (below(&rnd, 4) == 0)
			dedupe_advance(d, l.e[back].offset, l.e[back].clock); // died before it was decided
		i = back - 1;
	}
	dedupe_freep(&d);
	free(l.e);
	return steps;
}

Test(dedupe, agrees_with_the_definition_on_random_logs, .timeout = 300)
{
	long steps = 0;
	uint64_t seed = 1;
	for (; steps < 1200000; seed++)
		steps += run_log(seed, 20 + (int)(seed % 400));
	cr_log_info("%lu logs, %ld steps", (unsigned long)seed - 1, steps);
}

// Every log of 5 records over 2 ids with every rewind: exhaustive where it is cheap.
Test(dedupe, agrees_on_every_small_log)
{
	for (int code = 0; code < 3 * 3 * 3 * 3 * 3 * 32; code++) {
		struct entry e[5];
		struct log l = { .o = { .generation_bits = 4, .generations = 1, .max_age_ms = 2, .max_list = 2 }, .e = e, .n = 5 };
		int ids = code / 32, rise = code % 32;
		int64_t clock = 1000;
		for (int i = 0; i < 5; i++, ids /= 3) {
			clock += (rise >> i & 1) * 2 - (rise >> i & 1 & (i & 1));
			e[i] = (struct entry){ .offset = i * 9, .clock = clock, .event = ids % 3 != 2, .key = { (uint64_t)(ids % 3) + 1, 7 } };
		}
		decide(&l);
		for (int to = 1; to <= 5; to++)
			for (int back = 0; back < to; back++) {
				CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&l.o, 0, INT64_MIN);
				for (int i = 0; i < to; i++)
					step(&l, d, i, true, (uint64_t)code);
				if (e[back].offset < dedupe_list_start(d))
					continue;
				for (int i = back; i < 5; i++)
					step(&l, d, i, true, (uint64_t)code);
			}
	}
}

static struct dedupe_options wide(void)
{
	return (struct dedupe_options){ .generation_bits = 16, .generations = 3, .max_age_ms = 1000, .max_list = 1 << 20, .seed = 42 };
}

// The table grows several times while the reader goes back again and again; each id comes twice, the second time a duplicate.
Test(dedupe, grows_while_rewinding)
{
	struct dedupe_options o = wide();
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 0, 0);
	uint64_t before = dedupe_bytes(d), rnd = 3;
	int64_t n = 180000, rewinds = 0;
	for (int64_t i = 0; i < n; i++) {
		dedupe_advance(d, i, i / 200);
		struct dedupe_key key = make_key((uint64_t)(i / 20 * 10 + i % 10), CROWD_NONE);
		cr_assert_eq(dedupe_seen(d, i, key), i % 20 >= 10, "offset %ld", (long)i);
		if (below(&rnd, 5000) == 0 && rewinds++ < 60)
			i -= below(&rnd, i < 9000 ? i + 1 : 9000);
	}
	cr_assert_gt(rewinds, 10);
	cr_assert_gt(dedupe_bytes(d), before, "the table should have grown");
}

// 3,000 ids in one region: the table has to grow for it, and nothing is lost or found twice.
Test(dedupe, one_crowded_region)
{
	struct dedupe_options o = wide();
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 0, 0);
	for (int64_t i = 0; i < 6000; i++) {
		dedupe_advance(d, i, 0);
		cr_assert_eq(dedupe_seen(d, i, make_key((uint64_t)(i % 3000), CROWD_REGION)), i >= 3000, "offset %ld", (long)i);
	}
	cr_assert_eq(dedupe_ids(d), 3000);
}

// Long after the window the same id counts again, over the place where 32 bits of the offset wrap.
// The table alone, all keys in one region of two buckets, then of more: sweeps between the steps change no answer.
Test(dedupe, sweeps_change_no_answer)
{
	enum { IDS = 40, STEPS = 300000 };
	struct buckets t;
	buckets_init(&t, 1000, 9);
	int64_t last[IDS], swept = 0;
	for (int i = 0; i < IDS; i++)
		last[i] = -1000;
	uint64_t rnd = 5;
	for (int64_t now = 0; now < STEPS; now++) {
		uint32_t span = (uint32_t)(now < STEPS / 2 ? 60 : 9);
		struct span_back w = { .now = (uint32_t)now, .span = span };
		if (below(&rnd, 4) == 0) {
			for (uint32_t r = 0; r < BUCKET_REGIONS && swept % 64 == 0; r++)
				buckets_sweep(&t, r, w);
			swept++;
		}
		int64_t id = below(&rnd, IDS);
		bool want = now - last[id] <= span;
		cr_assert_eq(buckets_seen(&t, make_key((uint64_t)id, CROWD_REGION), w), want, "step %ld", (long)now);
		last[id] = now;
	}
	cr_assert_leq(t.used, IDS);
	cr_assert_leq(t.n, 12, "40 ids that count fit into eight buckets");
	buckets_free(&t);
}

Test(dedupe, offsets_beyond_32_bits)
{
	struct dedupe_options o = { .generation_bits = 4, .generations = 240, .max_age_ms = 1000, .max_list = 100, .seed = 1 };
	int64_t base = (INT64_C(1) << 32) - 5000;
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, base, 0);
	for (int64_t i = 0; i < 40000; i++) {
		dedupe_advance(d, base + i, 0);
		int64_t start = dedupe_window_start(&o, base + i), last = i - 3850;
		bool again = last >= 0 && base + last >= start && base + last >= base;
		cr_assert_eq(dedupe_seen(d, base + i, make_key((uint64_t)(i % 3850), CROWD_NONE)), again, "offset %ld", (long)i);
	}
	int64_t far = base + (INT64_C(1) << 33); // twice 2^32: the same low bits
	dedupe_advance(d, far + 39999, 0);
	cr_assert_not(dedupe_seen(d, far + 39999, make_key(39998 % 3850, CROWD_NONE)));
	cr_assert_eq(dedupe_ids(d), 1, "a jump of a window empties the table");
}

Test(dedupe, stale_entries_are_used_again)
{
	struct dedupe_options o = { .generation_bits = 10, .generations = 8, .max_age_ms = 1000, .max_list = 100, .seed = 1 };
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 0, 0);
	uint64_t bytes = dedupe_bytes(d);
	for (int64_t i = 0; i < 2000000; i++) {
		dedupe_advance(d, i, 0);
		cr_assert_not(dedupe_seen(d, i, make_key((uint64_t)i, CROWD_NONE)));
	}
	cr_assert_leq(dedupe_bytes(d), bytes + 1024, "a window of 9,216 ids fits into the first table");
	cr_assert_leq(dedupe_ids(d), 9216 + (1 << 20) + 1);
}

Test(dedupe, list_is_bounded_and_says_so)
{
	struct dedupe_options o = wide();
	o.max_list = 10;
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 100, 0);
	cr_assert_eq(dedupe_list_start(d), (4) * 65536, "read back from 100: windows that begin there");
	o.first_offset = 100;
	CLEANUP(dedupe_freep) struct dedupe *f = dedupe_new(&o, 100, 0);
	cr_assert_eq(dedupe_list_start(f), 100);
	dedupe_advance(f, 99, 0);
	cr_assert_not(dedupe_knows(f, 99), "below everything: not to be asked");
	for (int64_t i = 100; i < 130; i++) {
		dedupe_advance(f, i, 0);
		cr_assert_eq(dedupe_seen(f, i, make_key(1, CROWD_NONE)), i > 100);
	}
	cr_assert_eq(dedupe_list_start(f), 120, "duplicates 101 … 129, ten kept: 120 … 129");
	cr_assert_eq(dedupe_position(f), 130);
	cr_assert(dedupe_knows(f, 129) && dedupe_knows(f, 120) && !dedupe_knows(f, 119) && !dedupe_knows(f, 130));
	dedupe_advance(f, 120, 0);
	cr_assert(dedupe_seen(f, 120, make_key(1, CROWD_NONE)));
}

Test(dedupe, oldest_clock_is_the_clock_at_the_window_start)
{
	struct dedupe_options o = { .generation_bits = 4, .generations = 2, .max_age_ms = 500, .max_list = 100 };
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 0, INT64_MIN);
	cr_assert_eq(dedupe_oldest_clock(d), INT64_MIN);
	for (int64_t i = 0; i < 100; i++)
		dedupe_advance(d, i, 1000 + i);
	cr_assert_eq(dedupe_oldest_clock(d), 1000 + 64, "S(99) = (6 - 2) * 16");
	dedupe_advance(d, 100, 1590);
	cr_assert_eq(dedupe_oldest_clock(d), 1090, "the age bound: 1590 - 500");
}

Test(dedupe, keys_tell_source_and_id_apart)
{
	struct span none = { NULL, 0 }, empty = SPAN_LIT("");
	struct dedupe_key k[] = { dedupe_key(none, SPAN_LIT("ab")), dedupe_key(empty, SPAN_LIT("ab")),
				  dedupe_key(SPAN_LIT("a"), SPAN_LIT("b")), dedupe_key(SPAN_LIT("ab"), SPAN_LIT("")),
				  dedupe_key(none, SPAN_LIT("ab\0")), dedupe_key(SPAN_LIT("b"), SPAN_LIT("a")) };
	for (size_t i = 0; i < ARRAY_LEN(k); i++)
		for (size_t j = 0; j < i; j++)
			cr_assert(k[i].lo != k[j].lo && k[i].hi != k[j].hi, "%zu and %zu", i, j);
	struct dedupe_key again = dedupe_key(none, SPAN_LIT("ab"));
	cr_assert(again.lo == k[0].lo && again.hi == k[0].hi);
}
