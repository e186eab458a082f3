// SPDX-License-Identifier: Apache-2.0
// Makes one event of the accounts topic from the command line or a file, judges it as the daemon would, and produces it.
#include <stdlib.h>

#include "base/check.h"
#include "sink/sink.h"
#include "tools/account.h"

enum { SEND_TIMEOUT_MS = 30000 };

// --- the event ----------------------------------------------------------------------------------------------------------

static void set_text(json_t *event, const char *name, const char *text)
{
	if (text != NULL)
		json_object_set_new(event, name, json_string(text));
}

static json_t *new_event(const struct account_tool *t, const char *type, const char *id)
{
	json_t *event = json_object();
	set_text(event, "type", type);
	set_text(event, "account", t->words[0]);
	set_text(event, "id", id);
	json_object_set_new(event, "version", json_integer(1)); // its place; the number comes later
	return event;
}

static json_t *list_of(const char *text)
{
	json_t *list = json_array();
	for (;;) {
		size_t n = strcspn(text, ",");
		json_array_append_new(list, json_stringn(text, n));
		if (text[n] == '\0')
			return list;
		text += n + 1;
	}
}

static json_t *pack_event(const struct account_tool *t)
{
	json_t *event = new_event(t, "pack", t->words[1]);
	if (t->services != NULL)
		json_object_set_new(event, "services", list_of(t->services));
	if (t->calls >= 0)
		json_object_set_new(event, "calls", json_integer(t->calls));
	set_text(event, "price", t->price);
	set_text(event, "warn", t->warn);
	set_text(event, "start", t->start);
	set_text(event, "expiry", t->expiry);
	return event;
}

// The fields of the file behind type, account, id and version, which may stand there too.
static json_t *contract_event(const json_t *file)
{
	static const char *const first[] = { "type", "account", "id", "version", NULL };
	json_t *event = json_object(), *value;
	const char *name;
	for (int i = 0; first[i] != NULL; i++)
		if (json_object_get(file, first[i]) != NULL)
			json_object_set(event, first[i], json_object_get(file, first[i]));
		else if (i == 0)
			set_text(event, "type", "contract");
		else if (i == 3)
			json_object_set_new(event, "version", json_integer(1));
	json_object_foreach((json_t *)file, name, value)
		json_object_set(event, name, value);
	return event;
}

static int read_contract(struct account_tool *t, json_t **ret, bool *ret_versioned)
{
	const char *file = t->n_words > 0 ? t->words[0] : "-";
	json_error_t e;
	CLEANUP(lines_closep) FILE *f = lines_open(t->options.verb, file);
	if (f == NULL)
		return EXIT_CONFIG_ERR;
	json_auto_t *object = json_loadf(f, JSON_REJECT_DUPLICATES, &e);
	if (object == NULL) {
		fprintf(stderr, "meterctl %s: %s:%d:%d: %s\n", t->options.verb, file, e.line, e.column, e.text);
		return EXIT_FOUND;
	}
	if (!json_is_object(object)) {
		fprintf(stderr, "meterctl %s: %s: not a JSON object\n", t->options.verb, file);
		return EXIT_FOUND;
	}
	const json_t *type = json_object_get(object, "type");
	if (type != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "contract") != 0)) {
		fprintf(stderr, "meterctl %s: %s: its `type` is not contract; packs and activations have parts of their own\n", t->options.verb, file);
		return EXIT_FOUND;
	}
	*ret_versioned = json_object_get(object, "version") != NULL;
	*ret = contract_event(object);
	return OPTIONS_GO_ON;
}

static int make_event(struct account_tool *t, const char *part, json_t **ret, bool *ret_versioned)
{
	*ret_versioned = t->version >= 0;
	if (strcmp(part, "contract") == 0)
		return read_contract(t, ret, ret_versioned);
	if (strcmp(part, "activate") == 0) {
		*ret = new_event(t, "activation", t->id != NULL ? t->id : "activation");
		set_text(*ret, "time", t->time);
	} else if (strcmp(part, "cancel") == 0) {
		*ret = new_event(t, "pack.cancelled", t->words[1]);
		set_text(*ret, "from", t->from);
	} else {
		*ret = pack_event(t);
	}
	return OPTIONS_GO_ON;
}

// --- judged -------------------------------------------------------------------------------------------------------------

static int rejected(const struct account_tool *t, const struct account_fault *fault)
{
	const struct account_fault_info *info = account_fault_info(fault->code);
	fprintf(stderr, "meterctl %s: not produced: %s: %s (%s)\n  %s\n", t->options.verb, info->code, info->message, fault->detail, info->advice);
	return EXIT_FOUND;
}

