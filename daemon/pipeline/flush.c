// SPDX-License-Identifier: Apache-2.0
// From the open batch to the shards and back. Commits of one shard are chained by their offsets, so they are applied in order or
// not at all: when one is refused, those behind it are refused too, and all are sent again in order (or, when somebody else
// owns the partition or the store rolled back, everything is read again).
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "pipeline/patience.h"
#include "pipeline/state.h"
#include "store/store.h"

enum { SAY_AFTER_US = 1000000, JOURNAL_TIMEOUT_MS = 5000 }; // SAY_AFTER_US: shorter waits are not worth a line

// ---- sending

static bool shard_has_work(const struct worker *w, uint32_t shard)
{
	for (uint32_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].shards[shard].touched)
			return true;
	return false;
}

static bool shard_is_behind(const struct worker *w, uint32_t shard)
{
	for (uint32_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].next > w->parts[i].shards[shard].from)
			return true;
	return false;
}

// No shard may fall behind by more than half a window of duplicates: after a crash, reading back begins a window before the slowest.
static bool shard_is_far_behind(const struct worker *w, uint32_t shard)
{
	for (uint32_t i = 0; i < w->n_parts; i++) {
		const struct dedupe_options *o = &w->parts[i].dedupe_options;
		if (w->parts[i].next - w->parts[i].shards[shard].from > ((int64_t)o->generations << o->generation_bits) / 2 &&
		    w->parts[i].next > w->parts[i].shards[shard].from)
			return true;
	}
	return false;
}

static bool shard_advance_due(const struct worker *w, uint32_t shard, int64_t now_us)
{
	if (shard_is_far_behind(w, shard))
		return true;
	return now_us - w->advanced_us[shard] >= SETTING_NOW(w->o.settings, flush_idle_advance) * 1000 && shard_is_behind(w, shard);
}

static struct commit_cut *copy_cuts(struct arena *a, const struct part *p, int64_t from, uint32_t *ret_n)
{
	struct commit_cut *cuts = arena_alloc(a, p->n_cuts * sizeof(*cuts));
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_cuts; i++)
		if (p->cuts[i].offset >= from)
			cuts[n++] = p->cuts[i];
	*ret_n = n;
	return cuts;
}

static struct commit_mark *copy_marks(struct arena *a, const struct part *p, int64_t from, uint32_t *ret_n)
{
	struct commit_mark *marks = arena_alloc(a, p->n_marks * sizeof(*marks));
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_marks; i++)
		if (p->marks[i].offset >= from)
			marks[n++] = p->marks[i];
	*ret_n = n;
	return marks;
}

static void commit_part_fill(struct worker *w, struct arena *a, struct commit_part *out, uint32_t index, uint32_t shard)
{
	struct part *p = &w->parts[index];
	struct part_shard *s = &p->shards[shard];
	*out = (struct commit_part){ .part = index,
				     .name = span_of(p->name),
				     .token = span_of(w->token),
				     .from = s->from,
				     .to = { .next = p->next, .clock_ms = p->course.clock_ms, .last = p->last, .print = p->print },
				     .consumed = p->consumed - s->consumed_sent };
	memcpy(out->outcomes, s->outcomes, sizeof(out->outcomes));
	out->cuts = copy_cuts(a, p, s->from, &out->n_cuts);
	if (shard == 0)
		out->marks = copy_marks(a, p, s->from, &out->n_marks);
	s->consumed_sent = p->consumed;
	memset(s->outcomes, 0, sizeof(s->outcomes));
	s->touched = false;
	s->from = p->next;
}

