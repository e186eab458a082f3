// SPDX-License-Identifier: Apache-2.0
// What holds for an account in a month: the table of what interacts, and large accounts.
#include "terms/terms.h"

#include <inttypes.h>
#include <time.h>

#include "base/fault.h"
#include "rating/deduct.h"
#include "table.h"

enum { PACKS_MOST = 16, TEXT = 600 };

static struct catalog *book_of(const char *name)
{
	char path[400], *text = NULL;
	size_t size = 0;
	struct faults faults = { 0 };
	snprintf(path, sizeof(path), SOURCE_DIR "/tests/table/%s", name);
	FILE *f = fopen(path, "r");
	cr_assert(f != NULL, "%s", path);
	ssize_t n = getdelim(&text, &size, '\0', f);
	fclose(f);
	struct catalog *c = catalog_parse(name, (struct span){ text, (size_t)n }, &faults);
	faults_print(&faults, (struct span){ text, (size_t)n }, stderr);
	cr_assert_not_null(c);
	free(text);
	return c;
}

// One account, and what its settled months took of packs.
struct scene {
	struct catalog *books[2], *catalog;
	struct account_book *accounts;
	struct arena arena;
	int64_t said;
	uint32_t n_used;
	struct used {
		struct span id;
		int64_t calls;
	} used[PACKS_MOST];
	int rows[5];
};

static int month_of(const char *text, const struct table_row *row)
{
	int month = MONTH_NONE;
	if (strcmp(text, "-") != 0)
		cr_assert(month_parse(span_of(text), &month), "%s:%d: `%s`", row->file, row->line, text);
	return month;
}

static struct terms *terms_of(struct scene *s, int month)
{
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	return terms_make(s->catalog, account_book_find(s->accounts, SPAN_LIT("A")), &all, month, &s->arena);
}

static uint32_t service_of(const struct scene *s, const char *id)
{
	uint32_t service = 0;
	cr_assert(catalog_find_id(s->catalog, span_of(id), &service), "%s", id);
	return service;
}

static void expect(const struct table_row *row, const char *got, int from)
{
	char want[TEXT];
	int n = 0;
	for (int i = from; i < row->n; i++)
		n += snprintf(want + n, sizeof(want) - (size_t)n, "%s%s", i > from ? " | " : "", row->field[i]);
	cr_expect_str_eq(got, want, "line %d\n  got  %s\n  want %s", row->line, got, want);
}

static const char *plan_text(const struct plan *p, char buf[64])
{
	char price[MONEY_TEXT];
	if (p == NULL)
		return "free";
	snprintf(buf, 64, "%s %s", money_price_text(p->tiers[0].price_micro, price), tier_basis_text(p->tier_basis));
	return buf;
}

static void plan_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 8, "line %d", row->line);
	const struct terms *t = terms_of(s, month_of(row->field[1], row));
	const struct terms_service *x = &t->services[service_of(s, row->field[2])];
	char got[TEXT], own[64], list[64], warn[MONEY_TEXT];
	snprintf(got, sizeof(got), "%s | %s | %" PRId64 "/%" PRId64 " %s | %s | %.*s", plan_text(x->plan, own), plan_text(x->list, list), x->quota,
		 x->quota_first, x->warn_micro == 0 ? "none" : money_price_text(x->warn_micro, warn),
		 x->shared < 0 ? "-" : t->shared[x->shared].id, x->contract.n > 0 ? (int)x->contract.n : 1, x->contract.n > 0 ? x->contract.p : "-");
	expect(row, got, 3);
}

static void set_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 5, "line %d", row->line);
	const struct terms *t = terms_of(s, month_of(row->field[1], row));
	char got[TEXT] = "none | -";
	for (uint32_t i = 0; i < t->n_shared; i++) {
		const struct terms_shared *x = &t->shared[i];
		cr_assert_str_eq(x->id, row->field[2]);
		int n = snprintf(got, sizeof(got), "%" PRId64 "/%" PRId64 " | ", x->calls, x->calls_first);
		for (uint32_t k = 0; k < x->n_services; k++) {
			cr_expect_eq(t->services[x->services[k]].shared, (int)i);
			n += snprintf(got + n, sizeof(got) - (size_t)n, "%s%s", k > 0 ? " " : "", catalog_service_id(s->catalog, x->services[k]));
		}
	}
	expect(row, got, 3);
}

