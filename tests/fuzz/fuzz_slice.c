// SPDX-License-Identifier: Apache-2.0
// Slices of a window of duplicates (dedupe/slice.h) from a hostile state directory. The first byte says whether the sums are put right first,
// so that what lies behind them is met too, and in how many pieces the rest is a run. Whatever the bytes are: refused with a
// reason, or a set that stands at the run's end, that takes in and decides what comes, and that can be written and read again as the same.
// most: 4096
#include <xxhash.h>

#include "dedupe/slice.h"
#include "fuzz.h"

static const struct slice_place place = { 1, 2 };
enum { PIECES = 3, AT_PLACE = 16, AT_SUM = 120, LOOK = 40 };

static void put64(char *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char)(v >> (8 * i));
}

// Head, place and sums as they should be; the rest is what it is.
static void mend(char *p, size_t n)
{
	if (n < SLICE_HEAD)
		return;
	memcpy(p, "meterdds\2\0\0\0\x80\0\0\0", AT_PLACE);
	put64(p + AT_PLACE, place.lo);
	put64(p + AT_PLACE + 8, place.hi);
	uint64_t seed = XXH3_64bits(p, AT_SUM);
	put64(p + AT_SUM, seed);
	if (n > SLICE_HEAD + 8)
		put64(p + n - 8, XXH3_64bits_withSeed(p + SLICE_HEAD, n - SLICE_HEAD - 8, seed)); // one block: inputs are short
}

struct bytes {
	struct byte_sink sink;
	char *p;
	size_t n;
};

static bool keep(struct byte_sink *sink, const void *p, size_t n)
{
	struct bytes *b = (struct bytes *)sink;
	b->p = xrealloc(b->p, b->n + n, 1);
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

static void decides_on(struct dedupe *d, const struct dedupe_options *o)
{
	char why[SLICE_WHY];
	struct bytes b = { .sink.write = keep };
	struct slice s;
	struct dedupe *again = NULL;
	int64_t at = dedupe_position(d), clock = dedupe_clock(d);
	if (dedupe_save(d, place, (struct slice_mark){ .offset = -1 }, 1, &b.sink)) {
		fuzz_check(slice_read((struct span){ b.p, b.n }, place, &s, why));
		fuzz_check(dedupe_load(o, &s, 1, at, INT64_MAX, &again, why) && dedupe_position(again) == at);
	}
	for (int64_t i = 0; i < LOOK; i++) {
		struct dedupe_key key = { (uint64_t)i / 2 + 1, 7 };
		dedupe_advance(d, at + i, clock);
		bool seen = dedupe_seen(d, at + i, key);
		fuzz_check(i % 2 == 0 || seen);
		if (again == NULL)
			continue;
		dedupe_advance(again, at + i, clock);
		fuzz_check(dedupe_seen(again, at + i, key) == seen);
	}
	dedupe_freep(&again);
	free(b.p);
}

FUZZ(s)
{
	struct dedupe_options o = { .generation_bits = 4, .generations = 6, .max_age_ms = 1000, .max_list = 10, .seed = 3 };
	uint8_t how = fuzz_byte(&s);
	char *copies[PIECES];
	struct slice run[PIECES];
	char why[SLICE_WHY];
	uint32_t pieces = 1 + how / 2 % PIECES, n = 0;
	for (uint32_t i = 0; i < pieces; i++) {
		struct span part = fuzz_take(&s, i + 1 < pieces ? s.n / (pieces - i) : s.n);
		copies[i] = xrealloc(NULL, part.n + 1, 1);
		copies[i] = xrealloc(copies[i], part.n > 0 ? part.n : 1, 1);
		memcpy(copies[i], part.p, part.n);
		if (how % 2 == 0)
			mend(copies[i], part.n);
		why[0] = '\0';
		if (slice_read((struct span){ copies[i], part.n }, place, &run[n], why))
			n++;
		else
			fuzz_check(why[0] != '\0' && fuzz_printable(why));
	}
	struct dedupe *d = NULL;
	why[0] = '\0';
	if (n > 0 && dedupe_load(&o, run, n, run[n - 1].to, INT64_MAX, &d, why))
		decides_on(d, &o);
	else
		fuzz_check(n == 0 || (why[0] != '\0' && fuzz_printable(why)));
	dedupe_freep(&d);
	for (uint32_t i = 0; i < pieces; i++)
		free(copies[i]);
}
