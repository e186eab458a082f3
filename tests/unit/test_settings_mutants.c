// SPDX-License-Identifier: Apache-2.0
// Files that chance has spoilt: whatever stands in a file, it is read whole or refused with a place that exists, and what was read
// prints as a file that reads the same.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "settings/settings.h"

enum { OF_A_FAULT = 60, OF_THE_GOOD = 8000, TEXT_MOST = 16384 };

static uint64_t state;

static uint64_t pick(uint64_t n)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % n;
}

static size_t lines_of(struct span text)
{
	size_t n = 1;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

static char *printed(const struct settings *s)
{
	char *out = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&out, &n);
	settings_print(s, to);
	fclose(to);
	return out;
}

// The same values, whatever the comments say about defaults.
static void strip_comments(char *s)
{
	char *to = s;
	while (*s != '\0') {
		char *end = s + strcspn(s, "\n"), *comment = strstr(s, "  # default: ");
		size_t n = (size_t)((comment != NULL && comment < end ? comment : end) - s);
		memmove(to, s, n);
		to += n;
		*to++ = '\n';
		s = end + (*end == '\n');
	}
	*to = '\0';
}

static bool one(struct span text)
{
	struct faults f = { 0 };
	CLEANUP(settings_freep) struct settings *s = settings_parse("/x/m.yaml", text, &f);
	cr_assert((s == NULL) == (f.n > 0));
	size_t lines = lines_of(text);
	for (size_t i = 0; i < f.n; i++)
		cr_assert(f.list[i].line >= 0 && (size_t)f.list[i].line <= lines + 1 && f.list[i].text[0] != '\0');
	char *out = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&out, &n);
	faults_print(&f, text, to);
	fclose(to);
	free(out);
	faults_free(&f);
	if (s == NULL)
		return false;
	CLEANUP(freep) char *first = printed(s);
	CLEANUP(settings_freep) struct settings *again = settings_parse("/x/m.yaml", span_of(first), &f);
	cr_assert(again != NULL, "%s: %s", f.n > 0 ? f.list[0].text : "", first);
	CLEANUP(freep) char *second = printed(again);
	strip_comments(first);
	strip_comments(second);
	cr_assert_str_eq(first, second);
	return true;
}

static size_t mutate(char *p, size_t n)
{
	static const char *const bits[] = { "\n", ": ", "- ", "\"", "'", "[", "]", "{", "}", ",", "#", "&a ", "*a", "!x ", "|\n", "\t", "\r\n",
					    "\xff", "\xef\xbb\xbf", "\xe5\x90\x8d", "---\n", "? ", "0", "9", "h", "  ", "null", "%", "@", "\\" };
	const char *bit = bits[pick(ARRAY_LEN(bits))];
	size_t at = pick(n + 1), m = strlen(bit);
	switch (pick(4)) {
	case 0: // insert
		if (n + m > TEXT_MOST)
			return n;
		memmove(p + at + m, p + at, n - at);
		memcpy(p + at, bit, m);
		return n + m;
	case 1: // delete
		m = pick(8);
		m = m < n - at ? m : n - at;
		memmove(p + at, p + at + m, n - at - m);
		return n - m;
	case 2: // replace a byte
		if (at < n)
			p[at] = (char)pick(256);
		return n;
	default: // move a digit, so that many stay legal
		for (size_t i = at; i < n; i++)
			if (p[i] >= '0' && p[i] <= '9') {
				p[i] = (char)('0' + pick(10));
				break;
			}
		return n;
	}
}

static void mutants(struct span text, int rounds, size_t counts[2])
{
	CLEANUP(freep) char *work = xcalloc(TEXT_MOST + 1, 1);
	for (int i = 0; i < rounds; i++) {
		size_t n = text.n;
		memcpy(work, text.p, n);
		for (uint64_t k = 1 + pick(3); k > 0; k--)
			n = mutate(work, n);
		counts[one((struct span){ work, n })]++;
	}
}

static int is_yaml(const struct dirent *entry)
{
	return strstr(entry->d_name, ".yaml") != NULL;
}

Test(settings_mutants, are_read_or_refused)
{
	static const char good[] =
		"instance: m-1\nworkers: 3\ncatalog: books/prices.yaml\nkafka:\n  bootstrap: k1:9092\n  queued_max: 1MiB\n"
		"topics:\n  input: [a, \"b\"]\nredis:\n  url: unix:///run/r.sock?db=3\n  prefix: \"x-\"\n"
		"event:\n  fields:\n    account: 'the uid'\n  max_future: 10m\nclose:\n  grace: 30h\n";
	size_t counts[2] = { 0, 0 };
	state = 20200115;
	mutants(span_of(good), OF_THE_GOOD, counts);
	struct dirent **list = NULL;
	int n = scandir(SOURCE_DIR "/tests/table/config_faults", &list, is_yaml, alphasort);
	cr_assert(n >= 100);
	for (int i = 0; i < n; i++) {
		CLEANUP(freep) char *path = xasprintf("%s/tests/table/config_faults/%s", SOURCE_DIR, list[i]->d_name), *text = NULL;
		size_t size = 0;
		struct error e = { 0 };
		cr_assert(file_read(path, TEXT_MOST, &text, &size, &e) == ERROR_NONE, "%s: %s", path, e.text);
		mutants((struct span){ text, size }, OF_A_FAULT, counts);
		free(list[i]);
	}
	free(list);
	cr_expect(counts[0] > 1000 && counts[1] > 1000, "%zu refused, %zu read", counts[0], counts[1]);
}
