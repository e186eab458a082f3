// SPDX-License-Identifier: Apache-2.0
#include "pipeline/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "letters/letters.h"
#include "pipeline/checks.h"
#include "pipeline/facts.h"
#include "pipeline/idle.h"
#include "rules/change.h"

enum { PROPOSE_MS = 10000, ASK_IDLE_MS = 2000 };

struct engine {
	struct settings *settings;
	const struct rules *rules;
	struct kafka_options kafka;
	struct store_options store;
	struct shared shared;
	int64_t started_ms;
	pthread_mutex_t lock; // of what follows
	enum engine_phase phase;
	char waiting[300];
	uint32_t n_workers;
	struct worker **workers;
	struct office *office;
	struct facts *facts;
	struct snapshots *snapshots; // NULL: none are kept
	struct keeper *keeper;   // of checkpoints; NULL: none is made
	struct letters *letters; // that were rejected
	struct idle idle;
	int64_t idle_us;         // when to ask next; the engine's own thread
	pthread_mutex_t proposing; // one at a time; and of what follows
	bool proposed;           // the start has
	struct rules *read_since;// owned; NULL, or what the files said last, while it has not
};

enum error_class engine_new(struct settings *s, const struct rules *rules, struct engine **ret, struct error *e)
{
	struct engine *g = xcalloc(1, sizeof(*g));
	g->settings = s;
	g->rules = rules;
	g->started_ms = clock_wall_ms();
	settings_kafka(s, &g->kafka);
	enum error_class cls = settings_store(s, &g->store, e);
	if (cls != ERROR_NONE) {
		free(g);
		return cls;
	}
	pthread_mutex_init(&g->lock, NULL);
	pthread_mutex_init(&g->proposing, NULL);
	pthread_mutex_init(&g->shared.lock, NULL);
	g->shared.office_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(g->shared.office_wake >= 0);
	*ret = g;
	return ERROR_NONE;
}

void engine_freep(struct engine **g)
{
	if (*g == NULL)
		return;
	close((*g)->shared.office_wake);
	free((*g)->workers);
	idle_free(&(*g)->idle);
	rules_freep(&(*g)->read_since);
	free(*g);
	*g = NULL;
}

void engine_stop(struct engine *g)
{
	atomic_store(&g->shared.stop, true);
}

static void engine_say(struct engine *g, enum engine_phase phase, const char *waiting)
{
	char quoted[400];
	pthread_mutex_lock(&g->lock);
	bool news = phase != g->phase || (g->waiting[0] == '\0') != (waiting[0] == '\0');
	g->phase = phase;
	snprintf(g->waiting, sizeof(g->waiting), "%s", waiting);
	pthread_mutex_unlock(&g->lock);
	if (news && waiting[0] != '\0')
		log_line(LVL_WARN, "start_waits", "why=%s", log_quote(waiting, quoted, sizeof(quoted)));
}

static enum error_class engine_check(struct engine *g, struct error *e)
{
	int64_t pause_ms = 100;
	while (!atomic_load(&g->shared.stop)) {
		struct error why = { 0 };
		enum error_class cls = checks_run(&ports_real, g->settings, &g->kafka, &g->store, &why);
		if (cls == ERROR_NONE)
			return cls;
		if (cls != ERROR_RETRY)
			return error_set(e, ERROR_ABORT, why.cls == ERROR_ABORT ? why.exit_code : EXIT_CONFIG_ERR, "%s", why.text);
		engine_say(g, ENGINE_CHECKING, why.text);
		for (int64_t slept = 0; slept < pause_ms && !atomic_load(&g->shared.stop); slept += 50)
			clock_sleep_ms(50);
		pause_ms = pause_ms < 1000 ? pause_ms * 2 : pause_ms;
	}
	return ERROR_NONE;
}

static enum error_class put_proposal(const struct store_options *o, const struct rules *rules, struct error *e)
{
	struct store *store = NULL;
	enum error_class cls = store_redis_open(o, &store, e);
	if (cls != ERROR_NONE)
		return cls;
	CLEANUP(freep) char *text = rules_to_json(rules);
	CLEANUP(freep) char *request = xasprintf("{\"kind\":\"rules\",\"rules\":%s}", text);
	cls = store->ops->request_put(store, span_of(request), e);
	store->ops->close(store);
	return cls;
}

