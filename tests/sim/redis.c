// SPDX-License-Identifier: Apache-2.0
#include "redis.h"

#include <hiredis/hiredis.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>

#include "base/check.h"
#include "base/span.h"

uint64_t redis_twin_order;
int64_t (*redis_twin_now_ms)(void);
void (*redis_twin_before_cut)(void);

// ---- keys

enum kind { KIND_TEXT, KIND_HASH, KIND_LIST, KIND_STREAM };

struct field {
	UT_hash_handle hh;
	uint64_t place;              // in the order of a scan; never changes
	char *value;
	size_t value_n, name_n;
	char name[];
};
struct item {                        // of a list: one text; of a stream: an entry
	uint64_t ms, seq;
	size_t n;
	struct span *words;          // of one block with their bytes
};
struct key {
	UT_hash_handle hh;
	enum kind kind;
	struct field *fields;
	uint64_t serial;             // of fields
	struct item *items;
	size_t n_items, size_items;
	uint64_t ms, seq;            // newest id of a stream
	char *text;
	size_t text_n;
	int64_t until_ms;            // 0: for ever
	size_t name_n;
	char name[];
};
struct redis_keys {
	struct key *all;
};
static struct redis_keys db;

static struct item item_of(uint64_t ms, uint64_t seq, const struct span *words, size_t n)
{
	size_t bytes = n * sizeof(*words);
	for (size_t i = 0; i < n; i++)
		bytes += words[i].n + 1;
	struct item x = { ms, seq, n, xmalloc(bytes + 1) };
	char *to = (char *)(x.words + n);
	for (size_t i = 0; i < n; i++) {
		memcpy(to, words[i].p, words[i].n);
		to[words[i].n] = '\0';
		x.words[i] = (struct span){ to, words[i].n };
		to += words[i].n + 1;
	}
	return x;
}

static void item_add(struct key *k, struct item x)
{
	if (k->n_items == k->size_items) {
		k->size_items = k->size_items * 2 + 8;
		k->items = xrealloc(k->items, k->size_items, sizeof(*k->items));
	}
	k->items[k->n_items++] = x;
}

