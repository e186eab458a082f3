// SPDX-License-Identifier: Apache-2.0
// A request's parameters, strictly: each known, at most once, and of its form. Private to the room.
#ifndef HTTP_QUESTION_H
#define HTTP_QUESTION_H

#include <microhttpd.h>

#include "published/places.h"

enum question_field { QUESTION_ACCOUNT, QUESTION_SERVICE, QUESTION_PERIOD, QUESTION_CALLS, QUESTION_CURSOR, QUESTION_AFTER, QUESTION_FIELDS };
#define QUESTION_MAY(field) (1U << (field))

struct question {
	const char *text[QUESTION_FIELDS]; // as given, in the connection; NULL: not given
	int month;                         // of period; MONTH_NONE
	int64_t calls;
	struct topic_places place;         // of cursor, or after
};

enum { QUESTION_WHY = 300 };
// `may`: QUESTION_MAY of each parameter that the path has. False: *why says in ASCII which parameter is wrong, and how it is written.
bool question_read(struct MHD_Connection *c, unsigned may, struct question *ret, char why[QUESTION_WHY]);
void question_free(struct question *q);

// What stands in a path between slashes. False as above.
bool question_account(struct span account, char why[QUESTION_WHY]);
bool question_period(struct span period, int *ret, char why[QUESTION_WHY]);

#endif