enum error_class rules_propose(const struct kafka_options *k, const struct store_options *o, const struct rules *rules, struct faults *faults,
			       enum rules_answer *ret, struct error *e)
{
	CLEANUP(journal_freep) struct journal *j = NULL;
	enum error_class cls = journal_load(k, PROPOSE_MS, &j, e);
	if (cls == ERROR_NONE)
		cls = journal_begun(j, k, e);
	if (cls != ERROR_NONE)
		return cls;
	const struct rules *newest = j->rules[j->n_rules - 1].rules;
	int settled = j->n_manifests > 0 ? j->manifests[j->n_manifests - 1].month : MONTH_NONE;
	*ret = strcmp(newest->sha256, rules->sha256) == 0 ? RULES_NEWEST :
	       rules_may_follow(newest, rules, settled, faults) ? RULES_PROPOSED : RULES_REFUSED;
	return *ret == RULES_PROPOSED ? put_proposal(o, rules, e) : ERROR_NONE;
}

// A proposal that cannot be left now is left at the next start or reload; the rules in force hold meanwhile.
static enum error_class propose(struct engine *g, const struct rules *rules, const char *again, struct faults *faults, enum rules_answer *ret,
				struct error *e)
{
	char quoted[700];
	size_t before = faults->n;
	enum error_class cls = rules_propose(&g->kafka, &g->store, rules, faults, ret, e);
	if (cls != ERROR_NONE)
		log_line(LVL_WARN, "rules_not_proposed", "why=%s do=%s", log_quote(e->text, quoted, sizeof(quoted)), again);
	else if (*ret == RULES_PROPOSED)
		log_line(LVL_INFO, "rules_proposed", "catalog=%s sha256=%s", catalog_version(rules->catalog), rules->sha256);
	for (size_t i = before; i < faults->n; i++)
		log_line(LVL_ERROR, "rules_refused", "why=%s", log_quote(faults->list[i].text, quoted, sizeof(quoted)));
	return cls;
}

static void propose_at_start(struct engine *g)
{
	struct error e = { 0 };
	struct faults faults = { 0 };
	enum rules_answer answer = RULES_NEWEST;
	pthread_mutex_lock(&g->proposing);
	const struct rules *rules = g->read_since != NULL ? g->read_since : g->rules;
	if (rules != NULL)
		propose(g, rules, "restart", &faults, &answer, &e);
	g->proposed = true;
	pthread_mutex_unlock(&g->proposing);
	faults_free(&faults);
}

static struct rules *copy_of(const struct rules *rules)
{
	struct rules *copy = NULL;
	CLEANUP(freep) char *text = rules_to_json(rules);
	enum error_class cls = rules_from_json(span_of(text), &copy, NULL);
	check(cls == ERROR_NONE);
	return copy;
}

enum error_class engine_propose(struct engine *g, const struct rules *rules, struct faults *faults, enum rules_answer *ret, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	pthread_mutex_lock(&g->proposing);
	if (g->proposed) {
		cls = propose(g, rules, "reload", faults, ret, e);
	} else {
		rules_freep(&g->read_since);
		g->read_since = copy_of(rules);
		*ret = RULES_LATER;
	}
	pthread_mutex_unlock(&g->proposing);
	return cls;
}

static struct snapshots *start_snapshots(const struct settings *s)
{
	if (!s->dedupe_snapshots)
		return NULL;
	const char *dir = settings_state_dir(s);
	struct snapshots_options o = { .folder = folder_of_state_dir(dir), .where = dir, .bits = (unsigned)s->dedupe_snapshot_bits };
	return snapshots_new(&o);
}

static struct keeper *start_keeper(struct engine *g)
{
	const struct settings *s = g->settings;
	struct checkpoint_options o = { .kafka = &g->kafka, .store = &g->store, .state_dir = settings_state_dir(s), .keep = s->checkpoint_keep,
					.pause_ms = s->checkpoint_pause };
	return s->checkpoint_keep > 0 ? keeper_new(&o) : NULL;
}

// Who publishes also closes, and keeps what a bill needs.
static void see_months(struct engine *g)
{
	struct office_status office;
	office_status(g->office, &office);
	if (!office.in_charge)
		return;
	letters_watch(g->letters);
	if (g->keeper != NULL)
		keeper_see(g->keeper, office.closer.closed_month);
}

