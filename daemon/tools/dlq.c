// SPDX-License-Identifier: Apache-2.0
// meterctl dlq: what was rejected, as it came and why; and giving it back to the input once the cause is gone.
//
// What a letter is, and how a record is given back once, stands in letters/box.h.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "decode/decode.h"
#include "letters/box.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/tools.h"

struct tool {
	struct options options;
	struct kafka_options kafka;
	struct letters_wish wish;
	const char *since, *until, *what;
	bool yes;
	struct letters_ends ends;
	struct letters_box *box;
	struct progress progress;
};

static void tool_free(struct tool *t)
{
	letters_box_freep(&t->box);
	options_close(&t->options);
}

static void show_progress(void *ctx, uint64_t records)
{
	struct tool *t = ctx;
	progress_show(&t->progress, records, 0);
}

static enum error_class read_letters(struct tool *t, struct error *e)
{
	progress_begin(&t->progress, "dlq", "records read");
	enum error_class c = letters_box_read(&t->ends, &t->box, e);
	progress_end(&t->progress);
	return c;
}

// ---- list and show
static void cell_span(struct output *out, struct span s)
{
	CLEANUP(freep) char *text = s.p != NULL ? xstrndup(s.p, s.n) : NULL;
	output_cell(out, text);
}

static int list(struct tool *t)
{
	static const struct output_column columns[] = { { "position", OUTPUT_TEXT }, { "time", OUTPUT_TEXT },    { "code", OUTPUT_TEXT },
							{ "account", OUTPUT_TEXT },  { "bytes", OUTPUT_NUMBER }, { "requeued", OUTPUT_RAW },
							{ "message", OUTPUT_TEXT } };
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	char time[TIME_TEXT];
	for (const struct letter *l = letters_box_next(t->box, NULL); l != NULL; l = letters_box_next(t->box, l)) {
		if (!letters_wanted(l, &t->wish))
			continue;
		output_cell(out, l->position);
		output_cell(out, l->timestamp_ms >= 0 ? time_text(l->timestamp_ms, time) : NULL);
		cell_span(out, l->code);
		cell_span(out, l->account);
		output_int(out, (int64_t)l->value.n);
		output_cell(out, l->given_back ? "true" : "false");
		cell_span(out, l->message);
	}
	return output_end(&out) ? EXIT_DONE : EXIT_LATER;
}

static int show(struct tool *t)
{
	const struct letter *l = letters_box_find(t->box, t->wish.position);
	if (l == NULL) {
		fprintf(stderr, "meterctl dlq: no record at %s lies in %s; `meterctl dlq list` shows which do\n", t->wish.position, t->kafka.dlq_topic);
		return EXIT_FOUND;
	}
	fprintf(stderr, "code: %.*s\nmessage: %.*s\n", (int)l->code.n, l->code.p, (int)l->message.n, l->message.p);
	for (uint32_t i = 0; i < l->n_headers; i++)
		fprintf(stderr, "header %.*s: %.*s\n", (int)l->headers[i].name.n, l->headers[i].name.p, (int)l->headers[i].value.n,
			l->headers[i].value.p != NULL ? l->headers[i].value.p : "");
	if (l->truncated)
		fprintf(stderr, "its value did not fit into the dead-letter topic; it stands in the input topic, at that offset\n");
	fwrite(l->value.p != NULL ? l->value.p : "", 1, l->value.n, stdout);
	putchar('\n');
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_LATER;
}

// ---- requeue
static int requeue(struct tool *t)
{
	struct error e = { 0 };
	struct letters_sums n = { 0 };
	progress_begin(&t->progress, "dlq", "records read");
	enum error_class c = letters_give_back(&t->ends, &t->wish, !t->yes, &n, &e);
	progress_end(&t->progress);
	if (n.truncated > 0)
		fprintf(stderr, "meterctl dlq: %" PRIu32 " more did not fit into the dead-letter topic and cannot be given back from there\n", n.truncated);
	if (n.elsewhere > 0)
		fprintf(stderr, "meterctl dlq: %" PRIu32 " more came in a topic that topics.input does not name, and are not given back\n", n.elsewhere);
	if (c != ERROR_NONE)
		return options_fail(&t->options, &e);
	if (n.chosen == 0)
		fprintf(stderr, "meterctl dlq: nothing to give back\n");
	else if (!t->yes)
		fprintf(stderr, "%" PRIu32 " record%s would be given back to the input (`dlq list` with the same options shows them); add --yes\n", n.chosen,
			n.chosen == 1 ? "" : "s");
	else
		fprintf(stderr, "meterctl dlq: %" PRIu32 " record%s given back to the input, with their own time stamps: counted in their month where that is open, "
			"as late calls otherwise; what is wrong with them still brings them here again\n", n.given_back, n.given_back == 1 ? "" : "s");
	return EXIT_DONE;
}

