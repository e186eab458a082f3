// SPDX-License-Identifier: Apache-2.0
// The verbs that need no server: quote, explain, check-catalog; what they print, byte for byte, and their exit codes.
#include "base/error.h"
#include "run_tool.h"
#include "table.h"
#include "tools/tools.h"

#define BOOK SOURCE_DIR "/config/catalog.yaml"

Test(quote, fields_of_a_settlement)
{
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls 1010000 --period 2020-01", 0,
		   "{\"calls\":1010000,\"free\":10000,\"packs\":[],\"billable\":1000000,\"tier\":2,\"unit_price\":\"2.2\",\"per\":1000,"
		   "\"exact\":\"2200\",\"charge\":\"2200.00\",\"currency\":\"CNY\"}\n", NULL);
	expect_run(tool_quote, "quote --catalog " BOOK " --service DetectLabel --calls 999999 --period 2020-01 --format table", 0,
		   "calls       999999\nfree        10000\npacks       []\nbillable    989999\ntier        1\nunit_price  2.5\nper         1000\n"
		   "exact       2474.9975\ncharge      2475.00\ncurrency    CNY\n", NULL);
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag-legacy --calls 11000000 --period 2020-02 --packs 10000000,7", 0,
		   "{\"calls\":11000000,\"free\":10000,\"packs\":[{\"id\":\"1\",\"calls\":10000000},{\"id\":\"2\",\"calls\":7}],\"billable\":989993,"
		   "\"tier\":1,\"unit_price\":\"0.0011\",\"per\":1,\"exact\":\"1088.9923\",\"charge\":\"1088.99\",\"currency\":\"CNY\"}\n", NULL);
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag-legacy --calls 1000 --period 2020-02 --activated --format csv", 0,
		   "calls,free,packs,billable,tier,unit_price,per,exact,charge,currency\r\n1000,0,[],1000,1,0.0011,1,1.1,1.10,CNY\r\n", NULL);
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-enhance --calls 5 --period 2020-02", 0,
		   "{\"calls\":5,\"free\":0,\"packs\":[],\"billable\":5,\"tier\":1,\"unit_price\":\"0\",\"per\":1,\"exact\":\"0\",\"charge\":\"0.00\","
		   "\"currency\":\"CNY\"}\n", NULL);
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls 5 --period 2019-12", 0,
		   "{\"calls\":5,\"free\":0,\"packs\":[],\"billable\":5,\"tier\":1,\"unit_price\":\"0\",\"per\":1,\"exact\":\"0\",\"charge\":\"0.00\","
		   "\"currency\":\"CNY\"}\n", NULL);
	// A slice is shown instead of tier and price; the numbers are those of pricing.md, rule 1.
	expect_run(tool_quote, "quote --catalog " SOURCE_DIR "/tests/table/models.yaml --service graduated --calls 16 --period 2020-01", 0,
		   "{\"calls\":16,\"free\":0,\"packs\":[],\"billable\":16,\"slices\":[{\"tier\":1,\"calls\":10,\"unit_price\":\"5\",\"amount\":\"50\"},"
		   "{\"tier\":2,\"calls\":5,\"unit_price\":\"3\",\"amount\":\"15\"},{\"tier\":3,\"calls\":1,\"unit_price\":\"1\",\"amount\":\"1\"}],"
		   "\"per\":1,\"exact\":\"66\",\"charge\":\"66.00\",\"currency\":\"EUR\"}\n", NULL);
}

#define FACTS "quote --catalog " SOURCE_DIR "/tests/table/settlement.yaml --facts " SOURCE_DIR "/tests/table/facts.ndjson "

