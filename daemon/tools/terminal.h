// SPDX-License-Identifier: Apache-2.0
// What a verb may do with the place it writes to: colours and lines that are written over only where a person looks at a terminal.
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

enum { TERMINAL_COLUMNS = 80, TERMINAL_ROWS = 24 }; // where it does not say

bool terminal_is(FILE *f);      // one that moves its cursor: a tty, and $TERM is neither empty nor dumb
bool terminal_colours(FILE *f); // likewise, and $NO_COLOR is not set (empty counts as not set)
int terminal_columns(FILE *f);  // of the window as it is now
int terminal_rows(FILE *f);
// Columns that text takes on it: wide characters two, combining ones none. Stops at what is no UTF-8.
int terminal_width(const char *text);
// Shortens what takes more than `columns` (at least 1), a "…" in place of what is gone. `text` is as large as `size`.
void terminal_cut(char *text, size_t size, int columns);

#endif
