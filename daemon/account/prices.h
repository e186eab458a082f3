// SPDX-License-Identifier: Apache-2.0
// By what a corrected line is priced, where that is not what its month says: the same words in the record that corrected it, in the facts that a
// shard keeps of it, and in its documents:
//
//	{"model":"volume","per":1000,"bounds":"lower-inclusive","tier_basis":"total","tiers":[{"from":0,"price":"2.4"}],"rounding":"half-up"}
//	{"model":"package","package":1000,…}, {"model":"free"}
//
// as in a contract (account.h), with how the amount is rounded. Pure.
#ifndef ACCOUNT_PRICES_H
#define ACCOUNT_PRICES_H

#include <jansson.h>

#include "account/account.h"
#include "base/write.h"

extern const struct plan prices_zero_plan; // price 0, for lines of months at that price
// `plan` NULL: price 0.
struct line_prices prices_of(const struct plan *plan, enum rounding rounding);
// Do they make the same bill of the same calls, whatever these are? NULL: those of the month, which are the same as nothing but themselves.
bool prices_same(const struct line_prices *a, const struct line_prices *b);
const struct line_prices *prices_copy(const struct line_prices *p, struct arena *arena); // NULL: NULL
void prices_write(struct writer *w, const char *key, const struct line_prices *p);
// False: these are none. *ret lies in `arena`; NULL where j is NULL.
bool prices_parse(const json_t *j, struct arena *arena, const struct line_prices **ret);

#endif
