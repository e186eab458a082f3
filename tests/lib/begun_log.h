// SPDX-License-Identifier: Apache-2.0
// A control topic as `meterctl init` leaves it, in the Kafka in memory: usage.calls counted from its first offsets, under one version of the rules.
#ifndef BEGUN_LOG_H
#define BEGUN_LOG_H

#include "fake_kafka.h"
#include "journal/journal.h"

static inline void begin_log(struct fake_kafka *k, uint32_t shards, uint32_t partitions, const struct rules *r)
{
	struct journal_part list[FAKE_PARTITIONS];
	for (uint32_t i = 0; i < partitions; i++)
		list[i] = (struct journal_part){ .topic = (char *)"usage.calls", .partition = (int32_t)i, .clock_ms = TIME_NONE };
	CLEANUP(freep) char *init = journal_init_record("i", shards, list, partitions), *rules = journal_rules_record(1, TIME_NONE, r);
	fake_event(k, "meterd.control", 0, 1, init);
	fake_event(k, "meterd.control", 0, 1, rules);
}

#endif
