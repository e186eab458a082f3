// SPDX-License-Identifier: Apache-2.0
// What must have come out, from the log alone: its own reading of events.md and pricing.md for the price book of book.yaml, sharing
// nothing with the product but how results are read. Amounts are whole fen in that book.
#include <time.h>

#include "audit.h"
#include "base/check.h"
#include "letters/letters.h"

#define SPAN_ARGS(s) (int)(s).n, (s).p != NULL ? (s).p : ""

const char *const audit_services[SERVICES] = { "tag", "crop", "next", "beta" };
struct audit *audit;

void wrong(const char *fmt, ...)
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
int audit_month(int64_t ms) // index in the arrays
{
	time_t t = (time_t)((ms + 8 * 3600000) / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	return (int)((tm.tm_year + 1900) * 12 + tm.tm_mon - FIRST_YEAR);
}

int64_t audit_month_start(int month)
{
	int64_t m = month + FIRST_YEAR;
	struct tm tm = { .tm_year = (int)(m / 12) - 1900, .tm_mon = (int)(m % 12), .tm_mday = 1 };
	return (int64_t)timegm(&tm) * 1000 - 8 * 3600000;
}

int audit_month_text(const char *s)
{
	int y = 0, m = 0;
	check(s != NULL && sscanf(s, "%d-%d", &y, &m) == 2);
	return (int)(y * 12 + m - 1 - FIRST_YEAR);
}

// ---- what was decided: from which clock on which book holds, and where partitions that came later begin
static void read_decisions(void)
{
	struct error e = { 0 };
	check(journal_load_from(&fake_port, &sim->kafka.o, 1000, &audit->decided, &e) == ERROR_NONE);
	const struct journal *j = audit->decided;
	for (int32_t p = 0; p < SIM_PARTITIONS_MOST; p++)
		audit->begins[p] = INT64_MIN;
	if (j->n_parts != (uint32_t)sim_partitions())
		wrong("%u partitions are admitted of %d", j->n_parts, sim_partitions());
	for (uint32_t i = 0; i < j->n_parts; i++) {
		audit->begins[j->parts[i].partition] = j->parts[i].clock_ms;
		if (j->parts[i].offset != 0)
			wrong("partition %d is counted from offset %lld on", j->parts[i].partition, (long long)j->parts[i].offset);
	}
	for (uint32_t i = 0; i < j->n_rules; i++)
		sim_say("rules %u are %s from clock %lld on", i + 1, catalog_version(j->rules[i].rules->catalog), (long long)j->rules[i].effective_ms);
	sim->coverage->versions += j->n_rules - 1;
	sim->coverage->admitted += j->n_parts - SIM_PARTITIONS;
}

static int book_of(const struct journal_rules *r)
{
	return catalog_version(r->rules->catalog)[4] - '1'; // sim-1 …
}

int audit_book(int64_t clock_ms)
{
	const struct journal *j = audit->decided;
	uint32_t i = j->n_rules - 1;
	while (i > 0 && j->rules[i].effective_ms > clock_ms)
		i--;
	return book_of(&j->rules[i]);
}

int audit_book_version(int64_t version)
{
	return book_of(&audit->decided->rules[version - 1]);
}

// ---- what was said of accounts
// A partition of which nothing was known yet is not named.
bool audit_below(const struct journal_manifest *m, int32_t partition, int64_t offset)
{
	return (uint32_t)partition < m->n_accounts && offset < m->accounts[partition].offset;
}

static bool said_by(const struct sim_fact *f, struct audit_said s)
{
	return s.manifest != NULL ? audit_below(s.manifest, f->partition, f->offset) : f->stamp_ms <= s.stamp_ms;
}

int said_active(int account, struct audit_said s)
{
	int first = MONTHS;
	for (uint32_t i = 0; i < sim->n_facts; i++) {
		const struct sim_fact *f = &sim->facts[i];
		if (f->account == account && f->what == SAYS_ACTIVATION && said_by(f, s) && audit_month(f->time_ms) < first)
			first = audit_month(f->time_ms);
	}
	return first;
}

// The newest version holds, in its months.
const struct sim_fact *said_contract(int account, int month, struct audit_said s)
{
	const struct sim_fact *newest = NULL;
	int at = month + FIRST_YEAR;
	for (uint32_t i = 0; i < sim->n_facts; i++)
		if (sim->facts[i].account == account && sim->facts[i].what == SAYS_CONTRACT && said_by(&sim->facts[i], s))
			newest = &sim->facts[i];
	return newest != NULL && newest->from <= at && (newest->until == MONTH_NONE || at < newest->until) ? newest : NULL;
}

bool said_pack(int account, int pack, int month, struct audit_said s, struct sim_fact *ret)
{
	bool valid = false;
	for (uint32_t i = 0; i < sim->n_facts; i++) {
		const struct sim_fact *f = &sim->facts[i];
		if (f->account != account || f->pack != pack || !said_by(f, s))
			continue;
		if (f->what == SAYS_PACK && f->start_ms < audit_month_start(month + 1) && f->expiry_ms > audit_month_start(month)) {
			valid = true;
			*ret = *f;
		} else if (f->what == SAYS_CANCELLED && month + FIRST_YEAR >= f->from) {
			valid = false;
		}
	}
	return valid;
}

// ---- one partition's records
const struct sim_record *audit_record(int32_t partition, int64_t offset)
{
	for (uint32_t i = 0; i < sim->n_log; i++)
		if (sim->log[i].partition == partition && sim->log[i].offset == offset)
			return &sim->log[i];
	for (size_t i = 0; i < audit->n_returned; i++)
		if (audit->returned[i].partition == partition && audit->returned[i].offset == offset)
			return &audit->returned[i];
	return NULL;
}

static const struct fake_message *message_at(int32_t partition, int64_t offset)
{
	const struct fake_log *l = fake_log(&sim->kafka, "usage.calls", partition);
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].offset == offset)
			return &l->list[i];
	return NULL;
}

