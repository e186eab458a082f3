// SPDX-License-Identifier: Apache-2.0
// What a price must fulfil, whoever wrote it: the price book in YAML, or a contract in JSON. Readers turn text into integers; whether
// these make a price is judged here, in the same words for both.
#ifndef CATALOG_PRICE_H
#define CATALOG_PRICE_H

#include "catalog/catalog.h"

enum { PRICE_TIERS_MOST = 1024, PRICE_FLAW_TEXT = 300 };

// The words of enums, in their order, ending with NULL. The last model is price 0.
enum { MODEL_WORD_FREE = MODEL_PACKAGE + 1 };
extern const char *const words_models[], *const words_bounds[], *const words_tier_bases[], *const words_first_months[], *const words_roundings[];

// Where a flaw lies in what was read.
enum price_place {
	PRICE_ENTRY,      // in the whole of it
	PRICE_PER,
	PRICE_TIER_LIST,
	PRICE_TIER,       // in tier i
	PRICE_TIER_FROM,  // where it begins
	PRICE_TIER_TO,    // where it ends
};
struct price_judge {
	void (*flaw)(void *ctx, enum price_place place, uint32_t tier, const char *text);
	void *ctx;
};

// `n` tiers as they were counted, before they are read: false when they are too many, none, or more than the model has.
bool price_judge_count(const struct price_judge *j, enum pricing_model model, uint32_t n);
// Their order, and that each ends where the next begins. ends[i]: -1 where nothing was said.
bool price_judge_tiers(const struct price_judge *j, const struct price_tier *tiers, const int64_t *ends, uint32_t n);
bool price_judge_per(const struct price_judge *j, int64_t per);
bool price_judge_not_free(const struct price_judge *j, const struct plan *p);
// Why a text is no price, share or sum of money of at most so much. `what` begins the sentence.
const char *price_text_flaw(const char *what, struct span text, const char *most, char ret[PRICE_FLAW_TEXT]);
#define PRICE_MOST "1000000"
#define PRICE_SUM_MOST "1000000000000"
// A share that raises a warning.
static inline bool price_warn_share(int64_t share_micro) { return share_micro > 0 && share_micro <= 1000000; }

#endif
