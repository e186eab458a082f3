// SPDX-License-Identifier: Apache-2.0
// SHA-256, for identities and for what must be recognisable years later. Pure.
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/span.h"

enum { DIGEST_SHA256 = 32, DIGEST_SHA256_TEXT = 65, DIGEST_SHA256_BASE64 = 45 }; // texts: lower-case hex, base64, with NUL

void digest_sha256(struct span s, unsigned char ret[DIGEST_SHA256]);
void digest_sha256_text(struct span s, char ret[DIGEST_SHA256_TEXT]);
void digest_sha256_base64(struct span s, char ret[DIGEST_SHA256_BASE64]);


// The same of bytes that come piece by piece.
struct digest;
struct digest *digest_new(void);
void digest_add(struct digest *d, struct span s);
void digest_end(struct digest **d, unsigned char ret[DIGEST_SHA256]); // frees it
void digest_freep(struct digest **d);

#endif
