// SPDX-License-Identifier: Apache-2.0
// What every librdkafka client of ours is made with: the brokers, the log line, and the pairs of one table. Header only, for the
// rooms source and sink and for tools that link librdkafka themselves.
#ifndef MODEL_KAFKA_CONF_H
#define MODEL_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "model/kafka_options.h"

struct kafka_pair {
	const char *name, *value;
};

// @thread called from librdkafka's threads; log_line is safe there.
static inline void kafka_conf_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	char text[1024];
	(void)rk;
	if (strcmp(fac, "FAIL") == 0 || strcmp(fac, "GETPID") == 0 || strcmp(fac, "COMMITFAIL") == 0)
		level = 7; // every attempt to reach what is away for now; the owner of the client logs the change of state
	log_line(level <= 3 ? LVL_WARN : level <= 5 ? LVL_INFO : LVL_DEBUG, "kafka_client", "part=%s why=%s", fac,
		 log_quote(buf, text, sizeof(text)));
}

static inline void kafka_conf_freep(rd_kafka_conf_t **c)
{
	if (*c != NULL)
		rd_kafka_conf_destroy(*c);
}

static inline void kafka_password_freep(char **p)
{
	if (*p != NULL)
		explicit_bzero(*p, strlen(*p));
	free(*p);
}

// Who we are, and what keeps others from listening. The password goes from its file into librdkafka, and stays nowhere else.
static inline enum error_class kafka_conf_access(const struct kafka_options *o, rd_kafka_conf_t *c, struct error *e)
{
	static const char *const protocols[] = { "plaintext", "ssl", "sasl_plaintext", "sasl_ssl" };
	static const char *const mechanisms[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" };
	bool sasl = o->security == KAFKA_SASL_PLAINTEXT || o->security == KAFKA_SASL_SSL;
	bool tls = o->security == KAFKA_SSL || o->security == KAFKA_SASL_SSL;
	CLEANUP(kafka_password_freep) char *password = NULL;
	if (sasl && o->password_file != NULL) {
		enum error_class cls = file_read_password("kafka.password_file", o->password_file, &password, e);
		if (cls != ERROR_NONE)
			return cls;
	}
	const struct kafka_pair pairs[] = {
		{ "security.protocol", protocols[o->security] },
		{ "sasl.mechanism", sasl ? mechanisms[o->mechanism] : NULL },
		{ "sasl.username", sasl ? o->user : NULL },
		{ "sasl.password", password },
		{ "ssl.ca.location", tls ? o->ca_file : NULL },
		{ "ssl.certificate.location", tls ? o->cert_file : NULL },
		{ "ssl.key.location", tls ? o->key_file : NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		char why[512];
		if (pairs[i].value != NULL && rd_kafka_conf_set(c, pairs[i].name, pairs[i].value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
			return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "librdkafka refuses %s: %s", pairs[i].name,
					 strcmp(pairs[i].name, "sasl.password") == 0 ? "(not shown)" : why);
	}
	return ERROR_NONE;
}

// ERROR_ABORT 78 for the first pair that librdkafka refuses. `pairs` ends with a NULL name; pairs with a NULL value are skipped.
static inline enum error_class kafka_conf_make(const struct kafka_options *o, const struct kafka_pair *pairs,
					       rd_kafka_conf_t **ret, struct error *e)
{
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *c = rd_kafka_conf_new();
	const struct kafka_pair common[] = {
		{ "bootstrap.servers", o->bootstrap },
		{ "client.id", "meterd" },
		{ "socket.nagle.disable", "true" },
		{ "socket.keepalive.enable", "true" },
		{ "reconnect.backoff.ms", "50" },
		{ "reconnect.backoff.max.ms", "1000" },
		{ "log.connection.close", "false" },
		{ NULL, NULL },
	};
	const struct kafka_pair *const lists[] = { common, pairs };
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (const struct kafka_pair *p = lists[i]; p != NULL && p->name != NULL; p++) {
			char why[512];
			if (p->value != NULL && rd_kafka_conf_set(c, p->name, p->value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
				return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "librdkafka refuses %s=%s: %s", p->name,
						 p->value, why);
		}
	}
	enum error_class cls = kafka_conf_access(o, c, e);
	if (cls != ERROR_NONE)
		return cls;
	rd_kafka_conf_set_log_cb(c, kafka_conf_log);
	*ret = TAKE_PTR(c);
	return ERROR_NONE;
}

#endif
