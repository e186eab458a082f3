// SPDX-License-Identifier: Apache-2.0
// meterctl counters: every counter, in one order, so that two equal states print the same bytes.
#include "base/check.h"
#include "tools/state.h"
#include "tools/tools.h"

int tool_counters(int argc, char **argv)
{
	static const struct output_column columns[] = { { "account", OUTPUT_TEXT }, { "service", OUTPUT_TEXT }, { "period", OUTPUT_TEXT },
							{ "calls", OUTPUT_NUMBER }, { "late", OUTPUT_NUMBER } };
	const char *period = NULL;
	int64_t generation = 0;
	int month = MONTH_NONE;
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(state_close) struct state s = { 0 };
	CLEANUP(usage_counters_free) struct usage_counters c = { 0 };
	const struct option_row rows[] = { { "period", OPTION_TEXT, &period, "YYYY-MM", "only this month" },
					   { "generation", OPTION_INT, &generation, "G", "of this generation, not of the one in force" } };
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), NULL, 0, 0);
	if (code != OPTIONS_GO_ON)
		return code;
	if (period != NULL && !month_parse(span_of(period), &month))
		return options_usage(&o, "--period %s is no month; write it as 2020-01", period);
	code = state_open(&s, &o);
	if (code == OPTIONS_GO_ON && generation != 0)
		s.store->ops->identity(s.store, s.journal->init_id, generation);
	if (code == OPTIONS_GO_ON)
		code = state_counters(&s, month, NULL, &c);
	if (code != OPTIONS_GO_ON)
		return code;
	struct output *out = output_begin(stdout, o.format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < c.n; i++) {
		char text[MONTH_TEXT];
		output_cell(out, c.list[i].account);
		output_cell(out, c.list[i].service);
		output_cell(out, month_text(c.list[i].month, text));
		output_int(out, c.list[i].calls);
		output_int(out, c.list[i].late);
	}
	return output_end(&out) ? EXIT_DONE : EXIT_DEFECT;
}
