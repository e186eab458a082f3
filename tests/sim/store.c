// SPDX-License-Identifier: Apache-2.0
// A twin of the store's port around the real adapter: the calls reach a Redis in memory (redis.h), or do not, or their answers get lost. Injected: a
// request that is lost, an answer that is lost, a refusal, a commit that Redis applies after its sender has given it up, the process
// dying before or after a call, Redis or one shard set back to an earlier state. Never: a step half done.
#include "base/check.h"
#include "redis.h"
#include "sim.h"

enum { PENDING_MOST = 64, STORES = 2 * SIM_INSTANCES + 12 + SIM_PARTITIONS_MOST };
#define BIT(f) (1u << FATE_##f)
static const unsigned any_fate = BIT(LOST) | BIT(REPLY_LOST) | BIT(DIES_BEFORE) | BIT(DIES_AFTER);

struct sim_store {
	struct store s;                  // first
	struct store *real;
	struct sim_instance *of;
	struct commit *pending[PENDING_MOST];
	struct late {
		uint32_t shard;
		struct redis_held *request; // as it was sent: its sender's memory is used for other things by then
	} late[PENDING_MOST];
	uint32_t n_pending, n_late;
	bool broken;                     // the connection is gone: what is pending is unknown
	bool lost_replies;               // from some answer on: applied, and nobody learns it
};
static struct sim_store *stores[STORES];

static struct sim_store *self(struct store *s)
{
	return (struct sim_store *)s;
}

static enum error_class away(struct error *e)
{
	return error_set(e, ERROR_RETRY, 0, "redis: no answer (simulated)");
}

// One call with a fate: `call` is an expression that gives its error class.
#define WITH_FATE(step, call)                                                                                                          \
	enum fate f = sim_fate(STEP_##step, any_fate);                                                                                  \
	if (f == FATE_LOST)                                                                                                             \
		return away(e);                                                                                                         \
	enum error_class c = (call);                                                                                                    \
	sim_die_after(f);                                                                                                               \
	return f == FATE_REPLY_LOST ? away(e) : c

static enum error_class s_verify(struct store *s, struct error *e)
{
	return self(s)->real->ops->verify(self(s)->real, e);
}

static enum error_class s_state(struct store *s, uint32_t shard, struct store_state *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->state(r, shard, ret, e));
}

static enum error_class s_create(struct store *s, uint32_t shard, const char *init_id, struct error *e)
{
	struct store *r = self(s)->real;
	sim_say("shard %u is made anew", shard);
	sim->coverage->made_anew++;
	WITH_FATE(CREATE, r->ops->create(r, shard, init_id, e));
}

static void s_identity(struct store *s, const char *init_id, int64_t generation)
{
	self(s)->real->ops->identity(self(s)->real, init_id, generation);
}

static enum error_class s_register_rules(struct store *s, uint32_t shard, int64_t version, struct error *e)
{
	struct store *r = self(s)->real;
	sim_say("shard %u: rules %lld are known", shard, (long long)version);
	if (version > sim->rules_known) {
		sim->rules_known = version;
		sim->known_now = true;
		if (!sim->quiet && sim_chance(0.5))
			sim_snapshot();
	}
	WITH_FATE(REGISTER, r->ops->register_rules(r, shard, version, e));
}

static enum error_class s_claim(struct store *s, uint32_t shard, struct span token, struct store_claim *claims, uint32_t n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(CLAIM, r->ops->claim(r, shard, token, claims, n, e));
}

// What was given up but lies in some buffer still, arrives: before this call, or after it, when its token is not in force any more.
static void arrive(struct sim_store *s, uint32_t shard)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n_late; i++) {
		if (s->late[i].shard != shard)
			s->late[n++] = s->late[i];
		else
			redis_twin_arrive(s->late[i].request);
	}
	s->n_late = n;
}

