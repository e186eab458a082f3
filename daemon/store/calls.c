// SPDX-License-Identifier: Apache-2.0
// Every step but the commit: claims, the outbox, a month's end, scans. One round trip a call, idempotent.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "store/bundle.h"
#include "store/redis.h"

#include <xxhash.h>

enum { SHARDS_MOST = 65536 }; // as the control topic has it

uint32_t store_shard(struct span account, uint32_t shards)
{
	check(shards > 0);
	return (uint32_t)(XXH3_64bits(account.p, account.n) % shards);
}

void redis_words_key(struct store_redis *s, uint32_t shard, const char *what, int month, int adjust)
{
	char key[KEY_LENGTH];
	command_format(&s->command, "%s", redis_key(s, key, shard, what, month, adjust));
}

static void words_identity(struct store_redis *s)
{
	check(s->init_id[0] != '\0');
	command_text(&s->command, s->init_id);
	command_text(&s->command, s->generation);
}

// Sends the function call and maps its status word; the reply is wanted only by some.
enum error_class redis_call_function(struct store_redis *s, redisReply **ret, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	enum error_class cls = redis_call(s, &r, e);
	if (cls == ERROR_NONE)
		cls = redis_status(r, e);
	if (cls == ERROR_NONE && ret != NULL)
		*ret = TAKE_PTR(r);
	return cls;
}

// A plain command of literal words and one key.
static enum error_class call_plain(struct store_redis *s, redisReply **ret, struct error *e)
{
	return redis_call(s, ret, e);
}

static enum error_class config_get(struct store_redis *s, const char *name, char *value, size_t size, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "CONFIG");
	command_text(&s->command, "GET");
	command_text(&s->command, name);
	struct error why = { 0 };
	enum error_class cls = call_plain(s, &r, &why);
	value[0] = '\0';
	if (cls == ERROR_NONE && reply_is_array(r, 2) && reply_is_texts(r))
		snprintf(value, size, "%s", r->element[1]->str);
	else if (cls == ERROR_RETRY)
		return error_set(e, cls, 0, "%s", why.text);
	return ERROR_NONE; // CONFIG may be forbidden: then the value stays unknown
}

// The first versions' library was called meterd_1 whatever its text, and its functions do not look at the schema. In its place lies one
// without them: a program of then finds that it is not its own, and stops, where it would write a state that it does not understand.
static enum error_class retire_first_functions(struct store_redis *s, struct error *e)
{
	static const char text[] = "#!lua name=meterd_1\n-- This state was taken over by a newer meterd. Do not delete this library.\n"
				   "redis.register_function('meterd_1_retired', function() return 'OK' end)\n";
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "FUNCTION");
	command_text(&s->command, "LOAD");
	command_text(&s->command, "REPLACE");
	command_text(&s->command, text);
	return redis_call(s, &r, e);
}

static enum error_class redis_verify(struct store *port, struct error *e)
{
	struct store_redis *s = redis_of(port);
	char policy[64], aof[16], cluster[16], quoted[300];
	enum error_class cls = config_get(s, "maxmemory-policy", policy, sizeof(policy), e);
	if (cls == ERROR_NONE)
		cls = config_get(s, "appendonly", aof, sizeof(aof), e);
	if (cls == ERROR_NONE)
		cls = config_get(s, "cluster-enabled", cluster, sizeof(cluster), e);
	if (cls != ERROR_NONE)
		return cls;
	if (policy[0] != '\0' && strcmp(policy, "noeviction") != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "redis at %s: maxmemory-policy is %s, which may throw counters away; run `redis-cli CONFIG SET "
				 "maxmemory-policy noeviction` and put it into redis.conf", s->name, policy);
	if (strcmp(cluster, "yes") == 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "redis at %s is a cluster, which is not supported yet; set redis.url to a single Redis", s->name);
	if (policy[0] == '\0')
		log_line(LVL_WARN, "redis_unchecked", "redis=%s do=%s", log_quote(s->name, quoted, sizeof(quoted)),
			 "\"allow CONFIG GET, or make sure that maxmemory-policy is noeviction and appendonly yes\"");
	if (strcmp(aof, "no") == 0)
		log_line(LVL_WARN, "redis_without_aof", "redis=%s do=%s", log_quote(s->name, quoted, sizeof(quoted)),
			 "\"set appendonly yes: without it a restart of Redis loses the counters, and they must be rebuilt from Kafka\"");
	cls = redis_load_functions(s, e);
	if (cls == ERROR_NONE)
		cls = retire_first_functions(s, e);
	for (uint32_t shard = 0; shard < s->o.shards && cls == ERROR_NONE; shard++) {
		redis_fcall(s, "migrate", 1);
		redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
		cls = redis_call_function(s, NULL, e);
	}
	return cls;
}

static enum error_class redis_state(struct store *port, uint32_t shard, struct store_state *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "HMGET");
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	static const char *const fields[] = { "init", "shards", "gen", "rules", "schema" };
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		command_text(&s->command, fields[i]);
	command_format(&s->command, "g:%s", s->generation);
	enum error_class cls = call_plain(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	struct store_state state = { 0 };
	int64_t shards = 0;
	if (!reply_is_array(r, ARRAY_LEN(fields) + 1))
		return redis_unknown_form(e, "HMGET");
	struct span id = reply_span(r->element[0]);
	if (id.p != NULL) {
		if (!span_is(reply_span(r->element[4]), STORE_SCHEMA))
			return redis_other_schema(reply_span(r->element[4]), e);
		state.exists = true;
		state.lacks_generation = reply_span(r->element[ARRAY_LEN(fields)]).p == NULL;
		state.restoring = span_is(reply_span(r->element[ARRAY_LEN(fields)]), "restoring");
		snprintf(state.init_id, sizeof(state.init_id), "%s", id.p);
		if (id.n == 0 || strlen(state.init_id) != id.n || !span_int64(reply_span(r->element[1]), &shards) || shards < 1 ||
		    shards > SHARDS_MOST || !span_int64(reply_span(r->element[2]), &state.generation) || state.generation < 1 ||
		    !span_int64(reply_span(r->element[3]), &state.rules_version) || state.rules_version < 0)
			return error_set(e, ERROR_HALT, 0, "redis: meta of shard %u cannot be read", shard);
		state.shards = (uint32_t)shards;
	}
	*ret = state;
	return ERROR_NONE;
}

