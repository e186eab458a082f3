// SPDX-License-Identifier: Apache-2.0
// Inside proof: what its files share.
#ifndef PROOF_INNER_H
#define PROOF_INNER_H

#include "closing/closing.h"
#include "decide/decide.h"
#include "proof/books.h"
#include "proof/proof.h"

struct document {                   // one id
	char id[33];
	int closed_with;            // month whose close made it; MONTH_NONE: not derived
	struct span account, derived, published; // p NULL: not
	bool twice;                 // published with other content too
};

struct proof {
	struct proof_options o;
	const struct sink_port *port;
	struct arena arena;
	struct journal *journal;
	struct accounts_feed *feed;
	const struct journal_manifest *last;
	bool all_months;            // `last` is the newest that is settled
	struct span account;        // p NULL: all
	struct books *books;
	void *by_id;                // documents: a tree of tsearch, which owns them
	struct proof_difference *list;
	uint32_t n, size;
	struct proof_numbers numbers;
	uint64_t all_records;
	struct error held;          // of a callback
};

void proof_add(struct proof *p, struct proof_difference d); // texts must live in the arena
bool proof_covers(const struct proof *p, int month);        // is a closed month among those asked for?

// log.c: reads the usage topics up to the last manifest's cuts into the books, and holds the manifests against them.
enum error_class proof_read_log(struct proof *p, struct error *e);

// published.c
enum error_class proof_read_published(struct proof *p, struct error *e);
void proof_derived(void *ctx, int month_closed, struct span account, struct span document); // books_document_fn
struct document *proof_find(struct proof *p, const char *id);
bool proof_settled(struct proof *p, int month);             // its end of run is published
void proof_compare(struct proof *p);

#endif
