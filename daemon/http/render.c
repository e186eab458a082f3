// SPDX-License-Identifier: Apache-2.0
// Unknown numbers are null in JSON and absent in metrics, never 0.
#include "http/render.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { TOP_LINES = 20 };

void render_ready(const struct status *s, FILE *to)
{
	if (status_ready(s)) {
		fputs("ready\n", to);
		return;
	}
	if (s->phase != STATUS_RUNNING)
		fputs(s->phase == STATUS_STARTING ? "starting\n" : "stopping\n", to);
	for (uint32_t i = 0; i < s->n_reasons; i++)
		fprintf(to, "%s\n", s->reasons[i]);
	for (uint32_t i = 0; i < s->n_parts; i++)
		if (s->parts[i].halted != NULL)
			fprintf(to, "%s/%" PRId32 " halted: %s\n", s->parts[i].topic, s->parts[i].partition, s->parts[i].halted);
}

// ---- metrics

static void one(struct metrics *m, enum metric id, int64_t value)
{
	metric_begin(m, id);
	metric_value(m, NULL, value);
}

static int64_t part_number(const struct status_part *p, enum metric id)
{
	switch (id) {
	case METRIC_GAPS:
		return p->gaps;
	case METRIC_LAG:
		return p->high < 0 ? INT64_MIN : status_part_lag(p);
	case METRIC_LAST_EVENT:
		return p->clock_ms;
	case METRIC_HALTED:
		return p->halted != NULL;
	case METRIC_READ_BACK:
		return p->read_back;
	case METRIC_SNAPSHOT_OFFSET:
		return p->snapshot_offset >= 0 ? p->snapshot_offset : INT64_MIN;
	case METRIC_SNAPSHOT_TIME:
		return p->snapshot_ms == TIME_NONE ? INT64_MIN : p->snapshot_ms;
	case METRIC_SNAPSHOT_BYTES:
		return p->snapshot_offset >= 0 ? (int64_t)p->snapshot_bytes : INT64_MIN;
	default:
		check(id == METRIC_WINDOW);
		return p->window_clock_ms == TIME_NONE || p->clock_ms == TIME_NONE ? INT64_MIN : p->clock_ms - p->window_clock_ms;
	}
}

static void by_part(struct metrics *m, const struct status *s, enum metric id)
{
	metric_begin(m, id);
	for (uint32_t i = 0; i < s->n_parts; i++) {
		const struct status_part *p = &s->parts[i];
		char number[16];
		snprintf(number, sizeof(number), "%" PRId32, p->partition);
		int64_t value = part_number(p, id);
		if (value != INT64_MIN)
			metric_value(m, (const char *const[]){ p->topic, number }, value);
	}
}

static void by_outcome(struct metrics *m, const struct status *s)
{
	metric_begin(m, METRIC_EVENTS);
	for (uint32_t i = 0; i < s->n_parts; i++) {
		char number[16];
		snprintf(number, sizeof(number), "%" PRId32, s->parts[i].partition);
		for (int o = 0; o < OUTCOME_COUNT; o++)
			metric_value(m, (const char *const[]){ s->parts[i].topic, number, outcome_text((enum outcome)o) },
				     s->parts[i].outcomes[o]);
	}
}

static void by_name(struct metrics *m, const struct status_counts *c, enum metric id)
{
	metric_begin(m, id);
	for (uint32_t i = 0; i < c->n; i++)
		metric_value(m, (const char *const[]){ c->list[i].name }, c->list[i].n);
}

static void office_metrics(struct metrics *m, const struct status *s)
{
	metric_begin(m, METRIC_ALERT_DELAY);
	metric_histogram(m, &s->alert_delay);
	if (s->relay.pending >= 0)
		one(m, METRIC_OUTBOX_PENDING, s->relay.pending);
	metric_begin(m, METRIC_STUCK);
	metric_value(m, (const char *const[]){ "worker" }, s->stuck_workers);
	metric_value(m, (const char *const[]){ "outbox" }, s->stuck_outbox);
	one(m, METRIC_OUTBOX_PUBLISHED, (int64_t)s->relay.published);
	one(m, METRIC_OUTBOX_DROPPED, (int64_t)s->relay.dropped);
	if (s->imbalance >= 0)
		one(m, METRIC_IMBALANCE, s->imbalance);
	if (s->balanced_ms != TIME_NONE)
		one(m, METRIC_BALANCED, s->balanced_ms);
	if (s->closer.closed_end_ms != TIME_NONE)
		one(m, METRIC_CLOSED, s->closer.closed_end_ms);
	if (s->closer.due_ms != TIME_NONE)
		one(m, METRIC_DUE, s->closer.due_ms);
	metric_begin(m, METRIC_CORRECTIONS);
	metric_value(m, (const char *const[]){ "made" }, (int64_t)s->closer.corrected);
	metric_value(m, (const char *const[]){ "passed_over" }, (int64_t)s->closer.passed_over);
	if (s->rules_version >= 0)
		one(m, METRIC_RULES, s->rules_version);
	one(m, METRIC_ACCOUNTS_RECORDS, (int64_t)s->accounts_records);
}

