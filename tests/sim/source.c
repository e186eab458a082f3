// SPDX-License-Identifier: Apache-2.0
// Twin of the consumer group. It is eager: when its members change, all give up their partitions
// before any gets new ones, except those whose session is over: they hear of it last, and work on meanwhile as if the partitions were
// theirs.
#include "base/check.h"
#include "sim.h"

enum { BATCH_MOST = 40 };

struct sim_source {
	struct source s;                 // first
	struct source_callbacks cb;
	struct sim_instance *of;
	bool member;                     // in the group, as the group sees it
	bool joined;                     // gave up what it had, waits for the new assignment
	uint64_t generation;             // of its assignment; 0: none
	struct source_part *parts;
	uint32_t n_parts;
	int64_t *next;                   // by part
	struct record records[BATCH_MOST];
};
struct sim_group {
	uint64_t generation;
	bool rebalancing;
	struct sim_source *members[SIM_INSTANCES];
};

static struct sim_group *group(void)
{
	if (sim->group == NULL)
		sim->group = xcalloc(1, sizeof(*sim->group));
	return sim->group;
}

static void rebalance(void)
{
	group()->rebalancing = true;
	for (int i = 0; i < SIM_INSTANCES; i++)
		if (group()->members[i] != NULL)
			group()->members[i]->joined = false;
}

static void parts_free(struct sim_source *s)
{
	for (uint32_t i = 0; i < s->n_parts; i++) {
		free(s->parts[i].topic);
		free(s->parts[i].name);
	}
	free(s->parts);
	free(s->next);
	s->parts = NULL;
	s->next = NULL;
	s->n_parts = 0;
	s->generation = 0;
}

static void give_up(struct sim_source *s, bool lost)
{
	if (s->generation != 0)
		s->cb.revoked(s->cb.ctx, lost);
	parts_free(s);
}

// Range: member k of n has a run of the partitions.
static enum error_class assign(struct sim_source *s, struct error *e)
{
	uint32_t k = 0, n = 0, at = 0;
	for (int i = 0; i < SIM_INSTANCES; i++) {
		if (group()->members[i] == s)
			k = n;
		n += group()->members[i] != NULL;
	}
	uint32_t from = (uint32_t)sim_partitions() * k / n, to = (uint32_t)sim_partitions() * (k + 1) / n;
	s->parts = xcalloc(to - from + 1, sizeof(*s->parts));
	s->next = xcalloc(to - from + 1, sizeof(*s->next));
	for (uint32_t p = from; p < to; p++)
		s->parts[at++] = (struct source_part){ .topic = xstrdup("usage.calls"), .partition = (int32_t)p, .name = xasprintf("usage.calls/%u", p) };
	s->n_parts = at;
	s->generation = group()->generation;
	enum error_class c = s->cb.assigned(s->cb.ctx, s->parts, s->n_parts, e);
	if (c != ERROR_NONE) { // nothing is read; `rejoin` is the way on
		parts_free(s);
		return c;
	}
	for (uint32_t i = 0; i < s->n_parts; i++)
		s->next[i] = s->parts[i].read_from;
	return ERROR_NONE;
}

// All members gave up what they had: a new generation.
static void settle_group(void)
{
	for (int i = 0; i < SIM_INSTANCES; i++)
		if (group()->members[i] != NULL && !group()->members[i]->joined)
			return;
	group()->rebalancing = false;
	group()->generation++;
}

static enum error_class follow_group(struct sim_source *s, struct error *e)
{
	if (!s->member) { // its session was over, or it is new
		give_up(s, true);
		s->member = true;
		group()->members[s->of->index] = s;
		rebalance();
	}
	if (group()->rebalancing && !s->joined) {
		give_up(s, false);
		s->joined = true;
		settle_group();
		return ERROR_NONE;
	}
	if (!group()->rebalancing && s->joined) {
		s->joined = false;
		return assign(s, e);
	}
	return ERROR_NONE;
}

static void read_records(const struct source_part *part, uint32_t i, int64_t *next, const struct source_callbacks *cb, struct record *to, uint32_t most,
			 uint32_t *n)
{
	const struct fake_log *l = fake_log(&sim->kafka, "usage.calls", part->partition);
	size_t at = 0;
	if (sim->n_log < sim->lags_until[part->partition] && sim->n_log < sim->events)
		return; // its leader is slow
	while (at < l->n && l->list[at].offset < *next)
		at++;
	for (; at < l->n && most > 0; at++, most--) {
		const struct fake_message *m = &l->list[at];
		to[*n] = fake_record(m);
		to[(*n)++].part = i;
		*next = m->offset + 1;
	}
	if (at == l->n && cb->at_end != NULL)
		cb->at_end(cb->ctx, i, l->high);
}

static enum error_class s_poll(struct source *base, int timeout_ms, struct record **ret, uint32_t *ret_n, uint32_t *ret_part, struct error *e)
{
	struct sim_source *s = (struct sim_source *)base;
	(void)ret_part;
	*ret = s->records;
	*ret_n = 0;
	enum fate f = sim_fate(STEP_POLL, (1u << FATE_LOST) | (1u << FATE_DIES_BEFORE));
	if (f == FATE_LOST)
		return error_set(e, ERROR_RETRY, 0, "Kafka is away (simulated)");
	enum error_class c = follow_group(s, e);
	if (c != ERROR_NONE || s->generation == 0)
		return sim->mono_us += timeout_ms * 1000, c;
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n_parts; i++)
		read_records(&s->parts[i], i, &s->next[i], &s->cb, s->records, (uint32_t)sim_below(BATCH_MOST / SIM_PARTITIONS_MOST + 1), &n);
	*ret_n = n;
	if (n == 0)
		sim->mono_us += timeout_ms * 1000;
	return ERROR_NONE;
}

