// SPDX-License-Identifier: Apache-2.0
// A month's end over twins of store and Kafka, with a small worker that counts a log of "account service month calls" lines as the
// pipeline would: what the documents say, in which order things happen, and that a fault at any call changes nothing.
#include <criterion/criterion.h>
#include <pthread.h>

#include "base/log.h"
#include "begun_log.h"
#include "closing/closing.h"
#include "decide/decide.h"
#include "fake_kafka.h"
#include "fake_store.h"
#include "journal/json.h"
#include "some_rules.h"
#include "table.h"
#include "tools/explain.h"
#include "base/figure.h"
#include "usage/month.h"

enum { SHARDS = 3, JAN = 2020 * 12, FEB, MAR, APR, MAY };
static const int64_t hour = 3600000, day = 24 * 3600000;

struct world {
	struct fake_fault fault;
	struct fake_kafka k;
	struct fake_store s;
	struct rules *rules;
	struct relay *relay;
	struct closer *closer;
	struct journal *j;
	struct error e;
	int64_t now_ms;
	bool dies;         // a fault ends the process too
	bool blind;        // the worker does not step over transaction markers
	bool asleep;       // the worker does not read
	int asleep_in;     // … this partition and those behind it; 0: all are read
	int64_t outbox_most;
	enum settles settles;
	enum relay_status last;
	uint32_t parts;
};

static int64_t month_ms(const struct world *w, int month)
{
	return period_start_ms(catalog_zone(w->rules->catalog), month);
}

static int64_t close_ms(const struct world *w, int month)
{
	return rules_close_ms(w->rules, month);
}

static void office_open(struct world *w)
{
	w->relay = relay_new(&(struct relay_options){ .port = &fake_port, .kafka = &w->k.o, .store = &w->s.s, .shards = SHARDS,
		.transactional_id = "t", .source = "/meterd/g", .batch = 5, .timeout_ms = 1000 });
	w->closer = closer_new(&(struct closer_options){ .port = &fake_port, .kafka = &w->k.o, .store = &w->s.s, .relay = w->relay,
		.shards = SHARDS, .source = "/meterd/g", .timeout_ms = 1000, .outbox_most = w->outbox_most, .settles = w->settles, .beside = &w->s.s });
}

static void office_close(struct world *w)
{
	closer_freep(&w->closer);
	relay_freep(&w->relay);
	journal_freep(&w->j);
}

static void world_begin(struct world *w, struct rules *own_rules, uint32_t parts)
{
	*w = (struct world){ .outbox_most = 1000, .parts = parts };
	fake_kafka_init(&w->k, (int32_t)parts, &w->fault);
	fake_store_init(&w->s, SHARDS, &w->fault);
	w->rules = own_rules;
	begin_log(&w->k, SHARDS, parts, w->rules);
	w->now_ms = month_ms(w, JAN);
	office_open(w);
}

static void world_open(struct world *w, enum clock_mode clock, uint32_t parts, const char *from, const char *to)
{
	world_begin(w, some_rules(clock, from, to), parts);
}

static void world_close(struct world *w)
{
	office_close(w);
	rules_freep(&w->rules);
	fake_store_free(&w->s);
	fake_kafka_free(&w->k);
}

// ---- the worker
static void note_cuts(struct world *w, struct fake_shard *h, const char *name, int64_t before_ms, int64_t after_ms, int64_t offset)
{
	for (int m = JAN - 3; m < MAY + 3; m++) {
		if (close_ms(w, m) <= after_ms && (before_ms == TIME_NONE || before_ms < close_ms(w, m)))
			fake_set_number(h, fake_key("cut", m), name, offset);
	}
}

static void count(struct world *w, struct fake_shard *h, uint32_t shard, const struct fake_message *m, int64_t clock_ms)
{
	char account[64], service[64], field[160];
	int month, bucket, calls;
	if (m->tick)
		return;
	cr_assert(sscanf(m->value, "%63s %63s %d %d", account, service, &month, &calls) == 4, "%s", m->value);
	if (store_shard(span_of(account), SHARDS) != shard)
		return;
	for (bucket = month; close_ms(w, bucket) <= clock_ms; bucket++)
		;
	snprintf(field, sizeof(field), "%s/%s", account, service);
	CLEANUP(freep) char *hash = bucket == month ? xasprintf("use:%d", month) : xasprintf("late:%d:%d", month, bucket);
	cr_assert(fake_get(h, "closed", fake_key("m", bucket)) == NULL, "counts into a closed month");
	fake_set_number(h, hash, field, fake_number(h, hash, field) + calls);
	CLEANUP(freep) char *act = xasprintf("act:%s", account), *of = xasprintf("%d", month);
	if (fake_get(h, act, of) == NULL || fake_number(h, act, of) > bucket)
		fake_set_number(h, act, of, bucket);
}

static void read_part(struct world *w, uint32_t shard, const struct journal_part *p)
{
	struct fake_shard *h = &w->s.shard[shard];
	const struct fake_log *l = fake_log(&w->k, p->topic, p->partition);
	int64_t next = p->offset, clock_ms = p->clock_ms;
	const char *at = fake_get(h, "off", p->name);
	if (at != NULL) {
		char *end;
		next = strtoll(at, &end, 10);
		clock_ms = strtoll(end, NULL, 10);
	}
	for (size_t i = 0; i < l->n; i++) {
		const struct fake_message *m = &l->list[i];
		if (m->offset < next)
			continue;
		int64_t before = clock_ms;
		clock_ms = m->timestamp_ms > clock_ms ? m->timestamp_ms : clock_ms;
		note_cuts(w, h, p->name, before, clock_ms, m->offset);
		count(w, h, shard, m, clock_ms);
		next = m->offset + 1;
	}
	if (!w->blind && next < l->high)
		next = l->high;
	CLEANUP(freep) char *position = xasprintf("%" PRId64 " %" PRId64, next, clock_ms);
	fake_set(h, "off", p->name, position);
}

static void worker(struct world *w)
{
	for (uint32_t shard = 0; shard < SHARDS && w->j != NULL && !w->asleep; shard++)
		for (uint32_t i = 0; i < w->j->n_parts && (w->asleep_in == 0 || i < (uint32_t)w->asleep_in); i++)
			read_part(w, shard, &w->j->parts[i]);
}

// ---- the office
static enum relay_status office_take(struct world *w)
{
	journal_freep(&w->j);
	if (journal_load_from(&fake_port, &w->k.o, 1000, &w->j, &w->e) != ERROR_NONE)
		return RELAY_RETRY;
	return relay_take_over(w->relay, w->now_ms - 2 * hour, &w->e);
}

static void office_round(struct world *w)
{
	bool left = false, more = false;
	w->now_ms += 300;
	w->k.now_ms = w->now_ms;
	worker(w);
	w->e = (struct error){ 0 };
	w->last = relay_in_charge(w->relay) ? RELAY_DONE : office_take(w);
	if (w->last == RELAY_DONE)
		w->last = relay_drain(w->relay, w->j, NULL, &left, &w->e);
	if (w->last == RELAY_DONE)
		w->last = closer_step(w->closer, &w->j, NULL, w->now_ms, &more, &w->e);
	if (w->settles == SETTLES_BESIDE)
		closer_rest(w->closer); // the twin is for one thread at a time
	if (w->fault.fired && w->dies) {
		w->dies = false;
		office_close(w);
		office_open(w);
	}
}

static void run(struct world *w, int rounds)
{
	for (int i = 0; i < rounds; i++)
		office_round(w);
}

static bool closed(struct world *w, int month)
{
	char name[MONTH_TEXT];
	CLEANUP(freep) char *text = xasprintf("\"subject\":\"%s\"", month_text(month, name));
	int n = fake_count(&w->k, "meterd.settlements", text);
	cr_assert(n <= 1, "%d ends of run", n);
	return n == 1 && fake_pending(&w->s) == 0;
}

static void run_until_closed(struct world *w, int month)
{
	for (int i = 0; i < 3000 && !closed(w, month); i++)
		office_round(w);
	struct closer_numbers n;
	closer_numbers(w->closer, &n);
	cr_assert(closed(w, month), "waits for %s; %s", n.waits_for, w->e.text);
	run(w, 5);
}

static void event(struct world *w, int32_t partition, int64_t at_ms, const char *account, const char *service, int month, int calls)
{
	CLEANUP(freep) char *text = xasprintf("%s %s %d %d", account, service, month, calls);
	fake_event(&w->k, "usage.calls", partition, at_ms, text);
}

static const char *document(struct world *w, const char *type, const char *subject)
{
	CLEANUP(freep) char *a = xasprintf("\"type\":\"meterd.%s.v1\",\"subject\":\"%s\"", type, subject);
	const char *found = NULL;
	for (int p = 0; p < 3; p++) {
		const struct fake_log *l = fake_log(&w->k, "meterd.settlements", p);
		for (size_t i = 0; i < l->n; i++) {
			if (strstr(l->list[i].value, a) == NULL)
				continue;
			cr_assert(found == NULL, "%s comes twice", subject);
			found = l->list[i].value;
		}
	}
	return found;
}

static void expect_has(const char *text, const char *part)
{
	cr_expect(text != NULL && strstr(text, part) != NULL, "%s\nnot in\n%s", part, text != NULL ? text : "(nothing)");
}

// January: a alone reaches the second tier, b stays in the quota. Two partitions.
static void january(struct world *w)
{
	event(w, 0, month_ms(w, JAN) + day, "a", "image-tag", JAN, 999999);
	event(w, 1, month_ms(w, JAN) + day, "b", "image-crop", JAN, 10000);
	event(w, 0, month_ms(w, JAN) + 2 * day, "a", "image-tag", JAN, 10001);
	event(w, 0, month_ms(w, JAN) + 2 * day, "a", "product-recognition", JAN, 10001);
	event(w, 1, month_ms(w, JAN) + 3 * day, "beta", "image-enhance", JAN, 5000000);
}

static void pass_month(struct world *w, int month) // a record behind the close in every partition
{
	for (uint32_t p = 0; p < w->parts; p++)
		event(w, (int32_t)p, close_ms(w, month), "later", "image-crop", month + 1, 1);
}

