// SPDX-License-Identifier: Apache-2.0
// The window of duplicates of a partition on disk (snapshot/snapshots.h): recorded as it is read, cut into slices, and made of them again at
// an assignment, so that only the log behind the newest slice is read back.
#include "base/check.h"
#include "pipeline/state.h"

static int64_t slice_behind(const struct dedupe *d, unsigned bits)
{
	return ((dedupe_recorded_from(d) >> bits) + 1) << bits;
}

void part_recorded(struct part *p, const struct snapshots *s, int64_t older_ms, struct slice_mark first)
{
	dedupe_record(p->dedupe, older_ms, first);
	p->next_slice = slice_behind(p->dedupe, snapshots_bits(s));
}

static struct slice_place place_of(const struct worker *w, const struct part *p)
{
	return slice_place(span_of(w->journal->init_id), span_of(p->name));
}

static int64_t rules_at(const void *ctx, int64_t clock_ms)
{
	return journal_rules_at(ctx, clock_ms)->version;
}

bool worker_load_slices(struct worker *w, struct part *p, int64_t low, int64_t *ret_clock)
{
	struct slice_mark next;
	const struct snapshot_wanted wanted = { p->name, place_of(w, p), &p->dedupe_options, p->start, p->stored_clock_ms, low, rules_at, w->journal };
	if (w->o.snapshots == NULL || low > p->start || !snapshots_load(w->o.snapshots, &wanted, &p->dedupe, &next))
		return false;
	p->read_from = p->slices_to = dedupe_position(p->dedupe);
	p->from_slices = p->clock_whole = true;
	*ret_clock = dedupe_clock(p->dedupe);
	part_recorded(p, w->o.snapshots, *ret_clock, next);
	if (next.offset >= 0) { // the log shows it again, or they are not of this log
		p->prints = xrealloc(p->prints, p->n_prints + 1, sizeof(*p->prints));
		p->prints[p->n_prints++] = (struct part_print){ next.offset, next.print, true };
	}
	return true;
}

void worker_cut_slice(struct worker *w, struct part *p, const struct record *r)
{
	const struct dedupe_options *o = &p->dedupe_options;
	unsigned bits = snapshots_bits(w->o.snapshots);
	int64_t to = r->offset >> bits << bits;
	struct slice head;
	struct recording *done = dedupe_cut(p->dedupe, to, (struct slice_mark){ r->offset, record_print(r) }, w->newest->version, &head);
	// Slices are kept for an eighth of a window more than is needed: for where Redis goes back.
	int64_t drop_below = dedupe_window_start(o, to) - ((int64_t)(o->generations / 8 + 1) << o->generation_bits);
	snapshots_put(w->o.snapshots, p->name, place_of(w, p), o->seed, &head, done, drop_below);
	p->next_slice = slice_behind(p->dedupe, bits);
}

void worker_distrust_slices(struct worker *w, struct part *p, const char *why)
{
	snapshots_distrust(w->o.snapshots, p->name, why);
	dedupe_freep(&p->dedupe);
	p->next_slice = INT64_MAX;
	p->state = PART_AGAIN;
	worker_trouble(w, TROUBLE_REJOIN, "the window of duplicates on disk is not of this log: it is read back");
}
