// SPDX-License-Identifier: Apache-2.0
// JSON of which every byte is decided: fields in the order in which they are put, compact. For the control topic, and whatever is made seldom;
// documents are written at once, without a tree (base/write.h).
#ifndef JOURNAL_JSON_H
#define JOURNAL_JSON_H

#include <jansson.h>

#include "base/check.h"
#include "base/write.h"
#include "period/period.h"

static inline void json_freep(json_t **j)
{
	json_decref(*j);
}

// Takes the value over. For what is known to be text or a number.
static inline void json_put(json_t *object, const char *name, json_t *value)
{
	check(value != NULL && json_object_set_new(object, name, value) == 0);
}

static inline json_t *json_time(int64_t time_ms)
{
	char text[TIME_TEXT];
	return time_ms == TIME_NONE ? json_null() : json_string(time_text(time_ms, text));
}

static inline void write_time(struct writer *w, const char *key, int64_t time_ms)
{
	char text[TIME_TEXT];
	if (time_ms == TIME_NONE)
		write_null(w, key);
	else
		write_text(w, key, time_text(time_ms, text));
}

static inline char *json_compact(const json_t *j) // free it
{
	char *text = json_dumps(j, JSON_COMPACT);
	check(text != NULL);
	return text;
}

#endif
