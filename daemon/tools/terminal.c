// SPDX-License-Identifier: Apache-2.0
#include "tools/terminal.h"

#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static bool is_set(const char *name)
{
	const char *v = getenv(name);
	return v != NULL && v[0] != '\0';
}

bool terminal_is(FILE *f)
{
	return is_set("TERM") && strcmp(getenv("TERM"), "dumb") != 0 && isatty(fileno(f));
}

bool terminal_colours(FILE *f)
{
	return terminal_is(f) && !is_set("NO_COLOR");
}

int terminal_columns(FILE *f)
{
	struct winsize w = { 0 };
	return ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : TERMINAL_COLUMNS;
}

int terminal_rows(FILE *f)
{
	struct winsize w = { 0 };
	return ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_row > 0 ? w.ws_row : TERMINAL_ROWS;
}

static int width_here(const char *s)
{
	int width = 0;
	mbstate_t state = { 0 };
	wchar_t c;
	for (size_t len; *s != '\0'; s += len) {
		len = mbrtowc(&c, s, MB_LEN_MAX, &state);
		if (len == (size_t)-1 || len == (size_t)-2 || len == 0)
			return width + 1;
		int w = wcwidth(c);
		width += w > 0 ? w : 0;
	}
	return width;
}

int terminal_width(const char *text)
{
	const char *c = text;
	while (*c >= ' ' && *c < 0x7f)
		c++;
	if (*c == '\0')
		return (int)(c - text);
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
	int width = width_here(text);
	if (utf8 != (locale_t)0) {
		uselocale(before);
		freelocale(utf8);
	}
	return width;
}

void terminal_cut(char *text, size_t size, int columns)
{
	static const char dots[] = "…";
	size_t n = strlen(text);
	if (terminal_width(text) <= columns)
		return;
	while (n > 0 && (terminal_width(text) >= columns || n + sizeof(dots) > size)) {
		do
			n--;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80); // not in the middle of a character
		text[n] = '\0';
	}
	snprintf(text + n, size - n, "%s", dots);
}
