// SPDX-License-Identifier: Apache-2.0
#include "base/write.h"

#include "base/check.h"
#include "base/utf8.h"

enum { WRITER_FIRST = 1024, ESCAPE_MOST = 6 }; // a line's document is about so long; "\u001F"

struct writer writer_begin(struct arena *a)
{
	return (struct writer){ .arena = a, .p = arena_alloc(a, WRITER_FIRST), .size = WRITER_FIRST, .open = 1 };
}

struct span writer_end(struct writer *w)
{
	check(w->open == 1 && w->follows && !w->keyed);
	char *p = arena_resize(w->arena, w->p, w->size, w->n);
	struct span text = { p, w->n };
	*w = (struct writer){ 0 };
	return text;
}

// ---- bytes
// Where the next byte goes, and n - 1 more. What is put there counts when w->n says so.
static char *room(struct writer *w, size_t n)
{
	if (w->size - w->n < n) {
		size_t size = w->size * 2 > w->n + n ? w->size * 2 : w->n + n;
		w->p = arena_resize(w->arena, w->p, w->size, size);
		w->size = size;
	}
	return w->p + w->n;
}

static void put(struct writer *w, const char *p, size_t n)
{
	memcpy(room(w, n), p, n);
	w->n += n;
}

// The comma and the key before a value.
static void begin_value(struct writer *w, const char *key)
{
	bool in_object = w->open > 1 && (w->open & 1) != 0;
	check((key != NULL) == (in_object && !w->keyed) && (w->open > 1 || !w->follows));
	size_t n = key != NULL ? strlen(key) : 0;
	char *p = room(w, n + 4);
	if (w->follows && !w->keyed)
		*p++ = ',';
	if (key != NULL) {
		*p++ = '"';
		memcpy(p, key, n);
		p += n;
		*p++ = '"';
		*p++ = ':';
	}
	w->n = (size_t)(p - w->p);
	w->follows = true;
	w->keyed = false;
}

static void put_value(struct writer *w, const char *key, const char *p, size_t n)
{
	begin_value(w, key);
	put(w, p, n);
}

// ---- text
static void put_escape(struct writer *w, char c)
{
	static const char short_of[] = "\"\"\\\\\bb\ff\nn\rr\tt", hex[] = "0123456789ABCDEF";
	char *p = room(w, ESCAPE_MOST);
	*p++ = '\\';
	for (size_t i = 0; i + 1 < sizeof(short_of); i += 2) {
		if (short_of[i] == c) {
			*p = short_of[i + 1];
			w->n += 2;
			return;
		}
	}
	memcpy(p, "u00", 3);
	p[3] = hex[(unsigned char)c >> 4];
	p[4] = hex[c & 15];
	w->n += ESCAPE_MOST;
}

static bool escaped(char c)
{
	return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

// Is none of these eight bytes escaped, and all of them ASCII? Each term has a high bit set where some byte is what it looks for: what is not
// ASCII, what is below a blank, a quote, a backslash.
static bool plain8(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	uint64_t x;
	memcpy(&x, p, sizeof(x));
	uint64_t quote = x ^ ones * '"', back = x ^ ones * '\\';
	return ((x | ((x - ones * ' ') & ~x) | ((quote - ones) & ~quote) | ((back - ones) & ~back)) & high) == 0;
}

// Bytes in front that stand as they are, up to one that is escaped, or is not UTF-8.
static size_t plain_length(struct span s)
{
	size_t i = 0, n = 1;
	while (s.n - i >= 8 && plain8(s.p + i))
		i += 8;
	for (; i < s.n && n > 0; i += n) {
		uint32_t unused;
		n = (unsigned char)s.p[i] < 0x80 ? !escaped(s.p[i]) : utf8_next(s.p + i, s.n - i, &unused);
	}
	return i;
}

static bool put_quoted(struct writer *w, struct span s)
{
	put(w, "\"", 1);
	while (s.n > 0) {
		size_t n = plain_length(s);
		put(w, s.p, n);
		if (n < s.n && !escaped(s.p[n]))
			return false;
		if (n < s.n)
			put_escape(w, s.p[n++]);
		s = (struct span){ s.p + n, s.n - n };
	}
	put(w, "\"", 1);
	return true;
}

bool write_bytes(struct writer *w, const char *key, struct span s)
{
	struct writer before = *w;
	if (s.p == NULL) {
		write_null(w, key);
		return true;
	}
	begin_value(w, key);
	if (put_quoted(w, s))
		return true;
	w->n = before.n;
	w->follows = before.follows;
	w->keyed = before.keyed;
	return false;
}

void write_text(struct writer *w, const char *key, const char *text)
{
	check(text != NULL && write_bytes(w, key, span_of(text)));
}

void write_key(struct writer *w, struct span key)
{
	check(w->open > 1 && (w->open & 1) != 0 && !w->keyed);
	if (w->follows)
		put(w, ",", 1);
	check(put_quoted(w, key));
	put(w, ":", 1);
	w->keyed = true;
}

// ---- levels
static void begin_level(struct writer *w, const char *key, bool object)
{
	check(w->open >> 63 == 0);
	put_value(w, key, object ? "{" : "[", 1);
	w->open = w->open << 1 | object;
	w->follows = false;
}

static void end_level(struct writer *w, bool object)
{
	check(w->open > 1 && (w->open & 1) == object && !w->keyed);
	put(w, object ? "}" : "]", 1);
	w->open >>= 1;
	w->follows = true;
}

void write_object(struct writer *w, const char *key)
{
	begin_level(w, key, true);
}

void write_object_end(struct writer *w)
{
	end_level(w, true);
}

void write_array(struct writer *w, const char *key)
{
	begin_level(w, key, false);
}

void write_array_end(struct writer *w)
{
	end_level(w, false);
}

// ---- other values
void write_integer(struct writer *w, const char *key, int64_t v)
{
	char buf[SPAN_INT64];
	struct span digits = span_of_int64(v, buf);
	put_value(w, key, digits.p, digits.n);
}

void write_null(struct writer *w, const char *key)
{
	put_value(w, key, "null", 4);
}

void write_true(struct writer *w, const char *key)
{
	put_value(w, key, "true", 4);
}

void write_json(struct writer *w, const char *key, struct span text)
{
	check(text.n > 0);
	put_value(w, key, text.p, text.n);
}

void write_price(struct writer *w, const char *key, int64_t micro)
{
	char text[MONEY_TEXT];
	write_text(w, key, money_price_text(micro, text));
}

void write_amount(struct writer *w, const char *key, amount_pico amount)
{
	char text[MONEY_TEXT];
	write_text(w, key, money_amount_text(amount, text));
}

void write_fen(struct writer *w, const char *key, int64_t fen)
{
	char text[MONEY_TEXT];
	write_text(w, key, money_fen_text(fen, text));
}
