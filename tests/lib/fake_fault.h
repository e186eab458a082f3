// SPDX-License-Identifier: Apache-2.0
// One fault in a run: the call number `at` of all calls to the twins fails, before or after it took effect. at 0: none.
#ifndef FAKE_FAULT_H
#define FAKE_FAULT_H

#include <stdbool.h>

enum fake_outcome { FAKE_OK, FAKE_LOST, FAKE_REPLY_LOST }; // not applied; applied, but the caller is told that it failed
struct fake_fault {
	long calls, at;
	enum fake_outcome how;
	bool fired;
	void (*also)(void *ctx); // done at that moment, for instance a shard put back into an earlier state
	void *ctx;
	enum fake_outcome (*decide)(void *ctx); // asked about every call, instead of `at`
};

static inline enum fake_outcome fake_call(struct fake_fault *f)
{
	f->calls++;
	if (f->decide != NULL)
		return f->decide(f->ctx);
	if (f->calls != f->at)
		return FAKE_OK;
	f->fired = true;
	if (f->also != NULL)
		f->also(f->ctx);
	return f->how;
}

#endif
