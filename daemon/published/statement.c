// SPDX-License-Identifier: Apache-2.0
#include "published/statement.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/figure.h"
#include "journal/json.h"

static const char *const sums[] = { "charge", "unfreeze", "freeze" };

static const char *text_of(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

bool statement_find(const struct published *p, const char *account, int month, int64_t revision, struct statement *ret)
{
	const struct published_document *bill = published_find(p, account, NULL, month, revision);
	if (bill == NULL)
		return false;
	const json_t *ids = json_object_get(bill->data, "lines");
	*ret = (struct statement){ p, bill, bill->revision > 0 ? published_find(p, account, NULL, month, bill->revision - 1) : NULL, NULL, json_array_size(ids) };
	ret->lines = xcalloc(ret->n + 1, sizeof(*ret->lines));
	for (size_t i = 0; i < ret->n; i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		ret->lines[i] = id != NULL ? published_by_id(p, id) : NULL;
	}
	return true;
}

void statement_free(struct statement *s)
{
	free(s->lines);
	s->lines = NULL;
}

static json_t *line_json(const struct published_document *d)
{
	json_t *line = json_object();
	json_put(line, "id", json_string(d->id));
	check(json_object_update(line, (json_t *)(uintptr_t)d->data) == 0);
	return line;
}

static json_t *revisions_json(const struct statement *s)
{
	json_t *list = json_array();
	for (int64_t i = 0; i <= s->bill->revision; i++) {
		const struct published_document *d = published_find(s->from, s->bill->account, NULL, s->bill->month, i);
		if (d == NULL)
			continue;
		json_t *one = json_object();
		json_put(one, "revision", json_integer(i));
		for (size_t k = 0; k < ARRAY_LEN(sums); k++)
			json_put(one, sums[k], json_string(text_of(d->data, sums[k])));
		json_array_append_new(list, one);
	}
	return list;
}

char *statement_json(const struct statement *s)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "id", json_string(s->bill->id));
	check(json_object_update(j, (json_t *)(uintptr_t)s->bill->data) == 0);
	json_t *lines = json_array();
	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i] != NULL)
			json_array_append_new(lines, line_json(s->lines[i]));
	json_put(j, "lines", lines);
	json_put(j, "revisions", revisions_json(s));
	return json_compact(j);
}

static int lines_there(const struct statement *s, char *buf, size_t size)
{
	int missing = 0;
	for (size_t i = 0; i < s->n; i++) {
		const char *id = json_string_value(json_array_get(json_object_get(s->bill->data, "lines"), i));
		if (s->lines[i] == NULL && missing++ == 0)
			snprintf(buf, size, "line %.40s of revision %" PRId64 " is not published", id != NULL ? id : "without id", s->bill->revision);
	}
	return missing;
}

int statement_check(const struct statement *s, char *buf, size_t size)
{
	int wrong = lines_there(s, buf, size);
	for (size_t k = 0; k < ARRAY_LEN(sums) && wrong == 0; k++) {
		int64_t sum = 0, one, says;
		char text[MONEY_TEXT];
		const char *said = text_of(s->bill->data, sums[k]);
		bool good = figure_fen(said, &says);
		for (size_t i = 0; i < s->n && good; i++)
			good = figure_fen(text_of(s->lines[i]->data, sums[k]), &one) && !__builtin_add_overflow(sum, one, &sum);
		if (good && sum == says)
			continue;
		snprintf(buf, size, "the lines' %s is %s together, but the statement says %.40s", sums[k], good ? money_fen_text(sum, text) : "unreadable",
			 said != NULL ? said : "nothing");
		wrong++;
	}
	return wrong;
}
