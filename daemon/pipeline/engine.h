// SPDX-License-Identifier: Apache-2.0
// The process: checks at start, workers, the office; from outside a state that can be asked for.
#ifndef PIPELINE_ENGINE_H
#define PIPELINE_ENGINE_H

#include "pipeline/office.h"
#include "pipeline/worker.h"

enum engine_phase { ENGINE_CHECKING, ENGINE_RUNNING, ENGINE_STOPPING };

struct engine;
// Nothing is contacted yet. `s` lives as long as the engine. `rules`: what the files say; where the control topic says something else,
// they are proposed at the start.
enum error_class engine_new(struct settings *s, const struct rules *rules, struct engine **ret, struct error *e);
// Runs until engine_stop, or until something ends the process: then *e says what (its exit_code is the process's). Blocks; call it
// on a thread of its own. Servers that are away are waited for, said once in the log.
enum error_class engine_run(struct engine *g, struct error *e);
enum rules_answer {
	RULES_NEWEST,   // they are the newest version already
	RULES_PROPOSED, // the closer, whoever that is, will put them in force, unless others came in between: it says so in its log
	RULES_REFUSED,  // they may not follow the newest version: *faults says why, all of it; nothing was done
	RULES_LATER,    // the process waits for its servers: proposed when it starts, instead of what the files said before
};
enum error_class rules_propose(const struct kafka_options *k, const struct store_options *o, const struct rules *rules, struct faults *faults,
			       enum rules_answer *ret, struct error *e);
// The same of files that were read again, with the process's own servers, from any thread; bounded by their time-outs. It is said in the
// log. The order of calls is that of the proposals, the start's own first.
enum error_class engine_propose(struct engine *g, const struct rules *rules, struct faults *faults, enum rules_answer *ret, struct error *e);
void engine_stop(struct engine *g);   // from any thread; engine_run returns after the open batch is committed
void engine_freep(struct engine **g);

// What it looks like from outside. `s` was made by status_init. *ret_progressing: feed the watchdog: something moved, there is nothing
// to do, or the wait is a known one (a server away, a halted partition).
void engine_read(struct engine *g, struct status *s, bool *ret_progressing);

#endif
