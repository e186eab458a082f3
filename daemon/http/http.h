// SPDX-License-Identifier: Apache-2.0
// Health, metrics and the read-only API (interfaces.md, section 4). GET and HEAD only, loopback unless told otherwise, and bounded:
// 64 connections, 10 s of silence, 32 KiB a connection, no request body.
//
//	/-/healthy        200 while the process answers
//	/-/ready          200 "ready", or 503 with the reasons, one a line
//	/metrics          Prometheus text
//	/api/v1/status    what `meterctl status` shows
//	/api/v1/usage     ?account= [&service=] [&period=]: what `meterctl usage ACCOUNT --format json` prints
//	anything wrong    application/problem+json
//
// @thread http runs a thread of its own and one for each connection, so that who waits for Redis or Kafka keeps nobody else from asking
// how the process is. `read` is called one call at a time, `ask` by several threads.
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/error.h"
#include "model/status.h"
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
	void *ask_ctx;
};

struct http;
// ERROR_ABORT 78 where `fd` is no listening stream socket, 75 where the port is taken, 78 where `listen` is not an address of this machine.
enum error_class http_open(const struct http_options *o, struct http **ret, struct error *e);
uint16_t http_port(const struct http *h);
void http_freep(struct http **h); // waits for requests under way

#endif
