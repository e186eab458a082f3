// SPDX-License-Identifier: Apache-2.0
// The book of all accounts. Two hash tables: by account, and by (account, kind, id). Facts live in one arena and never move. A thing has
// a list of its facts in the order in which they are taken (account_fact_before), and stands as all of them make it. Nearly always a
// record comes last in that order; where it does not, the thing is made anew.
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "account/account.h"
#include "base/check.h"

struct table { // open addressing; a hash of 0 is an empty slot
	struct table_slot {
		uint64_t hash;
		uint32_t value;
	} *slots;
	uint32_t n, room; // room: a power of two, or 0
};

struct shelf { // things, or corrections
	uint32_t n, room, n_facts;
	struct account_history *list;
	struct account_thing *stand; // of each, by all of its facts
};

struct entry {
	struct account account;
	uint32_t number;
	struct shelf things, corrections;
};

struct partition {
	int32_t number;
	int64_t next_offset, clock_ms;
};

struct account_book {
	struct arena arena;
	struct table accounts, things;
	struct entry **entries; // in the order of first mention
	uint32_t *corrected;    // of entries
	struct thing_name {
		uint32_t entry, thing; // thing: of its shelf
		enum account_kind kind;
		struct span id;
	} *names; // what `things` points to
	struct partition *partitions;
	uint32_t n_entries, entries_room, n_corrected, corrected_room, n_names, names_room, n_partitions;
	uint64_t serial;
};

static uint32_t wider(uint32_t room)
{
	return room != 0 ? room * 2 : 4;
}

// --- tables -------------------------------------------------------------------------------------------------------------

static struct table_slot *table_free_slot(const struct table *t, uint64_t hash)
{
	uint64_t at = hash & (t->room - 1);
	while (t->slots[at].hash != 0)
		at = (at + 1) & (t->room - 1);
	return &t->slots[at];
}

static void table_add(struct table *t, uint64_t hash, uint32_t value)
{
	if (t->n >= t->room / 2) {
		struct table old = *t;
		t->room = old.room != 0 ? old.room * 2 : 64;
		t->slots = xcalloc(t->room, sizeof(*t->slots));
		for (uint32_t i = 0; i < old.room; i++)
			if (old.slots[i].hash != 0)
				*table_free_slot(t, old.slots[i].hash) = old.slots[i];
		free(old.slots);
	}
	*table_free_slot(t, hash) = (struct table_slot){ hash, value };
	t->n++;
}

static uint64_t hash_of(struct span s, uint64_t seed)
{
	uint64_t h = XXH3_64bits_withSeed(s.p, s.n, seed);
	return h != 0 ? h : 1;
}

static struct entry *find_entry(const struct account_book *b, struct span account)
{
	const struct table *t = &b->accounts;
	uint64_t hash = hash_of(account, 0);
	if (t->room == 0 || account.p == NULL)
		return NULL;
	for (uint64_t at = hash & (t->room - 1); t->slots[at].hash != 0; at = (at + 1) & (t->room - 1))
		if (t->slots[at].hash == hash && span_eq(b->entries[t->slots[at].value]->account.name, account))
			return b->entries[t->slots[at].value];
	return NULL;
}

static uint64_t thing_hash(uint32_t entry, enum account_kind kind, struct span id)
{
	return hash_of(id, (uint64_t)entry * 4 + (uint64_t)kind);
}

static const struct thing_name *find_thing(const struct account_book *b, uint32_t entry, enum account_kind kind, struct span id)
{
	const struct table *t = &b->things;
	uint64_t hash = thing_hash(entry, kind, id);
	if (t->room == 0)
		return NULL;
	for (uint64_t at = hash & (t->room - 1); t->slots[at].hash != 0; at = (at + 1) & (t->room - 1)) {
		const struct thing_name *x = &b->names[t->slots[at].value];
		if (t->slots[at].hash == hash && x->entry == entry && x->kind == kind && span_eq(x->id, id))
			return x;
	}
	return NULL;
}

// --- how a thing stands -------------------------------------------------------------------------------------------------

// One fact after those that made *t what it is.
static enum account_applied judge(const struct account_thing *t, const struct account_fact *f, enum account_fault_code *ret_why)
{
	if (t->newest == NULL) {
		*ret_why = ACCOUNT_FAULT_PACK_UNKNOWN;
		return f->cancels ? ACCOUNT_REFUSED : ACCOUNT_TAKEN;
	}
	if (f->version > t->newest->version)
		return ACCOUNT_TAKEN;
	*ret_why = f->version < t->newest->version ? ACCOUNT_FAULT_VERSION_STALE : ACCOUNT_FAULT_VERSION_TAKEN;
	bool same = f->version == t->newest->version && f->content[0] == t->newest->content[0] && f->content[1] == t->newest->content[1];
	return same ? ACCOUNT_REPEATED : ACCOUNT_REFUSED;
}

