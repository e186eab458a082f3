// SPDX-License-Identifier: Apache-2.0
// meterctl explain over contracts, packs, shared free calls, freezes and adjustments: its texts in both languages, that the last line is the
// charge, and that every figure which was changed is found. The settlements are those of the scenario c05, worked out by hand.
#include <stdlib.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "run_tool.h"
#include "tools/explain.h"
#include "tools/tools.h"

#define BOOK SOURCE_DIR "/tests/table/settlement.yaml"
#define MODELS SOURCE_DIR "/tests/table/models.yaml"

static const char *const facts[] = {
	"{\"type\":\"pack\",\"account\":\"acme\",\"id\":\"p-2\",\"version\":1,\"services\":[\"tag\",\"crop\"],\"calls\":4000,\"price\":\"9.00\","
	"\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}",
	"{\"type\":\"pack\",\"account\":\"acme\",\"id\":\"p-1\",\"version\":1,\"services\":[\"tag\"],\"calls\":5000,\"price\":\"9.00\","
	"\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-04-01T00:00:00+08:00\"}",
	"{\"type\":\"contract\",\"account\":\"acme\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-02\",\"services\":[{\"service\":\"crop\",\"prices\":"
	"{\"model\":\"volume\",\"per\":1000,\"tiers\":[{\"from\":0,\"price\":\"1\"}]},\"free\":{\"calls\":5000}}]}",
};

struct world {
	struct rules rules;
	struct account_book *book;
	struct arena arena;
	struct published published;
};

static bool terms_of(void *ctx, const struct published_document *d, const struct terms **ret, const struct rules **ret_rules)
{
	struct world *w = ctx;
	const struct account_horizon now = { .stamp_ms = INT64_MAX };
	*ret_rules = &w->rules;
	*ret = terms_make(w->rules.catalog, account_book_find(w->book, span_of(d->account)), &now, d->month, &w->arena);
	return true;
}

static bool no_terms(void *ctx, const struct published_document *d, const struct terms **ret, const struct rules **ret_rules)
{
	(void)ctx, (void)d, (void)ret, (void)ret_rules;
	return false;
}

#define LINE(id, service, period, revision, figures, rest)                                                                                  \
	"{\"id\":\"" id "\",\"type\":\"meterd.settlement.v1\",\"data\":{\"account\":\"acme\",\"service\":\"" service "\",\"period\":\"" period \
	"\",\"revision\":" #revision ",\"catalog\":\"small-1\"," figures ",\"currency\":\"CNY\",\"rounding\":\"half-up\",\"tier_basis\":\"total\","  \
	rest "}}"
#define AT(calls, free, packs, billable, price, exact, charge)                                                                              \
	"\"calls\":" #calls ",\"free\":" #free ",\"packs\":[" packs "],\"billable\":" #billable ",\"tier\":1,\"unit_price\":\"" price           \
	"\",\"per\":1000,\"exact\":\"" exact "\",\"charge\":\"" charge "\""
#define FREEZE(unfreeze, freeze) "\"unfreeze\":\"" unfreeze "\",\"freeze\":\"" freeze "\",\"adjusts\":null"
#define ADJUSTS(revision, calls, charge, difference)                                                                                        \
	"\"unfreeze\":\"0.00\",\"freeze\":\"0.00\",\"adjusts\":{\"revision\":" #revision ",\"calls\":" #calls ",\"charge\":\"" charge           \
	"\"},\"difference\":\"" difference "\""
#define GIVEN(id, calls) "{\"id\":\"" id "\",\"calls\":" #calls "}"

