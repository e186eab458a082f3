// SPDX-License-Identifier: Apache-2.0
// One connection to Redis: opened when needed, given up after a time-out or any broken reply, never shared.
#include "store/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "store/meterd_lua.h"

const char *redis_key(const struct store_redis *s, char key[KEY_LENGTH], uint32_t shard, const char *what, int month, int adjust)
{
	char m[MONTH_TEXT], a[MONTH_TEXT];
	bool whole = strcmp(what, "meta") == 0 || strcmp(what, "req") == 0 || strncmp(what, "lease", 5) == 0;
	int n = snprintf(key, KEY_LENGTH, "%s{s%02u}:%s%s%s%s%s%s%s%s", s->prefix, shard, whole ? "" : "g",
			 whole ? "" : s->generation, whole ? "" : ":", what, month != MONTH_NONE ? ":" : "",
			 month != MONTH_NONE ? month_text(month, m) : "", adjust != MONTH_NONE ? ":" : "",
			 adjust != MONTH_NONE ? month_text(adjust, a) : "");
	check(n > 0 && n < KEY_LENGTH);
	return key;
}

void redis_disconnect(struct store_redis *s)
{
	if (s->c != NULL)
		redisFree(s->c);
	s->c = NULL;
}

void redis_reply_freep(redisReply **r)
{
	if (*r != NULL)
		freeReplyObject(*r);
	*r = NULL;
}

// An error reply while connecting: credentials are for a person, the rest passes.
static enum error_class redis_connect_error(struct store_redis *s, const char *what, const char *text, struct error *e)
{
	char copy[256];
	snprintf(copy, sizeof(copy), "%s", text);
	redis_disconnect(s);
	if (strncmp(copy, "WRONGPASS", 9) == 0 || strncmp(copy, "NOAUTH", 6) == 0 || strncmp(copy, "NOPERM", 6) == 0 ||
	    strstr(copy, "AUTH") != NULL || strstr(copy, "DB index") != NULL)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "redis: %s refused: %s; check redis.user, redis.password_file and redis.url",
				 what, copy);
	return error_set(e, ERROR_RETRY, 0, "redis: %s: %s", what, copy);
}

// hiredis gives a time-out as the C library's EAGAIN, which tells an operator nothing.
static const char *redis_why(const struct store_redis *s)
{
	return s->c->err == REDIS_ERR_IO && strcmp(s->c->errstr, strerror(EAGAIN)) == 0 ? "no answer in time: it is paused, stopped or busy" : s->c->errstr;
}

static enum error_class redis_greet(struct store_redis *s, const char *what, int n, const char **words, struct error *e)
{
	CLEANUP(redis_reply_freep) redisReply *r = redisCommandArgv(s->c, n, words, NULL);
	if (r == NULL)
		return redis_connect_error(s, what, redis_why(s), e);
	if (r->type == REDIS_REPLY_ERROR)
		return redis_connect_error(s, what, r->str, e);
	return ERROR_NONE;
}

