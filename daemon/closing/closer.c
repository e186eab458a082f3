// SPDX-License-Identifier: Apache-2.0
// What is to be done next, found afresh in every step from the control topic and the shards:
//
//	no manifest yet        the first month is the first with a counted or late call, once nothing earlier can come
//	manifests, unfinished  the oldest month with a manifest that some shard has not finished
//	all finished           the month behind the newest manifest
//
//	waiting --all clocks past close(m)--> manifest --> shard 1 … n-1, then 0: closed mark, accounts, finish --> next month
//
// Shard 0 is finished last, after the end-of-run document went into its outbox; that document waits until a whole pass of the
// relay has put out all that was settled before it. So "finished in every shard" is all there is to know of a month.
#include "closing/closing.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "closing/inner.h"
#include "journal/json.h"

enum {
	LOOK_EVERY_MS = 200,
	ADMIT_EVERY_MS = 30000,
	DUE_DAYS = 3,
	RUN_WAIT_MS = 2, // for what goes on beside, before the relay looks at the outboxes again: a call of Redis each time
};

// What takes long at a month's end: all of the month's counters read for the manifest's totals, a step of settling, all statements read for the
// end of the run. Beside the relay it goes on from one closer_step to the next; until its end nothing else touches the work, and the journal
// stays. So when a reason to stop is met, one step more may be written than was known of before: it is what the manifest says all the same.
enum run_of { RUN_TOTALS, RUN_SETTLES, RUN_SUMS };
struct totals {
	int month; // MONTH_NONE: not read
	int64_t counters, calls;
};
struct closing_run {
	enum run_of of;
	bool under_way, on_thread, late;
	pthread_t thread;
	struct closer_options o;     // as the closer's, with that store
	struct settle_scope scope;
	int month;
	int64_t close_ms;            // which all clocks are past while the totals are read
	struct settling *work;
	// What came of it.
	struct error e;
	enum relay_status status;
	struct totals totals;
	bool done, full;             // of settling
	struct settled_sums sums;
};

struct closer {
	struct closer_options o;
	const struct sink_port *port;
	struct closer_numbers numbers;
	struct ticker *ticker;
	struct evaluator *evaluator;
	struct settling *work;  // the shard under way
	bool settled;           // all of its accounts are
	struct closing_run run;
	struct totals totals;   // of the month that is to have a manifest
	struct error halt;      // why closing halts; until something is done again, not only begun
	struct accounts_feed *feed;
	uint64_t take_overs;    // of the relay, when the journal was read last
	bool stale;             // the control topic may hold more than *journal
	bool looked, admitted;
	int64_t looked_ms, admitted_ms;
	bool waits_pass;        // for the relay to get beyond `pass`
	uint64_t pass;
	bool asked;             // somebody wants the month closed now
	bool versions_checked;  // since the take-over: does a shard ask for rules that nobody wrote?
};

struct step {
	struct closer *c;
	struct journal *j;
	const struct account_book *book;
	int64_t now_ms;
	bool *more;
	struct error *e;
	struct look look;
	int month;              // that is waited for or worked on
	int wait_month;         // whose close must have passed: `month`, or a later one while the first month is not certain
	int64_t close_ms;       // that close
	const struct journal_manifest *manifest;
	const struct rules *rules;
};

static enum error_class still_past(struct store *store, uint32_t shards, const struct journal *j, int64_t close_ms, struct error *e)
{
	struct look l = { 0 };
	char waits[256];
	enum error_class cls = look_take(store, shards, j, &l, e);
	if (cls == ERROR_NONE && !look_reached(&l, j, NULL, close_ms, waits))
		cls = error_set(e, ERROR_RETRY, 0, "a shard went back while its month was counted");
	look_free(&l);
	return cls;
}

static enum error_class add_holdings(struct closing_run *r, uint32_t shard)
{
	struct holdings h = { 0 };
	enum error_class cls = gather_holdings(r->o.store, shard, r->month, r->scope.rules->catalog, &h, &r->e);
	if (cls == ERROR_NONE && __builtin_add_overflow(r->totals.calls, h.calls, &r->totals.calls))
		cls = error_set(&r->e, ERROR_HALT, 0, "the month's calls overflow");
	r->totals.counters += h.counters;
	holdings_free(&h);
	return cls;
}

// All clocks are past the close before and behind it, over one connection: a shard that went back, and on again, had to drop that.
static enum error_class read_totals(struct closing_run *r)
{
	struct store *store = r->o.store;
	r->totals = (struct totals){ .month = r->month };
	enum error_class cls = still_past(store, r->o.shards, r->scope.j, r->close_ms, &r->e);
	uint64_t session = store->ops->session(store);
	for (uint32_t shard = 0; cls == ERROR_NONE && shard < r->o.shards; shard++)
		cls = add_holdings(r, shard);
	if (cls == ERROR_NONE)
		cls = still_past(store, r->o.shards, r->scope.j, r->close_ms, &r->e);
	if (cls == ERROR_NONE && store->ops->session(store) != session)
		cls = error_set(&r->e, ERROR_RETRY, 0, "the connection was made anew while a month was counted");
	return cls;
}

