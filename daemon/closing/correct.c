// SPDX-License-Identifier: Apache-2.0
// Corrections of closed months: records of the accounts topic, settled with the first close whose manifest covers them and says that there are
// some, before the late calls of that close. So the same log gives the same bill again, and no other way leads into what was settled. A
// manifest of a program that did not know corrections says nothing: its close made none.
//
// A correction is made whole or not at all, by account: its months hang together by what packs gave. It is made where it was worked out from
// the close just before this one, no other one of the account is made with this close, each of its lines stands as it says it was, and no pack
// would give more than it holds, or less than nothing. Otherwise it is passed over, which the log says: what came in between has changed the
// bill, and the difference has to be worked out anew. It is not enough that its own lines stand: what another close settled, or another
// correction of other lines, may have taken the free calls and packs that it gives.
//
// A corrected line is priced as its month is, like any other, or by the prices that the correction brings, where another price book says so
// (account/prices.h): it keeps them, and late calls are rated by them together with all others, until another correction comes. So what is
// charged is what prices make of calls, always: a record that says another charge is passed over.
//
// No record may keep a month from being closed: what it says of money is bounded (ACCOUNT_FEN_MOST), and so is here what its calls cost in each
// tier of the prices that it brings, since late calls may reach any of them, and the difference of all its lines, since those of all accounts
// are summed.
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "closing/inner.h"

__extension__ typedef __int128 wide;

// ---- which of them, of a shard
static int account_order(const void *x, const void *y)
{
	return span_order(((const struct corrected_account *)x)->account, ((const struct corrected_account *)y)->account);
}

// The earlier months that are looked at with this one, each once: of late calls, and those corrected that were closed.
static void note_months(const struct settle_scope *s, struct settling *w)
{
	size_t most = w->held.n_late_months;
	uint32_t n = 0;
	for (size_t i = 0; i < w->n_corrected; i++)
		for (uint32_t k = 0; k < w->corrected[i].n; k++)
			most += w->corrected[i].facts[k]->n_lines;
	int *months = xcalloc(most + 1, sizeof(*months));
	for (uint32_t i = 0; i < w->held.n_late_months; i++)
		months[n++] = w->held.late_months[i];
	for (size_t i = 0; i < w->n_corrected; i++)
		for (uint32_t k = 0; k < w->corrected[i].n; k++)
			for (uint32_t l = 0; l < w->corrected[i].facts[k]->n_lines; l++) {
				int month = w->corrected[i].facts[k]->lines[l].month;
				if ((n == 0 || months[n - 1] != month) && correct_closed(s, month))
					months[n++] = month;
			}
	w->n_months = months_once(months, n);
	w->months = months;
}

bool correct_closed(const struct settle_scope *s, int month)
{
	return month < s->m->month && journal_manifest(s->j, month) != NULL;
}

// The last one before that may have made corrections.
static const struct journal_manifest *corrected_before(const struct settle_scope *s)
{
	const struct journal_manifest *before = NULL;
	for (uint32_t i = 0; i < s->j->n_manifests && s->j->manifests[i].month < s->m->month; i++)
		before = s->j->manifests[i].corrects ? &s->j->manifests[i] : before;
	return before;
}

void correct_gather(const struct settle_scope *s, struct settling *w)
{
	CLEANUP(arena_free) struct arena scratch = { 0 };
	const struct journal_manifest *previous = corrected_before(s);
	struct month_frame now, before;
	month_frame_make(s->j, s->m, s->m->month, &scratch, &now);
	if (previous != NULL)
		month_frame_make(s->j, previous, previous->month, &scratch, &before);
	uint32_t n = s->uncorrected || s->book == NULL || !s->m->corrects ? 0 : account_book_corrected(s->book);
	w->corrected = xcalloc((size_t)n + 1, sizeof(*w->corrected));
	for (uint32_t i = 0; i < n; i++) {
		const struct account *a = account_book_corrected_at(s->book, i);
		if (store_shard(a->name, s->o->shards) != w->shard || (s->account.p != NULL && !span_eq(a->name, s->account)))
			continue;
		const struct account_fact **facts = arena_alloc(&w->held.arena, (a->n_corrections + 1) * sizeof(const struct account_fact *));
		uint32_t due = account_corrections(a, previous != NULL ? &before.horizon : NULL, &now.horizon, facts);
		if (due > 0)
			w->corrected[w->n_corrected++] = (struct corrected_account){ a->name, due, facts };
	}
	qsort(w->corrected, w->n_corrected, sizeof(*w->corrected), account_order);
	note_months(s, w);
}

