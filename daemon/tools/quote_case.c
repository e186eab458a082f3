// SPDX-License-Identifier: Apache-2.0
#include "tools/quote_case.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/yaml.h"
#include "quote/quote.h"
#include "tools/lines.h"

enum { CATALOG_MOST = 4 * 1024 * 1024, IDS_SHOWN = 600 };

static const char *arena_text(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

void quote_case_rows(struct quote_case *q, struct option_row rows[QUOTE_ROWS])
{
	q->calls = -1;
	const struct option_row all[QUOTE_ROWS] = {
		{ "catalog", OPTION_TEXT, &q->catalog_file, "FILE", "the price book, instead of the one in force" },
		{ "service", OPTION_TEXT, &q->service_text, "ID", "service id, or an alias such as DetectLabel" },
		{ "calls", OPTION_INT, &q->calls, "N", "counted calls of the month" },
		{ "account", OPTION_TEXT, &q->account, "A", "whose bill it would be. Without --catalog: by the rules in force, and what the accounts topic says of it" },
		{ "period", OPTION_TEXT, &q->period_text, "YYYY-MM", "the month; the present one" },
		{ "packs", OPTION_TEXT, &q->packs_text, "N,N,…", "calls left in prepaid packs, in order of deduction, behind those of --facts" },
		{ "activated", OPTION_FLAG, &q->activated, NULL, "the month of activation: no free calls with `first_month: next`" },
		{ "facts", OPTION_TEXT, &q->facts_file, "FILE", "contracts, packs, activations as `meterctl account --dry-run` prints them, one a line" },
		{ "others", OPTION_TEXT, &q->others_text, "ID=N,…", "calls of the account's other services in the month: they share free calls and packs" },
	};
	memcpy(rows, all, sizeof(all));
}

int quote_catalog(const struct options *o, const char *path, struct catalog **ret)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct faults faults = { 0 };
	if (file_read(path, CATALOG_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl %s: %s: %s\n", o->verb, path, e.text);
		return EXIT_CONFIG_ERR;
	}
	struct catalog *c = catalog_parse(path, (struct span){ text, n }, &faults);
	faults_print(&faults, (struct span){ text, n }, stderr);
	if (faults.n > 0)
		fprintf(stderr, "%s: %zu error%s\n", path, faults.n, faults.n == 1 ? "" : "s");
	faults_free(&faults);
	if (c == NULL)
		return EXIT_CONFIG_ERR;
	*ret = c;
	return OPTIONS_GO_ON;
}

static int read_month(const struct options *o, struct quote_case *q)
{
	const struct zone *z = catalog_zone(q->book);
	if (q->period_text == NULL)
		q->month = period_month(z, clock_wall_ms());
	else if (!month_parse(span_of(q->period_text), &q->month))
		return options_usage(o, "--period `%s` is no month: write it such as 2020-01", q->period_text);
	if (q->month == MONTH_NONE)
		return options_usage(o, "give --period: the clock of this machine is beyond 2199-12");
	return OPTIONS_GO_ON;
}

static void known_ids(const struct catalog *c, char buf[IDS_SHOWN])
{
	size_t at = 0;
	buf[0] = '\0';
	for (uint32_t i = 0; i < catalog_services(c) && at + 80 < IDS_SHOWN; i++)
		at += (size_t)snprintf(buf + at, IDS_SHOWN - at, "%s%s", i > 0 ? ", " : "", catalog_service_id(c, i));
}

// An id at any time, an alias if it is in force at the beginning of the month.
static int read_service(const struct options *o, struct quote_case *q)
{
	const struct catalog *c = q->book;
	int64_t start = period_start_ms(catalog_zone(c), q->month);
	char ids[IDS_SHOWN], month[MONTH_TEXT];
	CLEANUP(freep) const char **known = xcalloc(catalog_services(c) + 1, sizeof(*known));
	for (uint32_t i = 0; i < catalog_services(c); i++)
		known[i] = catalog_service_id(c, i);
	struct span name = span_of(q->service_text);
	if (!catalog_find_id(c, name, &q->service) && catalog_find(c, name, start, &q->service) == SERVICE_UNKNOWN) {
		const char *near = nearest_word(q->service_text, known);
		if (near != NULL)
			return options_usage(o, "--service `%s` is unknown: did you mean `%s`?", q->service_text, near);
		known_ids(c, ids);
		return options_usage(o, "--service `%s` is unknown in %s: use one of %s", q->service_text, month_text(q->month, month), ids);
	}
	if (catalog_service_in(c, q->service, q->month))
		return OPTIONS_GO_ON;
	const char *next = catalog_service_successor(c, q->service);
	return options_usage(o, "%s does not exist in %s: ask for another month%s%s", catalog_service_id(c, q->service),
			     month_text(q->month, month), next != NULL ? ", or for its successor " : "", next != NULL ? next : "");
}

// ---- what holds for the account

struct facts_reading {
	const struct options *o;
	struct quote_case *q;
	struct arena arena;
	int64_t at;
	int code;
};

static void on_fact(void *ctx, const char *file, int64_t line, struct span value)
{
	struct facts_reading *r = ctx;
	struct quote_case *q = r->q;
	struct account_fact unused;
	struct account_fault fault;
	struct span account = { NULL, 0 };
	const char *wrong = NULL;
	if (r->code != OPTIONS_GO_ON)
		return;
	if (!account_read(value, &r->arena, &account, &unused, &fault) ||
	    account_book_apply(q->facts, 0, r->at, r->at, value, &fault) == ACCOUNT_REFUSED)
		wrong = account_fault_info(fault.code)->message;
	else if (q->account == NULL)
		q->account = arena_text(&q->arena, account);
	else if (!span_is(account, q->account))
		wrong = "it is about another account";
	r->at++;
	if (wrong == NULL)
		return;
	fprintf(stderr, "meterctl %s: %s:%" PRId64 ": %s; `meterctl account check --log` says more\n", r->o->verb, file, line, wrong);
	r->code = EXIT_CONFIG_ERR;
}

int quote_facts(const struct options *o, struct quote_case *q)
{
	if (q->facts_file == NULL)
		return OPTIONS_GO_ON;
	struct facts_reading r = { .o = o, .q = q, .code = OPTIONS_GO_ON };
	q->facts = account_book_new();
	CLEANUP(lines_closep) FILE *f = lines_open(o->verb, q->facts_file);
	int code = f != NULL ? lines_each(o->verb, q->facts_file, f, on_fact, &r) : EXIT_CONFIG_ERR;
	arena_free(&r.arena);
	return code != EXIT_DONE ? code : r.code;
}

// What the packs gave in the months before, by the newest revisions that are published.
static int64_t given_before(const struct published *p, struct span pack, int month)
{
	int64_t sum = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct published_document *d = &p->list[i];
		if (d->service == NULL || d->month >= month || published_find(p, d->account, d->service, d->month, -1) != d)
			continue;
		const json_t *packs = json_object_get(d->data, "packs");
		for (size_t k = 0; k < json_array_size(packs); k++) {
			const json_t *one = json_array_get(packs, k);
			const char *id = json_string_value(json_object_get(one, "id"));
			if (id != NULL && span_is(pack, id) && __builtin_add_overflow(sum, json_integer_value(json_object_get(one, "calls")), &sum))
				return INT64_MAX;
		}
	}
	return sum;
}

