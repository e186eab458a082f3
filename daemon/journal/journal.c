// SPDX-License-Identifier: Apache-2.0
// What stands in the control topic, as one immutable view. Refuses every record that it does not understand to the last field:
// whoever skips a decision counts differently from everyone else.
#include "journal/journal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/fault.h"
#include "journal/json.h"

struct journal *journal_new(void)
{
	struct journal *j = xcalloc(1, sizeof(*j));
	j->generation_at = -1;
	return j;
}

static void cuts_free(struct journal_cut *cuts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(cuts[i].name);
	free(cuts);
}

void journal_freep(struct journal **at)
{
	struct journal *j = *at;
	if (j == NULL)
		return;
	for (uint32_t i = 0; i < j->n_parts; i++) {
		free(j->parts[i].topic);
		free(j->parts[i].name);
	}
	for (uint32_t i = 0; i < j->n_rules; i++)
		rules_freep(&j->rules[i].rules);
	for (uint32_t i = 0; i < j->n_manifests; i++) {
		cuts_free(j->manifests[i].cuts, j->manifests[i].n_cuts);
		cuts_free(j->manifests[i].accounts, j->manifests[i].n_accounts);
	}
	free(j->parts);
	free(j->rules);
	free(j->manifests);
	free(j);
	*at = NULL;
}

// ---- reading a record. `why` is set once, by the first thing that is wrong.
struct reading {
	const json_t *object;
	size_t fields; // taken so far: at the end all of them
	const char *why;
};

static json_t *take(struct reading *r, const char *name)
{
	json_t *value = json_object_get(r->object, name);
	if (value != NULL)
		r->fields++;
	else if (r->why == NULL)
		r->why = "a field is missing";
	return value;
}

static int64_t take_integer(struct reading *r, const char *name, int64_t least)
{
	json_t *value = take(r, name);
	if (json_is_integer(value) && json_integer_value(value) >= least)
		return json_integer_value(value);
	if (r->why == NULL)
		r->why = "a field is not an integer of its range";
	return least;
}

static const char *take_text(struct reading *r, const char *name, size_t most)
{
	json_t *value = take(r, name);
	if (json_is_string(value) && json_string_length(value) > 0 && json_string_length(value) <= most &&
	    strlen(json_string_value(value)) == json_string_length(value))
		return json_string_value(value);
	if (r->why == NULL)
		r->why = "a field is not a text of its length";
	return "";
}

static int64_t take_time(struct reading *r, const char *name)
{
	int64_t ms = TIME_NONE;
	json_t *value = take(r, name);
	if (json_is_null(value))
		return TIME_NONE;
	struct span text = { json_string_value(value), json_string_length(value) };
	if ((value == NULL || text.p == NULL || !time_parse_rfc3339(text, &ms)) && r->why == NULL)
		r->why = "a field is not an RFC 3339 time or null";
	return ms;
}

static json_t *take_json(struct reading *r, const char *name, json_type type)
{
	json_t *value = take(r, name);
	if (value != NULL && json_typeof(value) == type)
		return value;
	if (r->why == NULL)
		r->why = "a field has the wrong JSON type";
	return NULL;
}

static bool whole(struct reading *r)
{
	if (r->why == NULL && r->fields != json_object_size(r->object))
		r->why = "it has a field that this program does not know";
	return r->why == NULL;
}

// ---- the kinds of records: false with r->why
static void part_add(struct journal *j, const char *topic, int64_t partition, int64_t offset, int64_t clock_ms)
{
	j->parts = xrealloc(j->parts, j->n_parts + 1, sizeof(*j->parts));
	j->parts[j->n_parts++] = (struct journal_part){ .topic = xstrdup(topic), .partition = (int32_t)partition, .offset = offset,
		.clock_ms = clock_ms, .name = xasprintf("%s/%d", topic, (int)partition) };
}

static bool apply_parts(struct journal *j, struct reading *r, bool with_clock)
{
	json_t *list = take_json(r, "parts", JSON_ARRAY), *item;
	size_t i;
	if (!whole(r))
		return false;
	json_array_foreach(list, i, item) {
		struct reading part = { .object = item };
		const char *topic = take_text(&part, "topic", 249);
		int64_t partition = take_integer(&part, "partition", 0), offset = take_integer(&part, "offset", 0);
		int64_t clock_ms = with_clock ? take_time(&part, "clock") : TIME_NONE;
		if (!whole(&part) || partition > INT32_MAX) {
			r->why = part.why != NULL ? part.why : "a partition's number is out of range";
			return false;
		}
		CLEANUP(freep) char *name = xasprintf("%s/%d", topic, (int)partition);
		if (journal_part(j, span_of(name)) != NULL) {
			r->why = "a partition is admitted a second time";
			return false;
		}
		part_add(j, topic, partition, offset, clock_ms);
	}
	return true;
}

