// SPDX-License-Identifier: Apache-2.0
// Checkpoints by themselves. Whoever counts or publishes only says which month is finished; the rest has a thread and connections of its own.
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"

enum { AGAIN_S = 60, AGAIN_MOST_S = 3600, TIMEOUT_MS = 10000 };

struct keeper {
	struct checkpoint_options o;
	pthread_t thread;
	atomic_bool stop;
	pthread_mutex_t lock;      // of what follows
	pthread_cond_t wake;
	int wanted, done;          // months
	struct keeper_numbers numbers;
};

// Of the month or a later one, of the generation in force: a restart finds what was made before it.
static enum error_class find_made(const struct checkpoint_options *o, int month, struct checkpoint_file *ret, struct error *e)
{
	CLEANUP(journal_freep) struct journal *j = NULL;
	struct checkpoint_list list = { 0 };
	enum error_class c = journal_load_from(o->port != NULL ? o->port : &sink_port_kafka, o->kafka, TIMEOUT_MS, &j, e);
	if (c == ERROR_NONE)
		c = checkpoint_list(o->state_dir, &list, e);
	for (uint32_t i = 0; i < list.n && ret->path == NULL; i++) {
		const struct checkpoint_head *h = &list.files[i].head;
		if (list.files[i].wrong.cls == ERROR_NONE && strcmp(h->init_id, j->init_id) == 0 && h->generation == j->generation &&
		    h->settled != MONTH_NONE && h->settled >= month) {
			*ret = list.files[i];
			list.files[i] = (struct checkpoint_file){ 0 };
		}
	}
	checkpoint_list_free(&list);
	return c;
}

enum error_class checkpoint_of_month(const struct checkpoint_options *o, int month, struct checkpoint_file *ret, bool *ret_new, struct error *e)
{
	struct stat st = { 0 };
	struct checkpoint_file f = { 0 };
	enum error_class c = find_made(o, month, &f, e);
	*ret_new = c == ERROR_NONE && f.path == NULL;
	if (*ret_new) {
		c = checkpoint_make(o, &f.path, e);
		if (c == ERROR_NONE)
			c = checkpoint_head_read(f.path, &f.head, e);
		f.bytes = c == ERROR_NONE && stat(f.path, &st) == 0 ? (uint64_t)st.st_size : 0;
	}
	if (c == ERROR_NONE) {
		*ret = f;
	} else {
		free(f.path);
		checkpoint_head_free(&f.head);
	}
	return c;
}

static void note(struct keeper *k, const struct checkpoint_file *f, bool new, int64_t begun_us)
{
	pthread_mutex_lock(&k->lock);
	k->numbers.written += new;
	k->numbers.made_ms = f->head.made_ms;
	k->numbers.bytes = f->bytes;
	pthread_mutex_unlock(&k->lock);
	if (new)
		log_line(LVL_INFO, "checkpoint_written", "file=%s bytes=%llu ms=%lld", f->path, (unsigned long long)f->bytes,
			 (long long)(clock_mono_us() - begun_us) / 1000);
}

int keeper_again_s(uint32_t failures)
{
	int s = AGAIN_S;
	for (uint32_t i = 1; i < failures && s < AGAIN_MOST_S; i++)
		s *= 2;
	return s < AGAIN_MOST_S ? s : AGAIN_MOST_S;
}

static bool make(struct keeper *k, int month, int again_s)
{
	struct checkpoint_file f = { 0 };
	struct error e = { 0 };
	bool new = false;
	int64_t begun_us = clock_mono_us();
	if (checkpoint_of_month(&k->o, month, &f, &new, &e) == ERROR_NONE) {
		note(k, &f, new, begun_us);
		free(f.path);
		checkpoint_head_free(&f.head);
		return true;
	}
	if (atomic_load(&k->stop))
		return false;
	char quoted[1200];
	log_line(LVL_WARN, "checkpoint_failed", "why=%s again_s=%d", log_quote(e.text, quoted, sizeof(quoted)), again_s);
	pthread_mutex_lock(&k->lock);
	k->numbers.failed++;
	pthread_mutex_unlock(&k->lock);
	return false;
}

// With the lock held: until there is something to be done; after a failure not at once, and later after each further one: each attempt copies shards.
static void wait_for_work(struct keeper *k, uint32_t failures)
{
	bool failed = failures > 0;
	const struct timespec until = { .tv_sec = clock_mono_us() / 1000000 + keeper_again_s(failures) }; // the condition's clock, too
	while (!atomic_load(&k->stop) && (failed || k->wanted == MONTH_NONE || (k->done != MONTH_NONE && k->done >= k->wanted))) {
		if (!failed)
			pthread_cond_wait(&k->wake, &k->lock);
		else if (pthread_cond_timedwait(&k->wake, &k->lock, &until) != 0)
			failed = false;
	}
}

static void *keep(void *arg)
{
	struct keeper *k = arg;
	uint32_t failures = 0; // in a row
	pthread_mutex_lock(&k->lock);
	while (!atomic_load(&k->stop)) {
		wait_for_work(k, failures);
		int month = k->wanted;
		if (atomic_load(&k->stop))
			break;
		pthread_mutex_unlock(&k->lock);
		failures = make(k, month, keeper_again_s(failures + 1)) ? 0 : failures + 1;
		pthread_mutex_lock(&k->lock);
		if (failures == 0)
			k->done = month;
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

struct keeper *keeper_new(const struct checkpoint_options *o)
{
	struct keeper *k = xcalloc(1, sizeof(*k));
	pthread_condattr_t attr;
	k->o = *o;
	k->o.stop = &k->stop;
	k->o.progress = NULL;
	k->wanted = k->done = MONTH_NONE;
	k->numbers.made_ms = TIME_NONE;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&k->thread, NULL, keep, k) != 0)
		out_of_memory(1, sizeof(*k));
	return k;
}

void keeper_see(struct keeper *k, int closed_month)
{
	pthread_mutex_lock(&k->lock);
	bool news = closed_month != MONTH_NONE && (k->wanted == MONTH_NONE || closed_month > k->wanted);
	if (news)
		k->wanted = closed_month;
	pthread_mutex_unlock(&k->lock);
	if (news)
		pthread_cond_signal(&k->wake);
}

void keeper_stop(struct keeper *k)
{
	pthread_mutex_lock(&k->lock);
	atomic_store(&k->stop, true);
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

void keeper_freep(struct keeper **at)
{
	struct keeper *k = *at;
	if (k == NULL)
		return;
	keeper_stop(k);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->wake);
	free(k);
	*at = NULL;
}

void keeper_numbers(struct keeper *k, struct keeper_numbers *ret)
{
	pthread_mutex_lock(&k->lock);
	*ret = k->numbers;
	pthread_mutex_unlock(&k->lock);
}
