// SPDX-License-Identifier: Apache-2.0
// Ladders: the table, then every total of small plans against the definitions of pricing.md, section 4.
#include "ladder/ladder.h"

#include "plan_text.h"
#include "rating/rating.h"

static void ladder_words(const struct ladder *l, char *out, size_t size)
{
	size_t at = 0;
	snprintf(out, size, "-");
	for (uint32_t i = 0; i < l->n; i++) {
		const struct rung *r = &l->rungs[i];
		char kind[32];
		snprintf(kind, sizeof(kind), "tier%d", r->tier + 1);
		at += (size_t)snprintf(out + at, size - at, "%s%s %ld/%ld", i > 0 ? ", " : "",
				       r->kind == ALERT_QUOTA_WARNING ? "warning" : r->kind == ALERT_QUOTA_EXHAUSTED ? "exhausted" : kind,
				       r->at, r->bound);
	}
}

static void ladder_row(void *ctx, const struct table_row *row)
{
	struct plan_book *book = ctx;
	if (strcmp(row->field[0], "plan") == 0) {
		plan_define(book, row);
		return;
	}
	cr_assert_eq(row->n, 3, "line %d", row->line);
	struct ladder *l = ladder_of_plan(plan_named(book, row, row->field[0]), plan_number(row->field[1], row), plan_named(book, row, row->field[0])->warn_micro);
	char words[1000];
	ladder_words(l, words, sizeof(words));
	cr_expect_str_eq(words, row->field[2], "line %d: %s", row->line, words);
	ladder_freep(&l);
	cr_assert_null(l);
}

Test(ladder, table)
{
	static struct plan_book book;
	table_each("ladder.table", ladder_row, &book);
}

static int reached(const struct ladder *l, enum alert_kind kind, int32_t tier, int64_t total)
{
	int n = 0;
	for (uint32_t i = 0; i < l->n; i++)
		n += l->rungs[i].kind == kind && l->rungs[i].tier == tier && l->rungs[i].at <= total;
	return n;
}

static void expect_definitions(const struct plan *p, int64_t quota, const struct ladder *l, int64_t total)
{
	int64_t billable = total > quota ? total - quota : 0;
	uint32_t tier = rating_tier(p, p->tier_basis == TIER_BY_TOTAL ? total : billable);
	for (uint32_t i = 1; i < p->n_tiers; i++)
		cr_assert_eq(reached(l, ALERT_TIER_CROSSED, (int32_t)i, total), tier >= i);
	cr_assert_eq(reached(l, ALERT_QUOTA_EXHAUSTED, -1, total), quota > 0 && total >= quota);
	cr_assert_eq(reached(l, ALERT_QUOTA_WARNING, -1, total), quota > 0 && p->warn_micro > 0 &&
		     total * 1000000 >= p->warn_micro * quota);
	uint32_t next = ladder_next(l, total);
	cr_assert(next == l->n || l->rungs[next].at > total);
	cr_assert(next == 0 || l->rungs[next - 1].at <= total);
}

Test(ladder, agrees_with_the_definitions_at_every_total)
{
	for (int variant = 0; variant < 4 * 3; variant++)
		for (int64_t quota = 0; quota < 30; quota++) {
			struct price_tier tiers[4] = { { 0, 4, 0 }, { 5, 3, 0 }, { 6, 2, 0 }, { 20, 1, 0 } };
			static const int64_t shares[] = { 0, 800000, 1000000 };
			struct plan p = { .bounds = variant & 1, .tier_basis = variant >> 1 & 1, .per = 1, .n_tiers = 4, .tiers = tiers,
				.warn_micro = shares[variant / 4] };
			struct ladder *l = ladder_of_plan(&p, quota, p.warn_micro);
			for (int64_t total = 0; total < 70; total++)
				expect_definitions(&p, quota, l, total);
			for (uint32_t i = 1; i < l->n; i++)
				cr_assert(l->rungs[i - 1].at < l->rungs[i].at ||
					  (l->rungs[i - 1].at == l->rungs[i].at && l->rungs[i - 1].kind <= l->rungs[i].kind));
			ladder_freep(&l);
		}
}

Test(ladder, kinds_are_published_under_their_names)
{
	cr_assert_str_eq(alert_kind_text(ALERT_QUOTA_WARNING), "free_quota.warning");
	cr_assert_str_eq(alert_kind_text(ALERT_QUOTA_EXHAUSTED), "free_quota.exhausted");
	cr_assert_str_eq(alert_kind_text(ALERT_TIER_CROSSED), "tier.crossed");
}
