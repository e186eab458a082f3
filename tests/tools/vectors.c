// SPDX-License-Identifier: Apache-2.0
// Runs rating cases from JSON files against rating/, the code that bills. Two forms are read:
//
//   price pages    tiers {to, price} with `per`, `bounds`, `tier_basis`, `free`, `calls`, `packs`; expect {exact, tier}
//   public suites  tiers {up_to, unit, flat}, bounds inclusive above, `units` that may be fractions, several models
//
// A case without `tier_basis` must hold under both. Fractions of units are run as tenths (hundredths, …) with `per` raised alike:
// what meterd counts is whole. A case that asks for something the price book does not have is skipped, with the reason; it is
// never bent into one that would pass.
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "rating/rating.h"

enum { TIERS_MOST = 64 };
enum verdict { PASS, FAIL, SKIP };

struct vector {
	const json_t *json;
	char why[300];
	// the case as a plan
	struct plan plan;
	struct price_tier tiers[TIERS_MOST];
	int64_t last_end;       // where the last tier ends; INT64_MAX: nowhere
	int64_t scale;          // counts are in 1/scale of the case's units
	int64_t quota;
	struct rating_pack packs[RATING_MAX_PACKS];
	uint32_t n_packs;
	struct rating_slice slices[2][RATING_MAX_SLICES];
};

static enum verdict __attribute__((format(printf, 3, 4))) say(struct vector *v, enum verdict verdict, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
	return verdict;
}

// --- numbers ------------------------------------------------------------------------------------------------------------

static int decimals_of(const char *text)
{
	const char *point = text != NULL ? strchr(text, '.') : NULL;
	int n = 0;
	for (int i = 1; point != NULL && point[i] != '\0'; i++)
		n = point[i] != '0' ? i : n;
	return n;
}