static void commit_fill(struct worker *w, struct flight *f, uint32_t shard, bool all_parts)
{
	struct arena *a = &f->batch->arena;
	struct commit *c = &f->commits[shard];
	*c = (struct commit){ .shard = shard,
			      .rules_version = w->newest->version,
			      .read_ms = w->read_ms,
			      .catalog = w->newest->rules->catalog,
			      .parts = arena_alloc(a, w->n_parts * sizeof(*c->parts)),
			      .n_deltas = f->batch->shards[shard].n,
			      .deltas = f->batch->shards[shard].deltas,
			      .n_entries = f->batch->shards[shard].n_entries,
			      .entries = f->batch->shards[shard].entries,
			      .n_accounts = f->batch->shards[shard].n_accounts,
			      .accounts = f->batch->shards[shard].accounts };
	for (uint32_t i = 0; i < w->n_parts; i++) {
		const struct part_shard *s = &w->parts[i].shards[shard];
		if (w->parts[i].next > s->from && (s->touched || all_parts))
			commit_part_fill(w, a, &c->parts[c->n_parts++], i, shard);
	}
	check(c->n_deltas == 0 || c->n_parts > 0);
}

// Rejected records must lie in the dead-letter topic before an offset passes them.
static bool wait_for_dead_letters(struct worker *w, int64_t until_us)
{
	int64_t since = clock_mono_us();
	while (w->open_rejects && w->dlq->ops->pending(w->dlq, 50) > 0) {
		worker_alive(w);
		if (clock_mono_us() - since > SAY_AFTER_US)
			worker_say(w, "waiting", "Kafka does not acknowledge dead letters; nothing is lost, counting goes on when it does");
		if (worker_stopping(w) || clock_mono_us() >= until_us)
			return false;
	}
	w->open_rejects = false;
	return true;
}

static void flight_send(struct worker *w, struct flight *f, uint32_t shard)
{
	f->states[shard] = STATE_SENT;
	f->commits[shard].tag = (uint64_t)(f - w->flights);
	w->store->ops->commit_send(w->store, &f->commits[shard]);
}

void worker_flush(struct worker *w, bool everything, int64_t until_us)
{
	check(!w->adrift);
	if (!wait_for_dead_letters(w, until_us)) {
		worker_trouble(w, TROUBLE_REJOIN, "gave up before the dead letters were acknowledged");
		return;
	}
	struct flight *f = worker_open(w);
	int64_t now = clock_mono_us();
	f->waiting = 0;
	f->sent_us = w->flushed_us = now;
	for (uint32_t s = 0; s < w->o.store->shards; s++) {
		bool advance = (everything && shard_is_behind(w, s)) || shard_advance_due(w, s, now);
		f->states[s] = STATE_NONE;
		f->commits[s].n_parts = 0;
		if (!advance && !shard_has_work(w, s))
			continue;
		commit_fill(w, f, s, advance);
		check(f->commits[s].n_parts > 0);
		if (advance)
			w->advanced_us[s] = now;
		aggregate_sent(f->batch, s);
		f->waiting++;
		flight_send(w, f, s);
	}
	for (uint32_t i = 0; i < w->n_parts; i++)
		part_prune(&w->parts[i]);
	w->open_records = 0;
	if (f->waiting > 0)
		w->n_flights++;
	aggregate_begin(w->aggregate, worker_open(w)->batch);
}

bool worker_batch_is_large(const struct worker *w)
{
	const struct batch *b = worker_open(w)->batch;
	const struct settings *s = w->o.settings;
	return b->calls >= (uint64_t)SETTING_NOW(s, flush_max_events) || b->largest >= (uint64_t)SETTING_NOW(s, flush_max_deltas) ||
	       b->arena.total >= 64u << 20;
}

// An alert goes out at once; but while more records wait than come at once, an eighth of how late it is already may be spent on
// gathering. Else each alert of a backlog would end a small batch, and the backlog would take several times as long.
static bool alert_due(const struct worker *w, bool caught_up, int64_t now_us)
{
	return worker_open(w)->batch->urgent && (caught_up || now_us - w->opened_us >= patience_alert_us(w->lag_ms));
}

static bool batch_due(const struct worker *w, bool caught_up, int64_t now_us)
{
	int64_t interval_us = SETTING_NOW(w->o.settings, flush_max_interval) * 1000;
	return alert_due(w, caught_up, now_us) || worker_batch_is_large(w) ||
	       (caught_up && w->n_flights == 0 && now_us - w->flushed_us >= patience_level_us(interval_us)) ||
	       now_us - w->opened_us >= patience_us(interval_us, w->lag_ms);
}

