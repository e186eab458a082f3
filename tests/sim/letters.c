// SPDX-License-Identifier: Apache-2.0
// Dead letters: the twin of the sink that writes them, and persons who give records back (letters/box.h), two of them at a time now and then, each of
// whom may die at each call, and whoever comes next does it again.
#include "base/check.h"
#include "letters/box.h"
#include "sim.h"

// ---- queued, then there; what a dead process had queued may be there or not
struct sim_dlq {
	struct dlq d;                    // first
	uint32_t n, size;
	struct fake_message *queue;
};

static void flush(struct sim_dlq *d, bool keep)
{
	for (uint32_t i = 0; i < d->n; i++)
		if (keep)
			fake_append(&sim->kafka, d->queue[i]);
	d->n = 0;
}

// As sink_kafka_dlq.c writes it.
static struct fake_message letter(const char *topic, int32_t partition, const struct record *r, const struct dlq_reason *why)
{
	enum { OWN = 8 };
	char at[2][24], stamp[24], clock[24] = "-";
	CLEANUP(freep) struct header *h = xcalloc(r->n_headers + OWN, sizeof(*h));
	snprintf(at[0], sizeof(at[0]), "%d", partition);
	snprintf(at[1], sizeof(at[1]), "%lld", (long long)r->offset);
	snprintf(stamp, sizeof(stamp), "%lld", (long long)r->timestamp_ms);
	if (why->clock_ms != TIME_NONE)
		snprintf(clock, sizeof(clock), "%lld", (long long)why->clock_ms);
	const struct header own[OWN] = { { SPAN_LIT("__meterd.errors.topic"), span_of(topic) }, { SPAN_LIT("__meterd.errors.partition"), span_of(at[0]) },
					 { SPAN_LIT("__meterd.errors.offset"), span_of(at[1]) }, { SPAN_LIT("__meterd.errors.timestamp"), span_of(stamp) },
					 { SPAN_LIT("__meterd.errors.clock"), span_of(clock) },
					 { SPAN_LIT("__meterd.errors.stage"), span_of(why->stage) }, { SPAN_LIT("__meterd.errors.code"), span_of(why->code) },
					 { SPAN_LIT("__meterd.errors.message"), span_of(why->message) } };
	for (uint32_t i = 0; i < r->n_headers; i++)
		h[i] = r->headers[i];
	memcpy(h + r->n_headers, own, sizeof(own));
	const struct message m = { .topic = "usage.calls.dlq", .partition = partition % SIM_LETTER_PARTITIONS, .key = r->key, .value = r->value,
				   .headers = h, .n_headers = r->n_headers + OWN };
	return fake_message(&sim->kafka, &m);
}

static enum error_class d_send(struct dlq *base, const char *topic, int32_t partition, const struct record *r, const struct dlq_reason *why,
			       struct error *e)
{
	struct sim_dlq *d = (struct sim_dlq *)base;
	if (sim_fate(STEP_DLQ, (1u << FATE_LOST) | (1u << FATE_DIES_BEFORE)) == FATE_LOST)
		return error_set(e, ERROR_RETRY, 0, "queue full (simulated)");
	if (d->n == d->size) {
		d->size = d->size * 2 + 16;
		d->queue = xrealloc(d->queue, d->size, sizeof(*d->queue));
	}
	d->queue[d->n++] = letter(topic, partition, r, why);
	return ERROR_NONE;
}

static uint64_t d_pending(struct dlq *base, int timeout_ms)
{
	struct sim_dlq *d = (struct sim_dlq *)base;
	sim->mono_us += timeout_ms * 1000;
	enum fate f = sim_fate(STEP_DLQ, (1u << FATE_LOST) | (1u << FATE_DIES_BEFORE) | (1u << FATE_DIES_AFTER));
	if (f == FATE_LOST)
		return d->n;
	flush(d, true);
	sim_die_after(f);
	return 0;
}

static void d_drop(struct dlq *base)
{
	flush((struct sim_dlq *)base, sim_chance(0.5));
}

static void d_close(struct dlq *base)
{
	struct sim_dlq *d = (struct sim_dlq *)base;
	flush(d, sim_chance(0.5));
	free(d->queue);
	free(d);
}

static const struct dlq_ops dlq_ops = { d_send, d_pending, d_drop, d_close };

enum error_class sim_dlq_open(const struct kafka_options *o, struct dlq **ret, struct error *e)
{
	(void)o, (void)e;
	struct sim_dlq *d = xcalloc(1, sizeof(*d));
	d->d.ops = &dlq_ops;
	*ret = &d->d;
	return ERROR_NONE;
}

// ---- giving back
static void give_back(struct letters_wish w)
{
	struct error e = { 0 };
	struct letters_sums n = { 0 };
	const struct letters_ends ends = { .port = sim->ports->sink, .kafka = &sim->kafka.o, .field_account = "account" };
	enum error_class c = letters_give_back(&ends, &w, false, &n, &e);
	sim_say("requeue: %u of %u given back: %d %s", n.given_back, n.chosen, c, e.text);
	sim->coverage->requeued += n.given_back;
	if (c != ERROR_NONE && c != ERROR_RETRY)
		sim_wrong("requeue: %s", e.text);
	if (n.elsewhere > 0 || n.truncated > 0)
		sim_wrong("requeue: letters are not as they were written");
}

void sim_letters_return(struct sim_instance *x)
{
	struct letters_wish w = { .since_ms = INT64_MIN, .until_ms = INT64_MAX };
	char account[8];
	(void)x;
	snprintf(account, sizeof(account), "a%d", (int)sim_below(SIM_ACCOUNTS));
	switch (sim_below(5)) {
	case 0:
		w.code = "service_unknown";
		break;
	case 1:
		w.account = account;
		break;
	case 2:
		w.since_ms = sim->stamp_ms - (int64_t)sim_below(20) * 86400000;
		break;
	default:
		break;
	}
	give_back(w);
}

void sim_letters_return_all(struct sim_instance *x)
{
	(void)x;
	give_back((struct letters_wish){ .since_ms = INT64_MIN, .until_ms = INT64_MAX });
}
