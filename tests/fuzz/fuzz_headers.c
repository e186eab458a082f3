// SPDX-License-Identifier: Apache-2.0
// Headers of a record, CloudEvents in binary form above all. The input: headers, each a line `name=value` (without '=': a null value),
// an empty line, then the value. Held against the rules of events.md, section 2, which are few enough to be written again here.
// most: 2048
#include "decode/decode.h"
#include "fuzz.h"

enum { HEADERS_MOST = 40 };
static const struct decode_fields fields = { "id", "account", "service", "time", "calls", "status", "items" };

static bool is_ce(struct span name)
{
	return name.n > 3 && memcmp(name.p, "ce_", 3) == 0;
}

static const struct header *header(const struct record *r, const char *name)
{
	for (uint32_t i = 0; i < r->n_headers; i++)
		if (span_is(r->headers[i].name, name))
			return &r->headers[i];
	return NULL;
}

// A ce_ header that is null, or stands twice: no such record may be accepted.
static bool ce_fault(const struct record *r)
{
	for (uint32_t i = 0; i < r->n_headers; i++) {
		if (is_ce(r->headers[i].name) && r->headers[i].value.p == NULL)
			return true;
		for (uint32_t k = 0; k < i; k++)
			if (is_ce(r->headers[i].name) && span_eq(r->headers[i].name, r->headers[k].name))
				return true;
	}
	return false;
}

static bool is_structured(const struct record *r)
{
	const struct header *h = header(r, "content-type");
	static const char type[] = "application/cloudevents+json";
	return h != NULL && h->value.n >= sizeof(type) - 1 && strncasecmp(h->value.p, type, sizeof(type) - 1) == 0;
}

static void check_event(const struct record *r, const struct event *e)
{
	fuzz_check(!ce_fault(r));
	fuzz_check(e->id.n >= 1 && e->id.n <= 128);
	fuzz_check(e->account.n >= 1 && e->account.n <= 64);
	fuzz_check(e->status.n >= 1 && e->status.n <= 64);
	fuzz_check(e->n_items >= 1 && e->n_items <= EVENT_MAX_ITEMS);
	fuzz_check(e->time_ms >= 946684800000 && e->time_ms < 7258032000000);
	for (uint32_t i = 0; i < e->n_items; i++)
		fuzz_check(e->items[i].calls >= 1 && e->items[i].calls <= 1000000000 && e->items[i].service.n >= 1);
	if (header(r, "ce_specversion") == NULL || is_structured(r))
		return;
	fuzz_check(span_is(header(r, "ce_specversion")->value, "1.0"));
	fuzz_check(header(r, "ce_id") != NULL && span_eq(e->id, header(r, "ce_id")->value));
	fuzz_check(header(r, "ce_source") != NULL && span_eq(e->source, header(r, "ce_source")->value) && e->source.n > 0);
	fuzz_check(header(r, "ce_type") != NULL && header(r, "ce_type")->value.n > 0);
}

FUZZ(s)
{
	static struct decode_scratch scratch;
	static struct event event;
	struct header list[HEADERS_MOST];
	struct record r = { .headers = list, .timestamp_ms = -1 };
	while (s.n > 0 && r.n_headers < HEADERS_MOST) {
		struct span line = fuzz_until(&s, '\n');
		if (line.n == 0)
			break;
		struct header *h = &list[r.n_headers++];
		bool null = memchr(line.p, '=', line.n) == NULL;
		h->name = fuzz_until(&line, '=');
		h->value = null ? (struct span){ NULL, 0 } : line;
	}
	r.value = s;
	struct decode_result result;
	if (record_is_tick(&r)) {
		fuzz_check(header(&r, TICK_HEADER) != NULL && s.n == 0);
		return;
	}
	decode_record(&fields, &r, &scratch, &event, &result);
	if (result.reject == REJECT_NONE) {
		check_event(&r, &event);
		return;
	}
	fuzz_check(result.position <= s.n);
	fuzz_check(fuzz_printable(result.detail));
}
