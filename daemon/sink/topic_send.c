// SPDX-License-Identifier: Apache-2.0
// One message, acknowledged.
#include <stdio.h>

#include "base/check.h"
#include "model/kafka_conf.h"
#include "sink/kafka_send.h"

struct delivery {
	bool done;
	rd_kafka_resp_err_t err;
	int32_t partition;
	int64_t offset;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct delivery *d = opaque;
	(void)rk;
	*d = (struct delivery){ true, m->err, m->partition, m->offset };
}

// The reason comes with the delivery report.
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	char text[512];
	(void)rk;
	(void)opaque;
	log_line(LVL_DEBUG, "topic_send_error", "code=%s why=%s", rd_kafka_err2name((rd_kafka_resp_err_t)err),
		 log_quote(reason, text, sizeof(text)));
}

static void producer_freep(rd_kafka_t **rk)
{
	if (*rk != NULL)
		rd_kafka_destroy(*rk);
}

static enum error_class producer_open(const struct kafka_options *o, int timeout_ms, struct delivery *d, rd_kafka_t **ret, struct error *e)
{
	char timeout[16], why[512];
	snprintf(timeout, sizeof(timeout), "%d", timeout_ms);
	const struct kafka_pair pairs[] = {
		{ "enable.idempotence", o->embedded ? "false" : "true" },
		{ "acks", "all" },
		{ "partitioner", "murmur2_random" },
		{ "message.timeout.ms", timeout },
		{ "message.max.bytes", "2097152" }, // the topic decides
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	if (kafka_conf_make(o, pairs, &conf, e) != ERROR_NONE)
		return e->cls;
	rd_kafka_conf_set_opaque(conf, d);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	*ret = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (*ret != NULL)
		return ERROR_NONE;
	rd_kafka_conf_destroy(conf);
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the producer cannot be made: %s", why);
}

enum error_class topic_send(const struct kafka_options *o, const struct message *m, int timeout_ms, int32_t *ret_partition,
			    int64_t *ret_offset, struct error *e)
{
	struct delivery d = { false, RD_KAFKA_RESP_ERR_NO_ERROR, -1, -1 };
	CLEANUP(producer_freep) rd_kafka_t *rk = NULL;
	if (producer_open(o, timeout_ms, &d, &rk, e) != ERROR_NONE)
		return e->cls;
	d.err = kafka_send(rk, m, RD_KAFKA_MSG_F_COPY, NULL);
	while (d.err == RD_KAFKA_RESP_ERR_NO_ERROR && !d.done)
		rd_kafka_poll(rk, 100); // ends: message.timeout.ms
	if (d.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "topic %s takes no record of %zu bytes: raise its max.message.bytes, or send less",
				 m->topic, m->value.n);
	if (kafka_err_is_refusal(d.err))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "Kafka refuses to write to topic %s: %s", m->topic, rd_kafka_err2str(d.err));
	if (d.err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(e, ERROR_RETRY, 0, "topic %s did not acknowledge: %s; the record may be there or not", m->topic,
				 rd_kafka_err2str(d.err));
	*ret_partition = d.partition;
	*ret_offset = d.offset;
	return ERROR_NONE;
}
