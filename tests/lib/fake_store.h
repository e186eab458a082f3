// SPDX-License-Identifier: Apache-2.0
// In-memory twin of the store's relay and closer calls, with the refusals of the ledger's functions. Scans repeat fields and come in
// no useful order. Injects: a lost request, a lost reply, a shard rolled back to an earlier state. Never injects a step half done.
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "fake_fault.h"
#include "store/store.h"

enum { FAKE_SHARDS = 16 };
struct fake_cell {
	char *hash, *field, *value;
};
struct fake_entry {
	char *stream_id, *identity, *part, *event_id, *event_source, *account, *document;
	struct outbox_entry e; // numbers only; texts above
};
struct fake_shard {
	struct fake_cell *cells;
	size_t n, size;
	struct fake_entry *out;
	size_t n_out, size_out;
	long next_id;
};
struct fake_store {
	struct store s;
	uint64_t session;                // another number: the connection was made anew
	int forgets;                     // rules that were made known
	struct fake_fault *fault;
	uint32_t shards;
	struct fake_shard shard[FAKE_SHARDS];
	char *request;
	long settles;
	uint32_t most_lines; // of one settle
	int64_t rules_version[FAKE_SHARDS], looked_ms[FAKE_SHARDS]; // looked_ms 0: none
	int64_t old, old_ahead_ms, works_on; // a generation that was in force, 0: none; its clocks are so far ahead
};

static inline const char *fake_key(const char *what, int month)
{
	static char texts[8][64];
	static int next;
	char *t = texts[next++ % 8];
	snprintf(t, 64, "%s:%d", what, month);
	return t;
}

static inline const char *fake_late_key(int month, int adjust)
{
	static char texts[8][64];
	static int next;
	char *t = texts[next++ % 8];
	snprintf(t, 64, "late:%d:%d", month, adjust);
	return t;
}

static inline const char *fake_span(struct span s)
{
	static char texts[8][1 << 20]; // an account full of packs
	static int next;
	char *t = texts[next++ % 8];
	check(s.n < sizeof(texts[0]));
	snprintf(t, sizeof(texts[0]), "%.*s", (int)s.n, s.n > 0 ? s.p : "");
	return t;
}

static inline struct fake_cell *fake_cell(const struct fake_shard *h, const char *hash, const char *field)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->cells[i].hash, hash) == 0 && strcmp(h->cells[i].field, field) == 0)
			return &h->cells[i];
	return NULL;
}

static inline const char *fake_get(const struct fake_shard *h, const char *hash, const char *field)
{
	const struct fake_cell *c = fake_cell(h, hash, field);
	return c != NULL ? c->value : NULL;
}

static inline void fake_set(struct fake_shard *h, const char *hash, const char *field, const char *value)
{
	struct fake_cell *c = fake_cell(h, hash, field);
	if (c == NULL) {
		if (h->n == h->size) {
			h->size = h->size > 0 ? 2 * h->size : 64;
			h->cells = xrealloc(h->cells, h->size, sizeof(*h->cells));
		}
		c = &h->cells[h->n++];
		*c = (struct fake_cell){ xstrdup(hash), xstrdup(field), NULL };
	}
	char *fresh = xstrdup(value);
	free(c->value);
	c->value = fresh;
}

static inline void fake_set_number(struct fake_shard *h, const char *hash, const char *field, int64_t v)
{
	char text[32];
	snprintf(text, sizeof(text), "%" PRId64, v);
	fake_set(h, hash, field, text);
}

static inline int64_t fake_number(const struct fake_shard *h, const char *hash, const char *field)
{
	const char *v = fake_get(h, hash, field);
	return v != NULL ? strtoll(v, NULL, 10) : 0;
}

static inline int64_t fake_length(const struct fake_shard *h, const char *hash)
{
	int64_t n = 0;
	for (size_t i = 0; i < h->n; i++)
		n += strcmp(h->cells[i].hash, hash) == 0;
	return n;
}

// ---- outbox
static inline struct fake_entry *fake_out(struct fake_shard *h)
{
	if (h->n_out == h->size_out) {
		h->size_out = h->size_out > 0 ? 2 * h->size_out : 64;
		h->out = xrealloc(h->out, h->size_out, sizeof(*h->out));
	}
	struct fake_entry *x = &h->out[h->n_out++];
	*x = (struct fake_entry){ .stream_id = xasprintf("%ld-0", ++h->next_id) };
	return x;
}

