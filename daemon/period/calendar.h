// SPDX-License-Identifier: Apache-2.0
// The Gregorian calendar in numbers. Only for this room.
#ifndef PERIOD_CALENDAR_H
#define PERIOD_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

bool calendar_leap(int64_t year);
int calendar_days_in(int64_t year, int month);          // month from 1
int64_t calendar_days_to(int64_t year, int month);      // from 1970-01-01 to the first of a month; years from 0 on
int64_t calendar_year_of(int64_t days);                 // of a day since 1970-01-01; years from 0 on

#endif
