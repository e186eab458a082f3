// SPDX-License-Identifier: Apache-2.0
// Refuses: other methods than GET and HEAD (405), unknown paths (404), parameters that are not known or not of their form (400).
#include "http/api.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "http/question.h"
#include "http/render.h"

enum { AGAIN_S = 1, RECENT = 100 };

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
	*r = (struct reply){ .code = MHD_HTTP_OK, .type = "text/plain; charset=utf-8", .body = xstrdup("healthy\n"), .n = strlen("healthy\n") };
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
	*r = (struct reply){ .code = MHD_HTTP_OK, .type = "application/json", .body = text, .n = strlen(text) };
}

// What is asked for, or the problem with it as the reply.
static bool asked(struct MHD_Connection *c, unsigned may, struct question *q, struct reply *r)
{
	char wrong[QUESTION_WHY];
	if (question_read(c, may, q, wrong))
		return true;
	reply_problem(r, MHD_HTTP_BAD_REQUEST, "Bad Request", wrong);
	return false;
}

static void reply_json(struct reply *r, char *json)
{
	*r = (struct reply){ .code = MHD_HTTP_OK, .type = "application/json", .body = json, .n = strlen(json) };
}

static void reply_away(struct reply *r, const char *why)
{
	reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "Service Unavailable", why);
	r->retry_s = AGAIN_S;
}

static void reply_not_here(struct reply *r, const char *what)
{
	CLEANUP(freep) char *text = xasprintf("No %s told here.", what);
	reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found", text);
}

// json: *ret_json of the answer
static void reply_usage(struct reply *r, enum usage_answer a, char *json, const struct error *why)
{
	if (a == USAGE_TOLD)
		reply_json(r, json);
	else if (a == USAGE_NOTHING)
		reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found", why->text);
	else
		reply_away(r, why->text);
}

static void reply_published(struct reply *r, enum published_answer a, char *json, const struct error *why)
{
	if (a == PUBLISHED_TOLD)
		reply_json(r, json);
	else if (a == PUBLISHED_AWAY)
		reply_away(r, why->text);
	else
		reply_problem(r, a == PUBLISHED_GONE ? MHD_HTTP_GONE : MHD_HTTP_NOT_FOUND, a == PUBLISHED_GONE ? "Gone" : "Not Found", why->text);
}

static void serve_usage(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	CLEANUP(question_free) struct question q;
	struct error why = { 0 };
	char *json = NULL;
	(void)rest;
	if (!asked(c, QUESTION_MAY(QUESTION_ACCOUNT) | QUESTION_MAY(QUESTION_SERVICE) | QUESTION_MAY(QUESTION_PERIOD), &q, r))
		return;
	struct usage_question u = { q.text[QUESTION_ACCOUNT], q.text[QUESTION_SERVICE], q.month };
	if (u.account == NULL) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "Bad Request",
			      "the parameter account is missing: /api/v1/usage?account=ID, and if wanted &service=ID&period=YYYY-MM");
	} else if (a->o->ask == NULL) {
		reply_not_here(r, "usage is");
	} else {
		enum usage_answer answer = a->o->ask(a->o->ask_ctx, &u, &json, &why);
		reply_usage(r, answer, json, &why);
	}
}

static void serve_book(struct api *a, const struct quote_question *q, struct reply *r)
{
	struct error why = { 0 };
	char *json = NULL;
	if (a->o->quote == NULL) {
		reply_not_here(r, "prices are");
		return;
	}
	enum usage_answer answer = a->o->quote(a->o->ask_ctx, q, &json, &why);
	reply_usage(r, answer, json, &why);
}

static void serve_quote(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	CLEANUP(question_free) struct question q;
	(void)rest;
	if (!asked(c, QUESTION_MAY(QUESTION_SERVICE) | QUESTION_MAY(QUESTION_CALLS) | QUESTION_MAY(QUESTION_PERIOD), &q, r))
		return;
	if (q.text[QUESTION_SERVICE] == NULL || q.text[QUESTION_CALLS] == NULL)
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "Bad Request",
			      "the parameters service and calls are needed: /api/v1/quote?service=ID&calls=N, and if wanted &period=YYYY-MM");
	else
		serve_book(a, &(struct quote_question){ q.text[QUESTION_SERVICE], q.month, q.calls, clock_wall_ms() }, r);
}

static void serve_catalog(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	CLEANUP(question_free) struct question q;
	(void)rest;
	if (asked(c, QUESTION_MAY(QUESTION_PERIOD), &q, r))
		serve_book(a, &(struct quote_question){ NULL, q.month, 0, clock_wall_ms() }, r);
}

static void serve_settlements(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	CLEANUP(question_free) struct question q;
	struct error why = { 0 };
	char *json = NULL;
	(void)rest;
	if (!asked(c, QUESTION_MAY(QUESTION_PERIOD) | QUESTION_MAY(QUESTION_ACCOUNT) | QUESTION_MAY(QUESTION_CURSOR), &q, r))
		return;
	struct published_question p = { q.text[QUESTION_ACCOUNT], q.month, q.text[QUESTION_CURSOR] != NULL ? &q.place : NULL };
	if (a->o->published == NULL) {
		reply_not_here(r, "settlements are");
		return;
	}
	enum published_answer answer = published_reader_page(a->o->published, &p, &json, &why);
	reply_published(r, answer, json, &why);
}

