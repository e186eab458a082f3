// SPDX-License-Identifier: Apache-2.0
// A partition's record clock as its records go by, and what hangs on it: the rules version in force and the first month that is
// open. The clock is the highest time stamp so far (models/m3_clock.py); it never goes back. Pure; whoever reads the same records in
// the same order from the same start has the same course.
#ifndef DECIDE_COURSE_H
#define DECIDE_COURSE_H

#include "journal/journal.h"

struct course {
	int64_t clock_ms;        // TIME_NONE: none yet
	const struct journal_rules *rules;
	int64_t next_rules_ms;   // clock at which another version takes effect; INT64_MAX
	int open_month;          // first month whose close lies after the clock; MONTH_NONE while there is no clock
	int64_t next_close_ms;   // close(open_month)
};

// *j holds a version of the rules.
void course_begin(struct course *c, const struct journal *j, int64_t clock_ms);
void course_rise(struct course *c, const struct journal *j, int64_t timestamp_ms); // a stamp above the clock

// The next record's stamp (-1: none). True where the clock rose: then months may have closed, those from the old open_month on.
static inline bool course_move(struct course *c, const struct journal *j, int64_t timestamp_ms)
{
	if (timestamp_ms < 0 || (c->clock_ms != TIME_NONE && timestamp_ms <= c->clock_ms))
		return false;
	course_rise(c, j, timestamp_ms);
	return true;
}

#endif
