// SPDX-License-Identifier: Apache-2.0
// What was published, what was derived, and how they differ. Byte for byte; fields are looked at only to say where.
#include <jansson.h>
#include <search.h>
#include <stdlib.h>

#include "base/check.h"
#include "journal/json.h"
#include "outbox/envelope.h"
#include "proof/inner.h"

static int id_order(const void *a, const void *b)
{
	return strcmp(a, b); // ids come first in their documents
}

struct document *proof_find(struct proof *p, const char *id)
{
	void *node = tfind(id, &p->by_id, id_order);
	return node != NULL ? *(struct document **)node : NULL;
}

static struct document *find_or_add(struct proof *p, const char *id)
{
	struct document *d = proof_find(p, id);
	if (d != NULL)
		return d;
	d = xcalloc(1, sizeof(*d));
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->closed_with = MONTH_NONE;
	if (tsearch(d, &p->by_id, id_order) == NULL)
		out_of_memory(1, sizeof(*d));
	return d;
}

static const char *text_of(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

// ---- what a document is about
struct about {
	json_t *json;             // owned
	const char *id, *type, *account, *service, *period;
	int64_t revision;
};

static void about_close(struct about *a)
{
	json_decref(a->json);
}

static struct about about(struct span document)
{
	struct about a = { .json = json_loadb(document.p, document.n, JSON_REJECT_DUPLICATES, NULL) };
	const json_t *data = json_object_get(a.json, "data");
	a.id = text_of(a.json, "id");
	a.type = text_of(a.json, "type");
	a.account = text_of(data, "account");
	a.service = text_of(data, "service");
	a.period = text_of(data, "period");
	a.revision = json_integer_value(json_object_get(data, "revision"));
	return a;
}

static void add(struct proof *p, enum proof_kind kind, const struct about *a, const char *field, const char *published, const char *derived)
{
	struct proof_difference d = { .kind = kind, .account = a->account != NULL ? arena_printf(&p->arena, "%s", a->account) : NULL,
		.service = a->service != NULL ? arena_printf(&p->arena, "%s", a->service) : NULL,
		.period = a->period != NULL ? arena_printf(&p->arena, "%s", a->period) : NULL, .field = field, .published = published, .derived = derived };
	snprintf(d.id, sizeof(d.id), "%s", a->id != NULL ? a->id : "");
	proof_add(p, d);
}

// ---- gathering
static bool take_published(void *ctx, const struct topic_record *t)
{
	struct proof *p = ctx;
	CLEANUP(about_close) struct about a = about(t->r.value);
	if (a.id == NULL || strlen(a.id) != 32)
		return true; // of somebody else
	struct document *d = find_or_add(p, a.id);
	if (d->published.p == NULL)
		d->published = arena_copy(&p->arena, t->r.value);
	else if (!span_eq(d->published, t->r.value))
		d->twice = true;
	return true;
}

enum error_class proof_read_published(struct proof *p, struct error *e)
{
	return p->port->read_back(p->o.kafka, p->o.kafka->settlements_topic, TIME_NONE, p->o.timeout_ms, take_published, p, e);
}

void proof_derived(void *ctx, int month_closed, struct span account, struct span document)
{
	struct proof *p = ctx;
	CLEANUP(about_close) struct about a = about(document);
	check(a.id != NULL);
	struct document *d = find_or_add(p, a.id);
	check(d->derived.p == NULL);
	d->derived = arena_copy(&p->arena, document);
	d->account = arena_copy(&p->arena, account);
	d->closed_with = month_closed;
}

bool proof_settled(struct proof *p, int month)
{
	char identity[32], id[33], text[MONTH_TEXT];
	snprintf(identity, sizeof(identity), "closed\n%s", month_text(month, text));
	identity_id(span_of(identity), id);
	const struct document *d = proof_find(p, id);
	return d != NULL && d->published.p != NULL;
}

// ---- comparing
enum { FIELDS_MOST = 50 };
struct comparison {
	struct proof *p;
	const struct about *about;
	uint32_t n;
};

static const char *value_text(struct proof *p, const json_t *v)
{
	CLEANUP(freep) char *text = v != NULL ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	return arena_printf(&p->arena, "%s", text != NULL ? text : "nothing");
}

static void compare_values(struct comparison *c, const char *path, const json_t *published, const json_t *derived)
{
	const char *name;
	json_t *v;
	if (c->n >= FIELDS_MOST || (published != NULL && derived != NULL && json_equal(published, derived)))
		return;
	if (!json_is_object(published) || !json_is_object(derived)) {
		add(c->p, PROOF_FIELD, c->about, path, value_text(c->p, published), value_text(c->p, derived));
		c->n++;
		return;
	}
	json_object_foreach((json_t *)derived, name, v)
		compare_values(c, path[0] != '\0' ? arena_printf(&c->p->arena, "%s.%s", path, name) : arena_printf(&c->p->arena, "%s", name),
			       json_object_get(published, name), v);
	json_object_foreach((json_t *)published, name, v)
		if (json_object_get(derived, name) == NULL)
			compare_values(c, path[0] != '\0' ? arena_printf(&c->p->arena, "%s.%s", path, name) : arena_printf(&c->p->arena, "%s", name), v, NULL);
}

static void compare_bytes(struct proof *p, const struct document *d)
{
	CLEANUP(about_close) struct about was = about(d->published);
	CLEANUP(about_close) struct about is = about(d->derived);
	struct comparison c = { p, &is, 0 };
	if (span_eq(d->published, d->derived)) {
		p->numbers.proved++;
		return;
	}
	compare_values(&c, "", was.json, is.json);
	if (c.n == 0)
		add(p, PROOF_FIELD, &is, "bytes", "the same fields, written otherwise", NULL);
}

// Is a document that was published, and not derived, one that had to be derived?
static bool had_to_be(const struct proof *p, const struct about *a)
{
	int month;
	if (a->period == NULL || !month_parse(span_of(a->period), &month) || month > p->last->month)
		return false; // made by a later close
	if (p->account.p != NULL && (a->account == NULL || !span_eq(span_of(a->account), p->account)))
		return false;
	if (a->revision > 0 && !p->all_months)
		return false; // a later close may have made it
	return proof_covers(p, month) || (a->revision > 0 && p->o.month == MONTH_NONE);
}

static bool asked_for(const struct proof *p, const struct document *d, const struct about *a)
{
	if (p->o.id != NULL)
		return strcmp(p->o.id, d->id) == 0;
	if (d->derived.p == NULL)
		return had_to_be(p, a);
	return proof_covers(p, d->closed_with) && (p->account.p == NULL || span_eq(d->account, p->account)); // the end of a run is about all accounts
}

static void compare(struct proof *p, const struct document *d)
{
	CLEANUP(about_close) struct about a = about(d->derived.p != NULL ? d->derived : d->published);
	if (!asked_for(p, d, &a))
		return;
	if (d->twice)
		add(p, PROOF_TWICE, &a, NULL, NULL, NULL);
	if (d->derived.p == NULL)
		add(p, PROOF_UNKNOWN, &a, NULL, NULL, NULL);
	else if (d->published.p == NULL)
		add(p, PROOF_MISSING, &a, NULL, NULL, NULL);
	else
		compare_bytes(p, d);
}

static void compare_node(const void *node, VISIT which, void *ctx)
{
	if (which == postorder || which == leaf)
		compare(ctx, *(struct document *const *)node);
}

void proof_compare(struct proof *p)
{
	twalk_r(p->by_id, compare_node, p);
}
