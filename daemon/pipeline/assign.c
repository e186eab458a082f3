// SPDX-License-Identifier: Apache-2.0
// Taking partitions over and giving them up. There is no separate recovery: a start, a rebalance, a rollback and a lost race all
// come here, claim the partitions in every shard, read where the shards stand, and read on from there.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/log.h"
#include "closing/closing.h"
#include "pipeline/state.h"
#include "store/store.h"

enum { TOPIC_TIMEOUT_MS = 10000 };

// All tokens have one length: commits under way point at the buffer.
void worker_new_token(struct worker *w)
{
	uint64_t random = 0;
	check(getrandom(&random, sizeof(random), 0) == sizeof(random));
	snprintf(w->token, sizeof(w->token), "%016" PRIx64 "-%016" PRIx64, random, ++w->token_serial);
}

// What is gathered refers to what was known before: nothing may be gathered or under way.
void worker_forget(struct worker *w)
{
	check(w->n_flights == 0 && w->open_records == 0);
	aggregate_forget(w->aggregate);
	aggregate_begin(w->aggregate, worker_open(w)->batch);
	plans_know(w->plans, w->journal, w->book);
	for (uint32_t i = 0; i < w->n_parts; i++)
		w->parts[i].next_turn_ms = INT64_MIN;
	w->turned = true;
}

void worker_know(struct worker *w)
{
	uint64_t n = facts_count(w->o.facts);
	for (; w->facts_taken < n; w->facts_taken++) {
		struct fact_record r = facts_at(w->o.facts, w->facts_taken);
		struct account_fault fault; // the closer says what is wrong with it
		account_book_apply(w->book, r.partition, r.offset, r.stamp_ms, r.value, &fault);
	}
	w->facts_us = clock_mono_us();
	worker_forget(w);
}

// The rules as the control topic has them now. Nothing refers to the old ones: no batch is open or under way.
static enum error_class load_journal(struct worker *w, struct error *e)
{
	struct journal *j = NULL;
	enum error_class cls = journal_load_from(w->o.ports->sink, w->o.kafka, TOPIC_TIMEOUT_MS, &j, e);
	if (cls != ERROR_NONE)
		return cls;
	cls = journal_begun(j, w->o.kafka, e);
	if (cls != ERROR_NONE) {
		journal_freep(&j);
		return cls;
	}
	if (j->shards != w->o.store->shards) {
		cls = error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "redis.shards is %u, but the state was made with %u: set it back",
				w->o.store->shards, j->shards);
		journal_freep(&j);
		return cls;
	}
	journal_freep(&w->journal);
	w->journal = j;
	w->newest = &j->rules[j->n_rules - 1];
	w->decider.newest = w->newest->rules->catalog;
	w->decider.journal = j;
	worker_know(w);
	uint32_t services = catalog_services(w->newest->rules->catalog); // a later version never has fewer
	w->calls = xrealloc(w->calls, services, sizeof(*w->calls));
	for (; w->n_calls < services; w->n_calls++)
		w->calls[w->n_calls] = 0;
	w->store->ops->identity(w->store, j->init_id, w->o.generation != 0 ? w->o.generation : j->generation);
	return w->o.generation != 0 ? ERROR_NONE : closing_adopt(w->store, w->o.store->shards, j, e);
}

// Claims all admitted partitions in every shard; positions[shard * n + i].
static enum error_class claim_all(struct worker *w, struct position *positions, struct error *e)
{
	struct store_claim *claims = xcalloc(w->n_parts, sizeof(*claims));
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->n_parts; i++) {
		const struct journal_part *jp = journal_part(w->journal, span_of(w->parts[i].name));
		if (jp != NULL)
			claims[n++] = (struct store_claim){ .name = span_of(w->parts[i].name),
							    .start = { jp->offset, jp->clock_ms, -1, 0 } };
	}
	enum error_class cls = ERROR_NONE;
	for (uint32_t s = 0; cls == ERROR_NONE && n > 0 && s < w->o.store->shards; s++) {
		worker_alive(w);
		cls = w->store->ops->claim(w->store, s, span_of(w->token), claims, n, e);
		for (uint32_t i = 0, k = 0; cls == ERROR_NONE && i < w->n_parts; i++)
			if (journal_part(w->journal, span_of(w->parts[i].name)) != NULL)
				positions[s * w->n_parts + i] = claims[k++].at;
	}
	free(claims);
	return cls;
}

// What an earlier assignment of this process knows about duplicates is still true if it covers the start, and no rules that were unknown then
// hold for anything that it read. It may have read far beyond what was committed.
static bool take_kept(struct worker *w, struct part *p)
{
	for (uint32_t i = 0; i < w->n_kept; i++) {
		struct part *k = &w->kept[i];
		if (k->dedupe == NULL || strcmp(k->name, p->name) != 0)
			continue;
		if (dedupe_list_start(k->dedupe) > p->start || dedupe_position(k->dedupe) < p->start ||
		    journal_rules_at(w->journal, dedupe_clock(k->dedupe))->version > k->rules)
			return false;
		p->dedupe = TAKE_PTR(k->dedupe);
		p->next_slice = k->next_slice;
		return true;
	}
	return false;
}

