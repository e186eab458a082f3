// SPDX-License-Identifier: Apache-2.0
// Checkpoints over a real Redis and a broker in this process: what goes out comes back, byte for byte; what is wrong with a file is said, and
// nothing is taken from it.
#include "redis_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "checkpoint/inner.h"
#include "kafka_test.h"
#include "some_rules.h"

static const char id[] = "init1";
static struct test_broker broker;
static struct journal *journal;
static struct store_options store_o;

static void control(char *record)
{
	test_record(&broker, "control", record);
	free(record);
}

static void open_all(void)
{
	setup();
	test_broker_open(&broker, false, "checkpoint");
	broker.o.control_topic = "control";
	broker.o.alerts_topic = "alerts";
	broker.o.settlements_topic = "settlements";
	test_topic(&broker, "control", 1, NULL);
	test_topic(&broker, "alerts", 2, NULL);
	test_topic(&broker, "settlements", 1, NULL);
	test_topic(&broker, "calls", 2, NULL);
	test_fill(&broker, "alerts", 1, 0, 3);
	test_fill(&broker, "calls", 0, 0, 900);
	test_fill(&broker, "calls", 1, 0, 900);
	struct journal_part parts[] = { { .topic = (char *)"calls", .partition = 0, .clock_ms = TIME_NONE },
					{ .topic = (char *)"calls", .partition = 1, .clock_ms = TIME_NONE } };
	struct rules *rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	control(journal_init_record(id, 4, parts, 2));
	control(journal_rules_record(1, TIME_NONE, rules));
	rules_freep(&rules);
	struct error e = { 0 };
	cr_assert_eq(journal_load(&broker.o, 10000, &journal, &e), ERROR_NONE, "%s", e.text);
	store_o = (struct store_options){ .url = url, .prefix = "t:", .shards = 4, .timeout_ms = 2000 };
}

static void close_all(void)
{
	journal_freep(&journal);
	teardown();
	test_broker_close(&broker);
}

TestSuite(checkpoint, .init = open_all, .fini = close_all, .timeout = 120);

// ---- helpers
static redisContext *redis(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/s", dir);
	redisContext *c = redisConnectUnix(path);
	cr_assert(c != NULL && c->err == 0);
	return c;
}

static void run_all(redisContext *c, int n)
{
	for (int i = 0; i < n; i++) {
		redisReply *r = NULL;
		cr_assert(redisGetReply(c, (void **)&r) == REDIS_OK && r->type != REDIS_REPLY_ERROR, "%s", r != NULL ? r->str : "");
		freeReplyObject(r);
	}
}

// Everything that a shard can hold, with bytes that need care, and more fields than one command takes.
static void fill(uint32_t shard, int fields)
{
	redisContext *c = redis();
	int n = 0;
	char g[40];
	static const char alert[] = "alert\na\nimage-tag\n2020-01\nquota.exhausted\n10\n", taken[] = "2019-12 pack=5", nul[] = "{\"x\":\"\0\xff\n\"}";
	static const char first[] = "500 1000 499 0000000000000007 tok", second[] = "600 - - 0000000000000000 tok";
	snprintf(g, sizeof(g), "t:{s%02u}:g1", shard);
	for (int i = 0; i < fields; i++, n += 2) {
		redisAppendCommand(c, "HSET %s:use:2020-01 account-%d/image-tag %d", g, i, i * 7 + 1);
		redisAppendCommand(c, "HSET %s:act account-%d %b", g, i, " 24240:24240", (size_t)12);
	}
	redisAppendCommand(c, "HSET %s:late:2019-12:2020-01 a/image-tag 3", g);
	redisAppendCommand(c, "HSET %s:set:2019-12 a %b", g, nul, sizeof(nul) - 1);
	redisAppendCommand(c, "HSET %s:frz:2019-12 a/image-tag 12", g);
	redisAppendCommand(c, "HSET %s:fired:2020-01 %b 1", g, alert, strlen(alert));
	redisAppendCommand(c, "HSET %s:led calls/0/counted 500 calls/0/consumed 500", g);
	redisAppendCommand(c, "HSET %s:cut 2019-12/calls/0 17", g);
	redisAppendCommand(c, "HSET %s:clk calls/0/256 -", g);
	redisAppendCommand(c, "HSET %s:pk a %b", g, taken, strlen(taken));
	redisAppendCommand(c, "HSET %s:off calls/0 %b calls/1 %b", g, first, strlen(first), second, strlen(second));
	redisAppendCommand(c, "HSET t:{s%02u}:meta closed:1:2019-12 abc done:1:2019-12 1 m:1:2020-01 1 m:1:2019-12:2020-01 1 looked:1 77 f:1:2019-11 1 closed:10:2019-12 other", shard);
	redisAppendCommand(c, "HSET %s:fired:2019-11 %b 1", g, alert, strlen(alert)); // a pack began then, and no call was counted
	redisAppendCommand(c, "XADD %s:out * t d k %b n - c a d %b", g, "line\nid", (size_t)7, "{}", (size_t)2);
	redisAppendCommand(c, "XADD %s:out * t a k second", g);
	run_all(c, n + 13);
	redisFree(c);
}

