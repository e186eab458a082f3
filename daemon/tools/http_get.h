// SPDX-License-Identifier: Apache-2.0
// One GET to the daemon of this machine, over a socket of our own: at most 16 MiB, at most timeout_ms in all.
#ifndef TOOLS_HTTP_GET_H
#define TOOLS_HTTP_GET_H

#include "base/error.h"

// `listen` as in http.listen. ERROR_RETRY where nobody answers there, or not like the daemon. *ret_body is owned.
enum error_class http_get(const char *listen, const char *path, int timeout_ms, int *ret_code, char **ret_body, struct error *e);

#endif
