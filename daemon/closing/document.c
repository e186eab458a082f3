// SPDX-License-Identifier: Apache-2.0
// Lines and statements as bytes (interfaces.md, section 1): the documents that go out, and the facts that the shard keeps of them.
// Pure: the same line under the same manifest is the same bytes.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"
#include "outbox/envelope.h"

int64_t statement_not_before_ms(const struct rules *rules, int month)
{
	return rules->settings.clock == CLOCK_RECORDS ? TIME_NONE : period_end_ms(catalog_zone(rules->catalog), month);
}

struct span document_keep(struct arena *a, char *text)
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

static void append(json_t *list, json_t *value)
{
	check(value != NULL && json_array_append_new(list, value) == 0);
}

static void put_slices(json_t *data, const struct bill *b)
{
	json_t *slices = json_array();
	for (uint32_t i = 0; i < b->n_slices; i++) {
		const struct rating_slice *s = &b->slices[i];
		json_t *slice = json_object();
		json_put(slice, "tier", json_integer(s->tier + 1));
		json_put(slice, "calls", json_integer(s->calls));
		put_price(slice, "unit_price", s->price_micro);
		put_amount(slice, "amount", s->amount);
		append(slices, slice);
	}
	json_put(data, "slices", slices);
}

static void put_price_of(json_t *data, const struct line *l)
{
	if (l->plan->model == MODEL_VOLUME) {
		json_put(data, "tier", json_integer(l->bill.tier + 1));
		put_price(data, "unit_price", l->bill.unit_price_micro);
	} else {
		put_slices(data, &l->bill);
	}
	json_put(data, "per", json_integer(l->plan->per));
}

static bool put_packs(json_t *data, const struct line *l)
{
	json_t *packs = json_array();
	json_put(data, "packs", packs);
	for (uint32_t i = 0; i < l->n_packs; i++) {
		json_t *pack = json_object();
		append(packs, pack);
		if (!json_put_bytes(pack, "id", l->packs[i].id))
			return false;
		json_put(pack, "calls", json_integer(l->packs[i].calls));
	}
	return true;
}

static json_t *json_cuts(const struct journal_manifest *m)
{
	json_t *cuts = json_object();
	for (uint32_t i = 0; i < m->n_cuts; i++)
		json_put(cuts, m->cuts[i].name, json_integer(m->cuts[i].offset));
	return cuts;
}

static void put_adjusts(json_t *data, const struct line *l)
{
	if (l->adjusts == NULL) {
		json_put(data, "adjusts", json_null());
		return;
	}
	bool settled = l->adjusts->revision >= 0;
	json_t *adjusts = json_object();
	json_put(adjusts, "revision", json_integer(settled ? l->adjusts->revision : 0));
	json_put(adjusts, "calls", json_integer(l->adjusts->calls));
	put_fen(adjusts, "charge", l->adjusts->charge_fen);
	json_put(data, "adjusts", adjusts);
	put_fen(data, "difference", l->difference_fen);
}

void line_price(struct line *l, const struct line_prices *prices, const struct plan *own)
{
	l->prices = prices;
	l->plan = prices != NULL ? &prices->plan : own != NULL ? own : &prices_zero_plan;
	l->rounding = prices != NULL && !prices->at_zero ? prices->rounding : catalog_rounding(l->rules->catalog);
}

// Which correction made this revision, or which one it rests on; and its prices, where those of the month are not meant.
static void put_corrected(json_t *data, const struct line *l)
{
	if (l->corrected.n > 0)
		check(json_put_bytes(data, l->correction ? "correction" : "corrected", l->corrected)); // plain letters
	if (l->prices != NULL)
		json_put(data, "prices", prices_json(l->prices));
}