static bool apply_init(struct journal *j, struct reading *r)
{
	const char *id = take_text(r, "init_id", sizeof(j->init_id) - 1);
	int64_t shards = take_integer(r, "shards", 1), schema = take_integer(r, "schema", 1);
	if (r->why == NULL && j->init_id[0] != '\0')
		r->why = "there is an init already";
	else if (r->why == NULL && (schema != JOURNAL_SCHEMA || shards > 65536))
		r->why = "its schema or number of shards is not one of this program";
	if (r->why != NULL || !apply_parts(j, r, false))
		return false;
	snprintf(j->init_id, sizeof(j->init_id), "%s", id);
	j->shards = (uint32_t)shards;
	j->generation = j->generation_greatest = 1;
	return true;
}

static bool apply_rules(struct journal *j, struct reading *r, struct error *e)
{
	int64_t version = take_integer(r, "version", 1), effective_ms = take_time(r, "effective");
	json_t *rules_json = take_json(r, "rules", JSON_OBJECT);
	const struct journal_rules *before = j->n_rules > 0 ? &j->rules[j->n_rules - 1] : NULL;
	if (!whole(r))
		return false;
	if (version != (before != NULL ? before->version + 1 : 1))
		r->why = "the versions are not consecutive";
	else if (before != NULL ? effective_ms == TIME_NONE || effective_ms < before->effective_ms : effective_ms != TIME_NONE)
		r->why = "the time of effect does not fit the version before";
	if (r->why != NULL)
		return false;
	CLEANUP(freep) char *text = json_compact(rules_json);
	struct rules *rules = NULL;
	if (rules_from_json(span_of(text), &rules, e) != ERROR_NONE) {
		r->why = "its rules are not understood";
		return false;
	}
	j->rules = xrealloc(j->rules, j->n_rules + 1, sizeof(*j->rules));
	j->rules[j->n_rules++] = (struct journal_rules){ version, effective_ms, rules, TIME_NONE };
	return true;
}

static bool manifest_cuts(json_t *object, struct journal_cut **cuts, uint32_t *n, struct reading *r)
{
	const char *name;
	json_t *offset;
	*cuts = xcalloc(json_object_size(object) + 1, sizeof(**cuts));
	json_object_foreach(object, name, offset) {
		const char *slash = strrchr(name, '/');
		int64_t partition = -1;
		if (!json_is_integer(offset) || json_integer_value(offset) < 0)
			r->why = "a cut is not an offset";
		else if (slash == NULL || !span_int64(span_of(slash + 1), &partition) || partition < 0 || partition > INT32_MAX)
			r->why = "a cut does not name a partition";
		if (r->why != NULL)
			return false;
		(*cuts)[(*n)++] = (struct journal_cut){ xstrdup(name), json_integer_value(offset) };
	}
	return true;
}

static bool apply_manifest(struct journal *j, struct reading *r, struct span value)
{
	struct journal_manifest m = { .month = MONTH_NONE };
	const char *period = take_text(r, "period", MONTH_TEXT);
	m.rules_version = take_integer(r, "rules_version", 1);
	json_t *cuts = take_json(r, "cuts", JSON_OBJECT);
	m.counters = take_integer(r, "counters", 0);
	m.calls = take_integer(r, "calls", 0);
	json_t *accounts = json_object_get(r->object, "accounts") != NULL ? take_json(r, "accounts", JSON_OBJECT) : NULL; // none in old ones
	m.corrects = json_object_get(r->object, "corrections") != NULL && take_json(r, "corrections", JSON_TRUE) != NULL;
	if (!whole(r))
		return false;
	if (!month_parse(span_of(period), &m.month))
		r->why = "its period is not a month";
	else if (j->n_manifests > 0 && m.month != j->manifests[j->n_manifests - 1].month + 1)
		r->why = "its month does not follow the manifest before";
	else if (journal_rules_version(j, m.rules_version) == NULL)
		r->why = "its rules version is not known";
	if (r->why != NULL)
		return false;
	digest_sha256_text(value, m.sha256);
	j->manifests = xrealloc(j->manifests, j->n_manifests + 1, sizeof(*j->manifests));
	struct journal_manifest *slot = &j->manifests[j->n_manifests];
	*slot = m;
	j->n_manifests++; // owned from here on, whole or not
	return manifest_cuts(cuts, &slot->cuts, &slot->n_cuts, r) && manifest_cuts(accounts, &slot->accounts, &slot->n_accounts, r);
}

