// SPDX-License-Identifier: Apache-2.0
// The rules of the other side. Its control topic is the real one, in memory, with two things added: each version of the rules once more
// with the other price book (never in force by itself: records of the range are decided by it, months of the range name it), and
// manifests for months that nobody closed, so that both sides settle the same months.
#include <stdlib.h>

#include "base/check.h"
#include "base/fault.h"
#include "replay/inner.h"
#include "rules/change.h"

static const struct journal_rules *newest(const struct journal *j)
{
	return &j->rules[j->n_rules - 1];
}

static enum error_class resolve_range(struct replay *r, struct error *e)
{
	const struct range *range = r->o.range;
	const struct zone *z = catalog_zone(newest(r->sides[AS_IS].journal)->rules->catalog);
	char from[TIME_TEXT], to[TIME_TEXT];
	r->from_ms = bound_ms(&range->from, z, r->o.now_ms);
	r->to_ms = bound_ms(&range->to, z, r->o.now_ms);
	r->to_ms = r->to_ms == TIME_NONE ? INT64_MAX : r->to_ms;
	if (r->from_ms >= r->to_ms)
		return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "the range ends at %s, where or before it begins (%s): the end is not part of it",
				 time_text(r->to_ms, to), time_text(r->from_ms, from));
	return ERROR_NONE;
}

// Version v once more, with the other price book.
static bool add_version(struct replay *r, uint32_t i, const char *name, struct span text, struct faults *faults)
{
	struct journal *j = r->sides[OTHERWISE].journal;
	struct rules *made = rules_new(&j->rules[i].rules->settings, name, text, faults);
	if (made == NULL)
		return false;
	j->rules = xrealloc(j->rules, j->n_rules + 1, sizeof(*j->rules));
	j->rules[j->n_rules++] = (struct journal_rules){ .version = j->rules[i].version + r->shift, .effective_ms = INT64_MAX, .rules = made,
							  .written_ms = TIME_NONE };
	return true;
}

enum error_class whatif_rules(struct replay *r, struct faults *faults, struct error *e)
{
	const struct journal *is = r->sides[AS_IS].journal;
	struct journal *other = r->sides[OTHERWISE].journal;
	const struct rules *now = newest(is)->rules;
	const bool book = r->o.catalog_name != NULL;
	const char *name = book ? r->o.catalog_name : "catalog";
	struct span text = book ? r->o.catalog_text : span_of(now->catalog_text);
	r->sides[AS_IS].decider.newest = r->sides[OTHERWISE].decider.newest = now->catalog;
	r->sides[AS_IS].decider.journal = is;
	r->sides[OTHERWISE].decider.journal = other;
	r->decides = book || r->o.n_producers > 0 || r->o.n_partitions > 0;
	const uint32_t n = is->n_rules;
	check(other->n_rules == n);
	if (book || r->o.prices_of != MONTH_NONE) {
		r->shift = newest(other)->version;
		for (uint32_t i = 0; i < n; i++)
			if (!add_version(r, i, name, text, faults))
				return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s is no price book: nothing was worked out", name);
		if (!rules_may_follow(now, newest(other)->rules, MONTH_NONE, faults))
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s cannot stand in for the price book in force: nothing was worked out", name);
	}
	if (book)
		r->sides[OTHERWISE].decider.newest = newest(other)->rules->catalog;
	return resolve_range(r, e);
}

// ---- months
// The month of a bound: of its instant, or where it is an offset, of the records in the range.
static int month_of(const struct zone *z, const struct bound *b, int64_t ms, int64_t clock_ms, int unbounded)
{
	if (b->kind == BOUND_NONE)
		return unbounded;
	int month = period_month(z, b->kind == BOUND_OFFSET || b->kind == BOUND_OFFSETS ? clock_ms : ms);
	return month != MONTH_NONE ? month : ms < 946684800000 ? MONTH_FIRST : MONTH_LAST;
}

