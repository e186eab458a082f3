// SPDX-License-Identifier: Apache-2.0
// What was asked of the log when a correction was worked out, so that anybody can ask it again:
//
//	catalog             the price book by which months of the range were priced, and unless prices_of stands alone its records were read:
//	                    version, sha256
//	prices_of           a month whose prices and free calls held in all of them
//	from, to            the range: an instant, an offset in every partition, or {"usage.calls/3": 812, …}; to is exclusive
//	billable            status codes that counted
//	exclude_producers   sources that had sent nothing; "": flat events
//	exclude_partitions  "topic/partition" in which nothing had come
//	account             the only one that was asked about
//	undo                true: corrections before it held no more
//
// What is absent was not asked.
#include <stdlib.h>

#include "account/inner.h"
#include "base/check.h"

enum { SHA256_TEXT = 64 };

static bool read_catalog(struct record_reader *r, const json_t *object)
{
	static const char *const known[] = { "version", "sha256", NULL };
	const json_t *v;
	struct span version, sha256;
	if (!record_field(r, object, "catalog", false, &v))
		return false;
	if (v == NULL)
		return true;
	size_t before = record_enter(r, "catalog");
	if (!record_is(r, NULL, v, JSON_OBJECT) || !record_known(r, v, known) || !record_text(r, v, "version", &version) ||
	    !record_text(r, v, "sha256", &sha256))
		return false;
	if (sha256.n != SHA256_TEXT || strspn(sha256.p, "0123456789abcdef") != SHA256_TEXT)
		return record_fault(r, ACCOUNT_FAULT_QUESTION_FORM, "sha256", "`%.80s` is no digest of 64 hexadecimal digits", sha256.p);
	record_leave(r, before);
	return true;
}

static bool read_offsets(struct record_reader *r, const json_t *v)
{
	const char *name;
	json_t *offset;
	json_object_foreach((json_t *)v, name, offset)
		if (!json_is_integer(offset) || json_integer_value(offset) < 0)
			return record_fault(r, ACCOUNT_FAULT_QUESTION_FORM, NULL, "`%.80s` has no offset", name);
	return json_object_size(v) > 0 || record_fault(r, ACCOUNT_FAULT_QUESTION_FORM, NULL, "no partition is named");
}

static bool read_bound(struct record_reader *r, const json_t *object, const char *name)
{
	const json_t *v;
	int64_t unused;
	if (!record_field(r, object, name, false, &v))
		return false;
	if (v == NULL || json_is_string(v))
		return v == NULL || record_time(r, object, name, &unused);
	if (json_is_integer(v))
		return record_number(r, object, name, 0, INT64_MAX, &unused);
	size_t before = record_enter(r, name);
	if (!record_is(r, NULL, v, JSON_OBJECT) || !read_offsets(r, v))
		return false;
	record_leave(r, before);
	return true;
}

static bool read_list(struct record_reader *r, const json_t *object, const char *name)
{
	const json_t *v;
	if (!record_field(r, object, name, false, &v))
		return false;
	if (v == NULL)
		return true;
	if (!record_is(r, name, v, JSON_ARRAY))
		return false;
	size_t before = record_enter(r, name);
	for (size_t i = 0; i < json_array_size(v); i++) {
		size_t list_at = record_enter_item(r, i);
		if (!record_is(r, NULL, json_array_get(v, i), JSON_STRING))
			return false;
		record_leave(r, list_at);
	}
	if (json_array_size(v) == 0)
		return record_fault(r, ACCOUNT_FAULT_QUESTION_FORM, NULL, "an empty list");
	record_leave(r, before);
	return true;
}

static bool read_all(struct record_reader *r, const json_t *v)
{
	static const char *const known[] = { "catalog", "prices_of", "from", "to", "billable", "exclude_producers", "exclude_partitions", "account", "undo", NULL };
	struct span account;
	int month;
	bool undo = true;
	if (!record_is(r, NULL, v, JSON_OBJECT) || !record_known(r, v, known) || !read_catalog(r, v) ||
	    (record_has(v, "prices_of") && !record_month(r, v, "prices_of", &month)) || !read_bound(r, v, "from") || !read_bound(r, v, "to") ||
	    !read_list(r, v, "billable") || !read_list(r, v, "exclude_producers") || !read_list(r, v, "exclude_partitions") ||
	    (record_has(v, "account") && !record_name(r, v, "account", "._:@-", &account)) || !record_bool(r, v, "undo", &undo))
		return false;
	return undo || record_fault(r, ACCOUNT_FAULT_QUESTION_FORM, "undo", "false: leave it out");
}

bool record_question(struct record_reader *r, const json_t *object, struct account_fact *ret)
{
	const json_t *v;
	if (!record_field(r, object, "question", true, &v))
		return false;
	size_t before = record_enter(r, "question");
	if (!read_all(r, v))
		return false;
	record_leave(r, before);
	char *text = json_dumps(v, JSON_COMPACT);
	check(text != NULL);
	ret->question = arena_copy(r->arena, span_of(text));
	free(text);
	return true;
}
