// SPDX-License-Identifier: Apache-2.0
#include "pipeline/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "pipeline/checks.h"

enum { STUCK_US = 60 * 1000000 }; // no progress for this long although there is work

struct engine {
	struct settings *settings;
	struct kafka_options kafka;
	struct store_options store;
	struct shared shared;
	pthread_mutex_t lock; // of what follows
	enum engine_phase phase;
	char waiting[300];
	uint32_t n_workers;
	struct worker **workers;
	struct office *office;
};

enum error_class engine_new(struct settings *s, struct engine **ret, struct error *e)
{
	struct engine *g = xcalloc(1, sizeof(*g));
	g->settings = s;
	settings_kafka(s, &g->kafka);
	enum error_class cls = settings_store(s, &g->store, e);
	if (cls != ERROR_NONE) {
		free(g);
		return cls;
	}
	pthread_mutex_init(&g->lock, NULL);
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
		enum error_class cls = checks_run(g->settings, &g->kafka, &g->store, &why);
		if (cls == ERROR_NONE)
			return cls;
		if (cls != ERROR_RETRY)
			return error_set(e, ERROR_ABORT, why.cls == ERROR_ABORT ? why.exit_code : EXIT_CONFIG_ERR, "%s", why.text);
		engine_say(g, ENGINE_CHECKING, why.text);
		for (int64_t slept = 0; slept < pause_ms && !atomic_load(&g->shared.stop); slept += 50)
			clock_sleep_ms(50);
		pause_ms = pause_ms < 5000 ? pause_ms * 2 : pause_ms;
	}
	return ERROR_NONE;
}

static enum error_class engine_start(struct engine *g, struct error *e)
{
	struct office_options oo = { g->settings, &g->kafka, &g->store, &g->shared };
	struct office *office = NULL;
	enum error_class cls = office_start(&oo, &office, e);
	pthread_mutex_lock(&g->lock);
	g->office = office;
	g->workers = xcalloc((size_t)g->settings->workers, sizeof(*g->workers));
	for (uint32_t i = 0; cls == ERROR_NONE && i < (uint32_t)g->settings->workers; i++) {
		struct worker_options wo = { g->settings, &g->kafka, &g->store, &g->shared, i };
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
	for (uint32_t i = g->n_workers; i > 0; i--) {
		pthread_mutex_lock(&g->lock);
		w = g->workers[i - 1];
		g->n_workers--;
		pthread_mutex_unlock(&g->lock);
		worker_join(&w);
	}
	pthread_mutex_lock(&g->lock);
	struct office *office = TAKE_PTR(g->office);
	pthread_mutex_unlock(&g->lock);
	office_join(&office);
}

enum error_class engine_run(struct engine *g, struct error *e)
{
	enum error_class cls = engine_check(g, e);
	if (cls == ERROR_NONE && !atomic_load(&g->shared.stop))
		cls = engine_start(g, e);
	if (cls == ERROR_NONE && !atomic_load(&g->shared.stop)) {
		engine_say(g, ENGINE_RUNNING, "");
		log_line(LVL_INFO, "running", "workers=%u group=%s", g->n_workers, g->kafka.group);
	}
	while (cls == ERROR_NONE && !atomic_load(&g->shared.stop))
		clock_sleep_ms(50);
	atomic_store(&g->shared.stop, true);
	engine_say(g, ENGINE_STOPPING, "");
	engine_join(g);
	if (cls == ERROR_NONE && atomic_load(&g->shared.failed))
		cls = error_set(e, g->shared.failure.cls, g->shared.failure.exit_code, "%s", g->shared.failure.text);
	return cls;
}

// ---- what it looks like from outside

static void add_reason(struct engine_status *s, const char *fmt, const char *a, const char *b)
{
	if (s->n_reasons == ARRAY_LEN(s->reasons))
		return;
	snprintf(s->reasons[s->n_reasons], sizeof(s->reasons[0]), "%.20s%.120s%.170s", fmt, a, b);
	s->n_reasons++;
}

static void judge_worker(struct engine_status *s, const struct worker_status *w, int64_t now_us)
{
	int64_t lag = 0;
	if (w->reason[0] != '\0')
		add_reason(s, w->state, ": ", w->reason);
	for (uint32_t i = 0; i < w->n_parts; i++) {
		if (w->parts[i].halted[0] != '\0')
			add_reason(s, "", w->parts[i].name, w->parts[i].halted);
		if (w->parts[i].end > w->parts[i].next)
			lag += w->parts[i].end - w->parts[i].next;
	}
	s->lag += lag;
	bool stuck = now_us - w->alive_us > STUCK_US || (lag > 0 && now_us - w->progress_us > STUCK_US);
	if (stuck)
		add_reason(s, "", "a worker makes no progress", "");
	if (stuck && !w->known_wait)
		s->progressing = false;
}

static void judge_office(struct engine_status *s, int64_t now_us)
{
	const struct office_status *o = &s->office;
	if (strcmp(o->state, "waiting") == 0 || strcmp(o->state, "halted") == 0)
		add_reason(s, "publishing: ", o->state, o->reason);
	if (o->relay.settlement_twin)
		add_reason(s, "closing: ", "a settlement differs from the one published: ", o->relay.settlement_twin_id);
	bool stuck = now_us - o->alive_us > STUCK_US || (o->relay.pending > 0 && now_us - o->progress_us > STUCK_US);
	if (stuck && o->in_charge)
		add_reason(s, "", "the outbox does not drain", "");
	if (stuck && !o->known_wait && o->in_charge)
		s->progressing = false;
}

void engine_status(struct engine *g, struct engine_status *ret)
{
	int64_t now_us = clock_mono_us();
	*ret = (struct engine_status){ .progressing = true };
	pthread_mutex_lock(&g->lock);
	ret->phase = g->phase;
	snprintf(ret->waiting, sizeof(ret->waiting), "%s", g->waiting);
	ret->n_workers = g->n_workers;
	ret->workers = xcalloc(g->n_workers, sizeof(*ret->workers));
	for (uint32_t i = 0; i < g->n_workers; i++)
		worker_status(g->workers[i], &ret->workers[i]);
	if (g->office != NULL)
		office_status(g->office, &ret->office);
	pthread_mutex_unlock(&g->lock);
	if (ret->phase != ENGINE_RUNNING)
		add_reason(ret, ret->phase == ENGINE_CHECKING ? "starting: " : "stopping", ret->waiting, "");
	for (uint32_t i = 0; i < ret->n_workers; i++)
		judge_worker(ret, &ret->workers[i], now_us);
	if (ret->phase == ENGINE_RUNNING)
		judge_office(ret, now_us);
	ret->ready = ret->n_reasons == 0;
}

void engine_status_free(struct engine_status *s)
{
	for (uint32_t i = 0; i < s->n_workers; i++)
		free(s->workers[i].parts);
	free(s->workers);
	s->workers = NULL;
	s->n_workers = 0;
}
