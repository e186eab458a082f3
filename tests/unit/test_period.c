// SPDX-License-Identifier: Apache-2.0
// Months and times, against the C library's own calendar.
#include "period/period.h"

#include <pthread.h>
#include <time.h>

#include "base/check.h"
#include "table.h"

static struct zone *open_zone(const char *name)
{
	struct zone *z = NULL;
	struct error e = { 0 };
	cr_assert_eq(zone_open(name, &z, &e), ERROR_NONE, "%s: %s", name, e.text);
	return z;
}

static int64_t at(const char *text)
{
	int64_t ms = 0;
	cr_assert(time_parse_rfc3339(span_of(text), &ms), "%s", text);
	return ms;
}

static void time_row(void *ctx, const struct table_row *row)
{
	(void)ctx;
	cr_assert_eq(row->n, 2, "line %d", row->line);
	int64_t ms = -7;
	char b[TIME_TEXT];
	bool ok = time_parse_rfc3339(span_of(row->field[0]), &ms);
	cr_expect_str_eq(ok ? time_text(ms, b) : "no", row->field[1], "line %d: `%s`", row->line, row->field[0]);
	if (!ok)
		cr_expect_eq(ms, -7, "line %d wrote its output", row->line);
}

Test(period, time_table)
{
	table_each("time.table", time_row, NULL);
}

Test(period, every_truncation_of_a_time_is_refused)
{
	const char *full = "2020-01-15T08:30:00.123+08:00";
	for (size_t n = 0; n < strlen(full); n++) {
		int64_t ms;
		cr_assert_not(time_parse_rfc3339((struct span){ full, n }, &ms), "%zu bytes", n);
	}
}

Test(period, a_byte_of_zero_or_high_bit_is_no_digit)
{
	for (size_t i = 0; i < 20; i++)
		for (int c = 0; c < 256; c++) {
			char s[] = "2020-01-15T08:30:00Z";
			if (c == s[i] || (c >= '0' && c <= '9') || c == 't' || c == 'z')
				continue;
			s[i] = (char)c;
			int64_t ms;
			cr_assert_not(time_parse_rfc3339((struct span){ s, 20 }, &ms), "byte %zu = %d", i, c);
		}
}

