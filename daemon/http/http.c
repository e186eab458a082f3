// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd on a socket of our own, so that a port in use can be told from everything else.
// Refuses: other methods than GET and HEAD (405), unknown paths (404), request bodies.
#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"
#include "http/question.h"
#include "http/render.h"

enum { CONNECTIONS = 64, SILENCE_S = 10, CONNECTION_MEMORY = 32768, BACKLOG = 64, AGAIN_S = 1, HOST_MAX = 255 };

struct http {
	struct MHD_Daemon *daemon;
	struct http_options o;
	pthread_mutex_t reading; // one o.read at a time
	uint16_t port;
};

struct reply {
	unsigned code;
	const char *type;
	char *body; // owned
	size_t n;
	int retry_s; // when to ask again; 0: nothing is said of that
};

// ---- what is served

static void reply_text(struct reply *r, unsigned code, const char *type, const struct status *s,
		       void (*render)(const struct status *, FILE *))
{
	FILE *f = xmemstream(&r->body, &r->n);
	render(s, f);
	xmemstream_close(f);
	r->code = code;
	r->type = type;
}

// Texts of errors may have been cut anywhere.
static void make_utf8(char *text)
{
	size_t n = strlen(text);
	uint32_t c;
	for (size_t i = 0, step; i < n; i += step) {
		step = utf8_next(text + i, n - i, &c);
		if (step == 0)
			text[i] = '?', step = 1;
	}
}

static void reply_problem(struct reply *r, unsigned code, const char *title, const char *why)
{
	CLEANUP(freep) char *detail = xstrdup(why);
	make_utf8(detail);
	json_t *j = json_pack("{s:s,s:s,s:i,s:s}", "type", "about:blank", "title", title, "status", (int)code, "detail", detail);
	check(j != NULL);
	r->code = code;
	r->type = "application/problem+json";
	r->body = json_dumps(j, JSON_COMPACT);
	r->n = strlen(r->body);
	json_decref(j);
}

static void serve_healthy(const struct status *s, struct reply *r)
{
	(void)s;
	*r = (struct reply){ MHD_HTTP_OK, "text/plain; charset=utf-8", xstrdup("healthy\n"), strlen("healthy\n"), 0 };
}

static void serve_ready(const struct status *s, struct reply *r)
{
	reply_text(r, status_ready(s) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", s, render_ready);
}

static void serve_metrics(const struct status *s, struct reply *r)
{
	reply_text(r, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", s, render_metrics);
}

static void serve_status(const struct status *s, struct reply *r)
{
	char *text = render_status(s);
	*r = (struct reply){ MHD_HTTP_OK, "application/json", text, strlen(text), 0 };
}

static void serve_usage(const struct http *h, struct MHD_Connection *c, struct reply *r)
{
	struct usage_question q;
	struct error why = { 0 };
	char wrong[QUESTION_WHY], *json = NULL;
	if (!question_read(c, &q, wrong)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "Bad Request", wrong);
		return;
	}
	if (h->o.ask == NULL) {
		reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found", "No usage is told here.");
		return;
	}
	switch (h->o.ask(h->o.ask_ctx, &q, &json, &why)) {
	case USAGE_TOLD:
		*r = (struct reply){ MHD_HTTP_OK, "application/json", json, strlen(json), 0 };
		break;
	case USAGE_NOTHING:
		reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found", why.text);
		break;
	case USAGE_AWAY:
		reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "Service Unavailable", why.text);
		r->retry_s = AGAIN_S;
		break;
	}
}

static const struct route {
	const char *path;
	void (*serve)(const struct status *s, struct reply *r);                             // how the process is, at once
	void (*look)(const struct http *h, struct MHD_Connection *c, struct reply *r);      // what the servers say
} routes[] = {
	{ "/-/healthy", serve_healthy, NULL },
	{ "/-/ready", serve_ready, NULL },
	{ "/metrics", serve_metrics, NULL },
	{ "/api/v1/status", serve_status, NULL },
	{ "/api/v1/usage", NULL, serve_usage },
};

static void route(struct http *h, struct MHD_Connection *c, const char *path, const char *method, struct reply *r)
{
	const struct route *found = NULL;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (strcmp(path, routes[i].path) == 0)
			found = &routes[i];
	if (found == NULL) {
		reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found",
			      "There is /-/healthy, /-/ready, /metrics, /api/v1/status and /api/v1/usage.");
		return;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		reply_problem(r, MHD_HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed", "This interface only reads: use GET.");
		return;
	}
	if (found->look != NULL) {
		found->look(h, c, r);
		return;
	}
	struct status s;
	status_init(&s);
	pthread_mutex_lock(&h->reading);
	h->o.read(h->o.ctx, &s);
	pthread_mutex_unlock(&h->reading);
	found->serve(&s, r);
	status_free(&s);
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *path, const char *method, const char *version,
			      const char *body, size_t *body_size, void **state)
{
	(void)version;
	(void)body;
	(void)body_size;
	(void)state; // answered at the first call: a request body is not waited for
	struct reply r = { 0 };
	route(ctx, c, path, method, &r);
	struct MHD_Response *response = MHD_create_response_from_buffer(r.n, r.body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(r.body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r.type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
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
	pthread_mutex_init(&h->reading, NULL);
	h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
				     NULL, NULL, answer, h,
				     MHD_OPTION_EXTERNAL_LOGGER, log_from_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	if (h->daemon == NULL) {
		close(fd);
		pthread_mutex_destroy(&h->reading);
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
	// Left to the library, the socket would be shut down, for everybody who holds it: the service manager's would refuse from then on.
	int fd = MHD_quiesce_daemon((*h)->daemon);
	check(fd >= 0);
	MHD_stop_daemon((*h)->daemon);
	close(fd);
	pthread_mutex_destroy(&(*h)->reading);
	free(*h);
	*h = NULL;
}
