// SPDX-License-Identifier: Apache-2.0
// Figures of published documents: decimals as text, back and forth; calls as a person writes them. Pure.
#ifndef BASE_FIGURE_H
#define BASE_FIGURE_H

#include "base/money.h"

enum { FIGURE_TEXT = 40 };

// "-12.30" with `decimals` 2 -> -1230. Strict: no exponent, no sign but '-', no more decimals than these, overflow detected.
bool figure_parse(const char *text, int decimals, amount_pico *ret);
// "-12.30" -> -1230 fen. A text that is NULL is none.
bool figure_fen(const char *text, int64_t *ret);
// 1010000 -> "1,010,000"
const char *figure_grouped(int64_t v, char buf[FIGURE_TEXT]);

#endif
