// SPDX-License-Identifier: Apache-2.0
// The only room that asks the time. Everything that decides money takes time as an argument, and that time
// comes from the log.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void); // milliseconds since 1970-01-01Z
int64_t clock_mono_us(void); // microseconds, never goes back; for time-outs and intervals
// As far as it goes: record stamps may be anything.
static inline int64_t clock_later(int64_t ms, int64_t by_ms)
{
	int64_t later;
	return __builtin_add_overflow(ms, by_ms, &later) ? INT64_MAX : later; // by_ms: a setting, never below 0
}
void clock_sleep_ms(int64_t ms); // only to back off before a retry, never to wait for a condition

#endif
