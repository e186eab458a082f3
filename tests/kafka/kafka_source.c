// SPDX-License-Identifier: Apache-2.0
// The Kafka source against an Apache Kafka at $KAFKA_BOOTSTRAP: what the mock cluster cannot show.
#include "kafka_test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "source/headerless.h"
#include "source/source.h"

enum { PARTS = 4 };

struct member {
	struct source *s;
	uint32_t n, assigned, revoked, lost;
	struct source_part *parts;
	int64_t start[PARTS];   // by partition number
	int64_t next[PARTS];    // by partition number
	int64_t end[PARTS];     // at_end, by partition number
	uint64_t records;
	struct error e;
	enum error_class last;
	uint32_t bad_part;
	bool fail; // the next assigned callback fails
};

static enum error_class on_assigned(void *ctx, struct source_part *parts, uint32_t n, struct error *e)
{
	struct member *m = ctx;
	if (m->fail) {
		m->fail = false;
		return error_set(e, ERROR_RETRY, 0, "no offsets");
	}
	m->parts = parts;
	m->n = n;
	m->assigned++;
	for (uint32_t i = 0; i < n; i++) {
		parts[i].read_from = m->next[parts[i].partition] = m->start[parts[i].partition];
		m->end[parts[i].partition] = -1;
	}
	return ERROR_NONE;
}

static void on_revoked(void *ctx, bool lost)
{
	struct member *m = ctx;
	m->parts = NULL;
	m->n = 0;
	m->revoked++;
	m->lost += lost;
}

static void on_end(void *ctx, uint32_t part, int64_t end)
{
	struct member *m = ctx;
	m->end[m->parts[part].partition] = end;
}

static void member_open(struct member *m, const struct kafka_options *o, const char *instance)
{
	struct source_callbacks cb = { m, on_assigned, on_revoked, on_end };
	struct error e = { 0 };
	cr_assert(source_kafka_open(o, instance, &cb, &m->s, &e) == ERROR_NONE, "%s", e.text);
}

// One poll; every record must be the very next one of its partition, with the value that was written there.
static void member_poll(struct member *m, int timeout_ms)
{
	struct record *r;
	uint32_t n;
	m->e = (struct error){ 0 };
	m->last = m->s->ops->poll(m->s, timeout_ms, &r, &n, &m->bad_part, &m->e);
	for (uint32_t i = 0; i < n; i++) {
		int32_t p = m->parts[r[i].part].partition;
		char want[16];
		int len = snprintf(want, sizeof(want), "%lld", (long long)r[i].offset);
		cr_assert(r[i].offset == m->next[p], "partition %d: offset %lld, not %lld", p, (long long)r[i].offset,
			  (long long)m->next[p]);
		cr_assert(r[i].value.n == (size_t)len && memcmp(r[i].value.p, want, (size_t)len) == 0);
		cr_assert(r[i].timestamp_ms == (r[i].offset + 1) * 1000);
		m->next[p]++;
	}
	m->records += n;
	m->s->ops->release(m->s);
}

static int64_t now_ms(void)
{
	return clock_mono_us() / 1000;
}

#define UNTIL(cond, ms, ...)                                                                       \
	do {                                                                                       \
		int64_t until_ = now_ms() + (ms);                                                  \
		while (!(cond)) {                                                                  \
			cr_assert(now_ms() < until_, "waited in vain for " #cond);                 \
			__VA_ARGS__;                                                               \
		}                                                                                  \
	} while (0)

static void one_topic(struct test_broker *b, int partitions, int records)
{
	test_broker_open(b, true, "source");
	test_topic(b, b->name, partitions, NULL);
	for (int p = 0; p < partitions; p++)
		test_fill(b, b->name, p, 0, records);
}

// What lag tools see.
static int64_t committed(struct test_broker *b, int32_t partition)
{
	char why[256];
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	rd_kafka_conf_set(c, "bootstrap.servers", b->o.bootstrap, why, sizeof(why));
	rd_kafka_conf_set(c, "group.id", b->o.group, why, sizeof(why));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof(why));
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, b->name, partition);
	rd_kafka_resp_err_t err = rd_kafka_committed(rk, list, 5000);
	int64_t at = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? at : -1;
}

