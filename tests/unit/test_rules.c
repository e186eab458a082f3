// SPDX-License-Identifier: Apache-2.0
// Rules as they stand in the control topic: the same bytes after every round trip, and nothing unknown is passed over.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "rules/differ.h"
#include "rules/rules.h"

static struct rules_settings some_settings(void)
{
	return (struct rules_settings){
		.fields = { "id", "account", "service", "time", "calls", "status", "项目" },
		.max_future_ms = 300000,
		.generation_bits = 16,
		.generations = 240,
		.dedupe_max_age_ms = 259200000,
		.dedupe = true,
		.close_grace_ms = 86400000,
		.clock = CLOCK_WALL,
		.lead_ms = 600000,
	};
}

static struct rules *some_rules(const struct rules_settings *s)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct faults f = { 0 };
	cr_assert(file_read(SOURCE_DIR "/config/catalog.yaml", 1 << 22, &text, &n, &e) == ERROR_NONE, "%s", e.text);
	struct rules *r = rules_new(s, "catalog.yaml", (struct span){ text, n }, &f);
	cr_assert(r != NULL, "%s:%d: %s", f.list[0].file, f.list[0].line, f.list[0].text);
	return r;
}

Test(rules, round_trip_is_stable)
{
	struct rules_settings s = some_settings();
	CLEANUP(rules_freep) struct rules *r = some_rules(&s);
	CLEANUP(freep) char *json = rules_to_json(r);
	struct error e = { 0 };
	CLEANUP(rules_freep) struct rules *again = NULL;
	cr_assert(rules_from_json(span_of(json), &again, &e) == ERROR_NONE, "%s", e.text);
	CLEANUP(freep) char *second = rules_to_json(again);
	cr_expect_str_eq(json, second);
	cr_expect_str_eq(r->sha256, again->sha256);
	cr_expect_str_eq(again->settings.fields.items, "项目");
	cr_expect_str_eq(again->catalog_text, r->catalog_text);
	cr_expect(again->settings.max_future_ms == 300000 && again->settings.generation_bits == 16 && again->settings.generations == 240);
	cr_expect(again->settings.dedupe_max_age_ms == 259200000 && again->settings.dedupe && again->settings.close_grace_ms == 86400000);
	cr_expect(again->settings.clock == CLOCK_WALL && again->settings.lead_ms == 600000);
	cr_expect_str_eq(catalog_sha256(again->catalog), catalog_sha256(r->catalog));
	const char *settings = "{\"settings\":{\"decoder\":1,\"clock\":\"wall\",\"fields\":{\"id\":\"id\",\"account\":\"account\",\"service\":\"service\","
			       "\"time\":\"time\",\"calls\":\"calls\",\"status\":\"status\",\"items\":\"项目\"},\"max_future_ms\":300000,\"dedupe\":true,"
			       "\"generation_bits\":16,\"generations\":240,\"dedupe_max_age_ms\":259200000,\"close_grace_ms\":86400000,\"lead_ms\":600000},"
			       "\"catalog\":\"";
	cr_expect(strncmp(json, settings, strlen(settings)) == 0, "%.500s", json);
}

// Whatever decides something changes the hash: a difference that it hides would never be proposed.
Test(rules, every_setting_is_in_the_hash)
{
	struct rules_settings base = some_settings(), change[15];
	for (size_t i = 0; i < ARRAY_LEN(change); i++)
		change[i] = base;
	change[0].fields.id = "x";
	change[1].fields.account = "x";
	change[2].fields.service = "x";
	change[3].fields.time = "x";
	change[4].fields.calls = "x";
	change[5].fields.status = "x";
	change[6].fields.items = "x";
	change[7].max_future_ms++;
	change[8].generation_bits--;
	change[9].generations--;
	change[10].dedupe_max_age_ms++;
	change[11].dedupe = false;
	change[12].close_grace_ms++;
	change[13].clock = CLOCK_RECORDS;
	change[14].lead_ms++;
	char seen[ARRAY_LEN(change) + 1][65];
	CLEANUP(rules_freep) struct rules *r = some_rules(&base);
	memcpy(seen[0], r->sha256, 65);
	for (size_t i = 0; i < ARRAY_LEN(change); i++) {
		CLEANUP(rules_freep) struct rules *other = some_rules(&change[i]);
		memcpy(seen[i + 1], other->sha256, 65);
		for (size_t j = 0; j <= i; j++)
			cr_expect(strcmp(seen[j], seen[i + 1]) != 0, "changes %zu and %zu", j, i + 1);
	}
	CLEANUP(freep) char *text = xasprintf("%s# a comment\n", r->catalog_text);
	struct faults f = { 0 };
	CLEANUP(rules_freep) struct rules *comment = rules_new(&base, "c", span_of(text), &f);
	cr_assert(comment != NULL);
	cr_expect(strcmp(comment->sha256, r->sha256) != 0);
}

static char *replaced(const char *s, const char *from, const char *to)
{
	const char *at = strstr(s, from);
	cr_assert(at != NULL, "%s", from);
	return xasprintf("%.*s%s%s", (int)(at - s), s, to, at + strlen(from));
}

