// SPDX-License-Identifier: Apache-2.0
// The command line that all verbs share, and what meterd does with a configuration before anything runs.
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "tools/frontend.h"
#include "tools/options.h"
#include "tools/tools.h"

struct given {
	const char *period;
	bool dry_run;
	int64_t limit;
};

static int parse(struct options *o, struct given *g, const char *words[2], const char *line)
{
	const struct option_row rows[] = {
		{ "period", OPTION_TEXT, &g->period, "YYYY-MM", "only this month" },
		{ "dry-run", OPTION_FLAG, &g->dry_run, NULL, "only say what would be done" },
		{ "limit", OPTION_INT, &g->limit, "N", "at most N" },
	};
	static char copy[400];
	char *argv[20] = { "usage" };
	int argc = 1;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = copy + strspn(copy, " "); *word != '\0';) {
		argv[argc++] = word;
		word += strcspn(word, " ");
		if (*word != '\0')
			*word++ = '\0';
		word += strspn(word, " ");
	}
	*g = (struct given){ 0 };
	return options_parse(o, argc, argv, rows, ARRAY_LEN(rows), words, 0, 2);
}

Test(options, in_any_order)
{
	struct options o = { .verb = "usage" };
	struct given g;
	const char *words[2];
	cr_expect(parse(&o, &g, words, "a --period 2020-01 --limit=12 b --dry-run --format csv --config=/x/y") == OPTIONS_GO_ON);
	cr_expect(o.n_words == 2 && strcmp(words[0], "a") == 0 && strcmp(words[1], "b") == 0);
	cr_expect_str_eq(g.period, "2020-01");
	cr_expect(g.dry_run && g.limit == 12 && o.format == OUTPUT_CSV);
	cr_expect_str_eq(o.config, "/x/y");
	cr_expect(parse(&o, &g, words, "-- --period -") == OPTIONS_GO_ON);
	cr_expect(o.n_words == 2 && strcmp(words[0], "--period") == 0 && strcmp(words[1], "-") == 0 && g.period == NULL);
	cr_expect(parse(&o, &g, words, "--period=") == OPTIONS_GO_ON && strcmp(g.period, "") == 0);
}

Test(options, defaults, .init = cr_redirect_stdout)
{
	struct options o = { .verb = "usage" };
	struct given g;
	const char *words[2];
	unsetenv("METERD_CONFIG");
	cr_expect(parse(&o, &g, words, "") == OPTIONS_GO_ON);
	cr_expect(o.format == OUTPUT_NDJSON, "stdout is no terminal");
	cr_expect_str_eq(o.config, "/etc/meterd/meterd.yaml");
	setenv("METERD_CONFIG", "/x.yaml", 1);
	cr_expect(parse(&o, &g, words, "") == OPTIONS_GO_ON);
	cr_expect_str_eq(o.config, "/x.yaml");
}

Test(options, mistakes, .init = cr_redirect_stderr)
{
	static const char *const lines[] = { "--perod 2020-01", "-x", "--dry-run=yes", "--period", "--limit many", "--limit -1",
					     "--limit 99999999999999999999", "a b c", "--format xml", "--" };
	static const char expected[] =
		"meterctl usage: unknown option \"--perod\": did you mean --period?\n`meterctl usage --help` says more.\n"
		"meterctl usage: unknown option \"-x\"\n`meterctl usage --help` says more.\n"
		"meterctl usage: --dry-run takes no value\n`meterctl usage --help` says more.\n"
		"meterctl usage: --period needs a value: YYYY-MM\n`meterctl usage --help` says more.\n"
		"meterctl usage: --limit takes a whole number, not \"many\"\n`meterctl usage --help` says more.\n"
		"meterctl usage: --limit takes a whole number, not \"-1\"\n`meterctl usage --help` says more.\n"
		"meterctl usage: --limit takes a whole number, not \"99999999999999999999\"\n`meterctl usage --help` says more.\n"
		"meterctl usage: \"c\" is one argument too many\n`meterctl usage --help` says more.\n"
		"--format `xml` is unknown: use table, json, ndjson or csv\n"
		"meterctl usage: 1 argument is missing\n`meterctl usage --help` says more.\n";
	struct options o = { .verb = "usage" };
	struct given g;
	const char *words[2];
	for (size_t i = 0; i + 1 < ARRAY_LEN(lines); i++)
		cr_expect(parse(&o, &g, words, lines[i]) == EXIT_USAGE_ERR, "%s", lines[i]);
	char *none[] = { "usage", NULL };
	cr_expect(options_parse(&o, 1, none, NULL, 0, words, 1, 1) == EXIT_USAGE_ERR);
	fflush(stderr);
	cr_assert_stderr_eq_str(expected);
}

