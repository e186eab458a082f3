// SPDX-License-Identifier: Apache-2.0
// One account's month: what is unfrozen, charged and frozen (pricing.md, rules 10, 13, 14), and the documents that say so
// (interfaces.md, section 1). Pure: the same counters under the same manifest are the same bytes.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"
#include "outbox/envelope.h"

struct line {
	const struct holding *held;
	const struct plan *plan;
	struct bill bill;
	int64_t freeze_fen;
};

// A month at price 0, where statements are wanted for it all the same.
static const struct price_tier free_tier = { 0, 0, 0 };
static const struct plan free_plan = { .model = MODEL_VOLUME, .per = 1000, .n_tiers = 1, .tiers = &free_tier };

int64_t statement_not_before_ms(const struct rules *rules, int month)
{
	return rules->settings.clock == CLOCK_RECORDS ? TIME_NONE : period_end_ms(catalog_zone(rules->catalog), month);
}

bool statement_asks_activation(const struct statement_frame *f, const struct holding *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct plan *plan = catalog_plan(f->rules->catalog, list[i].service, f->manifest->month);
		if (plan != NULL && plan->first_month == FIRST_MONTH_NEXT && plan->quota > 0)
			return true;
	}
	return false;
}

// Only something to unfreeze: tier 1 and its price, charge 0.00, also where a plan has a fee at zero calls.
static void bill_nothing(const struct plan *plan, struct bill *ret)
{
	*ret = (struct bill){ .unit_price_micro = plan->tiers[0].price_micro };
}

static enum error_class line_make(const struct statement_frame *f, const struct holding *h, bool month_of_activation, struct line *ret, struct error *e)
{
	const struct catalog *c = f->rules->catalog;
	const struct plan *plan = catalog_plan(c, h->service, f->manifest->month);
	struct line line = { .held = h, .plan = plan != NULL ? plan : &free_plan };
	int64_t quota = month_of_activation && line.plan->first_month == FIRST_MONTH_NEXT ? 0 : line.plan->quota;
	bool ok = true;
	if (h->calls == 0)
		bill_nothing(line.plan, &line.bill);
	else
		ok = rating_bill(line.plan, quota, h->calls, NULL, 0, catalog_rounding(c), f->slices, &line.bill);
	if (ok && plan != NULL && h->calls > 0 && catalog_service_in(c, h->service, f->manifest->month + 1))
		ok = rating_freeze(plan, catalog_freeze_basis(c), catalog_freeze_ratio_micro(c), &line.bill, catalog_rounding(c), &line.freeze_fen);
	if (!ok)
		return error_set(e, ERROR_HALT, 0, "a bill of service %s overflows: %lld calls", catalog_service_id(c, h->service), (long long)h->calls);
	*ret = line;
	return ERROR_NONE;
}

static bool line_due(const struct statement_frame *f, const struct holding *h)
{
	const struct catalog *c = f->rules->catalog;
	if (h->unfreeze_fen != 0)
		return true;
	return h->calls > 0 && (catalog_plan(c, h->service, f->manifest->month) != NULL || catalog_zero_price_statements(c));
}

// ---- documents
static struct span keep(struct arena *a, char *text)
{
	struct span s = arena_copy(a, span_of(text));
	free(text);
	return s;
}

static void put_fen(json_t *j, const char *name, int64_t fen)
{
	char text[MONEY_TEXT];
	json_put(j, name, json_string(money_fen_text(fen, text)));
}

static void put_price(json_t *j, const char *name, int64_t micro)
{
	char text[MONEY_TEXT];
	json_put(j, name, json_string(money_price_text(micro, text)));
}

static void put_amount(json_t *j, const char *name, amount_pico amount)
{
	char text[MONEY_TEXT];
	json_put(j, name, json_string(money_amount_text(amount, text)));
}