// text * 10^decimals, exactly; false for what is no decimal or has more decimals.
static bool decimal(const char *text, int decimals, amount_pico *ret)
{
	bool negative, point = false, digits = false;
	amount_pico value = 0;
	int left = decimals;
	if (text == NULL)
		return false;
	negative = *text == '-';
	for (text += negative; *text != '\0'; text++) {
		if (*text == '.' && !point) {
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9' || (point && left == 0 && *text != '0'))
			return false;
		digits = true;
		if (point && left == 0)
			continue;
		left -= point;
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
			return false;
	}
	for (; left > 0; left--)
		if (__builtin_mul_overflow(value, 10, &value))
			return false;
	*ret = negative ? -value : value;
	return digits;
}

static const char *text_of(const json_t *from, const char *key)
{
	return json_string_value(json_object_get(from, key));
}

static int scale_decimals(const struct vector *v)
{
	int n = 0;
	for (int64_t s = v->scale; s > 1; s /= 10)
		n++;
	return n;
}

// A number of units as a whole count.
static bool count_of(const struct vector *v, const char *text, int64_t *ret)
{
	amount_pico value;
	if (!decimal(text, scale_decimals(v), &value) || value < 0 || value > INT64_MAX)
		return false;
	*ret = (int64_t)value;
	return true;
}

static bool price_of(const char *text, int64_t *ret)
{
	amount_pico value;
	if (!decimal(text, 6, &value) || value < 0 || value > INT64_C(1000000000000))
		return false;
	*ret = (int64_t)value;
	return true;
}

static bool amount_is(amount_pico amount, const char *want)
{
	amount_pico value;
	return decimal(want, 12, &value) && value == amount;
}

// --- a case as a plan ---------------------------------------------------------------------------------------------------

static void find_scale(struct vector *v)
{
	int most = decimals_of(text_of(v->json, "units"));
	size_t i;
	const json_t *tier;
	json_array_foreach(json_object_get(v->json, "tiers"), i, tier) {
		int n = decimals_of(text_of(tier, "up_to"));
		most = n > most ? n : most;
	}
	for (v->scale = 1; most > 0 && v->scale < 1000000; most--)
		v->scale *= 10;
}

static bool read_tier(struct vector *v, const json_t *tier, bool last)
{
	struct price_tier *t = &v->tiers[v->plan.n_tiers++];
	bool page = json_object_get(tier, "price") != NULL;
	const char *fee = page ? text_of(tier, "fee") : text_of(tier, "flat");
	const json_t *end = json_object_get(tier, page ? "to" : "up_to");
	t->bound = v->last_end;
	v->last_end = INT64_MAX;
	if (!json_is_null(end) && !count_of(v, json_string_value(end), &v->last_end))
		return false;
	if (!last && v->last_end <= t->bound)
		return false;
	return price_of(text_of(tier, page ? "price" : "unit"), &t->price_micro) && (fee == NULL || price_of(fee, &t->flat_micro));
}

static bool read_tiers(struct vector *v)
{
	const json_t *tiers = json_object_get(v->json, "tiers"), *tier;
	size_t i, n = json_array_size(tiers);
	v->last_end = 0;
	if (n == 0 || n > TIERS_MOST)
		return false;
	json_array_foreach(tiers, i, tier)
		if (!read_tier(v, tier, i + 1 == n))
			return false;
	return true;
}

static bool read_packs(struct vector *v)
{
	size_t i;
	const json_t *pack;
	json_array_foreach(json_object_get(v->json, "packs"), i, pack) {
		if (i == RATING_MAX_PACKS || !count_of(v, text_of(pack, "calls"), &v->packs[i].left))
			return false;
		v->packs[v->n_packs++].id = SPAN_LIT("pack");
	}
	return true;
}

static bool read_plan(struct vector *v)
{
	const char *bounds = text_of(v->json, "bounds"), *per = text_of(v->json, "per"), *free_units = text_of(v->json, "free");
	find_scale(v);
	v->plan.tiers = v->tiers;
	v->plan.bounds = bounds != NULL && strcmp(bounds, "lower-inclusive") == 0 ? BOUNDS_LOWER_INCLUSIVE : BOUNDS_UPPER_INCLUSIVE;
	v->plan.fee_at_zero = json_is_true(json_object_get(v->json, "zero_usage_bills_flat"));
	v->plan.per = 1;
	if (per != NULL && (!span_int64(span_of(per), &v->plan.per) || v->plan.per < 1 || v->plan.per > 1000000))
		return false;
	v->plan.per *= v->scale;
	if (v->plan.per > 1000000 || 1000000 % v->plan.per != 0)
		return false;
	if (free_units == NULL)
		free_units = text_of(v->json, "free_units");
	return (free_units == NULL || count_of(v, free_units, &v->quota)) && read_packs(v);
}

static bool bill(struct vector *v, int64_t calls, int which, struct bill *ret)
{
	return rating_bill(&v->plan, v->quota, calls, v->packs, v->n_packs, ROUND_HALF_UP, v->slices[which], ret);
}

// --- what a bill must be ------------------------------------------------------------------------------------------------

// What is charged, amount by amount: of each slice the product and the fee, those of 0 left out.
static int parts_of(const struct vector *v, const struct bill *b, amount_pico parts[2 * TIERS_MOST])
{
	int n = 0;
	for (uint32_t i = 0; i < b->n_slices; i++) {
		const struct rating_slice *s = &b->slices[i];
		amount_pico product;
		check(money_of_calls(s->price_micro, v->plan.per, s->calls, &product));
		if (product != 0)
			parts[n++] = product;
		if (s->amount != product)
			parts[n++] = s->amount - product;
	}
	return n;
}

static bool lines_are(const amount_pico *parts, int n, const json_t *lines)
{
	int at = 0;
	size_t i;
	const json_t *line;
	json_array_foreach(lines, i, line) {
		if (amount_is(0, json_string_value(line)))
			continue;
		if (at == n || !amount_is(parts[at++], json_string_value(line)))
			return false;
	}
	return at == n;
}

static enum verdict expect_amount(struct vector *v, const char *what, amount_pico got, const char *want)
{
	char text[MONEY_TEXT];
	if (amount_is(got, want))
		return PASS;
	return say(v, FAIL, "%s is %s, expected %s", what, money_amount_text(got, text), want != NULL ? want : "(nothing readable)");
}

static enum verdict expect_bill(struct vector *v, const struct bill *b)
{
	const json_t *expect = json_object_get(v->json, "expect"), *tier = json_object_get(expect, "tier");
	const json_t *index = json_object_get(expect, "tier_index"), *cents = json_object_get(expect, "total_cents");
	const char *total = text_of(expect, "exact") != NULL ? text_of(expect, "exact") : text_of(expect, "total");
	const char *quantity = text_of(expect, "quantity"), *packages = text_of(expect, "packages");
	amount_pico parts[2 * TIERS_MOST];
	int64_t n = 0;
	if (tier != NULL && json_integer_value(tier) != (json_int_t)b->tier + 1)
		return say(v, FAIL, "tier is %u, expected %" JSON_INTEGER_FORMAT, b->tier + 1, json_integer_value(tier));
	if (index != NULL && json_integer_value(index) != (json_int_t)b->tier)
		return say(v, FAIL, "tier index is %u, expected %" JSON_INTEGER_FORMAT, b->tier, json_integer_value(index));
	if (cents != NULL && json_integer_value(cents) != b->charge_fen)
		return say(v, FAIL, "charge is %" PRId64 " cents", b->charge_fen);
	if (quantity != NULL && (!count_of(v, quantity, &n) || n != b->billable))
		return say(v, FAIL, "billable is %" PRId64 ", expected %s", b->billable, quantity);
	if (packages != NULL && (!span_int64(span_of(packages), &n) || n != (b->n_slices > 0 ? b->slices[0].calls : 0)))
		return say(v, FAIL, "packages are not %s", packages);
	if (json_is_array(json_object_get(expect, "lines")) &&
	    !lines_are(parts, parts_of(v, b, parts), json_object_get(expect, "lines")))
		return say(v, FAIL, "the lines differ");
	return total == NULL && index != NULL ? PASS : expect_amount(v, "the bill", b->exact, total);
}

// A pack's price is not charged by meterd; where the page names the sum, the packs' own prices make it up.
static enum verdict expect_with_packs(struct vector *v, const struct bill *b)
{
	const char *want = text_of(json_object_get(v->json, "expect"), "with_pack_price");
	amount_pico sum = b->exact, price;
	size_t i;
	const json_t *pack;
	if (want == NULL)
		return PASS;
	json_array_foreach(json_object_get(v->json, "packs"), i, pack) {
		if (!decimal(text_of(pack, "price"), 12, &price))
			return say(v, FAIL, "a pack without a price");
		sum += price;
	}
	return expect_amount(v, "the bill with the packs' prices", sum, want);
}

static enum verdict run_bill(struct vector *v, const char *units)
{
	struct bill b;
	int64_t calls;
	if (!count_of(v, units, &calls))
		return say(v, FAIL, "the number of units is not readable");
	if (calls > v->last_end)
		return say(v, SKIP, "more units than the last tier allows: in the price book the last tier has no end");
	if (!bill(v, calls, 0, &b))
		return say(v, FAIL, "overflow");
	enum verdict verdict = expect_bill(v, &b);
	return verdict == PASS ? expect_with_packs(v, &b) : verdict;
}

// --- models -------------------------------------------------------------------------------------------------------------

static enum verdict run_tiers(struct vector *v, enum pricing_model model)
{
	const char *basis = text_of(v->json, "tier_basis");
	const char *units = text_of(v->json, "calls") != NULL ? text_of(v->json, "calls") : text_of(v->json, "units");
	enum verdict verdict = PASS;
	if (json_is_false(json_object_get(v->json, "final_period")))
		return say(v, SKIP, "asks for a bill before the period's end: a month is charged once, at its end");
	v->plan.model = model;
	if (!read_plan(v) || !read_tiers(v))
		return say(v, FAIL, "the case is not readable");
	for (int i = TIER_BY_TOTAL; i <= TIER_BY_BILLABLE && verdict == PASS; i++) {
		v->plan.tier_basis = (enum tier_basis)i;
		if (basis == NULL || strcmp(basis, tier_basis_text(v->plan.tier_basis)) == 0)
			verdict = run_bill(v, units);
	}
	return verdict;
}

static enum verdict run_unit(struct vector *v)
{
	v->plan.model = MODEL_FLAT;
	v->plan.n_tiers = 1;
	v->last_end = INT64_MAX;
	if (!read_plan(v) || !price_of(text_of(v->json, "unit_price"), &v->tiers[0].price_micro))
		return say(v, FAIL, "the case is not readable");
	return run_bill(v, text_of(v->json, "units"));
}

static bool read_package(struct vector *v)
{
	const char *size = text_of(v->json, "package_size");
	v->plan.model = MODEL_PACKAGE;
	v->plan.n_tiers = 1;
	v->last_end = INT64_MAX;
	return read_plan(v) && v->plan.per == 1 && size != NULL && span_int64(span_of(size), &v->plan.package) && v->plan.package > 0 &&
	       price_of(text_of(v->json, "package_price"), &v->tiers[0].price_micro);
}

static enum verdict run_package(struct vector *v)
{
	const char *rounding = text_of(v->json, "rounding");
	if (rounding != NULL && strcmp(rounding, "up") != 0)
		return say(v, SKIP, "blocks are rounded %s: in the price book every started block counts", rounding);
	if (!read_package(v))
		return say(v, FAIL, "the case is not readable");
	return run_bill(v, text_of(v->json, "units"));
}

static const char *limit_of(const struct vector *v)
{
	static const char *const keys[] = { "minimum", "maximum", "percent_discount" };
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (json_object_get(v->json, keys[i]) != NULL)
			return keys[i];
	return NULL;
}

static enum verdict skip_limit(struct vector *v)
{
	return say(v, SKIP, "has a %s: the price book has none", limit_of(v));
}

// The bill of growing totals, and the difference of each to the one before: how an adjustment is made.
static enum verdict run_totals(struct vector *v, size_t n, const char *(*total_at)(const json_t *, size_t), const json_t *sums,
			       const json_t *differences)
{
	amount_pico before = 0;
	for (size_t i = 0; i < n; i++) {
		struct bill b;
		int64_t calls;
		if (!count_of(v, total_at(v->json, i), &calls) || !bill(v, calls, 0, &b))
			return say(v, FAIL, "a total is not readable, or overflows");
		enum verdict verdict = PASS;
		if (sums != NULL)
			verdict = expect_amount(v, "a sum", b.exact, json_string_value(json_array_get(sums, i)));
		if (verdict == PASS)
			verdict = expect_amount(v, "a difference", b.exact - before, json_string_value(json_array_get(differences, i)));
		if (verdict != PASS)
			return verdict;
		before = b.exact;
	}
	return n > 0 ? PASS : say(v, FAIL, "no totals");
}

static const char *running_total(const json_t *json, size_t i)
{
	return json_string_value(json_array_get(json_object_get(json, "cumulative_units"), i));
}

static const char *snapshot_total(const json_t *json, size_t i)
{
	const json_t *snapshot = json_array_get(json_object_get(json, "snapshots"), i);
	return json_string_value(json_array_get(snapshot, json_array_size(snapshot) - 1));
}

static enum verdict run_volume_running(struct vector *v)
{
	const json_t *expect = json_object_get(v->json, "expect");
	if (limit_of(v) != NULL)
		return skip_limit(v);
	v->plan.model = MODEL_VOLUME;
	v->plan.tier_basis = TIER_BY_BILLABLE;
	if (!read_plan(v) || !read_tiers(v))
		return say(v, FAIL, "the case is not readable");
	return run_totals(v, json_array_size(json_object_get(v->json, "cumulative_units")), running_total,
			  json_object_get(expect, "cumulative"), json_object_get(expect, "deltas"));
}

static enum verdict run_late(struct vector *v)
{
	if (limit_of(v) != NULL)
		return skip_limit(v);
	v->plan.model = MODEL_FLAT;
	v->plan.n_tiers = 1;
	if (!read_plan(v) || !price_of(text_of(v->json, "unit_price"), &v->tiers[0].price_micro))
		return say(v, FAIL, "the case is not readable");
	return run_totals(v, json_array_size(json_object_get(v->json, "snapshots")), snapshot_total, NULL,
			  json_object_get(json_object_get(v->json, "expect"), "invoice_totals"));
}

// What is charged beyond an earlier total: the amounts of each tier, those of 0 left out.
static int difference_parts(const struct bill *from, const struct bill *to, amount_pico parts[2 * TIERS_MOST])
{
	amount_pico by_tier[TIERS_MOST] = { 0 };
	int n = 0;
	for (uint32_t i = 0; i < to->n_slices; i++)
		by_tier[to->slices[i].tier] += to->slices[i].amount;
	for (uint32_t i = 0; i < from->n_slices; i++)
		by_tier[from->slices[i].tier] -= from->slices[i].amount;
	for (int i = 0; i < TIERS_MOST; i++)
		if (by_tier[i] != 0)
			parts[n++] = by_tier[i];
	return n;
}

static enum verdict run_delta(struct vector *v, bool package)
{
	const json_t *expect = json_object_get(v->json, "expect"), *lines = json_object_get(expect, "lines");
	const char *packages = text_of(expect, "packages");
	struct bill from, to;
	int64_t a, b, n;
	amount_pico parts[2 * TIERS_MOST];
	if (limit_of(v) != NULL)
		return skip_limit(v);
	v->plan.model = MODEL_GRADUATED;
	if (package ? !read_package(v) : !read_plan(v) || !read_tiers(v))
		return say(v, FAIL, "the case is not readable");
	if (!count_of(v, text_of(v->json, "from_units"), &a) || !count_of(v, text_of(v->json, "to_units"), &b) || !bill(v, a, 0, &from) ||
	    !bill(v, b, 1, &to))
		return say(v, FAIL, "the units are not readable");
	if (packages != NULL && (!span_int64(span_of(packages), &n) || to.slices[0].calls - from.slices[0].calls != n))
		return say(v, FAIL, "packages are not %s", packages);
	if (lines != NULL && !lines_are(parts, difference_parts(&from, &to, parts), lines))
		return say(v, FAIL, "the lines differ");
	return expect_amount(v, "the difference", to.exact - from.exact, text_of(expect, "total"));
}

// --- blocks: tiers of `max_blocks` blocks of `block_size` units; a started block counts -----------------------------------

static bool read_blocks(struct vector *v, bool *ret_one_size)
{
	const json_t *list = json_object_get(v->json, "block_tiers"), *t;
	size_t i;
	int64_t bound = 0;
	*ret_one_size = true;
	v->last_end = INT64_MAX; // the last tier takes what overflows
	json_array_foreach(list, i, t) {
		const char *size_text = text_of(t, "block_size"), *most_text = text_of(t, "max_blocks");
		int64_t size, most, length;
		if (v->plan.n_tiers == TIERS_MOST || size_text == NULL || most_text == NULL || !span_int64(span_of(size_text), &size) ||
		    !span_int64(span_of(most_text), &most) || size < 1 || !price_of(text_of(t, "price_per_block"), &v->tiers[i].price_micro))
			return false;
		*ret_one_size = *ret_one_size && (i == 0 || size == v->plan.package);
		v->plan.package = size;
		v->tiers[v->plan.n_tiers++].bound = bound;
		if (__builtin_mul_overflow(size, most, &length) || __builtin_add_overflow(bound, length, &bound))
			return false;
	}
	return v->plan.n_tiers > 0;
}

static enum verdict run_blocks(struct vector *v, bool top_tier)
{
	bool one_size;
	const char *billed = text_of(v->json, "already_billed"), *due = text_of(v->json, "due");
	amount_pico a, b, total;
	if (!read_plan(v) || !read_blocks(v, &one_size))
		return say(v, FAIL, "the case is not readable");
	if (!one_size)
		return say(v, SKIP, "blocks of different sizes in one tariff: the price book has one size");
	if (v->plan.package == 1)
		v->plan.model = top_tier ? MODEL_VOLUME : MODEL_GRADUATED;
	else if (top_tier || v->plan.n_tiers == 1)
		v->plan.model = MODEL_PACKAGE;
	else
		return say(v, SKIP, "graduated blocks: in the price book the tier reached prices all blocks");
	if (due != NULL && (!decimal(billed, 12, &a) || !decimal(due, 12, &b) ||
			    !decimal(text_of(json_object_get(v->json, "expect"), "total"), 12, &total) || total - a != b))
		return say(v, FAIL, "what is due is not the total less what was billed");
	return run_bill(v, text_of(v->json, "units"));
}

// --- files --------------------------------------------------------------------------------------------------------------

static enum verdict run_vector(struct vector *v)
{
	const char *model = text_of(v->json, "model");
	if (model == NULL)
		return say(v, FAIL, "the case has no model");
	if (strcmp(model, "volume") == 0 || strcmp(model, "volume_tier_index") == 0)
		return run_tiers(v, MODEL_VOLUME);
	if (strcmp(model, "graduated") == 0)
		return run_tiers(v, MODEL_GRADUATED);
	if (strcmp(model, "unit") == 0 || strcmp(model, "free_units_unit") == 0)
		return run_unit(v);
	if (strcmp(model, "package") == 0)
		return run_package(v);
	if (strcmp(model, "volume_running") == 0)
		return run_volume_running(v);
	if (strcmp(model, "late_event_unit") == 0)
		return run_late(v);
	if (strcmp(model, "graduated_delta") == 0 || strcmp(model, "package_delta") == 0)
		return run_delta(v, model[0] == 'p');
	if (strcmp(model, "volume_blocks_top_tier") == 0 || strcmp(model, "graduated_blocks_all_tiers") == 0)
		return run_blocks(v, model[0] == 'v');
	if (strncmp(model, "grant_", 6) == 0)
		return say(v, SKIP, "grants burn down at the time of use, by priority: packs are deducted at settlement");
	if (strncmp(model, "threshold_", 10) == 0)
		return say(v, SKIP, "thresholds on values and balances: alerts are of quotas, tiers and packs, see the ladder's tests");
	return say(v, SKIP, "model %s is not one of the price book", model);
}

static void run_file(const char *path, int counts[3])
{
	json_error_t e;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &e), *list = json_object_get(root, "vectors");
	const json_t *json;
	size_t i;
	if (!json_is_array(list) || json_array_size(list) == 0) {
		printf("FAIL  %s: %s\n", path, root == NULL ? e.text : "holds no `vectors`");
		counts[FAIL]++;
	}
	struct vector *v = xcalloc(1, sizeof(*v));
	json_array_foreach(list, i, json) {
		const char *id = text_of(json, "id");
		memset(v, 0, sizeof(*v));
		v->json = json;
		v->scale = 1;
		enum verdict verdict = run_vector(v);
		counts[verdict]++;
		if (verdict != PASS)
			printf("%s  %s: %s\n", verdict == FAIL ? "FAIL" : "skip", id != NULL ? id : "(no id)", v->why);
	}
	free(v);
	json_decref(root);
}

int main(int argc, char **argv)
{
	int counts[3] = { 0 };
	if (argc < 2) {
		fputs("usage: vectors FILE…\n", stderr);
		return EXIT_USAGE_ERR;
	}
	for (int i = 1; i < argc; i++)
		run_file(argv[i], counts);
	printf("%d passed, %d failed, %d skipped\n", counts[PASS], counts[FAIL], counts[SKIP]);
	return counts[FAIL] > 0;
}
