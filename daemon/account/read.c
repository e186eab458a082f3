// SPDX-License-Identifier: Apache-2.0
// One record of the accounts topic: JSON text to a fact, or the first reason why it is none. In this order: no value, its length, the
// JSON text, fields that are not known, then fields in the order of account.h.
#include <stdlib.h>
#include <xxhash.h>

#include "account/inner.h"
#include "base/check.h"
#include "base/yaml.h"
#include "catalog/price.h"

static bool read_pack_services(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	const json_t *list;
	if (!record_field(r, object, "services", true, &list) || !record_is(r, "services", list, JSON_ARRAY))
		return false;
	size_t n = json_array_size(list), before = record_enter(r, "services");
	if (n == 0 || n > ACCOUNT_PACK_SERVICES)
		return record_fault(r, ACCOUNT_FAULT_SERVICES_COUNT, NULL, "%zu services", n);
	struct span *names = arena_alloc(r->arena, n * sizeof(*names));
	for (size_t i = 0; i < n; i++) {
		size_t list_at = record_enter_item(r, i);
		if (json_is_null(json_array_get(list, i)))
			return record_fault(r, ACCOUNT_FAULT_FIELD_NULL, NULL, "null");
		if (!record_name_of(r, json_array_get(list, i), NULL, "._-", &names[i]))
			return false;
		record_leave(r, list_at);
	}
	if (!record_all_differ(r, names, (uint32_t)n))
		return false;
	record_leave(r, before);
	ret->pack_services = names;
	ret->n_pack_services = (uint32_t)n;
	return true;
}

static bool read_pack(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	struct span price;
	char flaw[PRICE_FLAW_TEXT];
	if (!read_pack_services(r, object, ret) || !record_number(r, object, "calls", 1, ACCOUNT_NUMBER_MOST, &ret->calls) ||
	    !record_text(r, object, "price", &price))
		return false;
	if (!money_parse_sum(price, &ret->price_micro))
		return record_fault(r, ACCOUNT_FAULT_MONEY_FORM, "price", "%s", price_text_flaw("the sum", price, PRICE_SUM_MOST, flaw));
	if (!record_warn(r, object, &ret->warn_micro) || !record_time(r, object, "start", &ret->start_ms) ||
	    !record_time(r, object, "expiry", &ret->expiry_ms))
		return false;
	return ret->expiry_ms > ret->start_ms || record_fault(r, ACCOUNT_FAULT_ORDER, "expiry", "not later than `start`");
}

static bool read_activation(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	return record_time(r, object, "time", &ret->active_ms);
}

static bool read_cancellation(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	ret->cancels = true;
	return record_month(r, object, "from", &ret->cancelled_month);
}

static const struct record_type {
	const char *word;
	enum account_kind kind;
	bool (*read)(struct record_reader *r, const json_t *object, struct account_fact *ret);
	const char *known[12];
} TYPES[] = {
	{ "activation", ACCOUNT_ACTIVATION, read_activation, { "type", "account", "id", "version", "time", NULL } },
	{ "contract", ACCOUNT_CONTRACT, record_contract, { "type", "account", "id", "version", "from", "until", "services", NULL } },
	{ "pack", ACCOUNT_PACK, read_pack, { "type", "account", "id", "version", "services", "calls", "price", "warn", "start", "expiry", NULL } },
	{ "pack.cancelled", ACCOUNT_PACK, read_cancellation, { "type", "account", "id", "version", "from", NULL } },
	{ "correction", ACCOUNT_CORRECTION, record_correction, { "type", "account", "id", "version", "after", "reason", "question", "lines", NULL } },
};

bool account_begins_correction(struct span value)
{
	static const struct span begin = SPAN_LIT("{\"type\":\"correction\",");
	return value.n >= begin.n && memcmp(value.p, begin.p, begin.n) == 0;
}

