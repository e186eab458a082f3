// SPDX-License-Identifier: Apache-2.0
// The course of a rebuild: lease, generation, workers, how far they may read.
#include "rebuild/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "rebuild/inner.h"

enum { TIMEOUT_MS = 15000, LEASE_MS = 15000, LEASE_EVERY_US = 3000000, LOOK_EVERY_MS = 20, ASK_EVERY_MS = 200, LAG_EVERY_US = 1000000 };

// ---- what the shards say
struct standing {                // of one generation: by partition and shard, as the journal has them
	uint32_t n_parts, n_shards;
	int64_t *next;
};

static void standing_free(struct standing *s)
{
	free(s->next);
}

static enum error_class take_standing(struct store *s, const struct journal *j, struct standing *ret, struct error *e)
{
	struct standing x = { j->n_parts, j->shards, xcalloc((size_t)j->n_parts * j->shards + 1, sizeof(*x.next)) };
	enum error_class c = ERROR_NONE;
	for (uint32_t shard = 0; shard < j->shards && c == ERROR_NONE; shard++) {
		struct store_positions at = { 0 };
		c = s->ops->positions(s, shard, &at, e);
		for (uint32_t p = 0; p < j->n_parts; p++) {
			int64_t *next = &x.next[(size_t)p * j->shards + shard];
			*next = j->parts[p].offset; // nothing was claimed yet
			for (uint32_t i = 0; i < at.n; i++)
				if (strcmp(at.list[i].name, j->parts[p].name) == 0)
					*next = at.list[i].at.next;
		}
		store_positions_free(&at);
	}
	if (c == ERROR_NONE)
		*ret = x;
	else
		standing_free(&x);
	return c;
}

static int64_t least(const struct standing *s, uint32_t part)
{
	int64_t n = INT64_MAX;
	for (uint32_t shard = 0; shard < s->n_shards; shard++)
		if (s->next[(size_t)part * s->n_shards + shard] < n)
			n = s->next[(size_t)part * s->n_shards + shard];
	return n;
}

static uint64_t records_of(const struct rebuild *r, const struct standing *s)
{
	uint64_t n = 0;
	for (uint32_t p = 0; p < s->n_parts; p++)
		n += (uint64_t)(least(s, p) - r->journal->parts[p].offset);
	return n;
}

// ---- looking around
void rebuild_identity(struct store *s, const char *init_id, int64_t generation)
{
	char own[40];
	snprintf(own, sizeof(own), "%s!", init_id);
	s->ops->identity(s, own, generation);
}

// Somebody may have put it in force, or dropped it.
static enum error_class still_building(struct rebuild *r, struct error *e)
{
	struct store_generations g = { 0 };
	bool building = false;
	enum error_class c = r->desk->ops->generations(r->desk, 0, &g, e);
	for (uint32_t i = 0; i < g.n; i++)
		building = building || (g.list[i].number == r->generation && g.list[i].kind == GENERATION_BUILDING);
	store_generations_free(&g);
	if (c == ERROR_NONE && !building)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "generation %lld is not being made any more: it was put in force, or dropped (`meterctl "
				 "generations`)", (long long)r->generation);
	return c;
}

static enum error_class take_lease(struct rebuild *r, struct error *e)
{
	CLEANUP(freep) char *other = NULL;
	enum error_class c = r->desk->ops->lease(r->desk, LEASE_GENERATIONS, r->holder, LEASE_MS, &other, e);
	if (c == ERROR_NONE && other != NULL)
		c = error_set(e, ERROR_ABORT, EXIT_LATER, "another rebuild works on this state: %s. Wait until it has ended; if it was killed, its "
			      "claim is over after %d s", other, LEASE_MS / 1000);
	r->leased_us = clock_mono_us();
	return c;
}

