// SPDX-License-Identifier: Apache-2.0
// What the closer and the relay do for the generation in force: months that it has finished are settled here too, and what it raised or
// published leaves this outbox.
#include <stdlib.h>

#include "base/check.h"
#include "rebuild/inner.h"

enum { TIMEOUT_MS = 15000, READ = 500 };

struct draining {
	struct rebuild *r;
	uint32_t shard, n, size;
	uint32_t entries;           // of the outbox: those of documents hold several
	struct arena arena;
	struct span *stream_ids, *identities;
	int *months;                // of alerts: of their period; MONTH_NONE: a document
	bool stale;                 // alerts of finished months go too, and what the generation in force has not published either
	struct waiting *waiting;    // what it has not
	rebuild_alert_fn *fn;
	void *ctx;
};

static int month_of(struct span identity)
{
	struct span rest = identity;
	int month = MONTH_NONE;
	for (int i = 0; i < 3; i++) { // alert, account, service, period
		const char *end = memchr(rest.p, '\n', rest.n);
		check(end != NULL);
		rest = (struct span){ end + 1, (size_t)(rest.p + rest.n - end - 1) };
	}
	check(rest.n >= 7 && month_parse((struct span){ rest.p, 7 }, &month));
	return month;
}

static bool take_entry(void *ctx, uint32_t shard, const struct outbox_entry *entry)
{
	struct draining *d = ctx;
	(void)shard;
	if (d->n == d->size) {
		d->size = d->size * 2 + READ;
		d->stream_ids = xrealloc(d->stream_ids, d->size, sizeof(*d->stream_ids));
		d->identities = xrealloc(d->identities, d->size, sizeof(*d->identities));
		d->months = xrealloc(d->months, d->size, sizeof(*d->months));
	}
	d->entries += !entry->more;
	d->stream_ids[d->n] = arena_copy(&d->arena, entry->stream_id);
	d->identities[d->n] = arena_copy(&d->arena, entry->identity);
	d->months[d->n++] = entry->type == OUTBOX_DOCUMENT ? MONTH_NONE : month_of(entry->identity);
	return true;
}

static bool is_finished(const struct rebuild *r, int month)
{
	const struct journal *j = r->journal;
	bool finished = false;
	if (j->n_manifests == 0 || month > j->manifests[j->n_manifests - 1].month)
		return false;
	return r->live->ops->finished(r->live, 0, month, &finished, NULL) == ERROR_NONE && finished;
}

// Which of the entries go: documents, since only what is finished is settled here; alerts that the generation in force has raised. What waits in
// its outbox stays here too, as long as they are not exchanged: both are held against each other.
static enum error_class choose(struct draining *d, bool *gone, struct error *e)
{
	struct rebuild *r = d->r;
	struct span value;
	for (uint32_t i = 0; i < d->n; i++) {
		bool waits = waiting_find(d->waiting, d->identities[i]).p != NULL;
		gone[i] = d->months[i] == MONTH_NONE && !waits;
		if (d->months[i] == MONTH_NONE || waits)
			continue;
		struct store_key fired = { "fired", d->months[i], MONTH_NONE };
		enum error_class c = r->live->ops->get_key(r->live, d->shard, &fired, &d->identities[i], 1, &d->arena, &value, e);
		if (c != ERROR_NONE)
			return c;
		gone[i] = value.p != NULL && !span_is(value, "0"); // 0: passed, not raised
		if (!gone[i] && d->stale && is_finished(r, d->months[i])) {
			gone[i] = true;
			if (d->fn != NULL)
				d->fn(d->ctx, d->identities[i]);
		}
	}
	return ERROR_NONE;
}

// An entry goes when all that it holds goes.
static void whole_entries(const struct draining *d, bool *gone)
{
	for (uint32_t i = 0, end; i < d->n; i = end) {
		bool all = gone[i];
		for (end = i + 1; end < d->n && span_eq(d->stream_ids[end], d->stream_ids[i]); end++)
			all = all && gone[end];
		for (; i < end; i++)
			gone[i] = all;
	}
}

