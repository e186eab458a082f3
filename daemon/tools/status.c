// SPDX-License-Identifier: Apache-2.0
// meterctl status: the verdict first, then why, then the partitions. It asks the running daemon; where that does not answer, it
// says so and shows where the counters in Redis stand.
#include <inttypes.h>
#include <limits.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/http_get.h"
#include "tools/options.h"
#include "tools/terminal.h"
#include "tools/tools.h"

enum { ASK_TIMEOUT_MS = 5000, HTTP_OK = 200 };

// ---- words for a terminal

static void print_safe(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
		putchar(*c < ' ' || *c == 0x7f || c1 ? ' ' : *c);
		c += c1;
	}
}

// A sentence. On a terminal it goes on below its beginning where the window ends, and no word is broken.
static void line(const char *before, const char *text)
{
	int indent = (int)strspn(before, " -"), at = terminal_width(before);
	int columns = terminal_is(stdout) ? terminal_columns(stdout) : INT_MAX;
	fputs(before, stdout);
	for (const char *word = text, *end; *word != '\0'; word = end + strspn(end, " ")) {
		end = word + strcspn(word, " ");
		CLEANUP(freep) char *w = xasprintf("%.*s", (int)(end - word), word);
		int width = terminal_width(w);
		bool below = word != text && width >= columns - at;
		if (below)
			printf("\n%*s", indent, "");
		else if (word != text)
			putchar(' ');
		print_safe(w);
		at = (below ? indent : word == text ? at : at + 1) + width;
	}
	putchar('\n');
}

static const char *text_of(const json_t *j, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(j, key));
	return text != NULL ? text : otherwise;
}

static int64_t int_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static bool is_known(const json_t *j, const char *key)
{
	return json_is_integer(json_object_get(j, key));
}

static void print_reasons(const json_t *j)
{
	const json_t *reasons = json_object_get(j, "reasons"), *parts = json_object_get(j, "partitions");
	size_t i;
	json_t *r;
	if (strcmp(text_of(j, "state", ""), "running") != 0)
		line("  - ", text_of(j, "state", "unknown state"));
	json_array_foreach(reasons, i, r)
		line("  - ", json_is_string(r) ? json_string_value(r) : "?");
	json_array_foreach(parts, i, r)
		if (json_is_string(json_object_get(r, "halted"))) {
			CLEANUP(freep) char *text = xasprintf("%s/%" PRId64 " halted: %s", text_of(r, "topic", "?"), int_of(r, "partition"), text_of(r, "halted", ""));
			line("  - ", text);
		}
}

// `before` and the text, where there is one.
static void part_of_line(const char *before, const json_t *j, const char *key)
{
	if (!json_is_string(json_object_get(j, key)))
		return;
	printf("%s", before);
	print_safe(text_of(j, key, ""));
}

static void print_closing(const json_t *closing)
{
	const char *open = text_of(closing, "open", "no month");
	printf("closing  ");
	print_safe(open);
	printf(" is open");
	if (strcmp(text_of(closing, "waits_for_month", open), open) != 0)
		part_of_line(", holds late calls only and closes with ", closing, "waits_for_month");
	part_of_line(", closes at ", closing, "closes");
	part_of_line(", settlements due ", closing, "due");
	part_of_line("; settled up to ", closing, "closed");
	putchar('\n');
}

static void print_office(const json_t *outbox, const json_t *closing)
{
	if (!json_is_true(json_object_get(outbox, "owner"))) {
		puts("outbox   another instance publishes and closes months");
		return;
	}
	printf("outbox   ");
	if (is_known(outbox, "pending"))
		printf("%" PRId64 " pending, ", int_of(outbox, "pending"));
	printf("%" PRId64 " published\n", int_of(outbox, "published"));
	if (json_is_string(json_object_get(outbox, "note")))
		line("         ", text_of(outbox, "note", ""));
	print_closing(closing);
	if (json_is_string(json_object_get(closing, "note")))
		line("         waits for: ", text_of(closing, "note", ""));
}