static void item_drop(struct key *k, size_t i)
{
	free(k->items[i].words);
	memmove(&k->items[i], &k->items[i + 1], (--k->n_items - i) * sizeof(*k->items));
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static struct field *field_find(const struct key *k, struct span name)
{
	struct field *f = NULL;
	if (k != NULL)
		HASH_FIND(hh, k->fields, name.p, name.n, f);
	return f;
}

static void *bytes_of(struct span s)
{
	char *p = xmalloc(s.n + 1);
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

static bool field_set(struct key *k, struct span name, struct span value)
{
	struct field *f = field_find(k, name);
	bool is_new = f == NULL;
	if (is_new) {
		f = xcalloc(1, sizeof(*f) + name.n + 1);
		f->name_n = name.n;
		memcpy(f->name, name.p, name.n);
		// 40 bits of chance above 12 that tell fields apart; never 0, which ends a scan
		f->place = (uint64_t)1 << 52 | mix(redis_twin_order + k->serial) >> 24 << 12 | (k->serial & 0xfff);
		k->serial++;
		HASH_ADD_KEYPTR(hh, k->fields, f->name, f->name_n, f);
	} else if (f->value_n == value.n) {
		memcpy(f->value, value.p, value.n);
		return false;
	}
	free(f->value);
	f->value = bytes_of(value);
	f->value_n = value.n;
	return is_new;
}

static void field_drop(struct key *k, struct field *f)
{
	HASH_DELETE(hh, k->fields, f);
	free(f->value);
	free(f);
}

static void key_free(struct key *k)
{
	struct field *first = k->fields;
	HASH_CLEAR(hh, k->fields);
	for (struct field *f = first, *next; f != NULL; f = next) {
		next = f->hh.next;
		free(f->value);
		free(f);
	}
	for (size_t i = 0; i < k->n_items; i++)
		free(k->items[i].words);
	free(k->items);
	free(k->text);
	free(k);
}

static void key_drop(struct key *k)
{
	HASH_DELETE(hh, db.all, k);
	key_free(k);
}

static struct key *key_new(struct redis_keys *in, struct span name, enum kind kind)
{
	struct key *k = xcalloc(1, sizeof(*k) + name.n + 1);
	k->kind = kind;
	k->name_n = name.n;
	memcpy(k->name, name.p, name.n);
	HASH_ADD_KEYPTR(hh, in->all, k->name, k->name_n, k);
	return k;
}

// NULL where there is none.
static struct key *key_find(struct span name, enum kind kind)
{
	struct key *k = NULL;
	HASH_FIND(hh, db.all, name.p, name.n, k);
	if (k != NULL && k->until_ms != 0 && k->until_ms <= redis_twin_now_ms()) {
		key_drop(k);
		return NULL;
	}
	check(k == NULL || k->kind == kind);
	return k;
}

static struct key *key_make(struct span name, enum kind kind)
{
	struct key *k = key_find(name, kind);
	return k != NULL ? k : key_new(&db, name, kind);
}

static void key_empty(struct key *k) // a key that holds nothing is none; but a stream stays
{
	if ((k->kind == KIND_HASH && k->fields == NULL) || (k->kind == KIND_LIST && k->n_items == 0))
		key_drop(k);
}

static struct key *key_copy(struct redis_keys *in, struct span name, const struct key *from)
{
	struct key *k = key_new(in, name, from->kind);
	for (const struct field *f = from->fields; f != NULL; f = f->hh.next) {
		struct field *g = xcalloc(1, sizeof(*g) + f->name_n + 1);
		*g = (struct field){ .place = f->place, .value = bytes_of((struct span){ f->value, f->value_n }), .value_n = f->value_n, .name_n = f->name_n };
		memcpy(g->name, f->name, f->name_n);
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, k->fields, g->name, g->name_n, f->hh.hashv, g);
	}
	k->serial = from->serial;
	k->ms = from->ms;
	k->seq = from->seq;
	k->until_ms = from->until_ms;
	for (size_t i = 0; i < from->n_items; i++)
		item_add(k, item_of(from->items[i].ms, from->items[i].seq, from->items[i].words, from->items[i].n));
	if (from->text != NULL)
		k->text = bytes_of((struct span){ from->text, from->text_n });
	k->text_n = from->text_n;
	return k;
}

struct redis_keys *redis_twin_copy(void)
{
	struct redis_keys *c = xcalloc(1, sizeof(*c));
	for (const struct key *k = db.all; k != NULL; k = k->hh.next)
		key_copy(c, (struct span){ k->name, k->name_n }, k);
	return c;
}

static void keys_free(struct redis_keys *c)
{
	struct key *first = c->all;
	HASH_CLEAR(hh, c->all);
	for (struct key *k = first, *next; k != NULL; k = next) {
		next = k->hh.next;
		key_free(k);
	}
}

bool redis_twin_copy_has(const struct redis_keys *c, const char *name, const char *field, const char *but)
{
	const struct key *k = NULL;
	HASH_FIND(hh, c->all, name, strlen(name), k);
	const struct field *f = k != NULL ? field_find(k, span_of(field)) : NULL;
	return f != NULL && !span_is((struct span){ f->value, f->value_n }, but);
}

void redis_twin_copy_free(struct redis_keys *c)
{
	if (c == NULL)
		return;
	keys_free(c);
	free(c);
}

static void hang_up(void);

void redis_twin_lose(const char *tag)
{
	hang_up();
	for (struct key *k = db.all, *next; k != NULL; k = next) {
		next = k->hh.next;
		if (strstr(k->name, tag) != NULL)
			key_drop(k);
	}
}

void redis_twin_restore(const struct redis_keys *c, const char *tag)
{
	redis_twin_lose(tag);
	for (const struct key *k = c->all; k != NULL; k = k->hh.next)
		if (strstr(k->name, tag) != NULL)
			key_copy(&db, (struct span){ k->name, k->name_n }, k);
}

void redis_twin_clear(void)
{
	keys_free(&db);
}

// ---- answers, as hiredis would have made them: freed by its freeReplyObject

static void *must(void *p)
{
	check(p != NULL);
	return p;
}

static redisReply *answer(int type)
{
	redisReply *r = must(calloc(1, sizeof(*r)));
	r->type = type;
	return r;
}

static redisReply *answer_bytes(int type, const char *p, size_t n)
{
	redisReply *r = answer(type);
	r->str = must(malloc(n + 1));
	memcpy(r->str, p, n);
	r->str[n] = '\0';
	r->len = n;
	return r;
}

static redisReply *answer_text(const char *z)
{
	return answer_bytes(REDIS_REPLY_STRING, z, strlen(z));
}

static redisReply *answer_error(const char *z)
{
	return answer_bytes(REDIS_REPLY_ERROR, z, strlen(z));
}

static redisReply *answer_ok(void)
{
	return answer_bytes(REDIS_REPLY_STATUS, "OK", 2);
}

static redisReply *answer_int(int64_t n)
{
	redisReply *r = answer(REDIS_REPLY_INTEGER);
	r->integer = n;
	return r;
}

static redisReply *answer_array(size_t n)
{
	redisReply *r = answer(REDIS_REPLY_ARRAY);
	r->elements = n;
	r->element = must(calloc(n + 1, sizeof(*r->element)));
	return r;
}

static redisReply *answer_field(const struct field *f)
{
	return f != NULL ? answer_bytes(REDIS_REPLY_STRING, f->value, f->value_n) : answer(REDIS_REPLY_NIL);
}

// ---- commands: what a program sends, and what a function calls

struct args {
	size_t n;
	const struct span *word; // the command's name first
};

static int64_t number(struct span s)
{
	int64_t n = 0;
	check(span_int64(s, &n));
	return n;
}

static redisReply *c_hget(const struct args *a)
{
	return answer_field(field_find(key_find(a->word[1], KIND_HASH), a->word[2]));
}

static redisReply *c_hmget(const struct args *a)
{
	const struct key *k = key_find(a->word[1], KIND_HASH);
	redisReply *r = answer_array(a->n - 2);
	for (size_t i = 2; i < a->n; i++)
		r->element[i - 2] = answer_field(field_find(k, a->word[i]));
	return r;
}

static redisReply *c_hset(const struct args *a)
{
	struct key *k = key_make(a->word[1], KIND_HASH);
	int64_t n = 0;
	check(a->n >= 4 && a->n % 2 == 0);
	for (size_t i = 2; i < a->n; i += 2)
		n += field_set(k, a->word[i], a->word[i + 1]);
	return answer_int(n);
}

static redisReply *c_hsetnx(const struct args *a)
{
	if (field_find(key_find(a->word[1], KIND_HASH), a->word[2]) != NULL)
		return answer_int(0);
	field_set(key_make(a->word[1], KIND_HASH), a->word[2], a->word[3]);
	return answer_int(1);
}

static redisReply *c_hdel(const struct args *a)
{
	struct key *k = key_find(a->word[1], KIND_HASH);
	int64_t n = 0;
	for (size_t i = 2; k != NULL && i < a->n; i++) {
		struct field *f = field_find(k, a->word[i]);
		if (f == NULL)
			continue;
		field_drop(k, f);
		n++;
	}
	if (k != NULL)
		key_empty(k);
	return answer_int(n);
}

static redisReply *c_hexists(const struct args *a)
{
	return answer_int(field_find(key_find(a->word[1], KIND_HASH), a->word[2]) != NULL);
}

static redisReply *c_hlen(const struct args *a)
{
	const struct key *k = key_find(a->word[1], KIND_HASH);
	return answer_int(k != NULL ? (int64_t)HASH_COUNT(k->fields) : 0);
}

static redisReply *c_hincrby(const struct args *a)
{
	struct key *k = key_make(a->word[1], KIND_HASH);
	const struct field *f = field_find(k, a->word[2]);
	int64_t n = 0;
	char text[24];
	if (f != NULL && !span_int64((struct span){ f->value, f->value_n }, &n))
		return answer_error("ERR hash value is not an integer");
	if (__builtin_add_overflow(n, number(a->word[3]), &n))
		return answer_error("ERR increment or decrement would overflow");
	snprintf(text, sizeof(text), "%lld", (long long)n);
	field_set(k, a->word[2], span_of(text));
	return answer_int(n);
}

enum { SCANNED = 7 }; // fields at a time

static int by_place(const void *a, const void *b)
{
	uint64_t x = (*(struct field *const *)a)->place, y = (*(struct field *const *)b)->place;
	return (x > y) - (x < y);
}

// The fields behind a place, in the order of a scan. Free it.
static struct field **fields_behind(const struct key *k, uint64_t place, size_t *ret_n)
{
	struct field **list = xcalloc(k != NULL ? HASH_COUNT(k->fields) + 1 : 1, sizeof(*list));
	*ret_n = 0;
	for (struct field *f = k != NULL ? k->fields : NULL; f != NULL; f = f->hh.next)
		if (f->place >= place)
			list[(*ret_n)++] = f;
	qsort(list, *ret_n, sizeof(*list), by_place);
	return list;
}

static redisReply *fields_answer(struct field **list, size_t n, bool values)
{
	redisReply *r = answer_array(values ? 2 * n : n);
	for (size_t i = 0, at = 0; i < n; i++) {
		r->element[at++] = answer_bytes(REDIS_REPLY_STRING, list[i]->name, list[i]->name_n);
		if (values)
			r->element[at++] = answer_field(list[i]);
	}
	return r;
}

static redisReply *hash_answer(const struct args *a, bool values)
{
	size_t n;
	CLEANUP(freep) struct field **list = fields_behind(key_find(a->word[1], KIND_HASH), 0, &n);
	return fields_answer(list, n, values);
}

static redisReply *c_hkeys(const struct args *a)
{
	return hash_answer(a, false);
}

static redisReply *c_hgetall(const struct args *a)
{
	return hash_answer(a, true);
}

// HSCAN key cursor COUNT n: what is there from the first to the last call comes, what is added meanwhile may.
static redisReply *c_hscan(const struct args *a)
{
	char cursor[24];
	size_t n, most = SCANNED; // COUNT is a hint
	CLEANUP(freep) struct field **list = fields_behind(key_find(a->word[1], KIND_HASH), (uint64_t)number(a->word[2]), &n);
	bool more = n > most;
	snprintf(cursor, sizeof(cursor), "%llu", more ? (unsigned long long)list[most]->place : 0);
	redisReply *r = answer_array(2);
	r->element[0] = answer_text(cursor);
	r->element[1] = fields_answer(list, more ? most : n, true);
	return r;
}

static redisReply *c_get(const struct args *a)
{
	const struct key *k = key_find(a->word[1], KIND_TEXT);
	return k != NULL ? answer_bytes(REDIS_REPLY_STRING, k->text, k->text_n) : answer(REDIS_REPLY_NIL);
}

static redisReply *c_set(const struct args *a)
{
	struct key *k = key_make(a->word[1], KIND_TEXT);
	free(k->text);
	k->text = bytes_of(a->word[2]);
	k->text_n = a->word[2].n;
	k->until_ms = a->n == 5 ? redis_twin_now_ms() + number(a->word[4]) : 0;
	return answer_ok();
}

static redisReply *c_del(const struct args *a)
{
	int64_t n = 0;
	for (size_t i = 1; i < a->n; i++) {
		struct key *k = NULL;
		HASH_FIND(hh, db.all, a->word[i].p, a->word[i].n, k);
		n += k != NULL;
		if (k != NULL)
			key_drop(k);
	}
	return answer_int(n);
}

static redisReply *c_copy(const struct args *a)
{
	struct key *k = NULL, *there = NULL;
	HASH_FIND(hh, db.all, a->word[1].p, a->word[1].n, k);
	HASH_FIND(hh, db.all, a->word[2].p, a->word[2].n, there);
	if (k == NULL || there != NULL)
		return answer_int(0);
	key_copy(&db, a->word[2], k);
	return answer_int(1);
}

static redisReply *c_rpush(const struct args *a)
{
	struct key *k = key_make(a->word[1], KIND_LIST);
	for (size_t i = 2; i < a->n; i++)
		item_add(k, item_of(0, 0, &a->word[i], 1));
	return answer_int((int64_t)k->n_items);
}

static redisReply *list_first(const struct key *k)
{
	return k != NULL && k->n_items > 0 ? answer_bytes(REDIS_REPLY_STRING, k->items[0].words[0].p, k->items[0].words[0].n) : answer(REDIS_REPLY_NIL);
}

static redisReply *c_lindex(const struct args *a)
{
	check(number(a->word[2]) == 0);
	return list_first(key_find(a->word[1], KIND_LIST));
}

static redisReply *c_lpop(const struct args *a)
{
	struct key *k = key_find(a->word[1], KIND_LIST);
	redisReply *r = list_first(k);
	if (k != NULL) {
		item_drop(k, 0);
		key_empty(k);
	}
	return r;
}

// Ids count up from 1-1: after a rollback another entry sits under the same one.
static redisReply *c_xadd(const struct args *a)
{
	struct key *k = key_make(a->word[1], KIND_STREAM);
	char id[48];
	check(span_is(a->word[2], "*"));
	k->ms = 1;
	k->seq++;
	item_add(k, item_of(k->ms, k->seq, a->word + 3, a->n - 3));
	snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)k->ms, (unsigned long long)k->seq);
	return answer_text(id);
}

