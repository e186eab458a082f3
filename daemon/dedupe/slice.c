// SPDX-License-Identifier: Apache-2.0
#include "dedupe/slice.h"

#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "dedupe/inner.h"

static const char magic[8] = { 'm', 'e', 't', 'e', 'r', 'd', 'd', 's' };
// Where things stand in the head.
enum {
	AT_SCHEMA = 8, AT_HEAD = 12, AT_PLACE = 16, AT_FROM = 32, AT_TO = 40, AT_OLDER = 48, AT_CLOCK = 56, AT_FIRST = 64, AT_NEXT = 80,
	AT_N = 96, AT_POINTS = 104, AT_RULES = 112, AT_SUM = 120,
};
_Static_assert(AT_SUM + 8 == SLICE_HEAD, "the head ends with its sum");

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const char *p, int bytes)
{
	uint64_t v = 0;
	for (int i = bytes; i > 0; i--)
		v = v << 8 | (uint8_t)p[i - 1];
	return v;
}

struct slice_place slice_place(struct span init_id, struct span partition)
{
	uint64_t both[4];
	XXH128_hash_t a = XXH3_128bits(init_id.p, init_id.n), b = XXH3_128bits(partition.p, partition.n);
	both[0] = a.low64, both[1] = a.high64, both[2] = b.low64, both[3] = b.high64;
	XXH128_hash_t h = XXH3_128bits(both, sizeof(both));
	return (struct slice_place){ h.low64, h.high64 };
}

// ---- writing

static void block_out(struct slice_writer *w)
{
	if (w->used == 0)
		return;
	if (w->n_sums == w->size_sums) {
		w->size_sums = w->size_sums * 2 + 16;
		w->sums = xrealloc(w->sums, w->size_sums, sizeof(*w->sums));
	}
	put64((uint8_t *)&w->sums[w->n_sums], XXH3_64bits_withSeed(w->block, w->used, w->seed + w->n_sums));
	w->n_sums++;
	w->good = w->good && w->to->write(w->to, w->block, w->used);
	w->used = 0;
}

void slice_bytes(struct slice_writer *w, const void *p, size_t n)
{
	const char *from = p;
	while (n > 0) {
		size_t part = SLICE_BLOCK - w->used < n ? SLICE_BLOCK - w->used : n;
		memcpy(w->block + w->used, from, part);
		w->used += part;
		from += part;
		n -= part;
		if (w->used == SLICE_BLOCK)
			block_out(w);
	}
}

void slice_begin(struct slice_writer *w, struct byte_sink *to, const struct slice_place *place, const struct slice *head)
{
	uint8_t b[SLICE_HEAD];
	check(head->from >= 0 && head->from < head->to);
	memcpy(b, magic, sizeof(magic));
	put32(b + AT_SCHEMA, SLICE_SCHEMA);
	put32(b + AT_HEAD, SLICE_HEAD);
	put64(b + AT_PLACE, place->lo);
	put64(b + AT_PLACE + 8, place->hi);
	put64(b + AT_FROM, (uint64_t)head->from);
	put64(b + AT_TO, (uint64_t)head->to);
	put64(b + AT_OLDER, (uint64_t)head->older_ms);
	put64(b + AT_CLOCK, (uint64_t)head->clock_ms);
	put64(b + AT_FIRST, (uint64_t)head->first.offset);
	put64(b + AT_FIRST + 8, head->first.print);
	put64(b + AT_NEXT, (uint64_t)head->next.offset);
	put64(b + AT_NEXT + 8, head->next.print);
	put64(b + AT_N, head->n);
	put64(b + AT_POINTS, head->points.n);
	put64(b + AT_RULES, (uint64_t)head->rules);
	uint64_t sum = XXH3_64bits(b, AT_SUM);
	put64(b + AT_SUM, sum);
	*w = (struct slice_writer){ .to = to, .seed = sum, .block = xrealloc(NULL, SLICE_BLOCK, 1) };
	w->good = to->write(to, b, sizeof(b));
	slice_bytes(w, head->points.p, head->points.n);
}

void slice_entry(struct slice_writer *w, const struct bucket_entry *e)
{
	uint8_t b[SLICE_ENTRY + 2];
	put64(b, e->tag);
	put64(b + 8, (uint64_t)e->off | (uint64_t)e->extra << 28 | (uint64_t)e->region << 33);
	slice_bytes(w, b, SLICE_ENTRY);
}

