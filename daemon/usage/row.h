// SPDX-License-Identifier: Apache-2.0
// A line of usage as texts, field by field (tbl/usage.def), and those fields as JSON.
#ifndef USAGE_ROW_H
#define USAGE_ROW_H

#include <stdio.h>

#include "usage/month.h"

enum usage_field {
#define USAGE_FIELD(id, kind, people, help) USAGE_##id,
#include "tbl/usage.def"
#undef USAGE_FIELD
	USAGE_FIELDS
};

struct usage_row {
	const char *text[USAGE_FIELDS]; // NULL: null
	uint32_t service;
	struct usage_line line;         // not priced: a month at price 0
};

// Of one of the counters that *m was made from. Lies in w->arena. ERROR_HALT: the bill is too large for exact figures.
enum error_class usage_row_make(struct usage_world *w, struct usage_month *m, const struct usage_counter *c, struct usage_row *ret, struct error *e);

// An instant, or what stands in its place; NULL: there is nothing to reach.
const char *usage_point_text(const struct forecast_point *p, char buf[TIME_TEXT]);

// "[", the rows, "]": `n` is the number of rows written so far. What they hold is UTF-8 (the decoder and the price book see to that).
void usage_row_json(const struct usage_row *r, uint32_t n, FILE *to);
void usage_rows_end(uint32_t n, FILE *to);

#endif
