// SPDX-License-Identifier: Apache-2.0
// From the shards to a file. Each shard is copied in one step of Redis, written out of the copy, and the copy dropped, before the next one: one
// shard's worth of memory more at a time. Shards may stand at different offsets, and a month may close in between: so it is after any crash.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "checkpoint/inner.h"
#include "decide/decide.h"

enum { TIMEOUT_MS = 10000, LEASE_MS = 15000, LEASE_EVERY_US = 3000000 };

struct making {
	const struct checkpoint_options *o;
	const struct sink_port *port;
	struct store *live, *copy, *desk; // desk: for the lease, since a scan must not be disturbed
	struct journal *journal;
	struct checkpoint_head head;
	struct checkpoint_writer *w;
	char holder[128];
	int64_t leased_us;
	uint32_t shard;
	uint64_t marks, fields, entries; // of the shard
	bool sink_failed;
	enum error_class cls;
	struct error *e;
};

// ---- one at a time, and only as long as it is wanted
static enum error_class take_lease(struct making *m)
{
	CLEANUP(freep) char *other = NULL;
	enum error_class c = m->desk->ops->lease(m->desk, LEASE_CHECKPOINT, m->holder, LEASE_MS, &other, m->e);
	m->leased_us = clock_mono_us();
	if (c == ERROR_NONE && other != NULL)
		c = error_set(m->e, ERROR_ABORT, EXIT_LATER, "another checkpoint is being written: %s. Wait until it has ended; if it was killed, its claim is over "
			      "after %d s", other, LEASE_MS / 1000);
	return c;
}

static bool look(struct making *m)
{
	if (m->cls == ERROR_NONE && m->o->stop != NULL && atomic_load(m->o->stop))
		m->cls = error_set(m->e, ERROR_ABORT, EXIT_LATER, "stopped; nothing was left of the checkpoint");
	if (m->cls == ERROR_NONE && clock_mono_us() - m->leased_us > LEASE_EVERY_US)
		m->cls = take_lease(m);
	return m->cls == ERROR_NONE;
}

// Before each call that may take its whole time-out.
static enum error_class watched(struct making *m)
{
	look(m);
	return m->cls;
}

// ---- records
static bool put(struct making *m, enum checkpoint_record r, const struct span *texts, uint32_t n)
{
	m->sink_failed = m->sink_failed || !checkpoint_put(m->w, r, texts, n);
	return !m->sink_failed && look(m);
}

static bool put_numbers(struct making *m, enum checkpoint_record r, const uint64_t *numbers, uint32_t n)
{
	char text[3][24];
	struct span texts[3];
	check(n <= 3);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "%" PRIu64, numbers[i]);
		texts[i] = span_of(text[i]);
	}
	return put(m, r, texts, n);
}

static bool put_number(struct making *m, enum checkpoint_record r, uint32_t number)
{
	const uint64_t n = number;
	return put_numbers(m, r, &n, 1);
}

static bool put_mark(void *ctx, struct span field, struct span value)
{
	struct making *m = ctx;
	m->marks++;
	return put(m, CHECKPOINT_MARK, (struct span[]){ field, value }, 2);
}

static bool put_field(void *ctx, struct span field, struct span value)
{
	struct making *m = ctx;
	m->fields++;
	return put(m, CHECKPOINT_FIELD, (struct span[]){ field, value }, 2);
}

static bool put_entry(void *ctx, const struct span *words, uint32_t n)
{
	struct making *m = ctx;
	m->entries++;
	return put(m, CHECKPOINT_ENTRY, words, n);
}

static bool put_key(struct making *m, const struct store_key *k)
{
	char month[MONTH_TEXT] = "", adjust[MONTH_TEXT] = "";
	if (k->month != MONTH_NONE)
		month_text(k->month, month);
	if (k->adjust_month != MONTH_NONE)
		month_text(k->adjust_month, adjust);
	return put(m, CHECKPOINT_KEY, (struct span[]){ span_of(k->what), span_of(month), span_of(adjust) }, 3);
}

