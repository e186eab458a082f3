// SPDX-License-Identifier: Apache-2.0
// meterctl account check and list: what events of the accounts topic are worth, in files and in Kafka.
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "tools/account.h"
#include "tools/correction_state.h"

enum { READ_TIMEOUT_MS = 30000 };

// --- check --------------------------------------------------------------------------------------------------------------

static const struct output_column check_columns[] = { { "file", OUTPUT_TEXT }, { "line", OUTPUT_NUMBER }, { "outcome", OUTPUT_TEXT },
	{ "account", OUTPUT_TEXT }, { "kind", OUTPUT_TEXT }, { "id", OUTPUT_TEXT }, { "version", OUTPUT_NUMBER }, { "code", OUTPUT_TEXT },
	{ "message", OUTPUT_TEXT }, { "detail", OUTPUT_TEXT }, { "advice", OUTPUT_TEXT } };

struct judgement {
	const struct account_tool *tool;
	struct account_book *book; // of the lines, with --log
	struct arena arena;
	struct output *out;        // NULL: lines for people
	int64_t checked, rejected;
};

static void output_span(struct output *out, struct span s)
{
	CLEANUP(freep) char *text = xstrndup(s.p, s.n);
	output_cell(out, text);
}

static void judge_columns(struct judgement *j, const char *file, int64_t line, const char *outcome, struct span account,
			  const struct account_fact *f, const struct account_fault *fault)
{
	const struct account_fault_info *info = fault != NULL ? account_fault_info(fault->code) : NULL;
	output_cell(j->out, file);
	output_int(j->out, line);
	output_cell(j->out, outcome);
	if (f != NULL) {
		output_span(j->out, account);
		output_cell(j->out, account_kind_text(f));
		output_span(j->out, f->id);
		output_int(j->out, f->version);
	} else {
		for (int i = 0; i < 4; i++)
			output_cell(j->out, NULL);
	}
	output_cell(j->out, info != NULL ? info->code : NULL);
	output_cell(j->out, info != NULL ? info->message : NULL);
	output_cell(j->out, info != NULL ? fault->detail : NULL);
	output_cell(j->out, info != NULL ? info->advice : NULL);
}

static void judge_line_text(const char *file, int64_t line, const char *outcome, struct span account, const struct account_fact *f,
			    const struct account_fault *fault, const char *note)
{
	printf("%-8s  %s:%" PRId64 "  ", outcome, file, line);
	if (fault != NULL) {
		const struct account_fault_info *info = account_fault_info(fault->code);
		printf("%s: %s (%s)\n          %s\n", info->code, info->message, fault->detail, info->advice);
	} else {
		printf("%s %.*s of account %.*s, version %" PRId64 "%s%s\n", account_kind_text(f), (int)f->id.n, f->id.p, (int)account.n, account.p,
		       f->version, note[0] != '\0' ? "; inert: " : "", note);
	}
}

static void judge_line(void *ctx, const char *file, int64_t line, struct span value)
{
	struct judgement *j = ctx;
	struct account_fact fact, *f = NULL;
	struct account_fault fault, *why = NULL;
	struct span account = { NULL, 0 };
	const char *outcome = "accepted";
	char note[600] = "";
	arena_reset(&j->arena);
	if (account_read(value, &j->arena, &account, &fact, &fault)) {
		f = &fact;
		enum account_applied how = j->book == NULL ? ACCOUNT_TAKEN : account_book_apply(j->book, 0, j->checked, j->checked, value, &fault);
		outcome = how == ACCOUNT_TAKEN ? "accepted" : how == ACCOUNT_REPEATED ? "repeated" : "rejected";
		why = how == ACCOUNT_REFUSED ? &fault : NULL;
		account_unknown_services(j->tool, f, note, sizeof(note));
	} else {
		outcome = "rejected";
		why = &fault;
	}
	j->checked++;
	j->rejected += why != NULL;
	if (j->out != NULL)
		judge_columns(j, file, line, outcome, account, f, why);
	else
		judge_line_text(file, line, outcome, account, f, why, note);
}

static int judge_files(struct account_tool *t, struct judgement *j)
{
	static const char *const standard_input[] = { "-" };
	const char *const *files = t->n_words > 0 ? t->words : standard_input;
	int n = t->n_words > 0 ? t->n_words : 1, code = EXIT_DONE;
	for (int i = 0; i < n; i++) {
		CLEANUP(lines_closep) FILE *f = lines_open(t->options.verb, files[i]);
		int one = f != NULL ? lines_each(t->options.verb, files[i], f, judge_line, j) : EXIT_CONFIG_ERR;
		code = one != EXIT_DONE ? one : code;
	}
	if (j->out != NULL && !output_end(&j->out))
		code = EXIT_LATER;
	fprintf(stderr, "%" PRId64 " checked, %" PRId64 " rejected\n", j->checked, j->rejected);
	return code == EXIT_DONE && j->rejected > 0 ? EXIT_FOUND : code;
}

