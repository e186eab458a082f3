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

static void add_item(struct understood *to, uint32_t service, int64_t calls)
{
	for (uint32_t i = 0; i < to->n; i++) {
		if (to->items[i].service == service) {
			to->items[i].calls += calls; // at most 64 * 10^9
			return;
		}
	}
	to->items[to->n++] = (struct decision_item){ service, calls };
}

static enum reject resolve(const struct decider *d, int64_t stamp_ms, struct understood *to, char detail[160])
{
	const struct rules *rules = to->rules->rules;
	const struct catalog *c = rules->catalog;
	const struct event *ev = &to->event;
	to->n = 0;
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
	if (ev->time_ms - rules->settings.max_future_ms > stamp_ms) { // a stamp may be anything; times and settings are bounded
		char a[TIME_TEXT], b[TIME_TEXT];
		snprintf(detail, 160, "event %s, record %s", time_text(ev->time_ms, a), time_text(stamp_ms, b));
		return REJECT_TIME_FUTURE;
	}
	return REJECT_NONE;
}

static void read_record(const struct decider *d, const struct record *r, const struct journal_rules *rules, int64_t stamp_ms, struct understood *ret)
{
	ret->rules = rules;
	decode_record(&rules->rules->settings.fields, r, &ret->scratch, &ret->event, &ret->why);
	if (ret->why.reject == REJECT_NONE)
		ret->why.reject = resolve(d, stamp_ms, ret, ret->why.detail);
	if (ret->why.reject == REJECT_NONE)
		ret->key = dedupe_key(ret->event.source, ret->event.id);
}

void decide_begin(struct decider *d, const struct record *first, uint32_t n)
{
	check(n <= DECIDE_AHEAD);
	d->first = first;
	d->n = n;
	for (uint32_t i = 0; i < n; i++)
		d->readings[i].rules = NULL;
}

const struct understood *decide_ahead(struct decider *d, const struct record *r, const struct journal_rules *rules)
{
	struct understood *ahead = &d->readings[r - d->first];
	if (r->timestamp_ms < 0 || (r->n_headers > 0 && record_is_tick(r))) // without a stamp of its own the record clock counts
		return NULL;
	read_record(d, r, rules, r->timestamp_ms, ahead);
	return ahead->why.reject == REJECT_NONE ? ahead : NULL;
}

static const struct understood *understand(struct decider *d, const struct course *c, const struct record *r)
{
	bool ahead = d->n > 0 && r >= d->first && r < d->first + d->n;
	struct understood *of = &d->readings[ahead ? r - d->first : DECIDE_AHEAD];
	if (!ahead || of->rules != c->rules)
		read_record(d, r, c->rules, r->timestamp_ms >= 0 ? r->timestamp_ms : c->clock_ms, of);
	return of;
}

static struct span header_of(const struct record *r, const char *name)
{
	struct span value = { 0 };
	for (uint32_t i = 0; i < r->n_headers; i++)
		if (span_is(r->headers[i].name, name))
			value = r->headers[i].value;
	return value;
}

// A record that was given back although it was not rejected where it stood first: a letter is out before its record is decided, and newer rules may
// have been decided in between. There it counted, so here it repeats. What it was there follows from the log: it is the same record, its rules are
// those at the clock that it bears, and so is the stamp that it had (a topic that stamps what is appended gives it another one).
static bool was_taken(struct decider *d, const struct course *c, const struct record *r)
{
	struct span clock = header_of(r, GIVEN_BACK_CLOCK_HEADER);
	int64_t clock_ms = TIME_NONE, stamp_ms;
	if (clock.p == NULL || (!span_is(clock, "-") && !span_int64(clock, &clock_ms)))
		return false;
	if (!span_int64(header_of(r, GIVEN_BACK_STAMP_HEADER), &stamp_ms))
		stamp_ms = r->timestamp_ms; // given back by a meterd that did not say
	const struct journal_rules *then = journal_rules_at(d->journal, clock_ms);
	if (then == c->rules && stamp_ms == r->timestamp_ms && stamp_ms >= 0)
		return true; // by which it is not rejected
	read_record(d, r, then, stamp_ms >= 0 ? stamp_ms : clock_ms, &d->before);
	return d->before.why.reject == REJECT_NONE;
}

void decide_record(struct decider *d, const struct course *c, struct dedupe *set, const struct record *r, struct decision *ret)
{
	ret->course = *c;
	ret->n = 0;
	if (r->n_headers > 0 && record_is_tick(r)) {
		ret->outcome = OUTCOME_CONTROL;
		return;
	}
	const struct understood *read = understand(d, c, r);
	if (read->why.reject != REJECT_NONE) {
		ret->outcome = OUTCOME_REJECTED;
		ret->why = read->why;
		return;
	}
	ret->event = &read->event;
	ret->account = read->account;
	ret->month = read->month;
	ret->n = read->n;
	memcpy(ret->items, read->items, read->n * sizeof(read->items[0]));
	bool seen = set != NULL && dedupe_seen(set, r->offset, read->key);
	if (seen || (r->n_headers > 0 && was_taken(d, c, r)))
		ret->outcome = OUTCOME_DUPLICATE;
	else if (!catalog_billable(c->rules->rules->catalog, read->event.status, read->event.time_ms))
		ret->outcome = OUTCOME_NOT_BILLABLE;
	else
		ret->outcome = read->month < c->open_month ? OUTCOME_LATE : OUTCOME_COUNTED;
}

void decider_free(struct decider *d)
{
	for (size_t i = 0; i < ARRAY_LEN(d->readings); i++)
		decode_scratch_free(&d->readings[i].scratch);
	decode_scratch_free(&d->before.scratch);
}

struct dedupe_options decide_dedupe_options(const struct journal *j, const struct rules_settings *s, int64_t first_offset)
{
	return (struct dedupe_options){ .generation_bits = s->generation_bits, .generations = s->generations,
					.max_age_ms = s->dedupe_max_age_ms, .first_offset = first_offset, .max_list = 1u << 20,
					.seed = dedupe_key((struct span){ 0 }, span_of(j->init_id)).lo };
}
