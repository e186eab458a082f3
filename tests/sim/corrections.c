// SPDX-License-Identifier: Apache-2.0
// What each close must make of the corrections in the accounts topic, whoever wrote them there: read from the topic as it is, by account.h's words,
// with another reader than the product's. A correction is made whole with the close behind the one that it names, one of an account, where each of
// its lines stands as it says and packs hold what they would give; else nothing of it ever is.
#include "audit.h"
#include "base/check.h"

__extension__ typedef __int128 wide;
static const int64_t fen_most = INT64_C(100000000000000), number_most = INT64_C(9007199254740991);

static struct audit_correction *all;
static size_t n_all;

// ---- reading them
static bool read_side(const json_t *j, struct audit_side *s)
{
	const json_t *pack, *list = json_object_get(j, "packs");
	size_t i;
	int64_t sum = 0;
	*s = (struct audit_side){ .revision = -1 };
	if (j == NULL)
		return true;
	if (json_object_get(j, "revision") != NULL)
		s->revision = audit_number(j, "revision");
	s->calls = audit_number(j, "calls");
	s->free = audit_number(j, "free");
	s->billable = audit_number(j, "billable");
	s->charge = audit_fen(j, "charge");
	s->price = audit_price_in(j);
	json_array_foreach(list, i, pack) {
		int p = -1;
		if (sscanf(audit_text(pack, "id"), "p%d", &p) != 1 || p < 0 || p >= SIM_PACKS || s->packs[p] != 0 || audit_number(pack, "calls") < 1)
			return false;
		s->packs[p] += audit_number(pack, "calls");
		sum += s->packs[p];
	}
	return s->calls <= number_most && s->free + s->billable + sum == s->calls && s->charge >= 0 && s->charge <= fen_most;
}

static bool same(const struct audit_side *a, const struct audit_side *b)
{
	return a->calls == b->calls && a->free == b->free && a->billable == b->billable && a->charge == b->charge && a->price == b->price &&
	       memcmp(a->packs, b->packs, sizeof(a->packs)) == 0;
}

static bool read_lines(const json_t *list, struct audit_correction *c)
{
	const json_t *j;
	size_t i;
	c->lines = xcalloc(json_array_size(list) + 1, sizeof(*c->lines));
	json_array_foreach(list, i, j) {
		struct audit_changed *l = &c->lines[c->n++];
		l->month = audit_month_text(audit_text(j, "period"));
		l->service = audit_service(audit_text(j, "service"));
		if (!read_side(json_object_get(j, "was"), &l->was) || !read_side(json_object_get(j, "becomes"), &l->becomes) || same(&l->was, &l->becomes))
			return false; // it says nothing, or what does not add up
	}
	return true;
}

const struct audit_correction *audit_correction(int account, const char *id)
{
	for (size_t i = 0; i < n_all; i++)
		if (all[i].account == account && strcmp(all[i].id, id) == 0)
			return &all[i];
	return NULL;
}

static void take(const struct fake_message *m, int64_t clock_ms)
{
	json_t *j = json_loadb(m->value, m->value_n, 0, NULL);
	check(j != NULL);
	if (strcmp(audit_text(j, "type"), "correction") == 0) {
		struct audit_correction c = { .account = audit_text(j, "account")[1] - '0', .partition = m->partition, .offset = m->offset, .clock_ms = clock_ms,
					      .after = audit_month_text(audit_text(j, "after")) };
		snprintf(c.id, sizeof(c.id), "%s", audit_text(j, "id"));
		if (read_lines(json_object_get(j, "lines"), &c) && audit_correction(c.account, c.id) == NULL) {
			all = xrealloc(all, n_all + 1, sizeof(*all));
			all[n_all++] = c;
		}
	}
	json_decref(j);
}

static int by_clock(const void *a, const void *b)
{
	const struct audit_correction *x = a, *y = b;
	if (x->clock_ms != y->clock_ms)
		return x->clock_ms < y->clock_ms ? -1 : 1;
	if (x->partition != y->partition)
		return x->partition - y->partition;
	return x->offset < y->offset ? -1 : 1;
}

void audit_corrections_read(void)
{
	n_all = 0;
	for (int32_t p = 0; p < 2; p++) {
		const struct fake_log *l = fake_log(&sim->kafka, "meterd.accounts", p);
		int64_t clock_ms = INT64_MIN;
		for (size_t i = 0; i < l->n; i++) {
			clock_ms = l->list[i].timestamp_ms > clock_ms ? l->list[i].timestamp_ms : clock_ms;
			take(&l->list[i], clock_ms);
		}
	}
	if (n_all > 0)
		qsort(all, n_all, sizeof(*all), by_clock);
	sim->coverage->corrections += n_all;
}

