// SPDX-License-Identifier: Apache-2.0
// The port to the counters. Its real adapter is Redis, one function call a step (store/meterd.lua); every call here is
// indivisible in one shard, and no call needs two.
//
// @thread one connection, one owner. Workers use claim, renew and commit; the closer and relay use the rest.
//
// Errors of all calls but the commit's: ERROR_RETRY (away or refusing for now: nothing applied, or the call is idempotent),
// ERROR_ABORT 78 (lost or foreign state: says what to run), ERROR_HALT (text of an error that must not be retried).
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/error.h"
#include "model/commit.h"

// What to do about counters that are lost or not ours.
#define STORE_LOST_ADVICE                                                                                                              \
	"Nothing was changed. Restore Redis from its backup, or put a checkpoint back with `meterctl restore` (what came since is counted again " \
	"from Kafka), or set on_state_loss: rebuild, by which the next start does so itself, or counts everything again from the first offsets"

struct store_options {
	const char *url;         // redis://127.0.0.1:6379/0, rediss:// likewise over TLS, or unix:///path?db=0
	const char *user, *password; // NULL: none
	const char *ca_file, *cert_file, *key_file; // over TLS; NULL: those that the system trusts, no certificate of one's own
	const char *prefix;      // of all keys, "meterd:"
	uint32_t shards;         // fixed at init
	int timeout_ms;          // of a call; after it the outcome is unknown
};

struct store_state {             // what a shard's meta says
	bool exists;
	bool lacks_generation;   // nothing of the generation of `identity`, or of the first one
	bool restoring;          // that generation is being put back from a checkpoint, or that was interrupted
	char init_id[40];
	uint32_t shards;
	int64_t generation;      // in force, as far as the shard was told
	int64_t rules_version;
};

// A generation is a whole ledger of its own beside others: counters, offsets, outbox and all (meterd.lua says what each kind may).
enum store_generation_kind { GENERATION_LIVE, GENERATION_BUILDING, GENERATION_CUT, GENERATION_OLD, GENERATION_RESTORING };
struct store_generations {       // of one shard, by number
	uint32_t n;
	struct store_generation {
		int64_t number;
		enum store_generation_kind kind;
	} *list;
};
struct store_keys {              // the hashes of a generation that may hold something: all of it but the outbox
	uint32_t n;
	struct store_key {
		const char *what;        // "use", "led", …: as in meterd.lua
		int month, adjust_month; // MONTH_NONE: of no month
	} *list;
};

struct store_claim {
	struct span name;        // "topic/partition"
	struct position start;   // where the partition begins, from init or admit: used when the shard has no entry yet
	struct position at;      // out: where the shard stands
};

// ---- outbox entries: facts of an alert, or a rendered document (settlement, statement, end of run)
enum outbox_type { OUTBOX_ALERT, OUTBOX_DOCUMENT };
struct outbox_entry {
	struct span stream_id;   // of this shard's stream
	struct span identity;    // what the published id is the SHA-256 of (interfaces.md, section 1): lines joined by LF
	enum outbox_type type;
	bool given_up;           // made by a generation that is not in force any more: its twin stands, whatever it says
	int64_t not_before_ms;   // wall time before which no twin of this entry can have been published; TIME_NONE: any time
	// OUTBOX_ALERT
	int64_t rules_version, before, after; // before, after: of the counter, or of the sum that the bound is about
	struct span contract;    // "id/version" whose terms hold; n 0: the price list's
	bool has_taken;          // packs: calls taken of it; tiers of services that share: billable calls
	int64_t taken_before, taken_after;
	struct span cause;       // p not NULL: a change made it due, no call; time_ms is the change's, and what follows is empty
	struct span sharing;     // of a shared quota: the services that share it, blank between them
	bool first_month;        // the ladder of the month of activation held
	struct span part;        // "topic/partition"
	int64_t offset, time_ms, calls;
	int64_t read_ms;         // wall: when a worker read the crossing call; TIME_NONE: not known
	struct span event_id, event_source; // source.p NULL: none
	// OUTBOX_DOCUMENT
	struct span account;     // Kafka key; empty for the end of run
	struct span document;    // the whole CloudEvent, to be published as it is
	bool more;               // more documents of the same stream_id follow at once
};
// Entries are valid during the call. Return false to stop.
typedef bool store_outbox_fn(void *ctx, uint32_t shard, const struct outbox_entry *e);

