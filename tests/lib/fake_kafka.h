// SPDX-License-Identifier: Apache-2.0
// In-memory twin of sink_port: topics, transactions with epochs and markers, fencing.
// Transactional ids fence their own predecessors, and nobody else.
// Injects: a lost request, a lost reply (of a transaction: unknown end), a transaction whose end arrives late, a fenced producer.
// Never injects what Kafka does not do: a transaction half visible, one of a fenced epoch that becomes visible, records out of order.
#ifndef FAKE_KAFKA_H
#define FAKE_KAFKA_H

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "fake_fault.h"
#include "period/period.h"
#include "sink/sink.h"

enum { FAKE_TOPICS = 8, FAKE_PARTITIONS = 8, FAKE_IDS = 4 };
struct fake_message {
	char topic[64];
	int32_t partition;
	int64_t offset, timestamp_ms;
	char *key, *value; // key NULL: none
	size_t value_n;
	struct header *headers; // of one block with their bytes
	uint32_t n_headers;
	bool tick;
};
struct fake_id {
	char name[64];
	unsigned epoch;
};
struct fake_log {
	size_t n, size;
	struct fake_message *list;
	int64_t high;
};
struct fake_kafka {
	struct kafka_options o; // first: the port gets a pointer to it
	struct {
		const char *name;
		int32_t partitions;
		struct fake_log parts[FAKE_PARTITIONS];
	} topics[FAKE_TOPICS];
	int n_topics;
	struct fake_id ids[FAKE_IDS];
	int64_t now_ms;
	const int64_t *append_ms;    // the first topic stamps what is appended (LogAppendTime), ticks excepted; NULL: it does not
	struct fake_fault *fault;
	bool end_late;          // the next transaction's end stays under way, where none does
	struct fake_message *late;
	size_t n_late;
	struct fake_id *late_id;
	int64_t read_from_ms;   // of the last read-back
	long read_backs;
};

static inline int fake_topic(struct fake_kafka *k, const char *name)
{
	for (int i = 0; i < k->n_topics; i++)
		if (strcmp(k->topics[i].name, name) == 0)
			return i;
	return -1;
}

static inline struct fake_log *fake_log(struct fake_kafka *k, const char *topic, int32_t partition)
{
	int t = fake_topic(k, topic);
	check(t >= 0 && partition >= 0 && partition < k->topics[t].partitions);
	return &k->topics[t].parts[partition];
}

static inline struct fake_id *fake_id(struct fake_kafka *k, const char *name)
{
	struct fake_id *id = k->ids;
	while (id->name[0] != '\0' && strcmp(id->name, name) != 0)
		check(++id < k->ids + FAKE_IDS);
	snprintf(id->name, sizeof(id->name), "%s", name);
	return id;
}

static inline struct header *fake_headers(const struct header *h, uint32_t n)
{
	size_t bytes = n * sizeof(*h);
	for (uint32_t i = 0; i < n; i++)
		bytes += h[i].name.n + h[i].value.n;
	struct header *list = xcalloc(1, bytes + 1);
	char *to = (char *)(list + n);
	for (uint32_t i = 0; i < n; i++) {
		list[i].name = (struct span){ memcpy(to, h[i].name.p, h[i].name.n), h[i].name.n };
		to += h[i].name.n;
		if (h[i].value.p == NULL)
			continue;
		list[i].value = (struct span){ memcpy(to, h[i].value.p, h[i].value.n), h[i].value.n };
		to += h[i].value.n;
	}
	return list;
}

// As a reader gets it; valid as long as the message.
static inline struct record fake_record(const struct fake_message *m)
{
	return (struct record){ .offset = m->offset, .timestamp_ms = m->timestamp_ms, .key = span_of(m->key), .value = { m->value, m->value_n },
				.headers = m->headers, .n_headers = m->n_headers };
}

static inline void fake_append(struct fake_kafka *k, struct fake_message m) // takes key and value over
{
	struct fake_log *l = fake_log(k, m.topic, m.partition);
	if (l->n == l->size) {
		l->size = l->size > 0 ? 2 * l->size : 16;
		l->list = xrealloc(l->list, l->size, sizeof(*l->list));
	}
	m.offset = l->high++;
	l->list[l->n++] = m;
}

