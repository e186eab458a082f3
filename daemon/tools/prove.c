// SPDX-License-Identifier: Apache-2.0
// meterctl prove: settlements derived again from Kafka alone, and where they differ from what was published.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proof/proof.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/tools.h"

enum { READ_TIMEOUT_MS = 30000 };

struct prover {
	const char *period, *account;
	int month;
	struct options *o;
};

static void show_progress(void *ctx, uint64_t read, uint64_t all)
{
	progress_show(ctx, read, all);
}

static bool print_differences(const struct prover *x, const struct proof *p)
{
	static const struct output_column columns[] = {
		{ "finding", OUTPUT_TEXT }, { "period", OUTPUT_TEXT },    { "account", OUTPUT_TEXT }, { "service", OUTPUT_TEXT },
		{ "id", OUTPUT_TEXT },      { "field", OUTPUT_TEXT },     { "published", OUTPUT_TEXT }, { "derived", OUTPUT_TEXT },
	};
	const struct proof_difference *list;
	uint32_t n = proof_differences(p, &list);
	struct output *out = output_begin(stdout, x->o->format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < n; i++) {
		const struct proof_difference *d = &list[i];
		output_cell(out, proof_kind_text(d->kind));
		output_cell(out, d->period);
		output_cell(out, d->account);
		output_cell(out, d->service);
		output_cell(out, d->id[0] != '\0' ? d->id : NULL);
		output_cell(out, d->field);
		output_cell(out, d->published);
		output_cell(out, d->derived);
	}
	return output_end(&out);
}

static int verdict(const struct prover *x, const struct proof *p)
{
	const struct proof_difference *list;
	uint32_t n = proof_differences(p, &list);
	struct proof_numbers k;
	char first[MONTH_TEXT], last[MONTH_TEXT];
	proof_numbers(p, &k);
	month_text(k.first_month, first);
	month_text(k.last_month, last);
	if ((n > 0 || x->o->format != OUTPUT_TABLE) && !print_differences(x, p))
		return EXIT_LATER;
	fflush(stdout);
	fprintf(stderr, "meterctl prove: %" PRIu64 " document%s proved, byte for byte; %" PRIu32 " finding%s. Read %" PRIu64 " records of %" PRIu32
		" partitions, %" PRIu64 " of them with calls; settled %s to %s again\n", k.proved, k.proved == 1 ? "" : "s", n, n == 1 ? "" : "s",
		k.records, k.partitions, k.events, first, last);
	return n > 0 ? EXIT_FOUND : EXIT_DONE;
}

static bool is_id(const char *s)
{
	return strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32;
}

int tool_prove(int argc, char **argv)
{
	const char *word = NULL;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	struct prover x = { .o = &o, .month = MONTH_NONE };
	const struct option_row rows[] = {
		{ "account", OPTION_TEXT, &x.account, "A", "documents of this account only" },
		{ "period", OPTION_TEXT, &x.period, "YYYY-MM", "what was published when this month was closed" },
	};
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), &word, 0, 1);
	if (code != OPTIONS_GO_ON)
		return code;
	if (word != NULL && !is_id(word))
		return options_usage(&o, "%.64s is no id of a settlement or statement: 32 hexadecimal digits, as `meterctl settlements --format ndjson` shows them",
				     word);
	if (word != NULL && x.period != NULL)
		return options_usage(&o, "an id and --period exclude each other");
	if (x.period != NULL && !month_parse(span_of(x.period), &x.month))
		return options_usage(&o, "--period %s is no month; write it as 2020-01", x.period);
	code = options_settings(&o);
	if (code != OPTIONS_GO_ON)
		return code;
	struct kafka_options k;
	options_kafka(&o, &k);
	struct progress shown;
	struct proof_options po = { .kafka = &k, .timeout_ms = READ_TIMEOUT_MS, .id = word, .account = x.account, .month = x.month,
				    .ctx = &shown, .progress = show_progress };
	CLEANUP(proof_freep) struct proof *p = NULL;
	struct error e = { 0 };
	progress_begin(&shown, o.verb, "records read");
	enum error_class c = proof_run(&po, &p, &e);
	progress_end(&shown);
	return c != ERROR_NONE ? options_fail(&o, &e) : verdict(&x, p);
}
