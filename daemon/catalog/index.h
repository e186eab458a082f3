// SPDX-License-Identifier: Apache-2.0
// Names that hold for a time: service ids, aliases, sub-accounts. One hash probe finds a name; the few uses it has over the years
// stand behind it in order of time and do not overlap.
#ifndef CATALOG_INDEX_H
#define CATALOG_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct name_use {
	struct span name;
	int64_t from_ms, until_ms; // until is exclusive; INT64_MAX: for ever, the last moment included
	uint32_t target;
	bool is_id;                // a service's own name
	int line, column;
};

struct name_slot {
	uint64_t hash;
	uint32_t first, n;         // uses; n 0: an empty slot
};

struct name_index {
	const struct name_use *uses;
	struct name_slot *slots;
	uint64_t mask;
};

// Orders the uses by name and time; then equal names stand side by side.
void name_uses_sort(struct name_use *uses, uint32_t n);
// `uses` is sorted, lives as long as the index, and no two of a name overlap.
void name_index_build(struct name_index *x, struct arena *a, const struct name_use *uses, uint32_t n);
// NULL where the name is unknown or not in force then.
const struct name_use *name_index_find(const struct name_index *x, struct span name, int64_t time_ms);

#endif
