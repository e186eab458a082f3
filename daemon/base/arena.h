// SPDX-License-Identifier: Apache-2.0
// Bump allocation for what lives exactly as long as a batch. Blocks are kept over a reset, so a steady load
// allocates nothing. Not thread-safe: one owner.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/span.h"

struct arena {
	struct arena_block *first, *now;
	size_t used;  // in the current block
	size_t total; // bytes handed out since the last reset
};

void *arena_alloc(struct arena *a, size_t n); // aligned to 8, not zeroed, never NULL
struct span arena_copy(struct arena *a, struct span s);
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
