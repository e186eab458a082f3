// SPDX-License-Identifier: Apache-2.0
// meterctl check-event: what it prints, and how it exits, against the price book in config/.
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "tools/tools.h"

#define BOOK SOURCE_DIR "/config/catalog.yaml"
#define RETIRED "image-tag-legacy" // ended with April 2020

static char path[4096];

static void redirect(void)
{
	unsetenv("METERD_CONFIG");
	cr_redirect_stdout();
	cr_redirect_stderr();
}

static void remove_file(void)
{
	if (path[0] != '\0')
		unlink(path);
}

TestSuite(check_event, .init = redirect, .fini = remove_file);

static char *events(const char *text, size_t n)
{
	const char *folder = getenv("TMPDIR");
	snprintf(path, sizeof(path), "%s/check-event-XXXXXX", folder != NULL ? folder : P_tmpdir);
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
	return path;
}

static int run(char *a, char *b, char *c, char *d, char *e, char *f)
{
	char verb[] = "check-event";
	char *argv[] = { verb, a, b, c, d, e, f, NULL };
	int argc = 1;
	while (argv[argc] != NULL)
		argc++;
	int code = tool_check_event(argc, argv);
	fflush(stdout);
	return code;
}

// What stdout holds; @ stands for the name of the file.
static void expect_stdout(const char *expected)
{
	char *text = xcalloc(1, 65536);
	for (const char *at; (at = strchr(expected, '@')) != NULL; expected = at + 1) {
		strncat(text, expected, (size_t)(at - expected));
		strncat(text, path, 4096);
	}
	strncat(text, expected, 32768);
	cr_assert_stdout_eq_str(text);
	free(text);
}

#define TEXT(s) events(s, sizeof(s) - 1)
#define EVENT(service, time) "{\"id\":\"e1\",\"account\":\"a\",\"service\":\"" service "\",\"time\":\"" time "\"}\n"

Test(check_event, accepted_as_understood)
{
	cr_expect_eq(run("--format", "ndjson", "--catalog", BOOK, TEXT(EVENT("DetectLabel", "2020-01-31T16:00:00Z")), NULL), 0);
	expect_stdout("{\"file\":\"@\",\"line\":1,\"outcome\":\"accepted\",\"code\":null,\"position\":null,\"message\":null,\"detail\":null,"
		      "\"advice\":null,\"event\":{\"id\":\"e1\",\"source\":null,\"account\":\"a\",\"time\":\"2020-01-31T16:00:00.000Z\","
		      "\"owner\":\"a\",\"period\":\"2020-02\",\"billable\":true,\"status\":\"ok\","
		      "\"items\":[{\"service\":\"image-tag\",\"calls\":1}]}}\n");
}

Test(check_event, rejected_says_where_and_what_to_do)
{
	cr_expect_eq(run("--format", "table", "--catalog", BOOK,
			 TEXT("{\"id\":\"e1\",\"account\":\"a\",\"service\":\"image-tag\",\"time\":1579048200}\n"
			      "\n"
			      EVENT("image-tga", "2020-01-15T00:00:00Z")), NULL), 1);
	expect_stdout("rejected  @:1  time_range at byte 54: time lies before 2000-01-01Z or after 2199-12-30Z (time: found 1579048200)\n"
		      "          Send epoch milliseconds, not seconds or microseconds, and check the producer's clock.\n"
		      "rejected  @:2  empty at byte 0: the record has no value (0 bytes)\n"
		      "          Send the event as the record's value; tombstones and empty records mean nothing here.\n"
		      "rejected  @:3  service_unknown at byte 35: the price book has no service or alias of this name at the event's time "
		      "(`image-tga`)\n"
		      "          Send the id of a service or one of its aliases; `meterctl check-catalog` lists them. If the service is new, "
		      "publish a price book that has it, then requeue.\n");
}

// The retired service of the price book: its message leads to the successor.
Test(check_event, ended_service_names_its_successor)
{
	cr_expect_eq(run("--format", "table", "--catalog", BOOK, TEXT(EVENT(RETIRED, "2020-05-01T00:00:00+08:00")), NULL), 1);
	expect_stdout("rejected  @:1  service_ended at byte 35: the service had ended at the event's time; its successor takes its calls ("
		      RETIRED ", successor image-tag)\n"
		      "          Send calls to the successor named beside this message; if the event's time is wrong, correct it and send it "
		      "again.\n");
}

Test(check_event, ended_service_counts_before_its_end)
{
	cr_expect_eq(run("--format", "table", "--catalog", BOOK, TEXT(EVENT(RETIRED, "2020-04-30T23:59:59.999+08:00")), NULL), 0);
}

Test(check_event, whole_file_and_headers)
{
	cr_expect_eq(run("--format=ndjson", "--catalog=" BOOK, "--whole", "--headers", "ce_specversion=1.0; ce_id=x%20; ce_source=/gw; ce_type=t",
			 TEXT("{\n \"account\": \"a\",\n \"service\": \"image-tag\",\n \"status\": \"500\",\n \"time\": 1579048200123\n}\n")), 0);
	expect_stdout("{\"file\":\"@\",\"line\":null,\"outcome\":\"accepted\",\"code\":null,\"position\":null,\"message\":null,\"detail\":null,"
		      "\"advice\":null,\"event\":{\"id\":\"x%20\",\"source\":\"/gw\",\"account\":\"a\",\"time\":\"2020-01-15T00:30:00.123Z\","
		      "\"owner\":\"a\",\"period\":\"2020-01\",\"billable\":false,\"status\":\"500\","
		      "\"items\":[{\"service\":\"image-tag\",\"calls\":1}]}}\n");
}

Test(check_event, a_tick_is_no_event)
{
	cr_expect_eq(run("--format", "table", "--headers", "__meterd.tick", TEXT("\n"), NULL), 0);
	expect_stdout("control   @:1  a tick of meterd itself\n");
}

// Without a price book the form is still checked, and what others wrote cannot disturb a terminal.
Test(check_event, without_a_price_book)
{
	cr_expect_eq(run("--format", "table", TEXT("{\"id\":\"\\u0000\\u001b\\u009b\",\"account\":\"a\",\"service\":\"x\",\"time\":1579048200123}"),
			 NULL, NULL, NULL), 0);
	expect_stdout("accepted  @:1  {\"id\":\"\\u0000\\u001B\\u009B\",\"source\":null,\"account\":\"a\","
		      "\"time\":\"2020-01-15T00:30:00.123Z\",\"status\":\"ok\",\"items\":[{\"service\":\"x\",\"calls\":1}]}\n");
}

Test(check_event, exit_codes)
{
	cr_expect_eq(run("/nonexistent/events", NULL, NULL, NULL, NULL, NULL), 78);
	cr_expect_eq(run(P_tmpdir, NULL, NULL, NULL, NULL, NULL), 78);
	cr_expect_eq(run("--catalog", "/nonexistent/catalog", "/dev/null", NULL, NULL, NULL), 78);
	cr_expect_eq(run("--config", "/nonexistent/config", "/dev/null", NULL, NULL, NULL), 78);
	cr_expect_eq(run("--hole", "/dev/null", NULL, NULL, NULL, NULL), 64);
	cr_expect_eq(run("/dev/null", NULL, NULL, NULL, NULL, NULL), 0);
	cr_expect_eq(run("--config", SOURCE_DIR "/config/meterd.yaml", "/dev/null", NULL, NULL, NULL), 0);
}
