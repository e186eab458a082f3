// SPDX-License-Identifier: Apache-2.0
// The loop of a worker, and what it does when something is away.
#include "pipeline/worker.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "pipeline/state.h"
#include "store/store.h"

enum {
	IDLE_POLL_MS = 100,
	LULL_MS = 2,          // no record is there: so long for an answer, or for one
	FINISH_MS = 8000,     // at stop: flush and wait for the shards
	CLOSE_MS = 3000,      // leaving the group can hang
	REJOIN_PAUSE_MS = 200,
	STATUS_EVERY_US = 100000,
	HINT_EVERY_US = 5000000,
	NO_PARTS_US = 3000000,
	ASK_EVERY_US = 1000000,
	FACTS_LOOK_MS = 10,
	ASK_MS = 1000,
	ADMISSION_EVERY_US = 2000000,
	COUNTERS_MOST = 1 << 20,
};

void shared_fail(struct shared *s, const struct error *e)
{
	pthread_mutex_lock(&s->lock);
	if (!atomic_load(&s->failed))
		s->failure = *e;
	atomic_store(&s->failed, true);
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->stop, true);
}

void worker_say(struct worker *w, const char *state, const char *reason)
{
	bool waiting = strcmp(state, "waiting") == 0;
	if (strcmp(w->state, state) != 0 || (waiting && w->reason[0] == '\0')) {
		char quoted[400];
		log_line(waiting ? LVL_WARN : LVL_INFO, "worker_state", "worker=%s state=%s why=%s", w->instance_id, state,
			 log_quote(reason, quoted, sizeof(quoted)));
	}
	snprintf(w->state, sizeof(w->state), "%s", state);
	snprintf(w->reason, sizeof(w->reason), "%s", reason);
	w->known_wait = strcmp(state, "running") != 0;
}

void worker_trouble(struct worker *w, enum trouble t, const char *text)
{
	if (t <= w->trouble)
		return;
	char quoted[500];
	w->trouble = t;
	if (t >= TROUBLE_RESOLVE)
		log_line(t >= TROUBLE_HALT ? LVL_ERROR : LVL_WARN, "commit_conflict", "worker=%s why=%s then=%s", w->instance_id,
			 log_quote(text, quoted, sizeof(quoted)),
			 t == TROUBLE_RESOLVE  ? "read_back"
			 : t == TROUBLE_REJOIN ? "start_over"
			 : t == TROUBLE_HALT   ? "halt"
					       : "stop");
	if (t >= TROUBLE_HALT && w->halted.cls == ERROR_NONE)
		error_set(&w->halted, t == TROUBLE_ABORT ? ERROR_ABORT : ERROR_HALT, t == TROUBLE_ABORT ? EXIT_CONFIG_ERR : 0, "%s", text);
}

// ---- status

static void status_part(const struct worker *w, const struct part *p, uint32_t index, struct worker_part_status *out)
{
	*out = (struct worker_part_status){ .partition = p->partition, .next = p->next, .clock_ms = p->course.clock_ms,
					    .window_clock_ms = TIME_NONE, .gaps = p->gaps, .read_back = p->read_back, .at_end = p->at_end,
					    .reading_back = p->next < p->start };
	memcpy(out->outcomes, p->totals, sizeof(out->outcomes));
	snprintf(out->topic, sizeof(out->topic), "%s", p->topic);
	snprintf(out->halted, sizeof(out->halted), "%s", p->state == PART_UNADMITTED ? "waits to be admitted by the closer" : p->halted);
	int64_t high = w->source->ops->high(w->source, index);
	out->end = high > p->end ? high : p->end;
	if (p->dedupe != NULL)
		out->window_clock_ms = dedupe_oldest_clock(p->dedupe);
}

static const char *const conflict_names[] = { [COMMIT_FOREIGN] = "foreign", [COMMIT_ROLLBACK] = "rollback", [COMMIT_LOST] = "lost",
					      [COMMIT_RETIRED] = "retired", [COMMIT_OLD_RULES] = "old_rules", [COMMIT_REFUSED] = "refused",
					      [COMMIT_UNKNOWN] = "unknown", [COMMIT_HALT] = "halt" };

