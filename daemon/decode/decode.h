// SPDX-License-Identifier: Apache-2.0
// One record in, one event or one reason out: events.md, sections 2 and 3. Pure: no clock, no I/O, no globals.
//
// The scanner is strict: what is not valid JSON (RFC 8259, UTF-8 without byte order mark) is refused, also inside values
// that nobody reads. It makes one pass, and copies only strings that hold escapes.
#ifndef DECODE_DECODE_H
#define DECODE_DECODE_H

#include <stddef.h>

#include "model/event.h"

enum reject {
	REJECT_NONE = 0,
#define REJECT(id, stage, code, message, advice) REJECT_##id,
#include "tbl/reject.def"
#undef REJECT
	REJECT_COUNT
};
struct reject_info {
	const char *stage;   // "decode", "limit", "catalog", "time"
	const char *code;    // "json_syntax"
	const char *message; // one line
	const char *advice;  // what the producer should do
};
const struct reject_info *reject_info(enum reject r);

// Where to find each field; every name maps to exactly one field. Names are compared after unescaping. Read-only, shared.
struct decode_fields {
	char *id, *account, *service, *time, *calls, *status, *items; // never NULL; the default is the field's own name
};

struct decode_scratch {
	size_t used;
	char bytes[16384]; // unescaped strings of the fields read; their limits bound the sum
};

struct decode_result {
	enum reject reject;  // REJECT_NONE: *event is set
	size_t position;     // byte of the value where the fault was found; 0 when not a fault of the form
	char detail[160];    // which field, which value (safe to print); may be empty
};

// Does not handle ticks: ask record_is_tick first. *event is written only on success.
void decode_record(const struct decode_fields *fields, const struct record *rec, struct decode_scratch *scratch,
		   struct event *event, struct decode_result *ret);

#define TICK_HEADER "__meterd.tick"
// A control record: the tick header and an empty or null value (events.md, section 1).
bool record_is_tick(const struct record *rec);

#endif
