// SPDX-License-Identifier: Apache-2.0
// meterctl replay: what would have been, beside what is.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/utf8.h"
#include "replay/replay.h"
#include "tools/frontend.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/replay_apply.h"
#include "tools/stop.h"
#include "tools/tools.h"

enum { READ_TIMEOUT_MS = 30000, TAIL = 64, STATUS_MOST = 64 };

struct tool {
	struct options options;
	struct kafka_options kafka;
	const char *range_word, *from, *to, *catalog, *prices_of, *account;
	struct option_each billable, producers, partitions;
	const char *reason, *confirm;
	bool dry_run, apply, undo;
	char reason_text[ACCOUNT_REASON_MOST + 1]; // where none was given
	struct range range;
	int month;                   // whose prices hold
	char *text;                  // of the price book
	size_t text_n;
	struct stop_watch watch;
	struct progress progress;
};

static void tool_free(struct tool *t)
{
	range_free(&t->range);
	free(t->text);
	options_close(&t->options);
}

// ---- the command line
// A correction says in its record what was asked, and a record is JSON.
static int check_words(const struct tool *t)
{
	const struct {
		const char *name, *const *list;
		uint32_t n;
	} words[] = {
		{ "the range", &t->range_word, 1 }, { "--from", &t->from, 1 }, { "--to", &t->to, 1 }, { "--account", &t->account, 1 }, { "--reason", &t->reason, 1 },
		{ "--billable", t->billable.list, t->billable.n }, { "--exclude-producer", t->producers.list, t->producers.n },
		{ "--exclude-partition", t->partitions.list, t->partitions.n },
	};
	for (size_t k = 0; k < ARRAY_LEN(words); k++)
		for (uint32_t i = 0; i < words[k].n; i++)
			if (words[k].list[i] != NULL && !utf8_is(words[k].list[i], strlen(words[k].list[i])))
				return options_usage(&t->options, "%s is not UTF-8", words[k].name);
	return OPTIONS_GO_ON;
}

static int parse_range(struct tool *t, const char *word)
{
	char why[RANGE_WHY];
	if (word != NULL && (t->from != NULL || t->to != NULL))
		return options_usage(&t->options, "%.60s and --from or --to exclude each other", word);
	if (word != NULL && !range_parse(word, &t->range, why))
		return options_usage(&t->options, "%s", why);
	if (t->from != NULL && !bound_parse(t->from, &t->range.from, why))
		return options_usage(&t->options, "--from: %s", why);
	if (t->to != NULL && !bound_parse(t->to, &t->range.to, why))
		return options_usage(&t->options, "--to: %s", why);
	return OPTIONS_GO_ON;
}

static int check_form(const struct tool *t)
{
	const struct options *o = &t->options;
	if (t->dry_run == t->apply)
		return options_usage(o, t->apply ? "--dry-run and --apply-as-adjustment exclude each other" : "add --dry-run: what would have been is worked out and "
				     "shown, and nothing is changed; or --apply-as-adjustment, which corrects the bills of closed months");
	if (!t->apply && (t->reason != NULL || t->confirm != NULL || t->undo))
		return options_usage(o, "--reason, --confirm and --undo belong to --apply-as-adjustment");
	if (t->reason != NULL && (t->reason[0] == '\0' || strlen(t->reason) > ACCOUNT_REASON_MOST))
		return options_usage(o, "--reason takes 1 to %d bytes", ACCOUNT_REASON_MOST);
	return OPTIONS_GO_ON;
}

static int check_question(struct tool *t)
{
	const struct options *o = &t->options;
	if (!t->apply && t->catalog == NULL && t->prices_of == NULL && t->billable.n + t->producers.n + t->partitions.n == 0)
		return options_usage(o, "nothing is asked: say what would be otherwise with --catalog, --prices-of, --billable, --exclude-producer or "
				     "--exclude-partition");
	if (t->prices_of != NULL && !month_parse(span_of(t->prices_of), &t->month))
		return options_usage(o, "--prices-of %.20s is no month; write it as 2020-04", t->prices_of);
	for (uint32_t i = 0; i < t->billable.n; i++)
		if (t->billable.list[i][0] == '\0' || strlen(t->billable.list[i]) > STATUS_MOST)
			return options_usage(o, "--billable takes a status code of 1 to %d bytes, such as ok; give it once for each code", STATUS_MOST);
	return check_form(t);
}

