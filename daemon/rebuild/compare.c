// SPDX-License-Identifier: Apache-2.0
// Two generations side by side: everything that either holds, field by field, and every alert of an open month against its topic.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "journal/json.h"
#include "rebuild/inner.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

enum { BATCH = 500, TIMEOUT_MS = 15000 };

static const struct {
	const char *what, *text;
	enum rebuild_kind kind;
} kinds[] = {
	{ "use", "counter", REBUILD_COUNTER },   { "late", "late calls", REBUILD_LATE },     { "led", "ledger", REBUILD_LEDGER },
	{ "off", "position", REBUILD_POSITION }, { "cut", "cut", REBUILD_CUT },              { "clk", "record clock", REBUILD_CLOCK },
	{ "act", "activation", REBUILD_ACTIVATION }, { "fired", "alert", REBUILD_ALERT },    { "set", "settlement", REBUILD_SETTLED },
	{ "frz", "freeze", REBUILD_FREEZE },     { "pk", "pack", REBUILD_PACK },             { "meta", "month", REBUILD_MARK },
	{ "out", "outbox entry", REBUILD_OUTBOX },
	{ "", "alert not published", REBUILD_UNPUBLISHED },
};

const char *rebuild_kind_text(enum rebuild_kind k)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == k)
			return kinds[i].text;
	check(false);
	return "";
}

static enum rebuild_kind kind_of(const char *what)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].what, what) == 0)
			return kinds[i].kind;
	check(false);
	return REBUILD_COUNTER;
}

struct published {
	char id[33];
	UT_hash_handle hh;
};

struct comparing {
	struct rebuild *r;
	rebuild_difference_fn *fn;
	void *ctx;
	bool enough;
	struct rebuild_verdict *verdict;
	uint32_t shard;
	const struct store_keys *keys; // of the copy
	const struct store_key *key;
	bool from_live;             // the side that is scanned
	struct arena arena;
	uint32_t n;
	struct span fields[BATCH], values[BATCH];
	struct published *published;
	enum error_class cls;
	struct error *e;
};

// ---- what makes two values the same
struct active {
	int64_t month, bucket;
};

static int by_bucket(const void *a, const void *b)
{
	const struct active *x = a, *y = b;
	int c = (x->bucket > y->bucket) - (x->bucket < y->bucket);
	return c != 0 ? c : (x->month > y->month) - (x->month < y->month);
}

// Months of activation come in the order in which partitions were read. What they say is: with which close an account is active since when.
static struct span canonical_activation(struct arena *a, struct span text)
{
	struct active list[256] = { 0 };
	uint32_t n = 0;
	for (size_t at = 0; at < text.n && n < ARRAY_LEN(list);) {
		const char *blank = memchr(text.p + at, ' ', text.n - at);
		size_t end = blank != NULL ? (size_t)(blank - text.p) : text.n;
		const char *colon = memchr(text.p + at, ':', end - at);
		if (colon != NULL && span_int64((struct span){ text.p + at, (size_t)(colon - text.p) - at }, &list[n].month) &&
		    span_int64((struct span){ colon + 1, (size_t)(text.p + end - colon - 1) }, &list[n].bucket))
			n++;
		at = end + 1;
	}
	qsort(list, n, sizeof(list[0]), by_bucket);
	size_t size = (size_t)n * 48 + 1;
	char *out = arena_alloc(a, size);
	size_t length = 0;
	int64_t since = INT64_MAX;
	for (uint32_t i = 0; i < n; i++) {
		if (list[i].month >= since)
			continue;
		since = list[i].month;
		length += (size_t)snprintf(out + length, size - length, "%lld:%lld ", (long long)since, (long long)list[i].bucket);
	}
	return (struct span){ out, length };
}

static struct span canonical(struct comparing *c, struct span value)
{
	if (value.p == NULL)
		return value;
	if (strcmp(c->key->what, "off") == 0) { // the owner's token is nobody's business
		const char *token = memrchr(value.p, ' ', value.n);
		return token != NULL ? (struct span){ value.p, (size_t)(token - value.p) } : value;
	}
	return strcmp(c->key->what, "act") == 0 ? canonical_activation(&c->arena, value) : value;
}