static void price_months(struct replay *r)
{
	struct journal *j = r->sides[OTHERWISE].journal;
	const struct zone *z = catalog_zone(newest(r->sides[AS_IS].journal)->rules->catalog);
	struct replay_numbers *n = &r->numbers;
	n->first_priced = n->last_priced = MONTH_NONE;
	if (r->shift == 0)
		return;
	n->first_priced = month_of(z, &r->o.range->from, r->from_ms, r->clock_min, MONTH_FIRST);
	n->last_priced = month_of(z, &r->o.range->to, r->to_ms - 1, r->clock_max, MONTH_LAST);
	for (uint32_t i = 0; i < j->n_rules && r->o.prices_of != MONTH_NONE; i++)
		if (j->rules[i].version > r->shift)
			catalog_price_as(j->rules[i].rules->catalog, n->first_priced, n->last_priced, r->o.prices_of);
	for (uint32_t i = 0; i < j->n_manifests; i++)
		if (j->manifests[i].month >= n->first_priced && j->manifests[i].month <= n->last_priced)
			j->manifests[i].rules_version += r->shift;
}

static void widen(const struct replay *r, int side, int *first, int *last)
{
	struct store *s = books_store(r->sides[side].books);
	struct store_months months = { 0 };
	int begins = MONTH_NONE, certain = MONTH_NONE;
	check(closing_first_month(s, 1, &begins, &certain, NULL) == ERROR_NONE && s->ops->months(s, 0, &months, NULL) == ERROR_NONE);
	*first = begins != MONTH_NONE && (*first == MONTH_NONE || begins < *first) ? begins : *first;
	for (uint32_t i = 0; i < months.n; i++) {
		int at = months.list[i].adjust_month != MONTH_NONE ? months.list[i].adjust_month : months.list[i].month;
		*last = at > *last ? at : *last;
	}
	store_months_free(&months);
}

static struct journal_cut *cuts_copy(const struct journal_cut *list, uint32_t n)
{
	struct journal_cut *copy = xcalloc(n + 1, sizeof(*copy));
	for (uint32_t i = 0; i < n; i++)
		copy[i] = (struct journal_cut){ xstrdup(list[i].name), list[i].offset };
	return copy;
}

// As though the month ended with what was read, or, before the first one that was closed, with that.
static struct journal_manifest make_manifest(const struct replay *r, const struct journal *j, int month)
{
	if (r->closed_first != MONTH_NONE && month < r->closed_first) {
		struct journal_manifest m = *journal_manifest(j, r->closed_first);
		m.month = month;
		m.cuts = cuts_copy(m.cuts, m.n_cuts);
		m.accounts = cuts_copy(m.accounts, m.n_accounts);
		return m;
	}
	const int64_t *at;
	int32_t n = accounts_feed_offsets(r->feed, &at);
	struct journal_manifest m = { .month = month, .rules_version = newest(r->sides[AS_IS].journal)->version, .n_cuts = r->n_ends,
		.cuts = cuts_copy(r->ends, r->n_ends), .n_accounts = (uint32_t)n, .accounts = xcalloc((size_t)n + 1, sizeof(*m.accounts)),
		.corrects = account_book_corrected(accounts_feed_book(r->feed)) > 0 };
	for (int32_t i = 0; i < n; i++)
		m.accounts[i] = (struct journal_cut){ xasprintf("%s/%d", r->o.kafka->accounts_topic, (int)i), at[i] };
	return m;
}

// The journal's own stay where they are in the order of months.
static void fill_months(const struct replay *r, struct journal *j, int first, int last)
{
	struct journal_manifest *list = xcalloc((size_t)(last - first + 2), sizeof(*list));
	uint32_t n = 0;
	for (int month = first; month <= last; month++) {
		const struct journal_manifest *own = journal_manifest(j, month);
		list[n++] = own != NULL ? *own : make_manifest(r, j, month);
	}
	free(j->manifests);
	j->manifests = list;
	j->n_manifests = n;
}

void whatif_months(struct replay *r)
{
	struct journal *is = r->sides[AS_IS].journal;
	int first = r->closed_first, last = r->closed_last;
	r->numbers.first_month = first;
	r->numbers.last_month = last;
	if (r->o.correct) { // as they were closed, and nothing else
		price_months(r);
		return;
	}
	for (int side = 0; side < SIDES; side++)
		widen(r, side, &first, &last);
	r->numbers.first_month = first;
	r->numbers.last_month = last;
	if (first != MONTH_NONE)
		for (int side = 0; side < SIDES; side++)
			fill_months(r, r->sides[side].journal, first, last);
	check(first == MONTH_NONE || is->n_manifests > 0);
	price_months(r);
}

const struct rules *replay_month_rules(const struct side *s, int month)
{
	const struct journal_manifest *m = journal_manifest(s->journal, month);
	return journal_rules_version(s->journal, (m != NULL ? m : &s->journal->manifests[0])->rules_version)->rules;
}
