// SPDX-License-Identifier: Apache-2.0
// Records of the accounts topic, one a line, behind a byte each for partition and stamp. What is refused says why, in words that a
// terminal can show; reading the partitions side by side or one after the other makes the same book; and whatever it holds, terms can be
// made of it in which all calls of a month are found again.
// most: 4000
#include "base/fault.h"
#include "base/file.h"
#include "fuzz.h"
#include "rating/deduct.h"
#include "terms/terms.h"

enum { RECORDS = 64, PARTITIONS = 3 };

struct said {
	int32_t partition;
	int64_t offset, stamp_ms;
	struct span value;
};

static const struct catalog *book(void)
{
	static struct catalog *c;
	struct faults faults = { 0 };
	char *text = NULL;
	size_t n = 0;
	if (c != NULL)
		return c;
	fuzz_check(file_read(SOURCE_DIR "/tests/table/terms.yaml", 1 << 20, &text, &n, NULL) == ERROR_NONE);
	c = catalog_parse("terms.yaml", (struct span){ text, n }, &faults);
	fuzz_check(c != NULL);
	free(text);
	return c;
}

static uint32_t read_said(struct span s, struct said *ret)
{
	int64_t offsets[PARTITIONS] = { 0 };
	uint32_t n = 0;
	while (s.n > 0 && n < RECORDS) {
		struct said *x = &ret[n++];
		x->partition = fuzz_byte(&s) % PARTITIONS;
		x->stamp_ms = fuzz_byte(&s);
		x->offset = offsets[x->partition]++;
		x->value = fuzz_until(&s, '\n');
	}
	return n;
}

static void apply(struct account_book *b, const struct said *x)
{
	struct account_fault fault = { .detail = "" };
	if (account_book_apply(b, x->partition, x->offset, x->stamp_ms, x->value, &fault) == ACCOUNT_REFUSED)
		fuzz_check(fault.detail[0] != '\0' && fuzz_printable(fault.detail));
}

static void check_terms(const struct account *a, int64_t stamp_ms, int month)
{
	CLEANUP(arena_free) struct arena arena = { 0 };
	const struct account_horizon h = { .stamp_ms = stamp_ms };
	const struct terms *t = terms_make(book(), a, &h, month, &arena);
	int64_t shared[8], *left = arena_alloc(&arena, (t->n_packs + 1) * sizeof(*left)), taken = 0, room = 0;
	struct deduct_service *d = arena_alloc(&arena, t->n_services * sizeof(*d));
	for (uint32_t i = 0; i < t->n_services; i++) {
		const struct terms_service *s = &t->services[i];
		fuzz_check(s->quota >= 0 && (s->shared < 0 || s->quota == 0) && (s->plan != NULL || s->n_packs == 0));
		d[i] = (struct deduct_service){ .calls = s->plan != NULL ? 1000 : 0, .quota = s->quota, .shared = s->shared, .n_packs = s->n_packs, .packs = s->packs };
		d[i].pack_calls = arena_alloc(&arena, (s->n_packs + 1) * sizeof(int64_t));
	}
	for (uint32_t i = 0; i < t->n_shared; i++)
		shared[i] = t->shared[i].calls;
	for (uint32_t i = 0; i < t->n_packs; i++) {
		fuzz_check(t->packs[i].n_services >= 1 && t->packs[i].first_month <= month && t->packs[i].last_month >= month);
		left[i] = t->packs[i].calls < 5000 ? t->packs[i].calls : 5000;
		room += left[i];
	}
	deduct_month(d, t->n_services, shared, left);
	for (uint32_t i = 0; i < t->n_services; i++)
		taken += d[i].calls - d[i].free - d[i].billable;
	for (uint32_t i = 0; i < t->n_packs; i++)
		room -= left[i];
	fuzz_check(taken == room);
}

// What holds is the same; facts lie elsewhere, so their names and numbers are compared.
static void check_same(const struct account *a, const struct account *b, int64_t stamp_ms)
{
	struct account_thing x[RECORDS], y[RECORDS];
	const struct account_horizon h = { .stamp_ms = stamp_ms };
	uint32_t n = account_as_of(a, &h, x), found = 0;
	fuzz_check(b != NULL && account_as_of(b, &h, y) == n);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < n; k++)
			found += x[i].fact->kind == y[k].fact->kind && span_eq(x[i].fact->id, y[k].fact->id) &&
				 x[i].newest->version == y[k].newest->version && x[i].newest->offset == y[k].newest->offset &&
				 x[i].newest->partition == y[k].newest->partition && x[i].cancelled_month == y[k].cancelled_month;
	fuzz_check(found == n);
}

// Corrections too, whatever is visible.
static void check_same_corrections(const struct account *a, const struct account *b, int64_t stamp_ms)
{
	const struct account_fact *x[RECORDS], *y[RECORDS];
	const struct account_horizon h = { .stamp_ms = stamp_ms };
	uint32_t n = account_corrections(a, NULL, &h, x);
	fuzz_check(account_corrections(b, NULL, &h, y) == n);
	for (uint32_t i = 0; i < n; i++)
		fuzz_check(span_eq(x[i]->id, y[i]->id) && x[i]->partition == y[i]->partition && x[i]->offset == y[i]->offset && x[i]->n_lines > 0);
}

FUZZ(s)
{
	struct said said[RECORDS];
	uint32_t n = read_said(s, said);
	CLEANUP(account_book_freep) struct account_book *a = account_book_new(), *b = account_book_new();
	for (uint32_t i = 0; i < n; i++)
		apply(a, &said[i]);
	for (int32_t p = PARTITIONS - 1; p >= 0; p--)
		for (uint32_t i = 0; i < n; i++)
			if (said[i].partition == p)
				apply(b, &said[i]);
	fuzz_check(account_book_size(a) == account_book_size(b));
	for (uint32_t i = 0; i < account_book_size(a); i++) {
		const struct account *x = account_book_at(a, i);
		for (int64_t stamp = -1; stamp != INT64_MAX; stamp = account_next_change(x, stamp))
			check_same(x, account_book_find(b, x->name), stamp);
		check_same(x, account_book_find(b, x->name), INT64_MAX);
		check_same_corrections(x, account_book_find(b, x->name), INT64_MAX);
		check_same_corrections(x, account_book_find(b, x->name), 100);
		check_terms(x, INT64_MAX, 2020 * 12 + (int)(n % 12));
	}
}
