// SPDX-License-Identifier: Apache-2.0
#include "pipeline/ports.h"

const struct ports ports_real = {
	.sink = &sink_port_kafka,
	.source_open = source_kafka_open,
	.source_read = source_kafka_read,
	.store_open = store_redis_open,
	.dlq_open = sink_kafka_dlq_open,
};