static const char *const documents[] = {
	LINE("t0", "tag", "2020-01", 0, AT(17000, 10000, GIVEN("p-1", 5000) "," GIVEN("p-2", 2000), 0, "2.5", "0", "0.00"), FREEZE("0.00", "42.50")),
	LINE("c0", "crop", "2020-01", 0, AT(11500, 10000, GIVEN("p-2", 1500), 0, "2", "0", "0.00"), FREEZE("0.00", "23.00")),
	LINE("a0", "pool-a", "2020-01", 0, AT(6000, 6000, "", 0, "2.5", "0", "0.00"), FREEZE("0.00", "15.00")),
	LINE("b0", "pool-b", "2020-01", 0, AT(7000, 4000, "", 3000, "2.5", "7.5", "7.50"), FREEZE("0.00", "17.50")),
	"{\"id\":\"s0\",\"type\":\"meterd.statement.v1\",\"data\":{\"account\":\"acme\",\"period\":\"2020-01\",\"revision\":0,"
	"\"lines\":[\"t0\",\"c0\",\"a0\",\"b0\"],\"charge\":\"7.50\",\"unfreeze\":\"0.00\",\"freeze\":\"98.00\",\"currency\":\"CNY\"}}",
	LINE("t1", "tag", "2020-01", 1, AT(18000, 10000, GIVEN("p-1", 5000) "," GIVEN("p-2", 2500), 500, "2.5", "1.25", "1.25"),
	     ADJUSTS(0, 17000, "0.00", "1.25")),
	LINE("a1", "pool-a", "2020-01", 1, AT(6500, 6000, "", 500, "2.5", "1.25", "1.25"), ADJUSTS(0, 6000, "0.00", "1.25")),
	"{\"id\":\"s1\",\"type\":\"meterd.statement.v1\",\"data\":{\"account\":\"acme\",\"period\":\"2020-01\",\"revision\":1,"
	"\"lines\":[\"t1\",\"c0\",\"a1\",\"b0\"],\"charge\":\"10.00\",\"unfreeze\":\"0.00\",\"freeze\":\"40.50\",\"currency\":\"CNY\"}}",
	LINE("c2", "crop", "2020-02", 0, AT(8000, 5000, "", 3000, "1", "3", "3.00"), FREEZE("23.00", "16.00")),
	LINE("t2", "tag", "2020-02", 0, AT(0, 0, "", 0, "2.5", "0", "0.00"), FREEZE("42.50", "0.00")),
	LINE("n1", "steps", "2020-02", 1, "\"calls\":12000,\"free\":0,\"packs\":[],\"billable\":12000,\"slices\":[{\"tier\":1,\"calls\":10000,"
	     "\"unit_price\":\"2\",\"amount\":\"20\"},{\"tier\":2,\"calls\":2000,\"unit_price\":\"1\",\"amount\":\"2\"}],\"per\":1000,"
	     "\"exact\":\"22\",\"charge\":\"22.00\"", ADJUSTS(0, 0, "0.00", "22.00")),
};

static void world_make(struct world *w)
{
	char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct faults faults = { 0 };
	struct account_fault fault;
	*w = (struct world){ .book = account_book_new(), .published = published_of("acme", MONTH_NONE) };
	cr_assert_eq(file_read(BOOK, 1 << 20, &text, &n, &e), ERROR_NONE);
	w->rules.catalog = catalog_parse("book", (struct span){ text, n }, &faults);
	cr_assert_not_null(w->rules.catalog);
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		cr_assert_eq(account_book_apply(w->book, 0, (int64_t)i, 1, span_of(facts[i]), &fault), ACCOUNT_TAKEN);
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		published_take(&w->published, span_of(documents[i]));
	cr_assert_eq(w->published.n, sizeof(documents) / sizeof(documents[0]));
	free(text);
}

static char *explained(struct world *w, const char *id, const char *service, enum paper_lang lang, explain_terms_fn *terms, int *ret_wrong)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct explain x = { .published = &w->published, .arena = &w->arena, .lang = lang };
	const struct published_document *d = published_by_id(&w->published, id);
	*ret_wrong = d->service != NULL ? explain_document(&x, d, terms, w, f) : explain_month(&x, d, service, terms, w, f);
	fclose(f);
	return text;
}

static void expect_explained(const char *id, const char *service, enum paper_lang lang, const char *want)
{
	struct world w;
	int wrong;
	world_make(&w);
	char *got = explained(&w, id, service, lang, terms_of, &wrong);
	cr_expect_eq(wrong, 0);
	cr_expect_str_eq(got, want, "got\n%s\nwant\n%s", got, want);
	free(got);
}

