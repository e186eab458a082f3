// SPDX-License-Identifier: Apache-2.0
// bench_dedupe [ids]: what a duplicate check costs, prefetched in batches as the pipeline does. First a new table is filled with a
// window of ids (growth included), then the same number again at the steady state (every id new, stale ones replaced). At last the same
// recorded in slices of 65,536 offsets, and a set made of them, as a restart does; all in memory.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dedupe/dedupe.h"
#include "dedupe/slice.h"

enum { BATCH = 64 };

static struct dedupe_key key_of(uint64_t i)
{
	uint64_t x = i * UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 29;
	return (struct dedupe_key){ x, x * UINT64_C(0xff51afd7ed558ccd) ^ i };
}

static uint64_t pass(struct dedupe *d, int64_t from, int64_t n, int64_t repeat, int64_t *ret_worst_us)
{
	uint64_t seen = 0;
	int64_t worst = 0;
	for (int64_t i = from; i < from + n; i += BATCH) {
		struct dedupe_key keys[BATCH];
		int64_t begin = clock_mono_us();
		for (int64_t k = 0; k < BATCH; k++) {
			keys[k] = key_of((uint64_t)(repeat != 0 && k % repeat == 0 ? i + k - BATCH + 1 : i + k));
			dedupe_prefetch(d, keys[k]);
		}
		for (int64_t k = 0; k < BATCH; k++) {
			dedupe_advance(d, i + k, (i + k) / 8);
			seen += dedupe_seen(d, i + k, keys[k]);
		}
		int64_t us = clock_mono_us() - begin;
		if (us > worst)
			worst = us;
	}
	*ret_worst_us = worst;
	return seen;
}

struct bytes {
	struct byte_sink sink;
	char *p;
	size_t n, size;
};

static bool keep(struct byte_sink *sink, const void *p, size_t n)
{
	struct bytes *b = (struct bytes *)sink;
	if (b->size - b->n < n) {
		b->size = b->size * 2 + n;
		b->p = xrealloc(b->p, b->size, 1);
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

static void report(const char *what, struct dedupe *d, int64_t n, int64_t us, int64_t worst)
{
	printf("%-22s %9lld ids  %6.1f M ids/s  %5.1f ns/id  %5.2f bytes/id  %6.1f MiB  worst batch %lld us\n", what, (long long)n,
	       (double)n / (double)us, 1000.0 * (double)us / (double)n, (double)dedupe_bytes(d) / (double)n,
	       (double)dedupe_bytes(d) / 1048576.0, (long long)worst);
}

static void bench(int64_t n, unsigned bits)
{
	struct dedupe_options o = { .generation_bits = bits, .generations = (unsigned)(n >> bits), .max_age_ms = INT64_C(1) << 40,
				    .max_list = 1 << 20, .seed = 99 };
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 0, 0);
	int64_t worst, t0 = clock_mono_us();
	check(pass(d, 0, n, 0, &worst) == 0);
	int64_t t1 = clock_mono_us();
	report("fill, growing", d, n, t1 - t0, worst);
	check(pass(d, n, n, 0, &worst) == 0);
	int64_t t2 = clock_mono_us();
	report("steady, all new", d, n, t2 - t1, worst);
	uint64_t seen = pass(d, 2 * n, n, 16, &worst);
	check(seen == (uint64_t)n / 16);
	report("steady, 1/16 repeated", d, n, clock_mono_us() - t2, worst);
}

static void bench_slices(int64_t n)
{
	enum { BITS = 16, MOST = 1024 };
	static const struct slice_place place = { 1, 2 };
	struct dedupe_options o = { .generation_bits = BITS, .generations = (unsigned)(n >> BITS), .max_age_ms = INT64_C(1) << 40,
				    .max_list = 1 << 20, .seed = 99 };
	struct bytes *bytes = xcalloc(MOST, sizeof(*bytes));
	struct slice *slices = xcalloc(MOST, sizeof(*slices));
	struct slice_mark mark = { -1, 0 };
	uint32_t count = 0;
	char why[SLICE_WHY];
	CLEANUP(dedupe_freep) struct dedupe *d = dedupe_new(&o, 0, 0);
	dedupe_record(d, 0, mark);
	int64_t worst = 0, seen_us = 0, written_us = 0, total = 0;
	for (int64_t at = 0; at < n && count < MOST; at += 1 << BITS) {
		int64_t t0 = clock_mono_us();
		check(pass(d, at, 1 << BITS, 0, &worst) == 0);
		mark.offset = at + (1 << BITS);
		struct recording *r = dedupe_cut(d, at + (1 << BITS), mark, 1, &slices[count]);
		int64_t t1 = clock_mono_us();
		bytes[count].sink.write = keep;
		check(recording_write(r, place, o.seed, &slices[count], &bytes[count].sink));
		recording_freep(&r);
		seen_us += t1 - t0;
		written_us += clock_mono_us() - t1;
		total += (int64_t)bytes[count++].n;
	}
	report("fill, recorded", d, n, seen_us, worst);
	printf("%-22s %9lld ids  %5.1f ns/id  %.2f bytes/id\n", "slices written", (long long)n, 1000.0 * (double)written_us / (double)n,
	       (double)total / (double)n);
	int64_t t0 = clock_mono_us();
	for (uint32_t i = 0; i < count; i++)
		check(slice_read((struct span){ bytes[i].p, bytes[i].n }, place, &slices[i], why));
	int64_t t1 = clock_mono_us();
	CLEANUP(dedupe_freep) struct dedupe *again = NULL;
	check(dedupe_load(&o, slices, count, n, INT64_MAX / 8, &again, why));
	report("set from slices", again, n, clock_mono_us() - t1, 0);
	printf("%-22s %.1f ms\n", "checksums before it", (double)(t1 - t0) / 1000);
	struct bytes whole = { .sink.write = keep };
	t0 = clock_mono_us();
	check(dedupe_save(again, place, mark, 1, &whole.sink));
	printf("%-22s %.1f ms, %.1f MiB\n", "whole table written", (double)(clock_mono_us() - t0) / 1000, (double)whole.n / 1048576);
	for (uint32_t i = 0; i < count; i++)
		free(bytes[i].p);
	free(bytes);
	free(slices);
	free(whole.p);
}

int main(int argc, char **argv)
{
	int64_t n = argc > 1 ? atoll(argv[1]) : 0;
	if (n > 0) {
		bench(n / 65536 * 65536, 16);
		bench_slices(n / 65536 * 65536);
		return 0;
	}
	bench(1 << 20, 13);
	bench(INT64_C(240) << 16, 16);
	bench_slices(INT64_C(240) << 16);
	return 0;
}
