// SPDX-License-Identifier: Apache-2.0
// The accounts topic: what its records must be, what a book makes of them, and as of when.
#include "account/account.h"

#include <inttypes.h>
#include <time.h>

#include "base/check.h"
#include "table.h"

// --- records ------------------------------------------------------------------------------------------------------------

// `record | accepted` or `record | code | detail`. In the record, \x20 and so on stand for bytes; other escapes are JSON's.
static struct span bytes_of(char *text)
{
	size_t n = 0;
	for (char *p = text; *p != '\0'; n++) {
		unsigned byte;
		if (p[0] == '\\' && p[1] == 'x' && sscanf(p + 2, "%2x", &byte) == 1) {
			text[n] = (char)byte;
			p += 4;
		} else {
			text[n] = *p++;
		}
	}
	return (struct span){ text, n };
}

struct seen {
	bool codes[ACCOUNT_FAULT_COUNT];
	int accepted, refused;
};

static void record_row(void *ctx, const struct table_row *row)
{
	struct seen *seen = ctx;
	struct arena arena = { 0 };
	struct account_fact fact;
	struct account_fault fault;
	struct span account;
	cr_assert(row->n >= 2, "line %d has %d fields", row->line, row->n);
	struct span value = bytes_of(row->field[0]);
	if (span_is(value, "-"))
		value = (struct span){ "", 0 };
	bool ok = account_read(value, &arena, &account, &fact, &fault);
	char got[600];
	if (ok)
		snprintf(got, sizeof(got), "accepted");
	else
		snprintf(got, sizeof(got), "%s | %s", account_fault_info(fault.code)->code, fault.detail);
	char want[600];
	snprintf(want, sizeof(want), row->n > 2 ? "%s | %s" : "%s", row->field[1], row->n > 2 ? row->field[2] : "");
	cr_expect_str_eq(got, want, "line %d: %s\n  got  %s\n  want %s", row->line, row->field[0], got, want);
	seen->accepted += ok;
	seen->refused += !ok;
	if (!ok)
		seen->codes[fault.code] = true;
	arena_free(&arena);
}

Test(account, records)
{
	struct seen seen = { 0 };
	table_each("account_records.table", record_row, &seen);
	cr_assert_geq(seen.accepted, 20);
	cr_assert_geq(seen.refused, 90);
	for (int i = 0; i < ACCOUNT_FAULT_COUNT; i++) {
		bool of_books = i == ACCOUNT_FAULT_VERSION_STALE || i == ACCOUNT_FAULT_VERSION_TAKEN || i == ACCOUNT_FAULT_PACK_UNKNOWN ||
				i == ACCOUNT_FAULT_ACCOUNT_FULL || i == ACCOUNT_FAULT_PACKS_FULL || i == ACCOUNT_FAULT_TOO_LONG;
		cr_expect(seen.codes[i] || of_books, "no row shows %s", account_fault_info((enum account_fault_code)i)->code);
	}
}

// --- books --------------------------------------------------------------------------------------------------------------

struct scene {
	struct account_book *book;
	int asked;
};

static int64_t number(const char *text, const struct table_row *row)
{
	int64_t v = 0;
	if (strcmp(text, "-") == 0)
		return INT64_MAX;
	cr_assert(span_int64(span_of(text), &v), "%s:%d: `%s` is no number", row->file, row->line, text);
	return v;
}

static void say_row(struct scene *s, const struct table_row *row)
{
	static const char *const words[] = { "taken", "repeated", "refused" };
	struct account_fault fault = { .detail = "" };
	char got[600];
	cr_assert_eq(row->n, 6, "line %d has %d fields", row->line, row->n);
	enum account_applied how = account_book_apply(s->book, (int32_t)number(row->field[1], row), number(row->field[2], row),
						      number(row->field[3], row), span_of(row->field[4]), &fault);
	snprintf(got, sizeof(got), "%s%s%s%s%s", words[how], how == ACCOUNT_REFUSED ? " " : "",
		 how == ACCOUNT_REFUSED ? account_fault_info(fault.code)->code : "", how == ACCOUNT_REFUSED ? ": " : "",
		 how == ACCOUNT_REFUSED ? fault.detail : "");
	cr_expect_str_eq(got, row->field[5], "line %d\n  got  %s\n  want %s", row->line, got, row->field[5]);
}

