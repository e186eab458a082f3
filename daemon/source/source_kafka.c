// SPDX-License-Identifier: Apache-2.0
// The real source: one librdkafka consumer, static member of the group, eager range.
//
// Invariant: what source_poll hands out belongs to the assignment that the caller knows of. librdkafka calls back about
// rebalances in the middle of a batch call, where nobody can tell which records of the batch come before and which after. So
// the callback only notes what is asked (librdkafka waits until rd_kafka_assign is called, whenever that is), the batch in hand
// is given out under the old assignment, and the next poll carries the change out:
//
//	batch call ─ callback: note ─► batch out (old assignment, still ours) ─► next poll: revoked/assigned, rd_kafka_assign
//
// rd_kafka_assign raises the version of every partition it removes before it returns; librdkafka 2.0.2 drops queued records of
// an older version. rd_kafka_yield must not be called in the callback: the batch call of 2.0.2 then loses the next record.
// It refuses to go on (70) when offsets of a partition do not rise, and never pauses, seeks or resets an offset.
#include "source/source.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "model/kafka_conf.h"
#include "source/headerless.h"

enum {
	BATCH = 1000,
	AWAY_MS = 3000, // librdkafka repeats "all brokers down" about once a second while it lasts
};
#define NO_PART UINT32_MAX

struct topic_map {
	const char *name; // owned by parts
	uint32_t n;
	uint32_t *part_of; // partition -> index in parts, or NO_PART
};

enum change { CHANGE_NONE, CHANGE_ASSIGN, CHANGE_REVOKE };

struct held {
	struct held *next;
	struct error e;
	uint32_t part;
};

struct kafka_source {
	struct source base;
	struct source_callbacks cb;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_topic_partition_list_t *topics; // subscribed to; given: the partitions that are read
	bool given;
	bool look_first; // headerless.h knows this librdkafka

	// the assignment that the caller knows of; parts == NULL: none
	struct source_part *parts;
	int64_t *expected; // per part: least offset that may come next
	uint32_t n_parts;
	struct topic_map *maps;
	uint32_t n_maps;
	const rd_kafka_topic_t *last_topic; // cache: handle -> map
	const struct topic_map *last_map;

	// noted by the callbacks, carried out by the next poll
	enum change change;
	rd_kafka_topic_partition_list_t *change_list;
	bool change_lost, rejoining;
	int64_t away_until_us;
	char away[256];

	rd_kafka_message_t *raw[BATCH];
	struct record records[BATCH];
	uint32_t n_raw;
	struct error held; // an error met behind records: comes out of the next poll
	uint32_t held_part;
	struct held first_held; // only its next: more partitions that stopped in the same batch
	struct arena headers;
};

static void forget_change(struct kafka_source *s)
{
	if (s->change_list != NULL)
		rd_kafka_topic_partition_list_destroy(s->change_list);
	s->change_list = NULL;
	s->change = CHANGE_NONE;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka_source *s = opaque;
	forget_change(s);
	s->change = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? CHANGE_ASSIGN : CHANGE_REVOKE;
	s->change_lost = rd_kafka_assignment_lost(rk) != 0;
	s->change_list = rd_kafka_topic_partition_list_copy(list);
	rd_kafka_queue_yield(s->queue); // an idle wait ends now
}

static bool means_away(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__RESOLVE:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
		return true;
	default:
		return false;
	}
}

static bool means_refused(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		return true;
	default:
		return false;
	}
}

static enum error_class fatal_error(struct kafka_source *s, struct error *e)
{
	char why[512] = "";
	rd_kafka_resp_err_t err = rd_kafka_fatal_error(s->rk, why, sizeof(why));
	if (err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
		return error_set(e, ERROR_ABORT, EXIT_LATER,
				 "another member of the group took this instance's name; give every instance its own `instance`, "
				 "then start again (%s)", why);
	return error_set(e, ERROR_ABORT, means_refused(err) ? EXIT_CONFIG_ERR : EXIT_LATER,
			 "the consumer cannot go on and must be started again: %s: %s", rd_kafka_err2name(err), why);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_source *s = opaque;
	(void)rk;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		fatal_error(s, &s->held);
	} else if (means_refused(err)) {
		error_set(&s->held, ERROR_ABORT, EXIT_CONFIG_ERR, "Kafka refuses this client: %s; check kafka.user, kafka.password_file and "
			  "kafka.sasl_mechanism", reason);
	} else if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__SSL) { // a handshake also fails where a broker dies in it
		s->away_until_us = clock_mono_us() + AWAY_MS * 1000;
		snprintf(s->away, sizeof(s->away), "%s", reason);
	}
}

