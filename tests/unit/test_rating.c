// SPDX-License-Identifier: Apache-2.0
// Bills: the tables, then a slow calculator that looks at every call by itself.
#include "rating/rating.h"

#include "base/check.h"

#include "plan_text.h"

static enum rounding rounding_of(const char *word, const struct table_row *row)
{
	static const char *const words[] = { "half-up", "half-even", "down", NULL };
	return (enum rounding)plan_word(word, row, words);
}

static void numbers_text(char *out, size_t size, const int64_t *v, uint32_t n)
{
	size_t at = 0;
	snprintf(out, size, "-");
	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%ld", i > 0 ? " " : "", v[i]);
}

static void slices_text(char *out, size_t size, const struct bill *b)
{
	size_t at = 0;
	char money[MONEY_TEXT];
	snprintf(out, size, "-");
	for (uint32_t i = 0; i < b->n_slices; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%u:%ld:%s", i > 0 ? " " : "", b->slices[i].tier + 1, b->slices[i].calls,
				       money_amount_text(b->slices[i].amount, money));
}

static uint32_t packs_of(char *text, const struct table_row *row, struct rating_pack *packs)
{
	uint32_t n = 0;
	char *state = NULL;
	if (strcmp(text, "-") == 0)
		return 0;
	for (char *t = strtok_r(text, " ", &state); t != NULL; t = strtok_r(NULL, " ", &state))
		packs[n++] = (struct rating_pack){ SPAN_LIT("p"), plan_number(t, row) };
	return n;
}

static void rating_row(void *ctx, const struct table_row *row)
{
	struct plan_book *book = ctx;
	if (strcmp(row->field[0], "plan") == 0) {
		plan_define(book, row);
		return;
	}
	cr_assert_eq(row->n, 12, "line %d has %d fields", row->line, row->n);
	struct rating_pack packs[RATING_MAX_PACKS];
	static struct rating_slice slices[RATING_MAX_SLICES];
	uint32_t n_packs = packs_of(row->field[2], row, packs);
	struct bill b = { .calls = -7 };
	bool ok = rating_bill(plan_named(book, row, row->field[0]), plan_number(row->field[1], row), plan_number(row->field[3], row),
			      packs, n_packs, rounding_of(row->field[4], row), slices, &b);
	if (strcmp(row->field[10], "overflow") == 0) {
		cr_expect(!ok && b.calls == -7, "line %d should overflow and write nothing", row->line);
		return;
	}
	cr_assert(ok, "line %d overflows", row->line);
	char got[600], given[100], sliced[200], exact[MONEY_TEXT], charge[MONEY_TEXT], want[600];
	numbers_text(given, sizeof(given), b.pack_calls, b.n_packs);
	slices_text(sliced, sizeof(sliced), &b);
	snprintf(got, sizeof(got), "%ld | %s | %ld | %u | %s | %s | %s", b.free, given, b.billable, b.tier + 1,
		 money_amount_text(b.exact, exact), money_fen_text(b.charge_fen, charge), sliced);
	snprintf(want, sizeof(want), "%s | %s | %s | %s | %s | %s | %s", row->field[5], row->field[6], row->field[7], row->field[8],
		 row->field[9], row->field[10], row->field[11]);
	cr_expect_str_eq(got, want, "line %d\n  got  %s\n  want %s", row->line, got, want);
}

Test(rating, table)
{
	static struct plan_book book;
	table_each("rating.table", rating_row, &book);
}

// --- freeze, rule 10 ---------------------------------------------------------------------------------------------------

