// SPDX-License-Identifier: Apache-2.0
// Faults stand in the order of the file, whatever the order in which checks found them. What is printed is safe for a
// terminal: control characters and broken UTF-8 of a hostile file become '?'. At most FAULTS_MOST are kept.
#include "base/fault.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

enum { FAULTS_MOST = 1000, TEXT_MOST = 1000, SHOWN_BEFORE = 100, SHOWN_AFTER = 60 };

// Control characters, byte order marks, and what turns the direction of writing.
static bool unprintable(uint32_t c)
{
	return (c < 0x20 && c != '\t') || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

// What is replaced by one '?' keeps its length: the rest of its bytes are broken UTF-8, and replaced too.
static void make_printable(char *s)
{
	size_t n = strlen(s);
	uint32_t c = 0;
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_next(s + i, n - i, &c);
		if (len == 0 || c == '\t' || unprintable(c)) {
			s[i] = '?';
			len = 1;
		}
	}
}

const char *text_shown(struct span s, char *ret, size_t size)
{
	size_t out = 0;
	uint32_t c = 0;
	for (size_t i = 0, len; i < s.n; i += len) {
		len = utf8_next(s.p + i, s.n - i, &c);
		bool bad = len == 0 || c == '\t' || unprintable(c);
		size_t n = bad ? 1 : len;
		if (out + n + 1 > size)
			break;
		memcpy(ret + out, bad ? "?" : s.p + i, n);
		out += n;
		len = len != 0 ? len : 1;
	}
	ret[out] = '\0';
	return ret;
}

// Behind all of the same file that stand earlier in it; what has no place stands where it was found.
static size_t fault_rank(const struct faults *f, const struct fault *new)
{
	size_t i = f->n;
	while (i > 0 && new->line > 0) {
		const struct fault *before = &f->list[i - 1];
		bool same = strcmp(before->file, new->file) == 0;
		bool later = before->line > new->line || (before->line == new->line && before->column > new->column);
		if (!same || !later)
			break;
		i--;
	}
	return i;
}

void fault_add(struct faults *f, const char *file, int line, int column, const char *fmt, ...)
{
	check(line >= 0 && column >= 0);
	if (f->n > FAULTS_MOST)
		return;
	char text[TEXT_MOST];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check(n >= 0);
	make_printable(text);
	struct fault new = { .file = xstrdup(file), .line = line, .column = column };
	bool last = f->n == FAULTS_MOST;
	if (last)
		new.line = new.column = 0;
	new.text = xstrdup(last ? "more errors than are listed here: mend these first" : text);
	f->list = xrealloc(f->list, f->n + 1, sizeof(*f->list));
	size_t at = fault_rank(f, &new);
	memmove(f->list + at + 1, f->list + at, (f->n - at) * sizeof(*f->list));
	f->list[at] = new;
	f->n++;
}

bool faults_full(const struct faults *f)
{
	return f->n > FAULTS_MOST;
}

// The line with this number; p NULL when the text has no such line.
static struct span line_of(struct span text, int line)
{
	const char *p = text.p, *end = text.p + text.n;
	for (int i = 1; i < line; i++) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (p == NULL)
			return (struct span){ NULL, 0 };
		p++;
	}
	const char *stop = memchr(p, '\n', (size_t)(end - p));
	size_t n = (size_t)((stop != NULL ? stop : end) - p);
	if (n > 0 && p[n - 1] == '\r')
		n--;
	return (struct span){ p, n };
}

static bool is_wide(uint32_t c)
{
	return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
	       (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) || (c >= 0x1f300 && c <= 0x3fffd);
}

static void print_blanks(uint32_t c, FILE *to)
{
	fputs(c == '\t' ? "\t" : is_wide(c) ? "  " : " ", to);
}

// The line and a caret below its `column`-th character; of a very long line only what is near.
static void print_source(struct span line, int column, FILE *to)
{
	CLEANUP(freep) char *caret = NULL;
	size_t caret_n = 0;
	FILE *under = xmemstream(&caret, &caret_n);
	fputs("    ", to);
	fputs("    ", under);
	uint32_t c = 0;
	int at = 1;
	for (size_t i = 0, len; i < line.n && at <= column + SHOWN_AFTER; i += len, at++) {
		len = utf8_next(line.p + i, line.n - i, &c);
		bool bad = len == 0 || unprintable(c);
		if (len == 0)
			len = 1;
		if (at < column - SHOWN_BEFORE)
			continue;
		if (bad)
			fputc('?', to);
		else
			fwrite(line.p + i, 1, len, to);
		if (at < column)
			print_blanks(bad ? '?' : c, under);
	}
	fputs("\n", to);
	xmemstream_close(under);
	fprintf(to, "%s^\n", caret);
}

void faults_print(const struct faults *f, struct span text, FILE *to)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct fault *x = &f->list[i];
		if (x->line == 0) {
			fprintf(to, "%s: error: %s\n", x->file, x->text);
			continue;
		}
		fprintf(to, "%s:%d:%d: error: %s\n", x->file, x->line, x->column, x->text);
		struct span line = text.p != NULL ? line_of(text, x->line) : (struct span){ NULL, 0 };
		if (line.p != NULL)
			print_source(line, x->column, to);
	}
}

void faults_free(struct faults *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->list[i].file);
		free(f->list[i].text);
	}
	free(f->list);
	*f = (struct faults){ 0 };
}