static enum error_class look_at_lane(struct rebuild *r, uint32_t index, struct error *e)
{
	enum error_class c = ERROR_NONE;
	struct worker_status w;
	if (atomic_load(&r->lanes[index]->went_back))
		return error_set(e, ERROR_RETRY, 0, "the generation in force went back behind what was to be counted; run the same command again");
	worker_status(r->lanes[index]->worker, &w);
	if (strcmp(w.state, "halted") == 0)
		c = error_set(e, ERROR_HALT, 0, "%s", w.reason);
	for (uint32_t i = 0; i < w.n_parts && c == ERROR_NONE; i++)
		if (w.parts[i].halted[0] != '\0')
			c = error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s/%d: %s", w.parts[i].topic, w.parts[i].partition, w.parts[i].halted);
	worker_status_free(&w);
	return c;
}

// Some shard went back to where the generation was being put back from a checkpoint: the next start of the same command begins it anew.
static bool is_half(struct rebuild *r)
{
	bool half = false;
	for (uint32_t shard = 0; shard < r->journal->shards && !half; shard++) {
		struct store_generations g = { 0 };
		if (r->desk->ops->generations(r->desk, shard, &g, NULL) != ERROR_NONE)
			return false;
		for (uint32_t i = 0; i < g.n; i++)
			half = half || (g.list[i].number == r->generation && g.list[i].kind == GENERATION_RESTORING);
		store_generations_free(&g);
	}
	return half;
}

enum error_class rebuild_look(struct rebuild *r, struct error *e)
{
	if (r->o.stop != NULL && atomic_load(r->o.stop))
		return error_set(e, ERROR_RETRY, 0, "stopped; run the same command again%s to go on from here",
				 r->o.from.kind != REBUILD_FROM_FIRST ? ", without --from," : "");
	if (atomic_load(&r->shared.failed) && is_half(r))
		return error_set(e, ERROR_RETRY, 0, "Redis went back behind the end of putting generation %lld back; run the same command again",
				 (long long)r->generation);
	if (atomic_load(&r->shared.failed))
		return error_set(e, r->shared.failure.cls, r->shared.failure.exit_code, "%s", r->shared.failure.text);
	enum error_class c = ERROR_NONE;
	for (uint32_t i = 0; i < r->n_lanes && c == ERROR_NONE; i++)
		c = look_at_lane(r, i, e);
	if (c == ERROR_NONE && clock_mono_us() - r->leased_us > LEASE_EVERY_US) {
		struct error passing = { 0 };
		c = take_lease(r, &passing);
		if (c == ERROR_NONE)
			c = still_building(r, &passing);
		if (c == ERROR_RETRY)
			return ERROR_NONE; // Redis is away: so it is for everyone
		if (c != ERROR_NONE)
			*e = passing;
	}
	return c;
}

// ---- the workers
static void stop_workers(struct rebuild *r)
{
	atomic_store(&r->shared.stop, true);
	for (uint32_t i = 0; i < r->n_lanes; i++) {
		r->o.crew->worker_join(&r->lanes[i]->worker);
		lane_free(r->lanes[i]);
	}
	if (r->facts != NULL)
		r->o.crew->facts_join(&r->facts);
	free(r->lanes);
	r->lanes = NULL;
	r->n_lanes = 0;
	free(r->goal.target);
	free(r->goal.reach);
	r->goal.target = r->goal.reach = NULL;
}

static enum error_class start_workers(struct rebuild *r, struct error *e)
{
	struct goal *g = &r->goal;
	uint32_t parts = r->journal->n_parts, want = r->o.workers < parts ? r->o.workers : parts;
	g->n_parts = parts;
	g->n_shards = r->journal->shards;
	g->target = xcalloc(parts + 1, sizeof(*g->target));
	g->reach = xcalloc((size_t)parts * g->n_shards + 1, sizeof(*g->reach));
	for (uint32_t p = 0; p < parts; p++) // nothing yet
		g->target[p] = r->journal->parts[p].offset;
	for (size_t i = 0; i < (size_t)parts * g->n_shards; i++)
		g->reach[i] = INT64_MAX;
	g->phase++;
	g->rate = r->o.rate > 0 && want > 0 ? (r->o.rate + want - 1) / want : 0;
	atomic_store(&r->shared.stop, false);
	r->lanes = xcalloc(want + 1, sizeof(*r->lanes));
	enum error_class c = r->o.crew->facts_start(r->o.kafka, &r->shared, &r->facts, e);
	for (uint32_t i = 0; i < want && c == ERROR_NONE; i++) {
		struct lane *l = lane_new(g, &r->o, r->journal, i, want);
		struct worker_options wo = { &l->ports, r->o.settings, &l->kafka, &l->store, &r->shared, r->facts, r->generation, i, NULL };
		c = r->o.crew->worker_start(&wo, &l->worker, e);
		if (c == ERROR_NONE)
			r->lanes[r->n_lanes++] = l;
		else
			lane_free(l);
	}
	return c;
}

