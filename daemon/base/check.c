// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "level=fatal event=defect at=%s:%d check=\"%s\" "
			"do=\"this is a defect in meterd: keep the core file and report it\"\n",
		file, line, what);
	abort();
}

_Noreturn void out_of_memory(size_t n, size_t size)
{
	fprintf(stderr, "level=fatal event=out_of_memory wanted=%zu*%zu "
			"do=\"give the service more memory; it goes on where it stopped\"\n",
		n, size);
	_exit(75); // not exit: other threads run on, and what exit would call may want memory too
}

void *xmalloc(size_t size)
{
	void *p = malloc(size != 0 ? size : 1);
	if (p == NULL)
		out_of_memory(1, size);
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n != 0 ? n : 1, size != 0 ? size : 1);
	if (p == NULL)
		out_of_memory(n, size);
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	check(size != 0);
	if (n > SIZE_MAX / size)
		out_of_memory(n, size);
	void *q = realloc(p, n != 0 ? n * size : 1);
	if (q == NULL)
		out_of_memory(n, size);
	return q;
}

char *xstrndup(const char *s, size_t n)
{
	char *p = xcalloc(n + 1, 1);
	memcpy(p, s, n);
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *p = NULL;
	if (vasprintf(&p, fmt, ap) < 0)
		out_of_memory(1, 1);
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *p = xvasprintf(fmt, ap);
	va_end(ap);
	return p;
}

FILE *xmemstream(char **ret, size_t *ret_n)
{
	FILE *f = open_memstream(ret, ret_n);
	if (f == NULL)
		out_of_memory(1, 1);
	return f;
}

void xmemstream_close(FILE *f)
{
	if (fclose(f) != 0) // the only thing that can fail
		out_of_memory(1, 1);
}

void freep(void *pp)
{
	void **p = pp;
	free(*p);
	*p = NULL;
}
