// SPDX-License-Identifier: Apache-2.0
// A bill asked for on the command line: the options of `quote` and `explain`, the price book, and the bill.
#ifndef TOOLS_QUOTE_CASE_H
#define TOOLS_QUOTE_CASE_H

#include "rating/rating.h"
#include "tools/options.h"

enum { QUOTE_ROWS = 7 };

struct quote_case {
	const char *catalog_file, *service_text, *account, *period_text, *packs_text; // as given
	int64_t calls;             // -1: not given
	bool activated;            // this is the account's month of activation
	// filled by quote_case_rate
	struct catalog *catalog;
	uint32_t service;
	int month;
	const struct plan *plan;   // NULL: the month is at price 0
	int64_t quota;             // free calls that hold for the account in this month
	struct rating_pack packs[RATING_MAX_PACKS];
	char pack_ids[RATING_MAX_PACKS][4]; // "1", "2", …
	uint32_t n_packs;
	struct rating_slice *slices;
	struct bill bill;
};

// The rows of the options that write into q.
void quote_case_rows(struct quote_case *q, struct option_row rows[QUOTE_ROWS]);
// Reads a price book, all faults on stderr. OPTIONS_GO_ON or an exit code.
int quote_catalog(const struct options *o, const char *path, struct catalog **ret);
// OPTIONS_GO_ON or an exit code, with the reason on stderr.
int quote_case_rate(const struct options *o, struct quote_case *q);
void quote_case_close(struct quote_case *q);

#endif
