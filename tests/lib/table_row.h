// SPDX-License-Identifier: Apache-2.0
// One line of a text table: fields separated by " | ", blanks around fields trimmed. Without Criterion, so that it can be fuzzed.
#ifndef TABLE_ROW_H
#define TABLE_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { TABLE_FIELDS = 32 };
struct table_row {
	const char *file;
	int line, n;
	char *field[TABLE_FIELDS];
};

static inline char *table_trim(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	for (size_t n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL; n--)
		s[n - 1] = '\0';
	return s;
}

// Cuts the line up, in place. False for an empty line and for a comment.
static inline bool table_split(char *line, struct table_row *row)
{
	char *s = table_trim(line);
	if (*s == '\0' || *s == '#')
		return false;
	for (char *next = s; next != NULL && row->n < TABLE_FIELDS; row->n++) {
		char *bar = strstr(next, " | ");
		row->field[row->n] = next;
		if (bar != NULL)
			*bar = '\0';
		next = bar != NULL ? bar + 3 : NULL;
	}
	for (int i = 0; i < row->n; i++)
		row->field[i] = table_trim(row->field[i]);
	return true;
}

#endif