// ---- a shard
// The copy is there and stands where the log is said to be needed from, at the least. Asked before and after it is written out: a Redis that went
// back in between holds none, or none like it.
static enum error_class copy_stands(struct making *m, uint64_t *ret_print)
{
	struct store_positions at = { 0 };
	*ret_print = 0;
	enum error_class c = m->copy->ops->positions(m->copy, m->shard, &at, m->e);
	for (uint32_t i = 0; i < m->head.n_parts && c == ERROR_NONE; i++) {
		const struct checkpoint_part *p = &m->head.parts[i];
		int64_t next = journal_part(m->journal, span_of(p->name))->offset; // nothing was claimed yet
		for (uint32_t k = 0; k < at.n; k++)
			if (strcmp(at.list[k].name, p->name) == 0)
				next = at.list[k].at.next;
		*ret_print = *ret_print * 1099511628211u + (uint64_t)next;
		if (next < p->from)
			c = error_set(m->e, ERROR_RETRY, 0, "shard %u went back behind offset %" PRId64 " of %s while the checkpoint was written; run the same command "
				      "again", m->shard, p->from, p->name);
	}
	for (uint32_t k = 0; k < at.n; k++)
		m->head.furthest_ms = at.list[k].at.clock_ms > m->head.furthest_ms ? at.list[k].at.clock_ms : m->head.furthest_ms;
	store_positions_free(&at);
	return c;
}

static enum error_class copy_kept(struct making *m, uint64_t print)
{
	struct store_generations g = { 0 };
	uint64_t now = 0;
	bool there = false;
	enum error_class c = copy_stands(m, &now);
	if (c == ERROR_NONE)
		c = m->copy->ops->generations(m->copy, m->shard, &g, m->e);
	for (uint32_t i = 0; i < g.n; i++)
		there = there || (g.list[i].number == CHECKPOINT_CUT && g.list[i].kind == GENERATION_CUT);
	store_generations_free(&g);
	if (c == ERROR_NONE && (!there || now != print))
		c = error_set(m->e, ERROR_RETRY, 0, "shard %u lost its copy while the checkpoint was written; run the same command again", m->shard);
	return c;
}

static enum error_class write_copy(struct making *m)
{
	struct store *s = m->copy;
	struct store_keys keys = { 0 };
	enum error_class c = s->ops->marks(s, m->shard, put_mark, m, m->e);
	if (c == ERROR_NONE)
		c = s->ops->keys(s, m->shard, &keys, m->e);
	for (uint32_t i = 0; i < keys.n && c == ERROR_NONE && m->cls == ERROR_NONE && !m->sink_failed; i++) {
		put_key(m, &keys.list[i]);
		c = s->ops->scan_key(s, m->shard, &keys.list[i], put_field, m, m->e);
	}
	store_keys_free(&keys);
	if (c == ERROR_NONE && m->cls == ERROR_NONE && !m->sink_failed)
		c = s->ops->entries(s, m->shard, put_entry, m, m->e);
	return c;
}

static enum error_class drop_copy(struct making *m, struct error *e)
{
	return m->live->ops->drop(m->live, m->shard, CHECKPOINT_CUT, e);
}

static bool write_shard(struct making *m)
{
	uint64_t print = 0;
	m->marks = m->fields = m->entries = 0;
	if (!put_number(m, CHECKPOINT_SHARD, m->shard))
		return false;
	m->cls = drop_copy(m, m->e); // what a crash may have left
	if (m->cls == ERROR_NONE)
		m->cls = m->live->ops->cut_copy(m->live, m->shard, m->journal->generation, CHECKPOINT_CUT, m->e);
	if (m->cls != ERROR_NONE)
		return false;
	enum error_class c = copy_stands(m, &print);
	if (c == ERROR_NONE)
		c = write_copy(m);
	m->cls = m->cls != ERROR_NONE ? m->cls : c;
	if (m->cls == ERROR_NONE && !m->sink_failed)
		m->cls = copy_kept(m, print);
	struct error why = { 0 };
	c = drop_copy(m, &why);
	if (m->cls == ERROR_NONE && c != ERROR_NONE)
		m->cls = error_set(m->e, c, why.exit_code, "the copy of shard %u could not be dropped (%s); run the same command again", m->shard, why.text);
	const uint64_t held[] = { m->marks, m->fields, m->entries };
	return m->cls == ERROR_NONE && put_numbers(m, CHECKPOINT_SHARD_END, held, ARRAY_LEN(held));
}