static void snapshot_metrics(struct metrics *m, const struct status *s)
{
	if (!s->snapshots.kept)
		return;
	by_part(m, s, METRIC_SNAPSHOT_OFFSET);
	by_part(m, s, METRIC_SNAPSHOT_TIME);
	by_part(m, s, METRIC_SNAPSHOT_BYTES);
	one(m, METRIC_SNAPSHOTS_WRITTEN, (int64_t)s->snapshots.written);
	one(m, METRIC_SNAPSHOTS_FAILED, (int64_t)s->snapshots.failed);
	one(m, METRIC_SNAPSHOTS_LOST, (int64_t)s->snapshots.lost);
	one(m, METRIC_SNAPSHOTS_REFUSED, (int64_t)s->snapshots.refused);
}

static void checkpoint_metrics(struct metrics *m, const struct status *s)
{
	if (!s->checkpoints.kept)
		return;
	one(m, METRIC_CHECKPOINTS_WRITTEN, (int64_t)s->checkpoints.written);
	one(m, METRIC_CHECKPOINTS_FAILED, (int64_t)s->checkpoints.failed);
	if (s->checkpoints.made_ms == TIME_NONE)
		return;
	one(m, METRIC_CHECKPOINT_TIME, s->checkpoints.made_ms);
	one(m, METRIC_CHECKPOINT_BYTES, (int64_t)s->checkpoints.bytes);
}

void render_metrics(const struct status *s, FILE *to)
{
	struct metrics m = { .to = to };
	metric_begin(&m, METRIC_BUILD_INFO);
	metric_value(&m, (const char *const[]){ METERD_VERSION, s->instance != NULL ? s->instance : "" }, 1);
	one(&m, METRIC_READY, status_ready(s));
	one(&m, METRIC_CONFIG_GOOD, !s->reload_refused);
	by_outcome(&m, s);
	by_part(&m, s, METRIC_GAPS);
	by_name(&m, &s->calls, METRIC_CALLS);
	by_part(&m, s, METRIC_LAG);
	by_part(&m, s, METRIC_LAST_EVENT);
	by_part(&m, s, METRIC_HALTED);
	by_part(&m, s, METRIC_WINDOW);
	one(&m, METRIC_DEDUPE_BYTES, (int64_t)s->dedupe_bytes);
	by_part(&m, s, METRIC_READ_BACK);
	snapshot_metrics(&m, s);
	checkpoint_metrics(&m, s);
	if (s->letters.known)
		by_name(&m, &s->letters.by_code, METRIC_LETTERS);
	metric_begin(&m, METRIC_COMMIT_TIME);
	metric_histogram(&m, &s->commit_time);
	by_name(&m, &s->conflicts, METRIC_CONFLICTS);
	one(&m, METRIC_COUNTERS, (int64_t)s->counters_committed);
	office_metrics(&m, s);
	metrics_process(&m);
}

// ---- JSON

static json_t *known(int64_t value)
{
	return value >= 0 ? json_integer(value) : json_null();
}

static json_t *instant(int64_t time_ms)
{
	char buf[TIME_TEXT];
	return time_ms != TIME_NONE ? json_string(time_text(time_ms, buf)) : json_null();
}

static json_t *month(int m)
{
	char buf[MONTH_TEXT];
	return m != MONTH_NONE ? json_string(month_text(m, buf)) : json_null();
}

static json_t *words(const char *text)
{
	return text != NULL ? json_stringn_nocheck(text, strlen(text)) : json_null();
}

static json_t *part_json(const struct status_part *p)
{
	json_t *outcomes = json_object();
	for (int o = 0; o < OUTCOME_COUNT; o++)
		json_object_set_new(outcomes, outcome_text((enum outcome)o), json_integer(p->outcomes[o]));
	return json_pack("{s:s,s:i,s:I,s:o,s:o,s:o,s:b,s:I,s:o,s:o,s:o,s:o}", "topic", p->topic, "partition", (int)p->partition, "next",
			 (json_int_t)p->next, "high", known(p->high), "lag", known(p->high < 0 ? -1 : part_number(p, METRIC_LAG)),
			 "clock", instant(p->clock_ms), "reading_back", p->reading_back, "read_back",
			 (json_int_t)p->read_back, "snapshot_offset", known(p->snapshot_offset), "snapshot_written", instant(p->snapshot_ms), "halted",
			 words(p->halted), "outcomes", outcomes);
}

