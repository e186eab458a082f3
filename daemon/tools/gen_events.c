// SPDX-License-Identifier: Apache-2.0
#include "tools/gen_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { RING = 4096, VALUE_MAX = 2048, NAMES_MAX = 256, HEAD_TEXT = 160 };

// A name that an event may carry, and when it means something. The weight of its service falls with the index.
struct name {
	const char *text;
	uint32_t service;
	int64_t from_ms, until_ms;
};

struct kept {
	enum gen_kind kind;
	char key[24];
	size_t n_key, n_value;
	char value[VALUE_MAX];
	uint32_t n_headers;
	struct header headers[8]; // names are literals; values point into head
	char head[8][HEAD_TEXT];
};

struct gen {
	struct gen_options o;
	uint64_t rng;
	int64_t made;
	uint64_t *weight;      // cumulative, by rank of the account
	struct name names[NAMES_MAX];
	uint32_t n_names, n_services;
	uint64_t service_weight[NAMES_MAX];
	struct kept *ring;     // the last valid events
	uint64_t n_ring;
	struct kept one;       // the invalid one in the making
};

const char *gen_kind_text(enum gen_kind k)
{
	static const char *const texts[] = { "valid", "duplicate", "invalid", "late", "not_billable" };
	check((unsigned)k < GEN_KINDS);
	return texts[k];
}

// ---- chance (splitmix64)

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t draw(struct gen *g)
{
	return mix(g->rng += 0x9e3779b97f4a7c15u);
}

// 0 … n-1
static uint64_t pick(struct gen *g, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)draw(g) * n) >> 64);
}

static bool chance(struct gen *g, int permille)
{
	return permille > 0 && pick(g, 1000) < (uint64_t)permille;
}