struct store_line {              // one settled line of an account's month
	struct span service_id;
	int64_t calls;           // must equal the stored counter (0: none stored), or the step is refused
	int64_t unfreeze_fen;    // must equal what the month before froze (0: nothing)
	int64_t freeze_fen;      // becomes the freeze of this month; 0: none
	struct span facts;       // kept in set:<month> under account/service: what the first adjustment starts from
	struct span identity, document;
};
#define STORE_CORRECTION INT64_C(-1)
struct store_adjustment {        // of one service in a month that was closed before: late calls, or a correction
	struct span service_id;
	int64_t calls;           // must equal the late bucket of the two months; STORE_CORRECTION: nothing is counted in it
	struct span identity, document;
};
// One such month: its adjustments, and the next revision of the account's statement. What was settled stays as it is in
// set:<that month>; the newest revision lies beside it, under "#rev/account".
struct store_revision {
	int month;
	uint32_t n_adjustments;
	const struct store_adjustment *adjustments;
	struct span before;      // must equal the newest revision kept; p NULL: none
	struct span facts;       // replaces it
	struct span identity, document;
};
// What the close of a month does to one account: adjustments of earlier months, then its own month.
// Documents: not_before_ms is handed back with the outbox entry, see above.
struct store_statement {
	struct span account;
	uint32_t n_revisions, n_lines; // not both 0
	const struct store_revision *revisions; // by month
	struct span late_facts;  // with revisions: kept in set:<month> under "#late/account"
	struct span packs_before, packs; // what packs gave so far: must equal what is kept (p NULL: nothing), and replaces it
	const struct store_line *lines; // none: only late calls came
	struct span facts;       // with lines: kept under the account
	struct span identity, document;
	int64_t not_before_ms;
};
// What a whole scan of a shard's month found, and what was made of it.
struct store_held {
	int64_t counters, freezes;  // fields of the month, and of the freezes of the month before
	int64_t late;            // fields in the late buckets that are adjusted with it
	uint32_t n_late_months;  // those buckets
	const int *late_months;
	int64_t statements;      // accounts settled
};

struct store_months {            // which months a shard holds
	uint32_t n;
	struct store_month {
		int month, adjust_month; // adjust_month MONTH_NONE: counters; otherwise a late bucket
	} *list;
};
struct store_position {
	char *name;
	struct position at;
};
struct store_positions {
	uint32_t n;
	struct store_position *list;
};
// Field "account/service" or "account", value. Return false to stop. A field may come more than once (HSCAN).
typedef bool store_scan_fn(void *ctx, struct span field, struct span value);
// An outbox entry as it is: n names and values in turn. Return false to stop.
typedef bool store_entry_fn(void *ctx, const struct span *words, uint32_t n);
// What one at a time may do: work on generations, write a checkpoint.
enum store_lease { LEASE_GENERATIONS, LEASE_CHECKPOINT };

struct store;
struct store_ops {
	// -- start
	enum error_class (*verify)(struct store *s, struct error *e);  // reachable, settings fit (an evicting policy: ABORT 78), functions loaded
	enum error_class (*state)(struct store *s, uint32_t shard, struct store_state *ret, struct error *e);
	// In the generation of `identity`. Idempotent for the same id; another id: ABORT 78.
	enum error_class (*create)(struct store *s, uint32_t shard, const char *init_id, struct error *e);
	void (*identity)(struct store *s, const char *init_id, int64_t generation); // what every later call must find
	enum error_class (*register_rules)(struct store *s, uint32_t shard, int64_t version, struct error *e);

	// -- worker
	// Takes partitions over, unconditionally: only in the assign callback. Sets claims[i].at.
	enum error_class (*claim)(struct store *s, uint32_t shard, struct span token, struct store_claim *claims, uint32_t n, struct error *e);
	// After an unknown result: compare-and-set on the own token, then the offsets. *ret_foreign: the token is not ours, or another
	// generation is in force.
	enum error_class (*renew)(struct store *s, uint32_t shard, struct span old_token, struct span new_token,
				  struct store_claim *claims, uint32_t n, bool *ret_foreign, struct error *e);
	// Sends a commit; answers come in the order of sending. `c` must live until its result is received.
	void (*commit_send)(struct store *s, struct commit *c);
	// The next answer; false when none came within timeout_ms (0: look only). After COMMIT_UNKNOWN all that were sent are
	// unknown too: each is reported so, in order. Past the store's own time-out the connection is given up.
	bool (*commit_receive)(struct store *s, int timeout_ms, struct commit_result *ret);
	int (*fd)(struct store *s); // to poll for readability; -1 when not connected
	// How often a connection was made. With one that broke Redis may have lost what it was told last: that newer rules are known, or that another
	// generation is in force. So a commit goes out only on the connection for which its sender says that it has read the control topic since it
	// was made; on another one it is COMMIT_REFUSED. Who never says so is not asked.
	uint64_t (*session)(struct store *s);
	void (*informed)(struct store *s, uint64_t session);

