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
	struct span account, service_id, pack_id;
	char period[MONTH_TEXT];
	int month;
	enum alert_kind kind;
	int64_t bound;
	// what it is about: a service, free calls that several share, or a pack
	const struct terms_service *terms;
	const struct terms_shared *shared;
	const struct account_fact *pack;
	struct arena arena;
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

static void facts_free(struct facts *f)
{
	arena_free(&f->arena);
}

// The contract's version in which the alert was found; everything that was said later is left aside.
static const struct account_fact *find_contract(const struct account *a, struct span contract)
{
	for (uint32_t t = 0; a != NULL && t < a->n_things; t++) {
		for (uint32_t i = 0; i < a->things[t].n; i++) {
			const struct account_fact *f = a->things[t].facts[i];
			CLEANUP(freep) char *name = xasprintf("%.*s/%lld", (int)f->id.n, f->id.p, (long long)f->version);
			if (f->kind == ACCOUNT_CONTRACT && span_is(contract, name))
				return f;
		}
	}
	return NULL;
}

// The pack as it stood where the alert was found: "id/version"; a cancellation has a version of its own and all else of the one before.
// Without `version` (alerts of before it was kept) the newest that has such a bound.
static const struct account_fact *find_pack(const struct account *a, const struct facts *f, struct span version)
{
	const struct account_fact *found = NULL;
	int64_t most = INT64_MAX;
	if (version.n > 0 && (version.n < f->pack_id.n + 2 || !span_int64((struct span){ version.p + f->pack_id.n + 1, version.n - f->pack_id.n - 1 }, &most)))
		return NULL;
	for (uint32_t t = 0; a != NULL && t < a->n_things; t++) {
		for (uint32_t i = 0; i < a->things[t].n; i++) {
			const struct account_fact *p = a->things[t].facts[i];
			if (p->kind == ACCOUNT_PACK && !p->cancels && span_eq(p->id, f->pack_id) && p->version <= most &&
			    f->bound == (f->kind == ALERT_PACK_WARNING ? ladder_share(p->warn_micro, p->calls) : p->calls))
				found = p;
		}
	}
	return found;
}

static const char *find_terms(struct facts *f, const struct outbox_entry *e, const struct catalog *c, const struct account_book *book)
{
	const struct account *a = book != NULL ? account_book_find(book, f->account) : NULL;
	if (f->pack_id.n > 0) {
		f->pack = find_pack(a, f, e->contract);
		return f->pack != NULL ? NULL : "the account has no such pack";
	}
	const struct account_fact *contract = e->contract.n > 0 ? find_contract(a, e->contract) : NULL;
	if (e->contract.n > 0 && contract == NULL)
		return "the account has no such contract";
	struct account_horizon h = { .stamp_ms = contract != NULL ? contract->stamp_ms : INT64_MAX };
	const struct terms *t = terms_make(c, contract != NULL ? a : NULL, &h, f->month, &f->arena);
	uint32_t service = 0;
	for (uint32_t i = 0; i < t->n_shared; i++)
		if (span_is(f->service_id, t->shared[i].id))
			f->shared = &t->shared[i];
	if (f->shared != NULL)
		return NULL;
	if (!catalog_find_id(c, f->service_id, &service))
		return "the price book has no such service";
	f->terms = &t->services[service];
	if (f->terms->plan == NULL)
		return "the service has no price in that month";
	return span_eq(f->terms->contract, e->contract) ? NULL : "another contract holds";
}

static const char *read_facts(const struct outbox_entry *e, const struct catalog *c, const struct account_book *book, struct facts *ret)
{
	struct span f[IDENTITY_FIELDS];
	if (!split_identity(e->identity, f) || !span_is(f[0], "alert"))
		return "its identity has another form";
	ret->account = f[1];
	ret->service_id = f[2];
	ret->pack_id = f[6];
	if (!month_parse(f[3], &ret->month) || !kind_of(f[4], &ret->kind) || !span_int64(f[5], &ret->bound))
		return "its period, kind or bound cannot be read";
	if ((ret->kind == ALERT_PACK_WARNING || ret->kind == ALERT_PACK_EXHAUSTED) != (ret->pack_id.n > 0))
		return "its kind and its pack do not fit";
	month_text(ret->month, ret->period);
	return find_terms(ret, e, c, book);
}

