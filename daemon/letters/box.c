// SPDX-License-Identifier: Apache-2.0
// Letters in memory, by their positions. Bytes live in an arena, as long as the box.
#include "letters/box.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "letters/letters.h"
#include "period/period.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

enum { TIMEOUT_MS = 30000, BATCH = 200 };

struct held {                        // a letter, or a mark whose letter is not there: topic.p NULL
	struct letter l;             // first
	UT_hash_handle hh;
};
struct letters_box {
	struct letters_ends o;
	struct arena arena;
	struct held *all;            // in order of arrival
	uint64_t read;
};

void letters_box_freep(struct letters_box **at)
{
	struct letters_box *b = *at;
	if (b == NULL)
		return;
	struct held *h = b->all, *next;
	HASH_CLEAR(hh, b->all);
	for (; h != NULL; h = next) {
		next = h->hh.next;
		free(h->l.position);
		free(h);
	}
	arena_free(&b->arena);
	free(b);
	*at = NULL;
}

// ---- reading
static struct letter *letter_at(struct letters_box *b, const char *position)
{
	struct held *h = NULL;
	HASH_FIND_STR(b->all, position, h);
	if (h != NULL)
		return &h->l;
	h = xcalloc(1, sizeof(*h));
	h->l.position = xstrdup(position);
	HASH_ADD_KEYPTR(hh, b->all, h->l.position, strlen(h->l.position), h);
	return &h->l;
}

static struct span account_of(struct letters_box *b, struct span value)
{
	json_t *j = value.n > 0 ? json_loadb(value.p, value.n, 0, NULL) : NULL;
	const json_t *a = json_object_get(j, b->o.field_account);
	a = a != NULL ? a : json_object_get(json_object_get(j, "data"), b->o.field_account);
	struct span account = json_is_string(a) ? arena_copy(&b->arena, span_of(json_string_value(a))) : (struct span){ 0 };
	json_decref(j);
	return account;
}

static bool is_ours(struct span name)
{
	return (name.n >= sizeof(LETTERS_OWN) - 1 && memcmp(name.p, LETTERS_OWN, sizeof(LETTERS_OWN) - 1) == 0) || span_is(name, LETTERS_GIVEN_BACK) ||
	       span_is(name, GIVEN_BACK_CLOCK_HEADER) || span_is(name, GIVEN_BACK_STAMP_HEADER);
}

static struct span copy(struct letters_box *b, struct span s)
{
	return s.p != NULL ? arena_copy(&b->arena, s) : s;
}

static void take_headers(struct letters_box *b, struct letter *l, const struct record *r)
{
	struct header *list = arena_alloc(&b->arena, (r->n_headers + 1) * sizeof(*list));
	l->headers = list;
	for (uint32_t i = 0; i < r->n_headers; i++)
		if (!is_ours(r->headers[i].name))
			list[l->n_headers++] = (struct header){ copy(b, r->headers[i].name), copy(b, r->headers[i].value) };
}

static void take_letter(struct letters_box *b, const struct record *r)
{
	char position[LETTERS_POSITION];
	int64_t stamp = -1;
	if (!letters_position(r, position))
		return; // somebody else's
	if (!span_int64(letters_header(r, LETTERS_OWN "timestamp"), &stamp))
		stamp = -1;
	struct letter *l = letter_at(b, position);
	if (l->topic.p != NULL)
		return; // it came twice
	l->topic = copy(b, letters_header(r, LETTERS_OWN "topic"));
	check(span_int64(letters_header(r, LETTERS_OWN "partition"), &l->partition) && span_int64(letters_header(r, LETTERS_OWN "offset"), &l->offset));
	l->timestamp_ms = stamp;
	l->stamp = copy(b, letters_header(r, LETTERS_OWN "timestamp"));
	l->clock = copy(b, letters_header(r, LETTERS_OWN "clock"));
	l->code = copy(b, letters_header(r, LETTERS_OWN "code"));
	l->message = copy(b, letters_header(r, LETTERS_OWN "message"));
	l->truncated = letters_header(r, LETTERS_OWN "truncated").p != NULL;
	l->key = copy(b, r->key);
	l->value = copy(b, r->value);
	l->account = account_of(b, r->value);
	take_headers(b, l, r);
}

static bool take_record(void *ctx, const struct topic_record *x)
{
	struct letters_box *b = ctx;
	struct span mark = letters_header(&x->r, LETTERS_GIVEN_BACK);
	b->read++;
	if (b->o.progress != NULL)
		b->o.progress(b->o.ctx, b->read);
	if (mark.p != NULL && letters_header(&x->r, LETTERS_OWN "topic").p == NULL) {
		CLEANUP(freep) char *position = xstrndup(mark.p, mark.n);
		letter_at(b, position)->given_back = true;
	} else {
		take_letter(b, &x->r);
	}
	return true;
}

enum error_class letters_box_read(const struct letters_ends *o, struct letters_box **ret, struct error *e)
{
	CLEANUP(letters_box_freep) struct letters_box *b = xcalloc(1, sizeof(*b));
	b->o = *o;
	b->o.port = o->port != NULL ? o->port : &sink_port_kafka;
	enum error_class c = b->o.port->read_back(o->kafka, o->kafka->dlq_topic, TIME_NONE, TIMEOUT_MS, take_record, b, e);
	if (c == ERROR_NONE)
		*ret = TAKE_PTR(b);
	return c;
}

