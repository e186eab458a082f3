// SPDX-License-Identifier: Apache-2.0
// How long one event takes to decode, on one core: `bench_decode [ROUNDS]` prints a line a kind of event. The events of a kind lie
// one after the other in 1 MiB, as a fetch brings them, so the text comes from the second-level cache and not from the first.
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
	  "\"time\":\"2020-01-15T08:30:00.123+08:00\",\"calls\":1,\"status\":\"ok\",\"request\":{\"ms\":12,\"region\":\"cn-north-4\"}}" },
	{ "flat, epoch time",
	  "{\"id\":\"%08u\",\"account\":\"100001234567\",\"service\":\"image-tag\",\"time\":1579048200123}" },
	{ "structured CloudEvent",
	  "{\"specversion\":\"1.0\",\"id\":\"8c1f2a34-%08u\",\"source\":\"/gateway/7\",\"type\":\"call.v1\","
	  "\"time\":\"2020-01-15T08:30:00.123+08:00\",\"data\":{\"account\":\"100001234567\",\"service\":\"image-tag\",\"calls\":1}}" },
	{ "two items",
	  "{\"id\":\"%08u\",\"account\":\"100001234567\",\"time\":\"2020-01-15T08:30:00.123+08:00\",\"items\":["
	  "{\"service\":\"image-tag\",\"calls\":1},{\"service\":\"image-crop\",\"calls\":2}]}" },
};

static void bench(const struct kind *k, int rounds)
{
	enum { MEMORY = 1 << 20 };
	CLEANUP(freep) char *text = xcalloc(1, MEMORY);
	CLEANUP(freep) struct span *events = xcalloc(MEMORY / 64, sizeof(*events));
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	static struct event event;
	uint32_t n = 0;
	for (size_t used = 0; used + 512 < MEMORY; n++) {
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		int len = snprintf(text + used, MEMORY - used, k->format, n);
		events[n] = (struct span){ text + used, (size_t)len };
		used += (size_t)len;
	}
	int64_t best = INT64_MAX, calls = 0;
	for (int r = 0; r < rounds; r++) {
		int64_t start = clock_mono_us();
		for (uint32_t i = 0; i < n; i++) {
			struct record rec = { .value = events[i] };
			struct decode_result result;
			decode_record(&FIELDS, &rec, scratch, &event, &result);
			check(result.reject == REJECT_NONE);
			calls += event.items[0].calls;
		}
		int64_t took = clock_mono_us() - start;
		best = took < best ? took : best;
	}
	check(calls == (int64_t)n * rounds);
	printf("%-24s %4zu bytes %7.1f ns an event\n", k->name, events[0].n, (double)best * 1e3 / n);
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