static inline void fake_document(struct fake_shard *h, struct span identity, int64_t not_before_ms, struct span account, struct span document)
{
	struct fake_entry *x = fake_out(h);
	x->identity = xstrndup(identity.p, identity.n);
	x->account = xstrndup(account.n > 0 ? account.p : "", account.n);
	x->document = xstrndup(document.p, document.n);
	x->e = (struct outbox_entry){ .type = OUTBOX_DOCUMENT, .not_before_ms = not_before_ms };
}

// facts: numbers and texts of an alert, copied
static inline void fake_alert(struct fake_shard *h, const struct outbox_entry *facts)
{
	struct fake_entry *x = fake_out(h);
	x->identity = xstrndup(facts->identity.p, facts->identity.n);
	x->part = xstrndup(facts->part.p, facts->part.n);
	x->event_id = xstrndup(facts->event_id.p, facts->event_id.n);
	x->event_source = facts->event_source.p != NULL ? xstrndup(facts->event_source.p, facts->event_source.n) : NULL;
	x->e = *facts;
}

static inline void fake_entry_free(struct fake_entry *x)
{
	free(x->stream_id);
	free(x->identity);
	free(x->part);
	free(x->event_id);
	free(x->event_source);
	free(x->account);
	free(x->document);
}

static inline char *fake_dup(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

// ---- roll back: a copy of a shard, and putting it back
static inline struct fake_shard fake_copy(const struct fake_shard *h)
{
	struct fake_shard c = { .next_id = h->next_id, .n = h->n, .size = h->n + 1, .n_out = h->n_out, .size_out = h->n_out + 1 };
	c.cells = xcalloc(c.size, sizeof(*c.cells));
	c.out = xcalloc(c.size_out, sizeof(*c.out));
	for (size_t i = 0; i < h->n; i++)
		c.cells[i] = (struct fake_cell){ xstrdup(h->cells[i].hash), xstrdup(h->cells[i].field), xstrdup(h->cells[i].value) };
	for (size_t i = 0; i < h->n_out; i++) {
		const struct fake_entry *x = &h->out[i];
		c.out[i] = (struct fake_entry){ fake_dup(x->stream_id), fake_dup(x->identity), fake_dup(x->part), fake_dup(x->event_id),
						fake_dup(x->event_source), fake_dup(x->account), fake_dup(x->document), x->e };
	}
	return c;
}

static inline void fake_shard_free(struct fake_shard *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->cells[i].hash);
		free(h->cells[i].field);
		free(h->cells[i].value);
	}
	for (size_t i = 0; i < h->n_out; i++)
		fake_entry_free(&h->out[i]);
	free(h->cells);
	free(h->out);
	*h = (struct fake_shard){ 0 };
}

// ---- the port. Every call begins here.
#define FAKE_STORE(port) struct fake_store *s = (struct fake_store *)(port); enum fake_outcome how = fake_call(s->fault)
#define FAKE_LOST_RETURN do { if (how == FAKE_LOST) return error_set(e, ERROR_RETRY, 0, "away"); } while (0)
#define FAKE_RETURN return how == FAKE_OK ? ERROR_NONE : error_set(e, ERROR_RETRY, 0, "away")

static inline enum error_class fake_outbox_waiting(struct store *port, bool *ret, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	for (uint32_t shard = 0; shard < s->shards; shard++)
		ret[shard] = s->shard[shard].n_out > 0;
	FAKE_RETURN;
}

static inline enum error_class fake_outbox_read(struct store *port, uint32_t shard, uint32_t most, store_outbox_fn *fn, void *ctx, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	struct fake_shard *h = &s->shard[shard];
	for (size_t i = 0, entries = 0; i < h->n_out && entries < most; i++) {
		const struct fake_entry *x = &h->out[i];
		struct outbox_entry y = x->e;
		y.stream_id = span_of(x->stream_id);
		y.identity = span_of(x->identity);
		y.part = span_of(x->part);
		y.event_id = span_of(x->event_id);
		y.event_source = span_of(x->event_source);
		y.account = span_of(x->account);
		y.document = span_of(x->document);
		y.more = i + 1 < h->n_out && strcmp(h->out[i + 1].stream_id, x->stream_id) == 0;
		entries += !y.more;
		if (!fn(ctx, shard, &y))
			break;
	}
	FAKE_RETURN;
}

