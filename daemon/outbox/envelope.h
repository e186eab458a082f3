// SPDX-License-Identifier: Apache-2.0
// The CloudEvents envelope of everything that goes out (interfaces.md, section 1). Pure: the same arguments, the same bytes.
#ifndef OUTBOX_ENVELOPE_H
#define OUTBOX_ENVELOPE_H

#include "journal/json.h"

#define ENVELOPE_CONTENT_TYPE "application/cloudevents+json"

// Takes `data` over. `id`: 32 hex digits. Free the result.
char *envelope(const char *id, const char *source, const char *type, const char *subject, int64_t time_ms, json_t *data);

#endif