// ---- the assignment

static void parts_free(struct kafka_source *s)
{
	for (uint32_t i = 0; i < s->n_parts; i++) {
		free(s->parts[i].topic);
		free(s->parts[i].name);
	}
	for (uint32_t i = 0; i < s->n_maps; i++)
		free(s->maps[i].part_of);
	free(s->parts);
	free(s->expected);
	free(s->maps);
	s->parts = NULL;
	s->expected = NULL;
	s->maps = NULL;
	s->n_parts = s->n_maps = 0;
	s->last_topic = NULL;
	s->last_map = NULL;
}

static struct topic_map *map_of(struct kafka_source *s, const char *topic)
{
	for (uint32_t i = 0; i < s->n_maps; i++)
		if (strcmp(s->maps[i].name, topic) == 0)
			return &s->maps[i];
	return NULL;
}

static void map_add(struct kafka_source *s, uint32_t part)
{
	const struct source_part *p = &s->parts[part];
	struct topic_map *m = map_of(s, p->topic);
	if (m == NULL) {
		s->maps = xrealloc(s->maps, s->n_maps + 1, sizeof(*s->maps));
		m = &s->maps[s->n_maps++];
		*m = (struct topic_map){ .name = p->topic };
	}
	check(p->partition >= 0);
	uint32_t need = (uint32_t)p->partition + 1;
	if (m->n < need) {
		m->part_of = xrealloc(m->part_of, need, sizeof(*m->part_of));
		for (uint32_t i = m->n; i < need; i++)
			m->part_of[i] = NO_PART;
		m->n = need;
	}
	m->part_of[p->partition] = part;
}

static void parts_make(struct kafka_source *s, const rd_kafka_topic_partition_list_t *list)
{
	check(s->parts == NULL && list->cnt >= 0);
	s->n_parts = (uint32_t)list->cnt;
	s->parts = xcalloc(s->n_parts + 1, sizeof(*s->parts)); // not NULL with none either: "assigned, but nothing"
	s->expected = xcalloc(s->n_parts + 1, sizeof(*s->expected));
	for (uint32_t i = 0; i < s->n_parts; i++) {
		const rd_kafka_topic_partition_t *tp = &list->elems[i];
		s->parts[i] = (struct source_part){ .topic = xstrdup(tp->topic), .partition = tp->partition, .read_from = -1 };
		s->parts[i].name = xasprintf("%s/%" PRId32, tp->topic, tp->partition);
		map_add(s, i);
	}
}

static void give_up_parts(struct kafka_source *s, bool lost)
{
	if (s->parts == NULL)
		return;
	s->cb.revoked(s->cb.ctx, lost);
	parts_free(s);
}

