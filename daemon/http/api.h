// SPDX-License-Identifier: Apache-2.0
// What is answered to which path. Private to the room.
#ifndef HTTP_API_H
#define HTTP_API_H

#include <microhttpd.h>
#include <pthread.h>

#include "http/http.h"
#include "http/page.h"
#include "http/stream.h"

struct reply {
	unsigned code;
	const char *type;
	char *body; // owned
	size_t n;
	int retry_s; // when to ask again; 0: nothing is said of that
	const char *policy; // Content-Security-Policy; NULL: none
	struct MHD_Response *stream; // instead of a body
};

struct api {
	const struct http_options *o;
	pthread_mutex_t reading; // one o->read at a time
	struct streams streams;
	struct page page;
};
void api_init(struct api *a, const struct http_options *o);
void api_free(struct api *a);
void api_answer(struct api *a, struct MHD_Connection *c, const char *path, const char *method, struct reply *ret);

#endif
