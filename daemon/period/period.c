// SPDX-License-Identifier: Apache-2.0
// Zones as tables of month beginnings, read from the system's zone files; texts of months and times.
#include "period/period.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "period/calendar.h"
#include "period/tzfile.h"

enum {
	MONTHS = MONTH_LAST - MONTH_FIRST + 1,
	ZONE_NAME_MOST = 64,
	ZONE_FILE_MOST = 1024 * 1024,
};
#define MS_PER_DAY INT64_C(86400000)
#define MS_PER_MEAN_MONTH INT64_C(2629746000)

struct zone {
	char name[ZONE_NAME_MOST + 1];
	int64_t start[MONTHS + 1]; // the last one ends MONTH_LAST
	struct tz *tz;             // NULL: a fixed offset
	int64_t fixed_ms;
};

// --- zones ------------------------------------------------------------------------------------------------------------

static int64_t month_start_utc(int month)
{
	return calendar_days_to(month / 12, month % 12 + 1) * MS_PER_DAY;
}

static bool two_digits(const char *p, int most, int *ret)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*ret = (p[0] - '0') * 10 + (p[1] - '0');
	return *ret <= most;
}

// "UTC", "+08:00"
static bool fixed_offset(const char *name, int64_t *ret_ms)
{
	int hours, minutes;
	if (strcmp(name, "UTC") == 0) {
		*ret_ms = 0;
		return true;
	}
	if (strlen(name) != 6 || (name[0] != '+' && name[0] != '-') || name[3] != ':' || !two_digits(name + 1, 14, &hours) ||
	    !two_digits(name + 4, 59, &minutes))
		return false;
	*ret_ms = (name[0] == '-' ? -1 : 1) * (hours * INT64_C(60) + minutes) * 60000;
	return true;
}

// The first second at which local clocks show `month`. A search, so that a month that begins with a change to summer time
// begins at the change.
static int64_t local_month_start_ms(const struct tz *t, int month)
{
	int64_t local = month_start_utc(month) / 1000;
	int64_t low = local - 26 * 3600, high = local + 26 * 3600; // low: before, high: in it
	while (high - low > 1) {
		int64_t mid = low + (high - low) / 2;
		if (mid + tz_offset_s(t, mid) >= local)
			high = mid;
		else
			low = mid;
	}
	return high * 1000;
}

static bool zone_name_ok(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > ZONE_NAME_MOST || name[0] == '/' || strstr(name, "..") != NULL)
		return false;
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

static bool read_system_zone(const char *name, struct zone *z)
{
	const char *folder = getenv("TZDIR");
	CLEANUP(freep) char *path = xasprintf("%s/%s", folder != NULL ? folder : "/usr/share/zoneinfo", name);
	CLEANUP(freep) char *bytes = NULL;
	size_t n = 0;
	if (!zone_name_ok(name) || file_read(path, ZONE_FILE_MOST, &bytes, &n, NULL) != ERROR_NONE)
		return false;
	z->tz = tz_parse((struct span){ bytes, n });
	for (int i = 0; z->tz != NULL && i <= MONTHS; i++)
		z->start[i] = local_month_start_ms(z->tz, MONTH_FIRST + i);
	return z->tz != NULL;
}

enum error_class zone_open(const char *name, struct zone **ret, struct error *e)
{
	CLEANUP(zone_freep) struct zone *z = xcalloc(1, sizeof(*z));
	int64_t offset_ms = 0;
	bool fixed = fixed_offset(name, &offset_ms);
	if (!fixed && !read_system_zone(name, z))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "unknown time zone `%.80s`: use a name such as Asia/Shanghai (package tzdata), UTC, or an offset such as +08:00",
				 name);
	snprintf(z->name, sizeof(z->name), "%s", name);
	z->fixed_ms = offset_ms;
	for (int i = 0; fixed && i <= MONTHS; i++)
		z->start[i] = month_start_utc(MONTH_FIRST + i) - offset_ms;
	for (int i = 0; i < MONTHS; i++)
		check(z->start[i] < z->start[i + 1]);
	*ret = TAKE_PTR(z);
	return ERROR_NONE;
}

void zone_freep(struct zone **z)
{
	if (*z != NULL)
		tz_freep(&(*z)->tz);
	free(*z);
	*z = NULL;
}

const char *zone_name(const struct zone *z)
{
	return z->name;
}

int period_month(const struct zone *z, int64_t time_ms)
{
	if (time_ms < z->start[0] || time_ms >= z->start[MONTHS])
		return MONTH_NONE;
	int i = (int)((time_ms - z->start[0]) / MS_PER_MEAN_MONTH); // at most a month or two off
	if (i >= MONTHS)
		i = MONTHS - 1;
	while (time_ms < z->start[i])
		i--;
	while (time_ms >= z->start[i + 1])
		i++;
	return MONTH_FIRST + i;
}

int64_t period_start_ms(const struct zone *z, int month)
{
	check(month >= MONTH_FIRST && month <= MONTH_LAST + 1);
	return z->start[month - MONTH_FIRST];
}

// --- text -------------------------------------------------------------------------------------------------------------

bool month_parse(struct span text, int *ret)
{
	int century, year, month;
	if (text.n != 7 || text.p[4] != '-' || !two_digits(text.p, 99, &century) || !two_digits(text.p + 2, 99, &year) ||
	    !two_digits(text.p + 5, 12, &month) || month == 0)
		return false;
	int m = (century * 100 + year) * 12 + month - 1;
	if (m < MONTH_FIRST || m > MONTH_LAST)
		return false;
	*ret = m;
	return true;
}

