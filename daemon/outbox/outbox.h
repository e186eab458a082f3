// SPDX-License-Identifier: Apache-2.0
// The relay: pending -> published -> acknowledged (design.md, section 8; models/m2_relay.py).
//
// One relay at a time, under one transactional id: the instance that owns partition 0 of the first input topic. It publishes
// alerts and settlements in short transactions, each exactly once for a read_committed reader, and is the only writer of
// control records (through relay_publish), so that whoever is fenced can decide nothing any more.
//
// Invariant: an entry leaves the outbox only after a committed transaction holds its twin, or a read-back found it.
#ifndef OUTBOX_OUTBOX_H
#define OUTBOX_OUTBOX_H

#include "base/metrics.h"
#include "journal/journal.h"
#include "sink/sink.h"
#include "store/store.h"

struct relay_options {
	const struct sink_port *port; // NULL: Kafka
	const struct kafka_options *kafka;
	struct store *store;         // the office's own connection; not owned
	uint32_t shards;
	const char *transactional_id;
	const char *source;          // "/meterd/<group>", stands in every envelope
	uint32_t batch;              // messages a transaction at the most
	int64_t (*wall_ms)(void);    // NULL: the clock. For the delay of alerts only
	int timeout_ms;
};

enum relay_status {
	RELAY_DONE,
	RELAY_RETRY,     // Kafka or the store is away, or an entry needs rules that *j does not hold: load the journal, call again later
	RELAY_TAKE_OVER, // the end of a transaction is unknown, or the store rolled back: relay_take_over first
	RELAY_FENCED,    // somebody else is the relay now
	RELAY_HALT,      // an error that a person must look at; text says what. Call again later: the rest goes on
	RELAY_ABORT,     // the process ends with e->exit_code
};

struct relay_numbers {
	uint64_t published, already_out, twins_dropped; // twins_dropped: alerts whose published twin says something else
	uint64_t known;                                 // published ids held
	uint64_t passes;                                // drains that left nothing: all that lay in the outboxes before is out
	uint64_t take_overs;
	struct histogram delay;                         // of alerts: read by a worker -> their transaction committed. Those found out already: none
	int64_t pending;                                // outbox entries seen in the last full pass
	bool settlement_twin;                           // a settlement differs from its published twin: closing must stop
	char settlement_twin_id[33];
};

struct relay;
struct relay *relay_new(const struct relay_options *o);
void relay_freep(struct relay **r);

// A fresh producer, init_transactions (fences), then the end offsets, then the output topics read back to them. Also starts the
// set of published ids of this tenure. `oldest_ms`: read back at least to there (TIME_NONE: all of the topics).
enum relay_status relay_take_over(struct relay *r, int64_t oldest_ms, struct error *e);
// One pass over the outboxes of all shards, from their starts, at most one transaction. *ret_left: entries remain, call again.
// An entry that cannot be published (RELAY_HALT with its text) or whose twin differs stays, and those behind it go on.
enum relay_status relay_drain(struct relay *r, const struct journal *j, const struct account_book *book, bool *ret_left, struct error *e);
// Control records, ticks: one transaction. Only after a successful take-over.
enum relay_status relay_publish(struct relay *r, const struct message *m, uint32_t n, struct error *e);
bool relay_in_charge(const struct relay *r); // a take-over succeeded, and nothing since asks for another
void relay_numbers(const struct relay *r, struct relay_numbers *ret);
// Offset behind the last call of the partition that a published alert names, as far as this tenure has read; 0: none.
int64_t relay_reach(const struct relay *r, const char *part);
// Gives the tenure up: closes the producer.
void relay_leave(struct relay *r);

// Renders the CloudEvent of an alert's facts with the rules they were found under, and the contract or pack that they name. Pure. Free
// the result. NULL and ERROR_HALT when the facts do not fit (an unknown service, a rung that the ladder does not have). `book` may be
// NULL where nothing was said of any account.
char *alert_render(const struct outbox_entry *e, const struct rules *rules, const struct account_book *book, const char *source,
		   char ret_id[33], struct error *err);
// The first 32 hex digits of SHA-256.
void identity_id(struct span identity, char ret_id[33]);

#endif