// What all shards have settled. One that went back meanwhile holds less: after its part was read it must still be finished (shard 0,
// which is finished last: hold as many statements as were made).
static enum error_class sum_settled(struct closing_run *r)
{
	r->sums = (struct settled_sums){ 0 };
	for (uint32_t shard = 0; shard < r->o.shards; shard++) {
		bool whole = false;
		enum error_class cls = gather_settled(r->o.store, shard, r->month, &r->sums, &r->e);
		if (cls == ERROR_NONE && shard > 0)
			cls = r->o.store->ops->finished(r->o.store, shard, r->month, &whole, &r->e);
		if (cls != ERROR_NONE)
			return cls;
		if (shard == 0)
			whole = r->sums.steps == r->work->statements;
		if (!whole)
			return error_set(&r->e, ERROR_RETRY, 0, "shard %u went back while its month was summed", shard);
	}
	return ERROR_NONE;
}

static enum relay_status run_once(struct closing_run *r)
{
	if (r->of == RUN_SETTLES)
		return settling_step(&r->scope, r->work, &r->done, &r->full, &r->e);
	return closing_status(r->of == RUN_TOTALS ? read_totals(r) : sum_settled(r));
}

// What met a Redis that was away goes again once: on a connection that had nothing to do for a month the first call may fail.
static void *run_main(void *arg)
{
	struct closing_run *r = arg;
	r->status = run_once(r);
	if (r->status != RELAY_RETRY || r->o.settles != SETTLES_BESIDE)
		return NULL;
	r->e = (struct error){ 0 };
	r->status = run_once(r);
	return NULL;
}

void closer_rest(struct closer *c)
{
	struct closing_run *r = &c->run;
	if (r->on_thread)
		pthread_join(r->thread, NULL);
	if (r->late)
		run_main(r);
	r->on_thread = r->late = false;
}

// Its thread has ended, or does so in a moment.
static bool run_over(struct closer *c)
{
	int64_t until_ms = clock_wall_ms() + RUN_WAIT_MS;
	struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
	if (c->run.on_thread && pthread_timedjoin_np(c->run.thread, NULL, &until) != 0)
		return false;
	c->run.on_thread = false;
	closer_rest(c);
	return true;
}

static void drop_work(struct closer *c)
{
	closer_rest(c);
	c->run.under_way = c->settled = false;
	settling_freep(&c->work);
}

struct closer *closer_new(const struct closer_options *o)
{
	check(o->shards > 0 && o->relay != NULL && o->store != NULL);
	struct closer *c = xcalloc(1, sizeof(*c));
	c->o = *o;
	c->port = o->port != NULL ? o->port : &sink_port_kafka;
	c->ticker = ticker_new(o, c->port);
	c->evaluator = evaluator_new();
	c->feed = accounts_feed_new();
	c->numbers.closed_month = c->numbers.open_month = c->numbers.wait_month = c->totals.month = MONTH_NONE;
	c->stale = true;
	return c;
}

void closer_freep(struct closer **at)
{
	struct closer *c = *at;
	if (c == NULL)
		return;
	c->run.late = false; // the process ends before it
	drop_work(c);
	ticker_freep(&c->ticker);
	evaluator_freep(&c->evaluator);
	accounts_feed_freep(&c->feed);
	free(c);
	*at = NULL;
}

void closer_numbers(const struct closer *c, struct closer_numbers *ret)
{
	*ret = c->numbers;
}

static void wait_for(struct closer *c, const char *what)
{
	snprintf(c->numbers.waits_for, sizeof(c->numbers.waits_for), "%s", what);
}

// ---- the control topic
static enum relay_status reload(struct closer *c, struct journal **journal, struct error *e)
{
	struct relay_numbers n;
	relay_numbers(c->o.relay, &n);
	struct journal *fresh = NULL;
	enum error_class cls = journal_load_from(c->port, c->o.kafka, c->o.timeout_ms, &fresh, e);
	if (cls == ERROR_NONE && fresh->generation_at != (*journal)->generation_at)
		cls = closing_adopt(c->o.store, c->o.shards, fresh, e);
	if (cls != ERROR_NONE) {
		journal_freep(&fresh);
		return closing_status(cls);
	}
	drop_work(c);
	journal_freep(journal);
	*journal = fresh;
	evaluator_forget(c->evaluator);
	c->totals.month = MONTH_NONE;
	c->stale = false;
	c->take_overs = n.take_overs;
	return RELAY_DONE;
}

