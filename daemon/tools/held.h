// SPDX-License-Identifier: Apache-2.0
// What holds for an account, out of Kafka: the rules of the control topic, and what the accounts topic says. No Redis.
#ifndef TOOLS_HELD_H
#define TOOLS_HELD_H

#include "closing/frame.h"
#include "tools/published.h"

struct held {
	struct journal *journal;
	struct accounts_feed *feed;
	struct arena arena;
};
// OPTIONS_GO_ON or an exit code with the reason on stderr.
int held_open(struct held *h, const struct options *o, const struct kafka_options *k);
void held_close(struct held *h);
const struct rules *held_rules(const struct held *h); // the newest

// Terms of a month that is not settled: by the newest rules, with all that was said by now. In the arena.
const struct terms *held_terms(struct held *h, const char *account, int month);
// Terms by which a published document was made: those of its month's manifest; an adjustment of a month without one: of the manifest with
// the document's cuts. NULL: the control topic holds none. *ret_rules: the rules that rated it.
const struct terms *held_terms_of(struct held *h, const struct published_document *d, const struct rules **ret_rules);

#endif