static bool put_call(struct writer *w, const struct outbox_entry *e)
{
	const char *slash = memrchr(e->part.p, '/', e->part.n);
	int64_t partition = 0;
	if (slash == NULL || !span_int64((struct span){ slash + 1, (size_t)(e->part.p + e->part.n - slash - 1) }, &partition))
		return false;
	write_object(w, "call");
	if (!write_bytes(w, "id", e->event_id) || !write_bytes(w, "source", e->event_source))
		return false;
	write_time(w, "time", e->time_ms);
	write_integer(w, "calls", e->calls);
	if (!write_bytes(w, "topic", (struct span){ e->part.p, (size_t)(slash - e->part.p) }))
		return false;
	write_integer(w, "partition", partition);
	write_integer(w, "offset", e->offset);
	write_object_end(w);
	return true;
}

static const char *put_bill(struct writer *w, const char *name, const struct facts *f, int64_t calls, int64_t not_billed, enum rounding rounding)
{
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct bill bill;
	if (!rating_bill(f->terms->plan, not_billed, calls, NULL, 0, rounding, slices, &bill))
		return "the bill overflows";
	write_amount(w, name, bill.exact);
	return NULL;
}

// Where the account shares something the store says how many calls were billable; otherwise the quota alone decides.
static const char *put_bills(struct writer *w, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	int64_t quota = e->first_month ? f->terms->quota_first : f->terms->quota;
	bool said = e->has_taken;
	if (said && (e->taken_before > e->before || e->taken_after > e->after))
		return "more calls are billable than there are";
	const char *why = put_bill(w, "bill_before", f, e->before, said ? e->before - e->taken_before : quota, catalog_rounding(c));
	if (why == NULL)
		why = put_bill(w, "bill_after", f, e->after, said ? e->after - e->taken_after : quota, catalog_rounding(c));
	return why;
}

static const char *put_tier(struct writer *w, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	const struct plan *plan = f->terms->plan;
	uint32_t to = 1;
	while (to < plan->n_tiers && plan->tiers[to].bound != f->bound)
		to++;
	if (to == plan->n_tiers)
		return "the plan has no tier with that bound";
	write_integer(w, "from_tier", to);
	write_integer(w, "to_tier", (int64_t)to + 1);
	write_price(w, "unit_price_from", plan->tiers[to - 1].price_micro);
	write_price(w, "unit_price_to", plan->tiers[to].price_micro);
	write_integer(w, "per", plan->per);
	const char *why = put_bills(w, e, f, c);
	write_text(w, "currency", catalog_currency(c));
	return why;
}

static const char *put_quota(struct writer *w, const struct outbox_entry *e, const struct facts *f)
{
	int64_t quota = f->shared != NULL ? f->shared->calls : f->terms->quota, left = quota - e->after;
	write_integer(w, "quota", quota);
	if (f->kind == ALERT_QUOTA_EXHAUSTED)
		return NULL;
	write_integer(w, "left", left > 0 ? left : 0);
	write_price(w, "share", f->shared != NULL ? f->shared->warn_micro : f->terms->warn_micro);
	return NULL;
}

static const char *put_pack(struct writer *w, const struct outbox_entry *e, const struct facts *f)
{
	int64_t left = f->pack->calls - e->taken_after;
	if (!e->has_taken)
		return "it does not say what was taken of the pack";
	if (!write_bytes(w, "pack", f->pack_id))
		return "its pack is not UTF-8";
	write_integer(w, "pack_calls", f->pack->calls);
	write_integer(w, "used_before", e->taken_before);
	write_integer(w, "used_after", e->taken_after);
	write_integer(w, "left", left > 0 ? left : 0);
	if (f->kind == ALERT_PACK_WARNING)
		write_price(w, "share", f->pack->warn_micro);
	return NULL;
}

static const char *put_kind(struct writer *w, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	switch (f->kind) {
	case ALERT_QUOTA_WARNING:
	case ALERT_QUOTA_EXHAUSTED:
		return put_quota(w, e, f);
	case ALERT_TIER_CROSSED:
		return f->terms != NULL ? put_tier(w, e, f, c) : "tiers are of a service";
	case ALERT_PACK_WARNING:
	case ALERT_PACK_EXHAUSTED:
		return put_pack(w, e, f);
	default:
		return "its kind is not known";
	}
}