enum error_class redis_connect(struct store_redis *s, struct error *e)
{
	if (s->c != NULL && s->c->err == 0)
		return ERROR_NONE;
	redis_disconnect(s);
	struct timeval tv = { .tv_sec = s->o.timeout_ms / 1000, .tv_usec = (s->o.timeout_ms % 1000) * 1000 };
	s->c = s->path != NULL ? redisConnectUnixWithTimeout(s->path, tv) : redisConnectWithTimeout(s->host, s->tcp_port, tv);
	if (s->c == NULL || s->c->err != 0) {
		error_set(e, ERROR_RETRY, 0, "redis at %s is away: %s", s->name, s->c != NULL ? s->c->errstr : "no memory");
		redis_disconnect(s);
		return ERROR_RETRY;
	}
	redisSetTimeout(s->c, tv);
	struct error why = { 0 };
	if (s->tls != NULL && redis_tls_begin(s->tls, s->c, s->host, &why) != ERROR_NONE) {
		error_set(e, ERROR_RETRY, 0, "redis at %s is away: %s", s->name, why.text);
		redis_disconnect(s);
		return ERROR_RETRY;
	}
	enum error_class cls = ERROR_NONE;
	if (s->password != NULL && s->user != NULL)
		cls = redis_greet(s, "AUTH", 3, (const char *[]){ "AUTH", s->user, s->password }, e);
	else if (s->password != NULL)
		cls = redis_greet(s, "AUTH", 2, (const char *[]){ "AUTH", s->password }, e);
	if (cls == ERROR_NONE && s->db != 0) {
		char db[16];
		snprintf(db, sizeof(db), "%d", s->db);
		cls = redis_greet(s, "SELECT", 2, (const char *[]){ "SELECT", db }, e);
	}
	// The server may still refuse our certificate, and sends what is not asked for (tickets of TLS 1.3): both come before this answer.
	if (cls == ERROR_NONE && s->tls != NULL)
		cls = redis_greet(s, "TLS", 1, (const char *[]){ "PING" }, e);
	s->sessions += cls == ERROR_NONE;
	return cls;
}

enum commit_status redis_error_rank(const char *text)
{
	// Nothing was applied, and somebody else may mend it while we wait.
	static const char *const passing[] = { "OOM", "READONLY", "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS",
					       "MISCONF", "BUSY", "NOAUTH", "NOPERM", "ERR max number of clients" };
	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		if (strncmp(text, passing[i], strlen(passing[i])) == 0)
			return COMMIT_REFUSED;
	if (strstr(text, "Function not found") != NULL)
		return COMMIT_LOST;
	return COMMIT_HALT;
}

static enum error_class redis_error_reply(const char *text, struct error *e)
{
	if (strncmp(text, "NOAUTH", 6) == 0 || strncmp(text, "NOPERM", 6) == 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "redis: %s; check redis.user and redis.password_file", text);
	if (redis_error_rank(text) == COMMIT_REFUSED)
		return error_set(e, ERROR_RETRY, 0, "redis refuses for now: %s", text);
	if (strncmp(text, "MOVED", 5) == 0 || strncmp(text, "ASK ", 4) == 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "redis is a cluster (%s); set redis.url to a single Redis, clusters are not supported yet", text);
	return error_set(e, ERROR_HALT, 0, "redis: %s", text);
}

static enum error_class redis_broke(struct store_redis *s, struct error *e)
{
	error_set(e, ERROR_RETRY, 0, "redis at %s: %s", s->name, redis_why(s));
	redis_disconnect(s);
	return ERROR_RETRY;
}

// One round trip of s->command. A broken connection after a pause is normal, but what was sent may have been applied: the
// caller's calls are idempotent, so it may simply call again.
static enum error_class redis_exchange(struct store_redis *s, redisReply **ret, struct error *e)
{
	enum error_class cls = redis_connect(s, e);
	if (cls != ERROR_NONE)
		return cls;
	redisReply *r = redisCommandArgv(s->c, s->command.n, s->command.word, s->command.length);
	if (r == NULL)
		return redis_broke(s, e);
	*ret = r;
	return ERROR_NONE;
}

enum error_class redis_send(struct store_redis *s, struct error *e)
{
	check(s->n_pending == 0);
	enum error_class cls = redis_connect(s, e);
	if (cls != ERROR_NONE)
		return cls;
	return redisAppendCommandArgv(s->c, s->command.n, s->command.word, s->command.length) == REDIS_OK ? ERROR_NONE : redis_broke(s, e);
}

enum error_class redis_answer(struct store_redis *s, redisReply **ret, struct error *e)
{
	void *r = NULL;
	if (redisGetReply(s->c, &r) != REDIS_OK)
		return redis_broke(s, e);
	*ret = r;
	if ((*ret)->type != REDIS_REPLY_ERROR)
		return ERROR_NONE;
	redis_disconnect(s);
	return redis_error_reply((*ret)->str, e);
}

