// SPDX-License-Identifier: Apache-2.0
// The commit on the wire: one FCALL a shard and flush, pipelined. Order of words: see meterd.lua.
//
// A commit has one of three fates: a reply says what became of it; it never left this process (REFUSED: certainly not
// applied); or the connection broke after it was sent (UNKNOWN, with everything sent behind it).
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "store/redis.h"

enum { FIXED_KEYS = 8 };

struct group {
	int month, adjust;
	uint32_t n, first; // in `order`
};

// Deltas by group, groups in order of first mention.
struct grouping {
	struct group *group;
	uint32_t n_groups;
	uint32_t *order; // delta indexes, group after group
};

static uint32_t grouping_find(struct grouping *g, const struct commit_delta *d, uint32_t hint)
{
	if (hint < g->n_groups && g->group[hint].month == d->month && g->group[hint].adjust == d->adjust_month)
		return hint;
	for (uint32_t i = 0; i < g->n_groups; i++)
		if (g->group[i].month == d->month && g->group[i].adjust == d->adjust_month)
			return i;
	check(g->n_groups < COMMIT_GROUPS_MOST);
	g->group = xrealloc(g->group, g->n_groups + 1, sizeof(*g->group));
	g->group[g->n_groups] = (struct group){ .month = d->month, .adjust = d->adjust_month };
	return g->n_groups++;
}

static struct grouping grouping_make(const struct commit *c)
{
	struct grouping g = { 0 };
	uint32_t *of = xcalloc(c->n_deltas, sizeof(*of)), hint = 0;
	for (uint32_t i = 0; i < c->n_deltas; i++) {
		of[i] = hint = grouping_find(&g, &c->deltas[i], hint);
		g.group[hint].n++;
	}
	for (uint32_t i = 1; i < g.n_groups; i++)
		g.group[i].first = g.group[i - 1].first + g.group[i - 1].n;
	uint32_t *next = xcalloc(g.n_groups, sizeof(*next));
	g.order = xcalloc(c->n_deltas, sizeof(*g.order));
	for (uint32_t i = 0; i < c->n_deltas; i++)
		g.order[g.group[of[i]].first + next[of[i]]++] = i;
	free(next);
	free(of);
	return g;
}

static void grouping_free(struct grouping *g)
{
	free(g->group);
	free(g->order);
}

// An empty text, not nil.
static void pack_text_of(struct pack *p, struct span s)
{
	pack_text(p, s.p != NULL ? s : SPAN_LIT(""));
}

// Distinct things that the commit speaks of, by address, numbered from 1 in order of first use.
struct distinct {
	const void **list;
	uint32_t n, size, hint; // hint: what was asked for last; it is likely asked for again, or the one behind it
};

static uint32_t distinct_index(struct distinct *d, const void *want)
{
	for (uint32_t i = d->hint; i < d->n && i < d->hint + 2; i++)
		if (d->list[i] == want)
			return (d->hint = i) + 1;
	for (d->hint = 0; d->hint < d->n; d->hint++)
		if (d->list[d->hint] == want)
			return d->hint + 1;
	if (d->n == d->size) {
		d->size = d->size * 2 + 16;
		d->list = xrealloc(d->list, d->size, sizeof(*d->list));
	}
	d->list[d->n++] = want;
	return d->n;
}

// 0: none.
static uint32_t ladders_index(struct distinct *ladders, const struct ladder *want)
{
	return want != NULL && want->n > 0 ? distinct_index(ladders, want) : 0;
}

static void command_ladders(struct command *c, const struct distinct *ladders)
{
	uint32_t words = 5 * ladders->n;
	for (uint32_t i = 0; i < ladders->n; i++)
		words += 3 * ((const struct ladder *)ladders->list[i])->n;
	pack_array(&c->scratch, words);
	for (uint32_t i = 0; i < ladders->n; i++) {
		const struct ladder *l = ladders->list[i];
		pack_int(&c->scratch, l->n);
		pack_number_text(&c->scratch, l->origin.rules_version);
		pack_text_of(&c->scratch, l->origin.contract);
		pack_text_of(&c->scratch, l->origin.cause);
		pack_number_text(&c->scratch, l->origin.cause_ms);
		for (uint32_t k = 0; k < l->n; k++) {
			pack_int(&c->scratch, l->rungs[k].at);
			pack_int(&c->scratch, l->rungs[k].bound);
			pack_text(&c->scratch, span_of(alert_kind_text(l->rungs[k].kind)));
		}
	}
	command_pack(c);
}

