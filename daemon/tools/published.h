// SPDX-License-Identifier: Apache-2.0
// What is published of one account on the settlements topic, read_committed, as JSON. Of an id that was published more than once the
// first one stands, as readers that drop repeats have it.
#ifndef TOOLS_PUBLISHED_H
#define TOOLS_PUBLISHED_H

#include <jansson.h>

#include "base/error.h"
#include "model/kafka_options.h"
#include "tools/options.h"

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
// The whole topic. OPTIONS_GO_ON or an exit code with the reason on stderr.
int published_read(struct published *p, const struct options *o, const struct kafka_options *k);
void published_free(struct published *p);

// The line of a service (NULL: the statement) in a month; revision -1: the newest. NULL: none.
const struct published_document *published_find(const struct published *p, const char *account, const char *service, int month, int64_t revision);
// Why there is no statement of the account for the month, on stderr: 75 it is not settled yet, 78 there is nothing to state.
int published_missing(const char *verb, const struct published *p, const char *account, int month);
const struct published_document *published_by_id(const struct published *p, const char *id);

#endif