bool worker_flush_due(struct worker *w, bool caught_up)
{
	if (w->adrift || w->trouble != TROUBLE_NONE || w->n_flights == FLIGHTS - 1)
		return false; // the open batch must keep a place
	int64_t now = clock_mono_us();
	if (w->open_records > 0 && batch_due(w, caught_up, now))
		return true;
	for (uint32_t s = 0; s < w->o.store->shards; s++)
		if (shard_advance_due(w, s, now))
			return true;
	return false;
}

// Room for one more batch under way; what can be mended without starting over is mended here.
static bool worker_make_room(struct worker *w)
{
	while (w->trouble < TROUBLE_REJOIN && (w->n_flights == FLIGHTS - 1 || w->trouble != TROUBLE_NONE)) {
		worker_alive(w);
		if (worker_stopping(w))
			return false;
		if (w->trouble == TROUBLE_RESOLVE)
			worker_resolve(w);
		else if (w->trouble == TROUBLE_AGAIN && w->backoff_ms > 0)
			clock_sleep_ms(w->backoff_ms);
		if (w->trouble == TROUBLE_AGAIN)
			worker_again(w);
		worker_results(w, 50);
	}
	return w->trouble == TROUBLE_NONE;
}

bool worker_split(struct worker *w)
{
	if (!worker_make_room(w)) {
		worker_trouble(w, TROUBLE_REJOIN, "gave up before a change of ladders was reached");
		return false;
	}
	worker_flush(w, false, INT64_MAX);
	return w->trouble == TROUBLE_NONE;
}

// Not at every word: hints are lost each time, and no fact takes effect before rules.lead is over.
bool worker_facts_due(const struct worker *w)
{
	if (w->parts == NULL || w->adrift || w->trouble != TROUBLE_NONE || w->journal == NULL)
		return false;
	bool idle = w->n_flights == 0 && w->open_records == 0; // then there is nothing to end for it, only hints to learn anew
	int64_t every_us = w->newest->rules->settings.lead_ms * 1000 / (idle ? 60 : 10);
	return clock_mono_us() - w->facts_us >= every_us && facts_count(w->o.facts) > w->facts_taken;
}

bool worker_forget_due(const struct worker *w)
{
	return (aggregate_full(w->aggregate) || plans_full(w->plans)) && w->parts != NULL && !w->adrift && w->trouble == TROUBLE_NONE;
}

// ---- answers

static bool earlier_goes_again(const struct worker *w, const struct flight *f, uint32_t shard)
{
	for (uint32_t i = 0; i < w->n_flights; i++) {
		const struct flight *g = &w->flights[(w->first_flight + i) % FLIGHTS];
		if (g == f)
			return false;
		if (g->states[shard] == STATE_AGAIN)
			return true;
	}
	return false;
}

static void count_calls(struct worker *w, const struct shard_batch *s)
{
	w->deltas += s->n;
	for (uint32_t i = 0; i < s->n; i++)
		if (s->deltas[i].adjust_month == MONTH_NONE && s->deltas[i].service < w->n_calls)
			w->calls[s->deltas[i].service] += (uint64_t)s->deltas[i].calls;
	for (uint32_t i = 0; i < s->n; i++)
		if (s->deltas[i].adjust_month == MONTH_NONE)
			busiest_add(w->busiest, s->deltas[i].account, s->deltas[i].calls);
}

static void flight_done(struct worker *w, struct flight *f, uint32_t shard, bool known)
{
	f->states[shard] = STATE_DONE;
	aggregate_applied(f->batch, shard, known);
	count_calls(w, &f->batch->shards[shard]);
	f->waiting--;
	w->progress_us = clock_mono_us();
	w->shards[shard].commits++;
	w->shards[shard].counters += f->commits[shard].n_deltas;
	w->shards[shard].took_us += w->progress_us - f->sent_us;
	histogram_add(&w->commit_time, w->progress_us - f->sent_us);
	while (w->n_flights > 0 && w->flights[w->first_flight].waiting == 0) {
		w->first_flight = (w->first_flight + 1) % FLIGHTS;
		w->n_flights--;
	}
}