static enum error_class redis_create(struct store *port, uint32_t shard, const char *init_id, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "create", 1);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, init_id);
	command_int(&s->command, s->o.shards);
	command_text(&s->command, s->generation);
	return redis_call_function(s, NULL, e);
}

static void redis_identity(struct store *port, const char *init_id, int64_t generation)
{
	struct store_redis *s = redis_of(port);
	snprintf(s->init_id, sizeof(s->init_id), "%s", init_id);
	snprintf(s->generation, sizeof(s->generation), "%lld", (long long)generation);
}

static enum error_class redis_register_rules(struct store *port, uint32_t shard, int64_t version, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "register", 1);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	command_int(&s->command, version);
	return redis_call_function(s, NULL, e);
}

static enum error_class claims_read(const redisReply *r, struct store_claim *claims, uint32_t n, struct error *e)
{
	if (r->elements != n + 1)
		return error_set(e, ERROR_HALT, 0, "redis: %zu positions came back, %u were asked for", r->elements - 1, n);
	for (uint32_t i = 0; i < n; i++)
		if (!position_parse(reply_span(r->element[i + 1]), &claims[i].at))
			return error_set(e, ERROR_HALT, 0, "redis: the position of %.*s cannot be read", (int)claims[i].name.n,
					 claims[i].name.p);
	return ERROR_NONE;
}

static enum error_class redis_claim(struct store *port, uint32_t shard, struct span token, struct store_claim *claims, uint32_t n,
				    struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	redis_fcall(s, "claim", 2);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "off", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	command_span(&s->command, token);
	for (uint32_t i = 0; i < n; i++) {
		char position[128];
		position_format(&claims[i].start, position);
		command_span(&s->command, claims[i].name);
		command_format(&s->command, "%s", position);
	}
	enum error_class cls = redis_call_function(s, &r, e);
	return cls == ERROR_NONE ? claims_read(r, claims, n, e) : cls;
}

