// SPDX-License-Identifier: Apache-2.0
// Text tables as tests: one row a case, fields separated by " | ", blanks around fields trimmed, '#' begins a comment line, the
// expected result stands last. A billing person can read and write them.
#ifndef TABLE_H
#define TABLE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table_row.h"

typedef void table_row_fn(void *ctx, const struct table_row *row);

// Calls fn for every row of tests/table/<name>; returns their number, which is never 0.
static inline int table_each(const char *name, table_row_fn *fn, void *ctx)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/tests/table/%s", SOURCE_DIR, name);
	FILE *f = fopen(path, "r");
	cr_assert(f != NULL, "cannot open %s", path);
	char *line = NULL;
	size_t size = 0;
	int rows = 0, number = 0;
	while (getline(&line, &size, f) >= 0) {
		number++;
		struct table_row row = { .file = name, .line = number };
		if (!table_split(line, &row))
			continue;
		fn(ctx, &row);
		rows++;
	}
	free(line);
	fclose(f);
	cr_assert(rows > 0, "%s holds no row", path);
	return rows;
}

#endif