// The services that share what the alert is about, less those that a contract took out; absent where it is one service.
static bool put_services(struct writer *w, const struct outbox_entry *e, const struct facts *f)
{
	struct span rest = f->shared != NULL ? e->sharing : (struct span){ 0 };
	uint32_t n_pack = f->pack != NULL && f->pack->n_pack_services > 1 ? f->pack->n_pack_services : 0;
	if (rest.n == 0 && n_pack == 0)
		return true;
	write_array(w, "services");
	while (rest.n > 0) {
		const char *blank = memchr(rest.p, ' ', rest.n);
		size_t n = blank != NULL ? (size_t)(blank - rest.p) : rest.n;
		if (!write_bytes(w, NULL, (struct span){ rest.p, n }))
			return false;
		rest = blank != NULL ? (struct span){ blank + 1, rest.n - n - 1 } : (struct span){ 0 };
	}
	for (uint32_t i = 0; i < n_pack; i++)
		if (!write_bytes(w, NULL, f->pack->pack_services[i]))
			return false;
	write_array_end(w);
	return true;
}

static const char *put_data(struct writer *w, const struct outbox_entry *e, const struct facts *f, const struct catalog *c)
{
	write_text(w, "kind", alert_kind_text(f->kind));
	if (!write_bytes(w, "account", f->account) || !write_bytes(w, "service", f->service_id))
		return "its account is not UTF-8";
	if (!put_services(w, e, f))
		return "its services are not UTF-8";
	write_text(w, "period", f->period);
	write_integer(w, "threshold", f->bound);
	write_integer(w, "calls_before", e->before);
	write_integer(w, "calls_after", e->after);
	if (e->cause.p != NULL)
		write_null(w, "call");
	else if (!put_call(w, e))
		return "its call cannot be read";
	if (e->cause.p != NULL && !write_bytes(w, "cause", e->cause))
		return "its cause is not UTF-8";
	write_text(w, "catalog", catalog_version(c));
	if (e->contract.n > 0 && f->pack == NULL && !write_bytes(w, "contract", e->contract))
		return "its contract is not UTF-8";
	return put_kind(w, e, f, c);
}

// In f->arena. NULL: *ret is whole; otherwise why there is none.
static const char *put_alert(const struct outbox_entry *e, struct facts *f, const struct catalog *c, const char *source, const char *id,
			     struct span *ret)
{
	const char *type = arena_printf(&f->arena, "meterd.%s.v1", alert_kind_text(f->kind));
	struct span subject = ARENA_JOIN(&f->arena, f->account, SPAN_LIT("/"), f->service_id, SPAN_LIT("/"), span_of(f->period));
	struct writer w = writer_begin(&f->arena);
	if (!envelope_begin(&w, id, source, type, subject, e->time_ms))
		return "its account is not UTF-8";
	const char *why = put_data(&w, e, f, c);
	if (why == NULL)
		*ret = envelope_end(&w);
	return why;
}

char *alert_render(const struct outbox_entry *e, const struct rules *rules, const struct account_book *book, const char *source, char ret_id[33],
		   struct error *err)
{
	check(e->type == OUTBOX_ALERT);
	CLEANUP(facts_free) struct facts f = { .month = MONTH_NONE, .kind = ALERT_KINDS };
	struct span text = { 0 };
	char id[33];
	identity_id(e->identity, id);
	const char *why = read_facts(e, rules->catalog, book, &f);
	if (why == NULL)
		why = put_alert(e, &f, rules->catalog, source, id, &text);
	if (why != NULL) {
		error_set(err, ERROR_HALT, 0, "an alert in the outbox (%s, offset %lld of %.*s) does not fit rules version %lld: %s",
			  f.kind < ALERT_KINDS ? alert_kind_text(f.kind) : "kind unknown", (long long)e->offset, (int)e->part.n, e->part.p,
			  (long long)e->rules_version, why);
		return NULL;
	}
	memcpy(ret_id, id, sizeof(id));
	return xstrndup(text.p, text.n);
}
