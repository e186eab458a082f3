// SPDX-License-Identifier: Apache-2.0
// meterctl alerts and meterctl settlements: what is out, as every read_committed reader sees it, one line each.
//
// Partitions are read side by side, so lines of different accounts come in no fixed order; those of one account keep theirs.
// ndjson and json print the values as they are; the other forms pick the fields that a person looks for.
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "period/period.h"
#include "sink/sink.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/stop.h"
#include "tools/terminal.h"
#include "tools/tools.h"

// Long enough for Kafka to abort what a relay left open when it died (15 s, looked at every 10 s).
enum { READ_TIMEOUT_MS = 30000, COLUMNS = 8, CELL_TEXT = 200 };

struct column {
	const char *field; // of data; "^type", "^time": of the envelope
	int width;         // in a table that grows (--follow); negative: to the left
	int from;          // there on terminals at least so wide, and wherever it is no terminal
};

struct printer {
	const struct options *o;
	const char *account, *kind, *period;
	int64_t from_ms;
	bool follow;
	const struct column *columns;
	const struct output_column *titles;
	struct output *out; // csv, and the table that is printed at the end
	int64_t lines, unreadable;
	uint64_t read;
	struct progress progress; // of what is printed at the end
	bool colours;
	int columns_there;        // INT_MAX where it is no terminal
};

static const struct column alert_columns[COLUMNS] = {
	{ "^time", -24, 0 },    { "^type", -20, 0 },       { "account", -14, 0 },       { "service", -20, 0 },
	{ "period", -7, 93 },   { "threshold", 11, 106 },  { "calls_after", 11, 119 },  { "bill_after", 12, 133 },
};
static const struct output_column alert_titles[COLUMNS] = {
	{ "time", OUTPUT_TEXT },   { "kind", OUTPUT_TEXT },        { "account", OUTPUT_TEXT }, { "service", OUTPUT_TEXT },
	{ "period", OUTPUT_TEXT }, { "threshold", OUTPUT_NUMBER }, { "calls", OUTPUT_NUMBER }, { "bill", OUTPUT_AMOUNT },
};
static const struct column settlement_columns[COLUMNS] = {
	{ "period", -7, 0 },    { "^type", -13, 0 },  { "account", -14, 0 },  { "service", -20, 0 },
	{ "revision", 8, 100 }, { "calls", 12, 114 }, { "charge", 14, 0 },    { "freeze", 14, 130 },
};
static const struct output_column settlement_titles[COLUMNS] = {
	{ "period", OUTPUT_TEXT },     { "kind", OUTPUT_TEXT },    { "account", OUTPUT_TEXT },  { "service", OUTPUT_TEXT },
	{ "revision", OUTPUT_NUMBER }, { "calls", OUTPUT_NUMBER }, { "charge", OUTPUT_AMOUNT }, { "freeze", OUTPUT_AMOUNT },
};

// "meterd.tier.crossed.v1" -> "tier.crossed"
static struct span kind_of(const char *type)
{
	struct span s = span_of(type);
	if (s.n > 7 && strncmp(s.p, "meterd.", 7) == 0)
		s = (struct span){ s.p + 7, s.n - 7 };
	if (s.n > 3 && memcmp(s.p + s.n - 3, ".v1", 3) == 0)
		s.n -= 3;
	return s;
}

