// SPDX-License-Identifier: Apache-2.0
// The conservation ledger of all shards: per partition, consumed = counted + duplicate + late + rejected + not billable + control.
// Each shard keeps its own part of it, so it only adds up where all shards stand at one offset; a look says where they did.
#ifndef PIPELINE_LEDGER_H
#define PIPELINE_LEDGER_H

#include "journal/journal.h"
#include "store/store.h"

enum { LEDGER_NONE = -1, LEDGER_UNEQUAL = -2 };

struct ledger_part {
	const struct journal_part *part; // of the journal given
	int64_t next;                    // common offset of all shards; LEDGER_NONE: no shard has read of it; LEDGER_UNEQUAL: they differ, or moved
	int64_t consumed, outcomes[OUTCOME_COUNT];
	bool uneven;                     // shards at one offset, but with different numbers of records consumed
};
struct ledger {
	uint32_t n;
	struct ledger_part *parts;       // as journal.parts
};

// One look: positions, ledgers, positions again. *ret is made anew. Valid as long as the journal.
enum error_class ledger_look(struct store *s, uint32_t shards, const struct journal *j, struct ledger *ret, struct error *e);
void ledger_free(struct ledger *l);
bool ledger_equal(const struct ledger *l);                   // no partition is LEDGER_UNEQUAL
int64_t ledger_difference(const struct ledger_part *p);      // 0, or something vanished or came twice; not of LEDGER_UNEQUAL

#endif
