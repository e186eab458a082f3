// SPDX-License-Identifier: Apache-2.0
#include "tools/paper.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "tools/figure.h"

struct writer {
	FILE *to;
	const struct paper *p;
	int step, wrong;
};

static void __attribute__((format(printf, 2, 3))) step(struct writer *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(w->to, "%2d. ", ++w->step);
	vfprintf(w->to, fmt, ap);
	fputc('\n', w->to);
	va_end(ap);
}

static void __attribute__((format(printf, 2, 3))) line(struct writer *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("    ", w->to);
	vfprintf(w->to, fmt, ap);
	fputc('\n', w->to);
	va_end(ap);
}

// What the settlement says in the place of what was worked out.
static void must_be(struct writer *w, bool equal, const char *what, const char *worked_out, const char *says)
{
	if (equal)
		return;
	w->wrong++;
	fprintf(w->to, "    DOES NOT ADD UP: %s is %s here, but the settlement says %s\n", what, worked_out, says);
}

// --- who, and how many calls --------------------------------------------------------------------------------------------

static void write_head(struct writer *w)
{
	const struct paper *p = w->p;
	fprintf(w->to, "%s", p->service);
	if (p->name != NULL)
		fprintf(w->to, " (%s)", p->name);
	fprintf(w->to, ", %s", p->period);
	if (p->account != NULL)
		fprintf(w->to, ", account %s", p->account);
	if (p->version != NULL)
		fprintf(w->to, ", price book %s", p->version);
	if (p->adjusts)
		fprintf(w->to, ", revision %" PRId64, p->revision);
	fputs("\n\n", w->to);
}

static int64_t write_packs(struct writer *w, int64_t left)
{
	const struct paper *p = w->p;
	char a[FIGURE_TEXT], b[FIGURE_TEXT], c[FIGURE_TEXT];
	if (p->n_packs > 0)
		step(w, "Prepaid packs cover calls next, in this order:");
	for (uint32_t i = 0; i < p->n_packs; i++) {
		int64_t rest;
		if (__builtin_sub_overflow(left, p->packs[i].calls, &rest))
			rest = INT64_MIN; // absurd figures: the sum below does not agree
		line(w, "pack %s: %s - %s = %s", p->packs[i].id, figure_grouped(left, a), figure_grouped(p->packs[i].calls, b), figure_grouped(rest, c));
		left = rest;
	}
	return left;
}

static void write_calls(struct writer *w)
{
	const struct paper *p = w->p;
	char a[FIGURE_TEXT], b[FIGURE_TEXT], c[FIGURE_TEXT];
	step(w, "%s calls were counted in %s.", figure_grouped(p->calls, a), p->period);
	int64_t left;
	if (__builtin_sub_overflow(p->calls, p->free, &left))
		left = INT64_MIN;
	if (p->free > 0 && p->quota >= 0)
		step(w, "%s calls a month are free: %s - %s = %s.", figure_grouped(p->quota, (char[FIGURE_TEXT]){ 0 }), figure_grouped(p->calls, a),
		     figure_grouped(p->free, b), figure_grouped(left, c));
	else if (p->free > 0)
		step(w, "%s of them are free: %s - %s = %s.", figure_grouped(p->free, b), figure_grouped(p->calls, a), b, figure_grouped(left, c));
	else
		step(w, "No free calls hold for this month.");
	if (p->quota >= 0 && p->free >= 0)
		must_be(w, p->free == (p->calls < p->quota ? p->calls : p->quota), "free calls",
			figure_grouped(p->calls < p->quota ? p->calls : p->quota, a), figure_grouped(p->free, b));
	left = write_packs(w, left);
	step(w, "%s calls are billable.", figure_grouped(left, a));
	must_be(w, left == p->billable, "the number of billable calls", a, figure_grouped(p->billable, b));
}

// --- the tier and its price ---------------------------------------------------------------------------------------------

static void range_text(const struct plan *plan, uint32_t tier, char *buf, size_t size)
{
	char lo[FIGURE_TEXT], hi[FIGURE_TEXT] = "no end";
	bool upper = plan->bounds == BOUNDS_UPPER_INCLUSIVE, last = tier + 1 == plan->n_tiers;
	figure_grouped(plan->tiers[tier].bound, lo);
	if (!last)
		figure_grouped(plan->tiers[tier + 1].bound, hi);
	snprintf(buf, size, "%s%s, %s%s", upper ? "(" : "[", lo, hi, upper && !last ? "]" : ")");
}

