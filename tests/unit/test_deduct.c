// SPDX-License-Identifier: Apache-2.0
// Free calls and packs: the tables, what must hold of any account, and that it stays fast.
#include "rating/deduct.h"

#include <inttypes.h>
#include <time.h>

#include "base/span.h"
#include "table.h"

enum { MOST = 8 };

static int64_t number(const char *text, const struct table_row *row)
{
	int64_t v = 0;
	cr_assert(span_int64(span_of(text), &v), "%s:%d: `%s` is no number", row->file, row->line, text);
	return v;
}

// "5 3" or "-"
static uint32_t numbers(char *text, const char *between, const struct table_row *row, int64_t *ret)
{
	char *state = NULL;
	uint32_t n = 0;
	if (strcmp(text, "-") == 0)
		return 0;
	for (char *t = strtok_r(text, between, &state); t != NULL; t = strtok_r(NULL, between, &state)) {
		cr_assert(n < MOST);
		ret[n++] = number(t, row);
	}
	return n;
}

struct room {
	uint32_t packs[MOST];
	int64_t given[MOST];
};

// "calls:own quota:shared or -:packs or -"
static void service_of(char *text, const struct table_row *row, struct deduct_service *s, struct room *room)
{
	char *state = NULL;
	int64_t packs[MOST];
	*s = (struct deduct_service){ .packs = room->packs, .pack_calls = room->given, .shared = -1, .free = -7, .billable = -7 };
	s->calls = number(strtok_r(text, ":", &state), row);
	s->quota = number(strtok_r(NULL, ":", &state), row);
	char *shared = strtok_r(NULL, ":", &state);
	if (strcmp(shared, "-") != 0)
		s->shared = (int)number(shared, row);
	s->n_packs = numbers(strtok_r(NULL, ":", &state), ",", row, packs);
	for (uint32_t i = 0; i < s->n_packs; i++) {
		room->packs[i] = (uint32_t)packs[i];
		room->given[i] = -7;
	}
}

static void put_numbers(FILE *f, const char *between, const int64_t *v, uint32_t n)
{
	if (n == 0)
		fputs("-", f);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "%s%" PRId64, i > 0 ? between : "", v[i]);
}

static void put_service(FILE *f, const struct deduct_service *s)
{
	fprintf(f, "%" PRId64 ":%" PRId64 ":", s->free, s->billable);
	put_numbers(f, ",", s->pack_calls, s->n_packs);
}

struct left {
	int64_t shared[MOST], packs[MOST];
	uint32_t n_shared, n_packs;
};

// Against the row's last three fields: services, and what is left.
static void expect_row(const struct table_row *row, const struct deduct_service *services, uint32_t n, const struct left *left, bool overflow)
{
	char got[1000] = "", want[1000];
	FILE *f = fmemopen(got, sizeof(got), "w");
	for (uint32_t i = 0; i < n && !overflow; i++) {
		fputs(i > 0 ? " " : "", f);
		put_service(f, &services[i]);
	}
	fputs(overflow ? "overflow | " : " | ", f);
	put_numbers(f, " ", left->shared, left->n_shared);
	fputs(" | ", f);
	put_numbers(f, " ", left->packs, left->n_packs);
	fclose(f);
	snprintf(want, sizeof(want), "%s | %s | %s", row->field[row->n - 3], row->field[row->n - 2], row->field[row->n - 1]);
	cr_expect_str_eq(got, want, "%s:%d, %s\n  got  %s\n  want %s", row->file, row->line, row->field[0], got, want);
}

static struct left left_of(const struct table_row *row)
{
	struct left left = { 0 };
	left.n_shared = numbers(row->field[1], " ", row, left.shared);
	left.n_packs = numbers(row->field[2], " ", row, left.packs);
	return left;
}

static void month_row(void *ctx, const struct table_row *row)
{
	(void)ctx;
	cr_assert_eq(row->n, 7, "line %d has %d fields", row->line, row->n);
	struct left left = left_of(row);
	struct deduct_service services[MOST];
	struct room rooms[MOST];
	uint32_t n = 0;
	char *state = NULL;
	for (char *t = strtok_r(row->field[3], " ", &state); t != NULL; t = strtok_r(NULL, " ", &state), n++) {
		cr_assert(n < MOST);
		char *copy = strdup(t);
		service_of(copy, row, &services[n], &rooms[n]);
		free(copy);
	}
	deduct_month(services, n, left.shared, left.packs);
	expect_row(row, services, n, &left, false);
}

Test(deduct, month_table)
{
	cr_assert_geq(table_each("deduct.table", month_row, NULL), 35);
}