// ---- what becomes of them
static bool stands(const struct month_line *x, const struct audit_side *was)
{
	if (x->revision < 0 || was->revision < 0)
		return x->revision < 0 && was->revision < 0;
	return x->revision == was->revision && x->calls == was->calls && x->free == was->free && x->billable == was->billable && x->charge == was->charge &&
	       x->price == was->price &&
	       memcmp(x->packs, was->packs, sizeof(x->packs)) == 0;
}

static bool within(wide fen)
{
	return fen >= -fen_most && fen <= fen_most;
}

// What prices make of it: the month's own, or those that come with it; and late calls may bring all its calls to these.
static bool is_priced(int account, const struct audit_changed *l)
{
	struct frame f = audit_frame(l->month, l->month);
	const struct audit_side *s = &l->becomes;
	bool priced = s->calls > 0 && (l->month >= FIRST_PRICED || s->price > 0);
	return s->charge == (priced ? audit_price(&f, account, l->service, s->price, s->calls, s->billable) : 0) && within((wide)s->calls * s->price * 100);
}

static bool line_fits(const struct account_life *of, const struct audit_changed *l, int closing)
{
	if (l->month >= closing || !audit_was_closed(l->month) || l->service < 0)
		return false;
	const struct month_line *x = &of->lines[l->service][l->month];
	return stands(x, &l->was) && is_priced(of->account, l) && within((wide)l->becomes.charge - x->charge);
}

// Calls that the pack holds, as the months that are corrected know it.
static int64_t pack_holds(const struct audit_correction *c, int pack)
{
	int64_t most = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		struct frame f = audit_frame(c->lines[i].month, c->lines[i].month);
		struct sim_fact said;
		if (said_pack(c->account, pack, c->lines[i].month, f.said, &said) && said.calls > most)
			most = said.calls;
	}
	return most;
}

static bool packs_fit(const struct account_life *of, const struct audit_correction *c)
{
	for (int p = 0; p < SIM_PACKS; p++) {
		int64_t more = 0;
		for (uint32_t i = 0; i < c->n; i++)
			more += c->lines[i].becomes.packs[p] - c->lines[i].was.packs[p];
		int64_t used = of->taken[p] + more;
		if (used < 0 || (more > 0 && used > pack_holds(c, p)))
			return false;
	}
	return true;
}

static bool fits(const struct account_life *of, const struct audit_correction *c, int closing)
{
	wide sum = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		if (!line_fits(of, &c->lines[i], closing))
			return false;
		sum += c->lines[i].becomes.charge - c->lines[i].was.charge;
	}
	return within(sum) && packs_fit(of, c);
}

static void make(struct account_life *of, const struct audit_correction *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct audit_changed *l = &c->lines[i];
		const struct audit_side *s = &l->becomes;
		struct month_line *x = &of->lines[l->service][l->month], before = *x;
		*x = (struct month_line){ .calls = s->calls, .free = s->free, .billable = s->billable, .charge = s->charge, .price = s->price,
					  .revision = before.revision < 0 ? 1 : before.revision + 1 };
		snprintf(x->corrected, sizeof(x->corrected), "%s", c->id);
		memcpy(x->packs, s->packs, sizeof(x->packs));
		for (int p = 0; p < SIM_PACKS; p++)
			of->taken[p] += s->packs[p] - before.packs[p];
		audit_expect(of, l->service, l->month, x->charge - before.charge, c->id);
	}
}

static void note(const struct audit_correction *c, int closing, bool good)
{
	if (!audit->expecting)
		return;
	sim_say("correction %s of a%d, after month %d, %u lines, with the close of month %d: %s", c->id, c->account, c->after, c->n, closing,
		good ? "made" : "passed over");
	sim->coverage->corrected += good;
	sim->coverage->passed_over += !good;
}

void audit_correct(struct account_life *of, int closing)
{
	const struct journal_manifest *m = audit_manifest(closing), *before = audit_manifest(closing - 1);
	bool made = false;
	for (size_t i = 0; i < n_all; i++) {
		const struct audit_correction *c = &all[i];
		if (c->account != of->account || !audit_below(m, c->partition, c->offset) ||
		    (before != NULL && audit_below(before, c->partition, c->offset)))
			continue;
		bool good = !made && c->after == closing - 1 && fits(of, c, closing);
		note(c, closing, good);
		made = made || good;
		if (good)
			make(of, c);
	}
}
