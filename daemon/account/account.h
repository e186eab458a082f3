// SPDX-License-Identifier: Apache-2.0
// What the topic meterd.accounts says: activations, contracts, packs (pricing.md, rules 5 to 8), and corrections of months that were
// closed. Read in log order into a book that keeps every version of everything, so that it can be asked as of any moment.
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
//	{"type":"correction","account":"A","id":"9f86d081884c7d65","version":1,"after":"2020-05","reason":"the producer sent test calls",
//	 "question":{"catalog":{"version":"tiia-2","sha256":"9f86…"},"from":"2020-02-29T16:00:00.000Z","exclude_producers":["/gate/b"]},
//	 "lines":[{"period":"2020-03","service":"image-tag",
//	           "was":{"revision":0,"calls":12000,"free":10000,"packs":[],"billable":2000,"charge":"5.00"},
//	           "becomes":{"calls":11000,"free":10000,"packs":[{"id":"p-1","calls":400}],"billable":600,"charge":"1.44",
//	                      "prices":{"model":"volume","per":1000,"tiers":[{"from":0,"price":"2.4"}],"rounding":"half-up"}}}]}
//
// `prices` has the words of the price book: model (volume, graduated, flat, package, free), per or package, bounds, tier_basis,
// fee_at_zero, and tiers (from, to, price, fee) or one price; they are judged by the price book's own judge (catalog/price.h).
// An entry of a contract may have `tier_basis` alone, without prices. Optional: until, bounds, tier_basis, fee_at_zero, to, fee, warn
// (0.8; "none"), first_month. A contract without services prices nothing: so one that was made by mistake is undone.
//
// A thing is named by (account, kind, id), where `pack` and `pack.cancelled` are of one kind. Of one thing the newest version holds. A
// record with a version that is known is a repeat where it says the same, else refused; an older one is refused as stale. A
// cancellation of a pack that is not known is refused.
//
// All records of an account are meant to lie in one partition (keyed by account). Where they do not, they are taken in the order of
// record clock, partition, offset, whatever the order in which they were read: what holds as of a horizon is a function of the
// records below it, and of nothing else.
//
// A correction says what lines of closed months become, and what they were when it was worked out: settled with the next close, or passed
// over whole where they are not that any more (closing/correct.c). `after` is the month that was closed last then: it comes with the close
// of the one behind it, and with no other. `question` is what was asked, for whoever
// wants to work it out again (question.c); nothing is decided by it. `was` is absent where there was no line. Lines stand in the order of month, then service; calls are free ones, those of packs and billable ones together; money has two decimals. A side has
// `prices`, in the words of a contract and with `rounding`, where the line is not priced as its month is: by them it is rated from then on, with its
// late calls too. It has version 1 and stays: it is undone by another one. It changes nothing of what an account pays from then on, so it is no thing of the account.
//
// Service names are not judged here, but where terms are made: a name that the price book of the day does not have is inert.
//
// Pure; no clock. @thread a book has one owner.
#ifndef ACCOUNT_ACCOUNT_H
#define ACCOUNT_ACCOUNT_H

#include "base/arena.h"
#include "catalog/catalog.h"

enum {
	ACCOUNT_RECORD_MOST = 1 << 20,    // bytes
	ACCOUNT_NAME_MOST = 64,           // bytes of an account, an id, a service
	ACCOUNT_CONTRACT_SERVICES = 1000, // of one contract
	ACCOUNT_PACK_SERVICES = 64,       // of one pack
	ACCOUNT_REASON_MOST = 400,        // bytes of a correction's reason
	ACCOUNT_FACTS_MOST = 250000,      // of one account; of corrections as many again, so that whoever passes them over has the same book
	// Packs of one account in all its life, where one that several services share counts for each of them. The store weighs all of them in
	// each commit that touches the account (a fifth of a second for so many), and the line that they all gave to still fits a record
	// of Kafka's usual size.
	ACCOUNT_PACKS_MOST = 10000,
};
#define ACCOUNT_NUMBER_MOST INT64_C(9007199254740991) // versions, calls of packs, free calls: 2^53 - 1, as the store counts
// Charges of a correction, and differences to both sides: 10^12 yuan, as of a pack. Sums over all lines of a month and all accounts are 64 bits wide, and what
// does not fit there would keep a month from ever being closed: one record is never near it.
#define ACCOUNT_FEN_MOST INT64_C(100000000000000)

enum account_kind { ACCOUNT_ACTIVATION, ACCOUNT_CONTRACT, ACCOUNT_PACK, ACCOUNT_CORRECTION };

struct contract_service {        // of one contract; what is absent is as in the price list
	struct span service;     // id, never an alias
	bool has_prices, has_free, has_basis;
	bool at_zero;            // has_prices: model free, price 0; `plan` says nothing
	struct plan plan;        // has_prices: model, bounds, tier_basis, per, package, fee_at_zero, tiers
	int64_t quota, warn_micro; // has_free
	enum first_month first_month;
	enum tier_basis tier_basis; // has_basis: alone, without prices
};

struct pack_use {                // what a pack gave
	struct span id;
	int64_t calls;
};
bool packs_same(const struct pack_use *a, uint32_t n, const struct pack_use *b, uint32_t m); // in whatever order; each names a pack once
struct line_prices {             // by which a line is priced, where they are not those of its month (account/prices.h)
	bool at_zero;            // price 0: that is `plan`, and nothing is rounded
	struct plan plan;        // model, bounds, tier_basis, per, package, fee_at_zero, tiers; nothing of free calls
	enum rounding rounding;
};
struct correction_side {         // of one line: as it was, or as it becomes
	int64_t revision;        // `was`; -1: there was no line, and all else is 0
	int64_t calls, free, billable, charge_fen;
	uint32_t n_packs;
	const struct pack_use *packs; // in order of deduction; each at least 1
	const struct line_prices *prices; // NULL: those of its month
};
struct correction_line {
	int month;
	struct span service;     // id, never an alias
	struct correction_side was, becomes;
};

