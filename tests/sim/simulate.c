// SPDX-License-Identifier: Apache-2.0
// simulate [--seeds A..B] [--trace | --quick] [--most-failures N] [--process N]: runs seeds, a process each few; shrinks what fails; prints which fault met
// which step. Exit 1 where a seed fails, or where a pair of fault and step that can meet never did in a long run.
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "pipeline/checks.h"
#include "sim.h"

enum { DRAIN_ROUNDS = 9000, LONG_RUN = 1000 };
static const int64_t begin_ms = 1578153600000, hour_ms = 3600000; // 2020-01-05T00:00:00+08:00, about

static struct sim_coverage *coverage;

// ---- instances
// A rebuild's workers have their own copies of the options, which the twin would take for itself.
static enum error_class k_txn_open(const struct kafka_options *o, const char *id, int timeout_ms, struct txn_sink **ret, struct error *e)
{
	(void)o;
	return fake_port.txn_open(&sim->kafka.o, id, timeout_ms, ret, e);
}

static enum error_class k_read_back(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms, topic_reader_fn *fn, void *ctx,
				    struct error *e)
{
	(void)o;
	return fake_port.read_back(&sim->kafka.o, topic, from_ms, timeout_ms, fn, ctx, e);
}

static enum error_class k_read_from(const struct kafka_options *o, const char *topic, const int64_t *starts, const int64_t *ends, int32_t n, int timeout_ms,
				    topic_reader_fn *fn, void *ctx, struct error *e)
{
	(void)o;
	return fake_port.read_from(&sim->kafka.o, topic, starts, ends, n, timeout_ms, fn, ctx, e);
}

static enum error_class k_describe(const struct kafka_options *o, const char *topic, int timeout_ms, struct topic_info *ret, struct error *e)
{
	(void)o;
	return fake_port.describe(&sim->kafka.o, topic, timeout_ms, ret, e);
}

static enum error_class k_offsets(const struct kafka_options *o, const char *topic, int32_t partition, int timeout_ms, int64_t *low, int64_t *high,
				  struct error *e)
{
	(void)o;
	return fake_port.offsets(&sim->kafka.o, topic, partition, timeout_ms, low, high, e);
}

static enum error_class k_offset_at(const struct kafka_options *o, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms, int64_t *ret,
				    struct error *e)
{
	(void)o;
	return fake_port.offset_at(&sim->kafka.o, topic, partition, time_ms, timeout_ms, ret, e);
}

static const struct sink_port kafka_port = { k_txn_open, k_read_back, k_read_from, k_describe, k_offsets, k_offset_at };
static const struct ports sim_ports = { &kafka_port, sim_source_open, sim_source_read, sim_store_open, sim_dlq_open };

static enum fake_outcome kafka_fate(void *ctx)
{
	(void)ctx;
	enum fate f = sim_fate(sim->step, (1u << FATE_LOST) | (1u << FATE_REPLY_LOST) | (1u << FATE_DIES_BEFORE) | (1u << FATE_DIES_AFTER));
	sim->dies_next = f == FATE_DIES_AFTER;
	return f == FATE_LOST ? FAKE_LOST : f == FATE_OK ? FAKE_OK : FAKE_REPLY_LOST;
}

static struct store_options store_options(void)
{
	return (struct store_options){ .url = "unix:///twin?db=0", .prefix = sim->prefix, .shards = SIM_SHARDS, .timeout_ms = 2000 };
}

static struct store_options shared_store_options;

// As meterd does at its start: looks whether all is there, and makes again what was lost. False: it comes later.
static bool checked(const struct sim_instance *x)
{
	struct error e = { 0 };
	enum error_class c = checks_run(&sim_ports, x->settings, &sim->kafka.o, &shared_store_options, &e);
	sim_say("instance %d begins: %d %s", x->index, c, e.text);
	if (c == ERROR_ABORT && e.exit_code != EXIT_LATER)
		sim_wrong("instance %d cannot begin: %s", x->index, e.text);
	return c == ERROR_NONE;
}

