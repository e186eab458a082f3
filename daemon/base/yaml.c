// SPDX-License-Identifier: Apache-2.0
// Two passes: the text as such (bytes, tabs, line ends), then libyaml's events. The second runs only when the first found
// nothing, since a tab or a broken byte makes libyaml complain about places that are fine.
//
// While a list or map is open its nodes wait on one stack; when it ends they move to the arena. Keys and values of a map
// wait in turn.
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/utf8.h"

enum { DEPTH_MOST = 32, NODES_MOST = 1000000, TEXT_MOST = 4 * 1024 * 1024, WORD_MOST = 64, WORDS_SHOWN = 400 };

struct yaml {
	struct arena arena;
	struct yaml_node *root;
};

struct open_node {
	struct yaml_node *node;
	uint32_t base; // where its children begin in `waiting`
};

struct reader {
	struct yaml *y;
	const char *file;
	struct faults *faults;
	struct open_node open[DEPTH_MOST];
	int depth;
	struct yaml_node **waiting;
	uint32_t n_waiting, room;
	uint32_t nodes;
	int documents;
	bool stop;   // reading on makes no sense
	bool broken; // the tree is not what the file says
};

// ---- the text as such

static bool forbidden_char(uint32_t c, char next)
{
	if (c == '\r')
		return next != '\n';
	return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff;
}

static void check_line(const char *file, int line, struct span s, char after, struct faults *faults)
{
	bool indent = true, tab = false;
	int column = 1;
	uint32_t c = 0;
	for (size_t i = 0, len; i < s.n; i += len, column++) {
		len = utf8_next(s.p + i, s.n - i, &c);
		if (len == 0) {
			fault_add(faults, file, line, column, "not UTF-8: save the file as UTF-8");
			return;
		}
		if (forbidden_char(c, i + 1 < s.n ? s.p[i + 1] : after)) {
			fault_add(faults, file, line, column, "control character U+%04X: remove it", (unsigned)c);
			return;
		}
		indent = indent && (c == ' ' || c == '\t');
		if (indent && c == '\t' && !tab)
			fault_add(faults, file, line, column, "a tab in the indentation: use blanks");
		tab = tab || c == '\t';
	}
}

static bool check_text(const char *file, struct span text, struct faults *faults)
{
	size_t before = faults->n;
	if (text.n > TEXT_MOST) {
		fault_add(faults, file, 0, 0, "%zu bytes are more than the %d that are read: is this the right file?", text.n, TEXT_MOST);
		return false;
	}
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
		fault_add(faults, file, 1, 1, "the file begins with a byte order mark: save it as UTF-8 without one");
		return false;
	}
	int line = 1;
	for (size_t i = 0; i < text.n; line++) {
		const char *end = memchr(text.p + i, '\n', text.n - i);
		size_t n = end != NULL ? (size_t)(end - text.p) - i : text.n - i;
		check_line(file, line, (struct span){ text.p + i, n }, end != NULL ? '\n' : '\0', faults);
		i += n + 1;
	}
	return faults->n == before;
}

// ---- libyaml's words

struct advice {
	const char *problem, *say;
	bool at_context; // the place that helps is where the construct began
};
static const struct advice advices[] = {
	{ "mapping values are not allowed", "a ':' that cannot be here: indent the line like its neighbours, put a text that holds ': ' in quotes, or add the ':' that the line above lacks", false },
	{ "could not find expected ':'", "a key without a value: write \"key: value\"", true },
	{ "did not find expected key", "this line does not fit the ones above: indent keys of one level alike, and put texts that begin with a quote wholly in quotes", false },
	{ "did not find expected '-' indicator", "this line does not fit the list above: indent its items alike, each with \"- \"", false },
	{ "block sequence entries are not allowed", "a list item that cannot be here: put the list on lines of its own below its key", false },
	{ "unexpected end of stream", "a quote that is never closed: add the closing one", true },
	{ "did not find expected ',' or ']'", "a list that is never closed: add ']', or a ',' between its items", true },
	{ "did not find expected ',' or '}'", "a map that is never closed: add '}', or a ',' between its pairs", true },
	{ "cannot start any token", "a text cannot begin with this character: put it in quotes", false },
	{ "unknown escape character", "an escape that YAML does not know: write \\\\ for a backslash, or use single quotes", false },
	{ "did not find expected hexdecimal number", "an escape needs hexadecimal digits: \\xHH or \\uHHHH", false },
	{ "undefined tag handle", "tags (!…) are not used here: remove it, or put the text in quotes", false },
	{ "did not find expected <document start>", "text that belongs to nothing: indent it below its key, or remove it", false },
};

