// SPDX-License-Identifier: Apache-2.0
// What must have come out, from the log alone: its own reading of events.md and pricing.md for the price book of book.yaml, sharing
// nothing with the product but how results are read. Amounts are whole fen in that book.
#include <jansson.h>
#include <time.h>

#include "base/check.h"
#include "sim.h"

enum { TAG, CROP, NEXT, BETA, SERVICES, MONTHS = 12, RUNGS = 4, OUTCOMES = 6 };
static const char *const service_names[SERVICES] = { "tag", "crop", "next", "beta" };
static const int64_t first_year = 2019 * 12 + 6; // month 0 of the arrays
static const int first_priced = 6;                // 2020-01: before it nothing has a price

struct crossing {                    // an alert that must be there once
	const char *kind;
	int64_t threshold, before, after, offset;
	int32_t partition;
	int seen;
};
struct cell {
	int64_t calls;               // counted
	int64_t late[MONTHS];        // by the month they are adjusted with
	struct crossing rungs[RUNGS];
	int n_rungs;
};
struct audit {
	struct cell cells[SIM_ACCOUNTS][SERVICES][MONTHS];
	int active[SIM_ACCOUNTS];    // first month with calls, as far as the log is read; MONTHS: none
	int active_by[SIM_ACCOUNTS][MONTHS]; // the same, by calls that are closed with that month or before
	int64_t outcomes[OUTCOMES];  // counted, duplicate, late, rejected, not billable, control
	int wrong;
	int first, last;             // months with a settlement
};
static struct audit *audit;