// Decides nothing that is not in the topic: whatever becomes of the transaction, the topic is read again before the next step.
static enum relay_status decide(struct step *s, const char *record)
{
	struct message m = { .topic = s->c->o.kafka->control_topic, .partition = 0, .value = span_of(record) };
	s->c->stale = true;
	s->c->halt = (struct error){ 0 };
	*s->more = true;
	return relay_publish(s->c->o.relay, &m, 1, s->e);
}

static const struct journal_rules *newest_rules(const struct journal *j)
{
	check(j->n_rules > 0);
	return &j->rules[j->n_rules - 1];
}

// ---- partitions that appeared
static enum error_class find_new(struct step *s, const char *topic, struct journal_part **list, uint32_t *n)
{
	struct closer *c = s->c;
	struct topic_info info = { 0 };
	enum error_class cls = c->port->describe(c->o.kafka, topic, c->o.timeout_ms, &info, s->e);
	if (cls != ERROR_NONE)
		return cls;
	if (!info.exists)
		return error_set(s->e, ERROR_RETRY, 0, "input topic %s does not exist; create it", topic);
	int64_t clock_ms = s->j->n_manifests == 0 ? TIME_NONE :
		rules_close_ms(newest_rules(s->j)->rules, s->j->manifests[s->j->n_manifests - 1].month);
	for (int32_t p = 0; p < info.partitions; p++) {
		CLEANUP(freep) char *name = xasprintf("%s/%d", topic, p);
		int64_t low = 0, high = 0;
		if (journal_part(s->j, span_of(name)) != NULL)
			continue;
		cls = c->port->offsets(c->o.kafka, topic, p, c->o.timeout_ms, &low, &high, s->e);
		if (cls != ERROR_NONE)
			return cls;
		*list = xrealloc(*list, *n + 1, sizeof(**list));
		(*list)[(*n)++] = (struct journal_part){ .topic = (char *)(uintptr_t)topic, .partition = p, .offset = low, .clock_ms = clock_ms };
	}
	return ERROR_NONE;
}

static enum relay_status admit(struct step *s, bool *ret_admitted)
{
	struct closer *c = s->c;
	bool soon = c->admitted && s->now_ms >= c->admitted_ms && s->now_ms - c->admitted_ms < ADMIT_EVERY_MS;
	if (soon)
		return RELAY_DONE;
	CLEANUP(freep) struct journal_part *list = NULL;
	uint32_t n = 0;
	for (uint32_t i = 0; c->o.kafka->input_topics[i] != NULL; i++) {
		enum error_class cls = find_new(s, c->o.kafka->input_topics[i], &list, &n);
		if (cls != ERROR_NONE)
			return closing_status(cls);
	}
	c->admitted = true;
	c->admitted_ms = s->now_ms;
	if (n == 0)
		return RELAY_DONE;
	CLEANUP(freep) char *record = journal_admit_record(list, n);
	*ret_admitted = true;
	c->admitted = false;
	return decide(s, record);
}

// ---- requests
static bool request_is(const json_t *j, const char *kind)
{
	const char *have = json_string_value(json_object_get(j, "kind"));
	return have != NULL && strcmp(have, kind) == 0;
}

static bool request_close(struct step *s, const json_t *j)
{
	const char *period = json_string_value(json_object_get(j, "period"));
	int month;
	if (!request_is(j, "close") || period == NULL || !month_parse(span_of(period), &month))
		return false;
	s->c->asked = true;
	return true;
}

// Leaves the request where it is: it goes once the control topic holds what it asks for.
static enum relay_status request_rules(struct step *s, const json_t *j, bool *ret_stays, bool *ret_decided)
{
	CLEANUP(rules_freep) struct rules *rules = propose_read(j, s->j);
	CLEANUP(freep) char *record = NULL;
	bool may = true;
	int64_t floor_ms = TIME_NONE;
	if (rules == NULL)
		return RELAY_DONE;
	enum error_class cls = propose_floor(&s->c->o, s->j, &may, &floor_ms, s->e);
	*ret_stays = true;
	if (cls == ERROR_NONE && !may)
		return RELAY_DONE;
	if (cls == ERROR_NONE)
		cls = propose_make(s->c->o.store, s->c->o.shards, s->j, rules, floor_ms, s->now_ms, &record, s->e);
	if (cls != ERROR_NONE)
		return closing_status(cls);
	*ret_decided = true;
	log_line(LVL_INFO, "rules_decided", "version=%lld catalog=%s", (long long)(newest_rules(s->j)->version + 1), catalog_version(rules->catalog));
	return decide(s, record);
}

