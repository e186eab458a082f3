// SPDX-License-Identifier: Apache-2.0
#include "usage/reader.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "pipeline/checks.h"
#include "quote/quote.h"
#include "usage/row.h"

static const int64_t FRESH_US = 1000000; // how long what was read, or that it could not be, is taken for true

struct usage_reader {
	struct usage_reader_options o;
	int askers;                   // atomic
	pthread_mutex_t lock;         // of what follows
	struct journal *journal;      // NULL: not read yet
	struct accounts_feed *feed;
	int64_t read_us, failed_us;   // 0: never
	struct error failure;
};

struct usage_reader *usage_reader_new(const struct usage_reader_options *o)
{
	struct usage_reader *r = xcalloc(1, sizeof(*r));
	check(o->store != NULL && o->kafka != NULL);
	r->o = *o;
	r->o.port = o->port != NULL ? o->port : &sink_port_kafka;
	r->feed = accounts_feed_new();
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void usage_reader_freep(struct usage_reader **r)
{
	if (*r == NULL)
		return;
	check((*r)->askers == 0);
	(*r)->o.store->ops->close((*r)->o.store);
	journal_freep(&(*r)->journal);
	accounts_feed_freep(&(*r)->feed);
	pthread_mutex_destroy(&(*r)->lock);
	free(*r);
	*r = NULL;
}

int usage_reader_askers(const struct usage_reader *r)
{
	return __atomic_load_n(&r->askers, __ATOMIC_RELAXED);
}

// ---- what Kafka says

static enum error_class read_topics(struct usage_reader *r, struct error *e)
{
	CLEANUP(journal_freep) struct journal *j = NULL;
	if (r->journal != NULL && clock_mono_us() - r->read_us < FRESH_US)
		return ERROR_NONE;
	enum error_class c = journal_load_from(r->o.port, r->o.kafka, r->o.timeout_ms, &j, e);
	if (c == ERROR_NONE)
		c = journal_begun(j, r->o.kafka, e);
	if (c == ERROR_NONE)
		c = accounts_feed_refresh(r->feed, r->o.port, r->o.kafka, r->o.timeout_ms, e);
	if (c != ERROR_NONE)
		return c;
	journal_freep(&r->journal);
	r->journal = TAKE_PTR(j);
	r->read_us = clock_mono_us();
	r->o.store->ops->identity(r->o.store, r->journal->init_id, r->journal->generation);
	return ERROR_NONE;
}

// ---- the answer

static bool asked_for(const struct usage_question *q, int month, const struct usage_counter *c)
{
	return c->month == month && (q->service == NULL || strcmp(q->service, c->service) == 0);
}

static uint32_t count(const struct usage_question *q, int month, const struct usage_counters *c)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < c->n; i++)
		n += asked_for(q, month, &c->list[i]);
	return n;
}

static enum error_class print_rows(struct usage_world *w, const struct usage_question *q, const struct usage_counters *c, FILE *to, struct error *e)
{
	struct usage_month m;
	uint32_t n = 0;
	enum error_class cls = usage_month_make(w, c->list, c->n, &m, e);
	for (uint32_t i = 0; cls == ERROR_NONE && i < c->n; i++) {
		struct usage_row row;
		if (!asked_for(q, w->month, &c->list[i]))
			continue;
		cls = usage_row_make(w, &m, &c->list[i], &row, e);
		if (cls == ERROR_NONE)
			usage_row_json(&row, n++, to);
	}
	usage_rows_end(n, to);
	return cls;
}

static enum error_class tell(struct usage_reader *r, const struct usage_question *q, int month, const struct usage_counters *c, char **ret_json,
			     struct error *e)
{
	struct usage_world w = { .store = r->o.store, .shards = r->journal->shards, .journal = r->journal, .book = accounts_feed_book(r->feed),
				 .clock_ms = TIME_NONE };
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	enum error_class cls = usage_world_begin(&w, month, e);
	if (cls == ERROR_NONE) {
		FILE *to = xmemstream(&text, &n);
		cls = print_rows(&w, q, c, to, e);
		xmemstream_close(to);
	}
	usage_world_end(&w);
	if (cls == ERROR_NONE)
		*ret_json = TAKE_PTR(text);
	return cls;
}

static enum usage_answer nothing(const struct usage_question *q, int month, struct error *why)
{
	char text[MONTH_TEXT];
	error_set(why, ERROR_REJECT, 0, "account %s has no calls%s%s%s%s", q->account, q->service != NULL ? " of service " : "",
		  q->service != NULL ? q->service : "", month != MONTH_NONE ? " in " : "", month != MONTH_NONE ? month_text(month, text) : "");
	return USAGE_NOTHING;
}

