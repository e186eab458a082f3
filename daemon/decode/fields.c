// SPDX-License-Identifier: Apache-2.0
// The fields of an event, each from the slot where the scanner found it: kind, unescape, limits (events.md, section 3).
#include <string.h>

#include "base/check.h"
#include "decode/decoder.h"
#include "period/period.h"

enum {
	ACCOUNT_MAX = 64,
	SERVICE_MAX = 128,
	STATUS_MAX = 64,
};
#define CALLS_MAX 1000000000LL
#define TIME_MIN_MS 946684800000LL   // 2000-01-01Z
#define TIME_END_MS 7258032000000LL  // 2199-12-31Z

// -- strings of the text

bool text_of(struct decoder *d, const char *field, const struct token *t, struct span *ret)
{
	if (t->kind == TOKEN_STRING && !t->escaped) {
		*ret = (struct span){ (const char *)t->p, t->n };
		return true;
	}
	if (t->kind == TOKEN_NULL)
		return refuse_value(d, REJECT_FIELD_NULL, field, t);
	if (t->kind != TOKEN_STRING)
		return refuse(d, REJECT_FIELD_TYPE, t->p, "%s: found %s, not a string", field, kind_text(t->kind));
	const uint8_t *half;
	uint8_t *to = unescape_room(&d->unescape, t->n);
	size_t n = scan_unescape(t, to, &half);
	if (half != NULL)
		return refuse(d, REJECT_FIELD_SURROGATE, half, "%s: %.6s", field, (const char *)half);
	*ret = (struct span){ (const char *)to, n };
	return true;
}

// A string of 1 to `most` bytes.
static bool short_text(struct decoder *d, const char *field, const struct token *t, size_t most, enum reject length,
		       struct span *ret)
{
	struct span s = { (const char *)t->p, t->n };
	bool plain = t->kind == TOKEN_STRING && !t->escaped; // nearly always: spares the call
	if (!plain && !text_of(d, field, t, &s))
		return false;
	if (s.n == 0 || s.n > most)
		return refuse(d, length, t->p - 1, "%s: %zu bytes", field, s.n);
	*ret = s;
	return true;
}

static bool missing(struct decoder *d, const char *field)
{
	return refuse(d, REJECT_FIELD_MISSING, d->fields->begin, "%s", field);
}

// -- fields

static const char *field_name(const struct decoder *d, enum slot slot)
{
	return d->names.name[slot];
}

static bool read_id(struct decoder *d)
{
	if (d->cloud)
		return true;
	const struct token *t = object_member(d->fields, SLOT_ID);
	const char *name = field_name(d, SLOT_ID);
	return t == NULL ? missing(d, name) : short_text(d, name, t, ID_MAX, REJECT_ID_LENGTH, &d->id);
}

