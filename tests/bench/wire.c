// SPDX-License-Identifier: Apache-2.0
// What the daemon says to Redis, written down, and said again by nobody but us: `scripts/bench uniform` compares the daemon with bare
// calls of the same function, of the same sizes, in the same order.
//
//	bench_wire record REDIS_PORT FILE            stands between a client and Redis until SIGTERM; prints its port
//	bench_wire replay REDIS_PORT FILE WINDOW     sends FILE's commands over one connection, WINDOW commits under way at a time
//
// FILE holds whole commands, as they were sent on. The replay starts from an empty Redis, since the record begins with `init`.
// replay prints {"commits":…,"refused":…,"seconds":…,"cpu_seconds":…}: from the first commit to the last answer. An error ends it; whether
// all was counted is for the caller to check.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/span.h"

enum { CLIENTS = 64, CHUNK = 1 << 16 };

static int fail(const char *what)
{
	fprintf(stderr, "bench_wire: %s: %s\n", what, strerror(errno));
	return EXIT_UNREACHABLE;
}

// ---- commands as bytes

// The number in a line such as "*3\r\n" or "$12\r\n"; -1: the line is not whole. Moves *at behind it.
static int64_t line_number(const char *p, size_t n, size_t *at, char mark)
{
	const char *end = memchr(p + *at, '\n', n - *at);
	int64_t v;
	if (end == NULL)
		return -1;
	struct span digits = { p + *at + 1, (size_t)(end - p) - *at - 2 };
	check(p[*at] == mark && span_int64(digits, &v) && v >= 0);
	*at = (size_t)(end - p) + 1;
	return v;
}

// Length of the command that p begins with; 0: it is not whole yet. *ret_commit: it is a call of the commit function.
static size_t command_length(const char *p, size_t n, bool *ret_commit)
{
	size_t at = 0;
	int64_t words = line_number(p, n, &at, '*');
	bool call = false;
	*ret_commit = false;
	for (int64_t i = 0; i < words; i++) {
		int64_t length = at < n ? line_number(p, n, &at, '$') : -1;
		if (length < 0 || at + (size_t)length + 2 > n)
			return 0;
		if (i == 0)
			call = length == 5 && memcmp(p + at, "FCALL", 5) == 0;
		if (i == 1 && call)
			*ret_commit = length > 7 && memcmp(p + at + length - 7, "_commit", 7) == 0;
		at += (size_t)length + 2;
	}
	return words < 0 ? 0 : at;
}

// ---- recording

struct client {
	int fd, redis; // -1: none
	char *buf;     // what came from the client and is not sent on: the beginning of a command
	size_t n, room;
};

static struct client clients[CLIENTS];
static FILE *out;
static volatile sig_atomic_t stopped;

static void on_signal(int s)
{
	(void)s;
	stopped = 1;
}

static int connect_to(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return fd;
}

static int listen_any(int *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 16) != 0 || getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		return -1;
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno != EINTR)
			return false;
		p += w > 0 ? w : 0;
		n -= w > 0 ? (size_t)w : 0;
	}
	return true;
}

static void client_close(struct client *c)
{
	close(c->fd);
	close(c->redis);
	free(c->buf);
	*c = (struct client){ .fd = -1, .redis = -1 };
}

static bool client_said(struct client *c)
{
	if (c->room - c->n < CHUNK)
		c->buf = xrealloc(c->buf, c->room = c->room * 2 + CHUNK, 1);
	ssize_t r = read(c->fd, c->buf + c->n, c->room - c->n);
	if (r <= 0)
		return false;
	c->n += (size_t)r;
	size_t whole = 0, length;
	bool commit;
	while (whole < c->n && (length = command_length(c->buf + whole, c->n - whole, &commit)) > 0)
		whole += length;
	check(fwrite(c->buf, 1, whole, out) == whole);
	bool sent = write_all(c->redis, c->buf, whole);
	memmove(c->buf, c->buf + whole, c->n - whole);
	c->n -= whole;
	return sent;
}

static bool redis_said(struct client *c)
{
	static char buf[CHUNK];
	ssize_t r = read(c->redis, buf, sizeof(buf));
	return r > 0 && write_all(c->fd, buf, (size_t)r);
}

static void accept_one(int listener, int redis_port)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	for (int i = 0; i < CLIENTS && fd >= 0; i++)
		if (clients[i].fd < 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
			clients[i] = (struct client){ .fd = fd, .redis = connect_to(redis_port) };
			if (clients[i].redis < 0)
				client_close(&clients[i]);
			return;
		}
	close(fd);
}

