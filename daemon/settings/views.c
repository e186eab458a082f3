// SPDX-License-Identifier: Apache-2.0
// What other rooms see of the settings. They borrow from struct settings.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "settings/settings.h"

static const char *or_null(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

void settings_kafka(const struct settings *s, struct kafka_options *ret)
{
	*ret = (struct kafka_options){
		.bootstrap = s->kafka_bootstrap,
		.security = (enum kafka_security)s->kafka_security,
		.mechanism = (enum kafka_mechanism)s->kafka_sasl_mechanism,
		.user = or_null(s->kafka_user),
		.password_file = or_null(s->kafka_password_file),
		.ca_file = or_null(s->kafka_tls_ca_file),
		.cert_file = or_null(s->kafka_tls_cert_file),
		.key_file = or_null(s->kafka_tls_key_file),
		.group = s->kafka_group,
		.input_topics = (const char *const *)s->topics_input,
		.alerts_topic = s->topics_alerts,
		.settlements_topic = s->topics_settlements,
		.control_topic = s->topics_control,
		.accounts_topic = s->topics_accounts,
		.dlq_topic = s->topics_dlq,
		.session_timeout_ms = (int)s->kafka_session_timeout,
		.fetch_max_bytes = (int)s->kafka_fetch_max_bytes,
		.queued_max_kbytes = (int)(s->kafka_queued_max / 1024),
		.embedded = s->kafka_embedded,
	};
}

static enum error_class read_password(struct settings *s, struct error *e)
{
	char *text = NULL;
	enum error_class cls = file_read_password("redis.password_file", s->redis_password_file, &text, e);
	if (cls != ERROR_NONE)
		return cls;
	free(s->password);
	s->password = text;
	return ERROR_NONE;
}

enum error_class settings_store(struct settings *s, struct store_options *ret, struct error *e)
{
	if (s->redis_password_file[0] != '\0' && s->password == NULL) {
		enum error_class cls = read_password(s, e);
		if (cls != ERROR_NONE)
			return cls;
	}
	*ret = (struct store_options){
		.url = s->redis_url,
		.user = or_null(s->redis_user),
		.password = s->password,
		.ca_file = or_null(s->redis_tls_ca_file),
		.cert_file = or_null(s->redis_tls_cert_file),
		.key_file = or_null(s->redis_tls_key_file),
		.prefix = s->redis_prefix,
		.shards = (uint32_t)s->redis_shards,
		.timeout_ms = (int)s->redis_timeout,
	};
	return ERROR_NONE;
}

void settings_rules(const struct settings *s, struct rules_settings *ret)
{
	*ret = (struct rules_settings){
		.fields = { s->field_id, s->field_account, s->field_service, s->field_time, s->field_calls, s->field_status, s->field_items },
		.max_future_ms = s->event_max_future,
		.generation_bits = (unsigned)s->dedupe_generation_bits,
		.generations = (unsigned)s->dedupe_generations,
		.dedupe_max_age_ms = s->dedupe_max_age,
		.dedupe = s->dedupe_enabled,
		.close_grace_ms = s->close_grace,
		.clock = (enum clock_mode)s->clock,
		.lead_ms = s->rules_lead,
	};
}

const char *settings_state_dir(const struct settings *s)
{
	const char *of_unit = getenv("STATE_DIRECTORY");
	return strcmp(s->state_dir, ".") == 0 && of_unit != NULL && of_unit[0] == '/' && strchr(of_unit, ':') == NULL ? of_unit : s->state_dir;
}
