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

enum { AGAIN_S = 60 };

struct keeper {
	struct checkpoint_options o;
	pthread_t thread;
	atomic_bool stop;
	pthread_mutex_t lock;      // of what follows
	pthread_cond_t wake;
	int wanted, done;          // months
	struct keeper_numbers numbers;
};

// A checkpoint of the month, or of a later one, of the generation in force: a restart finds what was made before it.
static bool is_there(struct keeper *k, int month)
{
	CLEANUP(journal_freep) struct journal *j = NULL;
	struct checkpoint_list list = { 0 };
	bool there = false;
	if (journal_load(k->o.kafka, AGAIN_S * 1000, &j, NULL) != ERROR_NONE || checkpoint_list(k->o.state_dir, &list, NULL) != ERROR_NONE)
		return false;
	for (uint32_t i = 0; i < list.n && !there; i++) {
		const struct checkpoint_head *h = &list.files[i].head;
		there = list.files[i].wrong.cls == ERROR_NONE && strcmp(h->init_id, j->init_id) == 0 && h->generation == j->generation &&
			h->settled != MONTH_NONE && h->settled >= month;
		if (there) {
			pthread_mutex_lock(&k->lock);
			k->numbers.made_ms = h->made_ms;
			k->numbers.bytes = list.files[i].bytes;
			pthread_mutex_unlock(&k->lock);
		}
	}
	checkpoint_list_free(&list);
	return there;
}

static void note(struct keeper *k, const char *path, int64_t begun_us)
{
	struct stat st = { 0 };
	bool there = stat(path, &st) == 0;
	pthread_mutex_lock(&k->lock);
	k->numbers.written++;
	k->numbers.made_ms = clock_wall_ms();
	k->numbers.bytes = there ? (uint64_t)st.st_size : 0;
	pthread_mutex_unlock(&k->lock);
	log_line(LVL_INFO, "checkpoint_written", "file=%s bytes=%llu ms=%lld", path, (unsigned long long)st.st_size,
		 (long long)(clock_mono_us() - begun_us) / 1000);
}

static bool make(struct keeper *k, int month)
{
	CLEANUP(freep) char *path = NULL;
	struct error e = { 0 };
	int64_t begun_us = clock_mono_us();
	if (is_there(k, month))
		return true;
	if (checkpoint_make(&k->o, &path, &e) == ERROR_NONE) {
		note(k, path, begun_us);
		return true;
	}
	if (atomic_load(&k->stop))
		return false;
	char quoted[1200];
	log_line(LVL_WARN, "checkpoint_failed", "why=%s again_s=%d", log_quote(e.text, quoted, sizeof(quoted)), AGAIN_S);
	pthread_mutex_lock(&k->lock);
	k->numbers.failed++;
	pthread_mutex_unlock(&k->lock);
	return false;
}

// With the lock held: until there is something to be done; after a failure not at once.
static void wait_for_work(struct keeper *k, bool failed)
{
	const struct timespec until = { .tv_sec = clock_mono_us() / 1000000 + AGAIN_S }; // the condition's clock, too
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
	bool failed = false;
	pthread_mutex_lock(&k->lock);
	while (!atomic_load(&k->stop)) {
		wait_for_work(k, failed);
		int month = k->wanted;
		if (atomic_load(&k->stop))
			break;
		pthread_mutex_unlock(&k->lock);
		failed = !make(k, month);
		pthread_mutex_lock(&k->lock);
		if (!failed)
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

void keeper_freep(struct keeper **at)
{
	struct keeper *k = *at;
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	atomic_store(&k->stop, true);
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
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
