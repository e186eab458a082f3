// SPDX-License-Identifier: Apache-2.0
// From a record to an event, or to the one reason why it is none. See decode.h for the order of the reasons.
//
//	record ── headers ──┬─ batch, null or repeated ce_ header ──────────────────────────────► refused
//	                    │
//	                    ▼
//	value  ── object_scan, one pass over all bytes ── first invalid byte, repeated name ────► refused
//	          │   name ─► slot? ──yes──► members[slot] = where the value stands, its kind
//	          │             └────no───► names (to find repetitions); value is only checked
//	          │   value: string, number, literal, container (bit stack, no recursion)
//	          │   `data`: an object of its own, in case this is a CloudEvent
//	          ▼
//	mode:   content-type structured, or `specversion` in the object ─► attributes here, fields in `data`
//	        ce_specversion header ──────────────────────────────────► attributes in headers, fields here
//	        neither ────────────────────────────────────────────────► flat: all here
//	          ▼
//	fields  ── each one from its slot: kind, unescape, limits ── first that is wrong ───────► refused
//	          ▼
//	*event  (spans into the value, the headers, or the scratch)
//
// Members are only located while scanning and interpreted afterwards, because what they mean is not known before the last byte:
// `specversion` may stand last. Only `items` is passed over twice.
#include "decode/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/utf8.h"
#include "decode/decoder.h"

enum { HEADERS_PAIRWISE = 64 }; // more are sorted

const struct reject_info *reject_info(enum reject r)
{
	static const struct reject_info infos[] = {
		{ "", "", "", "" },
#define REJECT(id, stage, code, message, advice) { stage, code, message, advice },
#include "tbl/reject.def"
#undef REJECT
	};
	check((unsigned)r < REJECT_COUNT);
	return &infos[r];
}

void decode_scratch_free(struct decode_scratch *scratch)
{
	free(scratch->large);
	scratch->large = NULL;
	scratch->large_size = 0;
}

// -- refusing

void decoder_reject(struct decoder *d, enum reject r, const uint8_t *at, const char *fmt, ...)
{
	d->ret->reject = r;
	d->ret->position = at != NULL ? (size_t)(at - d->scan.begin) : 0;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(d->ret->detail, sizeof(d->ret->detail), fmt, ap);
	va_end(ap);
}

const char *shown(const uint8_t *p, size_t n, char buf[SHOWN])
{
	size_t out = 0;
	for (size_t i = 0; i < n; i++) {
		bool plain = p[i] >= 0x20 && p[i] < 0x7f;
		if (out + (plain ? 1u : 4u) + 3 >= SHOWN) {
			out += (size_t)snprintf(buf + out, SHOWN - out, "...");
			break;
		}
		if (plain)
			buf[out++] = (char)p[i];
		else
			out += (size_t)snprintf(buf + out, SHOWN - out, "\\x%02X", p[i]);
	}
	buf[out] = '\0';
	return buf;
}

const char *kind_text(enum token_kind k)
{
	static const char *const texts[] = { "a string", "an integer", "a number", "true", "false", "null", "an object", "an array" };
	return texts[k];
}

bool refuse_value(struct decoder *d, enum reject r, const char *field, const struct token *t)
{
	char buf[SHOWN];
	const char *quote = t->kind == TOKEN_STRING ? "\"" : "";
	return refuse(d, r, t->p - (t->kind == TOKEN_STRING), "%s: found %s%s%s", field, quote, shown(t->p, t->n, buf), quote);
}

bool refuse_name(struct decoder *d, const uint8_t *name)
{
	const uint8_t *end = name + 1;
	while (*end != '"')
		end += *end == '\\' ? 2 : 1;
	char buf[SHOWN];
	return refuse(d, REJECT_JSON_DUPLICATE_NAME, name, "\"%s\"", shown(name + 1, (size_t)(end - name - 1), buf));
}

static bool refuse_scan(struct decoder *d)
{
	char buf[SHOWN];
	const struct scan *s = &d->scan;
	if (s->at == s->end)
		return refuse(d, s->fault, s->at, "%s", "");
	size_t left = (size_t)(s->end - s->at);
	return refuse(d, s->fault, s->at, "at: %s", shown(s->at, left < 16 ? left : 16, buf));
}

// -- headers

static bool begins_with(struct span s, const char *lower)
{
	size_t n = strlen(lower);
	return s.n >= n && strncasecmp(s.p, lower, n) == 0;
}

static bool is_ce(const struct header *h)
{
	return h->name.n >= 3 && memcmp(h->name.p, "ce_", 3) == 0;
}

static int compare_headers(const void *va, const void *vb)
{
	const struct header *a = *(const struct header *const *)va, *b = *(const struct header *const *)vb;
	if (a->name.n != b->name.n)
		return a->name.n < b->name.n ? -1 : 1;
	int order = memcmp(a->name.p, b->name.p, a->name.n);
	return order != 0 ? order : (a > b) - (a < b);
}

