// SPDX-License-Identifier: Apache-2.0
// meterctl audit: the conservation ledger. Per partition, consumed = counted + duplicate + late + rejected + not billable + control.
// The shards' ledgers only add up where all shards stand at one offset, so they are looked at until they do.
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "pipeline/ledger.h"
#include "tools/progress.h"
#include "tools/state.h"
#include "tools/tools.h"

enum { TRIES = 50, PAUSE_MS = 100 };

static int audit_print(const struct ledger *a, enum output_format format)
{
	static const struct output_column columns[] = {
		{ "topic", OUTPUT_TEXT },	{ "partition", OUTPUT_NUMBER }, { "offset", OUTPUT_NUMBER },
		{ "consumed", OUTPUT_NUMBER },	{ "counted", OUTPUT_NUMBER },	{ "duplicate", OUTPUT_NUMBER },
		{ "late", OUTPUT_NUMBER },	{ "rejected", OUTPUT_NUMBER },	{ "not_billable", OUTPUT_NUMBER },
		{ "control", OUTPUT_NUMBER },	{ "difference", OUTPUT_NUMBER } };
	struct output *out = output_begin(stdout, format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	int code = EXIT_DONE;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct ledger_part *p = &a->parts[i];
		output_cell(out, p->part->topic);
		output_int(out, p->part->partition);
		output_int(out, p->next >= 0 ? p->next : p->part->offset);
		output_int(out, p->consumed);
		for (int k = 0; k < OUTCOME_COUNT; k++)
			output_int(out, p->outcomes[k]);
		if (p->next == LEDGER_UNEQUAL) {
			output_cell(out, NULL);
			code = code == EXIT_DONE ? EXIT_LATER : code;
		} else {
			output_int(out, ledger_difference(p));
			code = ledger_difference(p) != 0 ? EXIT_FOUND : code;
		}
	}
	if (!output_end(&out))
		return EXIT_DEFECT;
	return code;
}

int tool_audit(int argc, char **argv)
{
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(state_close) struct state s = { 0 };
	int code = options_parse(&o, argc, argv, NULL, 0, NULL, 0, 0);
	if (code == OPTIONS_GO_ON)
		code = state_open(&s, &o);
	if (code != OPTIONS_GO_ON)
		return code;
	struct error e = { 0 };
	CLEANUP(ledger_free) struct ledger l = { 0 };
	enum error_class cls = ledger_look(s.store, s.shards, s.journal, &l, &e);
	CLEANUP(progress_end) struct progress p;
	progress_begin(&p, o.verb, "looks until all shards stand at one offset");
	for (int i = 0; i < TRIES && cls == ERROR_NONE && !ledger_equal(&l); i++) {
		progress_show(&p, (uint64_t)i + 1, TRIES);
		clock_sleep_ms(PAUSE_MS);
		cls = ledger_look(s.store, s.shards, s.journal, &l, &e);
	}
	progress_end(&p);
	code = cls != ERROR_NONE ? options_fail(&o, &e) : audit_print(&l, o.format);
	if (code == EXIT_LATER)
		fprintf(stderr, "meterctl audit: the shards did not stand at one offset while we looked; ask again when traffic is lower\n");
	return code;
}
