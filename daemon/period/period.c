// SPDX-License-Identifier: Apache-2.0
// Zones as tables of month beginnings. The C library is asked once per zone and process; its zone is process-wide state (TZ), so
// the asking happens under a lock and a zone already asked for is answered from memory.
#include "period/period.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"

enum {
	MONTHS = MONTH_LAST - MONTH_FIRST + 1,
	ZONE_NAME_MOST = 64,
	ZONES_KEPT = 8,
};
#define MS_PER_DAY INT64_C(86400000)
#define MS_PER_MEAN_MONTH INT64_C(2629746000)

struct zone {
	char name[ZONE_NAME_MOST + 1];
	bool kept;                 // by the table of kept zones: lives as long as the process
	int64_t start[MONTHS + 1]; // the last one ends MONTH_LAST
};

static bool leap_year(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in_month(int64_t y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return m == 2 && leap_year(y) ? 29 : days[m - 1];
}

// Days from 1970-01-01 to the first of a month, for years from 0 on.
static int64_t days_to_month(int64_t y, int m)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t past = y - 1; // whole years since year 1; year 0 is a leap year and gives -366
	int64_t leaps = y == 0 ? -1 : past / 4 - past / 100 + past / 400;
	return past * 365 + leaps + before[m - 1] + (m > 2 && leap_year(y)) - 719162;
}

// --- zones ------------------------------------------------------------------------------------------------------------

static int64_t month_start_utc(int month)
{
	return days_to_month(month / 12, month % 12 + 1) * MS_PER_DAY;
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

static int local_month(int64_t time_s)
{
	time_t t = (time_t)time_s;
	struct tm tm;
	check(localtime_r(&t, &tm) != NULL);
	return (tm.tm_year + 1900) * 12 + tm.tm_mon;
}

// The first second at which the C library's local calendar shows `month`. A search, so that a month that begins with a
// change to summer time begins at the change.
static int64_t local_month_start_ms(int month)
{
	int64_t low = month_start_utc(month) / 1000 - 26 * 3600, high = low + 52 * 3600; // low: before, high: in it
	while (high - low > 1) {
		int64_t mid = low + (high - low) / 2;
		if (local_month(mid) >= month)
			high = mid;
		else
			low = mid;
	}
	return high * 1000;
}

// The C library takes an unknown name for UTC in silence: look for the file first.
static bool zone_data_exists(const char *name)
{
	const char *folder = getenv("TZDIR");
	CLEANUP(freep) char *path = xasprintf("%s/%s", folder != NULL ? folder : "/usr/share/zoneinfo", name);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	char magic[4] = { 0 };
	bool good = fread(magic, 1, sizeof(magic), f) == sizeof(magic) && memcmp(magic, "TZif", 4) == 0;
	fclose(f);
	return good;
}

static bool zone_name_ok(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > ZONE_NAME_MOST || name[0] == '/' || strstr(name, "..") != NULL)
		return false;
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

static void read_system_zone(const char *name, int64_t start[MONTHS + 1])
{
	const char *before = getenv("TZ");
	CLEANUP(freep) char *saved = before != NULL ? xstrdup(before) : NULL;
	CLEANUP(freep) char *wanted = xasprintf(":%s", name);
	setenv("TZ", wanted, 1);
	tzset();
	for (int i = 0; i <= MONTHS; i++)
		start[i] = local_month_start_ms(MONTH_FIRST + i);
	if (saved != NULL)
		setenv("TZ", saved, 1);
	else
		unsetenv("TZ");
	tzset();
}

static struct zone *zone_make(const char *name, struct error *e)
{
	int64_t offset_ms = 0;
	bool fixed = fixed_offset(name, &offset_ms);
	if (!fixed && (!zone_name_ok(name) || !zone_data_exists(name))) {
		error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
			  "unknown time zone `%.80s`: use a name such as Asia/Shanghai (package tzdata), UTC, or an offset such as +08:00",
			  name);
		return NULL;
	}
	struct zone *z = xcalloc(1, sizeof(*z));
	snprintf(z->name, sizeof(z->name), "%s", name);
	if (!fixed)
		read_system_zone(name, z->start);
	for (int i = 0; fixed && i <= MONTHS; i++)
		z->start[i] = month_start_utc(MONTH_FIRST + i) - offset_ms;
	for (int i = 0; i < MONTHS; i++)
		check(z->start[i] < z->start[i + 1]);
	return z;
}

enum error_class zone_open(const char *name, struct zone **ret, struct error *e)
{
	// Kept zones are a memo of immutable data, not state: what is answered never depends on what was asked before.
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct zone *kept[ZONES_KEPT];
	check(pthread_mutex_lock(&lock) == 0);
	size_t i = 0;
	while (i < ZONES_KEPT && kept[i] != NULL && strcmp(kept[i]->name, name) != 0)
		i++;
	struct zone *z = i < ZONES_KEPT ? kept[i] : NULL;
	if (z == NULL) {
		z = zone_make(name, e);
		if (z != NULL && i < ZONES_KEPT) {
			z->kept = true;
			kept[i] = z;
		}
	}
	check(pthread_mutex_unlock(&lock) == 0);
	if (z == NULL)
		return ERROR_ABORT;
	*ret = z;
	return ERROR_NONE;
}

void zone_freep(struct zone **z)
{
	if (*z != NULL && !(*z)->kept)
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

const char *month_text(int month, char buf[MONTH_TEXT])
{
	check(month >= 0 && month < 10000 * 12);
	snprintf(buf, MONTH_TEXT, "%04u-%02u", (unsigned)month / 12 % 10000, (unsigned)month % 12 + 1);
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
	if (month == 0 || day == 0 || day > days_in_month(year, month))
		return false;
	if (!parse_fraction((struct span){ p + 19, text.n - 19 }, &ms, &n) ||
	    !parse_offset((struct span){ p + 19 + n, text.n - 19 - n }, &offset))
		return false;
	int64_t minutes = (days_to_month(year, month) + day - 1) * 1440 + hour * 60 + minute - offset;
	int64_t time_ms = minutes * 60000 + second * 1000 + ms;
	if (time_ms < 0)
		return false;
	*ret_ms = time_ms;
	return true;
}

const char *time_text(int64_t time_ms, char buf[TIME_TEXT])
{
	int64_t least = days_to_month(0, 1) * MS_PER_DAY, beyond = days_to_month(10000, 1) * MS_PER_DAY;
	if (time_ms < least || time_ms >= beyond) {
		snprintf(buf, TIME_TEXT, "beyond the years 0-9999");
		return buf;
	}
	int64_t days = (time_ms - least) / MS_PER_DAY, in_day = (time_ms - least) % MS_PER_DAY; // since year 0
	days += days_to_month(0, 1);
	int64_t year = (days - days_to_month(0, 1)) / 366; // never too late, then forward
	while (days >= days_to_month(year + 1, 1))
		year += 1 + (days - days_to_month(year + 1, 1)) / 366;
	int month = 1;
	while (month < 12 && days >= days_to_month(year, month + 1))
		month++;
	int64_t day = days - days_to_month(year, month) + 1;
	snprintf(buf, TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000, (unsigned)month % 100,
		 (unsigned)day % 100, (unsigned)(in_day / 3600000) % 100, (unsigned)(in_day / 60000 % 60),
		 (unsigned)(in_day / 1000 % 60), (unsigned)(in_day % 1000));
	return buf;
}