static void s_release(struct source *base)
{
	(void)base;
}

static enum error_class s_rejoin(struct source *base, struct error *e)
{
	struct sim_source *s = (struct sim_source *)base;
	(void)e;
	give_up(s, true);
	if (s->member)
		rebalance();
	return ERROR_NONE;
}

static void s_hint(struct source *base, uint32_t part, int64_t next)
{
	(void)base, (void)part, (void)next;
}

static int64_t s_high(struct source *base, uint32_t part)
{
	struct sim_source *s = (struct sim_source *)base;
	return fake_log(&sim->kafka, "usage.calls", s->parts[part].partition)->high;
}

static void s_close(struct source *base, int deadline_ms)
{
	struct sim_source *s = (struct sim_source *)base;
	(void)deadline_ms;
	give_up(s, !s->member);
	if (s->member) {
		group()->members[s->of->index] = NULL;
		rebalance();
		settle_group();
	}
	s->of->source = NULL;
	free(s);
}

static const struct source_ops source_ops = { s_poll, s_release, s_rejoin, s_hint, s_high, s_close };

enum error_class sim_source_open(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb, struct source **ret,
				 struct error *e)
{
	(void)o, (void)instance_id, (void)e;
	struct sim_source *s = xcalloc(1, sizeof(*s));
	*s = (struct sim_source){ .s = { &source_ops }, .cb = *cb, .of = sim->running };
	sim->running->source = s;
	*ret = &s->s;
	return ERROR_NONE;
}

void sim_group_expire(struct sim_instance *of)
{
	if (of->source == NULL || !of->source->member)
		return;
	of->source->member = of->source->joined = false;
	group()->members[of->index] = NULL;
	rebalance();
	settle_group();
}

void sim_group_changed(void)
{
	rebalance();
	settle_group();
}

void sim_source_forget(struct sim_instance *of)
{
	sim_group_expire(of);
	if (of->source == NULL)
		return;
	parts_free(of->source);
	free(of->source);
	of->source = NULL;
}

// ---- partitions that are given, without a group (a rebuild's)
struct given {
	struct source s;                 // first
	struct source_callbacks cb;
	uint32_t n;
	struct source_part *parts;
	int64_t *next;
	bool out;                        // handed out
	struct record records[BATCH_MOST];
};

static enum error_class g_poll(struct source *base, int timeout_ms, struct record **ret, uint32_t *ret_n, uint32_t *ret_part, struct error *e)
{
	struct given *s = (struct given *)base;
	uint32_t n = 0;
	(void)ret_part;
	*ret = s->records;
	*ret_n = 0;
	if (sim_fate(STEP_POLL, (1u << FATE_LOST) | (1u << FATE_DIES_BEFORE)) == FATE_LOST)
		return error_set(e, ERROR_RETRY, 0, "Kafka is away (simulated)");
	if (!s->out) {
		enum error_class c = s->cb.assigned(s->cb.ctx, s->parts, s->n, e);
		if (c != ERROR_NONE)
			return c;
		s->out = true;
		for (uint32_t i = 0; i < s->n; i++)
			s->next[i] = s->parts[i].read_from;
		return ERROR_NONE;
	}
	for (uint32_t i = 0; i < s->n; i++)
		read_records(&s->parts[i], i, &s->next[i], &s->cb, s->records, (uint32_t)sim_below(BATCH_MOST / SIM_PARTITIONS_MOST + 1), &n);
	*ret_n = n;
	if (n == 0)
		sim->mono_us += timeout_ms * 1000;
	return ERROR_NONE;
}

static enum error_class g_rejoin(struct source *base, struct error *e)
{
	struct given *s = (struct given *)base;
	(void)e;
	if (s->out)
		s->cb.revoked(s->cb.ctx, false);
	s->out = false;
	return ERROR_NONE;
}

static int64_t g_high(struct source *base, uint32_t part)
{
	return fake_log(&sim->kafka, "usage.calls", ((struct given *)base)->parts[part].partition)->high;
}

static void g_close(struct source *base, int deadline_ms)
{
	struct given *s = (struct given *)base;
	struct error e;
	(void)deadline_ms;
	g_rejoin(base, &e);
	for (uint32_t i = 0; i < s->n; i++) {
		free(s->parts[i].topic);
		free(s->parts[i].name);
	}
	free(s->parts);
	free(s->next);
	free(s);
}

enum error_class sim_source_read(const struct kafka_options *o, const char *const *topics, const int32_t *partitions, uint32_t n,
				 const struct source_callbacks *cb, struct source **ret, struct error *e)
{
	static const struct source_ops ops = { g_poll, s_release, g_rejoin, s_hint, g_high, g_close };
	struct given *s = xcalloc(1, sizeof(*s));
	(void)o, (void)e;
	*s = (struct given){ .s = { &ops }, .cb = *cb, .n = n, .parts = xcalloc(n + 1, sizeof(*s->parts)), .next = xcalloc(n + 1, sizeof(*s->next)) };
	for (uint32_t i = 0; i < n; i++)
		s->parts[i] = (struct source_part){ .topic = xstrdup(topics[i]), .partition = partitions[i], .name = xasprintf("%s/%d", topics[i], partitions[i]) };
	*ret = &s->s;
	return ERROR_NONE;
}