static int parse_args(struct tool *t, int argc, char **argv)
{
	const char *word = NULL;
	const struct option_row rows[] = {
		{ "from", OPTION_TEXT, &t->from, "T", "records from here on are otherwise: a month, a day, RFC 3339, -36h, an offset, or P=OFFSET,P=OFFSET; all without it" },
		{ "to", OPTION_TEXT, &t->to, "T", "up to here, exclusive; to the end without it" },
		{ "catalog", OPTION_TEXT, &t->catalog, "FILE", "the price book by which these records are read and the months of the range are priced" },
		{ "prices-of", OPTION_TEXT, &t->prices_of, "YYYY-MM", "prices and free calls of this month, in all months of the range" },
		{ "billable", OPTION_EACH, &t->billable, "CODE", "the status code that counts, instead of the price book's; once for each" },
		{ "exclude-producer", OPTION_EACH, &t->producers, "SOURCE", "as though this CloudEvents source had sent nothing (\"\": flat events); once for each" },
		{ "exclude-partition", OPTION_EACH, &t->partitions, "TOPIC/P", "as though nothing had come in this partition; once for each" },
		{ "account", OPTION_TEXT, &t->account, "A", "of this account only" },
		{ "dry-run", OPTION_FLAG, &t->dry_run, NULL, "works it out and shows it; changes nothing" },
		{ "apply-as-adjustment", OPTION_FLAG, &t->apply, NULL, "corrects the bills of closed months by what came out, with the next close; asks before" },
		{ "undo", OPTION_FLAG, &t->undo, NULL, "with it: earlier corrections hold no more, but as far as they are asked for again" },
		{ "reason", OPTION_TEXT, &t->reason, "TEXT", "why they are corrected, for whoever reads it later; what was asked without it" },
		{ "confirm", OPTION_TEXT, &t->confirm, "TEXT", "what is typed otherwise: months, number of lines, difference and id, as they are shown" },
	};
	int code = options_parse(&t->options, argc, argv, rows, ARRAY_LEN(rows), &word, 0, 1);
	t->range_word = word;
	if (code == OPTIONS_GO_ON)
		code = check_words(t);
	if (code == OPTIONS_GO_ON)
		code = parse_range(t, word);
	if (code == OPTIONS_GO_ON)
		code = check_question(t);
	return code != OPTIONS_GO_ON ? code : options_settings(&t->options);
}

static int read_book(struct tool *t)
{
	struct error e = { 0 };
	if (t->catalog == NULL || file_read(t->catalog, FRONTEND_CATALOG_MOST, &t->text, &t->text_n, &e) == ERROR_NONE)
		return OPTIONS_GO_ON;
	fprintf(stderr, "meterctl %s: %s: %s\n", t->options.verb, t->catalog, e.text);
	return EXIT_CONFIG_ERR;
}

// ---- now
static bool take_stamp(void *ctx, const struct topic_record *r)
{
	int64_t *newest = ctx;
	if (r->r.timestamp_ms > *newest)
		*newest = r->r.timestamp_ms;
	return true;
}

// What durations are counted back from: where the log is the clock, its newest stamp.
static int find_now(struct tool *t, int64_t *ret)
{
	struct error e = { 0 };
	*ret = clock_wall_ms();
	if (!range_asks_now(&t->range) || t->options.settings->clock == CLOCK_WALL)
		return OPTIONS_GO_ON;
	*ret = 0;
	for (uint32_t i = 0; t->kafka.input_topics[i] != NULL; i++) {
		struct topic_places at = { 0 };
		enum error_class c = topic_read_on(&t->kafka, t->kafka.input_topics[i], &at, TAIL, false, READ_TIMEOUT_MS, take_stamp, ret, &e);
		free(at.next);
		if (c != ERROR_NONE)
			return options_fail(&t->options, &e);
	}
	return OPTIONS_GO_ON;
}

