// SPDX-License-Identifier: Apache-2.0
// A set holds the rows of one account (or of all of which nothing was said), for some months, between two record clocks.
#include "plans/plans.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"

enum { BUCKETS = 4096, CAUSE_TEXT = 400 };

struct plan_set {
	struct plan_set *next;          // in the bucket
	const struct journal_rules *rules;
	const struct account *account;  // NULL: all of which nothing was said
	int64_t from_ms, until_ms;      // record clocks; until is exclusive
	int first_month, n_months;
	bool spans;                     // its allowance spans the months
	const struct terms **terms;     // by month
	const struct allowance *allowance;
	struct ladder_origin origin;
	int64_t change_ms;
	bool changes_later;
	uint32_t n_services;            // of the newest catalog
	struct plan_row *rows;          // by month, then service
	bool *made;                     // beside rows
	struct arena arena;
};

struct fact_time {
	int64_t stamp_ms;
	const struct account *account;
};

// What an account (NULL: all of which nothing was said) is looked at by at a change.
struct plan_look {
	struct plan_look *next;         // in the bucket
	const struct account *account;
	struct look_terms terms;
};

struct plans {
	const struct journal *journal;
	const struct account_book *book;
	struct plan_set *buckets[BUCKETS];
	struct plan_set *last;          // nearly always the one that is asked for again
	uint64_t rows;                  // of all sets
	struct plan_look *looks[BUCKETS];
	struct plan_look *last_look;
	struct arena arena;             // of the looks
	uint32_t n_facts;
	struct fact_time *facts;        // by stamp
};

struct plans *plans_new(void)
{
	return xcalloc(1, sizeof(struct plans));
}

static void set_free(struct plan_set *s)
{
	for (uint32_t i = 0; i < (uint32_t)s->n_months * s->n_services; i++) {
		struct ladder *plain = (struct ladder *)(uintptr_t)s->rows[i].plain, *first = (struct ladder *)(uintptr_t)s->rows[i].first;
		ladder_freep(&plain);
		ladder_freep(&first);
	}
	free(s->rows);
	free(s->made);
	arena_free(&s->arena);
	free(s);
}

static void plans_clear(struct plans *p)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (p->buckets[i] != NULL) {
			struct plan_set *s = p->buckets[i];
			p->buckets[i] = s->next;
			set_free(s);
		}
		p->looks[i] = NULL;
	}
	p->last_look = NULL;
	p->rows = 0;
	arena_reset(&p->arena);
	free(p->facts);
	p->facts = NULL;
	p->n_facts = 0;
	p->last = NULL;
}

void plans_freep(struct plans **p)
{
	if (*p != NULL) {
		plans_clear(*p);
		arena_free(&(*p)->arena);
	}
	free(*p);
	*p = NULL;
}

static int by_stamp(const void *x, const void *y)
{
	const struct fact_time *a = x, *b = y;
	return (a->stamp_ms > b->stamp_ms) - (a->stamp_ms < b->stamp_ms);
}

void plans_know(struct plans *p, const struct journal *j, const struct account_book *book)
{
	plans_clear(p);
	p->journal = j;
	p->book = book;
	uint32_t accounts = book != NULL ? account_book_size(book) : 0, n = 0;
	for (uint32_t i = 0; i < accounts; i++)
		n += account_book_at(book, i)->n_facts;
	p->facts = xcalloc(n + 1, sizeof(*p->facts));
	for (uint32_t i = 0; i < accounts; i++) {
		const struct account *a = account_book_at(book, i);
		for (uint32_t t = 0; t < a->n_things; t++)
			for (uint32_t k = 0; k < a->things[t].n; k++)
				p->facts[p->n_facts++] = (struct fact_time){ a->things[t].facts[k]->stamp_ms, a };
	}
	qsort(p->facts, p->n_facts, sizeof(*p->facts), by_stamp);
}

static const struct account *find_account(const struct plans *p, struct span account)
{
	const struct account *a = p->n_facts > 0 ? account_book_find(p->book, account) : NULL;
	return a != NULL && a->n_things > 0 ? a : NULL; // corrections change no terms
}

bool plans_watched(const struct plans *p, struct span account)
{
	return find_account(p, account) != NULL;
}

bool plans_full(const struct plans *p)
{
	return p->rows > PLANS_ROWS_MOST;
}

// ---- when rows change

static int64_t lead_of(const struct journal_rules *rules)
{
	return rules->rules->settings.lead_ms;
}

