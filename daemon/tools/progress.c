// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "tools/terminal.h"

enum {
	SILENT_US = 2000000,
	AGAIN_US = 200000,       // on a terminal
	PLAIN_US = 10000000,
	WINDOW_US = 5000000,
	BAR_LEAST = 10, BAR_MOST = 40,
	PARTS_MOST = 8,
	NUMBER = 32,
};

static const char *grouped(uint64_t v, char buf[NUMBER])
{
	char digits[NUMBER];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v), at = 0;
	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

static const char *span_text(uint64_t seconds, char buf[NUMBER])
{
	if (seconds < 60)
		snprintf(buf, NUMBER, "%d s", (int)seconds);
	else if (seconds < 3600)
		snprintf(buf, NUMBER, "%d min %02d s", (int)(seconds / 60), (int)(seconds % 60));
	else if (seconds < 360000)
		snprintf(buf, NUMBER, "%d h %02d min", (int)(seconds / 3600), (int)(seconds / 60 % 60));
	else
		snprintf(buf, NUMBER, "more than 99 h");
	return buf;
}

static uint64_t rate_of(const struct progress *p, int64_t now_us)
{
	int64_t took_us = now_us - p->old.at_us;
	uint64_t moved = p->done > p->old.done ? p->done - p->old.done : 0; // a second pass begins with less
	return took_us > 0 ? (uint64_t)((unsigned __int128)moved * 1000000 / (uint64_t)took_us) : 0;
}

// ---- the line

// "  43 %  1,234,567 of 2,870,000  213,000/s  8 s left"
static void figures(const struct progress *p, int64_t now_us, char *buf, size_t size)
{
	char done[NUMBER], all[NUMBER], each[NUMBER], left[NUMBER];
	uint64_t rate = rate_of(p, now_us);
	if (p->all == 0) {
		snprintf(buf, size, "%s  %s/s", grouped(p->done, done), grouped(rate, each));
		return;
	}
	int percent = (int)((unsigned __int128)p->done * 100 / p->all);
	size_t n = (size_t)snprintf(buf, size, "%3d %%  %s of %s  %s/s", percent, grouped(p->done, done), grouped(p->all, all), grouped(rate, each));
	if (rate > 0 && n < size)
		snprintf(buf + n, size - n, "  %s left", span_text((p->all - p->done + rate - 1) / rate, left));
}

static void bar(const struct progress *p, int width, char *buf)
{
	int full = (int)((unsigned __int128)p->done * (unsigned)width / p->all);
	*buf++ = '[';
	memset(buf, '#', (size_t)full);
	memset(buf + full, '-', (size_t)(width - full));
	memcpy(buf + width, "]  ", 4);
}

const char *progress_text(const struct progress *p, int64_t now_us, int columns, char *buf, size_t size)
{
	char numbers[200], drawn[BAR_MOST + 8] = "";
	figures(p, now_us, numbers, sizeof(numbers));
	int room = columns - (int)(strlen(p->what) + 2 + strlen(numbers)) - 4;
	if (p->all > 0 && room >= BAR_LEAST)
		bar(p, room < BAR_MOST ? room : BAR_MOST, drawn);
	if (room < -4) // not even the figures have room: what is left to do goes first
		snprintf(buf, size, "%.*s", columns > 0 ? columns : 0, numbers);
	else
		snprintf(buf, size, "%s  %s%s", p->what, drawn, numbers);
	return buf;
}

// ---- the partitions
static uint64_t left_of(const struct progress_part *p)
{
	return p->end > p->at ? (uint64_t)(p->end - p->at) : 0;
}

// One of the `most` that have most left; of equals the first ones.
static bool is_slow(const struct progress *p, uint32_t i, uint32_t most)
{
	uint64_t left = left_of(&p->parts[i]);
	uint32_t before = 0;
	for (uint32_t k = 0; k < p->n_parts && before < most; k++) {
		uint64_t other = left_of(&p->parts[k]);
		before += k < i ? other >= left : other > left;
	}
	return before < most;
}

static int name_width(const struct progress *p, uint32_t most)
{
	size_t width = 0;
	for (uint32_t i = 0; i < p->n_parts; i++)
		if (is_slow(p, i, most) && strlen(p->parts[i].name) > width)
			width = strlen(p->parts[i].name);
	return (int)width;
}