// ---- what came out
// Columns of every format but the table, which has the wide ones left out and a table of its own for alerts.
static const struct output_column all_columns[] = {
	{ "finding", OUTPUT_TEXT },       { "period", OUTPUT_TEXT },         { "account", OUTPUT_TEXT },         { "service", OUTPUT_TEXT },
	{ "state", OUTPUT_TEXT },         { "calls_before", OUTPUT_NUMBER }, { "calls_after", OUTPUT_NUMBER },   { "late_before", OUTPUT_NUMBER },
	{ "late_after", OUTPUT_NUMBER },  { "free_before", OUTPUT_NUMBER },  { "free_after", OUTPUT_NUMBER },    { "billable_before", OUTPUT_NUMBER },
	{ "billable_after", OUTPUT_NUMBER }, { "charge_before", OUTPUT_AMOUNT }, { "charge_after", OUTPUT_AMOUNT }, { "difference", OUTPUT_AMOUNT },
	{ "unfreeze_before", OUTPUT_AMOUNT }, { "unfreeze_after", OUTPUT_AMOUNT }, { "freeze_before", OUTPUT_AMOUNT }, { "freeze_after", OUTPUT_AMOUNT },
	{ "kind", OUTPUT_TEXT },          { "threshold", OUTPUT_NUMBER },    { "pack", OUTPUT_TEXT },            { "id", OUTPUT_TEXT },
};
static const struct output_column bill_columns[] = {
	{ "period", OUTPUT_TEXT },         { "account", OUTPUT_TEXT },         { "service", OUTPUT_TEXT },        { "state", OUTPUT_TEXT },
	{ "calls_before", OUTPUT_NUMBER }, { "calls_after", OUTPUT_NUMBER },   { "charge_before", OUTPUT_AMOUNT }, { "charge_after", OUTPUT_AMOUNT },
	{ "difference", OUTPUT_AMOUNT },   { "freeze_before", OUTPUT_AMOUNT }, { "freeze_after", OUTPUT_AMOUNT },
};
static const struct output_column alert_columns[] = {
	{ "finding", OUTPUT_TEXT }, { "period", OUTPUT_TEXT },      { "account", OUTPUT_TEXT }, { "service", OUTPUT_TEXT },
	{ "kind", OUTPUT_TEXT },    { "threshold", OUTPUT_NUMBER }, { "pack", OUTPUT_TEXT },    { "id", OUTPUT_TEXT },
};

static void cell_span(struct output *out, struct span s)
{
	CLEANUP(freep) char *text = s.n > 0 ? xstrndup(s.p, s.n) : NULL;
	output_cell(out, text);
}

static void cell_fen(struct output *out, bool there, int64_t fen)
{
	char text[MONEY_TEXT];
	output_cell(out, there ? money_fen_text(fen, text) : NULL);
}

static void cell_count(struct output *out, bool there, int64_t n)
{
	if (there)
		output_int(out, n);
	else
		output_cell(out, NULL);
}

static void cells_null(struct output *out, int n)
{
	for (int i = 0; i < n; i++)
		output_cell(out, NULL);
}

static void head_cells(struct output *out, const struct replay_bill *b)
{
	char month[MONTH_TEXT];
	output_cell(out, month_text(b->month, month));
	cell_span(out, b->account);
	cell_span(out, b->service);
	output_cell(out, replay_state_text(b->state));
	output_int(out, b->before.calls);
	output_int(out, b->after.calls);
}

static void charge_cells(struct output *out, const struct replay_bill *b)
{
	cell_fen(out, b->before.billed, b->before.charge_fen);
	cell_fen(out, b->after.billed, b->after.charge_fen);
	cell_fen(out, b->before.billed || b->after.billed, b->after.charge_fen - b->before.charge_fen); // both within what was summed
}

static void bill_row(struct output *out, const struct replay_bill *b)
{
	const struct replay_figures *x = &b->before, *y = &b->after;
	output_cell(out, "bill");
	head_cells(out, b);
	output_int(out, x->late);
	output_int(out, y->late);
	cell_count(out, x->billed, x->free);
	cell_count(out, y->billed, y->free);
	cell_count(out, x->billed, x->billable);
	cell_count(out, y->billed, y->billable);
	charge_cells(out, b);
	cell_fen(out, x->billed, x->unfreeze_fen);
	cell_fen(out, y->billed, y->unfreeze_fen);
	cell_fen(out, x->billed, x->freeze_fen);
	cell_fen(out, y->billed, y->freeze_fen);
	cells_null(out, 4);
}

static void alert_row(struct output *out, const struct replay_alert *a, bool wide)
{
	char month[MONTH_TEXT];
	output_cell(out, a->raised ? "alert raised" : "alert not raised");
	output_cell(out, month_text(a->month, month));
	cell_span(out, a->account);
	cell_span(out, a->service);
	if (wide)
		cells_null(out, 16);
	output_cell(out, alert_kind_text(a->kind));
	output_int(out, a->bound);
	cell_span(out, a->pack);
	output_cell(out, a->id);
}

