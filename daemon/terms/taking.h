// SPDX-License-Identifier: Apache-2.0
// A month of an account that is not settled: what each service would take of free calls and packs (rating/deduct.h), for any number of
// calls. Pure; made once, run as often as needed.
#ifndef TERMS_TAKING_H
#define TERMS_TAKING_H

#include "rating/deduct.h"
#include "terms/terms.h"

struct taking {
	const struct terms *terms;
	struct deduct_service *services; // all of the catalog's: calls, free, billable and pack_calls are the last run's
	int64_t *shared_left, *pack_left; // after it
};

void taking_make(const struct terms *t, struct arena *arena, struct taking *ret);
// calls: by service. pack_left: what the terms' packs hold at the beginning of the month; stays as it is.
void taking_run(struct taking *k, bool activation, const int64_t *calls, const int64_t *pack_left);

#endif
