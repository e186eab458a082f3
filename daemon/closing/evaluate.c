// SPDX-License-Identifier: Apache-2.0
// Alerts that a change made due, not a call: after the rules or an account changed, the counters of the open months are looked at under
// the ladders that hold now. The store raises what is reached and was never raised; looking twice raises nothing.
//
// A change takes effect at a record clock. It is looked at twice: when the fastest partition has passed it, so that nobody waits for
// a slow one; and when the slowest has, since until then calls may come that were weighed without it. The second is kept in the
// shards, so that a new closer does not look at everything again. Workers look too, at the first call of each counter.
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "closing/inner.h"

enum { LOOKS = 400, ANSWER_MS = 10000 };

struct evaluator {
	struct plans *plans;
	uint64_t serial;        // of the book that the plans know
	const struct journal *journal;
	bool known;             // what the shards say was read
	int64_t done_ms;        // the change up to which all were looked at for good, as the shards have it
	int64_t early_ms;       // the same, for the fastest partition
};

struct evaluator *evaluator_new(void)
{
	struct evaluator *v = xcalloc(1, sizeof(*v));
	v->plans = plans_new();
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
	v->known = false;
	v->journal = NULL;
}

// ---- which changes

struct changes {
	bool rules;             // some are of the rules: everything has to be looked at
	int64_t last_ms;        // INT64_MIN: none
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
	c->last_ms = at_ms > c->last_ms ? at_ms : c->last_ms;
}

static int64_t effect_ms(const struct journal *j, const struct account_fact *f)
{
	return f->stamp_ms + newest(j)->rules->settings.lead_ms;
}

static void add_account(struct changes *c, const struct journal *j, const struct account *a, int64_t after_ms, int64_t upto_ms)
{
	for (uint32_t t = 0; t < a->n_things; t++)
		for (uint32_t k = 0; k < a->things[t].n; k++)
			add_change(c, effect_ms(j, a->things[t].facts[k]), after_ms, upto_ms, false);
}

static struct changes find_changes(const struct journal *j, const struct account_book *book, int64_t after_ms, int64_t upto_ms)
{
	struct changes c = { .last_ms = INT64_MIN };
	for (uint32_t i = 0; i < j->n_rules; i++)
		if (j->rules[i].effective_ms != TIME_NONE)
			add_change(&c, j->rules[i].effective_ms, after_ms, upto_ms, true);
	for (uint32_t i = 0; book != NULL && i < account_book_size(book); i++) {
		const struct account *a = account_book_at(book, i);
		add_account(&c, j, a, after_ms, upto_ms);
	}
	return c;
}

static bool account_changed(const struct journal *j, const struct account *a, int64_t after_ms, int64_t upto_ms)
{
	struct changes c = { .last_ms = INT64_MIN };
	add_account(&c, j, a, after_ms, upto_ms);
	return c.last_ms != INT64_MIN;
}

static int64_t slowest_clock(const struct look *l)
{
	int64_t least = INT64_MAX;
	for (uint32_t i = 0; i < l->n; i++)
		if (!l->parts[i].everywhere || l->parts[i].clock_min < least)
			least = l->parts[i].everywhere ? l->parts[i].clock_min : TIME_NONE;
	return l->n > 0 ? least : TIME_NONE;
}

// ---- looking

struct looking {
	struct evaluator *v;
	struct store *store;
	const struct journal *j;
	const struct journal_rules *rules; // in force at clock_ms
	int64_t clock_ms;
	uint32_t shard;
	int month;
	struct arena arena;
	struct commit commit;
	struct commit_delta deltas[LOOKS];
	struct commit_entry entries[LOOKS];
	uint64_t alerts;
	enum error_class cls;
	struct error *e;
};

static void looking_free(struct looking *k)
{
	arena_free(&k->arena);
}

static void send_looks(struct looking *k)
{
	struct commit_result r = { 0 };
	if (k->commit.n_deltas + k->commit.n_entries == 0 || k->cls != ERROR_NONE)
		return;
	k->store->ops->commit_send(k->store, &k->commit);
	bool answered = k->store->ops->commit_receive(k->store, ANSWER_MS, &r);
	if (!answered || r.status == COMMIT_REFUSED || r.status == COMMIT_UNKNOWN || r.status == COMMIT_OLD_RULES || r.status == COMMIT_RETIRED)
		k->cls = error_set(k->e, ERROR_RETRY, 0, "looking at counters after a change: %s", answered ? r.text : "no answer");
	else if (r.status == COMMIT_LOST)
		k->cls = error_set(k->e, ERROR_ABORT, EXIT_CONFIG_ERR, "shard %u: %s. " STORE_LOST_ADVICE, k->shard, r.text);
	else if (r.status != COMMIT_DONE)
		k->cls = error_set(k->e, ERROR_HALT, 0, "looking at counters after a change: %s", r.text);
	k->alerts += r.alerts;
	k->commit.n_deltas = k->commit.n_entries = 0;
	arena_reset(&k->arena);
}

static void add_entry(struct looking *k, struct span account, const struct allowance *a)
{
	for (uint32_t i = 0; i < k->commit.n_entries; i++)
		if (k->entries[i].allowance == a && span_eq(k->entries[i].account, account))
			return;
	k->entries[k->commit.n_entries++] = (struct commit_entry){ .account = arena_copy(&k->arena, account), .allowance = a, .look = true,
								   .slack = -1 };
}

static void look_at(struct looking *k, struct span account, uint32_t service)
{
	struct plan_row row = plans_row(k->v->plans, k->rules, k->clock_ms, account, service, k->month);
	if (row.allowance != NULL)
		add_entry(k, account, row.allowance);
	else if (row.plain != NULL || row.first != NULL)
		k->deltas[k->commit.n_deltas++] = (struct commit_delta){ .account = arena_copy(&k->arena, account), .service = service,
			.month = k->month, .adjust_month = MONTH_NONE, .ladder = row.plain, .ladder_first = row.first, .look = true };
	if (k->commit.n_deltas == LOOKS || k->commit.n_entries == LOOKS)
		send_looks(k);
}

