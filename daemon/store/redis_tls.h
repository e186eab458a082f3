// SPDX-License-Identifier: Apache-2.0
// TLS around a connection to Redis. Needs hiredis-ssl; a build without it refuses rediss:// (STORE_NO_TLS). The server's certificate is checked
// always, its name or address too, which hiredis itself leaves out. Certificates and key are read once, when the store is opened.
#ifndef STORE_REDIS_TLS_H
#define STORE_REDIS_TLS_H

#include <hiredis/hiredis.h>

#include "store/store.h"

struct redis_tls;

// ERROR_ABORT 78 names the file that cannot be used, or says that this build has no TLS.
enum error_class redis_tls_new(const struct store_options *o, struct redis_tls **ret, struct error *e);
void redis_tls_free(struct redis_tls *t); // NULL is fine
// The handshake on a connection that was just made, within its time-out. ERROR_RETRY says what was wrong; then the connection is useless.
enum error_class redis_tls_begin(struct redis_tls *t, redisContext *c, const char *host, struct error *e);

#endif
