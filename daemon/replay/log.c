// SPDX-License-Identifier: Apache-2.0
// The usage topics, read as the workers read them: each partition in its order, from the offset that init or admit gave it to its end now.
// Each record is decided as it is, and, where the other side may see it otherwise, a second time with a window of duplicates of its own.
#include <stdlib.h>

#include "base/check.h"
#include "base/yaml.h"
#include "replay/inner.h"

enum { SEEN_MOST = 64 };

struct reading {                    // one partition
	const struct journal_part *part;
	struct course course;
	struct dedupe *dedupe[SIDES]; // NULL: disabled, or not needed
	int64_t end;
	int64_t from, to;           // of the range, as offsets
	bool outside;               // none of its records lie in the range
	bool left_out;              // those in the range
};
struct log {
	struct replay *r;
	struct reading *list;       // of all topics
	uint32_t n;
	uint64_t *found;            // by producer that is left out
	uint32_t n_seen;            // producers in the range, as far as they are remembered: for who mistyped one
	const char *seen[SEEN_MOST + 1];
	struct error held;          // of a callback
};

static void log_close(struct log *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		for (int side = 0; side < SIDES; side++)
			dedupe_freep(&l->list[i].dedupe[side]);
	free(l->list);
	free(l->found);
}

// ---- one record
static bool in_range(const struct log *l, const struct reading *p, const struct record *rec)
{
	int64_t stamp_ms = rec->timestamp_ms >= 0 ? rec->timestamp_ms : p->course.clock_ms;
	return !p->outside && rec->offset >= p->from && rec->offset < p->to && stamp_ms >= l->r->from_ms && stamp_ms < l->r->to_ms;
}

static bool counts(const struct decision *d)
{
	return d->outcome == OUTCOME_COUNTED || d->outcome == OUTCOME_LATE;
}

static bool count(struct log *l, const struct side *s, struct books *books, const struct reading *p, const struct decision *d)
{
	if (books == NULL || !counts(d) || (l->r->o.account != NULL && !span_is(d->account, l->r->o.account)))
		return true;
	for (uint32_t i = 0; i < d->n; i++)
		if (!books_count(books, d->account, span_of(catalog_service_id(s->decider.newest, d->items[i].service)), d->month,
				 d->outcome == OUTCOME_LATE ? p->course.open_month : MONTH_NONE, d->items[i].calls))
			return false;
	return true;
}

static void remember_producer(struct log *l, struct span source)
{
	if (source.p == NULL || l->n_seen == SEEN_MOST)
		return;
	for (uint32_t i = 0; i < l->n_seen; i++)
		if (span_is(source, l->seen[i]))
			return;
	l->seen[l->n_seen++] = arena_printf(&l->r->arena, "%.*s", (int)source.n, source.p);
}

static bool is_left_out(struct log *l, const struct event *ev)
{
	const struct replay_options *o = &l->r->o;
	remember_producer(l, ev->source);
	for (uint32_t i = 0; i < o->n_producers; i++) {
		if (o->producers[i][0] == '\0' ? ev->source.p == NULL : ev->source.p != NULL && span_is(ev->source, o->producers[i])) {
			l->found[i]++;
			return true;
		}
	}
	return false;
}

static bool is_listed(const struct replay_options *o, struct span status)
{
	for (uint32_t i = 0; i < o->n_billable; i++)
		if (span_is(status, o->billable[i]))
			return true;
	return false;
}

// Codes that count instead of the price book's; what was rejected or a duplicate stays so.
static void decide_billable(const struct log *l, struct decision *d)
{
	if (l->r->o.n_billable == 0 || !(counts(d) || d->outcome == OUTCOME_NOT_BILLABLE))
		return;
	d->outcome = !is_listed(&l->r->o, d->event->status) ? OUTCOME_NOT_BILLABLE :
		     d->month < d->course.open_month ? OUTCOME_LATE : OUTCOME_COUNTED;
}

// False: the record was never there.
static bool decide_otherwise(struct log *l, struct reading *p, const struct record *rec, bool within, struct decision *d)
{
	struct replay *r = l->r;
	struct side *s = &r->sides[OTHERWISE];
	struct course c = p->course;
	struct dedupe *set = p->dedupe[OTHERWISE];
	if (within && r->o.catalog_name != NULL)
		c.rules = journal_rules_version(s->journal, c.rules->version + r->shift);
	if (set != NULL)
		dedupe_advance(set, rec->offset, c.clock_ms);
	if (within && p->left_out)
		return false;
	if (within && r->o.n_producers > 0) {
		decide_record(&s->decider, &c, NULL, rec, d); // who sent it is to be known before it is remembered
		if (d->outcome != OUTCOME_CONTROL && d->outcome != OUTCOME_REJECTED && is_left_out(l, d->event))
			return false;
	}
	decide_record(&s->decider, &c, set, rec, d);
	return true;
}

