// SPDX-License-Identifier: Apache-2.0
// The decoder against jansson: a text is valid for one iff it is for the other, and an event is accepted with the same fields as a
// simple reference on top of jansson says. compare() is what the unit test and the fuzz target call.
//
// Where the two differ on purpose, and how the reference meets the decoder:
//   numbers   jansson refuses what its integers and doubles cannot hold: such a number is replaced by 0 and the text read again
//   halves    jansson refuses the escape of half a surrogate pair: each is replaced by its own private character U+E000-U+E7FF
//   NUL       jansson refuses it in names: its escape is replaced by that of U+E8FF everywhere
//   NUL byte  jansson overlooks one behind a word or a number: no text with a raw NUL is valid JSON
//   names     jansson keeps the last of two equal names: a small walker lists the members of the objects that are read
//   depth     jansson allows 2048: texts deeper than 64 are only checked to be so
#ifndef DECODE_REFERENCE_H
#define DECODE_REFERENCE_H

#include <jansson.h>
#include <time.h>

#include "event_case.h"

// What a difference does: the including file may have its own way (condition, format, values).
#ifndef reference_check
#define reference_check(cond, ...)                                                                                                     \
	do {                                                                                                                           \
		if (!(cond)) {                                                                                                         \
			fprintf(stderr, "%s: ", #cond);                                                                                \
			fprintf(stderr, __VA_ARGS__);                                                                                  \
			abort();                                                                                                       \
		}                                                                                                                      \
	} while (0)
#endif

enum { TEXT_MAX = 4096, MEMBERS_MAX = 256 };

struct text {
	char p[TEXT_MAX];
	size_t n;
};

// As C would write it: what Criterion prints must be text.
static const char *safe(const struct text *t)
{
	static char buf[4 * TEXT_MAX + 1];
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		bool plain = t->p[i] >= ' ' && t->p[i] < 0x7f;
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, plain ? "%c" : "\\x%02x", (uint8_t)t->p[i]);
	}
	return buf;
}

// -- the reference: validity

static bool is_half(unsigned c, unsigned from)
{
	return c >= from && c < from + 0x400;
}

static bool escape_at(const struct text *t, size_t i, unsigned *ret)
{
	char hex[5] = "";
	if (i + 6 > t->n || t->p[i] != '\\' || t->p[i + 1] != 'u')
		return false;
	memcpy(hex, t->p + i + 2, 4);
	char *end;
	*ret = (unsigned)strtoul(hex, &end, 16);
	return end == hex + 4 && strspn(hex, "0123456789abcdefABCDEF") == 4;
}

static void put_escape(struct text *t, size_t at, unsigned c)
{
	char hex[5];
	snprintf(hex, sizeof(hex), "%04x", c);
	memcpy(t->p + at + 2, hex, 4);
}

enum { NUL_STANDIN = 0xe8ff };

// Replaces the escapes of halves, and of NUL; returns how many.
static int without_halves(struct text *t)
{
	int replaced = 0;
	for (size_t i = 0; i + 1 < t->n; i++) {
		unsigned c, low;
		if (t->p[i] != '\\')
			continue;
		if (escape_at(t, i, &c) && is_half(c, 0xd800) && escape_at(t, i + 6, &low) && is_half(low, 0xdc00)) {
			i += 11;
		} else if (escape_at(t, i, &c) && (is_half(c, 0xd800) || is_half(c, 0xdc00))) {
			put_escape(t, i, c - 0xd800 + 0xe000);
			replaced++;
			i += 5;
		} else if (escape_at(t, i, &c) && c == 0) {
			put_escape(t, i, NUL_STANDIN);
			replaced++;
			i += 5;
		} else {
			i++;
		}
	}
	return replaced;
}

static size_t skip_digits(const struct text *t, size_t i)
{
	while (i < t->n && t->p[i] >= '0' && t->p[i] <= '9')
		i++;
	return i;
}