static void wake_office(struct worker *w)
{
	eventfd_t one = 1;
	ssize_t n = write(w->o.shared->office_wake, &one, sizeof(one));
	(void)n; // full: it is awake
}

// Changes that the shard has not looked at: the commit goes again with the looks.
static void bring_looks(struct worker *w, struct flight *f, uint32_t shard)
{
	struct commit *c = &f->commits[shard];
	for (uint32_t i = 0; i < c->n_accounts; i++) {
		struct commit_account *a = &c->accounts[i];
		if (!a->behind)
			continue;
		a->behind = false;
		a->n_looks = plans_looks(w->plans, a->since_ms, a->change_ms, a->account, &f->batch->arena, &a->looks);
		check(a->n_looks > 0);
	}
}

static void take_result(struct worker *w, const struct commit_result *r)
{
	struct flight *f = &w->flights[r->tag];
	check(f->states[r->shard] == STATE_SENT);
	if (r->status != COMMIT_DONE && r->status != COMMIT_NEEDLIST && r->status != COMMIT_NEEDLOOK) {
		w->conflicts[r->status]++;
		w->shards[r->shard].refused++;
	}
	switch (r->status) {
	case COMMIT_DONE:
		w->backoff_ms = 0;
		w->away = false;
		if (r->alerts > 0)
			wake_office(w);
		flight_done(w, f, r->shard, true);
		return;
	case COMMIT_REFUSED:
		w->backoff_ms = w->backoff_ms == 0 ? 50 : w->backoff_ms < 1000 ? w->backoff_ms * 2 : w->backoff_ms;
		w->away = true;
		worker_say(w, "waiting", r->text);
		/* fallthrough */
	case COMMIT_NEEDLIST:
	case COMMIT_NEEDLOOK:
		bring_looks(w, f, r->shard);
		f->states[r->shard] = STATE_AGAIN;
		worker_trouble(w, TROUBLE_AGAIN, r->text);
		return;
	case COMMIT_ROLLBACK:
	case COMMIT_FOREIGN:
		f->states[r->shard] = STATE_AGAIN;
		worker_trouble(w, earlier_goes_again(w, f, r->shard) ? TROUBLE_AGAIN : TROUBLE_REJOIN, r->text);
		return;
	case COMMIT_OLD_RULES:
	case COMMIT_RETIRED:
		f->states[r->shard] = STATE_AGAIN;
		worker_trouble(w, TROUBLE_REJOIN, r->text);
		return;
	case COMMIT_UNKNOWN:
		worker_trouble(w, TROUBLE_RESOLVE, r->text);
		return;
	case COMMIT_LOST: {
		char text[900];
		snprintf(text, sizeof(text), "shard %u: %s. " STORE_LOST_ADVICE, r->shard, r->text);
		worker_trouble(w, TROUBLE_ABORT, text);
		return;
	}
	case COMMIT_HALT:
		worker_trouble(w, TROUBLE_HALT, r->text);
		return;
	}
}

void worker_results(struct worker *w, int timeout_ms)
{
	struct commit_result r;
	while (w->n_flights > 0 && w->store->ops->commit_receive(w->store, timeout_ms, &r)) {
		take_result(w, &r);
		timeout_ms = w->trouble != TROUBLE_NONE ? (int)w->o.settings->redis_timeout : 0;
	}
}

// Where the connection broke, Redis may have been restarted without what it was told last, such as that newer rules are known: it would take
// commits that were made without knowing of them. The control topic has lost nothing.
static bool still_informed(struct worker *w)
{
	uint64_t session = w->store->ops->session(w->store);
	struct journal *j = NULL;
	struct error e = { 0 };
	if (session == w->session)
		return true;
	worker_alive(w);
	enum error_class cls = journal_load_from(w->o.ports->sink, w->o.kafka, JOURNAL_TIMEOUT_MS, &j, &e);
	if (cls == ERROR_RETRY) {
		worker_say(w, "waiting", e.text);
		w->backoff_ms = w->backoff_ms == 0 ? 50 : w->backoff_ms;
		return false;
	}
	if (cls != ERROR_NONE) {
		worker_trouble(w, cls == ERROR_ABORT ? TROUBLE_ABORT : TROUBLE_HALT, e.text);
		return false;
	}
	bool news = j->n_rules > w->journal->n_rules || j->generation_at != w->journal->generation_at;
	journal_freep(&j);
	if (news) {
		worker_trouble(w, TROUBLE_REJOIN, "the control topic has news that Redis lost");
		return false;
	}
	w->session = session;
	w->store->ops->informed(w->store, session);
	return true;
}

