// SPDX-License-Identifier: Apache-2.0
// The questions to a price book. It is immutable here; read.c makes it.
#include "catalog/catalog.h"

#include <stdlib.h>

#include "base/check.h"
#include "catalog/book.h"

void catalog_freep(struct catalog **c)
{
	if (*c != NULL) {
		zone_freep(&(*c)->zone);
		arena_free(&(*c)->arena);
	}
	free(*c);
	*c = NULL;
}

static const struct service *service_at(const struct catalog *c, uint32_t service)
{
	check(service < c->n_services);
	return &c->services[service];
}

const char *catalog_version(const struct catalog *c)
{
	return c->version;
}

const char *catalog_sha256(const struct catalog *c)
{
	return c->sha256;
}

const char *catalog_currency(const struct catalog *c)
{
	return c->currency;
}

const struct zone *catalog_zone(const struct catalog *c)
{
	return c->zone;
}

enum rounding catalog_rounding(const struct catalog *c)
{
	return c->rounding;
}

const char *catalog_rounding_text(const struct catalog *c)
{
	return rounding_text(c->rounding);
}

enum freeze_basis catalog_freeze_basis(const struct catalog *c)
{
	return c->freeze_basis;
}

int64_t catalog_freeze_ratio_micro(const struct catalog *c)
{
	return c->freeze_ratio_micro;
}

enum pack_order catalog_pack_order(const struct catalog *c)
{
	return c->pack_order;
}

bool catalog_zero_price_statements(const struct catalog *c)
{
	return c->zero_price_statements;
}

uint32_t catalog_services(const struct catalog *c)
{
	return c->n_services;
}

const char *catalog_service_id(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->id;
}

const char *catalog_service_name(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->name;
}

const char *catalog_service_group(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->group;
}

const char *catalog_service_successor(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->successor;
}

const char *catalog_service_other_name(const struct catalog *c, uint32_t service, uint32_t i)
{
	const struct service *s = service_at(c, service);
	return i < s->n_other_names ? s->other_names[i] : NULL;
}

int64_t catalog_service_begin_ms(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->begin_ms;
}

int64_t catalog_service_end_ms(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->end_ms;
}

uint32_t catalog_service_aliases(const struct catalog *c, uint32_t service, const struct catalog_alias **ret)
{
	const struct service *s = service_at(c, service);
	*ret = s->aliases;
	return s->n_aliases;
}

enum service_match catalog_find(const struct catalog *c, struct span name, int64_t event_time_ms, uint32_t *ret)
{
	const struct name_use *use = name_index_find(&c->names, name, event_time_ms);
	if (use == NULL)
		return SERVICE_UNKNOWN;
	const struct service *s = service_at(c, use->target);
	*ret = use->target;
	if (event_time_ms < s->begin_ms)
		return SERVICE_NOT_BEGUN;
	return event_time_ms >= s->end_ms && s->end_ms != INT64_MAX ? SERVICE_ENDED : SERVICE_OK;
}

bool catalog_find_id(const struct catalog *c, struct span id, uint32_t *ret)
{
	const struct name_use *use = name_index_find(&c->names, id, 0); // an id holds at any time
	if (use == NULL || !use->is_id)
		return false;
	*ret = use->target;
	return true;
}

bool catalog_billable(const struct catalog *c, struct span status, int64_t event_time_ms)
{
	uint32_t i = c->n_billable;
	while (c->billable[i - 1].from_ms > event_time_ms)
		i--; // ends: the first entry holds from the beginning of time
	const struct billable_codes *b = &c->billable[i - 1];
	for (uint32_t k = 0; k < b->n; k++)
		if (span_eq(b->codes[k], status))
			return true;
	return false;
}

struct span catalog_owner(const struct catalog *c, struct span account, int64_t event_time_ms)
{
	const struct name_use *use = c->n_accounts > 0 ? name_index_find(&c->accounts, account, event_time_ms) : NULL;
	return use != NULL ? c->owners[use->target] : account;
}

