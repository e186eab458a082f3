// SPDX-License-Identifier: Apache-2.0
// The price book: the one of the project against the price list, what is dated at its edges, and a catalogue of bad ones.
#include "catalog/catalog.h"

#include <dirent.h>
#include <time.h>

#include "base/fault.h"
#include "table.h"

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return NULL;
	char *text = calloc(1, 8 << 20);
	size_t n = fread(text, 1, (8 << 20) - 1, f);
	fclose(f);
	return realloc(text, n + 1);
}

static struct catalog *parse(const char *text)
{
	struct faults faults = { 0 };
	struct catalog *c = catalog_parse("test.yaml", span_of(text), &faults);
	if (c == NULL)
		faults_print(&faults, span_of(text), stderr);
	cr_assert(c != NULL && faults.n == 0);
	return c;
}

static struct catalog *project_book(void)
{
	char *text = read_whole(SOURCE_DIR "/config/catalog.yaml");
	cr_assert(text != NULL);
	struct catalog *c = parse(text);
	free(text); // the book keeps nothing of its text
	return c;
}

static int64_t at(const char *text)
{
	int64_t ms = 0;
	cr_assert(time_parse_rfc3339(span_of(text), &ms), "%s", text);
	return ms;
}

static uint32_t id(const struct catalog *c, const char *text)
{
	uint32_t s = UINT32_MAX;
	cr_assert(catalog_find_id(c, span_of(text), &s), "%s", text);
	return s;
}

// --- the project's book -------------------------------------------------------------------------------------------------

static void list_row(void *ctx, const struct table_row *row)
{
	const struct catalog *c = ctx;
	cr_assert_eq(row->n, 7);
	uint32_t s = id(c, row->field[1]);
	const char *group = catalog_service_group(c, s);
	cr_expect_str_eq(catalog_service_name(c, s), row->field[2], "line %d", row->line);
	cr_expect_str_eq(group != NULL ? group : "-", row->field[0], "line %d", row->line);
	const struct plan *p = catalog_plan(c, s, 2020 * 12);
	cr_assert(p != NULL && p->n_tiers == 4);
	cr_expect(p->model == MODEL_VOLUME && p->per == 1000 && p->bounds == BOUNDS_LOWER_INCLUSIVE && p->tier_basis == TIER_BY_TOTAL);
	cr_expect(p->quota == 10000 && p->warn_micro == 800000 && p->first_month == FIRST_MONTH_IMMEDIATE);
	static const int64_t bounds[] = { 0, 1000000, 3000000, 15000000 };
	for (int i = 0; i < 4; i++) {
		char b[MONEY_TEXT];
		cr_expect_str_eq(money_price_text(p->tiers[i].price_micro, b), row->field[3 + i], "line %d tier %d", row->line, i + 1);
		cr_expect_eq(p->tiers[i].bound, bounds[i]);
		cr_expect_eq(p->tiers[i].flat_micro, 0);
	}
}

Test(catalog, the_public_price_list)
{
	struct catalog *c = project_book();
	cr_assert_eq(table_each("price_list.table", list_row, c), 7);
	cr_assert_eq(catalog_services(c), 9);
	cr_assert_str_eq(catalog_currency(c), "CNY");
	cr_assert_str_eq(zone_name(catalog_zone(c)), "Asia/Shanghai");
	cr_assert_str_eq(catalog_rounding_text(c), "half-up");
	cr_assert_eq(catalog_freeze_basis(c), FREEZE_LIST);
	cr_assert_eq(catalog_freeze_ratio_micro(c), 1000000);
	cr_assert_not(catalog_zero_price_statements(c));
	cr_assert_str_eq(catalog_version(c), "tiia-2020-01");
	cr_assert_eq(strlen(catalog_sha256(c)), 64);
	uint32_t crop = id(c, "image-crop");
	cr_assert_str_eq(catalog_service_other_name(c, crop, 0), "图像智能裁剪");
	cr_assert_null(catalog_service_other_name(c, crop, 1));
	catalog_freep(&c);
	cr_assert_null(c);
}

