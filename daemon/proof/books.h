// SPDX-License-Identifier: Apache-2.0
// The counters of a proof, in memory: what a shard would hold after the same calls, as much of it as settling asks for. Pure; one owner.
#ifndef PROOF_BOOKS_H
#define PROOF_BOOKS_H

#include "store/store.h"

// A document as it is made: a settlement, an adjustment, a statement or the end of a run.
typedef void books_document_fn(void *ctx, int month_closed, struct span account, struct span document);

struct books;
struct books *books_new(books_document_fn *fn, void *ctx);
void books_freep(struct books **b);
// One call, or several of the same event. adjust_month MONTH_NONE: counted in its own month; otherwise late. False: the sum overflows.
bool books_count(struct books *b, struct span account, struct span service_id, int month, int adjust_month, int64_t calls);
// One shard that answers settling from these counters, and keeps what it settles. Owned by the books.
struct store *books_store(struct books *b);
int64_t books_counters(const struct books *b, int month); // counters of the month, as its manifest counts them over all shards

#endif
