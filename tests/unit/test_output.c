// SPDX-License-Identifier: Apache-2.0
// The formats of all verbs, byte for byte.
#include "tools/output.h"

#include "table.h"

#include <criterion/redirect.h>

static const struct output_column columns[] = { { "name", OUTPUT_TEXT }, { "calls", OUTPUT_NUMBER }, { "charge", OUTPUT_AMOUNT },
	{ "packs", OUTPUT_RAW } };

static char *shown(enum output_format f, enum output_shape shape, int rows)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	struct output *o = output_begin(to, f, shape, columns, 4);
	static const char *const names[] = { "图像标签", "a \"b\", \\ c\n\x1b[31m", "bad \xff utf" };
	for (int i = 0; i < rows; i++) {
		output_cell(o, names[i]);
		output_int(o, i == 0 ? 1010000 : 7);
		output_cell(o, i == 0 ? "2200.00" : NULL);
		output_cell(o, i == 0 ? "[{\"id\":1}]" : "[]");
	}
	cr_assert(output_end(&o));
	cr_assert_null(o);
	fclose(to);
	return text;
}

static void expect_shown(enum output_format f, enum output_shape shape, int rows, const char *want)
{
	char *got = shown(f, shape, rows);
	cr_expect_str_eq(got, want, "got\n%s\nwant\n%s", got, want);
	free(got);
}

Test(output, table)
{
	expect_shown(OUTPUT_TABLE, OUTPUT_MANY, 3,
	       "name                calls   charge  packs\n"
	       "图像标签          1010000  2200.00  [{\"id\":1}]\n"
	       "a \"b\", \\ c??[31m        7           []\n"
	       "bad ? utf               7           []\n");
	expect_shown(OUTPUT_TABLE, OUTPUT_MANY, 0, "name  calls  charge  packs\n");
	expect_shown(OUTPUT_TABLE, OUTPUT_ONE, 1, "name    图像标签\ncalls   1010000\ncharge  2200.00\npacks   [{\"id\":1}]\n");
}

Test(output, json)
{
	expect_shown(OUTPUT_JSON, OUTPUT_MANY, 0, "[]\n");
	expect_shown(OUTPUT_JSON, OUTPUT_MANY, 3,
	       "[\n{\"name\":\"图像标签\",\"calls\":1010000,\"charge\":\"2200.00\",\"packs\":[{\"id\":1}]},\n"
	       "{\"name\":\"a \\\"b\\\", \\\\ c\\n\\u001b[31m\",\"calls\":7,\"charge\":null,\"packs\":[]},\n"
	       "{\"name\":\"bad \\ufffd utf\",\"calls\":7,\"charge\":null,\"packs\":[]}\n]\n");
	expect_shown(OUTPUT_JSON, OUTPUT_ONE, 1, "{\"name\":\"图像标签\",\"calls\":1010000,\"charge\":\"2200.00\",\"packs\":[{\"id\":1}]}\n");
}

Test(output, ndjson)
{
	expect_shown(OUTPUT_NDJSON, OUTPUT_MANY, 0, "");
	expect_shown(OUTPUT_NDJSON, OUTPUT_MANY, 2,
	       "{\"name\":\"图像标签\",\"calls\":1010000,\"charge\":\"2200.00\",\"packs\":[{\"id\":1}]}\n"
	       "{\"name\":\"a \\\"b\\\", \\\\ c\\n\\u001b[31m\",\"calls\":7,\"charge\":null,\"packs\":[]}\n");
}

Test(output, csv)
{
	expect_shown(OUTPUT_CSV, OUTPUT_MANY, 2,
	       "name,calls,charge,packs\r\n图像标签,1010000,2200.00,\"[{\"\"id\"\":1}]\"\r\n"
	       "\"a \"\"b\"\", \\ c\n\x1b[31m\",7,,[]\r\n");
}

Test(output, a_stream_that_fails_is_reported)
{
	FILE *full = fopen("/dev/full", "w");
	struct output *o = output_begin(full, OUTPUT_NDJSON, OUTPUT_MANY, columns, 4);
	for (int i = 0; i < 4; i++)
		output_int(o, i);
	cr_assert_not(output_end(&o));
	fclose(full);
}

Test(output, format_words)
{
	enum output_format f = OUTPUT_TABLE;
	FILE *file = tmpfile();
	cr_assert(output_format_of("csv", file, &f) && f == OUTPUT_CSV);
	cr_assert(output_format_of(NULL, file, &f) && f == OUTPUT_NDJSON);
	cr_redirect_stderr();
	cr_assert_not(output_format_of("xml", file, &f));
	fclose(file);
}