// A version that some shard asks for and nobody wrote: a closer died in between.
static enum relay_status missing_version(struct step *s, bool *ret_decided)
{
	int64_t highest = 0;
	enum error_class cls = propose_highest(s->c->o.store, s->c->o.shards, &highest, s->e);
	CLEANUP(freep) char *record = NULL;
	if (cls == ERROR_NONE && highest > newest_rules(s->j)->version)
		cls = propose_make(s->c->o.store, s->c->o.shards, s->j, newest_rules(s->j)->rules, TIME_NONE, s->now_ms, &record, s->e);
	if (cls != ERROR_NONE)
		return closing_status(cls);
	s->c->versions_checked = record == NULL;
	*ret_decided = record != NULL;
	return record != NULL ? decide(s, record) : RELAY_DONE;
}

static enum relay_status request_generation(struct step *s, const json_t *j, bool *ret_stays, bool *ret_decided)
{
	int64_t generation = json_integer_value(json_object_get(j, "generation"));
	bool may = false;
	bool stale = json_integer_value(json_object_get(j, "after")) != s->j->generation_at;
	if (generation == s->j->generation || stale) {
		if (generation != s->j->generation)
			log_line(LVL_WARN, "generation_refused", "generation=%lld in_force=%lld", (long long)generation, (long long)s->j->generation);
		return RELAY_DONE;
	}
	enum error_class cls = propose_generation(s->c->o.store, s->c->o.shards, generation, &may, s->e);
	if (cls != ERROR_NONE)
		return closing_status(cls);
	log_line(may ? LVL_INFO : LVL_WARN, may ? "generation_decided" : "generation_refused", "generation=%lld in_force=%lld",
		 (long long)generation, (long long)s->j->generation);
	if (!may)
		return RELAY_DONE;
	*ret_stays = *ret_decided = true;
	CLEANUP(freep) char *record = journal_generation_record(generation);
	return decide(s, record);
}

static enum relay_status requests(struct step *s, bool *ret_decided)
{
	struct store *store = s->c->o.store;
	CLEANUP(freep) char *text = NULL;
	enum error_class cls = store->ops->request_peek(store, &text, s->e);
	if (cls != ERROR_NONE || text == NULL)
		return closing_status(cls);
	CLEANUP(json_freep) json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (request_is(j, "rules") || request_is(j, "generation")) {
		bool stays = false;
		enum relay_status r = request_is(j, "rules") ? request_rules(s, j, &stays, ret_decided) : request_generation(s, j, &stays, ret_decided);
		if (r != RELAY_DONE || stays)
			return r;
	} else if (!request_close(s, j)) {
		log_line(LVL_WARN, "request_unknown", "dropped=true");
	}
	return closing_status(store->ops->request_drop(store, span_of(text), s->e));
}

// ---- which month
enum error_class closing_first_month(struct store *store, uint32_t shards, int *ret_first, int *ret_certain, struct error *e)
{
	int counted = MONTH_NONE, first = MONTH_NONE;
	for (int round = 0; round < 2; round++) {
		for (uint32_t shard = 0; shard < shards; shard++) {
			struct store_months months = { 0 };
			enum error_class cls = store->ops->months(store, shard, &months, e);
			if (cls != ERROR_NONE)
				return cls;
			for (uint32_t i = 0; i < months.n; i++) {
				int at = months.list[i].adjust_month == MONTH_NONE ? months.list[i].month : months.list[i].adjust_month;
				if (round == 0 && (counted == MONTH_NONE || at < counted))
					counted = at;
				if (round == 1 && at == counted && (first == MONTH_NONE || months.list[i].month < first))
					first = months.list[i].month;
			}
			store_months_free(&months);
		}
	}
	*ret_first = first;
	*ret_certain = counted;
	return ERROR_NONE;
}

// Manifests finished in every shard: a shard that finished a month has finished those before it.
static enum error_class count_finished(struct step *s, uint32_t *ret)
{
	struct store *store = s->c->o.store;
	uint32_t done = s->j->n_manifests;
	for (uint32_t shard = 0; shard < s->c->o.shards; shard++) {
		bool finished = false;
		while (done > 0 && !finished) {
			enum error_class cls = store->ops->finished(store, shard, s->j->manifests[done - 1].month, &finished, s->e);
			if (cls != ERROR_NONE)
				return cls;
			done -= !finished;
		}
	}
	*ret = done;
	return ERROR_NONE;
}

static void show_month(struct step *s)
{
	struct closer_numbers *n = &s->c->numbers;
	bool open = s->month != MONTH_NONE && s->month <= MONTH_LAST;
	n->open_month = open ? s->month : MONTH_NONE;
	n->wait_month = open ? s->wait_month : MONTH_NONE;
	if (!open)
		return;
	n->closes_ms = rules_close_ms(s->rules, s->wait_month);
	n->due_ms = period_end_ms(catalog_zone(s->rules->catalog), s->wait_month) + (int64_t)DUE_DAYS * 86400000;
}