static void cell_text(const json_t *envelope, const char *field, char *buf, size_t size)
{
	const json_t *v = field[0] == '^' ? json_object_get(envelope, field + 1) : json_object_get(json_object_get(envelope, "data"), field);
	buf[0] = '\0';
	if (json_is_integer(v)) {
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else if (json_is_string(v)) {
		struct span s = strcmp(field, "^type") == 0 ? kind_of(json_string_value(v)) : span_of(json_string_value(v));
		snprintf(buf, size, "%.*s", (int)s.n, s.p);
	}
}

static const char *colour_of(const struct column *c, const char *text)
{
	if (strcmp(c->field, "^type") != 0)
		return NULL;
	return strstr(text, "exhausted") != NULL ? "\033[1;31m" : strstr(text, "warning") != NULL ? "\033[33m" :
	       strstr(text, "crossed") != NULL ? "\033[36m" : NULL;
}

static int cell_width(const struct printer *p, const struct column *c)
{
	if (strcmp(c->field, "^time") == 0 && p->columns_there != INT_MAX)
		return 19; // a person reads seconds
	return c->width < 0 ? -c->width : c->width;
}

// *spare: columns of the window that no cell of the line needs; one that is longer than its width takes of them, and is cut where they end.
static void print_cell(const struct printer *p, const struct column *c, char text[CELL_TEXT], int *spare, bool head, bool first)
{
	int width = cell_width(p, c);
	if (strcmp(c->field, "^time") == 0 && p->columns_there != INT_MAX)
		text[strnlen(text, (size_t)width)] = '\0';
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?'; // no escape sequences of others on a terminal
	if (p->columns_there != INT_MAX)
		terminal_cut(text, CELL_TEXT, width + *spare);
	*spare -= terminal_width(text) > width ? terminal_width(text) - width : 0;
	const char *colour = !p->colours ? NULL : head ? "\033[1m" : colour_of(c, text);
	int blanks = width - terminal_width(text);
	printf("%s%*s%s%s%s%*s", first ? "" : "  ", c->width > 0 && blanks > 0 ? blanks : 0, "", colour != NULL ? colour : "", text,
	       colour != NULL ? "\033[0m" : "", c->width < 0 && blanks > 0 ? blanks : 0, "");
}

// A line of the table that grows: fixed widths, since what comes is not known.
static void print_line(const struct printer *p, const json_t *envelope)
{
	int spare = p->columns_there;
	for (int i = 0; i < COLUMNS; i++)
		if (p->columns[i].from <= p->columns_there)
			spare -= cell_width(p, &p->columns[i]) + (i > 0 ? 2 : 0);
	spare = spare > 0 ? spare : 0;
	for (int i = 0; i < COLUMNS; i++) {
		char text[CELL_TEXT];
		if (p->columns[i].from > p->columns_there)
			continue;
		if (envelope == NULL)
			snprintf(text, sizeof(text), "%s", p->titles[i].name);
		else
			cell_text(envelope, p->columns[i].field, text, sizeof(text));
		print_cell(p, &p->columns[i], text, &spare, envelope == NULL, i == 0);
	}
	putchar('\n');
}

static void print_row(struct printer *p, const json_t *envelope)
{
	for (int i = 0; i < COLUMNS; i++) {
		char text[200];
		cell_text(envelope, p->columns[i].field, text, sizeof(text));
		output_cell(p->out, text[0] != '\0' ? text : NULL);
	}
}

static void print_record(struct printer *p, const struct record *r, const json_t *envelope)
{
	if (p->out != NULL) {
		print_row(p, envelope);
	} else if (p->o->format == OUTPUT_TABLE) {
		if (p->lines == 0)
			print_line(p, NULL);
		print_line(p, envelope);
	} else {
		if (p->o->format == OUTPUT_JSON)
			fputs(p->lines == 0 ? "[\n" : ",\n", stdout);
		if (memchr(r->value.p, '\n', r->value.n) == NULL)
			fwrite(r->value.p, 1, r->value.n, stdout);
		else
			json_dumpf(envelope, stdout, JSON_COMPACT); // not written by meterd; a line stays a line
		if (p->o->format == OUTPUT_NDJSON)
			putchar('\n');
	}
	p->lines++;
}

static bool wanted(const struct printer *p, const struct record *r, const json_t *envelope)
{
	const char *type = json_string_value(json_object_get(envelope, "type"));
	const json_t *data = json_object_get(envelope, "data");
	const char *account = json_string_value(json_object_get(data, "account")), *period = json_string_value(json_object_get(data, "period"));
	if (p->kind != NULL && (type == NULL || !span_is(kind_of(type), p->kind)))
		return false;
	if (p->account != NULL && (account == NULL || strcmp(account, p->account) != 0))
		return false;
	if (p->period != NULL && (period == NULL || strcmp(period, p->period) != 0))
		return false;
	return p->from_ms == TIME_NONE || r->timestamp_ms >= p->from_ms; // the embedded broker cannot search by time
}

static bool on_record(void *ctx, const struct topic_record *t)
{
	struct printer *p = ctx;
	if (t == NULL) {
		fflush(stdout);
		return !stop_wait(0);
	}
	p->read++;
	if (p->out != NULL && !p->follow && p->o->format == OUTPUT_TABLE)
		progress_show(&p->progress, p->read, 0);
	if (t->r.value.n == 0)
		return true;
	json_t *envelope = json_loadb(t->r.value.p, t->r.value.n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(envelope))
		p->unreadable++;
	else if (wanted(p, &t->r, envelope))
		print_record(p, &t->r, envelope);
	json_decref(envelope);
	return !ferror(stdout);
}

static void begin(struct printer *p)
{
	bool whole = p->o->format == OUTPUT_CSV || (p->o->format == OUTPUT_TABLE && !p->follow);
	if (whole)
		p->out = output_begin(stdout, p->o->format, OUTPUT_MANY, p->titles, COLUMNS);
}

static bool end(struct printer *p, const char *topic)
{
	if (p->o->format == OUTPUT_JSON)
		fputs(p->lines == 0 ? "[]\n" : "\n]\n", stdout);
	if (p->unreadable > 0)
		fprintf(stderr, "meterctl %s: %" PRId64 " records of %s are no JSON objects and were left out\n", p->o->verb,
			p->unreadable, topic);
	if (p->out != NULL)
		return output_end(&p->out);
	return fflush(stdout) == 0 && !ferror(stdout);
}

static void on_away(void *ctx, const char *why)
{
	const struct printer *p = ctx;
	fflush(stdout);
	if (why != NULL)
		fprintf(stderr, "meterctl %s: %s; waiting, this goes on by itself\n", p->o->verb, why);
	else
		fprintf(stderr, "meterctl %s: Kafka is back\n", p->o->verb);
}

static int read_topic(struct printer *p, const struct kafka_options *k, const char *topic)
{
	struct error e = { 0 };
	begin(p);
	progress_begin(&p->progress, p->o->verb, "records read");
	enum error_class c = p->follow ? topic_follow_patiently(k, topic, p->from_ms, on_record, on_away, p, &e)
				       : topic_read_back(k, topic, p->from_ms, READ_TIMEOUT_MS, on_record, p, &e);
	progress_end(&p->progress);
	bool written = end(p, topic);
	if (c != ERROR_NONE)
		return options_fail(p->o, &e);
	return written ? EXIT_DONE : EXIT_LATER;
}

// "90s", "10m", "24h", "7d": so long ago
static bool parse_ago(const char *text, int64_t *ret)
{
	static const char units[] = "smhd";
	static const int64_t unit_ms[] = { 1000, 60 * 1000, 3600 * 1000, 86400 * 1000 };
	size_t n = strlen(text);
	const char *unit = n > 1 ? strchr(units, text[n - 1]) : NULL;
	int64_t v;
	if (unit == NULL || !span_int64((struct span){ text, n - 1 }, &v) || v < 0 || v > 1000000000)
		return false;
	*ret = clock_wall_ms() - v * unit_ms[unit - units];
	return true;
}

// A month means its beginning in UTC here: this verb does not read the price book, whose zone decides elsewhere.
static bool parse_from(const char *text, int64_t *ret)
{
	int month;
	if (text == NULL || parse_ago(text, ret))
		return true;
	if (strcmp(text, "now") == 0) {
		*ret = clock_wall_ms();
		return true;
	}
	if (!month_parse(span_of(text), &month))
		return time_parse_rfc3339(span_of(text), ret);
	char rfc[64];
	snprintf(rfc, sizeof(rfc), "%s-01T00:00:00Z", text);
	return time_parse_rfc3339(span_of(rfc), ret);
}

static const char *const alert_kinds[] = {
#define ALERT(id, name, help) name,
#include "tbl/alert.def"
#undef ALERT
	NULL,
};
static const char *const settlement_kinds[] = { "settlement", "statement", "period.closed", NULL };

static int check_filters(const struct options *o, struct printer *p, const char *from, bool alerts)
{
	// A kind that does not exist would match nothing, for ever, in silence.
	int month, code = p->kind == NULL ? OPTIONS_GO_ON : options_word(o, "--kind", p->kind, alerts ? alert_kinds : settlement_kinds);
	if (code != OPTIONS_GO_ON)
		return code;
	if (!parse_from(from, &p->from_ms))
		return options_usage(o, "--from takes an RFC 3339 time, a month such as 2020-01, `now`, or how long ago: 90s, 10m, 24h, 7d");
	if (p->period != NULL && !month_parse(span_of(p->period), &month))
		return options_usage(o, "--period %s is no month; write it as 2020-01", p->period);
	if (p->follow && o->format == OUTPUT_JSON)
		return options_usage(o, "--follow prints lines: take --format ndjson");
	return OPTIONS_GO_ON;
}

static int topic_verb(int argc, char **argv, bool alerts)
{
	struct printer p = { .from_ms = TIME_NONE, .columns = alerts ? alert_columns : settlement_columns,
			     .titles = alerts ? alert_titles : settlement_titles };
	const char *from = NULL;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	const struct option_row rows[] = {
		{ "follow", OPTION_FLAG, &p.follow, NULL, "go on with what comes, until interrupted" },
		{ "from", OPTION_TEXT, &from, "T", "published at or after T: RFC 3339, a month (its beginning in UTC), now, or how long ago: 90s, 10m, 24h, 7d" },
		{ "account", OPTION_TEXT, &p.account, "A", "of this account only" },
		{ "period", OPTION_TEXT, &p.period, "YYYY-MM", "of this month only" },
		{ "kind", OPTION_TEXT, &p.kind, "K", alerts ? "such as tier.crossed" : "settlement, statement or period.closed" },
	};
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), NULL, 0, 0);
	if (code == OPTIONS_GO_ON)
		code = check_filters(&o, &p, from, alerts);
	if (code == OPTIONS_GO_ON)
		code = options_settings(&o);
	if (code != OPTIONS_GO_ON)
		return code;
	struct kafka_options k;
	options_kafka(&o, &k);
	p.o = &o;
	p.colours = terminal_colours(stdout);
	p.columns_there = terminal_is(stdout) ? terminal_columns(stdout) : INT_MAX;
	if (p.follow)
		stop_block();
	return read_topic(&p, &k, alerts ? k.alerts_topic : k.settlements_topic);
}

int tool_alerts(int argc, char **argv)
{
	return topic_verb(argc, argv, true);
}

int tool_settlements(int argc, char **argv)
{
	return topic_verb(argc, argv, false);
}