Test(rules, what_is_not_understood_is_refused)
{
	static const struct {
		const char *from, *to, *why;
	} cases[] = {
		{ "\"lead_ms\":600000", "\"lead_ms\":600000,\"colour\":1", "colour" },
		{ "{\"settings\"", "{\"extra\":1,\"settings\"", "extra" },
		{ "\"id\":\"id\"", "\"id\":\"id\",\"region\":\"r\"", "region" },
		{ "\"lead_ms\":600000", "\"lead_m\":600000", "lead_ms" },
		{ ",\"lead_ms\":600000", "", "lead_ms" },
		{ "\"lead_ms\":600000", "\"lead_ms\":\"600000\"", "integer" },
		{ "\"lead_ms\":600000", "\"lead_ms\":6e5", "integer" },
		{ "\"lead_ms\":600000", "\"lead_ms\":-1", "out of range" },
		{ "\"close_grace_ms\":86400000", "\"close_grace_ms\":259200000", "out of range" },
		{ "\"generation_bits\":16", "\"generation_bits\":21", "out of range" },
		{ "\"generations\":240", "\"generations\":0", "out of range" },
		{ "\"max_future_ms\":300000", "\"max_future_ms\":9223372036854775807", "out of range" },
		{ "\"lead_ms\":600000", "\"lead_ms\":92233720368547758070", "integer" },
		{ "\"dedupe\":true", "\"dedupe\":1", "true or false" },
		{ "\"clock\":\"wall\"", "\"clock\":\"sun\"", "unknown clock" },
		{ "\"decoder\":1", "\"decoder\":2", "another version of the decoder" },
		{ "\"decoder\":1", "\"decoder\":1,\"decoder\":1", "duplicate" },
		{ "\"catalog\":\"", "\"catalog\":\"colour: red\\n", "colour" },
		{ "{\"settings\"", "[\"settings\"", "" },
	};
	struct rules_settings s = some_settings();
	CLEANUP(rules_freep) struct rules *r = some_rules(&s);
	CLEANUP(freep) char *json = rules_to_json(r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(freep) char *changed = replaced(json, cases[i].from, cases[i].to);
		struct rules *none = NULL;
		struct error e = { 0 };
		cr_expect(rules_from_json(span_of(changed), &none, &e) == ERROR_ABORT && e.exit_code == EXIT_CONFIG_ERR, "case %zu", i);
		cr_expect(none == NULL);
		cr_expect(strcasestr(e.text, cases[i].why) != NULL, "case %zu: %s", i, e.text);
		cr_expect(strstr(e.text, "run the version that wrote them") != NULL);
	}
}

Test(rules, a_faulty_price_book_makes_no_rules)
{
	struct rules_settings s = some_settings();
	struct faults f = { 0 };
	cr_expect(rules_new(&s, "c.yaml", SPAN_LIT("colour: red\n"), &f) == NULL);
	cr_expect(f.n > 0);
	faults_free(&f);
}

Test(rules, months_close_after_the_grace)
{
	struct rules_settings s = some_settings();
	CLEANUP(rules_freep) struct rules *r = some_rules(&s);
	int64_t end = 0;
	cr_assert(time_parse_rfc3339(SPAN_LIT("2020-02-02T00:00:00+08:00"), &end));
	cr_expect(rules_close_ms(r, 2020 * 12) == end);
}

// ---- what another version would change
static const char book[] =
	"version: a\ncurrency: CNY\ntime_zone: Asia/Shanghai\nrounding: half-up\nfreeze_basis: list\nfreeze_ratio: 1\n"
	"pack_order: earliest-expiry\nstatements:\n  zero_price: false\n"
	"services:\n"
	"  - id: tag\n    name: tag\n    aliases:\n      - {name: old-tag, until: 2020-04-01T00:00:00+08:00}\n"
	"    prices:\n"
	"      - {from: 2020-01, model: volume, per: 1000, bounds: lower-inclusive, tier_basis: total, tiers: [{from: 0, price: 2.5}, {from: 1000, price: 2}]}\n"
	"      - {from: 2020-06, model: graduated, per: 1000, bounds: upper-inclusive, tier_basis: total, tiers: [{from: 0, price: 3, fee: 5}, {from: 10, price: 1}]}\n"
	"    free: [{from: 2020-01, calls: 10, warn: 0.8, first_month: immediate}]\n"
	"  - id: crop\n    name: crop\n    prices:\n      - {from: 2020-01, model: package, package: 50, bounds: lower-inclusive, tier_basis: total, tiers: [{from: 0, price: 7}]}\n"
	"  - id: cut\n    name: cut\n    prices:\n      - {from: 2020-01, model: flat, per: 1, price: 7}\n"
	"shared_free:\n  - id: pool\n    services: [crop, cut]\n    free: [{from: 2020-01, calls: 5, warn: none, first_month: next}]\n";

