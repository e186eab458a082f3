// SPDX-License-Identifier: Apache-2.0
// What every settlement and adjustment must say: free calls, packs, contracts, prices of the version that the month's manifest names
// (pricing.md, section 2). Month by month, adjustments of earlier months first. Amounts are whole fen in these books.
#include "audit.h"
#include "base/check.h"

// ---- prices
static int64_t first_slice(const struct frame *f) // crop, of one call
{
	return f->book == 2 && f->month >= FIRST_PRICED + 1 ? 280 : 300;
}

static int64_t list_price(const struct frame *f, int service, int64_t calls, int64_t billable) // of `calls`, of which `billable` are paid
{
	if (service == TAG)
		return billable * (calls >= 400 ? 200 : calls >= 100 ? 220 : 250);
	if (service == NEXT)
		return billable * (calls >= 80 ? 50 : 100);
	if (service == CROP) { // what is free fills the lowest slices
		int64_t covered = calls - billable, low = calls < 60 ? calls : 60;
		low = low > covered ? low - covered : 0;
		return low * first_slice(f) + (billable - low) * 100;
	}
	return 0;
}

// All calls at the list price of the tier reached.
static int64_t list_freeze(const struct frame *f, int service, int64_t calls)
{
	return service == CROP ? calls * (calls < 60 ? first_slice(f) : 100) : list_price(f, service, calls, calls);
}

int64_t audit_price_in(const json_t *j)
{
	const json_t *tier = json_array_get(json_object_get(json_object_get(j, "prices"), "tiers"), 0);
	return tier != NULL ? strtoll(audit_text(tier, "price"), NULL, 10) : 0;
}

int64_t audit_price(const struct frame *f, int account, int service, int64_t price, int64_t calls, int64_t billable)
{
	if (price > 0)
		return billable * price * 100;
	if (service == TAG && said_contract(account, f->month, f->said) != NULL)
		return billable * (calls >= 400 ? 170 : calls >= 100 ? 190 : 210);
	return list_price(f, service, calls, billable);
}

// `by_calls`: the first month with calls, as far as is known.
static int64_t quota(const struct frame *f, int account, int service, int by_calls)
{
	const struct sim_fact *contract = said_contract(account, f->month, f->said);
	int said = said_active(account, f->said);
	if (service == TAG)
		return contract != NULL && contract->quota >= 0 ? contract->quota : 50;
	return service == NEXT && (said < by_calls ? said : by_calls) != f->month ? 30 : 0;
}

// ---- one account, month by month
struct line {                        // settled, or expected to be
	int account, service, month, revision, seen;
	int64_t calls, free, billable, charge, price, unfreeze, freeze, difference;
	char correction[32], corrected[32]; // that made it; that it rests on
};
static struct line *lines;
static size_t n_lines, size_lines;

static void expect_line(struct line l)
{
	if (!audit->expecting)
		return;
	if (n_lines == size_lines) {
		size_lines = size_lines * 2 + 64;
		lines = xrealloc(lines, size_lines, sizeof(*lines));
	}
	lines[n_lines++] = l;
}

void audit_expect(const struct account_life *of, int service, int month, int64_t difference, const char *correction)
{
	const struct month_line *x = &of->lines[service][month];
	struct line l = { of->account, service, month, x->revision, 0, x->calls, x->free, x->billable, x->charge, x->price, 0, 0, difference, "", "" };
	snprintf(correction != NULL ? l.correction : l.corrected, sizeof(l.correction), "%s", correction != NULL ? correction : x->corrected);
	expect_line(l);
}

const struct journal_manifest *audit_manifest(int month)
{
	const struct journal *j = audit->decided;
	for (uint32_t i = 0; i < j->n_manifests; i++)
		if (j->manifests[i].month == month + FIRST_YEAR)
			return &j->manifests[i];
	return NULL;
}

bool audit_was_closed(int month)
{
	return audit_manifest(month) != NULL;
}