Test(quote, packs_contracts_and_shared_free_calls)
{
	// p-1 ends first; each pack in its turn
	expect_run(tool_quote, FACTS "--service tag --calls 20000 --period 2020-01", 0,
		   "{\"calls\":20000,\"free\":10000,\"packs\":[{\"id\":\"p-1\",\"calls\":5000},{\"id\":\"p-2\",\"calls\":4000}],\"billable\":1000,"
		   "\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"exact\":\"2.5\",\"charge\":\"2.50\",\"currency\":\"CNY\"}\n", NULL);
	// p-1 is over in April; behind what holds come the packs of the command line
	expect_run(tool_quote, FACTS "--service tag --calls 20000 --period 2020-04 --packs 1500,9000", 0,
		   "{\"calls\":20000,\"free\":10000,\"packs\":[{\"id\":\"p-2\",\"calls\":4000},{\"id\":\"1\",\"calls\":1500},{\"id\":\"2\",\"calls\":4500}],"
		   "\"billable\":0,\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"exact\":\"0\",\"charge\":\"0.00\",\"currency\":\"CNY\"}\n", NULL);
	// a contract with its free calls; of p-2 tag has taken 18,000 - 10,000 - 5,000 before
	expect_run(tool_quote, FACTS "--service crop --calls 11000 --others tag=18000 --period 2020-02", 0,
		   "{\"calls\":11000,\"free\":5000,\"packs\":[{\"id\":\"p-2\",\"calls\":1000}],\"billable\":5000,\"tier\":1,\"unit_price\":\"1\","
		   "\"per\":1000,\"exact\":\"5\",\"charge\":\"5.00\",\"currency\":\"CNY\",\"contract\":\"c-1/1\",\"list_charge\":\"10.00\"}\n", NULL);
	// shared free calls: pool-a before pool-b, whatever the order on the command line
	expect_run(tool_quote, FACTS "--service pool-b --calls 7000 --others tag=3,pool-a=6000 --period 2020-01", 0,
		   "{\"calls\":7000,\"free\":4000,\"packs\":[],\"billable\":3000,\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"exact\":\"7.5\","
		   "\"charge\":\"7.50\",\"currency\":\"CNY\"}\n", NULL);
	expect_run(tool_quote, FACTS "--service pool-a --calls 6000 --others pool-b=7000 --period 2020-01", 0,
		   "{\"calls\":6000,\"free\":6000,\"packs\":[],\"billable\":0,\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"exact\":\"0\","
		   "\"charge\":\"0.00\",\"currency\":\"CNY\"}\n", NULL);
	// activated in February: free calls of `next` begin in March
	expect_run(tool_quote, FACTS "--service next --calls 1000 --period 2020-02 --format csv", 0,
		   "calls,free,packs,billable,tier,unit_price,per,exact,charge,currency\r\n1000,0,[],1000,1,1,1000,1,1.00,CNY\r\n", NULL);
	expect_run(tool_quote, FACTS "--service next --calls 1000 --period 2020-03 --format csv", 0,
		   "calls,free,packs,billable,tier,unit_price,per,exact,charge,currency\r\n1000,1000,[],0,1,1,1000,0,0.00,CNY\r\n", NULL);
	expect_run(tool_quote, FACTS "--account nobody --service tag --calls 1 --period 2020-01", 78, "", "facts.ndjson:1: it is about another account");
	expect_run(tool_quote, "quote --catalog " BOOK " --facts " BOOK " --service image-tag --calls 1 --period 2020-01", 78, "", "catalog.yaml:1: ");
	expect_run(tool_quote, "quote --catalog " BOOK " --facts /nowhere --service image-tag --calls 1 --period 2020-01", 78, "", "/nowhere");
	expect_run(tool_quote, FACTS "--service tag --calls 1 --period 2020-01 --others tag=1", 64, "", "ids of other services with their calls");
	expect_run(tool_quote, FACTS "--service tag --calls 1 --period 2020-01 --others crop", 64, "", "not `crop`");
	expect_run(tool_quote, FACTS "--service tag --calls 1 --period 2020-01 --others crop=1,pool-a=-1", 64, "", "not `pool-a=-1`");
	expect_run(tool_quote, "quote --service tag --calls 1 --account acme --config /nowhere/m.yaml", 78, "", "/nowhere/m.yaml");
}

