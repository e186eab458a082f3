// SPDX-License-Identifier: Apache-2.0
// Layout of a file: a version 1 block (skipped), then the same with 64-bit times, then a footer between two newlines.
//
//   header  "TZif" version 15*0  n_isut n_isstd n_leap n_times n_types n_chars   (big-endian, 32 bits each)
//   block   times[n_times]  type of each[n_times]  types[n_types] {int32 offset, dst, name}  chars  leaps  isstd  isut
#include "period/tzfile.h"

#include <stdlib.h>

#include "base/check.h"
#include "period/calendar.h"

enum { HEADER = 44, TYPE_SIZE = 6, COUNT_MOST = 100000, DAY_S = 86400 };

enum day_kind { DAY_JULIAN, DAY_ZERO_BASED, DAY_OF_WEEK };
struct change {               // of the footer: when summer time begins or ends, each year
	enum day_kind kind;
	int month, week, day;
	int32_t time_s;       // after local midnight; may be negative or beyond the day
};

struct tz {
	uint32_t n;
	int64_t *at;
	int32_t *offset;      // from at[i] on
	int32_t before;       // of at[0]
	bool footer, summer;  // the footer says what holds after the last transition; it has summer time
	int32_t standard_s, summer_s;
	struct change begin, end;
};

struct counts {
	uint32_t isut, isstd, leap, times, types, chars;
};

