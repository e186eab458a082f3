// SPDX-License-Identifier: Apache-2.0
// Inside closing: what its files share.
#ifndef CLOSING_INNER_H
#define CLOSING_INNER_H

#include "base/arena.h"
#include "closing/closing.h"
#include "closing/frame.h"
#include "closing/kept.h"
#include "plans/plans.h"
#include "journal/accounts_feed.h"
#include "terms/terms.h"

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
enum error_class propose_make(struct store *s, uint32_t shards, const struct journal *j, const struct rules *rules, int64_t floor_ms,
			      int64_t now_ms, char **ret_record, struct error *e);
// May new rules be decided now, and which record clock have the shards seen? Not while they stand before a call that an alert was published for.
enum error_class propose_floor(const struct closer_options *o, const struct journal *j, bool *ret_may, int64_t *ret_clock_ms, struct error *e);
// May the generation be put in force: does every shard hold it, not as a mere copy, nor half of a checkpoint?
enum error_class propose_generation(struct store *s, uint32_t shards, int64_t generation, bool *ret_may, struct error *e);
// The rules of a request {"kind":"rules","rules":{…}}; NULL where they are the newest already or may not follow it, which the log says.
struct rules *propose_read(const json_t *request, const struct journal *j);

// ---- evaluate.c: alerts that a change made due, where no call came behind it
struct evaluator;
struct evaluator *evaluator_new(void);
void evaluator_freep(struct evaluator **v);
void evaluator_forget(struct evaluator *v); // another tenure, or the journal was read anew
enum error_class evaluator_run(struct evaluator *v, const struct closer_options *o, const struct journal *j, const struct account_book *book,
			       const struct look *l, int64_t now_ms, struct error *e);
// The first change that some partition has passed, or `now_ms`, and another has not; INT64_MAX: none.
int64_t evaluator_waits(const struct evaluator *v);

// ---- gather.c: what a shard holds of one month
struct holding {                        // one account and service with calls, or something to unfreeze, or both
	struct span account;
	uint32_t service;
	int64_t calls, unfreeze_fen;
};
struct late_holding {                   // calls of an earlier month that are adjusted with this one
	struct span account;
	int month;
	uint32_t service;               // in the price book of that month
	int64_t calls;
};
struct holdings {
	struct arena arena;
	size_t n, n_late;
	struct holding *list;           // by account, then by the services' order in the price book
	struct late_holding *late;      // by account, then month, then service
	int64_t counters, freezes;      // fields in the shard
	int64_t calls;
	int64_t late_fields;
	uint32_t n_late_months;
	int *late_months;               // ascending
};
enum error_class gather_holdings(struct store *s, uint32_t shard, int month, const struct catalog *c, struct holdings *ret, struct error *e);
// Adds the late calls that are adjusted with m's month. A service that the price book of their month does not have is passed over.
enum error_class gather_late(struct store *s, uint32_t shard, const struct journal *j, const struct journal_manifest *m, struct holdings *h,
			     struct error *e);
void holdings_free(struct holdings *h);
uint32_t months_once(int *months, uint32_t n); // ascending, each once; how many are left

struct settled_sums {
	int64_t accounts, lines, charge_fen, unfreeze_fen, freeze_fen;
	int64_t adjustments, difference_fen;
	int64_t corrected, passed_over; // corrections, of one account
	int64_t steps;                  // accounts with a statement, or adjustments, or both
};
// Adds what the shard's statements and adjustments of the month say.
enum error_class gather_settled(struct store *s, uint32_t shard, int month, struct settled_sums *sums, struct error *e);

// ---- statement.c, correct.c, adjust.c: one account's close as documents
struct close_month {                    // an earlier month of the account that is corrected or adjusted
	struct month_frame *frame;
	const struct terms *terms;
	const struct late_holding *late;
	size_t n_late;
	struct span newest;             // its newest revision, as the shard keeps it; p NULL: it was not adjusted yet
	int64_t revision;               // of its newest statement, -1: none
	uint32_t n_lines;
	struct settled_line *lines;     // by service; corrected ones in their place
	bool closed;                    // before the month that is settled
	uint32_t n_corrected;
	struct store_adjustment *corrected; // what corrections made of it, in their order
};
struct account_close {
	struct span account;
	const struct account *said;     // NULL: nothing
	const struct terms *terms;      // of the month that is settled
	const struct holding *own;
	size_t n_own;
	int since;                      // first active month by calls; MONTH_NONE
	struct span packs;              // balance as the shard keeps it
	uint32_t n_months;
	struct close_month *months;     // ascending
	uint32_t n_corrections;
	const struct account_fact *const *corrections; // that come with this close, in their order
	bool done;                      // they were made: of the months they name nothing is as they expect it any more
};
struct statement_frame {                // the same for a whole month
	const char *source;
	const struct journal_manifest *manifest;
	struct month_frame own;
	struct rating_slice *slices;    // room for RATING_MAX_SLICES
	struct span cutoffs;            // of the manifest, as lines say them
	bool quiet;                     // the month was settled before: the log has said of it what there is to say
};
// *ret->n_lines and n_revisions 0: nothing is due. Everything lies in `arena`. ERROR_HALT on overflow.
enum error_class statement_make(const struct statement_frame *f, const struct account_close *a, struct arena *arena, struct store_statement *ret,
				struct settled_sums *sums, struct error *e);
// The account's corrections, before anything else of the close: lines of months and what packs gave stand corrected then.
void correct_account(const struct statement_frame *f, const struct account_close *a, struct balance *b, struct arena *arena,
		     struct settled_sums *sums);
