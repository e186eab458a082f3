// SPDX-License-Identifier: Apache-2.0
// Calendar months in the catalog's time zone, and RFC 3339. Pure.
//
// A month is an int: year * 12 + (month - 1). An instant is int64 milliseconds since 1970-01-01Z.
// A zone is a table of month beginnings from 2000-01 to 2199-12, made once from the system's zone data; after that
// everything is arithmetic. Only texts for people ask for the offset at some other moment. Events before 2000-01-01Z are rejected (events.md, section 3), so the table is whole.
#ifndef PERIOD_PERIOD_H
#define PERIOD_PERIOD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

enum {
	MONTH_FIRST = 2000 * 12,      // 2000-01
	MONTH_LAST = 2199 * 12 + 11,  // 2199-12
	MONTH_TEXT = 8,               // "2020-01" and NUL
	TIME_TEXT = 32,               // "2020-01-15T00:30:00.123Z" and NUL
};
#define MONTH_NONE (-1)
#define TIME_NONE INT64_MIN

struct zone;

// "Asia/Shanghai", "UTC", or a fixed offset such as "+08:00". Reads the system's zone file ($TZDIR or /usr/share/zoneinfo) and
// touches neither TZ nor the C library's zone: any thread may call it. ERROR_ABORT 78 for an unknown name.
enum error_class zone_open(const char *name, struct zone **ret, struct error *e);
void zone_freep(struct zone **z);
const char *zone_name(const struct zone *z);

int period_month(const struct zone *z, int64_t time_ms);      // time in [2000-01 local, 2200-01 local); else MONTH_NONE
int64_t period_start_ms(const struct zone *z, int month);     // first millisecond of the month; MONTH_LAST + 1 allowed
static inline int64_t period_end_ms(const struct zone *z, int month) { return period_start_ms(z, month + 1); }

bool month_parse(struct span text, int *ret);                 // "2020-01", exactly
const char *month_text(int month, char buf[MONTH_TEXT]);

// RFC 3339 as events.md section 3 has it: 'T' or 't', offset or 'Z'/'z', digits beyond milliseconds cut off; refuses a
// blank, second 60, a missing offset, an impossible date. Also refuses what lies before 1970.
bool time_parse_rfc3339(struct span text, int64_t *ret_ms);
const char *time_text(int64_t time_ms, char buf[TIME_TEXT]);  // UTC with milliseconds and Z; words beyond the years 0-9999
// The same moment on the zone's clocks, "2020-01-15T08:30:00.123+08:00"; before 1970, or with an offset that RFC 3339 cannot say: in UTC.
const char *time_local_text(const struct zone *z, int64_t time_ms, char buf[TIME_TEXT]);

#endif
