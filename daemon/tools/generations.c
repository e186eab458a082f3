// SPDX-License-Identifier: Apache-2.0
// meterctl generations: which there are, and giving one up.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "journal/json.h"
#include "tools/state.h"
#include "tools/tools.h"

enum { LEASE_MS = 3000 };

static const char *const kinds[] = { [GENERATION_LIVE] = "in force", [GENERATION_BUILDING] = "being made", [GENERATION_CUT] = "a copy",
				     [GENERATION_OLD] = "was in force", [GENERATION_RESTORING] = "half of a checkpoint" };

struct row {
	struct store_generation g;
	uint32_t shards;
	int64_t bytes;
};

static struct row *row_of(struct row *list, uint32_t *n, const struct store_generation *g)
{
	for (uint32_t i = 0; i < *n; i++)
		if (list[i].g.number == g->number)
			return &list[i];
	list[*n] = (struct row){ .g = *g };
	return &list[(*n)++];
}

static enum error_class add_shard(struct state *s, uint32_t shard, struct row *list, uint32_t *n, uint32_t most, struct error *e)
{
	struct store_generations g = { 0 };
	enum error_class c = s->store->ops->generations(s->store, shard, &g, e);
	for (uint32_t i = 0; i < g.n && c == ERROR_NONE && *n < most; i++) {
		struct store_keys keys = { 0 };
		struct row *r = row_of(list, n, &g.list[i]);
		r->shards++;
		s->store->ops->identity(s->store, s->journal->init_id, g.list[i].number);
		c = s->store->ops->keys(s->store, shard, &keys, e);
		for (uint32_t k = 0; k < keys.n && c == ERROR_NONE; k++) {
			int64_t bytes = 0;
			c = s->store->ops->size(s->store, shard, &keys.list[k], &bytes, e);
			r->bytes += bytes;
		}
		store_keys_free(&keys);
	}
	store_generations_free(&g);
	return c;
}

static int list_all(struct options *o, struct state *s)
{
	static const struct output_column columns[] = { { "generation", OUTPUT_NUMBER }, { "is", OUTPUT_TEXT }, { "shards", OUTPUT_NUMBER },
							{ "bytes", OUTPUT_NUMBER } };
	struct row list[64];
	struct error e = { 0 };
	uint32_t n = 0;
	for (uint32_t shard = 0; shard < s->shards; shard++)
		if (add_shard(s, shard, list, &n, ARRAY_LEN(list), &e) != ERROR_NONE)
			return options_fail(o, &e);
	struct output *out = output_begin(stdout, o->format, OUTPUT_MANY, columns, ARRAY_LEN(columns));
	for (uint32_t i = 0; i < n; i++) {
		output_int(out, list[i].g.number);
		output_cell(out, kinds[list[i].g.kind]);
		output_int(out, list[i].shards);
		output_int(out, list[i].bytes);
	}
	return output_end(&out) ? EXIT_DONE : EXIT_LATER;
}

static int drop_everywhere(struct options *o, struct state *s, int64_t number)
{
	struct error e = { 0 };
	bool found = false;
	for (uint32_t shard = 0; shard < s->shards; shard++) {
		struct store_generations g = { 0 };
		if (s->store->ops->generations(s->store, shard, &g, &e) != ERROR_NONE)
			return options_fail(o, &e);
		for (uint32_t i = 0; i < g.n; i++)
			found = found || g.list[i].number == number;
		store_generations_free(&g);
		if (s->store->ops->drop(s->store, shard, number, &e) != ERROR_NONE)
			return options_fail(o, &e);
	}
	if (!found) {
		fprintf(stderr, "meterctl generations: there is no generation %" PRId64 "\n", number);
		return EXIT_CONFIG_ERR;
	}
	fprintf(stderr, "meterctl generations: %" PRId64 " is dropped\n", number);
	return EXIT_DONE;
}

// Asked to be put in force, and not yet so in every shard: the request stays until then.
static int pending(struct options *o, struct state *s, int64_t number)
{
	struct error e = { 0 };
	CLEANUP(freep) char *text = NULL;
	if (s->store->ops->request_peek(s->store, &text, &e) != ERROR_NONE)
		return options_fail(o, &e);
	CLEANUP(json_freep) json_t *request = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *kind = json_string_value(json_object_get(request, "kind"));
	if (kind == NULL || strcmp(kind, "generation") != 0 || json_integer_value(json_object_get(request, "generation")) != number)
		return OPTIONS_GO_ON;
	fprintf(stderr, "meterctl generations: meterd was asked to put %" PRId64 " in force; nothing was dropped. Try again when it has answered\n", number);
	return EXIT_LATER;
}

static int drop(struct options *o, struct state *s, int64_t number)
{
	struct error e = { 0 };
	static const char me[] = "meterctl generations";
	CLEANUP(freep) char *other = NULL;
	if (number == s->journal->generation) {
		fprintf(stderr, "meterctl generations: %" PRId64 " is in force; nothing was dropped\n", number);
		return EXIT_CONFIG_ERR;
	}
	if (s->store->ops->lease(s->store, LEASE_GENERATIONS, me, LEASE_MS, &other, &e) != ERROR_NONE)
		return options_fail(o, &e);
	if (other != NULL) {
		fprintf(stderr, "meterctl generations: a rebuild works on them (%s); nothing was dropped\n", other);
		return EXIT_LATER;
	}
	int code = pending(o, s, number);
	code = code == OPTIONS_GO_ON ? drop_everywhere(o, s, number) : code;
	s->store->ops->lease(s->store, LEASE_GENERATIONS, me, 1, &other, NULL); // over at once
	return code;
}

int tool_generations(int argc, char **argv)
{
	const char *words[2] = { "list", NULL };
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	CLEANUP(state_close) struct state s = { 0 };
	int64_t number = 0;
	int code = options_parse(&o, argc, argv, NULL, 0, words, 0, 2);
	if (code != OPTIONS_GO_ON)
		return code;
	static const char *const parts[] = { "list", "drop", NULL };
	code = options_word(&o, "part", words[0], parts);
	if (code != OPTIONS_GO_ON)
		return code;
	bool list = strcmp(words[0], "list") == 0 && words[1] == NULL;
	if (!list && (strcmp(words[0], "drop") != 0 || words[1] == NULL || !span_int64(span_of(words[1]), &number) || number < 1))
		return options_usage(&o, "write `list`, or `drop` and the number of a generation");
	code = state_open(&s, &o);
	if (code != OPTIONS_GO_ON)
		return code;
	return list ? list_all(&o, &s) : drop(&o, &s, number);
}
