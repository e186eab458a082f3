// SPDX-License-Identifier: Apache-2.0
// Nothing is written before the months, the number of lines, the difference and the id were typed: whoever looked at another answer types something
// else.
#include "tools/replay_apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/money.h"

enum { CONFIRM_TEXT = 160 };

static const char *confirmation(const struct replay_corrections *c, char buf[CONFIRM_TEXT])
{
	char first[MONTH_TEXT], last[MONTH_TEXT], difference[MONEY_TEXT];
	bool one = c->first_month == c->last_month;
	snprintf(buf, CONFIRM_TEXT, "%s%s%s %" PRIu32 " %s %s", month_text(c->first_month, first), one ? "" : "..",
		 one ? "" : month_text(c->last_month, last), c->n_lines, money_fen_text(c->difference_fen, difference), c->id);
	return buf;
}

static const char *next_month(const struct replay *r, char buf[MONTH_TEXT])
{
	struct replay_numbers n;
	replay_numbers(r, &n);
	return month_text(n.last_month + 1, buf);
}

static void say_plan(const struct replay_apply *a, const struct replay *r)
{
	const struct replay_corrections *c = replay_corrections(r);
	const char *verb = a->options->verb;
	char difference[MONEY_TEXT], month[MONTH_TEXT];
	struct replay_numbers n;
	replay_numbers(r, &n);
	fprintf(stderr, "meterctl %s: correction %s: %" PRIu32 " line%s of %" PRIu32 " account%s, difference %s %s; it comes with the close of %s. What was frozen "
		"stays as it was\n", verb, c->id, c->n_lines, c->n_lines == 1 ? "" : "s", c->n, c->n == 1 ? "" : "s",
		money_fen_text(c->difference_fen, difference), n.currency, next_month(r, month));
}

// OPTIONS_GO_ON, or an exit code: nothing is to be written.
static int ask(const struct replay_apply *a, const struct replay_corrections *c)
{
	char wanted[CONFIRM_TEXT], typed[CONFIRM_TEXT + 2] = "";
	const char *verb = a->options->verb, *got = a->confirm;
	confirmation(c, wanted);
	if (got == NULL && !isatty(STDIN_FILENO)) {
		fprintf(stderr, "meterctl %s: nothing was written. Where all of that is meant: --confirm '%s'\n", verb, wanted);
		return EXIT_FOUND;
	}
	if (got == NULL) {
		fprintf(stderr, "Type\n  %s\nto correct these bills: ", wanted);
		got = fgets(typed, sizeof(typed), stdin) != NULL ? typed : "";
		typed[strcspn(typed, "\n")] = '\0';
	}
	if (strcmp(got, wanted) == 0)
		return OPTIONS_GO_ON;
	fprintf(stderr, "meterctl %s: nothing was written: what was confirmed is not what was worked out, which is '%s'\n", verb, wanted);
	return EXIT_USAGE_ERR;
}

static int write_all(const struct replay_apply *a, struct replay *r)
{
	struct error e = { 0 };
	atomic_store(a->ended, true);
	return replay_say(r, &e) == ERROR_NONE ? EXIT_DONE : options_fail(a->options, &e);
}

// What earlier corrections have to do with it. OPTIONS_GO_ON, or an exit code.
static int say_earlier(const struct replay_apply *a, const struct replay_corrections *c)
{
	const char *verb = a->options->verb;
	if (c->kept > 0)
		fprintf(stderr, "meterctl %s: %" PRIu32 " line%s left as an earlier correction made %s (--undo takes that back)\n", verb, c->kept,
			c->kept == 1 ? " is" : "s are", c->kept == 1 ? "it" : "them");
	if (c->tied == 0)
		return OPTIONS_GO_ON;
	fprintf(stderr, "meterctl %s: nothing was written: an earlier correction has to do with %" PRIu32 " of these lines (state: corrected), and what they would "
		"become has nothing of it but what this question says again. Say all of it again that shall hold, look at the lines, and add --undo; or ask about "
		"other months or accounts\n", verb, c->tied);
	return EXIT_USAGE_ERR;
}

int replay_apply(const struct replay_apply *a, struct replay *r)
{
	const struct replay_corrections *c = replay_corrections(r);
	const char *verb = a->options->verb;
	char month[MONTH_TEXT];
	if (c->unclosed > 0)
		fprintf(stderr, "meterctl %s: %" PRIu32 " bills that differ are left aside: their months were never closed themselves\n", verb, c->unclosed);
	int code = say_earlier(a, c);
	if (code != OPTIONS_GO_ON)
		return code;
	if (c->n == 0) {
		fprintf(stderr, "meterctl %s: no bill of a closed month differs: nothing to correct\n", verb);
		return EXIT_DONE;
	}
	say_plan(a, r);
	if (c->known) {
		fprintf(stderr, "meterctl %s: known already: nothing to do but to wait for the close of %s\n", verb, next_month(r, month));
		return EXIT_DONE;
	}
	code = ask(a, c);
	if (code == OPTIONS_GO_ON)
		code = write_all(a, r);
	else
		return code;
	if (code == EXIT_DONE)
		fprintf(stderr, "meterctl %s: written: %" PRIu32 " record%s, in one transaction. With the close of %s (`meterctl close %s --dry-run` says "
			"what it waits for) they become revisions: `meterctl statement ACCOUNT MONTH` shows them, `meterctl prove` makes them again\n", verb, c->n,
			c->n == 1 ? "" : "s", next_month(r, month), month);
	return code;
}
