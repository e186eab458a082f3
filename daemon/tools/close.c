// SPDX-License-Identifier: Apache-2.0
// meterctl close: says what a month waits for, and asks the running daemon to close it as soon as its record clocks allow: the
// daemon then puts ticks into silent partitions at once. It never closes a month itself.
#include <getopt.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "closing/closing.h"
#include "settings/settings.h"
#include "tools/kafka_args.h"
#include "tools/tools.h"

enum { CALL_TIMEOUT_MS = 15000 };

static const char usage[] =
	"usage: meterctl close PERIOD --config FILE [--dry-run]\n"
	"  PERIOD     a month, such as 2020-01\n"
	"  --dry-run  only say what the month waits for\n";

struct close {
	struct kafka_args kafka;
	const char *period;
	int month;
	bool dry_run;
	struct store_options store_options;
	struct store *store;
	struct journal *journal;
};

static void close_free(struct close *t)
{
	if (t->store != NULL)
		t->store->ops->close(t->store);
	journal_freep(&t->journal);
	kafka_args_close(&t->kafka);
}

static bool parse_args(struct close *t, int argc, char **argv)
{
	static const struct option options[] = { { "config", 1, NULL, 'c' }, { "dry-run", 0, NULL, 'd' }, { NULL, 0, NULL, 0 } };
	int opt;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return false;
		if (opt == 'c')
			t->kafka.config = optarg;
		t->dry_run = t->dry_run || opt == 'd';
	}
	if (optind + 1 != argc || t->kafka.config == NULL)
		return false;
	t->period = argv[optind];
	return month_parse(span_of(t->period), &t->month);
}

static int open_all(struct close *t, struct error *e)
{
	int code = kafka_args_open(&t->kafka, "close");
	if (code != EXIT_DONE)
		return code;
	if (settings_store(t->kafka.settings, &t->store_options, e) != ERROR_NONE ||
	    store_redis_open(&t->store_options, &t->store, e) != ERROR_NONE || t->store->ops->verify(t->store, e) != ERROR_NONE ||
	    journal_load(&t->kafka.o, CALL_TIMEOUT_MS, &t->journal, e) != ERROR_NONE)
		return tool_fail("close", e);
	if (t->journal->init_id[0] != '\0' && t->journal->n_rules > 0) {
		t->store->ops->identity(t->store, t->journal->init_id, t->journal->generation);
		return EXIT_DONE;
	}
	fprintf(stderr, "meterctl close: there is no state yet; run `meterctl init`\n");
	return EXIT_CONFIG_ERR;
}

static int finished(struct close *t, bool *ret, struct error *e)
{
	*ret = journal_manifest(t->journal, t->month) != NULL;
	for (uint32_t shard = 0; shard < t->journal->shards && *ret; shard++)
		if (t->store->ops->finished(t->store, shard, t->month, ret, e) != ERROR_NONE)
			return tool_fail("close", e);
	return EXIT_DONE;
}

static int ask(struct close *t, struct error *e)
{
	CLEANUP(freep) char *request = xasprintf("{\"kind\":\"close\",\"period\":\"%s\"}", t->period);
	if (t->store->ops->request_put(t->store, span_of(request), e) != ERROR_NONE)
		return tool_fail("close", e);
	fprintf(stderr, "asked the running daemon to close %s\n", t->period);
	return EXIT_DONE;
}

static int run(struct close *t, struct error *e)
{
	char waits[256] = "", time[TIME_TEXT];
	bool done = false;
	int code = open_all(t, e);
	if (code == EXIT_DONE)
		code = finished(t, &done, e);
	if (code != EXIT_DONE)
		return code;
	if (done) {
		printf("%s is closed\n", t->period);
		return EXIT_DONE;
	}
	const struct rules *rules = t->journal->rules[t->journal->n_rules - 1].rules;
	int64_t close_ms = rules_close_ms(rules, t->month);
	if (rules->settings.clock == CLOCK_WALL && clock_wall_ms() < close_ms) {
		fprintf(stderr, "meterctl close: %s closes at %s, its end and close.grace\n", t->period, time_text(close_ms, time));
		return EXIT_LATER;
	}
	if (closing_waits(t->store, t->journal->shards, t->journal, t->month, waits, e) != ERROR_NONE)
		return tool_fail("close", e);
	printf("%s waits for %s\n", t->period, waits[0] != '\0' ? waits : "its settlements to be made");
	return t->dry_run ? EXIT_DONE : ask(t, e);
}

int tool_close(int argc, char **argv)
{
	CLEANUP(close_free) struct close t = { 0 };
	struct error e = { 0 };
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0 ? EXIT_DEFECT : EXIT_DONE;
	if (parse_args(&t, argc, argv))
		return run(&t, &e);
	fputs(usage, stderr);
	return EXIT_USAGE_ERR;
}
