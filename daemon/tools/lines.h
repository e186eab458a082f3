// SPDX-License-Identifier: Apache-2.0
// Files of one record a line, for verbs that judge what they are given. "-" is standard input.
#ifndef TOOLS_LINES_H
#define TOOLS_LINES_H

#include <stdint.h>
#include <stdio.h>

#include "base/span.h"

typedef void lines_fn(void *ctx, const char *file, int64_t line, struct span value);

// Opens; NULL with words on stderr.
FILE *lines_open(const char *verb, const char *file);
void lines_closep(FILE **f); // standard input stays open
int lines_unreadable(const char *verb, const char *file, int error); // words on stderr; returns the exit code
// Each line without its line feed. EXIT_DONE, or an exit code with words on stderr.
int lines_each(const char *verb, const char *file, FILE *f, lines_fn *fn, void *ctx);

#endif
