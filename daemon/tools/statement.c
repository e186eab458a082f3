// SPDX-License-Identifier: Apache-2.0
// meterctl statement: an account's month as it was published: one line a service, what was adjusted, and the sums of the newest
// revision, which are added up again here.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/figure.h"
#include "published/statement.h"
#include "tools/published.h"
#include "tools/statement.h"
#include "tools/tools.h"

enum { PLAIN_COLUMNS = 14 }; // the rest only where a line was corrected
static const struct output_column columns[] = {
	{ "service", OUTPUT_TEXT },   { "revision", OUTPUT_NUMBER }, { "calls", OUTPUT_NUMBER },      { "free", OUTPUT_NUMBER },
	{ "packs", OUTPUT_NUMBER },   { "billable", OUTPUT_NUMBER }, { "tier", OUTPUT_NUMBER },       { "unit_price", OUTPUT_AMOUNT },
	{ "per", OUTPUT_NUMBER },     { "charge", OUTPUT_AMOUNT },   { "before", OUTPUT_AMOUNT },     { "difference", OUTPUT_AMOUNT },
	{ "unfreeze", OUTPUT_AMOUNT }, { "freeze", OUTPUT_AMOUNT },  { "corrected", OUTPUT_TEXT },  { "correction", OUTPUT_TEXT } };

static const char *text_of(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

static void cell(struct output *out, const json_t *from, const char *name)
{
	const json_t *v = json_object_get(from, name);
	if (json_is_integer(v))
		output_int(out, json_integer_value(v));
	else
		output_cell(out, json_string_value(v));
}

static void cells_null(struct output *out, int n)
{
	for (int i = 0; i < n; i++)
		output_cell(out, NULL);
}

static int64_t packs_of(const json_t *data)
{
	int64_t sum = 0;
	const json_t *packs = json_object_get(data, "packs");
	for (size_t i = 0; i < json_array_size(packs); i++)
		if (__builtin_add_overflow(sum, json_integer_value(json_object_get(json_array_get(packs, i), "calls")), &sum))
			sum = 0;
	return sum;
}

static bool is_corrected(const struct statement *s)
{
	bool found = false;
	for (size_t i = 0; i < s->n; i++)
		found = found || (s->lines[i] != NULL && (text_of(s->lines[i]->data, "corrected") != NULL || text_of(s->lines[i]->data, "correction") != NULL));
	return found;
}

static void print_line(struct output *out, const json_t *data, bool corrected)
{
	cell(out, data, "service");
	cell(out, data, "revision");
	cell(out, data, "calls");
	cell(out, data, "free");
	output_int(out, packs_of(data));
	cell(out, data, "billable");
	cell(out, data, "tier");
	cell(out, data, "unit_price");
	cell(out, data, "per");
	cell(out, data, "charge");
	cell(out, json_object_get(data, "adjusts"), "charge");
	cell(out, data, "difference");
	cell(out, data, "unfreeze");
	cell(out, data, "freeze");
	if (corrected) {
		cell(out, data, "corrected");
		cell(out, data, "correction");
	}
}

// The sums; what the revision before charged, and the difference to it.
static void print_total(struct output *out, const struct statement *s, bool corrected)
{
	int64_t now = 0, before = 0;
	char text[MONEY_TEXT];
	output_cell(out, "total");
	output_int(out, s->bill->revision);
	cells_null(out, 7);
	cell(out, s->bill->data, "charge");
	bool both = s->before != NULL && figure_fen(text_of(s->bill->data, "charge"), &now) && figure_fen(text_of(s->before->data, "charge"), &before) &&
		    !__builtin_sub_overflow(now, before, &now);
	output_cell(out, both ? text_of(s->before->data, "charge") : NULL);
	output_cell(out, both ? money_fen_text(now, text) : NULL);
	cell(out, s->bill->data, "unfreeze");
	cell(out, s->bill->data, "freeze");
	if (corrected)
		cells_null(out, 2);
}

static bool print_rows(const struct statement *s, enum output_format format, FILE *to)
{
	bool corrected = is_corrected(s);
	struct output *out = output_begin(to, format, OUTPUT_MANY, columns, corrected ? ARRAY_LEN(columns) : PLAIN_COLUMNS);
	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i] != NULL)
			print_line(out, s->lines[i]->data, corrected);
	print_total(out, s, corrected);
	return output_end(&out);
}

// What does not agree, on stderr.
static int add_up(const struct statement *s)
{
	char text[200];
	int wrong = statement_check(s, text, sizeof(text));
	if (wrong > 0)
		fprintf(stderr, "meterctl statement: %s%s\n", text, wrong > 1 ? ", and others" : "");
	return wrong;
}

int statement_print(const struct published *p, const char *account, int month, int64_t revision, enum output_format format, FILE *to)
{
	char text[MONTH_TEXT];
	const struct published_document *bill = published_find(p, account, NULL, month, revision);
	if (bill == NULL && revision >= 0 && published_find(p, account, NULL, month, -1) != NULL) {
		fprintf(stderr, "meterctl statement: %s of %.64s has no revision %" PRId64 ": the newest is %" PRId64 "\n", month_text(month, text), account,
			revision, published_find(p, account, NULL, month, -1)->revision);
		return EXIT_CONFIG_ERR;
	}
	if (bill == NULL)
		return published_missing("statement", p, account, month);
	CLEANUP(statement_free) struct statement s;
	check(statement_find(p, account, month, revision, &s));
	CLEANUP(freep) char *json = format == OUTPUT_JSON || format == OUTPUT_NDJSON ? statement_json(&s) : NULL;
	bool written = json != NULL ? fprintf(to, "%s\n", json) > 0 && fflush(to) == 0 : print_rows(&s, format, to);
	int wrong = add_up(&s);
	return wrong > 0 ? EXIT_FOUND : written ? EXIT_DONE : EXIT_LATER;
}

int tool_statement(int argc, char **argv)
{
	const char *words[2];
	bool json = false;
	int64_t revision = -1;
	int month;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	const struct option_row rows[] = {
		{ "revision", OPTION_INT, &revision, "N", "as it stood after N adjustments; the newest" },
		{ "json", OPTION_FLAG, &json, NULL, "the same as --format json" },
	};
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), words, 2, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	if (!month_parse(span_of(words[1]), &month))
		return options_usage(&o, "%.40s is no month; write it as 2020-01", words[1]);
	code = options_settings(&o);
	if (code != OPTIONS_GO_ON)
		return code;
	struct kafka_options k;
	options_kafka(&o, &k);
	CLEANUP(published_free) struct published p = published_of(words[0], month);
	code = published_read(&p, &o, &k);
	return code != OPTIONS_GO_ON ? code : statement_print(&p, words[0], month, revision, json ? OUTPUT_JSON : o.format, stdout);
}
