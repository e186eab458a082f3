// SPDX-License-Identifier: Apache-2.0
// The accounts with the most calls of late, in bounded memory however many there are (space saving: the account with the fewest calls
// gives its place, with its calls as the error of the newcomer). An account with more than total / BUSIEST_SLOTS calls is always among them,
// and its number is too large by its `over` at the most.
//
// "Of late" is the window that runs and the one before it, BUSIEST_WINDOW_US each.
//
// Pure; one owner. About 50 KB.
#ifndef AGGREGATE_BUSIEST_H
#define AGGREGATE_BUSIEST_H

#include <stdint.h>

#include "base/span.h"

enum { BUSIEST_SLOTS = 256, BUSIEST_SHOWN = 20, BUSIEST_NAME = 64 };
static const int64_t BUSIEST_WINDOW_US = 300000000;

struct busiest;
struct busiest *busiest_new(int64_t now_us);
void busiest_freep(struct busiest **t);
void busiest_add(struct busiest *t, struct span account, int64_t calls); // 1 to BUSIEST_NAME bytes
void busiest_turn(struct busiest *t, int64_t now_us);                    // a new window, where it is time

struct busiest_account {
	char account[BUSIEST_NAME + 1];
	int64_t calls, over; // calls - over <= true number <= calls
};
// The most first; returns their number. *ret_since_us: since when their calls are counted.
uint32_t busiest_list(const struct busiest *t, struct busiest_account ret[BUSIEST_SHOWN], int64_t *ret_since_us);

#endif
