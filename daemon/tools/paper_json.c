// SPDX-License-Identifier: Apache-2.0
// A settlement back from its JSON. Strict: a figure that cannot be read is an error, never 0.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "account/prices.h"
#include "base/check.h"
#include "base/figure.h"
#include "tools/paper.h"

struct source {
	const json_t *data;
	struct arena *arena;
	char *why;
};

static bool refuse(struct source *s, const char *key, const char *what)
{
	snprintf(s->why, 200, "`%.60s` %s", key, what);
	return false;
}

static bool get_text(struct source *s, const json_t *from, const char *key, const char **ret)
{
	const char *text = json_string_value(json_object_get(from, key));
	if (text == NULL)
		return refuse(s, key, "is missing or no text: is this a settlement?");
	*ret = text;
	return true;
}

static bool get_count(struct source *s, const json_t *from, const char *key, int64_t *ret)
{
	const json_t *v = json_object_get(from, key);
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return refuse(s, key, "is missing or no whole number from 0 on: is this a settlement?");
	*ret = json_integer_value(v);
	return true;
}

static bool get_amount(struct source *s, const json_t *from, const char *key, amount_pico *ret)
{
	const char *text;
	if (!get_text(s, from, key, &text))
		return false;
	return figure_parse(text, 12, ret) || refuse(s, key, "is no amount such as \"2474.9975\"");
}

static bool get_fen(struct source *s, const json_t *from, const char *key, int64_t *ret)
{
	const char *text;
	if (!get_text(s, from, key, &text))
		return false;
	return figure_fen(text, ret) || refuse(s, key, "is no amount with two decimals such as \"2200.00\"");
}

static bool get_price(struct source *s, const json_t *from, int64_t *ret)
{
	const char *text;
	if (!get_text(s, from, "unit_price", &text))
		return false;
	return money_parse_price(span_of(text), ret) || refuse(s, "unit_price", "is no price such as \"2.2\"");
}

static bool get_tier(struct source *s, const json_t *from, uint32_t *ret)
{
	int64_t tier;
	if (!get_count(s, from, "tier", &tier))
		return false;
	if (tier < 1 || tier > RATING_MAX_SLICES)
		return refuse(s, "tier", "is no number of a tier; the first is 1");
	*ret = (uint32_t)tier - 1;
	return true;
}

static bool get_word(struct source *s, const char *key, int n, const char *(*text_of)(int), int *ret)
{
	const char *text;
	if (!get_text(s, s->data, key, &text))
		return false;
	for (int i = 0; i < n; i++)
		if (strcmp(text, text_of(i)) == 0) {
			*ret = i;
			return true;
		}
	return refuse(s, key, "is a word that is not known");
}

static const char *rounding_word(int i)
{
	return rounding_text((enum rounding)i);
}

static const char *basis_word(int i)
{
	return tier_basis_text((enum tier_basis)i);
}

static bool get_packs(struct source *s, struct paper *p)
{
	const json_t *packs = json_object_get(s->data, "packs");
	if (packs != NULL && !json_is_array(packs))
		return refuse(s, "packs", "is no list of packs");
	p->packs = arena_alloc(s->arena, (json_array_size(packs) + 1) * sizeof(*p->packs));
	for (size_t i = 0; i < json_array_size(packs); i++) {
		const json_t *pack = json_array_get(packs, i);
		struct paper_pack *to = &p->packs[p->n_packs++];
		*to = (struct paper_pack){ .id = NULL };
		if (!get_text(s, pack, "id", &to->id) || !get_count(s, pack, "calls", &to->calls))
			return false;
	}
	return true;
}

