// SPDX-License-Identifier: Apache-2.0
#include "tools/stop.h"

#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"

enum { LOOK_MS = 100, PATIENCE_MS = 2000 };

static void *watch(void *ctx)
{
	struct stop_watch *w = ctx;
	while (!atomic_load(&w->ended) && !atomic_load(&w->stop))
		if (stop_wait(LOOK_MS))
			atomic_store(&w->stop, true);
	for (int waited_ms = 0; w->at_once != NULL && !atomic_load(&w->ended) && waited_ms < PATIENCE_MS; waited_ms += LOOK_MS)
		clock_sleep_ms(LOOK_MS);
	if (w->at_once == NULL || atomic_load(&w->ended))
		return NULL;
	fprintf(stderr, "\n%s\n", w->at_once);
	_exit(EXIT_LATER);
}

void stop_watch_begin(struct stop_watch *w)
{
	check(pthread_create(&w->thread, NULL, watch, w) == 0);
}

void stop_watch_end(struct stop_watch *w)
{
	atomic_store(&w->ended, true);
	pthread_join(w->thread, NULL);
}
