// SPDX-License-Identifier: Apache-2.0
#include "tools/options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/yaml.h"
#include "tools/frontend.h"

enum { OPTIONS_MOST = 64, HELP_COLUMN = 28 };

static const struct command commands[] = {
#define COMMAND(id, verb, synopsis, help) { verb, synopsis, help },
#include "tbl/command.def"
#undef COMMAND
	{ NULL, NULL, NULL },
};

const struct command *command_find(const char *verb)
{
	for (const struct command *c = commands; c->verb != NULL; c++)
		if (strcmp(c->verb, verb) == 0)
			return c;
	return NULL;
}

const char *command_near(const char *verb)
{
	const char *known[ARRAY_LEN(commands) + 1];
	size_t n = 0;
	for (const struct command *c = commands; c->verb != NULL; c++)
		known[n++] = c->verb;
	known[n++] = "help";
	known[n] = NULL;
	return nearest_word(verb, known);
}

// Its length, without the stop.
static int first_sentence(const char *text)
{
	const char *stop = strstr(text, ". ");
	size_t n = stop != NULL ? (size_t)(stop - text) : strlen(text);
	return (int)(n > 0 && text[n - 1] == '.' ? n - 1 : n);
}

void commands_print(FILE *to)
{
	for (const struct command *c = commands; c->verb != NULL; c++)
		fprintf(to, "  %-14s %.*s\n", c->verb, first_sentence(c->help), c->help);
}

// ---- the command line

const char *options_default_config(void)
{
	const char *from = getenv("METERD_CONFIG");
	return from != NULL && from[0] != '\0' ? from : "/etc/meterd/meterd.yaml";
}

int options_usage(const struct options *o, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "meterctl %s: ", o->verb);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n`meterctl %s --help` says more.\n", o->verb);
	return EXIT_USAGE_ERR;
}

static const char format_name[] = "format";

static void print_help(const struct options *o, const struct option_row *rows, size_t n_rows)
{
	const struct command *c = command_find(o->verb);
	printf("usage: meterctl %s %s\n%s\n\n", o->verb, c != NULL ? c->synopsis : "", c != NULL ? c->help : "");
	for (size_t i = 0; i < n_rows; i++) {
		CLEANUP(freep) char *left = xasprintf("--%s %s", rows[i].name, rows[i].value != NULL ? rows[i].value : "");
		printf("  %-*s %s\n", HELP_COLUMN, left, rows[i].help);
	}
}

static const struct option_row *find_option(const char *name, size_t n, const struct option_row *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_rows; i++)
		if (strlen(rows[i].name) == n && strncmp(rows[i].name, name, n) == 0)
			return &rows[i];
	return NULL;
}

static int unknown_option(const struct options *o, const char *arg, const struct option_row *rows, size_t n_rows)
{
	const char *known[OPTIONS_MOST + 1];
	size_t i = 0;
	for (; i < n_rows; i++)
		known[i] = rows[i].name;
	known[i] = NULL;
	CLEANUP(freep) char *name = xstrndup(arg, strcspn(arg, "="));
	const char *near = nearest_word(name + strspn(name, "-"), known);
	if (near != NULL)
		return options_usage(o, "unknown option \"%s\": did you mean --%s?", name, near);
	return options_usage(o, "unknown option \"%s\"", name);
}

int options_word(const struct options *o, const char *what, const char *word, const char *const *known)
{
	char all[600] = "";
	for (size_t i = 0, n = 0; known[i] != NULL; i++) {
		if (strcmp(word, known[i]) == 0)
			return OPTIONS_GO_ON;
		if (n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i == 0 ? "" : ", ", known[i]);
	}
	const char *near = nearest_word(word, known);
	if (near != NULL)
		return options_usage(o, "%s `%.64s` is unknown: did you mean `%s`? It is one of %s", what, word, near, all);
	return options_usage(o, "%s `%.64s` is unknown: it is one of %s", what, word, all);
}

static int set_option(struct options *o, const struct option_row *row, const char *value)
{
	int64_t v = 0;
	if (row->to == format_name)
		return output_format_of(value, stdout, &o->format) ? OPTIONS_GO_ON : EXIT_USAGE_ERR;
	if (row->kind == OPTION_TEXT) {
		*(const char **)row->to = value;
	} else if (row->kind == OPTION_EACH) {
		struct option_each *each = row->to;
		if (each->n == OPTION_EACH_MOST)
			return options_usage(o, "--%s was given more than %d times", row->name, OPTION_EACH_MOST);
		each->list[each->n++] = value;
	} else {
		if (!span_int64(span_of(value), &v) || v < 0)
			return options_usage(o, "--%s takes a whole number, not \"%s\"", row->name, value);
		*(int64_t *)row->to = v;
	}
	return OPTIONS_GO_ON;
}

