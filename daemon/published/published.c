// SPDX-License-Identifier: Apache-2.0
#include "published/published.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "period/period.h"

static const char *text_of(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

static bool same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool asked_for(const struct published *p, const struct published_document *d)
{
	return (p->account == NULL || same(p->account, d->account)) && (p->id == NULL || same(p->id, d->id)) &&
	       (p->month == MONTH_NONE || p->month == d->month);
}

void published_take(struct published *p, struct span value)
{
	struct published_document d = { .json = json_loadb(value.p, value.n, JSON_REJECT_DUPLICATES, NULL) };
	const char *type = text_of(d.json, "type");
	const json_t *revision;
	d.data = json_object_get(d.json, "data");
	d.id = text_of(d.json, "id");
	d.account = text_of(d.data, "account");
	d.service = text_of(d.data, "service");
	d.period = text_of(d.data, "period");
	revision = json_object_get(d.data, "revision");
	d.revision = json_integer_value(revision);
	bool dated = d.period != NULL && month_parse(span_of(d.period), &d.month);
	if (dated && same(type, "meterd.period.closed.v1") && d.month > p->last_closed)
		p->last_closed = d.month;
	bool of_account = same(type, "meterd.settlement.v1") ? d.service != NULL : same(type, "meterd.statement.v1") && d.service == NULL;
	if (!dated || !of_account || d.id == NULL || d.account == NULL || !json_is_integer(revision) || !asked_for(p, &d) ||
	    published_by_id(p, d.id) != NULL) {
		json_decref(d.json);
		return;
	}
	if (p->n == p->size) {
		p->size = p->size * 2 + 64;
		p->list = xrealloc(p->list, p->size, sizeof(*p->list));
	}
	p->list[p->n++] = d;
}

void published_free(struct published *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		json_decref(p->list[i].json);
	free(p->list);
	p->list = NULL;
	p->n = p->size = 0;
}

const struct published_document *published_find(const struct published *p, const char *account, const char *service, int month, int64_t revision)
{
	const struct published_document *found = NULL;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct published_document *d = &p->list[i];
		bool this = d->month == month && same(d->account, account) && (service == NULL ? d->service == NULL : same(d->service, service));
		if (this && (revision >= 0 ? d->revision == revision : found == NULL || d->revision > found->revision))
			found = d;
	}
	return found;
}

const struct published_document *published_by_id(const struct published *p, const char *id)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (strcmp(p->list[i].id, id) == 0)
			return &p->list[i];
	return NULL;
}
