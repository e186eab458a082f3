// SPDX-License-Identifier: Apache-2.0
// What is published of one account on the settlements topic, read_committed, as JSON. Of an id that was published more than once the
// first one stands, as readers that drop repeats have it.
#ifndef PUBLISHED_PUBLISHED_H
#define PUBLISHED_PUBLISHED_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "period/period.h"

struct published_document {
	json_t *json;              // owned
	const json_t *data;
	const char *id, *account, *service, *period; // service: NULL for a statement
	int month;
	int64_t revision;
};
struct published {
	// what is asked for; NULL, MONTH_NONE: whatever
	const char *account, *id;
	int month;
	// what there is
	uint32_t n, size;
	struct published_document *list; // settlements, adjustments and statements, in the order of the topic
	int last_closed;           // newest month whose run has ended; MONTH_NONE: none
};
static inline struct published published_of(const char *account, int month)
{
	return (struct published){ .account = account, .month = month, .last_closed = MONTH_NONE };
}

// One message. What is no document of these kinds is passed over.
void published_take(struct published *p, struct span value);
void published_free(struct published *p);

// The line of a service (NULL: the statement) in a month; revision -1: the newest. NULL: none.
const struct published_document *published_find(const struct published *p, const char *account, const char *service, int month, int64_t revision);
static inline bool published_settled(const struct published *p, int month)
{
	return p->last_closed != MONTH_NONE && month <= p->last_closed;
}
const struct published_document *published_by_id(const struct published *p, const char *id);

#endif
