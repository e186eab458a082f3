// SPDX-License-Identifier: Apache-2.0
// The look at the bytes around a value: right for every format and length, and never beyond the buffer.
#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "source/headerless.h"

// A mapping whose last byte is the last that may be read.
static uint8_t *cliff(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
	uint8_t *at = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(at != MAP_FAILED);
	cr_assert_eq(mprotect(at + whole, page, PROT_NONE), 0);
	return at + whole;
}

// The tail of a record, up to `end`; returns its value.
static uint8_t *v2(uint8_t *end, size_t n, const char *behind, size_t n_behind)
{
	uint8_t *value = end - n_behind - n, length[10];
	size_t size = 0;
	for (uint64_t rest = (uint64_t)n << 1;; rest >>= 7) {
		length[size++] = (uint8_t)((rest & 0x7f) | (rest >= 0x80 ? 0x80 : 0));
		if (rest < 0x80)
			break;
	}
	memcpy(value - size, length, size);
	memcpy(end - n_behind, behind, n_behind);
	return value;
}

static uint8_t *v1(uint8_t *end, size_t n)
{
	uint8_t *value = end - n;
	for (int i = 0; i < 4; i++)
		value[-1 - i] = (uint8_t)(n >> 8 * i);
	memset(value - 8, 0xff, 4); // no key
	return value;
}

static const size_t lengths[] = { 1, 2, 63, 64, 65, 127, 128, 200, 255, 256, 8191, 8192, 8193, 32768, 65535, 65536, 1048575, 1048576,
				  8421504, 8388608, 10000000 };

Test(headerless, record_format_v2)
{
	uint8_t *end = cliff(10000000 + 64);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		size_t n = lengths[i];
		cr_expect(headerless(v2(end, n, "\0", 1), n), "%zu bytes, no headers", n);
		cr_expect(!headerless(v2(end, n, "\2\2k\2v", 5), n), "%zu bytes, one header", n);
		cr_expect(!headerless(v2(end, n, "\x80\x01", 2), n), "%zu bytes, 64 headers", n);
	}
	cr_expect(!headerless(end, 0), "an empty value lies elsewhere");
}

// Nothing behind the value may be read: it would be a segmentation fault.
Test(headerless, older_formats_at_the_end_of_the_buffer)
{
	uint8_t *end = cliff(10000000 + 64);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		cr_expect(!headerless(v1(end, lengths[i]), lengths[i]), "%zu bytes", lengths[i]);
	for (size_t n = 1; n < 300000; n++) // every form of the last two bytes of a length
		cr_assert(!headerless(v1(end, n), n), "%zu bytes", n);
}

// A length that needs all 31 bits, without the memory for its value: only what stands before it is looked at.
Test(headerless, the_longest_lengths_of_older_formats)
{
	uint8_t *end = cliff(64);
	for (size_t n = (size_t)1 << 26; n <= INT32_MAX; n += 9999991) {
		for (int i = 0; i < 4; i++)
			end[-1 - i] = (uint8_t)(n >> 8 * i);
		for (int key = 0; key < 256; key++) { // the byte before is the key's
			end[-5] = (uint8_t)key;
			cr_assert(!headerless(end, n), "%zu bytes", n);
		}
	}
}

Test(headerless, only_with_a_librdkafka_that_was_read)
{
	cr_expect(headerless_knows(0x020002ff) && headerless_knows(0x020800ff));
	cr_expect(!headerless_knows(0x02000200 + 0x100) && !headerless_knows(0x020801ff) && !headerless_knows(0x010904ff));
}