// The first ce_ header whose name stood before, among very many: sorted, so that their number cannot hurt.
static const struct header *repeated_of_many(const struct record *rec)
{
	CLEANUP(freep) const struct header **list = xcalloc(rec->n_headers, sizeof(struct header *));
	const struct header *first = NULL;
	uint32_t n = 0;
	for (uint32_t i = 0; i < rec->n_headers; i++)
		if (is_ce(&rec->headers[i]))
			list[n++] = &rec->headers[i];
	qsort(list, n, sizeof(list[0]), compare_headers);
	for (uint32_t i = 1; i < n; i++)
		if (span_eq(list[i - 1]->name, list[i]->name) && (first == NULL || list[i] < first))
			first = list[i];
	return first;
}

static const struct header *repeated_header(const struct record *rec)
{
	if (rec->n_headers > HEADERS_PAIRWISE)
		return repeated_of_many(rec);
	for (uint32_t i = 1; i < rec->n_headers; i++)
		for (uint32_t j = 0; j < i && is_ce(&rec->headers[i]); j++)
			if (span_eq(rec->headers[i].name, rec->headers[j].name))
				return &rec->headers[i];
	return NULL;
}

static struct span *attribute_slot(struct attributes *a, struct span name)
{
	return span_is(name, "ce_specversion") ? &a->specversion :
	       span_is(name, "ce_id")          ? &a->id :
	       span_is(name, "ce_source")      ? &a->source :
	       span_is(name, "ce_type")        ? &a->type :
	       span_is(name, "ce_time")        ? &a->time : NULL;
}

static bool read_headers(struct decoder *d)
{
	const struct record *rec = d->rec;
	const struct header *null = NULL;
	char buf[SHOWN];
	for (uint32_t i = 0; i < rec->n_headers; i++) {
		const struct header *h = &rec->headers[i];
		if (is_ce(h)) {
			if (h->value.p == NULL && null == NULL)
				null = h;
			struct span *slot = attribute_slot(&d->attributes, h->name);
			if (slot != NULL)
				*slot = h->value;
		} else if (span_is(h->name, "content-type") && h->value.p != NULL) {
			if (begins_with(h->value, "application/cloudevents-batch"))
				return refuse(d, REJECT_CE_BATCH, NULL, "%s", "");
			d->attributes.structured |= begins_with(h->value, "application/cloudevents+json");
		}
	}
	const struct header *twice = repeated_header(rec);
	const struct header *bad = null == NULL || (twice != NULL && twice < null) ? twice : null;
	if (bad != NULL)
		return refuse(d, bad == null ? REJECT_CE_HEADER_NULL : REJECT_CE_HEADER_REPEATED, NULL, "%s",
			      shown((const uint8_t *)bad->name.p, bad->name.n, buf));
	d->attributes.binary = !d->attributes.structured && d->attributes.specversion.p != NULL;
	return true;
}

// -- the envelope of a CloudEvent

static bool id_fits(struct decoder *d, const uint8_t *at)
{
	return (d->id.n >= 1 && d->id.n <= ID_MAX) || refuse(d, REJECT_ID_LENGTH, at, "id: %zu bytes", d->id.n);
}

static bool envelope_text(struct decoder *d, enum slot slot, struct span *ret)
{
	const char *name = d->names.name[slot];
	const struct token *t = object_member(&d->event, slot);
	if (t == NULL)
		return refuse(d, REJECT_CE_MISSING, d->event.begin, "%s", name);
	if (!text_of(d, name, t, ret))
		return false;
	return ret->n != 0 || slot == d->names.ce_id || refuse(d, REJECT_CE_MISSING, t->p - 1, "%s is empty", name);
}

static bool read_structured(struct decoder *d)
{
	struct span version, type;
	char buf[SHOWN];
	if (!envelope_text(d, SLOT_CE_SPECVERSION, &version))
		return false;
	if (!span_is(version, "1.0"))
		return refuse(d, REJECT_CE_VERSION, d->event.member[SLOT_CE_SPECVERSION].p - 1, "found \"%s\"",
			      shown((const uint8_t *)version.p, version.n, buf));
	if (!envelope_text(d, d->names.ce_id, &d->id) || !id_fits(d, object_member(&d->event, d->names.ce_id)->p - 1) ||
	    !envelope_text(d, SLOT_CE_SOURCE, &d->source) || !envelope_text(d, SLOT_CE_TYPE, &type))
		return false;
	const struct token *data = object_member(&d->event, SLOT_CE_DATA);
	if (data == NULL)
		return refuse(d, REJECT_CE_DATA, d->event.begin, "data is missing");
	if (data->kind != TOKEN_OBJECT)
		return refuse(d, REJECT_CE_DATA, data->p - (data->kind == TOKEN_STRING), "data: found %s", kind_text(data->kind));
	if (d->data.repeated != NULL)
		return refuse_name(d, d->data.repeated);
	d->fields = &d->data;
	return true;
}