// ---- the command line
static int check_times(struct tool *t)
{
	if (t->since != NULL && !time_parse_rfc3339(span_of(t->since), &t->wish.since_ms))
		return options_usage(&t->options, "--since %.40s is no time; write it as 2020-01-31T00:00:00+08:00", t->since);
	if (t->until != NULL && !time_parse_rfc3339(span_of(t->until), &t->wish.until_ms))
		return options_usage(&t->options, "--until %.40s is no time; write it as 2020-01-31T00:00:00+08:00", t->until);
	return OPTIONS_GO_ON;
}

static int parse_args(struct tool *t, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "code", OPTION_TEXT, &t->wish.code, "CODE", "only what was rejected for this, such as service_unknown" },
		{ "account", OPTION_TEXT, &t->wish.account, "A", "only of this account, as far as it can be read" },
		{ "since", OPTION_TEXT, &t->since, "T", "only records whose own stamp is not before T" },
		{ "until", OPTION_TEXT, &t->until, "T", "only records whose own stamp is before T" },
		{ "all", OPTION_FLAG, &t->wish.given_back, NULL, "list: also what was given back already" },
		{ "yes", OPTION_FLAG, &t->yes, NULL, "requeue: do it; otherwise only the number is told" },
	};
	const char *words[2] = { NULL, NULL };
	int code = options_parse(&t->options, argc, argv, rows, ARRAY_LEN(rows), words, 1, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	t->what = words[0];
	t->wish.position = words[1];
	bool is_show = strcmp(t->what, "show") == 0, is_requeue = strcmp(t->what, "requeue") == 0;
	static const char *const parts[] = { "list", "show", "requeue", NULL };
	static const char *const codes[] = {
#define REJECT(id, stage, code, message, advice) code,
#include "tbl/reject.def"
#undef REJECT
		NULL
	};
	code = options_word(&t->options, "part", t->what, parts);
	if (code == OPTIONS_GO_ON && t->wish.code != NULL)
		code = options_word(&t->options, "--code", t->wish.code, codes);
	if (code != OPTIONS_GO_ON)
		return code;
	if (is_show != (t->wish.position != NULL) && !is_requeue)
		return options_usage(&t->options, is_show ? "show which? TOPIC/PARTITION/OFFSET, as `dlq list` has it" : "list takes no position");
	if (is_requeue && t->wish.given_back)
		return options_usage(&t->options, "what was given back already is not given back again: it would count twice where the window of "
				     "duplicates does not reach back so far");
	return check_times(t);
}

int tool_dlq(int argc, char **argv)
{
	CLEANUP(tool_free) struct tool t = { .options = { .verb = argv[0] }, .wish = { .since_ms = INT64_MIN, .until_ms = INT64_MAX } };
	struct error e = { 0 };
	int code = parse_args(&t, argc, argv);
	if (code == OPTIONS_GO_ON)
		code = options_settings(&t.options);
	if (code != OPTIONS_GO_ON)
		return code;
	options_kafka(&t.options, &t.kafka);
	t.ends = (struct letters_ends){ .kafka = &t.kafka, .field_account = t.options.settings->field_account, .progress = show_progress, .ctx = &t };
	if (strcmp(t.what, "requeue") == 0)
		return requeue(&t);
	if (read_letters(&t, &e) != ERROR_NONE)
		return options_fail(&t.options, &e);
	return strcmp(t.what, "list") == 0 ? list(&t) : show(&t);
}