// A configuration is asked for its price book only where one is named.
int account_check(struct account_tool *t)
{
	struct judgement j = { .tool = t, .book = t->as_log ? account_book_new() : NULL };
	bool asked = t->options.config != options_default_config() || getenv("METERD_CONFIG") != NULL;
	int code = asked ? account_open(t) : OPTIONS_GO_ON;
	if (code == OPTIONS_GO_ON) {
		if (t->options.format != OUTPUT_TABLE)
			j.out = output_begin(stdout, t->options.format, OUTPUT_MANY, check_columns, ARRAY_LEN(check_columns));
		code = judge_files(t, &j);
	}
	account_book_freep(&j.book);
	arena_free(&j.arena);
	return code;
}

// --- list ---------------------------------------------------------------------------------------------------------------

static const struct output_column list_columns[] = { { "account", OUTPUT_TEXT }, { "state", OUTPUT_TEXT }, { "kind", OUTPUT_TEXT },
	{ "id", OUTPUT_TEXT }, { "version", OUTPUT_NUMBER }, { "from", OUTPUT_TEXT }, { "until", OUTPUT_TEXT }, { "cancelled", OUTPUT_TEXT },
	{ "services", OUTPUT_RAW }, { "calls", OUTPUT_NUMBER }, { "price", OUTPUT_AMOUNT }, { "partition", OUTPUT_NUMBER },
	{ "offset", OUTPUT_NUMBER }, { "code", OUTPUT_TEXT }, { "detail", OUTPUT_TEXT }, { "close", OUTPUT_TEXT }, { "why", OUTPUT_TEXT },
	{ "question", OUTPUT_RAW } };

struct refusal {
	char *account; // NULL: not known
	int32_t partition;
	int64_t offset;
	struct account_fault fault;
};
struct listing {
	const struct account_tool *tool;
	struct output *out;
	struct refusal *refused;
	size_t n_refused, room;
	struct correction_states *states; // of corrections; NULL: none is listed
};

static void cells_null(struct output *out, int n)
{
	for (int i = 0; i < n; i++)
		output_cell(out, NULL);
}

// Of one account where one is asked for; what could not be read may be of any.
static void on_refused(void *ctx, struct span account, const struct topic_record *r, const struct account_fault *fault)
{
	struct listing *l = ctx;
	if (account.p != NULL && l->tool->n_words > 0 && !span_is(account, l->tool->words[0]))
		return;
	if (l->n_refused == l->room) {
		l->room = l->room * 2 + 16;
		l->refused = xrealloc(l->refused, l->room, sizeof(*l->refused));
	}
	char *name = account.p != NULL ? xstrndup(account.p, account.n) : NULL;
	l->refused[l->n_refused++] = (struct refusal){ name, r->partition, r->r.offset, *fault };
}

static char *services_json(const struct account_fact *f)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < f->n_services; i++)
		json_array_append_new(list, json_stringn(f->services[i].service.p, f->services[i].service.n));
	for (uint32_t i = 0; i < f->n_pack_services; i++)
		json_array_append_new(list, json_stringn(f->pack_services[i].p, f->pack_services[i].n));
	char *text = json_dumps(list, JSON_COMPACT);
	check(text != NULL);
	json_decref(list);
	return text;
}

static void list_validity(struct output *out, const struct account_thing *x)
{
	const struct account_fact *f = x->fact;
	char a[TIME_TEXT], b[TIME_TEXT], m[MONTH_TEXT];
	if (f->kind == ACCOUNT_CONTRACT) {
		output_cell(out, month_text(f->from_month, m));
		output_cell(out, f->until_month != MONTH_NONE ? month_text(f->until_month, m) : NULL);
	} else {
		output_cell(out, time_text(f->kind == ACCOUNT_PACK ? f->start_ms : f->active_ms, a));
		output_cell(out, f->kind == ACCOUNT_PACK ? time_text(f->expiry_ms, b) : NULL);
	}
	output_cell(out, x->cancelled_month != MONTH_NONE ? month_text(x->cancelled_month, m) : NULL);
}