Test(kafka_source, reads_from_the_offsets_set_in_the_callback_to_the_end)
{
	struct test_broker b;
	one_topic(&b, 2, 10);
	struct member m = { .start = { 4, 7 } };
	member_open(&m, &b.o, "a");
	UNTIL(m.next[0] == 10 && m.next[1] == 10 && m.end[0] == 10 && m.end[1] == 10, 20000, member_poll(&m, 100));
	cr_assert(m.assigned == 1 && m.n == 2 && m.records == 9 && m.last == ERROR_NONE);
	cr_assert(m.s->ops->high(m.s, 0) == 10);
	m.s->ops->hint(m.s, 0, 10);
	UNTIL(committed(&b, m.parts[0].partition) == 10, 20000, member_poll(&m, 20); cr_assert(m.last == ERROR_NONE));
	int64_t t = now_ms();
	m.s->ops->close(m.s, 5000);
	fprintf(stderr, "close took %lld ms\n", (long long)(now_ms() - t));
	cr_assert(m.revoked == 1 && m.lost == 0);
	cr_assert(now_ms() - t < 5000);
	test_broker_close(&b);
}

Test(kafka_source, rejoins_at_other_offsets_without_one_stale_record)
{
	struct test_broker b;
	one_topic(&b, PARTS, 30000);
	struct member m = { 0 };
	member_open(&m, &b.o, "a");
	uint32_t seed = 7;
	int64_t slowest = 0, sum = 0;
	for (uint32_t round = 1; round <= 30; round++) {
		UNTIL(m.assigned == round, 20000, member_poll(&m, 20));
		uint64_t until = m.records + (seed % 20) * 1000 + 1;
		UNTIL(m.records >= until, 20000, member_poll(&m, 20));
		for (int p = 0; p < PARTS; p++) {
			seed = seed * 1103515245 + 12345;
			m.start[p] = (seed >> 8) % 9000; // also far behind what was read
		}
		int64_t t = now_ms();
		struct error e = { 0 };
		cr_assert(m.s->ops->rejoin(m.s, &e) == ERROR_NONE, "%s", e.text);
		cr_assert(m.revoked == round && m.lost == round && m.parts == NULL);
		UNTIL(m.assigned == round + 1, 20000, member_poll(&m, 20));
		slowest = now_ms() - t > slowest ? now_ms() - t : slowest;
		sum += now_ms() - t;
	}
	fprintf(stderr, "rejoin, one member: mean %lld ms, slowest %lld ms\n", (long long)(sum / 30), (long long)slowest);
	UNTIL(m.next[0] == 30000 && m.next[1] == 30000 && m.next[2] == 30000 && m.next[3] == 30000, 20000, member_poll(&m, 20));
	m.s->ops->close(m.s, 5000);
	test_broker_close(&b);
}

Test(kafka_source, two_members_share_by_range_and_survive_a_rejoin_of_either)
{
	struct test_broker b;
	one_topic(&b, PARTS, 1000);
	struct member m[2] = { 0 };
	member_open(&m[0], &b.o, "a");
	UNTIL(m[0].assigned == 1, 20000, member_poll(&m[0], 20));
	cr_assert(m[0].n == PARTS);
	member_open(&m[1], &b.o, "b");
	UNTIL(m[0].n == 2 && m[1].n == 2, 20000, member_poll(&m[0], 10); member_poll(&m[1], 10));
	cr_assert(m[0].parts[0].partition / 2 != m[1].parts[0].partition / 2);
	for (int who = 0; who < 2; who++) {
		uint32_t before = m[who].assigned;
		int64_t t = now_ms();
		struct error e = { 0 };
		cr_assert(m[who].s->ops->rejoin(m[who].s, &e) == ERROR_NONE);
		UNTIL(m[who].assigned > before && m[0].n == 2 && m[1].n == 2, 30000, member_poll(&m[0], 10);
		      member_poll(&m[1], 10));
		fprintf(stderr, "rejoin of member %d of two: %lld ms\n", who, (long long)(now_ms() - t));
	}
	// a restart within the session time-out moves nothing
	uint32_t other = m[1].assigned;
	int64_t t = now_ms();
	m[0].s->ops->close(m[0].s, 5000);
	uint32_t before = m[0].assigned;
	member_open(&m[0], &b.o, "a");
	UNTIL(m[0].assigned > before && m[0].n == 2, 30000, member_poll(&m[0], 10); member_poll(&m[1], 10));
	fprintf(stderr, "restart of a static member: %lld ms, the other was reassigned %u times\n", (long long)(now_ms() - t),
		m[1].assigned - other);
	m[0].s->ops->close(m[0].s, 5000);
	m[1].s->ops->close(m[1].s, 5000);
	test_broker_close(&b);
}

