// SPDX-License-Identifier: Apache-2.0
// The process: checks at start, workers, the office; from outside a state that can be asked for.
#ifndef PIPELINE_ENGINE_H
#define PIPELINE_ENGINE_H

#include "pipeline/office.h"
#include "pipeline/worker.h"

enum engine_phase { ENGINE_CHECKING, ENGINE_RUNNING, ENGINE_STOPPING };

struct engine;
// Nothing is contacted yet. `s` lives as long as the engine.
enum error_class engine_new(struct settings *s, struct engine **ret, struct error *e);
// Runs until engine_stop, or until something ends the process: then *e says what (its exit_code is the process's). Blocks; call it
// on a thread of its own. Servers that are away are waited for, said once in the log.
enum error_class engine_run(struct engine *g, struct error *e);
void engine_stop(struct engine *g);   // from any thread; engine_run returns after the open batch is committed
void engine_freep(struct engine **g);

struct engine_status {
	enum engine_phase phase;
	char waiting[300];               // while checking: for what
	uint32_t n_workers;
	struct worker_status *workers;
	struct office_status office;
	bool ready;                      // counting, and nothing stands still
	uint32_t n_reasons;              // why not ready
	char reasons[16][320];
	bool progressing;                // feed the watchdog: something moved, or there is nothing to do, or the wait is a known one
	int64_t lag;                     // records behind the ends of the partitions; -1 not known
};
void engine_status(struct engine *g, struct engine_status *ret);
void engine_status_free(struct engine_status *s);

#endif
