// SPDX-License-Identifier: Apache-2.0
#include "outbox/envelope.h"

#include "base/digest.h"
#include "outbox/outbox.h"

bool envelope_begin(struct writer *w, const char *id, const char *source, const char *type, struct span subject, int64_t time_ms)
{
	write_object(w, NULL);
	write_text(w, "specversion", "1.0");
	write_text(w, "id", id);
	write_text(w, "source", source);
	write_text(w, "type", type);
	if (!write_bytes(w, "subject", subject))
		return false;
	write_time(w, "time", time_ms);
	write_text(w, "datacontenttype", "application/json");
	write_object(w, "data");
	return true;
}

struct span envelope_end(struct writer *w)
{
	write_object_end(w);
	write_object_end(w);
	return writer_end(w);
}

void identity_id(struct span identity, char ret_id[33])
{
	char whole[DIGEST_SHA256_TEXT];
	digest_sha256_text(identity, whole);
	memcpy(ret_id, whole, 32);
	ret_id[32] = '\0';
}
