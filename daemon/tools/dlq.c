// SPDX-License-Identifier: Apache-2.0
// meterctl dlq: what was rejected, as it came and why; and giving it back to the input once the cause is gone.
//
// A letter is known by where its record stood in the input: it may lie in the dead-letter topic more than once. What was given back
// is marked there, in the transaction that gives it back, so that it is given back once: whoever asks next finds the mark.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/yaml.h"
#include "journal/json.h"
#include "letters/letters.h"
#include "sink/sink.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/tools.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

enum { TIMEOUT_MS = 30000, BATCH = 200 };
#define OWN LETTERS_OWN
#define GIVEN_BACK LETTERS_GIVEN_BACK

struct letter {
	char *position;              // "topic/partition/offset" of the input
	struct span topic, code, message;
	int64_t partition, offset, timestamp_ms;
	bool truncated;              // the value or more did not fit into the topic
	bool given_back;
	struct span key, value, account;
	struct header *headers;      // as received
	uint32_t n_headers;
	UT_hash_handle hh;
};

struct tool {
	struct options options;
	struct kafka_options kafka;
	const char *code, *account, *since, *until, *what, *position;
	int64_t since_ms, until_ms;
	bool all, yes;
	struct arena arena;
	struct letter *letters;      // in order of arrival
	uint64_t read;
	struct progress progress;
};

static void tool_free(struct tool *t)
{
	struct letter *l = t->letters, *next;
	HASH_CLEAR(hh, t->letters);
	for (; l != NULL; l = next) {
		next = l->hh.next;
		free(l->position);
		free(l);
	}
	arena_free(&t->arena);
	options_close(&t->options);
}

// ---- reading
static struct letter *letter_at(struct tool *t, const char *position)
{
	struct letter *l = NULL;
	HASH_FIND_STR(t->letters, position, l);
	if (l != NULL)
		return l;
	l = xcalloc(1, sizeof(*l));
	l->position = xstrdup(position);
	HASH_ADD_KEYPTR(hh, t->letters, l->position, strlen(l->position), l);
	return l;
}

// For the eye and for --account: as far as it can be read.
static struct span account_of(struct tool *t, struct span value)
{
	const char *name = t->options.settings->field_account;
	CLEANUP(json_freep) json_t *j = value.n > 0 ? json_loadb(value.p, value.n, 0, NULL) : NULL;
	const json_t *a = json_object_get(j, name);
	a = a != NULL ? a : json_object_get(json_object_get(j, "data"), name);
	return json_is_string(a) ? arena_copy(&t->arena, span_of(json_string_value(a))) : (struct span){ 0 };
}

static bool is_ours(struct span name)
{
	return (name.n >= sizeof(OWN) - 1 && memcmp(name.p, OWN, sizeof(OWN) - 1) == 0) || span_is(name, GIVEN_BACK);
}

static void take_letter(struct tool *t, const struct record *r)
{
	char position[LETTERS_POSITION];
	int64_t stamp = -1;
	if (!letters_position(r, position))
		return; // somebody else's
	if (!span_int64(letters_header(r, OWN "timestamp"), &stamp))
		stamp = -1;
	struct letter *l = letter_at(t, position);
	if (l->topic.p != NULL)
		return; // it came twice
	l->topic = arena_copy(&t->arena, letters_header(r, OWN "topic"));
	check(span_int64(letters_header(r, OWN "partition"), &l->partition) && span_int64(letters_header(r, OWN "offset"), &l->offset));
	l->timestamp_ms = stamp;
	l->code = arena_copy(&t->arena, letters_header(r, OWN "code"));
	l->message = arena_copy(&t->arena, letters_header(r, OWN "message"));
	l->truncated = letters_header(r, OWN "truncated").p != NULL;
	l->key = r->key.p != NULL ? arena_copy(&t->arena, r->key) : r->key;
	l->value = r->value.p != NULL ? arena_copy(&t->arena, r->value) : r->value;
	l->account = account_of(t, r->value);
	l->headers = arena_alloc(&t->arena, (r->n_headers + 1) * sizeof(*l->headers));
	for (uint32_t i = 0; i < r->n_headers; i++) {
		const struct header *h = &r->headers[i];
		if (!is_ours(h->name))
			l->headers[l->n_headers++] = (struct header){ arena_copy(&t->arena, h->name),
								      h->value.p != NULL ? arena_copy(&t->arena, h->value) : h->value };
	}
}

