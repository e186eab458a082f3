// SPDX-License-Identifier: Apache-2.0
#include "tools/quote_case.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/yaml.h"

enum { CATALOG_MOST = 4 * 1024 * 1024, IDS_SHOWN = 600 };

void quote_case_rows(struct quote_case *q, struct option_row rows[QUOTE_ROWS])
{
	q->calls = -1;
	const struct option_row all[QUOTE_ROWS] = {
		{ "catalog", OPTION_TEXT, &q->catalog_file, "FILE", "the price book" },
		{ "service", OPTION_TEXT, &q->service_text, "ID", "service id, or an alias such as DetectLabel" },
		{ "calls", OPTION_INT, &q->calls, "N", "counted calls of the month" },
		{ "account", OPTION_TEXT, &q->account, "A", "whose bill it would be; list prices hold for all" },
		{ "period", OPTION_TEXT, &q->period_text, "YYYY-MM", "the month; the present one" },
		{ "packs", OPTION_TEXT, &q->packs_text, "N,N,…", "calls left in prepaid packs, in order of deduction" },
		{ "activated", OPTION_FLAG, &q->activated, NULL, "the month of activation: no free calls with `first_month: next`" },
	};
	memcpy(rows, all, sizeof(all));
}

int quote_catalog(const struct options *o, const char *path, struct catalog **ret)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct faults faults = { 0 };
	if (file_read(path, CATALOG_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl %s: %s: %s\n", o->verb, path, e.text);
		return EXIT_CONFIG_ERR;
	}
	struct catalog *c = catalog_parse(path, (struct span){ text, n }, &faults);
	faults_print(&faults, (struct span){ text, n }, stderr);
	if (faults.n > 0)
		fprintf(stderr, "%s: %zu error%s\n", path, faults.n, faults.n == 1 ? "" : "s");
	faults_free(&faults);
	if (c == NULL)
		return EXIT_CONFIG_ERR;
	*ret = c;
	return OPTIONS_GO_ON;
}

static int read_month(const struct options *o, struct quote_case *q)
{
	const struct zone *z = catalog_zone(q->catalog);
	if (q->period_text == NULL)
		q->month = period_month(z, clock_wall_ms());
	else if (!month_parse(span_of(q->period_text), &q->month))
		return options_usage(o, "--period `%s` is no month: write it such as 2020-01", q->period_text);
	if (q->month == MONTH_NONE)
		return options_usage(o, "give --period: the clock of this machine is beyond 2199-12");
	return OPTIONS_GO_ON;
}

static void known_ids(const struct catalog *c, char buf[IDS_SHOWN])
{
	size_t at = 0;
	buf[0] = '\0';
	for (uint32_t i = 0; i < catalog_services(c) && at + 80 < IDS_SHOWN; i++)
		at += (size_t)snprintf(buf + at, IDS_SHOWN - at, "%s%s", i > 0 ? ", " : "", catalog_service_id(c, i));
}

// An id at any time, an alias if it is in force at the beginning of the month.
static int read_service(const struct options *o, struct quote_case *q)
{
	const struct catalog *c = q->catalog;
	int64_t start = period_start_ms(catalog_zone(c), q->month);
	char ids[IDS_SHOWN], month[MONTH_TEXT];
	CLEANUP(freep) const char **known = xcalloc(catalog_services(c) + 1, sizeof(*known));
	for (uint32_t i = 0; i < catalog_services(c); i++)
		known[i] = catalog_service_id(c, i);
	struct span name = span_of(q->service_text);
	if (!catalog_find_id(c, name, &q->service) && catalog_find(c, name, start, &q->service) == SERVICE_UNKNOWN) {
		const char *near = nearest_word(q->service_text, known);
		if (near != NULL)
			return options_usage(o, "--service `%s` is unknown: did you mean `%s`?", q->service_text, near);
		known_ids(c, ids);
		return options_usage(o, "--service `%s` is unknown in %s: use one of %s", q->service_text, month_text(q->month, month), ids);
	}
	if (catalog_service_in(c, q->service, q->month))
		return OPTIONS_GO_ON;
	const char *next = catalog_service_successor(c, q->service);
	return options_usage(o, "%s does not exist in %s: ask for another month%s%s", catalog_service_id(c, q->service),
			     month_text(q->month, month), next != NULL ? ", or for its successor " : "", next != NULL ? next : "");
}

static int read_packs(const struct options *o, struct quote_case *q)
{
	for (const char *p = q->packs_text; p != NULL; q->n_packs++) {
		size_t n = strcspn(p, ",");
		if (q->n_packs == RATING_MAX_PACKS)
			return options_usage(o, "--packs: at most %d", RATING_MAX_PACKS);
		struct rating_pack *pack = &q->packs[q->n_packs];
		if (!span_int64((struct span){ p, n }, &pack->left) || pack->left < 0)
			return options_usage(o, "--packs takes whole numbers separated by commas, not `%s`", q->packs_text);
		snprintf(q->pack_ids[q->n_packs], sizeof(q->pack_ids[0]), "%u", (q->n_packs + 1) % 1000);
		pack->id = span_of(q->pack_ids[q->n_packs]);
		p = p[n] == ',' ? p + n + 1 : NULL;
	}
	return OPTIONS_GO_ON;
}

static int rate(const struct options *o, struct quote_case *q)
{
	q->plan = catalog_plan(q->catalog, q->service, q->month);
	q->slices = xcalloc(RATING_MAX_SLICES, sizeof(*q->slices));
	if (q->plan == NULL) {
		q->bill = (struct bill){ .calls = q->calls, .billable = q->calls };
		return OPTIONS_GO_ON;
	}
	q->quota = q->activated && q->plan->first_month == FIRST_MONTH_NEXT ? 0 : q->plan->quota;
	if (rating_bill(q->plan, q->quota, q->calls, q->packs, q->n_packs, catalog_rounding(q->catalog), q->slices, &q->bill))
		return OPTIONS_GO_ON;
	return options_usage(o, "the bill of %" PRId64 " calls is larger than an amount can be: ask for fewer", q->calls);
}

int quote_case_rate(const struct options *o, struct quote_case *q)
{
	int code = OPTIONS_GO_ON;
	if (q->catalog_file == NULL || q->service_text == NULL || q->calls < 0)
		return options_usage(o, "--catalog FILE, --service ID and --calls N are needed");
	code = quote_catalog(o, q->catalog_file, &q->catalog);
	if (code == OPTIONS_GO_ON)
		code = read_month(o, q);
	if (code == OPTIONS_GO_ON)
		code = read_service(o, q);
	if (code == OPTIONS_GO_ON)
		code = read_packs(o, q);
	return code == OPTIONS_GO_ON ? rate(o, q) : code;
}

void quote_case_close(struct quote_case *q)
{
	catalog_freep(&q->catalog);
	free(q->slices);
	q->slices = NULL;
}