// rest: "ACCOUNT/PERIOD"
static void serve_statement(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	CLEANUP(question_free) struct question q;
	CLEANUP(freep) char *account = NULL;
	char wrong[QUESTION_WHY];
	struct error why = { 0 };
	char *json = NULL;
	const char *slash = strrchr(rest, '/');
	if (!asked(c, 0, &q, r))
		return;
	account = slash != NULL ? xstrndup(rest, (size_t)(slash - rest)) : NULL;
	if (account == NULL) {
		reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found", "a statement is at /api/v1/statements/ACCOUNT/YYYY-MM");
		return;
	}
	struct published_question p = { .account = account };
	if (!question_account(span_of(account), wrong) || !question_period(span_of(slash + 1), &p.month, wrong)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "Bad Request", wrong);
	} else if (a->o->published == NULL) {
		reply_not_here(r, "statements are");
	} else {
		enum published_answer answer = published_reader_statement(a->o->published, &p, &json, &why);
		reply_published(r, answer, json, &why);
	}
}

// ---- alerts

static void serve_recent(struct api *a, const char *account, struct reply *r)
{
	struct error why = { 0 };
	char place[PLACES_TEXT];
	CLEANUP(freep) char *list = feed_recent(a->o->feed, RECENT, account, place, &why);
	if (list == NULL)
		reply_away(r, why.text);
	else
		reply_json(r, xasprintf("{\"alerts\":%s,\"place\":\"%s\"}\n", list, place));
}

static void serve_stream(struct api *a, struct MHD_Connection *c, struct question *q, struct reply *r)
{
	const char *id = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Last-Event-ID");
	CLEANUP(places_free) struct topic_places last = { 0 };
	if (id != NULL && id[0] != '\0' && !places_parse(span_of(id), &last)) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "Bad Request", "Last-Event-ID is no id of an event that was sent here: leave it out to begin with what comes now");
		return;
	}
	*r = (struct reply){ .code = MHD_HTTP_OK, .type = "text/event-stream" };
	r->stream = stream_new(&a->streams, a->o->feed, last.n > 0 ? &last : q->place.n > 0 ? &q->place : NULL);
	if (r->stream == NULL)
		reply_away(r, "as many streams are open as there may be: ask again later, or without Accept: text/event-stream");
}

static void serve_alerts(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	CLEANUP(question_free) struct question q;
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool live = accept != NULL && strstr(accept, "text/event-stream") != NULL;
	(void)rest;
	if (!asked(c, QUESTION_MAY(live ? QUESTION_AFTER : QUESTION_ACCOUNT), &q, r))
		return;
	if (a->o->feed == NULL)
		reply_not_here(r, "alerts are");
	else if (live)
		serve_stream(a, c, &q, r);
	else
		serve_recent(a, q.text[QUESTION_ACCOUNT], r);
}

// ---- the page

static void serve_page(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r)
{
	(void)c, (void)rest;
	*r = (struct reply){ .code = MHD_HTTP_OK, .type = "text/html; charset=utf-8", .body = xstrdup(a->page.text), .n = a->page.n, .policy = a->page.policy };
}

// ---- which

static const struct route {
	const char *path; // one that ends with a slash has something behind it, but for "/"
	void (*serve)(const struct status *s, struct reply *r);                                           // how the process is, at once
	void (*look)(struct api *a, struct MHD_Connection *c, const char *rest, struct reply *r);          // what the servers say
} routes[] = {
	{ "/", NULL, serve_page },
	{ "/-/healthy", serve_healthy, NULL },
	{ "/-/ready", serve_ready, NULL },
	{ "/metrics", serve_metrics, NULL },
	{ "/api/v1/status", serve_status, NULL },
	{ "/api/v1/usage", NULL, serve_usage },
	{ "/api/v1/statements/", NULL, serve_statement },
	{ "/api/v1/settlements", NULL, serve_settlements },
	{ "/api/v1/alerts", NULL, serve_alerts },
	{ "/api/v1/quote", NULL, serve_quote },
	{ "/api/v1/catalog", NULL, serve_catalog },
};

static const struct route *find(const char *path, const char **ret_rest)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		size_t n = strlen(routes[i].path);
		bool open = n > 1 && routes[i].path[n - 1] == '/';
		*ret_rest = path + n;
		if (strncmp(path, routes[i].path, n) == 0 && (open || path[n] == '\0'))
			return &routes[i];
	}
	return NULL;
}

void api_answer(struct api *a, struct MHD_Connection *c, const char *path, const char *method, struct reply *r)
{
	const char *rest = NULL;
	const struct route *found = find(path, &rest);
	if (found == NULL) {
		reply_problem(r, MHD_HTTP_NOT_FOUND, "Not Found",
			      "There is the page at /, /-/healthy, /-/ready, /metrics, and below /api/v1/: status, usage, statements/ACCOUNT/PERIOD, settlements, "
			      "alerts, quote and catalog.");
		return;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		reply_problem(r, MHD_HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed", "This interface only reads: use GET.");
		return;
	}
	if (found->look != NULL) {
		found->look(a, c, rest, r);
		return;
	}
	struct status s;
	status_init(&s);
	pthread_mutex_lock(&a->reading);
	a->o->read(a->o->ctx, &s);
	pthread_mutex_unlock(&a->reading);
	found->serve(&s, r);
	status_free(&s);
}

void api_init(struct api *a, const struct http_options *o)
{
	*a = (struct api){ .o = o };
	pthread_mutex_init(&a->reading, NULL);
	page_init(&a->page);
}

void api_free(struct api *a)
{
	pthread_mutex_destroy(&a->reading);
	page_free(&a->page);
}
