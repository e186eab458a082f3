// SPDX-License-Identifier: Apache-2.0
// What must be true of Redis and of the topics before anything is counted. A refusal says which command mends it.
#ifndef PIPELINE_CHECKS_H
#define PIPELINE_CHECKS_H

#include "journal/journal.h"
#include "pipeline/ports.h"
#include "settings/settings.h"

// ERROR_RETRY: a server is away, ask again. ERROR_ABORT: 75 a topic is missing; 78 something only a person can mend.
// Reads the control topic; without `init`, or with shards that do not belong to it, it refuses.
enum error_class checks_run(const struct ports *ports, const struct settings *s, const struct kafka_options *k, const struct store_options *so,
			    struct error *e);

// Does the shard belong to the state that the control topic knows? ERROR_ABORT 78 where it is lost or another's.
enum error_class checks_shard(struct store *store, const struct journal *j, uint32_t shard, struct error *e);

// Does some shard hold no state, or cannot be asked? Then `on_state_loss: rebuild` has the next start look at it.
bool checks_lost(const struct ports *ports, const struct store_options *so);

#endif
