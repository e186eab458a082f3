// SPDX-License-Identifier: Apache-2.0
#include "tools/held.h"

#include "base/check.h"

enum { TIMEOUT_MS = 30000 };

int held_open(struct held *h, const struct options *o, const struct kafka_options *k)
{
	struct error e = { 0 };
	*h = (struct held){ .feed = accounts_feed_new() };
	if (journal_load(k, TIMEOUT_MS, &h->journal, &e) != ERROR_NONE || journal_begun(h->journal, k, &e) != ERROR_NONE)
		return options_fail(o, &e);
	if (accounts_feed_refresh(h->feed, &sink_port_kafka, k, TIMEOUT_MS, &e) != ERROR_NONE)
		return options_fail(o, &e);
	return OPTIONS_GO_ON;
}

void held_close(struct held *h)
{
	journal_freep(&h->journal);
	accounts_feed_freep(&h->feed);
	arena_free(&h->arena);
}

const struct rules *held_rules(const struct held *h)
{
	return h->journal->rules[h->journal->n_rules - 1].rules;
}

const struct terms *held_terms(struct held *h, const char *account, int month)
{
	const struct account_horizon now = { .stamp_ms = INT64_MAX };
	return terms_make(held_rules(h)->catalog, account_book_find(accounts_feed_book(h->feed), span_of(account)), &now, month, &h->arena);
}

static bool same_cuts(const struct journal_manifest *m, const json_t *cuts)
{
	if (json_object_size(cuts) != m->n_cuts)
		return false;
	for (uint32_t i = 0; i < m->n_cuts; i++) {
		const json_t *offset = json_object_get(cuts, m->cuts[i].name);
		if (!json_is_integer(offset) || json_integer_value(offset) != m->cuts[i].offset)
			return false;
	}
	return true;
}

static const struct journal_manifest *manifest_of(const struct journal *j, const struct published_document *d)
{
	const struct journal_manifest *own = journal_manifest(j, d->month);
	for (uint32_t i = 0; own == NULL && i < j->n_manifests; i++)
		if (same_cuts(&j->manifests[i], json_object_get(d->data, "cutoffs")))
			own = &j->manifests[i];
	return own;
}

const struct terms *held_terms_of(struct held *h, const struct published_document *d, const struct rules **ret_rules)
{
	const struct journal_manifest *m = manifest_of(h->journal, d);
	struct month_frame f;
	if (m == NULL)
		return NULL;
	month_frame_make(h->journal, m, d->month, &h->arena, &f);
	*ret_rules = f.rules;
	return month_frame_terms(&f, account_book_find(accounts_feed_book(h->feed), span_of(d->account)), &h->arena);
}