static void instance_begin(struct sim_instance *x)
{
	struct error e = { 0 };
	x->pid = 1000 + sim->births++;
	if (!checked(x))
		return;
	x->shared = (struct shared){ .office_wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	x->alive = true;
	pthread_mutex_init(&x->shared.lock, NULL);
	x->facts = facts_new();
	memset(x->facts_next, 0, sizeof(x->facts_next));
	sim_facts_hand(x);
	facts_whole(x->facts);
	struct snapshots_options so = { .folder = sim_folder(x), .where = "state", .bits = 4, .at_once = true };
	x->snapshots = snapshots_new(&so);
	struct worker_options wo = { &sim_ports, x->settings, &sim->kafka.o, &shared_store_options, &x->shared, x->facts, 0, 0, x->snapshots };
	struct office_options oo = { &sim_ports, x->settings, &sim->kafka.o, &shared_store_options, &x->shared, x->facts,
		(sim->seed + (uint64_t)x->index) % 2 == 0 ? SETTLES_LATE : SETTLES_WITHIN };
	check(worker_new(&wo, &x->worker, &e) == ERROR_NONE && office_new(&oo, &x->office, &e) == ERROR_NONE);
}

static void slices_counted(const struct sim_instance *x)
{
	struct snapshots_totals t;
	snapshots_totals(x->snapshots, &t);
	coverage->slices_written += t.written;
	coverage->sets_of_slices += t.loaded;
	coverage->slices_refused += t.refused;
	coverage->slices_failed += t.failed;
}

// As a process ends: nothing of it is freed in order. The memory is the child's, which does not live long.
static void instance_dies(struct sim_instance *x)
{
	sim->running = NULL;
	sim->dies_next = false;
	sim_store_forget(x);
	if (!x->alive)
		return; // in the checks at its start
	x->alive = x->paused = false;
	sim_source_forget(x);
	close(x->shared.office_wake);
	slices_counted(x);
	x->worker = NULL;
	x->office = NULL;
}

static void person_dies(struct sim_instance *x)
{
	sim->running = NULL;
	sim->dies_next = false;
	sim_store_forget(x);
	if (x->index == SIM_PERSON)
		sim_person_forget();
}

// Of whoever does nothing else with Kafka.
static enum sim_step step_of(void (*fn)(struct sim_instance *x))
{
	return fn == sim_letters_return || fn == sim_letters_return_all ? STEP_REQUEUE : fn == sim_correct ? STEP_CORRECT : STEP_KAFKA;
}

// May be within another's call: whose death is meant is known by where it is entered.
static void enter(struct sim_instance *x, void (*fn)(struct sim_instance *x))
{
	jmp_buf death, *outer = sim->death;
	enum sim_step step = sim->step;
	sim->waited_ms = 0;
	sim->running = x;
	sim->death = &death;
	sim->step = step_of(fn);
	if (setjmp(death) == 0) {
		fn(x);
		if (sim->dies_next)
			longjmp(death, 1); // behind its last call
	} else if (x->index >= SIM_PERSON) {
		person_dies(x);
	} else {
		instance_dies(x);
	}
	sim->running = NULL;
	sim->death = outer;
	sim->step = step;
}

// Who waits within a turn until Kafka's topics are stable again, waits for the coordinator's time-out.
void sim_waits(int64_t ms)
{
	enum { TRANSACTION_MS = 60000 };
	sim->waited_ms += ms;
	if (sim->kafka.late != NULL && sim->waited_ms > TRANSACTION_MS)
		fake_late_abort(&sim->kafka);
}

void sim_person_enters(void (*fn)(struct sim_instance *x))
{
	struct sim_instance *x = &sim->instances[SIM_PERSON];
	x->alive = true;
	x->pid = 1000 + sim->births++;
	enter(x, fn);
	x->alive = false;
}

static bool event_happens(enum sim_event e, double p);

void sim_hand_enters(void (*fn)(struct sim_instance *x), enum sim_event e)
{
	struct sim_instance *had = sim->running, *x = &sim->instances[SIM_HAND];
	bool dies = sim->dies_next;
	if (!event_happens(e, 1))
		return;
	sim->dies_next = false;
	x->pid = 1000 + sim->births++;
	enter(x, fn);
	sim->running = had;
	sim->dies_next = dies;
}

void sim_wrong(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	sim->wrong = true;
}

int64_t sim_generation(void)
{
	static const char type[] = "\"type\":\"generation\"", number[] = "\"generation\":";
	const struct fake_log *l = fake_log(&sim->kafka, "meterd.control", 0);
	for (size_t i = l->n; i > 0; i--)
		if (strstr(l->list[i - 1].value, type) != NULL)
			return strtoll(strstr(l->list[i - 1].value, number) + strlen(number), NULL, 10);
	return 1;
}

static void turn_worker(struct sim_instance *x)
{
	sim_facts_hand(x);
	worker_round(x->worker);
}

static void turn_office(struct sim_instance *x)
{
	sim_facts_hand(x);
	int idle_ms = office_turn(x->office);
	sim->mono_us += idle_ms * 1000;
}

static void stop_in_order(struct sim_instance *x)
{
	atomic_store(&x->shared.stop, true);
	worker_leave(x->worker);
	office_leave(x->office);
	worker_free(x->worker);
	office_free(x->office);
	slices_counted(x);
	snapshots_freep(&x->snapshots);
	x->worker = NULL;
	x->office = NULL;
	close(x->shared.office_wake);
	x->alive = false;
}

// ---- the log
static void put(int32_t partition, int64_t stamp_ms, const struct sim_record *proto, const char *value)
{
	check(sim->n_log < SIM_EVENTS_MOST);
	struct sim_record *r = &sim->log[sim->n_log++];
	*r = *proto;
	r->partition = partition;
	r->stamp_ms = stamp_ms;
	r->offset = fake_log(&sim->kafka, "usage.calls", partition)->high;
	fake_event(&sim->kafka, "usage.calls", partition, stamp_ms, value);
}

static void put_event(struct sim_record r, int64_t stamp_ms)
{
	static const char *const names[] = { "tag", "crop", "next", "beta" };
	char time[TIME_TEXT];
	const char *service = r.service < 0 ? "nothing" : r.service == 0 && r.id % 3 == 0 ? "old-tag" : names[r.service];
	CLEANUP(freep) char *fields = xasprintf("\"account\":\"a%d%s\",\"service\":\"%s\",\"time\":\"%s\",\"calls\":%lld,\"status\":\"%s\"",
						r.account, r.sub ? "-dev" : "", service, time_text(r.time_ms, time), (long long)r.calls,
						r.billable ? "ok" : "error");
	bool cloud = sim_is_cloud(r.id);
	CLEANUP(freep) char *value = xasprintf("{\"id\":\"e%d\",%s%s%s", r.id,
					       cloud ? "\"specversion\":\"1.0\",\"type\":\"call\",\"source\":\"" SIM_PRODUCER "\",\"data\":{" : "", fields,
					       !r.readable ? "" : cloud ? "}}" : "}");
	put(r.partition, stamp_ms, &r, value);
}

static int32_t home_of(int account)
{
	return account < SIM_ACCOUNTS_FIRST ? account % SIM_PARTITIONS : SIM_PARTITIONS;
}

// A sub-account has a partition of its own; what producers with other partitioners send is anywhere.
static void place(struct sim_record *r)
{
	r->partition = home_of(r->account);
	if (!sim_is_spread(r->account) || sim_chance(0.4))
		return;
	r->sub = sim_chance(0.6);
	r->partition = r->sub ? (r->partition + 1) % SIM_PARTITIONS : (int32_t)sim_below((uint64_t)sim_partitions());
}

// The clock rises by hours; now and then a stamp is older, an event late, too early, a repetition, wrong, or free.
static void produce(void)
{
	sim_says_something();
	sim->stamp_ms += (int64_t)sim_below(12 * (uint64_t)hour_ms);
	int64_t stamp_ms = sim->stamp_ms - (sim_chance(0.1) ? (int64_t)sim_below(20 * (uint64_t)hour_ms) : 0);
	if (sim->n_log > 0 && sim_chance(0.1)) {
		struct sim_record again = sim->log[sim->n_log - 1 - sim_below(sim->n_log < 60 ? sim->n_log : 60)];
		put_event(again, stamp_ms);
		return;
	}
	struct sim_record r = { .id = sim->next_id++, .account = (int)sim_below(sim_partitions() > SIM_PARTITIONS ? SIM_ACCOUNTS : SIM_ACCOUNTS_FIRST),
				.service = (int)sim_below(4), .billable = true,
				.readable = true, .calls = 1 + (int64_t)sim_below(sim_chance(0.1) ? 200 : 20),
				.time_ms = stamp_ms - (int64_t)sim_below((uint64_t)hour_ms) };
	if (sim_chance(0.1))
		r.time_ms -= (int64_t)sim_below(50 * 24 * (uint64_t)hour_ms);
	if (sim_chance(0.03))
		r.time_ms = stamp_ms + (int64_t)(sim_chance(0.5) ? 299999 : 300001);
	if (sim_chance(0.03))
		r.service = -1;
	r.readable = !sim_chance(0.03);
	r.billable = !sim_chance(0.05);
	place(&r);
	put_event(r, stamp_ms);
}

// So that a month ends in each partition.
static void put_month_end(int days)
{
	for (int32_t p = 0; p < sim_partitions(); p++) {
		sim->stamp_ms += days * 24 * hour_ms;
		put_event((struct sim_record){ .id = sim->next_id++, .account = p < SIM_PARTITIONS ? p : SIM_ACCOUNTS_FIRST, .partition = p,
					       .billable = true, .readable = true, .calls = 1, .time_ms = sim->stamp_ms }, sim->stamp_ms);
	}
}

// Late calls of months that may be corrected, and the end of another one, with whose close corrections come.
static void put_month_behind_corrections(void)
{
	sim->stamp_ms += 30 * 24 * hour_ms;
	for (int n = 0; n < 8; n++) {
		struct sim_record r = { .id = sim->next_id++, .account = (int)sim_below(SIM_ACCOUNTS_FIRST), .service = (int)sim_below(3),
					.billable = true, .readable = true, .calls = 1 + (int64_t)sim_below(40), .time_ms = sim->stamp_ms - (int64_t)sim_below(120 * 24) * hour_ms };
		place(&r);
		put_event(r, sim->stamp_ms);
	}
	put_month_end(1);
}

// ---- a run
static void world_open(void)
{
	struct error e = { 0 };
	struct faults f = { 0 };
	fake_kafka_init(&sim->kafka, SIM_PARTITIONS, &sim->kafka_fault);
	sim->kafka.topics[5].name = "usage.calls.dlq";
	sim->kafka.topics[5].partitions = SIM_LETTER_PARTITIONS;
	sim->kafka.n_topics = 6;
	sim->kafka.o.dlq_topic = "usage.calls.dlq";
	sim->kafka_fault.decide = kafka_fate;
	sim->kafka.append_ms = sim->seed % 4 == 1 ? &sim->stamp_ms : NULL; // of records given back, that is: those of producers bear it already
	sim_says_open();
	struct journal_part parts[SIM_PARTITIONS];
	for (int32_t p = 0; p < SIM_PARTITIONS; p++)
		parts[p] = (struct journal_part){ .topic = (char *)"usage.calls", .partition = p, .clock_ms = TIME_NONE };
	CLEANUP(freep) char *init = journal_init_record("sim", SIM_SHARDS, parts, SIM_PARTITIONS), *rules = journal_rules_record(1, TIME_NONE, sim->rules);
	fake_event(&sim->kafka, "meterd.control", 0, 1, init);
	fake_event(&sim->kafka, "meterd.control", 0, 1, rules);
	sim->requeues = sim_chance(0.5);
	sim->loses = sim_chance(0.5);
	sim->corrects = sim_chance(0.5);
	sim->spread = sim_chance(0.5) ? 1 + (unsigned)sim_below((1u << SIM_ACCOUNTS_SPREAD) - 1) : 0;
	sim_folder_open();
	sim_redis_open();
	shared_store_options = store_options();
	check(store_redis_open(&shared_store_options, &sim->plain, &e) == ERROR_NONE);
	check(sim->plain->ops->verify(sim->plain, &e) == ERROR_NONE);
	for (uint32_t shard = 0; shard < SIM_SHARDS; shard++)
		check(sim->plain->ops->create(sim->plain, shard, "sim", &e) == ERROR_NONE);
	sim->plain->ops->identity(sim->plain, "sim", 1);
	for (uint32_t shard = 0; shard < SIM_SHARDS; shard++)
		check(sim->plain->ops->register_rules(sim->plain, shard, 1, &e) == ERROR_NONE);
	sim_snapshot();
	for (int i = 0; i < SIM_PROCESSES; i++) {
		struct sim_instance *x = &sim->instances[i];
		CLEANUP(freep) char *text = xasprintf("instance: i%d\nkafka:\n  bootstrap: 127.0.0.1:1\nredis:\n  shards: 2\nflush:\n  max_events: %d\n  max_deltas: 1\n"
						      "state_dir: %s/i%d\non_state_loss: rebuild\nclock: records\n", i, 1 + (int)sim_below(60), sim->folder, i);
		x->index = i;
		x->settings = settings_parse("sim.yaml", span_of(text), &f);
		if (x->settings == NULL)
			fprintf(stderr, "%s\n", f.list[0].text);
		check(x->settings != NULL);
	}
}

static bool event_happens(enum sim_event e, double p)
{
	if (sim->quiet || !sim_chance(p) || !sim_fault("%s", event_text(e)))
		return false;
	sim->coverage->events[e]++;
	sim_say("%s", event_text(e));
	return true;
}

static void transaction_arrives(void)
{
	if (sim->kafka.late == NULL)
		return;
	if (sim_chance(0.75))
		fake_late_end(&sim->kafka);
	else
		fake_late_abort(&sim->kafka);
}

static void chance_of_the_world(void)
{
	struct sim_instance *x = &sim->instances[sim_below(SIM_INSTANCES)];
	if (sim_chance(0.03))
		sim_snapshot();
	if (sim_chance(0.2))
		transaction_arrives();
	if (event_happens(EVENT_ROLLBACK, sim->known_now ? 0.1 : 0.004))
		sim_rollback(-1);
	sim->known_now = false;
	if (event_happens(EVENT_ROLLBACK_SHARD, 0.004))
		sim_rollback((int)sim_below(SIM_SHARDS));
	if (event_happens(EVENT_TXN_LATE, 0.01))
		sim->kafka.end_late = true;
	if (sim_chance(0.03))
		sim_disk_copied(x);
	if (event_happens(EVENT_DISK, 0.01))
		sim_disk_harmed(x);
	if (sim->spread != 0 && event_happens(EVENT_LAG, 0.006))
		sim->lags_until[sim_below((uint64_t)sim_partitions())] = sim->n_log + 5 + (uint32_t)sim_below(60);
	if (event_happens(EVENT_JUMP, 0.005))
		sim->wall_ms += ((int64_t)sim_below(2000) - 1000) * hour_ms / 10;
	if (x->alive && event_happens(EVENT_KILL, 0.006))
		instance_dies(x);
	else if (x->alive && !x->paused && event_happens(EVENT_STOP, 0.004))
		enter(x, stop_in_order);
	else if (x->alive && !x->paused && event_happens(EVENT_PAUSE, 0.01)) {
		x->paused = true;
		sim_group_expire(x);
	} else if (x->paused && sim_chance(0.1)) {
		x->paused = false;
	}
	if (!x->alive && sim_chance(sim->quiet ? 1.0 : 0.1))
		enter(x, instance_begin);
	if (sim->instances[SIM_PERSON].alive)
		return;
	if (sim->generations && event_happens(EVENT_PERSON, 0.01))
		sim_person_enters(sim_person_works);
	if (sim->corrects && event_happens(EVENT_CORRECT, 0.01))
		sim_person_enters(sim_correct);
	if (sim->requeues && event_happens(EVENT_REQUEUE, 0.006))
		sim_person_enters(sim_letters_return);
	if (sim->loses && event_happens(EVENT_CHECKPOINT, 0.006))
		sim_person_enters(sim_checkpoint_write);
	if (sim->loses && event_happens(EVENT_RESTORE, 0.003))
		sim_person_enters(sim_checkpoint_restore);
}

static void chance_of_loss(void)
{
	if (!sim->loses)
		return;
	if (event_happens(EVENT_FORGE, 0.002))
		sim_checkpoint_forge();
	bool all = event_happens(EVENT_LOSS, 0.001);
	if (!all && !event_happens(EVENT_LOSS_SHARD, 0.001))
		return;
	sim_lose(all ? -1 : (int)sim_below(SIM_SHARDS));
	if (!sim->instances[SIM_PERSON].alive && sim_chance(0.3)) // somebody is quicker than the instances
		sim_person_enters(sim_checkpoint_restore);
}

// A process that ends by itself is started again, unless a person would have to mend something first: nothing here is a person's fault.
static bool ended(struct sim_instance *x)
{
	if (!x->alive || !atomic_load(&x->shared.failed))
		return true;
	if (x->shared.failure.exit_code != EXIT_LATER && !checks_lost(&sim_ports, &shared_store_options)) { // as engine.c does
		fprintf(stderr, "instance %d ends with %d: %s\n", x->index, x->shared.failure.exit_code, x->shared.failure.text);
		return false;
	}
	instance_dies(x);
	return true;
}

static bool step_once(void)
{
	struct sim_instance *x = &sim->instances[sim_below(SIM_INSTANCES)];
	sim->coverage->rounds++;
	sim->mono_us += (int64_t)sim_below(50000);
	chance_of_the_world();
	chance_of_loss();
	if (x->alive && !x->paused)
		enter(x, sim_chance(0.5) ? turn_worker : turn_office);
	return ended(x);
}

// A step, and maybe a record.
static bool world_step(void)
{
	if (sim->n_log < sim->events && sim_chance(0.25))
		produce();
	return step_once() && !sim->wrong;
}

void sim_world_goes_on(void)
{
	struct sim_instance *had = sim->running;
	bool dies = sim->dies_next;
	sim->running = NULL;
	sim->dies_next = false;
	if (!world_step())
		sim->wrong = true;
	sim->running = had;
	sim->dies_next = dies;
	bool killed = had->index == SIM_PERSON && event_happens(EVENT_PERSON_DIES, 0.001);
	if (killed || sim->wrong)
		longjmp(*sim->death, 1);
}

static bool all_taken(void)
{
	struct error e = { 0 };
	if (sim->generations)
		sim->plain->ops->identity(sim->plain, "sim", sim_generation());
	for (uint32_t shard = 0; shard < SIM_SHARDS; shard++) {
		struct store_positions at = { 0 };
		int64_t outbox = 0;
		uint32_t whole = 0;
		if (sim->plain->ops->positions(sim->plain, shard, &at, &e) != ERROR_NONE ||
		    sim->plain->ops->outbox_length(sim->plain, shard, &outbox, &e) != ERROR_NONE)
			return false; // lost
		for (uint32_t i = 0; i < at.n; i++)
			for (int32_t p = 0; p < sim_partitions(); p++) {
				const struct fake_log *l = fake_log(&sim->kafka, "usage.calls", p);
				char name[32];
				snprintf(name, sizeof(name), "usage.calls/%d", p);
				whole += strcmp(at.list[i].name, name) == 0 && l->n > 0 && at.list[i].at.next > l->list[l->n - 1].offset;
			}
		store_positions_free(&at);
		if (whole < (uint32_t)sim_partitions() || outbox > 0)
			return false;
	}
	return true;
}

// The last month whose close the log reaches is settled.
static bool all_settled(int month)
{
	char text[MONTH_TEXT];
	CLEANUP(freep) char *subject = xasprintf("\"subject\":\"%s\"", month_text(month, text));
	return fake_count(&sim->kafka, "meterd.settlements", subject) > 0;
}

static int last_to_settle(void)
{
	return period_month(catalog_zone(sim->rules->catalog), sim->stamp_ms - sim->rules->settings.close_grace_ms) - 1;
}

static bool drain(void)
{
	int last = last_to_settle();
	int months_behind = sim->corrects && sim_chance(0.7) ? 2 : 0; // corrections come with the first one's close, their lines' late calls with the second's
	bool again = sim_chance(0.3) && sim_fault("%s at the end", event_text(EVENT_ROLLBACK));
	bool lost = sim->loses && sim_chance(0.3) && sim_fault("%s at the end", event_text(EVENT_LOSS));
	bool returned = sim->requeues && sim_chance(0.7);
	int concluded = 0;
	sim->quiet = true;
	sim->dies_next = false;
	for (int i = 0; i < SIM_INSTANCES; i++)
		sim->instances[i].paused = false;
	transaction_arrives();
	for (int i = 0; i < DRAIN_ROUNDS; i++) {
		if (!step_once())
			return false;
		if (i % 50 != 49 || !all_taken() || !all_settled(last))
			continue;
		if (returned) { // once all is quiet, and whoever began it died
			returned = false;
			sim_person_enters(sim_letters_return_all);
			continue;
		}
		if (months_behind > 0) {
			if (months_behind-- == 2) {
				sim_person_enters(sim_correct);
				if (sim_chance(0.7))
					sim_correct_by_hand();
			}
			put_month_behind_corrections();
			last = last_to_settle();
			continue;
		}
		if (lost) {
			lost = false;
			coverage->events[EVENT_LOSS]++;
			sim_lose(-1);
			continue;
		}
		if (!again && (!sim->generations || concluded++ == 2))
			return true;
		if (!again && concluded == 1) { // what was put in force is drained, and made again once more
			if (!sim_person_concludes(sim_chance(0.5)))
				return false;
			continue;
		} else if (!again) {
			if (!sim_person_concludes(false))
				return false;
			continue;
		}
		again = false; // when all is done, and nothing comes any more
		coverage->events[EVENT_ROLLBACK]++;
		sim_rollback(-1);
	}
	fprintf(stderr, "it does not come to an end: %s, %s\n", all_taken() ? "all is taken in" : "records are left", all_settled(last) ? "all is settled" : "a month is not settled");
	for (int i = 0; i < SIM_INSTANCES; i++) {
		struct worker_status ws;
		struct office_status os;
		worker_status(sim->instances[i].worker, &ws);
		office_status(sim->instances[i].office, &os);
		fprintf(stderr, "instance %d: worker %s %s; office %s %s; waits for %s\n", i, ws.state, ws.reason, os.state, os.reason, os.closer.waits_for);
		for (uint32_t p = 0; p < ws.n_parts; p++)
			fprintf(stderr, "  partition %d at %lld %s\n", ws.parts[p].partition, (long long)ws.parts[p].next, ws.parts[p].halted);
	}
	return false;
}

// Of all that lies in Kafka, and of chance and time: two runs that differ anywhere differ here.
static uint64_t digest(void)
{
	uint64_t h = sim->random ^ (uint64_t)sim->mono_us;
	for (int t = 0; t < sim->kafka.n_topics; t++)
		for (int32_t p = 0; p < sim->kafka.topics[t].partitions; p++)
			for (size_t i = 0; i < sim->kafka.topics[t].parts[p].n; i++) {
				const struct fake_message *m = &sim->kafka.topics[t].parts[p].list[i];
				h = XXH3_64bits_withSeed(m->value != NULL ? m->value : "", m->value_n, h + (uint64_t)m->offset);
				for (uint32_t k = 0; k < m->n_headers; k++)
					h = XXH3_64bits_withSeed(m->headers[k].value.p, m->headers[k].value.n, h);
			}
	return h;
}

static bool run(uint64_t seed, const uint8_t *mask, bool trace, char (*told)[120], uint32_t *ret_faults)
{
	sim = xcalloc(1, sizeof(*sim));
	*sim = (struct sim){ .seed = seed, .random = seed * 0x2545f4914f6cdd1d + 1, .coverage = coverage, .mask = mask, .trace = trace, .told = told,
			     .generations = seed % 3 == 0, .ports = &sim_ports, .store_options = &shared_store_options, .wall_ms = begin_ms, .stamp_ms = begin_ms, .log = xcalloc(SIM_EVENTS_MOST, sizeof(*sim->log)) };
	snprintf(sim->prefix, sizeof(sim->prefix), "sim:");
	sim_draw();
	sim->intensity = (double)sim_below(5) * 0.004;
	world_open();
	sim->events = 60 + (uint32_t)sim_below(240);
	bool good = true;
	while (good && sim->n_log < sim->events)
		good = world_step();
	sim->events = 0; // none comes by itself any more
	put_month_end(20);
	good = good && drain() && sim_audit();
	*ret_faults = sim->n_faults;
	coverage->digest += digest();
	for (int i = 0; i < SIM_INSTANCES; i++)
		if (sim->instances[i].alive)
			instance_dies(&sim->instances[i]);
	sim->plain->ops->close(sim->plain);
	sim_redis_close();
	sim_folder_close();
	return good;
}

// ---- processes
struct outcome_of {                  // shared with the child
	uint32_t n_faults;
	uint8_t mask[SIM_FAULTS_MOST];
	char told[SIM_FAULTS_MOST][120];
	uint64_t seed;                   // that it worked on last
};
static struct outcome_of *shared_outcome;

// Runs seeds in a child; true when all are good. loud: its words go to stderr.
static bool child(uint64_t from, uint64_t to, const uint8_t *mask, bool loud)
{
	fflush(NULL);
	pid_t pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		if (!loud && freopen("/dev/null", "w", stderr) == NULL)
			_exit(3);
		mallopt(M_MMAP_THRESHOLD, 1 << 30); // memory is not given back: a tenth of the time
		mallopt(M_TRIM_THRESHOLD, 1 << 30);
		log_set_level(loud ? LVL_INFO : LVL_ERROR);
		bool good = true;
		for (uint64_t seed = from; good && seed <= to; seed++) {
			shared_outcome->seed = seed;
			good = run(seed, mask, loud, shared_outcome->told, &shared_outcome->n_faults);
		}
		_exit(good ? 0 : 1);
	}
	int status = 0;
	check(waitpid(pid, &status, 0) == pid);
	sim_folder_remove(pid);
	if (loud && WIFSIGNALED(status))
		fprintf(stderr, "ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Leaves out faults, halves first, as long as the seed fails all the same.
static uint32_t shrink(uint64_t seed)
{
	uint8_t *mask = shared_outcome->mask;
	memset(mask, 0, SIM_FAULTS_MOST);
	child(seed, seed, mask, false);
	uint32_t n = shared_outcome->n_faults, left = n;
	for (uint32_t size = n; size > 0; size /= 2) {
		for (uint32_t at = 0; at < n; at += size) {
			uint8_t before[SIM_FAULTS_MOST];
			memcpy(before, mask, sizeof(before));
			for (uint32_t i = at; i < at + size && i < SIM_FAULTS_MOST; i++)
				mask[i] = 1;
			if (memcmp(before, mask, sizeof(before)) != 0 && child(seed, seed, mask, false))
				memcpy(mask, before, sizeof(before)); // it needs one of these
		}
	}
	for (uint32_t i = 0; i < n; i++)
		left -= mask[i];
	return left;
}

static void report(uint64_t seed)
{
	printf("seed %" PRIu64 " fails\n", seed);
	uint32_t left = shrink(seed);
	printf("with %u of its faults:\n", left);
	fflush(stdout);
	child(seed, seed, shared_outcome->mask, true);
	for (uint32_t i = 0; i < shared_outcome->n_faults; i++)
		if (shared_outcome->mask[i] == 0)
			printf("  %s\n", shared_outcome->told[i]);
	fflush(stdout);
}

static void print_coverage(void)
{
	printf("%" PRIu64 " calls counted, %" PRIu64 " late, %" PRIu64 " duplicates, %" PRIu64 " rejected; %" PRIu64 " alerts, %" PRIu64 " of them of accounts in several partitions, %" PRIu64 " settlements of which %"
	       PRIu64 " adjustments; %" PRIu64 " rounds\n", coverage->counted, coverage->late, coverage->duplicates, coverage->rejected, coverage->alerts,
	       coverage->any_call, coverage->settlements, coverage->adjustments, coverage->rounds);
	printf("%" PRIu64 " rules versions, %" PRIu64 " partitions admitted, %" PRIu64 " lines under a contract, %" PRIu64 " with packs\n", coverage->versions,
	       coverage->admitted, coverage->with_contract, coverage->with_packs);
	printf("%" PRIu64 " generations made again, %" PRIu64 " held against the one in force, %" PRIu64 " put in force, %" PRIu64 " times back, %" PRIu64 " dropped\n",
	       coverage->rebuilt, coverage->verified, coverage->promoted, coverage->rolled_back, coverage->dropped);
	printf("%" PRIu64 " dead letters given back, of which %" PRIu64 " counted, %" PRIu64 " were late, and %" PRIu64 " had counted in their first place\n", coverage->requeued,
	       coverage->requeued_counted, coverage->requeued_late, coverage->requeued_taken);
	printf("%" PRIu64 " questions about closed months, %" PRIu64 " answers said, %" PRIu64 " known already, %" PRIu64 " bound to earlier ones; %" PRIu64
	       " corrections, of which %" PRIu64 " were made and %" PRIu64 " passed over\n", coverage->asked, coverage->said, coverage->known, coverage->tied,
	       coverage->corrections, coverage->corrected, coverage->passed_over);
	printf("%" PRIu64 " checkpoints written, %" PRIu64 " put back by a person, %" PRIu64 " beside, %" PRIu64 " rebuilds begun from one, %" PRIu64 " refused; %" PRIu64
	       " times a shard was made anew\n", coverage->checkpoints, coverage->put_back, coverage->put_beside, coverage->begun_from, coverage->refused, coverage->made_anew);
	printf("%" PRIu64 " slices of windows written, %" PRIu64 " sets made of them, %" PRIu64 " refused, %" PRIu64 " not written\n", coverage->slices_written,
	       coverage->sets_of_slices, coverage->slices_refused, coverage->slices_failed);
	printf("%-16s", "");
	for (int f = 1; f < FATE_COUNT; f++)
		printf(" %24s", fate_text((enum fate)f));
	printf("\n");
	for (int s = 0; s < STEP_COUNT; s++) {
		printf("%-16s", step_text((enum sim_step)s));
		for (int f = 1; f < FATE_COUNT; f++)
			printf(" %24" PRIu64, coverage->fates[s][f]);
		printf("\n");
	}
	for (int e = 0; e < EVENT_COUNT; e++)
		printf("%-52s %" PRIu64 "\n", event_text((enum sim_event)e), coverage->events[e]);
}

// Every fault that can meet a step has met it.
static uint32_t never_met(void)
{
	uint32_t n = 0;
	for (int s = 0; s < STEP_COUNT; s++)
		for (int f = 1; f < FATE_COUNT; f++) {
			bool can = f == FATE_LOST || f == FATE_DIES_BEFORE ||
				   (f == FATE_DIES_AFTER && s != STEP_POLL && s != STEP_GENERATIONS) ||
				   (f == FATE_REPLY_LOST && s != STEP_POLL && s != STEP_DLQ && s != STEP_SLICE_READ && s != STEP_GENERATIONS) ||
				   (f == FATE_TORN && s == STEP_SLICE_WRITE) || ((f == FATE_REFUSED || f == FATE_LATE) && s == STEP_COMMIT);
			if (can && coverage->fates[s][f] == 0)
				printf("never met: %s, %s\n", step_text((enum sim_step)s), fate_text((enum fate)f)), n++;
		}
	for (int e = 0; e < EVENT_COUNT; e++)
		if (coverage->events[e] == 0)
			printf("never met: %s\n", event_text((enum sim_event)e)), n++;
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seeds", required_argument, NULL, 's' },
						 { "trace", no_argument, NULL, 't' }, { "quick", no_argument, NULL, 'q' }, { "most-failures", required_argument, NULL, 'm' },
						 { "process", required_argument, NULL, 'p' }, { 0 } };
	unsigned long long from = 1, to = 100, most = 1, process = 20; // process: seeds in each
	bool trace = false, quick = false; // quick: which seed fails, not why
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's' && sscanf(optarg, "%llu..%llu", &from, &to) < 1)
			return fprintf(stderr, "simulate: --seeds A..B\n"), EXIT_USAGE_ERR;
		else if (c == 's' && strstr(optarg, "..") == NULL)
			to = from;
		else if (c == 't')
			trace = true;
		else if (c == 'q')
			quick = true;
		else if (c == 'm')
			most = strtoull(optarg, NULL, 10);
		else if (c == 'p')
			process = strtoull(optarg, NULL, 10);
		else if (c == '?')
			return EXIT_USAGE_ERR;
	}
	coverage = mmap(NULL, sizeof(*coverage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared_outcome = mmap(NULL, sizeof(*shared_outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(coverage != MAP_FAILED && shared_outcome != MAP_FAILED);
	sim_says_load();
	if (trace)
		return child(from, from, NULL, true) ? EXIT_DONE : EXIT_FOUND;
	unsigned long long failed = 0;
	for (unsigned long long at = from; at <= to && failed < most;) {
		unsigned long long end = process > 0 && at + process - 1 < to ? at + process - 1 : to;
		if (child(at, end, NULL, false)) {
			at = end + 1;
			continue;
		}
		at = shared_outcome->seed + 1;
		failed++;
		if (quick)
			printf("seed %" PRIu64 " fails\n", shared_outcome->seed);
		else
			report(shared_outcome->seed);
	}
	print_coverage();
	uint32_t missed = to - from + 1 >= LONG_RUN ? never_met() : 0;
	printf("digest %016" PRIx64 "\n", coverage->digest);
	printf("seeds %llu..%llu: %llu failed\n", from, to, failed);
	return failed > 0 || missed > 0 ? EXIT_FOUND : EXIT_DONE;
}
