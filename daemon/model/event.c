// SPDX-License-Identifier: Apache-2.0
#include "model/event.h"

#include "base/check.h"

const char *outcome_text(enum outcome o)
{
	static const char *const texts[] = {
#define OUTCOME(id, text, help) text,
#include "tbl/outcome.def"
#undef OUTCOME
	};
	check((unsigned)o < OUTCOME_COUNT);
	return texts[o];
}
