// SPDX-License-Identifier: Apache-2.0
// By what prices the other side makes a bill, where these are not the ones that the bill's month was closed with: what a corrected line keeps, so
// that late calls are rated by them too.
#include "base/check.h"
#include "closing/kept.h"
#include "replay/inner.h"

struct pricing {
	struct replay *r;
	struct arena scratch;           // of one account and month
	struct span account;
	int month;
	const struct rules *rules[SIDES];
	const struct terms *terms[SIDES];
};

static void pricing_free(struct pricing *k)
{
	arena_free(&k->scratch);
}

static void find_terms(struct pricing *k, const struct replay_bill *b)
{
	if (k->account.p != NULL && span_eq(k->account, b->account) && k->month == b->month)
		return;
	const struct account *a = account_book_find(accounts_feed_book(k->r->feed), b->account);
	arena_reset(&k->scratch);
	k->account = b->account;
	k->month = b->month;
	for (int side = 0; side < SIDES; side++) {
		const struct journal *j = k->r->sides[side].journal;
		struct month_frame f;
		month_frame_make(j, journal_manifest(j, b->month), b->month, &k->scratch, &f);
		k->rules[side] = f.rules;
		k->terms[side] = month_frame_terms(&f, a, &k->scratch);
	}
}

// False: that side's price book does not have the service.
static bool prices_on(const struct pricing *k, int side, struct span service, struct line_prices *ret)
{
	const struct catalog *c = k->rules[side]->catalog;
	uint32_t index;
	if (!catalog_find_id(c, service, &index))
		return false;
	*ret = prices_of(k->terms[side]->services[index].plan, catalog_rounding(c));
	return true;
}

void replay_price_bills(struct replay *r)
{
	CLEANUP(pricing_free) struct pricing k = { .r = r };
	struct line_prices own, other;
	for (uint32_t i = 0; i < r->n_bills && r->shift != 0; i++) {
		struct replay_bill *b = &r->bills[i];
		find_terms(&k, b);
		if (prices_on(&k, AS_IS, b->service, &own) && prices_on(&k, OTHERWISE, b->service, &other) && !prices_same(&own, &other))
			b->prices = prices_copy(&other, &r->arena);
	}
}
