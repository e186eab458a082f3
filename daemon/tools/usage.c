// SPDX-License-Identifier: Apache-2.0
// meterctl usage: a month so far, as its owner would ask: calls, what is left for free and of packs, the tier, how far the next one is, the
// bill, and where the month will end at the present rate. A settled month as it was settled and adjusted.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "closing/closing.h"
#include "tools/figure.h"
#include "tools/tools.h"
#include "tools/usage_month.h"

enum { TIMEOUT_MS = 30000 };

static const struct output_column columns[] = {
	{ "account", OUTPUT_TEXT },    { "service", OUTPUT_TEXT }, { "period", OUTPUT_TEXT },     { "calls", OUTPUT_NUMBER },
	{ "late", OUTPUT_NUMBER },     { "free_left", OUTPUT_NUMBER }, { "tier", OUTPUT_NUMBER }, { "to_next_tier", OUTPUT_NUMBER },
	{ "unit_price", OUTPUT_AMOUNT }, { "per", OUTPUT_NUMBER }, { "charge", OUTPUT_AMOUNT },   { "currency", OUTPUT_TEXT },
	// only for programs; a person gets them in words
	{ "free", OUTPUT_NUMBER },     { "packs", OUTPUT_RAW },    { "billable", OUTPUT_NUMBER }, { "shared", OUTPUT_TEXT },
	{ "contract", OUTPUT_TEXT },   { "revision", OUTPUT_NUMBER }, { "adjusted", OUTPUT_AMOUNT }, { "clock", OUTPUT_TEXT },
	{ "free_ends", OUTPUT_TEXT },  { "next_tier", OUTPUT_TEXT }, { "month_calls", OUTPUT_NUMBER }, { "month_charge", OUTPUT_AMOUNT } };
enum { COLUMNS_FOR_PEOPLE = 12 };

struct usage {
	struct usage_world world;
	struct output *out;
	bool words;                  // a table: what does not fit into it follows in words
	char *said;                  // those words
	size_t said_n;
	FILE *say;
	struct rating_slice *slices; // two bills
};

static void cells_null(struct output *out, int n)
{
	for (int i = 0; i < n; i++)
		output_cell(out, NULL);
}

static void cell_count(struct output *out, int64_t v)
{
	if (v >= 0)
		output_int(out, v);
	else
		output_cell(out, NULL);
}

// An instant, or what stands in its place; NULL: there is nothing to reach.
static const char *point_text(const struct forecast_point *p, char buf[TIME_TEXT])
{
	switch (p->when) {
	case FORECAST_AT:
		return time_text(p->at_ms, buf);
	case FORECAST_REACHED:
		return "reached";
	case FORECAST_NOT:
		return "not at this rate";
	case FORECAST_NONE:
		break;
	}
	return NULL;
}

// ---- for programs

// What each pack gave this service in the month, and what is left of it for all.
static char *packs_json(const struct usage_month *m, uint32_t service)
{
	const struct terms_service *t = &m->terms->services[service];
	const struct settled_line *s = &m->settled[service];
	char *text = NULL, at[TIME_TEXT];
	size_t n = 0;
	FILE *f = xmemstream(&text, &n);
	fputc('[', f);
	for (uint32_t i = 0; i < t->n_packs; i++) {
		const struct usage_pack *p = &m->packs[t->packs[i]];
		int64_t gave = m->any_settled ? 0 : m->taking.services[service].pack_calls[i];
		for (uint32_t k = 0; k < s->n_packs && s->revision >= 0; k++)
			gave = span_eq(s->packs[k].id, p->pack->id) ? s->packs[k].calls : gave;
		fprintf(f, "%s{\"id\":\"%.*s\",\"calls\":%" PRId64 ",\"left\":", i > 0 ? "," : "", (int)p->pack->id.n, p->pack->id.p, gave);
		if (p->left >= 0)
			fprintf(f, "%" PRId64, p->left);
		else
			fputs("null", f);
		if (p->has_forecast)
			fprintf(f, ",\"ends\":\"%s\"", point_text(&p->end, at));
		fputc('}', f);
	}
	fputc(']', f);
	xmemstream_close(f);
	return text;
}

