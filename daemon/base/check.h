// SPDX-License-Identifier: Apache-2.0
// Checks that stay on in every build, and the few macros that make ownership visible.
//
// check() states what the programmer holds to be true; it is never used for input that can happen.
// A failed check ends the process at once (exit by SIGABRT): the state is in Redis and in Kafka, and a
// process that no longer understands itself must not write to either.
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

_Noreturn void check_failed(const char *file, int line, const char *what);

#define check(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

// CLEANUP(fn) T *p: fn(&p) runs when p leaves its scope. TAKE_PTR(p): the value of p, which becomes NULL.
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *take_ = &(p);                                                       \
		__typeof__(p) taken_ = *take_;                                                     \
		*take_ = NULL;                                                                     \
		taken_;                                                                            \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

// Memory that must be there: start-up structures and bounded buffers. On exhaustion the process ends with
// a message and exit code 75, from whichever thread; nothing is lost, since what is not committed is read again. What a
// library could not allocate must never look like an absent value: jansson uses xmalloc (see main).
_Noreturn void out_of_memory(size_t n, size_t size); // wanted: n * size bytes
void *xmalloc(size_t size); // not zeroed: for libraries that ask for an allocator
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrndup(const char *s, size_t n);
char *xstrdup(const char *s);
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// A stream into memory. Closed by xmemstream_close, after which *ret and *ret_n are whole.
FILE *xmemstream(char **ret, size_t *ret_n);
void xmemstream_close(FILE *f);
void freep(void *pp); // for CLEANUP(freep): frees what the pointer behind pp points to

#endif