static bool line_data(const struct statement_frame *f, struct span account, const struct line *l, const char *period, json_t *data)
{
	const struct catalog *c = l->rules->catalog;
	if (!json_put_bytes(data, "account", account))
		return false;
	json_put(data, "service", json_string(catalog_service_id(c, l->service)));
	json_put(data, "period", json_string(period));
	json_put(data, "revision", json_integer(l->revision));
	json_put(data, "catalog", json_string(catalog_version(c)));
	json_put(data, "catalog_sha256", json_string(catalog_sha256(c)));
	json_put(data, "calls", json_integer(l->bill.calls));
	json_put(data, "free", json_integer(l->bill.free));
	if (!put_packs(data, l))
		return false;
	json_put(data, "billable", json_integer(l->bill.billable));
	put_price_of(data, l);
	put_amount(data, "exact", l->bill.exact);
	put_fen(data, "charge", l->bill.charge_fen);
	put_corrected(data, l);
	json_put(data, "currency", json_string(catalog_currency(c)));
	put_fen(data, "unfreeze", l->unfreeze_fen);
	put_fen(data, "freeze", l->freeze_fen);
	json_put(data, "rounding", json_string(rounding_text(l->rounding)));
	json_put(data, "tier_basis", json_string(tier_basis_text(l->plan->tier_basis)));
	json_put(data, "cutoffs", json_cuts(f->manifest));
	put_adjusts(data, l);
	return true;
}

// What later adjustments start from.
static void put_facts(json_t *j, const struct settled_line *l)
{
	json_t *packs = json_object();
	for (uint32_t i = 0; i < l->n_packs; i++) {
		CLEANUP(freep) char *id = xstrndup(l->packs[i].id.p, l->packs[i].id.n);
		json_put(packs, id, json_integer(l->packs[i].calls));
	}
	json_put(j, "revision", json_integer(l->revision));
	json_put(j, "calls", json_integer(l->calls));
	json_put(j, "free", json_integer(l->free));
	json_put(j, "packs", packs);
	json_put(j, "billable", json_integer(l->billable));
	json_put(j, "charge_fen", json_integer(l->charge_fen));
	json_put(j, "unfreeze_fen", json_integer(l->unfreeze_fen));
	json_put(j, "freeze_fen", json_integer(l->freeze_fen));
	if (l->corrected.n > 0)
		check(json_put_bytes(j, "corrected", l->corrected));
	if (l->prices != NULL)
		json_put(j, "prices", prices_json(l->prices));
}

struct settled_line line_settled(const struct line *l)
{
	return (struct settled_line){ l->service, l->revision, l->bill.calls, l->bill.free, l->bill.billable, l->bill.charge_fen, l->unfreeze_fen,
		l->freeze_fen, l->n_packs, l->packs, l->corrected, l->prices };
}

static char *line_facts(const struct line *l)
{
	CLEANUP(json_freep) json_t *j = json_object();
	struct settled_line s = line_settled(l);
	put_facts(j, &s);
	return json_compact(j);
}

static char *line_identity(struct span account, const char *service, const char *period, int64_t revision)
{
	return xasprintf("settlement\n%.*s\n%s\n%s\n%lld", (int)account.n, account.p, service, period, (long long)revision);
}

static int64_t end_ms(const struct rules *rules, int month)
{
	return period_end_ms(catalog_zone(rules->catalog), month);
}

bool line_document(const struct statement_frame *f, struct span account, const struct line *l, struct arena *arena, struct line_texts *ret)
{
	char period[MONTH_TEXT];
	const char *service = catalog_service_id(l->rules->catalog, l->service);
	month_text(l->month, period);
	CLEANUP(json_freep) json_t *data = json_object();
	if (!line_data(f, account, l, period, data))
		return false;
	ret->identity = document_keep(arena, line_identity(account, service, period, l->revision));
	ret->facts = document_keep(arena, line_facts(l));
	identity_id(ret->identity, ret->id);
	CLEANUP(freep) char *subject = xasprintf("%.*s/%s/%s", (int)account.n, account.p, service, period);
	ret->document = document_keep(arena, envelope(ret->id, f->source, "meterd.settlement.v1", subject, end_ms(l->rules, l->month), TAKE_PTR(data)));
	return true;
}

