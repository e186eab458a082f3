// SPDX-License-Identifier: Apache-2.0
// The usage topics, read as the workers read them: each partition in its order, from the offset that init or admit gave it.
#include <stdlib.h>

#include "base/check.h"
#include "proof/inner.h"

struct reading {                    // one partition
	const struct journal_part *part;
	struct course course;
	struct dedupe *dedupe;      // NULL: disabled
	int64_t next;               // behind the last record read
	int64_t cut, end;           // records below cut count; at `end` reading ends
	bool *confirmed;            // by manifest: the log cuts where it says
};
struct month_calls {                // counted, of all accounts
	int month;
	int64_t calls;
};
struct log {
	struct proof *p;
	struct decider decider;
	struct reading *list;       // of all topics
	uint32_t n;
	uint32_t n_manifests;       // up to the last one
	struct month_calls *calls;
	uint32_t n_calls;
};

static void log_close(struct log *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		dedupe_freep(&l->list[i].dedupe);
		free(l->list[i].confirmed);
	}
	free(l->list);
	free(l->calls);
	decider_free(&l->decider);
}

static const struct journal_cut *cut_of(const struct journal_manifest *m, const char *name)
{
	for (uint32_t i = 0; i < m->n_cuts; i++)
		if (strcmp(m->cuts[i].name, name) == 0)
			return &m->cuts[i];
	return NULL;
}

// ---- cuts
// The log crosses the close of every month below `open` at this offset, and did not cross those from `from` on before.
static void check_cuts(struct log *l, struct reading *r, int from, int open, int64_t offset)
{
	for (uint32_t i = 0; i < l->n_manifests; i++) {
		const struct journal_manifest *m = &l->p->journal->manifests[i];
		const struct journal_cut *c = cut_of(m, r->part->name);
		if (m->month < from || m->month >= open || c == NULL || r->confirmed[i])
			continue;
		r->confirmed[i] = true;
		if (c->offset != offset && proof_covers(l->p, m->month))
			proof_add(l->p, (struct proof_difference){ .kind = PROOF_CUT, .field = r->part->name,
				.period = arena_printf(&l->p->arena, "%s", month_text(m->month, (char[MONTH_TEXT]){ 0 })),
				.published = arena_printf(&l->p->arena, "%lld", (long long)c->offset),
				.derived = arena_printf(&l->p->arena, "%lld", (long long)offset) });
	}
}

// A partition that began behind a close is cut where it began.
static void check_first_cuts(struct log *l, struct reading *r)
{
	if (r->part->clock_ms != TIME_NONE)
		check_cuts(l, r, MONTH_FIRST, r->course.open_month, r->part->offset);
}

static void check_unmet_cuts(struct log *l, const struct reading *r)
{
	for (uint32_t i = 0; i < l->n_manifests; i++) {
		const struct journal_manifest *m = &l->p->journal->manifests[i];
		const struct journal_cut *c = cut_of(m, r->part->name);
		if (c != NULL && !r->confirmed[i] && proof_covers(l->p, m->month))
			proof_add(l->p, (struct proof_difference){ .kind = PROOF_CUT, .field = r->part->name,
				.period = arena_printf(&l->p->arena, "%s", month_text(m->month, (char[MONTH_TEXT]){ 0 })),
				.published = arena_printf(&l->p->arena, "%lld", (long long)c->offset),
				.derived = "behind it: no record there reaches the close" });
	}
}

// ---- one record
static void add_calls(struct log *l, int month, int64_t calls)
{
	uint32_t i = 0;
	while (i < l->n_calls && l->calls[i].month != month)
		i++;
	if (i == l->n_calls) {
		l->calls = xrealloc(l->calls, ++l->n_calls, sizeof(*l->calls));
		l->calls[i] = (struct month_calls){ month, 0 };
	}
	if (__builtin_add_overflow(l->calls[i].calls, calls, &l->calls[i].calls))
		l->calls[i].calls = INT64_MAX; // no manifest says so
}

static bool count(struct log *l, const struct reading *r, const struct decision *d)
{
	bool late = d->outcome == OUTCOME_LATE;
	bool wanted = l->p->account.p == NULL || span_eq(l->p->account, d->account);
	l->p->numbers.events++;
	for (uint32_t i = 0; i < d->n; i++) {
		if (!late)
			add_calls(l, d->month, d->items[i].calls);
		if (wanted && !books_count(l->p->books, d->account, span_of(catalog_service_id(l->decider.newest, d->items[i].service)), d->month,
					   late ? r->course.open_month : MONTH_NONE, d->items[i].calls))
			return false;
	}
	return true;
}

static void note_gap(struct log *l, const struct reading *r, int64_t offset)
{
	if (offset == r->next)
		return;
	proof_add(l->p, (struct proof_difference){ .kind = PROOF_GAP, .field = r->part->name,
		.derived = offset == r->next + 1 ? arena_printf(&l->p->arena, "%lld", (long long)r->next)
						 : arena_printf(&l->p->arena, "%lld to %lld", (long long)r->next, (long long)offset - 1) });
}

