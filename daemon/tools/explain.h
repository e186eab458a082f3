// SPDX-License-Identifier: Apache-2.0
// Explaining what is published: a document, or an account's month. explain.c prints, explain_terms.c finds where figures come from.
#ifndef TOOLS_EXPLAIN_H
#define TOOLS_EXPLAIN_H

#include "tools/held.h"
#include "tools/paper.h"
#include "tools/published.h"

struct explain {
	const struct published *published; // of the account, all months; NULL: one document is all that is known
	const struct rules *rules;         // that rated the document
	const struct account_book *facts;  // what was said of accounts; NULL: not known
	struct arena *arena;
	enum paper_lang lang;
	uint32_t papers;                   // written so far
};

// Adds to a paper that was read from the document what the account's terms say.
void explain_terms(const struct explain *x, const struct published_document *d, const struct terms *t, uint32_t service, struct paper *p);
const char *explain_keep_span(const struct explain *x, struct span s); // as text in the arena
static inline const char *explain_keep(const struct explain *x, const char *text) { return explain_keep_span(x, span_of(text)); }

// How the terms of a document are found; false: they are not known (the document is explained by itself then).
typedef bool explain_terms_fn(void *ctx, const struct published_document *d, const struct terms **ret, const struct rules **ret_rules);
// One settlement or adjustment. Returns the number of steps that do not add up; -1: it cannot be read, with words on stderr.
int explain_document(struct explain *x, const struct published_document *d, explain_terms_fn *terms, void *ctx, FILE *to);
// The newest statement of the month: each line with its adjustments, then the sum. service NULL: all. As above.
int explain_month(struct explain *x, const struct published_document *bill, const char *service, explain_terms_fn *terms, void *ctx, FILE *to);

#endif
