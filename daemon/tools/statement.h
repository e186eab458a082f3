// SPDX-License-Identifier: Apache-2.0
// An account's month out of what is published, as `meterctl statement` prints it.
#ifndef TOOLS_STATEMENT_H
#define TOOLS_STATEMENT_H

#include "tools/published.h"

// revision -1: the newest. Exit codes: 0; 1 where the lines do not sum up to what the statement says; 75 the month is not settled yet; 78
// there is no such statement. Words on stderr.
int statement_print(const struct published *p, const char *account, int month, int64_t revision, enum output_format format, FILE *to);

#endif
