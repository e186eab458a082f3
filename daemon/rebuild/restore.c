// SPDX-License-Identifier: Apache-2.0
#include "rebuild/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "pipeline/checks.h"
#include "rebuild/inner.h"

enum { TIMEOUT_MS = 10000, LEASE_MS = 15000, LEASE_EVERY_US = 3000000 };

struct restore {
	struct restore_options o;
	struct store *store, *desk; // desk: for the lease
	struct journal *journal;
	struct checkpoint_head head;
	uint32_t n_lost;
	bool *lost;                 // by shard
	int64_t generation;         // that comes
	char holder[128];
	int64_t leased_us;
};

void restore_freep(struct restore **at)
{
	struct restore *r = *at;
	CLEANUP(freep) char *other = NULL;
	if (r == NULL)
		return;
	if (r->leased_us != 0)
		r->desk->ops->lease(r->desk, LEASE_GENERATIONS, r->holder, 1, &other, NULL);
	if (r->desk != NULL)
		r->desk->ops->close(r->desk);
	if (r->store != NULL)
		r->store->ops->close(r->store);
	checkpoint_head_free(&r->head);
	journal_freep(&r->journal);
	free(r->lost);
	free(r);
	*at = NULL;
}

static enum error_class hold_lease(void *ctx, struct error *e)
{
	struct restore *r = ctx;
	CLEANUP(freep) char *other = NULL;
	if (r->leased_us != 0 && clock_mono_us() - r->leased_us < LEASE_EVERY_US)
		return ERROR_NONE;
	enum error_class c = r->desk->ops->lease(r->desk, LEASE_GENERATIONS, r->holder, LEASE_MS, &other, e);
	r->leased_us = clock_mono_us();
	if (c == ERROR_NONE && other != NULL)
		c = error_set(e, ERROR_ABORT, EXIT_LATER, "the generations of this state are worked on: %s. Wait until that has ended; if it was killed, its claim is "
			      "over after %d s", other, LEASE_MS / 1000);
	return c;
}

// ---- what there is
static enum error_class look_at_shard(struct restore *r, uint32_t shard, int64_t *greatest, int64_t *building, struct error *e)
{
	struct store *s = r->store;
	struct store_state st = { 0 };
	struct store_generations g = { 0 };
	enum error_class c = s->ops->state(s, shard, &st, e);
	r->lost[shard] = c == ERROR_NONE && (!st.exists || st.lacks_generation || st.restoring);
	r->n_lost += r->lost[shard];
	if (c == ERROR_NONE && !r->lost[shard])
		c = checks_shard(s, r->journal, shard, e); // another init id
	if (c == ERROR_NONE)
		c = s->ops->generations(s, shard, &g, e);
	for (uint32_t i = 0; i < g.n; i++) {
		*greatest = g.list[i].number > *greatest && g.list[i].kind != GENERATION_CUT ? g.list[i].number : *greatest;
		*building = g.list[i].kind == GENERATION_BUILDING ? g.list[i].number : *building;
	}
	store_generations_free(&g);
	return c;
}

static enum error_class look_at_shards(struct restore *r, struct error *e)
{
	int64_t greatest = r->journal->generation_greatest, building = 0;
	enum error_class c = ERROR_NONE;
	r->lost = xcalloc(r->journal->shards, sizeof(*r->lost));
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++)
		c = look_at_shard(r, shard, &greatest, &building, e);
	if (c != ERROR_NONE)
		return c;
	if (r->n_lost == 0 && building != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "generation %" PRId64 " is being made already; finish it with `meterctl rebuild`, or give it up with "
				 "`meterctl generations drop %" PRId64 "`", building, building);
	r->generation = r->n_lost > 0 ? r->journal->generation : greatest + 1;
	return ERROR_NONE;
}

static enum error_class check_file(struct restore *r, struct error *e)
{
	const struct journal *j = r->journal;
	enum error_class c = checkpoint_verify(r->o.path, &r->head, NULL, e);
	if (c == ERROR_NONE)
		c = checkpoint_fits(&r->head, j, e);
	if (c == ERROR_NONE && r->n_lost > 0 && r->head.generation != j->generation)
		c = error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint is of generation %" PRId64 ", and generation %" PRId64 " is in force: it cannot take its "
			      "place. Take a checkpoint that is younger than that decision", r->head.generation, j->generation);
	return c == ERROR_NONE ? checkpoint_reached(&r->head, r->o.ports->sink, r->o.kafka, r->n_lost > 0, e) : c;
}

static enum error_class open_all(struct restore *r, struct error *e)
{
	const struct ports *ports = r->o.ports;
	enum error_class c = journal_load_from(ports->sink, r->o.kafka, TIMEOUT_MS, &r->journal, e);
	if (c == ERROR_NONE)
		c = journal_begun(r->journal, r->o.kafka, e);
	if (c == ERROR_NONE)
		c = ports->store_open(r->o.store, &r->store, e);
	if (c == ERROR_NONE)
		c = ports->store_open(r->o.store, &r->desk, e);
	if (c != ERROR_NONE)
		return c;
	r->store->ops->identity(r->store, r->journal->init_id, r->journal->generation);
	c = look_at_shards(r, e);
	return c == ERROR_NONE ? check_file(r, e) : c;
}

enum error_class restore_open(const struct restore_options *o, struct restore **ret, struct error *e)
{
	CLEANUP(restore_freep) struct restore *r = xcalloc(1, sizeof(*r));
	char host[64] = "?";
	*r = (struct restore){ .o = *o, .head.settled = MONTH_NONE };
	r->o.ports = o->ports != NULL ? o->ports : &ports_real;
	gethostname(host, sizeof(host) - 1);
	snprintf(r->holder, sizeof(r->holder), "process %ld on %s", (long)getpid(), host);
	enum error_class c = open_all(r, e);
	if (c == ERROR_NONE)
		*ret = TAKE_PTR(r);
	return c;
}

struct restore_plan restore_plan(const struct restore *r)
{
	return (struct restore_plan){ &r->head, r->journal->shards, r->n_lost, r->generation, r->journal->generation };
}

// ---- doing it
static void show(void *ctx, uint64_t done, uint64_t all)
{
	struct restore *r = ctx;
	if (r->o.progress != NULL)
		r->o.progress(r->o.ctx, done, all);
}

enum error_class restore_run(struct restore *r, struct error *e)
{
	struct store *s = r->store;
	const struct journal *j = r->journal;
	struct checkpoint_restore c = { .store = s, .shards = j->shards, .wanted = r->n_lost > 0 ? r->lost : NULL, .in_force = r->n_lost > 0,
					.look = hold_lease, .progress = show, .ctx = r };
	s->ops->identity(s, j->init_id, r->generation);
	enum error_class cls = hold_lease(r, e);
	if (cls == ERROR_NONE)
		cls = rebuild_drop_copy(s, j->shards, r->generation, e);
	if (cls == ERROR_NONE)
		cls = checkpoint_restore(&c, r->o.path, e);
	for (uint32_t i = 0; r->n_lost > 0 && i < j->shards && cls == ERROR_NONE; i++)
		cls = s->ops->register_rules(s, i, j->rules[j->n_rules - 1].version, e);
	return cls;
}