Test(quote, mistakes_say_what_to_write)
{
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag", 64, "", "--calls N are needed");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tga --calls 1", 64, "", "did you mean `image-tag`?");
	expect_run(tool_quote, "quote --catalog " BOOK " --service speech-to-text --calls 1 --period 2020-01", 64, "", "use one of image-tag, product-");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag-legacy --calls 1 --period 2020-05", 64, "", "successor image-tag");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls -1", 64, "", "calls");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls 1.5", 64, "", "1.5");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls 1 --period 2020-1", 64, "", "write it such as 2020-01");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls 1 --packs 1,x", 64, "", "separated by commas");
	expect_run(tool_quote, "quote --catalog " BOOK " --service image-tag --calls 1 --packs ,", 64, "", "separated by commas");
	expect_run(tool_quote, "quote --catalog /nowhere/catalog.yaml --service image-tag --calls 1", 78, "", "cannot be read");
	expect_run(tool_quote, "quote --catalog " SOURCE_DIR "/tests/table/models.yaml --service dear --calls 9223372036854775807 --period 2020-01",
		   64, "", "larger than an amount can be");
}

Test(explain, a_quote_on_paper)
{
	expect_run(tool_explain, "explain --catalog " BOOK " --service image-tag --calls 1010000 --period 2020-01 --account 100", 0,
		   "image-tag (图像标签), 2020-01, account 100, price book tiia-2020-01\n\n"
		   " 1. 1,010,000 calls were counted in 2020-01.\n"
		   " 2. 10,000 calls a month are free: 1,010,000 - 10,000 = 1,000,000.\n"
		   " 3. 1,000,000 calls are billable.\n"
		   " 4. The tier is picked by all calls, free ones too: 1,010,000.\n"
		   "    That is tier 2, [1,000,000, 3,000,000): 2.2 CNY per 1,000 calls. Volume price: the tier reached prices all billable calls.\n"
		   " 5. The charge:\n"
		   "    1,000,000 calls × 2.2 / 1,000 = 2200 CNY\n"
		   " 6. Rounded to 0.01, half-up: 2200 becomes 2200.00.\n\n"
		   "Charge: 2200.00 CNY\n", NULL);
	expect_run(tool_explain, "explain --catalog " SOURCE_DIR "/tests/table/models.yaml --service fees --calls 12 --period 2020-01", 0,
		   "fees (Fees), 2020-01, price book models-1\n\n"
		   " 1. 12 calls were counted in 2020-01.\n"
		   " 2. 2 calls a month are free: 12 - 2 = 10.\n"
		   " 3. 10 calls are billable.\n"
		   " 4. Graduated price: each tier prices its own slice of the calls.\n"
		   "    Free calls and those of packs come first in the row: the billable ones are number 3 to 12 of the month.\n"
		   "    Tier 1, [0, 5):\n"
		   "    3 calls × 0 = 0 EUR\n"
		   "    and the fee of tier 1: 0 + 100 = 100 EUR\n"
		   "    Tier 2, [5, no end):\n"
		   "    7 calls × 0.5 = 3.5 EUR\n"
		   "    Together: 103.5 EUR\n"
		   " 5. Rounded to 0.01, half-even: 103.5 becomes 103.50.\n\n"
		   "Charge: 103.50 EUR\n", NULL);
	expect_run(tool_explain, "explain --catalog " SOURCE_DIR "/tests/table/models.yaml --service blocks --calls 121 --period 2020-01", 0,
		   "blocks (Blocks), 2020-01, price book models-1\n\n"
		   " 1. 121 calls were counted in 2020-01.\n"
		   " 2. 10 calls a month are free: 121 - 10 = 111.\n"
		   " 3. 111 calls are billable.\n"
		   " 4. Price per block: every block begun counts whole.\n"
		   "    A block is 10 calls; 111 calls are billable.\n"
		   "    12 blocks × 100 = 1200 EUR\n"
		   " 5. Rounded to 0.01, half-even: 1200 becomes 1200.00.\n\n"
		   "Charge: 1200.00 EUR\n", NULL);
}

