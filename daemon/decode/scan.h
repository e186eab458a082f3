// SPDX-License-Identifier: Apache-2.0
// The JSON scanner: a cursor over bytes that are somebody else's, which stops at the first byte that RFC 8259 does not allow.
// What every token needs (blanks, strings, the end of a value) is inline; the rest is in scan.c. Private to the room.
//
// Invariant: begin <= p <= end; nothing at or behind `end` is read. After the first false, `fault` and `at` say why and where,
// and the cursor is of no use any more.
#ifndef DECODE_SCAN_H
#define DECODE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/utf8.h"
#include "decode/decode.h"

enum { SCAN_MAX_DEPTH = 64 };

struct scan {
	const uint8_t *begin, *p, *end;
	enum reject fault;
	const uint8_t *at;
};

enum token_kind { TOKEN_STRING, TOKEN_INTEGER, TOKEN_NUMBER, TOKEN_TRUE, TOKEN_FALSE, TOKEN_NULL, TOKEN_OBJECT, TOKEN_ARRAY };

// A value as it stands in the text. A string: what is between the quotes; all others: all of it.
struct token {
	const uint8_t *p;
	size_t n;
	enum token_kind kind;
	bool escaped; // a string with at least one backslash
};

void scan_set_fault(struct scan *s, enum reject fault, const uint8_t *at) __attribute__((cold, noinline));
// At a byte that cannot stand here: the end, broken UTF-8, or plain syntax.
enum reject scan_why(const struct scan *s) __attribute__((cold, noinline));

// Both always return false.
static inline bool scan_fail(struct scan *s, enum reject fault, const uint8_t *at)
{
	scan_set_fault(s, fault, at);
	return false;
}
static inline bool scan_unexpected(struct scan *s)
{
	scan_set_fault(s, scan_why(s), s->p);
	return false;
}

bool scan_string_rest(struct scan *s, struct token *ret);  // general form of scan_string, from any point of a string
bool scan_number(struct scan *s, struct token *ret);
bool scan_literal(struct scan *s, struct token *ret);      // true, false, null
bool scan_container(struct scan *s, unsigned depth, struct token *ret); // at '{' or '[', itself at that depth

// Writes the unescaped form of a scanned string, at most t->n bytes, and returns its length. Halves of surrogate pairs become
// the three bytes they would have in UTF-8, which no valid text holds; *ret_half (may be NULL) is the first of them, else NULL.
size_t scan_unescape(const struct token *t, uint8_t *to, const uint8_t **ret_half);

// Bytes of the character at the cursor, which is not at the end; 0 when it is no UTF-8.
static inline size_t scan_character(const struct scan *s)
{
	uint32_t c;
	return utf8_next((const char *)s->p, (size_t)(s->end - s->p), &c);
}

static inline void scan_blanks(struct scan *s)
{
	while (s->p < s->end && *s->p <= ' ' && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

// Passes the byte c, with blanks before and after it.
static inline bool scan_byte(struct scan *s, uint8_t c)
{
	if (s->end - s->p >= 2 && s->p[0] == c && s->p[1] > ' ') { // as programs write it
		s->p++;
		return true;
	}
	scan_blanks(s);
	if (s->p == s->end || *s->p != c)
		return scan_unexpected(s);
	s->p++;
	scan_blanks(s);
	return true;
}

#ifdef __SSE2__
// A bit for each of 16 bytes that ends a plain run: quote, backslash, control character, or not ASCII.
static inline unsigned scan_special16(const uint8_t *p)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i other = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)); // signed: what is not ASCII is below 0
	__m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
	__m128i back = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(other, quote), back));
}
#endif

// At the opening quote; on success behind the closing one.
static inline bool scan_string(struct scan *s, struct token *ret)
{
	const uint8_t *first = s->p + 1, *p = first;
	ret->p = first;
	ret->kind = TOKEN_STRING;
	ret->escaped = false;
#ifdef __SSE2__
	while (s->end - p >= 16) {
		unsigned special = scan_special16(p);
		if (special == 0) {
			p += 16;
			continue;
		}
		p += __builtin_ctz(special);
		if (*p != '"')
			break;
		ret->n = (size_t)(p - first);
		s->p = p + 1;
		return true;
	}
#endif
	s->p = p;
	return scan_string_rest(s, ret);
}

// Any value; `depth` is that of the object or array around it.
static inline bool scan_value(struct scan *s, unsigned depth, struct token *ret)
{
	if (s->p == s->end)
		return scan_unexpected(s);
	uint8_t c = *s->p;
	if (c == '"')
		return scan_string(s, ret);
	if (c == '{' || c == '[')
		return scan_container(s, depth + 1, ret);
	if (c == '-' || (uint8_t)(c - '0') < 10)
		return scan_number(s, ret);
	return scan_literal(s, ret);
}

#endif
