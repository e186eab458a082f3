// SPDX-License-Identifier: Apache-2.0
// A place in a topic as text that a client carries: the next offset of each partition, "12.5.70". Pure.
#ifndef PUBLISHED_PLACES_H
#define PUBLISHED_PLACES_H

#include "base/span.h"
#include "sink/sink.h"

enum { PLACES_MOST = 256, PLACES_TEXT = PLACES_MOST * 20 + 1 };

// *ret->next is allocated; free it. False: the text is none, or names more partitions than a place may.
bool places_parse(struct span text, struct topic_places *ret);
const char *places_text(const struct topic_places *p, char buf[PLACES_TEXT]);
void places_copy(struct topic_places *to, const struct topic_places *from);
void places_free(struct topic_places *p);

#endif
