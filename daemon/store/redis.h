// SPDX-License-Identifier: Apache-2.0
// Inside of the Redis adapter: connection, commands, keys. Not included by other rooms.
#ifndef STORE_REDIS_H
#define STORE_REDIS_H

#include <hiredis/hiredis.h>

#include "base/arena.h"
#include "store/redis_tls.h"
#include "store/store.h"

// Growing bytes in MessagePack: what cmsgpack reads in the functions.
struct pack {
	char *p;
	size_t n, size;
};
void pack_array(struct pack *b, uint32_t n);
void pack_int(struct pack *b, int64_t v);
void pack_number_text(struct pack *b, int64_t v); // as Redis keeps it: a text
void pack_u32(struct pack *b, uint32_t v); // bare: four bytes of a text, big-endian
void pack_text(struct pack *b, struct span s); // p NULL: false
// A text that is made in place: all that is packed between begin (whose answer end wants) and end.
size_t pack_text_begin(struct pack *b);
void pack_bytes(struct pack *b, struct span s);
void pack_text_end(struct pack *b, size_t begin);
void pack_free(struct pack *b);

// One command: its words live in an arena until it is sent.
struct command {
	struct arena arena;
	const char **word;
	size_t *length;
	int n, size;
	struct pack scratch;
};
void command_reset(struct command *c);
void command_span(struct command *c, struct span s); // not copied
void command_text(struct command *c, const char *z);  // not copied
void command_format(struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void command_int(struct command *c, int64_t v);
void command_pack(struct command *c);                 // takes what is in scratch, empties it
void command_free(struct command *c);

enum { KEY_LENGTH = 160 };

struct pending {
	struct commit *commit;
	int64_t sent_us;
	bool unsent; // never left this process: certainly not applied
};

#define STORE_SCHEMA "4" // of meterd.lua

struct store_redis {
	struct store port;
	struct store_options o;
	char *host, *path; // one of them
	int tcp_port, db;
	struct redis_tls *tls; // NULL: in the clear
	char *user, *password, *prefix, *name;
	char init_id[40], generation[24];
	redisContext *c;
	struct command command;
	struct bundle *bundle; // NULL until it is needed
	char why[256]; // of the last failure to connect
	uint64_t sessions, informed; // connections made, from 1 on; that on which commits may go out, 0: any
	// commits that were sent, oldest first
	struct pending *pending;
	uint32_t n_pending, size_pending, first_pending;
	bool functions_missing; // load them before the next commit
};

static inline struct store_redis *redis_of(struct store *s)
{
	return (struct store_redis *)s;
}

// A key of the shard: meta, req (no generation) or the rest, with up to two months behind it.
const char *redis_key(const struct store_redis *s, char key[KEY_LENGTH], uint32_t shard, const char *what, int month, int adjust);
enum error_class redis_connect(struct store_redis *s, struct error *e);
void redis_disconnect(struct store_redis *s);
enum error_class redis_load_functions(struct store_redis *s, struct error *e);
// Sends s->command and waits. The reply is the caller's. Error replies are mapped to an error class.
enum error_class redis_call(struct store_redis *s, redisReply **ret, struct error *e);
// Several in one round trip: each s->command goes out, then each answer is taken, in order. One that cannot be used ends the connection, since
// others are behind it.
enum error_class redis_send(struct store_redis *s, struct error *e);
enum error_class redis_answer(struct store_redis *s, redisReply **ret, struct error *e);
void redis_reply_freep(redisReply **r);
// Starts an FCALL in s->command; keys and arguments follow.
void redis_fcall(struct store_redis *s, const char *function, int keys);
// The status word of a function's reply: ERROR_NONE for OK.
enum error_class redis_status(const redisReply *r, struct error *e);
// ERROR_ABORT: another version works on the state, or one has to bring it up first.
enum error_class redis_other_schema(struct span schema, struct error *e);
// ERROR_HALT: what came back has not the form that the command promises; nothing of it may be used.
enum error_class redis_unknown_form(struct error *e, const char *what);
// How an error reply ranks: COMMIT_REFUSED, COMMIT_LOST (function missing) or COMMIT_HALT.
enum commit_status redis_error_rank(const char *text);
static inline struct span reply_span(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? (struct span){ r->str, (size_t)r->len } : (struct span){ NULL, 0 };
}
// An array of n answers. Each of them may still be anything.
static inline bool reply_is_array(const redisReply *r, size_t n)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == n;
}
// An array of strings, as hashes and their keys come.
static inline bool reply_is_texts(const redisReply *r)
{
	bool texts = r->type == REDIS_REPLY_ARRAY;
	for (size_t i = 0; texts && i < r->elements; i++)
		texts = r->element[i]->type == REDIS_REPLY_STRING;
	return texts;
}
// The key as the next word of s->command.
void redis_words_key(struct store_redis *s, uint32_t shard, const char *what, int month, int adjust);
// Sends the function call and maps its status word; ret NULL: the reply is not wanted.
enum error_class redis_call_function(struct store_redis *s, redisReply **ret, struct error *e);
// A whole scan from 0; a lost connection ends it (ERROR_RETRY), since a cursor must not be carried over a fail-over.
enum error_class redis_scan_hash(struct store_redis *s, uint32_t shard, const char *what, int month, int adjust, store_scan_fn *fn, void *ctx,
				 struct error *e);
