// SPDX-License-Identifier: Apache-2.0
// The order of the steps is that of events.md, section 1.
#include "decide/decide.h"

#include <stdio.h>

#include "base/check.h"
#include "base/fault.h"

enum reject decide_service(const struct catalog *c, struct span name, int64_t time_ms, uint32_t *ret, char detail[160])
{
	switch (catalog_find(c, name, time_ms, ret)) {
	case SERVICE_UNKNOWN:
		snprintf(detail, 160, "`%s`", text_shown(name, (char[120]){ 0 }, 120));
		return REJECT_SERVICE_UNKNOWN;
	case SERVICE_NOT_BEGUN:
		snprintf(detail, 160, "%s", catalog_service_id(c, *ret));
		return REJECT_SERVICE_NOT_BEGUN;
	case SERVICE_ENDED: {
		const char *successor = catalog_service_successor(c, *ret);
		snprintf(detail, 160, "%s%s%s", catalog_service_id(c, *ret), successor != NULL ? ", successor " : "",
			 successor != NULL ? successor : "");
		return REJECT_SERVICE_ENDED;
	}
	case SERVICE_OK:
		break;
	}
	return REJECT_NONE;
}

static void add_item(struct decision *to, uint32_t service, int64_t calls)
{
	for (uint32_t i = 0; i < to->n; i++) {
		if (to->items[i].service == service) {
			to->items[i].calls += calls; // at most 64 * 10^9
			return;
		}
	}
	to->items[to->n++] = (struct decision_item){ service, calls };
}

static enum reject resolve(struct decider *d, const struct course *at, const struct record *r, struct decision *to, char detail[160])
{
	const struct rules *rules = at->rules->rules;
	const struct catalog *c = rules->catalog;
	const struct event *ev = &d->event;
	to->month = period_month(catalog_zone(c), ev->time_ms);
	if (to->month == MONTH_NONE) // the first hours of 2000 in a zone west of Greenwich
		return REJECT_TIME_RANGE;
	to->account = catalog_owner(c, ev->account, ev->time_ms);
	for (uint32_t i = 0; i < ev->n_items; i++) {
		uint32_t service = 0;
		enum reject why = decide_service(c, ev->items[i].service, ev->time_ms, &service, detail);
		if (why != REJECT_NONE)
			return why;
		if (c != d->newest)
			check(catalog_find_id(d->newest, span_of(catalog_service_id(c, service)), &service));
		add_item(to, service, ev->items[i].calls);
	}
	int64_t stamp = r->timestamp_ms >= 0 ? r->timestamp_ms : at->clock_ms;
	if (ev->time_ms > stamp + rules->settings.max_future_ms) {
		char a[TIME_TEXT], b[TIME_TEXT];
		snprintf(detail, 160, "event %s, record %s", time_text(ev->time_ms, a), time_text(stamp, b));
		return REJECT_TIME_FUTURE;
	}
	return REJECT_NONE;
}

void decide_record(struct decider *d, const struct course *c, struct dedupe *set, const struct record *r, struct decision *ret)
{
	const struct rules *rules = c->rules->rules;
	ret->course = *c;
	ret->n = 0;
	if (r->n_headers > 0 && record_is_tick(r)) {
		ret->outcome = OUTCOME_CONTROL;
		return;
	}
	decode_record(&rules->settings.fields, r, &d->scratch, &d->event, &ret->why);
	if (ret->why.reject == REJECT_NONE)
		ret->why.reject = resolve(d, c, r, ret, ret->why.detail);
	if (ret->why.reject != REJECT_NONE)
		ret->outcome = OUTCOME_REJECTED;
	else if (set != NULL && dedupe_seen(set, r->offset, dedupe_key(d->event.source, d->event.id)))
		ret->outcome = OUTCOME_DUPLICATE;
	else if (!catalog_billable(rules->catalog, d->event.status, d->event.time_ms))
		ret->outcome = OUTCOME_NOT_BILLABLE;
	else
		ret->outcome = ret->month < c->open_month ? OUTCOME_LATE : OUTCOME_COUNTED;
}

void decider_free(struct decider *d)
{
	decode_scratch_free(&d->scratch);
}

struct dedupe_options decide_dedupe_options(const struct journal *j, const struct rules_settings *s, int64_t first_offset)
{
	return (struct dedupe_options){ .generation_bits = s->generation_bits, .generations = s->generations,
					.max_age_ms = s->dedupe_max_age_ms, .first_offset = first_offset, .max_list = 1u << 20,
					.seed = dedupe_key((struct span){ 0 }, span_of(j->init_id)).lo };
}