struct frame audit_frame(int month, int closed_with)
{
	const struct journal_manifest *m = audit_manifest(month);
	m = m != NULL ? m : audit_manifest(closed_with);
	check(m != NULL);
	return (struct frame){ month, audit_book_version(m->rules_version), { 0, m } };
}

// What the account's packs still give of `wanted`: earliest expiry first, then by id.
static int64_t take_packs(struct account_life *l, const struct frame *f, int service, int64_t wanted, struct month_line *x)
{
	struct sim_fact packs[SIM_PACKS];
	int n = 0;
	int64_t given = 0;
	for (int p = 0; p < SIM_PACKS; p++) {
		struct sim_fact pack;
		if (!said_pack(l->account, p, f->month, f->said, &pack) || (pack.services & (1u << service)) == 0)
			continue;
		int at = n++;
		for (; at > 0 && packs[at - 1].expiry_ms > pack.expiry_ms; at--)
			packs[at] = packs[at - 1];
		packs[at] = pack;
	}
	for (int i = 0; i < n && wanted > given; i++) {
		int64_t left = packs[i].calls - l->taken[packs[i].pack], got = left < wanted - given ? left : wanted - given;
		got = got > 0 ? got : 0;
		l->taken[packs[i].pack] += got;
		x->packs[packs[i].pack] += got;
		given += got;
	}
	sim->coverage->with_packs += audit->expecting && given > 0;
	return given;
}

static int64_t given_of(const struct month_line *x)
{
	int64_t given = 0;
	for (int p = 0; p < SIM_PACKS; p++)
		given += x->packs[p];
	return given;
}

// Of a line that was corrected the free calls stay as they were said: more of them come only where all calls are free still.
static int64_t quota_left(const struct month_line *x, int64_t quota)
{
	return x->corrected[0] != '\0' && (x->free < x->calls || x->free > quota) ? x->free : quota;
}

// `more` late calls of month `e`, with the close of month `m`. What packs gave stays, and what was charged is never covered later.
static void adjust(struct account_life *l, int service, int e, int m, int64_t more)
{
	struct frame f = audit_frame(e, m);
	struct month_line *x = &l->lines[service][e];
	int64_t q = quota_left(x, quota(&f, l->account, service, audit->active_by[l->account][m])), open = x->calls + more - given_of(x);
	int64_t before = x->charge, billable = open - (q < open ? q : open);
	x->free = open - billable;
	if (billable > x->billable)
		billable -= take_packs(l, &f, service, billable - x->billable, x);
	x->calls += more;
	x->billable = billable;
	x->charge = audit_price(&f, l->account, service, x->price, x->calls, billable);
	x->revision = x->revision < 0 ? 1 : x->revision + 1;
	audit_expect(l, service, e, x->charge - before, NULL);
}

static void settle(struct account_life *l, int service, int m)
{
	struct frame f = audit_frame(m, m);
	struct month_line *x = &l->lines[service][m];
	int64_t calls = audit->cells[l->account][service][m].calls, unfreeze = l->frozen[service];
	if (calls == 0 && unfreeze == 0)
		return;
	int64_t q = quota(&f, l->account, service, audit->active_by[l->account][m]), open = calls - (q < calls ? q : calls);
	*x = (struct month_line){ .calls = calls, .free = calls - open };
	x->billable = open - take_packs(l, &f, service, open, x);
	x->charge = audit_price(&f, l->account, service, 0, calls, x->billable);
	l->frozen[service] = list_freeze(&f, service, calls);
	sim->coverage->with_contract += audit->expecting && service == TAG && said_contract(l->account, m, f.said) != NULL;
	expect_line((struct line){ l->account, service, m, 0, 0, calls, x->free, x->billable, x->charge, 0, unfreeze, l->frozen[service], 0, "", "" });
}