void worker_status_free(struct worker_status *s)
{
	free(s->parts);
	free(s->shards);
	status_counts_free(&s->calls);
	status_counts_free(&s->conflicts);
	status_counts_free(&s->top);
	*s = (struct worker_status){ 0 };
}

static void status_busiest(const struct worker *w, struct worker_status *s)
{
	struct busiest_account list[BUSIEST_SHOWN];
	uint32_t n = busiest_list(w->busiest, list, &s->top_since_us);
	for (uint32_t i = 0; i < n; i++) {
		status_count_add(&s->top, list[i].account, list[i].calls);
		s->top_over = list[i].over > s->top_over ? list[i].over : s->top_over;
	}
}

// Commits of a shard are chained: what it does not cover yet is what they hold that have no answer, and what was read behind the last of them.
static void status_shards(const struct worker *w, struct worker_status *s)
{
	s->n_shards = w->o.store->shards;
	s->shards = xcalloc(s->n_shards, sizeof(*s->shards));
	for (uint32_t shard = 0; shard < s->n_shards; shard++) {
		struct status_shard *out = &s->shards[shard];
		*out = w->shards[shard];
		for (uint32_t i = 0; i < w->n_flights; i++) {
			const struct flight *f = &w->flights[(w->first_flight + i) % FLIGHTS];
			bool under_way = f->states[shard] == STATE_SENT || f->states[shard] == STATE_AGAIN;
			out->under_way += under_way;
			for (uint32_t k = 0; under_way && !w->adrift && k < f->commits[shard].n_parts; k++)
				out->behind += f->commits[shard].parts[k].to.next - f->commits[shard].parts[k].from;
		}
		for (uint32_t i = 0; i < w->n_parts && !w->adrift; i++)
			out->behind += w->parts[i].next > w->parts[i].shards[shard].from ? w->parts[i].next - w->parts[i].shards[shard].from : 0;
	}
}

static struct worker_status make_status(const struct worker *w)
{
	struct worker_status s = { .n_parts = w->n_parts, .parts = xcalloc(w->n_parts, sizeof(*s.parts)), .commit_time = w->commit_time,
				   .deltas = w->deltas, .rules_version = w->newest != NULL ? w->newest->version : -1,
				   .alive_us = w->status_us, .progress_us = w->progress_us, .known_wait = w->known_wait, .facts_taken = w->facts_taken };
	for (uint32_t i = 0; i < w->n_parts; i++) {
		status_part(w, &w->parts[i], i, &s.parts[i]);
		s.dedupe_bytes += w->parts[i].dedupe != NULL ? dedupe_bytes(w->parts[i].dedupe) : 0;
	}
	for (uint32_t i = 0; i < w->n_calls; i++)
		status_count_add(&s.calls, catalog_service_id(w->newest->rules->catalog, i), (int64_t)w->calls[i]);
	for (size_t i = 0; i < ARRAY_LEN(conflict_names); i++)
		if (conflict_names[i] != NULL)
			status_count_add(&s.conflicts, conflict_names[i], (int64_t)w->conflicts[i]);
	status_shards(w, &s);
	status_busiest(w, &s);
	snprintf(s.state, sizeof(s.state), "%s", w->state);
	snprintf(s.reason, sizeof(s.reason), "%s", w->reason);
	return s;
}

static void publish_status(struct worker *w)
{
	w->status_us = clock_mono_us();
	busiest_turn(w->busiest, w->status_us);
	struct worker_status s = make_status(w);
	pthread_mutex_lock(&w->lock);
	struct worker_status old = w->status;
	w->status = s;
	pthread_mutex_unlock(&w->lock);
	worker_status_free(&old);
}

void worker_alive(struct worker *w)
{
	if (clock_mono_us() - w->status_us >= STATUS_EVERY_US)
		publish_status(w);
}

static void copy_counts(struct status_counts *to, const struct status_counts *from)
{
	*to = (struct status_counts){ 0 };
	for (uint32_t i = 0; i < from->n; i++)
		status_count_add(to, from->list[i].name, from->list[i].n);
}

