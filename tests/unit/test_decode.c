// SPDX-License-Identifier: Apache-2.0
// The decoder against its table, and what does not fit into one: events cut at every byte, very many names, mapped fields.
// The comparison with another parser is test_decode_jansson.c.
#include "event_case.h"
#include "table.h"

static void table_row(void *ctx, const struct table_row *row)
{
	(void)ctx;
	struct event_case c;
	char result[CASE_RESULT];
	cr_assert_eq(row->n, 4, "%s:%d: %d columns", row->file, row->line, row->n);
	case_open(&c, row->field[1], row->field[2]);
	case_result(&CASE_FIELDS, &c.rec, result);
	cr_expect_str_eq(result, row->field[3], "%s:%d: %s\n     is %s\nexpected %s", row->file, row->line, row->field[0], result,
			 row->field[3]);
	case_close(&c);
}

Test(decode, table)
{
	cr_assert_geq(table_each("events.table", table_row, NULL), 300);
}

static void expect(const char *headers, const char *value, const char *expected)
{
	struct event_case c;
	char result[CASE_RESULT];
	case_open(&c, headers, value);
	case_result(&CASE_FIELDS, &c.rec, result);
	cr_expect_str_eq(result, expected, "%s\n     is %s\nexpected %s", value, result, expected);
	case_close(&c);
}

// Every beginning of an event is refused as cut off, exactly at its end.
static void cut_everywhere(const char *value)
{
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	CLEANUP(freep) struct event *event = xcalloc(1, sizeof(*event));
	struct decode_result result;
	for (size_t n = 1; n < strlen(value); n++) {
		CLEANUP(freep) char *exact = xcalloc(1, n);
		memcpy(exact, value, n);
		struct record rec = { .value = { exact, n } };
		decode_record(&CASE_FIELDS, &rec, scratch, event, &result);
		bool in_character = ((uint8_t)value[n] & 0xc0) == 0x80;
		cr_expect_eq(result.reject, in_character ? REJECT_JSON_UTF8 : REJECT_JSON_TRUNCATED, "%.*s: %s", (int)n, exact,
			     reject_info(result.reject)->code);
		cr_expect(in_character || result.position == n, "%.*s: at %zu", (int)n, exact, result.position);
	}
	decode_scratch_free(scratch);
}

Test(decode, cut_at_every_byte)
{
	cut_everywhere("{\"id\":\"8c1f\\u00e9图😀\",\"account\":\"100001234567\",\"service\":\"image-tag\",\"time\":"
		       "\"2020-01-15T08:30:00.123+08:00\",\"calls\":1,\"x\":[1.5e-7,true,false,null,{}],\"status\":\"ok\"}");
	cut_everywhere("{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/gw/1\",\"type\":\"t\",\"data\":{\"account\":\"a\","
		       "\"items\":[{\"service\":\"x\",\"calls\":4},{\"service\":\"y\"}]}}");
}

// An event with n unknown names, and one more at the end. Time that grows with the square of n would not end.
static void many_names(size_t n, const char *name, const char *last, const char *expected)
{
	struct case_bytes b = { 0 };
	case_put(&b, "{", 1);
	for (size_t i = 0; i < n; i++) {
		char member[64];
		size_t len = (size_t)snprintf(member, sizeof(member), "\"%s%07zu\":0,", name, i);
		case_put(&b, member, len);
	}
	case_put(&b, last, strlen(last));
	struct record rec = { .value = { b.p, b.n } };
	char result[CASE_RESULT];
	case_result(&CASE_FIELDS, &rec, result);
	cr_expect_str_eq(result, expected, "%zu names: %s", n, result);
	free(b.p);
}

#define REST "\"id\":\"e1\",\"account\":\"a\",\"service\":\"s\",\"time\":1579048200123}"