Test(closing, documents_byte_for_byte)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	january(&w);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	char manifest_sha[65];
	snprintf(manifest_sha, sizeof(manifest_sha), "%s", journal_manifest(w.j, JAN)->sha256);
	CLEANUP(freep) char *settlement = xasprintf(
		"\"source\":\"/meterd/g\",\"type\":\"meterd.settlement.v1\",\"subject\":\"a/image-tag/2020-01\",\"time\":\"2020-01-31T16:00:00.000Z\","
		"\"datacontenttype\":\"application/json\",\"data\":{\"account\":\"a\",\"service\":\"image-tag\",\"period\":\"2020-01\",\"revision\":0,"
		"\"catalog\":\"tiia-2020-01\",\"catalog_sha256\":\"%s\",\"calls\":1010000,\"free\":10000,\"packs\":[],\"billable\":1000000,"
		"\"tier\":2,\"unit_price\":\"2.2\",\"per\":1000,\"exact\":\"2200\",\"charge\":\"2200.00\",\"currency\":\"CNY\",\"unfreeze\":\"0.00\","
		"\"freeze\":\"2222.00\",\"rounding\":\"half-up\",\"tier_basis\":\"total\",\"cutoffs\":{\"usage.calls/0\":3,\"usage.calls/1\":2},"
		"\"adjusts\":null}}", catalog_sha256(w.rules->catalog));
	expect_has(document(&w, "settlement", "a/image-tag/2020-01"), settlement);
	char tag[33], product[33];
	identity_id(SPAN_LIT("settlement\na\nimage-tag\n2020-01\n0"), tag);
	identity_id(SPAN_LIT("settlement\na\nproduct-recognition\n2020-01\n0"), product);
	CLEANUP(freep) char *statement = xasprintf("\"data\":{\"account\":\"a\",\"period\":\"2020-01\",\"revision\":0,\"lines\":[\"%s\",\"%s\"],"
		"\"charge\":\"2200.00\",\"unfreeze\":\"0.00\",\"freeze\":\"2247.00\",\"currency\":\"CNY\"}}", tag, product);
	expect_has(document(&w, "statement", "a/2020-01"), statement);
	// Charge 0.00 has a settlement, and its freeze; a month at price 0 has none.
	expect_has(document(&w, "settlement", "b/image-crop/2020-01"), "\"exact\":\"0\",\"charge\":\"0.00\",\"currency\":\"CNY\",\"unfreeze\":\"0.00\",\"freeze\":\"20.00\"");
	cr_expect(document(&w, "settlement", "beta/image-enhance/2020-01") == NULL && document(&w, "statement", "beta/2020-01") == NULL);
	CLEANUP(freep) char *end = xasprintf("\"subject\":\"2020-01\",\"time\":\"2020-01-31T16:00:00.000Z\",\"datacontenttype\":\"application/json\","
		"\"data\":{\"period\":\"2020-01\",\"accounts\":2,\"lines\":3,\"charge\":\"2200.00\",\"unfreeze\":\"0.00\",\"freeze\":\"2267.00\","
		"\"adjustments\":0,\"difference\":\"0.00\",\"currency\":\"CNY\",\"manifest_sha256\":\"%s\"}}", manifest_sha);
	expect_has(document(&w, "period.closed", "2020-01"), end);
	const struct journal_manifest *m = journal_manifest(w.j, JAN);
	cr_expect(m->counters == 4 && m->calls == 999999 + 10000 + 10001 + 10001 + 5000000 && m->rules_version == 1);
	struct closer_numbers n;
	closer_numbers(w.closer, &n);
	cr_expect(n.wait_month == FEB && n.closed_month == JAN && n.closes_ms == close_ms(&w, FEB));
	cr_expect(n.open_month == FEB && n.closed_ms == month_ms(&w, FEB) && n.due_ms == month_ms(&w, MAR) + 3 * day && n.statements == 2 && n.lines == 3);
	expect_has(n.waits_for, "record clock of usage.calls/0 and 1 more");
	const char *line = fake_get(&w.s.shard[store_shard(SPAN_LIT("a"), SHARDS)], fake_key("set", JAN), "a/image-tag");
	cr_expect_str_eq(line, "{\"revision\":0,\"calls\":1010000,\"free\":10000,\"packs\":{},\"billable\":1000000,\"charge_fen\":220000,\"unfreeze_fen\":0,"
			   "\"freeze_fen\":222200}");
	world_close(&w);
}

static pthread_t office;
static long scans, scans_in_office;

static void scanned(void)
{
	scans++;
	scans_in_office += pthread_equal(pthread_self(), office) != 0;
}

static enum error_class scan_counters(struct store *s, uint32_t shard, int month, int adjust, store_scan_fn *fn, void *ctx, struct error *e)
{
	scanned();
	return fake_scan_counters(s, shard, month, adjust, fn, ctx, e);
}

static enum error_class scan_settled(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	scanned();
	return fake_scan_settled(s, shard, month, fn, ctx, e);
}

// A month of many accounts takes seconds to read: alerts go out meanwhile.
Test(closing, a_month_is_read_beside_the_relay)
{
	struct store_ops ops = fake_store_ops;
	struct world w;
	ops.scan_counters = scan_counters;
	ops.scan_settled = scan_settled;
	office = pthread_self();
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	w.s.s.ops = &ops;
	w.settles = SETTLES_BESIDE;
	office_close(&w);
	office_open(&w);
	january(&w);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	cr_expect(scans == 3 * SHARDS, "%ld", scans); // totals, accounts, the end of the run
	cr_expect(scans_in_office == 0, "%ld", scans_in_office);
	world_close(&w);
}

// The end of run comes behind everything else, also in the topic's time.
Test(closing, end_of_run_is_last)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	w.outbox_most = 3;
	office_close(&w);
	office_open(&w);
	for (int i = 0; i < 300; i++) {
		CLEANUP(freep) char *account = xasprintf("account-%d", i);
		event(&w, i % 2, month_ms(&w, JAN) + day, account, "image-tag", JAN, 20000);
	}
	pass_month(&w, JAN);
	for (int i = 0; i < 3000 && fake_count(&w.k, "meterd.settlements", "period.closed") == 0; i++) {
		const struct fake_shard *h = &w.s.shard[0];
		office_round(&w);
		bool ends = h->n_out > 0 && strcmp(h->out[h->n_out - 1].identity, "closed\n2020-01") == 0;
		cr_assert(!ends || fake_pending(&w.s) == 1, "%d wait beside the end of run", (int)fake_pending(&w.s));
	}
	cr_expect(fake_count(&w.k, "meterd.settlements", "settlement.v1") == 300 && fake_count(&w.k, "meterd.settlements", "statement.v1") == 300);
	expect_has(document(&w, "period.closed", "2020-01"), "\"accounts\":300,\"lines\":300,\"charge\":\"7500.00\"");
	world_close(&w);
}

static void quarter(struct world *w)
{
	january(w);
	pass_month(w, JAN);
	event(w, 1, close_ms(w, JAN) + 1, "a", "image-tag", JAN, 77); // late: adjusted with February
	event(w, 0, close_ms(w, JAN) + 5, "b", "image-crop", FEB, 20000);
	pass_month(w, FEB);
	pass_month(w, MAR);
}

Test(closing, freeze_and_unfreeze_over_months)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	quarter(&w);
	run_until_closed(&w, MAR);
	// a: nothing in February, so only the unfreeze, tier 1 and its price; then nothing.
	expect_has(document(&w, "settlement", "a/image-tag/2020-02"), "\"calls\":0,\"free\":0,\"packs\":[],\"billable\":0,\"tier\":1,\"unit_price\":\"2.5\","
		"\"per\":1000,\"exact\":\"0\",\"charge\":\"0.00\",\"currency\":\"CNY\",\"unfreeze\":\"2222.00\",\"freeze\":\"0.00\"");
	cr_expect(document(&w, "settlement", "a/image-tag/2020-03") == NULL && document(&w, "statement", "a/2020-03") == NULL);
	expect_has(document(&w, "settlement", "b/image-crop/2020-02"), "\"charge\":\"20.00\",\"currency\":\"CNY\",\"unfreeze\":\"20.00\",\"freeze\":\"40.00\"");
	expect_has(document(&w, "settlement", "b/image-crop/2020-03"), "\"charge\":\"0.00\",\"currency\":\"CNY\",\"unfreeze\":\"40.00\",\"freeze\":\"0.00\"");
	expect_has(document(&w, "period.closed", "2020-02"), "\"accounts\":3,");
	cr_expect(w.j->n_manifests == 3);
	world_close(&w);
}

// The quarter, and an account with a contract, packs, and late calls in every month, some of them of a month before.
static void said(struct world *w, const char *record)
{
	fake_event(&w->k, "meterd.accounts", 0, w->now_ms, record);
}

static void full_quarter(struct world *w)
{
	int64_t jan = close_ms(w, JAN), feb = close_ms(w, FEB);
	said(w, "{\"type\":\"pack\",\"account\":\"p\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\",\"image-crop\"],\"calls\":9000,"
		"\"price\":\"10.00\",\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-06-01T00:00:00+08:00\"}");
	said(w, "{\"type\":\"pack\",\"account\":\"p\",\"id\":\"p-2\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":3000,"
		"\"price\":\"10.00\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2020-07-01T00:00:00+08:00\"}");
	said(w, "{\"type\":\"contract\",\"account\":\"p\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-02\",\"services\":[{\"service\":\"image-crop\","
		"\"prices\":{\"model\":\"volume\",\"per\":1000,\"tiers\":[{\"from\":0,\"price\":\"1\"}]},\"free\":{\"calls\":1000}}]}");
	january(w);
	event(w, 0, month_ms(w, JAN) + 4 * day, "p", "image-tag", JAN, 13000);
	event(w, 0, month_ms(w, JAN) + 4 * day, "p", "image-crop", JAN, 12000);
	pass_month(w, JAN);
	event(w, 1, jan + 1, "a", "image-tag", JAN, 77);
	event(w, 0, jan + 5, "b", "image-crop", FEB, 20000);
	event(w, 0, jan + 6, "p", "image-tag", JAN, 2000);
	event(w, 0, jan + 7, "p", "image-crop", FEB, 2500);
	event(w, 0, jan + 8, "q", "image-tag", JAN, 10500); // nothing but late calls
	pass_month(w, FEB);
	event(w, 1, feb + 1, "p", "image-crop", FEB, 4000);
	event(w, 1, feb + 2, "p", "image-tag", JAN, 1000);
	event(w, 1, feb + 3, "p", "image-tag", MAR, 11000);
	pass_month(w, MAR);
}