static struct span header_of(const struct fake_message *m, const char *name)
{
	for (uint32_t i = 0; i < m->n_headers; i++)
		if (span_is(m->headers[i].name, name))
			return m->headers[i].value;
	return (struct span){ 0 };
}

static struct lettered *lettered_at(int32_t partition, int64_t offset)
{
	for (size_t i = 0; i < audit->n_lettered; i++)
		if (audit->lettered[i].partition == partition && audit->lettered[i].offset == offset)
			return &audit->lettered[i];
	audit->lettered = xrealloc(audit->lettered, audit->n_lettered + 1, sizeof(*audit->lettered));
	audit->lettered[audit->n_lettered] = (struct lettered){ .partition = partition, .offset = offset };
	return &audit->lettered[audit->n_lettered++];
}

static bool place_of(struct span position, int32_t *partition, int64_t *offset)
{
	CLEANUP(freep) char *text = xstrndup(position.p != NULL ? position.p : "", position.n);
	long long at = 0;
	bool good = sscanf(text, "usage.calls/%d/%lld", partition, &at) == 2;
	*offset = at;
	return good;
}

// A record that nobody produced was given back: one before it in this partition, of which there is a letter, as it came, and once. *ret_taken: the log
// says that it was not rejected.
static const struct sim_record *returned(int32_t partition, const struct fake_message *m, bool *ret_taken)
{
	int32_t of_partition = -1;
	int64_t of = -1;
	if (!place_of(header_of(m, "__meterd.requeued"), &of_partition, &of) || of_partition != partition || of >= m->offset) {
		wrong("usage.calls/%d/%lld is nobody's", partition, (long long)m->offset);
		return NULL;
	}
	const struct fake_message *was = message_at(partition, of);
	struct lettered *l = lettered_at(partition, of);
	if (was == NULL || ++l->given_back > 1) {
		wrong("usage.calls/%d/%lld: %lld is given back, which %s", partition, (long long)m->offset, (long long)of,
		      was == NULL ? "never was" : "was given back before");
		return NULL;
	}
	*ret_taken = !l->rejected;
	if ((sim->kafka.append_ms == NULL && m->timestamp_ms != was->timestamp_ms) || m->value_n != was->value_n || memcmp(m->value, was->value, m->value_n) != 0)
		wrong("usage.calls/%d/%lld is not what %lld was", partition, (long long)m->offset, (long long)of);
	const struct sim_record *e = audit_record(partition, of);
	check(e != NULL);
	struct sim_record copy = *e;
	copy.offset = m->offset;
	copy.stamp_ms = m->timestamp_ms;
	audit->returned = xrealloc(audit->returned, audit->n_returned + 1, sizeof(*audit->returned));
	audit->returned[audit->n_returned] = copy;
	return &audit->returned[audit->n_returned++];
}

// Occurrences that were not rejected, in the window of 2^bits * generations offsets (whole generations) and max_age.
bool audit_duplicate(const struct reading *r, const struct sim_record *e)
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

// What was said of accounts holds for ladders once the clock is rules.lead behind it.
static struct audit_said seen_by(int64_t clock_ms)
{
	return (struct audit_said){ .stamp_ms = clock_ms - sim->rules->settings.lead_ms };
}

