// SPDX-License-Identifier: Apache-2.0
// meterctl init: makes the state once. First the decision goes to the control topic (init id, where every partition starts, rules
// version 1, in one transaction), then the shards are made. What a crash leaves between the two is seen on the next run, and only
// --finish completes it: an empty Redis beside a control topic that knows an init may as well be a Redis that lost everything.
//
// With --moved-from the decisions are those of another state: the daemon then counts everything again under them.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/file.h"
#include "journal/journal.h"
#include "tools/moved.h"
#include "tools/options.h"
#include "tools/tools.h"

enum { CALL_TIMEOUT_MS = 15000, CATALOG_MOST = 4 * 1024 * 1024 };

struct init {
	struct options options;
	struct kafka_options kafka;
	bool from_end, finish;
	struct moved moved;    // config NULL: a new state
	uint32_t shards;       // as the configuration says
	struct store *store;
	struct rules *rules;
	struct journal *journal;
	uint32_t with_state;   // shards that hold one
	char found_id[40];     // of those
	struct journal_part *parts;
	uint32_t n_parts;
};

static void init_free(struct init *t)
{
	if (t->store != NULL)
		t->store->ops->close(t->store);
	for (uint32_t i = 0; i < t->n_parts; i++)
		free(t->parts[i].topic);
	free(t->parts);
	rules_freep(&t->rules);
	journal_freep(&t->journal);
	moved_free(&t->moved);
	options_close(&t->options);
}

static int refuse(const char *text)
{
	fprintf(stderr, "meterctl init: %s\n", text);
	return EXIT_CONFIG_ERR;
}

static int parse_args(struct init *t, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "from-end", OPTION_FLAG, &t->from_end, NULL, "begin behind what the input topics hold now, instead of with their first records" },
		{ "finish", OPTION_FLAG, &t->finish, NULL, "complete an init that was interrupted: make the shards that the control topic knows of" },
		{ "moved-from", OPTION_TEXT, &t->moved.config, "FILE", "take over rules, partitions and months of the state that this configuration names: all is counted again" },
	};
	int code = options_parse(&t->options, argc, argv, rows, ARRAY_LEN(rows), NULL, 0, 0);
	if (code == OPTIONS_GO_ON && t->moved.config != NULL && (t->from_end || t->finish))
		return options_usage(&t->options, "--moved-from goes alone: where to begin is decided already");
	return code == OPTIONS_GO_ON ? options_settings(&t->options) : code;
}

static int load_rules(struct init *t)
{
	const struct settings *s = t->options.settings;
	struct rules_settings rs;
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	if (file_read(s->catalog, CATALOG_MOST, &text, &n, &e) != ERROR_NONE) {
		fprintf(stderr, "meterctl init: %s: %s\n", s->catalog, e.text);
		return EXIT_CONFIG_ERR;
	}
	struct faults faults = { 0 };
	settings_rules(s, &rs);
	t->rules = rules_new(&rs, s->catalog, (struct span){ text, n }, &faults);
	if (t->rules == NULL)
		faults_print(&faults, (struct span){ text, n }, stderr);
	faults_free(&faults);
	return t->rules != NULL ? EXIT_DONE : EXIT_CONFIG_ERR;
}

