// SPDX-License-Identifier: Apache-2.0
// The newest alerts, read once for everybody who wants to see them, and streams of readers over them: owns one reader of the topic
// (a thread, read_committed, in no group) and a ring of what came last.
//
// Invariant: a reader is given each alert behind its place once, in the topic's order, and its place moves with it; what it was not
// given lies behind the place, whatever happens to reader, feed or process. A place is the next offset of each partition, so that a
// reader resumes exactly, at another process too.
//
// Bounded: the ring holds FEED_RECORDS alerts, and FEED_BYTES of them (or one), at the most. A reader keeps no copy: one that falls behind the ring is
// told so and has to come again. One that comes with an older place is read back to the ring from Kafka, some records at a time,
// one reader after the other.
//
// @thread feed_put: the feed's own. The others: any, each reader one owner. @locks its own.
#ifndef PUBLISHED_FEED_H
#define PUBLISHED_FEED_H

#include "published/places.h"

enum { FEED_RECORDS = 1000, FEED_BYTES = 8 << 20 };

typedef enum error_class feed_read_fn(const struct kafka_options *o, const char *topic, struct topic_places *at, int64_t tail, bool follow,
				      int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e);
struct feed_options {
	const struct kafka_options *kafka; // must live as long
	const char *topic;
	feed_read_fn *read;                // NULL: topic_read_on
};
struct feed;
struct feed *feed_new(const struct feed_options *o);
void feed_start(struct feed *f);       // its thread
void feed_stop(struct feed *f);        // readers are told that this is the end; the thread ends
void feed_freep(struct feed **f);      // no reader is there any more

// The newest alerts, newest first, `most` at the most: a JSON array. *ret_place: behind them. NULL where the topic was not read yet: *why.
char *feed_recent(struct feed *f, uint32_t most, const char *account, char ret_place[PLACES_TEXT], struct error *why);

struct feed_reader;
// place NULL: from now on.
struct feed_reader *feed_reader_new(struct feed *f, const struct topic_places *place);
void feed_reader_freep(struct feed_reader **r);
enum feed_next {
	FEED_ALERT,   // *ret_json: one line; free it. feed_reader_place is behind it
	FEED_NOTHING, // within wait_ms
	FEED_GAP,     // some of what lies behind its place is gone from the topic: it goes on where the topic begins
	FEED_BEHIND,  // the reader was too slow
	FEED_END,     // the daemon stops, or the topic was made again
};
enum feed_next feed_next(struct feed_reader *r, int wait_ms, char **ret_json);
const char *feed_reader_place(const struct feed_reader *r, char buf[PLACES_TEXT]);

#endif
