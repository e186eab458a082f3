// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"

struct arena_block {
	struct arena_block *next;
	size_t size;
	char data[];
};

enum { ARENA_BLOCK = 256 * 1024 };

// A block with room for n. Those behind the one in use hold nothing: the first that is large enough comes to the front; where there is none, a larger
// one takes the place of the next, so that no block of every size that was ever asked for stays.
static void arena_next_block(struct arena *a, size_t n)
{
	struct arena_block **at = a->now != NULL ? &a->now->next : &a->first, **fits = at;
	while (*fits != NULL && (*fits)->size < n)
		fits = &(*fits)->next;
	struct arena_block *b = *fits, *small = *at;
	if (b != NULL) {
		*fits = b->next;
	} else {
		size_t size = n > ARENA_BLOCK ? n : ARENA_BLOCK;
		if (small != NULL) {
			a->held -= small->size;
			*at = small->next;
			free(small);
		}
		b = xrealloc(NULL, 1, sizeof(*b) + size);
		b->size = size;
		a->held += size;
	}
	b->next = *at;
	*at = b;
	a->now = b;
	a->used = 0;
}

static size_t aligned(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

void *arena_alloc(struct arena *a, size_t n)
{
	n = aligned(n);
	if (a->now == NULL || a->used + n > a->now->size)
		arena_next_block(a, n);
	void *p = a->now->data + a->used;
	a->used += n;
	a->total += n;
	return p;
}

struct span arena_copy(struct arena *a, struct span s)
{
	if (s.p == NULL)
		return s;
	char *p = arena_alloc(a, s.n != 0 ? s.n : 1);
	memcpy(p, s.p, s.n);
	return (struct span){ p, s.n };
}

void *arena_resize(struct arena *a, void *p, size_t n, size_t to)
{
	size_t had = aligned(n), wanted = aligned(to);
	bool last = p != NULL && (char *)p + had == a->now->data + a->used;
	if (last && a->used - had + wanted <= a->now->size) {
		a->used = a->used - had + wanted;
		a->total = a->total - had + wanted;
		return p;
	}
	void *moved = arena_alloc(a, to);
	if (p != NULL)
		memcpy(moved, p, n < to ? n : to);
	return moved;
}

struct span arena_join(struct arena *a, const struct span *pieces, size_t n)
{
	size_t total = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		total += pieces[i].n;
	char *p = arena_alloc(a, total != 0 ? total : 1);
	for (size_t i = 0; i < n; at += pieces[i++].n)
		if (pieces[i].n > 0)
			memcpy(p + at, pieces[i].p, pieces[i].n);
	return (struct span){ p, total };
}

const char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	CLEANUP(freep) char *text = xvasprintf(fmt, ap);
	va_end(ap);
	return arena_copy(a, (struct span){ text, strlen(text) + 1 }).p;
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->now, a->used, a->total };
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
	check(m.total <= a->total);
	a->now = m.now;
	a->used = m.used;
	a->total = m.total;
}

void arena_reset(struct arena *a)
{
	a->now = NULL;
	a->used = 0;
	a->total = 0;
}

void arena_free(struct arena *a)
{
	for (struct arena_block *b = a->first; b != NULL;) {
		struct arena_block *next = b->next;
		free(b);
		b = next;
	}
	*a = (struct arena){ 0 };
}
