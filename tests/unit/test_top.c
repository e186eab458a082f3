// SPDX-License-Identifier: Apache-2.0
// The screen of meterctl top without a terminal: what is said of what the daemon told, at several widths, sorted, filtered, scrolled, away.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/terminal.h"
#include "top/view.h"

static const char status[] =
	"{\"version\":\"0.1.0\",\"instance\":\"m\",\"state\":\"running\",\"ready\":true,\"reasons\":[],\"started\":\"S\",\"uptime_seconds\":10921,"
	"\"rules_version\":3,\"partitions\":["
	"{\"topic\":\"usage.calls\",\"partition\":10,\"next\":%d,\"high\":5000,\"lag\":%d,\"clock\":\"2020-01-15T08:30:00.123Z\",\"reading_back\":false,"
	"\"halted\":null,\"outcomes\":{\"counted\":%d,\"duplicate\":7}},"
	"{\"topic\":\"usage.calls\",\"partition\":9,\"next\":100,\"high\":112,\"lag\":12,\"clock\":null,\"reading_back\":true,\"halted\":null,\"outcomes\":{}},"
	"{\"topic\":\"usage.calls\",\"partition\":0,\"next\":1,\"high\":null,\"lag\":null,\"clock\":null,\"halted\":%s,\"outcomes\":{}}],"
	"\"shards\":[{\"shard\":0,\"commits\":%d,\"counters\":%d,\"refused\":0,\"took_us\":%d,\"under_way\":1,\"behind\":12},"
	"{\"shard\":1,\"commits\":5,\"counters\":9,\"refused\":3,\"took_us\":100,\"under_way\":0,\"behind\":2000}],"
	"\"outbox\":{\"owner\":true,\"pending\":4,\"published\":12},\"closing\":{\"open\":\"2020-01\",\"closes\":\"2020-02-01T16:00:00.000Z\","
	"\"due\":\"2020-02-03T16:00:00.000Z\"},\"reload\":null}";
static const char metrics[] = "# HELP meterd_calls_total x\n# TYPE meterd_calls_total counter\nmeterd_calls_total{service=\"image-tag\"} %d\n"
			      "meterd_calls_total{service=\"face-compare\"} 9\nmeterd_commit_duration_seconds_bucket{le=\"0.1\"} 4\n"
			      "meterd_commit_duration_seconds_sum %s\nmeterd_commit_duration_seconds_count %d\n"
			      "meterd_commit_conflicts_total{kind=\"foreign\"} 1\nmeterd_commit_conflicts_total{kind=\"unknown\"} 2\n"
			      "process_resident_memory_bytes 104857600\nprocess_cpu_seconds_total %s\n";

static struct top_sample sample(int step, const char *halted)
{
	struct top_sample s = { 0 };
	CLEANUP(freep) char *j = xasprintf(status, 1000 + 2000 * step, 4000 - 2000 * step, 900 + 1900 * step, halted, 10 + 40 * step, 100 + 4000 * step, 1000 + 60000 * step);
	CLEANUP(freep) char *m = xasprintf(metrics, 50 + 3000 * step, step ? "0.52" : "0.5", 10 + 10 * step, step ? "11.25" : "10.75");
	cr_assert(top_sample_parse(j, m, step * 2000000, &s));
	return s;
}

static const struct top_alert alerts[] = {
	{ "2020-01-19T03:31:34.954Z", "tier.crossed", "178900000000", "product-recognition", "2020-01", "1000000", "1005792", "2190.7424" },
	{ "2020-01-18T03:31:34.954Z", "free_quota.exhausted", "100001234567", "image-tag", "2020-01", "10000", "10000", "" },
};

struct shown {
	int rows, columns;
	struct top_line *lines;
};