// From which clock on what was said then holds. A stamp is the producer's, up to the end of all numbers.
static int64_t effect_ms(const struct journal_rules *rules, int64_t stamp_ms)
{
	return stamp_ms > INT64_MAX - lead_of(rules) ? INT64_MAX : stamp_ms + lead_of(rules);
}

// Stamps up to this one are visible at the clock.
static int64_t visible_stamp(const struct journal_rules *rules, int64_t clock_ms)
{
	return clock_ms == TIME_NONE ? TIME_NONE : clock_ms - lead_of(rules);
}

// Index of the first fact with a stamp beyond stamp_ms.
static uint32_t facts_after(const struct plans *p, int64_t stamp_ms)
{
	uint32_t low = 0, high = p->n_facts;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (p->facts[mid].stamp_ms > stamp_ms)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int64_t next_rules_ms(const struct plans *p, const struct journal_rules *rules)
{
	int64_t next = INT64_MAX;
	for (uint32_t i = 0; i < p->journal->n_rules; i++) {
		const struct journal_rules *r = &p->journal->rules[i];
		if (r->version > rules->version && r->effective_ms != TIME_NONE && r->effective_ms < next)
			next = r->effective_ms;
	}
	return next;
}

int64_t plans_next_turn(const struct plans *p, const struct journal_rules *rules, int64_t clock_ms)
{
	int64_t next = next_rules_ms(p, rules);
	uint32_t i = facts_after(p, visible_stamp(rules, clock_ms));
	if (i < p->n_facts && effect_ms(rules, p->facts[i].stamp_ms) < next)
		next = effect_ms(rules, p->facts[i].stamp_ms);
	if (clock_ms == TIME_NONE)
		return next;
	const struct zone *z = catalog_zone(rules->rules->catalog);
	int month = period_month(z, clock_ms);
	if (month != MONTH_NONE && period_end_ms(z, month) < next)
		next = period_end_ms(z, month);
	return next;
}

bool plans_turning(const struct plans *p, const struct journal_rules *rules, int64_t clock_ms, int64_t to_ms, plans_account_fn *fn, void *ctx)
{
	uint32_t end = facts_after(p, visible_stamp(rules, to_ms));
	for (uint32_t i = facts_after(p, visible_stamp(rules, clock_ms)); i < end; i++)
		if (fn(ctx, p->facts[i].account->name))
			return true;
	return false;
}

// ---- making a set

static const char *const kind_words[] = { [ACCOUNT_ACTIVATION] = "activation", [ACCOUNT_CONTRACT] = "contract", [ACCOUNT_PACK] = "pack" };

// What was said last of the account up to the stamp; NULL: nothing.
static const struct account_fact *newest_fact(const struct account *a, int64_t stamp_ms)
{
	const struct account_fact *newest = NULL;
	for (uint32_t t = 0; a != NULL && t < a->n_things; t++) {
		for (uint32_t i = 0; i < a->things[t].n; i++) {
			const struct account_fact *f = a->things[t].facts[i];
			if (f->stamp_ms <= stamp_ms && (newest == NULL || f->stamp_ms >= newest->stamp_ms))
				newest = f;
		}
	}
	return newest;
}

// The last change that shaped the rows: of the price book or of the account.
static struct ladder_origin find_origin(struct plan_set *s, int64_t visible_ms, int64_t month_start_ms)
{
	const struct journal_rules *r = s->rules;
	const struct account_fact *newest = newest_fact(s->account, visible_ms);
	CLEANUP(freep) char *text = NULL;
	int64_t at_ms = r->effective_ms == TIME_NONE ? month_start_ms : r->effective_ms;
	if (newest != NULL && (r->effective_ms == TIME_NONE || effect_ms(r, newest->stamp_ms) > r->effective_ms)) {
		at_ms = effect_ms(r, newest->stamp_ms);
		text = xasprintf("%s %.*s, version %lld", kind_words[newest->kind], (int)newest->id.n, newest->id.p,
				 (long long)newest->version);
	} else {
		text = xasprintf("price book %s, rules version %lld", catalog_version(r->rules->catalog), (long long)r->version);
	}
	return (struct ladder_origin){ .rules_version = r->version, .cause = arena_copy(&s->arena, span_of(text)), .cause_ms = at_ms };
}

// The last change at the clock; `rules` are those in force there.
static int64_t change_at(const struct journal_rules *rules, const struct account *a, int64_t clock_ms)
{
	int64_t last = rules->effective_ms != TIME_NONE ? rules->effective_ms : INT64_MIN;
	const struct account_fact *newest = clock_ms != TIME_NONE ? newest_fact(a, visible_stamp(rules, clock_ms)) : NULL;
	return newest != NULL && effect_ms(rules, newest->stamp_ms) > last ? effect_ms(rules, newest->stamp_ms) : last;
}

// The first month in which a pack of these terms may have given calls, in this version or in one before, which took of the same pack; the
// month of the terms where there is none.
static int first_pack_month(const struct terms *t)
{
	int first = t->month;
	for (uint32_t i = 0; i < t->n_packs; i++)
		if (t->packs[i].earliest_month < first)
			first = t->packs[i].earliest_month;
	return first;
}

// The months that calls may fall into at the clock, `month` among them.
static void open_months(const struct journal_rules *rules, const struct zone *z, int64_t clock_ms, int month, int *ret_low, int *ret_high)
{
	int of_clock = clock_ms == TIME_NONE ? MONTH_NONE : period_month(z, clock_ms), low = of_clock;
	*ret_low = *ret_high = month;
	if (of_clock == MONTH_NONE || of_clock >= MONTH_LAST)
		return;
	while (low > MONTH_FIRST && rules_close_ms(rules->rules, low - 1) > clock_ms)
		low--;
	*ret_low = low < month ? low : month;
	*ret_high = of_clock + 1 > month ? of_clock + 1 : month;
}

// What holds of a month as of a record clock; of one that is closed by then, as of its close.
static const struct terms *set_terms(struct plan_set *s, const struct journal *j, int64_t clock_ms, int month)
{
	int64_t close_ms = rules_close_ms(s->rules->rules, month);
	bool closed = clock_ms != TIME_NONE && close_ms <= clock_ms;
	struct account_horizon h = { .stamp_ms = closed ? visible_stamp(journal_rules_at(j, close_ms - 1), close_ms - 1)
							: visible_stamp(s->rules, clock_ms) };
	return terms_make(s->rules->rules->catalog, s->account, &h, month, &s->arena);
}

// Whichever of the open months is asked for first, an account with packs has one and the same set for all of them, from the first pack
// on: so all its calls in a batch are weighed by one allowance. A pack that is over by now may have given calls that one of these packs
// would have given: back to where it began.
static void set_months(struct plan_set *s, const struct journal *j, int64_t clock_ms, int month, int low, int high)
{
	int first = high + 1;
	for (int m = high; s->account != NULL && m >= MONTH_FIRST && (m >= low || m >= first); m--) {
		const struct terms *t = set_terms(s, j, clock_ms, m);
		int began = first_pack_month(t);
		first = t->n_packs > 0 && began < first ? began : first;
	}
	s->spans = month >= first; // before the first pack each month is by itself
	s->first_month = s->spans ? first : month;
	s->n_months = s->spans ? high - first + 1 : 1;
	s->terms = arena_alloc(&s->arena, (size_t)s->n_months * sizeof(*s->terms));
	for (int i = 0; i < s->n_months; i++)
		s->terms[i] = set_terms(s, j, clock_ms, s->first_month + i);
}

// The clock that stands for all that a set holds for: the change before it, or the beginning of the month where that is later, since a
// set that spans months is that of the clock's month. So a set is the same, whoever asks first and at which clock.
static int64_t set_clock(const struct plan_set *s, const struct zone *z, int64_t clock_ms)
{
	int month = clock_ms == TIME_NONE ? MONTH_NONE : period_month(z, clock_ms);
	if (month == MONTH_NONE)
		return clock_ms;
	return s->change_ms > period_start_ms(z, month) ? s->change_ms : period_start_ms(z, month);
}

// A set that spans months is that of the clock's month: in the next one there are others.
static void set_within_month(struct plan_set *s, const struct zone *z, int64_t clock_ms)
{
	int month = clock_ms == TIME_NONE ? MONTH_NONE : period_month(z, clock_ms);
	if (!s->spans || month == MONTH_NONE)
		return;
	s->from_ms = period_start_ms(z, month) > s->from_ms ? period_start_ms(z, month) : s->from_ms;
	s->until_ms = period_end_ms(z, month) < s->until_ms ? period_end_ms(z, month) : s->until_ms;
}

static struct plan_set *set_make(struct plans *p, const struct journal_rules *rules, int64_t clock_ms, const struct account *account, int month)
{
	const struct catalog *c = rules->rules->catalog;
	const struct zone *z = catalog_zone(c);
	struct plan_set *s = xcalloc(1, sizeof(*s));
	struct account_horizon h = { .stamp_ms = visible_stamp(rules, clock_ms) };
	*s = (struct plan_set){ .rules = rules, .account = account, .from_ms = INT64_MIN, .until_ms = INT64_MAX,
				.n_services = catalog_services(p->journal->rules[p->journal->n_rules - 1].rules->catalog) };
	if (account != NULL) {
		int64_t next = account_next_change(account, h.stamp_ms);
		s->until_ms = effect_ms(rules, next);
		s->changes_later = next != INT64_MAX;
		const struct account_fact *newest = newest_fact(account, h.stamp_ms);
		if (newest != NULL)
			s->from_ms = effect_ms(rules, newest->stamp_ms);
	}
	int low, high;
	s->change_ms = change_at(rules, account, clock_ms);
	int64_t begin_ms = set_clock(s, z, clock_ms);
	open_months(rules, z, begin_ms, month, &low, &high);
	set_months(s, p->journal, begin_ms, month, low, high);
	set_within_month(s, z, clock_ms);
	s->allowance = allowance_make(c, s->terms, (uint32_t)s->n_months, low, &s->arena);
	s->origin = find_origin(s, h.stamp_ms, period_start_ms(z, month));
	if (s->allowance != NULL)
		((struct allowance *)(uintptr_t)s->allowance)->origin = s->origin;
	s->rows = xcalloc((size_t)s->n_months * s->n_services, sizeof(*s->rows));
	s->made = xcalloc((size_t)s->n_months * s->n_services, sizeof(*s->made));
	return s;
}

// ---- finding rows

static bool set_holds(const struct plan_set *s, const struct journal_rules *rules, int64_t clock_ms, const struct account *account, int month)
{
	return s->rules == rules && s->account == account && clock_ms >= s->from_ms && clock_ms < s->until_ms && month >= s->first_month &&
	       month < s->first_month + s->n_months && (s->spans || month == s->first_month);
}

static struct plan_set *set_find(struct plans *p, const struct journal_rules *rules, int64_t clock_ms, const struct account *account, int month)
{
	if (p->last != NULL && set_holds(p->last, rules, clock_ms, account, month))
		return p->last;
	uint64_t key = (uint64_t)(uintptr_t)account ^ (account == NULL ? (uint64_t)(uint32_t)month << 20 : 0);
	struct plan_set **bucket = &p->buckets[XXH3_64bits(&key, sizeof(key)) % BUCKETS];
	for (struct plan_set *s = *bucket; s != NULL; s = s->next)
		if (set_holds(s, rules, clock_ms, account, month))
			return p->last = s;
	struct plan_set *s = set_make(p, rules, clock_ms, account, month);
	p->rows += (uint64_t)s->n_months * s->n_services;
	s->next = *bucket; // before older ones, which may reach less far
	*bucket = s;
	return p->last = s;
}

static const struct ladder *make_ladder(struct plan_set *s, const struct terms_service *t, int64_t quota)
{
	struct ladder *l = ladder_of_plan(t->plan, quota, t->warn_micro);
	l->origin = s->origin;
	l->origin.contract = t->contract;
	return l;
}

static void make_row(struct plans *p, struct plan_set *s, uint32_t service, int month, struct plan_row *row)
{
	const struct catalog *newest = p->journal->rules[p->journal->n_rules - 1].rules->catalog, *c = s->rules->rules->catalog;
	const struct terms *t = s->terms[month - s->first_month];
	uint32_t own = service;
	row->change_ms = s->change_ms;
	row->changes_later = s->changes_later;
	if (c != newest && !catalog_find_id(c, span_of(catalog_service_id(newest, service)), &own))
		return; // these rules do not know it: nothing is counted under them
	const struct terms_service *ts = &t->services[own];
	row->scope = s->spans ? MONTH_NONE : month;
	if (ts->plan == NULL)
		return;
	if (terms_shares(t, own)) {
		check(allowance_find(s->allowance, catalog_service_id(c, own), month, &row->month, &row->service));
		row->allowance = s->allowance;
		return;
	}
	int64_t first = terms_quota_in_first(t, ts->quota, ts->quota_first);
	row->plain = make_ladder(s, ts, ts->quota);
	row->first = first != ts->quota ? make_ladder(s, ts, first) : NULL;
}

struct plan_row plans_row(struct plans *p, const struct journal_rules *rules, int64_t clock_ms, struct span account, uint32_t service, int month)
{
	struct plan_set *s = set_find(p, rules, clock_ms, find_account(p, account), month);
	size_t i = (size_t)(month - s->first_month) * s->n_services + service;
	check(service < s->n_services);
	if (!s->made[i])
		make_row(p, s, service, month, &s->rows[i]);
	s->made[i] = true;
	return s->rows[i];
}

// ---- changes

int64_t plans_change(const struct plans *p, int64_t clock_ms, struct span account)
{
	return change_at(journal_rules_at(p->journal, clock_ms), find_account(p, account), clock_ms);
}

static void look_add_allowance(struct look_terms *t, const struct allowance **list, const struct allowance *a)
{
	for (uint32_t i = 0; i < t->n_allowances; i++)
		if (list[i] == a)
			return;
	list[t->n_allowances++] = a;
}

// One month; allowances come into `list`, which has room for one more month's.
static void look_month(struct plans *p, const struct journal_rules *rules, struct span account, int month, struct look_terms *t,
		       struct look_month *ret, const struct allowance **list)
{
	uint32_t services = catalog_services(p->journal->rules[p->journal->n_rules - 1].rules->catalog);
	struct look_row *rows = arena_alloc(&p->arena, (services + 1) * sizeof(*rows));
	*ret = (struct look_month){ .month = month, .rows = rows };
	for (uint32_t i = 0; i < services; i++) {
		struct plan_row row = plans_row(p, rules, t->change_ms, account, i, month);
		if (row.allowance != NULL)
			look_add_allowance(t, list, row.allowance);
		else if (row.plain != NULL || row.first != NULL)
			rows[ret->n_rows++] = (struct look_row){ i, row.plain, row.first };
	}
}

static struct plan_look *look_make(struct plans *p, int64_t change_ms, const struct account *account, struct span name)
{
	const struct journal_rules *rules = journal_rules_at(p->journal, change_ms);
	const struct zone *z = catalog_zone(rules->rules->catalog);
	struct plan_look *l = arena_alloc(&p->arena, sizeof(*l));
	*l = (struct plan_look){ .account = account, .terms = { .change_ms = change_ms } };
	int low, high, month = period_month(z, change_ms);
	if (month == MONTH_NONE)
		return l;
	open_months(rules, z, change_ms, month, &low, &high);
	struct look_month *months = arena_alloc(&p->arena, (size_t)(high - low + 1) * sizeof(*months));
	const struct allowance **allowances = arena_alloc(&p->arena, (size_t)(high - low + 1) * sizeof(struct allowance *));
	for (int m = low; m <= high; m++)
		look_month(p, rules, name, m, &l->terms, &months[l->terms.n_months++], allowances);
	l->terms.months = months;
	l->terms.allowances = allowances;
	return l;
}

const struct look_terms *plans_look(struct plans *p, int64_t change_ms, struct span account)
{
	const struct account *a = find_account(p, account);
	if (p->last_look != NULL && p->last_look->account == a && p->last_look->terms.change_ms == change_ms)
		return &p->last_look->terms;
	uint64_t key[2] = { (uint64_t)(uintptr_t)a, (uint64_t)change_ms };
	struct plan_look **bucket = &p->looks[XXH3_64bits(key, sizeof(key)) % BUCKETS];
	for (struct plan_look *l = *bucket; l != NULL; l = l->next)
		if (l->account == a && l->terms.change_ms == change_ms)
			return &(p->last_look = l)->terms;
	struct plan_look *l = look_make(p, change_ms, a, account);
	l->next = *bucket;
	*bucket = l;
	return &(p->last_look = l)->terms;
}

uint32_t plans_looks(struct plans *p, int64_t since_ms, int64_t upto_ms, struct span account, struct arena *arena,
		     const struct look_terms *const **ret)
{
	uint32_t n = 0;
	for (int64_t at = plans_change(p, upto_ms, account); at > since_ms; at = plans_change(p, at - 1, account))
		n++;
	const struct look_terms **list = arena_alloc(arena, (n + 1) * sizeof(*list));
	uint32_t left = n;
	for (int64_t at = plans_change(p, upto_ms, account); at > since_ms; at = plans_change(p, at - 1, account))
		list[--left] = plans_look(p, at, account);
	check(left == 0);
	*ret = (const struct look_terms *const *)list;
	return n;
}
