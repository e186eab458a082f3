// SPDX-License-Identifier: Apache-2.0
// Memory that lives as long as a batch: what it keeps for the next one.
#include <criterion/criterion.h>

#include "base/arena.h"

enum { KIB = 1024 };

// Words that grow from batch to batch, as lists of calls do: the largest of them is kept, not each size that there ever was.
Test(arena, a_block_that_is_too_small_makes_room)
{
	struct arena a = { 0 };
	for (size_t size = 300 * KIB; size < 3000 * KIB; size += 20 * KIB) {
		arena_reset(&a);
		memset(arena_alloc(&a, 100), 1, 100);
		memset(arena_alloc(&a, size), 2, size);
		memset(arena_alloc(&a, size / 2), 3, size / 2);
	}
	cr_expect_leq(a.held, (256 + 3000 + 1500) * (size_t)KIB, "%zu KiB", a.held / KIB);
	arena_free(&a);
	cr_expect_eq(a.held, 0);
}

Test(arena, a_larger_one_further_on_is_found)
{
	struct arena a = { 0 };
	arena_alloc(&a, 200 * KIB);
	arena_alloc(&a, 200 * KIB);
	arena_alloc(&a, 900 * KIB);
	size_t held = a.held;
	arena_reset(&a);
	arena_alloc(&a, 200 * KIB);
	char *large = arena_alloc(&a, 900 * KIB);
	memset(large, 7, 900 * KIB);
	memset(arena_alloc(&a, 200 * KIB), 1, 200 * KIB);
	cr_expect_eq(a.held, held, "a steady load allocates nothing");
	cr_expect(large[0] == 7 && large[900 * KIB - 1] == 7);
	arena_free(&a);
}

// What was handed out before a mark stays, whatever is made of the blocks behind it.
Test(arena, what_lies_before_a_mark_stays)
{
	struct arena a = { 0 };
	char *first = arena_alloc(&a, 200 * KIB);
	memset(first, 5, 200 * KIB);
	struct arena_mark m = arena_mark(&a);
	for (size_t size = 300 * KIB; size < 1000 * KIB; size += 100 * KIB) {
		memset(arena_alloc(&a, size), 1, size);
		arena_rewind(&a, m);
	}
	cr_expect(first[0] == 5 && first[200 * KIB - 1] == 5);
	cr_expect_leq(a.held, (256 + 1000) * (size_t)KIB);
	arena_free(&a);
}

Test(arena, the_last_grows_in_its_place_and_others_move)
{
	struct arena a = { 0 };
	char *p = arena_resize(&a, NULL, 0, 10);
	memset(p, 'p', 10);
	cr_expect_eq(arena_resize(&a, p, 10, 1000), p);
	cr_expect_eq(arena_resize(&a, p, 1000, 20), p, "what it does not need it gives back");
	cr_expect_eq(a.total, 24);
	char *q = arena_alloc(&a, 8);
	cr_expect_eq(q, p + 24);
	memset(q, 'q', 8);
	char *moved = arena_resize(&a, p, 20, 30);
	cr_expect(moved != p && memcmp(moved, "pppppppppp", 10) == 0 && memcmp(q, "qqqqqqqq", 8) == 0);
	char *large = arena_resize(&a, moved, 30, 600 * KIB);
	cr_expect(large != moved && memcmp(large, "pppppppppp", 10) == 0, "its block has no room");
	memset(large, 'l', 600 * KIB);
	cr_expect_eq(arena_resize(&a, large, 600 * KIB, 5), large);
	arena_free(&a);
}

Test(arena, pieces_are_joined)
{
	struct arena a = { 0 };
	struct span s = ARENA_JOIN(&a, SPAN_LIT("a"), SPAN_LIT(""), SPAN_LIT("b\0c"), (struct span){ 0 }, SPAN_LIT("d"));
	cr_expect(span_eq(s, SPAN_LIT("ab\0cd")));
	s = ARENA_JOIN(&a, SPAN_LIT(""));
	cr_expect(s.p != NULL && s.n == 0);
	arena_free(&a);
}