// Does the run of documents from `i` on, which are one entry, stand in the lists from `k` on, as a whole? How many they are, 0: it does not.
static inline size_t fake_named(const struct fake_shard *h, size_t i, const struct span *ids, const struct span *identities, uint32_t k, uint32_t n)
{
	size_t m = 0;
	if (i > 0 && strcmp(h->out[i - 1].stream_id, h->out[i].stream_id) == 0)
		return 0; // not its begin
	for (; i + m < h->n_out && strcmp(h->out[i + m].stream_id, h->out[i].stream_id) == 0; m++)
		if (k + m >= n || !span_is(ids[k + m], h->out[i].stream_id) || !span_is(identities[k + m], h->out[i + m].identity))
			return 0;
	return k + m < n && span_is(ids[k + m], h->out[i].stream_id) ? 0 : m;
}

static inline enum error_class fake_outbox_ack(struct store *port, uint32_t shard, const struct span *ids, const struct span *identities, uint32_t n,
					       struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	struct fake_shard *h = &s->shard[shard];
	for (uint32_t k = 0; k < n; k++) {
		size_t i = 0, m = 0;
		while (i < h->n_out && (m = fake_named(h, i, ids, identities, k, n)) == 0)
			i++;
		for (size_t x = 0; x < m; x++)
			fake_entry_free(&h->out[i + x]);
		if (m > 0)
			memmove(&h->out[i], &h->out[i + m], (h->n_out - i - m) * sizeof(*h->out));
		h->n_out -= m;
	}
	FAKE_RETURN;
}

static inline enum error_class fake_outbox_length(struct store *port, uint32_t shard, int64_t *ret, struct error *e)
{
	FAKE_STORE(port);
	*ret = (int64_t)s->shard[shard].n_out;
	FAKE_RETURN;
}

static inline enum error_class fake_positions(struct store *port, uint32_t shard, struct store_positions *ret, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	if (how != FAKE_OK)
		FAKE_RETURN;
	const struct fake_shard *h = &s->shard[shard];
	*ret = (struct store_positions){ .list = xcalloc(h->n + 1, sizeof(*ret->list)) };
	for (size_t i = h->n; i-- > 0;) {
		if (strcmp(h->cells[i].hash, "off") != 0)
			continue;
		struct store_position *p = &ret->list[ret->n++];
		p->name = xstrdup(h->cells[i].field);
		char *end;
		p->at.next = strtoll(h->cells[i].value, &end, 10);
		p->at.clock_ms = strtoll(end, NULL, 10) + (s->old != 0 && s->works_on == s->old ? s->old_ahead_ms : 0);
	}
	return ERROR_NONE;
}

static inline enum error_class fake_months(struct store *port, uint32_t shard, struct store_months *ret, struct error *e)
{
	FAKE_STORE(port);
	if (how != FAKE_OK)
		FAKE_RETURN;
	const struct fake_shard *h = &s->shard[shard];
	*ret = (struct store_months){ .list = xcalloc(h->n + 1, sizeof(*ret->list)) };
	for (size_t i = 0; i < h->n; i++) {
		int month, adjust = MONTH_NONE;
		if (sscanf(h->cells[i].hash, "use:%d", &month) != 1 && sscanf(h->cells[i].hash, "late:%d:%d", &month, &adjust) != 2)
			continue;
		uint32_t k = 0; // each once
		while (k < ret->n && (ret->list[k].month != month || ret->list[k].adjust_month != adjust))
			k++;
		if (k == ret->n)
			ret->list[ret->n++] = (struct store_month){ month, adjust };
	}
	return ERROR_NONE;
}

static inline enum error_class fake_cut(struct store *port, uint32_t shard, int month, struct span name, int64_t *ret, struct error *e)
{
	FAKE_STORE(port);
	const char *v = fake_get(&s->shard[shard], fake_key("cut", month), fake_span(name));
	*ret = v != NULL ? strtoll(v, NULL, 10) : -1;
	FAKE_RETURN;
}

