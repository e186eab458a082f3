// SPDX-License-Identifier: Apache-2.0
// From the tree of the file to struct settings: which key is which row, what is unknown, what the file leaves out.
#include "settings/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "settings/row.h"

const struct row rows[ROWS] = {
#define SETTING(path, member, type, fallback, min, max, reloadable, decides, help) \
	{ path, ROW_##type, offsetof(struct settings, member), fallback, min, max, reloadable, decides, help },
#include "tbl/settings.def"
#undef SETTING
};

static const struct {
	int row, value;
	const char *word;
} choices[] = {
#define CHOICE(member, value, word) { ROW_OF_##member, value, word },
#include "tbl/choice.def"
#undef CHOICE
};

void row_words(const struct row *row, const char *ret[ROW_WORDS + 1])
{
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(choices); i++)
		if (&rows[choices[i].row] == row) {
			check(n < ROW_WORDS && choices[i].value == (int)n);
			ret[n++] = choices[i].word;
		}
	check(row->type == ROW_CHOICE && n > 0);
	ret[n] = NULL;
}

const char *row_word(const struct row *row, int value)
{
	const char *words[ROW_WORDS + 1];
	row_words(row, words);
	for (int i = 0; i < value; i++)
		check(words[i] != NULL);
	return words[value];
}

// ---- keys

// The row of `prefix.key`; -1 for none.
static int find_row(const char *path)
{
	for (int i = 0; i < ROWS; i++)
		if (strcmp(rows[i].path, path) == 0)
			return i;
	return -1;
}

static bool is_group(const char *path)
{
	size_t n = strlen(path);
	for (int i = 0; i < ROWS; i++)
		if (strncmp(rows[i].path, path, n) == 0 && rows[i].path[n] == '.')
			return true;
	return false;
}

// The keys that may stand below a prefix ("" or "kafka."), each once, NULL-terminated. Words are freed by free_keys.
static void known_keys(const char *prefix, char *ret[ROWS + 1])
{
	size_t n = 0, skip = strlen(prefix);
	for (int i = 0; i < ROWS; i++) {
		const char *rest = rows[i].path + skip;
		if (strncmp(rows[i].path, prefix, skip) != 0)
			continue;
		size_t len = strcspn(rest, ".");
		if (n == 0 || strlen(ret[n - 1]) != len || strncmp(ret[n - 1], rest, len) != 0)
			ret[n++] = xstrndup(rest, len);
	}
	ret[n] = NULL;
}

static void free_keys(char **keys)
{
	for (; *keys != NULL; keys++)
		free(*keys);
}

// A setting whose last word is this key, somewhere else than here.
static const char *elsewhere(const char *key)
{
	for (int i = 0; i < ROWS; i++) {
		const char *dot = strrchr(rows[i].path, '.');
		if (strcmp(rows[i].path, key) == 0 || strcmp(dot != NULL ? dot + 1 : rows[i].path, key) == 0)
			return rows[i].path;
	}
	return NULL;
}

static void unknown_key(struct reading *r, const char *prefix, const struct yaml_node *key)
{
	char *known[ROWS + 1];
	known_keys(prefix, known);
	const char *near = nearest_word(key->text.p, (const char *const *)known), *other = elsewhere(key->text.p);
	CLEANUP(freep) char *advice = NULL;
	if (near != NULL)
		advice = xasprintf("did you mean \"%s%s\"?", prefix, near);
	else if (other != NULL && strchr(key->text.p, '.') != NULL)
		advice = xstrdup("write each part of the name on a line of its own, indented below the one before");
	else if (other != NULL)
		advice = xasprintf("did you mean \"%s\"?", other);
	else
		advice = xstrdup("remove it; the sample file has every setting");
	fault_add(r->faults, r->file, key->line, key->column, "unknown key \"%s%.64s\": %s", prefix, key->text.p, advice);
	free_keys(known);
}

static bool is_nothing(const struct yaml_node *n)
{
	return n->kind == YAML_SCALAR && n->text.n == 0 && !n->quoted;
}