static inline void fake_event(struct fake_kafka *k, const char *topic, int32_t partition, int64_t timestamp_ms, const char *value)
{
	struct fake_message m = { .partition = partition, .timestamp_ms = timestamp_ms, .value = xstrdup(value), .value_n = strlen(value) };
	snprintf(m.topic, sizeof(m.topic), "%s", topic);
	fake_append(k, m);
}

static inline struct fake_message fake_message(struct fake_kafka *k, const struct message *m)
{
	struct fake_message f = { .partition = m->partition, .timestamp_ms = m->timestamp_ms != 0 ? m->timestamp_ms : k->now_ms };
	int t = fake_topic(k, m->topic);
	check(t >= 0);
	snprintf(f.topic, sizeof(f.topic), "%s", m->topic);
	if (m->partition < 0) {
		unsigned h = 0;
		for (size_t i = 0; i < m->key.n; i++)
			h = h * 31 + (unsigned char)m->key.p[i];
		f.partition = (int32_t)(h % (unsigned)k->topics[t].partitions);
	}
	f.key = m->key.p != NULL ? xstrndup(m->key.p, m->key.n) : NULL;
	f.value = xstrndup(m->value.p != NULL ? m->value.p : "", m->value.n);
	f.value_n = m->value.n;
	f.headers = fake_headers(m->headers, m->n_headers);
	f.n_headers = m->n_headers;
	f.tick = m->n_headers == 1 && span_is(m->headers[0].name, "__meterd.tick");
	if (k->append_ms != NULL && t == 0 && !f.tick)
		f.timestamp_ms = *k->append_ms;
	return f;
}

// Markers take an offset in each partition that a transaction wrote to.
static inline void fake_commit(struct fake_kafka *k, const struct fake_message *m, size_t n)
{
	struct fake_log *touched[64];
	size_t n_touched = 0;
	for (size_t i = 0; i < n; i++) {
		fake_append(k, m[i]);
		struct fake_log *l = fake_log(k, m[i].topic, m[i].partition);
		size_t j = 0;
		while (j < n_touched && touched[j] != l)
			j++;
		if (j == n_touched)
			touched[n_touched++] = l;
	}
	for (size_t j = 0; j < n_touched; j++)
		touched[j]->high++;
}

static inline void fake_forget(struct fake_message *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(m[i].key);
		free(m[i].value);
		free(m[i].headers);
	}
	free(m);
}

// The end that was under way arrives. Who opens its id anew ends it before.
static inline void fake_late_end(struct fake_kafka *k)
{
	if (k->late == NULL)
		return; // fenced meanwhile
	fake_commit(k, k->late, k->n_late);
	free(k->late); // its messages are the log's now
	k->late = NULL;
	k->n_late = 0;
}

// It never comes: the coordinator ends the transaction by its time-out.
static inline void fake_late_abort(struct fake_kafka *k)
{
	fake_forget(k->late, k->n_late);
	k->late = NULL;
	k->n_late = 0;
}

// The topic holds records of a transaction whose end is under way: who reads to its end waits for it (topic_reader.c), in vain within a time-out.
static inline bool fake_unstable(const struct fake_kafka *k, const char *topic)
{
	for (size_t i = 0; i < k->n_late; i++)
		if (strcmp(k->late[i].topic, topic) == 0)
			return true;
	return false;
}

struct fake_txn {
	struct txn_sink s;
	struct fake_kafka *k;
	struct fake_id *id;
	unsigned epoch;
};

static inline enum txn_status fake_publish(struct txn_sink *s, const struct message *m, uint32_t n, struct error *e)
{
	struct fake_txn *t = (struct fake_txn *)s;
	struct fake_kafka *k = t->k;
	enum fake_outcome how = fake_call(k->fault);
	check(n >= 1);
	if (t->epoch != t->id->epoch) {
		error_set(e, ERROR_HALT, 0, "fenced");
		return TXN_FENCED;
	}
	struct fake_message *list = xcalloc(n, sizeof(*list));
	for (uint32_t i = 0; i < n; i++)
		list[i] = fake_message(k, &m[i]);
	if (k->end_late && k->late == NULL) {
		k->end_late = false;
		k->late = list;
		k->n_late = n;
		k->late_id = t->id;
		how = FAKE_LOST;
	} else if (how == FAKE_LOST) {
		fake_forget(list, n);
	} else {
		fake_commit(k, list, n);
		free(list);
	}
	if (how == FAKE_OK)
		return TXN_DONE;
	error_set(e, ERROR_RETRY, 0, "the end of the transaction is not known");
	return TXN_UNKNOWN;
}