static json_t *snapshots_json(const struct status_snapshots *s)
{
	return json_pack("{s:b,s:I,s:I,s:I,s:I,s:o}", "kept", s->kept, "written", (json_int_t)s->written, "failed", (json_int_t)s->failed, "lost",
			 (json_int_t)s->lost, "refused", (json_int_t)s->refused, "note", words(s->note));
}

static json_t *checkpoints_json(const struct status_checkpoints *c)
{
	return json_pack("{s:b,s:I,s:I,s:o,s:I}", "kept", c->kept, "written", (json_int_t)c->written, "failed", (json_int_t)c->failed, "made", instant(c->made_ms),
			 "bytes", (json_int_t)c->bytes);
}

static json_t *letters_json(const struct status_letters *l)
{
	json_t *codes = json_object();
	int64_t left = 0;
	for (uint32_t i = 0; i < l->by_code.n; i++) {
		left += l->by_code.list[i].n;
		if (l->by_code.list[i].n > 0)
			json_object_set_new(codes, l->by_code.list[i].name, json_integer(l->by_code.list[i].n));
	}
	return json_pack("{s:o,s:b,s:o}", "left", known(l->known ? left : -1), "more", l->full, "codes", codes);
}

static json_t *office_json(const struct status *s, const char *which)
{
	const struct status_relay *r = &s->relay;
	const struct status_closer *c = &s->closer;
	if (which[0] == 'o')
		return json_pack("{s:b,s:o,s:I,s:I,s:o}", "owner", r->owner, "pending", known(r->pending), "published",
				 (json_int_t)r->published, "dropped", (json_int_t)r->dropped, "note", words(r->note));
	return json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "owner", c->owner, "closed", month(c->closed_month), "open",
			 month(c->open_month), "waits_for_month", month(c->wait_month), "closes", instant(c->closes_ms), "due",
			 instant(c->due_ms), "note", words(c->note));
}

static int by_count(const void *a, const void *b)
{
	const struct status_count *x = *(const struct status_count *const *)a, *y = *(const struct status_count *const *)b;
	return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->name, y->name);
}

static json_t *top_json(const struct status *s)
{
	json_t *list = json_array();
	CLEANUP(freep) const struct status_count **order = xcalloc(s->top.n + 1, sizeof(*order));
	for (uint32_t i = 0; i < s->top.n; i++)
		order[i] = &s->top.list[i];
	qsort(order, s->top.n, sizeof(*order), by_count);
	for (uint32_t i = 0; i < s->top.n && i < TOP_LINES; i++)
		json_array_append_new(list, json_pack("{s:s,s:I}", "account", order[i]->name, "calls", (json_int_t)order[i]->n));
	return json_pack("{s:I,s:I,s:o}", "window_seconds", (json_int_t)(s->top_window_us / 1000000), "over", (json_int_t)s->top_over, "accounts", list);
}

static json_t *shards_json(const struct status *s)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < s->n_shards; i++) {
		const struct status_shard *h = &s->shards[i];
		json_array_append_new(list, json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "shard", (json_int_t)i, "commits", (json_int_t)h->commits,
						      "counters", (json_int_t)h->counters, "refused", (json_int_t)h->refused, "took_us",
						      (json_int_t)h->took_us, "under_way", (json_int_t)h->under_way, "behind", (json_int_t)h->behind));
	}
	return list;
}

static json_t *counts_json(const struct status_counts *c)
{
	json_t *j = json_object();
	for (uint32_t i = 0; i < c->n; i++)
		json_object_set_new(j, c->list[i].name, json_integer(c->list[i].n));
	return j;
}

char *render_status(const struct status *s)
{
	static const char *const phases[] = { "starting", "running", "stopping" };
	json_t *reasons = json_array(), *parts = json_array();
	for (uint32_t i = 0; i < s->n_reasons; i++)
		json_array_append_new(reasons, words(s->reasons[i]));
	for (uint32_t i = 0; i < s->n_parts; i++)
		json_array_append_new(parts, part_json(&s->parts[i]));
	json_t *all = json_pack("{s:s,s:s,s:s,s:b,s:o,s:o,s:I,s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "version", METERD_VERSION, "instance",
				s->instance != NULL ? s->instance : "", "state", phases[s->phase], "ready", status_ready(s), "reasons",
				reasons, "started", instant(s->started_ms), "uptime_seconds",
				(json_int_t)((s->now_ms - s->started_ms) / 1000), "workers", (int)s->workers, "rules_version",
				known(s->rules_version), "partitions", parts, "shards", shards_json(s), "outbox", office_json(s, "outbox"), "closing",
				office_json(s, "closing"), "snapshots", snapshots_json(&s->snapshots), "checkpoints", checkpoints_json(&s->checkpoints),
				"dead_letters", letters_json(&s->letters), "reload", words(s->reload), "imbalance", known(s->imbalance),
				"calls", counts_json(&s->calls), "top_accounts", top_json(s));
	check(all != NULL);
	char *text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	check(text != NULL);
	return text;
}
