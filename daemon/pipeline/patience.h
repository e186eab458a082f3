// SPDX-License-Identifier: Apache-2.0
// How long a batch may gather, by how late the daemon is already: an eighth of that may be spent on gathering. Fewer and larger commits are what
// brings a backlog down; whoever is not late sends when the interval is over, and an alert at once.
#ifndef PIPELINE_PATIENCE_H
#define PIPELINE_PATIENCE_H

#include <stdint.h>

enum { PATIENCE_TIMES = 4 }; // so many intervals at the most: what a crash leaves to be counted again stays small

// Whoever is not behind gathers for a part of the interval behind its last commit, and not at all behind a pause: a commit for each few records would be
// all that Redis and this process do, and an alert would wait for them. In us.
static inline int64_t patience_level_us(int64_t interval_us)
{
	return interval_us / 10;
}

// lag_ms: how old the newest record was when it was read. A batch with a call that reaches a rung, in us.
static inline int64_t patience_alert_us(int64_t lag_ms)
{
	return lag_ms * 1000 / 8;
}

// Any other batch, in us; interval_us: flush.max_interval.
static inline int64_t patience_us(int64_t interval_us, int64_t lag_ms)
{
	int64_t late_us = patience_alert_us(lag_ms), most_us = PATIENCE_TIMES * interval_us;
	return late_us < interval_us ? interval_us : late_us < most_us ? late_us : most_us;
}

#endif