static void print_rest(const struct usage *u, const struct usage_month *m, uint32_t service, const struct usage_line *l)
{
	const struct terms_service *t = &m->terms->services[service];
	CLEANUP(freep) char *packs = packs_json(m, service);
	CLEANUP(freep) char *contract = t->contract.n > 0 ? xstrndup(t->contract.p, t->contract.n) : NULL;
	char text[MONEY_TEXT], at[TIME_TEXT];
	output_int(u->out, l->free);
	output_cell(u->out, packs);
	output_int(u->out, l->billable);
	output_cell(u->out, t->shared >= 0 ? m->terms->shared[t->shared].id : NULL);
	output_cell(u->out, contract);
	cell_count(u->out, l->revision);
	output_cell(u->out, l->settled ? money_fen_text(l->adjusted_fen, text) : NULL);
	if (!l->has_forecast) {
		cells_null(u->out, 5);
		return;
	}
	output_cell(u->out, time_text(u->world.clock_ms, at));
	output_cell(u->out, point_text(&l->forecast.free_end, at));
	output_cell(u->out, point_text(&l->forecast.next_tier, at));
	output_int(u->out, l->forecast.bill.calls);
	output_cell(u->out, money_fen_text(l->forecast.bill.charge_fen, text));
}

// ---- for people

static const char *grouped(int64_t v, char buf[FIGURE_TEXT])
{
	return figure_grouped(v, buf);
}

static void say_free(const struct usage *u, const struct usage_month *m, uint32_t service, const struct usage_line *l)
{
	const struct terms_service *t = &m->terms->services[service];
	char a[FIGURE_TEXT], at[TIME_TEXT];
	if (t->contract.n > 0)
		fprintf(u->say, "; contract %.*s", (int)t->contract.n, t->contract.p);
	if (t->shared >= 0)
		fprintf(u->say, "; shares free calls (%s): %s left", m->terms->shared[t->shared].id, grouped(l->free_left, a));
	if (l->has_forecast && l->forecast.free_end.when != FORECAST_NONE)
		fprintf(u->say, "; free calls end: %s", point_text(&l->forecast.free_end, at));
}

static void say_line(const struct usage *u, const struct state_counter *c, const struct usage_month *m, uint32_t service, const struct usage_line *l)
{
	const char *currency = catalog_currency(u->world.frame.rules->catalog);
	char text[MONEY_TEXT], more[MONEY_TEXT], at[TIME_TEXT], calls[FIGURE_TEXT];
	fprintf(u->say, "%s %s: ", c->account, c->service);
	if (l->settled) {
		fprintf(u->say, "settled");
		if (l->revision > 0)
			fprintf(u->say, ", adjusted %" PRId64 " time%s by %s together", l->revision, l->revision == 1 ? "" : "s", money_fen_text(l->adjusted_fen, text));
	} else if (l->has_forecast) {
		fprintf(u->say, "%s calls and %s %s at the month's end", grouped(l->forecast.bill.calls, calls),
			money_fen_text(l->forecast.bill.charge_fen, more), currency);
	} else {
		fprintf(u->say, "no forecast yet");
	}
	say_free(u, m, service, l);
	if (l->has_forecast && l->forecast.next_tier.when != FORECAST_NONE)
		fprintf(u->say, "; tier %u: %s", l->forecast.tier + 1, point_text(&l->forecast.next_tier, at));
	fputc('\n', u->say);
}