static uint64_t pick_weighted(struct gen *g, const uint64_t *cumulative, uint64_t n)
{
	uint64_t at = pick(g, cumulative[n - 1]), low = 0, high = n - 1;
	while (low < high) {
		uint64_t mid = (low + high) / 2;
		if (cumulative[mid] > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

// 1/rank in integers: the same on every machine.
static void fill_weights(uint64_t *cumulative, uint64_t n)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++)
		cumulative[i] = sum += (UINT64_C(1) << 36) / (i + 1) + 1;
}

// ---- names of services

static void add_name(struct gen *g, const char *text, uint32_t service, int64_t from_ms, int64_t until_ms)
{
	if (g->n_names < NAMES_MAX && service < NAMES_MAX)
		g->names[g->n_names++] = (struct name){ text, service, from_ms, until_ms };
	if (service >= g->n_services && service < NAMES_MAX)
		g->n_services = service + 1;
}

static void default_names(struct gen *g)
{
	static const struct {
		const char *id, *alias;
	} list[] = {
		{ "image-tag", "DetectLabel" },
		{ "product-recognition", "DetectProduct" },
		{ "vehicle-recognition", "RecognizeCar" },
		{ "image-quality", "AssessQuality" },
		{ "image-crop", "CropImage" },
		{ "celebrity-recognition", "DetectCelebrity" },
		{ "product-recognition-wechat", "DetectProductBeta" },
		{ "image-enhance", "EnhanceImage" },
		{ "image-tag-legacy", NULL },
	};
	const int64_t legacy_end_ms = INT64_C(1588262400000); // 2020-05-01 00:00 +08:00
	for (uint32_t i = 0; i < ARRAY_LEN(list); i++) {
		int64_t until = list[i].alias == NULL ? legacy_end_ms : INT64_MAX;
		add_name(g, list[i].id, i, TIME_NONE, until);
		if (list[i].alias != NULL)
			add_name(g, list[i].alias, i, TIME_NONE, until);
	}
}

static void catalog_names(struct gen *g, const struct catalog *c)
{
	for (uint32_t i = 0; i < catalog_services(c); i++) {
		int64_t begin = catalog_service_begin_ms(c, i), end = catalog_service_end_ms(c, i);
		add_name(g, catalog_service_id(c, i), i, begin, end);
		const struct catalog_alias *a;
		uint32_t n = catalog_service_aliases(c, i, &a);
		for (uint32_t j = 0; j < n; j++)
			add_name(g, a[j].name, i, a[j].from_ms > begin ? a[j].from_ms : begin,
				 a[j].until_ms < end ? a[j].until_ms : end);
	}
}

struct gen *gen_open(const struct gen_options *o)
{
	check(o->events >= 1 && o->accounts >= 1 && o->accounts <= 10000000 && o->zone != NULL && o->max_calls >= 1);
	struct gen *g = xcalloc(1, sizeof(*g));
	g->o = *o;
	g->rng = mix(o->seed);
	g->weight = xcalloc((size_t)o->accounts, sizeof(*g->weight));
	fill_weights(g->weight, (uint64_t)o->accounts);
	if (o->catalog != NULL)
		catalog_names(g, o->catalog);
	else
		default_names(g);
	check(g->n_services > 0);
	fill_weights(g->service_weight, g->n_services);
	g->ring = xcalloc(RING, sizeof(*g->ring));
	return g;
}

void gen_freep(struct gen **g)
{
	if (*g == NULL)
		return;
	free((*g)->weight);
	free((*g)->ring);
	free(*g);
}

// Each account has its own favourite services; a name that means nothing at that time gives way to the next.
static const char *pick_name(struct gen *g, uint64_t account, int64_t time_ms)
{
	uint64_t service = (pick_weighted(g, g->service_weight, g->n_services) + account) % g->n_services;
	uint64_t first = pick(g, g->n_names);
	for (uint32_t round = 0; round < 2 * g->n_names; round++) {
		const struct name *n = &g->names[(first + round) % g->n_names];
		bool means = time_ms >= n->from_ms && time_ms < n->until_ms;
		if (means && (n->service == service || round >= g->n_names))
			return n->text;
	}
	return g->names[0].text;
}

// ---- text

struct text {
	char *p;
	size_t n;
};

static void put(struct text *t, const char *s)
{
	size_t n = strlen(s);
	check(t->n + n < VALUE_MAX);
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void put_number(struct text *t, int64_t v)
{
	char digits[24];
	size_t n = 0;
	check(v >= 0 && t->n + sizeof(digits) < VALUE_MAX);
	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	while (n > 0)
		t->p[t->n++] = digits[--n];
}

static void put_digits(struct text *t, int64_t v, int width)
{
	check(t->n + 16 < VALUE_MAX);
	for (int i = width - 1; i >= 0; i--, v /= 10)
		t->p[t->n + (size_t)i] = (char)('0' + v % 10);
	t->n += (size_t)width;
}

static void put_hex(struct text *t, uint64_t v, int width)
{
	check(t->n + 16 < VALUE_MAX);
	for (int i = width - 1; i >= 0; i--, v >>= 4)
		t->p[t->n + (size_t)i] = "0123456789abcdef"[v & 15];
	t->n += (size_t)width;
}

// Civil date of a day number since 1970-01-01, for years from 1970 on.
static void put_date(struct text *t, int64_t days)
{
	int64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153, d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
	put_digits(t, yoe + era * 400 + (m <= 2 ? 1 : 0), 4);
	put(t, "-");
	put_digits(t, m, 2);
	put(t, "-");
	put_digits(t, d, 2);
}

static void put_rfc3339(struct text *t, int64_t ms, int64_t offset_min, const char *offset)
{
	int64_t local = ms + offset_min * 60000, day_ms = local % 86400000;
	put_date(t, local / 86400000);
	put(t, "T");
	put_digits(t, day_ms / 3600000, 2);
	put(t, ":");
	put_digits(t, day_ms / 60000 % 60, 2);
	put(t, ":");
	put_digits(t, day_ms / 1000 % 60, 2);
	put(t, ".");
	put_digits(t, day_ms % 1000, 3);
	put(t, offset);
}

// ---- one event

struct call {
	uint64_t account;  // rank
	uint64_t id_a, id_b;
	int64_t time_ms;
	const char *status; // NULL: left out
	uint32_t n_items;
	const char *service[4];
	int64_t calls[4];
	uint32_t form;      // 0 flat, 1 structured, 2 binary
};

static void put_id(struct text *t, const struct call *c)
{
	put_hex(t, c->id_a >> 32, 8);
	put(t, "-");
	put_hex(t, c->id_a >> 16, 4);
	put(t, "-4");
	put_hex(t, c->id_a, 3);
	put(t, "-8");
	put_hex(t, c->id_b >> 48, 3);
	put(t, "-");
	put_hex(t, c->id_b, 12);
}

static void put_account(struct text *t, uint64_t rank)
{
	put(t, "1");
	put_digits(t, (int64_t)(mix(rank + 1) % 1000), 3); // so that neighbours in rank are none in number
	put_digits(t, (int64_t)rank, 8);
}

static void put_time(struct text *t, const struct call *c, uint64_t how)
{
	put(t, "\"time\":");
	if (how % 5 == 0) {
		put_number(t, c->time_ms);
		return;
	}
	put(t, "\"");
	put_rfc3339(t, c->time_ms, how % 5 == 1 ? 0 : 480, how % 5 == 1 ? "Z" : "+08:00");
	put(t, "\"");
}

static void put_item(struct text *t, const struct call *c, uint32_t i)
{
	put(t, "\"service\":\"");
	put(t, c->service[i]);
	put(t, "\"");
	if (c->calls[i] != 1) {
		put(t, ",\"calls\":");
		put_number(t, c->calls[i]);
	}
}

// account, service or items, status, and what nobody reads: the fields of a flat event, and of a CloudEvent's data.
static void put_fields(struct gen *g, struct text *t, const struct call *c)
{
	put(t, "\"account\":\"");
	put_account(t, c->account);
	put(t, "\",");
	if (c->n_items == 1) {
		put_item(t, c, 0);
	} else {
		put(t, "\"items\":[");
		for (uint32_t i = 0; i < c->n_items; i++) {
			put(t, i > 0 ? ",{" : "{");
			put_item(t, c, i);
			put(t, "}");
		}
		put(t, "]");
	}
	if (c->status != NULL) {
		put(t, ",\"status\":\"");
		put(t, c->status);
		put(t, "\"");
	}
	put(t, ",\"request\":{\"region\":\"ap-guangzhou\",\"bytes\":");
	put_number(t, (int64_t)pick(g, 4000000));
	put(t, ",\"scene\":\"\\u56fe\\u50cf\"}");
}

static void put_flat(struct gen *g, struct text *t, const struct call *c)
{
	put(t, "{\"id\":\"");
	put_id(t, c);
	put(t, "\",");
	put_time(t, c, draw(g));
	put(t, ",");
	put_fields(g, t, c);
	put(t, "}");
}

static const char ce_type[] = "com.example.vision.call";

static void put_source(struct text *t, const struct call *c)
{
	put(t, "/gateway/");
	put_number(t, (int64_t)(c->id_b % 8));
}

static void put_structured(struct gen *g, struct text *t, const struct call *c)
{
	put(t, "{\"specversion\":\"1.0\",\"id\":\"");
	put_id(t, c);
	put(t, "\",\"source\":\"");
	put_source(t, c);
	put(t, "\",\"type\":\"");
	put(t, ce_type);
	put(t, "\",");
	put_time(t, c, 2);
	put(t, ",\"data\":{");
	put_fields(g, t, c);
	put(t, "}}");
}

static void add_header(struct kept *k, const char *name, const struct text *value)
{
	char *at = k->head[k->n_headers];
	check(value->n < HEAD_TEXT && k->n_headers < ARRAY_LEN(k->headers));
	memcpy(at, value->p, value->n);
	k->headers[k->n_headers++] = (struct header){ span_of(name), { at, value->n } };
}

static void add_text_header(struct kept *k, const char *name, const char *value)
{
	char copy[HEAD_TEXT];
	int n = snprintf(copy, sizeof(copy), "%s", value);
	add_header(k, name, &(struct text){ copy, (size_t)n });
}

static void put_binary(struct gen *g, struct kept *k, struct text *t, const struct call *c)
{
	char buf[VALUE_MAX];
	struct text h = { buf, 0 };
	add_text_header(k, "ce_specversion", "1.0");
	put_id(&h, c);
	add_header(k, "ce_id", &h);
	h.n = 0;
	put_source(&h, c);
	add_header(k, "ce_source", &h);
	add_text_header(k, "ce_type", ce_type);
	h.n = 0;
	put_rfc3339(&h, c->time_ms, 480, "+08:00");
	add_header(k, "ce_time", &h);
	add_text_header(k, "content-type", "application/json");
	put(t, "{");
	put_fields(g, t, c);
	put(t, "}");
}

static void render(struct gen *g, struct kept *k, const struct call *c)
{
	struct text t = { k->value, 0 }, key = { k->key, 0 };
	k->n_headers = 0;
	put_account(&key, c->account);
	k->n_key = key.n;
	if (c->form == 0)
		put_flat(g, &t, c);
	else if (c->form == 1)
		put_structured(g, &t, c);
	else
		put_binary(g, k, &t, c);
	if (c->form == 1)
		add_text_header(k, "content-type", "application/cloudevents+json");
	k->n_value = t.n;
}

static int64_t pick_delay(struct gen *g)
{
	uint64_t how = pick(g, 1000);
	int64_t d = (int64_t)pick(g, how < 980 ? 2000 : how < 999 ? 600000 : 20 * 3600000);
	return d <= g->o.grace_ms ? d : 0; // never late by accident
}

// The event's time: a little before its record, or, for a late one, in a month that is closed at its record.
static int64_t pick_time(struct gen *g, int64_t stamp_ms, bool late)
{
	int64_t t = stamp_ms - pick_delay(g);
	if (!late)
		return t > g->o.from_ms ? t : g->o.from_ms;
	int month = period_month(g->o.zone, stamp_ms - g->o.grace_ms) - 1; // the last that is closed
	if (month < MONTH_FIRST || period_start_ms(g->o.zone, month) < g->o.from_ms)
		return TIME_NONE;
	int64_t start = period_start_ms(g->o.zone, month);
	return start + (int64_t)pick(g, (uint64_t)(period_end_ms(g->o.zone, month) - start));
}

static int64_t pick_calls(struct gen *g, uint64_t account)
{
	int64_t most = g->o.max_calls / (int64_t)(account + 1);
	if (most <= 1 || !chance(g, 250))
		return chance(g, 50) ? 1 + (int64_t)pick(g, 9) : 1;
	return 1 + (int64_t)pick(g, (uint64_t)most);
}

static const char *pick_status(struct gen *g, bool billable)
{
	static const char *const bad[] = { "error", "throttled", "timeout", "auth_failed" };
	if (!billable)
		return bad[pick(g, ARRAY_LEN(bad))];
	return chance(g, 500) ? "ok" : NULL;
}

static void pick_call(struct gen *g, int64_t time_ms, bool billable, struct call *c)
{
	c->account = pick_weighted(g, g->weight, (uint64_t)g->o.accounts);
	c->id_a = draw(g);
	c->id_b = mix((uint64_t)g->made ^ (g->o.seed << 32)) & ~UINT64_C(0xffffffffff);
	c->id_b |= (uint64_t)g->made & 0xffffffffff; // no two events of a run share an id
	c->time_ms = time_ms;
	c->n_items = chance(g, g->o.items) ? 2 + (uint32_t)pick(g, 3) : 1;
	for (uint32_t i = 0; i < c->n_items; i++) {
		c->service[i] = pick_name(g, c->account, time_ms);
		c->calls[i] = pick_calls(g, c->account);
	}
	c->status = pick_status(g, billable);
	c->form = chance(g, g->o.cloudevents) ? 1 + (uint32_t)pick(g, 2) : 0;
	if (c->form == 2 && g->o.no_headers)
		c->form = 1;
}

// ---- events that are none

static void set_value(struct kept *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void set_value(struct kept *k, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(k->value, VALUE_MAX, fmt, ap);
	va_end(ap);
	check(n >= 0 && n < VALUE_MAX);
	k->n_value = (size_t)n;
}

static void nest_deep(struct kept *k, const char *head)
{
	char open[101], shut[101];
	memset(open, '[', 100);
	memset(shut, ']', 100);
	open[100] = shut[100] = '\0';
	set_value(k, "{%s,\"service\":\"image-tag\",\"x\":%s%s}", head, open, shut);
}

// %s: id, account and time of an event that is otherwise right.
static const char *const broken[] = {
	"",
	"{%s,\"service\":\"image-tag\"",
	"{%s}",
	"{%s,\"service\":\"image-teleport\"}",
	"{%s,\"service\":\"image-tag\",\"calls\":0}",
	"{%s,\"service\":\"image-tag\",\"calls\":-1}",
	"{%s,\"service\":\"image-tag\",\"calls\":1.5}",
	"{%s,\"service\":\"image-tag\",\"calls\":1e3}",
	"{%s,\"service\":\"image-tag\",\"calls\":\"5\"}",
	"{%s,\"service\":\"image-tag\",\"calls\":9223372036854775808}",
	"{%s,\"service\":\"image-tag\",\"calls\":null}",
	"{%s,\"service\":\"image-tag\",\"service\":\"image-crop\"}",
	"{%s,\"service\":\"image-tag\",\"items\":[{\"service\":\"image-crop\"}]}",
	"{%s,\"items\":[]}",
	"{%s,\"items\":[{\"service\":\"image-tag\"},{\"service\":\"image-tag\",\"calls\":0}]}",
	"{%s,\"service\":\"image-tag\",\"status\":7}",
	"{%s,\"service\":\"image-tag\"} x",
	"[{%s,\"service\":\"image-tag\"}]",
	"{%s,\"service\":\"image-tag\",\"note\":\"\xc3\x28\"}",
	"{%s,\"service\":\"image-tag\",\"n\":01}",
	"{%s,\"service\":\"image-tag\",\"specversion\":\"1.0\"}",
};

// The rest needs its own id, account or time.
static void break_head(struct gen *g, struct kept *k, uint64_t how, const char *id, const char *account, int64_t stamp_ms)
{
	switch (how) {
	case 0:
		set_value(k, "{\"id\":\"%s\",\"account\":\"%s\",\"service\":\"image-tag\",\"time\":\"yesterday\"}", id, account);
		break;
	case 1:
		set_value(k, "{\"id\":\"%s\",\"account\":\"%s\",\"service\":\"image-tag\",\"time\":%" PRId64 "}", id, account,
			  stamp_ms / 1000);
		break;
	case 2:
		set_value(k, "{\"id\":\"%s\",\"account\":\"%s\",\"service\":\"image-tag\",\"time\":%" PRId64 "}", id, account,
			  stamp_ms + 86400000);
		break;
	case 3:
		set_value(k, "{\"id\":\"%s\",\"service\":\"image-tag\",\"time\":%" PRId64 "}", id, stamp_ms);
		break;
	case 4:
		set_value(k, "{\"id\":\"%s\",\"account\":\"no blanks please\",\"service\":\"image-tag\",\"time\":%" PRId64 "}", id,
			  stamp_ms);
		break;
	case 5:
		set_value(k, "{\"id\":\"\",\"account\":\"%s\",\"service\":\"image-tag\",\"time\":%" PRId64 "}", account, stamp_ms);
		break;
	default:
		set_value(k, "<event id=\"%s\" calls=\"%" PRIu64 "\"/>", id, pick(g, 10));
		break;
	}
}

static void make_invalid(struct gen *g, struct kept *k, const struct call *c, int64_t stamp_ms)
{
	char id[VALUE_MAX], account[32], head[256];
	struct text t = { id, 0 };
	put_id(&t, c);
	id[t.n] = '\0';
	snprintf(account, sizeof(account), "%.*s", (int)k->n_key, k->key);
	snprintf(head, sizeof(head), "\"id\":\"%.60s\",\"account\":\"%s\",\"time\":%" PRId64, id, account, stamp_ms);
	uint64_t how = pick(g, ARRAY_LEN(broken) + 8);
	k->n_headers = 0;
	if (how < ARRAY_LEN(broken)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		set_value(k, broken[how], head); // every row takes at most this one text
#pragma GCC diagnostic pop
	} else if (how == ARRAY_LEN(broken)) {
		nest_deep(k, head);
	} else {
		break_head(g, k, how - ARRAY_LEN(broken) - 1, id, account, stamp_ms);
	}
}

// ---- the sequence

static void give(const struct kept *k, enum gen_kind kind, int64_t stamp_ms, struct gen_record *ret)
{
	ret->kind = kind;
	ret->timestamp_ms = stamp_ms;
	ret->key = (struct span){ k->key, k->n_key };
	ret->value = (struct span){ k->value, k->n_value };
	ret->n_headers = k->n_headers;
	memcpy(ret->headers, k->headers, k->n_headers * sizeof(k->headers[0]));
}

static int64_t stamp_of(const struct gen *g, int64_t now_ms)
{
	if (now_ms != TIME_NONE)
		return now_ms;
	return g->o.from_ms + (int64_t)((unsigned __int128)(g->o.to_ms - g->o.from_ms) * (uint64_t)g->made / (uint64_t)g->o.events);
}

void gen_next(struct gen *g, int64_t now_ms, struct gen_record *ret)
{
	int64_t stamp = stamp_of(g, now_ms);
	g->made++;
	if (g->n_ring > 0 && chance(g, g->o.duplicates)) {
		uint64_t back = 1 + pick(g, g->n_ring < RING ? g->n_ring : RING);
		give(&g->ring[(g->n_ring - back) % RING], GEN_DUPLICATE, stamp, ret);
		return;
	}
	struct call c = { 0 };
	bool late = chance(g, g->o.late), billable = !chance(g, g->o.not_billable), invalid = chance(g, g->o.invalid);
	int64_t time = pick_time(g, stamp, late && !invalid);
	late = late && !invalid && time != TIME_NONE;
	if (time == TIME_NONE)
		time = pick_time(g, stamp, false);
	pick_call(g, time, billable, &c);
	struct kept *k = invalid ? &g->one : &g->ring[g->n_ring % RING];
	render(g, k, &c);
	if (invalid)
		make_invalid(g, k, &c, stamp);
	else
		g->n_ring++;
	give(k, invalid ? GEN_INVALID : !billable ? GEN_NOT_BILLABLE : late ? GEN_LATE : GEN_VALID, stamp, ret);
}