bool slice_end(struct slice_writer *w)
{
	block_out(w);
	bool good = w->good && (w->n_sums == 0 || w->to->write(w->to, w->sums, w->n_sums * sizeof(*w->sums)));
	free(w->sums);
	free(w->block);
	*w = (struct slice_writer){ 0 };
	return good;
}

// ---- reading

bool slice_refuse(char why[SLICE_WHY], const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, SLICE_WHY, fmt, ap);
	va_end(ap);
	return false;
}

static bool head_form(struct span bytes, char why[SLICE_WHY])
{
	if (bytes.n < SLICE_HEAD)
		return slice_refuse(why, "truncated: %zu bytes, the head alone has %d", bytes.n, SLICE_HEAD);
	if (memcmp(bytes.p, magic, sizeof(magic)) != 0)
		return slice_refuse(why, "not a slice of a window of duplicates");
	uint64_t schema = get(bytes.p + AT_SCHEMA, 4);
	if (schema != SLICE_SCHEMA || get(bytes.p + AT_HEAD, 4) != SLICE_HEAD)
		return slice_refuse(why, "schema %" PRIu64 ", this version reads %d", schema, SLICE_SCHEMA);
	if (get(bytes.p + AT_SUM, 8) != XXH3_64bits(bytes.p, AT_SUM))
		return slice_refuse(why, "corrupt: the head does not match its checksum");
	return true;
}

bool slice_read_head(struct span bytes, struct slice_place place, struct slice *ret, char why[SLICE_WHY])
{
	if (!head_form(bytes, why))
		return false;
	const char *p = bytes.p;
	if (get(p + AT_PLACE, 8) != place.lo || get(p + AT_PLACE + 8, 8) != place.hi)
		return slice_refuse(why, "foreign: of another partition, or of a state that another `meterctl init` made");
	struct slice s = { .from = (int64_t)get(p + AT_FROM, 8), .to = (int64_t)get(p + AT_TO, 8), .older_ms = (int64_t)get(p + AT_OLDER, 8),
			   .clock_ms = (int64_t)get(p + AT_CLOCK, 8), .first = { (int64_t)get(p + AT_FIRST, 8), get(p + AT_FIRST + 8, 8) },
			   .next = { (int64_t)get(p + AT_NEXT, 8), get(p + AT_NEXT + 8, 8) }, .n = get(p + AT_N, 8), .rules = (int64_t)get(p + AT_RULES, 8) };
	uint64_t points = get(p + AT_POINTS, 8), rest = bytes.n - SLICE_HEAD;
	if (s.from < 0 || s.to <= s.from || s.to > INT64_MAX / 4 || s.older_ms > s.clock_ms || s.rules < 1)
		return slice_refuse(why, "corrupt: its head makes no sense");
	if (points > rest || s.n > (rest - points) / SLICE_ENTRY)
		return slice_refuse(why, "truncated: %zu bytes, too few for what its head says", bytes.n);
	uint64_t data = points + s.n * SLICE_ENTRY, sums = (data + SLICE_BLOCK - 1) / SLICE_BLOCK * 8;
	if (rest - data != sums)
		return slice_refuse(why, rest - data < sums ? "truncated: %zu bytes, the checksums are not all there" :
			      "corrupt: %zu bytes, more than its head says", bytes.n);
	s.points = (struct span){ p + SLICE_HEAD, points };
	s.entries = (struct span){ p + SLICE_HEAD + points, s.n * SLICE_ENTRY };
	*ret = s;
	return true;
}

bool slice_read(struct span bytes, struct slice_place place, struct slice *ret, char why[SLICE_WHY])
{
	struct slice s;
	if (!slice_read_head(bytes, place, &s, why))
		return false;
	const char *data = s.points.p, *sums = s.entries.p + s.entries.n;
	uint64_t seed = get(bytes.p + AT_SUM, 8);
	size_t n = (size_t)(sums - data);
	for (size_t i = 0; i * SLICE_BLOCK < n; i++) {
		size_t part = n - i * SLICE_BLOCK < SLICE_BLOCK ? n - i * SLICE_BLOCK : SLICE_BLOCK;
		if (get(sums + i * 8, 8) != XXH3_64bits_withSeed(data + i * SLICE_BLOCK, part, seed + i))
			return slice_refuse(why, "corrupt: block %zu does not match its checksum", i);
	}
	*ret = s;
	return true;
}