static enum error_class choose_month(struct step *s)
{
	uint32_t done = 0;
	enum error_class cls = count_finished(s, &done);
	if (cls != ERROR_NONE)
		return cls;
	s->rules = newest_rules(s->j)->rules;
	s->c->numbers.closed_month = done > 0 ? s->j->manifests[done - 1].month : MONTH_NONE;
	if (done > 0)
		s->c->numbers.closed_ms = period_end_ms(catalog_zone(s->rules->catalog), s->c->numbers.closed_month);
	if (done < s->j->n_manifests) {
		s->manifest = &s->j->manifests[done];
		s->month = s->wait_month = s->manifest->month;
		s->rules = journal_rules_version(s->j, s->manifest->rules_version)->rules;
	} else if (done > 0) {
		s->month = s->wait_month = s->j->manifests[done - 1].month + 1;
	} else {
		cls = closing_first_month(s->c->o.store, s->c->o.shards, &s->month, &s->wait_month, s->e);
	}
	if (cls == ERROR_NONE)
		show_month(s);
	return cls;
}

// ---- the manifest
static int part_order(const void *x, const void *y)
{
	const struct journal_part *a = *(const struct journal_part *const *)x, *b = *(const struct journal_part *const *)y;
	int c = strcmp(a->topic, b->topic);
	return c != 0 ? c : (a->partition > b->partition) - (a->partition < b->partition);
}

// The partition's first offset with clock >= close(m). One that began behind the close has its start for a cut, whatever was read of
// it since; of any other the shards have noted it when their clocks passed, all the same one.
static enum error_class find_cut(struct step *s, const struct journal_part *p, int64_t *ret)
{
	struct store *store = s->c->o.store;
	if (p->clock_ms != TIME_NONE && p->clock_ms >= rules_close_ms(s->rules, s->month)) {
		*ret = p->offset;
		return ERROR_NONE;
	}
	int64_t cut = -1;
	for (uint32_t shard = 0; shard < s->c->o.shards; shard++) {
		int64_t at = -1;
		enum error_class cls = store->ops->cut(store, shard, s->month, span_of(p->name), &at, s->e);
		if (cls != ERROR_NONE)
			return cls;
		if (at < 0)
			return error_set(s->e, ERROR_RETRY, 0, "shard %u is past the close in %s and holds no cut of it", shard, p->name);
		if (cut >= 0 && at != cut)
			return error_set(s->e, ERROR_HALT, 0, "the shards disagree on the cut of %s: %lld and %lld; a rebuild is needed", p->name,
					 (long long)cut, (long long)at);
		cut = at;
	}
	*ret = cut;
	return ERROR_NONE;
}

// The first month of all was chosen while some clocks may have stood before its close: a slower partition may have brought an earlier
// one since. Now that all are past it, nothing earlier can come.
static enum error_class still_first(struct step *s)
{
	int month = MONTH_NONE, wait_month = MONTH_NONE;
	if (s->j->n_manifests > 0)
		return ERROR_NONE;
	enum error_class cls = closing_first_month(s->c->o.store, s->c->o.shards, &month, &wait_month, s->e);
	if (cls == ERROR_NONE && (month != s->month || wait_month != s->wait_month))
		cls = error_set(s->e, ERROR_RETRY, 0, "an earlier month came in while the first one was to be closed");
	return cls;
}

// Contracts and packs that this month's bills take: all that is there now. No manifest names less than the one before.
static enum error_class find_accounts(struct step *s, struct journal_manifest *m)
{
	struct closer *c = s->c;
	const int64_t *at;
	enum error_class cls = accounts_feed_refresh(c->feed, c->port, c->o.kafka, c->o.timeout_ms, s->e);
	accounts_feed_numbers(c->feed, &c->numbers.accounts);
	if (cls == ERROR_NONE && s->j->n_manifests > 0)
		cls = accounts_reach(c->feed, c->o.kafka->accounts_topic, &s->j->manifests[s->j->n_manifests - 1], s->e);
	if (cls != ERROR_NONE)
		return cls;
	m->n_accounts = (uint32_t)accounts_feed_offsets(c->feed, &at);
	m->accounts = xcalloc(m->n_accounts + 1, sizeof(*m->accounts));
	for (uint32_t i = 0; i < m->n_accounts; i++)
		m->accounts[i] = (struct journal_cut){ xasprintf("%s/%u", c->o.kafka->accounts_topic, i), at[i] };
	m->corrects = account_book_corrected(accounts_feed_book(c->feed)) > 0;
	return ERROR_NONE;
}

static void accounts_free(struct journal_manifest *m)
{
	for (uint32_t i = 0; i < m->n_accounts; i++)
		free(m->accounts[i].name);
	free(m->accounts);
}

