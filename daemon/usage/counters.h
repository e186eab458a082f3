// SPDX-License-Identifier: Apache-2.0
// Counters as they are shown: an account's calls of a service in a month, and the late ones.
#ifndef USAGE_COUNTERS_H
#define USAGE_COUNTERS_H

#include "account/account.h"
#include "journal/journal.h"
#include "store/store.h"

struct usage_counter {
	char *account, *service; // owned
	int month;
	int64_t calls, late;     // late: the sum of all buckets
};
struct usage_counters {          // sorted by account, service, period
	uint32_t n, size;
	struct usage_counter *list;
};
void usage_counters_free(struct usage_counters *c);
int usage_counter_order(const void *a, const void *b); // by account, service, period; for qsort
void usage_counters_add_up(struct usage_counters *c);  // sorts; a counter and its late buckets become one
int usage_newest_month(const struct usage_counters *c); // MONTH_NONE: no counter
// Packs are taken month by month: are the months before the one that is shown needed too?
bool usage_asks_all_months(const struct account_book *book);

// Those of one account in all months that its shard holds. They are asked for by name, a bounded number at once, of all services that any
// rules version knows: other accounts cost nothing, and the shard is never held up by a scan. ERROR_HALT: one cannot be read.
enum error_class usage_counters_of(struct store *s, const struct journal *j, struct span account, struct usage_counters *ret, struct error *e);

#endif