static bool read_type(struct record_reader *r, const json_t *object, const struct record_type **ret)
{
	struct span word;
	if (!record_text(r, object, "type", &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
		if (span_is(word, TYPES[i].word)) {
			*ret = &TYPES[i];
			return true;
		}
	const char *words[ARRAY_LEN(TYPES) + 1] = { NULL };
	for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
		words[i] = TYPES[i].word;
	const char *near = nearest_word(word.p, words);
	return record_fault(r, ACCOUNT_FAULT_TYPE_UNKNOWN, "type", "`%.40s`%s%s%s", word.p, near != NULL ? ": did you mean `" : "",
			    near != NULL ? near : "", near != NULL ? "`?" : "");
}

static bool read_object(struct record_reader *r, const json_t *object, struct span *ret_account, struct account_fact *ret)
{
	const struct record_type *type = NULL;
	if (!json_is_object(object))
		return record_fault(r, ACCOUNT_FAULT_NOT_OBJECT, NULL, "%s", json_is_array(object) ? "an array" : "a bare value");
	if (!read_type(r, object, &type) || !record_known(r, object, type->known))
		return false;
	ret->kind = type->kind;
	ret->cancelled_month = MONTH_NONE;
	return record_name(r, object, "account", "._:@-", ret_account) && record_name(r, object, "id", "._:@-", &ret->id) &&
	       record_number(r, object, "version", 1, ACCOUNT_NUMBER_MOST, &ret->version) && type->read(r, object, ret);
}

// The same digest for the same content, whatever the order and the blanks.
static void digest_content(const json_t *object, uint64_t ret[2])
{
	char *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
	check(text != NULL);
	XXH128_hash_t h = XXH3_128bits(text, strlen(text));
	ret[0] = h.low64;
	ret[1] = h.high64;
	free(text);
}

static bool json_fault(struct record_reader *r, const json_error_t *e)
{
	static const struct {
		enum json_error_code is;
		enum account_fault_code code;
	} codes[] = { { json_error_invalid_utf8, ACCOUNT_FAULT_JSON_UTF8 }, { json_error_premature_end_of_input, ACCOUNT_FAULT_JSON_TRUNCATED },
		{ json_error_duplicate_key, ACCOUNT_FAULT_JSON_DUPLICATE_NAME }, { json_error_numeric_overflow, ACCOUNT_FAULT_JSON_NUMBER } };
	enum account_fault_code code = ACCOUNT_FAULT_JSON_SYNTAX;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].is == json_error_code(e))
			code = codes[i].code;
	const char *near = strstr(e->text, " near "); // the rest are words for programmers, which change with the library
	return record_fault(r, code, NULL, "at byte %d%s%s", e->position, near != NULL ? "," : "", near != NULL ? near : "");
}

static bool read_value(struct record_reader *r, struct span value, struct span *ret_account, struct account_fact *ret)
{
	json_error_t e;
	if (value.n == 0)
		return record_fault(r, ACCOUNT_FAULT_EMPTY, NULL, "%s", value.p == NULL ? "null" : "0 bytes");
	if (value.n > ACCOUNT_RECORD_MOST)
		return record_fault(r, ACCOUNT_FAULT_TOO_LONG, NULL, "%zu bytes", value.n);
	json_auto_t *object = json_loadb(value.p, value.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (object == NULL)
		return json_fault(r, &e);
	if (!read_object(r, object, ret_account, ret))
		return false;
	digest_content(object, ret->content);
	return true;
}

bool account_read(struct span value, struct arena *arena, struct span *ret_account, struct account_fact *ret, struct account_fault *ret_fault)
{
	struct account_fault fault = { 0 };
	struct record_reader r = { .arena = arena, .fault = &fault };
	struct account_fact fact = { 0 };
	struct span account;
	if (!read_value(&r, value, &account, &fact)) {
		*ret_fault = fault;
		return false;
	}
	*ret_account = account;
	*ret = fact;
	return true;
}
