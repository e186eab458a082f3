// SPDX-License-Identifier: Apache-2.0
// The differences of closed months as records of the accounts topic (account/account.h): one an account, with all its months, since packs tie
// them together. The id names what is said, whoever works it out and by whatever question, so that the same is never said twice.
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "closing/kept.h"
#include "journal/json.h"
#include "replay/inner.h"

static const struct settled_line none = { .revision = -1 };

static const struct settled_line *line_or_none(const struct settled_line *l)
{
	return l != NULL ? l : &none;
}

bool corrections_move_packs(const struct settled_line *a, const struct settled_line *b)
{
	const struct settled_line *x = line_or_none(a), *y = line_or_none(b);
	return !packs_same(x->packs, x->n_packs, y->packs, y->n_packs);
}

bool corrections_move(const struct settled_line *a, const struct settled_line *b)
{
	const struct settled_line *x = line_or_none(a), *y = line_or_none(b);
	return x->calls != y->calls || x->free != y->free || x->billable != y->billable || corrections_move_packs(a, b);
}

// What was frozen stays as it was made: it is no difference here.
bool corrections_differ(const struct settled_line *a, const struct settled_line *b)
{
	return line_or_none(a)->charge_fen != line_or_none(b)->charge_fen || corrections_move(a, b);
}

// ---- one record
static void put_side(struct writer *w, const char *name, const struct settled_line *l, const struct line_prices *prices, bool with_revision)
{
	write_object(w, name);
	if (with_revision)
		write_integer(w, "revision", l->revision);
	write_integer(w, "calls", l->calls);
	write_integer(w, "free", l->free);
	write_array(w, "packs");
	for (uint32_t i = 0; i < l->n_packs; i++) {
		write_object(w, NULL);
		check(write_bytes(w, "id", l->packs[i].id));
		write_integer(w, "calls", l->packs[i].calls);
		write_object_end(w);
	}
	write_array_end(w);
	write_integer(w, "billable", l->billable);
	write_fen(w, "charge", l->charge_fen);
	if (prices != NULL)
		prices_write(w, "prices", prices);
	write_object_end(w);
}

static void put_line(struct writer *w, const struct replay_bill *b)
{
	char month[MONTH_TEXT];
	write_object(w, NULL);
	write_text(w, "period", month_text(b->month, month));
	check(write_bytes(w, "service", b->service));
	if (b->was != NULL)
		put_side(w, "was", b->was, b->was->prices, true);
	put_side(w, "becomes", line_or_none(b->becomes), b->prices, false);
	write_object_end(w);
}

static void put_question(struct writer *w, const struct replay *r)
{
	CLEANUP(json_freep) json_t *question = replay_question(r);
	CLEANUP(freep) char *text = json_compact(question);
	write_json(w, "question", span_of(text));
}

// `id` NULL: what the id is made of.
static struct span record_text(const struct replay *r, const struct replay_bill *list, uint32_t n, const char *id, struct arena *arena)
{
	char after[MONTH_TEXT];
	struct writer w = writer_begin(arena);
	write_object(&w, NULL);
	write_text(&w, "type", "correction");
	check(write_bytes(&w, "account", list->account)); // of plain letters, as events and the price book have them
	if (id != NULL)
		write_text(&w, "id", id);
	write_integer(&w, "version", 1);
	write_text(&w, "after", month_text(r->closed_last, after));
	write_text(&w, "reason", r->o.reason);
	if (id != NULL)
		put_question(&w, r);
	write_array(&w, "lines");
	for (uint32_t i = 0; i < n; i++)
		put_line(&w, &list[i]);
	write_array_end(&w);
	write_object_end(&w);
	return writer_end(&w);
}

// As whoever closes the next month will read it.
static enum error_class check_record(const struct replay_bill *b, struct span text, struct error *e)
{
	CLEANUP(arena_free) struct arena arena = { 0 };
	struct account_fact fact;
	struct account_fault fault;
	struct span account;
	if (text.n > REPLAY_RECORD_MOST)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the correction of account %.*s is a record of %zu bytes, and one takes %d. What makes it smaller: "
				 "fewer months at a time (--from, --to), each with a close of its own. Lines of one month that so many packs gave cannot be corrected", (int)b->account.n,
				 b->account.p, text.n, REPLAY_RECORD_MOST);
	if (!account_read(text, &arena, &account, &fact, &fault))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the correction of account %.*s would be refused: %s (%s)", (int)b->account.n, b->account.p,
				 account_fault_info(fault.code)->message, fault.detail);
	return ERROR_NONE;
}

