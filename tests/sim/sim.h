// SPDX-License-Identifier: Apache-2.0
// The simulator: the real workers and offices of several instances, on one thread and one virtual clock, over a Kafka and a Redis in memory,
// with faults at every call. Every step and every fault follows from one seed; a run that fails can be run again, with
// some of its faults left out.
//
//	log (sim.c) ─► source twin ─► worker ─► store twin ─► the real adapter ─► Redis in memory (the ledger's own functions)
//	                                 office ─► Kafka twin (fake_kafka.h) ─► audit.c, which knows only the log
#ifndef SIM_H
#define SIM_H

#include <setjmp.h>

#include "fake_kafka.h"
#include "pipeline/facts.h"
#include "pipeline/ledger.h"
#include "pipeline/office.h"
#include "pipeline/worker.h"

enum {
	SIM_INSTANCES = 2,
	SIM_PERSON = SIM_INSTANCES,      // the process of a person's command
	SIM_HAND,                        // of another person's, who gives back the same dead letters
	SIM_PROCESSES,
	SIM_PARTITIONS = 3,              // at the beginning; one more may appear
	SIM_PARTITIONS_MOST = 4,
	SIM_SHARDS = 2,
	SIM_ACCOUNTS_FIRST = 5,          // of the first partitions; the others' calls lie in the one that appears
	SIM_ACCOUNTS = 7,
	SIM_ACCOUNTS_SAID = 3,           // of which the accounts topic speaks
	SIM_ACCOUNTS_SPREAD = 4,         // whose calls may lie in several partitions
	SIM_PACKS = 4,                   // of one account, at the most
	SIM_FACTS_MOST = 200,
	SIM_BOOKS = 3,
	SIM_QUESTIONS_MOST = 64,
	SIM_EVENTS_MOST = 4000,
	SIM_FAULTS_MOST = 4096,
	SIM_SNAPSHOTS = 3,
	SIM_LETTER_PARTITIONS = 2,
};

