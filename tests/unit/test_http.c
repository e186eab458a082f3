// SPDX-License-Identifier: Apache-2.0
// The HTTP interface over real sockets: codes, bodies, limits, a port in use; and the metrics as promtool wants them.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/http.h"

static void fill(void *ctx, struct status *s)
{
	const char *mood = ctx;
	s->phase = STATUS_RUNNING;
	s->instance = xstrdup("meterd");
	s->started_ms = 1579000000000;
	s->now_ms = 1579000012345;
	s->workers = 2;
	s->rules_version = 3;
	for (int32_t i = 0; i < 2; i++) {
		struct status_part *p = status_part_add(s, "usage.calls", i);
		p->next = 100 + i;
		p->high = 112;
		p->clock_ms = 1579077000123;
		p->window_clock_ms = 1579070000000;
		p->outcomes[OUTCOME_COUNTED] = 90;
		p->read_back = 11;
		p->snapshot_offset = 96;
		p->snapshot_ms = 1579076000000;
		p->snapshot_bytes = 917000;
		p->outcomes[OUTCOME_REJECTED] = i;
	}
	struct status_shard one[] = { { 3, 40, 0, 9000, 1, 12 } }, two[] = { { 1, 2, 1, 500, 0, 3 }, { 6, 60, 2, 7000, 0, 0 } };
	status_shards_add(s, one, 1); // of two workers
	status_shards_add(s, two, 2);
	status_count_add(&s->calls, "image-tag", 5);
	status_count_add(&s->calls, "image-tag", 7);
	status_count_add(&s->conflicts, "rollback", 1);
	histogram_add(&s->commit_time, 900);
	histogram_add(&s->commit_time, 60000000);
	s->snapshots = (struct status_snapshots){ true, 7, 6, 5, 4, NULL };
	s->checkpoints = (struct status_checkpoints){ true, 3, 2, 4096, 1579075000000 };
	s->letters.known = true;
	status_count_add(&s->letters.by_code, "service_unknown", 8);
	status_count_add(&s->letters.by_code, "json_syntax", 0);
	s->imbalance = 0;
	s->balanced_ms = 1579077000000;
	s->relay.owner = true;
	s->relay.pending = 4;
	s->closer.owner = true;
	s->closer.closed_month = 2019 * 12 + 11;
	s->closer.open_month = 2020 * 12;
	s->closer.closed_end_ms = 1577808000000;
	s->closer.due_ms = 1580572800000;
	s->closer.corrected = 12;
	s->closer.passed_over = 9;
	if (mood[0] == 'r')
		status_reason(s, "redis: 127.0.0.1:6379 refuses connections; nothing is lost, reading goes on when it is back");
	if (mood[0] == 'h')
		s->parts[1].halted = xstrdup("offset 101 is gone; \"see\" the README");
	if (mood[0] == 's')
		s->phase = STATUS_STARTING;
	if (mood[0] == 'n') {
		s->parts[0].high = -1;
		s->parts[0].clock_ms = TIME_NONE;
		s->relay.pending = -1;
		s->closer.due_ms = TIME_NONE;
		s->closer.closed_month = MONTH_NONE;
	}
}

static struct http *open_http(const char *mood)
{
	struct http_options o = { .listen = "127.0.0.1:0", .read = fill, .ctx = (void *)(uintptr_t)mood };
	struct http *h = NULL;
	struct error e = { 0 };
	cr_assert_eq(http_open(&o, &h, &e), ERROR_NONE, "%s", e.text);
	cr_assert_neq(http_port(h), 0);
	return h;
}

static int dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	signal(SIGPIPE, SIG_IGN); // a request that is too long is answered and cut off in the middle
	struct timeval limit = { .tv_sec = 20 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static char *read_all(int fd)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	char buf[4096];
	ssize_t n;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, f);
	fclose(f);
	return text;
}

