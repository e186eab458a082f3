// SPDX-License-Identifier: Apache-2.0
// Ending a verb by SIGINT or SIGTERM without a handler: the signals are blocked before any thread starts, and asked for.
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

#include <pthread.h>
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

// A thread for verbs that are busy elsewhere (stop.c). Zeroed but for `at_once` before it begins.
struct stop_watch {
	atomic_bool stop;    // a signal came: what is under way ends in order
	atomic_bool ended;   // set by the owner from where on nothing may end it any more; stop_watch_end does
	const char *at_once; // where nothing is held that must be given back, and somebody may be waited for: who is still busy two seconds after the signal is
			     // ended with 75 and these words. NULL: it is waited for
	pthread_t thread;
};
void stop_watch_begin(struct stop_watch *w);
void stop_watch_end(struct stop_watch *w);

#endif