static void id_of(struct span s, bool least, uint64_t *ms, uint64_t *seq)
{
	unsigned long long a = 0, b = 0;
	CLEANUP(freep) char *z = xstrndup(s.p, s.n);
	if (span_is(s, "-") || span_is(s, "+"))
		a = b = least ? 0 : UINT64_MAX;
	else
		check(sscanf(z, "%llu-%llu", &a, &b) == 2);
	*ms = a;
	*seq = b;
}

static redisReply *c_xrange(const struct args *a)
{
	const struct key *k = key_find(a->word[1], KIND_STREAM);
	uint64_t from_ms, from, to_ms, to;
	size_t first = 0, n = 0, most = a->n == 6 ? (size_t)number(a->word[5]) : SIZE_MAX;
	bool behind = a->word[2].n > 0 && a->word[2].p[0] == '(';
	id_of((struct span){ a->word[2].p + behind, a->word[2].n - behind }, true, &from_ms, &from);
	from += behind;
	id_of(a->word[3], false, &to_ms, &to);
	size_t have = k != NULL ? k->n_items : 0;
	while (first < have && (k->items[first].ms < from_ms || (k->items[first].ms == from_ms && k->items[first].seq < from)))
		first++;
	while (n < most && first + n < have && (k->items[first + n].ms < to_ms || (k->items[first + n].ms == to_ms && k->items[first + n].seq <= to)))
		n++;
	redisReply *r = answer_array(n);
	for (size_t i = 0; i < n; i++) {
		const struct item *x = &k->items[first + i];
		char id[48];
		snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)x->ms, (unsigned long long)x->seq);
		redisReply *e = r->element[i] = answer_array(2);
		e->element[0] = answer_text(id);
		e->element[1] = answer_array(x->n);
		for (size_t w = 0; w < x->n; w++)
			e->element[1]->element[w] = answer_bytes(REDIS_REPLY_STRING, x->words[w].p, x->words[w].n);
	}
	return r;
}

