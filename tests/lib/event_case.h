// SPDX-License-Identifier: Apache-2.0
// A record written as text, and what became of it as text: the form of tests/table/events.table and tests/corpus/events.
//
//	headers   `-` for none, else `name=value; name=value`; a name without `=` has a null value
//	value     JSON as it stands; ~null; ~empty; ~XX is the byte with these hex digits; ~(N*text~) is text N times
//	result    `control`, or `accepted …` with the event as understood, or `code @byte message (detail)`
#ifndef EVENT_CASE_H
#define EVENT_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "decode/decode.h"
#include "period/period.h"

static const struct decode_fields CASE_FIELDS = { "id", "account", "service", "time", "calls", "status", "items" };

enum { CASE_HEADERS = 128, CASE_RESULT = 8192 };
struct event_case {
	struct record rec;
	struct header headers[CASE_HEADERS];
	char *memory[1 + 2 * CASE_HEADERS]; // exact sizes, so that an address sanitizer sees every byte too far
	int n_memory;
};

struct case_bytes {
	char *p;
	size_t n, room;
};

static inline void case_put(struct case_bytes *b, const char *p, size_t n)
{
	if (b->n + n > b->room) {
		b->room = 2 * (b->n + n);
		b->p = xrealloc(b->p, b->room, 1);
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static inline void case_unescape(struct case_bytes *b, const char *s, const char *end)
{
	while (s < end) {
		if (*s != '~') {
			case_put(b, s++, 1);
		} else if (s[1] == '(') {
			char *text;
			unsigned long times = strtoul(s + 2, &text, 10);
			const char *close = strstr(text, "~)");
			check(*text == '*' && close != NULL && close < end);
			for (; times > 0; times--)
				case_put(b, text + 1, (size_t)(close - text - 1));
			s = close + 2;
		} else {
			unsigned byte;
			check(sscanf(s + 1, "%2x", &byte) == 1);
			char c = (char)byte;
			case_put(b, &c, 1);
			s += 3;
		}
	}
}

static inline struct span case_span(struct event_case *c, const char *s, const char *end)
{
	struct case_bytes b = { 0 };
	case_unescape(&b, s, end);
	char *exact = xcalloc(1, b.n != 0 ? b.n : 1);
	if (b.n != 0)
		memcpy(exact, b.p, b.n);
	free(b.p);
	c->memory[c->n_memory++] = exact;
	return (struct span){ exact, b.n };
}

static inline void case_headers(struct event_case *c, const char *s)
{
	if (strcmp(s, "-") == 0)
		return;
	while (*s != '\0') {
		const char *end = strstr(s, "; ");
		end = end != NULL ? end : s + strlen(s);
		const char *equal = memchr(s, '=', (size_t)(end - s));
		check(c->rec.n_headers < CASE_HEADERS);
		struct header *h = &c->headers[c->rec.n_headers++];
		h->name = case_span(c, s, equal != NULL ? equal : end);
		h->value = equal != NULL ? case_span(c, equal + 1, end) : (struct span){ NULL, 0 };
		s = *end != '\0' ? end + 2 : end;
	}
	c->rec.headers = c->headers;
}

static inline void case_open(struct event_case *c, const char *headers, const char *value)
{
	*c = (struct event_case){ .rec = { .timestamp_ms = -1 } };
	case_headers(c, headers);
	if (strcmp(value, "~empty") == 0)
		c->rec.value = case_span(c, value, value);
	else if (strcmp(value, "~null") != 0)
		c->rec.value = case_span(c, value, value + strlen(value));
}

static inline void case_close(struct event_case *c)
{
	while (c->n_memory > 0)
		free(c->memory[--c->n_memory]);
}

static inline size_t case_show(char *to, size_t used, struct span s)
{
	if (s.n > 70) {
		used = case_show(to, used, (struct span){ s.p, 6 });
		return used + (size_t)snprintf(to + used, CASE_RESULT - used, "...%zu bytes", s.n);
	}
	for (size_t i = 0; i < s.n; i++) {
		bool plain = s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '~';
		used += (size_t)snprintf(to + used, CASE_RESULT - used, plain ? "%c" : "~%02X", (unsigned char)s.p[i]);
	}
	return used;
}

static inline void case_event_text(const struct event *e, char ret[CASE_RESULT])
{
	char time[TIME_TEXT];
	size_t n = (size_t)snprintf(ret, CASE_RESULT, "accepted id=");
	n = case_show(ret, n, e->id);
	if (e->source.p != NULL) {
		n += (size_t)snprintf(ret + n, CASE_RESULT - n, " source=");
		n = case_show(ret, n, e->source);
	}
	n += (size_t)snprintf(ret + n, CASE_RESULT - n, " account=");
	n = case_show(ret, n, e->account);
	n += (size_t)snprintf(ret + n, CASE_RESULT - n, " time=%s status=", time_text(e->time_ms, time));
	n = case_show(ret, n, e->status);
	for (uint32_t i = 0; i < e->n_items; i++) {
		n += (size_t)snprintf(ret + n, CASE_RESULT - n, " ");
		n = case_show(ret, n, e->items[i].service);
		n += (size_t)snprintf(ret + n, CASE_RESULT - n, "*%lld", (long long)e->items[i].calls);
	}
}

static inline void case_result(const struct decode_fields *fields, const struct record *rec, char ret[CASE_RESULT])
{
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	CLEANUP(freep) struct event *event = xcalloc(1, sizeof(*event));
	struct decode_result result;
	if (record_is_tick(rec)) {
		snprintf(ret, CASE_RESULT, "control");
		return;
	}
	decode_record(fields, rec, scratch, event, &result);
	if (result.reject == REJECT_NONE) {
		case_event_text(event, ret);
	} else {
		const struct reject_info *info = reject_info(result.reject);
		bool detail = result.detail[0] != '\0';
		snprintf(ret, CASE_RESULT, "%s @%zu %s%s%s%s", info->code, result.position, info->message, detail ? " (" : "",
			 result.detail, detail ? ")" : "");
	}
	decode_scratch_free(scratch);
}

#endif
