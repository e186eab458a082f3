// SPDX-License-Identifier: Apache-2.0
// Settlements again from Kafka alone: usage log, accounts and control topic give the documents of closed months by the daemon's own
// decision (decide/decide.h) and the closer's own settling (closing/closing.h), and these are compared with what was published, byte
// for byte. Redis has no part in it.
//
// Takes part: every counted record below the cuts of the last month, in every partition, since which of them are duplicates depends on
// all. Memory: the counters of the accounts that are proved, and the window of duplicates of every partition.
#ifndef PROOF_PROOF_H
#define PROOF_PROOF_H

#include "base/error.h"
#include "period/period.h"
#include "sink/sink.h"

struct proof_options {
	const struct sink_port *port; // NULL: Kafka
	const struct kafka_options *kafka;
	int timeout_ms;               // without any progress
	const char *id;               // this document only; NULL: all that the rest allows
	const char *account;          // NULL: all accounts
	int month;                    // what was made when this month was closed; MONTH_NONE: every closed month
	// Called now and then: records read, and how many there are to read. May be NULL.
	void (*progress)(void *ctx, uint64_t read, uint64_t all);
	void *ctx;
};

// What does not agree. Texts are owned by the proof; NULL where there is none.
struct proof_difference {
	enum proof_kind {
		PROOF_FIELD,    // published and derived say something else in this field
		PROOF_MISSING,  // derived, not published
		PROOF_UNKNOWN,  // published, and the log gives no such document
		PROOF_TWICE,    // published more than once under one id, with other content
		PROOF_MANIFEST, // the month's manifest and the log: number of counters, calls
		PROOF_CUT,      // the month's manifest and the log: where the partition `field` is cut
		PROOF_GAP,      // offsets of partition `field` that are not in the log: transaction markers, or records that are gone. Only with the two before
	} kind;
	char id[33];            // empty: of no document
	const char *account, *service, *period, *field, *published, *derived;
};
const char *proof_kind_text(enum proof_kind k);

struct proof;
// ERROR_ABORT 78: nothing like it was ever published or closed, or the topics do not hold any more what the proof needs; 75: the month
// is not settled yet; ERROR_RETRY: brokers away. The text says what to do.
enum error_class proof_run(const struct proof_options *o, struct proof **ret, struct error *e);
void proof_freep(struct proof **p);

uint32_t proof_differences(const struct proof *p, const struct proof_difference **ret);
struct proof_numbers {
	uint64_t records, events;     // read; of them with calls that count, of all accounts
	uint32_t partitions;
	uint64_t proved;              // documents, equal byte for byte
	int first_month, last_month;  // closed ones that were settled again
};
void proof_numbers(const struct proof *p, struct proof_numbers *ret);

#endif