// What can go wrong with one call.
enum fate {
#define FATE(id, text) FATE_##id,
#define SIM_FATES                                                                                                                      \
	FATE(OK, "ok")                                                                                                                 \
	FATE(LOST, "request lost")                                                                                                     \
	FATE(REPLY_LOST, "reply lost")                                                                                                 \
	FATE(REFUSED, "refused")                                                                                                       \
	FATE(TORN, "dies in the middle of it")                                                                                         \
	FATE(LATE, "applied late")                                                                                                     \
	FATE(DIES_BEFORE, "process dies before it")                                                                                    \
	FATE(DIES_AFTER, "process dies after it")
	SIM_FATES
#undef FATE
	FATE_COUNT
};
// Where.
enum sim_step {
#define STEP(id, text) STEP_##id,
#define SIM_STEPS                                                                                                                      \
	STEP(CLAIM, "claim")                                                                                                           \
	STEP(RENEW, "renew")                                                                                                           \
	STEP(COMMIT, "commit")                                                                                                         \
	STEP(MARK, "mark")                                                                                                             \
	STEP(OUTBOX_READ, "outbox_read")                                                                                               \
	STEP(OUTBOX_ACK, "outbox_ack")                                                                                                 \
	STEP(LOOK, "look")                                                                                                             \
	STEP(CLOSE_MONTH, "close_month")                                                                                               \
	STEP(SCAN, "scan")                                                                                                             \
	STEP(SETTLE, "settle")                                                                                                         \
	STEP(FINISH, "finish")                                                                                                         \
	STEP(END_RUN, "end_run")                                                                                                       \
	STEP(REGISTER, "register_rules")                                                                                               \
	STEP(KAFKA, "kafka")                                                                                                           \
	STEP(DLQ, "dlq")                                                                                                               \
	STEP(CORRECT, "correct")                                                                                                      \
	STEP(REQUEUE, "requeue")                                                                                                       \
	STEP(SLICE_WRITE, "slice_write")                                                                                               \
	STEP(SLICE_READ, "slice_read")                                                                                                 \
	STEP(GENERATIONS, "generations")                                                                                               \
	STEP(BEGIN, "begin")                                                                                                           \
	STEP(CUT_COPY, "cut_copy")                                                                                                     \
	STEP(ADOPT, "adopt")                                                                                                           \
	STEP(DROP, "drop")                                                                                                             \
	STEP(LEASE, "lease")                                                                                                           \
	STEP(COMPARE, "compare")                                                                                                       \
	STEP(ASK, "request_put")                                                                                                       \
	STEP(CREATE, "create")                                                                                                         \
	STEP(ENTRIES, "entries")                                                                                                       \
	STEP(RESTORE, "restore")                                                                                                       \
	STEP(PUT, "put")                                                                                                               \
	STEP(RESTORED, "restored")                                                                                                     \
	STEP(POLL, "poll")
	SIM_STEPS
#undef STEP
	STEP_COUNT
};
// Faults that are no call's.
enum sim_event {
#define EVENT(id, text) EVENT_##id,
#define SIM_EVENTS                                                                                                                     \
	EVENT(KILL, "instance killed")                                                                                                 \
	EVENT(PAUSE, "instance stalls beyond the session time-out")                                                                    \
	EVENT(ROLLBACK, "redis goes back in time")                                                                                     \
	EVENT(ROLLBACK_SHARD, "one shard goes back in time")                                                                           \
	EVENT(TXN_LATE, "a transaction's end arrives late")                                                                            \
	EVENT(STOP, "instance stops in order")                                                                                        \
	EVENT(LAG, "a partition is not read for days of its log")                                                                      \
	EVENT(GROW, "a partition is added")                                                                                           \
	EVENT(PROPOSE, "new rules are proposed")                                                                                      \
	EVENT(SAY, "something is said of an account")                                                                                         \
	EVENT(DISK, "the state directory is deleted, changed or put back")                                                             \
	EVENT(JUMP, "the wall clock jumps")                                                                                            \
	EVENT(PERSON, "a person works on generations")                                                                                 \
	EVENT(PERSON_DIES, "and is killed")                                                                                            \
	EVENT(REQUEUE, "a person gives dead letters back")                                                                             \
	EVENT(TWO_HANDS, "and another one the same ones")                                                                              \
	EVENT(CORRECT, "a person corrects closed months")                                                                              \
	EVENT(TWO_CORRECT, "and another one, too")                                                                                     \
	EVENT(BY_HAND, "a correction is written by hand")                                                                              \
	EVENT(CHECKPOINT, "a checkpoint is written")                                                                                   \
	EVENT(FORGE, "a checkpoint is damaged, or one that must not be taken lies there")                                              \
	EVENT(LOSS, "redis loses everything")                                                                                          \
	EVENT(LOSS_SHARD, "one shard loses everything")                                                                                \
	EVENT(RESTORE, "a person puts a checkpoint back")
	SIM_EVENTS
#undef EVENT
	EVENT_COUNT
};
const char *fate_text(enum fate f);
const char *step_text(enum sim_step s);
const char *event_text(enum sim_event e);

struct sim_coverage {                // shared by all processes of a run
	uint64_t fates[STEP_COUNT][FATE_COUNT], events[EVENT_COUNT];
	uint64_t alerts, any_call, settlements, adjustments, duplicates, rejected, late, counted, rounds;
	uint64_t versions, admitted, with_contract, with_packs;
	uint64_t digest;             // of all that came out; the order of seeds does not matter
	uint64_t asked, said, known, tied, corrections, corrected, passed_over;
	uint64_t rebuilt, verified, promoted, rolled_back, dropped;
	uint64_t requeued, requeued_counted, requeued_late, requeued_taken;
	uint64_t checkpoints, put_back, put_beside, made_anew, begun_from, refused;
	uint64_t slices_written, sets_of_slices, slices_refused, slices_failed;
};

// What was put into the log, as the audit knows it.
struct sim_record {
	int32_t partition;
	int64_t offset, stamp_ms, time_ms, calls;
	int id, account;                 // id -1: a tick
	int service;                     // index in the book; -1: unknown to it
	bool billable, readable;
	bool sub;                        // sent by the account's sub-account
};

