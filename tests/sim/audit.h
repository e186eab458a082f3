// SPDX-License-Identifier: Apache-2.0
// Inside the audit: what its reading of the log (audit.c) and its bills (bills.c) share.
#ifndef SIM_AUDIT_H
#define SIM_AUDIT_H

#include <jansson.h>

#include "sim.h"

enum { TAG, CROP, NEXT, BETA, SERVICES, MONTHS = 14, RUNGS = 24, OUTCOMES = 6 };
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
struct audit {
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
void audit_alerts(void); // alerts.c
void audit_bills(void);  // bills.c

#endif