static bool get_slices(struct source *s, struct paper *p)
{
	const json_t *slices = json_object_get(s->data, "slices");
	p->sliced = slices != NULL;
	if (!p->sliced)
		return get_tier(s, s->data, &p->tier) && get_price(s, s->data, &p->price_micro);
	if (!json_is_array(slices) || json_array_size(slices) > RATING_MAX_SLICES)
		return refuse(s, "slices", "is no list of slices");
	for (size_t i = 0; i < json_array_size(slices); i++) {
		const json_t *slice = json_array_get(slices, i);
		struct rating_slice *to = &p->slices[p->n_slices++];
		if (!get_tier(s, slice, &to->tier) || !get_count(s, slice, "calls", &to->calls) ||
		    !get_price(s, slice, &to->price_micro) || !get_amount(s, slice, "amount", &to->amount))
			return false;
	}
	return true;
}

static bool get_per(struct source *s, struct paper *p)
{
	if (!get_count(s, s->data, "per", &p->per))
		return false;
	for (int64_t power = 1; power <= 1000000; power *= 10)
		if (power == p->per)
			return true;
	return refuse(s, "per", "is no power of ten from 1 to 1000000");
}

static bool get_adjustment(struct source *s, struct paper *p)
{
	const json_t *adjusts = json_object_get(s->data, "adjusts");
	p->adjusts = json_is_object(adjusts);
	if (!p->adjusts)
		return true;
	return get_count(s, s->data, "revision", &p->revision) && get_count(s, adjusts, "revision", &p->adjusts_revision) &&
	       get_count(s, adjusts, "calls", &p->adjusts_calls) && get_fen(s, adjusts, "charge", &p->adjusts_charge_fen) &&
	       get_fen(s, s->data, "difference", &p->difference_fen);
}

static bool get_correction(struct source *s, struct paper *p)
{
	p->correction = json_object_get(s->data, "correction") != NULL;
	const char *key = p->correction ? "correction" : "corrected";
	if (json_object_get(s->data, key) != NULL && !get_text(s, s->data, key, &p->corrected))
		return false;
	if (!prices_parse(json_object_get(s->data, "prices"), s->arena, &p->prices))
		return refuse(s, "prices", "are none that a price book could have");
	if (p->prices != NULL) {
		p->plan = &p->prices->plan;
		p->free_month = p->prices->at_zero;
	}
	return true;
}

static bool get_all(struct source *s, struct paper *p)
{
	int rounding, basis;
	p->quota = -1;
	p->has_freeze = true;
	if (!get_text(s, s->data, "account", &p->account) || !get_text(s, s->data, "service", &p->service) ||
	    !get_text(s, s->data, "period", &p->period) || !get_text(s, s->data, "catalog", &p->version) ||
	    !get_text(s, s->data, "currency", &p->currency))
		return false;
	if (!get_count(s, s->data, "calls", &p->calls) || !get_count(s, s->data, "free", &p->free) ||
	    !get_count(s, s->data, "billable", &p->billable) || !get_packs(s, p) || !get_per(s, p) || !get_slices(s, p))
		return false;
	if (!get_word(s, "rounding", 3, rounding_word, &rounding) || !get_word(s, "tier_basis", 2, basis_word, &basis))
		return false;
	p->rounding = (enum rounding)rounding;
	p->tier_basis = (enum tier_basis)basis;
	return get_amount(s, s->data, "exact", &p->exact) && get_fen(s, s->data, "charge", &p->charge_fen) &&
	       get_fen(s, s->data, "unfreeze", &p->unfreeze_fen) && get_fen(s, s->data, "freeze", &p->freeze_fen) && get_adjustment(s, p) && get_correction(s, p);
}

bool paper_of_data(const void *data, struct arena *arena, struct paper *p, char why[200])
{
	return get_all(&(struct source){ data, arena, why }, p);
}

bool paper_of_json(const char *text, size_t n, struct arena *arena, struct paper *p, void **ret_json, char why[200])
{
	json_error_t e;
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	if (root == NULL) {
		snprintf(why, 200, "not JSON (line %d: %.120s)", e.line, e.text);
		return false;
	}
	const json_t *data = json_object_get(root, "specversion") != NULL ? json_object_get(root, "data") : root;
	if (!paper_of_data(data, arena, p, why)) {
		json_decref(root);
		return false;
	}
	*ret_json = root;
	return true;
}
