// SPDX-License-Identifier: Apache-2.0
#include "pipeline/facts.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "sink/sink.h"

enum { READ_MS = 15000, PAUSE_MS = 200, PAUSE_MOST_MS = 2000 };

struct facts {
	const struct kafka_options *kafka;
	struct shared *shared;
	pthread_t thread;
	volatile bool stop;        // for the reader
	pthread_mutex_t lock;      // of what follows
	bool ready;
	struct arena arena;        // values
	uint64_t n, size;
	struct fact_record *list;
	uint32_t n_next;
	int64_t *next;             // by partition: first offset not taken yet
};

void facts_take(struct facts *f, const struct topic_record *t)
{
	pthread_mutex_lock(&f->lock);
	while (f->n_next <= (uint32_t)t->partition) {
		f->next = xrealloc(f->next, f->n_next + 1, sizeof(*f->next));
		f->next[f->n_next++] = 0;
	}
	if (t->r.offset >= f->next[t->partition]) {
		f->next[t->partition] = t->r.offset + 1;
		if (f->n == f->size) {
			f->size = f->size * 2 + 64;
			f->list = xrealloc(f->list, f->size, sizeof(*f->list));
		}
		struct span value = { 0 };
		if (!account_begins_correction(t->r.value))
			value = arena_copy(&f->arena, t->r.value);
		f->list[f->n++] = (struct fact_record){ t->partition, t->r.offset, t->r.timestamp_ms, value };
	}
	pthread_mutex_unlock(&f->lock);
}

static bool on_record(void *ctx, const struct topic_record *t)
{
	struct facts *f = ctx;
	if (t != NULL)
		facts_take(f, t);
	f->stop = atomic_load(&f->shared->stop);
	return !f->stop;
}

// Everything up to the end, then whatever comes; false when it should be tried again.
static void read_round(struct facts *f, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	if (!facts_ready(f)) {
		cls = topic_read_back(f->kafka, f->kafka->accounts_topic, TIME_NONE, READ_MS, on_record, f, e);
		if (cls == ERROR_NONE && !f->stop)
			facts_whole(f);
	}
	if (cls == ERROR_NONE && !f->stop)
		cls = topic_follow(f->kafka, f->kafka->accounts_topic, TIME_NONE, &f->stop, on_record, f, e);
	if (cls == ERROR_ABORT)
		shared_fail(f->shared, e);
}

static void *facts_main(void *arg)
{
	struct facts *f = arg;
	int64_t pause_ms = PAUSE_MS;
	while (!atomic_load(&f->shared->stop)) {
		struct error e = { 0 };
		uint64_t before = facts_count(f);
		read_round(f, &e);
		if (facts_count(f) > before)
			pause_ms = PAUSE_MS;
		for (int64_t slept = 0; slept < pause_ms && !atomic_load(&f->shared->stop); slept += 50)
			clock_sleep_ms(50);
		pause_ms = pause_ms < PAUSE_MOST_MS ? pause_ms * 2 : pause_ms;
	}
	return NULL;
}

struct facts *facts_new(void)
{
	struct facts *f = xcalloc(1, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void facts_free(struct facts *f)
{
	arena_free(&f->arena);
	free(f->list);
	free(f->next);
	free(f);
}

void facts_whole(struct facts *f)
{
	pthread_mutex_lock(&f->lock);
	f->ready = true;
	pthread_mutex_unlock(&f->lock);
}

enum error_class facts_start(const struct kafka_options *kafka, struct shared *shared, struct facts **ret, struct error *e)
{
	struct facts *f = facts_new();
	f->kafka = kafka;
	f->shared = shared;
	if (pthread_create(&f->thread, NULL, facts_main, f) != 0) {
		facts_free(f);
		return error_set(e, ERROR_ABORT, EXIT_LATER, "no thread for the accounts topic could be started");
	}
	*ret = f;
	return ERROR_NONE;
}

void facts_join(struct facts **at)
{
	struct facts *f = *at;
	if (f == NULL)
		return;
	pthread_join(f->thread, NULL);
	facts_free(f);
	*at = NULL;
}

bool facts_ready(struct facts *f)
{
	pthread_mutex_lock(&f->lock);
	bool ready = f->ready;
	pthread_mutex_unlock(&f->lock);
	return ready;
}

uint64_t facts_count(struct facts *f)
{
	pthread_mutex_lock(&f->lock);
	uint64_t n = f->n;
	pthread_mutex_unlock(&f->lock);
	return n;
}

struct fact_record facts_at(struct facts *f, uint64_t i)
{
	pthread_mutex_lock(&f->lock);
	check(i < f->n);
	struct fact_record r = f->list[i];
	pthread_mutex_unlock(&f->lock);
	return r;
}
