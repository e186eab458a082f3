// SPDX-License-Identifier: Apache-2.0
// A span is bytes that somebody else owns: pointer and length, not terminated. p == NULL is "absent" or
// null; n == 0 with a pointer is "there, but empty".
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

#define SPAN_LIT(s) ((struct span){ "" s, sizeof(s) - 1 })

static inline struct span span_of(const char *z)
{
	return (struct span){ z, z != NULL ? strlen(z) : 0 };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *z)
{
	return span_eq(a, span_of(z));
}

// Order by bytes; what another one begins with comes before it.
static inline int span_order(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

// At the first byte `at`: what stands before and behind it. False: there is none.
static inline bool span_cut(struct span s, char at, struct span *before, struct span *behind)
{
	const char *p = s.p != NULL ? memchr(s.p, at, s.n) : NULL;
	if (p == NULL)
		return false;
	*before = (struct span){ s.p, (size_t)(p - s.p) };
	*behind = (struct span){ p + 1, s.n - before->n - 1 };
	return true;
}

// Decimal integer, the whole span, optional '-', no '+', no leading zeros, overflow detected. Written on success only.
bool span_int64(struct span s, int64_t *ret);
// The other way round; lies in buf.
enum { SPAN_INT64 = 20 };
struct span span_of_int64(int64_t v, char buf[SPAN_INT64]);
// Hexadecimal, lower or upper case, the whole span of 1 to 16 digits. Written on success only.
bool span_hex64(struct span s, uint64_t *ret);

#endif