// All of a generation in a shard, as text: keys sorted, fields sorted, the outbox without its ids.
static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *dump(int64_t generation, uint32_t shard)
{
	redisContext *c = redis();
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	redisReply *keys = redisCommand(c, "KEYS t:{s%02u}:g%lld:*", shard, (long long)generation);
	char **names = xcalloc(keys->elements + 1, sizeof(*names));
	char prefix[40];
	size_t skip = (size_t)snprintf(prefix, sizeof(prefix), "t:{s%02u}:g%lld:", shard, (long long)generation);
	for (size_t i = 0; i < keys->elements; i++)
		names[i] = keys->element[i]->str;
	qsort(names, keys->elements, sizeof(*names), by_text);
	for (size_t i = 0; i < keys->elements; i++) {
		bool stream = strcmp(names[i] + skip, "out") == 0;
		redisReply *r = redisCommand(c, stream ? "XRANGE %s - +" : "HGETALL %s", names[i]);
		char **lines = xcalloc(r->elements + 1, sizeof(*lines));
		size_t m = 0;
		for (size_t k = 0; k < r->elements; k += stream ? 1 : 2) {
			size_t size = 0;
			FILE *line = open_memstream(&lines[m], &size);
			for (size_t w = 0; stream && w < r->element[k]->element[1]->elements; w++)
				fprintf(line, "%s|", r->element[k]->element[1]->element[w]->str);
			for (size_t w = 0; !stream && w < 2; w++)
				for (size_t b = 0; b < r->element[k + w]->len; b++)
					fprintf(line, "%02x", (unsigned char)r->element[k + w]->str[b]);
			fclose(line);
			m++;
		}
		if (!stream)
			qsort(lines, m, sizeof(*lines), by_text);
		fprintf(f, "%s\n", names[i] + skip);
		for (size_t k = 0; k < m; k++) {
			fprintf(f, "  %s\n", lines[k]);
			free(lines[k]);
		}
		free(lines);
		freeReplyObject(r);
	}
	fclose(f);
	free(names);
	freeReplyObject(keys);
	redisFree(c);
	return text;
}

static bool put_text(void *ctx, struct span field, struct span value)
{
	FILE *f = ctx;
	fprintf(f, "%.*s=%.*s ", (int)field.n, field.p, (int)value.n, value.p);
	return true;
}

static char *marks(int64_t generation, uint32_t shard)
{
	struct error e = { 0 };
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	store->ops->identity(store, id, generation);
	cr_assert_eq(store->ops->marks(store, shard, put_text, f, &e), ERROR_NONE, "%s", e.text);
	store->ops->identity(store, id, 1);
	fclose(f);
	return text;
}

static enum store_generation_kind kind(uint32_t shard, int64_t generation)
{
	struct store_generations g = { 0 };
	int found = -1;
	struct error e = { 0 };
	cr_assert_eq(store->ops->generations(store, shard, &g, &e), ERROR_NONE, "%s", e.text);
	for (uint32_t i = 0; i < g.n; i++)
		found = g.list[i].number == generation ? (int)g.list[i].kind : found;
	store_generations_free(&g);
	return (enum store_generation_kind)found;
}

static struct checkpoint_options options(void)
{
	return (struct checkpoint_options){ .kafka = &broker.o, .store = &store_o, .state_dir = dir, .keep = 3 };
}

static char *make(void)
{
	char *path = NULL;
	struct error e = { 0 };
	struct checkpoint_options o = options();
	cr_assert_eq(checkpoint_make(&o, &path, &e), ERROR_NONE, "%s", e.text);
	return path;
}

static enum error_class restore_to(int64_t generation, const char *path, const bool *wanted, bool in_force, struct error *e)
{
	struct checkpoint_restore r = { .store = store, .shards = 4, .wanted = wanted, .in_force = in_force };
	store->ops->identity(store, id, generation);
	enum error_class c = checkpoint_restore(&r, path, e);
	store->ops->identity(store, id, 1);
	return c;
}

static void same(int64_t a, int64_t b, uint32_t shard)
{
	CLEANUP(freep) char *x = dump(a, shard);
	CLEANUP(freep) char *y = dump(b, shard);
	CLEANUP(freep) char *m = marks(a, shard);
	CLEANUP(freep) char *n = marks(b, shard);
	cr_expect_str_eq(x, y, "shard %u", shard);
	cr_expect_str_eq(m, n, "shard %u", shard);
}