// The library's name is a digest of its text: one of that name is this one, and others beside it are other versions' own.
enum error_class redis_load_functions(struct store_redis *s, struct error *e)
{
	struct command saved = s->command;
	s->command = (struct command){ 0 };
	command_text(&s->command, "FUNCTION");
	command_text(&s->command, "LOAD");
	command_text(&s->command, meterd_lua);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	enum error_class cls = redis_exchange(s, &r, e);
	if (cls == ERROR_NONE && r->type == REDIS_REPLY_ERROR && strstr(r->str, "already exists") == NULL)
		cls = redis_error_reply(r->str, e);
	command_free(&s->command);
	s->command = saved;
	return cls;
}

enum error_class redis_call(struct store_redis *s, redisReply **ret, struct error *e)
{
	check(s->n_pending == 0);
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	for (int attempt = 0;; attempt++) {
		enum error_class cls = redis_exchange(s, &r, e);
		if (cls != ERROR_NONE)
			return cls;
		if (r->type != REDIS_REPLY_ERROR) {
			*ret = TAKE_PTR(r);
			return ERROR_NONE;
		}
		if (redis_error_rank(r->str) != COMMIT_LOST || attempt > 0)
			return redis_error_reply(r->str, e);
		// FUNCTION FLUSH, or a state that is lost: the functions themselves look at meta first.
		redis_reply_freep(&r);
		cls = redis_load_functions(s, e);
		if (cls != ERROR_NONE)
			return cls;
	}
}

void redis_fcall(struct store_redis *s, const char *function, int keys)
{
	command_reset(&s->command);
	command_text(&s->command, "FCALL");
	command_format(&s->command, METERD_NAME "_%s", function);
	command_int(&s->command, keys);
}

enum error_class redis_unknown_form(struct error *e, const char *what)
{
	return error_set(e, ERROR_HALT, 0, "redis: %s answered in a form that is not known; see what stands at redis.url", what);
}

enum error_class redis_other_schema(struct span schema, struct error *e)
{
	int64_t have = 0, own = 0;
	bool older = span_int64(schema, &have) && span_int64(span_of(STORE_SCHEMA), &own) && have < own;
	// A daemon that meets an older state while it runs, since an older copy was put back, brings it up when it is started again.
	return error_set(e, ERROR_ABORT, older ? EXIT_LATER : EXIT_CONFIG_ERR, "the state in Redis has schema %.*s, this version works on " STORE_SCHEMA ": %s",
			 schema.n > 0 ? (int)schema.n : 1, schema.n > 0 ? schema.p : "-",
			 older ? "start the daemon of this version once, it brings the state up; until then use the tools of the version before" :
				 "a newer version has taken the state over; install that one here too");
}

enum error_class redis_status(const redisReply *r, struct error *e)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements < 1 || r->element[0]->type != REDIS_REPLY_STRING)
		return redis_unknown_form(e, "a function");
	const char *word = r->element[0]->str;
	const char *text = r->elements > 1 && r->element[1]->type == REDIS_REPLY_STRING && r->element[1]->str[0] != '\0' ? r->element[1]->str :
												     "redis gives no reason";
	if (strcmp(word, "OK") == 0)
		return ERROR_NONE;
	if (strcmp(word, "RETRY") == 0 || strcmp(word, "RETIRED") == 0)
		return error_set(e, ERROR_RETRY, 0, "%s", text);
	if (strcmp(word, "LOST") == 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "the counters are lost or not ours (%s). " STORE_LOST_ADVICE, text);
	if (strcmp(word, "SCHEMA") == 0 && r->elements == 3)
		return redis_other_schema(reply_span(r->element[2]), e);
	return error_set(e, ERROR_HALT, 0, "%s", text);
}

static bool redis_url_secure(const char *url)
{
	return strncmp(url, "rediss://", 9) == 0;
}

