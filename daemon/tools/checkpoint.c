// SPDX-License-Identifier: Apache-2.0
// meterctl checkpoint: writes one, lists them, reads one through.
#include "checkpoint/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "tools/progress.h"
#include "tools/state.h"
#include "tools/stop.h"
#include "tools/tools.h"

struct tool {
	struct options options;
	struct progress progress;
	struct stop_watch watch;
};

static void show(void *ctx, uint64_t done, uint64_t all)
{
	struct tool *t = ctx;
	progress_show(&t->progress, done, all);
}

static int make(struct tool *t)
{
	CLEANUP(freep) char *path = NULL;
	struct error e = { 0 };
	struct kafka_options kafka;
	struct store_options store;
	struct settings *s = t->options.settings;
	options_kafka(&t->options, &kafka);
	if (settings_store(s, &store, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	struct checkpoint_options o = { .kafka = &kafka, .store = &store, .state_dir = settings_state_dir(s),
					.keep = s->checkpoint_keep > 0 ? s->checkpoint_keep : INT64_MAX, .pause_ms = s->checkpoint_pause, .stop = &t->watch.stop,
					.progress = show, .ctx = t };
	progress_begin(&t->progress, "checkpoint", "shards written");
	stop_watch_begin(&t->watch);
	enum error_class c = checkpoint_make(&o, &path, &e);
	stop_watch_end(&t->watch);
	progress_end(&t->progress);
	if (c != ERROR_NONE)
		return options_fail(&t->options, &e);
	return printf("%s\n", path) > 0 ? EXIT_DONE : EXIT_LATER;
}

static int list_all(struct tool *t)
{
	static const struct output_column columns[] = { { "file", OUTPUT_TEXT }, { "made", OUTPUT_TEXT }, { "settled", OUTPUT_TEXT }, { "generation", OUTPUT_NUMBER },
							{ "bytes", OUTPUT_NUMBER }, { "init", OUTPUT_TEXT }, { "wrong", OUTPUT_TEXT } };
	struct checkpoint_list list = { 0 };
	struct error e = { 0 };
	char time[TIME_TEXT], month[MONTH_TEXT];
	if (checkpoint_list(settings_state_dir(t->options.settings), &list, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < list.n; i++) {
		const struct checkpoint_file *f = &list.files[i];
		bool good = f->wrong.cls == ERROR_NONE;
		output_cell(out, f->path);
		output_cell(out, good ? time_text(f->head.made_ms, time) : NULL);
		output_cell(out, good && f->head.settled != MONTH_NONE ? month_text(f->head.settled, month) : NULL);
		if (good)
			output_int(out, f->head.generation);
		else
			output_cell(out, NULL);
		output_int(out, (int64_t)f->bytes);
		output_cell(out, good ? f->head.init_id : NULL);
		output_cell(out, good ? NULL : f->wrong.text);
	}
	checkpoint_list_free(&list);
	return output_end(&out) ? EXIT_DONE : EXIT_LATER;
}

// Whole, and of the state that the configuration names; whether the log goes on from it, too.
static int verify(struct tool *t, const char *path)
{
	struct checkpoint_head head = { .settled = MONTH_NONE };
	struct checkpoint_totals totals = { 0 };
	struct error e = { 0 };
	struct kafka_options kafka;
	CLEANUP(journal_freep) struct journal *j = NULL;
	enum { TIMEOUT_MS = 10000 };
	options_kafka(&t->options, &kafka);
	enum error_class c = checkpoint_verify(path, &head, &totals, &e);
	if (c == ERROR_NONE)
		c = journal_load(&kafka, TIMEOUT_MS, &j, &e);
	if (c == ERROR_NONE)
		c = journal_begun(j, &kafka, &e);
	if (c == ERROR_NONE)
		c = checkpoint_fits(&head, j, &e);
	if (c == ERROR_NONE)
		c = checkpoint_reached(&head, NULL, &kafka, false, &e);
	checkpoint_head_free(&head);
	if (c != ERROR_NONE)
		return options_fail(&t->options, &e);
	fprintf(stderr, "meterctl checkpoint: %s is whole, of this state, and the log goes on from it: %" PRIu64 " fields, %" PRIu64 " outbox entries, %" PRIu64
		" bytes\n", path, totals.fields, totals.entries, totals.bytes);
	return EXIT_DONE;
}

int tool_checkpoint(int argc, char **argv)
{
	const char *words[2] = { "make", NULL };
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	int code = options_parse(&o, argc, argv, NULL, 0, words, 0, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	bool alone = strcmp(words[0], "make") == 0 || strcmp(words[0], "list") == 0;
	if (alone ? words[1] != NULL : strcmp(words[0], "verify") != 0 || words[1] == NULL)
		return options_usage(&o, "write `make`, `list`, or `verify` and a file");
	stop_block();
	code = options_settings(&o);
	if (code != OPTIONS_GO_ON)
		return code;
	struct tool t = { .options = o };
	o.settings = NULL; // t's
	log_set_level(LVL_ERROR);
	code = strcmp(words[0], "make") == 0 ? make(&t) : strcmp(words[0], "list") == 0 ? list_all(&t) : verify(&t, words[1]);
	options_close(&t.options);
	return code;
}