// A partition that was claimed in one of them only, and of which nothing was counted yet.
static bool is_start(const struct comparing *c, struct span field, struct span position)
{
	const struct journal_part *p = strcmp(c->key->what, "off") == 0 ? journal_part(c->r->journal, field) : NULL;
	struct span word, rest;
	int64_t next = 0;
	return p != NULL && span_cut(position, ' ', &word, &rest) && span_int64(word, &next) && next == p->offset;
}

static void report(struct comparing *c, enum rebuild_kind kind, struct span field, struct span live, struct span made)
{
	struct rebuild_difference d = { kind, c->shard, c->key->month, c->key->adjust_month, field, live, made };
	c->verdict->differences++;
	c->verdict->by_kind[kind]++;
	if (!c->enough && !c->fn(c->ctx, &d))
		c->enough = true;
}

// ---- field by field
static void compare_batch(struct comparing *c)
{
	struct rebuild *r = c->r;
	struct store *other = c->from_live ? r->store : r->live;
	struct span found[BATCH] = { 0 };
	if (c->n > 0 && c->cls == ERROR_NONE)
		c->cls = other->ops->get_key(other, c->shard, c->key, c->fields, c->n, &c->arena, found, c->e);
	for (uint32_t i = 0; i < c->n && c->cls == ERROR_NONE; i++) {
		struct span here = canonical(c, c->values[i]), there = canonical(c, found[i]);
		c->verdict->compared += c->from_live || there.p == NULL;
		if (there.p == NULL && is_start(c, c->fields[i], here))
			continue;
		if (there.p == NULL || here.p == NULL || (c->from_live && !span_eq(here, there)))
			report(c, kind_of(c->key->what), c->fields[i], c->from_live ? here : there, c->from_live ? there : here);
	}
	c->n = 0;
	arena_reset(&c->arena);
	if (c->cls == ERROR_NONE)
		c->cls = rebuild_look(r, c->e);
}

// HSCAN hands out a thousand at a time, and the other side is asked between its calls: on a connection of its own.
static bool compare_field(void *ctx, struct span field, struct span value)
{
	struct comparing *c = ctx;
	c->fields[c->n] = arena_copy(&c->arena, field);
	c->values[c->n++] = arena_copy(&c->arena, value);
	if (c->n == BATCH)
		compare_batch(c);
	return c->cls == ERROR_NONE;
}

static void compare_key(struct comparing *c, const struct store_key *k)
{
	if (strcmp(k->what, "lk") == 0) // how far changes were looked at: whoever comes first does that, and what it raised is compared
		return;
	c->key = k;
	for (int side = 0; side < 2 && c->cls == ERROR_NONE; side++) {
		c->from_live = side == 0;
		struct store *s = c->from_live ? c->r->live : c->r->store;
		enum error_class cls = s->ops->scan_key(s, c->shard, k, compare_field, c, c->e);
		c->cls = c->cls != ERROR_NONE ? c->cls : cls;
		compare_batch(c);
	}
}

static bool in_keys(const struct store_keys *list, uint32_t n, const struct store_key *k)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(list->list[i].what, k->what) == 0 && list->list[i].month == k->month && list->list[i].adjust_month == k->adjust_month)
			return true;
	return false;
}

// ---- alerts of open months: out, or on their way
static void note(struct comparing *c, const char *id)
{
	struct published *p = NULL;
	HASH_FIND_STR(c->published, id, p);
	if (p != NULL)
		return;
	p = xcalloc(1, sizeof(*p));
	snprintf(p->id, sizeof(p->id), "%s", id);
	HASH_ADD_STR(c->published, id, p);
}

static bool note_published(void *ctx, const struct topic_record *t)
{
	CLEANUP(json_freep) json_t *j = t->r.value.p != NULL ? json_loadb(t->r.value.p, t->r.value.n, 0, NULL) : NULL;
	const char *id = json_string_value(json_object_get(j, "id"));
	if (id != NULL && strlen(id) == 32)
		note(ctx, id);
	return true;
}

