// SPDX-License-Identifier: Apache-2.0
#include "published/feed.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum { TIMEOUT_MS = 5000, AGAIN_MS = 1000, CATCH_UP = 100, CATCH_UP_BYTES = 1 << 20 };
static const int64_t AFRESH_US = 60000000; // partitions may have been added

struct kept {
	int32_t partition;
	int64_t offset;
	char *json;               // owned
	size_t n;
};

struct feed {
	struct feed_options o;
	pthread_t thread;
	bool started;
	int64_t afresh_us;        // of the thread: when it looks again
	struct topic_places at;   // of the thread
	pthread_mutex_t catching; // one reader at a time is read back to the ring
	pthread_mutex_t lock;     // of what follows
	pthread_cond_t more;
	bool stop, open;
	uint64_t made;            // how often the topic was found anew: readers of another one end
	struct topic_places from, head; // the ring holds all from `from` on; head: what comes next
	uint64_t first, next;     // serials of the ring: kept[serial % FEED_RECORDS]
	size_t bytes;
	struct kept kept[FEED_RECORDS];
	struct error failure;
};

struct feed_reader {
	struct feed *f;
	struct topic_places place;
	bool live, checked, gap, full; // live: the ring has all behind its place
	uint64_t made, serial;
	struct kept late[CATCH_UP]; // read back, not given yet: [given, n_late)
	uint32_t n_late, given;
	size_t late_bytes;
};

static void condition_init(pthread_cond_t *c)
{
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

struct feed *feed_new(const struct feed_options *o)
{
	struct feed *f = xcalloc(1, sizeof(*f));
	f->o = *o;
	if (f->o.read == NULL)
		f->o.read = topic_read_on;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->catching, NULL);
	condition_init(&f->more);
	error_set(&f->failure, ERROR_RETRY, 0, "the topic of alerts was not read yet");
	return f;
}

// ---- the one who reads the topic

