// SPDX-License-Identifier: Apache-2.0
#include "pipeline/office.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "pipeline/facts.h"
#include "pipeline/ledger.h"

enum {
	KAFKA_TIMEOUT_MS = 15000,
	BATCH = 1000,           // messages a transaction
	OUTBOX_MOST = 4000,     // settle no further while a shard holds more: accounts' documents lie in one entry
	LOOK_MS = 20,           // at the outboxes, when nobody wakes us: another process's alerts
	LOOK_IDLE_MS = 100,     // the same, after a quiet time
	QUIET_US = 3000000,
	CLOSER_EVERY_US = 200000,
	LEDGER_EVERY_US = 10000000,
	LEDGER_AGAIN_US = 500000, // while some partition was not met with its shards at one offset
	READ_BACK_MS = 2 * 3600 * 1000,
};

struct office {
	struct office_options o;
	pthread_t thread;
	struct store *store, *beside; // beside: the closer's own, NULL: none
	struct relay *relay;
	struct closer *closer;
	struct journal *journal;
	struct account_book *book; // as far as alerts that were found need it
	unsigned given;         // shared.first_given when it was taken over
	uint64_t facts_taken;
	char transactional_id[256], source[256];
	int64_t closer_us;      // when to look again
	bool closing_halted;    // as of its last step
	struct balance {        // by index in the journal: they never move
		int64_t difference, at_ms;
	} *balance;
	uint32_t n_balance;
	int64_t ledger_us;      // when to look at the ledger again
	int64_t ledger_round_ms;// wall: partitions looked at since then need no further look
	int64_t busy_us;        // when something was published last
	uint64_t published;
	int64_t backoff_ms;
	bool known_wait;
	char state[32], reason[300];

	pthread_mutex_t lock;   // of status
	struct office_status status;
};

// What the ledger in Redis says, not what this process remembers. Under traffic the shards of a partition meet at one offset only now
// and then, so each partition keeps its last figure, and the oldest of these times says how fresh the sum is.
static void office_look_at_ledger(struct office *f)
{
	int64_t now_us = clock_mono_us(), now_ms = clock_wall_ms();
	if (now_us < f->ledger_us)
		return;
	CLEANUP(ledger_free) struct ledger l = { 0 };
	bool all = ledger_look(f->store, f->o.store->shards, f->journal, &l, NULL) == ERROR_NONE; // errors are the relay's to tell
	if (l.n > f->n_balance) {
		f->balance = xrealloc(f->balance, l.n, sizeof(*f->balance));
		for (; f->n_balance < l.n; f->n_balance++)
			f->balance[f->n_balance] = (struct balance){ 0, TIME_NONE };
	}
	for (uint32_t i = 0; i < l.n; i++) {
		if (l.parts[i].next != LEDGER_UNEQUAL)
			f->balance[i] = (struct balance){ ledger_difference(&l.parts[i]), now_ms };
		all = all && f->balance[i].at_ms != TIME_NONE && f->balance[i].at_ms >= f->ledger_round_ms;
	}
	if (all)
		f->ledger_round_ms = now_ms + 1;
	f->ledger_us = now_us + (all ? LEDGER_EVERY_US : LEDGER_AGAIN_US);
}

static void office_balance(const struct office *f, struct office_status *s)
{
	s->imbalance = f->n_balance > 0 ? 0 : -1;
	s->balanced_ms = f->n_balance > 0 ? INT64_MAX : TIME_NONE;
	for (uint32_t i = 0; i < f->n_balance && s->imbalance >= 0; i++) {
		int64_t d = f->balance[i].difference, at_ms = f->balance[i].at_ms;
		s->imbalance = at_ms == TIME_NONE ? -1 : s->imbalance + (d < 0 ? -d : d);
		s->balanced_ms = at_ms < s->balanced_ms ? at_ms : s->balanced_ms;
	}
}

static bool office_due(const struct office *f)
{
	return !atomic_load(&f->o.shared->stop) && atomic_load(&f->o.shared->first_owners) > 0;
}

// Partition 0 was somebody else's meanwhile, or may have been: whoever is fenced learns of it by publishing alone, and what was decided without
// it, another generation in force, leaves it nothing to publish.
static bool office_given_again(const struct office *f)
{
	return relay_in_charge(f->relay) && atomic_load(&f->o.shared->first_given) != f->given;
}

static void office_publish_status(struct office *f)
{
	struct office_status s = { .in_charge = relay_in_charge(f->relay), .due = office_due(f), .alive_us = clock_mono_us(), .known_wait = f->known_wait };
	office_balance(f, &s);
	relay_numbers(f->relay, &s.relay);
	if (s.relay.published != f->published)
		f->busy_us = s.alive_us;
	f->published = s.relay.published;
	closer_numbers(f->closer, &s.closer);
	snprintf(s.state, sizeof(s.state), "%s", f->state);
	snprintf(s.reason, sizeof(s.reason), "%s", f->reason);
	pthread_mutex_lock(&f->lock);
	bool moved = s.relay.published + s.relay.already_out + s.relay.passes !=
		     f->status.relay.published + f->status.relay.already_out + f->status.relay.passes;
	s.progress_us = moved || !s.due || f->known_wait ? s.alive_us : f->status.progress_us;
	f->status = s;
	pthread_mutex_unlock(&f->lock);
}