static enum error_class engine_start(struct engine *g, struct error *e)
{
	struct office *office = NULL;
	struct facts *facts = NULL;
	enum error_class cls = facts_start(&g->kafka, &g->shared, &facts, e);
	struct office_options oo = { &ports_real, g->settings, &g->kafka, &g->store, &g->shared, facts, SETTLES_BESIDE };
	if (cls == ERROR_NONE)
		cls = office_start(&oo, &office, e);
	pthread_mutex_lock(&g->lock);
	g->facts = facts;
	g->office = office;
	g->snapshots = cls == ERROR_NONE ? start_snapshots(g->settings) : NULL;
	g->keeper = cls == ERROR_NONE ? start_keeper(g) : NULL;
	g->letters = letters_new(&g->kafka);
	g->workers = xcalloc((size_t)g->settings->workers, sizeof(*g->workers));
	for (uint32_t i = 0; cls == ERROR_NONE && i < (uint32_t)g->settings->workers; i++) {
		struct worker_options wo = { &ports_real, g->settings, &g->kafka, &g->store, &g->shared, facts, 0, i, g->snapshots };
		cls = worker_start(&wo, &g->workers[i], e);
		g->n_workers += cls == ERROR_NONE;
	}
	pthread_mutex_unlock(&g->lock);
	return cls;
}

static void engine_join(struct engine *g)
{
	// The office first looks once more at what the workers left; then its producer goes.
	struct worker *w;
	if (g->keeper != NULL)
		keeper_stop(g->keeper); // it may be waiting for Kafka, as others will
	for (uint32_t i = g->n_workers; i > 0; i--) {
		pthread_mutex_lock(&g->lock);
		w = g->workers[i - 1];
		g->n_workers--;
		pthread_mutex_unlock(&g->lock);
		worker_join(&w);
	}
	pthread_mutex_lock(&g->lock);
	struct office *office = TAKE_PTR(g->office);
	struct facts *facts = TAKE_PTR(g->facts);
	struct snapshots *snapshots = TAKE_PTR(g->snapshots);
	struct keeper *keeper = TAKE_PTR(g->keeper);
	struct letters *letters = TAKE_PTR(g->letters);
	pthread_mutex_unlock(&g->lock);
	letters_freep(&letters);
	keeper_freep(&keeper);
	snapshots_freep(&snapshots);
	office_join(&office);
	facts_join(&facts);
}

// ---- partitions from which nothing comes

static bool pick_idle(struct engine *g, struct idle_part *ret)
{
	bool known_wait = false;
	pthread_mutex_lock(&g->lock);
	for (uint32_t i = 0; i < g->n_workers; i++) {
		struct worker_status w;
		worker_status(g->workers[i], &w);
		idle_note(&g->idle, &w);
		known_wait = known_wait || w.known_wait;
		worker_status_free(&w);
	}
	idle_sweep(&g->idle);
	bool picked = !known_wait && idle_pick(&g->idle, ret);
	pthread_mutex_unlock(&g->lock);
	return picked;
}

// One partition at a time, four times within what counts as stuck.
static void ask_idle(struct engine *g)
{
	struct idle_part p;
	int64_t low, high;
	if (clock_mono_us() < g->idle_us)
		return;
	if (pick_idle(g, &p) && sink_port_kafka.offsets(&g->kafka, p.topic, p.partition, ASK_IDLE_MS, &low, &high, NULL) == ERROR_NONE) {
		pthread_mutex_lock(&g->lock);
		idle_answer(&g->idle, &p, high, clock_mono_us());
		pthread_mutex_unlock(&g->lock);
	}
	g->idle_us = clock_mono_us() + g->settings->health_stuck_after * 1000 / 4;
}

// Asked at once: while the threads end another instance may make the counters again, and this one would end for good.
static bool ends_by_loss(struct engine *g)
{
	return atomic_load(&g->shared.failed) && g->shared.failure.exit_code == EXIT_CONFIG_ERR &&
	       SETTING_NOW(g->settings, on_state_loss) == ON_STATE_LOSS_REBUILD && checks_lost(&ports_real, &g->store);
}

enum error_class engine_run(struct engine *g, struct error *e)
{
	enum error_class cls = engine_check(g, e);
	if (cls == ERROR_NONE && !atomic_load(&g->shared.stop)) {
		propose_at_start(g);
		cls = engine_start(g, e);
	}
	if (cls == ERROR_NONE && !atomic_load(&g->shared.stop)) {
		engine_say(g, ENGINE_RUNNING, "");
		log_line(LVL_INFO, "running", "workers=%u group=%s", g->n_workers, g->kafka.group);
	}
	while (cls == ERROR_NONE && !atomic_load(&g->shared.stop)) {
		clock_sleep_ms(50);
		ask_idle(g);
		see_months(g);
	}
	bool lost = cls == ERROR_NONE && ends_by_loss(g);
	atomic_store(&g->shared.stop, true);
	engine_say(g, ENGINE_STOPPING, "");
	engine_join(g);
	if (cls != ERROR_NONE || !atomic_load(&g->shared.failed))
		return cls;
	const struct error *why = &g->shared.failure;
	if (lost)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "the counters are lost; on_state_loss: rebuild has the next start make them again (%s)",
				 why->text);
	return error_set(e, why->cls, why->exit_code, "%s", why->text);
}

