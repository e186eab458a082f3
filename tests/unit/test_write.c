// SPDX-License-Identifier: Apache-2.0
// What is written is what jansson would dump of the same tree, byte for byte; what is no UTF-8 to it is none here.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/write.h"

enum { TREES = 30000, STRINGS = 300000, BYTES_MOST = 40 };

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static int64_t below(uint64_t *state, int64_t n)
{
	return (int64_t)(next_random(state) % (uint64_t)n);
}

// ---- bytes that are hard to quote
static const struct span pieces[] = {
	SPAN_LIT("\""), SPAN_LIT("\\"), SPAN_LIT("/"), SPAN_LIT("\b\f\n\r\t"), SPAN_LIT("\x7f"), SPAN_LIT("\0"), SPAN_LIT("\x1f"), SPAN_LIT("plain"),
	SPAN_LIT("\xc2\x80"), SPAN_LIT("\xc3\xa9"), SPAN_LIT("\xdf\xbf"), SPAN_LIT("\xe0\xa0\x80"), SPAN_LIT("\xe8\xae\xa1\xe9\x87\x8f"),
	SPAN_LIT("\xed\x9f\xbf"), SPAN_LIT("\xee\x80\x80"), SPAN_LIT("\xef\xbf\xbf"), SPAN_LIT("\xe2\x80\xa8"), SPAN_LIT("\xf0\x90\x80\x80"),
	SPAN_LIT("\xf0\x9f\x98\x80"), SPAN_LIT("\xf4\x8f\xbf\xbf"),
};
static const struct span broken[] = {
	SPAN_LIT("\x80"), SPAN_LIT("\xbf"), SPAN_LIT("\xc0\x80"), SPAN_LIT("\xc1\xbf"), SPAN_LIT("\xc3"), SPAN_LIT("\xc3("), SPAN_LIT("\xe0\x9f\xbf"),
	SPAN_LIT("\xe2\x82"), SPAN_LIT("\xed\xa0\x80"), SPAN_LIT("\xed\xbf\xbf"), SPAN_LIT("\xf0\x8f\xbf\xbf"), SPAN_LIT("\xf0\x9f\x98"),
	SPAN_LIT("\xf4\x90\x80\x80"), SPAN_LIT("\xf5\x80\x80\x80"), SPAN_LIT("\xfe"), SPAN_LIT("\xff"),
};

static struct span put(char *buf, size_t n, struct span s)
{
	memcpy(buf + n, s.p, s.n);
	return (struct span){ buf, n + s.n };
}

// `faults`: of a hundred pieces, so many that are broken or any byte at all.
static struct span random_bytes(uint64_t *rnd, char *buf, int faults)
{
	struct span s = { buf, 0 };
	for (int64_t left = below(rnd, 8); left > 0; left--) {
		char any = (char)below(rnd, 256), letter = (char)(' ' + below(rnd, 95)), low = (char)below(rnd, 32);
		bool bad = below(rnd, 100) < faults;
		switch (below(rnd, bad ? 2 : 4)) {
		case 0:
			s = put(buf, s.n, bad ? broken[below(rnd, ARRAY_LEN(broken))] : pieces[below(rnd, ARRAY_LEN(pieces))]);
			break;
		case 1:
			s = put(buf, s.n, (struct span){ bad ? &any : &low, 1 });
			break;
		default:
			s = put(buf, s.n, (struct span){ &letter, 1 });
		}
	}
	return s;
}

// ---- the same tree twice
struct both {
	uint64_t rnd;
	struct writer w;
	struct arena arena;
	int refused;
};

static json_t *make_value(struct both *b, const char *key, int depth);

static int64_t random_integer(uint64_t *rnd)
{
	static const int64_t some[] = { 0, -1, 9, 10, 99, 100, -100, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1, UINT32_MAX };
	uint64_t bits = next_random(rnd);
	return below(rnd, 3) == 0 ? some[below(rnd, ARRAY_LEN(some))] : (int64_t)bits >> below(rnd, 64);
}

static json_t *make_bytes(struct both *b, const char *key)
{
	char buf[8 * BYTES_MOST];
	struct span s = random_bytes(&b->rnd, buf, 10);
	json_t *j = json_stringn(s.p, s.n);
	bool written = write_bytes(&b->w, key, s);
	cr_assert_eq(written, j != NULL);
	if (written)
		return j;
	b->refused++;
	write_null(&b->w, key); // where the refused text would stand
	return json_null();
}

static json_t *make_array(struct both *b, const char *key, int depth)
{
	json_t *j = json_array();
	write_array(&b->w, key);
	for (int64_t n = below(&b->rnd, 5); n > 0; n--)
		json_array_append_new(j, make_value(b, NULL, depth - 1));
	write_array_end(&b->w);
	return j;
}

