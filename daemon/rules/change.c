// SPDX-License-Identifier: Apache-2.0
#include "rules/change.h"

#include <string.h>

#include "base/check.h"

static const char ADVICE[] = "set it back, or make a new state (meterctl init with another redis.prefix) that counts everything from the start";

static void check_settings(const struct rules_settings *a, const struct rules_settings *b, struct faults *f)
{
	if (a->clock != b->clock)
		fault_add(f, "rules", 0, 0, "`clock` cannot change while counters stand: %s", ADVICE);
	if (a->close_grace_ms != b->close_grace_ms)
		fault_add(f, "rules", 0, 0, "`close.grace` cannot change while counters stand, since it says which calls are late: %s", ADVICE);
	if (a->dedupe != b->dedupe || a->generation_bits != b->generation_bits || a->generations != b->generations ||
	    a->dedupe_max_age_ms != b->dedupe_max_age_ms)
		fault_add(f, "rules", 0, 0, "`dedupe` cannot change while counters stand, since it says which calls are duplicates: %s", ADVICE);
}

static bool same_plan(const struct plan *a, const struct plan *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->model != b->model || a->bounds != b->bounds || a->tier_basis != b->tier_basis || a->per != b->per || a->package != b->package ||
	    a->fee_at_zero != b->fee_at_zero || a->n_tiers != b->n_tiers)
		return false;
	for (uint32_t i = 0; i < a->n_tiers; i++)
		if (a->tiers[i].bound != b->tiers[i].bound || a->tiers[i].price_micro != b->tiers[i].price_micro ||
		    a->tiers[i].flat_micro != b->tiers[i].flat_micro)
			return false;
	return true;
}

// Free calls that the service shares in that month, 0 for none; members are compared by their ids.
static int64_t shared_calls(const struct catalog *c, uint32_t service, int month, struct shared_quota *q)
{
	int i = catalog_service_quota(c, service);
	return i >= 0 && catalog_shared_quota(c, (uint32_t)i, month, q) ? q->calls : 0;
}

static bool same_shared(const struct catalog *a, const struct catalog *b, uint32_t in_a, uint32_t in_b, int month)
{
	struct shared_quota x = { 0 }, y = { 0 };
	int64_t calls = shared_calls(a, in_a, month, &x);
	if (calls != shared_calls(b, in_b, month, &y))
		return false;
	if (calls == 0)
		return true;
	if (x.first_month != y.first_month || x.n_services != y.n_services)
		return false;
	for (uint32_t i = 0; i < x.n_services; i++)
		if (strcmp(catalog_service_id(a, x.services[i]), catalog_service_id(b, y.services[i])) != 0)
			return false;
	return true;
}

// Of a price list at 0 too: a contract may charge.
static bool same_free(const struct catalog *a, const struct catalog *b, uint32_t in_a, uint32_t in_b, int month)
{
	struct free_calls x = { 0 }, y = { 0 };
	catalog_free_calls(a, in_a, month, &x);
	catalog_free_calls(b, in_b, month, &y);
	return x.calls == y.calls && x.first_month == y.first_month;
}

bool catalogs_price_alike(const struct catalog *a, const struct catalog *b, uint32_t in_a, int month)
{
	uint32_t in_b = 0;
	return catalog_find_id(b, span_of(catalog_service_id(a, in_a)), &in_b) &&
	       same_plan(catalog_plan(a, in_a, month), catalog_plan(b, in_b, month)) && same_free(a, b, in_a, in_b, month) &&
	       same_shared(a, b, in_a, in_b, month);
}

// The last settled month whose price would change; MONTH_NONE: none. Prices change only at the catalogs' own dates: those and the
// settled month itself are all there is to look at.
static int settled_change(const struct catalog *a, const struct catalog *b, uint32_t service, int settled)
{
	uint32_t in_b = 0;
	check(catalog_find_id(b, span_of(catalog_service_id(a, service)), &in_b));
	for (int month = settled; month >= MONTH_FIRST && month > settled - 120; month--)
		if (!catalogs_price_alike(a, b, service, month))
			return month;
	return MONTH_NONE;
}

static void check_services(const struct catalog *a, const struct catalog *b, int settled, struct faults *f)
{
	char month[MONTH_TEXT];
	for (uint32_t i = 0; i < catalog_services(a); i++) {
		const char *id = catalog_service_id(a, i);
		uint32_t in_b = 0;
		if (!catalog_find_id(b, span_of(id), &in_b)) {
			fault_add(f, "rules", 0, 0, "service `%s` is gone: services never vanish; put it back and give it an `end`", id);
			continue;
		}
		int changed = settled != MONTH_NONE ? settled_change(a, b, i, settled) : MONTH_NONE;
		if (changed != MONTH_NONE)
			fault_add(f, "rules", 0, 0, "service `%s` has another price or quota in %s, which is settled: leave that month as it was and let "
				  "the change begin with a later month", id, month_text(changed, month));
	}
}

bool rules_may_follow(const struct rules *from, const struct rules *to, int settled, struct faults *faults)
{
	size_t before = faults->n;
	const char *zone_a = zone_name(catalog_zone(from->catalog)), *zone_b = zone_name(catalog_zone(to->catalog));
	check_settings(&from->settings, &to->settings, faults);
	if (strcmp(zone_a, zone_b) != 0)
		fault_add(faults, "rules", 0, 0, "`time_zone` cannot change from %s to %s while counters stand: %s", zone_a, zone_b, ADVICE);
	if (strcmp(catalog_currency(from->catalog), catalog_currency(to->catalog)) != 0)
		fault_add(faults, "rules", 0, 0, "`currency` cannot change from %s to %s while counters stand: %s", catalog_currency(from->catalog),
			  catalog_currency(to->catalog), ADVICE);
	check_services(from->catalog, to->catalog, settled, faults);
	return faults->n == before;
}