static inline enum error_class fake_close_month(struct store *port, uint32_t shard, int month, int64_t close_ms, const char *sha, bool follows,
						const struct span *parts, uint32_t n, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	struct fake_shard *h = &s->shard[shard];
	const char *closed = fake_get(h, "closed", fake_key("m", month));
	if (closed != NULL && strcmp(closed, sha) != 0)
		return error_set(e, ERROR_HALT, 0, "closed under another manifest");
	if (closed == NULL && follows && fake_get(h, "done", fake_key("m", month - 1)) == NULL)
		return error_set(e, ERROR_RETRY, 0, "the month before is not finished");
	for (uint32_t i = 0; i < n && closed == NULL; i++) {
		const char *at = fake_get(h, "off", fake_span(parts[i]));
		if (at == NULL || strtoll(strchr(at, ' '), NULL, 10) < close_ms)
			return error_set(e, ERROR_RETRY, 0, "the record clock has not reached the close");
	}
	fake_set(h, "closed", fake_key("m", month), sha);
	FAKE_RETURN;
}

static inline void fake_scan(const struct fake_shard *h, const char *hash, store_scan_fn *fn, void *ctx)
{
	for (int round = 0; round < 2; round++)
		for (size_t i = h->n; i-- > 0;)
			if (strcmp(h->cells[i].hash, hash) == 0 && (round == 0 || i % 3 == 0) &&
			    !fn(ctx, span_of(h->cells[i].field), span_of(h->cells[i].value)))
				return;
}

static inline enum error_class fake_scan_counters(struct store *port, uint32_t shard, int month, int adjust, store_scan_fn *fn, void *ctx,
						  struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	fake_scan(&s->shard[shard], adjust == MONTH_NONE ? fake_key("use", month) : fake_late_key(month, adjust), fn, ctx);
	FAKE_RETURN;
}

static inline enum error_class fake_scan_freezes(struct store *port, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	fake_scan(&s->shard[shard], fake_key("frz", month), fn, ctx);
	FAKE_RETURN;
}

static inline enum error_class fake_scan_settled(struct store *port, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	fake_scan(&s->shard[shard], fake_key("set", month), fn, ctx);
	FAKE_RETURN;
}

static inline enum error_class fake_scan_active(struct store *port, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	const struct fake_shard *h = &s->shard[shard];
	for (size_t i = 0; i < h->n; i++)
		if (strncmp(h->cells[i].hash, "act:", 4) == 0 && !fn(ctx, span_of(h->cells[i].hash + 4), span_of(h->cells[i].value)))
			break;
	FAKE_RETURN;
}

// act:<account>: month -> bucket
static inline enum error_class fake_active_since(struct store *port, uint32_t shard, const struct span *accounts, uint32_t n, int below, int *ret,
						 struct error *e)
{
	FAKE_STORE(port);
	const struct fake_shard *h = &s->shard[shard];
	for (uint32_t k = 0; k < n; k++) {
		CLEANUP(freep) char *hash = xasprintf("act:%s", fake_span(accounts[k]));
		ret[k] = MONTH_NONE;
		for (size_t i = 0; i < h->n; i++) {
			int month = (int)strtol(h->cells[i].field, NULL, 10);
			if (strcmp(h->cells[i].hash, hash) == 0 && strtol(h->cells[i].value, NULL, 10) <= below &&
			    (ret[k] == MONTH_NONE || month < ret[k]))
				ret[k] = month;
		}
	}
	FAKE_RETURN;
}

static inline bool fake_is(const char *have, struct span want) // NULL: nothing
{
	return have == NULL ? want.n == 0 : span_is(want, have);
}

static inline const char *fake_field(struct span account, struct span service)
{
	static char texts[8][160];
	static int next;
	char *t = texts[next++ % 8];
	snprintf(t, 160, "%.*s/%.*s", (int)account.n, account.p, (int)service.n, service.p);
	return t;
}

