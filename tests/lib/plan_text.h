// SPDX-License-Identifier: Apache-2.0
// Plans as words, for tables: rows `plan | name | model | bounds | basis | per | package | tiers` define one, where tiers are
// `bound@price` or `bound@price+fee`, separated by blanks.
#ifndef PLAN_TEXT_H
#define PLAN_TEXT_H

#include "catalog/catalog.h"
#include "table.h"

enum { PLANS_MOST = 64, PLAN_TIERS_MOST = 16 };
struct plan_book {
	int n;
	struct named_plan {
		char name[64];
		struct plan plan;
		struct price_tier tiers[PLAN_TIERS_MOST];
	} list[PLANS_MOST];
};

static inline int64_t plan_number(const char *text, const struct table_row *row)
{
	int64_t v = 0;
	cr_assert(span_int64(span_of(text), &v), "%s:%d: `%s` is no number", row->file, row->line, text);
	return v;
}

static inline int64_t plan_price(const char *text, const struct table_row *row)
{
	int64_t v = 0;
	cr_assert(money_parse_price(span_of(text), &v), "%s:%d: `%s` is no price", row->file, row->line, text);
	return v;
}

static inline int plan_word(const char *word, const struct table_row *row, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	cr_assert_fail("%s:%d: unknown word `%s`", row->file, row->line, word);
	return 0;
}

static inline void plan_define(struct plan_book *book, const struct table_row *row)
{
	static const char *const models[] = { "volume", "graduated", "flat", "package", NULL };
	static const char *const bounds[] = { "lower", "upper", NULL };
	static const char *const bases[] = { "total", "billable", "billable-fee-at-zero", NULL };
	cr_assert(row->n == 8 && book->n < PLANS_MOST, "%s:%d", row->file, row->line);
	struct named_plan *p = &book->list[book->n++];
	snprintf(p->name, sizeof(p->name), "%s", row->field[1]);
	int basis = plan_word(row->field[4], row, bases);
	p->plan = (struct plan){
		.model = (enum pricing_model)plan_word(row->field[2], row, models),
		.bounds = (enum bounds)plan_word(row->field[3], row, bounds),
		.tier_basis = basis == 0 ? TIER_BY_TOTAL : TIER_BY_BILLABLE,
		.fee_at_zero = basis == 2,
		.per = plan_number(row->field[5], row),
		.package = plan_number(row->field[6], row),
		.warn_micro = 800000,
		.tiers = p->tiers,
	};
	char *state = NULL;
	for (char *t = strtok_r(row->field[7], " ", &state); t != NULL; t = strtok_r(NULL, " ", &state)) {
		char *at = strchr(t, '@'), *plus = strchr(t, '+');
		cr_assert(at != NULL && p->plan.n_tiers < PLAN_TIERS_MOST, "%s:%d", row->file, row->line);
		*at = '\0';
		if (plus != NULL)
			*plus = '\0';
		p->tiers[p->plan.n_tiers++] = (struct price_tier){ plan_number(t, row), plan_price(at + 1, row),
			plus != NULL ? plan_price(plus + 1, row) : 0 };
	}
}

static inline const struct plan *plan_named(const struct plan_book *book, const struct table_row *row, const char *name)
{
	for (int i = 0; i < book->n; i++)
		if (strcmp(book->list[i].name, name) == 0)
			return &book->list[i].plan;
	cr_assert_fail("%s:%d: no plan `%s`", row->file, row->line, name);
	return NULL;
}

#endif