static bool header_text(struct decoder *d, const char *name, struct span value, bool may_be_empty)
{
	if (value.p == NULL)
		return refuse(d, REJECT_CE_MISSING, NULL, "header %s", name);
	if (!utf8_is(value.p, value.n))
		return refuse(d, REJECT_CE_HEADER_UTF8, NULL, "header %s", name);
	return value.n != 0 || may_be_empty || refuse(d, REJECT_CE_MISSING, NULL, "header %s is empty", name);
}

static bool read_binary(struct decoder *d)
{
	const struct attributes *a = &d->attributes;
	char buf[SHOWN];
	if (!span_is(a->specversion, "1.0"))
		return refuse(d, REJECT_CE_VERSION, NULL, "found \"%s\"",
			      shown((const uint8_t *)a->specversion.p, a->specversion.n, buf));
	if (!header_text(d, "ce_id", a->id, true))
		return false;
	d->id = a->id;
	d->source = a->source;
	return id_fits(d, NULL) && header_text(d, "ce_source", a->source, false) && header_text(d, "ce_type", a->type, false);
}

// Finds out where the fields stand, and reads what stands around them.
static bool read_envelope(struct decoder *d)
{
	const struct attributes *a = &d->attributes;
	bool structured = a->structured || (!a->binary && object_member(&d->event, SLOT_CE_SPECVERSION) != NULL);
	d->fields = &d->event;
	d->cloud = structured || a->binary;
	if (!d->cloud)
		return true;
	if (structured) {
		d->attributes.time = (struct span){ NULL, 0 }; // a header of the same name means nothing here
		d->attributes.structured = true;
		return read_structured(d);
	}
	return read_binary(d);
}

// -- the whole

// Any JSON value but an object: valid or not, it is refused; this finds out for what.
static bool refuse_other(struct decoder *d)
{
	struct token t;
	struct scan *s = &d->scan;
	const uint8_t *first = s->p;
	if (s->end - s->p >= 3 && memcmp(s->begin, "\xef\xbb\xbf", 3) == 0)
		return refuse(d, REJECT_JSON_BOM, s->begin, "%s", "");
	if (!scan_value(s, 0, &t))
		return refuse_scan(d);
	scan_blanks(s);
	if (s->p != s->end && !scan_fail(s, REJECT_JSON_TRAILING, s->p))
		return refuse_scan(d);
	return refuse(d, REJECT_NOT_OBJECT, first, "found %s", kind_text(t.kind));
}

static bool scan_text(struct decoder *d)
{
	struct scan *s = &d->scan;
	scan_blanks(s);
	if (s->p == s->end || *s->p != '{')
		return refuse_other(d);
	if (!object_scan(s, &d->names, &d->unescape, 1, &d->event, &d->data))
		return refuse_scan(d);
	scan_blanks(s);
	if (s->p != s->end && !scan_fail(s, REJECT_JSON_TRAILING, s->p))
		return refuse_scan(d);
	return d->event.repeated == NULL || refuse_name(d, d->event.repeated);
}

static bool decode(struct decoder *d, struct event *event)
{
	if (d->rec->n_headers > 0 && !read_headers(d))
		return false;
	return scan_text(d) && read_envelope(d) && fields_read(d, event);
}

void decode_record(const struct decode_fields *fields, const struct record *rec, struct decode_scratch *scratch,
		   struct event *event, struct decode_result *ret)
{
	struct decoder d; // large: only what is read is set
	const uint8_t *text = (const uint8_t *)rec->value.p;
	ret->reject = REJECT_NONE;
	ret->position = 0;
	ret->detail[0] = '\0';
	scratch->used = 0;
	scratch->in_large = false;
	d.rec = rec;
	d.ret = ret;
	d.unescape = (struct unescape){ .scratch = scratch, .text_n = rec->value.n };
	d.scan = (struct scan){ .begin = text, .p = text, .end = text + rec->value.n };
	d.attributes = (struct attributes){ 0 };
	d.id = d.source = (struct span){ NULL, 0 };
	if (rec->value.p == NULL || rec->value.n == 0) {
		decoder_reject(&d, REJECT_EMPTY, NULL, "%s", rec->value.p == NULL ? "null" : "0 bytes");
		return;
	}
	slot_names_of(fields, &d.names);
	bool good = decode(&d, event);
	check(good == (ret->reject == REJECT_NONE));
}

bool record_is_tick(const struct record *rec)
{
	if (rec->value.p != NULL && rec->value.n != 0)
		return false;
	for (uint32_t i = 0; i < rec->n_headers; i++)
		if (span_is(rec->headers[i].name, TICK_HEADER))
			return true;
	return false;
}
