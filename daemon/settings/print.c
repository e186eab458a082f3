// SPDX-License-Identifier: Apache-2.0
// Settings as text: those in force, and the sample file.
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "settings/row.h"

enum { WIDTH = 110, STEP = 2 };

// Prints the names of groups that begin with this row; returns the row's indentation, and its last word in *ret_key.
static int print_groups(int row, const char **ret_key, FILE *to)
{
	const char *path = rows[row].path, *before = row > 0 ? rows[row - 1].path : "";
	int depth = 0;
	size_t from = 0;
	for (const char *dot; (dot = strchr(path + from, '.')) != NULL; from = (size_t)(dot - path) + 1, depth++)
		if (strncmp(path, before, (size_t)(dot - path) + 1) != 0)
			fprintf(to, "%*s%.*s:\n", depth * STEP, "", (int)(dot - path - (ptrdiff_t)from), path + from);
	*ret_key = path + from;
	return depth * STEP;
}

static char *value_of(const struct settings *s, const struct row *row)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = xmemstream(&text, &n);
	value_print(s, row, to);
	xmemstream_close(to);
	return text;
}

// Paths are relative to the file they were read from: made absolute, what is printed can be stored anywhere.
static char *shown_value(const struct settings *s, const struct row *row)
{
	bool path = row->type == ROW_PATH || row->type == ROW_SECRET_FILE;
	char *const *at = path ? value_at(s, row) : NULL;
	char here[PATH_MAX];
	if (!path || (*at)[0] == '/' || (*at)[0] == '\0' || getcwd(here, sizeof(here)) == NULL)
		return value_of(s, row);
	CLEANUP(freep) char *whole = xasprintf("%s/%s", here, *at);
	struct settings copy = *s;
	*(char **)value_at(&copy, row) = whole;
	return value_of(&copy, row);
}

void settings_print(const struct settings *s, FILE *to)
{
	struct faults none = { 0 };
	CLEANUP(settings_freep) struct settings *defaults = settings_parse(s->file, SPAN_LIT(""), &none);
	check(defaults != NULL);
	fprintf(to, "# Settings of meterd %s, read from %s\n", METERD_VERSION, s->file);
	for (int i = 0; i < ROWS; i++) {
		const char *key = NULL;
		int indent = print_groups(i, &key, to);
		CLEANUP(freep) char *now = shown_value(s, &rows[i]);
		CLEANUP(freep) char *usual = shown_value(defaults, &rows[i]);
		fprintf(to, "%*s%s: %s", indent, "", key, now);
		if (strcmp(now, usual) != 0)
			fprintf(to, "  # default: %s", rows[i].fallback[0] != '\0' ? rows[i].fallback : "empty");
		fputc('\n', to);
	}
}

// ---- the sample

static void print_paragraph(const char *text, int indent, FILE *to)
{
	size_t width = (size_t)(WIDTH - indent - 2);
	while (*text != '\0') {
		size_t n = strlen(text);
		if (n > width)
			for (n = width; n > 0 && text[n] != ' '; n--)
				;
		check(n > 0);
		fprintf(to, "%*s# %.*s\n", indent, "", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

static void allowed_text(const struct row *row, char *buf, size_t size)
{
	char a[AMOUNT_TEXT], b[AMOUNT_TEXT];
	const char *words[ROW_WORDS + 1];
	buf[0] = '\0';
	if (row->type == ROW_INT)
		snprintf(buf, size, "%lld to %lld. ", (long long)row->min, (long long)row->max);
	else if (row->type == ROW_BYTES)
		snprintf(buf, size, "%s to %s. ", bytes_text(row->min, a), bytes_text(row->max, b));
	else if (row_excludes_end(row))
		snprintf(buf, size, "%s to less than %lldh. ", duration_text(row->min, a), (long long)(row->max + 1) / 3600000);
	else if (row->type == ROW_DURATION)
		snprintf(buf, size, "%s to %s. ", duration_text(row->min, a), duration_text(row->max, b));
	else if (row->type == ROW_BOOL)
		snprintf(buf, size, "true or false. ");
	if (row->type != ROW_CHOICE)
		return;
	row_words(row, words);
	for (int i = 0; words[i] != NULL; i++) {
		size_t n = strlen(buf);
		snprintf(buf + n, size - n, "%s%s", words[i], words[i + 1] == NULL ? ". " : words[i + 2] == NULL ? " or " : ", ");
	}
}

static void print_facts(const struct row *row, int indent, FILE *to)
{
	char allowed[200];
	allowed_text(row, allowed, sizeof(allowed));
	const char *when = row->decides ? "Part of the rules: a change is a proposal." :
			   row->reloadable ? "Taken over on reload." :
					     "Read at start.";
	CLEANUP(freep) char *text = xasprintf("%s%s", allowed, when);
	print_paragraph(text, indent, to);
}

void settings_print_sample(FILE *to)
{
	struct faults none = { 0 };
	CLEANUP(settings_freep) struct settings *defaults = settings_parse("meterd.yaml", SPAN_LIT(""), &none);
	check(defaults != NULL);
	fputs("# SPDX-License-Identifier: Apache-2.0\n"
	      "# Settings of meterd. Every setting is here with its default: remove the '#' before the ones you change.\n"
	      "# `meterd --check-config` reports all errors of this file; `meterd --print-config` shows what is in force.\n"
	      "# Paths are seen from the folder of this file. Durations and sizes need a unit: 500ms, 5s, 10m, 24h, 3d; 512KiB, 64MiB.\n"
	      "# What is part of the rules (price book and whatever decides what an event is) takes effect once it stands in the control topic;\n"
	      "# the file only proposes it, so that instances with different files cannot disagree.\n",
	      to);
	for (int i = 0; i < ROWS; i++) {
		const char *key = NULL;
		fputc('\n', to);
		int indent = print_groups(i, &key, to);
		CLEANUP(freep) char *value = value_of(defaults, &rows[i]);
		print_paragraph(rows[i].help, indent, to);
		print_facts(&rows[i], indent, to);
		fprintf(to, "%*s#%s: %s\n", indent, "", key, value);
	}
}
