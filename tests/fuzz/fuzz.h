// SPDX-License-Identifier: Apache-2.0
// What every fuzz target needs. A target is one file tests/fuzz/fuzz_<name>.c: this header, and FUZZ(s) { … } with what is promised
// about any bytes at all, held by fuzz_check. Seeds lie in tests/fuzz/corpus/<name>, words in tests/fuzz/dict/<name>; both may be
// absent. A line `// seeds: DIRECTORY…` names more seeds, `// most: N` the longest input. scripts/fuzz finds it by itself.
//
// The product's own code runs, with address and undefined-behaviour sanitizers; a failed check() of the product counts as a crash too.
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/span.h"

#define fuzz_check(cond) ((cond) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #cond))

static inline _Noreturn void fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

// The bytes lie in memory of exactly their length: one byte too far is seen.
#define FUZZ(s)                                                                                                                        \
	static void fuzz_one(struct span s);                                                                                           \
	int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)                                                                         \
	{                                                                                                                              \
		fuzz_one((struct span){ (const char *)p, n });                                                                         \
		return 0;                                                                                                              \
	}                                                                                                                              \
	static void fuzz_one(struct span s)

// The next byte of the input; 0 behind its end.
static inline uint8_t fuzz_byte(struct span *s)
{
	if (s->n == 0)
		return 0;
	s->n--;
	return (uint8_t)*s->p++;
}

// Up to n of the next bytes.
static inline struct span fuzz_take(struct span *s, size_t n)
{
	struct span part = { s->p, n < s->n ? n : s->n };
	s->p += part.n;
	s->n -= part.n;
	return part;
}

// Up to the next `end`, which is dropped, or all.
static inline struct span fuzz_until(struct span *s, char end)
{
	const char *at = s->n > 0 ? memchr(s->p, end, s->n) : NULL;
	struct span part = fuzz_take(s, at != NULL ? (size_t)(at - s->p) : s->n);
	if (at != NULL)
		fuzz_byte(s);
	return part;
}

// What is shown to a person or written into a log line must not hold control characters.
static inline bool fuzz_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

#endif