static bool note_pending(void *ctx, uint32_t shard, const struct outbox_entry *entry)
{
	char id[33];
	(void)shard;
	identity_id(entry->identity, id);
	note(ctx, id);
	return true;
}

static bool is_out(struct comparing *c, struct span identity)
{
	struct published *p = NULL;
	char id[33];
	identity_id(identity, id);
	HASH_FIND_STR(c->published, id, p);
	return p != NULL;
}

// Of a pack each bound is told once in its life. That a call of a later month was told of is noted in the month that the pack begins in, too.
static bool is_out_in_another_month(struct comparing *c, struct span identity)
{
	CLEANUP(freep) char *text = xstrndup(identity.p, identity.n);
	char month[MONTH_TEXT], *period = text;
	for (int i = 0; i < 3 && period != NULL; i++) { // alert, account, service
		period = strchr(period, '\n');
		period = period != NULL ? period + 1 : NULL;
	}
	if (period == NULL || strlen(period) <= MONTH_TEXT || strncmp(period + MONTH_TEXT, "pack.", 5) != 0)
		return false;
	for (uint32_t i = 0; i < c->keys->n; i++) {
		if (strcmp(c->keys->list[i].what, "fired") != 0)
			continue;
		memcpy(period, month_text(c->keys->list[i].month, month), MONTH_TEXT - 1);
		if (is_out(c, (struct span){ text, identity.n }))
			return true;
	}
	return false;
}

static bool look_for_alert(void *ctx, struct span field, struct span value)
{
	struct comparing *c = ctx;
	if (span_is(value, "0")) // passed, not raised
		return true;
	c->verdict->compared++;
	if (!is_out(c, field) && !is_out_in_another_month(c, field))
		report(c, REBUILD_UNPUBLISHED, field, SPAN_LIT("raised"), (struct span){ 0 });
	return true;
}

static bool is_open(struct rebuild *r, int month)
{
	bool finished = false;
	return r->live->ops->finished(r->live, 0, month, &finished, NULL) != ERROR_NONE || !finished;
}

static enum error_class compare_alerts(struct comparing *c, const struct store_keys *keys)
{
	c->keys = keys;
	for (uint32_t i = 0; i < keys->n && c->cls == ERROR_NONE; i++) {
		if (strcmp(keys->list[i].what, "fired") != 0 || !is_open(c->r, keys->list[i].month))
			continue;
		c->key = &keys->list[i];
		c->cls = c->r->live->ops->scan_key(c->r->live, c->shard, c->key, look_for_alert, c, c->e);
	}
	return c->cls;
}

static enum error_class read_published(struct comparing *c)
{
	struct rebuild *r = c->r;
	enum error_class cls = ERROR_NONE;
	for (uint32_t shard = 0; shard < r->journal->shards && cls == ERROR_NONE; shard++)
		cls = r->live->ops->outbox_read(r->live, shard, INT32_MAX, note_pending, c, c->e);
	return cls == ERROR_NONE ? r->o.ports->sink->read_back(r->o.kafka, r->o.kafka->alerts_topic, TIME_NONE, TIMEOUT_MS, note_published, c, c->e) : cls;
}

// ---- what waits in the outbox
struct outboxes {
	struct comparing *c;
	struct waiting *live, *made;
};

// The n-th line of an identity.
static struct span line_of(struct span identity, int n)
{
	for (; n > 0; n--) {
		const char *end = identity.n > 0 ? memchr(identity.p, '\n', identity.n) : NULL;
		if (end == NULL)
			return (struct span){ 0 };
		identity = (struct span){ end + 1, (size_t)(identity.p + identity.n - end - 1) };
	}
	const char *end = identity.n > 0 ? memchr(identity.p, '\n', identity.n) : NULL;
	return end != NULL ? (struct span){ identity.p, (size_t)(end - identity.p) } : identity;
}

