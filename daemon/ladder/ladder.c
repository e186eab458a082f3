// SPDX-License-Identifier: Apache-2.0
// Owns the order of rungs. A ladder is made once per plan and quota, then only read.
#include "ladder/ladder.h"

#include <stdlib.h>

#include "base/check.h"

#define MICRO INT64_C(1000000)

const char *alert_kind_text(enum alert_kind k)
{
	static const char *const texts[] = {
#define ALERT(id, text, help) [ALERT_##id] = text,
#include "tbl/alert.def"
#undef ALERT
	};
	check(k < ALERT_KINDS);
	return texts[k];
}

int64_t ladder_share(int64_t share_micro, int64_t quota)
{
	__extension__ typedef __int128 wide;
	return (int64_t)(((wide)share_micro * quota + MICRO - 1) / MICRO);
}

static void add(struct ladder *l, int64_t at, int64_t bound, enum alert_kind kind, int32_t tier)
{
	check(at >= 1 && l->n < LADDER_MAX);
	l->rungs[l->n++] = (struct rung){ at, bound, kind, tier };
}

static int by_place(const void *pa, const void *pb)
{
	const struct rung *a = pa, *b = pb;
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return (a->tier > b->tier) - (a->tier < b->tier);
}

struct ladder *ladder_of_plan(const struct plan *plan, int64_t quota, int64_t warn_micro)
{
	check(quota >= 0 && plan->n_tiers >= 1 && plan->n_tiers <= LADDER_MAX - 2);
	check(warn_micro >= 0 && warn_micro <= MICRO);
	struct ladder *l = xcalloc(1, sizeof(*l));
	l->rungs = xcalloc(plan->n_tiers + 1, sizeof(*l->rungs));
	if (quota > 0) {
		int64_t warn = ladder_share(warn_micro, quota);
		if (warn > 0)
			add(l, warn, warn, ALERT_QUOTA_WARNING, -1);
		add(l, quota, quota, ALERT_QUOTA_EXHAUSTED, -1);
	}
	int64_t shift = (plan->tier_basis == TIER_BY_BILLABLE ? quota : 0);
	for (uint32_t i = 1; i < plan->n_tiers; i++) {
		int64_t bound = plan->tiers[i].bound, at;
		if (__builtin_add_overflow(bound, shift, &at) ||
		    __builtin_add_overflow(at, plan->bounds == BOUNDS_UPPER_INCLUSIVE ? 1 : 0, &at))
			continue; // beyond what a counter can hold: never reached
		if (bound > 0)
			add(l, at, bound, ALERT_TIER_CROSSED, (int32_t)i);
	}
	qsort(l->rungs, l->n, sizeof(*l->rungs), by_place);
	return l;
}

void ladder_freep(struct ladder **l)
{
	if (*l != NULL)
		free((*l)->rungs);
	free(*l);
	*l = NULL;
}

uint32_t ladder_next(const struct ladder *l, int64_t total)
{
	uint32_t low = 0, high = l->n; // rungs before low are reached, from high on they are not
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (l->rungs[mid].at > total)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}
