// SPDX-License-Identifier: Apache-2.0
// Inside the audit: what its reading of the log (audit.c) and its bills (bills.c) share.
#ifndef SIM_AUDIT_H
#define SIM_AUDIT_H

#include <jansson.h>

#include "sim.h"

enum { TAG, CROP, NEXT, BETA, SERVICES, MONTHS = 15, RUNGS = 24, OUTCOMES = 6 };
enum { FIRST_YEAR = 2019 * 12 + 6 };  // month 0 of the arrays
enum { FIRST_PRICED = 6 };            // 2020-01: before it nothing has a price

struct crossing {                    // an alert that must be there once
	const char *kind;
	int64_t threshold, before, after, offset;
	int32_t partition;
	int seen;
	bool any_call;               // which one crosses depends on which partition was counted first
	bool unsure;                 // and so does whether it is raised
};
struct cell {
	int64_t calls;               // counted
	int64_t late[MONTHS];        // by the month they are adjusted with
	struct crossing rungs[RUNGS];
	int n_rungs;
};
struct lettered {                    // a record of which there is a letter, or must be
	int32_t partition;
	int64_t offset;
	bool rejected;               // as the log says: where other rules were decided behind the letter it may have counted all the same
	int given_back, marks;
};
struct audit_read {                  // a record that is no tick
	struct sim_record e;
	int64_t clock_ms;
	int open;                    // month there
	bool taken;                  // it was given back although it was not rejected
};
struct reading {
	int64_t clock_ms;
	int open;
	struct seen {
		int id;
		int64_t offset, clock_ms;
	} *seen;
	size_t n;
};
struct audit {
	struct audit_read *reads;    // by partition, offset
	size_t n_reads;
	struct sim_record *returned; // records given back, as those they were, where they stand now
	struct lettered *lettered;
	size_t n_returned, n_lettered;
	struct cell cells[SIM_ACCOUNTS][SERVICES][MONTHS];
	int active[SIM_ACCOUNTS];    // first month with calls, as far as the log is read; MONTHS: none
	int active_by[SIM_ACCOUNTS][MONTHS]; // the same, by calls that are closed with that month or before
	int alone[SIM_ACCOUNTS];     // first month with calls in the partition that is read, as far as it is
	bool unsure[SIM_ACCOUNTS][MONTHS]; // calls of `next` may have come before the account was known to be active in an earlier month
	int64_t outcomes[OUTCOMES];  // counted, duplicate, late, rejected, not billable, control
	int wrong;
	bool expecting;              // lines are to be published as they come
	int first, last;             // months with a settlement
	struct journal *decided;
	int64_t begins[SIM_PARTITIONS_MOST]; // record clock before its first record
};
extern struct audit *audit;
extern const char *const audit_services[SERVICES];

// As of when something was said of an account: by stamp, or what a manifest names.
struct audit_said {
	int64_t stamp_ms;
	const struct journal_manifest *manifest;
};
bool audit_below(const struct journal_manifest *m, int32_t partition, int64_t offset); // of the accounts topic
int said_active(int account, struct audit_said s); // MONTHS: nothing was said
const struct sim_fact *said_contract(int account, int month, struct audit_said s); // NULL: none holds in that month
bool said_pack(int account, int pack, int month, struct audit_said s, struct sim_fact *ret); // that is deducted in that month

void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int audit_month(int64_t ms);
int64_t audit_month_start(int month);
int audit_month_text(const char *s);
int audit_book(int64_t clock_ms);           // 0: book.yaml, 1: book-2.yaml …
int audit_book_version(int64_t version);
int64_t audit_number(const json_t *data, const char *name);
const char *audit_text(const json_t *data, const char *name);
int64_t audit_fen(const json_t *data, const char *name);
int audit_service(const char *name);
void audit_each(const char *topic, void (*fn)(const json_t *j));

const struct sim_record *audit_record(int32_t partition, int64_t offset);
bool audit_duplicate(const struct reading *r, const struct sim_record *e);
bool audit_rejected(const struct sim_record *e, int book);
int audit_service_in(const struct sim_record *e, int book);
// bills.c: by what a month is billed
struct frame {
	int month, book;
	struct audit_said said;
};
struct frame audit_frame(int month, int closed_with); // of the month's own manifest; where it has none, of the one that it is adjusted with
const struct journal_manifest *audit_manifest(int month); // NULL: none
bool audit_was_closed(int month);
// price: of a line that has one of its own.
int64_t audit_price(const struct frame *f, int account, int service, int64_t price, int64_t calls, int64_t billable);
int64_t audit_price_in(const json_t *j); // its "prices"

struct month_line {                  // of one service, as its newest revision has it
	int64_t calls, free, packs[SIM_PACKS], billable, charge;
	int64_t price;               // a call, in yuan, as a correction brought it; 0: the month's own prices
	char corrected[32];          // id of the newest correction that it rests on; "": none
	int revision;                // -1: none
};
struct account_life {
	int account;
	int64_t taken[SIM_PACKS];    // by settlements and adjustments so far
	struct month_line lines[SERVICES][MONTHS];
	int64_t frozen[SERVICES];
};
struct account_life *audit_live(int account, int until, bool corrected); // up to that month's close; free it
// The line as it stands now must have been published, where that is asked. correction: its id; NULL: late calls made it.
void audit_expect(const struct account_life *of, int service, int month, int64_t difference, const char *correction);

// corrections.c
struct audit_side {                  // of a line
	int64_t revision, calls, free, packs[SIM_PACKS], billable, charge, price;
};
struct audit_changed {
	int month, service;          // service -1: there is no such
	struct audit_side was, becomes;
};
struct audit_correction {
	int account, after;
	char id[32];
	int32_t partition;
	int64_t offset, clock_ms;
	uint32_t n;
	struct audit_changed *lines;
};
void audit_corrections_read(void);
void audit_correct(struct account_life *of, int closing); // with the close of the month, before anything else
const struct audit_correction *audit_correction(int account, const char *id); // NULL: none

void audit_answers(void); // answers.c

void audit_alerts(void); // alerts.c
void audit_bills(void);  // bills.c

#endif
