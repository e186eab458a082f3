// SPDX-License-Identifier: Apache-2.0
// Generations: whole ledgers beside one another (what each kind may: meterd.lua).
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/redis.h"

static const struct {
	const char *text;
	enum store_generation_kind kind;
} kinds[] = { { "live", GENERATION_LIVE }, { "building", GENERATION_BUILDING }, { "cut", GENERATION_CUT }, { "old", GENERATION_OLD },
	    { "restoring", GENERATION_RESTORING } };

void store_generations_free(struct store_generations *g)
{
	free(g->list);
	*g = (struct store_generations){ 0 };
}

void store_keys_free(struct store_keys *k)
{
	free(k->list);
	*k = (struct store_keys){ 0 };
}

static int by_number(const void *a, const void *b)
{
	const struct store_generation *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

static bool parse_generation(struct span field, struct span value, struct store_generation *ret)
{
	if (!span_int64((struct span){ field.p + 2, field.n - 2 }, &ret->number) || ret->number < 1)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!span_is(value, kinds[i].text))
			continue;
		ret->kind = kinds[i].kind;
		return true;
	}
	return false;
}

static enum error_class meta(struct store_redis *s, uint32_t shard, redisReply **ret, struct error *e)
{
	command_reset(&s->command);
	command_text(&s->command, "HGETALL");
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	enum error_class c = redis_call(s, ret, e);
	if (c == ERROR_NONE && (!reply_is_texts(*ret) || (*ret)->elements % 2 != 0))
		return redis_unknown_form(e, "HGETALL");
	return c;
}

enum error_class redis_generations(struct store *port, uint32_t shard, struct store_generations *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	enum error_class c = meta(s, shard, &r, e);
	if (c != ERROR_NONE)
		return c;
	struct store_generations g = { .list = xcalloc(r->elements / 2 + 1, sizeof(*g.list)) };
	for (size_t i = 0; i < r->elements; i += 2) {
		struct span field = reply_span(r->element[i]);
		if (field.n < 3 || memcmp(field.p, "g:", 2) != 0)
			continue;
		if (!parse_generation(field, reply_span(r->element[i + 1]), &g.list[g.n++])) {
			store_generations_free(&g);
			return error_set(e, ERROR_HALT, 0, "redis: shard %u holds %.*s = %s, which is no generation", shard, (int)field.n, field.p,
					 r->element[i + 1]->str);
		}
	}
	qsort(g.list, g.n, sizeof(*g.list), by_number);
	*ret = g;
	return ERROR_NONE;
}

enum error_class redis_begin(struct store *port, uint32_t shard, int64_t generation, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "begin", 1);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, s->init_id);
	command_int(&s->command, generation);
	return redis_call_function(s, NULL, e);
}

// ---- the keys of a generation
static void add_key(struct store_keys *k, const char *what, int month, int adjust_month)
{
	for (uint32_t i = 0; i < k->n; i++)
		if (strcmp(k->list[i].what, what) == 0 && k->list[i].month == month && k->list[i].adjust_month == adjust_month)
			return;
	k->list = xrealloc(k->list, k->n + 1, sizeof(*k->list));
	k->list[k->n++] = (struct store_key){ what, month, adjust_month };
}

// "closed:2:2020-01", where `what` is "closed": what generation 2 says of a month. MONTH_NONE: the field is another one.
static int month_of(const struct store_redis *s, const char *what, struct span field)
{
	char head[40];
	int month = MONTH_NONE;
	size_t n = (size_t)snprintf(head, sizeof(head), "%s:%s:", what, s->generation);
	if (field.p == NULL || field.n != n + 7 || memcmp(field.p, head, n) != 0 || !month_parse((struct span){ field.p + n, 7 }, &month))
		return MONTH_NONE;
	return month;
}

static void add_noted(struct store_keys *k, const struct store_redis *s, struct span field)
{
	int closed = month_of(s, "closed", field), fired = month_of(s, "f", field);
	if (closed != MONTH_NONE) { // settled, or being settled
		add_key(k, "set", closed, MONTH_NONE);
		add_key(k, "frz", closed, MONTH_NONE);
	}
	if (fired != MONTH_NONE)
		add_key(k, "fired", fired, MONTH_NONE);
}

