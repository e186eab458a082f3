// SPDX-License-Identifier: Apache-2.0
// A Redis of the test's own, on a Unix socket, the first price book, and a store with four shards.
#ifndef TESTS_REDIS_TEST_H
#define TESTS_REDIS_TEST_H

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "store/redis.h"
#include "store/store.h"

static char dir[64], url[160];
static pid_t server;
static struct catalog *catalog;
static uint32_t tag_service;
static struct store *store;

#ifdef REDIS_TWIN
#include "redis.h"

static inline void server_start(void)
{
	redis_twin_clear(); // a test may begin again
}

static inline void server_stop(void)
{
	(void)server;
}
#else
static inline void server_start(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/s", dir);
	server = fork();
	if (server == 0) {
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(126);
		// everysec puts a write off for up to two seconds while the disk is slow with the last fsync: a kill would lose it.
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--dir", dir, "--appendonly", "yes", "--appendfsync",
		       "always", "--save", "", (char *)NULL);
		_exit(127);
	}
}

static inline void server_stop(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}
#endif

static inline struct store *open_store(void)
{
	struct store *s = NULL;
	struct error e = { 0 };
	struct store_options o = { .url = url, .prefix = "t:", .shards = 4, .timeout_ms = 2000 };
	cr_assert_eq(store_redis_open(&o, &s, &e), ERROR_NONE, "%s", e.text);
	enum error_class cls;
	while ((cls = s->ops->verify(s, &e)) == ERROR_RETRY) // until the server has started
		e = (struct error){ 0 };
	cr_assert_eq(cls, ERROR_NONE, "%s", e.text);
	return s;
}

static inline void setup(void)
{
	struct faults faults = { 0 };
	struct error e = { 0 };
	char *text = NULL;
	size_t n = 0;
	FILE *f = fopen(SOURCE_DIR "/config/catalog.yaml", "r");
	cr_assert(f != NULL);
	cr_assert(getdelim(&text, &n, '\0', f) > 0);
	fclose(f);
	catalog = catalog_parse("catalog.yaml", span_of(text), &faults);
	cr_assert(catalog != NULL);
	free(text);
	cr_assert(catalog_find_id(catalog, SPAN_LIT("image-tag"), &tag_service));
	snprintf(dir, sizeof(dir), "%s/meterd-store-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : P_tmpdir);
	cr_assert(mkdtemp(dir) != NULL);
	snprintf(url, sizeof(url), "unix://%s/s", dir);
	server_start();
	store = open_store();
	for (uint32_t s = 0; s < 4; s++)
		cr_assert_eq(store->ops->create(store, s, "init1", &e), ERROR_NONE, "%s", e.text);
	store->ops->identity(store, "init1", 1);
	for (uint32_t s = 0; s < 4; s++)
		cr_assert_eq(store->ops->register_rules(store, s, 1, &e), ERROR_NONE, "%s", e.text);
}

static inline void teardown(void)
{
	store->ops->close(store);
	server_stop();
	catalog_freep(&catalog);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

#endif