// ---- what it looks like from outside

static void read_snapshot(struct status_part *out, struct snapshots *snapshots)
{
	CLEANUP(freep) char *name = xasprintf("%s/%" PRId32, out->topic, out->partition);
	struct snapshot_status at;
	snapshots_status(snapshots, name, &at);
	out->snapshot_offset = at.position;
	out->snapshot_ms = at.written_ms;
	out->snapshot_bytes = at.bytes;
}

static void read_snapshots(struct status *s, struct snapshots *snapshots)
{
	struct snapshots_totals t;
	if (snapshots == NULL)
		return;
	for (uint32_t i = 0; i < s->n_parts; i++)
		read_snapshot(&s->parts[i], snapshots);
	snapshots_totals(snapshots, &t);
	s->snapshots = (struct status_snapshots){ true, t.written, t.failed, t.lost, t.refused, t.failing[0] != '\0' ? xstrdup(t.failing) : NULL };
}

static void read_checkpoints(struct status *s, struct keeper *keeper)
{
	struct keeper_numbers n;
	if (keeper == NULL)
		return;
	keeper_numbers(keeper, &n);
	s->checkpoints = (struct status_checkpoints){ true, n.written, n.failed, n.bytes, n.made_ms };
}

static void read_letters(struct status *s, struct letters *letters)
{
	struct letters_numbers n;
	letters_numbers(letters, &n);
	s->letters.known = n.known;
	s->letters.full = n.full;
	for (int i = 1; i < REJECT_COUNT; i++)
		status_count_add(&s->letters.by_code, reject_info((enum reject)i)->code, (int64_t)n.by_code[i]);
	status_count_add(&s->letters.by_code, "other", (int64_t)n.by_code[REJECT_NONE]);
}

static const struct status_part *read_part(struct status *s, const struct worker_part_status *p)
{
	struct status_part *out = status_part_add(s, p->topic, p->partition);
	out->next = p->next;
	out->high = p->end;
	out->at_end = p->at_end;
	out->clock_ms = p->clock_ms;
	out->window_clock_ms = p->window_clock_ms;
	memcpy(out->outcomes, p->outcomes, sizeof(out->outcomes));
	out->gaps = p->gaps;
	out->read_back = p->read_back;
	out->reading_back = p->reading_back;
	out->halted = p->halted[0] != '\0' ? xstrdup(p->halted) : NULL;
	return out;
}

static bool read_worker(const struct engine *g, struct status *s, const struct worker_status *w, uint32_t index, int64_t now_us)
{
	int64_t lag = 0, patience_us = g->settings->health_stuck_after * 1000;
	const struct worker_part_status *silent = NULL;
	for (uint32_t i = 0; i < w->n_parts; i++) {
		const struct status_part *part = read_part(s, &w->parts[i]);
		if (part->halted == NULL)
			lag += status_part_lag(part);
		if (idle_suspected(&g->idle, &w->parts[i], now_us, patience_us))
			silent = &w->parts[i];
	}
	for (uint32_t i = 0; i < w->calls.n; i++)
		status_count_add(&s->calls, w->calls.list[i].name, w->calls.list[i].n);
	for (uint32_t i = 0; i < w->conflicts.n; i++)
		status_count_add(&s->conflicts, w->conflicts.list[i].name, w->conflicts.list[i].n);
	for (uint32_t i = 0; i < w->top.n; i++)
		status_count_add(&s->top, w->top.list[i].name, w->top.list[i].n);
	if (w->top_since_us > 0 && now_us - w->top_since_us > s->top_window_us)
		s->top_window_us = now_us - w->top_since_us;
	s->top_over += w->top_over;
	status_shards_add(s, w->shards, w->n_shards);
	histogram_sum(&s->commit_time, &w->commit_time);
	s->counters_committed += w->deltas;
	s->dedupe_bytes += w->dedupe_bytes;
	if (w->rules_version > s->rules_version)
		s->rules_version = w->rules_version;
	if (strcmp(w->state, "running") != 0)
		status_reason(s, "worker %u is %s%s%s", index, w->state, w->reason[0] != '\0' ? ": " : "", w->reason);
	bool stuck = now_us - w->alive_us > patience_us || (lag > 0 && now_us - w->progress_us > patience_us);
	if (w->known_wait || (!stuck && silent == NULL))
		return true;
	s->stuck_workers++;
	if (stuck)
		status_reason(s, "worker %u makes no progress although %lld records wait; the service manager will restart it", index,
			      (long long)lag);
	else if (silent != NULL)
		status_reason(s, "worker %u gets nothing of %s/%d from Kafka's client although records wait behind offset %lld; the service manager will "
			      "restart it", index, silent->topic, (int)silent->partition, (long long)silent->next);
	return false;
}

