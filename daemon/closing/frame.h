// SPDX-License-Identifier: Apache-2.0
// What decides about one month that was closed: the rules version and the offsets of the accounts topic that its manifest names, and
// nothing that came later. Pure.
#ifndef CLOSING_FRAME_H
#define CLOSING_FRAME_H

#include "journal/accounts_feed.h"
#include "journal/journal.h"
#include "terms/terms.h"

struct month_frame {
	int month;
	const struct rules *rules;
	struct account_horizon horizon;
	const struct terms *plain;      // of an account of which nothing was ever said; made when first asked for
};
// A month's own manifest; one that has none is decided by `m`, the manifest of the month that is settled. Lies in `arena`, points into *j.
void month_frame_make(const struct journal *j, const struct journal_manifest *m, int month, struct arena *arena, struct month_frame *ret);
// Of this account, NULL: nothing was ever said of it.
const struct terms *month_frame_terms(struct month_frame *f, const struct account *a, struct arena *arena);
// Does the feed hold all that the manifest names? ERROR_HALT where the topic does not reach that far.
enum error_class accounts_reach(const struct accounts_feed *feed, const char *topic, const struct journal_manifest *m, struct error *e);

#endif
