// SPDX-License-Identifier: Apache-2.0
// The screen of `meterctl top` as lines of text with a style each, from what is known and what was pressed. Pure: no terminal, no clock.
//
//	READY  instance m, up 3h 02m, rules 3                       verdict
//	events 12,345/s  lag 7  commit 1.2 ms  …                    figures
//	outbox …, closing …, reasons                                what waits
//	PARTITION … / SHARD … / SERVICE … / ALERT …                 four lists; the chosen one gets the room that is left, and scrolls
//	q quit  s sort: lag …                                       keys
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include "top/sample.h"

enum { TOP_LINE = 1400, TOP_FILTER = 64 };
enum top_style { TOP_PLAIN, TOP_GOOD, TOP_WARN, TOP_BAD, TOP_DIM, TOP_HEAD };
enum top_sort { TOP_BY_NAME, TOP_BY_RATE, TOP_BY_LAG, TOP_BY_STATE, TOP_SORTS };
enum top_list { TOP_PARTITIONS, TOP_SHARDS, TOP_SERVICES, TOP_ALERTS, TOP_LISTS };

struct top_line {
	char text[TOP_LINE];   // never wider than the screen
	enum top_style style;
};
struct top_alert {
	char time[32], kind[40], account[80], service[80], period[16], threshold[24], calls[24], bill[32];
};
struct top_ui {
	enum top_sort sort;
	bool reverse, typing, help, paused;
	char filter[TOP_FILTER];
	enum top_list chosen;
	int scroll;            // of the chosen list; the view keeps it within what there is
};
struct top_view {
	const struct top_sample *now; // NULL: nothing was heard yet
	const char *away;             // NULL: it answers; otherwise why not
	int64_t away_s;
	const struct top_alert *alerts; // newest first
	uint32_t n_alerts;
	const char *alerts_note;      // NULL, or why there are none
	const char *clock;            // of the machine, as text
	int columns, rows;
};

// Fills `rows` lines. Screens below 40 x 6 get one line that says so.
void top_view(const struct top_view *v, struct top_ui *ui, struct top_line *lines);
const char *top_sort_text(enum top_sort s);

#endif
