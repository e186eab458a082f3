// SPDX-License-Identifier: Apache-2.0
// Is what a person was told about closed months, and said, what the log says? Each record that was left out has been there for the clock and for nothing
// else: so the log is read once more, by the question. A correction must name just the lines that come out otherwise, and say what they are.
#include "audit.h"
#include "base/check.h"

static bool in_range(const struct sim_question *q, const struct sim_record *e)
{
	return e->stamp_ms >= q->from_ms && e->stamp_ms < q->to_ms && e->offset >= q->from_offset;
}

static bool is_left_out(const struct sim_question *q, const struct audit_read *r, bool rejected)
{
	const struct sim_record *e = &r->e;
	if (!in_range(q, e))
		return false;
	return q->partition == e->partition || (!rejected && q->producer >= 0 && sim_is_cloud(e->id) == (q->producer == 1));
}

static bool is_billable(const struct sim_question *q, const struct audit_read *r, int book)
{
	if (q->codes != 0 && in_range(q, &r->e))
		return (q->codes & (r->e.billable ? 1u : 2u)) != 0;
	return r->e.billable || book == 1;
}

static void count(const struct audit_read *r, int service)
{
	int month = audit_month(r->e.time_ms);
	struct cell *c = &audit->cells[r->e.account][service][month];
	for (int m = month >= r->open ? month : r->open; m < MONTHS; m++)
		if (month < audit->active_by[r->e.account][m])
			audit->active_by[r->e.account][m] = month;
	if (month >= r->open)
		c->calls += r->e.calls;
	else
		c->late[r->open] += r->e.calls;
}

static void read_again(const struct sim_question *q, const struct audit_read *list, size_t n)
{
	struct reading seen[SIM_PARTITIONS_MOST];
	for (int32_t p = 0; p < SIM_PARTITIONS_MOST; p++)
		seen[p] = (struct reading){ .seen = xcalloc(n + 1, sizeof(*seen[p].seen)) };
	for (size_t i = 0; i < n; i++) {
		const struct audit_read *r = &list[i];
		int book = audit_book(r->clock_ms);
		bool rejected = audit_rejected(&r->e, book);
		if (is_left_out(q, r, rejected) || rejected)
			continue;
		struct reading *of = &seen[r->e.partition];
		of->clock_ms = r->clock_ms;
		bool again = audit_duplicate(of, &r->e);
		of->seen[of->n++] = (struct seen){ r->e.id, r->e.offset, r->clock_ms };
		if (!again && !r->taken && is_billable(q, r, book))
			count(r, audit_service_in(&r->e, book));
	}
	for (int32_t p = 0; p < SIM_PARTITIONS_MOST; p++)
		free(seen[p].seen);
}

// ---- lines as they are, as they were never corrected, and as they would be
enum { AS_IS, BARE, OTHERWISE, WAYS };
struct answer {
	const struct sim_question *q;
	int after;
	struct account_life *ways[WAYS][SIM_ACCOUNTS];
};

static void live(struct answer *a, int way)
{
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		a->ways[way][i] = audit_live(i, a->after, way == AS_IS);
}

static void answer_open(struct answer *a)
{
	struct audit *had = audit, *other = xcalloc(1, sizeof(*other));
	live(a, AS_IS);
	live(a, BARE);
	other->decided = had->decided;
	other->first = had->first;
	other->last = had->last;
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		for (int m = 0; m < MONTHS; m++)
			other->active_by[i][m] = MONTHS;
	audit = other;
	read_again(a->q, had->reads, had->n_reads);
	live(a, OTHERWISE);
	audit = had;
	free(other);
}

static void answer_free(struct answer *a)
{
	for (int way = 0; way < WAYS; way++)
		for (int i = 0; i < SIM_ACCOUNTS; i++)
			free(a->ways[way][i]);
}

static bool differ(const struct month_line *x, const struct month_line *y)
{
	return x->calls != y->calls || x->free != y->free || x->billable != y->billable || x->charge != y->charge || x->price != y->price ||
	       memcmp(x->packs, y->packs, sizeof(x->packs)) != 0;
}

static bool is_asked(const struct answer *a, int account, int service, int month)
{
	const struct month_line *is = &a->ways[AS_IS][account]->lines[service][month], *bare = &a->ways[BARE][account]->lines[service][month];
	const struct month_line *other = &a->ways[OTHERWISE][account]->lines[service][month];
	return audit_was_closed(month) && differ(is, other) && (a->q->undo || differ(bare, other)) && (a->q->account < 0 || a->q->account == account);
}

static bool says(const struct audit_side *s, const struct month_line *x)
{
	struct month_line l = { .calls = s->calls, .free = s->free, .billable = s->billable, .charge = s->charge, .price = s->price };
	memcpy(l.packs, s->packs, sizeof(l.packs));
	return !differ(&l, x);
}

static void check_account(const struct answer *a, int account, const struct audit_correction *c)
{
	uint32_t n = 0;
	for (int m = 0; m <= a->after; m++)
		for (int s = 0; s < SERVICES; s++)
			n += is_asked(a, account, s, m);
	if (n != (c != NULL ? c->n : 0))
		wrong("correction %s of a%d has %u lines, the log says %u", a->q->id, account, c != NULL ? c->n : 0, n);
	for (uint32_t i = 0; c != NULL && i < c->n; i++) {
		const struct audit_changed *l = &c->lines[i];
		if (l->month > a->after || l->service < 0 || !is_asked(a, account, l->service, l->month)) {
			wrong("correction %s of a%d: its line %u, in month %d, is not what was asked", c->id, account, i, l->month);
			continue;
		}
		const struct month_line *is = &a->ways[AS_IS][account]->lines[l->service][l->month];
		const struct month_line *other = &a->ways[OTHERWISE][account]->lines[l->service][l->month];
		if (l->was.revision != is->revision || !says(&l->was, is) || !says(&l->becomes, other))
			wrong("correction %s of a%d, %s in month %d: revision %lld, calls %lld -> %lld, charge %lld -> %lld; the log says %d, %lld -> %lld, %lld -> %lld", c->id,
			      account, audit_services[l->service], l->month, (long long)l->was.revision, (long long)l->was.calls, (long long)l->becomes.calls,
			      (long long)l->was.charge, (long long)l->becomes.charge, is->revision, (long long)is->calls, (long long)other->calls,
			      (long long)is->charge, (long long)other->charge);
	}
}

void audit_answers(void)
{
	for (uint32_t i = 0; i < sim->n_questions; i++) {
		struct answer a = { .q = &sim->questions[i], .after = -1 };
		const struct audit_correction *of[SIM_ACCOUNTS] = { NULL };
		for (int account = 0; account < SIM_ACCOUNTS; account++) {
			of[account] = audit_correction(account, a.q->id);
			a.after = of[account] != NULL ? of[account]->after : a.after;
		}
		if (a.after < 0)
			continue; // it was never said
		answer_open(&a);
		for (int account = 0; account < SIM_ACCOUNTS; account++)
			check_account(&a, account, of[account]);
		answer_free(&a);
	}
}