static void late_row(void *ctx, const struct table_row *row)
{
	(void)ctx;
	cr_assert_eq(row->n, 9, "line %d has %d fields", row->line, row->n);
	struct left left = left_of(row);
	struct deduct_service s;
	struct room room;
	char *state = NULL;
	service_of(row->field[3], row, &s, &room);
	s.free = number(strtok_r(row->field[4], ":", &state), row);
	s.billable = number(strtok_r(NULL, ":", &state), row);
	cr_assert_eq(numbers(strtok_r(NULL, ":", &state), ",", row, room.given), s.n_packs);
	struct deduct_service before = s;
	struct room given = room;
	int64_t more = number(row->field[5], row);
	bool fits = deduct_late(&s, more, left.shared, left.packs);
	if (fits)
		cr_expect_eq(s.calls, before.calls + more);
	else
		cr_expect(memcmp(&s, &before, sizeof(s)) == 0 && memcmp(&room, &given, sizeof(room)) == 0, "line %d changed something", row->line);
	expect_row(row, &s, 1, &left, !fits);
}

Test(deduct, late_table)
{
	cr_assert_geq(table_each("deduct_late.table", late_row, NULL), 25);
}

// --- any account --------------------------------------------------------------------------------------------------------

static uint64_t seed;

static uint32_t any(uint32_t n) // 0 … n-1
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 33) % n);
}

enum { SERVICES = 5, QUOTAS = 2, PACKS = 4 };

struct month {
	struct deduct_service s[SERVICES];
	struct room room[SERVICES];
	int64_t quota[QUOTAS], pack[PACKS], quota_left[QUOTAS], pack_left[PACKS];
};

static void any_month(struct month *m)
{
	for (int i = 0; i < QUOTAS; i++)
		m->quota[i] = any(12);
	for (int i = 0; i < PACKS; i++)
		m->pack[i] = any(12);
	uint32_t order[PACKS] = { 0, 1, 2, 3 };
	for (uint32_t i = PACKS - 1; i > 0; i--) {
		uint32_t k = any(i + 1), t = order[i];
		order[i] = order[k];
		order[k] = t;
	}
	for (int i = 0; i < SERVICES; i++) {
		struct deduct_service *s = &m->s[i];
		*s = (struct deduct_service){ .calls = any(15), .shared = (int)any(QUOTAS + 1) - 1, .packs = m->room[i].packs };
		s->pack_calls = m->room[i].given;
		s->quota = s->shared < 0 ? any(6) : 0;
		for (int k = 0; k < PACKS; k++)
			if (any(2) == 0)
				m->room[i].packs[s->n_packs++] = order[k];
	}
}

static void run(struct month *m)
{
	memcpy(m->quota_left, m->quota, sizeof(m->quota));
	memcpy(m->pack_left, m->pack, sizeof(m->pack));
	deduct_month(m->s, SERVICES, m->quota_left, m->pack_left);
}

// One call at a time, each a look at what is there: slow and obvious.
static void expect_call_by_call(const struct month *m)
{
	int64_t quota[QUOTAS], pack[PACKS];
	memcpy(quota, m->quota, sizeof(quota));
	memcpy(pack, m->pack, sizeof(pack));
	for (int i = 0; i < SERVICES; i++) {
		const struct deduct_service *s = &m->s[i];
		int64_t own = s->quota, free_calls = 0, billable = 0, given[PACKS] = { 0 };
		for (int64_t c = 0; c < s->calls; c++) {
			int64_t *from = s->shared >= 0 ? &quota[s->shared] : &own;
			uint32_t p = 0;
			if (*from > 0) {
				--*from;
				free_calls++;
				continue;
			}
			while (p < s->n_packs && pack[s->packs[p]] == 0)
				p++;
			if (p == s->n_packs) {
				billable++;
				continue;
			}
			pack[s->packs[p]]--;
			given[p]++;
		}
		cr_assert(s->free == free_calls && s->billable == billable);
		for (uint32_t p = 0; p < s->n_packs; p++)
			cr_assert_eq(s->pack_calls[p], given[p]);
	}
	cr_assert(memcmp(quota, m->quota_left, sizeof(quota)) == 0 && memcmp(pack, m->pack_left, sizeof(pack)) == 0);
}

// What deduct.h promises: more calls never make less of anything.
static void expect_monotone(struct month *m)
{
	int64_t billable[SERVICES], quota[QUOTAS], pack[PACKS];
	for (int i = 0; i < SERVICES; i++)
		billable[i] = m->s[i].billable;
	memcpy(quota, m->quota_left, sizeof(quota));
	memcpy(pack, m->pack_left, sizeof(pack));
	m->s[any(SERVICES)].calls += 1 + any(9);
	run(m);
	for (int i = 0; i < SERVICES; i++)
		cr_assert_geq(m->s[i].billable, billable[i]);
	for (int i = 0; i < QUOTAS; i++)
		cr_assert_leq(m->quota_left[i], quota[i]);
	for (int i = 0; i < PACKS; i++)
		cr_assert_leq(m->pack_left[i], pack[i]);
}