static void parser_fault(struct reader *r, const yaml_parser_t *p)
{
	if (p->error == YAML_MEMORY_ERROR)
		out_of_memory(1, 1); // never a fault of the file
	r->broken = true;
	const char *problem = p->problem != NULL ? p->problem : "unreadable";
	const struct advice *a = NULL;
	for (size_t i = 0; i < ARRAY_LEN(advices) && a == NULL; i++)
		if (strstr(problem, advices[i].problem) != NULL)
			a = &advices[i];
	bool context = a != NULL && a->at_context && p->context != NULL;
	yaml_mark_t mark = context ? p->context_mark : p->problem_mark;
	int line = (int)mark.line + 1, column = (int)mark.column + 1;
	if (a != NULL)
		fault_add(r->faults, r->file, line, column, "%s", a->say);
	else
		fault_add(r->faults, r->file, line, column, "not valid YAML (%s): compare with the sample file", problem);
}

// ---- the tree

static struct yaml_node *node_new(struct reader *r, enum yaml_kind kind, yaml_mark_t at)
{
	struct yaml_node *n = arena_alloc(&r->y->arena, sizeof(*n));
	*n = (struct yaml_node){ .kind = kind, .line = (int)at.line + 1, .column = (int)at.column + 1 };
	return n;
}

static void node_fault(struct reader *r, const struct yaml_node *n, const char *text)
{
	r->broken = true;
	fault_add(r->faults, r->file, n->line, n->column, "%s", text);
}

static bool key_expected(const struct reader *r)
{
	const struct open_node *top = r->depth > 0 ? &r->open[r->depth - 1] : NULL;
	return top != NULL && top->node->kind == YAML_MAP && (r->n_waiting - top->base) % 2 == 0;
}

// Hangs a node below what is open; it is complete, or its own children follow.
static void node_place(struct reader *r, struct yaml_node *n)
{
	if (++r->nodes > NODES_MOST) {
		node_fault(r, n, "the file has too many entries to be read: is this the right file?");
		r->stop = true;
		return;
	}
	if (key_expected(r) && n->kind != YAML_SCALAR)
		node_fault(r, n, "a key must be a plain word, not a list or a map");
	if (r->depth == 0) {
		r->y->root = n;
		return;
	}
	if (r->n_waiting == r->room) {
		r->room = r->room != 0 ? r->room * 2 : 64;
		r->waiting = xrealloc(r->waiting, r->room, sizeof(struct yaml_node *));
	}
	r->waiting[r->n_waiting++] = n;
}

static void node_open(struct reader *r, enum yaml_kind kind, yaml_mark_t at)
{
	struct yaml_node *n = node_new(r, kind, at);
	node_place(r, n);
	if (!r->stop && r->depth == DEPTH_MOST) {
		node_fault(r, n, "nested deeper than anything this file may hold: is this the right file?");
		r->stop = true;
	}
	if (!r->stop)
		r->open[r->depth++] = (struct open_node){ n, r->n_waiting };
}

static int compare_pairs(const void *a, const void *b)
{
	const struct yaml_node *x = ((const struct yaml_pair *)a)->key, *y = ((const struct yaml_pair *)b)->key;
	int c = span_order(x->text, y->text);
	if (c == 0)
		c = (x->line > y->line) - (x->line < y->line);
	return c != 0 ? c : (x->column > y->column) - (x->column < y->column);
}

// Of two maps under one key both are looked at: what the second holds moves behind the first.
static void merge_maps(struct reader *r, struct yaml_node *into, struct yaml_node *more)
{
	if (into->kind != YAML_MAP || more->kind != YAML_MAP || more->n == 0)
		return;
	struct yaml_pair *pairs = arena_alloc(&r->y->arena, (into->n + more->n) * sizeof(*pairs));
	if (into->n > 0)
		memcpy(pairs, into->pairs, into->n * sizeof(*pairs));
	memcpy(pairs + into->n, more->pairs, more->n * sizeof(*pairs));
	into->pairs = pairs;
	into->n += more->n;
	more->n = 0;
}

