// SPDX-License-Identifier: Apache-2.0
// Inside the paper: what its files share.
#ifndef TOOLS_PAPER_INNER_H
#define TOOLS_PAPER_INNER_H

#include "base/check.h"
#include "base/figure.h"
#include "tools/paper.h"

struct paper_writer {
	FILE *to;
	const struct paper *p;
	int step, wrong;
};

#define PAPER_ARGS(...) ((const char *const[]){ "", ##__VA_ARGS__ } + 1), (uint32_t)(ARRAY_LEN(((const char *const[]){ "", ##__VA_ARGS__ })) - 1)
// A numbered step, and a line below one. What follows the identifier is put into the sentence.
#define paper_step(w, id, ...) paper_step_(w, PAPER_##id, PAPER_ARGS(__VA_ARGS__))
#define paper_line(w, id, ...) paper_line_(w, PAPER_##id, PAPER_ARGS(__VA_ARGS__))
void paper_step_(struct paper_writer *w, enum paper_text id, const char *const *args, uint32_t n);
void paper_line_(struct paper_writer *w, enum paper_text id, const char *const *args, uint32_t n);
// What the settlement says in the place of what was worked out.
void paper_must_be(struct paper_writer *w, bool equal, enum paper_text what, const char *worked_out, const char *says);

#define AMOUNT(x) money_amount_text(x, (char[MONEY_TEXT]){ 0 })
#define PRICE(x) money_price_text(x, (char[MONEY_TEXT]){ 0 })
#define FEN(x) money_fen_text(x, (char[MONEY_TEXT]){ 0 })
#define COUNT(x) figure_grouped(x, (char[FIGURE_TEXT]){ 0 })

// paper_price.c: the tier and its price, slices, what the price list would charge.
void paper_price(struct paper_writer *w);
enum { PAPER_WORDS = 160 };
// "tier {n}"'s bounds and price in words.
const char *paper_range(const struct paper *p, const struct plan *plan, uint32_t tier, char buf[PAPER_WORDS]);
const char *paper_price_words(const struct paper *p, int64_t price_micro, int64_t per, char buf[PAPER_WORDS]);
void paper_product(struct paper_writer *w, int64_t units, bool blocks, int64_t price_micro, int64_t per, amount_pico product);

#endif