static enum account_applied take(struct account_thing *t, const struct account_fact *f, enum account_fault_code *ret_why)
{
	enum account_applied how = judge(t, f, ret_why);
	if (how == ACCOUNT_TAKEN && f->cancels) {
		t->newest = f;
		t->cancelled_month = f->cancelled_month;
	} else if (how == ACCOUNT_TAKEN) {
		bool earlier = t->fact == NULL || f->start_ms < t->earliest_ms;
		*t = (struct account_thing){ f, f, MONTH_NONE, earlier ? f->start_ms : t->earliest_ms };
	}
	return how;
}

bool account_fact_before(const struct account_fact *a, const struct account_fact *b)
{
	if (a->clock_ms != b->clock_ms)
		return a->clock_ms < b->clock_ms;
	return a->partition != b->partition ? a->partition < b->partition : a->offset < b->offset;
}

bool account_visible(const struct account_horizon *h, const struct account_fact *f)
{
	if (f->stamp_ms > h->stamp_ms)
		return false;
	for (uint32_t i = 0; i < h->n_cuts; i++)
		if (h->cuts[i].partition == f->partition)
			return !h->with_cuts || f->offset < h->cuts[i].offset;
	return !h->with_cuts;
}

uint32_t account_as_of(const struct account *a, const struct account_horizon *h, struct account_thing *ret)
{
	enum account_fault_code unused;
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->n_things; i++) {
		const struct account_history *x = &a->things[i];
		struct account_thing t = { .cancelled_month = MONTH_NONE };
		for (uint32_t k = 0; k < x->n; k++)
			if (account_visible(h, x->facts[k]))
				take(&t, x->facts[k], &unused);
		if (t.fact != NULL)
			ret[n++] = t;
	}
	return n;
}

// The first record of an id that is visible: it has one version, so what comes later is a repeat, or refused.
static const struct account_fact *correction_at(const struct account_history *x, const struct account_horizon *h)
{
	for (uint32_t i = 0; i < x->n; i++)
		if (account_visible(h, x->facts[i]))
			return x->facts[i];
	return NULL;
}

static int fact_order(const void *x, const void *y)
{
	const struct account_fact *const *a = x, *const *b = y;
	return account_fact_before(*a, *b) ? -1 : account_fact_before(*b, *a) ? 1 : 0;
}

uint32_t account_corrections(const struct account *a, const struct account_horizon *before, const struct account_horizon *h,
			     const struct account_fact **ret)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->n_corrections; i++) {
		const struct account_history *x = &a->corrections[i];
		const struct account_fact *f = before != NULL && correction_at(x, before) != NULL ? NULL : correction_at(x, h);
		if (f != NULL)
			ret[n++] = f;
	}
	if (n > 1)
		qsort(ret, n, sizeof(const struct account_fact *), fact_order);
	return n;
}

static int64_t pack_most(const struct account_history *x, const struct account_horizon *h)
{
	struct account_thing t = { .cancelled_month = MONTH_NONE };
	enum account_fault_code unused;
	int64_t most = 0;
	for (uint32_t i = 0; i < x->n; i++)
		if (account_visible(h, x->facts[i]) && take(&t, x->facts[i], &unused) == ACCOUNT_TAKEN)
			most = t.fact->calls > most ? t.fact->calls : most;
	return most;
}

int64_t account_pack_most(const struct account *a, const struct account_horizon *h, struct span id)
{
	for (uint32_t i = 0; i < a->n_things; i++)
		if (a->things[i].n > 0 && a->things[i].facts[0]->kind == ACCOUNT_PACK && span_eq(a->things[i].facts[0]->id, id))
			return pack_most(&a->things[i], h);
	return 0;
}

int64_t account_next_change(const struct account *a, int64_t stamp_ms)
{
	int64_t next = INT64_MAX;
	for (uint32_t i = 0; i < a->n_things; i++)
		for (uint32_t k = 0; k < a->things[i].n; k++) {
			int64_t at = a->things[i].facts[k]->stamp_ms;
			if (at > stamp_ms && at < next)
				next = at;
		}
	return next;
}

// --- taking a record ----------------------------------------------------------------------------------------------------

static struct partition *partition_of(struct account_book *b, int32_t number)
{
	for (uint32_t i = 0; i < b->n_partitions; i++)
		if (b->partitions[i].number == number)
			return &b->partitions[i];
	b->partitions = xrealloc(b->partitions, b->n_partitions + 1, sizeof(*b->partitions));
	b->partitions[b->n_partitions] = (struct partition){ number, INT64_MIN, INT64_MIN };
	return &b->partitions[b->n_partitions++];
}

