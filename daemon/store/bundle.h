// SPDX-License-Identifier: Apache-2.0
// Texts packed into one (zstd, RFC 8878) and taken out again, in their order. The plain form is each text's length as four bytes, big-endian,
// and its bytes.
#ifndef STORE_BUNDLE_H
#define STORE_BUNDLE_H

#include "base/span.h"

struct bundle;
struct bundle *bundle_new(void);
void bundle_freep(struct bundle **b);

void bundle_begin(struct bundle *b);
void bundle_add(struct bundle *b, struct span text);
struct span bundle_end(struct bundle *b);              // at most 256 MiB of texts; valid until the next one

bool bundle_open(struct bundle *b, struct span packed); // false: it is none, or larger than 256 MiB
bool bundle_more(const struct bundle *b);
bool bundle_take(struct bundle *b, struct span *ret);  // valid until another is opened; false: it is cut off

#endif