static void read_map(struct reading *r, const char *prefix, const struct yaml_node *map)
{
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = map->pairs[i].key, *value = map->pairs[i].value;
		CLEANUP(freep) char *path = xasprintf("%s%s", prefix, key->text.p);
		int row = strchr(key->text.p, '.') == NULL ? find_row(path) : -1;
		if (row >= 0) {
			r->at[row] = r->at[row] != NULL ? r->at[row] : value; // a second one is reported already
		} else if (!is_group(path) || strchr(key->text.p, '.') != NULL) {
			unknown_key(r, prefix, key);
		} else if (value->kind == YAML_MAP) {
			CLEANUP(freep) char *below = xasprintf("%s.", path);
			read_map(r, below, value);
		} else if (!is_nothing(value)) { // all of a group may be commented out
			fault_add(r->faults, r->file, value->line, value->column,
				  "%s: is a group of settings: write them on lines of their own, indented below it", path);
		}
	}
}

static void read_rows(struct reading *r)
{
	for (int i = 0; i < ROWS; i++) {
		struct span text = span_of(rows[i].fallback);
		struct yaml_node fallback = { .kind = YAML_SCALAR, .quoted = text.n == 0, .text = text };
		struct yaml_node *item = &fallback;
		struct yaml_node list = { .kind = YAML_LIST, .n = 1, .items = &item };
		size_t before = r->faults->n;
		if (r->at[i] != NULL)
			value_read(r, &rows[i], r->at[i]);
		else
			value_read(r, &rows[i], rows[i].type == ROW_LIST ? &list : &fallback);
		check(r->at[i] != NULL || r->faults->n == before);
	}
}

struct settings *settings_parse(const char *file, struct span text, struct faults *faults)
{
	size_t before = faults->n;
	CLEANUP(yaml_freep) struct yaml *y = yaml_parse(file, text, faults);
	if (y == NULL)
		return NULL;
	const struct yaml_node *root = yaml_root(y);
	if (root->kind != YAML_MAP) {
		fault_add(faults, file, root->line, root->column, "settings are lines of \"name: value\": see the sample file");
		return NULL;
	}
	CLEANUP(settings_freep) struct settings *s = xcalloc(1, sizeof(*s));
	s->file = xstrdup(file);
	struct reading r = { .file = file, .faults = faults, .s = s };
	read_map(&r, "", root);
	size_t named = faults->n;
	read_rows(&r);
	if (faults->n != named || faults_full(faults))
		return NULL; // of values that are wrong nothing more can be said
	cross_check(&r);
	return faults->n == before ? TAKE_PTR(s) : NULL;
}

struct settings *settings_load(const char *file, struct faults *faults, char **ret_text, size_t *ret_n)
{
	struct error e = { 0 };
	*ret_text = NULL;
	*ret_n = 0;
	if (file_read(file, SETTINGS_FILE_MOST, ret_text, ret_n, &e) != ERROR_NONE) {
		fault_add(faults, file, 0, 0, "%s", e.text);
		return NULL;
	}
	return settings_parse(file, (struct span){ *ret_text, *ret_n }, faults);
}

char *settings_catalog_path(const char *file, struct span text)
{
	struct faults ignored = { 0 };
	CLEANUP(yaml_freep) struct yaml *y = text.p != NULL ? yaml_parse(file, text, &ignored) : NULL;
	faults_free(&ignored);
	const struct yaml_node *root = y != NULL ? yaml_root(y) : NULL, *n = yaml_get(root, "catalog");
	if (root == NULL || root->kind != YAML_MAP || (n != NULL && (n->kind != YAML_SCALAR || n->text.n == 0)))
		return NULL;
	return file_beside(file, n != NULL ? n->text.p : rows[ROW_OF_catalog].fallback);
}

void settings_freep(struct settings **s)
{
	if (*s == NULL)
		return;
	for (int i = 0; i < ROWS; i++)
		value_free(*s, &rows[i]);
	if ((*s)->password != NULL)
		explicit_bzero((*s)->password, strlen((*s)->password));
	free((*s)->password);
	free((*s)->file);
	free(*s);
	*s = NULL;
}
