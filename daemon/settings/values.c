// SPDX-License-Identifier: Apache-2.0
// How a value of each type is read, bounded and written.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "settings/row.h"

struct unit {
	const char *name;
	int64_t size;
};
static const struct unit time_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
static const struct unit byte_units[] = { { "B", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 } };

#define wrong(r, row, node, fmt, ...) \
	fault_add((r)->faults, (r)->file, (node)->line, (node)->column, "%s: " fmt, (row)->path, __VA_ARGS__)

static const char *amount_text(int64_t v, const struct unit *units, size_t n, char buf[AMOUNT_TEXT])
{
	const struct unit *u = &units[v == 0 ? 1 : 0]; // "0s", not "0ms"
	for (size_t i = 0; i < n; i++)
		if (v != 0 && v % units[i].size == 0)
			u = &units[i];
	if (v == 24 * 3600000 && n == ARRAY_LEN(time_units))
		u = &units[3]; // people say 24h
	snprintf(buf, AMOUNT_TEXT, "%lld%s", (long long)(v / u->size), u->name);
	return buf;
}

const char *duration_text(int64_t ms, char buf[AMOUNT_TEXT])
{
	return amount_text(ms, time_units, ARRAY_LEN(time_units), buf);
}

const char *bytes_text(int64_t bytes, char buf[AMOUNT_TEXT])
{
	return amount_text(bytes, byte_units, ARRAY_LEN(byte_units), buf);
}

// ---- reading

static bool scalar(struct reading *r, const struct row *row, const struct yaml_node *node, const char *wanted)
{
	static const char *const nothing[] = { "", "~", "null", "Null", "NULL" };
	if (node->kind != YAML_SCALAR) {
		wrong(r, row, node, "must be %s, not a %s", wanted, node->kind == YAML_LIST ? "list" : "map");
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(nothing) && !node->quoted; i++)
		if (span_is(node->text, nothing[i])) {
			wrong(r, row, node, "has no value: write %s, or remove the line for the default (%s)", wanted,
			      row->fallback[0] != '\0' ? row->fallback : "empty");
			return false;
		}
	return true;
}

static bool plain(struct reading *r, const struct row *row, const struct yaml_node *node, const char *wanted)
{
	if (!scalar(r, row, node, wanted))
		return false;
	if (node->quoted)
		wrong(r, row, node, "must be %s: remove the quotes", wanted);
	return !node->quoted;
}

// "between 1 and 64", "less than 72h", in the row's own units.
static void range_fault(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	char low[AMOUNT_TEXT], high[AMOUNT_TEXT];
	const char *text = node->text.p;
	if (row_excludes_end(row))
		wrong(r, row, node, "%.40s is out of range: must be at least %s and less than %lldh", text, duration_text(row->min, low),
		      (long long)(row->max + 1) / 3600000);
	else if (row->type == ROW_DURATION)
		wrong(r, row, node, "%.40s is out of range: must be between %s and %s", text, duration_text(row->min, low),
		      duration_text(row->max, high));
	else if (row->type == ROW_BYTES)
		wrong(r, row, node, "%.40s is out of range: must be between %s and %s", text, bytes_text(row->min, low),
		      bytes_text(row->max, high));
	else
		wrong(r, row, node, "%.40s is out of range: must be between %lld and %lld", text, (long long)row->min,
		      (long long)row->max);
}

static void read_int(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	int64_t v = 0;
	if (!plain(r, row, node, "a whole number"))
		return;
	size_t digits = strspn(node->text.p, "-0123456789");
	if (!span_int64(node->text, &v) && (digits < node->text.n || node->text.n < 19))
		wrong(r, row, node, "\"%.40s\" is not a whole number: write digits only", node->text.p);
	else if (!span_int64(node->text, &v) || v < row->min || v > row->max)
		range_fault(r, row, node);
	else
		*(int64_t *)value_at(r->s, row) = v;
}

static const struct unit *find_unit(const char *name, const struct unit *units, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(units[i].name, name) == 0)
			return &units[i];
	return NULL;
}