static void say_packs(const struct usage *u, const char *account, const struct usage_month *m)
{
	for (uint32_t i = 0; i < m->terms->n_packs; i++) {
		const struct usage_pack *p = &m->packs[i];
		char left[FIGURE_TEXT], calls[FIGURE_TEXT], at[TIME_TEXT];
		fprintf(u->say, "%s pack %.*s: %s of %s calls left", account, (int)p->pack->id.n, p->pack->id.p, p->left >= 0 ? grouped(p->left, left) : "?",
			grouped(p->pack->calls, calls));
		if (p->has_forecast)
			fprintf(u->say, "; ends: %s", point_text(&p->end, at));
		fputc('\n', u->say);
	}
}

// ---- lines

static int print_priced(struct usage *u, const struct state_counter *c, struct usage_month *m, uint32_t service)
{
	char price[MONEY_TEXT], charge[MONEY_TEXT];
	struct usage_line l;
	const struct plan *plan = m->terms->services[service].plan;
	if (!usage_line_make(&u->world, m, service, u->slices, &l)) {
		fprintf(stderr, "meterctl usage: the bill of %s %s is too large for exact figures\n", c->account, c->service);
		return EXIT_DEFECT;
	}
	output_int(u->out, l.free_left);
	output_int(u->out, (int64_t)l.bill.tier + 1);
	cell_count(u->out, l.to_next_tier);
	output_cell(u->out, money_price_text(l.bill.unit_price_micro, price));
	output_int(u->out, plan->per);
	output_cell(u->out, money_fen_text(l.bill.charge_fen, charge));
	output_cell(u->out, catalog_currency(u->world.frame.rules->catalog));
	if (u->words)
		say_line(u, c, m, service, &l);
	else
		print_rest(u, m, service, &l);
	return OPTIONS_GO_ON;
}

static int print_counter(struct usage *u, const struct state_counter *c, struct usage_month *m)
{
	char month[MONTH_TEXT];
	uint32_t service = 0;
	const struct catalog *book = u->world.frame.rules->catalog;
	output_cell(u->out, c->account);
	output_cell(u->out, c->service);
	output_cell(u->out, month_text(c->month, month));
	output_int(u->out, c->calls);
	output_int(u->out, c->late);
	if (catalog_find_id(book, span_of(c->service), &service) && m->terms->services[service].plan != NULL)
		return print_priced(u, c, m, service);
	cells_null(u->out, 5); // a month at price 0
	output_cell(u->out, "0.00");
	output_cell(u->out, catalog_currency(book));
	if (!u->words)
		cells_null(u->out, (int)ARRAY_LEN(columns) - COLUMNS_FOR_PEOPLE);
	return OPTIONS_GO_ON;
}

static int print_account(struct usage *u, const struct state_counter *list, uint32_t n, const char *service)
{
	struct usage_month m;
	bool some = false;
	arena_reset(&u->world.arena);
	for (uint32_t i = 0; i < n; i++)
		some = some || (list[i].month == u->world.month && (service == NULL || strcmp(service, list[i].service) == 0));
	int code = some ? usage_month_make(&u->world, list, n, &m) : OPTIONS_GO_ON;
	for (uint32_t i = 0; i < n && some && code == OPTIONS_GO_ON; i++)
		if (list[i].month == u->world.month && (service == NULL || strcmp(service, list[i].service) == 0))
			code = print_counter(u, &list[i], &m);
	if (some && code == OPTIONS_GO_ON && u->words)
		say_packs(u, list[0].account, &m);
	return code;
}

// Sorted by account.
static int print_all(struct usage *u, const struct state_counters *c, const char *service)
{
	int code = OPTIONS_GO_ON;
	for (uint32_t i = 0, n; i < c->n && code == OPTIONS_GO_ON; i += n) {
		for (n = 1; i + n < c->n && strcmp(c->list[i].account, c->list[i + n].account) == 0; n++)
			;
		code = print_account(u, &c->list[i], n, service);
	}
	return code;
}

// ---- what is the same for all

static int newest_month(const struct state_counters *c)
{
	int month = MONTH_NONE;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->list[i].month > month)
			month = c->list[i].month;
	return month;
}

