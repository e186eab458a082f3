// SPDX-License-Identifier: Apache-2.0
// UTF-8, and one character of it (RFC 3629): shortest form only, no surrogates, at most U+10FFFF.
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes of the first character of p[0 … n), 0 when they are not UTF-8 or n is 0. *ret is written on success only.
static inline size_t utf8_next(const char *p, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (n == 0)
		return 0;
	unsigned char lead = (unsigned char)p[0];
	size_t len = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || len > n)
		return 0;
	uint32_t c = len == 1 ? lead : lead & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		unsigned char b = (unsigned char)p[i];
		if ((b & 0xc0) != 0x80)
			return 0;
		c = (c << 6) | (b & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

static inline bool utf8_is(const char *p, size_t n)
{
	uint32_t c;
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_next(p + i, n - i, &c);
		if (len == 0)
			return false;
	}
	return true;
}

#endif
