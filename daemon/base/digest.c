// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/check.h"

void digest_sha256(struct span s, unsigned char ret[DIGEST_SHA256])
{
	unsigned n = 0;
	if (EVP_Digest(s.n > 0 ? s.p : "", s.n, ret, &n, EVP_sha256(), NULL) != 1) // for nothing else than a lack of memory
		out_of_memory(1, 1);
	check(n == DIGEST_SHA256);
}

void digest_sha256_text(struct span s, char ret[DIGEST_SHA256_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[DIGEST_SHA256];
	digest_sha256(s, bytes);
	for (size_t i = 0; i < DIGEST_SHA256; i++) {
		ret[2 * i] = hex[bytes[i] >> 4];
		ret[2 * i + 1] = hex[bytes[i] & 15];
	}
	ret[2 * DIGEST_SHA256] = '\0';
}

void digest_sha256_base64(struct span s, char ret[DIGEST_SHA256_BASE64])
{
	unsigned char bytes[DIGEST_SHA256], text[DIGEST_SHA256_BASE64];
	digest_sha256(s, bytes);
	check(EVP_EncodeBlock(text, bytes, DIGEST_SHA256) == DIGEST_SHA256_BASE64 - 1);
	memcpy(ret, text, DIGEST_SHA256_BASE64);
}
