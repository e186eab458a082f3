// SPDX-License-Identifier: Apache-2.0
// Calls gathered per counter until a flush. A counter (account, service, month, late bucket) is remembered over batches with what
// is known of its stored total; that knowledge is only a hint for when to send lists and when to hurry: the store decides.
//
// Pure; one owner. Memory: the counters remembered are bounded by `most`; past it all hints are dropped between batches.
#ifndef AGGREGATE_AGGREGATE_H
#define AGGREGATE_AGGREGATE_H

#include "base/arena.h"
#include "model/commit.h"

// A counter in use: 64 bytes with an account of up to 13, so one cache line; what most counters have no use for stands apart.
struct counter {
	int64_t slack;           // so many calls reach the next rung, as of the last answer; -1: not known; INT64_MAX: there is none
	int64_t sent;            // calls in commits without an answer
	const struct ladder *ladder;
	struct counter_more *more; // NULL: nothing of it
	uint64_t batch : 40;     // serial of the batch whose delta is `delta`: a thousand a second for 34 years
	uint64_t delta : 24;
	uint32_t service;
	int16_t month, adjust_month;
	uint16_t shard;
	uint8_t account_n : 7;
	bool active_known : 1;   // the shard knows that the account is active in this month
	char account[];
};
struct counter_more {
	const struct ladder *ladder_first; // of the month of activation; NULL: the same
	int64_t change_ms;       // the account's last change up to the clock of its calls in the open batch; INT64_MIN: none
	int64_t looked_ms;       // the change up to which the shard is known to have looked at the account's counters; INT64_MIN: not known
	const struct allowance *allowance; // NULL: shares nothing; its place there and the scope of its holder
	uint32_t in_month, in_service;
	int scope;
	bool watched;            // something was said of the account: its holder of no month is touched with it
};
static inline struct span counter_account(const struct counter *c)
{
	return (struct span){ c->account, c->account_n };
}

// An account whose calls are weighed together: it has an allowance, or things were said of it. The same kind of hint as a counter.
struct holder {
	uint64_t hash;
	struct span account;
	int scope;               // month of an allowance that spans one; MONTH_NONE: all
	uint32_t shard;
	const struct allowance *look_of; // by it a call could not be weighed: a later commit that weighs by another one looks at the whole. NULL: none
	uint64_t look_behind;    // serial of the batch with that call, which such a look cannot see
	int64_t slack;           // so many calls reach no rung, as of the last answer; -1: not known
	int64_t sent;
	uint64_t touched;        // serial of the batch that last counted a call of it
	uint64_t batch;          // serial of the batch whose entry is `entry`
	uint32_t entry;          // ... or, of HOLDER_ACCOUNT, whose account in `accounts`
	// Of HOLDER_ACCOUNT, where partitions stand at different terms: the latest record clock by which calls of it were weighed (TIME_NONE: none was), and
	// the serial of the batch that last weighed one.
	int64_t weighed_ms;
	uint64_t weighed;
};
enum { HOLDER_ACCOUNT = -2 };    // a scope: the account in a batch's list of those that had changes

// The deltas of one shard in one batch.
struct shard_batch {
	uint32_t n, size;
	struct commit_delta *deltas;
	uint32_t n_groups, size_groups, group; // group: of the last delta
	uint32_t *groups;          // pairs of month and adjust month among the deltas
	struct counter **counters; // of each delta
	struct call_ref ***tails;  // where the next call of each delta is linked
	uint32_t n_entries, size_entries;
	struct commit_entry *entries;
	struct holder **holders;   // of each entry
	struct entry_call ***entry_tails;
	uint32_t *entry_sizes;     // room in each entry's deltas
	uint32_t n_accounts, size_accounts;
	struct commit_account *accounts;
};

struct batch {
	uint64_t serial;
	struct arena arena;        // accounts, ids, call lists, commits: as long as the batch
	struct shard_batch *shards;
	uint32_t n_shards, largest; // largest: most deltas in one shard
	uint32_t groups;           // most pairs of months in one shard: at COMMIT_GROUPS_MOST it must end before another call
	uint64_t calls;            // call_refs held
	uint32_t entries;          // in all shards
	bool urgent;               // a counter reached or may have reached a rung
	// Counters with calls for which it matters in which month the account became active, and the latest of their months.
	struct counter **ordered;
	uint32_t n_ordered, size_ordered;
	int latest;
};

struct aggregate;
struct aggregate *aggregate_new(uint32_t shards, uint32_t most);
void aggregate_freep(struct aggregate **a);

struct batch *batch_new(uint32_t shards);
void batch_freep(struct batch **b);
void aggregate_begin(struct aggregate *a, struct batch *b); // empties b

// Finds or makes the counter; account is copied.
struct counter *aggregate_counter(struct aggregate *a, struct span account, uint32_t service, int month, int adjust_month, uint32_t shard);
// What the counter's calls of this batch are weighed by; what is known of its slack goes where another ladder holds.
struct counter_terms {
	const struct ladder *ladder, *ladder_first;
	const struct allowance *allowance;
	uint32_t in_month, in_service;
	int scope;
	bool watched;
};
void aggregate_terms(struct aggregate *a, struct counter *c, const struct counter_terms *t);
// Fetches what a counter that is not late will touch: the first well before the second, the second well before aggregate_counter.
void aggregate_prefetch_slot(const struct aggregate *a, struct span account, uint32_t service, int month);
void aggregate_prefetch_counter(const struct aggregate *a, struct span account, uint32_t service, int month);
struct holder *aggregate_holder(struct aggregate *a, struct span account, int scope, uint32_t shard);
bool aggregate_touched(const struct aggregate *a, const struct batch *b, struct span account); // a watched account with calls in b
// What the holder's calls of this batch are weighed by: that of its first call in it. NULL: none yet.
const struct allowance *aggregate_allowance(const struct batch *b, const struct holder *h);
// One call that was added to a counter takes of its account's allowance too, which must be the batch's for this holder.
void aggregate_take(struct batch *b, struct holder *h, const struct allowance *allowance, uint32_t month, uint32_t service,
		    const struct call_ref *ref);
// A call of the batch is not in the allowance that the holder's calls in it are weighed by: a commit behind it looks at the whole.
void aggregate_look(const struct batch *b, struct holder *h);
// The counter's account had a change before calls of this batch: the shard is asked whether its counters were looked at, unless that is
// known. INT64_MIN: none. later: there is one behind these calls, too, up to which another worker may have had the counters looked at, whose partitions
// are ahead: the shard is told in any case that they must be looked at again.
void aggregate_changed(struct aggregate *a, struct batch *b, struct counter *c, int64_t change_ms, bool later);
// Adds one call. `ref` lies in b's arena and is linked into the list; its next must be NULL. ref->calls >= 1.
void aggregate_add(struct aggregate *a, struct batch *b, struct counter *c, struct call_ref *ref);
// Has the batch calls of the account in a later month, for which it matters that the account is active in this one?
bool aggregate_later(const struct batch *b, struct span account, int month);
// Before sending: decides with_calls and activates of each delta of the shard, and counts them as sent.
void aggregate_sent(struct batch *b, uint32_t shard);
// The commit of that shard was applied. `known`: the totals in the deltas are the store's; otherwise they are not known.
void aggregate_applied(struct batch *b, uint32_t shard, bool known);
// Everything that was sent and not applied never happened; all hints go. No batch may be in use after it.
void aggregate_forget(struct aggregate *a);
// Over the limit: hints should be dropped when no batch is in use.
bool aggregate_full(const struct aggregate *a);
uint64_t aggregate_counters(const struct aggregate *a);

#endif