static void print_checkpoints(const json_t *c)
{
	if (!json_is_true(json_object_get(c, "kept")) || (!json_is_string(json_object_get(c, "made")) && int_of(c, "failed") == 0))
		return;
	printf("checkpoints  ");
	if (json_is_string(json_object_get(c, "made"))) {
		part_of_line("the newest of ", c, "made");
		printf(", %" PRId64 " bytes; ", int_of(c, "bytes"));
	}
	printf("%" PRId64 " written since the start, %" PRId64 " failed\n", int_of(c, "written"), int_of(c, "failed"));
}

static void print_letters(const json_t *l)
{
	const char *code;
	json_t *n;
	if (!is_known(l, "left") || int_of(l, "left") == 0)
		return;
	printf("rejected  %s%" PRId64 " records wait in the dead-letter topic:", json_is_true(json_object_get(l, "more")) ? "more than " : "", int_of(l, "left"));
	json_object_foreach(json_object_get(l, "codes"), code, n) {
		printf(" %" PRId64 " ", (int64_t)json_integer_value(n));
		print_safe(code);
	}
	printf("; `meterctl dlq list` shows them\n");
}

static void print_head(const json_t *j)
{
	int64_t up = int_of(j, "uptime_seconds");
	printf(json_is_true(json_object_get(j, "ready")) ? "READY" : "NOT READY");
	printf("  instance ");
	print_safe(text_of(j, "instance", "?"));
	printf(", version ");
	print_safe(text_of(j, "version", "?"));
	printf(", up %" PRId64 "h %02dm %02ds", up / 3600, (int)(up / 60 % 60), (int)(up % 60));
	if (is_known(j, "rules_version"))
		printf(", rules %" PRId64, int_of(j, "rules_version"));
	putchar('\n');
	print_reasons(j);
	print_office(json_object_get(j, "outbox"), json_object_get(j, "closing"));
	const json_t *snapshots = json_object_get(j, "snapshots");
	if (json_is_string(json_object_get(snapshots, "note")))
		line("snapshots  cannot be written, so that a restart would take longer: ", text_of(snapshots, "note", ""));
	print_checkpoints(json_object_get(j, "checkpoints"));
	print_letters(json_object_get(j, "dead_letters"));
}

// ---- partitions

static const struct output_column columns[] = {
	{ "topic", OUTPUT_TEXT }, { "partition", OUTPUT_NUMBER }, { "next", OUTPUT_NUMBER }, { "high", OUTPUT_NUMBER },
	{ "lag", OUTPUT_NUMBER }, { "clock", OUTPUT_TEXT },       { "state", OUTPUT_TEXT },
};

static void known_cell(struct output *t, const json_t *p, const char *key)
{
	if (is_known(p, key))
		output_int(t, int_of(p, key));
	else
		output_cell(t, NULL);
}

static bool print_parts(const json_t *parts, enum output_format f)
{
	CLEANUP(output_freep) struct output *t = output_begin(stdout, f, OUTPUT_MANY, columns, (int)ARRAY_LEN(columns));
	size_t i;
	json_t *p;
	json_array_foreach(parts, i, p) {
		output_cell(t, text_of(p, "topic", NULL));
		known_cell(t, p, "partition");
		known_cell(t, p, "next");
		known_cell(t, p, "high");
		known_cell(t, p, "lag");
		output_cell(t, text_of(p, "clock", NULL));
		output_cell(t, json_is_string(json_object_get(p, "halted"))         ? "halted"
			       : json_is_true(json_object_get(p, "reading_back")) ? "reading back"
										 : "running");
	}
	return output_end(&t);
}

// ---- the daemon is away: what Redis knows

struct place {
	char *name;
	struct position at; // the shard that is furthest behind: reading goes on from there
};
struct places {
	uint32_t n;
	struct place *list;
};

static void places_free(struct places *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		free(p->list[i].name);
	free(p->list);
}

static void places_add(struct places *p, const struct store_position *s)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (strcmp(p->list[i].name, s->name) == 0) {
			if (s->at.next < p->list[i].at.next)
				p->list[i].at = s->at;
			return;
		}
	p->list = xrealloc(p->list, p->n + 1, sizeof(*p->list));
	p->list[p->n++] = (struct place){ xstrdup(s->name), s->at };
}

