// SPDX-License-Identifier: Apache-2.0
// Control records as bytes. Fields stand in a fixed order and nothing but the arguments goes in, so that the same decision is the
// same bytes on every machine: the manifest's hash is quoted in bills.
#include "journal/journal.h"
#include "journal/json.h"

static json_t *json_parts(const struct journal_part *parts, uint32_t n, bool with_clock)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < n; i++) {
		json_t *part = json_object();
		json_put(part, "topic", json_string(parts[i].topic));
		json_put(part, "partition", json_integer(parts[i].partition));
		json_put(part, "offset", json_integer(parts[i].offset));
		if (with_clock)
			json_put(part, "clock", json_time(parts[i].clock_ms));
		check(json_array_append_new(list, part) == 0);
	}
	return list;
}

char *journal_init_record(const char *init_id, uint32_t shards, const struct journal_part *parts, uint32_t n)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "type", json_string("init"));
	json_put(j, "init_id", json_string(init_id));
	json_put(j, "shards", json_integer(shards));
	json_put(j, "schema", json_integer(JOURNAL_SCHEMA));
	json_put(j, "parts", json_parts(parts, n, false));
	return json_compact(j);
}

char *journal_rules_record(int64_t version, int64_t effective_ms, const struct rules *rules)
{
	CLEANUP(freep) char *text = rules_to_json(rules);
	json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	check(whole != NULL);
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "type", json_string("rules"));
	json_put(j, "version", json_integer(version));
	json_put(j, "effective", json_time(effective_ms));
	json_put(j, "rules", whole);
	return json_compact(j);
}

char *journal_admit_record(const struct journal_part *parts, uint32_t n)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "type", json_string("admit"));
	json_put(j, "parts", json_parts(parts, n, true));
	return json_compact(j);
}

char *journal_generation_record(int64_t generation)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "type", json_string("generation"));
	json_put(j, "generation", json_integer(generation));
	return json_compact(j);
}

char *journal_manifest_record(const struct journal_manifest *m)
{
	char month[MONTH_TEXT];
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "type", json_string("manifest"));
	json_put(j, "period", json_string(month_text(m->month, month)));
	json_put(j, "rules_version", json_integer(m->rules_version));
	json_t *cuts = json_object();
	for (uint32_t i = 0; i < m->n_cuts; i++)
		json_put(cuts, m->cuts[i].name, json_integer(m->cuts[i].offset));
	json_put(j, "cuts", cuts);
	json_put(j, "counters", json_integer(m->counters));
	json_put(j, "calls", json_integer(m->calls));
	json_t *accounts = json_object();
	for (uint32_t i = 0; i < m->n_accounts; i++)
		json_put(accounts, m->accounts[i].name, json_integer(m->accounts[i].offset));
	json_put(j, "accounts", accounts);
	if (m->corrects)
		json_put(j, "corrections", json_true());
	return json_compact(j);
}