static inline bool fake_settled(const struct fake_shard *h, int month, struct span account)
{
	CLEANUP(freep) char *late = xasprintf("#late/%.*s", (int)account.n, account.p);
	return fake_get(h, fake_key("set", month), fake_span(account)) != NULL || fake_get(h, fake_key("set", month), late) != NULL;
}

static inline const char *fake_rev(struct span account)
{
	static char text[160];
	snprintf(text, sizeof(text), "#rev/%.*s", (int)account.n, account.p);
	return text;
}

static inline bool fake_fits(const struct fake_shard *h, int month, const struct store_statement *t)
{
	for (uint32_t k = 0; k < t->n_lines; k++) {
		const struct store_line *l = &t->lines[k];
		const char *field = fake_field(t->account, l->service_id);
		if (fake_number(h, fake_key("use", month), field) != l->calls || fake_number(h, fake_key("frz", month - 1), field) != l->unfreeze_fen)
			return false;
	}
	for (uint32_t i = 0; i < t->n_revisions; i++) {
		const struct store_revision *r = &t->revisions[i];
		for (uint32_t k = 0; k < r->n_adjustments; k++)
			if (r->adjustments[k].calls != STORE_CORRECTION &&
			    fake_number(h, fake_late_key(r->month, month), fake_field(t->account, r->adjustments[k].service_id)) !=
			    r->adjustments[k].calls)
				return false;
		if (!fake_is(fake_get(h, fake_key("set", r->month), fake_rev(t->account)), r->before))
			return false;
	}
	return fake_is(fake_get(h, "pk", fake_span(t->account)), t->packs_before);
}

static inline void fake_revise(struct fake_shard *h, const struct store_statement *t, const struct store_revision *r)
{
	for (uint32_t k = 0; k < r->n_adjustments; k++) {
		const struct store_adjustment *a = &r->adjustments[k];
		fake_document(h, a->identity, t->not_before_ms, t->account, a->document);
	}
	fake_set(h, fake_key("set", r->month), fake_rev(t->account), fake_span(r->facts));
	fake_document(h, r->identity, t->not_before_ms, t->account, r->document);
}

static inline void fake_settle_one(struct fake_shard *h, int month, const struct store_statement *t)
{
	const char *set = fake_key("set", month);
	CLEANUP(freep) char *late = xasprintf("#late/%.*s", (int)t->account.n, t->account.p), *hash = xstrdup(set);
	for (uint32_t i = 0; i < t->n_revisions; i++)
		fake_revise(h, t, &t->revisions[i]);
	if (t->n_revisions > 0)
		fake_set(h, hash, late, fake_span(t->late_facts));
	for (uint32_t k = 0; k < t->n_lines; k++) {
		const struct store_line *l = &t->lines[k];
		fake_set(h, hash, fake_field(t->account, l->service_id), fake_span(l->facts));
		if (l->freeze_fen != 0)
			fake_set_number(h, fake_key("frz", month), fake_field(t->account, l->service_id), l->freeze_fen);
		fake_document(h, l->identity, t->not_before_ms, t->account, l->document);
	}
	if (t->n_lines > 0) {
		fake_set(h, hash, fake_span(t->account), fake_span(t->facts));
		fake_document(h, t->identity, t->not_before_ms, t->account, t->document);
	}
	fake_set(h, "pk", fake_span(t->account), fake_span(t->packs));
	fake_set_number(h, hash, "#", fake_number(h, hash, "#") + 1);
}

static inline enum error_class fake_settle(struct store *port, uint32_t shard, int month, const struct store_statement *list, uint32_t n, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	struct fake_shard *h = &s->shard[shard];
	s->settles++;
	uint32_t lines = 0;
	for (uint32_t i = 0; i < n; i++)
		lines += list[i].n_lines;
	s->most_lines = lines > s->most_lines ? lines : s->most_lines;
	if (fake_get(h, "closed", fake_key("m", month)) == NULL)
		return error_set(e, ERROR_RETRY, 0, "not closed in this shard yet");
	for (uint32_t i = 0; i < n; i++)
		if (!fake_settled(h, month, list[i].account) && !fake_fits(h, month, &list[i]))
			return error_set(e, ERROR_HALT, 0, "settling: the shard holds something else than the lines were made from");
	for (uint32_t i = 0; i < n; i++)
		if (!fake_settled(h, month, list[i].account))
			fake_settle_one(h, month, &list[i]);
	FAKE_RETURN;
}

