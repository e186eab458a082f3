// SPDX-License-Identifier: Apache-2.0
// meterctl explain: a bill step by step: of calls asked for (quote's options), of a settlement in a file, or of what is published: one
// document by its id, or an account's month.
#include "tools/explain.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "journal/json.h"
#include "tools/quote_case.h"
#include "tools/tools.h"

enum { SETTLEMENT_MOST = 1024 * 1024, OWN_ROWS = 2 };

static int explain_quote(struct options *o, struct quote_case *q, enum paper_lang lang)
{
	char month[MONTH_TEXT];
	int code = quote_case_rate(o, q);
	if (code != OPTIONS_GO_ON)
		return code;
	const struct bill *b = &q->bill;
	struct paper p = {
		.lang = lang, .account = q->account, .service = catalog_service_id(q->book, q->service),
		.name = catalog_service_name(q->book, q->service), .period = month_text(q->month, month),
		.version = catalog_version(q->book), .currency = catalog_currency(q->book), .plan = q->plan,
		.free_month = q->plan == NULL, .contract = q->contract, .list = q->list, .quota = q->plan != NULL ? q->quota : -1,
		.quota_first = q->quota_first, .shared = q->shared, .calls = b->calls, .free = b->free,
		.billable = b->billable, .n_packs = q->n_given, .packs = q->given, .n_slices = b->n_slices,
		.sliced = q->plan != NULL && q->plan->model != MODEL_VOLUME, .slices = q->slices, .tier = b->tier,
		.price_micro = b->unit_price_micro, .per = q->plan != NULL ? q->plan->per : 1,
		.tier_basis = q->plan != NULL ? q->plan->tier_basis : TIER_BY_TOTAL, .rounding = catalog_rounding(q->book),
		.exact = b->exact, .charge_fen = b->charge_fen,
	};
	check(paper_write(stdout, &p) == 0);
	return EXIT_DONE;
}

// ---- a settlement in a file

// What the price book, and the facts where they are given, know beyond the settlement.
static int add_catalog(struct options *o, struct quote_case *q, const void *data, struct paper *p)
{
	const struct account_horizon all = { .stamp_ms = INT64_MAX };
	struct published_document d = { .data = data, .account = p->account, .service = p->service, .period = p->period, .revision = p->revision };
	uint32_t service;
	q->account = p->account;
	int code = quote_catalog(o, q->catalog_file, &q->catalog);
	if (code == OPTIONS_GO_ON)
		code = quote_facts(o, q);
	if (code != OPTIONS_GO_ON)
		return code;
	if (!catalog_find_id(q->catalog, span_of(p->service), &service) || !month_parse(span_of(p->period), &d.month))
		return options_usage(o, "the price book knows no service `%.64s` in `%.20s`: give the one that the settlement names (%.64s)",
				     p->service, p->period, p->version);
	if (strcmp(catalog_version(q->catalog), p->version) != 0)
		fprintf(stderr, "meterctl explain: the settlement was made by price book %s, this is %s\n", p->version, catalog_version(q->catalog));
	const struct account *a = q->facts != NULL ? account_book_find(q->facts, span_of(p->account)) : NULL;
	struct rules rules = { .catalog = q->catalog };
	struct explain x = { .rules = &rules, .facts = q->facts, .arena = &q->arena, .lang = p->lang };
	explain_terms(&x, &d, terms_make(q->catalog, a, &all, d.month, &q->arena), service, p);
	return OPTIONS_GO_ON;
}

static int verdict(int wrong)
{
	if (wrong > 0)
		fprintf(stderr, "meterctl explain: %d step%s not add up: the settlement was changed, or priced by other rules\n", wrong,
			wrong == 1 ? " does" : "s do");
	return wrong > 0 ? EXIT_FOUND : EXIT_DONE;
}

static void decref(void **json)
{
	json_decref(*json);
}

static int explain_file(struct options *o, struct quote_case *q, const char *file, enum paper_lang lang)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) struct rating_slice *slices = xcalloc(RATING_MAX_SLICES, sizeof(*slices));
	CLEANUP(decref) void *json = NULL;
	struct paper p = { .lang = lang, .slices = slices };
	struct error e = { 0 };
	size_t n = 0;
	char why[200];
	if (strcmp(file, "-") == 0)
		file = "/dev/stdin";
	if (file_read(file, SETTLEMENT_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl explain: %s: %s\n", file, e.text);
		return EXIT_CONFIG_ERR;
	}
	if (!paper_of_json(text, n, &q->arena, &p, &json, why)) {
		fprintf(stderr, "meterctl explain: %s: %s\n", file, why);
		return EXIT_CONFIG_ERR;
	}
	const json_t *data = json_object_get(json, "specversion") != NULL ? json_object_get(json, "data") : json;
	int code = q->catalog_file != NULL ? add_catalog(o, q, data, &p) : OPTIONS_GO_ON;
	return code != OPTIONS_GO_ON ? code : verdict(paper_write(stdout, &p));
}