// All answers are in (trouble was met, so they were waited for); those that were certainly not applied go again, in order.
void worker_again(struct worker *w)
{
	w->trouble = TROUBLE_AGAIN;
	if (!still_informed(w))
		return;
	w->trouble = TROUBLE_NONE;
	for (uint32_t i = 0; i < w->n_flights; i++) {
		struct flight *f = &w->flights[(w->first_flight + i) % FLIGHTS];
		for (uint32_t s = 0; s < w->o.store->shards; s++)
			if (f->states[s] == STATE_AGAIN)
				flight_send(w, f, s);
	}
}

void worker_drop(struct worker *w)
{
	struct commit_result r;
	while (w->store->ops->commit_receive(w->store, (int)w->o.settings->redis_timeout, &r))
		;
	w->n_flights = 0;
	w->first_flight = 0;
	w->open_records = 0;
	w->open_rejects = false;
	w->dlq->ops->drop(w->dlq);
	aggregate_forget(w->aggregate);
	aggregate_begin(w->aggregate, worker_open(w)->batch);
	w->adrift = w->parts != NULL;
	if (w->trouble < TROUBLE_HALT)
		w->trouble = TROUBLE_NONE;
}

// ---- unknown results

// The claims of this worker's partitions, as renew wants them; by_part finds them again (UINT32_MAX: not claimed).
struct claims {
	uint32_t n, *by_part;
	struct store_claim *list;
};

static struct claims claims_make(const struct worker *w)
{
	struct claims c = { .by_part = xcalloc(w->n_parts, sizeof(*c.by_part)), .list = xcalloc(w->n_parts, sizeof(*c.list)) };
	for (uint32_t i = 0; i < w->n_parts; i++) {
		c.by_part[i] = w->parts[i].state == PART_UNADMITTED ? UINT32_MAX : c.n;
		if (w->parts[i].state != PART_UNADMITTED)
			c.list[c.n++].name = span_of(w->parts[i].name);
	}
	return c;
}

static void claims_free(struct claims *c)
{
	free(c->by_part);
	free(c->list);
}

enum where { WHERE_BEFORE, WHERE_BEHIND, WHERE_ELSEWHERE };

// Where the shard stands with regard to a commit, by all of its partitions: they move together or not at all.
static enum where commit_where(const struct commit *c, const struct claims *claims)
{
	uint32_t before = 0, behind = 0;
	for (uint32_t i = 0; i < c->n_parts; i++) {
		int64_t next = claims->list[claims->by_part[c->parts[i].part]].at.next;
		before += next == c->parts[i].from;
		behind += next >= c->parts[i].to.next;
	}
	return before == c->n_parts ? WHERE_BEFORE : behind == c->n_parts ? WHERE_BEHIND : WHERE_ELSEWHERE;
}

static bool resolve_shard(struct worker *w, uint32_t shard, const struct claims *claims)
{
	bool again = false;
	uint32_t n = w->n_flights, first = w->first_flight; // flight_done moves them
	for (uint32_t i = 0; i < n; i++) {
		struct flight *f = &w->flights[(first + i) % FLIGHTS];
		if (f->states[shard] != STATE_SENT && f->states[shard] != STATE_AGAIN)
			continue;
		enum where where = again ? WHERE_BEFORE : commit_where(&f->commits[shard], claims);
		if (where == WHERE_ELSEWHERE)
			return false;
		if (where == WHERE_BEHIND) {
			flight_done(w, f, shard, false);
			continue;
		}
		f->states[shard] = STATE_AGAIN;
		again = true;
	}
	return true;
}