static enum error_class redis_renew(struct store *port, uint32_t shard, struct span old_token, struct span new_token,
				    struct store_claim *claims, uint32_t n, bool *ret_foreign, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	redis_fcall(s, "renew", 2);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "off", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	command_span(&s->command, old_token);
	command_span(&s->command, new_token);
	for (uint32_t i = 0; i < n; i++)
		command_span(&s->command, claims[i].name);
	enum error_class cls = redis_call(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	*ret_foreign = r->type == REDIS_REPLY_ARRAY && r->elements > 0 &&
		       (span_is(reply_span(r->element[0]), "FOREIGN") || span_is(reply_span(r->element[0]), "RETIRED"));
	if (*ret_foreign)
		return ERROR_NONE;
	cls = redis_status(r, e);
	return cls == ERROR_NONE ? claims_read(r, claims, n, e) : cls;
}

static int redis_fd(struct store *port)
{
	struct store_redis *s = redis_of(port);
	return s->c != NULL && s->c->err == 0 ? s->c->fd : -1;
}

static uint64_t redis_session(struct store *port)
{
	return redis_of(port)->sessions;
}

static void redis_informed(struct store *port, uint64_t session)
{
	redis_of(port)->informed = session;
}

static enum error_class redis_mark(struct store *port, struct span name, int64_t offset, int64_t *ret_clock_ms, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "HGET");
	redis_words_key(s, 0, "clk", MONTH_NONE, MONTH_NONE);
	command_format(&s->command, "%.*s/%lld", (int)name.n, name.p, (long long)offset);
	enum error_class cls = call_plain(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	int64_t clock = TIME_NONE;
	if (r->type != REDIS_REPLY_NIL && !span_is(reply_span(r), "-") && !span_int64(reply_span(r), &clock))
		return error_set(e, ERROR_HALT, 0, "redis: a clock mark of %.*s cannot be read", (int)name.n, name.p);
	*ret_clock_ms = clock;
	return ERROR_NONE;
}

// ---- relay

static struct span entry_field(const redisReply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		if (span_is(reply_span(fields->element[i]), name))
			return reply_span(fields->element[i + 1]);
	return (struct span){ NULL, 0 };
}

static bool entry_alert(const redisReply *f, struct outbox_entry *e)
{
	int64_t stamp = 0;
	struct span source = entry_field(f, "r"), taken = entry_field(f, "x");
	if (!span_int64(entry_field(f, "u"), &e->read_ms))
		e->read_ms = TIME_NONE;
	e->type = OUTBOX_ALERT;
	e->part = entry_field(f, "p");
	e->event_id = entry_field(f, "i");
	e->contract = entry_field(f, "e");
	e->cause = entry_field(f, "z");
	e->sharing = entry_field(f, "m");
	e->first_month = span_is(entry_field(f, "f"), "1");
	e->has_taken = taken.p != NULL;
	if (source.n > 0 && source.p[0] == '+')
		e->event_source = (struct span){ source.p + 1, source.n - 1 };
	bool good = span_int64(entry_field(f, "v"), &e->rules_version) && span_int64(entry_field(f, "b"), &e->before) &&
		    span_int64(entry_field(f, "a"), &e->after) && span_int64(entry_field(f, "w"), &e->time_ms) &&
		    span_int64(entry_field(f, "s"), &stamp);
	if (e->cause.p == NULL)
		good = good && span_int64(entry_field(f, "o"), &e->offset) && span_int64(entry_field(f, "c"), &e->calls) &&
		       e->part.p != NULL && e->event_id.p != NULL;
	if (e->has_taken)
		good = good && span_int64(taken, &e->taken_before) && span_int64(entry_field(f, "y"), &e->taken_after);
	// The crossing record's own stamp: the twin was published after the record was appended.
	e->not_before_ms = stamp >= 0 ? stamp : TIME_NONE;
	return good;
}

static bool entry_document(const redisReply *f, struct outbox_entry *e)
{
	struct span not_before = entry_field(f, "n");
	e->type = OUTBOX_DOCUMENT;
	e->account = entry_field(f, "c");
	e->not_before_ms = TIME_NONE;
	return span_is(not_before, "-") || span_int64(not_before, &e->not_before_ms);
}

static struct bundle *bundle_of(struct store_redis *s)
{
	if (s->bundle == NULL)
		s->bundle = bundle_new();
	return s->bundle;
}

enum entry_state { ENTRY_GOOD, ENTRY_STOP, ENTRY_UNREADABLE };

// The documents of an account's month lie in one entry, the end of a run in one of its own.
static enum entry_state entry_documents(struct store_redis *s, uint32_t shard, const redisReply *f, struct outbox_entry *e, store_outbox_fn *fn, void *ctx)
{
	struct span packed = entry_field(f, "z");
	bool on = true;
	e->document = entry_field(f, "d");
	if (packed.p == NULL)
		return e->document.p == NULL ? ENTRY_UNREADABLE : fn(ctx, shard, e) ? ENTRY_GOOD : ENTRY_STOP;
	struct bundle *b = bundle_of(s);
	if (!bundle_open(b, packed) || !bundle_more(b))
		return ENTRY_UNREADABLE;
	do {
		if (!bundle_take(b, &e->identity) || !bundle_take(b, &e->document))
			return ENTRY_UNREADABLE;
		e->more = bundle_more(b);
		on = fn(ctx, shard, e);
	} while (e->more && on);
	return on ? ENTRY_GOOD : ENTRY_STOP;
}

static enum entry_state take_entry(struct store_redis *s, uint32_t shard, const redisReply *r, store_outbox_fn *fn, void *ctx)
{
	const redisReply *fields = r->element[1];
	struct outbox_entry e = { .stream_id = reply_span(r->element[0]), .identity = entry_field(fields, "k"), .given_up = entry_field(fields, "g").p != NULL };
	bool alert = span_is(entry_field(fields, "t"), "a");
	if (e.identity.p == NULL || !(alert ? entry_alert(fields, &e) : entry_document(fields, &e)))
		return ENTRY_UNREADABLE;
	return !alert ? entry_documents(s, shard, fields, &e, fn, ctx) : fn(ctx, shard, &e) ? ENTRY_GOOD : ENTRY_STOP;
}

static enum error_class redis_outbox_waiting(struct store *port, bool *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	enum error_class cls = ERROR_NONE;
	for (uint32_t shard = 0; shard < s->o.shards && cls == ERROR_NONE; shard++) {
		command_reset(&s->command);
		command_text(&s->command, "XLEN");
		redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
		cls = redis_send(s, e);
	}
	for (uint32_t shard = 0; shard < s->o.shards && cls == ERROR_NONE; shard++) {
		CLEANUP(redis_reply_freep) redisReply *r = NULL;
		cls = redis_answer(s, &r, e);
		if (cls == ERROR_NONE && r->type != REDIS_REPLY_INTEGER) {
			redis_disconnect(s);
			cls = redis_unknown_form(e, "XLEN");
		}
		ret[shard] = cls == ERROR_NONE && r->integer > 0;
	}
	return cls;
}

enum { OUTBOX_PIECE = 128 };

// So many entries from a stream id on; *ret_on: more may follow, and are wanted, from the new `from` on.
static enum error_class outbox_piece(struct store_redis *s, uint32_t shard, char from[64], uint32_t most, store_outbox_fn *fn, void *ctx, bool *ret_on,
				     struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "XRANGE");
	redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, from);
	command_text(&s->command, "+");
	command_text(&s->command, "COUNT");
	command_int(&s->command, most);
	enum error_class cls = call_plain(s, &r, e);
	*ret_on = false;
	if (cls == ERROR_NONE && r->type != REDIS_REPLY_ARRAY)
		return redis_unknown_form(e, "XRANGE");
	for (size_t i = 0; cls == ERROR_NONE && i < r->elements; i++) {
		const redisReply *x = r->element[i];
		if (!reply_is_array(x, 2) || x->element[0]->type != REDIS_REPLY_STRING || !reply_is_texts(x->element[1]))
			return redis_unknown_form(e, "XRANGE");
		enum entry_state state = take_entry(s, shard, x, fn, ctx);
		if (state == ENTRY_UNREADABLE)
			return error_set(e, ERROR_HALT, 0, "redis: outbox entry %.*s of shard %u cannot be read", (int)x->element[0]->len, x->element[0]->str,
					 shard);
		if (state == ENTRY_STOP)
			return ERROR_NONE;
		snprintf(from, 64, "(%.60s", x->element[0]->str);
	}
	*ret_on = cls == ERROR_NONE && r->elements == most;
	return cls;
}