static void freeze_row(void *ctx, const struct table_row *row)
{
	static const char *const bases[] = { "list", "billable", "bill", NULL };
	struct plan_book *book = ctx;
	if (strcmp(row->field[0], "plan") == 0) {
		plan_define(book, row);
		return;
	}
	cr_assert_eq(row->n, 8, "line %d has %d fields", row->line, row->n);
	const struct plan *list = plan_named(book, row, row->field[0]), *own = plan_named(book, row, row->field[1]);
	static struct rating_slice slices[RATING_MAX_SLICES];
	struct bill b;
	int64_t fen;
	char text[MONEY_TEXT];
	cr_assert(rating_bill(own, plan_number(row->field[2], row), plan_number(row->field[3], row), NULL, 0, ROUND_HALF_UP, slices, &b));
	cr_assert(rating_freeze(list, (enum freeze_basis)plan_word(row->field[4], row, bases), plan_price(row->field[5], row), &b,
				rounding_of(row->field[6], row), &fen));
	cr_expect_str_eq(money_fen_text(fen, text), row->field[7], "line %d: %s, not %s", row->line, text, row->field[7]);
}

Test(rating, freeze_table)
{
	static struct plan_book book;
	table_each("freeze.table", freeze_row, &book);
}

Test(rating, freeze_overflow_is_seen)
{
	struct price_tier tier = { 0, 1000000000000, 0 };
	struct plan plan = { .model = MODEL_VOLUME, .per = 1, .n_tiers = 1, .tiers = &tier };
	struct bill b = { .calls = INT64_MAX, .billable = INT64_MAX };
	int64_t fen = -7;
	cr_assert_not(rating_freeze(&plan, FREEZE_LIST, 1000000, &b, ROUND_HALF_UP, &fen));
	cr_assert_not(rating_freeze(&plan, FREEZE_LIST, INT64_MAX, &b, ROUND_HALF_UP, &fen));
	cr_assert_eq(fen, -7);
}

// --- the slow calculator -----------------------------------------------------------------------------------------------

