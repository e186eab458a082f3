// SPDX-License-Identifier: Apache-2.0
// What the daemon says about itself: one copy, taken at one moment, from which /-/ready, /api/v1/status, /metrics and the
// service manager's STATUS line are made. The pipeline fills it; nobody else asks the threads.
#ifndef MODEL_STATUS_H
#define MODEL_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "model/event.h"
#include "period/period.h"

enum status_phase { STATUS_STARTING, STATUS_RUNNING, STATUS_STOPPING };

struct status_part {
	char *topic;             // owned
	int32_t partition;
	int64_t next;            // next offset to read
	int64_t high;            // high watermark as last seen, -1: unknown
	int64_t at_end;          // the reader stood there with nothing behind it: what lies between `next` and it are markers, no records
	int64_t clock_ms;        // record clock, TIME_NONE: none yet
	int64_t window_clock_ms; // record clock where the window of duplicates begins, TIME_NONE: nothing in it
	int64_t outcomes[OUTCOME_COUNT];
	int64_t gaps;
	int64_t read_back;       // records that were read only to fill the window of duplicates, since the assignment
	int64_t snapshot_offset; // a restart now would read the log from there, -1: from the window's beginning
	int64_t snapshot_ms;     // wall: when the newest slice of the window was written; TIME_NONE
	uint64_t snapshot_bytes;
	bool reading_back;       // fills its window of duplicates; counts nothing yet
	char *halted;            // owned; NULL: not halted. Otherwise why, and what to do
};

// A shard of the ledger in Redis, as the workers of this process see it, since their start.
struct status_shard {
	uint64_t commits, counters, refused; // applied, and counters changed by them; answers that were none
	int64_t took_us;         // of the applied ones, from sending to the answer, summed up
	int64_t under_way;       // commits without an answer now
	int64_t behind;          // records read that its offsets do not cover yet
};

struct status_count {
	char *name;              // owned
	int64_t n;
};
struct status_counts {
	uint32_t n;
	struct status_count *list;
};

struct status {
	enum status_phase phase;
	char *instance;          // owned
	int64_t started_ms, now_ms; // wall
	uint32_t workers;
	bool reload_refused;     // the last reload did not take all: the file was refused, or the rules it proposes
	char *reload;            // owned; NULL, or what the last reload left open, in words
	int64_t rules_version;   // -1: not known yet
	uint64_t accounts_records; // of the accounts topic, known to every worker
	// Why it is not ready: one line each, saying what to do. None, running, and no partition halted: ready.
	uint32_t n_reasons;
	char **reasons;
	uint32_t n_parts;
	struct status_part *parts;
	uint32_t n_shards;
	struct status_shard *shards;
	struct status_counts calls;     // by service
	struct status_counts conflicts; // by kind
	struct status_counts top;       // accounts with the most calls in the last top_window_us, each at most top_over too large; in no order
	int64_t top_window_us, top_over;
	struct histogram commit_time, alert_delay;
	uint64_t counters_committed, dedupe_bytes;
	struct status_snapshots {       // windows of duplicates on disk
		bool kept;
		uint64_t written, failed, lost, refused;
		char *note;             // owned; NULL, or why they cannot be written at present
	} snapshots;
	struct status_checkpoints {
		bool kept;              // this process makes them, where it closes months
		uint64_t written, failed, bytes; // bytes: of the newest
		int64_t made_ms;        // wall: when the newest was; TIME_NONE: none is known
	} checkpoints;
	struct status_letters {         // rejected records that were not given back
		bool known;             // only where this instance publishes
		bool full;              // there are more than are counted
		struct status_counts by_code; // every code
	} letters;
	uint32_t stuck_workers;         // no progress although records wait, and no wait that is known: the watchdog is not fed
	bool stuck_outbox;              // likewise
	int64_t imbalance;              // -1: not computed
	int64_t balanced_ms;            // wall: the oldest look that went into it; TIME_NONE
	struct status_relay {
		bool owner;             // this instance publishes
		int64_t pending;        // -1: unknown
		uint64_t published, dropped;
		char *note;             // owned; NULL or what it waits for
	} relay;
	struct status_closer {
		bool owner;
		int closed_month, open_month; // MONTH_NONE: none
		int wait_month;         // the month whose close open_month waits for: itself, or a later one where it holds only late calls
		int64_t closed_end_ms;  // end of closed_month; TIME_NONE
		int64_t closes_ms;      // close(wait_month): its end and close.grace; TIME_NONE
		int64_t due_ms;         // when its settlements are due: the 4th, 00:00; TIME_NONE
		uint64_t corrected, passed_over; // corrections of closed months
		char *note;             // owned; NULL or what it waits for
	} closer;
};

void status_init(struct status *s);  // everything empty or unknown
void status_free(struct status *s);
void status_reason(struct status *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct status_part *status_part_add(struct status *s, const char *topic, int32_t partition); // valid until the next one is added
int64_t status_part_lag(const struct status_part *p); // records that wait; 0 where only markers are left, or nothing is known
void status_shards_add(struct status *s, const struct status_shard *list, uint32_t n);          // of one more worker
void status_count_add(struct status_counts *c, const char *name, int64_t n);                 // summed by name
void status_counts_free(struct status_counts *c);
bool status_ready(const struct status *s);
// One line: "running, 8 partitions, lag 12" or the first reason, and what the last reload left open. For sd_notify and the log.
void status_line(const struct status *s, char *buf, int size);

#endif