// The whole answer, head and body.
static char *ask(struct http *h, const char *head)
{
	int fd = dial(http_port(h));
	dprintf(fd, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", head);
	char *text = read_all(fd);
	close(fd);
	return text;
}

static const char *body_of(const char *answer)
{
	const char *at = strstr(answer, "\r\n\r\n");
	cr_assert(at != NULL, "no body in: %s", answer);
	return at + 4;
}

#define EXPECT(answer, text) cr_assert(strstr(answer, text) != NULL, "wanted %s in:\n%s", text, answer)

Test(http, healthy_and_ready)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	CLEANUP(freep) char *healthy = ask(h, "GET /-/healthy");
	CLEANUP(freep) char *ready = ask(h, "GET /-/ready");
	EXPECT(healthy, "HTTP/1.1 200");
	EXPECT(ready, "HTTP/1.1 200");
	cr_assert_str_eq(body_of(ready), "ready\n");
}

Test(http, not_ready_says_why)
{
	CLEANUP(http_freep) struct http *redis = open_http("redis"), *halted = open_http("halted"), *starting = open_http("start");
	CLEANUP(freep) char *a = ask(redis, "GET /-/ready"), *b = ask(halted, "GET /-/ready"), *c = ask(starting, "GET /-/ready");
	EXPECT(a, "HTTP/1.1 503");
	cr_assert_str_eq(body_of(a), "redis: 127.0.0.1:6379 refuses connections; nothing is lost, reading goes on when it is back\n");
	EXPECT(b, "HTTP/1.1 503");
	cr_assert_str_eq(body_of(b), "usage.calls/1 halted: offset 101 is gone; \"see\" the README\n");
	EXPECT(c, "HTTP/1.1 503");
	cr_assert_str_eq(body_of(c), "starting\n");
}

Test(http, only_reads_and_only_what_there_is)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	CLEANUP(freep) char *post = ask(h, "POST /metrics"), *none = ask(h, "GET /metrics/"), *up = ask(h, "GET /../etc/passwd");
	CLEANUP(freep) char *head = ask(h, "HEAD /-/ready"), *long_one = NULL, *junk = ask(h, "\1\2\3");
	EXPECT(post, "HTTP/1.1 405");
	EXPECT(post, "Allow: GET, HEAD");
	EXPECT(post, "application/problem+json");
	EXPECT(none, "HTTP/1.1 404");
	EXPECT(none, "\"status\":404");
	EXPECT(up, "HTTP/1.1 404");
	EXPECT(head, "HTTP/1.1 200");
	cr_assert_str_eq(body_of(head), "");
	cr_assert(strstr(junk, "HTTP/1.1 200") == NULL);
	char *path = xcalloc(100001, 1);
	memset(path, 'a', 100000);
	CLEANUP(freep) char *line = xasprintf("GET /%s", path);
	long_one = ask(h, line);
	free(path);
	cr_assert(strstr(long_one, " 414 ") != NULL || strstr(long_one, " 413 ") != NULL || *long_one == '\0', "%s", long_one);
	CLEANUP(freep) char *after = ask(h, "GET /-/healthy");
	EXPECT(after, "HTTP/1.1 200");
}

// A 405 comes at once: the body it announces is never waited for.
Test(http, a_request_body_is_not_waited_for, .timeout = 30)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	int fd = dial(http_port(h));
	dprintf(fd, "PUT /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
	char buf[64];
	cr_assert_gt(read(fd, buf, sizeof(buf)), 12);
	cr_assert_eq(memcmp(buf, "HTTP/1.1 405", 12), 0);
	close(fd);
}

// Idle connections take places up to the limit, and give them back.
Test(http, idle_connections_are_bounded, .timeout = 60)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	int fd[80];
	for (int i = 0; i < 80; i++)
		fd[i] = dial(http_port(h));
	for (int i = 0; i < 80; i++)
		close(fd[i]);
	CLEANUP(freep) char *after = ask(h, "GET /-/healthy");
	EXPECT(after, "HTTP/1.1 200");
}