// ---- one correction
struct made_line {
	struct close_month *month;
	struct settled_line settled;
	struct store_adjustment adjustment;
	int64_t difference_fen;
};
struct move {                           // of a pack
	struct span id;
	int64_t calls, most;            // most: calls that it holds, as the months that are corrected know it; 0: it is none of theirs
};
struct correcting {
	const struct statement_frame *f;
	const struct account_close *a;
	const struct account_fact *fact;
	const struct balance *balance;
	struct arena *arena;
	uint32_t n;
	struct made_line *made;
	uint32_t n_moves;
	struct move *moves;
};

static struct close_month *month_of(const struct account_close *a, int month)
{
	for (uint32_t i = 0; i < a->n_months; i++)
		if (a->months[i].frame->month == month && a->months[i].closed)
			return &a->months[i];
	return NULL;
}

static bool stands(const struct settled_line *l, const struct correction_side *was)
{
	if (l == NULL || was->revision < 0)
		return l == NULL && was->revision < 0;
	return l->revision == was->revision && l->calls == was->calls && l->free == was->free && l->billable == was->billable &&
	       l->charge_fen == was->charge_fen && prices_same(l->prices, was->prices) && packs_same(l->packs, l->n_packs, was->packs, was->n_packs);
}

static struct line line_begin(const struct correcting *k, const struct close_month *m, uint32_t service, const struct correction_side *s)
{
	struct line l = { .rules = m->frame->rules, .terms = m->terms, .month = m->frame->month, .service = service, .corrected = k->fact->id,
		.correction = true, .n_packs = s->n_packs, .packs = arena_alloc(k->arena, (s->n_packs + 1) * sizeof(*l.packs)) };
	line_price(&l, s->prices, m->terms->services[service].plan);
	for (uint32_t i = 0; i < s->n_packs; i++)
		l.packs[i] = (struct pack_use){ s->packs[i].id, s->packs[i].calls };
	return l;
}

static bool within(wide fen)
{
	return fen >= -ACCOUNT_FEN_MOST && fen <= ACCOUNT_FEN_MOST;
}

// All calls in each tier of these prices alone. Takes the slices of the frame: before the line itself is rated.
static bool tiers_within(const struct correcting *k, const struct line_prices *p, int64_t calls)
{
	for (uint32_t i = 0; i < p->plan.n_tiers; i++) {
		struct price_tier tier = { 0, p->plan.tiers[i].price_micro, p->plan.tiers[i].flat_micro };
		struct plan one = p->plan;
		struct bill b;
		one.tiers = &tier;
		one.n_tiers = 1;
		if (!rating_charge(&one, calls, 0, calls, p->rounding, k->f->slices, &b) || !within(b.charge_fen))
			return false;
	}
	return true;
}

static const char *const too_large = "an amount is too large";

// Why it cannot be made; NULL: it can.
static const char *line_make(const struct correcting *k, struct close_month *m, uint32_t service, const struct correction_line *c,
			     struct made_line *ret)
{
	const struct correction_side *s = &c->becomes;
	const struct settled_line *have = settled_line_of(m->lines, m->n_lines, service);
	struct settled_line before = have != NULL ? *have : (struct settled_line){ .service = service, .revision = -1 };
	struct line l = line_begin(k, m, service, s);
	l.revision = before.revision >= 0 ? before.revision + 1 : 1;
	l.adjusts = &before;
	if (s->prices != NULL && !tiers_within(k, s->prices, s->calls))
		return too_large;
	if (s->calls == 0) // as a line that only unfreezes: also where a plan has a fee at zero calls
		l.bill = (struct bill){ .unit_price_micro = l.plan->tiers[0].price_micro };
	else if (!rating_charge(l.plan, s->calls, s->free, s->billable, l.rounding, k->f->slices, &l.bill))
		return too_large;
	if (l.bill.charge_fen != s->charge_fen)
		return "its charge is not what its prices make of its calls";
	if (!within((wide)s->charge_fen - before.charge_fen))
		return too_large;
	l.difference_fen = s->charge_fen - before.charge_fen;
	struct line_texts texts;
	check(line_document(k->f, k->a->account, &l, k->arena, &texts)); // its names are plain letters: the accounts topic refuses others
	*ret = (struct made_line){ m, line_settled(&l), { span_of(catalog_service_id(l.rules->catalog, service)), STORE_CORRECTION, texts.identity,
		texts.document }, l.difference_fen };
	return NULL;
}