static bool still_in_force(struct making *m)
{
	CLEANUP(journal_freep) struct journal *now = NULL;
	m->cls = journal_load_from(m->port, m->o->kafka, TIMEOUT_MS, &now, m->e);
	if (m->cls == ERROR_NONE && now->generation_at != m->journal->generation_at)
		m->cls = error_set(m->e, ERROR_RETRY, 0, "generation %" PRId64 " came into force while the checkpoint was written; run the same command again",
				   now->generation);
	if (m->cls == ERROR_NONE && m->head.furthest_ms != TIME_NONE && journal_rules_at(now, m->head.furthest_ms)->version > m->head.rules_version)
		m->cls = error_set(m->e, ERROR_RETRY, 0, "new rules came into force while the checkpoint was written; run the same command again");
	return m->cls == ERROR_NONE;
}

static bool write_all(void *ctx, struct byte_sink *to)
{
	struct making *m = ctx;
	m->w = checkpoint_writer_new(to, &m->head);
	for (m->shard = 0; m->shard < m->head.shards; m->shard++) {
		if (m->o->progress != NULL)
			m->o->progress(m->o->ctx, m->shard, m->head.shards);
		if (m->shard > 0 && m->o->pause_ms > 0)
			clock_sleep_ms(m->o->pause_ms);
		if (!write_shard(m))
			return false;
	}
	return still_in_force(m) && put_number(m, CHECKPOINT_END, m->head.shards) && checkpoint_writer_end(m->w);
}

// ---- the head
static enum error_class take_from(struct making *m)
{
	struct checkpoint_head *h = &m->head;
	enum error_class c = ERROR_NONE;
	for (uint32_t shard = 0; shard < h->shards && c == ERROR_NONE; shard++) {
		struct store_positions at = { 0 };
		c = m->live->ops->positions(m->live, shard, &at, m->e);
		for (uint32_t p = 0; p < h->n_parts && c == ERROR_NONE; p++) {
			const struct journal_part *jp = &m->journal->parts[p];
			struct position stands = { jp->offset, jp->clock_ms, -1, 0 };
			for (uint32_t i = 0; i < at.n; i++)
				if (strcmp(at.list[i].name, jp->name) == 0)
					stands = at.list[i].at;
			if (stands.next >= h->parts[p].from)
				continue;
			h->parts[p].from = stands.next;
			h->parts[p].clock_ms = stands.clock_ms;
		}
		store_positions_free(&at);
	}
	return c;
}

// Where a window of duplicates before `from` begins: by offsets, and by the age that the rules give it.
static enum error_class take_window(struct making *m, struct checkpoint_part *p, const struct journal_part *jp)
{
	const struct rules_settings *rs = &m->journal->rules[m->journal->n_rules - 1].rules->settings;
	struct dedupe_options d = decide_dedupe_options(m->journal, rs, jp->offset);
	int64_t at = -1;
	p->window = rs->dedupe ? dedupe_window_start(&d, p->from) : p->from;
	if (!rs->dedupe || p->clock_ms == TIME_NONE || m->o->kafka->embedded) // which knows no offsets by time
		return ERROR_NONE;
	enum error_class c = m->port->offset_at(m->o->kafka, jp->topic, jp->partition, p->clock_ms > d.max_age_ms ? p->clock_ms - d.max_age_ms : 0, TIMEOUT_MS, &at,
					     m->e);
	if (c == ERROR_NONE && at > p->window)
		p->window = at < p->from ? at : p->from;
	return c;
}

