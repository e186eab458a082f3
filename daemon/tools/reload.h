// SPDX-License-Identifier: Apache-2.0
// A reload (SIGHUP): the file, the price book it names and the password file are validated first. With any fault nothing is changed and
// the settings before go on; otherwise what is reloadable is taken over, and what is not is reported by name. What the files say about
// prices and events is proposed as a new version of the rules where it is not the newest one (pipeline/engine.h).
#ifndef TOOLS_RELOAD_H
#define TOOLS_RELOAD_H

#include "pipeline/engine.h"
#include "settings/settings.h"

struct reload {
	bool refused; // the file was, or the rules it proposes were or could not be proposed: not all of the reload was done
	char *note; // owned; NULL, or one line about what is left open: why it was refused, what waits for a restart, what became of other rules
};

// Faults go to stderr, all of them; the outcome to the log. *ret is replaced.
// Talks to Kafka and Redis for the proposal: bounded by their time-outs.
void reload_run(struct settings *now, struct engine *g, struct reload *ret);
void reload_free(struct reload *r);

#endif