// Why it cannot be made; NULL: it can, as *k says then.
static const char *make_lines(struct correcting *k)
{
	for (uint32_t i = 0; i < k->fact->n_lines; i++) {
		const struct correction_line *c = &k->fact->lines[i];
		struct close_month *m = month_of(k->a, c->month);
		uint32_t service;
		if (m == NULL)
			return "a month that it names was not closed before";
		if (!catalog_find_id(m->frame->rules->catalog, c->service, &service))
			return "the price book of a month does not have the service";
		if (!stands(settled_line_of(m->lines, m->n_lines, service), &c->was))
			return "a bill is not what it was any more";
		const char *why = line_make(k, m, service, c, &k->made[k->n++]);
		if (why != NULL)
			return why;
	}
	return NULL;
}

// The statement of each month can be summed up, and the difference of all.
static bool sums_fit(const struct correcting *k, const struct settled_sums *sums)
{
	wide all = sums->difference_fen, month = 0;
	for (uint32_t i = 0; i < k->n; i++) {
		const struct close_month *m = k->made[i].month;
		if (i == 0 || m != k->made[i - 1].month) {
			month = 0;
			for (uint32_t l = 0; l < m->n_lines; l++)
				month += m->lines[l].charge_fen;
		}
		month += k->made[i].difference_fen;
		all += k->made[i].difference_fen;
		if (month != (int64_t)month || all != (int64_t)all)
			return false;
	}
	return within(all - sums->difference_fen);
}

// ---- what packs give more, or less
static int move_order(const void *x, const void *y)
{
	return span_order(((const struct move *)x)->id, ((const struct move *)y)->id);
}

static void add_moves(struct correcting *k, const struct correction_side *s, int sign)
{
	for (uint32_t i = 0; i < s->n_packs; i++)
		k->moves[k->n_moves++] = (struct move){ s->packs[i].id, sign * s->packs[i].calls, 0 };
}

static void gather_moves(struct correcting *k)
{
	size_t room = 0;
	for (uint32_t i = 0; i < k->fact->n_lines; i++)
		room += k->fact->lines[i].was.n_packs + k->fact->lines[i].becomes.n_packs + k->made[i].month->terms->n_packs;
	k->moves = arena_alloc(k->arena, (room + 1) * sizeof(*k->moves));
	for (uint32_t i = 0; i < k->fact->n_lines; i++) {
		const struct terms *t = k->made[i].month->terms;
		add_moves(k, &k->fact->lines[i].was, -1);
		add_moves(k, &k->fact->lines[i].becomes, 1);
		for (uint32_t p = 0; p < t->n_packs && (i == 0 || k->made[i].month != k->made[i - 1].month); p++)
			k->moves[k->n_moves++] = (struct move){ t->packs[p].id, 0, t->packs[p].calls };
	}
	if (k->n_moves > 0)
		qsort(k->moves, k->n_moves, sizeof(*k->moves), move_order);
}

// A pack that was made larger later holds that much for all months: what it gave is one balance.
static bool holds(const struct correcting *k, const struct move *m, int64_t used)
{
	return used <= m->most || (m->most > 0 && used <= account_pack_most(k->a->said, &k->f->own.horizon, m->id));
}

