// SPDX-License-Identifier: Apache-2.0
// Asking before something large is begun: after its plan was shown.
#ifndef TOOLS_CONSENT_H
#define TOOLS_CONSENT_H

#include <stdbool.h>

int consent_ask(bool yes); // OPTIONS_GO_ON, or EXIT_DONE: nothing is to be done. yes: --yes was given

#endif
