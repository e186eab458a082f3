// SPDX-License-Identifier: Apache-2.0
// Preloaded into a program: librdkafka goes silent while a file is there. DEAF_RECORDS names the one with which no consumer gets anything;
// DEAF_COMMIT the one with which no transaction ends; who waits for that makes another file, of that name and .met. Everything else of the client goes on:
// this is what a hang inside it looks like.
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static bool there(const char *variable)
{
	const char *file = getenv(variable);
	return file != NULL && access(file, F_OK) == 0;
}

static void met(const char *variable)
{
	char name[4096];
	snprintf(name, sizeof(name), "%s.met", getenv(variable));
	FILE *f = fopen(name, "a");
	if (f != NULL)
		fclose(f);
}

static void rest(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

ssize_t rd_kafka_consume_batch_queue(rd_kafka_queue_t *q, int timeout_ms, rd_kafka_message_t **m, size_t size)
{
	static ssize_t (*real)(rd_kafka_queue_t *, int, rd_kafka_message_t **, size_t);
	if (real == NULL)
		real = (ssize_t (*)(rd_kafka_queue_t *, int, rd_kafka_message_t **, size_t))dlsym(RTLD_NEXT, "rd_kafka_consume_batch_queue");
	if (!there("DEAF_RECORDS"))
		return real(q, timeout_ms, m, size);
	rest(timeout_ms > 0 ? timeout_ms : 1);
	return 0;
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
	static rd_kafka_error_t *(*real)(rd_kafka_t *, int);
	if (real == NULL)
		real = (rd_kafka_error_t * (*)(rd_kafka_t *, int))dlsym(RTLD_NEXT, "rd_kafka_commit_transaction");
	while (there("DEAF_COMMIT")) {
		met("DEAF_COMMIT");
		rest(20);
	}
	return real(rk, timeout_ms);
}