// ---- statements
static char *statement_facts(const struct statement_parts *p)
{
	const struct catalog *c = p->rules->catalog;
	CLEANUP(json_freep) json_t *j = json_object();
	json_t *services = json_array();
	for (uint32_t i = 0; i < p->n; i++)
		append(services, json_string(catalog_service_id(c, p->lines[i].service)));
	json_put(j, "revision", json_integer(p->revision));
	json_put(j, "lines", json_integer(p->sums->lines));
	json_put(j, "charge_fen", json_integer(p->sums->charge_fen));
	json_put(j, "unfreeze_fen", json_integer(p->sums->unfreeze_fen));
	json_put(j, "freeze_fen", json_integer(p->sums->freeze_fen));
	json_put(j, "services", services);
	return json_compact(j);
}

// All of the newest revision: what the next one starts from.
static char *revision_facts(const struct statement_parts *p)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_t *lines = json_array();
	json_put(j, "revision", json_integer(p->revision));
	json_put(j, "lines", lines);
	for (uint32_t i = 0; i < p->n; i++) {
		json_t *line = json_object();
		append(lines, line);
		json_put(line, "service", json_string(catalog_service_id(p->rules->catalog, p->lines[i].service)));
		put_facts(line, &p->lines[i]);
	}
	return json_compact(j);
}

static json_t *line_ids(const struct statement_parts *p, const char *period)
{
	json_t *ids = json_array();
	for (uint32_t i = 0; i < p->n; i++) {
		char id[33];
		const struct settled_line *l = &p->lines[i];
		CLEANUP(freep) char *identity = line_identity(p->account, catalog_service_id(p->rules->catalog, l->service), period, l->revision);
		identity_id(span_of(identity), id);
		append(ids, json_string(id));
	}
	return ids;
}

void statement_document(const struct statement_frame *f, const struct statement_parts *p, struct arena *arena, struct statement_texts *ret)
{
	char period[MONTH_TEXT], id[33];
	month_text(p->month, period);
	ret->identity = document_keep(arena, xasprintf("statement\n%.*s\n%s\n%lld", (int)p->account.n, p->account.p, period, (long long)p->revision));
	ret->facts = document_keep(arena, p->revision == 0 ? statement_facts(p) : revision_facts(p));
	identity_id(ret->identity, id);
	json_t *data = json_object();
	check(json_put_bytes(data, "account", p->account)); // its lines were made
	json_put(data, "period", json_string(period));
	json_put(data, "revision", json_integer(p->revision));
	json_put(data, "lines", line_ids(p, period));
	put_fen(data, "charge", p->sums->charge_fen);
	put_fen(data, "unfreeze", p->sums->unfreeze_fen);
	put_fen(data, "freeze", p->sums->freeze_fen);
	json_put(data, "currency", json_string(catalog_currency(p->rules->catalog)));
	CLEANUP(freep) char *subject = xasprintf("%.*s/%s", (int)p->account.n, p->account.p, period);
	ret->document = document_keep(arena, envelope(id, f->source, "meterd.statement.v1", subject, end_ms(p->rules, p->month), data));
}

void statement_end_of_run(const struct statement_frame *f, const struct settled_sums *sums, struct arena *arena, struct span *ret_identity,
			  struct span *ret_document)
{
	char period[MONTH_TEXT], id[33];
	month_text(f->manifest->month, period);
	struct span identity = document_keep(arena, xasprintf("closed\n%s", period));
	identity_id(identity, id);
	json_t *data = json_object();
	json_put(data, "period", json_string(period));
	json_put(data, "accounts", json_integer(sums->accounts));
	json_put(data, "lines", json_integer(sums->lines));
	put_fen(data, "charge", sums->charge_fen);
	put_fen(data, "unfreeze", sums->unfreeze_fen);
	put_fen(data, "freeze", sums->freeze_fen);
	json_put(data, "adjustments", json_integer(sums->adjustments));
	put_fen(data, "difference", sums->difference_fen);
	json_put(data, "currency", json_string(catalog_currency(f->own.rules->catalog)));
	json_put(data, "manifest_sha256", json_string(f->manifest->sha256));
	*ret_document = document_keep(arena, envelope(id, f->source, "meterd.period.closed.v1", period, end_ms(f->own.rules, f->manifest->month), data));
	*ret_identity = identity;
}
