// SPDX-License-Identifier: Apache-2.0
// meterctl statement over documents as they are published: what it prints, byte for byte, and its exit codes.
#include "base/error.h"
#include "run_tool.h"
#include "base/figure.h"
#include "tools/statement.h"
#include "tools/tools.h"

static void take(struct published *p, const char *value)
{
	published_take(p, span_of(value));
}

#define LINE(id, service, revision, calls, free, packs, billable, charge, unfreeze, freeze, more)                                            \
	"{\"specversion\":\"1.0\",\"id\":\"" id "\",\"type\":\"meterd.settlement.v1\",\"data\":{\"account\":\"acme\",\"service\":\"" service    \
	"\",\"period\":\"2020-01\",\"revision\":" #revision ",\"calls\":" #calls ",\"free\":" #free ",\"packs\":" packs ",\"billable\":" #billable \
	",\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"charge\":\"" charge "\",\"currency\":\"CNY\",\"unfreeze\":\"" unfreeze              \
	"\",\"freeze\":\"" freeze "\"," more "}}"
#define BILL(id, account, revision, lines, charge, unfreeze, freeze)                                                                         \
	"{\"specversion\":\"1.0\",\"id\":\"" id "\",\"type\":\"meterd.statement.v1\",\"data\":{\"account\":\"" account                        \
	"\",\"period\":\"2020-01\",\"revision\":" #revision ",\"lines\":" lines ",\"charge\":\"" charge "\",\"unfreeze\":\"" unfreeze          \
	"\",\"freeze\":\"" freeze "\",\"currency\":\"CNY\"}}"
#define CLOSED "{\"specversion\":\"1.0\",\"id\":\"c\",\"type\":\"meterd.period.closed.v1\",\"data\":{\"period\":\"2020-01\"}}"

static struct published january(void)
{
	struct published p = published_of("acme", 24240);
	take(&p, LINE("a0", "tag", 0, 17000, 10000, "[{\"id\":\"p-1\",\"calls\":5000},{\"id\":\"p-2\",\"calls\":2000}]", 0, "0.00", "3.00", "42.50",
		      "\"adjusts\":null"));
	take(&p, LINE("b0", "crop", 0, 13000, 10000, "[]", 3000, "7.50", "0.00", "23.00", "\"adjusts\":null"));
	take(&p, BILL("s0", "acme", 0, "[\"a0\",\"b0\"]", "7.50", "3.00", "65.50"));
	take(&p, "not JSON");
	take(&p, "[1]");
	take(&p, BILL("x0", "other", 0, "[]", "9.00", "0.00", "0.00"));
	take(&p, LINE("a0", "tag", 0, 1, 1, "[]", 0, "0.00", "0.00", "0.00", "\"adjusts\":null")); // published again, changed: the first stands
	take(&p, CLOSED);
	take(&p, LINE("a1", "tag", 1, 18000, 10000, "[{\"id\":\"p-1\",\"calls\":5000},{\"id\":\"p-2\",\"calls\":2500}]", 500, "1.25", "0.00", "0.00",
		      "\"adjusts\":{\"revision\":0,\"calls\":17000,\"charge\":\"0.00\"},\"difference\":\"1.25\""));
	take(&p, BILL("s1", "acme", 1, "[\"a1\",\"b0\"]", "8.75", "0.00", "23.00"));
	return p;
}

static char *printed(const struct published *p, const char *account, int month, int64_t revision, enum output_format format, int code)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int got = statement_print(p, account, month, revision, format, f);
	fclose(f);
	cr_expect_eq(got, code, "exit %d, not %d", got, code);
	return text;
}