static void put_thing(FILE *f, const struct account_thing *t)
{
	static const char kinds[] = { 'a', 'c', 'p' };
	char month[MONTH_TEXT];
	fprintf(f, "%c:%.*s/%" PRId64, kinds[t->fact->kind], (int)t->fact->id.n, t->fact->id.p, t->fact->version);
	if (t->cancelled_month != MONTH_NONE)
		fprintf(f, "(cancelled %s by %" PRId64 ")", month_text(t->cancelled_month, month), t->newest->version);
}

// "0:5 1:7"
static void cuts_of(char *text, const struct table_row *row, struct account_horizon *h, struct account_cut *cuts)
{
	char *state = NULL;
	if (strcmp(text, "-") == 0)
		return;
	h->with_cuts = true;
	h->cuts = cuts;
	for (char *t = strtok_r(text, " ", &state); t != NULL; t = strtok_r(NULL, " ", &state)) {
		char *colon = strchr(t, ':');
		if (colon == NULL)
			continue; // "none"
		*colon = '\0';
		cuts[h->n_cuts++] = (struct account_cut){ (int32_t)number(t, row), number(colon + 1, row) };
	}
}

static void ask_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 5, "line %d has %d fields", row->line, row->n);
	struct account_cut cuts[8];
	struct account_horizon h = { .stamp_ms = number(row->field[2], row) };
	struct account_thing things[16];
	char got[600] = "";
	cuts_of(row->field[3], row, &h, cuts);
	const struct account *a = account_book_find(s->book, span_of(row->field[1]));
	FILE *f = fmemopen(got, sizeof(got), "w");
	uint32_t n = a != NULL ? account_as_of(a, &h, things) : 0;
	fputs(a == NULL ? "unknown" : n == 0 ? "nothing" : "", f);
	for (uint32_t i = 0; i < n; i++) {
		fputs(i > 0 ? " " : "", f);
		put_thing(f, &things[i]);
	}
	fclose(f);
	cr_expect_str_eq(got, row->field[4], "line %d\n  got  %s\n  want %s", row->line, got, row->field[4]);
	s->asked++;
}

static void corrected_row(struct scene *s, const struct table_row *row)
{
	cr_assert_eq(row->n, 5, "line %d has %d fields", row->line, row->n);
	struct account_cut before_cuts[8], cuts[8];
	struct account_horizon before = { .stamp_ms = INT64_MAX }, h = { .stamp_ms = INT64_MAX };
	const struct account_fact *facts[16];
	char got[600] = "";
	bool nothing = strcmp(row->field[2], "-") == 0;
	cuts_of(row->field[2], row, &before, before_cuts);
	cuts_of(row->field[3], row, &h, cuts);
	const struct account *a = account_book_find(s->book, span_of(row->field[1]));
	cr_assert_not_null(a);
	FILE *f = fmemopen(got, sizeof(got), "w");
	uint32_t n = account_corrections(a, nothing ? NULL : &before, &h, facts);
	fputs(n == 0 ? "none" : "", f);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "%s%.*s=%d:%" PRId64, i > 0 ? " " : "", (int)facts[i]->id.n, facts[i]->id.p, facts[i]->partition, facts[i]->offset);
	fclose(f);
	cr_expect_str_eq(got, row->field[4], "line %d\n  got  %s\n  want %s", row->line, got, row->field[4]);
	s->asked++;
}

