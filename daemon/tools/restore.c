// SPDX-License-Identifier: Apache-2.0
// meterctl restore: a checkpoint put back. Never over counters that are in force: in the place of those that are lost, or beside them.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "pipeline/checks.h"
#include "tools/consent.h"
#include "tools/progress.h"
#include "tools/state.h"
#include "tools/tools.h"

enum { LEASE_MS = 15000, LEASE_EVERY_US = 3000000 };

struct tool {
	struct options options;
	struct state state;
	struct store *desk;       // for the lease
	bool yes;
	const char *path;
	struct checkpoint_head head;
	uint32_t n_lost;
	bool *lost;               // by shard
	int64_t generation;       // that comes
	char holder[128];
	int64_t leased_us;
	struct progress progress;
};

static void tool_free(struct tool *t)
{
	CLEANUP(freep) char *other = NULL;
	if (t->leased_us != 0)
		t->desk->ops->lease(t->desk, LEASE_GENERATIONS, t->holder, 1, &other, NULL);
	if (t->desk != NULL)
		t->desk->ops->close(t->desk);
	checkpoint_head_free(&t->head);
	free(t->lost);
	state_close(&t->state);
	options_close(&t->options);
}

static enum error_class hold_lease(void *ctx, struct error *e)
{
	struct tool *t = ctx;
	CLEANUP(freep) char *other = NULL;
	if (t->leased_us != 0 && clock_mono_us() - t->leased_us < LEASE_EVERY_US)
		return ERROR_NONE;
	enum error_class c = t->desk->ops->lease(t->desk, LEASE_GENERATIONS, t->holder, LEASE_MS, &other, e);
	t->leased_us = clock_mono_us();
	if (c == ERROR_NONE && other != NULL)
		c = error_set(e, ERROR_ABORT, EXIT_LATER, "the generations of this state are worked on: %s. Wait until that has ended; if it was killed, its claim is "
			      "over after %d s", other, LEASE_MS / 1000);
	return c;
}

// ---- what there is
static enum error_class look_at_shard(struct tool *t, uint32_t shard, int64_t *greatest, int64_t *building, struct error *e)
{
	struct store *s = t->state.store;
	struct store_state st = { 0 };
	struct store_generations g = { 0 };
	enum error_class c = s->ops->state(s, shard, &st, e);
	t->lost[shard] = c == ERROR_NONE && (!st.exists || st.lacks_generation || st.restoring);
	t->n_lost += t->lost[shard];
	if (c == ERROR_NONE && !t->lost[shard])
		c = checks_shard(s, t->state.journal, shard, e); // another init id
	if (c == ERROR_NONE)
		c = s->ops->generations(s, shard, &g, e);
	for (uint32_t i = 0; i < g.n; i++) {
		*greatest = g.list[i].number > *greatest && g.list[i].kind != GENERATION_CUT ? g.list[i].number : *greatest;
		*building = g.list[i].kind == GENERATION_BUILDING ? g.list[i].number : *building;
	}
	store_generations_free(&g);
	return c;
}

static enum error_class look_at_shards(struct tool *t, struct error *e)
{
	int64_t greatest = t->state.journal->generation_greatest, building = 0;
	enum error_class c = ERROR_NONE;
	t->lost = xcalloc(t->state.shards, sizeof(*t->lost));
	for (uint32_t shard = 0; shard < t->state.shards && c == ERROR_NONE; shard++)
		c = look_at_shard(t, shard, &greatest, &building, e);
	if (c != ERROR_NONE)
		return c;
	if (t->n_lost == 0 && building != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "generation %" PRId64 " is being made already; finish it with `meterctl rebuild`, or give it up with "
				 "`meterctl generations drop %" PRId64 "`", building, building);
	t->generation = t->n_lost > 0 ? t->state.journal->generation : greatest + 1;
	return ERROR_NONE;
}