// ---- what is published

struct asked {
	const char *id, *account, *service; // id, or account with the month
	int month;
};

static bool is_id(const char *s)
{
	return strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32;
}

// ID, or ACCOUNT PERIOD [SERVICE], or ACCOUNT SERVICE PERIOD.
static int read_words(const struct options *o, const char *const *words, struct asked *ret)
{
	struct asked a = { .account = words[0], .month = MONTH_NONE };
	if (o->n_words == 1) {
		a.id = words[0];
		if (!is_id(words[0]))
			return options_usage(o, "%.64s is no id of a settlement or statement (32 hexadecimal digits, as `meterctl settlements --format ndjson` "
					     "shows them); for an account give the month too", words[0]);
	} else if (month_parse(span_of(words[1]), &a.month)) {
		a.service = o->n_words == 3 ? words[2] : NULL;
	} else if (o->n_words == 3 && month_parse(span_of(words[2]), &a.month)) {
		a.service = words[1];
	} else {
		return options_usage(o, "%.40s is no month; write it as 2020-01", words[o->n_words - 1]);
	}
	*ret = a;
	return OPTIONS_GO_ON;
}

static bool terms_of(void *ctx, const struct published_document *d, const struct terms **ret, const struct rules **ret_rules)
{
	*ret = held_terms_of(ctx, d, ret_rules);
	return *ret != NULL;
}

// The document of an id: whose it is.
static int find_id(const struct options *o, const struct kafka_options *k, struct published *one)
{
	int code = published_read(one, o, k);
	if (code != OPTIONS_GO_ON || one->n == 1)
		return code;
	fprintf(stderr, "meterctl explain: no settlement, adjustment or statement with the id %s is published\n", one->id);
	return EXIT_CONFIG_ERR;
}

static int explain_found(struct explain *x, const struct asked *a, struct held *h)
{
	const struct published_document *d = a->id != NULL ? published_by_id(x->published, a->id)
							   : published_find(x->published, a->account, NULL, a->month, -1);
	if (d == NULL)
		return published_missing("explain", x->published, a->account, a->month);
	int wrong = d->service != NULL ? explain_document(x, d, terms_of, h, stdout) : explain_month(x, d, a->service, terms_of, h, stdout);
	return wrong < 0 ? EXIT_CONFIG_ERR : verdict(wrong);
}

static int explain_published(struct options *o, const char *const *words, enum paper_lang lang)
{
	struct asked a = { .month = MONTH_NONE };
	struct kafka_options k;
	CLEANUP(published_free) struct published one = published_of(NULL, MONTH_NONE), all = published_of(NULL, MONTH_NONE);
	CLEANUP(held_close) struct held h = { 0 };
	int code = read_words(o, words, &a);
	if (code == OPTIONS_GO_ON)
		code = options_settings(o);
	if (code != OPTIONS_GO_ON)
		return code;
	options_kafka(o, &k);
	one.id = a.id;
	if (a.id != NULL)
		code = find_id(o, &k, &one);
	all.account = a.id != NULL && code == OPTIONS_GO_ON ? one.list[0].account : a.account;
	if (code == OPTIONS_GO_ON)
		code = published_read(&all, o, &k);
	if (code == OPTIONS_GO_ON)
		code = held_open(&h, o, &k);
	if (code != OPTIONS_GO_ON)
		return code;
	struct explain x = { .published = &all, .facts = accounts_feed_book(h.feed), .arena = &h.arena, .lang = lang };
	return explain_found(&x, &a, &h);
}

int tool_explain(int argc, char **argv)
{
	const char *settlement = NULL, *lang_word = NULL, *words[3];
	CLEANUP(quote_case_close) struct quote_case q = { 0 };
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	enum paper_lang lang = paper_lang_default();
	struct option_row rows[QUOTE_ROWS + OWN_ROWS];
	quote_case_rows(&q, rows);
	rows[QUOTE_ROWS] = (struct option_row){ "settlement", OPTION_TEXT, &settlement, "FILE", "a settlement's event, or its data, as JSON; - for stdin" };
	rows[QUOTE_ROWS + 1] = (struct option_row){ "lang", OPTION_TEXT, &lang_word, "en|zh", "language; by the locale, English where it is another" };
	int code = options_parse(&o, argc, argv, rows, ARRAY_LEN(rows), words, 0, 3);
	if (code != OPTIONS_GO_ON)
		return code;
	if (lang_word != NULL && !paper_lang_of(lang_word, &lang))
		return options_usage(&o, "--lang takes en or zh, not `%.20s`", lang_word);
	if (o.n_words > 0 && (settlement != NULL || q.calls >= 0))
		return options_usage(&o, "an id or an account's month is looked up in Kafka: leave --settlement and quote's options out");
	if (o.n_words > 0)
		return explain_published(&o, words, lang);
	return settlement != NULL ? explain_file(&o, &q, settlement, lang) : explain_quote(&o, &q, lang);
}
