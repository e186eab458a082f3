// SPDX-License-Identifier: Apache-2.0
#include "pipeline/part.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/log.h"

void part_init(struct part *p, const char *topic, int32_t partition, const char *name, uint32_t n_shards)
{
	*p = (struct part){ .topic = xstrdup(topic),
			    .name = xstrdup(name),
			    .partition = partition,
			    .course = { .clock_ms = TIME_NONE, .open_month = MONTH_NONE },
			    .next_turn_ms = INT64_MIN, // to be found
			    .last = -1,
			    .end = -1,
			    .next_slice = INT64_MAX,
			    .n_shards = n_shards };
	p->shards = xcalloc(n_shards, sizeof(*p->shards));
}

void part_clear(struct part *p)
{
	free(p->topic);
	free(p->name);
	free(p->shards);
	free(p->cuts);
	free(p->marks);
	free(p->prints);
	dedupe_freep(&p->dedupe);
	*p = (struct part){ 0 };
}

void part_halt(struct part *p, const char *fmt, ...)
{
	char quoted[400];
	va_list ap;
	if (p->state == PART_HALTED)
		return;
	va_start(ap, fmt);
	vsnprintf(p->halted, sizeof(p->halted), fmt, ap);
	va_end(ap);
	p->state = PART_HALTED;
	log_line(LVL_ERROR, "partition_halted", "partition=%s next=%lld why=%s", p->name, (long long)p->next,
		 log_quote(p->halted, quoted, sizeof(quoted)));
}

uint64_t record_print(const struct record *r)
{
	return XXH3_64bits_withSeed(r->value.p != NULL ? r->value.p : "", r->value.n, (uint64_t)r->timestamp_ms);
}

static void part_add_print(struct part *p, const struct position *at)
{
	if (at->last < 0)
		return;
	for (uint32_t i = 0; i < p->n_prints; i++) {
		if (p->prints[i].offset != at->last)
			continue;
		if (p->prints[i].print != at->print)
			part_halt(p, "the shards disagree about the record at offset %lld: some counted another log, or were changed by hand. Nothing was "
				  "counted from it; restore Redis from its backup", (long long)at->last);
		return;
	}
	p->prints = xrealloc(p->prints, p->n_prints + 1, sizeof(*p->prints));
	p->prints[p->n_prints++] = (struct part_print){ at->last, at->print, false };
}

void part_place(struct part *p, const struct position *of_shards)
{
	const struct position *least = &of_shards[0];
	for (uint32_t s = 0; s < p->n_shards; s++) {
		p->shards[s] = (struct part_shard){ .start = of_shards[s].next, .from = of_shards[s].next };
		if (of_shards[s].next < least->next)
			least = &of_shards[s];
		if (of_shards[s].next > p->max_start)
			p->max_start = of_shards[s].next;
		part_add_print(p, &of_shards[s]);
	}
	p->start = p->next = p->read_from = least->next;
	p->stored_clock_ms = p->course.clock_ms = least->clock_ms;
	p->last = least->last;
	p->print = least->print;
}

void part_begin(struct part *p, const struct journal *j)
{
	int64_t step = (int64_t)1 << p->dedupe_options.generation_bits;
	course_begin(&p->course, j, p->stored_clock_ms);
	p->next_mark = (p->start + step - 1) / step * step;
}

static void part_add_cut(struct part *p, int month, int64_t offset)
{
	if (p->n_cuts == p->size_cuts) {
		p->size_cuts = p->size_cuts * 2 + 8;
		p->cuts = xrealloc(p->cuts, p->size_cuts, sizeof(*p->cuts));
	}
	p->cuts[p->n_cuts++] = (struct commit_cut){ month, offset };
}

static void part_add_mark(struct part *p, int64_t offset)
{
	const struct dedupe_options *o = &p->dedupe_options;
	if (p->n_marks == p->size_marks) {
		p->size_marks = p->size_marks * 2 + 8;
		p->marks = xrealloc(p->marks, p->size_marks, sizeof(*p->marks));
	}
	// Other shards may stand behind this one by half a window and a flush (shard_advance_due): they need theirs after a crash.
	int64_t window = (int64_t)(2 * o->generations + 16) << o->generation_bits;
	p->marks[p->n_marks++] = (struct commit_mark){ offset, p->course.clock_ms, offset - window };
}

void part_advance(struct part *p, const struct course *to, int64_t offset)
{
	const struct course from = p->course;
	for (; p->next_mark <= offset; p->next_mark += (int64_t)1 << p->dedupe_options.generation_bits)
		part_add_mark(p, p->next_mark);
	p->course = *to;
	if (to->clock_ms == from.clock_ms)
		return;
	if (from.clock_ms == TIME_NONE)
		part_add_cut(p, MONTH_NONE, offset);
	else
		for (int month = from.open_month; month < to->open_month; month++)
			part_add_cut(p, month, offset);
}

bool part_window_short(struct part *p, int64_t offset, int64_t clock_ms)
{
	const struct dedupe_options *o = &p->dedupe_options;
	if (p->gone_below == 0)
		return false;
	if (dedupe_window_start(o, offset) < p->gone_below && clock_ms - o->max_age_ms <= p->gone_clock_ms)
		return true;
	p->gone_below = 0;
	return false;
}

void part_prune(struct part *p)
{
	int64_t least = INT64_MAX;
	for (uint32_t s = 0; s < p->n_shards; s++)
		if (p->shards[s].from < least)
			least = p->shards[s].from;
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_cuts; i++)
		if (p->cuts[i].offset >= least)
			p->cuts[n++] = p->cuts[i];
	p->n_cuts = n;
	n = 0;
	for (uint32_t i = 0; i < p->n_marks; i++)
		if (p->marks[i].offset >= p->shards[0].from)
			p->marks[n++] = p->marks[i];
	p->n_marks = n;
}
