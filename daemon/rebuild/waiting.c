// SPDX-License-Identifier: Apache-2.0
// What waits in a shard's outbox, by identity. What a generation that is not in force any more left in it (`g`) is nobody's word and not among it.
#include <stdlib.h>

#include "base/check.h"
#include "rebuild/inner.h"
#include "store/bundle.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

struct waiting {
	UT_hash_handle hh;
	struct span identity, content;
	char bytes[];
};

struct reading {
	struct waiting *list;
	struct bundle *bundle;
};

static struct span word_of(const struct span *words, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i + 1 < n; i += 2)
		if (span_is(words[i], name))
			return words[i + 1];
	return (struct span){ 0 };
}

// Not k, which is the identity; u: when a worker read the call, and n: how far back a reader of the topic must look.
static bool is_content(struct span name)
{
	return !span_is(name, "k") && !span_is(name, "u") && !span_is(name, "n");
}

static void add(struct reading *r, struct span identity, const struct span *words, uint32_t n)
{
	size_t size = identity.n + 1;
	for (uint32_t i = 0; i < n; i++)
		size += words[i].n + 1;
	struct waiting *w = xcalloc(1, sizeof(*w) + size);
	char *at = mempcpy(w->bytes, identity.p, identity.n);
	w->identity = (struct span){ w->bytes, identity.n };
	const char *content = at;
	for (uint32_t i = 0; i + 1 < n; i += 2) {
		if (!is_content(words[i]))
			continue;
		at = mempcpy(at, words[i].p, words[i].n);
		*at++ = '=';
		at = mempcpy(at, words[i + 1].p, words[i + 1].n);
		*at++ = ' ';
	}
	w->content = (struct span){ content, (size_t)(at - content) };
	struct waiting *had = NULL;
	HASH_FIND(hh, r->list, w->identity.p, w->identity.n, had);
	if (had != NULL)
		free(w); // the first of two is published
	else
		HASH_ADD_KEYPTR(hh, r->list, w->identity.p, w->identity.n, w);
}

// Documents of an account's month, each as though it had an entry of its own, as the end of a run has. False: they cannot be read.
static bool add_documents(struct reading *r, struct span account, struct span packed)
{
	struct span identity, document;
	if (r->bundle == NULL)
		r->bundle = bundle_new();
	if (!bundle_open(r->bundle, packed))
		return false;
	while (bundle_take(r->bundle, &identity) && bundle_take(r->bundle, &document))
		add(r, identity, (struct span[]){ SPAN_LIT("t"), SPAN_LIT("d"), SPAN_LIT("c"), account, SPAN_LIT("d"), document }, 6);
	return !bundle_more(r->bundle);
}

static bool take(void *ctx, const struct span *words, uint32_t n)
{
	struct reading *r = ctx;
	struct span identity = word_of(words, n, "k"), packed = word_of(words, n, "z");
	if (identity.p == NULL || word_of(words, n, "g").p != NULL)
		return true;
	bool documents = span_is(word_of(words, n, "t"), "d") && packed.p != NULL;
	if (!documents || !add_documents(r, word_of(words, n, "c"), packed))
		add(r, identity, words, n);
	return true;
}

enum error_class waiting_read(struct store *s, uint32_t shard, struct waiting **ret, struct error *e)
{
	struct reading r = { 0 };
	enum error_class c = s->ops->entries(s, shard, take, &r, e);
	bundle_freep(&r.bundle);
	*ret = r.list;
	return c;
}

struct span waiting_find(struct waiting *list, struct span identity)
{
	struct waiting *w = NULL;
	HASH_FIND(hh, list, identity.p, identity.n, w);
	return w != NULL ? w->content : (struct span){ 0 };
}

bool waiting_each(struct waiting *list, waiting_fn *fn, void *ctx)
{
	for (struct waiting *w = list; w != NULL; w = w->hh.next)
		if (!fn(ctx, w->identity, w->content))
			return false;
	return true;
}

void waiting_free(struct waiting **list)
{
	struct waiting *w = *list, *next;
	HASH_CLEAR(hh, *list);
	for (; w != NULL; w = next) {
		next = w->hh.next;
		free(w);
	}
	*list = NULL;
}