static redisReply *c_xdel(const struct args *a)
{
	struct key *k = key_find(a->word[1], KIND_STREAM);
	int64_t gone = 0;
	for (size_t w = 2; k != NULL && w < a->n; w++) {
		uint64_t ms, seq;
		id_of(a->word[w], true, &ms, &seq);
		for (size_t i = 0; i < k->n_items; i++)
			if (k->items[i].ms == ms && k->items[i].seq == seq) {
				item_drop(k, i);
				gone++;
				break;
			}
	}
	return answer_int(gone);
}

static redisReply *c_xlen(const struct args *a)
{
	const struct key *k = key_find(a->word[1], KIND_STREAM);
	return answer_int(k != NULL ? (int64_t)k->n_items : 0);
}

// SCAN cursor COUNT n: all at once, which a real one may do, too.
static redisReply *c_scan(const struct args *a)
{
	size_t n = 0;
	check(span_is(a->word[1], "0"));
	redisReply *r = answer_array(2), *names = answer_array(HASH_COUNT(db.all));
	for (const struct key *k = db.all; k != NULL; k = k->hh.next)
		names->element[n++] = answer_bytes(REDIS_REPLY_STRING, k->name, k->name_n);
	r->element[0] = answer_text("0");
	r->element[1] = names;
	return r;
}

