// SPDX-License-Identifier: Apache-2.0
// An allowance: what an account shares among services and months: free calls of several services, and packs. The store works out
// from the counters what was taken (rating/deduct.h) and raises the alert of every rung that a call reaches. Immutable, pure.
//
// Only services that share something are in it; the others have their ladder (ladder.h). Of an account with packs it spans all months
// of their lives so far; otherwise one month.
#ifndef LADDER_ALLOWANCE_H
#define LADDER_ALLOWANCE_H

#include "base/arena.h"
#include "ladder/ladder.h"

enum quantity {
	QUANTITY_CALLS,    // of a service in a month
	QUANTITY_BILLABLE, // of a service in a month: what is left after free calls and packs
	QUANTITY_SHARED,   // sum of the services of a shared quota in a month
	QUANTITY_PACK,     // taken of a pack in its life
};
const char *quantity_text(enum quantity q); // "calls", "billable", "shared", "pack"

struct allowance_service {
	const char *id;
	int64_t quota, quota_first;
	int shared;            // index in the month's shared, -1
	uint32_t n_packs;
	const uint32_t *packs; // indexes in the allowance's packs, in order of deduction
	const int64_t *pack_calls; // beside packs: how many calls the pack has as known in this month
};
struct allowance_shared {
	int64_t calls, calls_first;
};
struct allowance_month {
	int month;
	uint32_t n_services, n_shared;
	const struct allowance_service *services; // in the order of the price book
	const struct allowance_shared *shared;
};
struct allowance_pack {
	struct span id;
	int64_t calls;
};
struct allowance_rung {
	enum quantity of;
	uint32_t month, index;    // of the month in the allowance (of a pack: the one it begins in); of the service, shared quota or pack
	int64_t at, bound;
	enum alert_kind kind;
	const char *service;      // in the alert's identity: a service, a shared quota, or the id of a pack of several services
	struct span pack;         // in the alert's identity; n 0: none
	struct span contract;     // "id/version" of the contract that it comes from; of a pack: of the pack
	bool not_first;           // not in the month of activation
};
struct allowance {
	struct ladder_origin origin; // its contract is each rung's own
	uint32_t n_months, n_packs, n_rungs;
	const struct allowance_month *months; // ascending
	const struct allowance_pack *packs;
	const struct allowance_rung *rungs;   // by month, then as in a ladder; packs last
};

// NULL where these terms share nothing. `terms`: of one account, months ascending without gaps, all of one catalog. Lies in `arena`,
// and so must what the terms point to. Months before `open_month` are closed: a pack that gives nothing from it on raises no alert.
struct allowance *allowance_make(const struct catalog *c, const struct terms *const *terms, uint32_t n, int open_month, struct arena *arena);
// Where a service stands in it; false when it is not in it.
bool allowance_find(const struct allowance *a, const char *service_id, int month, uint32_t *ret_month, uint32_t *ret_service);
// Does the service take part in something shared?
bool terms_shares(const struct terms *t, uint32_t service);

#endif