static void show(struct shown *s, const struct top_sample *now, const char *away, struct top_ui *ui)
{
	struct top_view v = { .now = now, .away = away, .away_s = 75, .alerts = alerts, .n_alerts = 2, .clock = "12:00:00 UTC", .columns = s->columns, .rows = s->rows };
	s->lines = xcalloc((size_t)s->rows, sizeof(*s->lines));
	top_view(&v, ui, s->lines);
	for (int i = 0; i < s->rows; i++)
		cr_expect_leq(terminal_width(s->lines[i].text), s->columns, "line %d: %s", i, s->lines[i].text);
}

static void shown_free(struct shown *s)
{
	free(s->lines);
}

static int find(const struct shown *s, const char *text)
{
	for (int i = 0; i < s->rows; i++)
		if (strstr(s->lines[i].text, text) != NULL)
			return i;
	return -1;
}

static void expect_line(const struct shown *s, int at, const char *want)
{
	char got[TOP_LINE];
	snprintf(got, sizeof(got), "%s", s->lines[at].text);
	for (size_t n = strlen(got); n > 0 && got[n - 1] == ' ';)
		got[--n] = '\0';
	cr_expect_str_eq(got, want, "line %d:\n%s\nwant\n%s", at, got, want);
}

Test(top, at_80_columns)
{
	struct top_sample before = sample(0, "null"), now = sample(1, "null");
	struct top_ui ui = { 0 };
	CLEANUP(shown_free) struct shown s = { 24, 80, NULL };
	top_sample_rates(&now, &before);
	show(&s, &now, NULL, &ui);
	expect_line(&s, 0, "READY  instance m, running, up 3h02m, rules 3, version 0.1.0  12:00:00 UTC");
	expect_line(&s, 1, "events 1,000/s  calls 1,500/s  lag 2,012 (2s)  commit 2.0 ms  outbox 4  cpu 25%");
	expect_line(&s, 2, "month 2020-01 closes 2020-02-01 16:00, due 2020-02-03 16:00; published 0/s");
	expect_line(&s, 3, "PARTITION *            EVENTS/S         LAG    LEFT CLOCK               STATE");
	expect_line(&s, 4, "usage.calls/0                 0           -       - -                   running");
	expect_line(&s, 5, "usage.calls/9                 0          12       - -                   reading");
	expect_line(&s, 6, "usage.calls/10            1,000       2,000      2s 2020-01-15 08:30:00 running");
	expect_line(&s, 7, "SHARD     COMMITS/S      MEAN  COUNTERS/S      BEHIND UNDER WAY  REFUSED");
	expect_line(&s, 8, "s00              20    1.5 ms       2,000          12         1        0");
	expect_line(&s, 9, "s01               0         -           0       2,000         0        3");
	expect_line(&s, 10, "SERVICE                                         CALLS/S    CALLS SINCE ITS START");
	expect_line(&s, 13, "ALERT AT (UTC)   KIND                 ACCOUNT        SERVICE             PERIOD");
	expect_line(&s, 14, "2020-01-19 03:31 tier.crossed         178900000000   product-recognition 2020-01");
	cr_expect_eq(s.lines[0].style, TOP_GOOD);
	cr_expect(strncmp(s.lines[23].text, "q quit  ? help", 14) == 0, "%s", s.lines[23].text);
	top_sample_free(&before);
	top_sample_free(&now);
}

Test(top, at_200_columns)
{
	struct top_sample before = sample(0, "null"), now = sample(1, "null");
	struct top_ui ui = { 0 };
	CLEANUP(shown_free) struct shown s = { 50, 200, NULL };
	top_sample_rates(&now, &before);
	show(&s, &now, NULL, &ui);
	expect_line(&s, 1, "events 1,000/s  calls 1,500/s  lag 2,012 (2s)  commit 2.0 ms  outbox 4  cpu 25%  mem 100 MiB  conflicts 3");
	cr_expect(strstr(s.lines[3].text, "COUNTED/S") != NULL && strstr(s.lines[3].text, "END") != NULL, "%s", s.lines[3].text);
	cr_expect(strstr(s.lines[6].text, "       950        0 ") != NULL, "%s", s.lines[6].text);
	cr_expect(find(&s, "2190.7424") > 0);
	expect_line(&s, 8, "s00              20    1.5 ms       2,000          12         1        0             50            4,100");
	top_sample_free(&before);
	top_sample_free(&now);
}