static enum error_class places_read(struct store *s, uint32_t shards, struct places *ret, struct error *e)
{
	struct store_state st = { 0 };
	enum error_class c = s->ops->state(s, 0, &st, e);
	if (c != ERROR_NONE)
		return c;
	if (!st.exists)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "Redis holds no state under this prefix; `meterctl init` makes it once");
	s->ops->identity(s, st.init_id, st.generation);
	for (uint32_t shard = 0; shard < shards; shard++) {
		struct store_positions p = { 0 };
		c = s->ops->positions(s, shard, &p, e);
		for (uint32_t i = 0; c == ERROR_NONE && i < p.n; i++)
			places_add(ret, &p.list[i]);
		store_positions_free(&p);
		if (c != ERROR_NONE)
			return c;
	}
	return ERROR_NONE;
}

static void places_print(const struct places *p, enum output_format f)
{
	CLEANUP(output_freep) struct output *t = output_begin(stdout, f, OUTPUT_MANY, columns, (int)ARRAY_LEN(columns));
	for (uint32_t i = 0; i < p->n; i++) {
		char *slash = strrchr(p->list[i].name, '/'), time[TIME_TEXT];
		const struct position *at = &p->list[i].at;
		int64_t number;
		if (slash == NULL || !span_int64(span_of(slash + 1), &number))
			continue;
		*slash = '\0';
		output_cell(t, p->list[i].name);
		output_int(t, number);
		output_int(t, at->next);
		output_cell(t, NULL);
		output_cell(t, NULL);
		output_cell(t, at->clock_ms != TIME_NONE ? time_text(at->clock_ms, time) : NULL);
		output_cell(t, "stored");
	}
	output_end(&t);
}

static int store_only(struct options *o)
{
	struct store *s = NULL;
	struct error e = { 0 };
	CLEANUP(places_free) struct places p = { 0 };
	if (options_store(o, &s) != OPTIONS_GO_ON)
		return EXIT_UNREACHABLE;
	enum error_class c = places_read(s, (uint32_t)o->settings->redis_shards, &p, &e);
	s->ops->close(s);
	if (c != ERROR_NONE) {
		fprintf(stderr, "meterctl status: %s\n", e.text);
		return EXIT_UNREACHABLE;
	}
	fprintf(stderr, "below: what Redis holds; counting goes on from these offsets when the daemon runs\n");
	places_print(&p, o->format);
	return EXIT_UNREACHABLE;
}

// ---- the verb

static int answered(const struct options *o, const char *body)
{
	json_error_t why;
	json_t *j = json_loads(body, 0, &why);
	if (!json_is_object(j) || !json_is_boolean(json_object_get(j, "ready"))) {
		json_decref(j);
		fprintf(stderr, "meterctl status: http://%s answers, but not like meterd\n", o->settings->http_listen);
		return EXIT_UNREACHABLE;
	}
	bool ready = json_is_true(json_object_get(j, "ready")), written = true;
	if (o->format == OUTPUT_TABLE)
		print_head(j);
	if (o->format == OUTPUT_TABLE || o->format == OUTPUT_CSV)
		written = print_parts(json_object_get(j, "partitions"), o->format);
	else
		written = json_dumpf(j, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
	json_decref(j);
	return !written ? EXIT_DEFECT : ready ? EXIT_DONE : EXIT_FOUND;
}

int tool_status(int argc, char **argv)
{
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	struct error e = { 0 };
	CLEANUP(freep) char *body = NULL;
	int http_code = 0, code = options_parse(&o, argc, argv, NULL, 0, NULL, 0, 0);
	if (code != OPTIONS_GO_ON || (code = options_settings(&o)) != OPTIONS_GO_ON)
		return code;
	const char *listen = o.settings->http_listen;
	if (listen[0] == '\0')
		fprintf(stderr, "meterctl status: http.listen is empty, so the daemon cannot be asked\n");
	else if (http_get(listen, "/api/v1/status", ASK_TIMEOUT_MS, &http_code, &body, &e) != ERROR_NONE)
		fprintf(stderr, "meterctl status: the daemon does not answer: %s\n"
				"is it running? `systemctl status meterd`, `journalctl -u meterd`\n", e.text);
	else if (http_code != HTTP_OK)
		fprintf(stderr, "meterctl status: http://%s answers %d; is http.listen the address of meterd?\n", listen, http_code);
	else
		return answered(&o, body);
	return store_only(&o);
}
