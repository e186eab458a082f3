// SPDX-License-Identifier: Apache-2.0
// Values of a record: JSON to integers and names, with words for what is wrong.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "account/inner.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/yaml.h"
#include "catalog/price.h"

#define TIME_MIN_MS 946684800000LL  // 2000-01-01Z
#define TIME_END_MS 7258032000000LL // 2199-12-31Z: no month table reaches further

const struct account_fault_info *account_fault_info(enum account_fault_code code)
{
	static const struct account_fault_info infos[] = {
#define ACCOUNT_FAULT(id, code, message, advice) { code, message, advice },
#include "tbl/account_fault.def"
#undef ACCOUNT_FAULT
	};
	check((unsigned)code < ACCOUNT_FAULT_COUNT);
	return &infos[code];
}

bool record_fault(struct record_reader *r, enum account_fault_code code, const char *at, const char *fmt, ...)
{
	char words[PRICE_FLAW_TEXT], text[PRICE_FLAW_TEXT + sizeof(r->path) + ACCOUNT_NAME_MOST];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	check(n >= 0);
	bool below = r->path_n > 0 && at != NULL && at[0] != '[';
	snprintf(text, sizeof(text), "%s%s%s%s%s", r->path, below ? "." : "", at != NULL ? at : "", r->path_n > 0 || at != NULL ? ": " : "", words);
	r->fault->code = code;
	text_shown(span_of(text), r->fault->detail, sizeof(r->fault->detail));
	return false;
}

// --- where the reader stands --------------------------------------------------------------------------------------------

size_t record_enter(struct record_reader *r, const char *name)
{
	size_t before = r->path_n;
	r->path_n += (size_t)snprintf(r->path + before, sizeof(r->path) - before, "%s%s", before > 0 ? "." : "", name);
	check(r->path_n < sizeof(r->path)); // names of this program only
	return before;
}

size_t record_enter_item(struct record_reader *r, size_t i)
{
	size_t before = r->path_n;
	r->path_n += (size_t)snprintf(r->path + before, sizeof(r->path) - before, "[%zu]", i);
	check(r->path_n < sizeof(r->path));
	return before;
}

void record_leave(struct record_reader *r, size_t before)
{
	check(before <= r->path_n);
	r->path_n = before;
	r->path[before] = '\0';
}

// --- fields -------------------------------------------------------------------------------------------------------------

static bool is_word_of(const char *word, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static const char *list_text(const char *const *words, char *buf, size_t size)
{
	size_t at = 0;
	for (int i = 0; words[i] != NULL && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", i > 0 ? ", " : "", words[i]);
	return buf;
}

bool record_known(struct record_reader *r, const json_t *object, const char *const *known)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)object, name, value) {
		char all[160];
		if (is_word_of(name, known))
			continue;
		const char *near = nearest_word(name, known);
		if (near != NULL)
			return record_fault(r, ACCOUNT_FAULT_FIELD_UNKNOWN, NULL, "`%.40s`: did you mean `%s`?", name, near);
		return record_fault(r, ACCOUNT_FAULT_FIELD_UNKNOWN, NULL, "`%.40s`; known here: %s", name, list_text(known, all, sizeof(all)));
	}
	return true;
}

bool record_has(const json_t *object, const char *name)
{
	return json_object_get(object, name) != NULL;
}

bool record_field(struct record_reader *r, const json_t *object, const char *name, bool required, const json_t **ret)
{
	*ret = json_object_get(object, name);
	if (json_is_null(*ret))
		return record_fault(r, ACCOUNT_FAULT_FIELD_NULL, NULL, "`%s`", name);
	if (*ret == NULL && required)
		return record_fault(r, ACCOUNT_FAULT_FIELD_MISSING, NULL, "`%s`", name);
	return true;
}

bool record_is(struct record_reader *r, const char *name, const json_t *v, json_type type)
{
	static const char *const words[] = { [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "an integer", [JSON_REAL] = "a number with fraction or exponent", [JSON_TRUE] = "a boolean",
		[JSON_FALSE] = "a boolean", [JSON_NULL] = "null" };
	json_type is = json_typeof(v);
	if (is == type || (type == JSON_TRUE && is == JSON_FALSE))
		return true;
	return record_fault(r, ACCOUNT_FAULT_FIELD_TYPE, name, "%s, not %s", words[is], words[type]);
}

static bool typed(struct record_reader *r, const json_t *object, const char *name, bool required, json_type type, const json_t **ret)
{
	return record_field(r, object, name, required, ret) && (*ret == NULL || record_is(r, name, *ret, type));
}

bool record_text(struct record_reader *r, const json_t *object, const char *name, struct span *ret)
{
	const json_t *v;
	if (!typed(r, object, name, true, JSON_STRING, &v))
		return false;
	*ret = (struct span){ json_string_value(v), json_string_length(v) };
	return true;
}

bool record_name_of(struct record_reader *r, const json_t *v, const char *at, const char *extra, struct span *ret)
{
	if (!record_is(r, at, v, JSON_STRING))
		return false;
	struct span s = { json_string_value(v), json_string_length(v) };
	if (s.n == 0)
		return record_fault(r, ACCOUNT_FAULT_NAME_FORM, at, "empty");
	if (s.n > ACCOUNT_NAME_MOST)
		return record_fault(r, ACCOUNT_FAULT_NAME_FORM, at, "%zu bytes", s.n);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!plain && (c == '\0' || strchr(extra, c) == NULL))
			return record_fault(r, ACCOUNT_FAULT_NAME_FORM, at, "`%s`", s.p);
	}
	*ret = arena_copy(r->arena, s);
	return true;
}

