// SPDX-License-Identifier: Apache-2.0
// The transactional producer. One short transaction at a time: begin, all messages, commit.
//
// Invariant: TXN_DONE is said only of a transaction whose commit Kafka acknowledged. After anything else the producer is not
// used again: its end may be unknown, and only a fresh producer (which fences this one) and reading back tell.
#include "sink/sink.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "model/kafka_conf.h"
#include "sink/kafka_send.h"

struct kafka_txn {
	struct txn_sink base;
	rd_kafka_t *rk;
	int timeout_ms;
	bool broken;
	char lost[256]; // why the first undelivered message of this transaction was not delivered
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_txn *s = opaque;
	(void)rk;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR && s->lost[0] == '\0')
		snprintf(s->lost, sizeof(s->lost), "%s: %s", m->rkt != NULL ? rd_kafka_topic_name(m->rkt) : "?",
			 rd_kafka_err2str(m->err));
}

// Fatal errors and lost brokers come back from the calls themselves.
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	char text[512];
	(void)rk;
	(void)opaque;
	log_line(LVL_DEBUG, "producer_error", "code=%s why=%s", rd_kafka_err2name((rd_kafka_resp_err_t)err),
		 log_quote(reason, text, sizeof(text)));
}

static bool means_fenced(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__FENCED || err == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
	       err == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

static enum txn_status broken_by(struct kafka_txn *s, rd_kafka_resp_err_t code, const char *why, struct error *e)
{
	char fatal[512] = "";
	rd_kafka_resp_err_t root = rd_kafka_fatal_error(s->rk, fatal, sizeof(fatal));
	s->broken = true;
	if (means_fenced(root) || means_fenced(code)) {
		error_set(e, ERROR_RETRY, 0, "another instance publishes now: %s", fatal[0] != '\0' ? fatal : why);
		return TXN_FENCED;
	}
	error_set(e, ERROR_RETRY, 0, "the transaction's end is unknown: %s (%s)%s%s", why, rd_kafka_err2name(code),
		  s->lost[0] != '\0' ? "; not delivered to " : "", s->lost);
	return TXN_UNKNOWN;
}

static enum txn_status broken_error(struct kafka_txn *s, rd_kafka_error_t *err, struct error *e)
{
	enum txn_status st = broken_by(s, rd_kafka_error_code(err), rd_kafka_error_string(err), e);
	rd_kafka_error_destroy(err);
	return st;
}

static rd_kafka_resp_err_t send_one(struct kafka_txn *s, const struct message *m)
{
	for (int left_ms = s->timeout_ms;; left_ms -= 50) {
		rd_kafka_resp_err_t err = kafka_send(s->rk, m, RD_KAFKA_MSG_F_COPY, NULL);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || left_ms <= 0)
			return err;
		rd_kafka_poll(s->rk, 50);
	}
}

static enum txn_status txn_publish(struct txn_sink *base, const struct message *m, uint32_t n, struct error *e)
{
	struct kafka_txn *s = (struct kafka_txn *)base;
	check(n >= 1 && !s->broken);
	s->lost[0] = '\0';
	rd_kafka_error_t *err = rd_kafka_begin_transaction(s->rk);
	if (err != NULL)
		return broken_error(s, err, e);
	for (uint32_t i = 0; i < n; i++) {
		rd_kafka_resp_err_t code = send_one(s, &m[i]);
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return broken_by(s, code, rd_kafka_err2str(code), e);
	}
	err = rd_kafka_commit_transaction(s->rk, s->timeout_ms);
	if (err != NULL)
		return broken_error(s, err, e);
	check(s->lost[0] == '\0');
	return TXN_DONE;
}

// An open transaction is not aborted here: the next opener's init does it, or the coordinator's time-out.
static void txn_close(struct txn_sink *base)
{
	struct kafka_txn *s = (struct kafka_txn *)base;
	rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy(s->rk);
	free(s);
}

static const struct txn_sink_ops txn_ops = { .publish = txn_publish, .close = txn_close };

static enum error_class init_transactions(struct kafka_txn *s, struct error *e)
{
	rd_kafka_error_t *err = rd_kafka_init_transactions(s->rk, s->timeout_ms);
	if (err == NULL)
		return ERROR_NONE;
	rd_kafka_resp_err_t code = rd_kafka_error_code(err);
	rd_kafka_resp_err_t root = rd_kafka_fatal_error(s->rk, NULL, 0);
	char why[512];
	snprintf(why, sizeof(why), "%s", rd_kafka_error_string(err));
	rd_kafka_error_destroy(err);
	if (kafka_err_is_refusal(code) || kafka_err_is_refusal(root))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "Kafka does not let this client publish under its transactional id: %s", why);
	return error_set(e, ERROR_RETRY, 0, "the transactional producer could not be opened: %s", why);
}

enum error_class sink_kafka_txn_open(const struct kafka_options *o, const char *transactional_id, int timeout_ms,
				     struct txn_sink **ret, struct error *e)
{
	const struct kafka_pair pairs[] = {
		{ "transactional.id", transactional_id },
		{ "transaction.timeout.ms", "15000" }, // how long a dead relay can hold read_committed readers back
		{ "message.timeout.ms", "12000" },
		{ "socket.timeout.ms", "10000" },
		{ "linger.ms", "0" },
		{ "partitioner", "murmur2_random" },
		{ "message.max.bytes", "8388608" },
		{ "compression.type", "lz4" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	enum error_class c = kafka_conf_make(o, pairs, &conf, e);
	if (c != ERROR_NONE)
		return c;
	struct kafka_txn *s = xcalloc(1, sizeof(*s));
	s->base.ops = &txn_ops;
	s->timeout_ms = timeout_ms;
	rd_kafka_conf_set_opaque(conf, s);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	char why[512];
	s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (s->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		free(s);
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the transactional producer cannot be made: %s", why);
	}
	c = init_transactions(s, e);
	if (c != ERROR_NONE)
		txn_close(&s->base);
	else
		*ret = &s->base;
	return c;
}