// One read of a shard's outbox, from the start.
static enum error_class drain_some(struct draining *d, uint32_t most, uint32_t *ret_gone, struct error *e)
{
	struct store *s = d->r->store;
	d->n = d->entries = 0;
	arena_reset(&d->arena);
	enum error_class c = s->ops->outbox_read(s, d->shard, most, take_entry, d, e);
	CLEANUP(freep) bool *gone = xcalloc((size_t)d->n + 1, sizeof(*gone));
	uint32_t read = d->n, n = 0;
	if (c == ERROR_NONE && d->n > 0 && !d->stale) // after it was read: what leaves that one first is out
		c = waiting_read(d->r->live, d->shard, &d->waiting, e);
	if (c == ERROR_NONE)
		c = choose(d, gone, e);
	waiting_free(&d->waiting);
	whole_entries(d, gone);
	for (uint32_t i = 0; i < read; i++) {
		if (!gone[i])
			continue;
		d->stream_ids[n] = d->stream_ids[i];
		d->identities[n++] = d->identities[i];
	}
	*ret_gone = n;
	return c == ERROR_NONE && n > 0 ? s->ops->outbox_ack(s, d->shard, d->stream_ids, d->identities, n, e) : c;
}

static enum error_class drain_shard(struct draining *d, struct error *e)
{
	enum error_class c = ERROR_NONE;
	uint32_t most = READ, gone = 0;
	do {
		c = drain_some(d, most, &gone, e);
		if (c != ERROR_NONE || d->entries < most)
			break;
		most += gone == 0 ? most : 0; // what stays at the head must not hide what lies behind it
		c = rebuild_look(d->r, e);
	} while (c == ERROR_NONE);
	return c;
}

static enum error_class drain(struct draining *d, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (d->shard = 0; d->shard < d->r->journal->shards && c == ERROR_NONE; d->shard++)
		c = drain_shard(d, e);
	free(d->stream_ids);
	free(d->identities);
	free(d->months);
	arena_free(&d->arena);
	return c;
}

enum error_class rebuild_drain(void *ctx, struct error *e)
{
	struct draining d = { .r = ctx };
	return drain(&d, e);
}

enum error_class rebuild_drop_stale(struct rebuild *r, rebuild_alert_fn *fn, void *ctx, struct error *e)
{
	struct draining d = { .r = r, .stale = true, .fn = fn, .ctx = ctx };
	return drain(&d, e);
}

enum error_class rebuild_changes(struct rebuild *r, struct error *e)
{
	struct closing_books b = { .store = r->store, .journal = r->journal, .feed = r->feed };
	enum error_class c = accounts_feed_refresh(r->feed, r->o.ports->sink, r->o.kafka, TIMEOUT_MS, e);
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++) {
		c = closing_look(&b, r->live, shard, e);
		c = c == ERROR_NONE ? rebuild_look(r, e) : c;
	}
	return c;
}

static enum error_class look_on(void *ctx, struct error *e)
{
	return rebuild_look(ctx, e);
}

enum error_class rebuild_settle(struct rebuild *r, struct error *e)
{
	const struct journal *j = r->journal;
	enum error_class c = rebuild_drain(r, e);
	if (c == ERROR_NONE && j->n_manifests > 0)
		c = accounts_feed_refresh(r->feed, r->o.ports->sink, r->o.kafka, TIMEOUT_MS, e);
	struct closing_books b = { .store = r->store, .shards = j->shards, .source = r->source, .journal = j, .feed = r->feed,
				   .accounts_topic = r->o.kafka->accounts_topic, .drain = rebuild_drain, .look = look_on, .ctx = r };
	for (uint32_t i = 0; i < j->n_manifests && c == ERROR_NONE; i++) {
		if (!is_finished(r, j->manifests[i].month))
			break;
		struct error why = { 0 };
		c = closing_derive(&b, &j->manifests[i], &why);
		if (c == ERROR_RETRY)
			return ERROR_NONE; // not all of its calls are counted again yet
		if (c != ERROR_NONE)
			*e = why;
	}
	return c;
}
