// SPDX-License-Identifier: Apache-2.0
// Two files compared by the rows of the table, and what a running process takes over. What is reloadable is a number, so that it can be
// stored in one piece while other threads read it; a text would need an owner for the old one.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "settings/row.h"

static char *text_of(const struct settings *s, const struct row *row)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = xmemstream(&text, &n);
	value_print(s, row, to);
	xmemstream_close(to);
	return text;
}

static void add_name(char **list, const char *name)
{
	char *longer = xasprintf("%s%s%s", *list, (*list)[0] != '\0' ? ", " : "", name);
	free(*list);
	*list = longer;
}

void settings_compare(const struct settings *now, const struct settings *next, struct settings_changes *ret)
{
	*ret = (struct settings_changes){ xstrdup(""), xstrdup(""), xstrdup("") };
	for (int i = 0; i < ROWS; i++) {
		CLEANUP(freep) char *a = text_of(now, &rows[i]);
		CLEANUP(freep) char *b = text_of(next, &rows[i]);
		if (strcmp(a, b) != 0)
			add_name(rows[i].decides ? &ret->rules : rows[i].reloadable ? &ret->taken : &ret->restart, rows[i].path);
	}
}

void settings_changes_free(struct settings_changes *c)
{
	free(c->taken);
	free(c->restart);
	free(c->rules);
	*c = (struct settings_changes){ 0 };
}

static void adopt_row(struct settings *now, const struct settings *next, const struct row *row)
{
	void *to = value_at(now, row);
	const void *from = value_at(next, row);
	switch (row->type) {
	case ROW_INT:
	case ROW_DURATION:
	case ROW_BYTES:
		__atomic_store_n((int64_t *)to, *(const int64_t *)from, __ATOMIC_RELAXED);
		break;
	case ROW_CHOICE:
		__atomic_store_n((int *)to, *(const int *)from, __ATOMIC_RELAXED);
		break;
	case ROW_BOOL:
		__atomic_store_n((bool *)to, *(const bool *)from, __ATOMIC_RELAXED);
		break;
	default:
		check(false); // a text is never reloadable: test_settings looks at the rows
	}
}

void settings_adopt(struct settings *now, const struct settings *next)
{
	for (int i = 0; i < ROWS; i++)
		if (rows[i].reloadable && !rows[i].decides)
			adopt_row(now, next, &rows[i]);
}
