// SPDX-License-Identifier: Apache-2.0
#include "tools/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "pipeline/checks.h"
#include "tools/progress.h"

enum { TIMEOUT_MS = 10000 };

static int open_journal(struct state *s)
{
	struct error e = { 0 };
	if (journal_load(&s->kafka, TIMEOUT_MS, &s->journal, &e) != ERROR_NONE || journal_begun(s->journal, &s->kafka, &e) != ERROR_NONE)
		return options_fail(s->options, &e);
	s->rules = s->journal->rules[s->journal->n_rules - 1].rules;
	s->shards = s->journal->shards;
	return OPTIONS_GO_ON;
}

static int open_all(struct state *s, struct options *o)
{
	*s = (struct state){ .options = o };
	int code = options_settings(o);
	if (code == OPTIONS_GO_ON) {
		options_kafka(o, &s->kafka);
		code = options_store(o, &s->store);
	}
	if (code == OPTIONS_GO_ON)
		code = open_journal(s);
	if (code == OPTIONS_GO_ON)
		s->store->ops->identity(s->store, s->journal->init_id, s->journal->generation);
	return code;
}

int state_open(struct state *s, struct options *o)
{
	struct error e = { 0 };
	int code = open_all(s, o);
	for (uint32_t shard = 0; code == OPTIONS_GO_ON && shard < s->shards; shard++)
		if (checks_shard(s->store, s->journal, shard, &e) != ERROR_NONE)
			code = options_fail(o, &e); // an empty ledger is balanced: it must not look like one
	return code;
}

void state_close(struct state *s)
{
	if (s->store != NULL)
		s->store->ops->close(s->store);
	journal_freep(&s->journal);
}

struct gather {
	struct usage_counters *to;
	const char *account; // NULL: all
	int month;
	bool late, good;
};

static bool gather_field(void *ctx, struct span field, struct span value)
{
	struct gather *g = ctx;
	struct span account, service;
	int64_t n;
	g->good = span_cut(field, '/', &account, &service) && span_int64(value, &n);
	if (!g->good)
		return false;
	if (g->account != NULL && !span_is(account, g->account))
		return true;
	struct usage_counters *c = g->to;
	if (c->n == c->size) {
		c->size = c->size * 2 + 256;
		c->list = xrealloc(c->list, c->size, sizeof(*c->list));
	}
	c->list[c->n++] = (struct usage_counter){ .account = xstrndup(account.p, account.n),
						  .service = xstrndup(service.p, service.n),
						  .month = g->month,
						  .calls = g->late ? 0 : n,
						  .late = g->late ? n : 0 };
	return true;
}

// A scan may give a field twice: the same number again. Late buckets of one counter add up, so each is made unique by itself.
static void drop_twins(struct usage_counters *c, uint32_t from)
{
	qsort(c->list + from, c->n - from, sizeof(*c->list), usage_counter_order);
	uint32_t n = from;
	for (uint32_t i = from; i < c->n; i++) {
		if (n > from && usage_counter_order(&c->list[n - 1], &c->list[i]) == 0) {
			free(c->list[i].account);
			free(c->list[i].service);
			continue;
		}
		c->list[n++] = c->list[i];
	}
	c->n = n;
}

static enum error_class gather_shard(struct state *s, uint32_t shard, int month, struct gather *g, struct error *e)
{
	struct store_months months = { 0 };
	enum error_class cls = s->store->ops->months(s->store, shard, &months, e);
	for (uint32_t i = 0; cls == ERROR_NONE && i < months.n; i++) {
		const struct store_month *m = &months.list[i];
		if (month != MONTH_NONE && m->month != month)
			continue;
		uint32_t from = g->to->n;
		g->month = m->month;
		g->late = m->adjust_month != MONTH_NONE;
		g->good = true;
		cls = s->store->ops->scan_counters(s->store, shard, m->month, m->adjust_month, gather_field, g, e);
		if (cls == ERROR_NONE && !g->good)
			cls = error_set(e, ERROR_HALT, 0, "a counter of shard %u cannot be read", shard);
		if (g->to->n > from)
			drop_twins(g->to, from);
	}
	store_months_free(&months);
	return cls;
}

int state_counters(struct state *s, int month, const char *account, struct usage_counters *ret)
{
	struct error e = { 0 };
	struct gather g = { .to = ret, .account = account };
	uint32_t only = account != NULL ? store_shard(span_of(account), s->shards) : 0;
	enum error_class cls = ERROR_NONE;
	CLEANUP(progress_end) struct progress p;
	progress_begin(&p, s->options->verb, "shards read");
	for (uint32_t shard = 0; cls == ERROR_NONE && shard < s->shards; shard++) {
		if (account == NULL || shard == only)
			cls = gather_shard(s, shard, month, &g, &e);
		progress_show(&p, shard + 1, s->shards);
	}
	usage_counters_add_up(ret);
	return cls == ERROR_NONE ? OPTIONS_GO_ON : options_fail(s->options, &e);
}
