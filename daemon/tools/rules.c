// SPDX-License-Identifier: Apache-2.0
// meterctl rules: versions of the rules as the control topic has them, what the files would change, and proposing it.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "closing/closing.h"
#include "pipeline/engine.h"
#include "rules/change.h"
#include "rules/differ.h"
#include "terms/terms.h"
#include "tools/frontend.h"
#include "tools/state.h"
#include "tools/tools.h"

enum { TIMEOUT_MS = 10000, PAUSE_MS = 200, SAMPLE = 3, SAMPLE_TEXT = 240 };

struct rules_tool {
	struct options options;
	struct state state;
	struct rules *rules;     // of the files
	char *configured;        // the configuration's price book, where another one was named
	int64_t timeout_s;
	int64_t clock_ms;        // the highest record clock; TIME_NONE: none yet
	struct accounts_feed *feed;
	struct state_counters counters;
};

static void rules_tool_close(struct rules_tool *t)
{
	rules_freep(&t->rules);
	free(t->configured);
	accounts_feed_freep(&t->feed);
	state_counters_free(&t->counters);
	state_close(&t->state);
	options_close(&t->options);
}

static int read_clock(struct rules_tool *t)
{
	char waits[256];
	struct error e = { 0 };
	if (closing_waits(t->state.store, t->state.shards, t->state.journal, MONTH_FIRST, waits, &t->clock_ms, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	return OPTIONS_GO_ON;
}

// The price book that is named instead of the configuration's; NULL: the configuration's.
static int read_files(struct rules_tool *t, const char *file)
{
	struct settings *s = t->options.settings;
	if (file != NULL) {
		t->configured = TAKE_PTR(s->catalog);
		s->catalog = xstrdup(file);
	}
	int code = frontend_rules(s, &t->rules);
	return code == EXIT_DONE ? OPTIONS_GO_ON : code;
}

static const struct journal_rules *newest(const struct rules_tool *t)
{
	return &t->state.journal->rules[t->state.journal->n_rules - 1];
}

static int settled_month(const struct rules_tool *t)
{
	const struct journal *j = t->state.journal;
	return j->n_manifests > 0 ? j->manifests[j->n_manifests - 1].month : MONTH_NONE;
}

// ---- list, show
static int list(struct rules_tool *t)
{
	static const struct output_column columns[] = { { "version", OUTPUT_NUMBER }, { "state", OUTPUT_TEXT }, { "effective", OUTPUT_TEXT },
							{ "catalog", OUTPUT_TEXT },    { "sha256", OUTPUT_TEXT } };
	const struct journal *j = t->state.journal;
	int code = read_clock(t);
	if (code != OPTIONS_GO_ON)
		return code;
	const struct journal_rules *now = journal_rules_at(j, t->clock_ms);
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < j->n_rules; i++) {
		const struct journal_rules *r = &j->rules[i];
		char utc[TIME_TEXT];
		output_int(out, r->version);
		output_cell(out, r == now ? "in force" : r->version > now->version ? "coming" : "replaced");
		output_cell(out, r->effective_ms != TIME_NONE ? time_text(r->effective_ms, utc) : NULL);
		output_cell(out, catalog_version(r->rules->catalog));
		output_cell(out, r->rules->sha256);
	}
	return output_end(&out) ? EXIT_DONE : EXIT_LATER;
}

static int show(struct rules_tool *t, const char *word)
{
	int64_t version = 0;
	const struct journal_rules *r = span_int64(span_of(word), &version) ? journal_rules_version(t->state.journal, version) : NULL;
	if (r == NULL)
		return options_usage(&t->options, "there is no version %.20s: `meterctl rules list` shows them", word);
	fputs(r->rules->catalog_text, stdout);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_LATER;
}

// ---- diff
struct touched {                 // accounts with calls that a row is about
	int64_t accounts, by_contract;
	char sample[SAMPLE_TEXT];
};

static bool row_counts(const struct rules_tool *t, const struct rules_difference *d, const struct state_counter *c)
{
	return d->month != MONTH_NONE && strcmp(c->service, d->service) == 0 && c->month >= d->month && (d->until == MONTH_NONE || c->month < d->until) &&
	       (settled_month(t) == MONTH_NONE || c->month > settled_month(t));
}

static bool has_contract(const struct rules_tool *t, const struct state_counter *c)
{
	static const struct account_horizon all = { .stamp_ms = INT64_MAX };
	CLEANUP(arena_free) struct arena arena = { 0 };
	const struct catalog *catalog = newest(t)->rules->catalog;
	const struct account *a = account_book_find(accounts_feed_book(t->feed), span_of(c->account));
	uint32_t service;
	return a != NULL && catalog_find_id(catalog, span_of(c->service), &service) &&
	       terms_make(catalog, a, &all, c->month, &arena)->services[service].contract.n > 0;
}

static struct touched find_touched(const struct rules_tool *t, const struct rules_difference *d)
{
	struct touched x = { 0 };
	const char *last = NULL;
	size_t at = 0;
	for (uint32_t i = 0; i < t->counters.n; i++) { // by account
		const struct state_counter *c = &t->counters.list[i];
		if (!row_counts(t, d, c) || (last != NULL && strcmp(last, c->account) == 0))
			continue;
		last = c->account;
		x.accounts++;
		x.by_contract += has_contract(t, c);
		if (x.accounts <= SAMPLE && at < sizeof(x.sample))
			at += (size_t)snprintf(x.sample + at, sizeof(x.sample) - at, "%s%s", at > 0 ? ", " : "", c->account);
	}
	return x;
}

static int gather(struct rules_tool *t)
{
	struct error e = { 0 };
	int code = state_counters(&t->state, MONTH_NONE, NULL, &t->counters);
	if (code != OPTIONS_GO_ON)
		return code;
	t->feed = accounts_feed_new();
	if (accounts_feed_refresh(t->feed, &sink_port_kafka, &t->state.kafka, TIMEOUT_MS, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	return OPTIONS_GO_ON;
}

static void print_row(struct output *out, const struct rules_tool *t, const struct rules_difference *d)
{
	char month[MONTH_TEXT];
	struct touched x = find_touched(t, d);
	output_cell(out, d->what);
	output_cell(out, d->service);
	output_cell(out, d->month == MONTH_NONE ? NULL : month_text(d->month, month));
	output_cell(out, d->until == MONTH_NONE ? NULL : month_text(d->until, month));
	output_cell(out, d->before);
	output_cell(out, d->after);
	output_int(out, x.accounts);
	output_int(out, x.by_contract);
	output_cell(out, x.sample[0] != '\0' ? x.sample : NULL);
}

static void tell_faults(const struct rules_tool *t, const struct faults *f)
{
	for (size_t i = 0; i < f->n; i++)
		fprintf(stderr, "meterctl %s: refused: %s\n", t->options.verb, f->list[i].text);
}

static int diff(struct rules_tool *t)
{
	static const struct output_column columns[] = {
		{ "what", OUTPUT_TEXT },   { "service", OUTPUT_TEXT }, { "from", OUTPUT_TEXT },       { "until", OUTPUT_TEXT },     { "before", OUTPUT_TEXT },
		{ "after", OUTPUT_TEXT },  { "accounts", OUTPUT_NUMBER }, { "by_contract", OUTPUT_NUMBER }, { "sample", OUTPUT_TEXT },
	};
	struct faults faults = { 0 };
	struct rules_differences d;
	int settled = settled_month(t), code = gather(t);
	if (code != OPTIONS_GO_ON)
		return code;
	rules_differ(newest(t)->rules, t->rules, settled != MONTH_NONE ? settled + 1 : MONTH_FIRST, &d);
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < d.n; i++)
		print_row(out, t, &d.list[i]);
	bool written = output_end(&out), may = rules_may_follow(newest(t)->rules, t->rules, settled, &faults);
	bool same = strcmp(newest(t)->rules->sha256, t->rules->sha256) == 0;
	fflush(stdout);
	if (!same && d.n == 0)
		fprintf(stderr, "meterctl %s: nothing but the text of the price book differs (comments, layout)\n", t->options.verb);
	tell_faults(t, &faults);
	faults_free(&faults);
	rules_differences_free(&d);
	return !written ? EXIT_LATER : !may ? EXIT_CONFIG_ERR : same ? EXIT_DONE : EXIT_FOUND;
}

// ---- apply
static int tell_version(const struct journal_rules *r, const char *how)
{
	char utc[TIME_TEXT];
	printf("version %lld %s: ", (long long)r->version, how);
	if (r->effective_ms == TIME_NONE)
		printf("in force from the first record on\n");
	else
		printf("what an event is, from record clock %s on; prices, until their month is settled\n", time_text(r->effective_ms, utc));
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_LATER;
}

// Until the control topic has it: the closer of the running daemon decides.
static int wait_decided(struct rules_tool *t)
{
	int64_t until_us = clock_mono_us() + t->timeout_s * 1000000, was = newest(t)->version;
	struct error e = { 0 };
	for (;;) {
		journal_freep(&t->state.journal);
		if (journal_load(&t->state.kafka, TIMEOUT_MS, &t->state.journal, &e) != ERROR_NONE)
			return options_fail(&t->options, &e);
		for (uint32_t i = 0; i < t->state.journal->n_rules; i++) {
			const struct journal_rules *r = &t->state.journal->rules[i];
			if (r->version > was && strcmp(r->rules->sha256, t->rules->sha256) == 0)
				return tell_version(r, "is decided");
		}
		if (clock_mono_us() >= until_us)
			break;
		clock_sleep_ms(PAUSE_MS);
	}
	fprintf(stderr, "meterctl %s: proposed, and not decided after %lld s: is meterd running, and can it reach Kafka? It takes the proposal up as soon "
		"as it can; where it refuses it, its log says why (event=rules_refused)\n", t->options.verb, (long long)t->timeout_s);
	return EXIT_LATER;
}

// A file that the configuration does not name is in force until the next start or reload, and then the configuration's is proposed again.
static void warn_other_file(struct rules_tool *t, const char *configured)
{
	struct faults f = { 0 };
	CLEANUP(freep) char *named = TAKE_PTR(t->options.settings->catalog);
	t->options.settings->catalog = xstrdup(configured);
	CLEANUP(rules_freep) struct rules *own = frontend_load_rules(t->options.settings, &f);
	if (own == NULL || strcmp(own->sha256, t->rules->sha256) != 0)
		fprintf(stderr, "meterctl %s: the configuration names %s, which says something else: the next start or reload of meterd proposes that. Put %s "
			"there\n", t->options.verb, configured, named);
	faults_free(&f);
}

static int apply(struct rules_tool *t)
{
	struct faults faults = { 0 };
	struct error e = { 0 };
	struct store_options so;
	enum rules_answer answer = RULES_NEWEST;
	enum error_class cls = settings_store(t->options.settings, &so, &e);
	if (cls == ERROR_NONE)
		cls = rules_propose(&t->state.kafka, &so, t->rules, &faults, &answer, &e);
	tell_faults(t, &faults);
	faults_free(&faults);
	if (cls != ERROR_NONE)
		return options_fail(&t->options, &e);
	if (answer == RULES_REFUSED)
		return EXIT_CONFIG_ERR;
	int code = answer == RULES_NEWEST ? tell_version(newest(t), "has these rules already") : wait_decided(t);
	if (t->configured != NULL && code == EXIT_DONE)
		warn_other_file(t, t->configured);
	return code;
}

// ---- the command line
static const char manual[] =
	"\nParts\n"
	"  apply [FILE]    proposes the rules of the configuration, with the price book FILE instead of its own where one is given; waits until\n"
	"                  the running daemon has decided them. Exit 78 with all reasons where they may not follow, 75 after --timeout\n"
	"  diff [FILE]     what that would change, from which month on and for how many accounts with calls in open months. Exit 0 nothing,\n"
	"                  1 something, 78 where they may not follow\n"
	"  list            every version: from which record clock on it holds, and which is in force\n"
	"  show VERSION    the price book of a version, byte for byte\n";

static int run_part(struct rules_tool *t, const char *part, const char *word)
{
	bool files = strcmp(part, "apply") == 0 || strcmp(part, "diff") == 0;
	if (!files && strcmp(part, "list") != 0 && strcmp(part, "show") != 0)
		return options_usage(&t->options, "there is no part \"%.20s\": apply, diff, list and show are", part);
	if (strcmp(part, "show") == 0 && word == NULL)
		return options_usage(&t->options, "show: which version? `meterctl rules list` shows them");
	if (strcmp(part, "list") == 0 && word != NULL)
		return options_usage(&t->options, "list: \"%.64s\" is one argument too many", word);
	int code = state_open(&t->state, &t->options);
	if (code == OPTIONS_GO_ON && files)
		code = read_files(t, word);
	if (code != OPTIONS_GO_ON)
		return code;
	return strcmp(part, "apply") == 0 ? apply(t) : strcmp(part, "diff") == 0 ? diff(t) : strcmp(part, "list") == 0 ? list(t) : show(t, word);
}

int tool_rules(int argc, char **argv)
{
	const char *words[2] = { NULL, NULL };
	CLEANUP(rules_tool_close) struct rules_tool t = { .options = { .verb = argv[0] }, .timeout_s = 30 };
	const struct option_row rows[] = { { "timeout", OPTION_INT, &t.timeout_s, "SECONDS", "apply: how long to wait for the decision (30)" } };
	int code = options_parse(&t.options, argc, argv, rows, ARRAY_LEN(rows), words, 1, 2);
	if (code == EXIT_DONE)
		fputs(manual, stdout); // after --help
	return code == OPTIONS_GO_ON ? run_part(&t, words[0], words[1]) : code;
}
