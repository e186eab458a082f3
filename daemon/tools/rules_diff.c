// SPDX-License-Identifier: Apache-2.0
// meterctl rules diff: one row for each thing that the files would change, with whom it concerns; for each alert that would be due at once;
// and for each reason why they may not follow.
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "closing/closing.h"
#include "rules/change.h"
#include "tools/rules_effect.h"
#include "tools/rules_tool.h"

static const struct output_column columns[] = {
	{ "what", OUTPUT_TEXT },      { "service", OUTPUT_TEXT }, { "from", OUTPUT_TEXT },     { "until", OUTPUT_TEXT },
	{ "effective", OUTPUT_TEXT }, { "before", OUTPUT_TEXT },  { "after", OUTPUT_TEXT },    { "accounts", OUTPUT_NUMBER },
	{ "calls", OUTPUT_NUMBER },   { "sample", OUTPUT_TEXT },  { "by_contract", OUTPUT_NUMBER }, { "contracts", OUTPUT_TEXT } };

struct diff {
	struct rules_tool *tool;
	struct accounts_feed *feed;
	struct usage_counters counters;
	struct rules_differences differences;
	struct effect_alerts alerts;
	struct faults refused;
	struct effect_scope scope;
	int64_t effective_ms; // what an event is, at the earliest
	struct output *out;
};

static void diff_free(struct diff *d)
{
	accounts_feed_freep(&d->feed);
	usage_counters_free(&d->counters);
	rules_differences_free(&d->differences);
	effect_alerts_free(&d->alerts);
	faults_free(&d->refused);
	output_freep(&d->out);
}

static bool since(void *ctx, const char *account, int month, int *ret)
{
	struct diff *d = ctx;
	struct state *s = &d->tool->state;
	struct span name = span_of(account);
	struct error e = { 0 };
	if (s->store->ops->active_since(s->store, store_shard(name, s->shards), &name, 1, month, ret, &e) == ERROR_NONE)
		return true;
	options_fail(&d->tool->options, &e);
	return false;
}

static bool gave(void *ctx, const char *account, struct arena *arena, struct balance *ret)
{
	struct diff *d = ctx;
	struct state *s = &d->tool->state;
	struct span name = span_of(account), text = { NULL, 0 };
	struct error e = { 0 };
	if (s->store->ops->packs_get(s->store, store_shard(name, s->shards), &name, 1, arena, &text, &e) == ERROR_NONE) {
		if (balance_parse(text, arena, ret))
			return true;
		error_set(&e, ERROR_HALT, 0, "what packs of account %s gave cannot be read; look for what else writes to this Redis", account);
	}
	options_fail(&d->tool->options, &e);
	return false;
}