static bool take_record(void *ctx, uint32_t span, const struct topic_record *t)
{
	struct log *l = ctx;
	struct proof *p = l->p;
	struct reading *r = &l->list[span];
	struct decision d;
	int open = r->course.open_month;
	note_gap(l, r, t->r.offset);
	r->next = t->r.offset + 1;
	if (course_move(&r->course, p->journal, t->r.timestamp_ms) && r->course.open_month != open)
		check_cuts(l, r, open != MONTH_NONE ? open : MONTH_FIRST, r->course.open_month, t->r.offset);
	if (t->r.offset >= r->cut)
		return true; // read for its stamp only
	if (r->dedupe != NULL)
		dedupe_advance(r->dedupe, t->r.offset, r->course.clock_ms);
	decide_record(&l->decider, &r->course, r->dedupe, &t->r, &d);
	p->numbers.records++;
	if (p->o.progress != NULL && p->numbers.records % 4096 == 0)
		p->o.progress(p->o.ctx, p->numbers.records, p->all_records);
	if ((d.outcome == OUTCOME_COUNTED || d.outcome == OUTCOME_LATE) && !count(l, r, &d)) {
		error_set(&p->held, ERROR_HALT, 0, "%s: a counter overflows at offset %lld", r->part->name, (long long)t->r.offset);
		return false;
	}
	return true;
}

// ---- which records
static void reading_begin(struct log *l, struct reading *r)
{
	const struct journal *j = l->p->journal;
	const struct rules_settings *s = &j->rules[j->n_rules - 1].rules->settings;
	struct dedupe_options o = decide_dedupe_options(j, s, r->part->offset);
	course_begin(&r->course, j, r->part->clock_ms);
	r->next = r->part->offset;
	r->dedupe = s->dedupe ? dedupe_new(&o, r->part->offset, r->part->clock_ms) : NULL;
	r->confirmed = xcalloc(l->n_manifests + 1, sizeof(bool));
	check_first_cuts(l, r);
}

// The record at the cut is read too: its stamp is why the cut is there.
static enum error_class find_end(struct log *l, struct reading *r, struct error *e)
{
	const struct proof_options *o = &l->p->o;
	int64_t low = 0, high = 0;
	enum error_class c = l->p->port->offsets(o->kafka, r->part->topic, r->part->partition, o->timeout_ms, &low, &high, e);
	r->end = high > r->cut ? r->cut + 1 : r->cut;
	l->p->all_records += (uint64_t)(r->cut - r->part->offset);
	return c;
}

static enum error_class log_open(struct log *l, struct error *e)
{
	const struct journal *j = l->p->journal;
	const struct journal_manifest *last = l->p->last;
	enum error_class c = ERROR_NONE;
	l->decider.newest = j->rules[j->n_rules - 1].rules->catalog;
	l->decider.journal = j;
	l->n_manifests = (uint32_t)(last - j->manifests) + 1;
	l->list = xcalloc(last->n_cuts + 1, sizeof(*l->list));
	for (uint32_t i = 0; i < last->n_cuts && c == ERROR_NONE; i++) {
		struct reading *r = &l->list[l->n];
		r->part = journal_part(j, span_of(last->cuts[i].name));
		if (r->part == NULL || last->cuts[i].offset < r->part->offset)
			return error_set(e, ERROR_HALT, 0, "the manifest cuts %s at %lld, where nothing was admitted: the control topic was changed",
					 last->cuts[i].name, (long long)last->cuts[i].offset);
		r->cut = last->cuts[i].offset;
		l->n++;
		reading_begin(l, r);
		c = find_end(l, r, e);
	}
	l->p->numbers.partitions = l->n;
	return c;
}

static enum error_class read_all(struct log *l, struct error *e)
{
	const struct proof_options *o = &l->p->o;
	CLEANUP(freep) struct topic_span *spans = xcalloc(l->n + 1, sizeof(*spans));
	for (uint32_t i = 0; i < l->n; i++) {
		const struct reading *r = &l->list[i];
		spans[i] = (struct topic_span){ r->part->topic, r->part->partition, r->part->offset, r->end };
	}
	enum error_class c = topic_read_spans(l->p->port, o->kafka, spans, l->n, o->timeout_ms, take_record, l, e);
	return c == ERROR_NONE && l->p->held.cls != ERROR_NONE ? error_set(e, l->p->held.cls, l->p->held.exit_code, "%s", l->p->held.text) : c;
}

// ---- the manifests' totals
static void check_total(struct log *l, int month, const char *field, int64_t manifest, int64_t log)
{
	if (manifest != log)
		proof_add(l->p, (struct proof_difference){ .kind = PROOF_MANIFEST, .field = field,
			.period = arena_printf(&l->p->arena, "%s", month_text(month, (char[MONTH_TEXT]){ 0 })),
			.published = arena_printf(&l->p->arena, "%lld", (long long)manifest), .derived = arena_printf(&l->p->arena, "%lld", (long long)log) });
}

static void check_totals(struct log *l)
{
	for (uint32_t i = 0; i < l->n_manifests; i++) {
		const struct journal_manifest *m = &l->p->journal->manifests[i];
		int64_t all = 0;
		if (!proof_covers(l->p, m->month))
			continue;
		for (uint32_t k = 0; k < l->n_calls; k++)
			all += l->calls[k].month == m->month ? l->calls[k].calls : 0;
		check_total(l, m->month, "calls", m->calls, all);
		if (l->p->account.p == NULL)
			check_total(l, m->month, "counters", m->counters, books_counters(l->p->books, m->month));
	}
}

enum error_class proof_read_log(struct proof *p, struct error *e)
{
	CLEANUP(log_close) struct log l = { .p = p };
	enum error_class c = log_open(&l, e);
	if (c == ERROR_NONE)
		c = read_all(&l, e);
	if (c != ERROR_NONE)
		return c;
	for (uint32_t i = 0; i < l.n; i++)
		check_unmet_cuts(&l, &l.list[i]);
	check_totals(&l);
	return ERROR_NONE;
}
