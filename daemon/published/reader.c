// SPDX-License-Identifier: Apache-2.0
#include "published/reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "published/statement.h"

struct published_reader {
	const struct kafka_options *kafka;
	feed_read_fn *read;
	int timeout_ms;
	int askers;           // atomic
	pthread_mutex_t lock; // one question at a time
};

struct published_reader *published_reader_new(const struct kafka_options *kafka, feed_read_fn *read, int timeout_ms)
{
	struct published_reader *r = xcalloc(1, sizeof(*r));
	r->kafka = kafka;
	r->read = read != NULL ? read : topic_read_on;
	r->timeout_ms = timeout_ms;
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void published_reader_freep(struct published_reader **r)
{
	if (*r == NULL)
		return;
	check((*r)->askers == 0);
	pthread_mutex_destroy(&(*r)->lock);
	free(*r);
	*r = NULL;
}

// ---- a page

struct page {
	const struct published_question *q;
	FILE *to;
	size_t bytes;
	uint32_t n;
	bool full;
	int64_t until_us;
};

// The key is the account; what it says besides is only parsed where that fits.
static bool fits(const struct published_question *q, const struct record *r)
{
	if (r->value.n == 0 || (q->account != NULL && !span_is(r->key, q->account)))
		return false;
	json_t *j = json_loadb(r->value.p, r->value.n, JSON_REJECT_DUPLICATES, NULL);
	const char *period = json_string_value(json_object_get(json_object_get(j, "data"), "period"));
	int month;
	bool is = json_is_object(j) && (q->month == MONTH_NONE || (period != NULL && month_parse(span_of(period), &month) && month == q->month));
	json_decref(j);
	return is;
}

static bool on_page(void *ctx, const struct topic_record *t)
{
	struct page *p = ctx;
	if (t != NULL && fits(p->q, &t->r)) {
		fputs(p->n++ > 0 ? ",\n" : "", p->to);
		fwrite(t->r.value.p, 1, t->r.value.n, p->to);
		p->bytes += t->r.value.n;
	}
	p->full = p->n >= PAGE_LINES || p->bytes >= PAGE_BYTES || clock_mono_us() >= p->until_us;
	return !p->full;
}

static enum published_answer page(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *e)
{
	CLEANUP(places_free) struct topic_places at = { 0 };
	CLEANUP(freep) char *text = NULL;
	char place[PLACES_TEXT];
	size_t n = 0;
	struct page p = { .q = q, .until_us = clock_mono_us() + PAGE_MS * 1000 };
	if (q->cursor != NULL)
		places_copy(&at, q->cursor);
	p.to = xmemstream(&text, &n);
	fputs("{\"settlements\":[", p.to);
	enum error_class c = r->read(r->kafka, r->kafka->settlements_topic, &at, INT64_MAX, false, r->timeout_ms, on_page, &p, e);
	if (p.full)
		fprintf(p.to, "],\"next\":\"%s\"}\n", places_text(&at, place));
	else
		fputs("],\"next\":null}\n", p.to);
	xmemstream_close(p.to);
	if (c != ERROR_NONE)
		return PUBLISHED_AWAY;
	if (at.lost && q->cursor != NULL) {
		error_set(e, ERROR_REJECT, 0, "what the cursor points at is gone from the topic (retention, or it was made again): begin again without it");
		return PUBLISHED_GONE;
	}
	*ret_json = TAKE_PTR(text);
	return PUBLISHED_TOLD;
}

// ---- a statement

static bool on_document(void *ctx, const struct topic_record *t)
{
	static const char closed[] = "meterd.period.closed.v1";
	struct published *p = ctx;
	if (t != NULL && (span_is(t->r.key, p->account) || memmem(t->r.value.p, t->r.value.n, closed, strlen(closed)) != NULL))
		published_take(p, t->r.value);
	return true;
}

static enum published_answer nothing(const struct published *p, const struct published_question *q, struct error *e)
{
	char month[MONTH_TEXT];
	month_text(q->month, month);
	if (published_settled(p, q->month))
		error_set(e, ERROR_REJECT, 0, "there is no statement of account %s for %s: it had no calls that cost something, and nothing was frozen",
			  q->account, month);
	else
		error_set(e, ERROR_REJECT, 0, "%s is not settled yet: /api/v1/usage?account=%s&period=%s says what it costs by now", month, q->account, month);
	return PUBLISHED_NOTHING;
}

static enum published_answer statement(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *e)
{
	CLEANUP(published_free) struct published p = published_of(q->account, q->month);
	CLEANUP(places_free) struct topic_places at = { 0 };
	struct statement s;
	char wrong[200];
	if (r->read(r->kafka, r->kafka->settlements_topic, &at, INT64_MAX, false, r->timeout_ms, on_document, &p, e) != ERROR_NONE)
		return PUBLISHED_AWAY;
	if (!statement_find(&p, q->account, q->month, -1, &s))
		return nothing(&p, q, e);
	if (statement_check(&s, wrong, sizeof(wrong)) > 0)
		error_set(e, ERROR_REJECT, 0, "the statement does not agree with its lines: %s; `meterctl statement` says more", wrong);
	else
		*ret_json = statement_json(&s);
	statement_free(&s);
	return *ret_json != NULL ? PUBLISHED_TOLD : PUBLISHED_AWAY;
}

// ---- one after the other

typedef enum published_answer answer_fn(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *e);

static enum published_answer in_turn(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *why, answer_fn *fn)
{
	enum published_answer a = PUBLISHED_AWAY;
	check(why->cls == ERROR_NONE && *ret_json == NULL);
	if (__atomic_add_fetch(&r->askers, 1, __ATOMIC_RELAXED) > PUBLISHED_ASKERS) {
		error_set(why, ERROR_RETRY, 0, "%d questions wait already; ask again later", PUBLISHED_ASKERS);
	} else {
		pthread_mutex_lock(&r->lock);
		a = fn(r, q, ret_json, why);
		pthread_mutex_unlock(&r->lock);
	}
	__atomic_sub_fetch(&r->askers, 1, __ATOMIC_RELAXED);
	return a;
}

enum published_answer published_reader_page(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *why)
{
	return in_turn(r, q, ret_json, why, page);
}

enum published_answer published_reader_statement(struct published_reader *r, const struct published_question *q, char **ret_json, struct error *why)
{
	check(q->account != NULL && q->month != MONTH_NONE);
	return in_turn(r, q, ret_json, why, statement);
}
