// SPDX-License-Identifier: Apache-2.0
// One JSON object whose fields are read: where its known members stand, and whether a name stands twice. Private to the room.
//
// A repeated name is noted, not refused: whether the object is read at all may be known only at its end.
#ifndef DECODE_OBJECT_H
#define DECODE_OBJECT_H

#include "decode/scan.h"

// The members that have a meaning: those that event.fields maps, and the attributes of a CloudEvent. Two slots may have the
// same name: a member then fills both.
enum slot {
	SLOT_ID, SLOT_ACCOUNT, SLOT_SERVICE, SLOT_TIME, SLOT_CALLS, SLOT_STATUS, SLOT_ITEMS,
	SLOT_CE_ID, SLOT_CE_SOURCE, SLOT_CE_TYPE, SLOT_CE_SPECVERSION, SLOT_CE_TIME, SLOT_CE_DATA,
	SLOT_COUNT
};

struct slot_names {
	uint8_t first[16], second[16]; // first two bytes of each name; first is 0 where there is no slot to be found
	const char *name[SLOT_COUNT];  // terminated with NUL
	enum slot ce_id, ce_time;      // where these attributes are: SLOT_ID and SLOT_TIME where those have the same name
};
void slot_names_of(const struct decode_fields *fields, struct slot_names *ret);

struct name {
	const uint8_t *p; // unescaped
	size_t n;
	const uint8_t *at; // where it stands in the text
};
enum { OBJECT_NAMES = 24 }; // unknown names that are compared pair by pair; more are sorted

struct object {
	const uint8_t *begin;
	uint32_t seen;                    // bit per slot
	struct token member[SLOT_COUNT];  // set where `seen` says so
	const uint8_t *repeated;          // the first name in the text that stood there before; NULL: none
	size_t n_names;
	struct name names[OBJECT_NAMES];  // those without a slot
	struct name *more;                // all of them, when they are more than OBJECT_NAMES
	size_t room;
};

// Memory for unescaped strings, of one record. Every string of the text is unescaped at most once, so what `large` needs is
// bounded by the length of the text.
struct unescape {
	struct decode_scratch *scratch;
	size_t text_n;
};
uint8_t *unescape_room(struct unescape *u, size_t n);

// At '{', at that depth. `data` (may be NULL): an object in SLOT_CE_DATA is read into it as well; untouched when there is none.
bool object_scan(struct scan *s, const struct slot_names *names, struct unescape *u, unsigned depth, struct object *o,
		 struct object *data);

static inline const struct token *object_member(const struct object *o, enum slot slot)
{
	return o->seen >> slot & 1 ? &o->member[slot] : NULL;
}

#endif
