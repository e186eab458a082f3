// SPDX-License-Identifier: Apache-2.0
#include "outbox/envelope.h"

#include "base/digest.h"
#include "outbox/outbox.h"

char *envelope(const char *id, const char *source, const char *type, const char *subject, int64_t time_ms, json_t *data)
{
	CLEANUP(json_freep) json_t *j = json_object();
	json_put(j, "specversion", json_string("1.0"));
	json_put(j, "id", json_string(id));
	json_put(j, "source", json_string(source));
	json_put(j, "type", json_string(type));
	json_put(j, "subject", json_string(subject));
	json_put(j, "time", json_time(time_ms));
	json_put(j, "datacontenttype", json_string("application/json"));
	json_put(j, "data", data);
	return json_compact(j);
}

void identity_id(struct span identity, char ret_id[33])
{
	char whole[DIGEST_SHA256_TEXT];
	digest_sha256_text(identity, whole);
	memcpy(ret_id, whole, 32);
	ret_id[32] = '\0';
}