// Cuts are read while all clocks are past the close, as the totals were. Without totals all but the record is made: what stands in its way halts
// before a month is read.
static enum relay_status make_manifest(struct step *s)
{
	bool whole = s->c->totals.month == s->month;
	CLEANUP(accounts_free) struct journal_manifest m = { .month = s->month, .rules_version = newest_rules(s->j)->version,
		.n_cuts = s->j->n_parts, .counters = s->c->totals.counters, .calls = s->c->totals.calls };
	CLEANUP(freep) struct journal_cut *cuts = xcalloc(m.n_cuts + 1, sizeof(*cuts));
	CLEANUP(freep) const struct journal_part **parts = xcalloc(m.n_cuts + 1, sizeof(*parts));
	for (uint32_t i = 0; i < m.n_cuts; i++)
		parts[i] = &s->j->parts[i];
	if (m.n_cuts > 0)
		qsort(parts, m.n_cuts, sizeof(*parts), part_order);
	enum error_class cls = ERROR_NONE;
	for (uint32_t i = 0; i < m.n_cuts && cls == ERROR_NONE; i++) {
		cuts[i].name = parts[i]->name;
		cls = find_cut(s, parts[i], &cuts[i].offset);
	}
	if (cls == ERROR_NONE)
		cls = find_accounts(s, &m);
	if (cls == ERROR_NONE)
		cls = still_first(s);
	if (cls == ERROR_NONE)
		cls = still_past(s->c->o.store, s->c->o.shards, s->j, s->close_ms, s->e);
	if (cls != ERROR_NONE || !whole)
		return closing_status(cls);
	m.cuts = cuts;
	CLEANUP(freep) char *record = journal_manifest_record(&m);
	s->c->asked = false;
	return decide(s, record);
}

// ---- what goes on beside
static struct settle_scope scope_of(const struct step *s)
{
	return (struct settle_scope){ .o = &s->c->o, .j = s->j, .m = s->manifest, .rules = s->rules, .book = accounts_feed_book(s->c->feed) };
}

static void run_begin(struct step *s, enum run_of of)
{
	struct closer *c = s->c;
	struct closing_run *r = &c->run;
	*r = (struct closing_run){ .of = of, .o = c->o, .scope = scope_of(s), .month = s->month, .close_ms = s->close_ms, .work = c->work, .under_way = true };
	r->scope.o = &r->o;
	if (c->o.settles != SETTLES_WITHIN) {
		r->o.store = c->o.beside;
		r->o.store->ops->identity(r->o.store, s->j->init_id, s->j->generation);
	}
	r->late = c->o.settles == SETTLES_LATE;
	r->on_thread = c->o.settles == SETTLES_BESIDE && pthread_create(&r->thread, NULL, run_main, r) == 0;
	if (!r->on_thread && !r->late)
		run_main(r);
}

// Begins it, or goes on with it. *ret_done: what came of it lies in the closer's run.
static enum relay_status run_step(struct step *s, enum run_of of, bool *ret_done)
{
	struct closing_run *r = &s->c->run;
	bool begun = r->under_way;
	*s->more = true;
	if (!begun)
		run_begin(s, of);
	check(r->of == of);
	if ((!begun && (r->on_thread || r->late)) || !run_over(s->c))
		return RELAY_DONE;
	r->under_way = false;
	*ret_done = r->status == RELAY_DONE;
	if (*ret_done)
		s->c->halt = (struct error){ 0 };
	else
		*s->e = r->e;
	return r->status;
}

static enum relay_status find_totals(struct step *s)
{
	bool done = false;
	enum relay_status r = run_step(s, RUN_TOTALS, &done);
	if (done)
		s->c->totals = s->c->run.totals;
	return r;
}

// ---- settling
static enum error_class end_run(struct step *s)
{
	struct closer *c = s->c;
	struct settle_scope scope = scope_of(s);
	arena_reset(&c->work->arena);
	return settling_end_run(&scope, &c->run.sums, &c->work->arena, s->e);
}

// All accounts of the shard are settled. Of shard 0 that makes the month whole, and the relay goes first.
static enum relay_status finish_shard(struct step *s)
{
	struct closer *c = s->c;
	struct settling *w = c->work;
	struct relay_numbers n;
	enum error_class cls = ERROR_NONE;
	bool done = false;
	*s->more = true;
	if (w->shard == 0) {
		relay_numbers(c->o.relay, &n);
		if (!c->waits_pass)
			c->pass = n.passes;
		c->waits_pass = true;
		wait_for(c, "outbox");
		if (n.passes == c->pass)
			return RELAY_DONE;
		enum relay_status r = run_step(s, RUN_SUMS, &done);
		if (!done)
			return r;
		c->waits_pass = false;
		cls = end_run(s);
	}
	if (cls == ERROR_NONE)
		cls = c->o.store->ops->finish(c->o.store, w->shard, s->month, &(struct store_held){ w->held.counters, w->held.freezes,
			w->held.late_fields, w->held.n_late_months, w->held.late_months, w->statements }, s->e);
	drop_work(c);
	return closing_status(cls);
}