Test(http, status_as_json)
{
	CLEANUP(http_freep) struct http *h = open_http(""), *n = open_http("nothing known");
	CLEANUP(freep) char *a = ask(h, "GET /api/v1/status"), *b = ask(n, "GET /api/v1/status");
	EXPECT(a, "application/json");
	json_t *j = json_loads(body_of(a), 0, NULL), *k = json_loads(body_of(b), 0, NULL);
	cr_assert(j != NULL && k != NULL);
	json_t *p = json_array_get(json_object_get(j, "partitions"), 1), *q = json_array_get(json_object_get(k, "partitions"), 0);
	cr_assert_eq(json_integer_value(json_object_get(p, "lag")), 11);
	cr_assert_str_eq(json_string_value(json_object_get(p, "clock")), "2020-01-15T08:30:00.123Z");
	cr_assert(json_is_null(json_object_get(q, "lag")) && json_is_null(json_object_get(q, "clock")));
	cr_assert_eq(json_integer_value(json_object_get(j, "uptime_seconds")), 12);
	cr_assert(json_is_true(json_object_get(j, "ready")));
	json_t *c = json_object_get(j, "closing"), *o = json_object_get(k, "outbox");
	cr_assert_str_eq(json_string_value(json_object_get(c, "open")), "2020-01");
	cr_assert_str_eq(json_string_value(json_object_get(c, "closed")), "2019-12");
	cr_assert(json_is_null(json_object_get(o, "pending")));
	json_t *shards = json_object_get(j, "shards");
	CLEANUP(freep) char *first = json_dumps(json_array_get(shards, 0), JSON_COMPACT);
	cr_assert_str_eq(first, "{\"shard\":0,\"commits\":4,\"counters\":42,\"refused\":1,\"took_us\":9500,\"under_way\":1,\"behind\":15}");
	cr_assert(json_array_size(shards) == 2 && json_integer_value(json_object_get(json_array_get(shards, 1), "counters")) == 60);
	json_decref(j);
	json_decref(k);
}

static int promtool(const char *text)
{
	FILE *f = popen("promtool check metrics", "w");
	cr_assert(f != NULL);
	fputs(text, f);
	return WEXITSTATUS(pclose(f));
}

Test(http, metrics_are_clean_and_complete)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	CLEANUP(freep) char *a = ask(h, "GET /metrics");
	const char *text = body_of(a);
	EXPECT(text, "meterd_events_total{topic=\"usage.calls\",partition=\"1\",outcome=\"rejected\"} 1\n");
	EXPECT(text, "meterd_last_event_timestamp_seconds{topic=\"usage.calls\",partition=\"0\"} 1579077000.123\n");
	EXPECT(text, "meterd_dedupe_window_seconds{topic=\"usage.calls\",partition=\"0\"} 7000.123\n");
	EXPECT(text, "meterd_read_back_records_total{topic=\"usage.calls\",partition=\"0\"} 11\n");
	EXPECT(text, "meterd_dedupe_snapshot_offset{topic=\"usage.calls\",partition=\"1\"} 96\n");
	EXPECT(text, "meterd_dedupe_snapshot_timestamp_seconds{topic=\"usage.calls\",partition=\"0\"} 1579076000\n");
	EXPECT(text, "meterd_dedupe_snapshot_bytes{topic=\"usage.calls\",partition=\"0\"} 917000\n");
	EXPECT(text, "meterd_dedupe_snapshots_written_total 7\n");
	EXPECT(text, "meterd_dedupe_snapshots_failed_total 6\n");
	EXPECT(text, "meterd_dedupe_snapshots_lost_total 5\n");
	EXPECT(text, "meterd_dedupe_snapshots_refused_total 4\n");
	EXPECT(text, "meterd_checkpoints_written_total 3\n");
	EXPECT(text, "meterd_checkpoints_failed_total 2\n");
	EXPECT(text, "meterd_checkpoint_timestamp_seconds 1579075000\n");
	EXPECT(text, "meterd_checkpoint_bytes 4096\n");
	EXPECT(text, "meterd_corrections_total{outcome=\"made\"} 12\n");
	EXPECT(text, "meterd_corrections_total{outcome=\"passed_over\"} 9\n");
	EXPECT(text, "meterd_dead_letters{code=\"service_unknown\"} 8\n");
	EXPECT(text, "meterd_dead_letters{code=\"json_syntax\"} 0\n");
	EXPECT(text, "meterd_calls_total{service=\"image-tag\"} 12\n");
	EXPECT(text, "meterd_commit_duration_seconds_bucket{le=\"0.0005\"} 0\n");
	EXPECT(text, "meterd_commit_duration_seconds_bucket{le=\"0.001\"} 1\n");
	EXPECT(text, "meterd_commit_duration_seconds_bucket{le=\"8.192\"} 1\n");
	EXPECT(text, "meterd_commit_duration_seconds_bucket{le=\"+Inf\"} 2\n");
	EXPECT(text, "meterd_commit_duration_seconds_sum 60.0009\n");
	for (enum metric m = 0; m < METRIC_COUNT; m++) {
		CLEANUP(freep) char *line = xasprintf("# TYPE %s ", metric_name(m));
		EXPECT(text, line);
	}
	cr_assert_eq(promtool(text), 0, "promtool check metrics finds fault");
	cr_assert_neq(promtool("a_total{ 1\n"), 0, "promtool must be there and find fault");
}