static bool same_calls(const struct log *l, const struct decision *a, const struct decision *b)
{
	const struct catalog *x = l->r->sides[AS_IS].decider.newest, *y = l->r->sides[OTHERWISE].decider.newest;
	if (a->outcome != b->outcome || !counts(a))
		return a->outcome == b->outcome;
	bool same = a->n == b->n && span_eq(a->account, b->account);
	for (uint32_t i = 0; same && i < a->n; i++)
		same = strcmp(catalog_service_id(x, a->items[i].service), catalog_service_id(y, b->items[i].service)) == 0;
	return same;
}

static bool take_decided(struct log *l, struct reading *p, const struct record *rec)
{
	struct replay *r = l->r;
	struct replay_numbers *n = &r->numbers;
	struct decision is, other;
	bool within = in_range(l, p, rec), there = true;
	decide_record(&r->sides[AS_IS].decider, &p->course, p->dedupe[AS_IS], rec, &is);
	if (r->decides)
		there = decide_otherwise(l, p, rec, within, &other);
	else
		other = is;
	if (within && there)
		decide_billable(l, &other);
	n->events += counts(&is);
	n->in_range += within;
	n->left_out += !there;
	n->otherwise += there && !same_calls(l, &is, &other);
	if (within && (r->clock_min == TIME_NONE || p->course.clock_ms < r->clock_min))
		r->clock_min = p->course.clock_ms;
	if (within && p->course.clock_ms > r->clock_max)
		r->clock_max = p->course.clock_ms;
	const struct side *as_is = &r->sides[AS_IS], *otherwise = &r->sides[OTHERWISE];
	return count(l, as_is, as_is->books, p, &is) && count(l, as_is, r->bare, p, &is) && (!there || count(l, otherwise, otherwise->books, p, &other));
}

static bool take_record(void *ctx, uint32_t span, const struct topic_record *t)
{
	struct log *l = ctx;
	struct replay *r = l->r;
	struct reading *p = &l->list[span];
	course_move(&p->course, r->sides[AS_IS].journal, t->r.timestamp_ms);
	if (p->course.clock_ms > r->end_clock)
		r->end_clock = p->course.clock_ms;
	if (p->dedupe[AS_IS] != NULL)
		dedupe_advance(p->dedupe[AS_IS], t->r.offset, p->course.clock_ms);
	r->numbers.records++;
	if (r->o.progress != NULL && r->numbers.records % 4096 == 0)
		r->o.progress(r->o.ctx, r->numbers.records, r->all_records);
	if (take_decided(l, p, &t->r))
		return !replay_stopped(r);
	error_set(&l->held, ERROR_HALT, 0, "%s: a counter overflows at offset %lld", p->part->name, (long long)t->r.offset);
	return false;
}

// ---- which records
static bool is_left_out_whole(const struct replay_options *o, const char *name)
{
	for (uint32_t i = 0; i < o->n_partitions; i++)
		if (strcmp(o->partitions[i], name) == 0)
			return true;
	return false;
}

static void reading_range(const struct replay *r, struct reading *p)
{
	const struct range *range = r->o.range;
	bool no_from, no_to;
	int64_t from = bound_offset(&range->from, p->part->topic, p->part->partition, &no_from);
	int64_t to = bound_offset(&range->to, p->part->topic, p->part->partition, &no_to);
	p->from = from >= 0 ? from : 0;
	p->to = to >= 0 ? to : INT64_MAX;
	p->outside = no_from || no_to;
}

static enum error_class reading_begin(struct log *l, struct reading *p, struct error *e)
{
	struct replay *r = l->r;
	const struct journal *j = r->sides[AS_IS].journal;
	const struct rules_settings *s = &j->rules[j->n_rules - 1].rules->settings;
	struct dedupe_options o = decide_dedupe_options(j, s, p->part->offset);
	int64_t low = 0;
	course_begin(&p->course, j, p->part->clock_ms);
	for (int side = 0; side < SIDES; side++)
		if (s->dedupe && (side == AS_IS || r->decides))
			p->dedupe[side] = dedupe_new(&o, p->part->offset, p->part->clock_ms);
	p->left_out = is_left_out_whole(&r->o, p->part->name);
	reading_range(r, p);
	enum error_class c = r->port->offsets(r->o.kafka, p->part->topic, p->part->partition, r->o.timeout_ms, &low, &p->end, e);
	if (c != ERROR_NONE)
		return c;
	if (p->end < p->part->offset || low > p->part->offset)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s was counted from offset %lld on, and holds %lld to %lld now: bills can be made again only "
				 "from the whole log. Read a copy of it that reaches back so far (topics.input), or ask sooner (retention)", p->part->name,
				 (long long)p->part->offset, (long long)low, (long long)p->end);
	r->all_records += (uint64_t)(p->end - p->part->offset);
	r->ends[r->n_ends++] = (struct journal_cut){ p->part->name, p->end };
	return ERROR_NONE;
}