struct naive {
	int64_t free, packs[3], billable;
	uint32_t tier;
	amount_pico exact;
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static int64_t below(uint64_t *state, int64_t n)
{
	return (int64_t)(next_random(state) % (uint64_t)n);
}

// The tier of a count, by its definition: [lo, hi) or (lo, hi].
static uint32_t naive_tier(const struct plan *p, int64_t count)
{
	uint32_t tier = 0;
	for (uint32_t i = 1; i < p->n_tiers; i++)
		if (count > p->tiers[i].bound || (count == p->tiers[i].bound && p->bounds == BOUNDS_LOWER_INCLUSIVE))
			tier = i;
	return tier;
}

static struct naive naive_bill(const struct plan *p, int64_t quota, int64_t calls, const int64_t left[3])
{
	struct naive b = { 0 };
	int64_t unit = 1000000 / p->per;
	int64_t place[64]; // of each billable call in the row that graduated prices cut
	for (int64_t i = 0; i < calls; i++) {
		if (b.free < quota)
			b.free++;
		else if (b.packs[0] < left[0])
			b.packs[0]++;
		else if (b.packs[1] < left[1])
			b.packs[1]++;
		else if (b.packs[2] < left[2])
			b.packs[2]++;
		else {
			place[b.billable] = p->tier_basis == TIER_BY_TOTAL ? i : b.billable;
			b.billable++;
		}
	}
	int64_t count = p->tier_basis == TIER_BY_TOTAL ? calls : b.billable;
	b.tier = naive_tier(p, count);
	if (p->model == MODEL_PACKAGE) {
		for (int64_t i = 0; i < b.billable; i += p->package)
			b.exact += (amount_pico)p->tiers[b.tier].price_micro * unit;
	} else {
		for (int64_t i = 0; i < b.billable; i++) {
			uint32_t t = b.tier;
			if (p->model == MODEL_GRADUATED)
				for (t = 0; t + 1 < p->n_tiers && p->tiers[t + 1].bound <= place[i]; t++)
					;
			b.exact += (amount_pico)p->tiers[t].price_micro * unit;
		}
	}
	for (uint32_t t = 0; t <= b.tier && (count > 0 || p->fee_at_zero); t++)
		if (p->model == MODEL_GRADUATED || t == b.tier)
			b.exact += (amount_pico)p->tiers[t].flat_micro * 1000000;
	return b;
}

static void random_plan(uint64_t *seed, struct plan *p, struct price_tier tiers[5])
{
	static const int64_t pers[] = { 1, 10, 1000, 1000000 };
	*p = (struct plan){
		.model = (enum pricing_model)below(seed, 4),
		.bounds = (enum bounds)below(seed, 2),
		.tier_basis = (enum tier_basis)below(seed, 2),
		.per = pers[below(seed, 4)],
		.fee_at_zero = below(seed, 4) == 0,
		.n_tiers = (uint32_t)(1 + below(seed, 5)),
		.tiers = tiers,
	};
	if (p->model == MODEL_FLAT)
		p->n_tiers = 1;
	if (p->model == MODEL_PACKAGE) {
		p->per = 1;
		p->package = 1 + below(seed, 12);
	}
	int64_t bound = 0;
	for (uint32_t i = 0; i < p->n_tiers; i++) {
		tiers[i] = (struct price_tier){ bound, below(seed, 5000000), below(seed, 3) == 0 ? below(seed, 100000000) : 0 };
		bound += 1 + below(seed, 15);
	}
}

static void expect_same(const struct plan *p, int64_t quota, int64_t calls, const int64_t left[3])
{
	struct rating_slice slices[5 + 1];
	struct rating_pack packs[3] = { { SPAN_LIT("a"), left[0] }, { SPAN_LIT("b"), left[1] }, { SPAN_LIT("c"), left[2] } };
	struct bill b;
	struct naive n = naive_bill(p, quota, calls, left);
	cr_assert(rating_bill(p, quota, calls, packs, 3, ROUND_HALF_UP, slices, &b));
	cr_assert(b.free == n.free && b.billable == n.billable && b.tier == n.tier && b.calls == calls);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(b.pack_calls[i], n.packs[i]);
	char got[MONEY_TEXT], want[MONEY_TEXT];
	cr_assert(b.exact == n.exact, "model %d bounds %d basis %d quota %ld calls %ld: %s, not %s", p->model, p->bounds, p->tier_basis,
		  quota, calls, money_amount_text(b.exact, got), money_amount_text(n.exact, want));
	amount_pico sum = 0;
	for (uint32_t i = 0; i < b.n_slices; i++)
		sum += b.slices[i].amount;
	cr_assert(p->model == MODEL_VOLUME ? b.n_slices == 0 : sum == b.exact);
}

Test(rating, agrees_with_looking_at_every_call)
{
	uint64_t seed = 20200101;
	for (int round = 0; round < 3000; round++) {
		struct plan p;
		struct price_tier tiers[5];
		random_plan(&seed, &p, tiers);
		int64_t quota = below(&seed, 3) == 0 ? 0 : below(&seed, 25);
		int64_t left[3] = { below(&seed, 10), below(&seed, 3), below(&seed, 20) };
		for (int64_t calls = 0; calls < 64; calls++)
			expect_same(&p, quota, calls, left);
	}
}

Test(rating, a_thousand_tiers)
{
	static struct price_tier tiers[1000];
	static struct rating_slice slices[RATING_MAX_SLICES];
	for (int i = 0; i < 1000; i++)
		tiers[i] = (struct price_tier){ i * 10, 1000000, 0 };
	struct plan p = { .model = MODEL_GRADUATED, .per = 1, .n_tiers = 1000, .tiers = tiers };
	struct bill b;
	cr_assert(rating_bill(&p, 0, 12345, NULL, 0, ROUND_HALF_UP, slices, &b));
	cr_assert_eq(b.charge_fen, 1234500);
	cr_assert_eq(b.n_slices, 1000);
	for (int64_t count = 0; count < 11000; count++)
		cr_assert_eq(rating_tier(&p, count), count / 10 < 999 ? count / 10 : 999);
}

// --- the largest numbers, against sums on paper -------------------------------------------------------------------------

// A number as on paper: decimal digits, lowest first. Nothing of base/money is used.
enum { PAPER_DIGITS = 60 };
struct paper {
	int digit[PAPER_DIGITS];
};

static void paper_carry(struct paper *p)
{
	for (int i = 0; i + 1 < PAPER_DIGITS; i++) {
		p->digit[i + 1] += p->digit[i] / 10;
		p->digit[i] %= 10;
	}
	cr_assert_lt(p->digit[PAPER_DIGITS - 1], 10);
}

// p += a * b * 10^zeros
static void paper_add_product(struct paper *p, uint64_t a, uint64_t b, int zeros)
{
	for (int i = 0; a != 0; i++, a /= 10) {
		uint64_t rest = b;
		for (int k = 0; rest != 0; k++, rest /= 10)
			p->digit[i + k + zeros] += (int)(a % 10) * (int)(rest % 10);
		paper_carry(p);
	}
}

// Its digits from 10^low on, as an amount with so many decimals, in the shortest form.
static void paper_text(const struct paper *p, int low, int decimals, bool shortest, char ret[PAPER_DIGITS + 2])
{
	int high = PAPER_DIGITS - 1, n = 0;
	while (high > low + decimals && p->digit[high] == 0)
		high--;
	while (shortest && decimals > 0 && p->digit[low] == 0) {
		low++;
		decimals--;
	}
	for (int i = high; i >= low; i--) {
		ret[n++] = (char)('0' + p->digit[i]);
		if (i == low + decimals && decimals > 0)
			ret[n++] = '.';
	}
	ret[n] = '\0';
}

static int power_of(int64_t ten)
{
	int n = 0;
	for (; ten > 1; ten /= 10)
		n++;
	return n;
}

// In pico: price in micro, 10^6 of them, for `per` calls.
static struct paper paper_bill(const struct plan *p, int64_t quota, int64_t calls)
{
	struct paper sum = { 0 };
	int zeros = 6 - power_of(p->per);
	int64_t free = calls < quota ? calls : quota, billable = calls - free, count = p->tier_basis == TIER_BY_TOTAL ? calls : billable;
	uint32_t tier = naive_tier(p, count);
	if (p->model != MODEL_GRADUATED) {
		uint64_t units = (uint64_t)billable;
		if (p->model == MODEL_PACKAGE)
			units = (units + (uint64_t)p->package - 1) / (uint64_t)p->package;
		paper_add_product(&sum, units, (uint64_t)p->tiers[tier].price_micro, zeros);
	}
	int64_t at = p->tier_basis == TIER_BY_TOTAL ? free : 0, end = at + billable;
	for (uint32_t i = 0; p->model == MODEL_GRADUATED && i < p->n_tiers; i++) {
		int64_t stop = i + 1 < p->n_tiers && p->tiers[i + 1].bound < end ? p->tiers[i + 1].bound : end;
		if (stop > at) {
			paper_add_product(&sum, (uint64_t)(stop - at), (uint64_t)p->tiers[i].price_micro, zeros);
			at = stop;
		}
	}
	for (uint32_t i = 0; i <= tier && (count > 0 || p->fee_at_zero); i++)
		if (p->model == MODEL_GRADUATED || i == tier)
			paper_add_product(&sum, (uint64_t)p->tiers[i].flat_micro, 1, 6);
	return sum;
}

// Rounded half-up to fen; false where no charge can hold it.
static bool paper_charge(struct paper p, char ret[PAPER_DIGITS + 2])
{
	static const char most[] = "92233720368547758.07";
	paper_add_product(&p, 5, 1, 9);
	paper_text(&p, 10, 2, false, ret);
	size_t n = strlen(ret), m = strlen(most);
	return n < m || (n == m && strcmp(ret, most) <= 0);
}

static int64_t of_any_size(uint64_t *seed)
{
	uint64_t wide = next_random(seed) << 32 ^ next_random(seed);
	return below(seed, 20) == 0 ? INT64_MAX : (int64_t)(wide >> (1 + below(seed, 62)));
}

static void extreme_plan(uint64_t *seed, struct plan *p, struct price_tier tiers[1000])
{
	random_plan(seed, p, tiers);
	if (p->model != MODEL_FLAT)
		p->n_tiers = below(seed, 8) == 0 ? 1000 : (uint32_t)(1 + below(seed, 12));
	if (p->model == MODEL_PACKAGE && below(seed, 2) == 0)
		p->package = 1 + of_any_size(seed) / 2;
	int64_t bound = 0, step = of_any_size(seed) / p->n_tiers;
	step += step < INT64_MAX;
	for (uint32_t i = 0; i < p->n_tiers; i++, bound += i < p->n_tiers ? 1 + below(seed, step) : 0) {
		int64_t price = below(seed, 4) == 0 ? 1000000000000 : of_any_size(seed) % 1000000000001;
		tiers[i] = (struct price_tier){ bound, price, below(seed, 3) == 0 ? of_any_size(seed) % 1000000000001 : 0 };
	}
}

Test(rating, agrees_with_paper_up_to_the_largest_numbers)
{
	static struct price_tier tiers[1000];
	static struct rating_slice slices[RATING_MAX_SLICES];
	uint64_t seed = 20200401;
	int exact[4] = { 0 }, refused[4] = { 0 };
	for (int round = 0; round < 40000; round++) {
		struct plan p;
		char want[PAPER_DIGITS + 2], charge[PAPER_DIGITS + 2], got[MONEY_TEXT];
		extreme_plan(&seed, &p, tiers);
		int64_t calls = of_any_size(&seed), quota = below(&seed, 2) == 0 ? 0 : of_any_size(&seed);
		struct paper sum = paper_bill(&p, quota, calls);
		struct bill b = { .calls = -7 };
		bool fits = paper_charge(sum, charge), ok = rating_bill(&p, quota, calls, NULL, 0, ROUND_HALF_UP, slices, &b);
		cr_assert_eq(ok, fits, "round %d: %s, charged %s", round, ok ? "exact" : "refused", charge);
		(ok ? exact : refused)[p.model]++;
		if (!ok) {
			cr_assert_eq(b.calls, -7);
			continue;
		}
		paper_text(&sum, 0, 12, true, want);
		cr_assert_str_eq(money_amount_text(b.exact, got), want, "round %d", round);
		cr_assert_str_eq(money_fen_text(b.charge_fen, got), charge, "round %d", round);
	}
	for (int m = 0; m < 4; m++)
		cr_expect(exact[m] > 1000 && refused[m] > 300, "model %d: %d exact, %d refused", m, exact[m], refused[m]);
}

// 2^63 - 1 calls at 10^12 micro-yuan: refused, by every model; at the highest price at which the charge fits, exact to the fen.
Test(rating, all_calls_there_can_be)
{
	static const struct {
		int64_t price_micro, per;
		const char *charge; // NULL: refused
	} cases[] = { { 1000000000000, 1, NULL }, { 1000000000000, 1000000, NULL }, { 10000, 1, "92233720368547758.07" },
		      { 10001, 1, NULL }, { 10000000000, 1000000, "92233720368547758.07" } };
	for (int model = MODEL_VOLUME; model <= MODEL_PACKAGE; model++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct price_tier tier = { 0, cases[i].price_micro, 0 };
			struct plan p = { .model = (enum pricing_model)model, .per = model == MODEL_PACKAGE ? 1 : cases[i].per,
					  .package = model == MODEL_PACKAGE ? cases[i].per : 0, .n_tiers = 1, .tiers = &tier };
			struct rating_slice slice[1];
			struct bill b;
			char got[MONEY_TEXT];
			if (model == MODEL_PACKAGE && cases[i].per > 1)
				continue; // a block's price, not a call's
			bool ok = rating_bill(&p, 0, INT64_MAX, NULL, 0, ROUND_DOWN, slice, &b);
			cr_expect_eq(ok, cases[i].charge != NULL, "model %d, case %zu", model, i);
			if (ok)
				cr_expect_str_eq(money_fen_text(b.charge_fen, got), cases[i].charge, "model %d, case %zu", model, i);
		}
	}
}