static enum error_class redis_outbox_read(struct store *port, uint32_t shard, uint32_t most, store_outbox_fn *fn, void *ctx,
					  struct error *e)
{
	char from[64] = "-";
	enum error_class cls = ERROR_NONE;
	for (bool on = true; on && most > 0 && cls == ERROR_NONE;) {
		uint32_t piece = most < OUTBOX_PIECE ? most : OUTBOX_PIECE;
		cls = outbox_piece(redis_of(port), shard, from, piece, fn, ctx, &on, e);
		most -= piece;
	}
	return cls;
}

static enum error_class redis_outbox_ack(struct store *port, uint32_t shard, const struct span *stream_ids,
					 const struct span *identities, uint32_t n, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "ack", 2);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	for (uint32_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && span_eq(stream_ids[end], stream_ids[i]); end++)
			;
		command_span(&s->command, stream_ids[i]);
		command_span(&s->command, identities[i]);
		command_int(&s->command, end - i);
	}
	return redis_call_function(s, NULL, e);
}

// A count: never negative. `absent` where there is none.
static enum error_class call_number(struct store_redis *s, int64_t absent, int64_t *ret, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	enum error_class cls = call_plain(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	int64_t n = r->type == REDIS_REPLY_INTEGER ? r->integer : -1;
	if (r->type != REDIS_REPLY_NIL && r->type != REDIS_REPLY_INTEGER && r->type != REDIS_REPLY_STRING)
		return redis_unknown_form(e, s->command.word[0]);
	if (r->type != REDIS_REPLY_NIL && ((r->type == REDIS_REPLY_STRING && !span_int64(reply_span(r), &n)) || n < 0))
		return error_set(e, ERROR_HALT, 0, "redis: `%.100s` is no count", r->type == REDIS_REPLY_STRING ? r->str : "a negative number");
	*ret = r->type != REDIS_REPLY_NIL ? n : absent;
	return ERROR_NONE;
}

static enum error_class redis_looked(struct store *port, uint32_t shard, int64_t *ret_ms, struct error *e)
{
	struct store_redis *s = redis_of(port);
	command_reset(&s->command);
	command_text(&s->command, "HGET");
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	command_format(&s->command, "looked:%s", s->generation);
	return call_number(s, INT64_MIN, ret_ms, e);
}

static enum error_class redis_looked_set(struct store *port, uint32_t shard, const char *mark, int64_t ms, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "looked", 1);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	command_text(&s->command, mark);
	command_int(&s->command, ms);
	return redis_call_function(s, NULL, e);
}

static enum error_class redis_outbox_length(struct store *port, uint32_t shard, int64_t *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	command_reset(&s->command);
	command_text(&s->command, "XLEN");
	redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
	return call_number(s, 0, ret, e);
}

// ---- closer

void store_positions_free(struct store_positions *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		free(p->list[i].name);
	free(p->list);
	*p = (struct store_positions){ 0 };
}

static enum error_class redis_positions(struct store *port, uint32_t shard, struct store_positions *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "HGETALL");
	redis_words_key(s, shard, "off", MONTH_NONE, MONTH_NONE);
	enum error_class cls = call_plain(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	if (!reply_is_texts(r) || r->elements % 2 != 0)
		return redis_unknown_form(e, "HGETALL");
	struct store_positions p = { .list = xcalloc(r->elements / 2, sizeof(*p.list)) };
	for (size_t i = 0; i + 1 < r->elements; i += 2) {
		struct span value = reply_span(r->element[i + 1]);
		const char *token = value.p != NULL ? memrchr(value.p, ' ', value.n) : NULL;
		value.n = token != NULL ? (size_t)(token - value.p) : 0;
		if (value.n == 0 || !position_parse(value, &p.list[p.n].at)) {
			store_positions_free(&p);
			return error_set(e, ERROR_HALT, 0, "redis: the position of %s in shard %u cannot be read", r->element[i]->str, shard);
		}
		p.list[p.n++].name = xstrdup(r->element[i]->str);
	}
	*ret = p;
	return ERROR_NONE;
}

void store_months_free(struct store_months *m)
{
	free(m->list);
	*m = (struct store_months){ 0 };
}

// "m:2:2020-01" or "m:2:2020-01:2020-03": a month that generation 2 holds.
static bool month_of_field(const struct store_redis *s, struct span field, struct store_month *ret)
{
	char head[32];
	size_t n = (size_t)snprintf(head, sizeof(head), "m:%s:", s->generation);
	if (field.p == NULL || field.n < n + 7 || memcmp(field.p, head, n) != 0)
		return false;
	*ret = (struct store_month){ .adjust_month = MONTH_NONE };
	return month_parse((struct span){ field.p + n, 7 }, &ret->month) &&
	       (field.n == n + 7 || (field.n == n + 15 && month_parse((struct span){ field.p + n + 8, 7 }, &ret->adjust_month)));
}

static enum error_class redis_months(struct store *port, uint32_t shard, struct store_months *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "HKEYS");
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	enum error_class cls = call_plain(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	if (!reply_is_texts(r))
		return redis_unknown_form(e, "HKEYS");
	struct store_months m = { .list = xcalloc(r->elements, sizeof(*m.list)) };
	for (size_t i = 0; i < r->elements; i++)
		m.n += month_of_field(s, reply_span(r->element[i]), &m.list[m.n]);
	*ret = m;
	return ERROR_NONE;
}

