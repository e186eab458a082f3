// SPDX-License-Identifier: Apache-2.0
// Slices of a window of duplicates: a set made of them decides as one that read the log, at every place of random logs, after rewinds and
// restarts; and everything that is not what was written is refused with its reason.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <xxhash.h>

#include "dedupe/buckets.h"
#include "dedupe/slice.h"
#include "dedupe_log.h"

static const struct slice_place here = { 11, 12 };

// ---- slices in memory

struct bytes {
	struct byte_sink sink;
	char *p;
	size_t n;
	int64_t from, to;
};

static bool keep(struct byte_sink *sink, const void *p, size_t n)
{
	struct bytes *b = (struct bytes *)sink;
	b->p = xrealloc(b->p, b->n + n, 1);
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

struct disk {
	struct bytes *list;
	int n;
};

static void disk_free(struct disk *k)
{
	for (int i = 0; i < k->n; i++)
		free(k->list[i].p);
	free(k->list);
	*k = (struct disk){ 0 };
}

static void disk_add(struct disk *k, struct bytes b)
{
	k->list = xrealloc(k->list, (size_t)k->n + 1, sizeof(*k->list));
	k->list[k->n++] = b;
}

static void disk_lose(struct disk *k, int which)
{
	free(k->list[which].p);
	memmove(&k->list[which], &k->list[which + 1], (size_t)(k->n - which - 1) * sizeof(*k->list));
	k->n--;
}

static struct slice_mark mark_of(const struct entry *e)
{
	return (struct slice_mark){ e->offset, (uint64_t)e->offset * 31 + 7 };
}

// Before the record i is taken in: ends a slice where one is due.
static void cut_at(struct disk *k, struct dedupe *d, const struct log *l, int i, unsigned bits)
{
	int64_t from = dedupe_recorded_from(d), to = l->e[i].offset >> bits << bits;
	if (from < 0 || to <= from || dedupe_position(d) > to)
		return;
	struct slice head;
	struct bytes b = { .sink.write = keep, .from = from, .to = to };
	struct recording *r = dedupe_cut(d, to, mark_of(&l->e[i]), 1, &head);
	cr_assert(recording_write(r, here, l->o.seed, &head, &b.sink));
	recording_freep(&r);
	disk_add(k, b);
}

// The newest run of slices that ends at or below `start`; later ones stand for earlier ones of the same range.
static uint32_t run_of(const struct disk *k, int64_t start, struct slice *ret, uint32_t most)
{
	uint32_t n = 0;
	int64_t to = -1;
	char why[SLICE_WHY];
	for (int i = 0; i < k->n; i++)
		if (k->list[i].to <= start && k->list[i].to > to)
			to = k->list[i].to;
	for (bool found = true; found && n < most;) {
		found = false;
		for (int i = k->n; i > 0 && !found; i--) {
			const struct bytes *b = &k->list[i - 1];
			if (b->to != to)
				continue;
			cr_assert(slice_read((struct span){ b->p, b->n }, here, &ret[most - 1 - n], why), "%s", why);
			to = ret[most - 1 - n].from;
			found = true;
		}
		n += found;
		if (found && ret[most - n].first.offset < 0)
			break; // nothing fits in front of it
	}
	memmove(ret, ret + (most - n), n * sizeof(*ret));
	return n;
}

// ---- decisions

static struct dedupe *begin(const struct log *l, int at, int *ret_next)
{
	int64_t from = dedupe_window_start(&l->o, l->e[at].offset);
	int i = find(l, from);
	int64_t clock = i > 0 ? l->e[i - 1].clock : INT64_MIN;
	struct dedupe *d = dedupe_new(&l->o, from, clock);
	dedupe_record(d, clock, (struct slice_mark){ .offset = -1 });
	*ret_next = i;
	return d;
}

static void read_on(struct disk *k, struct dedupe *d, const struct log *l, int from, int to, unsigned bits, bool count, uint64_t seed)
{
	for (int i = from; i < to; i++) {
		cut_at(k, d, l, i, bits);
		step(l, d, i, count, seed);
	}
}

enum { SLICES_MOST = 256 };
struct tally {
	long loaded, short_runs, saved;
};

// A restart at record `at`: from slices where they reach back, otherwise from the log.
static struct dedupe *restart(struct disk *k, const struct log *l, int at, unsigned bits, uint64_t seed, struct tally *t)
{
	struct slice run[SLICES_MOST];
	char why[SLICE_WHY];
	int64_t start = l->e[at].offset;
	uint32_t n = run_of(k, start, run, SLICES_MOST);
	struct dedupe *d = NULL;
	int i;
	if (n > 0 && dedupe_load(&l->o, run, n, start, at > 0 ? l->e[at - 1].clock : INT64_MIN, &d, why)) {
		t->loaded++;
		cr_assert_eq(dedupe_position(d), run[n - 1].to);
		dedupe_record(d, run[n - 1].clock_ms, run[n - 1].next);
		i = find(l, dedupe_position(d));
	} else {
		t->short_runs += n > 0;
		d = begin(l, at, &i);
	}
	read_on(k, d, l, i, at, bits, false, seed);
	cr_assert_leq(dedupe_list_start(d), start, "log %lu", (unsigned long)seed);
	return d;
}

// The whole table as one slice, and a set from that slice alone.
static void whole(const struct log *l, const struct dedupe *d, int at, uint64_t seed, struct tally *t)
{
	struct bytes b = { .sink.write = keep };
	char why[SLICE_WHY];
	struct slice s;
	CLEANUP(dedupe_freep) struct dedupe *again = NULL;
	if (!dedupe_save(d, here, (struct slice_mark){ .offset = -1 }, 1, &b.sink)) {
		cr_assert(dedupe_position(d) == 0 || dedupe_list_start(d) > dedupe_position(d));
		free(b.p);
		return;
	}
	cr_assert(slice_read((struct span){ b.p, b.n }, here, &s, why), "%s", why);
	cr_assert(dedupe_load(&l->o, &s, 1, l->e[at].offset, l->e[at - 1].clock, &again, why), "log %lu at %d: %s", (unsigned long)seed, at, why);
	cr_assert_eq(dedupe_position(again), dedupe_position(d));
	cr_assert_eq(dedupe_list_start(again), dedupe_position(d));
	free(b.p);
	for (int i = at; i < l->n; i++)
		step(l, again, i, true, seed);
	t->saved++;
}

static void run_log(uint64_t seed, int n, struct tally *t)
{
	uint64_t rnd = seed;
	struct log l;
	make_log(&l, n, &rnd);
	struct disk k = { 0 };
	unsigned bits = 3 + (unsigned)below(&rnd, 4);
	int i = 0;
	struct dedupe *d = begin(&l, 0, &i);
	long budget = 3L * n;
	for (i = 0; i < n && budget > 0; i++, budget--) {
		cut_at(&k, d, &l, i, bits);
		step(&l, d, i, true, seed);
		int64_t what = below(&rnd, 40);
		if (what == 0 && i + 1 < n) { // killed: Redis stands here, or further back
			dedupe_freep(&d);
			if (k.n > 0 && below(&rnd, 4) == 0)
				disk_lose(&k, (int)below(&rnd, k.n));
			int at = below(&rnd, 2) ? i + 1 : (int)below(&rnd, i + 1);
			d = restart(&k, &l, at, bits, seed, t);
			i = at - 1;
		} else if (what == 1 && i + 1 < n && dedupe_position(d) == l.e[i].offset + 1) {
			whole(&l, d, i + 1, seed, t);
		} else if (what == 2) { // a rewind in the same process
			int back = (int)below(&rnd, i + 1);
			if (l.e[back].offset >= dedupe_list_start(d))
				i = back - 1;
		}
	}
	dedupe_freep(&d);
	disk_free(&k);
	free(l.e);
}

Test(slice, restarts_decide_as_the_log_says, .timeout = 300)
{
	struct tally t = { 0 };
	for (uint64_t seed = 1; seed <= 250; seed++)
		run_log(seed, 20 + (int)(seed % 400), &t);
	cr_log_info("%ld loads, %ld runs too short, %ld whole tables", t.loaded, t.short_runs, t.saved);
	cr_assert(t.loaded > 300 && t.short_runs > 5 && t.saved > 300);
}

// ---- what is refused

static void one_log(struct log *l)
{
	l->o = (struct dedupe_options){ .generation_bits = 4, .generations = 4, .max_age_ms = 1000000, .max_list = 100, .seed = 9 };
	l->n = 400;
	l->e = xcalloc((size_t)l->n, sizeof(*l->e));
	for (int i = 0; i < l->n; i++)
		l->e[i] = (struct entry){ .offset = i, .clock = 1000 + i / 3 * 5, .event = i % 7 != 0, .key = make_key((uint64_t)(i * i % 150), CROWD_NONE) };
	decide(l);
}

static void fill(struct disk *k, struct log *l)
{
	int i;
	one_log(l);
	CLEANUP(dedupe_freep) struct dedupe *d = begin(l, 0, &i);
	read_on(k, d, l, 0, l->n, 4, true, 0);
	cr_assert_eq(k->n, 24);
}

#define REFUSED(bytes, place, text)                                                                                                    \
	do {                                                                                                                           \
		struct slice s_;                                                                                                       \
		char why_[SLICE_WHY] = "";                                                                                             \
		cr_expect_not(slice_read(bytes, place, &s_, why_));                                                                    \
		cr_expect(strstr(why_, text) != NULL, "said: %s", why_);                                                               \
	} while (0)

Test(slice, what_was_changed_is_refused)
{
	struct log l;
	struct disk k = { 0 };
	fill(&k, &l);
	struct bytes *b = &k.list[5];
	struct span all = { b->p, b->n };
	struct slice s;
	char why[SLICE_WHY];
	cr_assert(slice_read(all, here, &s, why));
	REFUSED(all, ((struct slice_place){ 11, 13 }), "foreign");
	for (size_t n = 0; n < b->n; n++) { // cut off anywhere, in memory of exactly that length
		char *cut = xstrndup(b->p, 0);
		cut = xrealloc(cut, n + 1, 1);
		memcpy(cut, b->p, n);
		REFUSED(((struct span){ cut, n }), here, "truncated");
		free(cut);
	}
	char *longer = xrealloc(NULL, b->n + 1, 1);
	memcpy(longer, b->p, b->n);
	longer[b->n] = 0;
	REFUSED(((struct span){ longer, b->n + 1 }), here, "more than its head says");
	for (size_t i = 0; i < b->n; i++) // any bit of any byte
		for (int bit = 0; bit < 8; bit++) {
			longer[i] = (char)(longer[i] ^ (1 << bit));
			REFUSED(((struct span){ longer, b->n }), here, i < 8 ? "not a slice" : i < 16 ? "schema" : "corrupt");
			longer[i] = (char)(longer[i] ^ (1 << bit));
		}
	longer[8] = 0; // an older schema, whole otherwise
	REFUSED(((struct span){ longer, b->n }), here, "schema 0, this version reads 2");
	free(longer);
	disk_free(&k);
	free(l.e);
}

#define NOT_LOADED(run, n, start, clock, text)                                                                                         \
	do {                                                                                                                           \
		struct dedupe *d_ = NULL;                                                                                              \
		char why_[SLICE_WHY] = "";                                                                                             \
		cr_expect_not(dedupe_load(&l.o, run, n, start, clock, &d_, why_));                                                     \
		cr_expect(strstr(why_, text) != NULL, "said: %s", why_);                                                               \
	} while (0)

Test(slice, what_does_not_fit_is_refused)
{
	struct log l;
	struct disk k = { 0 };
	fill(&k, &l);
	struct slice run[SLICES_MOST];
	uint32_t n = run_of(&k, 399, run, SLICES_MOST);
	cr_assert_eq(n, 24);
	struct dedupe *d = NULL;
	char why[SLICE_WHY];
	cr_assert(dedupe_load(&l.o, run, n, 399, l.e[398].clock, &d, why), "%s", why);
	dedupe_freep(&d);
	NOT_LOADED(run, n, run[n - 1].to - 1, l.e[398].clock, "ahead: it ends at offset 384, reading goes on at 383");
	NOT_LOADED(run, n, 399, run[n - 1].clock_ms - 1, "record clock is ahead");
	NOT_LOADED(run + 22, 2, 399, l.e[398].clock, "begins at offset 352, and the window before 399 reaches back to 320");
	NOT_LOADED(run, n, 399, INT64_MIN, "record clock is ahead");
	struct slice other = run[10];
	run[10].first.print++;
	NOT_LOADED(run, n, 399, l.e[398].clock, "those that meet at offset 160 do not fit");
	run[10] = other;
	run[10].older_ms--;
	NOT_LOADED(run, n, 399, l.e[398].clock, "those that meet at offset 160 do not fit");
	run[10] = run[11]; // one is missing
	NOT_LOADED(run, n, 399, l.e[398].clock, "those that meet at offset 176 do not fit");
	run[10] = other;
	run[n - 1].clock_ms++;
	NOT_LOADED(run, n, 399, l.e[398].clock + 1, "does not end where its head says");
	disk_free(&k);
	free(l.e);
}

// Age alone makes a window whole: what lies before the oldest slice is older than max_age, and said to be.
Test(slice, age_reaches_back)
{
	struct log l;
	struct disk k = { 0 };
	fill(&k, &l);
	struct slice run[SLICES_MOST];
	uint32_t n = run_of(&k, 399, run, SLICES_MOST);
	struct dedupe *d = NULL;
	char why[SLICE_WHY];
	l.o.max_age_ms = l.e[398].clock - run[22].older_ms - 1;
	cr_expect(dedupe_load(&l.o, run + 22, n - 22, 399, l.e[398].clock, &d, why), "%s", why);
	dedupe_freep(&d);
	l.o.max_age_ms++;
	NOT_LOADED(run + 22, n - 22, 399, l.e[398].clock, "the window before 399");
	disk_free(&k);
	free(l.e);
}

// A sink that has enough, such as a full disk, is heard.
static bool enough(struct byte_sink *sink, const void *p, size_t n)
{
	struct bytes *b = (struct bytes *)sink;
	(void)p;
	b->n += n;
	return b->n < (size_t)b->to;
}

Test(slice, a_sink_that_fails_is_heard)
{
	struct log l;
	one_log(&l);
	int next;
	CLEANUP(dedupe_freep) struct dedupe *d = begin(&l, 0, &next);
	struct disk k = { 0 };
	read_on(&k, d, &l, 0, 100, 20, true, 0);
	struct bytes whole_one = { .sink.write = enough, .to = INT64_MAX }, part = { .sink.write = enough };
	cr_assert(dedupe_save(d, here, (struct slice_mark){ .offset = -1 }, 1, &whole_one.sink));
	for (part.to = 1; part.to <= (int64_t)whole_one.n; part.to++, part.n = 0)
		cr_assert_not(dedupe_save(d, here, (struct slice_mark){ .offset = -1 }, 1, &part.sink));
	free(l.e);
}
