// SPDX-License-Identifier: Apache-2.0
#include "outbox/idset.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct idset_slot {
	struct idset_id id;
	uint64_t content;
};

static struct idset_slot *slot_of(const struct idset *s, struct idset_id id)
{
	size_t mask = s->size - 1;
	for (size_t i = (size_t)id.lo & mask;; i = (i + 1) & mask) {
		struct idset_slot *slot = &s->slots[i];
		if ((slot->id.hi == 0 && slot->id.lo == 0) || (slot->id.hi == id.hi && slot->id.lo == id.lo))
			return slot;
	}
}

bool idset_find(const struct idset *s, struct idset_id id, uint64_t *ret_content)
{
	check(id.hi != 0 || id.lo != 0);
	if (s->size == 0)
		return false;
	const struct idset_slot *slot = slot_of(s, id);
	if (slot->id.hi == 0 && slot->id.lo == 0)
		return false;
	if (ret_content != NULL)
		*ret_content = slot->content;
	return true;
}

static void idset_grow(struct idset *s)
{
	struct idset bigger = { .size = s->size > 0 ? s->size * 2 : 1024 };
	bigger.slots = xcalloc(bigger.size, sizeof(*bigger.slots));
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i].id.hi != 0 || s->slots[i].id.lo != 0)
			*slot_of(&bigger, s->slots[i].id) = s->slots[i];
	bigger.n = s->n;
	free(s->slots);
	*s = bigger;
}

bool idset_add(struct idset *s, struct idset_id id, uint64_t content)
{
	if (idset_find(s, id, NULL))
		return false;
	if ((s->n + 1) * 10 > s->size * 7)
		idset_grow(s);
	*slot_of(s, id) = (struct idset_slot){ id, content };
	s->n++;
	return true;
}

void idset_clear(struct idset *s)
{
	if (s->n > 0)
		memset(s->slots, 0, s->size * sizeof(*s->slots));
	s->n = 0;
}

void idset_free(struct idset *s)
{
	free(s->slots);
	*s = (struct idset){ 0 };
}