static void command_part(struct command *c, const struct commit_part *p)
{
	char position[128], month[MONTH_TEXT];
	position_format(&p->to, position);
	command_span(c, p->name);
	command_span(c, p->token);
	command_int(c, p->from);
	command_format(c, "%s", position);
	pack_array(&c->scratch, 1 + OUTCOME_COUNT);
	pack_int(&c->scratch, p->consumed);
	for (int i = 0; i < OUTCOME_COUNT; i++)
		pack_int(&c->scratch, p->outcomes[i]);
	command_pack(c);
	char field[400];
	pack_array(&c->scratch, 2 * p->n_cuts);
	for (uint32_t i = 0; i < p->n_cuts; i++) {
		const char *m = p->cuts[i].month == MONTH_NONE ? "first" : month_text(p->cuts[i].month, month);
		snprintf(field, sizeof(field), "%s/%.*s", m, (int)p->name.n, p->name.p);
		pack_text(&c->scratch, span_of(field));
		pack_int(&c->scratch, p->cuts[i].offset);
	}
	command_pack(c);
	pack_array(&c->scratch, 3 * p->n_marks);
	for (uint32_t i = 0; i < p->n_marks; i++) {
		char clock[24] = "-";
		if (p->marks[i].clock_ms != TIME_NONE)
			snprintf(clock, sizeof(clock), "%lld", (long long)p->marks[i].clock_ms);
		snprintf(field, sizeof(field), "%.*s/%lld", (int)p->name.n, p->name.p, (long long)p->marks[i].offset);
		pack_text(&c->scratch, span_of(field));
		pack_text(&c->scratch, span_of(clock));
		snprintf(field, sizeof(field), "%.*s/%lld", (int)p->name.n, p->name.p, (long long)p->marks[i].drop);
		pack_text(&c->scratch, span_of(field));
	}
	command_pack(c);
}

static void pack_field(struct pack *p, const struct commit *commit, const struct commit_delta *d)
{
	struct span id = span_of(catalog_service_id(commit->catalog, d->service));
	size_t at = pack_text_begin(p);
	pack_bytes(p, d->account);
	pack_bytes(p, SPAN_LIT("/"));
	pack_bytes(p, id);
	pack_text_end(p, at);
}

// A call, flat: part, offset, time, calls, record stamp, id, source.
static void pack_call(struct pack *b, const struct commit *commit, const struct call_ref *r)
{
	uint32_t part = 0;
	while (commit->parts[part].part != r->part)
		check(++part < commit->n_parts);
	pack_int(b, part);
	pack_int(b, r->offset);
	pack_int(b, r->time_ms);
	pack_int(b, r->calls);
	pack_int(b, r->timestamp_ms);
	pack_text(b, r->id);
	pack_text(b, r->source);
}

// The list of a delta's calls.
static void pack_calls(struct pack *out, const struct commit *commit, const struct commit_delta *d)
{
	size_t at = pack_text_begin(out);
	pack_array(out, 7 * d->n_calls);
	uint32_t n = 0;
	for (const struct call_ref *r = d->first_call; r != NULL; r = r->next, n++)
		pack_call(out, commit, r);
	check(n == d->n_calls);
	pack_text_end(out, at);
}

static void pack_ladders(struct pack *p, struct distinct *ladders, const struct commit_delta *d)
{
	uint32_t plain = ladders_index(ladders, d->ladder);
	pack_u32(p, plain);
	pack_u32(p, d->ladder_first != NULL ? ladders_index(ladders, d->ladder_first) : plain);
}

