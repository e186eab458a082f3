// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"

// Fetched once and kept: EVP_sha256() is looked up anew by everything that is asked with it.
static const EVP_MD *fetched;

static void fetch(void)
{
	fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (fetched == NULL)
		out_of_memory(1, 1);
}

// @thread any
static const EVP_MD *sha256(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	check(pthread_once(&once, fetch) == 0);
	return fetched;
}

void digest_sha256(struct span s, unsigned char ret[DIGEST_SHA256])
{
	unsigned n = 0;
	if (EVP_Digest(s.n > 0 ? s.p : "", s.n, ret, &n, sha256(), NULL) != 1) // for nothing else than a lack of memory
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

static EVP_MD_CTX *of(struct digest *d)
{
	return (EVP_MD_CTX *)d;
}

struct digest *digest_new(void)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	if (c == NULL || EVP_DigestInit_ex(c, sha256(), NULL) != 1)
		out_of_memory(1, 1);
	return (struct digest *)c;
}

void digest_add(struct digest *d, struct span s)
{
	int done = EVP_DigestUpdate(of(d), s.p, s.n);
	check(done == 1);
}

void digest_end(struct digest **d, unsigned char ret[DIGEST_SHA256])
{
	unsigned n = 0;
	int done = EVP_DigestFinal_ex(of(*d), ret, &n);
	check(done == 1 && n == DIGEST_SHA256);
	digest_freep(d);
}

void digest_freep(struct digest **d)
{
	EVP_MD_CTX_free(of(*d));
	*d = NULL;
}