// Left at the beginning of the month, in the order of the terms.
static int packs_left(struct options *o, struct quote_case *q, int64_t *left)
{
	CLEANUP(published_free) struct published p = published_of(q->account, MONTH_NONE);
	int code = OPTIONS_GO_ON;
	if (q->catalog == NULL && q->terms->n_packs > 0) {
		struct kafka_options k;
		options_kafka(o, &k);
		code = published_read(&p, o, &k);
	}
	for (uint32_t i = 0; i < q->terms->n_packs && code == OPTIONS_GO_ON; i++) {
		int64_t given = given_before(&p, q->terms->packs[i].id, q->month), calls = q->terms->packs[i].calls;
		left[i] = given < calls ? calls - given : 0;
	}
	return code;
}

// "crop=500,pool-a=7" into calls, by service.
static int read_others(const struct options *o, struct quote_case *q, int64_t *calls)
{
	for (const char *p = q->others_text; p != NULL;) {
		size_t n = strcspn(p, ","), name = strcspn(p, "=");
		uint32_t service;
		int64_t v = -1;
		if (name >= n || !catalog_find_id(q->book, (struct span){ p, name }, &service) || service == q->service ||
		    !span_int64((struct span){ p + name + 1, n - name - 1 }, &v) || v < 0)
			return options_usage(o, "--others takes ids of other services with their calls, such as crop=500, not `%.*s`", (int)n, p);
		calls[service] = v;
		p = p[n] == ',' ? p + n + 1 : NULL;
	}
	return OPTIONS_GO_ON;
}