static inline void fake_close(struct txn_sink *s)
{
	free(s);
}

static const struct txn_sink_ops fake_txn_ops = { fake_publish, fake_close };

static inline enum error_class fake_fail(struct fake_fault *f, struct error *e)
{
	return fake_call(f) != FAKE_OK ? error_set(e, ERROR_RETRY, 0, "away") : ERROR_NONE;
}

static inline enum error_class fake_txn_open(const struct kafka_options *o, const char *id, int timeout_ms, struct txn_sink **ret, struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	struct fake_id *x = fake_id(k, id);
	(void)timeout_ms;
	enum fake_outcome how = fake_call(k->fault);
	if (how != FAKE_LOST) {
		x->epoch++;
		if (k->late_id == x)
			fake_late_abort(k);
	}
	if (how != FAKE_OK)
		return error_set(e, ERROR_RETRY, 0, "away");
	struct fake_txn *t = xcalloc(1, sizeof(*t));
	*t = (struct fake_txn){ { &fake_txn_ops }, k, x, x->epoch };
	*ret = &t->s;
	return ERROR_NONE;
}

static inline enum error_class fake_read_back(const struct kafka_options *o, const char *topic, int64_t from_ms, int timeout_ms,
					      topic_reader_fn *fn, void *ctx, struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	(void)timeout_ms;
	int t = fake_topic(k, topic);
	if (fake_fail(k->fault, e) != ERROR_NONE)
		return ERROR_RETRY;
	if (t < 0)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "topic %s does not exist", topic);
	if (fake_unstable(k, topic))
		return error_set(e, ERROR_RETRY, 0, "the last stable offset of %s lies before its end", topic);
	k->read_from_ms = from_ms;
	k->read_backs++;
	for (int32_t p = 0; p < k->topics[t].partitions; p++) {
		const struct fake_log *l = &k->topics[t].parts[p];
		bool begun = from_ms == TIME_NONE; // offsets by time: from the first record at or behind it
		for (size_t i = 0; i < l->n; i++) {
			const struct fake_message *m = &l->list[i];
			struct topic_record r = { p, fake_record(m) };
			begun = begun || m->timestamp_ms >= from_ms;
			if (begun && !fn(ctx, &r))
				return ERROR_NONE;
		}
	}
	return ERROR_NONE;
}

// Everything in the twin is stable: transactions appear with their markers.
static inline enum error_class fake_read_from(const struct kafka_options *o, const char *topic, const int64_t *starts, const int64_t *ends,
					      int32_t n, int timeout_ms, topic_reader_fn *fn, void *ctx, struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	(void)timeout_ms;
	int t = fake_topic(k, topic);
	if (fake_fail(k->fault, e) != ERROR_NONE)
		return ERROR_RETRY;
	if (t < 0 || k->topics[t].partitions < n)
		return error_set(e, ERROR_ABORT, EXIT_LATER, "topic %s does not exist", topic);
	for (int32_t p = 0; p < n; p++)
		if (k->topics[t].parts[p].high < starts[p] || (ends != NULL && k->topics[t].parts[p].high < ends[p]))
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s/%d was made again", topic, (int)p);
	for (int32_t p = 0; p < k->topics[t].partitions; p++) {
		const struct fake_log *l = &k->topics[t].parts[p];
		for (size_t i = 0; i < l->n; i++) {
			const struct fake_message *m = &l->list[i];
			struct topic_record r = { p, fake_record(m) };
			if (m->offset < (p < n ? starts[p] : 0) || (ends != NULL && (p >= n || m->offset >= ends[p])))
				continue;
			if (!fn(ctx, &r))
				return ERROR_NONE;
		}
	}
	return ERROR_NONE;
}