Test(top, what_halts_comes_first_and_red)
{
	struct top_sample now = sample(1, "\"offset 5 is gone\\u001b[31m\"");
	struct top_ui ui = { .sort = TOP_BY_STATE };
	CLEANUP(shown_free) struct shown s = { 24, 80, NULL };
	top_sample_rates(&now, NULL);
	show(&s, &now, NULL, &ui);
	expect_line(&s, 3, "  - usage.calls/0 halted: offset 5 is gone?[31m");
	cr_expect_eq(s.lines[3].style, TOP_BAD);
	cr_expect(strstr(s.lines[5].text, "halted") != NULL && s.lines[5].style == TOP_BAD, "%s", s.lines[5].text);
	cr_expect(strstr(s.lines[1].text, "events -/s") != NULL, "no rate without an earlier sample: %s", s.lines[1].text);
	top_sample_free(&now);
}

Test(top, sorted_and_reversed)
{
	struct top_sample before = sample(0, "null"), now = sample(1, "null");
	struct top_ui ui = { .sort = TOP_BY_LAG };
	CLEANUP(shown_free) struct shown s = { 24, 80, NULL }, r = { 24, 80, NULL };
	top_sample_rates(&now, &before);
	show(&s, &now, NULL, &ui);
	cr_expect(find(&s, "usage.calls/10") == 4 && find(&s, "usage.calls/9") == 5 && find(&s, "usage.calls/0") == 6);
	cr_expect(find(&s, "s01 ") == 8 && find(&s, "s00 ") == 9, "the shard that is further behind comes first");
	ui.reverse = true;
	show(&r, &now, NULL, &ui);
	cr_expect(find(&r, "usage.calls/10") == 6 && find(&r, "usage.calls/0") == 4);
	cr_expect(find(&r, "s00 ") == 8 && find(&r, "s01 ") == 9);
	top_sample_free(&before);
	top_sample_free(&now);
}

Test(top, filtered)
{
	struct top_sample now = sample(1, "null");
	struct top_ui ui = { .filter = "image" };
	CLEANUP(shown_free) struct shown s = { 24, 80, NULL };
	top_sample_rates(&now, NULL);
	show(&s, &now, NULL, &ui);
	cr_expect(find(&s, "usage.calls/") < 0 && find(&s, "s00 ") < 0 && find(&s, "nothing fits the filter") == 4);
	cr_expect(find(&s, "image-tag ") > 0 && find(&s, "face-compare") < 0 && find(&s, "free_quota.exhausted") > 0 && find(&s, "tier.crossed") < 0);
	cr_expect(find(&s, "filter \"image\"") == 23);
	top_sample_free(&now);
}

Test(top, the_chosen_list_scrolls_and_stops_at_its_end)
{
	struct top_sample now = sample(1, "null");
	struct top_ui ui = { .chosen = TOP_ALERTS, .scroll = 99 };
	CLEANUP(shown_free) struct shown s = { 10, 80, NULL };
	top_sample_rates(&now, NULL);
	show(&s, &now, NULL, &ui);
	cr_expect_eq(ui.scroll, 1, "one of two alerts has room");
	cr_expect(find(&s, "free_quota.exhausted") > 0 && find(&s, "tier.crossed") < 0);
	top_sample_free(&now);
}