static enum error_class s_renew(struct store *s, uint32_t shard, struct span old_token, struct span new_token, struct store_claim *claims,
				uint32_t n, bool *ret_foreign, struct error *e)
{
	struct sim_store *x = self(s);
	struct store *r = x->real;
	bool before = x->n_late > 0 && sim_chance(0.5);
	if (before)
		arrive(x, shard);
	enum fate f = sim_fate(STEP_RENEW, any_fate);
	if (f == FATE_LOST)
		return away(e);
	enum error_class c = r->ops->renew(r, shard, old_token, new_token, claims, n, ret_foreign, e);
	sim_die_after(f);
	if (!before && c == ERROR_NONE)
		arrive(x, shard);
	return f == FATE_REPLY_LOST ? away(e) : c;
}

static void s_commit_send(struct store *s, struct commit *c)
{
	struct sim_store *x = self(s);
	check(x->n_pending < PENDING_MOST);
	x->pending[x->n_pending++] = c;
}

static void result_of(struct commit_result *ret, const struct commit *c, enum commit_status status, const char *text)
{
	*ret = (struct commit_result){ .status = status, .tag = c->tag, .shard = c->shard };
	snprintf(ret->text, sizeof(ret->text), "%s", text);
}

static void apply(struct sim_store *x, struct commit *c, struct commit_result *ret)
{
	x->real->ops->commit_send(x->real, c);
	check(x->real->ops->commit_receive(x->real, 0, ret));
	for (uint32_t i = 0; i < c->n_parts && sim->trace; i++)
		sim_say("instance %d, shard %u: rules %lld, %.*s %lld..%lld, clock %lld: %d %s", x->of != NULL ? x->of->index : -1, c->shard,
			(long long)c->rules_version, (int)c->parts[i].name.n, c->parts[i].name.p, (long long)c->parts[i].from,
			(long long)c->parts[i].to.next, (long long)c->parts[i].to.clock_ms, ret->status, ret->text);
}

static void keep_late(struct sim_store *x, struct commit *c)
{
	struct late *l = &x->late[x->n_late++];
	struct commit_result none;
	*l = (struct late){ .shard = c->shard };
	redis_twin_hold(&l->request);
	x->real->ops->commit_send(x->real, c);
	redis_twin_hold(NULL);
	check(x->real->ops->commit_receive(x->real, 0, &none));
	x->n_late -= l->request == NULL; // it never left: the connection is another one
}

// Once one answer is missing, all that were sent behind it are unknown: applied in order up to some point, the rest lost or late.
static bool unknown(struct sim_store *x, struct commit *c, struct commit_result *ret, enum fate f)
{
	if (f == FATE_REPLY_LOST) {
		apply(x, c, ret);
	} else {
		x->broken = true; // nothing behind it gets through either
		if (f == FATE_LATE && x->n_late < PENDING_MOST)
			keep_late(x, c);
	}
	result_of(ret, c, COMMIT_UNKNOWN, "no answer (simulated)");
	return true;
}

static bool s_commit_receive(struct store *s, int timeout_ms, struct commit_result *ret)
{
	struct sim_store *x = self(s);
	if (x->n_pending == 0) {
		sim->mono_us += timeout_ms * 1000;
		return false;
	}
	struct commit *c = x->pending[0];
	memmove(x->pending, x->pending + 1, --x->n_pending * sizeof(*x->pending));
	if (x->broken) {
		if (x->n_pending == 0)
			x->broken = false;
		result_of(ret, c, COMMIT_UNKNOWN, "no answer (simulated)");
		return true;
	}
	enum fate f = x->lost_replies ? FATE_REPLY_LOST : sim_fate(STEP_COMMIT, any_fate | BIT(REFUSED) | BIT(LATE));
	switch (f) {
	case FATE_REFUSED:
		result_of(ret, c, COMMIT_REFUSED, "OOM command not allowed (simulated)");
		return true;
	case FATE_LOST:
	case FATE_LATE:
	case FATE_REPLY_LOST:
		unknown(x, c, ret, f);
		x->lost_replies = f == FATE_REPLY_LOST && x->n_pending > 0;
		x->broken = x->broken && x->n_pending > 0;
		return true;
	default:
		apply(x, c, ret);
		sim_die_after(f);
		return true;
	}
}

static uint64_t s_session(struct store *s)
{
	struct store *r = self(s)->real;
	return r->ops->session(r);
}

