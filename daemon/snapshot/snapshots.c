// SPDX-License-Identifier: Apache-2.0
#include "snapshot/snapshots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "snapshot/inner.h"

enum { JOBS_MOST = 64, AGAIN_MS = 1000 }; // a job holds 1.3 MB of a busy partition

struct snapshot_part *snapshots_part(struct snapshots *s, const char *name)
{
	for (uint32_t i = 0; i < s->n_parts; i++)
		if (strcmp(s->parts[i].name, name) == 0)
			return &s->parts[i];
	s->parts = xrealloc(s->parts, s->n_parts + 1, sizeof(*s->parts));
	s->parts[s->n_parts] = (struct snapshot_part){ .name = xstrdup(name), .run_to = -1, .status = { -1, INT64_MIN, 0 } };
	return &s->parts[s->n_parts++];
}

static void job_freep(struct job **j)
{
	if (*j == NULL)
		return;
	recording_freep(&(*j)->r);
	free((*j)->part);
	free(*j);
	*j = NULL;
}

// ---- writing

static const char *advice(int why)
{
	switch (why) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return "make room, or raise its limit: about 250 MB a busy partition; what lies in dedupe/ may be deleted";
	case EACCES:
	case EPERM:
	case EROFS:
	case ENOENT:
	case ENOTDIR:
		return "set state_dir to a folder that meterd may write to";
	default:
		return "look at the disk";
	}
}

// Says once that it fails, and once that it goes again.
static void tell(struct snapshots *s, const struct job *j, int why)
{
	char text[SNAPSHOT_WHY] = "", quoted[SNAPSHOT_WHY + 100];
	if (why != 0)
		snprintf(text, sizeof(text), "%s: %s", s->where, strerror(why));
	pthread_mutex_lock(&s->lock);
	bool failed = s->totals.failing[0] != '\0';
	snprintf(s->totals.failing, sizeof(s->totals.failing), "%s", text);
	s->totals.failed += why != 0;
	s->totals.written += why == 0;
	pthread_mutex_unlock(&s->lock);
	if (why != 0 && !failed)
		log_line(LVL_WARN, "snapshot_failed", "partition=%s why=%s do=\"%s\"", j->part, log_quote(text, quoted, sizeof(quoted)), advice(why));
	else if (why == 0 && failed)
		log_line(LVL_INFO, "snapshot_back", "partition=%s where=%s", j->part, log_quote(s->where, quoted, sizeof(quoted)));
}

static bool fill(void *ctx, struct byte_sink *to)
{
	struct job *j = ctx;
	return recording_write(j->r, j->place, j->seed, &j->head, to);
}

// What no window reaches any more goes; the rest is added up.
static uint64_t clear(struct snapshots *s, const struct job *j)
{
	CLEANUP(freep) struct folder_file *files = NULL;
	uint32_t n = 0;
	uint64_t bytes = 0;
	if (s->folder->ops->list(s->folder, j->part, &files, &n) != 0)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (files[i].to >= 0 && files[i].to <= j->drop_below)
			s->folder->ops->drop(s->folder, j->part, &files[i]);
		else
			bytes += files[i].bytes;
	}
	return bytes;
}

// How far a run reaches now. Slices may be written again after the reader went back; where one is missing it ends there, until no window
// reaches back to it any more.
static int64_t run_with(const struct snapshot_part *p, const struct job *j)
{
	bool goes_on = p->run_to == j->head.from || j->head.first.offset < 0 || p->run_to < j->drop_below;
	return goes_on && j->head.to > p->run_to ? j->head.to : p->run_to;
}

static bool job_done(struct snapshots *s, struct job *j)
{
	int why = s->folder->ops->put(s->folder, j->part, j->head.from, j->head.to, fill, j);
	tell(s, j, why);
	if (why != 0)
		return false;
	uint64_t bytes = clear(s, j);
	int64_t now_ms = clock_wall_ms();
	pthread_mutex_lock(&s->lock);
	struct snapshot_part *p = snapshots_part(s, j->part);
	p->run_to = p->run_to < 0 ? j->head.to : run_with(p, j);
	p->status = (struct snapshot_status){ p->run_to, now_ms, bytes };
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void lose(struct snapshots *s)
{
	pthread_mutex_lock(&s->lock);
	s->totals.lost++;
	pthread_mutex_unlock(&s->lock);
}

// The oldest job, taken out of the queue; NULL: it is empty and the process ends. Waits for one.
static struct job *next_job(struct snapshots *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->first == NULL && !s->stop)
		pthread_cond_wait(&s->wake, &s->lock);
	struct job *j = s->first;
	if (j != NULL) {
		s->first = j->after;
		if (s->first == NULL)
			s->end = &s->first;
		s->n_jobs--;
	}
	pthread_mutex_unlock(&s->lock);
	return j;
}

