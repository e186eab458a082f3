// SPDX-License-Identifier: Apache-2.0
// Inside of checkpoint: the form of a file. Not included by other rooms.
#ifndef CHECKPOINT_INNER_H
#define CHECKPOINT_INNER_H

#include "base/file.h"
#include "checkpoint/checkpoint.h"

enum { CHECKPOINT_FORMAT = 1 }; // the file's
enum { CHECKPOINT_SCHEMA = 4, CHECKPOINT_SCHEMA_OLDEST = 3 }; // of shards (SCHEMA of meterd.lua): this one's, and the oldest that can be put back
// What a copy is called while it is written out: no generation gets so far.
#define CHECKPOINT_CUT ((int64_t)1000000000)

// ---- writing: records in order, each at once
struct checkpoint_writer;
struct checkpoint_writer *checkpoint_writer_new(struct byte_sink *to, const struct checkpoint_head *h);
void checkpoint_writer_freep(struct checkpoint_writer **w);
// A record: what it is, then texts. False: the sink takes no more.
enum checkpoint_record {
	CHECKPOINT_SHARD = 'S',  // number
	CHECKPOINT_MARK = 'M',   // field, value
	CHECKPOINT_KEY = 'K',    // what, month, adjust_month
	CHECKPOINT_FIELD = 'F',  // field, value
	CHECKPOINT_ENTRY = 'O',  // names and values
	CHECKPOINT_SHARD_END = 'E', // number of marks, fields, entries
	CHECKPOINT_END = 'Z',    // number of shards
};
bool checkpoint_put(struct checkpoint_writer *w, enum checkpoint_record r, const struct span *texts, uint32_t n);
bool checkpoint_writer_end(struct checkpoint_writer *w);

// ---- reading: the checksum first, then each record to whoever wants it; order and counts are checked on the way
struct checkpoint_visitor {
	void *ctx;
	enum error_class (*shard)(void *ctx, uint32_t shard, struct error *e);
	enum error_class (*mark)(void *ctx, struct span field, struct span value, struct error *e);
	enum error_class (*field)(void *ctx, const struct store_key *k, struct span field, struct span value, struct error *e);
	enum error_class (*entry)(void *ctx, const struct span *words, uint32_t n, struct error *e);
	enum error_class (*shard_end)(void *ctx, struct error *e);
};
enum { CHECKPOINT_WORDS = 64 };
enum error_class checkpoint_read(const char *path, const struct checkpoint_visitor *v, struct checkpoint_head *ret, struct checkpoint_totals *ret_totals,
				 struct error *e);

// Removes what killed processes left half-written. Only with the lease of checkpoints: then nobody writes one.
void checkpoint_sweep(const char *state_dir);

char *checkpoint_head_text(const struct checkpoint_head *h); // one line; free it
bool checkpoint_head_parse(struct span text, struct checkpoint_head *ret);

#endif
