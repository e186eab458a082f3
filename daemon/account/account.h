// SPDX-License-Identifier: Apache-2.0
// What the topic meterd.accounts says: activations, contracts, packs (pricing.md, rules 5 to 8). Read in log order into a book that
// keeps every version of everything, so that it can be asked as of any moment.
//
// One record is one JSON object, read as strictly as a usage event: unknown, repeated, missing or null fields are refused, and so
// is a version that does not grow. Money is a decimal string, calls are integers, months are "YYYY-MM" in the price book's zone.
//
//	{"type":"activation","account":"A","id":"act-1","version":1,"time":"2019-12-03T08:00:00+08:00"}
//	{"type":"contract","account":"A","id":"c-1","version":1,"from":"2020-04","until":"2021-04",
//	 "services":[{"service":"image-tag",
//	              "prices":{"model":"volume","per":1000,"bounds":"lower-inclusive","tier_basis":"total",
//	                        "tiers":[{"from":0,"price":"2.1"},{"from":1000000,"price":"1.9","fee":"10"}]},
//	              "free":{"calls":20000,"warn":"0.8","first_month":"immediate"}}]}
//	{"type":"pack","account":"A","id":"p-1","version":1,"services":["image-tag"],"calls":1000000,"price":"2000.00","warn":"0.8",
//	 "start":"2020-03-15T00:00:00+08:00","expiry":"2021-03-15T00:00:00+08:00"}
//	{"type":"pack.cancelled","account":"A","id":"p-1","version":2,"from":"2020-06"}
//
// An object is named by (account, kind, id), where `pack` and `pack.cancelled` are of one kind. A record with the version that is
// known and the same content is a repeat and changes nothing; an older version is stale; both are no faults of the newest.
// Service names are not judged here, but where terms are made: a name that the price book of the day does not have is inert.
//
// Pure; no clock. @thread a book has one owner.
#ifndef ACCOUNT_ACCOUNT_H
#define ACCOUNT_ACCOUNT_H

#include "base/arena.h"
#include "catalog/catalog.h"

enum account_kind { ACCOUNT_ACTIVATION, ACCOUNT_CONTRACT, ACCOUNT_PACK };

struct contract_service {        // of one contract; what is absent is as in the price list
	struct span service;     // id, never an alias
	bool has_prices, has_free, has_basis;
	struct plan plan;        // has_prices: model, bounds, tier_basis, per, package, fee_at_zero, tiers
	int64_t quota, warn_micro; // has_free
	enum first_month first_month;
	enum tier_basis tier_basis; // has_basis: alone, without prices
};

// One version of one thing. Immutable.
struct account_fact {
	enum account_kind kind;
	struct span id;
	int64_t version;
	int32_t partition;       // where it stands
	int64_t offset, stamp_ms;
	// ACCOUNT_ACTIVATION
	int64_t active_ms;       // the instant; its month is the price book's business
	// ACCOUNT_CONTRACT
	int from_month, until_month; // until is exclusive; MONTH_NONE: for ever
	uint32_t n_services;
	const struct contract_service *services;
	// ACCOUNT_PACK
	int64_t calls, price_micro, warn_micro; // warn_micro 0: no warning
	int64_t start_ms, expiry_ms; // expiry is exclusive
	int cancelled_month;     // deducted no more from this month on; MONTH_NONE: not cancelled
	uint32_t n_pack_services;
	const struct span *pack_services;
};

struct account {
	struct span name;
	uint32_t n_facts;
	const struct account_fact *facts; // in the order in which they were accepted
};

// As of when. A fact is visible when its stamp is <= stamp_ms and it lies below the cut of its partition. Of one thing, the newest
// visible version holds.
struct account_cut {
	int32_t partition;
	int64_t offset;          // first that does not belong any more
};
struct account_horizon {
	int64_t stamp_ms;        // INT64_MAX: all
	bool with_cuts;
	uint32_t n_cuts;
	const struct account_cut *cuts; // a partition without a cut: nothing of it
};

struct account_fault {
	const char *code;        // "field_missing", …: see tbl/account_fault.def
	char text[300];          // what and what to do, one line
};

enum account_applied { ACCOUNT_TAKEN, ACCOUNT_REPEATED, ACCOUNT_REFUSED };

struct account_book;
struct account_book *account_book_new(void);
void account_book_freep(struct account_book **b);
// One record, in log order within its partition. REFUSED: *ret_fault says why, and nothing changed.
enum account_applied account_book_apply(struct account_book *b, int32_t partition, int64_t offset, int64_t stamp_ms, struct span value,
					struct account_fault *ret_fault);
const struct account *account_book_find(const struct account_book *b, struct span account); // NULL: nothing was ever said of it
uint32_t account_book_size(const struct account_book *b);             // accounts
uint64_t account_book_serial(const struct account_book *b);           // grows with every record taken
const struct account *account_book_at(const struct account_book *b, uint32_t i); // in the order of first mention

bool account_visible(const struct account_horizon *h, const struct account_fact *f);
// The newest visible version of each thing; `ret` has room for n_facts. Order: of first acceptance.
uint32_t account_as_of(const struct account *a, const struct account_horizon *h, const struct account_fact **ret);
// The first stamp later than `stamp_ms` at which something becomes visible; INT64_MAX: none.
int64_t account_next_change(const struct account *a, int64_t stamp_ms);

#endif
