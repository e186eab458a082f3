// SPDX-License-Identifier: Apache-2.0
// Money: text and integers there and back, rounding by table, overflow reported.
#include "base/money.h"

#include "table.h"

static bool parse(const char *text, int64_t *ret)
{
	return money_parse_price(span_of(text), ret);
}

Test(money, prices_are_read_exactly)
{
	static const struct {
		const char *text;
		int64_t micro;
	} good[] = {
		{ "2.5", 2500000 }, { "0", 0 }, { "0.000001", 1 }, { "0.0011", 1100 }, { "1", 1000000 }, { "10.10", 10100000 },
		{ "2.500000", 2500000 }, { "1000000", 1000000000000 }, { "999999.999999", 999999999999 }, { "0.0", 0 },
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t micro = -1;
		cr_assert(parse(good[i].text, &micro), "%s", good[i].text);
		cr_assert_eq(micro, good[i].micro, "%s", good[i].text);
	}
}

Test(money, what_is_no_price_is_refused_and_writes_nothing)
{
	static const char *const bad[] = { "", ".", ".5", "5.", "-1", "+1", "1e3", "01", "00.5", "1,5", "1_000", "0.0000001", " 1",
		"1 ", "1.5 ", "1.-5", "1000000.000001", "1000001", "99999999999999999999", "0x1", "1.2.3", "NaN", "２" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t micro = -1;
		cr_assert_not(parse(bad[i], &micro), "`%s`", bad[i]);
		cr_assert_eq(micro, -1);
	}
	int64_t micro = -1;
	cr_assert_not(money_parse_price((struct span){ NULL, 0 }, &micro));
}

Test(money, sums_are_read_further)
{
	int64_t micro = -1;
	cr_assert(money_parse_sum(SPAN_LIT("1000000000000"), &micro));
	cr_assert_eq(micro, INT64_C(1000000000000000000));
	cr_assert(money_parse_sum(SPAN_LIT("2000.00"), &micro));
	cr_assert_eq(micro, 2000000000);
	static const char *const bad[] = { "1000000000000.000001", "1000000000001", "9999999999999999999999", "", "-1", "1e3" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(money_parse_sum(span_of(bad[i]), &micro), "`%s`", bad[i]);
	cr_assert_eq(micro, 2000000000);
}

Test(money, prices_are_written_in_shortest_form)
{
	char b[MONEY_TEXT];
	cr_assert_str_eq(money_price_text(2500000, b), "2.5");
	cr_assert_str_eq(money_price_text(0, b), "0");
	cr_assert_str_eq(money_price_text(1, b), "0.000001");
	cr_assert_str_eq(money_price_text(2178000000, b), "2178");
	cr_assert_str_eq(money_price_text(10100000, b), "10.1");
	cr_assert_str_eq(money_fen_text(0, b), "0.00");
	cr_assert_str_eq(money_fen_text(5, b), "0.05");
	cr_assert_str_eq(money_fen_text(-5, b), "-0.05");
	cr_assert_str_eq(money_fen_text(-1230, b), "-12.30");
	cr_assert_str_eq(money_fen_text(INT64_MIN, b), "-92233720368547758.08");
	cr_assert_str_eq(money_amount_text(0, b), "0");
	cr_assert_str_eq(money_amount_text((amount_pico)2474997500 * 1000000, b), "2474.9975");
	cr_assert_str_eq(money_amount_text((amount_pico)-12300000 * 1000000, b), "-12.3");
	cr_assert_str_eq(money_amount_text(1, b), "0.000000000001");
	amount_pico most = (amount_pico)(~(unsigned __int128)0 >> 1);
	cr_assert_str_eq(money_amount_text(most, b), "170141183460469231731687303.715884105727");
	cr_assert_str_eq(money_amount_text(-most - 1, b), "-170141183460469231731687303.715884105728");
}

static amount_pico amount_of(const char *text)
{
	bool negative = *text == '-';
	amount_pico v = 0;
	int decimals = -1;
	for (text += negative; *text != '\0'; text++) {
		if (*text == '.')
			decimals = 0;
		else {
			v = v * 10 + (*text - '0');
			decimals += decimals >= 0;
		}
	}
	for (int i = decimals < 0 ? 0 : decimals; i < 12; i++)
		v *= 10;
	return negative ? -v : v;
}

static void rounding_row(void *ctx, const struct table_row *row)
{
	(void)ctx;
	cr_assert_eq(row->n, 3);
	enum rounding mode = strcmp(row->field[1], "half-up") == 0 ? ROUND_HALF_UP :
		strcmp(row->field[1], "half-even") == 0 ? ROUND_HALF_EVEN : ROUND_DOWN;
	int64_t fen = 0;
	char b[MONEY_TEXT];
	bool fits = money_round_fen(amount_of(row->field[0]), mode, &fen);
	cr_expect_str_eq(fits ? money_fen_text(fen, b) : "overflow", row->field[2], "line %d: %s", row->line, row->field[0]);
}

Test(money, rounding_table)
{
	table_each("rounding.table", rounding_row, NULL);
}

Test(money, rounding_agrees_with_plain_arithmetic)
{
	for (int thousandths = -100; thousandths <= 100; thousandths++) {
		int64_t up, even, down;
		amount_pico a = (amount_pico)thousandths * 1000000000;
		cr_assert(money_round_fen(a, ROUND_HALF_UP, &up) && money_round_fen(a, ROUND_HALF_EVEN, &even) &&
			money_round_fen(a, ROUND_DOWN, &down));
		int abs = thousandths < 0 ? -thousandths : thousandths, sign = thousandths < 0 ? -1 : 1;
		cr_assert_eq(down, sign * (abs / 10));
		cr_assert_eq(up, sign * ((abs + 5) / 10));
		cr_assert_eq(even, sign * (abs % 10 == 5 ? (abs / 10 + 1) / 2 * 2 : (abs + 5) / 10));
	}
}

Test(money, calls_times_price_is_exact_and_overflow_is_seen)
{
	amount_pico a;
	char b[MONEY_TEXT];
	cr_assert(money_of_calls(2500000, 1000, 989999, &a));
	cr_assert_str_eq(money_amount_text(a, b), "2474.9975");
	cr_assert(money_of_calls(1, 1000000, 1, &a));
	cr_assert_eq(a, 1);
	cr_assert(money_of_calls(1000000000000, 1000, INT64_MAX, &a));
	cr_assert_str_eq(money_amount_text(a, b), "9223372036854775807000");
	cr_assert(money_of_calls(1000000000000, 1, INT64_MAX, &a));
	cr_assert_not(money_of_calls(INT64_MAX, 1, INT64_MAX, &a));
}

// What money_fen_text writes, and nothing else.
Test(money, sums_in_fen)
{
	static const int64_t sums[] = { 0, 1, -1, 99, 100, -1230, 123456789, INT64_MAX, INT64_MIN };
	static const char *const refused[] = { "", "0", ".00", "0.0", "0.000", "00.00", "-0.00", "+1.00", "1,00", "1.0a", "a.00", " 1.00", "1.00 ", "-.50", "1e2.00",
		"--1.00", "1.-1", "92233720368547758.08", "-92233720368547758.09", "9999999999999999999999.00" };
	char b[MONEY_TEXT];
	int64_t fen = 7;
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		cr_assert(money_parse_fen(span_of(money_fen_text(sums[i], b)), &fen), "%s", b);
		cr_expect_eq(fen, sums[i], "%s", b);
	}
	fen = 7;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		cr_expect(!money_parse_fen(span_of(refused[i]), &fen) && fen == 7, "%s", refused[i]);
}