static bool held(struct comparing *c, const char *what, int month, const struct span *fields, uint32_t n)
{
	struct span values[2] = { { 0 }, { 0 } };
	struct store_key key = { what, month, MONTH_NONE };
	check(n <= ARRAY_LEN(values));
	if (c->cls == ERROR_NONE)
		c->cls = c->r->store->ops->get_key(c->r->store, c->shard, &key, fields, n, &c->arena, values, c->e);
	return values[0].p != NULL || (n > 1 && values[1].p != NULL);
}

// It left this outbox when it was published, or before an exchange that did not come about: then it happened here, too, and what it said is not known.
static bool happened(struct comparing *c, struct span identity)
{
	struct span kind = line_of(identity, 0), account = line_of(identity, 1);
	bool alert = span_is(kind, "alert"), line = span_is(kind, "settlement");
	int month = MONTH_NONE;
	if (!month_parse(line_of(identity, alert || line ? 3 : span_is(kind, "statement") ? 2 : 1), &month))
		return false;
	if (alert)
		return held(c, "fired", month, &identity, 1);
	const char *revision = arena_printf(&c->arena, "#rev/%.*s", (int)account.n, account.p);
	struct span service = line_of(identity, 2);
	const char *field = arena_printf(&c->arena, "%.*s%s%.*s", (int)account.n, account.p, line ? "/" : "", line ? (int)service.n : 0, line ? service.p : "");
	if (span_is(kind, "closed"))
		return held(c, "set", month, (struct span[]){ SPAN_LIT("#end") }, 1);
	return held(c, "set", month, (struct span[]){ span_of(field), span_of(revision) }, 2);
}

static bool compare_entry(void *ctx, struct span identity, struct span content)
{
	static const struct store_key out = { "out", MONTH_NONE, MONTH_NONE };
	struct outboxes *o = ctx;
	struct comparing *c = o->c;
	struct span made = waiting_find(o->made, identity);
	bool same = made.p != NULL ? span_eq(content, made) : happened(c, identity);
	c->key = &out;
	c->verdict->compared++;
	if (c->cls == ERROR_NONE && !same)
		report(c, REBUILD_OUTBOX, identity, content, made);
	arena_reset(&c->arena);
	return c->cls == ERROR_NONE;
}

static void compare_outboxes(struct comparing *c)
{
	struct outboxes o = { .c = c };
	c->cls = waiting_read(c->r->live, c->shard, &o.live, c->e);
	if (c->cls == ERROR_NONE)
		c->cls = waiting_read(c->r->store, c->shard, &o.made, c->e);
	if (c->cls == ERROR_NONE)
		waiting_each(o.live, compare_entry, &o);
	waiting_free(&o.live);
	waiting_free(&o.made);
}

// ---- what the shard says of months
struct marks {
	uint32_t n;
	struct span *fields, *values;
	struct arena arena;
};

static void marks_free(struct marks *m)
{
	free(m->fields);
	free(m->values);
	arena_free(&m->arena);
}

static bool take_mark(void *ctx, struct span field, struct span value)
{
	struct marks *m = ctx;
	if (span_is(field, "looked") || span_is(field, "looking")) // as with lk
		return true;
	m->fields = xrealloc(m->fields, m->n + 1, sizeof(*m->fields));
	m->values = xrealloc(m->values, m->n + 1, sizeof(*m->values));
	m->fields[m->n] = arena_copy(&m->arena, field);
	m->values[m->n++] = arena_copy(&m->arena, value);
	return true;
}

static struct span mark_in(const struct marks *m, struct span field)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (span_eq(m->fields[i], field))
			return m->values[i];
	return (struct span){ 0 };
}

