// SPDX-License-Identifier: Apache-2.0
// The parts of the scanner that not every token needs. See scan.h.
#include "decode/scan.h"

#include <string.h>

void scan_set_fault(struct scan *s, enum reject fault, const uint8_t *at)
{
	s->fault = fault;
	s->at = at;
}

enum reject scan_why(const struct scan *s)
{
	if (s->p == s->end)
		return REJECT_JSON_TRUNCATED;
	return *s->p >= 0x80 && scan_character(s) == 0 ? REJECT_JSON_UTF8 : REJECT_JSON_SYNTAX;
}

static int hex_digit(uint8_t c)
{
	if ((uint8_t)(c - '0') < 10)
		return c - '0';
	c |= 0x20;
	return (uint8_t)(c - 'a') < 6 ? c - 'a' + 10 : -1;
}

// At a backslash. The fault lies at the byte that no escape has there.
static bool scan_escape(struct scan *s)
{
	s->p++;
	if (s->p == s->end)
		return scan_unexpected(s);
	if (*s->p != 'u') {
		if (*s->p == '\0' || strchr("\"\\/bfnrt", *s->p) == NULL)
			return scan_fail(s, REJECT_JSON_ESCAPE, s->p);
		s->p++;
		return true;
	}
	s->p++;
	for (int i = 0; i < 4; i++, s->p++) {
		if (s->p == s->end)
			return scan_unexpected(s);
		if (hex_digit(*s->p) < 0)
			return scan_fail(s, REJECT_JSON_ESCAPE, s->p);
	}
	return true;
}

bool scan_string_rest(struct scan *s, struct token *ret)
{
	while (s->p < s->end) {
		uint8_t c = *s->p;
		if (c == '"') {
			ret->n = (size_t)(s->p++ - ret->p);
			return true;
		}
		if (c == '\\') {
			ret->escaped = true;
			if (!scan_escape(s))
				return false;
		} else if (c < 0x20) {
			return scan_fail(s, REJECT_JSON_CONTROL, s->p);
		} else {
			size_t step = c < 0x80 ? 1 : scan_character(s);
			if (step == 0)
				return scan_fail(s, REJECT_JSON_UTF8, s->p);
			s->p += step;
		}
#ifdef __SSE2__
		while (s->end - s->p >= 16 && scan_special16(s->p) == 0)
			s->p += 16;
#endif
	}
	return scan_unexpected(s);
}

// The digits at p: behind the last of them.
static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (uint8_t)(*p - '0') < 10)
		p++;
	return p;
}

// At least one digit must stand at p.
static bool scan_digits(struct scan *s, const uint8_t *p)
{
	s->p = digits(p, s->end);
	if (s->p > p)
		return true;
	return s->p == s->end ? scan_unexpected(s) : scan_fail(s, REJECT_JSON_NUMBER, s->p);
}

// At a point or an exponent.
static bool scan_fraction(struct scan *s)
{
	if (*s->p == '.' && !scan_digits(s, s->p + 1))
		return false;
	if (s->p == s->end || (*s->p | 0x20) != 'e')
		return true;
	s->p++;
	if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
		s->p++;
	return scan_digits(s, s->p);
}

bool scan_number(struct scan *s, struct token *ret)
{
	ret->p = s->p;
	ret->kind = TOKEN_INTEGER;
	ret->escaped = false;
	const uint8_t *first = s->p + (*s->p == '-');
	if (!scan_digits(s, first))
		return false;
	if (*first == '0' && s->p - first > 1)
		return scan_fail(s, REJECT_JSON_NUMBER, first);
	if (s->p < s->end && (*s->p == '.' || (*s->p | 0x20) == 'e')) {
		ret->kind = TOKEN_NUMBER;
		if (!scan_fraction(s))
			return false;
	}
	ret->n = (size_t)(s->p - ret->p);
	return true;
}

bool scan_literal(struct scan *s, struct token *ret)
{
	static const char *const words[] = { "true", "false", "null" };
	static const enum token_kind kinds[] = { TOKEN_TRUE, TOKEN_FALSE, TOKEN_NULL };
	for (int w = 0; w < 3; w++) {
		if (*s->p != (uint8_t)words[w][0])
			continue;
		*ret = (struct token){ .p = s->p, .n = strlen(words[w]), .kind = kinds[w] };
		for (const char *c = words[w]; *c != '\0'; c++, s->p++) {
			if (s->p == s->end || *s->p != (uint8_t)*c)
				return scan_unexpected(s);
		}
		return true;
	}
	if (*s->p == '+' || *s->p == '.')
		return scan_fail(s, REJECT_JSON_NUMBER, s->p);
	return scan_unexpected(s);
}