Test(closing, packs_and_adjustments_over_months)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	full_quarter(&w);
	run_until_closed(&w, MAR);
	// January: tag takes 3,000 of p-1, crop 2,000. With February: 2,000 late tag calls take p-1, then crop's own 1,500 do. With March: January's
	// late tag call 1,000 takes the last 500 of p-1 and 500 of p-2, before February's late crop calls, which nothing covers; then March 1,000 of p-2.
	const struct fake_shard *h = &w.s.shard[store_shard(SPAN_LIT("p"), SHARDS)];
	cr_expect_str_eq(fake_get(h, "pk", "p"), "2020-03 p-1=9000 p-2=1500");
	cr_expect_str_eq(fake_get(h, fake_key("set", JAN), "p/image-tag"), "{\"revision\":0,\"calls\":13000,\"free\":10000,\"packs\":{\"p-1\":3000},"
			 "\"billable\":0,\"charge_fen\":0,\"unfreeze_fen\":0,\"freeze_fen\":3250}", "what was settled stays");
	cr_expect(strstr(fake_get(h, fake_key("set", JAN), "#rev/p"), "{\"revision\":2,\"lines\":[{\"service\":\"image-tag\",\"revision\":2,\"calls\":16000,"
			 "\"free\":10000,\"packs\":{\"p-1\":5500,\"p-2\":500},\"billable\":0,") != NULL);
	cr_expect(strstr(fake_get(h, fake_key("set", FEB), "#rev/p"), "\"calls\":6500,\"free\":1000,\"packs\":{\"p-1\":1500},\"billable\":4000,"
			 "\"charge_fen\":400,") != NULL, "%s", fake_get(h, fake_key("set", FEB), "#rev/p"));
	cr_expect(w.j->manifests[0].n_accounts == 1 && w.j->manifests[0].accounts[0].offset == 3);
	expect_has(document(&w, "period.closed", "2020-02"), "\"adjustments\":3,\"difference\":\"1.42\"");
	expect_has(document(&w, "period.closed", "2020-03"), "\"adjustments\":2,\"difference\":\"4.00\"");
	world_close(&w);
}

// ---- extremes
// As many packs as an account may have, with the longest ids: each gives its calls, the rest is billed, and the line still fits a record
// of Kafka's usual size.
Test(closing, an_account_full_of_packs, .timeout = 300)
{
	struct world w;
	int given = 0;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	for (uint32_t i = 0; i < ACCOUNT_PACKS_MOST; i++) {
		CLEANUP(freep) char *text = xasprintf("{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-%062u\",\"version\":1,\"services\":[\"image-tag\"],"
			"\"calls\":3,\"price\":\"1\",\"start\":\"2020-01-15T00:00:00+08:00\",\"expiry\":\"2020-06-01T00:00:00+08:00\"}", i);
		said(&w, text);
	}
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 10000 + 3 * ACCOUNT_PACKS_MOST - 2);
	pass_month(&w, JAN);
	event(&w, 0, close_ms(&w, JAN) + 1, "a", "image-tag", JAN, 1002); // late: the last pack's two calls, then the bill
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	for (int p = 0; p < 3; p++) {
		const struct fake_log *l = fake_log(&w.k, "meterd.settlements", p);
		for (size_t i = 0; i < l->n; i++) {
			bool late = strstr(l->list[i].value, "\"revision\":1,") != NULL;
			if (strstr(l->list[i].value, "\"service\":\"image-tag\",\"period\":\"2020-01\"") == NULL)
				continue;
			int packs = 0;
			for (const char *at = l->list[i].value; (at = strstr(at, "{\"id\":\"p-")) != NULL; at++)
				packs++;
			cr_expect_eq(packs, ACCOUNT_PACKS_MOST);
			expect_has(l->list[i].value, late ? "\"calls\":41000,\"free\":10000,\"packs\":[" : "\"calls\":39998,\"free\":10000,\"packs\":[");
			expect_has(l->list[i].value, late ? "],\"billable\":1000,\"tier\":1,\"unit_price\":\"2.5\",\"per\":1000,\"exact\":\"2.5\"," :
				   "],\"billable\":0,");
			size_t grown = strlen(l->list[i].value) + (size_t)packs * 15; // had each given as many calls as can be
			cr_expect(grown < 1000000, "%zu bytes", grown);
			given++;
		}
	}
	cr_expect_eq(given, 2);
	world_close(&w);
}

// Each step is one call of the store: its size is bounded, however many services the accounts use.
Test(closing, a_step_is_bounded_by_lines)
{
	static const char *const services[] = { "image-tag", "product-recognition", "product-recognition-wechat", "celebrity-recognition",
		"vehicle-recognition", "image-crop", "image-quality" };
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	for (int i = 0; i < 400; i++) {
		CLEANUP(freep) char *account = xasprintf("account-%d", i);
		for (size_t s = 0; s < ARRAY_LEN(services); s++)
			event(&w, 0, month_ms(&w, JAN) + day, account, services[s], JAN, 11000);
	}
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	expect_has(document(&w, "period.closed", "2020-01"), "\"accounts\":400,\"lines\":2800,");
	cr_expect(w.s.most_lines > 700 && w.s.most_lines < 1000 + ARRAY_LEN(services), "%u lines in one step", w.s.most_lines);
	world_close(&w);
}

// A bill that no amount can hold is never published: closing stops and says whose it is.
Test(closing, a_bill_beyond_all_amounts_stops)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	said(&w, "{\"type\":\"contract\",\"account\":\"a\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-01\",\"services\":[{\"service\":\"image-tag\","
		 "\"prices\":{\"model\":\"flat\",\"per\":1,\"price\":\"1000000\"},\"free\":{\"calls\":0}}]}");
	for (int i = 0; i < 47; i++)
		event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 2000000000);
	pass_month(&w, JAN);
	run(&w, 100);
	cr_expect(w.last == RELAY_HALT);
	cr_expect_str_eq(w.e.text, "account a, service image-tag: the bill of 94000000000 calls is larger than an amount can be (92233720368547758.07); "
			 "the month cannot be settled at this price");
	cr_expect(document(&w, "settlement", "a/image-tag/2020-01") == NULL && w.s.settles == 0);
	world_close(&w);
}

// Facts that come in behind a manifest, and a process that ends right there: the month's bills take exactly what its manifest names.
Test(closing, a_restart_takes_the_manifest_s_contracts_and_no_later_ones)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 12000);
	said(&w, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":1,\"services\":[\"image-tag\"],\"calls\":500,"
		"\"price\":\"1.00\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}");
	pass_month(&w, JAN);
	for (int i = 0; i < 100 && (w.j == NULL || w.j->n_manifests == 0); i++)
		office_round(&w);
	cr_assert(w.j->n_manifests == 1 && w.s.settles == 0);
	said(&w, "{\"type\":\"pack\",\"account\":\"a\",\"id\":\"p-1\",\"version\":2,\"services\":[\"image-tag\"],\"calls\":5000,"
		"\"price\":\"1.00\",\"start\":\"2020-01-01T00:00:00+08:00\",\"expiry\":\"2021-01-01T00:00:00+08:00\"}");
	office_close(&w);
	office_open(&w);
	run_until_closed(&w, JAN);
	expect_has(document(&w, "settlement", "a/image-tag/2020-01"), "\"packs\":[{\"id\":\"p-1\",\"calls\":500}],\"billable\":1500,");
	event(&w, 0, close_ms(&w, JAN) + 1, "a", "image-tag", FEB, 12000); // version 2 holds for February, less what was taken
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	expect_has(document(&w, "settlement", "a/image-tag/2020-02"), "\"packs\":[{\"id\":\"p-1\",\"calls\":2000}],\"billable\":0,");
	world_close(&w);
}

// The accounts topic lost what a month was closed with: closing stops and says so, and goes on once the records are back.
Test(closing, contracts_that_are_gone_stop_closing)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 12000);
	said(&w, "{\"type\":\"activation\",\"account\":\"a\",\"id\":\"1\",\"version\":1,\"time\":\"2020-01-01T00:00:00Z\"}");
	pass_month(&w, JAN);
	for (int i = 0; i < 100 && (w.j == NULL || w.j->n_manifests == 0); i++)
		office_round(&w);
	struct fake_log *l = fake_log(&w.k, "meterd.accounts", 0), empty = { 0 }, full = *l;
	*l = empty;
	office_close(&w);
	office_open(&w);
	run(&w, 50);
	cr_expect(w.last == RELAY_HALT && strstr(w.e.text, "below offset 1 of meterd.accounts/0, which ends at 0 now") != NULL, "%s", w.e.text);
	cr_expect(w.s.settles == 0);
	*l = full;
	run_until_closed(&w, JAN);
	world_close(&w);
}

// A look at the counters after a change, which finds no alert.
static void look_send(struct store *s, struct commit *c)
{
	(void)s, (void)c;
}

static bool look_receive(struct store *s, int timeout_ms, struct commit_result *ret)
{
	(void)s, (void)timeout_ms;
	*ret = (struct commit_result){ .status = COMMIT_DONE };
	return true;
}

// A price is corrected once January is closed: its late calls are still rated by what January's manifest names, its own month by the new one.
Test(closing, a_price_correction_does_not_reach_a_settled_month)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 12000);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	struct store_ops with_looks = fake_store_ops;
	with_looks.commit_send = look_send;
	with_looks.commit_receive = look_receive;
	w.s.s.ops = &with_looks;
	CLEANUP(rules_freep) struct rules *dear = some_rules(CLOCK_RECORDS, "{from: 0, price: 2.5}", "{from: 0, price: 5}");
	CLEANUP(freep) char *record = journal_rules_record(2, close_ms(&w, JAN), dear);
	fake_event(&w.k, "meterd.control", 0, 1, record);
	office_close(&w);
	office_open(&w);
	event(&w, 0, close_ms(&w, JAN) + 1, "a", "image-tag", JAN, 1000);
	event(&w, 0, close_ms(&w, JAN) + 2, "a", "image-tag", FEB, 11000);
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	CLEANUP(freep) char *all = fake_values(&w.k, "meterd.settlements");
	CLEANUP(freep) char *old_hash = xasprintf("\"period\":\"2020-01\",\"revision\":1,\"catalog\":\"tiia-2020-01\",\"catalog_sha256\":\"%s\",\"calls\":13000,",
						  catalog_sha256(w.rules->catalog));
	expect_has(all, old_hash);
	expect_has(all, "\"exact\":\"7.5\",\"charge\":\"7.50\"");
	expect_has(document(&w, "settlement", "a/image-tag/2020-02"), "\"exact\":\"5\",\"charge\":\"5.00\"");
	world_close(&w);
}

