// SPDX-License-Identifier: Apache-2.0
// Prices and free calls of a service: two dated lists in the file, merged here into one list of plans.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "catalog/read.h"

// --- tiers --------------------------------------------------------------------------------------------------------------

// An entry of `prices`, and its list of tiers once there is one: where a flaw is shown.
struct price_nodes {
	struct book_reader *r;
	const struct yaml_node *entry, *tiers;
};

static void price_flaw(void *ctx, enum price_place place, uint32_t tier, const char *text)
{
	const struct price_nodes *x = ctx;
	const struct yaml_node *at = x->entry;
	if (place == PRICE_PER)
		at = yaml_get(x->entry, "per");
	if (place >= PRICE_TIER_LIST)
		at = x->tiers;
	if (place >= PRICE_TIER)
		at = x->tiers->items[tier];
	if (place == PRICE_TIER_FROM || place == PRICE_TIER_TO)
		at = yaml_get(at, place == PRICE_TIER_FROM ? "from" : "to");
	read_fault(x->r, at, "%s", text);
}

static bool read_tier(struct book_reader *r, const struct yaml_node *n, struct price_tier *t, int64_t *end)
{
	static const char *const known[] = { "from", "to", "price", "fee", NULL };
	*end = -1;
	if (!read_is_map(r, n, "a tier"))
		return false;
	yaml_check_keys(n, known, r->file, r->faults);
	const struct yaml_node *from = read_required(r, n, "from", "0"), *price = read_required(r, n, "price", "2.5");
	const struct yaml_node *tier_fee = yaml_get(n, "fee"), *to = yaml_get(n, "to");
	bool ok = from != NULL && read_quantity(r, from, "the tier's `from`", 0, &t->bound);
	ok = price != NULL && read_price(r, price, "the tier's price", &t->price_micro) && ok;
	ok = (to == NULL || read_quantity(r, to, "the tier's `to`", 1, end)) && ok;
	return (tier_fee == NULL || read_price(r, tier_fee, "the tier's fee", &t->flat_micro)) && ok;
}

static bool read_tiers(struct price_nodes *x, struct plan *p)
{
	struct book_reader *r = x->r;
	const struct price_judge judge = { price_flaw, x };
	size_t before = r->faults->n;
	if (!read_is_list(r, x->tiers, "`tiers`") || !price_judge_count(&judge, p->model, x->tiers->n))
		return false;
	uint32_t n = x->tiers->n;
	struct price_tier *tiers = read_alloc(r, n, sizeof(*tiers));
	CLEANUP(freep) int64_t *ends = xcalloc(n, sizeof(*ends));
	bool ok = true;
	for (uint32_t i = 0; i < n; i++)
		ok = read_tier(r, x->tiers->items[i], &tiers[i], &ends[i]) && ok;
	if (ok)
		price_judge_tiers(&judge, tiers, ends, n);
	p->tiers = tiers;
	p->n_tiers = n;
	return r->faults->n == before;
}

// --- an entry of `prices` -----------------------------------------------------------------------------------------------

static void read_per(struct price_nodes *x, struct plan *p)
{
	struct book_reader *r = x->r;
	const struct yaml_node *entry = x->entry;
	const struct yaml_node *per = yaml_get(entry, "per"), *package = yaml_get(entry, "package");
	p->per = 1;
	if (p->model == MODEL_PACKAGE) {
		if (per != NULL)
			read_fault(r, per, "model package has its price per block: remove `per`");
		package = read_required(r, entry, "package", "1000");
		if (package != NULL)
			read_quantity(r, package, "`package`", 1, &p->package);
		return;
	}
	if (package != NULL)
		read_fault(r, package, "only model package has blocks: remove `package`, or write `model: package`");
	per = read_required(r, entry, "per", "1000");
	if (per != NULL && read_quantity(r, per, "`per`", 1, &p->per))
		price_judge_per(&(struct price_judge){ price_flaw, x }, p->per);
}

