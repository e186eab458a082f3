// SPDX-License-Identifier: Apache-2.0
// meterctl status against the real HTTP room, with a status that the test makes up; and with nobody there.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "http/http.h"
#include "tools/tools.h"

static void fill(void *ctx, struct status *s)
{
	const char *mood = ctx;
	s->phase = STATUS_RUNNING;
	s->instance = xstrdup("meterd");
	s->started_ms = 1579000000000;
	s->now_ms = s->started_ms + (3 * 3600 + 2 * 60 + 1) * 1000;
	s->rules_version = 3;
	struct status_part *p = status_part_add(s, "usage.calls", 7);
	p->next = 100;
	p->high = 112;
	p->clock_ms = 1579077000123;
	s->relay.owner = true;
	s->relay.pending = 4;
	s->relay.published = 12;
	s->closer.open_month = s->closer.wait_month = 2020 * 12;
	s->closer.closes_ms = 1580572800000;
	s->closer.due_ms = 1580745600000;
	if (mood[0] == 'l') {
		s->closer.wait_month = 2020 * 12 + 2;
		s->closer.closed_month = 2019 * 12 + 11;
	}
	if (mood[0] == 'b') {
		status_reason(s, "redis: away\033[31m");
		p->halted = xstrdup("offset 100 is gone");
	}
}

static char *write_config(const char *listen)
{
	const char *tmp = getenv("TMPDIR");
	char *path = xasprintf("%s/meterd-test-status-XXXXXX", tmp != NULL ? tmp : P_tmpdir);
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	dprintf(fd, "http:\n  listen: \"%s\"\nredis:\n  url: unix:///nowhere/redis.sock\n", listen);
	close(fd);
	return path;
}

// Exit code, and what came out on stdout, into buf.
static int run(const char *listen, const char *format, char *buf, size_t size)
{
	CLEANUP(freep) char *config = write_config(listen);
	char *argv[] = { "status", "--config", config, "--format", (char *)(uintptr_t)format, NULL };
	int out[2];
	cr_assert_eq(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		int code = tool_status(5, argv);
		fflush(stdout);
		_exit(code);
	}
	close(out[1]);
	size_t n = 0;
	for (ssize_t got; n + 1 < size && (got = read(out[0], buf + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	buf[n] = '\0';
	close(out[0]);
	int status = 0;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	unlink(config);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int ask(const char *mood, const char *format, char *buf, size_t size)
{
	struct http_options o = { .listen = "127.0.0.1:0", .read = fill, .ctx = (void *)(uintptr_t)mood };
	CLEANUP(http_freep) struct http *h = NULL;
	struct error e = { 0 };
	cr_assert_eq(http_open(&o, &h, &e), ERROR_NONE, "%s", e.text);
	CLEANUP(freep) char *listen = xasprintf("127.0.0.1:%u", http_port(h));
	return run(listen, format, buf, size);
}

#define EXPECT(buf, text) cr_assert(strstr(buf, text) != NULL, "wanted %s in:\n%s", text, buf)

Test(status, ready)
{
	char buf[65536];
	cr_assert_eq(ask("", "table", buf, sizeof(buf)), EXIT_DONE);
	cr_assert_eq(strncmp(buf, "READY  instance meterd, version ", 32), 0, "the verdict comes first:\n%s", buf);
	EXPECT(buf, "up 3h 02m 01s, rules 3\n");
	EXPECT(buf, "outbox   4 pending, 12 published\n");
	EXPECT(buf, "closing  2020-01 is open, closes at 2020-02-01T16:00:00.000Z, settlements due 2020-02-03T16:00:00.000Z\n");
	EXPECT(buf, "usage.calls");
	EXPECT(buf, "2020-01-15T08:30:00.123Z");
}

Test(status, a_month_of_late_calls_only)
{
	char buf[65536];
	cr_assert_eq(ask("late", "table", buf, sizeof(buf)), EXIT_DONE);
	EXPECT(buf, "closing  2020-01 is open, holds late calls only and closes with 2020-03, closes at 2020-02-01T16:00:00.000Z, "
		    "settlements due 2020-02-03T16:00:00.000Z; settled up to 2019-12\n");
	cr_assert_eq(ask("late", "json", buf, sizeof(buf)), EXIT_DONE);
	EXPECT(buf, "\"closed\":\"2019-12\",\"open\":\"2020-01\",\"waits_for_month\":\"2020-03\",\"closes\":\"2020-02-01T16:00:00.000Z\","
		    "\"due\":\"2020-02-03T16:00:00.000Z\"");
}

Test(status, not_ready_says_why_and_is_safe_to_print)
{
	char buf[65536];
	cr_assert_eq(ask("bad", "table", buf, sizeof(buf)), EXIT_FOUND);
	cr_assert_eq(strncmp(buf, "NOT READY  instance", 19), 0, "%s", buf);
	EXPECT(buf, "  - redis: away [31m\n");
	EXPECT(buf, "  - usage.calls/7 halted: offset 100 is gone\n");
	cr_assert(strchr(buf, '\033') == NULL);
}

Test(status, other_formats)
{
	char buf[65536];
	cr_assert_eq(ask("", "json", buf, sizeof(buf)), EXIT_DONE);
	EXPECT(buf, "\"ready\":true");
	EXPECT(buf, "\"lag\":12");
	cr_assert_eq(ask("", "csv", buf, sizeof(buf)), EXIT_DONE);
	EXPECT(buf, "topic,partition,next,high,lag,clock,state");
	EXPECT(buf, "usage.calls,7,100,112,12,2020-01-15T08:30:00.123Z,running");
	struct status_part p = { .next = 100, .high = 112, .at_end = 111 };
	cr_assert_eq(status_part_lag(&p), 12);
	p.at_end = 112; // read to the end: only markers of transactions lie behind 100
	cr_assert_eq(status_part_lag(&p), 0);
	p = (struct status_part){ .next = 100, .high = -1 };
	cr_assert_eq(status_part_lag(&p), 0);
}

Test(status, nobody_there)
{
	char buf[4096];
	struct http_options o = { .listen = "127.0.0.1:0", .read = fill, .ctx = "" };
	struct http *h = NULL;
	cr_assert_eq(http_open(&o, &h, NULL), ERROR_NONE);
	CLEANUP(freep) char *listen = xasprintf("127.0.0.1:%u", http_port(h));
	http_freep(&h); // the port was free a moment ago, and nobody listens on it now
	cr_assert_eq(run(listen, "table", buf, sizeof(buf)), EXIT_UNREACHABLE);
	cr_assert_str_eq(buf, "", "nothing is made up on stdout");
}

// A port that takes connections and never answers.
Test(status, somebody_silent, .timeout = 60)
{
	char buf[4096];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	CLEANUP(freep) char *at = xasprintf("127.0.0.1:%u", ntohs(a.sin_port));
	cr_assert_eq(run(at, "table", buf, sizeof(buf)), EXIT_UNREACHABLE);
	close(fd);
}
