// SPDX-License-Identifier: Apache-2.0
// Which bounds an account's counters have reached by a price book, whenever that was: the ladders of services that stand alone, and what
// packs and shared free calls would have given (rating/deduct.h, as the store does it). For what-if questions; pure.
#ifndef CLOSING_REACHED_H
#define CLOSING_REACHED_H

#include "closing/kept.h"
#include "ladder/ladder.h"

struct reached {
	const char *service;        // or the id of shared free calls, or of a pack of several services: as the alert has it
	int month;
	enum alert_kind kind;
	int64_t bound;
	struct span pack;           // n 0: not of a pack
};
typedef void reached_fn(void *ctx, const struct reached *r);

struct reached_month {
	const struct terms *terms;
	bool activation;            // the account's month of activation
	int64_t *calls;             // by service of the catalog, late ones not among them
};
// Months ascending without gaps, all of one catalog. *gave: what packs gave in months before; then with these months.
void reached_run(const struct catalog *c, const struct reached_month *months, uint32_t n, struct balance *gave, struct arena *arena,
		 reached_fn *fn, void *ctx);

#endif