static void packs_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 3, "line %d", row->line);
	int month = month_of(row->field[1], row), n = 0;
	const struct terms *t = terms_of(s, month);
	char got[TEXT] = "-";
	for (uint32_t i = 0; i < t->n_packs; i++) {
		n += snprintf(got + n, sizeof(got) - (size_t)n, "%s%.*s", i > 0 ? " " : "", (int)t->packs[i].id.n, t->packs[i].id.p);
		cr_expect(t->packs[i].first_month <= month && month <= t->packs[i].last_month);
	}
	expect(row, got, 2);
}

static void first_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 5, "line %d", row->line);
	const struct terms *t = terms_of(s, month_of(row->field[1], row));
	char got[TEXT];
	snprintf(got, sizeof(got), "%s | %s", terms_activation(t, month_of(row->field[2], row)) ? "yes" : "no", terms_ask_activation(t) ? "yes" : "no");
	expect(row, got, 3);
}

// --- a month's deduction ------------------------------------------------------------------------------------------------

static struct used *used_of(struct scene *s, struct span id)
{
	for (uint32_t i = 0; i < s->n_used; i++)
		if (span_eq(s->used[i].id, id))
			return &s->used[i];
	cr_assert(s->n_used < PACKS_MOST);
	s->used[s->n_used] = (struct used){ id, 0 };
	return &s->used[s->n_used++];
}

struct month {
	const struct terms *terms;
	struct deduct_service *services;
	int64_t shared_left[8], pack_left[PACKS_MOST];
};

static void prepare(struct scene *s, struct month *m, bool first)
{
	const struct terms *t = m->terms;
	m->services = arena_alloc(&s->arena, t->n_services * sizeof(*m->services));
	for (uint32_t i = 0; i < t->n_services; i++) {
		const struct terms_service *x = &t->services[i];
		m->services[i] = (struct deduct_service){ .quota = first ? x->quota_first : x->quota, .shared = x->shared, .n_packs = x->n_packs,
							   .packs = x->packs, .pack_calls = arena_alloc(&s->arena, x->n_packs * sizeof(int64_t) + 8) };
	}
	for (uint32_t i = 0; i < t->n_shared; i++)
		m->shared_left[i] = first ? t->shared[i].calls_first : t->shared[i].calls;
	for (uint32_t i = 0; i < t->n_packs; i++) {
		int64_t left = t->packs[i].calls - used_of(s, t->packs[i].id)->calls;
		m->pack_left[i] = left > 0 ? left : 0;
	}
}

static void put_service(FILE *f, struct scene *s, const struct month *m, uint32_t service)
{
	const struct deduct_service *d = &m->services[service];
	const struct terms_service *x = &m->terms->services[service];
	int64_t given = d->calls - d->free - d->billable;
	uint32_t tier = rating_tier(x->plan, x->plan->tier_basis == TIER_BY_TOTAL ? d->calls : d->billable);
	fprintf(f, "%s%s: %" PRId64 "+%" PRId64 "+%" PRId64 " t%u", ftell(f) > 0 ? "; " : "", catalog_service_id(s->catalog, service), d->free, given,
		d->billable, tier + 1);
	const char *before = " (";
	for (uint32_t i = 0; i < d->n_packs; i++) {
		struct span id = m->terms->packs[d->packs[i]].id;
		if (d->pack_calls[i] == 0)
			continue;
		used_of(s, id)->calls += d->pack_calls[i];
		fprintf(f, "%s%.*s %" PRId64, before, (int)id.n, id.p, d->pack_calls[i]);
		before = ", ";
	}
	fputs(given > 0 ? ")" : "", f);
}

static void bill_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 5, "line %d", row->line);
	struct month m = { .terms = terms_of(s, month_of(row->field[1], row)) };
	char got[TEXT] = "", *state = NULL;
	prepare(s, &m, terms_activation(m.terms, month_of(row->field[2], row)));
	for (char *w = strtok_r(row->field[3], " ", &state); w != NULL; w = strtok_r(NULL, " ", &state)) {
		char *equal = strchr(w, '=');
		*equal = '\0';
		uint32_t service = service_of(s, w);
		cr_assert(span_int64(span_of(equal + 1), &m.services[service].calls));
		if (m.terms->services[service].plan == NULL) {
			m.services[service].calls = 0; // metered, and nothing else
			cr_expect_eq(m.terms->services[service].n_packs, 0, "line %d: at price 0 a pack covers nothing", row->line);
		}
	}
	deduct_month(m.services, m.terms->n_services, m.shared_left, m.pack_left);
	FILE *f = fmemopen(got, sizeof(got), "w");
	for (uint32_t i = 0; i < m.terms->n_services; i++)
		if (m.services[i].calls > 0)
			put_service(f, s, &m, i);
	fclose(f);
	expect(row, got, 4);
}

