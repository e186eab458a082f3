// SPDX-License-Identifier: Apache-2.0
#include "tools/lines.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"

int lines_unreadable(const char *verb, const char *file, int error)
{
	fprintf(stderr, "meterctl %s: %s: %s\n", verb, file, strerror(error));
	return EXIT_CONFIG_ERR;
}

FILE *lines_open(const char *verb, const char *file)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "rb");
	if (f == NULL)
		lines_unreadable(verb, file, errno);
	return f;
}

void lines_closep(FILE **f)
{
	if (*f != NULL && *f != stdin)
		fclose(*f);
}

int lines_each(const char *verb, const char *file, FILE *f, lines_fn *fn, void *ctx)
{
	CLEANUP(freep) char *line = NULL;
	size_t size = 0;
	ssize_t n;
	for (int64_t number = 1; (n = getline(&line, &size, f)) >= 0; number++) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		fn(ctx, file, number, (struct span){ line, (size_t)n });
	}
	return ferror(f) ? lines_unreadable(verb, file, errno) : EXIT_DONE;
}
