// SPDX-License-Identifier: Apache-2.0
// Forecasts: the table, against a closed formula for whole random months, and at the ends of the integers.
#include "terms/forecast.h"

#include <inttypes.h>
#include <time.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/file.h"
#include "table.h"

enum { JANUARY = 2020 * 12 };
#define DAY INT64_C(86400000)

static const char *const facts[] = {
	"{\"type\":\"pack\",\"account\":\"packs\",\"id\":\"p-2\",\"version\":1,\"services\":[\"tag\",\"crop\"],\"calls\":4000,\"price\":\"9.00\","
	"\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}",
	"{\"type\":\"pack\",\"account\":\"packs\",\"id\":\"p-1\",\"version\":1,\"services\":[\"tag\"],\"calls\":5000,\"price\":\"9.00\","
	"\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-04-01T00:00:00+08:00\"}",
	"{\"type\":\"contract\",\"account\":\"basis\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"tag\",\"prices\":"
	"{\"model\":\"volume\",\"per\":1000,\"tier_basis\":\"billable\",\"tiers\":[{\"from\":0,\"price\":\"2\"},{\"from\":5000,\"price\":\"1\"}]}}]}",
	"{\"type\":\"pack\",\"account\":\"basis\",\"id\":\"p-3\",\"version\":1,\"services\":[\"tag\"],\"calls\":1000,\"price\":\"9.00\","
	"\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-04-01T00:00:00+08:00\"}",
	"{\"type\":\"contract\",\"account\":\"upper\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"tag\",\"prices\":"
	"{\"model\":\"volume\",\"per\":1000,\"bounds\":\"upper-inclusive\",\"tier_basis\":\"billable\",\"tiers\":[{\"from\":0,\"price\":\"2\"},"
	"{\"from\":5000,\"price\":\"1\"}]}}]}",
};

struct world {
	struct catalog *catalog;
	struct account_book *book;
	struct arena arena;
	struct rating_slice slices[RATING_MAX_SLICES];
};

