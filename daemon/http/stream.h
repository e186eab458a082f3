// SPDX-License-Identifier: Apache-2.0
// Alerts as server-sent events. The id of an event is the place behind it, with which a client that comes again (Last-Event-ID) goes
// on exactly there. Bounded: STREAMS at a time, one event held for each; who does not read for SILENCE_S, or falls behind the feed's ring,
// loses the connection and comes again. Private to the room.
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <microhttpd.h>

#include "published/feed.h"

enum { STREAMS = 128, HEARTBEAT_MS = 5000 };

struct streams {
	int open; // atomic
};
// A response that goes on and on; place NULL: from now on. NULL: STREAMS are open already.
struct MHD_Response *stream_new(struct streams *s, struct feed *f, const struct topic_places *place);

#endif
