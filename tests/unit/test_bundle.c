// SPDX-License-Identifier: Apache-2.0
// Texts packed into one come out as they went in; what is none, or was cut off, is refused.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "store/bundle.h"

static void fill(struct bundle *b, uint32_t n)
{
	bundle_begin(b);
	for (uint32_t i = 0; i < n; i++) {
		char text[64];
		int length = snprintf(text, sizeof(text), "%u of the same", i);
		bundle_add(b, (struct span){ text, i % 7 == 0 ? 0 : (size_t)length });
	}
}

Test(bundle, gives_back_what_was_packed)
{
	struct bundle *b = bundle_new();
	static const uint32_t sizes[] = { 1, 2, 16, 20000, 3 };
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		fill(b, sizes[k]);
		struct span packed = bundle_end(b), text;
		cr_assert(bundle_open(b, packed));
		for (uint32_t i = 0; i < sizes[k]; i++) {
			char want[64];
			int length = snprintf(want, sizeof(want), "%u of the same", i);
			cr_assert(bundle_more(b) && bundle_take(b, &text));
			cr_assert(i % 7 == 0 ? text.n == 0 : text.n == (size_t)length && memcmp(text.p, want, text.n) == 0, "%u", i);
		}
		cr_assert(!bundle_more(b) && !bundle_take(b, &text));
	}
	bundle_freep(&b);
}

Test(bundle, refuses_what_is_none)
{
	struct bundle *b = bundle_new();
	struct span text;
	fill(b, 100);
	struct span packed = bundle_end(b);
	for (size_t n = 0; n < packed.n; n++) { // cut off anywhere
		char *copy = malloc(n + 1);
		memcpy(copy, packed.p, n);
		cr_assert(!bundle_open(b, (struct span){ copy, n }), "%zu", n);
		cr_assert(!bundle_more(b) && !bundle_take(b, &text));
		free(copy);
	}
	static const char *const plain[] = { "", "\0", "\0\0\0", "\0\0\0\5four", "\377\377\377\377text" };
	static const size_t plain_n[] = { 0, 1, 3, 8, 8 };
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		char z[256];
		size_t n = ZSTD_compress(z, sizeof(z), plain[i], plain_n[i], 1);
		cr_assert(bundle_open(b, (struct span){ z, n }));
		cr_assert(!bundle_take(b, &text), "%zu", i);
	}
	// One that says that it is larger than anything that was packed.
	static const unsigned char large[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0 };
	cr_assert(!bundle_open(b, (struct span){ (const char *)large, sizeof(large) }));
	bundle_freep(&b);
}
