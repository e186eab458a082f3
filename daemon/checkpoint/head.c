// SPDX-License-Identifier: Apache-2.0
// The head of a checkpoint, as text and back; and whether it is of this state.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "checkpoint/inner.h"
#include "journal/json.h"

enum { TIMEOUT_MS = 15000 };

void checkpoint_head_free(struct checkpoint_head *h)
{
	for (uint32_t i = 0; i < h->n_parts; i++)
		free(h->parts[i].name);
	for (uint32_t i = 0; i < h->n_outs; i++)
		free(h->outs[i].name);
	free(h->parts);
	free(h->outs);
	*h = (struct checkpoint_head){ .settled = MONTH_NONE };
}

static json_t *parts_json(const struct checkpoint_head *h)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < h->n_parts; i++) {
		json_t *p = json_object();
		json_put(p, "partition", json_string(h->parts[i].name));
		json_put(p, "from", json_integer(h->parts[i].from));
		json_put(p, "window", json_integer(h->parts[i].window));
		json_put(p, "clock", h->parts[i].clock_ms == TIME_NONE ? json_null() : json_integer(h->parts[i].clock_ms));
		check(json_array_append_new(list, p) == 0);
	}
	return list;
}

static json_t *outs_json(const struct checkpoint_head *h)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < h->n_outs; i++) {
		json_t *p = json_object();
		json_put(p, "partition", json_string(h->outs[i].name));
		json_put(p, "offset", json_integer(h->outs[i].offset));
		check(json_array_append_new(list, p) == 0);
	}
	return list;
}

char *checkpoint_head_text(const struct checkpoint_head *h)
{
	char month[MONTH_TEXT];
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "init", json_string(h->init_id));
	json_put(j, "schema", json_integer(CHECKPOINT_SCHEMA));
	json_put(j, "version", json_string(h->version));
	json_put(j, "made", json_integer(h->made_ms));
	json_put(j, "shards", json_integer(h->shards));
	json_put(j, "generation", json_integer(h->generation));
	json_put(j, "control_next", json_integer(h->control_next));
	json_put(j, "rules", json_integer(h->rules_version));
	json_put(j, "settled", h->settled != MONTH_NONE ? json_string(month_text(h->settled, month)) : json_null());
	json_put(j, "partitions", parts_json(h));
	json_put(j, "published", outs_json(h));
	return json_compact(j);
}

// ---- back
static bool take_int(const json_t *j, const char *name, int64_t least, int64_t *ret)
{
	const json_t *v = json_object_get(j, name);
	*ret = json_is_integer(v) ? json_integer_value(v) : 0;
	return json_is_integer(v) && *ret >= least;
}

static bool take_text(const json_t *j, const char *name, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(j, name));
	return text != NULL && text[0] != '\0' && snprintf(ret, size, "%s", text) < (int)size;
}

static bool take_parts(const json_t *list, struct checkpoint_head *h)
{
	h->parts = xcalloc(json_array_size(list) + 1, sizeof(*h->parts));
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct checkpoint_part *p = &h->parts[h->n_parts++];
		const json_t *j = json_array_get(list, i), *clock = json_object_get(j, "clock");
		const char *name = json_string_value(json_object_get(j, "partition"));
		p->name = xstrdup(name != NULL ? name : "");
		p->clock_ms = json_is_integer(clock) ? json_integer_value(clock) : TIME_NONE;
		if (name == NULL || !take_int(j, "from", 0, &p->from) || !take_int(j, "window", 0, &p->window) ||
		    (!json_is_null(clock) && p->clock_ms < 0))
			return false;
	}
	return json_is_array(list);
}

static bool take_outs(const json_t *list, struct checkpoint_head *h)
{
	h->outs = xcalloc(json_array_size(list) + 1, sizeof(*h->outs));
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct checkpoint_out *o = &h->outs[h->n_outs++];
		const char *name = json_string_value(json_object_get(json_array_get(list, i), "partition"));
		o->name = xstrdup(name != NULL ? name : "");
		if (name == NULL || !take_int(json_array_get(list, i), "offset", 0, &o->offset))
			return false;
	}
	return json_is_array(list);
}

