// SPDX-License-Identifier: Apache-2.0
// Invariant: an entry in bucket j with home h has its passed bit set in each of h … j-1 (round the region), and a key stands in
// the table once at most. So a walk from the home may stop at the first bucket without the bit. There are seven passed bits, and
// the tag chooses one: with a single bit a new id walks 2.5 buckets in a full window, with seven 1.3.
#include "dedupe/buckets.h"

#include <stddef.h>
#include <sys/mman.h>

#include "base/check.h"

struct bucket {
	uint64_t tag[BUCKET_SLOTS];
	uint32_t off[BUCKET_SLOTS];
	uint32_t word;
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is a cache line");

enum { EXTRA_BITS = 5, EXTRA_MASK = (1 << EXTRA_BITS) - 1, PASSED_SHIFT = BUCKET_SLOTS * EXTRA_BITS, PASSED_BITS = 7 };
_Static_assert(PASSED_SHIFT + PASSED_BITS == 32, "extra and passed bits fill the word");
enum { HUGE_FROM = 16 << 20, GIVE_BACK = 256 }; // bytes; regions
enum { FULL_PERCENT = 82 }; // of the slots, where a whole window is in

struct entry {
	uint64_t tag;
	uint32_t extra, off;
	uint32_t home, passed; // where its walk begins, and its bit in the words of the buckets passed
};

// A permutation of 64 bits that the seed chooses. The seed keeps whoever makes up ids from aiming at one region.
static inline uint64_t stir(uint64_t x, uint64_t seed)
{
	x ^= seed;
	x ^= x >> 33;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbb67ae8584caa73b);
	return x ^ (x >> 32);
}

static inline struct entry entry_of(uint64_t tag, uint32_t extra, uint32_t off, const struct buckets *t)
{
	uint64_t h = stir(tag, t->seed);
	return (struct entry){ .tag = tag, .extra = extra, .off = off,
			       .home = (uint32_t)(((h >> 32) * t->n) >> 32),
			       .passed = UINT32_C(1) << (PASSED_SHIFT + (((h & UINT32_MAX) * PASSED_BITS) >> 32)) };
}

void buckets_entry(struct bucket_entry *ret, struct dedupe_key key, uint64_t seed)
{
	uint64_t high = stir(key.hi, seed);
	ret->tag = key.lo != 0 ? key.lo : 1;
	ret->region = (uint32_t)(high >> (64 - BUCKET_REGION_BITS));
	ret->extra = (uint32_t)(high >> (64 - BUCKET_REGION_BITS - EXTRA_BITS)) & EXTRA_MASK;
}

static inline struct entry entry_new(const struct buckets *t, struct dedupe_key key, uint32_t off, uint32_t *ret_region)
{
	struct bucket_entry e;
	buckets_entry(&e, key, t->seed);
	*ret_region = e.region;
	return entry_of(e.tag, e.extra, off, t);
}

static inline uint32_t extra_of(const struct bucket *b, int slot)
{
	return (b->word >> (slot * EXTRA_BITS)) & EXTRA_MASK;
}

static inline bool live(const struct bucket *b, int slot, struct span_back w)
{
	return b->tag[slot] != 0 && w.now - b->off[slot] <= w.span;
}

_Static_assert(BUCKET_SLOTS == 5, "five slots are written out below");
// Bit s: slot s holds nothing that counts. Without branches: which slot it will be cannot be predicted.
static inline uint32_t spare_slots(const struct bucket *b, struct span_back w)
{
#define SPARE(s) (uint32_t)((b->tag[s] == 0) | (w.now - b->off[s] > w.span)) << (s)
	return SPARE(0) | SPARE(1) | SPARE(2) | SPARE(3) | SPARE(4);
#undef SPARE
}

static inline void fill(struct bucket *b, int slot, const struct entry *e)
{
	uint32_t shift = (uint32_t)(slot * EXTRA_BITS);
	b->tag[slot] = e->tag;
	b->off[slot] = e->off;
	b->word = (b->word & ~((uint32_t)EXTRA_MASK << shift)) | e->extra << shift;
}

static struct bucket *region_at(const struct buckets *t, uint32_t region)
{
	return t->map + (size_t)region * t->n;
}

uint64_t buckets_bytes(const struct buckets *t)
{
	return (uint64_t)t->n * BUCKET_REGIONS * sizeof(struct bucket);
}

