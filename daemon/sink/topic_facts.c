// SPDX-License-Identifier: Apache-2.0
// Questions about topics: partitions, settings, offsets. Each asks the brokers and waits; nothing here is for a hot thread.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "model/kafka_conf.h"
#include "period/period.h"
#include "sink/kafka_send.h"
#include "sink/topic_client.h"

// Calls say that they timed out; why the brokers did not answer comes this way.
struct words {
	char refused[300], last[300];
};

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	char text[512];
	struct words *w = opaque;
	(void)rk;
	if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED)
		snprintf(w->refused, sizeof(w->refused), "%s", reason);
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) // which says less than what led to it
		snprintf(w->last, sizeof(w->last), "%s", reason);
	log_line(LVL_DEBUG, "topic_client_error", "code=%s why=%s", rd_kafka_err2name((rd_kafka_resp_err_t)err),
		 log_quote(reason, text, sizeof(text)));
}

void topic_client_freep(rd_kafka_t **rk)
{
	struct words *w = *rk != NULL ? rd_kafka_opaque(*rk) : NULL;
	if (*rk != NULL)
		rd_kafka_destroy_flags(*rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(w);
}

enum error_class topic_client_open(const struct kafka_options *o, rd_kafka_t **ret, struct error *e)
{
	const struct kafka_pair pairs[] = {
		{ "group.id", o->group }, // asked for by assign; nothing is joined or committed
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "auto.offset.reset", "earliest" },
		{ "isolation.level", "read_committed" },
		{ "check.crcs", "true" },
		{ "enable.partition.eof", "true" },
		{ "fetch.wait.max.ms", "100" },
		{ "fetch.error.backoff.ms", "20" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf = NULL;
	enum error_class c = kafka_conf_make(o, pairs, &conf, e);
	if (c != ERROR_NONE)
		return c;
	rd_kafka_conf_set_error_cb(conf, on_error);
	struct words *words = xcalloc(1, sizeof(*words));
	rd_kafka_conf_set_opaque(conf, words);
	char why[512];
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		free(words);
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the Kafka client cannot be made: %s", why);
	}
	*ret = rk;
	return ERROR_NONE;
}

enum error_class topic_client_error(rd_kafka_t *rk, const char *topic, const char *doing, rd_kafka_resp_err_t err, struct error *e)
{
	const struct words *w = rd_kafka_opaque(rk);
	rd_kafka_poll(rk, 0); // serves on_error
	if (w->refused[0] != '\0')
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "Kafka refuses this client: %s; check kafka.user, kafka.password_file and "
				 "kafka.sasl_mechanism", w->refused);
	switch (err) {
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		return error_set(e, ERROR_ABORT, EXIT_LATER, "topic %s (or a partition of it) does not exist; create it, then start again",
				 topic);
	default:
		if (kafka_err_is_refusal(err))
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "Kafka refuses: %s of %s: %s", doing, topic,
					 rd_kafka_err2str(err));
		return error_set(e, ERROR_RETRY, 0, "Kafka is away: %s of %s: %s%s%s", doing, topic, rd_kafka_err2str(err),
				 w->last[0] != '\0' ? ": " : "", w->last);
	}
}

static rd_kafka_resp_err_t count_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int32_t *ret)
{
	rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
	if (t == NULL)
		return rd_kafka_last_error();
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, t, &md, timeout_ms);
	rd_kafka_topic_destroy(t);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	int32_t n = 0;
	if (md->topic_cnt == 1)
		err = md->topics[0].err;
	if (md->topic_cnt == 1 && err == RD_KAFKA_RESP_ERR_NO_ERROR)
		n = md->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(md);
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		err = RD_KAFKA_RESP_ERR_NO_ERROR; // no such topic: n is 0
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		*ret = n;
	return err;
}

enum error_class topic_client_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int32_t *ret, struct error *e)
{
	rd_kafka_resp_err_t err = count_partitions(rk, topic, timeout_ms, ret);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? ERROR_NONE : topic_client_error(rk, topic, "partitions", err, e);
}

enum error_class topic_client_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int timeout_ms, int64_t *ret_low,
				      int64_t *ret_high, struct error *e)
{
	int64_t low, high;
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, timeout_ms);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return topic_client_error(rk, topic, "offsets", err, e);
	*ret_low = low;
	*ret_high = high;
	return ERROR_NONE;
}

