// SPDX-License-Identifier: Apache-2.0
#include "pipeline/checks.h"

#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"

enum { TIMEOUT_MS = 10000 };
#define DAY_MS (24LL * 3600 * 1000)
// Twins of what is published must be found for as long as a month can be open: 31 days, its grace, and some.
#define OUTPUT_RETENTION_MS (40 * DAY_MS)

// What is asked: Kafka and Redis, or twins of them.
struct asked {
	const struct ports *ports;
	const struct kafka_options *k;
};

static enum error_class describe(const struct asked *a, const char *topic, struct topic_info *info, struct error *e)
{
	enum error_class cls = a->ports->sink->describe(a->k, topic, TIMEOUT_MS, info, e);
	if (cls == ERROR_NONE && !info->exists)
		return error_set(e, ERROR_ABORT, EXIT_LATER,
				 "topic %s does not exist: create it (kafka-topics --create --topic %s …), then start again; README says with "
				 "which settings", topic, topic);
	return cls;
}

static enum error_class check_input(const struct settings *s, const struct asked *a, const char *topic, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(a, topic, &info, e);
	if (cls != ERROR_NONE || a->k->embedded)
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

static enum error_class check_output(const struct settings *s, const struct asked *a, const char *topic, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(a, topic, &info, e);
	if (cls != ERROR_NONE || a->k->embedded)
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

static enum error_class check_control(const struct asked *a, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(a, a->k->control_topic, &info, e);
	if (cls != ERROR_NONE)
		return cls;
	if (info.partitions != 1)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "topic %s has %d partitions and must have one: its order is the order of decisions", a->k->control_topic,
				 info.partitions);
	return check_kept(a->k, a->k->control_topic, &info, e);
}

// Contracts and packs are bills' business for years.
static enum error_class check_accounts(const struct asked *a, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(a, a->k->accounts_topic, &info, e);
	return cls != ERROR_NONE ? cls : check_kept(a->k, a->k->accounts_topic, &info, e);
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
	if (state.restoring)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "shard %u of Redis holds half of a checkpoint: putting it back was interrupted, or goes on. Nothing was changed; wait for it, or run "
				 "`meterctl restore` again", shard);
	if (state.lacks_generation)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "shard %u of Redis is older than the control topic's decision to put generation %lld in force, and holds nothing of it. "
				 STORE_LOST_ADVICE, shard, (long long)j->generation);
	return ERROR_NONE;
}

// ---- on_state_loss: rebuild

static bool is_lost(const struct store_state *st)
{
	return !st->exists || st->lacks_generation || st->restoring;
}

// *ret_lost: by shard; NULL: only how many.
static enum error_class count_lost(struct store *store, uint32_t shards, bool *ret_lost, uint32_t *ret, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	*ret = 0;
	for (uint32_t i = 0; i < shards && cls == ERROR_NONE; i++) {
		struct store_state state;
		cls = store->ops->state(store, i, &state, e);
		bool lost = cls == ERROR_NONE && is_lost(&state);
		*ret += lost;
		if (ret_lost != NULL)
			ret_lost[i] = lost;
	}
	return cls;
}

static enum error_class whole_from(const struct asked *a, const char *topic, int32_t partition, int64_t from, struct error *e)
{
	int64_t low = 0, high = 0;
	enum error_class cls = a->ports->sink->offsets(a->k, topic, partition, TIMEOUT_MS, &low, &high, e);
	if (cls == ERROR_NONE && low > from)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "the counters are lost, and %s/%d begins at offset %lld, not at %lld: they cannot be made again from the topics alone. "
				 "Nothing was changed. Restore Redis from its backup; what came since is counted again from Kafka", topic, partition,
				 (long long)low, (long long)from);
	return cls;
}

// What was published must be found again, whatever its age: an alert or a bill comes once.
static enum error_class all_from_the_start(const struct asked *a, const char *topic, struct error *e)
{
	struct topic_info info;
	enum error_class cls = describe(a, topic, &info, e);
	for (int32_t p = 0; cls == ERROR_NONE && p < info.partitions; p++)
		cls = whole_from(a, topic, p, 0, e);
	return cls;
}