// Packs are taken month by month: then the months before count too.
static bool some_packs(const struct account_book *book)
{
	for (uint32_t i = 0; i < account_book_size(book); i++) {
		const struct account *a = account_book_at(book, i);
		for (uint32_t t = 0; t < a->n_things; t++)
			if (a->things[t].n > 0 && a->things[t].facts[0]->kind == ACCOUNT_PACK)
				return true;
	}
	return false;
}

static int begin(struct usage_world *w, int month)
{
	struct error e = { 0 };
	char waits[256];
	struct state *s = w->state;
	const struct journal_manifest *m = journal_manifest(s->journal, month);
	w->month = month;
	w->closed = m != NULL;
	w->frame = (struct month_frame){ .month = month, .rules = s->rules };
	if (m != NULL)
		month_frame_make(s->journal, m, month, &w->kept, &w->frame);
	if (closing_waits(s->store, s->shards, s->journal, month, waits, &w->clock_ms, &e) != ERROR_NONE)
		return options_fail(s->options, &e);
	return OPTIONS_GO_ON;
}

static int show(struct usage *u, const struct state_counters *c, const char *service, enum output_format format)
{
	char at[TIME_TEXT], month[MONTH_TEXT];
	u->words = format == OUTPUT_TABLE;
	u->say = xmemstream(&u->said, &u->said_n);
	u->slices = xcalloc(2 * RATING_MAX_SLICES, sizeof(*u->slices));
	u->out = output_begin(stdout, format, OUTPUT_MANY, columns, u->words ? COLUMNS_FOR_PEOPLE : (int)ARRAY_LEN(columns));
	int code = print_all(u, c, service);
	xmemstream_close(u->say);
	free(u->slices);
	CLEANUP(freep) char *said = u->said;
	if (code != OPTIONS_GO_ON) {
		output_freep(&u->out);
		return code;
	}
	if (!output_end(&u->out))
		return EXIT_DEFECT;
	if (u->said_n > 0 && !u->world.closed && u->world.clock_ms != TIME_NONE)
		printf("\nAt the rate of %s up to %s:\n%s", month_text(u->world.month, month), time_text(u->world.clock_ms, at), said);
	else if (u->said_n > 0)
		printf("\n%s", said);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_DEFECT;
}

int tool_usage(int argc, char **argv)
{
	const char *period = NULL, *words[2] = { NULL, NULL };
	int month = MONTH_NONE;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(state_close) struct state s = { 0 };
	CLEANUP(state_counters_free) struct state_counters c = { 0 };
	CLEANUP(accounts_feed_freep) struct accounts_feed *feed = accounts_feed_new();
	struct error e = { 0 };
	const struct option_row rows[] = { { "period", OPTION_TEXT, &period, "YYYY-MM", "this month; otherwise the newest with calls" } };
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), words, 0, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	if (period != NULL && !month_parse(span_of(period), &month))
		return options_usage(&o, "--period %s is no month; write it as 2020-01", period);
	code = state_open(&s, &o);
	if (code == OPTIONS_GO_ON && accounts_feed_refresh(feed, &sink_port_kafka, &s.kafka, TIMEOUT_MS, &e) != ERROR_NONE)
		code = options_fail(&o, &e);
	if (code == OPTIONS_GO_ON)
		code = state_counters(&s, some_packs(accounts_feed_book(feed)) ? MONTH_NONE : month, words[0], &c);
	if (code != OPTIONS_GO_ON)
		return code;
	struct usage u = { .world = { .state = &s, .book = accounts_feed_book(feed), .clock_ms = TIME_NONE } };
	month = month == MONTH_NONE ? newest_month(&c) : month;
	if (month != MONTH_NONE)
		code = begin(&u.world, month);
	if (code == OPTIONS_GO_ON)
		code = show(&u, &c, words[1], o.format);
	arena_free(&u.world.arena);
	arena_free(&u.world.kept);
	return code;
}
