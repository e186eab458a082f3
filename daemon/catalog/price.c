// SPDX-License-Identifier: Apache-2.0
#include "catalog/price.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

const char *const words_models[] = { "volume", "graduated", "flat", "package", "free", NULL };
const char *const words_bounds[] = { "lower-inclusive", "upper-inclusive", NULL };
const char *const words_tier_bases[] = { "total", "billable", NULL };
const char *const words_roundings[] = { "half-up", "half-even", "down", NULL };
const char *const words_first_months[] = { "immediate", "next", NULL };

// Always false: what was judged has a flaw.
static bool flaw(const struct price_judge *j, enum price_place place, uint32_t tier, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static bool flaw(const struct price_judge *j, enum price_place place, uint32_t tier, const char *fmt, ...)
{
	char text[PRICE_FLAW_TEXT];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check(n >= 0);
	j->flaw(j->ctx, place, tier, text);
	return false;
}

bool price_judge_count(const struct price_judge *j, enum pricing_model model, uint32_t n)
{
	if (n == 0 || n > PRICE_TIERS_MOST)
		return flaw(j, PRICE_TIER_LIST, 0, "%u tiers: there must be 1 to %d; the first begins at 0", n, PRICE_TIERS_MOST);
	if (model == MODEL_FLAT && n > 1)
		return flaw(j, PRICE_TIER, 1, "model flat has one price: remove the other tiers, or use volume or graduated");
	return true;
}

static bool judge_end(const struct price_judge *j, const struct price_tier *tiers, uint32_t i, uint32_t n, int64_t end)
{
	if (i + 1 == n)
		return flaw(j, PRICE_TIER_TO, i, "the last tier has no end: remove its `to`");
	long long to = end, next = tiers[i + 1].bound;
	if (end <= tiers[i].bound)
		return flaw(j, PRICE_TIER_TO, i, "the tier ends at %lld, where or before it begins: `to` must be %lld", to, next);
	if (to < next)
		return flaw(j, PRICE_TIER_TO, i, "gap between tiers: nothing prices the calls from %lld to %lld; let the next tier begin at %lld, or this "
			    "one end at %lld", to, next, to, next);
	if (to > next)
		return flaw(j, PRICE_TIER_TO, i, "overlap of tiers: this one ends at %lld, the next begins at %lld; make them equal", to, next);
	return true;
}

bool price_judge_tiers(const struct price_judge *j, const struct price_tier *tiers, const int64_t *ends, uint32_t n)
{
	bool ok = true;
	for (uint32_t i = 0; i < n; i++) {
		long long bound = tiers[i].bound, before = i > 0 ? tiers[i - 1].bound : -1;
		if (i == 0 && bound != 0)
			ok = flaw(j, PRICE_TIER_FROM, i, "the first tier begins at %lld: it must begin at 0", bound);
		if (bound == before)
			ok = flaw(j, PRICE_TIER_FROM, i, "two tiers begin at %lld: remove one of them", bound);
		if (bound < before)
			ok = flaw(j, PRICE_TIER_FROM, i, "tiers are not in order: %lld stands after %lld", bound, before);
	}
	for (uint32_t i = 0; i < n; i++)
		ok = (ends[i] < 0 || judge_end(j, tiers, i, n, ends[i])) && ok;
	return ok;
}

bool price_judge_per(const struct price_judge *j, int64_t per)
{
	int64_t power = 1;
	while (power < per && power < 1000000)
		power *= 10;
	return power == per || flaw(j, PRICE_PER, 0, "`per` is %lld: it must be 1, 10, 100, 1000, 10000, 100000 or 1000000, so that prices stay exact",
				    (long long)per);
}

bool price_judge_not_free(const struct price_judge *j, const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_tiers; i++)
		if (p->tiers[i].price_micro != 0 || p->tiers[i].flat_micro != 0)
			return true;
	return flaw(j, PRICE_ENTRY, 0, "every price is 0: write `model: free` for months at price 0, which have no tiers, free calls or settlements");
}

const char *price_text_flaw(const char *what, struct span text, const char *most, char ret[PRICE_FLAW_TEXT])
{
	const char *point = memchr(text.p, '.', text.n);
	size_t decimals = point != NULL ? (size_t)(text.p + text.n - point) - 1 : 0;
	bool digits_only = text.n > 0 && (point == NULL || memchr(point + 1, '.', decimals) == NULL);
	for (size_t i = 0; i < text.n; i++)
		digits_only = digits_only && ((text.p[i] >= '0' && text.p[i] <= '9') || text.p[i] == '.');
	int n = (int)(text.n < 40 ? text.n : 40);
	if (text.n > 0 && text.p[0] == '-')
		snprintf(ret, PRICE_FLAW_TEXT, "%s `%.*s` is negative: 0 is the least", what, n, text.p);
	else if (digits_only && decimals > 6)
		snprintf(ret, PRICE_FLAW_TEXT, "%s `%.*s` has %zu decimals: at most 6 are exact%s", what, n, text.p, decimals,
			 strstr(what, "price") != NULL ? "; give the price for more calls with `per`" : "");
	else if (digits_only && text.p[0] != '.' && text.p[0] != '0' && (point == NULL || decimals > 0))
		snprintf(ret, PRICE_FLAW_TEXT, "%s `%.*s` is too large: at most %s", what, n, text.p, most);
	else
		snprintf(ret, PRICE_FLAW_TEXT, "%s `%.*s` is not a decimal: write it such as 2.5 or 0.8", what, n, text.p);
	return ret;
}