struct healing {
	struct store *desk;
	char holder[64];
	int64_t leased_us;
};

static enum error_class heal_lease(void *ctx, struct error *e)
{
	enum { LEASE_MS = 15000, EVERY_US = 3000000 };
	struct healing *h = ctx;
	CLEANUP(freep) char *other = NULL;
	if (h->leased_us != 0 && clock_mono_us() - h->leased_us < EVERY_US)
		return ERROR_NONE;
	h->leased_us = clock_mono_us();
	enum error_class cls = h->desk->ops->lease(h->desk, LEASE_GENERATIONS, h->holder, LEASE_MS, &other, e);
	return cls == ERROR_NONE && other != NULL ? error_set(e, ERROR_RETRY, 0, "the counters are being made again by another: %s", other) : cls;
}

// Empty shards under the same init: workers count into them from the first offsets, the closer settles by the manifests that stand, and
// the relay passes over what is out.
static enum error_class remake(const struct asked *a, struct healing *h, struct store *store, const struct journal *j, uint32_t lost, struct error *e)
{
	enum error_class cls = ERROR_NONE;
	for (uint32_t i = 0; i < j->n_parts && cls == ERROR_NONE; i++)
		cls = whole_from(a, j->parts[i].topic, j->parts[i].partition, j->parts[i].offset, e);
	if (cls == ERROR_NONE)
		cls = all_from_the_start(a, a->k->alerts_topic, e);
	if (cls == ERROR_NONE)
		cls = all_from_the_start(a, a->k->settlements_topic, e);
	if (cls == ERROR_NONE)
		cls = heal_lease(h, e);
	if (cls != ERROR_NONE)
		return cls;
	log_line(LVL_WARN, "state_made_again", "shards=%u of=%u init=%s", lost, j->shards, j->init_id);
	for (uint32_t i = 0; i < j->shards && cls == ERROR_NONE; i++)
		cls = checkpoint_clear(store, i, e);
	for (uint32_t i = 0; i < j->shards && cls == ERROR_NONE; i++)
		cls = store->ops->create(store, i, j->init_id, e);
	return cls;
}

static enum error_class put_back(struct healing *h, struct store *store, const struct journal *j, const char *path, const bool *lost, uint32_t n,
				 struct error *e)
{
	char quoted[1200];
	log_line(LVL_WARN, "state_put_back", "shards=%u of=%u file=%s", n, j->shards, log_quote(path, quoted, sizeof(quoted)));
	struct checkpoint_restore r = { .store = store, .shards = j->shards, .wanted = lost, .in_force = true, .look = heal_lease, .ctx = h };
	return checkpoint_restore(&r, path, e);
}

// From the newest checkpoint; where there is none to go on from, from the first offsets. Nothing is written before it is known that one of both can be.
static enum error_class heal(const struct settings *s, const struct asked *a, struct healing *h, struct store *store, const struct journal *j,
			     struct error *e)
{
	CLEANUP(freep) char *path = NULL;
	CLEANUP(freep) bool *lost = xcalloc(j->shards, sizeof(*lost));
	struct error why = { 0 }, whole = { 0 };
	uint32_t n = 0;
	const struct checkpoint_wish wish = { .published = true };
	enum error_class cls = checkpoint_newest(settings_state_dir(s), j, a->ports->sink, a->k, &wish, &path, &why);
	if (cls == ERROR_RETRY)
		return error_set(e, cls, 0, "%s", why.text);
	bool usable = cls == ERROR_NONE;
	cls = usable ? heal_lease(h, e) : ERROR_NONE;
	if (cls == ERROR_NONE)
		cls = count_lost(store, j->shards, lost, &n, e); // another one may have been quicker
	if (cls != ERROR_NONE || n == 0)
		return cls;
	if (usable)
		cls = put_back(h, store, j, path, lost, n, e);
	else if ((cls = remake(a, h, store, j, n, &whole)) != ERROR_NONE)
		return error_set(e, cls, whole.exit_code, "%s%s%s", whole.text, cls == ERROR_ABORT ? ". " : "", cls == ERROR_ABORT ? why.text : "");
	for (uint32_t i = 0; i < j->shards && cls == ERROR_NONE; i++)
		cls = store->ops->register_rules(store, i, j->rules[j->n_rules - 1].version, e);
	return cls;
}

