// SPDX-License-Identifier: Apache-2.0
// Numbers out of bytes that others wrote: the whole span or nothing, and never a wrapped value.
#include <criterion/criterion.h>

#include "base/check.h"
#include "base/span.h"

Test(span, int64)
{
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 }, { "7", true, 7 }, { "-7", true, -7 }, { "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN }, { "9223372036854775808", false, 0 }, { "-9223372036854775809", false, 0 },
		{ "", false, 0 }, { "-", false, 0 }, { "-0", false, 0 }, { "00", false, 0 }, { "01", false, 0 }, { "+1", false, 0 },
		{ " 1", false, 0 }, { "1 ", false, 0 }, { "1.0", false, 0 }, { "1e3", false, 0 }, { "0x1", false, 0 }, { "1_000", false, 0 },
		{ "99999999999999999999999", false, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t v = -1;
		cr_expect(span_int64(span_of(cases[i].text), &v) == cases[i].good, "%s", cases[i].text);
		cr_expect(v == (cases[i].good ? cases[i].value : -1), "%s", cases[i].text);
	}
	int64_t v = -1;
	cr_expect(!span_int64((struct span){ "1\0" "2", 3 }, &v) && v == -1);
	cr_expect(span_int64((struct span){ "123", 2 }, &v) && v == 12);
}

Test(span, hex64)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} cases[] = {
		{ "0", true, 0 }, { "00ff", true, 255 }, { "ffffffffffffffff", true, UINT64_MAX }, { "DEADbeef", true, 0xdeadbeef },
		{ "", false, 0 }, { "0ffffffffffffffff", false, 0 }, { "g", false, 0 }, { "0x1", false, 0 }, { "-1", false, 0 }, { " 1", false, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 1;
		cr_expect(span_hex64(span_of(cases[i].text), &v) == cases[i].good, "%s", cases[i].text);
		cr_expect(v == (cases[i].good ? cases[i].value : 1), "%s", cases[i].text);
	}
	uint64_t v = 1;
	cr_expect(!span_hex64((struct span){ "1\0" "2", 3 }, &v) && v == 1);
}

Test(span, of_int64)
{
	static const int64_t some[] = { 0, 1, -1, 9, 10, -10, 99, 100, 101, 1234567890123, INT64_MAX, INT64_MAX - 1, INT64_MIN, INT64_MIN + 1 };
	char buf[SPAN_INT64], text[32];
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		snprintf(text, sizeof(text), "%lld", (long long)some[i]);
		cr_expect(span_is(span_of_int64(some[i], buf), text), "%s", text);
	}
}
