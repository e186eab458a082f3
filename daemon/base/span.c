// SPDX-License-Identifier: Apache-2.0
#include "base/span.h"

bool span_int64(struct span s, int64_t *ret)
{
	size_t i = 0;
	bool neg = s.n > 0 && s.p[0] == '-';
	if (neg)
		i = 1;
	if (i == s.n || (s.p[i] == '0' && (s.n > i + 1 || neg)))
		return false;
	int64_t v = 0;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		int digit = s.p[i] - '0';
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v))
			return false;
	}
	if (!neg && __builtin_sub_overflow(0, v, &v))
		return false;
	*ret = v;
	return true;
}

struct span span_of_int64(int64_t v, char buf[SPAN_INT64])
{
	size_t at = SPAN_INT64;
	uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
	do {
		buf[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest != 0);
	if (v < 0)
		buf[--at] = '-';
	return (struct span){ buf + at, SPAN_INT64 - at };
}

bool span_hex64(struct span s, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t v = 0;
	if (s.n == 0 || s.n > 16)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i] >= 'A' && s.p[i] <= 'F' ? (char)(s.p[i] + 32) : s.p[i];
		const char *at = c != '\0' ? strchr(digits, c) : NULL;
		if (at == NULL)
			return false;
		v = v << 4 | (uint64_t)(at - digits);
	}
	*ret = v;
	return true;
}
