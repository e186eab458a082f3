// SPDX-License-Identifier: Apache-2.0
// A YAML file as a tree with places, on libyaml. Strict: one document, no duplicate keys (libyaml accepts them in silence), no
// tabs as indentation, no anchors, aliases, tags; keys are scalars. All faults of the form are collected; depth at most 32, at
// most 200,000 nodes, at most 4 MiB.
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	int line, column;     // from 1
	bool quoted;          // scalar in quotes: "true" is then a string, never a number or null
	struct span text;     // scalar, terminated with NUL
	uint32_t n;           // list: items; map: pairs
	struct yaml_node **items;  // list
	struct yaml_pair {
		struct yaml_node *key, *value;
	} *pairs;             // map, order of the file
};

struct yaml;
// NULL where no tree can be made of the text. Faults that leave the tree whole (a key twice, an anchor, a tag) are reported and the tree
// is returned all the same, so that one run shows what else is wrong: callers go by `faults`. Of a key's two values the first counts; of two
// maps both are in it. A file without any content has an empty map as its root.
struct yaml *yaml_parse(const char *file, struct span text, struct faults *faults);
const struct yaml_node *yaml_root(const struct yaml *y);
void yaml_freep(struct yaml **y);

// The value of a key, NULL when absent. n may be NULL or not a map (then NULL).
const struct yaml_node *yaml_get(const struct yaml_node *n, const char *key);
// Reports every key of a map that is not in the NULL-terminated list, with a did-you-mean where one is near.
void yaml_check_keys(const struct yaml_node *map, const char *const *known, const char *file, struct faults *faults);
// The known word nearest to `word` (edit distance <= 2), NULL when none is near.
const char *nearest_word(const char *word, const char *const *known);

#endif
