// SPDX-License-Identifier: Apache-2.0
// The price book inside: what the reader fills and the questions look at. Only for this room.
#ifndef CATALOG_BOOK_H
#define CATALOG_BOOK_H

#include "base/digest.h"
#include "catalog/catalog.h"
#include "catalog/index.h"

struct dated_plan {
	int from;         // first month
	bool free;        // price 0: `plan` says nothing but free calls
	struct plan plan;
};

struct dated_quota {
	int from;
	int64_t calls, warn_micro;
	enum first_month first_month;
};

struct shared_free {
	const char *id;
	uint32_t n_services, n_quotas;
	uint32_t *services;         // in order of the file's services
	struct dated_quota *quotas; // by month
};

struct service {
	const char *id, *name, *group, *successor;
	const char **other_names; // ends with NULL
	int64_t begin_ms, end_ms; // TIME_NONE, INT64_MAX: no limit
	uint32_t n_aliases, n_plans, n_other_names;
	struct catalog_alias *aliases;
	struct dated_plan *plans; // by month
	int shared;               // the shared free calls it takes part in, -1
};

struct billable_codes {
	int64_t from_ms;
	uint32_t n;
	struct span *codes;
};

struct catalog {
	struct arena arena; // owns all that the rest points to
	struct zone *zone;
	const char *version, *currency;
	char sha256[DIGEST_SHA256_TEXT];
	enum rounding rounding;
	enum freeze_basis freeze_basis;
	enum pack_order pack_order;
	int64_t freeze_ratio_micro;
	bool zero_price_statements;
	bool priced_as;             // the months as_first to as_last are priced as as_month
	int as_first, as_last, as_month;
	uint32_t n_services, n_shared, n_billable, n_accounts;
	struct service *services;
	struct shared_free *shared;
	struct billable_codes *billable; // by time, the first from INT64_MIN
	struct name_index names;         // ids and aliases -> service
	struct name_index accounts;      // sub-accounts -> owners
	struct span *owners;
};

#endif