// Before any shard is copied: what is raised after its copy lies behind this.
static enum error_class take_published(struct making *m, const char *topic)
{
	struct topic_info info = { 0 };
	struct checkpoint_head *h = &m->head;
	enum error_class c = watched(m);
	if (c == ERROR_NONE)
		c = m->port->describe(m->o->kafka, topic, TIMEOUT_MS, &info, m->e);
	for (int32_t p = 0; p < info.partitions && c == ERROR_NONE; p++) {
		int64_t low = 0, high = 0;
		c = watched(m);
		if (c != ERROR_NONE)
			break;
		c = m->port->offsets(m->o->kafka, topic, p, TIMEOUT_MS, &low, &high, m->e);
		h->outs = xrealloc(h->outs, h->n_outs + 1, sizeof(*h->outs));
		h->outs[h->n_outs++] = (struct checkpoint_out){ xasprintf("%s/%" PRId32, topic, p), high };
	}
	return c;
}

static enum error_class take_settled(struct making *m)
{
	enum error_class c = ERROR_NONE;
	m->head.settled = MONTH_NONE;
	for (uint32_t i = 0; i < m->journal->n_manifests && c == ERROR_NONE; i++) {
		bool finished = false;
		c = m->live->ops->finished(m->live, 0, m->journal->manifests[i].month, &finished, m->e);
		if (!finished)
			break;
		m->head.settled = m->journal->manifests[i].month;
	}
	return c;
}

static enum error_class take_head(struct making *m)
{
	struct checkpoint_head *h = &m->head;
	const struct journal *j = m->journal;
	*h = (struct checkpoint_head){ .made_ms = clock_wall_ms(), .shards = j->shards, .generation = j->generation,
				       .control_next = j->next_offset, .rules_version = j->rules[j->n_rules - 1].version, .settled = MONTH_NONE, .furthest_ms = TIME_NONE,
				       .parts = xcalloc(j->n_parts + 1, sizeof(*h->parts)) };
	snprintf(h->init_id, sizeof(h->init_id), "%s", j->init_id);
	snprintf(h->version, sizeof(h->version), "%s", METERD_VERSION);
	for (; h->n_parts < j->n_parts; h->n_parts++)
		h->parts[h->n_parts] = (struct checkpoint_part){ .name = xstrdup(j->parts[h->n_parts].name), .from = INT64_MAX };
	enum error_class c = take_settled(m);
	if (c == ERROR_NONE)
		c = take_published(m, m->o->kafka->alerts_topic);
	if (c == ERROR_NONE)
		c = take_published(m, m->o->kafka->settlements_topic);
	if (c == ERROR_NONE)
		c = take_from(m);
	for (uint32_t p = 0; p < h->n_parts && c == ERROR_NONE; p++) {
		c = watched(m);
		if (c == ERROR_NONE)
			c = take_window(m, &h->parts[p], &j->parts[p]);
	}
	return c;
}

// ---- the file
static char *path_of(const struct making *m)
{
	char stamp[32], month[MONTH_TEXT] = "open";
	time_t seconds = (time_t)(m->head.made_ms / 1000);
	struct tm tm;
	check(gmtime_r(&seconds, &tm) != NULL && strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm) > 0);
	if (m->head.settled != MONTH_NONE)
		month_text(m->head.settled, month);
	return xasprintf("%s/checkpoints/%s-%s.checkpoint", m->o->state_dir, stamp, month);
}

static enum error_class make_folder(const struct making *m)
{
	CLEANUP(freep) char *path = xasprintf("%s/checkpoints", m->o->state_dir);
	const char *const all[] = { m->o->state_dir, path };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (mkdir(all[i], 0700) != 0 && errno != EEXIST)
			return error_set(m->e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s cannot be made (%s): give the user that meterd runs as the right to write state_dir",
					 all[i], strerror(errno));
	return ERROR_NONE;
}

