// SPDX-License-Identifier: Apache-2.0
// Control records as bytes. Fields stand in a fixed order and nothing but the arguments goes in, so that the same decision is the
// same bytes on every machine: the manifest's hash is quoted in bills.
#include <jansson.h>

#include "base/check.h"
#include "journal/journal.h"

static void json_free(json_t **j)
{
	json_decref(*j);
}

static json_t *json_time(int64_t time_ms)
{
	char text[TIME_TEXT];
	return time_ms == TIME_NONE ? json_null() : json_string(time_text(time_ms, text));
}

static void put(json_t *object, const char *name, json_t *value)
{
	check(value != NULL && json_object_set_new(object, name, value) == 0);
}

static char *dump(const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	check(text != NULL);
	return text;
}

static json_t *json_parts(const struct journal_part *parts, uint32_t n, bool with_clock)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < n; i++) {
		json_t *part = json_object();
		put(part, "topic", json_string(parts[i].topic));
		put(part, "partition", json_integer(parts[i].partition));
		put(part, "offset", json_integer(parts[i].offset));
		if (with_clock)
			put(part, "clock", json_time(parts[i].clock_ms));
		check(json_array_append_new(list, part) == 0);
	}
	return list;
}

char *journal_init_record(const char *init_id, uint32_t shards, const struct journal_part *parts, uint32_t n)
{
	CLEANUP(json_free) json_t *j = json_object();
	put(j, "type", json_string("init"));
	put(j, "init_id", json_string(init_id));
	put(j, "shards", json_integer(shards));
	put(j, "schema", json_integer(JOURNAL_SCHEMA));
	put(j, "parts", json_parts(parts, n, false));
	return dump(j);
}

char *journal_rules_record(int64_t version, int64_t effective_ms, const struct rules *rules)
{
	CLEANUP(freep) char *text = rules_to_json(rules);
	json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	check(whole != NULL);
	CLEANUP(json_free) json_t *j = json_object();
	put(j, "type", json_string("rules"));
	put(j, "version", json_integer(version));
	put(j, "effective", json_time(effective_ms));
	put(j, "rules", whole);
	return dump(j);
}

char *journal_admit_record(const struct journal_part *parts, uint32_t n)
{
	CLEANUP(json_free) json_t *j = json_object();
	put(j, "type", json_string("admit"));
	put(j, "parts", json_parts(parts, n, true));
	return dump(j);
}

char *journal_manifest_record(const struct journal_manifest *m)
{
	char month[MONTH_TEXT];
	CLEANUP(json_free) json_t *j = json_object();
	put(j, "type", json_string("manifest"));
	put(j, "period", json_string(month_text(m->month, month)));
	put(j, "rules_version", json_integer(m->rules_version));
	json_t *cuts = json_object();
	for (uint32_t i = 0; i < m->n_cuts; i++)
		put(cuts, m->cuts[i].name, json_integer(m->cuts[i].offset));
	put(j, "cuts", cuts);
	put(j, "counters", json_integer(m->counters));
	put(j, "calls", json_integer(m->calls));
	return dump(j);
}
