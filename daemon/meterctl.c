// SPDX-License-Identifier: Apache-2.0
// meterctl: finds the verb in tbl/command.def and hands over. Whatever a verb does stands in tools/.
#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "tools/options.h"
#include "tools/tools.h"

static const struct {
	const char *verb;
	int (*run)(int argc, char **argv);
} verbs[] = {
#define COMMAND(id, verb, ...) { verb, tool_##id },
#include "tbl/command.def"
#undef COMMAND
	{ NULL, NULL },
};

static const char usage_text[] = "usage: meterctl VERB [options]\n"
				 "       meterctl help [VERB]\n"
				 "       meterctl --version\n";
static const char notes_text[] =
	"\nData goes to stdout, words to stderr. --config FILE names the configuration ($METERD_CONFIG, or /etc/meterd/meterd.yaml).\n"
	"Exit codes: 0 done; 1 done, and it found what it looks for; 64 usage; 69 a server is unreachable; 70 a defect;\n"
	"75 try again later; 78 files or the settings of a topic or of Redis must be changed.\n";

static int unknown(const char *verb)
{
	const char *near = command_near(verb);
	if (near != NULL)
		fprintf(stderr, "meterctl: unknown verb \"%s\": did you mean \"%s\"?\n", verb, near);
	else
		fprintf(stderr, "meterctl: unknown verb \"%s\": `meterctl help` lists all\n", verb);
	return EXIT_USAGE_ERR;
}

static int help(const char *verb)
{
	if (verb == NULL) {
		printf("%s\n", usage_text);
		commands_print(stdout);
		fputs(notes_text, stdout);
		return EXIT_DONE;
	}
	const struct command *c = command_find(verb);
	if (c == NULL)
		return unknown(verb);
	printf("usage: meterctl %s %s\n%s\n\n`meterctl %s --help` lists its options.\n", c->verb, c->synopsis, c->help, c->verb);
	return EXIT_DONE;
}

static int run_verb(int argc, char **argv)
{
	for (size_t i = 0; verbs[i].verb != NULL; i++)
		if (strcmp(verbs[i].verb, argv[0]) == 0)
			return verbs[i].run(argc, argv);
	return unknown(argv[0]);
}

int main(int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : NULL;
	int code;
	json_set_alloc_funcs(xmalloc, free); // what memory it lacks is no JSON that is wrong
	setlocale(LC_CTYPE, "C.UTF-8"); // widths of names; numbers and sorting stay those of C
	if (first == NULL) {
		fputs(usage_text, stderr);
		return EXIT_USAGE_ERR;
	}
	if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
		code = help(argc > 2 ? argv[2] : NULL);
	else if (strcmp(first, "--version") == 0)
		code = printf("meterctl %s\n", METERD_VERSION) > 0 ? EXIT_DONE : EXIT_DEFECT;
	else
		code = run_verb(argc - 1, argv + 1);
	if (fflush(stdout) != 0 && code == EXIT_DONE) {
		perror("meterctl: stdout");
		code = EXIT_LATER;
	}
	return code;
}
