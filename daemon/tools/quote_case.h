// SPDX-License-Identifier: Apache-2.0
// A bill asked for on the command line: the options of `quote` and `explain`, the price book, what holds for the account, and the bill.
#ifndef TOOLS_QUOTE_CASE_H
#define TOOLS_QUOTE_CASE_H

#include "tools/held.h"
#include "tools/options.h"
#include "tools/paper.h"

enum { QUOTE_ROWS = 9 };

struct quote_case {
	const char *catalog_file, *service_text, *account, *period_text, *packs_text, *facts_file, *others_text; // as given
	int64_t calls;             // -1: not given
	bool activated;            // this is the account's month of activation
	// filled by quote_case_rate
	struct arena arena;
	struct catalog *catalog;   // of a file
	struct account_book *facts;// of a file
	struct held held;          // of the topics
	const struct catalog *book;// either
	const struct terms *terms;
	uint32_t service;
	int month;
	const struct plan *plan;   // NULL: the month is at price 0
	const struct plan *list;   // the price list's
	const char *contract;      // NULL: none decides something here
	int64_t quota;             // own free calls that hold for the account in this month
	bool quota_first;          // they are those of the month of activation
	struct paper_shared shared;
	uint32_t n_given;
	struct paper_pack *given;  // packs that gave calls, in order of deduction
	struct rating_slice *slices;
	struct bill bill, list_bill; // list_bill: by the price list, where a contract decides
};

// The rows of the options that write into q.
void quote_case_rows(struct quote_case *q, struct option_row rows[QUOTE_ROWS]);
// Reads a price book, all faults on stderr. OPTIONS_GO_ON or an exit code.
int quote_catalog(const struct options *o, const char *path, struct catalog **ret);
// Reads --facts, where it is given, into q->facts: of q->account, or where that is NULL of the one they are about, which it becomes.
int quote_facts(const struct options *o, struct quote_case *q);
// OPTIONS_GO_ON or an exit code, with the reason on stderr.
int quote_case_rate(struct options *o, struct quote_case *q);
void quote_case_close(struct quote_case *q);

#endif