static void map_new(struct buckets *t, uint32_t n)
{
	t->n = n;
	size_t bytes = buckets_bytes(t);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		out_of_memory(bytes, 1);
	if (bytes >= HUGE_FROM)
		madvise(p, bytes, MADV_HUGEPAGE); // speed only
	t->map = p;
	t->used = 0;
}

void buckets_init_for(struct buckets *t, uint64_t window, uint64_t seed, uint64_t ids)
{
	uint64_t slots = window * 100 / FULL_PERCENT / BUCKET_REGIONS;
	*t = (struct buckets){ .seed = seed, .n_window = (uint32_t)(slots / BUCKET_SLOTS + (slots < BUCKET_SLOTS ? 2 : 1)) };
	uint64_t n = ids * 3 / 2 / BUCKET_REGIONS / BUCKET_SLOTS + 2;
	map_new(t, n < t->n_window ? (uint32_t)n : t->n_window);
}

void buckets_init(struct buckets *t, uint64_t window, uint64_t seed)
{
	buckets_init_for(t, window, seed, 0);
}

void buckets_free(struct buckets *t)
{
	if (t->map != NULL)
		munmap(t->map, buckets_bytes(t));
	t->map = NULL;
}

void buckets_clear(struct buckets *t)
{
	uint32_t n = t->n;
	buckets_free(t);
	map_new(t, n);
}

void buckets_prefetch(const struct buckets *t, struct dedupe_key key)
{
	uint32_t region;
	struct entry e = entry_new(t, key, 0, &region);
	const struct bucket *b = region_at(t, region) + e.home;
	__builtin_prefetch(b, 1);
	__builtin_prefetch(b + 1, 1); // a third of the walks go on
}

static inline uint32_t after(uint32_t j, uint32_t n)
{
	return j + 1 < n ? j + 1 : 0;
}

// Into the first slot on its walk that holds nothing that counts. False when the region is full.
static bool settle(struct buckets *t, uint32_t region, const struct entry *e, struct span_back w)
{
	struct bucket *at = region_at(t, region);
	for (uint32_t i = 0, j = e->home; i < t->n; i++, j = after(j, t->n)) {
		uint32_t spare = spare_slots(&at[j], w);
		if (spare != 0) {
			int s = __builtin_ctz(spare);
			t->used += at[j].tag[s] == 0;
			fill(&at[j], s, e);
			return true;
		}
		at[j].word |= e->passed;
	}
	return false;
}

static bool move_region(struct buckets *to, const struct buckets *from, uint32_t region, struct span_back w)
{
	const struct bucket *b = region_at(from, region);
	for (uint32_t j = 0; j < from->n; j++, b++)
		for (int s = 0; s < BUCKET_SLOTS; s++) {
			if (!live(b, s, w))
				continue;
			struct entry e = entry_of(b->tag[s], extra_of(b, s), b->off[s], to);
			if (!settle(to, region, &e, w))
				return false;
		}
	return true;
}

// The live entries into a table of n buckets a region; n is never less than now, so that every region has room.
static void remake(struct buckets *t, uint32_t n, struct span_back w)
{
	check(n >= t->n);
	struct buckets to = *t;
	map_new(&to, n);
	for (uint32_t r = 0; r < BUCKET_REGIONS; r++) {
		check(move_region(&to, t, r, w));
		if ((r + 1) % GIVE_BACK == 0) // so that both tables together are never much more than the new one
			madvise(region_at(t, r + 1 - GIVE_BACK), (size_t)GIVE_BACK * t->n * sizeof(struct bucket), MADV_DONTNEED);
	}
	buckets_free(t);
	*t = to;
}

static uint32_t larger(const struct buckets *t)
{
	// One region beyond its share makes the whole table grow: by little, where it is large.
	uint32_t part = t->n >= t->n_window && t->n < 2 * t->n_window && t->n >= 64 ? 16 : 2;
	uint64_t next = (uint64_t)t->n + t->n / part + (t->n == 2 ? 0 : 1);
	if (t->n < t->n_window && next * 5 / 4 >= t->n_window)
		next = t->n_window;
	check(next <= UINT32_MAX / 2);
	return (uint32_t)next;
}

static bool crowded(const struct buckets *t)
{
	return t->n < t->n_window && t->used * 5 >= (uint64_t)t->n * BUCKET_REGIONS * BUCKET_SLOTS * 4;
}

