// SPDX-License-Identifier: Apache-2.0
#include "sink/kafka_send.h"

#include "base/check.h"

bool kafka_err_is_refusal(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
		return true;
	default:
		return false;
	}
}

static rd_kafka_headers_t *headers_of(const struct message *m)
{
	rd_kafka_headers_t *h = rd_kafka_headers_new(m->n_headers);
	for (uint32_t i = 0; i < m->n_headers; i++) {
		const struct header *one = &m->headers[i];
		check(rd_kafka_header_add(h, one->name.p, (ssize_t)one->name.n, one->value.p, (ssize_t)one->value.n) ==
		      RD_KAFKA_RESP_ERR_NO_ERROR);
	}
	return h;
}

rd_kafka_resp_err_t kafka_send(rd_kafka_t *rk, const struct message *m, int flags, void *opaque)
{
	rd_kafka_vu_t vu[9];
	size_t n = 0;
	rd_kafka_headers_t *headers = m->n_headers > 0 ? headers_of(m) : NULL;
	vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = m->topic };
	vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_PARTITION,
				   .u.i32 = m->partition >= 0 ? m->partition : RD_KAFKA_PARTITION_UA };
	vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = flags };
	vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { (void *)(uintptr_t)m->key.p, m->key.n } };
	vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { (void *)(uintptr_t)m->value.p, m->value.n } };
	vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque };
	if (m->timestamp_ms != 0)
		vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = m->timestamp_ms };
	if (headers != NULL)
		vu[n++] = (rd_kafka_vu_t){ .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers };
	rd_kafka_error_t *e = rd_kafka_produceva(rk, vu, n);
	if (e == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_resp_err_t err = rd_kafka_error_code(e);
	rd_kafka_error_destroy(e);
	if (headers != NULL)
		rd_kafka_headers_destroy(headers);
	return err;
}
