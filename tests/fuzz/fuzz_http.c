// SPDX-License-Identifier: Apache-2.0
// Requests to the HTTP interface, query strings among them, over a real connection. Whatever is asked, the answer is one of HTTP, its
// status is one that is documented, a JSON body is JSON, and nothing of the request stands in a header of the answer.
// most: 1024
#include <arpa/inet.h>
#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "http/http.h"

#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-"

static void fill(void *ctx, struct status *s)
{
	(void)ctx;
	s->phase = STATUS_RUNNING;
	s->instance = xstrdup("m");
	status_part_add(s, "usage.calls", 0)->next = 7;
}

// Whatever was asked for, it has the form that it must have.
static void check_name(const char *name, size_t most)
{
	fuzz_check(name == NULL || (strlen(name) > 0 && strlen(name) <= most && strspn(name, NAME_BYTES) == strlen(name)));
}

static enum usage_answer usage(void *ctx, const struct usage_question *q, char **ret_json, struct error *why)
{
	(void)ctx, (void)why;
	fuzz_check(q->account != NULL && (q->month == MONTH_NONE || q->month > 0));
	check_name(q->account, 64);
	check_name(q->service, 128);
	*ret_json = xstrdup("[]");
	return USAGE_TOLD;
}

static enum usage_answer quote(void *ctx, const struct quote_question *q, char **ret_json, struct error *why)
{
	(void)ctx, (void)why;
	fuzz_check(q->calls >= 0);
	check_name(q->service, 128);
	*ret_json = xstrdup("{}");
	return USAGE_TOLD;
}

static enum error_class read_nothing(const struct kafka_options *o, const char *topic, struct topic_places *at, int64_t tail, bool follow, int timeout_ms,
				     topic_reader_fn *fn, void *ctx, struct error *e)
{
	(void)o, (void)topic, (void)tail, (void)follow, (void)timeout_ms, (void)fn, (void)ctx, (void)e;
	for (int32_t p = 0; p < at->n; p++)
		fuzz_check(at->next[p] >= 0);
	return ERROR_NONE;
}

static uint16_t server(void)
{
	static struct http *h;
	static struct kafka_options kafka = { .settlements_topic = "s" };
	static struct http_options o = { .listen = "127.0.0.1:0", .read = fill, .ask = usage, .quote = quote };
	if (o.published == NULL)
		o.published = published_reader_new(&kafka, read_nothing, 1000);
	struct error e = { 0 };
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LVL_ERROR);
	fuzz_check(h != NULL || http_open(&o, &h, &e) == ERROR_NONE);
	return http_port(h);
}

static size_t ask(struct span s, char *answer, size_t room)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(server()), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger reset = { 1, 0 }; // leaves no port behind in TIME_WAIT
	fuzz_check(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	for (ssize_t n; s.n > 0 && (n = send(fd, s.p, s.n, MSG_NOSIGNAL)) > 0;)
		fuzz_take(&s, (size_t)n);
	shutdown(fd, SHUT_WR);
	size_t got = 0;
	for (ssize_t n; got < room && (n = recv(fd, answer + got, room - got, 0)) > 0;)
		got += (size_t)n;
	close(fd);
	return got;
}

static void check_answer(const char *answer)
{
	static const char *const codes[] = { "200", "400", "404", "405", "410", "411", "413", "414", "431", "500", "501", "503", "505", "100" };
	bool known = false;
	fuzz_check(strncmp(answer, "HTTP/1.", 7) == 0 && strlen(answer) > 12);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		known = known || strncmp(answer + 9, codes[i], 3) == 0;
	fuzz_check(known);
	const char *body = strstr(answer, "\r\n\r\n"), *type = strstr(answer, "\r\nContent-Type: "), *length = strstr(answer, "\r\nContent-Length: ");
	fuzz_check(strncmp(answer + 9, "100", 3) == 0 || body != NULL);
	if (body == NULL || type == NULL || type > body || length == NULL || strstr(type, "json") == NULL || strstr(type, "json") > body)
		return;
	size_t n = (size_t)strtoul(length + 18, NULL, 10);
	json_t *j = strlen(body + 4) >= n ? json_loadb(body + 4, n, 0, NULL) : NULL;
	fuzz_check(j != NULL || strlen(body + 4) == 0); // nothing: the answer to a HEAD
	json_decref(j);
}

FUZZ(s)
{
	static char answer[1 << 16];
	size_t n = ask(s, answer, sizeof(answer) - 1);
	answer[n] = '\0';
	if (n > 0)
		check_answer(answer);
	if (s.n > 14 && memcmp(s.p, "GET /-/healthy", 14) == 0 && memmem(s.p, s.n, " HTTP/1.1\r\nHost: a\r\n\r\n", 22) == s.p + 14)
		fuzz_check(n > 0 && strncmp(answer + 9, "200", 3) == 0);
}
