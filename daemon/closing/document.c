// SPDX-License-Identifier: Apache-2.0
// Lines and statements as bytes (interfaces.md, section 1): the documents that go out, and the facts that the shard keeps of them.
// Pure: the same line under the same manifest is the same bytes.
#include "base/check.h"
#include "closing/inner.h"
#include "outbox/envelope.h"

int64_t statement_not_before_ms(const struct rules *rules, int month)
{
	return rules->settings.clock == CLOCK_RECORDS ? TIME_NONE : period_end_ms(catalog_zone(rules->catalog), month);
}

// ---- lines
static void put_slices(struct writer *w, const struct bill *b)
{
	write_array(w, "slices");
	for (uint32_t i = 0; i < b->n_slices; i++) {
		const struct rating_slice *s = &b->slices[i];
		write_object(w, NULL);
		write_integer(w, "tier", s->tier + 1);
		write_integer(w, "calls", s->calls);
		write_price(w, "unit_price", s->price_micro);
		write_amount(w, "amount", s->amount);
		write_object_end(w);
	}
	write_array_end(w);
}

static void put_price_of(struct writer *w, const struct line *l)
{
	if (l->plan->model == MODEL_VOLUME) {
		write_integer(w, "tier", l->bill.tier + 1);
		write_price(w, "unit_price", l->bill.unit_price_micro);
	} else {
		put_slices(w, &l->bill);
	}
	write_integer(w, "per", l->plan->per);
}

static bool put_packs(struct writer *w, const struct line *l)
{
	write_array(w, "packs");
	for (uint32_t i = 0; i < l->n_packs; i++) {
		write_object(w, NULL);
		if (!write_bytes(w, "id", l->packs[i].id))
			return false;
		write_integer(w, "calls", l->packs[i].calls);
		write_object_end(w);
	}
	write_array_end(w);
	return true;
}

struct span document_cutoffs(const struct journal_manifest *m, struct arena *arena)
{
	struct writer w = writer_begin(arena);
	write_object(&w, NULL);
	for (uint32_t i = 0; i < m->n_cuts; i++) {
		write_key(&w, span_of(m->cuts[i].name));
		write_integer(&w, NULL, m->cuts[i].offset);
	}
	write_object_end(&w);
	return writer_end(&w);
}

static void put_adjusts(struct writer *w, const struct line *l)
{
	if (l->adjusts == NULL) {
		write_null(w, "adjusts");
		return;
	}
	write_object(w, "adjusts");
	write_integer(w, "revision", l->adjusts->revision >= 0 ? l->adjusts->revision : 0);
	write_integer(w, "calls", l->adjusts->calls);
	write_fen(w, "charge", l->adjusts->charge_fen);
	write_object_end(w);
	write_fen(w, "difference", l->difference_fen);
}

void line_price(struct line *l, const struct line_prices *prices, const struct plan *own)
{
	l->prices = prices;
	l->plan = prices != NULL ? &prices->plan : own != NULL ? own : &prices_zero_plan;
	l->rounding = prices != NULL && !prices->at_zero ? prices->rounding : catalog_rounding(l->rules->catalog);
}

// Which correction made this revision, or which one it rests on; and its prices, where those of the month are not meant.
static void put_corrected(struct writer *w, const struct line *l)
{
	if (l->corrected.n > 0)
		check(write_bytes(w, l->correction ? "correction" : "corrected", l->corrected)); // plain letters
	if (l->prices != NULL)
		prices_write(w, "prices", l->prices);
}