static void write_tier(struct writer *w)
{
	const struct paper *p = w->p;
	int64_t count = p->tier_basis == TIER_BY_TOTAL ? p->calls : p->billable;
	char a[FIGURE_TEXT], per[FIGURE_TEXT], price[MONEY_TEXT], range[120] = "";
	if (p->plan != NULL && p->tier < p->plan->n_tiers)
		range_text(p->plan, p->tier, range, sizeof(range));
	step(w, "The tier is picked by %s: %s.", p->tier_basis == TIER_BY_TOTAL ? "all calls, free ones too" : "the billable calls", figure_grouped(count, a));
	line(w, "That is tier %u%s%s: %s %s %s%s%s. Volume price: the tier reached prices all billable calls.", p->tier + 1,
	     range[0] != '\0' ? ", " : "", range, money_price_text(p->price_micro, price), p->currency,
	     p->per == 1 ? "" : "per ", p->per == 1 ? "a call" : figure_grouped(p->per, per), p->per == 1 ? "" : " calls");
	if (p->plan == NULL)
		return;
	uint32_t tier = rating_tier(p->plan, count);
	char says[16], worked[16], list[MONEY_TEXT];
	snprintf(worked, sizeof(worked), "%u", tier + 1);
	snprintf(says, sizeof(says), "%u", p->tier + 1);
	must_be(w, tier == p->tier, "the tier", worked, says);
	must_be(w, p->plan->tiers[tier].price_micro == p->price_micro && p->plan->per == p->per, "the price of the price book",
		money_price_text(p->plan->tiers[tier].price_micro, list), price);
}

static amount_pico fee_of(const struct plan *plan, uint32_t tier)
{
	return plan != NULL && tier < plan->n_tiers ? (amount_pico)plan->tiers[tier].flat_micro * 1000000 : 0;
}

// One multiplication, with the tier's fee behind it; what comes out. `total` is what the settlement has for it.
static void write_product(struct writer *w, uint32_t tier, int64_t units, int64_t price_micro, amount_pico total)
{
	const struct paper *p = w->p;
	bool blocks = p->plan != NULL && p->plan->model == MODEL_PACKAGE;
	char a[FIGURE_TEXT], per[FIGURE_TEXT], price[MONEY_TEXT], amount[MONEY_TEXT], fee[MONEY_TEXT];
	amount_pico product, due = fee_of(p->plan, tier);
	if (!money_of_calls(price_micro, p->per, units, &product)) {
		must_be(w, false, "the product", "beyond all amounts", money_amount_text(total, amount));
		return;
	}
	figure_grouped(units, a);
	money_price_text(price_micro, price);
	money_amount_text(product, amount);
	if (p->per == 1)
		line(w, "%s %s × %s = %s %s", a, blocks ? "blocks" : "calls", price, amount, p->currency);
	else
		line(w, "%s calls × %s / %s = %s %s", a, price, figure_grouped(p->per, per), amount, p->currency);
	if (product != total && due != 0 && product + due == total) {
		line(w, "and the fee of tier %u: %s + %s = %s %s", tier + 1, amount, money_amount_text(due, fee), money_amount_text(total, price),
		     p->currency);
		return;
	}
	char says[MONEY_TEXT];
	must_be(w, product == total, "the amount", amount, money_amount_text(total, says));
	if (p->plan == NULL && total > product)
		line(w, "A fee of the tier would explain more: give --catalog to see whether there is one.");
}

static void write_slices(struct writer *w)
{
	const struct paper *p = w->p;
	amount_pico sum = 0;
	char a[MONEY_TEXT], b[MONEY_TEXT], range[120];
	const char *how = p->plan == NULL ? "Each slice has its own price:" :
		p->plan->model == MODEL_GRADUATED ? "Graduated price: each tier prices its own slice of the calls." :
		p->plan->model == MODEL_PACKAGE ? "Price per block: every block begun counts whole." : "One price for every call.";
	step(w, "%s", how);
	if (p->plan != NULL && p->plan->model == MODEL_PACKAGE) {
		char calls[FIGURE_TEXT], block[FIGURE_TEXT];
		line(w, "A block is %s calls; %s calls are billable.", figure_grouped(p->plan->package, block), figure_grouped(p->billable, calls));
	}
	for (uint32_t i = 0; i < p->n_slices; i++) {
		const struct rating_slice *s = &p->slices[i];
		if (p->plan != NULL && p->plan->n_tiers > 1 && s->tier < p->plan->n_tiers) {
			range_text(p->plan, s->tier, range, sizeof(range));
			line(w, "Tier %u, %s:", s->tier + 1, range);
		}
		write_product(w, s->tier, s->calls, s->price_micro, s->amount);
		if (__builtin_add_overflow(sum, s->amount, &sum))
			sum = 0;
	}
	if (p->n_slices > 1)
		line(w, "Together: %s %s", money_amount_text(sum, a), p->currency);
	if (p->n_slices == 0)
		line(w, "Nothing is billable: 0 %s", p->currency);
	must_be(w, sum == p->exact, "the sum", money_amount_text(sum, a), money_amount_text(p->exact, b));
}

