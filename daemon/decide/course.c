// SPDX-License-Identifier: Apache-2.0
#include "decide/course.h"

#include "base/check.h"

static void find_rules(struct course *c, const struct journal *j)
{
	c->rules = journal_rules_at(j, c->clock_ms);
	check(c->rules != NULL);
	c->next_rules_ms = INT64_MAX;
	for (uint32_t i = 0; i < j->n_rules; i++)
		if (j->rules[i].version > c->rules->version && j->rules[i].effective_ms != TIME_NONE &&
		    j->rules[i].effective_ms < c->next_rules_ms)
			c->next_rules_ms = j->rules[i].effective_ms;
}

// First month whose close lies after the clock.
static void find_month(struct course *c)
{
	const struct rules *r = c->rules->rules;
	int month = period_month(catalog_zone(r->catalog), c->clock_ms - r->settings.close_grace_ms);
	// Before 2000 nothing is counted, so nothing closes there.
	c->open_month = month != MONTH_NONE ? month : c->clock_ms < rules_close_ms(r, MONTH_FIRST) ? MONTH_FIRST : MONTH_LAST;
	c->next_close_ms = rules_close_ms(r, c->open_month);
	check(c->next_close_ms > c->clock_ms || c->open_month == MONTH_LAST);
}

void course_begin(struct course *c, const struct journal *j, int64_t clock_ms)
{
	*c = (struct course){ .clock_ms = clock_ms, .open_month = MONTH_NONE };
	find_rules(c, j);
	if (clock_ms != TIME_NONE)
		find_month(c);
}

void course_rise(struct course *c, const struct journal *j, int64_t timestamp_ms)
{
	bool first = c->clock_ms == TIME_NONE;
	c->clock_ms = timestamp_ms;
	if (timestamp_ms >= c->next_rules_ms)
		find_rules(c, j);
	if (first || timestamp_ms >= c->next_close_ms)
		find_month(c);
}