void worker_status(struct worker *w, struct worker_status *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->status;
	ret->parts = xcalloc(w->status.n_parts, sizeof(*ret->parts));
	if (w->status.n_parts > 0)
		memcpy(ret->parts, w->status.parts, w->status.n_parts * sizeof(*ret->parts));
	ret->shards = xcalloc(w->status.n_shards, sizeof(*ret->shards));
	if (w->status.n_shards > 0)
		memcpy(ret->shards, w->status.shards, w->status.n_shards * sizeof(*ret->shards));
	copy_counts(&ret->calls, &w->status.calls);
	copy_counts(&ret->conflicts, &w->status.conflicts);
	copy_counts(&ret->top, &w->status.top);
	pthread_mutex_unlock(&w->lock);
}

// ---- loop

static void halt(struct worker *w)
{
	worker_say(w, "halted", w->halted.text);
	worker_drop(w);
	w->trouble = TROUBLE_HALT;
}

static void start_over(struct worker *w)
{
	worker_drop(w);
	if (w->rejoin_at_us == 0)
		w->rejoin_at_us = clock_mono_us() + REJOIN_PAUSE_MS * 1000;
}

static void handle_trouble(struct worker *w)
{
	switch (w->trouble) {
	case TROUBLE_NONE:
		return;
	case TROUBLE_AGAIN:
	case TROUBLE_RESOLVE:
		if (w->trouble == TROUBLE_AGAIN && w->backoff_ms > 0) {
			worker_alive(w);
			clock_sleep_ms(w->backoff_ms);
		}
		if (w->trouble == TROUBLE_AGAIN)
			worker_again(w);
		else
			worker_resolve(w);
		if (w->trouble > TROUBLE_AGAIN)
			handle_trouble(w);
		return;
	case TROUBLE_REJOIN:
		start_over(w);
		return;
	case TROUBLE_HALT:
		halt(w);
		return;
	case TROUBLE_ABORT:
		worker_drop(w);
		shared_fail(w->o.shared, &w->halted);
		return;
	}
}

static void update_prints(struct worker *w, const struct record *records, uint32_t n)
{
	for (uint32_t i = n; i > 0; i--) { // the last record of each partition
		const struct record *r = &records[i - 1];
		struct part *p = &w->parts[r->part];
		if (w->last_record[r->part] != 0 || r->offset + 1 != p->next)
			continue;
		w->last_record[r->part] = UINT32_MAX;
		p->last = r->offset;
		p->print = record_print(r);
	}
}

static void take_records(struct worker *w, const struct record *records, uint32_t n)
{
	if (w->adrift)
		return; // read again after the next assignment
	int64_t read_ms = clock_wall_ms(), stamp_ms = records[n - 1].timestamp_ms;
	w->lag_ms = stamp_ms >= 0 && stamp_ms < read_ms ? read_ms - stamp_ms : 0;
	bool urgent = worker_open(w)->batch->urgent;
	if (w->open_records == 0) {
		w->opened_us = clock_mono_us();
		w->read_ms = read_ms;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct decision d;
		if (i % DECIDE_AHEAD == 0)
			worker_look_ahead(w, records + i, n - i < DECIDE_AHEAD ? n - i : DECIDE_AHEAD);
		bool split = worker_split_due(w, &records[i]);
		if (!split && !worker_decide(w, &records[i], &d))
			continue;
		if (split || worker_order_due(w, &records[i], &d)) {
			update_prints(w, records, i);
			if (!worker_split(w))
				return; // what is not committed is dropped, and read again
			w->opened_us = clock_mono_us();
			w->read_ms = read_ms;
			urgent = false;
		}
		if (!split || worker_decide(w, &records[i], &d))
			worker_take(w, &records[i], &d);
	}
	if (!urgent && worker_open(w)->batch->urgent)
		w->read_ms = read_ms;
	update_prints(w, records, n);
}

