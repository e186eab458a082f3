// SPDX-License-Identifier: Apache-2.0
// Apart from options.c, so that verbs that work offline need no Redis.
#include "base/check.h"
#include "tools/options.h"

int options_store(struct options *o, struct store **ret)
{
	struct store_options so;
	struct error e = { 0 };
	check(o->settings != NULL);
	if (settings_store(o->settings, &so, &e) != ERROR_NONE || store_redis_open(&so, ret, &e) != ERROR_NONE)
		return options_fail(o, &e);
	return OPTIONS_GO_ON;
}
