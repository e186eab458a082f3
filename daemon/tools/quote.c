// SPDX-License-Identifier: Apache-2.0
// meterctl quote: the bill of N calls, offline: the fields `calls` to `currency` of a settlement.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/quote_case.h"
#include "tools/tools.h"

static char *packs_json(const struct quote_case *q)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = xmemstream(&text, &n);
	fputc('[', f);
	for (uint32_t i = 0; i < q->n_given; i++) {
		fputs(i > 0 ? ",{\"id\":" : "{\"id\":", f);
		output_json_string(f, q->given[i].id);
		fprintf(f, ",\"calls\":%" PRId64 "}", q->given[i].calls);
	}
	fputc(']', f);
	xmemstream_close(f);
	return text;
}

static char *slices_json(const struct bill *b)
{
	char *text = NULL, price[MONEY_TEXT], amount[MONEY_TEXT];
	size_t n = 0;
	FILE *f = xmemstream(&text, &n);
	fputc('[', f);
	for (uint32_t i = 0; i < b->n_slices; i++) {
		const struct rating_slice *s = &b->slices[i];
		fprintf(f, "%s{\"tier\":%u,\"calls\":%" PRId64 ",\"unit_price\":\"%s\",\"amount\":\"%s\"}", i > 0 ? "," : "", s->tier + 1,
			s->calls, money_price_text(s->price_micro, price), money_amount_text(s->amount, amount));
	}
	fputc(']', f);
	xmemstream_close(f);
	return text;
}

enum { COLUMNS_MOST = 12 };

// The fields calls to currency of a settlement; under a contract also which, and what the price list charges.
static int columns_of(const struct quote_case *q, struct output_column ret[COLUMNS_MOST])
{
	static const struct output_column before[] = { { "calls", OUTPUT_NUMBER }, { "free", OUTPUT_NUMBER }, { "packs", OUTPUT_RAW },
		{ "billable", OUTPUT_NUMBER } };
	static const struct output_column by_tier[] = { { "tier", OUTPUT_NUMBER }, { "unit_price", OUTPUT_AMOUNT } }, by_slice[] = { { "slices", OUTPUT_RAW } };
	static const struct output_column behind[] = { { "per", OUTPUT_NUMBER }, { "exact", OUTPUT_AMOUNT }, { "charge", OUTPUT_AMOUNT },
		{ "currency", OUTPUT_TEXT }, { "contract", OUTPUT_TEXT }, { "list_charge", OUTPUT_AMOUNT } };
	bool sliced = q->plan != NULL && q->plan->model != MODEL_VOLUME;
	size_t n = ARRAY_LEN(before), middle = sliced ? ARRAY_LEN(by_slice) : ARRAY_LEN(by_tier), last = ARRAY_LEN(behind) - (q->contract == NULL ? 2 : 0);
	memcpy(ret, before, sizeof(before));
	memcpy(ret + n, sliced ? by_slice : by_tier, middle * sizeof(*ret));
	memcpy(ret + n + middle, behind, last * sizeof(*ret));
	return (int)(n + middle + last);
}

static bool print_quote(const struct options *o, const struct quote_case *q)
{
	const struct bill *b = &q->bill;
	bool sliced = q->plan != NULL && q->plan->model != MODEL_VOLUME;
	CLEANUP(freep) char *packs = packs_json(q);
	CLEANUP(freep) char *slices = slices_json(b);
	char text[MONEY_TEXT];
	struct output_column columns[COLUMNS_MOST];
	int n = columns_of(q, columns);
	CLEANUP(output_freep) struct output *out = output_begin(stdout, o->format, OUTPUT_ONE, columns, n);
	output_int(out, b->calls);
	output_int(out, b->free);
	output_cell(out, packs);
	output_int(out, b->billable);
	if (sliced) {
		output_cell(out, slices);
	} else {
		output_int(out, b->tier + 1);
		output_cell(out, money_price_text(b->unit_price_micro, text));
	}
	output_int(out, q->plan != NULL ? q->plan->per : 1);
	output_cell(out, money_amount_text(b->exact, text));
	output_cell(out, money_fen_text(b->charge_fen, text));
	output_cell(out, catalog_currency(q->book));
	if (q->contract != NULL) {
		output_cell(out, q->contract);
		output_cell(out, money_fen_text(q->list_bill.charge_fen, text));
	}
	return output_end(&out);
}

int tool_quote(int argc, char **argv)
{
	CLEANUP(quote_case_close) struct quote_case q = { 0 };
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	struct option_row rows[QUOTE_ROWS];
	quote_case_rows(&q, rows);
	int code = options_parse(&o, argc, argv, rows, QUOTE_ROWS, NULL, 0, 0);
	if (code != OPTIONS_GO_ON || (code = quote_case_rate(&o, &q)) != OPTIONS_GO_ON)
		return code;
	return print_quote(&o, &q) ? EXIT_DONE : EXIT_LATER;
}