Test(kafka_source, a_second_member_of_the_same_name_fences_the_first)
{
	struct test_broker b;
	one_topic(&b, 1, 10);
	struct member m[2] = { 0 };
	member_open(&m[0], &b.o, "same");
	UNTIL(m[0].assigned == 1, 20000, member_poll(&m[0], 20));
	member_open(&m[1], &b.o, "same");
	UNTIL(m[0].last == ERROR_ABORT, 30000, member_poll(&m[0], 20); member_poll(&m[1], 20));
	cr_assert(m[0].e.exit_code == EXIT_LATER && strstr(m[0].e.text, "own `instance`") != NULL, "%s", m[0].e.text);
	UNTIL(m[1].next[0] == 10, 20000, member_poll(&m[1], 20));
	m[0].s->ops->close(m[0].s, 3000);
	m[1].s->ops->close(m[1].s, 3000);
	test_broker_close(&b);
}

Test(kafka_source, an_offset_that_is_gone_halts_its_partition_only)
{
	struct test_broker b;
	one_topic(&b, 2, 10);
	struct member m = { .start = { 1000, 0 } };
	member_open(&m, &b.o, "a");
	UNTIL(m.last == ERROR_HALT, 20000, member_poll(&m, 20));
	cr_assert(m.parts[m.bad_part].partition == 0 && strstr(m.e.text, "/0") != NULL, "%s", m.e.text);
	UNTIL(m.next[1] == 10, 20000, member_poll(&m, 20));
	cr_assert(m.next[0] == 1000);
	m.s->ops->close(m.s, 5000);
	test_broker_close(&b);
}

Test(kafka_source, a_failed_assigned_callback_comes_out_of_poll_and_a_rejoin_mends_it)
{
	struct test_broker b;
	one_topic(&b, 1, 10);
	struct member m = { .fail = true };
	member_open(&m, &b.o, "a");
	UNTIL(m.last == ERROR_RETRY, 20000, member_poll(&m, 20));
	cr_assert_str_eq(m.e.text, "no offsets");
	cr_assert(m.assigned == 0 && m.records == 0 && m.revoked == 0);
	struct error e = { 0 };
	for (int i = 0; i < 3; i++)
		cr_assert(m.s->ops->rejoin(m.s, &e) == ERROR_NONE); // again and again, also while joining
	UNTIL(m.assigned == 1 && m.next[0] == 10, 20000, member_poll(&m, 20));
	m.s->ops->close(m.s, 5000);
	test_broker_close(&b);
}

Test(kafka_source, a_member_stopped_beyond_its_session_learns_that_its_partitions_are_lost)
{
	struct test_broker b;
	one_topic(&b, PARTS, 100);
	struct member *m = mmap(NULL, 2 * sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (child == 0) {
		member_open(&m[1], &b.o, "stopped");
		for (;;)
			member_poll(&m[1], 20);
	}
	member_open(&m[0], &b.o, "other");
	UNTIL(m[0].n == 2 && m[1].n == 2, 30000, member_poll(&m[0], 20));
	kill(child, SIGSTOP);
	int64_t t = now_ms();
	UNTIL(m[0].n == PARTS, 30000, member_poll(&m[0], 20));
	fprintf(stderr, "partitions of a stopped member moved after %lld ms\n", (long long)(now_ms() - t));
	kill(child, SIGCONT);
	UNTIL(m[1].lost == 1, 30000, member_poll(&m[0], 20));
	UNTIL(m[0].n == 2 && m[1].n == 2, 30000, member_poll(&m[0], 20));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	m[0].s->ops->close(m[0].s, 5000);
	test_broker_close(&b);
}

// ---- headers, in every way that records come

enum { WAYS = 12, SIZES = 9 };
static const int value_sizes[SIZES] = { 0, 1, 63, 64, 200, 8191, 8192, 70000, 300000 };
static const int header_counts[] = { 0, 1, 0, 3, 0, 70 };

static rd_kafka_t *producer_of(struct test_broker *b, const char *codec, bool transactional)
{
	char why[256];
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	rd_kafka_conf_set(c, "bootstrap.servers", b->o.bootstrap, why, sizeof(why));
	rd_kafka_conf_set(c, "compression.codec", codec, why, sizeof(why));
	rd_kafka_conf_set(c, "linger.ms", "20", why, sizeof(why)); // several records a batch
	if (transactional)
		rd_kafka_conf_set(c, "transactional.id", b->name, why, sizeof(why));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof(why));
	cr_assert(rk != NULL, "%s", why);
	cr_assert(!transactional || rd_kafka_init_transactions(rk, 20000) == NULL);
	return rk;
}

