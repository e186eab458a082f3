// SPDX-License-Identifier: Apache-2.0
// What the daemon said at one moment, /api/v1/status and /metrics, as numbers and texts; and what has moved since an earlier one. Pure.
// Fields that it does not say are unknown (-1, or an empty text), never 0: another version of the daemon may run.
#ifndef TOP_SAMPLE_H
#define TOP_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"

struct top_part {
	char name[280];           // topic/partition
	int64_t next, high, lag;
	int64_t outcomes[OUTCOME_COUNT];
	char clock[32], halted[300];
	bool reading_back;
	int64_t rate, outcome_rate[OUTCOME_COUNT]; // a second
};
struct top_shard {
	char name[16];            // as in the keys of Redis: s03
	int64_t commits, counters, refused, took_us, under_way, behind;
	int64_t rate, counter_rate, mean_us; // a second; of a commit
};
struct top_service {
	char name[80];
	int64_t calls, rate;
};
struct top_sample {
	int64_t at_us;
	bool ready, owner;
	char state[16], instance[80], version[32], started[32], reload[400], outbox_note[300];
	char open[16], closes[32], due[32], closing_note[300];
	int64_t uptime_s, rules, pending, published;
	uint32_t n_reasons, n_parts, n_shards, n_services;
	char **reasons;
	struct top_part *parts;
	struct top_shard *shards;
	struct top_service *services;
	int64_t commit_us, commits, conflicts, imbalance, dedupe_bytes, resident_bytes, cpu_us; // totals since its start
	// since the earlier one, -1: there is none
	int64_t events_rate, calls_rate, published_rate, commit_mean_us, cpu_permille;
	int64_t lag;              // of all partitions that run
};

// False where `status` is not what meterd says. `metrics` NULL: not asked.
bool top_sample_parse(const char *status, const char *metrics, int64_t at_us, struct top_sample *ret);
// Fills the rates of `now`. Another start of the daemon in between: as if there were no earlier one.
void top_sample_rates(struct top_sample *now, const struct top_sample *before);
void top_sample_free(struct top_sample *s);

#endif
