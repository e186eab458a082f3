// SPDX-License-Identifier: Apache-2.0
// Papers of published documents, one behind the other, and an account's sum.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/explain.h"
#include "base/figure.h"
#include "tools/paper_inner.h"

const char *explain_keep_span(const struct explain *x, struct span s)
{
	char *p = arena_alloc(x->arena, s.n + 1);
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

static const char *text_of(const struct published_document *d, const char *name)
{
	return json_string_value(json_object_get(d->data, name));
}

// The book whose hash the document names must be the one that the control topic has for it.
static bool same_book(const struct published_document *d, const struct rules *rules)
{
	const char *sha256 = text_of(d, "catalog_sha256");
	if (sha256 == NULL || strcmp(sha256, catalog_sha256(rules->catalog)) == 0)
		return true;
	fprintf(stderr, "meterctl explain: %s names price book %.12s…, and its month was closed under %.12s…\n", d->id, sha256,
		catalog_sha256(rules->catalog));
	return false;
}

int explain_document(struct explain *x, const struct published_document *d, explain_terms_fn *terms, void *ctx, FILE *to)
{
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	struct paper p = { .lang = x->lang, .slices = slices };
	const struct terms *t = NULL;
	uint32_t service = 0;
	char why[200];
	int wrong = 0;
	if (!paper_of_data(d->data, x->arena, &p, why)) {
		fprintf(stderr, "meterctl explain: %s: %s\n", d->id, why);
		return -1;
	}
	if (terms(ctx, d, &t, &x->rules) && catalog_find_id(x->rules->catalog, span_of(d->service), &service)) {
		wrong = same_book(d, x->rules) ? 0 : 1;
		explain_terms(x, d, t, service, &p);
	} else {
		fprintf(stderr, "meterctl explain: %s: the control topic names no terms for it; it is explained by itself\n", d->id);
	}
	if (x->papers++ > 0)
		fputc('\n', to);
	return wrong + paper_write(to, &p);
}

// All revisions of one line up to the one that the statement names.
static int explain_line(struct explain *x, const struct published_document *newest, explain_terms_fn *terms, void *ctx, FILE *to)
{
	int wrong = 0;
	for (int64_t r = 0; r <= newest->revision && wrong >= 0; r++) {
		const struct published_document *d = published_find(x->published, newest->account, newest->service, newest->month, r);
		if (d == NULL)
			continue;
		int one = explain_document(x, d, terms, ctx, to);
		wrong = one < 0 ? -1 : wrong + one;
	}
	return wrong;
}

static const struct published_document *line_of(const struct explain *x, const struct published_document *bill, size_t i)
{
	const char *id = json_string_value(json_array_get(json_object_get(bill->data, "lines"), i));
	return id != NULL ? published_by_id(x->published, id) : NULL;
}

struct sums {
	int64_t charge, unfreeze, freeze;
	bool good;
};

static bool add(const struct published_document *d, const char *name, int64_t *sum)
{
	int64_t fen;
	return figure_fen(text_of(d, name), &fen) && !__builtin_add_overflow(*sum, fen, sum);
}

static const char *or_nothing(const char *text)
{
	return text != NULL ? text : "?";
}

// What the lines come to, against what the statement says.
static int explain_sum(struct explain *x, const struct published_document *bill, FILE *to)
{
	struct paper p = { .lang = x->lang };
	struct paper_writer w = { .to = to, .p = &p };
	struct sums s = { .good = true };
	size_t n = json_array_size(json_object_get(bill->data, "lines"));
	if (x->papers++ > 0)
		fputc('\n', to);
	paper_put(to, x->lang, PAPER_ACCOUNT, PAPER_ARGS(bill->account, bill->period, COUNT(bill->revision), COUNT((int64_t)n)));
	fputs("\n\n", to);
	for (size_t i = 0; i < n; i++) {
		const struct published_document *d = line_of(x, bill, i);
		s.good = s.good && d != NULL && add(d, "charge", &s.charge) && add(d, "unfreeze", &s.unfreeze) && add(d, "freeze", &s.freeze);
		if (d != NULL)
			paper_step(&w, ACCOUNT_LINE, d->service, or_nothing(text_of(d, "charge")), or_nothing(text_of(d, "unfreeze")),
				   or_nothing(text_of(d, "freeze")));
	}
	paper_step(&w, ACCOUNT_FROZEN, FEN(s.unfreeze), FEN(s.freeze));
	paper_must_be(&w, s.good && strcmp(FEN(s.unfreeze), or_nothing(text_of(bill, "unfreeze"))) == 0, PAPER_IS_UNFREEZE, FEN(s.unfreeze),
		      or_nothing(text_of(bill, "unfreeze")));
	paper_must_be(&w, s.good && strcmp(FEN(s.freeze), or_nothing(text_of(bill, "freeze"))) == 0, PAPER_IS_FREEZE, FEN(s.freeze),
		      or_nothing(text_of(bill, "freeze")));
	paper_must_be(&w, s.good && strcmp(FEN(s.charge), or_nothing(text_of(bill, "charge"))) == 0, PAPER_IS_CHARGE, FEN(s.charge),
		      or_nothing(text_of(bill, "charge")));
	fputc('\n', to);
	paper_put(to, x->lang, PAPER_TOTAL, PAPER_ARGS(FEN(s.charge), or_nothing(text_of(bill, "currency"))));
	fputc('\n', to);
	return w.wrong;
}

int explain_month(struct explain *x, const struct published_document *bill, const char *service, explain_terms_fn *terms, void *ctx, FILE *to)
{
	int wrong = 0, lines = 0;
	size_t n = json_array_size(json_object_get(bill->data, "lines"));
	for (size_t i = 0; i < n && wrong >= 0; i++) {
		const struct published_document *d = line_of(x, bill, i);
		if (d == NULL || d->service == NULL || (service != NULL && strcmp(service, d->service) != 0))
			continue;
		int one = explain_line(x, d, terms, ctx, to);
		wrong = one < 0 ? -1 : wrong + one;
		lines++;
	}
	if (service != NULL && lines == 0)
		fprintf(stderr, "meterctl explain: account %s has no line for %s in %s\n", bill->account, service, bill->period);
	if (wrong < 0 || service != NULL)
		return lines == 0 ? -1 : wrong;
	return wrong + explain_sum(x, bill, to);
}