static void read_closer(struct status_closer *s, const struct closer_numbers *n)
{
	s->closed_month = n->closed_month;
	s->closed_end_ms = n->closed_month != MONTH_NONE ? n->closed_ms : TIME_NONE;
	s->open_month = n->open_month;
	s->wait_month = n->wait_month;
	s->closes_ms = n->open_month != MONTH_NONE ? n->closes_ms : TIME_NONE;
	s->due_ms = n->open_month != MONTH_NONE ? n->due_ms : TIME_NONE;
	if (n->waits_for[0] != '\0')
		s->note = xstrdup(n->waits_for);
}

static bool read_office(const struct engine *g, struct status *s, const struct office_status *o, int64_t now_us)
{
	s->relay.owner = s->closer.owner = o->in_charge;
	s->relay.pending = o->in_charge ? o->relay.pending : -1;
	s->imbalance = o->in_charge ? o->imbalance : -1;
	s->balanced_ms = s->imbalance >= 0 ? o->balanced_ms : TIME_NONE;
	histogram_sum(&s->alert_delay, &o->relay.delay);
	s->relay.published = o->relay.published;
	s->relay.dropped = o->relay.twins_dropped;
	s->closer.corrected = o->closer.corrected;
	s->closer.passed_over = o->closer.passed_over;
	if (o->in_charge)
		read_closer(&s->closer, &o->closer);
	bool waits = strcmp(o->state, "waiting") == 0 || strcmp(o->state, "halted") == 0;
	if (waits) {
		s->relay.note = xstrdup(o->reason);
		status_reason(s, "publishing is %s: %s", o->state, o->reason);
	}
	if (o->relay.settlement_twin)
		status_reason(s, "closing stopped: settlement %s differs from the one published before; nothing was published twice",
			      o->relay.settlement_twin_id);
	int64_t patience_us = g->settings->health_stuck_after * 1000;
	bool waits_for_it = o->relay.pending > 0 || !o->in_charge;
	bool stuck = o->due && (now_us - o->alive_us > patience_us || (waits_for_it && now_us - o->progress_us > patience_us));
	if (!stuck || o->known_wait)
		return true;
	s->stuck_outbox = true;
	status_reason(s, "the outbox does not drain: no step of publishing ended for more than %lld s; the service manager will restart it",
		      (long long)(patience_us / 1000000));
	return false;
}

void engine_read(struct engine *g, struct status *s, bool *ret_progressing)
{
	int64_t now_us = clock_mono_us();
	struct office_status office = { 0 };
	*ret_progressing = true;
	s->now_ms = clock_wall_ms();
	s->started_ms = g->started_ms;
	s->instance = xstrdup(g->settings->instance);
	pthread_mutex_lock(&g->lock);
	s->phase = g->phase == ENGINE_RUNNING ? STATUS_RUNNING : g->phase == ENGINE_STOPPING ? STATUS_STOPPING : STATUS_STARTING;
	s->workers = g->n_workers;
	s->accounts_records = g->n_workers > 0 ? UINT64_MAX : 0;
	if (g->waiting[0] != '\0')
		status_reason(s, "%s", g->waiting);
	for (uint32_t i = 0; i < g->n_workers; i++) {
		struct worker_status w;
		worker_status(g->workers[i], &w);
		*ret_progressing = read_worker(g, s, &w, i, now_us) && *ret_progressing;
		if (w.facts_taken < s->accounts_records)
			s->accounts_records = w.facts_taken;
		worker_status_free(&w);
	}
	read_snapshots(s, g->snapshots);
	read_checkpoints(s, g->keeper);
	if (g->letters != NULL && g->office != NULL)
		read_letters(s, g->letters);
	bool office_there = g->office != NULL;
	if (office_there)
		office_status(g->office, &office);
	pthread_mutex_unlock(&g->lock);
	s->letters.known = s->letters.known && office.in_charge;
	if (office_there)
		*ret_progressing = read_office(g, s, &office, now_us) && *ret_progressing;
}
