// SPDX-License-Identifier: Apache-2.0
// Owns the transactional producer and the set of published ids. The set lives for the whole tenure and filters every publication,
// also when the store went back in time; it is filled by read-back before the first publication and by every transaction that is
// known to be committed, and by nothing else.
//
// covered_ms says how far the set reaches: every twin published at or after that wall time is in it. An entry whose twin could be
// older has the topics read back further before it is published.
#include "outbox/outbox.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "outbox/envelope.h"
#include "outbox/idset.h"
#include "outbox/reach.h"
#include "outbox/said.h"

enum { SLACK_MS = 3600 * 1000 }; // clocks of producers and brokers may differ by this much
#define COVERED_NOTHING INT64_MAX

struct pending { // one entry of an outbox, copied
	uint32_t shard;
	struct span stream_id, identity;
	struct idset_id id;
	uint64_t content;
	enum outbox_type type;
	bool given_up;         // by the generation that made it
	int64_t read_ms;       // of an alert
	struct span key, value;
};
struct pending_list {
	struct pending *list;
	uint32_t n, size;
};

struct relay {
	struct relay_options o;
	const struct sink_port *port;
	struct txn_sink *sink;
	bool in_charge;
	struct idset known, sending; // sending: ids of the transaction being gathered
	struct reach reach;          // of published alerts
	int64_t covered_ms;
	uint32_t first_shard;        // where the next pass begins, so that a busy shard does not starve the others
	bool *waiting;               // per shard: its outbox holds something
	uint32_t *stuck;             // per shard: entries at its head that stay; they must not hide those behind them
	struct relay_numbers numbers;
	struct arena arena;          // of one drain
	struct pending_list send, out;
	struct said said;
};

// ---- the set of published ids
static struct idset_id id_of(struct span identity)
{
	unsigned char sum[DIGEST_SHA256];
	struct idset_id id = { 0, 0 };
	digest_sha256(identity, sum);
	for (int i = 0; i < 8; i++) {
		id.hi = id.hi << 8 | sum[i];
		id.lo = id.lo << 8 | sum[8 + i];
	}
	return id;
}

static bool id_from_hex(const char *hex, struct idset_id *ret)
{
	uint64_t half[2] = { 0, 0 };
	for (int i = 0; i < 32; i++) {
		char c = hex[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		half[i / 16] = half[i / 16] << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = (struct idset_id){ half[0], half[1] };
	return half[0] != 0 || half[1] != 0;
}

// The id in an envelope: nearly always at its place; otherwise whatever wrote it is parsed.
static bool id_in(struct span value, struct idset_id *ret)
{
	static const char head[] = "{\"specversion\":\"1.0\",\"id\":\"";
	enum { HEAD = sizeof(head) - 1 };
	if (value.p == NULL)
		return false;
	if (value.n > HEAD + 33 && memcmp(value.p, head, HEAD) == 0 && value.p[HEAD + 32] == '"')
		return id_from_hex(value.p + HEAD, ret);
	CLEANUP(json_freep) json_t *j = json_loadb(value.p, value.n, 0, NULL);
	const json_t *id = json_object_get(j, "id");
	return json_is_string(id) && json_string_length(id) == 32 && id_from_hex(json_string_value(id), ret);
}

static uint64_t content_of(struct span value)
{
	return XXH3_64bits(value.p, value.n);
}

static bool remember(void *ctx, const struct topic_record *t)
{
	struct relay *r = ctx;
	struct idset_id id;
	if (id_in(t->r.value, &id))
		idset_add(&r->known, id, content_of(t->r.value));
	reach_take(&r->reach, t->r.value);
	return true;
}

// ---- life
struct relay *relay_new(const struct relay_options *o)
{
	check(o->shards > 0 && o->batch > 0);
	struct relay *r = xcalloc(1, sizeof(*r));
	r->o = *o;
	r->port = o->port != NULL ? o->port : &sink_port_kafka;
	if (o->wall_ms == NULL)
		r->o.wall_ms = clock_wall_ms;
	r->stuck = xcalloc(o->shards, sizeof(*r->stuck));
	r->waiting = xcalloc(o->shards, sizeof(*r->waiting));
	r->covered_ms = COVERED_NOTHING;
	return r;
}

static void drop_sink(struct relay *r)
{
	r->in_charge = false;
	if (r->sink != NULL)
		r->sink->ops->close(r->sink);
	r->sink = NULL;
}

void relay_leave(struct relay *r)
{
	drop_sink(r);
	idset_free(&r->known);
	reach_free(&r->reach);
	r->covered_ms = COVERED_NOTHING;
	memset(r->stuck, 0, r->o.shards * sizeof(*r->stuck));
	r->numbers.settlement_twin = false;
}

void relay_freep(struct relay **at)
{
	struct relay *r = *at;
	if (r == NULL)
		return;
	relay_leave(r);
	idset_free(&r->sending);
	arena_free(&r->arena);
	free(r->send.list);
	free(r->out.list);
	free(r->stuck);
	free(r->waiting);
	free(r);
	*at = NULL;
}

int64_t relay_reach(const struct relay *r, const char *part)
{
	return reach_of(&r->reach, part);
}

bool relay_in_charge(const struct relay *r)
{
	return r->in_charge;
}

void relay_numbers(const struct relay *r, struct relay_numbers *ret)
{
	*ret = r->numbers;
	ret->known = r->known.n;
}

static enum relay_status status_of(enum error_class c)
{
	switch (c) {
	case ERROR_NONE:
		return RELAY_DONE;
	case ERROR_RETRY:
		return RELAY_RETRY;
	case ERROR_ABORT:
		return RELAY_ABORT;
	default:
		return RELAY_HALT;
	}
}

// ---- taking over
static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b; // TIME_NONE is before everything
}

static enum relay_status read_back(struct relay *r, int64_t cover_ms, struct error *e)
{
	int64_t from_ms = cover_ms < TIME_NONE + SLACK_MS ? TIME_NONE : cover_ms - SLACK_MS;
	const char *topics[] = { r->o.kafka->alerts_topic, r->o.kafka->settlements_topic };
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		enum error_class c = r->port->read_back(r->o.kafka, topics[i], from_ms, r->o.timeout_ms, remember, r, e);
		if (c != ERROR_NONE)
			return status_of(c);
	}
	r->covered_ms = cover_ms;
	return RELAY_DONE;
}

