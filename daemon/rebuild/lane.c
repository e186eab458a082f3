// SPDX-License-Identifier: Apache-2.0
// The ends of a worker that makes a generation: it reads the partitions that are given to it, up to limits that are set from outside,
// and tells the dead-letter topic nothing.
//
//	goal: new phase ─► poll: rejoin ─► worker commits all it has ─► claims, with the new limits ─► reads up to them ─► reached
//
// Where shards are to stand at different offsets in the end, a shard that stands where it is to is shown to the worker as if it stood at
// the target: like one that is ahead after a crash, it takes no part in what lies below.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "rebuild/inner.h"

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(uintptr_t)(p) - offsetof(type, member)))

// ---- the source
static struct lane *of_source(struct source *s)
{
	return CONTAINER(s, struct lane, source);
}

static void take_goal(struct lane *l)
{
	struct goal *g = l->goal;
	pthread_mutex_lock(&g->lock);
	for (uint32_t i = 0; i < l->n_parts; i++) {
		l->limit[i] = g->target[l->of_goal[i]];
		l->there[i] = false;
		memcpy(l->reach + (size_t)i * g->n_shards, g->reach + (size_t)l->of_goal[i] * g->n_shards, g->n_shards * sizeof(*l->reach));
	}
	l->phase = g->phase;
	pthread_mutex_unlock(&g->lock);
}

static uint64_t phase_now(struct goal *g)
{
	pthread_mutex_lock(&g->lock);
	uint64_t phase = g->phase;
	pthread_mutex_unlock(&g->lock);
	return phase;
}

static enum error_class assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e)
{
	struct lane *l = ctx;
	check(n == l->n_parts);
	take_goal(l);
	enum error_class c = l->up.assigned(l->up.ctx, parts, n, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < n; i++) {
		check(strcmp(parts[i].name, l->names[i]) == 0);
		l->there[i] = parts[i].read_from >= l->limit[i];
	}
	return c;
}

static void revoked(void *ctx, bool lost)
{
	struct lane *l = ctx;
	l->up.revoked(l->up.ctx, lost);
}

static void at_end(void *ctx, uint32_t part, int64_t end)
{
	struct lane *l = ctx;
	l->there[part] = l->there[part] || end >= l->limit[part];
}

static bool all_there(const struct lane *l)
{
	for (uint32_t i = 0; i < l->n_parts; i++)
		if (!l->there[i])
			return false;
	return true;
}

static uint32_t keep_below(struct lane *l, struct record *records, uint32_t n)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t part = records[i].part;
		if (records[i].offset + 1 >= l->limit[part])
			l->there[part] = true;
		if (records[i].offset < l->limit[part])
			records[kept++] = records[i];
	}
	return kept;
}

// A second's worth of records, then a pause until the second is over.
static void keep_rate(struct lane *l, uint32_t n)
{
	int64_t now = clock_mono_us(), rate = __atomic_load_n(&l->goal->rate, __ATOMIC_RELAXED);
	if (now - l->second_us >= 1000000) {
		l->second_us = now;
		l->taken = 0;
	}
	l->taken += n;
	if (rate > 0 && l->taken >= rate)
		clock_sleep_ms((l->second_us + 1000000 - now) / 1000 + 1);
}

static enum error_class lane_poll(struct source *s, int timeout_ms, struct record **ret, uint32_t *ret_n, uint32_t *ret_part, struct error *e)
{
	enum { PAUSE_MS = 2 };
	struct lane *l = of_source(s);
	*ret_n = 0;
	if (phase_now(l->goal) != l->phase) {
		enum error_class c = l->inner->ops->rejoin(l->inner, e);
		if (c != ERROR_NONE)
			return c;
	} else if (all_there(l)) { // the worker took what came before: it polls again
		atomic_store(&l->reached, l->phase);
		clock_sleep_ms(timeout_ms < PAUSE_MS ? timeout_ms : PAUSE_MS);
		return ERROR_NONE;
	}
	enum error_class c = l->inner->ops->poll(l->inner, timeout_ms, ret, ret_n, ret_part, e);
	if (c == ERROR_NONE && *ret_n > 0) {
		*ret_n = keep_below(l, *ret, *ret_n);
		keep_rate(l, *ret_n);
	}
	return c;
}

static void lane_release(struct source *s)
{
	struct lane *l = of_source(s);
	l->inner->ops->release(l->inner);
}

static enum error_class lane_rejoin(struct source *s, struct error *e)
{
	struct lane *l = of_source(s);
	return l->inner->ops->rejoin(l->inner, e);
}

