// SPDX-License-Identifier: Apache-2.0
// Inside closing: what its files share.
#ifndef CLOSING_INNER_H
#define CLOSING_INNER_H

#include "base/arena.h"
#include "closing/closing.h"
#include "plans/plans.h"
#include "rating/rating.h"

#include <jansson.h>

static inline enum relay_status closing_status(enum error_class c)
{
	return c == ERROR_NONE ? RELAY_DONE : c == ERROR_RETRY ? RELAY_RETRY : c == ERROR_ABORT ? RELAY_ABORT : RELAY_HALT;
}

// ---- look.c: where all shards stand
struct look_part {
	bool everywhere;                // every shard has an entry
	int64_t clock_min, clock_max;   // over the shards; TIME_NONE: none yet
	int64_t next_max;
};
struct look {
	uint32_t n;
	struct look_part *parts;        // as journal.parts
	int64_t clock_max;              // of any partition: now, where the log is the clock
};
enum error_class look_take(struct store *s, uint32_t shards, const struct journal *j, struct look *ret, struct error *e);
void look_free(struct look *l);
// Has every partition reached close_ms in every shard? m NULL: all admitted ones, otherwise those of the manifest.
bool look_reached(const struct look *l, const struct journal *j, const struct journal_manifest *m, int64_t close_ms, char ret_waits[256]);

// ---- propose.c: new versions of the rules
// The highest version that any shard asks for.
enum error_class propose_highest(struct store *s, uint32_t shards, int64_t *ret, struct error *e);
// The control record of `rules` as the next version, raised in every shard before; free it.
enum error_class propose_make(struct store *s, uint32_t shards, const struct journal *j, const struct rules *rules, int64_t now_ms,
			      char **ret_record, struct error *e);
// The rules of a request {"kind":"rules","rules":{…}}; NULL where they are the newest already or may not follow it, which the log says.
struct rules *propose_read(const json_t *request, const struct journal *j);

// ---- evaluate.c: alerts that a change made due
struct evaluator;
struct evaluator *evaluator_new(void);
void evaluator_freep(struct evaluator **v);
void evaluator_forget(struct evaluator *v); // another tenure, or the journal was read anew
enum error_class evaluator_run(struct evaluator *v, const struct closer_options *o, const struct journal *j, const struct account_book *book,
			       const struct look *l, struct error *e);

// ---- gather.c: what a shard holds of one month
struct holding {                        // one account and service with calls, or something to unfreeze, or both
	struct span account;
	uint32_t service;
	int64_t calls, unfreeze_fen;
};
struct holdings {
	struct arena arena;
	size_t n;
	struct holding *list;           // by account, then by the services' order in the price book
	int64_t counters, freezes;      // fields in the shard
	int64_t calls;
};
enum error_class gather_holdings(struct store *s, uint32_t shard, int month, const struct catalog *c, struct holdings *ret, struct error *e);
void holdings_free(struct holdings *h);

struct settled_sums {
	int64_t accounts, lines, charge_fen, unfreeze_fen, freeze_fen;
};
// Adds what the shard's statements of the month say.
enum error_class gather_settled(struct store *s, uint32_t shard, int month, struct settled_sums *sums, struct error *e);

// ---- statement.c: one account's month as documents
struct statement_frame {                // the same for a whole month
	const char *source;
	const struct rules *rules;
	const struct journal_manifest *manifest;
	struct rating_slice *slices;    // room for RATING_MAX_SLICES
};
// Holdings of one account. *ret->n_lines 0: nothing is due. Everything lies in `arena`. ERROR_HALT on overflow.
enum error_class statement_make(const struct statement_frame *f, const struct holding *list, size_t n, bool month_of_activation,
				struct arena *arena, struct store_statement *ret, struct error *e);
// Some service of these asks in which month the account became active.
bool statement_asks_activation(const struct statement_frame *f, const struct holding *list, size_t n);
// The end of a run: identity and document in `arena`.
void statement_end_of_run(const struct statement_frame *f, const struct settled_sums *sums, struct arena *arena, struct span *ret_identity,
			  struct span *ret_document);
int64_t statement_not_before_ms(const struct rules *rules, int month);

// ---- settle.c: one shard's month, in pieces
struct settling {
	int month;
	uint32_t shard;
	struct holdings held;
	size_t next;                    // first holding not yet handed to the store
	int64_t statements;
	uint64_t lines;
	struct arena arena;
};
// `follows`: a month was closed before this one; it must be finished in this shard. *ret stays when it is not RELAY_DONE.
enum relay_status settling_begin(const struct closer_options *o, const struct rules *rules, const struct journal_manifest *m, bool follows,
				 uint32_t shard, struct settling **ret, struct error *e);
// Some accounts; *ret_done: all are settled. *ret_full: the outbox holds enough, nothing was done.
enum relay_status settling_step(const struct closer_options *o, const struct rules *rules, const struct journal_manifest *m,
				struct settling *w, bool *ret_done, bool *ret_full, struct error *e);
void settling_freep(struct settling **w);

// ---- tick.c: partitions that are silent when a month should close
struct ticker;
struct ticker *ticker_new(const struct closer_options *o, const struct sink_port *port);
void ticker_freep(struct ticker **t);
// `asked`: do not wait the usual second. Publishes at most one tick a partition and close.
enum relay_status ticker_run(struct ticker *t, const struct journal *j, const struct look *l, int month, int64_t close_ms, enum clock_mode clock,
			     int64_t now_ms, bool asked, struct error *e);

#endif