static void check_duplicates(struct reader *r, const struct yaml_node *map)
{
	CLEANUP(freep) struct yaml_pair *sorted = xcalloc(map->n, sizeof(*sorted));
	if (map->n > 0)
		memcpy(sorted, map->pairs, map->n * sizeof(*sorted));
	qsort(sorted, map->n, sizeof(*sorted), compare_pairs);
	const struct yaml_pair *first = NULL;
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = sorted[i].key;
		if (key->kind == YAML_SCALAR && first != NULL && span_eq(first->key->text, key->text)) {
			fault_add(r->faults, r->file, key->line, key->column,
				  "key \"%.64s\" stands already in line %d: remove one of them", key->text.p, first->key->line);
			merge_maps(r, first->value, sorted[i].value);
		} else {
			first = key->kind == YAML_SCALAR ? &sorted[i] : NULL;
		}
	}
}

static void node_close(struct reader *r)
{
	check(r->depth > 0);
	struct open_node top = r->open[--r->depth];
	uint32_t n = r->n_waiting - top.base;
	r->n_waiting = top.base;
	if (n == 0)
		return;
	struct yaml_node **from = r->waiting + top.base;
	struct yaml_node **kept = arena_alloc(&r->y->arena, n * sizeof(*kept));
	memcpy(kept, from, n * sizeof(*kept));
	if (top.node->kind == YAML_LIST) {
		top.node->n = n;
		top.node->items = kept;
		return;
	}
	check(n % 2 == 0);
	top.node->n = n / 2;
	top.node->pairs = arena_alloc(&r->y->arena, n / 2 * sizeof(*top.node->pairs));
	for (uint32_t i = 0; i < n / 2; i++)
		top.node->pairs[i] = (struct yaml_pair){ kept[2 * i], kept[2 * i + 1] };
	check_duplicates(r, top.node);
}

static void on_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct yaml_node *n = node_new(r, YAML_SCALAR, ev->start_mark);
	struct span s = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
	char *copy = arena_alloc(&r->y->arena, s.n + 1);
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	n->text = (struct span){ copy, s.n };
	n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (memchr(copy, '\0', s.n) != NULL)
		node_fault(r, n, "a text with a NUL character: remove the \\0");
	node_place(r, n);
}

static void on_document(struct reader *r, const yaml_event_t *ev)
{
	int line = (int)ev->start_mark.line + 1, column = (int)ev->start_mark.column + 1;
	if (ev->data.document_start.version_directive != NULL ||
	    ev->data.document_start.tag_directives.start != ev->data.document_start.tag_directives.end)
		fault_add(r->faults, r->file, line, column, "directives (%%YAML, %%TAG) are not used here: remove the line");
	if (++r->documents == 2) {
		fault_add(r->faults, r->file, line, column, "a second document begins: a file holds one; remove the \"---\" and what follows");
		r->stop = r->broken = true;
	}
}

static void refuse_extras(struct reader *r, const yaml_event_t *ev, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	int line = (int)ev->start_mark.line + 1, column = (int)ev->start_mark.column + 1;
	if (anchor != NULL)
		fault_add(r->faults, r->file, line, column, "anchors (&%.64s) are not used here: write the value out where it is needed", anchor);
	if (tag != NULL)
		fault_add(r->faults, r->file, line, column, "tags (%.64s) are not used here: remove it, or put the text in quotes", tag);
}