// Every call to store or Kafka fails once, lost or with its reply lost, every second time the process ends too: the same bytes, each once.
static void full_world(struct world *w)
{
	world_open(w, CLOCK_RECORDS, 2, NULL, NULL);
	full_quarter(w);
}

// Each call to the twins fails once, before or after it took effect. `begin` makes a world in which `month` is still to be closed.
static void expect_faults_change_nothing(void (*begin)(struct world *), int month, long least)
{
	struct world w;
	begin(&w);
	w.fault = (struct fake_fault){ 0 };
	run_until_closed(&w, month);
	long calls = w.fault.calls;
	CLEANUP(freep) char *documents = fake_values(&w.k, "meterd.settlements"), *control = fake_values(&w.k, "meterd.control");
	world_close(&w);
	cr_assert(calls > least);
	for (long k = 0; k < calls * 2; k++) {
		begin(&w);
		w.fault = (struct fake_fault){ .at = 1 + k / 2, .how = k % 2 == 0 ? FAKE_LOST : FAKE_REPLY_LOST };
		w.dies = (k / 2 + k) % 2 == 0;
		run_until_closed(&w, month);
		CLEANUP(freep) char *now = fake_values(&w.k, "meterd.settlements"), *decided = fake_values(&w.k, "meterd.control");
		cr_assert_str_eq(now, documents, "fault %ld", k);
		cr_assert_str_eq(decided, control, "fault %ld", k);
		world_close(&w);
	}
}

Test(closing, a_fault_at_any_call_changes_nothing, .timeout = 600)
{
	expect_faults_change_nothing(full_world, MAR, 300);
}

// February with corrections of January: of an account with late calls too, of one that nobody counted, and one that does not fit any more.
#define PRICES_OF_C_1 "{\"model\":\"volume\",\"per\":1000,\"bounds\":\"lower-inclusive\",\"tier_basis\":\"total\",\"tiers\":[{\"from\":0,\"price\":\"2.4\"}," \
	"{\"from\":1000000,\"price\":\"2\"}],\"rounding\":\"half-up\"}"
static void corrected_february(struct world *w)
{
	world_open(w, CLOCK_RECORDS, 2, NULL, NULL);
	january(w);
	pass_month(w, JAN);
	run_until_closed(w, JAN);
	said(w, "{\"type\":\"correction\",\"account\":\"a\",\"id\":\"c-1\",\"version\":1,\"after\":\"2020-01\",\"reason\":\"r\",\"question\":{},\"lines\":[{\"period\":\"2020-01\","
		"\"service\":\"image-tag\",\"was\":{\"revision\":0,\"calls\":1010000,\"free\":10000,\"packs\":[],\"billable\":1000000,\"charge\":\"2200.00\"},"
		"\"becomes\":{\"calls\":1000000,\"free\":10000,\"packs\":[],\"billable\":990000,\"charge\":\"1980.00\",\"prices\":" PRICES_OF_C_1 "}}]}");
	for (const char *account = "yz"; *account != '\0'; account++) {
		CLEANUP(freep) char *text = xasprintf("{\"type\":\"correction\",\"account\":\"%c\",\"id\":\"c-1\",\"version\":1,\"after\":\"2020-01\",\"reason\":\"r\",\"question\":{},"
			"\"lines\":[{\"period\":\"2020-0%d\",\"service\":\"image-crop\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,"
			"\"charge\":\"0.00\"}}]}", *account, *account == 'y' ? 2 : 1);
		said(w, text);
	}
	event(w, 1, close_ms(w, JAN) + 1, "a", "image-tag", JAN, 1000);
	event(w, 0, close_ms(w, JAN) + 2, "b", "image-crop", FEB, 20000);
	pass_month(w, FEB);
}

Test(closing, corrections_before_late_calls)
{
	struct world w;
	corrected_february(&w);
	run_until_closed(&w, FEB);
	CLEANUP(freep) char *documents = fake_values(&w.k, "meterd.settlements");
	expect_has(documents, "\"exact\":\"1980\",\"charge\":\"1980.00\",\"correction\":\"c-1\",\"prices\":" PRICES_OF_C_1 ",\"currency\"");
	expect_has(documents, "\"exact\":\"1982\",\"charge\":\"1982.00\",\"corrected\":\"c-1\",\"prices\":" PRICES_OF_C_1 ",\"currency\"");
	expect_has(document(&w, "settlement", "z/image-crop/2020-01"), "\"revision\":1,");
	expect_has(document(&w, "period.closed", "2020-02"), "\"adjustments\":3,\"difference\":\"-218.00\"");
	struct closer_numbers n;
	closer_numbers(w.closer, &n);
	cr_expect(n.corrected == 2 && n.passed_over == 1);
	cr_expect(w.j->n_manifests == 2 && !w.j->manifests[0].corrects && w.j->manifests[1].corrects);
	cr_expect(document(&w, "settlement", "y/image-crop/2020-02") == NULL && document(&w, "statement", "z/2020-02") == NULL);
	world_close(&w);
}

// An account that only a correction brought is counted as settled also where that was before the fault: the bill is not what the
// correction expects any more, since it was made.
Test(closing, a_fault_at_any_call_with_corrections_changes_nothing, .timeout = 600)
{
	expect_faults_change_nothing(corrected_february, FEB, 60);
}

// Many accounts are corrected at once: steps stay bounded, and nobody is left out.
Test(closing, corrections_of_many_accounts)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	january(&w);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	for (int i = 0; i < 900; i++) {
		CLEANUP(freep) char *text = xasprintf("{\"type\":\"correction\",\"account\":\"m-%d\",\"id\":\"c\",\"version\":1,\"after\":\"2020-01\",\"reason\":\"r\",\"question\":{},\"lines\":["
			"{\"period\":\"2020-01\",\"service\":\"image-crop\",\"becomes\":{\"calls\":10500,\"free\":10000,\"packs\":[],\"billable\":500,"
			"\"charge\":\"1.00\"}},{\"period\":\"2020-01\",\"service\":\"image-tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,"
			"\"charge\":\"0.00\"}}]}", i);
		said(&w, text);
	}
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	expect_has(document(&w, "period.closed", "2020-02"), "\"adjustments\":1800,\"difference\":\"900.00\"");
	expect_has(document(&w, "statement", "m-899/2020-01"), "\"revision\":1,");
	world_close(&w);
}

static void wake_up(void *ctx)
{
	struct world *w = ctx;
	w->asleep_in = 0;
	worker(w);
}

// The slower of two partitions brings an earlier month, and its clock passes every close, between any two calls of a step that began
// when only the faster one was known: the first month is still the earlier one.
Test(closing, an_earlier_first_month_comes_in_the_middle_of_a_step, .timeout = 600)
{
	bool fired = true;
	long at = 1;
	for (; fired; at++) {
		struct world w;
		world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
		w.asleep_in = 1;
		event(&w, 0, month_ms(&w, FEB), "a", "image-tag", FEB, 1);
		event(&w, 0, close_ms(&w, FEB), "a", "image-tag", MAR, 1);
		run(&w, 1); // takes over, reads, finds that partition 1 is to be waited for
		event(&w, 1, month_ms(&w, JAN), "b", "image-tag", JAN, 1);
		event(&w, 1, close_ms(&w, FEB), "b", "image-tag", MAR, 1);
		w.fault = (struct fake_fault){ .at = at, .also = wake_up, .ctx = &w };
		run(&w, 1);
		fired = w.fault.fired;
		w.fault = (struct fake_fault){ 0 };
		w.asleep_in = 0;
		run_until_closed(&w, FEB);
		cr_assert(w.j->manifests[0].month == JAN, "call %ld", at);
		expect_has(document(&w, "period.closed", "2020-01"), "\"accounts\":1");
		world_close(&w);
	}
	cr_assert(at > 10, "%ld calls in a step", at);
}

// A shard goes back to an earlier state at any call, in the middle of a step too: the worker reads again, and nothing else goes out.
struct rollback {
	struct world *w;
	uint32_t shard;
	bool taken;
	struct fake_shard before;
};

static void roll_back(void *ctx)
{
	struct rollback *r = ctx;
	if (!r->taken)
		return;
	fake_shard_free(&r->w->s.shard[r->shard]);
	r->w->s.shard[r->shard] = r->before;
	r->taken = false;
}

// What takes long is done late, when shards may stand elsewhere.
static void late_world(struct world *w)
{
	full_world(w);
	w->settles = SETTLES_LATE;
	office_close(w);
	office_open(w);
}

static void expect_rollbacks_change_nothing(void (*begin)(struct world *), int month)
{
	struct world w;
	begin(&w);
	w.fault = (struct fake_fault){ 0 };
	run_until_closed(&w, month);
	long calls = w.fault.calls;
	CLEANUP(freep) char *documents = fake_values(&w.k, "meterd.settlements"), *control = fake_values(&w.k, "meterd.control");
	world_close(&w);
	for (long i = 0; i < calls * SHARDS; i++) {
		long k = 1 + i / SHARDS;
		begin(&w);
		struct rollback r = { .w = &w, .shard = (uint32_t)(i % SHARDS) };
		w.fault = (struct fake_fault){ .at = k, .how = i % 5 == 0 ? FAKE_LOST : FAKE_OK, .also = roll_back, .ctx = &r };
		w.dies = i % 5 == 0;
		while (w.fault.calls < k * (i * 3 % 8) / 8)
			office_round(&w);
		r.before = fake_copy(&w.s.shard[r.shard]);
		r.taken = true;
		run_until_closed(&w, month);
		CLEANUP(freep) char *now = fake_values(&w.k, "meterd.settlements"), *decided = fake_values(&w.k, "meterd.control");
		cr_assert_str_eq(now, documents, "rollback at %ld", k);
		cr_assert_str_eq(decided, control, "rollback at %ld", k);
		if (r.taken)
			fake_shard_free(&r.before);
		world_close(&w);
	}
}

