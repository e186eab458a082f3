// SPDX-License-Identifier: Apache-2.0
// Windows of duplicates in a real directory: what is written, removed, loaded, and each reason for which something is not used; what a full
// disk, a folder that is none and a slow disk do.
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "dedupe_log.h"
#include "snapshot/snapshots.h"

enum { BITS = 4, RECORDS = 400, DIR_BYTES = 200 };
static const char part[] = "usage.calls/3";

struct bench {
	char dir[DIR_BYTES];
	struct log l;
	struct snapshots *s;
	struct dedupe *d;
};

static struct slice_place here(void)
{
	return slice_place(SPAN_LIT("init"), span_of(part));
}

static struct slice_mark mark_of(const struct entry *e)
{
	return (struct slice_mark){ e->offset, (uint64_t)e->offset * 31 + 7 };
}

static void make_entries(struct log *l)
{
	l->o = (struct dedupe_options){ .generation_bits = 4, .generations = 4, .max_age_ms = 1000000, .max_list = 100, .seed = 9 };
	l->n = RECORDS;
	l->e = xcalloc(RECORDS, sizeof(*l->e));
	for (int i = 0; i < RECORDS; i++)
		l->e[i] = (struct entry){ .offset = i, .clock = 1000 + i, .event = i % 7 != 0, .key = make_key((uint64_t)(i * i % 150), CROWD_NONE) };
	decide(l);
}

static struct snapshots *in_dir(const char *dir, bool at_once)
{
	struct snapshots_options o = { .folder = folder_of_state_dir(dir), .where = dir, .bits = BITS, .at_once = at_once };
	return snapshots_new(&o);
}

static void run(struct bench *b, int from, int to, int64_t drop_below)
{
	for (int i = from; i < to; i++) {
		int64_t at = b->l.e[i].offset >> BITS << BITS;
		if (at > dedupe_recorded_from(b->d)) {
			struct slice head;
			struct recording *r = dedupe_cut(b->d, at, mark_of(&b->l.e[i]), 1, &head);
			snapshots_put(b->s, part, here(), b->l.o.seed, &head, r, drop_below);
		}
		step(&b->l, b->d, i, true, 0);
	}
}

static void bench_open(struct bench *b, bool at_once)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(b->dir, sizeof(b->dir), "%s/meterd-test-XXXXXX", tmp != NULL ? tmp : P_tmpdir);
	cr_assert(mkdtemp(b->dir) != NULL);
	make_entries(&b->l);
	b->s = in_dir(b->dir, at_once);
	b->d = dedupe_new(&b->l.o, 0, INT64_MIN);
	dedupe_record(b->d, INT64_MIN, (struct slice_mark){ .offset = -1 });
}

static void bench_close(struct bench *b)
{
	CLEANUP(freep) char *all = xasprintf("rm -rf %s", b->dir);
	snapshots_freep(&b->s);
	dedupe_freep(&b->d);
	free(b->l.e);
	cr_assert(system(all) == 0);
}

static char *path_of(const struct bench *b, int64_t from, int64_t to)
{
	char name[FOLDER_NAME];
	return xasprintf("%s/dedupe/usage.calls-3/%s", b->dir, folder_name(from, to, name));
}

static struct snapshots_totals totals(const struct bench *b)
{
	struct snapshots_totals t;
	snapshots_totals(b->s, &t);
	return t;
}

// Version 1 of the rules holds, from *ctx on version 2.
static int64_t rules_at(const void *ctx, int64_t clock_ms)
{
	return clock_ms >= *(const int64_t *)ctx ? 2 : 1;
}

static int64_t second_from = INT64_MAX;

// A start at `start`; NULL: nothing could be used.
static struct dedupe *load_with(struct bench *b, int start, struct slice_place place, int64_t clock_ms, int64_t low)
{
	struct dedupe *d = NULL;
	struct slice_mark next = { -1, 0 };
	struct snapshot_wanted w = { part, place, &b->l.o, start, clock_ms, low, rules_at, &second_from };
	if (!snapshots_load(b->s, &w, &d, &next))
		return NULL;
	cr_expect_eq(next.offset, dedupe_position(d), "offsets have no gaps here");
	cr_expect_eq(next.print, (uint64_t)next.offset * 31 + 7);
	return d;
}

static struct dedupe *load(struct bench *b, int start)
{
	return load_with(b, start, here(), b->l.e[start - 1].clock, 0);
}

// It decides from `start` on as the log says.
static void right_from(struct bench *b, struct dedupe *d, int start)
{
	cr_assert(d != NULL);
	for (int i = (int)dedupe_position(d); i < RECORDS; i++)
		step(&b->l, d, i, i >= start, 0);
	dedupe_freep(&d);
}

