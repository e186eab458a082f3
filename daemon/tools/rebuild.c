// SPDX-License-Identifier: Apache-2.0
// meterctl rebuild: the counters made again from the topics beside those in force, held against them, and put in force.
#include "proof/proof.h"
#include "rebuild/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "sink/sink.h"
#include "tools/consent.h"
#include "tools/progress.h"
#include "tools/state.h"
#include "tools/stop.h"
#include "tools/tools.h"

enum { WAIT_MS = 60000, TIMEOUT_MS = 15000, NEAR = 20000, ROUNDS = 50 };

struct tool {
	struct options options;
	struct state state;
	struct store_options store;
	bool verify, promote, rollback, accept, yes;
	int64_t workers, rate, lag_growth;
	const char *from_text;
	struct rebuild_from from;
	struct progress progress;
	const char *shown;          // what the progress is about
	struct output *out;
	struct stop_watch watch;
};

static void tool_free(struct tool *t)
{
	state_close(&t->state);
	options_close(&t->options);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

// What is no time and holds no `=` or is called like one is a file.
static int parse_from(struct tool *t)
{
	const char *text = t->from_text, *time = text != NULL && text[0] == '@' ? text + 1 : text;
	if (text == NULL)
		return OPTIONS_GO_ON;
	t->from.text = text;
	bool file = ends_with(text, ".checkpoint") || (strchr(text, '/') != NULL && strchr(text, '=') == NULL);
	if (file)
		t->from.kind = REBUILD_FROM_FILE;
	else if (time_parse_rfc3339(span_of(time), &t->from.time_ms))
		t->from.kind = REBUILD_FROM_TIME;
	else if (text[0] != '\0' && (strchr(text, '=') != NULL || strspn(text, "0123456789") == strlen(text)))
		t->from.kind = REBUILD_FROM_OFFSETS;
	else
		return options_usage(&t->options, "--from takes a checkpoint's file, an offset, TOPIC/PARTITION=OFFSET, …, or a time like "
				     "2020-03-01T00:00:00+08:00, not `%s`", text);
	return OPTIONS_GO_ON;
}

static int parse_args(struct tool *t, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "verify", OPTION_FLAG, &t->verify, NULL, "then hold every counter, alert, settlement and ledger of both against each other; exit 1 where they differ" },
		{ "promote", OPTION_FLAG, &t->promote, NULL, "then put what was made in force, where --verify found no difference" },
		{ "accept-differences", OPTION_FLAG, &t->accept, NULL, "with --promote: also where it found some, after a look at them" },
		{ "rollback", OPTION_FLAG, &t->rollback, NULL, "put the generation in force again that was before the present one" },
		{ "from", OPTION_TEXT, &t->from_text, "WHERE", "begin with a checkpoint: this file; or the newest that stands before an offset or a time" },
		{ "workers", OPTION_INT, &t->workers, "N", "so many at a time; as many as `workers` in the configuration" },
		{ "rate", OPTION_INT, &t->rate, "N", "so many records a second at the most" },
		{ "max-lag-growth", OPTION_INT, &t->lag_growth, "N", "go slower while the live counters fall behind by more than N records a second" },
		{ "yes", OPTION_FLAG, &t->yes, NULL, "do it; otherwise what would be done is shown, and asked for" },
	};
	int code = options_parse(&t->options, argc, argv, rows, ARRAY_LEN(rows), NULL, 0, 0);
	if (code != OPTIONS_GO_ON)
		return code;
	if (t->promote && !t->verify)
		return options_usage(&t->options, "--promote without --verify: nobody would know what is put in force");
	if (t->accept && !t->promote)
		return options_usage(&t->options, "--accept-differences goes with --promote");
	if (t->rollback && (t->verify || t->promote))
		return options_usage(&t->options, "--rollback goes alone: nothing is counted again for it");
	if (t->rollback && t->from_text != NULL)
		return options_usage(&t->options, "--from says where to begin, and --rollback counts nothing again");
	return parse_from(t);
}