Test(catalog, prices_begin_with_2020)
{
	struct catalog *c = project_book();
	for (uint32_t s = 0; s < catalog_services(c); s++) {
		cr_assert_null(catalog_plan(c, s, 2020 * 12 - 1));
		bool beta = strcmp(catalog_service_id(c, s), "image-enhance") == 0;
		cr_assert_eq(catalog_plan(c, s, 2020 * 12) == NULL, beta);
		cr_assert_eq(catalog_plan(c, s, MONTH_LAST) == NULL, beta);
		cr_assert_eq(catalog_next_change(c, s, MONTH_NONE), beta ? MONTH_NONE : 2020 * 12);
		cr_assert_eq(catalog_next_change(c, s, 2020 * 12), MONTH_NONE);
	}
	catalog_freep(&c);
}

Test(catalog, the_retired_service)
{
	struct catalog *c = project_book();
	uint32_t s = id(c, "image-tag-legacy"), found;
	const struct plan *p = catalog_plan(c, s, 2020 * 12);
	cr_assert(p->bounds == BOUNDS_UPPER_INCLUSIVE && p->tier_basis == TIER_BY_BILLABLE && p->first_month == FIRST_MONTH_NEXT);
	cr_assert(p->per == 1 && p->n_tiers == 3 && p->quota == 10000);
	cr_assert(p->tiers[0].price_micro == 1100 && p->tiers[1].price_micro == 900 && p->tiers[2].price_micro == 700);
	cr_assert(p->tiers[1].bound == 3000000 && p->tiers[2].bound == 15000000);
	struct span name = SPAN_LIT("image-tag-legacy");
	cr_assert_eq(catalog_find(c, name, at("2020-04-30T23:59:59.999+08:00"), &found), SERVICE_OK);
	found = UINT32_MAX;
	cr_assert_eq(catalog_find(c, name, at("2020-05-01T00:00:00+08:00"), &found), SERVICE_ENDED);
	cr_assert_eq(found, s);
	cr_assert_str_eq(catalog_service_successor(c, s), "image-tag");
	cr_assert(catalog_service_in(c, s, 2020 * 12 + 3));
	cr_assert_not(catalog_service_in(c, s, 2020 * 12 + 4));
	cr_assert(catalog_service_in(c, id(c, "image-tag"), MONTH_LAST + 1));
	catalog_freep(&c);
}

Test(catalog, api_actions_are_aliases)
{
	static const char *const pairs[][2] = { { "DetectLabel", "image-tag" }, { "DetectProduct", "product-recognition" },
		{ "DetectProductBeta", "product-recognition-wechat" }, { "DetectCelebrity", "celebrity-recognition" },
		{ "RecognizeCar", "vehicle-recognition" }, { "CropImage", "image-crop" }, { "AssessQuality", "image-quality" },
		{ "EnhanceImage", "image-enhance" } };
	struct catalog *c = project_book();
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint32_t s, other;
		cr_assert_eq(catalog_find(c, span_of(pairs[i][0]), 0, &s), SERVICE_OK);
		cr_assert_str_eq(catalog_service_id(c, s), pairs[i][1]);
		cr_assert_eq(catalog_find(c, span_of(pairs[i][1]), 0, &other), SERVICE_OK);
		cr_assert_eq(s, other);
		cr_assert_not(catalog_find_id(c, span_of(pairs[i][0]), &other), "an alias is no id");
	}
	static const char *const unknown[] = { "", "detectlabel", "DetectLabel ", "image-ta", "image-tag\n", "图像标签" };
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		uint32_t s = 77;
		cr_assert_eq(catalog_find(c, span_of(unknown[i]), 0, &s), SERVICE_UNKNOWN);
		cr_assert_eq(s, 77);
	}
	cr_assert_eq(catalog_find(c, (struct span){ NULL, 0 }, 0, &(uint32_t){ 0 }), SERVICE_UNKNOWN);
	cr_assert(catalog_billable(c, SPAN_LIT("ok"), 0));
	cr_assert_not(catalog_billable(c, SPAN_LIT("OK"), 0));
	cr_assert_not(catalog_billable(c, SPAN_LIT("error"), INT64_MAX));
	catalog_freep(&c);
}

// --- what is dated ------------------------------------------------------------------------------------------------------

#define HEAD "version: v1\ncurrency: CNY\ntime_zone: Asia/Shanghai\n"

