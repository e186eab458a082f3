// SPDX-License-Identifier: Apache-2.0
// A price book. What is refused says why, with a place that exists; what is accepted can be asked everything: bills, freezes and
// ladders over counts around every bound, without overflow, and through the form in which the control topic carries it.
// seeds: tests/table/catalog_faults config
// most: 12000
#include "base/fault.h"
#include "fuzz.h"
#include "ladder/ladder.h"
#include "rating/rating.h"
#include "rules/rules.h"

static struct rating_slice slices[RATING_MAX_SLICES];

static void check_bill(const struct catalog *c, const struct plan *p, int64_t calls)
{
	struct bill b = { 0 };
	int64_t freeze = 0;
	if (calls < 0 || !rating_bill(p, p->quota, calls, NULL, 0, catalog_rounding(c), slices, &b))
		return; // an overflow is an error, never a number
	fuzz_check(b.calls == calls && b.calls == b.free + b.billable && b.free <= p->quota);
	fuzz_check(b.exact >= 0 && b.charge_fen >= 0 && b.n_slices <= RATING_MAX_SLICES && b.tier < p->n_tiers);
	amount_pico sum = 0;
	for (uint32_t i = 0; i < b.n_slices; i++)
		sum += b.slices[i].amount;
	fuzz_check(b.n_slices == 0 || sum == b.exact);
	fuzz_check(!rating_freeze(p, catalog_freeze_basis(c), catalog_freeze_ratio_micro(c), &b, catalog_rounding(c), &freeze) || freeze >= 0);
}

static void check_plan(const struct catalog *c, const struct plan *p)
{
	CLEANUP(ladder_freep) struct ladder *l = ladder_of_plan(p, p->quota, p->warn_micro);
	fuzz_check(p->n_tiers >= 1 && p->tiers[0].bound == 0 && p->per >= 1);
	for (uint32_t i = 0; i < l->n; i++) {
		fuzz_check(l->rungs[i].at >= 1 && (i == 0 || l->rungs[i].at >= l->rungs[i - 1].at));
		fuzz_check(ladder_next(l, l->rungs[i].at) > i && ladder_next(l, l->rungs[i].at - 1) <= i);
		for (int64_t d = -1; d <= 1 && i < 32; d++)
			check_bill(c, p, l->rungs[i].at + d);
	}
	static const int64_t counts[] = { 0, 1, 1000, 123456789, INT64_C(1) << 53, INT64_MAX };
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		check_bill(c, p, counts[i]);
}

static void check_service(const struct catalog *c, uint32_t k)
{
	uint32_t found = UINT32_MAX;
	struct span id = span_of(catalog_service_id(c, k));
	fuzz_check(catalog_find_id(c, id, &found) && found == k);
	int64_t begin = catalog_service_begin_ms(c, k), end = catalog_service_end_ms(c, k);
	fuzz_check(begin < end);
	found = UINT32_MAX;
	fuzz_check(catalog_find(c, id, begin != TIME_NONE ? begin : end - 1, &found) == SERVICE_OK && found == k);
	fuzz_check(end == INT64_MAX || catalog_find(c, id, end, &found) == SERVICE_ENDED);
	int after = MONTH_NONE;
	for (int n = 0; n < 8 && (after = catalog_next_change(c, k, after)) != MONTH_NONE; n++) {
		const struct plan *p = catalog_plan(c, k, after);
		if (p != NULL)
			check_plan(c, p);
	}
}

static void check_carried(struct span text)
{
	const struct rules_settings s = { .fields = { "id", "account", "service", "time", "calls", "status", "items" },
		.max_future_ms = 300000, .generation_bits = 16, .generations = 240, .dedupe_max_age_ms = 259200000, .dedupe = true,
		.close_grace_ms = 86400000, .clock = CLOCK_WALL, .lead_ms = 600000 };
	struct faults faults = { 0 };
	struct error e = { 0 };
	CLEANUP(rules_freep) struct rules *a = rules_new(&s, "book.yaml", text, &faults), *b = NULL;
	fuzz_check(a != NULL && faults.n == 0);
	CLEANUP(freep) char *json = rules_to_json(a);
	fuzz_check(rules_from_json(span_of(json), &b, &e) == ERROR_NONE);
	fuzz_check(strcmp(a->sha256, b->sha256) == 0 && strcmp(catalog_sha256(a->catalog), catalog_sha256(b->catalog)) == 0);
}

static void check_faults(const struct faults *f, struct span text)
{
	CLEANUP(freep) char *shown = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&shown, &n);
	fuzz_check(f->n > 0);
	for (size_t i = 0; i < f->n; i++)
		fuzz_check(f->list[i].text[0] != '\0' && fuzz_printable(f->list[i].text));
	faults_print(f, text, to);
	fclose(to);
	fuzz_check(n > 0);
}

FUZZ(s)
{
	struct faults faults = { 0 };
	CLEANUP(catalog_freep) struct catalog *c = catalog_parse("book.yaml", s, &faults);
	if (c == NULL) {
		check_faults(&faults, s);
		faults_free(&faults);
		return;
	}
	fuzz_check(faults.n == 0);
	for (uint32_t i = 0; i < catalog_services(c); i++)
		check_service(c, i);
	check_carried(s);
}
