// SPDX-License-Identifier: Apache-2.0
// CRC-32 as zlib has it, so that scripts/bench computes the same one in Python over counters that it reads back.
#ifndef BENCH_CRC32_H
#define BENCH_CRC32_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t crc32_of(const void *p, size_t n)
{
	static uint32_t table[256];
	if (table[1] == 0)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
			table[i] = c;
		}
	uint32_t c = 0xffffffffu;
	for (const unsigned char *b = p, *end = b + n; b < end; b++)
		c = table[(c ^ *b) & 0xff] ^ (c >> 8);
	return ~c;
}

#endif
