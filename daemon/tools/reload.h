// SPDX-License-Identifier: Apache-2.0
// A reload (SIGHUP): the file, the price book it names and the password file are validated first. With any fault nothing is changed and
// the settings before go on; otherwise what is reloadable is taken over, and what is not is reported by name.
//
// It proposes no rules: what the files say about prices and events is only compared with what the process was started with.
#ifndef TOOLS_RELOAD_H
#define TOOLS_RELOAD_H

#include "settings/settings.h"

struct reload {
	bool refused;
	char *note; // owned; NULL, or one line about what is left open: why it was refused, what waits for a restart, which rules differ
};

// Faults go to stderr, all of them; the outcome to the log. *ret is replaced.
void reload_run(struct settings *now, const struct rules *started_with, struct reload *ret);
void reload_free(struct reload *r);

#endif
