// SPDX-License-Identifier: Apache-2.0
// Rejected records that wait in the dead-letter topic: how many of each code were not given back (`meterctl dlq requeue`). Owns a reader of the topic
// in a thread of its own, read_committed, in no group.
//
// Invariant: a letter is known by where its record stood in the input and counts once, however often it lies in the topic; its mark takes it away,
// whichever of the two comes first. What retention takes is gone from the counts at the next look at where the topic begins.
//
// Bounded: LETTERS_MOST positions are kept, 8 bytes each in a table at most half full; what comes beyond them is not counted, and `full` says so.
#ifndef LETTERS_LETTERS_H
#define LETTERS_LETTERS_H

#include "decode/decode.h"
#include "sink/sink.h"

#define LETTERS_OWN "__meterd.errors."
#define LETTERS_GIVEN_BACK GIVEN_BACK_HEADER // of a mark, and of the record given back: the position

enum { LETTERS_MOST = 4 << 20, LETTERS_POSITION = 320 };

struct span letters_header(const struct record *r, const char *name); // p NULL: there is none
// "topic/partition/offset" of the input, of a letter. False: the record is somebody else's.
bool letters_position(const struct record *r, char ret[LETTERS_POSITION]);

// ---- the counts. @thread one owner
struct letters_table;
struct letters_table *letters_table_new(uint32_t most);
void letters_table_freep(struct letters_table **t);
void letters_table_take(struct letters_table *t, const struct record *r); // a record of the dead-letter topic

struct letters_numbers {
	bool known;               // the topic was read to its end
	bool full;
	uint64_t by_code[REJECT_COUNT]; // [REJECT_NONE]: codes that this version does not have
};
void letters_table_numbers(const struct letters_table *t, struct letters_numbers *ret); // all but `known`

// ---- by itself
struct letters;
struct letters *letters_new(const struct kafka_options *k); // k must live as long; reads nothing yet
void letters_watch(struct letters *l);                      // from here on; as often as you like
void letters_numbers(struct letters *l, struct letters_numbers *ret);
void letters_freep(struct letters **l);

#endif
