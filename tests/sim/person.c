// SPDX-License-Identifier: Apache-2.0
// A person beside the instances: makes a generation again from the log, holds it against the one in force, puts it in force, goes back, drops
// one. What runs is daemon/rebuild, whose workers take turns here; its calls meet the same faults, it may die at each of them, and while it waits, and
// at some of its calls, the world goes on.
#include "base/check.h"
#include "rebuild/rebuild.h"
#include "sim.h"

enum { LANES_MOST = SIM_PARTITIONS_MOST, WAIT_MS = 60000, LEASE_MS = 3000, FINAL_TRIES = 20, DIFFERENCE = 500 };

struct sim_person {
	struct worker *workers[LANES_MOST];
	bool inside;                     // a turn of one of them: its pauses are its own thread's
	atomic_bool stop;
	bool finally;                    // everything is counted and nothing goes wrong any more
};

static struct sim_person *person(void)
{
	if (sim->person == NULL)
		sim->person = xcalloc(1, sizeof(*sim->person));
	return sim->person;
}

static struct sim_instance *process(void)
{
	return &sim->instances[SIM_PERSON];
}

// ---- what threads do in the daemon
static enum error_class start(const struct worker_options *o, struct worker **ret, struct error *e)
{
	enum error_class c = worker_new(o, ret, e);
	int i = 0;
	while (person()->workers[i] != NULL)
		check(++i < LANES_MOST);
	person()->workers[i] = c == ERROR_NONE ? *ret : NULL;
	return c;
}

static void join(struct worker **w)
{
	for (int i = 0; i < LANES_MOST; i++)
		if (person()->workers[i] == *w)
			person()->workers[i] = NULL;
	worker_leave(*w);
	worker_free(*w);
	*w = NULL;
}

static enum error_class start_facts(const struct kafka_options *o, struct shared *shared, struct facts **ret, struct error *e)
{
	(void)o, (void)shared, (void)e;
	struct sim_instance *x = process();
	x->facts = facts_new();
	memset(x->facts_next, 0, sizeof(x->facts_next));
	sim_facts_hand(x);
	facts_whole(x->facts);
	*ret = x->facts;
	return ERROR_NONE;
}

static void join_facts(struct facts **f)
{
	facts_free(*f);
	*f = process()->facts = NULL;
}

static const struct rebuild_crew crew = { start, join, start_facts, join_facts };

void sim_person_waits(void)
{
	struct sim_instance *x = process();
	if (sim->running != x || person()->inside)
		return;
	for (uint64_t n = 1 + sim_below(3); n > 0; n--)
		sim_world_goes_on();
	for (int i = 0; i < LANES_MOST; i++) {
		if (person()->workers[i] == NULL)
			continue;
		person()->inside = true;
		sim_facts_hand(x);
		worker_round(person()->workers[i]);
		person()->inside = false;
	}
}

void sim_person_calls(void)
{
	if (sim->running == process() && sim_chance(0.05))
		sim_world_goes_on();
	if (sim->running == process() && sim->step == STEP_REQUEUE && sim_chance(0.1))
		sim_hand_enters(sim_letters_return_all, EVENT_TWO_HANDS);
	if (sim->running == process() && sim->step == STEP_CORRECT && sim_chance(0.1))
		sim_hand_enters(sim_correct, EVENT_TWO_CORRECT);
}

void sim_person_lists(void)
{
	if (sim->running == process() && sim_chance(0.3))
		sim_world_goes_on();
}

void sim_person_forget(void)
{
	memset(person()->workers, 0, sizeof(person()->workers));
	person()->inside = false;
	process()->facts = NULL;
}

// ---- what it does
// Before a command: a loss that it meets may be mended by an instance before the command ends.
uint32_t sim_person_losses(void)
{
	return sim->loses && !sim_redis_whole() ? UINT32_MAX : sim->losses;
}

// What a person would be told to run again, or to wait for, is nothing wrong; nor whatever they are told where the counters got lost meanwhile.
bool sim_person_failed(const char *what, enum error_class c, const struct error *e, uint32_t losses)
{
	sim_say("person: %s: %d %s", what, c, c != ERROR_NONE ? e->text : "");
	if (c == ERROR_NONE || c == ERROR_RETRY || (c == ERROR_ABORT && e->exit_code == EXIT_LATER) || losses != sim->losses ||
	    (sim->loses && !sim_redis_whole()))
		return false;
	sim_wrong("%s: %s", what, e->text);
	return true;
}

