// SPDX-License-Identifier: Apache-2.0
// Looks for texts instead of parsing: every quote inside a value is escaped, so a name with its quotes and colon is a name.
#include "outbox/reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

// What follows `name` in `s`, to its end; p NULL where it is not there.
static struct span behind(struct span s, const char *name)
{
	const char *at = memmem(s.p, s.n, name, strlen(name));
	if (at == NULL)
		return (struct span){ NULL, 0 };
	at += strlen(name);
	return (struct span){ at, (size_t)(s.p + s.n - at) };
}

static bool number_at(struct span s, int64_t *ret)
{
	size_t n = 0;
	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return span_int64((struct span){ s.p, n }, ret);
}

static struct reach_part *part_of(struct reach *r, struct span topic, int64_t partition)
{
	char name[280];
	snprintf(name, sizeof(name), "%.*s/%lld", (int)topic.n, topic.p, (long long)partition);
	for (uint32_t i = 0; i < r->n; i++)
		if (strcmp(r->parts[i].name, name) == 0)
			return &r->parts[i];
	if (r->n == r->size) {
		r->size = r->size * 2 + 16;
		r->parts = xrealloc(r->parts, r->size, sizeof(*r->parts));
	}
	r->parts[r->n] = (struct reach_part){ xstrdup(name), 0 };
	return &r->parts[r->n++];
}

void reach_take(struct reach *r, struct span document)
{
	if (document.p == NULL)
		return;
	struct span call = behind(document, "\"call\":{");
	if (call.p == NULL)
		return;
	struct span topic = behind(call, "\"topic\":\""), partition = behind(call, "\"partition\":"), offset = behind(call, "\"offset\":");
	const char *end = topic.p != NULL ? memchr(topic.p, '"', topic.n) : NULL;
	int64_t number = 0, at = 0;
	if (end == NULL || end - topic.p > 249 || !number_at(partition, &number) || !number_at(offset, &at) || at == INT64_MAX)
		return;
	struct reach_part *p = part_of(r, (struct span){ topic.p, (size_t)(end - topic.p) }, number);
	p->next = at + 1 > p->next ? at + 1 : p->next;
}

int64_t reach_of(const struct reach *r, const char *name)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (strcmp(r->parts[i].name, name) == 0)
			return r->parts[i].next;
	return 0;
}

void reach_free(struct reach *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		free(r->parts[i].name);
	free(r->parts);
	*r = (struct reach){ 0 };
}