Test(catalog, a_year_of_changes)
{
	struct catalog *c = parse(HEAD
		"services:\n"
		"  - id: a\n"
		"    name: A\n"
		"    begin: 2020-02\n"
		"    end: 2021-01\n"
		"    aliases: [{name: X, until: 2020-06}]\n"
		"    prices:\n"
		"      - {from: 2020-03, model: flat, per: 1, price: \"1\"}\n"
		"      - {from: 2020-07, model: free}\n"
		"      - {from: 2020-09-01T00:00:00+08:00, model: graduated, per: 100, tiers: [{from: 0, to: 5, price: 2, fee: 3}, {from: 5, price: 1}]}\n"
		"    free:\n"
		"      - {from: 2020-01, calls: 100}\n"
		"      - {from: 2020-05, calls: 50, warn: none, first_month: next}\n"
		"      - {from: 2020-08, calls: 40, warn: 1}\n"
		"  - id: b\n"
		"    name: B\n"
		"    aliases: [{name: X, from: 2020-06}]\n");
	uint32_t a = id(c, "a"), b = id(c, "b"), s;
	static const struct { int month, quota, warn, model; } want[] = {
		{ 2, 0, 0, -1 }, { 3, 100, 800000, MODEL_FLAT }, { 4, 100, 800000, MODEL_FLAT }, { 5, 50, 0, MODEL_FLAT }, { 6, 50, 0, MODEL_FLAT },
		{ 7, 0, 0, -1 }, { 8, 0, 0, -1 }, { 9, 40, 1000000, MODEL_GRADUATED }, { 12, 40, 1000000, MODEL_GRADUATED } };
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct plan *p = catalog_plan(c, a, 2020 * 12 + want[i].month - 1);
		cr_assert_eq(p == NULL, want[i].model < 0, "month %d", want[i].month);
		if (p != NULL)
			cr_assert(p->quota == want[i].quota && p->warn_micro == want[i].warn && (int)p->model == want[i].model, "month %d", want[i].month);
	}
	int changes[8], n = 0;
	for (int m = catalog_next_change(c, a, MONTH_NONE); m != MONTH_NONE; m = catalog_next_change(c, a, m))
		changes[n++] = m - 2020 * 12 + 1;
	cr_assert(n == 6 && changes[0] == 1 && changes[1] == 3 && changes[2] == 5 && changes[3] == 7 && changes[4] == 8 && changes[5] == 9);
	struct free_calls free; // the list dates them, whatever its price: a contract may charge in those months
	cr_assert_not(catalog_free_calls(c, a, 2019 * 12 + 11, &free));
	cr_assert(catalog_free_calls(c, a, 2020 * 12, &free) && free.calls == 100 && free.warn_micro == 800000);
	cr_assert(catalog_free_calls(c, a, 2020 * 12 + 6, &free) && free.calls == 50 && free.first_month == FIRST_MONTH_NEXT);
	cr_assert(catalog_free_calls(c, a, 2020 * 12 + 7, &free) && free.calls == 40 && free.warn_micro == 1000000);
	cr_assert_not(catalog_free_calls(c, b, 2020 * 12 + 7, &free));
	cr_assert_eq(catalog_plan(c, a, 2020 * 12 + 8)->tiers[0].flat_micro, 3000000);
	cr_assert_eq(catalog_find(c, SPAN_LIT("X"), at("2020-05-31T23:59:59.999+08:00"), &s), SERVICE_OK);
	cr_assert_eq(s, a);
	cr_assert_eq(catalog_find(c, SPAN_LIT("X"), at("2020-06-01T00:00:00+08:00"), &s), SERVICE_OK);
	cr_assert_eq(s, b);
	cr_assert_eq(catalog_find(c, SPAN_LIT("a"), at("2020-01-31T23:59:59.999+08:00"), &s), SERVICE_NOT_BEGUN);
	cr_assert_eq(s, a);
	cr_assert_eq(catalog_find(c, SPAN_LIT("a"), at("2020-02-01T00:00:00+08:00"), &s), SERVICE_OK);
	cr_assert_eq(catalog_find(c, SPAN_LIT("a"), INT64_MAX, &s), SERVICE_ENDED);
	cr_assert_eq(catalog_find(c, SPAN_LIT("b"), INT64_MAX, &s), SERVICE_OK);
	cr_assert_not(catalog_service_in(c, a, 2020 * 12));
	cr_assert(catalog_service_in(c, a, 2020 * 12 + 1) && catalog_service_in(c, a, 2020 * 12 + 11));
	cr_assert_not(catalog_service_in(c, a, 2021 * 12));
	catalog_freep(&c);
}

