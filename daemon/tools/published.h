// SPDX-License-Identifier: Apache-2.0
// The settlements topic as the verbs read it: whole, with their words and exit codes.
#ifndef TOOLS_PUBLISHED_H
#define TOOLS_PUBLISHED_H

#include "model/kafka_options.h"
#include "published/published.h"
#include "tools/options.h"

// The whole topic. OPTIONS_GO_ON or an exit code with the reason on stderr.
int published_read(struct published *p, const struct options *o, const struct kafka_options *k);
// Why there is no statement of the account for the month, on stderr: 75 it is not settled yet, 78 there is nothing to state.
int published_missing(const char *verb, const struct published *p, const char *account, int month);

#endif
