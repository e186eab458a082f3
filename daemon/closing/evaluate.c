// SPDX-License-Identifier: Apache-2.0
// Alerts that a change made due, not a call (plans/plans.h says when they are due), of accounts with no call behind the change: once all
// partitions have passed it, in every shard, the counters of each account are looked at that nobody has looked at since. Where a call
// comes first its commit looks; the shard says of each account who was first (store/meterd.lua, "Looks").
//
// What is done for good stands in the shard (`looked`), written after a whole pass. A pass leaves a mark with each commit, and the next
// one is refused where it is gone: a shard that went back in between would miss looks.
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "closing/inner.h"

enum { LOOKS = 400, ANSWER_MS = 10000, MARK_TEXT = 64 };

struct evaluator {
	struct plans *plans;
	uint64_t serial;        // of the book that the plans know
	const struct journal *journal;
	uint64_t nonce, marks;  // no two passes leave the same marks
	int64_t waits_ms;
};

struct evaluator *evaluator_new(void)
{
	struct evaluator *v = xcalloc(1, sizeof(*v));
	v->plans = plans_new();
	v->waits_ms = INT64_MAX;
	check(getrandom(&v->nonce, sizeof(v->nonce), 0) == sizeof(v->nonce));
	return v;
}

void evaluator_freep(struct evaluator **v)
{
	if (*v != NULL)
		plans_freep(&(*v)->plans);
	free(*v);
	*v = NULL;
}

void evaluator_forget(struct evaluator *v)
{
	v->journal = NULL;
}

int64_t evaluator_waits(const struct evaluator *v)
{
	return v->waits_ms;
}

// ---- which changes

struct changes {
	bool rules;             // some are of the rules: every account has to be looked at
	int64_t first_ms, last_ms; // INT64_MIN: none
};

static const struct journal_rules *newest(const struct journal *j)
{
	check(j->n_rules > 0);
	return &j->rules[j->n_rules - 1];
}

static void add_change(struct changes *c, int64_t at_ms, int64_t after_ms, int64_t upto_ms, bool rules)
{
	if (at_ms <= after_ms || at_ms > upto_ms)
		return;
	c->rules = c->rules || rules;
	c->first_ms = c->last_ms == INT64_MIN || at_ms < c->first_ms ? at_ms : c->first_ms;
	c->last_ms = at_ms > c->last_ms ? at_ms : c->last_ms;
}

// It takes effect under the rules in force then. Where other rules with another lead do it at once, that is their change.
static void add_fact(struct changes *c, const struct journal *j, const struct account_fact *f, int64_t after_ms, int64_t upto_ms)
{
	for (uint32_t i = 0; i < j->n_rules; i++) {
		int64_t at_ms = clock_later(f->stamp_ms, j->rules[i].rules->settings.lead_ms);
		if (journal_rules_at(j, at_ms) == &j->rules[i])
			add_change(c, at_ms, after_ms, upto_ms, false);
	}
}

static struct changes find_changes(const struct journal *j, const struct account_book *book, int64_t after_ms, int64_t upto_ms)
{
	struct changes c = { .first_ms = INT64_MIN, .last_ms = INT64_MIN };
	for (uint32_t i = 0; i < j->n_rules; i++)
		if (j->rules[i].effective_ms != TIME_NONE)
			add_change(&c, j->rules[i].effective_ms, after_ms, upto_ms, true);
	for (uint32_t i = 0; book != NULL && i < account_book_size(book); i++) {
		const struct account *a = account_book_at(book, i);
		for (uint32_t t = 0; t < a->n_things; t++)
			for (uint32_t k = 0; k < a->things[t].n; k++)
				add_fact(&c, j, a->things[t].facts[k], after_ms, upto_ms);
	}
	return c;
}

static int64_t slowest_clock(const struct look *l)
{
	int64_t least = INT64_MAX;
	for (uint32_t i = 0; i < l->n; i++)
		if (!l->parts[i].everywhere || l->parts[i].clock_min < least)
			least = l->parts[i].everywhere ? l->parts[i].clock_min : TIME_NONE;
	return l->n > 0 ? least : TIME_NONE;
}