void office_status(struct office *f, struct office_status *ret)
{
	pthread_mutex_lock(&f->lock);
	*ret = f->status;
	pthread_mutex_unlock(&f->lock);
}

static void office_say(struct office *f, const char *state, const char *reason)
{
	bool bad = strcmp(state, "waiting") == 0 || strcmp(state, "halted") == 0;
	if (strcmp(f->state, state) != 0 || (bad && strcmp(f->reason, reason) != 0 && strcmp(state, "halted") == 0)) {
		char quoted[400];
		log_line(bad ? LVL_WARN : LVL_INFO, "office_state", "state=%s why=%s", state, log_quote(reason, quoted, sizeof(quoted)));
	}
	snprintf(f->state, sizeof(f->state), "%s", state);
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	f->known_wait = bad;
}

// Waits for a wake-up, at most ms.
static void office_wait(struct office *f, int ms)
{
	struct pollfd p = { .fd = f->o.shared->office_wake, .events = POLLIN };
	eventfd_t n;
	if (poll(&p, 1, ms) > 0)
		eventfd_read(f->o.shared->office_wake, &n);
}

static void office_back_off(struct office *f, const char *why)
{
	office_say(f, "waiting", why);
	f->backoff_ms = f->backoff_ms == 0 ? 50 : f->backoff_ms < 2000 ? f->backoff_ms * 2 : f->backoff_ms;
	clock_sleep_ms(f->backoff_ms);
}

static enum error_class office_load(struct office *f, struct error *e)
{
	struct journal *j = NULL;
	enum error_class cls = journal_load_from(f->o.ports->sink, f->o.kafka, KAFKA_TIMEOUT_MS, &j, e);
	if (cls != ERROR_NONE)
		return cls;
	check(j->init_id[0] != '\0' && j->n_rules > 0); // the worker that owns partition 0 has seen them
	cls = closing_adopt(f->store, f->o.store->shards, j, e);
	if (cls != ERROR_NONE) {
		journal_freep(&j);
		return cls;
	}
	closer_rest(f->closer);
	journal_freep(&f->journal);
	f->journal = j;
	for (uint32_t s = 0; s < f->o.store->shards && cls == ERROR_NONE; s++)
		cls = f->store->ops->register_rules(f->store, s, j->rules[j->n_rules - 1].version, e);
	return cls;
}

// Fences whoever was in office, then reads what is out, then what was decided.
static enum relay_status office_take(struct office *f, struct error *e)
{
	office_say(f, "taking_over", "");
	f->given = atomic_load(&f->o.shared->first_given);
	enum error_class cls = office_load(f, e);
	if (cls != ERROR_NONE)
		return cls == ERROR_ABORT ? RELAY_ABORT : cls == ERROR_RETRY ? RELAY_RETRY : RELAY_HALT;
	bool wall = f->journal->rules[f->journal->n_rules - 1].rules->settings.clock == CLOCK_WALL;
	enum relay_status st = relay_take_over(f->relay, wall ? clock_wall_ms() - READ_BACK_MS : TIME_NONE, e);
	if (st != RELAY_DONE)
		return st;
	// Decisions of a predecessor may have come in before it was fenced.
	cls = office_load(f, e);
	if (cls == ERROR_NONE)
		office_say(f, "running", "");
	return cls == ERROR_NONE ? RELAY_DONE : cls == ERROR_ABORT ? RELAY_ABORT : RELAY_RETRY;
}

static void office_take_facts(struct office *f)
{
	uint64_t n = facts_count(f->o.facts);
	for (; f->facts_taken < n; f->facts_taken++) {
		struct fact_record r = facts_at(f->o.facts, f->facts_taken);
		struct account_fault fault;
		account_book_apply(f->book, r.partition, r.offset, r.stamp_ms, r.value, &fault);
	}
}

// One round: outboxes, then the closer. *ret_more: there is work left.
static enum relay_status office_round(struct office *f, bool *ret_more, struct error *e)
{
	bool left = false, more = false;
	if (!facts_ready(f->o.facts)) {
		error_set(e, ERROR_RETRY, 0, "topic %s has not been read yet", f->o.kafka->accounts_topic);
		return RELAY_RETRY;
	}
	office_take_facts(f);
	enum relay_status st = relay_drain(f->relay, f->journal, f->book, &left, e);
	if (st != RELAY_DONE && st != RELAY_HALT)
		return st;
	if (st == RELAY_HALT) {
		office_say(f, "halted", e->text);
		*e = (struct error){ 0 };
	}
	bool halted = st == RELAY_HALT;
	if (clock_mono_us() >= f->closer_us) {
		enum relay_status closing = closer_step(f->closer, &f->journal, f->book, clock_wall_ms(), &more, e);
		f->closer_us = more ? 0 : clock_mono_us() + CLOSER_EVERY_US;
		if (closing != RELAY_DONE && closing != RELAY_HALT)
			return closing;
		f->closing_halted = closing == RELAY_HALT; // until its next step says otherwise, not only for this round
		if (f->closing_halted && !halted)
			office_say(f, "halted", e->text);
		*e = (struct error){ 0 };
	}
	halted = halted || f->closing_halted;
	if (!halted)
		office_say(f, "running", "");
	*ret_more = (left && !halted) || more;
	return RELAY_DONE;
}