enum error_class topic_client_offset_at(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms,
					int64_t *ret, struct error *e)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = time_ms;
	rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(rk, list, timeout_ms);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = list->elems[0].err;
	int64_t offset = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return topic_client_error(rk, topic, "offsets by time", err, e);
	*ret = offset >= 0 ? offset : -1;
	return ERROR_NONE;
}

enum error_class topic_offsets(const struct kafka_options *o, const char *topic, int32_t partition, int timeout_ms, int64_t *ret_low,
			       int64_t *ret_high, struct error *e)
{
	CLEANUP(topic_client_freep) rd_kafka_t *rk = NULL;
	enum error_class c = topic_client_open(o, &rk, e);
	return c != ERROR_NONE ? c : topic_client_offsets(rk, topic, partition, timeout_ms, ret_low, ret_high, e);
}

enum error_class topic_offset_at(const struct kafka_options *o, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms,
				 int64_t *ret, struct error *e)
{
	CLEANUP(topic_client_freep) rd_kafka_t *rk = NULL;
	enum error_class c = topic_client_open(o, &rk, e);
	return c != ERROR_NONE ? c : topic_client_offset_at(rk, topic, partition, time_ms, timeout_ms, ret, e);
}

// ---- DescribeConfigs

static void take_config(const char *name, const char *value, struct topic_info *info)
{
	int64_t n;
	if (value == NULL)
		return;
	if (strcmp(name, "retention.ms") == 0 && span_int64(span_of(value), &n))
		info->retention_ms = n;
	else if (strcmp(name, "message.timestamp.type") == 0)
		info->log_append_time = strcmp(value, "LogAppendTime") == 0;
	else if (strcmp(name, "message.timestamp.after.max.ms") == 0 && span_int64(span_of(value), &n))
		info->timestamp_after_max_ms = n;
	else if (strcmp(name, "cleanup.policy") == 0)
		info->compacted = strstr(value, "compact") != NULL;
}

static enum error_class take_configs(rd_kafka_t *rk, rd_kafka_event_t *ev, const char *topic, struct topic_info *info, struct error *e)
{
	if (ev == NULL)
		return topic_client_error(rk, topic, "settings", RD_KAFKA_RESP_ERR__TIMED_OUT, e);
	if (rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return topic_client_error(rk, topic, "settings", rd_kafka_event_error(ev), e);
	size_t n, m;
	const rd_kafka_ConfigResource_t **res =
		rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(ev), &n);
	check(n == 1);
	if (rd_kafka_ConfigResource_error(res[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return topic_client_error(rk, topic, "settings", rd_kafka_ConfigResource_error(res[0]), e);
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(res[0], &m);
	for (size_t i = 0; i < m; i++)
		take_config(rd_kafka_ConfigEntry_name(entries[i]), rd_kafka_ConfigEntry_value(entries[i]), info);
	return ERROR_NONE;
}

static enum error_class describe_configs(rd_kafka_t *rk, const char *topic, int timeout_ms, struct topic_info *info, struct error *e)
{
	char why[256];
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(opt, timeout_ms, why, sizeof(why));
	rd_kafka_DescribeConfigs(rk, &res, 1, opt, q);
	rd_kafka_event_t *ev = rd_kafka_queue_poll(q, timeout_ms + 500);
	enum error_class c = take_configs(rk, ev, topic, info, e);
	if (ev != NULL)
		rd_kafka_event_destroy(ev);
	rd_kafka_AdminOptions_destroy(opt);
	rd_kafka_ConfigResource_destroy(res);
	rd_kafka_queue_destroy(q);
	return c;
}

enum error_class topic_describe(const struct kafka_options *o, const char *topic, int timeout_ms, struct topic_info *ret,
				struct error *e)
{
	struct topic_info info = { .retention_ms = TIME_NONE, .timestamp_after_max_ms = INT64_MAX };
	CLEANUP(topic_client_freep) rd_kafka_t *rk = NULL;
	enum error_class c = topic_client_open(o, &rk, e);
	if (c == ERROR_NONE)
		c = topic_client_partitions(rk, topic, timeout_ms, &info.partitions, e);
	info.exists = info.partitions > 0;
	if (c == ERROR_NONE && info.exists && !o->embedded)
		c = describe_configs(rk, topic, timeout_ms, &info, e);
	if (c == ERROR_NONE)
		*ret = info;
	return c;
}
