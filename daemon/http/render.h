// SPDX-License-Identifier: Apache-2.0
// A status as the three texts that are served. Private to the room.
#ifndef HTTP_RENDER_H
#define HTTP_RENDER_H

#include <stdio.h>

#include "model/status.h"

void render_ready(const struct status *s, FILE *to);
void render_metrics(const struct status *s, FILE *to);
char *render_status(const struct status *s); // JSON; free it

#endif