Test(options, codes_of_errors, .init = cr_redirect_stderr)
{
	struct options o = { .verb = "usage" };
	struct error retry = { 0 }, halt = { 0 }, stop = { 0 };
	error_set(&retry, ERROR_RETRY, 0, "away");
	error_set(&halt, ERROR_HALT, 0, "odd");
	error_set(&stop, ERROR_ABORT, EXIT_CONFIG_ERR, "lost");
	cr_expect(options_fail(&o, &retry) == 69 && options_fail(&o, &halt) == 70 && options_fail(&o, &stop) == 78);
	fflush(stderr);
	cr_assert_stderr_eq_str("meterctl usage: away\nmeterctl usage: odd\nmeterctl usage: lost\n");
}

// ---- the front end

static char *scratch(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/meterd-test-XXXXXX", tmp != NULL ? tmp : P_tmpdir);
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(chdir(dir) == 0); // short names in the texts
	return dir;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	cr_assert(f != NULL);
	fputs(text, f);
	cr_assert(fclose(f) == 0);
}

static void redirect_both(void)
{
	cr_redirect_stdout();
	cr_redirect_stderr();
}

Test(frontend, check_of_good_files, .init = redirect_both)
{
	CLEANUP(freep) char *dir = scratch();
	write_file("m.yaml", "catalog: " SOURCE_DIR "/config/catalog.yaml\n");
	cr_expect(frontend_check("m.yaml") == EXIT_DONE);
	fflush(stdout);
	fflush(stderr);
	cr_assert_stderr_eq_str("");
	unlink("m.yaml");
	rmdir(dir);
}

Test(frontend, check_reports_both_files, .init = redirect_both)
{
	CLEANUP(freep) char *dir = scratch();
	write_file("m.yaml", "workers: 0\ncatalog: c.yaml\n");
	write_file("c.yaml", "a: 1\nb: *x\n");
	cr_expect(frontend_check("m.yaml") == EXIT_CONFIG_ERR);
	fflush(stdout);
	fflush(stderr);
	cr_assert_stderr_eq_str("m.yaml:1:10: error: workers: 0 is out of range: must be between 1 and 64\n"
				"    workers: 0\n             ^\n"
				"c.yaml:2:4: error: aliases (*x) are not used here: write the value out\n"
				"    b: *x\n       ^\n"
				"2 errors\n");
	cr_assert_stdout_eq_str("");
	unlink("m.yaml");
	unlink("c.yaml");
	rmdir(dir);
}

Test(frontend, check_of_missing_files, .init = redirect_both)
{
	CLEANUP(freep) char *dir = scratch();
	write_file("m.yaml", "redis:\n  password_file: pw\n");
	cr_expect(frontend_check("m.yaml") == EXIT_CONFIG_ERR);
	cr_expect(frontend_check("n.yaml") == EXIT_CONFIG_ERR);
	struct settings *s = NULL;
	cr_expect(frontend_settings("n.yaml", &s) == EXIT_CONFIG_ERR && s == NULL);
	cr_expect(frontend_print("n.yaml") == EXIT_CONFIG_ERR);
	fflush(stdout);
	fflush(stderr);
	cr_assert_stderr_eq_str(
		"m.yaml: error: redis.password_file pw: cannot be read (No such file or directory): check the path\n"
		"catalog.yaml: error: the price book cannot be read (No such file or directory): check the path\n2 errors\n"
		"n.yaml: error: cannot be read (No such file or directory): check the path\n1 error\n"
		"n.yaml: error: cannot be read (No such file or directory): check the path\n1 error\n"
		"n.yaml: error: cannot be read (No such file or directory): check the path\n1 error\n");
	unlink("m.yaml");
	rmdir(dir);
}

