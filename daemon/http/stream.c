// SPDX-License-Identifier: Apache-2.0
#include "http/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BLOCK = 8192 };

struct stream {
	struct streams *all;
	struct feed_reader *reader;
	char *text;         // owned; what is being sent: [sent, n)
	size_t sent, n;
	bool over;          // nothing comes behind it
};

static void say(struct stream *s, char *text)
{
	free(s->text);
	s->text = text;
	s->sent = 0;
	s->n = strlen(text);
}

// Waits for something to say, for HEARTBEAT_MS at the most: a client that is gone is noticed by writing to it.
static void more(struct stream *s)
{
	char place[PLACES_TEXT];
	CLEANUP(freep) char *json = NULL;
	switch (feed_next(s->reader, HEARTBEAT_MS, &json)) {
	case FEED_ALERT:
		say(s, xasprintf("id: %s\ndata: %s\n\n", feed_reader_place(s->reader, place), json));
		break;
	case FEED_NOTHING:
		say(s, xstrdup(": nothing new\n\n"));
		break;
	case FEED_GAP:
		say(s, xstrdup("event: gap\ndata: {\"detail\":\"alerts behind your place are gone from the topic; this goes on where it begins\"}\n\n"));
		break;
	case FEED_BEHIND: // it comes again with its place, and is read back to the ring
	case FEED_END:
		s->over = true;
		break;
	}
}

static ssize_t fill(void *ctx, uint64_t at, char *buf, size_t most)
{
	struct stream *s = ctx;
	(void)at;
	if (s->sent == s->n && !s->over)
		more(s);
	if (s->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	size_t n = s->n - s->sent < most ? s->n - s->sent : most;
	memcpy(buf, s->text + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

static void stream_free(void *ctx)
{
	struct stream *s = ctx;
	__atomic_sub_fetch(&s->all->open, 1, __ATOMIC_RELAXED);
	feed_reader_freep(&s->reader);
	free(s->text);
	free(s);
}

struct MHD_Response *stream_new(struct streams *all, struct feed *f, const struct topic_places *place)
{
	if (__atomic_add_fetch(&all->open, 1, __ATOMIC_RELAXED) > STREAMS) {
		__atomic_sub_fetch(&all->open, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	struct stream *s = xcalloc(1, sizeof(*s));
	s->all = all;
	s->reader = feed_reader_new(f, place);
	say(s, xstrdup("retry: 1000\n\n"));
	struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, fill, s, stream_free);
	if (r == NULL)
		stream_free(s);
	return r;
}
