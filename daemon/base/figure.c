// SPDX-License-Identifier: Apache-2.0
#include "base/figure.h"

#include <inttypes.h>
#include <stdio.h>

bool figure_parse(const char *text, int decimals, amount_pico *ret)
{
	bool negative = *text == '-', point = false;
	amount_pico v = 0;
	int left = decimals, digits = 0;
	for (text += negative; *text != '\0'; text++) {
		if (*text == '.' && !point && digits > 0) {
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9' || (point && left-- == 0))
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *text - '0', &v))
			return false;
		digits++;
	}
	for (; left > 0; left--)
		if (__builtin_mul_overflow(v, 10, &v))
			return false;
	*ret = negative ? -v : v;
	return digits > 0;
}

bool figure_fen(const char *text, int64_t *ret)
{
	amount_pico v;
	if (text == NULL || !figure_parse(text, 2, &v) || v > INT64_MAX || v < -INT64_MAX)
		return false;
	*ret = (int64_t)v;
	return true;
}

const char *figure_grouped(int64_t v, char buf[FIGURE_TEXT])
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, v), out = 0;
	for (int i = 0; i < n; i++) {
		buf[out++] = digits[i];
		int left = n - 1 - i;
		if (left > 0 && left % 3 == 0 && digits[i] != '-')
			buf[out++] = ',';
	}
	buf[out] = '\0';
	return buf;
}