// Digits, then a unit.
static void read_amount(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	bool time = row->type == ROW_DURATION;
	const struct unit *units = time ? time_units : byte_units;
	size_t n = time ? ARRAY_LEN(time_units) : ARRAY_LEN(byte_units);
	const char *wanted = time ? "a duration such as 500ms, 5s, 10m, 24h or 3d" : "a size such as 512KiB or 64MiB";
	const char *names = time ? "ms, s, m, h or d" : "B, KiB, MiB or GiB";
	if (!plain(r, row, node, wanted))
		return;
	struct span digits = { node->text.p, strspn(node->text.p, "0123456789") };
	const char *rest = digits.p + digits.n;
	const struct unit *u = find_unit(rest, units, n);
	int64_t v = 0;
	if (digits.n == 0 || *rest == '.' || *rest == ',')
		wrong(r, row, node, "\"%.40s\" is not %s (whole numbers only)", node->text.p, wanted);
	else if (*rest == '\0')
		wrong(r, row, node, "%.40s needs a unit, such as %.40s%s: one of %s", node->text.p, node->text.p, time ? "s" : "B",
		      names);
	else if (u == NULL)
		wrong(r, row, node, "unknown unit \"%.20s\": write one of %s, without a blank", rest, names);
	else if (digits.n > 1 && digits.p[0] == '0')
		wrong(r, row, node, "\"%.40s\" begins with a 0: remove it", node->text.p);
	else if (!span_int64(digits, &v) || __builtin_mul_overflow(v, u->size, &v) || v < row->min || v > row->max)
		range_fault(r, row, node);
	else
		*(int64_t *)value_at(r->s, row) = v;
}

static void read_bool(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	if (!plain(r, row, node, "true or false"))
		return;
	bool yes = span_is(node->text, "true");
	if (!yes && !span_is(node->text, "false"))
		wrong(r, row, node, "\"%.40s\" is neither true nor false", node->text.p);
	else
		*(bool *)value_at(r->s, row) = yes;
}

static void read_choice(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	const char *words[ROW_WORDS + 1];
	row_words(row, words);
	char all[200] = "";
	for (int i = 0; words[i] != NULL; i++) {
		size_t n = strlen(all);
		snprintf(all + n, sizeof(all) - n, "%s%s", i == 0 ? "" : words[i + 1] != NULL ? ", " : " or ", words[i]);
	}
	if (!scalar(r, row, node, all))
		return;
	for (int i = 0; words[i] != NULL; i++)
		if (span_is(node->text, words[i])) {
			*(int *)value_at(r->s, row) = i;
			return;
		}
	wrong(r, row, node, "\"%.40s\" is none of its words: write %s", node->text.p, all);
}

// A text of allowed length, on one line.
static bool good_text(struct reading *r, const struct row *row, const struct yaml_node *node, int64_t min, int64_t max)
{
	if (!scalar(r, row, node, "a text"))
		return false;
	for (size_t i = 0; i < node->text.n; i++)
		if ((unsigned char)node->text.p[i] < 0x20 || node->text.p[i] == 0x7f) {
			wrong(r, row, node, "%s", "holds a line break or control character: write it on one line");
			return false;
		}
	bool fits = (int64_t)node->text.n >= min && (int64_t)node->text.n <= max;
	if (node->text.n == 0 && !fits)
		wrong(r, row, node, "must not be empty: write a value, or remove the line for the default (%s)", row->fallback);
	else if (!fits)
		wrong(r, row, node, "has %zu bytes: must be between %lld and %lld", node->text.n, (long long)min, (long long)max);
	return fits;
}

static void read_text(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	if (!good_text(r, row, node, row->min, row->max))
		return;
	bool path = row->type != ROW_TEXT && node->text.n > 0;
	*(char **)value_at(r->s, row) = path ? file_beside(r->file, node->text.p) : xstrdup(node->text.p);
}

