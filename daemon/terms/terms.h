// SPDX-License-Identifier: Apache-2.0
// What holds for one account in one month: the price book, its contracts and its packs put together. Pure.
#ifndef TERMS_TERMS_H
#define TERMS_TERMS_H

#include "account/account.h"
#include "rating/rating.h"

struct terms_service {           // one for each service of the catalog, by its index
	const struct plan *plan; // what prices this account's calls; NULL: price 0. Quota and first_month in it are not to be used: see below
	const struct plan *list; // the price list's, for the freeze; NULL: price 0
	int64_t quota, quota_first; // own free calls; in the month of activation (first_month: next) quota_first holds
	int64_t warn_micro;
	int shared;              // index in terms.shared, -1
	uint32_t n_packs;
	const uint32_t *packs;   // indexes in terms.packs that cover it in this month, in order of deduction
	struct span contract;    // "id/version" of the contract that decides something here; n 0: none
};
struct terms_shared {            // free calls that several services share
	const char *id;
	int64_t calls, calls_first, warn_micro;
	uint32_t n_services;
	const uint32_t *services;
};
struct terms_pack {              // a pack that is deducted in this month
	struct span id;
	int64_t version, calls, price_micro, warn_micro;
	int first_month, last_month; // months that its validity touches, until it is cancelled
	int earliest_month;      // the first one in which any version of it said so far may have given calls
	int64_t start_ms, expiry_ms;
	uint32_t n_services;
	const uint32_t *services;// indexes in the catalog; names it does not have are left out
};
struct terms {
	int month;
	uint32_t n_services, n_shared, n_packs;
	struct terms_service *services;
	struct terms_shared *shared;
	struct terms_pack *packs; // in order of deduction (pack_order of the catalog, then id)
	int activated_month;     // by an activation event; MONTH_NONE: only calls tell
};

// `a` NULL: an account of which nothing was ever said. Everything lies in `arena`. Plans point into the catalog, the book and the arena.
struct terms *terms_make(const struct catalog *c, const struct account *a, const struct account_horizon *h, int month, struct arena *arena);

// Is `month` the account's month of activation? by_calls: as the store knows it (MONTH_NONE: nothing).
static inline bool terms_activation(const struct terms *t, int by_calls)
{
	int first = t->activated_month == MONTH_NONE || (by_calls != MONTH_NONE && by_calls < t->activated_month) ? by_calls : t->activated_month;
	return first == t->month;
}
// What holds of a quota in the month if calls make it the month of activation: `first`, unless an activation came in a month before.
static inline int64_t terms_quota_in_first(const struct terms *t, int64_t quota, int64_t first)
{
	return t->activated_month != MONTH_NONE && t->activated_month < t->month ? quota : first;
}
// Does some quota of these services depend on the month of activation?
bool terms_ask_activation(const struct terms *t);

#endif
