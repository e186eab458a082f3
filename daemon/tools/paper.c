// SPDX-License-Identifier: Apache-2.0
#include "tools/paper.h"

#include <string.h>

#include "tools/paper_inner.h"

void paper_step_(struct paper_writer *w, enum paper_text id, const char *const *args, uint32_t n)
{
	fprintf(w->to, "%2d. ", ++w->step);
	paper_put(w->to, w->p->lang, id, args, n);
	fputc('\n', w->to);
}

void paper_line_(struct paper_writer *w, enum paper_text id, const char *const *args, uint32_t n)
{
	fputs("    ", w->to);
	paper_put(w->to, w->p->lang, id, args, n);
	fputc('\n', w->to);
}

void paper_must_be(struct paper_writer *w, bool equal, enum paper_text what, const char *worked_out, const char *says)
{
	if (equal)
		return;
	w->wrong++;
	paper_line(w, WRONG, paper_sentence(w->p->lang, what), worked_out, says);
}

// --- who, and how many calls --------------------------------------------------------------------------------------------

static void put(const struct paper_writer *w, enum paper_text id, const char *const *args, uint32_t n)
{
	paper_put(w->to, w->p->lang, id, args, n);
}

static void write_head(struct paper_writer *w)
{
	const struct paper *p = w->p;
	put(w, PAPER_HEAD, PAPER_ARGS(p->service));
	if (p->name != NULL)
		put(w, PAPER_HEAD_NAME, PAPER_ARGS(p->name));
	put(w, PAPER_HEAD_PERIOD, PAPER_ARGS(p->period));
	if (p->account != NULL)
		put(w, PAPER_HEAD_ACCOUNT, PAPER_ARGS(p->account));
	if (p->version != NULL)
		put(w, PAPER_HEAD_BOOK, PAPER_ARGS(p->version));
	if (p->contract != NULL)
		put(w, PAPER_HEAD_CONTRACT, PAPER_ARGS(p->contract));
	if (p->adjusts)
		put(w, PAPER_HEAD_REVISION, PAPER_ARGS(COUNT(p->revision)));
	fputs("\n\n", w->to);
}