// Of an account whose calls lie in several partitions nobody knows which come first (alerts.c): but for what this one alone makes certain.
static void count_spread(struct cell *c, const struct sim_record *e, int service, int64_t clock_ms)
{
	int month = audit_month(e->time_ms), said = said_active(e->account, seen_by(clock_ms));
	if (service == NEXT && said >= month && audit->alone[e->account] >= month)
		audit->unsure[e->account][month] = true;
	c->calls += e->calls;
}

static void count(struct cell *c, const struct sim_record *e, int service, int64_t clock_ms)
{
	if (sim_is_spread(e->account))
		return count_spread(c, e, service, clock_ms);
	if (service == TAG) {
		const struct sim_fact *contract = said_contract(e->account, audit_month(e->time_ms), seen_by(clock_ms));
		int64_t quota = contract != NULL && contract->quota >= 0 ? contract->quota : 50;
		if (quota > 0) {
			rung(c, e, "free_quota.warning", quota * 8 / 10);
			rung(c, e, "free_quota.exhausted", quota);
		}
		rung(c, e, "tier.crossed", 100);
		rung(c, e, "tier.crossed", 400);
	} else if (service == CROP) {
		rung(c, e, "tier.crossed", 60);
	} else if (service == NEXT) {
		int said = said_active(e->account, seen_by(clock_ms)), active = audit->active[e->account];
		if ((said < active ? said : active) != audit_month(e->time_ms)) {
			rung(c, e, "free_quota.warning", 15);
			rung(c, e, "free_quota.exhausted", 30);
		}
		rung(c, e, "tier.crossed", 80);
	}
	c->calls += e->calls;
}

// The price books say: book-2.yaml gives old-tag to crop and charges errors; its rules allow a minute of the future. book-3.yaml has a service for
// what no other knows.
int audit_service_in(const struct sim_record *e, int book)
{
	if (e->service < 0 && book == 2)
		return CROP;
	return e->service == TAG && e->id % 3 == 0 && book == 1 ? CROP : e->service;
}

bool audit_rejected(const struct sim_record *e, int book)
{
	return !e->readable || (e->service < 0 && book != 2) || e->time_ms > e->stamp_ms + (book == 1 ? 60000 : 300000);
}

// taken: it was given back although it was not rejected.
static int outcome(struct reading *r, const struct sim_record *e, bool taken)
{
	int book = audit_book(r->clock_ms), service = audit_service_in(e, book);
	if (audit_rejected(e, book))
		return 3;
	bool again = audit_duplicate(r, e);
	r->seen[r->n++] = (struct seen){ e->id, e->offset, r->clock_ms };
	if (again || taken)
		return 1;
	if (!e->billable && book != 1)
		return 4;
	int month = audit_month(e->time_ms);
	check(month >= 0 && month < MONTHS);
	struct cell *c = &audit->cells[e->account][service][month];
	if (month < audit->active[e->account])
		audit->active[e->account] = month;
	if (month < audit->alone[e->account])
		audit->alone[e->account] = month;
	for (int m = month >= r->open ? month : r->open; m < MONTHS; m++)
		if (month < audit->active_by[e->account][m])
			audit->active_by[e->account][m] = month;
	if (month >= r->open) {
		count(c, e, service, r->clock_ms);
		return 0;
	}
	check(r->open < MONTHS);
	c->late[r->open] += e->calls;
	return 2;
}

// In the dead-letter topic byte for byte.
static void check_dead_letter(const struct fake_message *was, int32_t partition)
{
	const struct fake_log *l = fake_log(&sim->kafka, "usage.calls.dlq", partition % SIM_LETTER_PARTITIONS);
	CLEANUP(freep) char *offset = xasprintf("%lld", (long long)was->offset), *of = xasprintf("%d", partition);
	for (size_t k = 0; k < l->n; k++) {
		const struct fake_message *m = &l->list[k];
		if (span_is(header_of(m, "__meterd.errors.offset"), offset) && span_is(header_of(m, "__meterd.errors.partition"), of)) {
			if (m->value_n != was->value_n || memcmp(m->value, was->value, m->value_n) != 0)
				wrong("usage.calls/%d/%s is another one in the dead-letter topic", partition, offset);
			return;
		}
	}
	wrong("usage.calls/%d/%s was rejected and is not in the dead-letter topic", partition, offset);
}

// For questions: they are asked about what one record is.
static void remember(const struct reading *r, const struct sim_record *e, bool taken)
{
	if (!sim->corrects)
		return;
	audit->reads = xrealloc(audit->reads, audit->n_reads + 1, sizeof(*audit->reads));
	audit->reads[audit->n_reads++] = (struct audit_read){ *e, r->clock_ms, r->open, taken };
}