enum relay_status relay_take_over(struct relay *r, int64_t oldest_ms, struct error *e)
{
	drop_sink(r);
	enum error_class c = r->port->txn_open(r->o.kafka, r->o.transactional_id, r->o.timeout_ms, &r->sink, e);
	if (c != ERROR_NONE)
		return status_of(c);
	// What the set held stays true; what was under way when the last producer was given up is found again.
	enum relay_status s = read_back(r, earlier(r->covered_ms, oldest_ms), e);
	if (s != RELAY_DONE)
		return s;
	r->in_charge = true;
	r->numbers.take_overs++;
	return RELAY_DONE;
}

static enum relay_status publish(struct relay *r, const struct message *m, uint32_t n, struct error *e)
{
	enum txn_status s = r->sink->ops->publish(r->sink, m, n, e);
	if (s == TXN_DONE)
		return RELAY_DONE;
	drop_sink(r);
	return s == TXN_FENCED ? RELAY_FENCED : RELAY_TAKE_OVER;
}

enum relay_status relay_publish(struct relay *r, const struct message *m, uint32_t n, struct error *e)
{
	check(n > 0);
	if (!r->in_charge)
		return RELAY_TAKE_OVER;
	return publish(r, m, n, e);
}

// ---- one pass
struct pass {
	struct relay *r;
	const struct journal *j;
	const struct account_book *book;
	uint32_t seen, stuck;  // in the shard being read: entries, and documents or alerts that stay
	uint32_t out_before, stuck_before; // as of the begin of an entry
	bool inside;           // an entry that holds more documents
	int64_t total, gone;
	bool left, full;
	uint32_t uncovered;
	int64_t need_ms;       // oldest twin that the set does not cover
	bool twin;
	enum relay_status worst;
	struct error *e;
};

static struct pending *list_add(struct pending_list *l)
{
	if (l->n == l->size) {
		l->size = l->size > 0 ? l->size * 2 : 64;
		l->list = xrealloc(l->list, l->size, sizeof(*l->list));
	}
	return &l->list[l->n++];
}

static void stay(struct pass *p, enum relay_status why)
{
	p->stuck++;
	if (p->worst != RELAY_HALT)
		p->worst = why;
}

static struct span account_in(struct span identity)
{
	const char *a = memchr(identity.p, '\n', identity.n);
	check(a != NULL);
	a++;
	const char *end = memchr(a, '\n', (size_t)(identity.p + identity.n - a));
	check(end != NULL);
	return (struct span){ a, (size_t)(end - a) };
}

// Wall time before which no twin of the entry can be out. An alert carries its record's stamp, which may run ahead of real time by
// close.grace at the most (design.md, section 9), and by anything where the log is the clock.
static int64_t oldest_twin_ms(const struct pass *p, const struct outbox_entry *entry)
{
	int64_t ms = entry->not_before_ms;
	if (entry->type == OUTBOX_DOCUMENT || ms == TIME_NONE)
		return ms;
	const struct rules_settings *s = &journal_rules_version(p->j, entry->rules_version)->rules->settings;
	return s->clock == CLOCK_RECORDS || __builtin_sub_overflow(ms, s->close_grace_ms, &ms) ? TIME_NONE : ms;
}

