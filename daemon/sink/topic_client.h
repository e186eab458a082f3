// SPDX-License-Identifier: Apache-2.0
// A librdkafka client for looking at topics and reading them: no group membership, no commits, read_committed.
#ifndef SINK_TOPIC_CLIENT_H
#define SINK_TOPIC_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "sink/sink.h"

enum error_class topic_client_open(const struct kafka_options *o, rd_kafka_t **ret, struct error *e);
void topic_client_freep(rd_kafka_t **rk);
// Number of partitions; 0: no such topic.
enum error_class topic_client_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int32_t *ret, struct error *e);
// ERROR_ABORT 75 for a missing topic or partition, 78 where Kafka refuses, ERROR_RETRY otherwise.
enum error_class topic_client_error(rd_kafka_t *rk, const char *topic, const char *doing, rd_kafka_resp_err_t err, struct error *e);
enum error_class topic_client_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int timeout_ms, int64_t *ret_low,
				      int64_t *ret_high, struct error *e);
enum error_class topic_client_offset_at(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms,
					int64_t *ret, struct error *e);

#endif