// Behind the longest number that begins at i.
static size_t skip_number(const struct text *t, size_t i)
{
	i = skip_digits(t, i + (t->p[i] == '-'));
	if (i < t->n && t->p[i] == '.')
		i = skip_digits(t, i + 1);
	if (i < t->n && (t->p[i] | 0x20) == 'e') {
		i += 1 + (i + 1 < t->n && (t->p[i + 1] == '+' || t->p[i + 1] == '-'));
		i = skip_digits(t, i);
	}
	return i;
}

// Replaces the number that jansson could not hold, which ends at or shortly before `at`, by 0 between blanks.
static void without_number(struct text *t, size_t at)
{
	size_t end = at < t->n ? at : t->n, begin;
	while (end > 0 && !(t->p[end - 1] >= '0' && t->p[end - 1] <= '9'))
		end--;
	for (begin = end; begin > 0 && t->p[begin - 1] != '\0' && strchr("0123456789.eE+-", t->p[begin - 1]) != NULL;)
		begin--;
	while (skip_number(t, begin) < end) // as in 1-1e999, where 1 was read before
		begin = skip_number(t, begin) > begin ? skip_number(t, begin) : begin + 1;
	end = skip_number(t, begin);
	reference_check(begin + 3 < end, "");
	memcpy(t->p + begin, " 0 ", 3);
	memmove(t->p + begin + 3, t->p + end, t->n - end);
	t->n -= end - begin - 3;
}

