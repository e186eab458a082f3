// SPDX-License-Identifier: Apache-2.0
// meterctl rules: versions of the rules as the control topic has them, what the files would change, and proposing it.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "closing/closing.h"
#include "pipeline/engine.h"
#include "rules/change.h"
#include "tools/frontend.h"
#include "tools/rules_tool.h"
#include "tools/tools.h"

enum { PAUSE_MS = 200 };

static void rules_tool_close(struct rules_tool *t)
{
	rules_freep(&t->rules);
	free(t->configured);
	state_close(&t->state);
	options_close(&t->options);
}

int rules_tool_clock(struct rules_tool *t, int64_t *ret_ms)
{
	char waits[256];
	struct error e = { 0 };
	if (closing_waits(t->state.store, t->state.shards, t->state.journal, MONTH_FIRST, waits, ret_ms, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	return OPTIONS_GO_ON;
}

void rules_tool_refused(const struct rules_tool *t, const struct faults *f)
{
	for (size_t i = 0; i < f->n; i++)
		fprintf(stderr, "meterctl %s: refused: %s\n", t->options.verb, f->list[i].text);
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

// ---- list, show
const char *rules_version_state(const struct journal *j, const struct journal_rules *r, int64_t clock_max_ms, int64_t now_ms)
{
	bool wall = j->rules[j->n_rules - 1].rules->settings.clock == CLOCK_WALL;
	const struct journal_rules *now = journal_rules_at(j, wall && now_ms > clock_max_ms ? now_ms : clock_max_ms);
	return r == now ? "in force" : r->version > now->version ? "coming" : "replaced";
}

static int list(struct rules_tool *t)
{
	static const struct output_column columns[] = { { "version", OUTPUT_NUMBER }, { "state", OUTPUT_TEXT },	 { "effective", OUTPUT_TEXT },
							{ "local", OUTPUT_TEXT },     { "written", OUTPUT_TEXT }, { "catalog", OUTPUT_TEXT },
							{ "sha256", OUTPUT_TEXT } };
	const struct journal *j = t->state.journal;
	int64_t clock_ms = TIME_NONE;
	int code = rules_tool_clock(t, &clock_ms);
	if (code != OPTIONS_GO_ON)
		return code;
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < j->n_rules; i++) {
		const struct journal_rules *r = &j->rules[i];
		bool dated = r->effective_ms != TIME_NONE;
		char utc[TIME_TEXT];
		output_int(out, r->version);
		output_cell(out, rules_version_state(j, r, clock_ms, clock_wall_ms()));
		output_cell(out, dated ? time_text(r->effective_ms, utc) : NULL);
		output_cell(out, dated ? time_local_text(catalog_zone(r->rules->catalog), r->effective_ms, utc) : NULL);
		output_cell(out, r->written_ms != TIME_NONE ? time_text(r->written_ms, utc) : NULL);
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

static int read_again(struct rules_tool *t)
{
	struct error e = { 0 };
	struct journal *fresh = NULL;
	if (journal_load(&t->state.kafka, RULES_TIMEOUT_MS, &fresh, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	journal_freep(&t->state.journal);
	t->state.journal = fresh;
	return OPTIONS_GO_ON;
}

// What was decided since the proposal may stand in its way: other rules, or a month that is settled now.
static bool refused_meanwhile(const struct rules_tool *t)
{
	struct faults faults = { 0 };
	bool may = rules_may_follow(rules_tool_newest(t)->rules, t->rules, rules_tool_settled(t), &faults);
	rules_tool_refused(t, &faults);
	faults_free(&faults);
	return !may;
}

// Until the control topic has it: the closer of the running daemon decides.
static int wait_decided(struct rules_tool *t)
{
	int64_t until_us = clock_mono_us() + t->timeout_s * 1000000, was = rules_tool_newest(t)->version;
	for (;;) {
		int code = read_again(t);
		if (code != OPTIONS_GO_ON)
			return code;
		for (uint32_t i = 0; i < t->state.journal->n_rules; i++) {
			const struct journal_rules *r = &t->state.journal->rules[i];
			if (r->version > was && strcmp(r->rules->sha256, t->rules->sha256) == 0)
				return tell_version(r, "is decided");
		}
		if (refused_meanwhile(t))
			return EXIT_CONFIG_ERR;
		if (clock_mono_us() >= until_us)
			break;
		clock_sleep_ms(PAUSE_MS);
	}
	fprintf(stderr, "meterctl %s: proposed, and not decided after %lld s: is meterd running, and can it reach Kafka? The proposal is kept: a running "
		"meterd takes it as soon as it can, otherwise the next start does; where it refuses it, its log says why (event=rules_refused)\n",
		t->options.verb, (long long)t->timeout_s);
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
	rules_tool_refused(t, &faults);
	faults_free(&faults);
	if (cls != ERROR_NONE)
		return options_fail(&t->options, &e);
	if (answer == RULES_REFUSED)
		return EXIT_CONFIG_ERR;
	int code = answer == RULES_NEWEST ? read_again(t) : wait_decided(t);
	if (code == OPTIONS_GO_ON)
		code = tell_version(rules_tool_newest(t), "has these rules already");
	if (t->configured != NULL && code == EXIT_DONE)
		warn_other_file(t, t->configured);
	return code;
}

// ---- the command line
static const char manual[] =
	"\nParts\n"
	"  apply [FILE]    proposes the rules of the configuration, with the price book FILE instead of its own where one is given; waits until\n"
	"                  the running daemon has decided them. Exit 78 with all reasons where they may not follow, 75 after --timeout\n"
	"  diff [FILE]     what that would change: from which month or record clock on; for how many accounts with calls in open months, and\n"
	"                  whose contract decides instead; which alerts would be due at once (of packs and shared free calls they are not\n"
	"                  foreseen; one that was out under an older version is listed, and not repeated). Exit 0 nothing, 1 something, 78\n"
	"                  where they may not follow: rows `refused` say why, all of it\n"
	"  list            every version: from which record clock on it holds, when it was written, and which is in force\n"
	"  show VERSION    the price book of a version, byte for byte\n";

static int run_part(struct rules_tool *t, const char *part, const char *word)
{
	static const char *const parts[] = { "apply", "diff", "list", "show", NULL };
	bool files = strcmp(part, "apply") == 0 || strcmp(part, "diff") == 0;
	int code = options_word(&t->options, "part", part, parts);
	if (code != OPTIONS_GO_ON)
		return code;
	if (strcmp(part, "show") == 0 && word == NULL)
		return options_usage(&t->options, "show: which version? `meterctl rules list` shows them");
	if (strcmp(part, "list") == 0 && word != NULL)
		return options_usage(&t->options, "list: \"%.64s\" is one argument too many", word);
	code = state_open(&t->state, &t->options);
	if (code == OPTIONS_GO_ON && files)
		code = read_files(t, word);
	if (code != OPTIONS_GO_ON)
		return code;
	return strcmp(part, "apply") == 0 ? apply(t) : strcmp(part, "diff") == 0 ? rules_diff(t) : strcmp(part, "list") == 0 ? list(t) : show(t, word);
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
