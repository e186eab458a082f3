// SPDX-License-Identifier: Apache-2.0
// What so many calls of a service would cost in a month, by a price book and an account's terms; and the price book of a month as JSON. Pure.
#ifndef QUOTE_QUOTE_H
#define QUOTE_QUOTE_H

#include "rating/rating.h"
#include "terms/taking.h"
#include "terms/terms.h"

struct quote {
	const struct catalog *book;
	const struct terms *terms;
	uint32_t service;
	// filled by quote_take
	struct taking taking;
	struct deduct_service *taken; // of the service: its free calls, packs, and what is left to be charged
	bool activation;
};

// Free calls and packs: calls by service, packs_left by the terms' packs.
void quote_take(struct quote *q, const int64_t *calls, const int64_t *packs_left, bool activated, struct arena *arena);
// The bill of what quote_take left, by a plan (NULL: a month at price 0). slices: RATING_MAX_SLICES. False: larger than an amount.
bool quote_charge(const struct quote *q, const struct plan *plan, int64_t calls, struct rating_slice *slices, struct bill *ret);

// By the price list, of an account of which nothing is known: the fields that `meterctl quote --catalog FILE --format json` prints, and
// whose they are. NULL: larger than an amount can be.
char *quote_json(const struct catalog *book, uint32_t service, int month, int64_t calls);
// Every service as it holds in the month.
char *quote_book_json(const struct catalog *book, int month);

#endif