// Takes argv[*i], and argv[*i + 1] where it is the value.
static int take_option(struct options *o, int argc, char **argv, int *i, const struct option_row *rows, size_t n_rows)
{
	const char *arg = argv[*i], *name = arg + 2;
	size_t n = strcspn(name, "=");
	const struct option_row *row = strncmp(arg, "--", 2) == 0 ? find_option(name, n, rows, n_rows) : NULL;
	if (row == NULL)
		return unknown_option(o, arg, rows, n_rows);
	if (row->kind == OPTION_FLAG) {
		if (name[n] == '=')
			return options_usage(o, "--%s takes no value", row->name);
		*(bool *)row->to = true;
		return OPTIONS_GO_ON;
	}
	if (name[n] == '=')
		return set_option(o, row, name + n + 1);
	if (*i + 1 >= argc)
		return options_usage(o, "--%s needs a value: %s", row->name, row->value);
	return set_option(o, row, argv[++*i]);
}

static int take_words(struct options *o, int argc, char **argv, const struct option_row *rows, size_t n_rows, const char **words,
		      int most)
{
	bool options_end = false;
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		int code = OPTIONS_GO_ON;
		if (!options_end && strcmp(arg, "--") == 0) {
			options_end = true;
		} else if (!options_end && arg[0] == '-' && arg[1] != '\0') { // "-" alone is a word: standard input
			code = take_option(o, argc, argv, &i, rows, n_rows);
		} else if (o->n_words == most) {
			code = options_usage(o, "\"%s\" is one argument too many", arg);
		} else {
			words[o->n_words++] = arg;
		}
		if (code != OPTIONS_GO_ON)
			return code;
	}
	return OPTIONS_GO_ON;
}

int options_parse(struct options *o, int argc, char **argv, const struct option_row *rows, size_t n_rows, const char **words,
		  int least, int most)
{
	bool help = false;
	const struct option_row shared[] = {
		{ "config", OPTION_TEXT, &o->config, "FILE", "configuration ($METERD_CONFIG, or /etc/meterd/meterd.yaml)" },
		{ format_name, OPTION_TEXT, (void *)(uintptr_t)format_name, "table|json|ndjson|csv",
		  "form of the output (table on a terminal, otherwise ndjson)" },
		{ "help", OPTION_FLAG, &help, NULL, "this text" },
	};
	struct option_row all[OPTIONS_MOST];
	check(n_rows + ARRAY_LEN(shared) <= OPTIONS_MOST);
	if (n_rows > 0)
		memcpy(all, rows, n_rows * sizeof(*rows));
	memcpy(all + n_rows, shared, sizeof(shared));
	o->config = options_default_config();
	bool known = output_format_of(NULL, stdout, &o->format);
	check(known);
	o->n_words = 0;
	int code = take_words(o, argc, argv, all, n_rows + ARRAY_LEN(shared), words, most);
	if (help) {
		print_help(o, all, n_rows + ARRAY_LEN(shared));
		return EXIT_DONE;
	}
	if (code == OPTIONS_GO_ON && o->n_words < least)
		return options_usage(o, "%d argument%s missing", least - o->n_words, least - o->n_words == 1 ? " is" : "s are");
	return code;
}

// ---- what lies behind it

int options_settings(struct options *o)
{
	check(o->settings == NULL);
	int code = frontend_settings(o->config, &o->settings);
	return code == EXIT_DONE ? OPTIONS_GO_ON : code;
}

void options_kafka(const struct options *o, struct kafka_options *ret)
{
	check(o->settings != NULL);
	settings_kafka(o->settings, ret);
}

void options_close(struct options *o)
{
	settings_freep(&o->settings);
}

int options_fail(const struct options *o, const struct error *e)
{
	check(e->cls != ERROR_NONE);
	fprintf(stderr, "meterctl %s: %s\n", o->verb, e->text);
	if (e->cls == ERROR_ABORT)
		return e->exit_code;
	return e->cls == ERROR_RETRY ? EXIT_UNREACHABLE : EXIT_DEFECT;
}
