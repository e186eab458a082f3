// SPDX-License-Identifier: Apache-2.0
// Does a consumed record have no headers? Asking librdkafka costs an allocation a record to learn that (0.2 µs, a third of what a
// bare consumer spends), so the bytes around the value are asked first. It answers true only where that is certain; otherwise the
// public call decides.
//
// What is relied on, read in the sources of the versions below (rdkafka_msgset_reader.c, rdkafka_op.c: of every codec, transactional
// or not, whatever the time stamps): a value that is not empty is not copied, but points into the response or its decompressed form.
//
//	format v2      … length of the value (zigzag varint, 1 to 5 bytes) │ value │ number of headers (zigzag varint) …
//	format v0, v1  … length of the key (4) │ key │ length of the value (4, big endian) │ value    — and there the buffer may end
//
// The byte behind the value may be read in v2 only, and the bytes before it, which all formats have, tell them apart: no big-endian
// length ends like the varint of the same number. For n < 64 the last byte is n, not 2n; for larger n the varint has bit 7 set in
// the first of its bytes that lies in the four (n < 2^27) or in its second (n < 2^31), where the big-endian form has not.
// A record without the number of headers is none: brokers do not store it.
#ifndef SOURCE_HEADERLESS_H
#define SOURCE_HEADERLESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Versions of librdkafka whose sources were read for the above: Debian 12 and 13. The bytes of any other are not looked at.
static inline bool headerless_knows(int version)
{
	return version >> 8 == 0x020002 || version >> 8 == 0x020800;
}

static inline bool headerless(const void *value, size_t n)
{
	const uint8_t *at = value, *before = at;
	if (n == 0 || n > INT32_MAX)
		return false;
	size_t size = 1;
	for (size_t rest = n << 1; rest >= 0x80; rest >>= 7)
		size++;
	before -= size;
	size_t rest = n << 1;
	for (size_t i = 0; i < size; i++, rest >>= 7)
		if (before[i] != ((rest & 0x7f) | (i + 1 < size ? 0x80 : 0)))
			return false;
	return at[n] == 0;
}

#endif