static void compare_marks(struct comparing *c)
{
	CLEANUP(marks_free) struct marks live = { 0 }, made = { 0 };
	static const struct store_key meta = { "meta", MONTH_NONE, MONTH_NONE };
	c->cls = c->r->live->ops->marks(c->r->live, c->shard, take_mark, &live, c->e);
	if (c->cls == ERROR_NONE)
		c->cls = c->r->store->ops->marks(c->r->store, c->shard, take_mark, &made, c->e);
	c->key = &meta;
	for (uint32_t i = 0; i < live.n && c->cls == ERROR_NONE; i++) {
		struct span there = mark_in(&made, live.fields[i]);
		c->verdict->compared++;
		if (there.p == NULL || !span_eq(there, live.values[i]))
			report(c, REBUILD_MARK, live.fields[i], live.values[i], there);
	}
	for (uint32_t i = 0; i < made.n && c->cls == ERROR_NONE; i++)
		if (mark_in(&live, made.fields[i]).p == NULL)
			report(c, REBUILD_MARK, made.fields[i], (struct span){ 0 }, made.values[i]);
}

static enum error_class compare_shard(struct comparing *c)
{
	struct rebuild *r = c->r;
	struct store_keys live = { 0 }, made = { 0 };
	c->cls = r->live->ops->keys(r->live, c->shard, &live, c->e);
	if (c->cls == ERROR_NONE)
		c->cls = r->store->ops->keys(r->store, c->shard, &made, c->e);
	for (uint32_t i = 0; i < live.n && c->cls == ERROR_NONE; i++)
		compare_key(c, &live.list[i]);
	for (uint32_t i = 0; i < made.n && c->cls == ERROR_NONE; i++)
		if (!in_keys(&live, live.n, &made.list[i]))
			compare_key(c, &made.list[i]);
	if (c->cls == ERROR_NONE)
		compare_alerts(c, &live);
	if (c->cls == ERROR_NONE)
		compare_outboxes(c);
	if (c->cls == ERROR_NONE)
		compare_marks(c);
	store_keys_free(&live);
	store_keys_free(&made);
	return c->cls;
}

// What the copy has finished must be finished here too, or the two cannot be held against each other.
static enum error_class check_finished(struct rebuild *r, struct error *e)
{
	char text[MONTH_TEXT];
	for (uint32_t i = 0; i < r->journal->n_manifests; i++) {
		bool live = false, made = false;
		int month = r->journal->manifests[i].month;
		enum error_class c = r->live->ops->finished(r->live, 0, month, &live, e);
		if (c == ERROR_NONE)
			c = r->store->ops->finished(r->store, 0, month, &made, e);
		if (c != ERROR_NONE)
			return c;
		if (live && !made)
			return error_set(e, ERROR_RETRY, 0, "%s is settled in the generation in force, and could not be settled in the other one yet; "
					 "run the same command again", month_text(month, text));
	}
	return ERROR_NONE;
}

static enum error_class compare_all(struct rebuild *r, rebuild_difference_fn *fn, void *ctx, struct rebuild_verdict *ret, struct error *e)
{
	CLEANUP(freep) struct comparing *c = xcalloc(1, sizeof(*c));
	*c = (struct comparing){ .r = r, .fn = fn, .ctx = ctx, .verdict = ret, .e = e };
	enum error_class cls = read_published(c);
	for (c->shard = 0; c->shard < r->journal->shards && cls == ERROR_NONE; c->shard++) {
		if (r->o.progress != NULL)
			r->o.progress(r->o.ctx, &(struct rebuild_progress){ "shards compared", c->shard, r->journal->shards, NULL, 0 });
		cls = compare_shard(c);
	}
	struct published *p = c->published, *next;
	HASH_CLEAR(hh, c->published);
	for (; p != NULL; p = next) {
		next = p->hh.next;
		free(p);
	}
	arena_free(&c->arena);
	r->leased_us = 0; // nothing of it went away meanwhile: look now
	return cls == ERROR_NONE ? rebuild_look(r, e) : cls;
}

// ---- the copy
static enum error_class drop_copy(struct rebuild *r, int64_t copy, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++)
		c = r->store->ops->drop(r->store, shard, copy, e);
	return c;
}

static enum error_class make_copy(struct rebuild *r, int64_t copy, struct error *e)
{
	enum error_class c = drop_copy(r, copy, e); // what a crash may have left
	for (uint32_t shard = 0; shard < r->journal->shards && c == ERROR_NONE; shard++)
		c = r->store->ops->cut_copy(r->store, shard, r->journal->generation, copy, e);
	r->live->ops->identity(r->live, r->journal->init_id, copy);
	return c;
}

