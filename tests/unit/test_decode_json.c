// SPDX-License-Identifier: Apache-2.0
// tests/table/json.table: every text that is JSON is accepted as a value that nobody reads, every other one refused, wherever in the
// event it stands and however deep. An event that is refused for its JSON must never be counted, nor an event be lost for a form that
// JSON allows.
#include "table.h"
#define reference_check(cond, ...) cr_expect(cond, __VA_ARGS__)
#include "decode_reference.h"

struct seen {
	int accepted, refused;
	struct decode_scratch *scratch;
	struct tally by_reference;
};

static const struct {
	const char *before, *behind;
	bool deeper; // by one level: not for the rows about depth
} places[] = {
	{ "{\"id\":\"e1\",\"account\":\"a\",\"service\":\"s\",\"time\":1579048200123,\"request\":", "}", false },
	{ "{\"request\":", ",\"id\":\"e1\",\"account\":\"a\",\"service\":\"s\",\"time\":1579048200123}", false },
	{ "{\"id\":\"e1\",\"account\":\"a\",\"service\":\"s\",\"request\":[null,", ",\"\"],\"time\":1579048200123}", true },
	{ "{\"id\":\"e1\",\"account\":\"a\",\"request\":{\"x\":", "},\"service\":\"s\",\"time\":1579048200123}", true },
	{ "{\"id\":\"e1\",\"account\":\"a\",\"time\":1579048200123,\"items\":[{\"service\":\"s\",\"x\":[0,", "]}]}", true },
};

static void check_at(const struct table_row *row, struct span text, size_t place, bool accept)
{
	struct case_bytes whole = { 0 };
	case_put(&whole, places[place].before, strlen(places[place].before));
	case_put(&whole, text.p, text.n);
	case_put(&whole, places[place].behind, strlen(places[place].behind));
	char *exact = memcpy(xcalloc(whole.n, 1), whole.p, whole.n);
	struct record rec = { .value = { exact, whole.n }, .timestamp_ms = -1 };
	char result[CASE_RESULT];
	case_result(&CASE_FIELDS, &rec, result);
	// For the JSON text itself, not for a field that is missing because the text swallowed it.
	bool good = accept ? strncmp(result, "accepted id=e1 account=a ", 25) == 0 : strncmp(result, "json_", 5) == 0;
	cr_expect(good, "%s:%d (%s), place %zu: to %s, and it says %s", row->file, row->line, row->field[0], place, row->field[2], result);
	free(exact);
	free(whole.p);
}

// The same document is valid for the other decoder too, or for neither.
static void check_by_reference(struct seen *seen, struct span text, size_t place)
{
	CLEANUP(freep) struct text *t = xcalloc(1, sizeof(*t));
	size_t before = strlen(places[place].before), behind = strlen(places[place].behind);
	if (before + text.n + behind > TEXT_MAX)
		return;
	memcpy(t->p, places[place].before, before);
	memcpy(t->p + before, text.p, text.n);
	memcpy(t->p + before + text.n, places[place].behind, behind);
	t->n = before + text.n + behind;
	compare(t, FLAT, seen->scratch, &seen->by_reference);
}

static void check_row(void *ctx, const struct table_row *row)
{
	struct seen *seen = ctx;
	struct case_bytes text = { 0 };
	cr_assert_eq(row->n, 3, "%s:%d: a row has three fields", row->file, row->line);
	bool accept = strcmp(row->field[2], "accept") == 0;
	cr_assert(accept || strcmp(row->field[2], "refuse") == 0, "%s:%d: accept or refuse", row->file, row->line);
	case_unescape(&text, row->field[1], row->field[1] + strlen(row->field[1]));
	bool deep = strstr(row->field[0], "64th") != NULL;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (!deep || !places[i].deeper) {
			check_at(row, (struct span){ text.p, text.n }, i, accept);
			check_by_reference(seen, (struct span){ text.p, text.n }, i);
		}
	free(text.p);
	seen->accepted += accept;
	seen->refused += !accept;
}

Test(decode_json, the_grammar_of_rfc_8259)
{
	struct seen seen = { .scratch = xcalloc(1, sizeof(*seen.scratch)) };
	table_each("json.table", check_row, &seen);
	cr_expect_geq(seen.accepted, 90);
	cr_expect_geq(seen.refused, 180);
	cr_expect_geq(seen.by_reference.compared, 5 * 250);
	cr_expect_geq(seen.by_reference.valid, 400);
	cr_expect_leq(seen.by_reference.passed_over, 10, "%u", seen.by_reference.passed_over);
	decode_scratch_free(seen.scratch);
	free(seen.scratch);
}

// The blanks and the order of bytes around the event as a whole.
Test(decode_json, the_text_as_a_whole)
{
	static const char event[] = "{\"id\":\"e1\",\"account\":\"a\",\"service\":\"s\",\"time\":1579048200123}";
	static const struct {
		const char *before, *behind;
		bool accept;
	} wholes[] = {
		{ "", "", true }, { " \t\r\n", "\n\r\t ", true }, { "\xef\xbb\xbf", "", false }, { "", "x", false }, { "", "{}", false },
		{ "", ",", false }, { "", "\f", false }, { "\v", "", false }, { "[", "]", false }, { "", "]", false }, { "", "}", false },
		{ "{", "", false }, { "\xff\xfe", "", false }, { "", "\x1a", false }, { "", "\xc2\xa0", false }, { "//\n", "", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(wholes); i++) {
		CLEANUP(freep) char *text = xasprintf("%s%s%s", wholes[i].before, event, wholes[i].behind);
		struct record rec = { .value = span_of(text), .timestamp_ms = -1 };
		char result[CASE_RESULT];
		case_result(&CASE_FIELDS, &rec, result);
		cr_expect_eq(strncmp(result, "accepted ", 9) == 0, wholes[i].accept, "%s: %s", text, result);
	}
}