static void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void wrong(const char *fmt, ...)
{
	va_list ap;
	if (++audit->wrong > 12)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

// ---- the calendar of the book: UTC+8, all year
static int month_of(int64_t ms) // index in the arrays
{
	time_t t = (time_t)((ms + 8 * 3600000) / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	return (int)((tm.tm_year + 1900) * 12 + tm.tm_mon - first_year);
}

static int64_t month_start(int month)
{
	int64_t m = month + first_year;
	struct tm tm = { .tm_year = (int)(m / 12) - 1900, .tm_mon = (int)(m % 12), .tm_mday = 1 };
	return (int64_t)timegm(&tm) * 1000 - 8 * 3600000;
}

static int month_of_text(const char *s)
{
	int y = 0, m = 0;
	check(s != NULL && sscanf(s, "%d-%d", &y, &m) == 2);
	return (int)(y * 12 + m - 1 - first_year);
}

// ---- one partition's records
static const struct sim_record *record_at(int32_t partition, int64_t offset)
{
	for (uint32_t i = 0; i < sim->n_log; i++)
		if (sim->log[i].partition == partition && sim->log[i].offset == offset)
			return &sim->log[i];
	return NULL;
}

struct reading {
	int64_t clock_ms;
	int open;
	struct seen {
		int id;
		int64_t offset, clock_ms;
	} *seen;
	size_t n;
};

// Occurrences that were not rejected, in the window of 2^bits * generations offsets (whole generations) and max_age.
static bool duplicate(const struct reading *r, const struct sim_record *e)
{
	const struct rules_settings *s = &sim->rules->settings;
	int64_t from = ((e->offset >> s->generation_bits) - (int64_t)s->generations) << s->generation_bits;
	for (size_t i = 0; i < r->n; i++)
		if (r->seen[i].id == e->id && r->seen[i].offset >= from && r->seen[i].clock_ms >= r->clock_ms - s->dedupe_max_age_ms)
			return true;
	return false;
}

static void rung(struct cell *c, const struct sim_record *e, const char *kind, int64_t threshold)
{
	if (c->calls >= threshold || c->calls + e->calls < threshold)
		return;
	check(c->n_rungs < RUNGS);
	c->rungs[c->n_rungs++] = (struct crossing){ .kind = kind, .threshold = threshold, .before = c->calls, .after = c->calls + e->calls,
		.offset = e->offset, .partition = e->partition };
}

static void count(struct cell *c, const struct sim_record *e)
{
	if (e->service == TAG) {
		rung(c, e, "free_quota.warning", 40);
		rung(c, e, "free_quota.exhausted", 50);
		rung(c, e, "tier.crossed", 100);
		rung(c, e, "tier.crossed", 400);
	} else if (e->service == CROP) {
		rung(c, e, "tier.crossed", 60);
	} else if (e->service == NEXT) {
		if (audit->active[e->account] != month_of(e->time_ms)) {
			rung(c, e, "free_quota.warning", 15);
			rung(c, e, "free_quota.exhausted", 30);
		}
		rung(c, e, "tier.crossed", 80);
	}
	c->calls += e->calls;
}

static int outcome(struct reading *r, const struct sim_record *e)
{
	if (!e->readable || e->service < 0 || e->time_ms > e->stamp_ms + sim->rules->settings.max_future_ms)
		return 3;
	bool again = duplicate(r, e);
	r->seen[r->n++] = (struct seen){ e->id, e->offset, r->clock_ms };
	if (again)
		return 1;
	if (!e->billable)
		return 4;
	int month = month_of(e->time_ms);
	check(month >= 0 && month < MONTHS);
	struct cell *c = &audit->cells[e->account][e->service][month];
	if (month < audit->active[e->account])
		audit->active[e->account] = month;
	for (int m = month >= r->open ? month : r->open; m < MONTHS; m++)
		if (month < audit->active_by[e->account][m])
			audit->active_by[e->account][m] = month;
	if (month >= r->open) {
		count(c, e);
		return 0;
	}
	check(r->open < MONTHS);
	c->late[r->open] += e->calls;
	return 2;
}

static void read_partition(int32_t partition)
{
	const struct fake_log *l = fake_log(&sim->kafka, "usage.calls", partition);
	struct reading r = { .clock_ms = INT64_MIN, .seen = xcalloc(l->n + 1, sizeof(*r.seen)) };
	for (size_t i = 0; i < l->n; i++) {
		const struct fake_message *m = &l->list[i];
		r.clock_ms = m->timestamp_ms > r.clock_ms ? m->timestamp_ms : r.clock_ms;
		while (month_start(r.open + 1) + sim->rules->settings.close_grace_ms <= r.clock_ms)
			r.open++;
		const struct sim_record *e = m->tick ? NULL : record_at(partition, m->offset);
		check(m->tick || e != NULL);
		audit->outcomes[e == NULL ? 5 : outcome(&r, e)]++;
	}
	free(r.seen);
}

// ---- counters and ledger
static bool take_counter(void *ctx, struct span field, struct span value)
{
	int64_t *found = ctx, n = 0;
	char account[64], service[64];
	CLEANUP(freep) char *name = xstrndup(field.p, field.n);
	check(sscanf(name, "%63[^/]/%63s", account, service) == 2 && span_int64(value, &n));
	for (int s = 0; s < SERVICES; s++)
		if (strcmp(service, service_names[s]) == 0)
			found[(account[1] - '0') * SERVICES + s] = n;
	return true;
}

static void check_counters(int month, int adjust)
{
	int64_t found[SIM_ACCOUNTS * SERVICES] = { 0 };
	struct error e = { 0 };
	for (uint32_t shard = 0; shard < SIM_SHARDS; shard++)
		check(sim->plain->ops->scan_counters(sim->plain, shard, (int)(month + first_year), adjust >= 0 ? (int)(adjust + first_year) : MONTH_NONE,
						     take_counter, found, &e) == ERROR_NONE);
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		for (int s = 0; s < SERVICES; s++) {
			const struct cell *c = &audit->cells[a][s][month];
			int64_t want = adjust >= 0 ? c->late[adjust] : c->calls;
			if (found[a * SERVICES + s] != want)
				wrong("counter a%d/%s of month %d, adjusted with %d: %lld, the log says %lld", a, service_names[s], month, adjust,
				      (long long)found[a * SERVICES + s], (long long)want);
		}
}

static void check_ledger(void)
{
	static const enum outcome order[OUTCOMES] = { OUTCOME_COUNTED, OUTCOME_DUPLICATE, OUTCOME_LATE, OUTCOME_REJECTED, OUTCOME_NOT_BILLABLE,
						      OUTCOME_CONTROL };
	struct error e = { 0 };
	struct ledger l = { 0 };
	struct journal *j = NULL;
	int64_t sums[OUTCOMES] = { 0 };
	check(journal_load_from(&fake_port, &sim->kafka.o, 1000, &j, &e) == ERROR_NONE);
	check(ledger_look(sim->plain, SIM_SHARDS, j, &l, &e) == ERROR_NONE);
	for (uint32_t i = 0; i < l.n; i++) {
		if (ledger_difference(&l.parts[i]) != 0)
			wrong("the ledger of partition %u differs by %lld", i, (long long)ledger_difference(&l.parts[i]));
		for (int k = 0; k < OUTCOMES; k++)
			sums[k] += l.parts[i].outcomes[order[k]];
	}
	for (int k = 0; k < OUTCOMES; k++)
		if (sums[k] != audit->outcomes[k])
			wrong("%s: the ledger has %lld, the log %lld", outcome_text(order[k]), (long long)sums[k], (long long)audit->outcomes[k]);
	ledger_free(&l);
	journal_freep(&j);
}

// ---- what was published
static int64_t number(const json_t *data, const char *name)
{
	return json_integer_value(json_object_get(data, name));
}

static const char *text(const json_t *data, const char *name)
{
	const char *s = json_string_value(json_object_get(data, name));
	return s != NULL ? s : "";
}

static int64_t fen(const json_t *data, const char *name)
{
	const char *s = text(data, name);
	bool minus = s[0] == '-';
	long long yuan = 0, cents = 0;
	if (sscanf(s + minus, "%lld.%2lld", &yuan, &cents) != 2)
		return INT64_MIN;
	return (minus ? -1 : 1) * (yuan * 100 + cents);
}

static int service_of(const char *name)
{
	for (int s = 0; s < SERVICES; s++)
		if (strcmp(name, service_names[s]) == 0)
			return s;
	return -1;
}

static void check_alert(const json_t *j)
{
	const json_t *data = json_object_get(j, "data"), *call = json_object_get(data, "call");
	const char *type = text(j, "type"), *account = text(data, "account");
	int s = service_of(text(data, "service")), month = month_of_text(text(data, "period"));
	if (s < 0 || account[0] != 'a' || month < 0 || month >= MONTHS)
		return wrong("an alert about nothing: %s %s", type, account);
	struct cell *c = &audit->cells[account[1] - '0'][s][month];
	for (int i = 0; i < c->n_rungs; i++) {
		struct crossing *x = &c->rungs[i];
		char name[64], id[32];
		const struct sim_record *e = record_at(x->partition, x->offset);
		snprintf(name, sizeof(name), "meterd.%s.v1", x->kind);
		snprintf(id, sizeof(id), "e%d", e->id);
		if (strcmp(type, name) != 0 || number(data, "threshold") != x->threshold)
			continue;
		x->seen++;
		if (x->seen > 1 || number(data, "calls_before") != x->before || number(data, "calls_after") != x->after || strcmp(text(call, "id"), id) != 0)
			wrong("%s of %s/%s at %lld: seen %d times, %lld -> %lld by %s, the log says %lld -> %lld by %s", x->kind, account, service_names[s],
			      (long long)x->threshold, x->seen, (long long)number(data, "calls_before"), (long long)number(data, "calls_after"),
			      text(call, "id"), (long long)x->before, (long long)x->after, id);
		return;
	}
	wrong("%s of %s/%s at %lld must not be there", type, account, service_names[s], (long long)number(data, "threshold"));
}

static void each(const char *topic, void (*fn)(const json_t *j))
{
	int t = fake_topic(&sim->kafka, topic);
	for (int32_t p = 0; p < sim->kafka.topics[t].partitions; p++)
		for (size_t i = 0; i < sim->kafka.topics[t].parts[p].n; i++) {
			const struct fake_message *m = &sim->kafka.topics[t].parts[p].list[i];
			json_t *j = json_loadb(m->value, m->value_n, 0, NULL);
			check(j != NULL);
			fn(j);
			json_decref(j);
		}
}

static void check_alerts(void)
{
	each("meterd.alerts", check_alert);
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		for (int s = 0; s < SERVICES; s++)
			for (int m = 0; m < MONTHS; m++)
				for (int i = 0; i < audit->cells[a][s][m].n_rungs; i++) {
					const struct crossing *x = &audit->cells[a][s][m].rungs[i];
					sim->coverage->alerts += x->seen > 0;
					if (x->seen == 0)
						wrong("%s of a%d/%s at %lld is missing", x->kind, a, service_names[s], (long long)x->threshold);
				}
}

// ---- bills
static int64_t list_price(int service, int64_t calls, int64_t billable) // of `calls`, of which `billable` are paid
{
	if (service == TAG)
		return billable * (calls >= 400 ? 200 : calls >= 100 ? 220 : 250);
	if (service == NEXT)
		return billable * (calls >= 80 ? 50 : 100);
	if (service == CROP)
		return calls < 60 ? billable * 300 : 60 * 300 + (billable - 60) * 100;
	return 0;
}

// All calls at the list price of the tier reached.
static int64_t list_freeze(int service, int64_t calls)
{
	return service == CROP ? calls * (calls < 60 ? 300 : 100) : list_price(service, calls, calls);
}

static int64_t free_calls(int service, int64_t calls, bool activation)
{
	int64_t quota = service == TAG ? 50 : service == NEXT && !activation ? 30 : 0;
	return calls < quota ? calls : quota;
}

static int64_t charge(int service, int64_t calls, bool activation)
{
	return list_price(service, calls, calls - free_calls(service, calls, activation));
}

struct line {                        // settled, or expected to be
	int account, service, month, revision, seen;
	int64_t calls, charge, unfreeze, freeze, difference;
};
static struct line *lines;
static size_t n_lines, size_lines;

static void expect_line(struct line l)
{
	if (n_lines == size_lines) {
		size_lines = size_lines * 2 + 64;
		lines = xrealloc(lines, size_lines, sizeof(*lines));
	}
	lines[n_lines++] = l;
}

// Month by month: adjustments of earlier months that came in, then the month itself.
static void expect_lines(int a, int s)
{
	int64_t total[MONTHS] = { 0 }, charged[MONTHS] = { 0 }, frozen = 0;
	int revision[MONTHS];
	for (int m = 0; m < MONTHS; m++)
		revision[m] = -1;
	for (int m = audit->first; m <= audit->last; m++) {
		for (int e = first_priced; e < m; e++) {
			int64_t late = audit->cells[a][s][e].late[m];
			if (late == 0)
				continue;
			total[e] += late;
			revision[e] = revision[e] < 0 ? 1 : revision[e] + 1;
			int64_t now = charge(s, total[e], audit->active_by[a][m] == e);
			expect_line((struct line){ a, s, e, revision[e], 0, total[e], now, 0, 0, now - charged[e] });
			charged[e] = now;
		}
		int64_t calls = audit->cells[a][s][m].calls;
		if (calls == 0 && frozen == 0)
			continue;
		total[m] = calls;
		revision[m] = 0;
		charged[m] = charge(s, calls, audit->active_by[a][m] == m);
		expect_line((struct line){ a, s, m, 0, 0, calls, charged[m], frozen, list_freeze(s, calls), 0 });
		frozen = list_freeze(s, calls);
	}
}

static void check_line(const json_t *j)
{
	const json_t *data = json_object_get(j, "data");
	if (strcmp(text(j, "type"), "meterd.settlement.v1") != 0)
		return;
	struct line got = { text(data, "account")[1] - '0', service_of(text(data, "service")), month_of_text(text(data, "period")),
			    (int)number(data, "revision"), 0, number(data, "calls"), fen(data, "charge"), fen(data, "unfreeze"), fen(data, "freeze"),
			    json_object_get(data, "difference") != NULL ? fen(data, "difference") : 0 };
	for (size_t i = 0; i < n_lines; i++) {
		struct line *x = &lines[i];
		if (x->account != got.account || x->service != got.service || x->month != got.month || x->revision != got.revision)
			continue;
		x->seen++;
		sim->coverage->settlements++;
		sim->coverage->adjustments += got.revision > 0;
		if (x->seen > 1 || x->calls != got.calls || x->charge != got.charge || x->unfreeze != got.unfreeze || x->freeze != got.freeze ||
		    x->difference != got.difference)
			wrong("settlement a%d/%s month %d revision %d: seen %d times; calls %lld charge %lld unfreeze %lld freeze %lld difference %lld, the "
			      "log says %lld %lld %lld %lld %lld", got.account, service_names[got.service], got.month, got.revision, x->seen,
			      (long long)got.calls, (long long)got.charge, (long long)got.unfreeze, (long long)got.freeze, (long long)got.difference,
			      (long long)x->calls, (long long)x->charge, (long long)x->unfreeze, (long long)x->freeze, (long long)x->difference);
		return;
	}
	wrong("settlement %s/%s %s revision %d must not be there", text(data, "account"), text(data, "service"), text(data, "period"), got.revision);
}

static void check_settlements(void)
{
	n_lines = 0;
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		for (int s = 0; s < SERVICES; s++)
			if (s != BETA)
				expect_lines(a, s);
	each("meterd.settlements", check_line);
	for (size_t i = 0; i < n_lines; i++)
		if (lines[i].seen == 0)
			wrong("settlement a%d/%s month %d revision %d is missing", lines[i].account, service_names[lines[i].service], lines[i].month,
			      lines[i].revision);
}

static void check_dead_letters(void)
{
	for (uint32_t i = 0; i < sim->n_log; i++) {
		const struct sim_record *e = &sim->log[i];
		if (e->readable && e->service >= 0 && e->time_ms <= e->stamp_ms + sim->rules->settings.max_future_ms)
			continue;
		CLEANUP(freep) char *name = xasprintf("usage.calls/%d/%lld", e->partition, (long long)e->offset);
		const struct fake_log *l = fake_log(&sim->kafka, "usage.calls.dlq", 0);
		bool found = false;
		for (size_t k = 0; k < l->n && !found; k++)
			found = strcmp(l->list[k].value, name) == 0;
		if (!found)
			wrong("%s was rejected and is not in the dead-letter topic", name);
	}
}

static void months_settled(void)
{
	audit->first = MONTHS;
	audit->last = -1;
	int t = fake_topic(&sim->kafka, "meterd.settlements");
	for (int32_t p = 0; p < sim->kafka.topics[t].partitions; p++)
		for (size_t i = 0; i < sim->kafka.topics[t].parts[p].n; i++) {
			const char *v = sim->kafka.topics[t].parts[p].list[i].value, *at = strstr(v, "\"period\":\"");
			if (strstr(v, "meterd.period.closed.v1") == NULL || at == NULL)
				continue;
			int m = month_of_text(at + 10);
			audit->first = m < audit->first ? m : audit->first;
			audit->last = m > audit->last ? m : audit->last;
		}
}

bool sim_audit(void)
{
	audit = xcalloc(1, sizeof(*audit));
	for (int a = 0; a < SIM_ACCOUNTS; a++) {
		audit->active[a] = MONTHS;
		for (int m = 0; m < MONTHS; m++)
			audit->active_by[a][m] = MONTHS;
	}
	for (int32_t p = 0; p < SIM_PARTITIONS; p++)
		read_partition(p);
	for (int m = 0; m < MONTHS; m++)
		for (int adjust = -1; adjust < MONTHS; adjust++)
			if (adjust < 0 || adjust > m)
				check_counters(m, adjust);
	check_ledger();
	check_alerts();
	months_settled();
	check_settlements();
	check_dead_letters();
	sim->coverage->counted += (uint64_t)audit->outcomes[0];
	sim->coverage->duplicates += (uint64_t)audit->outcomes[1];
	sim->coverage->late += (uint64_t)audit->outcomes[2];
	sim->coverage->rejected += (uint64_t)audit->outcomes[3];
	bool good = audit->wrong == 0;
	free(audit);
	return good;
}