static uint32_t files(const struct bench *b)
{
	struct folder *f = folder_of_state_dir(b->dir);
	CLEANUP(freep) struct folder_file *list = NULL;
	uint32_t n = 0;
	cr_assert_eq(f->ops->list(f, part, &list, &n), 0);
	f->ops->close(f);
	return n;
}

Test(snapshots, names_hold_their_offsets)
{
	char name[FOLDER_NAME];
	int64_t from = -1, to = -1;
	cr_expect_str_eq(folder_name(65536, 131072, name), "0000000000000065536-0000000000000131072");
	cr_expect(folder_name_read(name, &from, &to) && from == 65536 && to == 131072);
	cr_expect(folder_name_read(folder_name(0, INT64_MAX, name), &from, &to) && from == 0 && to == INT64_MAX);
	static const char *const none[] = { "", "half", "0000000000000065536-0000000000000065536", "0000000000000065536-0000000000000131072.a1b2c3",
					    "-000000000000065536-0000000000000131072", "0000000000000065536-9999999999999999999", "65536-131072" };
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		cr_expect_not(folder_name_read(none[i], &from, &to), "%s", none[i]);
}

Test(snapshots, a_restart_goes_on_at_the_newest_slice)
{
	struct bench b;
	bench_open(&b, true);
	run(&b, 0, RECORDS, 0);
	cr_expect_eq(totals(&b).written, 24);
	cr_expect_eq(files(&b), 24);
	struct snapshot_status at;
	snapshots_status(b.s, part, &at);
	cr_expect(at.position == 384 && at.written_ms > 0 && at.bytes > 24 * SLICE_HEAD);
	for (int start = 16; start < RECORDS; start += 7) { // as one who comes later, and where Redis went back
		struct dedupe *d = load(&b, start);
		cr_assert(d != NULL && dedupe_position(d) == start / 16 * 16, "at %d", start);
		right_from(&b, d, start);
	}
	cr_expect_eq(totals(&b).refused, 0);
	cr_expect_null(load(&b, 15), "nothing below it is written");
	bench_close(&b);
}

Test(snapshots, old_slices_go_and_what_a_killed_process_left)
{
	struct bench b;
	bench_open(&b, true);
	run(&b, 0, 200, 0);
	run(&b, 200, RECORDS, 256);
	cr_expect_eq(files(&b), 8, "those from 256 to 384 stay");
	CLEANUP(freep) char *left = xasprintf("%s/dedupe/usage.calls-3/0000000000000065536-0000000000000131072.a1b2c3", b.dir);
	FILE *f = fopen(left, "w");
	cr_assert(f != NULL && fclose(f) == 0 && access(left, F_OK) == 0);
	right_from(&b, load(&b, 399), 399);
	cr_expect(access(left, F_OK) != 0);
	cr_expect_null(load(&b, 300), "the window before 300 reaches back to 224");
	cr_expect_eq(totals(&b).refused, 1);
	bench_close(&b);
}

// ---- what is not used

static void change(const char *path, long at, int with)
{
	FILE *f = fopen(path, "r+");
	cr_assert(f != NULL && fseek(f, at, at < 0 ? SEEK_END : SEEK_SET) == 0);
	fputc(with, f);
	cr_assert(fclose(f) == 0);
}

// The slice [352, 368) is harmed: a start at 399 goes on at 352 and reads the rest; one at 360 does not need it.
static void without_one(struct bench *b, const char *what)
{
	struct dedupe *d = load(b, 399);
	cr_assert(d != NULL && dedupe_position(d) == 352, "%s", what);
	right_from(b, d, 399);
	cr_expect_eq(totals(b).refused, 1, "%s: %lu", what, (unsigned long)totals(b).refused);
	right_from(b, load(b, 360), 360);
	cr_expect_eq(totals(b).refused, 1, "%s", what);
}

Test(snapshots, a_harmed_slice_is_refused_and_the_log_read_from_there)
{
	static const char *const harms[] = { "corrupt", "truncated", "empty", "older schema", "of other offsets", "gone", "a folder" };
	for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
		struct bench b;
		bench_open(&b, true);
		run(&b, 0, RECORDS, 0);
		CLEANUP(freep) char *path = path_of(&b, 352, 368);
		CLEANUP(freep) char *other = path_of(&b, 32, 48);
		switch (i) {
		case 0: change(path, -40, 'x'); break;
		case 1: cr_assert(truncate(path, 150) == 0); break;
		case 2: cr_assert(truncate(path, 0) == 0); break;
		case 3: change(path, 8, 0); break;
		case 4: cr_assert(rename(other, path) == 0); break;
		case 5: cr_assert(unlink(path) == 0); break;
		default: cr_assert(unlink(path) == 0 && mkdir(path, 0700) == 0); break;
		}
		if (i < 5) {
			without_one(&b, harms[i]);
		} else { // nothing there to be refused
			struct dedupe *d = load(&b, 399);
			cr_assert(d != NULL && dedupe_position(d) == 352, "%s", harms[i]);
			right_from(&b, d, 399);
		}
		bench_close(&b);
	}
}

