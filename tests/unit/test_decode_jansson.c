// SPDX-License-Identifier: Apache-2.0
// The decoder against jansson over tests/corpus/events and 250,000 mutations of it (seeded, the same every time): see
// decode_reference.h for what is compared and where the two differ on purpose.
#include <dirent.h>

#include "table.h"
#define reference_check(cond, ...) cr_assert(cond, __VA_ARGS__)
#include "decode_reference.h"

enum { MUTATIONS = 250000, CORPUS_MAX = 256 };

// -- corpus and mutations

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n)
{
	return n == 0 ? 0 : (size_t)(next_random(state) % n);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t corpus_load(struct text *corpus)
{
	char *names[CORPUS_MAX];
	size_t n = 0;
	DIR *dir = opendir(SOURCE_DIR "/tests/corpus/events");
	cr_assert_not_null(dir);
	for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
		if (d->d_name[0] == '.')
			continue;
		cr_assert_lt(n, CORPUS_MAX);
		names[n++] = xasprintf("%s/tests/corpus/events/%s", SOURCE_DIR, d->d_name);
	}
	closedir(dir);
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		FILE *f = fopen(names[i], "rb");
		cr_assert_not_null(f);
		corpus[i].n = fread(corpus[i].p, 1, TEXT_MAX / 4, f);
		cr_assert(feof(f), "%s is too long", names[i]);
		fclose(f);
		free(names[i]);
	}
	return n;
}

static void splice(struct text *t, size_t at, size_t remove, const char *p, size_t n)
{
	if (remove > t->n - at)
		remove = t->n - at;
	if (t->n - remove + n > TEXT_MAX)
		return;
	memmove(t->p + at + n, t->p + at + remove, t->n - at - remove);
	memcpy(t->p + at, p, n);
	t->n = t->n - remove + n;
}

static void mutate(struct text *t, const struct text *corpus, size_t n_corpus, uint64_t *rng)
{
	static const char bytes[] = "{}[]\",:\\/u0123456789abcdefE+-.tTzZ \t\n\x01\x1f\x7f\x80\xbf\xc0\xc2\xe0\xed\xef\xf0\xf4\xff";
	static const char *const pieces[] = {
		"null", "true", "{}", "[]", "\"\"", "0", "-1", "1.0", "1e3", "1e999", "99999999999999999999", "\\ud800", "\\udc00",
		"\\ud83d\\ude00", "\\u0000", "\"id\":\"x\",", "\"calls\":2,", "\"x\":1,\"x\":2,", "\"time\":1579048200124,",
		"\"items\":[{\"service\":\"z\"}],", "\"specversion\":\"1.0\",", "[[[[[[[[[[[[[[[[", "]]]]]]]]]]]]]]]]", "[[]]", "{\"a\":{}}", "\"data\":{}," ,
		"\"status\":\"500\",", "\xe5\x9b\xbe", "\xf0\x9f\x98\x80", "\\u0069", ",", ":", "\"",
	};
	size_t at = below(rng, t->n + 1);
	const struct text *other = &corpus[below(rng, n_corpus)];
	const char *piece = pieces[below(rng, ARRAY_LEN(pieces))];
	size_t from = below(rng, other->n);
	char byte = bytes[below(rng, sizeof(bytes) - 1)];
	switch (below(rng, 8)) {
	case 0: splice(t, at, 1, &byte, 1); break;
	case 1: splice(t, at, 0, &byte, 1); break;
	case 2: splice(t, at, 1 + below(rng, 3), "", 0); break;
	case 3: splice(t, at, 1 + below(rng, 24), "", 0); break;
	case 4: splice(t, at, 0, other->p + from, below(rng, other->n - from < 64 ? other->n - from : 64)); break;
	case 5: splice(t, at, 0, piece, strlen(piece)); break;
	case 6: {
		char *begin = memchr(t->p, ',', t->n); // where a member can stand
		splice(t, begin != NULL ? (size_t)(begin - t->p) + 1 : 1 % (t->n + 1), 0, piece, strlen(piece));
		break;
	}
	default: splice(t, at, below(rng, 8), piece, strlen(piece)); break;
	}
}

Test(decode_jansson, mutations, .timeout = 600)
{
	CLEANUP(freep) struct decode_scratch *scratch = xcalloc(1, sizeof(*scratch));
	CLEANUP(freep) struct text *corpus = xcalloc(CORPUS_MAX, sizeof(*corpus));
	size_t n = corpus_load(corpus);
	struct tally tally = { 0 };
	uint64_t rng = 3;
	cr_assert_geq(n, 60);
	for (size_t i = 0; i < n; i++)
		for (enum mode mode = FLAT; mode <= BINARY; mode++)
			compare(&corpus[i], mode, scratch, &tally);
	cr_assert_eq(tally.passed_over, 0);
	for (int i = 0; i < MUTATIONS; i++) {
		struct text t = corpus[below(&rng, n)];
		for (size_t k = 1 + below(&rng, 3); k > 0; k--)
			mutate(&t, corpus, n, &rng);
		compare(&t, below(&rng, 4) == 0 ? STRUCTURED + (enum mode)below(&rng, 2) : FLAT, scratch, &tally);
	}
	decode_scratch_free(scratch);
	// The comparison must have seen enough of everything to mean something.
	cr_log_info("%u compared, %u valid, %u accepted, %u repeated names, %u halves, %u deep, %u passed over", tally.compared,
		    tally.valid, tally.accepted, tally.repeated, tally.halves, tally.deep, tally.passed_over);
	cr_expect_geq(tally.compared, 200000);
	cr_expect_geq(tally.valid, MUTATIONS / 10);
	cr_expect_geq(tally.accepted, MUTATIONS / 50);
	cr_expect_geq(tally.repeated, 200);
	cr_expect_geq(tally.halves, 200);
	cr_expect_geq(tally.deep, 10);
	cr_expect_leq(tally.passed_over, MUTATIONS / 500);
}