Test(explain, packs_their_late_calls_and_a_statement)
{
	expect_explained("t1", NULL, PAPER_EN,
		"tag (tag), 2020-01, account acme, price book small-1, revision 1\n\n"
		" 1. 18,000 calls were counted in 2020-01.\n"
		"    Of them 1,000 came after the month was settled: 17,000 + 1,000 = 18,000.\n"
		" 2. 10,000 calls a month are free: 18,000 - 10,000 = 8,000.\n"
		" 3. Prepaid packs cover calls next, in this order:\n"
		"    pack p-1 (of 5,000 calls, 2020-01 to 2020-03): 8,000 - 5,000 = 3,000\n"
		"    pack p-2 (of 4,000 calls, 2020-01 to 2020-12): 3,000 - 2,500 = 500\n"
		" 4. 500 calls are billable.\n"
		" 5. The tier is picked by all calls, free ones too: 18,000.\n"
		"    That is tier 1, [0, 1,000,000): 2.5 CNY per 1,000 calls. Volume price: the tier reached prices all billable calls.\n"
		" 6. The charge:\n"
		"    500 calls × 2.5 / 1,000 = 1.25 CNY\n"
		" 7. Rounded to 0.01, half-up: 1.25 becomes 1.25.\n"
		" 8. Adjustment 1: revision 0 charged 0.00 for 17,000 calls: 1.25 - 0.00 = 1.25 is the difference.\n"
		" 9. An adjustment neither freezes nor releases.\n\n"
		"Charge: 1.25 CNY, difference 1.25\n");
	expect_explained("t1", NULL, PAPER_ZH,
		"tag（tag），2020-01，账号 acme，价目表 small-1，调整 1\n\n"
		" 1. 2020-01 共计调用 18,000 次。\n"
		"    其中 1,000 次在该月结算之后到达：17,000 + 1,000 = 18,000。\n"
		" 2. 免费资源包每月 10,000 次：18,000 - 10,000 = 8,000。\n"
		" 3. 然后由预付费资源包依次抵扣：\n"
		"    资源包 p-1（共 5,000 次，2020-01 至 2020-03）：8,000 - 5,000 = 3,000\n"
		"    资源包 p-2（共 4,000 次，2020-01 至 2020-12）：3,000 - 2,500 = 500\n"
		" 4. 按量后付费 500 次。\n"
		" 5. 阶梯按月调用总量（含免费部分）确定：18,000。\n"
		"    到达第 1 阶梯，[0, 1,000,000)：每 1,000 次 2.5 CNY。阶梯到达：全部计费调用均按所到达阶梯的单价计费。\n"
		" 6. 费用：\n"
		"    500 次 × 2.5 / 1,000 = 1.25 CNY\n"
		" 7. 精确到 0.01，四舍五入：1.25 取 1.25。\n"
		" 8. 第 1 次调整：修订 0 对 17,000 次调用收取 0.00：1.25 - 0.00 = 1.25，即差额。\n"
		" 9. 调整不冻结，也不解冻。\n\n"
		"应收：1.25 CNY，差额 1.25\n");
}