static void book_row(void *ctx, const struct table_row *row)
{
	struct scene *s = ctx;
	const char *word = row->field[0];
	if (strcmp(word, "book") == 0) {
		account_book_freep(&s->book);
		s->book = account_book_new();
	} else if (strcmp(word, "say") == 0) {
		say_row(s, row);
	} else if (strcmp(word, "ask") == 0) {
		ask_row(s, row);
	} else if (strcmp(word, "corrected") == 0) {
		corrected_row(s, row);
	} else {
		cr_assert_str_eq(word, "next", "line %d: `%s`", row->line, word);
		const struct account *a = account_book_find(s->book, span_of(row->field[1]));
		cr_assert_not_null(a);
		cr_expect_eq(account_next_change(a, number(row->field[2], row)), number(row->field[3], row), "line %d", row->line);
	}
}

Test(account, books)
{
	struct scene s = { 0 };
	table_each("account_book.table", book_row, &s);
	cr_assert_geq(s.asked, 30);
	account_book_freep(&s.book);
}

// --- limits -------------------------------------------------------------------------------------------------------------

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *contract_of(int services, int tiers)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	fputs("{\"type\":\"contract\",\"account\":\"A\",\"id\":\"c\",\"version\":1,\"from\":\"2020-04\",\"services\":[", f);
	for (int s = 0; s < services; s++) {
		fprintf(f, "%s{\"service\":\"s%d\",\"prices\":{\"model\":\"graduated\",\"per\":1,\"tiers\":[", s > 0 ? "," : "", s);
		for (int i = 0; i < tiers; i++)
			fprintf(f, "%s{\"from\":%d,\"price\":\"%d\"}", i > 0 ? "," : "", i, tiers - i);
		fputs("]}}", f);
	}
	fputs("]}", f);
	fclose(f);
	return text;
}

static void expect_contract(int services, int tiers, const char *code, const char *detail)
{
	struct arena arena = { 0 };
	struct account_fact fact;
	struct account_fault fault;
	struct span account;
	char *text = contract_of(services, tiers);
	bool ok = account_read(span_of(text), &arena, &account, &fact, &fault);
	cr_assert_eq(ok, code == NULL, "%d services of %d tiers: %s", services, tiers, ok ? "accepted" : fault.detail);
	if (!ok) {
		cr_expect_str_eq(account_fault_info(fault.code)->code, code);
		cr_expect_str_eq(fault.detail, detail);
	} else {
		const struct plan *p = &fact.services[services - 1].plan;
		cr_expect(fact.n_services == (uint32_t)services && p->n_tiers == (uint32_t)tiers);
		cr_expect(p->tiers[tiers - 1].bound == tiers - 1 && p->tiers[tiers - 1].price_micro == 1000000);
	}
	arena_free(&arena);
	free(text);
}

static void expect_pack(int services, const char *detail)
{
	struct arena arena = { 0 };
	struct account_fact fact;
	struct account_fault fault = { .detail = "" };
	struct span account;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	fputs("{\"type\":\"pack\",\"account\":\"A\",\"id\":\"p\",\"version\":1,\"calls\":5,\"price\":\"1\",\"start\":\"2020-01-01T00:00:00Z\","
	      "\"expiry\":\"2021-01-01T00:00:00Z\",\"services\":[", f);
	for (int i = 0; i < services; i++)
		fprintf(f, "%s\"s%d\"", i > 0 ? "," : "", i);
	fputs("]}", f);
	fclose(f);
	cr_expect_eq(account_read(span_of(text), &arena, &account, &fact, &fault), detail == NULL);
	cr_expect_str_eq(fault.detail, detail != NULL ? detail : "");
	arena_free(&arena);
	free(text);
}