static bool take_record(void *ctx, const struct topic_record *x)
{
	struct tool *t = ctx;
	struct span mark = letters_header(&x->r, GIVEN_BACK);
	progress_show(&t->progress, ++t->read, 0);
	if (mark.p != NULL && letters_header(&x->r, OWN "topic").p == NULL) {
		CLEANUP(freep) char *position = xstrndup(mark.p, mark.n);
		letter_at(t, position)->given_back = true;
	} else {
		take_letter(t, &x->r);
	}
	return true;
}

static enum error_class read_letters(struct tool *t, struct error *e)
{
	progress_begin(&t->progress, "dlq", "records read");
	enum error_class c = topic_read_back(&t->kafka, t->kafka.dlq_topic, TIME_NONE, TIMEOUT_MS, take_record, t, e);
	progress_end(&t->progress);
	return c;
}

static bool is_wanted(const struct tool *t, const struct letter *l)
{
	if (l->topic.p == NULL || (l->given_back && !t->all)) // a mark whose letter is gone
		return false;
	if (t->position != NULL)
		return strcmp(l->position, t->position) == 0;
	return (t->code == NULL || span_is(l->code, t->code)) && (t->account == NULL || (l->account.p != NULL && span_is(l->account, t->account))) &&
	       (t->since == NULL || l->timestamp_ms >= t->since_ms) && (t->until == NULL || l->timestamp_ms < t->until_ms);
}

// ---- list and show
static void cell_span(struct output *out, struct span s)
{
	CLEANUP(freep) char *text = s.p != NULL ? xstrndup(s.p, s.n) : NULL;
	output_cell(out, text);
}

