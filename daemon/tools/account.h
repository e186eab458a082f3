// SPDX-License-Identifier: Apache-2.0
// meterctl account: what its parts share. account.c reads the command line, account_write.c makes an event and produces it,
// account_read.c judges files and lists the topic.
#ifndef TOOLS_ACCOUNT_H
#define TOOLS_ACCOUNT_H

#include <jansson.h>

#include "account/account.h"
#include "sink/sink.h"
#include "tools/kafka_args.h"
#include "tools/lines.h"
#include "tools/options.h"

struct account_tool {
	struct options options;
	struct kafka_args kafka;
	struct rules *rules; // with a configuration: its price book
	const char **words;  // behind the part's own name
	int n_words;
	bool dry_run, as_log;
	const char *time, *id, *services, *price, *warn, *start, *expiry, *from, *bootstrap;
	int64_t calls, version;
};

// Exit codes.
int account_write(struct account_tool *t, const char *part);
int account_check(struct account_tool *t);
int account_list(struct account_tool *t);

// Kafka, and the price book where there is a configuration. OPTIONS_GO_ON or an exit code.
int account_open(struct account_tool *t);
// The whole topic, in the order of each partition. `refused` (may be NULL) sees what was not taken; its account is NULL where the record
// could not be read. OPTIONS_GO_ON or an exit code.
typedef void account_refused_fn(void *ctx, struct span account, const struct topic_record *r, const struct account_fault *fault);
int account_read_topic(struct account_tool *t, struct account_book *book, account_refused_fn *refused, void *ctx);
// "`video` is not in the price book" for names that it does not have, separated by commas; empty where there are none or no book.
const char *account_unknown_services(const struct account_tool *t, const struct account_fact *f, char *buf, size_t size);
const char *account_kind_text(const struct account_fact *f); // "pack.cancelled"

#endif
