// SPDX-License-Identifier: Apache-2.0
// The ids of what is published, each with a hash of its content: open addressing, 24 bytes an entry, at most 70 % full. Entries
// never leave. Ids are bits of a SHA-256, so they are their own hash. One owner.
#ifndef OUTBOX_IDSET_H
#define OUTBOX_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idset_id {
	uint64_t hi, lo; // (0, 0) marks an empty slot; no SHA-256 of ours begins with 128 zero bits
};
struct idset {
	struct idset_slot *slots;
	size_t n, size; // size: 0 or a power of two
};

bool idset_find(const struct idset *s, struct idset_id id, uint64_t *ret_content);
// False when the id is there already: the first content stands.
bool idset_add(struct idset *s, struct idset_id id, uint64_t content);
void idset_clear(struct idset *s); // keeps the memory
void idset_free(struct idset *s);

#endif