static void s_informed(struct store *s, uint64_t session)
{
	struct store *r = self(s)->real;
	r->ops->informed(r, session);
}

static int s_fd(struct store *s)
{
	(void)s;
	return -1;
}

static enum error_class s_mark(struct store *s, struct span name, int64_t offset, int64_t *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(MARK, r->ops->mark(r, name, offset, ret, e));
}

static enum error_class s_outbox_waiting(struct store *s, bool *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(OUTBOX_READ, r->ops->outbox_waiting(r, ret, e));
}

static enum error_class s_outbox_read(struct store *s, uint32_t shard, uint32_t most, store_outbox_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	enum fate f = sim_fate(STEP_OUTBOX_READ, any_fate);
	if (f == FATE_LOST || f == FATE_REPLY_LOST)
		return away(e);
	enum error_class c = r->ops->outbox_read(r, shard, most, fn, ctx, e);
	sim_die_after(f);
	return c;
}

static enum error_class s_outbox_ack(struct store *s, uint32_t shard, const struct span *ids, const struct span *identities, uint32_t n,
				     struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(OUTBOX_ACK, r->ops->outbox_ack(r, shard, ids, identities, n, e));
}

static enum error_class s_outbox_length(struct store *s, uint32_t shard, int64_t *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->outbox_length(r, shard, ret, e));
}

static enum error_class s_positions(struct store *s, uint32_t shard, struct store_positions *ret, struct error *e)
{
	struct store *r = self(s)->real;
	enum fate f = sim_fate(STEP_LOOK, BIT(LOST) | BIT(DIES_BEFORE));
	return f == FATE_LOST ? away(e) : r->ops->positions(r, shard, ret, e);
}

static enum error_class s_months(struct store *s, uint32_t shard, struct store_months *ret, struct error *e)
{
	struct store *r = self(s)->real;
	enum fate f = sim_fate(STEP_LOOK, BIT(LOST) | BIT(DIES_BEFORE));
	return f == FATE_LOST ? away(e) : r->ops->months(r, shard, ret, e);
}

static enum error_class s_cut(struct store *s, uint32_t shard, int month, struct span name, int64_t *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->cut(r, shard, month, name, ret, e));
}

static enum error_class s_close_month(struct store *s, uint32_t shard, int month, int64_t close_ms, const char *sha256, bool follows,
				      const struct span *parts, uint32_t n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(CLOSE_MONTH, r->ops->close_month(r, shard, month, close_ms, sha256, follows, parts, n, e));
}

static enum error_class s_scan_counters(struct store *s, uint32_t shard, int month, int adjust, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(SCAN, r->ops->scan_counters(r, shard, month, adjust, fn, ctx, e));
}

static enum error_class s_scan_freezes(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(SCAN, r->ops->scan_freezes(r, shard, month, fn, ctx, e));
}

static enum error_class s_scan_settled(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(SCAN, r->ops->scan_settled(r, shard, month, fn, ctx, e));
}

static enum error_class s_scan_ledger(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(SCAN, r->ops->scan_ledger(r, shard, fn, ctx, e));
}

static enum error_class s_active_since(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, int below, int *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->active_since(r, shard, accounts, n, below, ret, e));
}

static enum error_class s_settled_get(struct store *s, uint32_t shard, int month, const struct span *fields, uint32_t n, struct arena *arena,
				      struct span *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->settled_get(r, shard, month, fields, n, arena, ret, e));
}

static enum error_class s_packs_get(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, struct arena *arena, struct span *ret,
				    struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->packs_get(r, shard, accounts, n, arena, ret, e));
}

static enum error_class s_settle(struct store *s, uint32_t shard, int month, const struct store_statement *list, uint32_t n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(SETTLE, r->ops->settle(r, shard, month, list, n, e));
}

static enum error_class s_finish(struct store *s, uint32_t shard, int month, const struct store_held *held, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(FINISH, r->ops->finish(r, shard, month, held, e));
}

static enum error_class s_finished(struct store *s, uint32_t shard, int month, bool *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->finished(r, shard, month, ret, e));
}