Test(catalog, billable_codes_and_owners_are_dated)
{
	struct catalog *c = parse(HEAD
		"billable_status:\n"
		"  - {from: 2020-03, codes: [ok, partial]}\n"
		"  - {from: 2020-05-02T12:00:00+08:00, codes: [\"200\"]}\n"
		"accounts:\n"
		"  - {account: dev, owner: boss, from: 2020-03, until: 2020-05}\n"
		"  - {account: dev, owner: other, from: 2020-06}\n"
		"  - {account: boss, owner: chief, from: 2020-05}\n"
		"services: [{id: a, name: A}]\n");
	int64_t feb = at("2020-02-29T23:59:59.999+08:00"), march = feb + 1, may = at("2020-05-02T12:00:00+08:00");
	cr_assert(catalog_billable(c, SPAN_LIT("ok"), feb) && !catalog_billable(c, SPAN_LIT("partial"), feb));
	cr_assert(catalog_billable(c, SPAN_LIT("ok"), march) && catalog_billable(c, SPAN_LIT("partial"), march));
	cr_assert(catalog_billable(c, SPAN_LIT("partial"), may - 1) && !catalog_billable(c, SPAN_LIT("200"), may - 1));
	cr_assert(!catalog_billable(c, SPAN_LIT("ok"), may) && catalog_billable(c, SPAN_LIT("200"), may));
	struct span dev = SPAN_LIT("dev");
	cr_assert(span_is(catalog_owner(c, dev, feb), "dev"));
	cr_assert(span_is(catalog_owner(c, dev, march), "boss"));
	cr_assert(span_is(catalog_owner(c, dev, may), "dev"));
	cr_assert(span_is(catalog_owner(c, dev, INT64_MAX), "other"));
	cr_assert(span_is(catalog_owner(c, SPAN_LIT("boss"), may), "chief"));
	cr_assert(span_is(catalog_owner(c, SPAN_LIT("nobody"), may), "nobody"));
	catalog_freep(&c);
}

Test(catalog, free_calls_that_services_share)
{
	struct catalog *c = parse(HEAD
		"pack_order: earliest-start\n"
		"services:\n"
		"  - {id: tag, name: T, prices: [{from: 2020-01, model: flat, per: 1, price: 1}]}\n"
		"  - {id: own, name: O, prices: [{from: 2020-01, model: flat, per: 1, price: 1}], free: [{from: 2020-01, calls: 3}]}\n"
		"  - {id: crop, name: C, prices: [{from: 2020-01, model: flat, per: 1, price: 1}]}\n"
		"  - {id: say, name: S, prices: [{from: 2020-01, model: flat, per: 1, price: 1}]}\n"
		"  - {id: hear, name: H, prices: [{from: 2020-01, model: flat, per: 1, price: 1}]}\n"
		"shared_free:\n"
		"  - id: speech-quota\n"
		"    services: [hear, say]\n"
		"    free: [{from: 2020-02, calls: 7}]\n"
		"  - id: image-quota\n"
		"    services: [crop, tag]\n"
		"    free:\n"
		"      - {from: 2020-02, calls: 100, warn: none, first_month: next}\n"
		"      - {from: 2020-04, calls: 50, warn: 0.5}\n"
		"      - {from: 2020-06, calls: 0}\n");
	cr_assert_eq(catalog_pack_order(c), PACKS_BY_START);
	cr_assert_str_eq(pack_order_text(catalog_pack_order(c)), "earliest-start");
	cr_assert_eq(catalog_shared_quotas(c), 2);
	cr_assert_str_eq(catalog_shared_quota_id(c, 0), "speech-quota");
	static const int of[] = { 1, -1, 1, 0, 0 };
	for (uint32_t i = 0; i < 5; i++)
		cr_expect_eq(catalog_service_quota(c, i), of[i], "service %u", i);
	struct shared_quota q = { .calls = -7 };
	cr_assert_not(catalog_shared_quota(c, 1, 2020 * 12, &q));
	cr_assert_eq(q.calls, -7);
	cr_assert(catalog_shared_quota(c, 1, 2020 * 12 + 1, &q));
	cr_assert(q.calls == 100 && q.warn_micro == 0 && q.first_month == FIRST_MONTH_NEXT && strcmp(q.id, "image-quota") == 0);
	cr_assert(q.n_services == 2 && q.services[0] == 0 && q.services[1] == 2, "in the order of the price book");
	cr_assert(catalog_shared_quota(c, 1, 2020 * 12 + 4, &q));
	cr_assert(q.calls == 50 && q.warn_micro == 500000 && q.first_month == FIRST_MONTH_IMMEDIATE);
	cr_assert_not(catalog_shared_quota(c, 1, 2020 * 12 + 5, &q), "0 is none");
	cr_assert(catalog_shared_quota(c, 0, MONTH_LAST, &q));
	cr_assert(q.calls == 7 && q.warn_micro == 800000);
	int changes[4], n = 0;
	for (int m = catalog_shared_next_change(c, 1, MONTH_NONE); m != MONTH_NONE; m = catalog_shared_next_change(c, 1, m))
		changes[n++] = m - 2020 * 12 + 1;
	cr_assert(n == 3 && changes[0] == 2 && changes[1] == 4 && changes[2] == 6);
	catalog_freep(&c);
	struct catalog *plain = project_book();
	cr_assert(catalog_shared_quotas(plain) == 0 && catalog_service_quota(plain, 0) == -1 && catalog_pack_order(plain) == PACKS_BY_EXPIRY);
	catalog_freep(&plain);
}