// What was said of an account. Months are those of period/, pack numbers count from 0.
enum sim_saying { SAYS_ACTIVATION, SAYS_CONTRACT, SAYS_PACK, SAYS_CANCELLED };
struct sim_fact {
	enum sim_saying what;
	int account, pack;
	int32_t partition;
	int64_t offset, stamp_ms;
	int64_t time_ms;                 // activation
	int from, until;                 // contract, cancellation; until MONTH_NONE: for ever
	int64_t quota;                   // contract; -1: as in the price list
	unsigned services;               // pack: bits
	int64_t calls, start_ms, expiry_ms;
};

// What was asked about closed months; its answer may have been said.
struct sim_question {
	char id[17];                     // of the answer
	int account, partition, producer; // -1: all, none, none; producer 1: SIM_PRODUCER, 0: the nameless one
	unsigned codes;                  // that count: 1 ok, 2 error; 0: the price book's
	int64_t from_ms, to_ms, from_offset;
	bool undo;
};

struct sim_instance {
	int index;
	bool alive, paused;
	int64_t paused_until_us;
	struct settings *settings;
	struct shared shared;
	struct facts *facts;
	size_t facts_next[FAKE_PARTITIONS]; // of the accounts topic
	struct worker *worker;
	struct office *office;
	struct sim_source *source;
	struct snapshots *snapshots;
	struct sim_disk *disk;           // outlives its process
	long pid;
};

struct sim {
	uint64_t seed, random, tokens;
	struct sim_coverage *coverage;
	bool trace;
	double intensity;                // of faults at calls
	bool quiet;                      // no faults any more
	// faults in order of their drawing; masked ones do not happen
	uint32_t n_faults;
	const uint8_t *mask;             // NULL: none is masked
	char (*told)[120];               // what each was
	// time
	int64_t mono_us, wall_ms;
	// parts
	struct fake_kafka kafka;
	struct fake_fault kafka_fault;
	char prefix[32];
	struct store *plain;             // without faults: for the audit
	struct rules *rules;             // the first version
	struct sim_group *group;
	struct sim_instance instances[SIM_PROCESSES];
	bool generations;                // somebody makes them anew: in every third seed
	enum sim_step step;              // of Kafka's calls: what the process that runs is at
	bool requeues, loses;            // dead letters are given back; Redis loses all, and checkpoints are written
	bool corrects;                   // closed months are
	uint32_t by_hand;                // corrections so far
	uint32_t losses;                 // so far
	char folder[64];                 // of state directories
	uint32_t births;                 // of processes: each has a number of its own
	struct sim_person *person;
	const struct ports *ports;
	const struct store_options *store_options;
	uint32_t events;                 // records that come
	bool wrong;
	struct sim_instance *running;    // whose code runs now
	jmp_buf *death;                  // out of it
	int64_t waited_ms;               // within its turn
	bool dies_next;                  // at its next call
	struct sim_snapshots *snapshots;
	// the log
	struct sim_record *log;
	uint32_t n_log;
	int next_id;
	int64_t stamp_ms;                // of the newest record
	unsigned spread;                 // bits of the accounts whose calls lie in several partitions
	uint32_t lags_until[SIM_PARTITIONS_MOST]; // it is not read before so many records are there
	uint32_t grows_at;               // records behind which a partition is added; 0: never
	bool proposes, says;             // new rules; facts about accounts
	int64_t rules_known;             // newest version that a shard was told of
	bool known_now;                  // a moment ago: a Redis that forgets it is worth trying
	struct sim_question questions[SIM_QUESTIONS_MOST];
	uint32_t n_questions;
	struct sim_fact facts[SIM_FACTS_MOST];
	uint32_t n_facts;
};
extern struct sim *sim;

static inline int32_t sim_partitions(void)
{
	return sim->kafka.topics[0].partitions;
}

static inline bool sim_is_spread(int account)
{
	return account < SIM_ACCOUNTS_SPREAD && (sim->spread & (1u << account)) != 0;
}

