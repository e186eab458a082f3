// SPDX-License-Identifier: Apache-2.0
// meterctl replay --apply-as-adjustment: what was worked out, said in the accounts topic once somebody has typed that it is meant.
#ifndef TOOLS_REPLAY_APPLY_H
#define TOOLS_REPLAY_APPLY_H

#include "replay/replay.h"
#include "tools/options.h"

struct replay_apply {
	const struct options *options;
	const char *confirm;          // --confirm; NULL: asked for on the terminal
	atomic_bool *ended;           // set before anything is written: signals wait from here on
};
int replay_apply(const struct replay_apply *a, struct replay *r); // exit code

#endif
