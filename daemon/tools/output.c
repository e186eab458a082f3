// SPDX-License-Identifier: Apache-2.0
#include "tools/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "tools/terminal.h"

struct output {
	FILE *to;
	enum output_format format;
	enum output_shape shape;
	const struct output_column *columns;
	int n, next;      // columns; the one that comes next
	char **cells;     // table: all rows so far, NULL for null
	size_t n_cells, room;
	uint64_t rows;    // complete ones
};

bool output_format_of(const char *word, FILE *to, enum output_format *ret)
{
	static const char *const words[] = { "table", "json", "ndjson", "csv", NULL };
	if (word == NULL) {
		*ret = isatty(fileno(to)) ? OUTPUT_TABLE : OUTPUT_NDJSON;
		return true;
	}
	for (size_t i = 0; words[i] != NULL; i++)
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum output_format)i;
			return true;
		}
	const char *near = nearest_word(word, words);
	fprintf(stderr, "--format `%.40s` is unknown: %s%s%suse table, json, ndjson or csv\n", word, near != NULL ? "did you mean `" : "",
		near != NULL ? near : "", near != NULL ? "`? " : "");
	return false;
}

struct output *output_begin(FILE *to, enum output_format f, enum output_shape shape, const struct output_column *columns, int n)
{
	check(n > 0);
	struct output *o = xcalloc(1, sizeof(*o));
	*o = (struct output){ .to = to, .format = f, .shape = shape, .columns = columns, .n = n };
	if (f == OUTPUT_JSON && shape == OUTPUT_MANY)
		fputs("[", to);
	for (int i = 0; f == OUTPUT_CSV && i < n; i++)
		fprintf(to, "%s%s", columns[i].name, i + 1 < n ? "," : "\r\n");
	return o;
}

void output_freep(struct output **o)
{
	if (*o == NULL)
		return;
	for (size_t i = 0; i < (*o)->n_cells; i++)
		free((*o)->cells[i]);
	free((*o)->cells);
	free(*o);
	*o = NULL;
}

// --- json and csv -------------------------------------------------------------------------------------------------------

static void json_char(FILE *to, const char *p, size_t len, uint32_t c)
{
	if (len == 0)
		fputs("\\ufffd", to);
	else if (c == '"' || c == '\\')
		fprintf(to, "\\%c", (char)c);
	else if (c == '\n')
		fputs("\\n", to);
	else if (c < 0x20 || c == 0x7f)
		fprintf(to, "\\u%04x", (unsigned)c);
	else
		fwrite(p, 1, len, to);
}

void output_json_string(FILE *to, const char *s)
{
	size_t n = strlen(s);
	uint32_t c = 0;
	fputc('"', to);
	for (size_t i = 0, len; i < n; i += len != 0 ? len : 1) {
		len = utf8_next(s + i, n - i, &c);
		json_char(to, s + i, len, c);
	}
	fputc('"', to);
}

static void json_cell(struct output *o, const char *text)
{
	if (o->next == 0) {
		bool array = o->format == OUTPUT_JSON && o->shape == OUTPUT_MANY;
		fputs(!array ? "{" : o->rows == 0 ? "\n{" : ",\n{", o->to);
	}
	const struct output_column *c = &o->columns[o->next];
	fputs(o->next > 0 ? "," : "", o->to);
	output_json_string(o->to, c->name);
	fputc(':', o->to);
	if (text == NULL)
		fputs("null", o->to);
	else if (c->kind == OUTPUT_NUMBER || c->kind == OUTPUT_RAW)
		fputs(text, o->to);
	else
		output_json_string(o->to, text);
	if (o->next + 1 == o->n)
		fputs(o->format == OUTPUT_NDJSON || o->shape == OUTPUT_ONE ? "}\n" : "}", o->to);
}

static void csv_cell(struct output *o, const char *text)
{
	const char *s = text != NULL ? text : "";
	if (strpbrk(s, ",\"\r\n") == NULL) {
		fputs(s, o->to);
	} else {
		fputc('"', o->to);
		for (; *s != '\0'; s++) {
			fputs(*s == '"' ? "\"" : "", o->to);
			fputc(*s, o->to);
		}
		fputc('"', o->to);
	}
	fputs(o->next + 1 < o->n ? "," : "\r\n", o->to);
}

// --- table --------------------------------------------------------------------------------------------------------------

