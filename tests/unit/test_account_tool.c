// SPDX-License-Identifier: Apache-2.0
// meterctl account without Kafka: what it would produce, what it refuses, what it says of files. With Kafka: tests/scenario.
#include "base/error.h"
#include "run_tool.h"
#include "tools/tools.h"

#define DRY "--dry-run --version 3 --bootstrap 127.0.0.1:1 --format ndjson"
#define MADE(id, version, event) \
	"{\"topic\":\"meterd.accounts\",\"partition\":null,\"offset\":null,\"id\":\"" id "\",\"version\":" version ",\"event\":" event "}\n"

static void no_config(void)
{
	unsetenv("METERD_CONFIG");
}

TestSuite(account_tool, .init = no_config);

Test(account_tool, events_as_they_would_be_produced)
{
	expect_run(tool_account, "account activate 100 --time 2019-12-03T08:00:00+08:00 " DRY, 0,
		   MADE("activation", "3", "{\"type\":\"activation\",\"account\":\"100\",\"id\":\"activation\",\"version\":3,\"time\":\"2019-12-03T08:00:00+08:00\"}"), NULL);
	expect_run(tool_account, "account activate 100 --time 2019-12-03T08:00:00+08:00 --id x " DRY, 0,
		   MADE("x", "3", "{\"type\":\"activation\",\"account\":\"100\",\"id\":\"x\",\"version\":3,\"time\":\"2019-12-03T08:00:00+08:00\"}"), NULL);
	expect_run(tool_account, "account pack 100 p-1 --services image-tag,image-crop --calls 1000000 --price 2000.00 --warn none "
		   "--start 2020-03-15T00:00:00+08:00 --expiry 2021-03-15T00:00:00+08:00 " DRY, 0,
		   MADE("p-1", "3", "{\"type\":\"pack\",\"account\":\"100\",\"id\":\"p-1\",\"version\":3,\"services\":[\"image-tag\",\"image-crop\"],\"calls\":1000000,"
			"\"price\":\"2000.00\",\"warn\":\"none\",\"start\":\"2020-03-15T00:00:00+08:00\",\"expiry\":\"2021-03-15T00:00:00+08:00\"}"), NULL);
	expect_run(tool_account, "account cancel 100 p-1 --from 2020-06 " DRY, 0,
		   MADE("p-1", "3", "{\"type\":\"pack.cancelled\",\"account\":\"100\",\"id\":\"p-1\",\"version\":3,\"from\":\"2020-06\"}"), NULL);
}

static char path[4096];