static redisReply *c_config(const struct args *a)
{
	redisReply *r = answer_array(2);
	r->element[0] = answer_bytes(REDIS_REPLY_STRING, a->word[2].p, a->word[2].n);
	r->element[1] = answer_text(span_is(a->word[2], "maxmemory-policy") ? "noeviction" : span_is(a->word[2], "appendonly") ? "yes" : "no");
	return r;
}

static redisReply *c_memory(const struct args *a)
{
	(void)a;
	return answer_int(1000);
}

static redisReply *c_ok(const struct args *a)
{
	(void)a;
	return answer_ok();
}

static redisReply *c_function(const struct args *a);
static redisReply *c_fcall(const struct args *a);

static const struct command {
	const char *name;
	size_t least, most;          // words
	redisReply *(*fn)(const struct args *a);
} commands[] = {
	{ "HGET", 3, 3, c_hget }, { "HMGET", 3, SIZE_MAX, c_hmget }, { "HSET", 4, SIZE_MAX, c_hset }, { "HEXISTS", 3, 3, c_hexists },
	{ "HINCRBY", 4, 4, c_hincrby }, { "FCALL", 3, SIZE_MAX, c_fcall }, { "HSETNX", 4, 4, c_hsetnx }, { "HDEL", 3, SIZE_MAX, c_hdel },
	{ "HKEYS", 2, 2, c_hkeys }, { "HLEN", 2, 2, c_hlen }, { "HGETALL", 2, 2, c_hgetall }, { "HSCAN", 5, 5, c_hscan },
	{ "XADD", 5, SIZE_MAX, c_xadd }, { "XRANGE", 4, 6, c_xrange }, { "XDEL", 3, SIZE_MAX, c_xdel }, { "XLEN", 2, 2, c_xlen }, { "GET", 2, 2, c_get },
	{ "SET", 3, 5, c_set }, { "DEL", 2, SIZE_MAX, c_del }, { "UNLINK", 2, SIZE_MAX, c_del }, { "COPY", 3, 3, c_copy },
	{ "RPUSH", 3, SIZE_MAX, c_rpush }, { "LINDEX", 3, 3, c_lindex }, { "LPOP", 2, 2, c_lpop }, { "CONFIG", 3, 3, c_config },
	{ "SCAN", 4, 4, c_scan }, { "MEMORY", 3, 3, c_memory }, { "FUNCTION", 3, 4, c_function }, { "SELECT", 2, 2, c_ok }, { "AUTH", 2, 3, c_ok },
};

static redisReply *carry_out(const struct args *a)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (span_is(a->word[0], commands[i].name)) {
			check(a->n >= commands[i].least && a->n <= commands[i].most);
			return commands[i].fn(a);
		}
	fprintf(stderr, "the twin of Redis has no %.*s\n", (int)a->word[0].n, a->word[0].p);
	abort();
}

// ---- Lua: redis.call, redis.register_function, cmsgpack.unpack

static lua_State *lua;
static char *loaded;                 // name of the library: one process has one