static struct entry *make_entry(struct account_book *b, struct span account)
{
	struct entry *e = xcalloc(1, sizeof(*e));
	e->account.name = account;
	e->number = b->n_entries;
	if (b->n_entries == b->entries_room)
		b->entries = xrealloc(b->entries, b->entries_room = wider(b->entries_room), sizeof(struct entry *));
	table_add(&b->accounts, hash_of(account, 0), b->n_entries);
	b->entries[b->n_entries++] = e;
	return e;
}

static struct shelf *shelf_of(struct entry *e, enum account_kind kind)
{
	return kind == ACCOUNT_CORRECTION ? &e->corrections : &e->things;
}

static uint32_t shelf_add(struct shelf *s)
{
	if (s->n == s->room) {
		s->room = wider(s->room);
		s->list = xrealloc(s->list, s->room, sizeof(*s->list));
		s->stand = xrealloc(s->stand, s->room, sizeof(*s->stand));
	}
	s->list[s->n] = (struct account_history){ 0 };
	s->stand[s->n] = (struct account_thing){ .cancelled_month = MONTH_NONE };
	return s->n++;
}

static void note_corrected(struct account_book *b, uint32_t entry)
{
	if (b->n_corrected == b->corrected_room)
		b->corrected = xrealloc(b->corrected, b->corrected_room = wider(b->corrected_room), sizeof(*b->corrected));
	b->corrected[b->n_corrected++] = entry;
}

static uint32_t make_thing(struct account_book *b, struct entry *e, const struct account_fact *f)
{
	uint32_t thing = shelf_add(shelf_of(e, f->kind));
	if (b->n_names == b->names_room)
		b->names = xrealloc(b->names, b->names_room = wider(b->names_room), sizeof(*b->names));
	b->names[b->n_names] = (struct thing_name){ e->number, thing, f->kind, f->id };
	table_add(&b->things, thing_hash(e->number, f->kind, f->id), b->n_names++);
	if (f->kind == ACCOUNT_CORRECTION && thing == 0)
		note_corrected(b, e->number);
	e->account.n_things = e->things.n;
	e->account.things = e->things.list;
	e->account.n_corrections = e->corrections.n;
	e->account.corrections = e->corrections.list;
	return thing;
}

// The fact in its place, and how the thing stands now. What became of the fact.
static enum account_applied insert(struct account_history *x, struct account_thing *stand, const struct account_fact *f,
				   enum account_fault_code *ret_why)
{
	uint32_t at = x->n;
	if (x->n == x->room)
		x->facts = xrealloc(x->facts, x->room = x->room == 0 ? 1 : wider(x->room), sizeof(struct account_fact *));
	for (; at > 0 && account_fact_before(f, x->facts[at - 1]); at--)
		x->facts[at] = x->facts[at - 1];
	x->facts[at] = f;
	if (at == x->n++)
		return take(stand, f, ret_why);
	enum account_applied how = ACCOUNT_TAKEN, one;
	enum account_fault_code why;
	*stand = (struct account_thing){ .cancelled_month = MONTH_NONE };
	for (uint32_t i = 0; i < x->n; i++) {
		one = take(stand, x->facts[i], &why);
		if (i == at) {
			how = one;
			*ret_why = why;
		}
	}
	return how;
}

// A refused fact is kept, since as of another horizon it may be the one that holds; but not where the one that stands is visible
// whenever it is.
static bool never_matters(const struct account_thing *t, const struct account_fact *f)
{
	const struct account_fact *n = t->newest;
	return n != NULL && n->version >= f->version && n->partition == f->partition && n->stamp_ms <= f->stamp_ms;
}

static void refuse(struct account_fault *ret, enum account_fault_code why, const struct account_fact *f, const struct account_fact *newest)
{
	int n = snprintf(ret->detail, sizeof(ret->detail), "`%.*s` version %lld", (int)f->id.n, f->id.p, (long long)f->version);
	if (newest != NULL)
		snprintf(ret->detail + n, sizeof(ret->detail) - (size_t)n, "; known is version %lld of partition %d, offset %lld",
			 (long long)newest->version, newest->partition, (long long)newest->offset);
	ret->code = why;
}

// How many more services its account's packs name with this fact.
static uint32_t more_pack_services(struct entry *e, const struct thing_name *name, const struct account_fact *f)
{
	uint32_t before = name != NULL ? shelf_of(e, f->kind)->list[name->thing].pack_services : 0;
	return f->n_pack_services > before ? f->n_pack_services - before : 0;
}

