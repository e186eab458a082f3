// SPDX-License-Identifier: Apache-2.0
#include "tools/kafka_args.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "tools/frontend.h"
#include "tools/options.h"

static const char *const default_inputs[] = { "usage.calls", NULL };

int tool_fail(const char *verb, const struct error *e)
{
	check(e->cls != ERROR_NONE);
	fprintf(stderr, "meterctl %s: %s\n", verb, e->text);
	return e->cls == ERROR_ABORT ? e->exit_code : EXIT_UNREACHABLE;
}

int kafka_args_open(struct kafka_args *a, const char *verb)
{
	a->o = (struct kafka_options){ .group = "meterd", .input_topics = default_inputs, .alerts_topic = "meterd.alerts",
				       .settlements_topic = "meterd.settlements", .control_topic = "meterd.control",
				       .accounts_topic = "meterd.accounts", .dlq_topic = "usage.calls.dlq",
				       .bootstrap = "127.0.0.1:9092", .session_timeout_ms = 10000, .fetch_max_bytes = 524288,
				       .queued_max_kbytes = 65536 };
	if (a->config == NULL && a->bootstrap == NULL && getenv("METERD_CONFIG") != NULL)
		a->config = options_default_config();
	if (a->config != NULL) {
		int code = frontend_settings(a->config, &a->settings);
		if (code != EXIT_DONE) {
			fprintf(stderr, "meterctl %s: %s cannot be used\n", verb, a->config);
			return code;
		}
		settings_kafka(a->settings, &a->o);
	}
	if (a->bootstrap != NULL)
		a->o.bootstrap = a->bootstrap;
	a->o.embedded = a->o.embedded || a->embedded;
	return EXIT_DONE;
}

void kafka_args_close(struct kafka_args *a)
{
	settings_freep(&a->settings);
	a->settings = NULL;
}

bool tool_parse_time(const struct zone *z, const char *text, int64_t *ret_ms)
{
	int month;
	if (month_parse(span_of(text), &month)) {
		*ret_ms = period_start_ms(z, month);
		return true;
	}
	return time_parse_rfc3339(span_of(text), ret_ms);
}
