// SPDX-License-Identifier: Apache-2.0
// meterctl statement: an account's month as it was published: one line a service, what was adjusted, and the sums of the newest
// revision, which are added up again here.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "journal/json.h"
#include "tools/figure.h"
#include "tools/published.h"
#include "tools/statement.h"
#include "tools/tools.h"

static const struct output_column columns[] = {
	{ "service", OUTPUT_TEXT },   { "revision", OUTPUT_NUMBER }, { "calls", OUTPUT_NUMBER },      { "free", OUTPUT_NUMBER },
	{ "packs", OUTPUT_NUMBER },   { "billable", OUTPUT_NUMBER }, { "tier", OUTPUT_NUMBER },       { "unit_price", OUTPUT_AMOUNT },
	{ "per", OUTPUT_NUMBER },     { "charge", OUTPUT_AMOUNT },   { "before", OUTPUT_AMOUNT },     { "difference", OUTPUT_AMOUNT },
	{ "unfreeze", OUTPUT_AMOUNT }, { "freeze", OUTPUT_AMOUNT } };

static const char *const sums[] = { "charge", "unfreeze", "freeze" };

struct statement {
	const struct published *from;
	const struct published_document *bill, *before; // before: the revision that it follows; NULL: none
	const struct published_document **lines;        // as the statement names them; NULL: not published
	size_t n;
};

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

static void print_line(struct output *out, const json_t *data)
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
}

// The sums; what the revision before charged, and the difference to it.
static void print_total(struct output *out, const struct statement *s)
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
}

static bool print_rows(const struct statement *s, enum output_format format, FILE *to)
{
	struct output *out = output_begin(to, format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i] != NULL)
			print_line(out, s->lines[i]->data);
	print_total(out, s);
	return output_end(&out);
}

static json_t *line_json(const struct published_document *d)
{
	json_t *line = json_object();
	json_put(line, "id", json_string(d->id));
	check(json_object_update(line, (json_t *)(uintptr_t)d->data) == 0);
	return line;
}

static json_t *revisions_json(const struct statement *s)
{
	json_t *list = json_array();
	for (int64_t i = 0; i <= s->bill->revision; i++) {
		const struct published_document *d = published_find(s->from, s->bill->account, NULL, s->bill->month, i);
		if (d == NULL)
			continue;
		json_t *one = json_object();
		json_put(one, "revision", json_integer(i));
		for (size_t k = 0; k < ARRAY_LEN(sums); k++)
			json_put(one, sums[k], json_string(text_of(d->data, sums[k])));
		json_array_append_new(list, one);
	}
	return list;
}

// One object: the statement's fields, with its lines whole instead of their ids.
static bool print_json(const struct statement *s, FILE *to)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "id", json_string(s->bill->id));
	check(json_object_update(j, (json_t *)(uintptr_t)s->bill->data) == 0);
	json_t *lines = json_array();
	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i] != NULL)
			json_array_append_new(lines, line_json(s->lines[i]));
	json_put(j, "lines", lines);
	json_put(j, "revisions", revisions_json(s));
	CLEANUP(freep) char *text = json_compact(j);
	return fprintf(to, "%s\n", text) > 0 && fflush(to) == 0;
}

// What does not agree, on stderr; their number.
static int add_up(const struct statement *s)
{
	int wrong = 0;
	for (size_t i = 0; i < s->n; i++) {
		const char *id = json_string_value(json_array_get(json_object_get(s->bill->data, "lines"), i));
		if (s->lines[i] != NULL)
			continue;
		fprintf(stderr, "meterctl statement: line %.40s of revision %" PRId64 " is not published\n", id != NULL ? id : "without id", s->bill->revision);
		wrong++;
	}
	for (size_t k = 0; k < ARRAY_LEN(sums) && wrong == 0; k++) {
		int64_t sum = 0, one, says;
		char text[MONEY_TEXT];
		bool good = figure_fen(text_of(s->bill->data, sums[k]), &says);
		for (size_t i = 0; i < s->n && good; i++)
			good = figure_fen(text_of(s->lines[i]->data, sums[k]), &one) && !__builtin_add_overflow(sum, one, &sum);
		if (good && sum == says)
			continue;
		fprintf(stderr, "meterctl statement: the lines' %s is %s together, but the statement says %.40s\n", sums[k],
			good ? money_fen_text(sum, text) : "unreadable", text_of(s->bill->data, sums[k]) != NULL ? text_of(s->bill->data, sums[k]) : "nothing");
		wrong++;
	}
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
	const json_t *ids = json_object_get(bill->data, "lines");
	struct statement s = { p, bill, bill->revision > 0 ? published_find(p, account, NULL, month, bill->revision - 1) : NULL, NULL, json_array_size(ids) };
	CLEANUP(freep) const struct published_document **lines = xcalloc(s.n + 1, sizeof(*lines));
	s.lines = lines;
	for (size_t i = 0; i < s.n; i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		lines[i] = id != NULL ? published_by_id(p, id) : NULL;
	}
	bool written = format == OUTPUT_JSON || format == OUTPUT_NDJSON ? print_json(&s, to) : print_rows(&s, format, to);
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
