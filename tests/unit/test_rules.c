// SPDX-License-Identifier: Apache-2.0
// Rules as they stand in the control topic: the same bytes after every round trip, and nothing unknown is passed over.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
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