// Key and value of the message; false: the entry stays.
static bool render(struct pass *p, const struct outbox_entry *entry, struct pending *ret)
{
	struct relay *r = p->r;
	if (entry->type == OUTBOX_DOCUMENT) {
		ret->key = entry->account.n > 0 ? arena_copy(&r->arena, entry->account) : (struct span){ NULL, 0 };
		ret->value = arena_copy(&r->arena, entry->document);
		return true;
	}
	const struct journal_rules *rules = journal_rules_version(p->j, entry->rules_version);
	if (rules == NULL) {
		error_set(p->e, ERROR_RETRY, 0, "an alert was found under rules version %lld, which the control topic did not hold when it was read",
			  (long long)entry->rules_version);
		stay(p, RELAY_RETRY);
		return false;
	}
	char id[33];
	CLEANUP(freep) char *text = alert_render(entry, rules->rules, p->book, r->o.source, id, p->e);
	if (text == NULL) {
		stay(p, RELAY_HALT);
		return false;
	}
	ret->value = arena_copy(&r->arena, span_of(text));
	ret->key = arena_copy(&r->arena, account_in(entry->identity));
	return true;
}

// The entry's twin is out: acknowledge, unless a settlement says something else than what was published. What a generation that was given
// up says is nobody's word any more.
static void take_published(struct pass *p, const struct pending *x, uint64_t content)
{
	struct relay *r = p->r;
	if (x->content != content && x->type == OUTBOX_DOCUMENT && !x->given_up) {
		p->stuck++;
		p->twin = r->numbers.settlement_twin = true;
		identity_id(x->identity, r->numbers.settlement_twin_id);
		return;
	}
	if (x->content != content)
		r->numbers.twins_dropped++;
	else
		r->numbers.already_out++;
	*list_add(&r->out) = *x;
}

// Behind the last document of an entry. Where one of them stays, so does the entry: of the others there is nothing to acknowledge.
static void end_entry(struct pass *p)
{
	struct relay *r = p->r;
	p->seen++;
	if (p->stuck > p->stuck_before) {
		r->numbers.already_out -= r->out.n - p->out_before;
		r->out.n = p->out_before;
	}
	p->full = r->send.n + r->out.n + p->uncovered >= r->o.batch; // all of them are held in memory
}

static void take_one(struct pass *p, uint32_t shard, const struct outbox_entry *entry)
{
	struct relay *r = p->r;
	struct pending x = { .shard = shard, .type = entry->type, .given_up = entry->given_up, .read_ms = entry->read_ms };
	uint64_t content;
	p->total++;
	if (!render(p, entry, &x))
		return;
	x.id = id_of(entry->identity);
	x.content = content_of(x.value);
	x.stream_id = arena_copy(&r->arena, entry->stream_id);
	x.identity = arena_copy(&r->arena, entry->identity);
	if (idset_find(&r->known, x.id, &content)) {
		take_published(p, &x, content);
	} else if (oldest_twin_ms(p, entry) < r->covered_ms) {
		p->left = true;
		p->uncovered++;
		p->need_ms = earlier(p->need_ms, oldest_twin_ms(p, entry));
	} else if (!idset_add(&r->sending, x.id, x.content)) {
		p->left = true; // the same alert twice: the second goes once the first is out
	} else {
		*list_add(&r->send) = x;
	}
}

// Documents of one entry go together, since it leaves the outbox as a whole: a pass is full behind an entry only.
static bool take_entry(void *ctx, uint32_t shard, const struct outbox_entry *entry)
{
	struct pass *p = ctx;
	if (!p->inside) {
		p->out_before = p->r->out.n;
		p->stuck_before = p->stuck;
	}
	p->inside = entry->more;
	take_one(p, shard, entry);
	if (!entry->more)
		end_entry(p);
	return !p->full;
}

static enum relay_status gather(struct pass *p, struct error *e)
{
	struct relay *r = p->r;
	uint32_t first = r->first_shard;
	enum error_class c = r->o.store->ops->outbox_waiting(r->o.store, r->waiting, e);
	for (uint32_t k = 0; k < r->o.shards && !p->full && c == ERROR_NONE; k++) {
		uint32_t shard = (first + k) % r->o.shards, most = r->o.batch + r->stuck[shard];
		p->seen = p->stuck = 0;
		p->inside = false;
		if (r->waiting[shard])
			c = r->o.store->ops->outbox_read(r->o.store, shard, most, take_entry, p, e);
		if (c != ERROR_NONE)
			break;
		r->stuck[shard] = p->stuck;
		p->left = p->left || p->full || p->seen >= most;
		r->first_shard = (shard + 1) % r->o.shards;
	}
	return status_of(c);
}

