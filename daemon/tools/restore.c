// SPDX-License-Identifier: Apache-2.0
// meterctl restore: a checkpoint put back (rebuild/restore.h), once the person has seen what would be done.
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "rebuild/restore.h"
#include "tools/consent.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/tools.h"

struct tool {
	struct options options;
	struct kafka_options kafka;
	struct store_options store;
	struct restore *restore;
	bool yes;
	const char *path;
	struct progress progress;
};

static void tool_free(struct tool *t)
{
	restore_freep(&t->restore);
	options_close(&t->options);
}

static void say_plan(const struct restore_plan *p)
{
	char time[TIME_TEXT];
	fprintf(stderr, "The checkpoint was made at %s, of generation %" PRId64 "%s. ", time_text(p->head->made_ms, time), p->head->generation,
		p->head->generation != p->in_force ? ", which is not in force any more" : "");
	if (p->n_lost > 0)
		fprintf(stderr, "%" PRIu32 " of %" PRIu32 " shards lost their counters: they would come from it, and be in force. Once meterd runs it counts on from "
			"there; alerts and settlements that are out stay out.\n", p->n_lost, p->shards);
	else
		fprintf(stderr, "It would come back as generation %" PRId64 " beside the one in force; `meterctl rebuild` counts on from there.\n", p->generation);
}

static void show(void *ctx, uint64_t done, uint64_t all)
{
	struct tool *t = ctx;
	progress_show(&t->progress, done, all);
}

static int run(struct tool *t)
{
	struct error e = { 0 };
	struct restore_options o = { .kafka = &t->kafka, .store = &t->store, .path = t->path, .progress = show, .ctx = t };
	options_kafka(&t->options, &t->kafka);
	if (settings_store(t->options.settings, &t->store, &e) != ERROR_NONE || restore_open(&o, &t->restore, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	struct restore_plan p = restore_plan(t->restore);
	say_plan(&p);
	int code = consent_ask(t->yes);
	if (code != OPTIONS_GO_ON)
		return code;
	progress_begin(&t->progress, "restore", "shards put back");
	enum error_class c = restore_run(t->restore, &e);
	progress_end(&t->progress);
	if (c != ERROR_NONE)
		return options_fail(&t->options, &e);
	if (p.n_lost > 0)
		fprintf(stderr, "meterctl restore: generation %" PRId64 " is there again; start meterd, it counts what came since\n", p.generation);
	else
		fprintf(stderr, "meterctl restore: generation %" PRId64 " is there; `meterctl rebuild` goes on from it\n", p.generation);
	return EXIT_DONE;
}

int tool_restore(int argc, char **argv)
{
	CLEANUP(tool_free) struct tool t = { .options = { .verb = argv[0] } };
	const struct option_row rows[] = {
		{ "yes", OPTION_FLAG, &t.yes, NULL, "do it; otherwise what would be done is shown, and asked for" },
	};
	int code = options_parse(&t.options, argc, argv, rows, ARRAY_LEN(rows), &t.path, 1, 1);
	if (code == OPTIONS_GO_ON)
		code = options_settings(&t.options);
	if (code != OPTIONS_GO_ON)
		return code;
	log_set_level(LVL_ERROR);
	return run(&t);
}
