// SPDX-License-Identifier: Apache-2.0
// Under journald (stderr is its socket, see $JOURNAL_STREAM) a line goes there with its pairs as fields, METERD_<KEY>, and the message
// id of its event; elsewhere to stderr with the time. A journal that does not take it gets the plain line over stderr.
#include "base/log.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum { LINE_MAX_BYTES = 4096, FIELDS_MOST = 24 };

static const char *const log_names[] = { "debug", "info", "warning", "error" };
static const int log_priority[] = { 7, 6, 4, 3 };
static atomic_int log_least = LVL_INFO;

static const struct {
	const char *event, *id;
} log_ids[] = {
#define LOG(event, id, ...) { event, id },
#include "tbl/log.def"
#undef LOG
};

const char *log_message_id(const char *event)
{
	for (size_t i = 0; i < ARRAY_LEN(log_ids); i++)
		if (strcmp(log_ids[i].event, event) == 0)
			return log_ids[i].id;
	return NULL;
}

void log_set_level(enum log_level least)
{
	atomic_store(&log_least, (int)least);
}

// ---- fields

// One pair at *at: the field as NAME=value into *to (which has room for it), *at moves behind it. False: no more pairs.
static bool next_field(const char **at, char **to, char *end)
{
	const char *p = *at + strspn(*at, " "), *key = p;
	char *out = *to;
	while (islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_')
		p++;
	if (p == key || *p != '=' || end - out < (ptrdiff_t)(strlen(key) + sizeof("METERD_")))
		return false;
	out += snprintf(out, (size_t)(end - out), "METERD_");
	for (; key < p; key++)
		*out++ = (char)toupper((unsigned char)*key);
	*out++ = *p++;
	bool quoted = *p == '"';
	p += quoted;
	while (*p != '\0' && *p != (quoted ? '"' : ' ')) {
		p += quoted && *p == '\\' && p[1] != '\0';
		*out++ = *p++;
	}
	*at = p + (quoted && *p == '"');
	*out++ = '\0';
	*to = out;
	return true;
}

int log_fields(const char *pairs, char *buf, size_t size, struct iovec *ret, int most)
{
	char *to = buf;
	int n = 0;
	while (n < most) {
		char *from = to;
		if (!next_field(&pairs, &to, buf + size))
			break;
		ret[n++] = (struct iovec){ from, (size_t)(to - from) - 1 };
	}
	return n;
}

// ---- where it goes

// JOURNAL_STREAM names the device and inode that the manager connected: still ours, or has somebody redirected it?
static bool under_journald(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char text[64];
	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(text, sizeof(text), "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(text, stream) == 0;
}

static void field(struct iovec *iov, int *n, char *text)
{
	iov[(*n)++] = (struct iovec){ text, strlen(text) };
}

static bool to_journal(enum log_level level, const char *event, const char *pairs)
{
	struct iovec iov[FIELDS_MOST + 6];
	char message[LINE_MAX_BYTES], priority[16], id[64], name[80], buf[2 * LINE_MAX_BYTES];
	int n = 0;
	snprintf(message, sizeof(message), "MESSAGE=%s %s", event, pairs);
	snprintf(priority, sizeof(priority), "PRIORITY=%d", log_priority[level]);
	snprintf(name, sizeof(name), "METERD_EVENT=%s", event);
	field(iov, &n, message);
	field(iov, &n, priority);
	field(iov, &n, name);
	const char *known = log_message_id(event);
	if (known != NULL) {
		snprintf(id, sizeof(id), "MESSAGE_ID=%s", known);
		field(iov, &n, id);
	}
	char identifier[] = "SYSLOG_IDENTIFIER=meterd";
	field(iov, &n, identifier);
	n += log_fields(pairs, buf, sizeof(buf), iov + n, FIELDS_MOST);
	return sd_journal_sendv(iov, n) == 0;
}

static int prefix(char *buf, size_t size, enum log_level level, bool journal)
{
	if (journal)
		return snprintf(buf, size, "<%d>level=%s", log_priority[level], log_names[level]);
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	return snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s", tm.tm_year + 1900, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, log_names[level]);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	if ((int)level < atomic_load_explicit(&log_least, memory_order_relaxed))
		return;
	char pairs[LINE_MAX_BYTES - 128], line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(pairs, sizeof(pairs), fmt, ap) < 0)
		pairs[0] = '\0';
	va_end(ap);
	bool journal = under_journald();
	if (journal && to_journal(level, event, pairs))
		return;
	int n = prefix(line, sizeof(line), level, journal);
	int m = snprintf(line + n, sizeof(line) - (size_t)n - 1, " event=%s %s", event, pairs);
	size_t len = (size_t)n + (size_t)m;
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