Test(decode, very_many_names)
{
	const char *accepted = "accepted id=e1 account=a time=2020-01-15T00:30:00.123Z status=ok s*1";
	for (size_t n = 20; n < 30; n++)
		many_names(n, "n", REST, accepted);
	many_names(300000, "n", REST, accepted);
	many_names(300000, "a_long_common_beginning_of_names_", REST, accepted);
	many_names(300000, "\\u006E", REST, accepted);
	many_names(300000, "n", "\"n0000017\":1," REST,
		   "json_duplicate_name @3900001 a name stands twice in the same object (\"n0000017\")");
	many_names(24, "n", "\"\\u006e0000023\":1," REST,
		   "json_duplicate_name @313 a name stands twice in the same object (\"\\u006e0000023\")");
}

Test(decode, very_many_headers)
{
	enum { MANY = 200000 };
	CLEANUP(freep) struct header *headers = xcalloc(MANY, sizeof(*headers));
	char (*names)[16] = xcalloc(MANY, sizeof(*names));
	for (size_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "ce_%07zu", i);
		headers[i] = (struct header){ span_of(names[i]), SPAN_LIT("x") };
	}
	struct record rec = { .value = SPAN_LIT("{" REST), .headers = headers, .n_headers = MANY };
	char result[CASE_RESULT];
	case_result(&CASE_FIELDS, &rec, result);
	cr_expect_str_eq(result, "accepted id=e1 account=a time=2020-01-15T00:30:00.123Z status=ok s*1");
	headers[MANY - 1].name = headers[5].name;
	headers[MANY - 7].name = headers[70].name;
	case_result(&CASE_FIELDS, &rec, result);
	cr_expect_str_eq(result, "ce_header_repeated @0 a ce_ header stands twice (ce_0000070)");
	free(names);
}

static void mapped(const struct decode_fields *fields, const char *headers, const char *value, const char *expected)
{
	struct event_case c;
	char result[CASE_RESULT];
	case_open(&c, headers, value);
	case_result(fields, &c.rec, result);
	cr_expect_str_eq(result, expected, "%s\n     is %s\nexpected %s", value, result, expected);
	case_close(&c);
}

Test(decode, fields_are_mapped)
{
	const struct decode_fields f = { "requestId", "domain_id", "api", "t", "n", "code", "list" };
	mapped(&f, "-", "{\"requestId\":\"e1\",\"domain_id\":\"a\",\"api\":\"s\",\"t\":1579048200123,\"n\":3,\"code\":\"500\",\"id\":1,\"account\":null}",
	       "accepted id=e1 account=a time=2020-01-15T00:30:00.123Z status=500 s*3");
	mapped(&f, "-", "{\"requestId\":\"e1\",\"domain_id\":\"a\",\"t\":1579048200123,\"list\":[{\"api\":\"s\",\"n\":2,\"service\":0}]}",
	       "accepted id=e1 account=a time=2020-01-15T00:30:00.123Z status=ok s*2");
	mapped(&f, "-", "{\"requestId\":\"e1\",\"domain_id\":\"a\",\"api\":\"s\",\"t\":1579048200123,\"n\":0}",
	       "calls_range @66 calls is not between 1 and 1,000,000,000 (n: found 0)");
	mapped(&f, "-", "{\"id\":\"e1\"}", "field_missing @0 a required field is missing (requestId)");
	// The attributes of a CloudEvent keep their names.
	mapped(&f, "-",
	       "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"s\",\"type\":\"t\",\"time\":\"2020-02-01T00:00:00Z\","
	       "\"data\":{\"domain_id\":\"a\",\"api\":\"x\",\"t\":5}}",
	       "accepted id=e1 source=s account=a time=2020-02-01T00:00:00.000Z status=ok x*1");
	// A field may have an attribute's name, and one name may be the beginning of another.
	const struct decode_fields g = { "source", "data", "dat", "type", "d", "s", "specversion1" };
	mapped(&g, "-", "{\"source\":\"e1\",\"data\":\"a\",\"dat\":\"s\",\"type\":1579048200123,\"d\":4,\"s\":\"ok\"}",
	       "accepted id=e1 account=a time=2020-01-15T00:30:00.123Z status=ok s*4");
	mapped(&g, "-", "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"s\",\"type\":\"t\",\"data\":{\"data\":\"a\",\"dat\":\"x\",\"type\":1579048200123}}",
	       "accepted id=e1 source=s account=a time=2020-01-15T00:30:00.123Z status=ok x*1");
}

