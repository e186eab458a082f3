// SPDX-License-Identifier: Apache-2.0
#include "tools/correction_state.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/check.h"
#include "closing/frame.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

struct made {                        // a correction of which a revision is out
	char *name;                  // "account/id"
	UT_hash_handle hh;
};
struct correction_states {
	struct journal *journal;
	struct arena arena;
	uint32_t n;
	struct month_frame *closes;  // that may have made some, in their order
	struct made *made;
	int ended;                   // newest month whose run is out; MONTH_NONE
	bool whole;                  // nothing is missing at the begin of the settlements topic
};

// ---- what is out
static bool is_made(const struct correction_states *s, const char *name)
{
	struct made *m = NULL;
	HASH_FIND_STR(s->made, name, m);
	return m != NULL;
}

static void note_made(struct correction_states *s, const char *account, const char *id)
{
	CLEANUP(freep) char *name = xasprintf("%s/%s", account, id);
	if (is_made(s, name))
		return;
	struct made *m = xcalloc(1, sizeof(*m));
	m->name = TAKE_PTR(name);
	HASH_ADD_KEYPTR(hh, s->made, m->name, strlen(m->name), m);
}

// Most of what is out has nothing to do with it, and is not read as JSON.
static bool take(void *ctx, const struct topic_record *t)
{
	static const char id[] = "\"correction\"", ended[] = "\"meterd.period.closed.v1\"";
	struct correction_states *s = ctx;
	struct span v = t->r.value;
	int month;
	if (v.n == 0 || (memmem(v.p, v.n, id, strlen(id)) == NULL && memmem(v.p, v.n, ended, strlen(ended)) == NULL))
		return true;
	json_t *json = json_loadb(v.p, v.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *data = json_object_get(json, "data");
	const char *type = json_string_value(json_object_get(json, "type")), *period = json_string_value(json_object_get(data, "period"));
	const char *account = json_string_value(json_object_get(data, "account")), *correction = json_string_value(json_object_get(data, "correction"));
	if (account != NULL && correction != NULL)
		note_made(s, account, correction);
	if (type != NULL && strcmp(type, "meterd.period.closed.v1") == 0 && period != NULL && month_parse(span_of(period), &month) && month > s->ended)
		s->ended = month;
	json_decref(json);
	return true;
}

static enum error_class read_published(struct correction_states *s, const struct sink_port *port, const struct kafka_options *kafka, int timeout_ms,
				       struct error *e)
{
	struct topic_info info = { 0 };
	const char *topic = kafka->settlements_topic;
	enum error_class c = port->describe(kafka, topic, timeout_ms, &info, e);
	s->whole = true;
	for (int32_t p = 0; p < info.partitions && c == ERROR_NONE; p++) {
		int64_t low = 0, high = 0;
		c = port->offsets(kafka, topic, p, timeout_ms, &low, &high, e);
		s->whole = s->whole && low == 0;
	}
	return c == ERROR_NONE ? port->read_back(kafka, topic, TIME_NONE, timeout_ms, take, s, e) : c;
}

enum error_class correction_states_read(const struct sink_port *port, const struct kafka_options *kafka, int timeout_ms, struct correction_states **ret,
					struct error *e)
{
	CLEANUP(correction_states_freep) struct correction_states *s = xcalloc(1, sizeof(*s));
	s->ended = MONTH_NONE;
	enum error_class c = journal_load_from(port, kafka, timeout_ms, &s->journal, e);
	if (c != ERROR_NONE)
		return c;
	const struct journal *j = s->journal;
	s->closes = arena_alloc(&s->arena, (j->n_manifests + 1) * sizeof(*s->closes));
	for (uint32_t i = 0; i < j->n_manifests; i++)
		if (j->manifests[i].corrects)
			month_frame_make(j, &j->manifests[i], j->manifests[i].month, &s->arena, &s->closes[s->n++]);
	c = s->n > 0 ? read_published(s, port, kafka, timeout_ms, e) : ERROR_NONE;
	if (c == ERROR_NONE)
		*ret = TAKE_PTR(s);
	return c;
}

void correction_states_freep(struct correction_states **at)
{
	struct correction_states *s = *at;
	if (s == NULL)
		return;
	struct made *m = s->made, *next;
	HASH_CLEAR(hh, s->made);
	for (; m != NULL; m = next) {
		next = m->hh.next;
		free(m->name);
		free(m);
	}
	journal_freep(&s->journal);
	arena_free(&s->arena);
	free(s);
	*at = NULL;
}

// ---- what became of one
static const char not_the_next[] = "it was not worked out from the close just before";

// closing/correct.c judges in this order. *another: the same close has made one of the account.
static struct correction_state closed(const struct correction_states *s, const struct account *a, const struct account_fact *f, int month, bool *another)
{
	struct correction_state x = { f, "passed over", month, NULL };
	CLEANUP(freep) char *name = xasprintf("%.*s/%.*s", (int)a->name.n, a->name.p, (int)f->id.n, f->id.p);
	if (is_made(s, name)) {
		x.text = "made";
		*another = true;
	} else if (f->after_month != month - 1) {
		x.why = not_the_next;
	} else if (s->ended == MONTH_NONE || s->ended < month) {
		x.text = "waits"; // the close is under way
	} else if (*another) {
		x.why = "another correction of the account came with the same close";
	} else if (!s->whole) {
		x.text = "closed";
	} else {
		x.why = "a bill was not what it was any more, or it did not fit: the log of meterd says which (correction_passed_over)";
	}
	return x;
}

static struct correction_state waiting(const struct correction_states *s, const struct account_fact *f)
{
	const struct journal *j = s->journal;
	if (j->n_manifests == 0)
		return (struct correction_state){ f, "waits", MONTH_NONE, NULL };
	int last = j->manifests[j->n_manifests - 1].month;
	return (struct correction_state){ f, "waits", last + 1, f->after_month != last ? not_the_next : NULL };
}

uint32_t correction_states_of(const struct correction_states *s, const struct account *a, struct correction_state *ret)
{
	static const struct account_horizon all = { .stamp_ms = INT64_MAX };
	CLEANUP(freep) const struct account_fact **facts = xcalloc(a->n_corrections + 1, sizeof(*facts));
	const struct account_horizon *before = NULL;
	uint32_t n = 0;
	if (a->n_corrections == 0)
		return 0;
	for (uint32_t i = 0; i < s->n; before = &s->closes[i++].horizon) {
		bool another = false;
		for (uint32_t k = 0, due = account_corrections(a, before, &s->closes[i].horizon, facts); k < due; k++)
			ret[n++] = closed(s, a, facts[k], s->closes[i].month, &another);
	}
	for (uint32_t k = 0, due = account_corrections(a, before, &all, facts); k < due; k++)
		ret[n++] = waiting(s, facts[k]);
	return n;
}