// The clock just before the first offset that the log has: no record that is gone had a higher one. Known at each generation's boundary.
static enum error_class find_gone(struct worker *w, struct part *p, int64_t low, struct error *e)
{
	int64_t step = (int64_t)1 << p->dedupe_options.generation_bits, boundary = (low + step - 1) / step * step, clock_ms = TIME_NONE;
	enum error_class cls = boundary <= p->start ? w->store->ops->mark(w->store, span_of(p->name), boundary, &clock_ms, e) : ERROR_NONE;
	p->gone_below = low;
	p->gone_clock_ms = clock_ms != TIME_NONE ? clock_ms : p->stored_clock_ms;
	return cls;
}

// Where reading back begins, and the record clock there. The log may not reach back to the whole window in offsets; then it must
// reach back to its age.
static enum error_class window_begin(struct worker *w, struct part *p, int64_t low, int64_t *ret_clock, struct error *e)
{
	int64_t begin = dedupe_window_start(&p->dedupe_options, p->start);
	const struct journal_part *jp = journal_part(w->journal, span_of(p->name));
	*ret_clock = TIME_NONE;
	if (begin >= low) {
		p->read_from = begin;
		p->clock_whole = true;
		if (begin == jp->offset) {
			*ret_clock = jp->clock_ms;
			return ERROR_NONE;
		}
		enum error_class cls = w->store->ops->mark(w->store, span_of(p->name), begin, ret_clock, e);
		if (cls == ERROR_NONE && *ret_clock == TIME_NONE && begin < p->start)
			part_halt(p, "the record clock at offset %lld is missing in Redis: restore Redis from its backup",
				  (long long)begin);
		return cls;
	}
	if (p->course.clock_ms == TIME_NONE || low > p->start) {
		part_halt(p, "the log begins at offset %lld, counting stands at %lld: %lld offsets are gone. Set a longer retention; to go on "
			  "without them a person must decide", (long long)low, (long long)p->start, (long long)(low - p->start));
		return ERROR_NONE;
	}
	int64_t at = -1;
	enum error_class cls = w->o.ports->sink->offset_at(w->o.kafka, p->topic, p->partition, p->course.clock_ms - p->dedupe_options.max_age_ms,
					       TOPIC_TIMEOUT_MS, &at, e);
	p->read_from = at < 0 || at > p->start ? p->start : at;
	return cls == ERROR_NONE ? find_gone(w, p, low, e) : cls;
}

static void part_forget_prints(struct part *p, int64_t low)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_prints; i++)
		if (p->prints[i].offset >= low)
			p->prints[n++] = p->prints[i];
	p->n_prints = n;
}

// The set of duplicates for a start at p->start, and where reading begins for it: with one that is kept, with slices, or from the log alone.
static enum error_class place_set(struct worker *w, struct part *p, int64_t low, int64_t *ret_clock, struct error *e)
{
	if (take_kept(w, p))
		return low > p->start ? window_begin(w, p, low, ret_clock, e) : ERROR_NONE; // says how much is gone
	if (worker_load_slices(w, p, low, ret_clock))
		return ERROR_NONE;
	enum error_class cls = window_begin(w, p, low, ret_clock, e);
	if (cls != ERROR_NONE || p->state != PART_RUNNING)
		return cls;
	int64_t older_ms = p->clock_whole ? *ret_clock : p->course.clock_ms - p->dedupe_options.max_age_ms - 1;
	p->dedupe = dedupe_new(&p->dedupe_options, p->read_from, *ret_clock);
	if (w->o.snapshots != NULL)
		part_recorded(p, w->o.snapshots, older_ms, (struct slice_mark){ .offset = -1 });
	return cls;
}

static enum error_class place_part(struct worker *w, struct part *p, uint32_t index, const struct position *positions, struct error *e)
{
	struct position *of_shards = xcalloc(w->o.store->shards, sizeof(*of_shards));
	for (uint32_t s = 0; s < w->o.store->shards; s++)
		of_shards[s] = positions[s * w->n_parts + index];
	part_place(p, of_shards);
	free(of_shards);
	const struct rules_settings *rs = &w->newest->rules->settings;
	const struct journal_part *jp = journal_part(w->journal, span_of(p->name));
	p->rules = w->newest->version;
	p->dedupe_options = decide_dedupe_options(w->journal, rs, jp->offset);
	part_begin(p, w->journal);
	int64_t low = 0, high = 0, clock = TIME_NONE;
	enum error_class cls = w->o.ports->sink->offsets(w->o.kafka, p->topic, p->partition, TOPIC_TIMEOUT_MS, &low, &high, e);
	if (cls != ERROR_NONE)
		return cls;
	p->end = high;
	if (high < p->start)
		part_halt(p, "the log ends at offset %lld, counting stands at %lld: the topic was made again or cut off. Nothing was counted "
			  "from it", (long long)high, (long long)p->start);
	if (p->state != PART_RUNNING)
		return ERROR_NONE;
	if (rs->dedupe)
		cls = place_set(w, p, low, &clock, e);
	else if (low > p->start)
		cls = window_begin(w, p, low, &clock, e); // says how much is gone
	// The record before the offset is read too: its fingerprint tells whether this is still the same log.
	part_forget_prints(p, low); // of records that retention took nothing can be told
	for (uint32_t i = 0; i < p->n_prints; i++)
		if (p->prints[i].offset < p->read_from) {
			p->read_from = p->prints[i].offset;
			p->clock_whole = false;
		}
	if (p->read_from < p->start)
		p->course.clock_ms = clock;
	p->next = p->read_from;
	return cls;
}

