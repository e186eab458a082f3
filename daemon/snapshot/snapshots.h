// SPDX-License-Identifier: Apache-2.0
// The windows of duplicates on disk. A worker hands over what it recorded (slice.h) every 2^bits offsets and goes on at once; a thread of its
// own sorts, writes and syncs it, and removes what no window reaches any more. At an assignment the set is made of the newest run of
// slices at or below the offset that counting goes on from, and only the log behind them is read.
//
// Nothing here is needed to count right: whatever is missing, refused or cannot be written costs a longer read-back, never a decision.
#ifndef SNAPSHOT_SNAPSHOTS_H
#define SNAPSHOT_SNAPSHOTS_H

#include "dedupe/slice.h"
#include "snapshot/folder.h"

enum { SNAPSHOT_WHY = 300 };

struct snapshots_options {
	struct folder *folder; // closed with it
	const char *where;     // for log lines
	unsigned bits;         // 4 … 20
	bool at_once;          // no thread: what is handed over is written before the call returns (simulator)
};

struct snapshots; // shared by the workers of a process
struct snapshots *snapshots_new(const struct snapshots_options *o);
void snapshots_freep(struct snapshots **s); // after the last worker: writes what was handed over, as long as the disk takes it
unsigned snapshots_bits(const struct snapshots *s);

// What was cut out of a set at its boundary. Never waits for the disk; where more is handed over than the disk takes, it is dropped and counted.
// Files that end at or below drop_below go.
void snapshots_put(struct snapshots *s, const char *part, struct slice_place place, uint64_t seed, const struct slice *head,
		   struct recording *r, int64_t drop_below);

struct snapshot_wanted {
	const char *part;
	struct slice_place place;
	const struct dedupe_options *options;
	int64_t start, clock_ms; // counting goes on there, with this record clock
	int64_t low;             // the log begins there
	int64_t (*rules_at)(const void *ctx, int64_t clock_ms); // version of the rules that holds at a record clock, as is known now
	const void *ctx;
};
// A set as of its position, which is at most `start`; *ret_next is the record behind it, by which the log is told from another one. False: there
// is none that may be used, and the log said why for those that may not.
bool snapshots_load(struct snapshots *s, const struct snapshot_wanted *w, struct dedupe **ret, struct slice_mark *ret_next);

// The log is not the one that the partition's slices tell of: they go, and none is read again by this process.
void snapshots_distrust(struct snapshots *s, const char *part, const char *why);

struct snapshot_status {
	int64_t position;   // where reading would go on after a restart now, -1: no slice
	int64_t written_ms; // wall: when the newest slice was written; INT64_MIN
	uint64_t bytes;
};
void snapshots_status(struct snapshots *s, const char *part, struct snapshot_status *ret); // from any thread
struct snapshots_totals {
	uint64_t written, failed, lost, refused; // slices; lost: given up, not written at all; refused: or all of a partition
	uint64_t loaded;                         // sets made of slices
	char failing[SNAPSHOT_WHY];              // empty, or why nothing can be written at present
};
void snapshots_totals(struct snapshots *s, struct snapshots_totals *ret);

// ---- one whole set in a file of its own, such as that of a checkpoint

// As of its position, which must be above 0, with every record below it decided under rules up to version `rules`. 0 or errno; whole or not at all.
int snapshot_save_file(const char *path, const struct dedupe *d, struct slice_place place, int64_t rules);
// To go on at w->start; `part` and `low` are not looked at. False with the reason.
bool snapshot_load_file(const char *path, const struct snapshot_wanted *w, struct dedupe **ret, char why[SNAPSHOT_WHY]);

#endif