static void command_group(struct command *c, const struct commit *commit, const struct grouping *g, uint32_t index, uint32_t key,
			  uint32_t fired_key, struct distinct *ladders)
{
	const struct group *group = &g->group[index];
	const uint32_t *order = g->order + group->first;
	char month[MONTH_TEXT];
	int bucket = group->adjust != MONTH_NONE ? group->adjust : group->month;
	command_int(c, key);
	command_format(c, "%s", month_text(group->month, month));
	command_int(c, bucket);
	command_int(c, fired_key);
	uint32_t with_calls = 0, activates = 0;
	pack_array(&c->scratch, group->n);
	for (uint32_t i = 0; i < group->n; i++)
		pack_field(&c->scratch, commit, &commit->deltas[order[i]]);
	command_pack(c);
	pack_array(&c->scratch, group->n);
	for (uint32_t i = 0; i < group->n; i++) {
		const struct commit_delta *d = &commit->deltas[order[i]];
		check(d->calls > 0);
		pack_int(&c->scratch, d->calls);
		with_calls += d->with_calls;
		activates += d->activates;
	}
	command_pack(c);
	for (uint32_t i = 0; i < group->n; i++)
		pack_ladders(&c->scratch, ladders, &commit->deltas[order[i]]);
	command_pack(c);
	pack_array(&c->scratch, activates);
	for (uint32_t i = 0; i < group->n; i++)
		if (commit->deltas[order[i]].activates)
			pack_int(&c->scratch, i + 1);
	command_pack(c);
	pack_array(&c->scratch, 2 * with_calls);
	for (uint32_t i = 0; i < group->n; i++) {
		if (!commit->deltas[order[i]].with_calls)
			continue;
		pack_int(&c->scratch, i + 1);
		pack_calls(&c->scratch, commit, &commit->deltas[order[i]]);
	}
	command_pack(c);
	command_format(c, "%s", month_text(bucket, month));
}

// ---- entries: what accounts take of their allowances

// What the commit says of allowances, and the months that it speaks of.
struct allowances {
	struct distinct all, looks;
	int first, last;     // months; last < first: none
};

static void allowances_month(struct allowances *a, int first, int last)
{
	a->first = first < a->first ? first : a->first;
	a->last = last > a->last ? last : a->last;
}

static uint32_t allowances_index(struct allowances *a, const struct allowance *want)
{
	uint32_t before = a->all.n, at = distinct_index(&a->all, want);
	if (at > before)
		allowances_month(a, want->months[0].month, want->months[want->n_months - 1].month);
	return at;
}

static uint32_t looks_index(struct allowances *a, const struct look_terms *want)
{
	uint32_t before = a->looks.n, at = distinct_index(&a->looks, want);
	for (uint32_t i = 0; at > before && i < want->n_months; i++)
		allowances_month(a, want->months[i].month, want->months[i].month);
	for (uint32_t i = 0; at > before && i < want->n_allowances; i++)
		allowances_index(a, want->allowances[i]);
	return at;
}

static struct allowances allowances_make(const struct commit *c)
{
	struct allowances a = { .first = INT32_MAX, .last = MONTH_NONE };
	for (uint32_t i = 0; i < c->n_entries; i++)
		allowances_index(&a, c->entries[i].allowance);
	for (uint32_t i = 0; i < c->n_accounts; i++)
		for (uint32_t k = 0; k < c->accounts[i].n_looks; k++)
			looks_index(&a, c->accounts[i].looks[k]);
	return a;
}

static void allowances_free(struct allowances *a)
{
	free(a->all.list);
	free(a->looks.list);
}

static uint32_t allowances_months(const struct allowances *a)
{
	return a->last >= a->first ? (uint32_t)(a->last - a->first + 1) : 0;
}

static void pack_month(struct pack *p, const struct allowance_month *m)
{
	pack_array(p, 3);
	pack_int(p, m->month);
	pack_array(p, m->n_services);
	for (uint32_t i = 0; i < m->n_services; i++) {
		const struct allowance_service *s = &m->services[i];
		pack_array(p, 5);
		pack_text(p, span_of(s->id));
		pack_int(p, s->quota);
		pack_int(p, s->quota_first);
		pack_int(p, s->shared + 1);
		pack_array(p, 2 * s->n_packs);
		for (uint32_t k = 0; k < s->n_packs; k++) {
			pack_int(p, s->packs[k] + 1);
			pack_int(p, s->pack_calls[k]);
		}
	}
	pack_array(p, m->n_shared);
	for (uint32_t i = 0; i < m->n_shared; i++) {
		pack_array(p, 2);
		pack_int(p, m->shared[i].calls);
		pack_int(p, m->shared[i].calls_first);
	}
}

