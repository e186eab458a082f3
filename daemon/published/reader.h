// SPDX-License-Identifier: Apache-2.0
// What is published of settlements, told to whoever asks the running daemon. Nothing is kept: each question reads the topic
// (read_committed, in no group), page by page where it is long.
//
// Bounded: one question is worked on at a time and a few may wait; a page holds PAGE_LINES documents and is looked for PAGE_MS at the
// most, then says where to go on; a call to Kafka has its time-out.
//
// @thread any; @locks its own.
#ifndef PUBLISHED_READER_H
#define PUBLISHED_READER_H

#include "published/feed.h"

enum { PUBLISHED_ASKERS = 8, PAGE_LINES = 200, PAGE_BYTES = 1 << 20, PAGE_MS = 3000 };

struct published_reader;
struct published_reader *published_reader_new(const struct kafka_options *kafka, feed_read_fn *read, int timeout_ms); // read NULL: topic_read_on
void published_reader_freep(struct published_reader **r); // nobody asks any more

enum published_answer {
	PUBLISHED_TOLD,
	PUBLISHED_NOTHING, // there is none: *why says so
	PUBLISHED_GONE,    // the cursor's place is not there any more
	PUBLISHED_AWAY,    // not now: *why says what is missing
};
struct published_question {
	const char *account;         // NULL: all
	int month;                   // MONTH_NONE: all
	const struct topic_places *cursor; // NULL: from the beginning
};
// {"settlements":[…],"next":CURSOR}: envelopes as published, in the order of each partition; next is null behind the last one. A page may
// be empty although there is a next one.
enum published_answer published_reader_page(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *why);
// What `meterctl statement ACCOUNT PERIOD --format json` prints. q->account and q->month are given.
enum published_answer published_reader_statement(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *why);

#endif
