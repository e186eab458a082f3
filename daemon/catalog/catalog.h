// SPDX-License-Identifier: Apache-2.0
// The price book: services, aliases, dated prices and quotas, billable codes. Read once, then immutable and shared by
// threads. Everything in pricing.md is data here; nothing of it is written into code.
//
// A service has an index 0 … n-1 in order of the file, stable for the life of the object. What is dated is asked with an
// instant (what an event is) or a month (what it costs).
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/money.h"
#include "base/span.h"
#include "period/period.h"

struct faults; // base/fault.h: errors of a file, collected

enum pricing_model { MODEL_VOLUME, MODEL_GRADUATED, MODEL_FLAT, MODEL_PACKAGE };
enum bounds { BOUNDS_LOWER_INCLUSIVE, BOUNDS_UPPER_INCLUSIVE };   // [lo, hi) or (lo, hi]
enum tier_basis { TIER_BY_TOTAL, TIER_BY_BILLABLE };
enum first_month { FIRST_MONTH_IMMEDIATE, FIRST_MONTH_NEXT };     // quota already in the month of activation, or not
enum freeze_basis { FREEZE_LIST, FREEZE_BILLABLE, FREEZE_BILL };
enum pack_order { PACKS_BY_EXPIRY, PACKS_BY_START };              // then by id

struct price_tier {
	int64_t bound;       // where the tier begins, as in the price list; 0 for the first
	int64_t price_micro; // per `per` calls
	int64_t flat_micro;  // fee for reaching the tier; 0 for most
};

// What a service costs in one month for an account without a contract.
struct plan {
	enum pricing_model model;
	enum bounds bounds;
	enum tier_basis tier_basis;
	enum first_month first_month;
	int64_t per;         // power of ten, 1 … 10^6
	int64_t package;     // calls a block (MODEL_PACKAGE), else 0
	int64_t quota;       // free calls a month, 0 for none
	bool fee_at_zero;    // the first tier's fee is due also where the count that picks the tier is 0
	int64_t warn_micro;  // share of the quota that raises free_quota.warning, in millionths (800000); 0 for no warning
	uint32_t n_tiers;    // >= 1
	const struct price_tier *tiers;
};

// Free calls that several services share, as they hold in one month.
struct shared_quota {
	const char *id;
	int64_t calls;       // > 0
	int64_t warn_micro;  // as in struct plan
	enum first_month first_month;
	uint32_t n_services;
	const uint32_t *services; // in the order of the price book
};

// The words of the file: "volume", "lower-inclusive", "total", "immediate", "list", "half-up".
const char *pricing_model_text(enum pricing_model m);
const char *bounds_text(enum bounds b);
const char *tier_basis_text(enum tier_basis b);
const char *first_month_text(enum first_month f);
const char *freeze_basis_text(enum freeze_basis b);
const char *rounding_text(enum rounding r);
const char *pack_order_text(enum pack_order o); // "earliest-expiry"

struct catalog_alias {
	const char *name;
	int64_t from_ms, until_ms; // INT64_MIN, INT64_MAX: no limit; until is exclusive
};

struct catalog;

// Parses a price book. `name` stands in messages as the file's name. On any fault: NULL, and all of them are in *faults.
struct catalog *catalog_parse(const char *name, struct span text, struct faults *faults);
void catalog_freep(struct catalog **c);

const char *catalog_version(const struct catalog *c);  // as written in the file
const char *catalog_sha256(const struct catalog *c);   // of the text, 64 hex digits
const char *catalog_currency(const struct catalog *c); // "CNY"
const struct zone *catalog_zone(const struct catalog *c);
enum rounding catalog_rounding(const struct catalog *c);
const char *catalog_rounding_text(const struct catalog *c); // "half-up"
enum freeze_basis catalog_freeze_basis(const struct catalog *c);
int64_t catalog_freeze_ratio_micro(const struct catalog *c); // 1000000 = 100 %
enum pack_order catalog_pack_order(const struct catalog *c);
bool catalog_zero_price_statements(const struct catalog *c); // statements.zero_price