// Adds what the step made.
static void settle_numbers(struct closer *c)
{
	struct settled_step *made = &c->work->step;
	c->numbers.statements += made->statements;
	c->numbers.lines += made->lines;
	c->numbers.adjustments += made->adjustments;
	c->numbers.corrected += made->corrected;
	c->numbers.passed_over += made->passed_over;
}

static enum relay_status settle(struct step *s)
{
	struct closer *c = s->c;
	bool done = false;
	if (c->settled)
		return finish_shard(s);
	enum relay_status r = run_step(s, RUN_SETTLES, &done);
	if (!done)
		return r;
	if (c->run.full)
		wait_for(c, "outbox");
	settle_numbers(c);
	c->settled = c->run.done;
	if (c->settled)
		return finish_shard(s);
	if (c->o.settles != SETTLES_WITHIN)
		run_begin(s, RUN_SETTLES);
	return RELAY_DONE;
}

// A closer that is new reads the accounts topic up to what the manifest names, at least.
static enum error_class bring_accounts(struct step *s)
{
	struct closer *c = s->c;
	if (accounts_reach(c->feed, c->o.kafka->accounts_topic, s->manifest, NULL) == ERROR_NONE)
		return ERROR_NONE;
	enum error_class cls = accounts_feed_refresh(c->feed, c->port, c->o.kafka, c->o.timeout_ms, s->e);
	accounts_feed_numbers(c->feed, &c->numbers.accounts);
	return cls == ERROR_NONE ? accounts_reach(c->feed, c->o.kafka->accounts_topic, s->manifest, s->e) : cls;
}

static enum relay_status begin_shard(struct step *s)
{
	struct closer *c = s->c;
	*s->more = true;
	for (uint32_t k = 1; k <= c->o.shards; k++) {
		uint32_t shard = k % c->o.shards;
		bool finished = false;
		enum error_class cls = c->o.store->ops->finished(c->o.store, shard, s->month, &finished, s->e);
		if (cls != ERROR_NONE)
			return closing_status(cls);
		if (!finished) {
			struct settle_scope scope = scope_of(s);
			c->waits_pass = false;
			cls = bring_accounts(s);
			return cls != ERROR_NONE ? closing_status(cls) :
				settling_begin(&scope, s->manifest != &s->j->manifests[0], shard, &c->work, s->e);
		}
	}
	return RELAY_DONE; // finished meanwhile: the next step finds it so
}

static bool resume(struct step *s)
{
	const struct settling *w = s->c->work;
	s->manifest = w != NULL ? journal_manifest(s->j, w->month) : NULL;
	if (s->manifest == NULL)
		return false;
	s->month = s->manifest->month;
	s->rules = journal_rules_version(s->j, s->manifest->rules_version)->rules;
	return true;
}

// ---- one step
static enum relay_status wait_or_work(struct step *s)
{
	struct closer *c = s->c;
	enum error_class cls = choose_month(s);
	if (cls != ERROR_NONE)
		return closing_status(cls);
	if (s->month == MONTH_NONE || s->month > MONTH_LAST) {
		wait_for(c, "a first call");
		return RELAY_DONE;
	}
	s->close_ms = rules_close_ms(s->rules, s->wait_month);
	cls = look_take(c->o.store, c->o.shards, s->j, &s->look, s->e);
	if (cls == ERROR_NONE)
		cls = evaluator_run(c->evaluator, &c->o, s->j, s->book, &s->look, s->now_ms, s->e);
	if (cls != ERROR_NONE)
		return closing_status(cls);
	if (!look_reached(&s->look, s->j, s->manifest, s->close_ms, c->numbers.waits_for)) {
		bool asked = c->asked;
		c->totals.month = MONTH_NONE;
		int64_t change_ms = evaluator_waits(c->evaluator);
		c->asked = false;
		// A change before the close is waited for in idle partitions too. Where the log is the clock nobody waits.
		if (change_ms < s->close_ms && s->rules->settings.clock == CLOCK_WALL && !asked)
			return ticker_run(c->ticker, s->j, &s->look, TICK_CHANGE, change_ms, CLOCK_WALL, s->now_ms, false, s->e);
		return ticker_run(c->ticker, s->j, &s->look, TICK_CLOSE, s->close_ms, s->rules->settings.clock, s->now_ms, asked, s->e);
	}
	if (s->manifest != NULL)
		return begin_shard(s);
	enum relay_status r = RELAY_DONE;
	if (c->totals.month != s->month && (r = make_manifest(s)) == RELAY_DONE)
		r = find_totals(s);
	return r == RELAY_DONE && c->totals.month == s->month ? make_manifest(s) : r;
}

