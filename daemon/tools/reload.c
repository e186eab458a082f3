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

static struct settings *load(const struct settings *now, const struct rules *started_with, bool *ret_other_rules, struct reload *ret)
{
	struct faults f = { 0 };
	struct error e = { 0 };
	struct store_options store;
	CLEANUP(rules_freep) struct rules *rules = NULL;
	CLEANUP(settings_freep) struct settings *next = frontend_load(now->file, &f);
	if (next != NULL && settings_store(next, &store, &e) != ERROR_NONE) {
		fprintf(stderr, "%s: error: %s\n", now->file, e.text);
		fault_add(&f, now->file, 0, 0, "%s", e.text);
	}
	if (next != NULL && f.n == 0)
		rules = frontend_load_rules(next, &f);
	if (f.n > 0)
		refuse(now, &f.list[0], f.n, ret);
	else
		*ret_other_rules = strcmp(rules->sha256, started_with->sha256) != 0;
	bool good = f.n == 0;
	faults_free(&f);
	return good ? TAKE_PTR(next) : NULL;
}

static char *left_open(const struct settings_changes *c)
{
	CLEANUP(freep) char *restart = c->restart[0] != '\0' ? xasprintf("waits for a restart: %s", c->restart) : xstrdup("");
	CLEANUP(freep) char *rules = c->rules[0] != '\0' ? xasprintf("part of the rules, proposed at the next start: %s", c->rules) : xstrdup("");
	if (restart[0] == '\0' && rules[0] == '\0')
		return NULL;
	return xasprintf("%s%s%s", restart, restart[0] != '\0' && rules[0] != '\0' ? "; " : "", rules);
}

void reload_run(struct settings *now, const struct rules *started_with, struct reload *ret)
{
	static const enum log_level levels[] = { LVL_DEBUG, LVL_INFO, LVL_WARN, LVL_ERROR };
	struct settings_changes c;
	char taken[1200], restart[1200], rules[1200];
	bool other_rules = false;
	reload_free(ret);
	CLEANUP(settings_freep) struct settings *next = load(now, started_with, &other_rules, ret);
	if (next == NULL)
		return;
	settings_compare(now, next, &c);
	if (other_rules && c.rules[0] == '\0') { // the name of the price book is the same, what stands in it is not
		free(c.rules);
		c.rules = xstrdup("catalog");
	}
	settings_adopt(now, next);
	log_set_level(levels[now->log_level]);
	log_line(LVL_INFO, "reloaded", "taken=%s restart=%s rules=%s", log_quote(c.taken, taken, sizeof(taken)),
		 log_quote(c.restart, restart, sizeof(restart)), log_quote(c.rules, rules, sizeof(rules)));
	ret->note = left_open(&c);
	settings_changes_free(&c);
}
