// SPDX-License-Identifier: Apache-2.0
#include "replay/replay.h"

#include <stdlib.h>

#include "base/check.h"
#include "replay/inner.h"

enum { ATTEMPTS = 5 };

const char *replay_state_text(enum replay_state s)
{
	static const char *const texts[] = { [REPLAY_SETTLED] = "settled", [REPLAY_OPEN] = "open", [REPLAY_UNSETTLED] = "never closed",
		[REPLAY_CORRECTED] = "corrected" };
	return texts[s];
}

bool replay_stopped(const struct replay *r)
{
	return r->o.stop != NULL && atomic_load(r->o.stop);
}

enum error_class replay_look(void *ctx, struct error *e)
{
	return replay_stopped(ctx) ? error_set(e, ERROR_ABORT, EXIT_LATER, "stopped; nothing was changed, nothing is left behind") : ERROR_NONE;
}

static void no_document(void *ctx, int month_closed, struct span account, struct span document)
{
	(void)ctx, (void)month_closed, (void)account, (void)document; // the lines that are kept say it all
}

static enum error_class derive(struct replay *r, const struct journal *j, struct books *books, bool uncorrected, struct error *e)
{
	CLEANUP(freep) char *source = xasprintf("/meterd/%s", r->o.kafka->group);
	struct closing_books b = { .store = books_store(books), .shards = 1, .source = source, .journal = j, .feed = r->feed,
				   .accounts_topic = r->o.kafka->accounts_topic, .look = replay_look, .ctx = r, .uncorrected = uncorrected,
				   .account = r->o.account != NULL ? span_of(r->o.account) : (struct span){ NULL, 0 } };
	enum error_class c = ERROR_NONE;
	for (uint32_t i = 0; i < j->n_manifests && c == ERROR_NONE; i++)
		c = closing_derive(&b, &j->manifests[i], e);
	return c;
}

static enum error_class derive_all(struct replay *r, struct error *e)
{
	enum error_class c = ERROR_NONE;
	for (int side = 0; side < SIDES && c == ERROR_NONE; side++)
		c = derive(r, r->sides[side].journal, r->sides[side].books, side == OTHERWISE, e);
	return c == ERROR_NONE && r->bare != NULL ? derive(r, r->sides[AS_IS].journal, r->bare, true, e) : c;
}

// Both sides know the same decisions.
static enum error_class load_journals(struct replay *r, struct error *e)
{
	const struct replay_options *o = &r->o;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		for (int side = 0; side < SIDES; side++) {
			journal_freep(&r->sides[side].journal);
			enum error_class c = journal_load_from(r->port, o->kafka, o->timeout_ms, &r->sides[side].journal, e);
			if (c != ERROR_NONE)
				return c;
		}
		if (r->sides[AS_IS].journal->next_offset == r->sides[OTHERWISE].journal->next_offset)
			return ERROR_NONE;
	}
	return error_set(e, ERROR_RETRY, 0, "decisions were written to %s while it was read; try again", o->kafka->control_topic);
}

static enum error_class open_journals(struct replay *r, struct error *e)
{
	const struct replay_options *o = &r->o;
	enum error_class c = load_journals(r, e);
	if (c == ERROR_NONE)
		c = journal_begun(r->sides[AS_IS].journal, o->kafka, e);
	if (c != ERROR_NONE)
		return c;
	const struct journal *j = r->sides[AS_IS].journal;
	r->closed_first = j->n_manifests > 0 ? j->manifests[0].month : MONTH_NONE;
	r->closed_last = j->n_manifests > 0 ? j->manifests[j->n_manifests - 1].month : MONTH_NONE;
	if (o->correct && j->n_manifests == 0)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "no month is closed yet: there is nothing to correct");
	r->numbers.currency = catalog_currency(j->rules[j->n_rules - 1].rules->catalog);
	return ERROR_NONE;
}

static enum error_class run(struct replay *r, struct faults *faults, struct error *e)
{
	enum error_class c = open_journals(r, e);
	if (c == ERROR_NONE)
		c = whatif_rules(r, faults, e);
	if (c == ERROR_NONE)
		c = accounts_feed_refresh(r->feed, r->port, r->o.kafka, r->o.timeout_ms, e);
	if (c == ERROR_NONE && r->o.correct && corrections_said(r))
		r->bare = books_new(no_document, NULL);
	if (c == ERROR_NONE)
		c = replay_read_log(r, e);
	if (c != ERROR_NONE)
		return c;
	whatif_months(r);
	c = derive_all(r, e);
	if (c == ERROR_NONE)
		c = replay_compare_bills(r, e);
	if (c == ERROR_NONE && !r->o.correct)
		c = replay_compare_alerts(r, e);
	return c == ERROR_NONE ? replay_make_corrections(r, e) : c;
}

enum error_class replay_run(const struct replay_options *o, struct faults *faults, struct replay **ret, struct error *e)
{
	struct replay *r = xcalloc(1, sizeof(*r));
	r->o = *o;
	r->port = o->port != NULL ? o->port : &sink_port_kafka;
	r->feed = accounts_feed_new();
	r->clock_min = r->clock_max = r->end_clock = TIME_NONE;
	for (int side = 0; side < SIDES; side++)
		r->sides[side].books = books_new(no_document, NULL);
	enum error_class c = run(r, faults, e);
	if (c == ERROR_NONE)
		*ret = r;
	else
		replay_freep(&r);
	return c;
}

void replay_freep(struct replay **at)
{
	struct replay *r = *at;
	if (r == NULL)
		return;
	for (int side = 0; side < SIDES; side++) {
		books_freep(&r->sides[side].books);
		decider_free(&r->sides[side].decider);
		journal_freep(&r->sides[side].journal);
	}
	books_freep(&r->bare);
	accounts_feed_freep(&r->feed);
	arena_free(&r->arena);
	free(r->ends);
	free(r->all);
	free(r->bills);
	free(r->alerts);
	free(r);
	*at = NULL;
}

uint32_t replay_bills(const struct replay *r, const struct replay_bill **ret)
{
	*ret = r->bills;
	return r->n_bills;
}

uint32_t replay_alerts(const struct replay *r, const struct replay_alert **ret)
{
	*ret = r->alerts;
	return r->n_alerts;
}

const struct replay_corrections *replay_corrections(const struct replay *r)
{
	return &r->corrections;
}

void replay_numbers(const struct replay *r, struct replay_numbers *ret)
{
	*ret = r->numbers;
}
