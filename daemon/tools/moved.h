// SPDX-License-Identifier: Apache-2.0
// A state that is made anew out of the decisions of another one, over the same topics: with another number of shards, in another Redis.
#ifndef TOOLS_MOVED_H
#define TOOLS_MOVED_H

#include "journal/journal.h"
#include "tools/options.h"

// What the other state has decided, and where.
struct moved {
	const char *config;             // of the other state
	struct settings *settings;
	struct kafka_options kafka;
	struct journal *journal;
	uint32_t n_init_parts;          // the first of journal->parts: those that its init named
	uint32_t n;
	struct moved_record {
		char *value;
		size_t length;
		int64_t timestamp_ms;
	} *records;                     // of its control topic that hold here as they stand: rules, admissions, months
};

// Exit codes: OPTIONS_GO_ON, or the reason is on stderr.
// Reads them, and refuses where the two configurations are not two states over the same topics.
int moved_read(struct moved *m, const struct options *here, const struct kafka_options *k);
// The topics still hold all that was counted and published.
int moved_check_topics(const struct moved *m, const struct options *here, const struct kafka_options *k);
void moved_free(struct moved *m);

#endif