Test(snapshots, all_of_it_may_be_refused)
{
	struct bench b;
	bench_open(&b, true);
	run(&b, 0, RECORDS, 0);
	int64_t clock = b.l.e[398].clock;
	cr_expect_null(load_with(&b, 399, slice_place(SPAN_LIT("another init"), span_of(part)), clock, 0), "foreign");
	cr_expect_eq(totals(&b).refused, 25, "each of them, and all");
	cr_expect_null(load_with(&b, 399, here(), 1000, 0), "the clock in Redis lies before theirs");
	cr_expect_null(load_with(&b, 399, here(), clock, 390), "the log between them and the start is gone");
	cr_expect_null(load_with(&b, 384, here(), clock, 0), "the clock at their end is not the one in Redis");
	right_from(&b, load_with(&b, 384, here(), b.l.e[383].clock, 384), 384);
	b.l.o.generations = 40;
	struct log far = b.l;
	struct snapshot_wanted late = { part, here(), &far.o, 100000, clock + 1, 0, rules_at, &second_from };
	struct dedupe *d = NULL;
	struct slice_mark next;
	far.o.generations = 4;
	cr_expect_not(snapshots_load(b.s, &late, &d, &next), "long before the window");
	cr_expect_eq(totals(&b).refused, 29);
	bench_close(&b);
}

// Records that were read but not counted yet may come under rules that nobody knew of: what was remembered of them says nothing.
Test(snapshots, what_newer_rules_reach_into_is_not_used)
{
	struct bench b;
	bench_open(&b, true);
	run(&b, 0, RECORDS, 0);
	second_from = b.l.e[360].clock; // inside of the slice up to 368
	struct dedupe *d = load(&b, 399);
	cr_assert(d != NULL);
	cr_expect_eq(dedupe_position(d), 352, "%lld", (long long)dedupe_position(d));
	cr_expect_eq(totals(&b).refused, 2, "those that end at 368 and 384: %llu", (unsigned long long)totals(&b).refused);
	right_from(&b, d, 399);
	second_from = b.l.e[383].clock; // the last record of the newest
	d = load(&b, 399);
	cr_assert(d != NULL);
	cr_expect_eq(dedupe_position(d), 368);
	dedupe_freep(&d);
	second_from = b.l.e[384].clock; // the first one behind it
	d = load(&b, 399);
	cr_assert(d != NULL);
	cr_expect_eq(dedupe_position(d), 384);
	dedupe_freep(&d);
	bench_close(&b);
}

Test(snapshots, another_log_is_not_trusted_again)
{
	struct bench b;
	bench_open(&b, true);
	run(&b, 0, RECORDS, 0);
	snapshots_distrust(b.s, part, "the record behind them is not the one in the log");
	cr_expect_eq(files(&b), 0);
	cr_expect_null(load(&b, 399));
	struct snapshot_status at;
	snapshots_status(b.s, part, &at);
	cr_expect_eq(at.position, -1);
	bench_close(&b);
}

// ---- disks

static void wait_written(const struct bench *b, uint64_t n)
{
	int64_t until = clock_mono_us() + 60000000;
	while (totals(b).written < n && clock_mono_us() < until)
		clock_sleep_ms(1);
	cr_assert_eq(totals(b).written, n);
}

Test(snapshots, a_thread_writes, .timeout = 120)
{
	struct bench b;
	bench_open(&b, false);
	run(&b, 0, RECORDS, 0);
	wait_written(&b, 24);
	right_from(&b, load(&b, 399), 399);
	bench_close(&b);
}

Test(snapshots, what_was_handed_over_is_written_at_the_end, .timeout = 120)
{
	struct bench b;
	bench_open(&b, false);
	run(&b, 0, RECORDS, 0);
	snapshots_freep(&b.s);
	cr_expect_eq(files(&b), 24);
	b.s = in_dir(b.dir, true);
	right_from(&b, load(&b, 399), 399);
	bench_close(&b);
}

