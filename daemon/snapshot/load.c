// SPDX-License-Identifier: Apache-2.0
// From files to a set: the newest run of slices that lie end to end, ends at or below the start and reaches back to its window.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "snapshot/inner.h"

enum { FILE_MOST = 1 << 30 };

struct candidate {
	struct folder_file file;
	bool bad;
	char *bytes; // once it was read
	struct slice slice;
};

struct candidates {
	struct candidate *list; // by `to`, the highest first; of one `to` the longest first
	uint32_t n;
};

static void candidates_free(struct candidates *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		free(c->list[i].bytes);
	free(c->list);
}

static void refused(struct snapshots *s, const char *part, const char *file, const char *why)
{
	char quoted[SNAPSHOT_WHY + 100];
	log_line(LVL_WARN, "snapshot_refused", "partition=%s file=%s why=%s", part, file, log_quote(why, quoted, sizeof(quoted)));
	pthread_mutex_lock(&s->lock);
	s->totals.refused++;
	pthread_mutex_unlock(&s->lock);
}

static int order(const void *a, const void *b)
{
	const struct folder_file *x = &((const struct candidate *)a)->file, *y = &((const struct candidate *)b)->file;
	return x->to != y->to ? (x->to < y->to) - (x->to > y->to) : (x->from > y->from) - (x->from < y->from);
}

// Those at or below the start. What a killed process left half-written is removed: nobody else writes this partition's files now.
static bool look(struct snapshots *s, const struct snapshot_wanted *w, struct candidates *ret)
{
	CLEANUP(freep) struct folder_file *files = NULL;
	uint32_t n = 0;
	int why = s->folder->ops->list(s->folder, w->part, &files, &n);
	if (why != 0) {
		refused(s, w->part, "all", strerror(why));
		return false;
	}
	ret->list = xcalloc((size_t)n + 1, sizeof(*ret->list));
	for (uint32_t i = 0; i < n; i++) {
		if (files[i].to < 0)
			s->folder->ops->drop(s->folder, w->part, &files[i]);
		else if (files[i].to <= w->start)
			ret->list[ret->n++].file = files[i];
	}
	qsort(ret->list, ret->n, sizeof(*ret->list), order);
	return ret->n > 0;
}

// What was recorded before rules were known that hold in it may hold what they reject: a later event would be taken for its duplicate. So
// it is with records that were decided, and refused by the shards for newer rules, or that Redis lost, and new rules were dated before.
static bool rules_known(const struct snapshot_wanted *w, const struct slice *s, char why[SNAPSHOT_WHY])
{
	int64_t version = w->rules_at(w->ctx, s->clock_ms);
	if (version > s->rules)
		snprintf(why, SNAPSHOT_WHY, "recorded before version %" PRId64 " of the rules was known, which holds in it", version);
	return version <= s->rules;
}

// Reads and checks it, once.
static bool take(struct snapshots *s, const struct snapshot_wanted *w, struct candidate *c)
{
	char why[SNAPSHOT_WHY];
	if (c->bad || c->bytes != NULL)
		return !c->bad;
	size_t n = 0, size = c->file.bytes < FILE_MOST ? (size_t)c->file.bytes : FILE_MOST;
	c->bytes = xrealloc(NULL, size + 1, 1);
	int error = s->folder->ops->read(s->folder, w->part, &c->file, c->bytes, size, &n);
	if (error != 0)
		snprintf(why, sizeof(why), "cannot be read: %s", strerror(error));
	c->bad = error != 0 || !slice_read((struct span){ c->bytes, n }, w->place, &c->slice, why) || !rules_known(w, &c->slice, why);
	if (!c->bad && (c->slice.from != c->file.from || c->slice.to != c->file.to)) {
		snprintf(why, sizeof(why), "it holds offsets %" PRId64 " to %" PRId64 ", not those of its name", c->slice.from, c->slice.to);
		c->bad = true;
	}
	if (!c->bad)
		return true;
	refused(s, w->part, c->file.name, why);
	free(TAKE_PTR(c->bytes));
	return false;
}

static struct candidate *ending_at(struct snapshots *s, const struct snapshot_wanted *w, struct candidates *c, int64_t to)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->list[i].file.to == to && take(s, w, &c->list[i]))
			return &c->list[i];
	return NULL;
}

// The run that ends at `to`, oldest first, as far back as the window needs; *ret_n 0: it does not reach back, and `gap` is where it begins.
static struct slice *run_to(struct snapshots *s, const struct snapshot_wanted *w, struct candidates *c, int64_t to, uint32_t *ret_n, int64_t *gap)
{
	struct slice *run = xcalloc((size_t)c->n + 1, sizeof(*run));
	uint32_t n = 0;
	bool whole = false;
	for (struct candidate *x; !whole && (x = ending_at(s, w, c, to)) != NULL; to = x->slice.from) {
		run[c->n - ++n] = x->slice;
		whole = slice_reaches_back(w->options, &x->slice, w->start, w->clock_ms);
	}
	*gap = to;
	*ret_n = whole ? n : 0;
	memmove(run, run + (c->n - n), n * sizeof(*run));
	return run;
}