Test(catalog, the_hash_is_of_the_text)
{
	struct catalog *a = parse(HEAD "services: [{id: a, name: A}]\n"), *b = parse(HEAD "services: [{id: a, name: A}] \n");
	cr_assert_str_neq(catalog_sha256(a), catalog_sha256(b));
	catalog_freep(&a);
	catalog_freep(&b);
}

Test(catalog, ten_thousand_services)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	fputs(HEAD "services:\n", f);
	for (int i = 0; i < 10000; i++)
		fprintf(f, "  - {id: s%d, name: S, aliases: [Do%d], prices: [{from: 2020-01, model: flat, per: 1, price: 0.%06d}]}\n", i, i, i + 1);
	fclose(f);
	struct catalog *c = parse(text);
	for (uint32_t i = 0; i < 10000; i++) {
		char name[16];
		uint32_t s;
		snprintf(name, sizeof(name), i % 2 != 0 ? "s%u" : "Do%u", i);
		cr_assert_eq(catalog_find(c, span_of(name), 0, &s), SERVICE_OK);
		cr_assert_eq(s, i);
		cr_assert_eq(catalog_plan(c, s, 2020 * 12)->tiers[0].price_micro, i + 1);
	}
	catalog_freep(&c);
	free(text);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Ten thousand groups, each with a service of four tiers, free calls and an alias: a whole vendor's list. The last has a thousand tiers,
// at the highest price and up to the highest bound. `successor` NULL: none.
static char *vendor_list(const char *successor)
{
	enum { N = 10000, TIERS = 1000 };
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	fputs(HEAD "groups:\n", f);
	for (int i = 0; i < N; i++)
		fprintf(f, "  - {id: g%d, name: G}\n", i);
	fputs("services:\n", f);
	for (int i = 0; i < N; i++) {
		fprintf(f, "  - {id: s%d, name: S, group: g%d, aliases: [Do%d], free: [{from: 2020-01, calls: 10000}], ", i, i, i);
		if (successor != NULL)
			fprintf(f, "end: 2021-01, successor: %s%d, ", successor, i);
		fputs("prices: [{from: 2020-01, model: volume, per: 1, tiers: [", f);
		for (int t = 0; t < (i < N - 1 ? 4 : TIERS); t++)
			fprintf(f, "%s{from: %ld, price: %d}", t > 0 ? ", " : "", i < N - 1 ? t * 100L : (long)(INT64_MAX / (TIERS - 1)) * t, 1000000 - t);
		fputs("]}]}\n", f);
	}
	fclose(f);
	return text;
}