static const char *file_of(const char *text)
{
	const char *folder = getenv("TMPDIR");
	snprintf(path, sizeof(path), "%s/account-tool-XXXXXX", folder != NULL ? folder : P_tmpdir);
	int fd = mkstemp(path);
	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void expect_file(const char *text, const char *options, int code, const char *want_out, const char *in_err)
{
	char whole[5000];
	snprintf(whole, sizeof(whole), "account contract %s %s", file_of(text), options);
	expect_run(tool_account, whole, code, want_out, in_err);
	unlink(path);
}

Test(account_tool, a_contract_from_a_file)
{
	// type and version come first, wherever and whether they stand in the file
	expect_file("{\"services\":[{\"service\":\"image-tag\",\"free\":{\"calls\":5}}],\n \"from\":\"2020-04\",\"id\":\"c-1\",\"account\":\"100\"}\n",
		    DRY, 0,
		    MADE("c-1", "3", "{\"type\":\"contract\",\"account\":\"100\",\"id\":\"c-1\",\"version\":3,\"services\":[{\"service\":\"image-tag\",\"free\":{\"calls\":5}}],"
			 "\"from\":\"2020-04\"}"), NULL);
	// without --version the file's own
	expect_file("{\"version\":7,\"services\":[],\"from\":\"2020-04\",\"id\":\"c-1\",\"account\":\"100\"}", "--dry-run --bootstrap 127.0.0.1:1 --format ndjson", 0,
		    MADE("c-1", "7", "{\"type\":\"contract\",\"account\":\"100\",\"id\":\"c-1\",\"version\":7,\"services\":[],\"from\":\"2020-04\"}"), NULL);
	expect_file("{\"type\":\"pack\"}", DRY, 1, "", "its `type` is not contract");
	expect_file("{\"from\":\"2020-04\",}", DRY, 1, "", ":1:19: string or '}' expected");
	expect_file("[]", DRY, 1, "", "not a JSON object");
	expect_file("{\"from\":\"2020-04\",\"from\":\"2020-05\"}", DRY, 1, "", "duplicate object key");
	expect_file("{\"services\":[],\"from\":\"2020-04\",\"account\":\"100\"}", DRY, 1, "", "field_missing: a required field is missing (`id`)");
	expect_run(tool_account, "account contract /nowhere " DRY, 78, "", "/nowhere: No such file");
}

// What the topic would refuse is not produced: the same words as there.
Test(account_tool, mistakes_of_the_command_line)
{
	static const struct {
		const char *line;
		int code;
		const char *words;
	} cases[] = {
		{ "account", 64, "1 argument is missing" },
		{ "account renew 100", 64, "part `renew` is unknown: it is one of activate, contract, pack, cancel, check, list" },
		{ "account pak 100", 64, "part `pak` is unknown: did you mean `pack`?" },
		{ "account activate --time 2020-01-01T00:00:00Z " DRY, 64, "activate: 1 argument is missing" },
		{ "account activate 100 200 " DRY, 64, "\"200\" is one argument too many" },
		{ "account pack 100 " DRY, 64, "pack: 1 argument is missing" },
		{ "account cancel " DRY, 64, "cancel: 2 arguments are missing" },
		{ "account list 100 200", 64, "\"200\" is one argument too many" },
		{ "account activate 100 " DRY, 1, "field_missing: a required field is missing (`time`)" },
		{ "account activate 100 --time 2020-01-01 " DRY, 1, "time_form: a time is not an RFC 3339 time (time: `2020-01-01`)" },
		{ "account activate a=b --time 2020-01-01T00:00:00Z " DRY, 1, "name_form" },
		{ "account pack 100 p --calls 5 --price 1 --start 2020-01-01T00:00:00Z --expiry 2020-02-01T00:00:00Z " DRY, 1, "field_missing: a required field is missing (`services`)" },
		{ "account pack 100 p --services a --price 1 --start 2020-01-01T00:00:00Z --expiry 2020-02-01T00:00:00Z " DRY, 1, "(`calls`)" },
		{ "account pack 100 p --services a,,b --calls 5 --price 1 --start 2020-01-01T00:00:00Z --expiry 2020-02-01T00:00:00Z " DRY, 1, "(services[1]: empty)" },
		{ "account pack 100 p --services a,b,a --calls 5 --price 1 --start 2020-01-01T00:00:00Z --expiry 2020-02-01T00:00:00Z " DRY, 1, "(services[2]: `a`)" },
		{ "account pack 100 p --services a --calls 0 --price 1 --start 2020-01-01T00:00:00Z --expiry 2020-02-01T00:00:00Z " DRY, 1, "number_range" },
		{ "account pack 100 p --services a --calls x " DRY, 64, "--calls takes a whole number" },
		{ "account pack 100 p --services a --calls 5 --price 1e3 --start 2020-01-01T00:00:00Z --expiry 2020-02-01T00:00:00Z " DRY, 1, "money_form" },
		{ "account cancel 100 p " DRY, 1, "(`from`)" },
		{ "account cancel 100 p --from 2020-06-01 " DRY, 1, "month_form" },
		{ "account cancel 100 p --from 2020-06 --dry-run --version 0 --bootstrap 127.0.0.1:1", 1, "(version: 0, not 1 to 9007199254740991)" },
		{ "account cancel 100 p --frm 2020-06", 64, "did you mean --from?" },
		{ "account list --config /nowhere", 78, "/nowhere" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_run(tool_account, cases[i].line, cases[i].code, "", cases[i].words);
}

Test(account_tool, help_shows_each_event)
{
	char *out, *err;
	cr_expect_eq(run(tool_account, "account --help", &out, &err), 0);
	static const char *const parts[] = { "activate ACCOUNT --time T", "\"type\":\"contract\"", "\"type\":\"pack\"", "\"type\":\"pack.cancelled\"", "\"type\":\"activation\"", "--dry-run" };
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		cr_expect(strstr(out, parts[i]) != NULL, "%s", parts[i]);
}

#define PACK "{\"type\":\"pack\",\"account\":\"A\",\"id\":\"p\",\"version\":1,\"services\":[\"image-tag\",\"DetectLabel\",\"video\"],\"calls\":5,\"price\":\"1\"," \
	"\"start\":\"2020-01-01T00:00:00Z\",\"expiry\":\"2021-01-01T00:00:00Z\"}\n"
#define CANCEL "{\"type\":\"pack.cancelled\",\"account\":\"A\",\"id\":\"p\",\"version\":2,\"from\":\"2020-06\"}\n"

static void expect_check(const char *text, const char *options, int code, const char *want_out, const char *in_err)
{
	char line[4200], want[4096], *out = want;
	file_of(text);
	snprintf(line, sizeof(line), "account check %s %s", path, options);
	for (const char *p = want_out; *p != '\0'; p++) // @ stands for the name of the file
		if (*p == '@')
			out += snprintf(out, sizeof(want) - (size_t)(out - want), "%s", path);
		else
			*out++ = *p;
	*out = '\0';
	expect_run(tool_account, line, code, want, in_err);
	unlink(path);
}

Test(account_tool, check_judges_each_line)
{
	expect_check(PACK "{\"type\":\"pack\"}\n" CANCEL, "--format table", 1,
		     "accepted  @:1  pack p of account A, version 1\n"
		     "rejected  @:2  field_missing: a required field is missing (`account`)\n"
		     "          Send the field; `meterctl account --help` shows each event whole.\n"
		     "accepted  @:3  pack.cancelled p of account A, version 2\n", "3 checked, 1 rejected");
	expect_check(PACK, "--format ndjson", 0,
		     "{\"file\":\"@\",\"line\":1,\"outcome\":\"accepted\",\"account\":\"A\",\"kind\":\"pack\",\"id\":\"p\",\"version\":1,\"code\":null,"
		     "\"message\":null,\"detail\":null,\"advice\":null}\n", "1 checked, 0 rejected");
	expect_check("nonsense\n", "--format csv", 1,
		     "file,line,outcome,account,kind,id,version,code,message,detail,advice\r\n"
		     "@,1,rejected,,,,,json_syntax,the value is not valid JSON,\"at byte 8, near 'nonsense'\",\"Write the event with a JSON library (RFC 8259): "
		     "double quotes, no comments, no trailing commas, nothing after the object.\"\r\n", "1 checked, 1 rejected");
}

// With --log also against each other: the file is the topic.
Test(account_tool, check_as_a_log)
{
	expect_check(CANCEL PACK CANCEL CANCEL PACK, "--format table --log", 1,
		     "rejected  @:1  pack_unknown: a pack that is not known cannot be cancelled (`p` version 2)\n"
		     "          Check account and id of the pack, and that it was bought before in the same partition (records are keyed by account).\n"
		     "accepted  @:2  pack p of account A, version 1\n"
		     "accepted  @:3  pack.cancelled p of account A, version 2\n"
		     "repeated  @:4  pack.cancelled p of account A, version 2\n"
		     "rejected  @:5  version_stale: a newer version of the same thing is known (`p` version 1; known is version 2 of partition 0, offset 2)\n"
		     "          Nothing to do where records came late or twice. A change needs a version higher than the one that is known.\n",
		     "5 checked, 2 rejected");
}

// With a configuration the price book is asked which names it has.
Test(account_tool, names_that_the_price_book_does_not_have)
{
	expect_check(PACK, "--format table --config " SOURCE_DIR "/config/meterd.yaml", 0,
		     "accepted  @:1  pack p of account A, version 1; inert: `DetectLabel` is an alias of `image-tag`, `video` is not in the price book\n",
		     "1 checked, 0 rejected");
}