// Counters of a shard without a meta are nobody's: a new ledger must not begin on top of them.
static int nothing_left(struct init *t, uint32_t shard, struct error *e)
{
	int64_t n = 0;
	if (t->store->ops->left_over(t->store, shard, false, &n, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	if (n == 0)
		return EXIT_DONE;
	fprintf(stderr, "meterctl init: Redis holds %" PRId64 " keys that bear the name of shard %" PRIu32 ", and no meta of it: they are of a state that was lost in "
		"part. Choose another redis.prefix, or delete them\n", n, shard);
	return EXIT_CONFIG_ERR;
}

static int open_store(struct init *t, struct error *e)
{
	int code = options_store(&t->options, &t->store);
	if (code != OPTIONS_GO_ON)
		return code;
	t->shards = (uint32_t)t->options.settings->redis_shards;
	for (uint32_t shard = 0; shard < t->shards; shard++) {
		struct store_state state = { 0 };
		if (t->store->ops->state(t->store, shard, &state, e) != ERROR_NONE)
			return options_fail(&t->options, e);
		if (!state.exists) {
			code = nothing_left(t, shard, e);
			if (code != EXIT_DONE)
				return code;
			continue;
		}
		if (t->with_state++ > 0 && strcmp(state.init_id, t->found_id) != 0)
			return refuse("the shards in Redis belong to different init ids; choose another redis.prefix");
		snprintf(t->found_id, sizeof(t->found_id), "%s", state.init_id);
	}
	// Behind the look: a state that an earlier version works on is refused above, and stays as it is.
	return t->store->ops->verify(t->store, e) == ERROR_NONE ? EXIT_DONE : options_fail(&t->options, e);
}

static int topic_there(struct init *t, const char *topic, struct topic_info *ret, struct error *e)
{
	if (topic_describe(&t->kafka, topic, CALL_TIMEOUT_MS, ret, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	if (ret->exists)
		return EXIT_DONE;
	fprintf(stderr, "meterctl init: topic %s does not exist; create it\n", topic);
	return EXIT_LATER;
}

static int check_topics(struct init *t, struct error *e)
{
	const struct kafka_options *o = &t->kafka;
	const char *topics[] = { o->control_topic, o->alerts_topic, o->settlements_topic, o->dlq_topic };
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		struct topic_info info = { 0 };
		int code = topic_there(t, topics[i], &info, e);
		if (code != EXIT_DONE)
			return code;
		if (i == 0 && (info.partitions != 1 || info.compacted))
			return refuse("the control topic must have one partition and cleanup.policy=delete with retention.ms=-1; make it again so");
	}
	return EXIT_DONE;
}

static int find_parts(struct init *t, struct error *e)
{
	const struct kafka_options *o = &t->kafka;
	for (uint32_t i = 0; o->input_topics[i] != NULL; i++) {
		struct topic_info info = { 0 };
		int code = topic_there(t, o->input_topics[i], &info, e);
		if (code != EXIT_DONE)
			return code;
		for (int32_t p = 0; p < info.partitions; p++) {
			int64_t low = 0, high = 0;
			if (topic_offsets(o, o->input_topics[i], p, CALL_TIMEOUT_MS, &low, &high, e) != ERROR_NONE)
				return options_fail(&t->options, e);
			t->parts = xrealloc(t->parts, t->n_parts + 1, sizeof(*t->parts));
			t->parts[t->n_parts++] = (struct journal_part){ .topic = xstrdup(o->input_topics[i]), .partition = p,
				.offset = t->from_end ? high : low, .clock_ms = TIME_NONE };
		}
	}
	return EXIT_DONE;
}

static void make_id(char ret[33])
{
	unsigned char bytes[16];
	check(getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

// Behind the fence nobody else can write to the control topic: what it holds now is what it holds when our records come.
static int publish_init(struct init *t, struct txn_sink *sink, struct error *e)
{
	char id[33];
	journal_freep(&t->journal);
	if (journal_load(&t->kafka, CALL_TIMEOUT_MS, &t->journal, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	if (t->journal->init_id[0] != '\0')
		return refuse("somebody else ran init just now; see `meterctl status`");
	make_id(id);
	const struct moved *from = &t->moved;
	bool moved = from->config != NULL;
	CLEANUP(freep) char *init = moved ? journal_init_record(id, t->shards, from->journal->parts, from->n_init_parts) :
					    journal_init_record(id, t->shards, t->parts, t->n_parts);
	CLEANUP(freep) char *rules = moved ? NULL : journal_rules_record(1, TIME_NONE, t->rules);
	CLEANUP(freep) struct message *m = xcalloc(from->n + 2, sizeof(*m));
	uint32_t n = 0;
	m[n++] = (struct message){ .topic = t->kafka.control_topic, .value = span_of(init) };
	if (!moved)
		m[n++] = (struct message){ .topic = t->kafka.control_topic, .value = span_of(rules) };
	for (uint32_t i = 0; i < from->n; i++)
		m[n++] = (struct message){ .topic = t->kafka.control_topic, .value = { from->records[i].value, from->records[i].length },
					   .timestamp_ms = from->records[i].timestamp_ms };
	if (sink->ops->publish(sink, m, n, e) == TXN_DONE)
		return EXIT_DONE;
	fprintf(stderr, "meterctl init: it is not known whether the decision was written (%s); run the same command again\n", e->text);
	return EXIT_UNREACHABLE;
}

static int decide(struct init *t, struct error *e)
{
	struct txn_sink *sink = NULL;
	CLEANUP(freep) char *id = xasprintf("%s-office", t->kafka.group);
	int code = t->moved.config == NULL ? find_parts(t, e) : moved_check_topics(&t->moved, &t->options, &t->kafka);
	if (code != EXIT_DONE && code != OPTIONS_GO_ON)
		return code;
	if (sink_kafka_txn_open(&t->kafka, id, CALL_TIMEOUT_MS, &sink, e) != ERROR_NONE)
		return options_fail(&t->options, e);
	code = publish_init(t, sink, e);
	sink->ops->close(sink);
	if (code != EXIT_DONE)
		return code;
	journal_freep(&t->journal);
	return journal_load(&t->kafka, CALL_TIMEOUT_MS, &t->journal, e) == ERROR_NONE ? EXIT_DONE : options_fail(&t->options, e);
}

static int make_shards(struct init *t, struct error *e)
{
	struct store *s = t->store;
	const struct journal *j = t->journal;
	enum error_class c = ERROR_NONE;
	for (uint32_t shard = 0; shard < j->shards && c == ERROR_NONE; shard++)
		c = s->ops->create(s, shard, j->init_id, e);
	s->ops->identity(s, j->init_id, j->generation);
	for (uint32_t shard = 0; shard < j->shards && c == ERROR_NONE; shard++)
		c = s->ops->register_rules(s, shard, j->rules[j->n_rules - 1].version, e);
	if (c == ERROR_NONE)
		return EXIT_DONE;
	int code = options_fail(&t->options, e);
	fprintf(stderr, "meterctl init: the decision stands in the control topic, the shards are not all made; run `meterctl init --finish --config %s`\n",
		t->options.config);
	return code;
}

// It was interrupted behind the decision, and nothing was decided since.
static bool holds_moved(const struct init *t)
{
	const struct journal *here = t->journal, *there = t->moved.journal;
	return here->n_parts == there->n_parts && here->n_rules == there->n_rules && here->n_manifests == there->n_manifests && here->generation_at < 0;
}

// There is an init in the control topic: done, half done, or lost.
static int meet_existing(struct init *t)
{
	const struct journal *j = t->journal;
	if (t->with_state > 0 && strcmp(j->init_id, t->found_id) != 0) {
		fprintf(stderr, "meterctl init: Redis holds init id %s, the control topic %s; choose another redis.prefix or topics.control\n",
			t->found_id, j->init_id);
		return EXIT_CONFIG_ERR;
	}
	if (j->shards != t->shards) {
		fprintf(stderr, "meterctl init: the state was made with redis.shards: %u; a change of it is a rebuild\n", j->shards);
		return EXIT_CONFIG_ERR;
	}
	if (t->with_state == j->shards) {
		fprintf(stderr, "meterctl init: there is a state already, init id %s; nothing is to be done\n", j->init_id);
		return EXIT_CONFIG_ERR;
	}
	if (t->moved.config != NULL && holds_moved(t))
		return EXIT_DONE;
	if (j->n_manifests > 0)
		return refuse("Redis lost a state that had closed months already; bring its data back, or rebuild it from the log");
	if (t->finish && j->n_rules > 0)
		return EXIT_DONE;
	fprintf(stderr, "meterctl init: the control topic holds init id %s, and %u of %u shards in Redis hold no state. If an init was interrupted, run "
		"`meterctl init --finish --config %s`. If Redis lost its data, the same command has everything counted again from the first offsets, "
		"as far as the topics still hold it.\n", j->init_id, j->shards - t->with_state, j->shards, t->options.config);
	return EXIT_CONFIG_ERR;
}

static int run(struct init *t)
{
	struct error e = { 0 };
	options_kafka(&t->options, &t->kafka);
	int code = t->moved.config == NULL ? load_rules(t) : moved_read(&t->moved, &t->options, &t->kafka);
	if (code == EXIT_DONE || code == OPTIONS_GO_ON)
		code = open_store(t, &e);
	if (code == EXIT_DONE)
		code = check_topics(t, &e);
	if (code != EXIT_DONE)
		return code;
	if (journal_load(&t->kafka, CALL_TIMEOUT_MS, &t->journal, &e) != ERROR_NONE)
		return options_fail(&t->options, &e);
	if (t->journal->init_id[0] != '\0')
		code = meet_existing(t);
	else if (t->with_state > 0)
		code = refuse("Redis holds a state, but the control topic holds no init: it is another group's Redis, or the topic was made again; "
			      "choose another redis.prefix, or bring the topic back");
	else
		code = decide(t, &e);
	return code == EXIT_DONE ? make_shards(t, &e) : code;
}

static void print_made(const struct journal *j)
{
	printf("init id %s, %u shards, rules version %" PRId64 "\n", j->init_id, j->shards, j->rules[j->n_rules - 1].version);
	for (uint32_t i = 0; i < j->n_parts; i++)
		printf("%s from offset %" PRId64 "\n", j->parts[i].name, j->parts[i].offset);
}

int tool_init(int argc, char **argv)
{
	CLEANUP(init_free) struct init t = { .options = { .verb = argv[0] } };
	int code = parse_args(&t, argc, argv);
	if (code != OPTIONS_GO_ON)
		return code;
	code = run(&t);
	if (code == EXIT_DONE)
		print_made(t.journal);
	return code;
}
