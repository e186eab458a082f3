// SPDX-License-Identifier: Apache-2.0
// meterctl check-event: what meterd would make of an event, for people who write producers. Each line (with --whole: each file) is
// one record's value; it goes through the daemon's own decoder, and where a price book is known also through its own checks. Not
// checked, because a file does not say: the record's time stamp (event.max_future, late calls) and duplicates.
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/file.h"
#include "decide/decide.h"
#include "tools/frontend.h"
#include "tools/lines.h"
#include "tools/options.h"
#include "tools/tools.h"

enum { WHOLE_MOST = 256 << 20, HEADERS_MOST = 64 };

static const struct decode_fields DEFAULT_FIELDS = { "id", "account", "service", "time", "calls", "status", "items" };

static const struct output_column COLUMNS[] = {
	{ "file", OUTPUT_TEXT },   { "line", OUTPUT_NUMBER },  { "outcome", OUTPUT_TEXT }, { "code", OUTPUT_TEXT },
	{ "position", OUTPUT_NUMBER }, { "message", OUTPUT_TEXT }, { "detail", OUTPUT_TEXT },  { "advice", OUTPUT_TEXT },
	{ "event", OUTPUT_RAW },
};

struct checker {
	struct options options;
	const char *catalog_path, *headers_text;
	bool whole;
	const struct decode_fields *fields;
	const struct catalog *catalog; // NULL: services are not checked
	struct rules *rules;           // owns the catalog, with a configuration
	struct catalog *own_catalog;   // with --catalog
	struct header headers[HEADERS_MOST];
	uint32_t n_headers;
	struct output *out;            // NULL: lines for people
	struct decode_scratch scratch;
	struct event event;
	uint64_t checked, rejected;
};

static void checker_freep(struct checker **c)
{
	output_freep(&(*c)->out);
	decode_scratch_free(&(*c)->scratch);
	catalog_freep(&(*c)->own_catalog);
	rules_freep(&(*c)->rules);
	options_close(&(*c)->options);
	free(*c);
}

// -- what the price book says

// The byte of the value where a string begins that was taken from it as it stands; 0 for one with escapes.
static size_t place_of(struct span value, struct span text)
{
	uintptr_t begin = (uintptr_t)value.p, at = (uintptr_t)text.p;
	return at > begin && at < begin + value.n ? at - begin - 1 : 0;
}

static enum reject check_services(const struct checker *c, struct span value, struct decode_result *ret)
{
	for (uint32_t i = 0; i < c->event.n_items; i++) {
		const struct span name = c->event.items[i].service;
		uint32_t service = 0;
		enum reject why = decide_service(c->catalog, name, c->event.time_ms, &service, ret->detail);
		if (why == REJECT_NONE)
			continue;
		ret->position = place_of(value, name);
		return why;
	}
	return REJECT_NONE;
}

// -- the event as understood

static json_t *json_span(struct span s)
{
	return s.p != NULL ? json_stringn(s.p, s.n) : json_null();
}

static json_t *json_items(const struct checker *c)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < c->event.n_items; i++) {
		const struct event_item *item = &c->event.items[i];
		uint32_t service;
		json_t *j = json_pack("{so}", "service", json_span(item->service));
		if (c->catalog != NULL && catalog_find(c->catalog, item->service, c->event.time_ms, &service) == SERVICE_OK)
			json_object_set_new(j, "service", json_string(catalog_service_id(c->catalog, service)));
		json_object_set_new(j, "calls", json_integer(item->calls));
		json_array_append_new(list, j);
	}
	return list;
}

// With a price book also what it makes of the event: ids for aliases, the owner for a sub-account, the month, whether it is billed.
static json_t *json_event(const struct checker *c)
{
	const struct event *e = &c->event;
	char time[TIME_TEXT], month[MONTH_TEXT];
	json_t *j = json_pack("{so so so ss}", "id", json_span(e->id), "source", json_span(e->source), "account", json_span(e->account),
			      "time", time_text(e->time_ms, time));
	if (c->catalog != NULL) {
		int m = period_month(catalog_zone(c->catalog), e->time_ms);
		json_object_set_new(j, "owner", json_span(catalog_owner(c->catalog, e->account, e->time_ms)));
		json_object_set_new(j, "period", m != MONTH_NONE ? json_string(month_text(m, month)) : json_null());
		json_object_set_new(j, "billable", json_boolean(catalog_billable(c->catalog, e->status, e->time_ms)));
	}
	json_object_set_new(j, "status", json_span(e->status));
	json_object_set_new(j, "items", json_items(c));
	return j;
}

