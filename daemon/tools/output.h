// SPDX-License-Identifier: Apache-2.0
// Records on stdout in the four formats of all verbs: declare columns, add rows cell by cell, end.
//
//   table    aligned by what a terminal shows (wide characters count two); held back until the end
//   json     one array of objects; for OUTPUT_ONE the object itself
//   ndjson   an object a line, flushed with each row
//   csv      RFC 4180 with a header line, flushed with each row
//
// Cells hold text of others: control characters and broken UTF-8 never reach a terminal or a JSON string as they are.
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NDJSON, OUTPUT_CSV };
enum output_shape {
	OUTPUT_MANY, // rows below a header line
	OUTPUT_ONE,  // exactly one row; as a table: a line `name  value` for each column
};
enum output_kind {
	OUTPUT_TEXT,   // JSON string
	OUTPUT_NUMBER, // JSON integer; to the right in tables
	OUTPUT_AMOUNT, // money: JSON string; to the right in tables
	OUTPUT_RAW,    // a JSON value as it is, such as an array
};

struct output_column {
	const char *name;
	enum output_kind kind;
};

struct output;

// NULL: table when `to` is a terminal, else ndjson. False, with words on stderr, for an unknown word.
bool output_format_of(const char *word, FILE *to, enum output_format *ret);

// The columns must live until output_end.
struct output *output_begin(FILE *to, enum output_format f, enum output_shape shape, const struct output_column *columns, int n);
// The next cell of the row; a row ends by itself with its last cell. NULL is null (empty in tables and csv).
void output_cell(struct output *o, const char *text);
void output_int(struct output *o, int64_t v);
// Writes what is left and frees. False when the stream failed (a closed pipe, a full disk).
bool output_end(struct output **o);
// Only frees; for CLEANUP.
void output_freep(struct output **o);

// s as a JSON string with its quotes.
void output_json_string(FILE *to, const char *s);

#endif
