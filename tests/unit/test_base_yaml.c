// SPDX-License-Identifier: Apache-2.0
// The form of YAML files: trees with places, and every refusal with the text that is printed.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/yaml.h"

static char *printed(const struct faults *f, struct span text)
{
	char *out = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&out, &n);
	faults_print(f, text, to);
	fclose(to);
	return out;
}

static void refused_bytes(struct span text, const char *expected)
{
	struct faults f = { 0 };
	CLEANUP(yaml_freep) struct yaml *y = yaml_parse("f", text, &f);
	(void)y; // what is faulty may have a tree all the same, for the faults behind it
	cr_expect(f.n > 0, "accepted: %s", text.p);
	CLEANUP(freep) char *got = printed(&f, text);
	cr_expect_str_eq(got, expected);
	faults_free(&f);
}

static void refused(const char *text, const char *expected)
{
	refused_bytes(span_of(text), expected);
}

Test(yaml, tree_with_places)
{
	const char *text = "# head\na: 1\nb:\n  - x\n  - \"true\"\n  - {c: [], d: }\n'e f': |\n  two\n  lines\n";
	struct faults f = { 0 };
	CLEANUP(yaml_freep) struct yaml *y = yaml_parse("f", span_of(text), &f);
	cr_assert(y != NULL && f.n == 0);
	const struct yaml_node *root = yaml_root(y), *b = yaml_get(root, "b"), *e = yaml_get(root, "e f");
	cr_assert(root->kind == YAML_MAP && root->n == 3);
	cr_expect_str_eq(yaml_get(root, "a")->text.p, "1");
	cr_expect(yaml_get(root, "a")->line == 2 && yaml_get(root, "a")->column == 4);
	cr_assert(b->kind == YAML_LIST && b->n == 3);
	cr_expect(!b->items[0]->quoted && b->items[1]->quoted);
	cr_expect(b->items[2]->kind == YAML_MAP && b->items[2]->n == 2);
	cr_expect(yaml_get(b->items[2], "c")->kind == YAML_LIST && yaml_get(b->items[2], "c")->n == 0);
	cr_expect(yaml_get(b->items[2], "d")->text.n == 0);
	cr_expect_str_eq(e->text.p, "two\nlines\n");
	cr_expect(yaml_get(root, "zz") == NULL && yaml_get(NULL, "a") == NULL && yaml_get(e, "a") == NULL);
}

Test(yaml, empty_file_is_an_empty_map)
{
	const char *texts[] = { "", "# only a comment\n", "\r\n" };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct faults f = { 0 };
		CLEANUP(yaml_freep) struct yaml *y = yaml_parse("f", span_of(texts[i]), &f);
		cr_assert(y != NULL);
		cr_expect(yaml_root(y)->kind == YAML_MAP && yaml_root(y)->n == 0);
	}
}

Test(yaml, duplicate_keys)
{
	refused("a: 1\nb: 2\na: 3\nc:\n  x: 1\n  x: 2\n",
		"f:3:1: error: key \"a\" stands already in line 1: remove one of them\n    a: 3\n    ^\n"
		"f:6:3: error: key \"x\" stands already in line 5: remove one of them\n      x: 2\n      ^\n");
	refused("\"a\": 1\na: 3\n", "f:2:1: error: key \"a\" stands already in line 1: remove one of them\n    a: 3\n    ^\n");
}

// What leaves the tree whole does not hide what else is wrong with the file: the first value stands, two maps are both in it.
Test(yaml, the_tree_after_faults_of_the_form)
{
	struct faults f = { 0 };
	CLEANUP(yaml_freep) struct yaml *y = yaml_parse("f", SPAN_LIT("a: 1\nm: {x: 1}\na: 2\nm: &n {y: 2}\nm: !!map {z: 3}\n"), &f);
	cr_assert(y != NULL);
	cr_expect(f.n == 5, "%zu faults", f.n);
	cr_expect_str_eq(yaml_get(yaml_root(y), "a")->text.p, "1");
	const struct yaml_node *m = yaml_get(yaml_root(y), "m");
	cr_assert(m->n == 3);
	cr_expect(yaml_get(m, "x")->line == 2 && yaml_get(m, "y")->line == 4 && yaml_get(m, "z")->line == 5);
	faults_free(&f);
}