static const bool ACCOUNT_BYTES[256] = {
	['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true,
	['.'] = true, ['_'] = true, [':'] = true, ['@'] = true, ['-'] = true,
};

// Where the first byte stands that no account has; s.n when there is none.
static size_t account_length(struct span s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t i = 0;
	for (; i + 4 <= s.n; i += 4)
		if (!(ACCOUNT_BYTES[p[i]] & ACCOUNT_BYTES[p[i + 1]] & ACCOUNT_BYTES[p[i + 2]] & ACCOUNT_BYTES[p[i + 3]]))
			break;
	while (i < s.n && ACCOUNT_BYTES[p[i]])
		i++;
	return i;
}

static bool read_account(struct decoder *d, struct span *ret)
{
	const char *name = field_name(d, SLOT_ACCOUNT);
	const struct token *t = object_member(d->fields, SLOT_ACCOUNT);
	if (t == NULL)
		return missing(d, name);
	if (!short_text(d, name, t, ACCOUNT_MAX, REJECT_ACCOUNT_LENGTH, ret))
		return false;
	size_t n = account_length(*ret);
	return n == ret->n || refuse(d, REJECT_ACCOUNT_ALPHABET, t->p - 1, "%s: byte 0x%02X at index %zu", name, (uint8_t)ret->p[n], n);
}

static bool time_fits(struct decoder *d, const char *name, const struct token *t, int64_t ms)
{
	if (ms >= TIME_MIN_MS && ms < TIME_END_MS)
		return true;
	if (t == NULL)
		return refuse(d, REJECT_TIME_RANGE, NULL, "%s", name);
	return refuse_value(d, REJECT_TIME_RANGE, name, t);
}

// The attribute of that name; its text stands in a header (t NULL) or in the object.
bool time_of_attribute(struct decoder *d, const char *name, const struct token *t, struct span text, int64_t *ret_ms)
{
	char buf[SHOWN];
	if (!time_parse_rfc3339(text, ret_ms))
		return refuse(d, REJECT_CE_TIME, t != NULL ? t->p - 1 : NULL, "%s: found \"%s\"", name,
			      shown((const uint8_t *)text.p, text.n, buf));
	return time_fits(d, name, t, *ret_ms);
}

static bool time_of_field(struct decoder *d, int64_t *ret_ms)
{
	const char *name = field_name(d, SLOT_TIME);
	const struct token *t = object_member(d->fields, SLOT_TIME);
	if (t == NULL)
		return missing(d, name);
	if (t->kind == TOKEN_NULL)
		return refuse_value(d, REJECT_FIELD_NULL, name, t);
	struct span text = { (const char *)t->p, t->n };
	bool good = false;
	if (t->kind == TOKEN_STRING) {
		if (!text_of(d, name, t, &text))
			return false;
		good = time_parse_rfc3339(text, ret_ms);
	} else if (t->kind == TOKEN_INTEGER) {
		good = true;
		if (!span_int64(text, ret_ms)) // too long for an int64, or "-0"
			*ret_ms = TIME_NONE;
	}
	return good ? time_fits(d, name, t, *ret_ms) : refuse_value(d, REJECT_TIME_FORMAT, name, t);
}

static bool read_time(struct decoder *d, int64_t *ret_ms)
{
	const struct attributes *a = &d->attributes;
	if (a->binary && a->time.p != NULL)
		return time_of_attribute(d, "header ce_time", NULL, a->time, ret_ms);
	const struct token *t = d->cloud && !a->binary ? object_member(&d->event, d->names.ce_time) : NULL;
	if (t == NULL)
		return time_of_field(d, ret_ms);
	if (t->kind != TOKEN_STRING && t->kind != TOKEN_NULL)
		return refuse_value(d, REJECT_CE_TIME, "time", t);
	struct span text;
	return text_of(d, "time", t, &text) && time_of_attribute(d, "time", t, text, ret_ms);
}

static bool read_service(struct decoder *d, const struct object *o, struct span *ret)
{
	const char *name = field_name(d, SLOT_SERVICE);
	const struct token *t = object_member(o, SLOT_SERVICE);
	if (t == NULL)
		return refuse(d, REJECT_FIELD_MISSING, o->begin, "%s", name);
	return short_text(d, name, t, SERVICE_MAX, REJECT_SERVICE_LENGTH, ret);
}

// Of digits and a sign, as the scanner found them. Too long is out of range as well.
static bool calls_fit(const struct token *t, int64_t *ret)
{
	int64_t v = 0;
	if (t->n > 10)
		return false;
	for (size_t i = 0; i < t->n; i++) {
		if (t->p[i] == '-')
			return false;
		v = v * 10 + (t->p[i] - '0');
	}
	*ret = v;
	return v >= 1 && v <= CALLS_MAX;
}

static bool read_calls(struct decoder *d, const struct object *o, int64_t *ret)
{
	const char *name = field_name(d, SLOT_CALLS);
	const struct token *t = object_member(o, SLOT_CALLS);
	*ret = 1;
	if (t == NULL)
		return true;
	if (t->kind == TOKEN_NULL)
		return refuse_value(d, REJECT_FIELD_NULL, name, t);
	if (t->kind != TOKEN_INTEGER)
		return refuse_value(d, REJECT_CALLS_FORM, name, t);
	return calls_fit(t, ret) || refuse_value(d, REJECT_CALLS_RANGE, name, t);
}

static bool read_status(struct decoder *d, struct span *ret)
{
	const struct token *t = object_member(d->fields, SLOT_STATUS);
	*ret = SPAN_LIT("ok");
	return t == NULL || short_text(d, field_name(d, SLOT_STATUS), t, STATUS_MAX, REJECT_STATUS_LENGTH, ret);
}

// -- items

static bool read_item(struct decoder *d, struct scan *s, struct event_item *ret)
{
	struct object o;
	struct token value;
	if (s->p < s->end && *s->p != '{') {
		check(scan_value(s, 0, &value));
		return refuse(d, REJECT_ITEM_TYPE, value.p - (value.kind == TOKEN_STRING), "found %s", kind_text(value.kind));
	}
	check(object_scan(s, &d->names, &d->unescape, 1, &o, NULL)); // depths were counted in the first pass
	if (o.repeated != NULL)
		return refuse_name(d, o.repeated);
	return read_service(d, &o, &ret->service) && read_calls(d, &o, &ret->calls);
}

// The array is valid JSON already.
static bool read_list(struct decoder *d, const struct token *t, struct event_item *items, uint32_t *ret_n)
{
	struct scan s = { .begin = t->p, .p = t->p + 1, .end = t->p + t->n };
	uint32_t n = 0;
	for (scan_blanks(&s); *s.p != ']'; scan_blanks(&s)) {
		if (n == EVENT_MAX_ITEMS)
			return refuse(d, REJECT_ITEMS_COUNT, s.p, "the 65th begins here");
		if (!read_item(d, &s, &items[n]))
			return false;
		n++;
		scan_blanks(&s);
		if (*s.p == ',')
			s.p++;
	}
	*ret_n = n;
	return n > 0 || refuse(d, REJECT_ITEMS_COUNT, t->p, "none");
}

static bool read_items(struct decoder *d, const struct token *t, struct event_item *items, uint32_t *ret_n)
{
	const char *name = field_name(d, SLOT_ITEMS);
	if (t->kind == TOKEN_NULL)
		return refuse_value(d, REJECT_FIELD_NULL, name, t);
	if ((d->fields->seen & (1u << SLOT_SERVICE | 1u << SLOT_CALLS)) != 0)
		return refuse(d, REJECT_ITEMS_BESIDE, t->p - (t->kind == TOKEN_STRING), "%s", name);
	if (t->kind != TOKEN_ARRAY)
		return refuse(d, REJECT_FIELD_TYPE, t->p - (t->kind == TOKEN_STRING), "%s: found %s, not an array", name,
			      kind_text(t->kind));
	return read_list(d, t, items, ret_n);
}

// -- all of them

static void fill(const struct decoder *d, struct event *event, struct span account, struct span status, int64_t time_ms)
{
	event->id = d->id;
	event->source = d->source;
	event->account = account;
	event->status = status;
	event->time_ms = time_ms;
}

static bool read_listed(struct decoder *d, const struct token *list, struct event *event)
{
	struct event_item items[EVENT_MAX_ITEMS];
	struct span account, status;
	int64_t time_ms;
	uint32_t n = 0;
	if (!read_id(d) || !read_account(d, &account) || !read_items(d, list, items, &n) || !read_time(d, &time_ms) ||
	    !read_status(d, &status))
		return false;
	fill(d, event, account, status, time_ms);
	memcpy(event->items, items, n * sizeof(items[0]));
	event->n_items = n;
	return true;
}

static bool read_single(struct decoder *d, struct event *event)
{
	struct event_item item;
	struct span account, status;
	int64_t time_ms;
	if (!read_id(d) || !read_account(d, &account) || !read_service(d, d->fields, &item.service) || !read_time(d, &time_ms) ||
	    !read_calls(d, d->fields, &item.calls) || !read_status(d, &status))
		return false;
	fill(d, event, account, status, time_ms);
	event->items[0] = item;
	event->n_items = 1;
	return true;
}

bool fields_read(struct decoder *d, struct event *event)
{
	const struct token *list = object_member(d->fields, SLOT_ITEMS);
	return list != NULL ? read_listed(d, list, event) : read_single(d, event);
}