enum error_class rebuild_reload(struct rebuild *r, struct error *e)
{
	struct journal *j = NULL;
	enum error_class c = journal_load_from(r->o.ports->sink, r->o.kafka, TIMEOUT_MS, &j, e);
	if (c != ERROR_NONE)
		return c;
	if (j->generation == r->generation) {
		journal_freep(&j);
		return error_set(e, ERROR_ABORT, EXIT_LATER, "generation %lld is in force by now", (long long)r->generation);
	}
	bool other = r->journal == NULL || j->n_parts != r->journal->n_parts || r->n_lanes == 0;
	if (other && r->n_lanes > 0)
		stop_workers(r);
	journal_freep(&r->journal);
	r->journal = j;
	r->live->ops->identity(r->live, j->init_id, j->generation);
	rebuild_identity(r->store, j->init_id, r->generation);
	return other ? start_workers(r, e) : ERROR_NONE;
}

static void set_goal(struct rebuild *r, const int64_t *target, const int64_t *reach)
{
	struct goal *g = &r->goal;
	pthread_mutex_lock(&g->lock);
	memcpy(g->target, target, g->n_parts * sizeof(*target));
	if (reach != NULL)
		memcpy(g->reach, reach, (size_t)g->n_parts * g->n_shards * sizeof(*reach));
	else
		for (size_t i = 0; i < (size_t)g->n_parts * g->n_shards; i++)
			g->reach[i] = INT64_MAX;
	g->phase++;
	pthread_mutex_unlock(&g->lock);
}

static bool phase_reached(const struct rebuild *r)
{
	for (uint32_t i = 0; i < r->n_lanes; i++)
		if (atomic_load(&r->lanes[i]->reached) != r->goal.phase)
			return false;
	return true;
}

// Where the partitions of one worker stand; returns how many records of them are done.
static uint64_t positions_of(const struct rebuild *r, const struct worker_status *w, struct rebuild_position *list, uint32_t *n)
{
	uint64_t done = 0;
	for (uint32_t k = 0; k < w->n_parts && *n < r->journal->n_parts; k++) {
		CLEANUP(freep) char *name = xasprintf("%s/%d", w->parts[k].topic, w->parts[k].partition);
		const struct journal_part *p = journal_part(r->journal, span_of(name));
		if (p == NULL)
			continue;
		int64_t at = w->parts[k].next > p->offset ? w->parts[k].next : p->offset, end = r->goal.target[p - r->journal->parts];
		list[(*n)++] = (struct rebuild_position){ p->name, at, end > at ? end : at };
		done += (uint64_t)(at - p->offset);
	}
	return done;
}

// As far as the workers themselves know: for the eye.
static void show(struct rebuild *r)
{
	struct rebuild_progress shown = { .what = "records counted again", .all = r->all };
	bool waits = false;
	if (r->o.progress == NULL)
		return;
	CLEANUP(freep) struct rebuild_position *list = xcalloc(r->journal->n_parts + 1, sizeof(*list));
	for (uint32_t i = 0; i < r->n_lanes; i++) {
		struct worker_status w;
		worker_status(r->lanes[i]->worker, &w);
		if (!waits && strcmp(w.state, "waiting") == 0) { // for Kafka, or for a Redis that is full, as the daemon does
			snprintf(r->waits, sizeof(r->waits), "records counted again (waits: %s)", w.reason);
			waits = true;
			shown.what = r->waits;
		}
		shown.done += positions_of(r, &w, list, &shown.n_parts);
		worker_status_free(&w);
	}
	shown.done = shown.done < r->all ? shown.done : r->all;
	shown.parts = list;
	r->o.progress(r->o.ctx, &shown);
}

