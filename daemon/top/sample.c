// SPDX-License-Identifier: Apache-2.0
#include "top/sample.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/span.h"

// ---- status

static void text_of(const json_t *j, const char *key, char *buf, size_t size)
{
	const char *text = json_string_value(json_object_get(j, key));
	snprintf(buf, size, "%s", text != NULL ? text : "");
}

static int64_t int_of(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);
	return json_is_integer(v) ? json_integer_value(v) : -1;
}

static void take_part(const json_t *j, struct top_part *p)
{
	char topic[256];
	*p = (struct top_part){ .next = int_of(j, "next"), .high = int_of(j, "high"), .lag = int_of(j, "lag"),
				.reading_back = json_is_true(json_object_get(j, "reading_back")) };
	text_of(j, "topic", topic, sizeof(topic));
	snprintf(p->name, sizeof(p->name), "%s/%" PRId64, topic, int_of(j, "partition"));
	text_of(j, "clock", p->clock, sizeof(p->clock));
	text_of(j, "halted", p->halted, sizeof(p->halted));
	for (int o = 0; o < OUTCOME_COUNT; o++)
		p->outcomes[o] = int_of(json_object_get(j, "outcomes"), outcome_text((enum outcome)o));
}

static void take_shards(const json_t *shards, struct top_sample *s)
{
	size_t i;
	json_t *v;
	s->shards = xcalloc(json_array_size(shards), sizeof(*s->shards));
	json_array_foreach(shards, i, v) {
		struct top_shard *h = &s->shards[s->n_shards++];
		*h = (struct top_shard){ .commits = int_of(v, "commits"), .counters = int_of(v, "counters"), .refused = int_of(v, "refused"),
					 .took_us = int_of(v, "took_us"), .under_way = int_of(v, "under_way"), .behind = int_of(v, "behind") };
		snprintf(h->name, sizeof(h->name), "s%02" PRId64, int_of(v, "shard"));
	}
}

static void take_lists(const json_t *j, struct top_sample *s)
{
	const json_t *parts = json_object_get(j, "partitions"), *reasons = json_object_get(j, "reasons");
	size_t i;
	json_t *v;
	s->parts = xcalloc(json_array_size(parts), sizeof(*s->parts));
	s->reasons = xcalloc(json_array_size(reasons), sizeof(*s->reasons));
	json_array_foreach(parts, i, v) {
		struct top_part *p = &s->parts[s->n_parts++];
		take_part(v, p);
		if (p->halted[0] == '\0' && p->lag > 0)
			s->lag += p->lag;
	}
	take_shards(json_object_get(j, "shards"), s);
	json_array_foreach(reasons, i, v)
		if (json_is_string(v))
			s->reasons[s->n_reasons++] = xstrdup(json_string_value(v));
}

static void take_status(const json_t *j, struct top_sample *s)
{
	const json_t *outbox = json_object_get(j, "outbox"), *closing = json_object_get(j, "closing");
	s->ready = json_is_true(json_object_get(j, "ready"));
	s->owner = json_is_true(json_object_get(outbox, "owner"));
	text_of(j, "state", s->state, sizeof(s->state));
	text_of(j, "instance", s->instance, sizeof(s->instance));
	text_of(j, "version", s->version, sizeof(s->version));
	text_of(j, "started", s->started, sizeof(s->started));
	text_of(j, "reload", s->reload, sizeof(s->reload));
	text_of(outbox, "note", s->outbox_note, sizeof(s->outbox_note));
	text_of(closing, "open", s->open, sizeof(s->open));
	text_of(closing, "closes", s->closes, sizeof(s->closes));
	text_of(closing, "due", s->due, sizeof(s->due));
	text_of(closing, "note", s->closing_note, sizeof(s->closing_note));
	s->uptime_s = int_of(j, "uptime_seconds");
	s->rules = int_of(j, "rules_version");
	s->pending = int_of(outbox, "pending");
	s->published = int_of(outbox, "published");
	take_lists(j, s);
}