static void source_error(struct worker *w, enum error_class cls, uint32_t part, const struct error *e)
{
	if (cls == ERROR_HALT && part < w->n_parts) {
		part_halt(&w->parts[part], "%s", e->text);
	} else if (cls == ERROR_HALT || cls == ERROR_ABORT) {
		struct error fatal = *e;
		if (cls == ERROR_HALT) {
			fatal.cls = ERROR_ABORT;
			fatal.exit_code = EXIT_LATER;
		}
		worker_drop(w);
		shared_fail(w->o.shared, &fatal);
	} else {
		// Redis or Kafka was away in the middle of an assignment, or the brokers are away: only the first needs a new try.
		worker_say(w, "waiting", e->text);
		w->source_away = true;
		if (w->parts == NULL && w->rejoin_at_us == 0)
			w->rejoin_at_us = clock_mono_us() + REJOIN_PAUSE_MS * 1000;
	}
}

static void on_end(void *ctx, uint32_t part, int64_t end)
{
	struct worker *w = ctx;
	// Of one that halted there are records behind `next` that were read and passed over.
	bool stands = part < w->n_parts && w->parts[part].state != PART_HALTED;
	if (stands && end > w->parts[part].at_end)
		w->parts[part].at_end = end;
}

static void rejoin_when_due(struct worker *w)
{
	if (w->rejoin_at_us == 0 || clock_mono_us() < w->rejoin_at_us)
		return;
	struct error e = { 0 };
	w->rejoin_at_us = 0;
	if (w->source->ops->rejoin(w->source, &e) != ERROR_NONE)
		source_error(w, e.cls, UINT32_MAX, &e);
}

// Partitions that are not admitted yet: look at the control topic now and then; an admission means starting over.
static void look_for_admission(struct worker *w)
{
	int64_t now = clock_mono_us();
	if (!w->unadmitted || w->parts == NULL || now < w->journal_at_us) // without partitions it starts over already: the news are read then
		return;
	w->journal_at_us = now + ADMISSION_EVERY_US;
	struct journal *j = NULL;
	if (journal_load_from(w->o.ports->sink, w->o.kafka, 5000, &j, NULL) != ERROR_NONE)
		return;
	if (j->next_offset > w->journal->next_offset)
		worker_trouble(w, TROUBLE_REJOIN, "the control topic has news");
	journal_freep(&j);
}

// librdkafka says when all brokers are down, not when one is back; where no record comes, only asking tells. Also says when the group
// gives this worker nothing for a while: a coordinator that does not answer looks like that.
static void look_for_kafka(struct worker *w)
{
	int64_t now = clock_mono_us(), low, high;
	if (w->parts != NULL)
		w->assigned_us = now;
	else if (now - w->assigned_us > NO_PARTS_US && strcmp(w->state, "running") == 0)
		worker_say(w, "waiting", "the consumer group has not given this worker its partitions: Kafka does not answer, or it rebalances");
	if (!w->source_away || now - w->asked_us < ASK_EVERY_US)
		return;
	worker_alive(w);
	if (w->o.ports->sink->offsets(w->o.kafka, w->o.kafka->input_topics[0], 0, ASK_MS, &low, &high, NULL) == ERROR_NONE)
		w->source_away = false;
	w->asked_us = clock_mono_us();
}

// Now and then, with nothing under way: tell Kafka where we stand, and ask the shards whether they still do.
static void look_around(struct worker *w)
{
	int64_t every_us = w->away ? HINT_EVERY_US / 10 : HINT_EVERY_US;
	if (clock_mono_us() - w->hinted_us < every_us || w->n_flights > 0 || w->parts == NULL || w->adrift || w->trouble != TROUBLE_NONE)
		return;
	w->hinted_us = clock_mono_us();
	worker_verify(w);
	for (uint32_t i = 0; i < w->n_parts; i++) {
		int64_t least = INT64_MAX;
		for (uint32_t s = 0; s < w->parts[i].n_shards; s++)
			if (w->parts[i].shards[s].from < least)
				least = w->parts[i].shards[s].from;
		// A hint that waits for a broker to come back may meet a newer membership of our own, and be taken for a second instance.
		if (w->parts[i].state == PART_RUNNING && least > w->parts[i].start && least != w->parts[i].hinted && !w->source_away) {
			w->source->ops->hint(w->source, i, least);
			w->parts[i].hinted = least;
		}
		if (w->parts[i].dedupe != NULL)
			dedupe_settled(w->parts[i].dedupe, least);
	}
}

