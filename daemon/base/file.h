// SPDX-License-Identifier: Apache-2.0
// Files, whole.
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

// The content, terminated with NUL (which *ret_n does not count); free it. A file that is missing, unreadable, a folder or
// longer than `most` is ERROR_ABORT 78 with the reason and what to do; the text does not repeat the path.
enum error_class file_read(const char *path, size_t most, char **ret, size_t *ret_n, struct error *e);

// Where bytes go, piece by piece. False: no more is wanted.
struct byte_sink {
	bool (*write)(struct byte_sink *s, const void *p, size_t n);
};

// What `fill` writes becomes the file's content, whole or not at all, also where the machine dies in between: written beside it, synced, put in
// its place, the folder synced. 0, or errno: then what was there before still is. Only its owner may read it. What a process that was killed
// left beside it is named PATH.?????? and is nobody's.
int file_replace(const char *path, bool (*fill)(void *ctx, struct byte_sink *to), void *ctx);

// The first line of a file that holds a password; wipe and free it. ERROR_ABORT 78 names `setting` and the path, never what stands there.
enum error_class file_read_password(const char *setting, const char *path, char **ret, struct error *e);

// `name` as seen from the folder of `file`: itself when absolute. Free it.
char *file_beside(const char *file, const char *name);

#endif