// One record that could be read. Immutable, at the same address for the life of the book.
struct account_fact {
	enum account_kind kind;
	bool cancels;            // a pack.cancelled: of what follows only cancelled_month is said
	struct span id;
	int64_t version;
	int32_t partition;       // where it stands
	int64_t offset, stamp_ms;
	int64_t clock_ms;        // record clock of the partition there
	uint64_t content[2];     // digest of what it says, whatever the order of its fields
	// ACCOUNT_ACTIVATION
	int64_t active_ms;       // the instant; its month is the price book's business
	// ACCOUNT_CONTRACT
	int from_month, until_month; // until is exclusive; MONTH_NONE: for ever
	uint32_t n_services;
	const struct contract_service *services;
	// ACCOUNT_PACK
	int64_t calls, price_micro, warn_micro; // warn_micro 0: no warning
	int64_t start_ms, expiry_ms; // expiry is exclusive
	int cancelled_month;     // cancels: deducted no more from this month on
	uint32_t n_pack_services;
	const struct span *pack_services;
	// ACCOUNT_CORRECTION
	int after_month;         // that was closed last when it was worked out
	struct span reason;      // for people; UTF-8
	struct span question;    // what was asked: JSON, as it was said, without blanks
	uint32_t n_lines;
	const struct correction_line *lines; // by month, then service
};

struct account_history {         // one thing: its records in the order in which they are taken, some of them refused
	const struct account_fact **facts;
	uint32_t n, room;
	uint32_t pack_services;  // the most that a version of it names
};
struct account {
	struct span name;
	uint32_t n_things;
	const struct account_history *things; // in the order of first mention
	uint32_t n_corrections;
	const struct account_history *corrections; // by id, in the order of first mention; of one id the first record holds
	uint32_t n_facts;        // of all things
	uint32_t pack_services;  // of all things
};

// As of when. A fact is visible when its stamp is <= stamp_ms and it lies below the cut of its partition. What holds is what the
// visible facts alone make.
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

// How one thing stands.
struct account_thing {
	const struct account_fact *fact;   // what holds: never one that cancels
	const struct account_fact *newest; // the newest version: `fact`, or its cancellation
	int cancelled_month;               // a pack is deducted no more from this month on; MONTH_NONE: not cancelled
	int64_t earliest_ms;               // of a pack: the earliest start that any version of it had
};

enum account_fault_code {
#define ACCOUNT_FAULT(id, code, message, advice) ACCOUNT_FAULT_##id,
#include "tbl/account_fault.def"
#undef ACCOUNT_FAULT
	ACCOUNT_FAULT_COUNT
};
struct account_fault_info {
	const char *code, *message, *advice;
};
struct account_fault {
	enum account_fault_code code;
	char detail[400]; // where, and what there; printable
};
const struct account_fault_info *account_fault_info(enum account_fault_code code);

enum account_applied { ACCOUNT_TAKEN, ACCOUNT_REPEATED, ACCOUNT_REFUSED };

struct account_book;
struct account_book *account_book_new(void);
void account_book_freep(struct account_book **b);
// One record, in log order within its partition; one that was read before is a repeat. REFUSED: *ret_fault says why, and what holds is
// as before. What is given is copied.
enum account_applied account_book_apply(struct account_book *b, int32_t partition, int64_t offset, int64_t stamp_ms, struct span value,
					struct account_fault *ret_fault);
const struct account *account_book_find(const struct account_book *b, struct span account); // NULL: nothing was ever said of it
uint32_t account_book_size(const struct account_book *b);             // accounts
uint64_t account_book_serial(const struct account_book *b);           // grows with every record taken
const struct account *account_book_at(const struct account_book *b, uint32_t i); // in the order of first mention
// Accounts that were ever corrected, so that nobody walks all of them: in the order of the first correction.
uint32_t account_book_corrected(const struct account_book *b);
const struct account *account_book_corrected_at(const struct account_book *b, uint32_t i);

// Whether the record begins as `meterctl` writes corrections, `type` first: then it is one, or is refused. Reads nothing of the rest.
bool account_begins_correction(struct span value);

// Reads one record without a book: does it have the form? *ret lies in `arena`, `partition` and so on are 0. *ret_account likewise.
bool account_read(struct span value, struct arena *arena, struct span *ret_account, struct account_fact *ret, struct account_fault *ret_fault);

bool account_visible(const struct account_horizon *h, const struct account_fact *f);
// The order in which facts of one account are taken; of two contracts that price the same service the later one holds.
bool account_fact_before(const struct account_fact *a, const struct account_fact *b);
// Every thing of which something holds; `ret` has room for n_things. Order: of first mention.
uint32_t account_as_of(const struct account *a, const struct account_horizon *h, struct account_thing *ret);
// Corrections that are visible by `h` and were not by `before` (NULL: none was), in the order in which they are taken; `ret` has room for
// n_corrections.
uint32_t account_corrections(const struct account *a, const struct account_horizon *before, const struct account_horizon *h,
			     const struct account_fact **ret);
// The most calls that a version of the pack ever had that held as of `h` or before; 0: there was none.
int64_t account_pack_most(const struct account *a, const struct account_horizon *h, struct span id);
// The first stamp later than `stamp_ms` at which a thing changes; INT64_MAX: none.
int64_t account_next_change(const struct account *a, int64_t stamp_ms);

#endif
