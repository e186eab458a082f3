// SPDX-License-Identifier: Apache-2.0
// The state as the read-only verbs see it: settings, the control topic, the shards.
#ifndef TOOLS_STATE_H
#define TOOLS_STATE_H

#include "journal/journal.h"
#include "store/store.h"
#include "tools/options.h"
#include "usage/counters.h"

struct state {
	struct options *options;
	struct kafka_options kafka;
	struct store *store;
	struct journal *journal;
	const struct rules *rules; // the newest
	uint32_t shards;
};

// Opens all of it; OPTIONS_GO_ON, or an exit code with the reason on stderr.
int state_open(struct state *s, struct options *o);
void state_close(struct state *s);

// All counters, or those of one month and account: sorted by account, service, period.
// month MONTH_NONE: all months. OPTIONS_GO_ON or an exit code.
int state_counters(struct state *s, int month, const char *account, struct usage_counters *ret);

#endif