static inline enum error_class fake_describe(const struct kafka_options *o, const char *topic, int timeout_ms, struct topic_info *ret,
					     struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	(void)timeout_ms;
	int t = fake_topic(k, topic);
	if (fake_fail(k->fault, e) != ERROR_NONE)
		return ERROR_RETRY;
	*ret = (struct topic_info){ .exists = t >= 0, .partitions = t >= 0 ? k->topics[t].partitions : 0, .retention_ms = -1 };
	return ERROR_NONE;
}

static inline enum error_class fake_offsets(const struct kafka_options *o, const char *topic, int32_t partition, int timeout_ms,
					    int64_t *ret_low, int64_t *ret_high, struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	(void)timeout_ms;
	if (fake_fail(k->fault, e) != ERROR_NONE)
		return ERROR_RETRY;
	*ret_low = 0;
	*ret_high = fake_log(k, topic, partition)->high;
	return ERROR_NONE;
}

static inline enum error_class fake_offset_at(const struct kafka_options *o, const char *topic, int32_t partition, int64_t time_ms, int timeout_ms,
					      int64_t *ret, struct error *e)
{
	struct fake_kafka *k = (struct fake_kafka *)(uintptr_t)o;
	(void)timeout_ms;
	if (fake_fail(k->fault, e) != ERROR_NONE)
		return ERROR_RETRY;
	const struct fake_log *l = fake_log(k, topic, partition);
	*ret = -1;
	for (size_t i = 0; i < l->n && *ret < 0; i++)
		if (l->list[i].timestamp_ms >= time_ms)
			*ret = l->list[i].offset;
	return ERROR_NONE;
}

static const struct sink_port fake_port = { fake_txn_open, fake_read_back, fake_read_from, fake_describe, fake_offsets, fake_offset_at };
static const char *const fake_inputs[] = { "usage.calls", NULL };

static inline void fake_kafka_init(struct fake_kafka *k, int32_t input_partitions, struct fake_fault *fault)
{
	*k = (struct fake_kafka){ .o = { .group = "meterd", .input_topics = fake_inputs, .alerts_topic = "meterd.alerts",
					 .settlements_topic = "meterd.settlements", .control_topic = "meterd.control",
					 .accounts_topic = "meterd.accounts" },
				  .n_topics = 5, .fault = fault, .now_ms = 1 };
	k->topics[0].name = "usage.calls";
	k->topics[0].partitions = input_partitions;
	k->topics[1].name = "meterd.alerts";
	k->topics[1].partitions = 3;
	k->topics[2].name = "meterd.settlements";
	k->topics[2].partitions = 3;
	k->topics[3].name = "meterd.control";
	k->topics[3].partitions = 1;
	k->topics[4].name = "meterd.accounts";
	k->topics[4].partitions = 2;
}

// How many messages of the topic hold `text`.
static inline int fake_count(struct fake_kafka *k, const char *topic, const char *text)
{
	int t = fake_topic(k, topic), n = 0;
	for (int32_t p = 0; p < k->topics[t].partitions; p++)
		for (size_t i = 0; i < k->topics[t].parts[p].n; i++)
			n += strstr(k->topics[t].parts[p].list[i].value, text) != NULL;
	return n;
}

// The values of a topic, sorted, one a line; free it.
static inline int fake_by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline char *fake_values(struct fake_kafka *k, const char *topic)
{
	int t = fake_topic(k, topic);
	size_t n = 0;
	char **list = xcalloc(100000, sizeof(*list));
	for (int32_t p = 0; p < k->topics[t].partitions; p++)
		for (size_t i = 0; i < k->topics[t].parts[p].n; i++)
			list[n++] = k->topics[t].parts[p].list[i].value;
	qsort(list, n, sizeof(*list), fake_by_text);
	char *all = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&all, &size);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", list[i]);
	fclose(f);
	free(list);
	return all;
}

static inline void fake_kafka_free(struct fake_kafka *k)
{
	fake_forget(k->late, k->n_late);
	for (int t = 0; t < k->n_topics; t++)
		for (int32_t p = 0; p < k->topics[t].partitions; p++) {
			struct fake_log *l = &k->topics[t].parts[p];
			for (size_t i = 0; i < l->n; i++) {
				free(l->list[i].key);
				free(l->list[i].value);
				free(l->list[i].headers);
			}
			free(l->list);
		}
}

#endif
