// SPDX-License-Identifier: Apache-2.0
// meterctl explain: a bill step by step, either of calls asked for (quote's options) or of a settlement in a file.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "tools/paper.h"
#include "tools/quote_case.h"
#include "tools/tools.h"

enum { SETTLEMENT_MOST = 1024 * 1024 };

static int explain_quote(const struct options *o, struct quote_case *q)
{
	char month[MONTH_TEXT];
	int code = quote_case_rate(o, q);
	if (code != OPTIONS_GO_ON)
		return code;
	const struct bill *b = &q->bill;
	struct paper p = {
		.account = q->account, .service = catalog_service_id(q->catalog, q->service),
		.name = catalog_service_name(q->catalog, q->service), .period = month_text(q->month, month),
		.version = catalog_version(q->catalog), .currency = catalog_currency(q->catalog), .plan = q->plan,
		.free_month = q->plan == NULL, .quota = q->plan != NULL ? q->quota : -1, .calls = b->calls, .free = b->free,
		.billable = b->billable, .n_packs = b->n_packs, .n_slices = b->n_slices,
		.sliced = q->plan != NULL && q->plan->model != MODEL_VOLUME, .slices = q->slices, .tier = b->tier,
		.price_micro = b->unit_price_micro, .per = q->plan != NULL ? q->plan->per : 1,
		.tier_basis = q->plan != NULL ? q->plan->tier_basis : TIER_BY_TOTAL, .rounding = catalog_rounding(q->catalog),
		.exact = b->exact, .charge_fen = b->charge_fen,
	};
	for (uint32_t i = 0; i < b->n_packs; i++)
		p.packs[i] = (struct paper_pack){ q->pack_ids[i], b->pack_calls[i] };
	check(paper_write(stdout, &p) == 0);
	return EXIT_DONE;
}

// What the price book knows beyond the settlement: names, bounds, prices.
static int add_catalog(const struct options *o, const struct catalog *c, struct paper *p)
{
	uint32_t service;
	int month;
	if (!catalog_find_id(c, span_of(p->service), &service) || !month_parse(span_of(p->period), &month))
		return options_usage(o, "the price book knows no service `%.64s` in `%.20s`: give the one that the settlement names (%.64s)",
				     p->service, p->period, p->version);
	if (strcmp(catalog_version(c), p->version) != 0)
		fprintf(stderr, "meterctl explain: the settlement was made by price book %s, this is %s\n", p->version, catalog_version(c));
	p->name = catalog_service_name(c, service);
	p->plan = catalog_plan(c, service, month);
	p->free_month = p->plan == NULL;
	return OPTIONS_GO_ON;
}

static void json_freep(void **json)
{
	json_decref(*json);
	*json = NULL;
}

static int explain_settlement(const struct options *o, const char *file, const char *catalog_file)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	CLEANUP(json_freep) void *json = NULL;
	CLEANUP(catalog_freep) struct catalog *c = NULL;
	struct paper p = { .slices = slices };
	struct error e = { 0 };
	size_t n = 0;
	char why[200];
	if (strcmp(file, "-") == 0)
		file = "/dev/stdin";
	if (file_read(file, SETTLEMENT_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl explain: %s: %s\n", file, e.text);
		return EXIT_CONFIG_ERR;
	}
	if (!paper_of_json(text, n, &p, &json, why)) {
		fprintf(stderr, "meterctl explain: %s: %s\n", file, why);
		return EXIT_CONFIG_ERR;
	}
	int code = catalog_file != NULL ? quote_catalog(o, catalog_file, &c) : OPTIONS_GO_ON;
	if (code == OPTIONS_GO_ON && c != NULL)
		code = add_catalog(o, c, &p);
	if (code != OPTIONS_GO_ON)
		return code;
	int wrong = paper_write(stdout, &p);
	if (wrong > 0)
		fprintf(stderr, "meterctl explain: %d step%s not add up: the settlement was changed, or priced by other rules\n", wrong,
			wrong == 1 ? " does" : "s do");
	return wrong > 0 ? EXIT_FOUND : EXIT_DONE;
}

int tool_explain(int argc, char **argv)
{
	const char *settlement = NULL;
	CLEANUP(quote_case_close) struct quote_case q = { 0 };
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	struct option_row rows[QUOTE_ROWS + 1];
	quote_case_rows(&q, rows);
	rows[QUOTE_ROWS] = (struct option_row){ "settlement", OPTION_TEXT, &settlement, "FILE", "a settlement's event, or its data, as JSON; - for stdin" };
	int code = options_parse(&o, argc, argv, rows, QUOTE_ROWS + 1, NULL, 0, 0);
	if (code != OPTIONS_GO_ON)
		return code;
	return settlement != NULL ? explain_settlement(&o, settlement, q.catalog_file) : explain_quote(&o, &q);
}