static struct rules *edited(const char *from, const char *to, int64_t lead_ms)
{
	struct rules_settings s = some_settings();
	struct faults f = { 0 };
	s.lead_ms = lead_ms;
	const char *at = strstr(book, from);
	cr_assert(at != NULL, "%s", from);
	CLEANUP(freep) char *text = xasprintf("%.*s%s%s", (int)(at - book), book, to, at + strlen(from));
	struct rules *r = rules_new(&s, "book.yaml", span_of(text), &f);
	cr_assert(r != NULL, "%s:%d: %s", f.list[0].file, f.list[0].line, f.list[0].text);
	return r;
}

static void expect_differences(const char *from, const char *to, int64_t lead_ms, int first, const char *wanted)
{
	CLEANUP(rules_freep) struct rules *a = edited("version: a", "version: a", 600000), *b = edited(from, to, lead_ms);
	struct rules_differences d;
	char *text = NULL, x[MONTH_TEXT], y[MONTH_TEXT];
	size_t size = 0;
	rules_differ(a, b, first, &d);
	FILE *f = open_memstream(&text, &size);
	for (uint32_t i = 0; i < d.n; i++) {
		const struct rules_difference *r = &d.list[i];
		fprintf(f, "%s|%s|%s|%s|%s|%s\n", r->what, r->service != NULL ? r->service : "", r->month != MONTH_NONE ? month_text(r->month, x) : "",
			r->until != MONTH_NONE ? month_text(r->until, y) : "", r->before != NULL ? r->before : "", r->after != NULL ? r->after : "");
	}
	fclose(f);
	cr_expect_str_eq(text, wanted, "%s -> %s:\n%s", from, to, text);
	free(text);
	rules_differences_free(&d);
}

Test(rules, differences_say_what_and_from_when)
{
	const int jan = 2020 * 12;
	expect_differences("version: a", "version: a", 600000, jan, "");
	expect_differences("version: a", "version: b", 60000, jan, "version||||a|b\nrules.lead||||600 s|60 s\n");
	expect_differences("price: 2}", "price: 1.5}", 600000, jan,
			   "price|tag|2020-01|2020-06|volume per 1000: 2.5, 2 from 1000|volume per 1000: 2.5, 1.5 from 1000\n");
	expect_differences("price: 2}", "price: 1.5}", 600000, jan + 3,
			   "price|tag|2020-04|2020-06|volume per 1000: 2.5, 2 from 1000|volume per 1000: 2.5, 1.5 from 1000\n");
	expect_differences("price: 2}", "price: 1.5}", 600000, jan + 5, ""); // settled, or over
	expect_differences("{from: 10, price: 1}", "{from: 20, price: 1}", 600000, jan,
			   "price|tag|2020-06||graduated per 1000: 3 and a fee of 5, 1 above 10|graduated per 1000: 3 and a fee of 5, 1 above 20\n");
	expect_differences("package: 50", "package: 60", 600000, jan,
			   "price|crop|2020-01||packages of 50: 7|packages of 60: 7\n");
	expect_differences("calls: 10,", "calls: 20,", 600000, jan,
			   "free calls|tag|2020-01||10, warning at 0.8 of it, first month: immediate|20, warning at 0.8 of it, first month: immediate\n");
	expect_differences("calls: 5,", "calls: 6,", 600000, jan,
			   "shared free calls|crop|2020-01||5, no warning, first month: next of pool|6, no warning, first month: next of pool\n"
			   "shared free calls|cut|2020-01||5, no warning, first month: next of pool|6, no warning, first month: next of pool\n");
	expect_differences("name: old-tag", "name: older-tag", 600000, jan,
			   "alias|tag|||old-tag, from no limit until 2020-03-31T16:00:00.000Z|\n"
			   "alias|tag||||older-tag, from no limit until 2020-03-31T16:00:00.000Z\n");
	expect_differences("  - id: crop\n    name: crop\n", "  - id: new\n    name: N\n    prices:\n      - {from: 2020-01, model: free}\n  - id: crop\n    name: crop\n",
			   600000, jan, "service|new||||N\n");
	expect_differences("  - id: crop\n    name: crop\n", "  - id: new\n    name: N\n    begin: 2020-05-01T00:00:00+08:00\n    aliases: [New]\n    prices:\n      - {from: 2020-05, model: flat, per: 1, price: 9}\n"
			   "    free: [{from: 2020-05, calls: 3, warn: none, first_month: immediate}]\n  - id: crop\n    name: crop\n",
			   600000, jan, "service|new||||N\nbegin|new|||no limit|2020-04-30T16:00:00.000Z\nalias|new||||New, from no limit until no limit\n"
			   "price|new|2020-05|||flat per 1: 9\nfree calls|new|2020-05||none|3, no warning, first month: immediate\n");
	expect_differences("    name: crop\n", "    name: crop\n    other_names: [Crop, Cut]\n", 600000, jan, "other names|crop||||Crop, Cut\n");
	expect_differences("version: a", "version: a\nbillable_status:\n  - {from: 2020-03-01T00:00:00+08:00, codes: [ok, partial]}", 600000, jan,
			   "billable codes||||ok|ok; from 2020-02-29T16:00:00.000Z: ok, partial\n");
	expect_differences("rounding: half-up", "rounding: half-even", 600000, jan, "rounding||||half-up|half-even\n");
}
