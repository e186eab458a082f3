// SPDX-License-Identifier: Apache-2.0
#include "pipeline/checks.h"

#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "journal/journal.h"
#include "sink/sink.h"
#include "store/store.h"

enum { TIMEOUT_MS = 10000 };
#define DAY_MS (24LL * 3600 * 1000)
// Twins of what is published must be found for as long as a month can be open: 31 days, its grace, and some.
#define OUTPUT_RETENTION_MS (40 * DAY_MS)

static enum error_class describe(const struct kafka_options *k, const char *topic, struct topic_info *info, struct error *e)
{
	enum error_class cls = topic_describe(k, topic, TIMEOUT_MS, info, e);
	if (cls == ERROR_NONE && !info->exists)
		return error_set(e, ERROR_ABORT, EXIT_LATER,
				 "topic %s does not exist: create it (kafka-topics --create --topic %s …), then start again; README says with "
				 "which settings", topic, topic);
	return cls;
}

static enum error_class check_input(const struct settings *s, const struct kafka_options *k, const char *topic, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(k, topic, &info, e);
	if (cls != ERROR_NONE || k->embedded)
		return cls;
	if (s->clock == CLOCK_WALL && !info.log_append_time && info.timestamp_after_max_ms > s->close_grace)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s: `clock: wall` needs record time stamps that cannot run ahead by more than close.grace; run "
				 "`kafka-configs --alter --entity-type topics --entity-name %s --add-config "
				 "message.timestamp.after.max.ms=%lld` (or message.timestamp.type=LogAppendTime)",
				 topic, topic, (long long)(s->close_grace < 3600000 ? s->close_grace : 3600000));
	if (info.compacted)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s is compacted, which drops calls; run `kafka-configs --alter --entity-type topics --entity-name %s "
				 "--add-config cleanup.policy=delete`", topic, topic);
	if (s->dedupe_enabled && info.retention_ms >= 0 && info.retention_ms != TIME_NONE && info.retention_ms <= s->dedupe_max_age)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s keeps records for %lld ms, dedupe.max_age is %lld ms: set retention.ms above it, or dedupe.max_age "
				 "below", topic, (long long)info.retention_ms, (long long)s->dedupe_max_age);
	return ERROR_NONE;
}

static enum error_class check_output(const struct settings *s, const struct kafka_options *k, const char *topic, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(k, topic, &info, e);
	if (cls != ERROR_NONE || k->embedded)
		return cls;
	if (info.compacted)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s is compacted: two alerts of one account would become one; run `kafka-configs --alter --entity-type "
				 "topics --entity-name %s --add-config cleanup.policy=delete`", topic, topic);
	if (s->clock == CLOCK_WALL && info.retention_ms >= 0 && info.retention_ms < OUTPUT_RETENTION_MS)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s keeps records for %lld ms, less than a month is open; what was published could not be found again. Run "
				 "`kafka-configs --alter --entity-type topics --entity-name %s --add-config retention.ms=%lld`",
				 topic, (long long)info.retention_ms, topic, (long long)OUTPUT_RETENTION_MS);
	return ERROR_NONE;
}

static enum error_class check_kept(const struct kafka_options *k, const char *topic, const struct topic_info *info, struct error *e)
{
	if (!k->embedded && (info->compacted || (info->retention_ms >= 0 && info->retention_ms != TIME_NONE)))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s must be kept for ever; run `kafka-configs --alter --entity-type topics --entity-name %s --add-config "
				 "retention.ms=-1,retention.bytes=-1,cleanup.policy=delete`", topic, topic);
	return ERROR_NONE;
}

static enum error_class check_control(const struct kafka_options *k, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(k, k->control_topic, &info, e);
	if (cls != ERROR_NONE)
		return cls;
	if (info.partitions != 1)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s has %d partitions and must have one: its order is the order of decisions", k->control_topic,
				 info.partitions);
	return check_kept(k, k->control_topic, &info, e);
}

// Contracts and packs are bills' business for years.
static enum error_class check_accounts(const struct kafka_options *k, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(k, k->accounts_topic, &info, e);
	return cls != ERROR_NONE ? cls : check_kept(k, k->accounts_topic, &info, e);
}

enum error_class checks_shard(struct store *store, const struct journal *j, uint32_t shard, struct error *e)
{
	struct store_state state;
	enum error_class cls = store->ops->state(store, shard, &state, e);
	if (cls != ERROR_NONE)
		return cls;
	if (!state.exists)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "the counters are lost: the control topic knows init %s, but shard %u of Redis holds no state. " STORE_LOST_ADVICE,
				 j->init_id, shard);
	if (strcmp(state.init_id, j->init_id) != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "shard %u of Redis belongs to init %s, the control topic to %s: point redis.url, redis.prefix and topics.control "
				 "at parts of one state", shard, state.init_id, j->init_id);
	return ERROR_NONE;
}

static enum error_class check_state(const struct kafka_options *k, const struct store_options *so, struct store *store, struct error *e)
{
	CLEANUP(journal_freep) struct journal *j = NULL;
	enum error_class cls = journal_load(k, TIMEOUT_MS, &j, e);
	if (cls != ERROR_NONE)
		return cls;
	if (j->init_id[0] == '\0')
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "topic %s holds no init: run `meterctl init` once, then start again",
				 k->control_topic);
	if (j->shards != so->shards)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "redis.shards is %u, but the state was made with %u: set it back", so->shards,
				 j->shards);
	for (uint32_t i = 0; i < so->shards && cls == ERROR_NONE; i++)
		cls = checks_shard(store, j, i, e);
	return cls;
}

enum error_class checks_run(const struct settings *s, const struct kafka_options *k, const struct store_options *so, struct error *e)
{
	struct store *store = NULL;
	enum error_class cls = store_redis_open(so, &store, e);
	if (cls != ERROR_NONE)
		return cls;
	cls = store->ops->verify(store, e);
	for (const char *const *topic = k->input_topics; *topic != NULL && cls == ERROR_NONE; topic++)
		cls = check_input(s, k, *topic, e);
	if (cls == ERROR_NONE)
		cls = check_output(s, k, k->alerts_topic, e);
	if (cls == ERROR_NONE)
		cls = check_output(s, k, k->settlements_topic, e);
	if (cls == ERROR_NONE)
		cls = check_control(k, e);
	if (cls == ERROR_NONE)
		cls = check_accounts(k, e);
	struct topic_info info;
	if (cls == ERROR_NONE)
		cls = describe(k, k->dlq_topic, &info, e);
	if (cls == ERROR_NONE && k->embedded)
		log_line(LVL_INFO, "topics_unchecked", "why=\"the embedded broker cannot describe its topics\"");
	if (cls == ERROR_NONE)
		cls = check_state(k, so, store, e);
	store->ops->close(store);
	return cls;
}