Test(closing, a_shard_that_rolls_back_changes_nothing, .timeout = 600)
{
	expect_rollbacks_change_nothing(full_world, MAR);
}

Test(closing, a_shard_that_rolls_back_changes_nothing_late, .timeout = 600)
{
	expect_rollbacks_change_nothing(late_world, MAR);
}

// A halt is told of until something is done again, not only begun.
static void expect_steady_halt(enum settles settles)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	w.settles = settles;
	office_close(&w);
	office_open(&w);
	january(&w);
	event(&w, 0, month_ms(&w, JAN) + 3 * day, "a", "no-such-service", JAN, 5);
	pass_month(&w, JAN);
	for (int i = 0; i < 40 && w.last != RELAY_HALT; i++)
		office_round(&w);
	for (int i = 0; i < 40; i++) {
		office_round(&w);
		cr_expect(w.last == RELAY_HALT && strstr(w.e.text, "no such service") != NULL, "round %d: %d %s", i, w.last, w.e.text);
	}
	struct fake_shard *h = &w.s.shard[store_shard(SPAN_LIT("a"), SHARDS)];
	struct fake_cell *wrong = fake_cell(h, fake_key("use", JAN), "a/no-such-service");
	free(wrong->field);
	wrong->field = xstrdup("a/image-crop"); // a person has put it right
	run_until_closed(&w, JAN);
	world_close(&w);
}

Test(closing, a_halt_is_steady)
{
	expect_steady_halt(SETTLES_WITHIN);
	expect_steady_halt(SETTLES_LATE);
	expect_steady_halt(SETTLES_BESIDE);
}

Test(closing, a_shard_that_rolls_back_with_corrections_changes_nothing, .timeout = 600)
{
	expect_rollbacks_change_nothing(corrected_february, FEB);
}

Test(closing, idle_partition_gets_one_tick_at_the_close)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 3, NULL, NULL);
	w.parts = 2;
	january(&w);
	pass_month(&w, JAN); // partition 2 never sees a record
	run_until_closed(&w, JAN);
	const struct fake_log *l = fake_log(&w.k, "usage.calls", 2);
	cr_assert(l->n == 1 && l->list[0].tick && l->list[0].value_n == 0 && l->list[0].timestamp_ms == close_ms(&w, JAN));
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 4, "no tick where records are");
	expect_has(document(&w, "settlement", "b/image-crop/2020-01"), "\"usage.calls/2\":0}");
	run(&w, 300);
	cr_expect(l->n == 1);
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	cr_expect(l->n == 2 && l->list[1].timestamp_ms == close_ms(&w, FEB));
	world_close(&w);
}

// A reader that cannot step over the marker behind a tick stands still below the end: that is the end.
Test(closing, ticks_go_on_behind_markers)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 3, NULL, NULL);
	w.blind = true;
	w.parts = 2;
	january(&w);
	pass_month(&w, JAN);
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	cr_expect(fake_log(&w.k, "usage.calls", 2)->n == 2);
	world_close(&w);
}

Test(closing, wall_clock_ticks_after_the_close_only)
{
	struct world w;
	world_open(&w, CLOCK_WALL, 2, NULL, NULL);
	january(&w);
	w.now_ms = close_ms(&w, JAN) - 10000;
	run(&w, 30); // 9 s
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 3 && w.j->n_manifests == 0);
	w.now_ms = close_ms(&w, JAN) - 300;
	run(&w, 3); // 600 ms behind it: not yet
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 3);
	free(w.s.request);
	w.s.request = xstrdup("{\"kind\":\"close\",\"period\":\"2020-01\"}");
	run(&w, 1);
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 4 && w.s.request == NULL, "asked: at once");
	cr_expect(fake_log(&w.k, "usage.calls", 0)->list[3].timestamp_ms >= close_ms(&w, JAN));
	run_until_closed(&w, JAN);
	cr_expect(fake_log(&w.k, "usage.calls", 1)->n == 3);
	w.now_ms = close_ms(&w, FEB) + 5000; // nothing at all in February
	run_until_closed(&w, FEB);
	expect_has(document(&w, "period.closed", "2020-02"), "\"accounts\":2,\"lines\":3,\"charge\":\"0.00\",\"unfreeze\":\"2267.00\",\"freeze\":\"0.00\"");
	w.now_ms = close_ms(&w, MAR) + 5000;
	run_until_closed(&w, MAR);
	expect_has(document(&w, "period.closed", "2020-03"), "\"accounts\":0,\"lines\":0,\"charge\":\"0.00\",\"unfreeze\":\"0.00\",\"freeze\":\"0.00\"");
	world_close(&w);
}

// Records that wait to be read: no tick, whatever the clock says.
Test(closing, no_tick_in_front_of_a_backlog)
{
	struct world w;
	world_open(&w, CLOCK_WALL, 1, NULL, NULL);
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 5);
	run(&w, 3);
	w.asleep = true;
	event(&w, 0, month_ms(&w, JAN) + 2 * day, "a", "image-tag", JAN, 5);
	w.now_ms = close_ms(&w, JAN) + 2000;
	run(&w, 20); // 6 s
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 2 && w.j->n_manifests == 0);
	run(&w, 300); // nobody reads for 90 s: that looks like the end once, and never again
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 3 && w.j->n_manifests == 0);
	w.asleep = false;
	run_until_closed(&w, JAN);
	expect_has(document(&w, "settlement", "a/image-tag/2020-01"), "\"calls\":10,");
	cr_expect(fake_log(&w.k, "usage.calls", 0)->n == 3);
	world_close(&w);
}

Test(closing, new_partition_is_admitted_behind_the_newest_manifest)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	january(&w);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	w.k.topics[0].partitions = 3;
	event(&w, 2, month_ms(&w, JAN), "c", "image-tag", JAN, 5); // late there, although its stamp is early
	w.now_ms += 31000;
	run(&w, 5);
	const struct journal_part *p = journal_part(w.j, SPAN_LIT("usage.calls/2"));
	cr_assert(p != NULL && p->offset == 0 && p->clock_ms == close_ms(&w, JAN));
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	cr_expect(journal_manifest(w.j, FEB)->n_cuts == 3 && journal_manifest(w.j, JAN)->n_cuts == 2);
	cr_expect(fake_number(&w.s.shard[store_shard(SPAN_LIT("c"), SHARDS)], "late:24240:24241", "c/image-tag") == 5);
	world_close(&w);
}

// Closing begins with the first month that anything counts for, late calls included, and only once nothing earlier can come.
Test(closing, first_month)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	event(&w, 0, month_ms(&w, MAR), "a", "image-tag", MAR, 1);
	event(&w, 0, month_ms(&w, MAR) + 5 * day, "a", "image-tag", JAN, 1);  // late, adjusted with March
	event(&w, 0, month_ms(&w, MAR) + 5 * day, "a", "image-tag", FEB, 1);
	event(&w, 0, close_ms(&w, MAR), "a", "image-tag", APR, 1);
	run(&w, 1);
	w.asleep_in = 1;
	event(&w, 1, month_ms(&w, FEB), "b", "image-tag", FEB, 1);
	run(&w, 20);
	cr_expect(w.j->n_manifests == 0, "partition 1 could still bring anything");
	w.asleep_in = 0;
	run_until_closed(&w, MAR);
	cr_expect(w.j->n_manifests == 2 && w.j->manifests[0].month == FEB, "late calls of January go with March");
	expect_has(document(&w, "period.closed", "2020-02"), "\"accounts\":1");
	expect_has(document(&w, "period.closed", "2020-03"), "\"accounts\":1");
	struct closer_numbers n;
	closer_numbers(w.closer, &n);
	cr_expect(n.open_month == APR);
	world_close(&w);
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	event(&w, 0, month_ms(&w, MAR) + 5 * day, "a", "image-tag", JAN, 1); // late and nothing else before March
	event(&w, 0, month_ms(&w, MAR) + 5 * day, "a", "image-tag", MAR, 1);
	run(&w, 20);
	closer_numbers(w.closer, &n); // January is not overdue: it waits for March
	cr_expect(n.open_month == JAN && n.wait_month == MAR && n.closed_month == MONTH_NONE);
	cr_expect(n.closes_ms == close_ms(&w, MAR) && n.due_ms == month_ms(&w, APR) + 3 * day);
	pass_month(&w, MAR);
	run_until_closed(&w, MAR);
	cr_expect(w.j->n_manifests == 3 && w.j->manifests[0].month == JAN);
	expect_has(document(&w, "period.closed", "2020-01"), "\"accounts\":0");
	world_close(&w);
}

Test(closing, nothing_counted_nothing_closed)
{
	struct world w;
	struct closer_numbers n;
	world_open(&w, CLOCK_WALL, 1, NULL, NULL);
	w.now_ms = month_ms(&w, MAY);
	run(&w, 20);
	closer_numbers(w.closer, &n);
	cr_expect(n.open_month == MONTH_NONE && n.wait_month == MONTH_NONE && n.closed_month == MONTH_NONE && w.j->n_manifests == 0 && fake_log(&w.k, "usage.calls", 0)->n == 0);
	expect_has(n.waits_for, "first call");
	world_close(&w);
}

// image-tag-legacy: quota from the month behind activation on; ends with April, so April freezes nothing.
Test(closing, quota_from_the_second_month_and_a_service_that_ends)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, NULL, NULL);
	event(&w, 0, month_ms(&w, MAR) + day, "a", "image-tag-legacy", MAR, 20000);
	pass_month(&w, MAR);
	event(&w, 0, close_ms(&w, MAR) + 1, "a", "image-tag-legacy", APR, 20000);
	pass_month(&w, APR);
	run_until_closed(&w, APR);
	expect_has(document(&w, "settlement", "a/image-tag-legacy/2020-03"), "\"calls\":20000,\"free\":0,\"packs\":[],\"billable\":20000,\"tier\":1,"
		"\"unit_price\":\"0.0011\",\"per\":1,\"exact\":\"22\",\"charge\":\"22.00\"");
	expect_has(document(&w, "settlement", "a/image-tag-legacy/2020-04"), "\"calls\":20000,\"free\":10000,\"packs\":[],\"billable\":10000,");
	expect_has(document(&w, "settlement", "a/image-tag-legacy/2020-04"), "\"charge\":\"11.00\",\"currency\":\"CNY\",\"unfreeze\":\"22.00\",\"freeze\":\"0.00\"");
	world_close(&w);
}