Test(explain, shared_free_calls_of_the_newest_statement)
{
	struct world w;
	int wrong;
	world_make(&w);
	char *got = explained(&w, "s1", NULL, PAPER_EN, terms_of, &wrong);
	cr_expect_eq(wrong, 0, "%s", got);
	static const char pool_a[] =
		"pool-a (pool-a), 2020-01, account acme, price book small-1, revision 1\n\n"
		" 1. 6,500 calls were counted in 2020-01.\n"
		"    Of them 500 came after the month was settled: 6,000 + 500 = 6,500.\n"
		" 2. Free calls are shared: 10,000 a month for pool-a, pool-b together (pool).\n"
		"    Until now this service had 6,000 of them; late calls take 0 of what is left in that month.\n"
		"    This service gets 6,000: 6,500 - 6,000 = 500.\n";
	static const char pool_b[] =
		"pool-b (pool-b), 2020-01, account acme, price book small-1\n\n"
		" 1. 7,000 calls were counted in 2020-01.\n"
		" 2. Free calls are shared: 10,000 a month for pool-a, pool-b together (pool).\n"
		"    Services before this one took 6,000 of them: 10,000 - 6,000 = 4,000 are left for it.\n"
		"    This service gets 4,000: 7,000 - 4,000 = 3,000.\n"
		" 3. 3,000 calls are billable.\n";
	static const char end[] =
		"Charge: 7.50 CNY\n\n"
		"Account acme, 2020-01, statement of revision 1: 4 line(s)\n\n"
		" 1. tag: charge 1.25, released 0.00, frozen 0.00\n"
		" 2. crop: charge 0.00, released 0.00, frozen 23.00\n"
		" 3. pool-a: charge 1.25, released 0.00, frozen 0.00\n"
		" 4. pool-b: charge 7.50, released 0.00, frozen 17.50\n"
		" 5. Together: released 0.00, frozen 40.50\n\n"
		"Charge: 10.00 CNY\n";
	cr_expect(strstr(got, pool_a) != NULL && strstr(got, pool_b) != NULL, "%s", got);
	cr_expect(strlen(got) > sizeof(end) && strcmp(got + strlen(got) - strlen(end), end) == 0, "%s", got);
	cr_expect(strstr(got, "tag (tag), 2020-01, account acme, price book small-1\n") == got); // revision 0 comes first
	free(got);
	got = explained(&w, "s1", "crop", PAPER_EN, terms_of, &wrong);
	cr_expect(wrong == 0 && strstr(got, "crop (crop)") == got && strstr(got, "tag (tag)") == NULL && strstr(got, "statement of") == NULL, "%s", got);
	free(got);
	free(explained(&w, "s1", "next", PAPER_EN, terms_of, &wrong));
	cr_expect_eq(wrong, -1);
}

Test(explain, a_contract_the_list_price_and_freezes)
{
	expect_explained("c2", NULL, PAPER_EN,
		"crop (crop), 2020-02, account acme, price book small-1, contract c-1/1\n\n"
		" 1. 8,000 calls were counted in 2020-02.\n"
		" 2. 5,000 calls a month are free: 8,000 - 5,000 = 3,000.\n"
		" 3. 3,000 calls are billable.\n"
		" 4. The tier is picked by all calls, free ones too: 8,000.\n"
		"    That is tier 1, [0, no end): 1 CNY per 1,000 calls. Volume price: the tier reached prices all billable calls.\n"
		" 5. The charge:\n"
		"    3,000 calls × 1 / 1,000 = 3 CNY\n"
		" 6. Contract c-1/1 holds for this service instead of the price list.\n"
		"    List price: tier 1, [0, no end): 2 CNY per 1,000 calls. By the price list the same calls would cost 6; the contract's 3 is charged.\n"
		" 7. Rounded to 0.01, half-up: 3 becomes 3.00.\n"
		" 8. Released: 23.00, which the settlement of 2020-01 froze.\n"
		" 9. Frozen for the next month, at the list price of tier 1, 2 CNY per 1,000 calls:\n"
		"    8,000 calls × 2 / 1,000 = 16 CNY\n"
		"    16 × 100 % = 16.00, rounded\n\n"
		"Charge: 3.00 CNY\n");
	expect_explained("c2", NULL, PAPER_ZH,
		"crop（crop），2020-02，账号 acme，价目表 small-1，合同 c-1/1\n\n"
		" 1. 2020-02 共计调用 8,000 次。\n"
		" 2. 免费资源包每月 5,000 次：8,000 - 5,000 = 3,000。\n"
		" 3. 按量后付费 3,000 次。\n"
		" 4. 阶梯按月调用总量（含免费部分）确定：8,000。\n"
		"    到达第 1 阶梯，[0, ∞)：每 1,000 次 1 CNY。阶梯到达：全部计费调用均按所到达阶梯的单价计费。\n"
		" 5. 费用：\n"
		"    3,000 次 × 1 / 1,000 = 3 CNY\n"
		" 6. 本服务执行合同 c-1/1，而非刊例价。\n"
		"    刊例价：第 1 阶梯，[0, ∞)：每 1,000 次 2 CNY。同样的调用按刊例价为 6；按合同收取 3。\n"
		" 7. 精确到 0.01，四舍五入：3 取 3.00。\n"
		" 8. 解冻：23.00，由 2020-01 的结算冻结。\n"
		" 9. 冻结（次月预估），按刊例价第 1 阶梯，每 1,000 次 2 CNY：\n"
		"    8,000 次 × 2 / 1,000 = 16 CNY\n"
		"    16 × 100 % = 16.00（取整）\n\n"
		"应收：3.00 CNY\n");
	expect_explained("t2", NULL, PAPER_EN, // nothing but an unfreeze
		"tag (tag), 2020-02, account acme, price book small-1\n\n"
		" 1. 0 calls were counted in 2020-02.\n"
		" 2. No free calls hold for this month.\n"
		" 3. 0 calls are billable.\n"
		" 4. The tier is picked by all calls, free ones too: 0.\n"
		"    That is tier 1, [0, 1,000,000): 2.5 CNY per 1,000 calls. Volume price: the tier reached prices all billable calls.\n"
		" 5. The charge:\n"
		"    0 calls × 2.5 / 1,000 = 0 CNY\n"
		" 6. Rounded to 0.01, half-up: 0 becomes 0.00.\n"
		" 7. Released: 42.50, which the settlement of 2020-01 froze.\n"
		" 8. Nothing is frozen for the next month.\n\n"
		"Charge: 0.00 CNY\n");
}

