// SPDX-License-Identifier: Apache-2.0
// The question of a replay as its corrections say it (account/question.c). What was asked in words of now or of a calendar is said as an instant.
#include "base/check.h"
#include "journal/json.h"
#include "replay/inner.h"

static json_t *texts_json(const char *const *list, uint32_t n)
{
	json_t *j = json_array();
	for (uint32_t i = 0; i < n; i++)
		check(json_array_append_new(j, json_string(list[i])) == 0); // of the command line, whose words match names in the log
	return j;
}

static void put_texts(json_t *j, const char *name, const char *const *list, uint32_t n)
{
	if (n > 0)
		json_put(j, name, texts_json(list, n));
}

static json_t *offsets_json(const struct bound *b)
{
	json_t *j = json_object();
	for (uint32_t i = 0; i < b->n; i++) {
		const struct bound_offset *o = &b->list[i];
		CLEANUP(freep) char *name = o->topic.n > 0 ? xasprintf("%.*s/%d", (int)o->topic.n, o->topic.p, (int)o->partition) : xasprintf("%d", (int)o->partition);
		json_put(j, name, json_integer(o->offset));
	}
	return j;
}

static void put_bound(json_t *j, const char *name, const struct bound *b, int64_t ms)
{
	if (b->kind == BOUND_NONE)
		return;
	json_put(j, name, b->kind == BOUND_OFFSET ? json_integer(b->value) : b->kind == BOUND_OFFSETS ? offsets_json(b) : json_time(ms));
}

static json_t *catalog_json(const struct catalog *c)
{
	json_t *j = json_object();
	json_put(j, "version", json_string(catalog_version(c)));
	json_put(j, "sha256", json_string(catalog_sha256(c)));
	return j;
}

json_t *replay_question(const struct replay *r)
{
	const struct replay_options *o = &r->o;
	const struct journal *other = r->sides[OTHERWISE].journal;
	char month[MONTH_TEXT];
	json_t *j = json_object();
	if (r->shift != 0)
		json_put(j, "catalog", catalog_json(other->rules[other->n_rules - 1].rules->catalog));
	if (o->prices_of != MONTH_NONE)
		json_put(j, "prices_of", json_string(month_text(o->prices_of, month)));
	put_bound(j, "from", &o->range->from, r->from_ms);
	put_bound(j, "to", &o->range->to, r->to_ms);
	put_texts(j, "billable", o->billable, o->n_billable);
	put_texts(j, "exclude_producers", o->producers, o->n_producers);
	put_texts(j, "exclude_partitions", o->partitions, o->n_partitions);
	if (o->account != NULL)
		json_put(j, "account", json_string(o->account));
	if (o->undo)
		json_put(j, "undo", json_true());
	return j;
}
