// SPDX-License-Identifier: Apache-2.0
// A request's parameters as a question about usage, strictly: each known, at most once, and of its form. Private to the room.
#ifndef HTTP_QUESTION_H
#define HTTP_QUESTION_H

#include <microhttpd.h>

#include "usage/reader.h"

enum { QUESTION_WHY = 300 };
// False: *why says in ASCII which parameter is wrong, and how it is written. *ret points into the connection.
bool question_read(struct MHD_Connection *c, struct usage_question *ret, char why[QUESTION_WHY]);

#endif