static void push_answer(lua_State *l, const redisReply *r)
{
	switch (r->type) {
	case REDIS_REPLY_INTEGER:
		lua_pushnumber(l, (lua_Number)r->integer);
		return;
	case REDIS_REPLY_STRING:
		lua_pushlstring(l, r->str, (size_t)r->len);
		return;
	case REDIS_REPLY_STATUS:
		lua_createtable(l, 0, 1);
		lua_pushlstring(l, r->str, (size_t)r->len);
		lua_setfield(l, -2, "ok");
		return;
	case REDIS_REPLY_ARRAY:
		luaL_checkstack(l, 4, "answers too deep");
		lua_createtable(l, (int)r->elements, 0);
		for (size_t i = 0; i < r->elements; i++) {
			push_answer(l, r->element[i]);
			lua_rawseti(l, -2, (int)i + 1);
		}
		return;
	default:
		lua_pushboolean(l, 0);
		return;
	}
}

static int l_call(lua_State *l)
{
	enum { MOST = 8200 };
	static struct span words[MOST];  // calls do not nest
	int n = lua_gettop(l);
	check(n >= 1 && n <= MOST);
	for (int i = 1; i <= n; i++) {
		check(lua_type(l, i) == LUA_TSTRING); // a number would be written as Lua likes
		words[i - 1].p = lua_tolstring(l, i, &words[i - 1].n);
	}
	redisReply *r = carry_out(&(struct args){ (size_t)n, words });
	if (r->type == REDIS_REPLY_ERROR) {
		lua_pushlstring(l, r->str, (size_t)r->len);
		freeReplyObject(r);
		return lua_error(l);
	}
	push_answer(l, r);
	freeReplyObject(r);
	return 1;
}

// register_function(name, callback) or register_function { function_name =, callback =, flags = }
static int l_register(lua_State *l)
{
	lua_getfield(l, LUA_REGISTRYINDEX, "functions");
	if (lua_istable(l, 1)) {
		lua_getfield(l, 1, "function_name");
		lua_getfield(l, 1, "callback");
	} else {
		lua_pushvalue(l, 1);
		lua_pushvalue(l, 2);
	}
	check(lua_isstring(l, -2) && lua_isfunction(l, -1));
	lua_rawset(l, -3);
	return 0;
}

struct packed {
	const uint8_t *p;
	size_t n, at;
};

static uint64_t big_endian(struct packed *m, size_t bytes)
{
	uint64_t v = 0;
	check(m->n - m->at >= bytes);
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | m->p[m->at++];
	return v;
}

static void unpack_value(lua_State *l, struct packed *m);

static void unpack_array(lua_State *l, struct packed *m, uint64_t n)
{
	luaL_checkstack(l, 4, "lists too deep");
	lua_createtable(l, (int)n, 0);
	for (uint64_t i = 1; i <= n; i++) {
		unpack_value(l, m);
		lua_rawseti(l, -2, (int)i);
	}
}

static void unpack_bytes(lua_State *l, struct packed *m, uint64_t n)
{
	check(m->n - m->at >= n);
	lua_pushlstring(l, (const char *)m->p + m->at, n);
	m->at += n;
}

static void unpack_value(lua_State *l, struct packed *m)
{
	uint8_t t = (uint8_t)big_endian(m, 1);
	if (t < 0x80)
		lua_pushnumber(l, t);
	else if (t >= 0xe0)
		lua_pushnumber(l, (int8_t)t);
	else if (t >= 0xa0 && t < 0xc0)
		unpack_bytes(l, m, t & 0x1f);
	else if (t >= 0x90 && t < 0xa0)
		unpack_array(l, m, t & 0xf);
	else if (t == 0xc2 || t == 0xc3)
		lua_pushboolean(l, t == 0xc3);
	else if (t >= 0xcc && t <= 0xcf)
		lua_pushnumber(l, (lua_Number)big_endian(m, (size_t)1 << (t - 0xcc)));
	else if (t == 0xd0)
		lua_pushnumber(l, (int8_t)big_endian(m, 1));
	else if (t == 0xd1)
		lua_pushnumber(l, (int16_t)big_endian(m, 2));
	else if (t == 0xd2)
		lua_pushnumber(l, (int32_t)big_endian(m, 4));
	else if (t == 0xd3)
		lua_pushnumber(l, (lua_Number)(int64_t)big_endian(m, 8));
	else if (t >= 0xd9 && t <= 0xdb)
		unpack_bytes(l, m, big_endian(m, (size_t)1 << (t - 0xd9)));
	else if (t >= 0xc4 && t <= 0xc6)
		unpack_bytes(l, m, big_endian(m, (size_t)1 << (t - 0xc4)));
	else if (t == 0xdc || t == 0xdd)
		unpack_array(l, m, big_endian(m, t == 0xdc ? 2 : 4));
	else
		check(t == 0xc0), lua_pushnil(l);
}