// Each pack once. False: one of them cannot.
static bool moves_fit(struct correcting *k)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < k->n_moves; i++) {
		struct move m = k->moves[i];
		bool fits = true;
		for (; i + 1 < k->n_moves && span_eq(k->moves[i + 1].id, m.id); i++) {
			fits = fits && !__builtin_add_overflow(m.calls, k->moves[i + 1].calls, &m.calls);
			m.most = k->moves[i + 1].most > m.most ? k->moves[i + 1].most : m.most;
		}
		int64_t used = 0;
		if (!fits || __builtin_add_overflow(balance_used(k->balance, m.id), m.calls, &used) || used < 0 ||
		    (m.calls > 0 && !holds(k, &m, used)))
			return false;
		k->moves[n++] = m;
	}
	k->n_moves = n;
	return true;
}

static void move_packs(const struct correcting *k, struct balance *b)
{
	struct pack_use *given = arena_alloc(k->arena, (k->n_moves + 1) * sizeof(*given));
	for (uint32_t i = 0; i < k->n_moves; i++)
		given[i] = (struct pack_use){ k->moves[i].id, k->moves[i].calls };
	check(balance_add(b, given, k->n_moves, k->arena)); // moves_fit
}

// ---- made
// Room for as many lines and adjustments more as the correction has in the month.
static void make_room(struct correcting *k, struct close_month *m)
{
	uint32_t more = 0;
	for (uint32_t i = 0; i < k->n; i++)
		more += k->made[i].month == m;
	struct settled_line *lines = arena_alloc(k->arena, (m->n_lines + more + 1) * sizeof(*lines));
	struct store_adjustment *list = arena_alloc(k->arena, (m->n_corrected + more + 1) * sizeof(*list));
	if (m->n_lines > 0)
		memcpy(lines, m->lines, m->n_lines * sizeof(*lines));
	if (m->n_corrected > 0)
		memcpy(list, m->corrected, m->n_corrected * sizeof(*list));
	m->lines = lines;
	m->corrected = list;
}

static void apply(struct correcting *k, struct balance *b, struct settled_sums *sums)
{
	for (uint32_t i = 0; i < k->n; i++) {
		struct made_line *l = &k->made[i];
		if (i == 0 || l->month != k->made[i - 1].month)
			make_room(k, l->month);
		settled_line_put(l->month->lines, &l->month->n_lines, &l->settled);
		l->month->corrected[l->month->n_corrected++] = l->adjustment;
		sums->adjustments++;
		sums->difference_fen += l->difference_fen; // sums_fit
	}
	move_packs(k, b);
}

static const char *judge(struct correcting *k, bool another, const struct settled_sums *sums)
{
	if (k->fact->after_month != k->f->manifest->month - 1)
		return "it was not worked out from the close just before";
	if (another)
		return "another correction of the account came with the same close";
	const char *why = make_lines(k);
	if (why == NULL && !sums_fit(k, sums))
		why = too_large;
	if (why != NULL)
		return why;
	gather_moves(k);
	return moves_fit(k) ? NULL : "a pack would give more than it holds, or less than nothing";
}

void correct_account(const struct statement_frame *f, const struct account_close *a, struct balance *b, struct arena *arena,
		     struct settled_sums *sums)
{
	bool made = false;
	for (uint32_t i = 0; i < a->n_corrections; i++) {
		const struct account_fact *fact = a->corrections[i];
		struct correcting k = { .f = f, .a = a, .fact = fact, .balance = b, .arena = arena,
			.made = arena_alloc(arena, (fact->n_lines + 1) * sizeof(*k.made)) };
		const char *why = judge(&k, made, sums);
		made = made || why == NULL;
		sums->corrected += why == NULL;
		sums->passed_over += why != NULL;
		if (why == NULL)
			apply(&k, b, sums);
		else if (!f->quiet)
			log_line(LVL_WARN, "correction_passed_over", "account=%.*s correction=%.*s partition=%d offset=%lld why=\"%s\" do=%s",
				 (int)a->account.n, a->account.p, (int)fact->id.n, fact->id.p, (int)fact->partition, (long long)fact->offset, why,
				 "\"run meterctl replay again: it works the difference out anew\"");
	}
}