// ---- metrics

// "12.345678" -> 12345678; -1 for what is none. Digits behind the sixth say nothing here.
static int64_t micro_of(const char *text)
{
	int64_t v = 0;
	int decimals = -1;
	for (; isdigit((unsigned char)*text) || (*text == '.' && decimals < 0); text++) {
		if (*text == '.') {
			decimals = 0;
			continue;
		}
		if (decimals == 6 || v > INT64_MAX / 10000000 / 10)
			return decimals == 6 ? v : -1;
		v = v * 10 + (*text - '0');
		decimals += decimals >= 0;
	}
	for (int i = decimals < 0 ? 0 : decimals; i < 6; i++)
		v *= 10;
	return v;
}

static void take_service(struct top_sample *s, const char *labels, int64_t calls)
{
	static const char key[] = "service=\"";
	const char *name = strstr(labels, key);
	if (name == NULL)
		return;
	name += strlen(key);
	s->services = xrealloc(s->services, s->n_services + 1, sizeof(*s->services));
	struct top_service *x = &s->services[s->n_services++];
	*x = (struct top_service){ .calls = calls };
	snprintf(x->name, sizeof(x->name), "%.*s", (int)strcspn(name, "\""), name);
}

// One line of the exposition: name{labels} value
static void take_metric(struct top_sample *s, const char *line, size_t n)
{
	char text[600];
	if (n >= sizeof(text) || line[0] == '#')
		return;
	snprintf(text, sizeof(text), "%.*s", (int)n, line);
	char *value = strrchr(text, ' '), *labels = strchr(text, '{');
	if (value == NULL)
		return;
	*value++ = '\0';
	if (labels != NULL)
		*labels++ = '\0';
	int64_t whole = -1;
	span_int64(span_of(value), &whole);
	if (strcmp(text, "meterd_calls_total") == 0 && labels != NULL)
		take_service(s, labels, whole);
	else if (strcmp(text, "meterd_commit_conflicts_total") == 0)
		s->conflicts = (s->conflicts < 0 ? 0 : s->conflicts) + whole;
	else if (strcmp(text, "meterd_commit_duration_seconds_sum") == 0)
		s->commit_us = micro_of(value);
	else if (strcmp(text, "meterd_commit_duration_seconds_count") == 0)
		s->commits = whole;
	else if (strcmp(text, "meterd_ledger_imbalance_events") == 0)
		s->imbalance = whole;
	else if (strcmp(text, "meterd_dedupe_bytes") == 0)
		s->dedupe_bytes = whole;
	else if (strcmp(text, "process_resident_memory_bytes") == 0)
		s->resident_bytes = whole;
	else if (strcmp(text, "process_cpu_seconds_total") == 0)
		s->cpu_us = micro_of(value);
}

static void take_metrics(struct top_sample *s, const char *text)
{
	for (size_t n; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		take_metric(s, text, n);
	}
}

bool top_sample_parse(const char *status, const char *metrics, int64_t at_us, struct top_sample *ret)
{
	json_t *j = json_loads(status, 0, NULL);
	bool known = json_is_object(j) && json_is_boolean(json_object_get(j, "ready")) && json_is_array(json_object_get(j, "partitions"));
	if (known) {
		*ret = (struct top_sample){ .at_us = at_us, .commit_us = -1, .commits = -1, .conflicts = -1, .imbalance = -1, .dedupe_bytes = -1,
					    .resident_bytes = -1, .cpu_us = -1, .events_rate = -1, .calls_rate = -1, .published_rate = -1,
					    .commit_mean_us = -1, .cpu_permille = -1 };
		take_status(j, ret);
		if (metrics != NULL)
			take_metrics(ret, metrics);
	}
	json_decref(j);
	return known;
}

void top_sample_free(struct top_sample *s)
{
	for (uint32_t i = 0; i < s->n_reasons; i++)
		free(s->reasons[i]);
	free(s->reasons);
	free(s->parts);
	free(s->shards);
	free(s->services);
	*s = (struct top_sample){ 0 };
}