static struct world *world_make(void)
{
	struct world *w = xcalloc(1, sizeof(*w));
	char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct faults faults = { 0 };
	struct account_fault fault;
	cr_assert_eq(file_read(SOURCE_DIR "/tests/table/settlement.yaml", 1 << 20, &text, &n, &e), ERROR_NONE);
	w->catalog = catalog_parse("book", (struct span){ text, n }, &faults);
	cr_assert_not_null(w->catalog);
	w->book = account_book_new();
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		cr_assert_eq(account_book_apply(w->book, 0, (int64_t)i, 1, span_of(facts[i]), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
	free(text);
	return w;
}

static const struct terms *terms_of(struct world *w, const char *account)
{
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	return terms_make(w->catalog, account_book_find(w->book, span_of(account)), &all, JANUARY, &w->arena);
}

static uint32_t service_of(const struct world *w, const char *name)
{
	uint32_t service = 0;
	cr_assert(catalog_find_id(w->catalog, span_of(name), &service), "%s", name);
	return service;
}

// "10d+86409" -> ms since the month began
static int64_t instant(const char *text)
{
	int64_t days = 0, ms = 0;
	const char *d = strchr(text, 'd');
	cr_assert(d != NULL && span_int64((struct span){ text, (size_t)(d - text) }, &days), "%s", text);
	cr_assert(d[1] == '\0' || (d[1] == '+' && span_int64(span_of(d + 2), &ms)), "%s", text);
	return days * DAY + ms;
}

static const char *point_text(const struct forecast_clock *c, struct forecast_point p, char buf[40])
{
	static const char *const words[] = { [FORECAST_NONE] = "none", [FORECAST_REACHED] = "reached", [FORECAST_NOT] = "not" };
	int64_t ms = p.at_ms - c->start_ms;
	if (p.when != FORECAST_AT)
		return words[p.when];
	if (ms % DAY == 0)
		snprintf(buf, 40, "%" PRId64 "d", ms / DAY);
	else
		snprintf(buf, 40, "%" PRId64 "d+%" PRId64, ms / DAY, ms % DAY);
	return buf;
}

static void packs_text(struct forecast *f, char *buf, size_t size)
{
	size_t at = 0;
	snprintf(buf, size, "-");
	for (uint32_t i = 0; i < f->terms->n_packs; i++) {
		struct forecast_point p;
		char text[40];
		cr_assert(forecast_pack(f, i, &p));
		at += (size_t)snprintf(buf + at, size - at, "%s%.*s=%s", i > 0 ? " " : "", (int)f->terms->packs[i].id.n, f->terms->packs[i].id.p,
				       point_text(&f->clock, p, text));
	}
}

static void on_row(void *ctx, const struct table_row *row)
{
	struct world *w = ctx;
	cr_assert_eq(row->n, 10, "%s:%d", row->file, row->line);
	char got[300], want[300], a[40], b[40], packs[100], charge[MONEY_TEXT], *state = NULL, *copy = strdup(row->field[3]);
	const struct terms *t = terms_of(w, row->field[1]);
	int64_t start = period_start_ms(catalog_zone(w->catalog), JANUARY);
	struct forecast_clock c = { start, start + 31 * DAY, start + instant(row->field[2]) };
	cr_assert_eq(c.end_ms, period_end_ms(catalog_zone(w->catalog), JANUARY));
	int64_t *calls = xcalloc(t->n_services, sizeof(*calls)), *left = xcalloc(t->n_packs + 1, sizeof(*left));
	for (char *word = strtok_r(copy, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
		char *equals = strchr(word, '=');
		*equals = '\0';
		cr_assert(span_int64(span_of(equals + 1), &calls[service_of(w, word)]));
	}
	for (uint32_t i = 0; i < t->n_packs; i++)
		left[i] = t->packs[i].calls;
	struct forecast f;
	struct forecast_line l;
	forecast_make(t, &c, false, calls, left, &w->arena, &f);
	packs_text(&f, packs, sizeof(packs));
	if (forecast_service(&f, service_of(w, row->field[4]), ROUND_HALF_UP, w->slices, &l))
		snprintf(got, sizeof(got), "%s | %s | %s | %" PRId64 " | %s", point_text(&c, l.free_end, a), point_text(&c, l.next_tier, b), packs,
			 l.bill.calls, money_fen_text(l.bill.charge_fen, charge));
	else
		snprintf(got, sizeof(got), "none | none | %s | - | -", packs);
	snprintf(want, sizeof(want), "%s | %s | %s | %s | %s", row->field[5], row->field[6], row->field[7], row->field[8], row->field[9]);
	cr_expect_str_eq(got, want, "%s:%d %s\ngot  %s\nwant %s", row->file, row->line, row->field[0], got, want);
	free(calls);
	free(left);
	free(copy);
}

Test(forecast, table)
{
	struct world *w = world_make();
	cr_expect_geq(table_each("forecast.table", on_row, w), 22);
}

Test(forecast, a_clock_that_knows_no_rate)
{
	cr_expect_not(forecast_known(&(struct forecast_clock){ 1000, 2000, 1000 }));
	cr_expect_not(forecast_known(&(struct forecast_clock){ 1000, 2000, 999 }));
	cr_expect_not(forecast_known(&(struct forecast_clock){ 1000, 2000, TIME_NONE }));
	cr_expect(forecast_known(&(struct forecast_clock){ 1000, 2000, 1001 }));
	cr_expect(forecast_known(&(struct forecast_clock){ 1000, 2000, INT64_MAX }));
}

Test(forecast, ends_of_the_integers)
{
	struct forecast_clock c = { 0, 31 * DAY, 1 };
	int64_t v = 7;
	cr_expect(forecast_calls(&c, INT64_MAX, 1, &v) && v == INT64_MAX);
	cr_expect_not(forecast_calls(&c, INT64_MAX, 2, &v));
	cr_expect(forecast_calls(&c, INT64_MAX / (31 * DAY), 31 * DAY, &v) && v == INT64_MAX / (31 * DAY) * (31 * DAY));
	struct world *w = world_make();
	const struct terms *t = terms_of(w, "plain");
	int64_t *calls = xcalloc(t->n_services, sizeof(*calls));
	calls[service_of(w, "crop")] = INT64_MAX; // its forecast has no room; the others share nothing with it, and have theirs
	struct forecast f;
	struct forecast_line l;
	forecast_make(t, &c, false, calls, NULL, &w->arena, &f);
	cr_expect_not(forecast_service(&f, service_of(w, "crop"), ROUND_HALF_UP, w->slices, &l));
	cr_expect(forecast_service(&f, service_of(w, "tag"), ROUND_HALF_UP, w->slices, &l));
	c.now_ms = c.end_ms; // the month is over: nothing grows
	forecast_make(t, &c, false, calls, NULL, &w->arena, &f);
	cr_expect(forecast_service(&f, service_of(w, "crop"), ROUND_HALF_UP, w->slices, &l));
	cr_expect_eq(l.bill.calls, INT64_MAX);
}

Test(forecast, the_month_of_activation)
{
	struct world *w = world_make();
	const struct terms *t = terms_of(w, "plain");
	int64_t *calls = xcalloc(t->n_services, sizeof(*calls));
	struct forecast_clock c = { 0, 31 * DAY, 10 * DAY };
	struct forecast f;
	struct forecast_line l;
	uint32_t next = service_of(w, "next");
	calls[next] = 1000;
	forecast_make(t, &c, true, calls, NULL, &w->arena, &f);
	cr_expect(forecast_service(&f, next, ROUND_HALF_UP, w->slices, &l));
	cr_expect(l.free_end.when == FORECAST_NONE && l.bill.charge_fen == 310);
	forecast_make(t, &c, false, calls, NULL, &w->arena, &f);
	cr_expect(forecast_service(&f, next, ROUND_HALF_UP, w->slices, &l));
	cr_expect(l.free_end.when == FORECAST_NOT && l.bill.charge_fen == 0);
}

// One service by itself: it gets to n calls at start + ceil(n × elapsed / calls).
Test(forecast, equals_the_closed_formula)
{
	struct world *w = world_make();
	const struct terms *t = terms_of(w, "plain");
	int64_t *calls = xcalloc(t->n_services, sizeof(*calls)), at_some = 0;
	uint32_t tag = service_of(w, "tag"), seed = 5;
	for (int i = 0; i < 4000; i++) {
		seed = seed * 1664525u + 1013904223u;
		int64_t elapsed = 1 + (int64_t)(seed % (31u * 86400u)) * 1000;
		seed = seed * 1664525u + 1013904223u;
		calls[tag] = 1 + (int64_t)(seed >> 8) % (i % 2 == 0 ? 20000 : 1500000);
		struct forecast_clock c = { 777, 777 + 31 * DAY, 777 + elapsed };
		struct forecast f;
		struct forecast_line l;
		struct arena_mark mark = arena_mark(&w->arena);
		forecast_make(t, &c, false, calls, NULL, &w->arena, &f);
		cr_assert(forecast_service(&f, tag, ROUND_HALF_UP, w->slices, &l));
		static const int64_t bounds[] = { 10000, 1000000 };
		for (int k = 0; k < 2; k++) {
			struct forecast_point p = k == 0 ? l.free_end : l.next_tier;
			int64_t due = 777 + (bounds[k] * elapsed + calls[tag] - 1) / calls[tag];
			enum forecast_when when = calls[tag] >= bounds[k] ? k == 0 ? FORECAST_REACHED : FORECAST_NONE : due <= c.end_ms ? FORECAST_AT : FORECAST_NOT;
			cr_assert_eq(p.when, when, "%" PRId64 " calls in %" PRId64, calls[tag], elapsed);
			cr_assert(when != FORECAST_AT || p.at_ms == due, "%" PRId64 " not %" PRId64, p.at_ms, due);
			at_some += when == FORECAST_AT;
		}
		cr_assert_eq(l.bill.calls, calls[tag] * (31 * DAY) / elapsed);
		arena_rewind(&w->arena, mark);
	}
	cr_expect_gt(at_some, 500);
}

// An account that uses ten thousand services: the forecast of each is its own, and all of them together take as long as they are many.
Test(forecast, ten_thousand_services)
{
	enum { N = 10000 };
	char *text = NULL;
	size_t size = 0;
	struct faults faults = { 0 };
	CLEANUP(arena_free) struct arena arena = { 0 };
	FILE *f = open_memstream(&text, &size);
	fputs("version: v\ncurrency: CNY\ntime_zone: Asia/Shanghai\nservices:\n", f);
	for (int i = 0; i < N; i++)
		fprintf(f, "  - {id: s%d, name: S, free: [{from: 2020-01, calls: 600}], prices: [{from: 2020-01, model: volume, per: 1, "
			"tiers: [{from: 0, price: 3}, {from: 700, price: 2}]}]}\n", i);
	fclose(f);
	struct catalog *c = catalog_parse("wide.yaml", span_of(text), &faults);
	cr_assert(c != NULL);
	const struct terms *t = terms_make(c, NULL, NULL, 2020 * 12, &arena);
	int64_t *calls = xcalloc(N, sizeof(*calls));
	for (int i = 0; i < N; i++)
		calls[i] = i % 500;
	struct forecast_clock half = { 0, 2000, 1000 }; // half of the month: the calls double
	struct forecast fc;
	struct rating_slice slices[RATING_MAX_SLICES];
	forecast_make(t, &half, false, calls, NULL, &arena, &fc);
	clock_t began = clock();
	for (uint32_t i = 0; i < N; i++) {
		struct forecast_line l;
		cr_assert(forecast_service(&fc, i, ROUND_HALF_UP, slices, &l));
		int64_t end = 2 * calls[i];
		cr_assert_eq(l.bill.calls, end);
		cr_assert_eq(l.bill.charge_fen, end <= 600 ? 0 : (end - 600) * (end < 700 ? 300 : 200));
		cr_assert_eq(l.free_end.when, end >= 600 ? FORECAST_AT : FORECAST_NOT);
		cr_assert_eq(l.next_tier.when, end >= 700 ? FORECAST_AT : FORECAST_NOT);
	}
	double took = (double)(clock() - began) / CLOCKS_PER_SEC;
	fprintf(stderr, "forecast of 10,000 services: %.3f s\n", took);
	cr_expect(took < 1, "%.2f s", took);
	free(calls);
	free(text);
	catalog_freep(&c);
}
