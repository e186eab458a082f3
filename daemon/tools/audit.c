// SPDX-License-Identifier: Apache-2.0
// meterctl audit: the conservation ledger. Per partition, consumed = counted + duplicate + late + rejected + not billable + control.
// The shards' ledgers only add up where all shards stand at one offset, so they are looked at until they do.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "tools/state.h"
#include "tools/tools.h"

enum { TRIES = 50, PAUSE_MS = 100 };

struct audit_part {
	const struct journal_part *part;
	int64_t next;                // common offset of all shards; -1 none yet, -2 they differ
	int64_t consumed, outcomes[OUTCOME_COUNT];
	bool uneven;                 // shards at one offset, but with different numbers of records consumed
};

struct audit {
	struct state *s;
	uint32_t n;
	struct audit_part *parts;
	uint32_t shard;
};

static struct audit_part *audit_find(struct audit *a, struct span name)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (span_is(name, a->parts[i].part->name))
			return &a->parts[i];
	return NULL;
}

static bool audit_field(void *ctx, struct span field, struct span value)
{
	struct audit *a = ctx;
	const char *slash = memrchr(field.p, '/', field.n);
	int64_t n = 0;
	if (slash == NULL || !span_int64(value, &n))
		return true;
	struct audit_part *p = audit_find(a, (struct span){ field.p, (size_t)(slash - field.p) });
	struct span word = { slash + 1, field.n - (size_t)(slash + 1 - field.p) };
	if (p == NULL)
		return true;
	if (span_is(word, "consumed")) {
		p->uneven = p->uneven || (a->shard > 0 && p->consumed != n);
		p->consumed = n;
	}
	for (int k = 0; k < OUTCOME_COUNT; k++)
		if (span_is(word, outcome_text((enum outcome)k)))
			p->outcomes[k] += n;
	return true;
}

static enum error_class audit_positions(struct audit *a, uint32_t shard, bool first, struct error *e)
{
	struct store_positions at = { 0 };
	enum error_class cls = a->s->store->ops->positions(a->s->store, shard, &at, e);
	for (uint32_t i = 0; cls == ERROR_NONE && i < at.n; i++) {
		struct audit_part *p = audit_find(a, span_of(at.list[i].name));
		if (p == NULL)
			continue;
		if (first && p->next == -1)
			p->next = at.list[i].at.next;
		else if (p->next != at.list[i].at.next)
			p->next = -2;
	}
	store_positions_free(&at);
	return cls;
}

// One look: positions, ledgers, positions again. Partitions that moved meanwhile have next == -2.
static enum error_class audit_look(struct audit *a, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	for (uint32_t i = 0; i < a->n; i++)
		a->parts[i] = (struct audit_part){ .part = a->parts[i].part, .next = -1 };
	for (uint32_t s = 0; s < a->s->shards && cls == ERROR_NONE; s++)
		cls = audit_positions(a, s, true, e);
	for (a->shard = 0; a->shard < a->s->shards && cls == ERROR_NONE; a->shard++)
		cls = a->s->store->ops->scan_ledger(a->s->store, a->shard, audit_field, a, e);
	for (uint32_t s = 0; s < a->s->shards && cls == ERROR_NONE; s++)
		cls = audit_positions(a, s, false, e);
	return cls;
}

static bool audit_equal(const struct audit *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->parts[i].next == -2)
			return false;
	return true;
}

static int64_t audit_difference(const struct audit_part *p)
{
	int64_t d = p->consumed;
	for (int k = 0; k < OUTCOME_COUNT; k++)
		d -= p->outcomes[k];
	return d == 0 && p->uneven ? 1 : d;
}

static int audit_print(const struct audit *a, enum output_format format)
{
	static const struct output_column columns[] = {
		{ "topic", OUTPUT_TEXT },	{ "partition", OUTPUT_NUMBER }, { "offset", OUTPUT_NUMBER },
		{ "consumed", OUTPUT_NUMBER },	{ "counted", OUTPUT_NUMBER },	{ "duplicate", OUTPUT_NUMBER },
		{ "late", OUTPUT_NUMBER },	{ "rejected", OUTPUT_NUMBER },	{ "not_billable", OUTPUT_NUMBER },
		{ "control", OUTPUT_NUMBER },	{ "difference", OUTPUT_NUMBER } };
	struct output *out = output_begin(stdout, format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	int code = EXIT_DONE;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct audit_part *p = &a->parts[i];
		output_cell(out, p->part->topic);
		output_int(out, p->part->partition);
		output_int(out, p->next >= 0 ? p->next : p->part->offset);
		output_int(out, p->consumed);
		for (int k = 0; k < OUTCOME_COUNT; k++)
			output_int(out, p->outcomes[k]);
		if (p->next == -2) {
			output_cell(out, NULL);
			code = code == EXIT_DONE ? EXIT_LATER : code;
		} else {
			output_int(out, audit_difference(p));
			code = audit_difference(p) != 0 ? EXIT_FOUND : code;
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
	struct audit a = { .s = &s, .n = s.journal->n_parts, .parts = xcalloc(s.journal->n_parts, sizeof(*a.parts)) };
	for (uint32_t i = 0; i < a.n; i++)
		a.parts[i].part = &s.journal->parts[i];
	enum error_class cls = audit_look(&a, &e);
	for (int i = 0; i < TRIES && cls == ERROR_NONE && !audit_equal(&a); i++) {
		clock_sleep_ms(PAUSE_MS);
		cls = audit_look(&a, &e);
	}
	code = cls != ERROR_NONE ? options_fail(&o, &e) : audit_print(&a, o.format);
	if (code == EXIT_LATER)
		fprintf(stderr, "meterctl audit: the shards did not stand at one offset while we looked; ask again when traffic is lower\n");
	free(a.parts);
	return code;
}
