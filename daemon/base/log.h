// SPDX-License-Identifier: Apache-2.0
// One line an event: level, event name, key=value pairs. Values with blanks or quotes are quoted. Thread-safe: a
// line is one write(). No account numbers and no secrets in log lines. Events are listed in tbl/log.def, where their message ids and
// the catalogue of `journalctl -x` come from.
//
//	log_line(LVL_WARN, "redis_away", "retry_ms=%d why=%s", ms, log_quote(why, buf, sizeof(buf)));
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <sys/uio.h>

enum log_level { LVL_DEBUG, LVL_INFO, LVL_WARN, LVL_ERROR };

void log_set_level(enum log_level least);
void log_line(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// `"text"` with quotes, backslashes and control characters escaped; cut to the buffer. Returns buf.
const char *log_quote(const char *text, char *buf, size_t size);

// The id of an event's row in tbl/log.def; NULL: it has none.
const char *log_message_id(const char *event);
// `key=value key="quoted value"` as journal fields METERD_KEY=value; returns how many. They point into buf.
int log_fields(const char *pairs, char *buf, size_t size, struct iovec *ret, int most);

#endif