static void give(struct quote_case *q, struct paper_pack pack)
{
	if (pack.calls > 0)
		q->given[q->n_given++] = pack;
}

// Those of the terms; then the anonymous ones of --packs, which cover this service only.
static int take_packs(const struct options *o, struct quote_case *q, struct deduct_service *d)
{
	size_t anonymous = q->packs_text != NULL ? 1 : 0;
	for (const char *p = q->packs_text; p != NULL && *p != '\0'; p++)
		anonymous += *p == ',';
	q->given = arena_alloc(&q->arena, (d->n_packs + anonymous + 1) * sizeof(*q->given));
	for (uint32_t i = 0; i < d->n_packs; i++) {
		const struct terms_pack *k = &q->terms->packs[d->packs[i]];
		char month[MONTH_TEXT];
		give(q, (struct paper_pack){ arena_text(&q->arena, k->id), d->pack_calls[i], k->calls,
					     arena_text(&q->arena, span_of(month_text(k->first_month, month))),
					     arena_text(&q->arena, span_of(month_text(k->last_month, month))) });
	}
	uint32_t number = 0;
	for (const char *p = q->packs_text; p != NULL;) {
		size_t n = strcspn(p, ",");
		int64_t left;
		char id[16];
		if (!span_int64((struct span){ p, n }, &left) || left < 0)
			return options_usage(o, "--packs takes whole numbers separated by commas, not `%s`", q->packs_text);
		int64_t got = left < d->billable ? left : d->billable;
		d->billable -= got;
		snprintf(id, sizeof(id), "%u", ++number);
		give(q, (struct paper_pack){ .id = arena_text(&q->arena, span_of(id)), .calls = got });
		p = p[n] == ',' ? p + n + 1 : NULL;
	}
	return OPTIONS_GO_ON;
}

static const char *services_text(struct quote_case *q, const struct terms_shared *s)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = xmemstream(&text, &size);
	for (uint32_t i = 0; i < s->n_services; i++)
		fprintf(f, "%s%s", i > 0 ? ", " : "", catalog_service_id(q->book, s->services[i]));
	xmemstream_close(f);
	const char *kept = arena_text(&q->arena, (struct span){ text, size });
	free(text);
	return kept;
}

// Where the free calls come from.
static void tell_free(struct quote_case *q, const struct taking *k, bool activation)
{
	const struct terms_service *s = &q->terms->services[q->service];
	q->quota = activation ? s->quota_first : s->quota;
	q->quota_first = activation && s->quota_first != s->quota;
	if (s->shared < 0)
		return;
	const struct terms_shared *x = &q->terms->shared[s->shared];
	q->shared = (struct paper_shared){ .id = x->id, .services = services_text(q, x), .calls = activation ? x->calls_first : x->calls };
	for (uint32_t i = 0; i < x->n_services && x->services[i] < q->service; i++)
		q->shared.taken += k->services[x->services[i]].free;
}

