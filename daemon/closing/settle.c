// SPDX-License-Identifier: Apache-2.0
// One shard's month, account by account. What is kept here between steps is only a reading of the shard: the store refuses a line
// that does not fit what it holds, passes over accounts that are settled, and all of it can be made again from the start.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"

enum { ACCOUNTS_A_STEP = 100 };

void settling_freep(struct settling **at)
{
	struct settling *w = *at;
	if (w == NULL)
		return;
	holdings_free(&w->held);
	arena_free(&w->arena);
	free(w);
	*at = NULL;
}

enum relay_status settling_begin(const struct closer_options *o, const struct rules *rules, const struct journal_manifest *m, bool follows,
				 uint32_t shard, struct settling **ret, struct error *e)
{
	CLEANUP(freep) struct span *parts = xcalloc(m->n_cuts + 1, sizeof(*parts));
	for (uint32_t i = 0; i < m->n_cuts; i++)
		parts[i] = span_of(m->cuts[i].name);
	enum error_class c = o->store->ops->close_month(o->store, shard, m->month, rules_close_ms(rules, m->month), m->sha256, follows, parts,
							     m->n_cuts, e);
	if (c != ERROR_NONE)
		return closing_status(c);
	CLEANUP(settling_freep) struct settling *w = xcalloc(1, sizeof(*w));
	w->month = m->month;
	w->shard = shard;
	c = gather_holdings(o->store, shard, m->month, rules->catalog, &w->held, e);
	if (c != ERROR_NONE)
		return closing_status(c);
	*ret = TAKE_PTR(w);
	return RELAY_DONE;
}

struct account_month {
	size_t first, n; // of the holdings
	bool asks;       // for the month of activation
	bool activation; // this month is it
};

static uint32_t next_accounts(const struct settling *w, const struct statement_frame *f, struct account_month list[ACCOUNTS_A_STEP])
{
	uint32_t n = 0;
	for (size_t i = w->next; i < w->held.n && n < ACCOUNTS_A_STEP; n++) {
		size_t first = i;
		while (i < w->held.n && span_eq(w->held.list[i].account, w->held.list[first].account))
			i++;
		list[n] = (struct account_month){ .first = first, .n = i - first,
			.asks = statement_asks_activation(f, &w->held.list[first], i - first) };
	}
	return n;
}

static enum error_class ask_activations(struct store *s, const struct settling *w, struct account_month *list, uint32_t n, struct error *e)
{
	struct span names[ACCOUNTS_A_STEP];
	struct account_month *of[ACCOUNTS_A_STEP];
	int since[ACCOUNTS_A_STEP];
	uint32_t asked = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!list[i].asks)
			continue;
		names[asked] = w->held.list[list[i].first].account;
		of[asked++] = &list[i];
	}
	if (asked == 0)
		return ERROR_NONE;
	enum error_class c = s->ops->active_since(s, w->shard, names, asked, w->month, since, e);
	for (uint32_t i = 0; c == ERROR_NONE && i < asked; i++)
		of[i]->activation = since[i] == w->month;
	return c;
}

static enum error_class settle_accounts(const struct closer_options *o, const struct statement_frame *f, struct settling *w,
					struct account_month *list, uint32_t n, struct error *e)
{
	struct store_statement statements[ACCOUNTS_A_STEP];
	uint32_t due = 0;
	enum error_class c = ask_activations(o->store, w, list, n, e);
	arena_reset(&w->arena);
	for (uint32_t i = 0; i < n && c == ERROR_NONE; i++) {
		c = statement_make(f, &w->held.list[list[i].first], list[i].n, list[i].activation, &w->arena, &statements[due], e);
		due += c == ERROR_NONE && statements[due].n_lines > 0;
	}
	if (c == ERROR_NONE && due > 0)
		c = o->store->ops->settle(o->store, w->shard, w->month, statements, due, e);
	if (c != ERROR_NONE)
		return c;
	w->statements += due;
	for (uint32_t i = 0; i < due; i++)
		w->lines += statements[i].n_lines;
	w->next = list[n - 1].first + list[n - 1].n;
	return ERROR_NONE;
}

enum relay_status settling_step(const struct closer_options *o, const struct rules *rules, const struct journal_manifest *m,
				struct settling *w, bool *ret_done, bool *ret_full, struct error *e)
{
	check(w->month == m->month);
	int64_t waiting = 0;
	struct account_month list[ACCOUNTS_A_STEP];
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct statement_frame f = { o->source, rules, m, slices };
	*ret_done = w->next == w->held.n;
	*ret_full = false;
	if (*ret_done)
		return RELAY_DONE;
	enum error_class c = o->store->ops->outbox_length(o->store, w->shard, &waiting, e);
	if (c != ERROR_NONE)
		return closing_status(c);
	*ret_full = waiting > o->outbox_most;
	if (*ret_full)
		return RELAY_DONE;
	uint32_t n = next_accounts(w, &f, list);
	c = settle_accounts(o, &f, w, list, n, e);
	*ret_done = c == ERROR_NONE && w->next == w->held.n;
	return closing_status(c);
}