	// Record clock just before `offset` (a multiple of a dedupe generation), kept in shard 0; TIME_NONE when there is none.
	enum error_class (*mark)(struct store *s, struct span name, int64_t offset, int64_t *ret_clock_ms, struct error *e);

	// -- relay
	// Which shards' outboxes hold entries, in one round trip for all of them; ret: as many as there are shards.
	enum error_class (*outbox_waiting)(struct store *s, bool *ret, struct error *e);
	enum error_class (*outbox_read)(struct store *s, uint32_t shard, uint32_t most, store_outbox_fn *fn, void *ctx, struct error *e); // from the start
	// Removes entries; (stream id, identity) must both match, or the entry stays. In the order in which they were read; one that holds several documents
	// goes where all of them are named.
	enum error_class (*outbox_ack)(struct store *s, uint32_t shard, const struct span *stream_ids, const struct span *identities, uint32_t n, struct error *e);
	enum error_class (*outbox_length)(struct store *s, uint32_t shard, int64_t *ret, struct error *e);

	// -- closer
	enum error_class (*positions)(struct store *s, uint32_t shard, struct store_positions *ret, struct error *e);
	enum error_class (*months)(struct store *s, uint32_t shard, struct store_months *ret, struct error *e);
	// Offset of the cut of `name` for the month: the partition's first offset with clock >= close(month). The first record of a
	// partition stands for all months that its clock began behind. -1 when the shard has seen no record of it.
	enum error_class (*cut)(struct store *s, uint32_t shard, int month, struct span name, int64_t *ret, struct error *e);
	// Marks the month closed with the manifest's hash. Refuses (ERROR_RETRY) unless the shard's clock of every partition named has
	// reached close_ms and, where the month `follows` another one, that one is finished here; idempotent for the same hash,
	// ERROR_HALT for another.
	enum error_class (*close_month)(struct store *s, uint32_t shard, int month, int64_t close_ms, const char *manifest_sha256, bool follows,
					const struct span *parts, uint32_t n_parts, struct error *e);
	// Scans start at 0 after every reconnect; ERROR_RETRY: start again.
	enum error_class (*scan_counters)(struct store *s, uint32_t shard, int month, int adjust_month, store_scan_fn *fn, void *ctx, struct error *e);
	enum error_class (*scan_freezes)(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e); // made by that month's settlement
	enum error_class (*scan_settled)(struct store *s, uint32_t shard, int month, store_scan_fn *fn, void *ctx, struct error *e);
	enum error_class (*scan_ledger)(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e); // "topic/partition/outcome", and …/consumed
	enum error_class (*active_since)(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, int below_month,
					 int *ret_months, struct error *e); // earliest event month of calls closed with or before below_month; MONTH_NONE
	// Fields of set:<month>, and what packs gave by account: copies in `arena`, p NULL where there is nothing.
	enum error_class (*settled_get)(struct store *s, uint32_t shard, int month, const struct span *fields, uint32_t n, struct arena *arena,
					struct span *ret, struct error *e);
	enum error_class (*packs_get)(struct store *s, uint32_t shard, const struct span *accounts, uint32_t n, struct arena *arena,
				      struct span *ret, struct error *e);
	// Settles accounts, each in one idempotent step: one that was settled in this month is passed over. ERROR_HALT where the shard
	// holds something else than the lines were made from; then nothing is written.
	enum error_class (*settle)(struct store *s, uint32_t shard, int month, const struct store_statement *list, uint32_t n, struct error *e);
	// Ends the month in this shard. Refuses unless the shard is closed and holds what is given, and no late bucket but those named;
	// shard 0, the last one, also unless end_run came before.
	enum error_class (*finish)(struct store *s, uint32_t shard, int month, const struct store_held *held, struct error *e);
	enum error_class (*finished)(struct store *s, uint32_t shard, int month, bool *ret, struct error *e);
	// The end-of-run document, once, into shard 0's outbox. Refuses (ERROR_RETRY) unless the shard is closed.
	enum error_class (*end_run)(struct store *s, int month, struct span identity, struct span document, int64_t not_before_ms,
				    struct error *e);
	// Up to which change (record clock) the counters were looked at for alerts that no call raises; INT64_MIN: none.
	enum error_class (*looked)(struct store *s, uint32_t shard, int64_t *ret_ms, struct error *e);
	// All accounts of the shard were looked at, by the pass that left `mark` (commit_pass). ERROR_RETRY: the shard went back since.
	enum error_class (*looked_set)(struct store *s, uint32_t shard, const char *mark, int64_t ms, struct error *e);
	// Every account that has counted or late calls, as `field`.
	enum error_class (*scan_active)(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e);
	// Counters by field, for `usage`; -1 where there is none.
	enum error_class (*counter)(struct store *s, uint32_t shard, int month, struct span account, struct span service_id, int64_t *ret, struct error *e);

