// SPDX-License-Identifier: Apache-2.0
// The ends of a pipeline: Kafka and Redis, or twins of them. Whoever makes a worker or an office says which.
#ifndef PIPELINE_PORTS_H
#define PIPELINE_PORTS_H

#include "sink/sink.h"
#include "source/source.h"
#include "store/store.h"

struct ports {
	const struct sink_port *sink;
	enum error_class (*source_open)(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb,
					struct source **ret, struct error *e);
	enum error_class (*source_read)(const struct kafka_options *o, const char *const *topics, const int32_t *partitions, uint32_t n,
					const struct source_callbacks *cb, struct source **ret, struct error *e); // without a group
	enum error_class (*store_open)(const struct store_options *o, struct store **ret, struct error *e);
	enum error_class (*dlq_open)(const struct kafka_options *o, struct dlq **ret, struct error *e);
};
extern const struct ports ports_real;

#endif