// A disk that takes no more (a limit stands for it): said once, tried again, and nothing is missing once there is room.
Test(snapshots, a_full_disk_is_told_and_healed, .timeout = 120)
{
	struct bench b;
	struct rlimit before, none;
	bench_open(&b, false);
	run(&b, 0, 40, 0);
	wait_written(&b, 2);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
	none = (struct rlimit){ 100, before.rlim_max };
	cr_assert(setrlimit(RLIMIT_FSIZE, &none) == 0);
	run(&b, 40, 200, 0);
	while (totals(&b).failed == 0)
		clock_sleep_ms(1);
	setrlimit(RLIMIT_FSIZE, &before);
	struct snapshots_totals t = totals(&b);
	cr_expect(strstr(t.failing, "File too large") != NULL && strstr(t.failing, b.dir) != NULL, "%s", t.failing);
	wait_written(&b, 12);
	t = totals(&b);
	cr_expect(t.failing[0] == '\0' && t.lost == 0);
	cr_expect_eq(files(&b), 12, "and no half-written one");
	right_from(&b, load(&b, 199), 199);
	bench_close(&b);
}

Test(snapshots, a_folder_that_cannot_be_made_costs_nothing_else, .timeout = 120)
{
	struct bench b;
	bench_open(&b, true);
	snapshots_freep(&b.s);
	CLEANUP(freep) char *file = xasprintf("%s/a-file", b.dir);
	FILE *f = fopen(file, "w");
	cr_assert(f != NULL && fclose(f) == 0);
	b.s = in_dir(file, true);
	run(&b, 0, RECORDS, 0); // decides on
	struct snapshots_totals t = totals(&b);
	cr_expect(t.written == 0 && t.failed == 24 && t.lost == 24);
	cr_expect(strstr(t.failing, "Not a directory") != NULL, "%s", t.failing);
	cr_expect_null(load(&b, 399));
	bench_close(&b);
}

// A run with a hole counts up to the hole, until no window reaches back to it.
Test(snapshots, a_hole_ends_the_run_until_the_window_has_passed)
{
	struct bench b;
	struct snapshot_status at;
	bench_open(&b, true);
	run(&b, 0, 100, 0);
	struct snapshots *away = b.s;
	b.s = in_dir("/proc/nowhere", true);
	run(&b, 100, 130, 0); // [96, 112) and [112, 128) are lost
	snapshots_freep(&b.s);
	b.s = away;
	run(&b, 130, 180, 0);
	snapshots_status(b.s, part, &at);
	cr_expect_eq(at.position, 96);
	cr_expect_null(load(&b, 300), "what follows the hole does not reach back, what lies before it is too old");
	run(&b, 180, 300, 112);
	snapshots_status(b.s, part, &at);
	cr_expect_eq(at.position, 288);
	right_from(&b, load(&b, 299), 299);
	bench_close(&b);
}

// ---- one set in a file

Test(snapshots, a_set_in_a_file_of_its_own)
{
	struct bench b;
	char why[SNAPSHOT_WHY];
	bench_open(&b, true);
	run(&b, 0, 300, 0);
	CLEANUP(freep) char *path = xasprintf("%s/checkpoint", b.dir);
	cr_assert_eq(snapshot_save_file(path, b.d, here(), 1), 0);
	struct dedupe *d = NULL;
	struct snapshot_wanted w = { part, here(), &b.l.o, 300, b.l.e[299].clock, 0, rules_at, &second_from };
	cr_assert(snapshot_load_file(path, &w, &d, why), "%s", why);
	cr_expect_eq(dedupe_position(d), 300);
	right_from(&b, d, 300);
	struct snapshot_wanted before = { part, here(), &b.l.o, 299, b.l.e[298].clock, 0, rules_at, &second_from };
	cr_expect_not(snapshot_load_file(path, &before, &d, why));
	cr_expect(strstr(why, "ahead: it ends at offset 300, reading goes on at 299") != NULL, "%s", why);
	struct snapshot_wanted other = w;
	other.place = slice_place(SPAN_LIT("x"), span_of(part));
	cr_expect_not(snapshot_load_file(path, &other, &d, why));
	cr_expect(strstr(why, "foreign") != NULL, "%s", why);
	struct snapshot_wanted newer = w;
	newer.ctx = &b.l.e[299].clock;
	cr_expect_not(snapshot_load_file(path, &newer, &d, why));
	cr_expect(strstr(why, "before version 2 of the rules was known") != NULL, "%s", why);
	change(path, -100, 'x');
	cr_expect_not(snapshot_load_file(path, &w, &d, why));
	cr_expect(strstr(why, "corrupt") != NULL, "%s", why);
	cr_expect_eq(snapshot_save_file("/nowhere/checkpoint", b.d, here(), 1), ENOENT);
	bench_close(&b);
}