// ---- what would be done
static int size_of_live(struct tool *t, int64_t *ret, struct error *e)
{
	struct store *s = t->state.store;
	*ret = 0;
	for (uint32_t shard = 0; shard < t->state.shards; shard++) {
		struct store_keys keys = { 0 };
		enum error_class c = s->ops->keys(s, shard, &keys, e);
		for (uint32_t i = 0; i < keys.n && c == ERROR_NONE; i++) {
			int64_t bytes = 0;
			c = s->ops->size(s, shard, &keys.list[i], &bytes, e);
			*ret += bytes;
		}
		store_keys_free(&keys);
		if (c != ERROR_NONE)
			return options_fail(&t->options, e);
	}
	return OPTIONS_GO_ON;
}

static int plan(struct tool *t)
{
	const struct journal *j = t->state.journal;
	struct error e = { 0 };
	int64_t records = 0, bytes = 0;
	for (uint32_t i = 0; i < j->n_parts; i++) {
		int64_t low = 0, high = 0;
		if (topic_offsets(&t->state.kafka, j->parts[i].topic, j->parts[i].partition, TIMEOUT_MS, &low, &high, &e) != ERROR_NONE)
			return options_fail(&t->options, &e);
		records += high > j->parts[i].offset ? high - j->parts[i].offset : 0;
	}
	int code = size_of_live(t, &bytes, &e);
	if (code != OPTIONS_GO_ON)
		return code;
	fprintf(stderr, "Generation %" PRId64 " is in force. Another one would be made beside it out of up to %" PRId64 " records of %" PRIu32
		" partitions, by %" PRId64 " worker%s; it needs about %.1f MiB more of Redis' memory%s. Live counting goes on meanwhile.\n",
		j->generation, records, j->n_parts, t->workers, t->workers == 1 ? "" : "s", (double)bytes / 1048576.0,
		t->verify ? ", and as much again while both are compared" : "");
	return OPTIONS_GO_ON;
}

// ---- doing it
static void show_progress(void *ctx, const struct rebuild_progress *p)
{
	struct tool *t = ctx;
	if (t->shown == NULL || strcmp(t->shown, p->what) != 0) {
		if (t->shown != NULL)
			progress_end(&t->progress);
		progress_begin(&t->progress, "rebuild", p->what);
		t->shown = p->what;
	}
	CLEANUP(freep) struct progress_part *parts = xcalloc(p->n_parts + 1, sizeof(*parts));
	for (uint32_t i = 0; i < p->n_parts; i++)
		parts[i] = (struct progress_part){ p->parts[i].name, p->parts[i].at, p->parts[i].end };
	progress_show_parts(&t->progress, p->done, p->all, parts, p->n_parts);
}

static void end_progress(struct tool *t)
{
	if (t->shown != NULL)
		progress_end(&t->progress);
	t->shown = NULL;
}

// Each round takes less than the one before, until the live generation moves by as much as is read meanwhile.
static enum error_class catch_up(struct rebuild *r, struct error *e)
{
	uint64_t behind = UINT64_MAX;
	enum error_class c = ERROR_NONE;
	for (int i = 0; i < ROUNDS && behind > NEAR && c == ERROR_NONE; i++) {
		c = rebuild_catch_up(r, e);
		if (c == ERROR_NONE)
			c = rebuild_behind(r, &behind, e);
	}
	return c;
}

static void cell_text(struct output *out, struct span s)
{
	CLEANUP(freep) char *text = s.p != NULL ? xstrndup(s.p, s.n) : NULL;
	for (char *p = text; p != NULL && *p != '\0'; p++)
		*p = *p == '\n' ? '/' : *p; // an alert's identity
	output_cell(out, text);
}

static bool print_difference(void *ctx, const struct rebuild_difference *d)
{
	struct tool *t = ctx;
	char month[MONTH_TEXT], adjust[MONTH_TEXT];
	progress_clear(&t->progress);
	output_cell(t->out, rebuild_kind_text(d->kind));
	output_cell(t->out, d->month != MONTH_NONE ? month_text(d->month, month) : NULL);
	output_cell(t->out, d->adjust_month != MONTH_NONE ? month_text(d->adjust_month, adjust) : NULL);
	cell_text(t->out, d->field);
	cell_text(t->out, d->live);
	cell_text(t->out, d->made);
	return true;
}