static char *event_text(const struct checker *c)
{
	json_t *j = json_event(c);
	char *text = json_dumps(j, JSON_COMPACT);
	check(text != NULL);
	for (const char *p = text; (p = strchr(p, '\xc2')) != NULL; p++) {
		if ((uint8_t)p[1] >= 0xa0)
			continue;
		free(text); // control characters of the second kind: some terminals obey them
		text = json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
		check(text != NULL);
		break;
	}
	json_decref(j);
	return text;
}

// -- printing

static void print_columns(struct checker *c, const char *file, int64_t line, const char *outcome, const struct decode_result *r)
{
	const struct reject_info *info = r != NULL && r->reject != REJECT_NONE ? reject_info(r->reject) : NULL;
	CLEANUP(freep) char *event = r != NULL && info == NULL ? event_text(c) : NULL;
	output_cell(c->out, file);
	if (line > 0)
		output_int(c->out, line);
	else
		output_cell(c->out, NULL);
	output_cell(c->out, outcome);
	output_cell(c->out, info != NULL ? info->code : NULL);
	if (info != NULL)
		output_int(c->out, (int64_t)r->position);
	else
		output_cell(c->out, NULL);
	output_cell(c->out, info != NULL ? info->message : NULL);
	output_cell(c->out, info != NULL && r->detail[0] != '\0' ? r->detail : NULL);
	output_cell(c->out, info != NULL ? info->advice : NULL);
	output_cell(c->out, event);
}

static void print_lines(const struct checker *c, const char *file, int64_t line, const char *outcome, const struct decode_result *r)
{
	char place[32] = "";
	if (line > 0)
		snprintf(place, sizeof(place), ":%lld", (long long)line);
	printf("%-8s  %s%s  ", outcome, file, place);
	if (r == NULL) {
		printf("a tick of meterd itself\n");
	} else if (r->reject == REJECT_NONE) {
		CLEANUP(freep) char *event = event_text(c);
		printf("%s\n", event);
	} else {
		const struct reject_info *info = reject_info(r->reject);
		printf("%s at byte %zu: %s%s%s%s\n          %s\n", info->code, r->position, info->message, r->detail[0] != '\0' ? " (" : "",
		       r->detail, r->detail[0] != '\0' ? ")" : "", info->advice);
	}
}

// -- checking

static void check_one(struct checker *c, const char *file, int64_t line, struct span value)
{
	struct record rec = { .value = value, .headers = c->headers, .n_headers = c->n_headers, .timestamp_ms = -1 };
	struct decode_result result, *r = &result;
	const char *outcome = "accepted";
	if (record_is_tick(&rec)) {
		r = NULL;
		outcome = "control";
	} else {
		decode_record(c->fields, &rec, &c->scratch, &c->event, r);
		if (r->reject == REJECT_NONE && c->catalog != NULL)
			r->reject = check_services(c, value, r);
		if (r->reject != REJECT_NONE)
			outcome = "rejected";
	}
	c->checked++;
	c->rejected += r != NULL && r->reject != REJECT_NONE;
	if (c->out != NULL)
		print_columns(c, file, line, outcome, r);
	else
		print_lines(c, file, line, outcome, r);
}

static int check_whole(struct checker *c, const char *file, FILE *f)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0, room = 0;
	do {
		if (n == room) {
			room = room != 0 ? 2 * room : 65536;
			text = xrealloc(text, room, 1);
		}
		n += fread(text + n, 1, room - n, f);
	} while (!feof(f) && !ferror(f) && n <= WHOLE_MOST);
	if (ferror(f) || n > WHOLE_MOST)
		return lines_unreadable(c->options.verb, file, ferror(f) ? errno : EFBIG);
	check_one(c, file, 0, (struct span){ text, n });
	return EXIT_DONE;
}

static void check_line(void *ctx, const char *file, int64_t line, struct span value)
{
	check_one(ctx, file, line, value);
}

static int check_file(struct checker *c, const char *file)
{
	CLEANUP(lines_closep) FILE *f = lines_open(c->options.verb, file);
	if (f == NULL)
		return EXIT_CONFIG_ERR;
	return c->whole ? check_whole(c, file, f) : lines_each(c->options.verb, file, f, check_line, c);
}

// -- options

