// SPDX-License-Identifier: Apache-2.0
// meterctl usage: a month so far, as its owner would ask: calls, what is left for free and of packs, the tier, how far the next one is, the
// bill, and where the month will end at the present rate. A settled month as it was settled and adjusted.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/figure.h"
#include "tools/progress.h"
#include "tools/state.h"
#include "tools/terminal.h"
#include "tools/tools.h"
#include "usage/row.h"

enum { TIMEOUT_MS = 30000 };

static const struct output_column columns[] = {
#define USAGE_FIELD(id, kind, people, help) { #id, OUTPUT_##kind },
#include "tbl/usage.def"
#undef USAGE_FIELD
};
enum { COLUMNS_FOR_PEOPLE = 0
#define USAGE_FIELD(id, kind, people, help) +people
#include "tbl/usage.def"
#undef USAGE_FIELD
};

struct usage {
	struct usage_world world;
	struct output *out;
	bool words; // a table: what does not fit into it follows in words
	char *said; // those words
	size_t said_n;
	FILE *say;
};

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
		fprintf(u->say, "; free calls end: %s", usage_point_text(&l->forecast.free_end, at));
}

static void say_line(const struct usage *u, const struct usage_counter *c, const struct usage_month *m, uint32_t service, const struct usage_line *l)
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
		fprintf(u->say, "; tier %u: %s", l->forecast.tier + 1, usage_point_text(&l->forecast.next_tier, at));
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
			fprintf(u->say, "; ends: %s", usage_point_text(&p->end, at));
		fputc('\n', u->say);
	}
}

// ---- lines

static enum error_class print_counter(struct usage *u, const struct usage_counter *c, struct usage_month *m, struct error *e)
{
	struct usage_row row;
	enum error_class cls = usage_row_make(&u->world, m, c, &row, e);
	if (cls != ERROR_NONE)
		return cls;
	for (int i = 0; i < (u->words ? COLUMNS_FOR_PEOPLE : USAGE_FIELDS); i++)
		output_cell(u->out, row.text[i]);
	if (u->words && row.line.priced)
		say_line(u, c, m, row.service, &row.line);
	return ERROR_NONE;
}

static enum error_class print_account(struct usage *u, const struct usage_counter *list, uint32_t n, const char *service, struct error *e)
{
	struct usage_month m;
	bool some = false;
	arena_reset(&u->world.arena);
	for (uint32_t i = 0; i < n; i++)
		some = some || (list[i].month == u->world.month && (service == NULL || strcmp(service, list[i].service) == 0));
	enum error_class cls = some ? usage_month_make(&u->world, list, n, &m, e) : ERROR_NONE;
	for (uint32_t i = 0; i < n && some && cls == ERROR_NONE; i++)
		if (list[i].month == u->world.month && (service == NULL || strcmp(service, list[i].service) == 0))
			cls = print_counter(u, &list[i], &m, e);
	if (some && cls == ERROR_NONE && u->words)
		say_packs(u, list[0].account, &m);
	return cls;
}

// Sorted by account.
static enum error_class print_all(struct usage *u, const struct usage_counters *c, const char *service, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	CLEANUP(progress_end) struct progress p;
	progress_begin(&p, "usage", "counters worked out");
	for (uint32_t i = 0, n; i < c->n && cls == ERROR_NONE; i += n) {
		for (n = 1; i + n < c->n && strcmp(c->list[i].account, c->list[i + n].account) == 0; n++)
			;
		cls = print_account(u, &c->list[i], n, service, e);
		if (u->words || !terminal_is(stdout)) // rows that come meanwhile are progress enough
			progress_show(&p, i + n, c->n);
	}
	return cls;
}

// ---- what is the same for all

static int show(struct usage *u, const struct usage_counters *c, const char *service, const struct options *o)
{
	char at[TIME_TEXT], month[MONTH_TEXT];
	u->words = o->format == OUTPUT_TABLE;
	u->say = xmemstream(&u->said, &u->said_n);
	u->out = output_begin(stdout, o->format, OUTPUT_MANY, columns, u->words ? COLUMNS_FOR_PEOPLE : (int)ARRAY_LEN(columns));
	struct error e = { 0 };
	enum error_class cls = print_all(u, c, service, &e);
	xmemstream_close(u->say);
	CLEANUP(freep) char *said = u->said;
	if (cls != ERROR_NONE) {
		output_freep(&u->out);
		return options_fail(o, &e);
	}
	if (!output_end(&u->out))
		return EXIT_DEFECT;
	if (u->said_n > 0 && !u->world.closed && u->world.clock_ms != TIME_NONE)
		printf("\nAt the rate of %s up to %s:\n%s", month_text(u->world.month, month), time_text(u->world.clock_ms, at), said);
	else if (u->said_n > 0)
		printf("\n%s", said);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_DEFECT;
}

// A service that no version of the rules knows would show nothing, as one without calls does.
static int check_service(const struct options *o, const struct journal *j, const char *service)
{
	size_t n = 0;
	for (uint32_t i = 0; i < j->n_rules; i++)
		n += catalog_services(j->rules[i].rules->catalog);
	CLEANUP(freep) const char **known = xcalloc(n + 1, sizeof(*known));
	n = 0;
	for (uint32_t i = j->n_rules; i-- > 0;) // the newest first
		for (uint32_t s = 0; s < catalog_services(j->rules[i].rules->catalog); s++) {
			const char *id = catalog_service_id(j->rules[i].rules->catalog, s);
			size_t at = 0;
			while (at < n && strcmp(known[at], id) != 0)
				at++;
			known[at] = id;
			n += at == n;
		}
	return options_word(o, "service", service, known);
}

int tool_usage(int argc, char **argv)
{
	const char *period = NULL, *words[2] = { NULL, NULL };
	int month = MONTH_NONE;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(state_close) struct state s = { 0 };
	CLEANUP(usage_counters_free) struct usage_counters c = { 0 };
	CLEANUP(accounts_feed_freep) struct accounts_feed *feed = accounts_feed_new();
	struct error e = { 0 };
	const struct option_row rows[] = { { "period", OPTION_TEXT, &period, "YYYY-MM", "this month; otherwise the newest with calls" } };
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), words, 0, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	if (period != NULL && !month_parse(span_of(period), &month))
		return options_usage(&o, "--period %s is no month; write it as 2020-01", period);
	code = state_open(&s, &o);
	if (code == OPTIONS_GO_ON && words[1] != NULL)
		code = check_service(&o, s.journal, words[1]);
	if (code == OPTIONS_GO_ON && accounts_feed_refresh(feed, &sink_port_kafka, &s.kafka, TIMEOUT_MS, &e) != ERROR_NONE)
		code = options_fail(&o, &e);
	if (code == OPTIONS_GO_ON)
		code = state_counters(&s, usage_asks_all_months(accounts_feed_book(feed)) ? MONTH_NONE : month, words[0], &c);
	if (code != OPTIONS_GO_ON)
		return code;
	struct usage u = { .world = { .store = s.store, .shards = s.shards, .journal = s.journal, .book = accounts_feed_book(feed), .clock_ms = TIME_NONE } };
	month = month == MONTH_NONE ? usage_newest_month(&c) : month;
	if (month != MONTH_NONE && usage_world_begin(&u.world, month, &e) != ERROR_NONE)
		code = options_fail(&o, &e);
	if (code == OPTIONS_GO_ON)
		code = show(&u, &c, words[1], &o);
	usage_world_end(&u.world);
	return code;
}