struct account_life *audit_live(int account, int until, bool corrected)
{
	struct account_life *l = xcalloc(1, sizeof(*l));
	l->account = account;
	for (int s = 0; s < SERVICES; s++)
		for (int m = 0; m < MONTHS; m++)
			l->lines[s][m].revision = -1;
	for (int m = audit->first; m <= until; m++) {
		if (corrected)
			audit_correct(l, m);
		for (int e = FIRST_PRICED; e < m; e++)
			for (int s = 0; s < BETA; s++)
				if (audit->cells[account][s][e].late[m] > 0)
					adjust(l, s, e, m, audit->cells[account][s][e].late[m]);
		for (int s = 0; s < BETA; s++)
			settle(l, s, m);
	}
	return l;
}

// ---- what was published
static bool same(const struct line *x, const struct line *y)
{
	return x->calls == y->calls && x->free == y->free && x->billable == y->billable && x->charge == y->charge && x->price == y->price &&
	       x->unfreeze == y->unfreeze && x->freeze == y->freeze && x->difference == y->difference && strcmp(x->correction, y->correction) == 0 &&
	       strcmp(x->corrected, y->corrected) == 0;
}

static void put_line(char text[300], const struct line *x)
{
	snprintf(text, 300, "calls %lld free %lld billable %lld charge %lld price %lld unfreeze %lld freeze %lld difference %lld by \"%s\" on \"%s\"",
		 (long long)x->calls, (long long)x->free, (long long)x->billable, (long long)x->charge, (long long)x->price, (long long)x->unfreeze,
		 (long long)x->freeze, (long long)x->difference, x->correction, x->corrected);
}

static void tell(const struct line *x, const struct line *got)
{
	char texts[2][300];
	put_line(texts[0], got);
	put_line(texts[1], x);
	wrong("settlement a%d/%s month %d revision %d: seen %d times; %s; the log says %s", x->account, audit_services[x->service], x->month, x->revision,
	      x->seen, texts[0], texts[1]);
}

static void check_line(const json_t *j)
{
	const json_t *data = json_object_get(j, "data");
	if (strcmp(audit_text(j, "type"), "meterd.settlement.v1") != 0)
		return;
	struct line got = { audit_text(data, "account")[1] - '0', audit_service(audit_text(data, "service")), audit_month_text(audit_text(data, "period")),
			    (int)audit_number(data, "revision"), 0, audit_number(data, "calls"), audit_number(data, "free"), audit_number(data, "billable"),
			    audit_fen(data, "charge"), audit_price_in(data), audit_fen(data, "unfreeze"),
			    audit_fen(data, "freeze"), json_object_get(data, "difference") != NULL ? audit_fen(data, "difference") : 0, "", "" };
	snprintf(got.correction, sizeof(got.correction), "%s", audit_text(data, "correction"));
	snprintf(got.corrected, sizeof(got.corrected), "%s", audit_text(data, "corrected"));
	for (size_t i = 0; i < n_lines; i++) {
		struct line *x = &lines[i];
		if (x->account != got.account || x->service != got.service || x->month != got.month || x->revision != got.revision)
			continue;
		x->seen++;
		sim->coverage->settlements++;
		sim->coverage->adjustments += got.revision > 0;
		if (x->seen > 1 || !same(x, &got))
			tell(x, &got);
		return;
	}
	wrong("settlement %s/%s %s revision %d must not be there", audit_text(data, "account"), audit_text(data, "service"), audit_text(data, "period"),
	      got.revision);
}

void audit_bills(void)
{
	n_lines = 0;
	audit_corrections_read();
	audit->expecting = true;
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		free(audit_live(a, audit->last, true));
	audit->expecting = false;
	audit_each("meterd.settlements", check_line);
	for (size_t i = 0; i < n_lines; i++)
		if (lines[i].seen == 0)
			wrong("settlement a%d/%s month %d revision %d is missing", lines[i].account, audit_services[lines[i].service], lines[i].month,
			      lines[i].revision);
}