static inline enum error_class fake_get_all(const struct fake_shard *h, const char *hash, const struct span *fields, uint32_t n, struct arena *arena,
					    struct span *ret)
{
	CLEANUP(freep) char *of = xstrdup(hash);
	for (uint32_t i = 0; i < n; i++)
		ret[i] = arena_copy(arena, span_of(fake_get(h, of, fake_span(fields[i]))));
	return ERROR_NONE;
}

static inline enum error_class fake_settled_get(struct store *port, uint32_t shard, int month, const struct span *fields, uint32_t n,
						struct arena *arena, struct span *ret, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	fake_get_all(&s->shard[shard], fake_key("set", month), fields, n, arena, ret);
	FAKE_RETURN;
}

static inline enum error_class fake_packs_get(struct store *port, uint32_t shard, const struct span *accounts, uint32_t n, struct arena *arena,
					      struct span *ret, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	fake_get_all(&s->shard[shard], "pk", accounts, n, arena, ret);
	FAKE_RETURN;
}

static inline enum error_class fake_counters_get(struct store *port, uint32_t shard, int month, int adjust, const struct span *fields, uint32_t n,
						 struct arena *arena, struct span *ret, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	fake_get_all(&s->shard[shard], adjust == MONTH_NONE ? fake_key("use", month) : fake_late_key(month, adjust), fields, n, arena, ret);
	FAKE_RETURN;
}

static inline bool fake_whole(const struct fake_shard *h, int month, const struct store_held *held)
{
	int64_t late = 0;
	uint32_t months = 0;
	char tail[16];
	snprintf(tail, sizeof(tail), ":%d", month);
	for (size_t i = 0; i < h->n; i++) { // months of the late cells, each once
		const char *hash = h->cells[i].hash;
		bool first = strncmp(hash, "late:", 5) == 0 && strcmp(strrchr(hash, ':'), tail) == 0;
		for (size_t k = 0; k < i && first; k++)
			first = strcmp(h->cells[k].hash, hash) != 0;
		months += first;
	}
	for (uint32_t i = 0; i < held->n_late_months; i++)
		late += fake_length(h, fake_late_key(held->late_months[i], month));
	return fake_length(h, fake_key("use", month)) == held->counters && fake_length(h, fake_key("frz", month - 1)) == held->freezes &&
	       late == held->late && months == held->n_late_months && fake_number(h, fake_key("set", month), "#") == held->statements;
}

static inline enum error_class fake_finish(struct store *port, uint32_t shard, int month, const struct store_held *held, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	struct fake_shard *h = &s->shard[shard];
	if (fake_get(h, "closed", fake_key("m", month)) == NULL || (shard == 0 && fake_get(h, fake_key("set", month), "#end") == NULL))
		return error_set(e, ERROR_RETRY, 0, "not closed, or no end of run");
	if (!fake_whole(h, month, held))
		return error_set(e, ERROR_RETRY, 0, "not settled whole");
	fake_set(h, "done", fake_key("m", month), "1");
	FAKE_RETURN;
}

static inline enum error_class fake_finished(struct store *port, uint32_t shard, int month, bool *ret, struct error *e)
{
	FAKE_STORE(port);
	*ret = fake_get(&s->shard[shard], "done", fake_key("m", month)) != NULL;
	FAKE_RETURN;
}

static inline enum error_class fake_state(struct store *port, uint32_t shard, struct store_state *ret, struct error *e)
{
	FAKE_STORE(port);
	*ret = (struct store_state){ .exists = true, .shards = s->shards, .generation = 1, .rules_version = s->rules_version[shard] };
	FAKE_RETURN;
}

static inline enum error_class fake_register_rules(struct store *port, uint32_t shard, int64_t version, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	if (version > s->rules_version[shard])
		s->rules_version[shard] = version;
	if (s->forgets > 0 && shard == 0 && s->forgets-- > 0) { // Redis restarts without it
		s->rules_version[shard] = version - 1;
		s->session++;
	}
	FAKE_RETURN;
}

