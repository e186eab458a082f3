// SPDX-License-Identifier: Apache-2.0
#include "published/places.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

bool places_parse(struct span text, struct topic_places *ret)
{
	struct topic_places p = { .next = xcalloc(PLACES_MOST, sizeof(*p.next)) };
	bool good = text.n > 0 && text.n < PLACES_TEXT;
	for (size_t at = 0; good && at <= text.n && p.n < PLACES_MOST;) {
		const char *dot = memchr(text.p + at, '.', text.n - at);
		size_t n = dot != NULL ? (size_t)(dot - text.p) - at : text.n - at;
		good = n > 0 && text.p[at] != '-' && span_int64((struct span){ text.p + at, n }, &p.next[p.n++]);
		at += n + 1;
		if (at > text.n)
			return good ? (*ret = p, true) : (places_free(&p), false);
	}
	places_free(&p);
	return false;
}

const char *places_text(const struct topic_places *p, char buf[PLACES_TEXT])
{
	size_t n = 0;
	buf[0] = '\0';
	for (int32_t i = 0; i < p->n && i < PLACES_MOST; i++)
		n += (size_t)snprintf(buf + n, PLACES_TEXT - n, "%s%" PRId64, i > 0 ? "." : "", p->next[i]);
	return buf;
}

void places_copy(struct topic_places *to, const struct topic_places *from)
{
	to->next = xrealloc(to->next, (size_t)from->n + 1, sizeof(*to->next));
	to->n = from->n;
	to->lost = from->lost;
	if (from->n > 0)
		memcpy(to->next, from->next, (size_t)from->n * sizeof(*to->next));
}

void places_free(struct topic_places *p)
{
	free(p->next);
	*p = (struct topic_places){ 0 };
}