// Without calls nothing is charged, whatever fee the plan has.
Test(closing, unfreeze_only_has_no_fee)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, "        tiers:\n          - {from: 0, price: 2.5}\n",
		   "        fee_at_zero: true\n        tiers:\n          - {from: 0, price: 2.5, fee: 10}\n");
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 10000);
	pass_month(&w, JAN);
	pass_month(&w, FEB);
	run_until_closed(&w, FEB);
	expect_has(document(&w, "settlement", "a/image-tag/2020-01"), "\"charge\":\"10.00\"");
	expect_has(document(&w, "settlement", "a/image-tag/2020-02"), "\"calls\":0,\"free\":0,\"packs\":[],\"billable\":0,\"tier\":1,\"unit_price\":\"2.5\","
		"\"per\":1000,\"exact\":\"0\",\"charge\":\"0.00\"");
	world_close(&w);
}

Test(closing, zero_price_statements_and_slices)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 1, "zero_price: false", "zero_price: true");
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-enhance", JAN, 7);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	expect_has(document(&w, "settlement", "a/image-enhance/2020-01"), "\"calls\":7,\"free\":0,\"packs\":[],\"billable\":7,\"tier\":1,\"unit_price\":\"0\","
		"\"per\":1000,\"exact\":\"0\",\"charge\":\"0.00\",\"currency\":\"CNY\",\"unfreeze\":\"0.00\",\"freeze\":\"0.00\"");
	world_close(&w);
	world_open(&w, CLOCK_RECORDS, 1, "model: volume", "model: graduated");
	event(&w, 0, month_ms(&w, JAN) + day, "a", "image-tag", JAN, 1010000);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	expect_has(document(&w, "settlement", "a/image-tag/2020-01"), "\"billable\":1000000,\"slices\":[{\"tier\":1,\"calls\":990000,\"unit_price\":\"2.5\","
		"\"amount\":\"2475\"},{\"tier\":2,\"calls\":10000,\"unit_price\":\"2.2\",\"amount\":\"22\"}],\"per\":1000,\"exact\":\"2497\"");
	world_close(&w);
}

// A settlement that was published with other content stops closing, and says so.
Test(closing, a_foreign_twin_stops)
{
	struct world w;
	char id[33];
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	january(&w);
	identity_id(SPAN_LIT("settlement\na\nimage-tag\n2020-01\n0"), id);
	CLEANUP(freep) char *twin = xasprintf("{\"specversion\":\"1.0\",\"id\":\"%s\",\"data\":1}", id);
	fake_event(&w.k, "meterd.settlements", 0, 5, twin);
	pass_month(&w, JAN);
	run(&w, 200);
	cr_expect(w.last == RELAY_HALT && strstr(w.e.text, id) != NULL, "%s", w.e.text);
	cr_expect(!closed(&w, JAN) && document(&w, "period.closed", "2020-01") == NULL);
	world_close(&w);
}

// ---- new versions of the rules

static void propose(struct world *w, const struct rules *rules)
{
	CLEANUP(freep) char *text = rules_to_json(rules);
	free(w->s.request);
	w->s.request = xasprintf("{\"kind\":\"rules\",\"rules\":%s}", text);
}

static void expect_version(struct world *w, int64_t version, const char *sha256)
{
	const struct journal_rules *newest = &w->j->rules[w->j->n_rules - 1];
	cr_expect_eq(newest->version, version, "version %ld", newest->version);
	cr_expect_str_eq(newest->rules->sha256, sha256);
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		cr_expect_leq(w->s.rules_version[shard], version, "shard %u asks for %ld", shard, w->s.rules_version[shard]);
}

// A generation that was in force may come into force again: what it counted, it counted by the rules of then, so newer ones hold behind that, too.
Test(closing, proposed_rules_take_effect_behind_what_a_kept_generation_counted)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	CLEANUP(rules_freep) struct rules *rules = some_rules(CLOCK_RECORDS, "price: 2.5", "price: 2.6");
	january(&w);
	run(&w, 3);
	w.s.old = 7;
	w.s.old_ahead_ms = 2 * day;
	propose(&w, rules);
	run(&w, 20);
	expect_version(&w, 2, rules->sha256);
	cr_expect_eq(w.j->rules[1].effective_ms, month_ms(&w, JAN) + 5 * day + 600000);
	cr_expect_eq(w.s.works_on, w.j->generation);
	world_close(&w);
}

// In force behind everything that any shard has seen; the same proposal again changes nothing.
Test(closing, proposed_rules_take_effect_behind_all_clocks)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	CLEANUP(rules_freep) struct rules *rules = some_rules(CLOCK_RECORDS, "price: 2.5", "price: 2.6");
	january(&w);
	run(&w, 3);
	propose(&w, rules);
	run(&w, 20);
	expect_version(&w, 2, rules->sha256);
	cr_expect_eq(w.j->rules[1].effective_ms, month_ms(&w, JAN) + 3 * day + 600000);
	cr_expect_null(w.s.request);
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		cr_expect_eq(w.s.rules_version[shard], 2);
	propose(&w, rules);
	run(&w, 20);
	expect_version(&w, 2, rules->sha256);
	cr_expect_null(w.s.request);
	world_close(&w);
}

// Redis restarts between the shards' word and the record, and has forgotten it: workers would not be refused.
Test(closing, rules_are_not_decided_while_redis_forgets_that_they_are_known)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	CLEANUP(rules_freep) struct rules *rules = some_rules(CLOCK_RECORDS, "price: 2.5", "price: 2.6");
	january(&w);
	run(&w, 3);
	w.s.forgets = 3;
	propose(&w, rules);
	for (int i = 0; i < 200 && w.s.forgets > 0; i++) {
		run(&w, 1);
		cr_expect(w.s.forgets == 0 || fake_count(&w.k, "meterd.control", "\"effective\"") == 1);
	}
	run(&w, 20);
	expect_version(&w, 2, rules->sha256);
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		cr_expect_eq(w.s.rules_version[shard], 2);
	world_close(&w);
}

Test(closing, rules_that_may_not_follow_are_dropped)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	CLEANUP(rules_freep) struct rules *zone = some_rules(CLOCK_RECORDS, "time_zone: Asia/Shanghai", "time_zone: UTC");
	CLEANUP(rules_freep) struct rules *settled = some_rules(CLOCK_RECORDS, "price: 2.5", "price: 2.6");
	january(&w);
	pass_month(&w, JAN);
	run_until_closed(&w, JAN);
	propose(&w, zone);
	run(&w, 20);
	cr_expect(w.j->n_rules == 1 && w.s.request == NULL);
	propose(&w, settled);
	run(&w, 20);
	cr_expect(w.j->n_rules == 1 && w.s.request == NULL);
	world_close(&w);
}

// A shorter lead lets no version overtake the one before it; behind everything seen, and behind now where the wall is the clock.
Test(closing, a_version_never_takes_effect_before_the_one_before)
{
	CLEANUP(journal_freep) struct journal *j = journal_new();
	CLEANUP(rules_freep) struct rules *slow = some_rules(CLOCK_WALL, NULL, NULL), *quick = some_rules(CLOCK_WALL, NULL, NULL);
	struct error e = { 0 };
	quick->settings.lead_ms = 60000;
	CLEANUP(freep) char *init = journal_init_record("i", SHARDS, NULL, 0), *first = journal_rules_record(1, TIME_NONE, slow);
	cr_assert(journal_apply(j, 0, span_of(init), &e) == ERROR_NONE && journal_apply(j, 1, span_of(first), &e) == ERROR_NONE, "%s", e.text);
	cr_expect_eq(closing_effective_ms(j, TIME_NONE, 5000000), 5600000);
	cr_expect_eq(closing_effective_ms(j, 7000000, 5000000), 7600000);
	cr_expect_eq(closing_effective_ms(j, INT64_MAX - 5, 5000000), INT64_MAX, "a record clock at the end of time");
	cr_expect_eq(closing_effective_ms(j, 3000000, 5000000), 5600000);
	CLEANUP(freep) char *second = journal_rules_record(2, 7600000, quick);
	cr_assert(journal_apply(j, 2, span_of(second), &e) == ERROR_NONE, "%s", e.text);
	cr_expect_eq(closing_effective_ms(j, 7000000, 5000000), 7600000);
	cr_expect_eq(closing_effective_ms(j, 7550000, 5000000), 7610000);
	// A Redis that went back behind the cuts of a settled month.
	CLEANUP(freep) char *closed = journal_manifest_record(&(struct journal_manifest){ .month = 2020 * 12, .rules_version = 1 });
	cr_assert(journal_apply(j, 3, span_of(closed), &e) == ERROR_NONE, "%s", e.text);
	cr_expect_eq(closing_effective_ms(j, 7550000, 5000000), rules_close_ms(quick, 2020 * 12));
}

// Whatever call fails, or dies behind: the proposal is in force in the end, and no shard asks for a version that nobody wrote.
Test(closing, a_fault_at_any_call_of_a_proposal, .timeout = 600)
{
	CLEANUP(rules_freep) struct rules *rules = some_rules(CLOCK_RECORDS, "price: 2.5", "price: 2.6");
	bool fired = true;
	log_set_level(LVL_ERROR); // it decides a thousand times
	for (long at = 1; fired; at++) {
		for (int how = 0; how < 4; how++) {
			struct world w;
			world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
			january(&w);
			run(&w, 3);
			propose(&w, rules);
			w.fault = (struct fake_fault){ .at = at, .how = how % 2 == 0 ? FAKE_LOST : FAKE_REPLY_LOST };
			w.dies = how >= 2;
			run(&w, 40);
			fired = w.fault.fired;
			cr_assert_null(w.s.request, "call %ld, %d: the request stays; %s", at, how, w.e.text);
			int64_t newest = w.j->rules[w.j->n_rules - 1].version;
			cr_assert(newest == 2 || newest == 3);
			expect_version(&w, newest, rules->sha256);
			world_close(&w);
			if (at > 200)
				fired = false;
		}
	}
}