// Of these no tree can be made, or one that says something else than the file.
Test(yaml, no_tree)
{
	const char *texts[] = { "a: 1\n---\nb: 1\n", "? [a]\n: 1\n", "a: b: c\n", "a: \"x\\0y\"\n", "a: *x\n", "a: \xff\n", "\ta: 1\n" };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct faults f = { 0 };
		cr_expect(yaml_parse("f", span_of(texts[i]), &f) == NULL && f.n > 0, "%s", texts[i]);
		faults_free(&f);
	}
}

Test(yaml, tabs)
{
	refused("a:\n\tb: 1\n \tc: 2\n",
		"f:2:1: error: a tab in the indentation: use blanks\n    \tb: 1\n    ^\n"
		"f:3:2: error: a tab in the indentation: use blanks\n     \tc: 2\n     ^\n");
}

Test(yaml, extras_of_the_language)
{
	refused("a: &x 1\nb: *x\nc: !!str 1\n",
		"f:1:4: error: anchors (&x) are not used here: write the value out where it is needed\n    a: &x 1\n       ^\n"
		"f:2:4: error: aliases (*x) are not used here: write the value out\n    b: *x\n       ^\n"
		"f:3:4: error: tags (tag:yaml.org,2002:str) are not used here: remove it, or put the text in quotes\n    c: !!str 1\n       ^\n");
	refused("a: 1\n---\nb: 1\n",
		"f:2:1: error: a second document begins: a file holds one; remove the \"---\" and what follows\n    ---\n    ^\n");
	refused("%YAML 1.1\n---\nb: 1\n", "f:1:1: error: directives (%YAML, %TAG) are not used here: remove the line\n    %YAML 1.1\n    ^\n");
	refused("? [a]\n: 1\n", "f:1:3: error: a key must be a plain word, not a list or a map\n    ? [a]\n      ^\n");
}

Test(yaml, broken_syntax)
{
	refused("a: b: c\n", "f:1:5: error: a ':' that cannot be here: indent the line like its neighbours, put a text that holds ': ' in quotes, or "
			     "add the ':' that the line above lacks\n"
			     "    a: b: c\n        ^\n");
	refused("a: 1\nb\nc: 1\n", "f:2:1: error: a key without a value: write \"key: value\"\n    b\n    ^\n");
	refused("a: \"x\nb: 1\n", "f:1:4: error: a quote that is never closed: add the closing one\n    a: \"x\n       ^\n");
	refused("a: [1, 2\nb: 1\n", "f:1:4: error: a list that is never closed: add ']', or a ',' between its items\n    a: [1, 2\n       ^\n");
	refused("a: @x\n", "f:1:4: error: a text cannot begin with this character: put it in quotes\n    a: @x\n       ^\n");
	refused("a:\n  b: 1\n c: 2\n", "f:3:2: error: this line does not fit the ones above: indent keys of one level alike, and put texts that begin "
				       "with a quote wholly in quotes\n     c: 2\n     ^\n");
}

