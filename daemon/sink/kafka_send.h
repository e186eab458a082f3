// SPDX-License-Identifier: Apache-2.0
// Handing one message to librdkafka, for both producers of this room.
#ifndef SINK_KAFKA_SEND_H
#define SINK_KAFKA_SEND_H

#include <librdkafka/rdkafka.h>

#include "sink/sink.h"

// flags: RD_KAFKA_MSG_F_COPY or 0 (then key and value stay the caller's until the delivery report). Null values and null header
// values stay null.
rd_kafka_resp_err_t kafka_send(rd_kafka_t *rk, const struct message *m, int flags, void *opaque);
bool kafka_err_is_refusal(rd_kafka_resp_err_t err); // not allowed: only an edit of settings or ACLs helps

#endif
