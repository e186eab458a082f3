// SPDX-License-Identifier: Apache-2.0
// A month's end: ticks, manifest, closed marks, settlements and statements, end of run (design.md, section 9; models/m3_clock.py).
//
// The closer runs in the office thread of the instance that is the relay. Every step can be repeated: what is done is seen in the
// control topic and in the shards; what is remembered here is a reading of them, and how far a step came.
#ifndef CLOSING_CLOSING_H
#define CLOSING_CLOSING_H

#include "journal/accounts_feed.h"
#include "outbox/outbox.h"

// When what takes long is done, a month's counters read, its accounts settled, its statements summed: within closer_step; or from one call to the
// next, so that the relay publishes meanwhile: on a thread, or, for a simulator, without one and as late as may be.
enum settles { SETTLES_WITHIN, SETTLES_BESIDE, SETTLES_LATE };

struct closer_options {
	const struct sink_port *port; // NULL: Kafka
	const struct kafka_options *kafka;
	struct store *store;  // not owned
	enum settles settles;
	struct store *beside; // not owned: that is done on it, but with SETTLES_WITHIN
	struct relay *relay;  // not owned
	uint32_t shards;
	const char *source;
	int timeout_ms;       // of a call to Kafka
	int64_t outbox_most;  // settle no further while a shard's outbox holds more entries
};

struct closer_numbers {
	int closed_month;        // the newest finished month; MONTH_NONE
	int64_t closed_ms;       // its end
	int open_month;          // the month being waited for or worked on; MONTH_NONE
	int wait_month;          // the month whose close it waits for: itself, or a later one where it holds nothing but late calls
	int64_t closes_ms;       // close(wait_month): its end and close.grace
	int64_t due_ms;          // when the settlements then made are due: the 4th, 00:00, behind wait_month
	char waits_for[256];     // in words: "record clock of usage.calls/3", "outbox", …; empty: working or nothing to do
	uint64_t statements, lines, adjustments;
	uint64_t corrected, passed_over; // corrections of closed months, of one account each, that this process made or did not make
	struct accounts_feed_numbers accounts;
};

// The generation that the journal says is in force is so in every shard from here on; the store works on it. Whoever reads of the decision
// does this first: the closer that made it may have died before. ERROR_RETRY: the journal is not the newest.
enum error_class closing_adopt(struct store *s, uint32_t shards, const struct journal *j, struct error *e);

struct closer;
struct closer *closer_new(const struct closer_options *o);
void closer_freep(struct closer **c);

// One bounded piece of work. *ret_more: call again at once, with a relay_drain in between. *journal is reloaded (replaced) when a control record was written.
// now_ms: wall clock, used with `clock: wall` only to know when a tick is due; with `clock: records` now is the highest record
// clock of any admitted partition.
// `book`: what was said of accounts so far; NULL: nothing.
enum relay_status closer_step(struct closer *c, struct journal **journal, const struct account_book *book, int64_t now_ms, bool *ret_more, struct error *e);
void closer_numbers(const struct closer *c, struct closer_numbers *ret);
// Waits for the end of what goes on beside: before the journal is replaced by somebody else.
void closer_rest(struct closer *c);
// Which partition's record clock keeps the month open, in words; empty: none. *ret_clock_max_ms: the highest record clock of any
// partition, TIME_NONE: none yet. Only looks.
enum error_class closing_waits(struct store *s, uint32_t shards, const struct journal *j, int month, char ret[256],
			       int64_t *ret_clock_max_ms, struct error *e);
// With which month closing begins while there is no manifest: the first with a counted or late call, MONTH_NONE: none. *ret_certain:
// the month whose close must have passed before that is certain: the same, or where it holds late calls only, a later one. Only looks.
enum error_class closing_first_month(struct store *s, uint32_t shards, int *ret_first, int *ret_certain, struct error *e);

// ---- a closed month again, for proofs and rebuilds
struct closing_books {
	struct store *store;                // holds the counters; settle and end_run take the documents
	uint32_t shards;
	const char *source;                 // of the documents
	const struct journal *journal;
	const struct accounts_feed *feed;
	const char *accounts_topic;
	bool uncorrected;                   // as though nobody had ever corrected a closed month
	struct span account;                // that the store holds counters of, and whose corrections are made; p NULL: all
	// For shards that are kept: the month is finished in each, one after the other; what was finished before is passed over. NULL: the
	// store keeps nothing of a month's end. Called whenever an outbox may hold much: it takes the documents out.
	enum error_class (*drain)(void *ctx, struct error *e);
	enum error_class (*look)(void *ctx, struct error *e); // after each of many small steps: a month may take long. NULL: never
	void *ctx;
};
// Settles the manifest's month; the months before it must have been, in order. ERROR_RETRY: a shard has not reached its close. ERROR_HALT:
// it cannot be settled, or the accounts topic does not hold what the manifest names.
enum error_class closing_derive(const struct closing_books *b, const struct journal_manifest *m, struct error *e);

// Looks in a shard for the alerts that changes made due, as far as that shard of `like` was looked at, which stands at the same offsets.
// ERROR_RETRY: they do not, or new rules were decided meanwhile.
enum error_class closing_look(const struct closing_books *b, struct store *like, uint32_t shard, struct error *e);

// From which record clock on a version that is decided now takes effect: rules.lead behind everything that any shard has seen, and behind
// now where the wall is the clock; never before the newest version. clock_max_ms TIME_NONE: nothing was seen yet.
int64_t closing_effective_ms(const struct journal *j, int64_t clock_max_ms, int64_t now_ms);

#endif
