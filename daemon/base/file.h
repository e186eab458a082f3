// SPDX-License-Identifier: Apache-2.0
// Small files, whole.
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

#include "base/error.h"

// The content, terminated with NUL (which *ret_n does not count); free it. A file that is missing, unreadable, a folder or
// longer than `most` is ERROR_ABORT 78 with the reason and what to do; the text does not repeat the path.
enum error_class file_read(const char *path, size_t most, char **ret, size_t *ret_n, struct error *e);

// `name` as seen from the folder of `file`: itself when absolute. Free it.
char *file_beside(const char *file, const char *name);

#endif