static json_t *make_object(struct both *b, const char *key, int depth)
{
	static const char *const names[] = { "a", "unit_price", "calls", "", "catalog_sha256" };
	char buf[8 * BYTES_MOST + 1];
	json_t *j = json_object();
	write_object(&b->w, key);
	for (int64_t n = below(&b->rnd, 6); n > 0; n--) {
		struct span any = random_bytes(&b->rnd, buf, 0);
		const char *name = below(&b->rnd, 2) == 0 ? names[below(&b->rnd, ARRAY_LEN(names))] : NULL;
		buf[any.n] = '\0';
		if (json_object_get(j, name != NULL ? name : buf) != NULL || strlen(buf) != any.n)
			continue;
		if (name == NULL)
			write_key(&b->w, any);
		json_object_set_new(j, name != NULL ? name : buf, make_value(b, name, depth - 1));
	}
	write_object_end(&b->w);
	return j;
}

static json_t *make_value(struct both *b, const char *key, int depth)
{
	int64_t kind = below(&b->rnd, depth > 0 ? 8 : 5), v = random_integer(&b->rnd);
	if (below(&b->rnd, 50) == 0)
		memset(arena_alloc(&b->arena, 100), 'x', 100); // somebody else's
	switch (kind) {
	case 0:
		write_null(&b->w, key);
		return json_null();
	case 1:
		write_true(&b->w, key);
		return json_true();
	case 2:
		write_integer(&b->w, key, v);
		return json_integer(v);
	case 3:
	case 4:
		return make_bytes(b, key);
	case 5:
		return make_array(b, key, depth);
	default:
		return make_object(b, key, depth);
	}
}

Test(write, trees)
{
	struct both b = { .rnd = 20261128 };
	for (int i = 0; i < TREES; i++) {
		if (i % 100 == 0)
			arena_reset(&b.arena);
		b.w = writer_begin(&b.arena);
		json_t *j = make_value(&b, NULL, i % 6);
		struct span text = writer_end(&b.w);
		char *dump = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
		cr_assert(span_is(text, dump), "tree %d:\n%.*s\n%s", i, (int)text.n, text.p, dump);
		free(dump);
		json_decref(j);
	}
	cr_expect_gt(b.refused, TREES / 10);
	arena_free(&b.arena);
}

static void same_text(struct arena *a, struct span s)
{
	struct arena_mark mark = arena_mark(a);
	struct writer w = writer_begin(a);
	json_t *j = json_stringn(s.p, s.n);
	bool written = write_bytes(&w, NULL, s);
	cr_assert_eq(written, j != NULL, "%zu bytes", s.n);
	if (written) {
		struct span text = writer_end(&w);
		char *dump = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
		cr_assert(span_is(text, dump), "%.*s\n%s", (int)text.n, text.p, dump);
		free(dump);
	}
	json_decref(j);
	arena_rewind(a, mark);
}

Test(write, texts)
{
	struct arena a = { 0 };
	uint64_t rnd = 7;
	char buf[8 * BYTES_MOST];
	same_text(&a, SPAN_LIT(""));
	for (int first = 0; first < 256; first++) { // all of one and two bytes, and of three behind the leads that have rules of their own
		for (int second = 0; second < 256; second++) {
			char two[] = { (char)first, (char)second, '\xbf', '\x80', '"' };
			for (size_t n = 1; n <= sizeof(two); n++)
				same_text(&a, (struct span){ two, n });
		}
	}
	for (int i = 0; i < STRINGS; i++)
		same_text(&a, random_bytes(&rnd, buf, i % 2 == 0 ? 0 : 15));
	arena_free(&a);
}

// Longer than a block of the arena, each byte six in the text.
Test(write, a_long_text_grows)
{
	struct arena a = { 0 };
	size_t n = 300 * 1024;
	CLEANUP(freep) char *bytes = xcalloc(n, 1);
	memset(bytes, 1, n);
	same_text(&a, (struct span){ bytes, n });
	memset(bytes, 'x', n);
	same_text(&a, (struct span){ bytes, n });
	bytes[n - 1] = '\xff';
	same_text(&a, (struct span){ bytes, n });
	arena_free(&a);
}

Test(write, absent_is_null_and_money_is_text)
{
	struct arena a = { 0 };
	struct writer w = writer_begin(&a);
	write_object(&w, NULL);
	cr_expect(write_bytes(&w, "none", (struct span){ 0 }) && write_bytes(&w, "empty", SPAN_LIT("")));
	write_price(&w, "price", 2500000);
	write_fen(&w, "fen", -1230);
	write_amount(&w, "amount", (amount_pico)2474997500000000);
	write_json(&w, "cuts", SPAN_LIT("{\"a/0\":1}"));
	write_array(&w, "list");
	write_json(&w, NULL, SPAN_LIT("[]"));
	write_text(&w, NULL, "x");
	write_array_end(&w);
	write_object_end(&w);
	struct span text = writer_end(&w);
	cr_expect(span_is(text, "{\"none\":null,\"empty\":\"\",\"price\":\"2.5\",\"fen\":\"-12.30\",\"amount\":\"2474.9975\",\"cuts\":{\"a/0\":1},"
				"\"list\":[[],\"x\"]}"), "%.*s", (int)text.n, text.p);
	arena_free(&a);
}