Test(http, process_metrics_are_true)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	CLEANUP(freep) char *a = ask(h, "GET /metrics");
	const char *at = strstr(a, "\nprocess_start_time_seconds "), *fds = strstr(a, "\nprocess_open_fds ");
	cr_assert(at != NULL && fds != NULL);
	double age = (double)clock_wall_ms() / 1000 - atof(at + strlen("\nprocess_start_time_seconds "));
	cr_assert(age > -2 && age < 60, "started %f s ago", age);
	cr_assert_geq(atoi(fds + strlen("\nprocess_open_fds ")), 4);
}

// ---- usage

struct teller {
	char said[200];     // the last question
	sem_t asked, go_on; // of an account "slow"
};

static enum usage_answer tell(void *ctx, const struct usage_question *q, char **ret_json, struct error *why)
{
	struct teller *t = ctx;
	char month[MONTH_TEXT];
	snprintf(t->said, sizeof(t->said), "%s %s %s", q->account, q->service != NULL ? q->service : "-", q->month != MONTH_NONE ? month_text(q->month, month) : "-");
	if (strcmp(q->account, "slow") == 0) {
		sem_post(&t->asked);
		sem_wait(&t->go_on);
	}
	if (strcmp(q->account, "away") == 0)
		return error_set(why, ERROR_RETRY, 0, "redis: \"gone\" \xe9\x98"), USAGE_AWAY; // cut in a character
	if (strcmp(q->account, "nobody") == 0)
		return error_set(why, ERROR_REJECT, 0, "account nobody has no calls"), USAGE_NOTHING;
	*ret_json = xstrdup("[{\"calls\":1}]\n");
	return USAGE_TOLD;
}

static struct http *open_teller(struct teller *t)
{
	struct http_options o = { .listen = "127.0.0.1:0", .read = fill, .ctx = (void *)(uintptr_t)"", .ask = tell, .ask_ctx = t };
	struct http *h = NULL;
	struct error e = { 0 };
	*t = (struct teller){ 0 };
	sem_init(&t->asked, 0, 0);
	sem_init(&t->go_on, 0, 0);
	cr_assert_eq(http_open(&o, &h, &e), ERROR_NONE, "%s", e.text);
	return h;
}