// ---- how fast
// While the live generation falls behind by more than it may, half as fast; otherwise a tenth faster again.
struct throttle {
	int64_t at_us, live;
	int64_t high;
};

static enum error_class ends_of_log(struct rebuild *r, int64_t *ret_high, struct error *e)
{
	enum error_class c = ERROR_NONE;
	*ret_high = 0;
	for (uint32_t p = 0; p < r->journal->n_parts && c == ERROR_NONE; p++) {
		int64_t low = 0, high = 0;
		c = r->o.ports->sink->offsets(r->o.kafka, r->journal->parts[p].topic, r->journal->parts[p].partition, TIMEOUT_MS, &low, &high, e);
		*ret_high += high;
	}
	return c;
}

static void adapt(struct rebuild *r, struct throttle *t, uint64_t counted)
{
	enum { LEAST = 1000 };
	CLEANUP(standing_free) struct standing live = { 0 };
	int64_t now = clock_mono_us(), high = 0;
	if (r->o.lag_growth == 0 || now - t->at_us < LAG_EVERY_US || ends_of_log(r, &high, NULL) != ERROR_NONE ||
	    take_standing(r->live, r->journal, &live, NULL) != ERROR_NONE)
		return;
	int64_t at = 0, rate = r->goal.rate;
	for (uint32_t p = 0; p < live.n_parts; p++)
		at += least(&live, p);
	if (t->at_us != 0) {
		int64_t growth = (high - t->high - (at - t->live)) * 1000000 / (now - t->at_us);
		if (growth > r->o.lag_growth)
			rate = (rate > 0 ? rate : (int64_t)counted / r->n_lanes) / 2;
		else if (rate > 0)
			rate += rate / 10 + 1;
		if (r->o.rate > 0 && rate > r->o.rate / r->n_lanes)
			rate = r->o.rate / r->n_lanes;
		if (rate > 0 && rate < LEAST)
			rate = LEAST;
		__atomic_store_n(&r->goal.rate, rate, __ATOMIC_RELAXED);
	}
	*t = (struct throttle){ now, at, high };
}

static enum error_class wait_phase(struct rebuild *r, struct error *e)
{
	struct throttle t = { 0 };
	enum error_class c = ERROR_NONE;
	while (c == ERROR_NONE && !phase_reached(r)) {
		clock_sleep_ms(LOOK_EVERY_MS);
		adapt(r, &t, 100000);
		show(r);
		c = rebuild_look(r, e);
	}
	return c;
}

static enum error_class run_to(struct rebuild *r, const int64_t *target, const int64_t *reach, struct error *e)
{
	set_goal(r, target, reach);
	return wait_phase(r, e);
}

static bool stands_there(const struct standing *made, const int64_t *target, const int64_t *reach)
{
	for (uint32_t p = 0; p < made->n_parts; p++)
		for (uint32_t shard = 0; shard < made->n_shards; shard++) {
			size_t i = (size_t)p * made->n_shards + shard;
			if (made->next[i] < (reach != NULL && reach[i] < target[p] ? reach[i] : target[p]))
				return false;
		}
	return true;
}

// Reads up to the limits, and once more under the same ones: what the workers read is committed when they have claimed again. Where a
// commit did not end well they read it again, and so on until the shards themselves stand there.
static enum error_class commit_all(struct rebuild *r, const int64_t *target, const int64_t *reach, struct error *e)
{
	bool there = false;
	enum error_class c = ERROR_NONE;
	while (c == ERROR_NONE && !there) {
		CLEANUP(standing_free) struct standing made = { 0 };
		c = run_to(r, target, reach, e);
		if (c == ERROR_NONE)
			c = take_standing(r->store, r->journal, &made, e);
		there = c == ERROR_NONE && stands_there(&made, target, reach);
	}
	return c;
}

static enum error_class take_both(struct rebuild *r, struct standing *live, struct standing *made, struct error *e)
{
	enum error_class c = take_standing(r->live, r->journal, live, e);
	return c == ERROR_NONE ? take_standing(r->store, r->journal, made, e) : c;
}

