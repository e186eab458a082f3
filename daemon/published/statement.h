// SPDX-License-Identifier: Apache-2.0
// An account's month out of what is published: the statement of a revision with its lines, as JSON, and whether they agree. Pure.
#ifndef PUBLISHED_STATEMENT_H
#define PUBLISHED_STATEMENT_H

#include "published/published.h"

struct statement {
	const struct published *from;
	const struct published_document *bill, *before; // before: the revision that it follows; NULL: none
	const struct published_document **lines;        // owned; as the statement names them; NULL: not published
	size_t n;
};

// revision -1: the newest. False: there is none.
bool statement_find(const struct published *p, const char *account, int month, int64_t revision, struct statement *ret);
void statement_free(struct statement *s);
// The statement's fields, with its lines whole instead of their ids, and the sums of each revision. Free it.
char *statement_json(const struct statement *s);
// The number of faults: lines that are not published, or sums that the lines do not have. The first one in words.
int statement_check(const struct statement *s, char *buf, size_t size);

#endif
