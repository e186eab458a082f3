// SPDX-License-Identifier: Apache-2.0
// What an account has used, told to whoever asks the running daemon: owns a book of the control and accounts topics of its own, and the one
// store connection it is given. It reads only, and shares nothing with the workers.
//
// Bounded: one question is worked on at a time and a few may wait, the next is turned away; each call to a server has its time-out; a
// server that is away is not asked again for a second, so that who waits is answered too. What Kafka says may be a second old.
//
// @thread any; @locks its own.
#ifndef USAGE_READER_H
#define USAGE_READER_H

#include "journal/accounts_feed.h"
#include "store/store.h"

struct usage_reader_options {
	const struct sink_port *port;       // NULL: Kafka
	const struct kafka_options *kafka;  // must live as long
	struct store *store;                // owned from usage_reader_new on
	int timeout_ms;                     // of a call to Kafka
};
struct usage_reader;
struct usage_reader *usage_reader_new(const struct usage_reader_options *o);
void usage_reader_freep(struct usage_reader **r); // nobody asks any more

enum { USAGE_READER_ASKERS = 8 };           // at most, the one that is worked on with them
int usage_reader_askers(const struct usage_reader *r);

struct usage_question {
	const char *account, *service;      // service NULL: all
	int month;                          // MONTH_NONE: the newest with calls
};
enum usage_answer {
	USAGE_TOLD,                         // *ret_json: an array, what `meterctl usage ACCOUNT --format json` prints; free it
	USAGE_NOTHING,                      // there are no such calls: *why says so
	USAGE_AWAY,                         // not now: *why says what is missing
};
enum usage_answer usage_reader_ask(struct usage_reader *r, const struct usage_question *q, char **ret_json, struct error *why);

// What the rules in force say without any account: what a month would cost, and the price book.
struct quote_question {
	const char *service;                // id, or an alias that is in force at the month's beginning; NULL: the price book is asked for
	int month;                          // MONTH_NONE: the present one
	int64_t calls;
	int64_t now_ms;
};
enum usage_answer usage_reader_quote(struct usage_reader *r, const struct quote_question *q, char **ret_json, struct error *why);

#endif
