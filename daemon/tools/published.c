// SPDX-License-Identifier: Apache-2.0
#include "tools/published.h"

#include "sink/sink.h"

// Long enough for Kafka to abort what a relay left open when it died (15 s, looked at every 10 s).
enum { READ_TIMEOUT_MS = 30000 };

static bool on_record(void *ctx, const struct topic_record *t)
{
	if (t->r.value.n > 0)
		published_take(ctx, t->r.value);
	return true;
}

int published_read(struct published *p, const struct options *o, const struct kafka_options *k)
{
	struct error e = { 0 };
	if (topic_read_back(k, k->settlements_topic, TIME_NONE, READ_TIMEOUT_MS, on_record, p, &e) != ERROR_NONE)
		return options_fail(o, &e);
	return OPTIONS_GO_ON;
}

int published_missing(const char *verb, const struct published *p, const char *account, int month)
{
	char text[MONTH_TEXT];
	month_text(month, text);
	if (!published_settled(p, month)) {
		fprintf(stderr, "meterctl %s: %s is not settled yet: `meterctl close %s --dry-run` says what it waits for\n", verb, text, text);
		return EXIT_LATER;
	}
	fprintf(stderr, "meterctl %s: there is no statement of account %.64s for %s: it had no calls that cost something, and nothing was frozen\n",
		verb, account, text);
	return EXIT_CONFIG_ERR;
}
