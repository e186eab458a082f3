// SPDX-License-Identifier: Apache-2.0
// Inside replay: what its files share.
#ifndef REPLAY_INNER_H
#define REPLAY_INNER_H

#include <jansson.h>

#include "closing/closing.h"
#include "closing/frame.h"
#include "decide/decide.h"
#include "proof/books.h"
#include "replay/replay.h"

enum { AS_IS, OTHERWISE, SIDES, BARE = SIDES };

struct side {
	struct journal *journal;    // OTHERWISE: with the other price book's versions, and months that name them
	struct decider decider;
	struct books *books;
};

struct replay {
	struct replay_options o;
	const struct sink_port *port;
	struct arena arena;
	struct side sides[SIDES];
	struct books *bare;         // as it is, had nobody corrected anything; NULL: nobody did, or it is not asked
	struct accounts_feed *feed;
	bool decides;               // the other side reads records of the range by other rules, or leaves some out
	int64_t shift;              // version v of the rules is v + shift with the other price book; 0: there is none
	int64_t from_ms, to_ms;     // TIME_NONE, INT64_MAX: no bound
	int64_t clock_min, clock_max; // of records in the range
	int64_t end_clock;          // the highest of all
	uint32_t n_ends;
	struct journal_cut *ends;   // where each partition was read to
	struct replay_numbers numbers;
	uint64_t all_records;
	int closed_first, closed_last; // months with manifests, before others were added; MONTH_NONE
	uint32_t n_all;
	struct replay_bill *all;    // every row, by account, month, service
	uint32_t n_bills, n_alerts, size_alerts;
	struct replay_bill *bills;
	struct replay_alert *alerts;
	struct replay_corrections corrections;
};

bool replay_stopped(const struct replay *r);
enum error_class replay_look(void *ctx, struct error *e); // of closing_books

// whatif.c: the rules of the other side.
enum error_class whatif_rules(struct replay *r, struct faults *faults, struct error *e);
// After the log was read: which months are priced otherwise, and manifests of those that none was written for.
void whatif_months(struct replay *r);
// log.c: every record, decided twice.
enum error_class replay_read_log(struct replay *r, struct error *e);
// bills.c: both sides' counters and lines side by side; alerts.c: what they have reached.
enum error_class replay_compare_bills(struct replay *r, struct error *e);
enum error_class replay_compare_alerts(struct replay *r, struct error *e);
// prices.c: r->bills, which are sorted by account: by what prices the other side makes them.
void replay_price_bills(struct replay *r);
// question.c
json_t *replay_question(const struct replay *r);
// corrections.c
bool corrections_differ(const struct settled_line *a, const struct settled_line *b); // NULL: there is none
bool corrections_move(const struct settled_line *a, const struct settled_line *b);   // not the charge alone
bool corrections_move_packs(const struct settled_line *a, const struct settled_line *b);
bool corrections_said(const struct replay *r); // of the accounts that are looked at
enum error_class replay_make_corrections(struct replay *r, struct error *e);
const struct rules *replay_month_rules(const struct side *s, int month); // that the month is settled by

#endif