static void put_price_of(json_t *data, const struct line *l)
{
	if (l->plan->model == MODEL_VOLUME) {
		json_put(data, "tier", json_integer(l->bill.tier + 1));
		put_price(data, "unit_price", l->bill.unit_price_micro);
	} else {
		json_t *slices = json_array();
		for (uint32_t i = 0; i < l->bill.n_slices; i++) {
			const struct rating_slice *s = &l->bill.slices[i];
			json_t *slice = json_object();
			json_put(slice, "tier", json_integer(s->tier + 1));
			json_put(slice, "calls", json_integer(s->calls));
			put_price(slice, "unit_price", s->price_micro);
			put_amount(slice, "amount", s->amount);
			check(json_array_append_new(slices, slice) == 0);
		}
		json_put(data, "slices", slices);
	}
	json_put(data, "per", json_integer(l->plan->per));
}

static json_t *json_cuts(const struct journal_manifest *m)
{
	json_t *cuts = json_object();
	for (uint32_t i = 0; i < m->n_cuts; i++)
		json_put(cuts, m->cuts[i].name, json_integer(m->cuts[i].offset));
	return cuts;
}

static bool settlement_data(const struct statement_frame *f, const struct line *l, const char *period, json_t *data)
{
	const struct catalog *c = f->rules->catalog;
	if (!json_put_bytes(data, "account", l->held->account))
		return false;
	json_put(data, "service", json_string(catalog_service_id(c, l->held->service)));
	json_put(data, "period", json_string(period));
	json_put(data, "revision", json_integer(0));
	json_put(data, "catalog", json_string(catalog_version(c)));
	json_put(data, "catalog_sha256", json_string(catalog_sha256(c)));
	json_put(data, "calls", json_integer(l->bill.calls));
	json_put(data, "free", json_integer(l->bill.free));
	json_put(data, "packs", json_array());
	json_put(data, "billable", json_integer(l->bill.billable));
	put_price_of(data, l);
	put_amount(data, "exact", l->bill.exact);
	put_fen(data, "charge", l->bill.charge_fen);
	json_put(data, "currency", json_string(catalog_currency(c)));
	put_fen(data, "unfreeze", l->held->unfreeze_fen);
	put_fen(data, "freeze", l->freeze_fen);
	json_put(data, "rounding", json_string(catalog_rounding_text(c)));
	json_put(data, "tier_basis", json_string(l->plan->tier_basis == TIER_BY_BILLABLE ? "billable" : "total"));
	json_put(data, "cutoffs", json_cuts(f->manifest));
	json_put(data, "adjusts", json_null());
	return true;
}

static char *line_facts(const struct line *l)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "revision", json_integer(0));
	json_put(j, "calls", json_integer(l->bill.calls));
	put_fen(j, "charge", l->bill.charge_fen);
	put_amount(j, "exact", l->bill.exact);
	put_fen(j, "unfreeze", l->held->unfreeze_fen);
	put_fen(j, "freeze", l->freeze_fen);
	return json_compact(j);
}

static int64_t end_ms(const struct statement_frame *f)
{
	return period_end_ms(catalog_zone(f->rules->catalog), f->manifest->month);
}

static bool line_document(const struct statement_frame *f, const struct line *l, struct arena *arena, struct store_line *ret, char ret_id[33])
{
	char period[MONTH_TEXT];
	const char *service = catalog_service_id(f->rules->catalog, l->held->service);
	struct span account = l->held->account;
	month_text(f->manifest->month, period);
	CLEANUP(json_freep) json_t *data = json_object();
	if (!settlement_data(f, l, period, data))
		return false;
	*ret = (struct store_line){ .service_id = span_of(service), .calls = l->held->calls, .unfreeze_fen = l->held->unfreeze_fen,
		.freeze_fen = l->freeze_fen, .facts = keep(arena, line_facts(l)) };
	ret->identity = keep(arena, xasprintf("settlement\n%.*s\n%s\n%s\n0", (int)account.n, account.p, service, period));
	identity_id(ret->identity, ret_id);
	CLEANUP(freep) char *subject = xasprintf("%.*s/%s/%s", (int)account.n, account.p, service, period);
	ret->document = keep(arena, envelope(ret_id, f->source, "meterd.settlement.v1", subject, end_ms(f), TAKE_PTR(data)));
	return true;
}

static char *statement_facts(const struct settled_sums *s)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "revision", json_integer(0));
	json_put(j, "lines", json_integer(s->lines));
	json_put(j, "charge_fen", json_integer(s->charge_fen));
	json_put(j, "unfreeze_fen", json_integer(s->unfreeze_fen));
	json_put(j, "freeze_fen", json_integer(s->freeze_fen));
	return json_compact(j);
}

