// SPDX-License-Identifier: Apache-2.0
// Reading a price book: values out of the tree, with a fault for each that cannot be. Only for this room.
//
// A reader goes on after a fault, so that all are found in one run. A value function returns false when it has reported a fault;
// its output is then unchanged. NULL nodes (keys that are absent) are the caller's to judge.
#ifndef CATALOG_READ_H
#define CATALOG_READ_H

#include "base/yaml.h"
#include "catalog/book.h"
#include "catalog/price.h"

struct book_reader {
	const char *file;
	struct faults *faults;
	struct catalog *book;
	const char **ids;       // of services, in order of the file, ending with NULL; what has no readable id is left out
	uint32_t *by_id, n_ids; // services in order of their ids
	const char **group_ids; // ends with NULL
	struct name_index groups;
};

void read_fault(struct book_reader *r, const struct yaml_node *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// Memory of the book, zeroed.
void *read_alloc(struct book_reader *r, size_t n, size_t size);
const char *read_keep(struct book_reader *r, struct span s); // a copy, terminated

// The word that was meant; NULL where none is near, or where no more faults are listed: a search of thousands for each of thousands.
const char *read_nearest(const struct book_reader *r, const char *word, const char *const *words);

// The value of a key that must be there; a fault at the map when it is not.
const struct yaml_node *read_required(struct book_reader *r, const struct yaml_node *map, const char *key, const char *example);
bool read_is_map(struct book_reader *r, const struct yaml_node *n, const char *what);
bool read_is_list(struct book_reader *r, const struct yaml_node *n, const char *what);
bool read_scalar(struct book_reader *r, const struct yaml_node *n, const char *what);

bool read_text(struct book_reader *r, const struct yaml_node *n, const char *what, size_t most, const char **ret);
// A word of letters, digits and `extra`.
bool read_word(struct book_reader *r, const struct yaml_node *n, const char *what, const char *extra, size_t most, const char **ret);
bool read_quantity(struct book_reader *r, const struct yaml_node *n, const char *what, int64_t least, int64_t *ret);
bool read_price(struct book_reader *r, const struct yaml_node *n, const char *what, int64_t *ret_micro);
bool read_bool(struct book_reader *r, const struct yaml_node *n, const char *what, bool *ret);
// Index into the NULL-terminated words.
bool read_choice(struct book_reader *r, const struct yaml_node *n, const char *what, const char *const *words, int *ret);
// `2020-04`, or an instant that is the beginning of a month.
bool read_month(struct book_reader *r, const struct yaml_node *n, const char *what, int *ret);
bool read_instant(struct book_reader *r, const struct yaml_node *n, const char *what, int64_t *ret);

// `prices` and `free` of a service (read_price.c); either may be NULL.
void read_plans(struct book_reader *r, struct service *s, const struct yaml_node *prices, const struct yaml_node *quotas);
// A list `free` as it stands in the file; false when there was a fault. *ret lies in the book's memory.
bool read_quotas(struct book_reader *r, const struct yaml_node *list, struct dated_quota **ret, uint32_t *ret_n);

// `shared_free` (read_shared.c), once services are read; their nodes are in `services`.
void read_shared(struct book_reader *r, const struct yaml_node *list, const struct yaml_node *services);
// The index of a service id; needs `by_id`.
bool read_find_service(const struct book_reader *r, const char *id, uint32_t *ret);

// The words of enums, in their order, ending with NULL; those of a price are in price.h.
extern const char *const read_freeze_bases[], *const read_pack_orders[];

#endif
