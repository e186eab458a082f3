// SPDX-License-Identifier: Apache-2.0
// A generation of counters in one file: everything that Redis holds of it, shard by shard, each as it stood at one moment. Beside the topics it
// is what a bill needs where retention has taken the older log: from its offsets on the log is counted again.
//
//	STATE_DIR/checkpoints/20200403T000001Z-2020-03.checkpoint
//
//	"meterd-checkpoint 1\n"  head: JSON, one line  zstd: shards  SHA-256 of all that comes before it
//	                          a shard: marks, then hashes key by key, then its outbox, then how much that was
//
// A file is written whole or not at all (file_replace). One that is damaged, of another init, or of another form is refused whole.
// Windows of duplicates are not in it: they are read back from the log, from `window` on.
// Topics are known by name, not by Kafka's ids of them: librdkafka 2.0.2 cannot tell those (its first call that does came later). That a topic was
// made again is met all the same: the positions of each shard bear the fingerprint of the last record counted, and the log is held against it.
//
// A `port` that is NULL is Kafka.
#ifndef CHECKPOINT_CHECKPOINT_H
#define CHECKPOINT_CHECKPOINT_H

#include <stdatomic.h>

#include "journal/journal.h"
#include "store/store.h"

struct checkpoint_head {
	char init_id[40];
	char version[32];         // of the program that wrote it
	int64_t made_ms;          // wall
	uint32_t shards;
	int64_t generation;       // in force when it was made. No number that was in force is given again
	int64_t control_next;     // the control topic was read up to there
	int64_t rules_version;
	int settled;              // newest finished month; MONTH_NONE
	uint32_t n_parts, n_outs;
	struct checkpoint_part {
		char *name;           // "topic/partition"
		int64_t from;         // no shard stands before this offset: the log is needed from here on
		int64_t window;       // where the window of duplicates before it begins
		int64_t clock_ms;     // record clock there
	} *parts;
	int64_t furthest_ms;      // record clock that some shard reached, of any partition; TIME_NONE: the head alone was read, or nothing was counted
	struct checkpoint_out {       // a partition of what is published: what was raised after the checkpoint lies at or behind this offset
		char *name;
		int64_t offset;
	} *outs;
};
void checkpoint_head_free(struct checkpoint_head *h);

// ---- making one
struct checkpoint_options {
	const struct sink_port *port;
	enum error_class (*store_open)(const struct store_options *o, struct store **ret, struct error *e); // NULL: Redis
	const struct kafka_options *kafka;
	const struct store_options *store;
	const char *state_dir;
	int64_t keep;             // so many of this init stay, the newest; the others go once the new one is there
	int64_t pause_ms;         // between shards: each is copied in one step of Redis
	const atomic_bool *stop;  // NULL: nothing ends it early
	void (*progress)(void *ctx, uint64_t done, uint64_t all); // shards; NULL: nobody looks
	void *ctx;
};
// Of the generation in force. *ret_path: where it lies; free it. ERROR_ABORT 75: another one is being written, the disk is full; then nothing is
// left of it. ERROR_RETRY: Redis or Kafka went away, or another generation came into force.
enum error_class checkpoint_make(const struct checkpoint_options *o, char **ret_path, struct error *e);

// ---- reading one
struct checkpoint_totals {
	uint64_t fields, entries, bytes; // bytes: of the file
};
// The head alone; what follows is not looked at. ERROR_ABORT 78 says what is wrong with the file and what to do; it names the file.
enum error_class checkpoint_head_read(const char *path, struct checkpoint_head *ret, struct error *e);
// All of it: checksum, then every record.
enum error_class checkpoint_verify(const char *path, struct checkpoint_head *ret, struct checkpoint_totals *ret_totals, struct error *e);
// ERROR_ABORT 78 where it is not of this state: init id, shards, partitions, a control topic that is younger than it. And, once all of it was read,
// where it counted under older rules what newer ones hold for: they were dated behind all shards after a Redis that went back, not behind it.
enum error_class checkpoint_fits(const struct checkpoint_head *h, const struct journal *j, struct error *e);
// ERROR_ABORT 78 where the log does not reach back to it. `published`: what was published since must be there, too.
enum error_class checkpoint_reached(const struct checkpoint_head *h, const struct sink_port *port, const struct kafka_options *k, bool published,
				    struct error *e);

struct checkpoint_file {
	char *path;
	struct error wrong;       // cls ERROR_NONE: its head can be read
	struct checkpoint_head head;
	uint64_t bytes;
};
struct checkpoint_list {
	uint32_t n;
	struct checkpoint_file *files; // the newest first
};
// Those in state_dir. A folder that is not there holds none.
enum error_class checkpoint_list(const char *state_dir, struct checkpoint_list *ret, struct error *e);
void checkpoint_list_free(struct checkpoint_list *l);
// One that is given by name: whole, of this state, and the log goes on from it; of any generation.
enum error_class checkpoint_usable(const char *path, const struct journal *j, const struct sink_port *port, const struct kafka_options *k, struct error *e);
struct checkpoint_wish {
	bool published;           // what was published since is there, too
	const int64_t *upto;      // by partition of the journal: no shard of it stands behind this offset; NULL: wherever it stands
};
// The newest of the generation in force that is whole, fits, and from which the log goes on. ERROR_ABORT 78: there is none; the text says why the
// newest is not.
enum error_class checkpoint_newest(const char *state_dir, const struct journal *j, const struct sink_port *port, const struct kafka_options *k,
				   const struct checkpoint_wish *w, char **ret_path, struct error *e);

// ---- putting one back
struct checkpoint_restore {
	struct store *store;      // its identity: the generation that comes back
	uint32_t shards;
	const bool *wanted;       // by shard; NULL: all
	bool in_force;            // the generation is in force from then on; otherwise it is one that is being made
	enum error_class (*look)(void *ctx, struct error *e); // often; NULL: never
	void (*progress)(void *ctx, uint64_t done, uint64_t all);
	void *ctx;
};
// The checksum is looked at first. A shard that an earlier attempt left half done is begun anew; one that holds the generation is refused.
enum error_class checkpoint_restore(const struct checkpoint_restore *r, const char *path, struct error *e);
// What must not be there when a shard is made again: half of what was being put back, and in a shard without a meta all that bears its name,
// since nobody knows what it is.
enum error_class checkpoint_clear(struct store *s, uint32_t shard, struct error *e);

// ---- by itself
// After a month's end one of it, where there is none of it or of a later one yet, of the generation in force. *ret: the newest there is then, path and
// head of it; free both.
enum error_class checkpoint_of_month(const struct checkpoint_options *o, int month, struct checkpoint_file *ret, bool *ret_new, struct error *e);
// A thread of the process that closes months does so.
struct keeper;
struct keeper *keeper_new(const struct checkpoint_options *o); // its stop and progress are the keeper's own
void keeper_see(struct keeper *k, int closed_month);           // the newest finished month, as often as you like; MONTH_NONE: none. Never waits
void keeper_stop(struct keeper *k);                             // ends what is under way. Never waits
void keeper_freep(struct keeper **k);                          // stops it, and waits until nothing of it is left: for the time-out of one call at the most
int keeper_again_s(uint32_t failures);                         // how long it waits after so many in a row
struct keeper_numbers {
	uint64_t written, failed;
	int64_t made_ms;          // wall: of the newest one; TIME_NONE: none is known
	uint64_t bytes;           // of it
};
void keeper_numbers(struct keeper *k, struct keeper_numbers *ret);

#endif
