// SPDX-License-Identifier: Apache-2.0
// What went wrong, how far it reaches, and what to do about it. Callers switch on the class, never on text.
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

enum error_class {
	ERROR_NONE = 0,
	ERROR_REJECT, // this event only: it goes to the DLQ
	ERROR_RETRY,  // nothing was applied, or it is known what was: back off and try again
	ERROR_HALT,   // this partition or month stops until a person looks; the others go on
	ERROR_ABORT,  // the process ends with `exit_code`
};

// Exit codes of all programs (interfaces.md, section 2).
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FOUND = 1,        // done, and it found what it looks for
	EXIT_USAGE_ERR = 64,
	EXIT_UNREACHABLE = 69, // a server is away
	EXIT_DEFECT = 70,
	EXIT_LATER = 75,       // try again later: a topic missing, a port in use
	EXIT_CONFIG_ERR = 78,  // only an edit of files or of settings can mend it
};

struct error {
	enum error_class cls;
	int exit_code;   // with ERROR_ABORT
	char text[1000]; // one line, says what to do; empty iff cls is ERROR_NONE
};

// Sets *e and returns cls, so that `return error_set(e, ERROR_RETRY, 0, "…")` reads well. An error once set stays:
// the first one is the cause. e may be NULL where the caller only wants the class.
enum error_class error_set(struct error *e, enum error_class cls, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