static void on_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		on_document(r, ev);
		break;
	case YAML_SCALAR_EVENT:
		refuse_extras(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
		on_scalar(r, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_extras(r, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
		node_open(r, YAML_LIST, ev->start_mark);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_extras(r, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		node_open(r, YAML_MAP, ev->start_mark);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		node_close(r);
		break;
	case YAML_ALIAS_EVENT: {
		struct yaml_node *n = node_new(r, YAML_SCALAR, ev->start_mark);
		n->text = SPAN_LIT("");
		r->broken = true;
		fault_add(r->faults, r->file, n->line, n->column, "aliases (*%.64s) are not used here: write the value out", ev->data.alias.anchor);
		node_place(r, n);
		break;
	}
	default:
		break;
	}
}

static void read_events(struct reader *r, struct span text)
{
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser))
		out_of_memory(1, sizeof(parser));
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
	for (bool done = false; !done && !r->stop;) {
		yaml_event_t ev;
		if (!yaml_parser_parse(&parser, &ev)) {
			parser_fault(r, &parser);
			break;
		}
		done = ev.type == YAML_STREAM_END_EVENT;
		on_event(r, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	free(r->waiting);
}

struct yaml *yaml_parse(const char *file, struct span text, struct faults *faults)
{
	if (!check_text(file, text, faults))
		return NULL;
	CLEANUP(yaml_freep) struct yaml *y = xcalloc(1, sizeof(*y));
	struct reader r = { .y = y, .file = file, .faults = faults };
	read_events(&r, text.p != NULL ? text : SPAN_LIT(""));
	if (r.broken)
		return NULL;
	if (y->root == NULL)
		y->root = node_new(&r, YAML_MAP, (yaml_mark_t){ 0 });
	return TAKE_PTR(y);
}

const struct yaml_node *yaml_root(const struct yaml *y)
{
	return y->root;
}

void yaml_freep(struct yaml **y)
{
	if (*y != NULL)
		arena_free(&(*y)->arena);
	free(*y);
	*y = NULL;
}

const struct yaml_node *yaml_get(const struct yaml_node *n, const char *key)
{
	if (n == NULL || n->kind != YAML_MAP)
		return NULL;
	for (uint32_t i = 0; i < n->n; i++)
		if (span_is(n->pairs[i].key->text, key))
			return n->pairs[i].value;
	return NULL;
}

// ---- words

static bool is_known(const char *word, const char *const *known)
{
	for (; *known != NULL; known++)
		if (strcmp(word, *known) == 0)
			return true;
	return false;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

// Edits (insert, delete, replace, swap of neighbours) from a to b.
static unsigned edit_distance(const char *a, size_t an, const char *b, size_t bn)
{
	unsigned rows[3][WORD_MOST + 1];
	check(an <= WORD_MOST && bn <= WORD_MOST);
	for (unsigned j = 0; j <= bn; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= an; i++) {
		unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= bn; j++) {
			row[j] = min3(up[j] + 1, row[j - 1] + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
			bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
			if (swap && up2[j - 2] + 1 < row[j])
				row[j] = up2[j - 2] + 1;
		}
	}
	return rows[an % 3][bn];
}

const char *nearest_word(const char *word, const char *const *known)
{
	size_t n = strlen(word);
	const char *best = NULL;
	unsigned least = 3;
	if (n > WORD_MOST)
		return NULL;
	for (; *known != NULL; known++) {
		size_t kn = strlen(*known);
		if (kn > WORD_MOST || (kn > n ? kn - n : n - kn) >= least)
			continue; // as many edits as the lengths differ, at least
		unsigned d = edit_distance(word, n, *known, kn);
		if (d < least && d * 2 <= n) { // two edits of a word of three letters make any word
			least = d;
			best = *known;
		}
	}
	return best;
}

static void join_words(const char *const *known, char *buf, size_t size)
{
	size_t at = 0;
	buf[0] = '\0';
	for (const char *const *k = known; *k != NULL && at + 1 < size; k++) {
		int n = snprintf(buf + at, size - at, "%s%s", k == known ? "" : ", ", *k);
		check(n >= 0);
		at += (size_t)n;
	}
}

void yaml_check_keys(const struct yaml_node *map, const char *const *known, const char *file, struct faults *faults)
{
	if (map == NULL || map->kind != YAML_MAP)
		return;
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->pairs[i].key;
		if (is_known(key->text.p, known))
			continue;
		const char *near = nearest_word(key->text.p, known);
		char words[WORDS_SHOWN];
		join_words(known, words, sizeof(words));
		if (near != NULL)
			fault_add(faults, file, key->line, key->column, "unknown key \"%.64s\": did you mean \"%s\"?", key->text.p, near);
		else
			fault_add(faults, file, key->line, key->column, "unknown key \"%.64s\": remove it; known here: %s", key->text.p, words);
	}
}
