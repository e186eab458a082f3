// SPDX-License-Identifier: Apache-2.0
// Health, metrics and the read-only API (interfaces.md, section 4). GET and HEAD only, loopback unless told otherwise, and bounded:
// 64 connections, 10 s of silence, 32 KiB a connection, no request body.
//
//	/-/healthy        200 while the process answers
//	/-/ready          200 "ready", or 503 with the reasons, one a line
//	/metrics          Prometheus text
//	/api/v1/status    what `meterctl status` shows
//	anything wrong    application/problem+json
//
// @thread http runs one thread of its own; `read` is called on it, one call at a time.
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/error.h"
#include "model/status.h"

struct http_options {
	const char *listen; // "127.0.0.1:9464", "[::1]:9464", "localhost:0"; port 0: any free one
	bool activated; // `fd` is a listening socket from the service manager, which is used instead of `listen`
	int fd;         // http owns it from http_open on, also where that fails
	// Fills *ret, which was made by status_init. It must not wait for Redis or Kafka.
	void (*read)(void *ctx, struct status *ret);
	void *ctx;
};

struct http;
// ERROR_ABORT 78 where `fd` is no listening stream socket, 75 where the port is taken, 78 where `listen` is not an address of this machine.
enum error_class http_open(const struct http_options *o, struct http **ret, struct error *e);
uint16_t http_port(const struct http *h);
void http_freep(struct http **h); // waits for requests under way

#endif
