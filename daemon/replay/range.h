// SPDX-License-Identifier: Apache-2.0
// Which records of the log are meant: the words of --from and --to, and @t1:t2. Pure.
//
//	beginning, end           no bound
//	2020-03, 2020-03-05      the beginning of the month, of the day: in the price book's zone
//	2020-03-05T10:00:00Z     RFC 3339, with an offset
//	-36h, 36h                so long before now: s, m, h, d
//	812                      an offset, in every partition
//	3=812,4=900              offsets of partitions; with several topics usage.calls/3=812. Records of others are outside
//
// A time is compared with the record's own time stamp. The beginning is inclusive, the end exclusive.
#ifndef REPLAY_RANGE_H
#define REPLAY_RANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "period/period.h"

enum bound_kind { BOUND_NONE, BOUND_TIME, BOUND_MONTH, BOUND_DAY, BOUND_AGO, BOUND_OFFSET, BOUND_OFFSETS };
struct bound_offset {
	struct span topic;        // n 0: was not named
	int32_t partition;
	int64_t offset;
};
struct bound {
	enum bound_kind kind;
	int64_t value;            // TIME, DAY (midnight as though it were UTC), AGO: ms; MONTH; OFFSET
	uint32_t n;
	struct bound_offset *list; // OFFSETS; owned
};
struct range {
	struct bound from, to;
};

enum { RANGE_WHY = 300 };
// One end of a range. False: why says what is wrong, and how it is written. Texts stay borrowed.
bool bound_parse(const char *word, struct bound *ret, char why[RANGE_WHY]);
// "@t1:t2", each of them a time or empty.
bool range_parse(const char *word, struct range *ret, char why[RANGE_WHY]);
void range_free(struct range *r);
bool range_asks_now(const struct range *r);
// The instant of a bound that is a time; for any other TIME_NONE.
int64_t bound_ms(const struct bound *b, const struct zone *z, int64_t now_ms);
// The offset in a partition of a bound that is one; -1: it says nothing about this partition. *ret_other: it names partitions, this one not.
int64_t bound_offset(const struct bound *b, const char *topic, int32_t partition, bool *ret_other);

#endif