static void read_partition(int32_t partition)
{
	const struct fake_log *l = fake_log(&sim->kafka, "usage.calls", partition);
	struct reading r = { .clock_ms = audit->begins[partition], .seen = xcalloc(l->n + 1, sizeof(*r.seen)) };
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		audit->alone[i] = MONTHS;
	for (size_t i = 0; i < l->n; i++) {
		const struct fake_message *m = &l->list[i];
		r.clock_ms = m->timestamp_ms > r.clock_ms ? m->timestamp_ms : r.clock_ms;
		while (audit_month_start(r.open + 1) + sim->rules->settings.close_grace_ms <= r.clock_ms)
			r.open++;
		const struct sim_record *e = m->tick ? NULL : audit_record(partition, m->offset);
		bool again = !m->tick && e == NULL, taken = false;
		if (again && (e = returned(partition, m, &taken)) == NULL)
			break;
		int k = e == NULL ? 5 : outcome(&r, e, taken);
		if (e != NULL)
			remember(&r, e, taken);
		sim->coverage->requeued_counted += again && k == 0;
		sim->coverage->requeued_late += again && k == 2;
		sim->coverage->requeued_taken += taken;
		audit->outcomes[k]++;
		if (e != NULL)
			sim_say("usage.calls/%d/%lld: e%d of a%d, service %d, %lld calls, clock %lld, rules of book %d: %d", partition, (long long)e->offset, e->id,
				e->account, e->service, (long long)e->calls, (long long)r.clock_ms, audit_book(r.clock_ms), k);
		if (k == 3) {
			check_dead_letter(m, partition);
			lettered_at(partition, m->offset)->rejected = true;
		}
	}
	free(r.seen);
}

// ---- marks: beside each letter whose record was given back, one; and what is left is what the product says is left
static void check_marks(void)
{
	CLEANUP(letters_table_freep) struct letters_table *t = letters_table_new(1 << 16);
	struct letters_numbers n = { 0 };
	uint64_t left = 0, told = 0;
	for (int32_t p = 0; p < SIM_LETTER_PARTITIONS; p++) {
		const struct fake_log *l = fake_log(&sim->kafka, "usage.calls.dlq", p);
		for (size_t i = 0; i < l->n; i++) {
			const struct fake_message *m = &l->list[i];
			struct record as_read = fake_record(m);
			CLEANUP(freep) char *letter = xasprintf("%.*s/%.*s/%.*s", SPAN_ARGS(header_of(m, "__meterd.errors.topic")),
								SPAN_ARGS(header_of(m, "__meterd.errors.partition")), SPAN_ARGS(header_of(m, "__meterd.errors.offset")));
			bool is_mark = header_of(m, "__meterd.errors.topic").p == NULL;
			int32_t partition = -1;
			int64_t offset = -1;
			letters_table_take(t, &as_read);
			if (!place_of(is_mark ? header_of(m, "__meterd.requeued") : span_of(letter), &partition, &offset))
				wrong("%s is in the dead-letter topic", letter);
			else
				lettered_at(partition, offset)->marks += is_mark;
		}
	}
	for (size_t i = 0; i < audit->n_lettered; i++) {
		const struct lettered *l = &audit->lettered[i];
		left += l->given_back == 0;
		if (l->marks != l->given_back)
			wrong("usage.calls/%d/%lld was given back %d times and marked %d times", l->partition, (long long)l->offset, l->given_back, l->marks);
	}
	letters_table_numbers(t, &n);
	for (int k = 0; k < REJECT_COUNT; k++)
		told += n.by_code[k];
	if (told != left)
		wrong("%llu dead letters wait, the log says %llu", (unsigned long long)told, (unsigned long long)left);
}

// ---- counters and ledger
static bool take_counter(void *ctx, struct span field, struct span value)
{
	int64_t *found = ctx, n = 0;
	char account[64], service[64];
	CLEANUP(freep) char *name = xstrndup(field.p, field.n);
	check(sscanf(name, "%63[^/]/%63s", account, service) == 2 && span_int64(value, &n));
	for (int s = 0; s < SERVICES; s++)
		if (strcmp(service, audit_services[s]) == 0)
			found[(account[1] - '0') * SERVICES + s] = n;
	return true;
}