enum error_class rebuild_behind(struct rebuild *r, uint64_t *ret, struct error *e)
{
	CLEANUP(standing_free) struct standing live = { 0 }, made = { 0 };
	enum error_class c = take_both(r, &live, &made, e);
	if (c != ERROR_NONE)
		return c;
	uint64_t all = records_of(r, &live), done = records_of(r, &made);
	*ret = all > done ? all - done : 0;
	return ERROR_NONE;
}

enum error_class rebuild_catch_up(struct rebuild *r, struct error *e)
{
	CLEANUP(standing_free) struct standing live = { 0 };
	enum error_class c = r->journal == NULL || r->n_lanes == 0 ? rebuild_reload(r, e) : ERROR_NONE;
	if (c == ERROR_NONE)
		c = take_standing(r->live, r->journal, &live, e); // before the journal: every version that these counts took is in it
	if (c == ERROR_NONE)
		c = rebuild_reload(r, e);
	if (c != ERROR_NONE)
		return c;
	check(r->journal != NULL);
	CLEANUP(freep) int64_t *target = xcalloc(r->journal->n_parts + 1, sizeof(*target));
	r->all = records_of(r, &live);
	for (uint32_t p = 0; p < r->journal->n_parts; p++)
		target[p] = p < live.n_parts ? least(&live, p) : r->journal->parts[p].offset;
	c = commit_all(r, target, NULL, e);
	return c == ERROR_NONE ? rebuild_settle(r, e) : c;
}

// The next greater offset at which some shard of the partition is to stand; the greatest where there is none.
static int64_t next_reach(const struct standing *s, uint32_t part, int64_t above)
{
	int64_t next = INT64_MAX, most = 0;
	for (uint32_t shard = 0; shard < s->n_shards; shard++) {
		int64_t at = s->next[(size_t)part * s->n_shards + shard];
		if (at > above && at < next)
			next = at;
		most = at > most ? at : most;
	}
	return next != INT64_MAX ? next : most;
}

enum error_class rebuild_meet(struct rebuild *r, struct error *e)
{
	CLEANUP(standing_free) struct standing live = { 0 }, made = { 0 };
	enum error_class c = take_both(r, &live, &made, e);
	if (c != ERROR_NONE)
		return c;
	for (size_t i = 0; i < (size_t)live.n_parts * live.n_shards; i++)
		if (made.next[i] > live.next[i])
			return error_set(e, ERROR_RETRY, 0, "the generation in force went back behind the one that is made; run the same command again");
	CLEANUP(freep) int64_t *target = xcalloc(live.n_parts + 1, sizeof(*target));
	r->all = records_of(r, &live);
	for (uint32_t p = 0; p < live.n_parts; p++)
		target[p] = least(&live, p);
	for (bool more = true; more && c == ERROR_NONE;) {
		c = commit_all(r, target, live.next, e);
		more = false;
		for (uint32_t p = 0; p < live.n_parts; p++) {
			int64_t next = next_reach(&live, p, target[p]);
			more = more || next > target[p];
			target[p] = next;
		}
	}
	return c;
}

// ---- opening
// Half of a checkpoint that was being put back when it was interrupted.
static enum error_class drop_halves(struct rebuild *r, struct error *e)
{
	enum error_class c = ERROR_NONE;
	bool halves = false;
	int64_t half = 0;
	for (int round = 0; round < 2 && c == ERROR_NONE; round++)
		for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++) {
			struct store_generations g = { 0 };
			c = r->store->ops->generations(r->store, shard, &g, e);
			for (uint32_t i = 0; i < g.n && c == ERROR_NONE; i++) {
				if (round == 0 && g.list[i].kind == GENERATION_RESTORING) {
					halves = true;
					half = g.list[i].number;
				}
				if (round == 1 && halves && g.list[i].number == half && half != r->journal->generation)
					c = r->store->ops->drop(r->store, shard, half, e);
			}
			store_generations_free(&g);
		}
	return c;
}