// ---- a pass over one shard

struct looking {
	struct evaluator *v;
	struct store *store;
	uint32_t shard, shards;
	int64_t after_ms, upto_ms;
	char mark[MARK_TEXT], next_mark[MARK_TEXT];
	struct arena arena;
	struct commit commit;
	struct commit_pass pass;
	struct commit_account accounts[LOOKS];
	uint64_t alerts;
	enum error_class cls;
	struct error *e;
};

static void send_looks(struct looking *k)
{
	struct commit_result r = { 0 };
	if (k->cls != ERROR_NONE)
		return;
	snprintf(k->next_mark, sizeof(k->next_mark), "%016llx.%llu", (unsigned long long)k->v->nonce, (unsigned long long)++k->v->marks);
	k->pass.before = k->mark[0] != '\0' ? k->mark : NULL;
	k->pass.after = k->next_mark;
	k->store->ops->commit_send(k->store, &k->commit);
	bool answered = k->store->ops->commit_receive(k->store, ANSWER_MS, &r);
	if (!answered || r.status == COMMIT_REFUSED || r.status == COMMIT_UNKNOWN || r.status == COMMIT_OLD_RULES || r.status == COMMIT_RETIRED ||
	    r.status == COMMIT_ROLLBACK)
		k->cls = error_set(k->e, ERROR_RETRY, 0, "looking at counters after a change: %s", answered ? r.text : "no answer");
	else if (r.status == COMMIT_LOST)
		k->cls = error_set(k->e, ERROR_ABORT, EXIT_CONFIG_ERR, "shard %u: %s. " STORE_LOST_ADVICE, k->shard, r.text);
	else if (r.status != COMMIT_DONE)
		k->cls = error_set(k->e, ERROR_HALT, 0, "looking at counters after a change: %s", r.text);
	k->alerts += r.alerts;
	memcpy(k->mark, k->next_mark, sizeof(k->mark));
	k->commit.n_accounts = 0;
	arena_reset(&k->arena);
}

static void look_at(struct looking *k, struct span account)
{
	struct commit_account a = { .account = arena_copy(&k->arena, account), .since_ms = k->after_ms };
	a.n_looks = plans_looks(k->v->plans, k->after_ms, k->upto_ms, account, &k->arena, &a.looks);
	if (a.n_looks == 0)
		return;
	a.change_ms = a.looks[a.n_looks - 1]->change_ms;
	k->accounts[k->commit.n_accounts++] = a;
	if (k->commit.n_accounts == LOOKS)
		send_looks(k);
}

static bool look_at_field(void *ctx, struct span field, struct span value)
{
	struct looking *k = ctx;
	(void)value;
	look_at(k, field);
	return k->cls == ERROR_NONE;
}

// Accounts of which something was said that took effect.
static void look_at_accounts(struct looking *k, const struct account_book *book)
{
	for (uint32_t i = 0; i < account_book_size(book) && k->cls == ERROR_NONE; i++) {
		const struct account *a = account_book_at(book, i);
		if (store_shard(a->name, k->shards) == k->shard)
			look_at(k, a->name);
	}
}

static enum error_class look_at_shard(struct looking *k, const struct account_book *book, bool rules)
{
	send_looks(k); // leaves the first mark: what is scanned is not older than it
	if (!rules) {
		look_at_accounts(k, book);
	} else {
		enum error_class cls = k->cls == ERROR_NONE ? k->store->ops->scan_active(k->store, k->shard, look_at_field, k, k->e) : k->cls;
		k->cls = k->cls != ERROR_NONE ? k->cls : cls;
	}
	if (k->commit.n_accounts > 0)
		send_looks(k);
	return k->cls != ERROR_NONE ? k->cls : k->store->ops->looked_set(k->store, k->shard, k->mark, k->upto_ms, k->e);
}

static void looking_free(struct looking **k)
{
	arena_free(&(*k)->arena);
	free(*k);
}

