// SPDX-License-Identifier: Apache-2.0
// What decides about a month: the rules version and the offsets of the accounts topic that its manifest names, and nothing that came
// later. A month that was never closed (late calls from before the first one) is decided by the month they are adjusted with.
#include "closing/inner.h"

#include "base/check.h"

// "topic/partition" -> partition
static int32_t partition_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	int64_t n = -1;
	check(slash != NULL && span_int64(span_of(slash + 1), &n) && n >= 0 && n <= INT32_MAX); // the journal refuses others
	return (int32_t)n;
}

void month_frame_make(const struct journal *j, const struct journal_manifest *m, int month, struct arena *arena, struct month_frame *ret)
{
	const struct journal_manifest *own = journal_manifest(j, month);
	const struct journal_manifest *by = own != NULL ? own : m;
	struct account_cut *cuts = arena_alloc(arena, (by->n_accounts + 1) * sizeof(*cuts));
	for (uint32_t i = 0; i < by->n_accounts; i++)
		cuts[i] = (struct account_cut){ partition_of(by->accounts[i].name), by->accounts[i].offset };
	*ret = (struct month_frame){ .month = month, .rules = journal_rules_version(j, by->rules_version)->rules,
		.horizon = { .stamp_ms = INT64_MAX, .with_cuts = true, .n_cuts = by->n_accounts, .cuts = cuts } };
}

const struct terms *month_frame_terms(struct month_frame *f, const struct account *a, struct arena *arena)
{
	if (a != NULL)
		return terms_make(f->rules->catalog, a, &f->horizon, f->month, arena);
	if (f->plain == NULL)
		f->plain = terms_make(f->rules->catalog, NULL, &f->horizon, f->month, arena);
	return f->plain;
}

enum error_class accounts_reach(const struct accounts_feed *feed, const char *topic, const struct journal_manifest *m, struct error *e)
{
	const int64_t *at;
	int32_t n = accounts_feed_offsets(feed, &at);
	for (uint32_t i = 0; i < m->n_accounts; i++) {
		const struct journal_cut *c = &m->accounts[i];
		int32_t p = partition_of(c->name);
		CLEANUP(freep) char *name = xasprintf("%s/%d", topic, (int)p);
		if (strcmp(name, c->name) != 0)
			return error_set(e, ERROR_HALT, 0, "a month was closed with contracts and packs out of %s, and topics.accounts is %s now: set it back",
					 c->name, topic);
		if (c->offset > (p < n ? at[p] : 0))
			return error_set(e, ERROR_HALT, 0, "a month was closed with contracts and packs below offset %lld of %s, which ends at %lld now: "
					 "bring its records back", (long long)c->offset, c->name, (long long)(p < n ? at[p] : 0));
	}
	return ERROR_NONE;
}