static const char settlement[] =
	"{\"specversion\":\"1.0\",\"type\":\"meterd.settlement.v1\",\"data\":{\"account\":\"100\",\"service\":\"image-tag\",\"period\":\"2020-01\","
	"\"revision\":0,\"catalog\":\"tiia-2020-01\",\"calls\":1010000,\"free\":10000,\"packs\":[],\"billable\":1000000,\"tier\":2,"
	"\"unit_price\":\"2.2\",\"per\":1000,\"exact\":\"2200\",\"charge\":\"2200.00\",\"currency\":\"CNY\",\"unfreeze\":\"0.00\","
	"\"freeze\":\"2222.00\",\"rounding\":\"half-up\",\"tier_basis\":\"total\",\"adjusts\":null}}\n";

// Writes the settlement with `from` replaced by `to` and explains it.
static int explain_changed(const char *from, const char *to, const char *more, char **out, char **err)
{
	char path[4096], line[8192];
	const char *folder = getenv("TMPDIR");
	snprintf(path, sizeof(path), "%s/meterd-explain-XXXXXX", folder != NULL ? folder : P_tmpdir);
	FILE *f = fdopen(mkstemp(path), "w");
	const char *at = strstr(settlement, from);
	cr_assert(at != NULL, "%s", from);
	fprintf(f, "%.*s%s%s", (int)(at - settlement), settlement, to, at + strlen(from));
	fclose(f);
	snprintf(line, sizeof(line), "explain --settlement %s %s", path, more);
	int code = run(tool_explain, line, out, err);
	unlink(path);
	return code;
}

Test(explain, a_settlement)
{
	char *out, *err;
	cr_assert_eq(explain_changed("\"100\"", "\"100\"", "--catalog " BOOK, &out, &err), 0, "%s", err);
	cr_assert(strstr(out, "image-tag (图像标签), 2020-01, account 100") == out);
	cr_assert(strstr(out, "Frozen for the next month, at the list price of tier 2, 2.2 CNY per 1,000 calls:\n"
			   "    1,010,000 calls × 2.2 / 1,000 = 2222 CNY\n    2222 × 100 % = 2222.00, rounded\n") != NULL, "%s", out);
	cr_assert_eq(explain_changed("\"100\"", "\"100\"", "", &out, &err), 0, "%s", err);
	cr_assert(strstr(out, "Frozen for the next month: 2222.00.") != NULL, "%s", out);
	cr_assert(strstr(out, "\nCharge: 2200.00 CNY\n") != NULL && strstr(out, "ADD UP") == NULL);
	cr_assert_eq(explain_changed("\"freeze\":\"2222.00\",\"rounding\":\"half-up\",\"tier_basis\":\"total\",\"adjusts\":null",
				     "\"freeze\":\"0.00\",\"rounding\":\"half-up\",\"tier_basis\":\"total\",\"adjusts\":{\"revision\":0,\"calls\":999999,"
				     "\"charge\":\"2475.00\"},\"difference\":\"-275.00\"", "", &out, &err), 0, "%s", err);
	cr_assert(strstr(out, "revision 0 charged 2475.00 for 999,999 calls: 2200.00 - 2475.00 = -275.00 is the difference.") != NULL, "%s", out);
	cr_assert(strstr(out, "\nCharge: 2200.00 CNY, difference -275.00\n") != NULL);
}

