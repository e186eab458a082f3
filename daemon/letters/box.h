// SPDX-License-Identifier: Apache-2.0
// The letters themselves: what was rejected, as it came and why; and giving it back to the input once the cause is gone.
//
// A letter is known by where its record stood in the input: it may lie in the dead-letter topic more than once. What is given back is marked
// there, in the transaction that gives it back.
//
// Invariant: a record is given back once. Whoever gives back fences first everybody who was at it, then reads the marks: what those gave back is
// marked, or never came. A letter may be of a record that was not rejected after all (newer rules were decided before its offset was passed): the one
// that is given back bears the clock of the letter, and whoever reads it finds that it repeats the other one (decide/decide.c).
//
// @thread one owner
#ifndef LETTERS_BOX_H
#define LETTERS_BOX_H

#include "sink/sink.h"

struct letter {
	char *position;              // "topic/partition/offset" of the input
	struct span topic, code, message;
	int64_t partition, offset;
	int64_t timestamp_ms;        // the record's own; -1: none
	struct span stamp;           // the same as text; p NULL: not said
	struct span clock;           // record clock by whose rules it was rejected, as text; p NULL: written by a meterd that did not say
	bool truncated;              // the value or more did not fit into the topic
	bool given_back;
	struct span key, value;
	struct span account;         // for the eye and to choose by: as far as it can be read. p NULL: it cannot
	const struct header *headers; // as received, without those of meterd
	uint32_t n_headers;
};

// What is done to Kafka, and by whom it is watched.
struct letters_ends {
	const struct sink_port *port; // NULL: Kafka
	const struct kafka_options *kafka;
	const char *field_account;    // what an event calls its account (event.fields)
	void (*progress)(void *ctx, uint64_t records); // NULL: nobody looks
	void *ctx;
};

// ---- all letters of the topic, in memory
struct letters_box;
enum error_class letters_box_read(const struct letters_ends *o, struct letters_box **ret, struct error *e);
void letters_box_freep(struct letters_box **b);
const struct letter *letters_box_next(const struct letters_box *b, const struct letter *after); // in order of arrival; NULL: the first, the end
const struct letter *letters_box_find(const struct letters_box *b, const char *position);       // NULL: there is none

struct letters_wish {
	const char *position;        // this one; otherwise all that fit:
	const char *code, *account;  // NULL: any
	int64_t since_ms, until_ms;  // of the record's own stamp, `until` exclusive; INT64_MIN, INT64_MAX: any
	bool given_back;             // also those that were given back already
};
bool letters_wanted(const struct letter *l, const struct letters_wish *w);

// ---- giving back
// Each record as it came, into the partition that it came in, with its own key, headers and stamp, and two headers of meterd's. Passed over: one that did not fit into the
// dead-letter topic, and one of a topic that is not read (any more): whoever can write letters would have us write anywhere.
struct letters_sums {
	uint32_t chosen, given_back;
	uint32_t truncated, elsewhere; // passed over
};
// With `only_tell` nothing is written, and nobody is fenced. ERROR_RETRY: brokers away, or somebody else is at it; what `ret` says was given back is.
enum error_class letters_give_back(const struct letters_ends *o, const struct letters_wish *w, bool only_tell, struct letters_sums *ret, struct error *e);

#endif