// The objects (1) and arrays (0) that are open inside one value, innermost in bit 0.
struct nest {
	uint64_t objects;
	unsigned open;
};

static bool nest_name(struct scan *s)
{
	struct token name;
	if (s->p == s->end || *s->p != '"')
		return scan_unexpected(s);
	return scan_string(s, &name) && scan_byte(s, ':');
}

// At '{' or '['. *ret_empty: it closes at once, and has been left again.
static bool nest_enter(struct scan *s, struct nest *nest, unsigned outer, bool *ret_empty)
{
	if (outer + nest->open >= SCAN_MAX_DEPTH)
		return scan_fail(s, REJECT_JSON_DEPTH, s->p);
	bool object = *s->p == '{';
	s->p++;
	scan_blanks(s);
	*ret_empty = s->p < s->end && *s->p == (object ? '}' : ']');
	if (*ret_empty) {
		s->p++;
		return true;
	}
	nest->objects = nest->objects << 1 | object;
	nest->open++;
	return object ? nest_name(s) : true;
}

// Behind a value: leaves what ends here, and stops before the next value, or with nothing open.
static bool nest_go_on(struct scan *s, struct nest *nest)
{
	while (nest->open > 0) {
		bool object = nest->objects & 1;
		scan_blanks(s);
		if (s->p == s->end)
			return scan_unexpected(s);
		if (*s->p == ',') {
			s->p++;
			scan_blanks(s);
			return object ? nest_name(s) : true;
		}
		if (*s->p != (object ? '}' : ']'))
			return scan_unexpected(s);
		s->p++;
		nest->objects >>= 1;
		nest->open--;
	}
	return true;
}

bool scan_container(struct scan *s, unsigned depth, struct token *ret)
{
	struct nest nest = { 0 };
	struct token scalar;
	const uint8_t *first = s->p;
	do {
		bool container = s->p < s->end && (*s->p == '{' || *s->p == '[');
		bool empty = false;
		if (container ? !nest_enter(s, &nest, depth - 1, &empty) : !scan_value(s, depth, &scalar))
			return false;
		if (container && !empty)
			continue;
		if (!nest_go_on(s, &nest))
			return false;
	} while (nest.open > 0);
	*ret = (struct token){ .p = first, .n = (size_t)(s->p - first), .kind = *first == '{' ? TOKEN_OBJECT : TOKEN_ARRAY };
	return true;
}

static unsigned hex4(const uint8_t *p)
{
	return (unsigned)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]));
}

static uint8_t *utf8_put(uint8_t *to, unsigned c)
{
	if (c < 0x80) {
		*to++ = (uint8_t)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (uint8_t)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*to++ = (uint8_t)(0xe0 | c >> 12);
		} else {
			*to++ = (uint8_t)(0xf0 | c >> 18);
			*to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (uint8_t)(0x80 | (c & 0x3f));
	return to;
}

static uint8_t unescape_short(uint8_t c)
{
	switch (c) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return c; // quote, backslash, slash
	}
}

size_t scan_unescape(const struct token *t, uint8_t *to, const uint8_t **ret_half)
{
	const uint8_t *p = t->p, *end = t->p + t->n, *half = NULL;
	uint8_t *out = to;
	while (p < end) {
		if (*p != '\\') {
			*out++ = *p++;
			continue;
		}
		if (p[1] != 'u') {
			*out++ = unescape_short(p[1]);
			p += 2;
			continue;
		}
		const uint8_t *here = p;
		unsigned c = hex4(p + 2);
		p += 6;
		bool high = c >= 0xd800 && c < 0xdc00;
		if (high && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex4(p + 2) >= 0xdc00 && hex4(p + 2) < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
			p += 6;
		} else if (c >= 0xd800 && c < 0xe000 && half == NULL) {
			half = here;
		}
		out = utf8_put(out, c);
	}
	if (ret_half != NULL)
		*ret_half = half;
	return (size_t)(out - to);
}