static json_t *jansson_read(struct text *t)
{
	while (memchr(t->p, '\0', t->n) == NULL) {
		json_error_t error;
		json_t *j = json_loadb(t->p, t->n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
		if (j != NULL || json_error_code(&error) != json_error_numeric_overflow)
			return j;
		without_number(t, (size_t)error.position);
	}
	return NULL;
}

// -- the reference: members of one object in valid JSON

struct member {
	json_t *name, *value;
	struct span text; // of the value
};
struct members {
	struct member list[MEMBERS_MAX];
	size_t n;
};

static size_t skip_blanks(struct span s, size_t i)
{
	while (i < s.n && strchr(" \t\r\n", s.p[i]) != NULL && s.p[i] != '\0')
		i++;
	return i;
}

static size_t skip_string(struct span s, size_t i)
{
	for (i++; s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i + 1;
}

// Behind the value that begins at i.
static size_t skip_one(struct span s, size_t i)
{
	int depth = 0;
	do {
		if (s.p[i] == '"') {
			i = skip_string(s, i);
			continue;
		}
		depth += s.p[i] == '{' || s.p[i] == '[';
		depth -= s.p[i] == '}' || s.p[i] == ']';
		i++;
	} while (i < s.n && (depth > 0 || (s.p[i - 1] != '}' && s.p[i - 1] != ']' && s.p[i - 1] != '"' && s.p[i] != ',' &&
					   s.p[i] != '}' && s.p[i] != ']')));
	return i;
}

static json_t *read_piece(struct span s)
{
	return json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static struct members *members_of(struct span s)
{
	struct members *m = xcalloc(1, sizeof(*m));
	size_t i = skip_blanks(s, 1);
	while (s.p[i] != '}') {
		reference_check(m->n < MEMBERS_MAX, "");
		struct member *x = &m->list[m->n++];
		size_t end = skip_string(s, i);
		x->name = read_piece((struct span){ s.p + i, end - i });
		i = skip_blanks(s, skip_blanks(s, end) + 1);
		end = skip_one(s, i);
		x->text = (struct span){ s.p + i, end - i };
		x->value = read_piece(x->text);
		reference_check(x->name != NULL && x->value != NULL, "%.*s", (int)s.n, s.p);
		i = skip_blanks(s, end);
		if (s.p[i] == ',')
			i = skip_blanks(s, i + 1);
	}
	return m;
}

static void members_freep(struct members **m)
{
	for (size_t i = 0; *m != NULL && i < (*m)->n; i++) {
		json_decref((*m)->list[i].name);
		json_decref((*m)->list[i].value);
	}
	free(*m);
}

static bool names_repeat(const struct members *m)
{
	for (size_t i = 0; i < m->n; i++)
		for (size_t j = 0; j < i; j++)
			if (json_equal(m->list[i].name, m->list[j].name))
				return true;
	return false;
}

static const struct member *find(const struct members *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (json_string_length(m->list[i].name) == strlen(name) && strcmp(json_string_value(m->list[i].name), name) == 0)
			return &m->list[i];
	return NULL;
}

// -- the reference: fields

struct reference {
	bool halves; // private characters stand for halves of pairs and for NUL
	struct event *event;
	char memory[4 * TEXT_MAX]; // strings of the event
	size_t used;
};

static bool ref_string(struct reference *r, const struct member *m, size_t least, size_t most, struct span *ret)
{
	if (m == NULL || !json_is_string(m->value))
		return false;
	const char *p = json_string_value(m->value);
	size_t n = json_string_length(m->value);
	for (size_t i = 0; r->halves && i + 1 < n; i++)
		if ((uint8_t)p[i] == 0xee && (uint8_t)p[i + 1] < 0xa0)
			return false;
	reference_check(r->used + n + 1 <= sizeof(r->memory), "");
	char *to = r->memory + r->used;
	size_t out = 0;
	for (size_t i = 0; i < n; i++) {
		bool nul = r->halves && i + 3 <= n && memcmp(p + i, "\xee\xa3\xbf", 3) == 0;
		to[out++] = nul ? '\0' : p[i];
		i += nul ? 2 : 0;
	}
	*ret = (struct span){ to, out };
	r->used += n + 1;
	return out >= least && out <= most;
}

static bool ref_digits(const char *s, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

static bool ref_rfc3339(struct span s, int64_t *ret)
{
	char text[64] = "";
	if (s.n < 20 || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(text, s.p, 19);
	struct tm tm = { 0 }, back;
	if (!ref_digits(text, 0, 4) || text[4] != '-' || !ref_digits(text, 5, 2) || text[7] != '-' || !ref_digits(text, 8, 2) ||
	    (text[10] | 0x20) != 't' || !ref_digits(text, 11, 2) || text[13] != ':' || !ref_digits(text, 14, 2) ||
	    text[16] != ':' || !ref_digits(text, 17, 2))
		return false;
	sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	time_t seconds = timegm(&back);
	if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || back.tm_hour != tm.tm_hour || tm.tm_min > 59 || tm.tm_sec > 59)
		return false;
	size_t i = 19;
	int64_t ms = 0, unit = 100;
	if (s.p[i] == '.') {
		for (i++; i < s.n && ref_digits(s.p, i, 1); i++, unit /= 10)
			ms += unit * (s.p[i] - '0');
		if (s.p[i - 1] == '.')
			return false;
	}
	if (i + 1 == s.n && (s.p[i] | 0x20) == 'z') {
		*ret = (int64_t)seconds * 1000 + ms;
		return true;
	}
	if (i + 6 != s.n || (s.p[i] != '+' && s.p[i] != '-') || !ref_digits(s.p, i + 1, 2) || s.p[i + 3] != ':' || !ref_digits(s.p, i + 4, 2))
		return false;
	int hours = (s.p[i + 1] - '0') * 10 + s.p[i + 2] - '0', minutes = (s.p[i + 4] - '0') * 10 + s.p[i + 5] - '0';
	if (hours > 23 || minutes > 59)
		return false;
	int64_t offset = (s.p[i] == '-' ? -1 : 1) * (hours * 60 + minutes);
	*ret = ((int64_t)seconds - offset * 60) * 1000 + ms;
	return true;
}

static bool ref_time(struct reference *r, const struct member *m, bool attribute, int64_t *ret)
{
	struct span s;
	if (m == NULL)
		return false;
	if (json_is_string(m->value)) {
		if (!ref_string(r, m, 0, TEXT_MAX, &s) || !ref_rfc3339(s, ret))
			return false;
	} else if (!attribute && json_is_integer(m->value)) {
		*ret = json_integer_value(m->value);
	} else {
		return false;
	}
	return *ret >= 946684800000 && *ret < 7258032000000;
}

static bool ref_item(struct reference *r, const struct members *m, struct event_item *ret)
{
	const struct member *calls = find(m, "calls");
	ret->calls = 1;
	if (calls != NULL) {
		if (!json_is_integer(calls->value))
			return false;
		ret->calls = json_integer_value(calls->value);
	}
	return ret->calls >= 1 && ret->calls <= 1000000000 && ref_string(r, find(m, "service"), 1, 128, &ret->service);
}

static bool ref_items(struct reference *r, const struct member *list, struct event *e)
{
	if (!json_is_array(list->value) || json_array_size(list->value) < 1 || json_array_size(list->value) > 64)
		return false;
	struct span s = list->text;
	for (size_t i = skip_blanks(s, 1); s.p[i] != ']';) {
		size_t end = skip_one(s, i);
		if (s.p[i] != '{')
			return false;
		CLEANUP(members_freep) struct members *m = members_of((struct span){ s.p + i, end - i });
		if (names_repeat(m) || !ref_item(r, m, &e->items[e->n_items++]))
			return false;
		i = skip_blanks(s, end);
		if (s.p[i] == ',')
			i = skip_blanks(s, i + 1);
	}
	return true;
}

// The fields that a flat event and `data` have in common, but for id and time.
static bool ref_fields(struct reference *r, const struct members *m, struct event *e)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-";
	if (!ref_string(r, find(m, "account"), 1, 64, &e->account))
		return false;
	for (size_t i = 0; i < e->account.n; i++)
		if (memchr(alphabet, e->account.p[i], sizeof(alphabet) - 1) == NULL)
			return false;
	e->status = SPAN_LIT("ok");
	if (find(m, "status") != NULL && !ref_string(r, find(m, "status"), 1, 64, &e->status))
		return false;
	const struct member *list = find(m, "items");
	e->n_items = 0;
	if (list != NULL)
		return find(m, "service") == NULL && find(m, "calls") == NULL && ref_items(r, list, e);
	e->n_items = 1;
	return ref_item(r, m, &e->items[0]);
}

enum mode { FLAT, STRUCTURED, BINARY };

static bool ref_cloud(struct reference *r, const struct members *m, struct event *e)
{
	struct span version, type;
	const struct member *data = find(m, "data"), *time = find(m, "time");
	if (!ref_string(r, find(m, "specversion"), 1, TEXT_MAX, &version) || !span_is(version, "1.0") ||
	    !ref_string(r, find(m, "id"), 1, 128, &e->id) || !ref_string(r, find(m, "source"), 1, TEXT_MAX, &e->source) ||
	    !ref_string(r, find(m, "type"), 1, TEXT_MAX, &type) || data == NULL || !json_is_object(data->value))
		return false;
	CLEANUP(members_freep) struct members *inner = members_of(data->text);
	if (names_repeat(inner) || !ref_fields(r, inner, e))
		return false;
	return time != NULL ? ref_time(r, time, true, &e->time_ms) : ref_time(r, find(inner, "time"), false, &e->time_ms);
}

static bool ref_event(struct reference *r, const json_t *whole, struct span s, enum mode mode, struct event *e)
{
	if (!json_is_object(whole))
		return false;
	size_t first = skip_blanks(s, 0);
	CLEANUP(members_freep) struct members *m = members_of((struct span){ s.p + first, s.n - first });
	if (names_repeat(m))
		return false;
	e->source = (struct span){ NULL, 0 };
	if (mode == STRUCTURED || (mode == FLAT && find(m, "specversion") != NULL))
		return ref_cloud(r, m, e);
	if (mode == BINARY) {
		e->id = SPAN_LIT("h1");
		e->source = SPAN_LIT("/h");
	} else if (!ref_string(r, find(m, "id"), 1, 128, &e->id)) {
		return false;
	}
	return ref_fields(r, m, e) && ref_time(r, find(m, "time"), false, &e->time_ms);
}

// -- comparing

static unsigned depth_of(const json_t *j)
{
	unsigned most = 0, inner;
	size_t i;
	const char *key;
	json_t *value;
	if (json_is_array(j)) {
		json_array_foreach(j, i, value) most = (inner = depth_of(value)) > most ? inner : most;
	} else if (json_is_object(j)) {
		json_object_foreach((json_t *)j, key, value) most = (inner = depth_of(value)) > most ? inner : most;
	} else {
		return 0;
	}
	return most + 1;
}

struct tally {
	unsigned compared, valid, accepted, repeated, halves, deep, passed_over;
};

static bool is_form_fault(enum reject r)
{
	return r == REJECT_JSON_BOM || r == REJECT_JSON_UTF8 || r == REJECT_JSON_TRUNCATED || r == REJECT_JSON_SYNTAX ||
	       r == REJECT_JSON_CONTROL || r == REJECT_JSON_ESCAPE || r == REJECT_JSON_NUMBER || r == REJECT_JSON_TRAILING;
}

// Private characters in the text itself cannot be told from those that stand for halves.
static bool has_private(const struct text *t)
{
	for (size_t i = 0; i < t->n; i++) {
		unsigned c;
		if ((uint8_t)t->p[i] == 0xee || (escape_at(t, i, &c) && c >= 0xe000 && c < 0xe900))
			return true;
	}
	return false;
}

static const struct header STRUCTURED_HEADERS[] = { { { "content-type", 12 }, { "application/cloudevents+json", 28 } } };
static const struct header BINARY_HEADERS[] = {
	{ { "ce_specversion", 14 }, { "1.0", 3 } }, { { "ce_id", 5 }, { "h1", 2 } },
	{ { "ce_source", 9 }, { "/h", 2 } },        { { "ce_type", 7 }, { "t", 1 } },
};

static void ours(const struct text *t, enum mode mode, struct decode_scratch *scratch, char *exact, struct event *e,
		 struct decode_result *ret)
{
	memcpy(exact, t->p, t->n);
	struct record rec = { .value = { exact, t->n } };
	rec.headers = mode == STRUCTURED ? STRUCTURED_HEADERS : BINARY_HEADERS;
	rec.n_headers = mode == STRUCTURED ? 1 : mode == BINARY ? ARRAY_LEN(BINARY_HEADERS) : 0;
	decode_record(&CASE_FIELDS, &rec, scratch, e, ret);
}

static void compare_events(const struct text *t, const struct event *a, const struct event *b)
{
	char x[CASE_RESULT], y[CASE_RESULT];
	case_event_text(a, x);
	case_event_text(b, y);
	reference_check(strcmp(x, y) == 0, "%s\n  ours %s\ntheirs %s", safe(t), x, y);
	reference_check(span_eq(a->id, b->id) && span_eq(a->source, b->source), "%s", safe(t));
}

static void compare(const struct text *t, enum mode mode, struct decode_scratch *scratch, struct tally *tally)
{
	if (t->n == 0)
		return;
	struct text copy = *t;
	struct reference ref = { 0 };
	ref.halves = without_halves(&copy) > 0;
	if (ref.halves && has_private(t)) {
		tally->passed_over++;
		return;
	}
	struct decode_result result;
	struct event event, expected;
	CLEANUP(freep) char *exact = xcalloc(1, t->n);
	ours(t, mode, scratch, exact, &event, &result);
	json_t *j = jansson_read(&copy);
	if (result.reject == REJECT_JSON_DEPTH) {
		reference_check(j == NULL || depth_of(j) > 64, "%s", safe(t));
		tally->deep++;
	} else {
		reference_check((j != NULL) == !is_form_fault(result.reject), "jansson says %s, ours %s at %zu:\n%s",
			     j != NULL ? "valid" : "invalid", reject_info(result.reject)->code, result.position, safe(t));
		bool accepted = j != NULL && ref_event(&ref, j, (struct span){ copy.p, copy.n }, mode, &expected);
		reference_check(accepted == (result.reject == REJECT_NONE), "mode %d: the reference %s, ours says %s (%s):\n%s", mode,
			     accepted ? "accepts" : "refuses", reject_info(result.reject)->code, result.detail, safe(t));
		if (accepted)
			compare_events(t, &event, &expected);
		tally->accepted += accepted;
		tally->valid += j != NULL;
		tally->repeated += result.reject == REJECT_JSON_DUPLICATE_NAME;
		tally->halves += j != NULL && ref.halves;
	}
	tally->compared++;
	json_decref(j);
}

#endif