	// The same for many "account/service" fields, also of a late bucket: copies in `arena`, p NULL where there is none.
	enum error_class (*counters_get)(struct store *s, uint32_t shard, int month, int adjust_month, const struct span *fields, uint32_t n,
					 struct arena *arena, struct span *ret, struct error *e);

	// -- generations. What else is called works on the one of `identity`
	enum error_class (*generations)(struct store *s, uint32_t shard, struct store_generations *ret, struct error *e);
	enum error_class (*begin)(struct store *s, uint32_t shard, int64_t generation, struct error *e); // BUILDING; idempotent
	enum error_class (*cut_copy)(struct store *s, uint32_t shard, int64_t of, int64_t copy, struct error *e); // CUT: all of `of`, at one moment
	// The generation of `identity` is in force from here on, in this shard; what another one had not published goes to its outbox.
	// epoch: the offset of that decision in the control topic (-1: init's); ERROR_RETRY where a later one was carried out already.
	enum error_class (*adopt)(struct store *s, uint32_t shard, int64_t epoch, struct error *e);
	enum error_class (*drop)(struct store *s, uint32_t shard, int64_t generation, struct error *e); // ERROR_HALT for one in force
	// *ret_other: who has it, NULL: the caller, for ttl_ms; free it.
	enum error_class (*lease)(struct store *s, enum store_lease of, const char *holder, int64_t ttl_ms, char **ret_other, struct error *e);
	enum error_class (*size)(struct store *s, uint32_t shard, const struct store_key *k, int64_t *ret_bytes, struct error *e); // of memory, about
	enum error_class (*keys)(struct store *s, uint32_t shard, struct store_keys *ret, struct error *e);
	enum error_class (*scan_key)(struct store *s, uint32_t shard, const struct store_key *k, store_scan_fn *fn, void *ctx, struct error *e);
	enum error_class (*get_key)(struct store *s, uint32_t shard, const struct store_key *k, const struct span *fields, uint32_t n,
				    struct arena *arena, struct span *ret, struct error *e); // p NULL where there is none

	// -- checkpoints: the generation of `identity` as a whole, out and in again
	enum error_class (*marks)(struct store *s, uint32_t shard, store_scan_fn *fn, void *ctx, struct error *e); // what meta says of it: "closed:2020-01", …
	enum error_class (*entries)(struct store *s, uint32_t shard, store_entry_fn *fn, void *ctx, struct error *e); // its outbox
	// RESTORING from here on; a shard that holds nothing comes to be. Its marks go first: drop finds its keys by them.
	enum error_class (*restore)(struct store *s, uint32_t shard, struct error *e);
	enum error_class (*put)(struct store *s, uint32_t shard, const struct store_key *k, const struct span *words, uint32_t n, struct error *e);
	enum error_class (*put_marks)(struct store *s, uint32_t shard, const struct span *words, uint32_t n, struct error *e);
	enum error_class (*put_entry)(struct store *s, uint32_t shard, const struct span *words, uint32_t n, struct error *e);
	// In force, or BUILDING: also where another one is in force in this shard still, until `adopt`.
	enum error_class (*restored)(struct store *s, uint32_t shard, bool in_force, struct error *e);
	// Keys that bear the shard's name, all but its meta, requests and leases: of a shard without meta they are nobody's. `remove`: they go.
	enum error_class (*left_over)(struct store *s, uint32_t shard, bool remove, int64_t *ret_n, struct error *e);

	// -- requests to the closer: one-line JSON documents, in order
	enum error_class (*request_put)(struct store *s, struct span request, struct error *e);
	enum error_class (*request_peek)(struct store *s, char **ret, struct error *e); // NULL: none; free it
	enum error_class (*request_drop)(struct store *s, struct span request, struct error *e); // the first, if it is still this one

	void (*close)(struct store *s);
};
struct store {
	const struct store_ops *ops;
};

// Does not connect yet: every call connects when it has to.
#define STORE_NO_TLS \
	"TLS to Redis is not in this build: it needs hiredis-ssl, which Debian has from 13 on; use a Unix socket (unix:///path), or redis:// to a local stunnel"
bool store_redis_tls(void); // rediss:// is in this build
enum error_class store_redis_open(const struct store_options *o, struct store **ret, struct error *e);

void store_generations_free(struct store_generations *g);
void store_keys_free(struct store_keys *k);
void store_months_free(struct store_months *m);
void store_positions_free(struct store_positions *p);
// shard = hash(account) mod shards. Fixed for ever: changing it is a rebuild.
uint32_t store_shard(struct span account, uint32_t shards);

#endif