bool catalog_codes(const struct catalog *c, uint32_t i, struct catalog_codes *ret)
{
	if (i >= c->n_billable)
		return false;
	*ret = (struct catalog_codes){ c->billable[i].from_ms, c->billable[i].n, c->billable[i].codes };
	return true;
}

bool catalog_owned(const struct catalog *c, uint32_t i, struct catalog_owned *ret)
{
	if (i >= c->n_accounts)
		return false;
	const struct name_use *use = &c->accounts.uses[i];
	*ret = (struct catalog_owned){ use->name, c->owners[use->target], use->from_ms, use->until_ms };
	return true;
}

void catalog_price_as(struct catalog *c, int first, int last, int month)
{
	check(first <= last && month != MONTH_NONE);
	c->priced_as = true;
	c->as_first = first;
	c->as_last = last;
	c->as_month = month;
}

static int priced_month(const struct catalog *c, int month)
{
	return c->priced_as && month >= c->as_first && month <= c->as_last ? c->as_month : month;
}

static const struct dated_plan *plan_at(const struct catalog *c, uint32_t service, int month)
{
	const struct service *s = service_at(c, service);
	month = priced_month(c, month);
	for (uint32_t i = s->n_plans; i > 0; i--)
		if (s->plans[i - 1].from <= month)
			return &s->plans[i - 1];
	return NULL;
}

const struct plan *catalog_plan(const struct catalog *c, uint32_t service, int month)
{
	const struct dated_plan *d = plan_at(c, service, month);
	return d == NULL || d->free ? NULL : &d->plan;
}

bool catalog_free_calls(const struct catalog *c, uint32_t service, int month, struct free_calls *ret)
{
	const struct dated_plan *d = plan_at(c, service, month);
	if (d == NULL || d->plan.quota == 0)
		return false;
	*ret = (struct free_calls){ d->plan.quota, d->plan.warn_micro, d->plan.first_month };
	return true;
}

static const struct shared_free *shared_at(const struct catalog *c, uint32_t index)
{
	check(index < c->n_shared);
	return &c->shared[index];
}

uint32_t catalog_shared_quotas(const struct catalog *c)
{
	return c->n_shared;
}

const char *catalog_shared_quota_id(const struct catalog *c, uint32_t index)
{
	return shared_at(c, index)->id;
}

bool catalog_shared_quota(const struct catalog *c, uint32_t index, int month, struct shared_quota *ret)
{
	const struct shared_free *s = shared_at(c, index);
	uint32_t i = s->n_quotas;
	month = priced_month(c, month);
	while (i > 0 && s->quotas[i - 1].from > month)
		i--;
	if (i == 0 || s->quotas[i - 1].calls == 0)
		return false;
	const struct dated_quota *q = &s->quotas[i - 1];
	*ret = (struct shared_quota){ s->id, q->calls, q->warn_micro, q->first_month, s->n_services, s->services };
	return true;
}

int catalog_service_quota(const struct catalog *c, uint32_t service)
{
	return service_at(c, service)->shared;
}

int catalog_shared_next_change(const struct catalog *c, uint32_t index, int after)
{
	const struct shared_free *s = shared_at(c, index);
	for (uint32_t i = 0; i < s->n_quotas; i++)
		if (s->quotas[i].from > after)
			return s->quotas[i].from;
	return MONTH_NONE;
}

int catalog_next_change(const struct catalog *c, uint32_t service, int after)
{
	const struct service *s = service_at(c, service);
	for (uint32_t i = 0; i < s->n_plans; i++)
		if (s->plans[i].from > after)
			return s->plans[i].from;
	return MONTH_NONE;
}

bool catalog_service_in(const struct catalog *c, uint32_t service, int month)
{
	const struct service *s = service_at(c, service);
	if (month > MONTH_LAST)
		return s->end_ms == INT64_MAX;
	return s->begin_ms < period_end_ms(c->zone, month) && s->end_ms > period_start_ms(c->zone, month);
}
