// SPDX-License-Identifier: Apache-2.0
// meterctl broker: librdkafka's mock cluster as a process, for the demo and for fast tests. Not a Kafka: it lives in memory, keeps
// at most 5 MiB or 100,000 batches a partition, knows neither settings of topics nor offsets by time, and its transactions
// are an illusion. It listens on 127.0.0.1 only, on a port of its own choice.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/check.h"
#include "base/error.h"
#include "base/span.h"
#include "model/kafka_conf.h"
#include "tools/stop.h"
#include "tools/tools.h"

static const char usage[] =
	"usage: meterctl broker [--topic NAME:PARTITIONS]…\n"
	"  An embedded Kafka stand-in on 127.0.0.1 for demos, until SIGINT or SIGTERM. Prints KAFKA_BOOTSTRAP=HOST:PORT.\n"
	"  In memory; at most 5 MiB or 100,000 batches a partition, older ones are dropped. Never for bills.\n";

static int usage_error(const char *why)
{
	fprintf(stderr, "meterctl broker: %s\n%s", why, usage);
	return EXIT_USAGE_ERR;
}

static bool create_topic(rd_kafka_mock_cluster_t *m, const char *arg)
{
	const char *colon = strrchr(arg, ':');
	int64_t n;
	if (colon == NULL || colon == arg || !span_int64(span_of(colon + 1), &n) || n < 1 || n > 1000)
		return false;
	CLEANUP(freep) char *name = xstrndup(arg, (size_t)(colon - arg));
	return rd_kafka_mock_topic_create(m, name, (int)n, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

// The mock leaves Nagle's algorithm on: with two answers under way the second waits for an acknowledgement that the client delays by
// 40 ms, in every transaction. Accepted sockets inherit the option from the one that listens, which only its port tells from others.
static void send_at_once(const char *bootstrap)
{
	const char *colon = strrchr(bootstrap, ':');
	struct rlimit most;
	int64_t port;
	check(colon != NULL && span_int64(span_of(colon + 1), &port) && getrlimit(RLIMIT_NOFILE, &most) == 0);
	for (int fd = 0; fd < 1024 && (rlim_t)fd < most.rlim_cur; fd++) {
		struct sockaddr_in at = { 0 };
		socklen_t n = sizeof(at);
		if (getsockname(fd, (struct sockaddr *)&at, &n) == 0 && at.sin_family == AF_INET && ntohs(at.sin_port) == port)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	}
}

static int serve(rd_kafka_t *rk, int argc, char **argv)
{
	rd_kafka_mock_cluster_t *m = rd_kafka_mock_cluster_new(rk, 1);
	if (m == NULL) {
		fprintf(stderr, "meterctl broker: no port can be opened on 127.0.0.1\n");
		return EXIT_LATER;
	}
	send_at_once(rd_kafka_mock_cluster_bootstraps(m));
	int code = EXIT_DONE;
	for (int i = 1; i + 1 < argc && code == EXIT_DONE; i += 2)
		if (!create_topic(m, argv[i + 1]))
			code = usage_error("--topic takes NAME:PARTITIONS, each name once, 1 to 1000 partitions");
	if (code == EXIT_DONE) {
		printf("KAFKA_BOOTSTRAP=%s\n", rd_kafka_mock_cluster_bootstraps(m));
		fflush(stdout);
		while (!stop_wait(1000))
			rd_kafka_poll(rk, 0);
	}
	rd_kafka_mock_cluster_destroy(m);
	return code;
}

int tool_broker(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	for (int i = 1; i < argc; i += 2)
		if (strcmp(argv[i], "--topic") != 0 || i + 1 == argc)
			return usage_error("only --topic NAME:PARTITIONS is understood");
	stop_block();
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, kafka_conf_log);
	rd_kafka_conf_set(conf, "log_level", "4", why, sizeof(why)); // that it has no brokers to go to is as it should be
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why)); // hosts the cluster, produces nothing
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		fprintf(stderr, "meterctl broker: %s\n", why);
		return EXIT_DEFECT;
	}
	int code = serve(rk, argc, argv);
	rd_kafka_destroy(rk);
	return code;
}