Test(period, text_agrees_with_the_c_library_on_every_third_day)
{
	for (int64_t day = -719528; day < 2932896; day += 3) { // year 0 to 9999
		time_t t = (time_t)(day * 86400 + 86399);
		struct tm tm;
		gmtime_r(&t, &tm);
		char want[80], b[TIME_TEXT];
		snprintf(want, sizeof(want), "%04d-%02d-%02dT23:59:59.007Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
		cr_assert_str_eq(time_text(t * 1000 + 7, b), want);
		int64_t back;
		if (day >= 0) {
			cr_assert(time_parse_rfc3339(span_of(want), &back));
			cr_assert_eq(back, t * 1000 + 7);
		}
	}
}

Test(period, text_beyond_year_9999_is_words_not_a_wrong_date)
{
	char b[TIME_TEXT];
	cr_assert_str_eq(time_text(INT64_MAX, b), "beyond the years 0-9999");
	cr_assert_str_eq(time_text(INT64_MIN, b), "beyond the years 0-9999");
	cr_assert_str_eq(time_text(INT64_C(253402300800000), b), "beyond the years 0-9999");
	cr_assert_str_eq(time_text(INT64_C(253402300799999), b), "9999-12-31T23:59:59.999Z");
}

// Also in the middle of a month that begins with another offset, at the second of the change, and for offsets of both signs.
Test(period, local_text_is_what_clocks_there_show)
{
	static const struct {
		const char *zone, *utc, *local;
	} cases[] = {
		{ "Asia/Shanghai", "2020-01-15T00:01:00.007Z", "2020-01-15T08:01:00.007+08:00" },
		{ "Asia/Shanghai", "2020-01-31T16:00:00.000Z", "2020-02-01T00:00:00.000+08:00" },
		{ "America/New_York", "2020-03-08T06:59:59.999Z", "2020-03-08T01:59:59.999-05:00" },
		{ "America/New_York", "2020-03-08T07:00:00.000Z", "2020-03-08T03:00:00.000-04:00" },
		{ "Asia/Kathmandu", "2020-12-31T18:15:00.000Z", "2021-01-01T00:00:00.000+05:45" },
		{ "Europe/London", "2150-07-01T00:00:00.000Z", "2150-07-01T01:00:00.000+01:00" }, // by the rule behind the table
		{ "+08:00", "2020-01-15T16:30:00.000Z", "2020-01-16T00:30:00.000+08:00" },
		{ "-03:30", "2020-01-01T00:00:00.000Z", "2019-12-31T20:30:00.000-03:30" },
		{ "UTC", "2020-01-15T00:01:00.000Z", "2020-01-15T00:01:00.000+00:00" },
		{ "Africa/Monrovia", "1971-06-01T00:00:00.000Z", "1971-06-01T00:00:00.000Z" }, // 44 minutes and 30 seconds: RFC 3339 cannot say that
	};
	char b[TIME_TEXT];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(zone_freep) struct zone *z = NULL;
		int64_t ms = 0, back = 0;
		cr_assert_eq(zone_open(cases[i].zone, &z, NULL), ERROR_NONE, "%s", cases[i].zone);
		cr_assert(time_parse_rfc3339(span_of(cases[i].utc), &ms));
		cr_expect_str_eq(time_local_text(z, ms, b), cases[i].local, "%s: %s", cases[i].zone, b);
		cr_expect(time_parse_rfc3339(span_of(b), &back) && back == ms, "%s is another moment", b);
		cr_expect_str_eq(time_local_text(z, INT64_MAX, b), "beyond the years 0-9999");
		cr_expect_str_eq(time_local_text(z, -1000, b), "1969-12-31T23:59:59.000Z");
	}
}

Test(period, months_of_shanghai)
{
	struct zone *z = open_zone("Asia/Shanghai");
	int jan = 2020 * 12, m;
	cr_assert(month_parse(SPAN_LIT("2020-01"), &m));
	cr_assert_eq(m, jan);
	cr_assert_eq(period_start_ms(z, jan), at("2020-01-01T00:00:00+08:00"));
	cr_assert_eq(period_end_ms(z, jan), at("2020-02-01T00:00:00+08:00"));
	cr_assert_eq(period_month(z, at("2019-12-31T15:59:59.999Z")), jan - 1);
	cr_assert_eq(period_month(z, at("2019-12-31T16:00:00Z")), jan);
	cr_assert_eq(period_month(z, period_start_ms(z, MONTH_FIRST)), MONTH_FIRST);
	cr_assert_eq(period_month(z, period_start_ms(z, MONTH_FIRST) - 1), MONTH_NONE);
	cr_assert_eq(period_month(z, period_end_ms(z, MONTH_LAST) - 1), MONTH_LAST);
	cr_assert_eq(period_month(z, period_end_ms(z, MONTH_LAST)), MONTH_NONE);
	cr_assert_eq(period_month(z, INT64_MIN), MONTH_NONE);
	cr_assert_eq(period_month(z, INT64_MAX), MONTH_NONE);
	zone_freep(&z);
	cr_assert_null(z);
}

static void every_month_holds_its_edges(const char *name)
{
	struct zone *z = open_zone(name);
	for (int m = MONTH_FIRST; m <= MONTH_LAST; m++) {
		cr_assert_eq(period_month(z, period_start_ms(z, m)), m);
		cr_assert_eq(period_month(z, period_end_ms(z, m) - 1), m);
	}
	for (int64_t t = period_start_ms(z, MONTH_FIRST); t < period_end_ms(z, MONTH_LAST); t += 39 * 3600 * 1000) {
		int m = period_month(z, t);
		cr_assert(period_start_ms(z, m) <= t && t < period_end_ms(z, m));
	}
	zone_freep(&z);
}