// "redis://host:port/db", "rediss://…" or "unix:///path?db=0". Passwords do not belong into it.
static bool redis_parse_url(struct store_redis *s, const char *url)
{
	int64_t db = 0, port = 6379;
	bool secure = redis_url_secure(url);
	if (strncmp(url, "unix://", 7) == 0) {
		const char *mark = strstr(url, "?db=");
		if (mark != NULL && !span_int64(span_of(mark + 4), &db))
			return false;
		s->path = xstrndup(url + 7, mark != NULL ? (size_t)(mark - url - 7) : strlen(url + 7));
	} else if (secure || strncmp(url, "redis://", 8) == 0) {
		const char *host = url + (secure ? 9 : 8), *slash = strchr(host, '/');
		size_t n = slash != NULL ? (size_t)(slash - host) : strlen(host);
		const char *colon = memrchr(host, ':', n);
		if (memchr(host, '@', n) != NULL || (slash != NULL && slash[1] != '\0' && !span_int64(span_of(slash + 1), &db)))
			return false;
		if (colon != NULL && !span_int64((struct span){ colon + 1, (size_t)(host + n - colon - 1) }, &port))
			return false;
		s->host = xstrndup(host, colon != NULL ? (size_t)(colon - host) : n);
	} else {
		return false;
	}
	s->db = (int)db;
	s->tcp_port = (int)port;
	return db >= 0 && db < 1024 && port > 0 && port < 65536 && (s->host == NULL || s->host[0] != '\0') &&
	       (s->path == NULL || s->path[0] == '/');
}

enum error_class store_redis_open(const struct store_options *o, struct store **ret, struct error *e)
{
	check(o->shards >= 1 && o->timeout_ms > 0);
	struct store_redis *s = xcalloc(1, sizeof(*s));
	s->port.ops = &store_redis_ops;
	s->o = *o;
	s->prefix = xstrdup(o->prefix);
	s->name = xstrdup(o->url);
	s->user = o->user != NULL ? xstrdup(o->user) : NULL;
	s->password = o->password != NULL ? xstrdup(o->password) : NULL;
	snprintf(s->generation, sizeof(s->generation), "1");
	s->sessions = 1;
	if (!redis_parse_url(s, o->url)) {
		s->port.ops->close(&s->port);
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "redis.url: `%s` is none; write redis://host:port/db, rediss://host:port/db or unix:///path?db=0 (a password goes into redis.password_file)",
				 o->url);
	}
	enum error_class cls = redis_url_secure(o->url) ? redis_tls_new(o, &s->tls, e) : ERROR_NONE;
	if (cls != ERROR_NONE) {
		s->port.ops->close(&s->port);
		return cls;
	}
	*ret = &s->port;
	return ERROR_NONE;
}

bool position_parse(struct span text, struct position *ret)
{
	struct span word[4];
	size_t at = 0;
	if (text.p == NULL)
		return false;
	for (int i = 0; i < 4; i++) {
		const char *blank = i < 3 ? memchr(text.p + at, ' ', text.n - at) : NULL;
		size_t end = blank != NULL ? (size_t)(blank - text.p) : text.n;
		if (i < 3 && blank == NULL)
			return false;
		word[i] = (struct span){ text.p + at, end - at };
		at = end + 1;
	}
	struct position p = { .clock_ms = TIME_NONE, .last = -1 };
	if (!span_int64(word[0], &p.next) || p.next < 0 || (!span_is(word[1], "-") && !span_int64(word[1], &p.clock_ms)) ||
	    (!span_is(word[2], "-") && (!span_int64(word[2], &p.last) || p.last < 0)) || p.last >= p.next || word[3].n != 16)
		return false;
	if (!span_hex64(word[3], &p.print))
		return false;
	*ret = p;
	return true;
}

void position_format(const struct position *p, char buf[128])
{
	char clock[24] = "-", last[24] = "-";
	if (p->clock_ms != TIME_NONE)
		snprintf(clock, sizeof(clock), "%lld", (long long)p->clock_ms);
	if (p->last >= 0)
		snprintf(last, sizeof(last), "%lld", (long long)p->last);
	snprintf(buf, 128, "%lld %s %s %016llx", (long long)p->next, clock, last, (unsigned long long)p->print);
}
