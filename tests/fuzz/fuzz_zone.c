// SPDX-License-Identifier: Apache-2.0
// A time zone file: whatever stands in it, local time is never a day and two hours off, from 1970 to 2200.
// most: 2048
#include "fuzz.h"
#include "period/tzfile.h"

FUZZ(s)
{
	CLEANUP(tz_freep) struct tz *t = tz_parse(s);
	for (int64_t at = 0; t != NULL && at < INT64_C(7258118400); at += 86400 * 61 + 3599) {
		int32_t offset = tz_offset_s(t, at);
		fuzz_check(offset > -26 * 3600 && offset < 26 * 3600);
	}
}
