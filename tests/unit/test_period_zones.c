// SPDX-License-Identifier: Apache-2.0
// The reader of zone files against the C library, over every zone of the system; and over files that are broken.
#include <ftw.h>
#include <time.h>

#include "base/file.h"
#include "base/check.h"
#include "period/period.h"
#include "period/tzfile.h"
#include "table.h"

static int zones; // nftw has no context

static char *zone_bytes(const char *path, size_t *n)
{
	char *bytes = NULL;
	cr_assert_eq(file_read(path, 1 << 20, &bytes, n, NULL), ERROR_NONE, "%s", path);
	return bytes;
}

static void expect_same(const struct tz *t, const char *path, time_t at)
{
	struct tm tm;
	localtime_r(&at, &tm);
	cr_assert_eq(tz_offset_s(t, at), tm.tm_gmtoff, "%s at %ld: %d, the C library says %ld", path, at, tz_offset_s(t, at), tm.tm_gmtoff);
}

// Every twenty days of the table, and to the second where the C library changes its mind in between.
static void compare_zone(const struct tz *t, const char *path)
{
	enum { STEP = 20 * 86400 };
	CLEANUP(freep) char *value = xasprintf(":%s", path);
	setenv("TZ", value, 1);
	tzset();
	long before = 0;
	for (time_t at = 946500000; at < 7258200000; at += STEP) { // end of 1999 to the beginning of 2200
		struct tm tm;
		expect_same(t, path, at);
		localtime_r(&at, &tm);
		if (at != 946500000 && tm.tm_gmtoff != before) {
			time_t low = at - STEP, high = at;
			while (high - low > 1) {
				time_t mid = low + (high - low) / 2;
				localtime_r(&mid, &tm);
				*(tm.tm_gmtoff == before ? &low : &high) = mid;
			}
			expect_same(t, path, low);
			expect_same(t, path, high);
			localtime_r(&at, &tm);
		}
		before = tm.tm_gmtoff;
	}
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type != FTW_F || strstr(path, "/right/") != NULL || strstr(path, "/posix/") != NULL)
		return 0;
	size_t n;
	CLEANUP(freep) char *bytes = zone_bytes(path, &n);
	CLEANUP(tz_freep) struct tz *t = tz_parse((struct span){ bytes, n });
	if (n < 4 || memcmp(bytes, "TZif", 4) != 0) {
		cr_assert_null(t);
		return 0;
	}
	cr_assert(t != NULL, "%s is not read", path);
	compare_zone(t, path);
	zones++;
	return 0;
}

Test(period_zones, every_zone_agrees_with_the_c_library, .timeout = 300)
{
	cr_assert_eq(nftw("/usr/share/zoneinfo", visit, 16, FTW_PHYS), 0);
	cr_assert_gt(zones, 100);
}

Test(period_zones, leap_seconds_are_refused)
{
	struct zone *z = NULL;
	CLEANUP(freep) char *bytes = NULL;
	size_t n;
	if (file_read("/usr/share/zoneinfo/right/Asia/Shanghai", 1 << 20, &bytes, &n, NULL) != ERROR_NONE)
		return; // not every tzdata has them
	cr_assert_eq(zone_open("right/Asia/Shanghai", &z, NULL), ERROR_ABORT);
}

static void try_bytes(const char *bytes, size_t n)
{
	CLEANUP(freep) char *exact = malloc(n != 0 ? n : 1); // so that a read beyond the end is seen
	memcpy(exact, bytes, n);
	CLEANUP(tz_freep) struct tz *t = tz_parse((struct span){ exact, n });
	for (int64_t at = 946500000; t != NULL && at < 7258200000; at += 400 * 86400) {
		int32_t s = tz_offset_s(t, at);
		cr_assert(s > -26 * 3600 && s < 26 * 3600);
	}
}

Test(period_zones, broken_files)
{
	size_t n;
	CLEANUP(freep) char *bytes = zone_bytes("/usr/share/zoneinfo/America/New_York", &n);
	for (size_t i = 0; i < n; i++) {
		CLEANUP(freep) char *cut = malloc(i + 1);
		memcpy(cut, bytes, i);
		CLEANUP(tz_freep) struct tz *t = tz_parse((struct span){ cut, i });
		cr_assert_null(t, "%zu of %zu bytes", i, n);
	}
	for (size_t i = 0; i < n; i++)
		for (int v = 0; v < 256; v += 15) {
			char kept = bytes[i];
			bytes[i] = (char)v;
			try_bytes(bytes, n);
			bytes[i] = kept;
		}
}

// Footers that no zone of today has, on a file without transitions.
static bool footer(const char *text, int64_t at, int32_t *ret)
{
	char file[200];
	static const char head[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4";
	size_t n = 0;
	for (int i = 0; i < 2; i++) {
		memcpy(file + n, head, 44);
		memcpy(file + n + 44, "\0\0\0\0\0\0UTC\0", 10);
		n += 54;
	}
	n += (size_t)snprintf(file + n, sizeof(file) - n, "\n%s\n", text);
	CLEANUP(tz_freep) struct tz *t = tz_parse((struct span){ file, n });
	if (t != NULL)
		*ret = tz_offset_s(t, at);
	return t != NULL;
}

Test(period_zones, footers)
{
	int64_t july = 1593561600, january = 1577836800; // 2020
	int32_t s = 0;
	cr_assert(footer("", july, &s) && s == 0);
	cr_assert(footer("CST-8", july, &s) && s == 8 * 3600);
	cr_assert(footer("<+0545>-5:45", july, &s) && s == 5 * 3600 + 45 * 60);
	cr_assert(footer("XXX3:15:30", july, &s) && s == -(3 * 3600 + 15 * 60 + 30));
	cr_assert(footer("EST5EDT,M3.2.0,M11.1.0", july, &s) && s == -4 * 3600);
	cr_assert(footer("EST5EDT,M3.2.0,M11.1.0", january, &s) && s == -5 * 3600);
	cr_assert(footer("AEST-10AEDT,M10.1.0,M4.1.0/3", january, &s) && s == 11 * 3600);
	cr_assert(footer("AEST-10AEDT,M10.1.0,M4.1.0/3", july, &s) && s == 10 * 3600);
	cr_assert(footer("AAA0BBB-2,J60,J300/-1:30", july, &s) && s == 2 * 3600);
	cr_assert(footer("AAA0BBB,59,299/167", july, &s) && s == 3600);
	static const char *const bad[] = { "C-8", "CST", "CST-25", "CST-8:60", "EST5EDT", "EST5EDT,M3.2.0", "EST5EDT,M13.2.0,M11.1.0",
		"EST5EDT,M0.2.0,M11.1.0", "EST5EDT,M3.6.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0", "EST5EDT,J0,J300", "EST5EDT,J366,J300",
		"EST5EDT,M3.2.0/168,M11.1.0", "EST5EDT,M3.2.0,M11.1.0x", "<+05-5", "EST5EDT,M3.2.0,M11.1.0,", "5" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(footer(bad[i], july, &s), "%s", bad[i]);
}