Test(top, low_screens_show_shards_where_they_are_chosen)
{
	struct top_sample now = sample(1, "null");
	struct top_ui ui = { 0 }, chosen = { .chosen = TOP_SHARDS }, only = { .filter = "s01" };
	CLEANUP(shown_free) struct shown s = { 12, 80, NULL }, c = { 12, 80, NULL }, o = { 24, 80, NULL };
	top_sample_rates(&now, NULL);
	show(&s, &now, NULL, &ui);
	cr_expect(find(&s, "SHARD") < 0 && find(&s, "PARTITION *") == 3 && find(&s, "ALERT AT") > 0);
	show(&c, &now, NULL, &chosen);
	cr_expect(find(&c, "SHARD *") > 0 && find(&c, "s00 ") > 0);
	show(&o, &now, NULL, &only);
	cr_expect(find(&o, "s01 ") > 0 && find(&o, "s00 ") < 0);
	top_sample_free(&now);
}

Test(top, nothing_is_cut_off_at_80_columns)
{
	struct top_sample before = sample(0, "null"), now = sample(1, "null");
	struct top_ui ui = { 0 }, help = { .help = true };
	CLEANUP(shown_free) struct shown s = { 24, 88, NULL }, narrow = { 24, 80, NULL }, wide = { 24, 200, NULL };
	top_sample_rates(&now, &before);
	show(&s, &now, NULL, &ui);
	expect_line(&s, 1, "events 1,000/s  calls 1,500/s  lag 2,012 (2s)  commit 2.0 ms  outbox 4  cpu 25%");
	show(&narrow, &now, NULL, &help);
	show(&wide, &now, NULL, &help);
	for (int i = 0; i < 24; i++)
		cr_expect_str_eq(narrow.lines[i].text, wide.lines[i].text);
	cr_expect(find(&narrow, "outbox     alerts") > 0);
	top_sample_free(&before);
	top_sample_free(&now);
}

Test(top, away_and_never_there)
{
	struct top_sample now = sample(1, "null");
	struct top_ui ui = { 0 };
	CLEANUP(shown_free) struct shown s = { 24, 80, NULL }, n = { 24, 80, NULL };
	top_sample_rates(&now, NULL);
	show(&s, &now, "http://127.0.0.1:1: Connection refused", &ui);
	expect_line(&s, 0, "AWAY  for 1m15s: http://127.0.0.1:1: Connection refused");
	cr_expect_eq(s.lines[0].style, TOP_BAD);
	int at = find(&s, "usage.calls/10");
	cr_expect(at > 0 && s.lines[at].style == TOP_DIM, "what was said last stays, dimmed");
	show(&n, NULL, "http://127.0.0.1:1: Connection refused", &ui);
	expect_line(&n, 0, "NO ANSWER  http://127.0.0.1:1: Connection refused");
	cr_expect(find(&n, "tier.crossed") > 0, "alerts come from Kafka");
	top_sample_free(&now);
}

Test(top, every_size_holds)
{
	struct top_sample now = sample(1, "\"x\"");
	struct top_ui ui = { 0 };
	top_sample_rates(&now, NULL);
	for (int rows = 0; rows < 60; rows++)
		for (int columns = 1; columns < 260; columns += 3) {
			CLEANUP(shown_free) struct shown s = { rows, columns, NULL };
			ui.help = rows % 7 == 0;
			show(&s, &now, rows % 5 == 0 ? "away" : NULL, &ui);
		}
	top_sample_free(&now);
}

Test(top, another_start_has_no_rate_yet)
{
	struct top_sample before = sample(0, "null"), now = sample(1, "null");
	snprintf(before.started, sizeof(before.started), "earlier");
	top_sample_rates(&now, &before);
	cr_expect_eq(now.events_rate, -1);
	top_sample_free(&before);
	top_sample_free(&now);
}

Test(top, what_is_no_status_is_refused)
{
	struct top_sample s;
	static const char *const wrong[] = { "", "{}", "[]", "{\"ready\":1,\"partitions\":[]}", "{\"ready\":true}" };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		cr_expect_not(top_sample_parse(wrong[i], NULL, 0, &s), "%s", wrong[i]);
	cr_assert(top_sample_parse("{\"ready\":true,\"partitions\":[{}],\"later\":[1]}", "nonsense\n{\n x\n", 0, &s));
	cr_expect_eq(s.pending, -1);
	top_sample_free(&s);
}
