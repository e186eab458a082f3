// SPDX-License-Identifier: Apache-2.0
// bench_dedupe [ids]: what a duplicate check costs, prefetched in batches as the pipeline does. First a new table is filled with a
// window of ids (growth included), then the same number again at the steady state (every id new, stale ones replaced).
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dedupe/dedupe.h"

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

int main(int argc, char **argv)
{
	int64_t n = argc > 1 ? atoll(argv[1]) : 0;
	if (n > 0) {
		bench(n / 65536 * 65536, 16);
		return 0;
	}
	bench(1 << 20, 13);
	bench(INT64_C(240) << 16, 16);
	return 0;
}