static bool put_line(struct writer *w, const struct statement_frame *f, struct span account, const struct line *l, const char *period)
{
	const struct catalog *c = l->rules->catalog;
	if (!write_bytes(w, "account", account))
		return false;
	write_text(w, "service", catalog_service_id(c, l->service));
	write_text(w, "period", period);
	write_integer(w, "revision", l->revision);
	write_text(w, "catalog", catalog_version(c));
	write_text(w, "catalog_sha256", catalog_sha256(c));
	write_integer(w, "calls", l->bill.calls);
	write_integer(w, "free", l->bill.free);
	if (!put_packs(w, l))
		return false;
	write_integer(w, "billable", l->bill.billable);
	put_price_of(w, l);
	write_amount(w, "exact", l->bill.exact);
	write_fen(w, "charge", l->bill.charge_fen);
	put_corrected(w, l);
	write_text(w, "currency", catalog_currency(c));
	write_fen(w, "unfreeze", l->unfreeze_fen);
	write_fen(w, "freeze", l->freeze_fen);
	write_text(w, "rounding", rounding_text(l->rounding));
	write_text(w, "tier_basis", tier_basis_text(l->plan->tier_basis));
	write_json(w, "cutoffs", f->cutoffs);
	put_adjusts(w, l);
	return true;
}

// What later adjustments start from.
static void put_facts(struct writer *w, const struct settled_line *l)
{
	write_integer(w, "revision", l->revision);
	write_integer(w, "calls", l->calls);
	write_integer(w, "free", l->free);
	write_object(w, "packs");
	for (uint32_t i = 0; i < l->n_packs; i++) {
		write_key(w, l->packs[i].id);
		write_integer(w, NULL, l->packs[i].calls);
	}
	write_object_end(w);
	write_integer(w, "billable", l->billable);
	write_integer(w, "charge_fen", l->charge_fen);
	write_integer(w, "unfreeze_fen", l->unfreeze_fen);
	write_integer(w, "freeze_fen", l->freeze_fen);
	if (l->corrected.n > 0)
		check(write_bytes(w, "corrected", l->corrected));
	if (l->prices != NULL)
		prices_write(w, "prices", l->prices);
}

struct settled_line line_settled(const struct line *l)
{
	return (struct settled_line){ l->service, l->revision, l->bill.calls, l->bill.free, l->bill.billable, l->bill.charge_fen, l->unfreeze_fen,
		l->freeze_fen, l->n_packs, l->packs, l->corrected, l->prices };
}

static struct span line_facts(const struct line *l, struct arena *arena)
{
	struct writer w = writer_begin(arena);
	struct settled_line s = line_settled(l);
	write_object(&w, NULL);
	put_facts(&w, &s);
	write_object_end(&w);
	return writer_end(&w);
}

static struct span line_identity(struct span account, const char *service, const char *period, int64_t revision, struct arena *arena)
{
	char number[SPAN_INT64];
	return ARENA_JOIN(arena, SPAN_LIT("settlement\n"), account, SPAN_LIT("\n"), span_of(service), SPAN_LIT("\n"), span_of(period), SPAN_LIT("\n"),
			  span_of_int64(revision, number));
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
	struct line_texts t = { .identity = line_identity(account, service, period, l->revision, arena) };
	identity_id(t.identity, t.id);
	struct span subject = ARENA_JOIN(arena, account, SPAN_LIT("/"), span_of(service), SPAN_LIT("/"), span_of(period));
	struct writer w = writer_begin(arena);
	if (!envelope_begin(&w, t.id, f->source, "meterd.settlement.v1", subject, end_ms(l->rules, l->month)) || !put_line(&w, f, account, l, period))
		return false;
	t.document = envelope_end(&w);
	t.facts = line_facts(l, arena);
	*ret = t;
	return true;
}

// ---- statements
static struct span statement_facts(const struct statement_parts *p, struct arena *arena)
{
	const struct catalog *c = p->rules->catalog;
	struct writer w = writer_begin(arena);
	write_object(&w, NULL);
	write_integer(&w, "revision", p->revision);
	write_integer(&w, "lines", p->sums->lines);
	write_integer(&w, "charge_fen", p->sums->charge_fen);
	write_integer(&w, "unfreeze_fen", p->sums->unfreeze_fen);
	write_integer(&w, "freeze_fen", p->sums->freeze_fen);
	write_array(&w, "services");
	for (uint32_t i = 0; i < p->n; i++)
		write_text(&w, NULL, catalog_service_id(c, p->lines[i].service));
	write_array_end(&w);
	write_object_end(&w);
	return writer_end(&w);
}