Test(yaml, bytes)
{
	refused("a: \xff\n", "f:1:4: error: not UTF-8: save the file as UTF-8\n    a: ?\n       ^\n");
	refused("a: \xc0\x80\n", "f:1:4: error: not UTF-8: save the file as UTF-8\n    a: ??\n       ^\n");
	refused("\xef\xbb\xbf" "a: 1\n", "f:1:1: error: the file begins with a byte order mark: save it as UTF-8 without one\n    ?a: 1\n    ^\n");
	refused("a: \x1b[31m\n", "f:1:4: error: control character U+001B: remove it\n    a: ?[31m\n       ^\n");
	refused_bytes(SPAN_LIT("a: \0\n"), "f:1:4: error: control character U+0000: remove it\n    a: ?\n       ^\n");
	refused("a: \"x\\0y\"\n", "f:1:4: error: a text with a NUL character: remove the \\0\n    a: \"x\\0y\"\n       ^\n");
	refused("a: 1\rb: 2\n", "f:1:5: error: control character U+000D: remove it\n    a: 1?b: 2\n        ^\n");
}

Test(yaml, caret_under_wide_characters)
{
	refused("名字: \xff\n", "f:1:5: error: not UTF-8: save the file as UTF-8\n    名字: ?\n          ^\n");
}

Test(yaml, bounds)
{
	char deep[200];
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	struct faults f = { 0 };
	cr_expect(yaml_parse("f", span_of(deep), &f) == NULL);
	cr_assert(f.n == 1 && f.list[0].column == 33);
	faults_free(&f);

	size_t n = 4 * 1024 * 1024 + 1;
	CLEANUP(freep) char *big = xcalloc(n + 1, 1);
	memset(big, '#', n);
	cr_expect(yaml_parse("f", span_of(big), &f) == NULL && f.n == 1);
	faults_free(&f);

	for (size_t i = 0; i + 2 < n; i += 3)
		memcpy(big + i, "-\n\n", 3);
	big[n - n % 3] = '\0';
	cr_expect(yaml_parse("f", (struct span){ big, n - n % 3 }, &f) == NULL && f.n == 1);
	cr_expect(f.n == 1 && strstr(f.list[0].text, "too many entries") != NULL);
	faults_free(&f);
}

Test(yaml, check_keys)
{
	static const char *const known[] = { "alpha", "beta", "redis", NULL };
	const char *text = "alhpa: 1\nbeta: 2\nwhatever: 3\nrediss: 4\n";
	struct faults f = { 0 };
	CLEANUP(yaml_freep) struct yaml *y = yaml_parse("f", span_of(text), &f);
	yaml_check_keys(yaml_root(y), known, "f", &f);
	CLEANUP(freep) char *got = printed(&f, (struct span){ NULL, 0 });
	cr_expect_str_eq(got, "f:1:1: error: unknown key \"alhpa\": did you mean \"alpha\"?\n"
			      "f:3:1: error: unknown key \"whatever\": remove it; known here: alpha, beta, redis\n"
			      "f:4:1: error: unknown key \"rediss\": did you mean \"redis\"?\n");
	faults_free(&f);
}

Test(yaml, nearest_word)
{
	static const char *const known[] = { "quote", "usage", "gen", "status", NULL };
	cr_expect_str_eq(nearest_word("qoute", known), "quote");
	cr_expect_str_eq(nearest_word("stat", known), "status");
	cr_expect_str_eq(nearest_word("ge", known), "gen");
	cr_expect(nearest_word("xyz", known) == NULL);
	cr_expect(nearest_word("", known) == NULL);
}

Test(fault, order_and_limit)
{
	struct faults f = { 0 };
	fault_add(&f, "a", 5, 1, "five");
	fault_add(&f, "a", 2, 9, "two");
	fault_add(&f, "b", 1, 1, "other file");
	fault_add(&f, "b", 0, 0, "no place\x1b[0m");
	CLEANUP(freep) char *got = printed(&f, (struct span){ NULL, 0 });
	cr_expect_str_eq(got, "a:2:9: error: two\na:5:1: error: five\nb:1:1: error: other file\nb: error: no place?[0m\n");
	for (int i = 0; i < 3000; i++)
		fault_add(&f, "a", 1 + i, 1, "x");
	cr_expect(f.n == 1001);
	cr_expect_str_eq(f.list[1000].text, "more errors than are listed here: mend these first");
	faults_free(&f);
}
