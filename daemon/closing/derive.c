// SPDX-License-Identifier: Apache-2.0
// A closed month settled again, over any store that holds what was counted: no relay, no topics. By the closer's own code, so that
// the same counters give the same bytes.
#include "base/check.h"
#include "closing/inner.h"

static enum error_class class_of(enum relay_status r)
{
	return r == RELAY_DONE ? ERROR_NONE : r == RELAY_RETRY ? ERROR_RETRY : r == RELAY_ABORT ? ERROR_ABORT : ERROR_HALT;
}

enum { OUTBOX_MOST = 2000 };

static enum error_class finish_shard(const struct settle_scope *s, const struct settling *w, struct error *e)
{
	return s->o->store->ops->finish(s->o->store, w->shard, w->month, &(struct store_held){ w->held.counters, w->held.freezes, w->held.late_fields,
		w->held.n_late_months, w->held.late_months, w->statements }, e);
}

static enum error_class derive_end(const struct settle_scope *s, struct error *e)
{
	struct settled_sums sums = { 0 };
	CLEANUP(arena_free) struct arena arena = { 0 };
	enum error_class c = ERROR_NONE;
	for (uint32_t shard = 0; shard < s->o->shards && c == ERROR_NONE; shard++)
		c = gather_settled(s->o->store, shard, s->m->month, &sums, e);
	return c == ERROR_NONE ? settling_end_run(s, &sums, &arena, e) : c;
}

// What stays in the outbox is no reason to wait: it may be what the generation in force has not published either.
static enum error_class drain(const struct closing_books *b, struct closer_options *o, uint32_t shard, struct error *e)
{
	int64_t waiting = 0;
	enum error_class c = b->drain(b->ctx, e);
	if (c == ERROR_NONE)
		c = b->store->ops->outbox_length(b->store, shard, &waiting, e);
	o->outbox_most = waiting + OUTBOX_MOST;
	return c;
}

static enum error_class derive_shard(const struct closing_books *b, const struct settle_scope *s, struct closer_options *o, uint32_t shard,
				     struct error *e)
{
	CLEANUP(settling_freep) struct settling *w = NULL;
	bool done = false, full = false;
	enum error_class c = b->drain != NULL ? s->o->store->ops->finished(s->o->store, shard, s->m->month, &done, e) : ERROR_NONE;
	if (c != ERROR_NONE || done)
		return c;
	c = class_of(settling_begin(s, s->m != &s->j->manifests[0], shard, &w, e));
	while (c == ERROR_NONE && !done) {
		c = class_of(settling_step(s, w, &done, &full, e));
		check(!full || b->drain != NULL);
		if (c == ERROR_NONE && full)
			c = drain(b, o, shard, e);
		if (c == ERROR_NONE && b->look != NULL)
			c = b->look(b->ctx, e);
	}
	if (c == ERROR_NONE && shard == 0)
		c = derive_end(s, e);
	return c == ERROR_NONE && b->drain != NULL ? finish_shard(s, w, e) : c;
}

enum error_class closing_derive(const struct closing_books *b, const struct journal_manifest *m, struct error *e)
{
	struct closer_options o = { .store = b->store, .shards = b->shards, .source = b->source,
				    .outbox_most = b->drain != NULL ? OUTBOX_MOST : INT64_MAX };
	struct settle_scope s = { &o, b->journal, m, journal_rules_version(b->journal, m->rules_version)->rules, accounts_feed_book(b->feed), b->uncorrected,
				  b->account };
	enum error_class c = accounts_reach(b->feed, b->accounts_topic, m, e);
	for (uint32_t k = 1; k <= b->shards && c == ERROR_NONE; k++) // 0 is the last: the end of the run sums all
		c = derive_shard(b, &s, &o, k % b->shards, e);
	return c == ERROR_NONE && b->drain != NULL ? b->drain(b->ctx, e) : c;
}
