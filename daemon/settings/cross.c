// SPDX-License-Identifier: Apache-2.0
// What no single row can say: the form of names and addresses, and settings that contradict each other.
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "settings/row.h"

enum { PORT_MOST = 65535, DB_MOST = 9999 };

static void fault_at(struct reading *r, int row, const struct yaml_node *node, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void fault_at(struct reading *r, int row, const struct yaml_node *node, const char *fmt, ...)
{
	char text[800];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	const struct yaml_node *at = node != NULL ? node : r->at[row];
	fault_add(r->faults, r->file, at != NULL ? at->line : 0, at != NULL ? at->column : 0, "%s: %s", rows[row].path, text);
}

static bool kafka_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return s[n] == '\0' && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static void check_name(struct reading *r, int row, const struct yaml_node *node, const char *name)
{
	if (!kafka_name(name))
		fault_at(r, row, node, "\"%.60s\" is no name for Kafka: use letters, digits, '.', '_' and '-'", name);
}

// ---- topics

struct topic {
	int row;
	const struct yaml_node *node;
	const char *name;
};

// What is written must not be what is read, and no topic can hold two kinds of records.
static void check_topics(struct reading *r)
{
	static const int outputs[] = { ROW_OF_topics_alerts, ROW_OF_topics_settlements, ROW_OF_topics_control, ROW_OF_topics_accounts,
				       ROW_OF_topics_dlq };
	struct topic seen[64 + ARRAY_LEN(outputs)];
	size_t n = 0;
	const struct yaml_node *list = r->at[ROW_OF_topics_input];
	for (char **p = r->s->topics_input; *p != NULL; p++) {
		check(n < 64);
		seen[n] = (struct topic){ ROW_OF_topics_input, list != NULL ? list->items[n] : NULL, *p };
		n++;
	}
	for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
		seen[n++] = (struct topic){ outputs[i], NULL, *(char *const *)value_at(r->s, &rows[outputs[i]]) };
	for (size_t i = 0; i < n; i++) {
		check_name(r, seen[i].row, seen[i].node, seen[i].name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(seen[i].name, seen[j].name) == 0)
				fault_at(r, seen[i].row, seen[i].node, "\"%.60s\" is also %s: every kind of record needs a topic of its own",
					 seen[i].name, rows[seen[j].row].path);
	}
}

// ---- addresses

static bool good_port(struct span s, int64_t least)
{
	int64_t port = 0;
	return span_int64(s, &port) && port >= least && port <= PORT_MOST;
}

// "host:port", "[::1]:port". The host is not resolved: a name server that is away is no fault of the file.
static bool split_address(struct span s, struct span *host, struct span *port)
{
	const char *colon = memrchr(s.p, ':', s.n);
	if (colon == NULL || colon == s.p)
		return false;
	*host = (struct span){ s.p, (size_t)(colon - s.p) };
	*port = (struct span){ colon + 1, s.n - host->n - 1 };
	bool bracket = host->p[0] == '[';
	if (bracket && (host->n < 3 || host->p[host->n - 1] != ']'))
		return false;
	for (size_t i = 0; i < host->n; i++)
		if ((unsigned char)host->p[i] <= ' ' || strchr("/@,", host->p[i]) != NULL || (!bracket && host->p[i] == ':'))
			return false;
	return true;
}

static void check_bootstrap(struct reading *r)
{
	const char *p = r->s->kafka_bootstrap;
	for (;;) {
		size_t n = strcspn(p, ",");
		struct span host, port;
		if (!split_address((struct span){ p, n }, &host, &port) || !good_port(port, 1))
			fault_at(r, ROW_OF_kafka_bootstrap, NULL,
				 "\"%.*s\" is no broker: write host:port, several of them separated by commas without blanks", (int)n, p);
		if (p[n] == '\0')
			return;
		p += n + 1;
	}
}

static void check_listen(struct reading *r)
{
	const char *text = r->s->http_listen;
	struct span host, port;
	char ip[INET6_ADDRSTRLEN + 2] = "";
	struct in6_addr addr;
	if (text[0] == '\0')
		return;
	bool good = split_address(span_of(text), &host, &port) && host.n < sizeof(ip) && good_port(port, 0);
	bool six = good && host.p[0] == '[';
	if (good)
		snprintf(ip, sizeof(ip), "%.*s", (int)(six ? host.n - 2 : host.n), host.p + (six ? 1 : 0));
	if (!good || inet_pton(six ? AF_INET6 : AF_INET, ip, &addr) != 1)
		fault_at(r, ROW_OF_http_listen, NULL, "\"%.60s\" is no address to listen on: write it as 127.0.0.1:9464 or [::1]:9464", text);
}

static bool good_db(const char *s)
{
	int64_t db = 0;
	return span_int64(span_of(s), &db) && db >= 0 && db <= DB_MOST;
}

static bool good_redis_tcp(const char *rest)
{
	size_t n = strcspn(rest, "/");
	struct span host, port;
	bool db = rest[n] == '\0' || good_db(rest + n + 1);
	return db && split_address((struct span){ rest, n }, &host, &port) && good_port(port, 1);
}

static bool good_redis_unix(const char *rest)
{
	const char *query = strchr(rest, '?');
	bool path = rest[0] == '/' && rest[1] != '\0' && query != rest + 1;
	return path && (query == NULL || (strncmp(query, "?db=", 4) == 0 && good_db(query + 4)));
}

// Words that nothing would come of are mistakes: somebody believes that they protect something.
static void check_kafka_access(struct reading *r)
{
	const struct settings *s = r->s;
	bool sasl = s->kafka_security == KAFKA_SASL_PLAINTEXT || s->kafka_security == KAFKA_SASL_SSL;
	bool tls = s->kafka_security == KAFKA_SSL || s->kafka_security == KAFKA_SASL_SSL;
	if (sasl && (s->kafka_user[0] == '\0' || s->kafka_password_file[0] == '\0'))
		fault_at(r, ROW_OF_kafka_security, NULL, "it needs a user and a password: set kafka.user and kafka.password_file");
	if (!sasl && (s->kafka_user[0] != '\0' || s->kafka_password_file[0] != '\0'))
		fault_at(r, s->kafka_user[0] != '\0' ? ROW_OF_kafka_user : ROW_OF_kafka_password_file, NULL,
			 "nobody asks for it: set kafka.security to sasl_ssl");
	if (s->kafka_security == KAFKA_SASL_PLAINTEXT && s->kafka_sasl_mechanism == KAFKA_PLAIN)
		fault_at(r, ROW_OF_kafka_sasl_mechanism, NULL, "PLAIN sends the password as it is: set kafka.security to sasl_ssl");
	if (!tls && (s->kafka_tls_ca_file[0] != '\0' || s->kafka_tls_cert_file[0] != '\0' || s->kafka_tls_key_file[0] != '\0'))
		fault_at(r, ROW_OF_kafka_security, NULL, "certificates are set, but nothing is encrypted: set it to ssl or sasl_ssl");
	if ((s->kafka_tls_cert_file[0] != '\0') != (s->kafka_tls_key_file[0] != '\0'))
		fault_at(r, s->kafka_tls_cert_file[0] != '\0' ? ROW_OF_kafka_tls_cert_file : ROW_OF_kafka_tls_key_file, NULL,
			 "a certificate and its key go together: set kafka.tls_cert_file and kafka.tls_key_file");
}

static void check_redis(struct reading *r)
{
	const char *url = r->s->redis_url;
	bool tls = strncmp(url, "rediss://", 9) == 0, tcp = tls || strncmp(url, "redis://", 8) == 0, local = strncmp(url, "unix://", 7) == 0;
	if (tls && !store_redis_tls())
		fault_at(r, ROW_OF_redis_url, NULL, STORE_NO_TLS);
	else if (tcp && strchr(url, '@') != NULL)
		// No place, so that the line is not printed: it may hold the password.
		fault_add(r->faults, r->file, 0, 0, "redis.url: a user or password must not stand here: use redis.user and redis.password_file");
	else if (!(tcp && good_redis_tcp(url + (tls ? 9 : 8))) && !(local && good_redis_unix(url + 7)))
		fault_at(r, ROW_OF_redis_url, NULL, "\"%.80s\" is no Redis address: write redis://host:port/db or unix:///path?db=0", url);
	const char *prefix = r->s->redis_prefix;
	for (const char *p = prefix; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p > '~' || strchr("{}*?[]\\", *p) != NULL) {
			fault_at(r, ROW_OF_redis_prefix, NULL, "\"%.64s\" cannot begin a key: leave out blanks and any of {}*?[]\\", prefix);
			break;
		}
	if (r->s->redis_user[0] != '\0' && r->s->redis_password_file[0] == '\0')
		fault_at(r, ROW_OF_redis_user, NULL, "a user without a password: set redis.password_file too");
	const struct settings *s = r->s;
	if (!tls && (s->redis_tls_ca_file[0] != '\0' || s->redis_tls_cert_file[0] != '\0' || s->redis_tls_key_file[0] != '\0'))
		fault_at(r, ROW_OF_redis_url, NULL, "certificates are set, but nothing is encrypted: write rediss://host:port/db");
	if ((s->redis_tls_cert_file[0] != '\0') != (s->redis_tls_key_file[0] != '\0'))
		fault_at(r, s->redis_tls_cert_file[0] != '\0' ? ROW_OF_redis_tls_cert_file : ROW_OF_redis_tls_key_file, NULL,
			 "a certificate and its key go together: set redis.tls_cert_file and redis.tls_key_file");
}

// ---- settings that contradict each other

static void check_fields(struct reading *r)
{
	static const int fields[] = { ROW_OF_field_id,	 ROW_OF_field_account, ROW_OF_field_service, ROW_OF_field_time,
				      ROW_OF_field_calls, ROW_OF_field_status,	ROW_OF_field_items };
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		for (size_t j = 0; j < ARRAY_LEN(fields); j++) {
			const char *a = *(char *const *)value_at(r->s, &rows[fields[i]]);
			const char *b = *(char *const *)value_at(r->s, &rows[fields[j]]);
			bool mine = r->at[fields[i]] != NULL && (r->at[fields[j]] == NULL || j < i);
			if (i != j && mine && strcmp(a, b) == 0)
				fault_at(r, fields[i], NULL, "\"%.64s\" is also the name for %s: every field needs its own", a, rows[fields[j]].path);
		}
}

// The place where the reader can mend it: that of the first of the two settings that stands in the file.
static int place(const struct reading *r, int a, int b)
{
	return r->at[a] != NULL || r->at[b] == NULL ? a : b;
}

static void check_amounts(struct reading *r)
{
	struct settings *s = r->s;
	char a[AMOUNT_TEXT], b[AMOUNT_TEXT];
	if (s->dedupe_enabled && s->dedupe_max_age < s->close_grace)
		fault_at(r, place(r, ROW_OF_dedupe_max_age, ROW_OF_close_grace), NULL,
			 "dedupe.max_age (%s) is shorter than close.grace (%s): an event sent again while its month is open would count twice; raise the first or lower the second",
			 duration_text(s->dedupe_max_age, a), duration_text(s->close_grace, b));
	if (s->kafka_queued_max < s->kafka_fetch_max_bytes)
		fault_at(r, place(r, ROW_OF_kafka_queued_max, ROW_OF_kafka_fetch_max_bytes), NULL,
			 "kafka.queued_max (%s) is less than one fetch of kafka.fetch_max_bytes (%s): raise the first or lower the second",
			 bytes_text(s->kafka_queued_max, a), bytes_text(s->kafka_fetch_max_bytes, b));
	if (r->at[ROW_OF_flush_max_deltas] == NULL && s->flush_max_deltas > s->flush_max_events)
		s->flush_max_deltas = s->flush_max_events; // the default fits itself to what is said
	if (s->flush_max_deltas > s->flush_max_events)
		fault_at(r, ROW_OF_flush_max_deltas, NULL,
			 "flush.max_deltas (%lld) is more than flush.max_events (%lld), which never fill it: lower the first or raise the second",
			 (long long)s->flush_max_deltas, (long long)s->flush_max_events);
}

void cross_check(struct reading *r)
{
	check_name(r, ROW_OF_instance, NULL, r->s->instance);
	check_name(r, ROW_OF_kafka_group, NULL, r->s->kafka_group);
	check_topics(r);
	check_bootstrap(r);
	check_listen(r);
	check_redis(r);
	check_kafka_access(r);
	check_fields(r);
	check_amounts(r);
}