static int l_unpack(lua_State *l)
{
	struct packed m = { 0 };
	m.p = (const uint8_t *)luaL_checklstring(l, 1, &m.n);
	int n = 0;
	for (; m.at < m.n; n++)
		unpack_value(l, &m);
	return n;
}

static void lua_start(const char *text)
{
	static const luaL_Reg of_redis[] = { { "call", l_call }, { "register_function", l_register }, { NULL, NULL } };
	static const luaL_Reg of_cmsgpack[] = { { "unpack", l_unpack }, { NULL, NULL } };
	if (lua != NULL)
		lua_close(lua);
	lua = luaL_newstate();
	check(lua != NULL);
	luaL_openlibs(lua);
	lua_newtable(lua);
	lua_setfield(lua, LUA_REGISTRYINDEX, "functions");
	luaL_register(lua, "redis", of_redis);
	luaL_register(lua, "cmsgpack", of_cmsgpack);
	lua_settop(lua, 0);
	const char *first = strchr(text, '\n'); // behind #!lua name=
	check(first != NULL);
	if (luaL_loadbuffer(lua, first, strlen(first), "@functions") != 0 || lua_pcall(lua, 0, 0, 0) != 0) {
		fprintf(stderr, "%s\n", lua_tostring(lua, -1));
		abort();
	}
}

// FUNCTION LOAD [REPLACE] text; one that replaces another version's is taken for carried out.
static redisReply *c_function(const struct args *a)
{
	static const char head[] = "#!lua name=";
	if (a->n == 4) {
		check(span_is(a->word[2], "REPLACE"));
		return answer_ok();
	}
	CLEANUP(freep) char *text = xstrndup(a->word[2].p, a->word[2].n);
	check(span_is(a->word[1], "LOAD") && strncmp(text, head, sizeof(head) - 1) == 0);
	const char *name = text + sizeof(head) - 1;
	CLEANUP(freep) char *known = xstrndup(name, strcspn(name, "\n"));
	if (loaded != NULL && strcmp(loaded, known) == 0)
		return answer_error("ERR Library already exists");
	check(loaded == NULL);
	loaded = TAKE_PTR(known);
	lua_start(text);
	return answer_text(loaded);
}

static redisReply *take_value(int at)
{
	size_t n;
	const char *p;
	switch (lua_type(lua, at)) {
	case LUA_TSTRING:
		p = lua_tolstring(lua, at, &n);
		return answer_bytes(REDIS_REPLY_STRING, p, n);
	case LUA_TNUMBER:
		return answer_int((int64_t)lua_tonumber(lua, at));
	case LUA_TBOOLEAN:
		return lua_toboolean(lua, at) ? answer_int(1) : answer(REDIS_REPLY_NIL);
	case LUA_TTABLE:
		for (n = 0;; n++) { // up to the first nil
			lua_rawgeti(lua, at, (int)n + 1);
			bool end = lua_isnil(lua, -1);
			lua_pop(lua, 1);
			if (end)
				break;
		}
		redisReply *r = answer_array(n);
		for (size_t i = 0; i < n; i++) {
			lua_rawgeti(lua, at, (int)i + 1);
			r->element[i] = take_value(lua_gettop(lua));
			lua_pop(lua, 1);
		}
		return r;
	default:
		return answer(REDIS_REPLY_NIL);
	}
}

static void push_words(const struct span *words, size_t n)
{
	lua_createtable(lua, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		lua_pushlstring(lua, words[i].p, words[i].n);
		lua_rawseti(lua, -2, (int)i + 1);
	}
}

// FCALL name n key… argument…
static redisReply *c_fcall(const struct args *a)
{
	size_t n = (size_t)number(a->word[2]);
	check(n <= a->n - 3);
	if (lua == NULL)
		return answer_error("ERR Function not found");
	lua_getfield(lua, LUA_REGISTRYINDEX, "functions");
	lua_pushlstring(lua, a->word[1].p, a->word[1].n);
	lua_rawget(lua, -2);
	if (!lua_isfunction(lua, -1)) {
		lua_settop(lua, 0);
		return answer_error("ERR Function not found");
	}
	push_words(a->word + 3, n);
	push_words(a->word + 3 + n, a->n - 3 - n);
	redisReply *r = lua_pcall(lua, 2, 1, 0) == 0 ? take_value(lua_gettop(lua)) : answer_error(lua_tostring(lua, -1));
	lua_settop(lua, 0);
	return r;
}

// ---- in the place of hiredis' connections

struct connection {
	redisContext c;              // first
	struct connection *next;
	redisReply **answers;        // to what was sent ahead, oldest first
	size_t n, size, first;
};
struct redis_held {
	size_t n;
	struct item *list;
};
static struct redis_held **holding;
static struct connection *connections;