static void office_handle(struct office *f, enum relay_status st, const struct error *e)
{
	struct error fatal = *e;
	switch (st) {
	case RELAY_DONE:
	case RELAY_HALT:
		f->backoff_ms = 0;
		return;
	case RELAY_RETRY:
		office_back_off(f, e->text);
		if (office_load(f, NULL) != ERROR_NONE)
			return;
		return;
	case RELAY_TAKE_OVER:
	case RELAY_FENCED:
		log_line(LVL_WARN, st == RELAY_FENCED ? "office_fenced" : "office_take_over_again", "why=\"%.300s\"", e->text);
		relay_leave(f->relay);
		clock_sleep_ms(100);
		return;
	case RELAY_ABORT:
		if (fatal.cls != ERROR_ABORT)
			fatal = (struct error){ .cls = ERROR_ABORT, .exit_code = EXIT_DEFECT };
		shared_fail(f->o.shared, &fatal);
		return;
	}
}

int office_turn(struct office *f)
{
	struct error e = { 0 };
	bool more = false;
	office_publish_status(f);
	if (!office_due(f)) {
		if (relay_in_charge(f->relay))
			relay_leave(f->relay);
		f->n_balance = 0; // somebody else's from here on
		f->ledger_us = 0;
		office_say(f, "idle", "");
		return LOOK_IDLE_MS;
	}
	enum relay_status st = RELAY_DONE;
	if (office_given_again(f))
		relay_leave(f->relay);
	if (!relay_in_charge(f->relay))
		st = office_take(f, &e);
	if (st == RELAY_DONE)
		st = office_round(f, &more, &e);
	office_handle(f, st, &e);
	if (st == RELAY_DONE)
		office_look_at_ledger(f);
	if (st != RELAY_DONE || more)
		return 0;
	return clock_mono_us() - f->busy_us < QUIET_US ? LOOK_MS : LOOK_IDLE_MS;
}

void office_leave(struct office *f)
{
	relay_leave(f->relay);
}

static void *office_main(void *arg)
{
	struct office *f = arg;
	while (!atomic_load(&f->o.shared->stop)) {
		int wait_ms = office_turn(f);
		if (wait_ms > 0)
			office_wait(f, wait_ms);
	}
	office_leave(f);
	return NULL;
}

void office_free(struct office *f)
{
	closer_freep(&f->closer);
	relay_freep(&f->relay);
	journal_freep(&f->journal);
	free(f->balance);
	account_book_freep(&f->book);
	if (f->beside != NULL)
		f->beside->ops->close(f->beside);
	if (f->store != NULL)
		f->store->ops->close(f->store);
	free(f);
}

enum error_class office_new(const struct office_options *o, struct office **ret, struct error *e)
{
	struct office *f = xcalloc(1, sizeof(*f));
	f->o = *o;
	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->transactional_id, sizeof(f->transactional_id), "%s-office", o->kafka->group);
	snprintf(f->source, sizeof(f->source), "/meterd/%s", o->kafka->group);
	enum error_class cls = o->ports->store_open(o->store, &f->store, e);
	if (cls == ERROR_NONE && o->settles != SETTLES_WITHIN)
		cls = o->ports->store_open(o->store, &f->beside, e);
	if (cls != ERROR_NONE) {
		office_free(f);
		return cls;
	}
	f->relay = relay_new(&(struct relay_options){ .port = o->ports->sink, .kafka = o->kafka, .store = f->store, .shards = o->store->shards,
						      .transactional_id = f->transactional_id, .source = f->source, .batch = BATCH,
						      .timeout_ms = KAFKA_TIMEOUT_MS });
	f->closer = closer_new(&(struct closer_options){ .port = o->ports->sink, .kafka = o->kafka, .settles = o->settles, .store = f->store,
							 .beside = f->beside, .relay = f->relay,
							 .shards = o->store->shards, .source = f->source, .timeout_ms = KAFKA_TIMEOUT_MS,
							 .outbox_most = OUTBOX_MOST });
	f->book = account_book_new();
	office_say(f, "idle", "");
	office_publish_status(f);
	*ret = f;
	return ERROR_NONE;
}

enum error_class office_start(const struct office_options *o, struct office **ret, struct error *e)
{
	struct office *f = NULL;
	enum error_class cls = office_new(o, &f, e);
	if (cls != ERROR_NONE)
		return cls;
	if (pthread_create(&f->thread, NULL, office_main, f) != 0) {
		office_free(f);
		return error_set(e, ERROR_ABORT, EXIT_LATER, "no thread for the office could be started");
	}
	*ret = f;
	return ERROR_NONE;
}

void office_join(struct office **f)
{
	if (*f == NULL)
		return;
	pthread_join((*f)->thread, NULL);
	office_free(*f);
	*f = NULL;
}
