// SPDX-License-Identifier: Apache-2.0
// One record: what its outcome (decide/decide.h) adds to the open batch, shard by shard.
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "pipeline/state.h"
#include "store/store.h"

static void part_outcome(struct part *p, uint32_t shard, enum outcome o)
{
	p->shards[shard].outcomes[o]++;
	p->shards[shard].touched = true;
	p->totals[o]++;
}

static void worker_reject(struct worker *w, struct part *p, const struct record *r, const struct decision *d)
{
	if (r->offset < p->shards[0].start)
		return;
	const struct reject_info *info = reject_info(d->why.reject);
	const char *detail = d->why.detail;
	char message[400];
	snprintf(message, sizeof(message), "%s%s%s", info->message, detail[0] != '\0' ? ": " : "", detail);
	struct dlq_reason reason = { info->stage, info->code, message, d->course.clock_ms };
	struct error e = { 0 };
	while (w->dlq->ops->send(w->dlq, p->topic, p->partition, r, &reason, &e) != ERROR_NONE) {
		// The queue is full: wait for room. Nothing is lost, the offset has not moved.
		if (e.cls != ERROR_RETRY || worker_stopping(w)) {
			worker_trouble(w, e.cls == ERROR_RETRY ? TROUBLE_REJOIN : TROUBLE_ABORT, e.text);
			return;
		}
		e = (struct error){ 0 };
		worker_alive(w);
		w->dlq->ops->pending(w->dlq, 100);
	}
	w->open_rejects = true;
	part_outcome(p, 0, OUTCOME_REJECTED);
}

static struct call_ref *worker_call(struct batch *b, const struct record *r, const struct event *ev, int64_t calls)
{
	struct call_ref *ref = arena_alloc(&b->arena, sizeof(*ref));
	*ref = (struct call_ref){ .offset = r->offset,
				  .time_ms = ev->time_ms,
				  .calls = calls,
				  .timestamp_ms = r->timestamp_ms,
				  .id = arena_copy(&b->arena, ev->id),
				  .source = arena_copy(&b->arena, ev->source),
				  .part = r->part };
	return ref;
}

// ---- accounts whose calls lie in partitions with different clocks

// The next change before a partition, and its rules. Where it is still read back, it counts from the stored clock on.
static int64_t part_turn(struct worker *w, struct part *p, const struct journal_rules **ret_rules)
{
	if (p->next <= p->start) {
		*ret_rules = journal_rules_at(w->journal, p->stored_clock_ms);
		return plans_next_turn(w->plans, *ret_rules, p->stored_clock_ms);
	}
	*ret_rules = p->course.rules;
	if (p->next_turn_ms == INT64_MIN)
		p->next_turn_ms = plans_next_turn(w->plans, p->course.rules, p->course.clock_ms);
	return p->next_turn_ms;
}

// Partitions between the same two changes have the same one before them.
static void find_mixed(struct worker *w)
{
	const struct journal_rules *first_rules = NULL, *rules;
	int64_t first_ms = 0;
	w->turned = w->mixed = w->mixed_rules = false;
	for (uint32_t i = 0; i < w->n_parts && w->n_parts > 1; i++) {
		if (w->parts[i].state != PART_RUNNING)
			continue;
		int64_t turn_ms = part_turn(w, &w->parts[i], &rules);
		if (first_rules == NULL) {
			first_rules = rules;
			first_ms = turn_ms;
		}
		w->mixed_rules = w->mixed_rules || rules != first_rules;
		w->mixed = w->mixed_rules || w->mixed || turn_ms != first_ms;
	}
}

// Can it matter for this account that partitions stand at different clocks?
static bool account_is_mixed(const struct worker *w, struct span account)
{
	return w->mixed && (w->mixed_rules || plans_watched(w->plans, account));
}

// The clock by which the account's calls out of this partition are weighed: the latest by which calls of it were. A shard looks at an account's counters
// at each change once, so calls behind it must not be weighed any more by what it ended.
static int64_t weighing_clock(struct worker *w, const struct batch *b, const struct part *p, struct span account, uint32_t shard)
{
	if (!account_is_mixed(w, account))
		return p->course.clock_ms;
	struct holder *h = aggregate_holder(w->aggregate, account, HOLDER_ACCOUNT, shard);
	if (p->course.clock_ms > h->weighed_ms)
		h->weighed_ms = p->course.clock_ms;
	h->weighed = b->serial;
	return h->weighed_ms;
}

