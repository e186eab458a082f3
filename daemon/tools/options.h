// SPDX-License-Identifier: Apache-2.0
// What all verbs share: the command line, the configuration, the store, exit codes.
//
//	static const char *period;
//	CLEANUP(options_close) struct options o = { .verb = argv[0] };
//	const struct option_row rows[] = { { "period", OPTION_TEXT, &period, "YYYY-MM", "only this month" } };
//	int code = options_parse(&o, argc, argv, rows, 1, words, 0, 2);
//	if (code != OPTIONS_GO_ON || (code = options_settings(&o)) != OPTIONS_GO_ON)
//		return code;
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdint.h>

#include "settings/settings.h"
#include "tools/output.h"

enum { OPTIONS_GO_ON = -1 }; // not an exit code: nothing to report yet

enum option_kind {
	OPTION_FLAG, // bool: no value
	OPTION_TEXT, // const char *: borrowed from argv
	OPTION_INT,  // int64_t >= 0
	OPTION_EACH, // struct option_each: may be given more than once, borrowed from argv
};

enum { OPTION_EACH_MOST = 32 };
struct option_each {
	uint32_t n;
	const char *list[OPTION_EACH_MOST];
};

struct option_row {
	const char *name; // without "--"
	enum option_kind kind;
	void *to;
	const char *value; // how the value is called in the help; NULL for a flag
	const char *help;
};

struct options {
	const char *verb;          // set by the caller
	const char *config;        // --config, $METERD_CONFIG or /etc/meterd/meterd.yaml
	enum output_format format; // --format; a table when stdout is a terminal, otherwise ndjson
	int n_words;               // arguments that are not options
	struct settings *settings; // after options_settings; owned
};

const char *options_default_config(void);

// Reads the command line: `--name value`, `--name=value`, in any order; "--" ends the options. --config, --format and --help are
// always there. Words go to words[0 … o->n_words), borrowed from argv: at least `least`, at most `most`. Returns OPTIONS_GO_ON, 0
// after --help (printed on stdout), or 64 with the reason on stderr.
int options_parse(struct options *o, int argc, char **argv, const struct option_row *rows, size_t n_rows, const char **words,
		  int least, int most);

// Loads o->config into o->settings. OPTIONS_GO_ON, or 78 with all faults on stderr.
int options_settings(struct options *o);
void options_kafka(const struct options *o, struct kafka_options *ret);
// Does not connect yet. OPTIONS_GO_ON, or an exit code with the reason on stderr.
int options_store(struct options *o, struct store **ret);
void options_close(struct options *o); // frees the settings

// Prints e for the verb on stderr; returns the exit code of its class: 69 for what may pass, 70 for what must be looked at.
int options_fail(const struct options *o, const struct error *e);
// Same form, for a mistake in the command line; returns 64.
int options_usage(const struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// OPTIONS_GO_ON where `word` is one of the known ones; otherwise 64 with "WHAT `word` is unknown: did you mean …? It is one of …".
int options_word(const struct options *o, const char *what, const char *word, const char *const *known);

// ---- the verbs, as text (the functions are known to meterctl only)
struct command {
	const char *verb, *synopsis, *help;
};
const struct command *command_find(const char *verb); // NULL: none
const char *command_near(const char *verb);           // did you mean; NULL: none
void commands_print(FILE *to);                        // one line each

#endif