enum error_class rebuild_drop_copy(struct store *s, uint32_t shards, int64_t number, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (uint32_t shard = 0; shard < shards && c == ERROR_NONE; shard++) {
		struct store_generations g = { 0 };
		c = s->ops->generations(s, shard, &g, e);
		for (uint32_t i = 0; i < g.n && c == ERROR_NONE; i++)
			if (g.list[i].number == number && g.list[i].kind == GENERATION_CUT)
				c = s->ops->drop(s, shard, number, e);
		store_generations_free(&g);
	}
	return c;
}

// The one that is being made in every shard, or in some of them after a crash; otherwise a new number, greater than any. One that was in force
// before is not made again: a shard that went back may take it for that.
static enum error_class find_generation(struct rebuild *r, bool *ret_new, struct error *e)
{
	int64_t building = 0, greatest = r->journal->generation_greatest;
	enum error_class c = drop_halves(r, e);
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++) {
		struct store_generations g = { 0 };
		c = r->store->ops->generations(r->store, shard, &g, e);
		for (uint32_t i = 0; i < g.n; i++) {
			bool made = g.list[i].kind == GENERATION_BUILDING && g.list[i].number > r->journal->generation_greatest;
			building = made ? g.list[i].number : building;
			greatest = g.list[i].number > greatest && g.list[i].kind != GENERATION_CUT ? g.list[i].number : greatest;
		}
		store_generations_free(&g);
	}
	*ret_new = building == 0;
	r->generation = building != 0 ? building : greatest + 1;
	return c;
}

enum error_class rebuild_hold(void *ctx, struct error *e)
{
	struct rebuild *r = ctx;
	return clock_mono_us() - r->leased_us > LEASE_EVERY_US ? take_lease(r, e) : ERROR_NONE;
}

// Nobody kept from where it was begun.
static enum error_class refuse_from(const struct rebuild *r, struct error *e)
{
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "generation %lld is being made already, and --from says where one begins: without it the same command goes on "
			 "where that stands, `meterctl generations drop %lld` gives it up", (long long)r->generation, (long long)r->generation);
}

static enum error_class check_made(struct rebuild *r, struct error *e)
{
	CLEANUP(standing_free) struct standing made = { 0 };
	enum error_class c = take_standing(r->store, r->journal, &made, e);
	CLEANUP(freep) int64_t *from = xcalloc(r->journal->n_parts + 1, sizeof(*from));
	for (uint32_t p = 0; p < made.n_parts; p++)
		from[p] = least(&made, p);
	return c == ERROR_NONE ? rebuild_check_log(r, from, e) : c;
}

static enum error_class begin_or_go_on(struct rebuild *r, struct error *e)
{
	bool new = false;
	enum error_class c = find_generation(r, &new, e);
	if (c == ERROR_NONE)
		c = rebuild_drop_copy(r->store, r->journal->shards, r->generation, e);
	if (c == ERROR_NONE && !new && r->o.from.kind != REBUILD_FROM_FIRST)
		c = refuse_from(r, e);
	if (c == ERROR_NONE && new)
		c = rebuild_begin(r, e);
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++)
		c = r->store->ops->begin(r->store, shard, r->generation, e);
	rebuild_identity(r->store, r->journal->init_id, r->generation);
	return c == ERROR_NONE ? check_made(r, e) : c;
}

static enum error_class open_all(struct rebuild *r, struct error *e)
{
	enum error_class c = r->o.ports->store_open(r->o.store, &r->store, e);
	if (c == ERROR_NONE)
		c = r->o.ports->store_open(r->o.store, &r->live, e);
	if (c == ERROR_NONE)
		c = r->o.ports->store_open(r->o.store, &r->desk, e);
	if (c == ERROR_NONE)
		c = journal_load_from(r->o.ports->sink, r->o.kafka, TIMEOUT_MS, &r->journal, e);
	if (c == ERROR_NONE)
		c = journal_begun(r->journal, r->o.kafka, e);
	if (c != ERROR_NONE)
		return c;
	r->store->ops->identity(r->store, r->journal->init_id, r->journal->generation);
	r->live->ops->identity(r->live, r->journal->init_id, r->journal->generation);
	c = take_lease(r, e);
	if (c == ERROR_NONE)
		c = rebuild_check_same(r, e);
	return c == ERROR_NONE ? begin_or_go_on(r, e) : c;
}