Test(explain, an_adjustment_of_nothing_in_slices)
{
	expect_explained("n1", NULL, PAPER_ZH,
		"steps（steps），2020-02，账号 acme，价目表 small-1，调整 1\n\n"
		" 1. 2020-02 共计调用 12,000 次。\n"
		"    其中 12,000 次在该月结算之后到达：0 + 12,000 = 12,000。\n"
		" 2. 本月没有免费资源包。\n"
		" 3. 按量后付费 12,000 次。\n"
		" 4. 阶梯累进：每个阶梯只对落在其中的调用计费。\n"
		"    第 1 阶梯，[0, 10,000)：\n"
		"    10,000 次 × 2 / 1,000 = 20 CNY\n"
		"    第 2 阶梯，[10,000, ∞)：\n"
		"    2,000 次 × 1 / 1,000 = 2 CNY\n"
		"    合计：22 CNY\n"
		" 5. 精确到 0.01，四舍五入：22 取 22.00。\n"
		" 6. 第 1 次调整：该月此前没有结算：22.00 - 0.00 = 22.00，即差额。\n"
		" 7. 调整不冻结，也不解冻。\n\n"
		"应收：22.00 CNY，差额 22.00\n");
}

Test(explain, slices_of_billable_calls_with_a_fee_under_a_contract)
{
	expect_run(tool_explain, "explain --lang en --catalog " BOOK " --facts " SOURCE_DIR "/tests/table/facts.ndjson --service steps --calls 4000 --period 2020-01", 0,
		"steps (steps), 2020-01, account acme, price book small-1, contract c-2/1\n\n"
		" 1. 4,000 calls were counted in 2020-01.\n"
		" 2. 1,000 calls a month are free: 4,000 - 1,000 = 3,000.\n"
		" 3. 3,000 calls are billable.\n"
		" 4. Graduated price: each tier prices its own slice of the calls.\n"
		"    Billable calls alone stand in the row: number 1 to 3,000.\n"
		"    Tier 1, [0, 2,000):\n"
		"    2,000 calls × 2 / 1,000 = 4 CNY\n"
		"    Tier 2, [2,000, no end):\n"
		"    1,000 calls × 1 / 1,000 = 1 CNY\n"
		"    and the fee of tier 2: 1 + 5 = 6 CNY\n"
		"    Together: 10 CNY\n"
		" 5. Contract c-2/1 holds for this service instead of the price list.\n"
		"    List price: tier 1, [0, 10,000): 2 CNY per 1,000 calls. By the price list the same calls would cost 6; the contract's 10 is charged.\n"
		" 6. Rounded to 0.01, half-up: 10 becomes 10.00.\n\n"
		"Charge: 10.00 CNY\n", NULL);
}

