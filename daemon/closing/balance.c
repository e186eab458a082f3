// SPDX-License-Identifier: Apache-2.0
// What an account's packs gave so far, as one line of text in the shard: "2020-03 p-1=5000 p-2=17", the month that was settled last,
// then the packs that gave something, by id. What a pack has left is its calls less this; where a pack was made smaller, nothing.
#include <stdlib.h>

#include "base/check.h"
#include "closing/inner.h"

static int use_order(const void *x, const void *y)
{
	return span_order(((const struct pack_use *)x)->id, ((const struct pack_use *)y)->id);
}

static bool parse_use(struct span word, struct pack_use *ret)
{
	const char *equals = memchr(word.p, '=', word.n);
	if (equals == NULL || equals == word.p)
		return false;
	size_t n = (size_t)(equals - word.p);
	ret->id = (struct span){ word.p, n };
	return span_int64((struct span){ equals + 1, word.n - n - 1 }, &ret->calls) && ret->calls >= 0;
}

bool balance_parse(struct span text, struct arena *arena, struct balance *ret)
{
	struct balance b = { .month = MONTH_NONE };
	if (text.p == NULL) {
		*ret = b;
		return true;
	}
	if (text.n < 7 || !month_parse((struct span){ text.p, 7 }, &b.month))
		return false;
	for (size_t i = 7; i < text.n; i++)
		b.n += text.p[i] == ' ';
	b.uses = arena_alloc(arena, (b.n + 1) * sizeof(*b.uses));
	size_t at = 7;
	for (uint32_t i = 0; i < b.n; i++) {
		size_t end = at + 1;
		while (end < text.n && text.p[end] != ' ')
			end++;
		if (text.p[at] != ' ' || !parse_use((struct span){ text.p + at + 1, end - at - 1 }, &b.uses[i]) ||
		    (i > 0 && use_order(&b.uses[i - 1], &b.uses[i]) >= 0))
			return false;
		at = end;
	}
	if (at != text.n)
		return false;
	*ret = b;
	return true;
}

static struct pack_use *find(const struct balance *b, struct span id)
{
	struct pack_use key = { .id = id };
	return b->n > 0 ? bsearch(&key, b->uses, b->n, sizeof(key), use_order) : NULL;
}

int64_t balance_used(const struct balance *b, struct span id)
{
	const struct pack_use *u = find(b, id);
	return u != NULL ? u->calls : 0;
}

int64_t balance_left(const struct balance *b, const struct terms_pack *p)
{
	const struct pack_use *u = find(b, p->id);
	int64_t used = u != NULL ? u->calls : 0;
	return used < p->calls ? p->calls - used : 0;
}

// packs: each at most once.
bool balance_add(struct balance *b, const struct pack_use *packs, uint32_t n, struct arena *arena)
{
	struct balance sum = { .month = b->month, .n = b->n, .uses = arena_alloc(arena, ((size_t)b->n + n + 1) * sizeof(*b->uses)) };
	if (b->n > 0)
		memcpy(sum.uses, b->uses, b->n * sizeof(*b->uses));
	struct balance old = { .n = b->n, .uses = sum.uses };
	for (uint32_t i = 0; i < n; i++) {
		struct pack_use *u = find(&old, packs[i].id);
		if (u != NULL && __builtin_add_overflow(u->calls, packs[i].calls, &u->calls))
			return false;
		if (u == NULL && packs[i].calls > 0)
			sum.uses[sum.n++] = packs[i];
	}
	if (sum.n > old.n)
		qsort(sum.uses, sum.n, sizeof(*sum.uses), use_order);
	*b = sum;
	return true;
}

struct span balance_text(const struct balance *b, struct arena *arena)
{
	char month[MONTH_TEXT], *text = NULL;
	size_t size = 0;
	FILE *f = xmemstream(&text, &size);
	fprintf(f, "%s", month_text(b->month, month));
	for (uint32_t i = 0; i < b->n; i++)
		fprintf(f, " %.*s=%lld", (int)b->uses[i].id.n, b->uses[i].id.p, (long long)b->uses[i].calls);
	xmemstream_close(f);
	struct span s = arena_copy(arena, (struct span){ text, size });
	free(text);
	return s;
}