Test(catalog, a_whole_vendor_s_list)
{
	char *text = vendor_list(NULL);
	double begin = seconds();
	struct catalog *c = parse(text);
	double took = seconds() - begin;
	const struct plan *p = catalog_plan(c, id(c, "s9999"), 2020 * 12);
	cr_assert(catalog_services(c) == 10000 && p->n_tiers == 1000);
	cr_expect(p->tiers[0].price_micro == 1000000000000 && p->tiers[999].price_micro == 999001000000);
	cr_expect_eq(p->tiers[999].bound, INT64_MAX / 999 * 999);
	cr_expect_str_eq(catalog_service_group(c, id(c, "s777")), "g777");
	fprintf(stderr, "catalog: 10,000 services, groups and aliases, 41,000 tiers read in %.2f s\n", took);
	cr_expect(took < 5, "%.2f s", took);
	catalog_freep(&c);
	free(text);
}

// Every service names a successor that is not there: the first thousand are told, in a time that a person can wait for.
Test(catalog, a_whole_vendor_s_list_of_faults)
{
	char *text = vendor_list("nosuch");
	struct faults faults = { 0 };
	double begin = seconds();
	struct catalog *c = catalog_parse("big.yaml", span_of(text), &faults);
	double took = seconds() - begin;
	cr_assert(c == NULL && faults_full(&faults));
	cr_expect(faults.list[0].line == 10006 && faults.list[0].column > 0);
	cr_expect_str_eq(faults.list[0].text, "successor `nosuch0` is no service: name one of this file");
	fprintf(stderr, "catalog: 10,000 faults found in %.2f s\n", took);
	cr_expect(took < 8, "%.2f s", took);
	faults_free(&faults);
	free(text);
}

// --- bad books ----------------------------------------------------------------------------------------------------------

// Runs tests/table/catalog_faults/<name>.yaml; what is printed must be <name>.txt, byte for byte. Write it anew with
// METERD_WRITE_EXPECTED=1, and read what changed.
static void bad_book(const char *file)
{
	char path[4096], expected_path[4096];
	snprintf(path, sizeof(path), "%s/tests/table/catalog_faults/%s", SOURCE_DIR, file);
	snprintf(expected_path, sizeof(expected_path), "%.*s.txt", (int)(strlen(path) - 5), path);
	char *text = read_whole(path), *got = NULL;
	size_t size = 0;
	struct faults faults = { 0 };
	struct catalog *c = catalog_parse(file, span_of(text), &faults);
	FILE *f = open_memstream(&got, &size);
	faults_print(&faults, span_of(text), f);
	fclose(f);
	cr_expect(c == NULL && faults.n > 0, "%s was accepted", file);
	if (getenv("METERD_WRITE_EXPECTED") != NULL) {
		f = fopen(expected_path, "w");
		fputs(got, f);
		fclose(f);
	}
	char *want = read_whole(expected_path);
	cr_expect(want != NULL && strcmp(got, want) == 0, "%s\n--- got\n%s--- want\n%s", file, got, want != NULL ? want : "(no file)");
	catalog_freep(&c);
	faults_free(&faults);
	free(want);
	free(got);
	free(text);
}

Test(catalog, bad_books)
{
	DIR *d = opendir(SOURCE_DIR "/tests/table/catalog_faults");
	int n = 0;
	cr_assert(d != NULL);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		if (strlen(e->d_name) > 5 && strcmp(e->d_name + strlen(e->d_name) - 5, ".yaml") == 0) {
			bad_book(e->d_name);
			n++;
		}
	closedir(d);
	cr_assert_geq(n, 65);
}

// Whatever is cut off or changed: faults or a book, never both, never neither, and no crash.
Test(catalog, mutilated_books)
{
	char *text = read_whole(SOURCE_DIR "/config/catalog.yaml");
	size_t n = strlen(text);
	uint64_t seed = 1;
	for (int i = 0; i < 400; i++) {
		char *copy = strdup(text);
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		size_t where = 3500 + (size_t)(seed >> 33) % (n - 3500);
		if (i % 2 == 0)
			copy[where] = '\0';
		else
			copy[where] = "0-:{}[]'\"x \n_.#"[seed >> 20 & 15];
		struct faults faults = { 0 };
		struct catalog *c = catalog_parse("mutilated.yaml", span_of(copy), &faults);
		cr_assert_eq(c == NULL, faults.n > 0);
		catalog_freep(&c);
		faults_free(&faults);
		free(copy);
	}
	free(text);
}
