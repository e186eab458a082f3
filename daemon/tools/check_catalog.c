// SPDX-License-Identifier: Apache-2.0
// meterctl check-catalog: every error of a price book, or which prices apply from when.
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "tools/quote_case.h"
#include "tools/tools.h"

static const struct output_column columns[] = { { "service", OUTPUT_TEXT }, { "name", OUTPUT_TEXT }, { "from", OUTPUT_TEXT },
	{ "model", OUTPUT_TEXT }, { "per", OUTPUT_NUMBER }, { "bounds", OUTPUT_TEXT }, { "tier_basis", OUTPUT_TEXT },
	{ "free", OUTPUT_NUMBER }, { "prices", OUTPUT_TEXT }, { "end", OUTPUT_TEXT }, { "shares", OUTPUT_TEXT } };

// "0: 2.5, 1000000: 2.2 + 10"
static char *prices_text(const struct plan *p)
{
	char *text = NULL, price[MONEY_TEXT];
	size_t n = 0;
	FILE *f = xmemstream(&text, &n);
	for (uint32_t i = 0; i < p->n_tiers; i++) {
		const struct price_tier *t = &p->tiers[i];
		fprintf(f, "%s%" PRId64 ": %s", i > 0 ? ", " : "", t->bound, money_price_text(t->price_micro, price));
		if (t->flat_micro != 0)
			fprintf(f, " + %s", money_price_text(t->flat_micro, price));
	}
	xmemstream_close(f);
	return text;
}

static void print_plan(struct output *out, const struct catalog *c, uint32_t s, int month)
{
	const struct plan *p = month == MONTH_NONE ? NULL : catalog_plan(c, s, month);
	int64_t end_ms = catalog_service_end_ms(c, s);
	char from[MONTH_TEXT], end[TIME_TEXT];
	struct free_calls free;
	output_cell(out, catalog_service_id(c, s));
	output_cell(out, catalog_service_name(c, s));
	output_cell(out, month == MONTH_NONE ? NULL : month_text(month, from));
	output_cell(out, p != NULL ? pricing_model_text(p->model) : "free");
	if (p == NULL) {
		for (int i = 0; i < 3; i++)
			output_cell(out, NULL);
		if (month != MONTH_NONE && catalog_free_calls(c, s, month, &free)) // of those whom a contract charges
			output_int(out, free.calls);
		else
			output_cell(out, NULL);
		output_cell(out, NULL);
	} else {
		CLEANUP(freep) char *prices = prices_text(p);
		output_int(out, p->model == MODEL_PACKAGE ? p->package : p->per);
		output_cell(out, bounds_text(p->bounds));
		output_cell(out, tier_basis_text(p->tier_basis));
		output_int(out, p->quota);
		output_cell(out, prices);
	}
	output_cell(out, end_ms == INT64_MAX ? NULL : time_text(end_ms, end));
	int shared = catalog_service_quota(c, s);
	output_cell(out, shared >= 0 ? catalog_shared_quota_id(c, (uint32_t)shared) : NULL);
}

// Free calls that services share, like a service of their own; `shares` names the services.
static void print_shared(struct output *out, const struct catalog *c, uint32_t index, int month)
{
	struct shared_quota q = { .n_services = 0 };
	char from[MONTH_TEXT], *names = NULL;
	size_t n = 0;
	bool any = catalog_shared_quota(c, index, month, &q);
	FILE *f = xmemstream(&names, &n);
	for (uint32_t i = 0; i < q.n_services; i++)
		fprintf(f, "%s%s", i > 0 ? " " : "", catalog_service_id(c, q.services[i]));
	xmemstream_close(f);
	output_cell(out, catalog_shared_quota_id(c, index));
	output_cell(out, NULL);
	output_cell(out, month_text(month, from));
	output_cell(out, "shared");
	for (int i = 0; i < 3; i++)
		output_cell(out, NULL);
	output_int(out, any ? q.calls : 0);
	output_cell(out, NULL);
	output_cell(out, NULL);
	output_cell(out, any ? names : NULL);
	free(names);
}

static bool print_book(const struct options *o, const struct catalog *c)
{
	CLEANUP(output_freep) struct output *out = output_begin(stdout, o->format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t s = 0; s < catalog_services(c); s++) {
		int month = catalog_next_change(c, s, MONTH_NONE);
		if (month == MONTH_NONE)
			print_plan(out, c, s, MONTH_NONE);
		for (; month != MONTH_NONE; month = catalog_next_change(c, s, month))
			print_plan(out, c, s, month);
	}
	for (uint32_t i = 0; i < catalog_shared_quotas(c); i++)
		for (int month = catalog_shared_next_change(c, i, MONTH_NONE); month != MONTH_NONE; month = catalog_shared_next_change(c, i, month))
			print_shared(out, c, i, month);
	return output_end(&out);
}

int tool_check_catalog(int argc, char **argv)
{
	const char *words[1];
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(catalog_freep) struct catalog *c = NULL;
	int code = options_parse(&o, argc, argv, NULL, 0, words, 1, 1);
	if (code != OPTIONS_GO_ON || (code = quote_catalog(&o, words[0], &c)) != OPTIONS_GO_ON)
		return code;
	fprintf(stderr, "%s: no errors; version %s, %s, months in %s, rounding %s, freeze by %s, packs by %s\n", words[0], catalog_version(c),
		catalog_currency(c), zone_name(catalog_zone(c)), catalog_rounding_text(c), freeze_basis_text(catalog_freeze_basis(c)),
		pack_order_text(catalog_pack_order(c)));
	return print_book(&o, c) ? EXIT_DONE : EXIT_LATER;
}