Test(deduct, any_account)
{
	for (seed = 1; seed < 1 + 20000; seed++) {
		uint64_t at = seed;
		struct month m;
		any_month(&m);
		run(&m);
		expect_call_by_call(&m);
		expect_monotone(&m);
		seed = at;
	}
}

// Late calls of the last service, with nothing in between: as if they had come in time, but for calls that were charged already.
Test(deduct, late_calls_without_packs_are_as_calls_in_time)
{
	for (seed = 1; seed < 1 + 20000; seed++) {
		uint64_t at = seed;
		struct month m;
		any_month(&m);
		struct deduct_service *s = &m.s[SERVICES - 1];
		s->n_packs = any(2) == 0 ? 0 : s->n_packs;
		run(&m);
		bool uncharged = s->billable == 0;
		struct month twin = m;
		for (int i = 0; i < SERVICES; i++) {
			twin.s[i].packs = twin.room[i].packs;
			twin.s[i].pack_calls = twin.room[i].given;
		}
		struct deduct_service *t = &twin.s[SERVICES - 1];
		int64_t more = any(20);
		cr_assert(deduct_late(s, more, m.quota_left, m.pack_left));
		t->calls += more;
		run(&twin);
		if (s->n_packs == 0 || uncharged) {
			cr_assert(s->free == t->free && s->billable == t->billable && s->calls == t->calls);
			cr_assert(memcmp(m.quota_left, twin.quota_left, sizeof(m.quota_left)) == 0);
			cr_assert(memcmp(m.pack_left, twin.pack_left, sizeof(m.pack_left)) == 0);
		}
		int64_t given = 0;
		for (uint32_t i = 0; i < s->n_packs; i++)
			given += s->pack_calls[i];
		cr_assert_eq(s->calls, s->free + given + s->billable);
		seed = at;
	}
}

// --- extremes -----------------------------------------------------------------------------------------------------------

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

Test(deduct, all_of_63_bits)
{
	uint32_t pack = 0;
	int64_t given = 0, shared = INT64_MAX, left = INT64_MAX;
	struct deduct_service s[2] = { { .calls = INT64_MAX, .shared = 0 }, { .calls = INT64_MAX, .shared = 0, .n_packs = 1, .packs = &pack, .pack_calls = &given } };
	deduct_month(s, 2, &shared, &left);
	cr_assert(s[0].free == INT64_MAX && s[0].billable == 0 && s[1].free == 0 && s[1].billable == 0);
	cr_assert(given == INT64_MAX && left == 0 && shared == 0);
}

// 10,000 services and 100,000 packs of 64 services each: work grows with what is named, not with its product.
Test(deduct, a_hundred_thousand_packs)
{
	enum { S = 10000, P = 100000, EACH = 64 };
	uint32_t *packs = calloc((size_t)P * EACH, sizeof(*packs));
	int64_t *given = calloc((size_t)P * EACH, sizeof(*given)), *left = calloc(P, sizeof(*left)), in_all = 0;
	struct deduct_service *s = calloc(S, sizeof(*s));
	for (uint32_t i = 0; i < P; i++)
		left[i] = 1000;
	for (uint32_t i = 0; i < S; i++) { // each service is covered by 640 packs
		s[i] = (struct deduct_service){ .calls = 20000, .shared = -1, .n_packs = P * EACH / S };
		s[i].packs = packs + (size_t)i * s[i].n_packs;
		s[i].pack_calls = given + (size_t)i * s[i].n_packs;
		for (uint32_t k = 0; k < s[i].n_packs; k++)
			packs[(size_t)i * s[i].n_packs + k] = (uint32_t)(((uint64_t)i * 7919 + (uint64_t)k * 104729) % P);
	}
	double begin = seconds();
	deduct_month(s, S, NULL, left);
	double took = seconds() - begin;
	for (uint32_t i = 0; i < S; i++)
		in_all += s[i].calls - s[i].billable;
	for (uint32_t i = 0; i < P; i++)
		in_all += left[i];
	cr_assert_eq(in_all, (int64_t)P * 1000);
	fprintf(stderr, "deduct_month: 10,000 services, 100,000 packs of 64 services: %.3f s\n", took);
	cr_assert_lt(took, 5.0);
	free(packs);
	free(given);
	free(left);
	free(s);
}