// ---- which lines
static enum error_class check_line(const struct replay *r, const struct replay_bill *b, struct error *e)
{
	uint32_t service;
	char month[MONTH_TEXT];
	if (catalog_find_id(replay_month_rules(&r->sides[AS_IS], b->month)->catalog, b->service, &service))
		return ERROR_NONE;
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s was closed by a price book that does not have service %.*s: bills of it cannot be corrected. "
			 "Leave it out of the other price book, or look at it with --dry-run alone", month_text(b->month, month), (int)b->service.n, b->service.p);
}

// Of the newest close, of which there is one.
static void last_frame(const struct replay *r, struct arena *arena, struct month_frame *ret)
{
	const struct journal *j = r->sides[AS_IS].journal;
	const struct journal_manifest *last = &j->manifests[j->n_manifests - 1];
	month_frame_make(j, last, last->month, arena, ret);
}

// Corrections that are said already, but come with the next close only.
static const struct account_fact *waiting(const struct month_frame *last, const struct account *a, struct arena *arena)
{
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	if (a == NULL || a->n_corrections == 0)
		return NULL;
	const struct account_fact **facts = arena_alloc(arena, a->n_corrections * sizeof(const struct account_fact *));
	return account_corrections(a, &last->horizon, &all, facts) > 0 ? facts[0] : NULL;
}

// Said before, and behind a close: it was not made then, and would not be taken a second time.
static bool passed_over(const struct account *a, const char *id)
{
	bool found = false;
	for (uint32_t i = 0; a != NULL && i < a->n_corrections; i++)
		found = found || span_is(a->corrections[i].facts[0]->id, id);
	return found;
}

static enum error_class check_waiting(struct replay *r, struct error *e)
{
	CLEANUP(arena_free) struct arena arena = { 0 };
	struct month_frame last;
	last_frame(r, &arena, &last);
	struct replay_corrections *c = &r->corrections;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct account *a = account_book_find(accounts_feed_book(r->feed), c->list[i].account);
		const struct account_fact *f = waiting(&last, a, &arena);
		c->known = c->known || (f != NULL && span_is(f->id, c->id));
		if (f != NULL && !span_is(f->id, c->id))
			return error_set(e, ERROR_ABORT, EXIT_LATER, "account %.*s has a correction already that comes with the next close (id %.*s): this one would be "
					 "passed over then. Ask again when that month is closed", (int)c->list[i].account.n, c->list[i].account.p,
					 (int)f->id.n, f->id.p);
		if (f == NULL && passed_over(a, c->id))
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "this correction (id %s) of account %.*s was said before, and the close could not "
					 "make it: the log of meterd says why (correction_passed_over)", c->id, (int)c->list[i].account.n, c->list[i].account.p);
	}
	return ERROR_NONE;
}

bool corrections_said(const struct replay *r)
{
	const struct account_book *book = accounts_feed_book(r->feed);
	const struct account *a = r->o.account != NULL ? account_book_find(book, span_of(r->o.account)) : NULL;
	return r->o.account != NULL ? a != NULL && a->n_corrections > 0 : account_book_corrected(book) > 0;
}

static void count_earlier(struct replay *r)
{
	CLEANUP(arena_free) struct arena arena = { 0 };
	const struct account_book *book = accounts_feed_book(r->feed);
	struct month_frame last;
	if (r->sides[AS_IS].journal->n_manifests == 0)
		return;
	last_frame(r, &arena, &last);
	for (uint32_t i = 0; i < account_book_corrected(book); i++) {
		const struct account *a = account_book_corrected_at(book, i);
		const struct account_fact **facts = arena_alloc(&arena, a->n_corrections * sizeof(const struct account_fact *));
		if (r->o.account == NULL || span_is(a->name, r->o.account))
			r->numbers.corrections += account_corrections(a, NULL, &last.horizon, facts);
	}
}

// ---- does it still hold?
static uint64_t said_of_them(const struct replay *r)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < r->corrections.n; i++) {
		const struct account *a = account_book_find(accounts_feed_book(r->feed), r->corrections.list[i].account);
		n += a != NULL ? a->n_corrections : 0;
	}
	return n;
}

enum error_class replay_holds(struct replay *r, struct error *e)
{
	const struct replay_options *o = &r->o;
	const struct journal *was = r->sides[AS_IS].journal;
	CLEANUP(journal_freep) struct journal *now = NULL;
	uint64_t said = said_of_them(r);
	enum error_class c = journal_load_from(r->port, o->kafka, o->timeout_ms, &now, e);
	if (c == ERROR_NONE)
		c = accounts_feed_refresh(r->feed, r->port, o->kafka, o->timeout_ms, e);
	if (c != ERROR_NONE)
		return c;
	if (now->n_manifests != was->n_manifests)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "a month was closed meanwhile, so the answer is not the same any more. Nothing was written: ask again");
	if (said_of_them(r) != said)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "another correction of these accounts was said meanwhile. Nothing was written: ask again");
	return ERROR_NONE;
}

