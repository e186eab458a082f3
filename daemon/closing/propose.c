// SPDX-License-Identifier: Apache-2.0
// New versions of the rules (design.md, section 6; models/m5_rules.py): a proposal lies among the requests; what is decided stands in
// the control topic.
//
//	0. wait until Redis, where it went back, has counted again what alerts were published for: no decision may come to lie before them
//	1. raise the version in every shard: from then on no shard takes a commit that was made without knowing of it
//	2. write the record; it takes effect rules.lead behind everything that any shard has seen
//	3. workers that were refused read the control topic again, and go on under both versions, by the record clock
//
// A generation is put in force the other way round: first the record, then every shard is told by whoever reads it (closing_adopt). Until
// then workers go on in the old one, which harms nothing: what they count there the new one reads from the log again, and what they
// raise there goes to its outbox.
//
// Raised and never lowered: where a closer died between 1 and 2 and the request is lost too, the newest rules are written once more
// under the version that the shards ask for.
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "closing/inner.h"
#include "journal/json.h"
#include "rules/change.h"

static const struct journal_rules *newest(const struct journal *j)
{
	check(j->n_rules > 0);
	return &j->rules[j->n_rules - 1];
}

enum error_class closing_adopt(struct store *s, uint32_t shards, const struct journal *j, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	s->ops->identity(s, j->init_id, j->generation);
	for (uint32_t shard = 0; shard < shards && cls == ERROR_NONE; shard++)
		cls = s->ops->adopt(s, shard, j->generation_at, e);
	return cls;
}

enum error_class propose_generation(struct store *s, uint32_t shards, int64_t generation, bool *ret_may, struct error *e)
{
	*ret_may = true;
	for (uint32_t shard = 0; shard < shards && *ret_may; shard++) {
		struct store_generations g = { 0 };
		enum error_class cls = s->ops->generations(s, shard, &g, e);
		if (cls != ERROR_NONE)
			return cls;
		*ret_may = false;
		for (uint32_t i = 0; i < g.n; i++)
			*ret_may = *ret_may || (g.list[i].number == generation && g.list[i].kind != GENERATION_CUT &&
						g.list[i].kind != GENERATION_RESTORING);
		store_generations_free(&g);
	}
	return ERROR_NONE;
}

static enum error_class raise_everywhere(struct store *s, uint32_t shards, int64_t version, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	for (uint32_t shard = 0; shard < shards && cls == ERROR_NONE; shard++)
		cls = s->ops->register_rules(s, shard, version, e);
	return cls;
}

enum error_class propose_highest(struct store *s, uint32_t shards, int64_t *ret, struct error *e)
{
	*ret = 0;
	for (uint32_t shard = 0; shard < shards; shard++) {
		struct store_state state = { 0 };
		enum error_class cls = s->ops->state(s, shard, &state, e);
		if (cls != ERROR_NONE)
			return cls;
		if (state.rules_version > *ret)
			*ret = state.rules_version;
	}
	return ERROR_NONE;
}

int64_t closing_effective_ms(const struct journal *j, int64_t clock_max_ms, int64_t now_ms)
{
	const struct rules_settings *s = &newest(j)->rules->settings;
	int64_t effective_ms = clock_max_ms != TIME_NONE ? clock_later(clock_max_ms, s->lead_ms) : 0;
	if (s->clock == CLOCK_WALL && now_ms + s->lead_ms > effective_ms)
		effective_ms = now_ms + s->lead_ms;
	if (j->n_manifests > 0) { // what lies below its cuts is settled, also where a Redis that went back has not got there again
		int64_t close_ms = rules_close_ms(newest(j)->rules, j->manifests[j->n_manifests - 1].month);
		effective_ms = close_ms > effective_ms ? close_ms : effective_ms;
	}
	return newest(j)->effective_ms > effective_ms ? newest(j)->effective_ms : effective_ms;
}