// --- the whole ----------------------------------------------------------------------------------------------------------

static void write_rounding(struct writer *w)
{
	const struct paper *p = w->p;
	char exact[MONEY_TEXT], charge[MONEY_TEXT], says[MONEY_TEXT];
	int64_t fen;
	bool fits = money_round_fen(p->exact, p->rounding, &fen);
	step(w, "Rounded to 0.01, %s: %s becomes %s.", rounding_text(p->rounding), money_amount_text(p->exact, exact),
	     fits ? money_fen_text(fen, charge) : "more than a charge can be");
	must_be(w, fits && fen == p->charge_fen, "the charge", fits ? charge : "too large", money_fen_text(p->charge_fen, says));
}

// What the price book makes of the same calls: catches what is consistent in itself, but not what the book says.
static void check_against_book(struct writer *w)
{
	const struct paper *p = w->p;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct rating_pack packs[RATING_MAX_PACKS];
	struct bill b;
	char a[MONEY_TEXT], c[MONEY_TEXT];
	int64_t quota = p->calls < p->plan->quota ? p->calls : p->plan->quota;
	bool activation = p->free == 0 && p->plan->first_month == FIRST_MONTH_NEXT;
	must_be(w, p->free == quota || activation, "the number of free calls by the price book", figure_grouped(quota, a), figure_grouped(p->free, c));
	for (uint32_t i = 0; i < p->n_packs; i++)
		packs[i] = (struct rating_pack){ span_of(p->packs[i].id), p->packs[i].calls };
	if (!rating_bill(p->plan, p->free, p->calls, packs, p->n_packs, p->rounding, slices, &b))
		must_be(w, false, "the bill by the price book", "beyond all amounts", money_amount_text(p->exact, c));
	else
		must_be(w, b.exact == p->exact, "the bill by the price book", money_amount_text(b.exact, a), money_amount_text(p->exact, c));
}

static void write_adjustment(struct writer *w)
{
	const struct paper *p = w->p;
	char a[MONEY_TEXT], b[MONEY_TEXT], c[MONEY_TEXT], calls[FIGURE_TEXT];
	int64_t difference;
	if (__builtin_sub_overflow(p->charge_fen, p->adjusts_charge_fen, &difference))
		difference = 0;
	step(w, "Revision %" PRId64 " charged %s for %s calls: %s - %s = %s is the difference.", p->adjusts_revision,
	     money_fen_text(p->adjusts_charge_fen, b), figure_grouped(p->adjusts_calls, calls), money_fen_text(p->charge_fen, a), b,
	     money_fen_text(difference, c));
	must_be(w, difference == p->difference_fen, "the difference", c, money_fen_text(p->difference_fen, a));
}

int paper_write(FILE *to, const struct paper *p)
{
	struct writer w = { .to = to, .p = p };
	char charge[MONEY_TEXT], other[MONEY_TEXT];
	write_head(&w);
	write_calls(&w);
	if (p->free_month) {
		step(&w, "The month is at price 0: calls are metered and shown, nothing is charged.");
	} else if (p->sliced) {
		write_slices(&w);
	} else {
		write_tier(&w);
		step(&w, "The charge:");
		write_product(&w, p->tier, p->billable, p->price_micro, p->exact);
	}
	write_rounding(&w);
	if (p->plan != NULL && p->calls > 0)
		check_against_book(&w);
	if (p->adjusts)
		write_adjustment(&w);
	if (p->has_freeze)
		step(&w, "Released from the last freeze: %s. Frozen for the next month: %s.", money_fen_text(p->unfreeze_fen, charge),
		     money_fen_text(p->freeze_fen, other));
	fprintf(to, "\nCharge: %s %s", money_fen_text(p->charge_fen, charge), p->currency);
	if (p->adjusts)
		fprintf(to, ", difference %s", money_fen_text(p->difference_fen, other));
	fputc('\n', to);
	return w.wrong;
}
