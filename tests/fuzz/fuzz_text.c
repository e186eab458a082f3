// SPDX-License-Identifier: Apache-2.0
// Times, months, integers and prices, and the texts they are written in: what is read, written and read again is the same.
// most: 64
#include "base/money.h"
#include "fuzz.h"
#include "period/period.h"

#define END_OF_TEXT INT64_C(253402300800000) // the year 10000

static void check_time(struct span s)
{
	char text[TIME_TEXT];
	int64_t a = -1, b = -1;
	if (!time_parse_rfc3339(s, &a))
		return;
	fuzz_check(a >= 0 && s.n >= 20);
	fuzz_check(a >= END_OF_TEXT || (time_parse_rfc3339(span_of(time_text(a, text)), &b) && a == b));
}

static void check_month(struct span s)
{
	char text[MONTH_TEXT];
	int month = MONTH_NONE;
	if (month_parse(s, &month))
		fuzz_check(month >= MONTH_FIRST && month <= MONTH_LAST && span_is(s, month_text(month, text)));
}

static void check_numbers(struct span s)
{
	char number[24], hex[24];
	int64_t v = -1;
	uint64_t x = 0;
	if (span_int64(s, &v)) {
		snprintf(number, sizeof(number), "%lld", (long long)v);
		fuzz_check(span_is(s, number)); // one form only
	}
	if (span_hex64(s, &x)) {
		snprintf(hex, sizeof(hex), "%0*llx", (int)s.n, (unsigned long long)x);
		fuzz_check(s.n == strlen(hex) && strncasecmp(s.p, hex, s.n) == 0);
	}
}

static void check_price(struct span s)
{
	char text[MONEY_TEXT];
	int64_t a = -1, b = -1;
	if (!money_parse_price(s, &a))
		return;
	fuzz_check(a >= 0 && a <= INT64_C(1000000000000));
	fuzz_check(money_parse_price(span_of(money_price_text(a, text)), &b) && a == b && strlen(text) <= s.n);
}

FUZZ(s)
{
	check_time(s);
	check_month(s);
	check_numbers(s);
	check_price(s);
}