// Other errors than `nothing` are those of servers.
static enum usage_answer ask(struct usage_reader *r, const struct usage_question *q, char **ret_json, struct error *e)
{
	CLEANUP(usage_counters_free) struct usage_counters c = { 0 };
	struct span account = span_of(q->account);
	if (read_topics(r, e) != ERROR_NONE || checks_shard(r->o.store, r->journal, store_shard(account, r->journal->shards), e) != ERROR_NONE ||
	    usage_counters_of(r->o.store, r->journal, account, &c, e) != ERROR_NONE)
		return USAGE_AWAY;
	int month = q->month != MONTH_NONE ? q->month : usage_newest_month(&c);
	if (count(q, month, &c) == 0)
		return nothing(q, month, e);
	return tell(r, q, month, &c, ret_json, e) == ERROR_NONE ? USAGE_TOLD : USAGE_AWAY;
}

// ---- by the price book

static const struct catalog *book_of(const struct usage_reader *r)
{
	return r->journal->rules[r->journal->n_rules - 1].rules->catalog;
}

static enum usage_answer no_service(const char *name, struct error *why)
{
	error_set(why, ERROR_REJECT, 0, "service %s is unknown, or does not exist in that month; /api/v1/catalog lists those of a month", name);
	return USAGE_NOTHING;
}

static enum usage_answer quote(struct usage_reader *r, const struct quote_question *q, char **ret_json, struct error *e)
{
	uint32_t service;
	if (read_topics(r, e) != ERROR_NONE)
		return USAGE_AWAY;
	const struct catalog *c = book_of(r);
	int month = q->month != MONTH_NONE ? q->month : period_month(catalog_zone(c), q->now_ms);
	if (month == MONTH_NONE)
		return error_set(e, ERROR_REJECT, 0, "give period: the clock of this machine is beyond what meterd knows"), USAGE_NOTHING;
	if (q->service == NULL) {
		*ret_json = quote_book_json(c, month);
		return USAGE_TOLD;
	}
	struct span name = span_of(q->service);
	if ((!catalog_find_id(c, name, &service) && catalog_find(c, name, period_start_ms(catalog_zone(c), month), &service) != SERVICE_OK) ||
	    !catalog_service_in(c, service, month))
		return no_service(q->service, e);
	*ret_json = quote_json(c, service, month, q->calls);
	if (*ret_json == NULL)
		return error_set(e, ERROR_REJECT, 0, "the bill of so many calls is larger than an amount can be: ask for fewer"), USAGE_NOTHING;
	return USAGE_TOLD;
}

// ---- one after the other

typedef enum usage_answer answer_fn(struct usage_reader *r, const void *question, char **ret_json, struct error *e);

static enum usage_answer answer_usage(struct usage_reader *r, const void *q, char **ret_json, struct error *e)
{
	return ask(r, q, ret_json, e);
}

static enum usage_answer answer_quote(struct usage_reader *r, const void *q, char **ret_json, struct error *e)
{
	return quote(r, q, ret_json, e);
}

static enum usage_answer ask_in_turn(struct usage_reader *r, answer_fn *fn, const void *q, char **ret_json, struct error *why)
{
	if (r->failed_us != 0 && clock_mono_us() - r->failed_us < FRESH_US) {
		*why = r->failure;
		return USAGE_AWAY;
	}
	enum usage_answer a = fn(r, q, ret_json, why);
	r->failed_us = a == USAGE_AWAY ? clock_mono_us() : 0;
	r->failure = *why;
	return a;
}

static enum usage_answer in_turn(struct usage_reader *r, answer_fn *fn, const void *q, char **ret_json, struct error *why)
{
	enum usage_answer a = USAGE_AWAY;
	check(why->cls == ERROR_NONE);
	if (__atomic_add_fetch(&r->askers, 1, __ATOMIC_RELAXED) > USAGE_READER_ASKERS) {
		error_set(why, ERROR_RETRY, 0, "%d questions wait already; ask again later", USAGE_READER_ASKERS);
	} else {
		pthread_mutex_lock(&r->lock);
		a = ask_in_turn(r, fn, q, ret_json, why);
		pthread_mutex_unlock(&r->lock);
	}
	__atomic_sub_fetch(&r->askers, 1, __ATOMIC_RELAXED);
	return a;
}

enum usage_answer usage_reader_ask(struct usage_reader *r, const struct usage_question *q, char **ret_json, struct error *why)
{
	check(q->account != NULL);
	return in_turn(r, answer_usage, q, ret_json, why);
}

enum usage_answer usage_reader_quote(struct usage_reader *r, const struct quote_question *q, char **ret_json, struct error *why)
{
	return in_turn(r, answer_quote, q, ret_json, why);
}