static int by_key(const void *a, const void *b)
{
	const struct store_key *x = a, *y = b;
	int c = strcmp(x->what, y->what);
	c = c != 0 ? c : (x->month > y->month) - (x->month < y->month);
	return c != 0 ? c : (x->adjust_month > y->adjust_month) - (x->adjust_month < y->adjust_month);
}

enum error_class redis_keys(struct store *port, uint32_t shard, struct store_keys *ret, struct error *e)
{
	static const char *const always[] = { "off", "act", "led", "cut", "clk", "pk", "lk" };
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	struct store_months months = { 0 };
	enum error_class c = meta(s, shard, &r, e);
	if (c == ERROR_NONE)
		c = port->ops->months(port, shard, &months, e);
	if (c != ERROR_NONE)
		return c;
	struct store_keys k = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		add_key(&k, always[i], MONTH_NONE, MONTH_NONE);
	for (uint32_t i = 0; i < months.n; i++) {
		const struct store_month *m = &months.list[i];
		add_key(&k, m->adjust_month == MONTH_NONE ? "use" : "late", m->month, m->adjust_month);
		if (m->adjust_month == MONTH_NONE)
			add_key(&k, "fired", m->month, MONTH_NONE);
		else // a month that nothing was settled of has its revisions there
			add_key(&k, "set", m->month, MONTH_NONE);
	}
	for (size_t i = 0; i < r->elements; i += 2)
		add_noted(&k, s, reply_span(r->element[i]));
	store_months_free(&months);
	qsort(k.list, k.n, sizeof(*k.list), by_key);
	*ret = k;
	return ERROR_NONE;
}

enum error_class redis_scan_key(struct store *port, uint32_t shard, const struct store_key *k, store_scan_fn *fn, void *ctx, struct error *e)
{
	return redis_scan_hash(redis_of(port), shard, k->what, k->month, k->adjust_month, fn, ctx, e);
}

enum error_class redis_get_key(struct store *port, uint32_t shard, const struct store_key *k, const struct span *fields, uint32_t n,
			       struct arena *arena, struct span *ret, struct error *e)
{
	return redis_get_fields(redis_of(port), shard, k->what, k->month, k->adjust_month, fields, n, arena, ret, e);
}

// What follows names a generation that need not be that of `identity`.
static void set_generation(struct store_redis *s, int64_t generation)
{
	snprintf(s->generation, sizeof(s->generation), "%lld", (long long)generation);
}

static void key_of(struct store_redis *s, uint32_t shard, int64_t generation, const char *what, int month, int adjust)
{
	char had[sizeof(s->generation)];
	memcpy(had, s->generation, sizeof(had));
	set_generation(s, generation);
	redis_words_key(s, shard, what, month, adjust);
	memcpy(s->generation, had, sizeof(had));
}

static enum error_class keys_of(struct store_redis *s, uint32_t shard, int64_t generation, struct store_keys *ret, struct error *e)
{
	char had[sizeof(s->generation)];
	memcpy(had, s->generation, sizeof(had));
	set_generation(s, generation);
	enum error_class c = redis_keys(&s->port, shard, ret, e);
	memcpy(s->generation, had, sizeof(had));
	return c;
}

// *ret_again: the generation came to hold another key after its keys were listed.
static enum error_class list_and_cut(struct store_redis *s, uint32_t shard, int64_t of, int64_t copy, bool *ret_again, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	struct store_keys k = { 0 };
	enum error_class c = keys_of(s, shard, of, &k, e);
	if (c != ERROR_NONE)
		return c;
	redis_fcall(s, "cut", 3 + 2 * (int)k.n);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	for (uint32_t i = 0; i < k.n; i++) {
		key_of(s, shard, of, k.list[i].what, k.list[i].month, k.list[i].adjust_month);
		key_of(s, shard, copy, k.list[i].what, k.list[i].month, k.list[i].adjust_month);
	}
	key_of(s, shard, of, "out", MONTH_NONE, MONTH_NONE);
	key_of(s, shard, copy, "out", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, s->init_id);
	command_int(&s->command, of);
	command_int(&s->command, copy);
	store_keys_free(&k);
	c = redis_call(s, &r, e);
	if (c != ERROR_NONE)
		return c;
	*ret_again = reply_is_array(r, 3) && span_is(reply_span(r->element[0]), "RETRY");
	return *ret_again ? ERROR_NONE : redis_status(r, e);
}

