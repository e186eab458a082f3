// SPDX-License-Identifier: Apache-2.0
#include "usage/row.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct making {
	struct usage_world *w;
	struct usage_row *row;
};

static void put(const struct making *k, enum usage_field f, const char *text)
{
	k->row->text[f] = text != NULL ? arena_copy(&k->w->arena, (struct span){ text, strlen(text) + 1 }).p : NULL;
}

static void put_int(const struct making *k, enum usage_field f, int64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, v);
	put(k, f, text);
}

static void put_count(const struct making *k, enum usage_field f, int64_t v)
{
	if (v >= 0)
		put_int(k, f, v);
}

const char *usage_point_text(const struct forecast_point *p, char buf[TIME_TEXT])
{
	switch (p->when) {
	case FORECAST_AT:
		return time_text(p->at_ms, buf);
	case FORECAST_REACHED:
		return "reached";
	case FORECAST_NOT:
		return "not at this rate";
	case FORECAST_NONE:
		break;
	}
	return NULL;
}

// What each pack gave this service in the month, and what is left of it for all.
static char *packs_json(const struct usage_month *m, uint32_t service)
{
	const struct terms_service *t = &m->terms->services[service];
	const struct settled_line *s = &m->settled[service];
	char *text = NULL, at[TIME_TEXT];
	size_t n = 0;
	FILE *f = xmemstream(&text, &n);
	fputc('[', f);
	for (uint32_t i = 0; i < t->n_packs; i++) {
		const struct usage_pack *p = &m->packs[t->packs[i]];
		int64_t gave = m->any_settled ? 0 : m->taking.services[service].pack_calls[i];
		for (uint32_t k = 0; k < s->n_packs && s->revision >= 0; k++)
			gave = span_eq(s->packs[k].id, p->pack->id) ? s->packs[k].calls : gave;
		fprintf(f, "%s{\"id\":\"%.*s\",\"calls\":%" PRId64 ",\"left\":", i > 0 ? "," : "", (int)p->pack->id.n, p->pack->id.p, gave);
		if (p->left >= 0)
			fprintf(f, "%" PRId64, p->left);
		else
			fputs("null", f);
		if (p->has_forecast)
			fprintf(f, ",\"ends\":\"%s\"", usage_point_text(&p->end, at));
		fputc('}', f);
	}
	fputc(']', f);
	xmemstream_close(f);
	return text;
}

static void put_forecast(const struct making *k, const struct forecast_line *f)
{
	char text[MONEY_TEXT], at[TIME_TEXT];
	put(k, USAGE_clock, time_text(k->w->clock_ms, at));
	put(k, USAGE_free_ends, usage_point_text(&f->free_end, at));
	put(k, USAGE_next_tier, usage_point_text(&f->next_tier, at));
	put_int(k, USAGE_month_calls, f->bill.calls);
	put(k, USAGE_month_charge, money_fen_text(f->bill.charge_fen, text));
}

static void put_priced(const struct making *k, const struct usage_month *m)
{
	const struct usage_line *l = &k->row->line;
	const struct terms_service *t = &m->terms->services[k->row->service];
	CLEANUP(freep) char *packs = packs_json(m, k->row->service);
	char text[MONEY_TEXT];
	put_int(k, USAGE_free_left, l->free_left);
	put_int(k, USAGE_tier, (int64_t)l->bill.tier + 1);
	put_count(k, USAGE_to_next_tier, l->to_next_tier);
	put(k, USAGE_unit_price, money_price_text(l->bill.unit_price_micro, text));
	put_int(k, USAGE_per, t->plan->per);
	put(k, USAGE_charge, money_fen_text(l->bill.charge_fen, text));
	put_int(k, USAGE_free, l->free);
	put(k, USAGE_packs, packs);
	put_int(k, USAGE_billable, l->billable);
	put(k, USAGE_shared, t->shared >= 0 ? m->terms->shared[t->shared].id : NULL);
	if (t->contract.n > 0) {
		CLEANUP(freep) char *contract = xstrndup(t->contract.p, t->contract.n);
		put(k, USAGE_contract, contract);
	}
	put_count(k, USAGE_revision, l->revision);
	if (l->settled)
		put(k, USAGE_adjusted, money_fen_text(l->adjusted_fen, text));
	if (l->has_forecast)
		put_forecast(k, &l->forecast);
}

enum error_class usage_row_make(struct usage_world *w, struct usage_month *m, const struct usage_counter *c, struct usage_row *ret, struct error *e)
{
	const struct catalog *book = w->frame.rules->catalog;
	const struct making k = { w, ret };
	char month[MONTH_TEXT];
	*ret = (struct usage_row){ 0 };
	put(&k, USAGE_account, c->account);
	put(&k, USAGE_service, c->service);
	put(&k, USAGE_period, month_text(c->month, month));
	put_int(&k, USAGE_calls, c->calls);
	put_int(&k, USAGE_late, c->late);
	put(&k, USAGE_currency, catalog_currency(book));
	if (!catalog_find_id(book, span_of(c->service), &ret->service) || m->terms->services[ret->service].plan == NULL) {
		put(&k, USAGE_charge, "0.00"); // a month at price 0
		return ERROR_NONE;
	}
	CLEANUP(freep) struct rating_slice *slices = xcalloc(2 * RATING_MAX_SLICES, sizeof(*slices)); // two bills
	if (!usage_line_make(w, m, ret->service, slices, &ret->line))
		return error_set(e, ERROR_HALT, 0, "the bill of %s %s is too large for exact figures", c->account, c->service);
	ret->line.bill.slices = ret->line.forecast.bill.slices = NULL; // only their sums are shown
	put_priced(&k, m);
	return ERROR_NONE;
}

// ---- JSON

enum kind { KIND_TEXT, KIND_NUMBER, KIND_AMOUNT, KIND_RAW };
static const struct {
	const char *name;
	enum kind kind;
} fields[] = {
#define USAGE_FIELD(id, kind, people, help) { #id, KIND_##kind },
#include "tbl/usage.def"
#undef USAGE_FIELD
};

static void json_text(const char *text, FILE *to)
{
	json_t *j = json_stringn_nocheck(text, strlen(text));
	int failed = json_dumpf(j, to, JSON_ENCODE_ANY | JSON_COMPACT);
	check(failed == 0);
	json_decref(j);
}

void usage_row_json(const struct usage_row *r, uint32_t n, FILE *to)
{
	fputs(n == 0 ? "[\n{" : ",\n{", to);
	for (int i = 0; i < USAGE_FIELDS; i++) {
		fprintf(to, "%s\"%s\":", i > 0 ? "," : "", fields[i].name);
		if (r->text[i] == NULL)
			fputs("null", to);
		else if (fields[i].kind == KIND_NUMBER || fields[i].kind == KIND_RAW)
			fputs(r->text[i], to);
		else
			json_text(r->text[i], to);
	}
	fputc('}', to);
}

void usage_rows_end(uint32_t n, FILE *to)
{
	fputs(n > 0 ? "\n]\n" : "[]\n", to);
}