Test(http, usage_asks_what_was_meant)
{
	struct teller t;
	CLEANUP(http_freep) struct http *h = open_teller(&t);
	static const char *const good[][2] = { { "account=a", "a - -" }, { "account=a%3A1&service=image-tag", "a:1 image-tag -" },
		{ "period=2020-02&service=x&account=A_b.c@d-e", "A_b.c@d-e x 2020-02" } };
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CLEANUP(freep) char *line = xasprintf("GET /api/v1/usage?%s", good[i][0]), *a = ask(h, line);
		EXPECT(a, "HTTP/1.1 200");
		EXPECT(a, "Content-Type: application/json");
		cr_assert_str_eq(body_of(a), "[{\"calls\":1}]\n");
		cr_assert_str_eq(t.said, good[i][1]);
	}
}

static void expect_problem(struct http *h, const char *parameters, int status, const char *detail)
{
	CLEANUP(freep) char *line = xasprintf("GET /api/v1/usage%s", parameters), *a = ask(h, line), *code = xasprintf("HTTP/1.1 %d ", status);
	EXPECT(a, code);
	EXPECT(a, "Content-Type: application/problem+json");
	cr_expect_eq(strstr(a, "\r\nRetry-After: 1\r\n") != NULL, status == 503, "%s", a);
	json_t *j = json_loads(body_of(a), 0, NULL);
	cr_assert(j != NULL, "%s", a);
	cr_expect_eq(json_integer_value(json_object_get(j, "status")), status);
	cr_expect_str_eq(json_string_value(json_object_get(j, "detail")), detail, "%s", parameters);
	json_decref(j);
}