// Four fifths are used: stale entries go, and where those that count fill two thirds the table grows.
static void make_room(struct buckets *t, struct span_back w)
{
	for (uint32_t r = 0; r < BUCKET_REGIONS; r++)
		buckets_sweep(t, r, w);
	if (t->used * 3 > (uint64_t)t->n * BUCKET_REGIONS * BUCKET_SLOTS * 2)
		remake(t, larger(t), w);
}

static inline int slot_of(const struct bucket *b, const struct entry *e)
{
#define SAME(s) (uint32_t)(b->tag[s] == e->tag) << (s)
	uint32_t same = SAME(0) | SAME(1) | SAME(2) | SAME(3) | SAME(4);
#undef SAME
	for (; same != 0; same &= same - 1)
		if (extra_of(b, __builtin_ctz(same)) == e->extra)
			return __builtin_ctz(same);
	return -1;
}

bool buckets_seen(struct buckets *t, struct dedupe_key key, struct span_back w)
{
	uint32_t region;
	struct entry e = entry_new(t, key, w.now, &region);
	struct bucket *at = region_at(t, region);
	for (uint32_t i = 0, j = e.home; i < t->n; i++, j = after(j, t->n)) {
		int s = slot_of(&at[j], &e);
		if (s >= 0) {
			bool seen = live(&at[j], s, w);
			at[j].off[s] = w.now;
			return seen;
		}
		if ((at[j].word & e.passed) == 0)
			break;
	}
	if (crowded(t)) {
		make_room(t, w);
		e = entry_new(t, key, w.now, &region);
	}
	while (!settle(t, region, &e, w)) {
		remake(t, larger(t), w);
		e = entry_new(t, key, w.now, &region);
	}
	return false;
}

static void drop_stale(struct buckets *t, struct bucket *b, struct span_back w)
{
	b->word &= (UINT32_C(1) << PASSED_SHIFT) - 1;
	for (int s = 0; s < BUCKET_SLOTS; s++)
		if (b->tag[s] != 0 && !live(b, s, w)) {
			b->tag[s] = 0;
			t->used--;
		}
}

void buckets_sweep(struct buckets *t, uint32_t region, struct span_back w)
{
	check(region < BUCKET_REGIONS);
	struct bucket *at = region_at(t, region);
	for (uint32_t j = 0; j < t->n; j++)
		drop_stale(t, &at[j], w);
	for (uint32_t j = 0; j < t->n; j++)
		for (int s = 0; s < BUCKET_SLOTS; s++) {
			if (at[j].tag[s] == 0)
				continue;
			struct entry e = entry_of(at[j].tag[s], extra_of(&at[j], s), at[j].off[s], t);
			if (e.home == j)
				continue;
			at[j].tag[s] = 0; // it comes back to this slot at the latest
			t->used--;
			check(settle(t, region, &e, w));
		}
}

bool buckets_next(const struct buckets *t, uint64_t *at, struct span_back w, struct bucket_entry *ret)
{
	uint64_t a_region = (uint64_t)t->n * BUCKET_SLOTS;
	for (uint64_t i = *at; i < a_region * BUCKET_REGIONS; i++) {
		const struct bucket *b = &t->map[i / BUCKET_SLOTS];
		int s = (int)(i % BUCKET_SLOTS);
		if (!live(b, s, w))
			continue;
		*ret = (struct bucket_entry){ .tag = b->tag[s], .region = (uint32_t)(i / a_region), .extra = extra_of(b, s), .off = b->off[s] };
		*at = i + 1;
		return true;
	}
	return false;
}

bool buckets_put(struct buckets *t, const struct bucket_entry *put, struct span_back w)
{
	struct entry e = entry_of(put->tag, put->extra, put->off, t);
	struct bucket *at = region_at(t, put->region);
	struct bucket *room = NULL; // the first one on the walk with a spare slot: those before it have the passed bit, or the walk had ended
	uint32_t spare = 0;
	for (uint32_t i = 0, j = e.home; i < t->n; i++, j = after(j, t->n)) {
		int s = slot_of(&at[j], &e);
		if (s >= 0) {
			at[j].off[s] = e.off;
			return true;
		}
		if (room == NULL && (spare = spare_slots(&at[j], w)) != 0)
			room = &at[j];
		if ((at[j].word & e.passed) == 0)
			break;
	}
	if (room == NULL)
		return settle(t, put->region, &e, w);
	t->used += room->tag[__builtin_ctz(spare)] == 0;
	fill(room, __builtin_ctz(spare), &e);
	return true;
}

void buckets_grow(struct buckets *t, struct span_back w)
{
	remake(t, larger(t), w);
}
