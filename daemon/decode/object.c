// SPDX-License-Identifier: Apache-2.0
// Members and repeated names. See object.h.
//
// Known names are told apart by their first two bytes, all slots at once, and then by comparing the one that is left. Two equal
// unknown names are found pair by pair while they are few; of more than OBJECT_NAMES the list is sorted at the end, so that a
// hostile object of n names costs n log n and not n * n, whatever its names are (no hash: nothing to guess).
#include "decode/object.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

// The attributes, and nothing yet where event.fields has its slots.
static const struct slot_names ATTRIBUTES = {
	.first = { [SLOT_CE_ID] = 'i', [SLOT_CE_SOURCE] = 's', [SLOT_CE_TYPE] = 't', [SLOT_CE_SPECVERSION] = 's',
		   [SLOT_CE_TIME] = 't', [SLOT_CE_DATA] = 'd' },
	.second = { [SLOT_CE_ID] = 'd', [SLOT_CE_SOURCE] = 'o', [SLOT_CE_TYPE] = 'y', [SLOT_CE_SPECVERSION] = 'p',
		    [SLOT_CE_TIME] = 'i', [SLOT_CE_DATA] = 'a' },
	.name = { [SLOT_CE_ID] = "id", [SLOT_CE_SOURCE] = "source", [SLOT_CE_TYPE] = "type",
		  [SLOT_CE_SPECVERSION] = "specversion", [SLOT_CE_TIME] = "time", [SLOT_CE_DATA] = "data" },
	.ce_id = SLOT_CE_ID,
	.ce_time = SLOT_CE_TIME,
};

static inline void set_name(struct slot_names *names, enum slot slot, const char *name)
{
	names->name[slot] = name;
	names->first[slot] = (uint8_t)name[0];
	names->second[slot] = name[0] != '\0' ? (uint8_t)name[1] : 0;
}

void slot_names_of(const struct decode_fields *fields, struct slot_names *ret)
{
	*ret = ATTRIBUTES;
	set_name(ret, SLOT_ID, fields->id);
	set_name(ret, SLOT_ACCOUNT, fields->account);
	set_name(ret, SLOT_SERVICE, fields->service);
	set_name(ret, SLOT_TIME, fields->time);
	set_name(ret, SLOT_CALLS, fields->calls);
	set_name(ret, SLOT_STATUS, fields->status);
	set_name(ret, SLOT_ITEMS, fields->items);
	if (fields->id[0] == 'i' && strcmp(fields->id, "id") == 0) {
		ret->ce_id = SLOT_ID;
		ret->first[SLOT_CE_ID] = 0;
	}
	if (fields->time[0] == 't' && strcmp(fields->time, "time") == 0) {
		ret->ce_time = SLOT_TIME;
		ret->first[SLOT_CE_TIME] = 0;
	}
}

// A bit for each slot whose name begins with these bytes.
static inline uint32_t slots_beginning(const struct slot_names *names, uint8_t first, uint8_t second)
{
#ifdef __SSE2__
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)names->first);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)names->second);
	a = _mm_cmpeq_epi8(a, _mm_set1_epi8((char)first));
	b = _mm_cmpeq_epi8(b, _mm_set1_epi8((char)second));
	return (uint32_t)_mm_movemask_epi8(_mm_and_si128(a, b));
#else
	uint32_t mask = 0;
	for (int i = 0; i < SLOT_COUNT; i++)
		mask |= (uint32_t)(names->first[i] == first && names->second[i] == second) << i;
	return mask;
#endif
}

// A bit for each slot of this name. A name that holds NUL has none.
static inline uint32_t slots_named(const struct slot_names *names, const uint8_t *p, size_t n)
{
	if (n == 0 || p[0] == '\0')
		return 0;
	uint32_t found = 0;
	for (uint32_t left = slots_beginning(names, p[0], n > 1 ? p[1] : 0); left != 0; left &= left - 1) {
		int slot = __builtin_ctz(left);
		const char *name = names->name[slot];
		size_t i = 1;
		while (name[i] != '\0' && i < n && (uint8_t)name[i] == p[i])
			i++;
		if (i == n && name[i] == '\0')
			found |= 1u << slot;
	}
	return found;
}

uint8_t *unescape_room(struct unescape *u, size_t n)
{
	struct decode_scratch *c = u->scratch;
	if (!c->in_large && n <= sizeof(c->bytes) - c->used) {
		c->used += n;
		return (uint8_t *)c->bytes + c->used - n;
	}
	if (!c->in_large) {
		c->in_large = true;
		c->used = 0;
		if (c->large_size < u->text_n) {
			c->large = xrealloc(c->large, u->text_n, 1);
			c->large_size = u->text_n;
		}
	}
	check(n <= c->large_size - c->used);
	c->used += n;
	return (uint8_t *)c->large + c->used - n;
}

// Notes the earliest repetition in the text.
static void note_repeated(struct object *o, const uint8_t *at)
{
	if (o->repeated == NULL || at < o->repeated)
		o->repeated = at;
}