static enum error_class read_all(struct log *l, struct error *e)
{
	const struct replay_options *o = &l->r->o;
	CLEANUP(freep) struct topic_span *spans = xcalloc(l->n + 1, sizeof(*spans));
	for (uint32_t i = 0; i < l->n; i++) {
		const struct reading *p = &l->list[i];
		spans[i] = (struct topic_span){ p->part->topic, p->part->partition, p->part->offset, p->end };
	}
	enum error_class c = topic_read_spans(l->r->port, o->kafka, spans, l->n, o->timeout_ms, take_record, l, e);
	if (c == ERROR_NONE && replay_stopped(l->r))
		return replay_look(l->r, e);
	return c == ERROR_NONE && l->held.cls != ERROR_NONE ? error_set(e, l->held.cls, l->held.exit_code, "%s", l->held.text) : c;
}

// ---- what was asked for, and is not there
static enum error_class check_partitions(const struct replay *r, struct error *e)
{
	const struct journal *j = r->sides[AS_IS].journal;
	CLEANUP(freep) const char **known = xcalloc(j->n_parts + 1, sizeof(*known));
	for (uint32_t i = 0; i < j->n_parts; i++)
		known[i] = j->parts[i].name;
	for (uint32_t i = 0; i < r->o.n_partitions; i++) {
		const char *name = r->o.partitions[i], *near = nearest_word(name, known);
		if (journal_part(j, span_of(name)) == NULL)
			return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "no partition \"%.100s\" is counted%s%s%s: `meterctl audit` lists them", name,
					 near != NULL ? ": did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
	}
	return ERROR_NONE;
}

static enum error_class check_range(const struct log *l, struct error *e)
{
	const struct replay *r = l->r;
	char from[TIME_TEXT], to[TIME_TEXT];
	if (r->numbers.records == 0)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "the log holds no record yet");
	if (r->numbers.in_range > 0)
		return ERROR_NONE;
	if (r->from_ms == TIME_NONE && r->to_ms == INT64_MAX)
		return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "no record has an offset in the range: `meterctl audit` shows what was read of each partition");
	return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "no record lies in the range %s to %s, which is compared with the records' own time stamps: the newest is %s",
			 r->from_ms == TIME_NONE ? "beginning" : time_text(r->from_ms, from), r->to_ms == INT64_MAX ? "end" : time_text(r->to_ms, to),
			 r->end_clock == TIME_NONE ? "none" : time_text(r->end_clock, (char[TIME_TEXT]){ 0 }));
}

static enum error_class check_producers(const struct log *l, struct error *e)
{
	const struct replay_options *o = &l->r->o;
	for (uint32_t i = 0; i < o->n_producers; i++) {
		if (l->found[i] > 0)
			continue;
		if (o->producers[i][0] == '\0')
			return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "every event in the range names its producer: there are no flat ones to leave out");
		const char *near = nearest_word(o->producers[i], l->seen);
		near = near == NULL && l->n_seen == 1 ? l->seen[0] : near;
		return error_set(e, ERROR_ABORT, EXIT_USAGE_ERR, "no event in the range has the source \"%.100s\"%s%.100s%s", o->producers[i],
				 near != NULL ? ": did you mean " : "", near != NULL ? near : l->n_seen == 0 ? ": they are flat, and name no producer" : "",
				 near != NULL ? "?" : "");
	}
	return ERROR_NONE;
}

enum error_class replay_read_log(struct replay *r, struct error *e)
{
	const struct journal *j = r->sides[AS_IS].journal;
	CLEANUP(log_close) struct log l = { .r = r, .list = xcalloc(j->n_parts + 1, sizeof(*l.list)),
					    .found = xcalloc(r->o.n_producers + 1, sizeof(*l.found)) };
	enum error_class c = check_partitions(r, e);
	r->ends = xcalloc(j->n_parts + 1, sizeof(*r->ends));
	for (uint32_t i = 0; i < j->n_parts && c == ERROR_NONE; i++) {
		l.list[i].part = &j->parts[i];
		l.n++;
		c = reading_begin(&l, &l.list[i], e);
	}
	r->numbers.partitions = l.n;
	if (c == ERROR_NONE)
		c = read_all(&l, e);
	if (c == ERROR_NONE)
		c = check_range(&l, e);
	return c == ERROR_NONE ? check_producers(&l, e) : c;
}