static enum error_class s_end_run(struct store *s, int month, struct span identity, struct span document, int64_t not_before_ms, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(END_RUN, r->ops->end_run(r, month, identity, document, not_before_ms, e));
}

static enum error_class s_adopt(struct store *s, uint32_t shard, int64_t epoch, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(ADOPT, r->ops->adopt(r, shard, epoch, e));
}

static enum error_class s_looked(struct store *s, uint32_t shard, int64_t *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->looked(r, shard, ret, e));
}

static enum error_class s_looked_set(struct store *s, uint32_t shard, const char *mark, int64_t ms, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->looked_set(r, shard, mark, ms, e));
}

static enum error_class s_scan_active(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(SCAN, r->ops->scan_active(r, shard, fn, ctx, e));
}

static enum error_class s_counter(struct store *s, uint32_t shard, int month, struct span account, struct span service, int64_t *ret, struct error *e)
{
	struct store *r = self(s)->real;
	return r->ops->counter(r, shard, month, account, service, ret, e);
}

// ---- generations
static enum error_class s_generations(struct store *s, uint32_t shard, struct store_generations *ret, struct error *e)
{
	struct store *r = self(s)->real;
	enum fate f = sim_fate(STEP_GENERATIONS, BIT(LOST) | BIT(DIES_BEFORE));
	return f == FATE_LOST ? away(e) : r->ops->generations(r, shard, ret, e);
}

static enum error_class s_begin(struct store *s, uint32_t shard, int64_t generation, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(BEGIN, r->ops->begin(r, shard, generation, e));
}

static enum error_class s_cut_copy(struct store *s, uint32_t shard, int64_t of, int64_t copy, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(CUT_COPY, r->ops->cut_copy(r, shard, of, copy, e));
}

static enum error_class s_drop(struct store *s, uint32_t shard, int64_t generation, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(DROP, r->ops->drop(r, shard, generation, e));
}

static enum error_class s_lease(struct store *s, enum store_lease of, const char *holder, int64_t ttl_ms, char **ret_other, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LEASE, r->ops->lease(r, of, holder, ttl_ms, ret_other, e));
}

static enum error_class s_keys(struct store *s, uint32_t shard, struct store_keys *ret, struct error *e)
{
	struct store *r = self(s)->real;
	enum fate f = sim_fate(STEP_COMPARE, BIT(LOST) | BIT(DIES_BEFORE));
	return f == FATE_LOST ? away(e) : r->ops->keys(r, shard, ret, e);
}

static enum error_class s_scan_key(struct store *s, uint32_t shard, const struct store_key *k, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(COMPARE, r->ops->scan_key(r, shard, k, fn, ctx, e));
}

static enum error_class s_get_key(struct store *s, uint32_t shard, const struct store_key *k, const struct span *fields, uint32_t n,
				  struct arena *arena, struct span *ret, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(COMPARE, r->ops->get_key(r, shard, k, fields, n, arena, ret, e));
}

static enum error_class s_marks(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(COMPARE, r->ops->marks(r, shard, fn, ctx, e));
}

// ---- checkpoints
static enum error_class s_entries(struct store *s, uint32_t shard, store_entry_fn *fn, void *ctx, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(ENTRIES, r->ops->entries(r, shard, fn, ctx, e));
}

static enum error_class s_restore(struct store *s, uint32_t shard, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(RESTORE, r->ops->restore(r, shard, e));
}

static enum error_class s_put(struct store *s, uint32_t shard, const struct store_key *k, const struct span *words, uint32_t n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(PUT, r->ops->put(r, shard, k, words, n, e));
}

static enum error_class s_put_marks(struct store *s, uint32_t shard, const struct span *words, uint32_t n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(PUT, r->ops->put_marks(r, shard, words, n, e));
}

static enum error_class s_put_entry(struct store *s, uint32_t shard, const struct span *words, uint32_t n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(PUT, r->ops->put_entry(r, shard, words, n, e));
}

static enum error_class s_restored(struct store *s, uint32_t shard, bool in_force, struct error *e)
{
	struct store *r = self(s)->real;
	sim_say("shard %u is restored%s", shard, in_force ? ", and in force" : "");
	WITH_FATE(RESTORED, r->ops->restored(r, shard, in_force, e));
}