// A month that is closed and not finished is half settled: neither side of it says anything.
static enum error_class is_settling(struct rebuild *r, bool *ret, struct error *e)
{
	enum error_class c = ERROR_NONE;
	*ret = false;
	for (uint32_t i = 0; i < r->journal->n_manifests && c == ERROR_NONE && !*ret; i++) {
		bool finished = false;
		c = r->live->ops->finished(r->live, 0, r->journal->manifests[i].month, &finished, e);
		*ret = !finished;
	}
	return c;
}

static enum error_class make_whole_copy(struct rebuild *r, int64_t copy, struct error *e)
{
	enum { PAUSE_MS = 200 };
	bool settling = true;
	enum error_class c = ERROR_NONE;
	while (c == ERROR_NONE) {
		r->live->ops->identity(r->live, r->journal->init_id, r->journal->generation);
		c = is_settling(r, &settling, e);
		bool copied = c == ERROR_NONE && !settling;
		if (copied)
			c = make_copy(r, copy, e);
		if (c == ERROR_NONE)
			c = rebuild_reload(r, e); // every month that is closed in the copy has its manifest there
		if (copied) {
			r->live->ops->identity(r->live, r->journal->init_id, copy);
			c = c == ERROR_NONE ? is_settling(r, &settling, e) : c;
		}
		if (c != ERROR_NONE || !settling)
			return c;
		if (r->o.progress != NULL)
			r->o.progress(r->o.ctx, &(struct rebuild_progress){ "months settled first by the running daemon", 0, 1, NULL, 0 });
		clock_sleep_ms(PAUSE_MS);
		c = rebuild_look(r, e);
	}
	return c;
}

// A Redis that went back to an earlier moment meanwhile has neither the copy nor what was counted again as it was: what differs then says nothing. No
// connection outlives that.
static enum error_class check_undisturbed(struct rebuild *r, const uint64_t sessions[2], struct error *e)
{
	struct store *both[] = { r->live, r->store };
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct store_generations g = { 0 };
		enum error_class c = both[i]->ops->generations(both[i], 0, &g, e);
		store_generations_free(&g);
		if (c != ERROR_NONE)
			return c;
		if (both[i]->ops->session(both[i]) != sessions[i])
			return error_set(e, ERROR_RETRY, 0, "the connection to Redis was lost while both generations were compared, and what it holds may have "
					 "gone back by then: differences that were shown may come of that. Run the same command again");
	}
	return ERROR_NONE;
}

enum error_class rebuild_verify(struct rebuild *r, rebuild_difference_fn *fn, void *ctx, struct rebuild_verdict *ret, struct error *e)
{
	int64_t copy = r->generation + 1;
	*ret = (struct rebuild_verdict){ 0 };
	enum error_class c = rebuild_catch_up(r, e); // so that little is left to be read after the copy
	const uint64_t sessions[] = { r->live->ops->session(r->live), r->store->ops->session(r->store) };
	if (c == ERROR_NONE)
		c = make_whole_copy(r, copy, e);
	if (c == ERROR_NONE)
		c = rebuild_meet(r, e);
	if (c == ERROR_NONE)
		c = rebuild_changes(r, e);
	if (c == ERROR_NONE)
		c = rebuild_settle(r, e);
	if (c == ERROR_NONE)
		c = check_finished(r, e);
	if (c == ERROR_NONE)
		c = compare_all(r, fn, ctx, ret, e);
	if (c == ERROR_NONE)
		c = check_undisturbed(r, sessions, e);
	r->live->ops->identity(r->live, r->journal->init_id, r->journal->generation);
	struct error later = { 0 };
	enum error_class dropped = drop_copy(r, copy, &later);
	if (c == ERROR_NONE && dropped != ERROR_NONE) {
		*e = later;
		c = dropped;
	}
	return c;
}