enum error_class redis_get_fields(struct store_redis *s, uint32_t shard, const char *what, int month, int adjust_month, const struct span *fields,
				  uint32_t n, struct arena *arena, struct span *ret, struct error *e);
// generations.c
enum error_class redis_generations(struct store *port, uint32_t shard, struct store_generations *ret, struct error *e);
enum error_class redis_begin(struct store *port, uint32_t shard, int64_t generation, struct error *e);
enum error_class redis_cut_copy(struct store *port, uint32_t shard, int64_t of, int64_t copy, struct error *e);
enum error_class redis_adopt(struct store *port, uint32_t shard, int64_t epoch, struct error *e);
enum error_class redis_drop(struct store *port, uint32_t shard, int64_t generation, struct error *e);
enum error_class redis_lease(struct store *port, enum store_lease of, const char *holder, int64_t ttl_ms, char **ret_other, struct error *e);
enum error_class redis_size(struct store *port, uint32_t shard, const struct store_key *k, int64_t *ret_bytes, struct error *e);
enum error_class redis_keys(struct store *port, uint32_t shard, struct store_keys *ret, struct error *e);
enum error_class redis_scan_key(struct store *port, uint32_t shard, const struct store_key *k, store_scan_fn *fn, void *ctx, struct error *e);
enum error_class redis_get_key(struct store *port, uint32_t shard, const struct store_key *k, const struct span *fields, uint32_t n,
			       struct arena *arena, struct span *ret, struct error *e);
// whole.c
enum error_class redis_marks(struct store *port, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e);
enum error_class redis_entries(struct store *port, uint32_t shard, store_entry_fn *fn, void *ctx, struct error *e);
enum error_class redis_restore(struct store *port, uint32_t shard, struct error *e);
enum error_class redis_put(struct store *port, uint32_t shard, const struct store_key *k, const struct span *words, uint32_t n, struct error *e);
enum error_class redis_put_marks(struct store *port, uint32_t shard, const struct span *words, uint32_t n, struct error *e);
enum error_class redis_put_entry(struct store *port, uint32_t shard, const struct span *words, uint32_t n, struct error *e);
enum error_class redis_restored(struct store *port, uint32_t shard, bool in_force, struct error *e);
enum error_class redis_left_over(struct store *port, uint32_t shard, bool remove, int64_t *ret_n, struct error *e);
bool position_parse(struct span text, struct position *ret);
void position_format(const struct position *p, char buf[128]);

void redis_commit_send(struct store *port, struct commit *c);
bool redis_commit_receive(struct store *port, int timeout_ms, struct commit_result *ret);
extern const struct store_ops store_redis_ops;

#endif