// All connections are at their end: readable, and nothing is to be read.
static void hang_up(void)
{
	eventfd_t one = 1;
	for (struct connection *c = connections; c != NULL; c = c->next) {
		ssize_t n = write(c->c.fd, &one, sizeof(one));
		check(n == sizeof(one));
		redisBufferRead(&c->c);
	}
}

static struct span *words_of(int argc, const char **argv, const size_t *lengths)
{
	struct span *words = xcalloc((size_t)argc + 1, sizeof(*words));
	for (int i = 0; i < argc; i++)
		words[i] = (struct span){ argv[i], lengths != NULL ? lengths[i] : strlen(argv[i]) };
	return words;
}

static void hold(const struct span *words, int n)
{
	struct redis_held *h = *holding != NULL ? *holding : (*holding = xcalloc(1, sizeof(*h)));
	h->list = xrealloc(h->list, h->n + 1, sizeof(*h->list));
	h->list[h->n++] = item_of(0, 0, words, (size_t)n);
}

void redis_twin_hold(struct redis_held **into)
{
	holding = into;
}

void redis_twin_arrive(struct redis_held *h)
{
	for (size_t i = 0; i < h->n; i++)
		freeReplyObject(carry_out(&(struct args){ h->list[i].n, h->list[i].words }));
	redis_twin_drop(h);
}

void redis_twin_drop(struct redis_held *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < h->n; i++)
		free(h->list[i].words);
	free(h->list);
	free(h);
}

redisContext *redisConnectUnixWithTimeout(const char *path, const struct timeval tv)
{
	(void)path, (void)tv;
	struct connection *c = xcalloc(1, sizeof(*c));
	c->c.fd = eventfd(0, EFD_CLOEXEC); // never readable: answers are there at once
	check(c->c.fd >= 0);
	c->next = connections;
	connections = c;
	return &c->c;
}

redisContext *redisConnectWithTimeout(const char *ip, int port, const struct timeval tv)
{
	(void)port;
	return redisConnectUnixWithTimeout(ip, tv);
}

int redisSetTimeout(redisContext *c, const struct timeval tv)
{
	(void)c, (void)tv;
	return REDIS_OK;
}

void redisFree(redisContext *base)
{
	struct connection *c = (struct connection *)base, **at = &connections;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	for (size_t i = 0; i < c->n; i++)
		freeReplyObject(c->answers[c->first + i]);
	close(c->c.fd);
	free(c->answers);
	free(c);
}

void *redisCommandArgv(redisContext *c, int argc, const char **argv, const size_t *lengths)
{
	check(((struct connection *)c)->n == 0);
	if (c->err == 0 && redis_twin_before_cut != NULL && argc > 1 && memmem(argv[1], lengths[1], "_cut", 4) != NULL) // no text: its bytes go on
		redis_twin_before_cut();
	if (c->err != 0)
		return NULL;
	CLEANUP(freep) struct span *words = words_of(argc, argv, lengths);
	return carry_out(&(struct args){ (size_t)argc, words });
}

int redisAppendCommandArgv(redisContext *base, int argc, const char **argv, const size_t *lengths)
{
	struct connection *c = (struct connection *)base;
	CLEANUP(freep) struct span *words = words_of(argc, argv, lengths);
	if (holding != NULL) { // it is on its way, and the connection is given up
		hold(words, argc);
		redisBufferRead(base);
		return REDIS_OK;
	}
	redisReply *r = carry_out(&(struct args){ (size_t)argc, words });
	if (c->first + c->n == c->size) {
		if (c->n > 0)
			memmove(c->answers, c->answers + c->first, c->n * sizeof(*c->answers));
		c->first = 0;
		if (c->n == c->size) {
			c->size = c->size * 2 + 16;
			c->answers = xrealloc(c->answers, c->size, sizeof(*c->answers));
		}
	}
	c->answers[c->first + c->n++] = r;
	return REDIS_OK;
}

int redisBufferWrite(redisContext *c, int *done)
{
	(void)c;
	*done = 1;
	return REDIS_OK;
}

int redisGetReplyFromReader(redisContext *base, void **ret)
{
	struct connection *c = (struct connection *)base;
	*ret = c->n > 0 ? c->answers[c->first] : NULL;
	if (c->n > 0)
		c->first++, c->n--;
	return REDIS_OK;
}

int redisGetReply(redisContext *base, void **ret)
{
	return redisGetReplyFromReader(base, ret) == REDIS_OK && *ret != NULL ? REDIS_OK : redisBufferRead(base);
}

int redisBufferRead(redisContext *c)
{
	c->err = REDIS_ERR_EOF;
	snprintf(c->errstr, sizeof(c->errstr), "no answer is on its way");
	return REDIS_ERR;
}