static void add_name(struct object *o, struct name name)
{
	if (o->n_names < OBJECT_NAMES) {
		for (size_t i = 0; i < o->n_names && o->repeated == NULL; i++)
			if (o->names[i].n == name.n && memcmp(o->names[i].p, name.p, name.n) == 0)
				note_repeated(o, name.at);
		o->names[o->n_names++] = name;
		return;
	}
	if (o->n_names >= o->room) {
		o->room = o->room == 0 ? 8 * OBJECT_NAMES : 2 * o->room;
		bool first = o->more == NULL;
		o->more = xrealloc(o->more, o->room, sizeof(*o->more));
		if (first)
			memcpy(o->more, o->names, sizeof(o->names));
	}
	o->more[o->n_names++] = name;
}

static int compare_names(const void *va, const void *vb)
{
	const struct name *a = va, *b = vb;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	int order = memcmp(a->p, b->p, a->n);
	if (order != 0)
		return order;
	return a->at < b->at ? -1 : a->at > b->at;
}

static void find_repeated(struct object *o)
{
	qsort(o->more, o->n_names, sizeof(*o->more), compare_names);
	for (size_t i = 1; i < o->n_names; i++) {
		const struct name *a = &o->more[i - 1], *b = &o->more[i];
		if (a->n == b->n && memcmp(a->p, b->p, a->n) == 0)
			note_repeated(o, b->at);
	}
}

// At the opening quote of a name; passes the colon. *ret_slots: what the name means.
static inline bool object_name(struct scan *s, const struct slot_names *names, struct unescape *u, struct object *o,
			       uint32_t *ret_slots)
{
	struct token t;
	if (s->p == s->end || *s->p != '"')
		return scan_unexpected(s);
	if (!scan_string(s, &t))
		return false;
	struct name name = { .p = t.p, .n = t.n, .at = t.p - 1 };
	if (t.escaped) {
		uint8_t *to = unescape_room(u, t.n);
		name.n = scan_unescape(&t, to, NULL);
		name.p = to;
	}
	uint32_t slots = slots_named(names, name.p, name.n);
	if (slots == 0)
		add_name(o, name);
	else if ((o->seen & slots) != 0)
		note_repeated(o, name.at);
	*ret_slots = slots & ~o->seen;
	o->seen |= slots;
	return scan_byte(s, ':');
}

static bool object_data(struct scan *s, const struct slot_names *names, struct unescape *u, unsigned depth, struct object *data,
			struct token *ret)
{
	const uint8_t *first = s->p;
	if (!object_scan(s, names, u, depth, data, NULL))
		return false;
	*ret = (struct token){ .p = first, .n = (size_t)(s->p - first), .kind = TOKEN_OBJECT };
	return true;
}

static inline bool object_value(struct scan *s, const struct slot_names *names, struct unescape *u, unsigned depth,
				struct object *o, struct object *data, uint32_t slots)
{
	struct token skipped, *value = slots != 0 ? &o->member[__builtin_ctz(slots)] : &skipped;
	bool read_data = data != NULL && (slots >> SLOT_CE_DATA & 1) != 0 && s->p < s->end && *s->p == '{';
	if (read_data ? !object_data(s, names, u, depth + 1, data, value) : !scan_value(s, depth, value))
		return false;
	for (slots &= slots - 1; slots != 0; slots &= slots - 1)
		o->member[__builtin_ctz(slots)] = *value;
	return true;
}

static bool object_members(struct scan *s, const struct slot_names *names, struct unescape *u, unsigned depth, struct object *o,
			   struct object *data)
{
	s->p++;
	scan_blanks(s);
	if (s->p < s->end && *s->p == '}') {
		s->p++;
		return true;
	}
	for (;;) {
		uint32_t slots = 0;
		if (!object_name(s, names, u, o, &slots) || !object_value(s, names, u, depth, o, data, slots))
			return false;
		if (s->end - s->p >= 2 && s->p[0] == ',' && s->p[1] == '"') { // as programs write it
			s->p++;
			continue;
		}
		scan_blanks(s);
		if (s->p == s->end)
			return scan_unexpected(s);
		if (*s->p == '}') {
			s->p++;
			return true;
		}
		if (*s->p != ',')
			return scan_unexpected(s);
		s->p++;
		scan_blanks(s);
	}
}

bool object_scan(struct scan *s, const struct slot_names *names, struct unescape *u, unsigned depth, struct object *o,
		 struct object *data)
{
	o->begin = s->p;
	o->seen = 0;
	o->repeated = NULL;
	o->n_names = 0;
	o->more = NULL;
	o->room = 0;
	if (depth > SCAN_MAX_DEPTH)
		return scan_fail(s, REJECT_JSON_DEPTH, s->p);
	bool valid = object_members(s, names, u, depth, o, data);
	if (o->more != NULL) {
		if (valid)
			find_repeated(o);
		free(o->more);
		o->more = NULL;
	}
	return valid;
}