// What depends on which partition was counted first: which call an alert names that waits, and of some whether they are raised.
static bool may_differ(const struct rebuild_difference *d)
{
	int account = -1;
	CLEANUP(freep) char *field = xstrndup(d->field.p, d->field.n);
	if (d->kind == REBUILD_OUTBOX && sscanf(field, "alert\na%d\n", &account) == 1)
		return sim_is_spread(account);
	if (d->kind == REBUILD_ALERT || d->kind == REBUILD_UNPUBLISHED)
		return sim_alert_unsure(d->field);
	return d->kind == REBUILD_MARK && sim->spread != 0 && sim->says && strncmp(field, "f:", 2) == 0; // alerts of packs come from there
}

// Counts where the verification comes to its end: a Redis that went back meanwhile makes everything differ.
static bool differs(void *ctx, const struct rebuild_difference *d)
{
	char month[MONTH_TEXT] = "", *text = ctx;
	if (may_differ(d))
		return true;
	snprintf(text, DIFFERENCE, "a generation made again differs: shard %u, %s %s, %.*s: in force %.*s, made again %.*s", d->shard, rebuild_kind_text(d->kind),
		  d->month != MONTH_NONE ? month_text(d->month, month) : "", (int)d->field.n, d->field.p, (int)d->live.n, d->live.p != NULL ? d->live.p : "",
		  (int)d->made.n, d->made.p != NULL ? d->made.p : "");
	return false;
}

static void stale(void *ctx, struct span identity)
{
	(void)ctx;
	if (sim_alert_unsure(identity))
		return;
	sim_wrong("an alert of a settled month was never raised by the generation in force: %.*s", (int)identity.n, identity.p);
}

static enum error_class promote(struct rebuild *r, struct error *e)
{
	struct store *s = NULL;
	enum error_class c = rebuild_catch_up(r, e);
	if (c == ERROR_NONE)
		c = rebuild_drop_stale(r, stale, NULL, e);
	if (c == ERROR_NONE)
		c = sim_store_open(sim->store_options, &s, e);
	if (c == ERROR_NONE) {
		s->ops->identity(s, "sim", rebuild_live(r));
		c = rebuild_promote(s, sim->ports->sink, &sim->kafka.o, rebuild_generation(r), WAIT_MS, &person()->stop, e);
	}
	if (s != NULL)
		s->ops->close(s);
	if (c == ERROR_NONE)
		sim->coverage->promoted++;
	return c;
}

static void rebuild(struct rebuild_from from, bool verify, bool put_in_force)
{
	struct sim_instance *x = process();
	struct error e = { 0 };
	struct rebuild *r = NULL;
	struct rebuild_verdict v = { 0 };
	struct rebuild_options o = { .ports = sim->ports, .crew = &crew, .settings = x->settings, .kafka = &sim->kafka.o, .store = sim->store_options,
				     .workers = 1 + (uint32_t)sim_below(2), .stop = &person()->stop };
	char difference[DIFFERENCE] = "";
	const char *what = "rebuild";
	uint32_t losses = sim_person_losses();
	o.from = from;
	enum error_class c = rebuild_open(&o, &r, &e);
	sim->coverage->begun_from += c == ERROR_NONE && rebuild_checkpoint(r) != NULL;
	if (c == ERROR_ABORT && from.kind == REBUILD_FROM_FILE && e.exit_code == EXIT_CONFIG_ERR) { // it is not fit for it, or one is being made
		sim->coverage->refused++;
		return;
	}
	if (c == ERROR_NONE && from.kind == REBUILD_FROM_FILE && (strstr(from.text, "-foreign") != NULL || strstr(from.text, "-never") != NULL))
		sim_wrong("rebuild takes %s", from.text);
	if (c == ERROR_NONE)
		c = rebuild_catch_up(r, &e);
	if (c == ERROR_NONE)
		sim->coverage->rebuilt++;
	if (c == ERROR_NONE && verify) {
		what = "verify";
		c = rebuild_verify(r, differs, difference, &v, &e);
		sim->coverage->verified += c == ERROR_NONE;
		check(c != ERROR_NONE || v.compared > 0);
		if (c == ERROR_NONE && difference[0] != '\0')
			sim_wrong("%s", difference);
		put_in_force = put_in_force && v.differences == 0;
	}
	if (c == ERROR_NONE && put_in_force) {
		what = "promote";
		c = promote(r, &e);
	}
	sim_person_failed(what, c, &e, losses);
	if (r != NULL)
		rebuild_freep(&r);
	person()->finally = c == ERROR_NONE;
}