Test(explain, a_settlement_that_was_changed_is_found)
{
	static const char *const changes[][3] = {
		{ "\"calls\":1010000", "\"calls\":1010001", "billable calls is 1,000,001 here" },
		{ "\"free\":10000", "\"free\":0", "billable calls is 1,010,000 here" },
		{ "\"billable\":1000000", "\"billable\":999999", "says 999,999" },
		{ "\"unit_price\":\"2.2\"", "\"unit_price\":\"2.1\"", "the amount is 2100 here" },
		{ "\"exact\":\"2200\"", "\"exact\":\"2200.0001\"", "the amount is 2200 here" },
		{ "\"charge\":\"2200.00\"", "\"charge\":\"2200.01\"", "the charge is 2200.00 here" },
		{ "\"packs\":[]", "\"packs\":[{\"id\":\"p\",\"calls\":5}]", "999,995" },
		{ "\"adjusts\":null", "\"adjusts\":{\"revision\":0,\"calls\":1,\"charge\":\"1.00\"},\"difference\":\"2.00\"", "the difference is 2199.00 here" },
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char *out, *err;
		cr_expect_eq(explain_changed(changes[i][0], changes[i][1], "", &out, &err), EXIT_FOUND, "%s", changes[i][1]);
		cr_expect(strstr(out, "DOES NOT ADD UP") != NULL && strstr(out, changes[i][2]) != NULL, "%s\n%s", changes[i][1], out);
	}
	char *out, *err; // only the price book can tell
	cr_expect_eq(explain_changed("\"tier\":2", "\"tier\":3", "", &out, &err), 0);
	cr_expect_eq(explain_changed("\"tier\":2", "\"tier\":3", "--catalog " BOOK, &out, &err), EXIT_FOUND);
	cr_expect(strstr(out, "the tier is 2 here, but the settlement says 3") != NULL, "%s", out);
}

// Under a contract and out of a pack: only the facts can tell.
Test(explain, a_settlement_with_facts)
{
	static const char *const crop[][2] = {
		{ "\"service\":\"image-tag\",\"period\":\"2020-01\",\"revision\":0,\"catalog\":\"tiia-2020-01\",\"calls\":1010000,\"free\":10000,\"packs\":[],"
		  "\"billable\":1000000,\"tier\":2,\"unit_price\":\"2.2\",\"per\":1000,\"exact\":\"2200\",\"charge\":\"2200.00\",\"currency\":\"CNY\","
		  "\"unfreeze\":\"0.00\",\"freeze\":\"2222.00\"",
		  "\"service\":\"crop\",\"period\":\"2020-02\",\"revision\":0,\"catalog\":\"small-1\",\"calls\":8000,\"free\":5000,\"packs\":[{\"id\":\"p-2\","
		  "\"calls\":1000}],\"billable\":2000,\"tier\":1,\"unit_price\":\"1\",\"per\":1000,\"exact\":\"2\",\"charge\":\"2.00\",\"currency\":\"CNY\","
		  "\"unfreeze\":\"0.00\",\"freeze\":\"16.00\"" } };
	char *out, *err, facts[4096];
	const char *folder = getenv("TMPDIR");
	snprintf(facts, sizeof(facts), "%s/meterd-facts-XXXXXX", folder != NULL ? folder : P_tmpdir);
	FILE *f = fdopen(mkstemp(facts), "w");
	fputs("{\"type\":\"contract\",\"account\":\"100\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-02\",\"services\":[{\"service\":\"crop\",\"prices\":"
	      "{\"model\":\"volume\",\"per\":1000,\"tiers\":[{\"from\":0,\"price\":\"1\"}]},\"free\":{\"calls\":5000}}]}\n"
	      "{\"type\":\"pack\",\"account\":\"100\",\"id\":\"p-2\",\"version\":1,\"services\":[\"crop\"],\"calls\":4000,\"price\":\"9.00\","
	      "\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}\n", f);
	fclose(f);
	char more[8192];
	snprintf(more, sizeof(more), "--catalog " SOURCE_DIR "/tests/table/settlement.yaml --facts %s", facts);
	cr_expect_eq(explain_changed(crop[0][0], crop[0][1], more, &out, &err), 0, "%s\n%s", err, out);
	cr_expect(strstr(out, "pack p-2 (of 4,000 calls, 2020-01 to 2020-12): 3,000 - 1,000 = 2,000") != NULL, "%s", out);
	cr_expect(strstr(out, "By the price list the same calls would cost 4; the contract's 2 is charged.") != NULL, "%s", out);
	cr_expect(strstr(out, "at the list price of tier 1, 2 CNY per 1,000 calls") != NULL, "%s", out);
	cr_expect_eq(explain_changed(crop[0][0], crop[0][1], "--catalog " SOURCE_DIR "/tests/table/settlement.yaml", &out, &err), EXIT_FOUND, "%s", out);
	unlink(facts);
	snprintf(more, sizeof(more), "--catalog " SOURCE_DIR "/tests/table/settlement.yaml --facts %s", SOURCE_DIR "/tests/table/facts.ndjson");
	cr_expect_eq(explain_changed(crop[0][0], crop[0][1], more, &out, &err), 78);
	cr_expect(strstr(err, "it is about another account") != NULL, "%s", err);
}