// Record i has value_sizes[i % SIZES] bytes and header_counts[i % 6] headers: all pairs come in 18 of them.
static void send_ways(rd_kafka_t *rk, const char *topic, int partition, bool transactional)
{
	static char value[300000];
	cr_assert(!transactional || rd_kafka_begin_transaction(rk) == NULL);
	for (int i = 0; i < WAYS * SIZES; i++) {
		int n = header_counts[i % (int)ARRAY_LEN(header_counts)], size = value_sizes[i % SIZES];
		rd_kafka_headers_t *h = n > 0 ? rd_kafka_headers_new((size_t)n) : NULL;
		for (int k = 0; k < n; k++)
			rd_kafka_header_add(h, "name", -1, k % 2 ? NULL : "value", k % 2 ? 0 : -1);
		memset(value, i % 2 ? 0 : 'x', sizeof(value)); // zeroes too: they look like "no headers"
		bool null = size == 0 && i % 2;
		rd_kafka_resp_err_t err =
			h != NULL ? rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_HEADERS(h),
						      RD_KAFKA_V_VALUE(null ? NULL : value, (size_t)size),
						      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)
				  : rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
						      RD_KAFKA_V_VALUE(null ? NULL : value, (size_t)size), RD_KAFKA_V_KEY("key", 3),
						      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
		cr_assert(err == 0, "%s", rd_kafka_err2str(err));
	}
	cr_assert(rd_kafka_flush(rk, 30000) == 0);
	cr_assert(!transactional || rd_kafka_commit_transaction(rk, 20000) == NULL);
}

static void read_ways(struct test_broker *b, int partitions)
{
	struct member m = { 0 };
	int64_t seen[PARTS] = { 0 };
	struct error e = { 0 };
	int open = partitions;
	member_open(&m, &b->o, "a");
	int64_t until = now_ms() + 60000;
	while (open > 0) {
		struct record *r;
		uint32_t n, part;
		cr_assert(now_ms() < until && m.s->ops->poll(m.s, 100, &r, &n, &part, &e) == ERROR_NONE, "%s", e.text);
		for (uint32_t i = 0; i < n; i++) {
			int32_t p = m.parts[r[i].part].partition;
			int k = (int)seen[p]++, want = header_counts[k % (int)ARRAY_LEN(header_counts)];
			cr_assert(r[i].n_headers == (uint32_t)want, "record %d of partition %d: %u headers, not %d", k, p, r[i].n_headers, want);
			cr_assert(r[i].value.n == (size_t)value_sizes[k % SIZES]);
			// With the library of this build the look must work, or every record would cost what it is to spare.
			if (headerless_knows(rd_kafka_version()))
				cr_assert(headerless(r[i].value.p, r[i].value.n) == (want == 0 && r[i].value.n > 0));
			open -= seen[p] == WAYS * SIZES;
		}
		m.s->ops->release(m.s);
	}
	m.s->ops->close(m.s, 5000);
}

static void every_way(const char *const *settings, bool transactional)
{
	static const char *const codecs[] = { "none", "gzip", "snappy", "lz4", "zstd" };
	for (size_t c = 0; c < ARRAY_LEN(codecs); c++) {
		struct test_broker b;
		test_broker_open(&b, true, "headers");
		test_topic(&b, b.name, 1, settings);
		rd_kafka_t *rk = producer_of(&b, codecs[c], transactional);
		send_ways(rk, b.name, 0, transactional);
		rd_kafka_destroy(rk);
		read_ways(&b, 1);
		test_broker_close(&b);
	}
}

Test(kafka_source, headers_of_every_codec_and_size, .timeout = 240)
{
	every_way(NULL, false);
}

Test(kafka_source, headers_of_transactional_records, .timeout = 240)
{
	every_way(NULL, true);
}

Test(kafka_source, headers_where_the_broker_sets_the_time, .timeout = 240)
{
	every_way((const char *const[]){ "message.timestamp.type=LogAppendTime", NULL }, false);
}

// The broker compresses again: what comes is not what was sent.
Test(kafka_source, headers_where_the_broker_compresses, .timeout = 240)
{
	every_way((const char *const[]){ "compression.type=zstd", NULL }, false);
}