static enum error_class redis_cut(struct store *port, uint32_t shard, int month, struct span name, int64_t *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	char text[MONTH_TEXT];
	command_reset(&s->command);
	command_text(&s->command, "HMGET");
	redis_words_key(s, shard, "cut", MONTH_NONE, MONTH_NONE);
	command_format(&s->command, "%s/%.*s", month_text(month, text), (int)name.n, name.p);
	command_format(&s->command, "first/%.*s", (int)name.n, name.p);
	enum error_class cls = call_plain(s, &r, e);
	if (cls != ERROR_NONE)
		return cls;
	if (!reply_is_array(r, 2))
		return redis_unknown_form(e, "HMGET");
	int64_t cut = -1;
	const redisReply *found = r->element[0]->type != REDIS_REPLY_NIL ? r->element[0] : r->element[1];
	if (found->type != REDIS_REPLY_NIL && (!span_int64(reply_span(found), &cut) || cut < 0))
		return error_set(e, ERROR_HALT, 0, "redis: a cut of shard %u cannot be read", shard);
	*ret = cut;
	return ERROR_NONE;
}

static enum error_class redis_close_month(struct store *port, uint32_t shard, int month, int64_t close_ms, const char *manifest_sha256,
					  bool follows, const struct span *parts, uint32_t n_parts, struct error *e)
{
	struct store_redis *s = redis_of(port);
	char text[MONTH_TEXT];
	redis_fcall(s, "close", 2);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "off", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	command_format(&s->command, "%s", month_text(month, text));
	command_int(&s->command, close_ms);
	command_text(&s->command, manifest_sha256);
	command_format(&s->command, "%s", follows ? month_text(month - 1, text) : "");
	for (uint32_t i = 0; i < n_parts; i++)
		command_span(&s->command, parts[i]);
	return redis_call_function(s, NULL, e);
}

// A whole scan from 0; a lost connection ends it (ERROR_RETRY), since a cursor must not be carried over a fail-over.
enum error_class redis_scan_hash(struct store_redis *s, uint32_t shard, const char *what, int month, int adjust, store_scan_fn *fn,
				  void *ctx, struct error *e)
{
	char cursor[32] = "0";
	do {
		CLEANUP(redis_reply_freep) redisReply *r = NULL;
		command_reset(&s->command);
		command_text(&s->command, "HSCAN");
		redis_words_key(s, shard, what, month, adjust);
		command_text(&s->command, cursor);
		command_text(&s->command, "COUNT");
		command_text(&s->command, "1000");
		if (strcmp(cursor, "0") != 0 && redis_fd(&s->port) < 0)
			return error_set(e, ERROR_RETRY, 0, "redis: the connection was lost in the middle of a scan");
		enum error_class cls = call_plain(s, &r, e);
		if (cls != ERROR_NONE)
			return cls;
		if (!reply_is_array(r, 2) || r->element[0]->type != REDIS_REPLY_STRING || (size_t)r->element[0]->len >= sizeof(cursor) ||
		    !reply_is_texts(r->element[1]) || r->element[1]->elements % 2 != 0)
			return redis_unknown_form(e, "HSCAN");
		snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
		const redisReply *list = r->element[1];
		for (size_t i = 0; i + 1 < list->elements; i += 2)
			if (!fn(ctx, reply_span(list->element[i]), reply_span(list->element[i + 1])))
				return ERROR_NONE;
	} while (strcmp(cursor, "0") != 0);
	return ERROR_NONE;
}

static enum error_class redis_scan_counters(struct store *port, uint32_t shard, int month, int adjust_month, store_scan_fn *fn,
					    void *ctx, struct error *e)
{
	const char *what = adjust_month != MONTH_NONE ? "late" : "use";
	return redis_scan_hash(redis_of(port), shard, what, month, adjust_month, fn, ctx, e);
}

static enum error_class redis_scan_freezes(struct store *port, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	return redis_scan_hash(redis_of(port), shard, "frz", month, MONTH_NONE, fn, ctx, e);
}

static enum error_class redis_scan_settled(struct store *port, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	return redis_scan_hash(redis_of(port), shard, "set", month, MONTH_NONE, fn, ctx, e);
}

static enum error_class redis_scan_active(struct store *port, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	return redis_scan_hash(redis_of(port), shard, "act", MONTH_NONE, MONTH_NONE, fn, ctx, e);
}

static enum error_class redis_scan_ledger(struct store *port, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	return redis_scan_hash(redis_of(port), shard, "led", MONTH_NONE, MONTH_NONE, fn, ctx, e);
}

// " 24240:24240 24238:24243": months of activation, each with the month in whose settlement it counts first. False where it cannot be
// read: an account taken for a new one would get another bill.
static bool active_parse(struct span text, int below_month, int *ret)
{
	int since = MONTH_NONE;
	for (size_t at = text.n > 0 && text.p[0] == ' '; at < text.n;) {
		const char *blank = memchr(text.p + at, ' ', text.n - at);
		size_t end = blank != NULL ? (size_t)(blank - text.p) : text.n;
		const char *colon = memchr(text.p + at, ':', end - at);
		int64_t month, bucket;
		if (colon == NULL || !span_int64((struct span){ text.p + at, (size_t)(colon - text.p) - at }, &month) ||
		    !span_int64((struct span){ colon + 1, (size_t)(text.p + end - colon - 1) }, &bucket) || month < MONTH_FIRST ||
		    month > bucket || bucket > MONTH_LAST)
			return false;
		if (bucket <= below_month && (since == MONTH_NONE || month < since))
			since = (int)month;
		at = end + 1;
	}
	*ret = since;
	return true;
}