// The last n digits of v, which is not negative, and what stands behind them. Documents say when by the million: no printf.
static char *put_digits(char *p, size_t n, int64_t v, char behind)
{
	for (size_t i = n; i > 0; i--, v /= 10)
		p[i - 1] = (char)('0' + v % 10);
	p[n] = behind;
	return p + n + 1;
}

const char *month_text(int month, char buf[MONTH_TEXT])
{
	check(month >= 0 && month < 10000 * 12);
	char *p = put_digits(buf, 4, month / 12, '-');
	put_digits(p, 2, month % 12 + 1, '\0');
	return buf;
}

// ".123456" -> 123; *ret_n bytes were read. No fraction: 0 of both. False for a point without a digit.
static bool parse_fraction(struct span s, int *ret_ms, size_t *ret_n)
{
	*ret_ms = 0;
	*ret_n = 0;
	if (s.n == 0 || s.p[0] != '.')
		return true;
	size_t i = 1;
	for (int unit = 100; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
		*ret_ms += (s.p[i] - '0') * unit;
	*ret_n = i;
	return i > 1;
}

// "Z", "z", "+08:00", "-00:00": the whole of s
static bool parse_offset(struct span s, int *ret_minutes)
{
	int hours, minutes;
	if (s.n == 1 && (s.p[0] == 'Z' || s.p[0] == 'z')) {
		*ret_minutes = 0;
		return true;
	}
	if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':' || !two_digits(s.p + 1, 23, &hours) ||
	    !two_digits(s.p + 4, 59, &minutes))
		return false;
	*ret_minutes = (s.p[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

bool time_parse_rfc3339(struct span text, int64_t *ret_ms)
{
	const char *p = text.p;
	int century, year, month, day, hour, minute, second, ms, offset;
	size_t n;
	if (text.n < 20 || p[4] != '-' || p[7] != '-' || (p[10] != 'T' && p[10] != 't') || p[13] != ':' || p[16] != ':')
		return false;
	if (!two_digits(p, 99, &century) || !two_digits(p + 2, 99, &year) || !two_digits(p + 5, 12, &month) ||
	    !two_digits(p + 8, 31, &day) || !two_digits(p + 11, 23, &hour) || !two_digits(p + 14, 59, &minute) ||
	    !two_digits(p + 17, 59, &second))
		return false;
	year += century * 100;
	if (month == 0 || day == 0 || day > calendar_days_in(year, month))
		return false;
	if (!parse_fraction((struct span){ p + 19, text.n - 19 }, &ms, &n) ||
	    !parse_offset((struct span){ p + 19 + n, text.n - 19 - n }, &offset))
		return false;
	int64_t minutes = (calendar_days_to(year, month) + day - 1) * 1440 + hour * 60 + minute - offset;
	int64_t time_ms = minutes * 60000 + second * 1000 + ms;
	if (time_ms < 0)
		return false;
	*ret_ms = time_ms;
	return true;
}

const char *time_text(int64_t time_ms, char buf[TIME_TEXT])
{
	int64_t least = calendar_days_to(0, 1) * MS_PER_DAY, beyond = calendar_days_to(10000, 1) * MS_PER_DAY;
	if (time_ms < least || time_ms >= beyond) {
		snprintf(buf, TIME_TEXT, "beyond the years 0-9999");
		return buf;
	}
	int64_t days = (time_ms - least) / MS_PER_DAY, in_day = (time_ms - least) % MS_PER_DAY; // since year 0
	days += calendar_days_to(0, 1);
	int64_t year = calendar_year_of(days);
	int month = 1;
	while (month < 12 && days >= calendar_days_to(year, month + 1))
		month++;
	int64_t day = days - calendar_days_to(year, month) + 1;
	char *p = put_digits(buf, 4, year, '-');
	p = put_digits(p, 2, month, '-');
	p = put_digits(p, 2, day, 'T');
	p = put_digits(p, 2, in_day / 3600000, ':');
	p = put_digits(p, 2, in_day / 60000 % 60, ':');
	p = put_digits(p, 2, in_day / 1000 % 60, '.');
	p = put_digits(p, 3, in_day % 1000, 'Z');
	*p = '\0';
	return buf;
}

const char *time_local_text(const struct zone *z, int64_t time_ms, char buf[TIME_TEXT])
{
	int64_t offset_ms = z->tz == NULL ? z->fixed_ms : time_ms >= 0 ? tz_offset_s(z->tz, time_ms / 1000) * INT64_C(1000) : 0, local_ms;
	int64_t minutes = (offset_ms < 0 ? -offset_ms : offset_ms) / 60000;
	if (time_ms < 0 || offset_ms % 60000 != 0 || minutes >= 24 * 60 || __builtin_add_overflow(time_ms, offset_ms, &local_ms))
		return time_text(time_ms, buf);
	time_text(local_ms, buf);
	char *end = strchr(buf, 'Z');
	if (end != NULL)
		snprintf(end, TIME_TEXT - (size_t)(end - buf), "%c%02u:%02u", offset_ms < 0 ? '-' : '+', (unsigned)minutes / 60 % 100,
			 (unsigned)minutes % 60);
	return buf;
}
