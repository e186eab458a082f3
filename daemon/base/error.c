// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <stdio.h>

#include "base/check.h"

enum error_class error_set(struct error *e, enum error_class cls, int exit_code, const char *fmt, ...)
{
	check(cls != ERROR_NONE);
	check((cls == ERROR_ABORT) == (exit_code != 0));
	if (e == NULL)
		return cls;
	if (e->cls != ERROR_NONE)
		return e->cls;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	e->cls = cls;
	e->exit_code = exit_code;
	return cls;
}