// Returns the number of lines, each begun with the end of the one above.
static int write_parts(const struct progress *p, int columns, int rows)
{
	char at[NUMBER], end[NUMBER], left[NUMBER], line[400];
	uint32_t most = rows < 4 ? 0 : rows - 3 < PARTS_MOST ? (uint32_t)rows - 3 : PARTS_MOST, more = 0;
	int lines = 0, width = name_width(p, most);
	uint64_t more_left = 0;
	for (uint32_t i = 0; i < p->n_parts && most > 0; i++) {
		const struct progress_part *q = &p->parts[i];
		if (!is_slow(p, i, most)) {
			more++;
			more_left += left_of(q);
			continue;
		}
		snprintf(line, sizeof(line), "  %-*s  %s of %s, %s left", width, q->name, grouped((uint64_t)q->at, at), grouped((uint64_t)q->end, end),
			 grouped(left_of(q), left));
		fprintf(p->to, "\n%.*s", columns, line);
		lines++;
	}
	if (more > 0) {
		snprintf(line, sizeof(line), "  and %" PRIu32 " more, %s left", more, grouped(more_left, left));
		fprintf(p->to, "\n%.*s", columns, line);
		lines++;
	}
	return lines;
}

static void plain_parts(const struct progress *p)
{
	char at[NUMBER], end[NUMBER];
	const char *between = "; ";
	for (uint32_t i = 0; i < p->n_parts; i++)
		if (is_slow(p, i, PARTS_MOST)) {
			fprintf(p->to, "%s%s %s of %s", between, p->parts[i].name, grouped((uint64_t)p->parts[i].at, at), grouped((uint64_t)p->parts[i].end, end));
			between = ", ";
		}
	if (p->n_parts > PARTS_MOST)
		fprintf(p->to, ", and %" PRIu32 " more", p->n_parts - PARTS_MOST);
}

// ---- to where it goes

// The cursor stays in the first line: what is below goes with all that follows it, whatever the window's width is by then.
static void write_over(struct progress *p, int64_t now_us)
{
	char line[400];
	int columns = terminal_columns(p->to) - 1;
	fprintf(p->to, "\r%s\033[J", progress_text(p, now_us, columns, line, sizeof(line)));
	int below = write_parts(p, columns, terminal_rows(p->to));
	if (below > 0)
		fprintf(p->to, "\033[%dA\r", below);
	fflush(p->to);
	p->shown = true;
}

static void plain(struct progress *p, int64_t now_us)
{
	char line[200], took[NUMBER];
	figures(p, now_us, line, sizeof(line));
	fprintf(p->to, "meterctl %s: %s after %s: %s", p->verb, p->what, span_text((uint64_t)(now_us - p->begun_us) / 1000000, took),
		line + strspn(line, " "));
	plain_parts(p);
	fputc('\n', p->to);
	fflush(p->to);
	p->said = true;
}

// ---- when

void progress_begin_at(struct progress *p, FILE *to, bool terminal, const char *verb, const char *what, int64_t now_us)
{
	*p = (struct progress){ .to = to, .terminal = terminal, .verb = verb, .what = what, .begun_us = now_us };
	p->old = p->young = (struct progress_mark){ now_us, 0 };
}

void progress_show_at(struct progress *p, uint64_t done, uint64_t all, const struct progress_part *parts, uint32_t n, int64_t now_us)
{
	check(p->to != NULL);
	p->done = done;
	p->all = all > 0 && all < done ? done : all; // more came than was there to begin with
	if (now_us - p->young.at_us >= WINDOW_US) {
		p->old = p->young;
		p->young = (struct progress_mark){ now_us, done };
	}
	if (now_us - p->begun_us < SILENT_US || (p->shown_us != 0 && now_us - p->shown_us < (p->terminal ? AGAIN_US : PLAIN_US)))
		return;
	p->shown_us = now_us;
	p->parts = parts;
	p->n_parts = n;
	(p->terminal ? write_over : plain)(p, now_us);
	p->parts = NULL;
	p->n_parts = 0;
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[J", p->to);
	if (p->shown)
		fflush(p->to);
	p->shown = false;
	p->shown_us = 0;
}

void progress_end_at(struct progress *p, int64_t now_us)
{
	if (p->to == NULL)
		return;
	progress_clear(p);
	if (p->said) {
		p->old = (struct progress_mark){ p->begun_us, 0 }; // the rate of it all
		plain(p, now_us);
	}
	p->to = NULL;
}

void progress_begin(struct progress *p, const char *verb, const char *what)
{
	progress_begin_at(p, stderr, terminal_is(stderr), verb, what, clock_mono_us());
}

void progress_show(struct progress *p, uint64_t done, uint64_t all)
{
	progress_show_parts(p, done, all, NULL, 0);
}

void progress_show_parts(struct progress *p, uint64_t done, uint64_t all, const struct progress_part *parts, uint32_t n)
{
	progress_show_at(p, done, all, parts, n, clock_mono_us());
}

void progress_end(struct progress *p)
{
	progress_end_at(p, clock_mono_us());
}
