// SPDX-License-Identifier: Apache-2.0
#include "model/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void status_init(struct status *s)
{
	*s = (struct status){ .rules_version = -1, .imbalance = -1, .balanced_ms = TIME_NONE };
	s->relay.pending = -1;
	s->closer.closed_month = s->closer.open_month = s->closer.wait_month = MONTH_NONE;
	s->checkpoints.made_ms = TIME_NONE;
	s->closer.closes_ms = s->closer.due_ms = s->closer.closed_end_ms = TIME_NONE;
}

void status_counts_free(struct status_counts *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		free(c->list[i].name);
	free(c->list);
}

void status_free(struct status *s)
{
	for (uint32_t i = 0; i < s->n_reasons; i++)
		free(s->reasons[i]);
	for (uint32_t i = 0; i < s->n_parts; i++) {
		free(s->parts[i].topic);
		free(s->parts[i].halted);
	}
	status_counts_free(&s->calls);
	status_counts_free(&s->conflicts);
	status_counts_free(&s->top);
	free(s->reasons);
	free(s->parts);
	free(s->shards);
	free(s->instance);
	free(s->reload);
	free(s->snapshots.note);
	status_counts_free(&s->letters.by_code);
	free(s->relay.note);
	free(s->closer.note);
	status_init(s);
}

void status_reason(struct status *s, const char *fmt, ...)
{
	char line[1000];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->reasons = xrealloc(s->reasons, s->n_reasons + 1, sizeof(*s->reasons));
	s->reasons[s->n_reasons++] = xstrdup(line);
}

int64_t status_part_lag(const struct status_part *p)
{
	return p->high > p->next && p->high > p->at_end ? p->high - p->next : 0;
}

struct status_part *status_part_add(struct status *s, const char *topic, int32_t partition)
{
	s->parts = xrealloc(s->parts, s->n_parts + 1, sizeof(*s->parts));
	struct status_part *p = &s->parts[s->n_parts++];
	*p = (struct status_part){ .topic = xstrdup(topic), .partition = partition, .high = -1, .clock_ms = TIME_NONE,
				   .window_clock_ms = TIME_NONE, .snapshot_offset = -1, .snapshot_ms = TIME_NONE };
	return p;
}

void status_shards_add(struct status *s, const struct status_shard *list, uint32_t n)
{
	if (n > s->n_shards) {
		s->shards = xrealloc(s->shards, n, sizeof(*s->shards));
		memset(&s->shards[s->n_shards], 0, (n - s->n_shards) * sizeof(*s->shards));
		s->n_shards = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		s->shards[i].commits += list[i].commits;
		s->shards[i].counters += list[i].counters;
		s->shards[i].refused += list[i].refused;
		s->shards[i].took_us += list[i].took_us;
		s->shards[i].under_way += list[i].under_way;
		s->shards[i].behind += list[i].behind;
	}
}

void status_count_add(struct status_counts *c, const char *name, int64_t n)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (strcmp(c->list[i].name, name) == 0) {
			c->list[i].n += n;
			return;
		}
	c->list = xrealloc(c->list, c->n + 1, sizeof(*c->list));
	c->list[c->n++] = (struct status_count){ xstrdup(name), n };
}

static uint32_t count_halted(const struct status *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n_parts; i++)
		n += s->parts[i].halted != NULL;
	return n;
}

bool status_ready(const struct status *s)
{
	return s->phase == STATUS_RUNNING && s->n_reasons == 0 && count_halted(s) == 0;
}

void status_line(const struct status *s, char *buf, int size)
{
	static const char *const phases[] = { "starting", "running", "stopping" };
	int64_t lag = 0;
	for (uint32_t i = 0; i < s->n_parts; i++)
		lag += s->parts[i].high > s->parts[i].next ? s->parts[i].high - s->parts[i].next : 0;
	check(size > 0);
	if (s->n_reasons > 0)
		snprintf(buf, (size_t)size, "%s: %s", phases[s->phase], s->reasons[0]);
	else if (count_halted(s) > 0)
		snprintf(buf, (size_t)size, "%s: %u of %u partitions halted, see meterctl status", phases[s->phase], count_halted(s),
			 s->n_parts);
	else
		snprintf(buf, (size_t)size, "%s, %u partitions, lag %" PRId64, phases[s->phase], s->n_parts, lag);
	size_t n = strlen(buf);
	if (s->reload != NULL)
		snprintf(buf + n, (size_t)size - n, "; %s", s->reload);
	n = strlen(buf);
	if (s->snapshots.note != NULL)
		snprintf(buf + n, (size_t)size - n, "; a restart would take longer, state_dir cannot be written: %s", s->snapshots.note);
}