static bool look_at_field(void *ctx, struct span field, struct span value)
{
	struct looking *k = ctx;
	const char *slash = memchr(field.p, '/', field.n);
	uint32_t service = 0;
	(void)value;
	if (slash == NULL)
		return true;
	struct span account = { field.p, (size_t)(slash - field.p) }, id = { slash + 1, (size_t)(field.p + field.n - slash - 1) };
	if (catalog_find_id(newest(k->j)->rules->catalog, id, &service))
		look_at(k, account, service);
	return k->cls == ERROR_NONE;
}

static void look_at_accounts(struct looking *k, const struct account_book *book, uint32_t shards, int64_t after_ms, int64_t upto_ms)
{
	for (uint32_t i = 0; i < account_book_size(book) && k->cls == ERROR_NONE; i++) {
		const struct account *a = account_book_at(book, i);
		if (store_shard(a->name, shards) != k->shard || !account_changed(k->j, a, after_ms, upto_ms))
			continue;
		for (uint32_t s = 0; s < catalog_services(newest(k->j)->rules->catalog) && k->cls == ERROR_NONE; s++)
			look_at(k, a->name, s);
	}
}

// The open months of one shard. Closed ones, and those about to be, are settled under what their manifest names.
static enum error_class look_at_shard(struct looking *k, const struct account_book *book, uint32_t shards, const struct changes *c,
				      int64_t after_ms)
{
	struct store_months months = { 0 };
	int settled = k->j->n_manifests > 0 ? k->j->manifests[k->j->n_manifests - 1].month : MONTH_NONE;
	k->cls = k->store->ops->months(k->store, k->shard, &months, k->e);
	for (uint32_t i = 0; i < months.n && k->cls == ERROR_NONE; i++) {
		if (months.list[i].adjust_month != MONTH_NONE || (settled != MONTH_NONE && months.list[i].month <= settled))
			continue;
		k->month = months.list[i].month;
		k->commit = (struct commit){ .shard = k->shard, .rules_version = newest(k->j)->version, .catalog = newest(k->j)->rules->catalog,
					     .deltas = k->deltas, .entries = k->entries };
		if (!c->rules)
			look_at_accounts(k, book, shards, after_ms, c->last_ms);
		else {
			enum error_class cls = k->store->ops->scan_counters(k->store, k->shard, k->month, MONTH_NONE, look_at_field, k, k->e);
			k->cls = k->cls != ERROR_NONE ? k->cls : cls;
		}
		send_looks(k);
	}
	store_months_free(&months);
	return k->cls;
}

static enum error_class look_at_all(struct evaluator *v, const struct closer_options *o, const struct journal *j, const struct account_book *book,
				    const struct changes *c, int64_t after_ms, bool for_good, struct error *e)
{
	CLEANUP(freep) struct looking *k = xcalloc(1, sizeof(*k));
	enum error_class cls = ERROR_NONE;
	for (uint32_t shard = 0; shard < o->shards && cls == ERROR_NONE; shard++) {
		*k = (struct looking){ .v = v, .store = o->store, .j = j, .rules = journal_rules_at(j, c->last_ms), .clock_ms = c->last_ms,
				       .shard = shard, .alerts = k->alerts, .e = e };
		cls = look_at_shard(k, book, o->shards, c, after_ms);
		looking_free(k);
		if (cls == ERROR_NONE && for_good)
			cls = o->store->ops->looked_set(o->store, shard, c->last_ms, e);
	}
	if (cls == ERROR_NONE && k->alerts > 0)
		log_line(LVL_INFO, "alerts_by_change", "alerts=%llu", (unsigned long long)k->alerts);
	return cls;
}

static enum error_class read_done(struct evaluator *v, const struct closer_options *o, struct error *e)
{
	int64_t least = INT64_MAX;
	enum error_class cls = ERROR_NONE;
	for (uint32_t shard = 0; shard < o->shards && cls == ERROR_NONE; shard++) {
		int64_t at = INT64_MIN;
		cls = o->store->ops->looked(o->store, shard, &at, e);
		least = at < least ? at : least;
	}
	v->done_ms = v->early_ms = least;
	v->known = cls == ERROR_NONE;
	return cls;
}

enum error_class evaluator_run(struct evaluator *v, const struct closer_options *o, const struct journal *j, const struct account_book *book,
			       const struct look *l, struct error *e)
{
	uint64_t serial = book != NULL ? account_book_serial(book) : 0;
	enum error_class cls = v->known ? ERROR_NONE : read_done(v, o, e);
	if (cls != ERROR_NONE || l->clock_max == TIME_NONE)
		return cls;
	struct changes early = find_changes(j, book, v->early_ms, l->clock_max), late = find_changes(j, book, v->done_ms, slowest_clock(l));
	if (early.last_ms == INT64_MIN && late.last_ms == INT64_MIN)
		return ERROR_NONE;
	if (v->journal != j || v->serial != serial)
		plans_know(v->plans, j, book);
	v->journal = j;
	v->serial = serial;
	if (late.last_ms != INT64_MIN) {
		cls = look_at_all(v, o, j, book, &late, v->done_ms, true, e);
		if (cls == ERROR_NONE)
			v->done_ms = late.last_ms;
		return cls;
	}
	cls = look_at_all(v, o, j, book, &early, v->early_ms, false, e);
	if (cls == ERROR_NONE)
		v->early_ms = early.last_ms;
	return cls;
}