static void lane_hint(struct source *s, uint32_t part, int64_t next)
{
	(void)s, (void)part, (void)next;
}

static int64_t lane_high(struct source *s, uint32_t part)
{
	struct lane *l = of_source(s);
	return l->inner->ops->high(l->inner, part);
}

static void lane_close(struct source *s, int deadline_ms)
{
	struct lane *l = of_source(s);
	l->inner->ops->close(l->inner, deadline_ms);
}

static const struct source_ops lane_source_ops = { lane_poll, lane_release, lane_rejoin, lane_hint, lane_high, lane_close };

static enum error_class open_source(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb,
				    struct source **ret, struct error *e)
{
	struct lane *l = CONTAINER(o, struct lane, kafka);
	struct source_callbacks mine = { .ctx = l, .assigned = assigned, .revoked = revoked, .at_end = at_end };
	(void)instance_id;
	l->up = *cb;
	l->source.ops = &lane_source_ops;
	enum error_class c = l->real->source_read(o, l->topics, l->partitions, l->n_parts, &mine, &l->inner, e);
	if (c == ERROR_NONE)
		*ret = &l->source;
	return c;
}

// ---- the store: what a worker uses of it
static struct lane *of_store(struct store *s)
{
	return CONTAINER(s, struct lane, claims);
}

static void show_claims(const struct lane *l, uint32_t shard, struct store_claim *claims, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < l->n_parts; k++) {
			if (!span_is(claims[i].name, l->names[k]) || l->reach[(size_t)k * l->goal->n_shards + shard] >= l->limit[k] ||
			    claims[i].at.next >= l->limit[k])
				continue;
			claims[i].at.next = l->limit[k];
			claims[i].at.last = -1;
		}
}

// Up to which offset this shard is to count the partition.
static int64_t wanted(const struct lane *l, uint32_t part, uint32_t shard)
{
	int64_t reach = l->reach[(size_t)part * l->goal->n_shards + shard];
	return reach < l->limit[part] ? reach : l->limit[part];
}

// The limits are of a moment before. Where Redis went back since, the generation in force does not hold any more what lies below them, and newer rules
// may be dated into it: what is counted now would be counted by older ones, for ever. Every connection broke then, so it is asked with each claim.
static enum error_class look_at_live(struct lane *l, uint32_t shard, struct error *e)
{
	struct store_positions at = { 0 };
	l->behind->ops->identity(l->behind, l->init_id, l->in_force);
	enum error_class c = l->behind->ops->positions(l->behind, shard, &at, e);
	rebuild_identity(l->behind, l->init_id, l->made);
	for (uint32_t k = 0; c == ERROR_NONE && k < l->n_parts; k++) {
		int64_t next = l->begin[k];
		for (uint32_t i = 0; i < at.n; i++)
			if (strcmp(at.list[i].name, l->names[k]) == 0)
				next = at.list[i].at.next;
		if (next < wanted(l, k, shard)) {
			atomic_store(&l->went_back, true);
			c = error_set(e, ERROR_RETRY, 0, "the generation in force went back behind offset %lld of %s", (long long)wanted(l, k, shard), l->names[k]);
		}
	}
	store_positions_free(&at);
	return c;
}

static enum error_class lane_claim(struct store *s, uint32_t shard, struct span token, struct store_claim *claims, uint32_t n, struct error *e)
{
	struct lane *l = of_store(s);
	enum error_class c = l->behind->ops->claim(l->behind, shard, token, claims, n, e);
	if (c == ERROR_NONE)
		c = look_at_live(l, shard, e);
	if (c == ERROR_NONE)
		show_claims(l, shard, claims, n);
	return c;
}

static enum error_class lane_renew(struct store *s, uint32_t shard, struct span old, struct span new, struct store_claim *claims, uint32_t n,
				   bool *ret_foreign, struct error *e)
{
	struct lane *l = of_store(s);
	enum error_class c = l->behind->ops->renew(l->behind, shard, old, new, claims, n, ret_foreign, e);
	if (c == ERROR_NONE && !*ret_foreign)
		c = look_at_live(l, shard, e);
	if (c == ERROR_NONE && !*ret_foreign)
		show_claims(l, shard, claims, n);
	return c;
}

static void lane_identity(struct store *s, const char *init_id, int64_t generation)
{
	struct lane *l = of_store(s);
	l->made = generation;
	rebuild_identity(l->behind, init_id, generation);
}