// The batch holds calls of the account that were weighed by what a change ended which this record is behind. Those that it holds from before partitions
// were mixed are not written down: the partition that comes to the change first ends the batch where it has them (worker_split_due).
static bool terms_differ(struct worker *w, const struct batch *b, const struct decision *d)
{
	if (b->calls == 0 || !account_is_mixed(w, d->account))
		return false;
	const struct holder *h = aggregate_holder(w->aggregate, d->account, HOLDER_ACCOUNT, store_shard(d->account, w->o.store->shards));
	int64_t clock_ms = d->course.clock_ms;
	if (h->weighed != b->serial || clock_ms <= h->weighed_ms)
		return false;
	const struct zone *z = catalog_zone(d->course.rules->rules->catalog); // a set of plans spans the months that are open in one of the clock
	return plans_change(w->plans, clock_ms, d->account) > h->weighed_ms ||
	       (plans_watched(w->plans, d->account) && period_month(z, clock_ms) != period_month(z, h->weighed_ms));
}

// Which alerts the counter's calls of this batch may raise: as of that record clock.
static void counter_plan(struct worker *w, struct batch *b, const struct part *p, int64_t clock_ms, struct counter *c)
{
	struct span account = counter_account(c);
	const struct journal_rules *rules = clock_ms == p->course.clock_ms ? p->course.rules : journal_rules_at(w->journal, clock_ms);
	struct plan_row row = plans_row(w->plans, rules, clock_ms, account, c->service, c->month);
	aggregate_terms(w->aggregate, c, &(struct counter_terms){ row.plain, row.first, row.allowance, row.month, row.service, row.scope,
		plans_watched(w->plans, account) });
	aggregate_changed(w->aggregate, b, c, row.change_ms, row.changes_later);
}

// In one batch an account is weighed by one allowance: that of the first call. Where an account's events lie in several partitions
// with far different clocks, a later call may not be in it: then the next commit looks at the whole.
static void counter_take(struct worker *w, struct batch *b, const struct counter *c, const struct call_ref *ref)
{
	const struct counter_more *m = c->more;
	struct holder *h = aggregate_holder(w->aggregate, counter_account(c), m->scope, c->shard);
	const struct allowance *of = aggregate_allowance(b, h);
	uint32_t month = m->in_month, service = m->in_service;
	if (of == NULL || of == m->allowance)
		aggregate_take(b, h, m->allowance, month, service, ref);
	else if (allowance_find(of, catalog_service_id(w->newest->rules->catalog, c->service), c->month, &month, &service))
		aggregate_take(b, h, of, month, service, ref);
	else
		aggregate_look(b, h);
}

static bool account_is_open(void *ctx, struct span account)
{
	const struct worker *w = ctx;
	return aggregate_touched(w->aggregate, worker_open(w)->batch, account);
}

// Calls before a change and calls after it out of one partition are never in one batch: each is weighed by what held at its own clock.
bool worker_split_due(struct worker *w, const struct record *r)
{
	struct part *p = &w->parts[r->part];
	if (w->turned)
		find_mixed(w);
	if (r->timestamp_ms < p->next_turn_ms || r->timestamp_ms <= p->course.clock_ms || p->state != PART_RUNNING || r->offset < p->next ||
	    r->offset < p->start)
		return false;
	if (p->next_turn_ms == INT64_MIN) { // not known yet
		p->next_turn_ms = plans_next_turn(w->plans, p->course.rules, p->course.clock_ms);
		if (r->timestamp_ms < p->next_turn_ms)
			return false;
	}
	p->next_turn_ms = INT64_MIN; // behind this record it is another
	w->turned = true;
	w->mixed = w->n_parts > 1;
	w->mixed_rules = w->mixed && (w->mixed_rules || r->timestamp_ms >= p->course.next_rules_ms);
	if (worker_open(w)->batch->calls == 0)
		return false;
	return r->timestamp_ms >= p->course.next_rules_ms || worker_open(w)->batch->entries > 0 ||
	       plans_turning(w->plans, p->course.rules, p->course.clock_ms, r->timestamp_ms, account_is_open, w);
}

