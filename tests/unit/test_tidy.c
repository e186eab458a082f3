// SPDX-License-Identifier: Apache-2.0
// scripts/tidy finds what it is there for: tests/table/tidy_faults breaks every rule once, and holds near misses beside them.
// With UPDATE=1 in the environment the expected text is written anew.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char *whole(FILE *f)
{
	char *text = NULL;
	size_t size = 0;
	cr_assert(f != NULL);
	if (getdelim(&text, &size, '\0', f) < 0 && text != NULL)
		text[0] = '\0';
	return text;
}

Test(tidy, finds_every_breach)
{
	FILE *run = popen("'" SOURCE_DIR "/scripts/tidy' '" SOURCE_DIR "/tests/table/tidy_faults' 2>&1", "r");
	char *got = whole(run);
	int status = pclose(run);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "exit %d", WEXITSTATUS(status));
	const char *path = SOURCE_DIR "/tests/table/tidy_faults.expected";
	if (getenv("UPDATE") != NULL) {
		FILE *to = fopen(path, "w");
		cr_assert(to != NULL);
		fputs(got, to);
		fclose(to);
	}
	FILE *from = fopen(path, "r");
	char *expected = whole(from);
	fclose(from);
	cr_expect_str_eq(got, expected);
	free(got);
	free(expected);
}