// Consistent in itself: only the price book can tell.
Test(explain, a_settlement_by_other_rules_is_found)
{
	char *out, *err;
	const char *from = "\"free\":10000,\"packs\":[],\"billable\":1000000,\"tier\":2,\"unit_price\":\"2.2\",\"per\":1000,\"exact\":\"2200\",\"charge\":\"2200.00\"";
	const char *to = "\"free\":0,\"packs\":[],\"billable\":1010000,\"tier\":2,\"unit_price\":\"2.2\",\"per\":1000,\"exact\":\"2222\",\"charge\":\"2222.00\"";
	cr_expect_eq(explain_changed(from, to, "", &out, &err), 0, "%s", err);
	cr_expect_eq(explain_changed(from, to, "--catalog " BOOK, &out, &err), EXIT_FOUND);
	cr_expect(strstr(out, "free calls is 10,000 here, but the settlement says 0") != NULL, "%s", out);
	to = "\"free\":10000,\"packs\":[],\"billable\":1000000,\"slices\":[{\"tier\":1,\"calls\":1000000,\"unit_price\":\"1\",\"amount\":\"1000\"}],"
	     "\"per\":1000,\"exact\":\"1000\",\"charge\":\"1000.00\"";
	cr_expect_eq(explain_changed(from, to, "", &out, &err), 0, "%s", out);
	cr_expect_eq(explain_changed(from, to, "--catalog " BOOK, &out, &err), EXIT_FOUND);
	cr_expect(strstr(out, "the bill by the price book is 2200 here, but the settlement says 1000") != NULL, "%s", out);
}

Test(explain, what_is_no_settlement_is_refused)
{
	static const char *const changes[][3] = {
		{ "{\"spec", "[{\"spec", "not JSON" }, { "\"calls\":1010000", "\"calls\":1010000.0", "`calls`" },
		{ "\"calls\":1010000", "\"calls\":\"1010000\"", "`calls`" }, { "\"calls\":1010000", "\"calls\":-1", "`calls`" },
		{ "\"exact\":\"2200\"", "\"exact\":2200", "`exact`" }, { "\"exact\":\"2200\"", "\"exact\":\"2e3\"", "`exact`" },
		{ "\"charge\":\"2200.00\"", "\"charge\":\"2200.001\"", "`charge`" }, { "\"per\":1000", "\"per\":7", "`per`" },
		{ "\"per\":1000", "\"per\":0", "`per`" }, { "\"tier\":2", "\"tier\":0", "`tier`" }, { "half-up", "upwards", "`rounding`" },
		{ "\"packs\":[]", "\"packs\":{}", "`packs`" }, { "\"packs\":[]", "\"packs\":[5]", "`id`" },
		{ "\"tier\":2", "\"slices\":[{\"tier\":1}]", "`calls`" }, { "\"account\":\"100\",", "", "`account`" },
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char *out, *err;
		cr_expect_eq(explain_changed(changes[i][0], changes[i][1], "", &out, &err), EXIT_CONFIG_ERR, "%s", changes[i][1]);
		cr_expect(strstr(err, changes[i][2]) != NULL, "%s: %s", changes[i][1], err);
		cr_expect_str_empty(out);
	}
	expect_run(tool_explain, "explain", 64, "", "are needed");
	expect_run(tool_explain, "explain --settlement /nowhere", 78, "", "cannot be read");
}

