// SPDX-License-Identifier: Apache-2.0
#include "top/view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "tools/terminal.h"

enum { LEAST_COLUMNS = 40, LEAST_ROWS = 6, SHARDS_ROWS = 16, // lower screens show shards only where they are chosen
       REASONS_MOST = 4, NUMBER = 32, COLUMNS_MOST = 16, WIDE = 120, WIDER = 160 };

// ---- text that fits

// Control characters and what is no UTF-8 become '?', and what does not fit goes, whole characters at a time.
static void clip(char *text, int columns)
{
	size_t n = strlen(text), at = 0;
	uint32_t c = 0;
	while (at < n) {
		size_t len = utf8_next(text + at, n - at, &c);
		if (len == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			text[at] = '?';
			len = 1;
		}
		char kept = text[at + len];
		text[at + len] = '\0';
		bool fits = terminal_width(text) <= columns;
		text[at + len] = kept;
		if (!fits)
			break;
		at += len;
	}
	text[at] = '\0';
}

static void line_set(const struct top_view *v, struct top_line *l, enum top_style style, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void line_set(const struct top_view *v, struct top_line *l, enum top_style style, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	l->style = style;
	clip(l->text, v->columns);
}

static const char *count_text(int64_t n, char buf[NUMBER])
{
	char digits[NUMBER];
	if (n < 0)
		return memcpy(buf, "-", 2);
	int len = snprintf(digits, sizeof(digits), "%" PRId64, n), at = 0;
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

static const char *milliseconds(int64_t us, char buf[NUMBER])
{
	if (us < 0)
		return memcpy(buf, "-", 2);
	snprintf(buf, NUMBER, "%" PRId64 ".%" PRId64 " ms", us / 1000, us / 100 % 10);
	return buf;
}

static const char *span_words(int64_t s, char buf[NUMBER])
{
	if (s < 0)
		return memcpy(buf, "-", 2);
	if (s < 60)
		snprintf(buf, NUMBER, "%ds", (int)s);
	else if (s < 3600)
		snprintf(buf, NUMBER, "%dm%02ds", (int)(s / 60), (int)(s % 60));
	else
		snprintf(buf, NUMBER, "%dh%02dm", (int)(s / 3600 < 9999 ? s / 3600 : 9999), (int)(s / 60 % 60));
	return buf;
}

// "2020-01-15T08:30:00.123Z" -> "2020-01-15 08:30:00"
static void short_time(const char *rfc, int chars, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", chars, rfc[0] != '\0' ? rfc : "-");
	char *t = strchr(buf, 'T');
	if (t != NULL)
		*t = ' ';
}

// ---- the head

static int head_verdict(const struct top_view *v, struct top_line *l)
{
	const struct top_sample *s = v->now;
	char up[NUMBER], since[NUMBER];
	if (s == NULL) {
		line_set(v, l, TOP_BAD, "NO ANSWER  %s", v->away != NULL ? v->away : "asking the daemon");
		return 1;
	}
	if (v->away != NULL) {
		line_set(v, l, TOP_BAD, "AWAY  for %s: %s", span_words(v->away_s, since), v->away);
		line_set(v, l + 1, TOP_DIM, "Below: what it said last. This goes on by itself when it answers; `systemctl status meterd` says more.");
		return 2;
	}
	line_set(v, l, s->ready ? TOP_GOOD : TOP_BAD, "%s  instance %s, %s, up %s, rules %" PRId64 ", version %s  %s", s->ready ? "READY" : "NOT READY",
		 s->instance, s->state, span_words(s->uptime_s, up), s->rules, s->version, v->clock);
	return 1;
}

// Figures that do not fit are left out whole: the end of a number must not look like one.
static void line_of_figures(const struct top_view *v, struct top_line *l)
{
	while (terminal_width(l->text) > v->columns) {
		char *last = l->text;
		for (char *at = strstr(l->text, "  "); at != NULL; at = strstr(at + 2, "  "))
			last = at;
		if (last == l->text)
			break;
		*last = '\0';
	}
	clip(l->text, v->columns);
}

static int head_figures(const struct top_view *v, struct top_line *l)
{
	const struct top_sample *s = v->now;
	char a[NUMBER], b[NUMBER], c[NUMBER], d[NUMBER], m[NUMBER], x[NUMBER], left[40] = "", commit[NUMBER], cpu[NUMBER] = "-";
	if (s->lag > 0 && s->events_rate > 0)
		snprintf(left, sizeof(left), " (%s)", span_words(s->lag / s->events_rate, a));
	if (s->cpu_permille >= 0)
		snprintf(cpu, sizeof(cpu), "%" PRId64 "%%", s->cpu_permille / 10);
	snprintf(l->text, sizeof(l->text), "events %s/s  calls %s/s  lag %s%s  commit %s  outbox %s  cpu %s  mem %s MiB  conflicts %s",
		 count_text(s->events_rate, a), count_text(s->calls_rate, b), count_text(s->lag, c), left, milliseconds(s->commit_mean_us, commit),
		 s->owner ? count_text(s->pending, d) : "elsewhere", cpu,
		 count_text(s->resident_bytes >= 0 ? s->resident_bytes >> 20 : -1, m), count_text(s->conflicts, x));
	l->style = TOP_PLAIN;
	line_of_figures(v, l);
	return 1;
}

static int head_closing(const struct top_view *v, struct top_line *l)
{
	const struct top_sample *s = v->now;
	char closes[32], due[32], rate[NUMBER];
	short_time(s->closes, 16, closes, sizeof(closes));
	short_time(s->due, 16, due, sizeof(due));
	if (!s->owner)
		line_set(v, l, TOP_DIM, "another instance publishes and closes months");
	else if (s->open[0] == '\0')
		line_set(v, l, TOP_PLAIN, "no month is open; published %s/s", count_text(s->published_rate, rate));
	else
		line_set(v, l, TOP_PLAIN, "month %s closes %s, due %s; published %s/s%s%s", s->open, closes, due, count_text(s->published_rate, rate),
			 s->closing_note[0] != '\0' ? "; waits for " : "", s->closing_note);
	return 1;
}

static int head_reasons(const struct top_view *v, struct top_line *l)
{
	const struct top_sample *s = v->now;
	int n = 0, most = v->rows / 4 < REASONS_MOST ? v->rows / 4 : REASONS_MOST;
	for (uint32_t i = 0; i < s->n_reasons && n < most; i++)
		line_set(v, &l[n++], TOP_BAD, "  - %s", s->reasons[i]);
	for (uint32_t i = 0; i < s->n_parts && n < most; i++)
		if (s->parts[i].halted[0] != '\0')
			line_set(v, &l[n++], TOP_BAD, "  - %s halted: %s", s->parts[i].name, s->parts[i].halted);
	if (s->imbalance > 0 && n < most)
		line_set(v, &l[n++], TOP_BAD, "  - the ledger is off by %" PRId64 " records: a defect, see `meterctl audit`", s->imbalance);
	if (s->reload[0] != '\0' && n < most)
		line_set(v, &l[n++], TOP_WARN, "  - %s", s->reload);
	return n;
}

// ---- tables

struct column {
	const char *title;
	int width;            // 0: what is left
	bool right;
	int from;             // shown on screens at least so wide
};
struct table {
	const struct column *columns;
	int n;
	int widths[COLUMNS_MOST];
};

static void table_fit(struct table *t, int columns)
{
	int left = columns, flexible = 0;
	for (int i = 0; i < t->n; i++) {
		bool there = columns >= t->columns[i].from;
		t->widths[i] = there ? t->columns[i].width : -1;
		flexible += there && t->columns[i].width == 0;
		left -= there ? t->columns[i].width + (i > 0) : 0;
	}
	for (int i = 0; i < t->n && flexible > 0; i++)
		if (t->widths[i] == 0) {
			t->widths[i] = left / flexible > 4 ? left / flexible : 4;
			t->widths[i] = t->widths[i] < 48 ? t->widths[i] : 48;
		}
}

static void table_cell(const struct table *t, int i, const char *text, struct top_line *l)
{
	char cell[400];
	if (t->widths[i] < 0)
		return;
	snprintf(cell, sizeof(cell), "%s", text);
	clip(cell, t->widths[i]);
	int blanks = t->widths[i] - terminal_width(cell);
	size_t n = strlen(l->text);
	snprintf(l->text + n, sizeof(l->text) - n, "%s%*s%s%*s", n > 0 ? " " : "", t->columns[i].right ? blanks : 0, "", cell,
		 t->columns[i].right ? 0 : blanks, "");
}

static void table_head(const struct table *t, bool chosen, const struct top_view *v, struct top_line *l)
{
	l->text[0] = '\0';
	for (int i = 0; i < t->n; i++) {
		char title[40];
		snprintf(title, sizeof(title), "%s%s", t->columns[i].title, i == 0 && chosen ? " *" : "");
		table_cell(t, i, title, l);
	}
	l->style = TOP_HEAD;
	int blanks = v->columns - terminal_width(l->text);
	size_t n = strlen(l->text);
	if (blanks > 0)
		snprintf(l->text + n, sizeof(l->text) - n, "%*s", blanks, "");
	clip(l->text, v->columns);
}

// ---- partitions

static const struct column part_columns[] = {
	{ "PARTITION", 0, false, 0 },  { "EVENTS/S", 10, true, 0 },     { "LAG", 11, true, 0 },         { "LEFT", 7, true, 0 },
	{ "CLOCK", 19, false, 70 },    { "STATE", 8, false, 0 },        { "COUNTED/S", 10, true, WIDE }, { "DUPL/S", 8, true, WIDE },
	{ "LATE/S", 8, true, WIDER },  { "REJECT/S", 8, true, WIDE },   { "NOT BILL/S", 10, true, WIDER }, { "NEXT", 14, true, WIDE },
	{ "END", 14, true, WIDER },
};

// Partitions of one topic differ in their ends: where the name has no room its beginning goes.
static const char *name_end(const char *name, int columns, char *text, size_t size)
{
	size_t n = strlen(name), most = columns > 1 ? (size_t)columns : 1;
	if (n <= most)
		return name;
	snprintf(text, size, "~%s", name + (n - most + 1));
	return text;
}

static const char *part_state(const struct top_part *p)
{
	return p->halted[0] != '\0' ? "halted" : p->reading_back ? "reading" : "running";
}

static void part_line(const struct table *t, const struct top_part *p, struct top_line *l)
{
	char text[NUMBER], clock[32], end[280];
	int64_t left = p->lag == 0 ? 0 : p->lag > 0 && p->rate > 0 ? p->lag / p->rate : -1;
	static const enum outcome shown[] = { OUTCOME_COUNTED, OUTCOME_DUPLICATE, OUTCOME_LATE, OUTCOME_REJECTED, OUTCOME_NOT_BILLABLE };
	l->text[0] = '\0';
	l->style = p->halted[0] != '\0' ? TOP_BAD : p->reading_back ? TOP_WARN : TOP_PLAIN;
	short_time(p->clock, 19, clock, sizeof(clock));
	table_cell(t, 0, name_end(p->name, t->widths[0], end, sizeof(end)), l);
	table_cell(t, 1, count_text(p->rate, text), l);
	table_cell(t, 2, count_text(p->lag, text), l);
	table_cell(t, 3, span_words(left, text), l);
	table_cell(t, 4, clock, l);
	table_cell(t, 5, part_state(p), l);
	for (int i = 0; i < (int)ARRAY_LEN(shown); i++)
		table_cell(t, 6 + i, count_text(p->outcome_rate[shown[i]], text), l);
	table_cell(t, 11, count_text(p->next, text), l);
	table_cell(t, 12, count_text(p->high, text), l);
}

// ---- shards, services, alerts

static const struct column shard_columns[] = {
	{ "SHARD", 8, false, 0 },         { "COMMITS/S", 10, true, 0 },     { "MEAN", 9, true, 0 },          { "COUNTERS/S", 11, true, 0 },
	{ "BEHIND", 11, true, 0 },        { "UNDER WAY", 9, true, 70 },     { "REFUSED", 8, true, 70 },      { "COMMITS", 14, true, WIDE },
	{ "COUNTERS", 16, true, WIDE },
};

static void shard_line(const struct table *t, const struct top_shard *h, struct top_line *l)
{
	char text[NUMBER];
	const int64_t figures[] = { h->counter_rate, h->behind, h->under_way, h->refused, h->commits, h->counters };
	l->text[0] = '\0';
	l->style = TOP_PLAIN;
	table_cell(t, 0, h->name, l);
	table_cell(t, 1, count_text(h->rate, text), l);
	table_cell(t, 2, milliseconds(h->mean_us, text), l);
	for (int i = 0; i < (int)ARRAY_LEN(figures); i++)
		table_cell(t, 3 + i, count_text(figures[i], text), l);
}

static const struct column service_columns[] = {
	{ "SERVICE", 0, false, 0 }, { "CALLS/S", 14, true, 0 }, { "CALLS SINCE ITS START", 24, true, 0 },
};

static void service_line(const struct table *t, const struct top_service *s, struct top_line *l)
{
	char text[NUMBER];
	l->text[0] = '\0';
	l->style = TOP_PLAIN;
	table_cell(t, 0, s->name, l);
	table_cell(t, 1, count_text(s->rate, text), l);
	table_cell(t, 2, count_text(s->calls, text), l);
}

static const struct column alert_columns[] = {
	{ "ALERT AT (UTC)", 16, false, 0 }, { "KIND", 20, false, 0 },        { "ACCOUNT", 14, false, 0 },    { "SERVICE", 0, false, 0 },
	{ "PERIOD", 7, false, 70 },         { "THRESHOLD", 14, true, 100 }, { "CALLS", 14, true, WIDE },    { "BILL", 16, true, WIDE },
};

static void alert_line(const struct table *t, const struct top_alert *a, struct top_line *l)
{
	char time[32];
	const char *const cells[] = { time, a->kind, a->account, a->service, a->period, a->threshold, a->calls, a->bill };
	short_time(a->time, 16, time, sizeof(time));
	l->text[0] = '\0';
	l->style = strstr(a->kind, "exhausted") != NULL ? TOP_BAD : strstr(a->kind, "warning") != NULL ? TOP_WARN : TOP_PLAIN;
	for (int i = 0; i < (int)ARRAY_LEN(cells); i++)
		table_cell(t, i, cells[i], l);
}

// ---- which rows, in which order

struct rows {
	uint32_t n;
	const void **list;
	const char *empty; // words where there are none
};

static int order(int64_t a, int64_t b)
{
	return a < b ? 1 : a > b ? -1 : 0; // the largest first
}

struct by {
	enum top_sort sort;
	bool reverse;
};

static int compare_names(const char *a, const char *b)
{
	const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
	if (x != NULL && y != NULL && x - a == y - b && memcmp(a, b, (size_t)(x - a)) == 0 && strlen(x) != strlen(y))
		return strlen(x) < strlen(y) ? -1 : 1; // usage.calls/9 before usage.calls/10
	return strcmp(a, b);
}

static int compare_parts(const void *a, const void *b, void *ctx)
{
	const struct top_part *p = *(const void *const *)a, *q = *(const void *const *)b;
	const struct by *by = ctx;
	int d = by->sort == TOP_BY_RATE ? order(p->rate, q->rate) : by->sort == TOP_BY_LAG ? order(p->lag, q->lag) :
		by->sort == TOP_BY_STATE ? strcmp(part_state(p), part_state(q)) : 0;
	d = d != 0 ? d : compare_names(p->name, q->name);
	return by->reverse ? -d : d;
}

static int compare_shards(const void *a, const void *b, void *ctx)
{
	const struct top_shard *p = *(const void *const *)a, *q = *(const void *const *)b;
	const struct by *by = ctx;
	int d = by->sort == TOP_BY_RATE ? order(p->rate, q->rate) : by->sort == TOP_BY_LAG ? order(p->behind, q->behind) :
		by->sort == TOP_BY_STATE ? order(p->refused, q->refused) : 0;
	d = d != 0 ? d : p < q ? -1 : 1; // as they came: by number
	return by->reverse ? -d : d;
}

static int compare_services(const void *a, const void *b, void *ctx)
{
	const struct top_service *p = *(const void *const *)a, *q = *(const void *const *)b;
	const struct by *by = ctx;
	int d = by->sort == TOP_BY_NAME ? 0 : by->sort == TOP_BY_RATE ? order(p->rate, q->rate) : order(p->calls, q->calls);
	d = d != 0 ? d : strcmp(p->name, q->name);
	return by->reverse ? -d : d;
}

static bool wanted(const struct top_ui *ui, const char *a, const char *b, const char *c)
{
	return ui->filter[0] == '\0' || strstr(a, ui->filter) != NULL || strstr(b, ui->filter) != NULL || strstr(c, ui->filter) != NULL;
}

static uint32_t rows_of(const struct top_view *v, enum top_list which)
{
	if (which == TOP_ALERTS)
		return v->n_alerts;
	const struct top_sample *s = v->now;
	return s == NULL ? 0 : which == TOP_PARTITIONS ? s->n_parts : which == TOP_SHARDS ? s->n_shards : s->n_services;
}

// Row i of the list, NULL where the filter hides it.
static const void *row_at(const struct top_view *v, const struct top_ui *ui, enum top_list which, uint32_t i)
{
	const struct top_sample *s = v->now;
	const struct top_alert *a = &v->alerts[i];
	switch (which) {
	case TOP_PARTITIONS: return wanted(ui, s->parts[i].name, part_state(&s->parts[i]), "") ? &s->parts[i] : NULL;
	case TOP_SHARDS: return wanted(ui, s->shards[i].name, "", "") ? &s->shards[i] : NULL;
	case TOP_SERVICES: return wanted(ui, s->services[i].name, "", "") ? &s->services[i] : NULL;
	default: return wanted(ui, a->kind, a->account, a->service) ? a : NULL;
	}
}

static struct rows pick(const struct top_view *v, const struct top_ui *ui, enum top_list which)
{
	static const char *const none[] = { "no partition here", "no shard yet", "no calls yet", "no alert yet" };
	static int (*const compare[])(const void *, const void *, void *) = { compare_parts, compare_shards, compare_services, NULL };
	uint32_t all = rows_of(v, which);
	struct rows r = { .list = xcalloc(all, sizeof(*r.list)), .empty = all > 0 ? "nothing fits the filter" : none[which] };
	struct by by = { ui->sort, ui->reverse };
	for (uint32_t i = 0; i < all; i++) {
		const void *row = row_at(v, ui, which, i);
		if (row != NULL)
			r.list[r.n++] = row;
	}
	if (compare[which] != NULL)
		qsort_r(r.list, r.n, sizeof(*r.list), compare[which], &by);
	else if (all == 0 && v->alerts_note != NULL)
		r.empty = v->alerts_note;
	return r;
}

// Rows for each list that is shown out of `room`: three each to begin with, then the chosen one takes what it can use, then the others.
static void share_out(const struct rows *r, const bool *shown, enum top_list chosen, int room, int ret[TOP_LISTS])
{
	int lists = 0;
	for (int i = 0; i < TOP_LISTS; i++)
		lists += shown[i];
	int first = room / lists < 3 ? room / lists : 3;
	for (int i = 0; i < TOP_LISTS; i++) {
		ret[i] = 0;
		if (!shown[i])
			continue;
		int need = r[i].n > 0 ? (int)r[i].n : 1;
		ret[i] = need < first ? need : first;
		room -= ret[i];
	}
	for (int k = 0; k < TOP_LISTS; k++) {
		int i = ((int)chosen + k) % TOP_LISTS, need = r[i].n > 0 ? (int)r[i].n : 1;
		int more = !shown[i] ? 0 : need - ret[i] < room ? need - ret[i] : room;
		ret[i] += more;
		room -= more;
	}
}

static int list_lines(const struct top_view *v, struct top_ui *ui, enum top_list which, const struct rows *r, int room, struct top_line *l)
{
	static const struct table tables[] = { { part_columns, (int)ARRAY_LEN(part_columns), { 0 } }, { shard_columns, (int)ARRAY_LEN(shard_columns), { 0 } },
					       { service_columns, (int)ARRAY_LEN(service_columns), { 0 } }, { alert_columns, (int)ARRAY_LEN(alert_columns), { 0 } } };
	struct table t = tables[which];
	int from = 0, n = 1;
	table_fit(&t, v->columns);
	table_head(&t, ui->chosen == which, v, l);
	if (ui->chosen == which) {
		int most = (int)r->n > room ? (int)r->n - room : 0;
		ui->scroll = ui->scroll < 0 ? 0 : ui->scroll > most ? most : ui->scroll;
		from = ui->scroll;
	}
	if (r->n == 0 && room > 0)
		line_set(v, &l[n++], TOP_DIM, "  %s", r->empty);
	for (int i = 0; i < room && from + i < (int)r->n; i++, n++) {
		const void *row = r->list[from + i];
		if (which == TOP_PARTITIONS)
			part_line(&t, row, &l[n]);
		else if (which == TOP_SHARDS)
			shard_line(&t, row, &l[n]);
		else if (which == TOP_SERVICES)
			service_line(&t, row, &l[n]);
		else
			alert_line(&t, row, &l[n]);
		if (v->away != NULL && which != TOP_ALERTS)
			l[n].style = TOP_DIM;
		clip(l[n].text, v->columns);
	}
	return n;
}

// ---- the whole

const char *top_sort_text(enum top_sort s)
{
	static const char *const words[] = { "name", "rate", "lag", "state" };
	return words[s];
}

static void foot(const struct top_view *v, const struct top_ui *ui, struct top_line *l)
{
	char filter[TOP_FILTER + 16] = "";
	if (ui->typing) {
		line_set(v, l, TOP_WARN, "filter: %s_   Enter takes it, Esc drops it", ui->filter);
		return;
	}
	if (ui->filter[0] != '\0')
		snprintf(filter, sizeof(filter), " \"%s\"", ui->filter);
	line_set(v, l, TOP_DIM, "q quit  ? help  s sort: %s%s  / filter%s  Tab list  p %s", top_sort_text(ui->sort), ui->reverse ? " (reversed)" : "",
		 filter, ui->paused ? "PAUSED" : "pause");
}

static void help(const struct top_view *v, struct top_line *lines)
{
	static const char *const text[] = { // none wider than 80 columns
		"meterctl top: what the daemon at http.listen says once a second, and its alerts",
		"",
		"  q  quit       s / r  next order of the lists / the other way round",
		"  /  show only rows with a text (partition, state, shard, service, account,",
		"     kind); Esc shows all again",
		"  Tab  choose the next list: it gets the room that is left, and scrolls by",
		"       arrows, Page, Home",
		"  p  hold the screen           ?  this help",
		"",
		"  EVENTS/S   records read a second, of the last three seconds",
		"  LAG, LEFT  records that wait to be read; how long that takes at this rate",
		"  CLOCK      newest time stamp of a record (UTC): months close by it",
		"  STATE      reading: fills its window of duplicates, counts nothing yet.",
		"             halted: waits for a person, see above",
		"  SHARD      a part of the ledger in Redis: commits and how long one takes,",
		"             BEHIND: records read that it does not hold yet; UNDER WAY: commits",
		"             without an answer; REFUSED: Redis full or away, another owner",
		"  outbox     alerts and settlements that Kafka has not acknowledged yet",
	};
	for (int i = 0; i < v->rows - 1 && i < (int)ARRAY_LEN(text); i++)
		line_set(v, &lines[i], i == 0 ? TOP_HEAD : TOP_PLAIN, "%s", text[i]);
}

static void body(const struct top_view *v, struct top_ui *ui, struct top_line *lines)
{
	int at = head_verdict(v, lines), rooms[TOP_LISTS];
	if (v->now != NULL) {
		at += head_figures(v, &lines[at]);
		at += head_closing(v, &lines[at]);
		at += v->away == NULL ? head_reasons(v, &lines[at]) : 0;
	}
	struct rows r[TOP_LISTS];
	for (int i = 0; i < TOP_LISTS; i++)
		r[i] = pick(v, ui, (enum top_list)i);
	bool shown[TOP_LISTS] = { true, v->rows >= SHARDS_ROWS || ui->chosen == TOP_SHARDS, true, true };
	int room = v->rows - 1 - at - TOP_LISTS + !shown[TOP_SHARDS];
	share_out(r, shown, ui->chosen, room > 0 ? room : 0, rooms);
	for (int i = 0; i < TOP_LISTS; i++) {
		if (shown[i] && at + 1 + rooms[i] <= v->rows - 1)
			at += list_lines(v, ui, (enum top_list)i, &r[i], rooms[i], &lines[at]);
		free(r[i].list);
	}
}

void top_view(const struct top_view *v, struct top_ui *ui, struct top_line *lines)
{
	for (int i = 0; i < v->rows; i++)
		lines[i] = (struct top_line){ .style = TOP_PLAIN };
	if (v->columns < LEAST_COLUMNS || v->rows < LEAST_ROWS) {
		if (v->rows > 0)
			line_set(v, lines, TOP_WARN, "too small: 40 x 6 at least");
		return;
	}
	if (ui->help)
		help(v, lines);
	else
		body(v, ui, lines);
	foot(v, ui, &lines[v->rows - 1]);
}