static int64_t less(int64_t a, int64_t b)
{
	int64_t rest;
	return __builtin_sub_overflow(a, b, &rest) ? INT64_MIN : rest; // absurd figures: the sums below do not agree
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void write_shared(struct paper_writer *w, int64_t left)
{
	const struct paper *p = w->p;
	const struct paper_shared *s = &p->shared;
	int64_t rest = s->taken < s->calls ? s->calls - s->taken : 0;
	paper_step(w, FREE_SHARED, COUNT(s->calls), s->services, s->id);
	if (p->adjusts && p->before_known) {
		paper_line(w, FREE_SHARED_LATE, COUNT(p->before_free), COUNT(less(p->free, p->before_free)));
		paper_must_be(w, p->free >= p->before_free, PAPER_IS_FREE, COUNT(p->before_free), COUNT(p->free));
	} else if (!p->adjusts) {
		paper_line(w, FREE_SHARED_TAKEN, COUNT(s->taken), COUNT(s->calls), COUNT(rest));
	}
	paper_line(w, FREE_SHARED_GET, COUNT(p->free), COUNT(p->calls), COUNT(left));
	if (!p->adjusts)
		paper_must_be(w, p->free == least(p->calls, rest), PAPER_IS_FREE, COUNT(least(p->calls, rest)), COUNT(p->free));
}

// What packs covered before late calls came is not covered by free calls afterwards.
static int64_t open_calls(const struct paper *p)
{
	return p->adjusts && p->before_known ? less(p->calls, p->before_packs) : p->calls;
}

// As a correction says, or, of late calls that came after one, as it left them: more are free only where all of them were.
static void write_free_corrected(struct paper_writer *w, int64_t left)
{
	const struct paper *p = w->p;
	if (p->correction) {
		paper_step(w, FREE_CORRECTED, COUNT(p->free), COUNT(p->calls), COUNT(left));
		return;
	}
	paper_step(w, FREE_KEPT, COUNT(p->free), COUNT(p->calls), COUNT(left));
	bool all = p->before_free == p->adjusts_calls, known = p->before_known && (!all || (p->quota >= 0 && p->shared.id == NULL));
	int64_t free = !all || p->before_free > p->quota ? p->before_free : p->quota;
	if (known)
		paper_must_be(w, p->free == least(open_calls(p), free), PAPER_IS_FREE, COUNT(least(open_calls(p), free)), COUNT(p->free));
}

static void write_free(struct paper_writer *w, int64_t left)
{
	const struct paper *p = w->p;
	if (p->corrected != NULL) {
		write_free_corrected(w, left);
		return;
	}
	if (p->shared.id != NULL) {
		write_shared(w, left);
		return;
	}
	if (p->free > 0 && p->quota >= 0)
		paper_step(w, FREE_OF_MONTH, COUNT(p->quota), COUNT(p->calls), COUNT(p->free), COUNT(left));
	else if (p->free > 0)
		paper_step(w, FREE_SOME, COUNT(p->free), COUNT(p->calls), COUNT(left));
	else if (p->quota_first && p->quota == 0)
		paper_step(w, FREE_FIRST);
	else
		paper_step(w, FREE_NONE);
	int64_t free = least(open_calls(p), p->quota);
	if (free < least(p->calls, p->quota))
		paper_line(w, FREE_OPEN, COUNT(p->calls), COUNT(p->before_packs), COUNT(open_calls(p)));
	if (p->quota >= 0 && p->free >= 0)
		paper_must_be(w, p->free == free, PAPER_IS_FREE, COUNT(free), COUNT(p->free));
}

static int64_t write_packs(struct paper_writer *w, int64_t left)
{
	const struct paper *p = w->p;
	if (p->n_packs > 0)
		paper_step(w, PACKS);
	for (uint32_t i = 0; i < p->n_packs; i++) {
		const struct paper_pack *k = &p->packs[i];
		int64_t rest = less(left, k->calls);
		if (k->size > 0)
			paper_line(w, PACK_OF, k->id, COUNT(left), COUNT(k->calls), COUNT(rest), COUNT(k->size), k->from, k->until);
		else
			paper_line(w, PACK, k->id, COUNT(left), COUNT(k->calls), COUNT(rest));
		left = rest;
	}
	return left;
}

static void write_calls(struct paper_writer *w)
{
	const struct paper *p = w->p;
	paper_step(w, CALLS, COUNT(p->calls), p->period);
	if (p->correction && p->calls == p->adjusts_calls) {
		paper_line(w, CALLS_AS_THEY_WERE, p->corrected);
	} else if (p->correction) {
		paper_line(w, CALLS_CORRECTED, p->corrected, COUNT(p->adjusts_calls), COUNT(p->calls));
	} else if (p->adjusts) {
		int64_t late = less(p->calls, p->adjusts_calls);
		paper_line(w, CALLS_LATE, COUNT(late), COUNT(p->adjusts_calls), COUNT(p->calls));
		if (p->corrected != NULL)
			paper_line(w, RESTS_ON, p->corrected);
		paper_must_be(w, late > 0, PAPER_IS_LATE, COUNT(late), ">= 1");
	}
	if (p->reason != NULL)
		paper_line(w, REASON, p->reason);
	if (p->question != NULL)
		paper_line(w, QUESTION, p->question);
	int64_t left = less(p->calls, p->free);
	write_free(w, left);
	left = write_packs(w, left);
	paper_step(w, BILLABLE, COUNT(left));
	paper_must_be(w, left == p->billable, PAPER_IS_BILLABLE, COUNT(left), COUNT(p->billable));
}

// --- the whole ----------------------------------------------------------------------------------------------------------

static const char *rounding_words(const struct paper *p)
{
	static const enum paper_text words[] = { [ROUND_HALF_UP] = PAPER_ROUND_HALF_UP, [ROUND_HALF_EVEN] = PAPER_ROUND_HALF_EVEN,
						 [ROUND_DOWN] = PAPER_ROUND_DOWN };
	return paper_sentence(p->lang, words[p->rounding]);
}

static void write_rounding(struct paper_writer *w)
{
	const struct paper *p = w->p;
	int64_t fen;
	bool fits = money_round_fen(p->exact, p->rounding, &fen);
	const char *charge = fits ? FEN(fen) : paper_sentence(p->lang, PAPER_BEYOND);
	paper_step(w, ROUNDED, rounding_words(p), AMOUNT(p->exact), charge);
	paper_must_be(w, fits && fen == p->charge_fen, PAPER_IS_CHARGE, charge, FEN(p->charge_fen));
}

// What the terms make of the same calls: catches what is consistent in itself, but not what they say.
static void check_against_book(struct paper_writer *w)
{
	const struct paper *p = w->p;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct bill b;
	bool whole = p->free >= 0 && p->billable >= 0 && p->free <= p->calls && p->billable <= p->calls - p->free;
	if (!whole || !rating_charge(p->plan, p->calls, p->free, p->billable, p->rounding, slices, &b))
		paper_must_be(w, false, PAPER_IS_BILL_BY_BOOK, paper_sentence(p->lang, PAPER_BEYOND), AMOUNT(p->exact));
	else
		paper_must_be(w, b.exact == p->exact, PAPER_IS_BILL_BY_BOOK, AMOUNT(b.exact), AMOUNT(p->exact));
}

static void write_adjustment(struct paper_writer *w)
{
	const struct paper *p = w->p;
	int64_t difference = less(p->charge_fen, p->adjusts_charge_fen);
	if (p->adjusts_revision == 0 && p->adjusts_calls == 0 && p->adjusts_charge_fen == 0)
		paper_step(w, ADJUSTS_NOTHING, COUNT(p->revision), FEN(p->charge_fen), FEN(difference));
	else
		paper_step(w, ADJUSTS, COUNT(p->revision), COUNT(p->adjusts_revision), FEN(p->adjusts_charge_fen), COUNT(p->adjusts_calls),
			   FEN(p->charge_fen), FEN(difference));
	paper_must_be(w, difference == p->difference_fen, PAPER_IS_DIFFERENCE, FEN(difference), FEN(p->difference_fen));
}

// --- unfreeze and freeze ------------------------------------------------------------------------------------------------

static amount_pico write_freeze_product(struct paper_writer *w)
{
	const struct paper *p = w->p;
	const struct plan *plan = p->freeze_plan;
	char price[PAPER_WORDS];
	if (p->freeze_basis == FREEZE_BILL) {
		paper_step(w, FREEZE_BILL);
		return p->exact;
	}
	uint32_t tier = rating_tier(plan, plan->tier_basis == TIER_BY_TOTAL ? p->calls : p->billable);
	int64_t calls = p->freeze_basis == FREEZE_LIST ? p->calls : p->billable;
	bool blocks = plan->model == MODEL_PACKAGE;
	int64_t units = blocks ? calls / plan->package + (calls % plan->package != 0) : calls;
	amount_pico product = 0;
	paper_step(w, FREEZE_PRICE, COUNT(tier + 1), paper_price_words(p, plan->tiers[tier].price_micro, plan->per, price));
	if (money_of_calls(plan->tiers[tier].price_micro, plan->per, units, &product))
		paper_product(w, units, blocks, plan->tiers[tier].price_micro, plan->per, product);
	return product;
}

static void write_freeze(struct paper_writer *w)
{
	const struct paper *p = w->p;
	int64_t fen = 0;
	if (!p->freeze_known) {
		paper_step(w, FREEZE, FEN(p->freeze_fen));
		return;
	}
	bool fits = true;
	if (p->freezes && p->calls > 0) {
		amount_pico product = write_freeze_product(w);
		struct bill b = { .calls = p->calls, .free = p->free, .billable = p->billable, .exact = p->exact };
		fits = rating_freeze(p->freeze_plan, p->freeze_basis, p->freeze_ratio_micro, &b, p->rounding, &fen);
		paper_line(w, FREEZE_SHARE, AMOUNT(product), PRICE(p->freeze_ratio_micro * 100), fits ? FEN(fen) : paper_sentence(p->lang, PAPER_BEYOND));
	} else {
		paper_step(w, FREEZE_NONE);
	}
	paper_must_be(w, fits && fen == p->freeze_fen, PAPER_IS_FREEZE, FEN(fen), FEN(p->freeze_fen));
}

static void write_freezes(struct paper_writer *w)
{
	const struct paper *p = w->p;
	if (p->adjusts) {
		paper_step(w, FREEZE_LATE);
		paper_must_be(w, p->unfreeze_fen == 0, PAPER_IS_UNFREEZE, FEN(0), FEN(p->unfreeze_fen));
		paper_must_be(w, p->freeze_fen == 0, PAPER_IS_FREEZE, FEN(0), FEN(p->freeze_fen));
		return;
	}
	if (p->unfreeze_period != NULL) {
		paper_step(w, UNFREEZE_OF, FEN(p->unfreeze_was_fen), p->unfreeze_period);
		paper_must_be(w, p->unfreeze_fen == p->unfreeze_was_fen, PAPER_IS_UNFREEZE, FEN(p->unfreeze_was_fen), FEN(p->unfreeze_fen));
	} else {
		paper_step(w, UNFREEZE, FEN(p->unfreeze_fen));
	}
	write_freeze(w);
}

int paper_write(FILE *to, const struct paper *p)
{
	struct paper_writer w = { .to = to, .p = p };
	write_head(&w);
	write_calls(&w);
	if (p->prices != NULL)
		paper_step(&w, PRICES_CORRECTED, p->corrected != NULL ? p->corrected : "?");
	paper_price(&w);
	write_rounding(&w);
	if (p->plan != NULL && p->calls > 0)
		check_against_book(&w);
	if (p->adjusts)
		write_adjustment(&w);
	if (p->has_freeze)
		write_freezes(&w);
	fputc('\n', to);
	put(&w, p->adjusts ? PAPER_TOTAL_DIFFERENCE : PAPER_TOTAL, PAPER_ARGS(FEN(p->charge_fen), p->currency, FEN(p->difference_fen)));
	fputc('\n', to);
	return w.wrong;
}