static enum error_class s_left_over(struct store *s, uint32_t shard, bool remove, int64_t *ret_n, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(RESTORE, r->ops->left_over(r, shard, remove, ret_n, e));
}

static enum error_class s_request_put(struct store *s, struct span request, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(ASK, r->ops->request_put(r, request, e));
}

static enum error_class s_request_peek(struct store *s, char **ret, struct error *e)
{
	struct store *r = self(s)->real;
	enum fate f = sim_fate(STEP_LOOK, BIT(LOST) | BIT(DIES_BEFORE));
	return f == FATE_LOST ? away(e) : r->ops->request_peek(r, ret, e);
}

static enum error_class s_request_drop(struct store *s, struct span request, struct error *e)
{
	struct store *r = self(s)->real;
	WITH_FATE(LOOK, r->ops->request_drop(r, request, e));
}

static void s_close(struct store *s)
{
	for (int i = 0; i < STORES; i++)
		if (stores[i] == self(s))
			stores[i] = NULL;
	self(s)->real->ops->close(self(s)->real);
	for (uint32_t i = 0; i < self(s)->n_late; i++)
		redis_twin_drop(self(s)->late[i].request);
	free(s);
}

static const struct store_ops sim_ops = {
	.verify = s_verify, .state = s_state, .create = s_create, .identity = s_identity, .register_rules = s_register_rules, .claim = s_claim,
	.renew = s_renew, .commit_send = s_commit_send, .commit_receive = s_commit_receive, .fd = s_fd, .session = s_session,
	.informed = s_informed, .mark = s_mark,
	.outbox_waiting = s_outbox_waiting, .outbox_read = s_outbox_read, .outbox_ack = s_outbox_ack, .outbox_length = s_outbox_length, .positions = s_positions, .months = s_months,
	.cut = s_cut, .close_month = s_close_month, .scan_counters = s_scan_counters, .scan_freezes = s_scan_freezes,
	.scan_settled = s_scan_settled, .scan_ledger = s_scan_ledger, .active_since = s_active_since, .settled_get = s_settled_get,
	.packs_get = s_packs_get, .settle = s_settle, .finish = s_finish, .finished = s_finished, .end_run = s_end_run, .looked = s_looked,
	.adopt = s_adopt, .looked_set = s_looked_set, .scan_active = s_scan_active, .counter = s_counter, .request_put = s_request_put,
	.request_peek = s_request_peek,
	.generations = s_generations, .begin = s_begin, .cut_copy = s_cut_copy, .drop = s_drop, .lease = s_lease, .keys = s_keys,
	.scan_key = s_scan_key, .get_key = s_get_key, .marks = s_marks, .entries = s_entries,
	.restore = s_restore, .put = s_put, .put_marks = s_put_marks, .put_entry = s_put_entry, .restored = s_restored, .left_over = s_left_over,
	.request_drop = s_request_drop, .close = s_close,
};

enum error_class sim_store_open(const struct store_options *o, struct store **ret, struct error *e)
{
	struct store *real = NULL;
	enum error_class c = store_redis_open(o, &real, e);
	if (c != ERROR_NONE)
		return c;
	struct sim_store *x = xcalloc(1, sizeof(*x));
	*x = (struct sim_store){ .s = { &sim_ops }, .real = real, .of = sim->running };
	int i = 0;
	while (stores[i] != NULL)
		check(++i < STORES);
	stores[i] = x;
	*ret = &x->s;
	return ERROR_NONE;
}

// Its commits that were under way may be in the buffers of the network: some get through, and so may what it gave up before.
void sim_store_forget(struct sim_instance *of)
{
	for (int i = 0; i < STORES; i++) {
		struct sim_store *x = stores[i];
		if (x == NULL || x->of != of)
			continue;
		if (x->n_late > 0 && sim_chance(0.5))
			for (uint32_t shard = 0; shard < SIM_SHARDS; shard++)
				arrive(x, shard);
		uint32_t through = x->broken ? 0 : (uint32_t)sim_below(x->n_pending + 1);
		for (uint32_t k = 0; k < through; k++) {
			struct commit_result r;
			apply(x, x->pending[k], &r);
		}
		s_close(&x->s);
	}
}