static enum error_class redis_active_since(struct store *port, uint32_t shard, const struct span *accounts, uint32_t n, int below_month,
					   int *ret_months, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	if (n == 0)
		return ERROR_NONE;
	command_reset(&s->command);
	command_text(&s->command, "HMGET");
	redis_words_key(s, shard, "act", MONTH_NONE, MONTH_NONE);
	for (uint32_t i = 0; i < n; i++)
		command_span(&s->command, accounts[i]);
	enum error_class cls = call_plain(s, &r, e);
	if (cls == ERROR_NONE && !reply_is_array(r, n))
		return redis_unknown_form(e, "HMGET");
	for (uint32_t i = 0; cls == ERROR_NONE && i < n; i++)
		if ((r->element[i]->type != REDIS_REPLY_NIL && r->element[i]->type != REDIS_REPLY_STRING) ||
		    !active_parse(reply_span(r->element[i]), below_month, &ret_months[i]))
			return error_set(e, ERROR_HALT, 0, "redis: the months of activation of %.*s in shard %u cannot be read",
					 (int)accounts[i].n, accounts[i].p, shard);
	return cls;
}

static void pack_not_before(struct pack *b, int64_t ms)
{
	if (ms == TIME_NONE)
		pack_text(b, span_of("-"));
	else
		pack_number_text(b, ms);
}

static void pack_known(struct pack *b, struct span s) // nothing: ''
{
	pack_text(b, s.p != NULL ? s : SPAN_LIT(""));
}

static void pack_revision(struct pack *b, const struct store_revision *r, int64_t key)
{
	pack_array(b, 5);
	pack_int(b, key);
	pack_int(b, key + 1);
	pack_known(b, r->before);
	pack_text(b, r->facts);
	pack_array(b, r->n_adjustments);
	for (uint32_t i = 0; i < r->n_adjustments; i++) {
		const struct store_adjustment *a = &r->adjustments[i];
		pack_array(b, 2);
		pack_text(b, a->service_id);
		if (a->calls == STORE_CORRECTION)
			pack_text(b, SPAN_LIT(""));
		else
			pack_number_text(b, a->calls);
	}
}

static void pack_line(struct pack *b, const struct store_line *l)
{
	pack_array(b, 5);
	pack_text(b, l->service_id);
	pack_number_text(b, l->calls);
	pack_number_text(b, l->unfreeze_fen);
	pack_number_text(b, l->freeze_fen);
	pack_text(b, l->facts);
}

// Months that some account of the list is adjusted in, each once.
struct adjusted {
	int *list;
	uint32_t n;
};

static uint32_t adjusted_at(struct adjusted *a, int month)
{
	uint32_t i = 0;
	while (i < a->n && a->list[i] != month)
		i++;
	if (i == a->n) {
		a->list = xrealloc(a->list, a->n + 1, sizeof(*a->list));
		a->list[a->n++] = month;
	}
	return i;
}

enum { SETTLE_KEYS = 7, FINISH_KEYS = 4 };

// Of one entry, which is published in one transaction and leaves the outbox as a whole: more than what most accounts have.
enum { ENTRY_DOCUMENTS = 128, ENTRY_BYTES = 1 << 20 };

struct document {
	struct span identity, document;
};

// In the order in which they go out: adjustments before the month itself. Free the list.
static struct document *statement_documents(const struct store_statement *st, uint32_t *ret_n)
{
	uint32_t n = st->n_lines + 1;
	for (uint32_t i = 0; i < st->n_revisions; i++)
		n += st->revisions[i].n_adjustments + 1;
	struct document *list = xcalloc(n, sizeof(*list)), *at = list;
	for (uint32_t i = 0; i < st->n_revisions; i++) {
		const struct store_revision *r = &st->revisions[i];
		for (uint32_t k = 0; k < r->n_adjustments; k++)
			*at++ = (struct document){ r->adjustments[k].identity, r->adjustments[k].document };
		*at++ = (struct document){ r->identity, r->document };
	}
	for (uint32_t i = 0; i < st->n_lines; i++)
		*at++ = (struct document){ st->lines[i].identity, st->lines[i].document };
	if (st->n_lines > 0)
		*at++ = (struct document){ st->identity, st->document };
	*ret_n = (uint32_t)(at - list);
	return list;
}

static uint32_t entry_end(const struct document *list, uint32_t n, uint32_t first)
{
	size_t bytes = 0;
	uint32_t end = first;
	while (end < n && end - first < ENTRY_DOCUMENTS && (end == first || bytes + list[end].document.n <= ENTRY_BYTES))
		bytes += list[end++].document.n;
	return end;
}

static void pack_documents(struct pack *b, const struct store_statement *st, struct bundle *bundle)
{
	uint32_t n, entries = 0;
	CLEANUP(freep) struct document *list = statement_documents(st, &n);
	for (uint32_t i = 0; i < n; i = entry_end(list, n, i))
		entries++;
	pack_array(b, 3 * entries);
	for (uint32_t i = 0, end; i < n; i = end) {
		end = entry_end(list, n, i);
		bundle_begin(bundle);
		for (uint32_t k = i; k < end; k++) {
			bundle_add(bundle, list[k].identity);
			bundle_add(bundle, list[k].document);
		}
		pack_text(b, list[i].identity);
		pack_number_text(b, end - i);
		pack_text(b, bundle_end(bundle));
	}
}

