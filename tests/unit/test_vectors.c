// SPDX-License-Identifier: Apache-2.0
// The runner of rating cases: everything the price book covers passes, and what is wrong fails.
#include <libgen.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table.h"

// Runs the runner that lies beside this program; returns its exit code and its output.
static int run_vectors(const char *files, char *out, size_t size)
{
	char self[PATH_MAX], command[PATH_MAX * 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	cr_assert_gt(n, 0);
	self[n] = '\0';
	snprintf(command, sizeof(command), "'%s/vectors' %s 2>&1", dirname(self), files);
	FILE *p = popen(command, "r");
	cr_assert(p != NULL);
	out[fread(out, 1, size - 1, p)] = '\0';
	int status = pclose(p);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *last_line(char *out)
{
	size_t n = strlen(out);
	while (n > 0 && out[n - 1] == '\n')
		out[--n] = '\0';
	char *line = strrchr(out, '\n');
	return line != NULL ? line + 1 : out;
}

Test(vectors, what_the_price_book_covers_passes)
{
	char out[16384];
	cr_assert_eq(run_vectors(SOURCE_DIR "/tests/vectors/price_pages.json", out, sizeof(out)), 0, "%s", out);
	cr_assert_str_eq(out, "162 passed, 0 failed, 0 skipped\n");
	cr_assert_eq(run_vectors(SOURCE_DIR "/tests/vectors/public_suites.json", out, sizeof(out)), 0, "%s", out);
	cr_assert_str_eq(last_line(out), "103 passed, 0 failed, 34 skipped");
}

Test(vectors, what_is_wrong_fails)
{
	char out[16384];
	cr_assert_eq(run_vectors(SOURCE_DIR "/tests/vectors/wrong/wrong.json", out, sizeof(out)), 1, "%s", out);
	cr_assert_str_eq(last_line(out), "0 passed, 27 failed, 0 skipped", "%s", out);
	cr_assert_eq(run_vectors("/nowhere.json", out, sizeof(out)), 1);
	cr_assert_str_eq(last_line(out), "0 passed, 1 failed, 0 skipped");
	cr_assert_eq(run_vectors("", out, sizeof(out)), 64);
}
