// SPDX-License-Identifier: Apache-2.0
#include "period/calendar.h"

bool calendar_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int calendar_days_in(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return month == 2 && calendar_leap(year) ? 29 : days[month - 1];
}

int64_t calendar_days_to(int64_t year, int month)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t past = year - 1; // whole years since year 1; year 0 is a leap year and gives -366
	int64_t leaps = year == 0 ? -1 : past / 4 - past / 100 + past / 400;
	return past * 365 + leaps + before[month - 1] + (month > 2 && calendar_leap(year)) - 719162;
}

int64_t calendar_year_of(int64_t days)
{
	int64_t since = days - calendar_days_to(0, 1);
	int64_t year = since / 366; // never too late, then forward
	while (days >= calendar_days_to(year + 1, 1))
		year += 1 + (days - calendar_days_to(year + 1, 1)) / 366;
	return year;
}
