// SPDX-License-Identifier: Apache-2.0
// A time zone's offsets from its TZif file (RFC 9636): the transitions of the file, and behind the last one the rule of its footer
// ("EST5EDT,M3.2.0,M11.1.0"). Pure: the C library's own zone is state of the whole process, which threads cannot share.
#ifndef PERIOD_TZFILE_H
#define PERIOD_TZFILE_H

#include <stdint.h>

#include "base/span.h"

struct tz;

// NULL where the bytes are no TZif file of version 2 or later, or count leap seconds.
struct tz *tz_parse(struct span bytes);
void tz_freep(struct tz **t);
// Seconds to add to UTC at that time, from 1970 on; always less than 26 hours either way.
int32_t tz_offset_s(const struct tz *t, int64_t time_s);

#endif
