// SPDX-License-Identifier: Apache-2.0
// JSON that is written at once instead of built and then dumped: compact, fields in the order in which they come, every byte as jansson's
// json_dumps makes it with JSON_COMPACT, since twins of documents are compared by content between versions. The text grows in an arena;
// a value allocates nothing. Anything else may be taken from the arena meanwhile, best given back at once (arena_rewind): the text moves otherwise.
//
//	struct writer w = writer_begin(arena);
//	write_object(&w, NULL);
//	write_integer(&w, "calls", 7);
//	write_object_end(&w);
//	struct span text = writer_end(&w);
//
// A key is a literal of plain letters, NULL for elements of an array, for the whole text, and behind write_key. Refuses bytes that are not
// UTF-8. That no key comes twice is left to the caller.
#ifndef BASE_WRITE_H
#define BASE_WRITE_H

#include "base/arena.h"
#include "base/money.h"

struct writer {
	struct arena *arena;
	char *p;
	size_t n, size;
	uint64_t open;          // a bit for each object (1) and array (0) that is open, the innermost lowest, below a 1 of its own
	bool follows;           // something stands before, at the same level
	bool keyed;             // write_key came
};

struct writer writer_begin(struct arena *a);
struct span writer_end(struct writer *w); // in the arena; all that was opened must be closed

void write_object(struct writer *w, const char *key);
void write_object_end(struct writer *w);
void write_array(struct writer *w, const char *key);
void write_array_end(struct writer *w);
void write_key(struct writer *w, struct span key); // one that is not known beforehand; UTF-8
void write_text(struct writer *w, const char *key, const char *text); // known to be UTF-8
// Bytes from outside, null where there are none (s.p NULL). False: they are not UTF-8; nothing was written.
bool write_bytes(struct writer *w, const char *key, struct span s);
void write_integer(struct writer *w, const char *key, int64_t v);
void write_null(struct writer *w, const char *key);
void write_true(struct writer *w, const char *key);
void write_json(struct writer *w, const char *key, struct span text); // what another writer made
// As texts: base/money.h.
void write_price(struct writer *w, const char *key, int64_t micro);
void write_amount(struct writer *w, const char *key, amount_pico amount);
void write_fen(struct writer *w, const char *key, int64_t fen);

#endif
