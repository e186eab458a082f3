// SPDX-License-Identifier: Apache-2.0
// Health, metrics, the page and the read-only API (interfaces.md, section 4). GET and HEAD only, loopback unless told otherwise, and bounded:
// CONNECTIONS, of which STREAMS may be streams of alerts, 10 s of silence, 32 KiB a connection, no request body.
//
//	/                 the page
//	/-/healthy        200 while the process answers
//	/-/ready          200 "ready", or 503 with the reasons, one a line
//	/metrics          Prometheus text
//	/api/v1/status    what `meterctl status` shows
//	/api/v1/usage     ?account= [&service=] [&period=]: what `meterctl usage ACCOUNT --format json` prints
//	/api/v1/statements/ACCOUNT/PERIOD   what `meterctl statement` prints
//	/api/v1/settlements   [?period=] [&account=] [&cursor=]: what is published, in pages
//	/api/v1/alerts    [?account=] the newest, or with Accept: text/event-stream as they come, from Last-Event-ID or [?after=] on
//	/api/v1/quote     ?service= &calls= [&period=]: by the price book in force
//	/api/v1/catalog   [?period=] that price book
//	anything wrong    application/problem+json
//
// @thread http runs a thread of its own and one for each connection, so that who waits for Redis or Kafka keeps nobody else from asking
// how the process is. `read` is called one call at a time, `ask` and `quote` by several threads.
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/error.h"
#include "model/status.h"
#include "published/reader.h"
#include "usage/reader.h"

struct http_options {
	const char *listen; // "127.0.0.1:9464", "[::1]:9464", "localhost:0"; port 0: any free one
	bool activated; // `fd` is a listening socket from the service manager, which is used instead of `listen`
	int fd;         // http owns it from http_open on, also where that fails
	// Fills *ret, which was made by status_init. It must not wait for Redis or Kafka.
	void (*read)(void *ctx, struct status *ret);
	void *ctx;
	// Answers a question about usage; may wait for a bounded time. NULL: there is no such answer here.
	enum usage_answer (*ask)(void *ctx, const struct usage_question *q, char **ret_json, struct error *why);
	enum usage_answer (*quote)(void *ctx, const struct quote_question *q, char **ret_json, struct error *why); // likewise
	void *ask_ctx;
	struct published_reader *published; // NULL likewise; must live as long
	struct feed *feed;                  // likewise; http_freep stops it, so that its readers end
};

struct http;
// ERROR_ABORT 78 where `fd` is no listening stream socket, 75 where the port is taken, 78 where `listen` is not an address of this machine.
enum error_class http_open(const struct http_options *o, struct http **ret, struct error *e);
uint16_t http_port(const struct http *h);
void http_freep(struct http **h); // waits for requests under way

#endif
