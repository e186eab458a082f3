// SPDX-License-Identifier: Apache-2.0
// The accounts topic as a book that is kept up to date: owns the book and the offsets from which it is read on. Every refresh reads
// what has come since, each partition in its order. A record that is refused is logged once, where it stands and what to do, and
// counted; it changes nothing, and neither does reading it again.
//
// Invariant: the book holds exactly the records below the offsets, also after an error in the middle of a refresh.
//
// @thread one owner.
#ifndef JOURNAL_ACCOUNTS_FEED_H
#define JOURNAL_ACCOUNTS_FEED_H

#include "account/account.h"
#include "base/error.h"
#include "sink/sink.h"

struct accounts_feed_numbers {
	uint64_t taken, repeated, refused; // records since the feed was made
	int64_t newest_ms;                 // stamp of the newest record taken; TIME_NONE: none
};

struct accounts_feed;
struct accounts_feed *accounts_feed_new(void);
void accounts_feed_freep(struct accounts_feed **f);
// ERROR_ABORT 75: the topic is missing; 78: it does not hold any more what it held, or never held its beginning; ERROR_RETRY: brokers
// away. The text says what to do.
enum error_class accounts_feed_refresh(struct accounts_feed *f, const struct sink_port *port, const struct kafka_options *kafka,
				       int timeout_ms, struct error *e);
const struct account_book *accounts_feed_book(const struct accounts_feed *f);
// Offsets behind the last record read, by partition; returns their number. Valid until the next refresh.
int32_t accounts_feed_offsets(const struct accounts_feed *f, const int64_t **ret);
void accounts_feed_numbers(const struct accounts_feed *f, struct accounts_feed_numbers *ret);

#endif
