// SPDX-License-Identifier: Apache-2.0
// bench_restart DIR [partitions [generations]]: what a restart spends on full windows of duplicates: makes them with the daemon's own writer in
// DIR (250 MB a partition), then loads all, one after the other, as a worker does at an assignment. CPU time and wall time.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "snapshot/snapshots.h"

enum { BITS = 16 };

static int64_t cpu_us(void)
{
	struct rusage u;
	check(getrusage(RUSAGE_SELF, &u) == 0);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static struct dedupe_key key_of(uint64_t i)
{
	uint64_t x = i * UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 29;
	return (struct dedupe_key){ x, x * UINT64_C(0xff51afd7ed558ccd) ^ i };
}

static void write_part(struct snapshots *s, const char *name, const struct dedupe_options *o, int64_t n)
{
	struct slice_place place = slice_place(SPAN_LIT("init"), span_of(name));
	struct snapshots_totals t;
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(o, 0, 0);
	dedupe_record(d, 0, (struct slice_mark){ .offset = -1 });
	for (int64_t i = 0; i <= n; i++) {
		if (i > 0 && i % (1 << BITS) == 0) {
			struct slice head;
			struct recording *r = dedupe_cut(d, i, (struct slice_mark){ i, 1 }, 1, &head);
			snapshots_put(s, name, place, o->seed, &head, r, 0);
		}
		dedupe_advance(d, i, i / 8);
		check(!dedupe_seen(d, i, key_of((uint64_t)i)));
	}
	snapshots_totals(s, &t);
	check(t.failed == 0);
}

static int64_t first_version(const void *ctx, int64_t clock_ms)
{
	(void)ctx, (void)clock_ms;
	return 1;
}

static void load_part(struct snapshots *s, const char *name, const struct dedupe_options *o, int64_t n, struct dedupe **ret)
{
	struct slice_place place = slice_place(SPAN_LIT("init"), span_of(name));
	struct snapshot_wanted w = { name, place, o, n + 1, n / 8, 0, first_version, NULL };
	struct slice_mark next;
	check(snapshots_load(s, &w, ret, &next) && dedupe_position(*ret) == n);
}

int main(int argc, char **argv)
{
	int64_t parts = 8, generations = 240;
	if (argc < 2 || (argc > 2 && !span_int64(span_of(argv[2]), &parts)) || (argc > 3 && !span_int64(span_of(argv[3]), &generations)))
		return fprintf(stderr, "bench_restart DIR [partitions [generations]]\n"), 64;
	log_set_level(LVL_ERROR);
	struct dedupe_options o = { .generation_bits = BITS, .generations = (unsigned)generations, .max_age_ms = INT64_C(1) << 40,
				    .max_list = 1 << 20, .seed = 99 };
	int64_t n = generations << BITS;
	struct snapshots_options so = { .folder = folder_of_state_dir(argv[1]), .where = argv[1], .bits = BITS, .at_once = true };
	struct snapshots *s = snapshots_new(&so);
	struct dedupe **sets = xcalloc((size_t)parts, sizeof(struct dedupe *));
	uint64_t bytes = 0, ids = 0;
	for (int64_t i = 0; i < parts; i++) {
		CLEANUP(freep) char *name = xasprintf("t/%lld", (long long)i);
		write_part(s, name, &o, n);
	}
	int64_t begun_us = clock_mono_us(), begun_cpu = cpu_us();
	for (int64_t i = 0; i < parts; i++) {
		CLEANUP(freep) char *name = xasprintf("t/%lld", (long long)i);
		load_part(s, name, &o, n, &sets[i]);
		bytes += dedupe_bytes(sets[i]);
		ids += dedupe_ids(sets[i]);
	}
	printf("%lld windows of %lld ids: %.2f s CPU, %.2f s wall; %.2f bytes an id\n", (long long)parts, (long long)n,
	       (double)(cpu_us() - begun_cpu) / 1e6, (double)(clock_mono_us() - begun_us) / 1e6, (double)bytes / (double)ids);
	for (int64_t i = 0; i < parts; i++)
		dedupe_freep(&sets[i]);
	free(sets);
	snapshots_freep(&s);
	return 0;
}