// One line of JSON, or NULL: somebody else's record that is no object.
static char *as_line(struct span value)
{
	json_t *j = value.n > 0 ? json_loadb(value.p, value.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char *text = json_is_object(j) ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return text;
}

static void ring_clear(struct feed *f)
{
	for (; f->first < f->next; f->first++)
		free(f->kept[f->first % FEED_RECORDS].json);
	f->bytes = 0;
}

static void ring_drop(struct feed *f)
{
	struct kept *k = &f->kept[f->first++ % FEED_RECORDS];
	f->from.next[k->partition] = k->offset + 1;
	f->bytes -= k->n;
	free(k->json);
}

static void opened(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	if (!f->open || f->at.lost) { // the first time, or another topic under this name
		ring_clear(f);
		f->made++;
		places_copy(&f->from, &f->at);
	}
	int32_t known = f->from.n;
	if (f->at.n > known) {
		f->from.next = xrealloc(f->from.next, (size_t)f->at.n, sizeof(*f->from.next));
		memcpy(f->from.next + known, f->at.next + known, (size_t)(f->at.n - known) * sizeof(*f->from.next));
		f->from.n = f->at.n;
	}
	places_copy(&f->head, &f->at);
	f->open = true;
	f->failure = (struct error){ 0 };
	pthread_cond_broadcast(&f->more);
	pthread_mutex_unlock(&f->lock);
}

static void put(struct feed *f, const struct topic_record *t)
{
	char *json = as_line(t->r.value);
	pthread_mutex_lock(&f->lock);
	f->head.next[t->partition] = t->r.offset + 1;
	if (json != NULL) {
		size_t n = strlen(json);
		while (f->first < f->next && (f->next - f->first == FEED_RECORDS || f->bytes + n > FEED_BYTES))
			ring_drop(f);
		f->kept[f->next++ % FEED_RECORDS] = (struct kept){ t->partition, t->r.offset, json, n };
		f->bytes += n;
		pthread_cond_broadcast(&f->more);
	}
	pthread_mutex_unlock(&f->lock);
}

static bool stopping(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	bool stop = f->stop;
	pthread_mutex_unlock(&f->lock);
	return stop;
}

static bool on_record(void *ctx, const struct topic_record *t)
{
	struct feed *f = ctx;
	if (f->afresh_us == 0) {
		opened(f);
		f->afresh_us = clock_mono_us() + AFRESH_US;
	}
	if (t != NULL)
		put(f, t);
	return !stopping(f) && (t != NULL || clock_mono_us() < f->afresh_us);
}

static void wait_locked(struct feed *f, int ms)
{
	struct timespec until;
	int64_t us = clock_mono_us() + (int64_t)ms * 1000;
	until.tv_sec = us / 1000000;
	until.tv_nsec = us % 1000000 * 1000;
	pthread_cond_timedwait(&f->more, &f->lock, &until);
}

static void say_failure(struct feed *f, const struct error *e)
{
	pthread_mutex_lock(&f->lock);
	f->failure = *e;
	if (!f->stop)
		wait_locked(f, AGAIN_MS);
	pthread_mutex_unlock(&f->lock);
}

static void *run(void *arg)
{
	struct feed *f = arg;
	while (!stopping(f)) {
		struct error e = { 0 };
		f->afresh_us = 0;
		if (f->o.read(f->o.kafka, f->o.topic, &f->at, FEED_RECORDS, true, TIMEOUT_MS, on_record, f, &e) != ERROR_NONE) {
			if (f->open)
				places_copy(&f->at, &f->head);
			say_failure(f, &e);
		}
	}
	return NULL;
}

void feed_start(struct feed *f)
{
	check(!f->started);
	check(pthread_create(&f->thread, NULL, run, f) == 0);
	f->started = true;
}

void feed_stop(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_broadcast(&f->more);
	pthread_mutex_unlock(&f->lock);
	if (f->started)
		pthread_join(f->thread, NULL);
	f->started = false;
}

void feed_freep(struct feed **f)
{
	if (*f == NULL)
		return;
	feed_stop(*f);
	ring_clear(*f);
	places_free(&(*f)->at);
	places_free(&(*f)->from);
	places_free(&(*f)->head);
	pthread_mutex_destroy(&(*f)->lock);
	pthread_mutex_destroy(&(*f)->catching);
	pthread_cond_destroy(&(*f)->more);
	free(*f);
	*f = NULL;
}

// ---- recent

static bool is_of(const char *json, const char *account)
{
	json_t *j = account != NULL ? json_loads(json, 0, NULL) : NULL;
	const char *its = json_string_value(json_object_get(json_object_get(j, "data"), "account"));
	bool is = account == NULL || (its != NULL && strcmp(its, account) == 0);
	json_decref(j);
	return is;
}

char *feed_recent(struct feed *f, uint32_t most, const char *account, char ret_place[PLACES_TEXT], struct error *why)
{
	char *text = NULL;
	size_t size = 0;
	pthread_mutex_lock(&f->lock);
	if (!f->open) {
		*why = f->failure;
		pthread_mutex_unlock(&f->lock);
		return NULL;
	}
	FILE *to = xmemstream(&text, &size);
	uint32_t n = 0;
	fputc('[', to);
	for (uint64_t s = f->next; s > f->first && n < most; s--) {
		const char *json = f->kept[(s - 1) % FEED_RECORDS].json;
		if (is_of(json, account))
			fprintf(to, "%s%s", n++ > 0 ? ",\n" : "", json);
	}
	fputc(']', to);
	places_text(&f->head, ret_place);
	pthread_mutex_unlock(&f->lock);
	xmemstream_close(to);
	return text;
}

// ---- readers

struct feed_reader *feed_reader_new(struct feed *f, const struct topic_places *place)
{
	struct feed_reader *r = xcalloc(1, sizeof(*r));
	r->f = f;
	if (place != NULL)
		places_copy(&r->place, place);
	return r;
}

void feed_reader_freep(struct feed_reader **r)
{
	if (*r == NULL)
		return;
	for (uint32_t i = (*r)->given; i < (*r)->n_late; i++)
		free((*r)->late[i].json);
	places_free(&(*r)->place);
	free(*r);
	*r = NULL;
}

const char *feed_reader_place(const struct feed_reader *r, char buf[PLACES_TEXT])
{
	return places_text(&r->place, buf);
}

static int64_t place_of(const struct topic_places *p, int32_t partition)
{
	return partition < p->n ? p->next[partition] : 0;
}

static void move(struct feed_reader *r, int32_t partition, int64_t next)
{
	if (partition >= r->place.n) {
		r->place.next = xrealloc(r->place.next, (size_t)partition + 1, sizeof(*r->place.next));
		for (; r->place.n <= partition; r->place.n++)
			r->place.next[r->place.n] = 0;
	}
	r->place.next[partition] = next;
}

static bool take_late(void *ctx, const struct topic_record *t)
{
	struct feed_reader *r = ctx;
	char *json = t != NULL ? as_line(t->r.value) : NULL;
	if (json != NULL) {
		r->late[r->n_late++] = (struct kept){ t->partition, t->r.offset, json, strlen(json) };
		r->late_bytes += strlen(json);
	}
	r->full = r->n_late == CATCH_UP || r->late_bytes >= CATCH_UP_BYTES || stopping(r->f);
	return !r->full;
}

// Some more of what lies between its place and the ring, from Kafka.
static void catch_up(struct feed_reader *r)
{
	struct topic_places at = { 0 };
	struct error e = { 0 };
	r->n_late = r->given = 0;
	r->late_bytes = 0;
	r->full = false;
	places_copy(&at, &r->place);
	pthread_mutex_lock(&r->f->catching);
	enum error_class c = r->f->o.read(r->f->o.kafka, r->f->o.topic, &at, INT64_MAX, false, TIMEOUT_MS, take_late, r, &e);
	pthread_mutex_unlock(&r->f->catching);
	if (c != ERROR_NONE) {
		while (r->n_late > 0)
			free(r->late[--r->n_late].json);
	} else if (at.lost) {
		r->gap = true;
		places_copy(&r->place, &at); // where the topic begins, or behind what was just read
		for (uint32_t i = r->n_late; i > 0; i--)
			r->place.next[r->late[i - 1].partition] = r->late[i - 1].offset;
	} else if (!r->full) {
		for (int32_t p = 0; p < at.n; p++) { // nothing of it is held back: markers of transactions are passed too
			bool holds = false;
			for (uint32_t i = 0; i < r->n_late; i++)
				holds = holds || r->late[i].partition == p;
			if (!holds)
				move(r, p, at.next[p]);
		}
	}
	r->checked = c == ERROR_NONE;
	places_free(&at);
}

static bool give_late(struct feed_reader *r, char **ret_json)
{
	if (r->given == r->n_late)
		return false;
	struct kept *k = &r->late[r->given++];
	move(r, k->partition, k->offset + 1);
	*ret_json = TAKE_PTR(k->json);
	return true;
}

// @locks held
static bool covered(const struct feed_reader *r)
{
	const struct feed *f = r->f;
	bool is = f->from.n >= r->place.n || r->checked;
	for (int32_t p = 0; p < f->from.n && is; p++)
		is = place_of(&r->place, p) >= f->from.next[p] && (r->checked || place_of(&r->place, p) <= f->head.next[p]);
	return is;
}

// @locks held
static void begin(struct feed_reader *r)
{
	struct feed *f = r->f;
	if (!f->open || r->live)
		return;
	if (r->place.n == 0) {
		places_copy(&r->place, &f->head);
		r->serial = f->next;
		r->live = true;
	} else if (covered(r)) {
		r->serial = f->first;
		r->live = true;
	}
	r->made = f->made;
}

// @locks held
static enum feed_next from_ring(struct feed_reader *r, char **ret_json)
{
	struct feed *f = r->f;
	if (f->stop || r->made != f->made)
		return FEED_END;
	if (r->serial < f->first) {
		// Behind the ring; what it was given of may be all that left it.
		if (!covered(r))
			return FEED_BEHIND;
		r->serial = f->first;
	}
	for (; r->serial < f->next; r->serial++) {
		const struct kept *k = &f->kept[r->serial % FEED_RECORDS];
		if (k->offset < place_of(&r->place, k->partition))
			continue;
		move(r, k->partition, k->offset + 1);
		*ret_json = xstrdup(k->json);
		r->serial++;
		return FEED_ALERT;
	}
	return FEED_NOTHING;
}

enum feed_next feed_next(struct feed_reader *r, int wait_ms, char **ret_json)
{
	struct feed *f = r->f;
	int64_t until_us = clock_mono_us() + (int64_t)wait_ms * 1000;
	for (;;) {
		if (r->gap) {
			r->gap = false;
			return FEED_GAP;
		}
		if (give_late(r, ret_json))
			return FEED_ALERT;
		pthread_mutex_lock(&f->lock);
		begin(r);
		enum feed_next n = f->stop ? FEED_END : r->live ? from_ring(r, ret_json) : FEED_NOTHING;
		bool back = f->open && !r->live && !f->stop;
		int64_t left_ms = (until_us - clock_mono_us()) / 1000;
		if (n == FEED_NOTHING && !back && left_ms > 0)
			wait_locked(f, (int)left_ms);
		pthread_mutex_unlock(&f->lock);
		if (n != FEED_NOTHING || left_ms <= 0)
			return n;
		if (back) {
			catch_up(r);
			if (r->n_late == 0 && !r->checked && clock_mono_us() < until_us)
				clock_sleep_ms(100); // Kafka is away
		}
	}
}