// Opens what `meterctl` opens: the decisions, and a store in the generation in force.
static enum error_class open_state(struct journal **ret_j, struct store **ret_s, struct error *e)
{
	enum error_class c = journal_load_from(sim->ports->sink, &sim->kafka.o, 1000, ret_j, e);
	if (c == ERROR_NONE)
		c = sim_store_open(sim->store_options, ret_s, e);
	if (c == ERROR_NONE)
		(*ret_s)->ops->identity(*ret_s, (*ret_j)->init_id, (*ret_j)->generation);
	return c;
}

// As tools/rebuild.c does with --rollback.
static enum error_class roll_back(const struct journal *j, struct store *s, struct error *e)
{
	struct store_generations g = { 0 };
	bool kept = false;
	enum error_class c = s->ops->generations(s, 0, &g, e);
	for (uint32_t i = 0; i < g.n; i++)
		kept = kept || (g.list[i].number == j->generation_before && g.list[i].kind == GENERATION_OLD);
	store_generations_free(&g);
	if (c != ERROR_NONE || !kept)
		return c;
	c = rebuild_promote(s, sim->ports->sink, &sim->kafka.o, j->generation_before, WAIT_MS, &person()->stop, e);
	sim->coverage->rolled_back += c == ERROR_NONE;
	return c;
}

// As tools/generations.c does with `drop`: any of them.
static enum error_class drop(const struct journal *j, struct store *s, struct error *e)
{
	struct store_generations g = { 0 };
	CLEANUP(freep) char *other = NULL;
	enum error_class c = s->ops->generations(s, (uint32_t)sim_below(SIM_SHARDS), &g, e);
	int64_t number = c == ERROR_NONE && g.n > 0 ? g.list[sim_below(g.n)].number : j->generation;
	store_generations_free(&g);
	if (c != ERROR_NONE || number == j->generation)
		return c;
	c = s->ops->lease(s, LEASE_GENERATIONS, "meterctl generations", LEASE_MS, &other, e);
	if (c != ERROR_NONE || other != NULL)
		return c;
	for (uint32_t shard = 0; shard < SIM_SHARDS && c == ERROR_NONE; shard++)
		c = s->ops->drop(s, shard, number, e);
	if (c == ERROR_HALT) // still in force in a shard that went back behind the decision for another one: a person tries again later
		c = ERROR_RETRY;
	sim->coverage->dropped += c == ERROR_NONE;
	s->ops->lease(s, LEASE_GENERATIONS, "meterctl generations", 1, &other, e);
	return c;
}

static void other_verb(const char *what, enum error_class (*fn)(const struct journal *j, struct store *s, struct error *e))
{
	struct error e = { 0 };
	CLEANUP(journal_freep) struct journal *j = NULL;
	struct store *s = NULL;
	uint32_t losses = sim_person_losses();
	enum error_class c = open_state(&j, &s, &e);
	if (c == ERROR_NONE)
		c = fn(j, s, &e);
	sim_person_failed(what, c, &e, losses);
	if (s != NULL)
		s->ops->close(s);
}

static const struct rebuild_from first = { .kind = REBUILD_FROM_FIRST };

// `rebuild --from FILE`. Of a generation that never was, with other counters, verify would have to tell.
static void rebuild_from_file(bool put_in_force)
{
	char path[200];
	if (sim_checkpoint_pick(path, sizeof(path)) && strstr(path, "-gone") == NULL)
		rebuild((struct rebuild_from){ .kind = REBUILD_FROM_FILE, .text = path }, true, put_in_force);
}

void sim_person_works(struct sim_instance *x)
{
	(void)x;
	switch (sim_below(sim->loses ? 10 : 8)) {
	case 0:
		return rebuild(first, false, false);
	case 1:
	case 2:
		return rebuild(first, true, false);
	case 3:
	case 4:
	case 5:
		return rebuild(first, true, true);
	case 8:
	case 9:
		return rebuild_from_file(sim_chance(0.5));
	case 6:
		return other_verb("rebuild --rollback", roll_back);
	default:
		return other_verb("generations drop", drop);
	}
}

static void verify(struct sim_instance *x)
{
	(void)x;
	rebuild(first, true, false);
}

static void verify_and_promote(struct sim_instance *x)
{
	(void)x;
	rebuild(first, true, true);
}

bool sim_person_concludes(bool put_in_force)
{
	person()->finally = false;
	for (int i = 0; i < FINAL_TRIES && !person()->finally && !sim->wrong; i++, sim->mono_us += 16000000) // the lease of one that was killed ends
		sim_person_enters(put_in_force ? verify_and_promote : verify);
	if (!person()->finally)
		sim_wrong("a rebuild does not come to an end");
	return !sim->wrong;
}