static bool apply_generation(struct journal *j, struct reading *r, int64_t offset)
{
	int64_t generation = take_integer(r, "generation", 1);
	if (!whole(r))
		return false;
	j->generation_before = j->generation;
	j->generation = generation;
	if (generation > j->generation_greatest)
		j->generation_greatest = generation;
	j->generation_at = offset;
	return true;
}

static bool apply(struct journal *j, struct reading *r, const char *type, int64_t offset, struct span value, struct error *e)
{
	if (strcmp(type, "init") == 0)
		return apply_init(j, r);
	if (r->why == NULL && j->init_id[0] == '\0')
		r->why = "it stands before the init";
	if (r->why != NULL)
		return false;
	if (strcmp(type, "rules") == 0)
		return apply_rules(j, r, e);
	if (strcmp(type, "admit") == 0)
		return apply_parts(j, r, true);
	if (strcmp(type, "manifest") == 0)
		return apply_manifest(j, r, value);
	if (strcmp(type, "generation") == 0)
		return apply_generation(j, r, offset);
	r->why = "its type is not known to this program";
	return false;
}

enum error_class journal_apply(struct journal *j, int64_t offset, struct span value, struct error *e)
{
	CLEANUP(json_freep) json_t *root = value.p != NULL ? json_loadb(value.p, value.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (!json_is_object(root))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "control topic, offset %lld: not a JSON object; something else writes to this topic",
				 (long long)offset);
	struct reading r = { .object = root };
	const char *type = take_text(&r, "type", 64);
	struct error inner = { 0 };
	if (!apply(j, &r, type, offset, value, &inner))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "control topic, offset %lld, record of type \"%s\": %s%s%s; run the newest meterd that wrote here",
				 (long long)offset, text_shown(span_of(type), (char[80]){ 0 }, 80), r.why, inner.cls != ERROR_NONE ? ": " : "", inner.text);
	j->next_offset = offset + 1;
	return ERROR_NONE;
}

// ---- reading the topic
struct load {
	struct journal *j;
	struct error e;
};

static bool load_record(void *ctx, const struct topic_record *t)
{
	struct load *l = ctx;
	if (t->partition != 0) {
		error_set(&l->e, ERROR_ABORT, EXIT_CONFIG_ERR, "the control topic has more than one partition; make it again with one");
		return false;
	}
	uint32_t n = l->j->n_rules;
	bool good = journal_apply(l->j, t->r.offset, t->r.value, &l->e) == ERROR_NONE;
	if (l->j->n_rules > n)
		l->j->rules[n].written_ms = t->r.timestamp_ms;
	return good;
}

enum error_class journal_load_from(const struct sink_port *port, const struct kafka_options *o, int timeout_ms, struct journal **ret,
				   struct error *e)
{
	CLEANUP(journal_freep) struct journal *j = journal_new();
	struct load l = { .j = j };
	enum error_class c = port->read_back(o, o->control_topic, TIME_NONE, timeout_ms, load_record, &l, e);
	if (c != ERROR_NONE)
		return c;
	if (l.e.cls != ERROR_NONE)
		return error_set(e, l.e.cls, l.e.exit_code, "%s", l.e.text);
	*ret = TAKE_PTR(j);
	return ERROR_NONE;
}

enum error_class journal_begun(const struct journal *j, const struct kafka_options *o, struct error *e)
{
	if (j->init_id[0] != '\0' && j->n_rules > 0)
		return ERROR_NONE;
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "topic %s holds no init: run `meterctl init` once", o->control_topic);
}

enum error_class journal_load(const struct kafka_options *o, int timeout_ms, struct journal **ret, struct error *e)
{
	return journal_load_from(&sink_port_kafka, o, timeout_ms, ret, e);
}

// ---- asking
const struct journal_rules *journal_rules_at(const struct journal *j, int64_t clock_ms)
{
	const struct journal_rules *found = NULL;
	for (uint32_t i = 0; i < j->n_rules; i++)
		if (i == 0 || (clock_ms != TIME_NONE && j->rules[i].effective_ms <= clock_ms))
			found = &j->rules[i];
	return found;
}

const struct journal_rules *journal_rules_version(const struct journal *j, int64_t version)
{
	for (uint32_t i = 0; i < j->n_rules; i++)
		if (j->rules[i].version == version)
			return &j->rules[i];
	return NULL;
}

const struct journal_part *journal_part(const struct journal *j, struct span name)
{
	for (uint32_t i = 0; i < j->n_parts; i++)
		if (span_is(name, j->parts[i].name))
			return &j->parts[i];
	return NULL;
}

const struct journal_manifest *journal_manifest(const struct journal *j, int month)
{
	for (uint32_t i = 0; i < j->n_manifests; i++)
		if (j->manifests[i].month == month)
			return &j->manifests[i];
	return NULL;
}
