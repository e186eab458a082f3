// SPDX-License-Identifier: Apache-2.0
// The office over twins of store and Kafka: what was decided while it was somebody else's, it learns of.
#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "begun_log.h"
#include "fake_kafka.h"
#include "fake_store.h"
#include "pipeline/facts.h"
#include "pipeline/office.h"
#include "some_rules.h"

enum { SHARDS = 2 };
static struct fake_fault fault;
static struct fake_kafka kafka;
static struct fake_store store;

static enum error_class adopt(struct store *s, uint32_t shard, int64_t generation_at, struct error *e)
{
	(void)s, (void)shard, (void)generation_at, (void)e;
	return ERROR_NONE;
}

static enum error_class scan_nothing(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	(void)s, (void)shard, (void)fn, (void)ctx, (void)e;
	return ERROR_NONE;
}

static void stays(struct store *s)
{
	(void)s;
}

static enum error_class open_store(const struct store_options *o, struct store **ret, struct error *e)
{
	(void)o, (void)e;
	*ret = &store.s;
	return ERROR_NONE;
}

// A stalled process: partition 0 went to another instance, which put another generation in force, and came back between two turns of the office.
Test(office, partition_0_was_away_between_two_turns)
{
	const struct ports ports = { .sink = &fake_port, .store_open = open_store };
	const struct store_options so = { .shards = SHARDS };
	struct shared shared = { .office_wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .first_owners = 1, .first_given = 1 };
	struct store_ops ops = fake_store_ops;
	struct office_status s;
	struct office *f = NULL;
	struct error e = { 0 };
	ops.adopt = adopt;
	ops.scan_ledger = scan_nothing;
	ops.close = stays;
	fake_kafka_init(&kafka, 1, &fault);
	fake_store_init(&store, SHARDS, &fault);
	store.s.ops = &ops;
	struct rules *rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	begin_log(&kafka, SHARDS, 1, rules);
	struct facts *facts = facts_new();
	facts_whole(facts);
	const struct office_options o = { .ports = &ports, .kafka = &kafka.o, .store = &so, .shared = &shared, .facts = facts };
	cr_assert(office_new(&o, &f, &e) == ERROR_NONE, "%s", e.text);
	for (int i = 0; i < 5; i++)
		office_turn(f);
	office_status(f, &s);
	cr_assert(s.in_charge && store.works_on == 1, "%s %s", s.state, s.reason);

	CLEANUP(freep) char *record = journal_generation_record(2);
	fake_event(&kafka, "meterd.control", 0, 1, record);
	shared.first_given++;
	for (int i = 0; i < 5; i++)
		office_turn(f);
	office_status(f, &s);
	cr_expect(s.in_charge && store.works_on == 2, "%s %s: works on generation %d", s.state, s.reason, (int)store.works_on);
	office_free(f);
	facts_free(facts);
	rules_freep(&rules);
	fake_store_free(&store);
	fake_kafka_free(&kafka);
	close(shared.office_wake);
}