static const struct rebuild_crew threads = { worker_start, worker_join, facts_start, facts_join };

enum error_class rebuild_open(const struct rebuild_options *o, struct rebuild **ret, struct error *e)
{
	char host[64] = "?";
	struct rebuild *r = xcalloc(1, sizeof(*r));
	r->o = *o;
	r->o.ports = o->ports != NULL ? o->ports : &ports_real;
	r->o.crew = o->crew != NULL ? o->crew : &threads;
	r->feed = accounts_feed_new();
	pthread_mutex_init(&r->goal.lock, NULL);
	pthread_mutex_init(&r->shared.lock, NULL);
	r->shared.office_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(r->shared.office_wake >= 0);
	gethostname(host, sizeof(host) - 1);
	snprintf(r->holder, sizeof(r->holder), "process %ld on %s", (long)getpid(), host);
	snprintf(r->source, sizeof(r->source), "/meterd/%s", o->kafka->group);
	enum error_class c = open_all(r, e);
	if (c == ERROR_NONE)
		*ret = r;
	else
		rebuild_freep(&r);
	return c;
}

void rebuild_freep(struct rebuild **at)
{
	struct rebuild *r = *at;
	CLEANUP(freep) char *other = NULL;
	if (r == NULL)
		return;
	stop_workers(r);
	if (r->leased_us != 0)
		r->desk->ops->lease(r->desk, LEASE_GENERATIONS, r->holder, 1, &other, NULL);
	if (r->store != NULL)
		r->store->ops->close(r->store);
	if (r->live != NULL)
		r->live->ops->close(r->live);
	if (r->desk != NULL)
		r->desk->ops->close(r->desk);
	free(r->checkpoint);
	accounts_feed_freep(&r->feed);
	journal_freep(&r->journal);
	close(r->shared.office_wake);
	free(r);
	*at = NULL;
}

int64_t rebuild_generation(const struct rebuild *r)
{
	return r->generation;
}

int64_t rebuild_live(const struct rebuild *r)
{
	return r->journal->generation;
}

const char *rebuild_checkpoint(const struct rebuild *r)
{
	return r->checkpoint;
}

// ---- putting it in force
enum error_class rebuild_promote(struct store *s, const struct sink_port *port, const struct kafka_options *k, int64_t generation, int64_t wait_ms,
				 const atomic_bool *stop, struct error *e)
{
	port = port != NULL ? port : &sink_port_kafka;
	CLEANUP(journal_freep) struct journal *now = NULL;
	int64_t until = clock_mono_us() + wait_ms * 1000;
	if (stop != NULL && atomic_load(stop))
		return error_set(e, ERROR_ABORT, EXIT_LATER, "stopped before generation %lld was asked for", (long long)generation);
	enum error_class c = journal_load_from(port, k, TIMEOUT_MS, &now, e);
	if (c != ERROR_NONE)
		return c;
	// Of this moment: a request that is found later, when another generation is in force, is dropped.
	CLEANUP(freep) char *request = xasprintf("{\"kind\":\"generation\",\"generation\":%lld,\"after\":%lld}", (long long)generation,
						 (long long)now->generation_at);
	c = s->ops->request_put(s, span_of(request), e);
	while (c == ERROR_NONE) {
		CLEANUP(journal_freep) struct journal *j = NULL;
		c = journal_load_from(port, k, TIMEOUT_MS, &j, e);
		if (c == ERROR_NONE && j->generation == generation)
			return closing_adopt(s, j->shards, j, e);
		if (clock_mono_us() > until || (stop != NULL && atomic_load(stop)))
			return error_set(e, ERROR_ABORT, EXIT_LATER, "generation %lld was asked for, and no running daemon has put it in force yet; start "
					 "meterd, it does so as soon as it runs; where one runs, its log says why it has not", (long long)generation);
		clock_sleep_ms(ASK_EVERY_MS);
	}
	return c;
}