static bool print_tables(const struct replay *r)
{
	const struct replay_bill *bills;
	const struct replay_alert *alerts;
	uint32_t n_bills = replay_bills(r, &bills), n_alerts = replay_alerts(r, &alerts);
	bool ok = true;
	if (n_bills > 0) {
		struct output *out = output_begin(stdout, OUTPUT_TABLE, OUTPUT_MANY, bill_columns, ARRAY_LEN(bill_columns));
		for (uint32_t i = 0; i < n_bills; i++) {
			head_cells(out, &bills[i]);
			charge_cells(out, &bills[i]);
			cell_fen(out, bills[i].before.billed, bills[i].before.freeze_fen);
			cell_fen(out, bills[i].after.billed, bills[i].after.freeze_fen);
		}
		ok = output_end(&out);
	}
	if (n_bills > 0 && n_alerts > 0)
		putchar('\n');
	if (n_alerts > 0) {
		struct output *out = output_begin(stdout, OUTPUT_TABLE, OUTPUT_MANY, alert_columns, ARRAY_LEN(alert_columns));
		for (uint32_t i = 0; i < n_alerts; i++)
			alert_row(out, &alerts[i], false);
		ok = output_end(&out) && ok;
	}
	return ok;
}

static bool print(const struct tool *t, const struct replay *r)
{
	const struct replay_bill *bills;
	const struct replay_alert *alerts;
	if (t->options.format == OUTPUT_TABLE)
		return print_tables(r);
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, all_columns, ARRAY_LEN(all_columns));
	for (uint32_t i = 0, n = replay_bills(r, &bills); i < n; i++)
		bill_row(out, &bills[i]);
	for (uint32_t i = 0, n = replay_alerts(r, &alerts); i < n; i++)
		alert_row(out, &alerts[i], true);
	return output_end(&out);
}

static void say_months(const struct tool *t, const struct replay_numbers *n)
{
	char first[MONTH_TEXT], last[MONTH_TEXT];
	int low = n->first_priced > n->first_month ? n->first_priced : n->first_month;
	int high = n->last_priced < n->last_month ? n->last_priced : n->last_month;
	if (n->first_priced == MONTH_NONE || n->first_month == MONTH_NONE)
		return;
	if (low > high)
		fprintf(stderr, "meterctl %s: no month with calls lies in the range: none is priced otherwise\n", t->options.verb);
	else
		fprintf(stderr, "meterctl %s: priced otherwise: %s to %s\n", t->options.verb, month_text(low, first), month_text(high, last));
}

static void say_corrections(const struct tool *t, const struct replay_numbers *n)
{
	if (n->corrections > 0 && !t->apply)
		fprintf(stderr, "meterctl %s: %" PRIu32 " correction%s of closed months said before are part of what is, and of nothing else: what is asked here is what "
			"the whole bill would be without them\n", t->options.verb, n->corrections, n->corrections == 1 ? "" : "s");
}

static int verdict(struct tool *t, struct replay *r)
{
	const struct replay_bill *bills;
	const struct replay_alert *alerts;
	uint32_t n_bills = replay_bills(r, &bills), n_alerts = replay_alerts(r, &alerts), raised = 0, open = 0;
	char before[MONEY_TEXT], after[MONEY_TEXT], difference[MONEY_TEXT];
	struct replay_numbers k;
	replay_numbers(r, &k);
	if (!print(t, r))
		return EXIT_LATER;
	fflush(stdout);
	for (uint32_t i = 0; i < n_alerts; i++)
		raised += alerts[i].raised;
	for (uint32_t i = 0; i < n_bills; i++)
		open += bills[i].state == REPLAY_OPEN;
	fprintf(stderr, "meterctl %s: read %" PRIu64 " records of %" PRIu32 " partitions; %" PRIu64 " of them lie in the range, %" PRIu64 " were left out, %" PRIu64
		" came to something else\n", t->options.verb, k.records, k.partitions, k.in_range, k.left_out, k.otherwise);
	say_months(t, &k);
	say_corrections(t, &k);
	if (t->apply && !t->undo && k.corrections > 0)
		fprintf(stderr, "meterctl %s: %" PRIu32 " correction%s of closed months said before: what they made of a bill stays where this question changes "
			"nothing of it\n", t->options.verb, k.corrections, k.corrections == 1 ? "" : "s");
	if (t->apply)
		return replay_apply(&(struct replay_apply){ &t->options, t->confirm, &t->watch.ended }, r);
	fprintf(stderr, "meterctl %s: %" PRIu32 " bill%s, %" PRIu32 " of them of open months as far as the log goes; charges of all months %s %s instead of %s, "
		"difference %s; %" PRIu32 " alert%s more, %" PRIu32 " fewer\n", t->options.verb, n_bills, n_bills == 1 ? " differs" : "s differ", open,
		money_fen_text(k.after_fen, after), k.currency, money_fen_text(k.before_fen, before), money_fen_text(k.after_fen - k.before_fen, difference),
		raised, raised == 1 ? "" : "s", n_alerts - raised);
	return n_bills + n_alerts > 0 ? EXIT_FOUND : EXIT_DONE;
}

