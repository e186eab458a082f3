// SPDX-License-Identifier: Apache-2.0
// The documents of an account's month as one text of an outbox entry. They say nearly the same of each service: packed, what Redis copies,
// hashes, writes down and sends is a sixth.
#include "store/bundle.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/check.h"
#include "store/redis.h"

enum { LEVEL = -3, PLAIN_MOST = 1 << 28 };

struct bundle {
	struct pack plain;
	ZSTD_CCtx *packs;
	ZSTD_DCtx *unpacks;
	char *z, *opened;
	size_t z_size, opened_size, opened_n, at;
};

struct bundle *bundle_new(void)
{
	struct bundle *b = xcalloc(1, sizeof(*b));
	b->packs = ZSTD_createCCtx();
	b->unpacks = ZSTD_createDCtx();
	if (b->packs == NULL || b->unpacks == NULL)
		out_of_memory(1, 1);
	return b;
}

void bundle_freep(struct bundle **at)
{
	struct bundle *b = *at;
	if (b == NULL)
		return;
	pack_free(&b->plain);
	ZSTD_freeCCtx(b->packs);
	ZSTD_freeDCtx(b->unpacks);
	free(b->z);
	free(b->opened);
	free(b);
	*at = NULL;
}

static void grow(char **p, size_t *size, size_t wanted)
{
	if (*size >= wanted)
		return;
	*size = wanted + wanted / 2;
	*p = xrealloc(*p, *size, 1);
}

void bundle_begin(struct bundle *b)
{
	b->plain.n = 0;
}

void bundle_add(struct bundle *b, struct span text)
{
	check(text.n < PLAIN_MOST && b->plain.n + text.n + 4 <= PLAIN_MOST); // or it could not be opened
	pack_u32(&b->plain, (uint32_t)text.n);
	pack_bytes(&b->plain, text);
}

struct span bundle_end(struct bundle *b)
{
	grow(&b->z, &b->z_size, ZSTD_compressBound(b->plain.n));
	size_t n = ZSTD_compressCCtx(b->packs, b->z, b->z_size, b->plain.p, b->plain.n, LEVEL);
	check(!ZSTD_isError(n)); // there is room
	return (struct span){ b->z, n };
}

bool bundle_open(struct bundle *b, struct span z)
{
	unsigned long long n = ZSTD_getFrameContentSize(z.p, z.n);
	b->at = b->opened_n = 0;
	if (n == ZSTD_CONTENTSIZE_ERROR || n == ZSTD_CONTENTSIZE_UNKNOWN || n > PLAIN_MOST)
		return false;
	grow(&b->opened, &b->opened_size, (size_t)n + 1);
	b->opened_n = ZSTD_decompressDCtx(b->unpacks, b->opened, b->opened_size, z.p, z.n);
	if (!ZSTD_isError(b->opened_n) && b->opened_n == n)
		return true;
	b->opened_n = 0;
	return false;
}

bool bundle_more(const struct bundle *b)
{
	return b->at < b->opened_n;
}

bool bundle_take(struct bundle *b, struct span *ret)
{
	const unsigned char *p = (const unsigned char *)b->opened + b->at;
	if (b->opened_n - b->at < 4)
		return false;
	size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (b->opened_n - b->at - 4 < n)
		return false;
	*ret = (struct span){ b->opened + b->at + 4, n };
	b->at += 4 + n;
	return true;
}