// ---- all of them
// r->bills by account from here on; ends[i] is behind account i's lines.
static enum error_class find_accounts(struct replay *r, uint32_t *ends, struct error *e)
{
	struct replay_corrections *c = &r->corrections;
	enum error_class cls = ERROR_NONE;
	for (uint32_t i = 0; i < r->n_bills && cls == ERROR_NONE; i = ends[c->n++]) {
		uint32_t end = i;
		for (; end < r->n_bills && span_eq(r->bills[end].account, r->bills[i].account) && cls == ERROR_NONE; end++)
			cls = check_line(r, &r->bills[end], e);
		ends[c->n] = end;
	}
	if (cls == ERROR_NONE && c->n > REPLAY_ACCOUNTS_MOST)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "bills of %" PRIu32 " accounts would be corrected, and one transaction takes %d: ask about one account "
				 "at a time (--account)", c->n, REPLAY_ACCOUNTS_MOST);
	return cls;
}

static enum error_class make_id(struct replay *r, const uint32_t *ends, struct error *e)
{
	struct replay_corrections *c = &r->corrections;
	char *all = NULL, digest[DIGEST_SHA256_TEXT];
	size_t size = 0, bytes = 0;
	FILE *f = xmemstream(&all, &size);
	for (uint32_t i = 0, at = 0; i < c->n && bytes <= REPLAY_BYTES_MOST; at = ends[i++]) {
		struct arena_mark mark = arena_mark(&r->arena);
		struct span text = record_text(r, &r->bills[at], ends[i] - at, NULL, &r->arena);
		bytes += text.n;
		fprintf(f, "%.*s\n", (int)text.n, text.p);
		arena_rewind(&r->arena, mark);
	}
	xmemstream_close(f);
	digest_sha256_text((struct span){ all, size }, digest);
	free(all);
	snprintf(c->id, sizeof(c->id), "%.16s", digest);
	if (bytes > REPLAY_BYTES_MOST)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%" PRIu32 " bills of %" PRIu32 " accounts would be corrected, with records of more than %d bytes, "
				 "which one transaction takes: ask about one account at a time (--account), or about fewer months (--from, --to) and about the others after the next close",
				 r->n_bills, c->n, REPLAY_BYTES_MOST);
	return ERROR_NONE;
}

static bool sum_up(struct replay_corrections *c, const struct replay_bill *b)
{
	int64_t more;
	c->n_lines++;
	c->first_month = c->first_month == MONTH_NONE || b->month < c->first_month ? b->month : c->first_month;
	c->last_month = b->month > c->last_month ? b->month : c->last_month;
	return !__builtin_sub_overflow(line_or_none(b->becomes)->charge_fen, line_or_none(b->was)->charge_fen, &more) &&
	       !__builtin_add_overflow(c->difference_fen, more, &c->difference_fen);
}

enum error_class replay_make_corrections(struct replay *r, struct error *e)
{
	struct replay_corrections *c = &r->corrections;
	*c = (struct replay_corrections){ .first_month = MONTH_NONE, .last_month = MONTH_NONE, .unclosed = c->unclosed, .kept = c->kept,
		.tied = c->tied };
	count_earlier(r);
	if (!r->o.correct || r->n_bills == 0)
		return ERROR_NONE;
	CLEANUP(freep) uint32_t *ends = xcalloc(r->n_bills + 1, sizeof(*ends));
	enum error_class cls = find_accounts(r, ends, e);
	if (cls == ERROR_NONE)
		cls = make_id(r, ends, e);
	struct replay_correction *list = arena_alloc(&r->arena, (c->n + 1) * sizeof(*list));
	c->list = list;
	for (uint32_t i = 0, at = 0; i < c->n && cls == ERROR_NONE; at = ends[i++]) {
		struct span text = record_text(r, &r->bills[at], ends[i] - at, c->id, &r->arena);
		cls = check_record(&r->bills[at], text, e);
		if (cls == ERROR_NONE)
			list[i] = (struct replay_correction){ r->bills[at].account, text, ends[i] - at };
		for (uint32_t k = at; k < ends[i] && cls == ERROR_NONE; k++)
			if (!sum_up(c, &r->bills[k]))
				cls = error_set(e, ERROR_HALT, 0, "the sum of all differences overflows");
	}
	return cls == ERROR_NONE ? check_waiting(r, e) : cls;
}