static enum error_class tell_assign(struct kafka_source *s, rd_kafka_topic_partition_list_t *list, struct error *e)
{
	rd_kafka_resp_err_t err = rd_kafka_assign(s->rk, list);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return ERROR_NONE;
	if (rd_kafka_fatal_error(s->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return fatal_error(s, e);
	return error_set(e, ERROR_ABORT, EXIT_LATER, "the consumer could not take its assignment: %s", rd_kafka_err2str(err));
}

static enum error_class carry_out_assign(struct kafka_source *s, rd_kafka_topic_partition_list_t *list, struct error *e)
{
	give_up_parts(s, true); // eager: a revoke came before; were it missing, what we knew is void
	s->rejoining = false;
	parts_make(s, list);
	enum error_class c = s->cb.assigned(s->cb.ctx, s->parts, s->n_parts, e);
	if (c != ERROR_NONE) {
		parts_free(s);
		rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
		tell_assign(s, none, NULL);
		rd_kafka_topic_partition_list_destroy(none);
		return c;
	}
	for (uint32_t i = 0; i < s->n_parts; i++) {
		check(s->parts[i].read_from >= 0);
		list->elems[i].offset = s->expected[i] = s->parts[i].read_from;
	}
	return tell_assign(s, list, e);
}

static enum error_class carry_out_change(struct kafka_source *s, struct error *e)
{
	enum change change = s->change;
	rd_kafka_topic_partition_list_t *list = TAKE_PTR(s->change_list);
	enum error_class c;
	s->change = CHANGE_NONE;
	if (change == CHANGE_ASSIGN) {
		c = carry_out_assign(s, list, e);
	} else {
		give_up_parts(s, s->change_lost);
		c = tell_assign(s, NULL, e);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return c;
}

// ---- records

static uint32_t part_of(struct kafka_source *s, const rd_kafka_message_t *m)
{
	if (m->rkt == NULL)
		return NO_PART;
	if (m->rkt != s->last_topic) {
		s->last_map = map_of(s, rd_kafka_topic_name(m->rkt));
		s->last_topic = m->rkt;
	}
	const struct topic_map *map = s->last_map;
	if (map == NULL || (uint32_t)m->partition >= map->n) // -1 becomes large
		return NO_PART;
	return map->part_of[m->partition];
}

static void take_headers(struct kafka_source *s, const rd_kafka_message_t *m, struct record *r)
{
	rd_kafka_headers_t *list;
	if (rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	size_t n = rd_kafka_header_cnt(list);
	if (n == 0)
		return;
	struct header *h = arena_alloc(&s->headers, n * sizeof(*h));
	for (size_t i = 0; i < n; i++) {
		const char *name;
		const void *value;
		size_t size;
		check(rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR);
		h[i].name = span_of(name);
		h[i].value = (struct span){ value, value != NULL ? size : 0 };
	}
	r->headers = h;
	r->n_headers = (uint32_t)n;
}

static inline void take_record(struct kafka_source *s, rd_kafka_message_t *m, uint32_t part, struct record *r)
{
	rd_kafka_timestamp_type_t type;
	int64_t ts = rd_kafka_message_timestamp(m, &type);
	r->offset = m->offset;
	r->timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : ts;
	r->key = (struct span){ m->key, m->key_len };
	r->value = (struct span){ m->payload, m->len };
	r->headers = NULL;
	r->n_headers = 0;
	r->part = part;
	r->opaque = m;
	if (!s->look_first || !headerless(m->payload, m->len))
		take_headers(s, m, r);
}

static enum error_class hold(struct kafka_source *s, uint32_t part, enum error_class cls, int code, const char *what,
			     const rd_kafka_message_t *m)
{
	const char *where = part != NO_PART ? s->parts[part].name : m->rkt != NULL ? rd_kafka_topic_name(m->rkt) : "the group";
	const char *why = rd_kafka_message_errstr(m);
	struct held *h = &s->first_held;
	if (s->held.cls == ERROR_RETRY && cls != ERROR_RETRY)
		s->held = (struct error){ 0 }; // what passes gives way to what does not
	if (s->held.cls == ERROR_HALT && cls == ERROR_HALT) { // a second partition of the same batch: comes out of a later poll
		while (h->next != NULL)
			h = h->next;
		h = h->next = xcalloc(1, sizeof(*h));
		h->part = part;
		return error_set(&h->e, cls, code, "%s: %s: %s (%s)", where, what, why != NULL ? why : "", rd_kafka_err2name(m->err));
	}
	if (s->held.cls == ERROR_NONE)
		s->held_part = part;
	return error_set(&s->held, cls, code, "%s: %s: %s (%s)", where, what, why != NULL ? why : "", rd_kafka_err2name(m->err));
}

// The next held error of another partition, when the one before it was given out.
static void hold_next(struct kafka_source *s)
{
	struct held *h = s->first_held.next;
	s->held = (struct error){ 0 };
	if (h == NULL)
		return;
	s->held = h->e;
	s->held_part = h->part;
	s->first_held.next = h->next;
	free(h);
}

// Anything that concerns one partition and is not known to pass stops that partition: it is never skipped in silence.
static void take_error(struct kafka_source *s, const rd_kafka_message_t *m)
{
	uint32_t part = part_of(s, m);
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		if (part != NO_PART && s->cb.at_end != NULL)
			s->cb.at_end(s->cb.ctx, part, m->offset);
	} else if (m->err == RD_KAFKA_RESP_ERR__FATAL || m->err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) {
		fatal_error(s, &s->held);
	} else if (means_refused(m->err)) {
		hold(s, part, ERROR_ABORT, EXIT_CONFIG_ERR, "Kafka refuses this client", m);
	} else if (m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE || m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
		if (part != NO_PART)
			hold(s, part, ERROR_HALT, 0, "the log does not hold the offset to go on from; nothing is reset by itself", m);
	} else if (m->err == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE) {
		// What out_of_memory() does for an allocation of our own: the records are sound, a start with more memory reads them.
		hold(s, part, ERROR_ABORT, EXIT_LATER, "Kafka's client lacks memory; give the service more, it goes on where it stopped", m);
	} else if (part == NO_PART || means_away(m->err)) {
		hold(s, part, ERROR_RETRY, 0, "reading goes on by itself once this passes", m);
	} else {
		hold(s, part, ERROR_HALT, 0, "the partition cannot be read", m);
	}
}

// Fills records from raw; returns how many.
static uint32_t take_batch(struct kafka_source *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n_raw; i++) {
		rd_kafka_message_t *m = s->raw[i];
		if (__builtin_expect(m->err != RD_KAFKA_RESP_ERR_NO_ERROR, 0)) {
			take_error(s, m);
			continue;
		}
		uint32_t part = part_of(s, m);
		if (part == NO_PART)
			continue; // of an assignment that was given up
		if (m->offset < s->expected[part]) {
			error_set(&s->held, ERROR_ABORT, EXIT_DEFECT, "%s: offset %" PRId64 " came after %" PRId64
				  "; a defect: start again, the offsets are read back from Redis", s->parts[part].name, m->offset,
				  s->expected[part] - 1);
			return 0;
		}
		s->expected[part] = m->offset + 1;
		take_record(s, m, part, &s->records[n++]);
	}
	return n;
}

static void kafka_release(struct source *base)
{
	struct kafka_source *s = (struct kafka_source *)base;
	for (uint32_t i = 0; i < s->n_raw; i++)
		rd_kafka_message_destroy(s->raw[i]);
	s->n_raw = 0;
	arena_reset(&s->headers);
}

// The batch call waits until the batch is full or the time is over, so waiting is done for one message only.
static void fetch(struct kafka_source *s, int timeout_ms)
{
	ssize_t n = rd_kafka_consume_batch_queue(s->queue, 0, s->raw, BATCH);
	if (n <= 0 && timeout_ms > 0 && s->change == CHANGE_NONE && s->held.cls == ERROR_NONE) {
		n = rd_kafka_consume_batch_queue(s->queue, timeout_ms, s->raw, 1);
		if (n == 1 && s->change == CHANGE_NONE)
			n += rd_kafka_consume_batch_queue(s->queue, 0, s->raw + 1, BATCH - 1);
	}
	s->n_raw = n > 0 ? (uint32_t)n : 0;
}

static enum error_class held_error(struct kafka_source *s, uint32_t *ret_part, struct error *e)
{
	enum error_class c = s->held.cls;
	if (c == ERROR_HALT)
		*ret_part = s->held_part;
	error_set(e, c, s->held.exit_code, "%s", s->held.text);
	if (c != ERROR_ABORT)
		hold_next(s);
	return c;
}

static enum error_class kafka_poll(struct source *base, int timeout_ms, struct record **ret, uint32_t *ret_n, uint32_t *ret_part,
				   struct error *e)
{
	struct kafka_source *s = (struct kafka_source *)base;
	check(s->n_raw == 0);
	*ret = s->records;
	*ret_n = 0;
	if (s->held.cls != ERROR_NONE)
		return held_error(s, ret_part, e);
	if (s->change == CHANGE_NONE)
		fetch(s, timeout_ms);
	uint32_t n = s->n_raw > 0 ? take_batch(s) : 0;
	if (n > 0) {
		*ret_n = n;
		s->away_until_us = 0;
		return ERROR_NONE;
	}
	kafka_release(base);
	if (s->held.cls != ERROR_NONE)
		return held_error(s, ret_part, e);
	if (s->change != CHANGE_NONE) {
		s->away_until_us = 0;
		return carry_out_change(s, e);
	}
	if (s->away_until_us > clock_mono_us())
		return error_set(e, ERROR_RETRY, 0, "Kafka is away: %s", s->away);
	return ERROR_NONE;
}

// Partitions that were given: the next poll assigns them.
static void hand_out(struct kafka_source *s)
{
	forget_change(s);
	s->change = CHANGE_ASSIGN;
	s->change_list = rd_kafka_topic_partition_list_copy(s->topics);
}

// A new subscription to the same topics: librdkafka revokes (answered by the next poll), then joins under the same instance id.
static enum error_class kafka_rejoin(struct source *base, struct error *e)
{
	struct kafka_source *s = (struct kafka_source *)base;
	kafka_release(base);
	give_up_parts(s, !s->given);
	if (s->held.cls == ERROR_ABORT)
		return held_error(s, NULL, e);
	while (s->held.cls != ERROR_NONE)
		hold_next(s);
	if (s->change == CHANGE_ASSIGN) { // not answered yet: refuse it, the next one counts
		forget_change(s);
		if (tell_assign(s, NULL, e) != ERROR_NONE)
			return ERROR_ABORT;
	}
	if (s->rejoining)
		return ERROR_NONE;
	if (s->given) {
		hand_out(s);
		return ERROR_NONE;
	}
	rd_kafka_resp_err_t err = rd_kafka_subscribe(s->rk, s->topics);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return rd_kafka_fatal_error(s->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR
			       ? fatal_error(s, e)
			       : error_set(e, ERROR_ABORT, EXIT_LATER, "the group could not be joined again: %s", rd_kafka_err2str(err));
	s->rejoining = true;
	return ERROR_NONE;
}

static void kafka_hint(struct source *base, uint32_t part, int64_t next)
{
	struct kafka_source *s = (struct kafka_source *)base;
	check(part < s->n_parts && next >= 0);
	if (s->given)
		return;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, s->parts[part].topic, s->parts[part].partition)->offset = next;
	rd_kafka_commit(s->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}

static int64_t kafka_high(struct source *base, uint32_t part)
{
	struct kafka_source *s = (struct kafka_source *)base;
	check(part < s->n_parts);
	int64_t low, high;
	if (rd_kafka_get_watermark_offsets(s->rk, s->parts[part].topic, s->parts[part].partition, &low, &high) !=
	    RD_KAFKA_RESP_ERR_NO_ERROR)
		return -1;
	return high >= 0 ? high : -1;
}

static bool leave_until(struct kafka_source *s, int64_t until)
{
	rd_kafka_error_t *err = rd_kafka_consumer_close_queue(s->rk, s->queue);
	if (err != NULL) {
		rd_kafka_error_destroy(err);
		return false;
	}
	while (!rd_kafka_consumer_closed(s->rk)) {
		if (clock_mono_us() >= until)
			return false;
		fetch(s, 20);
		kafka_release(&s->base);
		if (s->change != CHANGE_NONE) {
			forget_change(s);
			rd_kafka_assign(s->rk, NULL);
		}
	}
	return true;
}

static void *destroy_client(void *rk)
{
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

// Destroying can hang as well: it gets a thread, and beyond the deadline the client is left to the process's end.
static bool destroy_until(rd_kafka_t *rk, int64_t until_us)
{
	pthread_t t;
	if (pthread_create(&t, NULL, destroy_client, rk) != 0)
		return false;
	struct timespec ts = { .tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000 };
	if (pthread_clockjoin_np(t, NULL, CLOCK_MONOTONIC, &ts) == 0)
		return true;
	pthread_detach(t);
	return false;
}

static void kafka_close(struct source *base, int deadline_ms)
{
	struct kafka_source *s = (struct kafka_source *)base;
	kafka_release(base);
	give_up_parts(s, false);
	forget_change(s);
	int64_t until = clock_mono_us() + (int64_t)deadline_ms * 1000;
	bool fatal = rd_kafka_fatal_error(s->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
	bool gone = fatal || leave_until(s, until);
	forget_change(s);
	if (gone) {
		rd_kafka_queue_destroy(s->queue);
		gone = destroy_until(s->rk, until > clock_mono_us() ? until : clock_mono_us() + 100000);
	}
	if (!gone) { // librdkafka still has s as the callbacks' argument
		log_line(LVL_WARN, "consumer_close_abandoned", "deadline_ms=%d", deadline_ms);
		return;
	}
	rd_kafka_topic_partition_list_destroy(s->topics);
	arena_free(&s->headers);
	free(s);
}

static const struct source_ops kafka_ops = {
	.poll = kafka_poll,
	.release = kafka_release,
	.rejoin = kafka_rejoin,
	.hint = kafka_hint,
	.high = kafka_high,
	.close = kafka_close,
};

// instance_id NULL: no member of the group.
static enum error_class make_conf(const struct kafka_options *o, const char *instance_id, rd_kafka_conf_t **ret, struct error *e)
{
	char session[16], heartbeat[16], fetch_max[16], queued[16];
	snprintf(session, sizeof(session), "%d", o->session_timeout_ms);
	snprintf(heartbeat, sizeof(heartbeat), "%d", o->session_timeout_ms / 10 > 100 ? o->session_timeout_ms / 10 : 100);
	snprintf(fetch_max, sizeof(fetch_max), "%d", o->fetch_max_bytes);
	snprintf(queued, sizeof(queued), "%d", o->queued_max_kbytes);
	const struct kafka_pair pairs[] = {
		{ "group.id", o->group },
		{ instance_id != NULL ? "group.instance.id" : "group.id", instance_id != NULL ? instance_id : o->group },
		{ "partition.assignment.strategy", "range" },
		{ "session.timeout.ms", session },
		{ "heartbeat.interval.ms", heartbeat },
		{ "max.poll.interval.ms", "86400000" }, // any queue resets it: useless as a watchdog, so out of the way
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "auto.offset.reset", "error" },
		{ "isolation.level", "read_committed" },
		{ "check.crcs", "true" },
		{ "enable.partition.eof", "true" },
		{ "fetch.message.max.bytes", fetch_max },
		{ "queued.max.messages.kbytes", queued },
		{ "queued.min.messages", "1000000" },
		{ "fetch.wait.max.ms", "100" },
		{ "fetch.error.backoff.ms", "20" },
		{ "topic.metadata.refresh.interval.ms", "30000" },
		{ NULL, NULL },
	};
	return kafka_conf_make(o, pairs, ret, e);
}

static enum error_class subscribe(struct kafka_source *s, const struct kafka_options *o, struct error *e)
{
	s->topics = rd_kafka_topic_partition_list_new(4);
	for (const char *const *t = o->input_topics; *t != NULL; t++)
		rd_kafka_topic_partition_list_add(s->topics, *t, RD_KAFKA_PARTITION_UA);
	check(s->topics->cnt > 0);
	rd_kafka_resp_err_t err = rd_kafka_subscribe(s->rk, s->topics);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the input topics cannot be subscribed to: %s", rd_kafka_err2str(err));
	return ERROR_NONE;
}

static enum error_class open_client(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb,
				    struct kafka_source **ret, struct error *e)
{
	rd_kafka_conf_t *conf = NULL;
	enum error_class c = make_conf(o, instance_id, &conf, e);
	if (c != ERROR_NONE)
		return c;
	struct kafka_source *s = xcalloc(1, sizeof(*s));
	s->base.ops = &kafka_ops;
	s->cb = *cb;
	s->look_first = headerless_knows(rd_kafka_version());
	rd_kafka_conf_set_opaque(conf, s);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	rd_kafka_conf_set_error_cb(conf, on_error);
	char why[512];
	s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (s->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		free(s);
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the consumer cannot be made: %s", why);
	}
	rd_kafka_poll_set_consumer(s->rk);
	s->queue = rd_kafka_queue_get_consumer(s->rk);
	*ret = s;
	return ERROR_NONE;
}

// A static member that comes back within its session has its old partitions again, without an assignment: topics that were added to its subscription
// would be nobody's until the group changes for another reason. So who reads other topics is another member.
static char *member_name(const struct kafka_options *o, const char *instance_id)
{
	char hash[DIGEST_SHA256_TEXT];
	CLEANUP(freep) char *topics = xstrdup("");
	for (const char *const *t = o->input_topics; *t != NULL; t++) {
		char *more = xasprintf("%s%s\n", topics, *t);
		free(topics);
		topics = more;
	}
	digest_sha256_text(span_of(topics), hash);
	return xasprintf("%s-%.8s", instance_id, hash);
}

enum error_class source_kafka_open(const struct kafka_options *o, const char *instance_id, const struct source_callbacks *cb,
				   struct source **ret, struct error *e)
{
	struct kafka_source *s = NULL;
	CLEANUP(freep) char *member = member_name(o, instance_id);
	enum error_class c = open_client(o, member, cb, &s, e);
	if (c != ERROR_NONE)
		return c;
	c = subscribe(s, o, e);
	if (c != ERROR_NONE)
		s->base.ops->close(&s->base, 1000);
	else
		*ret = &s->base;
	return c;
}

enum error_class source_kafka_read(const struct kafka_options *o, const char *const *topics, const int32_t *partitions, uint32_t n,
				   const struct source_callbacks *cb, struct source **ret, struct error *e)
{
	struct kafka_source *s = NULL;
	enum error_class c = open_client(o, NULL, cb, &s, e);
	if (c != ERROR_NONE)
		return c;
	s->given = true;
	s->topics = rd_kafka_topic_partition_list_new((int)n);
	for (uint32_t i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(s->topics, topics[i], partitions[i]);
	hand_out(s);
	*ret = &s->base;
	return ERROR_NONE;
}