static void check_counters(int month, int adjust)
{
	int64_t found[SIM_ACCOUNTS * SERVICES] = { 0 };
	struct error e = { 0 };
	for (uint32_t shard = 0; shard < SIM_SHARDS; shard++)
		check(sim->plain->ops->scan_counters(sim->plain, shard, (int)(month + FIRST_YEAR), adjust >= 0 ? (int)(adjust + FIRST_YEAR) : MONTH_NONE,
						     take_counter, found, &e) == ERROR_NONE);
	for (int a = 0; a < SIM_ACCOUNTS; a++)
		for (int s = 0; s < SERVICES; s++) {
			const struct cell *c = &audit->cells[a][s][month];
			int64_t want = adjust >= 0 ? c->late[adjust] : c->calls;
			if (found[a * SERVICES + s] != want)
				wrong("counter a%d/%s of month %d, adjusted with %d: %lld, the log says %lld", a, audit_services[s], month, adjust,
				      (long long)found[a * SERVICES + s], (long long)want);
		}
}

// What manifests say of the month, and proofs take it by.
static void check_manifests(void)
{
	for (uint32_t i = 0; i < audit->decided->n_manifests; i++) {
		const struct journal_manifest *m = &audit->decided->manifests[i];
		int64_t counters = 0, calls = 0;
		for (int a = 0; a < SIM_ACCOUNTS; a++)
			for (int s = 0; s < SERVICES; s++) {
				const struct cell *c = &audit->cells[a][s][m->month - FIRST_YEAR];
				counters += c->calls > 0;
				calls += c->calls;
			}
		if (m->counters != counters || m->calls != calls)
			wrong("the manifest of month %d says %lld counters and %lld calls, the log %lld and %lld", m->month - (int)FIRST_YEAR, (long long)m->counters,
			      (long long)m->calls, (long long)counters, (long long)calls);
	}
}

static void check_ledger(void)
{
	static const enum outcome order[OUTCOMES] = { OUTCOME_COUNTED, OUTCOME_DUPLICATE, OUTCOME_LATE, OUTCOME_REJECTED, OUTCOME_NOT_BILLABLE,
						      OUTCOME_CONTROL };
	struct error e = { 0 };
	struct ledger l = { 0 };
	int64_t sums[OUTCOMES] = { 0 };
	check(ledger_look(sim->plain, SIM_SHARDS, audit->decided, &l, &e) == ERROR_NONE);
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
}

// ---- what was published
int64_t audit_number(const json_t *data, const char *name)
{
	return json_integer_value(json_object_get(data, name));
}

const char *audit_text(const json_t *data, const char *name)
{
	const char *s = json_string_value(json_object_get(data, name));
	return s != NULL ? s : "";
}

int64_t audit_fen(const json_t *data, const char *name)
{
	const char *s = audit_text(data, name);
	bool minus = s[0] == '-';
	long long yuan = 0, cents = 0;
	if (sscanf(s + minus, "%lld.%2lld", &yuan, &cents) != 2)
		return INT64_MIN;
	return (minus ? -1 : 1) * (yuan * 100 + cents);
}

int audit_service(const char *name)
{
	for (int s = 0; s < SERVICES; s++)
		if (strcmp(name, audit_services[s]) == 0)
			return s;
	return -1;
}

void audit_each(const char *topic, void (*fn)(const json_t *j))
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
			int m = audit_month_text(at + 10);
			audit->first = m < audit->first ? m : audit->first;
			audit->last = m > audit->last ? m : audit->last;
		}
}

bool sim_audit(void)
{
	audit = xcalloc(1, sizeof(*audit));
	read_decisions();
	for (int a = 0; a < SIM_ACCOUNTS; a++) {
		audit->active[a] = MONTHS;
		for (int m = 0; m < MONTHS; m++)
			audit->active_by[a][m] = MONTHS;
	}
	for (int32_t p = 0; p < sim_partitions(); p++)
		read_partition(p);
	for (int m = 0; m < MONTHS; m++)
		for (int adjust = -1; adjust < MONTHS; adjust++)
			if (adjust < 0 || adjust > m)
				check_counters(m, adjust);
	check_marks();
	check_manifests();
	check_ledger();
	months_settled();
	audit_alerts();
	audit_bills();
	audit_answers();
	sim->coverage->counted += (uint64_t)audit->outcomes[0];
	sim->coverage->duplicates += (uint64_t)audit->outcomes[1];
	sim->coverage->late += (uint64_t)audit->outcomes[2];
	sim->coverage->rejected += (uint64_t)audit->outcomes[3];
	bool good = audit->wrong == 0;
	journal_freep(&audit->decided);
	free(audit->returned);
	free(audit->lettered);
	free(audit->reads);
	free(audit);
	return good;
}