static enum error_class write_file(struct making *m, char **ret_path)
{
	CLEANUP(freep) char *path = path_of(m);
	enum error_class c = make_folder(m);
	if (c != ERROR_NONE)
		return c;
	checkpoint_sweep(m->o->state_dir);
	int why = file_replace(path, write_all, m);
	checkpoint_writer_freep(&m->w);
	if (m->cls != ERROR_NONE)
		return m->cls;
	if (why != 0)
		return error_set(m->e, ERROR_ABORT, EXIT_LATER, "checkpoint %s cannot be written (%s); nothing was left of it. Make room in state_dir, or look at "
				 "its disk", path, strerror(why));
	*ret_path = TAKE_PTR(path);
	return ERROR_NONE;
}

// The newest of this init stay, and whatever is not a checkpoint of it. The one just written does whatever it says of its time: clocks are set back.
static void drop_old(const struct making *m, const char *written)
{
	struct checkpoint_list list = { 0 };
	int64_t kept = 1;
	if (checkpoint_list(m->o->state_dir, &list, NULL) != ERROR_NONE)
		return;
	for (uint32_t i = 0; i < list.n; i++) {
		const struct checkpoint_file *f = &list.files[i];
		if (f->wrong.cls == ERROR_NONE && strcmp(f->head.init_id, m->head.init_id) == 0 && strcmp(f->path, written) != 0 &&
		    ++kept > m->o->keep)
			unlink(f->path);
	}
	checkpoint_list_free(&list);
}

static enum error_class open_all(struct making *m)
{
	const struct checkpoint_options *o = m->o;
	enum error_class (*store_open)(const struct store_options *, struct store **, struct error *) = o->store_open != NULL ? o->store_open : store_redis_open;
	enum error_class c = store_open(o->store, &m->live, m->e);
	if (c == ERROR_NONE)
		c = store_open(o->store, &m->copy, m->e);
	if (c == ERROR_NONE)
		c = store_open(o->store, &m->desk, m->e);
	if (c == ERROR_NONE)
		c = journal_load_from(m->port, o->kafka, TIMEOUT_MS, &m->journal, m->e);
	if (c == ERROR_NONE)
		c = journal_begun(m->journal, o->kafka, m->e);
	if (c != ERROR_NONE)
		return c;
	m->live->ops->identity(m->live, m->journal->init_id, m->journal->generation);
	m->copy->ops->identity(m->copy, m->journal->init_id, CHECKPOINT_CUT);
	return take_lease(m);
}

static void close_all(struct making *m)
{
	CLEANUP(freep) char *other = NULL;
	if (m->leased_us != 0)
		m->desk->ops->lease(m->desk, LEASE_CHECKPOINT, m->holder, 1, &other, NULL);
	struct store *const all[] = { m->live, m->copy, m->desk };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] != NULL)
			all[i]->ops->close(all[i]);
	journal_freep(&m->journal);
	checkpoint_head_free(&m->head);
}

enum error_class checkpoint_make(const struct checkpoint_options *o, char **ret_path, struct error *e)
{
	struct error why = { 0 };
	struct making m = { .o = o, .port = o->port != NULL ? o->port : &sink_port_kafka, .head.settled = MONTH_NONE, .e = &why };
	char host[64] = "?";
	gethostname(host, sizeof(host) - 1);
	snprintf(m.holder, sizeof(m.holder), "process %ld on %s", (long)getpid(), host);
	enum error_class c = open_all(&m);
	if (c == ERROR_NONE)
		c = take_head(&m);
	if (c == ERROR_NONE)
		c = write_file(&m, ret_path);
	if (c == ERROR_NONE)
		drop_old(&m, *ret_path);
	close_all(&m);
	return c == ERROR_NONE ? c : error_set(e, c, why.exit_code, "%s", why.text);
}
