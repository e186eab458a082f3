// SPDX-License-Identifier: Apache-2.0
// From a file back into the shards. A generation is RESTORING while it comes, so that nobody counts into half of one; what an interrupted attempt
// left is dropped by the next.
#include <stdlib.h>

#include "base/check.h"
#include "checkpoint/inner.h"

enum { BATCH = 500, BYTES = 4 << 20 }; // fields, and their bytes, of one command

struct restoring {
	const struct checkpoint_restore *r;
	uint32_t shard;
	bool skip;
	struct arena arena;
	bool marks;               // what is gathered; otherwise fields of `key`
	struct store_key key;
	uint32_t n;
	struct span words[2 * BATCH];
};

static enum error_class look(const struct restoring *t, struct error *e)
{
	return t->r->look != NULL ? t->r->look(t->r->ctx, e) : ERROR_NONE;
}

static enum error_class flush(struct restoring *t, struct error *e)
{
	struct store *s = t->r->store;
	enum error_class c = ERROR_NONE;
	if (t->n > 0)
		c = t->marks ? s->ops->put_marks(s, t->shard, t->words, t->n, e) : s->ops->put(s, t->shard, &t->key, t->words, t->n, e);
	t->n = 0;
	arena_reset(&t->arena);
	return c == ERROR_NONE ? look(t, e) : c;
}

static enum error_class gather(struct restoring *t, struct span field, struct span value, struct error *e)
{
	t->words[t->n++] = arena_copy(&t->arena, field);
	t->words[t->n++] = arena_copy(&t->arena, value);
	return t->n == ARRAY_LEN(t->words) || t->arena.total > BYTES ? flush(t, e) : ERROR_NONE;
}

enum error_class checkpoint_clear(struct store *s, uint32_t shard, struct error *e)
{
	struct store_state st = { 0 };
	struct store_generations g = { 0 };
	int64_t left = 0;
	enum error_class c = s->ops->state(s, shard, &st, e);
	if (c == ERROR_NONE && !st.exists)
		return s->ops->left_over(s, shard, true, &left, e);
	if (c == ERROR_NONE)
		c = s->ops->generations(s, shard, &g, e);
	for (uint32_t i = 0; i < g.n && c == ERROR_NONE; i++)
		if (g.list[i].kind == GENERATION_RESTORING)
			c = s->ops->drop(s, shard, g.list[i].number, e);
	store_generations_free(&g);
	return c;
}

static enum error_class take_shard(void *ctx, uint32_t shard, struct error *e)
{
	struct restoring *t = ctx;
	t->shard = shard;
	t->skip = t->r->wanted != NULL && !t->r->wanted[shard];
	if (t->r->progress != NULL)
		t->r->progress(t->r->ctx, shard, t->r->shards);
	if (t->skip)
		return ERROR_NONE;
	enum error_class c = checkpoint_clear(t->r->store, shard, e);
	return c == ERROR_NONE ? t->r->store->ops->restore(t->r->store, shard, e) : c;
}

static enum error_class take_mark(void *ctx, struct span field, struct span value, struct error *e)
{
	struct restoring *t = ctx;
	t->marks = true;
	return t->skip ? ERROR_NONE : gather(t, field, value, e);
}

static enum error_class take_field(void *ctx, const struct store_key *k, struct span field, struct span value, struct error *e)
{
	struct restoring *t = ctx;
	bool same = !t->marks && strcmp(t->key.what != NULL ? t->key.what : "", k->what) == 0 && t->key.month == k->month &&
		    t->key.adjust_month == k->adjust_month;
	if (t->skip)
		return ERROR_NONE;
	enum error_class c = same ? ERROR_NONE : flush(t, e);
	t->marks = false;
	t->key = *k;
	return c == ERROR_NONE ? gather(t, field, value, e) : c;
}

static enum error_class take_entry(void *ctx, const struct span *words, uint32_t n, struct error *e)
{
	struct restoring *t = ctx;
	if (t->skip)
		return ERROR_NONE;
	enum error_class c = flush(t, e);
	return c == ERROR_NONE ? t->r->store->ops->put_entry(t->r->store, t->shard, words, n, e) : c;
}

static enum error_class end_shard(void *ctx, struct error *e)
{
	struct restoring *t = ctx;
	enum error_class c = t->skip ? ERROR_NONE : flush(t, e);
	t->key = (struct store_key){ 0 };
	t->marks = false;
	return c;
}

enum error_class checkpoint_restore(const struct checkpoint_restore *r, const char *path, struct error *e)
{
	CLEANUP(freep) struct restoring *t = xcalloc(1, sizeof(*t));
	t->r = r;
	const struct checkpoint_visitor v = { t, take_shard, take_mark, take_field, take_entry, end_shard };
	enum error_class c = checkpoint_read(path, &v, NULL, NULL, e);
	arena_free(&t->arena);
	// All shards are whole: only now may anybody count into them.
	for (uint32_t shard = 0; shard < r->shards && c == ERROR_NONE; shard++)
		if (r->wanted == NULL || r->wanted[shard])
			c = r->store->ops->restored(r->store, shard, r->in_force, e);
	return c;
}
