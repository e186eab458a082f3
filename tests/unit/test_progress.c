// SPDX-License-Identifier: Apache-2.0
// Progress: what it writes, when, and how wide; the clock is the test's.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/progress.h"
#include "tools/terminal.h"

enum { SECOND = 1000000 };

static struct progress at(uint64_t done, uint64_t all, int64_t begun_us)
{
	struct progress p;
	progress_begin_at(&p, stderr, true, "rebuild", "records read", begun_us);
	p.done = done;
	p.all = all;
	p.old = (struct progress_mark){ begun_us, 0 };
	return p;
}

static void expect_text(struct progress p, int64_t now_us, int columns, const char *want)
{
	char buf[400];
	cr_expect_str_eq(progress_text(&p, now_us, columns, buf, sizeof(buf)), want, "at %d columns: got\n%s\nwant\n%s", columns, buf, want);
	cr_expect_leq((int)strlen(buf), columns);
}

Test(progress, the_line_at_every_width)
{
	struct progress p = at(1234567, 2870000, 7 * SECOND);
	int64_t now = 13 * SECOND; // six seconds: 205,761 a second, 1,635,433 left
	expect_text(p, now, 200, "records read  [#################-----------------------]   43 %  1,234,567 of 2,870,000  205,761/s  8 s left");
	expect_text(p, now, 80, "records read  [#####-------]   43 %  1,234,567 of 2,870,000  205,761/s  8 s left");
	expect_text(p, now, 79, "records read  [####-------]   43 %  1,234,567 of 2,870,000  205,761/s  8 s left");
	expect_text(p, now, 77, "records read   43 %  1,234,567 of 2,870,000  205,761/s  8 s left");
	expect_text(p, now, 60, " 43 %  1,234,567 of 2,870,000  205,761/s  8 s left");
	expect_text(p, now, 20, " 43 %  1,234,567 of ");
	expect_text(p, now, 0, "");
}

Test(progress, what_nobody_knows_is_not_said)
{
	expect_text(at(0, 0, 0), 3 * SECOND, 80, "records read  0  0/s");
	expect_text(at(999, 0, 0), 3 * SECOND, 80, "records read  999  333/s");
	expect_text(at(0, 1000, 0), 3 * SECOND, 80, "records read  [----------------------------------------]    0 %  0 of 1,000  0/s");
	expect_text(at(1000, 1000, 0), 3 * SECOND, 80, "records read  [########################]  100 %  1,000 of 1,000  333/s  0 s left");
	expect_text(at(UINT64_MAX / 2, UINT64_MAX, 0), SECOND, 80,
		    " 49 %  9,223,372,036,854,775,807 of 18,446,744,073,709,551,615  9,223,372,036,85");
	expect_text(at(1, 1000000, 0), SECOND, 80, "records read  [---------------]    0 %  1 of 1,000,000  1/s  more than 99 h left");
}

// What is written at these times, on a terminal or not.
static char *written(bool terminal, const int64_t *times_ms, const uint64_t *done, int n, bool all_known)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	struct progress p;
	progress_begin_at(&p, to, terminal, "rebuild", "records read", SECOND);
	for (int i = 0; i < n; i++)
		progress_show_at(&p, done[i], all_known ? 100000 : 0, NULL, 0, SECOND + times_ms[i] * 1000);
	progress_end_at(&p, SECOND + times_ms[n - 1] * 1000);
	fclose(to);
	return text;
}

Test(progress, plain_lines_without_a_terminal)
{
	static const int64_t times[] = { 0, 1000, 2000, 5000, 11000, 12000, 15000, 20000 };
	static const uint64_t done[] = { 0, 1000, 2000, 5000, 21000, 22000, 35000, 100000 };
	CLEANUP(freep) char *got = written(false, times, done, 8, true);
	cr_expect_str_eq(got, "meterctl rebuild: records read after 2 s: 2 %  2,000 of 100,000  1,000/s  1 min 38 s left\n"
			      "meterctl rebuild: records read after 12 s: 22 %  22,000 of 100,000  2,428/s  33 s left\n"
			      "meterctl rebuild: records read after 20 s: 100 %  100,000 of 100,000  5,000/s  0 s left\n", "%s", got);
}

Test(progress, nothing_where_it_is_quick)
{
	static const int64_t times[] = { 0, 1000, 1999 };
	static const uint64_t done[] = { 0, 1, 100000 };
	CLEANUP(freep) char *plain = written(false, times, done, 3, true), *line = written(true, times, done, 3, true);
	cr_expect_str_empty(plain);
	cr_expect_str_empty(line);
}

Test(progress, a_terminal_line_is_written_over_and_goes)
{
	static const int64_t times[] = { 1000, 2000, 2100, 2200 };
	static const uint64_t done[] = { 1000, 2000, 2100, 2200 };
	CLEANUP(freep) char *got = written(true, times, done, 4, false);
	cr_expect_str_eq(got, "\rrecords read  2,000  1,000/s\033[J\rrecords read  2,200  1,000/s\033[J\r\033[J", "%s", got);
}

