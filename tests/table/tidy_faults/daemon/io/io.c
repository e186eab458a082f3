// SPDX-License-Identifier: Apache-2.0
#include "io/io.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <jansson.h>

#include "base/clock.h"
#include "helper.h"
#include "rating/rating.h"

void io_copy(char *to, const char *from)
{
	strcpy(to, from);
	strcat(to, "strcpy(to, from) in a text is no call");
	sprintf(to, "%d", atoi(from));
	char *word = strtok(to, " ");
	gets(to);
	word = alloca(10);
	word = malloc(10);
	word = calloc(1, 1);
	word = realloc(word, 1);
	word = strdup(from);
	assert(word);
	long t = time(NULL) + clock_gettime(0, NULL) + gettimeofday(NULL, NULL);
	usleep(1);
	sleep(1);
	if (t)
		goto out;
out:
	s->time(1);
	runtime(2);
}
