// SPDX-License-Identifier: Apache-2.0
// One Kafka record as read, and one event as understood.
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct header {
	struct span name;
	struct span value; // p == NULL: null
};

struct record {
	int64_t offset;
	int64_t timestamp_ms;   // of the record itself (CreateTime or LogAppendTime); -1 when there is none
	struct span key, value; // p == NULL: null
	const struct header *headers;
	uint32_t n_headers;
	uint32_t part;          // index of the partition among those assigned, see source/source.h
	void *opaque;           // the source's own
};

enum { EVENT_MAX_ITEMS = 64 };

struct event_item {
	struct span service;   // as written: id or alias
	int64_t calls;         // 1 … 1,000,000,000
};

// All spans point into the record or into the decoder's scratch: valid until the next decode with the same scratch.
struct event {
	struct span id;        // 1–128 bytes, unescaped
	struct span source;    // p == NULL: a flat event
	struct span account;   // 1–64 bytes of the safe alphabet, as written
	struct span status;    // "ok" when absent
	int64_t time_ms;
	uint32_t n_items;      // 1 … 64, order of first mention; a flat service/calls is one item
	struct event_item items[EVENT_MAX_ITEMS];
};

// What becomes of a record: the first that applies (events.md, section 1).
enum outcome {
#define OUTCOME(id, text, help) OUTCOME_##id,
#include "tbl/outcome.def"
#undef OUTCOME
	OUTCOME_COUNT
};
const char *outcome_text(enum outcome o); // "counted", …

#endif