Test(statement, lines_adjustments_and_sums)
{
	struct published p = january();
	cr_assert_eq(p.n, 5);
	cr_expect_str_eq(printed(&p, "acme", 24240, -1, OUTPUT_TABLE, 0),
		"service  revision  calls   free  packs  billable  tier  unit_price   per  charge  before  difference  unfreeze  freeze\n"
		"tag             1  18000  10000   7500       500     1         2.5  1000    1.25    0.00        1.25      0.00    0.00\n"
		"crop            0  13000  10000      0      3000     1         2.5  1000    7.50                          0.00   23.00\n"
		"total           1                                                           8.75    7.50        1.25      0.00   23.00\n");
	cr_expect_str_eq(printed(&p, "acme", 24240, 0, OUTPUT_CSV, 0),
		"service,revision,calls,free,packs,billable,tier,unit_price,per,charge,before,difference,unfreeze,freeze\r\n"
		"tag,0,17000,10000,7000,0,1,2.5,1000,0.00,,,3.00,42.50\r\n"
		"crop,0,13000,10000,0,3000,1,2.5,1000,7.50,,,0.00,23.00\r\n"
		"total,0,,,,,,,,7.50,,,3.00,65.50\r\n");
	cr_expect_str_eq(printed(&p, "acme", 24240, 1, OUTPUT_NDJSON, 0),
		"{\"id\":\"s1\",\"account\":\"acme\",\"period\":\"2020-01\",\"revision\":1,\"lines\":["
		"{\"id\":\"a1\",\"account\":\"acme\",\"service\":\"tag\",\"period\":\"2020-01\",\"revision\":1,\"calls\":18000,\"free\":10000,\"packs\":["
		"{\"id\":\"p-1\",\"calls\":5000},{\"id\":\"p-2\",\"calls\":2500}],\"billable\":500,\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,"
		"\"charge\":\"1.25\",\"currency\":\"CNY\",\"unfreeze\":\"0.00\",\"freeze\":\"0.00\","
		"\"adjusts\":{\"revision\":0,\"calls\":17000,\"charge\":\"0.00\"},\"difference\":\"1.25\"},"
		"{\"id\":\"b0\",\"account\":\"acme\",\"service\":\"crop\",\"period\":\"2020-01\",\"revision\":0,\"calls\":13000,\"free\":10000,\"packs\":[],"
		"\"billable\":3000,\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"charge\":\"7.50\",\"currency\":\"CNY\",\"unfreeze\":\"0.00\","
		"\"freeze\":\"23.00\",\"adjusts\":null}],\"charge\":\"8.75\",\"unfreeze\":\"0.00\",\"freeze\":\"23.00\",\"currency\":\"CNY\","
		"\"revisions\":[{\"revision\":0,\"charge\":\"7.50\",\"unfreeze\":\"3.00\",\"freeze\":\"65.50\"},"
		"{\"revision\":1,\"charge\":\"8.75\",\"unfreeze\":\"0.00\",\"freeze\":\"23.00\"}]}\n");
	published_free(&p);
}

Test(statement, what_there_is_not)
{
	struct published p = january();
	cr_expect_str_empty(printed(&p, "acme", 24240, 2, OUTPUT_TABLE, EXIT_CONFIG_ERR)); // no such revision
	cr_expect_str_empty(printed(&p, "acme", 24241, -1, OUTPUT_TABLE, EXIT_LATER));     // not settled yet
	cr_expect_str_empty(printed(&p, "acme", 24239, -1, OUTPUT_TABLE, EXIT_CONFIG_ERR)); // before the first
	cr_expect_str_empty(printed(&p, "acme2", 24240, -1, OUTPUT_TABLE, EXIT_CONFIG_ERR));
	published_free(&p);
	expect_run(tool_statement, "statement acme", 64, "", "1 argument is missing");
	expect_run(tool_statement, "statement acme 2020-1", 64, "", "2020-1 is no month; write it as 2020-01");
	expect_run(tool_statement, "statement acme 2020-01 --revision -1", 64, "", "--revision takes a whole number");
	expect_run(tool_statement, "statement acme 2020-01 --config /nowhere/m.yaml", 78, "", "/nowhere/m.yaml");
}

Test(statement, what_does_not_add_up)
{
	static const char *const bills[] = {
		BILL("s0", "acme", 0, "[\"b0\"]", "7.51", "0.00", "23.00"), BILL("s0", "acme", 0, "[\"b0\"]", "7.50", "1.00", "23.00"),
		BILL("s0", "acme", 0, "[\"b0\"]", "7.50", "0.00", "23.01"), BILL("s0", "acme", 0, "[\"b0\",\"zz\"]", "7.50", "0.00", "23.00"),
		BILL("s0", "acme", 0, "[\"b0\",5]", "7.50", "0.00", "23.00"), BILL("s0", "acme", 0, "[\"b0\"]", "7.5e0", "0.00", "23.00"),
	};
	for (size_t i = 0; i < sizeof(bills) / sizeof(bills[0]); i++) {
		struct published p = published_of("acme", 24240);
		take(&p, LINE("b0", "crop", 0, 13000, 10000, "[]", 3000, "7.50", "0.00", "23.00", "\"adjusts\":null"));
		take(&p, bills[i]);
		printed(&p, "acme", 24240, -1, OUTPUT_TABLE, EXIT_FOUND);
		published_free(&p);
	}
}

Test(figure, decimals)
{
	int64_t fen = 7;
	cr_expect(figure_fen("-12.30", &fen) && fen == -1230);
	cr_expect(figure_fen("92233720368547758.07", &fen) && fen == INT64_MAX);
	static const char *const none[] = { "", "-", ".5", "1.234", "1e2", "+1", "1 ", "92233720368547758.08", "99999999999999999999999999999999999999999" };
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_expect_not(figure_fen(none[i], &fen), "%s", none[i]);
	cr_expect_not(figure_fen(NULL, &fen));
	cr_expect_eq(fen, INT64_MAX);
	char buf[FIGURE_TEXT];
	cr_expect_str_eq(figure_grouped(-1234567, buf), "-1,234,567");
	cr_expect_str_eq(figure_grouped(999, buf), "999");
}