static void worker_count(struct worker *w, struct part *p, const struct record *r, const struct decision *d, uint32_t shard)
{
	bool late = d->outcome == OUTCOME_LATE;
	struct batch *b = worker_open(w)->batch;
	int64_t clock_ms = weighing_clock(w, b, p, d->account, shard);
	for (uint32_t i = 0; i < d->n; i++) {
		struct counter *c = aggregate_counter(w->aggregate, d->account, d->items[i].service, d->month,
						      late ? p->course.open_month : MONTH_NONE, shard);
		if (c->batch != b->serial && !late)
			counter_plan(w, b, p, clock_ms, c);
		else if (c->batch != b->serial) // it may make the account active in an earlier month
			aggregate_changed(w->aggregate, b, c, plans_change(w->plans, clock_ms, counter_account(c)), false);
		struct call_ref *ref = worker_call(b, r, d->event, d->items[i].calls);
		aggregate_add(w->aggregate, b, c, ref);
		if (c->more != NULL && c->more->allowance != NULL)
			counter_take(w, b, c, ref);
		if (c->more != NULL && c->more->watched)
			aggregate_holder(w->aggregate, counter_account(c), MONTH_NONE, shard)->touched = b->serial;
	}
}

// The set that may be asked about this record.
static struct dedupe *part_dedupe(const struct part *p, const struct record *r)
{
	// The record of a fingerprint may lie before everything that the set knows; it is not counted either.
	return p->dedupe == NULL || (r->offset < p->start && !dedupe_knows(p->dedupe, r->offset)) ? NULL : p->dedupe;
}

static void worker_count_outcome(struct worker *w, struct part *p, const struct record *r, const struct decision *d)
{
	if (r->offset < p->start)
		return;
	if (d->outcome == OUTCOME_REJECTED) {
		worker_reject(w, p, r, d);
		return;
	}
	uint32_t shard = d->outcome == OUTCOME_CONTROL ? 0 : store_shard(d->account, w->o.store->shards);
	if (r->offset < p->shards[shard].start)
		return;
	if (d->outcome == OUTCOME_COUNTED || d->outcome == OUTCOME_LATE)
		worker_count(w, p, r, d, shard);
	part_outcome(p, shard, d->outcome);
}

// Shards that were ahead join in at their own offset: what lies below it they have had.
static void part_shards_join(struct part *p, int64_t offset)
{
	for (uint32_t s = 0; s < p->n_shards; s++)
		if (offset < p->shards[s].start)
			p->shards[s].consumed_sent = p->consumed + 1;
}

// The fingerprints that the shards kept must be met again: a re-created or truncated topic is another log. So must that of the slices,
// or they are of no use.
static void part_check_print(struct worker *w, struct part *p, const struct record *r)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_prints; i++) {
		const struct part_print *print = &p->prints[i];
		if (r->offset < (print->of_slices ? p->slices_to : print->offset)) {
			p->prints[n++] = *print;
			continue;
		}
		bool met = r->offset == print->offset && record_print(r) == print->print;
		if (!met && print->of_slices) {
			worker_distrust_slices(w, p, "the record behind them is not the one in the log");
			return;
		}
		if (!met) {
			part_halt(p, "the record at offset %lld is not the one that was counted: the topic was made again or cut off. "
				  "Nothing was counted from it; bring the topic back, or point topics.input at the right one",
				  (long long)print->offset);
			return;
		}
	}
	p->n_prints = n;
}

// At the first record to be counted, the clock that was read back must be the one that the shards have.
static void part_check_clock(struct worker *w, struct part *p)
{
	bool differs = p->clock_whole && p->course.clock_ms != p->stored_clock_ms;
	if (differs && p->from_slices)
		worker_distrust_slices(w, p, "with them the record clock is not the one in Redis");
	else if (differs)
		part_halt(p, "the record clock at offset %lld is not the stored one: the log before it has changed", (long long)p->start);
	p->course.clock_ms = p->stored_clock_ms;
	p->clock_whole = p->from_slices = false;
	p->course.rules = journal_rules_at(w->journal, p->course.clock_ms);
}

