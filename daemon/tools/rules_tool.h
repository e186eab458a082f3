// SPDX-License-Identifier: Apache-2.0
// Inside meterctl rules: what its files share.
#ifndef TOOLS_RULES_TOOL_H
#define TOOLS_RULES_TOOL_H

#include "tools/state.h"

enum { RULES_TIMEOUT_MS = 10000 };

struct rules_tool {
	struct options options;
	struct state state;
	struct rules *rules;     // of the files
	char *configured;        // the configuration's price book, where another one was named
	int64_t timeout_s;
};

static inline const struct journal_rules *rules_tool_newest(const struct rules_tool *t)
{
	return &t->state.journal->rules[t->state.journal->n_rules - 1];
}

static inline int rules_tool_settled(const struct rules_tool *t)
{
	const struct journal *j = t->state.journal;
	return j->n_manifests > 0 ? j->manifests[j->n_manifests - 1].month : MONTH_NONE;
}

// The highest record clock of any partition; TIME_NONE: none yet. OPTIONS_GO_ON or an exit code.
int rules_tool_clock(struct rules_tool *t, int64_t *ret_ms);
void rules_tool_refused(const struct rules_tool *t, const struct faults *f); // one line each, on stderr
// "in force", "coming" or "replaced", for the next record: its clock is at least the highest one so far (TIME_NONE: none), and where the wall
// is the clock at least now.
const char *rules_version_state(const struct journal *j, const struct journal_rules *r, int64_t clock_max_ms, int64_t now_ms);
int rules_diff(struct rules_tool *t);

#endif