static enum relay_status look_and_act(struct step *s)
{
	struct closer *c = s->c;
	bool soon = c->looked && s->now_ms >= c->looked_ms && s->now_ms - c->looked_ms < LOOK_EVERY_MS;
	if (soon)
		return RELAY_DONE;
	bool admitted = false;
	enum relay_status r = c->versions_checked ? RELAY_DONE : missing_version(s, &admitted);
	if (r == RELAY_DONE && !admitted)
		r = requests(s, &admitted);
	wait_for(c, "");
	if (r == RELAY_DONE && !admitted)
		r = admit(s, &admitted);
	if (r == RELAY_DONE && !admitted)
		r = wait_or_work(s);
	look_free(&s->look);
	c->looked = r == RELAY_DONE && !*s->more; // what was found undone goes on at once
	c->looked_ms = s->now_ms;
	return r;
}

static enum relay_status check_relay(struct closer *c, struct error *e)
{
	struct relay_numbers n;
	if (!relay_in_charge(c->o.relay))
		return RELAY_TAKE_OVER;
	relay_numbers(c->o.relay, &n);
	c->stale = c->stale || n.take_overs != c->take_overs;
	c->versions_checked = c->versions_checked && n.take_overs == c->take_overs;
	if (n.settlement_twin) {
		error_set(e, ERROR_HALT, 0, "settlement or statement %s is published with other content than the outbox holds; closing stops until a person "
			  "has looked at both (meterctl settlements)", n.settlement_twin_id);
		return RELAY_HALT;
	}
	return RELAY_DONE;
}

static enum relay_status run(struct step *s)
{
	struct closer *c = s->c;
	if (s->j->init_id[0] == '\0' || s->j->n_rules == 0) {
		error_set(s->e, ERROR_ABORT, EXIT_CONFIG_ERR, "the control topic holds no init; run `meterctl init` once");
		return RELAY_ABORT;
	}
	if (c->run.under_way && c->run.of == RUN_TOTALS)
		return find_totals(s);
	if (resume(s))
		return settle(s);
	drop_work(c);
	return look_and_act(s);
}

// A person may have another generation put in force, whose bills are those that are out.
static enum relay_status hear_while_halted(struct closer *c, struct journal **journal, const struct account_book *book, int64_t now_ms)
{
	struct error passing = { 0 };
	bool more = false, decided = false;
	closer_rest(c);
	struct step s = { .c = c, .j = *journal, .book = book, .now_ms = now_ms, .more = &more, .e = &passing, .month = MONTH_NONE, .wait_month = MONTH_NONE };
	enum relay_status r = c->stale ? reload(c, journal, &passing) : RELAY_DONE;
	s.j = *journal;
	if (r == RELAY_DONE)
		r = requests(&s, &decided);
	if (r == RELAY_DONE && c->stale)
		r = reload(c, journal, &passing);
	return r == RELAY_TAKE_OVER || r == RELAY_FENCED || r == RELAY_ABORT ? r : RELAY_HALT;
}

// What is only begun is no end of a halt.
static enum relay_status remember_halt(struct closer *c, enum relay_status r, bool more, struct error *e)
{
	if (r == RELAY_HALT)
		c->halt = *e;
	else if (r == RELAY_DONE && !more)
		c->halt = (struct error){ 0 };
	else if (r == RELAY_DONE && c->halt.cls != ERROR_NONE)
		*e = c->halt;
	return r == RELAY_DONE && c->halt.cls != ERROR_NONE ? RELAY_HALT : r;
}

enum relay_status closer_step(struct closer *c, struct journal **journal, const struct account_book *book, int64_t now_ms, bool *ret_more, struct error *e)
{
	*ret_more = false;
	enum relay_status r = check_relay(c, e);
	if (r == RELAY_HALT)
		return hear_while_halted(c, journal, book, now_ms);
	if (r == RELAY_DONE && c->stale)
		r = reload(c, journal, e);
	if (r != RELAY_DONE)
		return r;
	struct step s = { .c = c, .j = *journal, .book = book, .now_ms = now_ms, .more = ret_more, .e = e, .month = MONTH_NONE, .wait_month = MONTH_NONE };
	r = run(&s);
	if (r != RELAY_DONE) {
		drop_work(c);
		c->totals.month = MONTH_NONE;
		c->waits_pass = false;
		*ret_more = false;
	}
	if (r == RELAY_DONE && c->stale)
		r = reload(c, journal, e);
	return remember_halt(c, r, *ret_more, e);
}