// One figure of one document is changed: whoever reads the paper sees where.
Test(explain, what_was_changed_is_found)
{
	static const struct {
		const char *id, *from, *to;
	} changes[] = {
		{ "t0", "\"freeze\":\"42.50\"", "\"freeze\":\"42.51\"" },
		{ "c2", "\"unfreeze\":\"23.00\"", "\"unfreeze\":\"22.00\"" },
		{ "c2", "\"unit_price\":\"1\"", "\"unit_price\":\"2\"" },
		{ "b0", "\"free\":4000,\"packs\":[],\"billable\":3000", "\"free\":4001,\"packs\":[],\"billable\":2999" },
		{ "c0", "\"free\":10000", "\"free\":10001" },
		{ "c0", "\"calls\":1500}", "\"calls\":1499}" },
		{ "t1", "\"difference\":\"1.25\"", "\"difference\":\"1.26\"" },
		{ "t1", "\"freeze\":\"0.00\"", "\"freeze\":\"0.01\"" },
		{ "a1", "\"calls\":6000,\"charge\"", "\"calls\":6500,\"charge\"" },
		{ "n1", "\"amount\":\"20\"", "\"amount\":\"21\"" },
		{ "s1", "\"charge\":\"10.00\"", "\"charge\":\"10.01\"" },
		{ "s1", "\"freeze\":\"40.50\"", "\"freeze\":\"40.51\"" },
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct world w;
		int wrong;
		world_make(&w);
		for (uint32_t k = 0; k < w.published.n; k++) {
			struct published_document *d = &w.published.list[k];
			if (strcmp(d->id, changes[i].id) != 0)
				continue;
			char *text = json_dumps(d->json, JSON_COMPACT), changed[4096];
			char *at = strstr(text, changes[i].from);
			cr_assert(at != NULL, "%s in %s", changes[i].from, text);
			snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, changes[i].to, at + strlen(changes[i].from));
			struct published one = published_of(NULL, MONTH_NONE);
			published_take(&one, span_of(changed));
			cr_assert_eq(one.n, 1);
			*d = one.list[0];
		}
		char *got = explained(&w, changes[i].id, NULL, PAPER_EN, terms_of, &wrong);
		cr_expect_gt(wrong, 0, "%s -> %s\n%s", changes[i].from, changes[i].to, got);
		cr_expect(strstr(got, "DOES NOT ADD UP") != NULL, "%s", got);
	}
}

Test(explain, without_terms_the_document_alone)
{
	struct world w;
	int wrong;
	world_make(&w);
	char *got = explained(&w, "t1", NULL, PAPER_EN, no_terms, &wrong);
	cr_expect_eq(wrong, 0, "%s", got);
	cr_expect(strstr(got, "10,000 of them are free: 18,000 - 10,000 = 8,000.") != NULL, "%s", got);
}

// ---- languages

static uint32_t placeholders(const char *s)
{
	uint32_t set = 0;
	for (; *s != '\0'; s++)
		if (s[0] == '{' && s[1] >= '1' && s[1] <= '9' && s[2] == '}')
			set |= 1u << (s[1] - '1');
	return set;
}

Test(explain, both_languages_say_the_same_figures)
{
	for (int i = 0; i < PAPER_TEXTS; i++) {
		const char *en = paper_sentence(PAPER_EN, (enum paper_text)i), *zh = paper_sentence(PAPER_ZH, (enum paper_text)i);
		cr_expect_eq(placeholders(en), placeholders(zh), "%s\n%s", en, zh);
	}
}

Test(explain, language_of_the_locale)
{
	setenv("LANG", "de_DE.UTF-8", 1);
	unsetenv("LC_ALL");
	unsetenv("LC_MESSAGES");
	cr_expect_eq(paper_lang_default(), PAPER_EN);
	setenv("LC_MESSAGES", "zh_CN.UTF-8", 1);
	cr_expect_eq(paper_lang_default(), PAPER_ZH);
	setenv("LC_ALL", "C", 1);
	cr_expect_eq(paper_lang_default(), PAPER_EN);
	unsetenv("LC_ALL");
	char *out, *err;
	cr_expect_eq(run(tool_explain, "explain --catalog " BOOK " --service tag --calls 5 --period 2020-01", &out, &err), 0);
	cr_expect(strstr(out, "应收：0.00 CNY\n") != NULL, "%s", out);
	cr_expect_eq(run(tool_explain, "explain --lang en --catalog " BOOK " --service tag --calls 5 --period 2020-01", &out, &err), 0);
	cr_expect(strstr(out, "Charge: 0.00 CNY\n") != NULL, "%s", out);
	expect_run(tool_explain, "explain --lang fr --catalog " BOOK " --service tag --calls 5", 64, "", "--lang takes en or zh");
}

