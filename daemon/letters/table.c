// SPDX-License-Identifier: Apache-2.0
// Which letters there are: open addressing, a slot is a 64-bit word.
//
//	digest of the position 55 bits | given back 1 bit | code 8 bits: REJECT_… + 1; 255: of this position only the mark was seen
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/check.h"
#include "letters/letters.h"

enum { FIRST_SLOTS = 1 << 10, ONLY_MARK = 255 };
#define GIVEN_BACK ((uint64_t)1 << 8)
#define DIGEST (~(uint64_t)0x1ff)
_Static_assert(REJECT_COUNT < ONLY_MARK - 1, "a code has 8 bits");

struct letters_table {
	uint32_t most, used, n_slots; // n_slots: a power of two
	uint64_t *slots;              // 0: empty
	struct letters_numbers numbers;
};

struct span letters_header(const struct record *r, const char *name)
{
	for (uint32_t i = 0; i < r->n_headers; i++)
		if (span_is(r->headers[i].name, name))
			return r->headers[i].value;
	return (struct span){ 0 };
}

bool letters_position(const struct record *r, char ret[LETTERS_POSITION])
{
	struct span topic = letters_header(r, LETTERS_OWN "topic");
	int64_t partition = 0, offset = 0;
	if (topic.p == NULL || topic.n > 249 || !span_int64(letters_header(r, LETTERS_OWN "partition"), &partition) ||
	    !span_int64(letters_header(r, LETTERS_OWN "offset"), &offset) || partition < 0 || partition > INT32_MAX || offset < 0)
		return false;
	snprintf(ret, LETTERS_POSITION, "%.*s/%" PRId64 "/%" PRId64, (int)topic.n, topic.p, partition, offset);
	return true;
}

struct letters_table *letters_table_new(uint32_t most)
{
	struct letters_table *t = xcalloc(1, sizeof(*t));
	t->most = most;
	t->n_slots = FIRST_SLOTS;
	t->slots = xcalloc(t->n_slots, sizeof(*t->slots));
	return t;
}

void letters_table_freep(struct letters_table **t)
{
	if (*t == NULL)
		return;
	free((*t)->slots);
	free(*t);
	*t = NULL;
}

static uint64_t *find(uint64_t *slots, uint32_t n, uint64_t digest)
{
	uint32_t at = (uint32_t)(digest >> 32) & (n - 1);
	while (slots[at] != 0 && (slots[at] & DIGEST) != digest)
		at = (at + 1) & (n - 1);
	return &slots[at];
}

static void grow(struct letters_table *t)
{
	uint32_t n = t->n_slots * 2;
	uint64_t *slots = xcalloc(n, sizeof(*slots));
	for (uint32_t i = 0; i < t->n_slots; i++)
		if (t->slots[i] != 0)
			*find(slots, n, t->slots[i] & DIGEST) = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->n_slots = n;
}

// NULL: there is no room for another one.
static uint64_t *slot_of(struct letters_table *t, struct span position)
{
	uint64_t digest = XXH3_64bits(position.p, position.n) & DIGEST;
	uint64_t *slot = find(t->slots, t->n_slots, digest);
	if (*slot != 0)
		return slot;
	if (t->used == t->most) {
		t->numbers.full = true;
		return NULL;
	}
	if (2 * (t->used + 1) > t->n_slots) {
		grow(t);
		slot = find(t->slots, t->n_slots, digest);
	}
	t->used++;
	*slot = digest | ONLY_MARK;
	return slot;
}

static enum reject code_of(struct span text)
{
	for (int i = 1; i < REJECT_COUNT; i++)
		if (span_is(text, reject_info((enum reject)i)->code))
			return (enum reject)i;
	return REJECT_NONE;
}

static void take_mark(struct letters_table *t, struct span position)
{
	uint64_t *slot = slot_of(t, position);
	if (slot == NULL || (*slot & GIVEN_BACK) != 0)
		return;
	uint32_t code = *slot & 0xff;
	*slot |= GIVEN_BACK;
	if (code != ONLY_MARK)
		t->numbers.by_code[code - 1]--;
}

static void take_letter(struct letters_table *t, struct span position, enum reject code)
{
	uint64_t *slot = slot_of(t, position);
	if (slot == NULL || (*slot & 0xff) != ONLY_MARK)
		return;
	*slot = (*slot & ~(uint64_t)0xff) | ((uint64_t)code + 1);
	if ((*slot & GIVEN_BACK) == 0)
		t->numbers.by_code[code]++;
}

void letters_table_take(struct letters_table *t, const struct record *r)
{
	char position[LETTERS_POSITION];
	struct span mark = letters_header(r, LETTERS_GIVEN_BACK);
	if (letters_position(r, position)) // one that was given back and rejected again bears the header, too
		take_letter(t, span_of(position), code_of(letters_header(r, LETTERS_OWN "code")));
	else if (mark.p != NULL)
		take_mark(t, mark);
}

void letters_table_numbers(const struct letters_table *t, struct letters_numbers *ret)
{
	bool known = ret->known;
	*ret = t->numbers;
	ret->known = known;
}