static void begin(struct scene *s, bool by_start)
{
	account_book_freep(&s->accounts);
	arena_reset(&s->arena);
	s->accounts = account_book_new();
	s->catalog = s->books[by_start];
	s->said = 0;
	s->n_used = 0;
}

static void terms_row(void *ctx, const struct table_row *row)
{
	static const struct {
		const char *word;
		void (*row)(struct scene *s, const struct table_row *row);
	} words[] = { { "plan", plan_row }, { "set", set_row }, { "packs", packs_row }, { "first", first_row }, { "bill", bill_row } };
	struct scene *s = ctx;
	const char *word = row->field[0];
	struct account_fault fault = { .detail = "" };
	if (strcmp(word, "scene") == 0 || strcmp(word, "scene by-start") == 0) {
		begin(s, strlen(word) > 5);
		return;
	}
	if (strcmp(word, "say") == 0) {
		enum account_applied how = account_book_apply(s->accounts, 0, s->said, s->said, span_of(row->field[1]), &fault);
		cr_assert_eq(how, ACCOUNT_TAKEN, "line %d: %s", row->line, fault.detail);
		s->said++;
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			words[i].row(s, row);
			s->rows[i]++;
			return;
		}
	cr_assert_fail("%s:%d: unknown word `%s`", row->file, row->line, word);
}

Test(terms, table)
{
	struct scene s = { .books = { book_of("terms.yaml"), book_of("terms_by_start.yaml") } };
	table_each("terms.table", terms_row, &s);
	for (int i = 0; i < 5; i++)
		cr_assert_gt(s.rows[i], 5);
	account_book_freep(&s.accounts);
	arena_free(&s.arena);
	catalog_freep(&s.books[0]);
	catalog_freep(&s.books[1]);
}

// An account of which nothing was said has the price list.
Test(terms, nothing_was_said)
{
	struct catalog *c = book_of("terms.yaml");
	struct arena arena = { 0 };
	const struct terms *t = terms_make(c, NULL, NULL, 2020 * 12 + 1, &arena);
	cr_assert(t->n_services == 7 && t->n_packs == 0 && t->activated_month == MONTH_NONE && t->month == 2020 * 12 + 1);
	for (uint32_t i = 0; i < t->n_services; i++)
		cr_assert(t->services[i].plan == catalog_plan(c, i, t->month) && t->services[i].plan == t->services[i].list);
	arena_free(&arena);
	catalog_freep(&c);
}

// A fact that is not visible yet changes nothing.
Test(terms, as_of)
{
	struct catalog *c = book_of("terms.yaml");
	struct account_book *b = account_book_new();
	struct arena arena = { 0 };
	struct account_fault fault;
	const char *text = "{\"type\":\"contract\",\"account\":\"A\",\"id\":\"c\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"tag\",\"free\":{\"calls\":7}}]}";
	cr_assert_eq(account_book_apply(b, 0, 5, 1000, span_of(text), &fault), ACCOUNT_TAKEN);
	const struct account *a = account_book_find(b, SPAN_LIT("A"));
	struct account_cut cut = { 0, 5 };
	struct account_horizon before = { .stamp_ms = 999 }, at = { .stamp_ms = 1000 }, below = { .stamp_ms = INT64_MAX, .with_cuts = true, .n_cuts = 1, .cuts = &cut };
	cr_assert_eq(terms_make(c, a, &before, 2020 * 12, &arena)->services[0].quota, 100);
	cr_assert_eq(terms_make(c, a, &at, 2020 * 12, &arena)->services[0].quota, 7);
	cr_assert_eq(terms_make(c, a, &below, 2020 * 12, &arena)->services[0].quota, 100);
	cut.offset = 6;
	cr_assert_eq(terms_make(c, a, &below, 2020 * 12, &arena)->services[0].quota, 7);
	arena_free(&arena);
	account_book_freep(&b);
	catalog_freep(&c);
}

// A pack stands under the version that was heard last, also where that cancelled it.
Test(terms, a_cancelled_pack_has_the_version_of_its_cancellation)
{
	struct catalog *c = book_of("terms.yaml");
	struct account_book *b = account_book_new();
	struct arena arena = { 0 };
	struct account_fault fault;
	static const char *const said[] = { "{\"type\":\"pack\",\"account\":\"A\",\"id\":\"p\",\"version\":1,\"services\":[\"tag\"],\"calls\":5,\"price\":\"1\","
		"\"start\":\"2020-01-01T00:00:00Z\",\"expiry\":\"2021-01-01T00:00:00Z\"}",
		"{\"type\":\"pack.cancelled\",\"account\":\"A\",\"id\":\"p\",\"version\":4,\"from\":\"2020-06\"}" };
	for (int i = 0; i < 2; i++)
		cr_assert_eq(account_book_apply(b, 0, i, i, span_of(said[i]), &fault), ACCOUNT_TAKEN);
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	const struct terms *t = terms_make(c, account_book_find(b, SPAN_LIT("A")), &all, 2020 * 12, &arena);
	cr_assert(t->n_packs == 1 && t->packs[0].version == 4 && t->packs[0].last_month == 2020 * 12 + 4 && t->packs[0].calls == 5);
	arena_free(&arena);
	account_book_freep(&b);
	catalog_freep(&c);
}

