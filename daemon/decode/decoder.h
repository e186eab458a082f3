// SPDX-License-Identifier: Apache-2.0
// What decode.c (record, headers, envelope) and fields.c (fields, items) share while one record is read. Private to the room.
#ifndef DECODE_DECODER_H
#define DECODE_DECODER_H

#include "decode/object.h"
#include "decode/scan.h"

enum { ID_MAX = 128 };

// Where the attributes of a CloudEvent in binary mode stand; p NULL: absent.
struct attributes {
	bool structured, binary;
	struct span specversion, id, source, type, time;
};

struct decoder {
	const struct record *rec;
	struct decode_result *ret;
	struct unescape unescape;
	struct slot_names names;
	struct scan scan;
	struct attributes attributes;
	struct object event, data;
	const struct object *fields; // one of the two
	bool cloud;                  // then id and source are known before the fields
	struct span id, source;
};

// Says why the record is refused. `at` is a byte of the value, or NULL.
void decoder_reject(struct decoder *d, enum reject r, const uint8_t *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), cold, noinline));
#define refuse(d, ...) (decoder_reject(d, __VA_ARGS__), false)

enum { SHOWN = 48 };
// The bytes as printable ASCII, the rest as \xHH, cut with "...".
const char *shown(const uint8_t *p, size_t n, char buf[SHOWN]);
const char *kind_text(enum token_kind k);
// Both always return false.
bool refuse_value(struct decoder *d, enum reject r, const char *field, const struct token *t);
bool refuse_name(struct decoder *d, const uint8_t *name); // at its opening quote

// A string as it is meant. *ret is written on success only.
bool text_of(struct decoder *d, const char *field, const struct token *t, struct span *ret);
// The time of an attribute, from a header (t NULL) or from the object.
bool time_of_attribute(struct decoder *d, const char *name, const struct token *t, struct span text, int64_t *ret_ms);
// All that stands where d->fields says.
bool fields_read(struct decoder *d, struct event *event);

#endif
