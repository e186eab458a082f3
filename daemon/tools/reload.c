// SPDX-License-Identifier: Apache-2.0
#include "tools/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/frontend.h"

void reload_free(struct reload *r)
{
	free(r->note);
	*r = (struct reload){ 0 };
}

static void refuse(const struct settings *now, const struct fault *first, size_t faults, struct reload *ret)
{
	char quoted[1200], file[400];
	CLEANUP(freep) char *why = first->line > 0 ? xasprintf("%s:%d:%d: %s", first->file, first->line, first->column, first->text) :
						     xasprintf("%s: %s", first->file, first->text);
	log_line(LVL_WARN, "reload_refused", "file=%s errors=%zu why=%s", log_quote(now->file, file, sizeof(file)), faults,
		 log_quote(why, quoted, sizeof(quoted)));
	ret->refused = true;
	ret->note = xasprintf("reload refused: %s", why);
}

static struct settings *load(const struct settings *now, struct rules **ret_rules, struct reload *ret)
{
	struct faults f = { 0 };
	struct error e = { 0 };
	struct store_options store;
	CLEANUP(settings_freep) struct settings *next = frontend_load(now->file, &f);
	if (next != NULL && settings_store(next, &store, &e) != ERROR_NONE) {
		fprintf(stderr, "%s: error: %s\n", now->file, e.text);
		fault_add(&f, now->file, 0, 0, "%s", e.text);
	}
	if (next != NULL && f.n == 0)
		*ret_rules = frontend_load_rules(next, &f);
	if (f.n > 0)
		refuse(now, &f.list[0], f.n, ret);
	bool good = f.n == 0;
	faults_free(&f);
	return good ? TAKE_PTR(next) : NULL;
}

static char *propose(struct engine *g, const struct rules *rules, bool *ret_refused)
{
	struct error e = { 0 };
	struct faults faults = { 0 };
	enum rules_answer answer = RULES_NEWEST;
	char *note = NULL;
	if (engine_propose(g, rules, &faults, &answer, &e) != ERROR_NONE)
		note = xasprintf("other rules could not be proposed, reload again: %s", e.text);
	else if (answer == RULES_REFUSED)
		note = xasprintf("other rules refused: %s", faults.list[0].text);
	else if (answer == RULES_PROPOSED)
		note = xstrdup("other rules proposed: `meterctl rules list` shows when they take effect");
	else if (answer == RULES_LATER)
		note = xstrdup("the rules of the files are proposed once the start is over");
	*ret_refused = e.cls != ERROR_NONE || answer == RULES_REFUSED;
	faults_free(&faults);
	return note;
}

static char *left_open(const struct settings_changes *c, const char *rules)
{
	bool restart = c->restart[0] != '\0';
	if (!restart)
		return rules != NULL ? xstrdup(rules) : NULL;
	return xasprintf("waits for a restart: %s%s%s", c->restart, rules != NULL ? "; " : "", rules != NULL ? rules : "");
}

void reload_run(struct settings *now, struct engine *g, struct reload *ret)
{
	static const enum log_level levels[] = { LVL_DEBUG, LVL_INFO, LVL_WARN, LVL_ERROR };
	struct settings_changes c;
	char taken[1200], restart[1200];
	CLEANUP(rules_freep) struct rules *rules = NULL;
	reload_free(ret);
	CLEANUP(settings_freep) struct settings *next = load(now, &rules, ret);
	if (next == NULL)
		return;
	settings_compare(now, next, &c);
	settings_adopt(now, next);
	log_set_level(levels[now->log_level]);
	CLEANUP(freep) char *proposed = propose(g, rules, &ret->refused);
	log_line(LVL_INFO, "reloaded", "taken=%s restart=%s", log_quote(c.taken, taken, sizeof(taken)), log_quote(c.restart, restart, sizeof(restart)));
	ret->note = left_open(&c, proposed);
	settings_changes_free(&c);
}