static void pack_rung(struct pack *p, const struct allowance_rung *r)
{
	pack_array(p, 10);
	pack_text(p, span_of(quantity_text(r->of)));
	pack_int(p, r->month + 1);
	pack_int(p, r->index + 1);
	pack_int(p, r->at);
	pack_int(p, r->bound);
	pack_text(p, span_of(alert_kind_text(r->kind)));
	pack_text(p, span_of(r->service));
	pack_text_of(p, r->pack);
	pack_text_of(p, r->contract);
	pack_int(p, r->not_first);
}

static void pack_allowance(struct pack *p, const struct allowance *a)
{
	pack_array(p, 6);
	pack_int(p, a->origin.rules_version);
	pack_text_of(p, a->origin.cause);
	pack_int(p, a->origin.cause_ms);
	pack_array(p, a->n_months);
	for (uint32_t i = 0; i < a->n_months; i++)
		pack_month(p, &a->months[i]);
	pack_array(p, a->n_packs);
	for (uint32_t i = 0; i < a->n_packs; i++) {
		pack_array(p, 2);
		pack_text(p, a->packs[i].id);
		pack_int(p, a->packs[i].calls);
	}
	pack_array(p, a->n_rungs);
	for (uint32_t i = 0; i < a->n_rungs; i++)
		pack_rung(p, &a->rungs[i]);
}

// The calls of an entry, flat: month, service, then as in a delta.
static void pack_entry_calls(struct pack *out, const struct commit *commit, const struct commit_entry *e)
{
	size_t at = pack_text_begin(out);
	uint32_t n = 0;
	pack_array(out, 9 * e->n_calls);
	for (const struct entry_call *k = e->first_call; k != NULL; k = k->next, n++) {
		pack_int(out, k->month + 1);
		pack_int(out, k->service + 1);
		pack_call(out, commit, k->ref);
	}
	check(n == e->n_calls);
	pack_text_end(out, at);
}

static void pack_entry(struct pack *p, const struct commit *commit, const struct commit_entry *e, uint32_t allowance)
{
	pack_array(p, 5);
	pack_text(p, e->account);
	pack_int(p, allowance);
	pack_int(p, e->look);
	pack_array(p, 3 * e->n_deltas);
	for (uint32_t i = 0; i < e->n_deltas; i++) {
		pack_int(p, e->deltas[i].month + 1);
		pack_int(p, e->deltas[i].service + 1);
		pack_int(p, e->deltas[i].calls);
	}
	if (e->with_calls)
		pack_entry_calls(p, commit, e);
	else
		pack_text(p, (struct span){ 0 });
}

static void pack_look(struct pack *p, const struct commit *commit, const struct look_terms *l, struct allowances *a, struct distinct *ladders)
{
	pack_array(p, 3);
	pack_int(p, l->change_ms);
	pack_array(p, 2 * l->n_months);
	for (uint32_t i = 0; i < l->n_months; i++) {
		const struct look_month *m = &l->months[i];
		pack_int(p, m->month);
		pack_array(p, 3 * m->n_rows);
		for (uint32_t k = 0; k < m->n_rows; k++) {
			const struct look_row *r = &m->rows[k];
			uint32_t plain = ladders_index(ladders, r->ladder);
			pack_text(p, span_of(catalog_service_id(commit->catalog, r->service)));
			pack_int(p, plain);
			pack_int(p, r->ladder_first != NULL ? ladders_index(ladders, r->ladder_first) : plain);
		}
	}
	pack_array(p, l->n_allowances);
	for (uint32_t i = 0; i < l->n_allowances; i++)
		pack_int(p, allowances_index(a, l->allowances[i]));
}

static void pack_commit_account(struct pack *p, const struct commit_account *account, struct allowances *a)
{
	pack_array(p, 4);
	pack_text(p, account->account);
	pack_int(p, account->change_ms);
	if (account->n_looks > 0)
		pack_int(p, account->since_ms);
	else
		pack_text(p, (struct span){ 0 });
	pack_array(p, account->n_looks);
	for (uint32_t i = 0; i < account->n_looks; i++)
		pack_int(p, looks_index(a, account->looks[i]));
}