static int gather(struct diff *d)
{
	struct rules_tool *t = d->tool;
	struct error e = { 0 };
	int64_t clock_ms = TIME_NONE;
	int code = state_counters(&t->state, MONTH_NONE, NULL, &d->counters);
	if (code == OPTIONS_GO_ON)
		code = rules_tool_clock(t, &clock_ms);
	if (code != OPTIONS_GO_ON)
		return code;
	d->effective_ms = closing_effective_ms(t->state.journal, clock_ms, clock_wall_ms());
	d->feed = accounts_feed_new();
	if (accounts_feed_refresh(d->feed, &sink_port_kafka, &t->state.kafka, RULES_TIMEOUT_MS, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	d->scope = (struct effect_scope){ rules_tool_newest(t)->rules->catalog, t->rules->catalog, accounts_feed_book(d->feed), &d->counters,
					  rules_tool_settled(t), since, gave, d };
	return OPTIONS_GO_ON;
}

static void cells_null(struct output *out, int n)
{
	for (int i = 0; i < n; i++)
		output_cell(out, NULL);
}

static const char *text_or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void print_difference(struct diff *d, const struct rules_difference *x)
{
	char month[MONTH_TEXT], at[TIME_TEXT];
	struct effect who;
	output_cell(d->out, x->what);
	output_cell(d->out, x->service);
	output_cell(d->out, x->month != MONTH_NONE ? month_text(x->month, month) : NULL);
	output_cell(d->out, x->until != MONTH_NONE ? month_text(x->until, month) : NULL);
	output_cell(d->out, x->aspect == RULES_EVENT ? time_text(d->effective_ms, at) : NULL);
	output_cell(d->out, x->before);
	output_cell(d->out, x->after);
	if (x->month == MONTH_NONE) {
		cells_null(d->out, 5);
		return;
	}
	effect_of(&d->scope, x, &who);
	output_int(d->out, who.touched.n);
	output_int(d->out, who.calls);
	output_cell(d->out, text_or_null(who.touched.text));
	output_int(d->out, who.by_contract.n);
	output_cell(d->out, text_or_null(who.by_contract.text));
}

static void print_alert(struct diff *d, const struct effect_alert *x)
{
	char month[MONTH_TEXT], at[TIME_TEXT];
	CLEANUP(freep) char *what = xasprintf("%s at %lld%s%s", alert_kind_text(x->kind), (long long)x->bound, x->pack != NULL ? " of pack " : "",
					      x->pack != NULL ? x->pack : "");
	output_cell(d->out, "alert due");
	output_cell(d->out, x->service);
	output_cell(d->out, month_text(x->month, month));
	output_cell(d->out, NULL);
	output_cell(d->out, time_text(d->effective_ms, at));
	output_cell(d->out, NULL);
	output_cell(d->out, what);
	output_int(d->out, x->accounts.n);
	output_cell(d->out, NULL);
	output_cell(d->out, text_or_null(x->accounts.text));
	cells_null(d->out, 2);
}

static void print_refused(struct diff *d, const struct fault *f)
{
	output_cell(d->out, "refused");
	cells_null(d->out, 5);
	output_cell(d->out, f->text);
	cells_null(d->out, 5);
}

static void say_when(const struct diff *d)
{
	char at[TIME_TEXT], local[TIME_TEXT];
	const struct catalog *c = d->scope.to;
	if (d->differences.n == 0)
		fprintf(stderr, "meterctl rules: nothing but the text of the price book differs (comments, layout)\n");
	else if (d->refused.n == 0)
		fprintf(stderr, "meterctl rules: applied now, what an event is and which alerts are due changes at record clock %s (%s) at the earliest; "
			"prices and free calls change by month\n", time_text(d->effective_ms, at), time_local_text(catalog_zone(c), d->effective_ms, local));
}

// In a table the reasons would make every line as long as they are: there the words on stderr have them.
static bool print_all(struct diff *d)
{
	enum output_format format = d->tool->options.format;
	d->out = output_begin(stdout, format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < d->differences.n; i++)
		print_difference(d, &d->differences.list[i]);
	for (uint32_t i = 0; i < d->alerts.n; i++)
		print_alert(d, &d->alerts.list[i]);
	for (size_t i = 0; i < d->refused.n && format != OUTPUT_TABLE; i++)
		print_refused(d, &d->refused.list[i]);
	return output_end(&d->out);
}

int rules_diff(struct rules_tool *t)
{
	CLEANUP(diff_free) struct diff d = { .tool = t };
	const struct rules *newest = rules_tool_newest(t)->rules;
	int settled = rules_tool_settled(t), code = gather(&d);
	if (code != OPTIONS_GO_ON)
		return code;
	bool same = strcmp(newest->sha256, t->rules->sha256) == 0, may = rules_may_follow(newest, t->rules, settled, &d.refused);
	rules_differ(newest, t->rules, settled != MONTH_NONE ? settled + 1 : MONTH_FIRST, &d.differences);
	if (may && !same && !effect_alerts(&d.scope, &d.alerts))
		return EXIT_UNREACHABLE;
	if (!print_all(&d))
		return EXIT_LATER;
	if (!same)
		say_when(&d);
	rules_tool_refused(t, &d.refused);
	return !may ? EXIT_CONFIG_ERR : same ? EXIT_DONE : EXIT_FOUND;
}