// --- extremes -----------------------------------------------------------------------------------------------------------

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum { SERVICES = 10000, PACKS = ACCOUNT_PACKS_MOST / 8, EACH = 8, SHARED = 2000 };

static struct catalog *wide_book(void)
{
	char *text = NULL;
	size_t size = 0;
	struct faults faults = { 0 };
	FILE *f = open_memstream(&text, &size);
	fputs("version: v\ncurrency: CNY\ntime_zone: Asia/Shanghai\nservices:\n", f);
	for (int i = 0; i < SERVICES; i++)
		fprintf(f, "  - {id: s%d, name: S, prices: [{from: 2020-01, model: flat, per: 1, price: 1}]}\n", i);
	fputs("shared_free:\n", f);
	for (int i = 0; i < SHARED; i++)
		fprintf(f, "  - {id: q%d, services: [s%d, s%d, s%d, s%d, s%d], free: [{from: 2020-01, calls: 10}]}\n", i, i, i + SHARED, i + 2 * SHARED,
			i + 3 * SHARED, i + 4 * SHARED);
	fclose(f);
	double begin = seconds();
	struct catalog *c = catalog_parse("wide.yaml", span_of(text), &faults);
	fprintf(stderr, "catalog: 10,000 services, 2,000 shared quotas read in %.2f s\n", seconds() - begin);
	cr_assert(c != NULL && faults.n == 0);
	free(text);
	return c;
}

static struct account_book *deep_book(void)
{
	struct account_book *b = account_book_new();
	struct account_fault fault;
	for (int i = 0; i < PACKS; i++) {
		char text[600];
		int n = snprintf(text, sizeof(text), "{\"type\":\"pack\",\"account\":\"A\",\"id\":\"p%d\",\"version\":1,\"calls\":1000,\"price\":\"1\","
				 "\"start\":\"2020-01-01T00:00:00Z\",\"expiry\":\"2021-01-%02dT00:00:00Z\",\"services\":[", i, i % 28 + 1);
		for (int k = 0; k < EACH; k++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"s%d\"", k > 0 ? "," : "", (i * EACH + k) % SERVICES);
		snprintf(text + n, sizeof(text) - (size_t)n, "]}");
		cr_assert_eq(account_book_apply(b, 0, i, i, span_of(text), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
	}
	return b;
}

// 10,000 services, 2,000 shared quotas, and as many packs of 8 services as an account may have.
Test(terms, wide_and_deep, .timeout = 240)
{
	struct catalog *c = wide_book();
	struct account_book *b = deep_book();
	struct arena arena = { 0 };
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	double begin = seconds();
	const struct terms *t = terms_make(c, account_book_find(b, SPAN_LIT("A")), &all, 2020 * 12 + 5, &arena);
	double took = seconds() - begin;
	fprintf(stderr, "terms_make: 10,000 services, 1,250 packs of 8 services: %.3f s\n", took);
	cr_assert(t->n_packs == PACKS && t->n_shared == SHARED);
	uint64_t covered = 0;
	for (uint32_t i = 0; i < t->n_services; i++) {
		covered += t->services[i].n_packs;
		for (uint32_t k = 1; k < t->services[i].n_packs; k++)
			cr_assert_lt(t->services[i].packs[k - 1], t->services[i].packs[k]);
	}
	cr_assert_eq(covered, (uint64_t)PACKS * EACH);
	for (uint32_t i = 1; i < t->n_packs; i++)
		cr_assert_leq(t->packs[i - 1].expiry_ms, t->packs[i].expiry_ms);
	begin = seconds();
	t = terms_make(c, NULL, NULL, 2020 * 12 + 5, &arena);
	fprintf(stderr, "terms_make: 10,000 services, nothing said: %.4f s\n", seconds() - begin);
	cr_assert(took < 10 && t->n_packs == 0);
	arena_free(&arena);
	account_book_freep(&b);
	catalog_freep(&c);
}