static void command_looks(struct command *c, const struct commit *commit, struct allowances *a, struct distinct *ladders)
{
	const struct commit_pass *pass = commit->pass;
	pack_array(&c->scratch, commit->n_accounts);
	for (uint32_t i = 0; i < commit->n_accounts; i++)
		pack_commit_account(&c->scratch, &commit->accounts[i], a);
	command_pack(c);
	pack_array(&c->scratch, a->looks.n);
	for (uint32_t i = 0; i < a->looks.n; i++)
		pack_look(&c->scratch, commit, a->looks.list[i], a, ladders);
	command_pack(c);
	if (pass == NULL) {
		pack_text(&c->scratch, (struct span){ 0 });
	} else {
		pack_array(&c->scratch, 3 + pass->n_parts);
		pack_text(&c->scratch, pass->before != NULL ? span_of(pass->before) : SPAN_LIT(""));
		pack_text(&c->scratch, span_of(pass->after));
		pack_int(&c->scratch, pass->change_ms);
		for (uint32_t i = 0; i < pass->n_parts; i++)
			pack_text(&c->scratch, pass->parts[i]);
	}
	command_pack(c);
}

static void command_entries(struct command *c, const struct commit *commit, struct allowances *a, uint32_t first_key)
{
	pack_array(&c->scratch, a->all.n);
	for (uint32_t i = 0; i < a->all.n; i++)
		pack_allowance(&c->scratch, a->all.list[i]);
	command_pack(c);
	pack_array(&c->scratch, commit->n_entries);
	for (uint32_t i = 0; i < commit->n_entries; i++)
		pack_entry(&c->scratch, commit, &commit->entries[i], allowances_index(a, commit->entries[i].allowance));
	command_pack(c);
	uint32_t n = allowances_months(a);
	char month[MONTH_TEXT];
	pack_array(&c->scratch, 4 * n);
	for (uint32_t i = 0; i < n; i++) {
		pack_int(&c->scratch, a->first + (int)i);
		pack_text(&c->scratch, span_of(month_text(a->first + (int)i, month)));
		pack_int(&c->scratch, first_key + 2 * i);
		pack_int(&c->scratch, first_key + 2 * i + 1);
	}
	command_pack(c);
}

static void command_month_keys(struct store_redis *s, const struct commit *commit, int month)
{
	char key[KEY_LENGTH];
	command_format(&s->command, "%s", redis_key(s, key, commit->shard, "use", month, MONTH_NONE));
	command_format(&s->command, "%s", redis_key(s, key, commit->shard, "fired", month, MONTH_NONE));
}

static void command_keys(struct store_redis *s, const struct commit *commit, const struct grouping *g, const struct allowances *a)
{
	static const char *const fixed[FIXED_KEYS] = { "meta", "off", "led", "out", "act", "cut", "clk", "lk" };
	char key[KEY_LENGTH];
	for (int i = 0; i < FIXED_KEYS; i++)
		command_format(&s->command, "%s", redis_key(s, key, commit->shard, fixed[i], MONTH_NONE, MONTH_NONE));
	for (uint32_t i = 0; i < g->n_groups; i++) {
		const struct group *group = &g->group[i];
		if (group->adjust != MONTH_NONE) {
			command_format(&s->command, "%s", redis_key(s, key, commit->shard, "late", group->month, group->adjust));
			continue;
		}
		command_month_keys(s, commit, group->month);
	}
	for (uint32_t i = 0; i < allowances_months(a); i++)
		command_month_keys(s, commit, a->first + (int)i);
}