static bool has_room(struct entry *e, const struct thing_name *name, const struct account_fact *f, enum account_fault_code *ret_why)
{
	*ret_why = ACCOUNT_FAULT_ACCOUNT_FULL;
	if (e != NULL && shelf_of(e, f->kind)->n_facts >= ACCOUNT_FACTS_MOST)
		return false;
	*ret_why = ACCOUNT_FAULT_PACKS_FULL;
	return (e != NULL ? e->account.pack_services : 0) + more_pack_services(e, name, f) <= ACCOUNT_PACKS_MOST;
}

// *ret_kept: the fact is in the book now, and must stay where it is.
static enum account_applied enter(struct account_book *b, struct span account, const struct account_fact *f, bool *ret_kept,
				  struct account_fault *ret_fault)
{
	struct entry *e = find_entry(b, account);
	const struct thing_name *name = e != NULL ? find_thing(b, e->number, f->kind, f->id) : NULL;
	const struct account_thing *stand = name != NULL ? &shelf_of(e, f->kind)->stand[name->thing] : NULL;
	const struct account_fact *newest = stand != NULL ? stand->newest : NULL;
	enum account_fault_code why;
	enum account_applied how = ACCOUNT_REFUSED;
	if (stand != NULL && never_matters(stand, f)) {
		how = judge(stand, f, &why);
	} else if (has_room(e, name, f, &why)) {
		uint32_t more = more_pack_services(e, name, f);
		if (e == NULL)
			e = make_entry(b, account);
		uint32_t thing = name != NULL ? name->thing : make_thing(b, e, f);
		struct shelf *s = shelf_of(e, f->kind);
		how = insert(&s->list[thing], &s->stand[thing], f, &why);
		s->list[thing].pack_services += more;
		e->account.pack_services += more;
		s->n_facts++;
		e->account.n_facts = e->things.n_facts;
		b->serial++;
		*ret_kept = true;
	}
	if (how == ACCOUNT_REFUSED)
		refuse(ret_fault, why, f, newest);
	return how;
}

enum account_applied account_book_apply(struct account_book *b, int32_t partition, int64_t offset, int64_t stamp_ms, struct span value,
					struct account_fault *ret_fault)
{
	struct partition *p = partition_of(b, partition);
	if (offset < p->next_offset)
		return ACCOUNT_REPEATED;
	p->next_offset = offset + 1;
	p->clock_ms = p->clock_ms > stamp_ms ? p->clock_ms : stamp_ms;
	struct arena_mark before = arena_mark(&b->arena);
	struct account_fact *f = arena_alloc(&b->arena, sizeof(*f));
	struct span account;
	bool kept = false;
	enum account_applied how = ACCOUNT_REFUSED;
	if (account_read(value, &b->arena, &account, f, ret_fault)) {
		f->partition = partition;
		f->offset = offset;
		f->stamp_ms = stamp_ms;
		f->clock_ms = p->clock_ms;
		how = enter(b, account, f, &kept, ret_fault);
	}
	if (!kept)
		arena_rewind(&b->arena, before);
	return how;
}

// --- the book -----------------------------------------------------------------------------------------------------------

struct account_book *account_book_new(void)
{
	return xcalloc(1, sizeof(struct account_book));
}

static void shelf_free(struct shelf *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->list[i].facts);
	free(s->list);
	free(s->stand);
}

void account_book_freep(struct account_book **pb)
{
	struct account_book *b = *pb;
	if (b == NULL)
		return;
	for (uint32_t i = 0; i < b->n_entries; i++) {
		shelf_free(&b->entries[i]->things);
		shelf_free(&b->entries[i]->corrections);
		free(b->entries[i]);
	}
	free(b->entries);
	free(b->corrected);
	free(b->names);
	free(b->partitions);
	free(b->accounts.slots);
	free(b->things.slots);
	arena_free(&b->arena);
	free(b);
	*pb = NULL;
}

const struct account *account_book_find(const struct account_book *b, struct span account)
{
	const struct entry *e = find_entry(b, account);
	return e != NULL ? &e->account : NULL;
}

uint32_t account_book_size(const struct account_book *b)
{
	return b->n_entries;
}

uint64_t account_book_serial(const struct account_book *b)
{
	return b->serial;
}

const struct account *account_book_at(const struct account_book *b, uint32_t i)
{
	check(i < b->n_entries);
	return &b->entries[i]->account;
}

uint32_t account_book_corrected(const struct account_book *b)
{
	return b->n_corrected;
}

const struct account *account_book_corrected_at(const struct account_book *b, uint32_t i)
{
	check(i < b->n_corrected);
	return &b->entries[b->corrected[i]]->account;
}
