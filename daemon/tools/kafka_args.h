// SPDX-License-Identifier: Apache-2.0
// --config FILE ($METERD_CONFIG), or --bootstrap alone: where Kafka is, for the verbs that only need Kafka.
#ifndef TOOLS_KAFKA_ARGS_H
#define TOOLS_KAFKA_ARGS_H

#include <stdio.h>

#include "settings/settings.h"

struct kafka_args {
	const char *config, *bootstrap; // as given; bootstrap wins over the file's
	bool embedded;                  // --embedded
	// filled by kafka_args_open
	struct settings *settings;      // NULL without --config
	struct kafka_options o;
};

// Exit code, words on stderr.
int kafka_args_open(struct kafka_args *a, const char *verb);
void kafka_args_close(struct kafka_args *a);
// Prints e and returns the exit code that belongs to its class.
int tool_fail(const char *verb, const struct error *e);
// A month ("2020-01": its first moment in the zone) or an RFC 3339 time.
bool tool_parse_time(const struct zone *z, const char *text, int64_t *ret_ms);

#endif