static void list_thing(struct output *out, struct span account, const struct account_thing *x)
{
	const struct account_fact *f = x->fact;
	CLEANUP(freep) char *services = services_json(f);
	char price[MONEY_TEXT];
	output_span(out, account);
	output_cell(out, x->cancelled_month != MONTH_NONE ? "cancelled" : "holds");
	output_cell(out, account_kind_text(f));
	output_span(out, f->id);
	output_int(out, x->newest->version);
	list_validity(out, x);
	output_cell(out, f->kind == ACCOUNT_ACTIVATION ? NULL : services);
	if (f->kind == ACCOUNT_PACK)
		output_int(out, f->calls);
	else
		output_cell(out, NULL);
	output_cell(out, f->kind == ACCOUNT_PACK ? money_price_text(f->price_micro, price) : NULL);
	output_int(out, x->newest->partition);
	output_int(out, x->newest->offset);
	cells_null(out, 5);
}

// Of its first month to its last.
static void list_correction(struct output *out, struct span account, const struct correction_state *s)
{
	const struct account_fact *f = s->fact;
	char first[MONTH_TEXT], behind[MONTH_TEXT], close[MONTH_TEXT];
	output_span(out, account);
	output_cell(out, s->text);
	output_cell(out, account_kind_text(f));
	output_span(out, f->id);
	output_int(out, f->version);
	output_cell(out, month_text(f->lines[0].month, first));
	output_cell(out, month_text(f->lines[f->n_lines - 1].month + 1, behind));
	cells_null(out, 4);
	output_int(out, f->partition);
	output_int(out, f->offset);
	output_cell(out, NULL);
	output_span(out, f->reason);
	output_cell(out, s->month != MONTH_NONE ? month_text(s->month, close) : NULL);
	output_cell(out, s->why);
	output_span(out, f->question);
}

static void list_account(const struct listing *l, const struct account *a)
{
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	CLEANUP(freep) struct correction_state *corrections = xcalloc(a->n_corrections, sizeof(*corrections));
	CLEANUP(freep) struct account_thing *things = xcalloc(a->n_things, sizeof(*things));
	uint32_t n = account_as_of(a, &all, things), n_corrections = correction_states_of(l->states, a, corrections);
	for (uint32_t i = 0; i < n; i++)
		list_thing(l->out, a->name, &things[i]);
	for (uint32_t i = 0; i < n_corrections; i++)
		list_correction(l->out, a->name, &corrections[i]);
}

static void list_refusal(struct output *out, const struct refusal *r)
{
	output_cell(out, r->account);
	output_cell(out, "refused");
	cells_null(out, 9);
	output_int(out, r->partition);
	output_int(out, r->offset);
	output_cell(out, account_fault_info(r->fault.code)->code);
	output_cell(out, r->fault.detail);
	cells_null(out, 3);
}

static int by_name(const void *pa, const void *pb)
{
	const struct account *const *a = pa, *const *b = pb;
	return span_order((*a)->name, (*b)->name);
}

// Other topics are asked only where a correction is listed.
static int read_states(const struct account_tool *t, const struct account_book *book, struct listing *l)
{
	struct error e = { 0 };
	const struct account *a = t->n_words > 0 ? account_book_find(book, span_of(t->words[0])) : NULL;
	if (t->n_words > 0 ? a == NULL || a->n_corrections == 0 : account_book_corrected(book) == 0)
		return OPTIONS_GO_ON;
	if (correction_states_read(&sink_port_kafka, &t->kafka.o, READ_TIMEOUT_MS, &l->states, &e) == ERROR_NONE)
		return OPTIONS_GO_ON;
	return tool_fail(t->options.verb, &e);
}

static int list_book(const struct account_tool *t, const struct account_book *book, struct listing *l)
{
	uint32_t n = account_book_size(book);
	CLEANUP(freep) const struct account **all = xcalloc(n, sizeof(*all));
	l->out = output_begin(stdout, t->options.format, OUTPUT_MANY, list_columns, ARRAY_LEN(list_columns));
	for (uint32_t i = 0; i < n; i++)
		all[i] = account_book_at(book, i);
	qsort(all, n, sizeof(*all), by_name);
	for (uint32_t i = 0; i < n; i++)
		if (t->n_words == 0 || span_is(all[i]->name, t->words[0]))
			list_account(l, all[i]);
	for (size_t i = 0; i < l->n_refused; i++)
		list_refusal(l->out, &l->refused[i]);
	return output_end(&l->out) ? EXIT_DONE : EXIT_LATER;
}

int account_list(struct account_tool *t)
{
	CLEANUP(account_book_freep) struct account_book *book = account_book_new();
	struct listing l = { .tool = t };
	int code = account_open(t);
	if (code == OPTIONS_GO_ON)
		code = account_read_topic(t, book, on_refused, &l);
	if (code == OPTIONS_GO_ON)
		code = read_states(t, book, &l);
	if (code == OPTIONS_GO_ON)
		code = list_book(t, book, &l);
	for (size_t i = 0; i < l.n_refused; i++)
		free(l.refused[i].account);
	free(l.refused);
	correction_states_freep(&l.states);
	return code;
}