static int verify(struct tool *t, struct rebuild *r, struct rebuild_verdict *ret)
{
	static const struct output_column columns[] = { { "what", OUTPUT_TEXT }, { "period", OUTPUT_TEXT }, { "adjusted_with", OUTPUT_TEXT },
							{ "field", OUTPUT_TEXT }, { "live", OUTPUT_TEXT }, { "rebuilt", OUTPUT_TEXT } };
	struct rebuild_verdict v = { 0 };
	struct error e = { 0 };
	t->out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	enum error_class c = rebuild_verify(r, print_difference, t, &v, &e);
	end_progress(t);
	if (v.differences > 0 || t->options.format != OUTPUT_TABLE) {
		if (!output_end(&t->out))
			return EXIT_LATER;
	} else {
		output_freep(&t->out);
	}
	fflush(stdout);
	*ret = v;
	if (c != ERROR_NONE)
		return options_fail(&t->options, &e);
	fprintf(stderr, "meterctl rebuild: %" PRIu64 " fields of generations %" PRId64 " and %" PRId64 " compared, %" PRIu64 " difference%s\n", v.compared,
		rebuild_live(r), rebuild_generation(r), v.differences, v.differences == 1 ? "" : "s");
	return v.differences == 0 ? OPTIONS_GO_ON : EXIT_FOUND;
}

static void say_stale(void *ctx, struct span identity)
{
	(void)ctx;
	CLEANUP(freep) char *text = xstrndup(identity.p, identity.n);
	for (char *p = text; *p != '\0'; p++)
		*p = *p == '\n' ? '/' : *p;
	fprintf(stderr, "meterctl rebuild: not published, its month is settled: %s\n", text);
}