// The highest record clock of a generation that was in force and is kept.
static enum error_class clock_of_old(struct store *s, uint32_t shards, const struct journal *j, int64_t number, int64_t *clock_ms, struct error *e)
{
	struct look l = { 0 };
	s->ops->identity(s, j->init_id, number);
	enum error_class cls = look_take(s, shards, j, &l, e);
	s->ops->identity(s, j->init_id, j->generation);
	if (cls == ERROR_NONE && l.clock_max > *clock_ms)
		*clock_ms = l.clock_max;
	look_free(&l);
	return cls;
}

// What a generation that was in force has counted it counted by the rules of then; it may come into force again (`rebuild --rollback`).
static enum error_class clocks_of_old(struct store *s, uint32_t shards, const struct journal *j, int64_t *clock_ms, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	for (uint32_t shard = 0; shard < shards && cls == ERROR_NONE; shard++) {
		struct store_generations g = { 0 };
		cls = s->ops->generations(s, shard, &g, e);
		for (uint32_t i = 0; cls == ERROR_NONE && i < g.n; i++)
			if (g.list[i].kind == GENERATION_OLD && g.list[i].number != j->generation)
				cls = clock_of_old(s, shards, j, g.list[i].number, clock_ms, e);
		store_generations_free(&g);
	}
	return cls;
}

enum error_class propose_floor(const struct closer_options *o, const struct journal *j, bool *ret_may, int64_t *ret_clock_ms, struct error *e)
{
	struct look l = { 0 };
	enum error_class cls = look_take(o->store, o->shards, j, &l, e);
	*ret_may = true;
	for (uint32_t i = 0; cls == ERROR_NONE && i < l.n; i++)
		*ret_may = *ret_may && l.parts[i].next_max >= relay_reach(o->relay, j->parts[i].name);
	*ret_clock_ms = l.clock_max;
	look_free(&l);
	return cls == ERROR_NONE ? clocks_of_old(o->store, o->shards, j, ret_clock_ms, e) : cls;
}

enum error_class propose_make(struct store *s, uint32_t shards, const struct journal *j, const struct rules *rules, int64_t floor_ms,
			      int64_t now_ms, char **ret_record, struct error *e)
{
	int64_t version = newest(j)->version + 1;
	struct look look = { 0 };
	uint64_t session = s->ops->session(s);
	enum error_class cls = raise_everywhere(s, shards, version, e);
	if (cls == ERROR_NONE)
		cls = look_take(s, shards, j, &look, e); // behind the raise: no clock moves on in ignorance
	if (cls != ERROR_NONE)
		return cls;
	if (s->ops->session(s) != session) { // a Redis that was restarted in between may know nothing of it
		look_free(&look);
		return error_set(e, ERROR_RETRY, 0, "the connection to Redis broke while newer rules were made known");
	}
	int64_t clock_ms = look.clock_max > floor_ms ? look.clock_max : floor_ms;
	*ret_record = journal_rules_record(version, closing_effective_ms(j, clock_ms, now_ms), rules);
	look_free(&look);
	return ERROR_NONE;
}

static void refuse(const struct faults *f)
{
	for (size_t i = 0; i < f->n; i++) {
		char quoted[700];
		log_line(LVL_ERROR, "rules_refused", "why=%s", log_quote(f->list[i].text, quoted, sizeof(quoted)));
	}
}

struct rules *propose_read(const json_t *request, const struct journal *j)
{
	struct faults faults = { 0 };
	struct error e = { 0 };
	struct rules *rules = NULL;
	const json_t *body = json_object_get(request, "rules");
	CLEANUP(freep) char *text = json_is_object(body) ? json_compact(body) : NULL;
	int settled = j->n_manifests > 0 ? j->manifests[j->n_manifests - 1].month : MONTH_NONE;
	if (text == NULL)
		fault_add(&faults, "rules", 0, 0, "the request holds no rules");
	else if (rules_from_json(span_of(text), &rules, &e) != ERROR_NONE)
		fault_add(&faults, "rules", 0, 0, "%s", e.text);
	else if (strcmp(rules->sha256, newest(j)->rules->sha256) == 0)
		rules_freep(&rules); // in force, or about to be
	else if (!rules_may_follow(newest(j)->rules, rules, settled, &faults))
		rules_freep(&rules);
	refuse(&faults);
	faults_free(&faults);
	return rules;
}
