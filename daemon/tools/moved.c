// SPDX-License-Identifier: Apache-2.0
// Rules, partitions and months of another state, and whether the log that they speak of is all there.
#include "tools/moved.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "journal/json.h"
#include "tools/frontend.h"
#include "tools/tools.h"

enum { TIMEOUT_MS = 15000 };

void moved_free(struct moved *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		free(m->records[i].value);
	free(m->records);
	journal_freep(&m->journal);
	settings_freep(&m->settings);
}

// ---- what was decided
static bool same_text(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

// What init said comes with another id and number of shards; which generation of counters is in force is nobody's business where all are made again.
static bool take_record(void *ctx, const struct topic_record *t)
{
	struct moved *m = ctx;
	CLEANUP(json_freep) json_t *j = t->r.value.p != NULL ? json_loadb(t->r.value.p, t->r.value.n, 0, NULL) : NULL;
	const char *type = json_string_value(json_object_get(j, "type"));
	if (type == NULL) // journal_load has refused it
		return false;
	if (strcmp(type, "init") == 0)
		m->n_init_parts = (uint32_t)json_array_size(json_object_get(j, "parts"));
	if (strcmp(type, "init") == 0 || strcmp(type, "generation") == 0)
		return true;
	m->records = xrealloc(m->records, m->n + 1, sizeof(*m->records));
	m->records[m->n++] = (struct moved_record){ xstrndup(t->r.value.p, t->r.value.n), t->r.value.n, t->r.timestamp_ms };
	return true;
}

static bool is_input(const struct kafka_options *k, const char *topic)
{
	for (const char *const *t = k->input_topics; *t != NULL; t++)
		if (strcmp(*t, topic) == 0)
			return true;
	return false;
}

static int refuse(const char *what, const char *there, const char *here, const char *why)
{
	fprintf(stderr, "meterctl init: %s is %s there and %s here: %s\n", what, there, here, why);
	return EXIT_CONFIG_ERR;
}

// Decisions name offsets of these very topics, and what is published names the group.
static int refuse_other(const struct moved *m, const struct kafka_options *k)
{
	static const char topics[] = "decisions name offsets in these very topics; move to the other cluster, or to other topics, first (README, Moving house)";
	const struct kafka_options *o = &m->kafka;
	if (!same_text(o->bootstrap, k->bootstrap))
		return refuse("kafka.bootstrap", o->bootstrap, k->bootstrap, topics);
	if (strcmp(o->accounts_topic, k->accounts_topic) != 0)
		return refuse("topics.accounts", o->accounts_topic, k->accounts_topic, topics);
	if (strcmp(o->alerts_topic, k->alerts_topic) != 0)
		return refuse("topics.alerts", o->alerts_topic, k->alerts_topic, topics);
	if (strcmp(o->settlements_topic, k->settlements_topic) != 0)
		return refuse("topics.settlements", o->settlements_topic, k->settlements_topic, topics);
	if (!same_text(o->group, k->group))
		return refuse("kafka.group", o->group, k->group, "its name stands in every bill that is out, and they must come out the same; keep it");
	if (strcmp(o->control_topic, k->control_topic) == 0)
		return refuse("topics.control", o->control_topic, "the same", "the other state's decisions stay as they are; create a new topic for these");
	for (uint32_t i = 0; i < m->journal->n_parts; i++)
		if (!is_input(k, m->journal->parts[i].topic))
			return refuse(m->journal->parts[i].name, "counted", "not in topics.input", "what was counted must be counted again; name its topic");
	return OPTIONS_GO_ON;
}

int moved_read(struct moved *m, const struct options *here, const struct kafka_options *k)
{
	struct error e = { 0 };
	int code = frontend_settings(m->config, &m->settings);
	if (code != EXIT_DONE)
		return code;
	settings_kafka(m->settings, &m->kafka);
	if (journal_load(&m->kafka, TIMEOUT_MS, &m->journal, &e) != ERROR_NONE || journal_begun(m->journal, &m->kafka, &e) != ERROR_NONE ||
	    topic_read_back(&m->kafka, m->kafka.control_topic, TIME_NONE, TIMEOUT_MS, take_record, m, &e) != ERROR_NONE)
		return options_fail(here, &e);
	return refuse_other(m, k);
}

// ---- whether the log is there
static enum error_class check_reach(const struct kafka_options *k, const char *topic, int32_t partition, int64_t from, struct error *e)
{
	int64_t low = 0, high = 0;
	enum error_class c = topic_offsets(k, topic, partition, TIMEOUT_MS, &low, &high, e);
	if (c == ERROR_NONE && low > from)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s/%d begins at offset %" PRId64 ", and all from %" PRId64 " on is needed: what retention took can "
				 "be neither counted nor found again. Nothing was written", topic, partition, low, from);
	return c;
}

// By what is out nothing comes a second time.
static enum error_class check_output(const struct kafka_options *k, const char *topic, struct error *e)
{
	struct topic_info info = { 0 };
	enum error_class c = topic_describe(k, topic, TIMEOUT_MS, &info, e);
	for (int32_t p = 0; p < info.partitions && c == ERROR_NONE; p++)
		c = check_reach(k, topic, p, 0, e);
	return c;
}

int moved_check_topics(const struct moved *m, const struct options *here, const struct kafka_options *k)
{
	const struct journal *j = m->journal;
	struct error e = { 0 };
	enum error_class c = ERROR_NONE;
	for (uint32_t i = 0; i < j->n_parts && c == ERROR_NONE; i++)
		c = check_reach(k, j->parts[i].topic, j->parts[i].partition, j->parts[i].offset, &e);
	if (c == ERROR_NONE)
		c = check_output(k, k->alerts_topic, &e);
	if (c == ERROR_NONE)
		c = check_output(k, k->settlements_topic, &e);
	return c == ERROR_NONE ? OPTIONS_GO_ON : options_fail(here, &e);
}
