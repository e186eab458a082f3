// SPDX-License-Identifier: Apache-2.0
// Decimal text to integers and back, and the one place that rounds. Nothing here knows what is being paid for.
#include "base/money.h"

#include <stdio.h>

#include "base/check.h"

#define MICRO INT64_C(1000000)
#define PICO_PER_MICRO INT64_C(1000000)
#define PICO_PER_FEN INT64_C(10000000000)
#define PRICE_MOST_MICRO INT64_C(1000000000000)
#define SUM_MOST_MICRO INT64_C(1000000000000000000)
enum { PRICE_DECIMALS = 6, AMOUNT_DECIMALS = 12 };

static bool parse_decimal(struct span text, int64_t most_micro, int64_t *ret_micro)
{
	int64_t micro = 0;
	size_t i = 0;
	for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
		micro = micro * 10 + (text.p[i] - '0');
		if (micro > most_micro / MICRO)
			return false;
	}
	if (i == 0 || (text.p[0] == '0' && i > 1))
		return false;
	micro *= MICRO;
	if (i < text.n) {
		if (text.p[i] != '.')
			return false;
		size_t decimals = text.n - ++i;
		if (decimals == 0 || decimals > PRICE_DECIMALS)
			return false;
		for (int64_t unit = MICRO / 10; i < text.n; i++, unit /= 10) {
			if (text.p[i] < '0' || text.p[i] > '9')
				return false;
			micro += (text.p[i] - '0') * unit;
		}
	}
	if (micro > most_micro)
		return false;
	*ret_micro = micro;
	return true;
}

bool money_parse_price(struct span text, int64_t *ret_micro)
{
	return parse_decimal(text, PRICE_MOST_MICRO, ret_micro);
}

bool money_parse_sum(struct span text, int64_t *ret_micro)
{
	return parse_decimal(text, SUM_MOST_MICRO, ret_micro);
}

// Read with its point left out, then written again: there is one text for each sum.
bool money_parse_fen(struct span text, int64_t *ret_fen)
{
	char again[MONEY_TEXT];
	int64_t fen = 0;
	bool minus = text.n > 0 && text.p[0] == '-';
	for (size_t i = minus; i < text.n; i++) {
		if (i + 3 == text.n && text.p[i] == '.')
			continue;
		int64_t digit = minus ? '0' - text.p[i] : text.p[i] - '0';
		if (text.p[i] < '0' || text.p[i] > '9' || __builtin_mul_overflow(fen, 10, &fen) || __builtin_add_overflow(fen, digit, &fen))
			return false;
	}
	if (!span_is(text, money_fen_text(fen, again)))
		return false;
	*ret_fen = fen;
	return true;
}

// value * 10^-decimals with at least `least` decimals. 39 digits, a sign and a point fit MONEY_TEXT.
static const char *decimal_text(amount_pico value, int decimals, int least, char buf[MONEY_TEXT])
{
	char digits[MONEY_TEXT]; // lowest first
	int n = 0;
	bool negative = value < 0;
	unsigned __int128 rest = negative ? -(unsigned __int128)value : (unsigned __int128)value;
	for (; rest > UINT64_MAX; rest /= 10)
		digits[n++] = (char)('0' + (int)(rest % 10));
	for (uint64_t low = (uint64_t)rest; low != 0 || n <= decimals; low /= 10) // nearly all of them, at a fraction of the price
		digits[n++] = (char)('0' + (int)(low % 10));
	int first = 0; // the lowest digit that is shown
	while (first < decimals - least && digits[first] == '0')
		first++;
	int out = 0;
	if (negative)
		buf[out++] = '-';
	for (int i = n - 1; i >= first; i--) {
		buf[out++] = digits[i];
		if (i == decimals && i > first)
			buf[out++] = '.';
	}
	buf[out] = '\0';
	check(out < MONEY_TEXT);
	return buf;
}

const char *money_price_text(int64_t price_micro, char buf[MONEY_TEXT])
{
	return decimal_text(price_micro, PRICE_DECIMALS, 0, buf);
}

const char *money_amount_text(amount_pico amount, char buf[MONEY_TEXT])
{
	return decimal_text(amount, AMOUNT_DECIMALS, 0, buf);
}

const char *money_fen_text(int64_t fen, char buf[MONEY_TEXT])
{
	return decimal_text(fen, 2, 2, buf);
}

static bool divide_rounded(amount_pico amount, amount_pico divisor, enum rounding mode, int64_t *ret)
{
	amount_pico whole = amount / divisor; // towards zero
	amount_pico rest = amount % divisor;
	amount_pico twice = 2 * (rest < 0 ? -rest : rest);
	bool away = false;
	switch (mode) {
	case ROUND_HALF_UP:
		away = twice >= divisor;
		break;
	case ROUND_HALF_EVEN:
		away = twice > divisor || (twice == divisor && whole % 2 != 0);
		break;
	case ROUND_DOWN:
		break;
	}
	if (away)
		whole += amount < 0 ? -1 : 1;
	if (whole > INT64_MAX || whole < INT64_MIN)
		return false;
	*ret = (int64_t)whole;
	return true;
}

bool money_round_fen(amount_pico amount, enum rounding mode, int64_t *ret_fen)
{
	return divide_rounded(amount, PICO_PER_FEN, mode, ret_fen);
}

bool money_round_share_fen(amount_pico amount, int64_t share_micro, enum rounding mode, int64_t *ret_fen)
{
	amount_pico share;
	if (__builtin_mul_overflow(amount, (amount_pico)share_micro, &share))
		return false;
	return divide_rounded(share, (amount_pico)PICO_PER_FEN * MICRO, mode, ret_fen);
}

bool money_of_calls(int64_t price_micro, int64_t per, int64_t calls, amount_pico *ret)
{
	check(per > 0 && PICO_PER_MICRO % per == 0);
	amount_pico product = (amount_pico)price_micro * calls; // of two 64-bit numbers: always fits
	return !__builtin_mul_overflow(product, (amount_pico)(PICO_PER_MICRO / per), ret);
}