enum error_class redis_cut_copy(struct store *port, uint32_t shard, int64_t of, int64_t copy, struct error *e)
{
	enum { LISTS_MOST = 20 }; // a new month or late bucket each time: more than come in a row
	bool again = true;
	for (int i = 0; i < LISTS_MOST && again; i++) {
		again = false;
		enum error_class c = list_and_cut(redis_of(port), shard, of, copy, &again, e);
		if (c != ERROR_NONE)
			return c;
	}
	return again ? error_set(e, ERROR_RETRY, 0, "redis: shard %u came to hold new months each time that it was to be copied; run the same command again",
				 shard) : ERROR_NONE;
}

static enum error_class adopt_from(struct store_redis *s, uint32_t shard, int64_t old, int64_t epoch, struct error *e)
{
	redis_fcall(s, "adopt", 3);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	key_of(s, shard, old, "out", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, s->init_id);
	command_int(&s->command, old);
	command_text(&s->command, s->generation);
	command_int(&s->command, epoch);
	return redis_call_function(s, NULL, e);
}

enum error_class redis_adopt(struct store *port, uint32_t shard, int64_t epoch, struct error *e)
{
	struct store_redis *s = redis_of(port);
	struct store_generations g = { 0 };
	int64_t old = 0;
	enum error_class c = redis_generations(port, shard, &g, e);
	if (c != ERROR_NONE)
		return c;
	check(span_int64(span_of(s->generation), &old));
	for (uint32_t i = 0; i < g.n; i++) // one at the most is in force
		if (g.list[i].kind == GENERATION_LIVE)
			old = g.list[i].number;
	store_generations_free(&g);
	return adopt_from(s, shard, old, epoch, e);
}

enum error_class redis_drop(struct store *port, uint32_t shard, int64_t generation, struct error *e)
{
	struct store_redis *s = redis_of(port);
	struct store_keys k = { 0 };
	enum error_class c = keys_of(s, shard, generation, &k, e);
	if (c != ERROR_NONE)
		return c;
	redis_fcall(s, "drop", 2 + (int)k.n);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	for (uint32_t i = 0; i < k.n; i++)
		key_of(s, shard, generation, k.list[i].what, k.list[i].month, k.list[i].adjust_month);
	key_of(s, shard, generation, "out", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, s->init_id);
	command_int(&s->command, generation);
	store_keys_free(&k);
	return redis_call_function(s, NULL, e);
}

enum error_class redis_lease(struct store *port, enum store_lease of, const char *holder, int64_t ttl_ms, char **ret_other, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	redis_fcall(s, "lease", 1);
	redis_words_key(s, 0, of == LEASE_GENERATIONS ? "lease" : "lease:checkpoint", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, holder);
	command_int(&s->command, ttl_ms);
	enum error_class c = redis_call(s, &r, e);
	if (c != ERROR_NONE)
		return c;
	bool other = reply_is_array(r, 2) && span_is(reply_span(r->element[0]), "HALT");
	if (other && r->element[1]->type != REDIS_REPLY_STRING)
		return redis_unknown_form(e, "a lease");
	*ret_other = other ? xstrdup(r->element[1]->str) : NULL;
	return other ? ERROR_NONE : redis_status(r, e);
}

enum error_class redis_size(struct store *port, uint32_t shard, const struct store_key *k, int64_t *ret_bytes, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "MEMORY");
	command_text(&s->command, "USAGE");
	redis_words_key(s, shard, k->what, k->month, k->adjust_month);
	enum error_class c = redis_call(s, &r, e);
	if (c == ERROR_NONE)
		*ret_bytes = r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
	return c;
}