static enum error_class check_file(struct tool *t, struct error *e)
{
	const struct journal *j = t->state.journal;
	enum error_class c = checkpoint_verify(t->path, &t->head, NULL, e);
	if (c == ERROR_NONE)
		c = checkpoint_fits(&t->head, j, e);
	if (c == ERROR_NONE && t->n_lost > 0 && t->head.generation != j->generation)
		c = error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint is of generation %" PRId64 ", and generation %" PRId64 " is in force: it cannot take its "
			      "place. Take a checkpoint that is younger than that decision", t->head.generation, j->generation);
	return c == ERROR_NONE ? checkpoint_reached(&t->head, &t->state.kafka, t->n_lost > 0, e) : c;
}

static void say_plan(const struct tool *t)
{
	char time[TIME_TEXT];
	fprintf(stderr, "The checkpoint was made at %s, of generation %" PRId64 "%s. ", time_text(t->head.made_ms, time), t->head.generation,
		t->head.generation != t->state.journal->generation ? ", which is not in force any more" : "");
	if (t->n_lost > 0)
		fprintf(stderr, "%" PRIu32 " of %" PRIu32 " shards lost their counters: they would come from it, and be in force. Once meterd runs it counts on from "
			"there; alerts and settlements that are out stay out.\n", t->n_lost, t->state.shards);
	else
		fprintf(stderr, "It would come back as generation %" PRId64 " beside the one in force; `meterctl rebuild` counts on from there.\n", t->generation);
}

// ---- doing it
static void show(void *ctx, uint64_t done, uint64_t all)
{
	struct tool *t = ctx;
	progress_show(&t->progress, done, all);
}

static enum error_class restore(struct tool *t, struct error *e)
{
	struct store *s = t->state.store;
	const struct journal *j = t->state.journal;
	struct checkpoint_restore r = { .store = s, .shards = t->state.shards, .wanted = t->n_lost > 0 ? t->lost : NULL, .in_force = t->n_lost > 0,
					.look = hold_lease, .progress = show, .ctx = t };
	s->ops->identity(s, j->init_id, t->generation);
	enum error_class c = hold_lease(t, e);
	if (c != ERROR_NONE)
		return c;
	progress_begin(&t->progress, "restore", "shards put back");
	c = checkpoint_restore(&r, t->path, e);
	progress_end(&t->progress);
	for (uint32_t i = 0; t->n_lost > 0 && i < t->state.shards && c == ERROR_NONE; i++)
		c = s->ops->register_rules(s, i, j->rules[j->n_rules - 1].version, e);
	return c;
}

static int run(struct tool *t)
{
	struct error e = { 0 };
	struct store_options so;
	if (settings_store(t->options.settings, &so, &e) != ERROR_NONE || store_redis_open(&so, &t->desk, &e) != ERROR_NONE ||
	    look_at_shards(t, &e) != ERROR_NONE || check_file(t, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	say_plan(t);
	int code = consent_ask(t->yes);
	if (code != OPTIONS_GO_ON)
		return code;
	if (restore(t, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	if (t->n_lost > 0)
		fprintf(stderr, "meterctl restore: generation %" PRId64 " is there again; start meterd, it counts what came since\n", t->generation);
	else
		fprintf(stderr, "meterctl restore: generation %" PRId64 " is there; `meterctl rebuild` goes on from it\n", t->generation);
	return EXIT_DONE;
}

int tool_restore(int argc, char **argv)
{
	CLEANUP(tool_free) struct tool t = { .options = { .verb = argv[0] }, .head.settled = MONTH_NONE };
	char host[64] = "?";
	const struct option_row rows[] = {
		{ "yes", OPTION_FLAG, &t.yes, NULL, "do it; otherwise what would be done is shown, and asked for" },
	};
	int code = options_parse(&t.options, argc, argv, rows, ARRAY_LEN(rows), &t.path, 1, 1);
	if (code == OPTIONS_GO_ON)
		code = state_open_lost(&t.state, &t.options);
	if (code != OPTIONS_GO_ON)
		return code;
	gethostname(host, sizeof(host) - 1);
	snprintf(t.holder, sizeof(t.holder), "process %ld on %s", (long)getpid(), host);
	log_set_level(LVL_ERROR);
	return run(&t);
}
