// SPDX-License-Identifier: Apache-2.0
// A generation as a whole, for checkpoints: what the generic scans do not hand out, and the way back in.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/redis.h"

enum { PAGE = 500, SCAN_COUNT = 1000 };

// ---- out
enum error_class redis_marks(struct store *port, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	char of[32];
	size_t n = (size_t)snprintf(of, sizeof(of), ":%s", s->generation);
	command_reset(&s->command);
	command_text(&s->command, "HGETALL");
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	enum error_class c = redis_call(s, &r, e);
	if (c == ERROR_NONE && (!reply_is_texts(r) || r->elements % 2 != 0))
		return redis_unknown_form(e, "HGETALL");
	for (size_t i = 0; c == ERROR_NONE && i < r->elements; i += 2) {
		char name[100];
		struct span field = reply_span(r->element[i]);
		if (field.p == NULL)
			continue;
		const char *colon = memchr(field.p, ':', field.n);
		size_t kind = colon != NULL ? (size_t)(colon - field.p) : field.n, rest = kind + n;
		if (field.n < rest || memcmp(field.p + kind, of, n) != 0 || (field.n > rest && field.p[rest] != ':') || (kind == 1 && field.p[0] == 'g'))
			continue;
		if (field.n - n >= sizeof(name))
			return redis_unknown_form(e, "meta");
		snprintf(name, sizeof(name), "%.*s%.*s", (int)kind, field.p, (int)(field.n - rest), field.p + rest);
		if (!fn(ctx, span_of(name), reply_span(r->element[i + 1])))
			break;
	}
	return c;
}

// The entries of one page behind `after`, which becomes the last one's place.
static enum error_class entries_page(struct store_redis *s, uint32_t shard, char after[64], store_entry_fn *fn, void *ctx, bool *ret_more, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "XRANGE");
	redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
	command_format(&s->command, "%s%s", after[0] != '\0' ? "(" : "", after[0] != '\0' ? after : "-");
	command_text(&s->command, "+");
	command_text(&s->command, "COUNT");
	command_int(&s->command, PAGE);
	enum error_class c = redis_call(s, &r, e);
	if (c == ERROR_NONE && r->type != REDIS_REPLY_ARRAY)
		return redis_unknown_form(e, "XRANGE");
	*ret_more = c == ERROR_NONE && r->elements == PAGE;
	for (size_t i = 0; c == ERROR_NONE && i < r->elements; i++) {
		enum { WORDS = 64 };
		struct span words[WORDS];
		const redisReply *entry = r->element[i];
		if (!reply_is_array(entry, 2) || entry->element[0]->type != REDIS_REPLY_STRING || entry->element[0]->len >= 64 ||
		    !reply_is_texts(entry->element[1]) || entry->element[1]->elements > WORDS)
			return redis_unknown_form(e, "XRANGE");
		for (size_t k = 0; k < entry->element[1]->elements; k++)
			words[k] = reply_span(entry->element[1]->element[k]);
		snprintf(after, 64, "%s", entry->element[0]->str);
		if (!fn(ctx, words, (uint32_t)entry->element[1]->elements))
			*ret_more = false;
	}
	return c;
}

enum error_class redis_entries(struct store *port, uint32_t shard, store_entry_fn *fn, void *ctx, struct error *e)
{
	char after[64] = "";
	bool more = true;
	enum error_class c = ERROR_NONE;
	while (more && c == ERROR_NONE)
		c = entries_page(redis_of(port), shard, after, fn, ctx, &more, e);
	return c;
}

// ---- in
static void begin_put(struct store_redis *s, const char *function, uint32_t shard, const char *what, int month, int adjust_month)
{
	redis_fcall(s, function, 2);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, what, month, adjust_month);
	command_text(&s->command, s->init_id);
	command_text(&s->command, s->generation);
}

static enum error_class end_put(struct store_redis *s, const struct span *words, uint32_t n, struct error *e)
{
	check(n > 0 && n % 2 == 0);
	for (uint32_t i = 0; i < n; i++)
		command_span(&s->command, words[i]);
	return redis_call_function(s, NULL, e);
}

enum error_class redis_restore(struct store *port, uint32_t shard, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "restore", 1);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, s->init_id);
	command_text(&s->command, s->generation);
	command_int(&s->command, s->o.shards);
	return redis_call_function(s, NULL, e);
}

enum error_class redis_put(struct store *port, uint32_t shard, const struct store_key *k, const struct span *words, uint32_t n, struct error *e)
{
	begin_put(redis_of(port), "put", shard, k->what, k->month, k->adjust_month);
	return end_put(redis_of(port), words, n, e);
}

enum error_class redis_put_marks(struct store *port, uint32_t shard, const struct span *words, uint32_t n, struct error *e)
{
	begin_put(redis_of(port), "put", shard, "meta", MONTH_NONE, MONTH_NONE);
	return end_put(redis_of(port), words, n, e);
}

enum error_class redis_put_entry(struct store *port, uint32_t shard, const struct span *words, uint32_t n, struct error *e)
{
	begin_put(redis_of(port), "put_entry", shard, "out", MONTH_NONE, MONTH_NONE);
	return end_put(redis_of(port), words, n, e);
}

enum error_class redis_restored(struct store *port, uint32_t shard, bool in_force, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "restored", 1);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, s->init_id);
	command_text(&s->command, s->generation);
	command_text(&s->command, in_force ? "live" : "building");
	return redis_call_function(s, NULL, e);
}

// ---- what a lost meta left behind
static bool is_left_over(const char *key, const char *shard)
{
	static const char *const kept[] = { "meta", "req", "lease", "lease:checkpoint" };
	size_t n = strlen(shard);
	if (strncmp(key, shard, n) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (strcmp(key + n, kept[i]) == 0)
			return false;
	return true;
}

static enum error_class unlink_key(struct store_redis *s, struct span key, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "UNLINK");
	command_span(&s->command, key);
	return redis_call(s, &r, e);
}

// The name is looked at here, not by MATCH: a prefix may hold what a pattern takes for something else.
enum error_class redis_left_over(struct store *port, uint32_t shard, bool remove, int64_t *ret_n, struct error *e)
{
	struct store_redis *s = redis_of(port);
	char cursor[32] = "0";
	CLEANUP(freep) char *name = xasprintf("%s{s%02u}:", s->prefix, shard);
	*ret_n = 0;
	do {
		CLEANUP(redis_reply_freep) redisReply *r = NULL;
		command_reset(&s->command);
		command_text(&s->command, "SCAN");
		command_text(&s->command, cursor);
		command_text(&s->command, "COUNT");
		command_int(&s->command, SCAN_COUNT);
		enum error_class c = redis_call(s, &r, e);
		if (c != ERROR_NONE)
			return c;
		if (!reply_is_array(r, 2) || r->element[0]->type != REDIS_REPLY_STRING || (size_t)r->element[0]->len >= sizeof(cursor) ||
		    !reply_is_texts(r->element[1]))
			return redis_unknown_form(e, "SCAN");
		snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
		for (size_t i = 0; i < r->element[1]->elements; i++) {
			if (!is_left_over(r->element[1]->element[i]->str, name))
				continue;
			(*ret_n)++;
			c = remove ? unlink_key(s, reply_span(r->element[1]->element[i]), e) : ERROR_NONE;
			if (c != ERROR_NONE)
				return c;
		}
	} while (strcmp(cursor, "0") != 0);
	return ERROR_NONE;
}