static void read_amounts(struct price_nodes *x, struct plan *p)
{
	struct book_reader *r = x->r;
	const struct yaml_node *entry = x->entry;
	const struct yaml_node *tiers = yaml_get(entry, "tiers"), *price = yaml_get(entry, "price");
	if (tiers != NULL && price != NULL) {
		read_fault(r, price, "both `price` and `tiers`: keep one of them");
		return;
	}
	if (tiers == NULL && price == NULL) {
		read_fault(r, entry, "neither `tiers` nor `price`: say what the calls cost, or write `model: free`");
		return;
	}
	bool ok;
	if (price != NULL) {
		struct price_tier *t = read_alloc(r, 1, sizeof(*t));
		ok = read_price(r, price, "`price`", &t->price_micro);
		p->tiers = t;
		p->n_tiers = 1;
	} else {
		x->tiers = tiers;
		ok = read_tiers(x, p);
	}
	if (ok)
		price_judge_not_free(&(struct price_judge){ price_flaw, x }, p);
}

static void read_switches(struct book_reader *r, const struct yaml_node *entry, struct plan *p)
{
	const struct yaml_node *n;
	int word;
	if ((n = yaml_get(entry, "bounds")) != NULL && read_choice(r, n, "`bounds`", words_bounds, &word))
		p->bounds = (enum bounds)word;
	if ((n = yaml_get(entry, "tier_basis")) != NULL && read_choice(r, n, "`tier_basis`", words_tier_bases, &word))
		p->tier_basis = (enum tier_basis)word;
	if ((n = yaml_get(entry, "fee_at_zero")) != NULL)
		read_bool(r, n, "`fee_at_zero`", &p->fee_at_zero);
}

static void check_free_entry(struct book_reader *r, const struct yaml_node *entry)
{
	for (uint32_t i = 0; i < entry->n; i++) {
		const struct yaml_node *key = entry->pairs[i].key;
		if (!span_is(key->text, "from") && !span_is(key->text, "model"))
			read_fault(r, key, "model free has no `%s`: remove it", key->text.p);
	}
}

static void read_price_entry(struct book_reader *r, const struct yaml_node *entry, struct dated_plan *d)
{
	static const char *const known[] = { "from", "model", "per", "package", "bounds", "tier_basis", "fee_at_zero", "tiers", "price", NULL };
	d->from = MONTH_NONE;
	if (!read_is_map(r, entry, "an entry of `prices`"))
		return;
	size_t before = r->faults->n;
	yaml_check_keys(entry, known, r->file, r->faults);
	bool keys_known = r->faults->n == before;
	const struct yaml_node *from = read_required(r, entry, "from", "2020-01"), *model = read_required(r, entry, "model", "volume");
	int word = -1;
	if (from != NULL)
		read_month(r, from, "`from`", &d->from);
	if (model == NULL || !read_choice(r, model, "`model`", words_models, &word))
		return;
	d->free = word == MODEL_WORD_FREE;
	if (d->free) {
		if (keys_known)
			check_free_entry(r, entry);
		return;
	}
	struct price_nodes x = { r, entry, NULL };
	d->plan.model = (enum pricing_model)word;
	read_per(&x, &d->plan);
	read_switches(r, entry, &d->plan);
	read_amounts(&x, &d->plan);
}

// --- an entry of `free` -------------------------------------------------------------------------------------------------

static void read_warn(struct book_reader *r, const struct yaml_node *n, int64_t *warn_micro)
{
	int64_t share;
	if (n->kind == YAML_SCALAR && span_is(n->text, "none")) {
		*warn_micro = 0;
		return;
	}
	if (!read_price(r, n, "`warn`", &share))
		return;
	if (!price_warn_share(share))
		read_fault(r, n, "`warn` is %.40s: a share above 0 and up to 1, such as 0.8 for 80 %%, or none", n->text.p);
	else
		*warn_micro = share;
}