static void command_commit(struct store_redis *s, const struct commit *commit)
{
	struct grouping g = grouping_make(commit);
	struct allowances allowances = allowances_make(commit);
	struct distinct ladders = { 0 };
	int keys = FIXED_KEYS + 2 * (int)allowances_months(&allowances);
	for (uint32_t i = 0; i < g.n_groups; i++)
		keys += g.group[i].adjust != MONTH_NONE ? 1 : 2;
	redis_fcall(s, "commit", keys);
	command_keys(s, commit, &g, &allowances);
	command_text(&s->command, s->init_id);
	command_text(&s->command, s->generation);
	command_int(&s->command, commit->rules_version);
	command_int(&s->command, commit->n_parts);
	command_int(&s->command, g.n_groups);
	int ladders_at = s->command.n;
	command_text(&s->command, "");
	uint32_t key = FIXED_KEYS + 1, allowance_key = key;
	for (uint32_t i = 0; i < g.n_groups; i++)
		allowance_key += g.group[i].adjust != MONTH_NONE ? 1 : 2;
	command_entries(&s->command, commit, &allowances, allowance_key);
	command_looks(&s->command, commit, &allowances, &ladders);
	for (uint32_t i = 0; i < commit->n_parts; i++)
		command_part(&s->command, &commit->parts[i]);
	for (uint32_t i = 0; i < g.n_groups; i++) {
		bool late = g.group[i].adjust != MONTH_NONE;
		command_group(&s->command, commit, &g, i, key, late ? 0 : key + 1, &ladders);
		key += late ? 1 : 2;
	}
	// The ladders are known only now; their word stands before the groups.
	command_ladders(&s->command, &ladders);
	s->command.n--;
	s->command.word[ladders_at] = s->command.word[s->command.n];
	s->command.length[ladders_at] = s->command.length[s->command.n];
	command_int(&s->command, commit->read_ms);
	free(ladders.list);
	allowances_free(&allowances);
	grouping_free(&g);
}

static struct pending *pending_push(struct store_redis *s, struct commit *c)
{
	if (s->first_pending + s->n_pending == s->size_pending) {
		if (s->n_pending > 0)
			memmove(s->pending, s->pending + s->first_pending, s->n_pending * sizeof(*s->pending));
		s->first_pending = 0;
		if (s->n_pending == s->size_pending) {
			s->size_pending = s->size_pending * 2 + 64;
			s->pending = xrealloc(s->pending, s->size_pending, sizeof(*s->pending));
		}
	}
	struct pending *p = &s->pending[s->first_pending + s->n_pending++];
	*p = (struct pending){ .commit = c, .sent_us = clock_mono_us() };
	return p;
}

// Before the first commit after a quiet time: a server that hung up meanwhile is met here, when nothing is at stake.
static bool redis_connect_idle(struct store_redis *s)
{
	if (s->c != NULL) {
		struct pollfd p = { .fd = s->c->fd, .events = POLLIN };
		if (poll(&p, 1, 0) != 0)
			redis_disconnect(s); // nothing is awaited: it can only be an end of file
	}
	if (redis_connect(s, NULL) != ERROR_NONE)
		return false;
	if (s->functions_missing && redis_load_functions(s, NULL) != ERROR_NONE)
		return false;
	s->functions_missing = false;
	return true;
}

// Every commit of a flush asks whether its sender is informed: the first one is held back on the connection that it made, and those behind it find
// that connection as it is.
static bool redis_ready_to_send(struct store_redis *s)
{
	bool connected = s->n_pending > 0 ? s->c != NULL && s->c->err == 0 : redis_connect_idle(s);
	return connected && (s->informed == 0 || s->informed == s->sessions);
}

void redis_commit_send(struct store *port, struct commit *c)
{
	struct store_redis *s = redis_of(port);
	check(s->init_id[0] != '\0');
	bool ready = redis_ready_to_send(s);
	struct pending *p = pending_push(s, c);
	p->unsent = !ready;
	if (!ready)
		return;
	command_commit(s, c);
	redisAppendCommandArgv(s->c, s->command.n, s->command.word, s->command.length);
	int done = 0;
	while (!done && redisBufferWrite(s->c, &done) == REDIS_OK)
		;
}

static bool result_slacks(const struct commit *c, struct span text)
{
	if (text.p == NULL || c->n_entries == 0)
		return text.p != NULL && text.n == 0;
	size_t at = 0;
	uint32_t i = 0;
	for (; i < c->n_entries && at <= text.n; i++) {
		const char *comma = memchr(text.p + at, ',', text.n - at);
		size_t end = comma != NULL ? (size_t)(comma - text.p) : text.n;
		if (!span_int64((struct span){ text.p + at, end - at }, &c->entries[i].slack))
			break;
		at = end + 1;
	}
	return i == c->n_entries && at == text.n + 1;
}

