// SPDX-License-Identifier: Apache-2.0
// With what a generation begins. Counters are sums over all that was ever counted: a start in the middle of the log is right only on top of a
// checkpoint that holds what lies before it, also of months that are settled (late calls, packs, activations are rated by them).
#include <stdlib.h>

#include "base/check.h"
#include "checkpoint/checkpoint.h"
#include "pipeline/part.h"
#include "rebuild/inner.h"

enum { TIMEOUT_MS = 15000 };

enum error_class rebuild_check_log(struct rebuild *r, const int64_t *from, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (uint32_t p = 0; p < r->journal->n_parts && c == ERROR_NONE; p++) {
		const struct journal_part *part = &r->journal->parts[p];
		int64_t low = 0, high = 0, need = from != NULL ? from[p] : part->offset;
		c = r->o.ports->sink->offsets(r->o.kafka, part->topic, part->partition, TIMEOUT_MS, &low, &high, e);
		if (c == ERROR_NONE && low > need)
			c = error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s begins at offset %lld, and counting from %lld on is needed: retention took %lld "
				      "offsets. Bring the older log back", part->name, (long long)low, (long long)need, (long long)(low - need));
	}
	return c;
}

// ---- whether it is the log that was counted
struct seen {                   // of a partition: what its shards say they had last
	int64_t next, least, most;  // offsets of records; most -1: none has had one
	uint32_t n;
	struct position *shards;
	bool met;                   // one of their fingerprints
};
struct same {
	struct rebuild *r;
	struct seen *parts;         // as in the journal
	const uint32_t *of_span;
};

static enum error_class take_seen(struct rebuild *r, struct seen *parts, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (uint32_t p = 0; p < r->journal->n_parts; p++)
		parts[p] = (struct seen){ .least = INT64_MAX, .most = -1, .shards = xcalloc(r->journal->shards, sizeof(*parts[p].shards)) };
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++) {
		struct store_positions at = { 0 };
		c = r->live->ops->positions(r->live, shard, &at, e);
		for (uint32_t i = 0; i < at.n; i++) {
			const struct journal_part *p = journal_part(r->journal, span_of(at.list[i].name));
			struct seen *x = p != NULL ? &parts[p - r->journal->parts] : NULL;
			const struct position *here = &at.list[i].at;
			if (x == NULL)
				continue;
			x->next = here->next > x->next ? here->next : x->next;
			if (here->last < 0)
				continue;
			x->shards[x->n++] = *here;
			x->least = here->last < x->least ? here->last : x->least;
			x->most = here->last > x->most ? here->last : x->most;
		}
		store_positions_free(&at);
	}
	return c;
}

static bool meet(void *ctx, uint32_t span, const struct topic_record *t)
{
	struct same *s = ctx;
	struct seen *x = &s->parts[s->of_span[span]];
	for (uint32_t i = 0; i < x->n && !x->met; i++)
		x->met = x->shards[i].last == t->r.offset && x->shards[i].print == record_print(&t->r);
	return true;
}

static enum error_class check_same(struct rebuild *r, struct seen *parts, struct error *e)
{
	const struct journal *j = r->journal;
	CLEANUP(freep) struct topic_span *spans = xcalloc(j->n_parts + 1, sizeof(*spans));
	CLEANUP(freep) uint32_t *of_span = xcalloc(j->n_parts + 1, sizeof(*of_span));
	uint32_t n = 0;
	enum error_class c = take_seen(r, parts, e);
	for (uint32_t p = 0; p < j->n_parts && c == ERROR_NONE; p++) {
		int64_t low = 0, high = 0;
		c = r->o.ports->sink->offsets(r->o.kafka, j->parts[p].topic, j->parts[p].partition, TIMEOUT_MS, &low, &high, e);
		if (c == ERROR_NONE && high < parts[p].next)
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s ends at offset %lld, and a shard says that it has counted it up to %lld: the topic "
					 "was made again or cut off, or it is another cluster's, or somebody changed the offset. Bring the log back, or point "
					 "kafka.bootstrap at it", j->parts[p].name, (long long)high, (long long)parts[p].next);
		if (c != ERROR_NONE || parts[p].least < low || parts[p].most < 0) { // of what retention took nothing can be told
			parts[p].met = true;
			continue;
		}
		of_span[n] = p;
		spans[n++] = (struct topic_span){ j->parts[p].topic, j->parts[p].partition, parts[p].least, parts[p].most + 1 };
	}
	struct same s = { r, parts, of_span };
	c = c == ERROR_NONE ? topic_read_spans(r->o.ports->sink, r->o.kafka, spans, n, TIMEOUT_MS, meet, &s, e) : c;
	for (uint32_t p = 0; p < j->n_parts && c == ERROR_NONE; p++)
		if (!parts[p].met)
			c = error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the records of %s at offsets %lld to %lld are not those that were counted: the topic was "
				      "made again, or it is another cluster's. Bring the log back, or point kafka.bootstrap at it", j->parts[p].name,
				      (long long)parts[p].least, (long long)parts[p].most);
	return c;
}

// What is counted out of another log says nothing of the counters in force, and must not take their place.
enum error_class rebuild_check_same(struct rebuild *r, struct error *e)
{
	uint32_t n = r->journal->n_parts;
	CLEANUP(freep) struct seen *parts = xcalloc(n + 1, sizeof(*parts));
	enum error_class c = check_same(r, parts, e);
	for (uint32_t p = 0; p < n; p++)
		free(parts[p].shards);
	return c;
}

// ---- with what it begins
static enum error_class put_back(struct rebuild *r, struct error *e)
{
	struct checkpoint_restore c = { .store = r->store, .shards = r->journal->shards, .look = rebuild_hold, .ctx = r };
	r->store->ops->identity(r->store, r->journal->init_id, r->generation);
	return checkpoint_restore(&c, r->checkpoint, e);
}

