// SPDX-License-Identifier: Apache-2.0
// Reading a record: values out of JSON, each with its own reason to refuse. Only for this room.
//
// A function returns false when it has set the fault; then nothing else matters, since only the first reason is told. `path` is where
// the reader stands: "services[0].prices".
#ifndef ACCOUNT_INNER_H
#define ACCOUNT_INNER_H

#include <jansson.h>

#include "account/account.h"

struct record_reader {
	struct arena *arena;
	struct account_fault *fault;
	char path[160];
	size_t path_n;
};

// `at` is the field that the detail speaks of, below the path; NULL: the path itself.
bool record_fault(struct record_reader *r, enum account_fault_code code, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

// Steps down into a field or an item; returns what record_leave takes back.
size_t record_enter(struct record_reader *r, const char *name);
size_t record_enter_item(struct record_reader *r, size_t i);
void record_leave(struct record_reader *r, size_t before);

// Every name of the object is in the list, which ends with NULL.
bool record_known(struct record_reader *r, const json_t *object, const char *const *known);
// A field; false with a fault where it is null, or required and absent. *ret NULL: absent.
bool record_field(struct record_reader *r, const json_t *object, const char *name, bool required, const json_t **ret);
bool record_is(struct record_reader *r, const char *name, const json_t *v, json_type type);

// Fields of an object that must be there.
bool record_text(struct record_reader *r, const json_t *object, const char *name, struct span *ret); // borrowed from the JSON
bool record_name(struct record_reader *r, const json_t *object, const char *name, const char *extra, struct span *ret); // copied
bool record_number(struct record_reader *r, const json_t *object, const char *name, int64_t least, int64_t most, int64_t *ret);
bool record_month(struct record_reader *r, const json_t *object, const char *name, int *ret);
bool record_time(struct record_reader *r, const json_t *object, const char *name, int64_t *ret_ms);
bool record_price(struct record_reader *r, const json_t *object, const char *name, int64_t *ret_micro);
bool record_fen(struct record_reader *r, const json_t *object, const char *name, int64_t *ret_fen);
// Fields that may be absent; then *ret stays.
bool record_choice(struct record_reader *r, const json_t *object, const char *name, const char *const *words, int *ret);
bool record_warn(struct record_reader *r, const json_t *object, int64_t *ret_micro);
bool record_bool(struct record_reader *r, const json_t *object, const char *name, bool *ret);
bool record_has(const json_t *object, const char *name);

// A name that stands by itself.
bool record_name_of(struct record_reader *r, const json_t *v, const char *at, const char *extra, struct span *ret);

// `from`, `until`, `services` of a contract (contract.c).
bool record_contract(struct record_reader *r, const json_t *object, struct account_fact *ret);
// Prices in the words of a contract; `known` are the fields that may stand there. *ret_zero: model free, price 0, and of *ret nothing is said.
bool record_prices(struct record_reader *r, const json_t *v, const char *const *known, struct plan *ret, bool *ret_zero);
// `prices` of a side of a correction (prices.c); *ret NULL: it has none.
bool record_line_prices(struct record_reader *r, const json_t *object, const struct line_prices **ret);
// `question` of a correction (question.c).
bool record_question(struct record_reader *r, const json_t *object, struct account_fact *ret);
// `after`, `reason`, `question`, `lines` of a correction (correction.c).
bool record_correction(struct record_reader *r, const json_t *object, struct account_fact *ret);
// No two names are equal. names[i] belongs to the i-th item.
bool record_all_differ(struct record_reader *r, const struct span *names, uint32_t n); // of services
bool record_differ(struct record_reader *r, const struct span *names, uint32_t n, enum account_fault_code code);

#endif