static uint32_t files(void)
{
	char path[160];
	uint32_t n = 0;
	snprintf(path, sizeof(path), "%s/checkpoints", dir);
	DIR *d = opendir(path);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static char *whole(const char *path, size_t *n)
{
	char *text = NULL;
	struct error e = { 0 };
	cr_assert_eq(file_read(path, SIZE_MAX / 2, &text, n, &e), ERROR_NONE, "%s", e.text);
	return text;
}

static const char *write_file(const char *bytes, size_t n)
{
	static char path[160];
	snprintf(path, sizeof(path), "%s/other", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
	return path;
}

// The same with another beginning, and a checksum that is right.
static const char *with(const char *path, const char *what, const char *instead)
{
	size_t n = 0, size = 0;
	CLEANUP(freep) char *text = whole(path, &n);
	char *out = NULL;
	unsigned char sum[DIGEST_SHA256];
	const char *at = memmem(text, n, what, strlen(what));
	cr_assert_not_null(at, "%s", what);
	FILE *f = open_memstream(&out, &size);
	fwrite(text, 1, (size_t)(at - text), f);
	fputs(instead, f);
	fwrite(at + strlen(what), 1, n - DIGEST_SHA256 - (size_t)(at - text) - strlen(what), f);
	fflush(f);
	digest_sha256((struct span){ out, size }, sum);
	fwrite(sum, 1, sizeof(sum), f);
	fclose(f);
	const char *other = write_file(out, size);
	free(out);
	return other;
}

static void fill_all(void)
{
	fill(0, 1203);
	fill(2, 1);
	fill(3, 40); // shard 1 holds nothing
}

// ---- out and in again

Test(checkpoint, what_goes_out_comes_back)
{
	struct error e = { 0 };
	struct checkpoint_head h = { 0 };
	struct checkpoint_totals t = { 0 };
	fill_all();
	CLEANUP(freep) char *before = dump(1, 0);
	CLEANUP(freep) char *path = make();
	CLEANUP(freep) char *after = dump(1, 0);
	cr_expect_str_eq(before, after);
	cr_expect_eq(kind(0, CHECKPOINT_CUT), (enum store_generation_kind)-1, "the copy is gone");
	CLEANUP(freep) char *copy = dump(CHECKPOINT_CUT, 0);
	cr_expect_str_eq(copy, "");
	cr_assert_eq(checkpoint_verify(path, &h, &t, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(t.entries, 6);
	cr_expect_eq(t.fields, 2 * (1203 + 1 + 40) + 3 * (12 + 6)); // hashes and marks of three shards
	cr_expect_eq(h.n_parts, 2);
	cr_expect_eq(h.parts[0].from, 0, "shard 1 has not counted yet");
	cr_expect_eq(h.n_outs, 3);
	cr_expect_eq(h.outs[1].offset, 3);
	cr_expect_eq(checkpoint_fits(&h, journal, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(checkpoint_reached(&h, NULL, &broker.o, true, &e), ERROR_NONE, "%s", e.text);
	checkpoint_head_free(&h);
	cr_assert_eq(restore_to(2, path, NULL, false, &e), ERROR_NONE, "%s", e.text);
	for (uint32_t shard = 0; shard < 4; shard++) {
		same(1, 2, shard);
		cr_expect_eq(kind(shard, 2), GENERATION_BUILDING);
		cr_expect_eq(kind(shard, 1), GENERATION_LIVE);
	}
	cr_expect_eq(restore_to(1, path, NULL, false, &e), ERROR_HALT, "never over one that is in force");
	e = (struct error){ 0 };
	cr_expect_eq(restore_to(2, path, NULL, false, &e), ERROR_HALT, "nor over one that is being made");
}

Test(checkpoint, lost_shards_come_back_in_force_and_others_stay)
{
	struct error e = { 0 };
	bool wanted[4] = { true, false, false, true };
	fill_all();
	CLEANUP(freep) char *path = make();
	CLEANUP(freep) char *zero = dump(1, 0);
	CLEANUP(freep) char *three = dump(1, 3);
	CLEANUP(freep) char *two = dump(1, 2);
	redisContext *c = redis();
	redisAppendCommand(c, "DEL t:{s00}:meta");            // its counters are left over
	redisAppendCommand(c, "HSET t:{s00}:g1:use:2020-02 nobody/image-tag 5");
	redisAppendCommand(c, "HSET t:{s00}x:g1:use:2020-02 foreign 5");
	redisAppendCommand(c, "DEL t:{s03}:meta");
	run_all(c, 4);
	int64_t n = 0;
	cr_assert_eq(store->ops->left_over(store, 0, false, &n, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(n, 14);
	cr_assert_eq(restore_to(1, path, wanted, true, &e), ERROR_NONE, "%s", e.text);
	CLEANUP(freep) char *zero_now = dump(1, 0);
	CLEANUP(freep) char *three_now = dump(1, 3);
	CLEANUP(freep) char *two_now = dump(1, 2);
	cr_expect_str_eq(zero, zero_now);
	cr_expect_str_eq(three, three_now);
	cr_expect_str_eq(two, two_now);
	cr_expect_eq(kind(0, 1), GENERATION_LIVE);
	redisReply *r = redisCommand(c, "EXISTS t:{s00}x:g1:use:2020-02");
	cr_expect_eq(r->integer, 1, "another's key");
	freeReplyObject(r);
	redisFree(c);
}

// Redis was put back from a copy that is older than the decision for generation 2: shards 0 and 3 hold generation 1 and nothing of 2.
Test(checkpoint, a_shard_older_than_the_decision_takes_the_generation_that_is_in_force)
{
	struct error e = { 0 };
	bool wanted[4] = { true, false, false, true };
	fill_all();
	CLEANUP(freep) char *path = make();
	CLEANUP(freep) char *other = dump(1, 2);
	cr_assert_eq(restore_to(2, path, wanted, true, &e), ERROR_NONE, "%s", e.text);
	same(1, 2, 0);
	same(1, 2, 3);
	redisContext *c = redis();
	redisAppendCommand(c, "DEL t:{s00}:g2:out"); // two entries of the generation before are what is not published
	run_all(c, 1);
	redisFree(c);
	store->ops->identity(store, id, 2);
	for (uint32_t shard = 0; shard < 4; shard += 3) {
		struct store_state st = { 0 };
		cr_assert_eq(store->ops->state(store, shard, &st, &e), ERROR_NONE, "%s", e.text);
		cr_expect(st.exists && !st.lacks_generation && !st.restoring);
		cr_assert_eq(store->ops->adopt(store, shard, 40, &e), ERROR_NONE, "%s", e.text);
		cr_expect_eq(kind(shard, 2), GENERATION_LIVE);
		cr_expect_eq(kind(shard, 1), GENERATION_OLD);
		int64_t n = 0;
		cr_assert_eq(store->ops->outbox_length(store, shard, &n, &e), ERROR_NONE, "%s", e.text);
		cr_expect_eq(n, shard == 0 ? 2 : 4);
	}
	CLEANUP(freep) char *other_now = dump(1, 2);
	cr_expect_str_eq(other, other_now);
	cr_expect_eq(kind(2, 2), (enum store_generation_kind)-1);
}

Test(checkpoint, a_half_is_of_no_use_and_the_next_attempt_begins_anew)
{
	struct error e = { 0 };
	struct store_state st = { 0 };
	struct store_claim claim = { .name = SPAN_LIT("calls/0"), .start = { 0, TIME_NONE, -1, 0 } };
	fill_all();
	CLEANUP(freep) char *path = make();
	store->ops->identity(store, id, 2);
	cr_assert_eq(store->ops->restore(store, 0, &e), ERROR_NONE, "%s", e.text);
	struct span words[] = { SPAN_LIT("m:2020-07"), SPAN_LIT("1") }, field[] = { SPAN_LIT("x/y"), SPAN_LIT("1") };
	struct store_key july = { "use", 2020 * 12 + 6, MONTH_NONE };
	cr_assert_eq(store->ops->put_marks(store, 0, words, 2, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->put(store, 0, &july, field, 2, &e), ERROR_NONE, "%s", e.text);
	cr_assert_eq(store->ops->state(store, 0, &st, &e), ERROR_NONE, "%s", e.text);
	cr_expect(st.restoring);
	cr_expect_eq(store->ops->claim(store, 0, SPAN_LIT("tok"), &claim, 1, &e), ERROR_ABORT);
	cr_expect(strstr(e.text, "put back from a checkpoint") != NULL, "%s", e.text);
	e = (struct error){ 0 };
	cr_expect_eq(store->ops->begin(store, 0, 2, &e), ERROR_HALT);
	e = (struct error){ 0 };
	cr_expect_eq(store->ops->adopt(store, 0, 40, &e), ERROR_ABORT);
	e = (struct error){ 0 };
	cr_assert_eq(restore_to(2, path, NULL, false, &e), ERROR_NONE, "%s", e.text);
	for (uint32_t shard = 0; shard < 4; shard++)
		same(1, 2, shard);
	cr_expect_eq(store->ops->put(store, 0, &july, field, 2, &e), ERROR_ABORT, "nothing is put into what is whole");
}

// ---- files that are wrong

Test(checkpoint, any_damage_is_found)
{
	size_t n = 0;
	struct error e = { 0 };
	fill(2, 3);
	CLEANUP(freep) char *path = make();
	CLEANUP(freep) char *text = whole(path, &n);
	for (size_t at = 0; at < n; at++) { // each byte
		text[at] ^= 4;
		e = (struct error){ 0 };
		cr_expect_eq(checkpoint_verify(write_file(text, n), NULL, NULL, &e), ERROR_ABORT, "byte %zu", at);
		cr_expect_eq(e.exit_code, EXIT_CONFIG_ERR);
		text[at] ^= 4;
	}
	for (size_t cut = 0; cut < n; cut++) {
		e = (struct error){ 0 };
		cr_expect_eq(checkpoint_verify(write_file(text, cut), NULL, NULL, &e), ERROR_ABORT, "%zu bytes", cut);
	}
	e = (struct error){ 0 };
	text[n - 1] ^= 1;
	cr_expect_eq(restore_to(2, write_file(text, n), NULL, false, &e), ERROR_ABORT);
	cr_expect(strstr(e.text, "is damaged (its checksum is wrong): nothing was taken from it") != NULL, "%s", e.text);
	cr_expect_eq(kind(2, 2), (enum store_generation_kind)-1);
}

static void refused(const char *path, const char *why)
{
	struct error e = { 0 };
	cr_expect_eq(checkpoint_verify(path, NULL, NULL, &e), ERROR_ABORT, "%s", why);
	cr_expect(e.exit_code == EXIT_CONFIG_ERR && strstr(e.text, why) != NULL, "%s", e.text);
}

Test(checkpoint, other_forms_say_which_version_reads_them)
{
	fill(2, 3);
	CLEANUP(freep) char *path = make();
	refused(with(path, "checkpoint 1\n", "checkpoint 2\n"), "has form 2, this program reads form 1: it was written by a newer version");
	refused(with(path, "checkpoint 1\n", "checkpoint 0\n"), "written by an older version");
	refused(with(path, "\"schema\":4", "\"schema\":5"), "schema 5, this program has schema 4: it was written by a newer version");
	refused(with(path, "\"schema\":4", "\"schema\":2"), "written by an older version");
	struct error e = { 0 };
	cr_expect_eq(checkpoint_verify(with(path, "\"schema\":4", "\"schema\":3"), NULL, NULL, &e), ERROR_NONE, "of the one before: %s", e.text);
	refused(with(path, "\"shards\":4", "\"shards\":5"), "shards of it are missing");
	refused(with(path, "\"shards\":4", "\"shards\":3"), "its shards are out of order");
	refused(with(path, "\"made\":", "\"mode\":"), "its head cannot be read");
	refused(write_file("instance: m\n", 12), "is no checkpoint of meterd");
	refused("/nowhere/at/all", "cannot be opened (No such file or directory)");
	refused(dir, "is no file");
}

static void unfit(const char *path, const char *why)
{
	struct error e = { 0 };
	struct checkpoint_head h = { 0 };
	cr_assert_eq(checkpoint_verify(path, &h, NULL, &e), ERROR_NONE, "%s", e.text);
	enum error_class c = checkpoint_fits(&h, journal, &e);
	if (c == ERROR_NONE)
		c = checkpoint_reached(&h, NULL, &broker.o, true, &e);
	cr_expect_eq(c, ERROR_ABORT, "%s", why);
	cr_expect(e.exit_code == EXIT_CONFIG_ERR && strstr(e.text, why) != NULL, "%s", e.text);
	checkpoint_head_free(&h);
}

Test(checkpoint, another_states_is_refused)
{
	for (uint32_t shard = 0; shard < 4; shard++)
		fill(shard, 3);
	CLEANUP(freep) char *path = make();
	unfit(with(path, "init1", "init2"), "the checkpoint is of init id init2, the control topic of init1: it is another state's");
	unfit(with(path, "calls/1", "other/1"), "counts other/1, which the control topic does not know");
	unfit(with(path, "\"control_next\":2", "\"control_next\":3"), "decisions are missing");
	unfit(with(path, "\"rules\":1", "\"rules\":2"), "decisions are missing");
	unfit(with(path, "\"from\":500", "\"from\":901"), "ends at offset 900, and the checkpoint stands at 901: the topic was made again");
	unfit(with(path, "\"offset\":3", "\"offset\":4"), "alerts/1 ends at offset 3");
	unfit(with(path, "alerts/1", "alerts-1"), "names a partition alerts-1, which is none");
	journal->shards = 8;
	unfit(path, "the checkpoint has 4 shards, the state 8");
	journal->shards = 4;
	struct error e = { 0 };
	char *found = NULL;
	const struct checkpoint_wish published = { .published = true };
	cr_expect_eq(checkpoint_newest(dir, journal, NULL, &broker.o, &published, &found, &e), ERROR_NONE, "%s", e.text);
	cr_expect_str_eq(found, path);
	free(found);
	journal->generation = 7; // another one came into force since
	cr_expect_eq(checkpoint_newest(dir, journal, NULL, &broker.o, &published, &found, &e), ERROR_ABORT);
	cr_expect(strstr(e.text, "which is not in force any more") != NULL, "%s", e.text);
}

// Redis went back behind it, and new rules were dated behind where the shards stood then: what it counted, it counted under the older ones.
Test(checkpoint, one_that_counted_where_newer_rules_hold_is_refused)
{
	struct error e = { 0 };
	char *found = NULL;
	const struct checkpoint_wish any = { 0 };
	fill(2, 3); // one of its clocks stands at 1000
	CLEANUP(freep) char *path = make();
	CLEANUP(rules_freep) struct rules *rules = some_rules(CLOCK_RECORDS, NULL, NULL);
	control(journal_rules_record(2, 1001, rules));
	journal_freep(&journal);
	cr_assert_eq(journal_load(&broker.o, 10000, &journal, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(checkpoint_usable(path, journal, NULL, &broker.o, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(checkpoint_newest(dir, journal, NULL, &broker.o, &any, &found, &e), ERROR_NONE, "%s", e.text);
	free(TAKE_PTR(found));
	journal->rules[1].effective_ms = 1000;
	unfit(path, "version 1 of the rules was the newest, and stands where version 2, which was decided since, holds");
	cr_expect_eq(checkpoint_usable(path, journal, NULL, &broker.o, &e), ERROR_ABORT);
	cr_expect_eq(checkpoint_newest(dir, journal, NULL, &broker.o, &any, &found, &e), ERROR_ABORT);
	cr_expect(strstr(e.text, "holds: what it counted there may be wrong") != NULL, "%s", e.text);
}

// Its shards stand at 500 and 600, and one of them at nothing: the head tells of that one alone.
Test(checkpoint, one_that_stands_before_an_offset_is_found)
{
	struct error e = { 0 };
	int64_t upto[2] = { 500, 600 };
	const struct checkpoint_wish wish = { .upto = upto };
	fill(2, 3);
	CLEANUP(freep) char *path = make();
	char *found = NULL;
	cr_assert_eq(checkpoint_newest(dir, journal, NULL, &broker.o, &wish, &found, &e), ERROR_NONE, "%s", e.text);
	cr_expect_str_eq(found, path);
	free(found);
	upto[1] = 599;
	cr_expect_eq(checkpoint_newest(dir, journal, NULL, &broker.o, &wish, &found, &e), ERROR_ABORT);
	cr_expect(strstr(e.text, "stands at offset 600 of calls/1, and is to stand at 599 at the most") != NULL, "%s", e.text);
	e = (struct error){ 0 };
	journal->generation = 7;
	cr_expect_eq(checkpoint_usable(path, journal, NULL, &broker.o, &e), ERROR_NONE, "by name, of any generation: %s", e.text);
	cr_expect_eq(checkpoint_usable(write_file("x", 1), journal, NULL, &broker.o, &e), ERROR_ABORT);
}

// ---- what happens while one is written

static void not_made(struct checkpoint_options o, enum error_class cls, const char *why)
{
	struct error e = { 0 };
	char *path = NULL;
	cr_expect_eq(checkpoint_make(&o, &path, &e), cls, "%s", e.text);
	cr_expect(strstr(e.text, why) != NULL, "%s", e.text);
	cr_expect_eq(files(), 0);
	CLEANUP(freep) char *copy = dump(CHECKPOINT_CUT, 2);
	cr_expect_str_eq(copy, "", "no copy stays in Redis");
}

static void another_in_force(void *ctx, uint64_t done, uint64_t all)
{
	(void)ctx;
	if (done == all - 1)
		control(journal_generation_record(2));
}

static void back_in_shard_2(void *ctx, uint64_t done, uint64_t all)
{
	static const char before[] = "499 999 498 0000000000000007 tok";
	(void)ctx, (void)all;
	if (done != 2)
		return;
	redisContext *c = redis();
	redisAppendCommand(c, "HSET t:{s02}:g1:off calls/0 %b", before, strlen(before));
	run_all(c, 1);
	redisFree(c);
}

Test(checkpoint, what_changes_meanwhile_leaves_nothing)
{
	atomic_bool stop = true;
	struct checkpoint_options o = options();
	for (uint32_t shard = 0; shard < 4; shard++)
		fill(shard, 3);
	o.stop = &stop;
	not_made(o, ERROR_ABORT, "stopped; nothing was left of the checkpoint");
	o.stop = NULL;
	o.progress = back_in_shard_2;
	not_made(o, ERROR_RETRY, "shard 2 went back behind offset 500 of calls/0 while the checkpoint was written; run the same command again");
	o.progress = another_in_force;
	not_made(o, ERROR_RETRY, "generation 2 came into force while the checkpoint was written; run the same command again");
}

// Redis goes back to before the copy was made, while that is read: the rest of it is empty, and says nothing.
static struct store_ops losing;
static const struct store_ops *real_ops;
static int opened;

static enum error_class read_and_lose(struct store *s, uint32_t shard, store_entry_fn *fn, void *ctx, struct error *e)
{
	enum error_class c = real_ops->entries(s, shard, fn, ctx, e);
	return c == ERROR_NONE && shard == 2 ? store->ops->drop(store, shard, CHECKPOINT_CUT, e) : c;
}

static enum error_class open_losing(const struct store_options *o, struct store **ret, struct error *e)
{
	enum error_class c = store_redis_open(o, ret, e);
	if (c == ERROR_NONE && opened++ == 1) { // the one of the copy
		real_ops = (*ret)->ops;
		losing = *real_ops;
		losing.entries = read_and_lose;
		(*ret)->ops = &losing;
	}
	return c;
}

Test(checkpoint, a_copy_that_is_lost_while_it_is_read)
{
	struct checkpoint_options o = options();
	for (uint32_t shard = 0; shard < 3; shard++) // the last one has counted nothing: the log is needed from its begin, and no shard stands before that
		fill(shard, 3);
	o.store_open = open_losing;
	not_made(o, ERROR_RETRY, "shard 2 lost its copy while the checkpoint was written; run the same command again");
	cr_expect_eq(opened, 3);
}

Test(checkpoint, a_folder_that_is_none)
{
	struct checkpoint_options o = options();
	struct checkpoint_list list = { 0 };
	struct error e = { 0 };
	o.state_dir = write_file("x", 1);
	not_made(o, ERROR_ABORT, "/other/checkpoints cannot be made (Not a directory): give the user that meterd runs as the right to write state_dir");
	cr_expect_eq(checkpoint_list(o.state_dir, &list, &e), ERROR_ABORT);
	cr_expect(e.exit_code == EXIT_CONFIG_ERR && strstr(e.text, "/other/checkpoints cannot be read (Not a directory)") != NULL, "%s", e.text);
}

// ---- the folder

Test(checkpoint, a_full_disk_leaves_nothing)
{
	struct rlimit before, none;
	struct error e = { 0 };
	char *path = NULL;
	struct checkpoint_options o = options();
	fill_all();
	signal(SIGXFSZ, SIG_IGN);
	cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
	for (rlim_t size = 0; size < 4000; size += 999) {
		none = (struct rlimit){ size, before.rlim_max };
		cr_assert(setrlimit(RLIMIT_FSIZE, &none) == 0);
		e = (struct error){ 0 };
		cr_expect_eq(checkpoint_make(&o, &path, &e), ERROR_ABORT);
		setrlimit(RLIMIT_FSIZE, &before);
		cr_expect_eq(e.exit_code, EXIT_LATER);
		cr_expect(strstr(e.text, "cannot be written (File too large); nothing was left of it. Make room in state_dir") != NULL, "%s", e.text);
		cr_expect_eq(files(), 0);
		CLEANUP(freep) char *copy = dump(CHECKPOINT_CUT, 0);
		cr_expect_str_eq(copy, "", "no copy stays in Redis");
	}
	CLEANUP(freep) char *whole = make();
	cr_expect(whole != NULL && files() == 1);
}

// As many bytes of `path` under another name of the folder.
static void leave(const char *path, const char *name, size_t n)
{
	char to[200];
	size_t all = 0;
	CLEANUP(freep) char *bytes = whole(path, &all);
	snprintf(to, sizeof(to), "%s/checkpoints/%s", dir, name);
	cr_assert(rename(write_file(bytes, n < all ? n : all), to) == 0);
}

static bool lies_there(const char *name)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/checkpoints/%s", dir, name);
	return access(path, F_OK) == 0;
}

Test(checkpoint, what_a_killed_process_left_half_written_goes_with_the_next)
{
	static const char half[] = "20200101T000000Z-2019-12.checkpoint.aB3xYz", empty[] = "20200101T000001Z-open.checkpoint.000000";
	static const char backup[] = "20200101T000000Z-2019-12.checkpoint.backup", notes[] = "notes.checkpoint.txt";
	struct error e = { 0 };
	char *other = NULL, *none = NULL;
	struct checkpoint_options o = options();
	fill(2, 3);
	CLEANUP(freep) char *first = make();
	leave(first, half, 300);
	leave(first, empty, 0);
	leave(first, backup, SIZE_MAX);
	leave(first, notes, 5);
	do { // the claim of the one that was made is over in a moment
		free(other);
		other = NULL;
		cr_assert_eq(store->ops->lease(store, LEASE_CHECKPOINT, "somebody", 60000, &other, &e), ERROR_NONE);
	} while (other != NULL);
	cr_expect_eq(checkpoint_make(&o, &none, &e), ERROR_ABORT);
	cr_expect(lies_there(half) && lies_there(empty), "somebody may be writing it");
	e = (struct error){ 0 };
	cr_assert_eq(store->ops->lease(store, LEASE_CHECKPOINT, "somebody", 1, &other, &e), ERROR_NONE);
	do // the claim ends
		e = (struct error){ 0 };
	while (checkpoint_make(&o, &none, &e) == ERROR_ABORT);
	cr_expect(!lies_there(half) && !lies_there(empty));
	cr_expect(lies_there(backup) && lies_there(notes), "a person's");
	free(none);
}

Test(checkpoint, the_newest_stay)
{
	char *paths[4];
	struct checkpoint_list list = { 0 };
	fill(2, 3);
	for (int i = 0; i < 4; i++) {
		paths[i] = make();
		struct stat st; // a second's worth apart: names have no more
		int64_t second = clock_wall_ms() / 1000;
		while (clock_wall_ms() / 1000 == second)
			clock_sleep_ms(5);
		cr_assert(stat(paths[i], &st) == 0);
	}
	cr_assert_eq(checkpoint_list(dir, &list, NULL), ERROR_NONE);
	cr_assert_eq(list.n, 3);
	for (uint32_t i = 0; i < 3; i++)
		cr_expect_str_eq(list.files[i].path, paths[3 - i]);
	checkpoint_list_free(&list);
	for (int i = 0; i < 4; i++)
		free(paths[i]);
}

// The clock was set back: those from before say that they are newer.
Test(checkpoint, the_one_just_written_stays)
{
	char other[200];
	struct error e = { 0 };
	struct checkpoint_options o = options();
	fill(2, 3);
	CLEANUP(freep) char *first = make();
	snprintf(other, sizeof(other), "%s/checkpoints/29990101T000000Z-open.checkpoint", dir);
	cr_assert(rename(with(first, "\"made\":1", "\"made\":9"), other) == 0);
	o.keep = 1;
	CLEANUP(freep) char *path = NULL;
	cr_assert_eq(checkpoint_make(&o, &path, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(access(path, R_OK), 0, "%s", path);
	cr_expect_eq(files(), 1);
}

Test(checkpoint, one_at_a_time)
{
	struct error e = { 0 };
	char *other = NULL, *path = NULL;
	struct checkpoint_options o = options();
	cr_assert_eq(store->ops->lease(store, LEASE_CHECKPOINT, "somebody", 60000, &other, &e), ERROR_NONE);
	cr_expect_eq(checkpoint_make(&o, &path, &e), ERROR_ABORT);
	cr_expect(e.exit_code == EXIT_LATER && strstr(e.text, "another checkpoint is being written: somebody") != NULL, "%s", e.text);
	cr_expect_eq(files(), 0);
	cr_assert_eq(store->ops->lease(store, LEASE_GENERATIONS, "me", 60000, &other, &e), ERROR_NONE);
	cr_expect_null(other, "a rebuild is another matter");
}

Test(checkpoint, the_keeper_makes_one_of_each_month_and_none_twice)
{
	struct checkpoint_options o = options();
	struct keeper_numbers n = { 0 };
	fill(2, 3);
	redisContext *c = redis();
	struct keeper *k = keeper_new(&o);
	keeper_see(k, MONTH_NONE);
	keeper_see(k, 2019 * 12 + 11);
	while (n.written == 0)
		keeper_numbers(k, &n);
	keeper_see(k, 2019 * 12 + 11);
	keeper_freep(&k);
	redisFree(c);
	cr_expect_eq(n.failed, 0);
	cr_expect_eq(n.written, 1);
	cr_expect_eq(files(), 1);
	cr_expect_gt(n.bytes, 300);
}

// A full disk or a Redis that is slow is not copied to the brim every minute for ever.
Test(checkpoint, the_keeper_comes_again_later_each_time)
{
	cr_expect_eq(keeper_again_s(1), 60);
	cr_expect_eq(keeper_again_s(2), 120);
	cr_expect_eq(keeper_again_s(6), 1920);
	cr_expect_eq(keeper_again_s(7), 3600);
	cr_expect_eq(keeper_again_s(UINT32_MAX), 3600);
}

// A broker that takes connections and says nothing: who stops waits for the call that is under way, and systemd for 45 s.
Test(checkpoint, the_keeper_stops_while_kafka_is_away)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(to);
	char bootstrap[40];
	int listening = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(bind(listening, (struct sockaddr *)&to, n) == 0 && listen(listening, 16) == 0 &&
		  getsockname(listening, (struct sockaddr *)&to, &n) == 0);
	snprintf(bootstrap, sizeof(bootstrap), "127.0.0.1:%d", ntohs(to.sin_port));
	struct kafka_options away = broker.o;
	struct checkpoint_options o = options();
	away.bootstrap = bootstrap;
	o.kafka = &away;
	struct keeper *k = keeper_new(&o);
	keeper_see(k, 2019 * 12 + 11);
	cr_assert(accept(listening, NULL, NULL) >= 0); // it is at it
	int64_t begun_us = clock_mono_us();
	keeper_freep(&k);
	cr_expect_lt(clock_mono_us() - begun_us, 30000000);
}