// An event that may repeat one which retention took cannot be decided.
static void part_check_window(const struct worker *w, struct part *p, const struct record *r, int64_t clock_ms)
{
	char have[TIME_TEXT], need[TIME_TEXT];
	if (!part_window_short(p, r->offset, clock_ms) || (r->n_headers > 0 && record_is_tick(r)) ||
	    SETTING_NOW(w->o.settings, dedupe_short_log) == SHORT_LOG_COUNT)
		return;
	part_halt(p, "the log begins at offset %lld, and the event at offset %lld may repeat an earlier one: records up to clock %s are gone, those from "
		  "%s on are needed. Set a longer retention; to count without them, set dedupe.short_log: count and restart",
		  (long long)p->gone_below, (long long)r->offset, time_text(p->gone_clock_ms, have),
		  time_text(clock_ms - p->dedupe_options.max_age_ms, need));
}

bool worker_decide(struct worker *w, const struct record *r, struct decision *d)
{
	struct part *p = &w->parts[r->part];
	if (p->state != PART_RUNNING || r->offset < p->next)
		return false;
	if (p->n_prints > 0)
		part_check_print(w, p, r);
	bool counting = r->offset >= p->start;
	if (counting && p->next <= p->start && p->read_from < p->start)
		part_check_clock(w, p);
	struct course ahead = p->course;
	if (counting)
		course_move(&ahead, w->journal, r->timestamp_ms);
	else if (r->timestamp_ms > ahead.clock_ms)
		ahead.clock_ms = r->timestamp_ms;
	if (!counting && w->journal->n_rules > 1)
		ahead.rules = journal_rules_at(w->journal, ahead.clock_ms);
	if (counting && p->dedupe != NULL)
		part_check_window(w, p, r, ahead.clock_ms);
	if (p->state != PART_RUNNING)
		return false;
	if (r->offset >= p->next_slice)
		worker_cut_slice(w, p, r);
	if (p->dedupe != NULL)
		dedupe_advance(p->dedupe, r->offset, ahead.clock_ms);
	decide_record(&w->decider, &ahead, part_dedupe(p, r), r, d);
	return true;
}

void worker_look_ahead(struct worker *w, const struct record *records, uint32_t n)
{
	const struct understood *read[DECIDE_AHEAD];
	decide_begin(&w->decider, records, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct part *p = &w->parts[records[i].part];
		bool wanted = p->state == PART_RUNNING && records[i].offset >= p->next && p->course.rules != NULL;
		read[i] = wanted ? decide_ahead(&w->decider, &records[i], p->course.rules) : NULL;
		if (read[i] == NULL)
			continue;
		if (p->dedupe != NULL)
			dedupe_prefetch(p->dedupe, read[i]->key);
		aggregate_prefetch_slot(w->aggregate, read[i]->account, read[i]->items[0].service, read[i]->month);
	}
	for (uint32_t i = 0; i < n; i++)
		if (read[i] != NULL)
			aggregate_prefetch_counter(w->aggregate, read[i]->account, read[i]->items[0].service, read[i]->month);
}

bool worker_order_due(struct worker *w, const struct record *r, const struct decision *d)
{
	const struct batch *b = worker_open(w)->batch;
	return r->offset >= w->parts[r->part].start && (d->outcome == OUTCOME_COUNTED || d->outcome == OUTCOME_LATE) &&
	       (b->groups >= COMMIT_GROUPS_MOST || aggregate_later(b, d->account, d->month) || terms_differ(w, b, d));
}

void worker_take(struct worker *w, const struct record *r, const struct decision *d)
{
	struct part *p = &w->parts[r->part];
	bool counting = r->offset >= p->start;
	if (counting) {
		part_advance(p, &d->course, r->offset);
		if (r->offset < p->max_start)
			part_shards_join(p, r->offset);
		p->consumed++;
		p->gaps += r->offset - (p->next > p->start ? p->next : p->start);
	} else {
		p->course = d->course;
		p->read_back++;
	}
	p->next = r->offset + 1;
	w->last_record[r->part] = 0; // set to its index by the loop
	worker_count_outcome(w, p, r, d);
	if (counting)
		w->open_records++;
}