static const struct account_fact *newest_of(const struct account_book *book, struct span name, const struct account_fact *f)
{
	const struct account *a = account_book_find(book, name);
	const struct account_fact *newest = NULL;
	for (uint32_t i = 0; a != NULL && i < a->n_things; i++) {
		const struct account_history *x = &a->things[i];
		if (x->facts[0]->kind != f->kind || !span_eq(x->facts[0]->id, f->id))
			continue;
		for (uint32_t k = 0; k < x->n; k++)
			if (newest == NULL || x->facts[k]->version > newest->version)
				newest = x->facts[k];
	}
	return newest;
}

// As it would be taken behind all that is there.
static int judge(const struct account_tool *t, struct account_book *book, const struct account_fact *newest, struct span text)
{
	struct account_fault fault;
	const int64_t last = INT64_MAX - 1;
	switch (account_book_apply(book, newest != NULL ? newest->partition : 0, last, last, text, &fault)) {
	case ACCOUNT_REFUSED:
		return rejected(t, &fault);
	case ACCOUNT_REPEATED:
		fprintf(stderr, "meterctl %s: known already, the same: nothing to produce\n", t->options.verb);
		return EXIT_DONE;
	default:
		return OPTIONS_GO_ON;
	}
}

// --- produced -----------------------------------------------------------------------------------------------------------

static int print_event(const struct account_tool *t, const struct account_fact *f, int32_t partition, int64_t offset, const char *text)
{
	static const struct output_column columns[] = { { "topic", OUTPUT_TEXT }, { "partition", OUTPUT_NUMBER }, { "offset", OUTPUT_NUMBER },
		{ "id", OUTPUT_TEXT }, { "version", OUTPUT_NUMBER }, { "event", OUTPUT_RAW } };
	CLEANUP(output_freep) struct output *out = output_begin(stdout, t->options.format, OUTPUT_ONE, columns, ARRAY_LEN(columns));
	CLEANUP(freep) char *id = xstrndup(f->id.p, f->id.n);
	output_cell(out, t->kafka.o.accounts_topic);
	if (offset >= 0) {
		output_int(out, partition);
		output_int(out, offset);
	} else {
		output_cell(out, NULL);
		output_cell(out, NULL);
	}
	output_cell(out, id);
	output_int(out, f->version);
	output_cell(out, text);
	return output_end(&out) ? EXIT_DONE : EXIT_LATER;
}

static int produce(const struct account_tool *t, struct span account, const struct account_fact *f, const char *text)
{
	int32_t partition = -1;
	int64_t offset = -1;
	struct error e = { 0 };
	const struct message m = { .topic = t->kafka.o.accounts_topic, .partition = -1, .key = account, .value = span_of(text) };
	if (!t->dry_run && topic_send(&t->kafka.o, &m, SEND_TIMEOUT_MS, &partition, &offset, &e) != ERROR_NONE)
		return tool_fail(t->options.verb, &e);
	return print_event(t, f, partition, offset, text);
}

static char *text_of(json_t *event, int64_t version)
{
	if (version >= 0)
		json_object_set_new(event, "version", json_integer(version));
	char *text = json_dumps(event, JSON_COMPACT);
	check(text != NULL);
	return text;
}

static int with_book(struct account_tool *t, json_t *event, bool versioned, struct account_book *book, struct arena *arena)
{
	struct account_fact f;
	struct account_fault fault;
	struct span account;
	char notes[600];
	CLEANUP(freep) char *draft = text_of(event, t->version);
	if (!account_read(span_of(draft), arena, &account, &f, &fault))
		return rejected(t, &fault);
	if (account_unknown_services(t, &f, notes, sizeof(notes))[0] != '\0')
		fprintf(stderr, "meterctl %s: note: %s: it changes nothing there until a price book has that id\n", t->options.verb, notes);
	if (t->dry_run && versioned)
		return produce(t, account, &f, draft);
	int code = account_read_topic(t, book, NULL, NULL);
	if (code != OPTIONS_GO_ON)
		return code;
	const struct account_fact *newest = newest_of(book, account, &f);
	if (!versioned)
		f.version = newest != NULL ? newest->version + 1 : 1;
	CLEANUP(freep) char *text = text_of(event, f.version);
	code = judge(t, book, newest, span_of(text));
	return code == OPTIONS_GO_ON ? produce(t, account, &f, text) : code;
}

int account_write(struct account_tool *t, const char *part)
{
	json_auto_t *event = NULL;
	CLEANUP(account_book_freep) struct account_book *book = account_book_new();
	CLEANUP(arena_free) struct arena arena = { 0 };
	bool versioned = false;
	int code = account_open(t);
	if (code == OPTIONS_GO_ON)
		code = make_event(t, part, &event, &versioned);
	return code == OPTIONS_GO_ON ? with_book(t, event, versioned || t->version >= 0, book, &arena) : code;
}