static void log_assignment(const struct worker *w)
{
	for (uint32_t i = 0; i < w->n_parts; i++) {
		const struct part *p = &w->parts[i];
		log_line(LVL_INFO, "partition_assigned", "partition=%s next=%lld read_from=%lld state=%s", p->name, (long long)p->start,
			 (long long)p->read_from, p->state == PART_RUNNING ? "running" : p->state == PART_HALTED ? "halted" : "unadmitted");
	}
}

static void parts_clear(struct part **parts, uint32_t *n)
{
	for (uint32_t i = 0; i < *n; i++)
		part_clear(&(*parts)[i]);
	free(*parts);
	*parts = NULL;
	*n = 0;
}

static void give_up_first(struct worker *w)
{
	if (w->owns_first)
		atomic_fetch_sub(&w->o.shared->first_owners, 1);
	w->owns_first = false;
}

static enum error_class place_all(struct worker *w, struct source_part *parts, struct error *e)
{
	struct position *positions = xcalloc((size_t)w->o.store->shards * w->n_parts, sizeof(*positions));
	enum error_class cls = claim_all(w, positions, e);
	for (uint32_t i = 0; cls == ERROR_NONE && i < w->n_parts; i++) {
		struct part *p = &w->parts[i];
		worker_alive(w);
		if (journal_part(w->journal, span_of(p->name)) == NULL) {
			int64_t low = 0;
			p->state = PART_UNADMITTED;
			w->unadmitted = true;
			cls = w->o.ports->sink->offsets(w->o.kafka, p->topic, p->partition, TOPIC_TIMEOUT_MS, &low, &p->read_from, e);
		} else {
			cls = place_part(w, p, i, positions, e);
		}
		parts[i].read_from = p->state == PART_HALTED ? (p->end >= 0 ? p->end : 0) : p->read_from;
		if (p->partition == 0 && strcmp(p->topic, w->o.kafka->input_topics[0]) == 0 && cls == ERROR_NONE)
			w->owns_first = true;
	}
	free(positions);
	return cls;
}

enum error_class worker_assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e)
{
	struct worker *w = ctx;
	check(w->parts == NULL && w->n_flights == 0);
	check(facts_ready(w->o.facts));
	enum error_class cls;
	do { // read since the connection was made, also where reading made it
		w->session = w->store->ops->session(w->store);
		cls = load_journal(w, e);
	} while (cls == ERROR_NONE && w->store->ops->session(w->store) != w->session);
	if (cls != ERROR_NONE)
		return cls;
	w->store->ops->informed(w->store, w->session);
	worker_new_token(w);
	w->n_parts = n;
	w->adrift = w->unadmitted = false;
	w->trouble = TROUBLE_NONE; // also after a halt: the state is read afresh, and what is wrong with it is met again
	w->halted = (struct error){ 0 };
	w->parts = xcalloc(n, sizeof(*w->parts));
	w->last_record = xrealloc(w->last_record, n, sizeof(*w->last_record));
	for (uint32_t i = 0; i < n; i++) {
		part_init(&w->parts[i], parts[i].topic, parts[i].partition, parts[i].name, w->o.store->shards);
		w->last_record[i] = UINT32_MAX;
	}
	cls = place_all(w, parts, e);
	if (cls != ERROR_NONE) {
		w->owns_first = false;
		parts_clear(&w->parts, &w->n_parts);
		return cls;
	}
	for (uint32_t s = 0; s < w->o.store->shards; s++)
		w->advanced_us[s] = clock_mono_us();
	if (w->owns_first) {
		atomic_fetch_add(&w->o.shared->first_given, 1);
		atomic_fetch_add(&w->o.shared->first_owners, 1);
	}
	parts_clear(&w->kept, &w->n_kept);
	worker_say(w, "running", "");
	log_assignment(w);
	return ERROR_NONE;
}

void worker_revoked(void *ctx, bool lost)
{
	struct worker *w = ctx;
	if (!lost && w->trouble == TROUBLE_NONE)
		worker_finish(w, (int)w->o.settings->redis_timeout);
	worker_drop(w);
	give_up_first(w);
	parts_clear(&w->kept, &w->n_kept);
	w->kept = TAKE_PTR(w->parts);
	w->n_kept = w->n_parts;
	w->n_parts = 0;
}