// ---- looking
const struct letter *letters_box_next(const struct letters_box *b, const struct letter *after)
{
	const struct held *h = after != NULL ? ((const struct held *)after)->hh.next : b->all;
	while (h != NULL && h->l.topic.p == NULL)
		h = h->hh.next;
	return h != NULL ? &h->l : NULL;
}

const struct letter *letters_box_find(const struct letters_box *b, const char *position)
{
	struct held *h = NULL;
	HASH_FIND_STR(b->all, position, h);
	return h != NULL && h->l.topic.p != NULL ? &h->l : NULL;
}

bool letters_wanted(const struct letter *l, const struct letters_wish *w)
{
	if (l->given_back && !w->given_back)
		return false;
	if (w->position != NULL)
		return strcmp(l->position, w->position) == 0;
	return (w->code == NULL || span_is(l->code, w->code)) && (w->account == NULL || (l->account.p != NULL && span_is(l->account, w->account))) &&
	       (w->since_ms == INT64_MIN || l->timestamp_ms >= w->since_ms) && (w->until_ms == INT64_MAX || l->timestamp_ms < w->until_ms);
}

// ---- giving back
// The records, and the marks beside their letters, as one transaction.
static enum txn_status give_back(struct letters_box *b, struct txn_sink *sink, const struct letter *const *list, uint32_t n, struct error *e)
{
	CLEANUP(freep) struct message *m = xcalloc(2 * (size_t)n, sizeof(*m));
	CLEANUP(freep) struct header *marks = xcalloc(n, sizeof(*marks));
	for (uint32_t i = 0; i < n; i++) {
		const struct letter *l = list[i];
		struct header *headers = arena_alloc(&b->arena, (l->n_headers + 3) * sizeof(*headers));
		uint32_t n_headers = l->n_headers;
		marks[i] = (struct header){ SPAN_LIT(LETTERS_GIVEN_BACK), span_of(l->position) };
		for (uint32_t k = 0; k < l->n_headers; k++)
			headers[k] = l->headers[k];
		headers[n_headers++] = marks[i];
		if (l->clock.p != NULL)
			headers[n_headers++] = (struct header){ SPAN_LIT(GIVEN_BACK_CLOCK_HEADER), l->clock };
		if (l->stamp.p != NULL) // the broker may put another one on the record
			headers[n_headers++] = (struct header){ SPAN_LIT(GIVEN_BACK_STAMP_HEADER), l->stamp };
		const char *topic = arena_printf(&b->arena, "%.*s", (int)l->topic.n, l->topic.p);
		m[i] = (struct message){ .topic = topic, .partition = (int32_t)l->partition,
					 .key = l->key, .value = l->value, .headers = headers,
					 .n_headers = n_headers,
					 .timestamp_ms = l->timestamp_ms > 0 ? l->timestamp_ms : 0 };
		m[n + i] = (struct message){ .topic = b->o.kafka->dlq_topic, .partition = -1, .key = span_of(l->position), .headers = &marks[i], .n_headers = 1 };
	}
	return sink->ops->publish(sink, m, 2 * n, e);
}

static enum error_class give_all_back(struct letters_box *b, struct txn_sink *sink, const struct letter *const *list, struct letters_sums *s, struct error *e)
{
	struct error why = { 0 };
	while (s->given_back < s->chosen) {
		uint32_t some = s->chosen - s->given_back < BATCH ? s->chosen - s->given_back : BATCH;
		if (give_back(b, sink, list + s->given_back, some, &why) != TXN_DONE)
			return error_set(e, ERROR_RETRY, 0, "%u given back, then: %s. Run the same command again: what is back already is marked", s->given_back,
					 why.text);
		s->given_back += some;
	}
	return ERROR_NONE;
}

static bool is_read(const struct kafka_options *k, struct span topic)
{
	for (const char *const *t = k->input_topics; *t != NULL; t++)
		if (span_is(topic, *t))
			return true;
	return false;
}

static const struct letter **choose(const struct letters_box *b, const struct letters_wish *w, struct letters_sums *ret)
{
	const struct letter **chosen = xcalloc(HASH_COUNT(b->all) + 1, sizeof(*chosen));
	for (const struct letter *l = letters_box_next(b, NULL); l != NULL; l = letters_box_next(b, l)) {
		if (!letters_wanted(l, w))
			continue;
		bool elsewhere = !is_read(b->o.kafka, l->topic);
		ret->elsewhere += elsewhere;
		ret->truncated += !elsewhere && l->truncated;
		if (!elsewhere && !l->truncated)
			chosen[ret->chosen++] = l;
	}
	return chosen;
}

enum error_class letters_give_back(const struct letters_ends *o, const struct letters_wish *w, bool only_tell, struct letters_sums *ret, struct error *e)
{
	const struct sink_port *port = o->port != NULL ? o->port : &sink_port_kafka;
	CLEANUP(freep) char *id = xasprintf("%s-requeue", o->kafka->group);
	CLEANUP(letters_box_freep) struct letters_box *b = NULL;
	struct letters_wish once = *w;
	struct txn_sink *sink = NULL;
	once.given_back = false; // it would count twice where the window of duplicates does not reach back so far
	*ret = (struct letters_sums){ 0 };
	enum error_class c = only_tell ? ERROR_NONE : port->txn_open(o->kafka, id, TIMEOUT_MS, &sink, e);
	if (c == ERROR_NONE)
		c = letters_box_read(o, &b, e);
	if (c == ERROR_NONE) {
		CLEANUP(freep) const struct letter **chosen = choose(b, &once, ret);
		c = only_tell ? c : give_all_back(b, sink, chosen, ret, e);
	}
	if (sink != NULL)
		sink->ops->close(sink);
	return c;
}
