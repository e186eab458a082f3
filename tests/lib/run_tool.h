// SPDX-License-Identifier: Apache-2.0
// Runs a verb of meterctl inside a test: what it prints, byte for byte, and its exit code.
#ifndef RUN_TOOL_H
#define RUN_TOOL_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUN_ARGS_MOST = 32 };

// Runs a verb with words separated by blanks; *out and *err are what it printed, until the next run.
static inline int run(int (*tool)(int, char **), const char *line, char **out, char **err)
{
	char *copy = strdup(line), *argv[RUN_ARGS_MOST], *state = NULL;
	int argc = 0;
	for (char *w = strtok_r(copy, " ", &state); w != NULL; w = strtok_r(NULL, " ", &state))
		argv[argc++] = w;
	argv[argc] = NULL;
	static char buf[2][1 << 16];
	FILE *to[2] = { tmpfile(), tmpfile() };
	int saved[2];
	for (int i = 0; i < 2; i++) {
		fflush(i == 0 ? stdout : stderr);
		saved[i] = dup(i + 1);
		dup2(fileno(to[i]), i + 1);
	}
	int code = tool(argc, argv);
	for (int i = 0; i < 2; i++) {
		fflush(i == 0 ? stdout : stderr);
		dup2(saved[i], i + 1);
		close(saved[i]);
		rewind(to[i]);
		size_t n = fread(buf[i], 1, sizeof(buf[i]) - 1, to[i]);
		cr_assert_lt(n, sizeof(buf[i]) - 1);
		buf[i][n] = '\0';
		fclose(to[i]);
	}
	*out = buf[0];
	*err = buf[1];
	free(copy);
	return code;
}

static inline void expect_run(int (*tool)(int, char **), const char *line, int code, const char *want_out, const char *in_err)
{
	char *out, *err;
	int got = run(tool, line, &out, &err);
	cr_expect_eq(got, code, "%s: exit %d, not %d\n%s", line, got, code, err);
	cr_expect_str_eq(out, want_out, "%s\n--- got\n%s--- want\n%s", line, out, want_out);
	if (in_err != NULL)
		cr_expect(strstr(err, in_err) != NULL, "%s: no `%s` in\n%s", line, in_err, err);
	else
		cr_expect_str_empty(err, "%s: %s", line, err);
}

#endif