Test(frontend, rules_of_the_files)
{
	CLEANUP(settings_freep) struct settings *s = NULL;
	CLEANUP(rules_freep) struct rules *r = NULL;
	cr_assert(frontend_settings(SOURCE_DIR "/config/meterd.yaml", &s) == EXIT_DONE);
	cr_assert(frontend_rules(s, &r) == EXIT_DONE);
	cr_expect(r->settings.close_grace_ms == 86400000 && strlen(r->sha256) == 64);
}

// ---- the filters of alerts and settlements: what can match nothing is refused before anything is read

static int filter(int (*verb)(int, char **), const char *option, const char *value)
{
	char *argv[] = { "verb", (char *)(uintptr_t)option, (char *)(uintptr_t)value, "--config", "/nowhere/meterd.yaml", NULL };
	return verb(5, argv);
}

static void words_redirect(void)
{
	cr_redirect_stderr();
}

Test(filters, an_unknown_kind, .init = words_redirect)
{
	cr_expect_eq(filter(tool_alerts, "--kind", "nope"), EXIT_USAGE_ERR);
	cr_expect_eq(filter(tool_alerts, "--kind", "tier.crosed"), EXIT_USAGE_ERR);
	cr_expect_eq(filter(tool_settlements, "--kind", "tier.crossed"), EXIT_USAGE_ERR);
	cr_expect_eq(filter(tool_settlements, "--kind", "statment"), EXIT_USAGE_ERR);
	fflush(stderr);
	cr_assert_stderr_eq_str("meterctl verb: --kind `nope` is unknown: it is one of free_quota.warning, free_quota.exhausted, tier.crossed, pack.warning, pack.exhausted\n"
				"`meterctl verb --help` says more.\n"
				"meterctl verb: --kind `tier.crosed` is unknown: did you mean `tier.crossed`? It is one of free_quota.warning, "
				"free_quota.exhausted, tier.crossed, pack.warning, pack.exhausted\n"
				"`meterctl verb --help` says more.\n"
				"meterctl verb: --kind `tier.crossed` is unknown: it is one of settlement, statement, period.closed\n"
				"`meterctl verb --help` says more.\n"
				"meterctl verb: --kind `statment` is unknown: did you mean `statement`? It is one of settlement, statement, period.closed\n"
				"`meterctl verb --help` says more.\n");
}

Test(filters, no_month, .init = words_redirect)
{
	cr_expect_eq(filter(tool_alerts, "--period", "2020-13"), EXIT_USAGE_ERR);
	cr_expect_eq(filter(tool_settlements, "--period", "january"), EXIT_USAGE_ERR);
	cr_expect_eq(filter(tool_settlements, "--from", "yesterday"), EXIT_USAGE_ERR);
}

// Known kinds and months get as far as the configuration, which is not there.
Test(filters, accepted, .init = words_redirect)
{
	static const char *const kinds[] = { "free_quota.warning", "free_quota.exhausted", "tier.crossed", "pack.warning", "pack.exhausted" };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		cr_expect_eq(filter(tool_alerts, "--kind", kinds[i]), EXIT_CONFIG_ERR);
	cr_expect_eq(filter(tool_settlements, "--kind", "period.closed"), EXIT_CONFIG_ERR);
	cr_expect_eq(filter(tool_settlements, "--period", "2020-01"), EXIT_CONFIG_ERR);
}
