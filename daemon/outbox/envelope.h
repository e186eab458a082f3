// SPDX-License-Identifier: Apache-2.0
// The CloudEvents envelope of everything that goes out (interfaces.md, section 1). Pure: the same arguments, the same bytes.
#ifndef OUTBOX_ENVELOPE_H
#define OUTBOX_ENVELOPE_H

#include "journal/json.h"

#define ENVELOPE_CONTENT_TYPE "application/cloudevents+json"

// Around the fields of its data, which are written in between. `id`: 32 hex digits. False: the subject is not UTF-8.
bool envelope_begin(struct writer *w, const char *id, const char *source, const char *type, struct span subject, int64_t time_ms);
struct span envelope_end(struct writer *w); // all of it, in the writer's arena

#endif
