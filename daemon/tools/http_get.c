// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0, so that the answer ends with the connection and is never chunked.
#include "tools/http_get.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/span.h"

enum { ANSWER_MOST = 16 << 20, HOST_MAX = 255 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

// "host:port" and "[v6]:port" into two strings; the daemon has refused what is neither.
static bool split(const char *listen, char host[HOST_MAX + 1], const char **ret_port)
{
	const char *colon = strrchr(listen, ':');
	if (colon == NULL || colon == listen || colon - listen > HOST_MAX)
		return false;
	bool v6 = listen[0] == '[' && colon[-1] == ']';
	snprintf(host, HOST_MAX + 1, "%.*s", (int)(colon - listen) - 2 * v6, listen + v6);
	*ret_port = colon + 1;
	return true;
}

// Waits for the socket until the deadline; false when that has passed.
static bool wait_for(int fd, short events, int64_t deadline_us)
{
	int64_t left_ms = (deadline_us - clock_mono_us()) / 1000;
	struct pollfd p = { .fd = fd, .events = events };
	int n;
	while ((n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0)) < 0 && errno == EINTR)
		left_ms = (deadline_us - clock_mono_us()) / 1000;
	return n > 0;
}

static int dial(const char *host, const char *port, int64_t deadline_us)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *found = NULL;
	if (getaddrinfo(host, port, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	int fd = -1, why = 0;
	for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
		socklen_t n = sizeof(why);
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		why = fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
		if (why == EINPROGRESS && (!wait_for(fd, POLLOUT, deadline_us) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) != 0))
			why = ETIMEDOUT;
		if (why != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	errno = why;
	return fd;
}

// Everything until the connection ends, terminated. NULL past the deadline, or when it is too much.
static char *read_all(int fd, int64_t deadline_us)
{
	size_t n = 0, size = 65536;
	CLEANUP(freep) char *buf = xrealloc(NULL, size, 1);
	for (;;) {
		if (n + 1 == size)
			buf = xrealloc(buf, size *= 2, 1);
		ssize_t got = recv(fd, buf + n, size - 1 - n, 0);
		if (got == 0)
			break;
		if (got > 0)
			n += (size_t)got;
		else if (errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLIN, deadline_us)))
			return NULL;
		if (n > ANSWER_MOST)
			return NULL;
	}
	buf[n] = '\0';
	return TAKE_PTR(buf);
}

static bool parse(const char *answer, int *ret_code, const char **ret_body)
{
	const char *body = strstr(answer, "\r\n\r\n");
	int64_t code;
	if (body == NULL || strncmp(answer, "HTTP/1.", 7) != 0 || strlen(answer) < 12 || answer[8] != ' ' ||
	    !span_int64((struct span){ answer + 9, 3 }, &code))
		return false;
	*ret_code = (int)code;
	*ret_body = body + 4;
	return true;
}

enum error_class http_get(const char *listen, const char *path, int timeout_ms, int *ret_code, char **ret_body, struct error *e)
{
	char host[HOST_MAX + 1];
	const char *port, *body;
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
	if (!split(listen, host, &port))
		return error_set(e, ERROR_RETRY, 0, "http.listen: \"%s\" is not host:port", listen);
	CLEANUP(close_fd) int fd = dial(host, port, deadline_us);
	if (fd < 0)
		return error_set(e, ERROR_RETRY, 0, "http://%s: %s", listen, strerror(errno));
	CLEANUP(freep) char *request = xasprintf("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, listen);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		return error_set(e, ERROR_RETRY, 0, "http://%s: %s", listen, strerror(errno));
	CLEANUP(freep) char *answer = read_all(fd, deadline_us);
	if (answer == NULL || !parse(answer, ret_code, &body))
		return error_set(e, ERROR_RETRY, 0, "http://%s: no answer that could be meterd's within %d ms", listen, timeout_ms);
	*ret_body = xstrdup(body);
	return ERROR_NONE;
}
