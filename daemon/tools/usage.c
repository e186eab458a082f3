// SPDX-License-Identifier: Apache-2.0
// meterctl usage: a month so far, as its owner would ask: calls, what is left for free, the tier, how far the next one is, the bill.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "rating/rating.h"
#include "tools/state.h"
#include "tools/tools.h"

static const struct output_column columns[] = {
	{ "account", OUTPUT_TEXT },    { "service", OUTPUT_TEXT }, { "period", OUTPUT_TEXT },     { "calls", OUTPUT_NUMBER },
	{ "late", OUTPUT_NUMBER },     { "free_left", OUTPUT_NUMBER }, { "tier", OUTPUT_NUMBER }, { "to_next_tier", OUTPUT_NUMBER },
	{ "unit_price", OUTPUT_AMOUNT }, { "per", OUTPUT_NUMBER }, { "charge", OUTPUT_AMOUNT },   { "currency", OUTPUT_TEXT } };

static void cells_null(struct output *out, int n)
{
	for (int i = 0; i < n; i++)
		output_cell(out, NULL);
}

// Calls until the counter reaches the next tier, by the ladder that raises the alert; -1: none above.
static int64_t to_next_tier(const struct plan *plan, int64_t quota, int64_t calls)
{
	int64_t left = -1;
	struct ladder *ladder = ladder_of_plan(plan, quota, plan->warn_micro);
	for (uint32_t i = ladder_next(ladder, calls); i < ladder->n && left < 0; i++)
		if (ladder->rungs[i].kind == ALERT_TIER_CROSSED)
			left = ladder->rungs[i].at - calls;
	ladder_freep(&ladder);
	return left;
}

// The quota that holds: none in the month of activation where the plan says "next".
static int quota_of(struct state *s, const struct state_counter *c, const struct plan *plan, int64_t *ret)
{
	struct error e = { 0 };
	struct span account = span_of(c->account);
	int since = MONTH_NONE;
	*ret = plan->quota;
	if (plan->first_month != FIRST_MONTH_NEXT)
		return OPTIONS_GO_ON;
	if (s->store->ops->active_since(s->store, store_shard(account, s->shards), &account, 1, c->month, &since, &e) != ERROR_NONE)
		return options_fail(s->options, &e);
	if (since == c->month)
		*ret = 0;
	return OPTIONS_GO_ON;
}

static int print_bill(struct state *s, struct output *out, const struct state_counter *c, const struct plan *plan)
{
	static struct rating_slice slices[RATING_MAX_SLICES];
	char price[MONEY_TEXT], charge[MONEY_TEXT];
	struct bill bill;
	int64_t quota;
	int code = quota_of(s, c, plan, &quota);
	if (code != OPTIONS_GO_ON)
		return code;
	if (!rating_bill(plan, quota, c->calls, NULL, 0, catalog_rounding(s->rules->catalog), slices, &bill)) {
		fprintf(stderr, "meterctl usage: the bill of %s %s is too large for exact figures\n", c->account, c->service);
		return EXIT_DEFECT;
	}
	int64_t next = to_next_tier(plan, quota, c->calls);
	output_int(out, quota > c->calls ? quota - c->calls : 0);
	output_int(out, (int64_t)bill.tier + 1);
	if (next >= 0)
		output_int(out, next);
	else
		output_cell(out, NULL);
	output_cell(out, money_price_text(bill.unit_price_micro, price));
	output_int(out, plan->per);
	output_cell(out, money_fen_text(bill.charge_fen, charge));
	output_cell(out, catalog_currency(s->rules->catalog));
	return OPTIONS_GO_ON;
}

static int print_counter(struct state *s, struct output *out, const struct state_counter *c)
{
	char month[MONTH_TEXT];
	uint32_t service = 0;
	output_cell(out, c->account);
	output_cell(out, c->service);
	output_cell(out, month_text(c->month, month));
	output_int(out, c->calls);
	output_int(out, c->late);
	const struct plan *plan = NULL;
	if (catalog_find_id(s->rules->catalog, span_of(c->service), &service))
		plan = catalog_plan(s->rules->catalog, service, c->month);
	if (plan != NULL)
		return print_bill(s, out, c, plan);
	cells_null(out, 5); // a month at price 0
	output_cell(out, "0.00");
	output_cell(out, catalog_currency(s->rules->catalog));
	return OPTIONS_GO_ON;
}

static int newest_month(const struct state_counters *c)
{
	int month = MONTH_NONE;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->list[i].month > month)
			month = c->list[i].month;
	return month;
}

int tool_usage(int argc, char **argv)
{
	const char *period = NULL, *words[2] = { NULL, NULL };
	int month = MONTH_NONE;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(state_close) struct state s = { 0 };
	CLEANUP(state_counters_free) struct state_counters c = { 0 };
	const struct option_row rows[] = { { "period", OPTION_TEXT, &period, "YYYY-MM", "this month; otherwise the newest with calls" } };
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), words, 0, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	if (period != NULL && !month_parse(span_of(period), &month))
		return options_usage(&o, "--period %s is no month; write it as 2020-01", period);
	code = state_open(&s, &o);
	if (code == OPTIONS_GO_ON)
		code = state_counters(&s, month, words[0], &c);
	if (code != OPTIONS_GO_ON)
		return code;
	month = month == MONTH_NONE ? newest_month(&c) : month;
	struct output *out = output_begin(stdout, o.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < c.n && code == OPTIONS_GO_ON; i++)
		if (c.list[i].month == month && (words[1] == NULL || strcmp(words[1], c.list[i].service) == 0))
			code = print_counter(&s, out, &c.list[i]);
	if (code != OPTIONS_GO_ON) {
		output_freep(&out);
		return code;
	}
	return output_end(&out) ? EXIT_DONE : EXIT_DEFECT;
}