Test(account, limits_are_exact)
{
	expect_contract(1, 1024, NULL, NULL);
	expect_contract(1, 1025, "price_invalid", "services[0].prices.tiers: 1025 tiers: there must be 1 to 1024; the first begins at 0");
	expect_contract(1000, 1, NULL, NULL);
	expect_contract(1001, 1, "services_count", "services: 1001 services");
	expect_pack(64, NULL);
	expect_pack(65, "services: 65 services");
	struct account_fault fault;
	struct account_book *b = account_book_new();
	char *text = malloc(ACCOUNT_RECORD_MOST + 2);
	memset(text, ' ', ACCOUNT_RECORD_MOST + 2);
	const char *fact = "{\"type\":\"activation\",\"account\":\"A\",\"id\":\"x\",\"version\":1,\"time\":\"2020-01-01T00:00:00Z\"}";
	memcpy(text, fact, strlen(fact));
	cr_assert_eq(account_book_apply(b, 0, 0, 0, (struct span){ text, ACCOUNT_RECORD_MOST + 1 }, &fault), ACCOUNT_REFUSED);
	cr_assert_eq(fault.code, ACCOUNT_FAULT_TOO_LONG);
	cr_assert_str_eq(fault.detail, "1048577 bytes");
	cr_assert_eq(account_book_apply(b, 0, 1, 0, (struct span){ text, ACCOUNT_RECORD_MOST }, &fault), ACCOUNT_TAKEN);
	cr_assert_eq(account_book_apply(b, 0, 2, 0, (struct span){ NULL, 0 }, &fault), ACCOUNT_REFUSED);
	cr_assert_str_eq(fault.detail, "null");
	free(text);
	account_book_freep(&b);
}

static char *pack_text_of(char buf[400], const char *account, uint32_t i, int64_t version, const char *services)
{
	snprintf(buf, 400, "{\"type\":\"pack\",\"account\":\"%s\",\"id\":\"p-%u\",\"version\":%" PRId64 ",\"services\":[%s],"
		 "\"calls\":%u,\"price\":\"2000.00\",\"start\":\"2020-01-01T00:00:00Z\",\"expiry\":\"2021-01-01T00:00:00Z\"}", account, i, version,
		 services, i + 1);
	return buf;
}

static char *pack_text(char buf[400], uint32_t i, int64_t version)
{
	return pack_text_of(buf, "A", i, version, "\"image-tag\",\"image-crop\"");
}

// What a book holds is its own: the text it was told is gone. Ten packs each of ten thousand accounts, by turns.
Test(account, a_hundred_thousand_packs)
{
	enum { N = 100000, ACCOUNTS = 10000 };
	struct account_book *b = account_book_new();
	struct account_fault fault;
	char text[400], name[16];
	double begin = seconds();
	for (uint32_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "A%u", i % ACCOUNTS);
		pack_text_of(text, name, i, 1, "\"image-tag\",\"image-crop\"");
		cr_assert_eq(account_book_apply(b, 0, i, i, span_of(text), &fault), ACCOUNT_TAKEN);
		memset(text, 'x', sizeof(text));
	}
	double read = seconds() - begin;
	begin = seconds();
	cr_assert(account_book_serial(b) == N && account_book_size(b) == ACCOUNTS);
	for (uint32_t k = 0; k < ACCOUNTS; k++) {
		struct account_thing things[N / ACCOUNTS];
		snprintf(name, sizeof(name), "A%u", k);
		const struct account *a = account_book_find(b, span_of(name));
		cr_assert(a == account_book_at(b, k) && a->n_things == N / ACCOUNTS);
		cr_assert_eq(account_as_of(a, &(struct account_horizon){ .stamp_ms = N / 2 - 1 }, things), N / ACCOUNTS / 2);
		for (uint32_t i = 0; i < N / ACCOUNTS / 2; i++) {
			char id[16];
			snprintf(id, sizeof(id), "p-%u", i * ACCOUNTS + k);
			const struct account_fact *f = things[i].fact;
			cr_assert(span_is(f->id, id) && f->calls == i * ACCOUNTS + k + 1 && f->n_pack_services == 2);
			cr_assert(span_is(f->pack_services[1], "image-crop") && f->price_micro == 2000000000 && f->warn_micro == 800000);
		}
	}
	double asked = seconds() - begin;
	fprintf(stderr, "book: 100,000 packs of 10,000 accounts read in %.2f s, asked in %.4f s\n", read, asked);
	cr_assert(read < 30 && asked < 10);
	account_book_freep(&b);
}

