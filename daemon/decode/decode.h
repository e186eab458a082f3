// SPDX-License-Identifier: Apache-2.0
// One record in, one event or one reason out: events.md, sections 2 and 3. Pure: no clock, no I/O, no globals.
//
// The scanner is strict: what is not valid JSON (RFC 8259, UTF-8 without byte order mark) is refused, also inside values
// that nobody reads. It makes one pass, and copies only strings that hold escapes.
//
// A record that is wrong in several ways is refused for the first of these, so that the reason never depends on chance:
//   1. no value (EMPTY)
//   2. headers: a batch; then the first ce_ header that is null or repeats an earlier one
//   3. the JSON text: the first byte that is wrong; then a value that is no object; then the first repeated name in the event
//   4. CloudEvents: specversion, id, source, type, data (its presence, its type, its first repeated name)
//   5. fields in the order of events.md, section 3: id, account, service, time, calls, status; items, one after the other, where
//      `service` stands in that list. Of each field: missing, null, type, half a surrogate pair, length, content.
//
// Where events.md leaves a choice:
// - Header values are compared and taken byte for byte. The Kafka binding of CloudEvents, unlike the HTTP one, encodes them as
//   plain UTF-8 and has no percent-encoding, so `%20` stays `%20`. An attribute that is read must be valid UTF-8.
// - Header names are compared exactly. The rule about null and repeated ce_ headers holds for every record, also for flat events.
// - With content-type application/cloudevents+json the event is structured even when it has a ce_specversion header.
// - `id` and `source` of a CloudEvent are its attributes, whatever event.fields says; so are `type`, `time`, `data`. An `id` inside
//   data is an unknown field. data.time is read only where the attribute time is absent.
// - source and type must not be empty, as CloudEvents says; source has no greatest length.
// - calls in an item is optional, like calls in an event. Names inside items are mapped as well.
// - Times from 2199-12-31Z on are refused too: no month table reaches further.
#ifndef DECODE_DECODE_H
#define DECODE_DECODE_H

#include <stdbool.h>
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

// Memory for unescaped strings, one per thread. All zero before its first use; decode_scratch_free at the end.
struct decode_scratch {
	size_t used;
	bool in_large;
	char *large;       // only for records with very long escaped strings; kept, never longer than the longest such record
	size_t large_size;
	char bytes[16384];
};
void decode_scratch_free(struct decode_scratch *scratch);

struct decode_result {
	enum reject reject;  // REJECT_NONE: *event is set
	size_t position;     // byte of the value where the fault was found, from 0; 0 when it lies in no byte of it
	char detail[160];    // which field, which value: printable UTF-8, may quote a few bytes (not for logs); may be empty
};

// Does not handle ticks: ask record_is_tick first. *event is written only on success.
void decode_record(const struct decode_fields *fields, const struct record *rec, struct decode_scratch *scratch,
		   struct event *event, struct decode_result *ret);

// What a record bears that was rejected and then given back (letters/box.h): where it stood first, and the record clock there ("-": none).
#define GIVEN_BACK_HEADER "__meterd.requeued"
#define GIVEN_BACK_CLOCK_HEADER "__meterd.requeued.clock"
#define GIVEN_BACK_STAMP_HEADER "__meterd.requeued.timestamp"
#define TICK_HEADER "__meterd.tick"
// A control record: the tick header and an empty or null value (events.md, section 1).
bool record_is_tick(const struct record *rec);

#endif