static void read_quota_entry(struct book_reader *r, const struct yaml_node *entry, struct dated_quota *q)
{
	static const char *const known[] = { "from", "calls", "warn", "first_month", NULL };
	*q = (struct dated_quota){ .from = MONTH_NONE, .warn_micro = 800000 };
	if (!read_is_map(r, entry, "an entry of `free`"))
		return;
	yaml_check_keys(entry, known, r->file, r->faults);
	const struct yaml_node *from = read_required(r, entry, "from", "2020-01"), *calls = read_required(r, entry, "calls", "10000");
	const struct yaml_node *warn = yaml_get(entry, "warn"), *first = yaml_get(entry, "first_month");
	int word = 0;
	if (from != NULL)
		read_month(r, from, "`from`", &q->from);
	if (calls != NULL)
		read_quantity(r, calls, "`calls`", 0, &q->calls);
	if (warn != NULL)
		read_warn(r, warn, &q->warn_micro);
	if (first != NULL && read_choice(r, first, "`first_month`", words_first_months, &word))
		q->first_month = (enum first_month)word;
}

// --- both lists ---------------------------------------------------------------------------------------------------------

static void check_months(struct book_reader *r, const struct yaml_node *list, uint32_t i, int before, int now)
{
	char a[MONTH_TEXT], b[MONTH_TEXT];
	if (before == MONTH_NONE || now == MONTH_NONE)
		return;
	const struct yaml_node *from = yaml_get(list->items[i], "from");
	if (now == before)
		read_fault(r, from, "two entries begin with %s: remove one of them", month_text(now, a));
	else if (now < before)
		read_fault(r, from, "entries are not in order of time: %s stands after %s", month_text(now, a), month_text(before, b));
}

// The merged list: a plan for each month in which one of the two changes. Free calls at price 0 stay known: a contract may charge.
static void merge(struct book_reader *r, struct service *s, const struct dated_plan *prices, uint32_t n_prices,
		  const struct dated_quota *quotas, uint32_t n_quotas)
{
	s->plans = read_alloc(r, n_prices + n_quotas, sizeof(*s->plans));
	for (uint32_t p = 0, q = 0; p < n_prices || q < n_quotas;) {
		int at = p < n_prices ? prices[p].from : INT32_MAX;
		if (q < n_quotas && quotas[q].from < at)
			at = quotas[q].from;
		p += p < n_prices && prices[p].from == at;
		q += q < n_quotas && quotas[q].from == at;
		struct dated_plan *d = &s->plans[s->n_plans++];
		*d = p > 0 ? prices[p - 1] : (struct dated_plan){ .free = true };
		d->from = at;
		d->plan.quota = q > 0 ? quotas[q - 1].calls : 0;
		d->plan.warn_micro = q > 0 ? quotas[q - 1].warn_micro : 0;
		d->plan.first_month = q > 0 ? quotas[q - 1].first_month : FIRST_MONTH_IMMEDIATE;
	}
}

bool read_quotas(struct book_reader *r, const struct yaml_node *list, struct dated_quota **ret, uint32_t *ret_n)
{
	size_t before = r->faults->n;
	if (!read_is_list(r, list, "`free`"))
		return false;
	struct dated_quota *q = read_alloc(r, list->n, sizeof(*q));
	for (uint32_t i = 0; i < list->n; i++) {
		read_quota_entry(r, list->items[i], &q[i]);
		if (i > 0)
			check_months(r, list, i, q[i - 1].from, q[i].from);
	}
	*ret = q;
	*ret_n = list->n;
	return r->faults->n == before;
}

void read_plans(struct book_reader *r, struct service *s, const struct yaml_node *prices, const struct yaml_node *quotas)
{
	size_t before = r->faults->n;
	uint32_t n_prices = prices != NULL && read_is_list(r, prices, "`prices`") ? prices->n : 0;
	CLEANUP(freep) struct dated_plan *p = xcalloc(n_prices, sizeof(*p));
	struct dated_quota *q = NULL;
	uint32_t n_quotas = 0;
	for (uint32_t i = 0; i < n_prices; i++) {
		read_price_entry(r, prices->items[i], &p[i]);
		if (i > 0)
			check_months(r, prices, i, p[i - 1].from, p[i].from);
	}
	if (quotas != NULL)
		read_quotas(r, quotas, &q, &n_quotas);
	if (n_quotas > 0 && n_prices == 0 && r->faults->n == before)
		read_fault(r, quotas, "free calls without prices: add `prices`, or remove `free`; without prices every call is at price 0");
	if (r->faults->n == before)
		merge(r, s, p, n_prices, q, n_quotas);
}