bool record_name(struct record_reader *r, const json_t *object, const char *name, const char *extra, struct span *ret)
{
	const json_t *v;
	return record_field(r, object, name, true, &v) && record_name_of(r, v, name, extra, ret);
}

bool record_number(struct record_reader *r, const json_t *object, const char *name, int64_t least, int64_t most, int64_t *ret)
{
	const json_t *v;
	if (!typed(r, object, name, true, JSON_INTEGER, &v))
		return false;
	int64_t n = json_integer_value(v);
	if (n < least || n > most)
		return record_fault(r, ACCOUNT_FAULT_NUMBER_RANGE, name, "%lld, not %lld to %lld", (long long)n, (long long)least, (long long)most);
	*ret = n;
	return true;
}

bool record_month(struct record_reader *r, const json_t *object, const char *name, int *ret)
{
	struct span text;
	if (!record_text(r, object, name, &text))
		return false;
	return month_parse(text, ret) || record_fault(r, ACCOUNT_FAULT_MONTH_FORM, name, "`%.40s`", text.p);
}

bool record_time(struct record_reader *r, const json_t *object, const char *name, int64_t *ret_ms)
{
	struct span text;
	int64_t ms;
	if (!record_text(r, object, name, &text))
		return false;
	if (!time_parse_rfc3339(text, &ms))
		return record_fault(r, ACCOUNT_FAULT_TIME_FORM, name, "`%.40s`", text.p);
	if (ms < TIME_MIN_MS || ms >= TIME_END_MS)
		return record_fault(r, ACCOUNT_FAULT_TIME_RANGE, name, "`%.40s`", text.p);
	*ret_ms = ms;
	return true;
}

bool record_price(struct record_reader *r, const json_t *object, const char *name, int64_t *ret_micro)
{
	struct span text;
	char flaw[PRICE_FLAW_TEXT];
	if (!record_text(r, object, name, &text))
		return false;
	return money_parse_price(text, ret_micro) || record_fault(r, ACCOUNT_FAULT_MONEY_FORM, name, "%s", price_text_flaw("the price", text, PRICE_MOST, flaw));
}

bool record_fen(struct record_reader *r, const json_t *object, const char *name, int64_t *ret_fen)
{
	char most[MONEY_TEXT];
	struct span text;
	if (!record_text(r, object, name, &text))
		return false;
	if (!money_parse_fen(text, ret_fen))
		return record_fault(r, ACCOUNT_FAULT_MONEY_FORM, name, "`%.40s` is no sum with two decimals, such as 12.30", text.p);
	return (*ret_fen >= 0 && *ret_fen <= ACCOUNT_FEN_MOST) ||
	       record_fault(r, ACCOUNT_FAULT_MONEY_FORM, name, "`%.40s` is not within 0.00 and %s", text.p, money_fen_text(ACCOUNT_FEN_MOST, most));
}

bool record_choice(struct record_reader *r, const json_t *object, const char *name, const char *const *words, int *ret)
{
	const json_t *v;
	char all[160];
	if (!typed(r, object, name, false, JSON_STRING, &v))
		return false;
	if (v == NULL)
		return true;
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], json_string_value(v)) == 0) {
			*ret = i;
			return true;
		}
	return record_fault(r, ACCOUNT_FAULT_WORD_UNKNOWN, name, "`%.40s`; one of %s", json_string_value(v), list_text(words, all, sizeof(all)));
}

bool record_warn(struct record_reader *r, const json_t *object, int64_t *ret_micro)
{
	struct span text;
	int64_t share;
	char flaw[PRICE_FLAW_TEXT];
	*ret_micro = 800000;
	if (!record_has(object, "warn"))
		return true;
	if (!record_text(r, object, "warn", &text))
		return false;
	if (span_is(text, "none")) {
		*ret_micro = 0;
		return true;
	}
	if (!money_parse_price(text, &share))
		return record_fault(r, ACCOUNT_FAULT_MONEY_FORM, "warn", "%s", price_text_flaw("the share", text, "1", flaw));
	if (!price_warn_share(share))
		return record_fault(r, ACCOUNT_FAULT_MONEY_FORM, "warn", "%s is not a share above 0 and up to 1, such as 0.8 for 80 %%, or none", text.p);
	*ret_micro = share;
	return true;
}

bool record_bool(struct record_reader *r, const json_t *object, const char *name, bool *ret)
{
	const json_t *v;
	if (!typed(r, object, name, false, JSON_TRUE, &v))
		return false;
	if (v != NULL)
		*ret = json_is_true(v);
	return true;
}

// --- names --------------------------------------------------------------------------------------------------------------

struct numbered {
	struct span name;
	uint32_t i;
};

static int by_name(const void *pa, const void *pb)
{
	const struct numbered *a = pa, *b = pb;
	int c = span_order(a->name, b->name);
	return c != 0 ? c : (a->i > b->i) - (a->i < b->i);
}

bool record_differ(struct record_reader *r, const struct span *names, uint32_t n, enum account_fault_code code)
{
	CLEANUP(freep) struct numbered *list = xcalloc(n, sizeof(*list));
	uint32_t first = n; // the earliest that repeats another
	for (uint32_t i = 0; i < n; i++)
		list[i] = (struct numbered){ names[i], i };
	qsort(list, n, sizeof(*list), by_name);
	for (uint32_t i = 1; i < n; i++)
		if (span_eq(list[i].name, list[i - 1].name) && list[i].i < first)
			first = list[i].i;
	if (first == n)
		return true;
	record_enter_item(r, first);
	return record_fault(r, code, NULL, "`%.*s`", (int)names[first].n, names[first].p);
}

bool record_all_differ(struct record_reader *r, const struct span *names, uint32_t n)
{
	return record_differ(r, names, n, ACCOUNT_FAULT_SERVICE_TWICE);
}
