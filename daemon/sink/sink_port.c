// SPDX-License-Identifier: Apache-2.0
// What belongs to the port itself, whatever stands behind it.
#include "sink/sink.h"

const struct sink_port sink_port_kafka = {
	.txn_open = sink_kafka_txn_open,
	.read_back = topic_read_back,
	.read_from = topic_read_from,
	.describe = topic_describe,
	.offsets = topic_offsets,
	.offset_at = topic_offset_at,
};
