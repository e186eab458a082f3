// SPDX-License-Identifier: Apache-2.0
// Corrections are said in one transaction: all of them, or none. Nor where a month was closed or another correction came while they were worked out
// and somebody read them: that is looked at when no other application can write any more.
#include "base/check.h"
#include "replay/inner.h"

enum { SEND_TIMEOUT_MS = 30000 };

static enum error_class send_all(const struct replay *r, struct txn_sink *sink, struct error *e)
{
	const struct replay_corrections *c = &r->corrections;
	CLEANUP(freep) struct message *list = xcalloc(c->n, sizeof(*list));
	struct error why = { 0 };
	for (uint32_t i = 0; i < c->n; i++)
		list[i] = (struct message){ .topic = r->o.kafka->accounts_topic, .partition = -1, .key = c->list[i].account, .value = c->list[i].text };
	if (sink->ops->publish(sink, list, c->n, &why) == TXN_DONE)
		return ERROR_NONE;
	// Also where it was fenced: by the brokers after a time-out, or by somebody else, maybe after an end whose answer was lost.
	return error_set(e, ERROR_ABORT, EXIT_LATER, "%s. All of it was written, or nothing: run the same command again, it says which", why.text);
}

enum error_class replay_say(struct replay *r, struct error *e)
{
	struct txn_sink *sink = NULL;
	CLEANUP(freep) char *id = xasprintf("%s-corrections", r->o.kafka->group);
	check(r->corrections.n > 0 && r->corrections.tied == 0 && !r->corrections.known);
	enum error_class c = r->port->txn_open(r->o.kafka, id, SEND_TIMEOUT_MS, &sink, e);
	if (c != ERROR_NONE)
		return c;
	c = replay_holds(r, e);
	if (c == ERROR_NONE)
		c = send_all(r, sink, e);
	sink->ops->close(sink);
	return c;
}
