// SPDX-License-Identifier: Apache-2.0
#include "proof/proof.h"

#include <jansson.h>
#include <search.h>
#include <stdlib.h>

#include "base/check.h"
#include "journal/json.h"
#include "proof/inner.h"

enum { GAPS_MOST = 20 };

const char *proof_kind_text(enum proof_kind k)
{
	static const char *const texts[] = {
		[PROOF_FIELD] = "differs", [PROOF_MISSING] = "not published", [PROOF_UNKNOWN] = "not derived", [PROOF_TWICE] = "published twice",
		[PROOF_MANIFEST] = "manifest", [PROOF_CUT] = "cutoff", [PROOF_GAP] = "gap",
	};
	return texts[k];
}

void proof_add(struct proof *p, struct proof_difference d)
{
	if (p->n == p->size) {
		p->size = p->size * 2 + 16;
		p->list = xrealloc(p->list, p->size, sizeof(*p->list));
	}
	p->list[p->n++] = d;
}

bool proof_covers(const struct proof *p, int month)
{
	return p->o.month == MONTH_NONE ? p->o.id == NULL || month == p->last->month : month == p->o.month;
}

// ---- up to which month
static const struct journal_manifest *newest_settled(struct proof *p)
{
	for (uint32_t i = p->journal->n_manifests; i > 0; i--)
		if (proof_settled(p, p->journal->manifests[i - 1].month))
			return &p->journal->manifests[i - 1];
	return NULL;
}

static enum error_class choose_month(struct proof *p, int month, struct error *e)
{
	char text[MONTH_TEXT] = "";
	const struct journal_manifest *newest = newest_settled(p);
	if (newest == NULL)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "no month is settled yet: there is nothing to prove");
	p->last = month != MONTH_NONE ? journal_manifest(p->journal, month) : newest;
	if (month != MONTH_NONE)
		month_text(month, text);
	if (p->last == NULL)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s was never closed; the newest month that is settled is %s", text,
				 month_text(newest->month, (char[MONTH_TEXT]){ 0 }));
	if (!proof_settled(p, p->last->month))
		return error_set(e, ERROR_ABORT, EXIT_LATER, "%s is closed, and its end of run is not in %s: it is being settled, or the topic does not hold "
				 "all that was published", text, p->o.kafka->settlements_topic);
	p->all_months = p->last == newest;
	return ERROR_NONE;
}

// A document by its id: the account it is about, and the month to which the log must be read.
static enum error_class choose_document(struct proof *p, int *ret_month, struct error *e)
{
	const struct document *d = proof_find(p, p->o.id);
	if (d == NULL)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s holds no document %s: `meterctl settlements` lists them",
				 p->o.kafka->settlements_topic, p->o.id);
	CLEANUP(json_freep) json_t *j = json_loadb(d->published.p, d->published.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *data = json_object_get(j, "data");
	const char *account = json_string_value(json_object_get(data, "account")), *period = json_string_value(json_object_get(data, "period"));
	if (account != NULL && p->account.p == NULL)
		p->account = arena_copy(&p->arena, span_of(account));
	// An adjustment is made by a later close; which one, only the log says.
	if (json_integer_value(json_object_get(data, "revision")) == 0 && period != NULL)
		month_parse(span_of(period), ret_month);
	return ERROR_NONE;
}

static enum error_class choose(struct proof *p, struct error *e)
{
	int month = p->o.month;
	enum error_class c = ERROR_NONE;
	if (p->journal->init_id[0] == '\0' || p->journal->n_rules == 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "topic %s holds no init: there is nothing to prove", p->o.kafka->control_topic);
	if (p->o.account != NULL)
		p->account = span_of(p->o.account);
	if (p->o.id != NULL && month == MONTH_NONE)
		c = choose_document(p, &month, e);
	return c == ERROR_NONE ? choose_month(p, month, e) : c;
}

// ---- deriving
static enum error_class derive(struct proof *p, struct error *e)
{
	CLEANUP(freep) char *source = xasprintf("/meterd/%s", p->o.kafka->group);
	struct closing_books b = { .store = books_store(p->books), .shards = 1, .source = source, .journal = p->journal, .feed = p->feed,
				   .accounts_topic = p->o.kafka->accounts_topic, .account = p->account };
	enum error_class c = ERROR_NONE;
	for (const struct journal_manifest *m = p->journal->manifests; m <= p->last && c == ERROR_NONE; m++)
		c = closing_derive(&b, m, e);
	p->numbers.first_month = p->journal->manifests[0].month;
	p->numbers.last_month = p->last->month;
	return c;
}

// Markers of transactions leave gaps too: worth a word only where the log is not the one that was settled.
static void drop_gaps(struct proof *p)
{
	uint32_t n = 0, gaps = 0;
	bool changed = false;
	for (uint32_t i = 0; i < p->n; i++) {
		gaps += p->list[i].kind == PROOF_GAP;
		changed = changed || p->list[i].kind == PROOF_MANIFEST || p->list[i].kind == PROOF_CUT;
	}
	bool keep = changed && gaps <= GAPS_MOST;
	for (uint32_t i = 0; i < p->n; i++)
		if (keep || p->list[i].kind != PROOF_GAP)
			p->list[n++] = p->list[i];
	p->n = n;
}

static enum error_class run(struct proof *p, struct error *e)
{
	const struct proof_options *o = &p->o;
	// What is published was decided before: read in this order, every document has its manifest.
	enum error_class c = proof_read_published(p, e);
	if (c == ERROR_NONE)
		c = journal_load_from(p->port, o->kafka, o->timeout_ms, &p->journal, e);
	if (c == ERROR_NONE)
		c = choose(p, e);
	if (c == ERROR_NONE)
		c = accounts_feed_refresh(p->feed, p->port, o->kafka, o->timeout_ms, e);
	if (c == ERROR_NONE)
		c = proof_read_log(p, e);
	if (c == ERROR_NONE)
		c = derive(p, e);
	if (c != ERROR_NONE)
		return c;
	proof_compare(p);
	drop_gaps(p);
	return ERROR_NONE;
}

enum error_class proof_run(const struct proof_options *o, struct proof **ret, struct error *e)
{
	struct proof *p = xcalloc(1, sizeof(*p));
	p->o = *o;
	p->port = o->port != NULL ? o->port : &sink_port_kafka;
	p->feed = accounts_feed_new();
	p->books = books_new(proof_derived, p);
	enum error_class c = run(p, e);
	if (c == ERROR_NONE)
		*ret = p;
	else
		proof_freep(&p);
	return c;
}

void proof_freep(struct proof **at)
{
	struct proof *p = *at;
	if (p == NULL)
		return;
	tdestroy(p->by_id, free);
	books_freep(&p->books);
	accounts_feed_freep(&p->feed);
	journal_freep(&p->journal);
	free(p->list);
	arena_free(&p->arena);
	free(p);
	*at = NULL;
}

uint32_t proof_differences(const struct proof *p, const struct proof_difference **ret)
{
	*ret = p->list;
	return p->n;
}

void proof_numbers(const struct proof *p, struct proof_numbers *ret)
{
	*ret = p->numbers;
}