static int record(int redis_port, const char *file)
{
	int port, listener = listen_any(&port);
	out = fopen(file, "w");
	if (listener < 0 || out == NULL)
		return fail(file);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = clients[i].redis = -1;
	printf("%d\n", port);
	fflush(stdout);
	while (!stopped) {
		struct pollfd p[2 * CLIENTS + 1] = { { .fd = listener, .events = POLLIN } };
		for (int i = 0; i < CLIENTS; i++) {
			p[1 + 2 * i] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
			p[2 + 2 * i] = (struct pollfd){ .fd = clients[i].redis, .events = POLLIN };
		}
		if (poll(p, ARRAY_LEN(p), 1000) <= 0)
			continue;
		for (int i = 0; i < CLIENTS; i++)
			if ((p[1 + 2 * i].revents != 0 && !client_said(&clients[i])) || (p[2 + 2 * i].revents != 0 && !redis_said(&clients[i])))
				client_close(&clients[i]);
		if (p[0].revents != 0)
			accept_one(listener, redis_port);
	}
	return fclose(out) == 0 ? EXIT_DONE : fail(file);
}

// ---- replay

struct replay {
	redisContext *redis;
	bool *commits;         // ring of what is under way
	uint32_t window, first, n;
	int64_t done, refused;
	bool wrong;
};

static void one_answer(struct replay *r)
{
	redisReply *a = NULL;
	bool commit = r->commits[r->first];
	if (redisGetReply(r->redis, (void **)&a) != REDIS_OK) {
		r->wrong = true;
		return;
	}
	bool told = a->type == REDIS_REPLY_ARRAY && a->elements > 0 && a->element[0]->type == REDIS_REPLY_STRING;
	if (commit && !told) {
		fprintf(stderr, "bench_wire: commit %" PRId64 ": %s\n", r->done, a->type == REDIS_REPLY_ERROR ? a->str : "not understood");
		r->wrong = true;
	}
	// refused as it was then: a commit that was sent again, since its answer came too late
	r->refused += commit && told && strcmp(a->element[0]->str, "OK") != 0 && strcmp(a->element[0]->str, "NEEDLIST") != 0;
	r->done += commit;
	r->first = (r->first + 1) % r->window;
	r->n--;
	freeReplyObject(a);
}

static bool send_now(struct replay *r)
{
	int sent = 0;
	while (!sent)
		if (redisBufferWrite(r->redis, &sent) != REDIS_OK)
			return false;
	return true;
}

static int replay(int port, const char *file, uint32_t window)
{
	struct replay r = { .redis = redisConnect("127.0.0.1", port), .commits = xcalloc(window, sizeof(bool)), .window = window };
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0 || r.redis == NULL || r.redis->err != 0)
		return fail(file);
	size_t n = (size_t)st.st_size, at = 0, length;
	const char *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		return fail(file);
	int64_t start_us = 0, commits = 0;
	bool commit;
	while (at < n && !r.wrong && (length = command_length(p + at, n - at, &commit)) > 0) {
		while (r.n == r.window && !r.wrong)
			one_answer(&r);
		if (commit && commits++ == 0)
			start_us = clock_mono_us();
		r.commits[(r.first + r.n++) % r.window] = commit;
		if (redisAppendFormattedCommand(r.redis, p + at, length) != REDIS_OK || !send_now(&r))
			return fail("Redis");
		at += length;
	}
	while (r.n > 0 && !r.wrong)
		one_answer(&r);
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("{\"commits\":%" PRId64 ",\"refused\":%" PRId64 ",\"seconds\":%.4f,\"cpu_seconds\":%.4f}\n", r.done, r.refused, (double)(clock_mono_us() - start_us) / 1e6,
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	redisFree(r.redis);
	free(r.commits);
	return r.wrong || commits == 0 ? EXIT_DEFECT : EXIT_DONE;
}

int main(int argc, char **argv)
{
	int64_t port, window = 0;
	bool recording = argc == 4 && strcmp(argv[1], "record") == 0, replaying = argc == 5 && strcmp(argv[1], "replay") == 0;
	if ((!recording && !replaying) || !span_int64(span_of(argv[2]), &port) ||
	    (replaying && (!span_int64(span_of(argv[4]), &window) || window < 1 || window > 65536))) {
		fprintf(stderr, "usage: bench_wire record REDIS_PORT FILE | replay REDIS_PORT FILE WINDOW\n");
		return EXIT_USAGE_ERR;
	}
	return recording ? record((int)port, argv[3]) : replay((int)port, argv[3], (uint32_t)window);
}