static enum error_class heal_alone(const struct settings *s, const struct asked *a, const struct store_options *so, struct store *store,
				   const struct journal *j, struct error *e)
{
	struct healing h = { 0 };
	CLEANUP(freep) char *other = NULL;
	snprintf(h.holder, sizeof(h.holder), "meterd, process %ld", (long)getpid());
	enum error_class cls = a->ports->store_open(so, &h.desk, e);
	if (cls != ERROR_NONE)
		return cls;
	cls = heal(s, a, &h, store, j, e);
	if (h.leased_us != 0)
		h.desk->ops->lease(h.desk, LEASE_GENERATIONS, h.holder, 1, &other, NULL);
	h.desk->ops->close(h.desk);
	return cls;
}

bool checks_lost(const struct ports *ports, const struct store_options *so)
{
	struct store *store = NULL;
	uint32_t lost = 0;
	if (ports->store_open(so, &store, NULL) != ERROR_NONE)
		return false;
	enum error_class cls = count_lost(store, so->shards, NULL, &lost, NULL);
	store->ops->close(store);
	return cls != ERROR_NONE || lost > 0;
}

static enum error_class check_state(const struct settings *s, const struct asked *a, const struct store_options *so, struct store *store,
				    struct error *e)
{
	CLEANUP(journal_freep) struct journal *j = NULL;
	enum error_class cls = journal_load_from(a->ports->sink, a->k, TIMEOUT_MS, &j, e);
	if (cls != ERROR_NONE)
		return cls;
	if (j->init_id[0] == '\0')
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "topic %s holds no init: run `meterctl init` once, then start again",
				 a->k->control_topic);
	if (j->shards != so->shards)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "redis.shards is %u, but the state was made with %u: set it back", so->shards,
				 j->shards);
	uint32_t lost = 0;
	store->ops->identity(store, j->init_id, j->generation);
	if (SETTING_NOW(s, on_state_loss) == ON_STATE_LOSS_REBUILD && j->n_rules > 0)
		cls = count_lost(store, so->shards, NULL, &lost, e);
	if (cls == ERROR_NONE && lost > 0)
		cls = heal_alone(s, a, so, store, j, e);
	for (uint32_t i = 0; i < so->shards && cls == ERROR_NONE; i++)
		cls = checks_shard(store, j, i, e);
	return cls;
}

enum error_class checks_run(const struct ports *ports, const struct settings *s, const struct kafka_options *k, const struct store_options *so,
			    struct error *e)
{
	const struct asked a = { ports, k };
	struct store *store = NULL;
	enum error_class cls = ports->store_open(so, &store, e);
	if (cls != ERROR_NONE)
		return cls;
	cls = store->ops->verify(store, e);
	for (const char *const *topic = k->input_topics; *topic != NULL && cls == ERROR_NONE; topic++)
		cls = check_input(s, &a, *topic, e);
	if (cls == ERROR_NONE)
		cls = check_output(s, &a, k->alerts_topic, e);
	if (cls == ERROR_NONE)
		cls = check_output(s, &a, k->settlements_topic, e);
	if (cls == ERROR_NONE)
		cls = check_control(&a, e);
	if (cls == ERROR_NONE)
		cls = check_accounts(&a, e);
	struct topic_info info;
	if (cls == ERROR_NONE)
		cls = describe(&a, k->dlq_topic, &info, e);
	if (cls == ERROR_NONE && k->embedded)
		log_line(LVL_INFO, "topics_unchecked", "why=\"the embedded broker cannot describe its topics\"");
	if (cls == ERROR_NONE)
		cls = check_state(s, &a, so, store, e);
	store->ops->close(store);
	return cls;
}