static inline enum error_class fake_looked(struct store *port, uint32_t shard, int64_t *ret_ms, struct error *e)
{
	FAKE_STORE(port);
	*ret_ms = s->looked_ms[shard] != 0 ? s->looked_ms[shard] : INT64_MIN;
	FAKE_RETURN;
}

static inline enum error_class fake_looked_set(struct store *port, uint32_t shard, const char *mark, int64_t ms, struct error *e)
{
	FAKE_STORE(port);
	(void)mark;
	FAKE_LOST_RETURN;
	s->looked_ms[shard] = ms;
	FAKE_RETURN;
}

static inline enum error_class fake_end_run(struct store *port, int month, struct span identity, struct span document, int64_t not_before_ms,
					    struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	struct fake_shard *h = &s->shard[0];
	if (fake_get(h, "closed", fake_key("m", month)) == NULL)
		return error_set(e, ERROR_RETRY, 0, "not closed");
	if (fake_get(h, fake_key("set", month), "#end") == NULL) {
		fake_set(h, fake_key("set", month), "#end", "1");
		fake_document(h, identity, not_before_ms, (struct span){ NULL, 0 }, document);
	}
	FAKE_RETURN;
}

static inline enum error_class fake_request_peek(struct store *port, char **ret, struct error *e)
{
	FAKE_STORE(port);
	if (how != FAKE_OK)
		FAKE_RETURN;
	*ret = fake_dup(s->request);
	return ERROR_NONE;
}

static inline enum error_class fake_request_drop(struct store *port, struct span request, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	if (s->request != NULL && span_is(request, s->request)) {
		free(s->request);
		s->request = NULL;
	}
	FAKE_RETURN;
}

static inline uint64_t fake_session(struct store *port)
{
	return ((struct fake_store *)port)->session;
}

static inline void fake_identity(struct store *port, const char *init_id, int64_t generation)
{
	(void)init_id;
	((struct fake_store *)port)->works_on = generation;
}

// Beside the one in force.
static inline enum error_class fake_generations(struct store *port, uint32_t shard, struct store_generations *ret, struct error *e)
{
	FAKE_STORE(port);
	FAKE_LOST_RETURN;
	(void)shard;
	*ret = (struct store_generations){ 0 };
	if (s->old != 0 && how == FAKE_OK) {
		ret->list = xcalloc(1, sizeof(*ret->list));
		ret->list[ret->n++] = (struct store_generation){ s->old, GENERATION_OLD };
	}
	FAKE_RETURN;
}

static const struct store_ops fake_store_ops = {
	.outbox_waiting = fake_outbox_waiting, .outbox_read = fake_outbox_read, .outbox_ack = fake_outbox_ack, .outbox_length = fake_outbox_length, .positions = fake_positions,
	.months = fake_months, .cut = fake_cut, .close_month = fake_close_month, .scan_counters = fake_scan_counters,
	.scan_freezes = fake_scan_freezes, .scan_settled = fake_scan_settled, .active_since = fake_active_since,
	.settled_get = fake_settled_get, .packs_get = fake_packs_get, .counters_get = fake_counters_get, .settle = fake_settle,
	.finish = fake_finish, .finished = fake_finished, .end_run = fake_end_run, .request_peek = fake_request_peek,
	.request_drop = fake_request_drop, .state = fake_state, .register_rules = fake_register_rules, .looked = fake_looked,
	.looked_set = fake_looked_set, .scan_active = fake_scan_active, .session = fake_session, .generations = fake_generations, .identity = fake_identity,
};

static inline void fake_store_init(struct fake_store *s, uint32_t shards, struct fake_fault *fault)
{
	check(shards <= FAKE_SHARDS);
	*s = (struct fake_store){ .s = { &fake_store_ops }, .fault = fault, .shards = shards };
}

static inline void fake_store_free(struct fake_store *s)
{
	for (uint32_t i = 0; i < s->shards; i++)
		fake_shard_free(&s->shard[i]);
	free(s->request);
}

static inline int64_t fake_pending(const struct fake_store *s)
{
	int64_t n = 0;
	for (uint32_t i = 0; i < s->shards; i++)
		n += (int64_t)s->shard[i].n_out;
	return n;
}

#endif
