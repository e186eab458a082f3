// SPDX-License-Identifier: Apache-2.0
// Errors of a file, all of them at once: file:line:column, the line with a caret, and what to do.
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/span.h"

struct fault {
	char *file;
	int line, column; // from 1; 0 where there is no place
	char *text;       // one line, says what to do
};

struct faults {
	struct fault *list;
	size_t n;
};

// So many that further ones are not kept.
bool faults_full(const struct faults *f);
void fault_add(struct faults *f, const char *file, int line, int column, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
// `file:line:col: error: text`, the source line, a caret; `text` is the file's content (p NULL: no source lines).
void faults_print(const struct faults *f, struct span text, FILE *to);
void faults_free(struct faults *f);
// A text that others wrote, safe for a terminal and cut at a whole character where `ret` is too small.
const char *text_shown(struct span s, char *ret, size_t size);

#endif