static char *printable(const char *s)
{
	char *copy = xstrdup(s);
	size_t n = strlen(copy);
	uint32_t c = 0;
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_next(copy + i, n - i, &c);
		if (len == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			copy[i] = '?';
			len = 1;
		}
	}
	return copy;
}

static void table_cell(struct output *o, const char *text)
{
	if (o->n_cells == o->room) {
		o->room = o->room != 0 ? o->room * 2 : 64;
		o->cells = xrealloc(o->cells, o->room, sizeof(*o->cells));
	}
	o->cells[o->n_cells++] = text != NULL ? printable(text) : NULL;
}

static int width_of(const char *s)
{
	return s != NULL ? terminal_width(s) : 0;
}

static void print_padded(FILE *to, const char *s, int width, bool right, bool last)
{
	int blanks = width - width_of(s);
	if (right)
		fprintf(to, "%*s", blanks, "");
	fputs(s != NULL ? s : "", to);
	if (!right && !last)
		fprintf(to, "%*s", blanks, "");
	fputs(last ? "\n" : "  ", to);
}

static void print_fields(const struct output *o)
{
	int width = 0;
	for (int i = 0; i < o->n; i++)
		width = width_of(o->columns[i].name) > width ? width_of(o->columns[i].name) : width;
	for (int i = 0; i < o->n; i++) {
		print_padded(o->to, o->columns[i].name, width, false, false);
		print_padded(o->to, o->cells[i], 0, false, true);
	}
}

enum { FOLD_INDENT = 4 };

// Where a window is too narrow for all columns, those that do not fit go on in a line of their own, indented: nothing is cut, and columns stay
// columns. What is no terminal gets one line a row.
static void fold(const struct output *o, const int *width, bool *ret_folds)
{
	int at = 0, columns = terminal_is(o->to) ? terminal_columns(o->to) : 0;
	for (int i = 0; i < o->n; i++) {
		ret_folds[i] = columns > 0 && i > 0 && at + width[i] > columns;
		at = (ret_folds[i] ? FOLD_INDENT : at) + width[i] + 2;
	}
	ret_folds[o->n] = true;
}

static void print_rows(const struct output *o)
{
	size_t n = (size_t)o->n;
	CLEANUP(freep) int *width = xcalloc(n, sizeof(*width));
	for (size_t i = 0; i < n; i++)
		width[i] = width_of(o->columns[i].name);
	for (size_t i = 0; i < o->n_cells; i++)
		width[i % n] = width_of(o->cells[i]) > width[i % n] ? width_of(o->cells[i]) : width[i % n];
	CLEANUP(freep) bool *folds = xcalloc(n + 1, sizeof(*folds)); // before this column; behind the last one, always
	fold(o, width, folds);
	for (size_t i = 0; i < n + o->n_cells; i++) {
		const struct output_column *c = &o->columns[i % n];
		bool right = c->kind == OUTPUT_NUMBER || c->kind == OUTPUT_AMOUNT;
		if (folds[i % n])
			fprintf(o->to, "%*s", FOLD_INDENT, "");
		print_padded(o->to, i < n ? c->name : o->cells[i - n], width[i % n], right, folds[i % n + 1]);
	}
}

static void print_table(const struct output *o)
{
	(o->shape == OUTPUT_ONE ? print_fields : print_rows)(o);
}

// --- all ----------------------------------------------------------------------------------------------------------------

void output_cell(struct output *o, const char *text)
{
	check(o->shape == OUTPUT_MANY || o->rows == 0);
	switch (o->format) {
	case OUTPUT_TABLE:
		table_cell(o, text);
		break;
	case OUTPUT_JSON:
	case OUTPUT_NDJSON:
		json_cell(o, text);
		break;
	case OUTPUT_CSV:
		csv_cell(o, text);
		break;
	}
	if (++o->next < o->n)
		return;
	o->next = 0;
	o->rows++;
	if (o->format == OUTPUT_NDJSON || o->format == OUTPUT_CSV)
		fflush(o->to);
}

void output_int(struct output *o, int64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, v);
	output_cell(o, text);
}

bool output_end(struct output **o)
{
	struct output *x = *o;
	check(x->next == 0 && (x->shape == OUTPUT_MANY || x->rows == 1));
	if (x->format == OUTPUT_TABLE)
		print_table(x);
	if (x->format == OUTPUT_JSON && x->shape == OUTPUT_MANY)
		fputs(x->rows > 0 ? "\n]\n" : "]\n", x->to);
	bool ok = fflush(x->to) == 0 && !ferror(x->to);
	output_freep(o);
	return ok;
}