Test(http, usage_says_what_is_wrong)
{
	struct teller t;
	CLEANUP(http_freep) struct http *h = open_teller(&t);
	static const char missing[] = "the parameter account is missing: /api/v1/usage?account=ID, and if wanted &service=ID&period=YYYY-MM";
	static const struct {
		const char *parameters;
		const char *detail;
	} bad[] = {
		{ "", missing }, { "?", missing }, { "?service=a", missing },
		{ "?account", "account= is no name: 1 to 64 letters, digits and . _ : @ -" },
		{ "?account=", "account= is no name: 1 to 64 letters, digits and . _ : @ -" },
		{ "?account=a%00b", "account=a?b is no name: 1 to 64 letters, digits and . _ : @ -" },
		{ "?account=a/b", "account=a/b is no name: 1 to 64 letters, digits and . _ : @ -" },
		{ "?account=%ff%22%0a", "account=?\"? is no name: 1 to 64 letters, digits and . _ : @ -" },
		{ "?account=12345678901234567890123456789012345678901234567890123456789012345",
		  "account=1234567890123456789012345678901234567890 is no name: 1 to 64 letters, digits and . _ : @ -" },
		{ "?account=a&service=", "service= is no name: 1 to 128 letters, digits and . _ : @ -" },
		{ "?account=a&period=2020-13", "period=2020-13 is no month: write it as 2020-01" },
		{ "?account=a&period=", "period= is no month: write it as 2020-01" },
		{ "?account=a&period=2020-01%00", "period=2020-01? is no month: write it as 2020-01" },
		{ "?account=a&acount=b", "the parameter acount is unknown: there are account, service and period" },
		{ "?account=a&%ff%ff=b", "the parameter ?? is unknown: there are account, service and period" },
		{ "?account=a&account=b", "the parameter account is given twice" },
		{ "?account=a&period=2020-01&period=2020-01", "the parameter period is given twice" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_problem(h, bad[i].parameters, 400, bad[i].detail);
	cr_assert_str_eq(t.said, "", "what is wrong was asked");
	expect_problem(h, "?account=nobody", 404, "account nobody has no calls");
	expect_problem(h, "?account=away", 503, "redis: \"gone\" ??");
	CLEANUP(http_freep) struct http *none = open_http("");
	expect_problem(none, "?account=a", 404, "No usage is told here.");
}

static void *ask_slowly(void *h)
{
	return ask(h, "GET /api/v1/usage?account=slow");
}

// Who waits for Redis or Kafka keeps nobody from seeing how the process is.
Test(http, usage_that_waits_holds_nobody_up, .timeout = 60)
{
	struct teller t;
	CLEANUP(http_freep) struct http *h = open_teller(&t);
	pthread_t thread;
	pthread_create(&thread, NULL, ask_slowly, h);
	sem_wait(&t.asked);
	CLEANUP(freep) char *healthy = ask(h, "GET /-/healthy"), *metrics = ask(h, "GET /metrics"), *slow = NULL;
	EXPECT(healthy, "HTTP/1.1 200");
	EXPECT(metrics, "HTTP/1.1 200");
	sem_post(&t.go_on);
	pthread_join(thread, (void **)&slow);
	EXPECT(slow, "HTTP/1.1 200");
}

// ---- alerts

// A topic with one partition, of which a test says how many alerts there are.
static int alerts_there; // atomic

static enum error_class read_alerts(const struct kafka_options *o, const char *topic, struct topic_places *at, int64_t tail, bool follow, int timeout_ms,
				    topic_reader_fn *fn, void *ctx, struct error *e)
{
	int64_t next = at->n > 0 ? at->next[0] : 0;
	(void)o, (void)topic, (void)tail, (void)timeout_ms, (void)e;
	places_copy(at, &(struct topic_places){ 1, &next, false });
	for (bool more = true; more;) {
		char value[30];
		snprintf(value, sizeof(value), "{\"id\":\"%ld\"}", (long)next);
		struct topic_record t = { .r = { .offset = next, .value = span_of(value) } };
		bool is = next < __atomic_load_n(&alerts_there, __ATOMIC_RELAXED);
		if (!is && !follow)
			break;
		more = fn(ctx, is ? &t : NULL);
		next += is;
	}
	places_copy(at, &(struct topic_places){ 1, &next, false });
	return ERROR_NONE;
}

static struct http *open_alerts(struct feed **ret)
{
	struct http *h = NULL;
	struct error e = { 0 };
	*ret = feed_new(&(struct feed_options){ .topic = "alerts", .read = read_alerts });
	struct http_options o = { .listen = "127.0.0.1:0", .read = fill, .ctx = (void *)(uintptr_t)"", .feed = *ret };
	feed_start(*ret);
	cr_assert_eq(http_open(&o, &h, &e), ERROR_NONE, "%s", e.text);
	return h;
}

static int stream_from(struct http *h, const char *more)
{
	int fd = dial(http_port(h));
	dprintf(fd, "GET /api/v1/alerts HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n%s\r\n", more);
	return fd;
}

// What comes until `text` is in it.
static char *read_until(int fd, const char *text)
{
	char *all = xcalloc(1, 1 << 16);
	size_t n = 0;
	ssize_t got = 1;
	while (strstr(all, text) == NULL && (got = read(fd, all + n, (1 << 16) - 1 - n)) > 0)
		n += (size_t)got;
	cr_assert(strstr(all, text) != NULL, "no %s in %s", text, all);
	return all;
}

Test(http, alerts_as_they_come_and_from_a_place_on, .timeout = 60)
{
	struct feed *f;
	alerts_there = 3;
	struct http *h = open_alerts(&f);
	int fd = stream_from(h, "Last-Event-ID: 1\r\n");
	CLEANUP(freep) char *first = read_until(fd, "id: 3\n");
	EXPECT(first, "HTTP/1.1 200");
	EXPECT(first, "Content-Type: text/event-stream\r\n");
	EXPECT(first, "\r\n\r\nretry: 1000\n\nid: 2\ndata: {\"id\":\"1\"}\n\nid: 3\ndata: {\"id\":\"2\"}\n");
	__atomic_store_n(&alerts_there, 4, __ATOMIC_RELAXED);
	CLEANUP(freep) char *then = read_until(fd, "id: 4\ndata: {\"id\":\"3\"}\n\n");
	cr_expect(strstr(then, "id: 3\n") == NULL, "%s", then);
	CLEANUP(freep) char *recent = ask(h, "GET /api/v1/alerts"), *account = ask(h, "GET /api/v1/alerts?account=x");
	cr_expect_str_eq(body_of(recent), "{\"alerts\":[{\"id\":\"3\"},\n{\"id\":\"2\"},\n{\"id\":\"1\"},\n{\"id\":\"0\"}],\"place\":\"4\"}\n");
	cr_expect_str_eq(body_of(account), "{\"alerts\":[],\"place\":\"4\"}\n");
	int bad = stream_from(h, "Last-Event-ID: x\r\n");
	CLEANUP(freep) char *problem = read_until(bad, "Last-Event-ID is no id of an event");
	EXPECT(problem, "HTTP/1.1 400");
	http_freep(&h); // ends the stream too, which would wait otherwise
	char end[8192];
	ssize_t n;
	while ((n = read(fd, end, sizeof(end))) > 0)
		continue;
	cr_expect_eq(n, 0);
	close(fd);
	close(bad);
	feed_freep(&f);
}

// As many as there may be, all of them served; one more is turned away, and nobody else.
Test(http, many_streams_and_a_limit, .timeout = 120)
{
	enum { STREAMS_MOST = 128 };
	struct feed *f;
	int fd[STREAMS_MOST];
	alerts_there = 0;
	struct http *h = open_alerts(&f);
	for (int i = 0; i < STREAMS_MOST; i++) {
		fd[i] = stream_from(h, "Last-Event-ID: 0\r\n");
		free(read_until(fd[i], "retry: 1000"));
	}
	int more = stream_from(h, "");
	CLEANUP(freep) char *refused = read_until(more, "as many streams are open as there may be"), *healthy = ask(h, "GET /-/healthy");
	EXPECT(refused, "HTTP/1.1 503");
	EXPECT(refused, "Retry-After: 1\r\n");
	EXPECT(healthy, "HTTP/1.1 200");
	__atomic_store_n(&alerts_there, 2, __ATOMIC_RELAXED);
	for (int i = 0; i < STREAMS_MOST; i++) {
		CLEANUP(freep) char *got = read_until(fd[i], "id: 2\n");
		EXPECT(got, "id: 1\n");
	}
	for (int i = 0; i < STREAMS_MOST; i++)
		close(fd[i]);
	close(more);
	http_freep(&h);
	feed_freep(&f);
}

Test(http, what_is_asked_of_the_rest, .timeout = 60)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	static const struct {
		const char *path, *says;
		int status;
	} bad[] = {
		{ "quote?service=a", "the parameters service and calls are needed", 400 },
		{ "quote?service=a&calls=-1", "calls=-1 is no number of calls", 400 },
		{ "quote?service=a&calls=9223372036854775808", "is no number of calls", 400 },
		{ "quote?service=a&calls=1&account=b", "the parameter account is unknown: there are service, period and calls", 400 },
		{ "catalog?service=a", "the parameter service is unknown: there is period", 400 },
		{ "settlements?cursor=1..2", "cursor=1..2 is no place", 400 },
		{ "settlements?period=2020-1", "period=2020-1 is no month", 400 },
		{ "statements/a%2Fb/2020-01", "account=a/b is no name", 400 },
		{ "statements/a/2020-00", "period=2020-00 is no month", 400 },
		{ "statements/a/2020-01?x=1", "the parameter x is unknown: there is none", 400 },
		{ "statements/a", "a statement is at /api/v1/statements/ACCOUNT/YYYY-MM", 404 },
		{ "statements/a/2020-01", "No statements are told here.", 404 },
		{ "settlements", "No settlements are told here.", 404 },
		{ "alerts", "No alerts are told here.", 404 },
		{ "catalog", "No prices are told here.", 404 },
		{ "nothing", "below /api/v1/: status, usage", 404 },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(freep) char *line = xasprintf("GET /api/v1/%s", bad[i].path), *code = xasprintf("HTTP/1.1 %d ", bad[i].status), *a = ask(h, line);
		EXPECT(a, code);
		EXPECT(a, "application/problem+json");
		EXPECT(a, bad[i].says);
	}
}

static enum error_class try_open(const char *listen, struct error *e)
{
	struct http_options o = { .listen = listen, .read = fill, .ctx = "" };
	CLEANUP(http_freep) struct http *h = NULL;
	*e = (struct error){ 0 };
	return http_open(&o, &h, e);
}

Test(http, port_in_use_and_bad_addresses)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	CLEANUP(freep) char *same = xasprintf("127.0.0.1:%u", http_port(h));
	struct error e;
	cr_assert_eq(try_open(same, &e), ERROR_ABORT);
	cr_assert_eq(e.exit_code, EXIT_LATER);
	EXPECT(e.text, "is in use; see who has it with `ss -ltnp");
	static const char *const bad[] = { "", ":", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:x",
					   "::1:9464", "[::1:9464", ":9464", "192.0.2.1:9464", "no.such.host.invalid:1", "127.0.0.1:+1" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert_eq(try_open(bad[i], &e), ERROR_ABORT, "%s", bad[i]);
		cr_assert_eq(e.exit_code, EXIT_CONFIG_ERR, "%s: %s", bad[i], e.text);
		EXPECT(e.text, "http.listen: ");
	}
	cr_assert_eq(try_open("localhost:0", &e), ERROR_NONE, "%s", e.text);
}

