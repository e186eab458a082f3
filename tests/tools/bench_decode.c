// SPDX-License-Identifier: Apache-2.0
// How long one event takes to decode, on one core, against jansson making a tree of the same text in the same run:
// `bench_decode [ROUNDS]` prints a line a kind of event, best of all rounds. The events of a kind lie one after the other in
// 1 MiB, as a fetch brings them, so the text comes from the second-level cache and not from the first.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/span.h"
#include "decode/decode.h"

static const struct decode_fields FIELDS = { "id", "account", "service", "time", "calls", "status", "items" };

struct kind {
	const char *name, *format; // one %08u
};
static const struct kind KINDS[] = {
	{ "flat, 209 bytes",
	  "{\"id\":\"8c1f2a34-0b77-4c1e-9d55-9a1b%08u\",\"account\":\"100001234567\",\"service\":\"image-tag\","
	  "\"time\":\"2020-01-15T08:30:00.123+08:00\",\"calls\":1,\"status\":\"ok\",\"request\":{\"ms\":12,\"region\":\"cn-north-4\"},\"zone\":\"a1\"}" },
	{ "flat, epoch time",
	  "{\"id\":\"%08u\",\"account\":\"100001234567\",\"service\":\"image-tag\",\"time\":1579048200123}" },
	{ "structured CloudEvent",
	  "{\"specversion\":\"1.0\",\"id\":\"8c1f2a34-%08u\",\"source\":\"/gateway/7\",\"type\":\"call.v1\","
	  "\"time\":\"2020-01-15T08:30:00.123+08:00\",\"data\":{\"account\":\"100001234567\",\"service\":\"image-tag\",\"calls\":1}}" },
	{ "two items",
	  "{\"id\":\"%08u\",\"account\":\"100001234567\",\"time\":\"2020-01-15T08:30:00.123+08:00\",\"items\":["
	  "{\"service\":\"image-tag\",\"calls\":1},{\"service\":\"image-crop\",\"calls\":2}]}" },
};

struct batch {
	struct span *events;
	uint32_t n;
	struct decode_scratch *scratch;
};

// Both return the sum of what they found in the events, so that nothing can be left out.
static int64_t decode_all(const struct batch *b)
{
	static struct event event;
	int64_t calls = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		struct record rec = { .value = b->events[i] };
		struct decode_result result;
		decode_record(&FIELDS, &rec, b->scratch, &event, &result);
		check(result.reject == REJECT_NONE);
		calls += event.items[0].calls;
	}
	return calls;
}

static int64_t jansson_all(const struct batch *b)
{
	int64_t objects = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		json_t *j = json_loadb(b->events[i].p, b->events[i].n, 0, NULL);
		objects += json_is_object(j);
		json_decref(j);
	}
	return objects;
}

static double best_ns(int64_t (*run)(const struct batch *b), const struct batch *b, int rounds)
{
	int64_t best = INT64_MAX;
	for (int r = 0; r < rounds; r++) {
		int64_t start = clock_mono_us();
		check(run(b) == (int64_t)b->n);
		int64_t took = clock_mono_us() - start;
		best = took < best ? took : best;
	}
	return (double)best * 1e3 / b->n;
}

static void bench(const struct kind *k, int rounds)
{
	enum { MEMORY = 1 << 20 };
	CLEANUP(freep) char *text = xcalloc(1, MEMORY);
	CLEANUP(freep) struct span *events = xcalloc(MEMORY / 64, sizeof(*events));
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	struct batch b = { .events = events, .scratch = scratch };
	for (size_t used = 0; used + 512 < MEMORY; b.n++) {
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		int len = snprintf(text + used, MEMORY - used, k->format, b.n);
		events[b.n] = (struct span){ text + used, (size_t)len };
		used += (size_t)len;
	}
	double ours = best_ns(decode_all, &b, rounds), theirs = best_ns(jansson_all, &b, rounds / 3 + 1);
	printf("%-24s %4zu bytes %7.1f ns an event, jansson %7.1f ns: %.1f times as fast\n", k->name, events[0].n, ours, theirs,
	       theirs / ours);
	decode_scratch_free(scratch);
}

int main(int argc, char **argv)
{
	int64_t rounds = 300;
	if (argc > 1 && !span_int64(span_of(argv[1]), &rounds))
		return 64;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
		bench(&KINDS[i], (int)rounds);
	return 0;
}