static struct looking *looking_new(struct evaluator *v, struct store *store, const struct journal *j, uint32_t shard, int64_t after_ms,
				   int64_t upto_ms, const struct span *parts, struct error *e)
{
	struct looking *k = xcalloc(1, sizeof(*k));
	*k = (struct looking){ .v = v, .store = store, .shard = shard, .shards = j->shards, .after_ms = after_ms, .upto_ms = upto_ms, .e = e };
	k->pass = (struct commit_pass){ .change_ms = upto_ms, .n_parts = j->n_parts, .parts = parts };
	k->commit = (struct commit){ .shard = shard, .rules_version = newest(j)->version, .catalog = newest(j)->rules->catalog,
				     .accounts = k->accounts, .pass = &k->pass };
	return k;
}

static void know(struct evaluator *v, const struct journal *j, const struct account_book *book)
{
	uint64_t serial = book != NULL ? account_book_serial(book) : 0;
	if (v->journal != j || v->serial != serial)
		plans_know(v->plans, j, book);
	v->journal = j;
	v->serial = serial;
}

static struct span *names_of(const struct journal *j)
{
	struct span *parts = xcalloc(j->n_parts + 1, sizeof(*parts));
	for (uint32_t i = 0; i < j->n_parts; i++)
		parts[i] = span_of(j->parts[i].name);
	return parts;
}

enum error_class evaluator_run(struct evaluator *v, const struct closer_options *o, const struct journal *j, const struct account_book *book,
			       const struct look *l, int64_t now_ms, struct error *e)
{
	int64_t slowest_ms = slowest_clock(l);
	enum error_class cls = ERROR_NONE;
	uint64_t alerts = 0;
	struct changes ahead = find_changes(j, book, slowest_ms, newest(j)->rules->settings.clock == CLOCK_WALL ? now_ms : l->clock_max);
	v->waits_ms = ahead.last_ms != INT64_MIN ? ahead.first_ms : INT64_MAX;
	if (find_changes(j, book, INT64_MIN, slowest_ms).last_ms == INT64_MIN)
		return ERROR_NONE;
	CLEANUP(freep) struct span *parts = names_of(j);
	know(v, j, book);
	int64_t found_ms = INT64_MAX; // done_ms that `c` was found for: nearly always the same in all shards
	struct changes c = { 0 };
	for (uint32_t shard = 0; shard < o->shards && cls == ERROR_NONE; shard++) {
		int64_t done_ms = INT64_MIN;
		cls = o->store->ops->looked(o->store, shard, &done_ms, e);
		if (done_ms != found_ms)
			c = find_changes(j, book, done_ms, slowest_ms);
		found_ms = done_ms;
		if (cls != ERROR_NONE || c.last_ms == INT64_MIN)
			continue;
		CLEANUP(looking_free) struct looking *k = looking_new(v, o->store, j, shard, done_ms, c.last_ms, parts, e);
		cls = look_at_shard(k, book, c.rules);
		alerts += k->alerts;
	}
	if (alerts > 0)
		log_line(LVL_INFO, "alerts_by_change", "alerts=%llu", (unsigned long long)alerts);
	return cls;
}

enum error_class closing_look(const struct closing_books *b, struct store *like, uint32_t shard, struct error *e)
{
	const struct account_book *book = accounts_feed_book(b->feed);
	int64_t done_ms = INT64_MIN, upto_ms = INT64_MIN;
	enum error_class cls = b->store->ops->looked(b->store, shard, &done_ms, e);
	if (cls == ERROR_NONE)
		cls = like->ops->looked(like, shard, &upto_ms, e);
	struct changes c = find_changes(b->journal, book, done_ms, upto_ms);
	if (cls != ERROR_NONE || c.last_ms == INT64_MIN)
		return cls;
	CLEANUP(freep) struct span *parts = names_of(b->journal);
	CLEANUP(evaluator_freep) struct evaluator *v = evaluator_new();
	know(v, b->journal, book);
	CLEANUP(looking_free) struct looking *k = looking_new(v, b->store, b->journal, shard, done_ms, c.last_ms, parts, e);
	return look_at_shard(k, book, c.rules);
}