static void pack_statement(struct pack *b, const struct store_statement *st, struct adjusted *months, struct bundle *bundle)
{
	pack_array(b, 9);
	pack_text(b, st->account);
	pack_not_before(b, st->not_before_ms);
	pack_known(b, st->packs_before);
	pack_known(b, st->packs);
	pack_known(b, st->late_facts);
	pack_array(b, st->n_revisions);
	for (uint32_t i = 0; i < st->n_revisions; i++)
		pack_revision(b, &st->revisions[i], SETTLE_KEYS + 1 + 2 * (int64_t)adjusted_at(months, st->revisions[i].month));
	pack_array(b, st->n_lines);
	for (uint32_t i = 0; i < st->n_lines; i++)
		pack_line(b, &st->lines[i]);
	pack_known(b, st->facts);
	pack_documents(b, st, bundle);
}

static void check_statement(const struct store_statement *st)
{
	check(st->n_lines + st->n_revisions > 0 && st->packs.p != NULL && (st->late_facts.p != NULL) == (st->n_revisions > 0));
}

static enum error_class redis_settle(struct store *port, uint32_t shard, int month, const struct store_statement *list, uint32_t n,
				     struct error *e)
{
	struct store_redis *s = redis_of(port);
	char text[MONTH_TEXT];
	struct adjusted months = { 0 };
	for (uint32_t i = 0; i < n; i++) {
		check_statement(&list[i]);
		for (uint32_t k = 0; k < list[i].n_revisions; k++)
			adjusted_at(&months, list[i].revisions[k].month);
	}
	redis_fcall(s, "settle", SETTLE_KEYS + 2 * (int)months.n);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "use", month, MONTH_NONE);
	redis_words_key(s, shard, "frz", month - 1, MONTH_NONE);
	redis_words_key(s, shard, "frz", month, MONTH_NONE);
	redis_words_key(s, shard, "set", month, MONTH_NONE);
	redis_words_key(s, shard, "out", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "pk", MONTH_NONE, MONTH_NONE);
	for (uint32_t i = 0; i < months.n; i++) {
		redis_words_key(s, shard, "set", months.list[i], MONTH_NONE);
		redis_words_key(s, shard, "late", months.list[i], month);
	}
	words_identity(s);
	command_format(&s->command, "%s", month_text(month, text));
	pack_array(&s->command.scratch, n);
	for (uint32_t i = 0; i < n; i++)
		pack_statement(&s->command.scratch, &list[i], &months, bundle_of(s));
	free(months.list);
	command_pack(&s->command);
	return redis_call_function(s, NULL, e);
}

static enum error_class redis_finish(struct store *port, uint32_t shard, int month, const struct store_held *held, struct error *e)
{
	struct store_redis *s = redis_of(port);
	char text[MONTH_TEXT];
	redis_fcall(s, "finish", FINISH_KEYS + (int)held->n_late_months);
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, shard, "use", month, MONTH_NONE);
	redis_words_key(s, shard, "frz", month - 1, MONTH_NONE);
	redis_words_key(s, shard, "set", month, MONTH_NONE);
	for (uint32_t i = 0; i < held->n_late_months; i++)
		redis_words_key(s, shard, "late", held->late_months[i], month);
	words_identity(s);
	command_format(&s->command, "%s", month_text(month, text));
	command_int(&s->command, held->counters);
	command_int(&s->command, held->freezes);
	command_int(&s->command, held->late);
	command_int(&s->command, held->statements);
	command_int(&s->command, shard == 0);
	return redis_call_function(s, NULL, e);
}

// HMGET of one hash; the key is in the command already.
enum error_class redis_get_fields(struct store_redis *s, uint32_t shard, const char *what, int month, int adjust_month, const struct span *fields,
				   uint32_t n, struct arena *arena, struct span *ret, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	if (n == 0)
		return ERROR_NONE;
	command_reset(&s->command);
	command_text(&s->command, "HMGET");
	redis_words_key(s, shard, what, month, adjust_month);
	for (uint32_t i = 0; i < n; i++)
		command_span(&s->command, fields[i]);
	enum error_class cls = call_plain(s, &r, e);
	if (cls == ERROR_NONE && (r->type != REDIS_REPLY_ARRAY || r->elements != n))
		cls = error_set(e, ERROR_HALT, 0, "redis: HMGET answered in a form that is not known");
	for (uint32_t i = 0; cls == ERROR_NONE && i < n; i++) {
		struct span value = reply_span(r->element[i]);
		ret[i] = value.p != NULL ? arena_copy(arena, value) : value;
	}
	return cls;
}

static enum error_class redis_settled_get(struct store *port, uint32_t shard, int month, const struct span *fields, uint32_t n,
					  struct arena *arena, struct span *ret, struct error *e)
{
	return redis_get_fields(redis_of(port), shard, "set", month, MONTH_NONE, fields, n, arena, ret, e);
}

static enum error_class redis_packs_get(struct store *port, uint32_t shard, const struct span *accounts, uint32_t n, struct arena *arena,
					struct span *ret, struct error *e)
{
	return redis_get_fields(redis_of(port), shard, "pk", MONTH_NONE, MONTH_NONE, accounts, n, arena, ret, e);
}

static enum error_class redis_finished(struct store *port, uint32_t shard, int month, bool *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	char text[MONTH_TEXT];
	int64_t n = 0;
	command_reset(&s->command);
	command_text(&s->command, "HEXISTS");
	redis_words_key(s, shard, "meta", MONTH_NONE, MONTH_NONE);
	command_format(&s->command, "done:%s:%s", s->generation, month_text(month, text));
	enum error_class cls = call_number(s, 0, &n, e);
	if (cls == ERROR_NONE)
		*ret = n == 1;
	return cls;
}