void sim_say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // of a run that is traced: what happens, on stderr

// random.c: all chance of a run
uint64_t sim_draw(void);
uint64_t sim_below(uint64_t n);
bool sim_chance(double p);
bool sim_fault(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // one that may happen now: false where it is masked
enum fate sim_fate(enum sim_step step, unsigned allowed); // allowed: bits of enum fate; may not return: the process dies before
void sim_die_after(enum fate f);                          // with what sim_fate gave, after the call

// simulate.c
void sim_wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // the run has failed
int64_t sim_generation(void);                             // in force, as the control topic has it
void sim_waits(int64_t ms);
void sim_world_goes_on(void);                             // a step of everybody else, while a call is under way
void sim_person_enters(void (*fn)(struct sim_instance *x));
void sim_hand_enters(void (*fn)(struct sim_instance *x), enum sim_event e); // out of another's call

// person.c
void sim_person_works(struct sim_instance *x);
bool sim_person_concludes(bool put_in_force);             // when all is counted: what is made again is the same
void sim_person_waits(void);
void sim_person_calls(void);
void sim_person_lists(void);
void sim_person_forget(void);
uint32_t sim_person_losses(void);                         // so far
bool sim_person_failed(const char *what, enum error_class c, const struct error *e, uint32_t losses); // what nobody would expect of it; losses: before

// letters.c
enum error_class sim_dlq_open(const struct kafka_options *o, struct dlq **ret, struct error *e);
void sim_letters_return(struct sim_instance *x);          // some
void sim_letters_return_all(struct sim_instance *x);

// correct.c
#define SIM_PRODUCER "/gate/b"
static inline bool sim_is_cloud(int id)                   // its producer is that, and not nameless
{
	return id % 4 == 1;
}
void sim_correct(struct sim_instance *x);                 // `meterctl replay --apply-as-adjustment`
void sim_correct_by_hand(void);

// checkpoint.c
void sim_checkpoint_write(struct sim_instance *x);        // as a keeper, or `meterctl checkpoint`
void sim_checkpoint_restore(struct sim_instance *x);      // `meterctl restore`
bool sim_checkpoint_pick(char path[], size_t size);       // one of those there are; false: none
void sim_checkpoint_forge(void);
void sim_lose(int shard);                                 // -1: all
void sim_folder_open(void);
void sim_folder_close(void);
void sim_folder_remove(long pid);                         // of a child that ended

// store.c
enum error_class sim_store_open(const struct store_options *o, struct store **ret, struct error *e);
void sim_store_forget(struct sim_instance *of);           // connections of a dead process
void sim_snapshot(void);
void sim_rollback(int shard);                             // -1: all
bool sim_redis_whole(void);                               // every shard holds the generation in force
void sim_snapshots_drop(void);                            // there is no earlier state any more
void sim_redis_open(void);                                // empty
void sim_redis_close(void);

// source.c
enum error_class sim_source_open(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb, struct source **ret,
				 struct error *e);
enum error_class sim_source_read(const struct kafka_options *o, const char *const *topics, const int32_t *partitions, uint32_t n,
				 const struct source_callbacks *cb, struct source **ret, struct error *e);
void sim_source_forget(struct sim_instance *of);          // a dead process: the group notices
void sim_group_expire(struct sim_instance *of);           // its session is over
void sim_group_changed(void);                             // partitions were added

// alerts.c: what the log does not decide
bool sim_alert_unsure(struct span identity);              // whether it is raised depends on which partition was counted first

// says.c: what else goes into Kafka and Redis: accounts, rules, a partition
void sim_says_load(void);                                 // the books' texts
void sim_says_open(void);                                 // the books; also makes sim->rules
void sim_says_something(void);
void sim_facts_hand(struct sim_instance *to);             // what its reader of the accounts topic would have by now
// folder.c: the state directory
struct folder *sim_folder(struct sim_instance *of);
void sim_disk_copied(struct sim_instance *of);            // somebody keeps a copy of it
void sim_disk_harmed(struct sim_instance *of);

// audit.c: false with words on stderr
bool sim_audit(void);

#endif