// What is written two seconds after the begin, with these partitions, and at the end.
static char *written_parts(bool terminal, const struct progress_part *parts, uint32_t n)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	struct progress p;
	progress_begin_at(&p, to, terminal, "rebuild", "records read", 0);
	progress_show_at(&p, 2000, 0, parts, n, 2 * SECOND);
	progress_end_at(&p, 2 * SECOND);
	fclose(to);
	return text;
}

Test(progress, where_partitions_stand)
{
	static const struct progress_part parts[] = { { "calls/0", 1200, 3000 }, { "calls/10", 9, 9 }, { "calls/2", 1001, 1000 } };
	CLEANUP(freep) char *line = written_parts(true, parts, 3), *plain = written_parts(false, parts, 3);
	cr_expect_str_eq(line, "\rrecords read  2,000  1,000/s\033[J\n  calls/0   1,200 of 3,000, 1,800 left\n  calls/10  9 of 9, 0 left\n"
			       "  calls/2   1,001 of 1,000, 0 left\033[3A\r\r\033[J", "%s", line);
	cr_expect_str_eq(plain, "meterctl rebuild: records read after 2 s: 2,000  1,000/s; calls/0 1,200 of 3,000, calls/10 9 of 9, calls/2 1,001 of 1,000\n"
				"meterctl rebuild: records read after 2 s: 2,000  1,000/s\n", "%s", plain);
}

Test(progress, only_the_partitions_that_have_most_left)
{
	struct progress_part parts[12];
	for (uint32_t i = 0; i < ARRAY_LEN(parts); i++)
		parts[i] = (struct progress_part){ "calls/x", i, 1000 };
	parts[0] = parts[11] = (struct progress_part){ "a name that is longer than a window is wide: it goes no further than the window, since it would take two lines", 0, 9999 };
	parts[1].end = parts[9].end = 10; // 9 left, and 1
	parts[3].end = parts[8].end = 20; // 17, and 12
	parts[4].end = 21;                // 17, too: the first of them stays
	CLEANUP(freep) char *line = written_parts(true, parts, 12), *plain = written_parts(false, parts, 12);
	int lines = 0;
	for (const char *at = strchr(line, '\n'), *next; at != NULL; at = next, lines++) {
		next = strchr(at + 1, '\n');
		cr_expect_leq((next != NULL ? next : strchr(at, '\033')) - at - 1, TERMINAL_COLUMNS - 1, "%s", at);
	}
	cr_expect_eq(lines, 9, "%s", line);
	cr_expect_not_null(strstr(line, "\n  and 4 more, 39 left\033[9A\r"), "%s", line);
	cr_expect_not_null(strstr(plain, ", calls/x 3 of 20, calls/x 5 of 1,000, calls/x 6 of 1,000, calls/x 7 of 1,000, calls/x 10 of 1,000, a name"), "%s", plain);
	cr_expect_not_null(strstr(plain, " 0 of 9,999, and 4 more\n"), "%s", plain);
}

Test(progress, more_than_there_was_to_begin_with)
{
	struct progress p;
	char buf[400];
	progress_begin_at(&p, stderr, true, "rebuild", "records read", 0);
	progress_show_at(&p, 120, 100, NULL, 0, SECOND);
	cr_expect_str_eq(progress_text(&p, SECOND, 60, buf, sizeof(buf)), "records read  100 %  120 of 120  120/s  0 s left");
}

Test(terminal, widths)
{
	cr_expect_eq(terminal_width(""), 0);
	cr_expect_eq(terminal_width("abc"), 3);
	cr_expect_eq(terminal_width("图像标签"), 8);
	cr_expect_eq(terminal_width("é"), 1);
	char name[32] = "product-recognition-wechat", wide[32] = "图像标签", short_one[32] = "abc";
	terminal_cut(name, sizeof(name), 20);
	terminal_cut(wide, sizeof(wide), 6);
	terminal_cut(short_one, sizeof(short_one), 3);
	cr_expect_str_eq(name, "product-recognition…");
	cr_expect_str_eq(wide, "图像…", "a wide character that half fits does not");
	cr_expect_str_eq(short_one, "abc");
	cr_expect_eq(terminal_width("e\xcc\x81x"), 2, "a combining accent takes no column");
}

Test(terminal, a_file_is_none)
{
	FILE *f = tmpfile();
	setenv("TERM", "xterm", 1);
	cr_expect_not(terminal_is(f));
	cr_expect_not(terminal_colours(f));
	cr_expect_eq(terminal_columns(f), TERMINAL_COLUMNS);
	cr_expect_eq(terminal_rows(f), TERMINAL_ROWS);
	fclose(f);
}