// ---- running
static void show_progress(void *ctx, uint64_t read, uint64_t all)
{
	progress_show(ctx, read, all);
}

static void say_faults(const struct tool *t, const struct faults *faults)
{
	struct faults placed = { 0 };
	for (size_t i = 0; i < faults->n; i++) {
		const struct fault *f = &faults->list[i];
		if (f->line > 0)
			fault_add(&placed, f->file, f->line, f->column, "%s", f->text);
		else
			fprintf(stderr, "meterctl %s: refused: %s\n", t->options.verb, f->text);
	}
	faults_print(&placed, (struct span){ t->text, t->text_n }, stderr);
	faults_free(&placed);
}

static void add_reason(char text[ACCOUNT_REASON_MOST + 1], const char *option, const char *value)
{
	size_t n = strlen(text);
	if (value != NULL && utf8_is(value, strlen(value)) && n + strlen(option) + strlen(value) + 4 <= ACCOUNT_REASON_MOST)
		snprintf(text + n, ACCOUNT_REASON_MOST + 1 - n, " --%s %s", option, value);
}

static void add_reasons(char text[ACCOUNT_REASON_MOST + 1], const char *option, const struct option_each *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		add_reason(text, option, list->list[i]);
}

// What was asked, as far as it fits.
static const char *default_reason(struct tool *t)
{
	char *text = t->reason_text;
	snprintf(text, sizeof(t->reason_text), "meterctl replay%s%.100s", t->range_word != NULL ? " " : "", t->range_word != NULL ? t->range_word : "");
	add_reason(text, "from", t->from);
	add_reason(text, "to", t->to);
	add_reason(text, "catalog", t->catalog);
	add_reason(text, "prices-of", t->prices_of);
	add_reasons(text, "billable", &t->billable);
	add_reasons(text, "exclude-producer", &t->producers);
	add_reasons(text, "exclude-partition", &t->partitions);
	add_reason(text, "account", t->account);
	return text;
}

static int run(struct tool *t, int64_t now_ms)
{
	struct error e = { 0 };
	struct faults faults = { 0 };
	CLEANUP(replay_freep) struct replay *r = NULL;
	struct replay_options o = { .kafka = &t->kafka, .timeout_ms = READ_TIMEOUT_MS, .range = &t->range, .now_ms = now_ms, .account = t->account,
		.catalog_name = t->catalog, .catalog_text = { t->text, t->text_n }, .prices_of = t->month, .n_billable = t->billable.n,
		.n_producers = t->producers.n, .n_partitions = t->partitions.n, .billable = t->billable.list, .producers = t->producers.list,
		.partitions = t->partitions.list, .correct = t->apply, .undo = t->undo, .reason = t->reason != NULL ? t->reason : default_reason(t),
		.stop = &t->watch.stop, .progress = show_progress, .ctx = &t->progress };
	progress_begin(&t->progress, t->options.verb, "records read");
	enum error_class c = replay_run(&o, &faults, &r, &e);
	progress_end(&t->progress);
	say_faults(t, &faults);
	faults_free(&faults);
	return c != ERROR_NONE ? options_fail(&t->options, &e) : verdict(t, r);
}

int tool_replay(int argc, char **argv)
{
	CLEANUP(tool_free) struct tool t = { .options = { .verb = argv[0] }, .month = MONTH_NONE,
		.watch.at_once = "meterctl replay: stopped; nothing was changed, nothing is left behind" };
	int64_t now_ms = 0;
	stop_block();
	int code = parse_args(&t, argc, argv);
	if (code == OPTIONS_GO_ON)
		code = read_book(&t);
	if (code != OPTIONS_GO_ON)
		return code;
	options_kafka(&t.options, &t.kafka);
	stop_watch_begin(&t.watch);
	code = find_now(&t, &now_ms);
	if (code == OPTIONS_GO_ON)
		code = run(&t, now_ms);
	stop_watch_end(&t.watch);
	return code;
}
