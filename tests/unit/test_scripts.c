// SPDX-License-Identifier: Apache-2.0
// Every script says how it is used: --help on stdout with exit 0, and an option it does not know is a mistake (64), whatever the
// script would do otherwise.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

// What comes out on stdout, or on stderr; both at their beginning are enough.
static int run(const char *script, const char *arguments, bool words, char *buf, size_t size)
{
	char command[600];
	snprintf(command, sizeof(command), "'" SOURCE_DIR "/scripts/%s' %s %s </dev/null", script, arguments,
		 words ? "2>&1 >/dev/null" : "2>/dev/null");
	FILE *f = popen(command, "r");
	cr_assert(f != NULL);
	size_t n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	for (char rest[4096]; fread(rest, 1, sizeof(rest), f) > 0;)
		;
	int status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_script(const char *name)
{
	char text[4096], usage[300];
	snprintf(usage, sizeof(usage), "usage: scripts/%s", name);
	cr_expect_eq(run(name, "--help", false, text, sizeof(text)), 0, "%s --help", name);
	cr_expect_eq(strncmp(text, usage, strlen(usage)), 0, "%s --help says:\n%s", name, text);
	run(name, "--help", true, text, sizeof(text));
	cr_expect_str_eq(text, "", "%s --help has words", name);
	cr_expect_eq(run(name, "--no-such-option", false, text, sizeof(text)), 64, "%s --no-such-option", name);
	cr_expect_str_eq(text, "", "%s --no-such-option prints:\n%s", name, text);
	run(name, "--no-such-option", true, text, sizeof(text));
	cr_expect(strstr(text, "--no-such-option") != NULL, "%s does not name the option:\n%s", name, text);
	cr_expect(strstr(text, usage) != NULL, "%s does not say how it is used:\n%s", name, text);
}

Test(scripts, say_how_they_are_used, .timeout = 120)
{
	DIR *d = opendir(SOURCE_DIR "/scripts");
	cr_assert(d != NULL);
	int n = 0;
	for (struct dirent *f; (f = readdir(d)) != NULL;) {
		char path[600];
		struct stat st;
		snprintf(path, sizeof(path), SOURCE_DIR "/scripts/%s", f->d_name);
		if (f->d_name[0] == '.' || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		check_script(f->d_name);
		n++;
	}
	closedir(d);
	cr_expect_geq(n, 6);
}