static enum error_class begin_with_newest(struct rebuild *r, const int64_t *upto, struct error *e)
{
	const struct checkpoint_wish wish = { .upto = upto };
	enum error_class c = checkpoint_newest(r->o.state_dir, r->journal, r->o.ports->sink, r->o.kafka, &wish, &r->checkpoint, e);
	return c == ERROR_NONE ? put_back(r, e) : c;
}

static enum error_class begin_with_file(struct rebuild *r, struct error *e)
{
	enum error_class c = checkpoint_usable(r->o.from.text, r->journal, r->o.ports->sink, r->o.kafka, e);
	if (c == ERROR_NONE)
		r->checkpoint = xstrdup(r->o.from.text);
	return c == ERROR_NONE ? put_back(r, e) : c;
}

// From where the log still goes on.
static enum error_class begin_with_first(struct rebuild *r, struct error *e)
{
	struct error whole = { 0 }, why = { 0 };
	enum error_class c = rebuild_check_log(r, NULL, &whole);
	if (c != ERROR_ABORT || r->o.state_dir == NULL)
		return c == ERROR_NONE ? c : error_set(e, c, whole.exit_code, "%s", whole.text);
	c = begin_with_newest(r, NULL, &why);
	if (c == ERROR_ABORT)
		return error_set(e, c, why.exit_code, "%s. %s", whole.text, why.text);
	return c == ERROR_NONE ? c : error_set(e, c, why.exit_code, "%s", why.text);
}

// ---- offsets and times
static enum error_class not_offsets(const struct rebuild *r, const char *why, struct span what, struct error *e)
{
	return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "--from %s: `%.*s` %s; write an offset that holds for every partition, or TOPIC/PARTITION=OFFSET, more of them "
			 "with a comma between", r->o.from.text, (int)what.n, what.p, why);
}

static enum error_class take_offset(const struct rebuild *r, struct span item, int64_t *upto, struct error *e)
{
	const char *equal = item.n > 0 ? memrchr(item.p, '=', item.n) : NULL;
	int64_t offset = 0;
	struct span number = equal != NULL ? (struct span){ equal + 1, (size_t)(item.p + item.n - equal - 1) } : item;
	if (!span_int64(number, &offset) || offset < 0)
		return not_offsets(r, "is no offset", number, e);
	const struct journal_part *one = equal != NULL ? journal_part(r->journal, (struct span){ item.p, (size_t)(equal - item.p) }) : NULL;
	if (equal != NULL && one == NULL)
		return not_offsets(r, "names no partition that is counted", item, e);
	for (uint32_t p = 0; p < r->journal->n_parts; p++)
		if (one == NULL || one == &r->journal->parts[p])
			upto[p] = offset;
	return ERROR_NONE;
}

// A partition that is not named is not counted again from any offset in particular.
static enum error_class by_offsets(const struct rebuild *r, int64_t *upto, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (const char *at = r->o.from.text; at != NULL && c == ERROR_NONE;) {
		const char *comma = strchr(at, ',');
		c = take_offset(r, comma != NULL ? (struct span){ at, (size_t)(comma - at) } : span_of(at), upto, e);
		at = comma != NULL ? comma + 1 : NULL;
	}
	return c;
}

static enum error_class by_time(const struct rebuild *r, int64_t *upto, struct error *e)
{
	enum error_class c = ERROR_NONE;
	if (r->o.kafka->embedded)
		return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "--from %s: this broker knows no offsets by time; name an offset", r->o.from.text);
	for (uint32_t p = 0; p < r->journal->n_parts && c == ERROR_NONE; p++) {
		const struct journal_part *part = &r->journal->parts[p];
		c = r->o.ports->sink->offset_at(r->o.kafka, part->topic, part->partition, r->o.from.time_ms, TIMEOUT_MS, &upto[p], e);
		upto[p] = upto[p] < 0 ? INT64_MAX : upto[p]; // all its records are older: it may stand anywhere
	}
	return c;
}

static bool is_first(const struct rebuild *r, const int64_t *upto)
{
	for (uint32_t p = 0; p < r->journal->n_parts; p++)
		if (upto[p] > r->journal->parts[p].offset)
			return false;
	return true;
}

static enum error_class begin_before(struct rebuild *r, struct error *e)
{
	CLEANUP(freep) int64_t *upto = xcalloc(r->journal->n_parts + 1, sizeof(*upto));
	struct error why = { 0 };
	for (uint32_t p = 0; p < r->journal->n_parts; p++)
		upto[p] = INT64_MAX;
	enum error_class c = r->o.from.kind == REBUILD_FROM_TIME ? by_time(r, upto, e) : by_offsets(r, upto, e);
	if (c != ERROR_NONE)
		return c;
	if (is_first(r, upto)) // nothing lies before
		return rebuild_check_log(r, NULL, e);
	c = begin_with_newest(r, upto, &why);
	if (c == ERROR_ABORT)
		return error_set(e, c, why.exit_code, "--from %s would leave out what was counted before, unless a checkpoint holds it: %s. Name a checkpoint or a later "
				 "start, or leave --from away: then all of the log counts", r->o.from.text, why.text);
	return c == ERROR_NONE ? c : error_set(e, c, why.exit_code, "%s", why.text);
}

enum error_class rebuild_begin(struct rebuild *r, struct error *e)
{
	switch (r->o.from.kind) {
	case REBUILD_FROM_FILE:
		return begin_with_file(r, e);
	case REBUILD_FROM_OFFSETS:
	case REBUILD_FROM_TIME:
		return begin_before(r, e);
	case REBUILD_FROM_FIRST:
		break;
	}
	return begin_with_first(r, e);
}