static bool result_totals(const struct commit *c, struct span text)
{
	if (text.p == NULL || c->n_deltas == 0)
		return text.p != NULL && text.n == 0;
	// Back into the order of the caller's deltas: the grouping is a function of the commit.
	struct grouping g = grouping_make(c);
	size_t at = 0;
	uint32_t i = 0;
	for (; i < c->n_deltas && at <= text.n; i++) {
		struct commit_delta *d = &c->deltas[g.order[i]];
		const char *comma = memchr(text.p + at, ',', text.n - at);
		size_t end = comma != NULL ? (size_t)(comma - text.p) : text.n;
		if (!span_int64((struct span){ text.p + at, end - at }, &d->total) || d->total < d->calls)
			break;
		at = end + 1;
	}
	grouping_free(&g);
	return i == c->n_deltas && at == text.n + 1;
}

// Numbers joined by commas, each below `most`; *ret_list is to be freed.
static bool result_indexes(struct span text, uint32_t most, uint32_t **ret_list, uint32_t *ret_n)
{
	uint32_t *list = xcalloc(most + 1, sizeof(*list)), n = 0;
	size_t at = 0;
	bool good = true;
	while (good && text.n > 0 && at <= text.n) {
		const char *comma = memchr(text.p + at, ',', text.n - at);
		size_t end = comma != NULL ? (size_t)(comma - text.p) : text.n;
		int64_t index = 0;
		good = n < most && span_int64((struct span){ text.p + at, end - at }, &index) && index >= 0 && index < most;
		if (good)
			list[n++] = (uint32_t)index;
		at = end + 1;
	}
	*ret_list = list;
	*ret_n = n;
	return good;
}

// "index:up to which change the shard has looked", joined by commas.
static bool result_behind(const struct commit *c, struct span text)
{
	uint32_t n = 0;
	for (size_t at = 0; text.p != NULL && at < text.n; n++) {
		const char *comma = memchr(text.p + at, ',', text.n - at);
		size_t end = comma != NULL ? (size_t)(comma - text.p) : text.n;
		const char *colon = memchr(text.p + at, ':', end - at);
		int64_t index = 0, since_ms = 0;
		if (colon == NULL || !span_int64((struct span){ text.p + at, (size_t)(colon - text.p) - at }, &index) || index < 0 ||
		    index >= c->n_accounts || !span_int64((struct span){ colon + 1, (size_t)(text.p + end - colon) - 1 }, &since_ms))
			return false;
		c->accounts[index].behind = true;
		c->accounts[index].since_ms = since_ms;
		at = end + 1;
	}
	return n > 0;
}

static bool result_lists(const struct commit *c, struct span deltas, struct span entries)
{
	CLEANUP(freep) uint32_t *of_deltas = NULL;
	CLEANUP(freep) uint32_t *of_entries = NULL;
	uint32_t n_deltas = 0, n_entries = 0;
	if (!result_indexes(deltas, c->n_deltas, &of_deltas, &n_deltas) || !result_indexes(entries, c->n_entries, &of_entries, &n_entries) ||
	    n_deltas + n_entries == 0)
		return false;
	struct grouping g = grouping_make(c);
	for (uint32_t i = 0; i < n_deltas; i++)
		c->deltas[g.order[of_deltas[i]]].with_calls = true;
	for (uint32_t i = 0; i < n_entries; i++)
		c->entries[of_entries[i]].with_calls = true;
	grouping_free(&g);
	return true;
}