static int put_in_force(struct tool *t, int64_t generation)
{
	struct error e = { 0 };
	if (rebuild_promote(t->state.store, NULL, &t->state.kafka, generation, WAIT_MS, &t->watch.stop, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	fprintf(stderr, "meterctl rebuild: generation %" PRId64 " is in force; `meterctl rebuild --rollback` goes back, `meterctl generations drop N` "
		"gives the memory of the old one back\n", generation);
	return EXIT_DONE;
}

static int promote(struct tool *t, struct rebuild *r)
{
	struct error e = { 0 };
	enum error_class c = catch_up(r, &e);
	if (c == ERROR_NONE)
		c = rebuild_drop_stale(r, say_stale, NULL, &e);
	end_progress(t);
	return c == ERROR_NONE ? put_in_force(t, rebuild_generation(r)) : options_fail(&t->options, &e);
}

static void show_read(void *ctx, uint64_t read, uint64_t all)
{
	show_progress(ctx, &(struct rebuild_progress){ "records read for the proof", read, all, NULL, 0 });
}

// Where bills of finished months differ, what comes later is adjusted from those of the generation in force: they must be the ones that are out. This
// generation has those that the log gives; whether these are out, prove says.
static bool bills_stand(struct tool *t, const struct rebuild_verdict *v)
{
	CLEANUP(proof_freep) struct proof *p = NULL;
	const struct proof_difference *list = NULL;
	struct error e = { 0 };
	struct proof_options po = { .kafka = &t->state.kafka, .timeout_ms = 2 * TIMEOUT_MS, .month = MONTH_NONE, .ctx = t, .progress = show_read };
	if (v->by_kind[REBUILD_SETTLED] + v->by_kind[REBUILD_FREEZE] + v->by_kind[REBUILD_PACK] == 0)
		return true;
	enum error_class c = proof_run(&po, &p, &e);
	end_progress(t);
	uint32_t n = c == ERROR_NONE ? proof_differences(p, &list) : 0;
	if (c == ERROR_NONE && n == 0)
		return true;
	fprintf(stderr, "meterctl rebuild: not put in force: bills of finished months differ, and %s%s. Adjustments would start from figures that were never billed. "
		"`meterctl prove` shows them\n", n > 0 ? "those that are out are not what the log gives" : "what is out cannot be proved: ", e.text);
	return false;
}

static int run(struct tool *t)
{
	struct error e = { 0 };
	CLEANUP(rebuild_freep) struct rebuild *r = NULL;
	struct rebuild_options ro = { .settings = t->options.settings, .kafka = &t->state.kafka, .store = &t->store, .state_dir = settings_state_dir(t->options.settings),
				      .from = t->from, .workers = (uint32_t)t->workers,
				      .rate = t->rate, .lag_growth = t->lag_growth, .stop = &t->watch.stop, .progress = show_progress, .ctx = t };
	enum error_class c = rebuild_open(&ro, &r, &e);
	if (c == ERROR_NONE && rebuild_checkpoint(r) != NULL)
		fprintf(stderr, "meterctl rebuild: %sgeneration %" PRId64 " begins with %s\n",
			t->from.kind == REBUILD_FROM_FIRST ? "the log does not reach back to the first offsets; " : "", rebuild_generation(r), rebuild_checkpoint(r));
	if (c == ERROR_NONE)
		c = catch_up(r, &e);
	end_progress(t);
	if (c != ERROR_NONE)
		return options_fail(&t->options, &e);
	fprintf(stderr, "meterctl rebuild: generation %" PRId64 " stands where the live one stands\n", rebuild_generation(r));
	struct rebuild_verdict verdict = { 0 };
	int code = t->verify ? verify(t, r, &verdict) : EXIT_DONE;
	if (t->promote && t->accept && code == EXIT_FOUND && !bills_stand(t, &verdict))
		return EXIT_FOUND;
	if (t->promote && (code == OPTIONS_GO_ON || (code == EXIT_FOUND && t->accept))) {
		int promoted = promote(t, r);
		return promoted != EXIT_DONE ? promoted : code == EXIT_FOUND ? EXIT_FOUND : EXIT_DONE;
	}
	if (t->promote && code == EXIT_FOUND)
		fprintf(stderr, "meterctl rebuild: not put in force; --accept-differences does so all the same\n");
	return code == OPTIONS_GO_ON ? EXIT_DONE : code;
}

static int roll_back(struct tool *t)
{
	struct store_generations g = { 0 };
	struct error e = { 0 };
	int64_t old = t->state.journal->generation_before; // the control topic's, whatever was made since
	bool kept = false;
	if (t->state.store->ops->generations(t->state.store, 0, &g, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	for (uint32_t i = 0; i < g.n; i++)
		kept = kept || (g.list[i].number == old && g.list[i].kind == GENERATION_OLD);
	store_generations_free(&g);
	if (!kept) {
		fprintf(stderr, "meterctl rebuild: there is no generation to go back to: none was kept (`meterctl generations` lists them)\n");
		return EXIT_CONFIG_ERR;
	}
	fprintf(stderr, "Generation %" PRId64 " would be in force again. It stands where it stood, and reads from there what has come since; alerts and "
		"settlements that are out stay out.\n", old);
	int code = consent_ask(t->yes);
	return code == OPTIONS_GO_ON ? put_in_force(t, old) : code;
}

static int with_signals(struct tool *t, int (*fn)(struct tool *t))
{
	stop_watch_begin(&t->watch);
	int code = fn(t);
	stop_watch_end(&t->watch);
	return code;
}

int tool_rebuild(int argc, char **argv)
{
	CLEANUP(tool_free) struct tool t = { .options = { .verb = argv[0] } };
	struct error e = { 0 };
	stop_block();
	int code = parse_args(&t, argc, argv);
	if (code == OPTIONS_GO_ON)
		code = state_open(&t.state, &t.options);
	if (code != OPTIONS_GO_ON)
		return code;
	if (settings_store(t.options.settings, &t.store, &e) != ERROR_NONE)
		return options_fail(&t.options, &e);
	log_set_level(LVL_ERROR); // the workers' own words; what they stop at is told by the verb
	if (t.rollback)
		return with_signals(&t, roll_back);
	if (t.workers == 0)
		t.workers = t.options.settings->workers;
	code = plan(&t);
	if (code == OPTIONS_GO_ON)
		code = consent_ask(t.yes);
	return code == OPTIONS_GO_ON ? with_signals(&t, run) : code;
}