static enum error_class redis_end_run(struct store *port, int month, struct span identity, struct span document, int64_t not_before_ms,
				      struct error *e)
{
	struct store_redis *s = redis_of(port);
	char text[MONTH_TEXT];
	redis_fcall(s, "end_run", 3);
	redis_words_key(s, 0, "meta", MONTH_NONE, MONTH_NONE);
	redis_words_key(s, 0, "set", month, MONTH_NONE);
	redis_words_key(s, 0, "out", MONTH_NONE, MONTH_NONE);
	words_identity(s);
	command_format(&s->command, "%s", month_text(month, text));
	command_span(&s->command, identity);
	command_span(&s->command, document);
	if (not_before_ms == TIME_NONE)
		command_text(&s->command, "-");
	else
		command_int(&s->command, not_before_ms);
	return redis_call_function(s, NULL, e);
}

static enum error_class redis_counter(struct store *port, uint32_t shard, int month, struct span account, struct span service_id,
				      int64_t *ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	command_reset(&s->command);
	command_text(&s->command, "HGET");
	redis_words_key(s, shard, "use", month, MONTH_NONE);
	command_format(&s->command, "%.*s/%.*s", (int)account.n, account.p, (int)service_id.n, service_id.p);
	return call_number(s, -1, ret, e);
}

static enum error_class redis_counters_get(struct store *port, uint32_t shard, int month, int adjust_month, const struct span *fields, uint32_t n,
					   struct arena *arena, struct span *ret, struct error *e)
{
	return redis_get_fields(redis_of(port), shard, adjust_month != MONTH_NONE ? "late" : "use", month, adjust_month, fields, n, arena, ret, e);
}

// ---- requests

static enum error_class redis_request_put(struct store *port, struct span request, struct error *e)
{
	struct store_redis *s = redis_of(port);
	int64_t n = 0;
	command_reset(&s->command);
	command_text(&s->command, "RPUSH");
	redis_words_key(s, 0, "req", MONTH_NONE, MONTH_NONE);
	command_span(&s->command, request);
	return call_number(s, 0, &n, e);
}

static enum error_class redis_request_peek(struct store *port, char **ret, struct error *e)
{
	struct store_redis *s = redis_of(port);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	command_reset(&s->command);
	command_text(&s->command, "LINDEX");
	redis_words_key(s, 0, "req", MONTH_NONE, MONTH_NONE);
	command_text(&s->command, "0");
	enum error_class cls = call_plain(s, &r, e);
	if (cls == ERROR_NONE)
		*ret = r->type == REDIS_REPLY_STRING ? xstrndup(r->str, (size_t)r->len) : NULL;
	return cls;
}

static enum error_class redis_request_drop(struct store *port, struct span request, struct error *e)
{
	struct store_redis *s = redis_of(port);
	redis_fcall(s, "request_drop", 1);
	redis_words_key(s, 0, "req", MONTH_NONE, MONTH_NONE);
	command_span(&s->command, request);
	return redis_call_function(s, NULL, e);
}

static void redis_close(struct store *port)
{
	struct store_redis *s = redis_of(port);
	redis_disconnect(s);
	bundle_freep(&s->bundle);
	command_free(&s->command);
	free(s->pending);
	redis_tls_free(s->tls);
	free(s->host);
	free(s->path);
	free(s->user);
	if (s->password != NULL)
		explicit_bzero(s->password, strlen(s->password));
	free(s->password);
	free(s->prefix);
	free(s->name);
	free(s);
}

const struct store_ops store_redis_ops = {
	.verify = redis_verify,
	.state = redis_state,
	.create = redis_create,
	.identity = redis_identity,
	.register_rules = redis_register_rules,
	.claim = redis_claim,
	.renew = redis_renew,
	.commit_send = redis_commit_send,
	.commit_receive = redis_commit_receive,
	.fd = redis_fd,
	.session = redis_session,
	.informed = redis_informed,
	.mark = redis_mark,
	.outbox_waiting = redis_outbox_waiting,
	.outbox_read = redis_outbox_read,
	.outbox_ack = redis_outbox_ack,
	.outbox_length = redis_outbox_length,
	.positions = redis_positions,
	.months = redis_months,
	.cut = redis_cut,
	.close_month = redis_close_month,
	.scan_counters = redis_scan_counters,
	.scan_freezes = redis_scan_freezes,
	.scan_settled = redis_scan_settled,
	.scan_ledger = redis_scan_ledger,
	.active_since = redis_active_since,
	.settled_get = redis_settled_get,
	.packs_get = redis_packs_get,
	.settle = redis_settle,
	.finish = redis_finish,
	.finished = redis_finished,
	.looked = redis_looked,
	.looked_set = redis_looked_set,
	.scan_active = redis_scan_active,
	.end_run = redis_end_run,
	.counter = redis_counter,
	.counters_get = redis_counters_get,
	.generations = redis_generations,
	.begin = redis_begin,
	.cut_copy = redis_cut_copy,
	.adopt = redis_adopt,
	.drop = redis_drop,
	.lease = redis_lease,
	.size = redis_size,
	.keys = redis_keys,
	.scan_key = redis_scan_key,
	.get_key = redis_get_key,
	.marks = redis_marks,
	.entries = redis_entries,
	.restore = redis_restore,
	.put = redis_put,
	.put_marks = redis_put_marks,
	.put_entry = redis_put_entry,
	.restored = redis_restored,
	.left_over = redis_left_over,
	.request_put = redis_request_put,
	.request_peek = redis_request_peek,
	.request_drop = redis_request_drop,
	.close = redis_close,
};