uint32_t catalog_services(const struct catalog *c);
const char *catalog_service_id(const struct catalog *c, uint32_t service);
const char *catalog_service_name(const struct catalog *c, uint32_t service);  // 图像标签
const char *catalog_service_group(const struct catalog *c, uint32_t service); // NULL: none
const char *catalog_service_successor(const struct catalog *c, uint32_t service); // NULL: none

// Other names in use beside the first; NULL at i = their number.
const char *catalog_service_other_name(const struct catalog *c, uint32_t service, uint32_t i);
// TIME_NONE, INT64_MAX: no limit; the end is exclusive. By event time.
int64_t catalog_service_begin_ms(const struct catalog *c, uint32_t service);
int64_t catalog_service_end_ms(const struct catalog *c, uint32_t service);
uint32_t catalog_service_aliases(const struct catalog *c, uint32_t service, const struct catalog_alias **ret);

enum service_match { SERVICE_OK, SERVICE_UNKNOWN, SERVICE_NOT_BEGUN, SERVICE_ENDED };
// Id or alias in force at the event's time. With NOT_BEGUN and ENDED *ret is set too. Hot path: one hash probe.
enum service_match catalog_find(const struct catalog *c, struct span name, int64_t event_time_ms, uint32_t *ret);
// The index of an id (not of an alias), whatever the date; false when there is none.
bool catalog_find_id(const struct catalog *c, struct span id, uint32_t *ret);
bool catalog_billable(const struct catalog *c, struct span status, int64_t event_time_ms);
// The owner of an account at that time: the account itself where the catalog says nothing.
struct span catalog_owner(const struct catalog *c, struct span account, int64_t event_time_ms);
// What catalog_billable and catalog_owner answer from, to look through: i = 0, 1, …; false behind the last.
struct catalog_codes {
	int64_t from_ms;     // INT64_MIN: the first
	uint32_t n;
	const struct span *codes;
};
bool catalog_codes(const struct catalog *c, uint32_t i, struct catalog_codes *ret); // by time
struct catalog_owned {
	struct span account, owner;
	int64_t from_ms, until_ms; // as in an alias
};
bool catalog_owned(const struct catalog *c, uint32_t i, struct catalog_owned *ret); // by name, then time

// NULL where the month has price 0 (public beta, before the first charged month): metered and shown, nothing else.
const struct plan *catalog_plan(const struct catalog *c, uint32_t service, int month);
// Free calls of its own that the price list dates for the month, also where its price is 0: then they are of those whom a contract charges.
// False: none.
struct free_calls {
	int64_t calls;       // > 0
	int64_t warn_micro;  // as in struct plan
	enum first_month first_month;
};
bool catalog_free_calls(const struct catalog *c, uint32_t service, int month, struct free_calls *ret);
uint32_t catalog_shared_quotas(const struct catalog *c);
const char *catalog_shared_quota_id(const struct catalog *c, uint32_t index);
// False where it gives nothing in that month.
bool catalog_shared_quota(const struct catalog *c, uint32_t index, int month, struct shared_quota *ret);
int catalog_service_quota(const struct catalog *c, uint32_t service); // the shared quota that it takes part in; -1: none

// From now on the months first to last cost, and give free calls, as `month` does: for what-if questions, before the price book is shared.
void catalog_price_as(struct catalog *c, int first, int last, int month);

// The first month later than `after` from which another plan holds (MONTH_NONE: the first of all); MONTH_NONE when there is none.
int catalog_next_change(const struct catalog *c, uint32_t service, int after);
// The same for what a shared quota gives.
int catalog_shared_next_change(const struct catalog *c, uint32_t index, int after);
// Does the service still exist (some instant of it) in that month? A freeze is made only for such a month.
bool catalog_service_in(const struct catalog *c, uint32_t service, int month);

#endif
