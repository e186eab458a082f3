// SPDX-License-Identifier: Apache-2.0
// Stretches of partitions, of however many topics, read topic by topic.
#include <stdlib.h>

#include "base/check.h"
#include "sink/sink.h"

struct reading {
	topic_span_fn *fn;
	void *ctx;
	uint32_t *index;            // partition of the topic being read -> its span; UINT32_MAX: none
	int32_t n_index;
	bool stopped;
};

static bool take(void *ctx, const struct topic_record *t)
{
	struct reading *r = ctx;
	uint32_t at = t->partition < r->n_index ? r->index[t->partition] : UINT32_MAX;
	r->stopped = at != UINT32_MAX && !r->fn(r->ctx, at, t);
	return !r->stopped;
}

static enum error_class read_topic(struct reading *r, const struct sink_port *port, const struct kafka_options *o, const struct topic_span *list,
				   uint32_t n, const char *topic, int timeout_ms, struct error *e)
{
	int32_t most = 0;
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(list[i].topic, topic) == 0 && list[i].partition >= most)
			most = list[i].partition + 1;
	CLEANUP(freep) int64_t *starts = xcalloc((size_t)most, sizeof(*starts)), *ends = xcalloc((size_t)most, sizeof(*ends));
	CLEANUP(freep) uint32_t *index = xcalloc((size_t)most, sizeof(*index));
	for (int32_t p = 0; p < most; p++)
		index[p] = UINT32_MAX;
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(list[i].topic, topic) != 0)
			continue;
		index[list[i].partition] = i;
		starts[list[i].partition] = list[i].from;
		ends[list[i].partition] = list[i].to;
	}
	r->index = index;
	r->n_index = most;
	return port->read_from(o, topic, starts, ends, most, timeout_ms, take, r, e);
}

enum error_class topic_read_spans(const struct sink_port *port, const struct kafka_options *o, const struct topic_span *list, uint32_t n, int timeout_ms,
				  topic_span_fn *fn, void *ctx, struct error *e)
{
	struct reading r = { .fn = fn, .ctx = ctx };
	enum error_class c = ERROR_NONE;
	for (uint32_t i = 0; i < n && c == ERROR_NONE && !r.stopped; i++) {
		bool first = true; // of its topic
		for (uint32_t k = 0; k < i; k++)
			first = first && strcmp(list[k].topic, list[i].topic) != 0;
		if (first)
			c = read_topic(&r, port, o, list, n, list[i].topic, timeout_ms, e);
	}
	return c;
}