// The request is gone (the store went back), but a shard asks for a version already: the rules in force are written again under it.
Test(closing, a_version_that_nobody_wrote_is_written)
{
	struct world w;
	world_open(&w, CLOCK_RECORDS, 2, NULL, NULL);
	january(&w);
	run(&w, 3);
	office_close(&w);
	w.s.rules_version[1] = 3;
	office_open(&w);
	run(&w, 30);
	expect_version(&w, 3, w.rules->sha256);
	world_close(&w);
}

// ---- the rules as a table: tests/table/settlement.table
struct case_of {
	struct world w;
	bool open;
	char name[300];
	char *from, *to; // of the price book
	int64_t stamp_ms;
	int cases, checks, events, months, papers, usages, packs, opens, open_packs;
};

static void case_open(struct case_of *c)
{
	if (c->open)
		return;
	world_begin(&c->w, rules_of_book("tests/table/settlement.yaml", CLOCK_RECORDS, c->from, c->to), 1);
	c->stamp_ms = month_ms(&c->w, JAN) + day;
	c->open = true;
}

// ---- every document of the table on paper: what `meterctl explain` would write, by the rules and facts that the manifests name
static bool held_terms_fn(void *ctx, const struct published_document *d, const struct terms **ret, const struct rules **ret_rules)
{
	*ret = held_terms_of(ctx, d, ret_rules);
	return *ret != NULL;
}

static void take_published(struct world *w, struct published *p)
{
	for (int t = 0; t < 3; t++) {
		const struct fake_log *l = fake_log(&w->k, "meterd.settlements", t);
		for (size_t i = 0; i < l->n; i++)
			published_take(p, (struct span){ l->list[i].value, l->list[i].value_n });
	}
}

// The paper adds up, and its last line is what is charged.
static void expect_paper(struct case_of *c, struct held *h, const struct published *all, const struct published_document *d, enum paper_lang lang)
{
	char *text = NULL, want[200];
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct explain x = { .published = all, .arena = &h->arena, .lang = lang };
	const char *charge = json_string_value(json_object_get(d->data, "charge")), *difference = json_string_value(json_object_get(d->data, "difference"));
	int wrong = d->service != NULL ? explain_document(&x, d, held_terms_fn, h, f) : explain_month(&x, d, NULL, held_terms_fn, h, f);
	fclose(f);
	cr_expect_eq(wrong, 0, "%s: %s\n%s", c->name, d->id, text);
	if (lang == PAPER_EN)
		snprintf(want, sizeof(want), "\nCharge: %s CNY%s%s\n", charge, difference != NULL ? ", difference " : "", difference != NULL ? difference : "");
	else
		snprintf(want, sizeof(want), "\n应收：%s CNY%s%s\n", charge, difference != NULL ? "，差额 " : "", difference != NULL ? difference : "");
	cr_expect(n > strlen(want) && strcmp(text + n - strlen(want), want) == 0, "%s: no%sat the end of\n%s", c->name, want, text);
	free(text);
	c->papers++;
}