// `name=value; name=value`, as one writes them in a test; a name without = has a null value. Borrows from `text`.
static int read_headers(struct checker *c, const char *text)
{
	while (text != NULL && *text != '\0') {
		const char *end = strstr(text, "; ");
		size_t n = end != NULL ? (size_t)(end - text) : strlen(text);
		const char *equal = memchr(text, '=', n);
		if (c->n_headers == HEADERS_MOST)
			return options_usage(&c->options, "more than %d headers", HEADERS_MOST);
		struct header *h = &c->headers[c->n_headers++];
		h->name = (struct span){ text, equal != NULL ? (size_t)(equal - text) : n };
		h->value = equal != NULL ? (struct span){ equal + 1, n - h->name.n - 1 } : (struct span){ NULL, 0 };
		text = end != NULL ? end + 2 : NULL;
	}
	return OPTIONS_GO_ON;
}

static int load_catalog(struct checker *c)
{
	struct faults faults = { 0 };
	struct error e = { 0 };
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	if (file_read(c->catalog_path, FRONTEND_CATALOG_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl %s: %s %s\n", c->options.verb, c->catalog_path, e.text);
		return EXIT_CONFIG_ERR;
	}
	c->own_catalog = catalog_parse(c->catalog_path, (struct span){ text, n }, &faults);
	faults_print(&faults, (struct span){ text, n }, stderr);
	faults_free(&faults);
	c->catalog = c->own_catalog;
	return c->catalog != NULL ? OPTIONS_GO_ON : EXIT_CONFIG_ERR;
}

// A configuration is optional here: the default one is read where there is one.
static int load_rules(struct checker *c)
{
	bool asked = c->options.config != options_default_config() || getenv("METERD_CONFIG") != NULL;
	c->fields = &DEFAULT_FIELDS;
	if (asked || (c->catalog_path == NULL && access(c->options.config, R_OK) == 0)) {
		int code = options_settings(&c->options);
		if (code == OPTIONS_GO_ON && (code = frontend_rules(c->options.settings, &c->rules)) == EXIT_DONE)
			code = OPTIONS_GO_ON;
		if (code != OPTIONS_GO_ON)
			return code;
		c->fields = &c->rules->settings.fields;
		c->catalog = c->rules->catalog;
	}
	if (c->catalog_path != NULL)
		return load_catalog(c);
	if (c->catalog == NULL)
		fprintf(stderr, "meterctl %s: no --config and no --catalog: services are not checked\n", c->options.verb);
	return OPTIONS_GO_ON;
}

static int check_files(struct checker *c, const char **files, int n)
{
	int code = EXIT_DONE;
	if (c->options.format != OUTPUT_TABLE)
		c->out = output_begin(stdout, c->options.format, OUTPUT_MANY, COLUMNS, ARRAY_LEN(COLUMNS));
	for (int i = 0; i < n; i++) {
		int one = check_file(c, files[i]);
		code = one != EXIT_DONE ? one : code;
	}
	if (c->out != NULL && !output_end(&c->out))
		code = EXIT_LATER;
	fprintf(stderr, "%llu checked, %llu rejected\n", (unsigned long long)c->checked, (unsigned long long)c->rejected);
	if (code != EXIT_DONE)
		return code;
	return c->rejected > 0 ? EXIT_FOUND : EXIT_DONE;
}

int tool_check_event(int argc, char **argv)
{
	CLEANUP(checker_freep) struct checker *c = xcalloc(1, sizeof(*c));
	CLEANUP(freep) const char **files = xcalloc((size_t)argc + 1, sizeof(*files));
	const struct option_row rows[] = {
		{ "whole", OPTION_FLAG, &c->whole, NULL, "each file is one event; otherwise each line is" },
		{ "catalog", OPTION_TEXT, &c->catalog_path, "FILE", "price book to check services with, instead of the configuration's" },
		{ "headers", OPTION_TEXT, &c->headers_text, "TEXT", "headers of every record, for binary CloudEvents: \"ce_id=1; ce_source=/gw\"" },
	};
	c->options.verb = argv[0];
	int code = options_parse(&c->options, argc, argv, rows, ARRAY_LEN(rows), files, 0, argc);
	if (code == OPTIONS_GO_ON)
		code = read_headers(c, c->headers_text);
	if (code == OPTIONS_GO_ON)
		code = load_rules(c);
	if (code != OPTIONS_GO_ON)
		return code;
	if (c->options.n_words == 0)
		files[c->options.n_words++] = "-";
	return check_files(c, files, c->options.n_words);
}
