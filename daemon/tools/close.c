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
	const struct option_row rows[] = { { "dry-run", OPTION_FLAG, &t->dry_run, NULL, "only say what the month waits for" } };
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

static int run(struct close *t, struct error *e)
{
	char waits[256] = "", time[TIME_TEXT];
	bool done = false;
	int code = state_open(&t->state, &t->options);
	if (code == OPTIONS_GO_ON)
		code = finished(t, &done, e);
	if (code != EXIT_DONE)
		return code;
	if (done) {
		printf("%s is closed\n", t->period);
		return EXIT_DONE;
	}
	const struct rules *rules = t->state.journal->rules[t->state.journal->n_rules - 1].rules;
	int64_t close_ms = rules_close_ms(rules, t->month);
	if (rules->settings.clock == CLOCK_WALL && clock_wall_ms() < close_ms) {
		fprintf(stderr, "meterctl close: %s closes at %s, its end and close.grace\n", t->period, time_text(close_ms, time));
		return EXIT_LATER;
	}
	if (closing_waits(t->state.store, t->state.journal->shards, t->state.journal, t->month, waits, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	printf("%s waits for %s\n", t->period, waits[0] != '\0' ? waits : "its settlements to be made");
	return t->dry_run ? EXIT_DONE : ask(t, e);
}

int tool_close(int argc, char **argv)
{
	CLEANUP(close_free) struct close t = { .options = { .verb = argv[0] } };
	struct error e = { 0 };
	int code = parse_args(&t, argc, argv);
	return code == OPTIONS_GO_ON ? run(&t, &e) : code;
}