// One earlier month: its adjustments and next statement. What packs give more goes to *b. ret->n_adjustments 0: nothing is due.
enum error_class adjust_month(const struct statement_frame *f, const struct account_close *a, const struct close_month *m, struct balance *b,
			      struct arena *arena, struct store_revision *ret, struct settled_sums *sums, struct error *e);
// Facts that the shard keeps: the services that a statement names, and a whole newest revision. Of a line: kept.h.
bool settled_services_parse(struct span facts, const struct catalog *c, struct arena *arena, struct close_month *ret);
bool settled_revision_parse(struct span facts, const struct catalog *c, struct arena *arena, struct close_month *ret);
// Lines by service: the one of a service, NULL: none; and one put in the place of its service, for which there is room.
const struct settled_line *settled_line_of(const struct settled_line *lines, uint32_t n, uint32_t service);
void settled_line_put(struct settled_line *lines, uint32_t *n, const struct settled_line *l);
// The end of a run: identity and document in `arena`.
void statement_end_of_run(const struct statement_frame *f, const struct settled_sums *sums, struct arena *arena, struct span *ret_identity,
			  struct span *ret_document);
int64_t statement_not_before_ms(const struct rules *rules, int month);

// ---- document.c: bytes
struct line {                           // a settlement, or an adjustment
	const struct rules *rules;      // that rated it
	const struct terms *terms;
	int month;
	uint32_t service;
	const struct line_prices *prices; // by which it is priced; NULL: those of its month
	const struct plan *plan;        // of either
	enum rounding rounding;
	struct bill bill;
	uint32_t n_packs;
	struct pack_use *packs;         // that gave calls, in order of deduction
	int64_t unfreeze_fen, freeze_fen;
	int64_t revision;
	const struct settled_line *adjusts; // revision 0: NULL
	int64_t difference_fen;
	struct span corrected;          // the correction that it rests on; n 0: none
	bool correction;                // which made this revision
};
struct settled_line line_settled(const struct line *l);
// Its prices: `prices`, or where that is NULL those of its month, `own` (NULL: price 0).
void line_price(struct line *l, const struct line_prices *prices, const struct plan *own);
struct line_texts {
	struct span identity, facts, document;
	char id[33];
};
bool line_document(const struct statement_frame *f, struct span account, const struct line *l, struct arena *arena, struct line_texts *ret);
struct statement_texts {
	struct span identity, facts, document;
};
struct statement_parts {
	struct span account;
	const struct rules *rules;
	int month;
	int64_t revision;
	const struct settled_sums *sums;
	uint32_t n;
	const struct settled_line *lines; // in the order of the price book
};
void statement_document(const struct statement_frame *f, const struct statement_parts *p, struct arena *arena, struct statement_texts *ret);
// The same for all lines that are settled with one manifest.
struct span document_cutoffs(const struct journal_manifest *m, struct arena *arena);

// ---- settle.c: one shard's month, in pieces
struct settle_scope {                   // of one step
	const struct closer_options *o;
	const struct journal *j;
	const struct journal_manifest *m;
	const struct rules *rules;      // of the manifest
	const struct account_book *book;
	bool uncorrected;               // corrections are left aside
	struct span account;            // corrections of this one only; p NULL: all
};
struct corrected_account {
	struct span account;
	uint32_t n;
	const struct account_fact **facts; // in the order in which they are made
};
struct settling {
	int month;
	uint32_t shard;
	bool gathered;                  // what is below; by the first step
	struct holdings held;
	size_t n_corrected;
	struct corrected_account *corrected; // with this close, by account
	uint32_t n_months;
	int *months;                    // earlier ones that late calls or corrections are of, ascending
	size_t next, next_late, next_corrected; // first not yet handed to the store
	int64_t statements;             // accounts settled
	struct settled_step {           // what the last step made
		uint64_t statements, lines, adjustments, corrected, passed_over; // corrections that were made, or not
	} step;
	struct arena arena;
};
// Corrections of the shard's accounts that come with this close (correct.c), and *w->months.
void correct_gather(const struct settle_scope *s, struct settling *w);
bool correct_closed(const struct settle_scope *s, int month); // before the month that is settled
// `follows`: a month was closed before this one; it must be finished in this shard. *ret stays when it is not RELAY_DONE.
enum relay_status settling_begin(const struct settle_scope *s, bool follows, uint32_t shard, struct settling **ret, struct error *e);
// Some accounts; *ret_done: all are settled. *ret_full: the outbox holds enough, nothing was done.
enum relay_status settling_step(const struct settle_scope *s, struct settling *w, bool *ret_done, bool *ret_full, struct error *e);
// The month's end of run, from the sums over all shards, into the store.
enum error_class settling_end_run(const struct settle_scope *s, const struct settled_sums *sums, struct arena *arena, struct error *e);
void settling_freep(struct settling **w);

// ---- tick.c: partitions that are silent when a month should close
struct ticker;
struct ticker *ticker_new(const struct closer_options *o, const struct sink_port *port);
void ticker_freep(struct ticker **t);
// of_ms: the close, or a change, that partitions are to pass. `asked`: do not wait the usual second. Publishes at most one tick a
// partition and close; of changes, which may be many, one a partition every half minute.
enum tick_for { TICK_CLOSE, TICK_CHANGE };
enum relay_status ticker_run(struct ticker *t, const struct journal *j, const struct look *l, enum tick_for what, int64_t of_ms, enum clock_mode clock,
			     int64_t now_ms, bool asked, struct error *e);

#endif
