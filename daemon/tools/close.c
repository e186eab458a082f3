// SPDX-License-Identifier: Apache-2.0
// meterctl close: says what a month waits for, and asks the running daemon to close it as soon as its record clocks allow: the
// daemon then puts ticks into silent partitions at once. It never closes a month itself.
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "closing/closing.h"
#include "tools/state.h"
#include "tools/options.h"
#include "tools/tools.h"

struct close {
	struct options options;
	struct state state;
	const char *period;
	int month;
	bool dry_run;
};

static void close_free(struct close *t)
{
	state_close(&t->state);
	options_close(&t->options);
}

static int parse_args(struct close *t, int argc, char **argv)
{
	const struct option_row rows[] = { { "dry-run", OPTION_FLAG, &t->dry_run, NULL, "only say what the month waits for and what would be done" } };
	int code = options_parse(&t->options, argc, argv, rows, ARRAY_LEN(rows), &t->period, 1, 1);
	if (code == OPTIONS_GO_ON && !month_parse(span_of(t->period), &t->month))
		return options_usage(&t->options, "%.20s is no month; write it as 2020-01", t->period);
	return code;
}

static int finished(struct close *t, bool *ret, struct error *e)
{
	*ret = journal_manifest(t->state.journal, t->month) != NULL;
	for (uint32_t shard = 0; shard < t->state.journal->shards && *ret; shard++)
		if (t->state.store->ops->finished(t->state.store, shard, t->month, ret, e) != ERROR_NONE)
			return options_fail(&t->options, e);
	return EXIT_DONE;
}

static int ask(struct close *t, struct error *e)
{
	CLEANUP(freep) char *request = xasprintf("{\"kind\":\"close\",\"period\":\"%s\"}", t->period);
	if (t->state.store->ops->request_put(t->state.store, span_of(request), e) != ERROR_NONE)
		return options_fail(&t->options, e);
	fprintf(stderr, "asked the running daemon to close %s\n", t->period);
	return EXIT_DONE;
}

// The month whose close must have passed before this one can: itself, or a later one while it is not certain with which month closing
// begins (closing.h). *ret_first: with which it began or would begin; MONTH_NONE: nothing is counted yet.
static int month_needed(struct close *t, int *ret_needed, int *ret_first, struct error *e)
{
	const struct journal *j = t->state.journal;
	int certain = MONTH_NONE;
	*ret_first = MONTH_NONE;
	if (j->n_manifests > 0)
		*ret_first = certain = j->manifests[0].month;
	else if (closing_first_month(t->state.store, j->shards, ret_first, &certain, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	*ret_needed = certain > t->month ? certain : t->month;
	return EXIT_DONE;
}

static int too_early(const struct close *t, enum clock_mode clock, int64_t close_ms, int64_t now_ms)
{
	char at[TIME_TEXT], now[TIME_TEXT];
	time_text(close_ms, at);
	if (clock == CLOCK_WALL)
		fprintf(stderr, "meterctl close: %s closes at %s, its end and close.grace; ask again then\n", t->period, at);
	else
		fprintf(stderr, "meterctl close: %s closes at %s by the record clock, its end and close.grace; the newest record read is of %s. "
			"Ask again when later ones have come\n", t->period, at, now_ms != TIME_NONE ? time_text(now_ms, now) : "never");
	return EXIT_LATER;
}

// It is not closed yet: can it be?
static int close_or_wait(struct close *t, struct error *e)
{
	char waits[256] = "";
	const struct journal *j = t->state.journal;
	const struct rules *rules = j->rules[j->n_rules - 1].rules;
	int needed = t->month, first = MONTH_NONE, code = month_needed(t, &needed, &first, e);
	int64_t newest_ms = TIME_NONE;
	if (code != EXIT_DONE)
		return code;
	if (t->month < first) {
		char text[MONTH_TEXT];
		printf("%s has nothing to close: the first month with calls is %s\n", t->period, month_text(first, text));
		return EXIT_DONE;
	}
	if (closing_waits(t->state.store, j->shards, j, needed, waits, &newest_ms, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	enum clock_mode clock = rules->settings.clock;
	int64_t close_ms = rules_close_ms(rules, needed), now_ms = clock == CLOCK_WALL ? clock_wall_ms() : newest_ms;
	if (journal_manifest(j, t->month) == NULL && now_ms < close_ms)
		return too_early(t, clock, close_ms, now_ms);
	printf("%s waits for %s\n", t->period, waits[0] != '\0' ? waits : "its settlements to be made");
	fflush(stdout); // before the words that follow, also in one file
	if (!t->dry_run)
		return ask(t, e);
	fprintf(stderr, "would ask the running daemon to close %s; nothing was done\n", t->period);
	return EXIT_DONE;
}

static int run(struct close *t, struct error *e)
{
	bool done = false;
	int code = state_open(&t->state, &t->options);
	if (code == OPTIONS_GO_ON)
		code = finished(t, &done, e);
	if (code != EXIT_DONE)
		return code;
	if (!done)
		return close_or_wait(t, e);
	printf("%s is closed\n", t->period);
	return EXIT_DONE;
}

int tool_close(int argc, char **argv)
{
	CLEANUP(close_free) struct close t = { .options = { .verb = argv[0] } };
	struct error e = { 0 };
	int code = parse_args(&t, argc, argv);
	return code == OPTIONS_GO_ON ? run(&t, &e) : code;
}