Test(period, every_month_holds_its_edges)
{
	static const char *const names[] = { "Asia/Shanghai", "UTC", "+08:00", "-12:00", "America/New_York", "Australia/Lord_Howe",
		"Asia/Amman", "America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		every_month_holds_its_edges(names[i]);
}

Test(period, a_zone_with_summer_time)
{
	struct zone *z = open_zone("America/New_York");
	cr_assert_eq(period_start_ms(z, 2020 * 12), at("2020-01-01T00:00:00-05:00"));
	cr_assert_eq(period_start_ms(z, 2020 * 12 + 6), at("2020-07-01T00:00:00-04:00"));
	cr_assert_eq(period_start_ms(z, 2199 * 12 + 6), at("2199-07-01T00:00:00-04:00"));
	zone_freep(&z);
	z = open_zone("Asia/Amman"); // went to summer time at midnight of 2016-04-01: that month began at 01:00
	cr_assert_eq(period_start_ms(z, 2016 * 12 + 3), at("2016-04-01T01:00:00+03:00"));
	zone_freep(&z);
	z = open_zone("-03:30");
	cr_assert_eq(period_start_ms(z, 2020 * 12), at("2020-01-01T00:00:00-03:30"));
	cr_assert_str_eq(zone_name(z), "-03:30");
	zone_freep(&z);
}

Test(period, the_environment_is_left_as_it_was)
{
	setenv("TZ", "Europe/Paris", 1);
	struct zone *z = open_zone("Asia/Kathmandu");
	cr_assert_str_eq(getenv("TZ"), "Europe/Paris");
	unsetenv("TZ");
	zone_freep(&z);
	z = open_zone("Asia/Tokyo");
	cr_assert_null(getenv("TZ"));
	cr_assert_eq(period_start_ms(z, 2020 * 12), at("2020-01-01T00:00:00+09:00"));
	zone_freep(&z);
}

Test(period, unknown_zones_are_errors_that_say_what_to_write)
{
	static const char *const bad[] = { "", "Asia/Peking2", "../../etc/passwd", "/etc/localtime", "+8", "+15:00", "+08:60", "CST-8",
		"Asia", "zone.tab", "Asia/Shanghai\n" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct zone *z = NULL;
		struct error e = { 0 };
		cr_assert_eq(zone_open(bad[i], &z, &e), ERROR_ABORT, "%s", bad[i]);
		cr_assert_null(z);
		cr_assert_eq(e.exit_code, EXIT_CONFIG_ERR);
		cr_assert(strstr(e.text, "use a name such as Asia/Shanghai") != NULL, "%s", e.text);
	}
}

Test(period, more_zones_than_are_kept)
{
	struct zone *z[12];
	char name[16];
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "+%02d:30", i);
		z[i] = open_zone(name);
	}
	for (int i = 0; i < 12; i++) {
		cr_assert_eq(period_start_ms(z[i], 2020 * 12), at("2020-01-01T00:00:00Z") - (i * 60 + 30) * 60000);
		zone_freep(&z[i]);
	}
}

static void *open_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		struct zone *z = open_zone(i % 2 != 0 ? "Asia/Shanghai" : "Asia/Tokyo");
		zone_freep(&z);
	}
	return NULL;
}

Test(period, known_zones_may_be_opened_by_several_threads)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, open_often, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

Test(period, month_text)
{
	char b[MONTH_TEXT];
	cr_assert_str_eq(month_text(2020 * 12, b), "2020-01");
	cr_assert_str_eq(month_text(MONTH_LAST, b), "2199-12");
	static const char *const bad[] = { "", "2020", "2020-1", "2020-13", "2020-00", "2020/01", "2020-01 ", "1999-12", "2200-01", "20-2001",
		"2020-0a", "-020-01" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int m = -7;
		cr_assert_not(month_parse(span_of(bad[i]), &m), "%s", bad[i]);
		cr_assert_eq(m, -7);
	}
	for (int m = MONTH_FIRST; m <= MONTH_LAST; m++) {
		int back;
		cr_assert(month_parse(span_of(month_text(m, b)), &back));
		cr_assert_eq(back, m);
	}
}