static void read_list(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	if (node->kind == YAML_SCALAR && node->text.n > 0) {
		wrong(r, row, node, "must be a list: write [%.60s]", node->text.p);
		return;
	}
	if (node->kind == YAML_MAP) {
		wrong(r, row, node, "must be a list, not a %s", "map");
		return;
	}
	if ((int64_t)node->n < row->min || (int64_t)node->n > row->max) {
		wrong(r, row, node, "has %u items: must have between %lld and %lld", node->n, (long long)row->min, (long long)row->max);
		return;
	}
	char **list = xcalloc(node->n + 1, sizeof(*list));
	*(char ***)value_at(r->s, row) = list;
	for (uint32_t i = 0; i < node->n; i++) {
		list[i] = xstrdup("");
		if (!good_text(r, row, node->items[i], 1, 249))
			continue;
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(list[j], node->items[i]->text.p) == 0)
				wrong(r, row, node->items[i], "\"%.60s\" stands twice: remove one of them", list[j]);
		free(list[i]);
		list[i] = xstrdup(node->items[i]->text.p);
	}
}

void value_read(struct reading *r, const struct row *row, const struct yaml_node *node)
{
	switch (row->type) {
	case ROW_TEXT:
	case ROW_PATH:
	case ROW_SECRET_FILE:
		read_text(r, row, node);
		break;
	case ROW_INT:
		read_int(r, row, node);
		break;
	case ROW_DURATION:
	case ROW_BYTES:
		read_amount(r, row, node);
		break;
	case ROW_BOOL:
		read_bool(r, row, node);
		break;
	case ROW_LIST:
		read_list(r, row, node);
		break;
	case ROW_CHOICE:
		read_choice(r, row, node);
		break;
	}
}

void value_free(struct settings *s, const struct row *row)
{
	if (row->type == ROW_LIST) {
		char **list = *(char ***)value_at(s, row);
		for (char **p = list; p != NULL && *p != NULL; p++)
			free(*p);
		free(list);
	} else if (row->type == ROW_TEXT || row->type == ROW_PATH || row->type == ROW_SECRET_FILE) {
		free(*(char **)value_at(s, row));
	}
}

// ---- writing

static bool needs_quotes(const char *s)
{
	static const char *const special[] = { "", "~", "null", "Null", "NULL", "-", "---", "..." };
	for (size_t i = 0; i < ARRAY_LEN(special); i++)
		if (strcmp(s, special[i]) == 0)
			return true;
	for (const char *p = s; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr("._/-", *p) == NULL &&
		    (p == s || p[1] == '\0' || strchr(":=?&@+", *p) == NULL))
			return true;
	return s[0] == '-' || s[0] == '.';
}

static void print_text(const char *s, FILE *to)
{
	if (!needs_quotes(s)) {
		fputs(s, to);
		return;
	}
	fputc('"', to);
	for (; *s != '\0'; s++)
		fprintf(to, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	fputc('"', to);
}

static void print_list(char *const *list, FILE *to)
{
	fputc('[', to);
	for (char *const *p = list; *p != NULL; p++) {
		fputs(p == list ? "" : ", ", to);
		print_text(*p, to);
	}
	fputc(']', to);
}

void value_print(const struct settings *s, const struct row *row, FILE *to)
{
	char buf[AMOUNT_TEXT];
	const void *at = value_at(s, row);
	switch (row->type) {
	case ROW_TEXT:
	case ROW_PATH:
	case ROW_SECRET_FILE:
		print_text(*(char *const *)at, to);
		break;
	case ROW_INT:
		fprintf(to, "%lld", (long long)*(const int64_t *)at);
		break;
	case ROW_DURATION:
		fputs(duration_text(*(const int64_t *)at, buf), to);
		break;
	case ROW_BYTES:
		fputs(bytes_text(*(const int64_t *)at, buf), to);
		break;
	case ROW_BOOL:
		fputs(*(const bool *)at ? "true" : "false", to);
		break;
	case ROW_LIST:
		print_list(*(char **const *)at, to);
		break;
	case ROW_CHOICE:
		fputs(row_word(row, *(const int *)at), to);
		break;
	}
}
