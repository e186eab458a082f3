// SPDX-License-Identifier: Apache-2.0
// Money is an integer, always. Two units:
//   price   micro-yuan (10^-6) per `per` calls, int64: prices have up to 6 decimals
//   amount  pico-yuan (10^-12), 128 bit: price_micro * calls * (10^6 / per) is exact for per = 1, 10, … 10^6
//   fen     10^-2 yuan, int64: what is charged, after rounding once a line
// ("yuan" stands for the catalog's currency.) Overflow is reported, never wrapped.
#ifndef BASE_MONEY_H
#define BASE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

__extension__ typedef __int128 amount_pico;

enum rounding { ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN }; // half-up: away from zero at the half

enum { MONEY_TEXT = 64 }; // bytes that hold any of the texts below, with the final NUL

// "2.5" -> 2500000. At most 6 decimals, no sign, no exponent, no leading zeros but "0.", at most 10^12 micro (a million yuan).
bool money_parse_price(struct span text, int64_t *ret_micro);
// The same up to 10^18 micro (10^12 yuan): the price of a whole pack, which no count multiplies.
bool money_parse_sum(struct span text, int64_t *ret_micro);
// "12.30", "-0.05": two decimals, exactly as money_fen_text writes it.
bool money_parse_fen(struct span text, int64_t *ret_fen);
// Shortest form: "2.5", "2178", "0.000001".
const char *money_price_text(int64_t price_micro, char buf[MONEY_TEXT]);
// Shortest form of an exact amount, with sign: "2474.9975", "2178", "-12.3".
const char *money_amount_text(amount_pico amount, char buf[MONEY_TEXT]);
// Always two decimals: "2474.99", "0.00", "-12.30".
const char *money_fen_text(int64_t fen, char buf[MONEY_TEXT]);
// False when the result does not fit.
bool money_round_fen(amount_pico amount, enum rounding mode, int64_t *ret_fen);
// The same for a share of the amount, in millionths (1000000: all of it), rounded once.
bool money_round_share_fen(amount_pico amount, int64_t share_micro, enum rounding mode, int64_t *ret_fen);
// price_micro per `per` calls, times calls. False on overflow. per is a power of ten, 1 … 10^6.
bool money_of_calls(int64_t price_micro, int64_t per, int64_t calls, amount_pico *ret);

#endif
