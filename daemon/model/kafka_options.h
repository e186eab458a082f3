// SPDX-License-Identifier: Apache-2.0
// How to reach Kafka, and the names of the topics. Strings are owned by the configuration and live as long as the process.
#ifndef MODEL_KAFKA_OPTIONS_H
#define MODEL_KAFKA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum kafka_security { KAFKA_PLAINTEXT, KAFKA_SSL, KAFKA_SASL_PLAINTEXT, KAFKA_SASL_SSL };
enum kafka_mechanism { KAFKA_PLAIN, KAFKA_SCRAM_SHA_256, KAFKA_SCRAM_SHA_512 };

struct kafka_options {
	const char *bootstrap;             // host:port,host:port
	enum kafka_security security;
	enum kafka_mechanism mechanism;    // with SASL
	const char *user, *password_file;  // with SASL; the password never stands in here
	const char *ca_file, *cert_file, *key_file; // with TLS; NULL: none
	const char *group;                 // consumer group, and instance group in `source` of what is published
	const char *const *input_topics;   // NULL-terminated, at least one
	const char *alerts_topic, *settlements_topic, *control_topic, *accounts_topic, *dlq_topic;
	int session_timeout_ms;            // group.instance.id members are thrown out after this
	int fetch_max_bytes;               // fetch.message.max.bytes per partition: 524288 is the fastest measured
	int queued_max_kbytes;             // queued.max.messages.kbytes
	bool embedded;                     // librdkafka's mock cluster: no DescribeConfigs, no offsets by time
};

#endif