// ---- Redis as a whole
struct sim_snapshots {
	uint32_t n;
	struct redis_keys *list[SIM_SNAPSHOTS];
};

static struct sim_snapshots *snapshots(void)
{
	if (sim->snapshots == NULL)
		sim->snapshots = xcalloc(1, sizeof(*sim->snapshots));
	return sim->snapshots;
}

// Every shard holds the generation in force, or will: a copy of less is a loss, which has an event of its own.
static bool is_whole(const struct redis_keys *c)
{
	char generation[40], meta[64];
	snprintf(generation, sizeof(generation), "g:%lld", (long long)sim_generation());
	for (int shard = 0; shard < SIM_SHARDS; shard++) {
		snprintf(meta, sizeof(meta), "%s{s%02d}:meta", sim->prefix, shard);
		if (!redis_twin_copy_has(c, meta, generation, "cut") || !redis_twin_copy_has(c, meta, generation, "restoring"))
			return false;
	}
	return true;
}

bool sim_redis_whole(void)
{
	struct redis_keys *now = redis_twin_copy();
	bool whole = is_whole(now);
	redis_twin_copy_free(now);
	return whole;
}

void sim_snapshots_drop(void)
{
	struct sim_snapshots *all = snapshots();
	while (all->n > 0)
		redis_twin_copy_free(all->list[--all->n]);
}

void sim_snapshot(void)
{
	struct sim_snapshots *all = snapshots();
	struct redis_keys *now = redis_twin_copy();
	if (sim->loses && !is_whole(now)) {
		redis_twin_copy_free(now);
		return;
	}
	if (all->n == SIM_SNAPSHOTS) {
		redis_twin_copy_free(all->list[0]);
		memmove(&all->list[0], &all->list[1], (SIM_SNAPSHOTS - 1) * sizeof(all->list[0]));
		all->n--;
	}
	all->list[all->n++] = now;
}

// Where Redis is set back behind the making of the generation in force, that one is lost, and a person must act (scenario g03): not here. So a copy
// that does not hold it is of no use any more, and while its coming into force is under way none is put back.
static bool generation_kept(void)
{
	struct sim_snapshots *all = snapshots();
	for (size_t i = 0; i < sim->kafka.n_late; i++)
		if (strcmp(sim->kafka.late[i].topic, "meterd.control") == 0)
			return false;
	for (uint32_t at = 0; at < all->n;) {
		if (is_whole(all->list[at])) { // a copy of the one before may have borne its number, or it was being put back
			at++;
			continue;
		}
		redis_twin_copy_free(all->list[at]);
		memmove(&all->list[at], &all->list[at + 1], (--all->n - at) * sizeof(all->list[0]));
	}
	return all->n > 0;
}

// To an earlier state of this course of events: copies that were made after it, of a course that never was, are gone. (Whoever restores first an
// older copy and then a newer one of the course before may have rules dated before what that one counted.)
void sim_rollback(int shard)
{
	struct sim_snapshots *all = snapshots();
	char tag[16] = "";
	if (all->n == 0 || (sim->generations && !generation_kept()))
		return;
	if (shard >= 0)
		snprintf(tag, sizeof(tag), "{s%02d}", shard);
	uint32_t to = (uint32_t)sim_below(all->n);
	redis_twin_restore(all->list[to], tag);
	while (all->n > to + 1)
		redis_twin_copy_free(all->list[--all->n]);
}

static int64_t now_ms(void)
{
	return sim->mono_us / 1000;
}

void sim_redis_open(void)
{
	redis_twin_clear();
	redis_twin_before_cut = sim_person_lists;
	redis_twin_order = sim->seed;
	redis_twin_now_ms = now_ms;
}

void sim_redis_close(void)
{
	struct sim_snapshots *all = snapshots();
	for (uint32_t i = 0; i < all->n; i++)
		redis_twin_copy_free(all->list[i]);
	free(all);
	sim->snapshots = NULL;
}