static int list(struct tool *t)
{
	static const struct output_column columns[] = { { "position", OUTPUT_TEXT }, { "time", OUTPUT_TEXT },    { "code", OUTPUT_TEXT },
							{ "account", OUTPUT_TEXT },  { "bytes", OUTPUT_NUMBER }, { "requeued", OUTPUT_RAW },
							{ "message", OUTPUT_TEXT } };
	struct output *out = output_begin(stdout, t->options.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	char time[TIME_TEXT];
	for (struct letter *l = t->letters; l != NULL; l = l->hh.next) {
		if (!is_wanted(t, l))
			continue;
		output_cell(out, l->position);
		output_cell(out, l->timestamp_ms >= 0 ? time_text(l->timestamp_ms, time) : NULL);
		cell_span(out, l->code);
		cell_span(out, l->account);
		output_int(out, (int64_t)l->value.n);
		output_cell(out, l->given_back ? "true" : "false");
		cell_span(out, l->message);
	}
	return output_end(&out) ? EXIT_DONE : EXIT_LATER;
}

static int show(struct tool *t)
{
	struct letter *l = NULL;
	HASH_FIND_STR(t->letters, t->position, l);
	if (l == NULL || l->topic.p == NULL) {
		fprintf(stderr, "meterctl dlq: no record at %s lies in %s; `meterctl dlq list` shows which do\n", t->position, t->kafka.dlq_topic);
		return EXIT_FOUND;
	}
	fprintf(stderr, "code: %.*s\nmessage: %.*s\n", (int)l->code.n, l->code.p, (int)l->message.n, l->message.p);
	for (uint32_t i = 0; i < l->n_headers; i++)
		fprintf(stderr, "header %.*s: %.*s\n", (int)l->headers[i].name.n, l->headers[i].name.p, (int)l->headers[i].value.n,
			l->headers[i].value.p != NULL ? l->headers[i].value.p : "");
	if (l->truncated)
		fprintf(stderr, "its value did not fit into the dead-letter topic; it stands in the input topic, at that offset\n");
	fwrite(l->value.p != NULL ? l->value.p : "", 1, l->value.n, stdout);
	putchar('\n');
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_LATER;
}

// ---- requeue
// The record as it came, into the partition it came in, with its own stamp; and the mark beside its letter.
static enum txn_status give_back(struct tool *t, struct txn_sink *sink, struct letter **list, uint32_t n, struct error *e)
{
	CLEANUP(freep) struct message *m = xcalloc(2 * (size_t)n, sizeof(*m));
	CLEANUP(freep) struct header *marks = xcalloc(n, sizeof(*marks));
	for (uint32_t i = 0; i < n; i++) {
		struct letter *l = list[i];
		marks[i] = (struct header){ SPAN_LIT(GIVEN_BACK), span_of(l->position) };
		l->headers[l->n_headers] = marks[i]; // there is room for one
		const char *topic = arena_printf(&t->arena, "%.*s", (int)l->topic.n, l->topic.p);
		m[i] = (struct message){ .topic = topic, .partition = (int32_t)l->partition,
					 .key = l->key, .value = l->value, .headers = l->headers, .n_headers = l->n_headers + 1,
					 .timestamp_ms = l->timestamp_ms > 0 ? l->timestamp_ms : 0 };
		m[n + i] = (struct message){ .topic = t->kafka.dlq_topic, .partition = -1, .key = span_of(l->position), .headers = &marks[i],
					     .n_headers = 1 };
	}
	return sink->ops->publish(sink, m, 2 * n, e);
}

static int give_all_back(struct tool *t, struct txn_sink *sink, struct letter **list, uint32_t n)
{
	uint32_t done = 0;
	struct error e = { 0 };
	while (done < n) {
		uint32_t some = n - done < BATCH ? n - done : BATCH;
		if (give_back(t, sink, list + done, some, &e) != TXN_DONE) {
			fprintf(stderr, "meterctl dlq: %" PRIu32 " given back, then: %s. Run the same command again: what is back already is marked\n", done,
				e.text);
			return EXIT_UNREACHABLE;
		}
		done += some;
	}
	fprintf(stderr, "meterctl dlq: %" PRIu32 " record%s given back to the input, with their own time stamps: counted in their month where that is open, "
		"as late calls otherwise; what is wrong with them still brings them here again\n", done, done == 1 ? "" : "s");
	return EXIT_DONE;
}

static int choose(struct tool *t, struct letter ***ret, uint32_t *ret_n)
{
	uint32_t n = 0, truncated = 0;
	struct letter **chosen = xcalloc(HASH_COUNT(t->letters) + 1, sizeof(struct letter *));
	for (struct letter *l = t->letters; l != NULL; l = l->hh.next) {
		if (!is_wanted(t, l))
			continue;
		truncated += l->truncated;
		if (!l->truncated)
			chosen[n++] = l;
	}
	if (truncated > 0)
		fprintf(stderr, "meterctl dlq: %" PRIu32 " more did not fit into the dead-letter topic and cannot be given back from there\n", truncated);
	*ret = chosen;
	*ret_n = n;
	return n > 0 ? OPTIONS_GO_ON : EXIT_DONE;
}

static int requeue(struct tool *t)
{
	struct error e = { 0 };
	struct txn_sink *sink = NULL;
	CLEANUP(freep) char *id = xasprintf("%s-requeue", t->kafka.group);
	// Whoever is at it too is fenced first: what it gave back is marked, or never came.
	if (t->yes && sink_kafka_txn_open(&t->kafka, id, TIMEOUT_MS, &sink, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	struct letter **chosen = NULL;
	uint32_t n = 0;
	int code = read_letters(t, &e) == ERROR_NONE ? choose(t, &chosen, &n) : options_fail(&t->options, &e);
	if (code == EXIT_DONE)
		fprintf(stderr, "meterctl dlq: nothing to give back\n");
	if (code == OPTIONS_GO_ON && !t->yes)
		fprintf(stderr, "%" PRIu32 " record%s would be given back to the input (`dlq list` with the same options shows them); add --yes\n", n,
			n == 1 ? "" : "s");
	if (code == OPTIONS_GO_ON)
		code = sink != NULL ? give_all_back(t, sink, chosen, n) : EXIT_DONE;
	free(chosen);
	if (sink != NULL)
		sink->ops->close(sink);
	return code;
}

// ---- the command line
static int check_times(struct tool *t)
{
	if (t->since != NULL && !time_parse_rfc3339(span_of(t->since), &t->since_ms))
		return options_usage(&t->options, "--since %.40s is no time; write it as 2020-01-31T00:00:00+08:00", t->since);
	if (t->until != NULL && !time_parse_rfc3339(span_of(t->until), &t->until_ms))
		return options_usage(&t->options, "--until %.40s is no time; write it as 2020-01-31T00:00:00+08:00", t->until);
	return OPTIONS_GO_ON;
}

static int parse_args(struct tool *t, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "code", OPTION_TEXT, &t->code, "CODE", "only what was rejected for this, such as service_unknown" },
		{ "account", OPTION_TEXT, &t->account, "A", "only of this account, as far as it can be read" },
		{ "since", OPTION_TEXT, &t->since, "T", "only records whose own stamp is not before T" },
		{ "until", OPTION_TEXT, &t->until, "T", "only records whose own stamp is before T" },
		{ "all", OPTION_FLAG, &t->all, NULL, "list: also what was given back already" },
		{ "yes", OPTION_FLAG, &t->yes, NULL, "requeue: do it; otherwise only the number is told" },
	};
	const char *words[2] = { NULL, NULL };
	int code = options_parse(&t->options, argc, argv, rows, ARRAY_LEN(rows), words, 1, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	t->what = words[0];
	t->position = words[1];
	bool is_show = strcmp(t->what, "show") == 0, is_requeue = strcmp(t->what, "requeue") == 0;
	static const char *const parts[] = { "list", "show", "requeue", NULL };
	static const char *const codes[] = {
#define REJECT(id, stage, code, message, advice) code,
#include "tbl/reject.def"
#undef REJECT
		NULL
	};
	code = options_word(&t->options, "part", t->what, parts);
	if (code == OPTIONS_GO_ON && t->code != NULL)
		code = options_word(&t->options, "--code", t->code, codes);
	if (code != OPTIONS_GO_ON)
		return code;
	if (is_show != (t->position != NULL) && !is_requeue)
		return options_usage(&t->options, is_show ? "show which? TOPIC/PARTITION/OFFSET, as `dlq list` has it" : "list takes no position");
	if (is_requeue && t->all)
		return options_usage(&t->options, "what was given back already is not given back again: it would count twice where the window of "
				     "duplicates does not reach back so far");
	return check_times(t);
}

int tool_dlq(int argc, char **argv)
{
	CLEANUP(tool_free) struct tool t = { .options = { .verb = argv[0] } };
	struct error e = { 0 };
	int code = parse_args(&t, argc, argv);
	if (code == OPTIONS_GO_ON)
		code = options_settings(&t.options);
	if (code != OPTIONS_GO_ON)
		return code;
	options_kafka(&t.options, &t.kafka);
	if (strcmp(t.what, "requeue") == 0)
		return requeue(&t);
	if (read_letters(&t, &e) != ERROR_NONE)
		return options_fail(&t.options, &e);
	return strcmp(t.what, "list") == 0 ? list(&t) : show(&t);
}