static void case_explain(struct case_of *c)
{
	struct error e = { 0 };
	struct held h = { .feed = accounts_feed_new() };
	struct published everybody = published_of(NULL, MONTH_NONE);
	cr_assert_eq(journal_load_from(&fake_port, &c->w.k.o, 1000, &h.journal, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(accounts_feed_refresh(h.feed, &fake_port, &c->w.k.o, 1000, &e), ERROR_NONE, "%s", e.text);
	take_published(&c->w, &everybody);
	for (uint32_t i = 0; i < everybody.n; i++) {
		const struct published_document *d = &everybody.list[i];
		struct published own = published_of(d->account, MONTH_NONE);
		take_published(&c->w, &own);
		expect_paper(c, &h, &own, published_by_id(&own, d->id), PAPER_EN);
		expect_paper(c, &h, &own, published_by_id(&own, d->id), PAPER_ZH);
		published_free(&own);
	}
	published_free(&everybody);
	held_close(&h);
}

// ---- what `meterctl usage` shows of settled months is what was published
static void expect_usage(struct case_of *c, struct usage_world *u, const struct published *all, const struct published_document *d)
{
	static struct rating_slice slices[2 * RATING_MAX_SLICES];
	struct usage_counter counter = { .account = (char *)d->account, .service = (char *)d->service, .month = d->month };
	struct usage_month m;
	struct usage_line l;
	uint32_t service;
	char charge[MONEY_TEXT], adjusted[MONEY_TEXT];
	const struct published_document *first = published_find(all, d->account, d->service, d->month, 0);
	int64_t before = 0, now = 0;
	u->month = d->month;
	u->closed = true;
	u->plain = NULL;
	const struct journal_manifest *manifest = journal_manifest(u->journal, d->month);
	if (manifest == NULL)
		return; // never closed itself: not counted, only late calls
	month_frame_make(u->journal, manifest, d->month, &u->kept, &u->frame);
	struct error e = { 0 };
	cr_assert_eq(usage_month_make(u, &counter, 1, &m, &e), ERROR_NONE, "%s", e.text);
	cr_assert(catalog_find_id(u->frame.rules->catalog, span_of(d->service), &service));
	cr_assert(usage_line_make(u, &m, service, slices, &l));
	if (!l.priced)
		return;
	cr_assert(figure_fen(json_string_value(json_object_get(d->data, "charge")), &now));
	cr_assert(first == NULL || figure_fen(json_string_value(json_object_get(first->data, "charge")), &before));
	CLEANUP(freep) char *got = xasprintf("%lld %lld %lld %s %s", (long long)l.revision, (long long)l.free, (long long)l.billable,
		money_fen_text(l.bill.charge_fen, charge), money_fen_text(l.adjusted_fen, adjusted));
	CLEANUP(freep) char *want = xasprintf("%lld %lld %lld %s %s", (long long)d->revision,
		(long long)json_integer_value(json_object_get(d->data, "free")), (long long)json_integer_value(json_object_get(d->data, "billable")),
		json_string_value(json_object_get(d->data, "charge")), money_fen_text(now - before, adjusted));
	cr_expect(l.settled && strcmp(got, want) == 0, "%s: %s/%s/%s: %s, not %s", c->name, d->account, d->service, d->period, got, want);
	const char *price = json_string_value(json_object_get(d->data, "unit_price"));
	cr_expect(price == NULL || strcmp(money_price_text(l.bill.unit_price_micro, charge), price) == 0, "%s: %s/%s: %s, not %s", c->name, d->account,
		  d->period, charge, price);
	for (uint32_t i = 0; i < m.terms->n_packs; i++) // behind the newest month it is what no line has taken
		if (m.packs[i].left >= 0) {
			int64_t left = m.packs[i].pack->calls;
			for (uint32_t k = 0; k < all->n; k++) {
				const struct published_document *x = &all->list[k];
				const json_t *packs = json_object_get(x->data, "packs");
				if (x->service == NULL || published_find(all, x->account, x->service, x->month, -1) != x)
					continue;
				for (size_t g = 0; g < json_array_size(packs); g++)
					if (span_is(m.packs[i].pack->id, json_string_value(json_object_get(json_array_get(packs, g), "id"))))
						left -= json_integer_value(json_object_get(json_array_get(packs, g), "calls"));
			}
			cr_expect_eq(m.packs[i].left, left < 0 ? 0 : left, "%s: %s/%s", c->name, d->account, d->period);
			c->packs++;
		}
	c->usages++;
}

// The same months as they were while they were open: of a shard that has settled nothing yet. Without late calls the bill is the same.
static enum error_class no_settled(struct store *s, uint32_t shard, int month, const struct span *fields, uint32_t n, struct arena *arena, struct span *ret,
				   struct error *e)
{
	(void)s, (void)shard, (void)month, (void)fields, (void)arena, (void)e;
	memset(ret, 0, n * sizeof(*ret));
	return ERROR_NONE;
}

static enum error_class no_packs(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, struct arena *arena, struct span *ret,
				 struct error *e)
{
	return no_settled(s, shard, 0, accounts, n, arena, ret, e);
}

static void expect_open(struct case_of *c, struct usage_world *u, const struct published *own, const struct published_document *d)
{
	static struct rating_slice slices[2 * RATING_MAX_SLICES];
	struct usage_counter counters[100];
	struct usage_month m;
	struct usage_line l;
	uint32_t service, n = 0;
	char charge[MONEY_TEXT];
	for (uint32_t i = 0; i < own->n; i++) {
		const struct published_document *x = &own->list[i];
		if (x->revision > 0)
			return;
		if (x->service != NULL && n < 100)
			counters[n++] = (struct usage_counter){ .account = (char *)x->account, .service = (char *)x->service, .month = x->month,
								.calls = json_integer_value(json_object_get(x->data, "calls")) };
	}
	u->month = d->month;
	u->plain = NULL;
	month_frame_make(u->journal, journal_manifest(u->journal, d->month), d->month, &u->kept, &u->frame);
	struct error e = { 0 };
	cr_assert_eq(usage_month_make(u, counters, n, &m, &e), ERROR_NONE, "%s", e.text);
	cr_assert(catalog_find_id(u->frame.rules->catalog, span_of(d->service), &service));
	cr_assert(usage_line_make(u, &m, service, slices, &l));
	if (!l.priced)
		return;
	CLEANUP(freep) char *got = xasprintf("%d %lld %lld %s", l.settled, (long long)l.free, (long long)l.billable, money_fen_text(l.bill.charge_fen, charge));
	CLEANUP(freep) char *want = xasprintf("0 %lld %lld %s", (long long)json_integer_value(json_object_get(d->data, "free")),
		(long long)json_integer_value(json_object_get(d->data, "billable")), json_string_value(json_object_get(d->data, "charge")));
	cr_expect(strcmp(got, want) == 0, "%s: %s/%s/%s while open: %s, not %s", c->name, d->account, d->service, d->period, got, want);
	c->opens++;
	c->open_packs += json_array_size(json_object_get(d->data, "packs")) > 0;
}

static void case_usage(struct case_of *c)
{
	struct store_ops bare = *c->w.s.s.ops;
	struct fake_store nothing_settled = c->w.s; // shares its cells; only read
	bare.settled_get = no_settled;
	bare.packs_get = no_packs;
	nothing_settled.s.ops = &bare;
	struct error e = { 0 };
	struct accounts_feed *feed = accounts_feed_new();
	struct journal *journal = NULL;
	struct published all = published_of(NULL, MONTH_NONE);
	cr_assert_eq(journal_load_from(&fake_port, &c->w.k.o, 1000, &journal, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(accounts_feed_refresh(feed, &fake_port, &c->w.k.o, 1000, &e), ERROR_NONE, "%s", e.text);
	struct usage_world u = { .store = &c->w.s.s, .shards = SHARDS, .journal = journal, .book = accounts_feed_book(feed), .clock_ms = TIME_NONE };
	take_published(&c->w, &all);
	for (uint32_t i = 0; i < all.n; i++) {
		const struct published_document *d = &all.list[i];
		struct published own = published_of(d->account, MONTH_NONE);
		take_published(&c->w, &own);
		if (d->service != NULL && published_find(&all, d->account, d->service, d->month, -1) == d)
			expect_usage(c, &u, &own, d);
		u.store = &nothing_settled.s;
		if (d->service != NULL && d->revision == 0)
			expect_open(c, &u, &own, published_by_id(&own, d->id));
		u.store = &c->w.s.s;
		published_free(&own);
	}
	published_free(&all);
	journal_freep(&journal);
	accounts_feed_freep(&feed);
	arena_free(&u.arena);
	arena_free(&u.kept);
}

static void case_close(struct case_of *c)
{
	if (c->open) {
		case_explain(c);
		case_usage(c);
		world_close(&c->w);
	}
	free(c->from);
	free(c->to);
	c->from = c->to = NULL;
	c->open = false;
}

static int month_of(const struct table_row *row, const char *text)
{
	int month = MONTH_NONE;
	cr_assert(month_parse(span_of(text), &month), "%s:%d: %s is no month", row->file, row->line, text);
	return month;
}

static void case_calls(struct case_of *c, const struct table_row *row)
{
	int month = month_of(row, row->field[3]);
	c->stamp_ms = month_ms(&c->w, month) + day > c->stamp_ms + 1 ? month_ms(&c->w, month) + day : c->stamp_ms + 1;
	event(&c->w, 0, c->stamp_ms, row->field[1], row->field[2], month, (int)strtol(row->field[4], NULL, 10));
}

// A whole event, through what decides in the daemon what it is and counts.
static void case_event(struct case_of *c, const struct table_row *row)
{
	struct error e = { 0 };
	CLEANUP(journal_freep) struct journal *j = NULL;
	CLEANUP(decider_free) struct decider d = { 0 };
	struct course course;
	struct decision is;
	cr_assert_eq(journal_load_from(&fake_port, &c->w.k.o, 1000, &j, &e), ERROR_NONE, "%s", e.text);
	d.newest = j->rules[j->n_rules - 1].rules->catalog;
	course_begin(&course, j, TIME_NONE);
	course_move(&course, j, c->stamp_ms + 1);
	decide_record(&d, &course, NULL, &(struct record){ .timestamp_ms = c->stamp_ms + 1, .value = span_of(row->field[2]) }, &is);
	cr_expect_str_eq(outcome_text(is.outcome), row->field[1], "%s:%d: %s: it is %s", row->file, row->line, c->name, outcome_text(is.outcome));
	c->events++;
	if (is.outcome != OUTCOME_COUNTED && is.outcome != OUTCOME_LATE)
		return;
	c->stamp_ms++;
	for (uint32_t i = 0; i < is.n; i++) {
		CLEANUP(freep) char *account = xasprintf("%.*s", (int)is.account.n, is.account.p);
		event(&c->w, 0, c->stamp_ms, account, catalog_service_id(d.newest, is.items[i].service), is.month, (int)is.items[i].calls);
	}
}

static int64_t instant_of(const struct table_row *row, const char *text)
{
	int64_t ms = 0;
	cr_assert(time_parse_rfc3339(span_of(text), &ms), "%s:%d: %s is no time", row->file, row->line, text);
	return ms;
}

// The oldest open month, when it closes, and until when its bills must be out.
static void case_open_month(struct case_of *c, const struct table_row *row)
{
	struct closer_numbers n;
	char have[TIME_TEXT];
	run(&c->w, 5);
	closer_numbers(c->w.closer, &n);
	cr_expect_eq(n.open_month, month_of(row, row->field[1]), "%s:%d: %s: %d", row->file, row->line, c->name, n.open_month);
	cr_expect_eq(n.closes_ms, instant_of(row, row->field[2]), "%s:%d: %s: closes %s", row->file, row->line, c->name, time_text(n.closes_ms, have));
	cr_expect_eq(n.due_ms, instant_of(row, row->field[3]), "%s:%d: %s: due %s", row->file, row->line, c->name, time_text(n.due_ms, have));
	c->months++;
}

static void case_pass(struct case_of *c, int month)
{
	c->stamp_ms = close_ms(&c->w, month);
	event(&c->w, 0, c->stamp_ms, "later", "crop", month + 1, 1);
}

// The data of the only document of that type, subject and revision (-1: has none); NULL when there is none.
static json_t *data_of(struct world *w, const char *type, const char *subject, long revision)
{
	json_t *found = NULL;
	for (int p = 0; p < 3; p++) {
		const struct fake_log *l = fake_log(&w->k, "meterd.settlements", p);
		for (size_t i = 0; i < l->n; i++) {
			CLEANUP(json_freep) json_t *e = json_loadb(l->list[i].value, l->list[i].value_n, 0, NULL);
			json_t *data = json_object_get(e, "data"), *r = json_object_get(data, "revision");
			if (strcmp(json_string_value(json_object_get(e, "type")), type) != 0 ||
			    strcmp(json_string_value(json_object_get(e, "subject")), subject) != 0 || (r != NULL && json_integer_value(r) != revision))
				continue;
			cr_assert(found == NULL, "%s %s comes twice", type, subject);
			found = json_incref(data);
		}
	}
	return found;
}

// A field as the table writes it; free it.
static char *field_text(const json_t *data, const char *name)
{
	json_t *v = json_object_get(data, name), *item;
	size_t i, size = 0;
	char *text = NULL;
	if (json_is_string(v))
		return xstrdup(json_string_value(v));
	if (json_is_integer(v))
		return xasprintf("%lld", (long long)json_integer_value(v));
	if (json_is_object(v))
		return xasprintf("%lld/%lld/%s", (long long)json_integer_value(json_object_get(v, "revision")),
				 (long long)json_integer_value(json_object_get(v, "calls")), json_string_value(json_object_get(v, "charge")));
	if (!json_is_array(v))
		return xstrdup("nothing");
	if (strcmp(name, "lines") == 0)
		return xasprintf("%zu", json_array_size(v));
	FILE *f = open_memstream(&text, &size);
	json_array_foreach(v, i, item)
		fprintf(f, "%s%s:%lld", i > 0 ? "," : "", json_string_value(json_object_get(item, "id")),
			(long long)json_integer_value(json_object_get(item, "calls")));
	fclose(f);
	return text;
}

static void expect_fields(struct case_of *c, const struct table_row *row, const char *type, long revision, char *wanted)
{
	CLEANUP(json_freep) json_t *data = data_of(&c->w, type, row->field[1], revision);
	cr_assert(data != NULL, "%s:%d: %s: no %s %s", row->file, row->line, c->name, type, row->field[1]);
	char *rest = NULL;
	for (char *word = strtok_r(wanted, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		char *equals = strchr(word, '=');
		cr_assert(equals != NULL);
		*equals = '\0';
		CLEANUP(freep) char *is = field_text(data, word);
		cr_expect(strcmp(is, equals + 1) == 0, "%s:%d: %s: %s is %s, not %s", row->file, row->line, c->name, word, is, equals + 1);
		c->checks++;
	}
}

static void case_row(void *ctx, const struct table_row *row)
{
	struct case_of *c = ctx;
	const char *word = row->field[0];
	if (strcmp(word, "case") == 0) {
		case_close(c);
		snprintf(c->name, sizeof(c->name), "%s", row->field[1]);
		c->cases++;
		return;
	}
	if (strcmp(word, "book") == 0) {
		cr_assert(!c->open && c->from == NULL);
		c->from = xstrdup(row->field[1]);
		c->to = xstrdup(row->field[2]);
		return;
	}
	case_open(c);
	if (strcmp(word, "said") == 0) {
		fake_event(&c->w.k, "meterd.accounts", 0, c->stamp_ms, row->field[1]);
	} else if (strcmp(word, "calls") == 0) {
		case_calls(c, row);
	} else if (strcmp(word, "event") == 0) {
		case_event(c, row);
	} else if (strcmp(word, "open") == 0) {
		case_open_month(c, row);
	} else if (strcmp(word, "pass") == 0) {
		case_pass(c, month_of(row, row->field[1]));
	} else if (strcmp(word, "close") == 0) {
		run_until_closed(&c->w, month_of(row, row->field[1]));
	} else if (strcmp(word, "line") == 0) {
		expect_fields(c, row, "meterd.settlement.v1", strtol(row->field[2], NULL, 10), row->field[3]);
	} else if (strcmp(word, "bill") == 0) {
		expect_fields(c, row, "meterd.statement.v1", strtol(row->field[2], NULL, 10), row->field[3]);
	} else if (strcmp(word, "end") == 0) {
		expect_fields(c, row, "meterd.period.closed.v1", -1, row->field[2]);
	} else {
		cr_assert(strcmp(word, "none") == 0, "%s:%d: what is %s?", row->file, row->line, word);
		CLEANUP(json_freep) json_t *data = data_of(&c->w, "meterd.settlement.v1", row->field[1], strtol(row->field[2], NULL, 10));
		cr_expect(data == NULL, "%s:%d: %s: there is one", row->file, row->line, c->name);
		c->checks++;
	}
}

Test(closing, rules_of_settlement, .timeout = 120)
{
	struct case_of c = { 0 };
	table_each("settlement.table", case_row, &c);
	case_close(&c);
	cr_expect(c.cases >= 20 && c.checks > 200 && c.events > 10 && c.months > 3 && c.papers > 200 && c.usages > 50 && c.packs > 10 && c.opens > 50 && c.open_packs > 5,
		  "%d cases, %d checks, %d papers, %d usages, %d packs, %d open, %d with packs", c.cases, c.checks, c.papers, c.usages, c.packs, c.opens,
		  c.open_packs);
}