// Back in front; another try in a while, or at once where the process ends. False: it ends.
static bool wait_for_the_disk(struct snapshots *s, struct job *j)
{
	struct timespec until;
	int64_t at_us = clock_mono_us() + AGAIN_MS * 1000;
	until = (struct timespec){ at_us / 1000000, at_us % 1000000 * 1000 };
	pthread_mutex_lock(&s->lock);
	j->after = s->first;
	if (s->first == NULL)
		s->end = &j->after;
	s->first = j;
	s->n_jobs++;
	for (int rc = 0; !s->stop && rc != ETIMEDOUT;)
		rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	bool stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return !stop;
}

static void *writer_main(void *arg)
{
	struct snapshots *s = arg;
	for (struct job *j; (j = next_job(s)) != NULL;) {
		if (job_done(s, j))
			job_freep(&j);
		else if (!wait_for_the_disk(s, j))
			break;
	}
	return NULL;
}

void snapshots_put(struct snapshots *s, const char *part, struct slice_place place, uint64_t seed, const struct slice *head,
		   struct recording *r, int64_t drop_below)
{
	struct job *j = xcalloc(1, sizeof(*j));
	*j = (struct job){ .part = xstrdup(part), .place = place, .seed = seed, .head = *head, .r = r, .drop_below = drop_below };
	if (s->at_once) {
		if (!job_done(s, j))
			lose(s);
		job_freep(&j);
		return;
	}
	pthread_mutex_lock(&s->lock);
	bool room = s->n_jobs < JOBS_MOST;
	if (room) {
		*s->end = j;
		s->end = &j->after;
		s->n_jobs++;
	} else {
		s->totals.lost++;
	}
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (!room)
		job_freep(&j);
}

// ---- the whole

struct snapshots *snapshots_new(const struct snapshots_options *o)
{
	struct snapshots *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	check(o->bits >= 4 && o->bits <= 20);
	s->folder = o->folder;
	s->where = xstrdup(o->where);
	s->bits = o->bits;
	s->at_once = o->at_once;
	s->end = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (!s->at_once && pthread_create(&s->thread, NULL, writer_main, s) != 0)
		out_of_memory(1, 1);
	return s;
}

void snapshots_freep(struct snapshots **ps)
{
	struct snapshots *s = *ps;
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (!s->at_once)
		pthread_join(s->thread, NULL);
	for (struct job *j; (j = s->first) != NULL;) {
		s->first = j->after;
		job_freep(&j);
	}
	for (uint32_t i = 0; i < s->n_parts; i++)
		free(s->parts[i].name);
	s->folder->ops->close(s->folder);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s->parts);
	free(s->where);
	free(s);
	*ps = NULL;
}

unsigned snapshots_bits(const struct snapshots *s)
{
	return s->bits;
}

void snapshots_status(struct snapshots *s, const char *part, struct snapshot_status *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = snapshots_part(s, part)->status;
	pthread_mutex_unlock(&s->lock);
}

void snapshots_totals(struct snapshots *s, struct snapshots_totals *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->totals;
	pthread_mutex_unlock(&s->lock);
}

void snapshots_distrust(struct snapshots *s, const char *part, const char *why)
{
	char quoted[SNAPSHOT_WHY + 100];
	CLEANUP(freep) struct folder_file *files = NULL;
	uint32_t n = 0;
	log_line(LVL_WARN, "snapshot_refused", "partition=%s file=all why=%s", part, log_quote(why, quoted, sizeof(quoted)));
	pthread_mutex_lock(&s->lock);
	struct snapshot_part *p = snapshots_part(s, part);
	p->distrusted = true;
	p->run_to = -1;
	p->status = (struct snapshot_status){ -1, INT64_MIN, 0 };
	s->totals.refused++;
	for (struct job **at = &s->first; *at != NULL;) { // what goes on from them is of no more use
		struct job *j = *at;
		if (strcmp(j->part, part) != 0) {
			at = &j->after;
			continue;
		}
		*at = j->after;
		s->n_jobs--;
		job_freep(&j);
	}
	for (s->end = &s->first; *s->end != NULL;)
		s->end = &(*s->end)->after;
	pthread_mutex_unlock(&s->lock);
	if (s->folder->ops->list(s->folder, part, &files, &n) == 0)
		for (uint32_t i = 0; i < n; i++)
			s->folder->ops->drop(s->folder, part, &files[i]);
}
