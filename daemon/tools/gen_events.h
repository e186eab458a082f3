// SPDX-License-Identifier: Apache-2.0
// Made-up traffic that looks like the real thing. Pure: the same options give the same records, byte for byte; no clock, no I/O.
//
// Record time stamps never fall. An event's time lies a little before its record's stamp (rarely up to 20 hours, still within any
// usual grace). Accounts and services follow a 1/rank law; the first accounts also bill many units a call, so that tiers are
// reached. Retries repeat one of the last 4,096 valid events of the same account's key, unchanged.
#ifndef TOOLS_GEN_EVENTS_H
#define TOOLS_GEN_EVENTS_H

#include "catalog/catalog.h"
#include "model/event.h"
#include "period/period.h"

struct gen_options {
	int64_t events, accounts, max_calls;
	uint64_t seed;
	int64_t from_ms, to_ms;    // record stamps: [from, to)
	int64_t grace_ms;          // close(m) = end of m + grace
	int duplicates, invalid, late, cloudevents, not_billable, items; // parts in a thousand
	bool no_headers;           // binary CloudEvents become structured ones (for stdout)
	const struct zone *zone;
	const struct catalog *catalog; // NULL: the price list of 2020, with its aliases
};

enum gen_kind { GEN_VALID, GEN_DUPLICATE, GEN_INVALID, GEN_LATE, GEN_NOT_BILLABLE, GEN_KINDS };
const char *gen_kind_text(enum gen_kind k);

struct gen_record {
	enum gen_kind kind;
	int64_t timestamp_ms;
	struct span key, value;       // value.p == NULL: null
	struct header headers[8];
	uint32_t n_headers;
};

struct gen;
struct gen *gen_open(const struct gen_options *o); // options are checked by the caller: 1 <= events, 1 <= accounts <= 10,000,000
void gen_freep(struct gen **g);
// Record i of events; stamped `now_ms` where that is not TIME_NONE. Valid until the next call.
void gen_next(struct gen *g, int64_t now_ms, struct gen_record *ret);

#endif
