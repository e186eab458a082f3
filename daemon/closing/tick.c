// SPDX-License-Identifier: Apache-2.0
// A partition in which nothing is written keeps its record clock and would hold every month open, and alerts that a change made due back.
// Once the close (or the change) has come it gets a tick: an empty record with the header __meterd.tick, through the relay's transaction. Whatever stands before the tick in the
// partition is not touched by it, so a tick too many costs one record and decides nothing.
//
// A partition with records yet to be read gets none: reading them moves the clock, or it brings the reader to the end.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"

enum { LOOK_EVERY_MS = 500, AGAIN_MS = 30000, STALL_MS = 10000, WALL_SLACK_MS = 1000 };

struct ticked {        // of one partition, by index in the journal (they never move)
	int64_t of_ms; // what the last tick was for; 0: none
	int64_t at_ms; // wall
	int64_t next, high, since_ms; // where the reader stood, and since when
};

struct ticker {
	struct closer_options o;
	const struct sink_port *port;
	int64_t looked_ms;
	uint32_t n;
	struct ticked *parts;
};

struct ticker *ticker_new(const struct closer_options *o, const struct sink_port *port)
{
	struct ticker *t = xcalloc(1, sizeof(*t));
	t->o = *o;
	t->port = port;
	return t;
}

void ticker_freep(struct ticker **at)
{
	if (*at != NULL)
		free((*at)->parts);
	free(*at);
	*at = NULL;
}

static void ticker_fit(struct ticker *t, uint32_t n)
{
	if (n <= t->n)
		return;
	t->parts = xrealloc(t->parts, n, sizeof(*t->parts));
	memset(t->parts + t->n, 0, (n - t->n) * sizeof(*t->parts));
	t->n = n;
}

// Has everything been read? Offsets that no record has (transaction markers) may be left between `next` and the end: a reader that
// stands still before them has read all there is. Not so behind a tick of ours: that one is still to be read.
static enum error_class at_end(struct ticker *t, const struct journal_part *p, struct ticked *k, int64_t of_ms, int64_t next, int64_t now_ms,
			       bool *ret, struct error *e)
{
	int64_t low = 0, high = 0;
	enum error_class c = t->port->offsets(t->o.kafka, p->topic, p->partition, t->o.timeout_ms, &low, &high, e);
	if (c != ERROR_NONE)
		return c;
	if (k->since_ms == 0 || k->next != next || k->high != high) {
		k->next = next;
		k->high = high;
		k->since_ms = now_ms;
	}
	*ret = next >= high || low >= high || (k->of_ms != of_ms && now_ms - k->since_ms >= STALL_MS);
	return ERROR_NONE;
}

static bool too_soon(const struct ticked *k, enum tick_for what, int64_t of_ms, int64_t now_ms)
{
	return (k->of_ms == of_ms || (what == TICK_CHANGE && k->of_ms != 0)) && now_ms >= k->at_ms && now_ms - k->at_ms < AGAIN_MS;
}

static enum relay_status publish(struct ticker *t, const struct journal *j, const uint32_t *due, uint32_t n, int64_t of_ms, int64_t stamp_ms,
				 int64_t now_ms, struct error *e)
{
	static const struct header tick = { SPAN_LIT(TICK_HEADER), SPAN_LIT("") };
	CLEANUP(freep) struct message *m = xcalloc(n, sizeof(*m));
	for (uint32_t i = 0; i < n; i++)
		m[i] = (struct message){ .topic = j->parts[due[i]].topic, .partition = j->parts[due[i]].partition, .value = SPAN_LIT(""),
			.headers = &tick, .n_headers = 1, .timestamp_ms = stamp_ms };
	enum relay_status s = relay_publish(t->o.relay, m, n, e);
	for (uint32_t i = 0; s == RELAY_DONE && i < n; i++) {
		t->parts[due[i]].of_ms = of_ms;
		t->parts[due[i]].at_ms = now_ms;
	}
	return s;
}

enum relay_status ticker_run(struct ticker *t, const struct journal *j, const struct look *l, enum tick_for what, int64_t of_ms, enum clock_mode clock,
			     int64_t now_ms, bool asked, struct error *e)
{
	int64_t have_ms = clock == CLOCK_WALL ? now_ms : l->clock_max;
	int64_t need_ms = of_ms + (clock == CLOCK_WALL && !asked ? WALL_SLACK_MS : 0);
	bool soon = now_ms >= t->looked_ms && now_ms - t->looked_ms < LOOK_EVERY_MS;
	if (have_ms < need_ms || (soon && !asked))
		return RELAY_DONE;
	t->looked_ms = now_ms;
	ticker_fit(t, j->n_parts);
	CLEANUP(freep) uint32_t *due = xcalloc(j->n_parts + 1, sizeof(*due));
	uint32_t n = 0;
	for (uint32_t i = 0; i < j->n_parts; i++) {
		const struct look_part *p = &l->parts[i];
		bool end = false;
		if (!p->everywhere || p->clock_max >= of_ms || too_soon(&t->parts[i], what, of_ms, now_ms))
			continue;
		enum error_class c = at_end(t, &j->parts[i], &t->parts[i], of_ms, p->next_max, now_ms, &end, e);
		if (c != ERROR_NONE)
			return closing_status(c);
		if (end)
			due[n++] = i;
	}
	if (n == 0)
		return RELAY_DONE;
	return publish(t, j, due, n, of_ms, clock == CLOCK_WALL && now_ms > of_ms ? now_ms : of_ms, now_ms, e);
}
