// SPDX-License-Identifier: Apache-2.0
// Ending a verb by SIGINT or SIGTERM without a handler: the signals are blocked before any thread starts, and asked for.
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static inline void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

static inline void stop_block(void)
{
	sigset_t set;
	stop_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

// True once a signal came within timeout_ms. Asking takes the signal: remember the answer.
static inline bool stop_wait(int timeout_ms)
{
	sigset_t set;
	struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	stop_signals(&set);
	return sigtimedwait(&set, NULL, &ts) > 0;
}

// A thread for verbs that are busy elsewhere: its argument is an atomic_bool, which a signal sets. It ends once that is set, by whomever.
static inline void *stop_watch(void *stop)
{
	atomic_bool *flag = stop;
	while (!atomic_load(flag))
		if (stop_wait(200))
			atomic_store(flag, true);
	return NULL;
}

#endif