static bool reads_back(const struct worker *w)
{
	for (uint32_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].next < w->parts[i].start && w->parts[i].state == PART_RUNNING)
			return true;
	return false;
}

// How many records came.
static uint32_t round_of_source(struct worker *w, int timeout_ms)
{
	struct record *records = NULL;
	struct error e = { 0 };
	uint32_t n = 0, part = UINT32_MAX;
	enum error_class cls = w->source->ops->poll(w->source, timeout_ms, &records, &n, &part, &e);
	if (cls != ERROR_NONE) {
		source_error(w, cls, part, &e);
		return 0;
	}
	if (n > 0) {
		w->source_away = false;
		if (!w->away && w->trouble == TROUBLE_NONE)
			worker_say(w, "running", "");
	}
	if (n > 0)
		take_records(w, records, n);
	w->source->ops->release(w->source);
	// Nothing to do is progress (whether librdkafka only hides what there is to do is asked elsewhere: pipeline/idle.h), and so is filling
	// the window of duplicates, which commits nothing.
	if ((n == 0 && w->n_flights == 0) || (n > 0 && reads_back(w)))
		w->progress_us = clock_mono_us();
	if (worker_flush_due(w, n < 200))
		worker_flush(w, false, INT64_MAX);
	return n;
}

void worker_round(struct worker *w)
{
	worker_alive(w);
	rejoin_when_due(w);
	if (w->trouble == TROUBLE_HALT) {
		// Nothing is counted, but the group must be answered: others wait for it, and it may give the partitions away.
		clock_sleep_ms(IDLE_POLL_MS);
		round_of_source(w, 0);
		return;
	}
	// With two batches under way the open one may only grow to its limits: wait for answers first. So it may while one cannot be sent.
	// New facts about accounts wait until nothing is gathered or under way, and so does forgetting: where records never cease, reading does.
	bool facts = worker_facts_due(w), forget = worker_forget_due(w);
	bool full = w->n_flights == FLIGHTS - 1 || (w->trouble != TROUBLE_NONE && worker_batch_is_large(w));
	bool idle = w->n_flights == 0 && w->open_records == 0;
	uint32_t n = 0;
	if (facts && idle)
		worker_know(w);
	else if (forget && idle)
		worker_forget(w);
	else if ((facts || forget) && !full)
		worker_flush(w, false, INT64_MAX);
	else if (!full)
		n = round_of_source(w, idle ? IDLE_POLL_MS : w->n_flights == 0 ? LULL_MS : 0);
	worker_results(w, full ? IDLE_POLL_MS : n == 0 ? LULL_MS : 0);
	look_around(w);
	handle_trouble(w);
	bool well = w->trouble == TROUBLE_NONE && w->n_flights == 0 && w->parts != NULL && !w->source_away && !w->away;
	if (well && strcmp(w->state, "waiting") == 0)
		worker_say(w, "running", "");
	look_for_kafka(w);
	look_for_admission(w);
}

void worker_leave(struct worker *w)
{
	// source close ends in worker_revoked, which finishes the open batch.
	if (w->trouble == TROUBLE_NONE && w->parts != NULL && !worker_finish(w, FINISH_MS))
		log_line(LVL_WARN, "stop_unfinished", "worker=%s do=\"nothing: what was not committed is read again\"", w->instance_id);
	w->source->ops->close(w->source, CLOSE_MS);
	w->source = NULL;
}

