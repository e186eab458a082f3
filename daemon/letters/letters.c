// SPDX-License-Identifier: Apache-2.0
// The reader: all of the topic, then what comes, and from the beginning again where retention took something.
#include "letters/letters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

enum { TIMEOUT_MS = 15000, AGAIN_MS = 5000, STEP_MS = 100, LOOK_EVERY_US = 300000000 };

struct letters {
	const struct kafka_options *kafka;
	pthread_t thread;
	bool watching;                // the owner's
	atomic_bool stop;
	// the thread's
	struct letters_table *table;
	struct topic_places at;
	int32_t n_begins;
	int64_t *begins;              // where the topic began when the table did
	int64_t look_us;              // when to look again where it begins
	pthread_mutex_t lock;         // of what follows
	struct letters_numbers numbers;
};

static void tell(struct letters *l, bool known)
{
	pthread_mutex_lock(&l->lock);
	letters_table_numbers(l->table, &l->numbers);
	l->numbers.known = l->numbers.known || known;
	pthread_mutex_unlock(&l->lock);
}

static bool take(void *ctx, const struct topic_record *t)
{
	struct letters *l = ctx;
	if (t != NULL)
		letters_table_take(l->table, &t->r);
	else
		tell(l, false);
	return !atomic_load(&l->stop) && !l->at.lost && clock_mono_us() < l->look_us;
}

static bool take_all(void *ctx, const struct topic_record *t)
{
	struct letters *l = ctx;
	if (t != NULL)
		letters_table_take(l->table, &t->r);
	return !atomic_load(&l->stop);
}

static void begin_anew(struct letters *l)
{
	letters_table_freep(&l->table);
	l->table = letters_table_new(LETTERS_MOST);
	free(l->at.next);
	l->at = (struct topic_places){ 0 };
	free(l->begins);
	l->begins = NULL;
	l->n_begins = 0;
}

// True where the topic begins as it did when the table was begun, or the table begins now.
static enum error_class look_at_begins(struct letters *l, bool *ret_same, struct error *e)
{
	struct topic_info info = { 0 };
	const char *topic = l->kafka->dlq_topic;
	bool first = l->begins == NULL;
	enum error_class c = topic_describe(l->kafka, topic, TIMEOUT_MS, &info, e);
	*ret_same = first || info.partitions >= l->n_begins;
	l->begins = xrealloc(l->begins, (size_t)info.partitions + 1, sizeof(*l->begins));
	for (int32_t p = 0; p < info.partitions && c == ERROR_NONE; p++) {
		int64_t low = 0, high = 0;
		c = topic_offsets(l->kafka, topic, p, TIMEOUT_MS, &low, &high, e);
		*ret_same = *ret_same && (p >= l->n_begins || l->begins[p] == low);
		l->begins[p] = low;
	}
	l->n_begins = c == ERROR_NONE ? info.partitions : 0;
	return c;
}

static enum error_class read_on(struct letters *l, struct error *e)
{
	bool same = false;
	enum error_class c = look_at_begins(l, &same, e);
	if (c == ERROR_NONE && !same) {
		begin_anew(l);
		c = look_at_begins(l, &same, e);
	}
	l->look_us = clock_mono_us() + LOOK_EVERY_US;
	if (c == ERROR_NONE)
		c = topic_read_on(l->kafka, l->kafka->dlq_topic, &l->at, INT64_MAX, false, TIMEOUT_MS, take_all, l, e);
	if (c != ERROR_NONE || l->at.lost || atomic_load(&l->stop))
		return c;
	tell(l, true);
	return topic_read_on(l->kafka, l->kafka->dlq_topic, &l->at, INT64_MAX, true, TIMEOUT_MS, take, l, e);
}

static void *watch(void *arg)
{
	struct letters *l = arg;
	while (!atomic_load(&l->stop)) {
		struct error e = { 0 };
		enum error_class c = read_on(l, &e);
		if (c != ERROR_NONE || l->at.lost)
			begin_anew(l); // what was taken before it ended is not told by `at`
		for (int slept = 0; c != ERROR_NONE && slept < AGAIN_MS && !atomic_load(&l->stop); slept += STEP_MS)
			clock_sleep_ms(STEP_MS);
	}
	return NULL;
}

struct letters *letters_new(const struct kafka_options *k)
{
	struct letters *l = xcalloc(1, sizeof(*l));
	l->kafka = k;
	pthread_mutex_init(&l->lock, NULL);
	begin_anew(l);
	return l;
}

void letters_watch(struct letters *l)
{
	if (l->watching)
		return;
	if (pthread_create(&l->thread, NULL, watch, l) != 0)
		out_of_memory(1, sizeof(*l));
	l->watching = true;
}

void letters_numbers(struct letters *l, struct letters_numbers *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->numbers;
	pthread_mutex_unlock(&l->lock);
}

void letters_freep(struct letters **at)
{
	struct letters *l = *at;
	if (l == NULL)
		return;
	atomic_store(&l->stop, true);
	if (l->watching)
		pthread_join(l->thread, NULL);
	letters_table_freep(&l->table);
	free(l->at.next);
	free(l->begins);
	free(l);
	*at = NULL;
}