// ---- rates

static int64_t each_second(int64_t now, int64_t before, int64_t took_us)
{
	if (now < 0 || before < 0 || now < before || took_us <= 0)
		return now >= 0 && before > now ? 0 : -1; // read again from further back
	return (int64_t)((unsigned __int128)(now - before) * 1000000 / (uint64_t)took_us);
}

static void part_rates(struct top_part *p, const struct top_sample *before, int64_t took_us)
{
	const struct top_part *q = NULL;
	for (uint32_t i = 0; i < before->n_parts && q == NULL; i++)
		if (strcmp(before->parts[i].name, p->name) == 0)
			q = &before->parts[i];
	p->rate = q != NULL ? each_second(p->next, q->next, took_us) : -1;
	for (int o = 0; o < OUTCOME_COUNT; o++)
		p->outcome_rate[o] = q != NULL ? each_second(p->outcomes[o], q->outcomes[o], took_us) : -1;
}

static void shard_rates(struct top_shard *h, const struct top_sample *before, int64_t took_us)
{
	const struct top_shard *q = NULL;
	for (uint32_t i = 0; i < before->n_shards && q == NULL; i++)
		if (strcmp(before->shards[i].name, h->name) == 0)
			q = &before->shards[i];
	h->rate = q != NULL ? each_second(h->commits, q->commits, took_us) : -1;
	h->counter_rate = q != NULL ? each_second(h->counters, q->counters, took_us) : -1;
	if (q != NULL && q->commits >= 0 && h->commits > q->commits)
		h->mean_us = (h->took_us - q->took_us) / (h->commits - q->commits);
}

static void service_rates(struct top_service *x, const struct top_sample *before, int64_t took_us)
{
	int64_t was = 0; // a service without calls has no line
	for (uint32_t i = 0; i < before->n_services; i++)
		if (strcmp(before->services[i].name, x->name) == 0)
			was = before->services[i].calls;
	x->rate = each_second(x->calls, was, took_us);
}

static void unknown_rates(struct top_sample *s)
{
	for (uint32_t i = 0; i < s->n_parts; i++) {
		s->parts[i].rate = -1;
		for (int o = 0; o < OUTCOME_COUNT; o++)
			s->parts[i].outcome_rate[o] = -1;
	}
	for (uint32_t i = 0; i < s->n_shards; i++)
		s->shards[i].rate = s->shards[i].counter_rate = s->shards[i].mean_us = -1;
	for (uint32_t i = 0; i < s->n_services; i++)
		s->services[i].rate = -1;
}

void top_sample_rates(struct top_sample *now, const struct top_sample *before)
{
	unknown_rates(now);
	if (before == NULL || strcmp(before->started, now->started) != 0 || strcmp(before->instance, now->instance) != 0)
		return;
	int64_t took_us = now->at_us - before->at_us;
	now->events_rate = now->calls_rate = 0;
	for (uint32_t i = 0; i < now->n_parts; i++) {
		part_rates(&now->parts[i], before, took_us);
		now->events_rate += now->parts[i].rate > 0 ? now->parts[i].rate : 0;
	}
	for (uint32_t i = 0; i < now->n_shards; i++)
		shard_rates(&now->shards[i], before, took_us);
	for (uint32_t i = 0; i < now->n_services; i++) {
		service_rates(&now->services[i], before, took_us);
		now->calls_rate += now->services[i].rate > 0 ? now->services[i].rate : 0;
	}
	now->published_rate = each_second(now->published, before->published, took_us);
	if (now->commits > before->commits && before->commits >= 0)
		now->commit_mean_us = (now->commit_us - before->commit_us) / (now->commits - before->commits);
	int64_t cpu = each_second(now->cpu_us, before->cpu_us, took_us);
	now->cpu_permille = cpu >= 0 ? cpu / 1000 : -1;
}