// The same scratch serves a record with very long escaped strings and small ones, in any order.
Test(decode, scratch_is_used_again)
{
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	CLEANUP(freep) struct event *event = xcalloc(1, sizeof(*event));
	struct decode_result result;
	struct event_case c;
	for (int i = 0; i < 6; i++) {
		char value[256], text[CASE_RESULT];
		int length = i % 2 == 0 ? 20000 * (i + 1) : 3;
		snprintf(value, sizeof(value),
			 "{\"specversion\":\"1.0\",\"id\":\"\\u0065\",\"source\":\"~(%d*\\u0041~)\",\"type\":\"t\","
			 "\"data\":{\"account\":\"\\u0061\",\"service\":\"\\u0078\",\"time\":1579048200123}}", length);
		case_open(&c, "-", value);
		decode_record(&CASE_FIELDS, &c.rec, scratch, event, &result);
		cr_assert_eq(result.reject, REJECT_NONE, "%s", result.detail);
		cr_expect_eq(event->source.n, (size_t)length);
		event->source = SPAN_LIT("/");
		case_event_text(event, text);
		cr_expect_str_eq(text, "accepted id=e source=/ account=a time=2020-01-15T00:30:00.123Z status=ok x*1");
		case_close(&c);
	}
	decode_scratch_free(scratch);
}

// A refused record leaves the event as it was.
Test(decode, event_is_written_on_success_only)
{
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	struct event before, event;
	struct decode_result result;
	memset(&before, 0x5a, sizeof(before));
	memcpy(&event, &before, sizeof(event));
	struct record rec = { .value = SPAN_LIT("{\"id\":\"e1\",\"account\":\"a\",\"time\":1579048200123,\"items\":[{\"service\":\"s\"},{}]}") };
	decode_record(&CASE_FIELDS, &rec, scratch, &event, &result);
	cr_expect_eq(result.reject, REJECT_FIELD_MISSING);
	cr_expect_eq(memcmp(&event, &before, sizeof(event)), 0);
	rec.value = SPAN_LIT("{\"status\":5," REST);
	decode_record(&CASE_FIELDS, &rec, scratch, &event, &result);
	cr_expect_eq(result.reject, REJECT_FIELD_TYPE);
	cr_expect_eq(memcmp(&event, &before, sizeof(event)), 0);
}

Test(decode, ticks)
{
	struct header tick = { SPAN_LIT(TICK_HEADER), SPAN_LIT("") };
	struct header other = { SPAN_LIT(TICK_HEADER "s"), SPAN_LIT("") };
	cr_expect(record_is_tick(&(struct record){ .headers = &tick, .n_headers = 1 }));
	cr_expect(record_is_tick(&(struct record){ .headers = &tick, .n_headers = 1, .value = SPAN_LIT("") }));
	cr_expect_not(record_is_tick(&(struct record){ .headers = &tick, .n_headers = 1, .value = SPAN_LIT(" ") }));
	cr_expect_not(record_is_tick(&(struct record){ .headers = &other, .n_headers = 1 }));
	cr_expect_not(record_is_tick(&(struct record){ .n_headers = 0 }));
}

// Codes are contracts: each is one word, none is used twice, and each says what to do.
Test(decode, reasons)
{
	for (enum reject r = REJECT_NONE + 1; r < REJECT_COUNT; r++) {
		const struct reject_info *a = reject_info(r);
		cr_expect_eq(strspn(a->code, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(a->code), "%s", a->code);
		cr_expect(strcmp(a->stage, "decode") == 0 || strcmp(a->stage, "limit") == 0 || strcmp(a->stage, "catalog") == 0 ||
				  strcmp(a->stage, "time") == 0, "%s: %s", a->code, a->stage);
		cr_expect(strlen(a->message) > 10 && strlen(a->advice) > 10, "%s", a->code);
		cr_expect_null(strchr(a->message, '\n'));
		for (enum reject s = r + 1; s < REJECT_COUNT; s++) {
			cr_expect_str_neq(a->code, reject_info(s)->code);
			cr_expect_str_neq(a->message, reject_info(s)->message);
		}
	}
	expect("-", "~empty", "empty @0 the record has no value (0 bytes)");
}