static struct slice *newest_run(struct snapshots *s, const struct snapshot_wanted *w, struct candidates *c, uint32_t *ret_n)
{
	char why[SNAPSHOT_WHY];
	int64_t first_gap = -1;
	for (uint32_t i = 0; i < c->n; i++) {
		int64_t gap;
		if ((i > 0 && c->list[i].file.to == c->list[i - 1].file.to) || (first_gap >= 0 && c->list[i].file.to > first_gap))
			continue;
		struct slice *run = run_to(s, w, c, c->list[i].file.to, ret_n, &gap);
		if (*ret_n > 0)
			return run;
		free(run);
		if (first_gap < 0 || gap < first_gap)
			first_gap = gap;
	}
	snprintf(why, sizeof(why), "none is whole at offset %" PRId64 " and below, and the window before offset %" PRId64 " reaches back to %" PRId64,
		 first_gap, w->start, dedupe_window_start(w->options, w->start));
	refused(s, w->part, "all", why);
	return NULL;
}

static bool usable(const struct snapshot_wanted *w, const struct slice *last, char why[SNAPSHOT_WHY])
{
	// The records between the slices and the start must still be there to be read.
	if (last->to < w->low && last->to < w->start) {
		snprintf(why, SNAPSHOT_WHY, "the log begins at offset %" PRId64 ", and would have to be read from %" PRId64 " on", w->low, last->to);
		return false;
	}
	if (last->to <= dedupe_window_start(w->options, w->start) && last->to < w->start) {
		snprintf(why, SNAPSHOT_WHY, "they end at offset %" PRId64 ", before the window begins: too old", last->to);
		return false;
	}
	if (last->to == w->start && last->clock_ms != w->clock_ms) {
		snprintf(why, SNAPSHOT_WHY, "its record clock is not the one in Redis");
		return false;
	}
	return true;
}

static uint64_t bytes_of(const struct candidates *c)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < c->n; i++)
		bytes += c->list[i].file.bytes;
	return bytes;
}

bool snapshots_load(struct snapshots *s, const struct snapshot_wanted *w, struct dedupe **ret, struct slice_mark *ret_next)
{
	CLEANUP(candidates_free) struct candidates c = { 0 };
	char why[SNAPSHOT_WHY];
	uint32_t n = 0;
	int64_t begun_us = clock_mono_us();
	pthread_mutex_lock(&s->lock);
	bool distrusted = snapshots_part(s, w->part)->distrusted;
	pthread_mutex_unlock(&s->lock);
	if (distrusted || !look(s, w, &c))
		return false;
	CLEANUP(freep) struct slice *run = newest_run(s, w, &c, &n);
	if (run == NULL)
		return false;
	const struct slice *last = &run[n - 1];
	if (!usable(w, last, why) || !dedupe_load(w->options, run, n, w->start, w->clock_ms, ret, why)) {
		refused(s, w->part, "all", why);
		return false;
	}
	*ret_next = last->next;
	pthread_mutex_lock(&s->lock);
	struct snapshot_part *p = snapshots_part(s, w->part);
	s->totals.loaded++;
	p->run_to = last->to;
	p->status = (struct snapshot_status){ last->to, INT64_MIN, bytes_of(&c) };
	for (uint32_t i = 0; i < c.n; i++)
		if (c.list[i].file.to == last->to)
			p->status.written_ms = c.list[i].file.changed_ms;
	pthread_mutex_unlock(&s->lock);
	log_line(LVL_INFO, "snapshot_loaded", "partition=%s position=%" PRId64 " next=%" PRId64 " slices=%u ids=%" PRIu64 " ms=%" PRId64, w->part,
		 last->to, w->start, n, dedupe_ids(*ret), (clock_mono_us() - begun_us) / 1000);
	return true;
}

// ---- one set in a file

struct whole {
	const struct dedupe *d;
	struct slice_place place;
	int64_t rules;
};

static bool fill_whole(void *ctx, struct byte_sink *to)
{
	const struct whole *w = ctx;
	return dedupe_save(w->d, w->place, (struct slice_mark){ .offset = -1 }, w->rules, to);
}

int snapshot_save_file(const char *path, const struct dedupe *d, struct slice_place place, int64_t rules)
{
	struct whole w = { d, place, rules };
	check(dedupe_position(d) > 0 && dedupe_list_start(d) <= dedupe_position(d));
	return file_replace(path, fill_whole, &w);
}

bool snapshot_load_file(const char *path, const struct snapshot_wanted *w, struct dedupe **ret, char why[SNAPSHOT_WHY])
{
	CLEANUP(freep) char *bytes = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct slice s;
	if (file_read(path, SIZE_MAX / 2, &bytes, &n, &e) != ERROR_NONE) {
		snprintf(why, SNAPSHOT_WHY, "%.*s", SNAPSHOT_WHY - 1, e.text);
		return false;
	}
	return slice_read((struct span){ bytes, n }, w->place, &s, why) && rules_known(w, &s, why) &&
	       dedupe_load(w->options, &s, 1, w->start, w->clock_ms, ret, why);
}