// All of the newest revision: what the next one starts from.
static struct span revision_facts(const struct statement_parts *p, struct arena *arena)
{
	struct writer w = writer_begin(arena);
	write_object(&w, NULL);
	write_integer(&w, "revision", p->revision);
	write_array(&w, "lines");
	for (uint32_t i = 0; i < p->n; i++) {
		write_object(&w, NULL);
		write_text(&w, "service", catalog_service_id(p->rules->catalog, p->lines[i].service));
		put_facts(&w, &p->lines[i]);
		write_object_end(&w);
	}
	write_array_end(&w);
	write_object_end(&w);
	return writer_end(&w);
}

static void put_line_ids(struct writer *w, const struct statement_parts *p, const char *period)
{
	write_array(w, "lines");
	for (uint32_t i = 0; i < p->n; i++) {
		char id[33];
		const struct settled_line *l = &p->lines[i];
		struct arena_mark mark = arena_mark(w->arena);
		identity_id(line_identity(p->account, catalog_service_id(p->rules->catalog, l->service), period, l->revision, w->arena), id);
		arena_rewind(w->arena, mark);
		write_text(w, NULL, id);
	}
	write_array_end(w);
}

static void put_sums(struct writer *w, const struct settled_sums *s)
{
	write_fen(w, "charge", s->charge_fen);
	write_fen(w, "unfreeze", s->unfreeze_fen);
	write_fen(w, "freeze", s->freeze_fen);
}

static struct span statement_identity(const struct statement_parts *p, const char *period, struct arena *arena)
{
	char number[SPAN_INT64];
	return ARENA_JOIN(arena, SPAN_LIT("statement\n"), p->account, SPAN_LIT("\n"), span_of(period), SPAN_LIT("\n"), span_of_int64(p->revision, number));
}

void statement_document(const struct statement_frame *f, const struct statement_parts *p, struct arena *arena, struct statement_texts *ret)
{
	char period[MONTH_TEXT], id[33];
	month_text(p->month, period);
	ret->identity = statement_identity(p, period, arena);
	ret->facts = p->revision == 0 ? statement_facts(p, arena) : revision_facts(p, arena);
	identity_id(ret->identity, id);
	struct span subject = ARENA_JOIN(arena, p->account, SPAN_LIT("/"), span_of(period));
	struct writer w = writer_begin(arena);
	check(envelope_begin(&w, id, f->source, "meterd.statement.v1", subject, end_ms(p->rules, p->month)) &&
	      write_bytes(&w, "account", p->account)); // its lines were made
	write_text(&w, "period", period);
	write_integer(&w, "revision", p->revision);
	put_line_ids(&w, p, period);
	put_sums(&w, p->sums);
	write_text(&w, "currency", catalog_currency(p->rules->catalog));
	ret->document = envelope_end(&w);
}

void statement_end_of_run(const struct statement_frame *f, const struct settled_sums *sums, struct arena *arena, struct span *ret_identity,
			  struct span *ret_document)
{
	char period[MONTH_TEXT], id[33];
	month_text(f->manifest->month, period);
	struct span identity = ARENA_JOIN(arena, SPAN_LIT("closed\n"), span_of(period));
	identity_id(identity, id);
	struct writer w = writer_begin(arena);
	check(envelope_begin(&w, id, f->source, "meterd.period.closed.v1", span_of(period), end_ms(f->own.rules, f->manifest->month)));
	write_text(&w, "period", period);
	write_integer(&w, "accounts", sums->accounts);
	write_integer(&w, "lines", sums->lines);
	put_sums(&w, sums);
	write_integer(&w, "adjustments", sums->adjustments);
	write_fen(&w, "difference", sums->difference_fen);
	write_text(&w, "currency", catalog_currency(f->own.rules->catalog));
	write_text(&w, "manifest_sha256", f->manifest->sha256);
	*ret_document = envelope_end(&w);
	*ret_identity = identity;
}
