// SPDX-License-Identifier: Apache-2.0
// What became of corrections of closed months: the control topic says which close covered each of them, and of what a close makes the revisions on the
// settlements topic bear its id. So it is known without the counters, and without settling anything again.
//
// @thread one owner.
#ifndef TOOLS_CORRECTION_STATE_H
#define TOOLS_CORRECTION_STATE_H

#include "account/account.h"
#include "base/error.h"
#include "sink/sink.h"

struct correction_state {
	const struct account_fact *fact;
	const char *text;        // "waits", "made", "passed over"; "closed": made or passed over, and nothing says any more which
	int month;               // with whose close, or the next one; MONTH_NONE: none was closed yet
	const char *why;         // passed over, or will be; NULL: made, or nothing is known yet
};

struct correction_states;
enum error_class correction_states_read(const struct sink_port *port, const struct kafka_options *kafka, int timeout_ms, struct correction_states **ret,
					struct error *e);
void correction_states_freep(struct correction_states **s);
// Of all corrections of the account, in the order in which they are taken; `ret` has room for n_corrections. s NULL: it has none.
uint32_t correction_states_of(const struct correction_states *s, const struct account *a, struct correction_state *ret);

#endif
