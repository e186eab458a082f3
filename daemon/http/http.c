// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd on a socket of our own, so that a port in use can be told from everything else.
#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "http/api.h"

enum { CONNECTIONS = STREAMS + 64, SILENCE_S = 10, CONNECTION_MEMORY = 32768, THREAD_STACK = 512 * 1024, BACKLOG = 128, HOST_MAX = 255 };

struct http {
	struct MHD_Daemon *daemon;
	struct http_options o;
	struct api api;
	uint16_t port;
};

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *path, const char *method, const char *version,
			      const char *body, size_t *body_size, void **state)
{
	(void)version;
	(void)body;
	(void)body_size;
	(void)state; // answered at the first call: a request body is not waited for
	struct reply r = { 0 };
	api_answer(&((struct http *)ctx)->api, c, path, method, &r);
	struct MHD_Response *response = r.stream != NULL ? r.stream : MHD_create_response_from_buffer(r.n, r.body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(r.body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r.type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (r.policy != NULL)
		MHD_add_response_header(response, "Content-Security-Policy", r.policy);
	if (r.retry_s > 0) {
		char seconds[16];
		snprintf(seconds, sizeof(seconds), "%d", r.retry_s);
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
	if (r.code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result result = MHD_queue_response(c, r.code, response);
	MHD_destroy_response(response);
	return result;
}

// ---- the socket

// "host:port" or "[v6]:port".
static bool split(const char *listen, char host[HOST_MAX + 1], const char **ret_port)
{
	const char *colon = strrchr(listen, ':');
	int64_t port;
	if (colon == NULL || !span_int64(span_of(colon + 1), &port) || port < 0 || port > UINT16_MAX)
		return false;
	struct span name = { listen, (size_t)(colon - listen) };
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = (struct span){ name.p + 1, name.n - 2 };
	else if (memchr(name.p, ':', name.n) != NULL)
		return false;
	if (name.n == 0 || name.n > HOST_MAX)
		return false;
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	*ret_port = colon + 1;
	return true;
}

static int listen_on(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), yes = 1;
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int why = errno;
	close(fd);
	errno = why;
	return -1;
}

static enum error_class open_socket(const char *listen, int *ret, struct error *e)
{
	char host[HOST_MAX + 1];
	const char *port;
	if (!split(listen, host, &port))
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR,
				 "http.listen: \"%s\" is not host:port; write for example 127.0.0.1:9464, or [::1]:9464", listen);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
	int failed = getaddrinfo(host, port, &hints, &found);
	if (failed != 0)
		return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "http.listen: %s: %s; use an address of this machine", host,
				 gai_strerror(failed));
	int fd = listen_on(found), why = errno;
	freeaddrinfo(found);
	if (fd >= 0) {
		*ret = fd;
		return ERROR_NONE;
	}
	if (why == EADDRINUSE)
		return error_set(e, ERROR_ABORT, EXIT_LATER,
				 "http.listen: %s is in use; see who has it with `ss -ltnp 'sport = :%s'`, or set http.listen to another port",
				 listen, port);
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "http.listen: cannot listen on %s: %s", listen, strerror(why));
}

// What the service manager hands over listens already; only its kind is in question.
static enum error_class take_socket(int fd, struct error *e)
{
	int listening = 0, type = 0, flags = fcntl(fd, F_GETFL);
	socklen_t n = sizeof(listening), m = sizeof(type);
	bool good = flags >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 &&
		    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && listening != 0 && type == SOCK_STREAM &&
		    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
	if (good)
		return ERROR_NONE;
	close(fd);
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "the socket unit hands over no listening stream socket: use one ListenStream= in it");
}

// 0 for a Unix socket.
static uint16_t port_of(int fd)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof(a);
	char port[8];
	int64_t number = 0;
	check(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	if (a.ss_family == AF_UNIX)
		return 0;
	check(getnameinfo((struct sockaddr *)&a, n, NULL, 0, port, sizeof(port), NI_NUMERICSERV) == 0);
	check(span_int64(span_of(port), &number));
	return (uint16_t)number;
}

__attribute__((format(printf, 2, 0))) static void log_from_library(void *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	char text[500], quoted[600];
	vsnprintf(text, sizeof(text), fmt, ap);
	log_line(LVL_DEBUG, "http", "text=%s", log_quote(text, quoted, sizeof(quoted)));
}

enum error_class http_open(const struct http_options *o, struct http **ret, struct error *e)
{
	check(o->read != NULL && o->listen != NULL);
	int fd = o->fd;
	enum error_class c = o->activated ? take_socket(fd, e) : open_socket(o->listen, &fd, e);
	if (c != ERROR_NONE)
		return c;
	struct http *h = xcalloc(1, sizeof(*h));
	h->o = *o;
	h->port = port_of(fd);
	api_init(&h->api, &h->o);
	h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
				     NULL, NULL, answer, h,
				     MHD_OPTION_EXTERNAL_LOGGER, log_from_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				     MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK, MHD_OPTION_END);
	if (h->daemon == NULL) {
		close(fd);
		api_free(&h->api);
		free(h);
		return error_set(e, ERROR_ABORT, EXIT_LATER, "http: cannot start a thread for %s; see the limits of the service", o->listen);
	}
	*ret = h;
	return ERROR_NONE;
}

uint16_t http_port(const struct http *h)
{
	return h->port;
}

void http_freep(struct http **h)
{
	if (*h == NULL)
		return;
	if ((*h)->o.feed != NULL)
		feed_stop((*h)->o.feed);
	// Left to the library, the socket would be shut down, for everybody who holds it: the service manager's would refuse from then on.
	int fd = MHD_quiesce_daemon((*h)->daemon);
	check(fd >= 0);
	MHD_stop_daemon((*h)->daemon);
	close(fd);
	api_free(&(*h)->api);
	free(*h);
	*h = NULL;
}
