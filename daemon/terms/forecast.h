// SPDX-License-Identifier: Apache-2.0
// Where a month of an account will end at the present rate, and when it gets there on the way.
//
// The rate of a service is its calls of the month so far over the part of the month that has passed, up to the record clock. At an
// instant t of the month it will have made
//
//	calls × (t − start) / (now − start)     rounded down
//
// calls, and all services of the account go on together, each at its own rate, since they share free calls and packs. What they take at
// t is worked out as a bill does it (rating/deduct.h) and never becomes less with t, so that the first instant at which something is
// reached is found by halving. What would be reached behind the month's end is not reached: a new month starts from nothing. Late calls
// have no part in it.
//
// Integers only, exact. Pure.
#ifndef TERMS_FORECAST_H
#define TERMS_FORECAST_H

#include "terms/taking.h"

struct forecast_clock {
	int64_t start_ms, end_ms; // of the month
	int64_t now_ms;           // record clock; behind the end: the month is over, and stays as it is
};
// Is there a rate? Not before some of the month has passed.
bool forecast_known(const struct forecast_clock *c);
// Calls at t (now <= t <= end). False: more than 63 bits.
bool forecast_calls(const struct forecast_clock *c, int64_t calls, int64_t t_ms, int64_t *ret);

enum forecast_when {
	FORECAST_NONE,    // there is nothing to reach: no next tier, no free calls
	FORECAST_REACHED, // already
	FORECAST_AT,      // at_ms, the first millisecond; at most the month's end
	FORECAST_NOT,     // not at this rate
};
struct forecast_point {
	enum forecast_when when;
	int64_t at_ms;
};
struct forecast_line {            // of one service
	struct forecast_point free_end; // of its own free calls, or of those it shares: none is left
	struct forecast_point next_tier;
	uint32_t tier;            // that one, from 0
	struct bill bill;         // of the month at its end; slices in the caller's buffer
};

struct forecast {
	const struct terms *terms;
	struct forecast_clock clock;
	bool activation;
	const int64_t *calls;     // so far, by service
	const int64_t *pack_left; // at the month's beginning, by pack of the terms
	// own
	struct taking taking;
	int64_t *scaled;
};
// What is given must live as long as *ret. The clock must be known.
void forecast_make(const struct terms *t, const struct forecast_clock *clock, bool activation, const int64_t *calls, const int64_t *pack_left,
		   struct arena *arena, struct forecast *ret);
// False on overflow, and where the service has price 0. slices: room for RATING_MAX_SLICES.
bool forecast_service(struct forecast *f, uint32_t service, enum rounding rounding, struct rating_slice *slices, struct forecast_line *ret);
// When the pack is used up. False on overflow.
bool forecast_pack(struct forecast *f, uint32_t pack, struct forecast_point *ret);

#endif