// Nothing can be weighed before what was said of accounts is known: no reason to ask for partitions, nor for a word unless it takes long.
static void wait_for_facts(struct worker *w)
{
	int64_t since_us = clock_mono_us();
	while (!facts_ready(w->o.facts) && !worker_stopping(w)) {
		worker_alive(w);
		if (clock_mono_us() - since_us > NO_PARTS_US)
			worker_say(w, "waiting", "the accounts topic has not been read yet");
		clock_sleep_ms(FACTS_LOOK_MS);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	wait_for_facts(w);
	while (!worker_stopping(w))
		worker_round(w);
	worker_leave(w);
	return NULL;
}

void worker_free(struct worker *w)
{
	if (w->source != NULL)
		w->source->ops->close(w->source, CLOSE_MS);
	w->source = NULL;
	for (uint32_t i = 0; i < w->n_kept; i++)
		part_clear(&w->kept[i]);
	for (uint32_t i = 0; i < w->n_parts; i++)
		part_clear(&w->parts[i]);
	for (uint32_t i = 0; i < FLIGHTS; i++) {
		batch_freep(&w->flights[i].batch);
		free(w->flights[i].commits);
		free(w->flights[i].states);
	}
	plans_freep(&w->plans);
	account_book_freep(&w->book);
	if (w->store != NULL)
		w->store->ops->close(w->store);
	if (w->dlq != NULL)
		w->dlq->ops->close(w->dlq);
	aggregate_freep(&w->aggregate);
	journal_freep(&w->journal);
	decider_free(&w->decider);
	free(w->kept);
	free(w->parts);
	free(w->last_record);
	free(w->advanced_us);
	free(w->shards);
	worker_status_free(&w->status);
	busiest_freep(&w->busiest);
	free(w->calls);
	free(w);
}

static void worker_make_flights(struct worker *w)
{
	uint32_t shards = w->o.store->shards;
	w->aggregate = aggregate_new(shards, COUNTERS_MOST);
	for (uint32_t i = 0; i < FLIGHTS; i++) {
		w->flights[i].batch = batch_new(shards);
		w->flights[i].commits = xcalloc(shards, sizeof(*w->flights[i].commits));
		w->flights[i].states = xcalloc(shards, sizeof(*w->flights[i].states));
	}
	aggregate_begin(w->aggregate, worker_open(w)->batch);
}

enum error_class worker_new(const struct worker_options *o, struct worker **ret, struct error *e)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	w->o = *o;
	pthread_mutex_init(&w->lock, NULL);
	snprintf(w->instance_id, sizeof(w->instance_id), "%s-w%u", o->settings->instance, o->index);
	w->advanced_us = xcalloc(o->store->shards, sizeof(*w->advanced_us));
	w->shards = xcalloc(o->store->shards, sizeof(*w->shards));
	w->progress_us = clock_mono_us();
	w->busiest = busiest_new(w->progress_us);
	worker_say(w, "starting", "");
	worker_make_flights(w);
	w->book = account_book_new();
	w->plans = plans_new();
	w->status = (struct worker_status){ .alive_us = w->progress_us, .progress_us = w->progress_us, .rules_version = -1 };
	snprintf(w->status.state, sizeof(w->status.state), "starting");
	struct source_callbacks cb = { .ctx = w, .assigned = worker_assigned, .revoked = worker_revoked, .at_end = on_end };
	enum error_class cls = o->ports->store_open(o->store, &w->store, e);
	if (cls == ERROR_NONE)
		cls = o->ports->dlq_open(o->kafka, &w->dlq, e);
	if (cls == ERROR_NONE)
		cls = o->ports->source_open(o->kafka, w->instance_id, &cb, &w->source, e);
	if (cls != ERROR_NONE)
		worker_free(w);
	else
		*ret = w;
	return cls;
}

enum error_class worker_start(const struct worker_options *o, struct worker **ret, struct error *e)
{
	struct worker *w = NULL;
	enum error_class cls = worker_new(o, &w, e);
	if (cls != ERROR_NONE)
		return cls;
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
		worker_free(w);
		return error_set(e, ERROR_ABORT, EXIT_LATER, "no thread for worker %u could be started", o->index);
	}
	*ret = w;
	return ERROR_NONE;
}

void worker_join(struct worker **w)
{
	if (*w == NULL)
		return;
	pthread_join((*w)->thread, NULL);
	worker_free(*w);
	*w = NULL;
}
