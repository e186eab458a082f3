// SPDX-License-Identifier: Apache-2.0
// A line of a .table: its fields joined again are the line, but for blanks.
// most: 512
#include "fuzz.h"
#include "table_row.h"

static void check_field(const char *f, bool last_of_many)
{
	size_t n = strlen(f);
	fuzz_check(n == 0 || (strchr(" \t\r\n", f[0]) == NULL || f[0] == '\r' || f[0] == '\n'));
	fuzz_check(n == 0 || strchr(" \t\r\n", f[n - 1]) == NULL);
	fuzz_check(last_of_many || strstr(f, " | ") == NULL);
}

FUZZ(s)
{
	CLEANUP(freep) char *line = xstrndup(s.p, s.n), *whole = xstrdup(line);
	struct table_row row = { 0 };
	if (!table_split(line, &row))
		return;
	fuzz_check(row.n >= 1 && row.n <= TABLE_FIELDS);
	const char *at = whole;
	for (int i = 0; i < row.n; i++) {
		check_field(row.field[i], i == TABLE_FIELDS - 1);
		at = strstr(at, row.field[i]); // in order
		fuzz_check(at != NULL);
		at += strlen(row.field[i]);
	}
}
