// SPDX-License-Identifier: Apache-2.0
// What would have been: the log decided and settled twice, by the rules in force and by others, and how the two differ. From Kafka alone;
// writes nothing anywhere.
//
// Both sides are the daemon's own code: its decision about each record (decide/decide.h), the closer's settling (closing/closing.h). The
// whole retained log is read, also where a range is given: which records are duplicates, what a counter holds and what a freeze was
// depend on what came before. The range says only which records are treated otherwise, and which months are priced otherwise.
//
// What does not change on the other side: the record clock, and with it which calls are late and where months are cut. A record that is
// left out has been there for the clock, and never for anything else: a later copy of it counts.
//
// Open months are settled as though they ended with the log, on both sides.
//
// Corrections of closed months that were said before (account/account.h) are part of what is, and of nothing else: the other side says what
// the whole bill would be. With `correct` only months that were closed are settled, and the bills that differ become corrections.
//
// So a bill that was corrected would differ for no other reason than that, and the new correction would undo the earlier one. Therefore
// it is also worked out what would be, had nobody corrected anything: where the question changes nothing of that, the bill stays as it was
// corrected. Where it does, nobody but who asks knows whether the question has the earlier one in it: such bills are told, and are corrected
// with `undo` only. Likewise those that take free calls or packs which an earlier correction of other bills of the account moved.
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include <stdatomic.h>

#include "ladder/ladder.h"
#include "replay/range.h"
#include "sink/sink.h"

struct faults;

struct replay_options {
	const struct sink_port *port;   // NULL: Kafka
	const struct kafka_options *kafka;
	int timeout_ms;                 // without any progress
	const struct range *range;
	int64_t now_ms;                 // what durations are counted back from
	const char *account;            // NULL: all
	// What is otherwise, for records and months of the range.
	const char *catalog_name;       // NULL: the price book in force
	struct span catalog_text;
	int prices_of;                  // a month whose prices and free calls hold; MONTH_NONE
	uint32_t n_billable, n_producers, n_partitions;
	const char *const *billable;    // status codes that count instead of the price book's; n 0: the price book's
	const char *const *producers;   // CloudEvents `source` left out; "": flat events
	const char *const *partitions;  // "topic/partition" left out
	bool correct;                   // work out corrections of the closed months: bills are those that differ in them, alerts are none
	bool undo;                      // with `correct`: earlier corrections too are as though nobody had said them
	const char *reason;             // with `correct`: of 1 to ACCOUNT_REASON_MOST bytes, UTF-8
	const atomic_bool *stop;        // ends whatever is under way; NULL: never
	void (*progress)(void *ctx, uint64_t read, uint64_t all); // NULL: nobody looks
	void *ctx;
};

// UNSETTLED: before the first month that was ever closed. CORRECTED: with `correct`, an earlier correction has to do with it.
enum replay_state { REPLAY_SETTLED, REPLAY_OPEN, REPLAY_UNSETTLED, REPLAY_CORRECTED };
const char *replay_state_text(enum replay_state s);

struct replay_figures {             // of one side
	bool billed;                // it has a line
	int64_t line_calls;         // that it is of
	int64_t calls, late;        // of its month; late: of them, those that came after its close
	int64_t free, billable;
	int64_t charge_fen;         // after all adjustments
	int64_t freeze_fen, unfreeze_fen; // as the month was settled
};
struct line_prices;
struct settled_line;
struct replay_bill {                // that differs
	struct span account, service;
	int month;
	enum replay_state state;
	struct replay_figures before, after;
	const struct settled_line *was, *becomes; // with `correct`: the newest lines; NULL: there is none
	const struct settled_line *bare; // likewise, had nobody corrected anything
	const struct line_prices *prices; // by which `becomes` is priced; NULL: as its month was closed
};
struct replay_alert {               // that only one side raises
	struct span account, service, pack;
	int month;
	enum alert_kind kind;
	int64_t bound;
	bool raised;                // by the other side; otherwise not any more
	char id[33];
};
struct replay_numbers {
	uint64_t records, events;   // read; of them with calls that count, as it is
	uint64_t in_range, left_out, otherwise; // otherwise: records that come to something else
	uint32_t partitions;
	int first_month, last_month; // settled; MONTH_NONE: there are no calls
	int first_priced, last_priced; // priced otherwise; MONTH_NONE: none
	int64_t before_fen, after_fen; // charges of all bills
	uint32_t corrections;       // of closed months, said before
	const char *currency;
};

// Bytes of a record; accounts and bytes of one application, which is one transaction: it has 12 s to reach the brokers (sink_kafka_txn.c), also over a
// line of 100 Mbit/s.
enum { REPLAY_RECORD_MOST = 900000, REPLAY_ACCOUNTS_MOST = 20000, REPLAY_BYTES_MOST = 32000000 };
struct replay_correction {          // of one account: a record of the accounts topic
	struct span account, text;
	uint32_t lines;
};
struct replay_corrections {
	char id[17];                // of all of them
	uint32_t n, n_lines;
	const struct replay_correction *list; // by account
	int first_month, last_month;
	int64_t difference_fen;     // of all charges
	uint32_t unclosed;          // bills that differ in months that were never closed themselves: left aside
	uint32_t kept;              // lines that differ only because they were corrected before: left as they are
	uint32_t tied;              // lines that might undo what was corrected before: not to be said without `undo`
	bool known;                 // they were said already
};

struct replay;
// ERROR_ABORT 78: there is no init, the topics do not hold any more what is needed, or the price book may not stand in: then *faults has why;
// 64: a partition or a producer that does not exist; 75: stopped; ERROR_RETRY: brokers away. The text says what to do.
enum error_class replay_run(const struct replay_options *o, struct faults *faults, struct replay **ret, struct error *e);
void replay_freep(struct replay **r);
// By month, account, service. Owned by the replay.
uint32_t replay_bills(const struct replay *r, const struct replay_bill **ret);
uint32_t replay_alerts(const struct replay *r, const struct replay_alert **ret);
const struct replay_corrections *replay_corrections(const struct replay *r);
// To be asked before they are said, by whoever keeps all others from saying any: is what they were worked out from still so? ERROR_ABORT 75: no.
enum error_class replay_holds(struct replay *r, struct error *e);
// Says them, where they still hold: all, or none. There are some, none of them `tied`, and they are not known. ERROR_ABORT 75: nothing was said, or it is
// not known whether all was.
enum error_class replay_say(struct replay *r, struct error *e);
void replay_numbers(const struct replay *r, struct replay_numbers *ret);

#endif
