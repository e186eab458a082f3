// SPDX-License-Identifier: Apache-2.0
// A line in the log for each alert that is out, with a message id for its kind. No account in it: the id finds the alert on the topic. A
// burst (a backlog, a year read again) must not drown the journal: a few lines a second, and one with the number of the others.
#ifndef OUTBOX_SAID_H
#define OUTBOX_SAID_H

#include <stdint.h>

#include "base/span.h"

enum { SAID_A_SECOND = 20 };

struct said {
	int64_t second;     // wall
	uint32_t n;         // lines in it
	uint32_t passed_over;
};

// `identity`: what the id is made of, `alert`, account, service, period, kind, bound, pack, joined by LF; `id`: in hexadecimal.
void said_alert(struct said *s, struct span identity, const char *id, int64_t now_ms);
void said_end(struct said *s); // of a transaction: how many were passed over

#endif
