// SPDX-License-Identifier: Apache-2.0
// How far the published alerts reach in each input partition: a decision about what an event is must not take effect behind a call that
// somebody was told of, also where Redis has gone back behind it. Pure.
#ifndef OUTBOX_REACH_H
#define OUTBOX_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct reach {
	uint32_t n, size;
	struct reach_part {
		char *name;      // topic/partition
		int64_t next;    // behind the last call that an alert names
	} *parts;
};
// The call that a published alert names, in the form in which the relay writes it. What names none is passed over.
void reach_take(struct reach *r, struct span document);
int64_t reach_of(const struct reach *r, const char *name); // 0: no alert names a call there
void reach_free(struct reach *r);

#endif
