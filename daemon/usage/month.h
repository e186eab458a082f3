// SPDX-License-Identifier: Apache-2.0
// One account's month as `meterctl usage` and the HTTP interface show it: settled, as the shard keeps it; or open, worked out from the
// counters under the rules in force and what is said of the account by now.
#ifndef USAGE_MONTH_H
#define USAGE_MONTH_H

#include "closing/frame.h"
#include "closing/kept.h"
#include "store/store.h"
#include "terms/forecast.h"
#include "usage/counters.h"

struct usage_world {                   // the same for all accounts
	struct store *store;           // its identity is set
	uint32_t shards;
	const struct journal *journal; // with rules
	const struct account_book *book;
	int month;
	int64_t clock_ms;              // highest record clock; TIME_NONE: none
	struct month_frame frame;      // of the month where it is closed, `closed`; else only its month and rules
	bool closed;
	const struct terms *plain;     // of an account of which nothing was said; made when first asked for
	struct arena kept, arena;      // for all, and for one account
};

// Before the first account: which rules hold in the month, and how far the record clock is.
enum error_class usage_world_begin(struct usage_world *w, int month, struct error *e);
void usage_world_end(struct usage_world *w);

struct usage_line {                    // of one service
	bool priced;                   // otherwise the month is at price 0, or the price book does not know it
	bool settled;
	int64_t revision, adjusted_fen; // settled: newest revision, and its charge less that of revision 0
	int64_t free, billable, free_left;
	int64_t to_next_tier;          // -1: none above, or not known of a settled month
	struct bill bill;
	bool has_forecast;
	struct forecast_line forecast;
};
struct usage_pack {                    // of the account
	const struct terms_pack *pack;
	int64_t left;                  // -1: not known (a month before the one that was settled last)
	bool has_forecast;
	struct forecast_point end;
};

struct usage_month {                   // of one account
	const struct terms *terms;
	bool activation;
	int64_t *calls;                // by service
	struct settled_line *settled, *first; // newest and first revision, by service; revision -1: none
	bool any_settled;
	int64_t *pack_left;            // at the beginning of the month, by the terms' packs
	struct taking taking;
	struct usage_pack *packs;      // as the terms' packs
	bool has_forecast;
	struct forecast forecast;
};

// `counters`: all of the account, at least of the months from the one settled last on. ERROR_HALT: what was
// settled cannot be read. *ret lies in w->arena.
enum error_class usage_month_make(struct usage_world *w, const struct usage_counter *counters, uint32_t n, struct usage_month *ret, struct error *e);
// slices: 2 * RATING_MAX_SLICES. False: an overflow.
bool usage_line_make(struct usage_world *w, struct usage_month *m, uint32_t service, struct rating_slice *slices, struct usage_line *ret);

#endif
