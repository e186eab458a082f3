// SPDX-License-Identifier: Apache-2.0
// One line an event: level, event name, key=value pairs. Values with blanks or quotes are quoted. Thread-safe: a
// line is one write(). No account numbers and no secrets in log lines.
//
//	log_line(LVL_WARN, "redis_away", "retry_ms=%d why=%s", ms, log_quote(why, buf, sizeof(buf)));
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

enum log_level { LVL_DEBUG, LVL_INFO, LVL_WARN, LVL_ERROR };

void log_set_level(enum log_level least);
void log_line(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// `"text"` with quotes, backslashes and control characters escaped; cut to the buffer. Returns buf.
const char *log_quote(const char *text, char *buf, size_t size);

#endif
