// SPDX-License-Identifier: Apache-2.0
#include "journal/accounts_feed.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

struct accounts_feed {
	struct account_book *book;
	int32_t n;
	int64_t *next;
	const char *topic; // of the refresh under way
	struct accounts_feed_numbers numbers;
};

struct accounts_feed *accounts_feed_new(void)
{
	struct accounts_feed *f = xcalloc(1, sizeof(*f));
	f->book = account_book_new();
	f->numbers.newest_ms = TIME_NONE;
	return f;
}

void accounts_feed_freep(struct accounts_feed **at)
{
	struct accounts_feed *f = *at;
	if (f == NULL)
		return;
	account_book_freep(&f->book);
	free(f->next);
	free(f);
	*at = NULL;
}

static void fit(struct accounts_feed *f, int32_t n)
{
	if (n <= f->n)
		return;
	f->next = xrealloc(f->next, (size_t)n, sizeof(*f->next));
	memset(f->next + f->n, 0, (size_t)(n - f->n) * sizeof(*f->next));
	f->n = n;
}

static void refused(struct accounts_feed *f, const struct topic_record *t, const struct account_fault *fault)
{
	const struct account_fault_info *info = account_fault_info(fault->code);
	char advice[600];
	f->numbers.refused++;
	// Not its detail: that may quote the account.
	log_line(LVL_WARN, "account_record_refused", "topic=%s partition=%d offset=%lld code=%s do=%s", f->topic, (int)t->partition,
		 (long long)t->r.offset, info->code, log_quote(info->advice, advice, sizeof(advice)));
}

static bool take(void *ctx, const struct topic_record *t)
{
	struct accounts_feed *f = ctx;
	struct account_fault fault = { 0 };
	fit(f, t->partition + 1);
	check(t->r.offset >= f->next[t->partition]);
	switch (account_book_apply(f->book, t->partition, t->r.offset, t->r.timestamp_ms, t->r.value, &fault)) {
	case ACCOUNT_TAKEN:
		f->numbers.taken++;
		f->numbers.newest_ms = t->r.timestamp_ms > f->numbers.newest_ms ? t->r.timestamp_ms : f->numbers.newest_ms;
		break;
	case ACCOUNT_REPEATED:
		f->numbers.repeated++;
		break;
	case ACCOUNT_REFUSED:
		refused(f, t, &fault);
		break;
	}
	f->next[t->partition] = t->r.offset + 1;
	return true;
}

enum error_class accounts_feed_refresh(struct accounts_feed *f, const struct sink_port *port, const struct kafka_options *kafka,
				       int timeout_ms, struct error *e)
{
	struct error why = { 0 };
	f->topic = kafka->accounts_topic;
	// The reader is given a copy: `next` moves while it reads.
	CLEANUP(freep) int64_t *starts = xcalloc((size_t)f->n + 1, sizeof(*starts));
	if (f->n > 0)
		memcpy(starts, f->next, (size_t)f->n * sizeof(*starts));
	enum error_class c = port->read_from(kafka, f->topic, starts, NULL, f->n, timeout_ms, take, f, &why);
	if (c == ERROR_ABORT && why.exit_code == EXIT_LATER)
		return error_set(e, c, EXIT_LATER, "topic %s is missing, which says what accounts have contracts and packs: create it (retention.ms=-1, "
				 "cleanup.policy=delete; one partition does), then start again", f->topic);
	return c == ERROR_NONE ? c : error_set(e, c, why.exit_code, "%s", why.text);
}

const struct account_book *accounts_feed_book(const struct accounts_feed *f)
{
	return f->book;
}

int32_t accounts_feed_offsets(const struct accounts_feed *f, const int64_t **ret)
{
	*ret = f->next;
	return f->n;
}

void accounts_feed_numbers(const struct accounts_feed *f, struct accounts_feed_numbers *ret)
{
	*ret = f->numbers;
}
