// SPDX-License-Identifier: Apache-2.0
// Under journald every line starts with <priority>, which is what the service manager reads; elsewhere with the time.
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static atomic_int log_least = LVL_INFO;

void log_set_level(enum log_level least)
{
	atomic_store(&log_least, (int)least);
}

static int log_prefix(char *buf, size_t size, enum log_level level)
{
	static const char *const names[] = { "debug", "info", "warning", "error" };
	static const int priority[] = { 7, 6, 4, 3 };
	if (getenv("JOURNAL_STREAM") != NULL)
		return snprintf(buf, size, "<%d>level=%s", priority[level], names[level]);
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	return snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s", tm.tm_year + 1900, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, names[level]);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	if ((int)level < atomic_load_explicit(&log_least, memory_order_relaxed))
		return;
	char line[4096];
	int n = log_prefix(line, sizeof(line), level);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " event=%s ", event);
	va_list ap;
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	size_t len = (size_t)n + (m < 0 ? 0 : (size_t)m);
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, len);
	(void)ignored;
}

const char *log_quote(const char *text, char *buf, size_t size)
{
	size_t n = 0;
	buf[n++] = '"';
	for (const char *c = text; *c != '\0' && n + 4 < size; c++) {
		if (*c == '"' || *c == '\\')
			buf[n++] = '\\';
		if (*c == '\n' || *c == '\r' || *c == '\t')
			buf[n++] = ' ';
		else if ((unsigned char)*c >= 0x20)
			buf[n++] = *c;
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}