// Renews the token in a shard: compare and set on the old one; an earlier try of the same renewal may have got through.
static enum error_class renew_shard(struct worker *w, uint32_t shard, const char *old, struct claims *c, bool *ret_foreign)
{
	const struct store_ops *ops = w->store->ops;
	struct error e = { 0 };
	*ret_foreign = false;
	enum error_class cls = c->n == 0 ? ERROR_NONE
					 : ops->renew(w->store, shard, span_of(old), span_of(w->token), c->list, c->n, ret_foreign, &e);
	if (cls == ERROR_NONE && *ret_foreign)
		cls = ops->renew(w->store, shard, span_of(w->token), span_of(w->token), c->list, c->n, ret_foreign, &e);
	if (cls == ERROR_RETRY)
		worker_say(w, "waiting", e.text);
	else if (cls != ERROR_NONE)
		worker_trouble(w, cls == ERROR_ABORT ? TROUBLE_ABORT : TROUBLE_HALT, e.text);
	return cls;
}

static bool wait_before_retry(struct worker *w)
{
	w->known_wait = true;
	w->backoff_ms = w->backoff_ms == 0 ? 50 : w->backoff_ms < 1000 ? w->backoff_ms * 2 : w->backoff_ms;
	worker_alive(w);
	clock_sleep_ms(w->backoff_ms);
	return !worker_stopping(w);
}

void worker_resolve(struct worker *w)
{
	char old[sizeof(w->token)];
	struct commit_result r;
	snprintf(old, sizeof(old), "%s", w->token);
	while (w->store->ops->commit_receive(w->store, 0, &r)) // the rest of that connection is unknown too
		;
	worker_new_token(w); // what still sits in a buffer carries the old one, and is refused
	struct claims claims = claims_make(w);
	w->trouble = TROUBLE_NONE;
	for (uint32_t s = 0; s < w->o.store->shards && w->trouble == TROUBLE_NONE; s++) {
		bool foreign = false;
		enum error_class cls;
		while ((cls = renew_shard(w, s, old, &claims, &foreign)) == ERROR_RETRY)
			if (!wait_before_retry(w))
				break;
		if (cls == ERROR_RETRY)
			worker_trouble(w, TROUBLE_REJOIN, "stopped while Redis was away");
		else if (cls == ERROR_NONE && (foreign || !resolve_shard(w, s, &claims)))
			worker_trouble(w, TROUBLE_REJOIN, "the shard moved while its answer was missing");
	}
	claims_free(&claims);
	w->backoff_ms = 0;
	if (w->trouble == TROUBLE_NONE)
		worker_again(w);
}

// A store that went back in time while nothing was sent would be noticed at the next commit, which may be weeks away.
void worker_verify(struct worker *w)
{
	struct claims claims = claims_make(w);
	for (uint32_t s = 0; s < w->o.store->shards && w->trouble == TROUBLE_NONE; s++) {
		bool foreign = false;
		w->away = renew_shard(w, s, w->token, &claims, &foreign) == ERROR_RETRY;
		if (w->away || w->trouble != TROUBLE_NONE)
			break;
		bool same = !foreign;
		for (uint32_t i = 0; i < w->n_parts && same; i++)
			same = claims.by_part[i] == UINT32_MAX ||
			       claims.list[claims.by_part[i]].at.next == w->parts[i].shards[s].from;
		if (!same)
			worker_trouble(w, TROUBLE_REJOIN,
				       foreign ? "the partitions have another owner, or another generation is in force" : "the store went back to an earlier state");
	}
	claims_free(&claims);
}

bool worker_finish(struct worker *w, int deadline_ms)
{
	int64_t until = clock_mono_us() + (int64_t)deadline_ms * 1000;
	bool sent = false;
	while (!w->adrift && w->trouble <= TROUBLE_AGAIN && clock_mono_us() < until) {
		if (w->trouble == TROUBLE_AGAIN) {
			clock_sleep_ms(w->backoff_ms);
			worker_again(w);
		}
		if (!sent && w->n_flights < FLIGHTS - 1) {
			worker_flush(w, true, until);
			sent = true;
		}
		if (sent && w->n_flights == 0 && w->trouble == TROUBLE_NONE)
			return true;
		worker_results(w, 50);
	}
	return false;
}