static bool take_head(const json_t *j, struct checkpoint_head *h)
{
	int64_t shards = 0, schema = 0;
	const json_t *settled = json_object_get(j, "settled");
	h->settled = MONTH_NONE;
	bool good = take_text(j, "init", h->init_id, sizeof(h->init_id)) && take_text(j, "version", h->version, sizeof(h->version)) &&
		    take_int(j, "schema", 1, &schema) && take_int(j, "made", 0, &h->made_ms) && take_int(j, "shards", 1, &shards) && shards <= 65536 &&
		    take_int(j, "generation", 1, &h->generation) &&
		    take_int(j, "control_next", 1, &h->control_next) && take_int(j, "rules", 1, &h->rules_version) &&
		    (json_is_null(settled) || (json_is_string(settled) && month_parse(span_of(json_string_value(settled)), &h->settled)));
	h->shards = (uint32_t)shards;
	return good && take_parts(json_object_get(j, "partitions"), h) && take_outs(json_object_get(j, "published"), h);
}

bool checkpoint_head_parse(struct span text, struct checkpoint_head *ret)
{
	struct checkpoint_head h = { .settled = MONTH_NONE, .furthest_ms = TIME_NONE };
	CLEANUP(json_freep) json_t *j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	bool good = j != NULL && take_head(j, &h);
	if (good)
		*ret = h;
	else
		checkpoint_head_free(&h);
	return good;
}

// ---- is it of this state?
enum error_class checkpoint_fits(const struct checkpoint_head *h, const struct journal *j, struct error *e)
{
	if (strcmp(h->init_id, j->init_id) != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint is of init id %s, the control topic of %s: it is another state's. Name one of "
				 "this state, or the configuration of the other one", h->init_id, j->init_id);
	if (h->shards != j->shards)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint has %u shards, the state %u: name another one (`meterctl checkpoint list`)",
				 h->shards, j->shards);
	if (h->control_next > j->next_offset || journal_rules_version(j, h->rules_version) == NULL)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint was made when the control topic reached to offset %" PRId64 ", and now it ends at %"
				 PRId64 ": decisions are missing. Bring the control topic back first", h->control_next, j->next_offset);
	int64_t holds = h->furthest_ms != TIME_NONE ? journal_rules_at(j, h->furthest_ms)->version : h->rules_version;
	if (holds > h->rules_version)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint was made when version %" PRId64 " of the rules was the newest, and stands where "
				 "version %" PRId64 ", which was decided since, holds: what it counted there may be wrong. Take an older one, or none: then everything is "
				 "counted again", h->rules_version, holds);
	for (uint32_t i = 0; i < h->n_parts; i++)
		if (journal_part(j, span_of(h->parts[i].name)) == NULL)
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint counts %s, which the control topic does not know: it is another "
					 "topic's. Name a checkpoint of these topics", h->parts[i].name);
	return ERROR_NONE;
}

// `from`: what must be there; `stands`: what must have been.
static enum error_class reaches(const struct sink_port *port, const struct kafka_options *k,
				const char *name, int64_t from, int64_t stands, const char *why, struct error *e)
{
	int64_t low = 0, high = 0, partition = 0;
	const char *slash = strrchr(name, '/');
	CLEANUP(freep) char *topic = slash != NULL ? xstrndup(name, (size_t)(slash - name)) : NULL;
	if (topic == NULL || !span_int64(span_of(slash + 1), &partition) || partition < 0 || partition > INT32_MAX)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the checkpoint names a partition %s, which is none: take another one", name);
	enum error_class c = port->offsets(k, topic, (int32_t)partition, TIMEOUT_MS, &low, &high, e);
	if (c == ERROR_NONE && low > from)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s begins at offset %" PRId64 ", and %s, from %" PRId64 " on, is needed: retention took %" PRId64
				 " offsets. Take a newer checkpoint, or bring the older log back", name, low, why, from, low - from);
	if (c == ERROR_NONE && high < stands)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s ends at offset %" PRId64 ", and the checkpoint stands at %" PRId64 ": the topic was made again, "
				 "or cut off. Bring its records back, or take a checkpoint of this topic", name, high, stands);
	return c;
}

enum error_class checkpoint_reached(const struct checkpoint_head *h, const struct sink_port *port, const struct kafka_options *k, bool published,
				    struct error *e)
{
	enum error_class c = ERROR_NONE;
	port = port != NULL ? port : &sink_port_kafka;
	for (uint32_t i = 0; i < h->n_parts && c == ERROR_NONE; i++)
		c = reaches(port, k, h->parts[i].name, h->parts[i].window, h->parts[i].from, "the window of duplicates before the checkpoint", e);
	for (uint32_t i = 0; published && i < h->n_outs && c == ERROR_NONE; i++)
		c = reaches(port, k, h->outs[i].name, h->outs[i].offset, h->outs[i].offset, "what was published since the checkpoint", e);
	return c;
}
