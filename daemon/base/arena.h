// SPDX-License-Identifier: Apache-2.0
// Bump allocation for what lives exactly as long as a batch. Blocks are kept over a reset, so a steady load
// allocates nothing; what they hold follows the largest that was needed at one time. Not thread-safe: one owner.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/span.h"

struct arena {
	struct arena_block *first, *now;
	size_t used;  // in the current block
	size_t total; // bytes handed out since the last reset
	size_t held;  // bytes of all blocks
};

// Where an arena stands; what was handed out since is given back by arena_rewind. Not over a reset.
struct arena_mark {
	struct arena_block *now;
	size_t used, total;
};

void *arena_alloc(struct arena *a, size_t n); // aligned to 8, not zeroed, never NULL
struct span arena_copy(struct arena *a, struct span s);
// As realloc: what was handed out last grows or shrinks in its place where its block has room, everything else moves. p NULL: nothing yet.
void *arena_resize(struct arena *a, void *p, size_t n, size_t to);
// Pieces one behind the other: ARENA_JOIN(a, account, SPAN_LIT("/"), service).
struct span arena_join(struct arena *a, const struct span *pieces, size_t n);
#define ARENA_JOIN(a, ...)                                                                         \
	arena_join(a, (const struct span[]){ __VA_ARGS__ }, sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span))
const char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // with its final NUL
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