static void *many(void *h)
{
	for (int i = 0; i < 50; i++) {
		char *a = ask(h, i % 2 ? "GET /metrics" : "GET /api/v1/status");
		cr_assert(strstr(a, "HTTP/1.1 200") != NULL);
		free(a);
	}
	return NULL;
}

Test(http, many_at_once, .timeout = 60)
{
	CLEANUP(http_freep) struct http *h = open_http("");
	pthread_t t[8];
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, many, h);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
}

Test(status, one_line)
{
	struct status s;
	char line[200];
	status_init(&s);
	fill("", &s);
	status_line(&s, line, sizeof(line));
	cr_assert_str_eq(line, "running, 2 partitions, lag 23");
	s.parts[0].halted = xstrdup("x");
	status_line(&s, line, sizeof(line));
	cr_assert_str_eq(line, "running: 1 of 2 partitions halted, see meterctl status");
	status_reason(&s, "kafka: away");
	status_line(&s, line, sizeof(line));
	cr_assert_str_eq(line, "running: kafka: away");
	status_free(&s);
}

// ---- a socket of the service manager's

static int listening(bool listens, uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && (!listens || listen(fd, 4) == 0));
	cr_assert(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static bool connects(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return good;
}

// It is served, and still listens for the next process when this one lets go of it.
Test(http, socket_from_outside)
{
	uint16_t port;
	int theirs = listening(true, &port);
	struct http_options o = { .listen = "127.0.0.1:1", .activated = true, .fd = dup(theirs), .read = fill, .ctx = (void *)(uintptr_t)"" };
	struct http *h = NULL;
	struct error e = { 0 };
	cr_assert_eq(http_open(&o, &h, &e), ERROR_NONE, "%s", e.text);
	cr_expect_eq(http_port(h), port);
	CLEANUP(freep) char *healthy = ask(h, "GET /-/healthy");
	EXPECT(healthy, "HTTP/1.1 200");
	http_freep(&h);
	cr_expect(connects(port), "the socket no longer listens");
	close(theirs);
	cr_expect(!connects(port));
}

Test(http, socket_from_outside_that_does_not_listen)
{
	uint16_t port;
	struct http_options o = { .listen = "127.0.0.1:0", .activated = true, .fd = listening(false, &port), .read = fill, .ctx = (void *)(uintptr_t)"" };
	struct http *h = NULL;
	struct error e = { 0 };
	cr_expect_eq(http_open(&o, &h, &e), ERROR_ABORT);
	cr_expect_eq(e.exit_code, EXIT_CONFIG_ERR);
	cr_expect(fcntl(o.fd, F_GETFD) < 0, "the socket is left open");
}