static uint32_t be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;
	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static int64_t be64(const char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static bool read_header(struct span s, struct counts *c)
{
	if (s.n < HEADER || memcmp(s.p, "TZif", 4) != 0 || s.p[4] < '2')
		return false;
	*c = (struct counts){ be32(s.p + 20), be32(s.p + 24), be32(s.p + 28), be32(s.p + 32), be32(s.p + 36), be32(s.p + 40) };
	return c->isut <= COUNT_MOST && c->isstd <= COUNT_MOST && c->leap <= COUNT_MOST && c->times <= COUNT_MOST && c->types <= COUNT_MOST &&
	       c->chars <= COUNT_MOST;
}

static size_t block_size(const struct counts *c, size_t time_size)
{
	return c->times * (time_size + 1) + c->types * (size_t)TYPE_SIZE + c->chars + c->leap * (time_size + 4) + c->isstd + c->isut;
}

static bool read_offset(const char *type, int32_t *ret)
{
	*ret = (int32_t)be32(type);
	return *ret > -26 * 3600 && *ret < 26 * 3600;
}

static bool read_transitions(struct tz *t, const char *p, const struct counts *c)
{
	const char *kinds = p + c->times * (size_t)8, *types = kinds + c->times;
	t->n = c->times;
	t->at = xcalloc(c->times, sizeof(*t->at));
	t->offset = xcalloc(c->times, sizeof(*t->offset));
	if (!read_offset(types, &t->before))
		return false;
	for (uint32_t i = 0; i < c->times; i++) {
		unsigned char kind = (unsigned char)kinds[i];
		t->at[i] = be64(p + i * (size_t)8);
		if (kind >= c->types || (i > 0 && t->at[i] <= t->at[i - 1]) || !read_offset(types + kind * (size_t)TYPE_SIZE, &t->offset[i]))
			return false;
	}
	return true;
}

// --- the footer ---------------------------------------------------------------------------------------------------------

static bool take(const char **p, char c)
{
	bool there = **p == c;
	*p += there;
	return there;
}

static bool take_number(const char **p, int most, int *ret)
{
	int v = 0, digits = 0;
	for (; **p >= '0' && **p <= '9' && digits < 4; digits++)
		v = v * 10 + *(*p)++ - '0';
	*ret = v;
	return digits > 0 && v <= most;
}

// "+3:30" or "26" as seconds
static bool take_time(const char **p, int most_hours, int32_t *ret)
{
	bool negative = take(p, '-');
	int h, m = 0, s = 0;
	if (!negative)
		take(p, '+');
	if (!take_number(p, most_hours, &h) || (take(p, ':') && !take_number(p, 59, &m)) || (take(p, ':') && !take_number(p, 59, &s)))
		return false;
	*ret = (negative ? -1 : 1) * (h * 3600 + m * 60 + s);
	return true;
}

// "EST" or "<+0330>"
static bool take_name(const char **p)
{
	const char *from = *p;
	if (take(p, '<')) {
		while (**p != '\0' && **p != '>')
			++*p;
		return take(p, '>');
	}
	while ((**p >= 'A' && **p <= 'Z') || (**p >= 'a' && **p <= 'z'))
		++*p;
	return *p - from >= 3;
}

static bool take_change(const char **p, struct change *c)
{
	*c = (struct change){ .time_s = 2 * 3600 };
	bool ok;
	if (!take(p, ','))
		return false;
	if (take(p, 'M')) {
		c->kind = DAY_OF_WEEK;
		ok = take_number(p, 12, &c->month) && take(p, '.') && take_number(p, 5, &c->week) && take(p, '.') &&
		     take_number(p, 6, &c->day) && c->month >= 1 && c->week >= 1;
	} else {
		c->kind = take(p, 'J') ? DAY_JULIAN : DAY_ZERO_BASED;
		ok = take_number(p, 365, &c->day) && (c->kind == DAY_ZERO_BASED || c->day >= 1);
	}
	return ok && (!take(p, '/') || take_time(p, 167, &c->time_s));
}

static bool read_footer(struct tz *t, const char *p)
{
	if (*p == '\0')
		return true;
	if (!take_name(&p) || !take_time(&p, 24, &t->standard_s))
		return false;
	t->standard_s = -t->standard_s; // POSIX counts to the west
	t->footer = true;
	if (*p == '\0')
		return true;
	t->summer = true;
	t->summer_s = t->standard_s + 3600;
	if (!take_name(&p))
		return false;
	if (*p != ',') {
		if (!take_time(&p, 24, &t->summer_s))
			return false;
		t->summer_s = -t->summer_s;
	}
	return take_change(&p, &t->begin) && take_change(&p, &t->end) && *p == '\0';
}

static int64_t change_day(const struct change *c, int64_t year)
{
	int64_t first = calendar_days_to(year, c->kind == DAY_OF_WEEK ? c->month : 1);
	if (c->kind == DAY_ZERO_BASED)
		return first + c->day;
	if (c->kind == DAY_JULIAN) // 29 February is never counted
		return first + c->day - 1 + (calendar_leap(year) && c->day >= 60);
	int weekday = (int)((first + 4) % 7); // 1970-01-01 was a Thursday
	int day = (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
	return first + (day >= calendar_days_in(year, c->month) ? day - 7 : day);
}

static bool summer_at(const struct tz *t, int64_t time_s)
{
	int64_t year = calendar_year_of((time_s + t->standard_s) / DAY_S);
	int64_t begin = change_day(&t->begin, year) * DAY_S + t->begin.time_s - t->standard_s;
	int64_t end = change_day(&t->end, year) * DAY_S + t->end.time_s - t->summer_s;
	return begin < end ? time_s >= begin && time_s < end : time_s >= begin || time_s < end;
}

// --- all ----------------------------------------------------------------------------------------------------------------

struct tz *tz_parse(struct span bytes)
{
	struct counts c1, c2;
	CLEANUP(tz_freep) struct tz *t = xcalloc(1, sizeof(*t));
	if (!read_header(bytes, &c1))
		return NULL;
	size_t skip = HEADER + block_size(&c1, 4);
	if (skip > bytes.n)
		return NULL;
	struct span rest = { bytes.p + skip, bytes.n - skip };
	if (!read_header(rest, &c2) || c2.types == 0 || c2.leap != 0)
		return NULL;
	size_t block = HEADER + block_size(&c2, 8);
	if (block + 2 > rest.n || rest.p[block] != '\n' || !read_transitions(t, rest.p + HEADER, &c2))
		return NULL;
	const char *footer = rest.p + block + 1, *end = memchr(footer, '\n', rest.n - block - 1);
	if (end == NULL)
		return NULL;
	CLEANUP(freep) char *text = xstrndup(footer, (size_t)(end - footer));
	return read_footer(t, text) ? TAKE_PTR(t) : NULL;
}

void tz_freep(struct tz **t)
{
	if (*t != NULL) {
		free((*t)->at);
		free((*t)->offset);
	}
	free(*t);
	*t = NULL;
}

int32_t tz_offset_s(const struct tz *t, int64_t time_s)
{
	uint32_t low = 0, high = t->n; // transitions before low are past
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (t->at[mid] <= time_s)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == t->n && t->footer)
		return t->summer && summer_at(t, time_s) ? t->summer_s : t->standard_s;
	return low == 0 ? t->before : t->offset[low - 1];
}