// Who closes a month walks the accounts that were corrected, and no others. What is read is the book's own.
Test(account, a_correction_is_read_whole)
{
	const char *const said = "{\"type\":\"correction\",\"account\":\"A%d\",\"id\":\"c-%d\",\"version\":1,\"after\":\"2020-05\",\"reason\":\"a faulty hour\",\"question\":{ \"to\":7, \"from\":{\"u/1\":2} },\"lines\":["
		"{\"period\":\"2020-03\",\"service\":\"crop\",\"was\":{\"revision\":2,\"calls\":9,\"free\":4,\"packs\":[{\"id\":\"p-1\",\"calls\":3}],"
		"\"billable\":2,\"charge\":\"1.05\"},\"becomes\":{\"calls\":8,\"free\":4,\"packs\":[{\"id\":\"p-2\",\"calls\":1},{\"id\":\"p-1\",\"calls\":2}],"
		"\"billable\":1,\"charge\":\"12.30\"}},"
		"{\"period\":\"2020-04\",\"service\":\"tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}";
	struct account_book *b = account_book_new();
	struct account_fault fault;
	for (int i = 0; i < 100; i++) {
		char text[900];
		if (i % 10 == 0)
			pack_text_of(text, i == 50 ? "A5" : "other", (uint32_t)i, 1, "\"crop\"");
		else
			snprintf(text, sizeof(text), said, i % 10, i);
		cr_assert_eq(account_book_apply(b, 0, i, i, span_of(text), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
		memset(text, 'x', sizeof(text));
	}
	cr_assert_eq(account_book_corrected(b), 9);
	const struct account *a = account_book_corrected_at(b, 4);
	cr_assert(span_is(a->name, "A5") && a->n_corrections == 10 && a->n_things == 1 && a->n_facts == 1);
	const struct account_fact *f = a->corrections[1].facts[0];
	const struct correction_side *was = &f->lines[0].was, *becomes = &f->lines[0].becomes;
	cr_assert(f->kind == ACCOUNT_CORRECTION && span_is(f->id, "c-15") && span_is(f->reason, "a faulty hour") && span_is(f->question, "{\"to\":7,\"from\":{\"u/1\":2}}") && f->n_lines == 2 && f->offset == 15);
	cr_assert(f->lines[0].month == 2020 * 12 + 2 && span_is(f->lines[0].service, "crop"));
	cr_assert(was->revision == 2 && was->calls == 9 && was->free == 4 && was->billable == 2 && was->charge_fen == 105 && was->n_packs == 1);
	cr_assert(becomes->calls == 8 && becomes->free == 4 && becomes->billable == 1 && becomes->charge_fen == 1230 && becomes->n_packs == 2);
	cr_assert(span_is(becomes->packs[0].id, "p-2") && becomes->packs[0].calls == 1 && span_is(becomes->packs[1].id, "p-1") && becomes->packs[1].calls == 2);
	cr_assert(f->lines[1].was.revision == -1 && f->lines[1].was.calls == 0 && f->lines[1].month == 2020 * 12 + 3);
	account_book_freep(&b);
}

// Who compares lists of packs does so for each line of a correction, which may have tens of thousands.
Test(account, packs_in_whatever_order, .timeout = 30)
{
	enum { MANY = 300000 };
	struct pack_use two[] = { { SPAN_LIT("a"), 1 }, { SPAN_LIT("b"), 2 } }, turned[] = { { SPAN_LIT("b"), 2 }, { SPAN_LIT("a"), 1 } };
	struct pack_use other[] = { { SPAN_LIT("a"), 1 }, { SPAN_LIT("c"), 2 } }, less[] = { { SPAN_LIT("b"), 1 }, { SPAN_LIT("a"), 1 } };
	cr_expect(packs_same(NULL, 0, NULL, 0) && packs_same(two, 2, two, 2) && packs_same(two, 2, turned, 2));
	cr_expect(!packs_same(two, 2, two, 1) && !packs_same(NULL, 0, two, 1) && !packs_same(two, 2, other, 2) && !packs_same(two, 2, less, 2));
	struct pack_use *a = xcalloc(MANY, sizeof(*a)), *b = xcalloc(MANY, sizeof(*b));
	char (*ids)[12] = xcalloc(MANY, sizeof(*ids));
	for (int i = 0; i < MANY; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%d", i);
		a[i] = b[MANY - 1 - i] = (struct pack_use){ span_of(ids[i]), i };
	}
	cr_expect(packs_same(a, MANY, b, MANY));
	b[MANY / 2].calls++;
	cr_expect(!packs_same(a, MANY, b, MANY));
	free(a);
	free(b);
	free(ids);
}

// What begins as a correction is never anything else, so that who needs none may pass over it unread.
Test(account, what_begins_as_a_correction)
{
	static const char form[] = "{\"type\":\"correction\",\"account\":\"A\",\"id\":\"c\",\"version\":1,\"after\":\"2020-05\",\"reason\":\"x\",\"question\":{},\"lines\":["
				   "{\"period\":\"2020-04\",\"service\":\"tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}";
	static const char *const others[] = { "{\"type\":\"pack\"", "{\"type\":\"correction\"", "{\"account\":\"A\",\"type\":\"correction\",", " {\"type\":\"correction\",", "" };
	const char *twice = "{\"type\":\"correction\",\"type\":\"activation\",\"account\":\"A\",\"id\":\"a\",\"version\":1,\"time\":\"2020-01-01T00:00:00Z\"}";
	struct arena arena = { 0 };
	struct account_fact f;
	struct account_fault fault;
	struct span account;
	cr_assert(account_read(span_of(form), &arena, &account, &f, &fault) && f.kind == ACCOUNT_CORRECTION, "%s", fault.detail);
	cr_expect(account_begins_correction(span_of(form)) && account_begins_correction(span_of(twice)) && !account_begins_correction((struct span){ NULL, 0 }));
	cr_expect(!account_read(span_of(twice), &arena, &account, &f, &fault));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		cr_expect(!account_begins_correction(span_of(others[i])), "%s", others[i]);
	arena_free(&arena);
}

// Packs beyond what the store can weigh are refused where they are bought, not when the month ends; what is there goes on.
Test(account, an_account_is_full_of_packs_one_day)
{
	struct account_book *b = account_book_new();
	struct account_fault fault;
	char text[400];
	uint32_t n = 0;
	for (; n < ACCOUNT_PACKS_MOST / 2; n++)
		cr_assert_eq(account_book_apply(b, 0, n, n, span_of(pack_text(text, n, 1)), &fault), ACCOUNT_TAKEN);
	cr_assert_eq(account_book_apply(b, 0, n, n, span_of(pack_text_of(text, "A", n, 1, "\"image-tag\"")), &fault), ACCOUNT_REFUSED);
	cr_assert_str_eq(account_fault_info(fault.code)->code, "packs_full");
	cr_assert_str_eq(fault.detail, "`p-5000` version 1");
	// Of a pack that is there: as many services or fewer are taken, more are not; so are cancellations, and other accounts.
	struct {
		const char *account, *services;
		uint32_t pack;
		enum account_applied want;
	} cases[] = { { "A", "\"image-tag\"", 7, ACCOUNT_TAKEN }, { "A", "\"image-tag\",\"image-crop\"", 7, ACCOUNT_TAKEN },
		      { "A", "\"image-tag\",\"image-crop\",\"vehicle-recognition\"", 7, ACCOUNT_REFUSED }, { "B", "\"image-tag\"", 0, ACCOUNT_TAKEN } };
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		n++;
		pack_text_of(text, cases[i].account, cases[i].pack, 2 + i, cases[i].services);
		cr_expect_eq(account_book_apply(b, 0, n, n, span_of(text), &fault), cases[i].want, "case %u", i);
	}
	const char *cancel = "{\"type\":\"pack.cancelled\",\"account\":\"A\",\"id\":\"p-9\",\"version\":2,\"from\":\"2020-06\"}";
	cr_assert_eq(account_book_apply(b, 0, n + 1, n + 1, span_of(cancel), &fault), ACCOUNT_TAKEN);
	cr_assert_eq(account_book_find(b, SPAN_LIT("A"))->n_things, ACCOUNT_PACKS_MOST / 2);
	account_book_freep(&b);
}

Test(account, an_account_is_full_one_day)
{
	struct account_book *b = account_book_new();
	struct account_fault fault;
	char text[400];
	for (uint32_t i = 0; i < ACCOUNT_FACTS_MOST; i++)
		cr_assert_eq(account_book_apply(b, 0, i, i, span_of(pack_text(text, i % 10, i / 10 + 1)), &fault), ACCOUNT_TAKEN);
	int64_t next = ACCOUNT_FACTS_MOST;
	cr_assert_eq(account_book_apply(b, 0, next, next, span_of(pack_text(text, 0, 999999)), &fault), ACCOUNT_REFUSED);
	cr_assert_eq(fault.code, ACCOUNT_FAULT_ACCOUNT_FULL);
	cr_assert_str_eq(fault.detail, "`p-0` version 999999; known is version 25000 of partition 0, offset 249990");
	cr_assert_eq(account_book_apply(b, 0, next + 1, next + 1, span_of(pack_text(text, 9, 25000)), &fault), ACCOUNT_REPEATED);
	cr_assert_eq(account_book_serial(b), ACCOUNT_FACTS_MOST);
	// Corrections take no room of it, and it takes none of theirs.
	const char *said = "{\"type\":\"correction\",\"account\":\"A\",\"id\":\"c\",\"version\":1,\"after\":\"2020-05\",\"reason\":\"x\",\"question\":{},\"lines\":["
			   "{\"period\":\"2020-04\",\"service\":\"tag\",\"becomes\":{\"calls\":1,\"free\":1,\"packs\":[],\"billable\":0,\"charge\":\"0.00\"}}]}";
	cr_expect_eq(account_book_apply(b, 0, next + 2, next + 2, span_of(said), &fault), ACCOUNT_TAKEN, "%s", fault.detail);
	account_book_freep(&b);
}

// Whatever is cut off or changed: a fact or a fault with words, never both, and no crash.
Test(account, mutilated_records)
{
	const char *whole = "{\"type\":\"contract\",\"account\":\"A\",\"id\":\"c-1\",\"version\":1,\"from\":\"2020-04\",\"until\":\"2021-04\",\"services\":["
		"{\"service\":\"image-tag\",\"prices\":{\"model\":\"volume\",\"per\":1000,\"bounds\":\"lower-inclusive\",\"tier_basis\":\"total\",\"tiers\":["
		"{\"from\":0,\"to\":9,\"price\":\"2.1\"},{\"from\":9,\"price\":\"1.9\",\"fee\":\"10\"}]},\"free\":{\"calls\":20000,\"warn\":\"0.8\","
		"\"first_month\":\"immediate\"}},{\"service\":\"b\",\"tier_basis\":\"billable\"}]}";
	size_t n = strlen(whole);
	uint64_t seed = 1;
	int accepted = 0;
	struct arena arena = { 0 };
	for (int i = 0; i < 20000; i++) {
		char *copy = strdup(whole);
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		size_t at = (size_t)(seed >> 33) % n, len = n;
		if (i % 4 == 0)
			len = at;
		else
			copy[at] = "0-:{}[]\",x 19.n\xff"[seed >> 20 & 15];
		struct account_fact fact;
		struct account_fault fault = { .detail = "" };
		struct span account;
		bool ok = account_read((struct span){ copy, len }, &arena, &account, &fact, &fault);
		cr_assert_eq(ok, fault.detail[0] == '\0');
		accepted += ok;
		arena_reset(&arena);
		free(copy);
	}
	cr_assert(accepted > 10 && accepted < 10000, "%d", accepted);
	arena_free(&arena);
}