// ---- the last line is the charge, whatever the model

static const char *last_line(char *out)
{
	size_t n = strlen(out);
	if (n > 0 && out[n - 1] == '\n')
		out[n - 1] = '\0';
	const char *at = strrchr(out, '\n');
	return at != NULL ? at + 1 : out;
}

Test(explain, ends_in_the_charge_of_the_quote)
{
	static const char *const cases[] = {
		"--catalog " MODELS " --service graduated --period 2020-01", "--catalog " MODELS " --service fees --period 2020-01",
		"--catalog " MODELS " --service fees --period 2020-03", "--catalog " MODELS " --service fees --period 2020-06",
		"--catalog " MODELS " --service blocks --period 2020-01", "--catalog " MODELS " --service blocks --period 2020-01 --packs 5,100",
		"--catalog " MODELS " --service graduated --period 2020-01 --packs 7", "--catalog " MODELS " --service dear --period 2020-01",
		"--catalog " SOURCE_DIR "/config/catalog.yaml --service image-tag --period 2020-01",
		"--catalog " SOURCE_DIR "/config/catalog.yaml --service image-tag-legacy --period 2020-02",
		"--catalog " SOURCE_DIR "/config/catalog.yaml --service image-tag-legacy --period 2020-02 --activated",
		"--catalog " BOOK " --service pool-b --others pool-a=9999 --period 2020-01", "--catalog " BOOK " --service steps --period 2020-01",
	};
	static const long calls[] = { 0, 1, 7, 10, 16, 121, 10000, 10001, 999999, 1000000, 3010001, 15010000 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t k = 0; k < sizeof(calls) / sizeof(calls[0]); k++)
			for (int zh = 0; zh < 2; zh++) {
				char line[400], want[100], charge[64] = "", currency[8] = "", *out, *err;
				snprintf(line, sizeof(line), "quote %s --calls %ld", cases[i], calls[k]);
				cr_assert_eq(run(tool_quote, line, &out, &err), 0, "%s: %s", line, err);
				cr_assert_eq(sscanf(strstr(out, "\"charge\":"), "\"charge\":\"%63[^\"]\",\"currency\":\"%7[^\"]\"", charge, currency), 2);
				snprintf(line, sizeof(line), "explain %s --calls %ld --lang %s", cases[i], calls[k], zh ? "zh" : "en");
				cr_assert_eq(run(tool_explain, line, &out, &err), 0, "%s: %s", line, err);
				cr_expect(strstr(out, "ADD UP") == NULL && strstr(out, "对不上") == NULL, "%s\n%s", line, out);
				snprintf(want, sizeof(want), zh ? "应收：%s %s" : "Charge: %s %s", charge, currency);
				cr_expect_str_eq(last_line(out), want, "%s", line);
			}
}

Test(explain, words)
{
	expect_run(tool_explain, "explain abc", 64, "", "abc is no id of a settlement or statement");
	expect_run(tool_explain, "explain acme 2020-1", 64, "", "2020-1 is no month");
	expect_run(tool_explain, "explain acme tag 2020-1", 64, "", "2020-1 is no month");
	expect_run(tool_explain, "explain acme 2020-01 --settlement x.json", 64, "", "leave --settlement and quote's options out");
	expect_run(tool_explain, "explain acme 2020-01 tag --config /nowhere/m.yaml", 78, "", "/nowhere/m.yaml");
	expect_run(tool_explain, "explain 00000000000000000000000000000000 --config /nowhere/m.yaml", 78, "", "/nowhere/m.yaml");
}