static void statement_document(const struct statement_frame *f, const struct settled_sums *sums, json_t *ids, struct arena *arena,
			       struct store_statement *to)
{
	char period[MONTH_TEXT], id[33];
	month_text(f->manifest->month, period);
	to->identity = keep(arena, xasprintf("statement\n%.*s\n%s\n0", (int)to->account.n, to->account.p, period));
	to->facts = keep(arena, statement_facts(sums));
	to->not_before_ms = statement_not_before_ms(f->rules, f->manifest->month);
	identity_id(to->identity, id);
	json_t *data = json_object();
	check(json_put_bytes(data, "account", to->account));
	json_put(data, "period", json_string(period));
	json_put(data, "revision", json_integer(0));
	json_put(data, "lines", ids);
	put_fen(data, "charge", sums->charge_fen);
	put_fen(data, "unfreeze", sums->unfreeze_fen);
	put_fen(data, "freeze", sums->freeze_fen);
	json_put(data, "currency", json_string(catalog_currency(f->rules->catalog)));
	CLEANUP(freep) char *subject = xasprintf("%.*s/%s", (int)to->account.n, to->account.p, period);
	to->document = keep(arena, envelope(id, f->source, "meterd.statement.v1", subject, end_ms(f), data));
}

static bool sums_add(struct settled_sums *s, const struct line *l)
{
	s->lines++;
	return !__builtin_add_overflow(s->charge_fen, l->bill.charge_fen, &s->charge_fen) &&
	       !__builtin_add_overflow(s->unfreeze_fen, l->held->unfreeze_fen, &s->unfreeze_fen) &&
	       !__builtin_add_overflow(s->freeze_fen, l->freeze_fen, &s->freeze_fen);
}

enum error_class statement_make(const struct statement_frame *f, const struct holding *list, size_t n, bool month_of_activation,
				struct arena *arena, struct store_statement *ret, struct error *e)
{
	check(n > 0);
	struct store_statement s = { .account = list[0].account };
	struct store_line *lines = arena_alloc(arena, n * sizeof(*lines));
	struct settled_sums sums = { 0 };
	CLEANUP(json_freep) json_t *ids = json_array();
	for (size_t i = 0; i < n; i++) {
		struct line line = { 0 };
		char id[33];
		if (!line_due(f, &list[i]))
			continue;
		if (line_make(f, &list[i], month_of_activation, &line, e) != ERROR_NONE)
			return ERROR_HALT;
		if (!sums_add(&sums, &line) || !line_document(f, &line, arena, &lines[s.n_lines], id))
			return error_set(e, ERROR_HALT, 0, "an account's statement cannot be made: its sums overflow, or its name is not UTF-8");
		check(json_array_append_new(ids, json_string(id)) == 0);
		s.n_lines++;
	}
	s.lines = lines;
	if (s.n_lines > 0)
		statement_document(f, &sums, TAKE_PTR(ids), arena, &s);
	*ret = s;
	return ERROR_NONE;
}

void statement_end_of_run(const struct statement_frame *f, const struct settled_sums *sums, struct arena *arena, struct span *ret_identity,
			  struct span *ret_document)
{
	char period[MONTH_TEXT], id[33];
	month_text(f->manifest->month, period);
	struct span identity = keep(arena, xasprintf("closed\n%s", period));
	identity_id(identity, id);
	json_t *data = json_object();
	json_put(data, "period", json_string(period));
	json_put(data, "accounts", json_integer(sums->accounts));
	json_put(data, "lines", json_integer(sums->lines));
	put_fen(data, "charge", sums->charge_fen);
	put_fen(data, "unfreeze", sums->unfreeze_fen);
	put_fen(data, "freeze", sums->freeze_fen);
	json_put(data, "currency", json_string(catalog_currency(f->rules->catalog)));
	json_put(data, "manifest_sha256", json_string(f->manifest->sha256));
	*ret_document = keep(arena, envelope(id, f->source, "meterd.period.closed.v1", period, end_ms(f), data));
	*ret_identity = identity;
}
