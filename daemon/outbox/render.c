// SPDX-License-Identifier: Apache-2.0
// From an alert's facts to its CloudEvent. The ledger stores totals, bound and call; prices and bills are added here, out of the
// rules version under which the crossing was found (design.md, section 6). Facts that the rules do not know are refused: an alert
// with a guessed price is worse than one that waits.
#include <stdlib.h>

#include "outbox/envelope.h"
#include "outbox/outbox.h"
#include "rating/rating.h"

enum { IDENTITY_FIELDS = 7 }; // "alert", account, service, period, kind, bound, pack

struct facts {
	struct span account, service_id;
	char period[MONTH_TEXT];
	int month;
	uint32_t service;
	enum alert_kind kind;
	int64_t bound;
	const struct plan *plan;
};

static bool split_identity(struct span identity, struct span ret[IDENTITY_FIELDS])
{
	const char *p = identity.p, *end = identity.p + identity.n;
	for (int i = 0; i < IDENTITY_FIELDS; i++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		bool last = i == IDENTITY_FIELDS - 1;
		if ((stop == NULL) != last)
			return false;
		ret[i] = (struct span){ p, (size_t)((last ? end : stop) - p) };
		p = last ? end : stop + 1;
	}
	return true;
}

static bool kind_of(struct span text, enum alert_kind *ret)
{
	for (int k = 0; k < ALERT_KINDS; k++) {
		if (span_is(text, alert_kind_text((enum alert_kind)k))) {
			*ret = (enum alert_kind)k;
			return true;
		}
	}
	return false;
}

static const char *read_facts(const struct outbox_entry *e, const struct catalog *c, struct facts *ret)
{
	struct span f[IDENTITY_FIELDS];
	if (!split_identity(e->identity, f) || !span_is(f[0], "alert"))
		return "its identity has another form";
	ret->account = f[1];
	ret->service_id = f[2];
	if (!month_parse(f[3], &ret->month) || !kind_of(f[4], &ret->kind) || !span_int64(f[5], &ret->bound))
		return "its period, kind or bound cannot be read";
	if (f[6].n != 0)
		return "it names a pack, and this program knows none";
	if (!catalog_find_id(c, f[2], &ret->service))
		return "the price book has no such service";
	ret->plan = catalog_plan(c, ret->service, ret->month);
	if (ret->plan == NULL)
		return "the service has no price in that month";
	month_text(ret->month, ret->period);
	return NULL;
}

static json_t *json_call(const struct outbox_entry *e)
{
	const char *slash = memrchr(e->part.p, '/', e->part.n);
	int64_t partition = 0;
	if (slash == NULL || !span_int64((struct span){ slash + 1, (size_t)(e->part.p + e->part.n - slash - 1) }, &partition))
		return NULL;
	CLEANUP(json_freep) json_t *call = json_object();
	if (!json_put_bytes(call, "id", e->event_id) || !json_put_bytes(call, "source", e->event_source))
		return NULL;
	json_put(call, "time", json_time(e->time_ms));
	json_put(call, "calls", json_integer(e->calls));
	if (!json_put_bytes(call, "topic", (struct span){ e->part.p, (size_t)(slash - e->part.p) }))
		return NULL;
	json_put(call, "partition", json_integer(partition));
	json_put(call, "offset", json_integer(e->offset));
	return TAKE_PTR(call);
}

static const char *put_amount(json_t *data, const char *name, const struct facts *f, int64_t quota, int64_t calls, enum rounding rounding)
{
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct bill bill;
	char text[MONEY_TEXT];
	if (!rating_bill(f->plan, quota, calls, NULL, 0, rounding, slices, &bill))
		return "the bill overflows";
	json_put(data, name, json_string(money_amount_text(bill.exact, text)));
	return NULL;
}

static const char *put_tier(json_t *data, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	char price[MONEY_TEXT];
	uint32_t to = 1;
	while (to < f->plan->n_tiers && f->plan->tiers[to].bound != f->bound)
		to++;
	if (to == f->plan->n_tiers)
		return "the plan has no tier with that bound";
	int64_t quota = e->first_month ? 0 : f->plan->quota;
	json_put(data, "from_tier", json_integer(to));
	json_put(data, "to_tier", json_integer(to + 1));
	json_put(data, "unit_price_from", json_string(money_price_text(f->plan->tiers[to - 1].price_micro, price)));
	json_put(data, "unit_price_to", json_string(money_price_text(f->plan->tiers[to].price_micro, price)));
	json_put(data, "per", json_integer(f->plan->per));
	const char *why = put_amount(data, "bill_before", f, quota, e->before, catalog_rounding(c));
	if (why == NULL)
		why = put_amount(data, "bill_after", f, quota, e->after, catalog_rounding(c));
	json_put(data, "currency", json_string(catalog_currency(c)));
	return why;
}

static const char *put_kind(json_t *data, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	char share[MONEY_TEXT];
	int64_t left = f->plan->quota - e->after;
	switch (f->kind) {
	case ALERT_QUOTA_WARNING:
		json_put(data, "quota", json_integer(f->plan->quota));
		json_put(data, "left", json_integer(left > 0 ? left : 0));
		json_put(data, "share", json_string(money_price_text(f->plan->warn_micro, share)));
		return NULL;
	case ALERT_QUOTA_EXHAUSTED:
		json_put(data, "quota", json_integer(f->plan->quota));
		return NULL;
	case ALERT_TIER_CROSSED:
		return put_tier(data, e, f, c);
	default:
		return "its kind is not known";
	}
}

static const char *put_data(json_t *data, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	json_put(data, "kind", json_string(alert_kind_text(f->kind)));
	if (!json_put_bytes(data, "account", f->account) || !json_put_bytes(data, "service", f->service_id))
		return "its account is not UTF-8";
	json_put(data, "period", json_string(f->period));
	json_put(data, "threshold", json_integer(f->bound));
	json_put(data, "calls_before", json_integer(e->before));
	json_put(data, "calls_after", json_integer(e->after));
	json_t *call = json_call(e);
	if (call == NULL)
		return "its call cannot be read";
	json_put(data, "call", call);
	json_put(data, "catalog", json_string(catalog_version(c)));
	return put_kind(data, e, f, c);
}

char *alert_render(const struct outbox_entry *e, const struct rules *rules, const char *source, char ret_id[33], struct error *err)
{
	check(e->type == OUTBOX_ALERT);
	struct facts f = { .month = MONTH_NONE };
	CLEANUP(json_freep) json_t *data = json_object();
	const char *why = read_facts(e, rules->catalog, &f);
	if (why == NULL)
		why = put_data(data, e, &f, rules->catalog);
	if (why != NULL) {
		error_set(err, ERROR_HALT, 0, "an alert in the outbox (%s, offset %lld of %.*s) does not fit rules version %lld: %s",
			  f.plan != NULL ? alert_kind_text(f.kind) : "kind unknown", (long long)e->offset, (int)e->part.n, e->part.p,
			  (long long)e->rules_version, why);
		return NULL;
	}
	CLEANUP(freep) char *type = xasprintf("meterd.%s.v1", alert_kind_text(f.kind));
	CLEANUP(freep) char *subject = xasprintf("%.*s/%.*s/%s", (int)f.account.n, f.account.p, (int)f.service_id.n, f.service_id.p, f.period);
	identity_id(e->identity, ret_id);
	return envelope(ret_id, source, type, subject, e->time_ms, TAKE_PTR(data));
}