static void result_of_words(const struct commit *c, const redisReply *r, struct commit_result *ret)
{
	static const struct {
		const char *word;
		enum commit_status status;
	} words[] = { { "OK", COMMIT_DONE }, { "NEEDLIST", COMMIT_NEEDLIST }, { "NEEDLOOK", COMMIT_NEEDLOOK }, { "FOREIGN", COMMIT_FOREIGN },
		      { "ROLLBACK", COMMIT_ROLLBACK }, { "LOST", COMMIT_LOST }, { "RETIRED", COMMIT_RETIRED },
		      { "SCHEMA", COMMIT_RETIRED }, // whoever starts over meets it again at its claim, and ends
		      { "OLDRULES", COMMIT_OLD_RULES }, { "HALT", COMMIT_HALT } };
	struct span word = reply_span(r->element[0]), second = reply_span(r->element[1]);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_is(word, words[i].word))
			ret->status = words[i].status;
	int64_t alerts = 0;
	if (ret->status == COMMIT_DONE) {
		if (r->elements != 4 || !span_int64(second, &alerts) || alerts < 0 || alerts > UINT32_MAX ||
		    !result_totals(c, reply_span(r->element[2])) || !result_slacks(c, reply_span(r->element[3])))
			// Applied, but what came back cannot be read: as good as no answer.
			ret->status = COMMIT_UNKNOWN;
		ret->alerts = (uint32_t)alerts;
	} else if (ret->status == COMMIT_NEEDLIST && (r->elements != 3 || !result_lists(c, second, reply_span(r->element[2])))) {
		ret->status = COMMIT_HALT;
	} else if (ret->status == COMMIT_NEEDLOOK && !result_behind(c, second)) {
		ret->status = COMMIT_HALT;
	}
	if (ret->status != COMMIT_DONE)
		snprintf(ret->text, sizeof(ret->text), "%.*s", (int)second.n, second.p);
}

static void result_of_reply(struct store_redis *s, const struct commit *c, const redisReply *r, struct commit_result *ret)
{
	ret->status = COMMIT_HALT;
	if (r->type == REDIS_REPLY_ERROR) {
		ret->status = redis_error_rank(r->str);
		snprintf(ret->text, sizeof(ret->text), "%s", r->str);
		if (ret->status == COMMIT_LOST) { // the function is missing, not (or not yet known to be) the state
			s->functions_missing = true;
			ret->status = COMMIT_REFUSED;
		}
		return;
	}
	if (r->type == REDIS_REPLY_ARRAY && r->elements >= 2)
		result_of_words(c, r, ret);
	else
		snprintf(ret->text, sizeof(ret->text), "the commit function answered in a form that is not known");
}

static bool redis_wait_readable(struct store_redis *s, int timeout_ms)
{
	struct pollfd p = { .fd = s->c->fd, .events = POLLIN };
	int n;
	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

// A reply that is there or comes in time; NULL with c->err set when the connection broke.
static redisReply *redis_next_reply(struct store_redis *s, int timeout_ms)
{
	void *r = NULL;
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;
	while (redisGetReplyFromReader(s->c, &r) == REDIS_OK && r == NULL) {
		int64_t left = (until - clock_mono_us() + 999) / 1000; // up: a wait for the store's time-out ends past it
		if (!redis_wait_readable(s, left > 0 ? (int)left : 0) || redisBufferRead(s->c) != REDIS_OK)
			break;
	}
	return r;
}

bool redis_commit_receive(struct store *port, int timeout_ms, struct commit_result *ret)
{
	struct store_redis *s = redis_of(port);
	if (s->n_pending == 0)
		return false;
	struct pending *p = &s->pending[s->first_pending];
	*ret = (struct commit_result){ .tag = p->commit->tag, .shard = p->commit->shard };
	CLEANUP(redis_reply_freep) redisReply *r = NULL;
	if (p->unsent) {
		ret->status = COMMIT_REFUSED;
		snprintf(ret->text, sizeof(ret->text), "redis at %s is %s", s->name, s->c != NULL && s->c->err == 0 ? "connected anew" : "away");
	} else {
		if (s->c != NULL && s->c->err == 0)
			r = redis_next_reply(s, timeout_ms);
		bool broken = s->c == NULL || s->c->err != 0;
		bool late = clock_mono_us() - p->sent_us >= (int64_t)s->o.timeout_ms * 1000;
		if (r == NULL && !broken && !late)
			return false;
		if (r != NULL) {
			result_of_reply(s, p->commit, r, ret);
		} else {
			ret->status = COMMIT_UNKNOWN;
			snprintf(ret->text, sizeof(ret->text), "redis at %s: %s", s->name,
				 broken ? "the connection broke" : "no answer in time");
			redis_disconnect(s);
		}
	}
	s->first_pending++;
	if (--s->n_pending == 0)
		s->first_pending = 0;
	return true;
}