static int rate(struct options *o, struct quote_case *q)
{
	uint32_t n = catalog_services(q->book);
	const struct account_horizon now = { .stamp_ms = INT64_MAX };
	const struct account *a = q->facts != NULL && q->account != NULL ? account_book_find(q->facts, span_of(q->account)) : NULL;
	q->terms = q->catalog != NULL ? terms_make(q->book, a, &now, q->month, &q->arena) : held_terms(&q->held, q->account, q->month);
	const struct terms_service *s = &q->terms->services[q->service];
	int64_t *calls = arena_alloc(&q->arena, n * sizeof(*calls)), *left = arena_alloc(&q->arena, (q->terms->n_packs + 1) * sizeof(*left));
	memset(calls, 0, n * sizeof(*calls));
	calls[q->service] = q->calls;
	int code = packs_left(o, q, left);
	if (code == OPTIONS_GO_ON)
		code = read_others(o, q, calls);
	if (code != OPTIONS_GO_ON)
		return code;
	struct quote quote = { .book = q->book, .terms = q->terms, .service = q->service };
	quote_take(&quote, calls, left, q->activated, &q->arena);
	q->plan = s->plan;
	q->list = s->list;
	q->contract = s->contract.n > 0 ? arena_text(&q->arena, s->contract) : NULL;
	q->slices = xcalloc(2 * RATING_MAX_SLICES, sizeof(*q->slices));
	tell_free(q, &quote.taking, quote.activation);
	code = take_packs(o, q, quote.taken);
	if (code != OPTIONS_GO_ON)
		return code;
	if (!quote_charge(&quote, q->plan, q->calls, q->slices, &q->bill))
		return options_usage(o, "the bill of %" PRId64 " calls is larger than an amount can be: ask for fewer", q->calls);
	if (q->contract != NULL && q->list != NULL && !quote_charge(&quote, q->list, q->calls, q->slices + RATING_MAX_SLICES, &q->list_bill))
		return options_usage(o, "the bill of %" PRId64 " calls by the price list is larger than an amount can be: ask for fewer", q->calls);
	return OPTIONS_GO_ON;
}

// The price book of a file, or the one in force.
static int open_book(struct options *o, struct quote_case *q)
{
	if (q->catalog_file != NULL) {
		int code = quote_catalog(o, q->catalog_file, &q->catalog);
		q->book = q->catalog;
		return code;
	}
	int code = options_settings(o);
	if (code != OPTIONS_GO_ON)
		return code;
	struct kafka_options k;
	options_kafka(o, &k);
	code = held_open(&q->held, o, &k);
	if (code == OPTIONS_GO_ON)
		q->book = held_rules(&q->held)->catalog;
	return code;
}

int quote_case_rate(struct options *o, struct quote_case *q)
{
	if (q->service_text == NULL || q->calls < 0 || (q->catalog_file == NULL && (q->account == NULL || q->facts_file != NULL)))
		return options_usage(o, "--service ID and --calls N are needed, and --catalog FILE, or --account A by whose terms it is");
	int code = open_book(o, q);
	if (code == OPTIONS_GO_ON)
		code = read_month(o, q);
	if (code == OPTIONS_GO_ON)
		code = read_service(o, q);
	if (code == OPTIONS_GO_ON)
		code = quote_facts(o, q);
	return code == OPTIONS_GO_ON ? rate(o, q) : code;
}

void quote_case_close(struct quote_case *q)
{
	catalog_freep(&q->catalog);
	account_book_freep(&q->facts);
	held_close(&q->held);
	arena_free(&q->arena);
	free(q->slices);
	q->slices = NULL;
}