static void lane_commit_send(struct store *s, struct commit *c)
{
	struct lane *l = of_store(s);
	l->behind->ops->commit_send(l->behind, c);
}

static bool lane_commit_receive(struct store *s, int timeout_ms, struct commit_result *ret)
{
	struct lane *l = of_store(s);
	return l->behind->ops->commit_receive(l->behind, timeout_ms, ret);
}

static enum error_class lane_mark(struct store *s, struct span name, int64_t offset, int64_t *ret, struct error *e)
{
	struct lane *l = of_store(s);
	return l->behind->ops->mark(l->behind, name, offset, ret, e);
}

static uint64_t lane_session(struct store *s)
{
	struct lane *l = of_store(s);
	return l->behind->ops->session(l->behind);
}

static void lane_informed(struct store *s, uint64_t session)
{
	struct lane *l = of_store(s);
	l->behind->ops->informed(l->behind, session);
}

static void lane_store_close(struct store *s)
{
	struct lane *l = of_store(s);
	l->behind->ops->close(l->behind);
}

static const struct store_ops lane_store_ops = {
	.identity = lane_identity, .claim = lane_claim, .renew = lane_renew, .commit_send = lane_commit_send,
	.commit_receive = lane_commit_receive, .session = lane_session, .informed = lane_informed, .mark = lane_mark,
	.close = lane_store_close,
};

static enum error_class open_store(const struct store_options *o, struct store **ret, struct error *e)
{
	struct lane *l = CONTAINER(o, struct lane, store);
	l->claims.ops = &lane_store_ops;
	enum error_class c = l->real->store_open(o, &l->behind, e);
	if (c == ERROR_NONE)
		*ret = &l->claims;
	return c;
}

// ---- no dead letters
static enum error_class silent_send(struct dlq *d, const char *topic, int32_t partition, const struct record *r, const struct dlq_reason *why,
				    struct error *e)
{
	(void)d, (void)topic, (void)partition, (void)r, (void)why, (void)e;
	return ERROR_NONE;
}

static uint64_t silent_pending(struct dlq *d, int timeout_ms)
{
	(void)d, (void)timeout_ms;
	return 0;
}

static void silent_nothing(struct dlq *d)
{
	(void)d;
}

static enum error_class open_silent(const struct kafka_options *o, struct dlq **ret, struct error *e)
{
	static const struct dlq_ops ops = { silent_send, silent_pending, silent_nothing, silent_nothing };
	struct lane *l = CONTAINER(o, struct lane, kafka);
	(void)e;
	l->silent.ops = &ops;
	*ret = &l->silent;
	return ERROR_NONE;
}

// ---- life
struct lane *lane_new(struct goal *g, const struct rebuild_options *o, const struct journal *j, uint32_t index, uint32_t of)
{
	struct lane *l = xcalloc(1, sizeof(*l));
	*l = (struct lane){ .kafka = *o->kafka, .store = *o->store, .real = o->ports, .goal = g };
	l->ports = (struct ports){ .sink = o->ports->sink, .source_open = open_source, .store_open = open_store, .dlq_open = open_silent };
	size_t most = j->n_parts / of + 1;
	l->of_goal = xcalloc(most, sizeof(*l->of_goal));
	l->names = xcalloc(most, sizeof(*l->names));
	l->topics = xcalloc(most, sizeof(*l->topics));
	l->partitions = xcalloc(most, sizeof(*l->partitions));
	l->limit = xcalloc(most, sizeof(*l->limit));
	l->there = xcalloc(most, sizeof(*l->there));
	l->reach = xcalloc(most * g->n_shards, sizeof(*l->reach));
	l->begin = xcalloc(most, sizeof(*l->begin));
	snprintf(l->init_id, sizeof(l->init_id), "%s", j->init_id);
	l->in_force = j->generation;
	for (uint32_t i = index; i < j->n_parts; i += of, l->n_parts++) {
		l->of_goal[l->n_parts] = i;
		l->names[l->n_parts] = xstrdup(j->parts[i].name);
		l->topics[l->n_parts] = j->parts[i].topic;
		l->partitions[l->n_parts] = j->parts[i].partition;
		l->begin[l->n_parts] = j->parts[i].offset;
	}
	return l;
}

void lane_free(struct lane *l)
{
	for (uint32_t i = 0; i < l->n_parts; i++)
		free(l->names[i]);
	free(l->of_goal);
	free(l->names);
	free(l->topics);
	free(l->partitions);
	free(l->limit);
	free(l->there);
	free(l->reach);
	free(l->begin);
	free(l);
}
