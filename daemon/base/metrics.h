// SPDX-License-Identifier: Apache-2.0
// Writes Prometheus' text format (0.0.4) from the rows of tbl/metric.def, which declare each metric once.
//
// There is no registry and nothing on the hot path: every thread keeps plain numbers of its own, a scrape takes a copy of them
// and writes it down here. Numbers are integers in the unit in which they are kept; the row says how many make one unit shown.
//
//	struct metrics m = { .to = f };
//	metric_begin(&m, METRIC_LAG);
//	metric_value(&m, (const char *const[]){ "usage.calls", "0" }, 12);
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum metric {
#define METRIC(id, name, type, labels, scale, help) METRIC_##id,
#include "tbl/metric.def"
#undef METRIC
	METRIC_COUNT
};

// Times in microseconds: `at_most[i]` of the durations are at most 250 us * 2^i; longer ones are in `total` only.
enum { HISTOGRAM_BUCKETS = 16, HISTOGRAM_FIRST_US = 250 };
struct histogram {
	uint64_t at_most[HISTOGRAM_BUCKETS]; // cumulative
	uint64_t total, sum_us;
};
void histogram_add(struct histogram *h, int64_t us);
void histogram_sum(struct histogram *into, const struct histogram *h);

struct metrics {
	FILE *to;
	bool begun[METRIC_COUNT];
	enum metric now;
};

const char *metric_name(enum metric id);
// HELP and TYPE, once per metric; the values follow until the next metric begins.
void metric_begin(struct metrics *m, enum metric id);
// As many label values as the row has labels (NULL where it has none).
void metric_value(struct metrics *m, const char *const *labels, int64_t value);
void metric_histogram(struct metrics *m, const struct histogram *h);
// The process_ metrics, from /proc/self. What cannot be read is left out.
void metrics_process(struct metrics *m);

#endif