static enum relay_status acknowledge(struct relay *r, const struct pending_list *l, struct error *e)
{
	CLEANUP(freep) struct span *ids = xcalloc(2 * (size_t)l->n + 1, sizeof(*ids));
	struct span *identities = ids + l->n;
	for (uint32_t i = 0; i < l->n; i++) {
		ids[i] = l->list[i].stream_id;
		identities[i] = l->list[i].identity;
	}
	for (uint32_t i = 0, end; i < l->n; i = end) {
		for (end = i + 1; end < l->n && l->list[end].shard == l->list[i].shard; end++)
			;
		enum error_class c = r->o.store->ops->outbox_ack(r->o.store, l->list[i].shard, ids + i, identities + i, end - i, e);
		if (c != ERROR_NONE)
			return status_of(c);
	}
	return RELAY_DONE;
}

static enum relay_status send_all(struct relay *r, struct error *e)
{
	static const struct header type = { SPAN_LIT("content-type"), SPAN_LIT(ENVELOPE_CONTENT_TYPE) };
	CLEANUP(freep) struct message *m = xcalloc(r->send.n, sizeof(*m));
	for (uint32_t i = 0; i < r->send.n; i++) {
		const struct pending *x = &r->send.list[i];
		bool alert = x->type == OUTBOX_ALERT;
		m[i] = (struct message){ .topic = alert ? r->o.kafka->alerts_topic : r->o.kafka->settlements_topic,
			.partition = x->key.p != NULL ? -1 : 0, .key = x->key, .value = x->value, .headers = &type, .n_headers = 1 };
	}
	enum relay_status s = publish(r, m, r->send.n, e);
	if (s != RELAY_DONE)
		return s;
	int64_t now_ms = r->o.wall_ms();
	for (uint32_t i = 0; i < r->send.n; i++) {
		const struct pending *x = &r->send.list[i];
		check(idset_add(&r->known, x->id, x->content));
		if (x->type != OUTBOX_ALERT)
			continue;
		char id[33];
		identity_id(x->identity, id);
		reach_take(&r->reach, x->value);
		said_alert(&r->said, x->identity, id, now_ms);
		if (x->read_ms != TIME_NONE)
			histogram_add(&r->numbers.delay, (now_ms - x->read_ms) * 1000);
	}
	said_end(&r->said);
	r->numbers.published += r->send.n;
	return acknowledge(r, &r->send, e);
}

// The set must reach back to need_ms; each time twice as far as before, so that a long outbox does not read the topics often.
static enum relay_status reach_back(struct relay *r, int64_t need_ms, struct error *e)
{
	int64_t back_ms = 0, cover_ms = need_ms;
	if (need_ms != TIME_NONE && r->covered_ms != COVERED_NOTHING && !__builtin_sub_overflow(r->covered_ms, need_ms, &back_ms) &&
	    __builtin_sub_overflow(need_ms, back_ms, &cover_ms))
		cover_ms = TIME_NONE;
	return read_back(r, cover_ms, e);
}

static enum relay_status pass_run(struct pass *p, struct error *e)
{
	struct relay *r = p->r;
	enum relay_status s = gather(p, e);
	if (s == RELAY_DONE && p->uncovered)
		return reach_back(r, p->need_ms, e); // nothing is sent or acknowledged on half the knowledge
	if (s == RELAY_DONE && r->send.n > 0)
		s = send_all(r, e);
	if (s == RELAY_DONE)
		s = acknowledge(r, &r->out, e);
	return s;
}

enum relay_status relay_drain(struct relay *r, const struct journal *j, const struct account_book *book, bool *ret_left, struct error *e)
{
	if (!r->in_charge)
		return RELAY_TAKE_OVER;
	arena_reset(&r->arena);
	idset_clear(&r->sending);
	r->send.n = r->out.n = 0;
	struct error stays = { 0 };
	struct pass p = { .r = r, .j = j, .book = book, .need_ms = COVERED_NOTHING, .worst = RELAY_DONE, .e = &stays };
	enum relay_status s = pass_run(&p, e);
	if (s != RELAY_DONE)
		return s;
	r->numbers.pending = p.total - r->send.n - r->out.n;
	if (!p.left) {
		r->numbers.passes++;
		r->numbers.settlement_twin = p.twin;
	}
	*ret_left = p.left;
	if (p.worst != RELAY_DONE)
		error_set(e, stays.cls, stays.exit_code, "%s", stays.text);
	return p.worst;
}