Test(check_catalog, which_prices_apply_from_when)
{
	expect_run(tool_check_catalog, "check-catalog " SOURCE_DIR "/tests/table/models.yaml --format csv", 0,
		   "service,name,from,model,per,bounds,tier_basis,free,prices,end,shares\r\n"
		   "graduated,Graduated,2020-01,graduated,1,upper-inclusive,total,0,\"0: 5, 10: 3, 15: 1\",,\r\n"
		   "fees,Fees,2020-01,graduated,1,lower-inclusive,total,2,\"0: 0 + 100, 5: 0.5\",,\r\n"
		   "fees,Fees,2020-03,flat,10,lower-inclusive,total,2,0: 4,,\r\n"
		   "fees,Fees,2020-05,flat,10,lower-inclusive,total,1,0: 4,,\r\n"
		   "fees,Fees,2020-06,free,,,,1,,,\r\n"
		   "blocks,Blocks,2020-01,package,10,lower-inclusive,total,10,0: 100,2020-06-30T22:00:00.000Z,\r\n"
		   "dear,Dear,2020-01,flat,1,lower-inclusive,total,0,0: 1000000,,\r\n",
		   "no errors; version models-1, EUR, months in Europe/Berlin, rounding half-even, freeze by bill, packs by earliest-expiry");
	expect_run(tool_check_catalog, "check-catalog " SOURCE_DIR "/tests/table/terms_by_start.yaml --format csv", 0,
		   "service,name,from,model,per,bounds,tier_basis,free,prices,end,shares\r\n"
		   "tag,T,2020-01,volume,1000,lower-inclusive,total,100,\"0: 2.5, 1000: 2.2\",,\r\n"
		   "tag,T,2020-07,volume,1000,lower-inclusive,total,10,\"0: 2.4, 1000: 2.1\",,\r\n"
		   "legacy,L,2020-01,volume,1,upper-inclusive,billable,100,\"0: 0.0011, 1000: 0.0009\",2020-04-30T16:00:00.000Z,\r\n"
		   "beta,B,2020-06,flat,1,lower-inclusive,total,5,0: 1,,\r\n"
		   "one,O,2020-01,flat,1,lower-inclusive,total,0,0: 1,,early\r\n"
		   "two,W,2020-01,flat,1,lower-inclusive,total,0,0: 1,,early\r\n"
		   "three,H,2020-03,flat,1,lower-inclusive,total,0,0: 1,,early\r\n"
		   "trial,R,2019-12,free,,,,8,,,\r\n" // of those whom a contract charges
		   "trial,R,2020-01,flat,1,lower-inclusive,total,8,0: 1,,\r\n"
		   "trial,R,2020-02,free,,,,6,,,\r\n"
		   "trial,R,2020-03,free,,,,4,,,\r\n"
		   "early,,2020-02,shared,,,,50,,,one two three\r\n"
		   "early,,2020-08,shared,,,,0,,,\r\n",
		   "packs by earliest-start");
	expect_run(tool_check_catalog, "check-catalog " SOURCE_DIR "/tests/table/catalog_faults/ids.yaml", 78, "", "ids.yaml: 3 errors\n");
	expect_run(tool_check_catalog, "check-catalog", 64, "", "argument");
}
